/**
 * Advanced SIMD in text: spellings that no disassembly prints, what both assemblers refuse, and what
 * semantics ask of the machine, in which order.
 */
import { describe, expect, it } from 'vitest';
import { decode, disassemble } from '../../isa/index.js';
import { Random } from '../../src/base/index.js';
import { encodeLine } from './assemble-lines.js';
import { AS, gnuAs, hasTool, OBJDUMP, objdump, undefinedText } from './oracle.js';
import { effectsOf } from './text-builder.js';

const tool = hasTool(AS);

const SPELLINGS: readonly (readonly [written: string, printed: string])[] = [
  ['orr v0.16b, v1.16b, v1.16b', 'mov v0.16b, v1.16b'],
  ['mov v0.8b, v1.8b', 'mov v0.8b, v1.8b'],
  ['not v0.8b, v1.8b', 'mvn v0.8b, v1.8b'],
  ['ins v0.s[1], v2.s[3]', 'mov v0.s[1], v2.s[3]'],
  ['mov v0.b[15], v31.b[0]', 'mov v0.b[15], v31.b[0]'],
  ['ins v0.b[1], w1', 'mov v0.b[1], w1'],
  ['mov v0.d[1], xzr', 'mov v0.d[1], xzr'],
  ['dup b0, v1.b[3]', 'mov b0, v1.b[3]'],
  ['mov d0, v1.d[1]', 'mov d0, v1.d[1]'],
  ['dup v0.4s, w1', 'dup v0.4s, w1'],
  ['dup v0.2d, x1', 'dup v0.2d, x1'],
  ['dup v0.8b, v1.b[4]', 'dup v0.8b, v1.b[4]'],
  ['umov w0, v1.s[0]', 'mov w0, v1.s[0]'],
  ['umov x0, v1.d[1]', 'mov x0, v1.d[1]'],
  ['umov w0, v1.b[9]', 'umov w0, v1.b[9]'],
  ['smov x0, v1.s[0]', 'smov x0, v1.s[0]'],
  ['sshll v0.4s, v1.4h, #0', 'sxtl v0.4s, v1.4h'],
  ['sxtl2 v0.8h, v1.16b', 'sxtl2 v0.8h, v1.16b'],
  ['ushll v0.2d, v1.2s, #0', 'uxtl v0.2d, v1.2s'],
  ['ushll2 v0.2d, v1.4s, #31', 'ushll2 v0.2d, v1.4s, #31'],
  ['shll v0.8h, v1.8b, #8', 'shll v0.8h, v1.8b, #8'],
  ['movi v0.4s, #255, lsl #0', 'movi v0.4s, #0xff'],
  ['movi v0.16b, #255, lsl #0', 'movi v0.16b, #0xff'],
  ['movi v0.16b, #-1', 'movi v0.16b, #0xff'],
  ['movi v0.4s, #1, msl #16', 'movi v0.4s, #0x1, msl #16'],
  ['mvni v0.4h, #1, lsl #8', 'mvni v0.4h, #0x1, lsl #8'],
  ['movi d0, #0xff00ff00ff00ff00', 'movi d0, #0xff00ff00ff00ff00'],
  ['movi v0.2d, #-1', 'movi v0.2d, #0xffffffffffffffff'],
  ['movi v0.2d, #0', 'movi v0.2d, #0x0'],
  ['orr v0.4s, #1, lsl #24', 'orr v0.4s, #0x1, lsl #24'],
  ['bic v0.8h, #1', 'bic v0.8h, #0x1'],
  ['fmov v0.2d, #-0.5', 'fmov v0.2d, #-5.000000000000000000e-01'],
  ['fmov v0.8h, #2', 'fmov v0.8h, #2.000000000000000000e+00'],
  ['fcmeq v0.4s, v1.4s, #0', 'fcmeq v0.4s, v1.4s, #0.0'],
  ['fcmle d0, d1, #0.0', 'fcmle d0, d1, #0.0'],
  ['cmlt d0, d1, #0', 'cmlt d0, d1, #0'],
  ['mul v0.4h, v1.4h, v15.h[7]', 'mul v0.4h, v1.4h, v15.h[7]'],
  ['fmla d0, d1, v31.d[1]', 'fmla d0, d1, v31.d[1]'],
  ['sqdmlal d0, s1, v31.s[3]', 'sqdmlal d0, s1, v31.s[3]'],
  ['udot v0.2s, v1.8b, v31.4b[3]', 'udot v0.2s, v1.8b, v31.4b[3]'],
  ['fcmla v0.4h, v1.4h, v2.h[1], #270', 'fcmla v0.4h, v1.4h, v2.h[1], #270'],
  ['fmlal2 v0.2s, v1.2h, v2.2h', 'fmlal2 v0.2s, v1.2h, v2.2h'],
  ['faddp h0, v1.2h', 'faddp h0, v1.2h'],
  ['pmull2 v0.1q, v1.2d, v2.2d', 'pmull2 v0.1q, v1.2d, v2.2d'],
  ['sqshrn b0, h1, #8', 'sqshrn b0, h1, #8'],
  ['scvtf h0, h1, #16', 'scvtf h0, h1, #16'],
  ['ext v0.8b, v1.8b, v2.8b, #7', 'ext v0.8b, v1.8b, v2.8b, #7'],
  ['tbl v0.8b, {v31.16b, v0.16b}, v2.8b', 'tbl v0.8b, {v31.16b, v0.16b}, v2.8b'],
  ['tbx v0.16b, {v3.16b, v4.16b, v5.16b}, v2.16b', 'tbx v0.16b, {v3.16b-v5.16b}, v2.16b'],
  ['ld1 {v0.16b-v1.16b}, [x0]', 'ld1 {v0.16b, v1.16b}, [x0]'],
  ['ld1 {v31.1d, v0.1d}, [sp], x3', 'ld1 {v31.1d, v0.1d}, [sp], x3'],
  ['st4 {v28.2d-v31.2d}, [x0], 64', 'st4 {v28.2d-v31.2d}, [x0], #64'],
  ['ld4 {v28.b-v31.b}[15], [x0], #4', 'ld4 {v28.b-v31.b}[15], [x0], #4'],
  ['ld3r {v0.4h-v2.4h}, [x2], #6', 'ld3r {v0.4h-v2.4h}, [x2], #6'],
  ['xar v0.2d, v1.2d, v2.2d, #63', 'xar v0.2d, v1.2d, v2.2d, #63'],
  ['SHA256H Q0, Q1, V2.4S', 'sha256h q0, q1, v2.4s'],
];

