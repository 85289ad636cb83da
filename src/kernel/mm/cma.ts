/**
 * CMA: areas whose pageblocks are lent to movable data and can be had back (mm/cma.c, with patches
 * v3/5 to v3/10).
 *
 * A bitmap says which pages a driver holds, a bit for 2^orderPerBit pages. Success and failure are
 * counted in pages. `cmaAllocRange` takes one exact range; where all of it is free in the buddy it
 * is taken without isolation (the fast path of v3/10, as it was meant: refcount 1, all or nothing).
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EBUSY, EEXIST, EINVAL, ENOMEM, ENOSPC, Mutex, racePoint } from '../contexts/index.js';
import { findBuddyHead, takePageOffBuddy } from './buddy.js';
import { allocContigRange } from './contig.js';
import type { Page } from './memmap.js';
import { MIGRATE_CMA } from './migratetype.js';
import type { Mm } from './mm.js';
import { freeContigRange, freePagesCore, postAllocIsolated } from './page-alloc.js';
import { PG_reserved } from './page-flags.js';

/** CONFIG_CMA_AREAS as tag storage needs it: every region may be an area. */
export const MAX_CMA_AREAS = 64;

const BITMAP_SET = racePoint('cma bitmap');

/** struct cma. Sizes in pages. */
export interface CmaArea {
  readonly name: string;
  readonly basePfn: number;
  /** Pages; 0 after cmaRemoveMem. */
  count: number;
  readonly orderPerBit: number;
  /** One byte a bit; undefined until activated. */
  bitmap: Uint8Array | undefined;
  /** First page; valid once activated. */
  base: Page;
  readonly mutex: Mutex;
  /** Pages to be kept out of the buddy at activation, as if allocated (see cmaHoldBack). */
  readonly heldBack: { readonly pfn: number; readonly count: number }[];
  allocPagesSuccess: number;
  allocPagesFail: number;
}

/** CMA_MIN_ALIGNMENT_PAGES. */
export const cmaMinAlignmentPages = (mm: Mm): number => mm.memmap.pageblockNrPages;

/**
 * cma_init_reserved_mem(): registers an area over memory that memblock has reserved.
 *
 * @returns the area, or -ENOSPC (table full) or -EINVAL (size, reservation, or alignment: base and size
 *   must be multiples of a pageblock, and a pageblock of 2^orderPerBit pages).
 */
export function cmaInitReservedMem(
  mm: Mm,
  basePfn: number,
  count: number,
  orderPerBit: number,
  name?: string,
): CmaArea | number {
  if (mm.cmaAreas.length >= MAX_CMA_AREAS) return -ENOSPC;
  if (count <= 0 || !mm.memblock.isRegionReserved(basePfn * mm.pageSize, count * mm.pageSize)) return -EINVAL;
  const align = cmaMinAlignmentPages(mm);
  if (align % 2 ** orderPerBit !== 0) return -EINVAL;
  if (basePfn % align !== 0 || count % align !== 0) return -EINVAL;
  const area: CmaArea = {
    name: name ?? `cma${mm.cmaAreas.length}`,
    basePfn,
    count,
    orderPerBit,
    bitmap: undefined,
    base: 0 as Page,
    mutex: new Mutex(mm.contexts, 'cma_mutex'),
    heldBack: [],
    allocPagesSuccess: 0,
    allocPagesFail: 0,
  };
  mm.cmaAreas.push(area);
  mm.totalCmaPages += count;
  return area;
}

/** cma_remove_mem() (v3/9): forgets an area that was registered and not yet activated. */
export function cmaRemoveMem(mm: Mm, area: CmaArea): void {
  if (area.count === 0 || area.bitmap !== undefined) {
    mm.warn(`cma: area ${area.name} cannot be removed`);
    return;
  }
  mm.totalCmaPages -= area.count;
  area.count = 0;
}

/** cma_init_reserved_areas() (core_initcall): whatever is registered is activated. */
export function cmaInitReservedAreas(mm: Mm): void {
  for (const area of mm.cmaAreas) {
    if (cmaActivateArea(mm, area) !== 0) mm.log(`cma: ${area.name}: could not be activated`);
  }
}

/**
 * Before activation: these pages never reach the buddy; they count as allocated from the start. The
 * zero page's tag block must never hold anything but tags (tag-storage.md 3.1).
 */
export function cmaHoldBack(area: CmaArea, pfn: number, count: number): void {
  area.heldBack.push({ pfn, count });
}

/**
 * cma_activate_area(): every pageblock becomes MIGRATE_CMA and goes to the buddy.
 *
 * @returns 0, or -EINVAL where the area spans zones; its pages then stay reserved.
 */
