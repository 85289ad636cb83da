/**
 * FMOV of immediates, and between general-purpose and floating-point registers.
 *
 * Ref. DDI 0487, C4.1.96 "Floating-point immediate", "Conversion between floating-point and integer".
 */
import type { Width } from '../builder.js';
import { fpImm } from '../operands/fp-immediates.js';
import { F } from '../operands/fp-registers.js';
import { R, X } from '../operands/index.js';
import { onlyElement } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import { DOUBLE, FORMATS, type FpFormat, HALF, SINGLE } from './fp-common.js';

const immediateRow = ({ size, ftype, mark, title, feature }: FpFormat): Row =>
  defineRow({
    id: `FMOV_${mark}_immediate`,
    name: 'fmov',
    pattern: `0 0 0 11110 ${ftype} 1 imm8:8 100 00000 Rd:5`,
    class: 'fp',
    summary: `Floating-point move immediate, ${title}`,
    arm: 'C7.2 FMOV (scalar, immediate)',
    feature,
    operands: { rd: F('Rd', size), imm: fpImm([['imm8', 8]], size) },
    execute: (b, { rd, imm }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeF(size, rd, imm);
    },
  });

/** Bits as they are, both ways; a half is zero-extended. */
const generalRows = (sf: '0' | '1', { size, ftype, mark, title, feature }: FpFormat): Row[] => {
  const w: Width = sf === '1' ? 64 : 32;
  const g = sf === '1' ? 'x' : 'w';
  const common = { name: 'fmov', class: 'fp', arm: 'C7.2 FMOV (general)', feature } as const;
  return [
    defineRow({
      ...common,
      id: `FMOV_${g}_${mark}`,
      pattern: `${sf} 0 0 11110 ${ftype} 1 00 110 000000 Rn:5 Rd:5`,
      summary: `Floating-point move to general register, ${title}`,
      operands: { rd: R('Rd', w), rn: F('Rn', size) },
      execute: (b, { rd, rn }) => {
        b.checkFPAdvSIMDEnabled();
        b.writeX(w, rd, b.readF(size, rn));
      },
    }),
    defineRow({
      ...common,
      id: `FMOV_${mark}_${g}`,
      pattern: `${sf} 0 0 11110 ${ftype} 1 00 111 000000 Rn:5 Rd:5`,
      summary: `Floating-point move from general register, ${title}`,
      operands: { rd: F('Rd', size), rn: R('Rn', w) },
      execute: (b, { rd, rn }) => {
        b.checkFPAdvSIMDEnabled();
        b.writeF(size, rd, b.readX(w, rn));
      },
    }),
  ];
};

const topHalf = { name: 'fmov', class: 'fp', arm: 'C7.2 FMOV (general)', feature: 'FEAT_FP' } as const;

export const rows: readonly Row[] = [
  ...FORMATS.map(immediateRow),
  ...generalRows('0', SINGLE),
  ...generalRows('1', DOUBLE),
  ...generalRows('0', HALF),
  ...generalRows('1', HALF),
  defineRow({
    ...topHalf,
    id: 'FMOV_x_top',
    pattern: '1 0 0 11110 10 1 01 110 000000 Rn:5 Rd:5',
    summary: 'Floating-point move top half of 128-bit to general register',
    operands: { rd: X('Rd'), rn: onlyElement('Rn', 3, 1) },
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeX(64, rd, b.getLane(64, b.readV(128, rn), b.imm(1)));
    },
  }),
  defineRow({
    ...topHalf,
    id: 'FMOV_top_x',
    pattern: '1 0 0 11110 10 1 01 111 000000 Rn:5 Rd:5',
    summary: 'Floating-point move general register to top half of 128-bit',
    operands: { rd: onlyElement('Rd', 3, 1), rn: X('Rn') },
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeV(128, rd, b.setLane(64, b.readV(128, rd), b.imm(1), b.readX(64, rn)));
    },
  }),
];