const REFUSED: readonly string[] = [
  'add v0.1d, v1.1d, v2.1d',
  'add v0.4s, v1.4s, v2.2s',
  'add v0, v1, v2',
  'add v0.4s, v1.4s, v2.s[1]',
  'mul v0.2d, v1.2d, v2.2d',
  'mul v0.4h, v1.4h, v16.h[0]',
  'mul v0.4h, v1.4h, v1.h[8]',
  'mul v0.4s, v1.4s, v2.h[0]',
  'fmla v0.2d, v1.2d, v2.d[2]',
  'saddl v0.8h, v1.16b, v2.16b',
  'saddl2 v0.8h, v1.8b, v2.8b',
  'xtn v0.16b, v1.8h',
  'addv s0, v1.2s',
  'mov v0.4s, v1.4s',
  'mov v0.s[4], w1',
  'mov v0.s[0], x1',
  'mov v0.s[0], v1.h[0]',
  'umov x0, v1.s[0]',
  'smov w0, v1.s[0]',
  'dup v0.4s, x1',
  'dup v0.1d, x1',
  'sshr v0.8b, v1.8b, #9',
  'sshr v0.8b, v1.8b, #0',
  'shl v0.8b, v1.8b, #8',
  'shl s0, s1, #1',
  'shll v0.8h, v1.8b, #7',
  'scvtf b0, b1, #1',
  'movi v0.4s, #256',
  'movi v0.4s, #1, lsl #7',
  'movi v0.4h, #1, lsl #16',
  'movi v0.4s, #1, msl #24',
  'movi v0.2d, #0x12',
  'movi v0.1d, #0',
  'fmov v0.4s, #1.03',
  'cmeq v0.4s, v1.4s, #1',
  'fcmeq v0.4s, v1.4s, #1.0',
  'cmle v0.4s, v1.4s, v2.4s',
  'fcmla v0.4s, v1.4s, v2.4s, #45',
  'fcadd v0.4s, v1.4s, v2.4s, #180',
  'fcmla v0.2s, v1.2s, v2.s[0], #90',
  'ext v0.8b, v1.8b, v2.8b, #8',
  'tbl v0.16b, {v0.16b, v2.16b}, v1.16b',
  'tbl v0.16b, {v0.8b}, v1.16b',
  'ld1 {v0.16b}, [x0], #8',
  'ld1 {v0.16b}, [x0], xzr',
  'ld1 {v0.16b}, [x0, #16]',
  'ld1 {v0.16b}, [x0, #0]',
  'ld1 {v0.16b}, [x0]!',
  'ld2 {v0.1d, v1.1d}, [x0]',
  'ld2 {v0.16b}, [x0]',
  'ld3 {v0.16b, v1.16b, v2.8b}, [x0]',
  'ld1 {v0.b}[16], [x0]',
  'ld1 {v0.b}, [x0]',
  'ld1r {v0.b}[0], [x0]',
  'aese v0.8b, v1.8b',
  'sha1c q0, q1, v2.4s',
  'xar v0.2d, v1.2d, v2.2d, #64',
];

