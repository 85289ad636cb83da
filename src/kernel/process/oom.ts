/**
 * Who dies where memory has run out, and how many threads there may be before it does.
 *
 * Ref. mm/oom_kill.c (oom_badness, select_bad_process), fs/proc/base.c (proc_oom_score), kernel/fork.c
 * (set_max_threads) of Linux 6.8. Unlike there the first process is no exception: here it is a program like the
 * others.
 */
import type { MemoryManager } from '../mm/index.js';
import type { Process } from './process.js';
import { MOST_THREADS } from './process-table.js';

/** OOM_SCORE_ADJ_MIN: never killed. */
const NEVER = -1000;

/** Pages of memory and swap that there are. */
function totalPages(mm: MemoryManager): number {
  const { MemTotal = 0, SwapTotal = 0 } = mm.meminfo();
  return ((MemTotal + SwapTotal) * 1024) / mm.pageSize;
}

/** oom_badness(): pages of memory, swap and tables that its end would free, and what oom_score_adj adds; undefined where it is not to die. */
export function oomBadness(mm: MemoryManager, process: Process): number | undefined {
  if (process.end !== undefined || process.oomScoreAdjustment === NEVER) return undefined;
  const { residentPages, swapEntries, nrTables } = process.mm;
  return (
    residentPages + swapEntries + nrTables + Math.trunc((process.oomScoreAdjustment * totalPages(mm)) / 1000)
  );
}

/** /proc/PID/oom_score: 0..2000, 1000 for a third more than all memory. */
export function oomScore(mm: MemoryManager, process: Process): number {
  const points = oomBadness(mm, process);
  return points === undefined
    ? 0
    : Math.max(0, Math.trunc(((1000 + (points * 1000) / totalPages(mm)) * 2) / 3));
}

/** However little memory there is, so many threads there may be. */
const LEAST_THREADS = 20;
/** Kernel memory of a thread, for set_max_threads(). */
const THREAD_SIZE = 16384;

/** set_max_threads(): threads that their kernel memory alone lets have an eighth of memory. */
export function mostThreads(mm: MemoryManager): number {
  const { MemTotal = 0 } = mm.meminfo();
  return Math.min(MOST_THREADS, Math.max(LEAST_THREADS, Math.floor((MemTotal * 1024) / (8 * THREAD_SIZE))));
}

export function tooManyThreads(mm: MemoryManager, count: number): boolean {
  return count >= LEAST_THREADS && count >= mostThreads(mm);
}
