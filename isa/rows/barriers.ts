/**
 * Barriers: DMB, DSB, ISB, SB, SSBB, PSSBB, and CLREX, which shares their encoding space.
 *
 * The emulator executes in order and keeps one view of memory, so that a barrier's options say nothing
 * to semantics; with modelled caches the machine uses DSB and ISB.
 *
 * Ref. DDI 0487, C4.1.93 "Barriers".
 */
import { barrierOption, optionalNibble } from '../operands/system.js';
import { defineRow, type Row } from '../row.js';

export const rows: readonly Row[] = [
  defineRow({
    id: 'CLREX',
    name: 'clrex',
    pattern: '11010101000000110011 CRm:4 010 11111',
    class: 'system',
    summary: 'Clear Exclusive',
    arm: 'C6.2 CLREX',
    operands: { imm: optionalNibble('CRm', { sy: false }) },
    execute: (b) => b.clearExclusive(),
  }),
  defineRow({
    id: 'DSB',
    name: 'dsb',
    pattern: '11010101000000110011 CRm:4 100 11111',
    class: 'system',
    summary: 'Data Synchronization Barrier',
    arm: 'C6.2 DSB',
    operands: { option: barrierOption('CRm') },
    aliases: [
      { name: 'ssbb', operands: {}, fixed: { CRm: 0 } },
      { name: 'pssbb', operands: {}, fixed: { CRm: 4 } },
      { name: 'dfb', operands: {}, fixed: { CRm: 12 }, when: 'never' },
    ],
    execute: (b) => b.barrier('dsb'),
  }),
  defineRow({
    id: 'DMB',
    name: 'dmb',
    pattern: '11010101000000110011 CRm:4 101 11111',
    class: 'system',
    summary: 'Data Memory Barrier',
    arm: 'C6.2 DMB',
    operands: { option: barrierOption('CRm') },
    execute: (b) => b.barrier('dmb'),
  }),
  defineRow({
    id: 'ISB',
    name: 'isb',
    pattern: '11010101000000110011 CRm:4 110 11111',
    class: 'system',
    summary: 'Instruction Synchronization Barrier',
    arm: 'C6.2 ISB',
    operands: { imm: optionalNibble('CRm', { sy: true }) },
    execute: (b) => b.barrier('isb'),
  }),
  defineRow({
    id: 'SB',
    name: 'sb',
    pattern: '11010101000000110011 0000 111 11111',
    class: 'system',
    summary: 'Speculation Barrier',
    arm: 'C6.2 SB',
    feature: 'FEAT_SB',
    operands: {},
    execute: (b) => b.barrier('sb'),
  }),
];
