/**
 * Address spaces: making, copying and ending them (kernel/fork.c, mm/memory.c's copy_page_range).
 *
 * A fork shares every anonymous page read-only; whoever writes first copies it, tags and all. An entry
 * that says fault-on-access is copied as it stands: its memory type is Normal, so the tag hook lets
 * it pass, and each process finds out on its own.
 */
import { PA } from '../../base/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EAGAIN, ENOMEM } from '../contexts/index.js';
import { anonVmaFork, unlinkAnonVmas } from './anon-vma.js';
import { linkFile, unlinkFile } from './filemap.js';
import { GFP_HIGHUSER_MOVABLE } from './gfp.js';
import { maybeDmaPinned } from './gup.js';
import type { CopyPreparation } from './hooks.js';
import { putHugeZeroPage } from './huge-fault.js';
import { copyHugePmd, isAnonPmd, splitHugePmdLocked } from './huge-memory.js';
import { childReservation, hugetlbClose } from './hugetlb.js';
import { khugepagedFork } from './khugepaged.js';
import { ksmExit, ksmFork } from './ksm.js';
import { ksmForkZeroPage } from './ksm-merge.js';
import { folioAddLru, lruAddDrain, putPage } from './lru.js';
import type { Page } from './memmap.js';
import { vmaAllocFolio, vmNormalPage } from './memory.js';
import { munlockVma } from './mlock.js';
import type { Mm } from './mm.js';
import { MmStruct } from './mm-struct.js';
import { zapRange } from './mmap.js';
import { vmEnoughMemory } from './overcommit.js';
import { getPage } from './page-alloc.js';
import { PG_anon_exclusive, PG_uptodate } from './page-flags.js';
import type { PteRun } from './page-table.js';
import {
  allocTable,
  coversBlock,
  freePgtables,
  freeTable,
  nextPteRun,
  pmdAlloc,
  pteAlloc,
  readPte,
  setPtes,
} from './page-table.js';
import {
  DESCRIPTOR_BYTES,
  isMigrationEntry,
  isSwapEntry,
  paPte,
  pmdLeaf,
  pteMkdirty,
  pteMkold,
  pteMkwrite,
  pteNone,
  ptePresent,
  pteSwpClearExclusive,
  pteWrite,
  pteWrprotect,
  SWP_MIGRATION_READ,
  swapEntryOf,
  withMigrationType,
} from './pgtable.js';
import {
  folioAddAnonRmap,
  folioAddFileRmap,
  folioAddNewAnonRmap,
  isAnonPage,
  isMigrationEntryAnon,
} from './rmap.js';
import { swapDuplicate } from './swap.js';
import { VM_ACCOUNT, VM_DONTCOPY, VM_LOCKED_MASK, VM_SHARED, VM_WIPEONFORK, VM_WRITE, Vma } from './vma.js';

/** mm_alloc(): undefined where the top table or an ASID cannot be had. */
export function* mmAlloc(mm: Mm): MaySleep<MmStruct | undefined> {
  const asid = mm.asids.alloc();
  if (asid === undefined) return undefined;
  const pgd = yield* allocTable(mm);
  if (pgd === undefined) {
    mm.asids.free(asid);
    return undefined;
  }
  const as = new MmStruct(mm.contexts, mm.nextMmId++, mm.pageToPa(pgd), asid, mm.layout);
  as.nrTables = 1;
  mm.tablesInHand.delete(pgd);
  mm.addressSpaces.add(as);
  return as;
}

/** exit_mmap() and mmdrop(). */
export function* exitMmap(mm: Mm, as: MmStruct): MaySleep<void> {
  if (as.dead) return;
  yield* ksmExit(mm, as);
  mm.khugepaged.exit(as);
  yield* as.mmapLock.downWrite();
  yield* lruAddDrain(mm);
  const all = [...as.vmas.all];
  for (const vma of all) yield* munlockVma(mm, vma);
  for (const vma of all) yield* zapRange(mm, as, vma.start, vma.end);
  for (const vma of all) {
    as.vmas.remove(vma);
    as.totalVm -= (vma.end - vma.start) / mm.pageSize;
    if ((vma.flags & VM_ACCOUNT) !== 0) mm.committedPages -= (vma.end - vma.start) / mm.pageSize;
    hugetlbClose(mm, vma);
    unlinkAnonVmas(mm, vma);
    yield* unlinkFile(mm, vma);
  }
  yield* freePgtables(mm, as, 0, as.layout.taskSize, 0, as.layout.taskSize);
  as.mmapLock.upWrite();
  mm.tlb.flushTlbMm(as.asid);
  yield* putHugeZeroPage(mm, as);
  as.dead = true;
  as.nrTables--;
  mm.addressSpaces.delete(as);
  yield* freeTable(mm, mm.paToPage(as.pgd)!);
  mm.asids.free(as.asid);
}

