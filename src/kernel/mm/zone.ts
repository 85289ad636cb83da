/**
 * Zones: spans of memory with free lists, per-CPU lists and watermarks of their own
 * (include/linux/mmzone.h; watermarks as __setup_per_zone_wmarks).
 *
 * The zone lock is not an object here: every function that touches free lists is a plain function,
 * and so indivisible.
 */
import type { Memmap } from './memmap.js';
import { MIGRATE_PCPTYPES, MIGRATE_TYPES, PAGE_ALLOC_COSTLY_ORDER } from './migratetype.js';
import { NR_LRU_LISTS, type PglistData } from './node.js';
import type { VmSysctls } from './vm-sysctls.js';

export const ZONE_DMA32 = 0;
export const ZONE_NORMAL = 1;
export const ZONE_MOVABLE = 2;
export const MAX_NR_ZONES = 3;
export const ZONE_NAMES: readonly string[] = ['DMA32', 'Normal', 'Movable'];
/** First byte above ZONE_DMA32. */
export const DMA32_LIMIT = 2 ** 32;

export const WMARK_MIN = 0;
export const WMARK_LOW = 1;
export const WMARK_HIGH = 2;

/** Pages of this CPU that need no zone lock; a list for each migratetype and cheap order. */
export interface PerCpuPages {
  count: number;
  high: number;
  batch: number;
  /** List heads, index `order * MIGRATE_PCPTYPES + migratetype`. */
  readonly lists: Int32Array;
}

/** page_zone_id(): which zone of which node. */
export const zoneId = (nodeId: number, index: number): number => nodeId * MAX_NR_ZONES + index;

/** numa_stat_item: allocations, by where they were wanted and where they came from. */
export class NumaEvents {
  numa_hit = 0;
  numa_miss = 0;
  numa_foreign = 0;
  numa_interleave = 0;
  numa_local = 0;
  numa_other = 0;
}

export class Zone {
  readonly id: number;
  readonly nodeId: number;
  readonly index: number;
  readonly name: string;
  /** Spanned PFNs, end exclusive. */
  readonly startPfn: number;
  readonly endPfn: number;
  presentPages = 0;
  /** Pages given to the buddy allocator. */
  managedPages = 0;
  cmaPages = 0;
  /** NR_FREE_PAGES: free and not isolated, per-CPU lists not counted. */
  freePages = 0;
  /** NR_FREE_CMA_PAGES. */
  freeCmaPages = 0;
  /** NR_ZONE_LRU_BASE: its pages on each LRU list of the node. */
  readonly lruSizes = new Int32Array(NR_LRU_LISTS);
  /** NR_MLOCK. */
  nrMlock = 0;
  readonly numa = new NumaEvents();
  /** Pageblocks of MIGRATE_ISOLATE. */
  isolatedPageblocks = 0;
  /** _watermark; what holds is more by the boost. */
  readonly watermark = [0, 0, 0];
  /** watermark_boost: pages that kswapd shall free more, since pageblocks were mixed. */
  watermarkBoost = 0;
  /** ZONE_BOOSTED_WATERMARK: kswapd has not been told yet. */
  boosted = false;
  /** nr_reserved_highatomic. */
  reservedHighatomic = 0;
  /** Pages kept from requests that could have used a higher zone; index: that zone. */
  readonly lowmemReserve = [0, 0, 0];
  /** Heads of the free lists, index `order * MIGRATE_TYPES + migratetype`. */
  readonly freeLists: Int32Array;
  /** Free blocks of each order. */
  readonly nrFree: Int32Array;
  readonly pcp: readonly PerCpuPages[];
  /** Compaction that failed: tries passed over since, how many will be (as a shift), from which order on. */
  compactConsidered = 0;
  compactDeferShift = 0;
  compactOrderFailed = 64;

  constructor(
    nodeId: number,
    index: number,
    { startPfn, endPfn }: { readonly startPfn: number; readonly endPfn: number },
    memmap: Memmap,
    cpus: number,
  ) {
    this.id = zoneId(nodeId, index);
    this.nodeId = nodeId;
    this.index = index;
    this.name = ZONE_NAMES[index]!;
    this.startPfn = startPfn;
    this.endPfn = endPfn;
    const orders = memmap.maxPageOrder + 1;
    this.freeLists = Int32Array.from({ length: orders * MIGRATE_TYPES }, () => memmap.newListHead());
    this.nrFree = new Int32Array(orders);
    this.pcp = Array.from({ length: cpus }, () => ({
      count: 0,
      high: 0,
      batch: 1,
      lists: Int32Array.from({ length: (PAGE_ALLOC_COSTLY_ORDER + 1) * MIGRATE_PCPTYPES }, () =>
        memmap.newListHead(),
      ),
    }));
  }

