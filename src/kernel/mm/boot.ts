/**
 * Memory from nothing to allocatable: memblock, memmap, zones, zero page, buddy
 * (arch/arm64/mm/init.c, mm/mm_init.c).
 *
 * `initMemory` stops before the buddy gets its pages, so that whoever owns reserved ranges can look at
 * the result first; `memInit` hands everything free over, as mem_init() does.
 */
import { PA } from '../../base/index.js';
import type { Contexts } from '../contexts/index.js';
import { AnonVmaTable } from './anon-vma.js';
import { LruCache } from './lru.js';
import { Memblock } from './memblock.js';
import type { Page } from './memmap.js';
import { Memmap } from './memmap.js';
import { MIGRATE_MOVABLE, pageOrders } from './migratetype.js';
import { Mm } from './mm.js';
import { freePagesCore } from './page-alloc.js';
import { PG_reserved, ZONES_PGSHIFT } from './page-flags.js';
import { PageTableLayout } from './pgtable.js';
import type { MemoryPort } from './port.js';
import type { PageSize, PhysRange, TlbHooks } from './types.js';
import { DMA32_LIMIT, setupPerZoneWmarks, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL, Zone } from './zone.js';

export interface InitMemoryOptions {
  readonly contexts: Contexts;
  readonly port: MemoryPort;
  readonly tlb: TlbHooks;
  readonly banks: readonly PhysRange[];
  readonly reserved: readonly PhysRange[];
  readonly pageSize: PageSize;
  readonly vaBits: number;
  readonly mte: boolean;
  readonly log: (line: string) => void;
  /** `kernelcore=` and `movablecore=`: how much of memory is kept from ZONE_MOVABLE, which there is only then. */
  readonly movable?: MovableCore;
  /** Smaller than pageblock_order for experiments with small machines; Linux's by default. */
  readonly pageblockOrder?: number;
}

/** Bytes, or a share of memory in percent. */
export type CoreSize = { readonly bytes: number } | { readonly percent: number };

export interface MovableCore {
  readonly kernelcore?: CoreSize;
  readonly movablecore?: CoreSize;
}

interface PfnRange {
  readonly startPfn: number;
  readonly endPfn: number;
}

/**
 * find_zone_movable_pfns_for_nodes() of the one node: where ZONE_MOVABLE begins, which takes the end of the highest
 * zone. The kernel keeps what `kernelcore` asks for and what `movablecore` leaves, the larger of the two; it has it
 * from the bottom of memory.
 *
 * @returns Infinity where nothing is left for it, or nobody asked.
 */
function zoneMovableStart(
  ranges: readonly PfnRange[],
  { kernelcore, movablecore }: MovableCore,
  limit: number,
  pageSize: number,
  align: number,
): number {
  if (kernelcore === undefined && movablecore === undefined) return Number.POSITIVE_INFINITY;
  const total = ranges.reduce((sum, { startPfn, endPfn }) => sum + endPfn - startPfn, 0);
  const pages = (size: CoreSize): number =>
    Math.floor('bytes' in size ? size.bytes / pageSize : (total * size.percent) / 100);
  let core = kernelcore === undefined ? 0 : pages(kernelcore);
  if (movablecore !== undefined) {
    const movable = Math.min(total, Math.ceil(pages(movablecore) / align) * align);
    core = Math.max(core, total - movable);
  }
  if (core <= 0 || core >= total) return Number.POSITIVE_INFINITY;
  const highest = Math.max(...ranges.map(({ endPfn }) => endPfn));
  // find_usable_zone_for_movable().
  const usableStart = highest > limit ? limit : 0;
  let left = core;
  for (const { startPfn, endPfn } of ranges) {
    left -= Math.max(0, Math.min(endPfn, usableStart) - startPfn);
    const from = Math.max(startPfn, usableStart);
    if (from >= endPfn) continue;
    if (left < endPfn - from) return Math.ceil((from + Math.max(0, left)) / align) * align;
    left -= endPfn - from;
  }
  return Number.POSITIVE_INFINITY;
}

