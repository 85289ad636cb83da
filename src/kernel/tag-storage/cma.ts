/**
 * `cma`: RFC v3 as it was meant. Tag storage is lent as CMA to movable, untagged data; a tagged page
 * gets its block by moving that data away, at allocation if it can be had, at the first access else.
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EBUSY, EINVAL, immediately } from '../contexts/index.js';
import type {
  CmaArea,
  CmaRangeVariant,
  FaultOnAccessContext,
  FaultOnAccessOutcome,
  Gfp,
  Mm,
  Page,
  TagRegion,
  Violation,
} from '../mm/index.js';
import {
  cmaAlloc,
  cmaAllocRange,
  cmaHoldBack,
  cmaInitReservedMem,
  cmaRangeUsed,
  cmaRelease,
  cmaRemoveMem,
  PG_reserved,
  putPage,
} from '../mm/index.js';
import type { TagBlock } from './blocks.js';
import { findBlock } from './blocks.js';
import { handleFolioFaultOnAccess, replaceFolioWithTagged } from './fault-on-access.js';
import type {
  Outcome,
  PlacementRequest,
  PolicyFactory,
  PolicyHost,
  RemoteAccess,
  Status,
  TagStoragePolicy,
  TagsHeld,
} from './policy.js';
import { OK, refuse } from './policy.js';
import { splitRegionsAt } from './regions.js';
import type { TagStash } from './stash.js';
import type { BlockManager } from './tag-blocks.js';
import { TagBlocks } from './tag-blocks.js';

/** Tries of cma_alloc_range for one block. */
const CLAIM_TRIES = 3;
/** Alignment order when a whole area is taken out again. */
const WITHDRAW_ALIGN = 8;

/** What can be done otherwise: `cma-v3-posted` gives the series' own answers. */
export interface CmaSeries {
  readonly name: string;
  splitRegionsAt(regions: readonly TagRegion[], boundaryPfn: number): TagRegion[] | string;
  /** The area that would have come next was refused: forgets those registered before it. */
  unwindRegistration(mm: Mm, registered: readonly CmaArea[]): void;
  /** Is the zero page's block kept from the buddy at activation? */
  readonly holdsBackZeroBlock: boolean;
  /** Whether what cma_alloc() gave, when a whole area was asked for, means that it was not to be had. */
  withdrawFailed(taken: Page | number): boolean;
  createBlocks(mm: Mm, stash: TagStash, manager: BlockManager): TagBlocks;
  readonly range?: CmaRangeVariant;
  /** What becomes of an allocated page whose block cannot be had. */
  readonly withoutBlock: 'later' | 'refused';
  /** Is a page in use replaced whose block cannot be had? */
  readonly replacesWhenBusy: boolean;
  prepareRemoteAccess(
    mm: Mm,
    blocks: TagBlocks,
    page: Page,
    access: RemoteAccess,
  ): MaySleep<number | 'as-it-is'>;
}

/** Rounds of reserving or replacing before a debugger is told that it cannot be. */
const REMOTE_ROUNDS = 8;

/** The series, repaired. */
export const CMA_SERIES: CmaSeries = {
  name: 'cma',
  splitRegionsAt,
  unwindRegistration(mm, registered) {
    for (const area of registered) cmaRemoveMem(mm, area);
  },
  holdsBackZeroBlock: true,
  withdrawFailed: (taken) => taken < 0,
  createBlocks: (mm, stash, manager) => new TagBlocks(mm, stash, manager),
  withoutBlock: 'later',
  replacesWhenBusy: true,
  // Not through a fault: the entry need not be fault-on-access (PROT_NONE, execute-only).
  *prepareRemoteAccess(mm, blocks, page, { round }) {
    if (round >= REMOTE_ROUNDS) {
      yield* putPage(mm, page);
      return -EBUSY;
    }
    const head = mm.memmap.head(page);
    const inTagStorage = mm.hooks.isTagStoragePage(page);
    if (!inTagStorage && (yield* blocks.reserve(head, mm.memmap.folioOrder(head))) === 0) {
      yield* putPage(mm, page);
      return 0;
    }
    yield* replaceFolioWithTagged(mm, blocks, page);
    return 0;
  },
};

export class CmaPolicy implements TagStoragePolicy {
  readonly #series: CmaSeries;
  readonly #host: PolicyHost;
  readonly #blocks: TagBlocks;
  readonly #areas = new Map<TagRegion, CmaArea>();
  #regions: readonly TagRegion[] = [];
  /** The zero page's block, kept from the buddy at activation. */
  #zeroBlock: TagBlock | undefined;

