/**
 * IEEE 754 numbers as the Arm architecture computes with them: formats, unpacking, NaNs, rounding.
 *
 * Exact and small rather than fast: a finite number is a sign, an integer and a power of two, results are
 * formed exactly and rounded once. Names and order of cases are those of the Arm ARM's pseudocode, where
 * flushing, default NaNs and which flag is raised when are all decided by order.
 *
 * Numbers are raw bits, unsigned bigints below 2^size. What FPCR says and what FPSR gathers is in a
 * `FloatEnvironment`. Trapped exceptions are not implemented (FPCR's trap enables are RES0).
 *
 * Ref. DDI 0487, J1.3 "shared/functions/float"; A1.5 (FPCR, FPSR, NaNs).
 */

/** Size of a floating-point number in bits: binary16, binary32, binary64. */
export type FloatSize = 16 | 32 | 64;

/** FPRounding. */
export type FloatRounding = 'tieEven' | 'posInf' | 'negInf' | 'zero' | 'tieAway' | 'odd';

export interface FloatEnvironment {
  /** FPCR: AHP (26), DN (25), FZ (24), RMode (23:22), FZ16 (19). */
  fpcr: number;
  /** FPSR: cumulative bits are added, never cleared. */
  fpsr: number;
}

/** FPSR's cumulative exception bits. */
export const FloatException = {
  InvalidOp: 1 << 0,
  DivideByZero: 1 << 1,
  Overflow: 1 << 2,
  Underflow: 1 << 3,
  Inexact: 1 << 4,
  InputDenorm: 1 << 7,
} as const;

export const FPCR_FZ16 = 1 << 19;
export const FPCR_RMODE_SHIFT = 22;
export const FPCR_FZ = 1 << 24;
export const FPCR_DN = 1 << 25;
export const FPCR_AHP = 1 << 26;

const MODES: readonly FloatRounding[] = ['tieEven', 'posInf', 'negInf', 'zero'];

/** FPRoundingMode: what FPCR.RMode says. */
export function fpRoundingMode(env: FloatEnvironment): FloatRounding {
  return MODES[(env.fpcr >>> FPCR_RMODE_SHIFT) & 3]!;
}

interface Format {
  readonly size: bigint;
  readonly exponentBits: number;
  readonly fractionBits: number;
  readonly fraction: bigint;
  /** Of the smallest normal number. */
  readonly minimumExponent: number;
  /** The exponent field of infinities and NaNs. */
  readonly exponentOnes: number;
}

function format(size: FloatSize, exponentBits: number): Format {
  const fractionBits = size - 1 - exponentBits;
  return {
    size: BigInt(size),
    exponentBits,
    fractionBits,
    fraction: BigInt(fractionBits),
    minimumExponent: 2 - 2 ** (exponentBits - 1),
    exponentOnes: 2 ** exponentBits - 1,
  };
}

const HALF = format(16, 5);
const SINGLE = format(32, 8);
const DOUBLE = format(64, 11);

export function formatOf(size: FloatSize): Format {
  return size === 64 ? DOUBLE : size === 32 ? SINGLE : HALF;
}

/** FPType; finite nonzero numbers are `number`, denormal or not. */
export type FloatType = 'zero' | 'number' | 'infinity' | 'quiet' | 'signalling';

/** A number taken apart: its value is (-1)^sign * mantissa * 2^exponent where the type is `number`. */
export interface Unpacked {
  readonly type: FloatType;
  readonly sign: 0 | 1;
  readonly mantissa: bigint;
  readonly exponent: number;
}

export const isNaNType = (type: FloatType): boolean => type === 'quiet' || type === 'signalling';

// ---- numbers by name -------------------------------------------------------------------------------

const signBit = (size: FloatSize, sign: number) => (sign === 1 ? 1n << BigInt(size - 1) : 0n);

export function fpZero(size: FloatSize, sign: number): bigint {
  return signBit(size, sign);
}

export function fpInfinity(size: FloatSize, sign: number): bigint {
  const { exponentOnes, fraction } = formatOf(size);
  return signBit(size, sign) | (BigInt(exponentOnes) << fraction);
}

export function fpMaxNormal(size: FloatSize, sign: number): bigint {
  return fpInfinity(size, sign) - 1n;
}

export function fpDefaultNaN(size: FloatSize): bigint {
  const { exponentOnes, fraction } = formatOf(size);
  return BigInt(exponentOnes * 2 + 1) << (fraction - 1n);
}

/** +-2.0: FPTwo. */
export function fpTwo(size: FloatSize, sign: number): bigint {
  const { minimumExponent, fraction } = formatOf(size);
  return signBit(size, sign) | (BigInt(2 - minimumExponent) << fraction);
}

