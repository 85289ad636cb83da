/**
 * Swap: a simulated device with slots, who refers to each, and the swap cache (mm/swapfile.c,
 * mm/swap_state.c, mm/page_io.c).
 *
 * A slot's count is the number of page-table entries (and entries of files of RAM) that name it; the swap
 * cache may hold its page besides. The device is a map of pages outside guest memory, whose operations
 * take time and can fail. There is no swap until swapon().
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { sleepPoint } from '../contexts/index.js';
import { folioTrylock, folioUnlock } from './folio-lock.js';
import type { Gfp } from './gfp.js';
import { GFP_HIGHUSER_MOVABLE } from './gfp.js';
import { folioAddLru, putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import { allocPages, getPage } from './page-alloc.js';
import { PG_dirty, PG_swapbacked, PG_swapcache, PG_uptodate } from './page-flags.js';
import type { Vma } from './vma.js';

/** A slot's number on the one device (swp_entry_t with type 0). */
export type SwapEntry = number & { readonly __swapEntry?: never };

const SWAP_IO = sleepPoint('swap I/O');

/** struct swap_info_struct of the one device. */
export class SwapDevice {
  readonly pages: number;
  /** swap_map: references of each slot, the cache's not counted. */
  readonly counts: Uint16Array;
  /** SWAP_HAS_CACHE: the swap cache's page of each slot. */
  readonly cache = new Map<SwapEntry, Page>();
  readonly #contents = new Map<SwapEntry, Uint8Array>();
  readonly #free: SwapEntry[] = [];

  constructor(pages: number) {
    this.pages = pages;
    this.counts = new Uint16Array(pages);
    for (let slot = pages - 1; slot >= 0; slot--) this.#free.push(slot);
  }

  get freeSlots(): number {
    return this.#free.length;
  }

  takeSlot(): SwapEntry | undefined {
    return this.#free.pop();
  }

  giveBack(entry: SwapEntry): void {
    this.#contents.delete(entry);
    this.#free.push(entry);
  }

  contents(entry: SwapEntry): Uint8Array | undefined {
    return this.#contents.get(entry);
  }

  write(entry: SwapEntry, data: Uint8Array): void {
    this.#contents.set(entry, data);
  }
}

/** swapon() of a device of `pages` pages; once. */
export function swapon(mm: Mm, pages: number): void {
  mm.bugOn(mm.swap !== undefined, 'there is swap already');
  if (pages > 0) mm.swap = new SwapDevice(pages);
}

/** swap_duplicate(): another entry names the slot. */
export function swapDuplicate(mm: Mm, entry: SwapEntry): void {
  mm.swap!.counts[entry]!++;
}

/** swap_free(): one entry less; the slot is free when the cache has not got it either. */
export function* swapFree(mm: Mm, entry: SwapEntry): Atomic<void> {
  const swap = mm.swap!;
  mm.bugOn(swap.counts[entry] === 0, `swap slot ${entry} is free`);
  swap.counts[entry]!--;
  yield* freeIfUnused(mm, entry);
}

function* freeIfUnused(mm: Mm, entry: SwapEntry): Atomic<void> {
  const swap = mm.swap!;
  if (swap.counts[entry]! > 0 || swap.cache.has(entry)) return;
  // Its saved tags go with it, before anybody else can have the slot.
  yield* mm.hooks.archSwapInvalidatePage(entry);
  swap.giveBack(entry);
}

/** free_swap_and_cache(): an entry goes away unread; its page in the cache too, if nobody uses it. */
export function* freeSwapAndCache(mm: Mm, entry: SwapEntry): Atomic<void> {
  yield* swapFree(mm, entry);
  const swap = mm.swap!;
  const page = swap.cache.get(entry);
  if (page === undefined || swap.counts[entry]! > 0 || mm.memmap.mapcount[page]! > 0) return;
  if (!folioTrylock(mm, page)) return;
  getPage(mm, page);
  yield* deleteFromSwapCache(mm, page);
  folioUnlock(mm, page);
  yield* putPage(mm, page);
}

/** add_to_swap_cache(): the cache takes a reference. */
export function addToSwapCache(mm: Mm, page: Page, entry: SwapEntry): void {
  getPage(mm, page);
  mm.memmap.set(page, PG_swapcache);
  mm.memmap.private[page] = entry;
  mm.swap!.cache.set(entry, page);
  mm.nodeStats(page).nr_swapcached++;
}

