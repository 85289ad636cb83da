/**
 * System calls that move data between descriptors inside the kernel: sendfile, splice, tee, vmsplice,
 * copy_file_range.
 *
 * Pages are copied, not passed on: what a pipe holds does not change when its source does.
 *
 * Ref. fs/splice.c, fs/read_write.c (do_sendfile, vfs_copy_file_range); splice(2), copy_file_range(2).
 */
import {
  EAGAIN,
  EBADF,
  EFAULT,
  EINVAL,
  EISDIR,
  EOVERFLOW,
  EPIPE,
  ESPIPE,
  EXDEV,
  type MaySleep,
} from '../contexts/index.js';
import {
  letGo,
  MAX_FILE_SIZE,
  O_APPEND,
  O_NONBLOCK,
  OpenDirectory,
  type OpenFile,
  PipeEnd,
  RegularOpenFile,
  settle,
} from '../fs/index.js';
import { readUser, SIGNAL, sendToThread, sentSignal, type Thread, writeU64 } from '../process/index.js';
import { COND_RESCHED, PIECE, readStretch, readVectors, writableBytes, writeStretch } from './io.js';
import { fileOf } from './paths.js';
import { count, int, offset, type Syscall, type SyscallServices, uint } from './row.js';

const SPLICE_F_NONBLOCK = 2;
/** MOVE, NONBLOCK, MORE, GIFT. */
const SPLICE_F_ALL = 15;

/** An offset in user memory that the call uses and moves on; undefined: the file's own. */
function* readOffset({ mm }: SyscallServices, thread: Thread, address: bigint): MaySleep<number | undefined> {
  const word = yield* readUser(mm, thread, address, 8);
  return word === undefined ? -EFAULT : (offset(new DataView(word.buffer).getBigUint64(0, true)) ?? -EINVAL);
}

interface Pump {
  readonly from: OpenFile;
  readonly to: OpenFile;
  /** Where to read and write; undefined: where the file is. */
  readonly at: number | undefined;
  readonly toAt: number | undefined;
  readonly bytes: number;
  /** Takes what is there instead of filling the count. */
  readonly once: boolean;
}

/** Moves up to `bytes` bytes; a negative errno where none were. */
function* pump(thread: Thread, { from, to, at, toAt, bytes, once }: Pump): MaySleep<number> {
  let done = 0;
  while (done < bytes) {
    const target = toAt === undefined ? undefined : toAt + done;
    const room = writableBytes(thread, to, Math.min(PIECE, bytes - done), target);
    if (room < 0) return done > 0 ? done : room;
    const data = yield* settle(from.read(thread, room, at === undefined ? at : at + done));
    if (typeof data === 'number') return done > 0 ? done : data;
    if (data.length === 0) return done;
    const written = yield* settle(to.write(thread, data, target));
    if (written < 0) {
      if (written === -EPIPE) sendToThread(thread, sentSignal(SIGNAL.SIGPIPE, 'SI_KERNEL'));
      return done > 0 ? done : written;
    }
    done += written;
    if (written < data.length) {
      // What was read and not written is still there for the next reader.
      if (at === undefined && from instanceof RegularOpenFile) from.seek(written - data.length, 1);
      return done;
    }
    if (once) return done;
    yield COND_RESCHED;
  }
  return done;
}

/** Does `work` with both files held open. */
function* holding(files: readonly OpenFile[], work: MaySleep<number>): MaySleep<number> {
  for (const file of files) file.users++;
  try {
    return yield* work;
  } finally {
    for (const file of files) letGo(file);
  }
}

function* sendFile(
  services: SyscallServices,
  thread: Thread,
  to: OpenFile,
  from: OpenFile,
  position: bigint,
  bytes: number,
): MaySleep<number> {
  let at: number | undefined;
  if (position !== 0n) {
    at = yield* readOffset(services, thread, position);
    if (at === undefined || at < 0) return at ?? -EINVAL;
    if (from.seek(0, 1) === -ESPIPE) return -ESPIPE;
  }
  if ((to.flags & O_APPEND) !== 0) return -EINVAL;
  const done = yield* holding(
    [from, to],
    pump(thread, { from, to, at, toAt: undefined, bytes, once: false }),
  );
  if (at !== undefined && done > 0) {
    const error = yield* writeU64(services.mm, thread, position, BigInt(at + done));
    if (error !== 0) return error;
  }
  return done;
}

/** The end of a pipe that gives bytes, or takes them. */
const pipeOf = (file: OpenFile): PipeEnd | undefined => (file instanceof PipeEnd ? file : undefined);

