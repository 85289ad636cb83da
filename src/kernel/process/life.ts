/**
 * Making processes and threads: the first one, fork, vfork, clone.
 *
 * Ref. kernel/fork.c (copy_process), clone(2).
 */
import { EAGAIN, EEXIST, EINTR, EINVAL, ENOMEM, EPERM, type MaySleep } from '../contexts/index.js';
import { type FileTable, type FsContext, SpecialFile } from '../fs/index.js';
import { SIGNAL } from './abi.js';
import { CAP, capable } from './credentials.js';
import type { LoadedProgram } from './exec.js';
import type { KernelState } from './kernel-state.js';
import { type ResourceLimits, RLIMIT } from './limits.js';
import { tooManyThreads } from './oom.js';
import { ProcessFile } from './pidfd.js';
import { FIRST_UTS, Process, type Program, type SharedSpace, type UtsNames } from './process.js';
import { MOST_THREADS, PID_MAX } from './process-table.js';
import { inheritTracing, ptraceEvent } from './ptrace.js';
import { PTRACE_EVENT } from './ptrace-abi.js';
import { childScheduling } from './scheduling.js';
import { NO_ALTERNATE_STACK, Thread } from './thread.js';
import { copyRegisters } from './user-context.js';
import { writeU32 } from './user-memory.js';

export const CLONE = {
  CSIGNAL: 0xff,
  VM: 0x100,
  FS: 0x200,
  FILES: 0x400,
  SIGHAND: 0x800,
  PIDFD: 0x1000,
  PTRACE: 0x2000,
  VFORK: 0x4000,
  PARENT: 0x8000,
  THREAD: 0x10000,
  NEWNS: 0x20000,
  NEWUTS: 0x4000000,
  SYSVSEM: 0x40000,
  SETTLS: 0x80000,
  PARENT_SETTID: 0x100000,
  CHILD_CLEARTID: 0x200000,
  DETACHED: 0x400000,
  UNTRACED: 0x800000,
  CHILD_SETTID: 0x1000000,
  CLEAR_SIGHAND: 0x100000000,
} as const;

/** Namespaces that there is one of, as in a kernel built without them: all but those of names. */
const REFUSED = CLONE.NEWNS | 0x7a000000;
/** copy_namespaces(): what only the privileged may ask for, whether there are several or not. */
const NAMESPACES = CLONE.NEWUTS | (REFUSED & ~0x10000000);

export interface CloneRequest {
  /** CLONE_* and the exit signal in the low byte. */
  readonly flags: number;
  /** 0: the parent's. */
  readonly stack: bigint;
  readonly parentTid: bigint;
  readonly childTid: bigint;
  readonly tls: bigint;
  /** CLONE_PIDFD: where the child's pidfd is written. */
  readonly pidfd: bigint;
  /** clone3's set_tid: the number that the child is to have. */
  readonly tid?: number;
  /** CLONE_CLEAR_SIGHAND: handlers are not the parent's, what is ignored stays so. */
  readonly clearSighand?: boolean;
}

function newThread(state: KernelState, process: Process, tid: number, comm: string): Thread {
  const { contexts } = state;
  const task = contexts.newTask(`${comm}/${tid}`, contexts.current.cpu);
  task.cpusAllowed = contexts.current.cpusAllowed;
  const thread = new Thread(tid, process, task, comm);
  process.threads.add(thread);
  process.leader ??= thread;
  state.table.addThread(thread);
  return thread;
}

export const commOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1).slice(0, 15);

/** A process of a loaded program, not yet running. */
export function firstProcess(
  state: KernelState,
  program: Program,
  loaded: LoadedProgram,
  files: FileTable,
  fs: FsContext,
  limits: ResourceLimits,
): Process | number {
  const pid = state.table.allocate();
  if (pid === undefined) return -EAGAIN;
  const process = new Process(pid, program, { as: loaded.mm, users: 1 }, files, fs);
  process.limits = limits;
  process.startTime = state.clock.monotonic;
  process.exitSignal = SIGNAL.SIGCHLD;
  state.table.add(process);
  const thread = newThread(state, process, pid, commOf(program.path));
  thread.registers.pc = loaded.entry;
  thread.registers.sp = loaded.sp;
  return process;
}

/** The checks of copy_process on flags. */
function flagsValid(flags: number): boolean {
  if ((flags & REFUSED) !== 0) return false;
  if ((flags & CLONE.PIDFD) !== 0 && (flags & (CLONE.THREAD | CLONE.DETACHED)) !== 0) return false;
  if ((flags & CLONE.THREAD) !== 0 && (flags & CLONE.SIGHAND) === 0) return false;
  return (flags & CLONE.SIGHAND) === 0 || (flags & CLONE.VM) !== 0;
}

