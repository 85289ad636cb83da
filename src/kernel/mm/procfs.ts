/**
 * /proc/vmstat, /proc/meminfo, /proc/zoneinfo, /proc/buddyinfo, /proc/pagetypeinfo and /sys/devices/system/node as
 * data, under Linux's names.
 */
import type { Page } from './memmap.js';
import { MIGRATE_TYPES, MIGRATETYPE_NAMES } from './migratetype.js';
import type { Mm } from './mm.js';
import {
  LRU_ACTIVE_ANON,
  LRU_ACTIVE_FILE,
  LRU_INACTIVE_ANON,
  LRU_INACTIVE_FILE,
  LRU_UNEVICTABLE,
  type NodeStats,
  type PglistData,
} from './node.js';
import { vmCommitLimit } from './overcommit.js';
import type { NodeInfo, ZoneInfo } from './types.js';
import { inOrder, MEMINFO_ORDER, NODE_MEMINFO_ORDER, VMSTAT_ORDER } from './vmstat-text.js';
import { dirtyLimits } from './writeback.js';
import { NumaEvents, ZONE_MOVABLE, type Zone } from './zone.js';

/** Pages of the five LRU lists. */
const lruSizes = (sizes: ArrayLike<number>, prefix: string): Record<string, number> => ({
  [`${prefix}inactive_anon`]: sizes[LRU_INACTIVE_ANON]!,
  [`${prefix}active_anon`]: sizes[LRU_ACTIVE_ANON]!,
  [`${prefix}inactive_file`]: sizes[LRU_INACTIVE_FILE]!,
  [`${prefix}active_file`]: sizes[LRU_ACTIVE_FILE]!,
  [`${prefix}unevictable`]: sizes[LRU_UNEVICTABLE]!,
});

/** Element by element. */
const added = (
  into: Record<string, number>,
  from: Readonly<Record<string, number>>,
): Record<string, number> => {
  for (const [name, value] of Object.entries(from)) into[name] = (into[name] ?? 0) + value;
  return into;
};

/** zone_stat_item and numa_stat_item of a zone. */
const zoneStats = (zone: Zone): Record<string, number> => ({
  nr_free_pages: zone.freePages,
  ...lruSizes(zone.lruSizes, 'nr_zone_'),
  nr_mlock: zone.nrMlock,
  nr_free_cma: zone.freeCmaPages,
  ...zone.numa,
});

/** node_stat_item of a node. */
const nodeStats = (node: PglistData): Record<string, number> => ({
  ...lruSizes(node.lruvec.sizes, 'nr_'),
  ...node.stats,
});

export function vmstat(mm: Mm): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const zone of mm.zones) added(sums, zoneStats(zone));
  for (const node of mm.nodes.online) added(sums, nodeStats(node));
  const stats: Partial<NodeStats> = sums;
  return inOrder(VMSTAT_ORDER, {
    ...sums,
    nr_zone_write_pending: (stats.nr_dirty ?? 0) + (stats.nr_writeback ?? 0),
    ...dirtyThresholds(mm),
    ...mm.events,
  });
}

function dirtyThresholds(mm: Mm): Record<string, number> {
  const { background, limit } = dirtyLimits(mm);
  return { nr_dirty_threshold: limit, nr_dirty_background_threshold: background };
}

/** Pages nobody uses: those the free counters know and those that wait on per-CPU lists. */
export function unusedPages(mm: Mm): number {
  return mm.zones.reduce((n, zone) => n + zone.pcp.reduce((m, pcp) => m + pcp.count, zone.freePages), 0);
}

