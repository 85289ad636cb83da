/**
 * khugepaged: a kernel thread that looks for blocks that could be huge pages; and MADV_COLLAPSE, the same at
 * a program's request (mm/khugepaged.c).
 *
 * Address spaces join its list when they get a mapping for which huge pages are on. A round looks at
 * pages_to_scan pages, goes on where the last one stopped, and sleeps scan_sleep_millisecs; where no huge
 * page could be allocated, once alloc_sleep_millisecs more.
 */
import type { MaySleep } from '../contexts/index.js';
import { EINVAL, ENOMEM, sleepPoint } from '../contexts/index.js';
import type { CollapseControl, Collapsed, ScanResult } from './collapse.js';
import { collapseErrno, hpageCollapseScanPmd, hugepageVmaRevalidate } from './collapse.js';
import { collapsePteMappedThp, hpageCollapseScanFile } from './collapse-file.js';
import { putInode } from './filemap.js';
import { lruAddDrainAll } from './lru.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { linearPageIndex } from './rmap.js';
import { thpVmaAllowable } from './thp-settings.js';
import type { Vma } from './vma.js';

const COND_RESCHED = sleepPoint('cond_resched');

const KHUGEPAGED: CollapseControl = { isKhugepaged: true };
const MADVISE: CollapseControl = { isKhugepaged: false };

/** hugepage_flags_enabled(). */
const hugepageFlagsEnabled = (mm: Mm): boolean => mm.thp.enabled !== 'never';

/** khugepaged_has_work(). */
const hasWork = (mm: Mm): boolean => !mm.khugepaged.empty && hugepageFlagsEnabled(mm);

/** khugepaged_enter_vma(): the address space has a mapping that could be collapsed. */
export function khugepagedEnterVma(mm: Mm, vma: Vma): void {
  if (!vma.mm.inKhugepaged && hugepageFlagsEnabled(mm) && thpVmaAllowable(mm.thp, vma, true)) {
    mm.khugepaged.enter(vma.mm);
  }
}

/** khugepaged_fork(). */
export function khugepagedFork(mm: Mm, child: MmStruct, parent: MmStruct): void {
  if (parent.inKhugepaged) mm.khugepaged.enter(child);
}

/** One block, of whichever kind of memory; mmap_lock is held for reading. */
function* collapseBlock(
  mm: Mm,
  as: MmStruct,
  vma: Vma,
  addr: number,
  cc: CollapseControl,
): MaySleep<Collapsed> {
  const { file } = vma;
  if (file === undefined) return yield* hpageCollapseScanPmd(mm, as, addr, cc);
  const start = linearPageIndex(mm, vma, addr);
  file.references++;
  as.mmapLock.upRead();
  let result = yield* hpageCollapseScanFile(mm, file, start, cc);
  yield* putInode(mm, file);
  if (result === 'SCAN_PTE_MAPPED_HUGEPAGE') {
    // For writing, as a table is freed in which faults may be.
    yield* as.mmapLock.downWrite();
    if (!as.dead) result = yield* collapsePteMappedThp(mm, as, addr, !cc.isKhugepaged);
    as.mmapLock.upWrite();
    if (cc.isKhugepaged && result === 'SCAN_PMD_MAPPED') result = 'SCAN_SUCCEED';
  }
  return { result, mmapLocked: false };
}

const roundUp = (addr: number, size: number): number => Math.ceil(addr / size) * size;
const roundDown = (addr: number, size: number): number => Math.floor(addr / size) * size;

interface Progress {
  readonly pages: number;
  readonly result: ScanResult;
}

/** khugepaged_scan_mm_slot(): goes on with one address space, for about `most` pages. */
function* scanMmSlot(mm: Mm, most: number): MaySleep<Progress> {
  const scan = mm.khugepaged;
  const { pmdSize, entriesPerTable } = mm.layout;
  if (scan.current === undefined) {
    scan.current = scan.first;
    scan.address = 0;
  }
  const as = scan.current;
  if (as === undefined) return { pages: most, result: 'SCAN_FAIL' };
  let result: ScanResult = 'SCAN_FAIL';
  // Whoever holds the lock for long is passed over.
  if (!as.mmapLock.tryDownRead()) {
    advance(mm, as);
    return { pages: 0, result };
  }
  let progress = 1;
  let locked = true;
  let done = true;
  scanning: for (let i = as.vmas.indexAbove(scan.address); ; i++) {
    const vma = as.vmas.at(i);
    if (vma === undefined) break;
    yield COND_RESCHED;
    if (as.dead || !as.inKhugepaged) break;
    const allowed = thpVmaAllowable(mm.thp, vma, true) && mm.hooks.archHugepageVmaRevalidate(vma, 'scan');
    const start = roundUp(vma.start, pmdSize);
    const end = roundDown(vma.end, pmdSize);
    if (!allowed || scan.address > end) {
      progress++;
      continue;
    }
    if (scan.address < start) scan.address = start;
    while (scan.address < end) {
      yield COND_RESCHED;
      if (as.dead || !as.inKhugepaged) break scanning;
      const addr = scan.address;
      const one = yield* collapseBlock(mm, as, vma, addr, KHUGEPAGED);
      result = one.result;
      locked = one.mmapLocked;
      if (result === 'SCAN_SUCCEED') mm.thp.khugepaged.pagesCollapsed++;
      if (scan.current === as) scan.address = addr + pmdSize;
      progress += entriesPerTable;
      if (!locked || progress >= most) {
        done = false;
        break scanning;
      }
    }
  }
  if (locked) as.mmapLock.upRead();
  if (done || as.dead) advance(mm, as);
  return { pages: progress, result };
}

