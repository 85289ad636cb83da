/**
 * Who dies where memory has run out, and how many threads there may be before it does.
 *
 * The allocator asks when neither reclaim nor compaction got it a page (`outOfMemory`). One victim at a time, together
 * with whoever shares its memory; who asked waits until it has left and tries again.
 *
 * Ref. mm/oom_kill.c (oom_badness, select_bad_process, oom_kill_process, dump_tasks), mm/page_alloc.c
 * (__alloc_pages_may_oom), fs/proc/base.c (proc_oom_score), kernel/fork.c (set_max_threads) of Linux 6.8. Unlike there the first process is no exception: here it is a program like the
 * others.
 */
import { EACCES, EINVAL, type MaySleep, sleepPoint } from '../contexts/index.js';
import { describeGfp, type MemoryManager, type MemoryRequest } from '../mm/index.js';
import { CAP, capable } from './credentials.js';
import { killProcess } from './deliver-signals.js';
import type { KernelState } from './kernel-state.js';
import type { Process } from './process.js';
import { MOST_THREADS } from './process-table.js';

/** OOM_SCORE_ADJ_MIN: never killed. */
const NEVER = -1000;

/** Pages of memory and swap that there are. */
function totalPages(mm: MemoryManager): number {
  const { MemTotal = 0, SwapTotal = 0 } = mm.meminfo();
  return ((MemTotal + SwapTotal) * 1024) / mm.pageSize;
}

/** in_vfork(): the memory is the parent's, who waits; killing the child frees nothing. */
function isInVfork({ space, parent, releasedSpace }: Process): boolean {
  return parent !== undefined && parent.space === space && !releasedSpace;
}

/**
 * oom_badness(): pages of memory, swap and tables that its end would free, and what oom_score_adj adds; undefined
 * where it is not to die, or has no memory any more.
 */
export function oomBadness(mm: MemoryManager, process: Process): number | undefined {
  if (process.end !== undefined || process.releasedSpace) return undefined;
  if (process.oomScoreAdjustment === NEVER || process.oomSkip || isInVfork(process)) return undefined;
  return ownPages(process) + Math.trunc((process.oomScoreAdjustment * totalPages(mm)) / 1000);
}

function ownPages({ mm }: Process): number {
  return mm.residentPages + mm.swapEntries + mm.nrTables;
}

/** /proc/PID/oom_score: 0..2000, 1000 for a third more than all memory. */
export function oomScore(mm: MemoryManager, process: Process): number {
  const points = oomBadness(mm, process);
  return points === undefined
    ? 0
    : Math.max(0, Math.trunc(((1000 + (points * 1000) / totalPages(mm)) * 2) / 3));
}

const OOM_WAIT = sleepPoint('out of memory: the victim leaves');
/**
 * Turns that a victim gets to leave, before it is taken to wait for what the one that asks holds, and another is
 * chosen (where Linux's reaper sets MMF_OOM_SKIP).
 */
const VICTIM_TURNS = 2000;

/** What is said of who was killed for it. */
const OUT_OF_MEMORY = 'out of memory';

/** Killed already, and its memory not yet free. */
const isLeaving = ({ oomVictim, oomSkip, end, releasedSpace }: Process): boolean =>
  oomVictim && !oomSkip && end === undefined && !releasedSpace;

/**
 * out_of_memory(): chooses a victim, unless one is on its way out already, and waits for it to leave.
 *
 * @returns whether to try again; false where nobody is left to kill, or the caller itself is to die.
 */
export function* outOfMemory(state: KernelState, request: MemoryRequest): MaySleep<boolean> {
  const { table, contexts } = state;
  const current = state.currentThread()?.process;
  if (contexts.current.fatalSignalPending) return false;
  let victim: Process | undefined;
  for (const process of table.processes) if (isLeaving(process)) victim ??= process;
  if (victim === undefined) {
    victim = selectBadProcess(state) ?? noVictim(state, current);
    if (victim === undefined) return false;
    oomKill(state, victim, request);
  }
  for (let turn = 0; turn < VICTIM_TURNS && isLeaving(victim); turn++) {
    if (contexts.current.fatalSignalPending) return false;
    yield OOM_WAIT;
  }
  if (isLeaving(victim)) victim.oomSkip = true;
  return !contexts.current.fatalSignalPending;
}

