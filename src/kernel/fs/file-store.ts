/**
 * Where the contents of regular files are: pages of guest DRAM in the memory manager's page cache.
 *
 * What a file system may hold is bounded, as tmpfs is by half the memory. A file whose last user went
 * away where nothing may sleep is given back later (delayed_fput).
 */
import type { MaySleep } from '../contexts/index.js';
import type { FileOptions, MappableFile, MemoryManager } from '../mm/index.js';

export class FileStore {
  readonly #mm: MemoryManager;
  readonly #discarded: MappableFile[] = [];
  /** Bytes still to be had. */
  left: number;

  constructor(mm: MemoryManager, bytes: number) {
    this.#mm = mm;
    this.left = bytes;
  }

  newFile(options: FileOptions): MappableFile {
    return this.#mm.newFile(options);
  }

  read(file: MappableFile, offset: number, count: number): MaySleep<Uint8Array> {
    return this.#mm.readFile(file, offset, count);
  }

  /** Bytes written; 0 where there is no room. */
  *write(file: MappableFile, offset: number, data: Uint8Array): MaySleep<number> {
    if (this.left <= 0) return 0;
    const before = file.cachedPages;
    const written = yield* this.#mm.writeFile(file, offset, data);
    this.left -= (file.cachedPages - before) * this.#mm.pageSize;
    return Math.max(0, written);
  }

  *truncate(file: MappableFile, size: number): MaySleep<number> {
    const before = file.cachedPages;
    const result = yield* this.#mm.truncateFile(file, size);
    this.left += (before - file.cachedPages) * this.#mm.pageSize;
    return result;
  }

  /** Our reference is given back at the next `flush`; mappings keep theirs. */
  discard(file: MappableFile): void {
    this.left += file.cachedPages * this.#mm.pageSize;
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
