/**
 * System calls that move data through descriptors: read and write in all their forms.
 *
 * Ref. fs/read_write.c: what was moved before an error is the result; the error only where nothing was.
 */
import {
  EBADF,
  EFAULT,
  EFBIG,
  EINVAL,
  EOPNOTSUPP,
  EPIPE,
  ESPIPE,
  immediately,
  type MaySleep,
  type Mutex,
  sleepPoint,
} from '../contexts/index.js';
import {
  dropSetIds,
  IN,
  letGo,
  O_NONBLOCK,
  OpenDirectory,
  type OpenFile,
  PipeEnd,
  POLLIN,
  RegularOpenFile,
  settle,
} from '../fs/index.js';
import {
  RLIMIT,
  readSome,
  readUser,
  SIGNAL,
  sendToThread,
  sentSignal,
  type Thread,
  writeSome,
} from '../process/index.js';
import { fileOf } from './paths.js';
import { count, int, long, offset, type Syscall, type SyscallServices, uint } from './row.js';

/** Copied in pieces, so that a huge count does not ask the host for a huge buffer at once. */
export const PIECE = 1 << 16;
/** UIO_MAXIOV. */
const MOST_VECTORS = 1024;

export const COND_RESCHED = sleepPoint('cond_resched');

/** One stretch of user memory. */
export interface Stretch {
  readonly address: bigint;
  readonly bytes: number;
}

/** import_iovec(): the stretches, or a negative errno. */
export function* readVectors(
  { mm }: SyscallServices,
  thread: Thread,
  address: bigint,
  vectors: bigint,
): MaySleep<Stretch[] | number> {
  if (vectors > BigInt(MOST_VECTORS)) return -EINVAL;
  const bytes = yield* readUser(mm, thread, address, 16 * Number(vectors));
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer);
  const stretches: Stretch[] = [];
  let room = 0x7ffff000;
  for (let i = 0; i < Number(vectors); i++) {
    const length = view.getBigUint64(16 * i + 8, true);
    if (long(length) < 0n) return -EINVAL;
    const taken = Math.min(room, count(length));
    room -= taken;
    stretches.push({ address: view.getBigUint64(16 * i, true), bytes: taken });
  }
  return stretches;
}

/**
 * generic_write_check_limits(): how much of `bytes` RLIMIT_FSIZE allows, or -EFBIG with SIGXFSZ where it
 * allows none.
 */
export function writableBytes(thread: Thread, file: OpenFile, bytes: number, at: number | undefined): number {
  const most = thread.process.limits.soft(RLIMIT.FSIZE);
  if (bytes === 0 || most === Number.POSITIVE_INFINITY || !(file instanceof RegularOpenFile)) return bytes;
  const start = file.writePosition(at);
  if (start < most) return Math.min(bytes, most - start);
  sendToThread(thread, sentSignal(SIGNAL.SIGXFSZ, 'SI_USER', { pid: thread.process.pid, uid: 0 }));
  return -EFBIG;
}

/** Writes one stretch; stops at a short write. */
export function* writeStretch(
  { mm }: SyscallServices,
  thread: Thread,
  file: OpenFile,
  stretch: Stretch,
  at: number | undefined,
): MaySleep<number> {
  let done = 0;
  for (;;) {
    const piece = Math.min(PIECE, stretch.bytes - done);
    const room = writableBytes(thread, file, piece, at === undefined ? undefined : at + done);
    if (room < 0) return done > 0 ? done : room;
    const data = yield* readSome(mm, thread, stretch.address + BigInt(done), room);
    if (data.length === 0 && piece > 0) return done > 0 ? done : -EFAULT;
    const written = yield* settle(file.write(thread, data, at === undefined ? undefined : at + done));
    if (written < 0) {
      if (written === -EPIPE) {
        sendToThread(thread, sentSignal(SIGNAL.SIGPIPE, 'SI_KERNEL'));
      }
      return done > 0 ? done : written;
    }
    done += written;
    if (written < data.length || data.length < piece || done >= stretch.bytes) return done;
    yield COND_RESCHED;
  }
}

