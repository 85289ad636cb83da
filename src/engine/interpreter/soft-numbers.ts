/**
 * Soft-float of generated code: numbers taken apart, NaNs, and the one rounding.
 *
 * This is src/base/softfloat in 64-bit integers, for operands, rounding modes and results that the host's
 * arithmetic is not right for. A number taken apart is a sign, an exponent and a significand whose highest bit is bit 63: its
 * value is significand / 2^63 * 2^exponent. What lies below the lowest bit of an intermediate result is
 * jammed into it, which rounds right as all formats have at least eleven bits fewer.
 *
 * Ref. DDI 0487, J1.3 "shared/functions/float": FPUnpackBase, FPProcessNaN, FPRoundBase.
 */
import { FloatException, FPCR_AHP, FPCR_DN, FPCR_FZ, FPCR_FZ16, FPCR_RMODE_SHIFT } from '../../base/index.js';
import { type Code, call, i32, i64, Routine, select, type ValueType, type Variable } from '../wasm/index.js';
import { Cell, FPCR, FPSR, FpState, Special, STATE } from './layout.js';
import { How, MODES } from './soft-calls.js';

/** What a number is. */
export const Kind = { zero: 0, number: 1, infinity: 2, quiet: 3, signalling: 4 } as const;

/** A format, known when the code runs; all i32 but `fraction`. */
export interface Format {
  /** 1 for binary16. */
  readonly isHalf: Variable;
  /** Fraction bits, an i64. */
  readonly fraction: Variable;
  /** The exponent field of infinities. */
  readonly ones: Variable;
  /** i64: the sign bit's place. */
  readonly signAt: Variable;
}

export interface Unpacked {
  readonly kind: Variable;
  readonly sign: Variable;
  readonly exponent: Variable;
  /** i64. */
  readonly significand: Variable;
}

/** Routines that others call, by index in the module. */
export interface SharedRoutines {
  readonly raise: number;
  readonly nan: number;
  readonly round: number;
  readonly sum: number;
}

const ONE = i64.const(1n);
const ZERO = i64.const(0n);
export const TOP = i64.const(1n << 63n);

export class SoftRoutine extends Routine {
  readonly cpu: Code;
  readonly how: Code;
  readonly shared: SharedRoutines;
  readonly fpcr: Code;

  /** The first two parameters are the CPU's distance and `how`. */
  constructor(params: readonly ValueType[], shared: SharedRoutines) {
    super(params);
    this.cpu = this.param(0).get;
    this.how = this.param(1).get;
    this.shared = shared;
    this.fpcr = this.i32(i32.load(this.cpu, STATE + FPCR)).get;
  }

  /** A field of `how` that has `width` bits. */
  field(at: number, width: number): Code {
    return i32.and(i32.shrU(this.how, i32.const(at)), i32.const((1 << width) - 1));
  }
  get flag(): Code {
    return this.field(How.flag, 1);
  }
  get other(): Code {
    return this.field(How.other, 1);
  }

  raise(bits: number): void {
    this.emit(call(this.shared.raise, this.cpu, i32.const(bits)));
  }

  /** `size`: 0, 1, 2 for 16, 32, 64 bits. */
  format(size: Code): Format {
    const code = this.i32(size);
    const isHalf = this.i32(i32.eqz(code.get));
    const isDouble = i32.shrU(code.get, i32.const(1));
    const bySize = (half: number, single: number, double: number) =>
      select(i32.const(half), select(i32.const(double), i32.const(single), isDouble), isHalf.get);
    return {
      isHalf,
      fraction: this.i64(i64.extendI32U(bySize(10, 23, 52))),
      ones: this.i32(bySize(0x1f, 0xff, 0x7ff)),
      signAt: this.i64(i64.extendI32U(bySize(15, 31, 63))),
    };
  }

