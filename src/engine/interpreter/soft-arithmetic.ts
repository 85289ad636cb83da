/**
 * Soft-float of generated code: arithmetic and order, after the functions of src/base/softfloat/arithmetic.ts.
 *
 * Every routine is (CPU, how, a, b, c), see soft-calls.ts; the sum of a number and a product, which fused
 * operations end in, is one of its own.
 *
 * Ref. DDI 0487, J1.3 "shared/functions/float".
 */
import { FloatException } from '../../base/index.js';
import { type Code, call, i32, i64, select, type Variable } from '../wasm/index.js';
import { highProduct } from './idioms.js';
import { How } from './soft-calls.js';
import { type Format, Kind, type SoftRoutine, TOP, type Unpacked } from './soft-numbers.js';

const ONE = i64.const(1n);
const ZERO = i64.const(0n);
const NO = i32.const(0);

const sizeOf = (r: SoftRoutine): Format => r.format(r.field(How.size, 2));
const both = (r: SoftRoutine, a: Unpacked, b: Unpacked, kind: number): Code =>
  i32.and(r.is(a, kind), r.is(b, kind));
const either = (r: SoftRoutine, a: Unpacked, b: Unpacked, kind: number): Code =>
  i32.or(r.is(a, kind), r.is(b, kind));
const oneOfEach = (r: SoftRoutine, a: Unpacked, b: Unpacked): Code =>
  i32.and(either(r, a, b, Kind.infinity), either(r, a, b, Kind.zero));
const signOfProduct = (a: Unpacked, b: Unpacked): Code => i32.xor(a.sign.get, b.sign.get);

export function add(r: SoftRoutine): void {
  const [opA, opB] = [r.param(2).get, r.param(3).get];
  const f = sizeOf(r);
  const mode = r.mode();
  const a = r.unpack(f, opA);
  const b = r.unpack(f, opB);
  const signB = r.i32(i32.xor(b.sign.get, r.flag));
  r.giveNaNs([
    [a, opA],
    [b, opB],
  ]);
  const differ = i32.xor(a.sign.get, signB.get);
  r.when(r.is(a, Kind.infinity), () => {
    r.when(i32.and(r.is(b, Kind.infinity), differ), () => r.giveInvalid(f));
    r.give(r.infinity(f, a.sign.get));
  });
  r.when(r.is(b, Kind.infinity), () => r.give(r.infinity(f, signB.get)));
  r.when(r.is(a, Kind.zero), () => {
    r.when(r.is(b, Kind.zero), () => {
      r.when(differ, () => r.give(r.exactZero(f, mode.get)));
      r.give(r.zero(f, a.sign.get));
    });
    r.give(r.rounded(signB.get, b.exponent.get, b.significand.get));
  });
  r.when(r.is(b, Kind.zero), () => r.give(r.rounded(a.sign.get, a.exponent.get, a.significand.get)));
  // The larger one first.
  const apart = r.i32(i32.sub(a.exponent.get, b.exponent.get));
  const isTurned = r.i32(
    i32.or(
      i32.ltS(apart.get, NO),
      i32.and(i32.eqz(apart.get), i64.ltU(a.significand.get, b.significand.get)),
    ),
  );
  const larger = r.i64(select(b.significand.get, a.significand.get, isTurned.get));
  const smaller = r.i64(select(a.significand.get, b.significand.get, isTurned.get));
  const sign = select(signB.get, a.sign.get, isTurned.get);
  const exponent = select(b.exponent.get, a.exponent.get, isTurned.get);
  const distance = r.i64(i64.extendI32U(select(i32.sub(NO, apart.get), apart.get, i32.ltS(apart.get, NO))));
  r.set(larger, i64.shrU(larger.get, ONE));
  r.set(smaller, r.jammed(i64.shrU(smaller.get, ONE), distance.get));
  const sum = r.i64(select(i64.sub(larger.get, smaller.get), i64.add(larger.get, smaller.get), differ));
  r.when(i64.eqz(sum.get), () => r.give(r.exactZero(f, mode.get)));
  const zeros = r.i64(i64.clz(sum.get));
  const scale = i32.sub(i32.add(exponent, i32.const(1)), i32.wrap(zeros.get));
  r.emit(r.rounded(sign, scale, i64.shl(sum.get, zeros.get)));
}

