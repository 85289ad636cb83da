/**
 * LRU lists, which are their node's (node.ts), and the per-CPU batches before them (mm/swap.c).
 *
 * A new page first waits, with a reference, in its CPU's batch; only pages that reached a list can be
 * isolated for migration. That is why contiguous allocation drains all CPUs, and why it disables the
 * batches while it works: the cost behind the Chrome start-up regression of v1 and v2.
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { racePoint } from '../contexts/index.js';
import { freeHugeFolio } from './hugetlb.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import {
  LRU_ACTIVE_ANON,
  LRU_ACTIVE_FILE,
  LRU_INACTIVE_ANON,
  LRU_INACTIVE_FILE,
  LRU_UNEVICTABLE,
} from './node.js';
import { freeUnrefPage, getPage, putPageTestzero } from './page-alloc.js';
import {
  PG_active,
  PG_hugetlb,
  PG_isolated,
  PG_lru,
  PG_mlocked,
  PG_swapbacked,
  PG_unevictable,
} from './page-flags.js';

/** Pages a folio_batch holds. */
const PAGEVEC_SIZE = 15;

const LRU_ADD = racePoint('lru_add');

export class LruCache {
  /** lru_add batches, one a CPU. */
  readonly batches: Page[][];
  /** lru_disable_count. */
  disabled = 0;

  constructor(cpus: number) {
    this.batches = Array.from({ length: cpus }, () => []);
  }
}

/** folio_lru_list(). */
function lruListOf(mm: Mm, page: Page): number {
  const flags = mm.memmap.flags[page]!;
  if ((flags & PG_unevictable) !== 0) return LRU_UNEVICTABLE;
  const active = (flags & PG_active) !== 0;
  if ((flags & PG_swapbacked) !== 0) return active ? LRU_ACTIVE_ANON : LRU_INACTIVE_ANON;
  return active ? LRU_ACTIVE_FILE : LRU_INACTIVE_FILE;
}

/** update_lru_size(). */
function updateLruSize(mm: Mm, page: Page, list: number, pages: number): void {
  mm.pageNode(page).lruvec.sizes[list]! += pages;
  mm.pageZone(page).lruSizes[list]! += pages;
}

/** lru_add_fn(): a folio that must stay goes where reclaim does not look; lruvec_add_folio(). */
export function lruvecAdd(mm: Mm, page: Page): void {
  if (mm.memmap.test(page, PG_mlocked)) {
    if (!mm.memmap.test(page, PG_unevictable))
      mm.events.unevictable_pgs_culled += 1 << mm.memmap.folioOrder(page);
    mm.memmap.clear(page, PG_active);
    mm.memmap.set(page, PG_unevictable);
  } else if (mm.memmap.test(page, PG_unevictable)) {
    mm.events.unevictable_pgs_rescued += 1 << mm.memmap.folioOrder(page);
    mm.memmap.clear(page, PG_unevictable);
  }
  const list = lruListOf(mm, page);
  mm.memmap.set(page, PG_lru);
  mm.memmap.listAdd(page, mm.pageNode(page).lruvec.lists[list]!);
  updateLruSize(mm, page, list, 1 << mm.memmap.folioOrder(page));
}

/** lruvec_del_folio(). */
export function lruvecDel(mm: Mm, page: Page): void {
  const list = lruListOf(mm, page);
  mm.memmap.clear(page, PG_lru);
  mm.memmap.listDel(page);
  updateLruSize(mm, page, list, -(1 << mm.memmap.folioOrder(page)));
}

/** Changes PG_mlocked of a folio, and with it the list that it is on. */
function setMlocked(mm: Mm, head: Page, locked: boolean): void {
  const onList = mm.memmap.test(head, PG_lru);
  if (onList) lruvecDel(mm, head);
  if (locked) mm.memmap.set(head, PG_mlocked);
  else mm.memmap.clear(head, PG_mlocked);
  mm.pageZone(head).nrMlock += (locked ? 1 : -1) << mm.memmap.folioOrder(head);
  if (onList) lruvecAdd(mm, head);
}

