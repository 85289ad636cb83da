/**
 * What the Advanced SIMD rows share: lanes, pairs, reductions, and how a result goes to its register.
 *
 * Vectors of 64 bits are read with zeros above, and what operations make of those zeros is cleared by the
 * write; so one text serves both widths, and only operations that move lanes ask for `Q`.
 *
 * Ref. DDI 0487, C4.1 "Data Processing -- Scalar Floating-Point and Advanced SIMD"; J1.3 Reduce.
 */
import type { Builder, FpSize, LaneSize, VectorBinary, Words } from '../builder.js';

/** Bits of an encoding that a table gives: the type of a pattern with such a part keeps its fields. */
export type Bits = `0${string}` | `1${string}`;

/** Bits of a lane by the `size` field. */
export const laneOf = (size: number): LaneSize => (8 << size) as LaneSize;
/** Bits of a lane that is half as wide as another. */
export const narrowOf = (size: number): 8 | 16 | 32 => (8 << size) as 8 | 16 | 32;
/** Bits of a number by the `sz` field. */
export const floatOf = (sz: number): FpSize => (sz ? 64 : 32);
/** Bits of a vector. */
export const vectorOf = (Q: number): 64 | 128 => (Q ? 128 : 64);

/** One result lane by lane from two sources and the destination's old value, which few look at. */
export type Combine = <T extends Words>(
  b: Builder<T>,
  size: LaneSize,
  n: T['q'],
  m: T['q'],
  old: () => T['q'],
) => T['q'];

/** The same of one source. */
export type Change = <T extends Words>(b: Builder<T>, size: LaneSize, n: T['q'], old: () => T['q']) => T['q'];

/** A lane-wise operation of the builder as a Combine. */
export const lanewise =
  (operation: VectorBinary): Combine =>
  (b, size, n, m) =>
    b.v2(operation, size, n, m);

/** All ones in every lane. */
export const allOnes = <T extends Words>(b: Builder<T>): T['q'] => b.immV((1n << 128n) - 1n);
export const zeros = <T extends Words>(b: Builder<T>): T['q'] => b.immV(0n);

/** A constant in every lane. */
export const constant = <T extends Words>(b: Builder<T>, size: LaneSize, value: bigint): T['q'] => {
  let bits = 0n;
  for (let at = 0n; at < 128n; at += BigInt(size)) bits |= BigInt.asUintN(size, value) << at;
  return b.immV(bits);
};

// ---- sign bits of floating-point lanes ---------------------------------------------------------------

/** FPNeg of all lanes. */
export const negated = <T extends Words>(b: Builder<T>, size: LaneSize, a: T['q']): T['q'] =>
  b.v2('xor', 64, a, constant(b, size, 1n << BigInt(size - 1)));
/** FPAbs of all lanes. */
export const absolute = <T extends Words>(b: Builder<T>, size: LaneSize, a: T['q']): T['q'] =>
  b.v2('andNot', 64, a, constant(b, size, 1n << BigInt(size - 1)));

// ---- moving lanes ------------------------------------------------------------------------------------

const patterns = new Map<string, readonly number[]>();

/** A pattern of bytes for `shuffle`, made once for each name. */
export function pattern(name: string, make: (byte: number) => number): readonly number[] {
  const known = patterns.get(name);
  if (known !== undefined) return known;
  const made = Array.from({ length: 16 }, (_, byte) => make(byte));
  patterns.set(name, made);
  return made;
}

/**
 * Byte patterns of lanes: lane i of the result is lane `from(i)` of `n` followed by `m`, both of
 * vector(`Q`); above 64 bits of a short vector are the zeros of `n`.
 */
export function lanePattern(
  name: string,
  size: LaneSize,
  Q: number,
  from: (lane: number) => number,
): readonly number[] {
  const bytes = size / 8;
  const total = vectorOf(Q) / 8;
  return pattern(`${name}:${size}:${Q}`, (byte) => {
    if (byte >= total) return byte;
    const source = from(Math.floor(byte / bytes)) * bytes + (byte % bytes);
    return source < total ? source : 16 + source - total;
  });
}

