/**
 * System calls of file locks: flock, and the lock commands of fcntl.
 *
 * Ref. fs/locks.c (flock_to_posix_lock, fcntl_getlk, fcntl_setlk, flock); fcntl(2), flock(2).
 */
import { EBADF, EFAULT, EINVAL, EOVERFLOW, type MaySleep } from '../contexts/index.js';
import {
  F_RDLCK,
  F_UNLCK,
  F_WRLCK,
  type FileLock,
  letGo,
  O_PATH,
  OFFSET_MAX,
  type OpenFile,
} from '../fs/index.js';
import { readUser, type Thread, writeUser } from '../process/index.js';
import { fileOf } from './paths.js';
import { int, type Syscall, type SyscallServices } from './row.js';

/** Lock commands of fcntl. */
export const LOCK_COMMAND = {
  GETLK: 5,
  SETLK: 6,
  SETLKW: 7,
  OFD_GETLK: 36,
  OFD_SETLK: 37,
  OFD_SETLKW: 38,
} as const;
const LOCK = { SH: 1, EX: 2, NB: 4, UN: 8 } as const;
/** struct flock of arm64. */
const FLOCK_BYTES = 32;

/** flock_to_posix_lock(): first and last byte, or a negative errno. */
function rangeOf(view: DataView, file: OpenFile): readonly [bigint, bigint] | number {
  const whence = view.getInt16(2, true);
  const offset = view.getBigInt64(8, true);
  const length = view.getBigInt64(16, true);
  const position = file.seek(0, 1);
  const base = [0n, BigInt(Math.max(0, position)), BigInt(file.inode.size)][whence];
  if (base === undefined) return -EINVAL;
  if (offset > OFFSET_MAX - base) return -EOVERFLOW;
  const start = base + offset;
  if (start < 0n) return -EINVAL;
  if (length > 0n) return length - 1n > OFFSET_MAX - start ? -EOVERFLOW : [start, start + length - 1n];
  if (length === 0n) return [start, OFFSET_MAX];
  return start + length < 0n ? -EINVAL : [start + length, start - 1n];
}

/** One of LOCK_COMMAND. */
export function* lockCommand(
  services: SyscallServices,
  thread: Thread,
  file: OpenFile,
  command: number,
  address: bigint,
): MaySleep<number> {
  const { mm, files } = services;
  const bytes = yield* readUser(mm, thread, address, FLOCK_BYTES);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer);
  const type = view.getInt16(0, true);
  const isOfd = command >= LOCK_COMMAND.OFD_GETLK;
  if (isOfd && view.getInt32(24, true) !== 0) return -EINVAL;
  const asks = command === LOCK_COMMAND.GETLK || command === LOCK_COMMAND.OFD_GETLK;
  if (type !== F_RDLCK && type !== F_WRLCK && (type !== F_UNLCK || asks)) return -EINVAL;
  const range = rangeOf(view, file);
  if (typeof range === 'number') return range;
  const [start, end] = range;
  const kind = isOfd ? 'ofd' : 'posix';
  const owner = isOfd ? file : thread.process.files;
  const locks = files.locks.of(file.inode);
  if (type === F_UNLCK) {
    locks.unlock(kind, owner, start, end);
    return 0;
  }
  const wanted: FileLock = { kind, type, start, end, owner, pid: isOfd ? -1 : thread.process.pid };
  if (asks) return yield* answer(services, thread, address, bytes, locks.inTheWay(wanted));
  if (type === F_RDLCK ? !file.readable : !file.writable) return -EBADF;
  const waits = command === LOCK_COMMAND.SETLKW || command === LOCK_COMMAND.OFD_SETLKW;
  file.users++;
  const result = yield* locks.lock(wanted, waits, thread);
  letGo(file);
  // Closed meanwhile by another thread: the lock would outlive every descriptor.
  if (
    result === 0 &&
    ![...thread.process.files.numbers].some((fd) => thread.process.files.get(fd) === file)
  ) {
    locks.unlock(kind, owner, start, end);
    return -EBADF;
  }
  return result;
}

/** F_GETLK's answer: the lock in the way, or F_UNLCK with the rest as it was. */
function* answer(
  { mm }: SyscallServices,
  thread: Thread,
  address: bigint,
  asked: Uint8Array,
  found: FileLock | undefined,
): MaySleep<number> {
  const bytes = asked.slice();
  const view = new DataView(bytes.buffer);
  if (found === undefined) {
    view.setInt16(0, F_UNLCK, true);
  } else {
    view.setInt16(0, found.type, true);
    view.setInt16(2, 0, true);
    view.setBigInt64(8, found.start, true);
    view.setBigInt64(16, found.end === OFFSET_MAX ? 0n : found.end - found.start + 1n, true);
    view.setInt32(24, found.pid, true);
  }
  return yield* writeUser(mm, thread, address, bytes);
}

export const lockSyscalls: readonly Syscall[] = [
  {
    number: 32,
    name: 'flock',
    args: ['fd', 'int'],
    *run({ files }, thread, [fd, operation]) {
      const file = fileOf(thread, fd);
      const what = int(operation) & ~LOCK.NB;
      if (what !== LOCK.SH && what !== LOCK.EX && what !== LOCK.UN) return -EINVAL;
      if (file === undefined || (file.flags & O_PATH) !== 0) return -EBADF;
      const locks = files.locks.of(file.inode);
      if (what === LOCK.UN) {
        locks.unlock('flock', file);
        return 0;
      }
      file.users++;
      const wanted: FileLock = {
        kind: 'flock',
        type: what === LOCK.EX ? F_WRLCK : F_RDLCK,
        start: 0n,
        end: OFFSET_MAX,
        owner: file,
        pid: thread.process.pid,
      };
      const result = yield* locks.lock(wanted, (int(operation) & LOCK.NB) === 0, thread);
      letGo(file);
      return result;
    },
  },
];
