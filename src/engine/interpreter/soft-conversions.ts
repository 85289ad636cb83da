/**
 * Soft-float of generated code: conversions between formats and to and from integers, and estimates, after
 * src/base/softfloat/{convert,estimate}.ts.
 *
 * Ref. DDI 0487, J1.3 "shared/functions/float".
 */
import { FloatException, FPCR_AHP, FPCR_DN, FPCR_FZ, FPCR_FZ16 } from '../../base/index.js';
import { type Code, f64, i32, i64, select, type Variable } from '../wasm/index.js';
import { How, MODES } from './soft-calls.js';
import { type Format, Kind, type SoftRoutine, TOP, type Unpacked } from './soft-numbers.js';

const ONE = i64.const(1n);
const ZERO = i64.const(0n);
const NO = i32.const(0);

const sizeOf = (r: SoftRoutine): Format => r.format(r.field(How.size, 2));

// ---- between formats -------------------------------------------------------------------------------

export function convert(r: SoftRoutine): void {
  const op = r.param(2).get;
  const f = sizeOf(r);
  const g = r.format(r.field(How.from, 2));
  const a = r.unpack(g, op, true);
  const hasAlternative = i32.ne(i32.and(r.fpcr, i32.const(FPCR_AHP)), NO);
  const isAlternative = r.i32(i32.and(f.isHalf.get, hasAlternative));
  const signed = (bits: Code) => i64.or(r.zero(f, a.sign.get), bits);
  r.when(r.isNaN(a), () => {
    r.when(i32.or(r.is(a, Kind.signalling), isAlternative.get), () => r.raise(FloatException.InvalidOp));
    r.when(isAlternative.get, () => r.give(signed(ZERO)));
    r.when(i32.and(r.fpcr, i32.const(FPCR_DN)), () => r.give(r.defaultNaN(f)));
    // The top of the payload, which begins below the quiet bit.
    const payload = i64.and(op, i64.sub(r.quietBit(g), ONE));
    const left = i64.shl(payload, i64.sub(i64.const(64n), g.fraction.get));
    const moved = i64.shrU(left, i64.sub(i64.const(64n), f.fraction.get));
    r.give(signed(i64.or(r.defaultNaN(f), moved)));
  });
  r.when(r.is(a, Kind.infinity), () => {
    r.when(isAlternative.get, () => {
      r.raise(FloatException.InvalidOp);
      r.give(signed(i64.const(0x7fffn)));
    });
    r.give(r.infinity(f, a.sign.get));
  });
  r.when(r.is(a, Kind.zero), () => r.give(signed(ZERO)));
  const how = i32.or(r.how, i32.const(1 << How.conversion));
  r.emit(r.rounded(a.sign.get, a.exponent.get, a.significand.get, how));
}

// ---- integers --------------------------------------------------------------------------------------

interface Whole {
  /** i64, unsigned: the magnitude, rounded. */
  readonly value: Variable;
  readonly isInexact: Variable;
}

/** A number below 2^64 in magnitude, times 2^more, rounded to an integer. `exponent`: an i32. */
function wholeOf(r: SoftRoutine, n: Unpacked, exponent: Code, mode: Code): Whole {
  const drop = r.i64(i64.extendI32S(i32.sub(i32.const(63), exponent)));
  const value = r.i64(n.significand.get);
  // What is behind the point, from bit 63 down.
  const rest = r.i64(ZERO);
  r.when(i64.gtS(drop.get, ZERO), () => {
    r.when(
      i64.ltU(drop.get, i64.const(64n)),
      () => {
        r.set(rest, i64.shl(value.get, i64.sub(i64.const(64n), drop.get)));
        r.set(value, i64.shrU(value.get, drop.get));
      },
      () => {
        r.set(rest, select(value.get, ONE, i64.eq(drop.get, i64.const(64n))));
        r.set(value, ZERO);
      },
    );
  });
  const isInexact = r.i32(i64.ne(rest.get, ZERO));
  const is = (which: number) => i32.eq(mode, i32.const(which));
  const isOdd = i32.wrap(i64.and(value.get, ONE));
  const isTie = i32.and(i64.eq(rest.get, TOP), i32.or(isOdd, is(MODES.tieAway)));
  const nearest = i32.or(i64.gtU(rest.get, TOP), isTie);
  const away = i32.or(i32.and(is(MODES.posInf), i32.eqz(n.sign.get)), i32.and(is(MODES.negInf), n.sign.get));
  const isNearest = i32.eqz(i32.and(mode, i32.const(3)));
  const isUp = select(nearest, i32.and(away, isInexact.get), isNearest);
  r.set(value, i64.add(value.get, i64.extendI32U(isUp)));
  return { value, isInexact };
}

