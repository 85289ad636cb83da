/**
 * get_user_pages: references to the pages behind user addresses (mm/gup.c).
 *
 * FOLL_GET is a short reference. FOLL_PIN says that somebody reads or writes the contents behind the
 * kernel's back: it counts GUP_PIN_COUNTING_BIAS references, so that fork and migration can tell. A
 * long-term pin first moves the page out of CMA (and so out of tag storage), for it would keep the area's
 * owner from ever having it back. vmsplice pins without saying that it is for long: the known hole.
 *
 * A read follows entries that the hardware would not (PROT_NONE, fault-on-access): the kernel reads data
 * through its linear map. Whoever wants the page's tags must see to its block first.
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EBUSY, EFAULT, ENOMEM, sleepPoint } from '../contexts/index.js';
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_REMOTE,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_WRITE,
  VM_FAULT_ERROR,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
} from './fault-flags.js';
import { addPins, folioRefCount, isLarge, pageAnonExclusive, pincount } from './folio.js';
import { GFP_HIGHUSER } from './gfp.js';
import { folioIsolateLru, folioPutbackLru, lruAddDrainAll, putPage } from './lru.js';
import type { Page } from './memmap.js';
import { handleMmFault } from './memory.js';
import { allocLike, migratePages } from './migrate.js';
import { MIGRATE_CMA, MIGRATE_ISOLATE } from './migratetype.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { getPage } from './page-alloc.js';
import { entryOf } from './page-table.js';
import type { Pte } from './pgtable.js';
import { pteNone, ptePa, ptePresent, pteSpecial, pteWrite } from './pgtable.js';
import { isAnonPage } from './rmap.js';
import { VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_SHARED, VM_WRITE, type Vma } from './vma.js';
import { ZONE_MOVABLE } from './zone.js';

export const FOLL_WRITE = 1 << 0;
/** Ignore the VMA's protection where it could be changed to allow the access (ptrace). */
export const FOLL_FORCE = 1 << 1;
export const FOLL_PIN = 1 << 2;
/** With FOLL_PIN: for as long as its owner likes. */
export const FOLL_LONGTERM = 1 << 3;

/** References that one pin counts for. */
export const GUP_PIN_COUNTING_BIAS = 1024;
/** Faults at one page, and moves out of CMA, before giving up. */
const MAX_ROUNDS = 64;

const COND_RESCHED = sleepPoint('cond_resched');

/** folio_maybe_dma_pinned(): never wrong when it says no. */
export function maybeDmaPinned(mm: Mm, page: Page): boolean {
  const head = mm.memmap.head(page);
  return isLarge(mm, head) ? pincount(mm, head) > 0 : folioRefCount(mm, page) >= GUP_PIN_COUNTING_BIAS;
}

/** try_grab_folio() with FOLL_PIN. */
function pin(mm: Mm, page: Page): void {
  const head = mm.memmap.head(page);
  if (isLarge(mm, head)) addPins(mm, head, 1);
  mm.memmap.refcount[head]! += isLarge(mm, head) ? 1 : GUP_PIN_COUNTING_BIAS;
}

/** check_vma_flags(). */
function permitted(vma: Vma, flags: number): boolean {
  const force = (flags & FOLL_FORCE) !== 0;
  if ((flags & FOLL_WRITE) !== 0) {
    if ((vma.flags & VM_WRITE) !== 0) return true;
    return force && (vma.flags & (VM_MAYWRITE | VM_SHARED)) === VM_MAYWRITE;
  }
  return (vma.flags & VM_READ) !== 0 || (force && (vma.flags & VM_MAYREAD) !== 0);
}

/** follow_page_pte(): the page, where the entry allows what is asked without a fault. */
function followPte(mm: Mm, pte: Pte, flags: number): Page | undefined {
  if (!ptePresent(pte)) return undefined;
  const page = mm.paToPage(ptePa(pte));
  if (page === undefined) return undefined;
  const exclusive = pageAnonExclusive(mm, page);
  if ((flags & FOLL_WRITE) !== 0 && !pteWrite(pte)) {
    // can_follow_write_pte(): by force, a page that is nobody else's.
    if ((flags & FOLL_FORCE) === 0 || pteSpecial(pte) || !exclusive) return undefined;
  }
  // gup_must_unshare(): a copy-on-write after the pin would separate it from its owner.
  if ((flags & FOLL_PIN) !== 0 && !pteSpecial(pte) && isAnonPage(mm, page) && !exclusive) return undefined;
  return page;
}

