/**
 * Ends of threads and processes, and waiting for them.
 *
 * Ref. kernel/exit.c (do_exit, do_group_exit, do_wait), kernel/futex/core.c (exit_robust_list).
 */
import { ECHILD, EINVAL, ERESTARTSYS, type MaySleep, waitFor } from '../contexts/index.js';
import { SIGNAL } from './abi.js';
import { addUsage, type Usage, usageOf } from './cpu-time.js';
import { FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS } from './futex.js';
import type { KernelState } from './kernel-state.js';
import { leaveSpace } from './life.js';
import { type Process, type ProcessEnd, waitStatus } from './process.js';
import {
  exitTracer,
  foreignTracer,
  ptraceEvent,
  reapTracee,
  tracedProcessEnded,
  tracedThreadEnded,
  trapped,
} from './ptrace.js';
import { PTRACE_EVENT } from './ptrace-abi.js';
import { notifyParentOfEnd, sendToProcess } from './send-signal.js';
import { sentSignal } from './siginfo.js';
import type { Thread } from './thread.js';
import { readU64, updateU32, writeU32 } from './user-memory.js';

/** ROBUST_LIST_LIMIT. */
const ROBUST_LIST_LIMIT = 2048;

/** do_exit(): the calling thread leaves. */
export function* exitThread(state: KernelState, thread: Thread): MaySleep<void> {
  const { process } = thread;
  yield* ptraceEvent(thread, PTRACE_EVENT.EXIT, BigInt(statusOf(thread)));
  yield* releaseUserWords(state, thread);
  thread.ended = true;
  process.threads.delete(thread);
  thread.retarget();
  exitTracer(state, thread);
  const isLeader = thread.tid === process.pid;
  // A traced thread is its tracer's to wait for, where it is not its process's end that tells of it.
  const awaited = !isLeader && tracedThreadEnded(thread, statusOf(thread));
  if (!awaited && (!isLeader || process.threads.size === 0)) state.table.removeThread(thread);
  state.user.forget(thread);
  if (process.threads.size > 0) {
    process.space.users--;
    process.execWaiter?.sleeper.wake();
    return;
  }
  const end = process.groupExit ?? { kind: 'exited', status: thread.exiting ?? 0 };
  yield* exitProcess(state, process, end);
}

/** The status word with which the thread ends. */
function statusOf({ process, exiting }: Thread): number {
  return process.groupExit === undefined ? (exiting ?? 0) << 8 : waitStatus(process.groupExit);
}

/** exit_robust_list(), exit_pi_state_list() and mm_release(): what user space left for others to find. */
export function* releaseUserWords(state: KernelState, thread: Thread): MaySleep<void> {
  const { mm, futexes } = state;
  if (thread.robustList !== 0n) yield* exitRobustList(state, thread);
  const address = thread.clearChildTid;
  if (address !== 0n && thread.process.space.users > 1) {
    yield* writeU32(mm, thread, address, 0);
    futexes.wake(futexes.keyOf(thread, address), 1);
  }
  yield* futexes.exit(thread);
}

function* exitRobustList(state: KernelState, thread: Thread): MaySleep<void> {
  const { mm } = state;
  const head = thread.robustList;
  const offset = yield* readU64(mm, thread, head + 8n);
  const pending = yield* readU64(mm, thread, head + 16n);
  let entry = yield* readU64(mm, thread, head);
  if (offset === undefined || pending === undefined) return;
  // Bit 0 of an entry: a lock with an owner (PI).
  const wordOf = (at: bigint) => BigInt.asUintN(64, (at & ~1n) + offset);
  for (let n = 0; n < ROBUST_LIST_LIMIT; n++) {
    if (entry === undefined || (entry & ~1n) === head) break;
    const next: bigint | undefined = yield* readU64(mm, thread, entry & ~1n);
    const isPending = (entry & ~1n) === (pending & ~1n);
    if (!isPending && !(yield* ownerDied(state, thread, wordOf(entry), (entry & 1n) === 1n, false))) return;
    entry = next;
  }
  if (pending !== 0n) yield* ownerDied(state, thread, wordOf(pending), (pending & 1n) === 1n, true);
}

