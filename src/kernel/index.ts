/**
 * The mini-kernel: Linux's memory manager in miniature, tag storage policies, processes, system calls.
 *
 * Start at `system.ts` (a whole system in one call) and `kernel.ts` (how exceptions come in); `mm/` is
 * the memory manager, `process/`, `fs/` and `syscalls/` what programs meet, `tag-storage/` the policies, `mm/hooks.ts` where the two meet.
 */
export { isMigrationEntry, isSwapEntry, ptePa, ptePresent } from './arch/pgtable/index.js';
export { KERNEL_ENTRY_CALL } from './boot.js';
export { type BootLayout, readBootLayout } from './boot-layout.js';
export * from './contexts/index.js';
export { FileSystem, type HostEntry, type HostFolder, type InputStream } from './fs/index.js';
export {
  Kernel,
  type KernelOptions,
  type RunLimits,
  type RunOutcome,
  type SpawnRequest,
} from './kernel.js';
export * from './mm/index.js';
export * from './process/index.js';
export * from './report/index.js';
export * from './syscalls/index.js';
export { bootSystem, type System, type SystemOptions } from './system.js';
export * from './tag-storage/index.js';
