/**
 * Bit-vector helpers on bigint, named as in the Arm ARM's shared pseudocode (DDI 0487, J1.3).
 *
 * Values are unsigned bigints below 2^n. These serve decoding, system registers and the evaluator;
 * nothing generated uses them.
 */

export const MASK64 = (1n << 64n) - 1n;
export const MASK32 = (1n << 32n) - 1n;

/** `x<hi:lo>` as an unsigned bigint. */
export function bits(x: bigint, hi: number, lo: number): bigint {
  return BigInt.asUintN(hi - lo + 1, x >> BigInt(lo));
}

/** `x<i>` as 0 or 1. */
export function bit(x: bigint, i: number): number {
  return Number((x >> BigInt(i)) & 1n);
}

/** `x` with `x<hi:lo>` replaced by the low bits of `value`. */
export function withBits(x: bigint, hi: number, lo: number, value: bigint): bigint {
  const width = hi - lo + 1;
  const mask = ((1n << BigInt(width)) - 1n) << BigInt(lo);
  return (x & ~mask) | (BigInt.asUintN(width, value) << BigInt(lo));
}

/** An all-ones vector of `n` bits. */
export function ones(n: number): bigint {
  return (1n << BigInt(n)) - 1n;
}

/** `x`, `from` bits wide, sign-extended to `to` bits (unsigned representation). */
export function signExtend(x: bigint, from: number, to: number): bigint {
  return BigInt.asUintN(to, BigInt.asIntN(from, x));
}

/** `x`, `size` bits wide, repeated to fill `total` bits. */
export function replicate(x: bigint, size: number, total: number): bigint {
  let out = 0n;
  for (let at = 0; at < total; at += size) out |= x << BigInt(at);
  return out;
}

/** `x`, `width` bits wide, rotated right by `amount` (taken modulo `width`). */
export function rotateRight(x: bigint, amount: number, width: number): bigint {
  const n = BigInt(amount % width);
  return BigInt.asUintN(width, (x >> n) | (x << (BigInt(width) - n)));
}
