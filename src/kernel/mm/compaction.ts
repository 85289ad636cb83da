/**
 * Compaction: free memory is brought together by moving pages in use (mm/compaction.c).
 *
 * Two scanners walk a zone towards each other: one from the bottom for pages that can be moved, one from
 * the top for free ones to move them to. Destinations are taken straight off the free lists, also of CMA
 * pageblocks, and nobody is asked whether the contents may lie there: a tagged page can end up without
 * its block, or in tag storage itself (v1 filtered this, v3 does not). The set-PTE hook and the stash make
 * that safe.
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { ENOMEM, sleepPoint } from '../contexts/index.js';
import { delPageFromFreeList, modZoneFreepageState } from './buddy.js';
import type { Gfp } from './gfp.js';
import { __GFP_IO } from './gfp.js';
import { folioIsolateLru, folioPutbackLru, lruAddDrainAll, putPage } from './lru.js';
import type { Page } from './memmap.js';
import { migratePages } from './migrate.js';
import {
  MIGRATE_CMA,
  MIGRATE_ISOLATE,
  MIGRATE_MOVABLE,
  MIGRATE_PCPTYPES,
  PAGE_ALLOC_COSTLY_ORDER,
} from './migratetype.js';
import type { Mm } from './mm.js';
import type { PglistData } from './node.js';
import { drainAllPages, postAllocIsolated } from './page-alloc.js';
import { PG_buddy, PG_head, PG_lru, PG_swapcache } from './page-flags.js';
import { isAnonPage } from './rmap.js';
import type { Zone } from './zone.js';
import { WMARK_LOW, WMARK_MIN } from './zone.js';

const COMPACT_CLUSTER_MAX = 32;
/** COMPACT_MAX_DEFER_SHIFT: after repeated failure only every 64th request tries again. */
const MAX_DEFER_SHIFT = 6;

const COND_RESCHED = sleepPoint('cond_resched');

/** struct compact_control: both scanners' places, as memmap indices. */
interface CompactControl {
  readonly zone: Zone;
  /** -1 for the whole zone. */
  readonly order: number;
  readonly proactive: boolean;
  readonly daemon: boolean;
  migrateAt: number;
  /** Exclusive: pages from here up were looked at. */
  freeAt: number;
  readonly free: Page[];
}

/**
 * Is there a free block of the order, of a type that an ordinary request can use? Of order -1, which stands for all
 * there is to gain, only when the zone is fragmented no more than proactive compaction wants.
 */
function isDone(mm: Mm, { zone, order, proactive }: CompactControl): boolean {
  if (order < 0) return proactive && fragmentationScoreZone(mm, zone) <= fragmentationScoreWmark(mm, true);
  return hasBlock(mm, zone, order);
}

function hasBlock(mm: Mm, zone: Zone, order: number): boolean {
  for (let o = order; o < zone.nrFree.length; o++) {
    if (zone.nrFree[o] === 0) continue;
    for (let type = 0; type < MIGRATE_PCPTYPES; type++) {
      if (!mm.memmap.listEmpty(zone.freeList(o, type))) return true;
    }
  }
  return false;
}

/** extfrag_for_order(): the share of free memory, in percent, that is in blocks too small for the order. */
function extfragForOrder(zone: Zone, order: number): number {
  let free = 0;
  let suitable = 0;
  for (const [o, blocks] of zone.nrFree.entries()) {
    free += blocks << o;
    if (o >= order) suitable += blocks << o;
  }
  return free === 0 ? 0 : Math.floor(((free - suitable) * 100) / free);
}

/** fragmentation_score_zone(). */
const fragmentationScoreZone = (mm: Mm, zone: Zone): number => extfragForOrder(zone, mm.layout.pmdOrder);

/** fragmentation_score_node(): zones by their share of it. */
function fragmentationScoreNode(mm: Mm, node: PglistData): number {
  const whole = node.presentPages + 1;
  return node.zones.reduce(
    (sum, zone) => sum + Math.floor((zone.presentPages * fragmentationScoreZone(mm, zone)) / whole),
    0,
  );
}

