/**
 * System calls about the system and the caller's standing in it: uname, limits, identity, randomness,
 * scheduling.
 */
import { EFAULT, EINVAL, ENOSYS, EPERM, ESRCH, type MaySleep, sleepPoint } from '../contexts/index.js';
import { MOST_DESCRIPTORS } from '../fs/index.js';
import { readUser, type Thread, writeU32, writeUser, writeWords } from '../process/index.js';
import { rusageBytes } from './process.js';
import { int, type Syscall, type SyscallServices, uint } from './row.js';

const INFINITY = (1n << 64n) - 1n;
const RLIMITS = 16;
const RLIMIT = { STACK: 3, CORE: 4, NPROC: 6, NOFILE: 7, MEMLOCK: 8, SIGPENDING: 11, MSGQUEUE: 12 } as const;
const NICE = new Set([13, 14]);

/** Soft and hard limit of a resource. */
function limitOf(thread: Thread, resource: number): readonly [bigint, bigint] {
  switch (resource) {
    case RLIMIT.STACK:
      return [8n << 20n, INFINITY];
    case RLIMIT.CORE:
      return [0n, INFINITY];
    case RLIMIT.NPROC:
    case RLIMIT.SIGPENDING:
      return [16384n, 16384n];
    case RLIMIT.NOFILE:
      return [BigInt(thread.process.files.limit), BigInt(MOST_DESCRIPTORS * 4)];
    case RLIMIT.MEMLOCK:
      return [8n << 20n, 8n << 20n];
    case RLIMIT.MSGQUEUE:
      return [819200n, 819200n];
    default:
      return NICE.has(resource) ? [0n, 0n] : [INFINITY, INFINITY];
  }
}

function* setLimit(
  { mm }: SyscallServices,
  thread: Thread,
  resource: number,
  address: bigint,
): MaySleep<number> {
  const bytes = yield* readUser(mm, thread, address, 16);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer);
  const soft = view.getBigUint64(0, true);
  const hard = view.getBigUint64(8, true);
  if (soft > hard) return -EINVAL;
  if (resource === RLIMIT.NOFILE) {
    if (hard > BigInt(MOST_DESCRIPTORS * 4)) return -EPERM;
    thread.process.files.limit = Number(soft);
  }
  // The others are accepted and change nothing.
  return 0;
}

function* prlimit(
  services: SyscallServices,
  thread: Thread,
  resource: number,
  next: bigint,
  old: bigint,
): MaySleep<number> {
  if (resource < 0 || resource >= RLIMITS) return -EINVAL;
  const before = limitOf(thread, resource);
  if (next !== 0n) {
    const error = yield* setLimit(services, thread, resource, next);
    if (error !== 0) return error;
  }
  return old === 0n ? 0 : yield* writeWords(services.mm, thread, old, before);
}

const UTSNAME = ['Linux', 'mtemu', '6.8.0', '#1 SMP PREEMPT mtemu', 'aarch64', '(none)'];
const UTS_FIELD = 65;

/** struct sysinfo of 112 bytes. */
function sysinfoBytes({ mm, clock, table }: SyscallServices): Uint8Array {
  const bytes = new Uint8Array(112);
  const view = new DataView(bytes.buffer);
  const { MemTotal = 0, MemFree = 0 } = mm.meminfo();
  view.setBigUint64(0, clock.monotonic / 1_000_000_000n, true);
  view.setBigUint64(32, BigInt(Math.floor(MemTotal * 1024)), true);
  view.setBigUint64(40, BigInt(Math.floor(MemFree * 1024)), true);
  view.setUint16(80, Math.min(table.threadCount, 0xffff), true);
  view.setUint32(104, 1, true);
  return bytes;
}

/** One getrandom call gives at most this; more is asked for again, as after a signal. */
const MOST_RANDOM = 1 << 20;

const YIELD = sleepPoint('sched_yield');

/** What root, alone on the machine, is told. */
const CONSTANTS: readonly (readonly [number: number, name: string, value: number])[] = [
  // IOPRIO_CLASS_NONE.
  [30, 'ioprio_set', 0],
  [31, 'ioprio_get', 0],
  [140, 'setpriority', 0],
  [141, 'getpriority', 20],
  [143, 'setregid', 0],
  [144, 'setgid', 0],
  [145, 'setreuid', 0],
  [146, 'setuid', 0],
  [147, 'setresuid', 0],
  [149, 'setresgid', 0],
  [159, 'setgroups', 0],
  [158, 'getgroups', 0],
  [174, 'getuid', 0],
  [175, 'geteuid', 0],
  [176, 'getgid', 0],
  [177, 'getegid', 0],
  [119, 'sched_setscheduler', 0],
  [120, 'sched_getscheduler', 0],
  [118, 'sched_setparam', 0],
  [125, 'sched_get_priority_max', 0],
  [126, 'sched_get_priority_min', 0],
];

