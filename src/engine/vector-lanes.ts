/**
 * Lane-wise arithmetic of the evaluator: what each operation on vectors does to one lane.
 *
 * Lanes are unsigned bigints below 2^size. Clarity before speed: an operation is one line of arithmetic on
 * exact integers, cut to the lane at the end. What programs do most (bitwise operations, comparisons, sums,
 * extremes, permutations) is done on whole vectors or on numbers instead.
 *
 * Ref. DDI 0487, C7.2 (the instructions that operations are named after), J1.3 SignedSatQ, UnsignedSatQ.
 */
import type { LaneSize, Narrowing, VectorBinary, VectorTernary, VectorUnary } from '../../isa/index.js';
import { unsignedRecipEstimate, unsignedRSqrtEstimate } from '../base/index.js';

/** Where saturation is noted; the caller adds it to FPSR.QC. */
export interface Saturation {
  saturated: boolean;
}

const MASK128 = (1n << 128n) - 1n;
const MASK64 = (1n << 64n) - 1n;

// ---- vectors as arrays of numbers --------------------------------------------------------------------

/** Two operands and a result, each seen as lanes of 8, 16 and 32 bits. */
const arrays = [0, 1, 2].map(() => {
  const halves = new BigUint64Array(2);
  const { buffer } = halves;
  return { halves, 8: new Uint8Array(buffer), 16: new Uint16Array(buffer), 32: new Uint32Array(buffer) };
});
const [first, second, result] = arrays as [Lanes, Lanes, Lanes];
type Lanes = (typeof arrays)[number];

function put(lanes: Lanes, vector: bigint): void {
  lanes.halves[0] = vector;
  lanes.halves[1] = vector >> 64n;
}

const take = ({ halves }: Lanes): bigint => halves[0]! | (halves[1]! << 64n);

/** Operations on lanes of up to 32 bits; `u` is 32 less the lane's size, so that `x << u >> u` is signed. */
const ON_NUMBERS: Readonly<Partial<Record<VectorBinary, (x: number, y: number, u: number) => number>>> = {
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => Math.imul(x, y),
  umax: (x, y) => (x > y ? x : y),
  umin: (x, y) => (x < y ? x : y),
  smax: (x, y, u) => (x << u > y << u ? x : y),
  smin: (x, y, u) => (x << u < y << u ? x : y),
  eq: (x, y) => (x === y ? -1 : 0),
  gtu: (x, y) => (x > y ? -1 : 0),
  geu: (x, y) => (x >= y ? -1 : 0),
  gts: (x, y, u) => (x << u > y << u ? -1 : 0),
  ges: (x, y, u) => (x << u >= y << u ? -1 : 0),
  urhadd: (x, y) => Math.floor((x + y + 1) / 2),
  uhadd: (x, y) => Math.floor((x + y) / 2),
};

function saturateSigned(size: number, value: bigint, q: Saturation): bigint {
  const kept = BigInt.asIntN(size, value);
  if (kept === value) return kept;
  q.saturated = true;
  const limit = 1n << BigInt(size - 1);
  return value < 0n ? -limit : limit - 1n;
}

function saturateUnsigned(size: number, value: bigint, q: Saturation): bigint {
  if (value >= 0n && BigInt.asUintN(size, value) === value) return value;
  q.saturated = true;
  return value < 0n ? 0n : (1n << BigInt(size)) - 1n;
}

/** The lanes of `count` * `size` bits, each through `change`; zeros above. */
export function mapLanes(size: number, count: number, change: (lane: number) => bigint): bigint {
  let out = 0n;
  for (let lane = count - 1; lane >= 0; lane--) {
    out = (out << BigInt(size)) | BigInt.asUintN(size, change(lane));
  }
  return out;
}

export function laneOf(size: number, vector: bigint, lane: number): bigint {
  return BigInt.asUintN(size, vector >> BigInt(size * lane));
}

// ---- one vector --------------------------------------------------------------------------------------

function leadingZeros(size: number, a: bigint): bigint {
  return BigInt(a === 0n ? size : size - a.toString(2).length);
}

function reverseByte(a: number): number {
  let out = 0;
  for (let bit = 0; bit < 8; bit++) if ((a >> bit) & 1) out |= 128 >> bit;
  return out;
}

function countOnes(a: bigint): number {
  let count = 0;
  for (let rest = Number(a); rest !== 0; rest &= rest - 1) count++;
  return count;
}

type Unary = (size: LaneSize, a: bigint, q: Saturation) => bigint;

