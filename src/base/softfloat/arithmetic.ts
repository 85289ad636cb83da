/**
 * Arithmetic and comparison: FPAdd to FPMulAdd, FPSqrt, FPMax and FPMin, FPCompare.
 *
 * Ref. DDI 0487, J1.3 "shared/functions/float"; the functions bear the pseudocode's names.
 */

import { fpConvertNaN } from './convert.js';
import {
  bitLength,
  type FloatEnvironment,
  FloatException,
  type FloatSize,
  formatOf,
  fpInfinity,
  fpInvalid,
  fpNeg,
  fpOnePointFive,
  fpProcessNaN,
  fpProcessNaNs,
  fpRound,
  fpRoundSum,
  fpTwo,
  fpUnpack,
  fpZero,
  isNaNType,
  type Unpacked,
} from './format.js';
import { nativeResult } from './native.js';

const signed = ({ sign, mantissa }: Unpacked) => (sign === 1 ? -mantissa : mantissa);

/** x * 2^ex + y * 2^ey, exactly, as an integer and its scale. */
function exactSum(x: bigint, ex: number, y: bigint, ey: number): readonly [bigint, number] {
  if (x === 0n) return [y, ey];
  if (y === 0n) return [x, ex];
  return ex >= ey ? [(x << BigInt(ex - ey)) + y, ey] : [x + (y << BigInt(ey - ex)), ex];
}

export function fpAdd(size: FloatSize, op1: bigint, op2: bigint, env: FloatEnvironment): bigint {
  const native = nativeResult('add', size, op1, op2, env);
  if (native !== undefined) return native;
  const a = fpUnpack(size, op1, env);
  const b = fpUnpack(size, op2, env);
  return addUnpacked(size, a, b, op1, op2, b.sign, env);
}

export function fpSub(size: FloatSize, op1: bigint, op2: bigint, env: FloatEnvironment): bigint {
  const native = nativeResult('sub', size, op1, op2, env);
  if (native !== undefined) return native;
  const a = fpUnpack(size, op1, env);
  const b = fpUnpack(size, op2, env);
  return addUnpacked(size, a, b, op1, op2, b.sign === 1 ? 0 : 1, env);
}

/** `sign2`: of the second term, after FPSub has turned it. */
function addUnpacked(
  size: FloatSize,
  a: Unpacked,
  b: Unpacked,
  op1: bigint,
  op2: bigint,
  sign2: 0 | 1,
  env: FloatEnvironment,
): bigint {
  const nan = fpProcessNaNs(size, [a, b], [op1, op2], env);
  if (nan !== undefined) return nan;
  if (a.type === 'infinity') {
    if (b.type === 'infinity' && a.sign !== sign2) return fpInvalid(size, env);
    return fpInfinity(size, a.sign);
  }
  if (b.type === 'infinity') return fpInfinity(size, sign2);
  if (a.type === 'zero' && b.type === 'zero' && a.sign === sign2) return fpZero(size, a.sign);
  const second = sign2 === 1 ? -b.mantissa : b.mantissa;
  const [sum, scale] = exactSum(signed(a), a.exponent, second, b.exponent);
  return fpRoundSum(size, sum, scale, env);
}

export function fpMul(size: FloatSize, op1: bigint, op2: bigint, env: FloatEnvironment): bigint {
  const native = nativeResult('mul', size, op1, op2, env);
  if (native !== undefined) return native;
  return multiply(size, op1, op2, env, false);
}

/** FPMulX: infinity times zero is 2. */
export function fpMulX(size: FloatSize, op1: bigint, op2: bigint, env: FloatEnvironment): bigint {
  return multiply(size, op1, op2, env, true);
}

