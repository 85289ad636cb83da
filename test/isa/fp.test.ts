/**
 * Scalar floating point in text: spellings that no disassembly prints, what both assemblers refuse, and
 * what semantics ask of the machine, in which order.
 */
import { describe, expect, it } from 'vitest';
import { DEFAULT_FEATURES, disassemble, FP_FEATURES, ROWS } from '../../isa/index.js';
import { encodeLine } from './assemble-lines.js';
import { AS, gnuAs, hasTool } from './oracle.js';
import { effectsOf } from './text-builder.js';

const tool = hasTool(AS);

const SPELLINGS: readonly (readonly [written: string, printed: string])[] = [
  ['fmov s0, #1.0', 'fmov s0, #1.000000000000000000e+00'],
  ['fmov d31, #-0.125', 'fmov d31, #-1.250000000000000000e-01'],
  ['fmov h7, #31', 'fmov h7, #3.100000000000000000e+01'],
  ['fmov d0, 1.9375', 'fmov d0, #1.937500000000000000e+00'],
  ['fmov d0, #1e0', 'fmov d0, #1.000000000000000000e+00'],
  ['fmov d0, xzr', 'fmov d0, xzr'],
  ['fmov s0, wzr', 'fmov s0, wzr'],
  ['fmov h1, x2', 'fmov h1, x2'],
  ['fmov w1, h2', 'fmov w1, h2'],
  ['fmov v1.d[1], x0', 'fmov v1.d[1], x0'],
  ['fmov x0, v31.d[1]', 'fmov x0, v31.d[1]'],
  ['fcmp s0, #0', 'fcmp s0, #0.0'],
  ['fcmp d0, 0.0', 'fcmp d0, #0.0'],
  ['fcmpe h0, #0.0', 'fcmpe h0, #0.0'],
  ['fccmp d1, d2, #15, hs', 'fccmp d1, d2, #0xf, cs'],
  ['fcsel s1, s2, s3, lo', 'fcsel s1, s2, s3, cc'],
  ['fcvtzs w0, s1, #32', 'fcvtzs w0, s1, #32'],
  ['scvtf d0, x1, 64', 'scvtf d0, x1, #64'],
  ['ucvtf h0, wzr', 'ucvtf h0, wzr'],
  ['fcvt d0, h1', 'fcvt d0, h1'],
  ['FADD D0, D1, D2', 'fadd d0, d1, d2'],
  ['frint64x s0, s1', 'frint64x s0, s1'],
  ['fjcvtzs w0, d1', 'fjcvtzs w0, d1'],
  ['ldr q0, [x1, #65520]', 'ldr q0, [x1, #65520]'],
  ['ldr q0, [x1, #8]', 'ldur q0, [x1, #8]'],
  ['ldr s0, [x1, #-4]', 'ldur s0, [x1, #-4]'],
  ['str b0, [sp]', 'str b0, [sp]'],
  ['str d0, [sp, #-16]!', 'str d0, [sp, #-16]!'],
  ['ldr q0, [x1], #16', 'ldr q0, [x1], #16'],
  ['ldr q0, [x1, x2, lsl #4]', 'ldr q0, [x1, x2, lsl #4]'],
  ['ldr q0, [x1, x2]', 'ldr q0, [x1, x2]'],
  ['ldr h0, [x1, w2, sxtw #1]', 'ldr h0, [x1, w2, sxtw #1]'],
  ['ldr b0, [x1, x2, lsl #0]', 'ldr b0, [x1, x2, lsl #0]'],
  ['stp q0, q1, [sp, #-1024]!', 'stp q0, q1, [sp, #-1024]!'],
  ['ldp s0, s1, [x1], #8', 'ldp s0, s1, [x1], #8'],
  ['ldnp q30, q31, [x1, #1008]', 'ldnp q30, q31, [x1, #1008]'],
];

const REFUSED: readonly string[] = [
  'fmov s0, #1.03',
  'fmov d0, #32.0',
  'fmov d0, #0.0625',
  'fmov s0, d1',
  'fmov w0, d0',
  'fmov x0, s0',
  'fmov v1.d[0], x0',
  'fmov v1.s[1], w0',
  'fmov d0, sp',
  'fadd s0, s1, d2',
  'fadd v0, v1, v2',
  'fadd b0, b1, b2',
  'fcvt s0, s1',
  'fcmp s0, #1.0',
  'fcmp s0, d0',
  'fccmp s0, s1, #16, eq',
  'fcvtzs w0, s1, #33',
  'fcvtzs x0, s1, #0',
  'scvtf d0, w1, #40',
  'fjcvtzs x0, d0',
  'fjcvtzs w0, s0',
  'frint32z h0, h1',
  'ldr q0, [x1, x2, lsl #3]',
  'ldr q0, [x1, #65521]',
  'ldr d0, [x1, w2]',
  'ldp s0, d1, [x1]',
  'ldp q0, q1, [x1, #8]',
  'ldp h0, h1, [x1]',
  'ldr v0, [x1]',
];

const assembled = (line: string) => {
  const word = encodeLine(line, 0n);
  if (typeof word === 'string') throw new Error(`${line}: ${word}`);
  return effectsOf(word);
};

