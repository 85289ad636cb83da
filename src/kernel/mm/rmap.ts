/**
 * Reverse-map operations on pages: counting mappings, and walking every entry that maps one
 * (mm/rmap.c).
 */
import type { PA } from '../../base/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { anonMapping, vmaAddress } from './anon-vma.js';
import { inodeOf } from './filemap.js';
import { maybeDmaPinned } from './gup.js';
import { putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import { PG_anon_exclusive, PG_swapbacked } from './page-flags.js';
import { flushTlbPage, pteOffset, ptepClearFlush, readPte, setPtes } from './page-table.js';
import {
  makeMigrationEntry,
  makeSwapEntry,
  migrationEntryPfn,
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
import type { Vma } from './vma.js';
import { folioMarkDirty } from './writeback.js';

/** folio_add_new_anon_rmap(): first mapping of a fresh page, exclusive to this address space. */
export function folioAddNewAnonRmap(mm: Mm, page: Page, vma: Vma, addr: number): void {
  const map = mm.memmap;
  map.set(page, PG_swapbacked | PG_anon_exclusive);
  map.mapping[page] = anonMapping(vma.anonVma!);
  map.index[page] = linearPageIndex(mm, vma, addr);
  map.mapcount[page] = 1;
  mm.events.nr_anon_pages++;
}

/** linear_page_index(). */
export function linearPageIndex(mm: Mm, vma: Vma, addr: number): number {
  return vma.pgoff + Math.floor((addr - vma.start) / mm.pageSize);
}

/** folio_test_anon(). */
export const isAnonPage = (mm: Mm, page: Page): boolean => (mm.memmap.mapping[page]! & 1) === 1;

/** Whether a migration entry stands for an anonymous page: which of the two counters of its mm it is in. */
export const isMigrationEntryAnon = (mm: Mm, entry: bigint): boolean =>
  isAnonPage(mm, mm.memmap.pfnToPage(migrationEntryPfn(entry))!);

/** folio_add_file_rmap_pte(). */
export function folioAddFileRmap(mm: Mm, page: Page): void {
  if (mm.memmap.mapcount[page]!++ === 0) mm.events.nr_mapped++;
}

/** Another mapping of an anonymous page (fork, migration entries turned back). */
export function folioAddAnonRmap(mm: Mm, page: Page, exclusive: boolean): void {
  if (mm.memmap.mapcount[page]!++ === 0) mm.events.nr_anon_pages++;
  if (exclusive) mm.memmap.set(page, PG_anon_exclusive);
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
  const left = --mm.memmap.mapcount[page]!;
  mm.bugOn(left < 0, `mapcount of pfn 0x${mm.memmap.pageToPfn(page).toString(16)} below 0`);
  if (left > 0) return;
  if (isAnonPage(mm, page)) mm.events.nr_anon_pages--;
  else mm.events.nr_mapped--;
}

type RmapVisitor = (vma: Vma, addr: number) => Atomic<boolean>;

/** rmap_walk(): calls `visit` for each VMA and address that may map the page; stops where it returns false. */
export function* rmapWalk(mm: Mm, page: Page, visit: RmapVisitor, tryLock = false): MaySleep<void> {
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
      const addr = vmaAddress(mm, page, vma);
      if (addr === undefined) continue;
      more = yield* visit(vma, addr);
      if (!more) break;
    }
  }
  semaphore.upRead();
}

/** The entry at `addr` if it maps exactly this page (page_vma_mapped_walk); the table lock must be held. */
export function mappedPte(mm: Mm, page: Page, vma: Vma, addr: number): PA | undefined {
  const at = pteOffset(mm, vma.mm, addr);
  if (at === undefined) return undefined;
  const pte = readPte(mm, at);
  if (!ptePresent(pte) || pteSpecial(pte)) return undefined;
  return ptePa(pte) === mm.pageToPa(page) ? at : undefined;
}

/** try_to_migrate(): replaces every entry that maps the page by a migration entry. */
export function* tryToMigrate(mm: Mm, page: Page): MaySleep<void> {
  yield* rmapWalk(mm, page, (vma, addr) => tryToMigrateOne(mm, page, vma, addr));
}

function* tryToMigrateOne(mm: Mm, page: Page, vma: Vma, addr: number): Atomic<boolean> {
  const map = mm.memmap;
  const as = vma.mm;
  yield* as.pageTableLock.lock();
  const at = mappedPte(mm, page, vma, addr);
  if (at !== undefined) {
    const pte = yield* ptepClearFlush(mm, as, addr, at);
    const exclusive = map.test(page, PG_anon_exclusive);
    if (pteDirty(pte)) folioMarkDirty(mm, page);
    // page_try_share_anon_rmap(): the flag travels in the entry while the page is unmapped.
    map.clear(page, PG_anon_exclusive);
    const type = pteWrite(pte)
      ? SWP_MIGRATION_WRITE
      : exclusive
        ? SWP_MIGRATION_READ_EXCLUSIVE
        : SWP_MIGRATION_READ;
    const entry = makeMigrationEntry(type, map.pageToPfn(page), {
      young: pteYoung(pte),
      dirty: pteDirty(pte),
    });
    yield* setPtes(mm, at, entry);
    folioRemoveRmap(mm, page);
    yield* putPage(mm, page);
  }
  as.pageTableLock.unlock();
  return map.mapcount[page]! > 0;
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

function* referencedOne(mm: Mm, page: Page, vma: Vma, addr: number, seen: () => void): Atomic<boolean> {
  const as = vma.mm;
  yield* as.pageTableLock.lock();
  const at = mappedPte(mm, page, vma, addr);
  if (at !== undefined) {
    const pte = readPte(mm, at);
    // ptep_clear_flush_young(); an entry the hardware does not use keeps what it says.
    if (pteYoung(pte) && pteValid(pte)) {
      seen();
      mm.port.write64(at, pteMkold(pte));
      flushTlbPage(mm, as, addr);
    }
  }
  as.pageTableLock.unlock();
  return true;
}

/** try_to_unmap(): entries of anonymous pages become those of the page's slot, those of files go. */
export function* tryToUnmap(mm: Mm, page: Page): MaySleep<void> {
  yield* rmapWalk(mm, page, (vma, addr) => tryToUnmapOne(mm, page, vma, addr), true);
}

function* tryToUnmapOne(mm: Mm, page: Page, vma: Vma, addr: number): Atomic<boolean> {
  const map = mm.memmap;
  const as = vma.mm;
  yield* as.pageTableLock.lock();
  const at = mappedPte(mm, page, vma, addr);
  // A pin reads and writes the page itself: it must stay where its owner sees it.
  if (at !== undefined && !maybeDmaPinned(mm, page)) {
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
  return map.mapcount[page]! > 0;
}