const wordOf = (line: string): number => {
  const word = encodeLine(line, 0n);
  if (typeof word === 'string') throw new Error(`${line}: ${word}`);
  return word;
};
const effects = (line: string) => effectsOf(wordOf(line));

describe('spellings of Advanced SIMD', () => {
  it.each(SPELLINGS)('%s', (written, printed) => {
    expect(disassemble(wordOf(written))).toBe(printed);
    expect(wordOf(printed)).toBe(wordOf(written));
  });

  it.skipIf(!tool)('encode as GNU as encodes them [needs aarch64-linux-gnu-as]', () => {
    const lines = SPELLINGS.map(([written]) => written);
    expect(lines.map((line) => encodeLine(line, 0n))).toEqual(gnuAs(lines));
  });
});

describe('wrong operands', () => {
  it.each(REFUSED)('%s', (line) => {
    expect(encodeLine(line, 0n)).toBeTypeOf('string');
  });

  it.skipIf(!tool)('are refused by GNU as too [needs aarch64-linux-gnu-as]', () => {
    const theirs = gnuAs(REFUSED);
    expect(REFUSED.filter((_, at) => typeof theirs[at] === 'number')).toEqual([]);
  });

  it.each([
    ['mul v0.4h, v1.4h, v16.h[0]', /elements of h are of v0 to v15 only/],
    ['mov v0.s[4], w1', /element 4 out of range 0 to 3/],
    ['sshr v0.8b, v1.8b, #9', /a shift of 9 out of range 1 to 8/],
    ['ld1 {v0.16b}, [x0], #8', /the post-index must be 16, the bytes transferred/],
    ['movi v0.4h, #1, lsl #16', /only lsl by 0, 8 is possible here/],
    ['movi v0.2d, #0x12', /every byte of the immediate must be 0 or 0xff/],
    ['fcmla v0.4s, v1.4s, v2.4s, #45', /the rotation must be 0 or 90 or 180 or 270/],
  ])('%s: says what would be right', (line, message) => {
    expect(encodeLine(line, 0n)).toMatch(message);
  });
});

