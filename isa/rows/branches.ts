/**
 * Branches: immediate, conditional, compare and test, register.
 *
 * Ref. DDI 0487, C4.1 "Branches, Exception Generating and System instructions".
 */
import type { Builder, Words } from '../builder.js';
import { CONDITIONS, label, namedCond, R, testedBit, X } from '../operands/index.js';
import { defineRow, type Row } from '../row.js';
import { width } from './common.js';

const shared = { class: 'branch' } as const;

/** `bc.eq`, and `bc.hs` beside `bc.cs`. */
const CONSISTENT_NAMES = Object.fromEntries(
  CONDITIONS.flatMap((names, number) => names.map((name) => [`bc.${name}`, { cond: number }])),
);

/** `b.eq`, and `b.hs` beside `b.cs` (the first of each condition prints); then the older `beq`. */
const CONDITIONAL_NAMES = Object.fromEntries([
  ...CONDITIONS.flatMap((names, number) => names.map((name) => [`b.${name}`, { cond: number }])),
  ...CONDITIONS.slice(0, 14).flatMap((names, number) =>
    names.filter((name) => /^(?!ul)..$/.test(name)).map((name) => [`b${name}`, { cond: number }]),
  ),
]);

const compareAndBranch =
  (branchIfZero: boolean) =>
  <T extends Words>(
    b: Builder<T>,
    operands: { readonly rt: T['reg']; readonly label: T['label'] },
    { sf }: Readonly<Record<'sf', number>>,
  ) => {
    const zero = b.eq(width(sf), b.readX(width(sf), operands.rt), b.imm(0));
    b.branchIf(branchIfZero ? zero : b.notBool(zero), operands.label);
  };

const testAndBranch =
  (branchIfZero: boolean) =>
  <T extends Words>(
    b: Builder<T>,
    operands: {
      readonly tested: { readonly reg: T['reg']; readonly bit: T['x'] };
      readonly label: T['label'];
    },
  ) => {
    const set = b.testBit(b.readX(64, operands.tested.reg), operands.tested.bit);
    b.branchIf(branchIfZero ? b.notBool(set) : set, operands.label);
  };

const compareRow = {
  ...shared,
  statics: ['sf'],
  operands: { rt: R('Rt', 'sf'), label: label('imm19', 19) },
} as const;
const testRow = { ...shared, operands: { tested: testedBit('Rt', 'b5', 'b40'), label: label('imm14', 14) } };

/** The address after this instruction, for the link register. */
export function writeLink<T extends Words>(b: Builder<T>): void {
  b.writeX(64, b.linkRegister(), b.add(64, b.pc(), b.imm(4)));
}

export const rows: readonly Row[] = [
  defineRow({
    ...shared,
    id: 'B_branch_imm',
    name: 'b',
    pattern: '0 00101 imm26:26',
    summary: 'Branch',
    arm: 'C6.2 B',
    operands: { label: label('imm26', 26) },
    execute: (b, operands) => b.branch(operands.label),
  }),
  defineRow({
    ...shared,
    id: 'BL_branch_imm',
    name: 'bl',
    pattern: '1 00101 imm26:26',
    summary: 'Branch with link',
    arm: 'C6.2 BL',
    operands: { label: label('imm26', 26) },
    execute: (b, operands) => {
      writeLink(b);
      b.branch(operands.label);
    },
  }),
  defineRow({
    ...shared,
    id: 'B_condbranch',
    name: CONDITIONAL_NAMES,
    pattern: '0101010 0 imm19:19 0 cond:4',
    summary: 'Branch conditionally',
    arm: 'C6.2 B.cond',
    operands: { cond: namedCond('cond'), label: label('imm19', 19) },
    execute: (b, operands) => b.branchIf(b.holds(operands.cond), operands.label),
  }),
  defineRow({
    ...shared,
    id: 'BC_condbranch',
    name: CONSISTENT_NAMES,
    pattern: '0101010 0 imm19:19 1 cond:4',
    summary: 'Branch consistent conditionally',
    arm: 'C6.2 BC.cond',
    feature: 'FEAT_HBC',
    operands: { cond: namedCond('cond'), label: label('imm19', 19) },
    execute: (b, operands) => b.branchIf(b.holds(operands.cond), operands.label),
  }),
  defineRow({
    ...compareRow,
    id: 'CBZ_compbranch',
    name: 'cbz',
    pattern: 'sf 011010 0 imm19:19 Rt:5',
    summary: 'Compare and branch on zero',
    arm: 'C6.2 CBZ',
    execute: compareAndBranch(true),
  }),
  defineRow({
    ...compareRow,
    id: 'CBNZ_compbranch',
    name: 'cbnz',
    pattern: 'sf 011010 1 imm19:19 Rt:5',
    summary: 'Compare and branch on nonzero',
    arm: 'C6.2 CBNZ',
    execute: compareAndBranch(false),
  }),
  defineRow({
    ...testRow,
    id: 'TBZ_testbranch',
    name: 'tbz',
    pattern: 'b5 011011 0 b40:5 imm14:14 Rt:5',
    summary: 'Test bit and branch if zero',
    arm: 'C6.2 TBZ',
    execute: testAndBranch(true),
  }),
  defineRow({
    ...testRow,
    id: 'TBNZ_testbranch',
    name: 'tbnz',
    pattern: 'b5 011011 1 b40:5 imm14:14 Rt:5',
    summary: 'Test bit and branch if nonzero',
    arm: 'C6.2 TBNZ',
    execute: testAndBranch(false),
  }),
  defineRow({
    ...shared,
    id: 'BR_branch_reg',
    name: 'br',
    pattern: '1101011 0 0 00 11111 000000 Rn:5 00000',
    summary: 'Branch to register',
    arm: 'C6.2 BR',
    operands: { rn: X('Rn') },
    execute: (b, { rn }) => b.branchTo(b.readX(64, rn), 'jump', rn),
  }),
  defineRow({
    ...shared,
    id: 'BLR_branch_reg',
    name: 'blr',
    pattern: '1101011 0 0 01 11111 000000 Rn:5 00000',
    summary: 'Branch with link to register',
    arm: 'C6.2 BLR',
    operands: { rn: X('Rn') },
    execute: (b, { rn }) => {
      const target = b.let(b.readX(64, rn));
      writeLink(b);
      b.branchTo(target, 'call');
    },
  }),
  defineRow({
    ...shared,
    id: 'RET_branch_reg',
    name: 'ret',
    pattern: '1101011 0 0 10 11111 000000 Rn:5 00000',
    summary: 'Return from subroutine',
    arm: 'C6.2 RET',
    operands: { rn: X('Rn') },
    aliases: [{ name: 'ret', operands: {}, fixed: { Rn: 30 } }],
    execute: (b, { rn }) => b.branchTo(b.readX(64, rn), 'return'),
  }),
];
