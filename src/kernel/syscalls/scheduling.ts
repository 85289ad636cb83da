/**
 * System calls of scheduling: policy, priority and niceness of threads. They are kept, inherited and shown; the
 * order in which threads run does not depend on them.
 *
 * Ref. kernel/sched/core.c (__sched_setscheduler, sched_setattr), kernel/sys.c (setpriority), block/ioprio.c.
 */
import { E2BIG, EACCES, EFAULT, EINVAL, EPERM, ESRCH, type MaySleep } from '../contexts/index.js';
import {
  CAP,
  type Credentials,
  capable,
  RLIMIT,
  readU32,
  readUser,
  SCHED,
  type Scheduling,
  type Thread,
  writeU32,
  writeUser,
  writeWords,
} from '../process/index.js';
import { int, type Syscall, type SyscallServices, uint } from './row.js';

const RESET_ON_FORK = 0x40000000;
const POLICIES: ReadonlySet<number> = new Set([SCHED.NORMAL, SCHED.FIFO, SCHED.RR, SCHED.BATCH, SCHED.IDLE]);
const isRealTime = (policy: number): boolean => policy === SCHED.FIFO || policy === SCHED.RR;

/** SCHED_ATTR_SIZE_VER0 and the size with utilisation clamps. */
const ATTR_LEAST = 48;
const ATTR_SIZE = 56;
/** SCHED_FLAG_RESET_ON_FORK, KEEP_POLICY, KEEP_PARAMS. */
const FLAG = { RESET_ON_FORK: 1, KEEP_POLICY: 8, KEEP_PARAMS: 16 } as const;
/** sched_rr_timeslice: 100 ms. */
const RR_SLICE = 100_000_000n;
/** What Linux shows for SCHED_NORMAL on an idle machine of one CPU: base_slice_ns rounded to ticks. */
const NORMAL_SLICE = 4_000_000n;

function find({ table }: SyscallServices, thread: Thread, pid: number): Thread | number {
  if (pid < 0) return -EINVAL;
  return pid === 0 ? thread : (table.thread(pid) ?? -ESRCH);
}

/** Whose priority the caller may change: its own user's, or anybody's with CAP_SYS_NICE. */
function mayChange(caller: Credentials, target: Credentials): boolean {
  const { effective } = caller.user;
  return (
    effective === target.user.real || effective === target.user.effective || capable(caller, CAP.SYS_NICE)
  );
}

/** can_nice(): lower niceness needs RLIMIT_NICE or CAP_SYS_NICE. */
function canNice(thread: Thread, nice: number): boolean {
  return 20 - nice <= thread.process.limits.soft(RLIMIT.NICE) || capable(thread.credentials, CAP.SYS_NICE);
}

/** __sched_setscheduler(): 0 or a negative errno. */
function setScheduling(caller: Thread, target: Thread, next: Scheduling): number {
  const { policy, priority } = next;
  const now = target.scheduling;
  if (!POLICIES.has(policy)) return -EINVAL;
  if (priority < 0 || priority > 99 || isRealTime(policy) !== priority > 0) return -EINVAL;
  if (!capable(caller.credentials, CAP.SYS_NICE)) {
    const most = caller.process.limits.soft(RLIMIT.RTPRIO);
    if (!isRealTime(policy) && next.nice < now.nice && !canNice(target, next.nice)) return -EPERM;
    if (isRealTime(policy)) {
      if (policy !== now.policy && most === 0) return -EPERM;
      if (priority > now.priority && priority > most) return -EPERM;
    }
    if (!mayChange(caller.credentials, target.credentials)) return -EPERM;
    if (now.resetOnFork && !next.resetOnFork) return -EPERM;
  }
  target.scheduling = next;
  return 0;
}

/** Threads of setpriority and getpriority: of a process (its first thread), a group, a user. */
function prioritised(
  { table }: SyscallServices,
  thread: Thread,
  which: number,
  who: number,
): Thread[] | number {
  const all = () => [...table.processes].flatMap((process) => [...process.threads]);
  switch (which) {
    case 0: {
      const target = who === 0 ? thread : table.thread(who);
      return target === undefined ? [] : [target];
    }
    case 1: {
      const group = who === 0 ? thread.process.pgid : who;
      return all().filter((each) => each.process.pgid === group);
    }
    case 2: {
      const user = who === 0 ? thread.credentials.user.real : who;
      return all().filter((each) => each.credentials.user.real === user);
    }
    default:
      return -EINVAL;
  }
}

