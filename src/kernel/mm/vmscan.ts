/**
 * Reclaim: pages that were not used lately make room (mm/vmscan.c).
 *
 * Two lists each for anonymous pages (files of RAM among them) and for pages of files. The inactive list is
 * taken from its end: a page that was referenced goes back, or up; anonymous contents go to swap, tags with
 * them; what can be read again is dropped. It runs in whoever needs the memory (direct reclaim), and in
 * kswapd between the low and the high watermark.
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { sleepPoint } from '../contexts/index.js';
import { wakeupKcompactd } from './compaction.js';
import type { Inode } from './filemap.js';
import { inodeOf, removeFromPageCache } from './filemap.js';
import { folioMapcount, isLarge } from './folio.js';
import { folioTrylock, folioUnlock } from './folio-lock.js';
import type { Gfp } from './gfp.js';
import { gfpMigratetype } from './gfp.js';
import { maybeDmaPinned } from './gup.js';
import { folioIsolateLru, folioPutbackLru, lruAddDrainAll, putPage } from './lru.js';
import type { Page } from './memmap.js';
import { MIGRATE_CMA, MIGRATE_MOVABLE } from './migratetype.js';
import type { Mm } from './mm.js';
import type { PglistData } from './node.js';
import { LRU_ACTIVE_ANON, LRU_ACTIVE_FILE, LRU_INACTIVE_ANON, LRU_INACTIVE_FILE } from './node.js';
import {
  PG_active,
  PG_dirty,
  PG_isolated,
  PG_mlocked,
  PG_referenced,
  PG_swapcache,
  PG_writeback,
} from './page-flags.js';
import { folioReferenced, isAnonPage, tryToUnmap } from './rmap.js';
import {
  inactiveIsLow,
  isActiveLru,
  isFileLru,
  lruNoteCost,
  type ScanBalance,
  SWAP_CLUSTER_MAX,
  scanBalance,
} from './scan-balance.js';
import { moveToSwap } from './shmem-swap.js';
import { deferredSplitScan, splitFolio } from './split-folio.js';
import { addToSwap, deleteFromSwapCache, swapWritepage } from './swap.js';
import { finishWriteback, startWriteback } from './writeback.js';
import { WMARK_HIGH, WMARK_LOW, type Zone } from './zone.js';

/** DEF_PRIORITY: the first rounds look at a 1/4096th of a list, the last at all of it. */
const DEF_PRIORITY = 12;

/** What a scan_control begins with. */
const FRESH = {
  maySwap: true,
  priority: DEF_PRIORITY,
  forceDeactivate: false,
  skippedDeactivate: false,
  reclaimed: 0,
  written: 0,
};

const COND_RESCHED = sleepPoint('cond_resched');

interface ScanControl {
  readonly gfp: Gfp;
  /** Highest zone whose pages are of use. */
  readonly highestZone: number;
  /** skip_cma: the request could not be served from pages of CMA areas. */
  readonly skipCma: boolean;
  readonly kswapd: boolean;
  maySwap: boolean;
  /** A round looks at a 2^-priority-th of each list. */
  priority: number;
  forceDeactivate: boolean;
  /** Some active list was spared, for there are inactive pages enough. */
  skippedDeactivate: boolean;
  reclaimed: number;
  /** nr_pageout: pages written, to the swap device or to their file. */
  written: number;
  /** Somebody who knows says that these pages are not needed. */
  readonly ignoreReferences?: boolean;
}

/** Is there anything that reclaim could work with? */
const canReclaim = (mm: Mm): boolean =>
  mm.swap !== undefined ||
  mm.nodes.online.some(({ deferredSplit }) => deferredSplit.size > 0) ||
  mm.globalLruSize(LRU_INACTIVE_FILE) + mm.globalLruSize(LRU_ACTIVE_FILE) > 0;

