/**
 * Tracing: who traces whom, the stops of a traced thread, and what its tracer is told.
 *
 * A ptrace-stop is a place in the thread's own life: the generator waits there until the tracer lets it
 * go, the tracer is gone, or SIGKILL comes. Everything the tracer changes meanwhile, registers first,
 * is simply there when the thread moves on.
 *
 * Ref. kernel/ptrace.c, kernel/signal.c (ptrace_stop, ptrace_signal, do_jobctl_trap), ptrace(2).
 */
import { EIO, EPERM, ESRCH, type MaySleep } from '../contexts/index.js';
import { SA, SIGNAL } from './abi.js';
import { CAP, capable, mayInspect } from './credentials.js';
import type { KernelState } from './kernel-state.js';
import { type Process, waitStatus } from './process.js';
import {
  PTRACE_EVENT,
  PTRACE_EVENTMSG_SYSCALL_ENTRY,
  PTRACE_EVENTMSG_SYSCALL_EXIT,
  PTRACE_O,
  PTRACE_O_MASK,
} from './ptrace-abi.js';
import { type TraceStop, Tracing } from './ptrace-state.js';
import { forceSignal, notifyParentOfEnd, sendToProcess, sendToThread } from './send-signal.js';
import { type SignalInfo, sentSignal, signalInfo } from './siginfo.js';
import { SIG_IGN, sigbit } from './signals.js';
import type { Thread } from './thread.js';

/** PSTATE.SS. */
export const PSTATE_SS = 1n << 21n;

// ---- beginning and ending ------------------------------------------------------------------------------

function link(target: Thread, tracer: Thread, seized: boolean, options: number): Tracing {
  const tracing = new Tracing(tracer, seized, options);
  target.tracing = tracing;
  tracer.tracees.add(target);
  return tracing;
}

/** PTRACE_TRACEME: the thread that made this process traces the caller. */
export function traceMe(thread: Thread): number {
  if (thread.tracing !== undefined) return -EPERM;
  const { process } = thread;
  const father = process.parent;
  if (father === undefined) return -EPERM;
  const forker = process.forker;
  const tracer = forker !== undefined && father.threads.has(forker) ? forker : [...father.threads][0];
  if (tracer !== undefined) link(thread, tracer, false, 0);
  return 0;
}

/** ptrace_may_access(): by the credentials, and what PR_SET_DUMPABLE hides from all but the privileged. */
export function ptraceMayAccess({ process, credentials }: Thread, target: Thread): boolean {
  if (process === target.process) return true;
  if (!mayInspect(credentials, target.credentials)) return false;
  return target.process.dumpable === 1 || capable(credentials, CAP.SYS_PTRACE);
}

/** PTRACE_ATTACH and PTRACE_SEIZE. */
export function attach(
  target: Thread,
  tracer: Thread,
  seize: { readonly address: bigint; readonly options: bigint } | undefined,
): number {
  if (seize !== undefined && (seize.address !== 0n || (seize.options & ~BigInt(PTRACE_O_MASK)) !== 0n)) {
    return -EIO;
  }
  if (target.process === tracer.process || target.ended || target.tracing !== undefined) return -EPERM;
  if (!ptraceMayAccess(tracer, target)) return -EPERM;
  const tracing = link(target, tracer, seize !== undefined, Number(seize?.options ?? 0n));
  // A thread in a group-stop turns to its tracer at once.
  if (target.process.stopped !== 0) tracing.trapPending = true;
  if (seize === undefined) sendToThread(target, sentSignal(SIGNAL.SIGSTOP, 'SI_KERNEL'));
  target.sleeper.wake();
  return 0;
}

/** PTRACE_INTERRUPT. */
export function interrupt(target: Thread): number {
  const { tracing } = target;
  if (tracing?.seized !== true) return -EIO;
  // One that is in another stop traps again as soon as it is let go.
  tracing.trapPending = true;
  target.sleeper.wake();
  return 0;
}

/** PTRACE_LISTEN: a seized thread in a group-stop stays there, and its tracer hears of what ends it. */
export function listen(target: Thread): number {
  const { tracing } = target;
  const { stop } = tracing ?? {};
  if (tracing?.seized !== true || stop?.info === undefined || stop.info.code >> 8 !== PTRACE_EVENT.STOP) {
    return -EIO;
  }
  tracing.listening = true;
  if (tracing.trapPending) target.sleeper.wake();
  return 0;
}

