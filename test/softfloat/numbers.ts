/** Floating-point numbers and control words worth trying: corners of the formats, and random bits. */
import type { FloatSize, Random } from '../../src/base/index.js';

const FRACTION: Readonly<Record<FloatSize, number>> = { 16: 10, 32: 23, 64: 52 };

/** Zero, the denormals' and normals' ends, one and its neighbours, infinity, NaNs of both kinds. */
export function corners(size: FloatSize): bigint[] {
  const f = BigInt(FRACTION[size]);
  const inf = ((1n << BigInt(size - 1)) - 1n) ^ ((1n << f) - 1n);
  const one = ((inf >> (f + 1n)) << f) & inf;
  return [
    0n,
    1n,
    (1n << f) - 1n,
    1n << f,
    (1n << f) + 1n,
    one - 1n,
    one,
    one + 1n,
    one | (1n << (f - 1n)),
    one + (1n << f),
    inf - 1n,
    inf,
    inf | 1n,
    inf | (1n << (f - 1n)),
    inf | (1n << (f - 1n)) | 5n,
  ];
}

/** A number of `size` bits: a corner, a small integer with a few fraction bits, near `other`, or any bits. */
export function someNumber(random: Random, size: FloatSize, other?: bigint): bigint {
  const f = BigInt(FRACTION[size]);
  const sign = random.below(2) === 0 ? 0n : 1n << BigInt(size - 1);
  const bits = BigInt.asUintN(size, random.u64());
  const known = corners(size);
  switch (random.below(6)) {
    case 0:
      return sign | known[random.below(known.length)]!;
    case 1: {
      // An exponent near that of one, few fraction bits: integers, halves, ties.
      const one = known[6]!;
      const exponent = one + (BigInt(random.below(2 * FRACTION[size])) - 4n) * (1n << f);
      const kept = BigInt(random.below(8));
      const top = (bits & ((1n << f) - 1n)) >> (f - kept);
      return sign | (BigInt.asUintN(size - 1, exponent > 0n ? exponent : one) | (top << (f - kept)));
    }
    case 2:
      if (other !== undefined) return BigInt.asUintN(size, other ^ BigInt(random.below(16)) ^ sign);
      return bits;
    case 3:
      // Denormals and the smallest normals.
      return sign | (bits & ((1n << (f + 2n)) - 1n));
    case 4:
      if (other !== undefined) {
        const shift = (BigInt(random.below(8)) - 4n) << f;
        return (
          sign | BigInt.asUintN(size - 1, (other & ~((1n << f) - 1n)) + shift + (bits & ((1n << f) - 1n)))
        );
      }
      return bits;
    default:
      return bits;
  }
}

/** FPCR: one of the rounding modes; FZ, DN, AHP and FZ16 each set now and then. */
export function someFpcr(random: Random): number {
  let fpcr = random.below(4) << 22;
  for (const bit of [19, 24, 25, 26]) if (random.below(4) === 0) fpcr |= 1 << bit;
  return fpcr;
}