export const systemSyscalls: readonly Syscall[] = [
  ...CONSTANTS.map(
    ([number, name, value]): Syscall => ({ number, name, args: ['int', 'int', 'int'], run: () => value }),
  ),
  {
    number: 92,
    name: 'personality',
    args: ['hex'],
    // PER_LINUX, whatever is asked for.
    run: () => 0,
  },
  {
    number: 121,
    name: 'sched_getparam',
    args: ['int', 'pointer'],
    *run({ mm }, thread, [, address]) {
      return yield* writeU32(mm, thread, address, 0);
    },
  },
  { number: 122, name: 'sched_setaffinity', args: ['int', 'unsigned', 'pointer'], run: () => 0 },
  {
    number: 123,
    name: 'sched_getaffinity',
    args: ['int', 'unsigned', 'pointer'],
    *run({ mm }, thread, [, size, address]) {
      if (size < 8n || size % 8n !== 0n) return -EINVAL;
      // The one CPU that user space runs on.
      const error = yield* writeWords(mm, thread, address, [1n]);
      return error === 0 ? 8 : error;
    },
  },
  {
    number: 124,
    name: 'sched_yield',
    args: [],
    *run() {
      yield YIELD;
      return 0;
    },
  },
  {
    number: 148,
    name: 'getresuid',
    args: ['pointer', 'pointer', 'pointer'],
    *run({ mm }, thread, addresses) {
      for (const address of addresses.slice(0, 3)) {
        if ((yield* writeU32(mm, thread, address, 0)) !== 0) return -EFAULT;
      }
      return 0;
    },
  },
  {
    number: 150,
    name: 'getresgid',
    args: ['pointer', 'pointer', 'pointer'],
    *run({ mm }, thread, addresses) {
      for (const address of addresses.slice(0, 3)) {
        if ((yield* writeU32(mm, thread, address, 0)) !== 0) return -EFAULT;
      }
      return 0;
    },
  },
  {
    number: 160,
    name: 'uname',
    args: ['pointer'],
    *run({ mm }, thread, [address]) {
      const bytes = new Uint8Array(UTS_FIELD * UTSNAME.length);
      UTSNAME.forEach((text, i) => {
        bytes.set(new TextEncoder().encode(text), UTS_FIELD * i);
      });
      return yield* writeUser(mm, thread, address, bytes);
    },
  },
  {
    number: 163,
    name: 'getrlimit',
    args: ['int', 'pointer'],
    *run(services, thread, [resource, old]) {
      if (old === 0n) return -EFAULT;
      return yield* prlimit(services, thread, int(resource), 0n, old);
    },
  },
  {
    number: 164,
    name: 'setrlimit',
    args: ['int', 'pointer'],
    *run(services, thread, [resource, next]) {
      if (next === 0n) return -EFAULT;
      return yield* prlimit(services, thread, int(resource), next, 0n);
    },
  },
  {
    number: 165,
    name: 'getrusage',
    args: ['int', 'pointer'],
    *run(services, thread, [who, address]) {
      if (![0, -1, 1].includes(int(who))) return -EINVAL;
      return yield* writeUser(services.mm, thread, address, rusageBytes(services));
    },
  },
  {
    number: 168,
    name: 'getcpu',
    args: ['pointer', 'pointer', 'pointer'],
    *run({ mm }, thread, [cpu, node]) {
      for (const address of [cpu, node]) {
        if (address !== 0n && (yield* writeU32(mm, thread, address, 0)) !== 0) return -EFAULT;
      }
      return 0;
    },
  },
  {
    number: 179,
    name: 'sysinfo',
    args: ['pointer'],
    *run(services, thread, [address]) {
      return yield* writeUser(services.mm, thread, address, sysinfoBytes(services));
    },
  },
  {
    number: 261,
    name: 'prlimit64',
    args: ['int', 'int', 'pointer', 'pointer'],
    *run(services, thread, [pid, resource, next, old]) {
      const target = int(pid) === 0 ? thread.process : services.table.get(int(pid));
      if (target === undefined) return -ESRCH;
      const of = target.leader ?? thread;
      return yield* prlimit(services, target === thread.process ? thread : of, int(resource), next, old);
    },
  },
  {
    number: 278,
    name: 'getrandom',
    args: ['pointer', 'unsigned', 'hex'],
    *run({ mm, random }, thread, [address, size, flags]) {
      if ((uint(flags) & ~7) !== 0 || (uint(flags) & 6) === 6) return -EINVAL;
      const length = Number(size > BigInt(MOST_RANDOM) ? BigInt(MOST_RANDOM) : size);
      const bytes = Uint8Array.from({ length }, () => random.u32() & 0xff);
      const error = yield* writeUser(mm, thread, address, bytes);
      return error === 0 ? length : error;
    },
  },
  {
    number: 283,
    name: 'membarrier',
    args: ['int', 'hex', 'int'],
    // MEMBARRIER_CMD_QUERY: nothing is offered, one CPU needs none.
    run: (_services, _thread, [command]) => (int(command) === 0 ? 0 : -EINVAL),
  },
  // Restartable sequences: glibc takes the refusal for an older kernel.
  { number: 293, name: 'rseq', args: ['pointer', 'unsigned', 'hex', 'hex'], run: () => -ENOSYS },
];
