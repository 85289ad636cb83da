/**
 * Add and subtract (shifted register, extended register, with carry).
 *
 * The shifted forms stand before the extended ones: the assembler tries them in this order, so that a
 * plain `add x0, x1, x2` is the shifted one and only SP operands reach the extended one.
 *
 * Ref. DDI 0487, C4.1 "Data Processing -- Register".
 */
import type { Builder, FlagOperation, Words } from '../builder.js';
import { extendedReg, R, RSP, shiftedReg } from '../operands/index.js';
import { defineRow, type Row } from '../row.js';
import { extended, shifted, width } from './common.js';

type Arithmetic = Extract<FlagOperation, 'add' | 'sub'>;

interface Operands<T extends Words> {
  readonly rd: T['reg'];
  readonly rn: T['reg'];
  readonly rm: { readonly reg: T['reg']; readonly amount: T['x'] };
}

/** The end of all four shapes: the result alone, or the result and the flags. */
function arithmetic<T extends Words>(
  b: Builder<T>,
  operation: Arithmetic,
  setsFlags: boolean,
  sf: number,
  rd: T['reg'],
  x: T['x'],
  y: T['x'],
): void {
  const w = width(sf);
  if (!setsFlags) {
    b.writeX(w, rd, b[operation](w, x, y));
    return;
  }
  const first = b.let(x);
  const second = b.let(y);
  const result = b.let(b[operation](w, first, second));
  b.setFlags(operation, w, first, second);
  b.writeX(w, rd, result);
}

const shiftedForm =
  (operation: Arithmetic, setsFlags: boolean) =>
  <T extends Words>(
    b: Builder<T>,
    { rd, rn, rm }: Operands<T>,
    { sf, shift }: Readonly<Record<'sf' | 'shift', number>>,
  ) => {
    const w = width(sf);
    const y = shifted(b, w, shift, b.readX(w, rm.reg), rm.amount);
    arithmetic(b, operation, setsFlags, sf, rd, b.readX(w, rn), y);
  };

const extendedForm =
  (operation: Arithmetic, setsFlags: boolean) =>
  <T extends Words>(
    b: Builder<T>,
    { rd, rn, rm }: Operands<T>,
    { sf, option }: Readonly<Record<'sf' | 'option', number>>,
  ) => {
    const w = width(sf);
    const y = b.shl(w, extended(b, w, option, b.readX(w, rm.reg)), rm.amount);
    arithmetic(b, operation, setsFlags, sf, rd, b.readX(w, rn), y);
  };

const rm = shiftedReg('Rm', 'sf', { ror: false });
const rd = R('Rd', 'sf');
const rn = R('Rn', 'sf');

const shiftedRow = {
  class: 'data-processing-register',
  statics: ['sf', 'shift'],
  operands: { rd, rn, rm },
  where: (f: Readonly<Record<'sf' | 'shift' | 'imm6', number>>) =>
    f.shift !== 3 && (f.sf === 1 || f.imm6 < 32),
} as const;

const extendedRow = {
  class: 'data-processing-register',
  statics: ['sf', 'option'],
  where: (f: Readonly<Record<'imm3', number>>) => f.imm3 <= 4,
} as const;
const extendedPlain = { rd: RSP('Rd', 'sf'), rn: RSP('Rn', 'sf'), rm: extendedReg('Rm', ['Rd', 'Rn']) };
const extendedFlags = { rd, rn: RSP('Rn', 'sf'), rm: extendedReg('Rm', ['Rn']) };
const extendedCompare = { rn: RSP('Rn', 'sf'), rm: extendedReg('Rm', ['Rn']) };

const carryRow = {
  class: 'data-processing-register',
  statics: ['sf'],
  operands: { rd, rn, rm: R('Rm', 'sf') },
} as const;
const negateCarry = { rd, rm: R('Rm', 'sf') };

/** Rn + Rm + C, or Rn + NOT(Rm) + C, which is what SBC's Rn - Rm - NOT(C) is. */
const withCarry =
  (operation: 'adc' | 'sbc', setsFlags: boolean) =>
  <T extends Words>(
    b: Builder<T>,
    operands: Readonly<Record<'rd' | 'rn' | 'rm', T['reg']>>,
    { sf }: Readonly<Record<'sf', number>>,
  ) => {
    const w = width(sf);
    const x = b.let(b.readX(w, operands.rn));
    const y = b.let(b.readX(w, operands.rm));
    const second = operation === 'adc' ? y : b.not(w, y);
    const result = b.let(b.add(w, b.add(w, x, second), b.carry()));
    if (setsFlags) b.setFlags(operation, w, x, y);
    b.writeX(w, operands.rd, result);
  };