/** handle_futex_death(): false where the word cannot be written. */
function* ownerDied(
  state: KernelState,
  thread: Thread,
  address: bigint,
  isPi: boolean,
  isPending: boolean,
): MaySleep<boolean> {
  const { mm, futexes } = state;
  const wake = () => futexes.wake(futexes.keyOf(thread, address), 1);
  const word = yield* updateU32(mm, thread, address, (found) =>
    (found & FUTEX_TID_MASK) === thread.tid ? ((found & FUTEX_WAITERS) | FUTEX_OWNER_DIED) >>> 0 : undefined,
  );
  if (word === undefined) return false;
  // Unlocked already, and ended before it could wake the next.
  if (isPending && !isPi && word === 0) wake();
  // Who waits for a lock with an owner gets it below.
  if (!isPi && (word & FUTEX_TID_MASK) === thread.tid && (word & FUTEX_WAITERS) !== 0) wake();
  return true;
}

function reaperOf(process: Process): Process | undefined {
  for (let at = process.parent; at !== undefined; at = at.parent) {
    if (at.isSubreaper && at.end === undefined && at.groupExit === undefined) return at;
  }
  return undefined;
}

/** The last thread is gone: a zombie is left, or nothing where nobody asks. */
function* exitProcess(state: KernelState, process: Process, end: ProcessEnd): MaySleep<void> {
  const { table } = state;
  for (const { timer, timers } of process.intervalTimers.values()) timers.cancel(timer);
  for (const { timer, timers } of process.posixTimers.values()) timers.cancel(timer);
  state.ipc.sem.exit(process, process.pid);
  process.files.drop();
  yield* state.files.flush();
  if (process.sid === process.pid) state.ttys.leaderEnds(process.sid);
  usageOf(state, process);
  yield* leaveSpace(state, process);
  process.end = end;
  process.exited.wake();
  // find_new_reaper(): the nearest that asked for orphans, or the first process.
  const reaper = reaperOf(process) ?? table.get(1);
  for (const child of process.children) {
    child.parent = reaper === process ? undefined : reaper;
    // reparent_leader(): nobody slays the first process by the signal a child ends with.
    child.exitSignal = SIGNAL.SIGCHLD;
    if (child.parentDeathSignal !== 0 && child.end === undefined) {
      sendToProcess(child, sentSignal(child.parentDeathSignal, 'SI_USER', { pid: process.pid, uid: 0 }));
    }
    if (reaper !== undefined && reaper !== process) {
      reaper.children.add(child);
      if (child.end !== undefined) reaper.childEvents.wake();
    } else if (child.end !== undefined) {
      table.remove(child);
    }
  }
  process.children.clear();
  if (tracedProcessEnded(process)) return;
  if (notifyParentOfEnd(process, end) || (process.parent === undefined && process.pid !== 1)) {
    table.remove(process);
  }
}

export const WNOHANG = 1;
export const WUNTRACED = 2;
export const WEXITED = 4;
export const WCONTINUED = 8;
export const WNOWAIT = 0x01000000;

export interface WaitedChild {
  readonly pid: number;
  /** The status word of wait4. */
  readonly status: number;
  /** CLD_* and si_status for waitid. */
  readonly code: 'CLD_EXITED' | 'CLD_KILLED' | 'CLD_DUMPED' | 'CLD_TRAPPED' | 'CLD_STOPPED' | 'CLD_CONTINUED';
  readonly value: number;
  /** Of the child and of its own children that it waited for. */
  readonly usage?: Usage;
}

/** Which children wait4 asks for: a pid, any (-1), the caller's group (0), a group (-pgid). */
function matches(caller: Process, child: Process, which: number): boolean {
  if (which > 0) return child.pid === which;
  if (which === -1) return true;
  return child.pgid === (which === 0 ? caller.pgid : -which);
}

