/**
 * Add and subtract (immediate).
 *
 * Ref. DDI 0487, C4.1 "Add/subtract (immediate)".
 */
import { R, RSP } from '../operands/index.js';
import { negatedImm12, shiftedImm12 } from '../operands/shifted-immediate.js';
import { defineRow, type Row } from '../row.js';
import { width } from './common.js';

const plain = { rd: RSP('Rd', 'sf'), rn: RSP('Rn', 'sf'), imm: shiftedImm12('imm12', 'sh') };
const flags = { rd: R('Rd', 'sf'), rn: RSP('Rn', 'sf'), imm: shiftedImm12('imm12', 'sh') };
const compare = { rn: RSP('Rn', 'sf'), imm: shiftedImm12('imm12', 'sh') };

// The assembler turns a negative immediate into the opposite operation: add x0, x0, #-4.
const plainNegated = { rd: RSP('Rd', 'sf'), rn: RSP('Rn', 'sf'), imm: negatedImm12('imm12', 'sh') };
const flagsNegated = { rd: R('Rd', 'sf'), rn: RSP('Rn', 'sf'), imm: negatedImm12('imm12', 'sh') };
const compareNegated = { rn: RSP('Rn', 'sf'), imm: negatedImm12('imm12', 'sh') };

const shared = { class: 'data-processing-immediate', statics: ['sf'] } as const;

export const rows: readonly Row[] = [
  defineRow({
    ...shared,
    id: 'ADD_addsub_imm',
    name: 'add',
    pattern: 'sf 0 0 100010 sh imm12:12 Rn:5 Rd:5',
    summary: 'Add (immediate)',
    arm: 'C6.2 ADD (immediate)',
    operands: plain,
    aliases: [
      {
        name: 'mov',
        operands: { rd: RSP('Rd', 'sf'), rn: RSP('Rn', 'sf') },
        fixed: { sh: 0, imm12: 0 },
        requires: (f) => f.Rd === 31 || f.Rn === 31,
      },
      { name: 'sub', operands: plainNegated, when: 'never' },
    ],
    execute: (b, { rd, rn, imm }, { sf }) =>
      b.writeX(width(sf), rd, b.add(width(sf), b.readX(width(sf), rn), imm)),
  }),
  defineRow({
    ...shared,
    id: 'ADDS_addsub_imm',
    name: 'adds',
    pattern: 'sf 0 1 100010 sh imm12:12 Rn:5 Rd:5',
    summary: 'Add (immediate), setting flags',
    arm: 'C6.2 ADDS (immediate)',
    operands: flags,
    aliases: [
      { name: 'cmn', operands: compare, fixed: { Rd: 31 } },
      { name: 'cmp', operands: compareNegated, fixed: { Rd: 31 }, when: 'never' },
      { name: 'subs', operands: flagsNegated, when: 'never' },
    ],
    execute: (b, { rd, rn, imm }, { sf }) => {
      const w = width(sf);
      const x = b.let(b.readX(w, rn));
      const y = b.let(imm);
      const result = b.let(b.add(w, x, y));
      b.setFlags('add', w, x, y);
      b.writeX(w, rd, result);
    },
  }),
  defineRow({
    ...shared,
    id: 'SUB_addsub_imm',
    name: 'sub',
    pattern: 'sf 1 0 100010 sh imm12:12 Rn:5 Rd:5',
    summary: 'Subtract (immediate)',
    arm: 'C6.2 SUB (immediate)',
    operands: plain,
    aliases: [{ name: 'add', operands: plainNegated, when: 'never' }],
    execute: (b, { rd, rn, imm }, { sf }) =>
      b.writeX(width(sf), rd, b.sub(width(sf), b.readX(width(sf), rn), imm)),
  }),
  defineRow({
    ...shared,
    id: 'SUBS_addsub_imm',
    name: 'subs',
    pattern: 'sf 1 1 100010 sh imm12:12 Rn:5 Rd:5',
    summary: 'Subtract (immediate), setting flags',
    arm: 'C6.2 SUBS (immediate)',
    operands: flags,
    aliases: [
      { name: 'cmp', operands: compare, fixed: { Rd: 31 } },
      { name: 'cmn', operands: compareNegated, fixed: { Rd: 31 }, when: 'never' },
      { name: 'adds', operands: flagsNegated, when: 'never' },
    ],
    execute: (b, { rd, rn, imm }, { sf }) => {
      const w = width(sf);
      const x = b.let(b.readX(w, rn));
      const y = b.let(imm);
      const result = b.let(b.sub(w, x, y));
      b.setFlags('sub', w, x, y);
      b.writeX(w, rd, result);
    },
  }),
];