/** clone(2): the child's tid, or a negative errno. With CLONE_VFORK it returns when the child let go. */
export function* cloneThread(state: KernelState, parent: Thread, request: CloneRequest): MaySleep<number> {
  const { flags } = request;
  const isPlain = (flags & NAMESPACES) === 0 || capable(parent.credentials, CAP.SYS_ADMIN);
  if (!isPlain) return -EPERM;
  if (!flagsValid(flags)) return -EINVAL;
  if (tooManyThreads(state.mm, state.table.threadCount) || tooManyProcesses(state, parent)) return -EAGAIN;
  const refused = request.tid === undefined ? 0 : refusesTid(state, parent, request.tid);
  if (refused !== 0) return refused;
  const pidfd = newPidfd(state, parent, flags);
  if (typeof pidfd === 'number') return pidfd;
  const told = pidfd === undefined ? 0 : yield* writeU32(state.mm, parent, request.pidfd, pidfd.fd);
  if (told !== 0) {
    pidfd?.close();
    return told;
  }
  const space = yield* cloneSpace(state, parent.process, flags);
  if (typeof space === 'number') {
    pidfd?.close();
    return space;
  }
  // Killed while memory was copied, perhaps with its whole group: no child gets away that nobody saw.
  const isKilled = parent.task.fatalSignalPending;
  const tid = isKilled ? undefined : state.table.allocate(request.tid);
  if (tid === undefined) {
    yield* dropSpace(state, space);
    pidfd?.close();
    if (isKilled) return -EINTR;
    return request.tid === undefined ? -EAGAIN : -EEXIST;
  }
  const child =
    (flags & CLONE.THREAD) !== 0
      ? newThread(state, parent.process, tid, parent.comm)
      : newThread(state, newProcess(state, parent, tid, space, flags), tid, parent.comm);
  if (request.clearSighand === true) child.process.actions.flushHandlers();
  inherit(state, parent, child, request);
  if (pidfd !== undefined) pidfd.file.process = child.process;
  if ((flags & CLONE.PARENT_SETTID) !== 0) yield* writeU32(state.mm, parent, request.parentTid, tid);
  if ((flags & CLONE.CHILD_SETTID) !== 0) yield* writeU32(state.mm, child, request.childTid, tid);
  if ((flags & CLONE.CHILD_CLEARTID) !== 0) child.clearChildTid = request.childTid;
  const event = cloneEvent(parent, flags);
  if (event !== undefined || (flags & CLONE.PTRACE) !== 0) inheritTracing(parent, child);
  state.runQueue.spawn(child.task, state.threadLife(child));
  if (event !== undefined) yield* ptraceEvent(parent, event, BigInt(tid));
  if ((flags & CLONE.VFORK) !== 0 && (flags & CLONE.THREAD) === 0) {
    const { process } = child;
    process.released.add(parent);
    // Killable: only a fatal signal ends the wait before the child lets go.
    while (!process.releasedSpace && !parent.task.fatalSignalPending) yield parent.sleeper.point;
    process.released.remove(parent);
    yield* ptraceEvent(parent, PTRACE_EVENT.VFORK_DONE, BigInt(tid));
  }
  return tid;
}

/** alloc_pid(): why the child cannot have this number. */
function refusesTid({ table }: KernelState, { credentials }: Thread, tid: number): number {
  if (tid < 1 || tid >= PID_MAX) return -EINVAL;
  const may = capable(credentials, CAP.CHECKPOINT_RESTORE) || capable(credentials, CAP.SYS_ADMIN);
  if (!may) return -EPERM;
  return table.inUse(tid) ? -EEXIST : 0;
}

/** CLONE_PIDFD: a descriptor for a child that is yet to be made; undefined where none is asked for. */
function newPidfd({ files }: KernelState, { process }: Thread, flags: number) {
  if ((flags & CLONE.PIDFD) === 0) return undefined;
  const file = new ProcessFile(new SpecialFile(files.nextInode(), 0o600, () => -EINVAL), 0);
  const table = process.files;
  const fd = table.add(file, true);
  return fd < 0 ? fd : { file, fd, close: () => table.close(fd) };
}

/** RLIMIT_NPROC: threads of the same user; root and who may override limits are not bound by it. */
function tooManyProcesses({ table }: KernelState, { credentials, process }: Thread): boolean {
  const most = process.limits.soft(RLIMIT.NPROC);
  const free = capable(credentials, CAP.SYS_RESOURCE) || capable(credentials, CAP.SYS_ADMIN);
  const { real } = credentials.user;
  if (real === 0 || free || most >= MOST_THREADS) return false;
  let count = 0;
  for (const each of table.processes) {
    for (const thread of each.threads) if (thread.credentials.user.real === real) count++;
  }
  return count >= most;
}

