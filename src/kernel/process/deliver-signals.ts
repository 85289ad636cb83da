/**
 * The way to user space: signals are delivered, interrupted system calls are made again or fail, ended
 * threads leave.
 *
 * Ref. arch/arm64/kernel/signal.c (do_signal, handle_signal, setup_return), kernel/signal.c (get_signal).
 */
import { untagged, VA } from '../../base/index.js';
import {
  EINTR,
  ERESTART_RESTARTBLOCK,
  ERESTARTNOHAND,
  ERESTARTNOINTR,
  ERESTARTSYS,
  type MaySleep,
  sleepPoint,
} from '../contexts/index.js';
import { letGo, O_CREAT, O_NOFOLLOW, O_WRONLY, RegularFile, settle } from '../fs/index.js';
import { SA, SIGNAL } from './abi.js';
import { dumpCore } from './core-dump.js';
import type { KernelState } from './kernel-state.js';
import { RLIMIT } from './limits.js';
import type { Process } from './process.js';
import { jobControlTrap, PSTATE_SS, ptraceNotify, ptraceSignal, trapped } from './ptrace.js';
import { NO_SYSCALL } from './ptrace-abi.js';
import { resumeRseq } from './rseq.js';
import { endGroup, forceSignal, notifyParentOfChange } from './send-signal.js';
import { type SignalInfo, siginfoBytes, signalInfo } from './siginfo.js';
import {
  buildSignalFrame,
  FRAME_RECORD_BYTES,
  restoreSignalFrame,
  SIGFRAME_BYTES,
  UCONTEXT_OFFSET,
} from './signal-frame.js';
import {
  DEFAULT_ACTION,
  defaultAction,
  dumpsCore,
  SIG_DFL,
  SIG_IGN,
  type SignalAction,
  sigbit,
} from './signals.js';
import { NO_ALTERNATE_STACK, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, type Thread } from './thread.js';
import type { UserRegisters } from './user-context.js';
import { readUser, writeUser } from './user-memory.js';

const PSTATE_TCO = 1n << 25n;
const PSTATE_BTYPE = 3n << 10n;
const PSTATE_BTYPE_C = 1n << 11n;
/** min_coredump: a smaller limit means no file. */
const LEAST_CORE = 4096;
/** Bytes of one written at once. */
const CORE_PIECE = 1 << 16;
const PARKING = sleepPoint('coredump_wait');
const NR_RESTART_SYSCALL = 128n;
const SI_KERNEL_KILL: SignalInfo = {
  signo: SIGNAL.SIGKILL,
  signal: 'SIGKILL',
  code: 0x80,
  codeName: 'SI_KERNEL',
  address: 0n,
  fault: false,
};

const RESTARTABLE: ReadonlySet<number> = new Set([
  ERESTARTSYS,
  ERESTARTNOINTR,
  ERESTARTNOHAND,
  ERESTART_RESTARTBLOCK,
]);

/** A kill that nobody sent: out of memory. */
export function killProcess(process: Process, reason: string): void {
  endGroup(process, { kind: 'killed', info: { ...SI_KERNEL_KILL, reason } });
}

/** coredump_task_exit(): until the dump is written and the group ends. */
function* standForDump(thread: Thread): MaySleep<void> {
  while (thread.interruptedByDump && thread.process.groupExit === undefined) {
    thread.parked = true;
    yield thread.sleeper.point;
  }
}