/** setup_arch(): memblock, zones and memmap; every page still reserved. `hooks` must be set next. */
export function initMemory(options: InitMemoryOptions): Mm {
  const { pageSize } = options;
  const pageShift = Math.log2(pageSize) as 12 | 14 | 16;
  const memblock = new Memblock();
  for (const bank of options.banks) memblock.add(bank);
  for (const range of options.reserved) memblock.reserve(range);

  const ranges = memblock.memory
    .map(({ start, end }) => ({ startPfn: Math.ceil(start / pageSize), endPfn: Math.floor(end / pageSize) }))
    .filter(({ startPfn, endPfn }) => endPfn > startPfn);
  const { maxPageOrder, pageblockOrder } = pageOrders(pageShift);
  const memmap = new Memmap(ranges, pageShift, maxPageOrder, options.pageblockOrder ?? pageblockOrder);

  const limit = DMA32_LIMIT / pageSize;
  const zones: Zone[] = [];
  const align = 2 ** Math.max(maxPageOrder, memmap.pageblockOrder);
  const movableStart = zoneMovableStart(ranges, options.movable ?? {}, limit, pageSize, align);
  for (const [index, low, high] of [
    [ZONE_DMA32, 0, Math.min(limit, movableStart)],
    [ZONE_NORMAL, limit, movableStart],
    [ZONE_MOVABLE, movableStart, Number.MAX_SAFE_INTEGER],
  ] as const) {
    const inside = ranges
      .map(({ startPfn, endPfn }) => ({ startPfn: Math.max(startPfn, low), endPfn: Math.min(endPfn, high) }))
      .filter(({ startPfn, endPfn }) => endPfn > startPfn);
    if (inside.length === 0) continue;
    const zone = new Zone(
      index,
      inside[0]!.startPfn,
      inside[inside.length - 1]!.endPfn,
      memmap,
      options.contexts.cpus,
    );
    zone.presentPages = inside.reduce((sum, { startPfn, endPfn }) => sum + endPfn - startPfn, 0);
    zones.push(zone);
  }
  memmapInit(memmap, limit, movableStart);

  const mm = new Mm({
    contexts: options.contexts,
    port: options.port,
    tlb: options.tlb,
    layout: new PageTableLayout(pageShift, options.vaBits),
    memblock,
    memmap,
    zones,
    log: options.log,
    mte: options.mte,
  });
  mm.anonVmas = new AnonVmaTable(options.contexts);
  mm.lru = new LruCache(mm, options.contexts.cpus);
  return mm;
}

/** memmap_init(): every page reserved, in its zone, in a movable pageblock. */
function memmapInit(memmap: Memmap, dma32EndPfn: number, movableStartPfn: number): void {
  const block = memmap.pageblockNrPages;
  memmap.refcount.fill(1);
  for (let page = 0; page < memmap.pages; page += block) {
    const pfn = memmap.pageToPfn(page as Page);
    const zone = pfn >= movableStartPfn ? ZONE_MOVABLE : pfn < dma32EndPfn ? ZONE_DMA32 : ZONE_NORMAL;
    memmap.flags.fill((PG_reserved | (zone << ZONES_PGSHIFT)) >>> 0, page, page + block);
    memmap.setPageblockMigratetype(page as Page, MIGRATE_MOVABLE);
  }
}

/**
 * Allocates and zeroes the zero page, data and (where the CPU has MTE) tags; all tag storage is still
 * reserved, so its tags are where they should be.
 */
export function initZeroPage(mm: Mm, markTagged: (page: Page) => void): boolean {
  const pa = mm.memblock.alloc(mm.pageSize, mm.pageSize);
  const page = pa === undefined ? undefined : mm.paToPage(pa);
  if (pa === undefined || page === undefined) return false;
  mm.port.fill(pa, mm.pageSize, 0);
  mm.zeroPage = page;
  if (mm.mte) markTagged(page);
  return true;
}

/** mem_init(): memblock_free_all(), then watermarks. */
export function memInit(mm: Mm): void {
  for (const { start, end } of mm.memblock.freeRanges()) {
    freeRangeToBuddy(mm, Math.ceil(start / mm.pageSize), Math.floor(end / mm.pageSize));
  }
  setupWatermarks(mm);
}

/** init_per_zone_wmark_min(): to be repeated when zones got more pages. */
export function setupWatermarks(mm: Mm): void {
  setupPerZoneWmarks(mm.zones, mm.pageSize, mm.contexts.cpus);
}

/** __free_memory_core(): the largest aligned blocks that fit. */
export function freeRangeToBuddy(mm: Mm, startPfn: number, endPfn: number): void {
  const { memmap } = mm;
  let pfn = startPfn;
  while (pfn < endPfn) {
    const page = memmap.pfnToPage(pfn)!;
    let order = memmap.maxPageOrder;
    while (page % (1 << order) !== 0 || pfn + (1 << order) > endPfn) order--;
    freePagesCore(mm, page, order);
    pfn += 1 << order;
  }
}

/** free_reserved_area(): pages reserved so far become ordinary memory. */
export function freeReservedArea(mm: Mm, startPfn: number, endPfn: number): void {
  freeRangeToBuddy(mm, startPfn, endPfn);
  setupWatermarks(mm);
}

/** A range in bytes as a PhysRange, for callers that count pages. */
export const pfnRange = (mm: Mm, startPfn: number, endPfn: number): PhysRange => ({
  base: PA(startPfn * mm.pageSize),
  size: (endPfn - startPfn + 1) * mm.pageSize,
});
