/**
 * A user process: a thread group with its address space, open files, signal handlers and family.
 *
 * Ref. struct task_struct's shared parts and struct signal_struct of Linux 6.x.
 */

import { WaitList } from '../contexts/index.js';
import type { FileTable, FsContext } from '../fs/index.js';
import type { AddressSpace } from '../mm/index.js';
import type { TagFaultReport } from '../report/index.js';
import type { AioContext } from './aio.js';
import { CpuClock, NO_USAGE, type Usage } from './cpu-time.js';
import { ResourceLimits } from './limits.js';
import type { PointerAuthKeys } from './pointer-auth-keys.js';
import type { SignalInfo } from './siginfo.js';
import { SignalActions, SignalQueue } from './signals.js';
import type { Thread } from './thread.js';
import type { Timer, Timers } from './timers.js';

export type ProcessEnd =
  | { readonly kind: 'exited'; readonly status: number }
  | {
      readonly kind: 'killed';
      readonly info: SignalInfo;
      readonly report?: TagFaultReport;
      /** A core file was written: WCOREDUMP. */
      readonly dumped?: boolean;
    };

/** Finds names in the program for reports: `symbol+0x10`. */
export type Symbolizer = (address: bigint) => string | undefined;

/** An address space and how many processes have it: vfork and CLONE_VM share one. */
export interface SharedSpace {
  readonly as: AddressSpace;
  users: number;
  /** Contexts of asynchronous I/O, by the address of their rings. */
  aio?: Map<bigint, AioContext>;
}

/** The program a process runs: what execve replaces. */
export interface Program {
  /** argv[0] as it was started. */
  readonly name: string;
  /** The file's path, for /proc/PID/exe. */
  readonly path: string;
  readonly args: readonly string[];
  /** NAME=VALUE as it was started with, for /proc/PID/environ. */
  readonly env: readonly string[];
  readonly auxv: Uint8Array;
  readonly symbolize: Symbolizer;
  readonly keys: PointerAuthKeys;
}

/** setitimer(2) and timer_create(2). */
export interface IntervalTimer {
  timer: Timer | undefined;
  /** Whose time it waits for: the system's, or CPU time. */
  readonly timers: Timers;
  /** Nanoseconds; 0 for a single shot. */
  interval: bigint;
  deadline: bigint;
}

export interface PosixTimer extends IntervalTimer {
  readonly id: number;
  readonly clock: number;
  readonly signo: number;
  readonly value: bigint;
  /** SIGEV_THREAD_ID. */
  readonly tid: number | undefined;
  /** SIGEV_NONE. */
  readonly silent: boolean;
  overrun: number;
}

/** PROC_UTS_INIT_INO. */
export const FIRST_UTS = 4026531838;

/** What a UTS namespace holds. */
export interface UtsNames {
  /** For /proc/PID/ns. */
  readonly id: number;
  nodename: string;
  domainname: string;
}

/** What a parent has not been told yet. */
export type StateChange = 'stopped' | 'continued';

export class Process {
  readonly pid: number;
  program: Program;
  space: SharedSpace;
  files: FileTable;
  fs: FsContext;
  actions = new SignalActions();
  readonly pending = new SignalQueue();
  readonly threads = new Set<Thread>();
  /** The first thread; a group's leader may end before the others. */
  leader: Thread | undefined;

  /** Shared with its relatives, until one is given its own. */
  uts: UtsNames;

  parent: Process | undefined;
  /** The thread that made this process: who traces it after PTRACE_TRACEME. */
  forker: Thread | undefined;
  readonly children = new Set<Process>();
  pgid: number;
  sid: number;
  /** Sent to the parent at the end; 0: none. */
  exitSignal = 0;
  /** Who waits for children, and vfork's parent for this process. */
  readonly childEvents = new WaitList();
  /** exec or exit released the address space that vfork lent. */
  releasedSpace = false;
  readonly released = new WaitList();

  /** Woken when a signal becomes pending, blocked or not (signalfd). */
  readonly signalEvents = new WaitList();

  /** In execve, waiting for the others to leave. */
  execWaiter: Thread | undefined;

  /** The group is ending with this: every thread leaves at its next kernel exit. */
  groupExit: ProcessEnd | undefined;
  /** Writes the core file; the other threads stay where they are meanwhile. */
  dumper: Thread | undefined;
  /** The last tag-check fault that a handler of its own took: it may end itself because of it. */
  handledFault: TagFaultReport | undefined;
  /** How it ended; a zombie until the parent waits. */
  end: ProcessEnd | undefined;
  /** Woken when it has ended (pidfds). */
  readonly exited = new WaitList();
  /** Nobody can wait for it any more, and its number is free. */
  reaped = false;
  stopped = 0;
  unreported: StateChange | undefined;
  /** PR_SET_DUMPABLE. */
  dumpable = 1;
  /** personality(2): kept and inherited; READ_IMPLIES_EXEC is what it changes. */
  personality = 0;
  /** prctl(PR_SET_PDEATHSIG). */
  parentDeathSignal = 0;
  noNewPrivileges = false;
  /** PR_SET_CHILD_SUBREAPER: orphans among its descendants become its children. */
  isSubreaper = false;
  /** MEMBARRIER_CMD_REGISTER_* that were made. */
  membarriers = 0;

  limits = new ResourceLimits();
  /** Nanoseconds since boot. */
  startTime = 0n;
  /** /proc/PID/io: bytes and calls of read and write. */
  readonly io = { rchar: 0, wchar: 0, syscr: 0, syscw: 0 };
  /** /proc/PID/oom_score_adj. */
  oomScoreAdjustment = 0;
  /** oom_score_adj_min. */
  oomScoreAdjustmentLeast = 0;
  /** Chosen for want of memory (TIF_MEMDIE), and not waited for any longer (MMF_OOM_SKIP). */
  oomVictim = false;
  oomSkip = false;
  /** CPU time of all its threads, ended ones included. */
  readonly cpu = new CpuClock();
  minorFaults = 0;
  majorFaults = 0;
  /** The most that was seen resident, in KiB. */
  maxRss = 0;
  /** RUSAGE_CHILDREN: of children that were waited for. */
  childUsage: Usage = NO_USAGE;

  readonly intervalTimers = new Map<number, IntervalTimer>();
  readonly posixTimers = new Map<number, PosixTimer>();
  nextTimerId = 0;

  constructor(
    pid: number,
    program: Program,
    space: SharedSpace,
    files: FileTable,
    fs: FsContext,
    parent?: Process,
  ) {
    this.pid = pid;
    this.program = program;
    this.space = space;
    this.files = files;
    this.fs = fs;
    this.parent = parent;
    this.uts = parent?.uts ?? { id: FIRST_UTS, nodename: 'mtemu', domainname: '(none)' };
    this.pgid = parent?.pgid ?? pid;
    this.sid = parent?.sid ?? pid;
  }

  get name(): string {
    return this.program.name;
  }

  get mm(): AddressSpace {
    return this.space.as;
  }

  get symbolize(): Symbolizer {
    return this.program.symbolize;
  }
}

/** The status word of wait4. */
export function waitStatus(end: ProcessEnd): number {
  return end.kind === 'exited' ? (end.status & 0xff) << 8 : end.info.signo | (end.dumped === true ? 0x80 : 0);
}