/** delete_from_swap_cache(): drops the cache's reference; the slot goes with its last user. */
export function* deleteFromSwapCache(mm: Mm, page: Page): Atomic<void> {
  const entry = mm.memmap.private[page]!;
  mm.memmap.clear(page, PG_swapcache);
  mm.memmap.private[page] = 0;
  mm.swap!.cache.delete(entry);
  mm.nodeStats(page).nr_swapcached--;
  yield* freeIfUnused(mm, entry);
  yield* putPage(mm, page);
}

/** folio_free_swap(): true if the page, locked, is no longer bound to a slot: nothing else names it. */
export function* folioFreeSwap(mm: Mm, page: Page): Atomic<boolean> {
  if (!mm.memmap.test(page, PG_swapcache)) return true;
  if (mm.swap!.counts[mm.memmap.private[page]!]! > 0) return false;
  yield* deleteFromSwapCache(mm, page);
  mm.memmap.set(page, PG_dirty);
  return true;
}

/** free_swap_cache(): the page lost a mapping; a slot that nobody names is of no use any more. */
export function* freeSwapCache(mm: Mm, page: Page): Atomic<void> {
  if (!mm.memmap.test(page, PG_swapcache) || mm.memmap.mapcount[page]! > 0) return;
  if (!folioTrylock(mm, page)) return;
  yield* folioFreeSwap(mm, page);
  folioUnlock(mm, page);
}

/** add_to_swap(): gives a locked page a slot; false where there is none. */
export function* addToSwap(mm: Mm, page: Page): Atomic<boolean> {
  if (mm.shouldFail('swap_slot')) return false;
  const entry = mm.swap?.takeSlot();
  if (entry === undefined) return false;
  addToSwapCache(mm, page, entry);
  // It has to be written whatever its entries say.
  mm.memmap.set(page, PG_dirty);
  yield* [];
  return true;
}

/** swap_writepage(): tags first, for they can fail; 0 or a negative errno, and the page is dirty still. */
export function* swapWritepage(mm: Mm, page: Page): MaySleep<number> {
  const entry = mm.memmap.private[page]!;
  const error = yield* mm.hooks.archPrepareToSwap(page, entry);
  if (error !== 0) return error;
  mm.memmap.clear(page, PG_dirty);
  yield SWAP_IO;
  if (mm.shouldFail('swap_write')) {
    mm.memmap.set(page, PG_dirty);
    return -5;
  }
  mm.swap!.write(entry, mm.port.readBytes(mm.pageToPa(page), mm.pageSize));
  mm.events.pswpout++;
  return 0;
}

/**
 * swap_read_folio() through the swap cache: the page of a slot, read where it is not in memory.
 *
 * @param vma the mapping it is read for: a tagged one wants its page allocated as tagged.
 * @returns the page, with a reference and not locked; undefined where memory is short; 'io' where the
 *   device fails; 'gone' where the slot is no longer in use.
 */
export function* readSwapCache(
  mm: Mm,
  entry: SwapEntry,
  vma: Vma | undefined,
): MaySleep<Page | undefined | 'io' | 'gone'> {
  const swap = mm.swap!;
  for (;;) {
    const cached = swap.cache.get(entry);
    if (cached !== undefined) {
      getPage(mm, cached);
      return cached;
    }
    const gfp: Gfp = GFP_HIGHUSER_MOVABLE;
    const page = yield* allocPages(mm, gfp | mm.hooks.archCalcVmaGfp(vma, gfp, 'swap-cache'), 0);
    if (page === undefined) return undefined;
    if (swap.cache.has(entry)) {
      yield* putPage(mm, page);
      continue;
    }
    if (swap.counts[entry] === 0) {
      yield* putPage(mm, page);
      return 'gone';
    }
    folioTrylock(mm, page);
    mm.memmap.set(page, PG_swapbacked);
    addToSwapCache(mm, page, entry);
    yield SWAP_IO;
    if (mm.shouldFail('swap_read')) {
      yield* deleteFromSwapCache(mm, page);
      folioUnlock(mm, page);
      yield* putPage(mm, page);
      return 'io';
    }
    mm.port.writeBytes(mm.pageToPa(page), swap.contents(entry)!);
    mm.memmap.set(page, PG_uptodate);
    mm.events.pswpin++;
    yield* folioAddLru(mm, page);
    folioUnlock(mm, page);
    return page;
  }
}
