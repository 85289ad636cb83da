/**
 * Counters: /proc/vmstat's events under Linux's names, and metrics that Linux has no counter for.
 *
 * `cma_alloc_*` and `cma_release_*` count pages, as patches v3/6 and v3/7 made them; mainline counts
 * calls. Gauges (nr_free_pages and so on) are kept per zone and per node (node.ts); see `vmstat()`.
 */
export class VmEvents {
  pgalloc_dma32 = 0;
  pgalloc_normal = 0;
  pgalloc_movable = 0;
  pgfree = 0;
  pgfault = 0;
  pgmajfault = 0;
  pgmigrate_success = 0;
  pgmigrate_fail = 0;
  allocstall = 0;
  drop_pagecache = 0;
  drop_slab = 0;
  pageoutrun = 0;
  compact_stall = 0;
  compact_success = 0;
  compact_fail = 0;
  compact_isolated = 0;
  compact_migrate_scanned = 0;
  compact_daemon_wake = 0;
  compact_daemon_migrate_scanned = 0;
  compact_daemon_free_scanned = 0;
  compact_free_scanned = 0;
  cma_alloc_success = 0;
  cma_alloc_fail = 0;
  cma_release_success = 0;
  cma_release_fail = 0;
  numa_pte_updates = 0;
  numa_huge_pte_updates = 0;
  numa_hint_faults = 0;
  numa_hint_faults_local = 0;
  numa_pages_migrated = 0;
  unevictable_pgs_culled = 0;
  unevictable_pgs_rescued = 0;
  unevictable_pgs_mlocked = 0;
  unevictable_pgs_munlocked = 0;
  unevictable_pgs_cleared = 0;
  pgpgin = 0;
  pgpgout = 0;
  pswpin = 0;
  pswpout = 0;
  ksm_swpin_copy = 0;
  cow_ksm = 0;
  pgactivate = 0;
  pgdeactivate = 0;
  pgscan_kswapd = 0;
  pgscan_direct = 0;
  pgsteal_kswapd = 0;
  pgsteal_direct = 0;
  oom_kill = 0;
  thp_fault_alloc = 0;
  thp_fault_fallback = 0;
  thp_collapse_alloc = 0;
  thp_collapse_alloc_failed = 0;
  thp_scan_exceed_none_pte = 0;
  thp_scan_exceed_swap_pte = 0;
  thp_scan_exceed_share_pte = 0;
  thp_file_alloc = 0;
  thp_file_fallback = 0;
  thp_file_mapped = 0;
  thp_split_page = 0;
  thp_split_page_failed = 0;
  thp_deferred_split_page = 0;
  thp_split_pmd = 0;
  thp_zero_page_alloc = 0;
  thp_zero_page_alloc_failed = 0;
  thp_migration_success = 0;
  thp_migration_fail = 0;
  thp_migration_split = 0;
}

/** What the comparisons of tag-storage.md 8.5 count; names are ours. */
export class Metrics {
  /** drain_all_pages: one interrupt a CPU each. */
  pcpDrains = 0;
  /** lru_add_drain_all and lru_cache_disable: one interrupt a CPU each. */
  lruDrains = 0;
  /** Blocks handed over without isolation or migration. */
  reserveFast = 0;
  /** Blocks handed over after isolation. */
  reserveMigrate = 0;
  reserveBusy = 0;
  reserveNomem = 0;
  reserveIntr = 0;
  reserveNoBlock = 0;
  /** Data pages moved away by reserving. */
  pagesMigrated = 0;
  /** Of those, into other tag storage. */
  pagesMigratedToTagStorage = 0;
  /** Pages that compaction put into tag storage. */
  pagesCompactedToTagStorage = 0;
  /** Pages replaced because their block could not be had or they were tag storage. */
  replacements = 0;
  replacementFailures = 0;
  faultOnAccessFaults = 0;
  faultOnAccessRetries = 0;
  longestRetryChain = 0;
  taggedPagesAllocated = 0;
  atomicRefused = 0;
  /** Requests that no movable memory would do for, failed while pages of CMA areas were free. */
  unmovableFailedWithFreeTagStorage = 0;
  dataLinesInvalidated = 0;
  tagLinesInvalidated = 0;
  stashPeak = 0;
  stashStored = 0;
  stashRestored = 0;
  stashDropped = 0;
}