export function* readStretch(
  { mm }: SyscallServices,
  thread: Thread,
  file: OpenFile,
  stretch: Stretch,
  at: number | undefined,
): MaySleep<number> {
  let done = 0;
  for (;;) {
    // What is there is taken; only the first piece waits.
    if (done > 0 && (file.poll() & POLLIN) === 0) return done;
    const piece = Math.min(PIECE, stretch.bytes - done);
    const data = yield* settle(file.read(thread, piece, at === undefined ? undefined : at + done));
    if (typeof data === 'number') return done > 0 ? done : data;
    const written = yield* writeSome(mm, thread, stretch.address + BigInt(done), data);
    done += written;
    if (written < data.length) return done > 0 ? done : -EFAULT;
    if (data.length < piece || done >= stretch.bytes) return done;
    yield COND_RESCHED;
  }
}

type Move = typeof readStretch;

/** fdget_pos(): the lock of the file's position, where somebody else may be at it. */
function positionLockOf({ process }: Thread, file: OpenFile): Mutex | undefined {
  const isShared = file.users > 1 || process.threads.size > 1 || process.files.users > 1;
  return isShared && file instanceof RegularOpenFile ? file.positionLock : undefined;
}

/** Several stretches, up to the first that is not moved whole. */
export function* moveAll(
  services: SyscallServices,
  thread: Thread,
  file: OpenFile,
  stretches: readonly Stretch[],
  at: number | undefined,
  move: Move,
): MaySleep<number> {
  const { io } = thread.process;
  const isRead = move === readStretch;
  if (isRead) io.syscr++;
  else io.syscw++;
  const lock = at === undefined ? positionLockOf(thread, file) : undefined;
  // The file stays open while the call sleeps, whatever other threads close.
  file.users++;
  if (lock !== undefined) yield* lock.lock();
  let done = 0;
  try {
    for (const stretch of stretches) {
      if (stretch.bytes === 0 && stretches.length > 1) continue;
      if (done > 0 && move === readStretch && (file.poll() & POLLIN) === 0) break;
      const result = yield* move(services, thread, file, stretch, at === undefined ? undefined : at + done);
      if (result < 0) return done > 0 ? done : result;
      done += result;
      if (result < stretch.bytes) break;
    }
    return done;
  } finally {
    if (isRead) io.rchar += done;
    else io.wchar += done;
    // Pipes tell nobody.
    const isGuarded = !isRead && done > 0 && !services.files.caller.keepsSetId;
    // file_remove_privs(): what others can write does not run as its owner.
    if (isGuarded && file instanceof RegularOpenFile) dropSetIds(file.inode);
    if (done > 0 && !(file instanceof PipeEnd)) {
      services.files.notifier.inode(file.inode, isRead ? IN.ACCESS : IN.MODIFY, file.place);
    }
    lock?.unlock();
    letGo(file);
  }
}

function positionError(file: OpenFile): number {
  // A file without positions says so when asked where it is.
  return file instanceof OpenDirectory || file.seek(0, 1) !== -ESPIPE ? 0 : -ESPIPE;
}

const allowed = (file: OpenFile | undefined, move: Move): file is OpenFile =>
  file !== undefined && (move === readStretch ? file.readable : file.writable);

/** read, write and their p forms. */
function transfer(number: number, name: string, move: Move, positioned: boolean): Syscall {
  return {
    number,
    name,
    args: ['fd', 'buffer', 'unsigned', ...(positioned ? (['int'] as const) : [])],
    *run(services, thread, [fd, buffer, bytes, position]) {
      const file = fileOf(thread, fd);
      if (!allowed(file, move)) return -EBADF;
      if (long(bytes) < 0n) return -EINVAL;
      let at: number | undefined;
      if (positioned) {
        at = offset(position);
        if (at === undefined) return -EINVAL;
        const error = positionError(file);
        if (error !== 0) return error;
      }
      return yield* moveAll(services, thread, file, [{ address: buffer, bytes: count(bytes) }], at, move);
    },
  };
}

