/**
 * Bitfield moves and extraction from a register pair, with the shifts and extensions made of them.
 *
 * Ref. DDI 0487, C4.1 "Bitfield" and "Extract".
 */
import {
  extractedField,
  extractShifts,
  fieldInsertion,
  fieldShifts,
  insertedField,
  isBitfield,
  R,
  sameRegister,
  shiftLeftAmount,
  shiftRightAmount,
  W,
  X,
} from '../operands/index.js';
import { type Alias, defineRow, type Row } from '../row.js';
import { width } from './common.js';

type Field = 'sf' | 'N' | 'immr' | 'imms' | 'Rn' | 'Rd';

const rd = R('Rd', 'sf');
const rn = R('Rn', 'sf');
const wn = W('Rn');

const bitfieldRow = { class: 'data-processing-immediate', statics: ['sf'], where: isBitfield } as const;

const extraction = (name: string): Alias<Field> => ({
  name,
  operands: { rd, rn, field: extractedField() },
  when: (f) => f.imms >= f.immr,
});
const insertion = (name: string): Alias<Field> => ({
  name,
  operands: { rd, rn, field: insertedField() },
  when: (f) => f.imms < f.immr,
});
const isTop = (f: Readonly<Record<Field, number>>) => f.imms === width(f.sf) - 1;

export const rows: readonly Row[] = [
  defineRow({
    ...bitfieldRow,
    id: 'SBFM_bitfield',
    name: 'sbfm',
    pattern: 'sf 00 100110 N immr:6 imms:6 Rn:5 Rd:5',
    summary: 'Signed bitfield move',
    arm: 'C6.2 SBFM',
    operands: { rd, rn, field: fieldShifts() },
    aliases: [
      { name: 'asr', operands: { rd, rn, amount: shiftRightAmount() }, when: isTop },
      {
        name: 'sxtb',
        operands: { rd: W('Rd'), rn: wn },
        fixed: { sf: 0, N: 0, immr: 0, imms: 7 },
      },
      { name: 'sxtb', operands: { rd: X('Rd'), rn: wn }, fixed: { sf: 1, N: 1, immr: 0, imms: 7 } },
      { name: 'sxth', operands: { rd: W('Rd'), rn: wn }, fixed: { sf: 0, N: 0, immr: 0, imms: 15 } },
      { name: 'sxth', operands: { rd: X('Rd'), rn: wn }, fixed: { sf: 1, N: 1, immr: 0, imms: 15 } },
      { name: 'sxtw', operands: { rd: X('Rd'), rn: wn }, fixed: { sf: 1, N: 1, immr: 0, imms: 31 } },
      insertion('sbfiz'),
      extraction('sbfx'),
    ],
    execute: (b, operands, { sf }) => {
      const w = width(sf);
      const top = b.shl(w, b.readX(w, operands.rn), operands.field.left);
      b.writeX(w, operands.rd, b.sar(w, top, operands.field.right));
    },
  }),
  defineRow({
    ...bitfieldRow,
    id: 'BFM_bitfield',
    name: 'bfm',
    pattern: 'sf 01 100110 N immr:6 imms:6 Rn:5 Rd:5',
    summary: 'Bitfield move',
    arm: 'C6.2 BFM',
    operands: { rd, rn, field: fieldInsertion() },
    aliases: [
      {
        name: 'bfc',
        operands: { rd, field: insertedField() },
        fixed: { Rn: 31 },
        when: (f) => f.imms < f.immr,
      },
      insertion('bfi'),
      extraction('bfxil'),
    ],
    execute: (b, operands, { sf }) => {
      const w = width(sf);
      const { rotation, mask, keep } = operands.field;
      const inserted = b.and(w, b.ror(w, b.readX(w, operands.rn), rotation), mask);
      b.writeX(w, operands.rd, b.or(w, b.and(w, b.readX(w, operands.rd), keep), inserted));
    },
  }),
  defineRow({
    ...bitfieldRow,
    id: 'UBFM_bitfield',
    name: 'ubfm',
    pattern: 'sf 10 100110 N immr:6 imms:6 Rn:5 Rd:5',
    summary: 'Unsigned bitfield move',
    arm: 'C6.2 UBFM',
    operands: { rd, rn, field: fieldShifts() },
    aliases: [
      { name: 'lsr', operands: { rd, rn, amount: shiftRightAmount() }, when: isTop },
      {
        name: 'lsl',
        operands: { rd, rn, amount: shiftLeftAmount() },
        when: (f) => f.imms + 1 === f.immr,
      },
      { name: 'uxtb', operands: { rd: W('Rd'), rn: wn }, fixed: { sf: 0, N: 0, immr: 0, imms: 7 } },
      { name: 'uxth', operands: { rd: W('Rd'), rn: wn }, fixed: { sf: 0, N: 0, immr: 0, imms: 15 } },
      // Accepted with a 64-bit destination too, which the 32-bit write clears anyway.
      {
        name: 'uxtb',
        operands: { rd: X('Rd'), rn: wn },
        fixed: { sf: 0, N: 0, immr: 0, imms: 7 },
        when: 'never',
      },
      {
        name: 'uxth',
        operands: { rd: X('Rd'), rn: wn },
        fixed: { sf: 0, N: 0, immr: 0, imms: 15 },
        when: 'never',
      },
      insertion('ubfiz'),
      extraction('ubfx'),
    ],
    execute: (b, operands, { sf }) => {
      const w = width(sf);
      const top = b.shl(w, b.readX(w, operands.rn), operands.field.left);
      b.writeX(w, operands.rd, b.shr(w, top, operands.field.right));
    },
  }),
  defineRow({
    id: 'EXTR_extract',
    name: 'extr',
    pattern: 'sf 00 100111 N 0 Rm:5 imms:6 Rn:5 Rd:5',
    class: 'data-processing-immediate',
    summary: 'Extract register from a pair',
    arm: 'C6.2 EXTR',
    statics: ['sf'],
    where: (f) => f.N === f.sf && (f.sf === 1 || f.imms < 32),
    operands: { rd, rn, rm: R('Rm', 'sf'), lsb: extractShifts() },
    aliases: [
      {
        name: 'ror',
        operands: { rd, source: sameRegister('Rn', 'Rm', 'sf'), lsb: extractShifts() },
        requires: (f) => f.Rn === f.Rm,
      },
    ],
    execute: (b, operands, { sf }) => {
      const w = width(sf);
      const low = b.shr(w, b.readX(w, operands.rm), operands.lsb.right);
      // In two steps, so that lsb 0 shifts the high half out entirely.
      const high = b.shl(w, b.shl(w, b.readX(w, operands.rn), b.imm(1)), operands.lsb.left);
      b.writeX(w, operands.rd, b.or(w, high, low));
    },
  }),
];