/** dup_mmap(): the child, or -ENOMEM or -EAGAIN with nothing left of it. */
export function* dupMmap(mm: Mm, parent: MmStruct): MaySleep<MmStruct | number> {
  const child = yield* mmAlloc(mm);
  if (!child) return -EAGAIN;
  yield* parent.mmapLock.downWrite();
  child.startBrk = parent.startBrk;
  child.brk = parent.brk;
  khugepagedFork(mm, child, parent);
  let error = 0;
  for (const vma of parent.vmas.all) {
    if ((vma.flags & VM_DONTCOPY) !== 0) continue;
    const pages = (vma.end - vma.start) / mm.pageSize;
    if ((vma.flags & VM_ACCOUNT) !== 0 && !vmEnoughMemory(mm, pages, parent.totalVm)) {
      error = -ENOMEM;
      break;
    }
    const copy = new Vma(child, vma.start, vma.end, vma.flags & ~VM_LOCKED_MASK, vma.pgoff, vma.name);
    const isWiped = (vma.flags & VM_WIPEONFORK) !== 0;
    if (!isWiped) yield* anonVmaFork(mm, copy, vma);
    if (vma.file) yield* linkFile(copy, vma.file);
    // What was promised to the parent is the parent's.
    if (vma.hugetlb) copy.hugetlb = childReservation();
    child.vmas.insert(copy);
    child.totalVm += pages;
    if ((vma.flags & VM_ACCOUNT) !== 0) mm.committedPages += pages;
    // vma_needs_copy(): without an anon_vma there is nothing a fault would not bring back.
    if (vma.anonVma && !isWiped) error = yield* copyPageRange(mm, copy, vma);
    if (error !== 0) break;
  }
  mm.tlb.flushTlbMm(parent.asid);
  // Last, for ksmd would find nothing to merge in a child without mappings, and forget it.
  if (error === 0) error = yield* ksmFork(mm, child, parent);
  parent.mmapLock.upWrite();
  if (error === 0) return child;
  yield* exitMmap(mm, child);
  return error;
}

/** Room for the copy of a pinned page, made where sleeping is allowed; `source` is what it is for. */
interface Spare {
  made: { readonly source: Page; readonly page: Page; readonly preparation: CopyPreparation } | undefined;
}

/** A pinned page for which there is no spare yet. */
interface Stopped {
  readonly addr: number;
  readonly source: Page;
}

/** copy_page_range(). */
function* copyPageRange(mm: Mm, to: Vma, from: Vma): MaySleep<number> {
  const spare: Spare = { made: undefined };
  let error = 0;
  for (let addr = from.start; error === 0; ) {
    const run = nextPteRun(mm, from.mm, addr, from.end);
    if (!run) break;
    if (run.huge) {
      const copied = yield* copyBlock(mm, to, from, run);
      if (copied === undefined) error = -ENOMEM;
      // Where it had to be split its pages come next.
      else if (copied) addr = run.end;
      continue;
    }
    const table = yield* pteAlloc(mm, to.mm, run.addr);
    if (table === undefined || table === 'huge') {
      error = -ENOMEM;
      break;
    }
    yield* to.mm.pageTableLock.lock();
    yield* from.mm.pageTableLock.lockNested();
    const stopped = yield* copyPteRange(mm, to, from, table, run, spare);
    from.mm.pageTableLock.unlock();
    to.mm.pageTableLock.unlock();
    addr = stopped?.addr ?? run.end;
    if (stopped) error = yield* fillSpare(mm, to, stopped.source, spare);
  }
  yield* dropSpare(mm, spare);
  return error;
}

/** copy_huge_pmd() with its table made (of a file's block nothing is copied: a fault brings it back): true where the child has the block, false where the parent's was split. */
function* copyBlock(mm: Mm, to: Vma, from: Vma, run: PteRun): MaySleep<boolean | undefined> {
  if (from.file !== undefined && !isAnonPmd(mm, readPte(mm, run.at))) return true;
  const target = yield* pmdAlloc(mm, to.mm, run.addr);
  const table = target === undefined ? undefined : yield* allocTable(mm);
  if (target === undefined || table === undefined) return undefined;
  yield* to.mm.pageTableLock.lock();
  yield* from.mm.pageTableLock.lockNested();
  const whole = coversBlock(mm, run) && pmdLeaf(readPte(mm, run.at));
  const copied = whole && (yield* copyHugePmd(mm, to, from, target, run.at, table));
  // A page of the hugetlb pool is never split; a pinned one would have to be copied at once.
  const splits = !copied && from.hugetlb === undefined && pmdLeaf(readPte(mm, run.at));
  if (splits) yield* splitHugePmdLocked(mm, from.mm, run.at, run.addr);
  from.mm.pageTableLock.unlock();
  to.mm.pageTableLock.unlock();
  if (!copied) yield* freeTable(mm, table);
  return copied || from.hugetlb === undefined ? copied : undefined;
}

