/**
 * The page allocator: requests, per-CPU lists, preparation of pages going out and coming back
 * (mm/page_alloc.c above the zone lock).
 *
 * Order matters twice and follows the series. Going out: refcount 1, then the architecture may reserve
 * the tag block, then data (and tags) are zeroed. Coming back: the architecture sees the page while
 * its flags are still set, then they are cleared. A request that the watermarks
 * refuse drains the per-CPU lists, then compacts and reclaims as long as that frees anything, and only
 * then fails.
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { KernelBug, racePoint } from '../contexts/index.js';
import { freeOnePage, reserveHighatomicPageblock, rmqueue, unreserveHighatomicPageblock } from './buddy.js';
import { tryToCompactPages, wakeupKcompactd } from './compaction.js';
import type { Gfp } from './gfp.js';
import {
  __GFP_COMP,
  __GFP_DIRECT_RECLAIM,
  __GFP_DMA32,
  __GFP_FS,
  __GFP_HIGH,
  __GFP_HIGHMEM,
  __GFP_KSWAPD_RECLAIM,
  __GFP_MOVABLE,
  __GFP_NOMEMALLOC,
  __GFP_NORETRY,
  __GFP_RETRY_MAYFAIL,
  __GFP_SKIP_ZERO,
  __GFP_TAGGED,
  __GFP_THISNODE,
  __GFP_ZERO,
  ALLOC_CMA,
  ALLOC_HIGHATOMIC,
  ALLOC_KSWAPD,
  ALLOC_MIN_RESERVE,
  ALLOC_NO_WATERMARKS,
  ALLOC_NOFRAGMENT,
  ALLOC_NON_BLOCK,
  ALLOC_RESERVES,
  ALLOC_WMARK_LOW,
  ALLOC_WMARK_MASK,
  ALLOC_WMARK_MIN,
  gfpAllowsBlocking,
  gfpMigratetype,
} from './gfp.js';
import type { Page } from './memmap.js';
import {
  MIGRATE_CMA,
  MIGRATE_HIGHATOMIC,
  MIGRATE_ISOLATE,
  MIGRATE_MOVABLE,
  MIGRATE_PCPTYPES,
  PAGE_ALLOC_COSTLY_ORDER,
} from './migratetype.js';
import type { Mm } from './mm.js';
import type { NodeTable, PglistData } from './node.js';
import { PAGE_FLAGS_CHECK_AT_PREP, PG_buddy, PG_head, PG_pcp, PG_reserved } from './page-flags.js';
import { tryToFreePages } from './vmscan.js';
import type { Zone } from './zone.js';
import { ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL } from './zone.js';

const FREE_PREPARE = racePoint('free_pages_prepare');

/** gfp_zone(): the highest zone the request may use. */
function gfpZone(gfp: Gfp): number {
  if ((gfp & __GFP_DMA32) !== 0) return ZONE_DMA32;
  if ((gfp & (__GFP_HIGHMEM | __GFP_MOVABLE)) === (__GFP_HIGHMEM | __GFP_MOVABLE)) return ZONE_MOVABLE;
  return ZONE_NORMAL;
}

/** __zone_watermark_ok(): would taking 2^order pages leave the reserves alone? */
function zoneWatermarkOk(
  mm: Mm,
  zone: Zone,
  order: number,
  mark: number,
  highest: number,
  allocFlags: number,
): boolean {
  let min = mark;
  let free = zone.freePages - ((1 << order) - 1);
  if ((allocFlags & ALLOC_CMA) === 0) free -= zone.freeCmaPages;
  if ((allocFlags & ALLOC_RESERVES) === 0) free -= zone.reservedHighatomic;
  if ((allocFlags & ALLOC_MIN_RESERVE) !== 0) {
    min -= Math.floor(min / 2);
    if ((allocFlags & ALLOC_NON_BLOCK) !== 0) min -= Math.floor(min / 4);
  }
  if (free <= min + zone.lowmemReserve[highest]!) return false;
  if (order === 0) return true;
  for (let o = order; o < zone.nrFree.length; o++) {
    if (zone.nrFree[o] === 0) continue;
    for (let type = 0; type < MIGRATE_PCPTYPES; type++) {
      if (!mm.memmap.listEmpty(zone.freeList(o, type))) return true;
    }
    if ((allocFlags & ALLOC_CMA) !== 0 && !mm.memmap.listEmpty(zone.freeList(o, MIGRATE_CMA))) return true;
    const urgent = (allocFlags & ALLOC_HIGHATOMIC) !== 0;
    if (urgent && !mm.memmap.listEmpty(zone.freeList(o, MIGRATE_HIGHATOMIC))) return true;
  }
  return false;
}

