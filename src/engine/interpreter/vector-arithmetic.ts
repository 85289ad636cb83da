/**
 * Integer operations on lanes as vector instructions of WebAssembly.
 *
 * Every function takes and gives code that leaves a v128; operands that are used more than once are locals
 * (`c.keep`). What saturates reports the lanes that did, as ones, to `c.saturated`. Operations that shift
 * each lane by its own amount have no vector instructions: see lane-shifts.ts.
 *
 * Ref. DDI 0487, C7.2 (the instructions that operations are named after); src/engine/vector-lanes.ts is
 * what these must equal.
 */
import type { LaneSize, Narrowing, VectorBinary, VectorUnary } from '../../../isa/index.js';
import { type Code, i8x16, i16x8, i32, i32x4, i64x2, v128 } from '../wasm/index.js';
import { splatConstant } from './vector-values.js';

export interface LaneContext {
  /** Computes a vector now; gives code that reads it, any number of times. */
  keep(code: Code): Code;
  /** Sets FPSR.QC if any bit of `lanes` is one. */
  saturated(lanes: Code): void;
}

const SHAPE = { 8: i8x16, 16: i16x8, 32: i32x4, 64: i64x2 } as const;
const ZERO = v128.const(0n);

const signBit = (size: LaneSize): Code => splatConstant(size, 1n << BigInt(size - 1));
const greatest = (size: LaneSize): Code => splatConstant(size, (1n << BigInt(size - 1)) - 1n);
/** All ones in lanes that are negative. */
const isNegative = (size: LaneSize, a: Code): Code => SHAPE[size].shrS(a, i32.const(size - 1));

// ---- one vector ------------------------------------------------------------------------------------------

const table = (entry: (nibble: number) => number): Code => {
  let bits = 0n;
  for (let i = 15; i >= 0; i--) bits = (bits << 8n) | BigInt(entry(i));
  return v128.const(bits);
};
const LEADING_ZEROS = table((n) => Math.clz32(n) - 28);
const REVERSED = table((n) => ((n & 1) << 3) | ((n & 2) << 1) | ((n & 4) >> 1) | ((n & 8) >> 3));
const LOW_NIBBLES = splatConstant(8, 15n);

/** Leading zeros of bytes: of the upper nibble, or 4 and those of the lower one. */
function leadingZeros(c: LaneContext, size: LaneSize, a: Code): Code {
  const x = c.keep(a);
  const upper = c.keep(i8x16.swizzle(LEADING_ZEROS, i8x16.shrU(x, i32.const(4))));
  const lower = i8x16.swizzle(LEADING_ZEROS, v128.and(x, LOW_NIBBLES));
  const four = i8x16.eq(upper, splatConstant(8, 4n));
  let counts = i8x16.add(upper, v128.and(lower, four));
  // Then of twice the width: of the upper half, and of the lower one where the upper is all zeros.
  for (let width = 8; width < size; width *= 2) {
    const wide = (2 * width) as 16 | 32;
    const both = c.keep(counts);
    const high = c.keep(SHAPE[wide].shrU(both, i32.const(width)));
    const low = v128.and(both, splatConstant(wide, (1n << BigInt(width)) - 1n));
    const all = SHAPE[wide].eq(high, splatConstant(wide, BigInt(width)));
    counts = SHAPE[wide].add(high, v128.and(low, all));
  }
  return counts;
}

