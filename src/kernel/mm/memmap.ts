/**
 * The memmap: what Linux keeps in an array of struct page, as one typed array a field.
 *
 * A `Page` is an index into these arrays and plays the part of `struct page *`. Physical memory may
 * have holes; each contiguous stretch ("chunk") gets a run of indices whose distance to the PFN is a
 * multiple of the largest buddy block, so that buddy and pageblock arithmetic works on indices.
 * Links of lists (buddy, per-CPU, LRU) are threaded through the same arrays, with list heads behind
 * the last page, so that a page leaves its list without knowing which one it is on.
 */
import { PG_head, ZONES_PGSHIFT } from './page-flags.js';

declare const brand: unique symbol;
/** An index into the memmap: `struct page *`. */
export type Page = number & { readonly [brand]: 'Page' };

/** Bytes of the fields below for one page; the bound is 64. */
export const BYTES_PER_PAGE = 41;

/** Room for list heads: free areas, per-CPU lists and LRUs of every zone. */
const MAX_LIST_HEADS = 1 << 14;

interface Chunk {
  readonly startPfn: number;
  readonly endPfn: number;
  /** Index of startPfn. */
  readonly first: number;
}

export class Memmap {
  readonly pageShift: number;
  /** Indices 0 .. pages-1. */
  readonly pages: number;
  readonly pageblockOrder: number;
  readonly maxPageOrder: number;
  readonly pageblockNrPages: number;

  /** PG_* and, in the top two bits, the zone. */
  readonly flags: Uint32Array;
  readonly refcount: Int32Array;
  /** Number of page-table entries that map the page. */
  readonly mapcount: Int32Array;
  /** Order of a free block (PG_buddy) or of a compound page (PG_head). */
  readonly order: Uint8Array;
  /** Index of the head page plus 1, for tails of compound pages; else 0. */
  readonly compoundHead: Int32Array;
  /** (anon_vma id << 1) | 1, file id << 1, or 0; below 0 a KSM page's (ksm.ts). */
  readonly mapping: Int32Array;
  /** linear_page_index() in the VMAs that map it. */
  readonly index: Float64Array;
  readonly private: Uint32Array;
  readonly next: Int32Array;
  readonly prev: Int32Array;
  /** Migratetype of each pageblock. */
  readonly #pageblocks: Uint8Array;
  /** Node of each pageblock. */
  readonly #nodes: Uint8Array;

  readonly #chunks: readonly Chunk[];
  #heads: number;

  /** @param ranges present memory, in PFNs, end exclusive, ascending and disjoint. */
  constructor(
    ranges: readonly { readonly startPfn: number; readonly endPfn: number }[],
    pageShift: number,
    maxPageOrder: number,
    pageblockOrder: number,
  ) {
    this.pageShift = pageShift;
    this.maxPageOrder = maxPageOrder;
    this.pageblockOrder = pageblockOrder;
    this.pageblockNrPages = 2 ** pageblockOrder;
    const align = 2 ** Math.max(maxPageOrder, pageblockOrder);
    const chunks: Chunk[] = [];
    let pages = 0;
    for (const range of ranges) {
      const startPfn = Math.floor(range.startPfn / align) * align;
      const endPfn = Math.ceil(range.endPfn / align) * align;
      const last = chunks[chunks.length - 1];
      if (last && startPfn <= last.endPfn) {
        const grown = Math.max(endPfn, last.endPfn);
        pages += grown - last.endPfn;
        chunks[chunks.length - 1] = { ...last, endPfn: grown };
      } else {
        chunks.push({ startPfn, endPfn, first: pages });
        pages += endPfn - startPfn;
      }
    }
    this.#chunks = chunks;
    this.pages = pages;
    this.flags = new Uint32Array(pages);
    this.refcount = new Int32Array(pages);
    this.mapcount = new Int32Array(pages);
    this.order = new Uint8Array(pages);
    this.compoundHead = new Int32Array(pages);
    this.mapping = new Int32Array(pages);
    this.index = new Float64Array(pages);
    this.private = new Uint32Array(pages);
    this.next = new Int32Array(pages + MAX_LIST_HEADS);
    this.prev = new Int32Array(pages + MAX_LIST_HEADS);
    this.#pageblocks = new Uint8Array(Math.ceil(pages / this.pageblockNrPages));
    this.#nodes = new Uint8Array(this.#pageblocks.length);
    this.#heads = pages;
  }

