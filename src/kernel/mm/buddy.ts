/**
 * The buddy allocator's core: free lists of power-of-two blocks by order and migratetype
 * (mm/page_alloc.c below the zone lock).
 *
 * Every function is plain: this is the critical section under zone->lock. Blocks merge with their
 * buddy unless, from pageblock size on, one of them belongs to CMA or an isolated pageblock.
 */

import { ALLOC_CMA, ALLOC_HIGHATOMIC, ALLOC_KSWAPD, ALLOC_NOFRAGMENT } from './gfp.js';
import type { Memmap, Page } from './memmap.js';
import {
  FALLBACKS,
  MIGRATE_CMA,
  MIGRATE_HIGHATOMIC,
  MIGRATE_ISOLATE,
  MIGRATE_MOVABLE,
  MIGRATE_RECLAIMABLE,
  MIGRATE_UNMOVABLE,
  migratetypeIsMergeable,
} from './migratetype.js';
import { PG_buddy, PG_lru } from './page-flags.js';
import { WMARK_HIGH, type Zone } from './zone.js';

/** __mod_zone_freepage_state(). */
export function modZoneFreepageState(zone: Zone, pages: number, migratetype: number): void {
  zone.freePages += pages;
  if (migratetype === MIGRATE_CMA) zone.freeCmaPages += pages;
}

function addToFreeList(map: Memmap, zone: Zone, page: Page, order: number, migratetype: number): void {
  map.flags[page] = map.flags[page]! | PG_buddy;
  map.order[page] = order;
  map.listAdd(page, zone.freeList(order, migratetype));
  zone.nrFree[order]!++;
}

function addToFreeListTail(map: Memmap, zone: Zone, page: Page, order: number, migratetype: number): void {
  map.flags[page] = map.flags[page]! | PG_buddy;
  map.order[page] = order;
  map.listAddTail(page, zone.freeList(order, migratetype));
  zone.nrFree[order]!++;
}

export function delPageFromFreeList(map: Memmap, zone: Zone, page: Page, order: number): void {
  map.listDel(page);
  map.flags[page] = map.flags[page]! & ~PG_buddy;
  map.order[page] = 0;
  zone.nrFree[order]!--;
}

function isFreeBuddy(map: Memmap, buddy: number, order: number, zone: Zone): boolean {
  return (
    buddy < map.pages &&
    (map.flags[buddy]! & PG_buddy) !== 0 &&
    map.order[buddy] === order &&
    map.zoneOf(buddy as Page) === zone.index &&
    map.nodeOf(buddy as Page) === zone.nodeId
  );
}

/**
 * __free_one_page(): puts a block back and merges it as far as it goes.
 *
 * @param migratetype of its pageblock; isolated pages are not counted as free.
 */
export function freeOnePage(map: Memmap, zone: Zone, page: Page, order: number, migratetype: number): void {
  if (migratetype !== MIGRATE_ISOLATE) modZoneFreepageState(zone, 1 << order, migratetype);
  let at: number = page;
  let size = order;
  while (size < map.maxPageOrder) {
    const buddy = at ^ (1 << size);
    if (!isFreeBuddy(map, buddy, size, zone)) break;
    if (size >= map.pageblockOrder) {
      // A merge across this line would hide where CMA or an isolated pageblock ends.
      const other = map.pageblockMigratetype(buddy as Page);
      if (other !== migratetype && !(migratetypeIsMergeable(migratetype) && migratetypeIsMergeable(other)))
        break;
    }
    delPageFromFreeList(map, zone, buddy as Page, size);
    at &= buddy;
    size++;
  }
  // buddy_merge_likely(): where the next larger block is nearly complete, hand this one out last.
  if (size < map.maxPageOrder - 1) {
    const higher = at & (at ^ (1 << size));
    if (isFreeBuddy(map, higher ^ (1 << (size + 1)), size + 1, zone)) {
      addToFreeListTail(map, zone, at as Page, size, migratetype);
      return;
    }
  }
  addToFreeList(map, zone, at as Page, size, migratetype);
}

