/**
 * Files of RAM on the swap device (mm/shmem.c: shmem_writepage(), shmem_swapin_folio()).
 *
 * A page that goes to swap leaves its slot's number in its place; whoever wants the page next, through a
 * mapping or a descriptor, brings it back, its tags in the two steps of every swap-in.
 */
import type { MaySleep } from '../contexts/index.js';
import { EIO, ENOMEM } from '../contexts/index.js';
import { addToPageCache, type Inode, removeFromPageCache } from './filemap.js';
import { folioLock, folioUnlock } from './folio-lock.js';
import { putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import { PG_dirty, PG_swapcache } from './page-flags.js';
import {
  addToSwap,
  deleteFromSwapCache,
  freeSwapAndCache,
  readSwapCache,
  swapDuplicate,
  swapFree,
} from './swap.js';
import type { Vma } from './vma.js';

/** shmem_writepage() up to the write itself: the page, locked and unmapped, belongs to the swap cache now. */
export function* moveToSwap(mm: Mm, inode: Inode, page: Page): MaySleep<boolean> {
  if (!(yield* addToSwap(mm, page))) return false;
  const entry = mm.memmap.private[page]!;
  swapDuplicate(mm, entry);
  inode.swapped.set(mm.memmap.index[page]!, entry);
  yield* removeFromPageCache(mm, inode, page);
  return true;
}

/**
 * shmem_swapin_folio(): the page of `index` is in the page cache again.
 *
 * @returns 0, or -ENOMEM or -EIO; also 0 where somebody else was quicker.
 */
export function* shmemSwapin(mm: Mm, inode: Inode, index: number, vma: Vma | undefined): MaySleep<number> {
  const entry = inode.swapped.get(index);
  if (entry === undefined) return 0;
  const page = yield* readSwapCache(mm, entry, vma);
  if (page === undefined) return -ENOMEM;
  if (page === 'io') return -EIO;
  if (page === 'gone') return 0;
  yield* folioLock(mm, page);
  let error = 0;
  const ours =
    inode.swapped.get(index) === entry &&
    mm.memmap.test(page, PG_swapcache) &&
    mm.memmap.private[page] === entry;
  if (ours) {
    error = yield* mm.hooks.archSwapPrepareToRestore(entry, page);
    if (error === 0) {
      yield* mm.hooks.archSwapRestore(entry, page);
      inode.swapped.delete(index);
      addToPageCache(mm, inode, index, page);
      mm.memmap.set(page, PG_dirty);
      yield* deleteFromSwapCache(mm, page);
      yield* swapFree(mm, entry);
    }
  }
  folioUnlock(mm, page);
  yield* putPage(mm, page);
  return error;
}

/** shmem_free_swap() of everything from page `first` on. */
export function* shmemFreeSwap(
  mm: Mm,
  inode: Inode,
  first: number,
  end = Number.POSITIVE_INFINITY,
): MaySleep<void> {
  for (const [index, entry] of [...inode.swapped]) {
    if (index < first || index >= end) continue;
    inode.swapped.delete(index);
    yield* freeSwapAndCache(mm, entry);
  }
}
