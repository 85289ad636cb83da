/**
 * System calls of signals.
 *
 * Ref. kernel/signal.c.
 */
import {
  EAGAIN,
  EFAULT,
  EINTR,
  EINVAL,
  ENOMEM,
  EPERM,
  ERESTARTNOHAND,
  ESRCH,
  type MaySleep,
} from '../contexts/index.js';
import {
  alternateStackFlags,
  defaultAction,
  maySignal,
  NO_ALTERNATE_STACK,
  type Process,
  queuedSignal,
  readUser,
  SA_KNOWN,
  SIG_DFL,
  SIG_IGN,
  SIGINFO_BYTES,
  SIGNAL,
  SIGNALS,
  SS_AUTODISARM,
  SS_DISABLE,
  SS_ONSTACK,
  sendToProcess,
  sendToThread,
  sentSignal,
  sigbit,
  siginfoBytes,
  signalReturn,
  type Thread,
  UNBLOCKABLE,
  writeUser,
  writeWords,
} from '../process/index.js';
import { int, KEEP_REGISTERS, type Syscall, type SyscallServices } from './row.js';
import { readTimespec, sleepUntil } from './sleeping.js';

/** sizeof(sigset_t). */
const SIGSET_BYTES = 8n;
/** MINSIGSTKSZ of arm64. */
const MINSIGSTKSZ = 5120n;

const valid = (signo: number): boolean => signo >= 1 && signo <= SIGNALS;

/** kill(2) for one process. */
function killOne(process: Process, signo: number, from: Thread): number {
  if (!mayKill(from, process.leader, signo)) return -EPERM;
  if (signo === 0) return 0;
  const info = sentSignal(signo, 'SI_USER', { pid: from.process.pid, uid: from.credentials.user.real });
  return sendToProcess(process, info) ? 0 : -EAGAIN;
}

export function kill({ table }: SyscallServices, thread: Thread, pid: number, signo: number): number {
  if (signo !== 0 && !valid(signo)) return -EINVAL;
  if (pid > 0) {
    const target = table.get(pid) ?? table.thread(pid)?.process;
    return target === undefined ? -ESRCH : killOne(target, signo, thread);
  }
  if (pid === -0x80000000) return -ESRCH;
  const targets =
    pid === -1
      ? [...table.processes].filter((process) => process.pid > 1 && process !== thread.process)
      : table.group(pid === 0 ? thread.process.pgid : -pid);
  if (targets.length === 0) return -ESRCH;
  // One that could be reached is enough.
  const results = targets.map((target) => killOne(target, signo, thread));
  return results.includes(0) ? 0 : results[0]!;
}

/** check_kill_permission(): SIGCONT may be sent within the session. */
function mayKill(from: Thread, target: Thread | undefined, signo: number): boolean {
  if (target === undefined || target.process === from.process) return true;
  if (signo === SIGNAL.SIGCONT && target.process.sid === from.process.sid) return true;
  return maySignal(from.credentials, target.credentials);
}

/** do_tkill(). */
function killThread(
  { table }: SyscallServices,
  from: Thread,
  tgid: number | undefined,
  tid: number,
  signo: number,
) {
  if (tid <= 0 || (tgid !== undefined && tgid <= 0)) return -EINVAL;
  if (signo !== 0 && !valid(signo)) return -EINVAL;
  const target = table.thread(tid);
  if (target === undefined || (tgid !== undefined && target.process.pid !== tgid)) return -ESRCH;
  if (!mayKill(from, target, signo)) return -EPERM;
  if (signo === 0) return 0;
  const info = sentSignal(signo, 'SI_TKILL', { pid: from.process.pid, uid: from.credentials.user.real });
  return sendToThread(target, info) ? 0 : -EAGAIN;
}

function* setAction(
  { mm }: SyscallServices,
  thread: Thread,
  signo: number,
  action: bigint,
  old: bigint,
): MaySleep<number> {
  if (!valid(signo)) return -EINVAL;
  const { process } = thread;
  const before = process.actions.get(signo);
  if (action !== 0n) {
    const bytes = yield* readUser(mm, thread, action, 32);
    if (bytes === undefined) return -EFAULT;
    if ((UNBLOCKABLE & sigbit(signo)) !== 0n) return -EINVAL;
    const view = new DataView(bytes.buffer);
    const handler = view.getBigUint64(0, true);
    process.actions.set(signo, {
      handler,
      flags: (Number(view.getBigUint64(8, true) & 0xffffffffn) & SA_KNOWN) >>> 0,
      restorer: view.getBigUint64(16, true),
      mask: view.getBigUint64(24, true) & ~UNBLOCKABLE,
    });
    // What is ignored from now on is no longer pending.
    if (handler === SIG_IGN || (handler === SIG_DFL && defaultAction(signo) === 'ignore')) {
      process.pending.drop(sigbit(signo));
      for (const each of process.threads) each.pending.drop(sigbit(signo));
    }
  }
  if (old === 0n) return 0;
  return yield* writeWords(mm, thread, old, [
    before.handler,
    BigInt(before.flags),
    before.restorer,
    before.mask,
  ]);
}