describe('semantics of Advanced SIMD', () => {
  it('check access first and clear what a short vector has not', () => {
    expect(effects('add v0.2s, v1.2s, v2.2s')).toEqual([
      'checkFPAdvSIMDEnabled()',
      'writeV(64, v0, v2(add, 32, readV(64, v1), readV(64, v2)))',
    ]);
    expect(effects('mla v0.8h, v1.8h, v2.h[3]')).toEqual([
      'checkFPAdvSIMDEnabled()',
      'writeV(128, v0, v2(add, 16, readV(128, v0), v2(mul, 16, readV(128, v1), splat(16, getLane(16, readV(128, v2), 3)))))',
    ]);
  });

  it('keep the lower half where the name ends in 2', () => {
    expect(effects('xtn v0.4h, v1.4s')[1]).toBe('writeV(64, v0, vNarrow(cut, 16, readV(128, v1)))');
    expect(effects('xtn2 v0.8h, v1.4s')[1]).toBe(
      'writeV(128, v0, setLane(64, readV(128, v0), 1, getLane(64, vNarrow(cut, 16, readV(128, v1)), 0)))',
    );
  });

  it('say how many lanes floating-point operations work on', () => {
    expect(effects('fdiv v0.2s, v1.2s, v2.2s')[1]).toBe(
      'writeV(64, v0, vfp2(div, 32, 2, readV(64, v1), readV(64, v2)))',
    );
    expect(effects('fcmgt h0, h1, h2')[1]).toBe(
      'writeV(16, v0, vfpTest(gt, 16, 1, readV(16, v1), readV(16, v2)))',
    );
  });

  it.each([
    ['ld1 {v0.16b}, [sp]', false],
    ['ld1 {v0.16b}, [x0]', true],
    ['st3 {v0.4s-v2.4s}, [sp]', false],
    ['st3 {v0.4s-v2.4s}, [sp], #48', true],
    ['ld1 {v0.16b}, [sp], x1', true],
    ['ld1 {v0.b}[3], [sp]', false],
    ['st1 {v0.b}[3], [sp], #1', true],
    ['ld4r {v0.2d-v3.2d}, [sp]', false],
    ['ld4r {v0.2d-v3.2d}, [x1]', true],
  ] as const)('%s: tag-checked %s', (line, checked) => {
    const accesses = effects(line).filter((effect) => effect.includes('tagChecked'));
    expect(accesses).toHaveLength(1);
    expect(accesses[0]).toContain(`tagChecked ${checked}`);
  });

  it('load all elements, then write registers, then the base', () => {
    expect(effects('ld1 {v31.2d, v0.2d}, [x1], #32')).toEqual([
      'checkFPAdvSIMDEnabled()',
      'loadVector(8, 32, readBase(x1), {kind normal, tagChecked true})',
      'writeV(128, v31, #2.0)',
      'writeV(128, v0, #2.1)',
      'writeX(64, x1, add(64, readBase(x1), 32))',
    ]);
    expect(effects('ld2 {v0.h, v1.h}[5], [x1], x2')).toEqual([
      'checkFPAdvSIMDEnabled()',
      'loadVector(2, 4, readBase(x1), {kind normal, tagChecked true})',
      'writeV(128, v0, setLane(16, readV(128, v0), 5, getLane(16, #2.0, 0)))',
      'writeV(128, v1, setLane(16, readV(128, v1), 5, getLane(16, #2.0, 1)))',
      'writeX(64, x1, add(64, readBase(x1), readX(64, x2)))',
    ]);
    expect(effects('st1 {v3.8b}, [x1]')).toEqual([
      'checkFPAdvSIMDEnabled()',
      'storeVector(1, 8, readBase(x1), (readV(64, v3)), {kind normal, tagChecked true})',
    ]);
  });

  it('need their features', () => {
    const absent = (feature: string) => (name: string) => name !== feature;
    for (const [line, feature] of [
      ['add v0.2s, v1.2s, v2.2s', 'FEAT_AdvSIMD'],
      ['ld1 {v0.16b}, [x0]', 'FEAT_AdvSIMD'],
      ['fadd v0.4h, v1.4h, v2.4h', 'FEAT_FP16'],
      ['scvtf h0, h1, #16', 'FEAT_FP16'],
      ['sqrdmlah s0, s1, v2.s[3]', 'FEAT_RDM'],
      ['sdot v0.2s, v1.8b, v2.8b', 'FEAT_DotProd'],
      ['fmlal v0.2s, v1.2h, v2.2h', 'FEAT_FHM'],
      ['fcadd v0.4s, v1.4s, v2.4s, #90', 'FEAT_FCMA'],
      ['frint32x v0.4s, v1.4s', 'FEAT_FRINTTS'],
      ['aese v0.16b, v1.16b', 'FEAT_AES'],
      ['pmull v0.1q, v1.1d, v2.1d', 'FEAT_PMULL'],
      ['sha1h s0, s1', 'FEAT_SHA1'],
      ['sha256su0 v0.4s, v1.4s', 'FEAT_SHA256'],
      ['sha512su0 v0.2d, v1.2d', 'FEAT_SHA512'],
      ['eor3 v0.16b, v1.16b, v2.16b, v3.16b', 'FEAT_SHA3'],
    ] as const) {
      const word = wordOf(line);
      expect(decode(word, absent(feature)), line).toBeUndefined();
      expect(decode(word, (name) => name === feature)?.word, line).toBe(word);
    }
  });
});