/** The next signal to act on; what is ignored vanishes, what stops has stopped. */
function* getSignal(
  state: KernelState,
  thread: Thread,
): MaySleep<{ readonly info: SignalInfo; readonly action: SignalAction } | undefined> {
  const { process } = thread;
  for (;;) {
    yield* standForDump(thread);
    if (isStopped(thread)) {
      yield thread.sleeper.point;
      continue;
    }
    if (process.groupExit !== undefined || thread.exiting !== undefined) return undefined;
    if (thread.trapDue) {
      thread.stopPending = false;
      yield* jobControlTrap(thread);
      continue;
    }
    let info = thread.pending.take(thread.blocked) ?? process.pending.take(thread.blocked);
    if (info === undefined) return undefined;
    if (thread.tracing !== undefined && info.signo !== SIGNAL.SIGKILL) {
      // Made now: others run during the stop, and their registers are in the CPU then.
      const made = info.report?.();
      if (made !== undefined) info = { ...info, report: () => made };
      info = yield* ptraceSignal(thread, info);
      if (info === undefined) continue;
    }
    const action = process.actions.get(info.signo);
    if (info.signo === SIGNAL.SIGKILL) {
      endGroup(process, { kind: 'killed', info });
      return undefined;
    }
    if (action.handler === SIG_IGN) continue;
    if (action.handler !== SIG_DFL) {
      if (info.report !== undefined) process.handledFault = info.report();
      if ((action.flags & SA.RESETHAND) !== 0) process.actions.set(info.signo, DEFAULT_ACTION);
      return { info, action };
    }
    switch (defaultAction(info.signo)) {
      case 'ignore':
        continue;
      case 'stop':
        process.stopped = info.signo;
        process.unreported = 'stopped';
        // A parent that traces the process hears of it from each thread's own stop.
        if (process.leader?.tracing?.tracer.process !== process.parent) {
          notifyParentOfChange(process, 'CLD_STOPPED', info.signo);
        }
        for (const other of process.threads) {
          other.stopPending = true;
          if (other !== thread) other.sleeper.wake();
        }
        continue;
      case 'terminate': {
        const report = info.report?.() ?? (isOwnEnd(process, info) ? process.handledFault : undefined);
        const dumped = dumpsCore(info.signo) && (yield* writeCore(state, thread, info));
        if (process.groupExit !== undefined) return undefined;
        endGroup(process, { kind: 'killed', info, dumped, ...(report === undefined ? {} : { report }) });
        return undefined;
      }
    }
  }
}

/** do_coredump(): whether a core file was written, cut at RLIMIT_CORE. */
function* writeCore(state: KernelState, thread: Thread, info: SignalInfo): MaySleep<boolean> {
  const { process } = thread;
  const most = process.limits.soft(RLIMIT.CORE);
  if (process.dumpable !== 1 || most < LEAST_CORE) return false;
  // Two threads may fail at once; the first one's core is the process's.
  yield* standForDump(thread);
  if (process.groupExit !== undefined || !(yield* parkOthers(thread))) return false;
  const whole = yield* dumpCore(state, thread, info);
  const image = whole.subarray(0, Math.min(whole.length, most));
  if (state.takeCore === undefined) return yield* writeCoreFile(state, thread, image);
  state.takeCore(process.pid, image);
  return true;
}

/** kernel.core_pattern is `core`: a file of that name where the process was, and its alone. */
function* writeCoreFile({ files }: KernelState, thread: Thread, image: Uint8Array): MaySleep<boolean> {
  const flags = O_CREAT | O_WRONLY | O_NOFOLLOW;
  const file = yield* files.open(thread.process.fs.cwd, 'core', flags, 0o600);
  if (typeof file === 'number') return false;
  file.users++;
  const { inode } = file;
  const isOwn = inode instanceof RegularFile && inode.links === 1 && inode.uid === thread.credentials.user.fs;
  let done = isOwn ? yield* inode.truncate(0) : -1;
  for (let at = 0; done >= 0 && at < image.length; at += done) {
    done = yield* settle(file.write(thread, image.subarray(at, at + CORE_PIECE), at));
  }
  letGo(file);
  return done >= 0;
}

/**
 * zap_threads() and coredump_wait(): the others stop, so that what is dumped does not change meanwhile.
 *
 * @returns false where the process is being ended.
 */
function* parkOthers(thread: Thread): MaySleep<boolean> {
  const { process } = thread;
  process.dumper = thread;
  for (const other of process.threads) {
    if (other === thread) continue;
    other.task.fatalSignalPending = true;
    other.sleeper.wake();
  }
  const moves = (other: Thread) => other !== thread && !other.parked && trapped(other) === undefined;
  while ([...process.threads].some(moves) && process.groupExit === undefined) yield PARKING;
  return process.groupExit === undefined;
}

