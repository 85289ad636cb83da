/**
 * Huge entries: blocks of memory that one PMD maps (mm/huge_memory.c).
 *
 * A table for the block's pages is deposited with every huge entry, so that the entry can be split, its
 * pages mapped one by one as before, anywhere and without memory. With tag storage a huge entry is like
 * 2^order small ones: it becomes fault-on-access where a block of its tags is missing, whole or not.
 */
import { PA } from '../../base/index.js';
import type { Atomic } from '../contexts/index.js';
import { addPteMappingOfEach, folioNrPages, isPartiallyMapped, pageAnonExclusive } from './folio.js';
import { maybeDmaPinned } from './gup.js';
import { putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { getPage } from './page-alloc.js';
import { PG_anon_exclusive, PG_hugetlb } from './page-flags.js';
import type { PteRun } from './page-table.js';
import {
  flushTlbRange,
  freeTable,
  pmdOffset,
  ptepGetAndClear,
  readPte,
  setHugePmd,
  setPtes,
} from './page-table.js';
import {
  DESCRIPTOR_BYTES,
  isWritableMigrationEntry,
  migrationEntryAdvance,
  pmdLeaf,
  pteDirty,
  pteMkold,
  pteMkwrite,
  pteModify,
  ptePa,
  ptePmd,
  ptePresent,
  pteProtnone,
  pteSpecial,
  pteWrite,
  pteWrprotect,
  SWP_MIGRATION_READ,
  SWP_MIGRATION_READ_EXCLUSIVE,
  tableDescriptor,
  withMigrationType,
} from './pgtable.js';
import { folioAddRmapPmd, folioRemoveRmapPmd, isAnonPage, isMigrationEntryAnon } from './rmap.js';
import type { Vma } from './vma.js';
import { VM_WRITE } from './vma.js';
import { folioMarkDirty } from './writeback.js';

export const blockStart = (mm: Mm, addr: number): number => addr - (addr % mm.layout.pmdSize);

/** pgtable_trans_huge_deposit(); the table is counted from here on. */
export function depositTable(mm: Mm, as: MmStruct, table: Page): void {
  mm.tablesInHand.delete(table);
  as.deposits.push(table);
  as.nrTables++;
}

/** pgtable_trans_huge_withdraw(); it stays counted. */
function withdrawTable(mm: Mm, as: MmStruct): Page {
  const table = as.deposits.pop();
  mm.bugOn(table === undefined, 'a huge entry without its deposited table');
  return table!;
}

/** zap_deposited_table(). */
export function* freeDeposit(mm: Mm, as: MmStruct): Atomic<void> {
  const table = withdrawTable(mm, as);
  as.nrTables--;
  yield* freeTable(mm, table);
}

/**
 * __split_huge_pmd_locked(): the block's pages are mapped by a table as the block was. The table lock is held.
 *
 * @param at of a PMD that maps a block, or says that one is being migrated.
 */
export function* splitHugePmdLocked(mm: Mm, as: MmStruct, at: PA, addr: number): Atomic<void> {
  const pmd = readPte(mm, at);
  if (!isAnonPmd(mm, pmd)) {
    yield* zapFilePmd(mm, as, at, addr);
    return;
  }
  const pages = mm.layout.entriesPerTable;
  const start = blockStart(mm, addr);
  const table = withdrawTable(mm, as);
  const base = mm.pageToPa(table);
  mm.events.thp_split_pmd++;
  if (!ptePresent(pmd)) {
    for (let i = 0; i < pages; i++) {
      mm.port.write64(PA(base + i * DESCRIPTOR_BYTES), migrationEntryAdvance(pmd, i));
    }
  } else if (pteSpecial(pmd)) {
    // __split_huge_zero_page_pmd(): the small zero page everywhere, with the same protection.
    const entry = ptePmd(pmd) - BigInt(ptePa(pmd)) + BigInt(mm.pageToPa(mm.zeroPage));
    for (let i = 0; i < pages; i++) mm.port.write64(PA(base + i * DESCRIPTOR_BYTES), entry);
  } else {
    const head = mm.paToPage(ptePa(pmd))!;
    const exclusive = mm.memmap.test(head, PG_anon_exclusive);
    mm.memmap.refcount[head]! += pages - 1;
    if (exclusive) for (let i = 0; i < pages; i++) mm.memmap.set((head + i) as Page, PG_anon_exclusive);
    yield* setPtes(mm, base, ptePmd(pmd), pages);
    addPteMappingOfEach(mm, head);
    folioRemoveRmapPmd(mm, head);
  }
  // Nobody walks the table before it is linked, so nothing is seen half done.
  mm.port.write64(at, 0n);
  flushTlbRange(mm, as, start, start + mm.layout.pmdSize);
  mm.port.write64(at, tableDescriptor(base));
}

/** Of a PMD that maps a block, or says that one is being migrated: is it anonymous memory? */
export function isAnonPmd(mm: Mm, pmd: bigint): boolean {
  if (!ptePresent(pmd)) return isMigrationEntryAnon(mm, pmd);
  const head = pmdPage(mm, pmd);
  return head === undefined || isAnonPage(mm, head);
}

/**
 * __split_huge_pmd_locked() of a file's: the entry goes, and faults map the pages again. No table was deposited
 * for it.
 */
function* zapFilePmd(mm: Mm, as: MmStruct, at: PA, addr: number): Atomic<void> {
  const start = blockStart(mm, addr);
  mm.events.thp_split_pmd++;
  const pmd = yield* ptepGetAndClear(mm, at);
  flushTlbRange(mm, as, start, start + mm.layout.pmdSize);
  as.filePages -= mm.layout.entriesPerTable;
  if (!ptePresent(pmd)) return;
  const head = pmdPage(mm, pmd)!;
  if (pteDirty(pmd)) folioMarkDirty(mm, head);
  folioRemoveRmapPmd(mm, head);
  yield* putPage(mm, head);
}

/** __split_huge_pmd(): where a block is (still) mapped at `at`. */
export function* splitHugePmd(mm: Mm, as: MmStruct, at: PA, addr: number): Atomic<void> {
  yield* as.pageTableLock.lock();
  if (pmdLeaf(readPte(mm, at))) yield* splitHugePmdLocked(mm, as, at, addr);
  as.pageTableLock.unlock();
}

/** split_huge_pmd_address(): at `addr`, if a block reaches across it. */
export function* splitHugePmdAcross(mm: Mm, as: MmStruct, addr: number): Atomic<void> {
  if (addr % mm.layout.pmdSize === 0) return;
  const at = pmdOffset(mm, as, addr);
  if (at !== undefined && pmdLeaf(readPte(mm, at))) yield* splitHugePmd(mm, as, at, addr);
}

/** pmd_page(), undefined for the huge zero page. */
export const pmdPage = (mm: Mm, pmd: bigint): Page | undefined =>
  pteSpecial(pmd) ? undefined : mm.paToPage(ptePa(pmd));

/**
 * zap_huge_pmd(): the run covers the block, and the table lock is held.
 *
 * @returns the folio whose mapping went, whose reference the caller drops after the TLB forgot it.
 */
export function* zapHugePmd(mm: Mm, as: MmStruct, run: PteRun): Atomic<Page | undefined> {
  const anon = isAnonPmd(mm, readPte(mm, run.at));
  const pmd = yield* ptepGetAndClear(mm, run.at);
  if (anon) yield* freeDeposit(mm, as);
  if (!ptePresent(pmd)) {
    if (anon) as.anonPages -= mm.layout.entriesPerTable;
    else as.filePages -= mm.layout.entriesPerTable;
    return undefined;
  }
  const head = pmdPage(mm, pmd);
  if (head === undefined) return undefined;
  if (anon) as.anonPages -= folioNrPages(mm, head);
  else as.filePages -= folioNrPages(mm, head);
  if (mm.memmap.test(head, PG_hugetlb)) as.hugetlbPages -= folioNrPages(mm, head);
  if (!anon && pteDirty(pmd)) folioMarkDirty(mm, head);
  folioRemoveRmapPmd(mm, head);
  return head;
}

/** can_change_pmd_writable(). */
function canChangePmdWritable(mm: Mm, vma: Vma, pmd: bigint): boolean {
  if ((vma.flags & VM_WRITE) === 0 || pteProtnone(pmd)) return false;
  const head = pmdPage(mm, pmd);
  return head !== undefined && pageAnonExclusive(mm, head);
}

/** change_huge_pmd(): the whole block gets the VMA's protection; the table lock is held. */
export function* changeHugePmd(mm: Mm, vma: Vma, run: PteRun): Atomic<void> {
  const old = readPte(mm, run.at);
  if (!ptePresent(old)) {
    if (isWritableMigrationEntry(old)) {
      mm.port.write64(run.at, withMigrationType(old, SWP_MIGRATION_READ_EXCLUSIVE));
    }
    return;
  }
  yield* ptepGetAndClear(mm, run.at);
  let entry = pteModify(old, vma.pageProt);
  if (!pteWrite(entry) && canChangePmdWritable(mm, vma, entry)) entry = pteMkwrite(entry);
  yield* setHugePmd(mm, run.at, entry);
}

/**
 * copy_huge_pmd(): the child maps the block too, both read-only; both table locks are held.
 *
 * @param table for the child to deposit.
 * @returns false where the block is pinned: it must be split, and copied page by page.
 */
export function* copyHugePmd(
  mm: Mm,
  to: Vma,
  from: Vma,
  target: PA,
  source: PA,
  table: Page,
): Atomic<boolean> {
  let pmd = readPte(mm, source);
  const pages = mm.layout.entriesPerTable;
  if (!ptePresent(pmd)) {
    pmd = withMigrationType(pmd, SWP_MIGRATION_READ);
    mm.port.write64(source, pmd);
    to.mm.anonPages += pages;
    depositTable(mm, to.mm, table);
    mm.port.write64(target, pmd);
    return true;
  }
  const head = pmdPage(mm, pmd);
  if (head === undefined) {
    if (!to.mm.usesHugeZeroPage) mm.hugeZeroUsers++;
    to.mm.usesHugeZeroPage = true;
  } else {
    if (from.mm.hasPinned && maybeDmaPinned(mm, head)) return false;
    getPage(mm, head);
    folioAddRmapPmd(mm, head, false);
    mm.memmap.clear(head, PG_anon_exclusive);
    to.mm.anonPages += pages;
    if (mm.memmap.test(head, PG_hugetlb)) to.mm.hugetlbPages += pages;
  }
  if (pteWrite(pmd)) {
    pmd = pteWrprotect(pmd);
    mm.port.write64(source, pmd);
  }
  depositTable(mm, to.mm, table);
  yield* setHugePmd(mm, target, pteMkold(pmd));
  return true;
}

/** move_huge_pmd(): both places are whole blocks; the deposited table serves the new one. The table lock is held. */
export function* moveHugePmd(mm: Mm, source: PA, target: PA): Atomic<void> {
  const pmd = yield* ptepGetAndClear(mm, source);
  yield* setHugePmd(mm, target, pmd);
}

/** deferred_split_folio(): part of a large folio serves nobody any more; its pages come back when it is split. */
export function deferSplit(mm: Mm, page: Page): void {
  const head = mm.memmap.head(page);
  // Of a file nothing is gained: its pages are in the cache all the same.
  const { deferredSplit } = mm.pageNode(head);
  if (deferredSplit.has(head) || !isAnonPage(mm, head) || !isPartiallyMapped(mm, head)) return;
  deferredSplit.add(head);
  mm.events.thp_deferred_split_page++;
}
