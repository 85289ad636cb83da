/**
 * Floating point on lanes, as float-forms.ts has it on numbers: all lanes at once, and the whole instruction
 * given up where one lane is not of the ordinary kind.
 *
 * Lanes that an operation does not work on are zeros, and stay harmless: divided by one.
 *
 * Ref. DDI 0487, J1.3 "shared/functions/float".
 */
import type {
  FpBinary,
  FpSize,
  FpTernary,
  FpTest,
  FpUnary,
  LaneSize,
  VectorUnary,
} from '../../../isa/index.js';
import { type Code, f32x4, f64, f64x2, i8x16, i32, i64x2, v128, when } from '../wasm/index.js';
import { fusedMultiplyAdd, type Reals, sumError, vectorReals } from './float-arithmetic.js';
import { BELOW_SINGLE, HALF_OF_SINGLE, ScalarFormBuilder } from './float-forms.js';
import { Unsupported } from './frame.js';
import type { RealSize } from './values.js';
import { splatConstant, type VectorValue, vectorValue } from './vector-values.js';

const SHAPE = { 32: f32x4, 64: f64x2 } as const;
const ZERO = v128.const(0n);
/** Bits of the smallest number with the exponent field 2, of infinity, and of 1.0. */
const SMALLEST = { 32: 2n << 23n, 64: 2n << 52n } as const;
const INFINITY = { 32: 0xffn << 23n, 64: 0x7ffn << 52n } as const;
const ONE = { 32: 0x7fn << 23n, 64: 0x3ffn << 52n } as const;

const UPPER = Array.from({ length: 16 }, (_, i) => 8 + (i & 7));
/** The lower halves of two vectors. */
const LOWER_HALVES = Array.from({ length: 16 }, (_, i) => (i < 8 ? i : i + 8));

/** `bits` in the lanes from `lanes` up. */
function above(size: RealSize, lanes: number, bits: bigint): Code {
  let out = 0n;
  for (let at = lanes * size; at < 128; at += size) out |= bits << BigInt(at);
  return v128.const(out);
}

export class FloatFormBuilder extends ScalarFormBuilder {
  #keep = (code: Code): Code => this.keepV(code);

