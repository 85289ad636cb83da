/**
 * A thread: its registers, its signals, its MTE control, and what it waits for.
 *
 * Ref. struct task_struct and struct thread_struct of Linux 6.x.
 */
import { type MaySleep, Sleeper, type Task, type Waiter } from '../contexts/index.js';
import { CpuClock } from './cpu-time.js';
import { type Credentials, ROOT_CREDENTIALS } from './credentials.js';
import type { Process } from './process.js';
import { NO_SYSCALL } from './ptrace-abi.js';
import type { HardwareDebug, Tracing } from './ptrace-state.js';
import type { RseqRegistration } from './rseq.js';
import { DEFAULT_SCHEDULING, type Scheduling } from './scheduling.js';
import { SECCOMP, type SeccompFilter } from './seccomp.js';
import { SignalQueue } from './signals.js';
import { DEFAULT_CONTROL, type TaggedAddressControl } from './tagged-address-control.js';
import { newRegisters, type UserCpu, type UserRegisters } from './user-context.js';

/** sigaltstack(2). */
export interface AlternateStack {
  readonly sp: bigint;
  readonly size: bigint;
  /** SS_DISABLE, SS_AUTODISARM. */
  readonly flags: number;
}
export const SS_ONSTACK = 1;
export const SS_DISABLE = 2;
export const SS_AUTODISARM = 0x80000000;
export const NO_ALTERNATE_STACK: AlternateStack = { sp: 0n, size: 0n, flags: SS_DISABLE };

/** The system call a thread is in, or was in when a signal came: what restarting needs. */
export interface SyscallInProgress {
  readonly number: number;
  /** X0 before the result took its place. */
  readonly originalX0: bigint;
}

/** 50 microseconds. */
export const DEFAULT_SLACK = 50_000n;

export class Thread implements Waiter {
  /** execve gives the caller the leader's. */
  tid: number;
  process: Process;
  readonly task: Task;
  readonly sleeper: Sleeper;
  /** What they are while no CPU has them. */
  readonly registers: UserRegisters = newRegisters();
  /** The CPU that has them. */
  registersIn: UserCpu | undefined;
  control: TaggedAddressControl = DEFAULT_CONTROL;
  /** comm: 15 bytes. */
  comm: string;

  credentials: Credentials = ROOT_CREDENTIALS;
  readonly cpu = new CpuClock();
  scheduling: Scheduling = DEFAULT_SCHEDULING;
  /** ioprio_set(2): class and level; nothing is ordered by it. */
  ioPriority = 0;

  blocked = 0n;
  /** saved_sigmask: what sigreturn restores after sigsuspend, ppoll and pselect. */
  savedMask: bigint | undefined;
  readonly pending = new SignalQueue();
  alternateStack: AlternateStack = NO_ALTERNATE_STACK;
  /** ESR and FAR of the last fault, for the frame's esr_context and fault_address. */
  faultEsr = 0n;
  faultAddress = 0n;

  syscall: SyscallInProgress | undefined;
  /** What restart_syscall does: the rest of the call that was interrupted. */
  restart: (() => MaySleep<number>) | undefined;

  /** The call's number while the thread is in one and traced; a tracer may change it. */
  syscallNumber = NO_SYSCALL;
  /** X0 as the call was made with (orig_x0), while the thread is in one and traced. */
  syscallX0 = 0n;
  /** Who traces this thread; undefined: nobody. */
  tracing: Tracing | undefined;
  /** Threads that this one traces. */
  readonly tracees = new Set<Thread>();
  /** JOBCTL_STOP_PENDING: the process is stopping, and this thread has not stopped yet. */
  stopPending = false;
  /** Breakpoints and watchpoints that a tracer set. */
  hardwareDebug: HardwareDebug | undefined;

  rseq: RseqRegistration | undefined;
  /** PR_GET_SECCOMP: 0, 1 strict, 2 filters, the latest first. */
  seccompMode: number = SECCOMP.DISABLED;
  seccompFilters: readonly SeccompFilter[] = [];
  /** PR_SET_TIMERSLACK, in nanoseconds: kept; timers here are exact. */
  timerSlack = DEFAULT_SLACK;
  /** set_tid_address: cleared, and a futex woken, when the thread ends. */
  clearChildTid = 0n;
  robustList = 0n;
  /** Ends itself at its next way to user space, with this status word. */
  exiting: number | undefined;
  ended = false;
  /** Stands still for a core dump. */
  parked = false;

  constructor(tid: number, process: Process, task: Task, comm: string) {
    this.tid = tid;
    this.process = process;
    this.task = task;
    this.comm = comm.slice(0, 15);
    this.sleeper = new Sleeper(`thread ${tid}`);
  }

  /** Signals that would be delivered now. */
  get deliverable(): bigint {
    const own = this.pending.set;
    const shared = this.process.pending.set;
    // Asked at every return to EL0, and mostly there is nothing.
    return own === 0n && shared === 0n ? 0n : (own | shared) & ~this.blocked;
  }

  /** signal_pending(). */
  get interrupted(): boolean {
    return (
      this.exiting !== undefined ||
      this.process.groupExit !== undefined ||
      this.interruptedByDump ||
      this.deliverable !== 0n ||
      this.trapDue
    );
  }

  /** Another thread writes the core file of their process. */
  get interruptedByDump(): boolean {
    const { dumper } = this.process;
    return dumper !== undefined && dumper !== this;
  }

  /** A traced thread has to stop for its tracer: with its process, or because it was asked to. */
  get trapDue(): boolean {
    return this.tracing !== undefined && (this.stopPending || this.tracing.trapPending);
  }

  setBlocked(mask: bigint): void {
    const more = mask & ~this.blocked;
    this.blocked = mask;
    if (this.interrupted) this.sleeper.wake();
    if ((more & this.process.pending.set) !== 0n) this.retarget();
  }

  /** retarget_shared_pending(): what this thread was woken for and does not take is for the others of its process. */
  retarget(): void {
    if (this.process.pending.set === 0n) return;
    for (const other of this.process.threads) {
      if (other !== this && other.interrupted) other.sleeper.wake();
    }
  }
}
