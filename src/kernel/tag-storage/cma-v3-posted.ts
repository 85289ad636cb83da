/**
 * `cma-v3-posted`: RFC v3 as it was sent to the list, with the defects that review and reading found
 * (tag-storage.md sections 4 to 6, and 10). For demonstration: never use it to keep data.
 *
 * Everything that is not here is shared with `cma`. Each part says which scenario shows what is wrong.
 */
import type { PA } from '../../base/index.js';
import type { Mte } from '../arch/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EBUSY, EINTR, KernelBug, racePoint, sleepPoint, unsafeSleepInAtomic } from '../contexts/index.js';
import type { CollapseCaller, Gfp, GfpCaller, Mm, Page, TagRegion, Vma } from '../mm/index.js';
import {
  allowRetryFirst,
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_REMOTE,
  FAULT_FLAG_RETRY_NOWAIT,
  FAULT_FLAG_WRITE,
  handleMmFault,
  PG_tag_storage_reserved,
  putPage,
  VM_FAULT_ERROR,
  VM_FAULT_RETRY,
  VM_MTE,
} from '../mm/index.js';
import type { FolioBlock } from './blocks.js';
import { findBlock, PAGES_PER_TAG_PAGE } from './blocks.js';
import type { CmaSeries } from './cma.js';
import { CMA_SERIES, CmaPolicy } from './cma.js';
import { TagHibernation } from './hibernation.js';
import { TagStorageHooks } from './mm-hooks.js';
import type { PolicyFactory, RemoteAccess } from './policy.js';
import { MAX_TAG_REGIONS } from './regions.js';
import { TagStash } from './stash.js';
import { TagBlocks } from './tag-blocks.js';

const RESTORED = racePoint('stashed tags restored, page not yet reserved');
const ERASED = racePoint('stash entry of the source erased');
const INSERTING = racePoint('xa_store');
const COND_RESCHED = sleepPoint('cond_resched');

/**
 * The end of the loop over a folio's blocks lost a multiplication by the block size (v3/23): fewer blocks
 * than the folio has tags in. F1, F3.
 */
class PostedBlocks extends TagBlocks {
  protected override blocksOf(page: Page, order: number): FolioBlock[] | undefined {
    const first = findBlock(this.regions, this.mm.memmap.pageToPfn(page));
    if (!first) return undefined;
    const { region } = first;
    const b = region.blockSizePages;
    const blocks = Math.ceil(Math.max((1 << order) / PAGES_PER_TAG_PAGE, 1) / b);
    const out: FolioBlock[] = [];
    for (let pfn = first.pfn; pfn < first.pfn + blocks; pfn += b) {
      out.push({ region, pfn, pages: Math.min(1 << order, PAGES_PER_TAG_PAGE * b) });
    }
    return out;
  }

  /** xa_store() takes the lock with interrupts on, whatever XA_FLAGS_LOCK_IRQ says. F23. */
  protected override *insert(block: FolioBlock): Atomic<void> {
    const first = this.firstPage(block);
    yield* this.xaLock.lock();
    this.reserved.set(first, block);
    if (this.mm.contexts.racing) yield INSERTING;
    this.mm.memmap.refcount[first]! += block.pages;
    this.xaLock.unlock();
  }

  /** Tags may have been saved for a page that is reserved: the window of F9. */
  override *free(page: Page, order: number): Atomic<void> {
    yield* this.stash.drop(page, order);
    yield* super.free(page, order);
  }

  /** The replacement takes the first page there is, with its block or without. */
  override *allocWithStorage(alloc: () => MaySleep<Page | undefined>): MaySleep<Page | undefined> {
    return yield* alloc();
  }
}

class PostedStash extends TagStash {
  /** Every other user of tags asks for PG_mte_tagged only. F17, F8. */
  override tagsOf(page: Page): Uint8Array | undefined {
    const { port, pageSize } = this.mm;
    return this.mte.pageMteTagged(page) ? port.readTags(this.mm.pageToPa(page), pageSize) : undefined;
  }

  /** Nothing is prepared: copy_highpage() allocates where it is. R7. */
  override *prepareCopy(): MaySleep<undefined> {
    yield* [];
    return undefined;
  }

