/**
 * Memory tagging instructions: text, refusals, and what each asks of the machine.
 */
import { describe, expect, it } from 'vitest';
import { decode, disassemble } from '../../isa/index.js';
import { encodeLine } from './assemble-lines.js';
import { AS, gnuAs, hasTool } from './oracle.js';
import { effectsOf } from './text-builder.js';

const SPELLINGS: readonly (readonly [written: string, printed: string])[] = [
  ['irg x0, x1', 'irg x0, x1'],
  ['irg x0, x1, xzr', 'irg x0, x1'],
  ['irg sp, sp, x2', 'irg sp, sp, x2'],
  ['gmi xzr, sp, x1', 'gmi xzr, sp, x1'],
  ['addg x0, sp, #16, #3', 'addg x0, sp, #0x10, #0x3'],
  ['subg sp, x0, #1008, #15', 'subg sp, x0, #0x3f0, #0xf'],
  ['subp x0, sp, sp', 'subp x0, sp, sp'],
  ['subps x0, x1, x2', 'subps x0, x1, x2'],
  ['subps xzr, sp, x2', 'cmpp sp, x2'],
  ['cmpp x0, x1', 'cmpp x0, x1'],
  ['stg sp, [x1]', 'stg sp, [x1]'],
  ['stg x0, [sp, #-4096]!', 'stg x0, [sp, #-4096]!'],
  ['stg x0, [x1], #4080', 'stg x0, [x1], #4080'],
  ['stzg x0, [x1, #16]!', 'stzg x0, [x1, #16]!'],
  ['st2g x0, [x1], #0', 'st2g x0, [x1], #0'],
  ['stz2g x0, [x1, #-16]', 'stz2g x0, [x1, #-16]'],
  ['stgp x0, xzr, [sp, #-1024]!', 'stgp x0, xzr, [sp, #-1024]!'],
  ['stgp x0, x1, [x2], #1008', 'stgp x0, x1, [x2], #1008'],
  ['ldg xzr, [sp, #32]', 'ldg xzr, [sp, #32]'],
  ['ldgm x0, [x1]', 'ldgm x0, [x1]'],
  ['stgm xzr, [sp]', 'stgm xzr, [sp]'],
  ['stzgm x3, [x30]', 'stzgm x3, [x30]'],
  ['dc gva, x3', 'dc gva, x3'],
  ['dc gzva, xzr', 'dc gzva, xzr'],
  ['msr tco, #1', 'msr tco, #0x1'],
  ['msr tco, x3', 'msr tco, x3'],
  ['mrs x3, tfsre0_el1', 'mrs x3, tfsre0_el1'],
];

const REFUSED: readonly (readonly [line: string, message: RegExp])[] = [
  ['irg xzr, x1', /zero register cannot be used/],
  ['irg w0, x1', /expected a 64-bit register/],
  ['gmi sp, x1, x2', /stack pointer cannot be used/],
  ['addg x0, x1, #8, #0', /not a multiple of 16/],
  ['addg x0, x1, #1024, #0', /out of range 0 to 1008/],
  ['addg x0, x1, #16, #16', /out of range 0 to 15/],
  ['stg x0, [x1, #8]', /not a multiple of 16/],
  ['stg x0, [x1, #4096]', /out of range -4096 to 4080/],
  ['stg xzr, [x1]', /zero register cannot be used/],
  ['stgp sp, x0, [x1]', /stack pointer cannot be used/],
  ['stgp x0, x1, [x2, #1024]', /out of range -1024 to 1008/],
  ['ldg sp, [x1]', /stack pointer cannot be used/],
  ['ldgm x0, [x1, #16]', /only offset 0/],
  ['stzg x0, [x1, x2]', /expected an immediate offset/],
  ['msr tco, #2', /out of range 0 to 1/],
];

const assembled = (line: string) => {
  const word = encodeLine(line, 0n);
  if (typeof word === 'string') throw new Error(`${line}: ${word}`);
  return effectsOf(word);
};