/** gfp_to_alloc_flags_cma(): ALLOC_CMA for movable requests that the architecture lets use CMA. */
function gfpToAllocFlagsCma(mm: Mm, gfp: Gfp, allocFlags: number): number {
  if (gfpMigratetype(gfp) === MIGRATE_MOVABLE && mm.hooks.archAllocCma(gfp)) return allocFlags | ALLOC_CMA;
  return allocFlags;
}

/** vm.watermark_boost_factor; without a kswapd nobody would ever take the boost back. */
const boostFactor = (mm: Mm, zone: Zone): number =>
  mm.nodes.at(zone.nodeId)?.hasKswapd === true ? mm.sysctl.watermarkBoostFactor[0]! : 0;

/** rmqueue_bulk(): fills a per-CPU list. */
function rmqueueBulk(
  mm: Mm,
  zone: Zone,
  order: number,
  count: number,
  list: number,
  migratetype: number,
  allocFlags: number,
): number {
  const map = mm.memmap;
  const factor = boostFactor(mm, zone);
  for (let i = 0; i < count; i++) {
    const page = rmqueue(map, zone, order, migratetype, allocFlags & ~ALLOC_HIGHATOMIC, factor);
    if (page === undefined) return i;
    map.set(page, PG_pcp);
    map.order[page] = order;
    map.listAddTail(page, list);
  }
  return count;
}

function rmqueuePcplist(
  mm: Mm,
  zone: Zone,
  order: number,
  migratetype: number,
  allocFlags: number,
): Page | undefined {
  const map = mm.memmap;
  const pcp = zone.pcp[mm.contexts.current.cpu]!;
  const list = pcp.lists[order * MIGRATE_PCPTYPES + migratetype]!;
  if (map.listEmpty(list)) {
    const batch = Math.max(1, pcp.batch >> order);
    pcp.count += rmqueueBulk(mm, zone, order, batch, list, migratetype, allocFlags) << order;
  }
  const page = map.listFirst(list);
  if (page === undefined) return undefined;
  map.listDel(page);
  map.clear(page, PG_pcp);
  map.order[page] = 0;
  pcp.count -= 1 << order;
  return page;
}

/** rmqueue() of the allocator proper: per-CPU list where allowed, else the buddy lists. */
function takeFromZone(
  mm: Mm,
  zone: Zone,
  order: number,
  migratetype: number,
  allocFlags: number,
): Page | undefined {
  if (order <= PAGE_ALLOC_COSTLY_ORDER) {
    // v3/4: the MOVABLE per-CPU list may hold CMA pages, so who may not have those goes past it.
    if ((allocFlags & ALLOC_CMA) !== 0 || migratetype !== MIGRATE_MOVABLE) {
      const page = rmqueuePcplist(mm, zone, order, migratetype, allocFlags);
      if (page !== undefined) return page;
    }
  }
  return rmqueue(mm.memmap, zone, order, migratetype, allocFlags, boostFactor(mm, zone));
}

