/**
 * Conversions: between formats, to and from integers and fixed point, to integral values.
 *
 * Ref. DDI 0487, J1.3 "shared/functions/float": FPConvert, FPToFixed, FPToFixedJS, FixedToFP, FPRoundInt,
 * FPRoundIntN.
 */
import {
  type FloatEnvironment,
  FloatException,
  type FloatRounding,
  type FloatSize,
  FPCR_AHP,
  FPCR_DN,
  formatOf,
  fpDefaultNaN,
  fpInfinity,
  fpProcessNaN,
  fpRound,
  fpRoundCV,
  fpUnpack,
  fpUnpackCV,
  fpZero,
  isNaNType,
  type Unpacked,
} from './format.js';

/** FPConvertNaN: the sign and the top of the payload, made quiet. */
export function fpConvertNaN(to: FloatSize, from: FloatSize, op: bigint): bigint {
  const source = formatOf(from);
  const target = formatOf(to);
  const sign = op >> (source.size - 1n);
  // Without the quiet bit.
  const payload = op & ((1n << (source.fraction - 1n)) - 1n);
  const shift = target.fractionBits - source.fractionBits;
  const moved = shift >= 0 ? payload << BigInt(shift) : payload >> BigInt(-shift);
  return (sign << (target.size - 1n)) | fpDefaultNaN(to) | moved;
}

/** FPConvert. */
export function fpConvert(
  to: FloatSize,
  from: FloatSize,
  op: bigint,
  env: FloatEnvironment,
  rounding: FloatRounding,
): bigint {
  const a = fpUnpackCV(from, op, env);
  const alternative = to === 16 && (env.fpcr & FPCR_AHP) !== 0;
  if (isNaNType(a.type)) {
    if (a.type === 'signalling' || alternative) env.fpsr |= FloatException.InvalidOp;
    if (alternative) return fpZero(to, a.sign);
    return (env.fpcr & FPCR_DN) !== 0 ? fpDefaultNaN(to) : fpConvertNaN(to, from, op);
  }
  if (a.type === 'infinity') {
    if (!alternative) return fpInfinity(to, a.sign);
    env.fpsr |= FloatException.InvalidOp;
    return fpZero(to, a.sign) | 0x7fffn;
  }
  if (a.type === 'zero') return fpZero(to, a.sign);
  return fpRoundCV(to, a.sign, a.mantissa, a.exponent, env, rounding);
}

/** (-1)^sign * mantissa * 2^exponent as an integer, and whether it was one already. */
function toInteger(
  { sign, mantissa }: Unpacked,
  exponent: number,
  rounding: FloatRounding,
): { readonly value: bigint; readonly exact: boolean } {
  if (exponent >= 0) {
    const value = mantissa << BigInt(exponent);
    return { value: sign === 1 ? -value : value, exact: true };
  }
  const drop = BigInt(-exponent);
  let whole = mantissa >> drop;
  const rest = mantissa - (whole << drop);
  const half = 1n << (drop - 1n);
  if (rest !== 0n) {
    const up =
      rounding === 'tieEven'
        ? rest > half || (rest === half && (whole & 1n) === 1n)
        : rounding === 'tieAway'
          ? rest >= half
          : (rounding === 'posInf' && sign === 0) || (rounding === 'negInf' && sign === 1);
    if (up) whole++;
  }
  return { value: sign === 1 ? -whole : whole, exact: rest === 0n };
}

/** More than any integer format holds; larger exponents need no larger integers. */
const BEYOND = 256;