/** A user sigset, as a set. */
function* readSet({ mm }: SyscallServices, thread: Thread, address: bigint): MaySleep<bigint | undefined> {
  const bytes = yield* readUser(mm, thread, address, 8);
  return bytes && new DataView(bytes.buffer).getBigUint64(0, true);
}

function* changeMask(
  services: SyscallServices,
  thread: Thread,
  how: number,
  set: bigint,
  old: bigint,
): MaySleep<number> {
  const before = thread.blocked;
  if (set !== 0n) {
    const given = yield* readSet(services, thread, set);
    if (given === undefined) return -EFAULT;
    const wanted = given & ~UNBLOCKABLE;
    if (how === 0) thread.setBlocked(before | wanted);
    else if (how === 1) thread.setBlocked(before & ~wanted);
    else if (how === 2) thread.setBlocked(wanted);
    else return -EINVAL;
  }
  return old === 0n ? 0 : yield* writeWords(services.mm, thread, old, [before]);
}

/** set_user_sigmask() of ppoll and pselect: restored when the call is over. */
export function* useMask(services: SyscallServices, thread: Thread, address: bigint): MaySleep<number> {
  if (address === 0n) return 0;
  const set = yield* readSet(services, thread, address);
  if (set === undefined) return -EFAULT;
  thread.savedMask = thread.blocked;
  thread.setBlocked(set & ~UNBLOCKABLE);
  return 0;
}

function* alternateStack(
  services: SyscallServices,
  thread: Thread,
  stack: bigint,
  old: bigint,
): MaySleep<number> {
  const { mm, user } = services;
  const sp = user.stackPointerOf(thread);
  const before = thread.alternateStack;
  const flagsNow = alternateStackFlags(thread, sp) | (before.flags & SS_AUTODISARM);
  if (stack !== 0n) {
    const bytes = yield* readUser(mm, thread, stack, 24);
    if (bytes === undefined) return -EFAULT;
    const view = new DataView(bytes.buffer);
    const flags = view.getUint32(8, true);
    const size = view.getBigUint64(16, true);
    if ((flagsNow & SS_ONSTACK) !== 0) return -EPERM;
    const mode = (flags & ~SS_AUTODISARM) >>> 0;
    if (mode !== 0 && mode !== SS_ONSTACK && mode !== SS_DISABLE) return -EINVAL;
    if (mode === SS_DISABLE) thread.alternateStack = NO_ALTERNATE_STACK;
    else if (size < MINSIGSTKSZ) return -ENOMEM;
    else {
      const base = view.getBigUint64(0, true);
      thread.alternateStack = { sp: base, size, flags: (flags & SS_AUTODISARM) >>> 0 };
    }
  }
  if (old === 0n) return 0;
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, before.sp, true);
  view.setUint32(8, flagsNow >>> 0, true);
  view.setBigUint64(16, before.size, true);
  return yield* writeUser(mm, thread, old, bytes);
}

function* timedWait(
  services: SyscallServices,
  thread: Thread,
  set: bigint,
  info: bigint,
  timeout: bigint,
): MaySleep<number> {
  const given = yield* readSet(services, thread, set);
  if (given === undefined) return -EFAULT;
  const wanted = given & ~UNBLOCKABLE;
  let deadline: bigint | undefined;
  if (timeout !== 0n) {
    const time = yield* readTimespec(services, thread, timeout);
    if (typeof time === 'number') return time;
    deadline = services.clock.monotonic + time;
  }
  const take = () => thread.pending.take(~wanted) ?? thread.process.pending.take(~wanted);
  let found = take();
  if (found === undefined) {
    // Awaited signals wake the thread though it blocks them.
    const blocked = thread.blocked;
    thread.blocked = blocked & ~wanted;
    yield* sleepUntil(services, thread, deadline, [], () => (thread.deliverable & wanted) !== 0n);
    thread.blocked = blocked;
    found = take();
  }
  if (found === undefined) return thread.interrupted ? -EINTR : -EAGAIN;
  if (info !== 0n) {
    const error = yield* writeUser(services.mm, thread, info, siginfoBytes(found));
    if (error !== 0) return error;
  }
  return found.signo;
}

