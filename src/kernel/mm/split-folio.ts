/**
 * A large folio becomes single pages (mm/huge_memory.c: split_huge_page_to_list_to_order()).
 *
 * All its entries become migration entries of single pages, at which faults wait (those of a file's folio just go,
 * for faults find its pages in the cache); if nobody holds a reference beyond what is known, the pages part, each
 * with its own count, flags and, as it already had them, tags.
 */
import type { MaySleep } from '../contexts/index.js';
import { EAGAIN, EBUSY, racePoint } from '../contexts/index.js';
import { countCached, type Inode, inodeOf } from './filemap.js';
import { folioMapcount, folioNrPages, pagesMappedByPte } from './folio.js';
import { folioTrylock, folioUnlock } from './folio-lock.js';
import { pmdPage, splitHugePmdLocked } from './huge-memory.js';
import { lruAddDrainAll, lruvecAdd, lruvecDel, putPage } from './lru.js';
import type { Page } from './memmap.js';
import { removeMigrationPtes } from './migrate.js';
import type { Mm } from './mm.js';
import type { PglistData } from './node.js';
import { getPage } from './page-alloc.js';
import {
  PG_active,
  PG_dirty,
  PG_head,
  PG_isolated,
  PG_locked,
  PG_lru,
  PG_referenced,
  PG_swapbacked,
  PG_uptodate,
} from './page-flags.js';
import { pmdOffset, readPte } from './page-table.js';
import { pmdLeaf, ptePresent } from './pgtable.js';
import { isAnonPage, rmapWalk, tryToMigrate, tryToUnmap } from './rmap.js';
import type { Vma } from './vma.js';

/** Flags of the folio that every page of it has afterwards. */
const SPLIT_FLAGS = PG_referenced | PG_uptodate | PG_dirty | PG_active | PG_swapbacked;

const UNMAPPED = racePoint('split_huge_page unmapped');

/**
 * split_folio(), the folio locked and held by one reference of the caller, or by its isolation.
 *
 * @param kept the page that stays locked and has the caller's reference afterwards; the head without it.
 * @returns 0; -EBUSY where it is no large folio of anybody's; -EAGAIN where somebody else holds it, and it is as it
 *   was. The head stays isolated where it was; the other pages are on their LRU list, but for those beyond the end
 *   of their file, which leave the cache.
 */
export function* splitFolio(mm: Mm, head: Page, kept: Page = head): MaySleep<number> {
  const { memmap: map } = mm;
  const pages = folioNrPages(mm, head);
  const inode = inodeOf(mm, head);
  if (pages === 1 || (inode === undefined && !isAnonPage(mm, head))) return -EBUSY;
  // The cache has a reference to each page.
  const cached = inode === undefined ? 0 : pages;
  mm.bugOn(!map.test(head, PG_locked), 'split of an unlocked folio');
  // can_split_folio(): a reference in somebody's batch can be had back.
  const held = () => map.refcount[head]! > folioMapcount(mm, head) + cached + 1;
  if (held()) yield* lruAddDrainAll(mm);
  if (held() || mm.shouldFail('split_folio')) return fail(mm);
  const anonVma = mm.anonVmas.ofMapping(map.mapping[head]!);
  if (anonVma !== undefined) anonVma.refcount++;
  yield* rmapWalk(mm, head, (vma, addr) => splitPmdOf(mm, head, vma, addr));
  // unmap_folio().
  if (anonVma !== undefined) yield* tryToMigrate(mm, head);
  else yield* tryToUnmap(mm, head, false);
  if (mm.contexts.racing) yield UNMAPPED;
  const free = folioMapcount(mm, head) === 0 && map.refcount[head] === 1 + cached;
  if (free) splitLocked(mm, head, pages, inode);
  if (anonVma !== undefined) {
    const parts = free ? pages : 1;
    for (let i = 0; i < parts; i++) {
      const page = (head + i) as Page;
      yield* removeMigrationPtes(mm, page, page);
    }
    anonVma.refcount--;
    mm.anonVmas.release(anonVma);
  }
  if (!free) return fail(mm);
  mm.events.thp_split_page++;
  for (let i = 0; i < pages; i++) {
    const part = (head + i) as Page;
    if (part === kept) continue;
    folioUnlock(mm, part);
    // What nobody maps goes with this reference.
    yield* putPage(mm, part);
  }
  return 0;
}

