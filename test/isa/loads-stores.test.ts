/**
 * Loads and stores: spellings that GNU as converts, reserved encodings, diagnostics of memory operands,
 * and what each addressing mode asks of the machine (tag checks, order, write-back).
 */
import { describe, expect, it } from 'vitest';
import { decode, disassemble } from '../../isa/index.js';
import { encodeLine } from './assemble-lines.js';
import { AS, gnuAs, hasTool, OBJDUMP, objdump, undefinedText } from './oracle.js';
import { effectsOf } from './text-builder.js';

/** What one may write, and how it is printed. */
const SPELLINGS: readonly (readonly [written: string, printed: string])[] = [
  ['ldr x0, [x1, #-8]', 'ldur x0, [x1, #-8]'],
  ['ldr x0, [x1, #1]', 'ldur x0, [x1, #1]'],
  ['ldr w0, [x1, #255]', 'ldur w0, [x1, #255]'],
  ['str w3, [sp, #-4]', 'stur w3, [sp, #-4]'],
  ['ldrb w0, [x1, #-1]', 'ldurb w0, [x1, #-1]'],
  ['strh w0, [x1, #3]', 'sturh w0, [x1, #3]'],
  ['ldrsb x0, [x1, #-1]', 'ldursb x0, [x1, #-1]'],
  ['ldrsh w0, [x1, #5]', 'ldursh w0, [x1, #5]'],
  ['ldrsw x0, [x1, #-4]', 'ldursw x0, [x1, #-4]'],
  ['prfm pldl1keep, [x0, #-8]', 'prfum pldl1keep, [x0, #-8]'],
  ['prfum pldl1keep, [x0, #8]', 'prfum pldl1keep, [x0, #8]'],
  ['ldur x0, [x1, #8]', 'ldur x0, [x1, #8]'],
  ['ldr x0, [x1, #0]', 'ldr x0, [x1]'],
  ['ldr x0, [x1, #32760]', 'ldr x0, [x1, #32760]'],
  ['ldr x0, [x1, w2, uxtw 3]', 'ldr x0, [x1, w2, uxtw #3]'],
  ['ldr x0, [x1, x2, lsl #0]', 'ldr x0, [x1, x2]'],
  ['ldr x0, [x1, w2, uxtw #0]', 'ldr x0, [x1, w2, uxtw]'],
  ['ldr x0, [x1, x2, sxtx]', 'ldr x0, [x1, x2, sxtx]'],
  ['ldrb w0, [x1, x2, lsl #0]', 'ldrb w0, [x1, x2, lsl #0]'],
  ['ldrb w0, [x1, w2, uxtw #0]', 'ldrb w0, [x1, w2, uxtw #0]'],
  ['ldrb w0, [x1, w2, uxtw]', 'ldrb w0, [x1, w2, uxtw]'],
  ['ldrsh w0, [sp, wzr, sxtw #1]', 'ldrsh w0, [sp, wzr, sxtw #1]'],
  ['prfm #24, [x0]', 'prfm #0x18, [x0]'],
  ['prfm 3, [x0]', 'prfm pldl2strm, [x0]'],
  ['prfm pstl3strm, [x0, x1, lsl #3]', 'prfm pstl3strm, [x0, x1, lsl #3]'],
  ['ldar x0, [x1, #0]', 'ldar x0, [x1]'],
  ['stlxr w0, x1, [sp]', 'stlxr w0, x1, [sp]'],
  ['ldapur x0, [x1]', 'ldapur x0, [x1]'],
  ['stlurb w0, [sp, #-256]', 'stlurb w0, [sp, #-256]'],
  ['casp x30, xzr, x2, x3, [x4]', 'casp x30, xzr, x2, x3, [x4]'],
  ['caspal w0, w1, w30, wzr, [sp]', 'caspal w0, w1, w30, wzr, [sp]'],
  ['ldadd x0, xzr, [x1]', 'stadd x0, [x1]'],
  ['ldsminlb w0, wzr, [x1]', 'stsminlb w0, [x1]'],
  ['stumaxlh w9, [sp]', 'stumaxlh w9, [sp]'],
  ['ldadda x0, xzr, [x1]', 'ldadda x0, xzr, [x1]'],
  ['swpalb w0, wzr, [x1]', 'swpalb w0, wzr, [x1]'],
  ['ldp x0, x1, [x2, #-512]', 'ldp x0, x1, [x2, #-512]'],
  ['stp w0, w1, [sp, #252]!', 'stp w0, w1, [sp, #252]!'],
  ['ldpsw x0, x1, [x2], #-256', 'ldpsw x0, x1, [x2], #-256'],
  ['stnp xzr, x1, [x2, #504]', 'stnp xzr, x1, [x2, #504]'],
  ['ldraa x0, [x1, #-8]!', 'ldraa x0, [x1, #-8]!'],
  ['ldrab x0, [sp, #4088]', 'ldrab x0, [sp, #4088]'],
  ['ldrab x0, [x1, #0]!', 'ldrab x0, [x1]!'],
  ['ldr x0, [x1], #0', 'ldr x0, [x1], #0'],
  ['ldr x0, [x1, #0]!', 'ldr x0, [x1, #0]!'],
];

