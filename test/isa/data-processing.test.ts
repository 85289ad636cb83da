/**
 * Spellings of data-processing and branch instructions that no disassembly prints: negative and
 * oddly sized immediates, optional operands, older names; and what both assemblers refuse.
 */
import { describe, expect, it } from 'vitest';
import { disassemble } from '../../isa/index.js';
import { encodeLine } from './assemble-lines.js';
import { AS, gnuAs, hasTool } from './oracle.js';

const tool = hasTool(AS);

/** As written, and as printed. */
const SPELLINGS: readonly (readonly [written: string, printed: string])[] = [
  ['mov w0, #-1', 'mov w0, #0xffffffff'],
  ['mov w0, #-2147483648', 'mov w0, #0x80000000'],
  ['mov x0, #-1', 'mov x0, #0xffffffffffffffff'],
  ['mov x0, #-4097', 'mov x0, #0xffffffffffffefff'],
  ['mov x0, #0xffffffff', 'mov x0, #0xffffffff'],
  ['mov x0, #0x10000', 'mov x0, #0x10000'],
  ['mov w0, #0xffff0000', 'mov w0, #0xffff0000'],
  ['mov x0, #0x5555555555555555', 'mov x0, #0x5555555555555555'],
  ['mov x0, 7', 'mov x0, #0x7'],
  ['mov sp, #0xff', 'mov sp, #0xff'],
  ['mov x0, sp', 'mov x0, sp'],
  ['mov sp, x0', 'mov sp, x0'],
  ['mov wsp, w0', 'mov wsp, w0'],
  ['mov x0, xzr', 'mov x0, xzr'],
  ['movz x0, #0x1234, lsl #32', 'mov x0, #0x123400000000'],
  ['movz x0, #0, lsl #16', 'movz x0, #0x0, lsl #16'],
  ['movk x0, #1, lsl #0', 'movk x0, #0x1'],
  ['add x0, x1, #0x1000', 'add x0, x1, #0x1, lsl #12'],
  ['add x0, x1, #1, lsl #12', 'add x0, x1, #0x1, lsl #12'],
  ['add x0, x1, #-5', 'sub x0, x1, #0x5'],
  ['sub w0, w1, #-4096', 'add w0, w1, #0x1, lsl #12'],
  ['adds x0, x1, #-1', 'subs x0, x1, #0x1'],
  ['cmp w1, #-5', 'cmn w1, #0x5'],
  ['cmn x1, #-5', 'cmp x1, #0x5'],
  ['and w0, w1, #-16', 'and w0, w1, #0xfffffff0'],
  ['and x0, x1, #~15', 'and x0, x1, #0xfffffffffffffff0'],
  ['bic x0, x1, #0xff', 'and x0, x1, #0xffffffffffffff00'],
  ['bic wsp, w1, #1', 'and wsp, w1, #0xfffffffe'],
  ['add x0, sp, x1', 'add x0, sp, x1'],
  ['add sp, sp, x1, lsl #4', 'add sp, sp, x1, lsl #4'],
  ['add x0, sp, w1', 'add x0, sp, w1, uxtw'],
  ['add x0, x1, w2, sxtb', 'add x0, x1, w2, sxtb'],
  ['add x0, x1, x2, uxtw #2', 'add x0, x1, w2, uxtw #2'],
  ['add x0, x1, w2, uxtx', 'add x0, x1, x2, uxtx'],
  ['add w0, wsp, w1, lsl #1', 'add w0, wsp, w1, lsl #1'],
  ['cmp sp, x1', 'cmp sp, x1'],
  ['cmp x1, w2, uxtw', 'cmp x1, w2, uxtw'],
  ['neg x0, x1, asr #3', 'neg x0, x1, asr #3'],
  ['mvn w0, w1, ror #3', 'mvn w0, w1, ror #3'],
  ['add x0, x1, x2, lsl 3', 'add x0, x1, x2, lsl #3'],
  ['lsl x0, x1, #0', 'lsr x0, x1, #0'],
  ['lslv x0, x1, x2', 'lsl x0, x1, x2'],
  ['ror w0, w1, w2', 'ror w0, w1, w2'],
  ['ror x0, x1, #63', 'ror x0, x1, #63'],
  ['uxtw x0, w1', 'mov w0, w1'],
  ['uxtb x0, w1', 'uxtb w0, w1'],
  ['sxtw x0, w1', 'sxtw x0, w1'],
  ['ubfm x0, x1, #3, #7', 'ubfx x0, x1, #3, #5'],
  ['bfi x0, x1, #0, #8', 'bfxil x0, x1, #0, #8'],
  ['bfi w0, wzr, #3, #4', 'bfc w0, #3, #4'],
  ['rev64 x0, x1', 'rev x0, x1'],
  ['cset w0, hs', 'cset w0, cs'],
  ['csetm x0, lo', 'csetm x0, cc'],
  ['cinc x0, xzr, eq', 'cset x0, eq'],
  ['csinc x0, x1, x1, al', 'csinc x0, x1, x1, al'],
  ['cneg w0, w1, last', 'cneg w0, w1, cc'],
  ['mneg x0, x1, x2', 'mneg x0, x1, x2'],
  ['b.none 0x10', 'b.eq 0x10'],
  ['bc.eq 0x10', 'bc.eq 0x10'],
  ['bc.hs 0x10', 'bc.cs 0x10'],
  ['bhs 0x10', 'b.cs 0x10'],
  ['tbz x3, #5, 0x10', 'tbz w3, #5, 0x10'],
  ['ret x30', 'ret'],
  ['svc 0', 'svc #0x0'],
  ['dcps1 #0', 'dcps1'],
  ['ADD X0, X1, X2, LSL #3', 'add x0, x1, x2, lsl #3'],
];

