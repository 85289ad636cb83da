/**
 * Floating point in forms: the host's arithmetic where it is provably what the architecture says.
 *
 * Instructions compute in f32 and f64 when FPCR asks for rounding to nearest (all else is `unusual`), and
 * give up, so that soft-float does them, where operands or results are of a
 * kind that raises, flushes or chooses among NaNs: results that are NaN or infinite, and, of operations other
 * than sums (which are exact there), zero or about to be subnormal. What is left can only be inexact. If
 * FPSR.IXC is set that changes nothing; if not, what was rounded away is computed (`Exact`), and IXC set if
 * it is not zero. Both questions are one load of Cell.FP_STATE.
 *
 * Half precision, rounding to odd and estimates are soft-float's, as is what is given up here (soft-forms.ts).
 *
 * Ref. DDI 0487, J1.3 "shared/functions/float"; src/base/softfloat is what this must equal.
 */
import type { FpBinary, FpSize, FpTernary, FpTest, FpUnary, Rounding } from '../../../isa/index.js';
import { FloatException } from '../../base/index.js';
import { type Code, f32, f64, i32, i64, local, select, when } from '../wasm/index.js';
import { fusedMultiplyAdd, scalarReals, sumError } from './float-arithmetic.js';
import { Unsupported } from './frame.js';
import { Cell, FpState, STATE } from './layout.js';
import { SoftFormBuilder } from './soft-forms.js';
import { narrowLocal, narrowValue, type RealSize, type Value, wideLocal } from './values.js';
import type { FloatKnowledge } from './vector-operands.js';

const SHAPE = { 32: f32, 64: f64 } as const;
/** Fraction bits and the exponent field of infinity. */
const FORMAT = { 32: { fraction: 23, infinity: 0xff }, 64: { fraction: 52, infinity: 0x7ff } } as const;
const BIAS = 1023;
/** Bits of a binary64 below those of a binary32, and half of the latter's last. */
export const BELOW_SINGLE = (1n << 29n) - 1n;
export const HALF_OF_SINGLE = 1n << 28n;

export abstract class ScalarFormBuilder extends SoftFormBuilder {
  // ---- numbers -------------------------------------------------------------------------------------

