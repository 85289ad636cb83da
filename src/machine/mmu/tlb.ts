/**
 * The translation lookaside buffer: three direct-mapped tables (reads, writes, fetches) of 8192 entries
 * for 4 KiB of address space each, in linear memory so that generated code can probe them.
 *
 * An entry is 16 bytes:
 *
 *     u32  VA[43:12]
 *     u32  VA[55:44] in bits 11:0, the context in bits 31:12
 *     i32  host addend: host offset = (VA[31:0] + addend) mod 2^32
 *     i32  tag addend: host offset of the tag byte = (VA[31:5] + addend) mod 2^32, or UNTAGGED (-1) where
 *          memory is not Normal Tagged, or SLOW (-2) where the byte's place is not linear in the address;
 *          in the fetch table -1, or what an engine keeps for the page
 *
 * Behind the three tables are two larger ones, for reads and writes, of the same entries: what a table has
 * lost to another page generated code finds there without a walk.
 *
 * The top byte is not part of the key. The context is a number that stands for everything else a
 * translation depends on: regime, tables, ASID, privilege, PAN. It is interned by mmu.ts, so that going
 * back to a process finds its entries again. Entry 0 of every table never matches while the context is 0.
 *
 * Entries that host offsets cannot serve (devices, modelled caches) are kept beside, in typed arrays
 * that only TypeScript looks at; the table in linear memory then holds no key.
 *
 * Larger pages and blocks fill one entry per 4 KiB touched. TLBI by address drops the pieces of the
 * blocks there that were met; anything harder drops everything, which the architecture allows.
 */
import { CHUNK, type LinearMemory, ZERO_CHUNK } from '../memory/linear-memory.js';

export const TLB_ENTRIES = 8192;
export const TLB_ENTRY_BYTES = 16;
export const TLB_TABLE_BYTES = TLB_ENTRIES * TLB_ENTRY_BYTES;
/** Bytes of one CPU's three tables; the second level's follow. */
export const TLB_BYTES = 3 * TLB_TABLE_BYTES;

/** Tables behind the three: one for reads, one for writes, of entries that have been in the small ones. */
export const SECOND_TLB_ENTRIES = 16384;
export const SECOND_TLB_TABLE_BYTES = SECOND_TLB_ENTRIES * TLB_ENTRY_BYTES;
const ALL_BYTES = TLB_BYTES + 2 * SECOND_TLB_TABLE_BYTES;

/**
 * The slot of an address in a table: its page, with higher bits folded in, so that a stack and a mapping
 * some multiple of 16 MiB below it do not fight for one. Generated code computes the same.
 */
export const tlbSlot = (low: number): number => ((low >>> 12) ^ (low >>> 24)) & (TLB_ENTRIES - 1);
/** Bits of a context that slots depend on, the highest of a slot. */
const CONTEXT_BITS = 3;
const SLOT_CONTEXTS = 1 << CONTEXT_BITS;
const contextPart = (entries: number, context: number): number =>
  (context & (SLOT_CONTEXTS - 1)) * (entries >>> CONTEXT_BITS);
/**
 * The slot of a fetch: processes that have code at the same addresses do not fight for one. Reads and writes,
 * which are many more, leave that to the second level.
 */
export const fetchTlbSlot = (low: number, context: number): number =>
  tlbSlot(low) ^ contextPart(TLB_ENTRIES, context);
/** The slot in the second level's tables. */
export const secondTlbSlot = (low: number, context: number): number =>
  (((low >>> 12) ^ (low >>> 26)) & (SECOND_TLB_ENTRIES - 1)) ^ contextPart(SECOND_TLB_ENTRIES, context);
/** The part of a slot's byte offset that is the context's: a mask of the context shifted left. */
export const contextOfSlot = (entries: number): { readonly shift: number; readonly mask: number } => {
  const unit = (entries >>> CONTEXT_BITS) * TLB_ENTRY_BYTES;
  return { shift: Math.log2(unit), mask: (SLOT_CONTEXTS - 1) * unit };
};

export const UNTAGGED = -1;
export const SLOW = -2;

export const TlbKind = { read: 0, write: 1, fetch: 2 } as const;
export type TlbKind = (typeof TlbKind)[keyof typeof TlbKind];