/** Bits of an integer format: 16, 32 or 64, an i64. */
const integerBits = (r: SoftRoutine): Variable =>
  r.i64(i64.shl(i64.const(16n), i64.extendI32U(r.field(How.bits, 2))));

export function toFixed(r: SoftRoutine): void {
  const [op, fraction] = [r.param(2).get, r.param(3).get];
  const f = sizeOf(r);
  const mode = r.mode();
  const bits = integerBits(r);
  const a = r.unpack(f, op);
  r.when(r.isNaN(a), () => {
    r.raise(FloatException.InvalidOp);
    r.give(ZERO);
  });
  r.when(r.is(a, Kind.zero), () => r.give(ZERO));
  const ones = r.i64(i64.shrU(i64.const(-1n), i64.sub(i64.const(64n), bits.get)));
  const highest = i64.shl(ONE, i64.sub(bits.get, ONE));
  /** The largest magnitude of the sign. */
  const signed = i64.sub(i64.add(highest, i64.extendI32U(a.sign.get)), ONE);
  const unsigned = select(ZERO, ones.get, a.sign.get);
  const most = r.i64(select(unsigned, signed, r.flag));
  const negated = (value: Code) => i64.and(select(i64.sub(ZERO, value), value, a.sign.get), ones.get);
  const exponent = r.i32(i32.add(a.exponent.get, i32.wrap(fraction)));
  const saturate = () => {
    r.raise(FloatException.InvalidOp);
    r.give(negated(most.get));
  };
  const isFar = i32.or(r.is(a, Kind.infinity), i32.gtS(exponent.get, i32.const(63)));
  r.when(isFar, saturate);
  const { value, isInexact } = wholeOf(r, a, exponent.get, mode.get);
  r.when(i64.gtU(value.get, most.get), saturate);
  r.when(isInexact.get, () => r.raise(FloatException.Inexact));
  r.emit(negated(value.get));
}

export function toFixedJS(r: SoftRoutine): void {
  const op = r.param(2).get;
  const f = sizeOf(r);
  const a = r.unpack(f, op);
  r.when(i32.geU(a.kind.get, i32.const(Kind.infinity)), () => {
    r.raise(FloatException.InvalidOp);
    r.give(ZERO);
  });
  r.when(r.is(a, Kind.zero), () => r.give(ZERO));
  const value = r.i64(ZERO);
  const isFar = r.i32(i32.gtS(a.exponent.get, i32.const(63)));
  const isInexact = r.i32(NO);
  r.when(
    isFar.get,
    () => {
      const up = i64.extendI32S(i32.sub(a.exponent.get, i32.const(63)));
      r.set(value, select(i64.shl(a.significand.get, up), ZERO, i64.ltU(up, i64.const(64n))));
    },
    () => {
      const whole = wholeOf(r, a, a.exponent.get, i32.const(MODES.zero));
      r.set(value, whole.value.get);
      r.set(isInexact, whole.isInexact.get);
    },
  );
  const most = i64.add(i64.const(0x7fff_ffffn), i64.extendI32U(a.sign.get));
  r.when(
    i32.or(isFar.get, i64.gtU(value.get, most)),
    () => r.raise(FloatException.InvalidOp),
    () => r.when(isInexact.get, () => r.raise(FloatException.Inexact)),
  );
  const negated = select(i64.sub(ZERO, value.get), value.get, a.sign.get);
  r.emit(i64.and(negated, i64.const(0xffff_ffffn)));
}

export function fromFixed(r: SoftRoutine): void {
  const [op, fraction] = [r.param(2).get, r.param(3).get];
  r.when(i64.eqz(op), () => r.give(ZERO));
  const sign = r.i32(i32.and(i64.ltS(op, ZERO), i32.eqz(r.flag)));
  const magnitude = r.i64(select(i64.sub(ZERO, op), op, sign.get));
  r.emit(integer(r, sign.get, magnitude, i32.wrap(fraction), r.how));
}

/** A positive integer times 2^-fraction, rounded. */
function integer(r: SoftRoutine, sign: Code, magnitude: Variable, fraction: Code, how: Code): Code {
  const zeros = i64.clz(magnitude.get);
  const exponent = i32.sub(i32.sub(i32.const(63), i32.wrap(zeros)), fraction);
  return r.rounded(sign, exponent, i64.shl(magnitude.get, zeros), how);
}