/** isolate_lru_folios(): up to a cluster from the end of a list. */
function isolateLruFolios(
  mm: Mm,
  node: PglistData,
  list: number,
  most: number,
  control: ScanControl,
): Page[] {
  const { memmap: map } = mm;
  const taken: Page[] = [];
  const head = node.lruvec.lists[list]!;
  let scanned = 0;
  for (let at = map.prev[head]!; at !== head && taken.length < most && scanned < most * 4; scanned++) {
    const page = at as Page;
    at = map.prev[at]!;
    if (map.zoneOf(page) > control.highestZone) continue;
    if (control.skipCma && map.pageblockMigratetype(page) === MIGRATE_CMA) continue;
    if (folioIsolateLru(mm, page)) taken.push(page);
  }
  if (control.kswapd) mm.events.pgscan_kswapd += scanned;
  else mm.events.pgscan_direct += scanned;
  return taken;
}

/** shrink_active_list(): the oldest active pages become inactive; the next look decides. */
function* shrinkActiveList(
  mm: Mm,
  node: PglistData,
  list: number,
  most: number,
  control: ScanControl,
): MaySleep<void> {
  for (const page of isolateLruFolios(mm, node, list, most, control)) {
    mm.memmap.clear(page, PG_active);
    mm.events.pgdeactivate++;
    yield* folioPutbackLru(mm, page);
  }
  yield* lruAddDrainAll(mm);
}

/** shrink_folio_list() of one isolated page: true if it was freed. Consumes the isolation where it was. */
function* shrinkFolio(mm: Mm, page: Page, control: ScanControl): MaySleep<boolean> {
  const { memmap: map } = mm;
  if (!folioTrylock(mm, page)) return false;
  const freed = yield* shrinkLocked(mm, page, control);
  folioUnlock(mm, page);
  if (!freed) return false;
  map.clear(page, PG_isolated);
  mm.nodeStats(page).nr_isolated_anon--;
  if (control.kswapd) mm.events.pgsteal_kswapd++;
  else mm.events.pgsteal_direct++;
  yield* putPage(mm, page);
  return true;
}

function* shrinkLocked(mm: Mm, page: Page, control: ScanControl): MaySleep<boolean> {
  const { memmap: map } = mm;
  if (map.test(page, PG_writeback) || map.test(page, PG_mlocked)) return false;
  // Somebody reads and writes it behind the kernel's back: its contents cannot be taken anywhere.
  if (maybeDmaPinned(mm, page)) return false;
  // folio_check_references(): used once since the last look, it is looked at again; used again, it goes up.
  const looks = control.ignoreReferences !== true && folioMapcount(mm, page) > 0;
  const references = looks ? yield* folioReferenced(mm, page) : 0;
  if (references > 0) {
    if (references > 1 || map.test(page, PG_referenced)) {
      map.set(page, PG_active);
      mm.events.pgactivate++;
    }
    map.set(page, PG_referenced);
    return false;
  }
  map.clear(page, PG_referenced);
  // The swap device takes single pages: the others follow when their turn comes.
  if (isLarge(mm, page)) {
    if ((mm.swap?.freeSlots ?? 0) === 0 || (yield* splitFolio(mm, page)) !== 0) return false;
  }
  const inode = inodeOf(mm, page);
  const anon = isAnonPage(mm, page) || map.test(page, PG_swapcache);
  if (!anon && !inode) return false;
  // Unmapped and only held by somebody's reference: nobody will ever ask for its contents.
  if (isAnonPage(mm, page) && !map.test(page, PG_swapcache) && map.mapcount[page] === 0) return false;
  if (isAnonPage(mm, page) && !map.test(page, PG_swapcache) && !(yield* addToSwap(mm, page))) return false;
  if (map.mapcount[page]! > 0) yield* tryToUnmap(mm, page);
  if (map.mapcount[page]! > 0) return false;
  if (inode?.isShmem === true) {
    if (map.refcount[page]! !== 2 || !(yield* moveToSwap(mm, inode, page))) return false;
  }
  if (map.test(page, PG_swapcache)) {
    if (map.test(page, PG_dirty)) {
      control.written++;
      if ((yield* swapWritepage(mm, page)) !== 0) return false;
    }
    return yield* removeMapping(mm, page);
  }
  // Pages of a file that can be read again, once they are as the file has them.
  if (inode === undefined) return false;
  if (map.test(page, PG_dirty)) {
    control.written++;
    if (!(yield* pageout(mm, inode, page))) return false;
  }
  if (map.refcount[page] !== 2 || map.test(page, PG_dirty)) return false;
  const { cleanPages } = mm.hooks;
  if (cleanPages !== undefined) yield* cleanPages.put(inode, map.index[page]!, page);
  yield* removeFromPageCache(mm, inode, page);
  return true;
}

