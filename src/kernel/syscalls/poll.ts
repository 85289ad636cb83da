/**
 * Waiting on several files: ppoll and pselect6.
 *
 * Ref. fs/select.c.
 */
import {
  EBADF,
  EFAULT,
  EINTR,
  EINVAL,
  ERESTARTNOHAND,
  type MaySleep,
  type WaitList,
} from '../contexts/index.js';
import {
  MOST_DESCRIPTORS,
  type OpenFile,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  POLLPRI,
  POLLRDNORM,
  POLLWRNORM,
} from '../fs/index.js';
import { readU64, readUser, type Thread, writeUser } from '../process/index.js';
import { int, type Syscall, type SyscallServices } from './row.js';
import { useMask } from './signals.js';
import { readTimespec, sleepUntil } from './sleeping.js';

/** A descriptor, what is waited for, and what came. */
interface Polled {
  readonly file: OpenFile | undefined;
  readonly fd: number;
  readonly events: number;
  revents: number;
}

/** poll(): fills in what holds; true if anything does. */
function look(polled: readonly Polled[]): boolean {
  let any = false;
  for (const each of polled) {
    if (each.fd < 0) each.revents = 0;
    else if (each.file === undefined) each.revents = POLLNVAL;
    else each.revents = each.file.poll() & (each.events | POLLERR | POLLHUP);
    if (each.revents !== 0) any = true;
  }
  return any;
}

function* wait(
  services: SyscallServices,
  thread: Thread,
  polled: readonly Polled[],
  timeout: bigint,
): MaySleep<number | undefined> {
  let deadline: bigint | undefined;
  if (timeout !== 0n) {
    const time = yield* readTimespec(services, thread, timeout);
    if (typeof time === 'number') return time;
    deadline = services.clock.monotonic + time;
  }
  const lists = new Set<WaitList>();
  for (const { file } of polled) for (const list of file?.waitLists ?? []) lists.add(list);
  const ended = yield* sleepUntil(services, thread, deadline, [...lists], () => look(polled));
  return ended === 'signal' ? -ERESTARTNOHAND : undefined;
}

/** The mask of the call's duration goes where no signal came; with one, sigreturn brings it back. */
export function restoreMask(thread: Thread, result: number): void {
  if (thread.savedMask === undefined || result === -ERESTARTNOHAND || result === -EINTR) return;
  const mask = thread.savedMask;
  thread.savedMask = undefined;
  thread.setBlocked(mask);
}

function* poll(
  services: SyscallServices,
  thread: Thread,
  address: bigint,
  count: number,
  timeout: bigint,
): MaySleep<number> {
  const { mm } = services;
  const { files } = thread.process;
  const bytes = yield* readUser(mm, thread, address, 8 * count);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer);
  const polled = Array.from({ length: count }, (_, i): Polled => {
    const fd = view.getInt32(8 * i, true);
    return { fd, file: files.get(fd), events: view.getUint16(8 * i + 4, true), revents: 0 };
  });
  const error = yield* wait(services, thread, polled, timeout);
  if (error !== undefined) return error;
  polled.forEach(({ revents }, i) => {
    view.setUint16(8 * i + 6, revents, true);
  });
  const failed = yield* writeUser(mm, thread, address, bytes);
  return failed === 0 ? polled.filter(({ revents }) => revents !== 0).length : failed;
}

const READ_SET = POLLIN | POLLRDNORM | POLLHUP | POLLERR;
const WRITE_SET = POLLOUT | POLLWRNORM | POLLERR;

function* select(
  services: SyscallServices,
  thread: Thread,
  count: number,
  sets: readonly [bigint, bigint, bigint],
  timeout: bigint,
): MaySleep<number> {
  const { mm } = services;
  const { files } = thread.process;
  const size = Math.ceil(count / 64) * 8;
  const masks = [READ_SET, WRITE_SET, POLLPRI];
  const images: (Uint8Array | undefined)[] = [];
  const polled: (Polled & { readonly set: number })[] = [];
  for (const [set, address] of sets.entries()) {
    if (address === 0n) {
      images.push(undefined);
      continue;
    }
    const bytes = yield* readUser(mm, thread, address, size);
    if (bytes === undefined) return -EFAULT;
    images.push(bytes);
    for (let fd = 0; fd < count; fd++) {
      if (((bytes[fd >>> 3]! >>> (fd & 7)) & 1) === 0) continue;
      const file = files.get(fd);
      if (file === undefined) return -EBADF;
      polled.push({ fd, file, events: masks[set]!, revents: 0, set });
    }
  }
  const error = yield* wait(services, thread, polled, timeout);
  if (error !== undefined) return error;
  let total = 0;
  for (const image of images) image?.fill(0);
  for (const { fd, revents, events, set } of polled) {
    if ((revents & events) === 0) continue;
    images[set]![fd >>> 3]! |= 1 << (fd & 7);
    total++;
  }
  for (const [set, image] of images.entries()) {
    if (image === undefined) continue;
    const failed = yield* writeUser(mm, thread, sets[set]!, image);
    if (failed !== 0) return failed;
  }
  return total;
}

export const pollSyscalls: readonly Syscall[] = [
  {
    number: 72,
    name: 'pselect6',
    args: ['int', 'pointer', 'pointer', 'pointer', 'pointer', 'pointer'],
    *run(services, thread, [count, read, write, except, timeout, mask]) {
      const descriptors = int(count);
      if (descriptors < 0) return -EINVAL;
      if (mask !== 0n) {
        const set = yield* readU64(services.mm, thread, mask);
        const size = yield* readU64(services.mm, thread, mask + 8n);
        if (set === undefined || size === undefined) return -EFAULT;
        if (set !== 0n && size !== 8n) return -EINVAL;
        const error = yield* useMask(services, thread, set);
        if (error !== 0) return error;
      }
      const most = Math.min(descriptors, 4 * MOST_DESCRIPTORS);
      const result = yield* select(services, thread, most, [read, write, except], timeout);
      restoreMask(thread, result);
      return result;
    },
  },
  {
    number: 73,
    name: 'ppoll',
    args: ['pointer', 'unsigned', 'pointer', 'pointer', 'unsigned'],
    *run(services, thread, [address, count, timeout, mask, size]) {
      if (count > BigInt(4 * MOST_DESCRIPTORS)) return -EINVAL;
      if (mask !== 0n && size !== 8n) return -EINVAL;
      const error = yield* useMask(services, thread, mask);
      if (error !== 0) return error;
      const result = yield* poll(services, thread, address, Number(count), timeout);
      restoreMask(thread, result);
      return result;
    },
  },
];
