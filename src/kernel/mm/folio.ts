/**
 * Large folios: several pages with one reference count, one mapping and one lock, and how often which of
 * them is mapped (include/linux/mm_types.h: struct folio; mm/rmap.c).
 *
 * A page-table entry of the last level maps one page and is counted at that page; an entry one level up
 * maps the folio whole and is counted once, in the private field of the first tail page, where Linux keeps
 * _entire_mapcount. The second tail page's holds the sum of the single mappings, so that "is it mapped"
 * needs no walk over 512 pages. References are the head's alone.
 */
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import { PG_anon_exclusive, PG_head } from './page-flags.js';

/** folio_nr_pages(). */
export const folioNrPages = (mm: Mm, head: Page): number => 1 << mm.memmap.folioOrder(head);

/** folio_test_large(), of a head. */
export const isLarge = (mm: Mm, head: Page): boolean =>
  mm.memmap.test(head, PG_head) && mm.memmap.order[head]! >= 2;

/** folio_ref_count(), of whichever page. */
export const folioRefCount = (mm: Mm, page: Page): number => mm.memmap.refcount[mm.memmap.head(page)]!;

/** _pincount of a large folio: its many mappings and users make references no sign of pins. */
export const pincount = (mm: Mm, head: Page): number => mm.memmap.private[head + 3]!;

export function addPins(mm: Mm, head: Page, by: 1 | -1): void {
  mm.memmap.private[head + 3] = pincount(mm, head) + by;
}

/** folio_entire_mapcount(): entries that map the whole of it. */
export const entireMapcount = (mm: Mm, head: Page): number =>
  isLarge(mm, head) ? mm.memmap.private[head + 1]! : 0;

/** Entries of the last level that map a page of it. */
const pteMappings = (mm: Mm, head: Page): number => mm.memmap.private[head + 2]!;

/** folio_mapcount(): entries of either kind. */
export function folioMapcount(mm: Mm, page: Page): number {
  const head = mm.memmap.head(page);
  return isLarge(mm, head) ? entireMapcount(mm, head) + pteMappings(mm, head) : mm.memmap.mapcount[head]!;
}

/** page_mapcount(): entries through which this page can be reached. */
export function pageMapcount(mm: Mm, page: Page): number {
  return mm.memmap.mapcount[page]! + entireMapcount(mm, mm.memmap.head(page));
}

/** One more (or less) last-level mapping of a page. @returns mappings of the page afterwards, whole ones included. */
export function addPteMapping(mm: Mm, page: Page, by: 1 | -1): number {
  const { memmap: map } = mm;
  const head = map.head(page);
  const left = map.mapcount[page]! + by;
  map.mapcount[page] = left;
  mm.bugOn(left < 0, `mapcount of pfn 0x${map.pageToPfn(page).toString(16)} below 0`);
  if (!isLarge(mm, head)) return left;
  map.private[head + 2] = pteMappings(mm, head) + by;
  return left + entireMapcount(mm, head);
}

/** `n` pages' worth of last-level mappings at once, one for each page: an entry above becomes a table of them. */
export function addPteMappingOfEach(mm: Mm, head: Page): void {
  const { memmap: map } = mm;
  const pages = folioNrPages(mm, head);
  for (let i = 0; i < pages; i++) map.mapcount[head + i] = map.mapcount[head + i]! + 1;
  map.private[head + 2] = pteMappings(mm, head) + pages;
}

/** One more (or less) mapping of the whole. @returns whole mappings afterwards. */
export function addEntireMapping(mm: Mm, head: Page, by: 1 | -1): number {
  const left = entireMapcount(mm, head) + by;
  mm.bugOn(left < 0, `entire mapcount of pfn 0x${mm.memmap.pageToPfn(head).toString(16)} below 0`);
  mm.memmap.private[head + 1] = left;
  return left;
}

/** Pages of the folio that have a last-level mapping: the ones that a whole mapping coming or going leaves alone. */
export function pagesMappedByPte(mm: Mm, head: Page): number {
  if (pteMappings(mm, head) === 0) return 0;
  let mapped = 0;
  for (let i = 0; i < folioNrPages(mm, head); i++) if (mm.memmap.mapcount[head + i]! > 0) mapped++;
  return mapped;
}

/** PageAnonExclusive(): of a folio that is mapped whole the head says it, of any other each page. */
export function pageAnonExclusive(mm: Mm, page: Page): boolean {
  const head = mm.memmap.head(page);
  return mm.memmap.test(entireMapcount(mm, head) > 0 ? head : page, PG_anon_exclusive);
}

/** folio_mapcount() of a large folio is less than all of it once: some of its pages serve nobody. */
export const isPartiallyMapped = (mm: Mm, head: Page): boolean =>
  isLarge(mm, head) && entireMapcount(mm, head) === 0 && pagesMappedByPte(mm, head) < folioNrPages(mm, head);
