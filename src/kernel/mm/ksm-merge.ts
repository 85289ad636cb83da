/**
 * KSM's hands in the page tables: a page becomes a KSM page, another is replaced by it, and both can be undone
 * (mm/ksm.c: write_protect_page(), replace_page(), break_ksm()).
 *
 * Merging never changes what anybody reads: an entry is made read-only first, then the contents are compared,
 * under the page lock and, where the entry is replaced, only if it is still the same. A page with references
 * that nobody accounts for is left alone. Tags count as contents: a page that has some never equals another
 * (arm64's memcmp_pages()).
 */
import type { PA } from '../../base/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EAGAIN, EFAULT, ENOMEM, sleepPoint } from '../contexts/index.js';
import { vmaAddress } from './anon-vma.js';
import {
  FAULT_FLAG_REMOTE,
  FAULT_FLAG_UNSHARE,
  VM_FAULT_OOM,
  VM_FAULT_SIGBUS,
  VM_FAULT_SIGSEGV,
} from './fault-flags.js';
import { isLarge, pageAnonExclusive } from './folio.js';
import { folioTrylock, folioUnlock } from './folio-lock.js';
import type { RmapItem } from './ksm.js';
import { findMergeableVma, isKsmPage, KSM_NO_NODE } from './ksm.js';
import { removeRmapItemFromTree } from './ksm-stable-tree.js';
import { putPage } from './lru.js';
import type { Page } from './memmap.js';
import { handleMmFault } from './memory.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { getPage } from './page-alloc.js';
import { PG_anon_exclusive, PG_dirty, PG_referenced, PG_swapcache } from './page-flags.js';
import { entryOf, nextPteRun, ptepClearFlush, readPte, setPtes } from './page-table.js';
import type { Pte } from './pgtable.js';
import {
  isMigrationEntry,
  migrationEntryPfn,
  paPte,
  pteDirty,
  pteMkclean,
  pteMkdirty,
  pteMkspecial,
  ptePa,
  ptePresent,
  pteSpecial,
  pteWrite,
  pteWrprotect,
} from './pgtable.js';
import { folioAddAnonRmap, folioRemoveRmap, isAnonPage, mappedPte } from './rmap.js';
import { splitFolio } from './split-folio.js';
import { folioFreeSwap } from './swap.js';
import type { Vma } from './vma.js';

const COND_RESCHED = sleepPoint('cond_resched');

/** is_ksm_zero_pte(): a zero page that took a merged page's place is marked dirty, which no other is. */
export const isKsmZeroPte = (mm: Mm, pte: Pte): boolean =>
  pteSpecial(pte) && pteDirty(pte) && ptePa(pte) === mm.pageToPa(mm.zeroPage);

/** ksm_might_unmap_zero_page(). */
export function ksmMightUnmapZeroPage(mm: Mm, as: MmStruct, pte: Pte): void {
  if (mm.ksm.zeroPages === 0 || !isKsmZeroPte(mm, pte)) return;
  mm.ksm.zeroPages--;
  as.ksmZeroPages--;
}

/** A child gets the same entry: counted, for it will be unmapped there as well. */
export function ksmForkZeroPage(mm: Mm, child: Vma, pte: Pte): void {
  if (mm.ksm.zeroPages === 0 || !isKsmZeroPte(mm, pte)) return;
  mm.ksm.zeroPages++;
  child.mm.ksmZeroPages++;
}

/** follow_page(FOLL_GET) of an anonymous page, mmap_lock held; entries that the hardware cannot use included. */
export function* followAnonPage(mm: Mm, vma: Vma, addr: number): Atomic<Page | undefined> {
  const as = vma.mm;
  yield* as.pageTableLock.lock();
  const pte = entryOf(mm, as, addr);
  let page = ptePresent(pte) && !pteSpecial(pte) ? mm.paToPage(ptePa(pte)) : undefined;
  if (page !== undefined && !isAnonPage(mm, page)) page = undefined;
  if (page !== undefined) getPage(mm, page);
  as.pageTableLock.unlock();
  return page;
}

/** page_address_in_vma(): of a page that has an anon_vma, and a single one. */
function pageAddressInVma(mm: Mm, page: Page, vma: Vma): number | undefined {
  const anonVma = mm.anonVmas.ofMapping(mm.memmap.mapping[page]!);
  if (anonVma === undefined || vma.anonVma?.root !== anonVma.root) return undefined;
  return vmaAddress(mm, page, vma);
}

