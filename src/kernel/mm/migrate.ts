/**
 * Page migration: moving the contents of pages that are in use (mm/migrate.c).
 *
 * A page is locked, unmapped (every entry becomes a migration entry, at which faults wait), copied
 * with its tags, and mapped again at its new place. A reference nobody accounts for, such as a pin,
 * makes it fail with -EAGAIN; the caller's list keeps what could not be moved.
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EAGAIN, ENOMEM, racePoint, sleepPoint } from '../contexts/index.js';
import { countCached, type Inode, inodeOf } from './filemap.js';
import { folioMapcount, folioNrPages, isLarge } from './folio.js';
import { folioLock, folioUnlock } from './folio-lock.js';
import type { Gfp } from './gfp.js';
import { __GFP_COMP, __GFP_DIRECT_RECLAIM, __GFP_NOWARN } from './gfp.js';
import { folioMigrateKsm, isKsmPage } from './ksm.js';
import { folioAddLru, folioIsolateLru, folioPutbackLru, lruAddDrain, mlockFolio, putPage } from './lru.js';
import type { Page } from './memmap.js';
import { copyUserHighpage } from './memory.js';
import type { Mm } from './mm.js';
import { allocPages, getPage } from './page-alloc.js';
import {
  PG_active,
  PG_dirty,
  PG_isolated,
  PG_locked,
  PG_referenced,
  PG_swapbacked,
  PG_swapcache,
  PG_uptodate,
} from './page-flags.js';
import { readPte, setHugePmd, setPtes } from './page-table.js';
import type { Pte } from './pgtable.js';
import {
  isMigrationEntry,
  isMigrationEntryDirty,
  isMigrationEntryYoung,
  isReadExclusiveMigrationEntry,
  isWritableMigrationEntry,
  migrationEntryPfn,
  paPte,
  pmdMkhuge,
  pteMkdirty,
  pteMkold,
  pteMkwrite,
} from './pgtable.js';
import {
  folioAddAnonRmap,
  folioAddFileRmap,
  folioAddRmapPmd,
  isAnonPage,
  mappedEntries,
  rmapWalk,
  tryToMigrate,
} from './rmap.js';
import { splitFolio } from './split-folio.js';
import { VM_LOCKED, type Vma } from './vma.js';
import { folioWaitWriteback } from './writeback.js';

/** NR_MAX_MIGRATE_PAGES_RETRY. */
const MAX_RETRIES = 10;

const COPY_PAGE = racePoint('migrate copy');
const COND_RESCHED = sleepPoint('cond_resched');

/** new_folio_t: where a page shall go; undefined where memory is short. */
export type NewFolio = (source: Page) => MaySleep<Page | undefined>;

/** Flags that describe the contents, and so move with them. */
const MIGRATED_FLAGS = PG_referenced | PG_uptodate | PG_dirty | PG_active | PG_swapbacked;

/** migration_entry_wait(): until the page's migration has ended, one way or the other. */
export function* migrationEntryWait(mm: Mm, entry: Pte): MaySleep<void> {
  const page = mm.memmap.pfnToPage(migrationEntryPfn(entry));
  if (page === undefined) return;
  yield* mm.pageWaitQueue.waitEvent(() => !mm.memmap.test(mm.memmap.head(page), PG_locked));
}

/** remove_migration_ptes(): the entries made for `from` now map `to` (the same page, when undoing). */
export function* removeMigrationPtes(mm: Mm, from: Page, to: Page): MaySleep<void> {
  const pfn = mm.memmap.pageToPfn(from);
  yield* rmapWalk(mm, to, (vma, addr) => removeMigrationPte(mm, vma, addr, pfn, to));
}

function* removeMigrationPte(mm: Mm, vma: Vma, addr: number, oldPfn: number, to: Page): Atomic<boolean> {
  const as = vma.mm;
  yield* as.pageTableLock.lock();
  const wasFor = (entry: Pte, page: Page): boolean =>
    isMigrationEntry(entry) && migrationEntryPfn(entry) === oldPfn + page - to;
  for (const { at, page, huge } of mappedEntries(mm, to, vma, addr, wasFor)) {
    const entry = readPte(mm, at);
    getPage(mm, page);
    // vm_page_prot: the memory type may have become Normal Tagged meanwhile; the hook will see.
    let pte = paPte(mm.pageToPa(page), vma.pageProt);
    if (!isMigrationEntryYoung(entry)) pte = pteMkold(pte);
    if (isMigrationEntryDirty(entry)) pte = pteMkdirty(pte);
    if (isWritableMigrationEntry(entry)) pte = pteMkwrite(pte);
    const exclusive = isWritableMigrationEntry(entry) || isReadExclusiveMigrationEntry(entry);
    if ((vma.flags & VM_LOCKED) !== 0 && (huge || !isLarge(mm, to))) mlockFolio(mm, to);
    if (huge) {
      folioAddRmapPmd(mm, page, exclusive);
      yield* setHugePmd(mm, at, pmdMkhuge(pte));
      continue;
    }
    if (isAnonPage(mm, page)) folioAddAnonRmap(mm, page, exclusive);
    else folioAddFileRmap(mm, page);
    yield* setPtes(mm, at, pte);
  }
  as.pageTableLock.unlock();
  return true;
}