/** Waits for the pipe as a read or write of it would. */
function* waitForPipe(thread: Thread, end: PipeEnd, reads: boolean, nonblocking: boolean): MaySleep<number> {
  const wait = nonblocking || (end.flags & O_NONBLOCK) !== 0;
  return yield* reads ? end.waitForBytes(thread, wait) : end.waitForRoom(thread, wait);
}

function* splice(
  services: SyscallServices,
  thread: Thread,
  [from, fromOffset]: readonly [OpenFile, bigint],
  [to, toOffset]: readonly [OpenFile, bigint],
  bytes: number,
  flags: number,
): MaySleep<number> {
  const source = pipeOf(from);
  const sink = pipeOf(to);
  if (source === undefined && sink === undefined) return -EINVAL;
  if ((source !== undefined && fromOffset !== 0n) || (sink !== undefined && toOffset !== 0n)) return -ESPIPE;
  if (source !== undefined && source.pipe === sink?.pipe) return -EINVAL;
  let at: number | undefined;
  let toAt: number | undefined;
  for (const [file, address] of [
    [from, fromOffset],
    [to, toOffset],
  ] as const) {
    if (address === 0n) continue;
    if (file.seek(0, 1) === -ESPIPE) return -EINVAL;
    const found = yield* readOffset(services, thread, address);
    if (found === undefined || found < 0) return found ?? -EINVAL;
    if (file === from) at = found;
    else toAt = found;
  }
  if (sink === undefined && (to.flags & O_APPEND) !== 0) return -EINVAL;
  if (from instanceof OpenDirectory || to instanceof OpenDirectory) return -EINVAL;
  const nonblocking = (flags & SPLICE_F_NONBLOCK) !== 0;
  let room = bytes;
  if (source !== undefined) {
    const there = yield* waitForPipe(thread, source, true, nonblocking);
    if (there <= 0) return there;
    room = Math.min(room, there);
  }
  if (sink !== undefined) {
    const free = yield* waitForPipe(thread, sink, false, nonblocking);
    if (free === -EPIPE) sendToThread(thread, sentSignal(SIGNAL.SIGPIPE, 'SI_KERNEL'));
    if (free < 0) return free;
    room = Math.min(room, free);
  }
  const done = yield* pump(thread, { from, to, at, toAt, bytes: room, once: true });
  if (done > 0) {
    if (at !== undefined) yield* writeU64(services.mm, thread, fromOffset, BigInt(at + done));
    if (toAt !== undefined) yield* writeU64(services.mm, thread, toOffset, BigInt(toAt + done));
  }
  return done;
}

/** tee(2): the bytes stay in the first pipe. */
function* tee(thread: Thread, from: OpenFile, to: OpenFile, bytes: number, flags: number): MaySleep<number> {
  const source = pipeOf(from);
  const sink = pipeOf(to);
  if (source === undefined || sink === undefined || source.pipe === sink.pipe) return -EINVAL;
  const nonblocking = (flags & SPLICE_F_NONBLOCK) !== 0;
  const there = yield* waitForPipe(thread, source, true, nonblocking);
  if (there <= 0) return there;
  const free = yield* waitForPipe(thread, sink, false, nonblocking);
  if (free === -EPIPE) sendToThread(thread, sentSignal(SIGNAL.SIGPIPE, 'SI_KERNEL'));
  if (free < 0) return free;
  const data = source.pipe.peek(Math.min(bytes, there, free));
  sink.putNow(data);
  return data.length;
}

/** vmsplice(2): user memory into a pipe, or out of one. */
function* vmsplice(
  services: SyscallServices,
  thread: Thread,
  file: OpenFile,
  vectors: bigint,
  length: bigint,
  flags: number,
): MaySleep<number> {
  const end = pipeOf(file);
  if (end === undefined) return -EBADF;
  const stretches = yield* readVectors(services, thread, vectors, length);
  if (typeof stretches === 'number') return stretches;
  const gives = file.writable;
  let done = 0;
  for (const stretch of stretches) {
    if (stretch.bytes === 0) continue;
    const nonblocking = (flags & SPLICE_F_NONBLOCK) !== 0 || (!gives && done > 0);
    const ready = yield* waitForPipe(thread, end, !gives, nonblocking);
    if (ready === -EPIPE) sendToThread(thread, sentSignal(SIGNAL.SIGPIPE, 'SI_KERNEL'));
    if (ready <= 0) return done > 0 ? done : ready;
    const move = gives ? writeStretch : readStretch;
    const moved = yield* move(services, thread, file, stretch, undefined);
    if (moved < 0) return done > 0 ? done : moved;
    done += moved;
    if (moved < stretch.bytes) break;
  }
  return done;
}