/** A child that has something to tell; it is told once, unless WNOWAIT. */
function collect(state: KernelState, child: Process, options: number): WaitedChild | undefined {
  const keep = (options & WNOWAIT) !== 0;
  const { end, pid } = child;
  if (end !== undefined) {
    if ((options & WEXITED) === 0) return undefined;
    const usage = addUsage(usageOf(state, child), child.childUsage);
    if (!keep) {
      const { parent } = child;
      if (parent !== undefined) parent.childUsage = addUsage(parent.childUsage, usage);
      state.table.remove(child);
      const leader = child.leader;
      if (leader !== undefined) state.table.removeThread(leader);
    }
    if (end.kind === 'exited') {
      return { pid, status: waitStatus(end), code: 'CLD_EXITED', value: end.status, usage };
    }
    const { signo } = end.info;
    return {
      pid,
      status: waitStatus(end),
      code: end.dumped === true ? 'CLD_DUMPED' : 'CLD_KILLED',
      value: signo,
      usage,
    };
  }
  if (child.unreported === 'stopped' && (options & WUNTRACED) !== 0 && child.stopped !== 0) {
    if (!keep) child.unreported = undefined;
    return { pid, status: (child.stopped << 8) | 0x7f, code: 'CLD_STOPPED', value: child.stopped };
  }
  if (child.unreported === 'continued' && (options & WCONTINUED) !== 0) {
    if (!keep) child.unreported = undefined;
    return { pid, status: 0xffff, code: 'CLD_CONTINUED', value: 18 };
  }
  return undefined;
}

function matchesTracee(caller: Process, tracee: Thread, which: number): boolean {
  return which > 0 ? tracee.tid === which : matches(caller, tracee.process, which);
}

function reportedEnd(pid: number, status: number): WaitedChild {
  const signo = status & 0x7f;
  if (signo === 0) return { pid, status, code: 'CLD_EXITED', value: status >> 8 };
  return { pid, status, code: (status & 0x80) === 0 ? 'CLD_KILLED' : 'CLD_DUMPED', value: signo };
}

/** wait_consider_task() with ptrace set. */
function collectTracee(state: KernelState, tracee: Thread, options: number): WaitedChild | undefined {
  const keep = (options & WNOWAIT) !== 0;
  const { tracing, process, tid } = tracee;
  if (tracing?.zombie !== undefined) {
    if ((options & WEXITED) === 0) return undefined;
    const found = reportedEnd(tid, tracing.zombie);
    if (keep) return found;
    const own = process.leader === tracee && foreignTracer(process) === undefined;
    reapTracee(state, tracee);
    // The tracer is the parent as well: nobody else waits.
    return own ? collect(state, process, options) : found;
  }
  const stop = trapped(tracee);
  if (stop !== undefined && stop.exitCode !== 0 && tracing?.listening !== true) {
    const { exitCode } = stop;
    if (!keep) stop.exitCode = 0;
    return { pid: tid, status: (exitCode << 8) | 0x7f, code: 'CLD_TRAPPED', value: exitCode };
  }
  if (tracee === process.leader && process.unreported === 'continued')
    return collect(state, process, options);
  return undefined;
}

/** do_wait(): a child, 0 with WNOHANG where none has anything to tell, or a negative errno. */
export function* waitForChild(
  state: KernelState,
  thread: Thread,
  which: number,
  options: number,
): MaySleep<WaitedChild | number> {
  if (which === -0x80000000) return -EINVAL;
  const { process } = thread;
  let found: WaitedChild | undefined;
  let none = false;
  const look = () => {
    none = true;
    for (const child of process.children) {
      if (!matches(process, child, which)) continue;
      none = false;
      // What others trace is theirs until they let go; what the caller traces is looked at below.
      if (child.leader?.tracing !== undefined) continue;
      found = collect(state, child, options);
      if (found !== undefined) return true;
    }
    for (const tracer of process.threads) {
      for (const tracee of tracer.tracees) {
        if (!matchesTracee(process, tracee, which)) continue;
        none = false;
        found = collectTracee(state, tracee, options);
        if (found !== undefined) return true;
      }
    }
    return none || (options & WNOHANG) !== 0;
  };
  const done = yield* waitFor(thread, [process.childEvents], look);
  if (!done) return -ERESTARTSYS;
  if (found !== undefined) return found;
  return none ? -ECHILD : 0;
}
