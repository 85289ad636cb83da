/**
 * Sending signals: to a process, a thread, a group; by force where a fault leaves no choice; to the
 * parent when a child changes state.
 *
 * Ref. kernel/signal.c (send_signal_locked, prepare_signal, complete_signal, force_sig_info_to_task,
 * do_notify_parent).
 */
import { SA, SIGNAL, SIGRTMIN } from './abi.js';
import { RLIMIT } from './limits.js';
import type { Process, ProcessEnd } from './process.js';
import { type SignalInfo, sentSignal } from './siginfo.js';
import { DEFAULT_ACTION, SIG_DFL, SIG_IGN, sigbit, stops, UNBLOCKABLE } from './signals.js';
import type { Thread } from './thread.js';

const STOP_SIGNALS =
  sigbit(SIGNAL.SIGSTOP) | sigbit(SIGNAL.SIGTSTP) | sigbit(SIGNAL.SIGTTIN) | sigbit(SIGNAL.SIGTTOU);
/** signalfd_notify(): POLLIN. */
const SIGNALFD_EVENTS = 1;
const CONT = sigbit(SIGNAL.SIGCONT);

/** prepare_signal(): SIGCONT and the stop signals cancel each other. */
function prepare(process: Process, signo: number): void {
  if (stops(signo)) {
    process.pending.drop(CONT);
    for (const thread of process.threads) thread.pending.drop(CONT);
  } else if (signo === SIGNAL.SIGCONT) {
    process.pending.drop(STOP_SIGNALS);
    for (const thread of process.threads) {
      thread.pending.drop(STOP_SIGNALS);
      thread.stopPending = false;
      // ptrace_trap_notify(): a seized thread tells its tracer.
      if (thread.tracing?.seized === true) {
        thread.tracing.trapPending = true;
        thread.sleeper.wake();
      }
    }
    if (process.stopped !== 0) {
      process.stopped = 0;
      process.unreported = 'continued';
      notifyParentOfChange(process, 'CLD_CONTINUED', SIGNAL.SIGCONT);
      wakeAll(process);
    }
  }
}

/** sig_task_ignored(); a tracer is shown what its tracee ignores. */
function ignored({ actions }: Process, signo: number): boolean {
  return actions.ignores(signo) && (UNBLOCKABLE & sigbit(signo)) === 0n;
}

/** RLIMIT_SIGPENDING, counted for the process; standard signals are sent all the same. */
function overLimit(process: Process, signo: number): boolean {
  if (signo < SIGRTMIN) return false;
  let queued = process.pending.length;
  for (const thread of process.threads) queued += thread.pending.length;
  return queued >= process.limits.soft(RLIMIT.SIGPENDING);
}

function wakeAll(process: Process): void {
  for (const thread of process.threads) thread.sleeper.wake();
}

/**
 * To a process; any of its threads that does not block the signal takes it.
 *
 * @returns false where the queue is full.
 */
export function sendToProcess(process: Process, info: SignalInfo): boolean {
  const { signo } = info;
  if (process.end !== undefined) return true;
  prepare(process, signo);
  const leader = process.leader;
  const bit = sigbit(signo);
  const blocked = leader !== undefined && (leader.blocked & bit) !== 0n;
  if (!blocked && leader?.tracing === undefined && ignored(process, signo)) return true;
  if (overLimit(process, signo) || !process.pending.add(info)) return false;
  process.signalEvents.wake(SIGNALFD_EVENTS);
  if (signo === SIGNAL.SIGKILL) {
    for (const thread of process.threads) thread.task.fatalSignalPending = true;
    wakeAll(process);
    return true;
  }
  const taker =
    leader !== undefined && !leader.ended && (leader.blocked & bit) === 0n
      ? leader
      : [...process.threads].find((thread) => (thread.blocked & bit) === 0n);
  taker?.sleeper.wake();
  return true;
}

/** To one thread (tgkill). */
export function sendToThread(thread: Thread, info: SignalInfo): boolean {
  const { process } = thread;
  const bit = sigbit(info.signo);
  if (thread.ended) return true;
  prepare(process, info.signo);
  const blocked = (thread.blocked & bit) !== 0n;
  if (!blocked && thread.tracing === undefined && ignored(process, info.signo)) return true;
  if (overLimit(process, info.signo) || !thread.pending.add(info)) return false;
  process.signalEvents.wake(SIGNALFD_EVENTS);
  if (info.signo === SIGNAL.SIGKILL) {
    for (const each of process.threads) each.task.fatalSignalPending = true;
    wakeAll(process);
  }
  thread.sleeper.wake();
  return true;
}

/** force_sig_info_to_task(): a fault whose signal is blocked or ignored kills. */
export function forceSignal(thread: Thread, info: SignalInfo): void {
  const { actions } = thread.process;
  const action = actions.get(info.signo);
  const bit = sigbit(info.signo);
  const blocked = (thread.blocked & bit) !== 0n;
  if (blocked || action.handler === SIG_IGN) {
    actions.set(info.signo, DEFAULT_ACTION);
    if (blocked) thread.blocked &= ~bit;
  }
  // What was pending already of this number says nothing of this fault.
  thread.pending.drop(bit);
  thread.pending.add(info);
}

/** do_group_exit(): every thread of the process leaves. */
export function endGroup(process: Process, end: ProcessEnd): void {
  if (process.groupExit !== undefined) return;
  process.groupExit = end;
  process.stopped = 0;
  for (const thread of process.threads) {
    thread.task.fatalSignalPending = true;
    thread.sleeper.wake();
  }
}

/** do_notify_parent_cldstop(). */
export function notifyParentOfChange(
  process: Process,
  code: 'CLD_STOPPED' | 'CLD_CONTINUED',
  status: number,
): void {
  const { parent } = process;
  if (parent === undefined) return;
  const action = parent.actions.get(SIGNAL.SIGCHLD);
  if ((action.flags & SA.NOCLDSTOP) === 0 && action.handler !== SIG_IGN && action.handler !== SIG_DFL) {
    sendToProcess(parent, sentSignal(SIGNAL.SIGCHLD, code, { pid: process.pid, uid: 0, status }));
  }
  parent.childEvents.wake();
}

/** do_notify_parent(): true where nobody will wait for the zombie. */
export function notifyParentOfEnd(process: Process, end: ProcessEnd): boolean {
  const { parent } = process;
  if (parent === undefined) return false;
  const action = parent.actions.get(SIGNAL.SIGCHLD);
  const forgotten =
    process.exitSignal === SIGNAL.SIGCHLD &&
    (action.handler === SIG_IGN || (action.flags & SA.NOCLDWAIT) !== 0);
  if (process.exitSignal !== 0 && !(forgotten && action.handler === SIG_IGN)) {
    const code = end.kind === 'exited' ? 'CLD_EXITED' : end.dumped === true ? 'CLD_DUMPED' : 'CLD_KILLED';
    const status = end.kind === 'exited' ? end.status : end.info.signo;
    sendToProcess(parent, sentSignal(process.exitSignal, code, { pid: process.pid, uid: 0, status }));
  }
  parent.childEvents.wake();
  return forgotten;
}
