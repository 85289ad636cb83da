/**
 * Every function of the soft-float core with the instruction that does the same, so that qemu can judge
 * it: results, and FPSR's cumulative bits.
 */
import {
  type FloatEnvironment,
  type FloatRounding,
  type FloatSize,
  fixedToFP,
  fpAdd,
  fpCompare,
  fpConvert,
  fpDiv,
  fpMax,
  fpMaxNum,
  fpMin,
  fpMinNum,
  fpMul,
  fpMulAdd,
  fpMulX,
  fpRecipEstimate,
  fpRecipStepFused,
  fpRecpX,
  fpRoundInt,
  fpRoundIntN,
  fpRoundingMode,
  fpRSqrtEstimate,
  fpRSqrtStepFused,
  fpSqrt,
  fpSub,
  fpToFixed,
  fpToFixedJS,
  type Random,
} from '../../src/base/index.js';
import { someNumber } from './numbers.js';
import type { WordCase, WordOutcome } from './words.js';

export interface Operation {
  readonly name: string;
  /** Sizes of the operands in V1, V2 and V3, or 'x' for X1. */
  readonly operands: readonly (FloatSize | 'x')[];
  /** With Rd = 0, Rn = 1, Rm = 2, Ra = 3. */
  readonly word: number;
  /** Where the result is. */
  readonly result: 'v' | 'x' | 'nzcv';
  readonly run: (operands: readonly bigint[], env: FloatEnvironment) => bigint;
}

const FTYPE: Readonly<Record<FloatSize, number>> = { 32: 0, 64: 1, 16: 3 };
const SIZES: readonly FloatSize[] = [16, 32, 64];
const LETTER: Readonly<Record<FloatSize, string>> = { 16: 'h', 32: 's', 64: 'd' };

type One = (size: FloatSize, a: bigint, env: FloatEnvironment) => bigint;
type Two = (size: FloatSize, a: bigint, b: bigint, env: FloatEnvironment) => bigint;

/** Floating-point data-processing words. */
const scalar = (size: FloatSize, bits: number) => (0x1e20_0000 | (FTYPE[size] << 22) | bits | (1 << 5)) >>> 0;

function one(name: string, opcode: number, run: One, sizes = SIZES): Operation[] {
  return sizes.map((size) => ({
    name: `${name} ${LETTER[size]}`,
    operands: [size],
    word: scalar(size, (opcode << 15) | 0x4000),
    result: 'v',
    run: ([a], env) => run(size, a!, env),
  }));
}

function two(name: string, opcode: number, run: Two): Operation[] {
  return SIZES.map((size) => ({
    name: `${name} ${LETTER[size]}`,
    operands: [size, size],
    word: scalar(size, (2 << 16) | (opcode << 12) | 0x800),
    result: 'v',
    run: ([a, b], env) => run(size, a!, b!, env),
  }));
}

/** Advanced SIMD scalar words: by size, for binary16, binary32, binary64. */
function simd(
  name: string,
  words: readonly [h: number, s: number, d: number],
  operands: 1 | 2,
  run: Two,
): Operation[] {
  return SIZES.map((size, i) => ({
    name: `${name} ${LETTER[size]}`,
    operands: operands === 1 ? [size] : [size, size],
    word: (words[i]! | (1 << 5) | (operands === 2 ? 2 << 16 : 0)) >>> 0,
    result: 'v',
    run: ([a, b], env) => run(size, a!, b ?? 0n, env),
  }));
}

const ROUNDINGS: readonly (readonly [letter: string, rmode: number, rounding: FloatRounding])[] = [
  ['n', 0, 'tieEven'],
  ['p', 1, 'posInf'],
  ['m', 2, 'negInf'],
  ['z', 3, 'zero'],
];

function integers(): Operation[] {
  const out: Operation[] = [];
  for (const size of SIZES) {
    for (const bits of [32, 64] as const) {
      const sf = bits === 64 ? 0x8000_0000 : 0;
      const to = (name: string, low: number, fraction: number, unsigned: boolean, rounding: FloatRounding) =>
        out.push({
          name: `${name} ${bits} ${LETTER[size]} ${fraction}`,
          operands: [size],
          word: (sf | (FTYPE[size] << 22) | low | (1 << 5)) >>> 0,
          result: 'x',
          run: ([a], env) => fpToFixed(bits, size, a!, fraction, unsigned, env, rounding),
        });
      for (const unsigned of [false, true]) {
        const u = unsigned ? 1 : 0;
        const sign = unsigned ? 'u' : 's';
        for (const [letter, rmode, rounding] of ROUNDINGS) {
          to(`fcvt${letter}${sign}`, 0x1e20_0000 | (rmode << 19) | (u << 16), 0, unsigned, rounding);
        }
        to(`fcvta${sign}`, 0x1e20_0000 | ((4 + u) << 16), 0, unsigned, 'tieAway');
        for (const fraction of [1, 13, bits]) {
          const scale = (64 - fraction) << 10;
          to(`fcvtz${sign}`, 0x1e18_0000 | (u << 16) | scale, fraction, unsigned, 'zero');
        }
        for (const fraction of [0, 1, 13, bits]) {
          const low = fraction === 0 ? 0x1e22_0000 : 0x1e02_0000 | ((64 - fraction) << 10);
          out.push({
            name: `${sign}cvtf ${LETTER[size]} ${bits} ${fraction}`,
            operands: ['x'],
            word: (sf | (FTYPE[size] << 22) | low | (u << 16) | (1 << 5)) >>> 0,
            result: 'v',
            run: ([a], env) => fixedToFP(size, bits, a!, fraction, unsigned, env, fpRoundingMode(env)),
          });
        }
      }
    }
  }
  return out;
}

