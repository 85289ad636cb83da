/**
 * `tags_by_pfn`: tags of pages that have no tag block, kept in kernel memory until they do; and
 * `tags_by_swp_entry`: tags of pages that are swapped out (v3/28, v3/29; rules repaired after
 * tag-storage.md 6.4 to 6.6).
 *
 * Buffers are a page's worth of packed tags each, cut from slab pages in guest memory. One lock,
 * taken with interrupts off because pages are freed from interrupts, covers {look up, write tags, set
 * PG_tag_storage_reserved}: nobody can save tags for a page that has just got its block, and nobody
 * sees a page reserved whose tags are not back. Nothing allocates or sleeps under it.
 */
import type { PA } from '../../base/index.js';
import type { Mte } from '../arch/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { ENOMEM, racePoint, SpinLock } from '../contexts/index.js';
import type { Mm, Page } from '../mm/index.js';
import { GFP_KERNEL, PG_tag_storage_reserved, SlabCache } from '../mm/index.js';

const RESTORED = racePoint('tags restored');

export class TagStash {
  protected readonly mm: Mm;
  protected readonly mte: Mte;
  protected readonly buffers: SlabCache;
  protected readonly lock: SpinLock;
  /** Page -> buffer. */
  protected readonly byPage = new Map<Page, PA>();
  /** tags_by_swp_entry: swap slot -> buffer. */
  protected readonly bySwapEntry = new Map<number, PA>();

  constructor(mm: Mm, mte: Mte) {
    this.mm = mm;
    this.mte = mte;
    this.buffers = new SlabCache(mm, 'mte_tags', mm.pageSize / 32);
    this.lock = new SpinLock(mm.contexts, 'tags_by_pfn');
  }

  get size(): number {
    return this.byPage.size;
  }

  has(page: Page): boolean {
    return this.byPage.has(page);
  }

  pages(): IterableIterator<Page> {
    return this.byPage.keys();
  }

  /** Buffers handed out and not stored: must be 0 between operations. */
  get looseBuffers(): number {
    return this.buffers.inUse - this.byPage.size - this.bySwapEntry.size;
  }

  /** A page's tags, wherever they are: the question that swap-out, core dumps and the like must ask. */
  tagsOf(page: Page): Uint8Array | undefined {
    const { port, pageSize } = this.mm;
    const stashed = this.byPage.get(page);
    if (stashed !== undefined) return port.readBytes(stashed, pageSize / 32);
    return this.mte.pageMteTagged(page) ? port.readTags(this.mm.pageToPa(page), pageSize) : undefined;
  }

  /**
   * What copyTags will want where sleeping is allowed: a buffer, where `to` has no block and there are tags
   * to keep.
   *
   * @returns it, undefined where none is needed, or that memory is short.
   */
  *prepareCopy(to: Page, from: Page): MaySleep<PA | undefined | 'no-memory'> {
    if (this.mte.pageTagStorageReserved(to)) return undefined;
    if (!this.mte.pageMteTagged(from) && !this.has(from)) return undefined;
    return (yield* this.allocBuffer()) ?? 'no-memory';
  }

  /** mte_save_page_tags_by_swp_entry(): the page is about to be written to that slot. 0 or -ENOMEM. */
  *prepareToSwap(page: Page, entry: number): MaySleep<number> {
    if (this.tagsOf(page) === undefined) return 0;
    const buffer = yield* this.allocBuffer();
    if (buffer === undefined) return -ENOMEM;
    const tags = this.tagsOf(page);
    if (tags === undefined) {
      yield* this.freeBuffer(buffer);
      return 0;
    }
    this.mm.port.writeBytes(buffer, tags);
    const replaced = this.bySwapEntry.get(entry);
    this.bySwapEntry.set(entry, buffer);
    if (replaced !== undefined) yield* this.freeBuffer(replaced);
    return 0;
  }

  /** mte_invalidate_tags_by_swp_entry(). */
  *invalidateSwapEntry(entry: number): Atomic<void> {
    const buffer = this.bySwapEntry.get(entry);
    if (buffer === undefined) return;
    this.bySwapEntry.delete(entry);
    yield* this.freeBuffer(buffer);
  }

  /** arch_swap_prepare_to_restore(): tags whose page has no block wait in the stash of the page. */
  *prepareToRestore(entry: number, page: Page): MaySleep<number> {
    if (!this.bySwapEntry.has(entry) || this.has(page)) return 0;
    if (this.mte.pageMteTagged(page) || this.mte.pageTagStorageReserved(page)) return 0;
    const buffer = yield* this.allocBuffer();
    if (buffer === undefined) return -ENOMEM;
    const saved = this.bySwapEntry.get(entry);
    let kept = false;
    if (saved !== undefined) {
      this.mm.port.writeBytes(buffer, this.mm.port.readBytes(saved, this.mm.pageSize / 32));
      kept = yield* this.save(page, buffer);
    }
    if (!kept) yield* this.freeBuffer(buffer);
    return 0;
  }