/**
 * pageout(): writes a locked page of a file back. Direct reclaim does so itself too, as it did before there were
 * flushers to leave it to, so that progress needs nobody else.
 */
function* pageout(mm: Mm, inode: Inode, page: Page): MaySleep<boolean> {
  if (mm.memmap.refcount[page] !== 2 || !(yield* startWriteback(mm, inode, page))) return false;
  return (yield* finishWriteback(mm, inode, page)) === 0;
}

/** __remove_mapping(): only the isolation and the cache hold the page, and it was not written to meanwhile. */
function* removeMapping(mm: Mm, page: Page): Atomic<boolean> {
  const { memmap: map } = mm;
  if (map.refcount[page] !== 2 || map.test(page, PG_dirty)) return false;
  yield* deleteFromSwapCache(mm, page);
  return true;
}

/** shrink_inactive_list(): looks at up to `most` pages. */
function* shrinkInactiveList(
  mm: Mm,
  node: PglistData,
  list: number,
  most: number,
  control: ScanControl,
): MaySleep<void> {
  const pages = isolateLruFolios(mm, node, list, most, control);
  const before = control.written;
  let inVain = 0;
  for (const page of pages) {
    if (yield* shrinkFolio(mm, page, control)) {
      control.reclaimed++;
    } else {
      inVain++;
      yield* folioPutbackLru(mm, page);
    }
  }
  lruNoteCost(node, isFileLru(list), control.written - before, inVain);
  yield* lruAddDrainAll(mm);
}

/** shrink_list(). */
function* shrinkList(
  mm: Mm,
  node: PglistData,
  list: number,
  most: number,
  control: ScanControl,
  balance: ScanBalance,
): MaySleep<void> {
  if (!isActiveLru(list)) yield* shrinkInactiveList(mm, node, list, most, control);
  else if (isFileLru(list) ? balance.deactivateFile : balance.deactivateAnon)
    yield* shrinkActiveList(mm, node, list, most, control);
  else control.skippedDeactivate = true;
}

/**
 * Enough is freed: the kind of which less is left is left alone, and of the other as large a part is looked at yet as
 * was of the first, so that the balance holds.
 */
function keepProportion(left: number[], targets: readonly number[]): void {
  const anon = left[LRU_INACTIVE_ANON]! + left[LRU_ACTIVE_ANON]!;
  const file = left[LRU_INACTIVE_FILE]! + left[LRU_ACTIVE_FILE]!;
  const [smaller, larger] =
    file > anon ? [LRU_INACTIVE_ANON, LRU_INACTIVE_FILE] : [LRU_INACTIVE_FILE, LRU_INACTIVE_ANON];
  const wanted = targets[smaller]! + targets[smaller + 1]! + 1;
  const percentage = Math.floor((Math.min(anon, file) * 100) / wanted);
  for (const i of [0, 1]) {
    const scanned = targets[larger + i]! - left[larger + i]!;
    left[smaller + i] = 0;
    const rest = Math.floor((targets[larger + i]! * (100 - percentage)) / 100);
    left[larger + i] = rest - Math.min(rest, scanned);
  }
}

