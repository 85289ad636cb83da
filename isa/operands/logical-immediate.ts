/**
 * Bitmask immediates: the pattern that AND, ORR, EOR, ANDS and TST take.
 *
 * An element of 2 to 64 bits holds one run of ones, rotated, and is repeated over the register. The
 * expansion happens in `decode`, so that semantics see a plain 64-bit value.
 *
 * Ref. DDI 0487, J1 "DecodeBitMasks" with `immediate` true.
 */
import { MASK32, ones, replicate, rotateRight } from '../../src/base/index.js';
import type { Fields, OperandKind } from '../row.js';
import { Mismatch } from '../syntax.js';
import { evaluateImmediate, printImmediate } from './immediates.js';

/** Log2 of the element size by N:NOT(imms); -1 where reserved. */
function elementLog(N: number, imms: number): number {
  return 31 - Math.clz32((N << 6) | (~imms & 63));
}

/** False for the reserved encodings: element wider than the register, of one bit, or all ones. */
export function isBitmask(f: Readonly<Record<'N' | 'imms', number>>, width: 32 | 64): boolean {
  const log = elementLog(f.N, f.imms);
  if (log < 1 || 1 << log > width) return false;
  const levels = (1 << log) - 1;
  return (f.imms & levels) !== levels;
}

/** DecodeBitMasks' wmask. The fields must satisfy isBitmask. */
export function decodeBitMasks(f: Fields, width: 32 | 64): bigint {
  const size = 1 << elementLog(f['N']!, f['imms']!);
  const levels = size - 1;
  const run = ones((f['imms']! & levels) + 1);
  return replicate(rotateRight(run, f['immr']! & levels, size), size, width);
}

/** The fields that expand to `value` (unsigned, of `width` bits), or undefined where none do. */
export function encodeBitMask(
  value: bigint,
  width: 32 | 64,
): { readonly N: number; readonly immr: number; readonly imms: number } | undefined {
  if (value === 0n || value === ones(width)) return undefined;
  let size: number = width;
  while (size > 2) {
    const half = size / 2;
    if ((value & ones(half)) !== ((value >> BigInt(half)) & ones(half))) break;
    size = half;
  }
  const element = value & ones(size);
  let count = 0;
  for (let rest = element; rest !== 0n; rest >>= 1n) count += Number(rest & 1n);
  const run = ones(count);
  for (let immr = 0; immr < size; immr++) {
    if (rotateRight(run, immr, size) === element) {
      return { N: size === 64 ? 1 : 0, immr, imms: (~(size * 2 - 1) & 63) | (count - 1) };
    }
  }
  return undefined;
}

/** `#<imm>` of `sf`'s width; with `inverted`, of the complement (BIC with an immediate). */
export function bitmaskImm(sf: string, options: { readonly inverted?: boolean } = {}): OperandKind<'imm'> {
  const { inverted = false } = options;
  const widthOf = (f: Fields) => (f[sf] ? 64 : 32);
  return {
    shape: 'imm',
    syntax: '#<imm>',
    fields: ['N', 'immr', 'imms', sf],
    decode: (f) => decodeBitMasks(f, widthOf(f)),
    print: (f) => printImmediate(decodeBitMasks(f, widthOf(f)) ^ (inverted ? ones(widthOf(f)) : 0n), 'hex'),
    parse(cursor, before) {
      const operand = cursor.take('immediate', 'an immediate');
      if (operand instanceof Mismatch) return operand;
      const given = evaluateImmediate(operand, cursor.context);
      if (given instanceof Mismatch) return given;
      const width = widthOf(before);
      const fits = width === 64 || (given >= -(MASK32 >> 1n) - 1n && given <= MASK32);
      const value = BigInt.asUintN(width, inverted ? ~given : given);
      return (
        (fits ? encodeBitMask(value, width) : undefined) ??
        new Mismatch(operand.span, `0x${BigInt.asUintN(64, given).toString(16)} is not a bitmask immediate`, {
          help: 'it must be one run of ones, rotated, repeated every 2 to 64 bits; else load it: ldr xN, =value',
          weight: 1,
        })
      );
    },
  };
}