/** get_page_from_freelist(): the first zone of the node's list, none higher than allowed, whose watermark permits. */
function getPageFromFreelist(
  mm: Mm,
  gfp: Gfp,
  order: number,
  flags: number,
  node: PglistData,
): Page | undefined {
  const { zonelist } = node;
  const highest = gfpZone(gfp);
  const migratetype = gfpMigratetype(gfp);
  let allocFlags = flags;
  // alloc_flags_nofragment(): with a lower zone to turn to, do not mix types in this one.
  const preferred = zonelist.find((zone) => zone.index <= highest);
  if (preferred === undefined) return undefined;
  if (preferred.index === ZONE_NORMAL && hasDma32(mm, preferred)) allocFlags |= ALLOC_NOFRAGMENT;
  for (;;) {
    for (const zone of zonelist) {
      if (zone.index > highest) continue;
      if ((gfp & __GFP_THISNODE) !== 0 && zone.nodeId !== node.nodeId) break;
      // Memory that is near is worth more than pageblocks of one kind.
      if ((allocFlags & ALLOC_NOFRAGMENT) !== 0 && zone.nodeId !== preferred.nodeId) break;
      const mark = allocationMark(zone, order, allocFlags);
      if (
        (allocFlags & ALLOC_NO_WATERMARKS) === 0 &&
        !zoneWatermarkOk(mm, zone, order, mark, highest, allocFlags)
      )
        continue;
      const page = takeFromZone(mm, zone, order, migratetype, allocFlags);
      if (page !== undefined) {
        if (zone.boosted && (allocFlags & ALLOC_KSWAPD) !== 0) {
          zone.boosted = false;
          mm.nodes.at(zone.nodeId)!.kswapdWait.wakeUp();
        }
        if ((allocFlags & ALLOC_HIGHATOMIC) !== 0) reserveHighatomicPageblock(mm.memmap, zone, page);
        countAllocation(mm, zone, order);
        zoneStatistics(mm, preferred, zone);
        return page;
      }
    }
    if ((allocFlags & ALLOC_NOFRAGMENT) === 0) return undefined;
    allocFlags &= ~ALLOC_NOFRAGMENT;
  }
}

/** wmark_pages() as zone_watermark_fast() asks: urgent requests for one page need not wait for a boost. */
function allocationMark(zone: Zone, order: number, allocFlags: number): number {
  const mark = allocFlags & ALLOC_WMARK_MASK;
  const urgent = order === 0 && (allocFlags & ALLOC_MIN_RESERVE) !== 0 && mark === ALLOC_WMARK_MIN;
  return urgent ? zone.watermark[mark]! : zone.wmarkPages(mark);
}

/** alloc_flags_nofragment(): the preferred zone's own node has ZONE_DMA32 to turn to. */
function hasDma32(mm: Mm, preferred: Zone): boolean {
  return mm.nodes.at(preferred.nodeId)?.zones[0]?.index === ZONE_DMA32;
}

/** zone_statistics(): whether the memory is where it was wanted, and near to who wanted it. */
function zoneStatistics(mm: Mm, preferred: Zone, zone: Zone): void {
  if (zone.nodeId === preferred.nodeId) {
    zone.numa.numa_hit++;
  } else {
    zone.numa.numa_miss++;
    preferred.numa.numa_foreign++;
  }
  if (zone.nodeId === mm.localNode.nodeId) zone.numa.numa_local++;
  else zone.numa.numa_other++;
}

function countAllocation(mm: Mm, zone: Zone, order: number): void {
  const pages = 1 << order;
  if (zone.index === ZONE_DMA32) mm.events.pgalloc_dma32 += pages;
  else if (zone.index === ZONE_NORMAL) mm.events.pgalloc_normal += pages;
  else mm.events.pgalloc_movable += pages;
}

