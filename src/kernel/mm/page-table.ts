/**
 * Page tables in guest DRAM: walking, growing, writing and freeing them (mm/memory.c and pgalloc.h).
 *
 * Every descriptor is read and written through the memory port; there is no copy of it in the
 * kernel. Table pages are ordinary unmovable pages with PG_table.
 */
import { PA, VA } from '../../base/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { racePoint } from '../contexts/index.js';
import { GFP_PGTABLE_USER } from './gfp.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { allocPages, freePages } from './page-alloc.js';
import { PG_table } from './page-flags.js';
import type { Pte } from './pgtable.js';
import {
  DESCRIPTOR_BYTES,
  migrationEntryAdvance,
  PMD_LEVEL,
  PTE_LEVEL,
  pmdLeaf,
  ptePa,
  ptePmd,
  ptePresent,
  pteSpecial,
  pteUserExec,
  pteValid,
  tableDescriptor,
} from './pgtable.js';

const SET_PTE = racePoint('set_pte');
const CLEAR_PTE = racePoint('ptep_get_and_clear');

/** Whether a descriptor above the last level points to a table. */
const isTable = (descriptor: bigint): boolean => (descriptor & 3n) === 3n;

const entryAddress = (table: number, index: number): PA => PA(table + index * DESCRIPTOR_BYTES);

/** A new, zeroed table page, counted; undefined where memory is short. */
export function* allocTable(mm: Mm): MaySleep<Page | undefined> {
  const page = yield* allocPages(mm, GFP_PGTABLE_USER, 0);
  if (page === undefined) return undefined;
  mm.memmap.set(page, PG_table);
  mm.nodeStats(page).nr_page_table_pages++;
  mm.tablesInHand.add(page);
  return page;
}

export function* freeTable(mm: Mm, page: Page): Atomic<void> {
  mm.memmap.clear(page, PG_table);
  mm.nodeStats(page).nr_page_table_pages--;
  mm.tablesInHand.delete(page);
  yield* freePages(mm, page, 0);
}

/** Address of the PMD for `addr`, or undefined where its table does not exist (pmd_offset). */
export function pmdOffset(mm: Mm, as: MmStruct, addr: number): PA | undefined {
  const { layout } = mm;
  let table: number = as.pgd;
  for (let level = layout.startLevel; level < PMD_LEVEL; level++) {
    const descriptor = mm.port.read64(entryAddress(table, layout.indexOf(level, addr)));
    if (!isTable(descriptor)) return undefined;
    table = ptePa(descriptor);
  }
  return entryAddress(table, layout.indexOf(PMD_LEVEL, addr));
}

/** Address of the PTE for `addr`, or undefined where its table does not exist (pte_offset_map). */
export function pteOffset(mm: Mm, as: MmStruct, addr: number): PA | undefined {
  const at = pmdOffset(mm, as, addr);
  const pmd = at === undefined ? 0n : mm.port.read64(at);
  return isTable(pmd) ? entryAddress(ptePa(pmd), mm.layout.indexOf(PTE_LEVEL, addr)) : undefined;
}

/** What a PMD that maps a block says of the page at `addr`, as a last-level entry. */
export function ptePartOfPmd(mm: Mm, pmd: bigint, addr: number): Pte {
  const offset = Math.floor((addr % mm.layout.pmdSize) / mm.pageSize);
  return ptePresent(pmd) ? ptePmd(pmd) + BigInt(offset * mm.pageSize) : migrationEntryAdvance(pmd, offset);
}

/** The entry that decides about `addr`, whichever level it stands on, as a last-level one; 0 where there is none. */
export function entryOf(mm: Mm, as: MmStruct, addr: number): Pte {
  const at = pmdOffset(mm, as, addr);
  const pmd = at === undefined ? 0n : mm.port.read64(at);
  if (pmdLeaf(pmd)) return ptePartOfPmd(mm, pmd, addr);
  return pmd === 0n ? 0n : mm.port.read64(entryAddress(ptePa(pmd), mm.layout.indexOf(PTE_LEVEL, addr)));
}

