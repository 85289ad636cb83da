/**
 * Page isolation: whole pageblocks are withdrawn from allocation while their pages are moved
 * (mm/page_isolation.c).
 *
 * Free pages of an isolated block lie on lists nobody takes from and do not count as free; pages
 * freed meanwhile go there too.
 */
import { EBUSY } from '../contexts/index.js';
import { modZoneFreepageState, moveFreepagesBlock, splitFreeStraddling } from './buddy.js';
import type { Page } from './memmap.js';
import { MIGRATE_CMA, MIGRATE_ISOLATE } from './migratetype.js';
import type { Mm } from './mm.js';
import { PG_buddy, PG_lru, PG_pcp, PG_reserved } from './page-flags.js';

/** has_unmovable_pages(): a page of [start, end) that migration could not empty. */
function hasUnmovablePages(mm: Mm, start: number, end: number, migratetype: number): boolean {
  const map = mm.memmap;
  for (let at = start; at < end; ) {
    const page = at as Page;
    if (map.test(page, PG_reserved)) return true;
    // CMA isolates its own blocks even where a page in them is not movable: the range decides, later.
    if (migratetype === MIGRATE_CMA) return map.pageblockMigratetype(page) !== MIGRATE_CMA;
    if (map.test(page, PG_buddy)) {
      at += 1 << map.order[page]!;
      continue;
    }
    if (map.refcount[page] !== 0 && !map.test(page, PG_lru | PG_pcp)) return true;
    at++;
  }
  return false;
}

/** set_migratetype_isolate() of one pageblock; false where it is isolated already or cannot be. */
function setMigratetypeIsolate(mm: Mm, page: Page, start: number, end: number, migratetype: number): boolean {
  const map = mm.memmap;
  const block = page - (page % map.pageblockNrPages);
  const old = map.pageblockMigratetype(page);
  // Somebody else is isolating it: let them have it.
  if (old === MIGRATE_ISOLATE) return false;
  if (
    hasUnmovablePages(mm, Math.max(start, block), Math.min(end, block + map.pageblockNrPages), migratetype)
  ) {
    return false;
  }
  const zone = mm.pageZone(page);
  map.setPageblockMigratetype(page, MIGRATE_ISOLATE);
  zone.isolatedPageblocks++;
  const moved = moveFreepagesBlock(map, zone, page, MIGRATE_ISOLATE);
  modZoneFreepageState(zone, -moved.free, old);
  return true;
}

function unsetMigratetypeIsolate(mm: Mm, page: Page, migratetype: number): void {
  const map = mm.memmap;
  if (map.pageblockMigratetype(page) !== MIGRATE_ISOLATE) return;
  const zone = mm.pageZone(page);
  map.setPageblockMigratetype(page, migratetype);
  zone.isolatedPageblocks--;
  const moved = moveFreepagesBlock(map, zone, page, migratetype);
  modZoneFreepageState(zone, moved.free, migratetype);
}

const alignDown = (value: number, to: number): number => value - (value % to);
const alignUp = (value: number, to: number): number => Math.ceil(value / to) * to;

/**
 * start_isolate_page_range(): every pageblock that [start, end) touches becomes MIGRATE_ISOLATE.
 *
 * @param migratetype what the blocks are, and will be again.
 * @returns 0 or -EBUSY, and then nothing is isolated.
 */
export function startIsolatePageRange(mm: Mm, start: Page, end: number, migratetype: number): number {
  const map = mm.memmap;
  const first = alignDown(start, map.pageblockNrPages);
  const last = alignUp(end, map.pageblockNrPages);
  const zone = mm.pageZone(start);
  splitFreeStraddling(map, zone, first);
  splitFreeStraddling(map, zone, last);
  for (let block = first; block < last; block += map.pageblockNrPages) {
    if (!setMigratetypeIsolate(mm, block as Page, start, end, migratetype)) {
      for (let undo = first; undo < block; undo += map.pageblockNrPages) {
        unsetMigratetypeIsolate(mm, undo as Page, migratetype);
      }
      return -EBUSY;
    }
  }
  return 0;
}

/** undo_isolate_page_range(). */
export function undoIsolatePageRange(mm: Mm, start: Page, end: number, migratetype: number): void {
  const size = mm.memmap.pageblockNrPages;
  for (let block = alignDown(start, size); block < alignUp(end, size); block += size) {
    unsetMigratetypeIsolate(mm, block as Page, migratetype);
  }
}

/** test_pages_isolated(): every page of [start, end) is free, and its pageblock isolated. */
export function testPagesIsolated(mm: Mm, start: Page, end: number): boolean {
  const map = mm.memmap;
  for (let at = start; at < end; ) {
    if (map.pageblockMigratetype(at) !== MIGRATE_ISOLATE || !map.test(at, PG_buddy)) return false;
    at = (at + (1 << map.order[at]!)) as Page;
  }
  return true;
}
