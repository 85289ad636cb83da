/**
 * The add/subtract immediate: twelve bits, optionally shifted left by twelve.
 */
import type { Fields, OperandKind } from '../row.js';
import { Mismatch, type OperandCursor } from '../syntax.js';
import { evaluateImmediate, printImmediate } from './immediates.js';

/** `#<imm>{, LSL #<shift>}`; a bare multiple of 4096 beyond 4095 is shifted by itself. */
export function shiftedImm12(field: string, shift: string): OperandKind<'imm'> {
  return imm12(field, shift, false);
}

/** For the opposite instruction's mnemonic: the text's value is negative, the field holds its magnitude. */
export function negatedImm12(field: string, shift: string): OperandKind<'imm'> {
  return imm12(field, shift, true);
}

function imm12(field: string, shift: string, negated: boolean): OperandKind<'imm'> {
  const sign = negated ? '-' : '';
  const value = (f: Fields) => BigInt(f[field]!) << (f[shift] ? 12n : 0n);
  return {
    shape: 'imm',
    syntax: `#${sign}<imm>{, LSL #<shift>}`,
    fields: [field, shift],
    decode: value,
    print: (f) => {
      const magnitude = printImmediate(BigInt(f[field]!), 'hex').slice(1);
      return `#${sign}${magnitude}${f[shift] ? ', lsl #12' : ''}`;
    },
    parse: (cursor) => parseImm12(cursor, field, shift, negated),
  };
}

function parseImm12(
  cursor: OperandCursor,
  field: string,
  shift: string,
  negated: boolean,
): Fields | Mismatch {
  const operand = cursor.take('immediate', 'an immediate');
  if (operand instanceof Mismatch) return operand;
  const given = evaluateImmediate(operand, cursor.context);
  if (given instanceof Mismatch) return given;
  // Zero is the plain instruction's, so that each text has one encoding.
  if (negated && given >= 0n) return new Mismatch(operand.span, `immediate ${given} is not negative`);
  const value = negated ? -given : given;
  const next = cursor.peek();
  if (next?.kind === 'shift') {
    cursor.at++;
    const amount = next.amount === undefined ? 0n : cursor.context.evaluate(next.amount);
    if (next.operator !== 'lsl' || (amount !== 0n && amount !== 12n)) {
      return new Mismatch(next.span, 'only lsl #0 and lsl #12 are possible here', { weight: 1 });
    }
    if (value < 0n || value > 0xfffn) return outOfRange(given, operand);
    return { [field]: Number(value), [shift]: amount === 12n ? 1 : 0 };
  }
  if (value >= 0n && value <= 0xfffn) return { [field]: Number(value), [shift]: 0 };
  if (value >= 0n && value <= 0xfff000n && (value & 0xfffn) === 0n) {
    return { [field]: Number(value >> 12n), [shift]: 1 };
  }
  return outOfRange(given, operand);
}

function outOfRange(
  value: bigint,
  operand: { readonly span: ConstructorParameters<typeof Mismatch>[0] },
): Mismatch {
  return new Mismatch(
    operand.span,
    `immediate ${value} out of range 0 to 4095, or a multiple of 4096 to 16773120`,
    {
      help: 'load it into a register first: ldr xN, =value',
      weight: 1,
    },
  );
}
