/**
 * do_swap_page(): an access to memory that is on the swap device (mm/memory.c).
 *
 * Tags come back in two steps, as v3/12 and v3/28 have it: what may sleep before the table lock is taken,
 * the rest under it.
 */
import type { PA } from '../../base/index.js';
import type { MaySleep } from '../contexts/index.js';
import { anonVmaPrepare } from './anon-vma.js';
import { FAULT_FLAG_WRITE, VM_FAULT_MAJOR, VM_FAULT_OOM, VM_FAULT_SIGBUS } from './fault-flags.js';
import { folioLock, folioUnlock } from './folio-lock.js';
import { putPage } from './lru.js';
import type { VmFault } from './memory.js';
import type { Mm } from './mm.js';
import { PG_swapcache } from './page-flags.js';
import { readPte, setPtes } from './page-table.js';
import type { Pte } from './pgtable.js';
import { paPte, pteMkdirty, pteMkwrite, pteSwpExclusive, swapEntryOf } from './pgtable.js';
import { folioMapSwapped } from './rmap.js';
import { folioFreeSwap, readSwapCache, swapFree } from './swap.js';
import { VM_WRITE } from './vma.js';

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
  // Freed or reused while we waited: the entry will have changed too.
  if (!mm.memmap.test(page, PG_swapcache) || mm.memmap.private[page] !== entry) {
    result = 0;
  } else if ((yield* mm.hooks.archSwapPrepareToRestore(entry, page)) !== 0) {
    result = VM_FAULT_OOM;
  } else {
    yield* as.pageTableLock.lock();
    if (readPte(mm, at) === orig) {
      yield* mm.hooks.archSwapRestore(entry, page);
      const exclusive = pteSwpExclusive(orig);
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
  return result;
}
