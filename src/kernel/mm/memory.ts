/**
 * Page faults (mm/memory.c): demand zero, the zero page, copy-on-write, migration entries, and pages
 * without their tag block.
 */
import type { PA } from '../../base/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EAGAIN } from '../contexts/index.js';
import { anonVmaPrepare } from './anon-vma.js';
import {
  FAULT_FLAG_TRIED,
  FAULT_FLAG_UNSHARE,
  FAULT_FLAG_WRITE,
  VM_FAULT_ERROR,
  VM_FAULT_FALLBACK,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
} from './fault-flags.js';
import { doFault } from './file-fault.js';
import { isLarge, pageAnonExclusive } from './folio.js';
import { folioLock, folioTrylock, folioUnlock } from './folio-lock.js';
import type { Gfp } from './gfp.js';
import { __GFP_ZERO, GFP_HIGHUSER_MOVABLE } from './gfp.js';
import type { FaultOnAccessContext } from './hooks.js';
import {
  doHugePmdAnonymousPage,
  doHugePmdWpPage,
  handlePmdProtnone,
  hugePmdSetAccessed,
} from './huge-fault.js';
import { blockStart, deferSplit } from './huge-memory.js';
import { hugetlbFault } from './hugetlb.js';
import { isKsmPage } from './ksm.js';
import { ksmMightUnmapZeroPage } from './ksm-merge.js';
import { folioAddLru, lruAddDrain, putPage } from './lru.js';
import type { Page } from './memmap.js';
import { migrationEntryWait } from './migrate.js';
import { mlockMapped, munlockCopied } from './mlock.js';
import type { Mm } from './mm.js';
import { migrateMisplacedFolio, numaMigratePrep } from './numa-balancing.js';
import { allocPages, getPage } from './page-alloc.js';
import { PG_anon_exclusive, PG_lru, PG_swapcache, PG_uptodate } from './page-flags.js';
import {
  flushTlbPage,
  pmdOffset,
  pteAlloc,
  pteOffset,
  ptepClearFlush,
  readPte,
  setPtes,
} from './page-table.js';
import type { Pte } from './pgtable.js';
import {
  isMigrationEntry,
  isSwapEntry,
  paPte,
  pmdLeaf,
  pteFaultOnAccess,
  pteMkdirty,
  pteMkspecial,
  pteMkwrite,
  pteMkyoung,
  pteModify,
  pteNone,
  ptePa,
  ptePresent,
  pteProtnone,
  pteSpecial,
  pteWrite,
} from './pgtable.js';
import { folioAddNewAnonRmap, folioRemoveRmap, isAnonPage } from './rmap.js';
import { folioFreeSwap, freeSwapCache } from './swap.js';
import { doSwapIn } from './swap-fault.js';
import { hugepageVmaCheck, transhugeVmaSuitable } from './thp-settings.js';
import type { Vma } from './vma.js';
import { VM_LOCKED, VM_SHARED, VM_WRITE } from './vma.js';
import { folioMarkDirty } from './writeback.js';

/** struct vm_fault. */
export interface VmFault extends FaultOnAccessContext {
  readonly vma: Vma;
  /** Page-aligned. */
  readonly addr: number;
  readonly flags: number;
  releaseFaultLock(): void;
}

/** vm_normal_page(): the page behind an entry, undefined for the zero page. */
export function vmNormalPage(mm: Mm, pte: Pte): Page | undefined {
  return pteSpecial(pte) ? undefined : mm.paToPage(ptePa(pte));
}

/** vma_alloc_folio() of order 0: with what the architecture wants for this VMA (v3/11). */
export function* vmaAllocFolio(mm: Mm, gfp: Gfp, vma: Vma): MaySleep<Page | undefined> {
  return yield* allocPages(mm, gfp | mm.hooks.archCalcVmaGfp(vma, gfp, 'vma_alloc_folio'), 0);
}

/** handle_mm_fault(): VM_FAULT_* flags; the fault lock is held, unless VM_FAULT_RETRY says it was dropped. */
export function* handleMmFault(mm: Mm, vmf: VmFault): MaySleep<number> {
  const result = yield* handleFault(mm, vmf);
  // Without a retry the lock is still held, and the mapping there.
  if ((vmf.vma.flags & VM_LOCKED) !== 0 && (result & (VM_FAULT_ERROR | VM_FAULT_RETRY)) === 0) {
    mlockMapped(mm, vmf.vma, vmf.addr);
  }
  return result;
}