export function cmaActivateArea(mm: Mm, area: CmaArea): number {
  if (area.count === 0) return 0;
  const map = mm.memmap;
  const base = map.pfnToPage(area.basePfn);
  if (base === undefined || map.pfnToPage(area.basePfn + area.count - 1) !== base + area.count - 1)
    return -EINVAL;
  const zone = mm.pageZone(base);
  for (let i = 0; i < area.count; i += map.pageblockNrPages) {
    if (map.zoneOf((base + i) as Page) !== zone.index) return -EINVAL;
  }
  if (map.zoneOf((base + area.count - 1) as Page) !== zone.index) return -EINVAL;
  if (mm.shouldFail('cma_bitmap')) return -ENOMEM;
  area.base = base;
  area.bitmap = new Uint8Array(area.count >> area.orderPerBit);
  const held = new Set<number>();
  for (const { pfn, count } of area.heldBack) {
    for (let i = 0; i < count; i++) held.add(base + pfn - area.basePfn + i);
    bitmapFill(area, pfn - area.basePfn, count, 1);
    area.allocPagesSuccess += count;
    mm.events.cma_alloc_success += count;
  }
  for (let block = base; block < base + area.count; block = (block + map.pageblockNrPages) as Page) {
    initCmaReservedPageblock(mm, block, held);
  }
  return 0;
}

/** init_cma_reserved_pageblock(). */
function initCmaReservedPageblock(mm: Mm, block: Page, held: ReadonlySet<number>): void {
  const map = mm.memmap;
  const zone = mm.pageZone(block);
  map.setPageblockMigratetype(block, MIGRATE_CMA);
  zone.cmaPages += map.pageblockNrPages;
  let whole = true;
  for (let i = 0; i < map.pageblockNrPages && whole; i++) whole = !held.has(block + i);
  if (whole) {
    freePagesCore(mm, block, map.pageblockOrder);
    return;
  }
  for (let i = 0; i < map.pageblockNrPages; i++) {
    const page = (block + i) as Page;
    if (!held.has(page)) {
      freePagesCore(mm, page, 0);
      continue;
    }
    map.clear(page, PG_reserved);
    map.refcount[page] = 1;
    zone.managedPages++;
  }
}

function bitmapFill(area: CmaArea, offset: number, count: number, value: 0 | 1): void {
  const first = offset >> area.orderPerBit;
  area.bitmap!.fill(value, first, first + Math.ceil(count / 2 ** area.orderPerBit));
}

/** Bits of a range that are set. */
export function cmaRangeUsed(area: CmaArea, pfn: number, count: number): boolean {
  const first = (pfn - area.basePfn) >> area.orderPerBit;
  const end = first + Math.ceil(count / 2 ** area.orderPerBit);
  return area.bitmap?.subarray(first, end).includes(1) ?? false;
}

function countAlloc(mm: Mm, area: CmaArea, count: number, ok: boolean): void {
  if (ok) {
    area.allocPagesSuccess += count;
    mm.events.cma_alloc_success += count;
  } else {
    area.allocPagesFail += count;
    mm.events.cma_alloc_fail += count;
  }
}

/** The whole range is free in the buddy: take it as it is. All or nothing. */
export function cmaTakeFreeRange(mm: Mm, start: Page, count: number): boolean {
  const map = mm.memmap;
  for (let i = 0; i < count; i++) {
    const page = (start + i) as Page;
    // An isolated block is somebody else's work in progress.
    if (map.pageblockMigratetype(page) !== MIGRATE_CMA || findBuddyHead(map, page) === undefined)
      return false;
  }
  const zone = mm.pageZone(start);
  for (let i = 0; i < count; i++) {
    takePageOffBuddy(map, zone, (start + i) as Page);
    postAllocIsolated(mm, (start + i) as Page);
  }
  return true;
}

/** Where the series as posted differs from what it meant to do. */
export interface CmaRangeVariant {
  /** Takes a range that is free as it is; false where it does not. */
  readonly takeFree: (mm: Mm, start: Page, count: number) => boolean;
  /** What the trace says of attempts. */
  readonly reportAttempts: (attempts: number, error: number, count: number) => number;
}

const AS_MEANT: CmaRangeVariant = { takeFree: cmaTakeFreeRange, reportAttempts: (attempts) => attempts };

/** How an exact range was obtained, for traces: `attempts` counts tries started. */
export interface CmaRangeResult {
  /** 0 or a negative errno. */
  readonly error: number;
  readonly attempts: number;
  /** Nothing had to be isolated. */
  readonly fast: boolean;
}