/**
 * write_protect_page(): nobody can change the page through this entry, nor through a reference.
 *
 * @returns the entry as it is now, or undefined where that cannot be had.
 */
function* writeProtectPage(mm: Mm, vma: Vma, page: Page): Atomic<Pte | undefined> {
  const { memmap: map } = mm;
  const as = vma.mm;
  const addr = pageAddressInVma(mm, page, vma);
  if (addr === undefined) return undefined;
  yield* as.pageTableLock.lock();
  const at = mappedPte(mm, page, vma, addr);
  let entry = at === undefined ? undefined : readPte(mm, at);
  if (at !== undefined && entry !== undefined) {
    const exclusive = pageAnonExclusive(mm, page);
    if (pteWrite(entry) || pteDirty(entry) || exclusive) entry = yield* makeReadOnly(mm, vma, page, addr, at);
    if (entry !== undefined && exclusive) map.clear(page, PG_anon_exclusive);
  }
  as.pageTableLock.unlock();
  return entry;
}

function* makeReadOnly(mm: Mm, vma: Vma, page: Page, addr: number, at: PA): Atomic<Pte | undefined> {
  const { memmap: map } = mm;
  const old = yield* ptepClearFlush(mm, vma.mm, addr, at);
  // Direct I/O and pins read and write the page itself: only mappings, the caller and the swap cache may have it.
  const known = map.mapcount[page]! + 1 + (map.test(page, PG_swapcache) ? 1 : 0);
  if (map.refcount[page] !== known) {
    yield* setPtes(mm, at, old);
    return undefined;
  }
  if (pteDirty(old)) map.set(page, PG_dirty);
  const entry = pteWrprotect(pteMkclean(old));
  yield* setPtes(mm, at, entry);
  // The tag hook may have made it another.
  return readPte(mm, at);
}

/** replace_page(): the entry, if it is still `orig`, maps `kpage` instead. 0 or -EFAULT. */
function* replacePage(mm: Mm, vma: Vma, page: Page, kpage: Page, orig: Pte): Atomic<number> {
  const { memmap: map, ksm } = mm;
  const as = vma.mm;
  const addr = pageAddressInVma(mm, page, vma);
  if (addr === undefined) return -EFAULT;
  yield* as.pageTableLock.lock();
  const at = mappedPte(mm, page, vma, addr);
  if (at === undefined || readPte(mm, at) !== orig) {
    as.pageTableLock.unlock();
    return -EFAULT;
  }
  mm.bugOn(pageAnonExclusive(mm, page), 'a page that is being merged is exclusive');
  let entry = paPte(mm.pageToPa(kpage), vma.pageProt);
  if (kpage === mm.zeroPage) {
    entry = pteMkdirty(pteMkspecial(entry));
    ksm.zeroPages++;
    as.ksmZeroPages++;
    as.anonPages--;
  } else {
    getPage(mm, kpage);
    folioAddAnonRmap(mm, kpage, false);
  }
  yield* ptepClearFlush(mm, as, addr, at);
  yield* setPtes(mm, at, entry);
  folioRemoveRmap(mm, page);
  if (map.mapcount[page] === 0) yield* folioFreeSwap(mm, page);
  yield* putPage(mm, page);
  as.pageTableLock.unlock();
  return 0;
}

/**
 * try_to_merge_one_page(): `page`, which `vma` maps, becomes a KSM page (without `kpage`), or gives way to one.
 *
 * @returns 0, or -EFAULT or -EAGAIN where it stays what it is.
 */
export function* tryToMergeOnePage(mm: Mm, vma: Vma, page: Page, kpage: Page | undefined): MaySleep<number> {
  const { memmap: map } = mm;
  // Of a fork: it is there already.
  if (page === kpage) return 0;
  if (!isAnonPage(mm, page)) return -EFAULT;
  const head = map.head(page);
  if (!folioTrylock(mm, head)) return -EAGAIN;
  if (isLarge(mm, head) && (yield* splitFolio(mm, head, page)) !== 0) {
    folioUnlock(mm, head);
    return -EAGAIN;
  }
  let result = -EFAULT;
  const orig = yield* writeProtectPage(mm, vma, page);
  if (orig !== undefined && kpage === undefined) {
    map.mapping[page] = KSM_NO_NODE;
    map.set(page, PG_referenced | PG_dirty);
    result = 0;
  } else if (orig !== undefined && kpage !== undefined && mm.hooks.memcmpPages(page, kpage) === 0) {
    result = yield* replacePage(mm, vma, page, kpage, orig);
  }
  folioUnlock(mm, page);
  return result;
}

