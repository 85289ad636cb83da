/**
 * Exception generation and return, and the permanently undefined encoding.
 *
 * DCPS and DRPS are UNDEFINED outside Debug state, which no machine of ours enters.
 *
 * Ref. DDI 0487, C4.1 "Exception generation" and "Reserved"; D1.
 */
import type { Builder, Words } from '../builder.js';
import { imm, optionalImm } from '../operands/index.js';
import { defineRow, type Row } from '../row.js';

const shared = { class: 'exception' } as const;
const operands = { imm: imm('imm16', 16) };

const debugState = (level: 1 | 2 | 3): Row =>
  defineRow({
    ...shared,
    id: `DCPS${level}_exception`,
    name: `dcps${level}`,
    pattern: (
      [
        '11010100 101 imm16:16 000 01',
        '11010100 101 imm16:16 000 10',
        '11010100 101 imm16:16 000 11',
      ] as const
    )[(level - 1) as 0 | 1 | 2],
    summary: `Debug change PE state to EL${level} (UNDEFINED outside Debug state)`,
    arm: `C6.2 DCPS${level}`,
    operands: { imm: optionalImm('imm16', 16) },
    execute: <T extends Words>(b: Builder<T>) => b.undefined(),
  });

export const rows: readonly Row[] = [
  defineRow({
    ...shared,
    id: 'UDF_reserved',
    name: 'udf',
    pattern: '0000000000000000 imm16:16',
    summary: 'Permanently undefined',
    arm: 'C6.2 UDF',
    operands: { imm: imm('imm16', 16, { style: 'decimal' }) },
    execute: (b) => b.undefined(),
  }),
  defineRow({
    ...shared,
    id: 'SVC_exception',
    name: 'svc',
    pattern: '11010100 000 imm16:16 000 01',
    summary: 'Supervisor call',
    arm: 'C6.2 SVC',
    operands,
    execute: (b, o) => b.supervisorCall(o.imm),
  }),
  defineRow({
    ...shared,
    id: 'HVC_exception',
    name: 'hvc',
    pattern: '11010100 000 imm16:16 000 10',
    summary: 'Hypervisor call',
    arm: 'C6.2 HVC',
    operands,
    execute: (b, o) => b.hypervisorCall(o.imm),
  }),
  defineRow({
    ...shared,
    id: 'SMC_exception',
    name: 'smc',
    pattern: '11010100 000 imm16:16 000 11',
    summary: 'Secure monitor call',
    arm: 'C6.2 SMC',
    operands,
    execute: (b, o) => b.secureMonitorCall(o.imm),
  }),
  defineRow({
    ...shared,
    id: 'BRK_exception',
    name: 'brk',
    pattern: '11010100 001 imm16:16 000 00',
    summary: 'Breakpoint',
    arm: 'C6.2 BRK',
    operands,
    execute: (b, o) => b.breakpoint(o.imm),
  }),
  defineRow({
    ...shared,
    id: 'HLT_exception',
    name: 'hlt',
    pattern: '11010100 010 imm16:16 000 00',
    summary: 'Halt, or a semihosting call',
    arm: 'C6.2 HLT',
    operands,
    execute: (b, o) => b.halt(o.imm),
  }),
  debugState(1),
  debugState(2),
  debugState(3),
  defineRow({
    ...shared,
    id: 'ERET_branch_reg',
    name: 'eret',
    pattern: '1101011 0 1 00 11111 000000 11111 00000',
    summary: 'Exception return',
    arm: 'C6.2 ERET',
    operands: {},
    execute: (b) => {
      b.requireEL(1);
      b.exceptionReturn();
    },
  }),
  defineRow({
    ...shared,
    id: 'DRPS_branch_reg',
    name: 'drps',
    pattern: '1101011 0 1 01 11111 000000 11111 00000',
    summary: 'Debug restore PE state (UNDEFINED outside Debug state)',
    arm: 'C6.2 DRPS',
    operands: {},
    execute: (b) => b.undefined(),
  }),
];