/** The result, or undefined for what there is no code for. */
export function unaryLanes(
  c: LaneContext,
  operation: VectorUnary,
  size: LaneSize,
  a: Code,
): Code | undefined {
  const shape = SHAPE[size];
  switch (operation) {
    case 'not':
      return v128.not(a);
    case 'neg':
      return shape.neg(a);
    case 'abs':
      return shape.abs(a);
    case 'clz':
      return leadingZeros(c, size, a);
    case 'cls': {
      const x = c.keep(a);
      const ends = v128.xor(x, shape.shrS(x, i32.const(1)));
      return shape.sub(leadingZeros(c, size, ends), splatConstant(size, 1n));
    }
    case 'cnt':
      return i8x16.popcnt(a);
    case 'rbit': {
      const x = c.keep(a);
      const low = i8x16.swizzle(REVERSED, v128.and(x, LOW_NIBBLES));
      const high = i8x16.swizzle(REVERSED, i8x16.shrU(x, i32.const(4)));
      return v128.or(i8x16.shl(low, i32.const(4)), high);
    }
    case 'sqabs':
    case 'sqneg': {
      const x = c.keep(a);
      const result = c.keep(operation === 'sqabs' ? shape.abs(x) : shape.neg(x));
      // Only the most negative number is its own negative; the greatest is one less.
      const isOver = c.keep(isNegative(size, v128.and(x, result)));
      c.saturated(isOver);
      return shape.add(result, isOver);
    }
    case 'urecpe':
    case 'ursqrte':
      return undefined;
  }
}

// ---- two vectors -----------------------------------------------------------------------------------------

const EVEN_BYTES = Array.from({ length: 16 }, (_, i) => 2 * i);

/** The products of lanes, twice as wide, of the lower and of the upper half. */
function signedProducts(size: 16 | 32, a: Code, b: Code): readonly [Code, Code] {
  const wide = size === 16 ? i32x4 : i64x2;
  return [wide.extmulLowS(a, b), wide.extmulHighS(a, b)];
}

/** The lower halves of the lanes of two vectors. */
function lowerHalves(size: 8 | 16 | 32, a: Code, b: Code): Code {
  const bytes = size / 8;
  const pattern = Array.from({ length: 16 }, (_, i) => 2 * bytes * Math.floor(i / bytes) + (i % bytes));
  return i8x16.shuffle(a, b, pattern);
}

function doublingHigh(c: LaneContext, size: 16 | 32, a: Code, b: Code, rounding: boolean): Code {
  const wide = size === 16 ? i32x4 : i64x2;
  const wideSize = (2 * size) as 32 | 64;
  const x = c.keep(a);
  const y = c.keep(b);
  const half = splatConstant(wideSize, 1n << BigInt(size - 2));
  const [low, high] = signedProducts(size, x, y).map((product) =>
    wide.shrS(rounding ? wide.add(product, half) : product, i32.const(size - 1)),
  ) as [Code, Code];
  const least = signBit(size);
  const isOver = c.keep(v128.and(SHAPE[size].eq(x, least), SHAPE[size].eq(y, least)));
  c.saturated(isOver);
  return SHAPE[size].add(lowerHalves(size, low, high), isOver);
}

/** Sums and differences that saturate, of 32 and 64 bits; the shorter ones have instructions. */
function saturating(c: LaneContext, operation: VectorBinary, size: LaneSize, a: Code, b: Code): Code {
  const shape = SHAPE[size];
  const x = c.keep(a);
  const y = c.keep(b);
  const isSum = operation === 'sqadd' || operation === 'uqadd';
  const wrapped = c.keep(isSum ? shape.add(x, y) : shape.sub(x, y));
  if (size === 8 || size === 16) {
    const short = SHAPE[size];
    const name = ({ sqadd: 'addSatS', uqadd: 'addSatU', sqsub: 'subSatS', uqsub: 'subSatU' } as const)[
      operation as 'sqadd' | 'uqadd' | 'sqsub' | 'uqsub'
    ];
    const result = c.keep(short[name](x, y));
    c.saturated(v128.xor(result, wrapped));
    return result;
  }
  switch (operation) {
    case 'uqadd': {
      const isOver = c.keep(greater(size, x, wrapped));
      c.saturated(isOver);
      return v128.or(wrapped, isOver);
    }
    case 'uqsub': {
      const isBelow = c.keep(greater(size, y, x));
      c.saturated(isBelow);
      return v128.andNot(wrapped, isBelow);
    }
    default: {
      // Over where the operands' signs are as they must be for it and the result's is not theirs.
      const signs = v128.xor(x, y);
      const changed = v128.xor(x, wrapped);
      const over = isSum ? v128.andNot(changed, signs) : v128.and(changed, signs);
      const isOver = c.keep(isNegative(size, over));
      c.saturated(isOver);
      return v128.bitSelect(v128.xor(isNegative(size, x), greatest(size)), wrapped, isOver);
    }
  }
}