/** Whether the request passes its watermark at once, or in the slow path after draining. */
function findPages(mm: Mm, gfp: Gfp, order: number, node: PglistData): Page | undefined {
  if (mm.shouldFail('page_alloc')) return undefined;
  const wakes = (gfp & __GFP_KSWAPD_RECLAIM) !== 0 ? ALLOC_KSWAPD : 0;
  const fast = getPageFromFreelist(
    mm,
    gfp,
    order,
    gfpToAllocFlagsCma(mm, gfp, ALLOC_WMARK_LOW | wakes),
    node,
  );
  if (fast !== undefined) return fast;
  if ((gfp & __GFP_KSWAPD_RECLAIM) !== 0) {
    wakeAllKswapds(node, gfpZone(gfp), order, mm.nodes, !gfpAllowsBlocking(gfp));
  }
  let slow = ALLOC_WMARK_MIN | wakes;
  if ((gfp & __GFP_HIGH) !== 0) slow |= ALLOC_MIN_RESERVE;
  if ((gfp & (__GFP_DIRECT_RECLAIM | __GFP_NOMEMALLOC)) === 0) {
    slow |= order > 0 ? ALLOC_NON_BLOCK | ALLOC_HIGHATOMIC : ALLOC_NON_BLOCK;
  }
  if (mm.contexts.current.memalloc) slow |= ALLOC_NO_WATERMARKS;
  slow = gfpToAllocFlagsCma(mm, gfp, slow);
  const page = getPageFromFreelist(mm, gfp, order, slow, node);
  if (page !== undefined || !gfpAllowsBlocking(gfp)) return page;
  mm.events.allocstall++;
  unreserveHighatomic(mm, gfp, node, false);
  drainAllPages(mm);
  const last = getPageFromFreelist(mm, gfp, order, slow, node);
  if (last === undefined) noteFailure(mm, gfp);
  return last;
}

/** wake_all_kswapds(): of every node that the request could be served from. */
function wakeAllKswapds(
  { zonelist }: PglistData,
  highest: number,
  order: number,
  nodes: NodeTable,
  compact: boolean,
): void {
  let last: PglistData | undefined;
  for (const zone of zonelist) {
    if (zone.index > highest || zone.nodeId === last?.nodeId) continue;
    last = nodes.at(zone.nodeId)!;
    last.kswapdOrder = Math.max(last.kswapdOrder, order);
    last.kswapdWait.wakeUp();
    // wakeup_kswapd(): who cannot compact itself leaves that to kcompactd.
    if (compact) wakeupKcompactd(last, order);
  }
}

/** unreserve_highatomic_pageblock(): reserves that others need more. */
function unreserveHighatomic(mm: Mm, gfp: Gfp, { zonelist }: PglistData, force: boolean): boolean {
  const highest = gfpZone(gfp);
  return zonelist.some(
    (zone) =>
      zone.index <= highest && unreserveHighatomicPageblock(mm.memmap, zone, gfpMigratetype(gfp), force),
  );
}

function noteFailure(mm: Mm, gfp: Gfp): void {
  if (gfpMigratetype(gfp) === MIGRATE_MOVABLE) return;
  if (mm.zones.some((zone) => zone.freeCmaPages > 0)) mm.metrics.unmovableFailedWithFreeTagStorage++;
}

/** Rounds of direct reclaim without success before memory is said to be out (MAX_RECLAIM_RETRIES). */
const MAX_RECLAIM_RETRIES = 4;

/**
 * __alloc_pages_direct_compact() and _reclaim(), as long as reclaim frees anything: what it frees may go to others,
 * or may not lift the zone above its watermark yet (should_reclaim_retry()). Large blocks do not get that much.
 */
function* reclaimAndRetry(mm: Mm, gfp: Gfp, order: number, node: PglistData): MaySleep<Page | undefined> {
  for (let idle = 0; idle < MAX_RECLAIM_RETRIES; ) {
    if (yield* tryToCompactPages(mm, gfp, order, gfpZone(gfp), node)) {
      const page = findPages(mm, gfp, order, node);
      if (page !== undefined) return page;
    }
    const freed = yield* tryToFreePages(mm, gfp, gfpZone(gfp), node);
    if (freed === 0 && !unreserveHighatomic(mm, gfp, node, true)) return undefined;
    drainAllPages(mm);
    const page = findPages(mm, gfp, order, node);
    if (page !== undefined) return page;
    if ((gfp & __GFP_NORETRY) !== 0 || mm.contexts.current.fatalSignalPending) return undefined;
    idle = freed > 0 && order <= PAGE_ALLOC_COSTLY_ORDER ? 0 : idle + 1;
  }
  return undefined;
}