  /** copy_page_tag_storage() (v3/29). */
  override *copyTags(to: Page, from: Page): Atomic<'used' | 'unused' | 'needed'> {
    const { mm } = this;
    const { port, pageSize } = mm;
    if (this.mte.pageMteTagged(from)) {
      if (!this.mte.pageTagStorageReserved(to)) {
        // GFP_KERNEL, under whatever lock the caller holds.
        const buffer = yield* unsafeSleepInAtomic(this.allocBuffer());
        if (buffer === undefined) {
          mm.warn('cannot allocate memory for tags');
          return 'unused';
        }
        port.writeBytes(buffer, port.readTags(mm.pageToPa(from), pageSize));
        if (yield* this.save(to, buffer)) return 'unused';
        yield* this.freeBuffer(buffer);
      }
      port.writeTags(mm.pageToPa(to), port.readTags(mm.pageToPa(from), pageSize));
      this.mte.setPageMteTagged(to);
      return 'unused';
    }
    // "The source dies": true of migration only. F25.
    yield* this.lock.lock();
    const buffer = this.byPage.get(from);
    this.byPage.delete(from);
    this.lock.unlock();
    if (buffer === undefined) return 'unused';
    if (mm.contexts.racing) yield ERASED;
    if (this.mte.pageTagStorageReserved(to)) {
      port.writeTags(mm.pageToPa(to), port.readBytes(buffer, pageSize / 32));
      this.mte.setPageMteTagged(to);
      yield* this.freeBuffer(buffer);
    } else if (!(yield* this.save(to, buffer))) {
      yield* this.freeBuffer(buffer);
    }
    return 'unused';
  }

  /** mte_save_tags_for_pfn() (v3/28): false where the page was found reserved. */
  protected override *save(page: Page, buffer: PA): Atomic<boolean> {
    const { mm } = this;
    mm.contexts.mightSleep('xa_reserve(tags_by_pfn)');
    // "Saved": neither is it, nor is the buffer freed. F31.
    if (mm.shouldFail('xa_reserve')) return true;
    yield* this.lock.lock();
    if (this.mte.pageTagStorageReserved(page)) {
      // xa_release() takes the lock that is held. F22, F10.
      yield* this.lock.lock();
      this.lock.unlock();
      this.lock.unlock();
      return false;
    }
    const replaced = this.byPage.get(page);
    this.byPage.set(page, buffer);
    mm.metrics.stashStored++;
    mm.metrics.stashPeak = Math.max(mm.metrics.stashPeak, this.byPage.size);
    this.lock.unlock();
    if (replaced !== undefined) yield* this.freeBuffer(replaced);
    return true;
  }

  /** Tags first, flag afterwards, and between the two anybody may save tags that nobody will read. R6, F9. */
  override *restoreAndMarkReserved(page: Page, order: number): Atomic<void> {
    const { mm } = this;
    for (let i = 0; i < 1 << order; i++) {
      const at = (page + i) as Page;
      yield* this.lock.lock();
      const buffer = this.byPage.get(at);
      this.byPage.delete(at);
      this.lock.unlock();
      if (buffer === undefined) continue;
      mm.port.writeTags(mm.pageToPa(at), mm.port.readBytes(buffer, mm.pageSize / 32));
      this.mte.setPageMteTagged(at);
      mm.metrics.stashRestored++;
      yield* this.freeBuffer(buffer);
    }
    if (mm.contexts.racing) yield RESTORED;
    for (let i = 0; i < 1 << order; i++) mm.memmap.set((page + i) as Page, PG_tag_storage_reserved);
  }

  /** A page without its block keeps its entry when it is freed. F7. */
  override *dropUnreserved(): Atomic<void> {
    yield* [];
  }

  /** From the free path, interrupts included, with a plain spinlock. F11. */
  override *drop(page: Page, order: number): Atomic<void> {
    const freed: PA[] = [];
    yield* this.lock.lock();
    for (let i = 0; i < 1 << order; i++) {
      const buffer = this.byPage.get((page + i) as Page);
      if (buffer === undefined) continue;
      this.byPage.delete((page + i) as Page);
      freed.push(buffer);
    }
    this.lock.unlock();
    for (const buffer of freed) yield* this.freeBuffer(buffer);
  }
}

/** v3 renames what there was: blocks that hold tags are saved and come back as data, through other cache lines. F16. */
export class PostedHibernation extends TagHibernation {
  override isSaveable(): boolean {
    return true;
  }

  override beforeRestore(): void {}

  protected override beforeTags(): void {}
}

class PostedHooks extends TagStorageHooks {
  override archCalcVmaGfp(vma: Vma | undefined, gfp: Gfp, caller: GfpCaller): Gfp {
    // The swap cache has allocated without vma_alloc_folio() since 6.7. F29.
    if (caller === 'swap-cache') return 0;
    // The macro that stands for vma_alloc_folio() without NUMA has no hook. R10.
    if (caller === 'vma_alloc_folio' && !this.mm.numa) return 0;
    // write() to a huge page of tmpfs has no VMA. F28.
    if (vma === undefined) throw new KernelBug('bug', 'NULL pointer dereference in arch_calc_vma_gfp');
    return super.archCalcVmaGfp(vma, gfp, caller);
  }

  /** Of any tagged mapping, whether tag storage is lent or not, and never before an anonymous one is locked. F33. */
  override archHugepageVmaRevalidate(vma: Vma, caller: CollapseCaller): boolean {
    return caller === 'scan' || (vma.flags & VM_MTE) === 0;
  }