describe('spellings', () => {
  it.each(SPELLINGS)('%s', (written, printed) => {
    const word = encodeLine(written, 0n);
    expect(word).toBeTypeOf('number');
    expect(disassemble(word as number)).toBe(printed);
  });

  it.skipIf(!hasTool(AS))('encode as GNU as encodes them [needs binutils]', () => {
    const lines = SPELLINGS.map(([written]) => written);
    expect(lines.map((line) => encodeLine(line, 0n))).toEqual(gnuAs(lines));
  });

  it.each(REFUSED)('%s is refused', (line, message) => {
    expect(encodeLine(line, 0n)).toMatch(message);
  });

  it.skipIf(!hasTool(AS))('GNU as refuses what we refuse [needs binutils]', () => {
    const refused = gnuAs(REFUSED.map(([line]) => line));
    expect(refused.filter((word) => typeof word === 'number')).toEqual([]);
  });
});

describe('semantics', () => {
  it('take tags from pointers and leave the rest of the address', () => {
    expect(assembled('addg x0, sp, #32, #3')).toEqual([
      'writeX(64, x0, withTag(add(64, readX(64, sp), 32), select(tagAccessEnabled(), nextTag(tagOf(readX(64, sp)), 3), 0)))',
    ]);
    expect(assembled('subg x0, x1, #0, #15')[0]).toContain('sub(64, readX(64, x1), 0)');
    expect(assembled('irg x0, x1, x2')).toEqual([
      'randomTag(and(64, readX(64, x2), 65535))',
      'writeX(64, x0, withTag(readX(64, x1), #1))',
    ]);
    expect(assembled('gmi x0, sp, x2')).toEqual([
      'writeX(64, x0, or(64, readX(64, x2), shl(64, 1, tagOf(readX(64, sp)))))',
    ]);
  });

  it('compare pointers without their top bytes', () => {
    const difference = 'sub(64, sext(64, 56, readX(64, x1)), sext(64, 56, readX(64, sp)))';
    expect(assembled('subp x0, x1, sp')).toEqual([`writeX(64, x0, ${difference})`]);
    expect(assembled('subps x0, x1, sp')).toEqual([
      'setFlags(sub, 64, sext(64, 56, readX(64, x1)), sext(64, 56, readX(64, sp)))',
      `writeX(64, x0, ${difference})`,
    ]);
  });

  it('store tags unchecked, write back last', () => {
    expect(assembled('stg sp, [sp, #16]')).toEqual([
      'storeTag(add(64, readBase(sp), 16), tagOf(readX(64, sp)), 1, false)',
    ]);
    expect(assembled('stz2g x0, [x1], #-32')).toEqual([
      'storeTag(readBase(x1), tagOf(readX(64, x0)), 2, true)',
      'writeX(64, x1, add(64, readBase(x1), 18446744073709551584))',
    ]);
    expect(assembled('stgp x0, x1, [x2, #16]!')).toEqual([
      'storeTagPair(add(64, readBase(x2), 16), tagOf(add(64, readBase(x2), 16)), readX(64, x0), readX(64, x1))',
      'writeX(64, x2, add(64, readBase(x2), 16))',
    ]);
    expect(assembled('ldg x0, [x1]')).toEqual([
      'loadTag(add(64, readBase(x1), 0))',
      'writeX(64, x0, withTag(readX(64, x0), #1))',
    ]);
  });

  it('keep block forms from EL0, before anything else', () => {
    expect(assembled('ldgm x0, [sp]')).toEqual([
      'requireEL(1)',
      'loadTagBlock(readBase(sp))',
      'writeX(64, x0, #2)',
    ]);
    expect(assembled('stgm x0, [x1]')).toEqual([
      'requireEL(1)',
      'storeTagBlock(readBase(x1), readX(64, x0))',
    ]);
    expect(assembled('stzgm x0, [x1]')).toEqual([
      'requireEL(1)',
      'storeTagZeroBlock(readBase(x1), and(64, readX(64, x0), 15))',
    ]);
  });

  it('need the features in steps', () => {
    const only = (name: string) => name === 'FEAT_MTE';
    expect(decode(encodeLine('stg x0, [x1]', 0n) as number, only)?.row.id).toBe('STG_offset');
    expect(decode(encodeLine('stgm x0, [x1]', 0n) as number, only)).toBeUndefined();
    expect(decode(encodeLine('irg x0, x1', 0n) as number, () => false)).toBeUndefined();
  });
});