/** +-1.5: FPOnePointFive. */
export function fpOnePointFive(size: FloatSize, sign: number): bigint {
  const { minimumExponent, fraction } = formatOf(size);
  return signBit(size, sign) | (BigInt(1 - minimumExponent) << fraction) | (1n << (fraction - 1n));
}

export function fpNeg(size: FloatSize, op: bigint): bigint {
  return op ^ (1n << BigInt(size - 1));
}

// ---- FPUnpack --------------------------------------------------------------------------------------

/** FPUnpackBase: `flushHalf` and `alternativeHalf` are FZ16 and AHP as the caller wants them seen. */
function unpackBase(
  size: FloatSize,
  op: bigint,
  env: FloatEnvironment,
  flushHalf: boolean,
  alternativeHalf: boolean,
): Unpacked {
  const { size: bits, fraction, fractionBits, exponentOnes, minimumExponent } = formatOf(size);
  const sign = op >> (bits - 1n) === 0n ? 0 : 1;
  const field = Number((op >> fraction) & BigInt(exponentOnes));
  const mantissa = op & ((1n << fraction) - 1n);
  if (field === 0) {
    if (mantissa === 0n) return { type: 'zero', sign, mantissa, exponent: 0 };
    if (size === 16) {
      // A flushed binary16 raises nothing.
      if (flushHalf) return { type: 'zero', sign, mantissa: 0n, exponent: 0 };
    } else if ((env.fpcr & FPCR_FZ) !== 0) {
      env.fpsr |= FloatException.InputDenorm;
      return { type: 'zero', sign, mantissa: 0n, exponent: 0 };
    }
    return { type: 'number', sign, mantissa, exponent: minimumExponent - fractionBits };
  }
  if (field === exponentOnes && !(size === 16 && alternativeHalf)) {
    if (mantissa === 0n) return { type: 'infinity', sign, mantissa, exponent: 0 };
    const quiet = mantissa >> (fraction - 1n) === 1n;
    return { type: quiet ? 'quiet' : 'signalling', sign, mantissa, exponent: 0 };
  }
  return {
    type: 'number',
    sign,
    mantissa: mantissa | (1n << fraction),
    exponent: field - 1 + minimumExponent - fractionBits,
  };
}

/** FPUnpack: FPCR.AHP does not count. */
export function fpUnpack(size: FloatSize, op: bigint, env: FloatEnvironment): Unpacked {
  return unpackBase(size, op, env, (env.fpcr & FPCR_FZ16) !== 0, false);
}

/** FPUnpackCV, for conversions between formats: FPCR.FZ16 does not count. */
export function fpUnpackCV(size: FloatSize, op: bigint, env: FloatEnvironment): Unpacked {
  return unpackBase(size, op, env, false, (env.fpcr & FPCR_AHP) !== 0);
}

// ---- NaNs ------------------------------------------------------------------------------------------

/** FPProcessNaN. */
export function fpProcessNaN(size: FloatSize, type: FloatType, op: bigint, env: FloatEnvironment): bigint {
  if (type === 'signalling') env.fpsr |= FloatException.InvalidOp;
  if ((env.fpcr & FPCR_DN) !== 0) return fpDefaultNaN(size);
  return op | (1n << (formatOf(size).fraction - 1n));
}

/** FPProcessNaNs of two or three operands: the first signalling one, else the first quiet one; undefined without. */
export function fpProcessNaNs(
  size: FloatSize,
  types: readonly Unpacked[],
  ops: readonly bigint[],
  env: FloatEnvironment,
): bigint | undefined {
  for (const wanted of ['signalling', 'quiet'] as const) {
    for (let i = 0; i < ops.length; i++) {
      if (types[i]!.type === wanted) return fpProcessNaN(size, wanted, ops[i]!, env);
    }
  }
  return undefined;
}

/** The default NaN of an invalid operation. */
export function fpInvalid(size: FloatSize, env: FloatEnvironment): bigint {
  env.fpsr |= FloatException.InvalidOp;
  return fpDefaultNaN(size);
}

// ---- FPRound ---------------------------------------------------------------------------------------

/** Count of significant bits of a positive bigint. */
export function bitLength(value: bigint): number {
  let length = 0;
  let rest = value;
  while (rest > 0xffff_ffffn) {
    if (length === 128) {
      const digits = rest.toString(16);
      return 128 + 4 * digits.length - Math.clz32(Number.parseInt(digits[0]!, 16)) + 28;
    }
    length += 32;
    rest >>= 32n;
  }
  return length + 32 - Math.clz32(Number(rest));
}

