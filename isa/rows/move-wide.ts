/**
 * Move wide (immediate) and PC-relative addresses.
 *
 * Ref. DDI 0487, C4.1 "Move wide (immediate)" and "PC-rel. addressing".
 */
import { adrLabel, insertedImm, movedImm, R, wideImm, X } from '../operands/index.js';
import { defineRow, type Row } from '../row.js';
import { width } from './common.js';

const rd = R('Rd', 'sf');
const wideRow = {
  class: 'data-processing-immediate',
  statics: ['sf'],
  where: (f: Readonly<Record<'sf' | 'hw', number>>) => f.sf === 1 || f.hw < 2,
} as const;

export const rows: readonly Row[] = [
  defineRow({
    ...wideRow,
    id: 'MOVZ_movewide',
    name: 'movz',
    pattern: 'sf 10 100101 hw:2 imm16:16 Rd:5',
    summary: 'Move wide with zero',
    arm: 'C6.2 MOVZ',
    operands: { rd, imm: wideImm({ inverted: false }) },
    aliases: [
      {
        name: 'mov',
        operands: { rd, imm: movedImm({ inverted: false }) },
        when: (f) => f.imm16 !== 0 || f.hw === 0,
      },
    ],
    execute: (b, { rd: to, imm }, { sf }) => b.writeX(width(sf), to, imm),
  }),
  defineRow({
    ...wideRow,
    id: 'MOVN_movewide',
    name: 'movn',
    pattern: 'sf 00 100101 hw:2 imm16:16 Rd:5',
    summary: 'Move wide with NOT',
    arm: 'C6.2 MOVN',
    operands: { rd, imm: wideImm({ inverted: true }) },
    aliases: [
      {
        name: 'mov',
        operands: { rd, imm: movedImm({ inverted: true }) },
        when: (f) => (f.imm16 !== 0 || f.hw === 0) && (f.sf === 1 || f.imm16 !== 0xffff),
      },
    ],
    execute: (b, { rd: to, imm }, { sf }) => b.writeX(width(sf), to, imm),
  }),
  defineRow({
    ...wideRow,
    id: 'MOVK_movewide',
    name: 'movk',
    pattern: 'sf 11 100101 hw:2 imm16:16 Rd:5',
    summary: 'Move wide with keep',
    arm: 'C6.2 MOVK',
    operands: { rd, imm: insertedImm() },
    execute: (b, { rd: to, imm }, { sf }) => {
      const w = width(sf);
      b.writeX(w, to, b.or(w, b.and(w, b.readX(w, to), imm.keep), imm.bits));
    },
  }),
  defineRow({
    id: 'ADR_pcreladdr',
    name: 'adr',
    pattern: '0 immlo:2 10000 immhi:19 Rd:5',
    class: 'data-processing-immediate',
    summary: 'Form PC-relative address',
    arm: 'C6.2 ADR',
    operands: { rd: X('Rd'), label: adrLabel(false) },
    execute: (b, { rd: to, label }) => b.writeX(64, to, b.addressOf(label)),
  }),
  defineRow({
    id: 'ADRP_pcreladdr',
    name: 'adrp',
    pattern: '1 immlo:2 10000 immhi:19 Rd:5',
    class: 'data-processing-immediate',
    summary: 'Form PC-relative address to 4 KiB page',
    arm: 'C6.2 ADRP',
    operands: { rd: X('Rd'), label: adrLabel(true) },
    execute: (b, { rd: to, label }) => b.writeX(64, to, b.addressOf(label)),
  }),
];
