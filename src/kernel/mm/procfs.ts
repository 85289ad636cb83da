/**
 * /proc/vmstat, /proc/meminfo, /proc/zoneinfo, /proc/buddyinfo and /proc/pagetypeinfo as data, under Linux's names.
 */
import {
  LRU_ACTIVE_ANON,
  LRU_ACTIVE_FILE,
  LRU_INACTIVE_ANON,
  LRU_INACTIVE_FILE,
  LRU_UNEVICTABLE,
} from './lru.js';
import type { Page } from './memmap.js';
import { MIGRATE_TYPES, MIGRATETYPE_NAMES } from './migratetype.js';
import type { Mm } from './mm.js';
import type { ZoneInfo } from './types.js';
import { inOrder, MEMINFO_ORDER, VMSTAT_ORDER } from './vmstat-text.js';

/** Pages of the five LRU lists. */
function lruSizes(mm: Mm, prefix: string): Record<string, number> {
  const { sizes } = mm.lru;
  return {
    [`${prefix}inactive_anon`]: sizes[LRU_INACTIVE_ANON]!,
    [`${prefix}active_anon`]: sizes[LRU_ACTIVE_ANON]!,
    [`${prefix}inactive_file`]: sizes[LRU_INACTIVE_FILE]!,
    [`${prefix}active_file`]: sizes[LRU_ACTIVE_FILE]!,
    [`${prefix}unevictable`]: sizes[LRU_UNEVICTABLE]!,
  };
}

export function vmstat(mm: Mm): Record<string, number> {
  const sum = (field: (zone: Mm['zones'][number]) => number) =>
    mm.zones.reduce((n, zone) => n + field(zone), 0);
  return inOrder(VMSTAT_ORDER, {
    nr_free_pages: sum((zone) => zone.freePages),
    ...lruSizes(mm, 'nr_zone_'),
    nr_zone_write_pending: mm.events.nr_dirty + mm.events.nr_writeback,
    nr_free_cma: sum((zone) => zone.freeCmaPages),
    ...lruSizes(mm, 'nr_'),
    ...mm.events,
  });
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
  const lru = mm.lru.sizes;
  return inOrder(MEMINFO_ORDER, {
    MemTotal: kib(mm.totalramPages()),
    MemFree: kib(free),
    MemAvailable: kib(Math.max(0, free - sum((zone) => zone.watermark[1]!))),
    Buffers: 0,
    Active: kib(lru[LRU_ACTIVE_ANON]! + lru[LRU_ACTIVE_FILE]!),
    Inactive: kib(lru[LRU_INACTIVE_ANON]! + lru[LRU_INACTIVE_FILE]!),
    'Active(anon)': kib(lru[LRU_ACTIVE_ANON]!),
    'Inactive(anon)': kib(lru[LRU_INACTIVE_ANON]!),
    'Active(file)': kib(lru[LRU_ACTIVE_FILE]!),
    'Inactive(file)': kib(lru[LRU_INACTIVE_FILE]!),
    Unevictable: kib(lru[LRU_UNEVICTABLE]!),
    Mlocked: kib(mm.events.nr_mlock),
    SUnreclaim: kib(mm.events.nr_slab_unreclaimable),
    Dirty: kib(mm.events.nr_dirty),
    Writeback: kib(mm.events.nr_writeback),
    AnonPages: kib(mm.events.nr_anon_pages),
    Mapped: kib(mm.events.nr_mapped),
    Cached: kib(mm.events.nr_file_pages),
    Shmem: kib(mm.events.nr_shmem),
    Slab: kib(mm.events.nr_slab_unreclaimable),
    PageTables: kib(mm.events.nr_page_table_pages),
    SwapCached: kib(mm.events.nr_swapcached),
    SwapTotal: kib(mm.swap?.pages ?? 0),
    SwapFree: kib(mm.swap?.freeSlots ?? 0),
    CommitLimit: kib(Math.floor(mm.totalramPages() / 2) + (mm.swap?.pages ?? 0)),
    Committed_AS: kib(mm.committedPages),
    AnonHugePages: kib(mm.events.nr_anon_transparent_hugepages * mm.layout.entriesPerTable),
    ShmemHugePages: kib(mm.events.nr_shmem_hugepages * mm.layout.entriesPerTable),
    ShmemPmdMapped: kib(mm.events.nr_shmem_pmdmapped * mm.layout.entriesPerTable),
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

/** /proc/zoneinfo, buddyinfo and pagetypeinfo. */
export function zoneinfo(mm: Mm): readonly ZoneInfo[] {
  const { memmap } = mm;
  const blocks = mm.zones.map(() => new Array<number>(MIGRATE_TYPES).fill(0));
  for (let page = 0; page < memmap.pages; page += memmap.pageblockNrPages) {
    const pfn = memmap.pageToPfn(page as Page);
    const at = mm.zones.findIndex(({ startPfn, endPfn }) => pfn >= startPfn && pfn < endPfn);
    if (at >= 0) blocks[at]![memmap.pageblockMigratetype(page as Page)]!++;
  }
  return mm.zones.map((zone, at) => ({
    name: zone.name,
    startPfn: zone.startPfn,
    free: zone.freePages,
    freeCma: zone.freeCmaPages,
    watermark: [...zone.watermark],
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
