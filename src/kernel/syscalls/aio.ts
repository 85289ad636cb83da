/**
 * System calls of asynchronous I/O. Reads, writes and syncs are done when they are submitted, as buffered ones are on
 * Linux; polls wait.
 *
 * Ref. fs/aio.c (io_submit_one, aio_read, aio_poll, do_io_getevents); include/uapi/linux/aio_abi.h.
 */
import { VA } from '../../base/index.js';
import { EAGAIN, EBADF, EFAULT, EINPROGRESS, EINTR, EINVAL, type MaySleep } from '../contexts/index.js';
import { EventCounter, letGo, type OpenFile, RegularOpenFile } from '../fs/index.js';
import {
  AIO_MAX_NR,
  AioContext,
  type Process,
  readU32,
  readU64,
  readUser,
  type Thread,
  writeU32,
  writeUser,
  writeWords,
} from '../process/index.js';
import { moveAll, readStretch, readVectors, writeStretch } from './io.js';
import { fileOf } from './paths.js';
import { count, long, offset, type Syscall, type SyscallServices, uint } from './row.js';
import { readTimespec, sleepUntil } from './sleeping.js';

const IOCB_BYTES = 64;
const EVENT_BYTES = 32;
const RING_HEADER = 32;
/** IOCB_CMD_*. */
const COMMAND = { PREAD: 0, PWRITE: 1, FSYNC: 2, FDSYNC: 3, POLL: 5, PREADV: 7, PWRITEV: 8 } as const;
const IOCB_FLAG_RESFD = 1;
const IOCB_FLAG_IOPRIO = 2;
/** What a ring can describe: 2^28 bytes of events. */
const MOST_EVENTS = 2 ** 28 / EVENT_BYTES;
/** PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS. */
const RING_PROT = 3;
const RING_FLAGS = 0x21;

interface Request {
  /** Where the iocb is. */
  readonly at: bigint;
  readonly data: bigint;
  readonly command: number;
  readonly file: OpenFile;
  readonly buffer: bigint;
  readonly bytes: bigint;
  readonly offset: bigint;
  /** Who is told too. */
  readonly counter: EventCounter | undefined;
}

const contextsOf = ({ space }: Process): Map<bigint, AioContext> => {
  space.aio ??= new Map();
  return space.aio;
};

function* setup(
  services: SyscallServices,
  thread: Thread,
  events: bigint,
  address: bigint,
): MaySleep<number> {
  const { mm } = services;
  const { process } = thread;
  const before = yield* readU64(mm, thread, address);
  if (before === undefined) return -EFAULT;
  const most = uint(events);
  if (before !== 0n || most === 0 || most > MOST_EVENTS) return -EINVAL;
  const contexts = contextsOf(process);
  const used = [...contexts.values()].reduce((sum, context) => sum + context.most, 0);
  if (used + most > AIO_MAX_NR) return -EAGAIN;
  const ringBytes = Math.ceil((RING_HEADER + EVENT_BYTES * (most + 2)) / mm.pageSize) * mm.pageSize;
  const ring = yield* mm.mmap(process.mm, {
    addr: VA(0n),
    length: ringBytes,
    prot: RING_PROT,
    flags: RING_FLAGS,
    name: '/[aio] (deleted)',
  });
  if (ring < 0) return ring;
  const id = BigInt(ring);
  const error = yield* writeWords(mm, thread, address, [id]);
  if (error !== 0) {
    yield* mm.munmap(process.mm, VA(id), ringBytes);
    return error;
  }
  contexts.set(id, new AioContext(most, ringBytes));
  return 0;
}