/** shrink_lruvec(): a cluster of each list in turn, as many as scanBalance() says. */
function* shrinkLruvec(mm: Mm, node: PglistData, control: ScanControl): MaySleep<void> {
  const balance = scanBalance(mm, node, control);
  const left = [...balance.targets];
  const before = control.reclaimed;
  const proportional = !control.kswapd && control.priority === DEF_PRIORITY;
  let adjusted = false;
  while (left[LRU_INACTIVE_ANON]! > 0 || left[LRU_ACTIVE_FILE]! > 0 || left[LRU_INACTIVE_FILE]! > 0) {
    for (const list of left.keys()) {
      const most = Math.min(left[list]!, SWAP_CLUSTER_MAX);
      if (most === 0) continue;
      left[list]! -= most;
      yield* shrinkList(mm, node, list, most, control, balance);
    }
    yield COND_RESCHED;
    if (control.reclaimed - before < SWAP_CLUSTER_MAX || proportional || adjusted) continue;
    const anon = left[LRU_INACTIVE_ANON]! + left[LRU_ACTIVE_ANON]!;
    const file = left[LRU_INACTIVE_FILE]! + left[LRU_ACTIVE_FILE]!;
    if (anon === 0 || file === 0) break;
    keepProportion(left, balance.targets);
    adjusted = true;
  }
  // Anonymous pages age though none may be taken now.
  if (mm.swap !== undefined && inactiveIsLow(mm, node, LRU_INACTIVE_ANON))
    yield* shrinkActiveList(mm, node, LRU_ACTIVE_ANON, SWAP_CLUSTER_MAX, control);
}

/** shrink_node(): one round over the lists of a node. */
function* shrinkNode(mm: Mm, node: PglistData, control: ScanControl): MaySleep<void> {
  yield* lruAddDrainAll(mm);
  control.reclaimed += yield* deferredSplitScan(mm, node);
  yield* shrinkLruvec(mm, node, control);
}

/** do_try_to_free_pages(): harder and harder, until a cluster is freed. */
function* shrinkZones(mm: Mm, control: ScanControl, zonelist: readonly Zone[]): MaySleep<void> {
  for (let priority = DEF_PRIORITY; priority >= 0 && control.reclaimed < SWAP_CLUSTER_MAX; priority--) {
    if (mm.contexts.current.fatalSignalPending) break;
    control.priority = priority;
    // shrink_zones().
    let last = -1;
    for (const zone of zonelist) {
      if (zone.index > control.highestZone || zone.nodeId === last) continue;
      last = zone.nodeId;
      yield* shrinkNode(mm, mm.nodes.at(last)!, control);
    }
    yield COND_RESCHED;
  }
}

/**
 * try_to_free_pages(): direct reclaim for a request, from every node that could serve it.
 *
 * @param node that the request prefers.
 * @returns pages freed.
 */
export function* tryToFreePages(
  mm: Mm,
  gfp: Gfp,
  highestZone: number,
  { zonelist }: PglistData = mm.localNode,
): MaySleep<number> {
  const task = mm.contexts.current;
  if (!canReclaim(mm) || task.memalloc) return 0;
  const useCma = gfpMigratetype(gfp) === MIGRATE_MOVABLE && mm.hooks.archAllocCma(gfp);
  const control: ScanControl = {
    gfp,
    highestZone,
    skipCma: !useCma,
    kswapd: false,
    ...FRESH,
  };
  task.memalloc = true;
  yield* shrinkZones(mm, control, zonelist);
  // Active pages were spared, and it was of no use.
  if (control.reclaimed === 0 && control.skippedDeactivate && !task.fatalSignalPending) {
    control.forceDeactivate = true;
    yield* shrinkZones(mm, control, zonelist);
  }
  task.memalloc = false;
  return control.reclaimed;
}

