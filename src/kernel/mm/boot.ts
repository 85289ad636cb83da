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
import { NodeTable, type NumaLayout, PglistData } from './node.js';
import { freePagesCore } from './page-alloc.js';
import { PG_reserved, ZONES_PGSHIFT } from './page-flags.js';
import { PageTableLayout } from './pgtable.js';
import type { MemoryPort } from './port.js';
import type { MemoryBank, PageSize, PhysRange, TlbHooks } from './types.js';
import {
  calculateMinFreeKbytes,
  DMA32_LIMIT,
  setupPerZoneWmarks,
  ZONE_DMA32,
  ZONE_MOVABLE,
  ZONE_NORMAL,
  Zone,
} from './zone.js';

export interface InitMemoryOptions {
  readonly contexts: Contexts;
  readonly port: MemoryPort;
  readonly tlb: TlbHooks;
  readonly banks: readonly MemoryBank[];
  readonly reserved: readonly PhysRange[];
  readonly pageSize: PageSize;
  readonly vaBits: number;
  readonly mte: boolean;
  readonly log: (line: string) => void;
  /** `kernelcore=` and `movablecore=`: how much of memory is kept from ZONE_MOVABLE, which there is only then. */
  readonly movable?: MovableCore;
  /** What firmware says about nodes, beside the banks. */
  readonly numa?: NumaLayout;
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
  readonly nid: number;
}

/**
 * Memory by page frames and node. The memmap says of whole pageblocks whose they are, so where two nodes meet inside
 * one it is the lower node's.
 */
function pfnRanges(banks: readonly MemoryBank[], pageSize: number, align: number): PfnRange[] {
  const out: PfnRange[] = [];
  for (const bank of [...banks].sort((x, y) => x.base - y.base)) {
    const nid = bank.nid ?? 0;
    let startPfn = Math.ceil(bank.base / pageSize);
    const endPfn = Math.floor((bank.base + bank.size) / pageSize);
    if (endPfn <= startPfn) continue;
    const last = out.at(-1);
    if (last !== undefined && last.nid === nid && startPfn <= last.endPfn) {
      out[out.length - 1] = { ...last, endPfn: Math.max(endPfn, last.endPfn) };
      continue;
    }
    if (last !== undefined && last.nid !== nid) {
      const edge = Math.ceil(last.endPfn / align) * align;
      if (startPfn < edge) {
        out.push({ startPfn, endPfn: Math.min(edge, endPfn), nid: last.nid });
        startPfn = edge;
      }
    }
    if (startPfn < endPfn) out.push({ startPfn, endPfn, nid });
  }
  return out;
}

/**
 * find_zone_movable_pfns_for_nodes(): where ZONE_MOVABLE begins on each node, which takes the end of the highest
 * zone. The kernel keeps what `kernelcore` asks for and what `movablecore` leaves, the larger of the two, as evenly
 * from all nodes as they have it; it has it from the bottom of each.
 *
 * @returns by node; Infinity where nothing is left for it, or nobody asked.
 */
function zoneMovableStarts(
  ranges: readonly PfnRange[],
  { kernelcore, movablecore }: MovableCore,
  limit: number,
  pageSize: number,
  align: number,
): (nid: number) => number {
  const none = () => Number.POSITIVE_INFINITY;
  if (kernelcore === undefined && movablecore === undefined) return none;
  const total = ranges.reduce((sum, { startPfn, endPfn }) => sum + endPfn - startPfn, 0);
  const pages = (size: CoreSize): number =>
    Math.floor('bytes' in size ? size.bytes / pageSize : (total * size.percent) / 100);
  let core = kernelcore === undefined ? 0 : pages(kernelcore);
  if (movablecore !== undefined) {
    const movable = Math.min(total, Math.ceil(pages(movablecore) / align) * align);
    core = Math.max(core, total - movable);
  }
  if (core <= 0 || core >= total) return none;
  const highest = Math.max(...ranges.map(({ endPfn }) => endPfn));
  // find_usable_zone_for_movable().
  const usableStart = highest > limit ? limit : 0;
  const nids = [...new Set(ranges.map(({ nid }) => nid))].sort((x, y) => x - y);
  const starts = new Map<number, number>();
  // A node that has less than its share leaves more to the others, in another round.
  for (let nodes = nids.length; nodes > 0; nodes--) {
    let share = Math.floor(core / nodes);
    for (const nid of nids) {
      if (core < share) share = Math.floor(core / nodes);
      let left = share;
      for (const range of ranges.filter((each) => each.nid === nid)) {
        let from = Math.max(range.startPfn, starts.get(nid) ?? 0);
        if (from >= range.endPfn) continue;
        const below = Math.max(0, Math.min(range.endPfn, usableStart) - from);
        left = Math.max(0, left - below);
        core = Math.max(0, core - below);
        from += below;
        const size = Math.min(range.endPfn - from, left);
        starts.set(nid, from + size);
        core -= Math.min(core, size);
        left -= size;
        if (left === 0 && from < range.endPfn) break;
      }
    }
    if (core <= nodes - 1) break;
  }
  return (nid) => {
    const start = Math.ceil((starts.get(nid) ?? 0) / align) * align;
    const end = Math.max(...ranges.filter((each) => each.nid === nid).map(({ endPfn }) => endPfn));
    return start < end ? start : Number.POSITIVE_INFINITY;
  };
}

