/**
 * DRAM for kernel tests: bytes in sparse 64 KiB pieces, tags in the carve-out's bytes at
 * tagBase + (pa - memBase) / 32, low nibble for the even granule. No caches; maintenance operations are
 * recorded, so that tests can ask for their order.
 */
import { PA } from '../../src/base/index.js';
import type { MemoryPort, PhysRange, TagRegion } from '../../src/kernel/mm/index.js';

const PIECE = 65536;

interface Piece {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

interface Covered {
  readonly memBase: number;
  readonly memEnd: number;
  readonly tagBase: number;
}

export class FakePort implements MemoryPort {
  readonly #pieces = new Map<number, Piece>();
  #lastIndex = -1;
  #last: Piece | undefined;
  readonly #banks: readonly PhysRange[];
  readonly #covered: readonly Covered[];
  /** Maintenance operations in order: `inval-data 0x...+n`. */
  readonly maintenance: string[] = [];
  /** Accesses outside DRAM: kernel bugs. */
  readonly bad: number[] = [];

  constructor(banks: readonly PhysRange[], regions: readonly TagRegion[], pageSize: number) {
    this.#banks = banks;
    this.#covered = regions.map((r) => ({
      memBase: r.memStartPfn * pageSize,
      memEnd: (r.memEndPfn + 1) * pageSize,
      tagBase: r.tagStartPfn * pageSize,
    }));
  }

  #byte(pa: number): { piece: Uint8Array; at: number } | undefined {
    const piece = this.#pieceOf(pa);
    return piece && { piece: piece.bytes, at: pa % PIECE };
  }

  #pieceOf(pa: number): Piece | undefined {
    const index = Math.floor(pa / PIECE);
    if (index === this.#lastIndex) return this.#last;
    let piece = this.#pieces.get(index);
    if (!piece) {
      // Banks are multiples of a piece.
      if (!this.#banks.some((b) => pa >= b.base && pa < b.base + b.size)) {
        this.bad.push(pa);
        return undefined;
      }
      const bytes = new Uint8Array(PIECE);
      piece = { bytes, view: new DataView(bytes.buffer) };
      this.#pieces.set(index, piece);
    }
    this.#lastIndex = index;
    this.#last = piece;
    return piece;
  }

  read8(pa: PA): number {
    const b = this.#byte(pa);
    return b ? b.piece[b.at]! : 0;
  }
  write8(pa: PA, value: number): void {
    const b = this.#byte(pa);
    if (b) b.piece[b.at] = value;
  }
  read16(pa: PA): number {
    return this.read8(pa) | (this.read8(PA(pa + 1)) << 8);
  }
  read32(pa: PA): number {
    return (this.read16(pa) | (this.read16(PA(pa + 2)) << 16)) >>> 0;
  }
  read64(pa: PA): bigint {
    return this.#pieceOf(pa)?.view.getBigUint64(pa % PIECE, true) ?? 0n;
  }
  write16(pa: PA, value: number): void {
    this.write8(pa, value);
    this.write8(PA(pa + 1), value >>> 8);
  }
  write32(pa: PA, value: number): void {
    this.write16(pa, value);
    this.write16(PA(pa + 2), value >>> 16);
  }
  write64(pa: PA, value: bigint): void {
    this.#pieceOf(pa)?.view.setBigUint64(pa % PIECE, value, true);
  }

  readBytes(pa: PA, bytes: number): Uint8Array {
    const out = new Uint8Array(bytes);
    for (let done = 0; done < bytes; ) {
      const b = this.#byte(pa + done);
      const at = b?.at ?? (pa + done) % PIECE;
      const n = Math.min(bytes - done, PIECE - at);
      if (b) out.set(b.piece.subarray(at, at + n), done);
      done += n;
    }
    return out;
  }
  writeBytes(pa: PA, from: Uint8Array): void {
    for (let done = 0; done < from.length; ) {
      const b = this.#byte(pa + done);
      const at = b?.at ?? (pa + done) % PIECE;
      const n = Math.min(from.length - done, PIECE - at);
      b?.piece.set(from.subarray(done, done + n), at);
      done += n;
    }
  }
  fill(pa: PA, bytes: number, value: number): void {
    for (let done = 0; done < bytes; ) {
      const b = this.#byte(pa + done);
      const at = b?.at ?? (pa + done) % PIECE;
      const n = Math.min(bytes - done, PIECE - at);
      b?.piece.fill(value, at, at + n);
      done += n;
    }
  }
  copy(to: PA, from: PA, bytes: number): void {
    this.writeBytes(to, this.readBytes(from, bytes));
  }
  equal(a: PA, b: PA, bytes: number): boolean {
    const y = this.readBytes(b, bytes);
    return this.readBytes(a, bytes).every((value, i) => value === y[i]);
  }

  /** Where the tag byte of `pa` is, if it has one. */
  tagByte(pa: number): number | undefined {
    for (const c of this.#covered) {
      if (pa >= c.memBase && pa < c.memEnd) return c.tagBase + Math.floor((pa - c.memBase) / 32);
    }
    return undefined;
  }
  readTag(pa: PA): number {
    const at = this.tagByte(pa);
    if (at === undefined) return 0;
    const byte = this.read8(PA(at));
    return Math.floor(pa / 16) % 2 === 0 ? byte & 15 : byte >>> 4;
  }
  writeTag(pa: PA, tag: number): void {
    const at = this.tagByte(pa);
    if (at === undefined) return;
    const byte = this.read8(PA(at));
    this.write8(PA(at), Math.floor(pa / 16) % 2 === 0 ? (byte & 0xf0) | tag : (byte & 15) | (tag << 4));
  }
  readTags(pa: PA, bytes: number): Uint8Array {
    const at = this.tagByte(pa);
    return at === undefined ? new Uint8Array(bytes / 32) : this.readBytes(PA(at), bytes / 32);
  }
  writeTags(pa: PA, packed: Uint8Array): void {
    const at = this.tagByte(pa);
    if (at !== undefined) this.writeBytes(PA(at), packed);
  }
  fillTags(pa: PA, bytes: number, tag: number): void {
    const at = this.tagByte(pa);
    if (at !== undefined) this.fill(PA(at), bytes / 32, tag | (tag << 4));
  }

  #note(what: string, pa: number, bytes: number): void {
    this.maintenance.push(`${what} 0x${pa.toString(16)}+${bytes}`);
  }
  dcacheInvalPoc(pa: PA, bytes: number): void {
    this.#note('inval-data', pa, bytes);
  }
  dcacheCleanPoc(pa: PA, bytes: number): void {
    this.#note('clean-data', pa, bytes);
  }
  dcacheCleanInvalPoc(pa: PA, bytes: number): void {
    this.#note('clean-inval-data', pa, bytes);
  }
  dcacheInvalTagsPoc(pa: PA, bytes: number): void {
    this.#note('inval-tags', pa, bytes);
  }
  dcacheCleanTagsPoc(pa: PA, bytes: number): void {
    this.#note('clean-tags', pa, bytes);
  }
  dcacheCleanInvalTagsPoc(pa: PA, bytes: number): void {
    this.#note('clean-inval-tags', pa, bytes);
  }
  icacheInval(pa: PA, bytes: number): void {
    this.#note('inval-code', pa, bytes);
  }
}