describe('features', () => {
  it('make half-precision complex numbers of two: FEAT_FCMA and FEAT_FP16', () => {
    // fcadd and fcmla of .4h, of .2s, and by element.
    const half = [0x2e42e420, 0x2e42c420, 0x6f421020];
    const single = [0x2e82e420, 0x2e82c420, 0x6f821020];
    const without = (missing: string) => (feature: string) => feature !== missing;
    for (const word of half) {
      expect(decode(word)?.row.id).toMatch(/^FC(ADD|MLA)_.*_h$/);
      for (const missing of ['FEAT_FP16', 'FEAT_FCMA'])
        expect(decode(word, without(missing))).toBeUndefined();
    }
    for (const word of single) {
      expect(decode(word, without('FEAT_FP16'))?.row.id).toMatch(/^FC(ADD|MLA)_/);
      expect(decode(word, without('FEAT_FCMA'))).toBeUndefined();
    }
  });
});

/** Text of a word whose meaning another architecture version gave it: objdump knows all of them. */
const LATER = /^(bf\w+|[su]mmla|usmmla|usdot|sudot|sm[34]\w+) /;

describe.skipIf(!hasTool(OBJDUMP))('the Advanced SIMD space [needs aarch64-linux-gnu-objdump]', () => {
  it('is allocated as binutils has it, register numbers aside', () => {
    const random = new Random(7, 'simd space');
    const words: number[] = [];
    // Data processing: bit 31 zero, bits 28:25 x111; structures: bits 31 and 29:24 of their classes.
    for (let i = 0; i < 30_000; i++) {
      const free = random.u32();
      words.push(
        i % 3 === 0 ? (0x0c00_0000 | (free & 0x41ff_ffff)) >>> 0 : (0x0e00_0000 | (free & 0x71ff_ffff)) >>> 0,
      );
    }
    const theirs = objdump(words);
    const different = words.flatMap((word, at) => {
      const ours = disassemble(word);
      const other = theirs[at]!;
      if (ours === other || (ours === undefinedText(word) && LATER.test(other))) return [];
      // FMLAL with sz = 1 is UNDEFINED (DDI 0487, C7.2); binutils ignores the bit.
      if (/^fml[as]l2? v\d+\.[24]s, v\d+\.[24]h, v\d+\.[24]h$/.test(other) && (word >>> 22) & 1) return [];
      return [`${word.toString(16)}: ours ${ours}, theirs ${other}`];
    });
    expect(different.slice(0, 20)).toEqual([]);
    expect(words.filter((word) => decode(word) !== undefined).length).toBeGreaterThan(6_000);
  });
});