const UNARY: Readonly<Record<VectorUnary, Unary>> = {
  not: (_, a) => ~a,
  neg: (_, a) => -a,
  abs: (size, a) => {
    const value = BigInt.asIntN(size, a);
    return value < 0n ? -value : value;
  },
  clz: leadingZeros,
  cls: (size, a) => {
    const value = BigInt.asIntN(size, a);
    return leadingZeros(size, value < 0n ? BigInt.asUintN(size, ~a) : a) - 1n;
  },
  cnt: (_, a) => BigInt(countOnes(a)),
  rbit: (_, a) => BigInt(reverseByte(Number(a))),
  sqabs: (size, a, q) => {
    const value = BigInt.asIntN(size, a);
    return saturateSigned(size, value < 0n ? -value : value, q);
  },
  sqneg: (size, a, q) => saturateSigned(size, -BigInt.asIntN(size, a), q),
  urecpe: (_, a) => BigInt(unsignedRecipEstimate(Number(a))),
  ursqrte: (_, a) => BigInt(unsignedRSqrtEstimate(Number(a))),
};

export function vectorUnary(operation: VectorUnary, size: LaneSize, a: bigint, q: Saturation): bigint {
  if (operation === 'not') return a ^ MASK128;
  const change = UNARY[operation];
  return mapLanes(size, 128 / size, (lane) => change(size, laneOf(size, a, lane), q));
}

// ---- two vectors -------------------------------------------------------------------------------------

/** `value` shifted left by the signed low byte of `by`, or right, rounding where asked. */
function shifted(value: bigint, by: bigint, rounding: boolean): bigint {
  const amount = BigInt.asIntN(8, by);
  if (amount >= 0n) return value << amount;
  return ((rounding ? 1n << (-amount - 1n) : 0n) + value) >> -amount;
}

function polynomialProduct8(a: bigint, b: bigint): bigint {
  let out = 0n;
  for (let bit = 0n; bit < 8n; bit++) if ((b >> bit) & 1n) out ^= a << bit;
  return out;
}

type Binary = (size: LaneSize, a: bigint, b: bigint, q: Saturation) => bigint;

const s = (size: LaneSize, a: bigint) => BigInt.asIntN(size, a);
const mask = (holds: boolean) => (holds ? -1n : 0n);

const BINARY: Readonly<Record<VectorBinary, Binary>> = {
  and: (_, a, b) => a & b,
  or: (_, a, b) => a | b,
  xor: (_, a, b) => a ^ b,
  andNot: (_, a, b) => a & ~b,
  add: (_, a, b) => a + b,
  sub: (_, a, b) => a - b,
  mul: (_, a, b) => a * b,
  pmul: (_, a, b) => polynomialProduct8(a, b),
  smax: (n, a, b) => (s(n, a) > s(n, b) ? a : b),
  smin: (n, a, b) => (s(n, a) < s(n, b) ? a : b),
  umax: (_, a, b) => (a > b ? a : b),
  umin: (_, a, b) => (a < b ? a : b),
  eq: (_, a, b) => mask(a === b),
  gts: (n, a, b) => mask(s(n, a) > s(n, b)),
  ges: (n, a, b) => mask(s(n, a) >= s(n, b)),
  gtu: (_, a, b) => mask(a > b),
  geu: (_, a, b) => mask(a >= b),
  shadd: (n, a, b) => (s(n, a) + s(n, b)) >> 1n,
  uhadd: (_, a, b) => (a + b) >> 1n,
  srhadd: (n, a, b) => (s(n, a) + s(n, b) + 1n) >> 1n,
  urhadd: (_, a, b) => (a + b + 1n) >> 1n,
  shsub: (n, a, b) => (s(n, a) - s(n, b)) >> 1n,
  uhsub: (_, a, b) => (a - b) >> 1n,
  sqadd: (n, a, b, q) => saturateSigned(n, s(n, a) + s(n, b), q),
  uqadd: (n, a, b, q) => saturateUnsigned(n, a + b, q),
  sqsub: (n, a, b, q) => saturateSigned(n, s(n, a) - s(n, b), q),
  uqsub: (n, a, b, q) => saturateUnsigned(n, a - b, q),
  suqadd: (n, a, b, q) => saturateSigned(n, s(n, a) + b, q),
  usqadd: (n, a, b, q) => saturateUnsigned(n, a + s(n, b), q),
  sqdmulh: (n, a, b, q) => saturateSigned(n, (2n * s(n, a) * s(n, b)) >> BigInt(n), q),
  sqrdmulh: (n, a, b, q) =>
    saturateSigned(n, (2n * s(n, a) * s(n, b) + (1n << BigInt(n - 1))) >> BigInt(n), q),
  sshl: (n, a, b) => shifted(s(n, a), b, false),
  ushl: (_, a, b) => shifted(a, b, false),
  srshl: (n, a, b) => shifted(s(n, a), b, true),
  urshl: (_, a, b) => shifted(a, b, true),
  sqshl: (n, a, b, q) => saturateSigned(n, shifted(s(n, a), b, false), q),
  uqshl: (n, a, b, q) => saturateUnsigned(n, shifted(a, b, false), q),
  sqrshl: (n, a, b, q) => saturateSigned(n, shifted(s(n, a), b, true), q),
  uqrshl: (n, a, b, q) => saturateUnsigned(n, shifted(a, b, true), q),
  sqshlu: (n, a, b, q) => saturateUnsigned(n, shifted(s(n, a), b, false), q),
};

