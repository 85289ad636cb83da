/**
 * The page lock (PG_locked): who holds it may change what the page is for (mm/filemap.c).
 *
 * It sleeps and has no owner, so that it can be taken by one task and dropped by another; waiters share
 * one queue.
 */
import type { MaySleep } from '../contexts/index.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import { PG_locked } from './page-flags.js';

/** folio_trylock(), by whichever page of the folio. */
export function folioTrylock(mm: Mm, page: Page): boolean {
  const head = mm.memmap.head(page);
  if (mm.memmap.test(head, PG_locked)) return false;
  mm.memmap.set(head, PG_locked);
  return true;
}

/** folio_lock(). */
export function* folioLock(mm: Mm, page: Page): MaySleep<void> {
  mm.contexts.mightSleep('folio_lock');
  while (!folioTrylock(mm, page)) {
    yield* mm.pageWaitQueue.waitEvent(() => !mm.memmap.test(mm.memmap.head(page), PG_locked));
  }
}

export function folioUnlock(mm: Mm, page: Page): void {
  const head = mm.memmap.head(page);
  mm.bugOn(!mm.memmap.test(head, PG_locked), 'folio_unlock of an unlocked page');
  mm.memmap.clear(head, PG_locked);
  mm.pageWaitQueue.wakeUp();
}
