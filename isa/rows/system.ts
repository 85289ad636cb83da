/**
 * System registers and system operations: MRS, MSR (register and immediate), SYS and its names, SYSL.
 *
 * NZCV has rows of its own, because flags are lazy in generated code and go through the builder's flag
 * operations only. Access rules of the other registers and operations are the machine's, by the tables
 * in `sysregs/`.
 *
 * Ref. DDI 0487, C4.1.93 "System instructions", "System register move", "PSTATE"; C5.
 */
import type { PstateField } from '../builder.js';
import { imm, X } from '../operands/index.js';
import {
  genericOperation,
  isOperation,
  keyword,
  optionalX,
  systemOperation,
  systemOperationParts,
  systemRegister,
} from '../operands/system.js';
import { defineRow, type Row } from '../row.js';
import type { OperationGroup } from '../sysregs/index.js';

const GROUPS: readonly OperationGroup[] = ['dc', 'ic', 'at', 'tlbi', 'cfp', 'dvp', 'cpp'];

const moves: readonly Row[] = [
  defineRow({
    id: 'MRS',
    name: 'mrs',
    pattern: '1101010100 1 1 o0 op1:3 CRn:4 CRm:4 op2:3 Rt:5',
    class: 'system',
    summary: 'Move System Register to general-purpose register',
    arm: 'C6.2 MRS',
    operands: { rt: X('Rt'), register: systemRegister('read') },
    execute: (b, { rt, register }) => b.writeX(64, rt, b.readSystemRegister(register)),
  }),
  defineRow({
    id: 'MRS_nzcv',
    name: 'mrs',
    pattern: '1101010100 1 1 1 011 0100 0010 000 Rt:5',
    class: 'system',
    summary: 'Move NZCV to general-purpose register',
    arm: 'C6.2 MRS; C5.2 NZCV',
    refines: ['MRS'],
    operands: { rt: X('Rt'), register: keyword('nzcv') },
    execute: (b, { rt }) => b.writeX(64, rt, b.shl(64, b.flags(), b.imm(28))),
  }),
  defineRow({
    id: 'MSR_register',
    name: 'msr',
    pattern: '1101010100 0 1 o0 op1:3 CRn:4 CRm:4 op2:3 Rt:5',
    class: 'system',
    summary: 'Move general-purpose register to System Register',
    arm: 'C6.2 MSR (register)',
    operands: { register: systemRegister('write'), rt: X('Rt') },
    execute: (b, { register, rt }) => b.writeSystemRegister(register, b.readX(64, rt)),
  }),
  defineRow({
    id: 'MSR_nzcv',
    name: 'msr',
    pattern: '1101010100 0 1 1 011 0100 0010 000 Rt:5',
    class: 'system',
    summary: 'Move general-purpose register to NZCV',
    arm: 'C6.2 MSR (register); C5.2 NZCV',
    refines: ['MSR_register'],
    operands: { register: keyword('nzcv'), rt: X('Rt') },
    execute: (b, { rt }) => b.writeFlags(b.and(64, b.shr(64, b.readX(64, rt), b.imm(28)), b.imm(15))),
  }),
];

interface PstateRow {
  readonly field: PstateField;
  readonly op1: '000' | '011';
  readonly op2: '001' | '010' | '011' | '100' | '101' | '110' | '111';
  readonly feature?: string;
  /** UNDEFINED at EL0. DAIF is not: SCTLR_EL1.UMA decides, which is the machine's. */
  readonly privileged: boolean;
}

const BITS: readonly PstateRow[] = [
  { field: 'UAO', op1: '000', op2: '011', feature: 'FEAT_UAO', privileged: true },
  { field: 'PAN', op1: '000', op2: '100', feature: 'FEAT_PAN', privileged: true },
  { field: 'SPSel', op1: '000', op2: '101', privileged: true },
  { field: 'SSBS', op1: '011', op2: '001', feature: 'FEAT_SSBS2', privileged: false },
  { field: 'DIT', op1: '011', op2: '010', feature: 'FEAT_DIT', privileged: false },
  { field: 'TCO', op1: '011', op2: '100', feature: 'FEAT_MTE', privileged: false },
];

/** A one-bit field takes CRm bit 0 and ignores the others, which assemblers write as zero. */
const bitRows: readonly Row[] = BITS.map(({ field, op1, op2, feature, privileged }) =>
  defineRow({
    id: `MSR_${field}`,
    name: 'msr',
    pattern: `1101010100 0 00 ${op1} 0100 ignored:3 imm ${op2} 11111`,
    class: 'system',
    summary: `Move immediate to PSTATE.${field === 'SPSel' ? 'SP' : field}`,
    arm: 'C6.2 MSR (immediate)',
    ...(feature === undefined ? {} : { feature }),
    shouldBe: { ignored: 0 },
    operands: { field: keyword(field.toLowerCase()), imm: imm('imm', 1) },
    execute: (b, { imm: value }) => {
      if (privileged) b.requireEL(1);
      b.writePstate(field, value);
    },
  }),
);

const maskRows: readonly Row[] = (['DAIFSet', 'DAIFClr'] as const).map((field) =>
  defineRow({
    id: `MSR_${field}`,
    name: 'msr',
    pattern: `1101010100 0 00 011 0100 imm:4 ${field === 'DAIFSet' ? '110' : '111'} 11111`,
    class: 'system',
    summary: `${field === 'DAIFSet' ? 'Set' : 'Clear'} PSTATE.D, A, I and F by mask`,
    arm: 'C6.2 MSR (immediate)',
    operands: { field: keyword(field.toLowerCase()), imm: imm('imm', 4) },
    execute: (b, { imm: value }) => b.writePstate(field, value),
  }),
);

const operations: readonly Row[] = [
  defineRow({
    id: 'SYS',
    name: 'sys',
    pattern: '1101010100 0 01 op1:3 CRn:4 CRm:4 op2:3 Rt:5',
    class: 'system',
    summary: 'System instruction: cache and TLB maintenance, address translation',
    arm: 'C6.2 SYS; C5.3 to C5.6',
    operands: { operation: systemOperationParts(), rt: optionalX('Rt') },
    aliases: [
      ...GROUPS.flatMap((group) => [
        {
          name: group,
          operands: { operation: systemOperation(group, true), rt: X('Rt') },
          requires: (f: Readonly<Record<string, number>>) => isOperation(f, group, true),
        },
        {
          name: group,
          operands: { operation: systemOperation(group, false) },
          requires: (f: Readonly<Record<string, number>>) => isOperation(f, group, false),
        },
      ]),
      { name: 'msr', operands: { operation: genericOperation(), rt: X('Rt') }, when: 'never' as const },
    ],
    execute: (b, { operation, rt }) => b.systemOperation(operation, b.readBase(rt)),
  }),
  defineRow({
    id: 'SYSL',
    name: 'sysl',
    pattern: '1101010100 1 01 op1:3 CRn:4 CRm:4 op2:3 Rt:5',
    class: 'system',
    summary: 'System instruction with result; none is allocated, so that all are UNDEFINED',
    arm: 'C6.2 SYSL',
    operands: { rt: X('Rt'), operation: systemOperationParts() },
    execute: (b) => b.undefined(),
  }),
];

export const rows: readonly Row[] = [...moves, ...bitRows, ...maskRows, ...operations];
