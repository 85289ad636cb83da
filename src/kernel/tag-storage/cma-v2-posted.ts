/**
 * `cma-v2-posted`: RFC v2 as it was sent to the list (tag-storage.md sections 1.5, 1.6, 4.3 to 4.6, 5.4, 6.3, 6.4 and
 * 7.1). For demonstration: never use it to keep data.
 *
 * Only what is known of v2 is here: what its patches did, what its reviewers said of it, and what neither v2 nor v3
 * touched of the kernel as it was. In all else it is as `cma` is, which is not to say that v2 was. A device tree is read
 * as the final binding has it, not in v2's own form; arch_migration_target_gfp() is left out, for what it asked of
 * whom is not known.
 */
import type { PA } from '../../base/index.js';
import type { Mte } from '../arch/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { immediately, racePoint } from '../contexts/index.js';
import type { Mm, Page, TagRegion } from '../mm/index.js';
import { cmaTakeFreeRange, PG_tag_storage_reserved } from '../mm/index.js';
import type { FolioBlock } from './blocks.js';
import { findBlock, PAGES_PER_TAG_PAGE } from './blocks.js';
import type { CmaSeries } from './cma.js';
import { CMA_SERIES, CmaPolicy } from './cma.js';
import { PostedHibernation } from './cma-v3-posted.js';
import { TagStorageHooks } from './mm-hooks.js';
import type { PolicyFactory } from './policy.js';
import { TagStash } from './stash.js';
import { TagBlocks } from './tag-blocks.js';

const FLAGGED = racePoint('page reserved, stashed tags not yet restored');

class V2Blocks extends TagBlocks {
  /** As many blocks as the folio has pages of tags, whatever the size of a block. R2, F1. */
  protected override blocksOf(page: Page, order: number): FolioBlock[] | undefined {
    const first = findBlock(this.regions, this.mm.memmap.pageToPfn(page));
    if (!first) return undefined;
    const { region } = first;
    const b = region.blockSizePages;
    const end = first.pfn + Math.max((1 << order) / PAGES_PER_TAG_PAGE, 1) * b;
    const out: FolioBlock[] = [];
    for (let pfn = first.pfn; pfn < end; pfn += b) {
      out.push({ region, pfn, pages: Math.min(1 << order, PAGES_PER_TAG_PAGE * b) });
    }
    return out;
  }

  /**
   * A page without a block is as good as one that has its own, and so is one whose owner is being killed: nobody is
   * to speak of memory running out on its account (v2/24).
   */
  override *reserve(page: Page, order: number): MaySleep<number> {
    if (this.blocksOf(page, order) === undefined) return 0;
    const error = yield* super.reserve(page, order);
    return error !== 0 && this.mm.contexts.current.fatalSignalPending ? 0 : error;
  }

  /** No page is allocated as tagged without its block. */
  override allocWithStorage(alloc: () => MaySleep<Page | undefined>): MaySleep<Page | undefined> {
    return alloc();
  }
}

class V2Stash extends TagStash {
  /** Swap-out, core dump and KSM are as they were, and ask for PG_mte_tagged only. F8, F17, F32. */
  override tagsOf(page: Page): Uint8Array | undefined {
    const { port, pageSize } = this.mm;
    return this.mte.pageMteTagged(page) ? port.readTags(this.mm.pageToPa(page), pageSize) : undefined;
  }

  /** A stash of the source counts only where the source lies in tag storage, and then it is moved. F10, F25. */
  override *copyTags(to: Page, from: Page, spare: PA | undefined): Atomic<'used' | 'unused' | 'needed'> {
    const { mm } = this;
    const stashed = this.byPage.get(from);
    if (stashed === undefined || this.mte.pageMteTagged(from) || !mm.hooks.isTagStoragePage(from)) {
      return yield* super.copyTags(to, from, spare);
    }
    yield* this.lock.lockIrqsave();
    this.byPage.delete(from);
    this.lock.unlockIrqrestore();
    if (!(yield* this.save(to, stashed))) {
      mm.port.writeTags(mm.pageToPa(to), mm.port.readBytes(stashed, mm.pageSize / 32));
      this.mte.setPageMteTagged(to);
      yield* this.freeBuffer(stashed);
    }
    return 'unused';
  }

  /** The flag first, the tags afterwards: between the two the page is as one that was never tagged. R5. */
  override *restoreAndMarkReserved(page: Page, order: number): Atomic<void> {
    const { mm } = this;
    for (let i = 0; i < 1 << order; i++) mm.memmap.set((page + i) as Page, PG_tag_storage_reserved);
    if (mm.contexts.racing) yield FLAGGED;
    yield* super.restoreAndMarkReserved(page, order);
  }
}

class V2Hooks extends TagStorageHooks {
  /** Left to fault-on-access, which cannot serve a page without a folio. F13. */
  override archHugeZeroPage(): MaySleep<boolean> {
    return immediately(true);
  }
}

const V2: CmaSeries = {
  ...CMA_SERIES,
  name: 'cma-v2-posted',
  createBlocks: (mm, stash, manager) => new V2Blocks(mm, stash, manager),
  // Of one page only (v2/26). F4. That its count is raised after it was taken is seen by nobody: both are one step.
  range: {
    takeFree: (mm, start, count) => count === 1 && cmaTakeFreeRange(mm, start, count),
    reportAttempts: (attempts) => attempts,
  },
  // Mandatory: the page goes back, another is tried, and where there is none memory has run out (m099).
  withoutBlock: 'refused',
  // Only a page that is itself tag storage is replaced (m130, m143). R3, R19.
  replacesWhenBusy: false,
  // Nobody thinks of debuggers: what is in the block is read as tags, and written over. R12.
  prepareRemoteAccess: () => immediately('as-it-is' as const),
};

/** Sizes must match exactly, and both ends lie in memory; overlaps are not looked for. */
function regionsProblem(
  regions: readonly TagRegion[],
  memory: readonly { readonly start: number; readonly end: number }[],
): string | undefined {
  const startOfDram = memory[0]?.start ?? 0;
  const endOfDram = memory[memory.length - 1]?.end ?? 0;
  for (const [i, { memStartPfn, memEndPfn, tagStartPfn, tagEndPfn, blockSizePages }] of regions.entries()) {
    const tagPages = tagEndPfn - tagStartPfn + 1;
    if (tagPages % blockSizePages !== 0) return `region ${i}: no whole number of blocks`;
    if (tagPages * PAGES_PER_TAG_PAGE !== memEndPfn - memStartPfn + 1)
      return `region ${i}: does not cover its memory exactly`;
    if (tagStartPfn < startOfDram || tagEndPfn >= endOfDram) return `region ${i}: outside addressable memory`;
  }
  return undefined;
}

export const cmaV2PostedPolicy: PolicyFactory = {
  name: 'cma-v2-posted',
  summary: 'RFC v2 as posted, as far as it is known, defects included: for demonstration',
  create: (host) => new CmaPolicy(host, V2),
  regionsProblem,
  // m165. R22.
  skipsBeyondMemory: false,
  createStash: (mm: Mm, mte: Mte) => new V2Stash(mm, mte),
  createHooks: (host, policy) => new V2Hooks(host.mm, host.mte, host.stash, policy),
  // There is no code for it in any version. F16.
  createHibernation: ({ mm, mte, stash }, policy, regions) =>
    new PostedHibernation(mm, mte, stash, policy, regions),
};