/** An integer of which the format has all bits; zero keeps the sign. */
function giveIntegral(r: SoftRoutine, f: Format, a: Unpacked, { value }: Whole): void {
  r.when(i64.eqz(value.get), () => r.give(r.zero(f, a.sign.get)));
  const how = i32.or(i32.and(r.how, i32.const(~(7 << How.rounding))), i32.const(MODES.zero << How.rounding));
  r.give(integer(r, a.sign.get, value, NO, how));
}

export function integral(r: SoftRoutine): void {
  const op = r.param(2).get;
  const f = sizeOf(r);
  const mode = r.mode();
  const a = r.unpack(f, op);
  r.giveNaNs([[a, op]]);
  r.when(r.is(a, Kind.infinity), () => r.give(op));
  r.when(r.is(a, Kind.zero), () => r.give(r.zero(f, a.sign.get)));
  // Integral already.
  const isIntegral = i32.gtS(a.exponent.get, i32.sub(i32.wrap(f.fraction.get), i32.const(1)));
  r.when(isIntegral, () => r.give(op));
  const whole = wholeOf(r, a, a.exponent.get, mode.get);
  r.when(i32.and(r.flag, whole.isInexact.get), () => r.raise(FloatException.Inexact));
  giveIntegral(r, f, a, whole);
  r.emit(ZERO);
}

export function integralN(r: SoftRoutine): void {
  const op = r.param(2).get;
  const f = sizeOf(r);
  const mode = r.mode();
  const bits = integerBits(r);
  const a = r.unpack(f, op);
  r.when(r.is(a, Kind.zero), () => r.give(r.zero(f, a.sign.get)));
  const isNear = i32.ltS(a.exponent.get, i32.const(64));
  r.when(i32.and(r.is(a, Kind.number), isNear), () => {
    const whole = wholeOf(r, a, a.exponent.get, mode.get);
    const most = i64.sub(i64.shl(ONE, i64.sub(bits.get, ONE)), i64.extendI32U(i32.eqz(a.sign.get)));
    r.when(i32.eqz(i64.gtU(whole.value.get, most)), () => {
      r.when(whole.isInexact.get, () => r.raise(FloatException.Inexact));
      giveIntegral(r, f, a, whole);
    });
  });
  r.raise(FloatException.InvalidOp);
  // -2^(bits - 1)
  const exponent = i64.sub(i64.add(i64.extendI32U(r.bias(f)), bits.get), ONE);
  r.emit(i64.or(r.zero(f, i32.const(1)), i64.shl(exponent, f.fraction.get)));
}

// ---- estimates -------------------------------------------------------------------------------------

/** RecipEstimate of an i32, an i32. */
const recipEstimateOf = (a: Code): Code => {
  const b = i32.divU(i32.const(1 << 19), i32.add(i32.shl(a, i32.const(1)), i32.const(1)));
  return i32.shrU(i32.add(b, i32.const(1)), i32.const(1));
};

/**
 * RecipSqrtEstimate: the largest b with scaled * b^2 below 2^28, plus one, halved. No b gives 2^28 itself, and
 * a neighbour is far enough that the rounded root is the right one once it is cut.
 */
const rsqrtEstimateOf = (a: Code): Code => {
  const isLow = i32.ltU(a, i32.const(256));
  const scaled = select(
    i32.add(i32.shl(a, i32.const(1)), i32.const(1)),
    i32.shl(i32.or(a, i32.const(1)), i32.const(1)),
    isLow,
  );
  const root = f64.sqrt(f64.div(f64.const(2 ** 28), f64.convertI32U(scaled)));
  const b = i32.wrap(f64.truncI64U(root));
  return i32.shrU(i32.add(b, i32.const(1)), i32.const(1));
};

const flushBit = (f: Format): Code => select(i32.const(FPCR_FZ16), i32.const(FPCR_FZ), f.isHalf.get);