/**
 * `uncached`: Device or Non-cacheable; accesses go past modelled caches. `direct`: the table in linear memory
 * has the entry too, unless generated code has put one of the second level there since.
 */
export const EntryFlag = { tagged: 1, device: 2, guarded: 4, uncached: 8, direct: 16 } as const;

/**
 * Contexts that fit the key, and whose complements are none; when they run out, everything is dropped and
 * numbering starts again.
 */
export const MOST_CONTEXTS = 1 << 19;

export class Tlb {
  readonly linear: LinearMemory;
  /** Byte offset of the read table; write and fetch tables follow. */
  readonly base: number;
  /** Keys and physical pages of all entries, direct or not: index kind * TLB_ENTRIES + slot. */
  readonly keyLow = new Int32Array(3 * TLB_ENTRIES);
  readonly keyHigh = new Int32Array(3 * TLB_ENTRIES);
  readonly page = new Float64Array(3 * TLB_ENTRIES);
  readonly flags = new Uint8Array(3 * TLB_ENTRIES);
  /** Entries that point into the zero chunk, dropped when memory is mapped. */
  #zeroes: number[] = [];
  /** Blocks of which pieces were filled since the last full flush: by size in pages, the number of the first page. */
  readonly #blocks = new Map<number, Set<number>>();
  /** Full flushes, for statistics and for those who cache translations elsewhere. */
  generation = 0;

  constructor(linear: LinearMemory) {
    this.linear = linear;
    this.base = linear.allocate(ALL_BYTES);
  }