/** The end of khugepaged_scan_mm_slot(): the next address space, or the end of a full scan. */
function advance(mm: Mm, as: MmStruct): void {
  const scan = mm.khugepaged;
  // It ended meanwhile, and the scan went on by that.
  if (scan.current !== as) return;
  scan.current = scan.after(as);
  scan.address = 0;
  if (scan.current === undefined) mm.thp.khugepaged.fullScans++;
}

/**
 * khugepaged_do_scan(): one round of pages_to_scan pages, or of the whole list once.
 *
 * @param sleep what alloc_sleep_millisecs is slept with, in milliseconds.
 */
export function* khugepagedDoScan(mm: Mm, sleep?: (ms: number) => MaySleep<void>): MaySleep<void> {
  const most = mm.thp.khugepaged.pagesToScan;
  let progress = 0;
  let wait = true;
  let passes = 0;
  yield* lruAddDrainAll(mm);
  for (;;) {
    yield COND_RESCHED;
    if (mm.khugepaged.current === undefined) passes++;
    if (!hasWork(mm) || passes >= 2) break;
    const { pages, result } = yield* scanMmSlot(mm, most - progress);
    progress += pages;
    if (progress >= most) break;
    if (result !== 'SCAN_ALLOC_HUGE_PAGE_FAIL') continue;
    // Twice in one round: memory will not have come together by the next block.
    if (!wait) break;
    wait = false;
    if (sleep !== undefined) yield* sleep(mm.thp.khugepaged.allocSleepMillisecs);
  }
}

/** khugepaged(): for a scheduler to run beside the others. */
export function* khugepaged(mm: Mm, sleep: (ms: number) => MaySleep<void>): MaySleep<void> {
  for (;;) {
    yield* mm.khugepaged.wait.waitEvent(() => hasWork(mm));
    yield* khugepagedDoScan(mm, sleep);
    if (hasWork(mm)) yield* sleep(mm.thp.khugepaged.scanSleepMillisecs);
    yield COND_RESCHED;
  }
}

/** Results with which the next block may do better: madvise_collapse() goes on. */
const GOES_ON: ReadonlySet<ScanResult> = new Set<ScanResult>([
  'SCAN_PMD_NULL',
  'SCAN_PTE_NON_PRESENT',
  'SCAN_PAGE_RO',
  'SCAN_LACK_REFERENCED_PAGE',
  'SCAN_PAGE_NULL',
  'SCAN_PAGE_COUNT',
  'SCAN_PAGE_LOCK',
  'SCAN_PAGE_COMPOUND',
  'SCAN_PAGE_LRU',
  'SCAN_DEL_PAGE_LRU',
]);

/**
 * madvise_collapse() of [start, end) inside one VMA, whatever `enabled` says; mmap_lock is held for reading,
 * is dropped in between, and held again at the end.
 *
 * @returns 0 where every block of the range is a huge page now; -EINVAL, -EBUSY, -EAGAIN or -ENOMEM by what
 *   happened last to a block that is not.
 */
export function* madviseCollapse(
  mm: Mm,
  as: MmStruct,
  vma: Vma,
  start: number,
  end: number,
): MaySleep<number> {
  const { pmdSize } = mm.layout;
  if (!thpVmaAllowable(mm.thp, vma, false) || !mm.hooks.archHugepageVmaRevalidate(vma, 'scan')) {
    return -EINVAL;
  }
  if (mm.shouldFail('collapse_control')) return -ENOMEM;
  yield* lruAddDrainAll(mm);
  const first = roundUp(start, pmdSize);
  let last = roundDown(end, pmdSize);
  let collapsed = 0;
  let lastFail: ScanResult = 'SCAN_FAIL';
  let locked = true;
  let now = vma;
  for (let addr = first; addr < last; addr += pmdSize) {
    if (!locked) {
      yield COND_RESCHED;
      yield* as.mmapLock.downRead();
      locked = true;
      const again = hugepageVmaRevalidate(mm, as, addr, false, MADVISE);
      if (again.result !== 'SCAN_SUCCEED') {
        lastFail = again.result;
        break;
      }
      now = again.vma!;
      last = Math.min(last, roundDown(now.end, pmdSize));
    }
    const one = yield* collapseBlock(mm, as, now, addr, MADVISE);
    locked = one.mmapLocked;
    if (one.result === 'SCAN_SUCCEED' || one.result === 'SCAN_PMD_MAPPED') {
      collapsed++;
      continue;
    }
    lastFail = one.result;
    if (!GOES_ON.has(one.result)) break;
  }
  if (!locked) yield* as.mmapLock.downRead();
  return collapsed === (last - first) / pmdSize ? 0 : collapseErrno(lastFail);
}
