/**
 * Block arithmetic: which block of tag storage holds the tags of which page (v3/23, corrected).
 *
 * Everything is exact for any block size B, order and alignment: a folio's first and last page decide
 * which blocks it touches, never its order alone, and each block is credited with exactly the folio's
 * pages inside it. Regions are inclusive PFN ranges; a block is named by the PFN of its first page.
 */
import type { TagRegion } from '../mm/index.js';

/** Data pages whose tags fill one page of tag storage, for every page size. */
export const PAGES_PER_TAG_PAGE = 32;

/** Euclid. */
function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** get_block_size_pages(): B, from the hardware's block size in bytes. */
export function blockSizePages(pageSize: number, blockSizeBytes: number): number {
  return ((pageSize / gcd(pageSize, blockSizeBytes)) * blockSizeBytes) / pageSize;
}

/** A block, and the region it is in. */
export interface TagBlock {
  readonly region: TagRegion;
  readonly pfn: number;
}

/** First tag page of the block of a data page of this region; the page must be inside. */
function blockPfn(region: TagRegion, pfn: number): number {
  const b = region.blockSizePages;
  const offset = Math.floor((pfn - region.memStartPfn) / PAGES_PER_TAG_PAGE);
  return region.tagStartPfn + Math.floor(offset / b) * b;
}

/** tag_storage_find_block(): undefined for a page without one (-EINVAL). The first region that fits wins. */
export function findBlock(regions: readonly TagRegion[], pfn: number): TagBlock | undefined {
  for (const region of regions) {
    if (pfn < region.memStartPfn || pfn > region.memEndPfn) continue;
    const block = blockPfn(region, pfn);
    if (block + region.blockSizePages - 1 > region.tagEndPfn) continue;
    return { region, pfn: block };
  }
  return undefined;
}

/** A block that a folio touches, with how many of the folio's pages have their tags in it. */
export interface FolioBlock extends TagBlock {
  readonly pages: number;
}

/**
 * The blocks of pages [pfn, pfn + 2^order), ascending. Undefined where some page has none. A folio never
 * straddles two regions of different zones, but it may straddle two regions that touch.
 */
export function folioBlocks(
  regions: readonly TagRegion[],
  pfn: number,
  order: number,
): FolioBlock[] | undefined {
  const end = pfn + (1 << order);
  const blocks: FolioBlock[] = [];
  for (let at = pfn; at < end; ) {
    const block = findBlock(regions, at);
    if (!block) return undefined;
    const covered = blockDataRange(block);
    const next = Math.min(end, covered.end);
    blocks.push({ ...block, pages: next - at });
    at = next;
  }
  return blocks;
}

/** Data pages whose tags are in a block: [start, end) PFNs. The last block of a region may cover fewer. */
export function blockDataRange({ region, pfn }: TagBlock): { readonly start: number; readonly end: number } {
  const start = region.memStartPfn + (pfn - region.tagStartPfn) * PAGES_PER_TAG_PAGE;
  const end = Math.min(start + region.blockSizePages * PAGES_PER_TAG_PAGE, region.memEndPfn + 1);
  return { start, end };
}

/** page_is_tag_storage(): the region in whose tag range the page lies. */
export function regionOfTagPage(regions: readonly TagRegion[], pfn: number): TagRegion | undefined {
  return regions.find((region) => pfn >= region.tagStartPfn && pfn <= region.tagEndPfn);
}
