/**
 * Error-free transformations: what a sum or product rounded away, and fused multiply-add without an
 * instruction for it.
 *
 * Written once over `Reals`: numbers in f64, or both lanes of an f64x2. Everything rounds to nearest.
 *
 * Sources: D. Knuth (2Sum); T. J. Dekker (product); S. Boldo and G. Melquiond, "Emulation of FMA and
 * correctly rounded sums: proved algorithms using rounding to odd", IEEE Trans. Computers 57 (2008).
 */
import { type Code, f64, f64x2, i32, i64, i64x2, v128 } from '../wasm/index.js';

/** Arithmetic on operands that are locals or constants; `keep` computes now and gives what reads it. */
export interface Reals {
  readonly keep: (code: Code) => Code;
  readonly add: (a: Code, b: Code) => Code;
  readonly sub: (a: Code, b: Code) => Code;
  readonly mul: (a: Code, b: Code) => Code;
  readonly constant: (value: number) => Code;
  /** `sum` rounded to odd, given what it rounded away. */
  readonly odd: (sum: Code, error: Code) => Code;
  /** `a`, or `b` where `a` is zero. */
  readonly orIfZero: (a: Code, b: Code) => Code;
}

/** `keepI`: the same as `keep` for an i64. */
export function scalarReals(keep: (code: Code) => Code, keepI: (code: Code) => Code): Reals {
  return {
    keep,
    add: f64.add,
    sub: f64.sub,
    mul: f64.mul,
    constant: f64.const,
    odd: (sum, error) => {
      // The neighbour on the error's side, where the sum is inexact and even.
      const bits = keepI(f64.bits(sum));
      const side = i64.or(i64.shrS(i64.xor(f64.bits(error), bits), i64.const(63n)), i64.const(1n));
      const isInexact = i64.extendI32U(f64.ne(error, f64.const(0)));
      const step = i64.and(isInexact, i64.xor(bits, i64.const(1n)));
      return f64.reinterpret(i64.add(bits, i64.mul(side, step)));
    },
    orIfZero: (a, b) => [a, b, f64.ne(a, f64.const(0)), 0x1b],
  };
}

export function vectorReals(keep: (code: Code) => Code): Reals {
  const one = i64x2.splat(i64.const(1n));
  return {
    keep,
    add: f64x2.add,
    sub: f64x2.sub,
    mul: f64x2.mul,
    constant: (value) => f64x2.splat(f64.const(value)),
    odd: (sum, error) => {
      const side = v128.or(i64x2.shrS(v128.xor(error, sum), i32.const(63)), one);
      const isInexact = f64x2.ne(error, v128.const(0n));
      const step = v128.andNot(isInexact, i64x2.neg(v128.and(sum, one)));
      return i64x2.add(sum, v128.and(side, step));
    },
    orIfZero: (a, b) => v128.bitSelect(b, a, f64x2.eq(a, v128.const(0n))),
  };
}

/** What `sum`, which is a + b rounded, lost. All are locals. */
export function sumError(r: Pick<Reals, 'keep' | 'add' | 'sub'>, a: Code, b: Code, sum: Code): Code {
  const second = r.keep(r.sub(sum, a));
  return r.add(r.sub(a, r.sub(sum, second)), r.sub(b, second));
}

interface Rounded {
  readonly value: Code;
  /** Two numbers whose sum, rounded, is the value, and what was lost before. */
  readonly high: Code;
  readonly tail: Code;
  readonly lost: Code;
}

/** `2^27 + 1`: splits 53 bits in two. */
const SPLITTER = 134217729;

function split(r: Reals, a: Code): readonly [high: Code, low: Code] {
  const scaled = r.keep(r.mul(a, r.constant(SPLITTER)));
  const high = r.keep(r.sub(scaled, r.sub(scaled, a)));
  return [high, r.keep(r.sub(a, high))];
}

/**
 * addend + a * b, rounded once. Operands are locals: |a| and |b| are zero or in 2^-440 ... 2^440, |addend| is below
 * 2^1000, so that nothing on the way is subnormal or infinite.
 */
export function fusedMultiplyAdd(r: Reals, addend: Code, a: Code, b: Code): Rounded {
  const product = r.keep(r.mul(a, b));
  const [aHigh, aLow] = split(r, a);
  const [bHigh, bLow] = split(r, b);
  const crossed = r.add(r.add(r.sub(r.mul(aHigh, bHigh), product), r.mul(aHigh, bLow)), r.mul(aLow, bHigh));
  // Minus zero is what leaves every number as it is.
  const minusZero = r.constant(-0);
  const exactRest = r.keep(r.add(crossed, r.mul(aLow, bLow)));
  const rest = r.keep(r.orIfZero(exactRest, minusZero));
  const low = r.keep(r.add(addend, rest));
  const lowRest = r.keep(sumError(r, addend, rest, low));
  const high = r.keep(r.add(product, low));
  const highRest = r.keep(sumError(r, product, low, high));
  const sum = r.keep(r.add(lowRest, highRest));
  const lost = r.keep(sumError(r, lowRest, highRest, sum));
  const odd = r.keep(r.odd(sum, lost));
  const tail = r.keep(r.orIfZero(odd, minusZero));
  return { value: r.keep(r.add(high, tail)), high, tail, lost };
}