/** pmd_alloc(): as pmdOffset, making the tables on the way; undefined where memory is short. */
export function* pmdAlloc(mm: Mm, as: MmStruct, addr: number): MaySleep<PA | undefined> {
  const { layout } = mm;
  let table: number = as.pgd;
  for (let level = layout.startLevel; level < PMD_LEVEL; level++) {
    const below = yield* tableBelow(mm, as, entryAddress(table, layout.indexOf(level, addr)));
    if (below === undefined || below === 'huge') return undefined;
    table = below;
  }
  return entryAddress(table, layout.indexOf(PMD_LEVEL, addr));
}

/** The table that an entry points to, made where there is none. */
function* tableBelow(mm: Mm, as: MmStruct, at: PA): MaySleep<number | 'huge' | undefined> {
  const { port } = mm;
  let descriptor = port.read64(at);
  if (descriptor === 0n) {
    const page = yield* allocTable(mm);
    if (page === undefined) return undefined;
    // pmd_install(): another thread of the process may have made it, or mapped a block, while we slept; and
    // an entry that is being replaced is empty for a moment, under the lock.
    yield* as.pageTableLock.lock();
    descriptor = port.read64(at);
    const mine = descriptor === 0n;
    if (mine) {
      descriptor = tableDescriptor(mm.pageToPa(page));
      port.write64(at, descriptor);
      as.nrTables++;
      mm.tablesInHand.delete(page);
    }
    as.pageTableLock.unlock();
    if (!mine) yield* freeTable(mm, page);
  }
  return isTable(descriptor) ? ptePa(descriptor) : 'huge';
}

/**
 * pte_alloc(): as pteOffset, making the tables on the way; undefined where memory is short, 'huge' where a
 * block is mapped there.
 */
export function* pteAlloc(mm: Mm, as: MmStruct, addr: number): MaySleep<PA | 'huge' | undefined> {
  const at = yield* pmdAlloc(mm, as, addr);
  if (at === undefined) return undefined;
  const table = yield* tableBelow(mm, as, at);
  return typeof table === 'number' ? entryAddress(table, mm.layout.indexOf(PTE_LEVEL, addr)) : table;
}

export const readPte = (mm: Mm, at: PA): Pte => mm.port.read64(at);

/**
 * set_ptes(): `nr` entries for pages that follow one another. Everything that becomes visible to
 * user space passes here, and so through the tag hook: no valid tagged entry without a tag block.
 */
export function* setPtes(mm: Mm, at: PA, pte: Pte, nr = 1): Atomic<void> {
  let value = pte;
  if (pteValid(pte) && !pteSpecial(pte)) {
    const page = mm.paToPage(ptePa(pte));
    if (page !== undefined) {
      if (pteUserExec(pte)) {
        for (let i = 0; i < nr; i++) mm.hooks.syncIcacheDcache((page + i) as Page);
      }
      if (mm.hooks.needsSyncTags(pte)) value = yield* mm.hooks.mteSyncTags(pte, page, nr);
    }
  }
  if (mm.contexts.racing) yield SET_PTE;
  for (let i = 0; i < nr; i++) {
    mm.port.write64(PA(at + i * DESCRIPTOR_BYTES), value + BigInt(i * mm.pageSize));
  }
}

/**
 * set_pmd_at() of an entry that maps a block. The hook sees it as it sees set_ptes of so many pages, and
 * unlike there also an entry for the huge zero page, which is not special to it in Linux.
 */
export function* setHugePmd(mm: Mm, at: PA, pmd: bigint): Atomic<void> {
  let value = pmd;
  const page = pteValid(pmd) ? mm.paToPage(ptePa(pmd)) : undefined;
  if (page !== undefined) {
    const pages = mm.layout.entriesPerTable;
    if (pteUserExec(pmd)) {
      for (let i = 0; i < pages; i++) mm.hooks.syncIcacheDcache((page + i) as Page);
    }
    if (mm.hooks.needsSyncTags(pmd)) value = yield* mm.hooks.mteSyncTags(pmd, page, pages);
  }
  if (mm.contexts.racing) yield SET_PTE;
  mm.port.write64(at, value);
}

/** ptep_get_and_clear(); the TLB still knows the entry. */
export function* ptepGetAndClear(mm: Mm, at: PA): Atomic<Pte> {
  const old = mm.port.read64(at);
  mm.port.write64(at, 0n);
  if (mm.contexts.racing) yield CLEAR_PTE;
  return old;
}

/** ptep_clear_flush(). */
export function* ptepClearFlush(mm: Mm, as: MmStruct, addr: number, at: PA): Atomic<Pte> {
  const old = yield* ptepGetAndClear(mm, at);
  flushTlbPage(mm, as, addr);
  return old;
}

