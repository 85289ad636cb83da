/**
 * The contents of a file in memory: pages in a map, so that a hole costs nothing.
 *
 * These bytes are the host's, not pages of guest DRAM: until memory management has shmem, tmpfs is a
 * store beside the machine, bounded like a tmpfs of half the memory.
 */
const PAGE = 4096;

/** What a file system may hold. */
export class Quota {
  /** Bytes still to be had. */
  left: number;

  constructor(bytes: number) {
    this.left = bytes;
  }
}

export class PageStore {
  readonly #pages = new Map<number, Uint8Array>();
  readonly #quota: Quota;
  #size = 0;

  constructor(quota: Quota) {
    this.#quota = quota;
  }

  get size(): number {
    return this.#size;
  }

  /** Bytes that pages take. */
  get allocated(): number {
    return this.#pages.size * PAGE;
  }

  /** Up to `count` bytes from `offset`; fewer at the end of the file. */
  read(offset: number, count: number): Uint8Array {
    const length = Math.max(0, Math.min(count, this.#size - offset));
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = offset + done;
      const within = at % PAGE;
      const chunk = Math.min(PAGE - within, length - done);
      const page = this.#pages.get((at - within) / PAGE);
      if (page !== undefined) out.set(page.subarray(within, within + chunk), done);
      done += chunk;
    }
    return out;
  }

  /** Bytes written: fewer where the quota is used up. */
  write(offset: number, data: Uint8Array): number {
    let done = 0;
    while (done < data.length) {
      const at = offset + done;
      const within = at % PAGE;
      const chunk = Math.min(PAGE - within, data.length - done);
      const page = this.#pageFor((at - within) / PAGE);
      if (page === undefined) break;
      page.set(data.subarray(done, done + chunk), within);
      done += chunk;
    }
    if (done > 0) this.#size = Math.max(this.#size, offset + done);
    return done;
  }

  #pageFor(index: number): Uint8Array | undefined {
    const known = this.#pages.get(index);
    if (known !== undefined) return known;
    if (this.#quota.left < PAGE) return undefined;
    this.#quota.left -= PAGE;
    const made = new Uint8Array(PAGE);
    this.#pages.set(index, made);
    return made;
  }

  /** Grows with a hole, or shrinks and forgets what is cut off. */
  truncate(size: number): void {
    if (size < this.#size) {
      for (const [index] of this.#pages) {
        if (index * PAGE >= size) {
          this.#pages.delete(index);
          this.#quota.left += PAGE;
        }
      }
      const tail = this.#pages.get(Math.floor(size / PAGE));
      tail?.fill(0, size % PAGE);
    }
    this.#size = size;
  }
}
