/**
 * /proc/vmstat, /proc/meminfo, /proc/buddyinfo and /proc/pagetypeinfo as data, under Linux's names.
 */
import { LRU_ACTIVE_ANON, LRU_INACTIVE_ANON } from './lru.js';
import type { Page } from './memmap.js';
import { MIGRATE_TYPES, MIGRATETYPE_NAMES } from './migratetype.js';
import type { Mm } from './mm.js';

export function vmstat(mm: Mm): Record<string, number> {
  const sum = (field: (zone: Mm['zones'][number]) => number) =>
    mm.zones.reduce((n, zone) => n + field(zone), 0);
  return {
    nr_free_pages: sum((zone) => zone.freePages),
    nr_free_cma: sum((zone) => zone.freeCmaPages),
    nr_inactive_anon: mm.lru.sizes[LRU_INACTIVE_ANON]!,
    nr_active_anon: mm.lru.sizes[LRU_ACTIVE_ANON]!,
    ...mm.events,
  };
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
  return {
    MemTotal: kib(mm.totalramPages()),
    MemFree: kib(free),
    MemAvailable: kib(Math.max(0, free - sum((zone) => zone.watermark[1]!))),
    Active: kib(mm.lru.sizes[LRU_ACTIVE_ANON]!),
    Inactive: kib(mm.lru.sizes[LRU_INACTIVE_ANON]!),
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
    CmaTotal: kib(mm.totalCmaPages),
    CmaFree: kib(sum((zone) => zone.freeCmaPages)),
  };
}

/** Free blocks of each order, a row a zone. */
export function buddyinfo(mm: Mm): readonly { readonly zone: string; readonly free: readonly number[] }[] {
  return mm.zones.map((zone) => ({ zone: zone.name, free: [...zone.nrFree] }));
}

/** Number of pageblocks of each migratetype, a row a zone. */
export function pagetypeinfo(
  mm: Mm,
): readonly { readonly zone: string; readonly blocks: Readonly<Record<string, number>> }[] {
  const { memmap } = mm;
  return mm.zones.map((zone) => {
    const counts = new Array<number>(MIGRATE_TYPES).fill(0);
    for (let page = 0; page < memmap.pages; page += memmap.pageblockNrPages) {
      if (memmap.zoneOf(page as Page) === zone.index) counts[memmap.pageblockMigratetype(page as Page)]!++;
    }
    return {
      zone: zone.name,
      blocks: Object.fromEntries(counts.map((n, type) => [MIGRATETYPE_NAMES[type]!, n])),
    };
  });
}