export function recipEstimate(r: SoftRoutine): void {
  const op = r.param(2).get;
  const f = sizeOf(r);
  const mode = r.mode();
  const a = r.unpack(f, op);
  r.giveNaNs([[a, op]]);
  const sign = a.sign.get;
  r.when(r.is(a, Kind.infinity), () => r.give(r.zero(f, sign)));
  r.when(r.is(a, Kind.zero), () => {
    r.raise(FloatException.DivideByZero);
    r.give(r.infinity(f, sign));
  });
  const bias = r.i32(r.bias(f));
  // Below 2^-(bias + 1) the reciprocal overflows.
  r.when(i32.ltS(a.exponent.get, i32.sub(i32.const(-1), bias.get)), () => {
    r.raise(FloatException.Overflow | FloatException.Inexact);
    const is = (which: number) => i32.eq(mode.get, i32.const(which));
    const isAway = select(is(MODES.negInf), is(MODES.posInf), sign);
    const isInfinite = i32.or(is(MODES.tieEven), isAway);
    r.give(i64.sub(r.infinity(f, sign), i64.extendI32U(i32.eqz(isInfinite))));
  });
  const isHuge = i32.gtS(a.exponent.get, i32.sub(bias.get, i32.const(2)));
  r.when(i32.and(isHuge, i32.ne(i32.and(r.fpcr, flushBit(f)), NO)), () => {
    r.raise(FloatException.Underflow);
    r.give(r.zero(f, sign));
  });
  const estimate = i64.extendI32U(recipEstimateOf(i32.wrap(i64.shrU(a.significand.get, i64.const(55n)))));
  const fraction = r.i64(i64.shl(i64.and(estimate, i64.const(255n)), i64.sub(f.fraction.get, i64.const(8n))));
  const exponent = r.i32(i32.sub(i32.sub(bias.get, i32.const(1)), a.exponent.get));
  // Of a subnormal estimate the leading bit is there, and the fraction moved.
  r.when(i32.eqz(exponent.get), () => {
    r.set(fraction, i64.or(r.quietBit(f), i64.shrU(fraction.get, ONE)));
  });
  r.when(i32.eq(exponent.get, i32.const(-1)), () => {
    r.set(fraction, i64.or(i64.shrU(r.quietBit(f), ONE), i64.shrU(fraction.get, i64.const(2n))));
    r.set(exponent, NO);
  });
  const field = i64.shl(i64.extendI32U(exponent.get), f.fraction.get);
  r.emit(i64.or(r.zero(f, sign), i64.or(field, fraction.get)));
}

export function rsqrtEstimate(r: SoftRoutine): void {
  const op = r.param(2).get;
  const f = sizeOf(r);
  const a = r.unpack(f, op);
  r.giveNaNs([[a, op]]);
  r.when(r.is(a, Kind.zero), () => {
    r.raise(FloatException.DivideByZero);
    r.give(r.infinity(f, a.sign.get));
  });
  r.when(a.sign.get, () => r.giveInvalid(f));
  r.when(r.is(a, Kind.infinity), () => r.give(ZERO));
  // The exponent field as if it had no end below.
  const field = r.i32(i32.add(a.exponent.get, r.bias(f)));
  const isOdd = i32.and(field.get, i32.const(1));
  const scaled = i32.shrU(i32.wrap(i64.shrU(a.significand.get, i64.const(55n))), isOdd);
  const estimate = i64.extendI32U(rsqrtEstimateOf(scaled));
  const tripled = i32.mul(r.bias(f), i32.const(3));
  const exponent = i32.shrS(i32.sub(i32.sub(tripled, i32.const(1)), field.get), i32.const(1));
  const fraction = i64.shl(i64.and(estimate, i64.const(255n)), i64.sub(f.fraction.get, i64.const(8n)));
  r.emit(i64.or(i64.shl(i64.extendI32U(exponent), f.fraction.get), fraction));
}

export function recpX(r: SoftRoutine): void {
  const op = r.param(2).get;
  const f = sizeOf(r);
  const a = r.unpack(f, op);
  r.giveNaNs([[a, op]]);
  const field = r.i32(i32.and(i32.wrap(i64.shrU(op, f.fraction.get)), f.ones.get));
  const result = i32.sub(f.ones.get, select(field.get, i32.const(1), field.get));
  r.emit(i64.or(r.zero(f, a.sign.get), i64.shl(i64.extendI32U(result), f.fraction.get)));
}

export function unsignedEstimate(r: SoftRoutine): void {
  const op = r.i32(i32.wrap(r.param(2).get));
  const scaled = r.i32(i32.shrU(op.get, i32.const(23)));
  const least = select(i32.const(0x4000_0000), i32.const(0x8000_0000 | 0), r.flag);
  r.when(i32.ltU(op.get, least), () => r.give(i64.const(0xffff_ffffn)));
  const estimate = r.i32(NO);
  r.when(
    r.flag,
    () => r.set(estimate, rsqrtEstimateOf(scaled.get)),
    () => r.set(estimate, recipEstimateOf(scaled.get)),
  );
  r.emit(i64.extendI32U(i32.shl(estimate.get, i32.const(23))));
}