/** The product of two significands, 128 bits. */
function product(r: SoftRoutine, a: Variable, b: Variable): { high: Variable; low: Variable } {
  const high = r.i64(highProduct(a.index, b.index, false, (code) => r.i64(code).index));
  return { high, low: r.i64(i64.mul(a.get, b.get)) };
}

export function mul(r: SoftRoutine): void {
  const [opA, opB] = [r.param(2).get, r.param(3).get];
  const f = sizeOf(r);
  const a = r.unpack(f, opA);
  const b = r.unpack(f, opB);
  r.giveNaNs([
    [a, opA],
    [b, opB],
  ]);
  const sign = r.i32(signOfProduct(a, b));
  r.when(oneOfEach(r, a, b), () => {
    r.when(r.flag, () => r.give(i64.or(r.zero(f, sign.get), two(r, f))));
    r.giveInvalid(f);
  });
  r.when(either(r, a, b, Kind.infinity), () => r.give(r.infinity(f, sign.get)));
  r.when(either(r, a, b, Kind.zero), () => r.give(r.zero(f, sign.get)));
  const { high, low } = product(r, a.significand, b.significand);
  const exponent = r.i32(i32.add(i32.add(a.exponent.get, b.exponent.get), i32.const(1)));
  r.when(i64.eqz(i64.and(high.get, TOP)), () => {
    r.set(high, i64.or(i64.shl(high.get, ONE), i64.shrU(low.get, i64.const(63n))));
    r.set(low, i64.shl(low.get, ONE));
    r.set(exponent, i32.sub(exponent.get, i32.const(1)));
  });
  const jam = i64.extendI32U(i64.ne(low.get, ZERO));
  r.emit(r.rounded(sign.get, exponent.get, i64.or(high.get, jam)));
}

/** 2.0. */
function two(r: SoftRoutine, f: Format): Code {
  return i64.shl(i64.extendI32U(i32.add(r.bias(f), i32.const(1))), f.fraction.get);
}

/** Bits of a quotient or root below the first: two more than the largest format has, at least. */
const QUOTIENT_BITS = 55n;
const DIGITS = 56;

export function div(r: SoftRoutine): void {
  const [opA, opB] = [r.param(2).get, r.param(3).get];
  const f = sizeOf(r);
  const a = r.unpack(f, opA);
  const b = r.unpack(f, opB);
  r.giveNaNs([
    [a, opA],
    [b, opB],
  ]);
  const sign = r.i32(signOfProduct(a, b));
  const isInvalid = i32.or(both(r, a, b, Kind.infinity), both(r, a, b, Kind.zero));
  r.when(isInvalid, () => r.giveInvalid(f));
  r.when(i32.or(r.is(a, Kind.infinity), r.is(b, Kind.zero)), () => {
    r.when(i32.eqz(r.is(a, Kind.infinity)), () => r.raise(FloatException.DivideByZero));
    r.give(r.infinity(f, sign.get));
  });
  r.when(i32.or(r.is(a, Kind.zero), r.is(b, Kind.infinity)), () => r.give(r.zero(f, sign.get)));
  // 53 bits each; the dividend is the divisor or more, and less than twice it.
  const divisor = r.i64(i64.shrU(b.significand.get, i64.const(11n)));
  const rest = r.i64(i64.shrU(a.significand.get, i64.const(11n)));
  const exponent = r.i32(i32.sub(a.exponent.get, b.exponent.get));
  r.when(i64.ltU(rest.get, divisor.get), () => {
    r.set(rest, i64.shl(rest.get, ONE));
    r.set(exponent, i32.sub(exponent.get, i32.const(1)));
  });
  const quotient = r.i64(ONE);
  r.set(rest, i64.sub(rest.get, divisor.get));
  for (let bits = 0n; bits < QUOTIENT_BITS; bits += 11n) {
    r.set(rest, i64.shl(rest.get, i64.const(11n)));
    const digit = r.i64(i64.divU(rest.get, divisor.get));
    r.set(rest, i64.sub(rest.get, i64.mul(digit.get, divisor.get)));
    r.set(quotient, i64.or(i64.shl(quotient.get, i64.const(11n)), digit.get));
  }
  const jam = i64.extendI32U(i64.ne(rest.get, ZERO));
  const significand = i64.or(i64.shl(quotient.get, i64.const(63n - QUOTIENT_BITS)), jam);
  r.emit(r.rounded(sign.get, exponent.get, significand));
}

