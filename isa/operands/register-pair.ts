/**
 * A pair of consecutive registers of which the first is even: `x0, x1` of CASP.
 *
 * To semantics it is the first register; the builder's `nextReg` gives the second. X30 is followed by
 * the zero register.
 *
 * Ref. DDI 0487, C6.2 "CASP".
 */
import type { OperandKind } from '../row.js';
import { Mismatch } from '../syntax.js';
import { gprName, takeGpr } from './registers.js';

/** `<Rs>, <R(s+1)>` in one field. */
export function registerPair(field: string, width: 32 | 64): OperandKind<'reg'> {
  const name = `${width === 64 ? 'X' : 'W'}${field.slice(1)}`;
  return {
    shape: 'reg',
    syntax: `<${name}>, <${name[0]}(${name.slice(1)}+1)>`,
    fields: [field],
    decode: (f) => f[field]!,
    print: (f) => `${gprName(f[field]!, width, 'zero')}, ${gprName(f[field]! + 1, width, 'zero')}`,
    parse(cursor) {
      const first = takeGpr(cursor, width, 'zero');
      if (first instanceof Mismatch) return first;
      if (first.number % 2 !== 0) {
        return new Mismatch(first.span, 'the first register of a pair must be even', { weight: 1 });
      }
      const second = takeGpr(cursor, width, 'zero');
      if (second instanceof Mismatch) return second;
      if (second.number !== first.number + 1) {
        return new Mismatch(
          second.span,
          `expected ${gprName(first.number + 1, width, 'zero')}: the second register follows the first`,
          { weight: 1 },
        );
      }
      return { [field]: first.number };
    },
  };
}
