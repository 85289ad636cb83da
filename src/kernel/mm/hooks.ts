/**
 * Where mm/ calls up into the architecture and, through it, into tag storage: the series' table of
 * contents.
 *
 * mm/ imports no implementation. Each hook names the patch of RFC v3 that brought it (or "arm64", for
 * one that was there), and its colour says where it may be called. `NO_HOOKS` is an architecture
 * without MTE: every hook compiled away.
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import type { Inode } from './filemap.js';
import type { Gfp } from './gfp.js';
import type { HibernationHooks } from './hibernate.js';
import type { Page } from './memmap.js';
import type { Pte } from './pgtable.js';
import type { Vma } from './vma.js';

/** What copy_highpage needs to have at hand, made where sleeping is allowed. */
export interface CopyPreparation {
  /** A stash buffer, if one was needed; the hooks' own. */
  buffer?: unknown;
}

/** What a fault-on-access handler decided. */
export interface FaultOnAccessOutcome {
  /** 0, VM_FAULT_RETRY, VM_FAULT_OOM, ... */
  readonly fault: number;
  /** Write the ordinary entry now: the block is there. */
  readonly mapPte: boolean;
}

/** The fault as the handler may see it. */
export interface FaultOnAccessContext {
  readonly vma: Vma;
  readonly addr: number;
  /** FAULT_FLAG_*. */
  readonly flags: number;
  /** Releases the fault lock (mmap_lock), which the handler must do when it returns VM_FAULT_RETRY. */
  releaseFaultLock(): void;
}

/** Where an allocation for a VMA is made. */
export type GfpCaller = 'vma_alloc_folio' | 'shmem' | 'shmem-huge' | 'swap-cache';

/** Where collapse asks about a mapping. */
export type CollapseCaller = 'scan' | 'revalidate';

/**
 * Where copies of clean pages of files are kept when they leave the page cache, as Linux had it to 5.16
 * (include/linux/cleancache.h; tag-storage.md 8.4). Nothing depends on a copy: it may be dropped at any moment, in any
 * context.
 */
export interface CleanPages {
  /** cleancache_put_page(): the page, locked and unmapped, is as the file has it, and leaves the cache at reclaim. */
  put(inode: Inode, index: number, page: Page): Atomic<void>;
  /** cleancache_get_page(): the new, locked page is filled where there was a copy, which is none from then on. */
  get(inode: Inode, index: number, page: Page): Atomic<boolean>;
  /** cleancache_invalidate_page() of all from page `first` on: the file was truncated there. */
  invalidate(inode: Inode, first: number): Atomic<void>;
}

export interface MmHooks {
  /** Undefined where nobody keeps them. */
  readonly cleanPages?: CleanPages | undefined;
  /**
   * v3/1: after refcount 1, before zeroing. Under v3 best effort: the page is usable whatever happens.
   *
   * @returns false where the policy refuses the page (v1 and v2): another one is tried.
   */
  archAllocPage(page: Page, order: number, gfp: Gfp): MaySleep<boolean>;
  /** The same where the caller must not sleep: a policy that would have to migrate does nothing. */
  archAllocPageAtomic(page: Page, order: number, gfp: Gfp): Atomic<boolean>;
  /** v3/2: while page flags are still there; from any context. */
  archFreePagesPrepare(page: Page, order: number): Atomic<void>;
  /** Must archFreePagesPrepare be called for this page? A cheap test that spares untagged pages the hook. */
  archNeedsFreePrepare(page: Page): boolean;
  /** v3/3: may the allocation use MIGRATE_CMA? */
  archAllocCma(gfp: Gfp): boolean;
  /** arm64, changed by v3/23: zero a page's data and, where its block is held, its tags. */
  tagClearHighpage(page: Page): void;
  /** v3/11: flags to add to allocations for this VMA; never removes any. */
  archCalcVmaGfp(vma: Vma | undefined, gfp: Gfp, caller: GfpCaller): Gfp;
  /**
   * The huge zero page is about to be mapped in `vma`: false where its tags would have no block
   * (tag-storage.md 3.4), and small zero pages must do.
   */
  archHugeZeroPage(page: Page, order: number, vma: Vma): MaySleep<boolean>;
  /**
   * v3/31 (arch_hugepage_vma_revalidate): may pages of the mapping be collapsed into a huge one
   * (tag-storage.md 7.2)? The series asks only when an anonymous mapping is looked at again; the scan, which
   * also sees files of RAM, asks here.
   */
  archHugepageVmaRevalidate(vma: Vma, caller: CollapseCaller): boolean;
  /**
   * v3/13: the handler of PROT_NONE faults takes its reference before it sees that a large folio is mapped page by
   * page; whether it leaves by that exit without dropping it.
   */
  readonly numaHintKeepsLargeFolio: boolean;
  /** v3/13: does the set-PTE hook have to look at this entry? */
  needsSyncTags(pte: Pte): boolean;
  /**
   * v3/26, the safety net: every entry passes here before it is written. Returns the entry to write for
   * all `nr` pages from `page`: itself, with tags made valid, or fault-on-access.
   */
  mteSyncTags(pte: Pte, page: Page, nr: number): Atomic<Pte>;
  /** arm64: instructions written as data become visible. */
  syncIcacheDcache(page: Page): void;
  /** v3/13, v3/26, v3/27: a page without its block is accessed; drops the folio reference always. */
  archHandleFolioFaultOnAccess(folio: Page, context: FaultOnAccessContext): MaySleep<FaultOnAccessOutcome>;
  /**
   * v3/29, split as the review asked (tag-storage.md 6.7 b): everything that can fail or sleep, before
   * the copy.
   *
   * @returns the preparation, or a negative errno.
   */
  copyHighpagePrepare(to: Page, from: Page): MaySleep<CopyPreparation | number>;
  /**
   * Data and tags of one page; cannot sleep.
   *
   * @returns 0, or -EAGAIN where the source turned tagged since the preparation: prepare again.
   */
  copyHighpage(to: Page, from: Page, preparation: CopyPreparation): Atomic<number>;
  /** Gives back what the copy did not need. */
  copyHighpageEnd(preparation: CopyPreparation): Atomic<void>;
  /**
   * arm64: memcmp() of two pages, but pages that have tags, wherever those are, equal none but themselves: KSM
   * must not merge them.
   */
  memcmpPages(page1: Page, page2: Page): number;
  /** arm64: saves the tags of a page that is about to be written to a swap slot; 0 or -ENOMEM. */
  archPrepareToSwap(page: Page, entry: number): MaySleep<number>;
  /** arm64: the slot is free. */
  archSwapInvalidatePage(entry: number): Atomic<void>;
  /**
   * v3/12, v3/28: before the page-table lock, the page locked: room for tags whose page has no block; 0 or
   * -ENOMEM.
   */
  archSwapPrepareToRestore(entry: number, page: Page): MaySleep<number>;
  /** arm64, changed by v3/28: under the lock; writes the tags where the page has its block. */
  archSwapRestore(entry: number, page: Page): Atomic<void>;
  /** arm64: tags over a hibernation. */
  hibernation: HibernationHooks;
  /** May the page be taken to hold tags' data? Reports only: is it tag storage, and whose? */
  isTagStoragePage(page: Page): boolean;
}
