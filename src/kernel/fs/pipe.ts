/**
 * Pipes, and event counters (eventfd).
 *
 * Ref. fs/pipe.c, pipe(7): writes of up to PIPE_BUF bytes are whole; fs/eventfd.c.
 */
import {
  EAGAIN,
  EBADF,
  EINVAL,
  EPIPE,
  ERESTARTSYS,
  type MaySleep,
  type Waiter,
  WaitList,
  waitFor,
} from '../contexts/index.js';
import {
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from './abi.js';
import type { Inode } from './inode.js';
import { OpenFile } from './open-file.js';

/** Bytes a pipe holds unless it is told otherwise: 16 pages of 4 KiB. */
const CAPACITY = 65536;
const PIPE_BUF = 4096;

export class Pipe {
  readonly #chunks: Uint8Array[] = [];
  #length = 0;
  /** F_SETPIPE_SZ. */
  capacity = CAPACITY;
  readers = 0;
  writers = 0;
  /** Ends opened so far (r_counter, w_counter). */
  readersEver = 0;
  writersEver = 0;
  readonly changed = new WaitList();

  get length(): number {
    return this.#length;
  }

  get room(): number {
    return Math.max(0, this.capacity - this.#length);
  }

  /** The first bytes, which stay. */
  peek(count: number): Uint8Array {
    const out = new Uint8Array(Math.min(count, this.#length));
    let done = 0;
    for (const chunk of this.#chunks) {
      const part = chunk.subarray(0, out.length - done);
      out.set(part, done);
      done += part.length;
      if (done === out.length) break;
    }
    return out;
  }

  take(count: number): Uint8Array {
    const out = new Uint8Array(Math.min(count, this.#length));
    for (let done = 0; done < out.length; ) {
      const first = this.#chunks[0]!;
      const part = first.subarray(0, out.length - done);
      out.set(part, done);
      done += part.length;
      if (part.length === first.length) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(part.length);
    }
    this.#length -= out.length;
    return out;
  }

  put(data: Uint8Array): void {
    if (data.length === 0) return;
    this.#chunks.push(data.slice());
    this.#length += data.length;
  }
}

export class PipeEnd extends OpenFile {
  readonly pipe: Pipe;
  /** Without a writer since this reader came, there is nobody who could have hung up (f_version). */
  #writersBefore = -1;

  /** `flags`: O_RDONLY or O_WRONLY say which end; O_RDWR, on a FIFO, is both. */
  constructor(inode: Inode, flags: number, path: string, pipe: Pipe) {
    super(inode, flags, path);
    this.pipe = pipe;
    if (this.readable) {
      pipe.readers++;
      pipe.readersEver++;
    }
    if (this.writable) {
      pipe.writers++;
      pipe.writersEver++;
    }
    pipe.changed.wake();
  }

  /**
   * fifo_open(): one end waits for the other, which sees it already. 0, or -ERESTARTSYS, with the end still to be
   * released.
   */
  *waitForPartner(waiter: Waiter): MaySleep<number> {
    const { pipe } = this;
    if (this.readable && this.writable) return 0;
    const partners = () => (this.readable ? pipe.writersEver : pipe.readersEver);
    if ((this.readable ? pipe.writers : pipe.readers) > 0) return 0;
    const before = partners();
    if ((this.flags & O_NONBLOCK) !== 0) {
      if (this.readable) this.#writersBefore = before;
      return 0;
    }
    const woken = yield* waitFor(waiter, [pipe.changed], () => partners() !== before);
    return woken ? 0 : -ERESTARTSYS;
  }

  *read(waiter: Waiter, count: number): MaySleep<Uint8Array | number> {
    const { pipe } = this;
    if (!this.readable) return -EBADF;
    if (count === 0) return new Uint8Array();
    if (pipe.length === 0 && pipe.writers > 0) {
      if ((this.flags & O_NONBLOCK) !== 0) return -EAGAIN;
      const woken = yield* waitFor(waiter, [pipe.changed], () => pipe.length > 0 || pipe.writers === 0);
      if (!woken) return -ERESTARTSYS;
    }
    const bytes = pipe.take(count);
    pipe.changed.wake(POLLOUT | POLLWRNORM);
    return bytes;
  }

  /** -EPIPE: the caller sends SIGPIPE. */
  *write(waiter: Waiter, data: Uint8Array): MaySleep<number> {
    const { pipe } = this;
    if (!this.writable) return -EBADF;
    // A write of PIPE_BUF bytes or less waits until there is room for all of it.
    const whole = data.length <= PIPE_BUF ? data.length : 1;
    let done = 0;
    while (done < data.length) {
      if (pipe.readers === 0) return done > 0 ? done : -EPIPE;
      if (pipe.room < whole) {
        if ((this.flags & O_NONBLOCK) !== 0) return done > 0 ? done : -EAGAIN;
        const woken = yield* waitFor(waiter, [pipe.changed], () => pipe.room >= whole || pipe.readers === 0);
        if (!woken) return done > 0 ? done : -ERESTARTSYS;
        continue;
      }
      const part = data.subarray(done, done + pipe.room);
      pipe.put(part);
      done += part.length;
      pipe.changed.wake(POLLIN | POLLRDNORM);
    }
    return done;
  }

  /** How much can be read, waiting for some; 0 at the end, or -EAGAIN, -ERESTARTSYS. */
  *waitForBytes(waiter: Waiter, nonblocking: boolean): MaySleep<number> {
    const { pipe } = this;
    if (pipe.length === 0 && pipe.writers > 0) {
      if (nonblocking) return -EAGAIN;
      const woken = yield* waitFor(waiter, [pipe.changed], () => pipe.length > 0 || pipe.writers === 0);
      if (!woken) return -ERESTARTSYS;
    }
    return pipe.length;
  }

  /** How much can be written, waiting for room; or -EPIPE, -EAGAIN, -ERESTARTSYS. */
  *waitForRoom(waiter: Waiter, nonblocking: boolean): MaySleep<number> {
    const { pipe } = this;
    if (pipe.room === 0 && pipe.readers > 0) {
      if (nonblocking) return -EAGAIN;
      const woken = yield* waitFor(waiter, [pipe.changed], () => pipe.room > 0 || pipe.readers === 0);
      if (!woken) return -ERESTARTSYS;
    }
    return pipe.readers === 0 ? -EPIPE : pipe.room;
  }

  /** Bytes for which there is room. */
  putNow(data: Uint8Array): void {
    this.pipe.put(data);
    this.pipe.changed.wake(POLLIN | POLLRDNORM);
  }

  override poll(): number {
    const { pipe } = this;
    let bits = 0;
    if (this.readable) {
      if (pipe.length > 0) bits |= POLLIN | POLLRDNORM;
      if (pipe.writers === 0 && pipe.writersEver !== this.#writersBefore) bits |= POLLHUP;
    }
    if (this.writable) {
      if (pipe.room >= PIPE_BUF) bits |= POLLOUT | POLLWRNORM;
      if (pipe.readers === 0) bits |= POLLERR;
    }
    return bits;
  }

  override get waitLists(): readonly WaitList[] {
    return [this.pipe.changed];
  }

  override ioctl(request: number): Uint8Array | number {
    if (request !== FIONREAD) return super.ioctl(request);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, this.pipe.length, true);
    return bytes;
  }

  override release(): void {
    if (this.readable) this.pipe.readers--;
    if (this.writable) this.pipe.writers--;
    this.pipe.changed.wake();
  }
}

export const FIONREAD = 0x541b;

/** Both ends of a new pipe. */
export function makePipe(inode: Inode, flags: number): readonly [read: PipeEnd, write: PipeEnd] {
  const pipe = new Pipe();
  const path = `pipe:[${inode.ino}]`;
  return [new PipeEnd(inode, O_RDONLY | flags, path, pipe), new PipeEnd(inode, O_WRONLY | flags, path, pipe)];
}

/** The largest count an eventfd holds. */
const EVENT_MAX = 0xfffffffffffffffen;

export class EventCounter extends OpenFile {
  #count: bigint;
  readonly #semaphore: boolean;
  readonly #changed = new WaitList();

  constructor(inode: Inode, flags: number, initial: number, semaphore: boolean) {
    super(inode, O_RDWR | flags, 'anon_inode:[eventfd]');
    this.#count = BigInt(initial);
    this.#semaphore = semaphore;
  }

  override get info(): string {
    return `eventfd-count: ${this.#count.toString(16).padStart(16)}\n`;
  }

  *read(waiter: Waiter, count: number): MaySleep<Uint8Array | number> {
    if (count < 8) return -EINVAL;
    if (this.#count === 0n) {
      if ((this.flags & O_NONBLOCK) !== 0) return -EAGAIN;
      if (!(yield* waitFor(waiter, [this.#changed], () => this.#count > 0n))) return -ERESTARTSYS;
    }
    const taken = this.#semaphore ? 1n : this.#count;
    this.#count -= taken;
    this.#changed.wake(POLLOUT | POLLWRNORM);
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, taken, true);
    return bytes;
  }

  *write(waiter: Waiter, data: Uint8Array): MaySleep<number> {
    if (data.length < 8) return -EINVAL;
    const added = new DataView(data.buffer, data.byteOffset).getBigUint64(0, true);
    if (added > EVENT_MAX) return -EINVAL;
    if (this.#count + added > EVENT_MAX) {
      if ((this.flags & O_NONBLOCK) !== 0) return -EAGAIN;
      const woken = yield* waitFor(waiter, [this.#changed], () => this.#count + added <= EVENT_MAX);
      if (!woken) return -ERESTARTSYS;
    }
    this.#count += added;
    this.#changed.wake(POLLIN | POLLRDNORM);
    return 8;
  }

  /** eventfd_signal(): one more, without waiting; at the most it stays. */
  countUp(): void {
    if (this.#count < EVENT_MAX) this.#count += 1n;
    this.#changed.wake(POLLIN | POLLRDNORM);
  }

  override poll(): number {
    return (
      (this.#count > 0n ? POLLIN | POLLRDNORM : 0) | (this.#count < EVENT_MAX ? POLLOUT | POLLWRNORM : 0)
    );
  }

  override get waitLists(): readonly WaitList[] {
    return [this.#changed];
  }
}