function setPriority(
  services: SyscallServices,
  thread: Thread,
  which: number,
  who: number,
  value: number,
): number {
  const targets = prioritised(services, thread, which, who);
  if (typeof targets === 'number') return targets;
  const nice = Math.max(-20, Math.min(19, value));
  let result = -ESRCH;
  for (const target of targets) {
    if (!mayChange(thread.credentials, target.credentials)) result = -EPERM;
    else if (nice < target.scheduling.nice && !canNice(target, nice)) result = -EACCES;
    else {
      if (result === -ESRCH) result = 0;
      target.scheduling = { ...target.scheduling, nice };
    }
  }
  return result;
}

/** sched_copy_attr(): the fields, or -EFAULT, -E2BIG (the kernel's size is written back), -EINVAL. */
function* readAttributes(
  { mm }: SyscallServices,
  thread: Thread,
  address: bigint,
): MaySleep<{ readonly next: Scheduling; readonly flags: number } | number> {
  const given = yield* readU32(mm, thread, address);
  if (given === undefined) return -EFAULT;
  const size = given === 0 ? ATTR_LEAST : given;
  const bytes = size < ATTR_LEAST || size > 4096 ? undefined : yield* readUser(mm, thread, address, size);
  if (bytes === undefined && size >= ATTR_LEAST && size <= 4096) return -EFAULT;
  if (bytes === undefined || bytes.subarray(ATTR_SIZE).some((byte) => byte !== 0)) {
    yield* writeU32(mm, thread, address, ATTR_SIZE);
    return -E2BIG;
  }
  const view = new DataView(bytes.buffer);
  const flags = view.getUint32(8, true);
  const policy = view.getInt32(4, true);
  if (policy < 0 || (flags & ~0x7f) !== 0) return -EINVAL;
  return {
    next: {
      policy,
      nice: Math.max(-20, Math.min(19, view.getInt32(16, true))),
      priority: view.getInt32(20, true),
      resetOnFork: (flags & FLAG.RESET_ON_FORK) !== 0,
    },
    flags,
  };
}

function attributeBytes(scheduling: Scheduling, size: number): Uint8Array {
  const bytes = new Uint8Array(Math.min(size, ATTR_SIZE));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint32(4, scheduling.policy, true);
  view.setUint32(8, scheduling.resetOnFork ? FLAG.RESET_ON_FORK : 0, true);
  if (isRealTime(scheduling.policy)) view.setUint32(20, scheduling.priority, true);
  else view.setInt32(16, scheduling.nice, true);
  if (bytes.length >= ATTR_SIZE) view.setUint32(52, 1024, true);
  return bytes;
}

/** sched_get_priority_max and _min. */
function priorityBound(policy: number, realTime: number): number {
  if (isRealTime(policy)) return realTime;
  return POLICIES.has(policy) || policy === SCHED.DEADLINE ? 0 : -EINVAL;
}

