/**
 * System instructions: registers and operations by every name, hints, barriers, PSTATE immediates.
 */
import { describe, expect, it } from 'vitest';
import { decode, disassemble } from '../../isa/index.js';
import { genericName, SYSTEM_OPERATIONS, SYSTEM_REGISTERS } from '../../isa/sysregs/index.js';
import { encodeLine } from './assemble-lines.js';
import { AS, gnuAs, hasTool, OBJDUMP, objdump } from './oracle.js';
import { effectsOf } from './text-builder.js';

const tools = hasTool(AS) && hasTool(OBJDUMP);

const assembled = (line: string) => {
  const word = encodeLine(line, 0n);
  if (typeof word === 'string') throw new Error(`${line}: ${word}`);
  return effectsOf(word);
};

const SPELLINGS: readonly (readonly [written: string, printed: string])[] = [
  ['mrs x0, nzcv', 'mrs x0, nzcv'],
  ['mrs x0, S3_3_C4_C2_0', 'mrs x0, nzcv'],
  ['mrs x0, CTR_EL0', 'mrs x0, ctr_el0'],
  ['mrs x0, s3_0_c15_c15_7', 'mrs x0, s3_0_c15_c15_7'],
  ['msr s2_7_c0_c0_0, xzr', 'msr s2_7_c0_c0_0, xzr'],
  ['msr s1_3_c7_c4_1, x3', 'dc zva, x3'],
  ['msr spsel, x3', 'msr spsel, x3'],
  ['msr SPSel, #0', 'msr spsel, #0x0'],
  ['msr daifset, #15', 'msr daifset, #0xf'],
  ['msr daifclr, 2', 'msr daifclr, #0x2'],
  ['msr uao, #1', 'msr uao, #0x1'],
  ['msr pan, #1', 'msr pan, #0x1'],
  ['msr ssbs, #0', 'msr ssbs, #0x0'],
  ['msr dit, #1', 'msr dit, #0x1'],
  ['sys #3, c7, c4, #1, x3', 'dc zva, x3'],
  ['sys #3, C7, C4, #1', 'dc zva, xzr'],
  ['sys #7, C15, C15, #7, x30', 'sys #7, C15, C15, #7, x30'],
  ['sys #0, c8, c7, #0', 'tlbi vmalle1'],
  ['sysl x3, #3, c7, c4, #1', 'sysl x3, #3, C7, C4, #1'],
  ['dsb 15', 'dsb sy'],
  ['dsb #8', 'dsb #0x08'],
  ['dsb #0', 'ssbb'],
  ['pssbb', 'pssbb'],
  ['dmb ishst', 'dmb ishst'],
  ['dmb #0', 'dmb #0x00'],
  ['isb sy', 'isb'],
  ['isb #3', 'isb #0x3'],
  ['isb', 'isb'],
  ['clrex #15', 'clrex'],
  ['clrex #0', 'clrex #0x0'],
  ['hint #34', 'bti c'],
  ['hint #0', 'nop'],
  ['bti', 'bti'],
  ['bti jc', 'bti jc'],
  ['psb csync', 'psb csync'],
  ['tsb csync', 'tsb csync'],
  ['dgh', 'hint #0x6'],
  ['paciasp', 'paciasp'],
  ['autib1716', 'autib1716'],
  ['sb', 'sb'],
  ['cfp rctx, x3', 'cfp rctx, x3'],
];

const REFUSED: readonly (readonly [line: string, message: RegExp])[] = [
  ['mrs x0, ctr_el9', /unknown system register ctr_el9/],
  ['mrs w0, ctr_el0', /expected a 64-bit register/],
  ['dc civca, x0', /unknown dc operation civca/],
  ['tlbi vmalle1, x0', /tlbi vmalle1 takes no register/],
  ['tlbi vae1', /tlbi vae1 needs a register/],
  ['tlbi alle9', /unknown tlbi operation/],
  ['sys #8, c0, c0, #0', /out of range 0 to 7/],
  ['sys #0, c16, c0, #0', /c0 to c15/],
  ['msr daifset, #16', /out of range 0 to 15/],
  ['msr pan, #2', /out of range 0 to 1/],
  ['dsb foo', /is not defined/],
  ['isb #16', /out of range 0 to 15/],
  ['clrex sy', /is not defined/],
  ['hint #128', /out of range 0 to 127/],
  ['bti x', /expected /],
  ['psb sync', /expected csync/],
];

describe('spellings', () => {
  it.each(SPELLINGS)('%s', (written, printed) => {
    const word = encodeLine(written, 0n);
    expect(word).toBeTypeOf('number');
    expect(disassemble(word as number)).toBe(printed);
  });

  it.skipIf(!tools)('encode as GNU as encodes them [needs binutils]', () => {
    const lines = SPELLINGS.map(([written]) => written);
    expect(lines.map((line) => encodeLine(line, 0n))).toEqual(gnuAs(lines));
  });

  it.each(REFUSED)('%s is refused', (line, message) => {
    expect(encodeLine(line, 0n)).toMatch(message);
  });

  it.skipIf(!tools)('GNU as refuses what we refuse [needs binutils]', () => {
    // `dsb foo` and `clrex sy` are immediates of undefined symbols to both.
    const refused = gnuAs(REFUSED.map(([line]) => line));
    expect(refused.filter((word) => typeof word === 'number')).toEqual([]);
  });
});