  /** Word index of the second level's entry for an address. `kind`: read or write. */
  #second(kind: TlbKind, low: number, context: number): number {
    return (this.base + TLB_BYTES + kind * SECOND_TLB_TABLE_BYTES) / 4 + secondTlbSlot(low, context) * 4;
  }

  /** Index of an address's entry. */
  #at(kind: TlbKind, low: number, context: number): number {
    return kind * TLB_ENTRIES + (kind === TlbKind.fetch ? fetchTlbSlot(low, context) : tlbSlot(low));
  }

  /**
   * The entry of an address in `context`, or -1. One whose place in linear memory another page has taken is
   * none: it is to be filled again, or accesses to it would never be direct any more.
   */
  find(kind: TlbKind, low: number, high: number, context: number): number {
    const at = this.#at(kind, low, context);
    const keyLow = (high << 20) | (low >>> 12) | 0;
    const keyHigh = ((high >>> 12) & 0xfff) | (context << 12) | 0;
    if (this.keyLow[at] !== keyLow || this.keyHigh[at] !== keyHigh) return -1;
    if ((this.flags[at]! & EntryFlag.direct) === 0) return at;
    const words = this.linear.i32;
    const w = (this.base + at * TLB_ENTRY_BYTES) >>> 2;
    return words[w] === keyLow && words[w + 1] === keyHigh ? at : -1;
  }

  /**
   * Fills the entry of a 4 KiB page.
   * @param host host offset of the page's first byte, or -1 where accesses must not go to the host directly
   * @param tagHost host offset of the page's first tag byte, UNTAGGED or SLOW
   * @param size bytes of the page or block the translation came from
   */
  fill(
    kind: TlbKind,
    low: number,
    high: number,
    context: number,
    page: number,
    flags: number,
    host: number,
    tagHost: number,
    size: number,
  ): number {
    const at = this.#at(kind, low, context);
    const keyLow = (high << 20) | (low >>> 12);
    const keyHigh = ((high >>> 12) & 0xfff) | (context << 12);
    this.keyLow[at] = keyLow;
    this.keyHigh[at] = keyHigh;
    this.page[at] = page;
    this.flags[at] = flags | (host < 0 ? 0 : EntryFlag.direct);
    const words = this.linear.i32;
    const w = (this.base + at * TLB_ENTRY_BYTES) >>> 2;
    const second = kind === TlbKind.fetch ? -1 : this.#second(kind, low, context);
    if (second >= 0) words[second + 1] = 0;
    if (host < 0) {
      words[w + 1] = 0;
    } else {
      const pageLow = low & ~0xfff;
      words[w] = keyLow;
      words[w + 1] = keyHigh;
      words[w + 2] = host - pageLow;
      words[w + 3] = tagHost < 0 ? tagHost : tagHost - (pageLow >>> 5);
      // What is dropped when memory is mapped is in one place only.
      if (inZeroes(host) || inZeroes(tagHost)) this.#zeroes.push(at);
      else if (second >= 0) words.copyWithin(second, w, w + 4);
    }
    if (size > 4096) this.#noteBlock(pageNumber(low, high), size / 4096);
    return at;
  }

  #noteBlock(page: number, pages: number): void {
    let known = this.#blocks.get(pages);
    if (known === undefined) {
      known = new Set();
      this.#blocks.set(pages, known);
    }
    known.add(page - (page % pages));
  }

  #drop(at: number): void {
    this.keyHigh[at] = 0;
    this.linear.i32[((this.base + at * TLB_ENTRY_BYTES) >>> 2) + 1] = 0;
  }

  /** Drops entries that read zeros from memory that did not exist; it may exist now. */
  dropZeroes(): void {
    for (const at of this.#zeroes) this.#drop(at);
    this.#zeroes = [];
  }

  /** Drops entries through which the host page at `host` can be written, as data or as tags. */
  dropWritesTo(host: number): void {
    const words = this.linear.i32;
    for (let slot = 0; slot < TLB_ENTRIES; slot++) {
      const at = TLB_ENTRIES + slot;
      const w = (this.base + at * TLB_ENTRY_BYTES) >>> 2;
      if (words[w + 1] === 0) continue;
      const low = words[w]! << 12;
      const tags = words[w + 3]!;
      const data = (low + words[w + 2]!) >>> 0;
      const tag = tags === UNTAGGED || tags === SLOW ? -1 : ((low >>> 5) + tags) >>> 0;
      if (data === host || (tag >= host && tag < host + 4096)) this.#drop(at);
    }
    const first = (this.base + TLB_BYTES + SECOND_TLB_TABLE_BYTES) >>> 2;
    words.fill(0, first, first + SECOND_TLB_TABLE_BYTES / 4);
  }

  /** Drops entries for writing that give no host offset: a page of theirs may have become writable directly. */
  dropIndirectWrites(): void {
    const words = this.linear.i32;
    for (let at = TLB_ENTRIES; at < 2 * TLB_ENTRIES; at++) {
      if (words[((this.base + at * TLB_ENTRY_BYTES) >>> 2) + 1] !== this.keyHigh[at]) this.#drop(at);
    }
  }

  /** Drops every entry. */
  flush(): void {
    this.keyHigh.fill(0);
    this.linear.u8.fill(0, this.base, this.base + ALL_BYTES);
    this.#zeroes = [];
    this.#blocks.clear();
    this.generation++;
  }

  /** Drops what may translate [VA, VA + bytes) in any context; `low` and `high` are the VA's halves. */
  flushRange(low: number, high: number, bytes: number): void {
    const first = pageNumber(low, high);
    const pages = Math.ceil(bytes / 4096);
    if (pages > MOST_FLUSHED) {
      this.flush();
      return;
    }
    let rest = MOST_FLUSHED - pages;
    for (const [size, known] of this.#blocks) {
      for (let block = first - (first % size); block < first + pages; block += size) {
        if (!known.delete(block)) continue;
        rest -= size;
        if (rest < 0) {
          this.flush();
          return;
        }
        this.#dropPages(block, size);
      }
    }
    this.#dropPages(first, pages);
    this.generation++;
  }

  /** Drops pages by number, in all contexts. */
  #dropPages(first: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const page = ((first + i) * 4096) | 0;
      const slot = tlbSlot(page);
      this.#drop(slot);
      this.#drop(TLB_ENTRIES + slot);
      for (let context = 0; context < SLOT_CONTEXTS; context++) {
        this.#drop(this.#at(TlbKind.fetch, page, context));
        this.linear.i32[this.#second(TlbKind.read, page, context) + 1] = 0;
        this.linear.i32[this.#second(TlbKind.write, page, context) + 1] = 0;
      }
    }
  }
}

/** Pages that are dropped one by one at most; beyond it all are. */
const MOST_FLUSHED = 1024;

/** The number of an address's page, its top byte aside. */
const pageNumber = (low: number, high: number): number => (high & 0xff_ffff) * 2 ** 20 + (low >>> 12);

const inZeroes = (host: number) => host >= ZERO_CHUNK && host < ZERO_CHUNK + CHUNK;
