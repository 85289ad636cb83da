/**
 * Estimates: FPRecipEstimate, FPRSqrtEstimate, FPRecpX, and the integer estimates.
 *
 * The eight bits of an estimate are those of a table that the architecture defines by a computation, so
 * that the computation is here and no table.
 *
 * Ref. DDI 0487, J1.3 RecipEstimate, RecipSqrtEstimate, FPRecipEstimate, FPRSqrtEstimate, FPRecpX,
 * UnsignedRecipEstimate, UnsignedRSqrtEstimate.
 */
import {
  bitLength,
  type FloatEnvironment,
  FloatException,
  type FloatSize,
  FPCR_FZ,
  FPCR_FZ16,
  formatOf,
  fpInfinity,
  fpInvalid,
  fpMaxNormal,
  fpProcessNaN,
  fpRoundingMode,
  fpUnpack,
  fpZero,
  isNaNType,
} from './format.js';

/** RecipEstimate: of 256..511 (0.5 to 1 in nine bits), 256..511 (1 to 2). */
function recipEstimate(a: number): number {
  const b = Math.floor(2 ** 19 / (2 * a + 1));
  return (b + 1) >> 1;
}

/** RecipSqrtEstimate: of 128..511 (0.25 to 1), 256..511 (1 to 2). */
function recipSqrtEstimate(a: number): number {
  const scaled = a < 256 ? 2 * a + 1 : 2 * (a | 1);
  let b = 512;
  while (scaled * (b + 1) * (b + 1) < 2 ** 28) b++;
  return (b + 1) >> 1;
}

/** The fraction of a number as 52 bits, whatever its size, and its exponent field. */
function scaledFraction(size: FloatSize, op: bigint): { fraction: bigint; exponent: number } {
  const { fraction, fractionBits, exponentOnes } = formatOf(size);
  return {
    fraction: (op & ((1n << fraction) - 1n)) << BigInt(52 - fractionBits),
    exponent: Number((op >> fraction) & BigInt(exponentOnes)),
  };
}

const MASK52 = (1n << 52n) - 1n;
const TOP = 1n << 51n;

/** FPRecipEstimate. */
export function fpRecipEstimate(size: FloatSize, op: bigint, env: FloatEnvironment): bigint {
  const a = fpUnpack(size, op, env);
  if (isNaNType(a.type)) return fpProcessNaN(size, a.type, op, env);
  if (a.type === 'infinity') return fpZero(size, a.sign);
  if (a.type === 'zero') {
    env.fpsr |= FloatException.DivideByZero;
    return fpInfinity(size, a.sign);
  }
  const { minimumExponent, fractionBits, fraction: width } = formatOf(size);
  const magnitude = bitLength(a.mantissa) - 1 + a.exponent;
  // Below 2^(minimum - 2) the reciprocal overflows.
  if (magnitude < minimumExponent - 2) {
    env.fpsr |= FloatException.Overflow | FloatException.Inexact;
    const rounding = fpRoundingMode(env);
    const infinite = rounding === 'tieEven' || rounding === (a.sign === 0 ? 'posInf' : 'negInf');
    return infinite ? fpInfinity(size, a.sign) : fpMaxNormal(size, a.sign);
  }
  const flush = (env.fpcr & (size === 16 ? FPCR_FZ16 : FPCR_FZ)) !== 0;
  if (flush && magnitude >= -minimumExponent) {
    env.fpsr |= FloatException.Underflow;
    return fpZero(size, a.sign);
  }
  let { fraction, exponent } = scaledFraction(size, op);
  if (exponent === 0) {
    if ((fraction & TOP) === 0n) {
      exponent = -1;
      fraction = (fraction << 2n) & MASK52;
    } else {
      fraction = (fraction << 1n) & MASK52;
    }
  }
  const estimate = recipEstimate(256 + Number(fraction >> 44n));
  // 29, 253 or 2045 less the exponent.
  let resultExponent = 1 - 2 * minimumExponent - exponent;
  let result = BigInt(estimate & 255) << 44n;
  if (resultExponent === 0) {
    result = TOP | (result >> 1n);
  } else if (resultExponent === -1) {
    result = (TOP >> 1n) | (result >> 2n);
    resultExponent = 0;
  }
  return fpZero(size, a.sign) | (BigInt(resultExponent) << width) | (result >> BigInt(52 - fractionBits));
}

/** FPRSqrtEstimate. */
export function fpRSqrtEstimate(size: FloatSize, op: bigint, env: FloatEnvironment): bigint {
  const a = fpUnpack(size, op, env);
  if (isNaNType(a.type)) return fpProcessNaN(size, a.type, op, env);
  if (a.type === 'zero') {
    env.fpsr |= FloatException.DivideByZero;
    return fpInfinity(size, a.sign);
  }
  if (a.sign === 1) return fpInvalid(size, env);
  if (a.type === 'infinity') return fpZero(size, 0);
  let { fraction, exponent } = scaledFraction(size, op);
  if (exponent === 0) {
    while ((fraction & TOP) === 0n) {
      fraction = (fraction << 1n) & MASK52;
      exponent--;
    }
    fraction = (fraction << 1n) & MASK52;
  }
  const scaled = (exponent & 1) === 0 ? 256 + Number(fraction >> 44n) : 128 + Number(fraction >> 45n);
  const { minimumExponent, fractionBits, fraction: width } = formatOf(size);
  // (44, 380 or 3068 less the exponent) / 2, rounded down.
  const resultExponent = (2 - 3 * minimumExponent - exponent) >> 1;
  const estimate = BigInt(recipSqrtEstimate(scaled) & 255);
  return (BigInt(resultExponent) << width) | (estimate << BigInt(fractionBits - 8));
}

/** FPRecpX: a power of two near the reciprocal. */
export function fpRecpX(size: FloatSize, op: bigint, env: FloatEnvironment): bigint {
  const a = fpUnpack(size, op, env);
  if (isNaNType(a.type)) return fpProcessNaN(size, a.type, op, env);
  const { exponentOnes, fraction } = formatOf(size);
  const exponent = Number((op >> fraction) & BigInt(exponentOnes));
  const result = exponent === 0 ? exponentOnes - 1 : exponentOnes - exponent;
  return fpZero(size, a.sign) | (BigInt(result) << fraction);
}

/** UnsignedRecipEstimate of a 32-bit fraction. */
export function unsignedRecipEstimate(op: number): number {
  if (op < 0x8000_0000) return 0xffff_ffff;
  return (recipEstimate(op >>> 23) << 23) >>> 0;
}

/** UnsignedRSqrtEstimate. */
export function unsignedRSqrtEstimate(op: number): number {
  if (op < 0x4000_0000) return 0xffff_ffff;
  return (recipSqrtEstimate(op >>> 23) << 23) >>> 0;
}