/** expand(): hands back the upper halves of a block of `high` from which `low` is wanted. */
function expand(map: Memmap, zone: Zone, page: Page, low: number, high: number, migratetype: number): void {
  for (let order = high - 1; order >= low; order--) {
    addToFreeList(map, zone, (page + (1 << order)) as Page, order, migratetype);
  }
}

/** __rmqueue_smallest(). Free counters are the caller's. */
function rmqueueSmallest(map: Memmap, zone: Zone, order: number, migratetype: number): Page | undefined {
  for (let current = order; current <= map.maxPageOrder; current++) {
    const page = map.listFirst(zone.freeList(current, migratetype));
    if (page === undefined) continue;
    delPageFromFreeList(map, zone, page, current);
    expand(map, zone, page, order, current, migratetype);
    return page;
  }
  return undefined;
}

/** A block taken, and the migratetype of the list it came from. */
export interface Taken {
  readonly page: Page;
  readonly migratetype: number;
}

/**
 * __rmqueue(): a block of `order`; first from CMA when CMA holds more than half of what is free, else
 * from its own type, then CMA, then stolen from another type. Counts the pages as no longer free.
 *
 * @param boostFactor vm.watermark_boost_factor.
 */
export function rmqueue(
  map: Memmap,
  zone: Zone,
  order: number,
  migratetype: number,
  allocFlags: number,
  boostFactor: number,
): Page | undefined {
  if ((allocFlags & ALLOC_HIGHATOMIC) !== 0) {
    const page = rmqueueSmallest(map, zone, order, MIGRATE_HIGHATOMIC);
    if (page !== undefined) {
      modZoneFreepageState(zone, -(1 << order), MIGRATE_HIGHATOMIC);
      return page;
    }
  }
  if ((allocFlags & ALLOC_CMA) !== 0 && zone.freeCmaPages > zone.freePages / 2) {
    const page = rmqueueSmallest(map, zone, order, MIGRATE_CMA);
    if (page !== undefined) {
      modZoneFreepageState(zone, -(1 << order), MIGRATE_CMA);
      return page;
    }
  }
  for (;;) {
    const page = rmqueueSmallest(map, zone, order, migratetype);
    if (page !== undefined) {
      modZoneFreepageState(zone, -(1 << order), migratetype);
      return page;
    }
    if ((allocFlags & ALLOC_CMA) !== 0) {
      const lent = rmqueueSmallest(map, zone, order, MIGRATE_CMA);
      if (lent !== undefined) {
        modZoneFreepageState(zone, -(1 << order), MIGRATE_CMA);
        return lent;
      }
    }
    if (!rmqueueFallback(map, zone, order, migratetype, allocFlags, boostFactor)) return undefined;
  }
}

/** find_suitable_fallback(): a type with a free block of exactly `order`. */
function findSuitableFallback(
  map: Memmap,
  zone: Zone,
  order: number,
  migratetype: number,
): number | undefined {
  for (const type of FALLBACKS[migratetype]!) {
    if (!map.listEmpty(zone.freeList(order, type))) return type;
  }
  return undefined;
}

/** can_steal_fallback(): may the whole pageblock change its type? */
function canSteal(map: Memmap, order: number, startMigratetype: number): boolean {
  return (
    order >= map.pageblockOrder / 2 ||
    startMigratetype === MIGRATE_RECLAIMABLE ||
    startMigratetype === MIGRATE_UNMOVABLE
  );
}