/** Refused, and why. */
const REFUSED: readonly (readonly [line: string, message: RegExp])[] = [
  ['ldr x0, [x1, #32768]', /immediate 32768 out of range 0 to 32760/],
  ['ldr x0, [x1, #-257]', /out of range/],
  ['ldr x0, [w1]', /expected a 64-bit register/],
  ['ldr x0, [x1]!', /expected an offset before the ]/],
  ['strb w0, [x1]!', /expected an offset before the ]/],
  ['ldr q0, [x1]!', /expected an offset before the ]/],
  ['stp x0, x1, [x2]!', /expected an offset before the ]/],
  ['stg x0, [x1]!', /expected an offset before the ]/],
  ['stgp x0, x1, [x2]!', /expected an offset before the ]/],
  ['ldr x0, [xzr]', /zero register cannot be used/],
  ['ldr sp, [x1]', /stack pointer cannot be used/],
  ['ldr x0, [x1, w2]', /expected a 64-bit register/],
  ['ldr x0, [x1, w2, lsl #3]', /32-bit index needs uxtw or sxtw/],
  ['ldr x0, [x1, x2, uxtw #3]', /expected a 32-bit register/],
  ['ldr x0, [x1, x2, lsl #2]', /shift amount must be 0 or 3/],
  ['ldrb w0, [x1, x2, lsl #1]', /shift amount must be 0 here/],
  ['ldr x0, [x1, x2, ror #3]', /ror cannot extend an index register/],
  ['ldr x0, [x1, x2]!', /unexpected '!'/],
  ['ldrsw w0, [x1]', /expected a 64-bit register/],
  ['ldp x0, w1, [x2]', /expected a 64-bit register/],
  ['ldp x0, x1, [x2, #4]', /not a multiple of 8/],
  ['ldp x0, x1, [x2, #512]', /out of range -512 to 504/],
  ['ldar x0, [x1, #8]', /only offset 0/],
  ['ldxr x0, [x1]!', /unexpected '!'/],
  ['stxr x0, x1, [x2]', /expected a 32-bit register/],
  ['casp x1, x2, x4, x5, [x0]', /must be even/],
  ['casp x0, x2, x4, x5, [x0]', /expected x1/],
  ['cas x0, w1, [x2]', /expected a 64-bit register/],
  ['prfm pldl4keep, [x0]', /no such prefetch operation/],
  ['prfm #32, [x0]', /out of range 0 to 31/],
  ['ldraa x0, [x1, #4096]', /out of range -4096 to 4088/],
  ['ldapr x0, [x1, x2]', /no register offset/],
];

const tools = hasTool(AS) && hasTool(OBJDUMP);

