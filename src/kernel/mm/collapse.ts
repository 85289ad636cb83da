/**
 * Collapse: the pages of one block, mapped one by one, become a huge page that one entry maps
 * (mm/khugepaged.c: hpage_collapse_scan_pmd(), collapse_huge_page() and their helpers).
 *
 * The scan looks under mmap_lock for reading; the collapse takes it for writing, and the anon_vma too, so
 * that neither faults nor walks of the reverse map see the block while it is in no table. Pages are locked and
 * off the LRU while they are copied. Linux copies in an RCU section, because pte_offset_map() opens one: where
 * RFC v3 had to allocate for tags (tag-storage.md 7.2, R8). Here the section is left between pages, and what
 * a copy of tags needs is made there.
 */
import { PA } from '../../base/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EAGAIN, EBUSY, EINVAL, ENOMEM, racePoint } from '../contexts/index.js';
import { FAULT_FLAG_ALLOW_RETRY, VM_FAULT_ERROR, VM_FAULT_RETRY } from './fault-flags.js';
import { folioMapcount, folioNrPages, isLarge, pageMapcount } from './folio.js';
import { folioTrylock, folioUnlock } from './folio-lock.js';
import { GFP_TRANSHUGE, GFP_TRANSHUGE_LIGHT } from './gfp.js';
import { deferSplit } from './huge-memory.js';
import { ksmMightUnmapZeroPage } from './ksm-merge.js';
import { folioAddLru, folioIsolateLru, folioPutbackLru, lruAddDrain, putPage } from './lru.js';
import type { Page } from './memmap.js';
import { doSwapPage, vmNormalPage } from './memory.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { allocPages } from './page-alloc.js';
import { PG_locked, PG_lru, PG_referenced, PG_swapcache, PG_uptodate } from './page-flags.js';
import { flushTlbRange, pmdOffset, ptepGetAndClear, readPte, setHugePmd } from './page-table.js';
import {
  DESCRIPTOR_BYTES,
  paPte,
  pmdLeaf,
  pmdMkhuge,
  pteMkdirty,
  pteMkwrite,
  pteNone,
  ptePa,
  ptePresent,
  pteSpecial,
  pteWrite,
  pteYoung,
  tableDescriptor,
} from './pgtable.js';
import { folioAddNewAnonRmap, folioRemoveRmap, isAnonPage } from './rmap.js';
import { freeSwapCache } from './swap.js';
import { thpVmaAllowable, transhugeVmaSuitable } from './thp-settings.js';
import type { Vma } from './vma.js';
import { VM_WRITE } from './vma.js';

/** enum scan_result, as far as anything here can give one. */
export type ScanResult =
  | 'SCAN_FAIL'
  | 'SCAN_SUCCEED'
  | 'SCAN_PMD_NULL'
  | 'SCAN_PMD_NONE'
  | 'SCAN_PMD_MAPPED'
  | 'SCAN_EXCEED_NONE_PTE'
  | 'SCAN_EXCEED_SWAP_PTE'
  | 'SCAN_EXCEED_SHARED_PTE'
  | 'SCAN_PTE_NON_PRESENT'
  | 'SCAN_PTE_MAPPED_HUGEPAGE'
  | 'SCAN_PAGE_RO'
  | 'SCAN_LACK_REFERENCED_PAGE'
  | 'SCAN_PAGE_NULL'
  | 'SCAN_PAGE_COUNT'
  | 'SCAN_PAGE_LRU'
  | 'SCAN_PAGE_LOCK'
  | 'SCAN_PAGE_ANON'
  | 'SCAN_PAGE_COMPOUND'
  | 'SCAN_ANY_PROCESS'
  | 'SCAN_VMA_NULL'
  | 'SCAN_VMA_CHECK'
  | 'SCAN_ADDRESS_RANGE'
  | 'SCAN_DEL_PAGE_LRU'
  | 'SCAN_ALLOC_HUGE_PAGE_FAIL'
  | 'SCAN_PAGE_FILLED'
  | 'SCAN_TRUNCATED';

