/**
 * Conditional select and conditional compare.
 *
 * Ref. DDI 0487, C4.1 "Conditional select", "Conditional compare (register)" and "(immediate)".
 */
import type { Builder, Words } from '../builder.js';
import { cond, imm, invertedCond, R, sameRegister } from '../operands/index.js';
import { type Alias, defineRow, type Row } from '../row.js';
import { width } from './common.js';

const rd = R('Rd', 'sf');
const rn = R('Rn', 'sf');
const rm = R('Rm', 'sf');

const selectRow = {
  class: 'data-processing-register',
  statics: ['sf'],
  operands: { rd, rn, rm, cond: cond('cond') },
} as const;

/** Rn where the condition holds, else Rm after `change`. */
const select =
  (change: (<T extends Words>(b: Builder<T>, w: 32 | 64, value: T['x']) => T['x']) | undefined) =>
  <T extends Words>(
    b: Builder<T>,
    operands: Readonly<Record<'rd' | 'rn' | 'rm', T['reg']>> & { readonly cond: T['cond'] },
    { sf }: Readonly<Record<'sf', number>>,
  ) => {
    const w = width(sf);
    const other = b.readX(w, operands.rm);
    const changed = change === undefined ? other : change(b, w, other);
    b.writeX(w, operands.rd, b.select(b.holds(operands.cond), b.readX(w, operands.rn), changed));
  };

type SelectField = 'sf' | 'Rm' | 'cond' | 'Rn' | 'Rd';
/** AL and NV have no opposite. */
const invertible = (f: Readonly<Record<SelectField, number>>) => f.cond < 14;

const constant = (name: string): Alias<SelectField> => ({
  name,
  operands: { rd, cond: invertedCond('cond') },
  fixed: { Rn: 31, Rm: 31 },
  requires: invertible,
});
const changeOne = (name: string): Alias<SelectField> => ({
  name,
  operands: { rd, source: sameRegister('Rn', 'Rm', 'sf'), cond: invertedCond('cond') },
  requires: (f) => f.Rn === f.Rm && invertible(f),
});

const compareRegister = {
  class: 'data-processing-register',
  statics: ['sf'],
  operands: { rn, rm, nzcv: imm('nzcv', 4), cond: cond('cond') },
} as const;
const compareImmediate = {
  class: 'data-processing-register',
  statics: ['sf'],
  operands: { rn, imm: imm('imm5', 5), nzcv: imm('nzcv', 4), cond: cond('cond') },
} as const;

export const rows: readonly Row[] = [
  defineRow({
    ...selectRow,
    id: 'CSEL_condsel',
    name: 'csel',
    pattern: 'sf 0 0 11010100 Rm:5 cond:4 0 0 Rn:5 Rd:5',
    summary: 'Conditional select',
    arm: 'C6.2 CSEL',
    execute: select(undefined),
  }),
  defineRow({
    ...selectRow,
    id: 'CSINC_condsel',
    name: 'csinc',
    pattern: 'sf 0 0 11010100 Rm:5 cond:4 0 1 Rn:5 Rd:5',
    summary: 'Conditional select increment',
    arm: 'C6.2 CSINC',
    aliases: [constant('cset'), changeOne('cinc')],
    execute: select((b, w, value) => b.add(w, value, b.imm(1))),
  }),
  defineRow({
    ...selectRow,
    id: 'CSINV_condsel',
    name: 'csinv',
    pattern: 'sf 1 0 11010100 Rm:5 cond:4 0 0 Rn:5 Rd:5',
    summary: 'Conditional select invert',
    arm: 'C6.2 CSINV',
    aliases: [constant('csetm'), changeOne('cinv')],
    execute: select((b, w, value) => b.not(w, value)),
  }),
  defineRow({
    ...selectRow,
    id: 'CSNEG_condsel',
    name: 'csneg',
    pattern: 'sf 1 0 11010100 Rm:5 cond:4 0 1 Rn:5 Rd:5',
    summary: 'Conditional select negation',
    arm: 'C6.2 CSNEG',
    aliases: [changeOne('cneg')],
    execute: select((b, w, value) => b.sub(w, b.imm(0), value)),
  }),
  defineRow({
    ...compareRegister,
    id: 'CCMN_condcmp_reg',
    name: 'ccmn',
    pattern: 'sf 0 1 11010010 Rm:5 cond:4 0 0 Rn:5 0 nzcv:4',
    summary: 'Conditional compare negative (register)',
    arm: 'C6.2 CCMN (register)',
    execute: (b, o, { sf }) => {
      const w = width(sf);
      b.setFlagsIf(b.holds(o.cond), 'add', w, b.readX(w, o.rn), b.readX(w, o.rm), o.nzcv);
    },
  }),
  defineRow({
    ...compareRegister,
    id: 'CCMP_condcmp_reg',
    name: 'ccmp',
    pattern: 'sf 1 1 11010010 Rm:5 cond:4 0 0 Rn:5 0 nzcv:4',
    summary: 'Conditional compare (register)',
    arm: 'C6.2 CCMP (register)',
    execute: (b, o, { sf }) => {
      const w = width(sf);
      b.setFlagsIf(b.holds(o.cond), 'sub', w, b.readX(w, o.rn), b.readX(w, o.rm), o.nzcv);
    },
  }),
  defineRow({
    ...compareImmediate,
    id: 'CCMN_condcmp_imm',
    name: 'ccmn',
    pattern: 'sf 0 1 11010010 imm5:5 cond:4 1 0 Rn:5 0 nzcv:4',
    summary: 'Conditional compare negative (immediate)',
    arm: 'C6.2 CCMN (immediate)',
    execute: (b, o, { sf }) =>
      b.setFlagsIf(b.holds(o.cond), 'add', width(sf), b.readX(width(sf), o.rn), o.imm, o.nzcv),
  }),
  defineRow({
    ...compareImmediate,
    id: 'CCMP_condcmp_imm',
    name: 'ccmp',
    pattern: 'sf 1 1 11010010 imm5:5 cond:4 1 0 Rn:5 0 nzcv:4',
    summary: 'Conditional compare (immediate)',
    arm: 'C6.2 CCMP (immediate)',
    execute: (b, o, { sf }) =>
      b.setFlagsIf(b.holds(o.cond), 'sub', width(sf), b.readX(width(sf), o.rn), o.imm, o.nzcv),
  }),
];