/** rt_sigqueueinfo and rt_tgsigqueueinfo: the sender makes the siginfo, but may not pose as the kernel. */
export function* queueInfo(
  services: SyscallServices,
  thread: Thread,
  target: Thread | Process | undefined,
  self: boolean,
  signo: number,
  address: bigint,
): MaySleep<number> {
  const raw = yield* readUser(services.mm, thread, address, SIGINFO_BYTES);
  if (raw === undefined) return -EFAULT;
  const code = new DataView(raw.buffer).getInt32(8, true);
  if ((code >= 0 || code === -6) && !self) return -EPERM;
  if (target === undefined) return -ESRCH;
  if (signo !== 0 && !valid(signo)) return -EINVAL;
  if (!mayKill(thread, 'tid' in target ? target : target.leader, signo)) return -EPERM;
  if (signo === 0) return 0;
  const info = queuedSignal(signo, raw);
  const sent = 'tid' in target ? sendToThread(target, info) : sendToProcess(target, info);
  return sent ? 0 : -EAGAIN;
}

export const signalSyscalls: readonly Syscall[] = [
  {
    number: 129,
    name: 'kill',
    args: ['int', 'signal'],
    run: (services, thread, [pid, signo]) => kill(services, thread, int(pid), int(signo)),
  },
  {
    number: 130,
    name: 'tkill',
    args: ['int', 'signal'],
    run: (services, thread, [tid, signo]) => killThread(services, thread, undefined, int(tid), int(signo)),
  },
  {
    number: 131,
    name: 'tgkill',
    args: ['int', 'int', 'signal'],
    run: (services, thread, [tgid, tid, signo]) =>
      killThread(services, thread, int(tgid), int(tid), int(signo)),
  },
  {
    number: 132,
    name: 'sigaltstack',
    args: ['pointer', 'pointer'],
    *run(services, thread, [stack, old]) {
      return yield* alternateStack(services, thread, stack, old);
    },
  },
  {
    number: 133,
    name: 'rt_sigsuspend',
    args: ['pointer', 'unsigned'],
    *run(services, thread, [set, size]) {
      if (size !== SIGSET_BYTES) return -EINVAL;
      const mask = yield* readSet(services, thread, set);
      if (mask === undefined) return -EFAULT;
      thread.savedMask = thread.blocked;
      thread.setBlocked(mask & ~UNBLOCKABLE);
      while (!thread.interrupted) yield thread.sleeper.point;
      return -ERESTARTNOHAND;
    },
  },
  {
    number: 134,
    name: 'rt_sigaction',
    args: ['signal', 'pointer', 'pointer', 'unsigned'],
    *run(services, thread, [signo, action, old, size]) {
      if (size !== SIGSET_BYTES) return -EINVAL;
      return yield* setAction(services, thread, int(signo), action, old);
    },
  },
  {
    number: 135,
    name: 'rt_sigprocmask',
    args: ['int', 'pointer', 'pointer', 'unsigned'],
    *run(services, thread, [how, set, old, size]) {
      if (size !== SIGSET_BYTES) return -EINVAL;
      return yield* changeMask(services, thread, int(how), set, old);
    },
  },
  {
    number: 136,
    name: 'rt_sigpending',
    args: ['pointer', 'unsigned'],
    *run({ mm }, thread, [set, size]) {
      if (size > SIGSET_BYTES) return -EINVAL;
      const pending = (thread.pending.set | thread.process.pending.set) & thread.blocked;
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, pending, true);
      return yield* writeUser(mm, thread, set, bytes.subarray(0, Number(size)));
    },
  },
  {
    number: 137,
    name: 'rt_sigtimedwait',
    args: ['pointer', 'pointer', 'pointer', 'unsigned'],
    *run(services, thread, [set, info, timeout, size]) {
      if (size !== SIGSET_BYTES) return -EINVAL;
      return yield* timedWait(services, thread, set, info, timeout);
    },
  },
  {
    number: 138,
    name: 'rt_sigqueueinfo',
    args: ['int', 'signal', 'pointer'],
    *run(services, thread, [pid, signo, info]) {
      const target = services.table.get(int(pid)) ?? services.table.thread(int(pid))?.process;
      const self = int(pid) === thread.process.pid;
      return yield* queueInfo(services, thread, target, self, int(signo), info);
    },
  },
  {
    number: 139,
    name: 'rt_sigreturn',
    args: [],
    *run(services, thread) {
      yield* signalReturn(services, thread);
      return KEEP_REGISTERS;
    },
  },
  {
    number: 240,
    name: 'rt_tgsigqueueinfo',
    args: ['int', 'int', 'signal', 'pointer'],
    *run(services, thread, [tgid, tid, signo, info]) {
      if (int(tgid) <= 0 || int(tid) <= 0) return -EINVAL;
      const found = services.table.thread(int(tid));
      const target = found?.process.pid === int(tgid) ? found : undefined;
      const self = int(tgid) === thread.process.pid;
      return yield* queueInfo(services, thread, target, self, int(signo), info);
    },
  },
];