/** fragmentation_score_wmark(): above the high one it begins, at the low one it ends. */
function fragmentationScoreWmark(mm: Mm, low: boolean): number {
  const mark = Math.max(100 - mm.sysctl.compactionProactiveness[0]!, 5);
  return low ? mark : Math.min(mark + 10, 100);
}

/**
 * fragmentation_index(): why a block of the order cannot be had, from 0 (too little is free) to 1000 (it is in pieces);
 * -1000 where one can.
 */
function fragmentationIndex(zone: Zone, order: number): number {
  let free = 0;
  let blocks = 0;
  let suitable = 0;
  for (const [o, count] of zone.nrFree.entries()) {
    blocks += count;
    free += count << o;
    if (o >= order) suitable += count;
  }
  if (blocks === 0) return 0;
  if (suitable > 0) return -1000;
  return 1000 - Math.floor((1000 + Math.floor((free * 1000) / (1 << order))) / blocks);
}

/** compaction_suitable(): enough is free for copies to be made, so only its shape is wrong. */
function isSuitable(mm: Mm, zone: Zone, order: number): boolean {
  if (zone.freePages - zone.freeCmaPages <= zone.wmarkPages(WMARK_LOW) + (2 << order)) return false;
  if (order <= PAGE_ALLOC_COSTLY_ORDER) return true;
  const index = fragmentationIndex(zone, order);
  return index < 0 || index > mm.sysctl.extfragThreshold[0]!;
}

/** isolate_migratepages(): the next pages from below that can be moved. */
function isolateMigratepages(mm: Mm, control: CompactControl): Page[] {
  const { memmap: map } = mm;
  const list: Page[] = [];
  while (control.migrateAt < control.freeAt && list.length < COMPACT_CLUSTER_MAX) {
    const page = control.migrateAt as Page;
    if (map.test(page, PG_buddy)) {
      control.migrateAt += 1 << map.order[page]!;
      continue;
    }
    control.migrateAt++;
    mm.events.compact_migrate_scanned++;
    if (control.daemon) mm.events.compact_daemon_migrate_scanned++;
    if (mm.pageZone(page) !== control.zone || !map.test(page, PG_lru) || map.test(page, PG_head)) continue;
    if (map.pageblockMigratetype(page) === MIGRATE_ISOLATE) continue;
    const cached = map.test(page, PG_swapcache) ? 1 : 0;
    // A reference beyond the mappings is a pin.
    if (isAnonPage(mm, page) && map.refcount[page]! > map.mapcount[page]! + cached) continue;
    if (folioIsolateLru(mm, page)) list.push(page);
  }
  return list;
}

/** isolate_freepages(): free pages from above, as single pages, from movable and CMA pageblocks. */
function isolateFreepages(mm: Mm, control: CompactControl): void {
  const { memmap: map } = mm;
  const { zone } = control;
  while (control.free.length === 0 && control.freeAt > control.migrateAt) {
    const end = control.freeAt;
    const block = end - 1 - ((end - 1) % map.pageblockNrPages);
    control.freeAt = Math.max(block, control.migrateAt);
    const type = map.pageblockMigratetype(block as Page);
    if (mm.pageZone(block as Page) !== zone || (type !== MIGRATE_MOVABLE && type !== MIGRATE_CMA)) continue;
    for (let at = control.freeAt; at < end; ) {
      const page = at as Page;
      mm.events.compact_free_scanned++;
      if (control.daemon) mm.events.compact_daemon_free_scanned++;
      if (!map.test(page, PG_buddy)) {
        at++;
        continue;
      }
      const order = map.order[page]!;
      at += 1 << order;
      // A block that reaches beyond is the other scanner's, or whole already; reserves are left alone.
      const whole = control.order >= 0 && order >= control.order;
      if (at > end || whole || zone.freePages <= zone.wmarkPages(WMARK_MIN) + (1 << order)) continue;
      delPageFromFreeList(map, zone, page, order);
      modZoneFreepageState(zone, -(1 << order), type);
      for (let i = 0; i < 1 << order; i++) {
        postAllocIsolated(mm, (page + i) as Page);
        control.free.push((page + i) as Page);
      }
    }
  }
}