/** In kB. */
export function meminfo(mm: Mm): Record<string, number> {
  const kib = (pages: number) => (pages * mm.pageSize) / 1024;
  const sum = (field: (zone: Mm['zones'][number]) => number) =>
    mm.zones.reduce((n, zone) => n + field(zone), 0);
  const free = sum((zone) => zone.freePages);
  const lru = [0, 1, 2, 3, 4].map((list) => mm.globalLruSize(list));
  return inOrder(MEMINFO_ORDER, {
    MemTotal: kib(mm.totalramPages()),
    MemFree: kib(free),
    MemAvailable: kib(Math.max(0, free - sum((zone) => zone.wmarkPages(1)))),
    Buffers: 0,
    Active: kib(lru[LRU_ACTIVE_ANON]! + lru[LRU_ACTIVE_FILE]!),
    Inactive: kib(lru[LRU_INACTIVE_ANON]! + lru[LRU_INACTIVE_FILE]!),
    'Active(anon)': kib(lru[LRU_ACTIVE_ANON]!),
    'Inactive(anon)': kib(lru[LRU_INACTIVE_ANON]!),
    'Active(file)': kib(lru[LRU_ACTIVE_FILE]!),
    'Inactive(file)': kib(lru[LRU_INACTIVE_FILE]!),
    Unevictable: kib(lru[LRU_UNEVICTABLE]!),
    Mlocked: kib(sum((zone) => zone.nrMlock)),
    SUnreclaim: kib(mm.globalNodeState('nr_slab_unreclaimable')),
    Dirty: kib(mm.globalNodeState('nr_dirty')),
    Writeback: kib(mm.globalNodeState('nr_writeback')),
    AnonPages: kib(mm.globalNodeState('nr_anon_pages')),
    Mapped: kib(mm.globalNodeState('nr_mapped')),
    Cached: kib(mm.globalNodeState('nr_file_pages')),
    Shmem: kib(mm.globalNodeState('nr_shmem')),
    Slab: kib(mm.globalNodeState('nr_slab_unreclaimable')),
    PageTables: kib(mm.globalNodeState('nr_page_table_pages')),
    SwapCached: kib(mm.globalNodeState('nr_swapcached')),
    SwapTotal: kib(mm.swap?.pages ?? 0),
    SwapFree: kib(mm.swap?.freeSlots ?? 0),
    CommitLimit: kib(vmCommitLimit(mm)),
    Committed_AS: kib(mm.committedPages),
    AnonHugePages: kib(mm.globalNodeState('nr_anon_transparent_hugepages') * mm.layout.entriesPerTable),
    ShmemHugePages: kib(mm.globalNodeState('nr_shmem_hugepages') * mm.layout.entriesPerTable),
    ShmemPmdMapped: kib(mm.globalNodeState('nr_shmem_pmdmapped') * mm.layout.entriesPerTable),
    HugePages_Total: mm.hugetlb.total,
    HugePages_Free: mm.hugetlb.free.length,
    HugePages_Rsvd: mm.hugetlb.reserved,
    HugePages_Surp: mm.hugetlb.surplus,
    Hugepagesize: mm.layout.pmdSize / 1024,
    Hugetlb: (mm.hugetlb.total * mm.layout.pmdSize) / 1024,
    CmaTotal: kib(mm.totalCmaPages),
    CmaFree: kib(sum((zone) => zone.freeCmaPages)),
  });
}

/** Free blocks of one list. */
function listLength(mm: Mm, head: number): number {
  let length = 0;
  for (let page = mm.memmap.next[head]!; page !== head; page = mm.memmap.next[page]!) length++;
  return length;
}

/** /sys/devices/system/node. */
export function nodeInfo(mm: Mm): readonly NodeInfo[] {
  return mm.nodes.online.map((node) => {
    const { zones, nodeId } = node;
    const numa: Record<string, number> = { ...new NumaEvents() };
    const stats: Record<string, number> = {};
    for (const zone of zones) {
      added(numa, { ...zone.numa });
      added(stats, zoneStats(zone));
    }
    return {
      nodeId,
      cpus: node.cpus,
      distances: mm.nodes.online.map((other) => mm.nodes.distance(nodeId, other.nodeId)),
      hasMemory: zones.length > 0,
      hasNormalMemory: zones.some((zone) => zone.index !== ZONE_MOVABLE),
      meminfo: nodeMeminfo(mm, node),
      numastat: numa,
      vmstat: inOrder(VMSTAT_ORDER, { ...stats, ...nodeStats(node) }),
    };
  });
}