export const schedulingSyscalls: readonly Syscall[] = [
  {
    number: 30,
    name: 'ioprio_set',
    args: ['int', 'int', 'int'],
    run(services, thread, [which, who, value]) {
      const targets = prioritised(services, thread, int(which) - 1, int(who));
      if (typeof targets === 'number') return targets;
      const kind = uint(value) >>> 13;
      const level = uint(value) & 0x1fff;
      // No class takes no level, best effort and real time have eight.
      if (kind > 3 || (kind === 0 ? level !== 0 : kind < 3 && level > 7)) return -EINVAL;
      if (targets.length === 0) return -ESRCH;
      for (const target of targets) target.ioPriority = uint(value);
      return 0;
    },
  },
  {
    number: 31,
    name: 'ioprio_get',
    args: ['int', 'int'],
    run(services, thread, [which, who]) {
      const targets = prioritised(services, thread, int(which) - 1, int(who));
      if (typeof targets === 'number') return targets;
      return targets[0]?.ioPriority ?? -ESRCH;
    },
  },
  {
    number: 118,
    name: 'sched_setparam',
    args: ['int', 'pointer'],
    *run(services, thread, [pid, param]) {
      if (param === 0n) return -EINVAL;
      const priority = yield* readU32(services.mm, thread, param);
      if (priority === undefined) return -EFAULT;
      const target = find(services, thread, int(pid));
      if (typeof target === 'number') return target;
      return setScheduling(thread, target, { ...target.scheduling, priority: priority | 0 });
    },
  },
  {
    number: 119,
    name: 'sched_setscheduler',
    args: ['int', 'int', 'pointer'],
    *run(services, thread, [pid, policy, param]) {
      if (int(policy) < 0 || param === 0n) return -EINVAL;
      const priority = yield* readU32(services.mm, thread, param);
      if (priority === undefined) return -EFAULT;
      const target = find(services, thread, int(pid));
      if (typeof target === 'number') return target;
      return setScheduling(thread, target, {
        ...target.scheduling,
        policy: int(policy) & ~RESET_ON_FORK,
        priority: priority | 0,
        resetOnFork: (int(policy) & RESET_ON_FORK) !== 0,
      });
    },
  },
  {
    number: 120,
    name: 'sched_getscheduler',
    args: ['int'],
    run(services, thread, [pid]) {
      const target = find(services, thread, int(pid));
      if (typeof target === 'number') return target;
      const { policy, resetOnFork } = target.scheduling;
      return policy | (resetOnFork ? RESET_ON_FORK : 0);
    },
  },
  {
    number: 121,
    name: 'sched_getparam',
    args: ['int', 'pointer'],
    *run(services, thread, [pid, param]) {
      if (param === 0n) return -EINVAL;
      const target = find(services, thread, int(pid));
      if (typeof target === 'number') return target;
      return yield* writeU32(services.mm, thread, param, target.scheduling.priority);
    },
  },
  {
    number: 125,
    name: 'sched_get_priority_max',
    args: ['int'],
    run: (_services, _thread, [policy]) => priorityBound(int(policy), 99),
  },
  {
    number: 126,
    name: 'sched_get_priority_min',
    args: ['int'],
    run: (_services, _thread, [policy]) => priorityBound(int(policy), 1),
  },
  {
    number: 127,
    name: 'sched_rr_get_interval',
    args: ['int', 'pointer'],
    *run(services, thread, [pid, interval]) {
      const target = find(services, thread, int(pid));
      if (typeof target === 'number') return target;
      const { policy } = target.scheduling;
      const other = policy === SCHED.FIFO ? 0n : NORMAL_SLICE;
      return yield* writeWords(services.mm, thread, interval, [0n, policy === SCHED.RR ? RR_SLICE : other]);
    },
  },
  {
    number: 140,
    name: 'setpriority',
    args: ['int', 'int', 'int'],
    run: (services, thread, [which, who, nice]) =>
      setPriority(services, thread, int(which), int(who), int(nice)),
  },
  {
    number: 141,
    name: 'getpriority',
    args: ['int', 'int'],
    run(services, thread, [which, who]) {
      const targets = prioritised(services, thread, int(which), int(who));
      if (typeof targets === 'number') return targets;
      // As a positive number: 20 - nice, the best of all.
      return targets.length === 0 ? -ESRCH : Math.max(...targets.map((each) => 20 - each.scheduling.nice));
    },
  },
  {
    number: 274,
    name: 'sched_setattr',
    args: ['int', 'pointer', 'hex'],
    *run(services, thread, [pid, address, flags]) {
      if (address === 0n || int(pid) < 0 || uint(flags) !== 0) return -EINVAL;
      const read = yield* readAttributes(services, thread, address);
      if (typeof read === 'number') return read;
      const target = find(services, thread, int(pid));
      if (typeof target === 'number') return target;
      const { priority, nice, policy } = target.scheduling;
      let { next } = read;
      if ((read.flags & FLAG.KEEP_POLICY) !== 0) next = { ...next, policy };
      if ((read.flags & FLAG.KEEP_PARAMS) !== 0) next = { ...next, priority, nice };
      // A real-time thread's niceness is what it was.
      if (isRealTime(next.policy)) next = { ...next, nice };
      return setScheduling(thread, target, next);
    },
  },
  {
    number: 275,
    name: 'sched_getattr',
    args: ['int', 'pointer', 'unsigned', 'hex'],
    *run(services, thread, [pid, address, size, flags]) {
      if (address === 0n || uint(size) > 4096 || uint(size) < ATTR_LEAST || uint(flags) !== 0) return -EINVAL;
      const target = find(services, thread, int(pid));
      if (typeof target === 'number') return target;
      return yield* writeUser(services.mm, thread, address, attributeBytes(target.scheduling, uint(size)));
    },
  },
];
