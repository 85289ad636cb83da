/**
 * Add and subtract (immediate), and with tags.
 *
 * Ref. DDI 0487, C4.1.92 "Add/subtract (immediate)".
 */
import type { Builder, Width, Words } from '../builder.js';
import { R, RSP } from '../operands/index.js';
import { shiftedImm12 } from '../operands/shifted-immediate.js';
import { defineRow, type Row } from '../row.js';

const width = (sf: number): Width => (sf ? 64 : 32);

function addSub<T extends Words>(b: Builder<T>, subtract: boolean, w: Width, x: T['x'], y: T['x']): T['x'] {
  return subtract ? b.sub(w, x, y) : b.add(w, x, y);
}

export const rows: readonly Row[] = [
  defineRow({
    id: 'ADD_addsub_imm',
    name: 'add',
    pattern: 'sf 0 0 100010 sh imm12:12 Rn:5 Rd:5',
    class: 'data-processing-immediate',
    summary: 'Add (immediate)',
    arm: 'C6.2.5',
    statics: ['sf'],
    operands: { rd: RSP('Rd', 'sf'), rn: RSP('Rn', 'sf'), imm: shiftedImm12('imm12', 'sh') },
    aliases: [
      {
        name: 'mov',
        operands: { rd: RSP('Rd', 'sf'), rn: RSP('Rn', 'sf') },
        fixed: { sh: 0, imm12: 0 },
        when: (f) => f.Rd === 31 || f.Rn === 31,
      },
    ],
    execute: (b, { rd, rn, imm }, { sf }) =>
      b.writeX(width(sf), rd, addSub(b, false, width(sf), b.readX(width(sf), rn), imm)),
  }),
  defineRow({
    id: 'SUBS_addsub_imm',
    name: 'subs',
    pattern: 'sf 1 1 100010 sh imm12:12 Rn:5 Rd:5',
    class: 'data-processing-immediate',
    summary: 'Subtract (immediate), setting flags',
    arm: 'C6.2.369',
    statics: ['sf'],
    operands: { rd: R('Rd', 'sf'), rn: RSP('Rn', 'sf'), imm: shiftedImm12('imm12', 'sh') },
    aliases: [
      {
        name: 'cmp',
        operands: { rn: RSP('Rn', 'sf'), imm: shiftedImm12('imm12', 'sh') },
        fixed: { Rd: 31 },
      },
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