export function sqrt(r: SoftRoutine): void {
  const op = r.param(2).get;
  const f = sizeOf(r);
  const a = r.unpack(f, op);
  r.giveNaNs([[a, op]]);
  r.when(r.is(a, Kind.zero), () => r.give(r.zero(f, a.sign.get)));
  r.when(a.sign.get, () => r.giveInvalid(f));
  r.when(r.is(a, Kind.infinity), () => r.give(r.infinity(f, NO)));
  // Two digits of the radicand, which is 1 or more and below 4, give one of the root.
  const isOdd = i32.and(a.exponent.get, i32.const(1));
  const radicand = r.i64(i64.shrU(a.significand.get, i64.sub(ONE, i64.extendI32U(isOdd))));
  const rest = r.i64(ZERO);
  const root = r.i64(ZERO);
  const left = r.i32(i32.const(DIGITS));
  r.repeat(() => {
    r.set(rest, i64.or(i64.shl(rest.get, i64.const(2n)), i64.shrU(radicand.get, i64.const(62n))));
    r.set(radicand, i64.shl(radicand.get, i64.const(2n)));
    const trial = r.i64(i64.or(i64.shl(root.get, i64.const(2n)), ONE));
    r.set(root, i64.shl(root.get, ONE));
    r.when(i64.geU(rest.get, trial.get), () => {
      r.set(rest, i64.sub(rest.get, trial.get));
      r.set(root, i64.or(root.get, ONE));
    });
    r.set(left, i32.sub(left.get, i32.const(1)));
  }, left.get);
  const jam = i64.extendI32U(i64.ne(rest.get, ZERO));
  const significand = i64.or(i64.shl(root.get, i64.const(63n - QUOTIENT_BITS)), jam);
  r.emit(r.rounded(NO, i32.shrS(a.exponent.get, i32.const(1)), significand));
}

// ---- sums with products ----------------------------------------------------------------------------

/** An addend and a product: significands that are 0 stand for zero. */
interface Terms {
  readonly addend: { readonly sign: Code; readonly exponent: Code; readonly significand: Code };
  readonly product: { readonly sign: Code; readonly exponent: Code; readonly a: Code; readonly b: Code };
  readonly halvings: Code;
}

/** Rounds the sum of an addend and a product, not both zero with one sign: calls `sumRoutine`. */
function summed(r: SoftRoutine, { addend, product, halvings }: Terms): Code {
  const { cpu, how, shared } = r;
  return call(
    shared.sum,
    cpu,
    how,
    addend.sign,
    addend.exponent,
    addend.significand,
    product.sign,
    product.exponent,
    product.a,
    product.b,
    halvings,
  );
}

/**
 * (CPU, how, sign, exponent and significand of the addend, sign, exponent and both significands of the
 * product, halvings): 128-bit fixed point in which a number's first bit is bit 125 of the larger exponent.
 */