function multiply(
  size: FloatSize,
  op1: bigint,
  op2: bigint,
  env: FloatEnvironment,
  extended: boolean,
): bigint {
  const a = fpUnpack(size, op1, env);
  const b = fpUnpack(size, op2, env);
  const nan = fpProcessNaNs(size, [a, b], [op1, op2], env);
  if (nan !== undefined) return nan;
  const sign = a.sign === b.sign ? 0 : 1;
  if (isInfinityTimesZero(a, b)) return extended ? fpTwo(size, sign) : fpInvalid(size, env);
  if (a.type === 'infinity' || b.type === 'infinity') return fpInfinity(size, sign);
  if (a.type === 'zero' || b.type === 'zero') return fpZero(size, sign);
  return fpRound(size, sign, a.mantissa * b.mantissa, a.exponent + b.exponent, env);
}

const isInfinityTimesZero = (a: Unpacked, b: Unpacked) =>
  (a.type === 'infinity' && b.type === 'zero') || (a.type === 'zero' && b.type === 'infinity');

export function fpDiv(size: FloatSize, op1: bigint, op2: bigint, env: FloatEnvironment): bigint {
  const native = nativeResult('div', size, op1, op2, env);
  if (native !== undefined) return native;
  const a = fpUnpack(size, op1, env);
  const b = fpUnpack(size, op2, env);
  const nan = fpProcessNaNs(size, [a, b], [op1, op2], env);
  if (nan !== undefined) return nan;
  const sign = a.sign === b.sign ? 0 : 1;
  if ((a.type === 'infinity' && b.type === 'infinity') || (a.type === 'zero' && b.type === 'zero')) {
    return fpInvalid(size, env);
  }
  if (a.type === 'infinity' || b.type === 'zero') {
    if (a.type !== 'infinity') env.fpsr |= FloatException.DivideByZero;
    return fpInfinity(size, sign);
  }
  if (a.type === 'zero' || b.type === 'infinity') return fpZero(size, sign);
  // At least fraction + 3 bits of quotient, the last of them sticky.
  const { fractionBits } = formatOf(size);
  const shift = Math.max(0, bitLength(b.mantissa) - bitLength(a.mantissa) + fractionBits + 4);
  const dividend = a.mantissa << BigInt(shift);
  const quotient = dividend / b.mantissa;
  const sticky = quotient * b.mantissa === dividend ? 0n : 1n;
  return fpRound(size, sign, (quotient << 1n) | sticky, a.exponent - b.exponent - shift - 1, env);
}

/** FPMulAdd: addend + op1 * op2, rounded once. */
export function fpMulAdd(
  size: FloatSize,
  addend: bigint,
  op1: bigint,
  op2: bigint,
  env: FloatEnvironment,
): bigint {
  const c = fpUnpack(size, addend, env);
  const a = fpUnpack(size, op1, env);
  const b = fpUnpack(size, op2, env);
  const nan = fpProcessNaNs(size, [c, a, b], [addend, op1, op2], env);
  return finishMulAdd(size, c, a, b, nan, env);
}

/** FPMulAddH: a binary32 plus the product of two binary16 numbers. */
export function fpMulAddH(addend: bigint, op1: bigint, op2: bigint, env: FloatEnvironment): bigint {
  const c = fpUnpack(32, addend, env);
  const a = fpUnpack(16, op1, env);
  const b = fpUnpack(16, op2, env);
  return finishMulAdd(32, c, a, b, processNaNs3H(c, a, b, addend, op1, op2, env), env);
}

/** FPProcessNaNs3H. */
function processNaNs3H(
  c: Unpacked,
  a: Unpacked,
  b: Unpacked,
  addend: bigint,
  op1: bigint,
  op2: bigint,
  env: FloatEnvironment,
): bigint | undefined {
  for (const wanted of ['signalling', 'quiet'] as const) {
    if (c.type === wanted) return fpProcessNaN(32, wanted, addend, env);
    if (a.type === wanted) return fpConvertNaN(32, 16, fpProcessNaN(16, wanted, op1, env));
    if (b.type === wanted) return fpConvertNaN(32, 16, fpProcessNaN(16, wanted, op2, env));
  }
  return undefined;
}