  /** The rounding that `how` asks for: below MODES.fpcr. */
  mode(): Variable {
    const asked = this.i32(this.field(How.rounding, 3));
    const own = i32.and(i32.shrU(this.fpcr, i32.const(FPCR_RMODE_SHIFT)), i32.const(3));
    this.set(asked, select(own, asked.get, i32.eq(asked.get, i32.const(MODES.fpcr))));
    return asked;
  }

  // ---- numbers by name -----------------------------------------------------------------------------

  zero(f: Format, sign: Code): Code {
    return i64.shl(i64.extendI32U(sign), f.signAt.get);
  }
  infinity(f: Format, sign: Code): Code {
    return i64.or(this.zero(f, sign), i64.shl(i64.extendI32U(f.ones.get), f.fraction.get));
  }
  quietBit(f: Format): Code {
    return i64.shl(ONE, i64.sub(f.fraction.get, ONE));
  }
  defaultNaN(f: Format): Code {
    return i64.or(this.infinity(f, i32.const(0)), this.quietBit(f));
  }
  bias(f: Format): Code {
    return i32.shrU(f.ones.get, i32.const(1));
  }
  giveInvalid(f: Format): void {
    this.raise(FloatException.InvalidOp);
    this.give(this.defaultNaN(f));
  }

  // ---- FPUnpack ------------------------------------------------------------------------------------

  /** `conversion`: as FPUnpackCV. */
  unpack(f: Format, op: Code, conversion = false): Unpacked {
    const { fpcr } = this;
    const has = (bit: number) => i32.ne(i32.and(fpcr, i32.const(bit)), i32.const(0));
    const sign = this.i32(i32.wrap(i64.shrU(op, f.signAt.get)));
    const field = this.i32(i32.and(i32.wrap(i64.shrU(op, f.fraction.get)), f.ones.get));
    const rest = this.i64(i64.and(op, i64.sub(i64.shl(ONE, f.fraction.get), ONE)));
    const kind = this.i32(i32.const(Kind.number));
    const exponent = this.i32(i32.sub(field.get, this.bias(f)));
    const up = i64.sub(i64.const(63n), f.fraction.get);
    const significand = this.i64(i64.or(i64.shl(rest.get, up), TOP));
    const isFlushed = (): Code => {
      const half = conversion ? i32.const(0) : has(FPCR_FZ16);
      return select(half, has(FPCR_FZ), f.isHalf.get);
    };
    const subnormal = () => {
      this.when(
        isFlushed(),
        () => {
          this.set(kind, i32.const(Kind.zero));
          this.when(i32.eqz(f.isHalf.get), () => this.raise(FloatException.InputDenorm));
        },
        () => {
          const zeros = this.i64(i64.clz(rest.get));
          this.set(significand, i64.shl(rest.get, zeros.get));
          // The smallest normal number has one leading zero less than the fraction has room for.
          const below = i32.wrap(i64.sub(zeros.get, up));
          this.set(exponent, i32.sub(i32.sub(i32.const(1), this.bias(f)), below));
        },
      );
    };
    const special = () => {
      const isQuiet = i64.ne(i64.and(rest.get, this.quietBit(f)), ZERO);
      const nan = select(i32.const(Kind.quiet), i32.const(Kind.signalling), isQuiet);
      this.set(kind, select(i32.const(Kind.infinity), nan, i64.eqz(rest.get)));
    };
    const isSpecial = i32.eq(field.get, f.ones.get);
    const isAlternative = i32.and(f.isHalf.get, has(FPCR_AHP));
    this.when(
      i32.eqz(field.get),
      () => this.when(i64.eqz(rest.get), () => this.set(kind, i32.const(Kind.zero)), subnormal),
      () => this.when(conversion ? i32.and(isSpecial, i32.eqz(isAlternative)) : isSpecial, special),
    );
    return { kind, sign, exponent, significand };
  }