export function sumRoutine(r: SoftRoutine): void {
  const [signC, exponentC, significandC] = [r.param(2), r.param(3), r.param(4)];
  const [signP, exponentP, x, y] = [r.param(5), r.param(6), r.param(7), r.param(8)];
  const halvings = r.param(9);
  const f = sizeOf(r);
  const mode = r.mode();
  const p = product(r, x, y);
  r.set(p.low, i64.or(i64.shrU(p.low.get, ONE), i64.shl(p.high.get, i64.const(63n))));
  r.set(p.high, i64.shrU(p.high.get, ONE));
  const high = r.i64(i64.shrU(significandC.get, i64.const(2n)));
  const low = r.i64(i64.shl(significandC.get, i64.const(62n)));
  // Of zeros the exponent means nothing.
  r.when(i64.eqz(significandC.get), () => r.set(exponentC, exponentP.get));
  r.when(i64.eqz(i64.or(p.high.get, p.low.get)), () => r.set(exponentP, exponentC.get));
  const apart = r.i32(i32.sub(exponentP.get, exponentC.get));
  const exponent = r.i32(select(exponentC.get, exponentP.get, i32.ltS(apart.get, NO)));
  r.when(
    i32.ltS(apart.get, NO),
    () => shiftRight(r, p.high, p.low, i64.extendI32S(i32.sub(NO, apart.get))),
    () => shiftRight(r, high, low, i64.extendI32S(apart.get)),
  );
  const sign = r.i32(signC.get);
  r.when(
    i32.eq(signC.get, signP.get),
    () => {
      r.set(low, i64.add(low.get, p.low.get));
      const carry = i64.extendI32U(i64.ltU(low.get, p.low.get));
      r.set(high, i64.add(i64.add(high.get, p.high.get), carry));
    },
    () => {
      const isLess = i32.or(
        i64.ltU(high.get, p.high.get),
        i32.and(i64.eq(high.get, p.high.get), i64.ltU(low.get, p.low.get)),
      );
      const turned = r.i32(isLess);
      const swap = (one: Variable, other: Variable) => {
        const kept = r.i64(one.get);
        r.set(one, other.get);
        r.set(other, kept.get);
      };
      r.when(turned.get, () => {
        swap(high, p.high);
        swap(low, p.low);
        r.set(sign, signP.get);
      });
      const borrow = r.i64(i64.extendI32U(i64.ltU(low.get, p.low.get)));
      r.set(low, i64.sub(low.get, p.low.get));
      r.set(high, i64.sub(i64.sub(high.get, p.high.get), borrow.get));
    },
  );
  r.when(i64.eqz(i64.or(high.get, low.get)), () => r.give(r.exactZero(f, mode.get)));
  r.set(exponent, i32.add(exponent.get, i32.const(2)));
  r.when(i64.eqz(high.get), () => {
    r.set(high, low.get);
    r.set(low, ZERO);
    r.set(exponent, i32.sub(exponent.get, i32.const(64)));
  });
  const zeros = r.i64(i64.clz(high.get));
  r.when(i64.ne(zeros.get, ZERO), () => {
    const down = i64.sub(i64.const(64n), zeros.get);
    r.set(high, i64.or(i64.shl(high.get, zeros.get), i64.shrU(low.get, down)));
    r.set(low, i64.shl(low.get, zeros.get));
  });
  const scale = i32.sub(i32.sub(exponent.get, i32.wrap(zeros.get)), halvings.get);
  const jam = i64.extendI32U(i64.ne(low.get, ZERO));
  r.emit(r.rounded(sign.get, scale, i64.or(high.get, jam)));
}