export function setStepping(state: KernelState, target: Thread, on: boolean): void {
  const { tracing } = target;
  if (tracing === undefined || tracing.singleStep === on) return;
  tracing.singleStep = on;
  const registers = state.user.registersOf(target);
  registers.pstate = on ? registers.pstate | PSTATE_SS : registers.pstate & ~PSTATE_SS;
}

/** ptrace_resume(): the thread goes on with `signal`. */
export function resume(target: Thread, signal: number): void {
  const stop = target.tracing?.stop;
  if (stop === undefined) return;
  stop.exitCode = signal;
  stop.resumed = true;
  target.sleeper.wake();
}

/** __ptrace_unlink(): the thread runs as its process does; one in a group-stop joins it again. */
function unlink(state: KernelState, target: Thread): void {
  const { tracing } = target;
  if (tracing === undefined) return;
  setStepping(state, target, false);
  tracing.tracer.tracees.delete(target);
  target.tracing = undefined;
  if (tracing.stop !== undefined) tracing.stop.resumed = true;
  target.sleeper.wake();
}

/** PTRACE_DETACH. */
export function detach(state: KernelState, target: Thread, signal: number): void {
  const stop = target.tracing?.stop;
  if (stop !== undefined) stop.exitCode = signal;
  unlink(state, target);
}

/** exit_ptrace(): the tracer ends, and what it traced goes free, or dies with it. */
export function exitTracer(state: KernelState, tracer: Thread): void {
  for (const target of [...tracer.tracees]) {
    const kill = ((target.tracing?.options ?? 0) & PTRACE_O.EXITKILL) !== 0;
    releaseZombie(state, target);
    unlink(state, target);
    if (kill) sendToThread(target, sentSignal(SIGNAL.SIGKILL, 'SI_KERNEL'));
  }
}

/** A traced thread that has ended needs no tracer any more: its parent is told, or nobody has to be. */
function releaseZombie(state: KernelState, target: Thread): void {
  const { process } = target;
  if (target.tracing?.zombie === undefined) return;
  if (target.tid !== process.pid) {
    state.table.removeThread(target);
    return;
  }
  const reparented = target.tracing.tracer.process !== process.parent;
  if (reparented && process.end !== undefined && notifyParentOfEnd(process, process.end)) {
    state.table.removeThread(target);
    state.table.remove(process);
  }
}

/** The tracer's process, where it is not the parent's own. */
export function foreignTracer(process: Process): Process | undefined {
  const tracer = process.leader?.tracing?.tracer.process;
  return tracer === process.parent ? undefined : tracer;
}

/** ptrace_init_task(): what clone makes is traced too, where the tracer asked for the event. */
export function inheritTracing(parent: Thread, child: Thread): void {
  const { tracing } = parent;
  if (tracing === undefined) return;
  const made = link(child, tracing.tracer, tracing.seized, tracing.options);
  if (tracing.seized) made.trapPending = true;
  else child.pending.add(sentSignal(SIGNAL.SIGSTOP, 'SI_USER', { pid: 0, uid: 0 }));
}

// ---- stops ---------------------------------------------------------------------------------------------

const killPending = ({ pending, process }: Thread): boolean =>
  ((pending.set | process.pending.set) & sigbit(SIGNAL.SIGKILL)) !== 0n;

const isDying = (thread: Thread, leaving: boolean): boolean =>
  killPending(thread) || (!leaving && thread.process.groupExit !== undefined);

/** task_is_traced(): where the thread waits for its tracer; undefined as soon as it has been let go. */
export function trapped(thread: Thread): TraceStop | undefined {
  const stop = thread.tracing?.stop;
  return stop === undefined || stop.resumed || isDying(thread, stop.leaving) ? undefined : stop;
}

/** do_notify_parent_cldstop() to the tracer. */
function notifyTracer(thread: Thread, code: 'CLD_TRAPPED' | 'CLD_STOPPED', status: number): void {
  const tracer = thread.tracing?.tracer.process;
  if (tracer === undefined) return;
  const action = tracer.actions.get(SIGNAL.SIGCHLD);
  if (action.handler !== SIG_IGN && (action.flags & SA.NOCLDSTOP) === 0) {
    const more = { pid: thread.tid, uid: 0, status: status & 0x7f };
    sendToProcess(tracer, sentSignal(SIGNAL.SIGCHLD, code, more));
  }
  tracer.childEvents.wake();
}

/**
 * ptrace_stop().
 *
 * @param leaving the thread is on its way out (PTRACE_EVENT_EXIT): that its group ends is no reason not to
 *   stop.
 * @returns what it goes on with; `stop.info` may have been replaced.
 */
