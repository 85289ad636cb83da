/**
 * The order in which /proc/vmstat and /proc/meminfo name things (vmstat_text of mm/vmstat.c,
 * meminfo_proc_show of Linux 6.8). What this kernel has no such thing of is left out by whoever prints;
 * what Linux does not have goes to the end.
 */

/** zone_stat_item, node_stat_item, writeback_stat_item, vm_event_item. */
export const VMSTAT_ORDER: readonly string[] = `
  nr_free_pages nr_zone_inactive_anon nr_zone_active_anon nr_zone_inactive_file nr_zone_active_file
  nr_zone_unevictable nr_zone_write_pending nr_mlock nr_free_cma
  numa_hit numa_miss numa_foreign numa_interleave numa_local numa_other
  nr_inactive_anon nr_active_anon nr_inactive_file nr_active_file nr_unevictable
  nr_slab_reclaimable nr_slab_unreclaimable nr_isolated_anon nr_isolated_file
  nr_anon_pages nr_mapped nr_file_pages nr_dirty nr_writeback nr_shmem nr_shmem_hugepages nr_shmem_pmdmapped
  nr_file_hugepages nr_file_pmdmapped nr_anon_transparent_hugepages nr_vmscan_write nr_dirtied nr_written
  nr_foll_pin_acquired nr_foll_pin_released nr_kernel_stack nr_page_table_pages nr_swapcached
  nr_dirty_threshold nr_dirty_background_threshold
  pgpgin pgpgout pswpin pswpout
  pgalloc_dma32 pgalloc_normal pgalloc_movable allocstall_dma32 allocstall_normal allocstall_movable allocstall
  pgfree pgactivate pgdeactivate pgfault pgmajfault pgrefill pgreuse
  pgsteal_kswapd pgsteal_direct pgsteal_khugepaged pgscan_kswapd pgscan_direct pgscan_khugepaged
  pgscan_anon pgscan_file pgsteal_anon pgsteal_file pageoutrun pgrotated
  drop_pagecache drop_slab oom_kill
  numa_pte_updates numa_huge_pte_updates numa_hint_faults numa_hint_faults_local numa_pages_migrated
  pgmigrate_success pgmigrate_fail thp_migration_success thp_migration_fail thp_migration_split
  compact_migrate_scanned compact_free_scanned compact_isolated compact_stall compact_fail compact_success
  compact_daemon_wake compact_daemon_migrate_scanned compact_daemon_free_scanned
  cma_alloc_success cma_alloc_fail cma_release_success cma_release_fail
  unevictable_pgs_culled unevictable_pgs_scanned unevictable_pgs_rescued unevictable_pgs_mlocked
  unevictable_pgs_munlocked unevictable_pgs_cleared unevictable_pgs_stranded
  thp_fault_alloc thp_fault_fallback thp_collapse_alloc thp_collapse_alloc_failed
  thp_file_alloc thp_file_fallback thp_file_mapped thp_split_page thp_split_page_failed
  thp_deferred_split_page thp_split_pmd thp_scan_exceed_none_pte thp_scan_exceed_swap_pte
  thp_scan_exceed_share_pte thp_zero_page_alloc thp_zero_page_alloc_failed thp_swpout thp_swpout_fallback
  swap_ra swap_ra_hit ksm_swpin_copy cow_ksm
`
  .trim()
  .split(/\s+/);

export const MEMINFO_ORDER: readonly string[] = `
  MemTotal MemFree MemAvailable Buffers Cached SwapCached Active Inactive Active(anon) Inactive(anon)
  Active(file) Inactive(file) Unevictable Mlocked SwapTotal SwapFree Dirty Writeback AnonPages Mapped Shmem
  KReclaimable Slab SReclaimable SUnreclaim KernelStack PageTables SecPageTables NFS_Unstable Bounce
  WritebackTmp CommitLimit Committed_AS VmallocTotal VmallocUsed VmallocChunk Percpu AnonHugePages
  ShmemHugePages ShmemPmdMapped FileHugePages FilePmdMapped CmaTotal CmaFree
  HugePages_Total HugePages_Free HugePages_Rsvd HugePages_Surp Hugepagesize Hugetlb
`
  .trim()
  .split(/\s+/);

/** node_read_meminfo() of drivers/base/node.c. */
export const NODE_MEMINFO_ORDER: readonly string[] = `
  MemTotal MemFree MemUsed SwapCached Active Inactive Active(anon) Inactive(anon) Active(file) Inactive(file)
  Unevictable Mlocked Dirty Writeback FilePages Mapped AnonPages Shmem KernelStack PageTables SecPageTables
  KReclaimable Slab SReclaimable SUnreclaim AnonHugePages ShmemHugePages ShmemPmdMapped FileHugePages FilePmdMapped
  HugePages_Total HugePages_Free HugePages_Surp
`
  .trim()
  .split(/\s+/);

/** The values in that order; those it does not name follow as they came. */
export function inOrder(
  order: readonly string[],
  values: Readonly<Record<string, number>>,
): Record<string, number> {
  const out: Record<string, number> = {};
  for (const name of order) {
    const value = values[name];
    if (value !== undefined) out[name] = value;
  }
  return { ...out, ...values };
}
