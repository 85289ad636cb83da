/**
 * Migratetypes and pageblocks (include/linux/mmzone.h, pageblock-flags.h).
 *
 * Values are Linux's.
 */
export const MIGRATE_UNMOVABLE = 0;
export const MIGRATE_MOVABLE = 1;
export const MIGRATE_RECLAIMABLE = 2;
/** Number of types that per-CPU lists and fallbacks know. */
export const MIGRATE_PCPTYPES = 3;
/** Pageblocks kept for requests of several pages that cannot wait. */
export const MIGRATE_HIGHATOMIC = 3;
export const MIGRATE_CMA = 4;
export const MIGRATE_ISOLATE = 5;
export const MIGRATE_TYPES = 6;

export const MIGRATETYPE_NAMES: readonly string[] = [
  'Unmovable',
  'Movable',
  'Reclaimable',
  'HighAtomic',
  'CMA',
  'Isolate',
];

/** Where to steal from when a list is empty, in order. CMA is never stolen from, only lent (ALLOC_CMA). */
export const FALLBACKS: readonly (readonly [number, number])[] = [
  [MIGRATE_RECLAIMABLE, MIGRATE_MOVABLE],
  [MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE],
  [MIGRATE_UNMOVABLE, MIGRATE_MOVABLE],
];

/** migratetype_is_mergeable(): free blocks of these types may merge across pageblocks. */
export const migratetypeIsMergeable = (mt: number): boolean => mt < MIGRATE_PCPTYPES;

/** Orders above which costs are thought high: per-CPU lists end here. */
export const PAGE_ALLOC_COSTLY_ORDER = 3;

/** MAX_PAGE_ORDER and pageblock_order of arm64 for a page shift of 12, 14 or 16, with huge pages built in. */
export function pageOrders(pageShift: number): {
  readonly maxPageOrder: number;
  readonly pageblockOrder: number;
} {
  const maxPageOrder = pageShift === 12 ? 10 : pageShift === 14 ? 11 : 13;
  const pmdOrder = pageShift - 3;
  return { maxPageOrder, pageblockOrder: Math.min(pmdOrder, maxPageOrder) };
}
