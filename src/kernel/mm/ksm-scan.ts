/**
 * ksmd: goes round the address spaces that asked for it, page by page, and merges what is equal (mm/ksm.c:
 * scan_get_next_rmap_item(), cmp_and_merge_page(), ksm_do_scan()).
 *
 * A page is looked up among the merged ones first; then, if it has not changed since the last time, among those
 * that wait for their like (unstable tree), which begins anew with each round because nothing keeps its pages
 * from being written to.
 */
import type { MaySleep } from '../contexts/index.js';
import { sleepPoint } from '../contexts/index.js';
import { folioLock, folioTrylock, folioUnlock } from './folio-lock.js';
import type { KsmMmSlot, RmapCursor, RmapItem } from './ksm.js';
import { findMergeableVma, freeSlot, GFP_KSM, isKsmPage, stableNodeOf } from './ksm.js';
import { breakCow, followAnonPage, tryToMergeWithKsmPage, tryToMergeWithZeroPage } from './ksm-merge.js';
import {
  mergeOrder,
  removeRmapItemFromTree,
  stableTreeAppend,
  stableTreeInsert,
  stableTreeSearch,
} from './ksm-stable-tree.js';
import type { TreePlace } from './ksm-tree.js';
import { lruAddDrainAll, putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { nextPteRun } from './page-table.js';
import { splitFolio } from './split-folio.js';
import type { Vma } from './vma.js';
import { VM_MERGEABLE } from './vma.js';

const COND_RESCHED = sleepPoint('cond_resched');

/** Ages at which smart scan looks at pages less often, and how many rounds they sit out. */
const YOUNG = 3;
const MOST_AGE = 255;
const skipAge = (age: number): number => (age <= 3 ? 1 : age <= 5 ? 2 : age <= 8 ? 4 : 8);

/** calc_checksum(): tells whether a page changed; any hash does. */
function calcChecksum(mm: Mm, page: Page): number {
  const bytes = mm.port.readBytes(mm.pageToPa(page), mm.pageSize);
  const words = new Uint32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  let hash = 0x811c9dc5;
  for (const word of words) {
    hash = Math.imul(hash ^ word, 0x01000193);
    hash ^= hash >>> 15;
  }
  return hash >>> 0;
}

function zeroChecksum(mm: Mm): number {
  mm.ksm.zeroChecksum ??= calcChecksum(mm, mm.zeroPage);
  return mm.ksm.zeroChecksum;
}

/** free_rmap_item(); it is in no tree. */
function* freeRmapItem(mm: Mm, item: RmapItem) {
  mm.ksm.rmapItems--;
  item.mm.ksmRmapItems--;
  yield* mm.ksm.rmapItemCache.free(item.object);
}

/** remove_trailing_rmap_items(): everything behind the cursor. */
export function* removeTrailingRmapItems(mm: Mm, cursor: RmapCursor): MaySleep<void> {
  for (let item = cursor.next; item !== undefined; item = cursor.next) {
    cursor.next = item.next;
    yield* removeRmapItemFromTree(mm, item);
    yield* freeRmapItem(mm, item);
  }
}

/** get_next_rmap_item(): the item of `addr`; those before it stood for pages that are not there any more. */
function* getNextRmapItem(
  mm: Mm,
  as: MmStruct,
  cursor: RmapCursor,
  addr: number,
): MaySleep<RmapItem | undefined> {
  const { ksm } = mm;
  for (let item = cursor.next; item !== undefined && item.addr <= addr; item = cursor.next) {
    if (item.addr === addr) return item;
    cursor.next = item.next;
    yield* removeRmapItemFromTree(mm, item);
    yield* freeRmapItem(mm, item);
  }
  const object = yield* ksm.rmapItemCache.alloc(GFP_KSM);
  if (object === undefined) return undefined;
  const item: RmapItem = {
    next: cursor.next,
    mm: as,
    addr,
    state: 'none',
    seqnr: 0,
    node: undefined,
    entry: undefined,
    anonVma: undefined,
    oldChecksum: 0,
    age: 0,
    remainingSkips: 0,
    object,
  };
  cursor.next = item;
  ksm.rmapItems++;
  as.ksmRmapItems++;
  return item;
}

/** should_skip_rmap_item(): smart scan leaves out pages that found nobody for long. */
function* shouldSkip(mm: Mm, page: Page, item: RmapItem): MaySleep<boolean> {
  const { ksm } = mm;
  if (!ksm.smartScan || isKsmPage(mm, page)) return false;
  const { age } = item;
  if (age < MOST_AGE) item.age++;
  if (age < YOUNG) return false;
  if (item.remainingSkips === 0) {
    item.remainingSkips = skipAge(age);
    return false;
  }
  ksm.pagesSkipped++;
  item.remainingSkips--;
  yield* removeRmapItemFromTree(mm, item);
  return true;
}

interface Scanned {
  readonly item: RmapItem;
  /** With a reference. */
  readonly page: Page;
}

/** The next page of one mapping, from the cursor on; 'short' where there was no memory for its item. */
function* scanVma(mm: Mm, slot: KsmMmSlot, vma: Vma): MaySleep<Scanned | 'short' | undefined> {
  const { scan } = mm.ksm;
  const as = vma.mm;
  scan.address = Math.max(scan.address, vma.start);
  if (vma.anonVma === undefined) scan.address = vma.end;
  while (scan.address < vma.end && !as.exiting) {
    const run = nextPteRun(mm, as, scan.address, vma.end);
    scan.address = run?.addr ?? vma.end;
    if (run === undefined) return undefined;
    const page = yield* followAnonPage(mm, vma, scan.address);
    if (page !== undefined) {
      const item = yield* getNextRmapItem(mm, slot.mm!, scan.rmap, scan.address);
      if (item === undefined) {
        yield* putPage(mm, page);
        return 'short';
      }
      scan.rmap = item;
      const skipped = yield* shouldSkip(mm, page, item);
      scan.address += mm.pageSize;
      if (!skipped) return { item, page };
      yield* putPage(mm, page);
    } else {
      scan.address += mm.pageSize;
    }
    if (mm.contexts.racing) yield COND_RESCHED;
  }
  return undefined;
}

/** Of one address space; the cursor goes on to the next one where there is no more page here. */
function* scanSlot(mm: Mm, slot: KsmMmSlot): MaySleep<Scanned | 'short' | undefined> {
  const { scan } = mm.ksm;
  const as = slot.mm!;
  yield* as.mmapLock.downRead();
  if (!as.exiting) {
    for (let i = as.vmas.indexAbove(scan.address); i < as.vmas.size; i++) {
      const vma = as.vmas.at(i)!;
      if ((vma.flags & VM_MERGEABLE) === 0) continue;
      const found = yield* scanVma(mm, slot, vma);
      if (found !== undefined) {
        as.mmapLock.upRead();
        return found;
      }
      if (as.exiting) break;
    }
  }
  if (as.exiting) {
    scan.address = 0;
    scan.rmap = slot;
  }
  // What stands behind the cursor is of mappings that are not mergeable any more.
  yield* removeTrailingRmapItems(mm, scan.rmap);
  scan.slot = slot.after;
  // Nothing mergeable in all of it: it is forgotten, until it asks again.
  if (scan.address === 0) {
    as.mergeAny = false;
    yield* freeSlot(mm, slot);
  }
  as.mmapLock.upRead();
  return undefined;
}

/** scan_get_next_rmap_item(): undefined at the end of a round, and where memory is short. */
function* scanGetNextRmapItem(mm: Mm): MaySleep<Scanned | undefined> {
  const { ksm } = mm;
  const { scan } = ksm;
  if (ksm.head.after === ksm.head) return undefined;
  if (scan.slot === ksm.head) {
    // A page that waits in a batch has a reference there, and could not be merged.
    yield* lruAddDrainAll(mm);
    ksm.unstable.clear();
    if (ksm.head.after === ksm.head) return undefined;
    startSlot(mm, ksm.head.after);
  }
  while (scan.slot !== ksm.head) {
    const slot = scan.slot;
    const found = yield* scanSlot(mm, slot);
    if (found === 'short') return undefined;
    if (found !== undefined) return found;
    if (scan.slot !== ksm.head) startSlot(mm, scan.slot);
  }
  scan.seqnr++;
  return undefined;
}

function startSlot(mm: Mm, slot: KsmMmSlot): void {
  const { scan } = mm.ksm;
  scan.slot = slot;
  scan.address = 0;
  scan.rmap = slot;
}

/** get_mergeable_page(): the page that stands where an item is, with a reference. */
function* getMergeablePage(mm: Mm, item: RmapItem): MaySleep<Page | undefined> {
  yield* item.mm.mmapLock.downRead();
  const vma = findMergeableVma(item.mm, item.addr);
  const page = vma && (yield* followAnonPage(mm, vma, item.addr));
  item.mm.mmapLock.upRead();
  return page;
}

/**
 * unstable_tree_search_insert(): an item whose page, returned with a reference, is as this one; where there is
 * none, this item waits in the tree.
 */
function* unstableTreeSearchInsert(mm: Mm, item: RmapItem, page: Page): MaySleep<Scanned | undefined> {
  const { ksm } = mm;
  let place: TreePlace<RmapItem> = { parent: undefined, left: false };
  let at = ksm.unstable.root;
  while (at !== undefined) {
    const treePage = yield* getMergeablePage(mm, at.value);
    if (treePage === undefined) return undefined;
    // Of a fork: it is one page already.
    const order = treePage === page ? undefined : mergeOrder(mm, page, treePage);
    if (order === 0) return { item: at.value, page: treePage };
    yield* putPage(mm, treePage);
    if (order === undefined) return undefined;
    place = { parent: at, left: order < 0 };
    at = order < 0 ? at.left : at.right;
  }
  item.state = 'unstable';
  item.seqnr = ksm.scan.seqnr;
  item.entry = ksm.unstable.insert(item, place);
  ksm.pagesUnshared++;
  return undefined;
}

/** Two pages that are equal, neither merged yet: the first becomes the KSM page of both. */
function* mergeTwo(mm: Mm, item: RmapItem, page: Page, tree: Scanned): MaySleep<void> {
  let merged = (yield* tryToMergeWithKsmPage(mm, item, page, undefined)) === 0;
  if (merged && (yield* tryToMergeWithKsmPage(mm, tree.item, tree.page, page)) !== 0) {
    // A KSM page of one mapping is of no use.
    yield* breakCow(mm, item);
    merged = false;
  }
  const oneFolio = mm.memmap.head(page) === mm.memmap.head(tree.page) && page !== tree.page;
  yield* putPage(mm, tree.page);
  if (merged) {
    yield* folioLock(mm, page);
    const node = yield* stableTreeInsert(mm, page);
    if (node !== undefined) {
      stableTreeAppend(mm, tree.item, node);
      stableTreeAppend(mm, item, node);
    }
    folioUnlock(mm, page);
    if (node !== undefined) return;
    yield* breakCow(mm, tree.item);
    yield* breakCow(mm, item);
  } else if (oneFolio && folioTrylock(mm, mm.memmap.head(page))) {
    // Two parts of one huge page kept each other from splitting it.
    const head = mm.memmap.head(page);
    const split = (yield* splitFolio(mm, head, page)) === 0;
    folioUnlock(mm, split ? page : head);
  }
}

/** cmp_and_merge_page(): what becomes of one page this time; the caller has a reference. */
function* cmpAndMergePage(mm: Mm, page: Page, item: RmapItem): MaySleep<void> {
  const { ksm } = mm;
  const node = stableNodeOf(mm, page);
  if (node !== undefined && item.node === node) return;
  const kpage = yield* stableTreeSearch(mm, page);
  yield* removeRmapItemFromTree(mm, item);
  if (kpage === 'busy') return;
  if (kpage !== undefined) {
    if ((yield* tryToMergeWithKsmPage(mm, item, page, kpage)) === 0) {
      yield* folioLock(mm, kpage);
      const of = stableNodeOf(mm, kpage);
      mm.bugOn(of === undefined, 'a KSM page with a reference has lost its node');
      stableTreeAppend(mm, item, of!);
      folioUnlock(mm, kpage);
    }
    yield* putPage(mm, kpage);
    return;
  }
  // A page that keeps changing would only be in the way.
  const checksum = calcChecksum(mm, page);
  if (item.oldChecksum !== checksum) {
    item.oldChecksum = checksum;
    return;
  }
  if (ksm.useZeroPages && checksum === zeroChecksum(mm) && (yield* tryToMergeWithZeroPage(mm, item, page))) {
    return;
  }
  const tree = yield* unstableTreeSearchInsert(mm, item, page);
  if (tree !== undefined) yield* mergeTwo(mm, item, page, tree);
}

/** ksm_do_scan(): looks at up to `pages` pages, or to the end of the round; under ksm_thread_mutex. */
export function* ksmDoScan(mm: Mm, pages: number): MaySleep<void> {
  for (let left = pages; left > 0; left--) {
    yield COND_RESCHED;
    const next = yield* scanGetNextRmapItem(mm);
    if (next === undefined) return;
    yield* cmpAndMergePage(mm, next.page, next.item);
    yield* putPage(mm, next.page);
    mm.ksm.pagesScanned++;
  }
}