/** check_new_pages(): a page that is still in use must not be handed out. */
function checkNewPage(mm: Mm, page: Page): void {
  const map = mm.memmap;
  const bad = map.flags[page]! & (PAGE_FLAGS_CHECK_AT_PREP | PG_reserved);
  if (bad !== 0 || map.refcount[page] !== 0 || map.mapcount[page] !== 0) {
    throw new KernelBug(
      'bug',
      `bad page state: pfn 0x${map.pageToPfn(page).toString(16)} flags 0x${bad.toString(16)} ` +
        `refcount ${map.refcount[page]} mapcount ${map.mapcount[page]}`,
    );
  }
}

/** First half of post_alloc_hook(): what must precede the architecture's hook. */
function postAllocBegin(mm: Mm, page: Page, order: number): void {
  for (let i = 0; i < 1 << order; i++) checkNewPage(mm, (page + i) as Page);
  mm.memmap.private[page] = 0;
  mm.memmap.refcount[page] = 1;
}

/** Second half of post_alloc_hook(): zeroing, and the compound structure. */
function postAllocEnd(mm: Mm, page: Page, order: number, gfp: Gfp): void {
  const init = (gfp & __GFP_ZERO) !== 0;
  if (init && (gfp & __GFP_TAGGED) !== 0) {
    for (let i = 0; i < 1 << order; i++) mm.hooks.tagClearHighpage((page + i) as Page);
  } else if (init && (gfp & __GFP_SKIP_ZERO) === 0) {
    mm.port.fill(mm.pageToPa(page), mm.pageSize * (1 << order), 0);
  }
  if (order > 0 && (gfp & __GFP_COMP) !== 0) prepCompoundPage(mm, page, order);
}

function prepCompoundPage(mm: Mm, page: Page, order: number): void {
  const map = mm.memmap;
  map.set(page, PG_head);
  map.order[page] = order;
  for (let i = 1; i < 1 << order; i++) {
    map.compoundHead[page + i] = page + 1;
    map.private[page + i] = 0;
  }
}

/**
 * alloc_pages(): 2^order pages, refcount 1.
 *
 * @param node whose memory is preferred (alloc_pages_node()): the running CPU's, if left out.
 * @returns the first page, or undefined where memory is short.
 */
export function* allocPages(
  mm: Mm,
  gfp: Gfp,
  order: number,
  node: PglistData = mm.localNode,
): MaySleep<Page | undefined> {
  for (;;) {
    const page = yield* tryAllocPages(mm, gfp, order, node);
    if (page !== undefined || !(yield* mayOom(mm, gfp, order))) return page;
  }
}

/** __alloc_pages_may_oom(): not for those that have a way out, nor for who frees memory itself. */
function* mayOom(mm: Mm, gfp: Gfp, order: number): MaySleep<boolean> {
  if (mm.oomKiller === undefined || order > PAGE_ALLOC_COSTLY_ORDER) return false;
  if ((gfp & __GFP_DIRECT_RECLAIM) === 0 || (gfp & __GFP_FS) === 0) return false;
  if ((gfp & (__GFP_NORETRY | __GFP_RETRY_MAYFAIL | __GFP_THISNODE)) !== 0) return false;
  if (mm.contexts.current.memalloc) return false;
  return yield* mm.oomKiller({ gfp, order });
}

