/** Tag storage: policies that lend it, and the boot sequence that brings memory up with one. */
export {
  blockDataRange,
  blockSizePages,
  type FolioBlock,
  findBlock,
  folioBlocks,
  PAGES_PER_TAG_PAGE,
  regionOfTagPage,
  type TagBlock,
} from './blocks.js';
export { bootMemory } from './boot.js';
export { type BootMemoryOptions, diskPagesOf, movableCoreOf, swapPagesOf } from './options.js';
export { policies } from './policies.js';
export type { PolicyFactory, TagStoragePolicy } from './policy.js';
export { MAX_TAG_REGIONS, regionsProblem, splitRegionsAt } from './regions.js';
export { TagStash } from './stash.js';
export { TagBlocks } from './tag-blocks.js';
