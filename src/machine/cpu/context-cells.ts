/**
 * System registers whose writes do more than keep a value: what accesses look at, timers and debug events
 * depend on them.
 *
 * Ref. cpu.ts (cellWritten), DDI 0487, D19.
 */
import { TRANSLATION_CELLS } from '../mmu/index.js';
import { DEBUG_CELLS } from './debug.js';
import { cellOf } from './system-cells.js';
import { TIMER_CELLS } from './timers.js';

/** Cells that `Cpu.refreshContext` reads, beside those of translation. */
export const CONTEXT_CELLS: ReadonlySet<number> = new Set(
  ['sctlr_el1', 'sctlr_el2', 'sctlr_el3', 'hcr_el2', 'scr_el3', 'cpacr_el1', 'cptr_el2', 'cptr_el3'].map(
    cellOf,
  ),
);

export const hasEffect = (cell: number): boolean =>
  TRANSLATION_CELLS.has(cell) || CONTEXT_CELLS.has(cell) || TIMER_CELLS.has(cell) || DEBUG_CELLS.has(cell);