/** mlock_folio(). */
export function mlockFolio(mm: Mm, head: Page): void {
  if (mm.memmap.test(head, PG_mlocked)) return;
  setMlocked(mm, head, true);
  mm.events.unevictable_pgs_mlocked += 1 << mm.memmap.folioOrder(head);
}

/** munlock_folio(), by a program; or 'cleared', because nobody maps the folio any more. */
export function munlockFolio(mm: Mm, head: Page, why: 'munlocked' | 'cleared'): void {
  if (!mm.memmap.test(head, PG_mlocked)) return;
  setMlocked(mm, head, false);
  mm.events[`unevictable_pgs_${why}`] += 1 << mm.memmap.folioOrder(head);
}

/** folio_add_lru(): through this CPU's batch. */
export function* folioAddLru(mm: Mm, page: Page): Atomic<void> {
  getPage(mm, page);
  const batch = mm.lru.batches[mm.contexts.current.cpu]!;
  batch.push(page);
  if (batch.length >= PAGEVEC_SIZE || mm.lru.disabled > 0) yield* lruAddDrainCpu(mm, mm.contexts.current.cpu);
}

/** lru_add_drain_cpu(): the batch goes to the lists. */
function* lruAddDrainCpu(mm: Mm, cpu: number): Atomic<void> {
  const batch = mm.lru.batches[cpu]!;
  while (batch.length > 0) {
    const page = batch.shift()!;
    lruvecAdd(mm, page);
    if (mm.contexts.racing) yield LRU_ADD;
    yield* putPage(mm, page);
  }
}

/** lru_add_drain(): of this CPU. */
export function* lruAddDrain(mm: Mm): Atomic<void> {
  yield* lruAddDrainCpu(mm, mm.contexts.current.cpu);
}

/** lru_add_drain_all(): an interrupt to every CPU. */
export function* lruAddDrainAll(mm: Mm): MaySleep<void> {
  mm.contexts.mightSleep('lru_add_drain_all');
  mm.metrics.lruDrains++;
  for (let cpu = 0; cpu < mm.lru.batches.length; cpu++) yield* lruAddDrainCpu(mm, cpu);
}

/** lru_cache_disable(): drains, and keeps pages from waiting in batches until enabled again. */
export function* lruCacheDisable(mm: Mm): MaySleep<void> {
  mm.lru.disabled++;
  yield* lruAddDrainAll(mm);
}

export function lruCacheEnable(mm: Mm): void {
  mm.lru.disabled--;
}

/** folio_put(): frees at the last reference, off the LRU first. */
export function* putPage(mm: Mm, page: Page): Atomic<void> {
  if (putPageTestzero(mm, page)) {
    const head = mm.memmap.head(page);
    if (mm.memmap.test(head, PG_hugetlb)) {
      yield* freeHugeFolio(mm, head);
      return;
    }
    if (mm.memmap.test(head, PG_lru)) lruvecDel(mm, head);
    yield* freeUnrefPage(mm, head, mm.memmap.folioOrder(head));
  }
}

/** folio_isolate_lru(): takes the page off its list with a reference; false where it is on none. */
export function folioIsolateLru(mm: Mm, page: Page): boolean {
  if (!mm.memmap.test(page, PG_lru)) return false;
  getPage(mm, page);
  lruvecDel(mm, page);
  mm.memmap.set(page, PG_isolated);
  mm.nodeStats(page).nr_isolated_anon += 1 << mm.memmap.folioOrder(page);
  return true;
}

/** folio_putback_lru(): back through the batch; drops the isolation's reference. */
export function* folioPutbackLru(mm: Mm, page: Page): Atomic<void> {
  mm.memmap.clear(page, PG_isolated);
  mm.nodeStats(page).nr_isolated_anon -= 1 << mm.memmap.folioOrder(page);
  yield* folioAddLru(mm, page);
  yield* putPage(mm, page);
}
