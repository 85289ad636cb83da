/**
 * Vector instructions of WebAssembly, as code.ts has the integer ones; by the shape of their lanes.
 *
 * Ref. WebAssembly Core Specification 2.0, sections 4.3.4 (vector operations) and 5.4.8.
 */
import {
  type Code,
  Immediate,
  Instruction,
  indexed,
  memory,
  plain,
  VECTOR,
  withBytes,
} from './instruction.js';

const unary = (opcode: number) => (a: Code) => plain(VECTOR + opcode, a);
const binary = (opcode: number) => (a: Code, b: Code) => plain(VECTOR + opcode, a, b);
const ternary = (opcode: number) => (a: Code, b: Code, c: Code) => plain(VECTOR + opcode, a, b, c);
/** No alignment is promised. */
const load =
  (opcode: number) =>
  (address: Code, offset = 0) =>
    memory(VECTOR + opcode, 0, offset, address);
const store =
  (opcode: number) =>
  (address: Code, value: Code, offset = 0) =>
    memory(VECTOR + opcode, 0, offset, address, value);
const storeLane =
  (opcode: number) =>
  (lane: number, address: Code, value: Code, offset = 0): Code =>
    new Instruction(
      VECTOR + opcode,
      Immediate.memoryLane,
      offset,
      lane,
      address,
      value,
      undefined,
      undefined,
    );
const extract = (opcode: number) => (lane: number, a: Code) => indexed(VECTOR + opcode, lane, a);
const replace = (opcode: number) => (lane: number, a: Code, value: Code) =>
  indexed(VECTOR + opcode, lane, a, value);

function bytesOf(value: bigint): number[] {
  return Array.from({ length: 16 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

export const v128 = {
  const: (value: bigint): Code => withBytes(VECTOR + 12, bytesOf(value)),
  load: load(0),
  load32Zero: load(92),
  load64Zero: load(93),
  store: store(11),
  store8Lane: storeLane(88),
  store16Lane: storeLane(89),
  store32Lane: storeLane(90),
  store64Lane: storeLane(91),
  not: unary(77),
  and: binary(78),
  /** a & ~b. */
  andNot: binary(79),
  or: binary(80),
  xor: binary(81),
  /** Bits of a where the mask has ones, of b elsewhere. */
  bitSelect: ternary(82),
  /** i32: 1 where any bit is one. */
  anyTrue: unary(83),
} as const;

interface Opcodes {
  readonly splat: number;
  /** Unsigned where there are two. */
  readonly extract: number;
  readonly replace: number;
  /** eq, ne, and then ltS, ltU, gtS, ... */
  readonly eq: number;
  readonly abs: number;
  readonly neg: number;
  readonly allTrue: number;
  readonly shl: number;
  readonly add: number;
  readonly sub: number;
}

/** What all shapes of integers have. */
const integers = (o: Opcodes) => ({
  splat: unary(o.splat),
  extract: extract(o.extract),
  replace: replace(o.replace),
  eq: binary(o.eq),
  abs: unary(o.abs),
  neg: unary(o.neg),
  allTrue: unary(o.allTrue),
  /** Shifts by an i32, modulo the lane's bits. */
  shl: binary(o.shl),
  shrS: binary(o.shl + 1),
  shrU: binary(o.shl + 2),
  add: binary(o.add),
  sub: binary(o.sub),
});

const comparisons = (eq: number) => ({
  ltU: binary(eq + 3),
  gtS: binary(eq + 4),
  gtU: binary(eq + 5),
  geS: binary(eq + 8),
  geU: binary(eq + 9),
});

const extremes = (minS: number) => ({
  minS: binary(minS),
  minU: binary(minS + 1),
  maxS: binary(minS + 2),
  maxU: binary(minS + 3),
});

/** Lanes of half the width, of the lower or upper half, extended to these. */
const extensions = (lowS: number) => ({
  extendLowS: unary(lowS),
  extendHighS: unary(lowS + 1),
  extendLowU: unary(lowS + 2),
  extendHighU: unary(lowS + 3),
});

const products = (lowS: number) => ({
  extmulLowS: binary(lowS),
  extmulHighS: binary(lowS + 1),
  extmulLowU: binary(lowS + 2),
  extmulHighU: binary(lowS + 3),
});

export const i8x16 = {
  ...integers({
    splat: 15,
    extract: 22,
    replace: 23,
    eq: 35,
    abs: 96,
    neg: 97,
    allTrue: 99,
    shl: 107,
    add: 110,
    sub: 113,
  }),
  ...comparisons(35),
  ...extremes(118),
  /** Byte i is byte `pattern[i]` of a, then b. */
  shuffle: (a: Code, b: Code, pattern: readonly number[]): Code => withBytes(VECTOR + 13, pattern, a, b),
  /** Byte i is byte `indices[i]` of `table`, 0 where that is above 15. */
  swizzle: binary(14),
  popcnt: unary(98),
  addSatS: binary(111),
  addSatU: binary(112),
  subSatS: binary(114),
  subSatU: binary(115),
  avgrU: binary(123),
} as const;

export const i16x8 = {
  ...integers({
    splat: 16,
    extract: 25,
    replace: 26,
    eq: 45,
    abs: 128,
    neg: 129,
    allTrue: 131,
    shl: 139,
    add: 142,
    sub: 145,
  }),
  ...comparisons(45),
  ...extremes(150),
  ...extensions(135),
  ...products(156),
  mul: binary(149),
  addSatS: binary(143),
  addSatU: binary(144),
  subSatS: binary(146),
  subSatU: binary(147),
  avgrU: binary(155),
} as const;

export const i32x4 = {
  ...integers({
    splat: 17,
    extract: 27,
    replace: 28,
    eq: 55,
    abs: 160,
    neg: 161,
    allTrue: 163,
    shl: 171,
    add: 174,
    sub: 177,
  }),
  ...comparisons(55),
  ...extremes(182),
  ...extensions(167),
  ...products(188),
  mul: binary(181),
} as const;

export const i64x2 = {
  ...integers({
    splat: 18,
    extract: 29,
    replace: 30,
    eq: 214,
    abs: 192,
    neg: 193,
    allTrue: 195,
    shl: 203,
    add: 206,
    sub: 209,
  }),
  ...extensions(199),
  ...products(220),
  gtS: binary(217),
  geS: binary(219),
  mul: binary(213),
} as const;

/** What both shapes of floating-point lanes have, from the opcodes of `eq` and `abs`. */
const floats = (eq: number, abs: number) => ({
  eq: binary(eq),
  ne: binary(eq + 1),
  lt: binary(eq + 2),
  gt: binary(eq + 3),
  le: binary(eq + 4),
  ge: binary(eq + 5),
  abs: unary(abs),
  neg: unary(abs + 1),
  sqrt: unary(abs + 3),
  add: binary(abs + 4),
  sub: binary(abs + 5),
  mul: binary(abs + 6),
  div: binary(abs + 7),
  min: binary(abs + 8),
  max: binary(abs + 9),
});

export const f32x4 = {
  ...floats(65, 224),
  splat: unary(19),
  extract: extract(31),
  replace: replace(32),
  /** Two f64 lanes rounded; zeros above. */
  demoteZero: unary(94),
} as const;

export const f64x2 = {
  ...floats(71, 236),
  splat: unary(20),
  extract: extract(33),
  replace: replace(34),
  /** The two lower f32 lanes, exactly. */
  promoteLow: unary(95),
} as const;
