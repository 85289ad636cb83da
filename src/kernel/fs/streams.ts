/**
 * Files that are not kept anywhere: the host's streams, /dev/null and its relatives.
 */
import type { Random } from '../../base/index.js';
import { EBADF, EIO, ENOSPC, type MaySleep, type Waiter } from '../contexts/index.js';
import { O_RDONLY, O_WRONLY, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from './abi.js';
import type { Inode } from './inode.js';
import { type Io, OpenFile, settle } from './open-file.js';

/** Guest input: bytes, at most as many as asked for; an empty array at the end. May block the host. */
export type InputStream = (count: number) => Uint8Array;
export type OutputStream = (bytes: Uint8Array) => void;

/** Standard input: what the host gives. It looks like a pipe. */
export class HostInput extends OpenFile {
  readonly #input: InputStream | undefined;
  #ended = false;

  constructor(inode: Inode, input: InputStream | undefined) {
    super(inode, O_RDONLY, `pipe:[${inode.ino}]`);
    this.#input = input;
  }

  read(_waiter: Waiter, count: number): Io<Uint8Array | number> {
    if (!this.readable) return -EBADF;
    if (count === 0 || this.#ended || this.#input === undefined) return new Uint8Array();
    const bytes = this.#input(Math.min(count, 65536));
    if (bytes.length === 0) this.#ended = true;
    return bytes;
  }

  write(): Io<number> {
    return -EBADF;
  }

  override poll(): number {
    return this.#ended || this.#input === undefined ? POLLIN | POLLHUP : POLLIN | POLLRDNORM;
  }
}

/** Standard output or error. */
export class HostOutput extends OpenFile {
  readonly #output: OutputStream;

  constructor(inode: Inode, output: OutputStream) {
    super(inode, O_WRONLY, `pipe:[${inode.ino}]`);
    this.#output = output;
  }

  read(): Io<Uint8Array | number> {
    return -EBADF;
  }

  write(_waiter: Waiter, data: Uint8Array): Io<number> {
    if (!this.writable) return -EBADF;
    if (data.length > 0) this.#output(data);
    return data.length;
  }

  override poll(): number {
    return POLLOUT | POLLWRNORM;
  }
}

/** /dev/null, zero, full, random and urandom. */
export class DeviceFile extends OpenFile {
  readonly #kind: 'null' | 'zero' | 'full' | 'random';
  readonly #random: Random;

  constructor(
    inode: Inode,
    flags: number,
    path: string,
    kind: 'null' | 'zero' | 'full' | 'random',
    random: Random,
  ) {
    super(inode, flags, path);
    this.#kind = kind;
    this.#random = random;
  }

  override get pollable(): boolean {
    return this.#kind === 'random';
  }

  read(_waiter: Waiter, count: number): Io<Uint8Array | number> {
    if (!this.readable) return -EBADF;
    if (this.#kind === 'null') return new Uint8Array();
    const bytes = new Uint8Array(count);
    if (this.#kind === 'random') for (let i = 0; i < count; i++) bytes[i] = this.#random.u32() & 0xff;
    return bytes;
  }

  write(_waiter: Waiter, data: Uint8Array): Io<number> {
    if (!this.writable) return -EBADF;
    return this.#kind === 'full' ? -ENOSPC : data.length;
  }

  override seek(): number {
    return 0;
  }
}

/**
 * Reads and writes what belongs to an address: /proc/PID/mem and pagemap. `atEnd`: what a read answers where there
 * is nothing.
 */
export class MemoryFile extends OpenFile {
  readonly #read: (address: number, count: number) => Io<Uint8Array | number>;
  readonly #write: (address: number, data: Uint8Array) => Io<number>;
  readonly #atEnd: number;
  #position = 0;

  constructor(
    inode: Inode,
    flags: number,
    path: string,
    read: (address: number, count: number) => Io<Uint8Array | number>,
    write: (address: number, data: Uint8Array) => Io<number>,
    atEnd = -EIO,
  ) {
    super(inode, flags, path);
    this.#atEnd = atEnd;
    this.#read = read;
    this.#write = write;
  }

  *read(_waiter: Waiter, count: number, offset?: number): MaySleep<Uint8Array | number> {
    if (!this.readable) return -EBADF;
    const at = offset ?? this.#position;
    const bytes = yield* settle(this.#read(at, Math.min(count, 1 << 20)));
    if (typeof bytes === 'number') return bytes;
    if (bytes.length === 0 && count > 0 && this.#atEnd !== 0) return this.#atEnd;
    if (offset === undefined) this.#position += bytes.length;
    return bytes;
  }

  *write(_waiter: Waiter, data: Uint8Array, offset?: number): MaySleep<number> {
    if (!this.writable) return -EBADF;
    const at = offset ?? this.#position;
    const written = yield* settle(this.#write(at, data));
    if (written === 0 && data.length > 0) return -EIO;
    if (offset === undefined) this.#position += written;
    return written;
  }

  override seek(offset: number, whence: number): number {
    const position = whence === 0 ? offset : whence === 1 ? this.#position + offset : -1;
    if (position < 0) return -EIO;
    this.#position = position;
    return position;
  }
}