/**
 * folio_migrate_mapping(): only the isolation, and for a file's page the cache, may still hold a reference.
 * The cache then finds the new page, which stays locked until its contents are there.
 */
function* migrateMapping(mm: Mm, to: Page, from: Page): MaySleep<number> {
  const map = mm.memmap;
  const inode = inodeOf(mm, from);
  const swapcache = map.test(from, PG_swapcache);
  const pages = folioNrPages(mm, from);
  const cached = inode || swapcache ? pages : 0;
  if (map.refcount[from] !== 1 + cached) return -EAGAIN;
  map.mapping[to] = map.mapping[from]!;
  map.index[to] = map.index[from]!;
  if (swapcache) moveSwapCache(mm, to, from);
  if (inode) {
    if (inode.disk !== undefined && map.test(from, PG_dirty)) {
      mm.nodeStats(from).nr_dirty--;
      mm.nodeStats(to).nr_dirty++;
    }
    yield* moveInPageCache(mm, inode, to, from);
  } else if (swapcache) {
    yield* putPage(mm, from);
  }
  return 0;
}

/** The slot's page is another one from now on; the cache's reference moves with it. */
function moveSwapCache(mm: Mm, to: Page, from: Page): void {
  const map = mm.memmap;
  const entry = map.private[from]!;
  mm.swap!.cache.set(entry, to);
  mm.nodeStats(from).nr_swapcached--;
  mm.nodeStats(to).nr_swapcached++;
  map.private[to] = entry;
  map.set(to, PG_swapcache);
  map.private[from] = 0;
  map.clear(from, PG_swapcache);
  getPage(mm, to);
}

/** The cache finds the old page again: the copy failed. */
function* undoMigrateMapping(mm: Mm, to: Page, from: Page): MaySleep<void> {
  const inode = inodeOf(mm, to);
  mm.memmap.mapping[to] = 0;
  if (mm.memmap.test(to, PG_swapcache)) {
    moveSwapCache(mm, from, to);
    yield* putPage(mm, to);
  }
  if (!inode) return;
  if (inode.disk !== undefined && mm.memmap.test(from, PG_dirty)) {
    mm.nodeStats(to).nr_dirty--;
    mm.nodeStats(from).nr_dirty++;
  }
  yield* moveInPageCache(mm, inode, from, to);
}

/** The cache finds the pages of another folio from now on; its references move with it. */
function* moveInPageCache(mm: Mm, inode: Inode, to: Page, from: Page): Atomic<void> {
  const { memmap: map } = mm;
  const pages = folioNrPages(mm, from);
  for (let i = 0; i < pages; i++) inode.pages.set(map.index[from]! + i, (to + i) as Page);
  map.refcount[to]! += pages;
  map.refcount[from]! -= pages - 1;
  const huge = pages > 1 ? 1 : 0;
  countCached(mm, inode, from, -pages, -huge);
  countCached(mm, inode, to, pages, huge);
  yield* putPage(mm, from);
}

/** folio_copy(): data and tags of every page, where allocation is allowed; unmapped, their tags hold still. */
function* copyContents(mm: Mm, to: Page, from: Page): MaySleep<number> {
  for (let i = 0; i < folioNrPages(mm, from); i++) {
    const error = yield* copyUserHighpage(mm, (to + i) as Page, (from + i) as Page);
    if (error !== 0) return error;
  }
  return 0;
}

/** migrate_folio_unmap() and migrate_folio_move() of one isolated page. */
function* migrateOne(mm: Mm, from: Page, to: Page): MaySleep<number> {
  const map = mm.memmap;
  yield* folioLock(mm, from);
  yield* folioWaitWriteback(mm, from);
  const anonVma = folioMapcount(mm, from) > 0 ? mm.anonVmas.ofMapping(map.mapping[from]!) : undefined;
  if (anonVma) anonVma.refcount++;
  yield* folioLock(mm, to);
  const wasMapped = folioMapcount(mm, from) > 0;
  if (wasMapped) yield* tryToMigrate(mm, from);
  let result = folioMapcount(mm, from) > 0 ? -EAGAIN : 0;
  if (result === 0 && mm.shouldFail('migrate')) result = -EAGAIN;
  if (result === 0) result = yield* migrateMapping(mm, to, from);
  const replaced = result === 0;
  if (mm.contexts.racing) yield COPY_PAGE;
  if (result === 0) result = yield* copyContents(mm, to, from);
  if (result === 0) {
    map.set(to, map.flags[from]! & MIGRATED_FLAGS);
    if (isKsmPage(mm, from)) folioMigrateKsm(mm, to, from);
    yield* folioAddLru(mm, to);
    if (wasMapped) {
      yield* lruAddDrain(mm);
      yield* removeMigrationPtes(mm, from, to);
    }
    // Nobody finds the old page by its file any more.
    if (!isAnonPage(mm, from)) map.mapping[from] = 0;
  } else {
    if (replaced) yield* undoMigrateMapping(mm, to, from);
    if (wasMapped) yield* removeMigrationPtes(mm, from, from);
  }
  folioUnlock(mm, to);
  if (anonVma) {
    anonVma.refcount--;
    mm.anonVmas.release(anonVma);
  }
  folioUnlock(mm, from);
  return result;
}