const round =
  (rounding: FloatRounding | undefined, exact = false): One =>
  (size, a, env) =>
    fpRoundInt(size, a, env, rounding ?? fpRoundingMode(env), exact);
const roundN =
  (bits: 32 | 64, rounding: FloatRounding | undefined): One =>
  (size, a, env) =>
    fpRoundIntN(size, a, env, rounding ?? fpRoundingMode(env), bits);

function conversions(): Operation[] {
  return SIZES.flatMap((from) =>
    SIZES.filter((to) => to !== from).map((to) => ({
      name: `fcvt ${LETTER[to]} ${LETTER[from]}`,
      operands: [from],
      word: scalar(from, ((4 | FTYPE[to]) << 15) | 0x4000),
      result: 'v' as const,
      run: ([a]: readonly bigint[], env: FloatEnvironment) =>
        fpConvert(to, from, a!, env, fpRoundingMode(env)),
    })),
  );
}

const comparisons: readonly Operation[] = SIZES.flatMap((size) =>
  [false, true].map((signalNaNs) => ({
    name: `${signalNaNs ? 'fcmpe' : 'fcmp'} ${LETTER[size]}`,
    operands: [size, size],
    word: scalar(size, (2 << 16) | 0x2000 | (signalNaNs ? 0x10 : 0)),
    result: 'nzcv' as const,
    run: ([a, b]: readonly bigint[], env: FloatEnvironment) =>
      BigInt(fpCompare(size, a!, b!, signalNaNs, env)),
  })),
);

const single: readonly Operation[] = [
  {
    name: 'fjcvtzs',
    operands: [64],
    word: 0x1e7e_0020,
    result: 'x',
    run: ([a], env) => fpToFixedJS(a!, env),
  },
  {
    name: 'fcvtxn',
    operands: [64],
    word: 0x7e61_6820,
    result: 'v',
    run: ([a], env) => fpConvert(32, 64, a!, env, 'odd'),
  },
];

const fused: readonly Operation[] = SIZES.map((size) => ({
  name: `fmadd ${LETTER[size]}`,
  operands: [size, size, size],
  word: (0x1f00_0000 | (FTYPE[size] << 22) | (2 << 16) | (3 << 10) | (1 << 5)) >>> 0,
  result: 'v',
  run: ([a, b, c], env) => fpMulAdd(size, c!, a!, b!, env),
}));

/** Everything, in a fixed order. */
export const OPERATIONS: readonly Operation[] = [
  ...one('fsqrt', 3, fpSqrt),
  ...one('frintn', 8, round('tieEven')),
  ...one('frintp', 9, round('posInf')),
  ...one('frintm', 10, round('negInf')),
  ...one('frintz', 11, round('zero')),
  ...one('frinta', 12, round('tieAway')),
  ...one('frintx', 14, round(undefined, true)),
  ...one('frinti', 15, round(undefined)),
  ...one('frint32z', 16, roundN(32, 'zero'), [32, 64]),
  ...one('frint32x', 17, roundN(32, undefined), [32, 64]),
  ...one('frint64z', 18, roundN(64, 'zero'), [32, 64]),
  ...one('frint64x', 19, roundN(64, undefined), [32, 64]),
  ...conversions(),
  ...two('fmul', 0, fpMul),
  ...two('fdiv', 1, fpDiv),
  ...two('fadd', 2, fpAdd),
  ...two('fsub', 3, fpSub),
  ...two('fmax', 4, fpMax),
  ...two('fmin', 5, fpMin),
  ...two('fmaxnm', 6, fpMaxNum),
  ...two('fminnm', 7, fpMinNum),
  ...fused,
  ...comparisons,
  ...single,
  ...integers(),
  ...simd('fmulx', [0x5e40_1c00, 0x5e20_dc00, 0x5e60_dc00], 2, fpMulX),
  ...simd('frecps', [0x5e40_3c00, 0x5e20_fc00, 0x5e60_fc00], 2, fpRecipStepFused),
  ...simd('frsqrts', [0x5ec0_3c00, 0x5ea0_fc00, 0x5ee0_fc00], 2, fpRSqrtStepFused),
  ...simd('frecpe', [0x5ef9_d800, 0x5ea1_d800, 0x5ee1_d800], 1, (size, a, _, env) =>
    fpRecipEstimate(size, a, env),
  ),
  ...simd('frsqrte', [0x7ef9_d800, 0x7ea1_d800, 0x7ee1_d800], 1, (size, a, _, env) =>
    fpRSqrtEstimate(size, a, env),
  ),
  ...simd('frecpx', [0x5ef9_f800, 0x5ea1_f800, 0x5ee1_f800], 1, (size, a, _, env) => fpRecpX(size, a, env)),
];

/** Operands for an operation. */
export function someOperands(random: Random, { operands }: Operation): bigint[] {
  const out: bigint[] = [];
  for (const size of operands) {
    if (size === 'x') {
      const bits = random.u64() >> BigInt(random.below(64));
      out.push(random.below(2) === 0 ? bits : BigInt.asUintN(64, -bits));
    } else {
      const before = out.at(-1);
      out.push(someNumber(random, size, before));
    }
  }
  return out;
}

/** The case that has qemu do the operation. */
export function caseOf({ operands, word }: Operation, values: readonly bigint[], fpcr: number): WordCase {
  const v = [0n, 0n, 0n, 0n];
  const x = [0n, 0n];
  for (const [i, value] of values.entries()) {
    if (operands[i] === 'x') x[1] = value;
    else v[i + 1] = value;
  }
  return { word, fpcr, nzcv: 0, x, v };
}

export function resultOf({ result }: Operation, { x, v, nzcv }: WordOutcome): bigint {
  return result === 'x' ? x[0] : result === 'v' ? v[0] : BigInt(nzcv);
}