/** try_to_merge_with_ksm_page(): likewise, of the page that an item stands for; the item pins its anon_vma then. */
export function* tryToMergeWithKsmPage(
  mm: Mm,
  item: RmapItem,
  page: Page,
  kpage: Page | undefined,
): MaySleep<number> {
  const as = item.mm;
  let result = -EFAULT;
  yield* as.mmapLock.downRead();
  const vma = findMergeableVma(as, item.addr);
  if (vma !== undefined) result = yield* tryToMergeOnePage(mm, vma, page, kpage);
  if (vma !== undefined && result === 0) {
    yield* removeRmapItemFromTree(mm, item);
    item.anonVma = vma.anonVma!;
    item.anonVma.refcount++;
  }
  as.mmapLock.upRead();
  return result;
}

/** The page that takes the place of an empty one is the zero page: try_to_merge_one_page() with it. */
export function* tryToMergeWithZeroPage(mm: Mm, item: RmapItem, page: Page): MaySleep<boolean> {
  yield* item.mm.mmapLock.downRead();
  const vma = findMergeableVma(item.mm, item.addr);
  const done = vma === undefined || (yield* tryToMergeOnePage(mm, vma, page, mm.zeroPage)) === 0;
  item.mm.mmapLock.upRead();
  return done;
}

/** Does a KSM page, or a zero page in place of one, stand at `addr`, or will, once it has been moved? */
function* ksmAt(mm: Mm, vma: Vma, addr: number): Atomic<boolean> {
  yield* vma.mm.pageTableLock.lock();
  const pte = entryOf(mm, vma.mm, addr);
  let page: Page | undefined;
  if (isMigrationEntry(pte)) page = mm.memmap.pfnToPage(migrationEntryPfn(pte));
  else if (ptePresent(pte) && !pteSpecial(pte)) page = mm.paToPage(ptePa(pte));
  vma.mm.pageTableLock.unlock();
  return page === undefined ? ptePresent(pte) && isKsmZeroPte(mm, pte) : isKsmPage(mm, page);
}

/** break_ksm(): the mapping has a page of its own again, as a write would have made it. 0 or -ENOMEM. */
export function* breakKsm(mm: Mm, vma: Vma, addr: number): MaySleep<number> {
  while (yield* ksmAt(mm, vma, addr)) {
    yield COND_RESCHED;
    const fault = yield* handleMmFault(mm, {
      vma,
      addr,
      flags: FAULT_FLAG_UNSHARE | FAULT_FLAG_REMOTE,
      // Retrying is not allowed, so nobody drops it.
      releaseFaultLock: () => {},
    });
    if ((fault & VM_FAULT_OOM) !== 0) return -ENOMEM;
    if ((fault & (VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV)) !== 0) return 0;
  }
  return 0;
}

/** break_cow(): a merge is taken back, with the pin of the item's anon_vma. */
export function* breakCow(mm: Mm, item: RmapItem): MaySleep<void> {
  putAnonVma(mm, item);
  yield* item.mm.mmapLock.downRead();
  const vma = findMergeableVma(item.mm, item.addr);
  if (vma !== undefined) yield* breakKsm(mm, vma, item.addr);
  item.mm.mmapLock.upRead();
}

/** put_anon_vma() of an item's. */
export function putAnonVma(mm: Mm, item: RmapItem): void {
  const { anonVma } = item;
  if (anonVma === undefined) return;
  item.anonVma = undefined;
  anonVma.refcount--;
  mm.anonVmas.release(anonVma);
}

/** unmerge_ksm_pages(): every page of [start, end) is the mapping's own; mmap_lock held. 0 or -ENOMEM. */
export function* unmergeKsmPages(mm: Mm, vma: Vma, start: number, end: number): MaySleep<number> {
  let addr = start;
  for (let run = nextPteRun(mm, vma.mm, addr, end); run; run = nextPteRun(mm, vma.mm, addr, end)) {
    for (addr = run.addr; addr < run.end; addr += mm.pageSize) {
      if (vma.mm.exiting) return 0;
      const error = yield* breakKsm(mm, vma, addr);
      if (error !== 0) return error;
    }
  }
  return 0;
}
