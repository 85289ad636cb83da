/**
 * hugetlb: huge pages that an administrator sets aside, and private mappings that have nothing else
 * (mm/hugetlb.c). One size, that of a PMD.
 *
 * Pages of the pool are nobody's memory: they come from the page allocator when the pool grows, go back when it
 * shrinks, and are cleared when they are mapped. A mapping reserves as many as it is long, so that its faults find
 * them; copies after a fork have no reservation, and where the pool has no page left the access is a SIGBUS. Where
 * it is the parent who writes, the child loses the page instead (unmap_ref_private()). They
 * are never reclaimed, moved or split, and as in Linux 6.8 cannot be tagged. Taken from unmovable memory, they
 * never stand in the way of tag storage.
 *
 * Not here: hugetlbfs, shared mappings and memfds (-ENOSYS), further sizes, overcommit; a fork where one of them is
 * pinned fails.
 */
import type { PA } from '../../base/index.js';
import { PA as toPA } from '../../base/index.js';
import type { Atomic, Contexts, MaySleep } from '../contexts/index.js';
import { EINVAL, ENOSYS, Mutex } from '../contexts/index.js';
import { anonVmaPrepare } from './anon-vma.js';
import { FAULT_FLAG_UNSHARE, FAULT_FLAG_WRITE, VM_FAULT_OOM, VM_FAULT_SIGBUS } from './fault-flags.js';
import { folioMapcount, pageAnonExclusive } from './folio.js';
import { __GFP_COMP, __GFP_NOWARN, GFP_HIGHUSER } from './gfp.js';
import { blockStart, depositTable, pmdPage, zapHugePmd } from './huge-memory.js';
import { putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { VmFault } from './memory.js';
import type { Mm } from './mm.js';
import { allocPages, freePages, getPage } from './page-alloc.js';
import { PG_anon_exclusive, PG_hugetlb, PG_swapbacked, PG_uptodate } from './page-flags.js';
import {
  allocTable,
  flushTlbRange,
  freeTable,
  pmdAlloc,
  ptepGetAndClear,
  readPte,
  setHugePmd,
} from './page-table.js';
import { paPte, pmdMkhuge, pteMkdirty, pteMkwrite, pteMkyoung, pteWrite } from './pgtable.js';
import { folioAddNewAnonRmap, folioRemoveRmapPmd, mappedEntries, rmapWalk } from './rmap.js';
import { MAP_ANONYMOUS, MAP_HUGE_SHIFT, MAP_NORESERVE, MAP_SHARED } from './types.js';
import type { Vma } from './vma.js';
import { VM_WRITE } from './vma.js';

/** struct hstate of the one size; pages of that size. */
export class HugetlbPool {
  /** hugepage_freelists. */
  readonly free: Page[] = [];
  /** nr_huge_pages, mapped ones included. */
  total = 0;
  /** resv_huge_pages: of those free, promised. */
  reserved = 0;
  /** surplus_huge_pages: more than the administrator wants, until they are given back. */
  surplus = 0;
  /**
   * hugetlb_fault_mutex_table, of one: two faults at one page must not both want a page of the pool, of which
   * there may be one.
   */
  readonly faultMutex: Mutex;

  constructor(contexts: Contexts) {
    this.faultMutex = new Mutex(contexts, 'hugetlb_fault_mutex');
  }
}

/** What is promised to a mapping, and to the parts it was cut into. */
export interface HugetlbReservation {
  left: number;
  users: number;
  /** HPAGE_RESV_OWNER: who mapped it, not a child. */
  readonly owner: boolean;
  /** HPAGE_RESV_UNMAPPED: the owner needed its pages; what is not mapped is gone. */
  unmapped: boolean;
}

/** What a child has of its parent's. */
export const childReservation = (): HugetlbReservation => ({
  left: 0,
  users: 1,
  owner: false,
  unmapped: false,
});

const GFP_POOL = GFP_HIGHUSER | __GFP_COMP | __GFP_NOWARN;

/** folio_test_hugetlb(), of whichever page. */
export const isHugetlb = (mm: Mm, page: Page): boolean => mm.memmap.test(mm.memmap.head(page), PG_hugetlb);

// ---- the pool ---------------------------------------------------------------------------------------

/** Puts a page with no references into the pool; or gives it back where there is one too many. */
export function* freeHugeFolio(mm: Mm, head: Page): Atomic<void> {
  const { hugetlb: pool, memmap: map } = mm;
  map.mapping[head] = 0;
  map.clear(head, PG_anon_exclusive | PG_uptodate | PG_swapbacked);
  if (pool.surplus === 0) {
    pool.free.push(head);
    return;
  }
  pool.surplus--;
  pool.total--;
  yield* dissolve(mm, head);
}

function* dissolve(mm: Mm, head: Page): Atomic<void> {
  mm.pageNode(head).nrHugePages--;
  mm.memmap.clear(head, PG_hugetlb);
  mm.memmap.refcount[head] = 1;
  yield* freePages(mm, head, mm.layout.pmdOrder);
}

/** set_max_huge_pages(): as many as can be had; those in use stay until they are given back. */
export function* setMaxHugePages(mm: Mm, count: number): MaySleep<void> {
  const { hugetlb: pool } = mm;
  // Surplus ones become wanted first.
  while (pool.surplus > 0 && pool.total - pool.surplus < count) pool.surplus--;
  while (pool.total - pool.surplus < count) {
    const page = mm.shouldFail('hugetlb_alloc')
      ? undefined
      : yield* allocPages(mm, GFP_POOL, mm.layout.pmdOrder);
    if (page === undefined) return;
    mm.memmap.set(page, PG_hugetlb);
    mm.memmap.refcount[page] = 0;
    pool.total++;
    mm.pageNode(page).nrHugePages++;
    pool.free.push(page);
  }
  while (pool.total - pool.surplus > count && pool.free.length > pool.reserved) {
    pool.total--;
    yield* dissolve(mm, pool.free.pop()!);
  }
  pool.surplus += Math.max(0, pool.total - pool.surplus - count);
}

/** dequeue_hugetlb_folio(): with one reference; undefined where none is free but what is promised to others. */
function take(mm: Mm, reservation: HugetlbReservation): Page | undefined {
  const { hugetlb: pool } = mm;
  if (reservation.left === 0 && pool.free.length <= pool.reserved) return undefined;
  if (reservation.left > 0) {
    reservation.left--;
    pool.reserved--;
  }
  const page = pool.free.pop()!;
  mm.memmap.refcount[page] = 1;
  return page;
}

// ---- mappings ---------------------------------------------------------------------------------------

/** Why MAP_HUGETLB cannot be had: a negative errno, or 0. */
export function hugetlbProblem(mm: Mm, flags: number, hasFile: boolean): number {
  const sizeLog = (flags >>> MAP_HUGE_SHIFT) & 0x3f;
  if (hasFile || (sizeLog !== 0 && 2 ** sizeLog !== mm.layout.pmdSize)) return -EINVAL;
  return (flags & MAP_SHARED) !== 0 || (flags & MAP_ANONYMOUS) === 0 ? -ENOSYS : 0;
}

/** hugetlb_reserve_pages(): undefined where the pool has not got them. */
export function hugetlbReserve(mm: Mm, pages: number, flags: number): HugetlbReservation | undefined {
  const { hugetlb: pool } = mm;
  if ((flags & MAP_NORESERVE) !== 0) return { ...childReservation(), owner: true };
  if (pool.free.length - pool.reserved < pages) return undefined;
  pool.reserved += pages;
  return { left: pages, users: 1, owner: true, unmapped: false };
}

/** hugetlb_vm_op_close(): with the last part of a mapping its promise ends. */
export function hugetlbClose(mm: Mm, vma: Vma): void {
  const { hugetlb: reservation } = vma;
  if (reservation === undefined) return;
  vma.hugetlb = undefined;
  if (--reservation.users > 0) return;
  mm.hugetlb.reserved -= reservation.left;
  reservation.left = 0;
}

/** Does [start, end) cut one of the mapping's pages? */
export const cutsHugePage = (mm: Mm, vma: Vma, start: number, end: number): boolean =>
  vma.hugetlb !== undefined &&
  ((start > vma.start && start % mm.layout.pmdSize !== 0) ||
    (end < vma.end && end % mm.layout.pmdSize !== 0));

/** hugetlb_fault(). */
export function* hugetlbFault(mm: Mm, vmf: VmFault): MaySleep<number> {
  const { faultMutex } = mm.hugetlb;
  yield* faultMutex.lock();
  const result = yield* faultLocked(mm, vmf);
  faultMutex.unlock();
  return result;
}

function* faultLocked(mm: Mm, vmf: VmFault): MaySleep<number> {
  const { vma } = vmf;
  const as = vma.mm;
  const start = blockStart(mm, vmf.addr);
  const write = (vmf.flags & FAULT_FLAG_WRITE) !== 0;
  const at = yield* pmdAlloc(mm, as, start);
  if (at === undefined) return VM_FAULT_OOM;
  const pmd = readPte(mm, at);
  if (pmd === 0n) return yield* hugetlbNoPage(mm, vma, at, start, write);
  if ((write || (vmf.flags & FAULT_FLAG_UNSHARE) !== 0) && !pteWrite(pmd)) {
    return yield* hugetlbWp(mm, vma, at, start, pmd, write);
  }
  yield* as.pageTableLock.lock();
  if (readPte(mm, at) === pmd) {
    mm.port.write64(at, pteMkyoung(write ? pteMkdirty(pmd) : pmd));
    flushTlbRange(mm, as, start, start + mm.layout.pmdSize);
  }
  as.pageTableLock.unlock();
  return 0;
}

/** The entry that maps a page of one's own. */
function entryOf(mm: Mm, vma: Vma, page: Page, write: boolean): bigint {
  const entry = pmdMkhuge(paPte(mm.pageToPa(page), vma.pageProt));
  return write && (vma.flags & VM_WRITE) !== 0 ? pteMkwrite(pteMkdirty(entry)) : entry;
}

/** hugetlb_no_page(). */
function* hugetlbNoPage(mm: Mm, vma: Vma, at: PA, start: number, write: boolean): MaySleep<number> {
  const as = vma.mm;
  const table = yield* allocTable(mm);
  if (table === undefined) return VM_FAULT_OOM;
  anonVmaPrepare(mm, vma);
  const page = vma.hugetlb!.unmapped ? undefined : take(mm, vma.hugetlb!);
  if (page === undefined) {
    yield* freeTable(mm, table);
    return VM_FAULT_SIGBUS;
  }
  mm.port.fill(mm.pageToPa(page), mm.layout.pmdSize, 0);
  mm.memmap.set(page, PG_uptodate);
  yield* as.pageTableLock.lock();
  if (readPte(mm, at) !== 0n) {
    // Another thread was here first.
    as.pageTableLock.unlock();
    yield* freeTable(mm, table);
    yield* putPage(mm, page);
    return 0;
  }
  depositTable(mm, as, table);
  folioAddNewAnonRmap(mm, page, vma, start);
  as.anonPages += mm.layout.entriesPerTable;
  as.hugetlbPages += mm.layout.entriesPerTable;
  yield* setHugePmd(mm, at, entryOf(mm, vma, page, write));
  as.pageTableLock.unlock();
  return 0;
}

/** hugetlb_wp(): a store after a fork, or the first one after a load. */
function* hugetlbWp(mm: Mm, vma: Vma, at: PA, start: number, pmd: bigint, write: boolean): MaySleep<number> {
  const as = vma.mm;
  const old = pmdPage(mm, pmd)!;
  yield* as.pageTableLock.lock();
  if (readPte(mm, at) !== pmd) {
    as.pageTableLock.unlock();
    return 0;
  }
  if (pageAnonExclusive(mm, old) || folioMapcount(mm, old) === 1) {
    mm.memmap.set(old, PG_anon_exclusive);
    if (write && (vma.flags & VM_WRITE) !== 0) {
      mm.port.write64(at, pteMkwrite(pteMkdirty(pteMkyoung(pmd))));
      flushTlbRange(mm, as, start, start + mm.layout.pmdSize);
    }
    as.pageTableLock.unlock();
    return 0;
  }
  getPage(mm, old);
  as.pageTableLock.unlock();
  const page = take(mm, vma.hugetlb!);
  if (page === undefined) {
    const { owner } = vma.hugetlb!;
    if (owner) yield* unmapRefPrivate(mm, vma, old);
    yield* putPage(mm, old);
    // Made again, the access finds the page its own.
    return owner ? 0 : VM_FAULT_SIGBUS;
  }
  mm.port.copy(toPA(mm.pageToPa(page)), mm.pageToPa(old), mm.layout.pmdSize);
  mm.memmap.set(page, PG_uptodate);
  yield* as.pageTableLock.lock();
  const mine = readPte(mm, at) === pmd;
  if (mine) {
    yield* ptepGetAndClear(mm, at);
    flushTlbRange(mm, as, start, start + mm.layout.pmdSize);
    folioAddNewAnonRmap(mm, page, vma, start);
    yield* setHugePmd(mm, at, entryOf(mm, vma, page, write));
    folioRemoveRmapPmd(mm, old);
  }
  as.pageTableLock.unlock();
  // Of the mapping, and ours; of a page that was not needed, the one it has.
  if (mine) yield* putPage(mm, old);
  else yield* putPage(mm, page);
  yield* putPage(mm, old);
  return 0;
}

/** unmap_ref_private(): nobody but `owner` maps the page any more. */
function* unmapRefPrivate(mm: Mm, owner: Vma, head: Page): MaySleep<void> {
  yield* rmapWalk(mm, head, function* (vma, addr) {
    if (vma === owner) return true;
    const as = vma.mm;
    yield* as.pageTableLock.lock();
    const [entry] = mappedEntries(mm, head, vma, addr);
    if (entry !== undefined) {
      const run = { huge: true, at: entry.at, addr, end: addr + mm.layout.pmdSize };
      yield* zapHugePmd(mm, as, run);
      flushTlbRange(mm, as, run.addr, run.end);
      if (vma.hugetlb !== undefined) vma.hugetlb.unmapped = true;
    }
    as.pageTableLock.unlock();
    if (entry !== undefined) yield* putPage(mm, head);
    return true;
  });
}
