/**
 * A tagged mapping of a page without its tag block is accessed (v3/26, v3/27; tag-storage.md 5.4).
 *
 * Reserve the block; where that fails twice, or where the page is itself tag storage, give the process
 * another page that has one. The folio reference that came with the fault is dropped in every case.
 */
import type { MaySleep } from '../contexts/index.js';
import { EAGAIN, EBUSY } from '../contexts/index.js';
import type { FaultOnAccessContext, FaultOnAccessOutcome, Mm, Page, TagRegion } from '../mm/index.js';
import {
  __GFP_TAGGED,
  allocLike,
  allowRetryFirst,
  FAULT_FLAG_RETRY_NOWAIT,
  folioIsolateLru,
  folioPutbackLru,
  GFP_HIGHUSER_MOVABLE,
  lruCacheDisable,
  lruCacheEnable,
  MIGRATE_ISOLATE,
  migratePages,
  putPage,
  VM_FAULT_RETRY,
  VM_MTE,
} from '../mm/index.js';
import { regionOfTagPage } from './blocks.js';
import type { TagBlocks } from './tag-blocks.js';

/** Rounds of migrate_pages for one replacement. */
const REPLACE_TRIES = 3;

const MAP: FaultOnAccessOutcome = { fault: 0, mapPte: true };
/** The access is simply made again. */
const REPLAY: FaultOnAccessOutcome = { fault: 0, mapPte: false };
const RETRY: FaultOnAccessOutcome = { fault: VM_FAULT_RETRY, mapPte: false };

/**
 * arch_handle_folio_fault_on_access().
 *
 * @param replacesWhenBusy whether a page whose block cannot be had is replaced, as v3 brought it.
 */
export function* handleFolioFaultOnAccess(
  mm: Mm,
  blocks: TagBlocks,
  regions: readonly TagRegion[],
  folio: Page,
  context: FaultOnAccessContext,
  replacesWhenBusy = true,
): MaySleep<FaultOnAccessOutcome> {
  const { memmap, metrics } = mm;
  metrics.faultOnAccessFaults++;
  if ((context.vma.flags & VM_MTE) === 0) {
    mm.warn('fault-on-access entry outside a tagged mapping');
    yield* putPage(mm, folio);
    return MAP;
  }
  // Probably being migrated: a migration entry to wait at will be there in a moment.
  if (memmap.pageblockMigratetype(folio) === MIGRATE_ISOLATE) return yield* retry(mm, folio, context);
  if (regionOfTagPage(regions, memmap.pageToPfn(folio))) {
    yield* replaceFolioWithTagged(mm, blocks, folio);
    return REPLAY;
  }
  const head = memmap.head(folio);
  const error = yield* blocks.reserve(head, memmap.folioOrder(head));
  if (error === 0) {
    yield* putPage(mm, folio);
    return MAP;
  }
  // Moving the page is expensive: see first whether whoever holds the block lets go of it.
  if (allowRetryFirst(context.flags) || !replacesWhenBusy) return yield* retry(mm, folio, context);
  yield* replaceFolioWithTagged(mm, blocks, folio);
  return REPLAY;
}

function* retry(mm: Mm, folio: Page, context: FaultOnAccessContext): MaySleep<FaultOnAccessOutcome> {
  yield* putPage(mm, folio);
  mm.metrics.faultOnAccessRetries++;
  if (!allowRetryFirst(context.flags)) return REPLAY;
  if ((context.flags & FAULT_FLAG_RETRY_NOWAIT) === 0) context.releaseFaultLock();
  return RETRY;
}

/**
 * replace_folio_with_tagged(): moves the contents to a page allocated as tagged. Consumes the caller's
 * reference. The result matters to counters only: the access is made again either way.
 */
export function* replaceFolioWithTagged(mm: Mm, blocks: TagBlocks, folio: Page): MaySleep<number> {
  yield* lruCacheDisable(mm);
  const head = mm.memmap.head(folio);
  // In this order as Linux does it. Nobody runs between the two, for freeing a page is its last step, and a free page is
  // on no list: the other order would be as good.
  const isolated = folioIsolateLru(mm, head);
  yield* putPage(mm, folio);
  let result = -EAGAIN;
  if (isolated) {
    const list = [head];
    for (let tries = 0; tries < REPLACE_TRIES; tries++) {
      result = yield* migratePages(mm, list, (source) =>
        blocks.allocWithStorage(() => allocLike(mm, source, GFP_HIGHUSER_MOVABLE | __GFP_TAGGED)),
      );
      if (result !== -EBUSY) break;
    }
    // One page; or, where a large folio had to be split, those that could not be moved.
    for (const left of list) yield* folioPutbackLru(mm, left);
  }
  lruCacheEnable(mm);
  if (result === 0) mm.metrics.replacements++;
  else mm.metrics.replacementFailures++;
  return result;
}