  /** arch_swap_restore(): to the page itself, where it has its block and no tags yet. */
  *restoreFromSwap(entry: number, page: Page): Atomic<void> {
    const saved = this.bySwapEntry.get(entry);
    if (saved === undefined) return;
    yield* this.lock.lockIrqsave();
    if (this.mte.pageTagStorageReserved(page) && !this.mte.pageMteTagged(page)) {
      this.mm.port.writeTags(this.mm.pageToPa(page), this.mm.port.readBytes(saved, this.mm.pageSize / 32));
      this.mte.setPageMteTagged(page);
    }
    this.lock.unlockIrqrestore();
  }

  /** mte_save_tags_for_pfn(): false where the page has its block meanwhile, and the buffer is the caller's. */
  protected *save(page: Page, buffer: PA): Atomic<boolean> {
    yield* this.lock.lockIrqsave();
    const reserved = this.mte.pageTagStorageReserved(page);
    const replaced = this.byPage.get(page);
    if (!reserved) {
      this.byPage.set(page, buffer);
      this.mm.metrics.stashStored++;
      this.mm.metrics.stashPeak = Math.max(this.mm.metrics.stashPeak, this.byPage.size);
    }
    this.lock.unlockIrqrestore();
    if (!reserved && replaced !== undefined) yield* this.freeBuffer(replaced);
    return !reserved;
  }

  /** mte_allocate_tag_buf(). */
  allocBuffer(): MaySleep<PA | undefined> {
    return this.buffers.alloc(GFP_KERNEL);
  }

  freeBuffer(buffer: PA): Atomic<void> {
    return this.buffers.free(buffer);
  }

  /**
   * Brings the tags of `from` to `to`, whichever of tags and stash each of them has; `from` keeps its own,
   * for a copy on write leaves it alive.
   *
   * @param spare a buffer to use if `to` has no block.
   * @returns what became of it: 'used', 'unused', or 'needed' where there was none.
   */
  *copyTags(to: Page, from: Page, spare: PA | undefined): Atomic<'used' | 'unused' | 'needed'> {
    const { port } = this.mm;
    let replaced: PA | undefined;
    let outcome: 'used' | 'unused' | 'needed' = 'unused';
    yield* this.lock.lockIrqsave();
    const tags = this.tagsOf(from);
    if (tags !== undefined) {
      if (this.mte.pageTagStorageReserved(to)) {
        port.writeTags(this.mm.pageToPa(to), tags);
        this.mte.setPageMteTagged(to);
      } else if (spare === undefined) {
        outcome = 'needed';
      } else {
        port.writeBytes(spare, tags);
        replaced = this.byPage.get(to);
        this.byPage.set(to, spare);
        this.mm.metrics.stashStored++;
        this.mm.metrics.stashPeak = Math.max(this.mm.metrics.stashPeak, this.byPage.size);
        outcome = 'used';
      }
    }
    this.lock.unlockIrqrestore();
    if (replaced !== undefined) yield* this.buffers.free(replaced);
    return outcome;
  }

  /**
   * The block of every page of the folio is held: stashed tags go to their place, and the pages are marked
   * reserved, in one critical section (tag-storage.md 6.4).
   */
  *restoreAndMarkReserved(page: Page, order: number): Atomic<void> {
    const mm = this.mm;
    const freed: PA[] = [];
    yield* this.lock.lockIrqsave();
    for (let i = 0; i < 1 << order; i++) {
      const at = (page + i) as Page;
      const buffer = this.byPage.get(at);
      if (buffer !== undefined) {
        mm.port.writeTags(mm.pageToPa(at), mm.port.readBytes(buffer, mm.pageSize / 32));
        if (mm.contexts.racing) yield RESTORED;
        this.byPage.delete(at);
        freed.push(buffer);
        mm.metrics.stashRestored++;
      }
      mm.memmap.set(at, PG_tag_storage_reserved);
      if (buffer !== undefined) this.mte.setPageMteTagged(at);
    }
    this.lock.unlockIrqrestore();
    for (const buffer of freed) yield* this.buffers.free(buffer);
  }

  /** Pages that never had their block are being freed. */
  dropUnreserved(page: Page, order: number): Atomic<void> {
    return this.drop(page, order);
  }

  /** The pages are being freed: their next owner must not inherit tags. */
  *drop(page: Page, order: number): Atomic<void> {
    if (this.byPage.size === 0) return;
    const freed: PA[] = [];
    yield* this.lock.lockIrqsave();
    for (let i = 0; i < 1 << order; i++) {
      const buffer = this.byPage.get((page + i) as Page);
      if (buffer === undefined) continue;
      this.byPage.delete((page + i) as Page);
      freed.push(buffer);
      this.mm.metrics.stashDropped++;
    }
    this.lock.unlockIrqrestore();
    for (const buffer of freed) yield* this.buffers.free(buffer);
  }
}
