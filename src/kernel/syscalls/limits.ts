/**
 * System calls about what a process may use and has used: resource limits, getrusage, times.
 *
 * Ref. kernel/sys.c (do_prlimit, check_prlimit_permission, getrusage, do_sys_times).
 */
import { EFAULT, EINVAL, EPERM, ESRCH, type MaySleep } from '../contexts/index.js';
import {
  CAP,
  type Credentials,
  capable,
  type Process,
  RLIMIT,
  RLIMITS,
  readUser,
  type Thread,
  type Usage,
  usageOf,
  writeUser,
  writeWords,
} from '../process/index.js';
import { int, type Syscall, type SyscallServices } from './row.js';

/** USER_HZ: nanoseconds of a tick. */
const TICK = 10_000_000n;
const RUSAGE = { SELF: 0, CHILDREN: -1, THREAD: 1 } as const;

/** struct rusage of 144 bytes: user time, the most resident memory, faults. */
export function rusageBytes({ clock }: SyscallServices, usage: Usage): Uint8Array {
  const bytes = new Uint8Array(144);
  const view = new DataView(bytes.buffer);
  const us = clock.nanoseconds(usage.steps) / 1000n;
  const words: readonly (readonly [offset: number, value: bigint])[] = [
    [0, us / 1_000_000n],
    [8, us % 1_000_000n],
    [32, BigInt(Math.floor(usage.maxRss))],
    [64, BigInt(usage.minorFaults)],
    [72, BigInt(usage.majorFaults)],
  ];
  for (const [offset, value] of words) view.setBigUint64(offset, value, true);
  return bytes;
}

/** check_prlimit_permission(): all numbers of the target are the caller's, or it may override limits. */
function mayLimit(caller: Credentials, target: Credentials): boolean {
  if (capable(caller, CAP.SYS_RESOURCE)) return true;
  const { user, group } = target;
  return (
    [user.effective, user.saved, user.real].every((id) => id === caller.user.real) &&
    [group.effective, group.saved, group.real].every((id) => id === caller.group.real)
  );
}

function* prlimit(
  services: SyscallServices,
  thread: Thread,
  target: Process,
  resource: number,
  next: bigint,
  old: bigint,
): MaySleep<number> {
  const { mm } = services;
  if (resource < 0 || resource >= RLIMITS) return -EINVAL;
  const before = target.limits.get(resource);
  if (next !== 0n) {
    const bytes = yield* readUser(mm, thread, next, 16);
    if (bytes === undefined) return -EFAULT;
    const view = new DataView(bytes.buffer);
    const limit = { soft: view.getBigUint64(0, true), hard: view.getBigUint64(8, true) };
    const error = target.limits.set(resource, limit, capable(thread.credentials, CAP.SYS_RESOURCE));
    if (error !== 0) return error;
    if (resource === RLIMIT.NOFILE) target.files.limit = target.limits.soft(resource);
  }
  return old === 0n ? 0 : yield* writeWords(mm, thread, old, [before.soft, before.hard]);
}

export const limitSyscalls: readonly Syscall[] = [
  {
    number: 153,
    name: 'times',
    args: ['pointer'],
    *run(services, thread, [address]) {
      const { clock, mm } = services;
      const { process } = thread;
      const ticks = (steps: number) => clock.nanoseconds(steps) / TICK;
      if (address !== 0n) {
        const words = [ticks(process.cpu.steps), 0n, ticks(process.childUsage.steps), 0n];
        const error = yield* writeWords(mm, thread, address, words);
        if (error !== 0) return error;
      }
      return clock.monotonic / TICK;
    },
  },
  {
    number: 163,
    name: 'getrlimit',
    args: ['int', 'pointer'],
    *run(services, thread, [resource, old]) {
      if (int(resource) < 0 || int(resource) >= RLIMITS) return -EINVAL;
      const { soft, hard } = thread.process.limits.get(int(resource));
      return yield* writeWords(services.mm, thread, old, [soft, hard]);
    },
  },
  {
    number: 164,
    name: 'setrlimit',
    args: ['int', 'pointer'],
    *run(services, thread, [resource, next]) {
      if (next === 0n) return -EFAULT;
      return yield* prlimit(services, thread, thread.process, int(resource), next, 0n);
    },
  },
  {
    number: 165,
    name: 'getrusage',
    args: ['int', 'pointer'],
    *run(services, thread, [who, address]) {
      const { process } = thread;
      const own = usageOf(services, process);
      const usages = new Map<number, Usage>([
        [RUSAGE.SELF, own],
        [RUSAGE.CHILDREN, process.childUsage],
        [RUSAGE.THREAD, { ...own, steps: thread.cpu.steps }],
      ]);
      const usage = usages.get(int(who));
      if (usage === undefined) return -EINVAL;
      return yield* writeUser(services.mm, thread, address, rusageBytes(services, usage));
    },
  },
  {
    number: 261,
    name: 'prlimit64',
    args: ['int', 'int', 'pointer', 'pointer'],
    *run(services, thread, [pid, resource, next, old]) {
      const id = int(pid);
      const target = id === 0 ? thread : services.table.thread(id);
      if (target === undefined) return -ESRCH;
      if (target !== thread && !mayLimit(thread.credentials, target.credentials)) return -EPERM;
      return yield* prlimit(services, thread, target.process, int(resource), next, old);
    },
  },
];
