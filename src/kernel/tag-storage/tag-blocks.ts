/**
 * Reserving and freeing tag blocks for tagged pages (v3/23 and v3/24, with the defects that
 * tag-storage.md 4 and 7.6 list put right).
 *
 * A block's first page carries the count in its struct page: 1 for the allocation itself and 1 for each
 * page whose tags it holds; dropping to 1 means free. `tag_blocks_reserved` says which blocks are
 * held. Reserving sleeps and is serialised by `tag_blocks_lock`; freeing runs anywhere, interrupts
 * included, so the xarray's lock is always taken with interrupts off. Lock order: mmap_lock >
 * tag_blocks_lock > cma_mutex > zone lock; tag_blocks_lock > tags_by_pfn; xarray lock > zone lock.
 *
 * How a block is taken from its present user and given back is the policy's: `BlockManager`.
 */
import { PA } from '../../base/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EBUSY, EEXIST, EINTR, EINVAL, ENOMEM, Mutex, racePoint, SpinLock } from '../contexts/index.js';
import type { Mm, Page, TagRegion } from '../mm/index.js';
import { PG_tag_storage_reserved, putPage } from '../mm/index.js';
import type { FolioBlock, TagBlock } from './blocks.js';
import { folioBlocks } from './blocks.js';
import type { TagStash } from './stash.js';

const PINNED = racePoint('tag blocks pinned');
const STORED = racePoint('tag block stored');

/** Pages a replacement looks at before it settles for one without its block. */
const MAX_CANDIDATES = 1024;

/** Takes blocks away from whoever uses them as data, and lends them again. */
export interface BlockManager {
  /** All pages of the block are ours, each with refcount 1; 0 or a negative errno and nothing changed. */
  claim(block: TagBlock): MaySleep<number>;
  /** The block holds nobody's tags: lend it. From any context. */
  release(block: TagBlock): Atomic<void>;
}

export class TagBlocks {
  protected readonly mm: Mm;
  protected readonly stash: TagStash;
  protected readonly manager: BlockManager;
  readonly #tagBlocksLock: Mutex;
  protected readonly xaLock: SpinLock;
  /** tag_blocks_reserved: first page of each block held for tags. */
  protected readonly reserved = new Map<Page, TagBlock>();
  protected regions: readonly TagRegion[] = [];
  /** Of the reservation under way (the lock admits one): pages that their blocks count and that are not reserved yet. */
  readonly #pinned = new Map<Page, number>();
  #claiming: TagBlock | undefined;
  #warnedMissing = false;
  /** Blocks that just could not be had, while a replacement looks for a page that has one. */
  #avoided: Set<Page> | undefined;

  constructor(mm: Mm, stash: TagStash, manager: BlockManager) {
    this.mm = mm;
    this.stash = stash;
    this.manager = manager;
    this.#tagBlocksLock = new Mutex(mm.contexts, 'tag_blocks_lock');
    this.xaLock = new SpinLock(mm.contexts, 'tag_blocks_reserved');
  }

  setRegions(regions: readonly TagRegion[]): void {
    this.regions = regions;
  }

  /** First pages of the blocks held. */
  get held(): ReadonlyMap<Page, TagBlock> {
    return this.reserved;
  }

