/**
 * Tags over a hibernation (arch/arm64/kernel/hibernate.c; tag-storage.md 7.3).
 *
 * Linux copies the tags of every tagged page to kernel memory before the image is made, and writes them back
 * after. With tag storage that is lent, three things more: blocks that hold tags are allocated pages, and must not
 * be saved as data; what a boot kernel left in the caches, as data or as tags, must not come down on either; and a
 * page whose tags are in the stash needs nothing, for the stash is kernel memory.
 */
import { PA } from '../../base/index.js';
import type { Mte } from '../arch/index.js';
import type { MaySleep } from '../contexts/index.js';
import { ENOMEM } from '../contexts/index.js';
import type { HibernationHooks, Mm, Page, PhysRange, TagRegion } from '../mm/index.js';
import { PG_mte_tagged } from '../mm/index.js';
import type { TagStoragePolicy } from './policy.js';
import type { TagStash } from './stash.js';

export class TagHibernation implements HibernationHooks {
  protected readonly mm: Mm;
  protected readonly mte: Mte;
  protected readonly policy: TagStoragePolicy;
  readonly #stash: TagStash;
  /** As described, managed or not. */
  readonly #regions: readonly TagRegion[];
  #buffers: PA[] = [];
  readonly #saved = new Map<Page, PA>();

  constructor(mm: Mm, mte: Mte, stash: TagStash, policy: TagStoragePolicy, regions: readonly TagRegion[]) {
    this.mm = mm;
    this.mte = mte;
    this.policy = policy;
    this.#stash = stash;
    this.#regions = regions;
  }

  get tagRanges(): readonly PhysRange[] {
    return this.#regions.map(({ tagStartPfn, tagEndPfn }) => this.#range(tagStartPfn, tagEndPfn));
  }

  #range(first: number, last: number): PhysRange {
    const { pageSize } = this.mm;
    return { base: PA(first * pageSize), size: (last - first + 1) * pageSize };
  }

  isSaveable(page: Page): boolean {
    return this.policy.tagsHeldIn(page) === undefined;
  }

  *#tagged(): IterableIterator<Page> {
    const { memmap } = this.mm;
    for (let page = 0 as Page; page < memmap.pages; page = (page + 1) as Page) {
      if (memmap.test(page, PG_mte_tagged)) yield page;
    }
  }

  *prepare(): MaySleep<number> {
    let missing = -this.#buffers.length;
    for (const _ of this.#tagged()) missing++;
    for (; missing > 0; missing--) {
      const buffer = yield* this.#stash.allocBuffer();
      if (buffer === undefined) return -ENOMEM;
      this.#buffers.push(buffer);
    }
    return 0;
  }

  saveTags(): boolean {
    const { mm } = this;
    this.#saved.clear();
    for (const page of this.#tagged()) {
      const buffer = this.#buffers[this.#saved.size];
      if (buffer === undefined) return false;
      mm.port.writeBytes(buffer, mm.port.readTags(mm.pageToPa(page), mm.pageSize));
      this.#saved.set(page, buffer);
    }
    if (this.#saved.size > 0) mm.log(`Saved ${this.#saved.size} MTE pages`);
    return true;
  }

  /** Dirty lines of tags would come down on data that is about to be put into their block. */
  beforeRestore(): void {
    for (const { memStartPfn, memEndPfn } of this.policy.regions) {
      const { base, size } = this.#range(memStartPfn, memEndPfn);
      this.mm.port.dcacheInvalTagsPoc(base, size);
    }
  }

  restoreTags(): void {
    const { mm } = this;
    this.beforeTags();
    for (const [page, buffer] of this.#saved) {
      mm.port.writeTags(mm.pageToPa(page), mm.port.readBytes(buffer, mm.pageSize / 32));
    }
    if (this.#saved.size > 0) mm.log(`Restored ${this.#saved.size} MTE pages`);
  }

  /** Dirty lines of data, the boot kernel's, would come down on the tags. */
  protected beforeTags(): void {
    const { mm, policy } = this;
    for (const { tagStartPfn, tagEndPfn } of policy.regions) {
      for (let pfn = tagStartPfn; pfn <= tagEndPfn; pfn++) {
        const page = mm.memmap.pfnToPage(pfn);
        if (page === undefined || policy.tagsHeldIn(page) === undefined) continue;
        mm.port.dcacheInvalPoc(mm.pageToPa(page), mm.pageSize);
      }
    }
  }

  *finish(): MaySleep<void> {
    this.#saved.clear();
    const buffers = this.#buffers;
    this.#buffers = [];
    for (const buffer of buffers) yield* this.#stash.freeBuffer(buffer);
  }
}
