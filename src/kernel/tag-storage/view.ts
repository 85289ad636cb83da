/**
 * Tag storage for people: the picture page by page, and who has a page (for fault reports).
 */
import { Pfn, VA } from '../../base/index.js';
import { ptePa, ptePresent } from '../arch/pgtable/index.js';
import type { MaySleep } from '../contexts/index.js';
import type {
  MmStruct,
  Page,
  TagPageOwner,
  TagRegion,
  TagStorageSnapshot,
  TagStorageView,
  Violation,
} from '../mm/index.js';
import {
  forEachPte,
  PG_buddy,
  PG_pcp,
  PG_reserved,
  TAG_PAGE_DATA,
  TAG_PAGE_FREE,
  TAG_PAGE_RESERVED,
  TAG_PAGE_TAGS,
} from '../mm/index.js';
import { regionOfTagPage } from './blocks.js';
import { checkTagStorageInvariants } from './invariants.js';
import type { PolicyHost, TagStoragePolicy } from './policy.js';
import { accessRemoteTags, dumpTags } from './remote-tags.js';

export interface ViewParts {
  readonly host: PolicyHost;
  readonly policy: TagStoragePolicy;
  /** As discovered, whether managed or not. */
  readonly regions: readonly TagRegion[];
  /** Why tag storage is not managed; empty where it is. */
  readonly reason: string;
}

export class TagStorageReports implements TagStorageView {
  readonly #parts: ViewParts;

  constructor(parts: ViewParts) {
    this.#parts = parts;
  }

  #stateOf(page: Page | undefined): number {
    const { policy } = this.#parts;
    const { mm } = this.#parts.host;
    if (page === undefined || mm.memmap.test(page, PG_reserved)) return TAG_PAGE_RESERVED;
    if (mm.memmap.test(page, PG_buddy | PG_pcp)) return TAG_PAGE_FREE;
    if (policy.tagsHeldIn(page)) return TAG_PAGE_TAGS;
    // Pages inside a larger free block carry no flag of their own.
    return mm.memmap.refcount[mm.memmap.head(page)] === 0 ? TAG_PAGE_FREE : TAG_PAGE_DATA;
  }

  snapshot(): TagStorageSnapshot {
    const { policy, regions, reason } = this.#parts;
    const { mm, mte } = this.#parts.host;
    const counts = [0, 0, 0, 0];
    const pictures = regions.map((region) => {
      const pages = new Uint8Array(region.tagEndPfn - region.tagStartPfn + 1);
      for (let i = 0; i < pages.length; i++) {
        const state = this.#stateOf(mm.memmap.pfnToPage(region.tagStartPfn + i));
        pages[i] = state;
        counts[state]!++;
      }
      return { region, pages };
    });
    return {
      policy: policy.name,
      enabled: mte.tagStorageEnabled,
      reason,
      regions: pictures,
      free: counts[TAG_PAGE_FREE]!,
      data: counts[TAG_PAGE_DATA]!,
      tags: counts[TAG_PAGE_TAGS]!,
      reserved: counts[TAG_PAGE_RESERVED]!,
    };
  }

  owner(pfn: number): TagPageOwner {
    const { policy, regions } = this.#parts;
    const { mm } = this.#parts.host;
    const page = mm.memmap.pfnToPage(pfn);
    if (page === undefined || !regionOfTagPage(regions, pfn)) return { kind: 'not-tag-storage' };
    const held = policy.tagsHeldIn(page);
    if (held) {
      return { kind: 'tags', blockPfn: Pfn(mm.memmap.pageToPfn(held.block)), taggedPages: held.taggedPages };
    }
    const state = this.#stateOf(page);
    if (state === TAG_PAGE_RESERVED) return { kind: 'reserved' };
    if (state === TAG_PAGE_FREE) return { kind: 'free' };
    const mappings: { addressSpace: number; va: VA }[] = [];
    const pa = mm.pageToPa(page);
    for (const as of mm.addressSpaces) {
      forEachPte(mm, as, (pte, addr) => {
        if (ptePresent(pte) && ptePa(pte) === pa)
          mappings.push({ addressSpace: as.id, va: VA(BigInt(addr)) });
      });
    }
    return { kind: 'data', pfn: Pfn(pfn), mappings };
  }

  accessRemoteTags(as: MmStruct, va: VA, tags: Uint8Array, write: boolean): MaySleep<number> {
    return accessRemoteTags(this.#parts.host, this.#parts.policy, as, va, tags, write);
  }

  dumpTags(as: MmStruct, va: VA): MaySleep<Uint8Array | undefined> {
    return dumpTags(this.#parts.host, as, va);
  }

  metrics(): Readonly<Record<string, number>> {
    const { mm, stash } = this.#parts.host;
    return { ...mm.metrics, stashEntries: stash.size };
  }

  checkInvariants(): readonly Violation[] {
    const { mm, mte, stash } = this.#parts.host;
    return checkTagStorageInvariants(mm, mte, stash, this.#parts.policy);
  }
}