  constructor(host: PolicyHost, series: CmaSeries = CMA_SERIES) {
    this.#host = host;
    this.#series = series;
    this.#blocks = series.createBlocks(host.mm, host.stash, {
      claim: (block) => this.#claim(block),
      release: (block) => this.#release(block),
    });
  }

  get name(): string {
    return this.#series.name;
  }

  get regions(): readonly TagRegion[] {
    return this.#regions;
  }

  /** mte_init_tag_storage() from B8 on: split at zone boundaries, register every part; all or nothing. */
  register(regions: readonly TagRegion[]): Status {
    const { mm } = this.#host;
    let parts = regions;
    // Where a region crosses from one zone into the next, it becomes two.
    for (const { startPfn } of mm.zones.slice(1)) {
      const split = this.#series.splitRegionsAt(parts, startPfn);
      if (typeof split === 'string') return refuse(split);
      parts = split;
    }
    for (const region of parts) {
      const count = region.tagEndPfn - region.tagStartPfn + 1;
      const b = region.blockSizePages;
      const orderPerBit = Number.isInteger(Math.log2(b)) ? Math.log2(b) : 0;
      const area = cmaInitReservedMem(mm, region.tagStartPfn, count, orderPerBit);
      if (typeof area === 'number') {
        this.#series.unwindRegistration(mm, [...this.#areas.values()]);
        this.#areas.clear();
        return refuse(cmaReason(mm, region, area));
      }
      this.#areas.set(region, area);
    }
    this.#regions = parts;
    this.#blocks.setRegions(parts);
    // Its tags are written and it is marked tagged already: its block must never hold anything else.
    const zero = findBlock(parts, mm.memmap.pageToPfn(mm.zeroPage));
    if (zero && this.#series.holdsBackZeroBlock) {
      this.#zeroBlock = zero;
      cmaHoldBack(this.#areas.get(zero.region)!, zero.pfn, zero.region.blockSizePages);
    }
    return OK;
  }

  /** mte_enable_tag_storage(). */
  enable(): Status {
    const { mm, mte } = this.#host;
    const inactive = [...this.#areas].filter(([region]) =>
      mm.memmap.test(mm.memmap.pfnToPage(region.tagStartPfn)!, PG_reserved),
    );
    if (inactive.length > 0) {
      this.#withdraw();
      return refuse('a tag storage area could not be activated');
    }
    if (this.#zeroBlock) this.#blocks.adopt(this.#zeroBlock, mm.zeroPage);
    else if (mm.contexts.runToCompletion(this.#blocks.reserve(mm.zeroPage, 0)) !== 0)
      mm.warn('the zero page has no tag storage block');
    mte.tagStorageEnabled = true;
    return OK;
  }

  /** Takes activated areas out of use; with MTE on, data left in them would be overwritten by tags. */
  #withdraw(): void {
    const { mm } = this.#host;
    for (const area of this.#areas.values()) {
      if (area.bitmap === undefined) continue;
      const taken = mm.contexts.runToCompletion(cmaAlloc(mm, area, area.count, WITHDRAW_ALIGN));
      if (this.#series.withdrawFailed(taken))
        mm.warn(`${area.name}: tag storage is in use as data and will be corrupted`);
    }
    this.#areas.clear();
    this.#regions = [];
    this.#blocks.setRegions([]);
  }

  *#claim(block: TagBlock): MaySleep<number> {
    const { mm } = this.#host;
    const area = this.#areas.get(block.region);
    if (!area) return -EINVAL;
    const { error, fast } = yield* cmaAllocRange(
      mm,
      area,
      block.pfn,
      block.region.blockSizePages,
      CLAIM_TRIES,
      this.#series.range,
    );
    if (error === 0) {
      if (fast) mm.metrics.reserveFast++;
      else mm.metrics.reserveMigrate++;
    }
    return error;
  }

  *#release(block: TagBlock): Atomic<void> {
    const { mm } = this.#host;
    yield* cmaRelease(
      mm,
      this.#areas.get(block.region)!,
      mm.memmap.pfnToPage(block.pfn)!,
      block.region.blockSizePages,
    );
  }

  /** arch_alloc_cma(). */
  mayPlaceData(request: PlacementRequest): boolean {
    return !request.tagged;
  }

  *onTaggedPage(page: Page, order: number, _gfp: Gfp): MaySleep<Outcome> {
    return (yield* this.#blocks.reserve(page, order)) === 0 ? 'reserved' : this.#series.withoutBlock;
  }

  /** Moving data sleeps: a page allocated in atomic context gets its block at the first access, if at all. */
  onTaggedPageAtomic(): Atomic<Outcome> {
    this.#host.mm.metrics.atomicRefused++;
    return immediately(this.#series.withoutBlock);
  }

  onTaggedFree(page: Page, order: number): Atomic<void> {
    return this.#blocks.free(page, order);
  }

  onTaggedAccessWithoutStorage(folio: Page, context: FaultOnAccessContext): MaySleep<FaultOnAccessOutcome> {
    const { replacesWhenBusy } = this.#series;
    return handleFolioFaultOnAccess(
      this.#host.mm,
      this.#blocks,
      this.#regions,
      folio,
      context,
      replacesWhenBusy,
    );
  }

  prepareRemoteAccess(page: Page, access: RemoteAccess): MaySleep<number | 'as-it-is'> {
    return this.#series.prepareRemoteAccess(this.#host.mm, this.#blocks, page, access);
  }

  tagsHeldIn(page: Page): TagsHeld | undefined {
    const { memmap } = this.#host.mm;
    for (const region of this.#regions) {
      const pfn = memmap.pageToPfn(page);
      if (pfn < region.tagStartPfn || pfn > region.tagEndPfn) continue;
      const first = (page - ((pfn - region.tagStartPfn) % region.blockSizePages)) as Page;
      if (!this.#blocks.held.has(first)) return undefined;
      const pinned = this.#blocks.underWay.pinned.get(first) ?? 0;
      return { block: first, taggedPages: memmap.refcount[first]! - 1 - pinned, pinned };
    }
    return undefined;
  }

  /** Invariant 3's and 7's CMA side: bitmap and counters agree with the blocks held. */
  checkInvariants(): readonly Violation[] {
    const { mm } = this.#host;
    const out: Violation[] = [];
    let heldPages = 0;
    for (const block of this.#blocks.held.values()) {
      const b = block.region.blockSizePages;
      heldPages += b;
      const area = this.#areas.get(block.region);
      if (!area?.bitmap || !allUsed(area, block.pfn, b)) {
        out.push({
          invariant: '3',
          detail: `block 0x${block.pfn.toString(16)} is held but not allocated in its area`,
        });
      }
    }
    let usedPages = [...this.#areas.values()].reduce(
      (sum, area) => sum + (area.bitmap?.reduce((n, bit) => n + bit, 0) ?? 0) * 2 ** area.orderPerBit,
      0,
    );
    // Its bits are set before its data is moved away, which sleeps.
    const { claiming } = this.#blocks.underWay;
    const claimed = claiming && this.#areas.get(claiming.region);
    if (claimed !== undefined && cmaRangeUsed(claimed, claiming!.pfn, claiming!.region.blockSizePages)) {
      usedPages -= claiming!.region.blockSizePages;
    }
    const counted = mm.events.cma_alloc_success - mm.events.cma_release_success;
    if (usedPages !== heldPages || counted !== heldPages) {
      out.push({
        invariant: '7',
        detail: `pages of blocks held ${heldPages}, allocated in the areas ${usedPages}, by counters ${counted}`,
      });
    }
    return out;
  }
}

function allUsed(area: CmaArea, pfn: number, count: number): boolean {
  for (let i = 0; i < count; i++) {
    const at = pfn + i - ((pfn + i - area.basePfn) % 2 ** area.orderPerBit);
    if (!cmaRangeUsed(area, at, 2 ** area.orderPerBit)) return false;
  }
  return true;
}

/** Why cma_init_reserved_mem refused, in words. */
function cmaReason(mm: Mm, region: TagRegion, error: number): string {
  const at = `tag storage at pfn 0x${region.tagStartPfn.toString(16)}`;
  if (error !== -EINVAL) return `${at}: no free CMA area`;
  const size = (mm.memmap.pageblockNrPages * mm.pageSize) / 2 ** 20;
  return `${at}: base and size must be multiples of ${size} MiB, a pageblock with this page size`;
}

export const cmaPolicy: PolicyFactory = {
  name: 'cma',
  summary: 'RFC v3, repaired: lent as CMA to movable untagged data, taken back block by block',
  create: (host) => new CmaPolicy(host),
};