function* stopThread(
  thread: Thread,
  exitCode: number,
  code: 'CLD_TRAPPED' | 'CLD_STOPPED',
  message: bigint,
  info: SignalInfo | undefined,
  leaving = false,
): MaySleep<TraceStop> {
  const stop: TraceStop = { exitCode, code, info, resumed: false, leaving };
  const { tracing } = thread;
  if (tracing === undefined || isDying(thread, leaving)) {
    stop.exitCode = tracing === undefined ? exitCode : 0;
    return stop;
  }
  tracing.stop = stop;
  tracing.message = message;
  tracing.trapPending = false;
  tracing.listening = false;
  notifyTracer(thread, code, exitCode);
  while (!stop.resumed && !isDying(thread, leaving)) {
    // A listening thread traps anew when something happens to its stop.
    if (tracing.listening && tracing.trapPending) break;
    yield thread.sleeper.point;
  }
  // Nothing but the end is delivered any more.
  if (isDying(thread, leaving)) stop.exitCode = 0;
  tracing.stop = undefined;
  tracing.listening = false;
  return stop;
}

/** ptrace_notify(): a trap that is no signal. The result is what the tracer lets it go with. */
export function* ptraceNotify(
  thread: Thread,
  exitCode: number,
  message = 0n,
  signo: number = SIGNAL.SIGTRAP,
  code: 'CLD_TRAPPED' | 'CLD_STOPPED' = 'CLD_TRAPPED',
  leaving = false,
): MaySleep<number> {
  const info: SignalInfo = {
    ...sentSignal(signo, 'SI_USER', { pid: thread.tid, uid: 0 }),
    code: exitCode,
    codeName: `0x${exitCode.toString(16)}`,
  };
  return (yield* stopThread(thread, exitCode, code, message, info, leaving)).exitCode;
}

/** ptrace_event(): a stop where the tracer asked for it; exec is told of with SIGTRAP where it did not. */
export function* ptraceEvent(thread: Thread, event: number, message: bigint): MaySleep<void> {
  const { tracing } = thread;
  if (tracing === undefined) return;
  if (tracing.wants(event)) {
    const leaving = event === PTRACE_EVENT.EXIT;
    yield* ptraceNotify(
      thread,
      (event << 8) | SIGNAL.SIGTRAP,
      message,
      SIGNAL.SIGTRAP,
      'CLD_TRAPPED',
      leaving,
    );
  } else if (event === PTRACE_EVENT.EXEC && !tracing.seized) {
    sendToThread(thread, sentSignal(SIGNAL.SIGTRAP, 'SI_USER', { pid: thread.tid, uid: 0 }));
  }
}

/** ptrace_signal(): a signal-delivery-stop. Gives what is delivered; undefined: nothing. */
export function* ptraceSignal(thread: Thread, info: SignalInfo): MaySleep<SignalInfo | undefined> {
  const { tracing } = thread;
  const stop = yield* stopThread(thread, info.signo, 'CLD_TRAPPED', 0n, info);
  const signo = stop.exitCode;
  if (signo === 0) return undefined;
  let shown = stop.info ?? info;
  if (signo !== shown.signo) {
    const pid = tracing?.tracer.process.pid ?? 0;
    shown = sentSignal(signo, 'SI_USER', { pid, uid: 0 });
  }
  if ((thread.blocked & sigbit(signo)) !== 0n) {
    sendToThread(thread, shown);
    return undefined;
  }
  return shown;
}

/** do_jobctl_trap(): a group-stop or, of a seized thread, PTRACE_EVENT_STOP. */
export function* jobControlTrap(thread: Thread): MaySleep<void> {
  const { tracing, process } = thread;
  if (tracing === undefined) return;
  tracing.trapPending = false;
  const { stopped } = process;
  if (tracing.seized) {
    const signo = stopped === 0 ? SIGNAL.SIGTRAP : stopped;
    yield* ptraceNotify(thread, (PTRACE_EVENT.STOP << 8) | signo, 0n, signo, 'CLD_STOPPED');
  } else if (stopped !== 0) {
    yield* stopThread(thread, stopped, 'CLD_STOPPED', 0n, undefined);
  }
}

// ---- system calls --------------------------------------------------------------------------------------

/** Whether entry and exit of this thread's system calls have to be looked at. */
export function syscallWork({ tracing }: Thread): boolean {
  return tracing !== undefined && (tracing.syscalls !== 'run' || tracing.singleStep);
}

