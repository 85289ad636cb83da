/**
 * Faults that a huge page answers (mm/huge_memory.c: do_huge_pmd_*): demand zero, the huge zero page, writes,
 * and blocks without their tag storage.
 *
 * Whatever cannot be done with a huge page is done with small ones: the handler says VM_FAULT_FALLBACK and
 * leaves a table behind, or nothing.
 */
import type { PA } from '../../base/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { anonVmaPrepare } from './anon-vma.js';
import { FAULT_FLAG_WRITE, VM_FAULT_FALLBACK } from './fault-flags.js';
import { pageAnonExclusive } from './folio.js';
import type { Gfp } from './gfp.js';
import {
  __GFP_DIRECT_RECLAIM,
  __GFP_KSWAPD_RECLAIM,
  __GFP_MOVABLE,
  __GFP_ZERO,
  GFP_TRANSHUGE,
  GFP_TRANSHUGE_LIGHT,
} from './gfp.js';
import { blockStart, depositTable, pmdPage, splitHugePmdLocked } from './huge-memory.js';
import { khugepagedEnterVma } from './khugepaged.js';
import { folioAddLru, lruAddDrain, putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { VmFault } from './memory.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { migrateMisplacedFolio, numaMigratePrep } from './numa-balancing.js';
import { allocPages, freePages, getPage } from './page-alloc.js';
import { PG_anon_exclusive, PG_lru, PG_uptodate } from './page-flags.js';
import { allocTable, flushTlbRange, freeTable, pmdAlloc, readPte, setHugePmd } from './page-table.js';
import {
  paPte,
  pmdMkhuge,
  pteFaultOnAccess,
  pteMkdirty,
  pteMkspecial,
  pteMkwrite,
  pteMkyoung,
  pteModify,
} from './pgtable.js';
import { folioAddNewAnonRmap, isAnonPage } from './rmap.js';
import type { Vma } from './vma.js';
import { VM_HUGEPAGE, VM_WRITE } from './vma.js';

/** vma_thp_gfp_mask(): how hard to try, by `defrag`. */
export function vmaThpGfpMask(mm: Mm, vma: Vma | undefined): Gfp {
  const madvised = vma !== undefined && (vma.flags & VM_HUGEPAGE) !== 0;
  switch (mm.thp.defrag) {
    case 'always':
      return GFP_TRANSHUGE;
    case 'defer':
      return GFP_TRANSHUGE_LIGHT | __GFP_KSWAPD_RECLAIM;
    case 'defer+madvise':
      return GFP_TRANSHUGE_LIGHT | (madvised ? __GFP_DIRECT_RECLAIM : __GFP_KSWAPD_RECLAIM);
    case 'madvise':
      return GFP_TRANSHUGE_LIGHT | (madvised ? __GFP_DIRECT_RECLAIM : 0);
    case 'never':
      return GFP_TRANSHUGE_LIGHT;
  }
}

/** vma_alloc_folio() of HPAGE_PMD_ORDER. */
export function* vmaAllocHuge(mm: Mm, gfp: Gfp, vma: Vma): MaySleep<Page | undefined> {
  if (mm.shouldFail('thp_alloc')) return undefined;
  return yield* allocPages(
    mm,
    gfp | mm.hooks.archCalcVmaGfp(vma, gfp, 'vma_alloc_folio'),
    mm.layout.pmdOrder,
  );
}

/** do_huge_pmd_anonymous_page(): nothing is there yet, and a huge page would fit. */
export function* doHugePmdAnonymousPage(mm: Mm, vmf: VmFault): MaySleep<number> {
  const { vma } = vmf;
  const as = vma.mm;
  const start = blockStart(mm, vmf.addr);
  anonVmaPrepare(mm, vma);
  khugepagedEnterVma(mm, vma);
  const at = yield* pmdAlloc(mm, as, start);
  const table = at === undefined ? undefined : yield* allocTable(mm);
  if (at === undefined || table === undefined) return VM_FAULT_FALLBACK;
  const zero = (vmf.flags & FAULT_FLAG_WRITE) === 0 && mm.thp.useZeroPage;
  const page = zero
    ? yield* getHugeZeroPage(mm, vma)
    : yield* vmaAllocHuge(mm, vmaThpGfpMask(mm, vma) | __GFP_ZERO, vma);
  if (page === undefined) {
    if (!zero) mm.events.thp_fault_fallback++;
    yield* freeTable(mm, table);
    return VM_FAULT_FALLBACK;
  }
  yield* as.pageTableLock.lock();
  if (readPte(mm, at) !== 0n) {
    // Another thread was here first, with a huge page or a small one.
    as.pageTableLock.unlock();
    yield* freeTable(mm, table);
    if (!zero) yield* putPage(mm, page);
    return 0;
  }
  depositTable(mm, as, table);
  let entry = pmdMkhuge(paPte(mm.pageToPa(page), vma.pageProt));
  if (zero) {
    entry = pteMkspecial(entry);
  } else {
    mm.memmap.set(page, PG_uptodate);
    as.anonPages += mm.layout.entriesPerTable;
    folioAddNewAnonRmap(mm, page, vma, start);
    yield* folioAddLru(mm, page);
    if ((vma.flags & VM_WRITE) !== 0) entry = pteMkwrite(pteMkdirty(entry));
    mm.events.thp_fault_alloc++;
  }
  yield* setHugePmd(mm, at, entry);
  as.pageTableLock.unlock();
  return 0;
}

/**
 * mm_get_huge_zero_page(): made when first wanted. A tagged mapping must not find it without its tag
 * blocks, for there is no page that could take its place; where they cannot be had, small pages serve.
 */
function* getHugeZeroPage(mm: Mm, vma: Vma): MaySleep<Page | undefined> {
  const as = vma.mm;
  if (mm.hugeZeroPage === undefined) {
    const gfp = (GFP_TRANSHUGE | __GFP_ZERO) & ~__GFP_MOVABLE;
    const page = yield* allocPages(mm, gfp, mm.layout.pmdOrder);
    if (page === undefined) {
      mm.events.thp_zero_page_alloc_failed++;
      return undefined;
    }
    if (mm.hugeZeroPage === undefined) {
      mm.hugeZeroPage = page;
      mm.events.thp_zero_page_alloc++;
    } else {
      yield* freePages(mm, page, mm.layout.pmdOrder);
    }
  }
  // Counted before anything else sleeps, so that it does not go with its last other user.
  if (!as.usesHugeZeroPage) mm.hugeZeroUsers++;
  as.usesHugeZeroPage = true;
  if (!(yield* mm.hooks.archHugeZeroPage(mm.hugeZeroPage, mm.layout.pmdOrder, vma))) return undefined;
  return mm.hugeZeroPage;
}

/** mm_put_huge_zero_page(): with the last address space that used it, it goes. */
export function* putHugeZeroPage(mm: Mm, as: MmStruct): Atomic<void> {
  if (!as.usesHugeZeroPage) return;
  as.usesHugeZeroPage = false;
  if (--mm.hugeZeroUsers > 0) return;
  const page = mm.hugeZeroPage!;
  mm.hugeZeroPage = undefined;
  yield* putPage(mm, page);
}

/** huge_pmd_set_accessed(). */
export function* hugePmdSetAccessed(mm: Mm, vmf: VmFault, at: PA, orig: bigint): Atomic<void> {
  const as = vmf.vma.mm;
  const write = (vmf.flags & FAULT_FLAG_WRITE) !== 0;
  yield* as.pageTableLock.lock();
  if (readPte(mm, at) === orig) {
    mm.port.write64(at, pteMkyoung(write ? pteMkdirty(orig) : orig));
    flushBlock(mm, as, vmf.addr);
  }
  as.pageTableLock.unlock();
}

function flushBlock(mm: Mm, as: MmStruct, addr: number): void {
  const start = blockStart(mm, addr);
  flushTlbRange(mm, as, start, start + mm.layout.pmdSize);
}

/** do_huge_pmd_wp_page(): a write to a block that does not allow it: reused where nobody else has it, split otherwise. */
export function* doHugePmdWpPage(mm: Mm, vmf: VmFault, at: PA, orig: bigint): MaySleep<number> {
  const { vma } = vmf;
  const as = vma.mm;
  yield* as.pageTableLock.lock();
  if (readPte(mm, at) !== orig) {
    as.pageTableLock.unlock();
    return 0;
  }
  const page = pmdPage(mm, orig);
  // A private mapping's store to a file's block copies one page of it.
  if (page !== undefined && isAnonPage(mm, page) && (yield* canReuse(mm, page))) {
    if ((vma.flags & VM_WRITE) !== 0) {
      mm.port.write64(at, pteMkwrite(pteMkdirty(pteMkyoung(orig))));
      flushBlock(mm, as, vmf.addr);
    }
    as.pageTableLock.unlock();
    return 0;
  }
  yield* splitHugePmdLocked(mm, as, at, vmf.addr);
  as.pageTableLock.unlock();
  return VM_FAULT_FALLBACK;
}

function* canReuse(mm: Mm, page: Page): Atomic<boolean> {
  const { memmap: map } = mm;
  if (pageAnonExclusive(mm, page)) return true;
  // A page that still waits in this CPU's batch has a reference there.
  if (!map.test(page, PG_lru)) yield* lruAddDrain(mm);
  if (map.refcount[page] !== 1) return false;
  map.set(page, PG_anon_exclusive);
  return true;
}

/** do_huge_pmd_numa_page() (v3/13): a NUMA hint, or a block without its tag storage. */
export function* handlePmdProtnone(mm: Mm, vmf: VmFault, at: PA, orig: bigint): MaySleep<number> {
  const { vma } = vmf;
  const as = vma.mm;
  yield* as.pageTableLock.lock();
  if (readPte(mm, at) !== orig) {
    as.pageTableLock.unlock();
    return 0;
  }
  const page = pmdPage(mm, orig);
  if (page !== undefined && pteFaultOnAccess(orig)) {
    getPage(mm, page);
    as.pageTableLock.unlock();
    const outcome = yield* mm.hooks.archHandleFolioFaultOnAccess(page, vmf);
    if (outcome.fault !== 0 || !outcome.mapPte) return outcome.fault;
    yield* as.pageTableLock.lock();
    if (readPte(mm, at) !== orig) {
      as.pageTableLock.unlock();
      return 0;
    }
  } else {
    const target = page === undefined ? undefined : numaMigratePrep(mm, vma, page);
    if (page === undefined) mm.events.numa_hint_faults++;
    if (page !== undefined && target !== undefined) {
      getPage(mm, page);
      as.pageTableLock.unlock();
      if (yield* migrateMisplacedFolio(mm, page, target)) return 0;
      yield* as.pageTableLock.lock();
      if (readPte(mm, at) !== orig) {
        as.pageTableLock.unlock();
        return 0;
      }
    }
  }
  // Never writable at once: a store takes a second fault.
  yield* setHugePmd(mm, at, pteMkyoung(pteModify(orig, vma.pageProt)));
  as.pageTableLock.unlock();
  return 0;
}
