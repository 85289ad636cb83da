/**
 * What is known of a thread that is being traced: by whom, how, and where it stopped.
 *
 * Ref. include/linux/ptrace.h, include/linux/sched/jobctl.h: the PT_ and JOBCTL_ bits of a task.
 */
import type { SignalInfo } from './siginfo.js';
import type { Thread } from './thread.js';

/** A ptrace-stop: TASK_TRACED. */
export interface TraceStop {
  /**
   * task->exit_code: what wait4 reports in its second byte and above, 0 once it has been reported; when
   * the thread is let go, the signal it goes on with.
   */
  exitCode: number;
  readonly code: 'CLD_TRAPPED' | 'CLD_STOPPED';
  /** last_siginfo: undefined in a group-stop. */
  info: SignalInfo | undefined;
  resumed: boolean;
  /** PTRACE_EVENT_EXIT: that its process ends is no reason to go on. */
  readonly leaving: boolean;
}

export class Tracing {
  readonly tracer: Thread;
  /** PT_SEIZED. */
  readonly seized: boolean;
  /** PTRACE_O_*. */
  options: number;
  stop: TraceStop | undefined;
  /** What PTRACE_GETEVENTMSG gives. */
  message = 0n;
  /** JOBCTL_TRAP_STOP or JOBCTL_TRAP_NOTIFY: the thread is to trap as soon as it can. */
  trapPending = false;
  /** JOBCTL_LISTENING: trapped, but to its tracer as if it ran. */
  listening = false;
  /** TIF_SYSCALL_TRACE, TIF_SYSCALL_EMU. */
  syscalls: 'run' | 'trace' | 'emulate' = 'run';
  /** TIF_SINGLESTEP. */
  singleStep = false;
  /** The status word of a thread that has ended and that its tracer has not waited for. */
  zombie: number | undefined;

  constructor(tracer: Thread, seized: boolean, options: number) {
    this.tracer = tracer;
    this.seized = seized;
    this.options = options;
  }

  /** ptrace_event_enabled(). */
  wants(event: number): boolean {
    return (this.options & (1 << event)) !== 0;
  }
}

/** A breakpoint or watchpoint as NT_ARM_HW_BREAK and NT_ARM_HW_WATCH describe it. */
export interface HardwarePoint {
  readonly address: bigint;
  /** As DBGBCR and DBGWCR have it: enabled, privilege, type, byte select. */
  readonly control: number;
}

/** A thread's debug registers; replaced, never changed. */
export interface HardwareDebug {
  readonly breakpoints: readonly HardwarePoint[];
  readonly watchpoints: readonly HardwarePoint[];
}
export const NO_HARDWARE_DEBUG: HardwareDebug = { breakpoints: [], watchpoints: [] };
