/**
 * Inodes: directories, regular files, symbolic links and what only looks like a file.
 *
 * A directory or file may stand for one of the host that is read when it is first needed; from then on
 * it is the guest's own, and nothing is ever written back.
 */
import { EFBIG, EINVAL, ENOSPC } from '../contexts/index.js';
import { S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './abi.js';
import type { OpenFile } from './open-file.js';
import { PageStore, type Quota } from './page-store.js';

/** The largest offset a file may reach: 2^43 - 1 keeps sums exact. */
export const MAX_FILE_SIZE = 2 ** 43 - 1;

export abstract class Inode {
  readonly ino: number;
  /** Type and permission bits. */
  mode: number;
  uid = 0;
  gid = 0;
  links = 1;
  /** Nanoseconds since 1970. */
  times = { access: 0n, modify: 0n, change: 0n };
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

  /** st_blocks: units of 512 bytes. */
  get blocks(): number {
    return 0;
  }
}

export class RegularFile extends Inode {
  readonly store: PageStore;
  /** Open files: without a name and without these the content is given back. */
  opens = 0;
  /** The content of a file of the host comes at first use. */
  #load: (() => Uint8Array) | undefined;
  readonly #hostSize: number;

  constructor(
    ino: number,
    permissions: number,
    quota: Quota,
    host?: { readonly size: number; readonly load: () => Uint8Array },
  ) {
    super(ino, S_IFREG | permissions);
    this.store = new PageStore(quota);
    this.#load = host?.load;
    this.#hostSize = host?.size ?? 0;
  }

  #loaded(): PageStore {
    const load = this.#load;
    if (load !== undefined) {
      this.#load = undefined;
      this.store.write(0, load());
    }
    return this.store;
  }

  override get size(): number {
    return this.#load === undefined ? this.store.size : this.#hostSize;
  }

  override get blocks(): number {
    return Math.ceil((this.#load === undefined ? this.store.allocated : this.#hostSize) / 512);
  }

  read(offset: number, count: number): Uint8Array {
    return this.#loaded().read(offset, count);
  }

  /** Bytes written, or -EFBIG or -ENOSPC. */
  write(offset: number, data: Uint8Array): number {
    if (offset + data.length > MAX_FILE_SIZE) return -EFBIG;
    const written = this.#loaded().write(offset, data);
    return written === 0 && data.length > 0 ? -ENOSPC : written;
  }

  /** The last name or the last open file went away. */
  forgetIfUnused(): void {
    if (this.links > 0 || this.opens > 0) return;
    this.#load = undefined;
    this.store.truncate(0);
  }

  truncate(size: number): number {
    if (size < 0) return -EINVAL;
    if (size > MAX_FILE_SIZE) return -EFBIG;
    this.#loaded().truncate(size);
    return 0;
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
  /** Entries cannot be made or removed (/proc). */
  readonly fixed: boolean;

  constructor(
    ino: number,
    permissions: number,
    parent: Directory | undefined,
    source?: DirectorySource,
    fixed = false,
  ) {
    super(ino, S_IFDIR | permissions);
    this.parent = parent ?? this;
    this.#source = source;
    this.fixed = fixed;
    this.links = 2;
  }

  override get size(): number {
    return 40 + 20 * this.#entries.size;
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
    return new TextEncoder().encode(this.target).length;
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