  /** pfn_to_page(), undefined for a PFN without a struct page (pfn_valid() false). */
  pfnToPage(pfn: number): Page | undefined {
    for (const chunk of this.#chunks) {
      if (pfn >= chunk.startPfn && pfn < chunk.endPfn) return (pfn - chunk.startPfn + chunk.first) as Page;
    }
    return undefined;
  }

  pageToPfn(page: Page): number {
    for (const chunk of this.#chunks) {
      const offset = page - chunk.first;
      if (offset >= 0 && offset < chunk.endPfn - chunk.startPfn) return chunk.startPfn + offset;
    }
    throw new RangeError(`no page ${page}`);
  }

  /** Highest PFN with a struct page, plus 1. */
  get endPfn(): number {
    return this.#chunks[this.#chunks.length - 1]?.endPfn ?? 0;
  }

  test(page: Page, flag: number): boolean {
    return (this.flags[page]! & flag) !== 0;
  }

  set(page: Page, flag: number): void {
    this.flags[page] = this.flags[page]! | flag;
  }

  clear(page: Page, flag: number): void {
    this.flags[page] = this.flags[page]! & ~flag;
  }

  zoneOf(page: Page): number {
    return this.flags[page]! >>> ZONES_PGSHIFT;
  }

  /** page_to_nid(). */
  nodeOf(page: Page): number {
    return this.#nodes[page >>> this.pageblockOrder]!;
  }

  /** The whole pageblock belongs to one node. */
  setPageblockNode(page: Page, nodeId: number): void {
    this.#nodes[page >>> this.pageblockOrder] = nodeId;
  }

  /** compound_head(): the page itself where it is no tail. */
  head(page: Page): Page {
    const head = this.compoundHead[page]!;
    return head === 0 ? page : ((head - 1) as Page);
  }

  /** folio_order(). */
  folioOrder(head: Page): number {
    return this.test(head, PG_head) ? this.order[head]! : 0;
  }

  /** get_pageblock_migratetype(). */
  pageblockMigratetype(page: Page): number {
    return this.#pageblocks[page >>> this.pageblockOrder]!;
  }

  setPageblockMigratetype(page: Page, migratetype: number): void {
    this.#pageblocks[page >>> this.pageblockOrder] = migratetype;
  }

  /** A new, empty list; its head is an index behind the last page. */
  newListHead(): number {
    const head = this.#heads++;
    if (head >= this.next.length) throw new RangeError('too many list heads');
    this.next[head] = head;
    this.prev[head] = head;
    return head;
  }

  listEmpty(head: number): boolean {
    return this.next[head] === head;
  }

  /** First entry, or undefined. */
  listFirst(head: number): Page | undefined {
    const first = this.next[head]!;
    return first === head ? undefined : (first as Page);
  }

  listLast(head: number): Page | undefined {
    const last = this.prev[head]!;
    return last === head ? undefined : (last as Page);
  }

  /** list_add(): behind the head. */
  listAdd(page: Page, head: number): void {
    const after = this.next[head]!;
    this.next[page] = after;
    this.prev[page] = head;
    this.prev[after] = page;
    this.next[head] = page;
  }

  listAddTail(page: Page, head: number): void {
    const before = this.prev[head]!;
    this.prev[page] = before;
    this.next[page] = head;
    this.next[before] = page;
    this.prev[head] = page;
  }

  listDel(page: Page): void {
    const before = this.prev[page]!;
    const after = this.next[page]!;
    this.next[before] = after;
    this.prev[after] = before;
    this.next[page] = page;
    this.prev[page] = page;
  }
}
