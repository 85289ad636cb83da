/**
 * /proc/sys/vm/drop_caches: clean pages of files that nobody maps or uses go, as far as they can be read again
 * (fs/drop_caches.c; mm/truncate.c: mapping_try_invalidate).
 */
import type { MaySleep } from '../contexts/index.js';
import { sleepPoint } from '../contexts/index.js';
import { removeFromPageCache } from './filemap.js';
import { folioTrylock, folioUnlock } from './folio-lock.js';
import { lruAddDrainAll, putPage } from './lru.js';
import type { Mm } from './mm.js';
import { getPage } from './page-alloc.js';
import { PG_dirty, PG_writeback } from './page-flags.js';

const COND_RESCHED = sleepPoint('cond_resched');

/** The first bit of what is written: the page cache; the second: slab objects, of which none here is a cache. */
const DROP_PAGECACHE = 1;
const DROP_SLAB = 2;

/** drop_caches_sysctl_handler(). Files of RAM have nothing that could be had again from elsewhere. */
export function* dropCaches(mm: Mm, what: number): MaySleep<void> {
  if ((what & DROP_PAGECACHE) !== 0) {
    yield* lruAddDrainAll(mm);
    for (const inode of [...mm.inodes.values()]) {
      if (inode.isShmem) continue;
      for (const page of [...inode.pages.values()]) {
        if (!folioTrylock(mm, page)) continue;
        getPage(mm, page);
        // mapping_evict_folio(): the cache has the only reference beside ours.
        const idle = mm.memmap.refcount[page] === 2 && !mm.memmap.test(page, PG_dirty | PG_writeback);
        if (idle) yield* removeFromPageCache(mm, inode, page);
        folioUnlock(mm, page);
        yield* putPage(mm, page);
      }
      yield COND_RESCHED;
    }
    mm.events.drop_pagecache++;
  }
  if ((what & DROP_SLAB) !== 0) mm.events.drop_slab++;
}
