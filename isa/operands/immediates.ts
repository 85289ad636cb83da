/**
 * Immediate operands: plain, scaled, shifted, bitmask.
 *
 * `decode` gives the value semantics use, as an unsigned 64-bit bigint; scaling and sign extension
 * happen here and nowhere else.
 */
import type { Fields, OperandKind } from '../row.js';
import { type EncodeContext, type ImmediateOperand, Mismatch, type OperandCursor } from '../syntax.js';

const u64 = (v: bigint) => BigInt.asUintN(64, v);

/** `#0x1f` for unsigned values, `#-16` for signed ones: objdump's forms. */
export function printImmediate(value: bigint, style: 'hex' | 'decimal'): string {
  return style === 'hex' && value >= 0n ? `#0x${value.toString(16)}` : `#${value}`;
}

/**
 * The value of an immediate with its relocation operator applied. Addresses are final when operands are
 * encoded, so that `:lo12:label` is a number like any other.
 */
export function evaluateImmediate(operand: ImmediateOperand, context: EncodeContext): bigint | Mismatch {
  const value = context.evaluate(operand.value);
  const { relocation } = operand;
  if (relocation === undefined) return value;
  if (relocation === 'lo12') return value & 0xfffn;
  return new Mismatch(operand.span, `:${relocation}: cannot be used with this instruction`, { weight: 1 });
}

/** Evaluates an immediate and checks range and scale; gives the encoded (unscaled) number. */
export function encodeScaled(
  operand: ImmediateOperand,
  context: EncodeContext,
  rule: { readonly bits: number; readonly signed: boolean; readonly scale: number },
): number | Mismatch {
  const value = evaluateImmediate(operand, context);
  return value instanceof Mismatch ? value : scaleValue(value, operand, rule);
}

function scaleValue(
  value: bigint,
  operand: { readonly span: ImmediateOperand['span'] },
  rule: { readonly bits: number; readonly signed: boolean; readonly scale: number },
): number | Mismatch {
  const scale = BigInt(rule.scale);
  const low = rule.signed ? -(1n << BigInt(rule.bits - 1)) : 0n;
  const high = rule.signed ? (1n << BigInt(rule.bits - 1)) - 1n : (1n << BigInt(rule.bits)) - 1n;
  if (value < low * scale || value > high * scale) {
    return new Mismatch(operand.span, `immediate ${value} out of range ${low * scale} to ${high * scale}`, {
      weight: 1,
    });
  }
  if (value % scale !== 0n) {
    return new Mismatch(operand.span, `immediate ${value} is not a multiple of ${scale}`, {
      help: `the nearest are ${value - (((value % scale) + scale) % scale)} and ${value - (((value % scale) + scale) % scale) + scale}`,
      weight: 1,
    });
  }
  return Number(BigInt.asUintN(rule.bits, value / scale));
}

/** An immediate in one field: `bits` wide, optionally signed, times `scale`. */
export function imm(
  field: string,
  bits: number,
  options: { readonly signed?: boolean; readonly scale?: number; readonly style?: 'hex' | 'decimal' } = {},
): OperandKind<'imm'> {
  const { signed = false, scale = 1, style = 'hex' } = options;
  const value = (f: Fields) => {
    const raw = BigInt(f[field]!);
    return (signed ? BigInt.asIntN(bits, raw) : raw) * BigInt(scale);
  };
  return {
    shape: 'imm',
    syntax: `#<${field}>`,
    fields: [field],
    decode: (f) => u64(value(f)),
    print: (f) => printImmediate(value(f), style),
    parse(cursor: OperandCursor) {
      const operand = cursor.take('immediate', 'an immediate');
      if (operand instanceof Mismatch) return operand;
      const encoded = encodeScaled(operand, cursor.context, { bits, signed, scale });
      return encoded instanceof Mismatch ? encoded : { [field]: encoded };
    },
  };
}

/**
 * `{#<imm>}`: an immediate that may be left out, and is left out in print, where it is
 * `absent` (DCPS1, CLREX).
 */
export function optionalImm(field: string, bits: number, absent = 0): OperandKind<'imm'> {
  const kind = imm(field, bits);
  return {
    ...kind,
    syntax: `{#<${field}>}`,
    print: (f, context) => (f[field] === absent ? '' : kind.print(f, context)),
    parse: (cursor, before) =>
      cursor.peek() === undefined ? { [field]: absent } : kind.parse(cursor, before),
  };
}