/** The checks of io_submit_one(), and what is asked for. */
function* requestAt({ mm }: SyscallServices, thread: Thread, at: bigint): MaySleep<Request | number> {
  const bytes = yield* readUser(mm, thread, at, IOCB_BYTES);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const length = view.getBigUint64(32, true);
  const flags = view.getUint32(56, true);
  if (view.getBigUint64(48, true) !== 0n || long(length) < 0n) return -EINVAL;
  const file = fileOf(thread, BigInt(view.getUint32(20, true)));
  if (file === undefined) return -EBADF;
  const tells = (flags & IOCB_FLAG_RESFD) !== 0;
  const counter = tells ? fileOf(thread, BigInt(view.getUint32(60, true))) : undefined;
  if (tells && counter === undefined) return -EBADF;
  if (counter !== undefined && !(counter instanceof EventCounter)) return -EINVAL;
  if ((flags & ~(IOCB_FLAG_RESFD | IOCB_FLAG_IOPRIO)) !== 0) return -EINVAL;
  // KIOCB_KEY, by which io_cancel knows one of ours.
  const error = yield* writeU32(mm, thread, at + 8n, 0);
  if (error !== 0) return error;
  return {
    at,
    data: view.getBigUint64(0, true),
    command: view.getUint16(16, true),
    file,
    buffer: view.getBigUint64(24, true),
    bytes: length,
    offset: view.getBigUint64(40, true),
    counter,
  };
}

/** aio_read(), aio_write(): a negative errno where it is not even begun. */
function* transfer(services: SyscallServices, thread: Thread, request: Request): MaySleep<number | bigint> {
  const { command, file, buffer, bytes } = request;
  const reads = command === COMMAND.PREAD || command === COMMAND.PREADV;
  if (reads ? !file.readable : !file.writable) return -EBADF;
  const isVector = command === COMMAND.PREADV || command === COMMAND.PWRITEV;
  const stretches = isVector
    ? yield* readVectors(services, thread, buffer, bytes)
    : [{ address: buffer, bytes: count(bytes) }];
  if (typeof stretches === 'number') return stretches;
  const isPositioned = file instanceof RegularOpenFile;
  const at = isPositioned ? offset(request.offset) : undefined;
  if (isPositioned && at === undefined) return -EINVAL;
  const done = yield* moveAll(services, thread, file, stretches, at, reads ? readStretch : writeStretch);
  // Nobody starts a request again.
  return BigInt(done <= -512 ? -EINTR : done);
}

/** aio_poll(): done at once where it holds already. */
function poll(context: AioContext, request: Request): number {
  const { at, data, file, buffer, counter } = request;
  if (request.offset !== 0n || request.bytes !== 0n || buffer > 0xffffn) return -EINVAL;
  const wanted = Number(buffer) | 0x18;
  const stops: (() => void)[] = [];
  const finish = (result: bigint) => {
    for (const stop of stops) stop();
    if (!context.pending.delete(at)) return;
    letGo(file);
    if (context.gone) return;
    context.complete({ data, object: at, result });
    counter?.countUp();
  };
  file.users++;
  context.pending.set(at, { finish });
  // aio_poll_wake(): what whoever wakes says, asked for or not.
  const woken = (events: number) => {
    const now = file.poll() & events;
    if ((now & wanted) !== 0) finish(BigInt(now));
  };
  for (const list of file.waitLists) stops.push(list.listen(woken));
  const now = file.poll() & wanted;
  if (now !== 0) finish(BigInt(now));
  return 0;
}

function* submitOne(
  services: SyscallServices,
  thread: Thread,
  context: AioContext,
  at: bigint,
): MaySleep<number> {
  const request = yield* requestAt(services, thread, at);
  if (typeof request === 'number') return request;
  if (context.full) return -EAGAIN;
  const { command, file, counter } = request;
  if (command === COMMAND.POLL) return poll(context, request);
  let result: number | bigint;
  if (command === COMMAND.FSYNC || command === COMMAND.FDSYNC) {
    if (!(file instanceof RegularOpenFile)) return -EINVAL;
    result = BigInt(yield* file.inode.sync());
  } else if (
    ([COMMAND.PREAD, COMMAND.PWRITE, COMMAND.PREADV, COMMAND.PWRITEV] as number[]).includes(command)
  ) {
    result = yield* transfer(services, thread, request);
  } else {
    return -EINVAL;
  }
  if (typeof result === 'number') return result;
  context.complete({ data: request.data, object: at, result });
  counter?.countUp();
  return 0;
}

