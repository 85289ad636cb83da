/**
 * alloc_contig_range(): exactly these pages, whoever has them now (mm/page_alloc.c).
 *
 * Isolate the pageblocks, drain every CPU, move pages in use away, check that all is free, take it,
 * give back what a larger free block brought along, and undo the isolation.
 */
import type { MaySleep } from '../contexts/index.js';
import { EBUSY, EINTR, ENOMEM, racePoint } from '../contexts/index.js';
import { delPageFromFreeList } from './buddy.js';
import { folioMapcount, folioNrPages } from './folio.js';
import { __GFP_MOVABLE, __GFP_RETRY_MAYFAIL, GFP_USER } from './gfp.js';
import { folioIsolateLru, lruCacheDisable, lruCacheEnable } from './lru.js';
import type { Page } from './memmap.js';
import { allocLike, migratePages, putbackMovablePages } from './migrate.js';
import type { Mm } from './mm.js';
import { drainAllPages, freeContigRange, postAllocIsolated } from './page-alloc.js';
import { PG_buddy, PG_swapcache } from './page-flags.js';
import { startIsolatePageRange, testPagesIsolated, undoIsolatePageRange } from './page-isolation.js';

/** COMPACT_CLUSTER_MAX: pages isolated before they are moved. */
const CLUSTER_MAX = 32;
/** Rounds of migration for one batch. */
const MAX_TRIES = 5;

const ISOLATED = racePoint('start_isolate_page_range');
const MIGRATED = racePoint('alloc_contig_migrate_range');

/** isolate_migratepages_range(): movable pages of [start, end), up to a cluster; where it stopped. */
function isolateMigratepagesRange(mm: Mm, start: number, end: number, list: Page[]): number {
  const map = mm.memmap;
  let at = start;
  while (at < end && list.length < CLUSTER_MAX) {
    const page = at as Page;
    if (map.test(page, PG_buddy)) {
      at += 1 << map.order[page]!;
      continue;
    }
    // A large folio that reaches into the range moves whole.
    const head = map.head(page);
    at = Math.max(at + 1, head + folioNrPages(mm, head));
    // A reference beyond the mappings is a pin: migration would fail, so leave it (isolate_fail).
    const anonymous = (map.mapping[head]! & 1) === 1;
    const cached = map.test(head, PG_swapcache) ? 1 : 0;
    if (anonymous && map.refcount[head]! > folioMapcount(mm, head) + cached) continue;
    if (folioIsolateLru(mm, head)) list.push(head);
  }
  return at;
}

/** __alloc_contig_migrate_range(). */
function* allocContigMigrateRange(mm: Mm, start: Page, end: number): MaySleep<number> {
  const batch: Page[] = [];
  let at: number = start;
  let tries = 0;
  let result = 0;
  yield* lruCacheDisable(mm);
  while (at < end || batch.length > 0) {
    if (mm.contexts.current.fatalSignalPending) {
      result = -EINTR;
      break;
    }
    if (batch.length === 0) {
      at = isolateMigratepagesRange(mm, at, end, batch);
      tries = 0;
      if (batch.length === 0) continue;
    } else if (++tries === MAX_TRIES) {
      result = -EBUSY;
      break;
    }
    const before = batch.length;
    result = yield* migratePages(mm, batch, (source) => allocMigrationTarget(mm, source));
    mm.metrics.pagesMigrated += before - batch.length;
    if (mm.contexts.racing) yield MIGRATED;
    if (result === -ENOMEM) break;
  }
  lruCacheEnable(mm);
  if (result !== 0) {
    yield* putbackMovablePages(mm, batch);
    return result < 0 ? result : -EBUSY;
  }
  return 0;
}

/** alloc_migration_target() with the flags that alloc_contig_range fixes: the caller's do not reach it. */
const MIGRATION_TARGET = GFP_USER | __GFP_MOVABLE | __GFP_RETRY_MAYFAIL;

function* allocMigrationTarget(mm: Mm, source: Page): MaySleep<Page | undefined> {
  const page = yield* allocLike(mm, source, MIGRATION_TARGET);
  if (page !== undefined && mm.hooks.isTagStoragePage(page)) mm.metrics.pagesMigratedToTagStorage++;
  return page;
}

/**
 * Takes exactly [start, end), each page with refcount 1.
 *
 * @param migratetype of the pageblocks: MIGRATE_CMA for CMA areas.
 * @returns 0, -EBUSY (pinned or unmovable), -ENOMEM, or -EINTR (a fatal signal is pending).
 */
export function* allocContigRange(mm: Mm, start: Page, end: number, migratetype: number): MaySleep<number> {
  mm.contexts.mightSleep('alloc_contig_range');
  let result = startIsolatePageRange(mm, start, end, migratetype);
  if (result !== 0) return result;
  if (mm.contexts.racing) yield ISOLATED;
  drainAllPages(mm, mm.pageZone(start));
  result = yield* allocContigMigrateRange(mm, start, end);
  // -EBUSY here is not final: a page may have been freed while we looked elsewhere.
  if (result === 0 || result === -EBUSY) result = yield* takeIsolatedRange(mm, start, end);
  undoIsolatePageRange(mm, start, end, migratetype);
  return result;
}

/** Steps 4 and 5: the final check, then the pages, giving back head and tail of the blocks they were in. */
function* takeIsolatedRange(mm: Mm, start: Page, end: number): MaySleep<number> {
  const map = mm.memmap;
  let outerStart = start;
  for (let order = 0; !map.test(outerStart, PG_buddy); ) {
    if (++order > map.maxPageOrder) {
      outerStart = start;
      break;
    }
    outerStart = (start - (start % (1 << order))) as Page;
  }
  // The block found may end before the range begins.
  if (outerStart !== start && outerStart + (1 << map.order[outerStart]!) <= start) outerStart = start;
  if (!testPagesIsolated(mm, outerStart, end)) return -EBUSY;
  const outerEnd = isolateFreepagesRange(mm, outerStart, end);
  yield* freeContigRange(mm, outerStart, start - outerStart);
  yield* freeContigRange(mm, end as Page, outerEnd - end);
  return 0;
}

/** isolate_freepages_range(): free blocks leave the buddy as single pages; where the last one ended. */
function isolateFreepagesRange(mm: Mm, start: Page, end: number): number {
  const map = mm.memmap;
  let at: number = start;
  while (at < end) {
    const page = at as Page;
    const order = map.order[page]!;
    // __isolate_free_page(): isolated pages are not in the free counters.
    delPageFromFreeList(map, mm.pageZone(page), page, order);
    for (let i = 0; i < 1 << order; i++) postAllocIsolated(mm, (page + i) as Page);
    at += 1 << order;
  }
  return at;
}