function* copyFileRange(
  services: SyscallServices,
  thread: Thread,
  [from, fromOffset]: readonly [OpenFile, bigint],
  [to, toOffset]: readonly [OpenFile, bigint],
  bytes: number,
): MaySleep<number> {
  if (from instanceof OpenDirectory || to instanceof OpenDirectory) return -EISDIR;
  if (!(from instanceof RegularOpenFile) || !(to instanceof RegularOpenFile)) return -EINVAL;
  if (!from.readable || !to.writable || (to.flags & O_APPEND) !== 0) return -EBADF;
  const offsets: number[] = [];
  for (const [file, address] of [
    [from, fromOffset],
    [to, toOffset],
  ] as const) {
    const found = address === 0n ? file.offset : yield* readOffset(services, thread, address);
    if (found === undefined || found < 0) return found ?? -EINVAL;
    offsets.push(found);
  }
  const [at = 0, toAt = 0] = offsets;
  if (at + bytes > MAX_FILE_SIZE || toAt + bytes > MAX_FILE_SIZE) return -EOVERFLOW;
  if (from.inode.store !== to.inode.store) return -EXDEV;
  const most = Math.min(bytes, Math.max(0, from.inode.size - at));
  if (from.inode === to.inode && at < toAt + most && toAt < at + most) return -EINVAL;
  const done = yield* holding([from, to], pump(thread, { from, to, at, toAt, bytes: most, once: false }));
  if (done <= 0) return done;
  if (fromOffset === 0n) from.seek(at + done, 0);
  else yield* writeU64(services.mm, thread, fromOffset, BigInt(at + done));
  if (toOffset === 0n) to.seek(toAt + done, 0);
  else yield* writeU64(services.mm, thread, toOffset, BigInt(toAt + done));
  return done;
}

export const spliceSyscalls: readonly Syscall[] = [
  {
    number: 71,
    name: 'sendfile',
    args: ['fd', 'fd', 'pointer', 'unsigned'],
    *run(services, thread, [out, input, position, bytes]) {
      const to = fileOf(thread, out);
      const from = fileOf(thread, input);
      if (to?.writable !== true || from?.readable !== true) return -EBADF;
      if ((to.flags & O_NONBLOCK) !== 0 && to.poll() === 0) return -EAGAIN;
      return yield* sendFile(services, thread, to, from, position, count(bytes));
    },
  },
  {
    number: 75,
    name: 'vmsplice',
    args: ['fd', 'pointer', 'unsigned', 'hex'],
    *run(services, thread, [fd, vectors, length, flags]) {
      if ((uint(flags) & ~SPLICE_F_ALL) !== 0) return -EINVAL;
      const file = fileOf(thread, fd);
      if (file === undefined || (!file.readable && !file.writable)) return -EBADF;
      return yield* holding([file], vmsplice(services, thread, file, vectors, length, uint(flags)));
    },
  },
  {
    number: 76,
    name: 'splice',
    args: ['fd', 'pointer', 'fd', 'pointer', 'unsigned', 'hex'],
    *run(services, thread, [input, inputOffset, out, outOffset, bytes, flags]) {
      if (bytes === 0n) return 0;
      if ((uint(flags) & ~SPLICE_F_ALL) !== 0) return -EINVAL;
      const from = fileOf(thread, input);
      const to = fileOf(thread, out);
      if (from?.readable !== true || to?.writable !== true) return -EBADF;
      return yield* holding(
        [from, to],
        splice(services, thread, [from, inputOffset], [to, outOffset], count(bytes), uint(flags)),
      );
    },
  },
  {
    number: 77,
    name: 'tee',
    args: ['fd', 'fd', 'unsigned', 'hex'],
    *run(_services, thread, [input, out, bytes, flags]) {
      if ((uint(flags) & ~SPLICE_F_ALL) !== 0) return -EINVAL;
      if (bytes === 0n) return 0;
      const from = fileOf(thread, input);
      const to = fileOf(thread, out);
      if (from?.readable !== true || to?.writable !== true) return -EBADF;
      return yield* holding([from, to], tee(thread, from, to, count(bytes), uint(flags)));
    },
  },
  {
    number: 285,
    name: 'copy_file_range',
    args: ['fd', 'pointer', 'fd', 'pointer', 'unsigned', 'hex'],
    *run(services, thread, [input, inputOffset, out, outOffset, bytes, flags]) {
      if (int(flags) !== 0) return -EINVAL;
      const from = fileOf(thread, input);
      const to = fileOf(thread, out);
      if (from === undefined || to === undefined) return -EBADF;
      return yield* copyFileRange(services, thread, [from, inputOffset], [to, outOffset], count(bytes));
    },
  },
];
