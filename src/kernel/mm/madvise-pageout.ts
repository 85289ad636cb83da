/**
 * madvise(MADV_COLD) and MADV_PAGEOUT: pages that are not needed soon are the next that reclaim takes, or are taken
 * at once (mm/madvise.c, madvise_cold_or_pageout_pte_range).
 *
 * Only pages that nobody else maps are touched: another's need of them is not known. A large folio is taken whole
 * where the range covers it, and split where it does not. What Linux asks beyond that of a file's pages, whether the
 * caller could write to the file, is not asked.
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EINVAL } from '../contexts/index.js';
import { folioMapcount, isLarge } from './folio.js';
import { folioTrylock, folioUnlock } from './folio-lock.js';
import { folioIsolateLru, folioPutbackLru, lruAddDrain, putPage } from './lru.js';
import type { Page } from './memmap.js';
import { vmNormalPage } from './memory.js';
import type { Mm } from './mm.js';
import { getPage } from './page-alloc.js';
import { PG_active, PG_lru, PG_referenced, PG_unevictable } from './page-flags.js';
import type { PteRun } from './page-table.js';
import { coversBlock, flushTlbPage, flushTlbRange, nextPteRun, readPte } from './page-table.js';
import { DESCRIPTOR_BYTES, pteMkold, ptePmd, ptePresent, pteYoung } from './pgtable.js';
import { splitFolio } from './split-folio.js';
import type { Vma } from './vma.js';
import { VM_LOCKED } from './vma.js';
import { reclaimPages } from './vmscan.js';

/** What became of a run: done, or a large folio stands in the way of going on after `done` bytes. */
interface RunResult {
  readonly end: number;
  readonly large: Page | undefined;
}

/** The advice for [start, end), which lies inside one VMA; mmap_lock is held for reading. @returns 0 or -EINVAL. */
export function* coldOrPageout(
  mm: Mm,
  vma: Vma,
  start: number,
  end: number,
  pageout: boolean,
): MaySleep<number> {
  // can_madv_lru_vma().
  if ((vma.flags & VM_LOCKED) !== 0 || vma.hugetlb !== undefined) return -EINVAL;
  yield* lruAddDrain(mm);
  const isolated: Page[] = [];
  let addr = start;
  for (let run = nextPteRun(mm, vma.mm, addr, end); run; run = nextPteRun(mm, vma.mm, addr, end)) {
    const { end: upTo, large } = run.huge
      ? yield* adviseBlock(mm, vma, run, isolated)
      : yield* advisePages(mm, vma, run, isolated);
    addr = upTo;
    // Split, it is looked at again; if it cannot be, it is left alone, and so is what follows it in the table.
    if (large !== undefined && !(yield* split(mm, large))) addr = run.end;
  }
  if (pageout) {
    yield* reclaimPages(mm, isolated);
    return 0;
  }
  for (const page of isolated) {
    // folio_deactivate().
    if (mm.memmap.test(page, PG_active)) mm.events.pgdeactivate++;
    mm.memmap.clear(page, PG_active);
    yield* folioPutbackLru(mm, page);
  }
  return 0;
}

/** Off its list, if it is on one and may be taken. */
function isolate(mm: Mm, page: Page, isolated: Page[]): void {
  const { memmap: map } = mm;
  map.clear(page, PG_referenced);
  if (!map.test(page, PG_unevictable) && folioIsolateLru(mm, page)) isolated.push(page);
}

function* adviseBlock(mm: Mm, vma: Vma, run: PteRun, isolated: Page[]): Atomic<RunResult> {
  const as = vma.mm;
  const done = { end: run.end, large: undefined };
  yield* as.pageTableLock.lock();
  let result: RunResult = done;
  const pmd = readPte(mm, run.at);
  const page = ptePresent(pmd) ? vmNormalPage(mm, ptePmd(pmd)) : undefined;
  if (page !== undefined && folioMapcount(mm, page) === 1) {
    if (!coversBlock(mm, run)) {
      getPage(mm, page);
      result = { end: run.addr, large: page };
    } else {
      if (pteYoung(pmd)) {
        mm.port.write64(run.at, pteMkold(pmd));
        flushTlbRange(mm, as, run.addr, run.end);
      }
      isolate(mm, page, isolated);
    }
  }
  as.pageTableLock.unlock();
  return result;
}

function* advisePages(mm: Mm, vma: Vma, run: PteRun, isolated: Page[]): Atomic<RunResult> {
  const as = vma.mm;
  let result: RunResult = { end: run.end, large: undefined };
  yield* as.pageTableLock.lock();
  for (let addr = run.addr; addr < run.end; addr += mm.pageSize) {
    const at = (run.at + ((addr - run.addr) / mm.pageSize) * DESCRIPTOR_BYTES) as typeof run.at;
    const pte = readPte(mm, at);
    const page = ptePresent(pte) ? vmNormalPage(mm, pte) : undefined;
    if (page === undefined) continue;
    const head = mm.memmap.head(page);
    if (isLarge(mm, head)) {
      getPage(mm, head);
      result = { end: addr, large: head };
      break;
    }
    if (!mm.memmap.test(page, PG_lru) || folioMapcount(mm, page) !== 1) continue;
    if (pteYoung(pte)) {
      mm.port.write64(at, pteMkold(pte));
      flushTlbPage(mm, as, addr);
    }
    isolate(mm, page, isolated);
  }
  as.pageTableLock.unlock();
  return result;
}

/** Consumes the caller's reference of the folio. */
function* split(mm: Mm, folio: Page): MaySleep<boolean> {
  let done = false;
  if (folioTrylock(mm, folio)) {
    done = (yield* splitFolio(mm, folio)) === 0;
    folioUnlock(mm, folio);
  }
  yield* putPage(mm, folio);
  // Its tails wait in the batch of the LRU lists.
  yield* lruAddDrain(mm);
  return done;
}
