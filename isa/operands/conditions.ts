/**
 * Condition operands: `eq`, `ne`, ... and the inverted conditions of CSET, CINC and their kin.
 *
 * Ref. DDI 0487, C1.2.4.
 */
import type { OperandKind } from '../row.js';
import { Mismatch } from '../syntax.js';

/** By encoding; the first name is the one printed. */
export const CONDITIONS: readonly (readonly string[])[] = [
  ['eq', 'none'],
  ['ne', 'any'],
  ['cs', 'hs', 'nlast'],
  ['cc', 'lo', 'ul', 'last'],
  ['mi', 'first'],
  ['pl', 'nfrst'],
  ['vs'],
  ['vc'],
  ['hi', 'pmore'],
  ['ls', 'plast'],
  ['ge', 'tcont'],
  ['lt', 'tstop'],
  ['gt'],
  ['le'],
  ['al'],
  ['nv'],
];

function condition(field: string, flip: 0 | 1): OperandKind<'cond'> {
  return {
    shape: 'cond',
    syntax: flip ? '<invcond>' : '<cond>',
    fields: [field],
    decode: (f) => f[field]!,
    print: (f) => CONDITIONS[f[field]! ^ flip]![0]!,
    parse(cursor) {
      const operand = cursor.take('immediate', 'a condition');
      if (operand instanceof Mismatch) return operand;
      const number = CONDITIONS.findIndex((names) => names.includes(operand.symbol ?? ''));
      if (number < 0) {
        return new Mismatch(operand.span, 'expected a condition', {
          help: 'eq, ne, cs/hs, cc/lo, mi, pl, vs, vc, hi, ls, ge, lt, gt, le or al',
        });
      }
      if (flip && number >= 14)
        return new Mismatch(operand.span, 'al and nv cannot be inverted', { weight: 1 });
      return { [field]: number ^ flip };
    },
  };
}

export const cond = (field: string): OperandKind<'cond'> => condition(field, 0);
/** The text names the opposite of what the field holds. */
export const invertedCond = (field: string): OperandKind<'cond'> => condition(field, 1);

/** The condition that the mnemonic names (`b.eq`): an operand to semantics, no text. */
export function namedCond(field: string): OperandKind<'cond'> {
  return { ...condition(field, 0), syntax: '', print: () => '', parse: () => ({}) };
}
