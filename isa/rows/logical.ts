/**
 * Logical (immediate and shifted register).
 *
 * The register forms stand first: `mov x0, x1` is ORR, and only what it refuses (SP) is ADD's.
 *
 * Ref. DDI 0487, C4.1 "Logical (immediate)" and "Logical (shifted register)".
 */
import { ones } from '../../src/base/index.js';
import type { Builder, Words } from '../builder.js';
import { bitmaskImm, decodeBitMasks, isBitmask, R, RSP, shiftedReg, W, X } from '../operands/index.js';
import { defineRow, type Row } from '../row.js';
import { shifted, width } from './common.js';

type Operation = 'and' | 'or' | 'xor';

function logical<T extends Words>(
  b: Builder<T>,
  operation: Operation,
  setsFlags: boolean,
  sf: number,
  rd: T['reg'],
  x: T['x'],
  y: T['x'],
): void {
  const w = width(sf);
  const result = b[operation](w, x, y);
  if (setsFlags) {
    const named = b.let(result);
    b.setFlags('logic', w, named, b.imm(0));
    b.writeX(w, rd, named);
  } else {
    b.writeX(w, rd, result);
  }
}

const registerForm =
  (operation: Operation, inverted: boolean, setsFlags = false) =>
  <T extends Words>(
    b: Builder<T>,
    operands: {
      readonly rd: T['reg'];
      readonly rn: T['reg'];
      readonly rm: { readonly reg: T['reg']; readonly amount: T['x'] };
    },
    { sf, shift }: Readonly<Record<'sf' | 'shift', number>>,
  ) => {
    const w = width(sf);
    const y = shifted(b, w, shift, b.readX(w, operands.rm.reg), operands.rm.amount);
    logical(b, operation, setsFlags, sf, operands.rd, b.readX(w, operands.rn), inverted ? b.not(w, y) : y);
  };

const immediateForm =
  (operation: Operation, setsFlags = false) =>
  <T extends Words>(
    b: Builder<T>,
    operands: { readonly rd: T['reg']; readonly rn: T['reg']; readonly imm: T['x'] },
    { sf }: Readonly<Record<'sf', number>>,
  ) =>
    logical(b, operation, setsFlags, sf, operands.rd, b.readX(width(sf), operands.rn), operands.imm);

const rd = R('Rd', 'sf');
const rn = R('Rn', 'sf');
const rm = shiftedReg('Rm', 'sf', { ror: true });
const plainRm = R('Rm', 'sf');
const imm = bitmaskImm('sf');
const inverted = bitmaskImm('sf', { inverted: true });

const registerRow = {
  class: 'data-processing-register',
  statics: ['sf', 'shift'],
  operands: { rd, rn, rm },
  where: (f: Readonly<Record<'sf' | 'imm6', number>>) => f.sf === 1 || f.imm6 < 32,
} as const;

const immediateRow = {
  class: 'data-processing-immediate',
  statics: ['sf'],
  operands: { rd: RSP('Rd', 'sf'), rn, imm },
  where: (f: Readonly<Record<'sf' | 'N' | 'imms', number>>) => isBitmask(f, width(f.sf)),
} as const;

/** At most one halfword of the value is not zero. */
const isWide = (value: bigint, w: 32 | 64): boolean => {
  for (let at = 0n; at < w; at += 16n) {
    if ((value & ~(0xffffn << at)) === 0n) return true;
  }
  return false;
};

/**
 * MoveWidePreferred (DDI 0487, J1), as binutils decides it: MOVZ or MOVN could make the same value, so
 * MOV does not stand for this ORR.
 */
function moveWidePreferred(f: Readonly<Record<'sf' | 'N' | 'imms' | 'immr', number>>): boolean {
  const w = width(f.sf);
  const value = decodeBitMasks(f, w);
  return isWide(value, w) || isWide(value ^ ones(w), w);
}