/** Unsigned a > b. */
function greater(size: LaneSize, a: Code, b: Code): Code {
  if (size !== 64) return SHAPE[size].gtU(a, b);
  return i64x2.gtS(v128.xor(a, signBit(64)), v128.xor(b, signBit(64)));
}

function extreme(c: LaneContext, operation: VectorBinary, size: LaneSize, a: Code, b: Code): Code {
  if (size !== 64) {
    const name = ({ smax: 'maxS', smin: 'minS', umax: 'maxU', umin: 'minU' } as const)[
      operation as 'smax' | 'smin' | 'umax' | 'umin'
    ];
    return SHAPE[size][name](a, b);
  }
  const x = c.keep(a);
  const y = c.keep(b);
  const isGreater = operation === 'smax' || operation === 'smin' ? i64x2.gtS(x, y) : greater(64, x, y);
  const isMaximum = operation === 'smax' || operation === 'umax';
  return isMaximum ? v128.bitSelect(x, y, isGreater) : v128.bitSelect(y, x, isGreater);
}

function halving(c: LaneContext, operation: VectorBinary, size: LaneSize, a: Code, b: Code): Code {
  const shape = SHAPE[size];
  const x = c.keep(a);
  const y = c.keep(b);
  const isSigned = operation[0] === 's';
  const half = (v: Code) => (isSigned ? shape.shrS(v, i32.const(1)) : shape.shrU(v, i32.const(1)));
  switch (operation) {
    case 'shadd':
    case 'uhadd':
      return shape.add(v128.and(x, y), half(v128.xor(x, y)));
    case 'urhadd':
    case 'srhadd':
      if (!isSigned && (size === 8 || size === 16)) return SHAPE[size].avgrU(x, y);
      return shape.sub(v128.or(x, y), half(v128.xor(x, y)));
    default: {
      // The halves' difference, and one less where only b is odd.
      const borrow = v128.and(v128.andNot(y, x), splatConstant(size, 1n));
      return shape.sub(shape.sub(half(x), half(y)), borrow);
    }
  }
}

/** Carry-less products of the low 8 bits of b, cut to the lane. */
function polynomialProducts(c: LaneContext, size: LaneSize, a: Code, b: Code): Code {
  const shape = SHAPE[size];
  const x = c.keep(a);
  const y = c.keep(b);
  let sum: Code = ZERO;
  for (let bit = 0; bit < 8; bit++) {
    const isSet = isNegative(size, shape.shl(y, i32.const(size - 1 - bit)));
    sum = v128.xor(sum, v128.and(shape.shl(x, i32.const(bit)), isSet));
  }
  return sum;
}