/** setup_arch(): memblock, zones and memmap; every page still reserved. `hooks` must be set next. */
export function initMemory(options: InitMemoryOptions): Mm {
  const { pageSize } = options;
  const pageShift = Math.log2(pageSize) as 12 | 14 | 16;
  const memblock = new Memblock();
  for (const bank of options.banks) memblock.add(bank);
  for (const range of options.reserved) memblock.reserve(range);

  const { maxPageOrder, pageblockOrder } = pageOrders(pageShift);
  const blockOrder = options.pageblockOrder ?? pageblockOrder;
  const align = 2 ** Math.max(maxPageOrder, blockOrder);
  const ranges = pfnRanges(options.banks, pageSize, align);
  const memmap = new Memmap(ranges, pageShift, maxPageOrder, blockOrder);

  const limit = DMA32_LIMIT / pageSize;
  const movableStart = zoneMovableStarts(ranges, options.movable ?? {}, limit, pageSize, align);
  memmapInit(memmap, ranges, limit, movableStart);
  const numa = options.numa ?? {};
  const cpuNodes = Array.from({ length: options.contexts.cpus }, (_, cpu) => numa.cpuNodes?.[cpu] ?? 0);
  const nids = [...new Set([...ranges.map(({ nid }) => nid), ...cpuNodes])].sort((x, y) => x - y);
  const online = nids.map((nid) => {
    const zones = nodeZones(ranges, nid, limit, movableStart(nid), memmap, options.contexts.cpus);
    const cpus = cpuNodes.flatMap((node, cpu) => (node === nid ? [cpu] : []));
    return new PglistData(nid, zones, cpus, memmap, options.contexts);
  });

  const mm = new Mm({
    contexts: options.contexts,
    port: options.port,
    tlb: options.tlb,
    layout: new PageTableLayout(pageShift, options.vaBits),
    memblock,
    memmap,
    nodes: new NodeTable(online, options.contexts.cpus, numa),
    log: options.log,
    mte: options.mte,
  });
  mm.anonVmas = new AnonVmaTable(options.contexts);
  mm.lru = new LruCache(options.contexts.cpus);
  return mm;
}

/** free_area_init_node(): the zones of a node that have memory, lowest first. */
function nodeZones(
  ranges: readonly PfnRange[],
  nid: number,
  limit: number,
  movableStart: number,
  memmap: Memmap,
  cpus: number,
): Zone[] {
  const zones: Zone[] = [];
  for (const [index, low, high] of [
    [ZONE_DMA32, 0, Math.min(limit, movableStart)],
    [ZONE_NORMAL, limit, movableStart],
    [ZONE_MOVABLE, movableStart, Number.MAX_SAFE_INTEGER],
  ] as const) {
    const inside = ranges
      .filter((range) => range.nid === nid)
      .map(({ startPfn, endPfn }) => ({ startPfn: Math.max(startPfn, low), endPfn: Math.min(endPfn, high) }))
      .filter(({ startPfn, endPfn }) => endPfn > startPfn);
    const [first] = inside;
    if (first === undefined) continue;
    const span = { startPfn: first.startPfn, endPfn: inside.at(-1)!.endPfn };
    const zone = new Zone(nid, index, span, memmap, cpus);
    zone.presentPages = inside.reduce((sum, { startPfn, endPfn }) => sum + endPfn - startPfn, 0);
    zones.push(zone);
  }
  return zones;
}

/** memmap_init(): every page reserved, in its zone and node, in a movable pageblock. */
function memmapInit(
  memmap: Memmap,
  ranges: readonly PfnRange[],
  dma32EndPfn: number,
  movableStart: (nid: number) => number,
): void {
  const block = memmap.pageblockNrPages;
  memmap.refcount.fill(1);
  let at = 0;
  for (let page = 0; page < memmap.pages; page += block) {
    const pfn = memmap.pageToPfn(page as Page);
    // A block that begins in a hole belongs to the memory behind it.
    while (at < ranges.length - 1 && ranges[at]!.endPfn <= pfn) at++;
    const { nid } = ranges[at]!;
    const zone = pfn >= movableStart(nid) ? ZONE_MOVABLE : pfn < dma32EndPfn ? ZONE_DMA32 : ZONE_NORMAL;
    memmap.flags.fill((PG_reserved | (zone << ZONES_PGSHIFT)) >>> 0, page, page + block);
    memmap.setPageblockMigratetype(page as Page, MIGRATE_MOVABLE);
    memmap.setPageblockNode(page as Page, nid);
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
  // hibernate_image_size_init().
  mm.imageSize = Math.floor((mm.totalramPages() * 2) / 5) * mm.pageSize;
}

/** init_per_zone_wmark_min(): to be repeated when zones got more pages. */
export function setupWatermarks(mm: Mm): void {
  calculateMinFreeKbytes(mm.nodes.online, mm.pageSize, mm.sysctl);
  setupPerZoneWmarks(mm.nodes.online, mm.pageSize, mm.sysctl);
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
