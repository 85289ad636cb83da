/**
 * Compare and swap: CAS of one register, CASP of a pair.
 *
 * The old value goes to the register that held the expected one, whether or not the store was made.
 *
 * Ref. DDI 0487, C4.1.94 "Compare and swap", "Compare and swap pair".
 */
import type { Width } from '../builder.js';
import { R } from '../operands/index.js';
import { memBase } from '../operands/memory-register.js';
import { registerPair } from '../operands/register-pair.js';
import { defineRow, type Row } from '../row.js';
import { type Bytes, plainAccess, type TwoBits } from './load-store-semantics.js';

/** The four mnemonics of a stem by acquire (bit 22) and release (bit 15). */
const orders = (stem: string, suffix: string) => ({
  [stem + suffix]: { A: 0, R: 0 },
  [`${stem}a${suffix}`]: { A: 1, R: 0 },
  [`${stem}l${suffix}`]: { A: 0, R: 1 },
  [`${stem}al${suffix}`]: { A: 1, R: 1 },
});

function casRow(bits: TwoBits, bytes: Bytes, width: Width, suffix: 'b' | 'h' | '', what: string): Row {
  return defineRow({
    id: `CAS${suffix.toUpperCase()}${suffix === '' ? (width === 64 ? '_x' : '_w') : ''}`,
    name: orders('cas', suffix),
    pattern: `${bits} 001000 1 A 1 Rs:5 R 11111 Rn:5 Rt:5`,
    class: 'atomic',
    summary: `Compare and Swap ${what} in memory`,
    arm: `C6.2 CAS${suffix.toUpperCase()}`,
    feature: 'FEAT_LSE',
    operands: { rs: R('Rs', width), rt: R('Rt', width), base: memBase('Rn') },
    execute: (b, { rs, rt, base }) => {
      const address = b.readBase(base);
      const access = plainAccess(b, 'atomic', base);
      const expected = b.readX(width, rs);
      b.writeX(width, rs, b.compareAndSwap(bytes, address, expected, b.readX(width, rt), access));
    },
  });
}

function caspRow(width: Width): Row {
  const bytes = width === 64 ? 8 : 4;
  return defineRow({
    id: `CASP${width === 64 ? '_x' : '_w'}`,
    name: orders('casp', ''),
    pattern: `0 ${width === 64 ? '1' : '0'} 001000 0 A 1 Rs:5 R 11111 Rn:5 Rt:5`,
    class: 'atomic',
    summary: `Compare and Swap Pair of ${width === 64 ? 'doublewords' : 'words'} in memory`,
    arm: 'C6.2 CASP',
    feature: 'FEAT_LSE',
    where: (f) => f.Rs % 2 === 0 && f.Rt % 2 === 0,
    operands: { rs: registerPair('Rs', width), rt: registerPair('Rt', width), base: memBase('Rn') },
    execute: (b, { rs, rt, base }) => {
      const address = b.readBase(base);
      const access = plainAccess(b, 'atomic', base);
      const expected = [b.readX(width, rs), b.readX(width, b.nextReg(rs))] as const;
      const replacement = [b.readX(width, rt), b.readX(width, b.nextReg(rt))] as const;
      const [first, second] = b.compareAndSwapPair(bytes, address, expected, replacement, access);
      b.writeX(width, rs, first);
      b.writeX(width, b.nextReg(rs), second);
    },
  });
}

export const rows: readonly Row[] = [
  casRow('00', 1, 32, 'b', 'byte'),
  casRow('01', 2, 32, 'h', 'halfword'),
  casRow('10', 4, 32, '', 'word'),
  casRow('11', 8, 64, '', 'doubleword'),
  caspRow(32),
  caspRow(64),
];