/** compaction_alloc(). */
function* compactionAlloc(mm: Mm, control: CompactControl): Atomic<Page | undefined> {
  yield* [];
  if (control.free.length === 0) isolateFreepages(mm, control);
  const page = control.free.pop();
  if (page !== undefined && mm.hooks.isTagStoragePage(page)) mm.metrics.pagesCompactedToTagStorage++;
  return page;
}

interface CompactPurpose {
  readonly proactive?: boolean;
  readonly daemon?: boolean;
}

/** compact_zone(): true if a free block of the order is there now. */
function* compactZone(mm: Mm, zone: Zone, order: number, purpose: CompactPurpose = {}): MaySleep<boolean> {
  const first = mm.memmap.pfnToPage(zone.startPfn) ?? (0 as Page);
  const last = mm.memmap.pfnToPage(zone.endPfn - 1) ?? ((mm.memmap.pages - 1) as Page);
  const { proactive = false, daemon = false } = purpose;
  const control: CompactControl = {
    zone,
    order,
    proactive,
    daemon,
    migrateAt: first,
    freeAt: last + 1,
    free: [],
  };
  yield* lruAddDrainAll(mm);
  drainAllPages(mm, zone);
  while (!isDone(mm, control) && control.migrateAt < control.freeAt) {
    if (mm.contexts.current.fatalSignalPending) break;
    const list = isolateMigratepages(mm, control);
    if (list.length === 0) continue;
    mm.events.compact_isolated += list.length;
    const result = yield* migratePages(mm, list, () => compactionAlloc(mm, control));
    for (const left of list) yield* folioPutbackLru(mm, left);
    yield* lruAddDrainAll(mm);
    drainAllPages(mm, zone);
    if (result === -ENOMEM) break;
    yield COND_RESCHED;
  }
  // release_freepages().
  for (const page of control.free) yield* putPage(mm, page);
  drainAllPages(mm, zone);
  return isDone(mm, control);
}

/** compaction_deferred() and defer_compaction(): after a failure the next tries are passed over. */
function deferred(zone: Zone, order: number): boolean {
  if (order < zone.compactOrderFailed) return false;
  zone.compactConsidered = Math.min(zone.compactConsidered + 1, 1 << zone.compactDeferShift);
  return zone.compactConsidered < 1 << zone.compactDeferShift;
}

function noteOutcome(zone: Zone, order: number, success: boolean): void {
  if (success) {
    zone.compactConsidered = 0;
    zone.compactDeferShift = 0;
    if (order >= zone.compactOrderFailed) zone.compactOrderFailed = order + 1;
    return;
  }
  zone.compactConsidered = 0;
  zone.compactDeferShift = Math.min(zone.compactDeferShift + 1, MAX_DEFER_SHIFT);
  zone.compactOrderFailed = Math.min(zone.compactOrderFailed, order);
}

/**
 * try_to_compact_pages(): direct compaction for a request of order 1 or more.
 *
 * @returns true if some zone has a free block of the order now.
 */
export function* tryToCompactPages(
  mm: Mm,
  gfp: Gfp,
  order: number,
  highestZone: number,
  { zonelist }: PglistData = mm.localNode,
): MaySleep<boolean> {
  const task = mm.contexts.current;
  if (order === 0 || (gfp & __GFP_IO) === 0 || task.memalloc) return false;
  let any = false;
  for (const zone of zonelist) {
    if (any) break;
    if (zone.index > highestZone || !isSuitable(mm, zone, order) || deferred(zone, order)) continue;
    mm.events.compact_stall++;
    task.memalloc = true;
    any = yield* compactZone(mm, zone, order);
    task.memalloc = false;
    noteOutcome(zone, order, any);
    if (any) mm.events.compact_success++;
    else mm.events.compact_fail++;
  }
  return any;
}