/** abort(), or SIGSEGV sent again by its handler: the program ends itself. */
function isOwnEnd({ pid }: Process, info: SignalInfo): boolean {
  const ends = info.signo === SIGNAL.SIGABRT || info.signo === SIGNAL.SIGSEGV;
  return ends && !info.fault && info.pid === pid;
}

/** In a group-stop as threads without a tracer are. */
function isStopped(thread: Thread): boolean {
  const { process } = thread;
  if (thread.interruptedByDump) return false;
  const isTraced = thread.tracing !== undefined;
  return process.stopped !== 0 && !isTraced && process.groupExit === undefined && !killPending(thread);
}

function killPending({ pending, process }: Thread): boolean {
  const bit = sigbit(SIGNAL.SIGKILL);
  return ((pending.set | process.pending.set) & bit) !== 0n;
}

/**
 * do_signal(): called before every return to user space with something pending, and after a system
 * call that may be made again.
 */
export function* deliverSignals(state: KernelState, thread: Thread): MaySleep<void> {
  const registers = state.user.registersOf(thread);
  const call = thread.syscall;
  thread.syscall = undefined;
  thread.syscallNumber = NO_SYSCALL;
  let restarting = 0;
  let continueAt = 0n;
  if (call !== undefined) {
    const error = Number(-BigInt.asIntN(64, registers.x[0]!));
    if (RESTARTABLE.has(error)) {
      restarting = error;
      continueAt = registers.pc;
      registers.x[0] = call.originalX0;
      registers.pc -= 4n;
    }
  }
  const next = yield* getSignal(state, thread);
  const restarts = restarting !== 0 && registers.pc === continueAt - 4n;
  if (next === undefined) {
    if (restarts && restarting === ERESTART_RESTARTBLOCK) registers.x[8] = NR_RESTART_SYSCALL;
    if (thread.savedMask !== undefined) {
      thread.blocked = thread.savedMask;
      thread.savedMask = undefined;
    }
    return;
  }
  const { info, action } = next;
  // Before the frame: the handler's is what the section's abort address returns to.
  yield* resumeRseq(state, thread);
  if (
    restarts &&
    (restarting === ERESTARTNOHAND ||
      restarting === ERESTART_RESTARTBLOCK ||
      (restarting === ERESTARTSYS && (action.flags & SA.RESTART) === 0))
  ) {
    registers.x[0] = BigInt.asUintN(64, BigInt(-EINTR));
    registers.pc = continueAt;
  }
  yield* enterHandler(state, thread, registers, info, action);
  // signal_setup_done(): a step into the handler.
  if (thread.tracing?.singleStep === true) yield* ptraceNotify(thread, SIGNAL.SIGTRAP);
}

const onAlternateStack = ({ alternateStack: s }: Thread, sp: bigint): boolean =>
  (s.flags & SS_AUTODISARM) === 0 && sp > s.sp && sp - s.sp <= s.size;

/** sas_ss_flags(). */
export function alternateStackFlags(thread: Thread, sp: bigint): number {
  if (thread.alternateStack.size === 0n) return SS_DISABLE;
  return onAlternateStack(thread, sp) ? SS_ONSTACK : 0;
}

