/**
 * Floating-point immediates: the eight bits of FMOV, the zero of FCMP, and the fraction bits of
 * fixed-point conversions.
 *
 * Ref. DDI 0487, C7.2 "FMOV (scalar, immediate)", J1.3 VFPExpandImm.
 */
import type { Fields, OperandKind } from '../row.js';
import { type EncodeContext, type ImmediateOperand, Mismatch } from '../syntax.js';

/** VFPExpandImm: sign, an exponent of three bits around one, four bits of fraction. */
export function vfpExpandImm(size: 16 | 32 | 64, imm8: number): bigint {
  const exponentBits = size === 16 ? 5 : size === 32 ? 8 : 11;
  const fractionBits = size - exponentBits - 1;
  const sign = imm8 >> 7;
  const high = (imm8 >> 6) & 1;
  const low = (imm8 >> 4) & 3;
  // NOT(imm8<6>) : Replicate(imm8<6>) : imm8<5:4>
  const middle = high ? (1 << (exponentBits - 3)) - 1 : 0;
  const exponent = ((high ^ 1) << (exponentBits - 1)) | (middle << 2) | low;
  const head = BigInt((sign << exponentBits) | exponent);
  return (head << BigInt(fractionBits)) | (BigInt(imm8 & 15) << BigInt(fractionBits - 4));
}

/** The number that imm8 stands for, in any format. */
export function vfpImmediateValue(imm8: number): number {
  const exponent = ((imm8 >> 4) & 7) ^ 4;
  const magnitude = (16 + (imm8 & 15)) * 2 ** (exponent - 7);
  return imm8 & 0x80 ? -magnitude : magnitude;
}

const IMM8 = new Map(Array.from({ length: 256 }, (_, imm8) => [vfpImmediateValue(imm8), imm8]));

/** `#6.500000000000000000e+00`: C's %.18e. */
export function printFloat(value: number): string {
  return `#${value.toExponential(18).replace(/e([+-])(\d)$/, 'e$10$2')}`;
}

/** The number written: a floating-point literal or an integer expression. */
export function floatValue(operand: ImmediateOperand, context: EncodeContext): number {
  return operand.float ?? Number(context.evaluate(operand.value));
}

/**
 * `#<imm>` of FMOV: eight bits, in one field or several from the top down. To semantics it is the number
 * in the format of `size` bits.
 */
export function fpImm(
  fields: readonly (readonly [name: string, width: number])[],
  size: 16 | 32 | 64,
): OperandKind<'imm'> {
  const imm8 = (f: Fields) => fields.reduce((bits, [name, width]) => (bits << width) | f[name]!, 0);
  return {
    shape: 'imm',
    syntax: '#<imm>',
    fields: fields.map(([name]) => name),
    decode: (f) => vfpExpandImm(size, imm8(f)),
    print: (f) => printFloat(vfpImmediateValue(imm8(f))),
    parse(cursor) {
      const operand = cursor.take('immediate', 'a floating-point immediate');
      if (operand instanceof Mismatch) return operand;
      const value = floatValue(operand, cursor.context);
      const bits = IMM8.get(value);
      if (bits === undefined) {
        return new Mismatch(operand.span, `${value} is not a floating-point immediate`, {
          help: 'n/16 * 2^r with n from 16 to 31 and r from -3 to 4',
          weight: 1,
        });
      }
      const out: Record<string, number> = {};
      let rest = bits;
      for (const [name, width] of [...fields].reverse()) {
        out[name] = rest & ((1 << width) - 1);
        rest >>= width;
      }
      return out;
    },
  };
}

/** `#0.0`: a fixed part of the syntax. */
export function fpZeroImm(): OperandKind<'static'> {
  return {
    shape: 'static',
    syntax: '#0.0',
    fields: [],
    decode: () => 0,
    print: () => '#0.0',
    parse(cursor) {
      const operand = cursor.take('immediate', '#0.0');
      if (operand instanceof Mismatch) return operand;
      return floatValue(operand, cursor.context) === 0
        ? {}
        : new Mismatch(operand.span, 'only #0.0 can be compared with', { weight: 1 });
    },
  };
}

/**
 * `#<fbits>` of a fixed-point conversion: 64 less the field `scale`; at most the width of the
 * general-purpose register, which the field `sf` says.
 */
export function fractionBits(sf: string): OperandKind<'imm'> {
  return {
    shape: 'imm',
    syntax: '#<fbits>',
    fields: ['scale'],
    decode: (f) => BigInt(64 - f['scale']!),
    print: (f) => `#${64 - f['scale']!}`,
    parse(cursor, before) {
      const operand = cursor.take('immediate', 'a number of fraction bits');
      if (operand instanceof Mismatch) return operand;
      const value = cursor.context.evaluate(operand.value);
      const width = before[sf] ? 64 : 32;
      if (value < 1n || value > BigInt(width)) {
        return new Mismatch(operand.span, `${value} fraction bits, out of range 1 to ${width}`, {
          weight: 1,
        });
      }
      return { scale: 64 - Number(value) };
    },
  };
}