function* handleFault(mm: Mm, vmf: VmFault): MaySleep<number> {
  mm.events.pgfault++;
  if (vmf.vma.hugetlb !== undefined) return yield* hugetlbFault(mm, vmf);
  const huge = yield* handleHugePmd(mm, vmf);
  if ((huge & VM_FAULT_FALLBACK) === 0) return huge;
  const at = pteOffset(mm, vmf.vma.mm, vmf.addr);
  const orig = at === undefined ? 0n : readPte(mm, at);
  if (at === undefined || pteNone(orig)) {
    return vmf.vma.file ? yield* doFault(mm, vmf) : yield* doAnonymousPage(mm, vmf);
  }
  if (!ptePresent(orig)) return yield* doSwapPage(mm, vmf, at, orig);
  // A page of one's own is made of whatever the entry maps: it need not be usable for that.
  const unshare = (vmf.flags & FAULT_FLAG_UNSHARE) !== 0;
  if (pteProtnone(orig) && vmf.vma.accessible && !unshare) return yield* handlePteProtnone(mm, vmf, at, orig);
  return yield* handlePresentPte(mm, vmf, at, orig);
}

/** __handle_mm_fault() at the PMD: VM_FAULT_FALLBACK where small pages are to be looked at. */
function* handleHugePmd(mm: Mm, vmf: VmFault): MaySleep<number> {
  const { vma } = vmf;
  const at = pmdOffset(mm, vma.mm, vmf.addr);
  const pmd = at === undefined ? 0n : readPte(mm, at);
  if (at === undefined || pmd === 0n) {
    const start = blockStart(mm, vmf.addr);
    const fits = hugepageVmaCheck(mm.thp, vma) && transhugeVmaSuitable(vma, start, mm.layout.pmdSize);
    return fits ? yield* doHugePmdAnonymousPage(mm, vmf) : VM_FAULT_FALLBACK;
  }
  if (!pmdLeaf(pmd)) return VM_FAULT_FALLBACK;
  if (!ptePresent(pmd)) {
    yield* migrationEntryWait(mm, pmd);
    return 0;
  }
  if (pteProtnone(pmd) && vma.accessible) return yield* handlePmdProtnone(mm, vmf, at, pmd);
  if ((vmf.flags & FAULT_FLAG_WRITE) !== 0 && !pteWrite(pmd)) {
    return yield* doHugePmdWpPage(mm, vmf, at, pmd);
  }
  yield* hugePmdSetAccessed(mm, vmf, at, pmd);
  return 0;
}

/** The rest of handle_pte_fault(): write faults, and access and dirty bits. */
function* handlePresentPte(mm: Mm, vmf: VmFault, at: PA, orig: Pte): MaySleep<number> {
  const as = vmf.vma.mm;
  const write = (vmf.flags & FAULT_FLAG_WRITE) !== 0;
  yield* as.pageTableLock.lock();
  if (readPte(mm, at) !== orig) {
    as.pageTableLock.unlock();
    return 0;
  }
  const unshare = (vmf.flags & FAULT_FLAG_UNSHARE) !== 0;
  if ((write || unshare) && !pteWrite(orig)) return yield* doWpPage(mm, vmf, at, orig);
  const entry = pteMkyoung(write ? pteMkdirty(orig) : orig);
  if (entry !== orig) {
    // ptep_set_access_flags(): the page and its permissions stay; no hook.
    mm.port.write64(at, entry);
    flushTlbPage(mm, as, vmf.addr);
  } else if (write && (vmf.flags & FAULT_FLAG_TRIED) === 0) {
    // flush_tlb_fix_spurious_fault(): another CPU's TLB was behind.
    flushTlbPage(mm, as, vmf.addr);
  }
  as.pageTableLock.unlock();
  return 0;
}

/** do_anonymous_page(): nothing is there yet. */
function* doAnonymousPage(mm: Mm, vmf: VmFault): MaySleep<number> {
  const { vma } = vmf;
  const as = vma.mm;
  const at = yield* pteAlloc(mm, as, vmf.addr);
  // Another thread mapped a huge page meanwhile: the access will see it.
  if (at === 'huge') return 0;
  if (at === undefined) return VM_FAULT_OOM;

  if ((vmf.flags & FAULT_FLAG_WRITE) === 0) {
    const zero = pteMkspecial(paPte(mm.pageToPa(mm.zeroPage), vma.pageProt));
    yield* as.pageTableLock.lock();
    if (pteNone(readPte(mm, at))) yield* setPtes(mm, at, zero);
    as.pageTableLock.unlock();
    return 0;
  }

  anonVmaPrepare(mm, vma);
  const page = yield* vmaAllocFolio(mm, GFP_HIGHUSER_MOVABLE | __GFP_ZERO, vma);
  if (page === undefined) return VM_FAULT_OOM;
  mm.memmap.set(page, PG_uptodate);
  let entry = paPte(mm.pageToPa(page), vma.pageProt);
  if ((vma.flags & VM_WRITE) !== 0) entry = pteMkwrite(pteMkdirty(entry));
  yield* as.pageTableLock.lock();
  if (!pteNone(readPte(mm, at))) {
    // Another thread was here first.
    as.pageTableLock.unlock();
    yield* putPage(mm, page);
    return 0;
  }
  as.anonPages++;
  folioAddNewAnonRmap(mm, page, vma, vmf.addr);
  yield* folioAddLru(mm, page);
  yield* setPtes(mm, at, entry);
  as.pageTableLock.unlock();
  return 0;
}