/** select_bad_process(): of equals, the one that came last. */
function selectBadProcess({ mm, table }: KernelState): Process | undefined {
  let victim: Process | undefined;
  let worst = Number.NEGATIVE_INFINITY;
  for (const process of table.processes) {
    const badness = oomBadness(mm, process);
    if (badness === undefined || badness < worst) continue;
    worst = badness;
    victim = process;
  }
  return victim;
}

/** Linux panics here. Who asked ends, which frees its memory for whatever is left. */
function noVictim({ log }: KernelState, current: Process | undefined): Process | undefined {
  log('Out of memory and no killable processes...');
  return current;
}

/** oom_kill_process(): says who asked, what there was to choose from, and who dies with all that share its memory. */
function oomKill(state: KernelState, victim: Process, { gfp, order }: MemoryRequest): void {
  const { table, mm, log, contexts } = state;
  const asking = state.currentThread();
  const adjustment = asking?.process.oomScoreAdjustment ?? 0;
  log(
    `${asking?.comm ?? contexts.current.name} invoked oom-killer: gfp_mask=0x${gfp.toString(16)}(${describeGfp(gfp)}), ` +
      `order=${order}, oom_score_adj=${adjustment}`,
  );
  log('Tasks state (memory values in pages):');
  log('[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name');
  for (const process of table.processes) {
    if (process.end === undefined && !process.releasedSpace) log(taskLine(mm, process));
  }
  const uid = victim.leader?.credentials.user.real ?? 0;
  const name = victim.leader?.comm ?? victim.name;
  log(
    'oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,' +
      `task=${name},pid=${victim.pid},uid=${uid}`,
  );
  const kib = (pages: number) => `${(pages * mm.pageSize) / 1024}kB`;
  const { totalVm, anonPages, filePages, nrTables } = victim.mm;
  log(
    `Out of memory: Killed process ${victim.pid} (${name}) total-vm:${kib(totalVm)}, anon-rss:${kib(anonPages)}, ` +
      `file-rss:${kib(filePages)}, shmem-rss:0kB, UID:${uid} pgtables:${kib(nrTables)} ` +
      `oom_score_adj:${victim.oomScoreAdjustment}`,
  );
  mm.countOomKill();
  for (const process of table.processes) {
    if (process !== victim && (process.space !== victim.space || process.releasedSpace)) continue;
    process.oomVictim = true;
    killProcess(process, OUT_OF_MEMORY);
  }
}

/** dump_task(). */
function taskLine(mm: MemoryManager, process: Process): string {
  const { pid, leader, oomScoreAdjustment, name } = process;
  const { totalVm, residentPages, nrTables, swapEntries } = process.mm;
  const field = (value: number, width: number) => String(value).padStart(width);
  const uid = leader?.credentials.user.real ?? 0;
  return (
    `[${field(pid, 7)}] ${field(uid, 5)} ${field(pid, 5)} ${field(totalVm, 8)} ${field(residentPages, 8)} ` +
    `${field(nrTables * mm.pageSize, 8)} ${field(swapEntries, 8)}         ${field(oomScoreAdjustment, 5)} ` +
    `${leader?.comm ?? name}`
  );
}

/**
 * __set_oom_adj(): 0 or a negative errno. Below what was allowed so far is for the privileged alone; whoever shares
 * the memory goes with it.
 */
export function setOomScoreAdjustment(state: KernelState, process: Process, value: number): number {
  if (!Number.isInteger(value) || value < NEVER || value > 1000) return -EINVAL;
  const writer = state.currentThread()?.credentials;
  const isPrivileged = writer === undefined || capable(writer, CAP.SYS_RESOURCE);
  if (value < process.oomScoreAdjustmentLeast && !isPrivileged) return -EACCES;
  if (isPrivileged) process.oomScoreAdjustmentLeast = value;
  process.oomScoreAdjustment = value;
  for (const other of state.table.processes) {
    if (other === process || other.space !== process.space || other.releasedSpace) continue;
    if (isInVfork(process) || isInVfork(other)) continue;
    other.oomScoreAdjustment = value;
    if (isPrivileged) other.oomScoreAdjustmentLeast = value;
  }
  return 0;
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
