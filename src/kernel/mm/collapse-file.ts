/**
 * Collapse of files of RAM: the pages of one block of the page cache become a huge page, and mappings of it page
 * by page one entry (mm/khugepaged.c: hpage_collapse_scan_file(), collapse_file(), collapse_pte_mapped_thp()).
 *
 * Every old page is locked, off the LRU and unmapped before anything is copied, and stays in the cache until the
 * huge page takes the place of all of them in one step. Nothing atomic surrounds the copies, so what tags need is
 * had on the way; the pages may be tagged through any mapping of the file, whichever one asked.
 */
import { PA } from '../../base/index.js';
import type { MaySleep } from '../contexts/index.js';
import { racePoint } from '../contexts/index.js';
import type { CollapseControl, ScanResult } from './collapse.js';
import { allocHpage, findPmdOrThpOrNone } from './collapse.js';
import { setFilePmd } from './file-fault.js';
import { countCached, filemapGetFolio, type Inode, inodeMapping } from './filemap.js';
import { isLarge } from './folio.js';
import { folioLock, folioTrylock, folioUnlock } from './folio-lock.js';
import { folioAddLru, folioIsolateLru, folioPutbackLru, lruAddDrain, putPage } from './lru.js';
import type { Page } from './memmap.js';
import { copyUserHighpage, vmNormalPage } from './memory.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { getPage } from './page-alloc.js';
import { PG_dirty, PG_isolated, PG_lru, PG_swapbacked, PG_uptodate } from './page-flags.js';
import { flushTlbRange, freeTable, readPte } from './page-table.js';
import { DESCRIPTOR_BYTES, pteDirty, pteNone, ptePa, ptePresent } from './pgtable.js';
import { folioRemoveRmap, linearPageIndex, tryToUnmap } from './rmap.js';
import { thpVmaAllowable, transhugeVmaSuitable } from './thp-settings.js';
import type { Vma } from './vma.js';
import { folioMarkDirty } from './writeback.js';

const COPIED = racePoint('collapse_file copied');

/** hpage_collapse_scan_file(): the block of the file from page `start` on; no lock is held. */
export function* hpageCollapseScanFile(
  mm: Mm,
  inode: Inode,
  start: number,
  cc: CollapseControl,
): MaySleep<ScanResult> {
  const result = lookAtFile(mm, inode, start, cc);
  return result === 'SCAN_SUCCEED' ? yield* collapseFile(mm, inode, start, cc) : result;
}

function lookAtFile(mm: Mm, inode: Inode, start: number, cc: CollapseControl): ScanResult {
  const { memmap: map } = mm;
  const { maxPtesNone, maxPtesSwap } = mm.thp.khugepaged;
  const pages = mm.layout.entriesPerTable;
  let present = 0;
  let swapped = 0;
  for (let index = start; index < start + pages; index++) {
    const page = inode.pages.get(index);
    if (inode.swapped.has(index)) {
      swapped++;
      if (!cc.isKhugepaged || swapped <= maxPtesSwap) continue;
      mm.events.thp_scan_exceed_swap_pte++;
      return 'SCAN_EXCEED_SWAP_PTE';
    }
    if (page === undefined) continue;
    if (isLarge(mm, map.head(page))) return largeResult(mm, page, start);
    if (!map.test(page, PG_lru)) return 'SCAN_PAGE_LRU';
    if (map.refcount[page] !== 1 + map.mapcount[page]!) return 'SCAN_PAGE_COUNT';
    present++;
  }
  if (!cc.isKhugepaged || present >= pages - maxPtesNone) return 'SCAN_SUCCEED';
  mm.events.thp_scan_exceed_none_pte++;
  return 'SCAN_EXCEED_NONE_PTE';
}

/** Of a page that is part of a large folio already: the one that is wanted, or another. */
function largeResult(mm: Mm, page: Page, start: number): ScanResult {
  const head = mm.memmap.head(page);
  const whole = mm.memmap.folioOrder(head) === mm.layout.pmdOrder && mm.memmap.index[head] === start;
  return whole ? 'SCAN_PTE_MAPPED_HUGEPAGE' : 'SCAN_PAGE_COMPOUND';
}