export const rows: readonly Row[] = [
  defineRow({
    ...registerRow,
    id: 'AND_log_shift',
    name: 'and',
    pattern: 'sf 00 01010 shift:2 0 Rm:5 imm6:6 Rn:5 Rd:5',
    summary: 'Bitwise AND (shifted register)',
    arm: 'C6.2 AND (shifted register)',
    execute: registerForm('and', false),
  }),
  defineRow({
    ...registerRow,
    id: 'BIC_log_shift',
    name: 'bic',
    pattern: 'sf 00 01010 shift:2 1 Rm:5 imm6:6 Rn:5 Rd:5',
    summary: 'Bitwise bit clear (shifted register)',
    arm: 'C6.2 BIC (shifted register)',
    execute: registerForm('and', true),
  }),
  defineRow({
    ...registerRow,
    id: 'ORR_log_shift',
    name: 'orr',
    pattern: 'sf 01 01010 shift:2 0 Rm:5 imm6:6 Rn:5 Rd:5',
    summary: 'Bitwise OR (shifted register)',
    arm: 'C6.2 ORR (shifted register)',
    aliases: [
      { name: 'mov', operands: { rd, rm: plainRm }, fixed: { Rn: 31, shift: 0, imm6: 0 } },
      {
        name: 'uxtw',
        operands: { rd: X('Rd'), rm: W('Rm') },
        fixed: { sf: 0, Rn: 31, shift: 0, imm6: 0 },
        when: 'never',
      },
    ],
    execute: registerForm('or', false),
  }),
  defineRow({
    ...registerRow,
    id: 'ORN_log_shift',
    name: 'orn',
    pattern: 'sf 01 01010 shift:2 1 Rm:5 imm6:6 Rn:5 Rd:5',
    summary: 'Bitwise OR NOT (shifted register)',
    arm: 'C6.2 ORN (shifted register)',
    aliases: [{ name: 'mvn', operands: { rd, rm }, fixed: { Rn: 31 } }],
    execute: registerForm('or', true),
  }),
  defineRow({
    ...registerRow,
    id: 'EOR_log_shift',
    name: 'eor',
    pattern: 'sf 10 01010 shift:2 0 Rm:5 imm6:6 Rn:5 Rd:5',
    summary: 'Bitwise exclusive OR (shifted register)',
    arm: 'C6.2 EOR (shifted register)',
    execute: registerForm('xor', false),
  }),
  defineRow({
    ...registerRow,
    id: 'EON_log_shift',
    name: 'eon',
    pattern: 'sf 10 01010 shift:2 1 Rm:5 imm6:6 Rn:5 Rd:5',
    summary: 'Bitwise exclusive OR NOT (shifted register)',
    arm: 'C6.2 EON (shifted register)',
    execute: registerForm('xor', true),
  }),
  defineRow({
    ...registerRow,
    id: 'ANDS_log_shift',
    name: 'ands',
    pattern: 'sf 11 01010 shift:2 0 Rm:5 imm6:6 Rn:5 Rd:5',
    summary: 'Bitwise AND (shifted register), setting flags',
    arm: 'C6.2 ANDS (shifted register)',
    aliases: [{ name: 'tst', operands: { rn, rm }, fixed: { Rd: 31 } }],
    execute: registerForm('and', false, true),
  }),
  defineRow({
    ...registerRow,
    id: 'BICS_log_shift',
    name: 'bics',
    pattern: 'sf 11 01010 shift:2 1 Rm:5 imm6:6 Rn:5 Rd:5',
    summary: 'Bitwise bit clear (shifted register), setting flags',
    arm: 'C6.2 BICS (shifted register)',
    execute: registerForm('and', true, true),
  }),
  defineRow({
    ...immediateRow,
    id: 'AND_log_imm',
    name: 'and',
    pattern: 'sf 00 100100 N immr:6 imms:6 Rn:5 Rd:5',
    summary: 'Bitwise AND (immediate)',
    arm: 'C6.2 AND (immediate)',
    aliases: [{ name: 'bic', operands: { rd: RSP('Rd', 'sf'), rn, imm: inverted }, when: 'never' }],
    execute: immediateForm('and'),
  }),
  defineRow({
    ...immediateRow,
    id: 'ORR_log_imm',
    name: 'orr',
    pattern: 'sf 01 100100 N immr:6 imms:6 Rn:5 Rd:5',
    summary: 'Bitwise OR (immediate)',
    arm: 'C6.2 ORR (immediate)',
    aliases: [
      {
        name: 'mov',
        operands: { rd: RSP('Rd', 'sf'), imm },
        fixed: { Rn: 31 },
        // Neither MOVZ nor MOVN can write SP.
        when: (f) => f.Rd === 31 || !moveWidePreferred(f),
      },
    ],
    execute: immediateForm('or'),
  }),
  defineRow({
    ...immediateRow,
    id: 'EOR_log_imm',
    name: 'eor',
    pattern: 'sf 10 100100 N immr:6 imms:6 Rn:5 Rd:5',
    summary: 'Bitwise exclusive OR (immediate)',
    arm: 'C6.2 EOR (immediate)',
    execute: immediateForm('xor'),
  }),
  defineRow({
    ...immediateRow,
    id: 'ANDS_log_imm',
    name: 'ands',
    pattern: 'sf 11 100100 N immr:6 imms:6 Rn:5 Rd:5',
    summary: 'Bitwise AND (immediate), setting flags',
    arm: 'C6.2 ANDS (immediate)',
    operands: { rd, rn, imm },
    aliases: [{ name: 'tst', operands: { rn, imm }, fixed: { Rd: 31 } }],
    execute: immediateForm('and', true),
  }),
];