/** node_read_meminfo(); kB, and numbers of huge pages. */
function nodeMeminfo(mm: Mm, node: PglistData): Record<string, number> {
  const kib = (pages: number) => (pages * mm.pageSize) / 1024;
  const sum = (field: (zone: Zone) => number) => node.zones.reduce((n, zone) => n + field(zone), 0);
  const total = sum((zone) => zone.managedPages);
  const free = sum((zone) => zone.freePages);
  const lru = node.lruvec.sizes;
  const { stats } = node;
  const pmd = mm.layout.entriesPerTable;
  return inOrder(NODE_MEMINFO_ORDER, {
    MemTotal: kib(total),
    MemFree: kib(free),
    MemUsed: kib(total - free),
    SwapCached: kib(stats.nr_swapcached),
    Active: kib(lru[LRU_ACTIVE_ANON]! + lru[LRU_ACTIVE_FILE]!),
    Inactive: kib(lru[LRU_INACTIVE_ANON]! + lru[LRU_INACTIVE_FILE]!),
    'Active(anon)': kib(lru[LRU_ACTIVE_ANON]!),
    'Inactive(anon)': kib(lru[LRU_INACTIVE_ANON]!),
    'Active(file)': kib(lru[LRU_ACTIVE_FILE]!),
    'Inactive(file)': kib(lru[LRU_INACTIVE_FILE]!),
    Unevictable: kib(lru[LRU_UNEVICTABLE]!),
    Mlocked: kib(sum((zone) => zone.nrMlock)),
    Dirty: kib(stats.nr_dirty),
    Writeback: kib(stats.nr_writeback),
    FilePages: kib(stats.nr_file_pages),
    Mapped: kib(stats.nr_mapped),
    AnonPages: kib(stats.nr_anon_pages),
    Shmem: kib(stats.nr_shmem),
    PageTables: kib(stats.nr_page_table_pages),
    Slab: kib(stats.nr_slab_unreclaimable),
    SUnreclaim: kib(stats.nr_slab_unreclaimable),
    AnonHugePages: kib(stats.nr_anon_transparent_hugepages * pmd),
    ShmemHugePages: kib(stats.nr_shmem_hugepages * pmd),
    ShmemPmdMapped: kib(stats.nr_shmem_pmdmapped * pmd),
    HugePages_Total: node.nrHugePages,
    HugePages_Free: mm.hugetlb.free.filter((page) => mm.pageNode(page) === node).length,
  });
}

/** /proc/zoneinfo, buddyinfo and pagetypeinfo. */
export function zoneinfo(mm: Mm): readonly ZoneInfo[] {
  const { memmap } = mm;
  const blocks = mm.zones.map(() => new Array<number>(MIGRATE_TYPES).fill(0));
  for (let page = 0; page < memmap.pages; page += memmap.pageblockNrPages) {
    const zone = mm.pageZone(page as Page);
    const pfn = memmap.pageToPfn(page as Page);
    // The memmap is rounded to whole blocks; the zone is not.
    const at = pfn >= zone.startPfn && pfn < zone.endPfn ? mm.zones.indexOf(zone) : -1;
    if (at >= 0) blocks[at]![memmap.pageblockMigratetype(page as Page)]!++;
  }
  return mm.zones.map((zone, at) => ({
    name: zone.name,
    nodeId: zone.nodeId,
    stats: inOrder(VMSTAT_ORDER, zoneStats(zone)),
    startPfn: zone.startPfn,
    free: zone.freePages,
    freeCma: zone.freeCmaPages,
    watermark: [...zone.watermark],
    boost: zone.watermarkBoost,
    spanned: zone.endPfn - zone.startPfn,
    present: zone.presentPages,
    managed: zone.managedPages,
    cma: zone.cmaPages,
    protection: [...zone.lowmemReserve],
    pagesets: zone.pcp.map(({ count, high, batch }) => ({ count, high, batch })),
    freeBlocks: [...zone.nrFree],
    types: Object.fromEntries(
      MIGRATETYPE_NAMES.map((name, type) => [
        name,
        {
          free: [...zone.nrFree].map((_, order) => listLength(mm, zone.freeList(order, type))),
          blocks: blocks[at]![type]!,
        },
      ]),
    ),
  }));
}