/** Lanes 0, 2, 4, ... and 1, 3, 5, ... of `n` followed by `m`. */
export function deinterleaved<T extends Words>(
  b: Builder<T>,
  size: LaneSize,
  Q: number,
  n: T['q'],
  m: T['q'],
): readonly [even: T['q'], odd: T['q']] {
  const first = b.letV(n);
  const second = b.letV(m);
  return [
    b.shuffle(
      first,
      second,
      lanePattern('even', size, Q, (lane) => 2 * lane),
    ),
    b.shuffle(
      first,
      second,
      lanePattern('odd', size, Q, (lane) => 2 * lane + 1),
    ),
  ];
}

/**
 * Reduce: the lanes of a vector combined to one, neighbours first, as the pseudocode's recursion does it.
 * `combine` also gets how many lanes count.
 */
export function reduced<T extends Words>(
  b: Builder<T>,
  size: LaneSize,
  lanes: number,
  a: T['q'],
  combine: (x: T['q'], y: T['q'], lanes: number) => T['q'],
): T['q'] {
  let value = a;
  for (let left = lanes; left > 1; left /= 2) {
    const named = b.letV(value);
    const even = b.shuffle(
      named,
      named,
      lanePattern('even', size, 1, (lane) => 2 * lane),
    );
    const odd = b.shuffle(
      named,
      named,
      lanePattern('odd', size, 1, (lane) => 2 * lane + 1),
    );
    value = combine(even, odd, left / 2);
  }
  return value;
}

/** `change` done to each of the lowest `lanes` lanes, a number at a time; lanes may change their size. */
export function mapped<T extends Words>(
  b: Builder<T>,
  from: LaneSize,
  to: LaneSize,
  lanes: number,
  a: T['q'],
  change: (lane: T['x']) => T['x'],
): T['q'] {
  const source = b.letV(a);
  let out = zeros(b);
  for (let lane = 0; lane < lanes; lane++) {
    out = b.setLane(to, out, b.imm(lane), change(b.getLane(from, source, b.imm(lane))));
  }
  return out;
}

/** Neighbouring lanes of `size` bits added up, each sum in a lane of twice the size. */
export function pairSums<T extends Words>(
  b: Builder<T>,
  signed: boolean,
  size: 8 | 16 | 32,
  a: T['q'],
): T['q'] {
  const wide = (2 * size) as LaneSize;
  const value = b.letV(a);
  const right = signed ? 'sar' : 'shr';
  const even = b.vShift(right, wide, b.vShift('shl', wide, value, b.imm(size)), b.imm(size));
  return b.v2('add', wide, even, b.vShift(right, wide, value, b.imm(size)));
}

/** Every lane of a named vector rotated right. */
export const rotatedLanes = <T extends Words>(
  b: Builder<T>,
  size: LaneSize,
  a: T['q'],
  amount: number,
): T['q'] =>
  b.v2('or', 64, b.vShift('shr', size, a, b.imm(amount)), b.vShift('shl', size, a, b.imm(size - amount)));

/**
 * The result of a narrowing instruction: it clears the upper half of its destination, or (Q = 1, the
 * forms whose names end in 2) keeps the lower half and replaces the upper one.
 */
export function writeHalf<T extends Words>(b: Builder<T>, Q: number, rd: T['vreg'], low: T['q']): void {
  if (Q === 0) b.writeV(64, rd, low);
  else {
    const upper = b.getLane(64, low, b.imm(0));
    b.writeV(128, rd, b.setLane(64, b.readV(128, rd), b.imm(1), upper));
  }
}

/** Both names of an instruction that works on the lower (Q = 0) or upper half of narrow lanes. */
export const halfNames = (name: string) => ({ [name]: { Q: 0 }, [`${name}2`]: { Q: 1 } }) as const;