/** FPRoundBase; `flush` is the FZ or FZ16 that applies, `alternative` AHP of a binary16. */
function roundBase(
  size: FloatSize,
  sign: 0 | 1,
  value: bigint,
  scale: number,
  env: FloatEnvironment,
  rounding: FloatRounding,
  flush: boolean,
  alternative: boolean,
): bigint {
  const { fraction, fractionBits, minimumExponent, exponentOnes } = formatOf(size);
  const exponent = bitLength(value) - 1 + scale;
  if (flush && exponent < minimumExponent) {
    env.fpsr |= FloatException.Underflow;
    return fpZero(size, sign);
  }
  let biased = Math.max(exponent - minimumExponent + 1, 0);
  // The mantissa as an integer with fractionBits bits after the point, and what is cut off.
  const drop = (biased === 0 ? minimumExponent : exponent) - fractionBits - scale;
  let mantissa: bigint;
  let rest = 0n;
  let half = 0n;
  if (drop <= 0) {
    mantissa = value << BigInt(-drop);
  } else {
    mantissa = value >> BigInt(drop);
    rest = value - (mantissa << BigInt(drop));
    half = 1n << BigInt(drop - 1);
  }
  let inexact = rest !== 0n;
  if (biased === 0 && inexact) env.fpsr |= FloatException.Underflow;
  let up = false;
  let overflowToInfinity = false;
  switch (rounding) {
    case 'tieEven':
      up = rest > half || (inexact && rest === half && (mantissa & 1n) === 1n);
      overflowToInfinity = true;
      break;
    case 'tieAway':
      up = inexact && rest >= half;
      overflowToInfinity = true;
      break;
    case 'posInf':
      up = inexact && sign === 0;
      overflowToInfinity = sign === 0;
      break;
    case 'negInf':
      up = inexact && sign === 1;
      overflowToInfinity = sign === 1;
      break;
    case 'odd':
      if (inexact) mantissa |= 1n;
      break;
    default:
  }
  if (up) {
    mantissa++;
    if (mantissa === 1n << fraction) biased = 1;
    if (mantissa === 1n << (fraction + 1n)) {
      biased++;
      mantissa >>= 1n;
    }
  }
  let result: bigint;
  if (alternative) {
    if (biased > exponentOnes) {
      // No infinities: the largest number, and no Inexact.
      env.fpsr |= FloatException.InvalidOp;
      return fpZero(size, sign) | ((1n << 15n) - 1n);
    }
    result = pack(size, sign, biased, mantissa);
  } else if (biased >= exponentOnes) {
    env.fpsr |= FloatException.Overflow;
    inexact = true;
    result = overflowToInfinity ? fpInfinity(size, sign) : fpMaxNormal(size, sign);
  } else {
    result = pack(size, sign, biased, mantissa);
  }
  if (inexact) env.fpsr |= FloatException.Inexact;
  return result;
}

function pack(size: FloatSize, sign: 0 | 1, biased: number, mantissa: bigint): bigint {
  const { fraction } = formatOf(size);
  return signBit(size, sign) | (BigInt(biased) << fraction) | (mantissa & ((1n << fraction) - 1n));
}

/**
 * FPRound of (-1)^sign * value * 2^scale, `value` positive. A `value` whose lowest bit stands for
 * everything below it (a sticky bit) rounds right if it has at least two bits more than the format.
 */
export function fpRound(
  size: FloatSize,
  sign: 0 | 1,
  value: bigint,
  scale: number,
  env: FloatEnvironment,
  rounding: FloatRounding = fpRoundingMode(env),
): bigint {
  const flush = (env.fpcr & (size === 16 ? FPCR_FZ16 : FPCR_FZ)) !== 0;
  return roundBase(size, sign, value, scale, env, rounding, flush, false);
}

/** FPRoundCV, for conversions between formats: FPCR.AHP counts, FZ16 does not. */
export function fpRoundCV(
  size: FloatSize,
  sign: 0 | 1,
  value: bigint,
  scale: number,
  env: FloatEnvironment,
  rounding: FloatRounding,
): bigint {
  const flush = size !== 16 && (env.fpcr & FPCR_FZ) !== 0;
  const alternative = size === 16 && (env.fpcr & FPCR_AHP) !== 0;
  return roundBase(size, sign, value, scale, env, rounding, flush, alternative);
}

/** A signed value rounded, or the zero that an exact zero sum gives: minus only when rounding down. */
export function fpRoundSum(size: FloatSize, sum: bigint, scale: number, env: FloatEnvironment): bigint {
  const rounding = fpRoundingMode(env);
  if (sum === 0n) return fpZero(size, rounding === 'negInf' ? 1 : 0);
  return sum < 0n
    ? fpRound(size, 1, -sum, scale, env, rounding)
    : fpRound(size, 0, sum, scale, env, rounding);
}
