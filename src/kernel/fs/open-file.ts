/**
 * Open files: what a descriptor stands for. Several descriptors, of several processes, may share one.
 *
 * Ref. struct file and struct file_operations of Linux.
 */
import {
  EBADF,
  EINVAL,
  EISDIR,
  ENOTDIR,
  ENOTTY,
  ESPIPE,
  type MaySleep,
  type Mutex,
  type Waiter,
  type WaitList,
} from '../contexts/index.js';
import {
  O_ACCMODE,
  O_APPEND,
  O_NOATIME,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
  SEEK_CUR,
  SEEK_DATA,
  SEEK_END,
  SEEK_HOLE,
  SEEK_SET,
} from './abi.js';
import { Directory, type Inode, MAX_FILE_SIZE, type RegularFile } from './inode.js';

/** What a call that may sleep, or need not, gives. */
export type Io<T> = MaySleep<T> | T;

/** The answer, waiting for it where that is needed. */
export function* settle<T>(io: Io<T>): MaySleep<T> {
  return isPending(io) ? yield* io : io;
}

const isPending = <T>(io: Io<T>): io is MaySleep<T> =>
  typeof io === 'object' && io !== null && 'next' in io && 'throw' in io;

/** struct fown_struct. */
export interface FileOwner {
  readonly kind: 'thread' | 'process' | 'group';
  readonly id: number;
  /** Whose it is to send signals. */
  readonly uid: number;
  readonly euid: number;
}

export abstract class OpenFile {
  readonly inode: Inode;
  /** O_* as fcntl(F_GETFL) gives them. */
  flags: number;
  /** For /proc/PID/fd and maps. */
  path: string;
  /** Descriptors and others that hold this file. */
  users = 0;
  /** F_SETOWN and F_SETSIG: who is told of events, and by which signal; 0: SIGIO. */
  signalOwner: FileOwner | undefined;
  signal = 0;
  /** O_ASYNC: ends it. */
  stopTelling: (() => void) | undefined;
  /** The name it was opened by, for who watches the folder. */
  place: Inode['place'];
  /** Told when the last user is gone (epoll's watches of this file). */
  readonly onRelease = new Set<() => void>();

  constructor(inode: Inode, flags: number, path: string) {
    this.inode = inode;
    this.flags = flags;
    this.path = path;
  }

  get readable(): boolean {
    return (this.flags & O_PATH) === 0 && (this.flags & O_ACCMODE) !== O_WRONLY;
  }

  get writable(): boolean {
    return (this.flags & O_PATH) === 0 && (this.flags & O_ACCMODE) !== O_RDONLY;
  }

  /** At most `count` bytes, or a negative errno. `offset`: pread; undefined: where the file is. */
  abstract read(waiter: Waiter, count: number, offset?: number): Io<Uint8Array | number>;
  /** Bytes written, or a negative errno. */
  abstract write(waiter: Waiter, data: Uint8Array, offset?: number): Io<number>;

  /** POLL* bits that hold now. */
  poll(): number {
    return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
  }

  /** file_can_poll(): whether it is ever anything but ready. */
  get pollable(): boolean {
    return true;
  }

  /** Lists that are woken when `poll` may give more. */
  get waitLists(): readonly WaitList[] {
    return [];
  }

  seek(_offset: number, _whence: number): number {
    return -ESPIPE;
  }

  /** ioctl(2): the answer's bytes for what the argument points at, or a negative errno. */
  ioctl(_request: number): Uint8Array | number {
    return -ENOTTY;
  }

  /** Where it is, for files that have positions. */
  get offset(): number {
    const position = this.seek(0, SEEK_CUR);
    return position < 0 ? 0 : position;
  }

  /** Lines of /proc/PID/fdinfo beside those that all files have. */
  get info(): string {
    return '';
  }

  /** A descriptor of a process is closed: `owner` is that process's table. */
  flush(_owner: object): void {}

  /** The last user is gone. */
  release(): void {}
}

/** A regular file or another with positions. */
export class RegularOpenFile extends OpenFile {
  declare readonly inode: RegularFile;
  /** f_pos_lock: who reads or writes where the file is does so alone. */
  readonly positionLock: Mutex;
  #position = 0;

  constructor(inode: RegularFile, flags: number, path: string) {
    super(inode, flags, path);
    inode.opens++;
    if (this.writable) inode.writers++;
    this.positionLock = inode.store.newPositionLock();
  }

