/**
 * From a mnemonic and parsed operands to an instruction word.
 *
 * Every row and alias that bears the mnemonic is tried, in table order; the first that takes all
 * operands wins. Where none does, the mismatch that got furthest is the one worth reporting.
 */
import type { Span } from '../src/base/index.js';
import { composeWord, extractFields, type Fields, type OperandSet, type Row } from './row.js';
import { ROWS } from './rows/index.js';
import { type EncodeContext, Mismatch, type OperandAst, OperandCursor } from './syntax.js';

interface Candidate {
  readonly row: Row;
  readonly operands: OperandSet;
  readonly fixed: Readonly<Record<string, number | undefined>>;
  readonly requires: ((fields: Fields) => boolean) | undefined;
}

let index: Map<string, Candidate[]> | undefined;

function buildIndex(): Map<string, Candidate[]> {
  const out = new Map<string, Candidate[]>();
  const add = (name: string, candidate: Candidate) => {
    const list = out.get(name);
    if (list === undefined) out.set(name, [candidate]);
    else list.push(candidate);
  };
  for (const row of ROWS) {
    for (const { name, fixed } of row.names)
      add(name, { row, operands: row.operands, fixed, requires: undefined });
    for (const alias of row.aliases) {
      const { name, operands, fixed = {}, requires } = alias;
      add(name, { row, operands, fixed, requires });
    }
  }
  return out;
}

/** Every mnemonic and alias name, lower case. */
export function mnemonics(): Iterable<string> {
  index ??= buildIndex();
  return index.keys();
}

/** The syntaxes of a mnemonic, for help lines: `add <Rd|SP>, <Rn|SP>, #<imm>{, LSL #<shift>}`. */
export function syntaxesOf(mnemonic: string): string[] {
  index ??= buildIndex();
  return (index.get(mnemonic) ?? []).map((c) =>
    [
      mnemonic,
      Object.values(c.operands)
        .map((k) => k.syntax)
        .filter((syntax) => syntax !== '')
        .join(', '),
    ]
      .join(' ')
      .trim(),
  );
}

/**
 * The instruction word, or the best Mismatch; undefined where no row bears the mnemonic.
 * Field conflicts (two operands of different width for one `sf`) are mismatches too.
 */
export function encode(
  mnemonic: string,
  operands: readonly OperandAst[],
  context: EncodeContext,
  end?: Span,
): number | Mismatch | undefined {
  index ??= buildIndex();
  const candidates = index.get(mnemonic);
  if (candidates === undefined) return undefined;
  let best: { mismatch: Mismatch; at: number } | undefined;
  for (const candidate of candidates) {
    const cursor = new OperandCursor(operands, context, end);
    const outcome = tryCandidate(candidate, cursor);
    if (typeof outcome === 'number') return outcome;
    const better =
      best === undefined ||
      cursor.at > best.at ||
      (cursor.at === best.at && outcome.weight > best.mismatch.weight);
    if (better) best = { mismatch: outcome, at: cursor.at };
  }
  return best?.mismatch;
}

function tryCandidate(
  { row, operands, fixed, requires }: Candidate,
  cursor: OperandCursor,
): number | Mismatch {
  const fields: Record<string, number> = {};
  for (const [name, value] of Object.entries(fixed)) if (value !== undefined) fields[name] = value;
  for (const kind of Object.values(operands)) {
    const span = cursor.peek()?.span ?? cursor.end;
    const values = kind.parse(cursor, fields);
    if (values instanceof Mismatch) return values;
    for (const [name, value] of Object.entries(values)) {
      const before = fields[name];
      if (before !== undefined && before !== value) {
        return new Mismatch(
          span,
          'this operand does not go with the ones before it (register widths differ)',
          {
            weight: 1,
          },
        );
      }
      fields[name] = value;
    }
  }
  const extra = cursor.peek();
  if (extra !== undefined) return new Mismatch(extra.span, 'unexpected operand');
  const word = composeWord(row, fields);
  const allowed = (test: typeof requires) => test === undefined || test(extractFields(row, word));
  if (!allowed(row.where) || !allowed(requires)) {
    return new Mismatch(cursor.operands[0]?.span ?? cursor.end, 'these operands make a reserved encoding', {
      weight: 1,
    });
  }
  return word;
}
