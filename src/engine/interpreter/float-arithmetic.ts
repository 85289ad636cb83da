/**
 * Error-free transformations: what a sum or product rounded away, and fused multiply-add without an
 * instruction for it.
 *
 * Written once over `Reals`: numbers in f64, or both lanes of an f64x2. Everything rounds to nearest.
 *
 * Sources: D. Knuth (2Sum); T. J. Dekker (product).
 */
import { type Code, f64, f64x2, select, v128 } from '../wasm/index.js';

/** Arithmetic on operands that are locals or constants; `keep` computes now and gives what reads it. */
export interface Reals {
  readonly keep: (code: Code) => Code;
  readonly add: (a: Code, b: Code) => Code;
  readonly sub: (a: Code, b: Code) => Code;
  readonly mul: (a: Code, b: Code) => Code;
  readonly constant: (value: number) => Code;
  /** `a`, or `b` where `a` is zero. */
  readonly orIfZero: (a: Code, b: Code) => Code;
}

export const scalarReals = (keep: (code: Code) => Code): Reals => ({
  keep,
  add: f64.add,
  sub: f64.sub,
  mul: f64.mul,
  constant: f64.const,
  orIfZero: (a, b) => select(a, b, f64.ne(a, f64.const(0))),
});

export const vectorReals = (keep: (code: Code) => Code): Reals => ({
  keep,
  add: f64x2.add,
  sub: f64x2.sub,
  mul: f64x2.mul,
  constant: (value) => f64x2.splat(f64.const(value)),
  orIfZero: (a, b) => v128.bitSelect(b, a, f64x2.eq(a, v128.const(0n))),
});

/** What `sum`, which is a + b rounded, lost. All are locals. */
export function sumError(r: Pick<Reals, 'keep' | 'add' | 'sub'>, a: Code, b: Code, sum: Code): Code {
  const second = r.keep(r.sub(sum, a));
  return r.add(r.sub(a, r.sub(sum, second)), r.sub(b, second));
}

export interface Rounded {
  readonly value: Code;
  /** Differs from `value` where that may not be rounded right, unless `lostMore` is zero. */
  readonly suspect: Code;
  /** What was rounded away: first, and (code that computes it) in the errors of that. */
  readonly lost: Code;
  readonly lostMore: () => Code;
}

/** `2^27 + 1`: splits 53 bits in two. */
const SPLITTER = 134217729;

function split(r: Reals, a: Code): readonly [high: Code, low: Code] {
  const scaled = r.keep(r.mul(a, r.constant(SPLITTER)));
  const high = r.keep(r.sub(scaled, r.sub(scaled, a)));
  return [high, r.keep(r.sub(a, high))];
}

/**
 * addend + a * b, rounded once. Operands are locals: |a| and |b| are zero or in 2^-440 ... 2^440, |addend| is
 * below 2^1000, so that nothing on the way is subnormal or infinite.
 *
 * The exact value is sum + (sumLost + productLost). If sumLost is zero, the value is one rounded sum of two
 * numbers. If not, nothing cancelled: both are of the order of the sum's last bit, and their own sum is off
 * by less than 2^-51 of that, `lostMore`. It matters only if that is not zero, and what `value` lost is so near
 * to half of its last bit that a little more of it makes another number: `suspect`.
 */
export function fusedMultiplyAdd(r: Reals, addend: Code, a: Code, b: Code): Rounded {
  const product = r.keep(r.mul(a, b));
  const [aHigh, aLow] = split(r, a);
  const [bHigh, bLow] = split(r, b);
  const crossed = r.add(r.add(r.sub(r.mul(aHigh, bHigh), product), r.mul(aHigh, bLow)), r.mul(aLow, bHigh));
  const productLost = r.keep(r.add(crossed, r.mul(aLow, bLow)));
  const sum = r.keep(r.add(product, addend));
  const sumLost = r.keep(sumError(r, product, addend, sum));
  const small = r.keep(r.add(sumLost, productLost));
  // Minus zero is what leaves every number as it is, minus zero too.
  const tail = r.keep(r.orIfZero(small, r.constant(-0)));
  const value = r.keep(r.add(sum, tail));
  const lost = r.keep(sumError(r, sum, tail, value));
  const suspect = r.keep(r.add(value, r.mul(lost, r.constant(1 + 2 ** -40))));
  return { value, suspect, lost, lostMore: () => sumError(r, sumLost, productLost, small) };
}