/**
 * One page, with a reference (or a pin). mmap_lock must not be held.
 *
 * @param flags FOLL_*.
 * @returns the page (maybe the zero page, whose references do not count), -EFAULT, -ENOMEM, or -EBUSY
 *   for a long-term pin of a page that could not be moved out of CMA or ZONE_MOVABLE.
 */
export function* getUserPage(mm: Mm, as: MmStruct, addr: number, flags: number): MaySleep<Page | number> {
  const pageAddr = addr - (addr % mm.pageSize);
  let faultFlags = FAULT_FLAG_REMOTE | FAULT_FLAG_ALLOW_RETRY;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    yield* as.mmapLock.downRead();
    const vma = as.vmas.lookup(pageAddr);
    if (!vma || !permitted(vma, flags)) {
      as.mmapLock.upRead();
      return -EFAULT;
    }
    yield* as.pageTableLock.lock();
    const pte = entryOf(mm, as, pageAddr);
    const page = pteNone(pte) ? undefined : followPte(mm, pte, flags);
    if (page !== undefined && page !== mm.zeroPage) {
      if ((flags & FOLL_PIN) === 0) getPage(mm, page);
      else {
        pin(mm, page);
        as.hasPinned = true;
      }
    }
    as.pageTableLock.unlock();
    if (page !== undefined) {
      as.mmapLock.upRead();
      if ((flags & FOLL_LONGTERM) === 0 || page === mm.zeroPage || isLongtermPinnable(mm, page)) {
        return page;
      }
      const error = yield* moveToPinnable(mm, page);
      if (error !== 0) return error;
      continue;
    }
    // Pins want a page of one's own, as a write would make it.
    const write = (flags & (FOLL_WRITE | FOLL_PIN)) !== 0 && (vma.flags & (VM_WRITE | VM_MAYWRITE)) !== 0;
    const fault = yield* handleMmFault(mm, {
      vma,
      addr: pageAddr,
      flags: faultFlags | (write ? FAULT_FLAG_WRITE : 0),
      releaseFaultLock: () => as.mmapLock.upRead(),
    });
    if ((fault & VM_FAULT_RETRY) !== 0) faultFlags |= FAULT_FLAG_TRIED;
    else as.mmapLock.upRead();
    if ((fault & VM_FAULT_ERROR) !== 0) return (fault & VM_FAULT_OOM) !== 0 ? -ENOMEM : -EFAULT;
    yield COND_RESCHED;
  }
  return -EFAULT;
}

/** folio_is_longterm_pinnable(): neither CMA nor ZONE_MOVABLE would have it back. */
function isLongtermPinnable(mm: Mm, page: Page): boolean {
  const type = mm.memmap.pageblockMigratetype(page);
  return type !== MIGRATE_CMA && type !== MIGRATE_ISOLATE && mm.memmap.zoneOf(page) !== ZONE_MOVABLE;
}

/** check_and_migrate_movable_pages() of one pinned page; the pin is dropped in any case. */
function* moveToPinnable(mm: Mm, page: Page): MaySleep<number> {
  yield* lruAddDrainAll(mm);
  const head = mm.memmap.head(page);
  const isolated = folioIsolateLru(mm, head);
  yield* unpinUserPage(mm, page);
  if (!isolated) return 0;
  const list = [head];
  const failed = yield* migratePages(mm, list, (source) => allocLike(mm, source, GFP_HIGHUSER));
  for (const left of list) yield* folioPutbackLru(mm, left);
  return failed === 0 ? 0 : failed < 0 ? failed : -EBUSY;
}

/** unpin_user_page(). */
export function* unpinUserPage(mm: Mm, page: Page): Atomic<void> {
  if (page === mm.zeroPage) return;
  const head = mm.memmap.head(page);
  if (isLarge(mm, head)) addPins(mm, head, -1);
  else mm.memmap.refcount[head]! -= GUP_PIN_COUNTING_BIAS - 1;
  yield* putPage(mm, page);
}