/** 128 bits shifted right, what falls off jammed into the lowest bit. `by`: an i64. */
function shiftRight(r: SoftRoutine, high: Variable, low: Variable, by: Code): void {
  const rest = r.i64(by);
  r.when(i64.geU(rest.get, i64.const(64n)), () => {
    r.set(low, i64.or(high.get, i64.extendI32U(i64.ne(low.get, ZERO))));
    r.set(high, ZERO);
    r.set(rest, i64.sub(rest.get, i64.const(64n)));
  });
  r.when(
    i64.geU(rest.get, i64.const(64n)),
    () => r.set(low, i64.extendI32U(i64.ne(low.get, ZERO))),
    () =>
      r.when(i64.ne(rest.get, ZERO), () => {
        const up = i64.sub(i64.const(64n), rest.get);
        const lost = i64.extendI32U(i64.ne(i64.shl(low.get, up), ZERO));
        const shifted = i64.or(i64.shrU(low.get, rest.get), i64.shl(high.get, up));
        r.set(low, i64.or(shifted, lost));
        r.set(high, i64.shrU(high.get, rest.get));
      }),
  );
}

/** The significand, 0 of what is zero. */
const significandOf = (r: SoftRoutine, n: Unpacked): Code =>
  select(ZERO, n.significand.get, r.is(n, Kind.zero));

const termOf = (r: SoftRoutine, n: Unpacked) => ({
  sign: n.sign.get,
  exponent: n.exponent.get,
  significand: significandOf(r, n),
});

const productOf = (r: SoftRoutine, a: Unpacked, b: Unpacked, sign: Code) => ({
  sign,
  exponent: i32.add(a.exponent.get, b.exponent.get),
  a: significandOf(r, a),
  b: significandOf(r, b),
});

export function mulAdd(r: SoftRoutine): void {
  const [opC, opA, opB] = [r.param(2).get, r.param(3).get, r.param(4).get];
  const f = sizeOf(r);
  // FPMulAddH: the factors are binary16.
  const g = r.format(select(NO, r.field(How.size, 2), r.other));
  const c = r.unpack(f, opC);
  const a = r.unpack(g, opA);
  const b = r.unpack(g, opB);
  const isInvalid = r.i32(oneOfEach(r, a, b));
  // A quiet NaN as the addend does not hide an invalid product.
  r.when(i32.and(isInvalid.get, r.is(c, Kind.quiet)), () => r.giveInvalid(f));
  for (const kind of [Kind.signalling, Kind.quiet]) {
    r.when(r.is(c, kind), () => r.give(r.processNaN(c, opC)));
    for (const [n, op] of [
      [a, opA],
      [b, opB],
    ] as const) {
      r.when(r.is(n, kind), () => {
        const widened = i64.or(
          i64.shl(i64.and(op, i64.const(0x8000n)), i64.const(16n)),
          i64.or(i64.const(0x7f80_0000n), i64.shl(i64.and(op, i64.const(0x3ffn)), i64.const(13n))),
        );
        r.give(r.processNaN(n, select(widened, op, r.other)));
      });
    }
  }
  const sign = r.i32(signOfProduct(a, b));
  const isInfinite = r.i32(either(r, a, b, Kind.infinity));
  const isOpposite = i32.and(i32.and(r.is(c, Kind.infinity), isInfinite.get), i32.xor(c.sign.get, sign.get));
  r.when(i32.or(isInvalid.get, isOpposite), () => r.giveInvalid(f));
  r.when(r.is(c, Kind.infinity), () => r.give(r.infinity(f, c.sign.get)));
  r.when(isInfinite.get, () => r.give(r.infinity(f, sign.get)));
  const isZero = i32.and(either(r, a, b, Kind.zero), r.is(c, Kind.zero));
  r.when(i32.and(isZero, i32.eq(c.sign.get, sign.get)), () => r.give(r.zero(f, sign.get)));
  r.emit(summed(r, { addend: termOf(r, c), product: productOf(r, a, b, sign.get), halvings: NO }));
}