export function vectorBinary(
  operation: VectorBinary,
  size: LaneSize,
  a: bigint,
  b: bigint,
  q: Saturation,
): bigint {
  switch (operation) {
    case 'and':
      return a & b;
    case 'or':
      return a | b;
    case 'xor':
      return a ^ b;
    case 'andNot':
      return a & ~b;
    default: {
      const onNumbers = ON_NUMBERS[operation];
      if (onNumbers !== undefined && size !== 64) {
        put(first, a);
        put(second, b);
        const x = first[size];
        const y = second[size];
        const out = result[size];
        for (let i = 0; i < x.length; i++) out[i] = onNumbers(x[i]!, y[i]!, 32 - size);
        return take(result);
      }
      const change = BINARY[operation];
      return mapLanes(size, 128 / size, (lane) =>
        change(size, laneOf(size, a, lane), laneOf(size, b, lane), q),
      );
    }
  }
}

/** SQRDMLAH (`sign` 1) and SQRDMLSH (-1): (acc * 2^size + sign * 2 * a * b + rounding) / 2^size. */
function accumulateHigh(
  size: LaneSize,
  sign: bigint,
  c: bigint,
  a: bigint,
  b: bigint,
  q: Saturation,
): bigint {
  const product = sign * 2n * s(size, a) * s(size, b);
  const sum = (s(size, c) << BigInt(size)) + product + (1n << BigInt(size - 1));
  return saturateSigned(size, sum >> BigInt(size), q);
}

export function vectorTernary(
  operation: VectorTernary,
  size: LaneSize,
  first: bigint,
  a: bigint,
  b: bigint,
  q: Saturation,
): bigint {
  if (operation === 'bitSelect') return (a & first) | (b & ~first);
  const sign = operation === 'sqrdmlah' ? 1n : -1n;
  return mapLanes(size, 128 / size, (lane) =>
    accumulateHigh(size, sign, laneOf(size, first, lane), laneOf(size, a, lane), laneOf(size, b, lane), q),
  );
}

// ---- shape -------------------------------------------------------------------------------------------

export function vectorShift(
  operation: 'shl' | 'shr' | 'sar',
  size: LaneSize,
  a: bigint,
  amount: bigint,
): bigint {
  return mapLanes(size, 128 / size, (lane) => {
    const value = laneOf(size, a, lane);
    if (operation === 'shl') return value << amount;
    return (operation === 'shr' ? value : s(size, value)) >> amount;
  });
}

export function vectorWiden(signed: boolean, size: 8 | 16 | 32, high: boolean, a: bigint): bigint {
  const half = high ? a >> 64n : a;
  return mapLanes(2 * size, 64 / size, (lane) => {
    const value = laneOf(size, half, lane);
    return signed ? s(size, value) : value;
  });
}

export function vectorNarrow(how: Narrowing, size: 8 | 16 | 32, a: bigint, q: Saturation): bigint {
  const wide = (2 * size) as 16 | 32 | 64;
  return mapLanes(size, 64 / size, (lane) => {
    const value = laneOf(wide, a, lane);
    switch (how) {
      case 'cut':
        return value;
      case 'sqxtn':
        return saturateSigned(size, s(wide, value), q);
      case 'uqxtn':
        return saturateUnsigned(size, value, q);
      case 'sqxtun':
        return saturateUnsigned(size, s(wide, value), q);
    }
  });
}

export function splatLanes(size: LaneSize, value: bigint): bigint {
  let out = BigInt.asUintN(size, value);
  for (let width = size as number; width < 128; width *= 2) out |= out << BigInt(width);
  return out;
}

export function replaceLane(size: LaneSize, a: bigint, index: number, value: bigint): bigint {
  const at = BigInt(size * index);
  const ones = (1n << BigInt(size)) - 1n;
  return (a & ~(ones << at)) | (BigInt.asUintN(size, value) << at);
}

export function shuffleBytes(a: bigint, b: bigint, pattern: readonly number[]): bigint {
  put(first, a);
  put(second, b);
  const out = result[8];
  for (let i = 0; i < 16; i++) {
    const from = pattern[i]!;
    out[i] = (from < 16 ? first : second)[8][from & 15]!;
  }
  return take(result);
}

export function swizzleBytes(table: bigint, indices: bigint): bigint {
  put(first, table);
  put(second, indices);
  const out = result[8];
  for (let i = 0; i < 16; i++) {
    const index = second[8][i]!;
    out[i] = index > 15 ? 0 : first[8][index]!;
  }
  return take(result);
}

/** PolynomialMult of two 64-bit numbers. */
export function carrylessProduct(a: bigint, b: bigint): bigint {
  let out = 0n;
  let shiftedA = BigInt.asUintN(64, a);
  for (let rest = b & MASK64; rest !== 0n; rest >>= 1n) {
    if ((rest & 1n) !== 0n) out ^= shiftedA;
    shiftedA <<= 1n;
  }
  return out;
}