  /** The f32 or f64 of a value's bits, in a local. */
  protected realOf(size: RealSize, value: Value): Code {
    const { real } = value;
    if (real?.size === size) return value.isLocal ? real.code() : this.keepReal(size, real.code());
    return this.keepReal(size, size === 64 ? f64.reinterpret(value.wide()) : f32.reinterpret(value.low()));
  }
  /** Computes an f32 or f64 now; gives code that reads it. */
  protected keepReal(size: RealSize, code: Code): Code {
    return this.letReal(size, code).real!.code();
  }
  protected real(size: RealSize, code: Code): Value {
    return this.letReal(size, code);
  }
  #keep64(code: Code): Code {
    return local.get(this.keep(code));
  }

  /** Formats other than those of WebAssembly are soft-float's. */
  protected realSize(size: FpSize): RealSize {
    if (size === 16) throw new Unsupported('half precision');
    return size;
  }

  // ---- FPCR and FPSR -------------------------------------------------------------------------------

  #state(): Code {
    return i32.load(this.cpu, STATE + Cell.FP_STATE);
  }
  #has(bits: number): Code {
    return i32.and(this.#state(), i32.const(bits));
  }
  /**
   * Gives up where FPCR asks for something else than rounding to nearest; and where it flushes and something
   * is `subnormal` (an i32, not zero then).
   */
  protected requireUsual(subnormal: () => Code): void {
    const { known } = this.operands.vectors;
    if (known !== undefined) {
      if (known.isFlushing) this.emit(this.frame.failIf(subnormal()));
      return;
    }
    this.emit(this.frame.failIf(this.#has(FpState.unusual)));
    const flushing = this.nested(() => this.emit(this.frame.failIf(subnormal())));
    this.emit(when(this.#has(FpState.flushing), flushing));
  }
  #setInexact(): Code {
    return [this.orFpsr(FloatException.Inexact), this.setExact(i32.const(0))];
  }
  /** Sets IXC where the condition, an i32, holds. */
  protected noteIf(inexact: Code): void {
    const { known } = this.operands.vectors;
    if (known === undefined) this.emit(when(inexact, this.#setInexact()));
    else if (this.#isExactRegion(known)) this.emit(this.frame.failIf(inexact));
  }
  /** Whether IXC is not set where the region runs, which it has to be made for then. */
  #isExactRegion(known: FloatKnowledge): boolean {
    known.asksExact = true;
    return known.isExact;
  }
  /** As `requireUsual`; and where IXC is not set yet, sets it if an i32 that `inexact` makes is not zero. */
  protected noteInexact(inexact: () => Code, subnormal: () => Code): void {
    const { known } = this.operands.vectors;
    if (known !== undefined) {
      this.requireUsual(subnormal);
      if (this.#isExactRegion(known)) this.emit(this.frame.failIf(inexact()));
      return;
    }
    const inner = this.nested(() => {
      this.requireUsual(subnormal);
      const set = this.nested(() => this.noteIf(inexact()));
      this.emit(when(this.#has(FpState.exact), set));
    });
    this.emit(when(this.#state(), inner));
  }

  /** i32: whether one of these locals is subnormal. */
  #anySubnormal(size: RealSize, ...all: readonly Code[]): Code {
    const isSubnormal = (a: Code): Code => {
      if (size === 32) {
        return i32.ltU(i32.sub(i32.shl(f32.bits(a), i32.const(1)), i32.const(1)), i32.const(2 ** 24 - 1));
      }
      const shifted = i64.sub(i64.shl(f64.bits(a), i64.const(1n)), i64.const(1n));
      return i64.ltU(shifted, i64.const((1n << 53n) - 1n));
    };
    return all.map(isSubnormal).reduce((one, other) => i32.or(one, other));
  }

  // ---- kinds of results ----------------------------------------------------------------------------

  /** i32: whether the exponent field is `least` or more, and not infinity's. `a` is a local. */
  #hasExponent(size: RealSize, a: Code, least: number): Code {
    const { fraction, infinity } = FORMAT[size];
    if (size === 32) {
      const shifted = i32.shl(f32.bits(a), i32.const(1));
      const from = i32.sub(shifted, i32.const((least << (fraction + 1)) | 0));
      return i32.ltU(from, i32.const(((infinity - least) << (fraction + 1)) | 0));
    }
    const shifted = i64.shl(f64.bits(a), i64.const(1n));
    const unit = 1n << BigInt(fraction + 1);
    const from = i64.sub(shifted, i64.const(BigInt(least) * unit));
    return i64.ltU(from, i64.const(BigInt(infinity - least) * unit));
  }
  /** Gives up where a result is not finite. */
  #requireFinite(size: RealSize, result: Code): void {
    this.emit(this.frame.failIf(i32.eqz(this.#hasExponent(size, result, 0))));
  }
  /** Gives up where a result is neither normal, the smallest exponent aside, nor `exactZero` (an i32). */
  #requirePlain(size: RealSize, result: Code, exactZero: Code): void {
    const zero = i32.and(SHAPE[size].eq(result, SHAPE[size].const(0)), exactZero);
    const isPlain = this.#hasExponent(size, result, 2);
    this.emit(when(i32.eqz(isPlain), this.frame.failIf(i32.eqz(zero))));
  }
  protected requireNumber(size: RealSize, a: Code): void {
    this.emit(this.frame.failIf(SHAPE[size].ne(a, a)));
  }

  // ---- what was rounded away -----------------------------------------------------------------------

  #field(a: Code): Code {
    return i64.and(i64.shrU(f64.bits(a), i64.const(52n)), i64.const(0x7ffn));
  }
  #significand(a: Code): Code {
    return i64.or(i64.and(f64.bits(a), i64.const((1n << 52n) - 1n)), i64.const(1n << 52n));
  }
  /**
   * i32: not zero if the product of two f64, both normal, is not `product`, which is it rounded: the product's
   * 105 or 106 bits have zeros in the lowest 52 or 53 if it is.
   */
  #productInexact(a: Code, b: Code, product: Code): Code {
    const subnormal = i32.or(i64.eqz(this.#field(a)), i64.eqz(this.#field(b)));
    this.emit(this.frame.failIf(subnormal));
    const factors = i64.sub(i64.add(this.#field(a), this.#field(b)), i64.const(BigInt(BIAS)));
    const cut = i64.add(i64.sub(this.#field(product), factors), i64.const(52n));
    const ones = i64.sub(i64.shl(i64.const(1n), cut), i64.const(1n));
    const low = i64.mul(this.#significand(a), this.#significand(b));
    return i64.ne(i64.and(low, ones), i64.const(0n));
  }
  /** The same of f32, whose product an f64 holds, or of a quotient or root `a` with a * b = `product`. */
  #singleInexact(a: Code, b: Code, product: Code): Code {
    return f64.ne(f64.mul(f64.promote(a), f64.promote(b)), f64.promote(product));
  }
  #sumInexact(size: RealSize, a: Code, b: Code, sum: Code): Code {
    const { add, sub, ne } = SHAPE[size];
    const lost = this.keepReal(size, sumError({ keep: (c) => this.keepReal(size, c), add, sub }, a, b, sum));
    // Sums near the largest number may overflow on the way.
    this.emit(this.frame.failIf(ne(sub(lost, lost), SHAPE[size].const(0))));
    return ne(lost, SHAPE[size].const(0));
  }
  /** `result` times `b` is not `a`. */
  #inverseInexact(size: RealSize, result: Code, b: Code, a: Code): Code {
    if (size === 32) return this.#singleInexact(result, b, a);
    this.emit(this.frame.failIf(i64.eqz(this.#field(a))));
    const differs = this.keep32(f64.ne(f64.mul(result, b), a));
    return i32.or(local.get(differs), this.#productInexact(result, b, a));
  }

  // ---- operations ----------------------------------------------------------------------------------

  fp1(operation: FpUnary, size: FpSize, a: Value): Value {
    if (this.isSoft(size, operation === 'sqrt' ? undefined : operation))
      return this.soft1(operation, size, a);
    const n = this.realSize(size);
    const x = this.realOf(n, a);
    const result = this.keepReal(n, SHAPE[n].sqrt(x));
    this.#requirePlain(n, result, i32.const(1));
    this.noteInexact(
      () => {
        const isZero = SHAPE[n].eq(result, SHAPE[n].const(0));
        const isInexact = this.keep32(i32.const(0));
        const compute = this.nested(() => {
          this.emit(local.set(isInexact, this.#inverseInexact(n, result, result, x)));
        });
        this.emit(when(i32.eqz(isZero), compute));
        return local.get(isInexact);
      },
      () => this.#anySubnormal(n, x),
    );
    return this.real(n, result);
  }

  fp2(operation: FpBinary, size: FpSize, a: Value, b: Value): Value {
    if (this.isSoft(size)) return this.soft2(operation, size, a, b);
    const n = this.realSize(size);
    const F = SHAPE[n];
    const x = this.realOf(n, a);
    const y = this.realOf(n, b);
    switch (operation) {
      case 'add':
      case 'sub': {
        const second = operation === 'add' ? y : this.keepReal(n, F.neg(y));
        const result = this.keepReal(n, F.add(x, second));
        this.#requireFinite(n, result);
        this.noteInexact(
          () => this.#sumInexact(n, x, second, result),
          () => this.#anySubnormal(n, x, second, result),
        );
        return this.real(n, result);
      }
      case 'mul':
      case 'mulX': {
        const result = this.keepReal(n, F.mul(x, y));
        const zero = F.const(0);
        this.#requirePlain(n, result, i32.or(F.eq(x, zero), F.eq(y, zero)));
        this.noteInexact(
          () => {
            if (n === 32) return this.#singleInexact(x, y, result);
            return this.#unlessZero(result, () => this.#productInexact(x, y, result));
          },
          () => this.#anySubnormal(n, x, y),
        );
        return this.real(n, result);
      }
      case 'div': {
        const result = this.keepReal(n, F.div(x, y));
        this.#requirePlain(n, result, F.eq(x, F.const(0)));
        this.noteInexact(
          () => {
            if (n === 32) return this.#singleInexact(result, y, x);
            return this.#unlessZero(result, () => this.#inverseInexact(n, result, y, x));
          },
          () => this.#anySubnormal(n, x, y),
        );
        return this.real(n, result);
      }
      case 'max':
      case 'min':
      case 'maxNum':
      case 'minNum': {
        const isMaximum = operation === 'max' || operation === 'maxNum';
        const result = this.keepReal(n, isMaximum ? F.max(x, y) : F.min(x, y));
        this.requireNumber(n, result);
        this.requireUsual(() => this.#anySubnormal(n, x, y));
        return this.real(n, result);
      }
      case 'recipStep':
        return this.#fused(n, this.keepReal(n, F.const(2)), this.keepReal(n, F.neg(x)), y);
      case 'rsqrtStep': {
        const sum = this.#fused(n, this.keepReal(n, F.const(3)), this.keepReal(n, F.neg(x)), y);
        return this.real(n, F.mul(sum.real!.code(), F.const(0.5)));
      }
    }
  }

  /** `compute` of what is not zero; zeros are exact. An i32. */
  #unlessZero(result: Code, compute: () => Code): Code {
    const out = this.keep32(i32.const(0));
    const inner = this.nested(() => this.emit(local.set(out, compute())));
    this.emit(when(f64.ne(result, f64.const(0)), inner));
    return local.get(out);
  }

  fp3(operation: FpTernary, size: FpSize, addend: Value, a: Value, b: Value): Value {
    if (this.isSoft(operation === 'mulAdd' ? size : 16)) return this.soft3(operation, size, addend, a, b);
    const n = this.realSize(size);
    return this.#fused(n, this.realOf(n, addend), this.realOf(n, a), this.realOf(n, b));
  }

  /** addend + a * b of locals. */
  #fused(n: RealSize, addend: Code, a: Code, b: Code): Value {
    const r = scalarReals((code) => this.keepReal(64, code));
    if (n === 32) {
      // The product is exact in binary64. The sum is not, but it is on the side of the exact one of every
      // number that binary64 has: rounding it again is wrong only where it seems to be between two.
      const c = r.keep(f64.promote(addend));
      const product = r.keep(f64.mul(f64.promote(a), f64.promote(b)));
      const sum = r.keep(f64.add(product, c));
      const result = this.keepReal(32, f32.demote(sum));
      this.#requirePlain(32, result, f64.eq(sum, f64.const(0)));
      const between = i64.eq(i64.and(f64.bits(sum), i64.const(BELOW_SINGLE)), i64.const(HALF_OF_SINGLE));
      const closer = this.nested(() => {
        const lost = r.keep(sumError(r, product, c, sum));
        this.emit(this.frame.failIf(f64.ne(lost, f64.const(0))));
      });
      this.emit(when(between, closer));
      this.noteInexact(
        () => {
          const lost = r.keep(sumError(r, product, c, sum));
          return i32.or(f64.ne(lost, f64.const(0)), f64.ne(f64.promote(result), sum));
        },
        () => this.#anySubnormal(32, addend, a, b),
      );
      return this.real(32, result);
    }
    for (const factor of [a, b]) {
      const shifted = i64.sub(i64.shl(f64.bits(factor), i64.const(1n)), i64.const(BigInt(BIAS - 440) << 53n));
      const isFar = i64.geU(shifted, i64.const(880n << 53n));
      this.emit(when(isFar, this.frame.failIf(f64.ne(factor, f64.const(0)))));
    }
    this.emit(this.frame.failIf(i32.eqz(f64.lt(f64.abs(addend), f64.const(2 ** 1000)))));
    const { value, suspect, lost, lostMore } = fusedMultiplyAdd(r, addend, a, b);
    const closer = this.nested(() => {
      const more = r.keep(lostMore());
      this.emit(this.frame.failIf(f64.ne(more, f64.const(0))));
    });
    this.emit(when(f64.ne(value, suspect), closer));
    this.noteInexact(
      () => {
        const more = r.keep(lostMore());
        return i32.or(f64.ne(lost, f64.const(0)), f64.ne(more, f64.const(0)));
      },
      () => this.#anySubnormal(64, addend, a, b),
    );
    return this.real(64, value);
  }

  // ---- order ---------------------------------------------------------------------------------------

  fpCompare(size: FpSize, a: Value, b: Value, signalNaNs: boolean): Value {
    if (this.isSoft(size)) return this.softCompare(size, a, b, signalNaNs);
    const n = this.realSize(size);
    const F = SHAPE[n];
    const x = this.realOf(n, a);
    const y = this.realOf(n, b);
    this.requireUsual(() => this.#anySubnormal(n, x, y));
    const less = i32.shl(F.lt(x, y), i32.const(3));
    const more = i32.shl(F.gt(x, y), i32.const(1));
    const equal = i32.mul(F.eq(x, y), i32.const(6));
    const nzcv = this.keep32(i32.or(i32.or(less, more), equal));
    // None of the three: a NaN.
    this.emit(this.frame.failIf(i32.eqz(local.get(nzcv))));
    return narrowLocal(nzcv);
  }

  fpTest(test: FpTest, size: FpSize, a: Value, b: Value): Code {
    if (this.isSoft(size)) return this.softTest(test, size, a, b);
    const n = this.realSize(size);
    const x = this.realOf(n, a);
    const y = this.realOf(n, b);
    this.requireUsual(() => this.#anySubnormal(n, x, y));
    this.requireNumber(n, x);
    this.requireNumber(n, y);
    return SHAPE[n][test](x, y);
  }

  // ---- conversions ---------------------------------------------------------------------------------

  fpConvert(to: FpSize, from: FpSize, a: Value, rounding: 'fpcr' | 'odd'): Value {
    const isHalf = to === 16 || from === 16;
    if (this.isSoft(isHalf ? 16 : to, rounding === 'odd' ? 'rounding to odd' : undefined))
      return this.softConvert(to, from, a, rounding);
    const [m, n] = [this.realSize(to), this.realSize(from)];
    const x = this.realOf(n, a);
    if (m === 64) {
      this.requireNumber(n, x);
      this.requireUsual(() => this.#anySubnormal(n, x));
      return this.real(64, f64.promote(x));
    }
    const result = this.keepReal(32, f32.demote(x));
    this.#requirePlain(32, result, f64.eq(x, f64.const(0)));
    this.noteInexact(
      () => f64.ne(f64.promote(result), x),
      () => this.#anySubnormal(64, x),
    );
    return this.real(32, result);
  }

  /** A local made integral. */
  #integral(n: RealSize, x: Code, rounding: Rounding): Code {
    const F = SHAPE[n];
    switch (rounding) {
      case 'fpcr':
      case 'tieEven':
        return F.nearest(x);
      case 'posInf':
        return F.ceil(x);
      case 'negInf':
        return F.floor(x);
      case 'zero':
        return F.trunc(x);
      case 'tieAway': {
        const cut = this.keepReal(n, F.trunc(x));
        const isHalf = F.ge(F.abs(F.sub(x, cut)), F.const(0.5));
        return select(F.add(cut, F.copysign(F.const(1), x)), cut, isHalf);
      }
      case 'odd':
        throw new Unsupported('rounding to odd');
    }
  }

  fpRoundInt(size: FpSize, a: Value, rounding: Rounding, exact: boolean): Value {
    if (this.isSoft(size)) return this.softRoundInt(size, a, rounding, exact);
    const n = this.realSize(size);
    const x = this.realOf(n, a);
    this.requireUsual(() => this.#anySubnormal(n, x));
    this.requireNumber(n, x);
    const result = this.keepReal(n, this.#integral(n, x, rounding));
    if (exact) this.noteIf(SHAPE[n].ne(result, x));
    return this.real(n, result);
  }

  fpRoundIntN(size: FpSize, a: Value, rounding: Rounding, bits: 32 | 64): Value {
    if (this.isSoft(size)) return this.softRoundIntN(size, a, rounding, bits);
    const n = this.realSize(size);
    const F = SHAPE[n];
    const x = this.realOf(n, a);
    this.requireUsual(() => this.#anySubnormal(n, x));
    const result = this.keepReal(n, this.#integral(n, x, rounding));
    const limit = 2 ** (bits - 1);
    const fits = i32.and(F.ge(result, F.const(-limit)), F.lt(result, F.const(limit)));
    this.emit(this.frame.failIf(i32.eqz(fits)));
    this.noteIf(F.ne(result, x));
    return this.real(n, result);
  }

  /** An f64: 2 to the power of `exponent` (or minus that). */
  #powerOfTwo(exponent: Value, negative: boolean): Code {
    const bias = i64.const(BigInt(BIAS));
    const field = negative ? i64.sub(bias, exponent.wide()) : i64.add(bias, exponent.wide());
    return f64.reinterpret(i64.shl(field, i64.const(52n)));
  }

  fpToFixed(
    bits: 16 | 32 | 64,
    size: FpSize,
    a: Value,
    fraction: Value,
    unsigned: boolean,
    rounding: Rounding,
  ): Value {
    if (this.isSoft(size)) return this.softToFixed(bits, size, a, fraction, unsigned, rounding);
    const n = this.realSize(size);
    const operand = this.realOf(n, a);
    this.requireUsual(() => this.#anySubnormal(n, operand));
    const wide = n === 32 ? f64.promote(operand) : operand;
    const scaled = fraction.constant === 0n ? wide : f64.mul(wide, this.#powerOfTwo(fraction, false));
    const x = this.keepReal(64, scaled);
    const result = this.keepReal(64, this.#integral(64, x, rounding));
    const high = 2 ** (unsigned ? bits : bits - 1);
    const low = unsigned ? 0 : -high;
    const fits = i32.and(f64.ge(result, f64.const(low)), f64.lt(result, f64.const(high)));
    this.emit(this.frame.failIf(i32.eqz(fits)));
    this.noteIf(f64.ne(result, x));
    const integer = this.keep(unsigned ? f64.truncI64U(result) : f64.truncI64S(result));
    return bits === 64 ? wideLocal(integer) : narrowValue(i32.wrap(local.get(integer)));
  }

  fpToFixedJS(a: Value): Value {
    if (this.isSoft(64)) return this.softToFixedJS(a);
    const zero = this.imm(0);
    return this.fpToFixed(32, 64, a, zero, false, 'zero');
  }

  fixedToFp(
    size: FpSize,
    bits: 16 | 32 | 64,
    a: Value,
    fraction: Value,
    unsigned: boolean,
    rounding: Rounding,
  ): Value {
    // 32 bits fit a binary64, whatever the rounding.
    const isExact = bits < 64 && size === 64;
    if (this.isSoft(size, rounding !== 'fpcr' && !isExact ? 'rounding of integers' : undefined))
      return this.softFromFixed(size, bits, a, fraction, unsigned, rounding);
    const n = this.realSize(size);
    const extended = unsigned ? this.zext(bits, a) : this.sext(64, bits, a);
    const integer = this.#keep64(extended.wide());
    const F = SHAPE[n];
    const converted = unsigned ? F.convertI64U(integer) : F.convertI64S(integer);
    if (!isExact) {
      const sign = i64.shrS(integer, i64.const(63n));
      const size64 = unsigned ? integer : i64.sub(i64.xor(integer, sign), sign);
      this.noteInexact(
        () => {
          const magnitude = this.#keep64(size64);
          const zeros = i64.add(i64.clz(magnitude), i64.ctz(magnitude));
          return i64.ltS(zeros, i64.const(BigInt(63 - FORMAT[n].fraction)));
        },
        () => i32.const(0),
      );
    }
    if (fraction.constant === 0n) return this.real(n, converted);
    // Exact: the powers are far from both ends.
    const power = this.#powerOfTwo(fraction, true);
    return this.real(n, n === 64 ? f64.mul(converted, power) : f32.mul(converted, f32.demote(power)));
  }
}