function finishMulAdd(
  size: FloatSize,
  c: Unpacked,
  a: Unpacked,
  b: Unpacked,
  nan: bigint | undefined,
  env: FloatEnvironment,
): bigint {
  const invalidProduct = isInfinityTimesZero(a, b);
  // A quiet NaN as the addend does not hide an invalid product.
  if (c.type === 'quiet' && invalidProduct) return fpInvalid(size, env);
  if (nan !== undefined) return nan;
  const sign = a.sign === b.sign ? 0 : 1;
  const infiniteProduct = a.type === 'infinity' || b.type === 'infinity';
  if (invalidProduct || (c.type === 'infinity' && infiniteProduct && c.sign !== sign)) {
    return fpInvalid(size, env);
  }
  if (c.type === 'infinity') return fpInfinity(size, c.sign);
  if (infiniteProduct) return fpInfinity(size, sign);
  const zeroProduct = a.type === 'zero' || b.type === 'zero';
  if (c.type === 'zero' && zeroProduct && c.sign === sign) return fpZero(size, c.sign);
  const product = zeroProduct ? 0n : signed(a) * signed(b);
  const [sum, scale] = exactSum(signed(c), c.exponent, product, a.exponent + b.exponent);
  return fpRoundSum(size, sum, scale, env);
}

/** The integer square root, rounded down. */
function squareRoot(value: bigint): bigint {
  if (value < 2n) return value;
  let x = 1n << BigInt((bitLength(value) + 1) >> 1);
  for (;;) {
    const next = (x + value / x) >> 1n;
    if (next >= x) return x;
    x = next;
  }
}

export function fpSqrt(size: FloatSize, op: bigint, env: FloatEnvironment): bigint {
  const a = fpUnpack(size, op, env);
  if (isNaNType(a.type)) return fpProcessNaN(size, a.type, op, env);
  if (a.type === 'zero') return fpZero(size, a.sign);
  if (a.sign === 1) return fpInvalid(size, env);
  if (a.type === 'infinity') return fpInfinity(size, 0);
  // An even exponent, and at least fraction + 3 bits of root, the last of them sticky.
  let shift = Math.max(0, 2 * (formatOf(size).fractionBits + 4) - bitLength(a.mantissa));
  if (((a.exponent - shift) & 1) !== 0) shift++;
  const radicand = a.mantissa << BigInt(shift);
  const root = squareRoot(radicand);
  const sticky = root * root === radicand ? 0n : 1n;
  return fpRound(size, 0, (root << 1n) | sticky, (a.exponent - shift) / 2 - 1, env);
}

// ---- steps of Newton's iterations --------------------------------------------------------------------

/** FPRecipStepFused: 2 - op1 * op2. */
export function fpRecipStepFused(size: FloatSize, op1: bigint, op2: bigint, env: FloatEnvironment): bigint {
  return fusedStep(size, op1, op2, env, 2n, 0);
}

/** FPRSqrtStepFused: (3 - op1 * op2) / 2. */
export function fpRSqrtStepFused(size: FloatSize, op1: bigint, op2: bigint, env: FloatEnvironment): bigint {
  return fusedStep(size, op1, op2, env, 3n, 1);
}

function fusedStep(
  size: FloatSize,
  op1: bigint,
  op2: bigint,
  env: FloatEnvironment,
  constant: bigint,
  halvings: 0 | 1,
): bigint {
  const negated = fpNeg(size, op1);
  const a = fpUnpack(size, negated, env);
  const b = fpUnpack(size, op2, env);
  const nan = fpProcessNaNs(size, [a, b], [negated, op2], env);
  if (nan !== undefined) return nan;
  if (isInfinityTimesZero(a, b)) return halvings === 0 ? fpTwo(size, 0) : fpOnePointFive(size, 0);
  if (a.type === 'infinity' || b.type === 'infinity') return fpInfinity(size, a.sign === b.sign ? 0 : 1);
  const isZero = a.type === 'zero' || b.type === 'zero';
  const product = isZero ? 0n : signed(a) * signed(b);
  const [sum, scale] = exactSum(constant, 0, product, a.exponent + b.exponent);
  return fpRoundSum(size, sum, scale - halvings, env);
}

// ---- order -------------------------------------------------------------------------------------------