/** The result, or undefined for what shifts by register (lane-shifts.ts). */
export function binaryLanes(
  c: LaneContext,
  operation: VectorBinary,
  size: LaneSize,
  a: Code,
  b: Code,
): Code | undefined {
  const shape = SHAPE[size];
  switch (operation) {
    case 'and':
      return v128.and(a, b);
    case 'or':
      return v128.or(a, b);
    case 'xor':
      return v128.xor(a, b);
    case 'andNot':
      return v128.andNot(a, b);
    case 'add':
      return shape.add(a, b);
    case 'sub':
      return shape.sub(a, b);
    case 'mul': {
      if (size !== 8) return SHAPE[size].mul(a, b);
      const x = c.keep(a);
      const y = c.keep(b);
      return i8x16.shuffle(i16x8.extmulLowU(x, y), i16x8.extmulHighU(x, y), EVEN_BYTES);
    }
    case 'pmul':
      return polynomialProducts(c, size, a, b);
    case 'smax':
    case 'smin':
    case 'umax':
    case 'umin':
      return extreme(c, operation, size, a, b);
    case 'eq':
      return shape.eq(a, b);
    case 'gts':
      return shape.gtS(a, b);
    case 'ges':
      return shape.geS(a, b);
    case 'gtu':
      return greater(size, a, b);
    case 'geu':
      return size === 64 ? v128.not(greater(64, c.keep(b), c.keep(a))) : SHAPE[size].geU(a, b);
    case 'shadd':
    case 'uhadd':
    case 'srhadd':
    case 'urhadd':
    case 'shsub':
    case 'uhsub':
      return halving(c, operation, size, a, b);
    case 'sqadd':
    case 'uqadd':
    case 'sqsub':
    case 'uqsub':
      return saturating(c, operation, size, a, b);
    case 'suqadd': {
      // With the sign turned it is an unsigned sum.
      const biased = saturating(c, 'uqadd', size, v128.xor(a, signBit(size)), b);
      return v128.xor(biased, signBit(size));
    }
    case 'usqadd': {
      const x = c.keep(a);
      const y = c.keep(b);
      const isDown = c.keep(isNegative(size, y));
      const wrapped = c.keep(shape.add(x, y));
      // Up beyond the greatest wraps to less, down below zero wraps to more.
      const isOver = c.keep(v128.andNot(greater(size, x, wrapped), isDown));
      const isBelow = c.keep(v128.and(greater(size, wrapped, x), isDown));
      c.saturated(v128.or(isOver, isBelow));
      return v128.andNot(v128.or(wrapped, isOver), isBelow);
    }
    case 'sqdmulh':
    case 'sqrdmulh':
      if (size !== 16 && size !== 32) return undefined;
      return doublingHigh(c, size, a, b, operation === 'sqrdmulh');
    default:
      return undefined;
  }
}

// ---- shape -----------------------------------------------------------------------------------------------

/** Every lane shifted by `amount`, an i32 of 0 to `size`; `constant` where it is known. */
export function shiftedLanes(
  operation: 'shl' | 'shr' | 'sar',
  size: LaneSize,
  a: Code,
  amount: Code,
  constant: number | undefined,
): Code {
  const shape = SHAPE[size];
  const shift = operation === 'shl' ? shape.shl : operation === 'shr' ? shape.shrU : shape.shrS;
  if (constant !== undefined) {
    if (constant < size) return constant === 0 ? a : shift(a, i32.const(constant));
    return operation === 'sar' ? shift(a, i32.const(size - 1)) : ZERO;
  }
  // In two steps, since WebAssembly takes amounts modulo the lane's bits.
  const half = i32.shrU(amount, i32.const(1));
  return shift(shift(a, half), i32.sub(amount, i32.shrU(amount, i32.const(1))));
}

export function widenedLanes(signed: boolean, size: 8 | 16 | 32, high: boolean, a: Code): Code {
  const wide = ({ 8: i16x8, 16: i32x4, 32: i64x2 } as const)[size];
  if (signed) return high ? wide.extendHighS(a) : wide.extendLowS(a);
  return high ? wide.extendHighU(a) : wide.extendLowU(a);
}

export function narrowedLanes(c: LaneContext, how: Narrowing, size: 8 | 16 | 32, a: Code): Code {
  if (how === 'cut') return lowerHalves(size, a, ZERO);
  const wide = (2 * size) as 16 | 32 | 64;
  const x = c.keep(a);
  const most = how === 'sqxtn' ? (1n << BigInt(size - 1)) - 1n : (1n << BigInt(size)) - 1n;
  const least = how === 'sqxtn' ? -(1n << BigInt(size - 1)) : 0n;
  const top = splatConstant(wide, most);
  const limited =
    how === 'uqxtn'
      ? extreme(c, 'umin', wide, x, top)
      : extreme(c, 'smax', wide, extreme(c, 'smin', wide, x, top), splatConstant(wide, least));
  const result = c.keep(limited);
  c.saturated(v128.xor(result, x));
  return lowerHalves(size, result, ZERO);
}
