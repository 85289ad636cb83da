/**
 * kcmp: whether two processes share a resource, and an order of resources that tells nothing else about them.
 *
 * Ref. kernel/kcmp.c of Linux 6.8, kcmp(2).
 */
import { EBADF, EFAULT, EINVAL, ENOENT, EPERM, ESRCH, type MaySleep } from '../contexts/index.js';
import { EventPoll } from '../fs/index.js';
import { ptraceMayAccess, readUser, type Thread } from '../process/index.js';
import { int, type Syscall, type SyscallArguments, type SyscallServices } from './row.js';

const KCMP = { FILE: 0, VM: 1, FILES: 2, FS: 3, SIGHAND: 4, IO: 5, SYSVSEM: 6, EPOLL_TFD: 7 } as const;

const ORDER = new WeakMap<object, number>();
let last = 0;

/** Its place among all that was ever compared. */
function placeOf(thing: object): number {
  let place = ORDER.get(thing);
  if (place === undefined) {
    place = ++last;
    ORDER.set(thing, place);
  }
  return place;
}

/** kcmp_ptr(): 0 for the same, 1 where the first comes before the second, else 2. */
function compare(a: object, b: object): number {
  if (a === b) return 0;
  return placeOf(a) < placeOf(b) ? 1 : 2;
}

/** The file that a struct kcmp_epoll_slot means: which of those that an epoll of `thread` watches. */
function* watchedFile(
  { mm }: SyscallServices,
  caller: Thread,
  thread: Thread,
  slot: bigint,
): MaySleep<object | number> {
  const bytes = yield* readUser(mm, caller, slot, 12);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const epoll = thread.process.files.get(view.getInt32(0, true));
  if (epoll === undefined) return -EBADF;
  if (!(epoll instanceof EventPoll)) return -EINVAL;
  return epoll.watched(view.getInt32(4, true), view.getUint32(8, true)) ?? -ENOENT;
}

function* kcmp(
  services: SyscallServices,
  caller: Thread,
  [pid1, pid2, type, index1, index2]: SyscallArguments,
): MaySleep<number> {
  const one = services.table.thread(int(pid1));
  const two = services.table.thread(int(pid2));
  if (one === undefined || two === undefined) return -ESRCH;
  if (!ptraceMayAccess(caller, one) || !ptraceMayAccess(caller, two)) return -EPERM;
  const [a, b] = [one.process, two.process];
  switch (int(type)) {
    case KCMP.FILE: {
      const [first, second] = [a.files.get(int(index1)), b.files.get(int(index2))];
      return first === undefined || second === undefined ? -EBADF : compare(first, second);
    }
    case KCMP.VM:
      return compare(a.space.as, b.space.as);
    case KCMP.FILES:
      return compare(a.files, b.files);
    case KCMP.FS:
      return compare(a.fs, b.fs);
    case KCMP.SIGHAND:
      return compare(a.actions, b.actions);
    // Contexts of I/O do not exist; lists of undone semaphore operations are the processes' own.
    case KCMP.IO:
      return 0;
    case KCMP.SYSVSEM:
      return compare(a, b);
    case KCMP.EPOLL_TFD: {
      const first = a.files.get(int(index1));
      if (first === undefined) return -EBADF;
      const second = yield* watchedFile(services, caller, two, index2);
      return typeof second === 'number' ? second : compare(first, second);
    }
    default:
      return -EINVAL;
  }
}

export const kcmpSyscalls: readonly Syscall[] = [
  {
    number: 272,
    name: 'kcmp',
    args: ['int', 'int', 'int', 'hex', 'hex'],
    *run(services, thread, args) {
      return yield* kcmp(services, thread, args);
    },
  },
];