function* submit(
  services: SyscallServices,
  thread: Thread,
  id: bigint,
  number: bigint,
  address: bigint,
): MaySleep<number> {
  const context = contextsOf(thread.process).get(id);
  if (context === undefined || long(number) < 0n) return -EINVAL;
  let done = 0;
  for (; BigInt(done) < number && done < context.most; done++) {
    const at = yield* readU64(services.mm, thread, address + 8n * BigInt(done));
    const error = at === undefined ? -EFAULT : yield* submitOne(services, thread, context, at);
    if (error !== 0) return done > 0 ? done : error;
  }
  return done;
}

function* getEvents(
  services: SyscallServices,
  thread: Thread,
  [id, least, most]: readonly [bigint, bigint, bigint],
  address: bigint,
  timeout: bigint,
): MaySleep<number> {
  let deadline: bigint | undefined;
  if (timeout !== 0n) {
    const time = yield* readTimespec(services, thread, timeout);
    if (typeof time === 'number') return time;
    deadline = services.clock.monotonic + time;
  }
  const context = contextsOf(thread.process).get(id);
  if (context === undefined || long(least) < 0n || long(least) > long(most)) return -EINVAL;
  const { events } = context;
  const come = () => context.gone || BigInt(events.length) >= least;
  const ended = yield* sleepUntil(services, thread, deadline, [context.changed], come);
  let done = 0;
  while (events.length > 0 && BigInt(done) < most) {
    const event = events[0]!;
    const words = [event.data, event.object, BigInt.asUintN(64, event.result), 0n];
    const bytes = new Uint8Array(BigUint64Array.from(words).buffer);
    const error = yield* writeUser(services.mm, thread, address + BigInt(EVENT_BYTES * done), bytes);
    if (error !== 0) return done > 0 ? done : error;
    if (events[0] === event) events.shift();
    done++;
  }
  return done === 0 && ended === 'signal' ? -EINTR : done;
}

export const aioSyscalls: readonly Syscall[] = [
  {
    number: 0,
    name: 'io_setup',
    args: ['unsigned', 'pointer'],
    *run(services, thread, [events, address]) {
      return yield* setup(services, thread, events, address);
    },
  },
  {
    number: 1,
    name: 'io_destroy',
    args: ['hex'],
    *run({ mm }, thread, [id]) {
      const contexts = contextsOf(thread.process);
      const context = contexts.get(id);
      if (context === undefined) return -EINVAL;
      contexts.delete(id);
      context.destroy();
      yield* mm.munmap(thread.process.mm, VA(id), context.ringBytes);
      return 0;
    },
  },
  {
    number: 2,
    name: 'io_submit',
    args: ['hex', 'int', 'pointer'],
    *run(services, thread, [id, number, address]) {
      return yield* submit(services, thread, id, number, address);
    },
  },
  {
    number: 3,
    name: 'io_cancel',
    args: ['hex', 'pointer', 'pointer'],
    *run({ mm }, thread, [id, at]) {
      const key = yield* readU32(mm, thread, at + 8n);
      if (key === undefined) return -EFAULT;
      const pending = key === 0 ? contextsOf(thread.process).get(id)?.pending.get(at) : undefined;
      if (pending === undefined) return -EINVAL;
      // Its event says that nothing happened; the call itself gives none any more.
      pending.finish(0n);
      return -EINPROGRESS;
    },
  },
  {
    number: 4,
    name: 'io_getevents',
    args: ['hex', 'int', 'int', 'pointer', 'pointer'],
    *run(services, thread, [id, least, most, address, timeout]) {
      return yield* getEvents(services, thread, [id, least, most], address, timeout);
    },
  },
];