describe('spellings', () => {
  it.each(SPELLINGS)('%s', (written, printed) => {
    const word = encodeLine(written, 0n);
    expect(word).toBeTypeOf('number');
    expect(disassemble(word as number)).toBe(printed);
    expect(encodeLine(printed, 0n)).toBe(word);
  });

  it.skipIf(!tools)('encode as GNU as encodes them [needs binutils]', () => {
    const lines = SPELLINGS.map(([written]) => written);
    expect(lines.map((line) => encodeLine(line, 0n))).toEqual(gnuAs(lines));
  });

  it.each(REFUSED)('%s is refused', (line, message) => {
    expect(encodeLine(line, 0n)).toMatch(message);
  });

  it.skipIf(!tools)('GNU as refuses what we refuse [needs binutils]', () => {
    const refused = gnuAs(REFUSED.map(([line]) => line));
    expect(refused.filter((word) => typeof word === 'number')).toEqual([]);
  });
});

describe('encodings', () => {
  it.skipIf(!tools)(
    'of the register-offset class are defined as binutils defines them [needs binutils]',
    () => {
      const words: number[] = [];
      for (let top = 0; top < 16; top++) {
        for (let extend = 0; extend < 16; extend++) {
          // size, opc, Rm = 3, option, S, Rn = 1, Rt = 2
          words.push(((top >> 2) << 30) | 0x38230822 | ((top & 3) << 22) | (extend << 12));
        }
      }
      const theirs = objdump(words.map((word) => word >>> 0));
      expect(words.map((word) => disassemble(word >>> 0))).toEqual(theirs);
    },
  );

  it('of CASP need even registers', () => {
    expect(disassemble(0x48207c82)).toBe('casp x0, x1, x2, x3, [x4]');
    expect(disassemble(0x48217c82)).toBe(undefinedText(0x48217c82));
    expect(disassemble(0x48207c83)).toBe(undefinedText(0x48207c83));
  });

  it('of exclusive and ordered accesses ignore their should-be-one bits', () => {
    expect(disassemble(0xc8407c20)).toBe('ldxr x0, [x1]');
    expect(disassemble(0x885f0020)).toBe('ldxr w0, [x1]');
    expect(disassemble(0xc880fc20)).toBe('stlr x0, [x1]');
  });

  it('need their features', () => {
    const absent = (feature: string) => (name: string) => name !== feature;
    expect(decode(0xf8200020, absent('FEAT_LSE'))).toBeUndefined();
    expect(decode(0x48207c82, absent('FEAT_LSE'))).toBeUndefined();
    expect(decode(0xf8bfc020, absent('FEAT_LRCPC'))).toBeUndefined();
    expect(decode(0xd9400020, absent('FEAT_LRCPC2'))).toBeUndefined();
    expect(decode(0xc8df7c20, absent('FEAT_LOR'))).toBeUndefined();
    expect(decode(0xc8dffc20, () => false)?.row.id).toBe('LDAR_x');
  });
});

const assembled = (line: string) => {
  const word = encodeLine(line, 0n);
  if (typeof word === 'string') throw new Error(`${line}: ${word}`);
  return effectsOf(word);
};