function* tryAllocPages(mm: Mm, gfp: Gfp, order: number, node: PglistData): MaySleep<Page | undefined> {
  if (gfpAllowsBlocking(gfp)) mm.contexts.mightSleep('alloc_pages');
  // Held until another was found, so that the same page does not come back at once.
  const refused: Page[] = [];
  let page: Page | undefined;
  for (;;) {
    page = findPages(mm, gfp, order, node);
    if (page === undefined && gfpAllowsBlocking(gfp)) page = yield* reclaimAndRetry(mm, gfp, order, node);
    if (page === undefined) break;
    postAllocBegin(mm, page, order);
    if ((gfp & __GFP_TAGGED) === 0 || (yield* mm.hooks.archAllocPage(page, order, gfp))) break;
    refused.push(page);
  }
  for (const other of refused) yield* freePages(mm, other, order);
  if (page !== undefined) postAllocEnd(mm, page, order, gfp);
  return page;
}

/** alloc_pages() for callers that must not sleep. */
export function* allocPagesAtomic(mm: Mm, gfp: Gfp, order: number): Atomic<Page | undefined> {
  const page = findPages(mm, gfp & ~__GFP_DIRECT_RECLAIM, order, mm.localNode);
  if (page === undefined) return undefined;
  postAllocBegin(mm, page, order);
  if ((gfp & __GFP_TAGGED) !== 0 && !(yield* mm.hooks.archAllocPageAtomic(page, order, gfp))) {
    yield* freePages(mm, page, order);
    return undefined;
  }
  postAllocEnd(mm, page, order, gfp);
  return page;
}

/** post_alloc_hook() for pages that isolation took off the buddy lists: no zeroing, no tags asked for. */
export function postAllocIsolated(mm: Mm, page: Page): void {
  postAllocBegin(mm, page, 0);
}

/** Second half of free_pages_prepare(): flags, mapping and compound structure go. */
function freePagesPrepared(mm: Mm, page: Page, order: number): void {
  const map = mm.memmap;
  if (
    map.refcount[page] !== 0 ||
    map.mapcount[page] !== 0 ||
    map.test(page, PG_buddy | PG_reserved | PG_pcp)
  ) {
    throw new KernelBug(
      'bug',
      `bad page freed: pfn 0x${map.pageToPfn(page).toString(16)} flags 0x${map.flags[page]!.toString(16)} ` +
        `refcount ${map.refcount[page]} mapcount ${map.mapcount[page]}`,
    );
  }
  if (order > 0) mm.pageNode(page).deferredSplit.delete(page);
  for (let i = 0; i < 1 << order; i++) {
    const at = page + i;
    if (map.mapcount[at] !== 0) {
      throw new KernelBug('bug', `a mapped page is freed: pfn 0x${map.pageToPfn(at as Page).toString(16)}`);
    }
    map.flags[at] = map.flags[at]! & ~PAGE_FLAGS_CHECK_AT_PREP;
    map.compoundHead[at] = 0;
    map.mapping[at] = 0;
  }
  map.order[page] = 0;
  mm.events.pgfree += 1 << order;
}

/**
 * free_unref_page(): the last reference is gone. free_pages_prepare() shows the page to the architecture
 * while its flags are there (v3/2), then it goes to the per-CPU list or straight to the buddy.
 */
export function* freeUnrefPage(mm: Mm, page: Page, order: number): Atomic<void> {
  if (mm.contexts.racing) yield FREE_PREPARE;
  if (mm.hooks.archNeedsFreePrepare(page)) yield* mm.hooks.archFreePagesPrepare(page, order);
  freePagesPrepared(mm, page, order);
  freeUnrefPageCommit(mm, page, order);
}

