/**
 * DRAM: banks as the device tree's memory nodes say, mapped where they are touched.
 *
 * A bank costs nothing until something is written to it: host memory is given out in 64 KiB chunks, so
 * that a page of any translation granule is contiguous in host memory, and a chunk that was never
 * written reads as zeros without existing. Allocation tags have no store of their own: they are bytes
 * of DRAM like any other, reached through the tag controller.
 *
 * Physical addresses are numbers; a 64-bit access is done as two halves or through the DataView.
 *
 * Engines that keep decoded instructions watch the 4 KiB pages they came from: every write through this
 * file to a watched page is reported, and the MMU gives no host offset to write such a page with.
 */
import type { PA } from '../../base/index.js';
import { CHUNK, type LinearMemory, ZERO_CHUNK } from './linear-memory.js';

export interface DramBank {
  /** Bytes. */
  readonly base: number;
  readonly size: number;
}

/** Chunks under one directory entry: 256 MiB. */
const LEAF = 4096;
const PAGE = 4096;

/** Told of a write of `bytes` bytes at `pa` to a watched page, before it happens; they lie in one 64 KiB chunk. */
export type CodeListener = (pa: number, bytes: number) => void;

export class Dram {
  readonly linear: LinearMemory;
  readonly banks: readonly DramBank[];
  /** Host offset of each chunk, 0 while untouched. */
  readonly #leaves = new Map<number, Int32Array>();
  /** The physical chunk of each chunk of host memory. */
  readonly #chunkOfHost = new Map<number, number>();
  #touched = 0;
  /** Called with the chunk's physical address when it gets host memory: read mappings of zeros are stale then. */
  readonly #listeners: ((chunk: PA) => void)[] = [];
  /** Watched 4 KiB pages: for each chunk that has one, a bit for each of its 16 pages. */
  readonly #watched = new Map<number, number>();
  readonly #codeListeners: CodeListener[] = [];
  // The last chunk looked up: nearly every access is near the one before.
  #lastChunk = -1;
  #lastHost = 0;
  #lastBank: DramBank | undefined;

  /** Throws RangeError for overlapping banks or addresses beyond 2^52. */
  constructor(linear: LinearMemory, banks: readonly DramBank[]) {
    this.linear = linear;
    this.banks = [...banks].sort((a, b) => a.base - b.base);
    for (const [i, bank] of this.banks.entries()) {
      const before = this.banks[i - 1];
      if (bank.base < 0 || bank.size <= 0 || bank.base + bank.size > 2 ** 52)
        throw new RangeError('a memory bank lies outside the physical address space');
      if (before !== undefined && before.base + before.size > bank.base)
        throw new RangeError('memory banks overlap');
    }
  }

  /** Bytes of host memory in use. */
  get touchedBytes(): number {
    return this.#touched * CHUNK;
  }

  // ---- pages that hold decoded instructions --------------------------------------------------------

  onCodeWritten(listener: CodeListener): void {
    this.#codeListeners.push(listener);
  }

  /** Starts reporting writes to the 4 KiB page of `pa`. Host offsets given out to write it are the caller's to drop. */
  watchCode(pa: number): void {
    const chunk = Math.floor(pa / CHUNK);
    this.#watched.set(chunk, (this.#watched.get(chunk) ?? 0) | (1 << ((pa % CHUNK) / PAGE)));
  }

