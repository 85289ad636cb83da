/**
 * MTE pages: when a page's tags become valid, how they are zeroed and copied, and what the set-PTE
 * hook makes of a tagged mapping (arch/arm64/kernel/mte.c, arch/arm64/mm/copypage.c, asm/mte.h).
 *
 * Tags are read and written through the memory port, and so stand in the carve-out's bytes.
 */
import type { Atomic } from '../contexts/index.js';
import { racePoint } from '../contexts/index.js';
import type { Mm, Page } from '../mm/index.js';
import { PG_arch_1, PG_mte_lock, PG_mte_tagged, PG_tag_storage_reserved } from '../mm/index.js';
import type { Pte } from './pgtable/index.js';
import { PAGE_FAULT_ON_ACCESS, pteModify, pteTagged, pteUserReadable } from './pgtable/index.js';

const TRY_TAGGING = racePoint('try_page_mte_tagging');
const CLEAR_TAGS = racePoint('mte_clear_page_tags');

export class Mte {
  readonly mm: Mm;
  /** The static key: tag storage is managed, so a page needs its block before it is tagged. */
  tagStorageEnabled = false;
  #warned = false;

  constructor(mm: Mm) {
    this.mm = mm;
  }

  /** page_tag_storage_reserved(): constant true while the key is off. */
  pageTagStorageReserved(page: Page): boolean {
    return !this.tagStorageEnabled || this.mm.memmap.test(page, PG_tag_storage_reserved);
  }

  pageMteTagged(page: Page): boolean {
    return this.mm.memmap.test(page, PG_mte_tagged);
  }

  /** set_page_mte_tagged(); the page's tags are valid from now on. */
  setPageMteTagged(page: Page): void {
    if (!this.pageTagStorageReserved(page) && !this.#warned) {
      this.#warned = true;
      this.mm.warn('page marked tagged without its tag storage');
    }
    this.mm.memmap.set(page, PG_mte_tagged | PG_mte_lock);
  }

  /**
   * try_page_mte_tagging(): true if the caller must initialise the tags (and has PG_mte_lock); false
   * once somebody has.
   */
  *tryPageMteTagging(page: Page): Atomic<boolean> {
    const { memmap, contexts } = this.mm;
    if (!memmap.test(page, PG_mte_lock)) {
      memmap.set(page, PG_mte_lock);
      return true;
    }
    const tagged = () => memmap.test(page, PG_mte_tagged);
    while (!tagged()) {
      yield contexts.racing
        ? {
            ...TRY_TAGGING,
            spinningOn: {
              get held() {
                return !tagged();
              },
            },
          }
        : TRY_TAGGING;
    }
    return false;
  }

  /** mte_clear_page_tags(). */
  clearPageTags(page: Page): void {
    this.mm.port.fillTags(this.mm.pageToPa(page), this.mm.pageSize, 0);
  }

  /** mte_copy_page_tags(). */
  copyPageTags(to: Page, from: Page): void {
    const { port, pageSize } = this.mm;
    port.writeTags(this.mm.pageToPa(to), port.readTags(this.mm.pageToPa(from), pageSize));
  }

  /**
   * tag_clear_highpage(): data and tags of a fresh page are zeroed together; where its block could not be
   * had, the data only, for its tags are somebody's data.
   */
  tagClearHighpage(page: Page): void {
    const { mm } = this;
    mm.port.fill(mm.pageToPa(page), mm.pageSize, 0);
    if (!mm.mte || !this.pageTagStorageReserved(page)) return;
    this.clearPageTags(page);
    this.setPageMteTagged(page);
  }

  /** The entry gives user space access to tags: present, readable from EL0, Normal Tagged. */
  needsSyncTags(pte: Pte): boolean {
    return this.mm.mte && pteTagged(pte) && pteUserReadable(pte);
  }

  /**
   * mte_sync_tags(): the entry for `nr` pages is written. A page without its block turns all of them
   * fault-on-access, since they share the value; pages that have it and are not tagged yet get tag 0.
   */
  *mteSyncTags(pte: Pte, page: Page, nr: number): Atomic<Pte> {
    let value = pte;
    for (let i = 0; i < nr; i++) {
      const at = (page + i) as Page;
      if (!this.pageTagStorageReserved(at)) {
        value = pteModify(value, PAGE_FAULT_ON_ACCESS);
        continue;
      }
      yield* this.initialiseTags(at);
    }
    return value;
  }

  /** A page that has its block gets tag 0 throughout, unless its tags are valid already. */
  *initialiseTags(page: Page): Atomic<void> {
    if (this.pageMteTagged(page)) return;
    if (yield* this.tryPageMteTagging(page)) {
      this.clearPageTags(page);
      if (this.mm.contexts.racing) yield CLEAR_TAGS;
      this.setPageMteTagged(page);
    }
  }

  /** __sync_icache_dcache(): once for each page that is mapped executable. */
  syncIcacheDcache(page: Page): void {
    const { mm } = this;
    if (mm.memmap.test(page, PG_arch_1)) return;
    mm.memmap.set(page, PG_arch_1);
    mm.port.icacheInval(mm.pageToPa(page), mm.pageSize);
  }
}