describe('semantics', () => {
  it.each([
    ['ldr x0, [x1, #8]', true],
    ['ldr x0, [sp, #8]', false],
    ['ldr x0, [sp]', false],
    ['ldr x0, [sp, #8]!', true],
    ['ldr x0, [sp], #8', true],
    ['ldr x0, [sp, x1]', true],
    ['ldr x0, 0x40', false],
    ['ldur x0, [sp, #-8]', false],
    ['ldtr x0, [sp]', false],
    ['ldp x0, x1, [sp]', false],
    ['ldp x0, x1, [sp], #16', true],
    ['stp x0, x1, [sp, #-16]!', true],
    ['ldnp x0, x1, [sp]', false],
    ['ldxr x0, [sp]', false],
    ['stxp w0, x1, x2, [sp]', false],
    ['ldar x0, [sp]', false],
    ['ldapur x0, [sp, #8]', false],
    ['ldapur x0, [x1, #8]', true],
    ['stadd x0, [sp]', false],
    ['stadd x0, [x1]', true],
    ['casp x0, x1, x2, x3, [sp]', false],
  ] as const)('%s: tag-checked %s', (line, checked) => {
    const accesses = assembled(line).filter((effect) => effect.includes('tagChecked'));
    expect(accesses).toHaveLength(1);
    expect(accesses[0]).toContain(`tagChecked ${checked}`);
  });

  it('keep alignment rules apart by the kind of access', () => {
    expect(assembled('ldr x0, [x1]')[0]).toContain('kind normal');
    expect(assembled('ldlar x0, [x1]')[0]).toContain('kind ordered');
    expect(assembled('stlur x0, [x1]')[0]).toContain('kind ordered');
    expect(assembled('ldxp x0, x2, [x1]')[0]).toContain('kind exclusive');
    expect(assembled('swp x0, x2, [x1]')[0]).toContain('kind atomic');
    expect(assembled('sttr x0, [x1]')[0]).toContain('unprivileged true');
  });

  it('write back after the access, the base last', () => {
    expect(assembled('ldr x0, [x1], #8')).toEqual([
      'load(8, readBase(x1), {kind normal, tagChecked true})',
      'writeX(64, x0, #1)',
      'writeX(64, x1, add(64, readBase(x1), 8))',
    ]);
    expect(assembled('str w1, [x1, #-4]!')).toEqual([
      'store(4, add(64, readBase(x1), 18446744073709551612), readX(32, x1), {kind normal, tagChecked true})',
      'writeX(64, x1, add(64, readBase(x1), 18446744073709551612))',
    ]);
    expect(assembled('ldpsw x2, x3, [sp, #8]!')).toEqual([
      'loadPair(4, add(64, readBase(sp), 8), {kind normal, tagChecked true})',
      'writeX(64, x2, sext(64, 32, #1.0))',
      'writeX(64, x3, sext(64, 32, #1.1))',
      'writeX(64, sp, add(64, readBase(sp), 8))',
    ]);
  });

  it('extend the index, then shift it', () => {
    expect(assembled('ldrsb w0, [x1, w2, sxtw]')).toEqual([
      'load(1, add(64, readBase(x1), shl(64, sext(64, 32, readX(64, x2)), 0)), {kind normal, tagChecked true})',
      'writeX(32, x0, sext(32, 8, #1))',
    ]);
    expect(assembled('str x0, [x1, w2, uxtw #3]')).toEqual([
      'store(8, add(64, readBase(x1), shl(64, zext(32, readX(64, x2)), 3)), readX(64, x0), {kind normal, tagChecked true})',
    ]);
    expect(assembled('ldr x0, [x1, xzr, sxtx #3]')[0]).toContain('shl(64, readX(64, xzr), 3)');
  });

  it('return the old value of atomics in the right register', () => {
    expect(assembled('ldsmaxal w1, w2, [x3]')).toEqual([
      'atomic(smax, 4, readBase(x3), readX(32, x1), {kind atomic, tagChecked true})',
      'writeX(32, x2, #1)',
    ]);
    expect(assembled('cas x1, x2, [x3]')).toEqual([
      'compareAndSwap(8, readBase(x3), readX(64, x1), readX(64, x2), {kind atomic, tagChecked true})',
      'writeX(64, x1, #1)',
    ]);
    expect(assembled('casp w30, wzr, w2, w3, [x4]')).toEqual([
      'compareAndSwapPair(4, readBase(x4), (readX(32, x30), readX(32, xzr)), (readX(32, x2), readX(32, x3)), {kind atomic, tagChecked true})',
      'writeX(32, x30, #1.0)',
      'writeX(32, xzr, #1.1)',
    ]);
    expect(assembled('stxr w1, x2, [x3]')).toEqual([
      'storeExclusive(8, readBase(x3), readX(64, x2), {kind exclusive, tagChecked true})',
      'writeX(32, x1, #1)',
    ]);
  });

  it('authenticate the base of LDRAA and keep what came of it', () => {
    expect(assembled('ldrab x0, [x1, #-8]!')).toEqual([
      'load(8, add(64, authenticate(readBase(x1), 0, db), 18446744073709551608), {kind normal, tagChecked true})',
      'writeX(64, x0, #1)',
      'writeX(64, x1, add(64, authenticate(readBase(x1), 0, db), 18446744073709551608))',
    ]);
    expect(assembled('ldraa x0, [sp]')[0]).toContain('tagChecked false');
  });

  it('prefetch without effect', () => {
    expect(assembled('prfm pldl1keep, [sp, #8]')).toEqual([]);
    expect(assembled('prfm pldl1keep, 0x40')).toEqual([]);
  });
});