/** page_copy_prealloc(): 0 or -ENOMEM. */
function* fillSpare(mm: Mm, vma: Vma, source: Page, spare: Spare): MaySleep<number> {
  yield* dropSpare(mm, spare);
  const page = yield* vmaAllocFolio(mm, GFP_HIGHUSER_MOVABLE, vma);
  if (page === undefined) return -ENOMEM;
  const preparation = yield* mm.hooks.copyHighpagePrepare(page, source);
  if (typeof preparation === 'number') {
    yield* putPage(mm, page);
    return preparation;
  }
  spare.made = { source, page, preparation };
  return 0;
}

function* dropSpare(mm: Mm, spare: Spare): Atomic<void> {
  if (!spare.made) return;
  yield* mm.hooks.copyHighpageEnd(spare.made.preparation);
  yield* putPage(mm, spare.made.page);
  spare.made = undefined;
}

/**
 * copy_present_page(): a page that is pinned stays the parent's own, and the child gets its copy at once.
 *
 * @returns false where there is no spare for it, or not enough of one.
 */
function* copyPresentPage(mm: Mm, to: Vma, addr: number, at: PA, page: Page, spare: Spare): Atomic<boolean> {
  const { made } = spare;
  if (made?.source !== page) return false;
  if ((yield* mm.hooks.copyHighpage(made.page, page, made.preparation)) !== 0) return false;
  yield* mm.hooks.copyHighpageEnd(made.preparation);
  spare.made = undefined;
  mm.memmap.set(made.page, PG_uptodate);
  folioAddNewAnonRmap(mm, made.page, to, addr);
  yield* folioAddLru(mm, made.page);
  to.mm.anonPages++;
  let entry = paPte(mm.pageToPa(made.page), to.pageProt);
  if ((to.flags & VM_WRITE) !== 0) entry = pteMkwrite(pteMkdirty(entry));
  yield* setPtes(mm, at, entry);
  return true;
}

/** copy_pte_range(): both table locks are held, so nothing here may sleep. */
function* copyPteRange(
  mm: Mm,
  to: Vma,
  from: Vma,
  table: PA,
  run: PteRun,
  spare: Spare,
): Atomic<Stopped | undefined> {
  const count = (run.end - run.addr) / mm.pageSize;
  for (let i = 0; i < count; i++) {
    const source = PA(run.at + i * DESCRIPTOR_BYTES);
    const target = PA(table + i * DESCRIPTOR_BYTES);
    let pte = readPte(mm, source);
    if (pteNone(pte)) continue;
    if (!ptePresent(pte)) {
      if (isSwapEntry(pte)) {
        // Both will share it: neither may take it back as its own.
        pte = pteSwpClearExclusive(pte);
        mm.port.write64(source, pte);
        swapDuplicate(mm, swapEntryOf(pte));
        to.mm.swapEntries++;
        yield* setPtes(mm, target, pte);
        continue;
      }
      if (!isMigrationEntry(pte)) continue;
      // Shared from now on: neither side may come back writable or exclusive.
      pte = withMigrationType(pte, SWP_MIGRATION_READ);
      mm.port.write64(source, pte);
      if (isMigrationEntryAnon(mm, pte)) to.mm.anonPages++;
      else to.mm.filePages++;
      yield* setPtes(mm, target, pte);
      continue;
    }
    const page = vmNormalPage(mm, pte);
    if (page !== undefined && isAnonPage(mm, page) && from.mm.hasPinned && maybeDmaPinned(mm, page)) {
      const addr = run.addr + i * mm.pageSize;
      if (!(yield* copyPresentPage(mm, to, addr, target, page, spare))) return { addr, source: page };
      continue;
    }
    if (page === undefined) ksmForkZeroPage(mm, to, pte);
    if (page !== undefined) {
      // folio_try_dup_anon_rmap_pte().
      getPage(mm, page);
      if (isAnonPage(mm, page)) {
        folioAddAnonRmap(mm, page, false);
        mm.memmap.clear(page, PG_anon_exclusive);
        to.mm.anonPages++;
      } else {
        folioAddFileRmap(mm, page);
        to.mm.filePages++;
      }
    }
    if ((from.flags & VM_SHARED) === 0 && pteWrite(pte)) {
      pte = pteWrprotect(pte);
      mm.port.write64(source, pte);
    }
    yield* setPtes(mm, target, pteMkold(pte));
  }
  return undefined;
}