function freeUnrefPageCommit(mm: Mm, page: Page, order: number): void {
  const map = mm.memmap;
  const zone = mm.pageZone(page);
  let migratetype = map.pageblockMigratetype(page);
  if (migratetype === MIGRATE_ISOLATE || order > PAGE_ALLOC_COSTLY_ORDER) {
    // Where pageblocks are smaller than the block, each part has a type of its own.
    const size = Math.min(order, map.pageblockOrder);
    for (let at = page; at < page + (1 << order); at = (at + (1 << size)) as Page) {
      freeOnePage(map, zone, at, size, map.pageblockMigratetype(at));
    }
    return;
  }
  if (migratetype >= MIGRATE_PCPTYPES) migratetype = MIGRATE_MOVABLE;
  const pcp = zone.pcp[mm.contexts.current.cpu]!;
  map.set(page, PG_pcp);
  map.order[page] = order;
  map.listAdd(page, pcp.lists[order * MIGRATE_PCPTYPES + migratetype]!);
  pcp.count += 1 << order;
  if (pcp.count >= pcp.high) freePcppagesBulk(mm, zone, mm.contexts.current.cpu, pcp.batch);
}

/** free_pcppages_bulk(): gives `count` pages back to the buddy, oldest first, list after list. */
function freePcppagesBulk(mm: Mm, zone: Zone, cpu: number, count: number): void {
  const map = mm.memmap;
  const pcp = zone.pcp[cpu]!;
  let left = Math.min(count, pcp.count);
  while (left > 0) {
    for (let i = 0; i < pcp.lists.length && left > 0; i++) {
      const page = map.listLast(pcp.lists[i]!);
      if (page === undefined) continue;
      const order = map.order[page]!;
      map.listDel(page);
      map.clear(page, PG_pcp);
      map.order[page] = 0;
      pcp.count -= 1 << order;
      left -= 1 << order;
      freeOnePage(map, zone, page, order, map.pageblockMigratetype(page));
    }
  }
}

/** drain_all_pages(): every CPU empties its lists of `zone`, or of all zones. */
export function drainAllPages(mm: Mm, only?: Zone): void {
  mm.metrics.pcpDrains++;
  for (const zone of mm.zones) {
    if (only !== undefined && zone !== only) continue;
    for (let cpu = 0; cpu < zone.pcp.length; cpu++) freePcppagesBulk(mm, zone, cpu, zone.pcp[cpu]!.count);
  }
}

/** put_page_testzero(). */
export function putPageTestzero(mm: Mm, page: Page): boolean {
  const left = --mm.memmap.refcount[mm.memmap.head(page)]!;
  if (left < 0)
    throw new KernelBug('bug', `refcount of pfn 0x${mm.memmap.pageToPfn(page).toString(16)} below 0`);
  return left === 0;
}

/** get_page(): of a tail page, its folio's reference. */
export function getPage(mm: Mm, page: Page): void {
  mm.memmap.refcount[mm.memmap.head(page)]!++;
}

/** __free_pages(): drops the caller's reference of pages that never were on an LRU list. */
export function* freePages(mm: Mm, page: Page, order: number): Atomic<void> {
  if (putPageTestzero(mm, page)) yield* freeUnrefPage(mm, page, order);
}

/** split_page(): 2^order pages allocated as one become single pages with a reference each. */
export function splitPage(mm: Mm, page: Page, order: number): void {
  for (let i = 1; i < 1 << order; i++) mm.memmap.refcount[page + i] = 1;
}

/** free_contig_range(): pages with one reference each. */
export function* freeContigRange(mm: Mm, page: Page, count: number): Atomic<void> {
  for (let i = 0; i < count; i++) yield* freePages(mm, (page + i) as Page, 0);
}

/** __free_pages_core(): boot hands memory over, or CMA activates a pageblock. */
export function freePagesCore(mm: Mm, page: Page, order: number): void {
  const map = mm.memmap;
  for (let i = 0; i < 1 << order; i++) {
    map.flags[page + i] = map.flags[page + i]! & ~PG_reserved;
    map.refcount[page + i] = 0;
  }
  const zone = mm.pageZone(page);
  zone.managedPages += 1 << order;
  freeOnePage(map, zone, page, order, map.pageblockMigratetype(page));
}