/** struct collapse_control: a program that asks is not held to khugepaged's limits. */
export interface CollapseControl {
  readonly isKhugepaged: boolean;
}

/** What became of one block; whether mmap_lock is still held for reading. */
export interface Collapsed {
  readonly result: ScanResult;
  readonly mmapLocked: boolean;
}

const UNLOCKED = racePoint('mmap_lock given up');
const FLUSHED = racePoint('pmdp_collapse_flush');
const COPY = racePoint('__collapse_huge_page_copy');

/** madvise_collapse_errno(). */
export function collapseErrno(result: ScanResult): number {
  switch (result) {
    case 'SCAN_ALLOC_HUGE_PAGE_FAIL':
      return -ENOMEM;
    case 'SCAN_EXCEED_NONE_PTE':
      return -EBUSY;
    case 'SCAN_PAGE_COUNT':
    case 'SCAN_PAGE_LOCK':
    case 'SCAN_PAGE_LRU':
    case 'SCAN_DEL_PAGE_LRU':
    case 'SCAN_PAGE_FILLED':
      return -EAGAIN;
    default:
      return -EINVAL;
  }
}

/** find_pmd_or_thp_or_none(). */
export function findPmdOrThpOrNone(mm: Mm, as: MmStruct, addr: number): { result: ScanResult; at: PA } {
  const at = pmdOffset(mm, as, addr);
  if (at === undefined) return { result: 'SCAN_PMD_NULL', at: PA(0) };
  const pmd = readPte(mm, at);
  if (pmd === 0n) return { result: 'SCAN_PMD_NONE', at };
  if (!pmdLeaf(pmd)) return { result: 'SCAN_SUCCEED', at };
  return { result: ptePresent(pmd) ? 'SCAN_PMD_MAPPED' : 'SCAN_PMD_NULL', at };
}

/** hugepage_vma_revalidate(): mmap_lock was dropped, and anything may have become of the mapping. */
export function hugepageVmaRevalidate(
  mm: Mm,
  as: MmStruct,
  addr: number,
  expectAnon: boolean,
  cc: CollapseControl,
): { readonly result: ScanResult; readonly vma: Vma | undefined } {
  if (as.dead) return { result: 'SCAN_ANY_PROCESS', vma: undefined };
  const vma = as.vmas.lookup(addr);
  if (vma === undefined) return { result: 'SCAN_VMA_NULL', vma };
  if (!transhugeVmaSuitable(vma, addr, mm.layout.pmdSize)) return { result: 'SCAN_ADDRESS_RANGE', vma };
  if (!thpVmaAllowable(mm.thp, vma, cc.isKhugepaged)) return { result: 'SCAN_VMA_CHECK', vma };
  if (!mm.hooks.archHugepageVmaRevalidate(vma, 'revalidate')) return { result: 'SCAN_VMA_CHECK', vma };
  if (expectAnon && (vma.anonVma === undefined || vma.file !== undefined))
    return { result: 'SCAN_PAGE_ANON', vma };
  return { result: 'SCAN_SUCCEED', vma };
}

/** is_refcount_suitable(): nobody but the tables and the swap cache holds the folio. */
function isRefcountSuitable(mm: Mm, head: Page): boolean {
  const cached = mm.memmap.test(head, PG_swapcache) ? folioNrPages(mm, head) : 0;
  return mm.memmap.refcount[head] === folioMapcount(mm, head) + cached;
}

/** What the limits of khugepaged/ say of a block so far. */
class PteCounts {
  none = 0;
  shared = 0;
  readonly #mm: Mm;
  readonly #cc: CollapseControl;

  constructor(mm: Mm, cc: CollapseControl) {
    this.#mm = mm;
    this.#cc = cc;
  }

