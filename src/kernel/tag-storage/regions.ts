/**
 * What must be true of tag regions before any of their pages are lent: checks, and the split where the
 * tag pages of a region change zone (v3/20, with the off-by-31 of its formula put right).
 */
import type { TagRegion } from '../mm/index.js';
import { PAGES_PER_TAG_PAGE } from './blocks.js';

/** MAX_TAG_REGIONS. */
export const MAX_TAG_REGIONS = 32;

const pages = (start: number, end: number): number => end - start + 1;
const overlap = (aStart: number, aEnd: number, bStart: number, bEnd: number): boolean =>
  aStart <= bEnd && bStart <= aEnd;
const hex = (pfn: number): string => `0x${pfn.toString(16)}`;

/**
 * Why these regions cannot be managed, or undefined where they can.
 *
 * @param memory present memory in PFNs, end exclusive: all of it must be covered by a region or be tag
 *   storage, else a page could be mapped tagged that has no block (tag-storage.md 1.6).
 */
export function regionsProblem(
  regions: readonly TagRegion[],
  memory: readonly { readonly start: number; readonly end: number }[],
): string | undefined {
  if (regions.length > MAX_TAG_REGIONS) return `exceeded maximum number of regions (${MAX_TAG_REGIONS})`;
  const endOfDram = memory[memory.length - 1]?.end ?? 0;
  for (const [i, region] of regions.entries()) {
    const tagPages = pages(region.tagStartPfn, region.tagEndPfn);
    const memPages = pages(region.memStartPfn, region.memEndPfn);
    const b = region.blockSizePages;
    if (!Number.isInteger(b) || b < 1) return `region ${i}: invalid block size ${b}`;
    if (tagPages < 1 || memPages < 1) return `region ${i}: empty`;
    if (tagPages % b !== 0) {
      return `region ${i}: region size ${tagPages} (pages) is not a multiple of block size ${b} (pages)`;
    }
    if (tagPages * PAGES_PER_TAG_PAGE < memPages) return `region ${i}: does not cover the memory it is for`;
    if (region.tagEndPfn >= endOfDram) return `region ${i}: outside addressable memory`;
    const isMemory = memory.some((m) => m.start <= region.tagStartPfn && m.end > region.tagEndPfn);
    if (!isMemory) return `region ${i}: tag storage is not memory`;
    if (overlap(region.tagStartPfn, region.tagEndPfn, region.memStartPfn, region.memEndPfn)) {
      return `region ${i}: tag storage lies inside the memory it covers`;
    }
    for (const [j, other] of regions.entries()) {
      if (j >= i) break;
      if (overlap(region.tagStartPfn, region.tagEndPfn, other.tagStartPfn, other.tagEndPfn)) {
        return `regions ${j} and ${i}: tag storage overlaps`;
      }
      if (overlap(region.memStartPfn, region.memEndPfn, other.memStartPfn, other.memEndPfn)) {
        return `regions ${j} and ${i}: memory overlaps`;
      }
    }
  }
  return uncovered(regions, memory);
}

/** Memory that is neither covered by a region nor tag storage. */
function uncovered(
  regions: readonly TagRegion[],
  memory: readonly { readonly start: number; readonly end: number }[],
): string | undefined {
  const known = regions
    .flatMap((r) => [
      { start: r.memStartPfn, end: r.memEndPfn + 1 },
      { start: r.tagStartPfn, end: r.tagEndPfn + 1 },
    ])
    .sort((a, b) => a.start - b.start);
  for (const { start, end } of memory) {
    let at = start;
    for (const range of known) {
      if (range.end <= at || range.start > at) continue;
      at = range.end;
    }
    if (at < end) return `memory at pfn ${hex(at)} has no tag storage`;
  }
  return undefined;
}

/**
 * Splits regions whose tag pages lie on both sides of `boundaryPfn` (the first PFN of a zone).
 *
 * The data is divided where the tags are: the left part's last data page is the last whose tags are in
 * the left part's last tag page.
 *
 * @returns the parts, or why it cannot be done: the boundary cuts a block.
 */
export function splitRegionsAt(regions: readonly TagRegion[], boundaryPfn: number): TagRegion[] | string {
  const out: TagRegion[] = [];
  for (const [i, region] of regions.entries()) {
    if (boundaryPfn <= region.tagStartPfn || boundaryPfn > region.tagEndPfn) {
      out.push(region);
      continue;
    }
    const leftTagPages = boundaryPfn - region.tagStartPfn;
    if (leftTagPages % region.blockSizePages !== 0) return `region ${i}: a zone boundary cuts a block`;
    const leftMemEnd = region.memStartPfn + leftTagPages * PAGES_PER_TAG_PAGE - 1;
    if (leftMemEnd >= region.memEndPfn) {
      // All data is on the left; what lies right of the boundary holds no tags and stays reserved.
      out.push({ ...region, tagEndPfn: boundaryPfn - 1 });
      continue;
    }
    out.push({ ...region, memEndPfn: leftMemEnd, tagEndPfn: boundaryPfn - 1 });
    out.push({ ...region, memStartPfn: leftMemEnd + 1, tagStartPfn: boundaryPfn });
  }
  return out.length > MAX_TAG_REGIONS ? `exceeded maximum number of regions (${MAX_TAG_REGIONS})` : out;
}
