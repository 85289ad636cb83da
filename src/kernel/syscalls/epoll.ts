/**
 * epoll_create1, epoll_ctl, epoll_pwait and epoll_pwait2.
 *
 * Ref. fs/eventpoll.c; struct epoll_event of arm64 is 16 bytes, events first, data at 8.
 */
import { EBADF, EFAULT, EINTR, EINVAL, type MaySleep } from '../contexts/index.js';
import { EventPoll, O_CLOEXEC, O_PATH, SpecialFile } from '../fs/index.js';
import { readUser, type Thread, writeUser } from '../process/index.js';
import { fileOf } from './paths.js';
import { restoreMask } from './poll.js';
import { int, type Syscall, type SyscallServices } from './row.js';
import { useMask } from './signals.js';
import { readTimespec, sleepUntil } from './sleeping.js';

const CTL = { ADD: 1, DEL: 2, MOD: 3 } as const;
const EVENT_BYTES = 16;
/** EP_MAX_EVENTS. */
const MOST_EVENTS = Math.floor(0x7fffffff / EVENT_BYTES);
/** What one call copies at most; more come with the next call. */
const MOST_AT_ONCE = 4096;

function* wait(
  services: SyscallServices,
  thread: Thread,
  [fd, address, most]: readonly [bigint, bigint, bigint],
  timeout: bigint | undefined,
): MaySleep<number> {
  if (int(most) <= 0 || int(most) > MOST_EVENTS) return -EINVAL;
  const file = fileOf(thread, fd);
  if (file === undefined) return -EBADF;
  if (!(file instanceof EventPoll)) return -EINVAL;
  const deadline = timeout === undefined ? undefined : services.clock.monotonic + timeout;
  const ended = yield* sleepUntil(services, thread, deadline, file.waitLists, () => file.poll() !== 0);
  // Never restarted, whatever SA_RESTART says.
  if (ended === 'signal') return -EINTR;
  const events = file.take(Math.min(int(most), MOST_AT_ONCE));
  const bytes = new Uint8Array(EVENT_BYTES * events.length);
  const view = new DataView(bytes.buffer);
  events.forEach(({ events: bits, data }, i) => {
    view.setUint32(EVENT_BYTES * i, bits >>> 0, true);
    view.setBigUint64(EVENT_BYTES * i + 8, data, true);
  });
  const error = yield* writeUser(services.mm, thread, address, bytes);
  return error === 0 ? events.length : error;
}

function* masked(
  services: SyscallServices,
  thread: Thread,
  mask: bigint,
  size: bigint,
  wanted: MaySleep<number>,
): MaySleep<number> {
  if (mask !== 0n && size !== 8n) return -EINVAL;
  const error = yield* useMask(services, thread, mask);
  if (error !== 0) return error;
  const result = yield* wanted;
  restoreMask(thread, result);
  return result;
}

export const epollSyscalls: readonly Syscall[] = [
  {
    number: 20,
    name: 'epoll_create1',
    args: ['hex'],
    run({ files }, thread, [flags]) {
      if ((int(flags) & ~O_CLOEXEC) !== 0) return -EINVAL;
      const inode = new SpecialFile(files.nextInode(), 0o600, () => -EINVAL);
      return thread.process.files.add(new EventPoll(inode), (int(flags) & O_CLOEXEC) !== 0);
    },
  },
  {
    number: 21,
    name: 'epoll_ctl',
    args: ['fd', 'int', 'fd', 'pointer'],
    *run({ mm }, thread, [epfd, operation, fd, event]) {
      const what = int(operation);
      let events = 0;
      let data = 0n;
      if (what !== CTL.DEL) {
        const bytes = yield* readUser(mm, thread, event, EVENT_BYTES);
        if (bytes === undefined) return -EFAULT;
        const view = new DataView(bytes.buffer);
        events = view.getInt32(0, true);
        data = view.getBigUint64(8, true);
      }
      const poll = fileOf(thread, epfd);
      const file = fileOf(thread, fd);
      if (poll === undefined || file === undefined) return -EBADF;
      // fdget() does not see what only stands for a path.
      if (((poll.flags | file.flags) & O_PATH) !== 0) return -EBADF;
      if (!(poll instanceof EventPoll) || file === poll) return -EINVAL;
      switch (what) {
        case CTL.ADD:
          return poll.add(file, int(fd), events, data);
        case CTL.MOD:
          return poll.modify(file, int(fd), events, data);
        case CTL.DEL:
          return poll.remove(file, int(fd));
        default:
          return -EINVAL;
      }
    },
  },
  {
    number: 22,
    name: 'epoll_pwait',
    args: ['fd', 'pointer', 'int', 'int', 'pointer', 'unsigned'],
    *run(services, thread, [fd, address, most, timeout, mask, size]) {
      const milliseconds = int(timeout);
      const limit = milliseconds < 0 ? undefined : BigInt(milliseconds) * 1_000_000n;
      const wanted = wait(services, thread, [fd, address, most], limit);
      return yield* masked(services, thread, mask, size, wanted);
    },
  },
  {
    number: 441,
    name: 'epoll_pwait2',
    args: ['fd', 'pointer', 'int', 'pointer', 'pointer', 'unsigned'],
    *run(services, thread, [fd, address, most, timeout, mask, size]) {
      let limit: bigint | undefined;
      if (timeout !== 0n) {
        const time = yield* readTimespec(services, thread, timeout);
        if (typeof time === 'number') return time;
        limit = time;
      }
      const wanted = wait(services, thread, [fd, address, most], limit);
      return yield* masked(services, thread, mask, size, wanted);
    },
  },
];