describe('names', () => {
  const operationLine = ({ group, name, hasOperand }: (typeof SYSTEM_OPERATIONS)[number]) =>
    `${group} ${name}${hasOperand ? ', x7' : ''}`;

  it('of system operations assemble and disassemble', () => {
    const lines = SYSTEM_OPERATIONS.map(operationLine);
    const words = lines.map((line) => encodeLine(line, 0n));
    expect(words.map((word) => (typeof word === 'number' ? disassemble(word) : word))).toEqual(lines);
    expect(new Set(words).size).toBe(lines.length);
  });

  it.skipIf(!tools)('of system operations are those of binutils [needs binutils]', () => {
    const lines = SYSTEM_OPERATIONS.map(operationLine);
    const words = lines.map((line) => encodeLine(line, 0n));
    expect(words).toEqual(gnuAs(lines, 'armv8.8-a+memtag+predres'));
  });

  it.skipIf(!tools)('of the whole SYS space are those of binutils [needs binutils]', () => {
    const words: number[] = [];
    for (let op1 = 0; op1 < 8; op1++) {
      for (const CRn of [7, 8]) {
        for (let low = 0; low < 128; low++) {
          const common = 0xd5080000 | (op1 << 16) | (CRn << 12) | (low << 5);
          words.push((common | 31) >>> 0, (common | 9) >>> 0);
        }
      }
    }
    expect(words.map((word) => disassemble(word))).toEqual(objdump(words));
  });

  it('of system registers assemble and disassemble', () => {
    for (const { name, access, encoding } of SYSTEM_REGISTERS) {
      const read = encodeLine(`mrs x1, ${name}`, 0n);
      const write = encodeLine(`msr ${name}, x1`, 0n);
      if (typeof read !== 'number' || typeof write !== 'number') throw new Error(name);
      expect((read >>> 5) & 0x7fff).toBe(encoding & 0x7fff);
      if (access !== 'wo') expect(disassemble(read)).toBe(`mrs x1, ${name}`);
      if (access !== 'ro') expect(disassemble(write)).toBe(`msr ${name}, x1`);
      expect(encodeLine(`mrs x1, ${genericName(encoding)}`, 0n)).toBe(read);
    }
  });
});

describe('hints and barriers', () => {
  it.skipIf(!tools)('all hints print as binutils prints them [needs binutils]', () => {
    const words = Array.from({ length: 128 }, (_, number) => (0xd503201f | (number << 5)) >>> 0);
    expect(words.map((word) => disassemble(word))).toEqual(objdump(words));
  });

  it.skipIf(!tools)('all barrier options print as binutils prints them [needs binutils]', () => {
    const words: number[] = [];
    for (const op2 of [2, 4, 5, 6]) {
      for (let CRm = 0; CRm < 16; CRm++) words.push((0xd503301f | (CRm << 8) | (op2 << 5)) >>> 0);
    }
    expect(words.map((word) => disassemble(word))).toEqual(objdump(words));
  });

  it('a hint without its feature is a NOP', () => {
    const word = encodeLine('paciasp', 0n) as number;
    expect(decode(word)?.row.id).toBe('PACIASP');
    expect(decode(word, () => false)?.row.id).toBe('HINT');
    expect(assembled('hint #100')).toEqual([]);
    expect(assembled('nop')).toEqual([]);
  });

  it('hints say their number, pointer hints their registers', () => {
    expect(assembled('wfi')).toEqual(['hint(3)']);
    expect(assembled('bti jc')).toEqual(['hint(38)']);
    expect(assembled('paciasp')).toEqual(['writeX(64, x30, addPac(readX(64, x30), readX(64, sp), ia))']);
    expect(assembled('autibz')).toEqual(['writeX(64, x30, authenticate(readX(64, x30), 0, ib))']);
    expect(assembled('pacib1716')).toEqual(['writeX(64, x17, addPac(readX(64, x17), readX(64, x16), ib))']);
    expect(assembled('xpaclri')).toEqual(['writeX(64, x30, stripPac(readX(64, x30), false))']);
  });

  it('barriers say their kind', () => {
    expect(['dmb ish', 'dsb sy', 'ssbb', 'isb', 'sb', 'clrex'].flatMap(assembled)).toEqual([
      'barrier(dmb)',
      'barrier(dsb)',
      'barrier(dsb)',
      'barrier(isb)',
      'barrier(sb)',
      'clearExclusive()',
    ]);
  });
});

describe('semantics', () => {
  it('move registers by encoding', () => {
    expect(assembled('mrs x0, ctr_el0')).toEqual([
      `readSystemRegister(${0b11_011_0000_0000_001})`,
      'writeX(64, x0, #1)',
    ]);
    expect(assembled('msr tpidr_el0, x3')).toEqual([
      `writeSystemRegister(${0b11_011_1101_0000_010}, readX(64, x3))`,
    ]);
    expect(assembled('dc zva, x3')).toEqual([`systemOperation(${0b01_011_0111_0100_001}, readBase(x3))`]);
  });

  it('reach NZCV through the flags', () => {
    expect(assembled('mrs x0, nzcv')).toEqual(['writeX(64, x0, shl(64, flags(), 28))']);
    expect(assembled('msr nzcv, x0')).toEqual(['writeFlags(and(64, shr(64, readX(64, x0), 28), 15))']);
  });

  it('write PSTATE, some fields not from EL0', () => {
    expect(assembled('msr spsel, #1')).toEqual(['requireEL(1)', 'writePstate(SPSel, 1)']);
    expect(assembled('msr pan, #0')).toEqual(['requireEL(1)', 'writePstate(PAN, 0)']);
    expect(assembled('msr tco, #1')).toEqual(['writePstate(TCO, 1)']);
    expect(assembled('msr daifset, #2')).toEqual(['writePstate(DAIFSet, 2)']);
    // Bits 11:9 are ignored.
    expect(effectsOf(0xd5034e9f)).toEqual(['writePstate(TCO, 0)']);
  });

  it('leave SYSL undefined: none is allocated', () => {
    expect(assembled('sysl x0, #0, c0, c0, #0')).toEqual(['undefined()']);
  });
});