/** compact_node(): all of a node, for somebody who asked for just that. */
export function* compactNode(mm: Mm, node: PglistData): MaySleep<void> {
  for (const zone of node.zones) yield* compactZone(mm, zone, -1);
}

/** compact_nodes(): vm.compact_memory. */
export function* compactNodes(mm: Mm): MaySleep<void> {
  yield* lruAddDrainAll(mm);
  for (const node of mm.nodes.online) yield* compactNode(mm, node);
}

/** wakeup_kcompactd(): a block of the order is wanted, by somebody who goes on without. */
export function wakeupKcompactd(node: PglistData, order: number): void {
  if (order === 0) return;
  node.kcompactdMaxOrder = Math.max(node.kcompactdMaxOrder, order);
  node.wakeKcompactd();
}

/** kcompactd_do_work(): every zone of the node in which memory is free, and has the wrong shape only. */
function* kcompactdDoWork(mm: Mm, node: PglistData, order: number): MaySleep<void> {
  const task = mm.contexts.current;
  mm.events.compact_daemon_wake++;
  for (const zone of node.zones) {
    if (hasBlock(mm, zone, order) || !isSuitable(mm, zone, order) || deferred(zone, order)) continue;
    task.memalloc = true;
    const success = yield* compactZone(mm, zone, order, { daemon: true });
    task.memalloc = false;
    noteOutcome(zone, order, success);
  }
}

/** should_proactive_compact_node(). */
const shouldProactiveCompact = (mm: Mm, node: PglistData): boolean =>
  mm.sysctl.compactionProactiveness[0]! > 0 &&
  fragmentationScoreNode(mm, node) > fragmentationScoreWmark(mm, false);

/** proactive_compact_node(): before anybody wants large blocks. @returns whether it is less fragmented now. */
export function* proactiveCompactNode(mm: Mm, node: PglistData): MaySleep<boolean> {
  const before = fragmentationScoreNode(mm, node);
  for (const zone of node.zones) yield* compactZone(mm, zone, -1, { proactive: true, daemon: true });
  return fragmentationScoreNode(mm, node) < before;
}

/** HPAGE_FRAG_CHECK_INTERVAL_MSEC. */
const FRAG_CHECK_INTERVAL = 500;

/**
 * kcompactd() of a node: for a scheduler to run beside the others; ends when `stopped` says so.
 *
 * @param sleep for so many milliseconds, or until `node.kcompactdWake` is called: between two looks at how fragmented
 *   the node is. Left out, it never looks by itself.
 */
export function* kcompactd(
  mm: Mm,
  node: PglistData,
  stopped: () => boolean,
  sleep?: (milliseconds: number) => MaySleep<void>,
): MaySleep<void> {
  let interval = FRAG_CHECK_INTERVAL;
  while (!stopped()) {
    const idle = () => !stopped() && node.kcompactdMaxOrder === 0 && !node.proactiveCompactTrigger;
    if (sleep !== undefined && mm.sysctl.compactionProactiveness[0]! > 0) {
      if (idle()) yield* sleep(interval);
    } else {
      yield* node.kcompactdWait.waitEvent(() => !idle());
    }
    const order = node.kcompactdMaxOrder;
    node.kcompactdMaxOrder = 0;
    if (order > 0) {
      yield* kcompactdDoWork(mm, node, order);
      interval = FRAG_CHECK_INTERVAL;
    } else {
      node.proactiveCompactTrigger = false;
      interval = FRAG_CHECK_INTERVAL;
      // Where that gains nothing, it is left alone for longer.
      if (shouldProactiveCompact(mm, node) && !(yield* proactiveCompactNode(mm, node))) {
        interval <<= MAX_DEFER_SHIFT;
      }
    }
    yield COND_RESCHED;
  }
}