function* reportSyscall(thread: Thread, message: bigint): MaySleep<void> {
  const { tracing } = thread;
  if (tracing === undefined) return;
  const good = (tracing.options & PTRACE_O.TRACESYSGOOD) !== 0 ? 0x80 : 0;
  const signo = yield* ptraceNotify(thread, SIGNAL.SIGTRAP | good, message);
  if (signo !== 0) sendToThread(thread, sentSignal(signo, 'SI_KERNEL'));
}

/**
 * syscall_trace_enter(): the syscall-enter-stop. X7 is 0 during it, 1 during the exit's.
 *
 * @returns false where the call is not to be made (PTRACE_SYSEMU).
 */
export function* traceSyscallEnter(state: KernelState, thread: Thread): MaySleep<boolean> {
  const { tracing } = thread;
  if (tracing === undefined || tracing.syscalls === 'run') return true;
  const emulate = tracing.syscalls === 'emulate';
  const registers = state.user.registersOf(thread);
  const x7 = registers.x[7]!;
  registers.x[7] = 0n;
  yield* reportSyscall(thread, PTRACE_EVENTMSG_SYSCALL_ENTRY);
  registers.x[7] = x7;
  return !emulate && !killPending(thread);
}

/** syscall_trace_exit(): the syscall-exit-stop, or the step over the call. */
export function* traceSyscallExit(state: KernelState, thread: Thread): MaySleep<void> {
  const { tracing } = thread;
  if (tracing === undefined) return;
  if (tracing.singleStep) {
    // user_single_step_report().
    forceSignal(thread, sentSignal(SIGNAL.SIGTRAP, 'SI_USER', { pid: 0, uid: 0 }));
    return;
  }
  if (tracing.syscalls !== 'trace') return;
  const registers = state.user.registersOf(thread);
  const x7 = registers.x[7]!;
  registers.x[7] = 1n;
  yield* reportSyscall(thread, PTRACE_EVENTMSG_SYSCALL_EXIT);
  registers.x[7] = x7;
}

/** The software step exception: SIGTRAP, and the next instruction may be stepped. */
export function stepTaken(state: KernelState, thread: Thread, pc: bigint): void {
  if (thread.tracing?.singleStep === true) state.user.registersOf(thread).pstate |= PSTATE_SS;
  forceSignal(thread, signalInfo('SIGTRAP', 'TRAP_TRACE', pc));
}

// ---- ends and waiting ----------------------------------------------------------------------------------

/** exit_notify() of a traced thread that does not end its process: its tracer waits for it. */
export function tracedThreadEnded(thread: Thread, status: number): boolean {
  const { tracing } = thread;
  if (tracing === undefined) return false;
  tracing.zombie = status;
  notifyTracerOfEnd(thread, status);
  return true;
}

/** To a tracer that is not the parent: the process has ended. */
export function tracedProcessEnded(process: Process): boolean {
  const { leader, end } = process;
  const tracing = leader?.tracing;
  if (leader === undefined || tracing === undefined || end === undefined) return false;
  tracing.zombie = waitStatus(end);
  if (tracing.tracer.process === process.parent) return false;
  notifyTracerOfEnd(leader, tracing.zombie);
  return true;
}

function notifyTracerOfEnd(thread: Thread, status: number): void {
  const tracer = thread.tracing?.tracer.process;
  if (tracer === undefined) return;
  const signal = status & 0x7f;
  const code = signal === 0 ? 'CLD_EXITED' : (status & 0x80) === 0 ? 'CLD_KILLED' : 'CLD_DUMPED';
  const more = { pid: thread.tid, uid: 0, status: signal === 0 ? status >> 8 : signal };
  sendToProcess(tracer, sentSignal(SIGNAL.SIGCHLD, code, more));
  tracer.childEvents.wake();
}

/** The tracer has waited for an ended thread: it is gone, or its parent's to wait for. */
export function reapTracee(state: KernelState, thread: Thread): void {
  releaseZombie(state, thread);
  unlink(state, thread);
}

/** ptrace_check_attach(): `tracer` traces this thread and it is stopped; or -ESRCH. */
export function checkAttached(target: Thread, tracer: Thread, anyState: boolean): number {
  const { tracing } = target;
  if (tracing === undefined || tracing.tracer !== tracer) return -ESRCH;
  if (!anyState && (trapped(target) === undefined || tracing.listening)) return -ESRCH;
  return 0;
}