/** -1, 0 or 1 as a is less than, equal to, or greater than b; neither is a NaN. */
function compareValues(a: Unpacked, b: Unpacked): number {
  const rank = ({ type, sign }: Unpacked) =>
    type === 'zero' ? 0 : (sign === 1 ? -1 : 1) * (type === 'infinity' ? 2 : 1);
  const ranks = rank(a) - rank(b);
  if (ranks !== 0 || a.type !== 'number') return Math.sign(ranks);
  const [difference] = exactSum(signed(a), a.exponent, -signed(b), b.exponent);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

export function fpMax(size: FloatSize, op1: bigint, op2: bigint, env: FloatEnvironment): bigint {
  return extreme(size, op1, op2, env, 1);
}

export function fpMin(size: FloatSize, op1: bigint, op2: bigint, env: FloatEnvironment): bigint {
  return extreme(size, op1, op2, env, -1);
}

function extreme(
  size: FloatSize,
  op1: bigint,
  op2: bigint,
  env: FloatEnvironment,
  direction: 1 | -1,
): bigint {
  const a = fpUnpack(size, op1, env);
  const b = fpUnpack(size, op2, env);
  const nan = fpProcessNaNs(size, [a, b], [op1, op2], env);
  if (nan !== undefined) return nan;
  const first = compareValues(a, b) === direction;
  const chosen = first ? a : b;
  if (chosen.type === 'zero') {
    // Of two zeros: plus is the larger.
    const sign = direction === 1 ? a.sign & b.sign : a.sign | b.sign;
    return fpZero(size, a.type === 'zero' && b.type === 'zero' ? sign : chosen.sign);
  }
  return first ? op1 : op2;
}

/** FPMaxNum: a quiet NaN gives way to a number. */
export function fpMaxNum(size: FloatSize, op1: bigint, op2: bigint, env: FloatEnvironment): bigint {
  return extremeNumber(size, op1, op2, env, 1);
}

export function fpMinNum(size: FloatSize, op1: bigint, op2: bigint, env: FloatEnvironment): bigint {
  return extremeNumber(size, op1, op2, env, -1);
}

function extremeNumber(
  size: FloatSize,
  op1: bigint,
  op2: bigint,
  env: FloatEnvironment,
  direction: 1 | -1,
): bigint {
  const quiet1 = fpUnpack(size, op1, env).type === 'quiet';
  const quiet2 = fpUnpack(size, op2, env).type === 'quiet';
  const never = fpInfinity(size, direction === 1 ? 1 : 0);
  const first = quiet1 && !quiet2 ? never : op1;
  const second = quiet2 && !quiet1 ? never : op2;
  return extreme(size, first, second, env, direction);
}

/** FPCompare: NZCV as a nibble, N in bit 3. */
export function fpCompare(
  size: FloatSize,
  op1: bigint,
  op2: bigint,
  signalNaNs: boolean,
  env: FloatEnvironment,
): number {
  const a = fpUnpack(size, op1, env);
  const b = fpUnpack(size, op2, env);
  if (isNaNType(a.type) || isNaNType(b.type)) {
    if (signalNaNs || a.type === 'signalling' || b.type === 'signalling') {
      env.fpsr |= FloatException.InvalidOp;
    }
    return 0b0011;
  }
  const order = compareValues(a, b);
  return order === 0 ? 0b0110 : order < 0 ? 0b1000 : 0b0010;
}

export function fpCompareEQ(size: FloatSize, op1: bigint, op2: bigint, env: FloatEnvironment): boolean {
  return fpCompare(size, op1, op2, false, env) === 0b0110;
}

export function fpCompareGE(size: FloatSize, op1: bigint, op2: bigint, env: FloatEnvironment): boolean {
  const flags = fpCompare(size, op1, op2, true, env);
  return flags === 0b0110 || flags === 0b0010;
}

export function fpCompareGT(size: FloatSize, op1: bigint, op2: bigint, env: FloatEnvironment): boolean {
  return fpCompare(size, op1, op2, true, env) === 0b0010;
}