/** do_swap_page(): entries of pages that are being migrated, and of swap slots. */
export function* doSwapPage(mm: Mm, vmf: VmFault, at: PA, orig: Pte): MaySleep<number> {
  if (isMigrationEntry(orig)) {
    yield* migrationEntryWait(mm, orig);
    return 0;
  }
  if (isSwapEntry(orig) && mm.swap) return yield* doSwapIn(mm, vmf, at, orig);
  mm.warn(`page table holds an unknown entry 0x${orig.toString(16)}`);
  return VM_FAULT_SIGBUS;
}

/** wp_can_reuse_anon_folio(): nobody else has the page any more. */
function* canReuseAnonFolio(mm: Mm, page: Page): Atomic<boolean> {
  const map = mm.memmap;
  const head = map.head(page);
  if (isKsmPage(mm, page) || map.refcount[head]! > 3) return false;
  // A page that still waits in this CPU's batch has a reference there.
  if (!map.test(head, PG_lru)) yield* lruAddDrain(mm);
  if (map.test(page, PG_swapcache)) {
    if (map.refcount[page] !== 2 || !folioTrylock(mm, page)) return false;
    yield* folioFreeSwap(mm, page);
    folioUnlock(mm, page);
  }
  if (map.refcount[head] !== 1) return false;
  map.set(page, PG_anon_exclusive);
  return true;
}

/** do_wp_page(): a write to an entry that does not allow it, or unsharing. Enters with the table lock held. */
function* doWpPage(mm: Mm, vmf: VmFault, at: PA, orig: Pte): MaySleep<number> {
  const { vma } = vmf;
  const as = vma.mm;
  const page = vmNormalPage(mm, orig);
  if (page !== undefined) {
    const shared = (vma.flags & VM_SHARED) !== 0;
    if (shared && vma.file?.disk !== undefined) return yield* wpPageShared(mm, vmf, at, orig, page);
    if (
      shared ||
      pageAnonExclusive(mm, page) ||
      (isAnonPage(mm, page) && (yield* canReuseAnonFolio(mm, page)))
    ) {
      if (shared) folioMarkDirty(mm, page);
      // wp_page_reuse().
      let entry = pteMkyoung(orig);
      if ((vma.flags & VM_WRITE) !== 0 && (vmf.flags & FAULT_FLAG_UNSHARE) === 0) {
        entry = pteMkwrite(pteMkdirty(entry));
        mm.port.write64(at, entry);
        flushTlbPage(mm, as, vmf.addr);
      }
      as.pageTableLock.unlock();
      return 0;
    }
    getPage(mm, page);
    if (isKsmPage(mm, page)) mm.events.cow_ksm++;
  }
  as.pageTableLock.unlock();
  return yield* wpPageCopy(mm, vmf, at, orig, page);
}

/**
 * wp_page_shared() of a file that is written back: the page becomes dirty under its lock, so that it is not
 * just being cleaned. Enters with the table lock held.
 */
function* wpPageShared(mm: Mm, vmf: VmFault, at: PA, orig: Pte, page: Page): MaySleep<number> {
  const { vma } = vmf;
  const as = vma.mm;
  getPage(mm, page);
  as.pageTableLock.unlock();
  yield* folioLock(mm, page);
  yield* as.pageTableLock.lock();
  if (readPte(mm, at) === orig && (vma.flags & VM_WRITE) !== 0) {
    folioMarkDirty(mm, page);
    mm.port.write64(at, pteMkwrite(pteMkdirty(pteMkyoung(orig))));
    flushTlbPage(mm, as, vmf.addr);
  }
  as.pageTableLock.unlock();
  folioUnlock(mm, page);
  yield* putPage(mm, page);
  return 0;
}

