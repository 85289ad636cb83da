/**
 * timerfd_create, timerfd_settime, timerfd_gettime and signalfd4.
 *
 * Ref. fs/timerfd.c, fs/signalfd.c.
 */
import { EBADF, EFAULT, EINVAL, type MaySleep } from '../contexts/index.js';
import { O_CLOEXEC, O_NONBLOCK, SpecialFile } from '../fs/index.js';
import { readU64, SignalFile, type Thread, TimerFile, UNBLOCKABLE, writeWords } from '../process/index.js';
import { fileOf } from './paths.js';
import { int, type Syscall, type SyscallServices } from './row.js';
import { NS, readTimespec } from './sleeping.js';

/** CLOCK_REALTIME, MONOTONIC, BOOTTIME and their ALARM forms. */
const CLOCKS = new Set([0, 1, 7, 8, 9]);
const REALTIME = new Set([0, 8]);
const ABSTIME = 1;
const CANCEL_ON_SET = 2;

const settingWords = ({ setting: { interval, value } }: TimerFile): bigint[] => [
  interval / NS,
  interval % NS,
  value / NS,
  value % NS,
];

function timerOf(thread: Thread, fd: bigint): TimerFile | number {
  const file = fileOf(thread, fd);
  if (file === undefined) return -EBADF;
  return file instanceof TimerFile ? file : -EINVAL;
}

function* setTime(
  services: SyscallServices,
  thread: Thread,
  [fd, flags, value, old]: readonly [bigint, bigint, bigint, bigint],
): MaySleep<number> {
  if ((int(flags) & ~(ABSTIME | CANCEL_ON_SET)) !== 0) return -EINVAL;
  const interval = yield* readTimespec(services, thread, value);
  if (typeof interval === 'number') return interval;
  const first = yield* readTimespec(services, thread, value + 16n);
  if (typeof first === 'number') return first;
  const file = timerOf(thread, fd);
  if (typeof file === 'number') return file;
  const before = settingWords(file);
  const { clock } = services;
  const shift = REALTIME.has(file.clock) ? clock.realtime - clock.monotonic : 0n;
  const absolute = (int(flags) & ABSTIME) !== 0;
  file.set(first === 0n ? undefined : absolute ? first - shift : clock.monotonic + first, interval);
  return old === 0n ? 0 : yield* writeWords(services.mm, thread, old, before);
}

export const eventFileSyscalls: readonly Syscall[] = [
  {
    number: 74,
    name: 'signalfd4',
    args: ['fd', 'pointer', 'unsigned', 'hex'],
    *run({ mm, files, currentThread }, thread, [fd, address, size, flags]) {
      const bits = int(flags);
      if (size !== 8n || (bits & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
      const set = yield* readU64(mm, thread, address);
      if (set === undefined) return -EFAULT;
      const mask = set & ~UNBLOCKABLE;
      if (int(fd) !== -1) {
        const file = fileOf(thread, fd);
        if (file === undefined) return -EBADF;
        if (!(file instanceof SignalFile)) return -EINVAL;
        file.mask = mask;
        thread.process.signalEvents.wake();
        return int(fd);
      }
      const inode = new SpecialFile(files.nextInode(), 0o600, () => -EINVAL);
      const file = new SignalFile(inode, bits & O_NONBLOCK, mask, currentThread);
      return thread.process.files.add(file, (bits & O_CLOEXEC) !== 0);
    },
  },
  {
    number: 85,
    name: 'timerfd_create',
    args: ['clock', 'hex'],
    run(services, thread, [clock, flags]) {
      const bits = int(flags);
      if (!CLOCKS.has(int(clock)) || (bits & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
      const inode = new SpecialFile(services.files.nextInode(), 0o600, () => -EINVAL);
      const file = new TimerFile(services, inode, bits & O_NONBLOCK, int(clock));
      return thread.process.files.add(file, (bits & O_CLOEXEC) !== 0);
    },
  },
  {
    number: 86,
    name: 'timerfd_settime',
    args: ['fd', 'hex', 'pointer', 'pointer'],
    *run(services, thread, [fd, flags, value, old]) {
      return yield* setTime(services, thread, [fd, flags, value, old]);
    },
  },
  {
    number: 87,
    name: 'timerfd_gettime',
    args: ['fd', 'pointer'],
    *run({ mm }, thread, [fd, value]) {
      const file = timerOf(thread, fd);
      return typeof file === 'number' ? file : yield* writeWords(mm, thread, value, settingWords(file));
    },
  },
];