  /** What a reservation that sleeps has done so far: the block it is taking, and references it holds on others. */
  get underWay(): { readonly claiming: TagBlock | undefined; readonly pinned: ReadonlyMap<Page, number> } {
    return { claiming: this.#claiming, pinned: this.#pinned };
  }

  /** Records a block that was held from boot (the zero page's), for `page`. */
  adopt(block: TagBlock, page: Page): void {
    const first = this.firstPage(block);
    this.reserved.set(first, block);
    this.mm.memmap.refcount[first]!++;
    this.mm.memmap.set(page, PG_tag_storage_reserved);
  }

  protected firstPage(block: TagBlock): Page {
    return this.mm.memmap.pfnToPage(block.pfn)!;
  }

  /** The blocks of 2^order pages, each with how many of the pages it is for. */
  protected blocksOf(page: Page, order: number): FolioBlock[] | undefined {
    return folioBlocks(this.regions, this.mm.memmap.pageToPfn(page), order);
  }

  /** xa_store(): interrupts off, for pages are freed, and blocks dropped, from interrupts. */
  protected *insert(block: FolioBlock): Atomic<void> {
    const first = this.firstPage(block);
    yield* this.xaLock.lockIrqsave();
    this.reserved.set(first, block);
    this.mm.memmap.refcount[first]! += block.pages;
    this.xaLock.unlockIrqrestore();
  }

  /**
   * Allocates a page that has its block, for a replacement: pages whose block cannot be had are held back
   * meanwhile, and no block is tried twice. Falls back to a page without one, as the series does.
   */
  *allocWithStorage(alloc: () => MaySleep<Page | undefined>): MaySleep<Page | undefined> {
    const held: Page[] = [];
    const before = this.#avoided;
    this.#avoided = new Set();
    let found: Page | undefined;
    while (found === undefined && held.length < MAX_CANDIDATES) {
      const page = yield* alloc();
      if (page === undefined) break;
      if (this.mm.memmap.test(page, PG_tag_storage_reserved)) found = page;
      else held.push(page);
    }
    this.#avoided = before;
    found ??= held.pop();
    for (const page of held) yield* putPage(this.mm, page);
    return found;
  }

  /**
   * reserve_tag_storage(): the blocks of 2^order pages become theirs.
   *
   * @returns 0; -EINVAL where a page has no block; -EBUSY, -ENOMEM or -EINTR as claiming said.
   */
  *reserve(page: Page, order: number): MaySleep<number> {
    const { memmap, contexts, metrics } = this.mm;
    contexts.mightSleep('reserve_tag_storage');
    if (memmap.test(page, PG_tag_storage_reserved)) return 0;
    const blocks = this.blocksOf(page, order);
    if (!blocks) {
      metrics.reserveNoBlock++;
      this.#warnMissing(page);
      return -EINVAL;
    }
    if (this.mm.shouldFail('reserve_tag_storage')) return -EBUSY;
    yield* this.#tagBlocksLock.lock();
    let error = 0;
    if (!memmap.test(page, PG_tag_storage_reserved)) {
      error = yield* this.#takeBlocks(blocks);
      if (error === 0) yield* this.stash.restoreAndMarkReserved(page, order);
      this.#pinned.clear();
    }
    this.#tagBlocksLock.unlock();
    if (error === -EBUSY) metrics.reserveBusy++;
    else if (error === -ENOMEM) metrics.reserveNomem++;
    else if (error === -EINTR) metrics.reserveIntr++;
    return error;
  }

  *#takeBlocks(blocks: readonly FolioBlock[]): MaySleep<number> {
    const { memmap, contexts, port, pageSize, metrics } = this.mm;
    // Blocks already held get their references first, so that a concurrent last free cannot take them.
    yield* this.xaLock.lockIrqsave();
    for (const block of blocks) {
      const first = this.firstPage(block);
      if (!this.reserved.has(first)) continue;
      memmap.refcount[first]! += block.pages;
      this.#pinned.set(first, block.pages);
    }
    this.xaLock.unlockIrqrestore();
    if (contexts.racing) yield PINNED;
    for (const block of blocks) {
      const first = this.firstPage(block);
      if (this.reserved.has(first)) continue;
      this.#claiming = block;
      let error = this.#avoided?.has(first) ? -EBUSY : yield* this.manager.claim(block);
      this.#claiming = undefined;
      if (error === -EBUSY) this.#avoided?.add(first);
      if (error === -EEXIST) {
        this.mm.warn(`tag block 0x${block.pfn.toString(16)} is allocated but not reserved`);
        error = -EBUSY;
      }
      if (error === 0 && this.mm.shouldFail('xa_store')) {
        yield* this.manager.release(block);
        error = -ENOMEM;
      }
      if (error !== 0) {
        yield* this.#dropBlocks(blocks);
        return error;
      }
      // A dirty line of the old data, written back later, would overwrite tags.
      const bytes = block.region.blockSizePages * pageSize;
      port.dcacheInvalPoc(PA(block.pfn * pageSize), bytes);
      metrics.dataLinesInvalidated += bytes / 64;
      yield* this.insert(block);
      this.#pinned.set(first, block.pages);
      if (contexts.racing) yield STORED;
    }
    return 0;
  }

  /** Takes this folio's pages off every block that is held, and releases those left without any. */
  *#dropBlocks(blocks: readonly FolioBlock[]): Atomic<void> {
    const { memmap } = this.mm;
    yield* this.xaLock.lockIrqsave();
    for (const block of blocks) {
      const first = this.firstPage(block);
      if (!this.reserved.has(first)) continue;
      memmap.refcount[first]! -= block.pages;
      if (memmap.refcount[first] === 1) {
        this.reserved.delete(first);
        yield* this.manager.release(block);
      }
    }
    this.xaLock.unlockIrqrestore();
  }

  /**
   * free_tag_storage(): the pages are being freed; their tag lines must not outlive them. There is nothing of theirs in
   * the stash: what was there went to its place as they were marked reserved, under the lock that whoever saves tags
   * looks at the mark under.
   */
  *free(page: Page, order: number): Atomic<void> {
    const { port, pageSize, metrics } = this.mm;
    const blocks = this.blocksOf(page, order);
    if (!blocks) {
      this.#warnMissing(page);
      return;
    }
    // A dirty tag line evicted after the block is lent would overwrite data placed there.
    const bytes = pageSize * (1 << order);
    port.dcacheInvalTagsPoc(this.mm.pageToPa(page), bytes);
    metrics.tagLinesInvalidated += bytes / 2048;
    for (const block of blocks) {
      if (!this.reserved.has(this.firstPage(block))) {
        this.mm.warn(`tag block 0x${block.pfn.toString(16)} is not reserved`);
      }
    }
    yield* this.#dropBlocks(blocks);
  }

  #warnMissing(page: Page): void {
    if (this.#warnedMissing) return;
    this.#warnedMissing = true;
    this.mm.warn(`missing tag storage block for pfn 0x${this.mm.memmap.pageToPfn(page).toString(16)}`);
  }
}