describe('features of floating point and SIMD', () => {
  it('are announced once every one of them has rows, and not before', () => {
    const missing = FP_FEATURES.filter((feature) => !ROWS.some((row) => row.feature === feature));
    const announced = FP_FEATURES.filter((feature) => DEFAULT_FEATURES.includes(feature));
    expect(announced).toEqual(missing.length === 0 ? FP_FEATURES : []);
  });

  it('are named by every row that touches V registers', () => {
    const silent = ROWS.filter(
      (row) =>
        Object.values(row.operands).some((kind) => kind.shape === 'vreg') &&
        !FP_FEATURES.some((feature) => feature === row.feature),
    );
    expect(silent.map((row) => row.id)).toEqual([]);
  });
});

describe('spellings of floating point', () => {
  it.each(SPELLINGS)('%s', (written, printed) => {
    const word = encodeLine(written, 0n);
    expect(word).toBeTypeOf('number');
    expect(disassemble(word as number)).toBe(printed);
  });

  it.skipIf(!tool)('encode as GNU as encodes them [needs aarch64-linux-gnu-as]', () => {
    const lines = SPELLINGS.map(([written]) => written);
    expect(lines.map((line) => encodeLine(line, 0n))).toEqual(gnuAs(lines));
  });
});

describe('wrong operands of floating point', () => {
  it.each(REFUSED)('%s', (line) => {
    expect(encodeLine(line, 0n)).toBeTypeOf('string');
  });

  it.skipIf(!tool)('are refused by GNU as too [needs aarch64-linux-gnu-as]', () => {
    const theirs = gnuAs(REFUSED);
    expect(REFUSED.filter((_, at) => typeof theirs[at] === 'number')).toEqual([]);
  });

  it('say what would be right', () => {
    expect(encodeLine('fmov s0, #1.03', 0n)).toBe('1.03 is not a floating-point immediate');
    expect(encodeLine('fadd s0, s1, d2', 0n)).toBe('expected a 32-bit FP/SIMD register');
    expect(encodeLine('fcvtzs w0, s1, #33', 0n)).toBe('33 fraction bits, out of range 1 to 32');
  });
});

describe('semantics of floating point', () => {
  it('check access first, then compute on raw bits', () => {
    expect(assembled('fmsub d0, d1, d2, d3')).toEqual([
      'checkFPAdvSIMDEnabled()',
      `writeF(64, v0, fp3(mulAdd, 64, readF(64, v3), xor(64, readF(64, v1), ${2n ** 63n}), readF(64, v2)))`,
    ]);
    expect(assembled('fnmul s0, s1, s2')).toEqual([
      'checkFPAdvSIMDEnabled()',
      `writeF(32, v0, xor(64, fp2(mul, 32, readF(32, v1), readF(32, v2)), ${2 ** 31}))`,
    ]);
    expect(assembled('fcvtmu x3, h4')).toEqual([
      'checkFPAdvSIMDEnabled()',
      'writeX(64, x3, fpToFixed(64, 16, readF(16, v4), 0, true, negInf))',
    ]);
    expect(assembled('scvtf s3, w4, #7')).toEqual([
      'checkFPAdvSIMDEnabled()',
      'writeF(32, v3, fixedToFp(32, 32, readX(32, x4), 7, false, fpcr))',
    ]);
  });

  it('compare zeros where the condition of FCCMP fails', () => {
    const holds = 'holds(0)';
    expect(assembled('fccmpe s1, s2, #5, eq')).toEqual([
      'checkFPAdvSIMDEnabled()',
      `writeFlags(select(${holds}, fpCompare(32, select(${holds}, readF(32, v1), 0), ` +
        `select(${holds}, readF(32, v2), 0), true), 5))`,
    ]);
  });

  it('check tags of loads and stores as the integer ones do', () => {
    const checked = '{kind normal, tagChecked true}';
    const unchecked = '{kind normal, tagChecked false}';
    expect(assembled('ldr q1, [x2, #32]')).toEqual([
      'checkFPAdvSIMDEnabled()',
      `loadVector(16, 16, add(64, readBase(x2), 32), ${checked})`,
      'writeV(128, v1, #2.0)',
    ]);
    expect(assembled('str s1, [sp, #4]')).toEqual([
      'checkFPAdvSIMDEnabled()',
      `store(4, add(64, readBase(sp), 4), readF(32, v1), ${unchecked})`,
    ]);
    expect(assembled('stp q1, q2, [sp, #-32]!')).toEqual([
      'checkFPAdvSIMDEnabled()',
      `storeVector(16, 32, add(64, readBase(sp), ${2n ** 64n - 32n}), (readV(128, v1), readV(128, v2)), ${checked})`,
      `writeX(64, sp, add(64, readBase(sp), ${2n ** 64n - 32n}))`,
    ]);
    expect(assembled('ldp d1, d2, [x3], #16')).toEqual([
      'checkFPAdvSIMDEnabled()',
      `loadPair(8, readBase(x3), ${checked})`,
      'writeF(64, v1, #2.0)',
      'writeF(64, v2, #2.1)',
      'writeX(64, x3, add(64, readBase(x3), 16))',
    ]);
    expect(assembled('ldr h1, [sp, x3]')).toEqual([
      'checkFPAdvSIMDEnabled()',
      `load(2, add(64, readBase(sp), shl(64, readX(64, x3), 0)), ${checked})`,
      'writeF(16, v1, #2)',
    ]);
  });
});