/** Which event a tracer is told of, where it asked for it. */
function cloneEvent({ tracing }: Thread, flags: number): number | undefined {
  if (tracing === undefined || (flags & CLONE.UNTRACED) !== 0) return undefined;
  const other = (flags & CLONE.CSIGNAL) === SIGNAL.SIGCHLD ? PTRACE_EVENT.FORK : PTRACE_EVENT.CLONE;
  const event = (flags & CLONE.VFORK) !== 0 ? PTRACE_EVENT.VFORK : other;
  return tracing.wants(event) ? event : undefined;
}

function* cloneSpace(state: KernelState, parent: Process, flags: number): MaySleep<SharedSpace | number> {
  if ((flags & CLONE.VM) !== 0) {
    parent.space.users++;
    return parent.space;
  }
  const as = yield* state.mm.cloneAddressSpace(parent.mm);
  if (typeof as === 'number') return as === -EAGAIN ? -EAGAIN : -ENOMEM;
  return { as, users: 1 };
}

function newProcess(
  state: KernelState,
  parent: Thread,
  pid: number,
  space: SharedSpace,
  flags: number,
): Process {
  const from = parent.process;
  let { files, fs } = from;
  if ((flags & CLONE.FILES) !== 0) files.users++;
  else files = files.clone();
  if ((flags & CLONE.FS) === 0) fs = fs.clone();
  const father = (flags & CLONE.PARENT) !== 0 ? (from.parent ?? from) : from;
  const process = new Process(pid, from.program, space, files, fs, father);
  process.forker = parent;
  process.pgid = from.pgid;
  process.sid = from.sid;
  process.exitSignal = (flags & CLONE.PARENT) !== 0 ? from.exitSignal : flags & CLONE.CSIGNAL;
  process.actions = (flags & CLONE.SIGHAND) !== 0 ? from.actions : from.actions.clone();
  process.dumpable = from.dumpable;
  process.personality = from.personality;
  process.noNewPrivileges = from.noNewPrivileges;
  process.membarriers = from.membarriers;
  process.startTime = state.clock.monotonic;
  process.oomScoreAdjustment = from.oomScoreAdjustment;
  process.oomScoreAdjustmentLeast = from.oomScoreAdjustmentLeast;
  process.uts = (flags & CLONE.NEWUTS) === 0 ? from.uts : newUts(state, from.uts);
  process.limits = from.limits.clone();
  if ((flags & CLONE.VM) === 0) space.as.limits = process.limits;
  father.children.add(process);
  state.table.add(process);
  return process;
}

/** copy_thread(): the child returns 0 from the same call. */
function inherit(state: KernelState, parent: Thread, child: Thread, request: CloneRequest): void {
  const { flags } = request;
  copyRegisters(state.user.registersOf(parent), child.registers);
  child.registers.x[0] = 0n;
  if (request.stack !== 0n) child.registers.sp = request.stack;
  if ((flags & CLONE.SETTLS) !== 0) child.registers.tls = request.tls;
  child.control = parent.control;
  child.credentials = parent.credentials;
  child.scheduling = childScheduling(parent.scheduling);
  child.ioPriority = parent.ioPriority;
  child.timerSlack = parent.timerSlack;
  child.seccompMode = parent.seccompMode;
  child.seccompFilters = parent.seccompFilters;
  // rseq_fork(): a copy of the memory has the same registration, a thread makes its own.
  if ((flags & CLONE.VM) === 0 && parent.rseq !== undefined) child.rseq = { ...parent.rseq, cpu: undefined };
  child.blocked = parent.blocked;
  // sas_ss_reset() unless the stack is the parent's own copy or the parent waits.
  const sharesStack = (flags & (CLONE.VM | CLONE.VFORK)) === CLONE.VM;
  child.alternateStack = sharesStack ? NO_ALTERNATE_STACK : parent.alternateStack;
}

/** create_new_namespaces() of names: a copy that changes alone. */
export const newUts = ({ files }: KernelState, from: UtsNames): UtsNames => ({
  ...from,
  id: FIRST_UTS + 300 + files.nextInode(),
});

/** unshare_files(): a table that others use is left to them. */
export function unshareFiles(process: Process): void {
  if (process.files.users === 1) return;
  const own = process.files.clone();
  process.files.drop();
  process.files = own;
}

/** mmput(). */
export function* dropSpace(state: KernelState, space: SharedSpace): MaySleep<void> {
  if (--space.users > 0) return;
  for (const context of space.aio?.values() ?? []) context.destroy();
  yield* state.mm.exitMmap(space.as);
}

/** The address space of a thread that was made without its own process's: users count processes and threads. */
export function* leaveSpace(state: KernelState, process: Process): MaySleep<void> {
  process.releasedSpace = true;
  process.released.wake();
  yield* dropSpace(state, process.space);
}
