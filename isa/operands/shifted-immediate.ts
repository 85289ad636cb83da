/**
 * The add/subtract immediate: twelve bits, optionally shifted left by twelve.
 */
import type { Fields, OperandKind } from '../row.js';
import { Mismatch } from '../syntax.js';
import { printImmediate } from './immediates.js';

export function shiftedImm12(field: string, shift: string): OperandKind<'imm'> {
  const value = (f: Fields) => BigInt(f[field]!) << (f[shift] ? 12n : 0n);
  return {
    shape: 'imm',
    syntax: '#<imm>{, LSL #<shift>}',
    fields: [field, shift],
    decode: value,
    print: (f) => `${printImmediate(BigInt(f[field]!), 'hex')}${f[shift] ? ', lsl #12' : ''}`,
    parse(cursor) {
      const operand = cursor.take('immediate', 'an immediate');
      if (operand instanceof Mismatch) return operand;
      const given = cursor.context.evaluate(operand.value);
      const next = cursor.peek();
      if (next?.kind === 'shift') {
        cursor.at++;
        const amount = next.amount === undefined ? 0n : cursor.context.evaluate(next.amount);
        if (next.operator !== 'lsl' || (amount !== 0n && amount !== 12n)) {
          return new Mismatch(next.span, 'only lsl #0 and lsl #12 are possible here', { weight: 1 });
        }
        if (given < 0n || given > 0xfffn) return outOfRange(given, operand);
        return { [field]: Number(given), [shift]: amount === 12n ? 1 : 0 };
      }
      if (given >= 0n && given <= 0xfffn) return { [field]: Number(given), [shift]: 0 };
      if (given >= 0n && given <= 0xfff000n && (given & 0xfffn) === 0n) {
        return { [field]: Number(given >> 12n), [shift]: 1 };
      }
      return outOfRange(given, operand);
    },
  };
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
