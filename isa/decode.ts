/**
 * From an instruction word to its row and operands.
 *
 * Rows are bucketed once, at first use, by bits 28:21 (where nearly all of A64's classes are told
 * apart); inside a bucket the row with the most fixed bits is tried first, so that a special encoding
 * beats the general one it refines. Results are cached by callers, not here.
 *
 * Ref. DDI 0487, C4.1.
 */
import { type Concrete, extractFields, type Fields, type Row, type Shape } from './row.js';
import { ROWS } from './rows/index.js';

export interface Decoded {
  readonly row: Row;
  readonly word: number;
  readonly fields: Fields;
}

const SHIFT = 21;
const BUCKETS = 256;
let buckets: (readonly Row[])[] | undefined;

function fixedBits(row: Row): number {
  let count = 0;
  for (let m = row.mask; m !== 0; m &= m - 1) count++;
  return count;
}

function buildBuckets(): (readonly Row[])[] {
  const out: Row[][] = Array.from({ length: BUCKETS }, () => []);
  const ordered = ROWS.map((row, index) => ({ row, index, fixed: fixedBits(row) })).sort(
    (a, b) => b.fixed - a.fixed || a.index - b.index,
  );
  for (const { row } of ordered) {
    const mask = (row.mask >>> SHIFT) & (BUCKETS - 1);
    const value = (row.value >>> SHIFT) & (BUCKETS - 1);
    const free = ~mask & (BUCKETS - 1);
    // Every subset of the free bits, the empty one last.
    for (let subset = free; ; subset = (subset - 1) & free) {
      out[value | subset]!.push(row);
      if (subset === 0) break;
    }
  }
  return out;
}

/**
 * The row of `word`, or undefined where the encoding is unallocated.
 * `hasFeature` says what the machine implements; left out, everything.
 */
export function decode(word: number, hasFeature?: (feature: string) => boolean): Decoded | undefined {
  buckets ??= buildBuckets();
  for (const row of buckets[(word >>> SHIFT) & (BUCKETS - 1)]!) {
    if ((word & row.mask) >>> 0 !== row.value) continue;
    if (hasFeature !== undefined) {
      if (row.feature !== undefined && !hasFeature(row.feature)) continue;
      if (row.andFeature !== undefined && !hasFeature(row.andFeature)) continue;
    }
    const fields = extractFields(row, word);
    if (row.where !== undefined && !row.where(fields)) continue;
    return { row, word: word >>> 0, fields };
  }
  return undefined;
}

/** The operands' concrete values, by the names semantics use. */
export function decodeOperands({ row, fields }: Decoded): Record<string, Concrete<Shape>> {
  const out: Record<string, Concrete<Shape>> = {};
  for (const [name, kind] of Object.entries(row.operands)) out[name] = kind.decode(fields) as Concrete<Shape>;
  return out;
}