  *read(_waiter: Waiter, count: number, offset?: number): MaySleep<Uint8Array | number> {
    if (!this.readable) return -EBADF;
    const bytes = yield* this.inode.read(offset ?? this.#position, count);
    if (count > 0 && (this.flags & O_NOATIME) === 0) this.inode.accessed(this.inode.store.now());
    if (offset === undefined) this.#position += bytes.length;
    return bytes;
  }

  /** Where a write goes: `offset` of pwrite, or where the file is; with O_APPEND always the end. */
  writePosition(offset: number | undefined): number {
    return (this.flags & O_APPEND) !== 0 ? this.inode.size : (offset ?? this.#position);
  }

  *write(_waiter: Waiter, data: Uint8Array, offset?: number): MaySleep<number> {
    if (!this.writable) return -EBADF;
    const { inode } = this;
    yield* inode.lock.lock();
    // The end that O_APPEND goes to is that of the file as no other writer changes it.
    const at = this.writePosition(offset);
    const written = yield* inode.write(at, data);
    inode.lock.unlock();
    if (written > 0 && offset === undefined) this.#position = at + written;
    return written;
  }

  override get pollable(): boolean {
    return false;
  }

  override seek(offset: number, whence: number): number {
    const position =
      whence === SEEK_DATA || whence === SEEK_HOLE
        ? this.inode.seek(offset, whence === SEEK_DATA)
        : seekPosition(offset, whence, this.#position, this.inode.size);
    if (position >= 0) this.#position = position;
    return position;
  }

  override release(): void {
    this.inode.opens--;
    if (this.writable) this.inode.writers--;
    this.inode.forgetIfUnused();
  }
}

/** The new position, or -EINVAL. */
export function seekPosition(offset: number, whence: number, now: number, size: number): number {
  const base = whence === SEEK_SET ? 0 : whence === SEEK_CUR ? now : whence === SEEK_END ? size : Number.NaN;
  const position = base + offset;
  return position >= 0 && position <= MAX_FILE_SIZE ? position : -EINVAL;
}

/** What getdents64 lists. */
export interface DirectoryEntry {
  readonly name: string;
  readonly inode: Inode;
}

export class OpenDirectory extends OpenFile {
  declare readonly inode: Directory;
  /** Taken at the first read: a directory that changes meanwhile does not shift. */
  #listing: readonly DirectoryEntry[] | undefined;
  position = 0;

  constructor(inode: Directory, flags: number, path: string) {
    super(inode, flags, path);
  }

  get listing(): readonly DirectoryEntry[] {
    this.#listing ??= this.#list();
    return this.#listing;
  }

  #list(): DirectoryEntry[] {
    const directory = this.inode;
    const entries: DirectoryEntry[] = [
      { name: '.', inode: directory },
      { name: '..', inode: directory.parent },
    ];
    for (const name of directory.names()) {
      const inode = directory.lookup(name);
      if (inode !== undefined) entries.push({ name, inode });
    }
    return entries;
  }

  read(): Io<Uint8Array | number> {
    return -EISDIR;
  }

  write(): Io<number> {
    return -EBADF;
  }

  override get pollable(): boolean {
    return false;
  }

  override seek(offset: number, whence: number): number {
    const position = seekPosition(offset, whence, this.position, this.listing.length);
    if (position >= 0) this.position = position;
    if (position === 0) this.#listing = undefined;
    return position;
  }
}

/** O_PATH: a place in the tree, for *at calls and fstat only. */
export class PathFile extends OpenFile {
  read(): Io<Uint8Array | number> {
    return -EBADF;
  }

  write(): Io<number> {
    return -EBADF;
  }

  override seek(): number {
    return -EBADF;
  }
}

/** What a write to a file of /proc or /sys does: 0 or a negative errno. */
export type Store = (text: string) => Io<number>;

/** A file whose content is made when it is opened, and that may take writes: /proc and /sys. */
export class GeneratedFile extends OpenFile {
  readonly #content: Uint8Array;
  readonly #store: Store | undefined;
  #position = 0;

  constructor(inode: Inode, flags: number, path: string, content: Uint8Array, store?: Store) {
    super(inode, flags, path);
    this.#content = content;
    this.#store = store;
  }

  read(_waiter: Waiter, count: number, offset?: number): Io<Uint8Array | number> {
    if (!this.readable) return -EBADF;
    const at = offset ?? this.#position;
    const bytes = this.#content.slice(at, at + count);
    if (offset === undefined) this.#position += bytes.length;
    return bytes;
  }

  write(_waiter: Waiter, data: Uint8Array): Io<number> {
    if (!this.writable) return -EBADF;
    if (this.#store === undefined) return -EINVAL;
    const result = this.#store(new TextDecoder().decode(data));
    const written = (error: number) => (error < 0 ? error : data.length);
    if (typeof result === 'number') return written(result);
    return (function* () {
      return written(yield* result);
    })();
  }

  override get pollable(): boolean {
    return false;
  }

  override seek(offset: number, whence: number): number {
    const position = seekPosition(offset, whence, this.#position, this.#content.length);
    if (position >= 0) this.#position = position;
    return position;
  }
}

export const asDirectory = (inode: Inode): Directory | number =>
  inode instanceof Directory ? inode : -ENOTDIR;
