/**
 * System calls about the system: uname, sysinfo, randomness, giving way.
 */
import { EINVAL, sleepPoint } from '../contexts/index.js';
import { writeUser } from '../process/index.js';
import { type Syscall, type SyscallServices, uint } from './row.js';

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

export const systemSyscalls: readonly Syscall[] = [
  {
    number: 92,
    name: 'personality',
    args: ['hex'],
    // PER_LINUX, whatever is asked for.
    run: () => 0,
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
    number: 179,
    name: 'sysinfo',
    args: ['pointer'],
    *run(services, thread, [address]) {
      return yield* writeUser(services.mm, thread, address, sysinfoBytes(services));
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
];