/** readv, writev and their p forms; the p forms of arm64 have the offset in one register. */
function vectored(
  number: number,
  name: string,
  move: Move,
  positioned: 'no' | 'yes' | 'with flags',
): Syscall {
  const withFlags = positioned === 'with flags';
  const more = { no: [], yes: ['int'], 'with flags': ['int', 'int', 'hex'] } as const;
  return {
    number,
    name,
    args: ['fd', 'pointer', 'unsigned', ...more[positioned]],
    *run(services, thread, [fd, vectors, length, position, , flags]) {
      const file = fileOf(thread, fd);
      if (file === undefined) return -EBADF;
      let at: number | undefined;
      // Only the forms with flags take -1 for where the file is.
      if (positioned !== 'no' && !(withFlags && long(position) === -1n)) {
        at = offset(position);
        if (at === undefined) return -EINVAL;
        const error = positionError(file);
        if (error !== 0) return error;
      }
      if (!allowed(file, move)) return -EBADF;
      const stretches = yield* readVectors(services, thread, vectors, length);
      if (typeof stretches === 'number') return stretches;
      if (!withFlags || uint(flags) === 0) return yield* moveAll(services, thread, file, stretches, at, move);
      return yield* withRwf(file, uint(flags), move, (place) =>
        moveAll(services, thread, file, stretches, place ?? at, move),
      );
    },
  };
}

/** RWF_*: of preadv2 and pwritev2. */
const RWF = { HIPRI: 1, DSYNC: 2, SYNC: 4, NOWAIT: 8, APPEND: 16 } as const;
const RWF_ALL = 31;

/** kiocb_set_rw_flags(): one call as if the file had been opened otherwise. */
function* withRwf(
  file: OpenFile,
  flags: number,
  move: Move,
  run: (at: number | undefined) => MaySleep<number>,
): MaySleep<number> {
  if ((flags & ~RWF_ALL) !== 0) return -EOPNOTSUPP;
  const isRegular = file instanceof RegularOpenFile;
  // Only what can say that it would wait takes RWF_NOWAIT: a pipe or socket here.
  if ((flags & RWF.NOWAIT) !== 0 && isRegular) return -EOPNOTSUPP;
  const before = file.flags;
  if ((flags & RWF.NOWAIT) !== 0) file.flags |= O_NONBLOCK;
  const end = (flags & RWF.APPEND) !== 0 && move === writeStretch && isRegular ? file.inode.size : undefined;
  const done = yield* run(end);
  if ((flags & RWF.NOWAIT) !== 0) file.flags = (file.flags & ~O_NONBLOCK) | (before & O_NONBLOCK);
  if ((flags & (RWF.DSYNC | RWF.SYNC)) !== 0 && done > 0 && isRegular) {
    const error = yield* file.inode.sync();
    if (error !== 0) return error;
  }
  return done;
}

export const ioSyscalls: readonly Syscall[] = [
  {
    number: 62,
    name: 'lseek',
    args: ['fd', 'int', 'int'],
    run(_services, thread, [fd, position, whence]) {
      const file = fileOf(thread, fd);
      if (file === undefined) return -EBADF;
      const at = long(position);
      if (at > BigInt(Number.MAX_SAFE_INTEGER) || at < -BigInt(Number.MAX_SAFE_INTEGER)) return -EINVAL;
      const lock = positionLockOf(thread, file);
      if (lock?.held !== true) return file.seek(Number(at), int(whence));
      return lock.hold(() => immediately(file.seek(Number(at), int(whence))));
    },
  },
  transfer(63, 'read', readStretch, false),
  transfer(64, 'write', writeStretch, false),
  vectored(65, 'readv', readStretch, 'no'),
  vectored(66, 'writev', writeStretch, 'no'),
  transfer(67, 'pread64', readStretch, true),
  transfer(68, 'pwrite64', writeStretch, true),
  vectored(69, 'preadv', readStretch, 'yes'),
  vectored(70, 'pwritev', writeStretch, 'yes'),
  vectored(286, 'preadv2', readStretch, 'with flags'),
  vectored(287, 'pwritev2', writeStretch, 'with flags'),
];