export function flushTlbPage(mm: Mm, as: MmStruct, addr: number): void {
  mm.tlb.flushTlbPage(as.asid, VA(BigInt(addr)));
}

export function flushTlbRange(mm: Mm, as: MmStruct, start: number, end: number): void {
  mm.tlb.flushTlbRange(as.asid, VA(BigInt(start)), VA(BigInt(end)));
}

/**
 * Part of a range: entries `at`, `at + 8`, ... of a last-level table for pages from `addr` to `end`; or the
 * one PMD that maps a block, whose part of the range this is.
 */
export interface PteRun {
  readonly huge: boolean;
  readonly at: PA;
  readonly addr: number;
  readonly end: number;
}

/** The next stretch of [addr, end) that has a last-level table or a block; holes are skipped table-wise. */
export function nextPteRun(mm: Mm, as: MmStruct, from: number, end: number): PteRun | undefined {
  const { layout, port } = mm;
  let addr = from;
  outer: while (addr < end) {
    let table: number = as.pgd;
    for (let level = layout.startLevel; level < PTE_LEVEL; level++) {
      const at = entryAddress(table, layout.indexOf(level, addr));
      const descriptor = port.read64(at);
      if (!isTable(descriptor)) {
        const span = layout.spanOf(level);
        const next = (Math.floor(addr / span) + 1) * span;
        if (descriptor !== 0n) return { huge: true, at, addr, end: Math.min(end, next) };
        addr = next;
        continue outer;
      }
      table = ptePa(descriptor);
    }
    const tableEnd = (Math.floor(addr / layout.pmdSize) + 1) * layout.pmdSize;
    return {
      huge: false,
      at: entryAddress(table, layout.indexOf(PTE_LEVEL, addr)),
      addr,
      end: Math.min(end, tableEnd),
    };
  }
  return undefined;
}

/** Does the run cover its whole block? */
export const coversBlock = (mm: Mm, run: PteRun): boolean => run.end - run.addr === mm.layout.pmdSize;

/**
 * free_pgtables(): frees the tables that only served [start, end).
 *
 * @param floor, ceiling the nearest addresses still mapped on either side: a table that reaches beyond
 *   them stays.
 */
export function* freePgtables(
  mm: Mm,
  as: MmStruct,
  start: number,
  end: number,
  floor: number,
  ceiling: number,
): Atomic<void> {
  const unlinked: Page[] = [];
  unlinkTables(mm, mm.layout.startLevel, as.pgd, 0, { start, end, floor, ceiling }, unlinked);
  if (unlinked.length === 0) return;
  // Walks cached by the TLB must be gone before the pages are anything else.
  flushTlbRange(mm, as, start, end);
  for (const page of unlinked) {
    as.nrTables--;
    yield* freeTable(mm, page);
  }
}

interface UnmappedRange {
  readonly start: number;
  readonly end: number;
  readonly floor: number;
  readonly ceiling: number;
}

function unlinkTables(
  mm: Mm,
  level: number,
  table: number,
  base: number,
  range: UnmappedRange,
  unlinked: Page[],
): void {
  if (level === PTE_LEVEL) return;
  const { layout, port } = mm;
  const span = layout.spanOf(level);
  const entries = level === layout.startLevel ? layout.topEntries : layout.entriesPerTable;
  const first = Math.max(0, Math.floor((range.start - base) / span));
  const last = Math.min(entries - 1, Math.floor((range.end - 1 - base) / span));
  if (first > last) return;
  // Most entries are empty: they are looked at as bytes, not read as descriptors one by one.
  const bytes = port.readBytes(entryAddress(table, first), (last - first + 1) * DESCRIPTOR_BYTES);
  for (let index = first; index <= last; index++) {
    if ((bytes[(index - first) * DESCRIPTOR_BYTES]! & 3) !== 3) continue;
    const at = entryAddress(table, index);
    const descriptor = port.read64(at);
    const childBase = base + index * span;
    unlinkTables(mm, level + 1, ptePa(descriptor), childBase, range, unlinked);
    if (childBase >= range.floor && childBase + span <= range.ceiling) {
      port.write64(at, 0n);
      unlinked.push(mm.paToPage(ptePa(descriptor))!);
    }
  }
}