/**
 * reclaim_pages(): takes isolated pages out of memory that nobody needs soon, used a moment ago or not; those that
 * cannot go are put back.
 *
 * @returns pages freed.
 */
export function* reclaimPages(mm: Mm, pages: readonly Page[]): MaySleep<number> {
  const task = mm.contexts.current;
  const before = task.memalloc;
  const control: ScanControl = {
    gfp: 0,
    highestZone: 2,
    skipCma: false,
    kswapd: false,
    ...FRESH,
    ignoreReferences: true,
  };
  task.memalloc = true;
  for (const page of pages) {
    if (yield* shrinkFolio(mm, page, control)) control.reclaimed++;
    else yield* folioPutbackLru(mm, page);
  }
  task.memalloc = before;
  return control.reclaimed;
}

const balanced = ({ zones }: PglistData, mark: number): boolean =>
  zones.every((zone) => zone.freePages > zone.wmarkPages(mark));

const isBoosted = ({ zones }: PglistData): boolean => zones.some((zone) => zone.watermarkBoost > 0);

/**
 * balance_pgdat(): until every zone of the node is above its high watermark, or nothing more can be freed. Where
 * watermarks are boosted and memory is not short, as many pages are freed as were boosted, without swapping or writing
 * much; the boost ends with it.
 */
export function* balancePgdat(mm: Mm, node: PglistData): MaySleep<void> {
  const task = mm.contexts.current;
  const boosts = node.zones.map((zone) => zone.watermarkBoost);
  const boosted = boosts.reduce((sum, boost) => sum + boost, 0);
  let boostReclaim = boosted;
  const control: ScanControl = {
    gfp: 0,
    highestZone: 2,
    skipCma: false,
    kswapd: true,
    ...FRESH,
  };
  task.memalloc = true;
  mm.events.pageoutrun++;
  for (let idle = 0; canReclaim(mm) && idle < DEF_PRIORITY; ) {
    const enough = balanced(node, WMARK_HIGH);
    // Memory is short as it is: that comes first.
    if (!enough) boostReclaim = 0;
    if (enough && boostReclaim === 0) break;
    control.reclaimed = 0;
    control.maySwap = boostReclaim === 0;
    control.priority = DEF_PRIORITY - 1 - idle;
    // Not worth looking hard for.
    if (boostReclaim > 0 && control.priority < DEF_PRIORITY - 2) break;
    yield* shrinkNode(mm, node, control);
    idle = control.reclaimed === 0 ? idle + 1 : 0;
    const wasBoost = boostReclaim > 0;
    boostReclaim -= Math.min(boostReclaim, control.reclaimed);
    if (wasBoost && boostReclaim === 0) break;
    yield COND_RESCHED;
  }
  task.memalloc = false;
  if (boosted === 0) return;
  for (const [i, zone] of node.zones.entries()) {
    zone.watermarkBoost -= Math.min(zone.watermarkBoost, boosts[i]!);
  }
  wakeupKcompactd(node, mm.memmap.pageblockOrder);
}

/** kswapd() of a node: for a scheduler to run beside the others; ends when `stopped` says so. */
export function* kswapd(mm: Mm, node: PglistData, stopped: () => boolean): MaySleep<void> {
  node.hasKswapd = true;
  let seen = -1;
  while (!stopped()) {
    // kswapd_failures: where nothing could be freed, it sleeps until somebody asks again.
    yield* node.kswapdWait.waitEvent(
      () =>
        stopped() || (node.kswapdWait.wakeups !== seen && (!balanced(node, WMARK_LOW) || isBoosted(node))),
    );
    yield* balancePgdat(mm, node);
    // kswapd_try_to_sleep(): what it freed may lie anywhere.
    wakeupKcompactd(node, node.kswapdOrder);
    node.kswapdOrder = 0;
    seen = node.kswapdWait.wakeups;
    yield COND_RESCHED;
  }
}