  is({ kind }: Unpacked, wanted: number): Code {
    return i32.eq(kind.get, i32.const(wanted));
  }
  isNaN({ kind }: Unpacked): Code {
    return i32.geU(kind.get, i32.const(Kind.quiet));
  }

  // ---- NaNs ----------------------------------------------------------------------------------------

  /** FPProcessNaN of an operand that is one: an i64. */
  processNaN(number: Unpacked, op: Code): Code {
    return call(this.shared.nan, this.cpu, this.how, this.is(number, Kind.signalling), op);
  }
  /** Gives back the first signalling NaN, or else the first quiet one, made quiet. */
  giveNaNs(numbers: readonly (readonly [Unpacked, Code])[]): void {
    const isAny = numbers.map(([n]) => this.isNaN(n)).reduce((a, b) => i32.or(a, b));
    this.when(isAny, () => {
      for (const kind of [Kind.signalling, Kind.quiet]) {
        for (const [n, op] of numbers) this.when(this.is(n, kind), () => this.give(this.processNaN(n, op)));
      }
    });
  }

  // ---- results -------------------------------------------------------------------------------------

  /** FPRound of significand / 2^63 * 2^exponent, an i64; bit 63 is set, and bit 0 stands for all below it. */
  rounded(sign: Code, exponent: Code, significand: Code, how = this.how): Code {
    return call(this.shared.round, this.cpu, how, sign, exponent, significand);
  }
  /** The zero that an exact zero sum gives. */
  exactZero(f: Format, mode: Code): Code {
    return this.zero(f, i32.eq(mode, i32.const(MODES.negInf)));
  }
  /** An i64 shifted right, what falls off jammed into its lowest bit; `by`, an i64, may be anything from 0. */
  jammed(value: Code, by: Code): Code {
    const lost = i64.shl(value, i64.sub(i64.const(64n), by));
    const near = i64.or(i64.shrU(value, by), i64.extendI32U(i64.ne(lost, ZERO)));
    const far = i64.extendI32U(i64.ne(value, ZERO));
    return select(select(value, near, i64.eqz(by)), far, i64.ltU(by, i64.const(64n)));
  }
}

/** Sets bits of FPSR, and says so to generated code where IXC is one. */
export function raiseRoutine(r: Routine): void {
  const [cpu, bits] = [r.param(0).get, r.param(1).get];
  r.emit(i32.store(cpu, i32.or(i32.load(cpu, STATE + FPSR), bits), STATE + FPSR));
  r.when(i32.and(bits, i32.const(FloatException.Inexact)), () => {
    const clear = (cell: number, bit: number) =>
      i32.store(cpu, i32.and(i32.load(cpu, STATE + cell), i32.const(~bit)), STATE + cell);
    r.emit(clear(Cell.FP_STATE, FpState.exact), clear(Cell.SPECIALIZATION, Special.exact));
  });
}

/** (CPU, how, whether it signals, NaN): FPProcessNaN. */
export function nanRoutine(r: SoftRoutine): void {
  const [signals, op] = [r.param(2).get, r.param(3).get];
  const f = r.format(r.field(How.size, 2));
  const { fpcr } = r;
  r.when(signals, () => r.raise(FloatException.InvalidOp));
  const isDefault = i32.and(fpcr, i32.const(FPCR_DN));
  r.emit(select(r.defaultNaN(f), i64.or(op, r.quietBit(f)), isDefault));
}

