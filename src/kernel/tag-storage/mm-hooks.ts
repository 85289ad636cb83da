/**
 * The hooks of mm/, made of MTE page handling and a tag storage policy: the code of the series, in the
 * order of its table of contents (mm/hooks.ts).
 */
import type { PA } from '../../base/index.js';
import type { Mte } from '../arch/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EAGAIN, ENOMEM } from '../contexts/index.js';
import type {
  CleanPages,
  CollapseCaller,
  CopyPreparation,
  FaultOnAccessContext,
  FaultOnAccessOutcome,
  Gfp,
  GfpCaller,
  HibernationHooks,
  Mm,
  MmHooks,
  Page,
  Vma,
} from '../mm/index.js';
import { __GFP_MOVABLE, __GFP_TAGGED, PG_tag_storage_reserved, VM_MTE } from '../mm/index.js';
import { regionOfTagPage } from './blocks.js';
import type { TagStoragePolicy } from './policy.js';
import type { TagStash } from './stash.js';

export class TagStorageHooks implements MmHooks {
  protected readonly mm: Mm;
  protected readonly mte: Mte;
  protected readonly stash: TagStash;
  protected readonly policy: TagStoragePolicy;
  hibernation!: HibernationHooks;

  constructor(mm: Mm, mte: Mte, stash: TagStash, policy: TagStoragePolicy) {
    this.mm = mm;
    this.mte = mte;
    this.stash = stash;
    this.policy = policy;
  }

  get cleanPages(): CleanPages | undefined {
    return this.policy.cleanPages;
  }

  *archAllocPage(page: Page, order: number, gfp: Gfp): MaySleep<boolean> {
    this.mm.metrics.taggedPagesAllocated += 1 << order;
    if (!this.mte.tagStorageEnabled) return true;
    return (yield* this.policy.onTaggedPage(page, order, gfp)) !== 'refused';
  }

  *archAllocPageAtomic(page: Page, order: number, gfp: Gfp): Atomic<boolean> {
    this.mm.metrics.taggedPagesAllocated += 1 << order;
    if (!this.mte.tagStorageEnabled) return true;
    return (yield* this.policy.onTaggedPageAtomic(page, order, gfp)) !== 'refused';
  }

  archNeedsFreePrepare(page: Page): boolean {
    return this.mm.memmap.test(page, PG_tag_storage_reserved) || this.stash.size > 0;
  }

  /** v3/32's condition, reserved rather than tagged; and a stash is dropped with its page in any case. */
  *archFreePagesPrepare(page: Page, order: number): Atomic<void> {
    if (this.mm.memmap.test(page, PG_tag_storage_reserved)) yield* this.policy.onTaggedFree(page, order);
    else yield* this.stash.dropUnreserved(page, order);
  }

  archAllocCma(gfp: Gfp): boolean {
    if (!this.mte.tagStorageEnabled) return true;
    return this.policy.mayPlaceData({
      gfp,
      movable: (gfp & __GFP_MOVABLE) !== 0,
      tagged: (gfp & __GFP_TAGGED) !== 0,
    });
  }

  tagClearHighpage(page: Page): void {
    this.mte.tagClearHighpage(page);
  }

  archCalcVmaGfp(vma: Vma | undefined, _gfp: Gfp, _caller: GfpCaller): Gfp {
    return vma !== undefined && (vma.flags & VM_MTE) !== 0 ? __GFP_TAGGED : 0;
  }

  /** The blocks come first: a folio that no fault can replace must never be found without them. */
  *archHugeZeroPage(page: Page, order: number, vma: Vma): MaySleep<boolean> {
    if ((vma.flags & VM_MTE) === 0 || this.mte.pageTagStorageReserved(page)) return true;
    return (yield* this.policy.onTaggedPage(page, order, 0)) === 'reserved';
  }

  /**
   * As v3/31 where tag storage is lent: a huge page would want all its blocks at once, and pages that have
   * theirs give nothing up. Where it is not, tags are simply copied (F33).
   */
  archHugepageVmaRevalidate(vma: Vma, _caller: CollapseCaller): boolean {
    return !this.mte.tagStorageEnabled || (vma.flags & VM_MTE) === 0;
  }

  get numaHintKeepsLargeFolio(): boolean {
    return false;
  }

  needsSyncTags(pte: bigint): boolean {
    return this.mte.needsSyncTags(pte);
  }

  mteSyncTags(pte: bigint, page: Page, nr: number): Atomic<bigint> {
    return this.mte.mteSyncTags(pte, page, nr);
  }

  syncIcacheDcache(page: Page): void {
    this.mte.syncIcacheDcache(page);
  }

  archHandleFolioFaultOnAccess(folio: Page, context: FaultOnAccessContext): MaySleep<FaultOnAccessOutcome> {
    return this.policy.onTaggedAccessWithoutStorage(folio, context);
  }

  *copyHighpagePrepare(to: Page, from: Page): MaySleep<CopyPreparation | number> {
    if (!this.mte.tagStorageEnabled) return {};
    const buffer = yield* this.stash.prepareCopy(to, from);
    if (buffer === 'no-memory') return -ENOMEM;
    return buffer === undefined ? {} : { buffer };
  }

  *copyHighpage(to: Page, from: Page, preparation: CopyPreparation): Atomic<number> {
    const mm = this.mm;
    mm.port.copy(mm.pageToPa(to), mm.pageToPa(from), mm.pageSize);
    if (!mm.mte) return 0;
    if (!this.mte.tagStorageEnabled) {
      if (this.mte.pageMteTagged(from)) {
        this.mte.copyPageTags(to, from);
        this.mte.setPageMteTagged(to);
      }
      return 0;
    }
    const outcome = yield* this.stash.copyTags(to, from, preparation.buffer as PA | undefined);
    if (outcome === 'used') preparation.buffer = undefined;
    return outcome === 'needed' ? -EAGAIN : 0;
  }

  *copyHighpageEnd(preparation: CopyPreparation): Atomic<void> {
    if (preparation.buffer !== undefined) yield* this.stash.freeBuffer(preparation.buffer as PA);
    preparation.buffer = undefined;
  }

  memcmpPages(page1: Page, page2: Page): number {
    const { mm } = this;
    const a = mm.port.readBytes(mm.pageToPa(page1), mm.pageSize);
    const b = mm.port.readBytes(mm.pageToPa(page2), mm.pageSize);
    for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
    if (!mm.mte || page1 === page2) return 0;
    // The stash asks for PG_mte_tagged too. The zero page's tags are all 0, as those of a page that has none: Linux
    // 6.8 says it is tagged, and so merges no page with it; it does not since.
    const hasTags = (page: Page) => page !== mm.zeroPage && this.stash.tagsOf(page) !== undefined;
    return hasTags(page1) || hasTags(page2) ? 1 : 0;
  }

  archPrepareToSwap(page: Page, entry: number): MaySleep<number> {
    return this.stash.prepareToSwap(page, entry);
  }

  archSwapInvalidatePage(entry: number): Atomic<void> {
    return this.stash.invalidateSwapEntry(entry);
  }

  archSwapPrepareToRestore(entry: number, page: Page): MaySleep<number> {
    return this.stash.prepareToRestore(entry, page);
  }

  archSwapRestore(entry: number, page: Page): Atomic<void> {
    return this.stash.restoreFromSwap(entry, page);
  }

  isTagStoragePage(page: Page): boolean {
    return regionOfTagPage(this.policy.regions, this.mm.memmap.pageToPfn(page)) !== undefined;
  }
}
