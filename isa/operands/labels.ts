/**
 * PC-relative operands: branch targets, ADR and ADRP, literal loads.
 *
 * They print as absolute addresses, as objdump does; they parse from an expression that evaluates to
 * the target's address.
 */
import type { Fields, OperandKind } from '../row.js';
import { Mismatch } from '../syntax.js';

const PAGE_MASK = ~0xfffn;

/** A branch-like offset in one field, in words. */
export function label(field: string, bits: number): OperandKind<'label'> {
  const offset = (f: Fields) => BigInt.asIntN(bits, BigInt(f[field]!)) * 4n;
  return {
    shape: 'label',
    syntax: '<label>',
    fields: [field],
    decode: (f) => ({ offset: offset(f), page: false }),
    print: (f, { pc, symbol }) => printTarget(BigInt.asUintN(64, pc + offset(f)), symbol),
    parse(cursor) {
      const operand = cursor.take('immediate', 'a label');
      if (operand instanceof Mismatch) return operand;
      const distance = cursor.context.evaluate(operand.value) - cursor.context.pc;
      const range = 1n << BigInt(bits + 1);
      if (distance % 4n !== 0n)
        return new Mismatch(operand.span, 'target is not word-aligned', { weight: 1 });
      if (distance < -range || distance >= range) {
        return new Mismatch(
          operand.span,
          `target is ${distance} bytes away, beyond ${-range} to ${range - 4n}`,
          {
            weight: 1,
          },
        );
      }
      return { [field]: Number(BigInt.asUintN(bits, distance / 4n)) };
    },
  };
}

/** ADR (bytes) and ADRP (4 KiB pages): immhi:immlo. */
export function adrLabel(page: boolean): OperandKind<'label'> {
  const raw = (f: Fields) => BigInt.asIntN(21, BigInt(f['immhi']! * 4 + f['immlo']!));
  const offset = (f: Fields) => (page ? raw(f) << 12n : raw(f));
  return {
    shape: 'label',
    syntax: '<label>',
    fields: ['immhi', 'immlo'],
    decode: (f) => ({ offset: offset(f), page }),
    print: (f, { pc, symbol }) =>
      printTarget(BigInt.asUintN(64, (page ? pc & PAGE_MASK : pc) + offset(f)), symbol),
    parse(cursor) {
      const operand = cursor.take('immediate', 'a label');
      if (operand instanceof Mismatch) return operand;
      const target = cursor.context.evaluate(operand.value);
      const distance = page
        ? BigInt.asIntN(64, (target & PAGE_MASK) - (cursor.context.pc & PAGE_MASK)) >> 12n
        : target - cursor.context.pc;
      if (distance < -(1n << 20n) || distance >= 1n << 20n) {
        return new Mismatch(
          operand.span,
          `target is out of reach of ${page ? 'adrp (4 GiB)' : 'adr (1 MiB)'}`,
          {
            weight: 1,
          },
        );
      }
      const bits = Number(BigInt.asUintN(21, distance));
      return { immhi: bits >> 2, immlo: bits & 3 };
    },
  };
}

function printTarget(address: bigint, symbol: ((address: bigint) => string | undefined) | undefined): string {
  const name = symbol?.(address);
  return `0x${address.toString(16)}${name === undefined ? '' : ` <${name}>`}`;
}