  /** i32: 1 where all lanes of a mask are ones. */
  #all(mask: Code): Code {
    return i32.eqz(v128.anyTrue(v128.not(mask)));
  }
  #requireAll(mask: Code): void {
    this.emit(this.frame.failIf(v128.anyTrue(v128.not(mask))));
  }
  #requireFinite(n: RealSize, result: Code): void {
    this.#requireAll(SHAPE[n].lt(SHAPE[n].abs(result), splatConstant(n, INFINITY[n])));
  }
  /** Gives up unless each lane is plain, or zero where `exactZero` has ones. */
  #requirePlain(n: RealSize, result: Code, exactZero: () => Code): void {
    const F = SHAPE[n];
    const size = this.keepV(F.abs(result));
    const isPlain = this.keepV(
      v128.and(F.ge(size, splatConstant(n, SMALLEST[n])), F.lt(size, splatConstant(n, INFINITY[n]))),
    );
    const closer = this.nested(() => {
      this.#requireAll(v128.or(isPlain, v128.and(F.eq(result, ZERO), exactZero())));
    });
    this.emit(when(i32.eqz(this.#all(isPlain)), closer));
  }
  #requireNumbers(n: RealSize, a: Code): void {
    this.#requireAll(SHAPE[n].eq(a, a));
  }

  /** The lanes of two binary32 vectors in binary64, the lower and the upper two. */
  #promoted(a: Code): readonly [Code, Code] {
    return [f64x2.promoteLow(a), f64x2.promoteLow(i8x16.shuffle(a, a, UPPER))];
  }
  #demoted(low: Code, high: Code): Code {
    return i8x16.shuffle(f32x4.demoteZero(low), f32x4.demoteZero(high), LOWER_HALVES);
  }
  /** i32: whether a product of binary32 lanes is not `product`. */
  #productInexact(a: Code, b: Code, product: Code): Code {
    const [aLow, aHigh] = this.#promoted(a);
    const [bLow, bHigh] = this.#promoted(b);
    const [low, high] = this.#promoted(product);
    return v128.anyTrue(
      v128.or(f64x2.ne(f64x2.mul(aLow, bLow), low), f64x2.ne(f64x2.mul(aHigh, bHigh), high)),
    );
  }
  /** Sets IXC as needed, given how to tell for binary32; other lanes are given up while IXC is not set. */
  #noteInexact(n: RealSize, operands: readonly Code[], ofSingles: () => Code): void {
    this.noteInexact(
      () => {
        if (n === 32) return ofSingles();
        this.emit(this.frame.fail());
        return i32.const(0);
      },
      () => this.#anySubnormal(n, operands),
    );
  }
  #anySubnormal(n: RealSize, all: readonly Code[]): Code {
    const F = SHAPE[n];
    const least = splatConstant(n, SMALLEST[n] >> 1n);
    const masks = all.map((a) => v128.and(F.lt(F.abs(a), least), F.ne(a, ZERO)));
    return v128.anyTrue(masks.reduce((one, other) => v128.or(one, other)));
  }

  /** The integer estimates are soft-float's. */
  override v1(operation: VectorUnary, size: LaneSize, a: VectorValue): VectorValue {
    if (operation !== 'urecpe' && operation !== 'ursqrte') return super.v1(operation, size, a);
    if (!this.isSoft(32, operation)) throw new Unsupported(operation);
    const x = this.lanesOf(32, a);
    return this.softLanes(32, 4, (i) => this.softUnsignedEstimate(operation === 'ursqrte', x(i)));
  }

  vfp1(operation: FpUnary, size: FpSize, lanes: number, a: VectorValue): VectorValue {
    if (this.isSoft(size, operation === 'sqrt' ? undefined : operation)) {
      const x = this.lanesOf(size, a);
      return this.softLanes(size, lanes, (i) => this.soft1(operation, size, x(i)));
    }
    const n = this.realSize(size);
    const x = this.keepV(a.code);
    const result = this.keepV(SHAPE[n].sqrt(x));
    this.#requirePlain(n, result, () => SHAPE[n].eq(x, ZERO));
    this.#noteInexact(n, [x], () => this.#productInexact(result, result, x));
    return vectorValue(result);
  }

  vfp2(operation: FpBinary, size: FpSize, lanes: number, a: VectorValue, b: VectorValue): VectorValue {
    if (this.isSoft(size)) {
      const [x, y] = [this.lanesOf(size, a), this.lanesOf(size, b)];
      return this.softLanes(size, lanes, (i) => this.soft2(operation, size, x(i), y(i)));
    }
    const n = this.realSize(size);
    const F = SHAPE[n];
    const x = this.keepV(a.code);
    let y = this.keepV(b.code);
    switch (operation) {
      case 'add':
      case 'sub': {
        if (operation === 'sub') y = this.keepV(F.neg(y));
        const result = this.keepV(F.add(x, y));
        this.#requireFinite(n, result);
        this.noteInexact(
          () => {
            const { add, sub } = F;
            const lost = this.keepV(sumError({ keep: this.#keep, add, sub }, x, y, result));
            this.#requireAll(F.eq(F.sub(lost, lost), ZERO));
            return v128.anyTrue(F.ne(lost, ZERO));
          },
          () => this.#anySubnormal(n, [x, y, result]),
        );
        // Lanes that do not count are 0 - 0, or 0 + -0 turned: zero either way.
        return vectorValue(result);
      }
      case 'mul':
      case 'mulX': {
        const result = this.keepV(F.mul(x, y));
        this.#requirePlain(n, result, () => v128.or(F.eq(x, ZERO), F.eq(y, ZERO)));
        this.#noteInexact(n, [x, y], () => this.#productInexact(x, y, result));
        return vectorValue(result);
      }
      case 'div': {
        if (lanes * n < 128) y = this.keepV(v128.or(y, above(n, lanes, ONE[n])));
        const result = this.keepV(F.div(x, y));
        this.#requirePlain(n, result, () => F.eq(x, ZERO));
        this.#noteInexact(n, [x, y], () => this.#productInexact(result, y, x));
        return vectorValue(result);
      }
      case 'max':
      case 'min':
      case 'maxNum':
      case 'minNum': {
        const isMaximum = operation === 'max' || operation === 'maxNum';
        const result = this.keepV(isMaximum ? F.max(x, y) : F.min(x, y));
        this.#requireNumbers(n, result);
        this.requireUsual(() => this.#anySubnormal(n, [x, y]));
        return vectorValue(result);
      }
      case 'recipStep':
      case 'rsqrtStep': {
        const constant = operation === 'recipStep' ? 2 : 3;
        const negated = this.keepV(F.neg(x));
        const sum = this.#fused(n, this.keepV(this.#splat(n, constant)), negated, y);
        const result = operation === 'recipStep' ? sum : F.mul(sum, this.#splat(n, 0.5));
        return vectorValue(lanes * n < 128 ? this.#lowest(n, lanes, result) : result);
      }
    }
  }

  #splat(n: RealSize, value: number): Code {
    const whole = f64x2.splat(f64.const(value));
    return n === 64 ? whole : this.#demoted(whole, whole);
  }
  #lowest(n: RealSize, lanes: number, a: Code): Code {
    return v128.and(a, v128.const((1n << BigInt(n * lanes)) - 1n));
  }

  vfp3(
    operation: FpTernary,
    size: FpSize,
    lanes: number,
    addend: VectorValue,
    a: VectorValue,
    b: VectorValue,
  ): VectorValue {
    if (this.isSoft(operation === 'mulAdd' ? size : 16)) {
      const factor = operation === 'mulAddH' ? 16 : size;
      const [c, x, y] = [this.lanesOf(size, addend), this.lanesOf(factor, a), this.lanesOf(factor, b)];
      return this.softLanes(size, lanes, (i) => this.soft3(operation, size, c(i), x(i), y(i)));
    }
    const n = this.realSize(size);
    const [c, x, y] = [addend, a, b].map(({ code }) => this.keepV(code)) as [Code, Code, Code];
    return vectorValue(this.#fused(n, c, x, y));
  }

  /** addend + a * b of locals. Ref. ScalarFormBuilder. */
  #fused(n: RealSize, addend: Code, a: Code, b: Code): Code {
    const r = vectorReals(this.#keep);
    if (n === 32) return this.#fusedSingles(r, addend, a, b);
    for (const factor of [a, b]) {
      const magnitude = this.keepV(f64x2.abs(factor));
      const isNear = v128.and(
        f64x2.ge(magnitude, r.constant(2 ** -440)),
        f64x2.lt(magnitude, r.constant(2 ** 440)),
      );
      this.#requireAll(v128.or(isNear, f64x2.eq(factor, ZERO)));
    }
    this.#requireAll(f64x2.lt(f64x2.abs(addend), r.constant(2 ** 1000)));
    const { value, suspect, lost, lostMore } = fusedMultiplyAdd(r, addend, a, b);
    const closer = this.nested(() => {
      this.emit(this.frame.failIf(v128.anyTrue(f64x2.ne(lostMore(), ZERO))));
    });
    this.emit(when(v128.anyTrue(f64x2.ne(value, suspect)), closer));
    this.noteInexact(
      () => v128.anyTrue(v128.or(f64x2.ne(lost, ZERO), f64x2.ne(lostMore(), ZERO))),
      () => this.#anySubnormal(64, [addend, a, b]),
    );
    return value;
  }

  #fusedSingles(r: Reals, addend: Code, a: Code, b: Code): Code {
    const c = this.#promoted(addend);
    const x = this.#promoted(a);
    const y = this.#promoted(b);
    const halves = ([0, 1] as const).map((half) => {
      const term = r.keep(c[half]);
      const product = r.keep(f64x2.mul(x[half], y[half]));
      return { term, product, sum: r.keep(f64x2.add(product, term)) };
    });
    const [low, high] = halves.map(({ sum }) => sum) as [Code, Code];
    const result = this.keepV(this.#demoted(low, high));
    // A zero is exact where it was one before it was rounded again.
    const pattern = Array.from({ length: 16 }, (_, i) => 8 * (i >> 2) + (i & 3));
    this.#requirePlain(32, result, () => i8x16.shuffle(f64x2.eq(low, ZERO), f64x2.eq(high, ZERO), pattern));
    const lost = () =>
      halves
        .map(({ term, product, sum }) => f64x2.ne(sumError(r, product, term, sum), ZERO))
        .reduce((one, other) => v128.or(one, other));
    const between = (sum: Code) =>
      i64x2.eq(v128.and(sum, splatConstant(64, BELOW_SINGLE)), splatConstant(64, HALF_OF_SINGLE));
    const closer = this.nested(() => this.emit(this.frame.failIf(v128.anyTrue(lost()))));
    this.emit(when(v128.anyTrue(v128.or(between(low), between(high))), closer));
    this.noteInexact(
      () => {
        const [backLow, backHigh] = this.#promoted(result);
        const rounded = v128.or(f64x2.ne(backLow, low), f64x2.ne(backHigh, high));
        return v128.anyTrue(v128.or(lost(), rounded));
      },
      () => this.#anySubnormal(32, [addend, a, b]),
    );
    return result;
  }

  vfpTest(test: FpTest, size: FpSize, lanes: number, a: VectorValue, b: VectorValue): VectorValue {
    if (this.isSoft(size)) {
      const [x, y] = [this.lanesOf(size, a), this.lanesOf(size, b)];
      const mask = (i: number) => this.maskOf(size, this.softTest(test, size, x(i), y(i)));
      return this.softLanes(size, lanes, mask);
    }
    const n = this.realSize(size);
    const x = this.keepV(a.code);
    const y = this.keepV(b.code);
    this.requireUsual(() => this.#anySubnormal(n, [x, y]));
    this.#requireAll(v128.and(SHAPE[n].eq(x, x), SHAPE[n].eq(y, y)));
    const result = SHAPE[n][test](x, y);
    return vectorValue(lanes * n < 128 ? this.#lowest(n, lanes, result) : result);
  }
}
