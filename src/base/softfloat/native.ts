/**
 * The host's own arithmetic, where it is provably what the exact functions give.
 *
 * ECMAScript's numbers are binary64 and its operations round to nearest, ties to even. So do ours, and the
 * result and FPSR are the same, if
 *
 * - FPCR.RMode says so, and FPSR.IXC is set already: whether the result is inexact does not matter then;
 * - operands are normal or zero: no NaN, no infinity, nothing to flush;
 * - the result is normal and not the smallest normal number: no overflow, no underflow (which is judged
 *   before rounding), nothing to flush. A sum may be zero too, since it is exact then.
 *
 * In binary32 an operation is done in binary64 and rounded again. That is the correctly rounded result of
 * +, -, * and /, because 53 >= 2 * 24 + 2 (S. Figueroa, "When is double rounding
 * innocuous?", 1995).
 *
 * Not the square root: ECMAScript lets Math.sqrt be approximate.
 */
import { type FloatEnvironment, FloatException, type FloatSize, FPCR_RMODE_SHIFT } from './format.js';

export type NativeOperation = 'add' | 'sub' | 'mul' | 'div';

const bits64 = new BigUint64Array(2);
const halves = new Uint32Array(bits64.buffer);
const doubles = new Float64Array(bits64.buffer);
const bits32 = new Uint32Array(2);
const singles = new Float32Array(bits32.buffer);

/** Normal, by the exponent field, or zero. */
const isPlain64 = (high: number, low: number) => {
  const exponent = (high >>> 20) & 0x7ff;
  return exponent === 0 ? ((high << 1) | low) === 0 : exponent !== 0x7ff;
};
const isPlain32 = (word: number) => {
  const exponent = (word >>> 23) & 0xff;
  return exponent === 0 ? word << 1 === 0 : exponent !== 0xff;
};

function compute(operation: NativeOperation, x: number, y: number): number {
  switch (operation) {
    case 'add':
      return x + y;
    case 'sub':
      return x - y;
    case 'mul':
      return x * y;
    case 'div':
      return x / y;
  }
}

/** The result, or undefined where the conditions above do not hold. */
export function nativeResult(
  operation: NativeOperation,
  size: FloatSize,
  op1: bigint,
  op2: bigint,
  env: FloatEnvironment,
): bigint | undefined {
  if ((env.fpsr & FloatException.Inexact) === 0 || ((env.fpcr >>> FPCR_RMODE_SHIFT) & 3) !== 0) {
    return undefined;
  }
  const isSum = operation === 'add' || operation === 'sub';
  if (size === 64) {
    bits64[0] = op1;
    bits64[1] = op2;
    if (!isPlain64(halves[1]!, halves[0]!) || !isPlain64(halves[3]!, halves[2]!)) return undefined;
    const result = compute(operation, doubles[0]!, doubles[1]!);
    doubles[0] = result;
    const exponent = (halves[1]! >>> 20) & 0x7ff;
    if ((exponent >= 2 && exponent < 0x7ff) || (isSum && result === 0)) return bits64[0]!;
  } else if (size === 32) {
    bits32[0] = Number(op1);
    bits32[1] = Number(op2);
    if (!isPlain32(bits32[0]!) || !isPlain32(bits32[1]!)) return undefined;
    singles[0] = compute(operation, singles[0]!, singles[1]!);
    const word = bits32[0]!;
    const exponent = (word >>> 23) & 0xff;
    if ((exponent >= 2 && exponent < 0xff) || (isSum && word << 1 === 0)) return BigInt(word);
  }
  return undefined;
}
