/**
 * Page flags (include/linux/page-flags.h) as bits of `Memmap.flags`.
 *
 * Bit numbers are ours; the two topmost bits hold the zone, as in Linux. PG_buddy, PG_table and
 * PG_slab are page types there and flags here. PG_pcp is ours: the page lies on a per-CPU list.
 */
export const PG_locked = 1 << 0;
export const PG_referenced = 1 << 1;
export const PG_uptodate = 1 << 2;
export const PG_dirty = 1 << 3;
export const PG_lru = 1 << 4;
export const PG_active = 1 << 5;
export const PG_waiters = 1 << 6;
export const PG_reserved = 1 << 7;
export const PG_head = 1 << 8;
export const PG_swapbacked = 1 << 9;
export const PG_unevictable = 1 << 10;
export const PG_mlocked = 1 << 11;
/** PG_dcache_clean: instructions of this page were synchronised. */
export const PG_arch_1 = 1 << 12;
/** The page's tags are valid. */
export const PG_mte_tagged = 1 << 13;
/** One thread initialises the page's tags. */
export const PG_mte_lock = 1 << 14;
/** The page's tag block is held for its tags. */
export const PG_tag_storage_reserved = 1 << 15;
export const PG_anon_exclusive = 1 << 16;
/** Taken off the LRU by somebody who will put it back or free it. */
export const PG_isolated = 1 << 17;
export const PG_buddy = 1 << 18;
export const PG_table = 1 << 19;
export const PG_slab = 1 << 20;
export const PG_pcp = 1 << 21;

/** In the swap cache; `private` is its slot. */
export const PG_swapcache = 1 << 22;

/** Being written to the disk its file is on. */
export const PG_writeback = 1 << 23;

/** Of the hugetlb pool, wherever it is. */
export const PG_hugetlb = 1 << 24;

/** Cleared when a page is freed (PAGE_FLAGS_CHECK_AT_PREP). */
export const PAGE_FLAGS_CHECK_AT_PREP = 0x3fffffff & ~PG_reserved;

export const ZONES_PGSHIFT = 30;
export const FLAGS_MASK = 0x3fffffff;
