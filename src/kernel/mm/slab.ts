/**
 * Small kernel objects in guest memory: a slab of equal pieces cut from unmovable pages (mm/slub.c in
 * its plainest form).
 *
 * Objects are physical addresses and their contents are DRAM bytes, so that saved tags too live in
 * memory that can run out, and nowhere else.
 */
import { PA } from '../../base/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import type { Gfp } from './gfp.js';
import { gfpAllowsBlocking } from './gfp.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import { allocPages, allocPagesAtomic, freePages } from './page-alloc.js';
import { PG_slab } from './page-flags.js';

export class SlabCache {
  readonly name: string;
  /** Bytes. */
  readonly objectSize: number;
  readonly #mm: Mm;
  readonly #perSlab: number;
  /** Free object numbers of each slab page that has some. */
  readonly #partial = new Map<Page, number[]>();
  /** Objects handed out. */
  inUse = 0;

  constructor(mm: Mm, name: string, objectSize: number) {
    this.#mm = mm;
    this.name = name;
    this.objectSize = objectSize;
    this.#perSlab = Math.floor(mm.pageSize / objectSize);
    mm.slabs.push(this);
  }

  /** kmem_cache_alloc(); undefined where memory is short. */
  *alloc(gfp: Gfp): MaySleep<PA | undefined> {
    if (gfpAllowsBlocking(gfp)) this.#mm.contexts.mightSleep(`kmem_cache_alloc(${this.name})`);
    if (this.#mm.shouldFail('slab')) return undefined;
    if (this.#partial.size === 0) {
      const page = yield* allocPages(this.#mm, gfp, 0);
      if (page === undefined) return undefined;
      return this.#newSlab(page);
    }
    return this.#take();
  }

  /** kmem_cache_alloc(GFP_ATOMIC). */
  *allocAtomic(gfp: Gfp): Atomic<PA | undefined> {
    if (this.#mm.shouldFail('slab')) return undefined;
    if (this.#partial.size === 0) {
      const page = yield* allocPagesAtomic(this.#mm, gfp, 0);
      if (page === undefined) return undefined;
      return this.#newSlab(page);
    }
    return this.#take();
  }

  /** Its first object: others may have got a slab meanwhile, and an empty one would be nobody's to give back. */
  #newSlab(page: Page): PA {
    this.#mm.memmap.set(page, PG_slab);
    this.#mm.nodeStats(page).nr_slab_unreclaimable++;
    this.#partial.set(
      page,
      Array.from({ length: this.#perSlab }, (_, i) => this.#perSlab - 1 - i),
    );
    return this.#take(page);
  }

  #take(page: Page = this.#partial.keys().next().value!): PA {
    const free = this.#partial.get(page)!;
    const object = free.pop()!;
    if (free.length === 0) this.#partial.delete(page);
    this.inUse++;
    return PA(this.#mm.pageToPa(page) + object * this.objectSize);
  }

  /** kmem_cache_free(); an empty slab goes back to the page allocator. */
  *free(object: PA): Atomic<void> {
    const mm = this.#mm;
    const page = mm.paToPage(object)!;
    mm.bugOn(!mm.memmap.test(page, PG_slab), `${this.name}: freed object is in no slab`);
    const free = this.#partial.get(page) ?? [];
    free.push((object % mm.pageSize) / this.objectSize);
    this.inUse--;
    if (free.length < this.#perSlab) {
      this.#partial.set(page, free);
      return;
    }
    this.#partial.delete(page);
    mm.memmap.clear(page, PG_slab);
    mm.nodeStats(page).nr_slab_unreclaimable--;
    yield* freePages(mm, page, 0);
  }
}