  /** One more that is missing; false where that is too many. */
  addNone(): boolean {
    this.none++;
    if (!this.#cc.isKhugepaged || this.none <= this.#mm.thp.khugepaged.maxPtesNone) return true;
    this.#mm.events.thp_scan_exceed_none_pte++;
    return false;
  }

  addShared(): boolean {
    this.shared++;
    if (!this.#cc.isKhugepaged || this.shared <= this.#mm.thp.khugepaged.maxPtesShared) return true;
    this.#mm.events.thp_scan_exceed_share_pte++;
    return false;
  }
}

interface Scan {
  readonly result: ScanResult;
  readonly referenced: number;
  /** Entries of swap slots (and of pages under way). */
  readonly unmapped: number;
}

/** The entries of a block, under the table lock: is it worth a huge page? */
function* scanPtes(mm: Mm, as: MmStruct, table: number, cc: CollapseControl): Atomic<Scan> {
  yield* as.pageTableLock.lock();
  const scan = lookAtPtes(mm, table, cc);
  as.pageTableLock.unlock();
  return scan;
}

function lookAtPtes(mm: Mm, table: number, cc: CollapseControl): Scan {
  const { memmap: map } = mm;
  const counts = new PteCounts(mm, cc);
  let unmapped = 0;
  let referenced = 0;
  let writable = false;
  const stop = (result: ScanResult): Scan => ({ result, referenced, unmapped });
  for (let i = 0; i < mm.layout.entriesPerTable; i++) {
    const pte = readPte(mm, PA(table + i * DESCRIPTOR_BYTES));
    if (pteNone(pte) || (ptePresent(pte) && pteSpecial(pte))) {
      if (!counts.addNone()) return stop('SCAN_EXCEED_NONE_PTE');
      continue;
    }
    if (!ptePresent(pte)) {
      unmapped++;
      if (!cc.isKhugepaged || unmapped <= mm.thp.khugepaged.maxPtesSwap) continue;
      mm.events.thp_scan_exceed_swap_pte++;
      return stop('SCAN_EXCEED_SWAP_PTE');
    }
    if (pteWrite(pte)) writable = true;
    const page = vmNormalPage(mm, pte);
    if (page === undefined) return stop('SCAN_PAGE_NULL');
    if (pageMapcount(mm, page) > 1 && !counts.addShared()) return stop('SCAN_EXCEED_SHARED_PTE');
    const head = map.head(page);
    if (!map.test(head, PG_lru)) return stop('SCAN_PAGE_LRU');
    if (map.test(head, PG_locked)) return stop('SCAN_PAGE_LOCK');
    if (!isAnonPage(mm, head)) return stop('SCAN_PAGE_ANON');
    if (!isRefcountSuitable(mm, head)) return stop('SCAN_PAGE_COUNT');
    if (cc.isKhugepaged && (pteYoung(pte) || map.test(head, PG_referenced))) referenced++;
  }
  if (!writable) return stop('SCAN_PAGE_RO');
  const lacks = referenced === 0 || (unmapped > 0 && referenced < mm.layout.entriesPerTable / 2);
  return stop(cc.isKhugepaged && lacks ? 'SCAN_LACK_REFERENCED_PAGE' : 'SCAN_SUCCEED');
}

/** hpage_collapse_scan_pmd(): one block of anonymous memory; mmap_lock is held for reading. */
export function* hpageCollapseScanPmd(
  mm: Mm,
  as: MmStruct,
  addr: number,
  cc: CollapseControl,
): MaySleep<Collapsed> {
  const { result, at } = findPmdOrThpOrNone(mm, as, addr);
  if (result !== 'SCAN_SUCCEED') return { result, mmapLocked: true };
  const scan = yield* scanPtes(mm, as, ptePa(readPte(mm, at)), cc);
  if (scan.result !== 'SCAN_SUCCEED') return { result: scan.result, mmapLocked: true };
  return { result: yield* collapseHugePage(mm, as, addr, scan.unmapped, cc), mmapLocked: false };
}

/** alloc_charge_hpage(): without wanting tag storage, as the pages were not allocated for tags either. */
export function* allocHpage(mm: Mm, cc: CollapseControl): MaySleep<Page | undefined> {
  const gfp = cc.isKhugepaged && !mm.thp.khugepaged.defrag ? GFP_TRANSHUGE_LIGHT : GFP_TRANSHUGE;
  const page = mm.shouldFail('thp_collapse_alloc')
    ? undefined
    : yield* allocPages(mm, gfp, mm.layout.pmdOrder);
  if (page === undefined) mm.events.thp_collapse_alloc_failed++;
  else mm.events.thp_collapse_alloc++;
  return page;
}

/** collapse_huge_page(): enters with mmap_lock held for reading, and leaves without it. */
function* collapseHugePage(
  mm: Mm,
  as: MmStruct,
  addr: number,
  unmapped: number,
  cc: CollapseControl,
): MaySleep<ScanResult> {
  // Compaction and reclaim for the page may take long, and faults must not wait for them.
  as.mmapLock.upRead();
  const hpage = yield* allocHpage(mm, cc);
  if (hpage === undefined) return 'SCAN_ALLOC_HUGE_PAGE_FAIL';
  yield* as.mmapLock.downRead();
  let { result } = hugepageVmaRevalidate(mm, as, addr, true, cc);
  if (result === 'SCAN_SUCCEED') ({ result } = findPmdOrThpOrNone(mm, as, addr));
  let locked = true;
  if (result === 'SCAN_SUCCEED' && unmapped > 0) {
    ({ result, mmapLocked: locked } = yield* swapinForCollapse(mm, as, addr));
  }
  if (locked) as.mmapLock.upRead();
  if (result === 'SCAN_SUCCEED') {
    // There is no upgrade: whoever comes first may change the mapping.
    if (mm.contexts.racing) yield UNLOCKED;
    yield* as.mmapLock.downWrite();
    result = yield* collapseLocked(mm, as, addr, hpage, cc);
    as.mmapLock.upWrite();
  }
  if (result !== 'SCAN_SUCCEED') yield* putPage(mm, hpage);
  return result;
}

/** __collapse_huge_page_swapin(): every entry of a slot becomes one of a page; gives mmap_lock up where it fails. */
function* swapinForCollapse(mm: Mm, as: MmStruct, start: number): MaySleep<Collapsed> {
  let swappedIn = 0;
  const fail = (result: ScanResult): Collapsed => ({ result, mmapLocked: false });
  for (let i = 0; i < mm.layout.entriesPerTable; i++) {
    const addr = start + i * mm.pageSize;
    const vma = as.vmas.lookup(addr);
    const { result, at: pmdAt } = findPmdOrThpOrNone(mm, as, addr);
    if (vma === undefined || result !== 'SCAN_SUCCEED') {
      as.mmapLock.upRead();
      return fail('SCAN_PMD_NULL');
    }
    const at = PA(ptePa(readPte(mm, pmdAt)) + i * DESCRIPTOR_BYTES);
    const pte = readPte(mm, at);
    if (pteNone(pte) || ptePresent(pte)) continue;
    swappedIn++;
    const vmf = {
      vma,
      addr,
      flags: FAULT_FLAG_ALLOW_RETRY,
      releaseFaultLock: () => as.mmapLock.upRead(),
    };
    const fault = yield* doSwapPage(mm, vmf, at, pte);
    // The lock was dropped with the answer.
    if ((fault & VM_FAULT_RETRY) !== 0) return fail('SCAN_PAGE_LOCK');
    if ((fault & VM_FAULT_ERROR) !== 0) {
      as.mmapLock.upRead();
      return fail('SCAN_FAIL');
    }
  }
  // What was read in waits in this CPU's batch, where it could not be isolated.
  if (swappedIn > 0) yield* lruAddDrain(mm);
  return { result: 'SCAN_SUCCEED', mmapLocked: true };
}

/** The block's pages, held for copying. */
interface Isolated {
  /** By place in the block; undefined where nothing or the zero page is mapped. */
  readonly pages: (Page | undefined)[];
  /** Single pages and large folios, each once: locked and off the LRU. */
  readonly folios: Set<Page>;
}

/** __collapse_huge_page_isolate(): the table lock is held. On failure nothing is held. */
function* isolateForCollapse(mm: Mm, table: number, cc: CollapseControl, out: Isolated): Atomic<ScanResult> {
  const { memmap: map } = mm;
  const counts = new PteCounts(mm, cc);
  let referenced = 0;
  let writable = false;
  const take = (pte: bigint): ScanResult => {
    if (pteNone(pte) || (ptePresent(pte) && pteSpecial(pte))) {
      out.pages.push(undefined);
      return counts.addNone() ? 'SCAN_SUCCEED' : 'SCAN_EXCEED_NONE_PTE';
    }
    if (!ptePresent(pte)) return 'SCAN_PTE_NON_PRESENT';
    const page = vmNormalPage(mm, pte);
    if (page === undefined) return 'SCAN_PAGE_NULL';
    if (pageMapcount(mm, page) > 1 && !counts.addShared()) return 'SCAN_EXCEED_SHARED_PTE';
    const head = map.head(page);
    out.pages.push(page);
    if (!out.folios.has(head)) {
      if (!folioTrylock(mm, head)) return 'SCAN_PAGE_LOCK';
      // A reference taken since the scan may be a pin; none can come once the entries are gone.
      if (!isRefcountSuitable(mm, head) || mm.shouldFail('collapse_isolate')) {
        folioUnlock(mm, head);
        return 'SCAN_PAGE_COUNT';
      }
      if (!folioIsolateLru(mm, head)) {
        folioUnlock(mm, head);
        return 'SCAN_DEL_PAGE_LRU';
      }
      out.folios.add(head);
    }
    if (cc.isKhugepaged && (pteYoung(pte) || map.test(head, PG_referenced))) referenced++;
    if (pteWrite(pte)) writable = true;
    return 'SCAN_SUCCEED';
  };
  let result: ScanResult = 'SCAN_SUCCEED';
  for (let i = 0; i < mm.layout.entriesPerTable && result === 'SCAN_SUCCEED'; i++) {
    result = take(readPte(mm, PA(table + i * DESCRIPTOR_BYTES)));
  }
  if (result === 'SCAN_SUCCEED' && !writable) result = 'SCAN_PAGE_RO';
  if (result === 'SCAN_SUCCEED' && cc.isKhugepaged && referenced === 0) result = 'SCAN_LACK_REFERENCED_PAGE';
  if (result !== 'SCAN_SUCCEED') yield* releaseFolios(mm, out.folios);
  return result;
}

/** release_pte_pages(). */
function* releaseFolios(mm: Mm, folios: Iterable<Page>): Atomic<void> {
  for (const folio of folios) {
    folioUnlock(mm, folio);
    yield* folioPutbackLru(mm, folio);
  }
}

/** collapse_huge_page() from where mmap_lock is held for writing. */
function* collapseLocked(
  mm: Mm,
  as: MmStruct,
  addr: number,
  hpage: Page,
  cc: CollapseControl,
): MaySleep<ScanResult> {
  const again = hugepageVmaRevalidate(mm, as, addr, true, cc);
  if (again.result !== 'SCAN_SUCCEED') return again.result;
  const { result: found, at } = findPmdOrThpOrNone(mm, as, addr);
  if (found !== 'SCAN_SUCCEED') return found;
  const vma = again.vma!;
  const table = ptePa(readPte(mm, at));
  const held: Isolated = { pages: [], folios: new Set() };
  const { semaphore } = vma.anonVma!;
  yield* semaphore.downWrite();
  yield* as.pageTableLock.lock();
  // pmdp_collapse_flush(): no CPU walks the table from here on.
  mm.port.write64(at, 0n);
  flushTlbRange(mm, as, addr, addr + mm.layout.pmdSize);
  if (mm.contexts.racing) yield FLUSHED;
  let result = yield* isolateForCollapse(mm, table, cc, held);
  if (result !== 'SCAN_SUCCEED') mm.port.write64(at, tableDescriptor(PA(table)));
  as.pageTableLock.unlock();
  semaphore.upWrite();
  if (result !== 'SCAN_SUCCEED') return result;
  result = yield* copyIntoHugePage(mm, hpage, held.pages);
  yield* as.pageTableLock.lock();
  if (result === 'SCAN_SUCCEED') {
    const dropped = yield* clearCollapsed(mm, as, table, held.pages);
    yield* installHugePage(mm, vma, addr, at, table, hpage);
    as.pageTableLock.unlock();
    yield* releaseFolios(mm, held.folios);
    // free_page_and_swap_cache(): the mappings' references.
    for (const page of dropped) {
      yield* freeSwapCache(mm, page);
      yield* putPage(mm, page);
    }
    return result;
  }
  // __collapse_huge_page_copy_failed(): everything is as it was.
  mm.port.write64(at, tableDescriptor(PA(table)));
  as.pageTableLock.unlock();
  yield* releaseFolios(mm, held.folios);
  return result;
}

/** __collapse_huge_page_copy(): data and tags of every page, zeros where there was none. */
function* copyIntoHugePage(
  mm: Mm,
  hpage: Page,
  sources: readonly (Page | undefined)[],
): MaySleep<ScanResult> {
  for (const [i, from] of sources.entries()) {
    const to = (hpage + i) as Page;
    if (from === undefined) mm.port.fill(mm.pageToPa(to), mm.pageSize, 0);
    else if ((yield* copyUnderRcu(mm, to, from)) !== 0) return 'SCAN_ALLOC_HUGE_PAGE_FAIL';
  }
  return 'SCAN_SUCCEED';
}

/** copy_mc_user_highpage() in an RCU read section; what it may need is made before: 0 or -ENOMEM. */
function* copyUnderRcu(mm: Mm, to: Page, from: Page): MaySleep<number> {
  for (;;) {
    const preparation = yield* mm.hooks.copyHighpagePrepare(to, from);
    if (typeof preparation === 'number') return preparation;
    mm.contexts.rcuReadLock();
    if (mm.contexts.racing) yield COPY;
    const result = yield* mm.hooks.copyHighpage(to, from, preparation);
    mm.contexts.rcuReadUnlock();
    yield* mm.hooks.copyHighpageEnd(preparation);
    // The page is mapped elsewhere, too, and became tagged there since.
    if (result !== -EAGAIN) return result;
  }
}

/** __collapse_huge_page_copy_succeeded(): the old entries go; the pages whose mapping went. */
function* clearCollapsed(
  mm: Mm,
  as: MmStruct,
  table: number,
  pages: readonly (Page | undefined)[],
): Atomic<readonly Page[]> {
  const dropped: Page[] = [];
  for (const [i, page] of pages.entries()) {
    const at = PA(table + i * DESCRIPTOR_BYTES);
    if (page === undefined) {
      // Missing, or the zero page: counted as anonymous memory from now on.
      as.anonPages++;
      ksmMightUnmapZeroPage(mm, as, readPte(mm, at));
      mm.port.write64(at, 0n);
      continue;
    }
    yield* ptepGetAndClear(mm, at);
    folioRemoveRmap(mm, page);
    if (isLarge(mm, mm.memmap.head(page))) deferSplit(mm, page);
    dropped.push(page);
  }
  return dropped;
}

/** The end of collapse_huge_page(): the table is deposited under the entry that takes its place. */
function* installHugePage(mm: Mm, vma: Vma, addr: number, at: PA, table: number, hpage: Page): Atomic<void> {
  mm.memmap.set(hpage, PG_uptodate);
  let entry = pmdMkhuge(paPte(mm.pageToPa(hpage), vma.pageProt));
  if ((vma.flags & VM_WRITE) !== 0) entry = pteMkwrite(pteMkdirty(entry));
  folioAddNewAnonRmap(mm, hpage, vma, addr);
  yield* folioAddLru(mm, hpage);
  // It stays counted among the tables.
  vma.mm.deposits.push(mm.paToPage(table)!);
  yield* setHugePmd(mm, at, entry);
}