  unwatchCode(pa: number): void {
    const chunk = Math.floor(pa / CHUNK);
    const left = (this.#watched.get(chunk) ?? 0) & ~(1 << ((pa % CHUNK) / PAGE));
    if (left === 0) this.#watched.delete(chunk);
    else this.#watched.set(chunk, left);
  }

  isCodeWatched(pa: number): boolean {
    return (((this.#watched.get(Math.floor(pa / CHUNK)) ?? 0) >> Math.floor((pa % CHUNK) / PAGE)) & 1) !== 0;
  }

  #reportWrite(pa: number, bytes: number): void {
    const pages = this.#watched.get(Math.floor(pa / CHUNK));
    if (pages === undefined) return;
    const first = Math.floor((pa % CHUNK) / PAGE);
    const last = Math.floor(((pa % CHUNK) + bytes - 1) / PAGE);
    if (((pages >> first) & ((2 << (last - first)) - 1)) === 0) return;
    for (const listener of this.#codeListeners) listener(pa, bytes);
  }

  onChunkMapped(listener: (chunk: PA) => void): void {
    this.#listeners.push(listener);
  }

  /** True if all of [pa, pa + bytes) is DRAM (of one bank or of banks that touch). */
  contains(pa: number, bytes = 1): boolean {
    let at = pa;
    const end = pa + bytes;
    const last = this.#lastBank;
    if (last !== undefined && at >= last.base && end <= last.base + last.size) return true;
    for (const bank of this.banks) {
      if (at >= bank.base && at < bank.base + bank.size) {
        this.#lastBank = bank;
        if (end <= bank.base + bank.size) return true;
        at = bank.base + bank.size;
      }
    }
    return false;
  }

  /** Host offset to read the byte at `pa` (in DRAM); bytes up to the next 64 KiB boundary follow it. */
  hostForRead(pa: number): number {
    const chunk = Math.floor(pa / CHUNK);
    if (chunk !== this.#lastChunk) {
      const host = this.#leaves.get(Math.floor(chunk / LEAF))?.[chunk % LEAF] ?? 0;
      if (host === 0) return ZERO_CHUNK + (pa % CHUNK);
      this.#lastChunk = chunk;
      this.#lastHost = host >>> 0;
    }
    return this.#lastHost + (pa % CHUNK);
  }

  /**
   * Host offset to write `bytes` bytes at `pa` (in DRAM, in one chunk) at once, mapping the chunk if need be.
   * Throws OutOfHostMemory.
   */
  hostForWrite(pa: number, bytes: number): number {
    if (this.#watched.size > 0) this.#reportWrite(pa, bytes);
    return this.hostForMapping(pa);
  }

  /** The same for a TLB entry, through which any number of writes may go: not for watched pages. */
  hostForMapping(pa: number): number {
    const chunk = Math.floor(pa / CHUNK);
    if (chunk !== this.#lastChunk) {
      const leafIndex = Math.floor(chunk / LEAF);
      let leaf = this.#leaves.get(leafIndex);
      if (leaf === undefined) {
        leaf = new Int32Array(LEAF);
        this.#leaves.set(leafIndex, leaf);
      }
      let host = leaf[chunk % LEAF]! >>> 0;
      if (host === 0) {
        host = this.linear.allocate(CHUNK);
        leaf[chunk % LEAF] = host;
        this.#chunkOfHost.set(host / CHUNK, chunk);
        this.#touched++;
        for (const listener of this.#listeners) listener((chunk * CHUNK) as PA);
      }
      this.#lastChunk = chunk;
      this.#lastHost = host;
    }
    return this.#lastHost + (pa % CHUNK);
  }

  /** The physical address of a byte of host memory that is DRAM, else -1. */
  physicalOf(host: number): number {
    const chunk = this.#chunkOfHost.get(Math.floor(host / CHUNK));
    return chunk === undefined ? -1 : chunk * CHUNK + (host % CHUNK);
  }

  /** Physical addresses of the 64 KiB chunks that have host memory. */
  *touchedChunks(): Generator<PA> {
    for (const [leafIndex, leaf] of this.#leaves) {
      for (let i = 0; i < LEAF; i++) if (leaf[i] !== 0) yield ((leafIndex * LEAF + i) * CHUNK) as PA;
    }
  }

  /** True if the chunk that holds `pa` has host memory. */
  isTouched(pa: number): boolean {
    const chunk = Math.floor(pa / CHUNK);
    return (this.#leaves.get(Math.floor(chunk / LEAF))?.[chunk % LEAF] ?? 0) !== 0;
  }

  read8(pa: number): number {
    return this.linear.u8[this.hostForRead(pa)]!;
  }

  /** Aligned or inside one chunk. */
  read32(pa: number): number {
    return this.linear.view.getUint32(this.hostForRead(pa), true);
  }

  write8(pa: number, value: number): void {
    const host = this.hostForWrite(pa, 1);
    this.linear.u8[host] = value;
  }

  write32(pa: number, value: number): void {
    const host = this.hostForWrite(pa, 4);
    this.linear.view.setUint32(host, value, true);
  }

  readBytes(pa: number, bytes: number): Uint8Array {
    if ((pa % CHUNK) + bytes <= CHUNK) {
      const host = this.hostForRead(pa);
      return this.linear.u8.slice(host, host + bytes);
    }
    const out = new Uint8Array(bytes);
    for (let done = 0; done < bytes; ) {
      const host = this.hostForRead(pa + done);
      const run = Math.min(bytes - done, CHUNK - (host % CHUNK));
      out.set(this.linear.u8.subarray(host, host + run), done);
      done += run;
    }
    return out;
  }

  writeBytes(pa: number, from: Uint8Array): void {
    if (from.length > 0 && (pa % CHUNK) + from.length <= CHUNK) {
      // In two steps: the first may make the memory grow.
      const host = this.hostForWrite(pa, from.length);
      this.linear.u8.set(from, host);
      return;
    }
    for (let done = 0; done < from.length; ) {
      const run = Math.min(from.length - done, CHUNK - ((pa + done) % CHUNK));
      const host = this.hostForWrite(pa + done, run);
      this.linear.u8.set(from.subarray(done, done + run), host);
      done += run;
    }
  }

  /** Filling untouched memory with zeros leaves it untouched. */
  fill(pa: number, bytes: number, value: number): void {
    for (let done = 0; done < bytes; ) {
      const at = pa + done;
      const run = Math.min(bytes - done, CHUNK - (at % CHUNK));
      if ((value & 0xff) !== 0 || this.isTouched(at)) {
        const host = this.hostForWrite(at, run);
        this.linear.u8.fill(value, host, host + run);
      }
      done += run;
    }
  }

  copy(to: number, from: number, bytes: number): void {
    for (let done = 0; done < bytes; ) {
      const run = Math.min(bytes - done, CHUNK - ((to + done) % CHUNK), CHUNK - ((from + done) % CHUNK));
      if (this.isTouched(from + done)) {
        const target = this.hostForWrite(to + done, run);
        const source = this.hostForRead(from + done);
        this.linear.u8.copyWithin(target, source, source + run);
      } else {
        this.fill(to + done, run, 0);
      }
      done += run;
    }
  }
}