/**
 * cma_alloc_range() (v3/8): exactly [startPfn, startPfn + count), each page with refcount 1.
 *
 * -EINVAL: no such area, not activated, outside it, or not aligned to its bits; -EEXIST: some of it is
 * allocated already; else what alloc_contig_range said at the last of `tries`.
 */
export function* cmaAllocRange(
  mm: Mm,
  area: CmaArea,
  startPfn: number,
  count: number,
  tries: number,
  variant: CmaRangeVariant = AS_MEANT,
): MaySleep<CmaRangeResult> {
  const unit = 2 ** area.orderPerBit;
  const offset = startPfn - area.basePfn;
  mm.trace('cma_alloc_range_start', { name: area.name, start: startPfn, count, tries });
  if (
    area.count === 0 ||
    area.bitmap === undefined ||
    count <= 0 ||
    offset < 0 ||
    offset + count > area.count ||
    startPfn % unit !== 0 ||
    count % unit !== 0
  ) {
    countAlloc(mm, area, Math.max(0, count), false);
    return { error: -EINVAL, attempts: 0, fast: false };
  }
  if (cmaRangeUsed(area, startPfn, count)) {
    countAlloc(mm, area, count, false);
    return { error: -EEXIST, attempts: 0, fast: false };
  }
  bitmapFill(area, offset, count, 1);
  if (mm.contexts.racing) yield BITMAP_SET;
  const start = (area.base + offset) as Page;
  let error = -EBUSY;
  let attempts = 0;
  let fast = false;
  while (attempts < tries && error === -EBUSY) {
    attempts++;
    yield* area.mutex.lock();
    fast = variant.takeFree(mm, start, count);
    error = fast ? 0 : yield* allocContigRange(mm, start, start + count, MIGRATE_CMA);
    area.mutex.unlock();
  }
  if (error !== 0) bitmapFill(area, offset, count, 0);
  mm.trace('cma_alloc_range_finish', {
    name: area.name,
    start: startPfn,
    count,
    attempts: variant.reportAttempts(attempts, error, count),
    err: error,
  });
  countAlloc(mm, area, count, error === 0);
  return { error, attempts, fast };
}

/**
 * cma_alloc(): `count` pages anywhere in the area, aligned to 2^align pages.
 *
 * @returns the first page, or a negative errno.
 */
export function* cmaAlloc(mm: Mm, area: CmaArea, count: number, align: number): MaySleep<Page | number> {
  if (area.count === 0 || area.bitmap === undefined || count <= 0) return -EINVAL;
  const bitCount = Math.ceil(count / 2 ** area.orderPerBit);
  const bits = area.bitmap.length;
  const step = 2 ** Math.max(0, align - area.orderPerBit);
  // Alignment is of the PFN, not of the offset in the area.
  const skew = (area.basePfn >> area.orderPerBit) % step;
  let from = 0;
  let error = -ENOMEM;
  for (;;) {
    let bit = Math.ceil((from + skew) / step) * step - skew;
    while (bit + bitCount <= bits) {
      const used = area.bitmap.subarray(bit, bit + bitCount).lastIndexOf(1);
      if (used < 0) break;
      bit = Math.ceil((bit + used + 1 + skew) / step) * step - skew;
    }
    if (bit + bitCount > bits) break;
    const offset = bit * 2 ** area.orderPerBit;
    bitmapFill(area, offset, count, 1);
    const start = (area.base + offset) as Page;
    yield* area.mutex.lock();
    error = yield* allocContigRange(mm, start, start + count, MIGRATE_CMA);
    area.mutex.unlock();
    if (error === 0) {
      countAlloc(mm, area, count, true);
      return start;
    }
    bitmapFill(area, offset, count, 0);
    if (error !== -EBUSY) break;
    from = bit + step;
  }
  countAlloc(mm, area, count, false);
  return error;
}

/**
 * cma_release(): gives pages back; from any context.
 *
 * @returns false, and the failure counted, where the range is not of this area.
 */
export function* cmaRelease(mm: Mm, area: CmaArea, page: Page, count: number): Atomic<boolean> {
  const offset = page - area.base;
  if (area.bitmap === undefined || count <= 0 || offset < 0 || offset + count > area.count) {
    mm.events.cma_release_fail += Math.max(0, count);
    return false;
  }
  yield* freeContigRange(mm, page, count);
  bitmapFill(area, offset, count, 0);
  mm.trace('cma_release', { name: area.name, pfn: area.basePfn + offset, count });
  if (mm.contexts.racing) yield BITMAP_SET;
  mm.events.cma_release_success += count;
  return true;
}
