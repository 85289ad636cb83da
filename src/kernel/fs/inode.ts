/**
 * Inodes: directories, regular files, symbolic links and what only looks like a file.
 *
 * A directory or file may stand for one of the host that is read when it is first needed; from then on
 * it is the guest's own, and nothing is ever written back.
 */
import { bytesOfText } from '../../base/index.js';
import { EFBIG, EINVAL, ENOSPC, ENXIO, EPERM, type MaySleep, type Mutex } from '../contexts/index.js';
import type { MappableFile } from '../mm/index.js';
import { F_SEAL, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './abi.js';
import type { FileStore } from './file-store.js';
import type { InodeLocks } from './locks.js';
import type { OpenFile } from './open-file.js';

/** The largest offset a file may reach: 2^43 - 1 keeps sums exact. */
export const MAX_FILE_SIZE = 2 ** 43 - 1;
const DAY = 86_400_000_000_000n;
/** Bytes of a host's file copied at once. */
const COPY_PIECE = 1 << 16;

export abstract class Inode {
  readonly ino: number;
  /** Type and permission bits. */
  mode: number;
  uid = 0;
  gid = 0;
  links = 1;
  /** Nanoseconds since 1970. */
  times = { access: 0n, modify: 0n, change: 0n };
  /** Extended attributes, where it ever had some. */
  attributes: Map<string, Uint8Array> | undefined;
  /** flock and fcntl locks, where it ever had some. */
  locks: InodeLocks | undefined;
  /** The name by which it was last found or made (inotify's idea of a dentry); not kept of what nobody may watch. */
  place: { readonly parent: Directory; readonly name: string } | undefined;
  /** st_rdev of devices. */
  readonly device: number = 0;

  constructor(ino: number, mode: number) {
    this.ino = ino;
    this.mode = mode;
  }

  get type(): number {
    return this.mode & S_IFMT;
  }

  get size(): number {
    return 0;
  }

  /** Where the contents are, for what has some. */
  get store(): FileStore | undefined {
    return undefined;
  }

  /** st_blocks: units of 512 bytes. */
  get blocks(): number {
    return 0;
  }

  /** touch_atime() as relatime has it: where it would be before the last change, or a day old. */
  accessed(now: bigint): void {
    const { access, modify, change } = this.times;
    if (this.store?.readOnly === true) return;
    if (access > modify && access > change && now - access < DAY) return;
    this.times = { ...this.times, access: now };
  }
}

/** The content of a file of the host, before it is the guest's own. */
export interface HostContent {
  readonly size: number;
  readonly load: () => Uint8Array;
}

export class RegularFile extends Inode {
  readonly #store: FileStore;
  /** i_rwsem: one writes or truncates at a time. */
  readonly lock: Mutex;
  #file: MappableFile;
  /** Still the host's: pages are read from there and nothing is written. */
  #fromHost: boolean;
  /** F_SEAL_*; sealing itself is sealed of whatever memfd_create did not make for it. */
  seals: number = F_SEAL.SEAL;
  /** O_TMPFILE without O_EXCL: linkat may give it its first name. */
  linkable = false;
  /** Open files: without a name and without these the content is given back. */
  opens = 0;
  /** Those that can write (i_writecount). */
  writers = 0;
  /** Told when it is. */
  onGone: (() => void) | undefined;

  constructor(ino: number, permissions: number, store: FileStore, name: string, host?: HostContent) {
    super(ino, S_IFREG | permissions);
    this.#store = store;
    this.lock = store.newLock();
    this.#fromHost = host !== undefined;
    let loaded: Uint8Array | undefined;
    this.#file = store.newFile(
      host === undefined
        ? { name, size: 0 }
        : {
            name,
            size: host.size,
            read(offset, length) {
              loaded ??= host.load();
              return loaded.subarray(offset, offset + length);
            },
          },
    );
  }

  override get size(): number {
    return this.#file.size;
  }

  override get store(): FileStore {
    return this.#store;
  }

  /** fsync(2): 0 or -EIO. */
  sync(): MaySleep<number> {
    return this.#store.sync(this.#file);
  }

  override get blocks(): number {
    return this.#fromHost || this.#store.onDisk ? Math.ceil(this.size / 512) : this.#file.cachedPages * 8;
  }

  /** For mmap; `write` is a shared mapping that may be written. */
  *mappable(write: boolean): MaySleep<MappableFile> {
    if (write) yield* this.#makeOwn();
    return this.#file;
  }

  /** The host's file becomes one of memory, with the same bytes. */
  *#makeOwn(): MaySleep<void> {
    if (!this.#fromHost) return;
    const from = this.#file;
    const own = this.#store.newFile({ name: from.name, size: 0 });
    for (let at = 0; at < from.size; at += COPY_PIECE) {
      const data = yield* this.#store.read(from, at, COPY_PIECE);
      if (data.length === 0 || (yield* this.#store.write(own, at, data)) < data.length) break;
    }
    if (!this.#fromHost) {
      this.#store.discard(own);
      return;
    }
    this.#file = own;
    this.#fromHost = false;
    this.#store.discard(from);
  }

  read(offset: number, count: number): MaySleep<Uint8Array> {
    return this.#store.read(this.#file, offset, count);
  }

  /** F_SEAL_GROW: bytes that can be written, page by page as shmem_write_begin() has it. */
  #beforeSeal(offset: number, bytes: number): number {
    if ((this.seals & F_SEAL.GROW) === 0 || offset + bytes <= this.size) return bytes;
    return this.size - (this.size % this.#store.pageSize) - offset;
  }

  /** Bytes written, or -EFBIG, -ENOSPC or -EPERM (sealed); `lock` is held. */
  *write(offset: number, data: Uint8Array): MaySleep<number> {
    if (offset + data.length > MAX_FILE_SIZE) return -EFBIG;
    if (data.length === 0) return 0;
    if ((this.seals & (F_SEAL.WRITE | F_SEAL.FUTURE_WRITE)) !== 0) return -EPERM;
    const allowed = this.#beforeSeal(offset, data.length);
    if (allowed <= 0) return -EPERM;
    yield* this.#makeOwn();
    const written = yield* this.#store.write(this.#file, offset, data.subarray(0, allowed));
    if (written === 0) return -ENOSPC;
    const now = this.#store.now();
    this.times = { ...this.times, modify: now, change: now };
    return written;
  }

  /** SEEK_DATA and SEEK_HOLE: where the next byte of that kind is, the end being a hole; -ENXIO at or beyond it. */
  seek(offset: number, there: boolean): number {
    const { size } = this;
    if (offset < 0 || offset >= size) return -ENXIO;
    const { pageSize } = this.#store;
    const index = this.#file.nextPage(Math.floor(offset / pageSize), there);
    if (index === undefined || index * pageSize >= size) return there ? -ENXIO : size;
    return Math.max(offset, index * pageSize);
  }

  /** Shared mappings through which it is, or can be, written. */
  get writableMappings(): number {
    return this.#file.writableMappings;
  }

  /** FALLOC_FL_PUNCH_HOLE of bytes [from, to). */
  *punchHole(from: number, to: number): MaySleep<number> {
    if ((this.seals & (F_SEAL.WRITE | F_SEAL.FUTURE_WRITE)) !== 0) return -EPERM;
    yield* this.#makeOwn();
    yield* this.lock.lock();
    const result = yield* this.#store.punchHole(this.#file, from, to);
    this.lock.unlock();
    return result;
  }

  *truncate(size: number): MaySleep<number> {
    if (size < 0) return -EINVAL;
    if (size > MAX_FILE_SIZE) return -EFBIG;
    if ((this.seals & F_SEAL.SHRINK) !== 0 && size < this.size) return -EPERM;
    if ((this.seals & F_SEAL.GROW) !== 0 && size > this.size) return -EPERM;
    yield* this.#makeOwn();
    yield* this.lock.lock();
    const result = yield* this.#store.truncate(this.#file, size);
    this.lock.unlock();
    return result;
  }

  /** The last name or the last open file went away. */
  forgetIfUnused(): void {
    if (this.links > 0 || this.opens > 0) return;
    this.onGone?.();
    this.onGone = undefined;
    this.#store.discard(this.#file);
    this.#file = this.#store.newFile({ name: this.#file.name, size: 0 });
    this.#fromHost = false;
  }
}

/** Where a directory's entries come from when they are not the guest's own. */
export interface DirectorySource {
  /** Names, without `.` and `..`. */
  list(): readonly string[];
  lookup(name: string): Inode | undefined;
}

export class Directory extends Inode {
  parent: Directory;
  readonly #entries = new Map<string, Inode>();
  readonly #removed = new Set<string>();
  readonly #source: DirectorySource | undefined;
  /** Where new files below go, if not where the parent's do: the root of a file system. */
  readonly #ownStore: FileStore | undefined;
  /** Entries cannot be made or removed (/proc). */
  readonly fixed: boolean;

  constructor(
    ino: number,
    permissions: number,
    parent: Directory | undefined,
    source?: DirectorySource,
    fixed = false,
    store?: FileStore,
  ) {
    super(ino, S_IFDIR | permissions);
    this.parent = parent ?? this;
    this.#source = source;
    this.fixed = fixed;
    this.#ownStore = store;
    this.links = 2;
  }

  override get size(): number {
    return 40 + 20 * this.#entries.size;
  }

  override get store(): FileStore | undefined {
    return this.#ownStore ?? (this.parent === this ? undefined : this.parent.store);
  }

  lookup(name: string): Inode | undefined {
    const own = this.#entries.get(name);
    if (own !== undefined || this.#removed.has(name)) return own;
    const found = this.#source?.lookup(name);
    // What is computed anew each time (/proc) is not kept.
    if (found !== undefined && !this.fixed) this.#entries.set(name, found);
    return found;
  }

  names(): string[] {
    const names = new Set(this.#entries.keys());
    for (const name of this.#source?.list() ?? []) if (!this.#removed.has(name)) names.add(name);
    return [...names].sort();
  }

  get empty(): boolean {
    return this.names().length === 0;
  }

  add(name: string, inode: Inode): void {
    this.#removed.delete(name);
    this.#entries.set(name, inode);
    if (inode instanceof Directory) {
      inode.parent = this;
      this.links++;
    }
  }

  remove(name: string): void {
    const inode = this.#entries.get(name);
    this.#entries.delete(name);
    this.#removed.add(name);
    if (inode instanceof Directory) this.links--;
  }
}

export class Symlink extends Inode {
  readonly #target: () => string;

  constructor(ino: number, target: string | (() => string)) {
    super(ino, S_IFLNK | 0o777);
    this.#target = typeof target === 'string' ? () => target : target;
  }

  get target(): string {
    return this.#target();
  }

  override get size(): number {
    return bytesOfText(this.target).length;
  }
}

/** A file whose opening makes something: devices, FIFOs, generated files. */
export class SpecialFile extends Inode {
  override readonly device: number;
  readonly open: (flags: number, inode: SpecialFile) => OpenFile | number;

  constructor(
    ino: number,
    mode: number,
    open: (flags: number, inode: SpecialFile) => OpenFile | number,
    device = 0,
  ) {
    super(ino, mode);
    this.open = open;
    this.device = device;
  }
}

export const isCharacterDevice = (inode: Inode): boolean => inode.type === S_IFCHR;