/** Refused by GNU as and by us. */
const REFUSED: readonly string[] = [
  'add x0, x1, #4097',
  'add x0, x1, #0x1001000',
  'add x0, x1, #1, lsl #11',
  'add x0, w1, #1',
  'add wsp, sp, #1',
  'add x0, x1, w2',
  'add w0, w1, x2',
  'add x0, x1, x2, ror #3',
  'add x0, x1, x2, lsl #64',
  'add w0, w1, w2, lsl #32',
  'add x0, sp, x2, lsl #5',
  'and x0, x1, #5',
  'and w0, w1, #0x1ffffffff',
  'and x0, sp, #1',
  'ands sp, x0, #1',
  'orr x0, x1, #0',
  'eor x0, x1, #-1',
  'mov x0, #0x12345',
  'mov w0, #0x100000000',
  'movk x0, #0x10000',
  'movk w0, #1, lsl #32',
  'lsl w0, w1, #32',
  'ubfx w0, w1, #30, #4',
  'bfi x0, x1, #60, #8',
  'sxtb x0, x1',
  'extr x0, x1, x2, #64',
  'ror x0, x1',
  'cinc x0, x1, al',
  'cset x0, nv',
  'ccmp x0, #32, #0, eq',
  'ccmp x0, x1, #16, eq',
  'crc32w w0, w1, x2',
  'smull x0, x1, x2',
  'tbz w0, #32, 0x10',
  'tbz x0, #64, 0x10',
  'b 0x3',
  'br sp',
  'ret w0',
  'svc #65536',
  'pacia x0, xzr',
  'rmif x0, #64, #1',
  'setf8 x0',
];

describe('spellings of data processing and branches', () => {
  it.each(SPELLINGS)('%s', (written, printed) => {
    const word = encodeLine(written, 0n);
    expect(word).toBeTypeOf('number');
    expect(disassemble(word as number)).toBe(printed);
  });

  it.skipIf(!tool)('encode as GNU as encodes them [needs aarch64-linux-gnu-as]', () => {
    // Those with targets are compared elsewhere: here all stand at 0.
    const lines = SPELLINGS.map(([written]) => written).filter((line) => !/ 0x10$/.test(line));
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
});