export function step(r: SoftRoutine): void {
  const opB = r.param(3).get;
  const f = sizeOf(r);
  const opA = r.i64(i64.xor(r.param(2).get, r.zero(f, i32.const(1)))).get;
  const a = r.unpack(f, opA);
  const b = r.unpack(f, opB);
  r.giveNaNs([
    [a, opA],
    [b, opB],
  ]);
  r.when(oneOfEach(r, a, b), () => {
    const bias = i64.extendI32U(r.bias(f));
    const oneAndHalf = i64.or(i64.shl(bias, f.fraction.get), r.quietBit(f));
    r.give(select(oneAndHalf, two(r, f), r.flag));
  });
  const sign = r.i32(signOfProduct(a, b));
  r.when(either(r, a, b, Kind.infinity), () => r.give(r.infinity(f, sign.get)));
  const constant = select(i64.const(3n << 62n), TOP, r.flag);
  r.emit(
    summed(r, {
      addend: { sign: NO, exponent: i32.const(1), significand: constant },
      product: productOf(r, a, b, sign.get),
      halvings: r.flag,
    }),
  );
}

// ---- order -----------------------------------------------------------------------------------------

/** A signed 64-bit integer in the order of numbers, zeros being one. */
function orderOf(r: SoftRoutine, f: Format, n: Unpacked, op: Code): Variable {
  const magnitude = r.i64(i64.and(op, i64.sub(r.zero(f, i32.const(1)), ONE)));
  r.when(r.is(n, Kind.zero), () => r.set(magnitude, ZERO));
  return r.i64(select(i64.sub(ZERO, magnitude.get), magnitude.get, n.sign.get));
}

export function compare(r: SoftRoutine): void {
  const [opA, opB] = [r.param(2).get, r.param(3).get];
  const f = sizeOf(r);
  const a = r.unpack(f, opA);
  const b = r.unpack(f, opB);
  r.when(i32.or(r.isNaN(a), r.isNaN(b)), () => {
    const signals = i32.or(r.flag, either(r, a, b, Kind.signalling));
    r.when(signals, () => r.raise(FloatException.InvalidOp));
    r.give(i64.const(0b0011n));
  });
  const [x, y] = [orderOf(r, f, a, opA), orderOf(r, f, b, opB)];
  const unequal = select(i64.const(0b1000n), i64.const(0b0010n), i64.ltS(x.get, y.get));
  r.emit(select(i64.const(0b0110n), unequal, i64.eq(x.get, y.get)));
}

export function extreme(r: SoftRoutine): void {
  const [opA, opB] = [r.param(2), r.param(3)];
  const f = sizeOf(r);
  const a = r.unpack(f, opA.get);
  const b = r.unpack(f, opB.get);
  const never = r.infinity(f, i32.eqz(r.flag));
  const giveWay = (n: Unpacked, op: Variable, other: Unpacked) => {
    const isAlone = i32.and(r.is(n, Kind.quiet), i32.xor(r.is(other, Kind.quiet), i32.const(1)));
    return { isAlone: r.i32(i32.and(isAlone, r.other)), n, op };
  };
  const ways = [giveWay(a, opA, b), giveWay(b, opB, a)];
  for (const { isAlone, n, op } of ways) {
    r.when(isAlone.get, () => {
      r.set(op, never);
      r.set(n.kind, i32.const(Kind.infinity));
      r.set(n.sign, i32.eqz(r.flag));
    });
  }
  r.giveNaNs([
    [a, opA.get],
    [b, opB.get],
  ]);
  r.when(both(r, a, b, Kind.zero), () => {
    const sign = select(i32.or(a.sign.get, b.sign.get), i32.and(a.sign.get, b.sign.get), r.flag);
    r.give(r.zero(f, sign));
  });
  const [x, y] = [orderOf(r, f, a, opA.get), orderOf(r, f, b, opB.get)];
  const isFirst = r.i32(select(i64.ltS(x.get, y.get), i64.gtS(x.get, y.get), r.flag));
  // What was flushed is a zero now.
  for (const n of [a, b]) {
    const isIt = n === a ? isFirst.get : i32.eqz(isFirst.get);
    r.when(i32.and(isIt, r.is(n, Kind.zero)), () => r.give(r.zero(f, n.sign.get)));
  }
  r.emit(select(opA.get, opB.get, isFirst.get));
}
