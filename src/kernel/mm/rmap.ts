/**
 * Reverse-map operations on pages: counting mappings, and walking every entry that maps one
 * (mm/rmap.c). A large folio is walked as a whole: where a PMD maps it, that is one entry, and where a table
 * does, as many as there are.
 */
import { PA } from '../../base/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { anonMapping, vmaAddress } from './anon-vma.js';
import { inodeOf } from './filemap.js';
import {
  addEntireMapping,
  addPteMapping,
  folioMapcount,
  folioNrPages,
  isLarge,
  pageAnonExclusive,
  pagesMappedByPte,
} from './folio.js';
import { maybeDmaPinned } from './gup.js';
import { isKsmPage, stableNodeOf } from './ksm.js';
import { mlockFolio, munlockFolio, putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import { PG_anon_exclusive, PG_hugetlb, PG_swapbacked } from './page-flags.js';
import {
  flushTlbPage,
  flushTlbRange,
  pmdOffset,
  pteOffset,
  ptepClearFlush,
  ptepGetAndClear,
  readPte,
  setHugePmd,
  setPtes,
} from './page-table.js';
import {
  makeMigrationEntry,
  makeSwapEntry,
  migrationEntryPfn,
  pmdLeaf,
  pteDirty,
  pteMkold,
  ptePa,
  ptePresent,
  pteSpecial,
  pteValid,
  pteWrite,
  pteYoung,
  SWP_MIGRATION_READ,
  SWP_MIGRATION_READ_EXCLUSIVE,
  SWP_MIGRATION_WRITE,
} from './pgtable.js';
import { swapDuplicate } from './swap.js';
import { VM_LOCKED, type Vma } from './vma.js';
import { folioMarkDirty } from './writeback.js';

/** folio_add_new_anon_rmap(): first mapping of a fresh folio, exclusive to this address space; a large one's by a PMD. */
export function folioAddNewAnonRmap(mm: Mm, page: Page, vma: Vma, addr: number): void {
  const map = mm.memmap;
  map.set(page, PG_swapbacked | PG_anon_exclusive);
  map.mapping[page] = anonMapping(vma.anonVma!);
  map.index[page] = linearPageIndex(mm, vma, addr);
  if (isLarge(mm, page)) {
    folioAddRmapPmd(mm, page, true);
    return;
  }
  map.mapcount[page] = 1;
  mm.nodeStats(page).nr_anon_pages++;
}

/** linear_page_index(). */
export function linearPageIndex(mm: Mm, vma: Vma, addr: number): number {
  return vma.pgoff + Math.floor((addr - vma.start) / mm.pageSize);
}

/** folio_test_anon(), of whichever page of it. */
export const isAnonPage = (mm: Mm, page: Page): boolean =>
  (mm.memmap.mapping[mm.memmap.head(page)]! & 1) === 1;

/** Whether a migration entry stands for an anonymous page: which of the two counters of its mm it is in. */
export const isMigrationEntryAnon = (mm: Mm, entry: bigint): boolean =>
  isAnonPage(mm, mm.memmap.pfnToPage(migrationEntryPfn(entry))!);

/** folio_add_file_rmap_pte(). */
export function folioAddFileRmap(mm: Mm, page: Page): void {
  if (addPteMapping(mm, page, 1) === 1) mm.nodeStats(page).nr_mapped++;
}

/** Another mapping of an anonymous page (fork, migration entries turned back). */
export function folioAddAnonRmap(mm: Mm, page: Page, exclusive: boolean): void {
  if (addPteMapping(mm, page, 1) === 1) mm.nodeStats(page).nr_anon_pages++;
  if (exclusive) mm.memmap.set(page, PG_anon_exclusive);
}

/** The counters of folios that PMDs map: one more or less with so many pages that nothing else maps. */
function countPmdMapped(mm: Mm, head: Page, by: 1 | -1, pages: number): void {
  // Set aside, they are in none of them.
  if (mm.memmap.test(head, PG_hugetlb)) return;
  const stats = mm.nodeStats(head);
  if (isAnonPage(mm, head)) {
    stats.nr_anon_pages += by * pages;
    stats.nr_anon_transparent_hugepages += by;
  } else {
    stats.nr_mapped += by * pages;
    stats.nr_shmem_pmdmapped += by;
  }
}

/** folio_add_anon_rmap_pmd() and folio_add_file_rmap_pmd(): a PMD maps the whole. */
export function folioAddRmapPmd(mm: Mm, head: Page, exclusive: boolean): void {
  const already = pagesMappedByPte(mm, head);
  if (addEntireMapping(mm, head, 1) === 1) countPmdMapped(mm, head, 1, folioNrPages(mm, head) - already);
  if (exclusive) mm.memmap.set(head, PG_anon_exclusive);
}

/** folio_remove_rmap_pmd(). */
export function folioRemoveRmapPmd(mm: Mm, head: Page): void {
  if (addEntireMapping(mm, head, -1) > 0) return;
  munlockFolio(mm, head, 'cleared');
  countPmdMapped(mm, head, -1, folioNrPages(mm, head) - pagesMappedByPte(mm, head));
}

/** A page of the swap cache is mapped: for the first time since it was read it learns whose it is. */
export function folioMapSwapped(mm: Mm, page: Page, vma: Vma, addr: number, exclusive: boolean): void {
  const map = mm.memmap;
  if (!isAnonPage(mm, page)) {
    map.mapping[page] = anonMapping(exclusive ? vma.anonVma! : vma.anonVma!.root);
    map.index[page] = linearPageIndex(mm, vma, addr);
  }
  folioAddAnonRmap(mm, page, exclusive);
}

/** folio_remove_rmap_pte(). */
export function folioRemoveRmap(mm: Mm, page: Page): void {
  if (addPteMapping(mm, page, -1) > 0) return;
  if (!isLarge(mm, mm.memmap.head(page))) munlockFolio(mm, page, 'cleared');
  if (isAnonPage(mm, page)) mm.nodeStats(page).nr_anon_pages--;
  else mm.nodeStats(page).nr_mapped--;
}

/** `addr` is the address of the folio's first page, which of a large one may lie before the VMA. */
type RmapVisitor = (vma: Vma, addr: number) => Atomic<boolean>;

/** vma_address() of a folio: where its first page is, or would be if the VMA began earlier. */
function folioAddress(mm: Mm, head: Page, vma: Vma): number | undefined {
  if (!isLarge(mm, head)) return vmaAddress(mm, head, vma);
  const addr = vma.start + (mm.memmap.index[head]! - vma.pgoff) * mm.pageSize;
  return addr < vma.end && addr + folioNrPages(mm, head) * mm.pageSize > vma.start ? addr : undefined;
}

/**
 * rmap_walk_ksm(): first the mappings that ksmd made, each by its own address, then copies that fork made of
 * them. The page is locked, which keeps its node's list as it is.
 */
function* rmapWalkKsm(mm: Mm, page: Page, visit: RmapVisitor, tryLock: boolean): MaySleep<void> {
  const node = stableNodeOf(mm, page);
  for (const forks of node === undefined ? [] : [false, true]) {
    for (const { anonVma, addr, mm: as } of node!.items) {
      const semaphore = anonVma!.semaphore;
      if (!tryLock) yield* semaphore.downRead();
      else if (!semaphore.tryDownRead()) return;
      let more = true;
      for (let seen = -1; more && seen !== anonVma!.generation; ) {
        seen = anonVma!.generation;
        for (const vma of anonVma!.members) {
          if (addr < vma.start || addr >= vma.end || (vma.mm === as) === forks) continue;
          more = yield* visit(vma, addr);
          if (!more) break;
        }
      }
      semaphore.upRead();
      if (!more) return;
    }
  }
}

/** rmap_walk(): calls `visit` for each VMA and address that may map the folio; stops where it returns false. */
export function* rmapWalk(mm: Mm, page: Page, visit: RmapVisitor, tryLock = false): MaySleep<void> {
  if (isKsmPage(mm, page)) {
    yield* rmapWalkKsm(mm, page, visit, tryLock);
    return;
  }
  const anonVma = mm.anonVmas.ofMapping(mm.memmap.mapping[page]!);
  const inode = anonVma ? undefined : inodeOf(mm, page);
  const semaphore = anonVma?.semaphore ?? inode?.mmapSemaphore;
  const tree = anonVma
    ? { members: anonVma.members, of: anonVma }
    : inode && { members: inode.mappings, of: inode };
  if (!semaphore || !tree) return;
  // Reclaim may run where the lock is held already.
  if (!tryLock) yield* semaphore.downRead();
  else if (!semaphore.tryDownRead()) return;
  for (let seen = -1, more = true; more && seen !== tree.of.generation; ) {
    // Again where two VMAs became one meanwhile: the grown one may have been passed already.
    seen = tree.of.generation;
    for (const vma of tree.members) {
      const addr = folioAddress(mm, page, vma);
      if (addr === undefined) continue;
      more = yield* visit(vma, addr);
      if (!more) break;
    }
  }
  semaphore.upRead();
}

/** An entry that maps a folio or a page of it. */
export interface MappedEntry {
  readonly at: PA;
  readonly addr: number;
  readonly page: Page;
  /** A PMD, for the whole. */
  readonly huge: boolean;
}

/**
 * page_vma_mapped_walk(): the entries by which `vma` maps the folio, whose first page is or would be at `addr`;
 * the table lock must be held.
 *
 * @param maps says whether an entry is for this page; by default, whether it is present and maps it.
 */
export function mappedEntries(
  mm: Mm,
  head: Page,
  vma: Vma,
  addr: number,
  maps: (entry: bigint, page: Page) => boolean = (entry, page) => entryMaps(mm, entry, page),
): MappedEntry[] {
  const out: MappedEntry[] = [];
  const pages = folioNrPages(mm, head);
  const pmdAt = pages > 1 && addr >= vma.start ? pmdOffset(mm, vma.mm, addr) : undefined;
  const pmd = pmdAt === undefined ? 0n : readPte(mm, pmdAt);
  if (pmdAt !== undefined && pmdLeaf(pmd) && addr % mm.layout.pmdSize === 0) {
    return maps(pmd, head) ? [{ at: pmdAt, addr, page: head, huge: true }] : [];
  }
  let at: PA | undefined;
  for (let i = 0; i < pages; i++) {
    const where = addr + i * mm.pageSize;
    if (where < vma.start || where >= vma.end) continue;
    // One look-up for each table.
    at = at === undefined || where % mm.layout.pmdSize === 0 ? pteOffset(mm, vma.mm, where) : PA(at + 8);
    const page = (head + i) as Page;
    if (at !== undefined && maps(readPte(mm, at), page)) out.push({ at, addr: where, page, huge: false });
  }
  return out;
}

/** The last-level entry at `addr` if it maps exactly this page, which is no part of a large folio; likewise. */
export const mappedPte = (mm: Mm, page: Page, vma: Vma, addr: number): PA | undefined =>
  mappedEntries(mm, page, vma, addr)[0]?.at;

function entryMaps(mm: Mm, entry: bigint, page: Page): boolean {
  return ptePresent(entry) && !pteSpecial(entry) && ptePa(entry) === mm.pageToPa(page);
}

/** The entry is written by its level's function. */
function* setEntry(mm: Mm, entry: MappedEntry, value: bigint): Atomic<void> {
  if (entry.huge) yield* setHugePmd(mm, entry.at, value);
  else yield* setPtes(mm, entry.at, value);
}

/** ptep_clear_flush() or its like for a block. */
function* clearFlush(mm: Mm, vma: Vma, entry: MappedEntry): Atomic<bigint> {
  if (!entry.huge) return yield* ptepClearFlush(mm, vma.mm, entry.addr, entry.at);
  const old = yield* ptepGetAndClear(mm, entry.at);
  flushTlbRange(mm, vma.mm, entry.addr, entry.addr + mm.layout.pmdSize);
  return old;
}

/** try_to_migrate(): replaces every entry that maps the folio by a migration entry. */
export function* tryToMigrate(mm: Mm, page: Page): MaySleep<void> {
  yield* rmapWalk(mm, page, (vma, addr) => tryToMigrateOne(mm, page, vma, addr));
}

function* tryToMigrateOne(mm: Mm, folio: Page, vma: Vma, addr: number): Atomic<boolean> {
  const map = mm.memmap;
  const as = vma.mm;
  yield* as.pageTableLock.lock();
  for (const entry of mappedEntries(mm, folio, vma, addr)) {
    const { page } = entry;
    const exclusive = pageAnonExclusive(mm, page);
    // An entry that stays empty for a moment would let a fault in: the lock is held until it says "migrating".
    const pte = yield* clearFlush(mm, vma, entry);
    if (pteDirty(pte)) folioMarkDirty(mm, folio);
    // page_try_share_anon_rmap(): the flag travels in the entry while the page is unmapped.
    map.clear(page, PG_anon_exclusive);
    const type = pteWrite(pte)
      ? SWP_MIGRATION_WRITE
      : exclusive
        ? SWP_MIGRATION_READ_EXCLUSIVE
        : SWP_MIGRATION_READ;
    const value = makeMigrationEntry(type, map.pageToPfn(page), {
      young: pteYoung(pte),
      dirty: pteDirty(pte),
    });
    yield* setEntry(mm, entry, value);
    if (entry.huge) folioRemoveRmapPmd(mm, folio);
    else folioRemoveRmap(mm, page);
    yield* putPage(mm, page);
  }
  as.pageTableLock.unlock();
  return folioMapcount(mm, folio) > 0;
}

/** folio_referenced(): how many entries were used since the last look; forgets it. */
export function* folioReferenced(mm: Mm, page: Page): MaySleep<number> {
  let referenced = 0;
  yield* rmapWalk(
    mm,
    page,
    (vma, addr) =>
      referencedOne(mm, page, vma, addr, () => {
        referenced++;
      }),
    true,
  );
  return referenced;
}

function* referencedOne(mm: Mm, folio: Page, vma: Vma, addr: number, seen: () => void): Atomic<boolean> {
  const as = vma.mm;
  yield* as.pageTableLock.lock();
  for (const entry of mappedEntries(mm, folio, vma, addr)) {
    const pte = readPte(mm, entry.at);
    if ((vma.flags & VM_LOCKED) !== 0) {
      // Restores what a migration or a merge has lost; used enough to be left alone for now.
      if (!isLarge(mm, folio) || entry.huge) mlockFolio(mm, folio);
      seen();
      seen();
      continue;
    }
    // ptep_clear_flush_young(); an entry the hardware does not use keeps what it says.
    if (!pteYoung(pte) || !pteValid(pte)) continue;
    seen();
    mm.port.write64(entry.at, pteMkold(pte));
    if (entry.huge) flushTlbRange(mm, as, entry.addr, entry.addr + mm.layout.pmdSize);
    else flushTlbPage(mm, as, entry.addr);
  }
  as.pageTableLock.unlock();
  return true;
}

/**
 * try_to_unmap(): entries of anonymous pages become those of the page's slot, those of files go. Of large folios
 * only a file's, whose PMDs were split.
 *
 * @param tryLock gives up where the tree's lock is held, as reclaim must.
 */
export function* tryToUnmap(mm: Mm, folio: Page, tryLock = true): MaySleep<void> {
  yield* rmapWalk(mm, folio, (vma, addr) => tryToUnmapOne(mm, folio, vma, addr), tryLock);
}

function* tryToUnmapOne(mm: Mm, folio: Page, vma: Vma, start: number): Atomic<boolean> {
  const map = mm.memmap;
  const as = vma.mm;
  yield* as.pageTableLock.lock();
  for (const { at, addr, page, huge } of mappedEntries(mm, folio, vma, start)) {
    // A pin reads and writes the page itself: it must stay where its owner sees it.
    if (huge || maybeDmaPinned(mm, folio) || (vma.flags & VM_LOCKED) !== 0) break;
    const pte = yield* ptepClearFlush(mm, as, addr, at);
    if (pteDirty(pte)) folioMarkDirty(mm, page);
    if (isAnonPage(mm, page)) {
      const entry = map.private[page]!;
      swapDuplicate(mm, entry);
      yield* setPtes(mm, at, makeSwapEntry(entry, map.test(page, PG_anon_exclusive)));
      map.clear(page, PG_anon_exclusive);
      as.anonPages--;
      as.swapEntries++;
    } else {
      as.filePages--;
    }
    folioRemoveRmap(mm, page);
    yield* putPage(mm, page);
  }
  as.pageTableLock.unlock();
  return folioMapcount(mm, folio) > 0;
}