  /** The reference is taken earlier than before, and one exit forgets it. F24. */
  override get numaHintKeepsLargeFolio(): boolean {
    return true;
  }

  /** Nobody thinks of it: it is left to fault-on-access, which cannot serve a page without a folio. F13. */
  override *archHugeZeroPage(): MaySleep<boolean> {
    yield* [];
    return true;
  }
}

/** The last data page kept on the left is 31 pages too early, and the boundary is tested as a PFN. F2. */
function splitRegionsAt(regions: readonly TagRegion[], boundaryPfn: number): TagRegion[] | string {
  const out: TagRegion[] = [];
  for (const [i, region] of regions.entries()) {
    if (boundaryPfn <= region.tagStartPfn || boundaryPfn > region.tagEndPfn) {
      out.push(region);
      continue;
    }
    if (boundaryPfn % region.blockSizePages !== 0) return `region ${i}: a zone boundary cuts a block`;
    const left = region.memStartPfn + (boundaryPfn - 1 - region.tagStartPfn) * PAGES_PER_TAG_PAGE;
    out.push({ ...region, memEndPfn: left, tagEndPfn: boundaryPfn - 1 });
    out.push({ ...region, memStartPfn: left + 1, tagStartPfn: boundaryPfn });
  }
  return out.length > MAX_TAG_REGIONS ? `exceeded maximum number of regions (${MAX_TAG_REGIONS})` : out;
}

const POSTED: CmaSeries = {
  ...CMA_SERIES,
  name: 'cma-v3-posted',
  splitRegionsAt,
  // Each round of the unwinding loop names the area that was refused, which is none. F5.
  unwindRegistration(mm, registered) {
    for (const _ of registered) mm.warn('cma_remove_mem: no area');
  },
  // Its tags were zeroed long ago; what happens to the block until then is not thought of. F26.
  holdsBackZeroBlock: false,
  // cma_alloc() gives a pointer, and 0 is taken for success. R9.
  withdrawFailed: (taken) => taken >= 0,
  createBlocks: (mm, stash, manager) => new PostedBlocks(mm, stash, manager),
  range: {
    // The requested size is start - end, never the size of a bit. F4.
    takeFree: () => false,
    // The loop variable is used again after the loop. F19.
    reportAttempts: (attempts, error, count) =>
      error === 0 ? count : error === -EBUSY ? attempts : attempts - 1,
  },
  *prepareRemoteAccess(mm, _blocks, page, access) {
    yield* putPage(mm, page);
    return yield* faultForTags(mm, access);
  },
};

/**
 * v3/30: lets a fault do it, never says that it was tried before, and so never gets past the first, cheap
 * answer; nor does anything happen where the entry is not fault-on-access. F12, F30.
 */
function* faultForTags(mm: Mm, { as, addr, write }: RemoteAccess): MaySleep<number> {
  if (mm.contexts.current.fatalSignalPending) return -EINTR;
  yield* as.mmapLock.downRead();
  const vma = as.vmas.lookup(addr);
  const flags =
    FAULT_FLAG_REMOTE | FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT | (write ? FAULT_FLAG_WRITE : 0);
  const fault = vma
    ? yield* handleMmFault(mm, { vma, addr, flags, releaseFaultLock: () => as.mmapLock.upRead() })
    : VM_FAULT_ERROR;
  // With RETRY_NOWAIT the lock is still held.
  if ((fault & VM_FAULT_RETRY) === 0 || allowRetryFirst(flags)) as.mmapLock.upRead();
  yield COND_RESCHED;
  return (fault & VM_FAULT_ERROR) !== 0 ? -EBUSY : 0;
}

/** Stage B's own checks: sizes are compared with nothing, and overlaps are not looked for. F18. */
function regionsProblem(
  regions: readonly TagRegion[],
  memory: readonly { readonly start: number; readonly end: number }[],
): string | undefined {
  const endOfDram = memory[memory.length - 1]?.end ?? 0;
  for (const [i, { tagStartPfn, tagEndPfn, blockSizePages }] of regions.entries()) {
    if ((tagEndPfn - tagStartPfn + 1) % blockSizePages !== 0) return `region ${i}: no whole number of blocks`;
    if (tagEndPfn >= endOfDram) return `region ${i}: outside addressable memory`;
  }
  return undefined;
}

export const cmaV3PostedPolicy: PolicyFactory = {
  name: 'cma-v3-posted',
  summary: 'RFC v3 as posted, defects included: for demonstration',
  create: (host) => new CmaPolicy(host, POSTED),
  discovery: 'linux-v3',
  regionsProblem,
  createStash: (mm: Mm, mte: Mte) => new PostedStash(mm, mte),
  createHooks: (host, policy) => new PostedHooks(host.mm, host.mte, host.stash, policy),
  createHibernation: ({ mm, mte, stash }, policy, regions) =>
    new PostedHibernation(mm, mte, stash, policy, regions),
};