/** collapse_file(): gives SCAN_PTE_MAPPED_HUGEPAGE to a program, whose mapping is still to be changed. */
function* collapseFile(mm: Mm, inode: Inode, start: number, cc: CollapseControl): MaySleep<ScanResult> {
  const hpage = yield* allocHpage(mm, cc);
  if (hpage === undefined) return 'SCAN_ALLOC_HUGE_PAGE_FAIL';
  folioTrylock(mm, hpage);
  /** By place in the block; undefined where the file has a hole. */
  const old: (Page | undefined)[] = [];
  let result = yield* takePages(mm, inode, start, old);
  if (result === 'SCAN_SUCCEED') result = yield* copyPages(mm, hpage, old);
  if (mm.contexts.racing) yield COPIED;
  // A hole may have been filled meanwhile: nobody keeps others from that.
  const filled = old.some((page, i) => page === undefined && isFilled(inode, start + i));
  if (result === 'SCAN_SUCCEED' && filled) result = 'SCAN_PAGE_FILLED';
  if (result !== 'SCAN_SUCCEED') {
    for (const page of old) {
      if (page === undefined) continue;
      folioUnlock(mm, page);
      yield* folioPutbackLru(mm, page);
      yield* putPage(mm, page);
    }
    folioUnlock(mm, hpage);
    yield* putPage(mm, hpage);
    return result;
  }
  replacePages(mm, inode, start, hpage, old);
  yield* folioAddLru(mm, hpage);
  yield* retractPageTables(mm, inode, start);
  folioUnlock(mm, hpage);
  for (const page of old) {
    if (page === undefined) continue;
    mm.memmap.mapping[page] = 0;
    mm.memmap.clear(page, PG_isolated);
    mm.nodeStats(page).nr_isolated_anon--;
    folioUnlock(mm, page);
    // The cache's, the isolation's and ours.
    for (let i = 0; i < 3; i++) yield* putPage(mm, page);
  }
  return cc.isKhugepaged ? 'SCAN_SUCCEED' : 'SCAN_PTE_MAPPED_HUGEPAGE';
}

const isFilled = (inode: Inode, index: number): boolean => inode.pages.has(index) || inode.swapped.has(index);

/** Locks, isolates and unmaps every page of the block; what was taken before a failure is in `old`. */
function* takePages(mm: Mm, inode: Inode, start: number, old: (Page | undefined)[]): MaySleep<ScanResult> {
  const end = start + mm.layout.entriesPerTable;
  for (let index = start; index < end; index++) {
    let page = inode.pages.get(index);
    if (inode.swapped.has(index)) {
      const got = yield* filemapGetFolio(mm, inode, index, undefined);
      if (got < 0) return 'SCAN_FAIL';
      page = got as Page;
      // What was read in waits in this CPU's batch, where it could not be isolated.
      yield* lruAddDrain(mm);
    } else if (page === undefined) {
      old.push(undefined);
      continue;
    } else {
      if (!folioTrylock(mm, page)) return 'SCAN_PAGE_LOCK';
      getPage(mm, page);
    }
    const result = yield* takePage(mm, inode, start, index, page);
    if (result !== 'SCAN_SUCCEED') {
      folioUnlock(mm, page);
      yield* putPage(mm, page);
      return result;
    }
    old.push(page);
  }
  return old.every((page) => page === undefined) ? 'SCAN_TRUNCATED' : 'SCAN_SUCCEED';
}

/** One page, locked and with a reference. */
function* takePage(mm: Mm, inode: Inode, start: number, index: number, page: Page): MaySleep<ScanResult> {
  if (inode.pages.get(index) !== page) return 'SCAN_TRUNCATED';
  if (isLarge(mm, mm.memmap.head(page))) return largeResult(mm, page, start);
  if (!folioIsolateLru(mm, page)) return 'SCAN_DEL_PAGE_LRU';
  if (mm.memmap.mapcount[page]! > 0) yield* tryToUnmap(mm, page, false);
  // The cache's, the isolation's and ours: nobody else can get at it now without its lock.
  if (mm.memmap.refcount[page] === 3 && !mm.shouldFail('collapse_isolate')) return 'SCAN_SUCCEED';
  yield* folioPutbackLru(mm, page);
  return 'SCAN_PAGE_COUNT';
}

function* copyPages(mm: Mm, hpage: Page, old: readonly (Page | undefined)[]): MaySleep<ScanResult> {
  for (const [i, from] of old.entries()) {
    const to = (hpage + i) as Page;
    if (from === undefined) mm.port.fill(mm.pageToPa(to), mm.pageSize, 0);
    else if ((yield* copyUserHighpage(mm, to, from)) !== 0) return 'SCAN_ALLOC_HUGE_PAGE_FAIL';
  }
  return 'SCAN_SUCCEED';
}

/** The cache finds the huge page in the place of all the others, in one step. */
function replacePages(
  mm: Mm,
  inode: Inode,
  start: number,
  hpage: Page,
  old: readonly (Page | undefined)[],
): void {
  const { memmap: map } = mm;
  map.set(hpage, PG_uptodate | PG_swapbacked | PG_dirty);
  map.mapping[hpage] = inodeMapping(inode);
  map.index[hpage] = start;
  // Ours becomes one of the cache's.
  map.refcount[hpage]! += old.length - 1;
  for (let i = 0; i < old.length; i++) inode.pages.set(start + i, (hpage + i) as Page);
  for (const page of old) if (page !== undefined) countCached(mm, inode, page, -1, 0);
  countCached(mm, inode, hpage, old.length, 1);
}

/**
 * retract_page_tables(): tables of the block, empty now, go, so that the next fault can map the huge page whole.
 * Where an address space is busy its table stays, for collapsePteMappedThp to find. (Linux 6.8 frees tables under
 * faults that look again; here, as up to 6.4, mmap_lock keeps faults out.)
 */