/** wp_page_copy(): a page of its own for the writer, with data and tags of the old one. */
function* wpPageCopy(mm: Mm, vmf: VmFault, at: PA, orig: Pte, old: Page | undefined): MaySleep<number> {
  const { vma } = vmf;
  const as = vma.mm;
  anonVmaPrepare(mm, vma);
  const gfp = old === undefined ? GFP_HIGHUSER_MOVABLE | __GFP_ZERO : GFP_HIGHUSER_MOVABLE;
  const page = yield* vmaAllocFolio(mm, gfp, vma);
  if (page === undefined || (old !== undefined && (yield* copyUserHighpage(mm, page, old)) !== 0)) {
    if (page !== undefined) yield* putPage(mm, page);
    if (old !== undefined) yield* putPage(mm, old);
    return VM_FAULT_OOM;
  }
  mm.memmap.set(page, PG_uptodate);
  yield* as.pageTableLock.lock();
  if (readPte(mm, at) !== orig) {
    as.pageTableLock.unlock();
    yield* putPage(mm, page);
    if (old !== undefined) yield* putPage(mm, old);
    return 0;
  }
  let entry = paPte(mm.pageToPa(page), vma.pageProt);
  const writable = (vma.flags & VM_WRITE) !== 0 && (vmf.flags & FAULT_FLAG_UNSHARE) === 0;
  if (writable) entry = pteMkwrite(pteMkdirty(entry));
  // Clear and flush first: no CPU may see the old page for reading and the new one for writing at once.
  yield* ptepClearFlush(mm, as, vmf.addr, at);
  folioAddNewAnonRmap(mm, page, vma, vmf.addr);
  yield* folioAddLru(mm, page);
  yield* setPtes(mm, at, entry);
  if (old === undefined) ksmMightUnmapZeroPage(mm, as, orig);
  if (old === undefined || !isAnonPage(mm, old)) as.anonPages++;
  if (old !== undefined) {
    if (!isAnonPage(mm, old)) as.filePages--;
    folioRemoveRmap(mm, old);
    deferSplit(mm, old);
  }
  as.pageTableLock.unlock();
  if (old !== undefined) {
    yield* munlockCopied(mm, vma, old);
    yield* freeSwapCache(mm, old);
    // The mapping's reference and ours.
    yield* putPage(mm, old);
    yield* putPage(mm, old);
  }
  return 0;
}

/** copy_user_highpage() where sleeping is allowed: 0, or a negative errno. */
export function* copyUserHighpage(mm: Mm, to: Page, from: Page): MaySleep<number> {
  for (;;) {
    const preparation = yield* mm.hooks.copyHighpagePrepare(to, from);
    if (typeof preparation === 'number') return preparation;
    const result = yield* mm.hooks.copyHighpage(to, from, preparation);
    yield* mm.hooks.copyHighpageEnd(preparation);
    if (result !== -EAGAIN) return result;
  }
}

/** can_change_pte_writable() for private memory; a shared mapping's entries are writable as its protection says. */
export function canChangePteWritable(mm: Mm, vma: Vma, pte: Pte): boolean {
  if ((vma.flags & VM_WRITE) === 0 || pteProtnone(pte)) return false;
  const page = vmNormalPage(mm, pte);
  return page !== undefined && pageAnonExclusive(mm, page);
}

/** handle_pte_protnone() (v3/13): a NUMA hint, or a page without its tag block. */
function* handlePteProtnone(mm: Mm, vmf: VmFault, at: PA, orig: Pte): MaySleep<number> {
  const { vma } = vmf;
  const as = vma.mm;
  yield* as.pageTableLock.lock();
  if (readPte(mm, at) !== orig) {
    as.pageTableLock.unlock();
    return 0;
  }
  let entry = pteModify(orig, vma.pageProt);
  const writable = pteWrite(entry) || canChangePteWritable(mm, vma, entry);
  const page = vmNormalPage(mm, entry);
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
    const large = page !== undefined && isLarge(mm, mm.memmap.head(page));
    if (page === undefined || large) {
      // A large folio that is mapped page by page would not be moved.
      mm.events.numa_hint_faults++;
      if (page !== undefined && mm.hooks.numaHintKeepsLargeFolio) getPage(mm, page);
    } else {
      const target = numaMigratePrep(mm, vma, page);
      if (target !== undefined) {
        getPage(mm, page);
        as.pageTableLock.unlock();
        // Moved, it is mapped as it was: the access faults again, and finds it where it should be.
        if (yield* migrateMisplacedFolio(mm, page, target)) return 0;
        yield* as.pageTableLock.lock();
        if (readPte(mm, at) !== orig) {
          as.pageTableLock.unlock();
          return 0;
        }
      }
    }
  }
  entry = pteMkyoung(entry);
  if (writable) entry = pteMkwrite(entry);
  yield* setPtes(mm, at, entry);
  as.pageTableLock.unlock();
  return 0;
}