function fail(mm: Mm): number {
  mm.events.thp_split_page_failed++;
  return -EAGAIN;
}

/** TTU_SPLIT_HUGE_PMD. */
function* splitPmdOf(mm: Mm, head: Page, vma: Vma, addr: number) {
  const as = vma.mm;
  yield* as.pageTableLock.lock();
  const at = addr >= vma.start ? pmdOffset(mm, as, addr) : undefined;
  const pmd = at === undefined ? 0n : readPte(mm, at);
  if (at !== undefined && pmdLeaf(pmd) && ptePresent(pmd) && pmdPage(mm, pmd) === head) {
    yield* splitHugePmdLocked(mm, as, at, addr);
  }
  as.pageTableLock.unlock();
  return true;
}

/** __split_huge_page(): nobody can see the pages, so this is one step. */
function splitLocked(mm: Mm, head: Page, pages: number, inode: Inode | undefined): void {
  const { memmap: map } = mm;
  const onLru = map.test(head, PG_lru);
  if (onLru) lruvecDel(mm, head);
  else if (map.test(head, PG_isolated)) mm.nodeStats(head).nr_isolated_anon -= pages - 1;
  mm.pageNode(head).deferredSplit.delete(head);
  map.clear(head, PG_head);
  map.order[head] = 0;
  for (let i = 1; i < pages; i++) {
    const tail = (head + i) as Page;
    map.compoundHead[tail] = 0;
    map.private[tail] = 0;
    // One for whoever splits, and one for the cache.
    map.refcount[tail] = inode === undefined ? 1 : 2;
    map.mapping[tail] = map.mapping[head]!;
    map.index[tail] = map.index[head]! + i;
    // The tails are locked until their entries are back.
    map.set(tail, (map.flags[head]! & SPLIT_FLAGS) | PG_locked);
    lruvecAdd(mm, tail);
  }
  if (onLru) lruvecAdd(mm, head);
  if (inode === undefined) return;
  map.refcount[head]! -= pages - 1;
  countCached(mm, inode, head, 0, -1);
  dropBeyondEnd(mm, inode, head, pages);
}

/** Pages that the file got with its huge page and never was long enough for. */
function dropBeyondEnd(mm: Mm, inode: Inode, head: Page, pages: number): void {
  const { memmap: map } = mm;
  const end = Math.ceil(inode.size / mm.pageSize);
  for (let i = Math.max(1, end - map.index[head]!); i < pages; i++) {
    const tail = (head + i) as Page;
    inode.pages.delete(map.index[tail]!);
    map.mapping[tail] = 0;
    map.refcount[tail]!--;
    map.clear(tail, PG_dirty);
    countCached(mm, inode, tail, -1, 0);
  }
}

/** split_folio() by somebody who has no reference yet: a deferred split, or a debugger. */
export function* splitFolioUnlocked(mm: Mm, head: Page): MaySleep<boolean> {
  if (!folioTrylock(mm, head)) return false;
  getPage(mm, head);
  const split = (yield* splitFolio(mm, head)) === 0;
  folioUnlock(mm, head);
  yield* putPage(mm, head);
  return split;
}

/** deferred_split_scan(): folios some of whose pages serve nobody are split. @returns how many pages that freed. */
export function* deferredSplitScan(mm: Mm, node: PglistData, most = 32): MaySleep<number> {
  let freed = 0;
  for (const head of [...node.deferredSplit].slice(0, most)) {
    if (!node.deferredSplit.delete(head)) continue;
    const unused = folioNrPages(mm, head) - pagesMappedByPte(mm, head);
    if (yield* splitFolioUnlocked(mm, head)) freed += unused;
  }
  return freed;
}