/** FPToFixed: an integer of `bits` bits, saturated, as its unsigned representation. */
export function fpToFixed(
  bits: number,
  size: FloatSize,
  op: bigint,
  fraction: number,
  unsigned: boolean,
  env: FloatEnvironment,
  rounding: FloatRounding,
): bigint {
  const a = fpUnpack(size, op, env);
  if (isNaNType(a.type)) {
    env.fpsr |= FloatException.InvalidOp;
    return 0n;
  }
  if (a.type === 'zero') return 0n;
  const low = unsigned ? 0n : -(1n << BigInt(bits - 1));
  const high = unsigned ? (1n << BigInt(bits)) - 1n : (1n << BigInt(bits - 1)) - 1n;
  const scaled = a.type === 'infinity' ? BEYOND : Math.min(a.exponent + fraction, BEYOND);
  const { value, exact } = toInteger(a.type === 'infinity' ? { ...a, mantissa: 1n } : a, scaled, rounding);
  if (value < low || value > high) {
    env.fpsr |= FloatException.InvalidOp;
    return BigInt.asUintN(bits, value < low ? low : high);
  }
  if (!exact) env.fpsr |= FloatException.Inexact;
  return BigInt.asUintN(bits, value);
}

/** FPToFixedJS of a binary64: the low 32 bits of the integer, cut towards zero. */
export function fpToFixedJS(op: bigint, env: FloatEnvironment): bigint {
  const a = fpUnpack(64, op, env);
  if (isNaNType(a.type) || a.type === 'infinity') {
    env.fpsr |= FloatException.InvalidOp;
    return 0n;
  }
  if (a.type === 'zero') return 0n;
  const { value, exact } = toInteger(a, a.exponent, 'zero');
  if (value < -0x8000_0000n || value > 0x7fff_ffffn) env.fpsr |= FloatException.InvalidOp;
  else if (!exact) env.fpsr |= FloatException.Inexact;
  return BigInt.asUintN(32, value);
}

/** FixedToFP of the low `bits` bits of `op`. */
export function fixedToFP(
  size: FloatSize,
  bits: number,
  op: bigint,
  fraction: number,
  unsigned: boolean,
  env: FloatEnvironment,
  rounding: FloatRounding,
): bigint {
  const value = unsigned ? BigInt.asUintN(bits, op) : BigInt.asIntN(bits, op);
  if (value === 0n) return 0n;
  return value < 0n
    ? fpRound(size, 1, -value, -fraction, env, rounding)
    : fpRound(size, 0, value, -fraction, env, rounding);
}

/** FPRoundInt; `exact`: an inexact result raises. */
export function fpRoundInt(
  size: FloatSize,
  op: bigint,
  env: FloatEnvironment,
  rounding: FloatRounding,
  exact: boolean,
): bigint {
  const a = fpUnpack(size, op, env);
  if (isNaNType(a.type)) return fpProcessNaN(size, a.type, op, env);
  if (a.type === 'infinity') return fpInfinity(size, a.sign);
  if (a.type === 'zero') return fpZero(size, a.sign);
  // Integral already.
  if (a.exponent >= 0) return op;
  const integer = toInteger(a, a.exponent, rounding);
  if (exact && !integer.exact) env.fpsr |= FloatException.Inexact;
  return fromInteger(size, integer.value, a.sign, env);
}

/** An integer that the format holds exactly; zero keeps the operand's sign. */
function fromInteger(size: FloatSize, value: bigint, sign: 0 | 1, env: FloatEnvironment): bigint {
  if (value === 0n) return fpZero(size, sign);
  return fpRound(size, sign, value < 0n ? -value : value, 0, env, 'zero');
}

/** FPRoundIntN: what does not fit a signed integer of `bits` bits becomes -2^(bits-1). */
export function fpRoundIntN(
  size: FloatSize,
  op: bigint,
  env: FloatEnvironment,
  rounding: FloatRounding,
  bits: 32 | 64,
): bigint {
  const a = fpUnpack(size, op, env);
  if (a.type === 'zero') return fpZero(size, a.sign);
  if (a.type === 'number') {
    const { value, exact } = toInteger(a, Math.min(a.exponent, BEYOND), rounding);
    if (BigInt.asIntN(bits, value) === value) {
      if (!exact) env.fpsr |= FloatException.Inexact;
      return fromInteger(size, value, a.sign, env);
    }
  }
  env.fpsr |= FloatException.InvalidOp;
  const { minimumExponent, fraction } = formatOf(size);
  return fpZero(size, 1) | (BigInt(bits - minimumExponent) << fraction);
}
