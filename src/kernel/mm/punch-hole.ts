/**
 * Holes in files: shmem_fallocate(FALLOC_FL_PUNCH_HOLE), and zeros where there is a disk.
 *
 * Whole pages of a file of RAM go, with their tags; of a large folio, of a file on disk and at the edges bytes are
 * made zero where something is.
 *
 * Ref. mm/shmem.c (shmem_fallocate, shmem_undo_range), mm/truncate.c (truncate_pagecache_range).
 */
import { PA } from '../../base/index.js';
import type { MaySleep } from '../contexts/index.js';
import { filemapGetFolio, type Inode, removeFromPageCache, unmapMappingRange } from './filemap.js';
import { folioMapcount, isLarge } from './folio.js';
import { folioLock, folioUnlock } from './folio-lock.js';
import { putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import { getPage } from './page-alloc.js';
import { shmemFreeSwap } from './shmem-swap.js';
import { folioMarkDirty, folioWaitWriteback } from './writeback.js';

const hasPage = (inode: Inode, index: number): boolean =>
  inode.pages.has(index) || inode.swapped.has(index) || inode.disk?.has(index) === true;

/** Zeros in one page, where it holds something: 0 or a negative errno. */
function* zeroPart(mm: Mm, inode: Inode, from: number, to: number): MaySleep<number> {
  const index = Math.floor(from / mm.pageSize);
  if (from >= to || !hasPage(inode, index)) return 0;
  const page = yield* filemapGetFolio(mm, inode, index, undefined);
  if (page < 0) return page;
  mm.port.fill(PA(mm.pageToPa(page as Page) + (from % mm.pageSize)), to - from, 0);
  folioMarkDirty(mm, page as Page);
  folioUnlock(mm, page as Page);
  yield* putPage(mm, page as Page);
  return 0;
}

/** Takes one page of RAM out of the file; false where it is part of a large folio. */
function* removePage(mm: Mm, inode: Inode, index: number): MaySleep<boolean> {
  const page = inode.pages.get(index);
  if (page === undefined) return true;
  const folio = mm.memmap.head(page);
  if (isLarge(mm, folio)) return false;
  getPage(mm, folio);
  yield* folioLock(mm, folio);
  yield* folioWaitWriteback(mm, folio);
  if (inode.pages.get(index) === page) {
    // A fault may have mapped it again before it was locked.
    if (folioMapcount(mm, folio) > 0) yield* unmapMappingRange(mm, inode, index, index + 1);
    yield* removeFromPageCache(mm, inode, folio);
  }
  folioUnlock(mm, folio);
  yield* putPage(mm, folio);
  return true;
}

/**
 * Makes bytes [from, to) of a file zero; its size stays.
 *
 * @returns 0, or -ENOMEM or -EIO where a page at an edge cannot be had.
 */
export function* punchHole(mm: Mm, inode: Inode, from: number, to: number): MaySleep<number> {
  const { pageSize } = mm;
  const stop = Math.min(to, inode.size);
  if (from >= stop) return 0;
  const first = Math.ceil(from / pageSize);
  const end = stop === inode.size ? Math.ceil(stop / pageSize) : Math.floor(stop / pageSize);
  if (first > end || (first === end && stop !== inode.size)) {
    const middle = Math.min(stop, first * pageSize);
    const error = yield* zeroPart(mm, inode, from, middle);
    return error === 0 ? yield* zeroPart(mm, inode, middle, stop) : error;
  }
  let error = yield* zeroPart(mm, inode, from, Math.min(stop, first * pageSize));
  if (error === 0 && stop < inode.size) error = yield* zeroPart(mm, inode, end * pageSize, stop);
  if (error !== 0) return error;
  if (inode.isShmem) {
    yield* unmapMappingRange(mm, inode, first, end);
    yield* shmemFreeSwap(mm, inode, first, end);
  }
  const indices =
    inode.disk === undefined
      ? [...inode.pages.keys()]
      : Array.from({ length: end - first }, (_, i) => first + i);
  for (const index of indices) {
    if (index < first || index >= end) continue;
    if (inode.isShmem && (yield* removePage(mm, inode, index))) continue;
    error = yield* zeroPart(mm, inode, index * pageSize, (index + 1) * pageSize);
    if (error !== 0) return error;
  }
  return 0;
}
