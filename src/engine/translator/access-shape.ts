/**
 * Which loads of a block are followed by a store through the same base register, read off their rows.
 *
 * Such a load and store nearly always reach one page. Looked for among the entries for writing, both are
 * served by one look-up: what may be written may be read (see Mmu, which gives no such entry where that is
 * not so). A guess that is wrong costs time, nothing else.
 */
import { type Concrete, type Decoded, type Row, recordCalls, type Shape } from '../../../isa/index.js';

type Values = Readonly<Record<string, Concrete<Shape>>>;

/** An instruction and its operands. */
export interface Operated {
  readonly decoded: Decoded;
  readonly values: Values;
}

/** Instructions looked at behind a load. */
const MOST_AHEAD = 12;

const known = new Map<Row, boolean>();

/** Whether the row stores data, whatever the rest of what it does. */
function isStore(decoded: Decoded): boolean {
  let is = known.get(decoded.row);
  if (is === undefined) {
    const calls = recordCalls(decoded, false);
    is = calls.some(({ operation }) => operation === 'store' || operation === 'storePair');
    known.set(decoded.row, is);
  }
  return is;
}

function baseOf({ decoded, values }: Operated): number | undefined {
  for (const [name, { shape }] of Object.entries(decoded.row.operands)) {
    if (typeof shape === 'object' && shape['base'] === 'reg') {
      return (values[name] as { readonly base: number }).base;
    }
  }
  return undefined;
}

/** Whether the register is an operand of the instruction other than as a base. */
function names({ decoded, values }: Operated, register: number): boolean {
  for (const [name, { shape }] of Object.entries(decoded.row.operands)) {
    if (shape === 'reg' && values[name] === register) return true;
  }
  return false;
}

/** Whether the load at `index` of a block is followed by a store through its base register `base`, which keeps its value. */
export function isStoredLater(block: readonly Operated[], index: number, base: number): boolean {
  const end = Math.min(block.length, index + MOST_AHEAD);
  if (names(block[index]!, base)) return false;
  for (let i = index + 1; i < end; i++) {
    const one = block[i]!;
    if (baseOf(one) === base && isStore(one.decoded)) return true;
    if (names(one, base)) return false;
  }
  return false;
}
