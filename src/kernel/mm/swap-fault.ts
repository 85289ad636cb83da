/**
 * do_swap_page(): an access to memory that is on the swap device (mm/memory.c).
 *
 * Tags come back in two steps, as v3/12 and v3/28 have it: what may sleep before the table lock is taken,
 * the rest under it. A slot may have been a KSM page's, whose mappings have nothing else in common: then all but
 * the first to come back get copies of their own.
 */
import type { PA } from '../../base/index.js';
import type { MaySleep } from '../contexts/index.js';
import { anonVmaPrepare } from './anon-vma.js';
import { FAULT_FLAG_WRITE, VM_FAULT_MAJOR, VM_FAULT_OOM, VM_FAULT_SIGBUS } from './fault-flags.js';
import { folioLock, folioUnlock } from './folio-lock.js';
import { GFP_HIGHUSER_MOVABLE } from './gfp.js';
import { isKsmPage, KSM_RUN_UNMERGE, stableNodeOf } from './ksm.js';
import { folioAddLru, putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { VmFault } from './memory.js';
import { copyUserHighpage, vmaAllocFolio } from './memory.js';
import type { Mm } from './mm.js';
import { PG_dirty, PG_swapcache, PG_uptodate } from './page-flags.js';
import { readPte, setPtes } from './page-table.js';
import type { Pte } from './pgtable.js';
import { paPte, pteMkdirty, pteMkwrite, pteSwpExclusive, swapEntryOf } from './pgtable.js';
import { folioAddNewAnonRmap, folioMapSwapped, linearPageIndex } from './rmap.js';
import { folioFreeSwap, readSwapCache, swapFree } from './swap.js';
import { VM_MERGEABLE, VM_WRITE, type Vma } from './vma.js';

export function* doSwapIn(mm: Mm, vmf: VmFault, at: PA, orig: Pte): MaySleep<number> {
  const { vma } = vmf;
  const as = vma.mm;
  const entry = swapEntryOf(orig);
  const major = mm.swap?.cache.has(entry) === true ? 0 : VM_FAULT_MAJOR;
  anonVmaPrepare(mm, vma);
  const page = yield* readSwapCache(mm, entry, vma);
  if (page === undefined) return VM_FAULT_OOM;
  if (page === 'gone') return 0;
  if (page === 'io') return VM_FAULT_SIGBUS;
  yield* folioLock(mm, page);
  let result = major;
  const isSlots = () => mm.memmap.test(page, PG_swapcache) && mm.memmap.private[page] === entry;
  let copy: Page | undefined;
  if (isSlots() && needsCopy(mm, vma, vmf.addr, page)) {
    // Not while it is locked: for a tagged copy a block of tag storage may be taken back, and whoever is about to take
    // back the one that the page is in waits for the page, holding tag_blocks_lock.
    folioUnlock(mm, page);
    copy = yield* vmaAllocFolio(mm, GFP_HIGHUSER_MOVABLE, vma);
    yield* folioLock(mm, page);
    if (copy === undefined) result = VM_FAULT_OOM;
  }
  // Freed or reused while we waited: the entry will have changed too.
  if (result === VM_FAULT_OOM || !isSlots()) {
    result &= VM_FAULT_OOM;
  } else if ((yield* mm.hooks.archSwapPrepareToRestore(entry, page)) !== 0) {
    result = VM_FAULT_OOM;
  } else if (needsCopy(mm, vma, vmf.addr, page)) {
    // If it needs one only now, the access comes again.
    result = copy === undefined ? 0 : yield* mapCopy(mm, vmf, at, orig, page, copy, major);
    copy = undefined;
  } else {
    yield* as.pageTableLock.lock();
    if (readPte(mm, at) === orig) {
      yield* mm.hooks.archSwapRestore(entry, page);
      const exclusive = pteSwpExclusive(orig) && !isKsmPage(mm, page);
      as.swapEntries--;
      as.anonPages++;
      mm.memmap.refcount[page]!++;
      folioMapSwapped(mm, page, vma, vmf.addr, exclusive);
      let pte = paPte(mm.pageToPa(page), vma.pageProt);
      if (exclusive && (vmf.flags & FAULT_FLAG_WRITE) !== 0 && (vma.flags & VM_WRITE) !== 0) {
        pte = pteMkwrite(pteMkdirty(pte));
      }
      yield* setPtes(mm, at, pte);
      as.pageTableLock.unlock();
      yield* swapFree(mm, entry);
      // Written to, it would have to be written out again anyway.
      if ((vmf.flags & FAULT_FLAG_WRITE) !== 0) yield* folioFreeSwap(mm, page);
      mm.events.pgmajfault += major ? 1 : 0;
    } else {
      as.pageTableLock.unlock();
      result = 0;
    }
  }
  folioUnlock(mm, page);
  yield* putPage(mm, page);
  if (copy !== undefined) yield* putPage(mm, copy);
  return result;
}

/**
 * ksm_might_need_to_copy(): the page in the swap cache cannot be found again through this mapping. Linux maps a
 * KSM page whatever the mapping is now; here only one that ksmd will come by to learn of.
 */
function needsCopy(mm: Mm, vma: Vma, addr: number, page: Page): boolean {
  if (isKsmPage(mm, page)) {
    const unmerging = (mm.ksm.run & KSM_RUN_UNMERGE) !== 0 || (vma.flags & VM_MERGEABLE) === 0;
    return unmerging || stableNodeOf(mm, page) === undefined;
  }
  const anonVma = mm.anonVmas.ofMapping(mm.memmap.mapping[page]!);
  if (anonVma === undefined) return false;
  return anonVma.root !== vma.anonVma!.root || mm.memmap.index[page] !== linearPageIndex(mm, vma, addr);
}

/** The mapping gets `copy`, of the page, which is locked and in the swap cache. */
function* mapCopy(
  mm: Mm,
  vmf: VmFault,
  at: PA,
  orig: Pte,
  page: Page,
  copy: Page,
  major: number,
): MaySleep<number> {
  const { vma } = vmf;
  const as = vma.mm;
  const entry = swapEntryOf(orig);
  let error = yield* copyUserHighpage(mm, copy, page);
  // Tags that wait for the slot's page are this copy's as well.
  if (error === 0) error = yield* mm.hooks.archSwapPrepareToRestore(entry, copy);
  if (error !== 0) {
    yield* putPage(mm, copy);
    return VM_FAULT_OOM;
  }
  mm.events.ksm_swpin_copy++;
  mm.memmap.set(copy, PG_uptodate | PG_dirty);
  yield* as.pageTableLock.lock();
  const mine = readPte(mm, at) === orig;
  if (mine) {
    yield* mm.hooks.archSwapRestore(entry, copy);
    as.swapEntries--;
    as.anonPages++;
    folioAddNewAnonRmap(mm, copy, vma, vmf.addr);
    yield* folioAddLru(mm, copy);
    let pte = paPte(mm.pageToPa(copy), vma.pageProt);
    if ((vmf.flags & FAULT_FLAG_WRITE) !== 0 && (vma.flags & VM_WRITE) !== 0) {
      pte = pteMkwrite(pteMkdirty(pte));
    }
    yield* setPtes(mm, at, pte);
  }
  as.pageTableLock.unlock();
  if (!mine) {
    yield* putPage(mm, copy);
    return 0;
  }
  yield* swapFree(mm, entry);
  // Of no use to anybody, if nobody else will come for it.
  if (mm.memmap.mapcount[page] === 0) yield* folioFreeSwap(mm, page);
  mm.events.pgmajfault += major ? 1 : 0;
  return major;
}