/** (CPU, how, sign, exponent, significand): FPRound, and FPRoundCV where `how` says conversion. */
export function roundRoutine(r: SoftRoutine): void {
  const [sign, exponent, significand] = [r.param(2), r.param(3), r.param(4)];
  const f = r.format(r.field(How.size, 2));
  const { fpcr } = r;
  const mode = r.mode();
  const isConversion = r.i32(r.field(How.conversion, 1));
  const has = (bit: number) => i32.ne(i32.and(fpcr, i32.const(bit)), i32.const(0));
  const flushesHalf = i32.and(has(FPCR_FZ16), i32.eqz(isConversion.get));
  const flushes = select(flushesHalf, has(FPCR_FZ), f.isHalf.get);
  const fromLeast = r.i32(i32.sub(exponent.get, i32.sub(i32.const(1), r.bias(f))));
  const isBelow = i32.ltS(fromLeast.get, i32.const(0));
  r.when(i32.and(isBelow, flushes), () => {
    r.raise(FloatException.Underflow);
    r.give(r.zero(f, sign.get));
  });
  const biased = r.i32(select(i32.const(0), i32.add(fromLeast.get, i32.const(1)), isBelow));
  // Of a subnormal result more is cut off.
  const drop = r.i64(i64.sub(i64.const(63n), f.fraction.get));
  r.when(isBelow, () => r.set(drop, i64.sub(drop.get, i64.extendI32S(fromLeast.get))));
  r.when(i64.gtS(drop.get, i64.const(62n)), () => {
    r.set(significand, r.jammed(significand.get, i64.sub(drop.get, i64.const(62n))));
    r.set(drop, i64.const(62n));
  });
  const whole = r.i64(i64.shrU(significand.get, drop.get));
  const unit = i64.shl(ONE, drop.get);
  const rest = r.i64(i64.and(significand.get, i64.sub(unit, ONE)));
  const half = r.i64(i64.shrU(unit, ONE));
  const isInexact = r.i32(i64.ne(rest.get, ZERO));
  r.when(i32.and(isInexact.get, i32.eqz(biased.get)), () => r.raise(FloatException.Underflow));
  const is = (which: number) => i32.eq(mode.get, i32.const(which));
  const isOdd = i32.wrap(i64.and(whole.get, ONE));
  const isMoreThanHalf = i64.gtU(rest.get, half.get);
  const isHalf = i64.eq(rest.get, half.get);
  const isNearest = i32.eq(i32.and(mode.get, i32.const(3)), i32.const(0));
  const nearest = i32.or(isMoreThanHalf, i32.and(isHalf, i32.or(isOdd, is(MODES.tieAway))));
  const isAway = r.i32(
    i32.or(i32.and(is(MODES.posInf), i32.eqz(sign.get)), i32.and(is(MODES.negInf), sign.get)),
  );
  r.set(
    whole,
    i64.add(whole.get, i64.extendI32U(select(nearest, i32.and(isAway.get, isInexact.get), isNearest))),
  );
  r.when(is(MODES.odd), () => r.set(whole, i64.or(whole.get, i64.extendI32U(isInexact.get))));
  // The carry out of a fraction goes into the exponent by itself: the leading bit counts as one of it.
  const field = i64.sub(i64.extendI32U(biased.get), i64.extendI32U(i32.ne(biased.get, i32.const(0))));
  const magnitude = r.i64(i64.add(i64.shl(field, f.fraction.get), whole.get));
  const signBit = r.i64(r.zero(f, sign.get));
  const isAlternative = i32.and(i32.and(f.isHalf.get, isConversion.get), has(FPCR_AHP));
  r.when(
    isAlternative,
    () =>
      r.when(i64.gtU(magnitude.get, i64.const(0x7fffn)), () => {
        r.raise(FloatException.InvalidOp);
        r.give(i64.or(signBit.get, i64.const(0x7fffn)));
      }),
    () => {
      const largest = i64.shl(i64.extendI32U(f.ones.get), f.fraction.get);
      r.when(i64.geU(magnitude.get, largest), () => {
        r.raise(FloatException.Overflow | FloatException.Inexact);
        const overflows = i32.or(isNearest, isAway.get);
        r.give(i64.sub(r.infinity(f, sign.get), i64.extendI32U(i32.eqz(overflows))));
      });
    },
  );
  r.when(isInexact.get, () => r.raise(FloatException.Inexact));
  r.emit(i64.or(signBit.get, magnitude.get));
}