export const rows: readonly Row[] = [
  defineRow({
    ...shiftedRow,
    id: 'ADD_addsub_shift',
    name: 'add',
    pattern: 'sf 0 0 01011 shift:2 0 Rm:5 imm6:6 Rn:5 Rd:5',
    summary: 'Add (shifted register)',
    arm: 'C6.2 ADD (shifted register)',
    execute: shiftedForm('add', false),
  }),
  defineRow({
    ...shiftedRow,
    id: 'ADDS_addsub_shift',
    name: 'adds',
    pattern: 'sf 0 1 01011 shift:2 0 Rm:5 imm6:6 Rn:5 Rd:5',
    summary: 'Add (shifted register), setting flags',
    arm: 'C6.2 ADDS (shifted register)',
    aliases: [{ name: 'cmn', operands: { rn, rm }, fixed: { Rd: 31 } }],
    execute: shiftedForm('add', true),
  }),
  defineRow({
    ...shiftedRow,
    id: 'SUB_addsub_shift',
    name: 'sub',
    pattern: 'sf 1 0 01011 shift:2 0 Rm:5 imm6:6 Rn:5 Rd:5',
    summary: 'Subtract (shifted register)',
    arm: 'C6.2 SUB (shifted register)',
    aliases: [{ name: 'neg', operands: { rd, rm }, fixed: { Rn: 31 } }],
    execute: shiftedForm('sub', false),
  }),
  defineRow({
    ...shiftedRow,
    id: 'SUBS_addsub_shift',
    name: 'subs',
    pattern: 'sf 1 1 01011 shift:2 0 Rm:5 imm6:6 Rn:5 Rd:5',
    summary: 'Subtract (shifted register), setting flags',
    arm: 'C6.2 SUBS (shifted register)',
    aliases: [
      { name: 'cmp', operands: { rn, rm }, fixed: { Rd: 31 } },
      { name: 'negs', operands: { rd, rm }, fixed: { Rn: 31 } },
    ],
    execute: shiftedForm('sub', true),
  }),
  defineRow({
    ...extendedRow,
    id: 'ADD_addsub_ext',
    name: 'add',
    pattern: 'sf 0 0 01011001 Rm:5 option:3 imm3:3 Rn:5 Rd:5',
    summary: 'Add (extended register)',
    arm: 'C6.2 ADD (extended register)',
    operands: extendedPlain,
    execute: extendedForm('add', false),
  }),
  defineRow({
    ...extendedRow,
    id: 'ADDS_addsub_ext',
    name: 'adds',
    pattern: 'sf 0 1 01011001 Rm:5 option:3 imm3:3 Rn:5 Rd:5',
    summary: 'Add (extended register), setting flags',
    arm: 'C6.2 ADDS (extended register)',
    operands: extendedFlags,
    aliases: [{ name: 'cmn', operands: extendedCompare, fixed: { Rd: 31 } }],
    execute: extendedForm('add', true),
  }),
  defineRow({
    ...extendedRow,
    id: 'SUB_addsub_ext',
    name: 'sub',
    pattern: 'sf 1 0 01011001 Rm:5 option:3 imm3:3 Rn:5 Rd:5',
    summary: 'Subtract (extended register)',
    arm: 'C6.2 SUB (extended register)',
    operands: extendedPlain,
    execute: extendedForm('sub', false),
  }),
  defineRow({
    ...extendedRow,
    id: 'SUBS_addsub_ext',
    name: 'subs',
    pattern: 'sf 1 1 01011001 Rm:5 option:3 imm3:3 Rn:5 Rd:5',
    summary: 'Subtract (extended register), setting flags',
    arm: 'C6.2 SUBS (extended register)',
    operands: extendedFlags,
    aliases: [{ name: 'cmp', operands: extendedCompare, fixed: { Rd: 31 } }],
    execute: extendedForm('sub', true),
  }),
  defineRow({
    ...carryRow,
    id: 'ADC_addsub_carry',
    name: 'adc',
    pattern: 'sf 0 0 11010000 Rm:5 000000 Rn:5 Rd:5',
    summary: 'Add with carry',
    arm: 'C6.2 ADC',
    execute: withCarry('adc', false),
  }),
  defineRow({
    ...carryRow,
    id: 'ADCS_addsub_carry',
    name: 'adcs',
    pattern: 'sf 0 1 11010000 Rm:5 000000 Rn:5 Rd:5',
    summary: 'Add with carry, setting flags',
    arm: 'C6.2 ADCS',
    execute: withCarry('adc', true),
  }),
  defineRow({
    ...carryRow,
    id: 'SBC_addsub_carry',
    name: 'sbc',
    pattern: 'sf 1 0 11010000 Rm:5 000000 Rn:5 Rd:5',
    summary: 'Subtract with carry',
    arm: 'C6.2 SBC',
    aliases: [{ name: 'ngc', operands: negateCarry, fixed: { Rn: 31 } }],
    execute: withCarry('sbc', false),
  }),
  defineRow({
    ...carryRow,
    id: 'SBCS_addsub_carry',
    name: 'sbcs',
    pattern: 'sf 1 1 11010000 Rm:5 000000 Rn:5 Rd:5',
    summary: 'Subtract with carry, setting flags',
    arm: 'C6.2 SBCS',
    aliases: [{ name: 'ngcs', operands: negateCarry, fixed: { Rn: 31 } }],
    execute: withCarry('sbc', true),
  }),
];