/** __rmqueue_fallback(): moves a block of another type to ours; true if there is now something to take. */
function rmqueueFallback(
  map: Memmap,
  zone: Zone,
  order: number,
  startMigratetype: number,
  allocFlags: number,
  boostFactor: number,
): boolean {
  const minOrder = (allocFlags & ALLOC_NOFRAGMENT) !== 0 ? Math.max(order, map.pageblockOrder) : order;
  for (let current = map.maxPageOrder; current >= minOrder; current--) {
    let type = findSuitableFallback(map, zone, current, startMigratetype);
    if (type === undefined) continue;
    let from = current;
    const steal = canSteal(map, current, startMigratetype);
    if (!steal && startMigratetype === MIGRATE_MOVABLE && current > order) {
      // Movable pages can be anywhere: break the smallest block that will do.
      for (from = order; from < current; from++) {
        const smaller = findSuitableFallback(map, zone, from, startMigratetype);
        if (smaller !== undefined) {
          type = smaller;
          break;
        }
      }
    }
    const page = map.listFirst(zone.freeList(from, type))!;
    // Kinds are mixed in a pageblock: kswapd shall free more, so that it need not happen again.
    if (
      from < map.pageblockOrder &&
      boostWatermark(map, zone, boostFactor) &&
      (allocFlags & ALLOC_KSWAPD) !== 0
    ) {
      zone.boosted = true;
    }
    stealSuitableFallback(map, zone, page, from, startMigratetype, canSteal(map, from, startMigratetype));
    return true;
  }
  return false;
}

/** boost_watermark(): by a pageblock at a time, to a share of the high watermark. */
function boostWatermark(map: Memmap, zone: Zone, boostFactor: number): boolean {
  // Small zones are not worth it.
  if (boostFactor === 0 || map.pageblockNrPages * 4 > zone.managedPages) return false;
  const most = Math.floor((zone.watermark[WMARK_HIGH]! * boostFactor) / 10000);
  if (most === 0) return false;
  zone.watermarkBoost = Math.min(
    zone.watermarkBoost + map.pageblockNrPages,
    Math.max(map.pageblockNrPages, most),
  );
  return true;
}

/** reserve_highatomic_pageblock(): the block of a page just given to who cannot wait, unless 1 % is kept already. */
export function reserveHighatomicPageblock(map: Memmap, zone: Zone, page: Page): void {
  const share = Math.floor(zone.managedPages / 100);
  if (share < map.pageblockNrPages) return;
  const most = Math.ceil(share / map.pageblockNrPages) * map.pageblockNrPages;
  if (zone.reservedHighatomic >= most || !migratetypeIsMergeable(map.pageblockMigratetype(page))) return;
  zone.reservedHighatomic += map.pageblockNrPages;
  map.setPageblockMigratetype(page, MIGRATE_HIGHATOMIC);
  moveFreepagesBlock(map, zone, page, MIGRATE_HIGHATOMIC);
}

/**
 * unreserve_highatomic_pageblock() of one zone: a reserved block with free pages becomes `migratetype`.
 *
 * @param force the last one too.
 * @returns whether that made pages free for others.
 */
export function unreserveHighatomicPageblock(
  map: Memmap,
  zone: Zone,
  migratetype: number,
  force: boolean,
): boolean {
  if (!force && zone.reservedHighatomic <= map.pageblockNrPages) return false;
  for (let order = 0; order <= map.maxPageOrder; order++) {
    const page = map.listFirst(zone.freeList(order, MIGRATE_HIGHATOMIC));
    if (page === undefined) continue;
    zone.reservedHighatomic -= Math.min(map.pageblockNrPages, zone.reservedHighatomic);
    map.setPageblockMigratetype(page, migratetype);
    if (moveFreepagesBlock(map, zone, page, migratetype).free > 0) return true;
  }
  return false;
}

