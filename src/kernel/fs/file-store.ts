/**
 * Where the contents of regular files are: pages of guest DRAM in the memory manager's page cache, and, of
 * a store on disk, the simulated device behind it.
 *
 * What a file system may hold is bounded, as tmpfs is by half the memory and a disk by its size. A file whose last user went
 * away where nothing may sleep is given back later (delayed_fput).
 */
import { type Contexts, type MaySleep, Mutex } from '../contexts/index.js';
import type { FileOptions, MappableFile, MemoryManager, ShmemHuge } from '../mm/index.js';

/** st_dev: what is in memory, and the disk. */
const MEMORY_DEVICE = 1;
const DISK_DEVICE = 0x800;

export class FileStore {
  readonly #contexts: Contexts;
  readonly #mm: MemoryManager;
  readonly #discarded: MappableFile[] = [];
  /** Bytes still to be had. */
  left: number;

  /** Bytes in all. */
  capacity: number;
  /** Its files outlive their pages in memory. */
  readonly onDisk: boolean;
  /** The `huge=` option of a mounted tmpfs; none: /sys says. */
  huge: ShmemHuge | undefined;
  /** st_dev of what is in it. */
  device: number;
  /** SB_RDONLY: nothing of it changes. */
  readOnly = false;
  /** current_time(): nanoseconds since 1970. */
  readonly now: () => bigint;

  constructor(contexts: Contexts, mm: MemoryManager, bytes: number, now: () => bigint, onDisk = false) {
    this.now = now;
    this.#contexts = contexts;
    this.#mm = mm;
    this.left = bytes;
    this.capacity = bytes;
    this.onDisk = onDisk;
    this.device = onDisk ? DISK_DEVICE : MEMORY_DEVICE;
  }

  get pageSize(): number {
    return this.#mm.pageSize;
  }

  /** i_rwsem of a file that is written. */
  newLock(): Mutex {
    return new Mutex(this.#contexts, 'i_rwsem');
  }

  /** f_pos_lock of an open file. */
  newPositionLock(): Mutex {
    return new Mutex(this.#contexts, 'f_pos_lock');
  }

  newFile(options: FileOptions): MappableFile {
    if (this.onDisk) return this.#mm.newFile({ ...options, disk: true });
    return this.#mm.newFile(this.huge === undefined ? options : { ...options, huge: this.huge });
  }

  /** Pages that a file takes of what there is. */
  #pages(file: MappableFile): number {
    return this.onDisk ? Math.ceil(file.size / this.#mm.pageSize) : file.cachedPages;
  }

  /** More or less room; false, and nothing changes, where more is in use. */
  resize(bytes: number): boolean {
    const used = this.capacity - this.left;
    if (used > bytes) return false;
    this.capacity = bytes;
    this.left = bytes - used;
    return true;
  }

  /** fsync(2). */
  sync(file: MappableFile): MaySleep<number> {
    return this.#mm.syncFile(file);
  }

  read(file: MappableFile, offset: number, count: number): MaySleep<Uint8Array> {
    return this.#mm.readFile(file, offset, count);
  }

  /** Bytes written; 0 where there is no room. */
  *write(file: MappableFile, offset: number, data: Uint8Array): MaySleep<number> {
    if (this.left <= 0) return 0;
    const before = this.#pages(file);
    const written = yield* this.#mm.writeFile(file, offset, data);
    this.left -= (this.#pages(file) - before) * this.#mm.pageSize;
    return Math.max(0, written);
  }

  *punchHole(file: MappableFile, from: number, to: number): MaySleep<number> {
    const before = this.#pages(file);
    const result = yield* this.#mm.punchHole(file, from, to);
    this.left += (before - this.#pages(file)) * this.#mm.pageSize;
    return result;
  }

  *truncate(file: MappableFile, size: number): MaySleep<number> {
    const before = this.#pages(file);
    const result = yield* this.#mm.truncateFile(file, size);
    this.left += (before - this.#pages(file)) * this.#mm.pageSize;
    return result;
  }

  /** Our reference is given back at the next `flush`; mappings keep theirs. */
  discard(file: MappableFile): void {
    this.left += this.#pages(file) * this.#mm.pageSize;
    this.#discarded.push(file);
  }

  /** A reference to a file that is not in the file system is given back at the next `flush`. */
  giveBack(file: MappableFile): void {
    this.#discarded.push(file);
  }

  /** Whether `flush` has something to do. */
  get pending(): boolean {
    return this.#discarded.length > 0;
  }

  *flush(): MaySleep<void> {
    for (let file = this.#discarded.pop(); file !== undefined; file = this.#discarded.pop()) {
      yield* this.#mm.putFile(file);
    }
  }
}
