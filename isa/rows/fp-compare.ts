/**
 * Scalar floating-point comparison and selection: FCMP, FCMPE, FCCMP, FCCMPE, FCSEL.
 *
 * A conditional comparison whose condition fails compares nothing and raises nothing: it then compares
 * zero with zero, which is equal and silent, and takes NZCV from the immediate.
 *
 * Ref. DDI 0487, C4.1.96 "Floating-point compare", "Floating-point conditional compare",
 * "Floating-point conditional select".
 */
import { fpZeroImm } from '../operands/fp-immediates.js';
import { F } from '../operands/fp-registers.js';
import { cond, imm } from '../operands/index.js';
import { defineRow, type Row } from '../row.js';
import { FORMATS, type FpFormat } from './fp-common.js';

const NAMES = [
  ['fcmp', '0', 'Floating-point quiet compare'],
  ['fcmpe', '1', 'Floating-point signalling compare'],
] as const;

const compareRow = (
  [name, e, summary]: (typeof NAMES)[number],
  { size, ftype, mark, title, feature }: FpFormat,
): Row =>
  defineRow({
    id: `${name.toUpperCase()}_${mark}`,
    name,
    pattern: `0 0 0 11110 ${ftype} 1 Rm:5 00 1000 Rn:5 ${e} 0 000`,
    class: 'fp',
    summary: `${summary}, ${title}`,
    arm: `C7.2 ${name.toUpperCase()}`,
    feature,
    operands: { rn: F('Rn', size), rm: F('Rm', size) },
    execute: (b, { rn, rm }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeFlags(b.fpCompare(size, b.readF(size, rn), b.readF(size, rm), e === '1'));
    },
  });

const compareZeroRow = (
  [name, e, summary]: (typeof NAMES)[number],
  { size, ftype, mark, title, feature }: FpFormat,
): Row =>
  defineRow({
    id: `${name.toUpperCase()}_${mark}_zero`,
    name,
    pattern: `0 0 0 11110 ${ftype} 1 Rm:5 00 1000 Rn:5 ${e} 1 000`,
    class: 'fp',
    summary: `${summary} with zero, ${title}`,
    arm: `C7.2 ${name.toUpperCase()}`,
    feature,
    shouldBe: { Rm: 0 },
    operands: { rn: F('Rn', size), zero: fpZeroImm() },
    execute: (b, { rn }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeFlags(b.fpCompare(size, b.readF(size, rn), b.imm(0), e === '1'));
    },
  });

const CONDITIONAL = [
  ['fccmp', '0', 'Floating-point conditional quiet compare'],
  ['fccmpe', '1', 'Floating-point conditional signalling compare'],
] as const;

const conditionalRow = (
  [name, e, summary]: (typeof CONDITIONAL)[number],
  { size, ftype, mark, title, feature }: FpFormat,
): Row =>
  defineRow({
    id: `${name.toUpperCase()}_${mark}`,
    name,
    pattern: `0 0 0 11110 ${ftype} 1 Rm:5 cond:4 01 Rn:5 ${e} nzcv:4`,
    class: 'fp',
    summary: `${summary}, ${title}`,
    arm: `C7.2 ${name.toUpperCase()}`,
    feature,
    operands: { rn: F('Rn', size), rm: F('Rm', size), nzcv: imm('nzcv', 4), cond: cond('cond') },
    execute: (b, o) => {
      b.checkFPAdvSIMDEnabled();
      const holds = b.letBool(b.holds(o.cond));
      const first = b.select(holds, b.readF(size, o.rn), b.imm(0));
      const second = b.select(holds, b.readF(size, o.rm), b.imm(0));
      b.writeFlags(b.select(holds, b.fpCompare(size, first, second, e === '1'), o.nzcv));
    },
  });

const selectRow = ({ size, ftype, mark, title, feature }: FpFormat): Row =>
  defineRow({
    id: `FCSEL_${mark}`,
    name: 'fcsel',
    pattern: `0 0 0 11110 ${ftype} 1 Rm:5 cond:4 11 Rn:5 Rd:5`,
    class: 'fp',
    summary: `Floating-point conditional select, ${title}`,
    arm: 'C7.2 FCSEL',
    feature,
    operands: { rd: F('Rd', size), rn: F('Rn', size), rm: F('Rm', size), cond: cond('cond') },
    execute: (b, o) => {
      b.checkFPAdvSIMDEnabled();
      b.writeF(size, o.rd, b.select(b.holds(o.cond), b.readF(size, o.rn), b.readF(size, o.rm)));
    },
  });

export const rows: readonly Row[] = [
  ...NAMES.flatMap((name) => FORMATS.flatMap((f) => [compareRow(name, f), compareZeroRow(name, f)])),
  ...CONDITIONAL.flatMap((name) => FORMATS.map((f) => conditionalRow(name, f))),
  ...FORMATS.map(selectRow),
];