/** handle_signal(): the frame is written and the handler is next; a frame that cannot be written kills. */
function* enterHandler(
  state: KernelState,
  thread: Thread,
  registers: UserRegisters,
  info: SignalInfo,
  action: SignalAction,
): MaySleep<void> {
  const mask = thread.savedMask ?? thread.blocked;
  thread.savedMask = undefined;
  const { alternateStack } = thread;
  const wantsOther = (action.flags & SA.ONSTACK) !== 0 && alternateStack.size > 0n;
  const from =
    wantsOther && !onAlternateStack(thread, registers.sp)
      ? alternateStack.sp + alternateStack.size
      : registers.sp;
  const record = BigInt.asUintN(64, from - BigInt(FRAME_RECORD_BYTES)) & ~15n;
  const frame = BigInt.asUintN(64, record - BigInt(SIGFRAME_BYTES));
  const shown =
    (action.flags & SA.EXPOSE_TAGBITS) !== 0 ? info : { ...info, address: untagged(VA(info.address)) };
  const contents = buildSignalFrame({
    siginfo: siginfoBytes(shown),
    stack: {
      sp: alternateStack.sp,
      flags: alternateStackFlags(thread, registers.sp) | (alternateStack.flags & SS_AUTODISARM),
      size: alternateStack.size,
    },
    mask,
    registers,
    faultAddress: thread.faultAddress,
    esr: thread.faultEsr,
    fp: state.fp,
  });
  const link = new Uint8Array(16);
  const view = new DataView(link.buffer);
  view.setBigUint64(0, registers.x[29]!, true);
  view.setBigUint64(8, registers.x[30]!, true);
  const failed =
    (yield* writeUser(state.mm, thread, record, link)) !== 0 ||
    (yield* writeUser(state.mm, thread, frame, contents)) !== 0;
  if (failed) {
    // force_sigsegv(): a SIGSEGV that cannot be delivered is not tried again.
    if (info.signo === SIGNAL.SIGSEGV) thread.process.actions.set(SIGNAL.SIGSEGV, DEFAULT_ACTION);
    forceSignal(thread, { ...signalInfo('SIGSEGV', 'SI_KERNEL', 0n), fault: false });
    return;
  }
  registers.x[0] = BigInt(info.signo);
  if ((action.flags & SA.SIGINFO) !== 0) {
    registers.x[1] = frame;
    registers.x[2] = frame + BigInt(UCONTEXT_OFFSET);
  }
  registers.sp = frame;
  registers.x[29] = record;
  registers.x[30] =
    (action.flags & SA.RESTORER) !== 0
      ? action.restorer
      : trampolineAddress(thread.process.mm.taskSize, state.mm.pageSize);
  registers.pc = action.handler;
  registers.pstate &= ~(PSTATE_TCO | PSTATE_BTYPE);
  if (state.bti) registers.pstate |= PSTATE_BTYPE_C;
  if ((alternateStack.flags & SS_AUTODISARM) !== 0) thread.alternateStack = NO_ALTERNATE_STACK;
  const own = (action.flags & SA.NODEFER) === 0 ? sigbit(info.signo) : 0n;
  thread.blocked = (thread.blocked | action.mask | own) & ~UNBLOCKABLE_BITS;
}

const UNBLOCKABLE_BITS = sigbit(SIGNAL.SIGKILL) | sigbit(SIGNAL.SIGSTOP);

/** Where execve maps the page with the code that calls rt_sigreturn: between mappings and stack. */
export function trampolineAddress(taskSize: bigint, pageSize: number): bigint {
  return taskSize - (64n << 20n) - BigInt(pageSize);
}

/** `bti c`, `mov x8, #139` (rt_sigreturn), `svc #0`. */
export const TRAMPOLINE: readonly number[] = [0xd503245f, 0xd2801168, 0xd4000001];

/** rt_sigreturn: the thread goes on where the frame says; X0 is the frame's. */
export function* signalReturn(state: KernelState, thread: Thread): MaySleep<void> {
  const registers = state.user.registersOf(thread);
  thread.syscall = undefined;
  const { mm } = state;
  const frame = registers.sp;
  const bytes = frame % 16n === 0n ? yield* readUser(mm, thread, frame, SIGFRAME_BYTES) : undefined;
  const restored =
    bytes &&
    (yield* restoreSignalFrame(bytes, frame, state.fp, registers, (address, size) =>
      readUser(mm, thread, address, size),
    ));
  if (thread.tracing?.singleStep === true) registers.pstate |= PSTATE_SS;
  if (restored === undefined) {
    const sp = VA(frame);
    const mapped = mm.findVma(thread.process.mm, sp) !== undefined;
    forceSignal(thread, signalInfo('SIGSEGV', mapped ? 'SEGV_ACCERR' : 'SEGV_MAPERR', untagged(sp)));
    return;
  }
  thread.blocked = restored.mask & ~UNBLOCKABLE_BITS;
  // restore_altstack(): a bad one is not an error here.
  const { sp, flags, size } = restored.stack;
  if ((flags & SS_DISABLE) !== 0) thread.alternateStack = NO_ALTERNATE_STACK;
  else if (size >= 5120n || size === thread.alternateStack.size) {
    thread.alternateStack = { sp, size, flags: flags & SS_AUTODISARM };
  }
}