function* retractPageTables(mm: Mm, inode: Inode, start: number): MaySleep<void> {
  const { pmdSize } = mm.layout;
  yield* inode.mmapSemaphore.downRead();
  for (const vma of inode.mappings) {
    const addr = vma.start + (start - vma.pgoff) * mm.pageSize;
    // Private copies may lie in the table.
    if (vma.anonVma !== undefined || addr % pmdSize !== 0) continue;
    if (!transhugeVmaSuitable(vma, addr, pmdSize) || !vma.mm.mmapLock.tryDownWrite()) continue;
    yield* freeTableOf(mm, vma.mm, addr, () => true);
    vma.mm.mmapLock.upWrite();
  }
  inode.mmapSemaphore.upRead();
}

/**
 * Frees the table of a block; mmap_lock is held for writing.
 *
 * @param clear looks at the entries under the table lock, and says whether the table may go.
 */
function* freeTableOf(mm: Mm, as: MmStruct, addr: number, clear: (table: PA) => boolean): MaySleep<boolean> {
  const { result, at } = findPmdOrThpOrNone(mm, as, addr);
  if (result !== 'SCAN_SUCCEED') return false;
  const table = PA(ptePa(readPte(mm, at)));
  yield* as.pageTableLock.lock();
  const empty = clear(table) && isEmpty(mm, table);
  if (empty) mm.port.write64(at, 0n);
  as.pageTableLock.unlock();
  if (!empty) return false;
  flushTlbRange(mm, as, addr, addr + mm.layout.pmdSize);
  as.nrTables--;
  yield* freeTable(mm, mm.paToPage(table)!);
  return true;
}

function isEmpty(mm: Mm, table: PA): boolean {
  const bytes = mm.port.readBytes(table, mm.layout.entriesPerTable * DESCRIPTOR_BYTES);
  return bytes.every((byte) => byte === 0);
}

/**
 * collapse_pte_mapped_thp(): a mapping of a huge page of a file page by page is given up, and maps it whole at the
 * next fault, or at once. mmap_lock is held for writing.
 */
export function* collapsePteMappedThp(
  mm: Mm,
  as: MmStruct,
  addr: number,
  installPmd: boolean,
): MaySleep<ScanResult> {
  const vma = as.vmas.lookup(addr);
  if (vma?.file === undefined || !transhugeVmaSuitable(vma, addr, mm.layout.pmdSize)) return 'SCAN_VMA_CHECK';
  if (!thpVmaAllowable(mm.thp, vma, false)) return 'SCAN_VMA_CHECK';
  if (findPmdOrThpOrNone(mm, as, addr).result === 'SCAN_PMD_MAPPED') return 'SCAN_PMD_MAPPED';
  const index = linearPageIndex(mm, vma, addr);
  const page = vma.file.pages.get(index);
  if (page === undefined) return 'SCAN_PAGE_NULL';
  getPage(mm, page);
  yield* folioLock(mm, page);
  let result: ScanResult = 'SCAN_PAGE_COMPOUND';
  if (vma.file.pages.get(index) !== page) result = 'SCAN_PAGE_NULL';
  else if (largeResult(mm, page, index) === 'SCAN_PTE_MAPPED_HUGEPAGE') {
    result = yield* collapseMapping(mm, vma, addr, page, installPmd);
  }
  folioUnlock(mm, page);
  yield* putPage(mm, page);
  return result;
}

/** Every entry of the table, if each maps the page of the folio that belongs there; false, and nothing done, if not. */
function clearMappings(mm: Mm, as: MmStruct, table: PA, folio: Page): boolean {
  const entries = Array.from({ length: mm.layout.entriesPerTable }, (_, i) => {
    const at = PA(table + i * DESCRIPTOR_BYTES);
    return { at, pte: readPte(mm, at), page: (folio + i) as Page };
  }).filter(({ pte }) => !pteNone(pte));
  if (entries.some(({ pte, page }) => !ptePresent(pte) || vmNormalPage(mm, pte) !== page)) return false;
  for (const { at, pte, page } of entries) {
    mm.port.write64(at, 0n);
    if (pteDirty(pte)) folioMarkDirty(mm, folio);
    folioRemoveRmap(mm, page);
    mm.memmap.refcount[folio]!--;
    as.filePages--;
  }
  return true;
}

/** The folio is locked. */
function* collapseMapping(
  mm: Mm,
  vma: Vma,
  addr: number,
  folio: Page,
  installPmd: boolean,
): MaySleep<ScanResult> {
  const as = vma.mm;
  const before = findPmdOrThpOrNone(mm, as, addr).result;
  if (before === 'SCAN_SUCCEED') {
    const freed = yield* freeTableOf(mm, as, addr, (table) => clearMappings(mm, as, table, folio));
    if (!freed) return 'SCAN_FAIL';
  } else if (before !== 'SCAN_PMD_NONE') {
    return before;
  }
  if (!installPmd) return 'SCAN_SUCCEED';
  const { result, at } = findPmdOrThpOrNone(mm, as, addr);
  if (result !== 'SCAN_PMD_NONE') return result;
  yield* as.pageTableLock.lock();
  yield* setFilePmd(mm, vma, at, folio, false);
  as.pageTableLock.unlock();
  return 'SCAN_SUCCEED';
}