  /** wmark_pages(). */
  wmarkPages(mark: number): number {
    return this.watermark[mark]! + this.watermarkBoost;
  }

  freeList(order: number, migratetype: number): number {
    return this.freeLists[order * MIGRATE_TYPES + migratetype]!;
  }
}

const SWAP_CLUSTER_MAX = 32;

/** calculate_min_free_kbytes(): by how much memory the kernel can use; what somebody has set stands if it is more. */
export function calculateMinFreeKbytes(
  nodes: readonly PglistData[],
  pageSize: number,
  { minFreeKbytes, userMinFreeKbytes }: VmSysctls,
): void {
  // What only movable data may use holds no reserve for the kernel.
  const kib = (kernelPages(nodes) * pageSize) / 1024;
  const wanted = Math.floor(Math.sqrt(kib * 16));
  if (wanted > userMinFreeKbytes) minFreeKbytes[0] = Math.min(262144, Math.max(128, wanted));
}

const kernelPages = (nodes: readonly PglistData[]): number =>
  nodes
    .flatMap(({ zones }) => zones)
    .reduce((sum, zone) => sum + (zone.index === ZONE_MOVABLE ? 0 : zone.managedPages), 0);

/** setup_per_zone_wmarks() and setup_per_zone_lowmem_reserve(), after managed pages are known. */
export function setupPerZoneWmarks(nodes: readonly PglistData[], pageSize: number, sysctl: VmSysctls): void {
  const managed = kernelPages(nodes);
  const pagesMin = Math.floor((sysctl.minFreeKbytes[0]! * 1024) / pageSize);
  for (const node of nodes) {
    for (const zone of node.zones) {
      const share = managed === 0 ? 0 : Math.floor((pagesMin * zone.managedPages) / managed);
      const least = Math.min(128, Math.max(SWAP_CLUSTER_MAX, Math.floor(zone.managedPages / 1024)));
      const min = zone.index === ZONE_MOVABLE ? least : share;
      const scale = Math.floor((zone.managedPages * sysctl.watermarkScaleFactor[0]!) / 10000);
      const step = Math.max(Math.floor(share / 4), scale);
      zone.watermarkBoost = 0;
      zone.watermark[WMARK_MIN] = min;
      zone.watermark[WMARK_LOW] = min + step;
      zone.watermark[WMARK_HIGH] = min + 2 * step;
      setupPcp(zone, pageSize, node.cpus.length, sysctl.percpuPagelistHighFraction[0]!);
    }
    setupLowmemReserve(node.zones, sysctl.lowmemReserveRatio);
  }
}

/** setup_per_zone_lowmem_reserve(): who may use zone j keeps out of the last 1/ratio of it in the node's zones below. */
function setupLowmemReserve(zones: readonly Zone[], ratio: readonly number[]): void {
  for (const zone of zones) {
    let above = 0;
    for (let j = zone.index + 1; j < MAX_NR_ZONES; j++) {
      above += zones.find((other) => other.index === j)?.managedPages ?? 0;
      zone.lowmemReserve[j] = ratio[zone.index] ? Math.floor(above / ratio[zone.index]!) : 0;
    }
  }
}

/** zone_batchsize() and zone_highsize(); `cpus` of the zone's node, of which all share it where it has none. */
function setupPcp(zone: Zone, pageSize: number, cpus: number, fraction: number): void {
  let batch = Math.floor(Math.min(zone.managedPages / 1024, 2 ** 20 / pageSize) / 4);
  if (batch < 1) batch = 1;
  batch = 2 ** Math.floor(Math.log2(batch + Math.floor(batch / 2))) - 1;
  batch = Math.max(1, batch);
  const total = fraction === 0 ? zone.watermark[WMARK_LOW]! : Math.floor(zone.managedPages / fraction);
  const high = Math.max(Math.floor(total / (cpus || zone.pcp.length)), batch * 4);
  for (const pcp of zone.pcp) {
    pcp.batch = batch;
    pcp.high = high;
  }
}
