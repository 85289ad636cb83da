/** The memory manager, modelled on Linux 6.8's mm/. */
export {
  type CoreSize,
  freeReservedArea,
  type InitMemoryOptions,
  initMemory,
  initZeroPage,
  type MovableCore,
  memInit,
  pfnRange,
  setupWatermarks,
} from './boot.js';
export {
  type CmaArea,
  type CmaRangeResult,
  type CmaRangeVariant,
  cmaActivateArea,
  cmaAlloc,
  cmaAllocRange,
  cmaHoldBack,
  cmaInitReservedAreas,
  cmaInitReservedMem,
  cmaMinAlignmentPages,
  cmaRangeUsed,
  cmaRelease,
  cmaRemoveMem,
  cmaTakeFreeRange,
} from './cma.js';
export { kcompactd, tryToCompactPages } from './compaction.js';
export { allocContigRange } from './contig.js';
export {
  allowRetryFirst,
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_REMOTE,
  FAULT_FLAG_RETRY_NOWAIT,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_WRITE,
  VM_FAULT_ERROR,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
} from './fault-flags.js';
export { Inode } from './filemap.js';
export {
  entireMapcount,
  folioMapcount,
  folioNrPages,
  isLarge,
  pageAnonExclusive,
} from './folio.js';
export { folioLock, folioTrylock, folioUnlock } from './folio-lock.js';
export * from './gfp.js';
export {
  FOLL_FORCE,
  FOLL_LONGTERM,
  FOLL_PIN,
  FOLL_WRITE,
  GUP_PIN_COUNTING_BIAS,
  getUserPage,
  maybeDmaPinned,
  unpinUserPage,
} from './gup.js';
export { type Freezer, type HibernationHooks, hibernate, type PowerCycle } from './hibernate.js';
export type {
  CleanPages,
  CollapseCaller,
  CopyPreparation,
  FaultOnAccessContext,
  FaultOnAccessOutcome,
  GfpCaller,
  MmHooks,
} from './hooks.js';
export type { HugetlbPool } from './hugetlb.js';
export { khugepaged, khugepagedDoScan } from './khugepaged.js';
export type { KhugepagedScan } from './khugepaged-scan.js';
export * from './ksm.js';
export { ksmDoScan } from './ksm-scan.js';
export type { MmLimits } from './limits.js';
export {
  folioAddLru,
  folioIsolateLru,
  folioPutbackLru,
  lruAddDrainAll,
  lruCacheDisable,
  lruCacheEnable,
  putPage,
} from './lru.js';
export { Memblock } from './memblock.js';
export { BYTES_PER_PAGE, Memmap, type Page } from './memmap.js';
export { handleMmFault } from './memory.js';
export { KernelMemoryManager, type TagStorageView } from './memory-manager.js';
export { allocLike, migratePages, type NewFolio, putbackMovablePages } from './migrate.js';
export * from './migratetype.js';
export type { FailureInjector, MemoryRequest, Mm, OomKiller, TraceSink } from './mm.js';
export type { MmStruct } from './mm-struct.js';
export { changeProtNuma } from './mprotect.js';
export {
  LOCAL_DISTANCE,
  LRU_INACTIVE_ANON,
  MAX_NUMNODES,
  type NumaLayout,
  type PglistData,
  REMOTE_DISTANCE,
} from './node.js';
export { numaBalancingEnabled, taskNumaWork } from './numa-balancing.js';
export {
  allocPages,
  allocPagesAtomic,
  drainAllPages,
  freePages,
  getPage,
  putPageTestzero,
  splitPage,
} from './page-alloc.js';
export * from './page-flags.js';
export { startIsolatePageRange, testPagesIsolated, undoIsolatePageRange } from './page-isolation.js';
export { nextPteRun } from './page-table.js';
export type { MemoryPort } from './port.js';
export { unusedPages, zoneinfo } from './procfs.js';
export { forEachEntry, forEachPte, type SeenEntry } from './pte-walk.js';
export { isAnonPage, rmapWalk } from './rmap.js';
export { inactiveIsLow, lruNoteCost, scanBalance } from './scan-balance.js';
export { SHMEM_HUGE, type ShmemHuge } from './shmem-huge.js';
export { SlabCache } from './slab.js';
export { deferredSplitScan, splitFolioUnlocked } from './split-folio.js';
export { SwapDevice, swapon } from './swap.js';
export { KERNEL_SYSCTLS, VM_SYSCTLS } from './sysctl.js';
export {
  KhugepagedSettings,
  SHMEM_ENABLED,
  THP_DEFRAG,
  THP_ENABLED,
  type ThpSettings,
} from './thp-settings.js';
export * from './types.js';
export * from './vma.js';
export { balancePgdat, kswapd, tryToFreePages } from './vmscan.js';

export type { Metrics, VmEvents } from './vmstat.js';
export { backgroundFlush, filemapWriteAndWait, flusher, syncAll, syncFile } from './writeback.js';
export { DMA32_LIMIT, WMARK_HIGH, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL, type Zone } from './zone.js';