/** steal_suitable_fallback(): the block alone, or its whole pageblock when enough of it is ours. */
function stealSuitableFallback(
  map: Memmap,
  zone: Zone,
  page: Page,
  order: number,
  startType: number,
  wholeBlock: boolean,
): void {
  const oldType = map.pageblockMigratetype(page);
  if (order >= map.pageblockOrder) {
    for (let at = page; at < page + (1 << order); at = (at + map.pageblockNrPages) as Page) {
      map.setPageblockMigratetype(at, startType);
    }
  } else if (wholeBlock) {
    const moved = moveFreepagesBlock(map, zone, page, startType);
    if (moved.free > 0) {
      const alike =
        startType === MIGRATE_MOVABLE
          ? moved.movable
          : oldType === MIGRATE_MOVABLE
            ? map.pageblockNrPages - moved.free - moved.movable
            : 0;
      if (moved.free + alike >= map.pageblockNrPages / 2) map.setPageblockMigratetype(page, startType);
      return;
    }
  }
  moveToFreeList(map, zone, page, order, startType);
}

function moveToFreeList(map: Memmap, zone: Zone, page: Page, order: number, migratetype: number): void {
  map.listDel(page);
  map.listAddTail(page, zone.freeList(order, migratetype));
}

/** move_freepages_block(): every free block of the page's pageblock goes to the lists of `migratetype`. */
export function moveFreepagesBlock(
  map: Memmap,
  zone: Zone,
  page: Page,
  migratetype: number,
): { readonly free: number; readonly movable: number } {
  const start = page - (page % map.pageblockNrPages);
  let free = 0;
  let movable = 0;
  for (let at = start; at < start + map.pageblockNrPages; ) {
    const flags = map.flags[at]!;
    if ((flags & PG_buddy) === 0) {
      if ((flags & PG_lru) !== 0) movable++;
      at++;
      continue;
    }
    if (map.zoneOf(at as Page) !== zone.index) break;
    const order = map.order[at]!;
    moveToFreeList(map, zone, at as Page, order, migratetype);
    free += 1 << order;
    at += 1 << order;
  }
  return { free, movable };
}

/** The free block that holds `page`, if any: its head. */
export function findBuddyHead(map: Memmap, page: Page): Page | undefined {
  for (let order = 0; order <= map.maxPageOrder; order++) {
    const head = (page - (page % (1 << order))) as Page;
    if (map.test(head, PG_buddy)) {
      return head + (1 << map.order[head]!) > page ? head : undefined;
    }
  }
  return undefined;
}

/**
 * split_free_page(): where a free block straddles `boundary` (a pageblock boundary), both sides become
 * blocks of their own, so that isolating one side does not drag the other along.
 */
export function splitFreeStraddling(map: Memmap, zone: Zone, boundary: number): void {
  if (boundary >= map.pages) return;
  const head = findBuddyHead(map, boundary as Page);
  if (head === undefined || head === boundary) return;
  const order = map.order[head]!;
  delPageFromFreeList(map, zone, head, order);
  for (let at = head; at < head + (1 << order); at = (at + map.pageblockNrPages) as Page) {
    addToFreeListTail(map, zone, at, map.pageblockOrder, map.pageblockMigratetype(at));
  }
}

/**
 * take_page_off_buddy(): removes exactly this page from the free block that holds it.
 *
 * @returns false, and nothing changed, where it is not free.
 */
export function takePageOffBuddy(map: Memmap, zone: Zone, page: Page): boolean {
  const head = findBuddyHead(map, page);
  if (head === undefined) return false;
  const order = map.order[head]!;
  const migratetype = map.pageblockMigratetype(head);
  delPageFromFreeList(map, zone, head, order);
  // break_down_buddy_pages(): halve, keep the half with the page, free the other.
  let base: number = head;
  for (let size = order - 1; size >= 0; size--) {
    const half = 1 << size;
    if (page >= base + half) {
      addToFreeList(map, zone, base as Page, size, migratetype);
      base += half;
    } else {
      addToFreeList(map, zone, (base + half) as Page, size, migratetype);
    }
  }
  if (migratetype !== MIGRATE_ISOLATE) modZoneFreepageState(zone, -1, migratetype);
  return true;
}