/**
 * migrate_pages(): moves isolated pages to where `newFolio` says, trying -EAGAIN again up to ten times.
 *
 * @param from isolated pages (folio_isolate_lru); those moved are removed and freed.
 * @returns the number that could not be moved, or -ENOMEM where no destination could be had.
 */
export function* migratePages(mm: Mm, from: Page[], newFolio: NewFolio): MaySleep<number> {
  mm.contexts.mightSleep('migrate_pages');
  let failed = 0;
  const queue = [...from];
  for (let page = queue.shift(); page !== undefined; page = queue.shift()) {
    const pages = folioNrPages(mm, page);
    let result = yield* migrateWithRetries(mm, page, newFolio);
    if (pages > 1) {
      if (result === 0) mm.events.thp_migration_success++;
      // try_split_folio(): small pages can go where there is no room for a large one.
      if (result === -ENOMEM && (yield* splitIsolated(mm, page, from, queue))) {
        mm.events.thp_migration_split++;
        result = yield* migrateWithRetries(mm, page, newFolio);
      } else if (result !== 0) {
        mm.events.thp_migration_fail++;
      }
    }
    if (result === 0) {
      const moved = folioNrPages(mm, page);
      from.splice(from.indexOf(page), 1);
      mm.memmap.clear(page, PG_isolated);
      mm.nodeStats(page).nr_isolated_anon -= moved;
      mm.events.pgmigrate_success += moved;
      yield* putPage(mm, page);
    } else {
      failed++;
      mm.events.pgmigrate_fail += folioNrPages(mm, page);
      if (result === -ENOMEM) return -ENOMEM;
    }
  }
  return failed;
}

/** The folio and its former tails, all isolated now, join both lists. */
function* splitIsolated(mm: Mm, page: Page, from: Page[], queue: Page[]): MaySleep<boolean> {
  const pages = folioNrPages(mm, page);
  yield* folioLock(mm, page);
  const split = (yield* splitFolio(mm, page)) === 0;
  folioUnlock(mm, page);
  if (!split) return false;
  yield* lruAddDrain(mm);
  for (let i = 1; i < pages; i++) {
    const tail = (page + i) as Page;
    if (!folioIsolateLru(mm, tail)) continue;
    from.push(tail);
    queue.push(tail);
  }
  return true;
}

/** alloc_migration_target(): on its node if possible, and as large as the source; of a large one, only what is there at once. */
export function* allocLike(mm: Mm, source: Page, gfp: Gfp): MaySleep<Page | undefined> {
  const order = mm.memmap.folioOrder(source);
  const node = mm.pageNode(source);
  if (order === 0) return yield* allocPages(mm, gfp, 0, node);
  const light = (gfp | __GFP_COMP | __GFP_NOWARN) & ~__GFP_DIRECT_RECLAIM;
  return yield* allocPages(mm, light, order, node);
}

function* migrateWithRetries(mm: Mm, page: Page, newFolio: NewFolio): MaySleep<number> {
  // Freed by its owner while we held it: nothing to move. (A file's page has a reference of the cache.)
  const gone = () => mm.memmap.refcount[page] === 1 && folioMapcount(mm, page) === 0;
  if (gone()) return 0;
  const to = yield* newFolio(page);
  if (to === undefined) return -ENOMEM;
  if (mm.memmap.folioOrder(to) !== mm.memmap.folioOrder(page)) {
    // Whoever gives small pages only gets the folio split.
    yield* putPage(mm, to);
    return -ENOMEM;
  }
  let result = -EAGAIN;
  for (let attempt = 0; attempt < MAX_RETRIES && result === -EAGAIN; attempt++) {
    if (attempt > 0) yield COND_RESCHED;
    result = gone() ? 0 : yield* migrateOne(mm, page, to);
  }
  // After success the mappings hold references of their own; otherwise this frees it.
  yield* putPage(mm, to);
  return result;
}

/** putback_movable_pages(). */
export function* putbackMovablePages(mm: Mm, pages: readonly Page[]): MaySleep<void> {
  for (const page of pages) yield* folioPutbackLru(mm, page);
}
