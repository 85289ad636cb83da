/**
 * A picture of tag storage for the terminal: who has which page.
 *
 * Each character stands for a run of tag storage pages; it shows what most of them are: free, holding
 * data, or holding tags. Letters, not only colours, so that a log keeps the meaning.
 */

import {
  TAG_PAGE_DATA,
  TAG_PAGE_FREE,
  TAG_PAGE_RESERVED,
  TAG_PAGE_TAGS,
  type TagStorageSnapshot,
} from '../kernel/index.js';

/** What a page of tag storage is at the moment. */
export type TagPageUse = 'free' | 'data' | 'tags' | 'reserved';

export interface PictureOptions {
  /** Characters in a row. */
  readonly columns?: number;
  readonly rows?: number;
  readonly color?: boolean;
}

const GLYPHS: Readonly<Record<TagPageUse, string>> = { free: '.', data: 'd', tags: 'T', reserved: '#' };
const COLOURS: Readonly<Record<TagPageUse, string>> = {
  free: '90',
  data: '34',
  tags: '1;33',
  reserved: '35',
};
const ORDER: readonly TagPageUse[] = ['tags', 'data', 'reserved', 'free'];

const USES: Readonly<Record<number, TagPageUse>> = {
  [TAG_PAGE_FREE]: 'free',
  [TAG_PAGE_DATA]: 'data',
  [TAG_PAGE_TAGS]: 'tags',
  [TAG_PAGE_RESERVED]: 'reserved',
};

/** The pages of all regions, in order. */
export function usesOf(snapshot: TagStorageSnapshot): TagPageUse[] {
  return snapshot.regions.flatMap((r) => Array.from(r.pages, (code) => USES[code]!));
}

export function countUses(pages: readonly TagPageUse[]): Record<TagPageUse, number> {
  const counts = { free: 0, data: 0, tags: 0, reserved: 0 };
  for (const use of pages) counts[use]++;
  return counts;
}

/**
 * The picture, lines without a final newline.
 *
 * A cell that holds any tags shows `T` in lower weight than its majority would: tags are rare and are
 * what one looks for, so a cell with at least one tag page is drawn as tags.
 */
export function drawTagStorage(pages: readonly TagPageUse[], options: PictureOptions = {}): string[] {
  const { columns = 64, rows = 4, color = false } = options;
  const cells = Math.min(pages.length, columns * rows);
  if (cells === 0) return ['(no tag storage)'];
  const text: string[] = [];
  for (let cell = 0; cell < cells; cell++) {
    const from = Math.floor((cell * pages.length) / cells);
    const to = Math.max(from + 1, Math.floor(((cell + 1) * pages.length) / cells));
    const counts = countUses(pages.slice(from, to));
    const use =
      counts.tags > 0
        ? 'tags'
        : ORDER.reduce((a, b) => (counts[b] > counts[a] ? b : a), 'free' as TagPageUse);
    text.push(color ? `\u001b[${COLOURS[use]}m${GLYPHS[use]}\u001b[0m` : GLYPHS[use]);
  }
  const lines: string[] = [];
  for (let at = 0; at < cells; at += columns) lines.push(text.slice(at, at + columns).join(''));
  return lines;
}

/** `free 2048  data 1800  tags 248 pages of 4096`. */
export function summarizeTagStorage(pages: readonly TagPageUse[]): string {
  const counts = countUses(pages);
  const reserved = counts.reserved > 0 ? `  reserved ${counts.reserved}` : '';
  return `free ${counts.free}  data ${counts.data}  tags ${counts.tags}${reserved}  of ${pages.length} pages`;
}
