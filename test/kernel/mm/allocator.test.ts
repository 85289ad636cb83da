import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PA } from '../../../src/base/index.js';
import type { Page } from '../../../src/kernel/mm/index.js';
import {
  __GFP_COMP,
  __GFP_MOVABLE,
  __GFP_NOWARN,
  __GFP_TAGGED,
  __GFP_ZERO,
  allocPages,
  allocPagesAtomic,
  drainAllPages,
  freePages,
  GFP_ATOMIC,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  MIGRATE_CMA,
  PG_buddy,
  PG_head,
  PG_mte_tagged,
  PG_tag_storage_reserved,
  putPage,
  SlabCache,
  TAG_PAGE_FREE,
  zoneinfo,
} from '../../../src/kernel/mm/index.js';
import { boot } from '../kernel-fixture.js';

describe('the page allocator', () => {
  it('gives zeroed pages, one reference each, and takes them back', () => {
    const k = boot();
    const free = k.unused();
    const page = k.run(allocPages(k.mm, GFP_KERNEL, 0))!;
    k.port.fill(k.mm.pageToPa(page), 4096, 0xaa);
    expect(k.mm.memmap.refcount[page]).toBe(1);
    expect(k.unused()).toBe(free - 1);
    k.run(freePages(k.mm, page, 0));
    const again = k.run(allocPages(k.mm, GFP_KERNEL | __GFP_ZERO, 0))!;
    expect(again).toBe(page);
    expect(k.port.readBytes(k.mm.pageToPa(again), 4096).every((x) => x === 0)).toBe(true);
    k.check();
  });

  it('every order: aligned, whole, and merged again when freed', () => {
    const k = boot();
    drainAllPages(k.mm);
    const before = zoneinfo(k.mm).map((zone) => zone.freeBlocks);
    for (let order = 0; order <= k.mm.memmap.maxPageOrder; order++) {
      const page = k.run(allocPages(k.mm, GFP_KERNEL | __GFP_COMP, order))!;
      expect(page % 2 ** order).toBe(0);
      expect(k.mm.memmap.test(page, PG_head)).toBe(order > 0);
      if (order > 0) expect(k.mm.memmap.head((page + 2 ** order - 1) as Page)).toBe(page);
      k.run(putPage(k.mm, page));
      k.check();
    }
    drainAllPages(k.mm);
    expect(zoneinfo(k.mm).map((zone) => zone.freeBlocks)).toEqual(before);
  });

  it('order above the largest, and more than there is, fail without harm', () => {
    const k = boot();
    const held: Page[] = [];
    for (;;) {
      const page = k.run(allocPages(k.mm, GFP_KERNEL | __GFP_NOWARN, 4));
      if (page === undefined) break;
      held.push(page);
    }
    expect(held.length * 16).toBeGreaterThan(15_000);
    while (k.run(allocPages(k.mm, GFP_KERNEL, 0)) !== undefined);
    // The reserve below the minimum watermark stays for those who may dig deeper.
    expect(k.run(allocPages(k.mm, GFP_KERNEL, 0))).toBeUndefined();
    expect(k.run(allocPagesAtomic(k.mm, GFP_ATOMIC, 0))).toBeDefined();
    k.check();
    for (const page of held) k.run(freePages(k.mm, page, 4));
    k.check();
    expect(k.run(allocPages(k.mm, GFP_KERNEL, 0))).toBeDefined();
  });

  it('random allocation and freeing of all orders keeps every list and counter exact', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ free: fc.boolean(), pick: fc.nat(1000), order: fc.nat(6), gfp: fc.nat(3) }), {
          minLength: 50,
          maxLength: 200,
          size: 'max',
        }),
        (steps) => {
          const k = boot({ tagPages: 64, pageblockOrder: 5, cpus: 2 });
          const held: { page: Page; order: number }[] = [];
          const total = k.unused();
          for (const { free, pick, order, gfp } of steps) {
            k.contexts.current = k.contexts.newTask('t', pick % 2);
            if (free && held.length > 0) {
              const [gone] = held.splice(pick % held.length, 1);
              k.run(freePages(k.mm, gone!.page, gone!.order));
            } else {
              const flags = [GFP_KERNEL, GFP_HIGHUSER_MOVABLE, GFP_ATOMIC, GFP_KERNEL | 0x10][gfp]!;
              const page = k.run(allocPages(k.mm, flags, order));
              if (page !== undefined) held.push({ page, order });
            }
            const used = held.reduce((n, h) => n + 2 ** h.order, 0);
            expect(k.unused()).toBe(total - used);
          }
          k.check();
        },
      ),
      { numRuns: 20, seed: 5 },
    );
  });

  it('pageblocks change their type when another type steals most of one', () => {
    const k = boot();
    const { types } = zoneinfo(k.mm)[0]!;
    expect(types['Movable']!.blocks).toBeGreaterThan(0);
    k.run(allocPages(k.mm, GFP_KERNEL, 0));
    expect(zoneinfo(k.mm)[0]!.types['Unmovable']!.blocks).toBeGreaterThanOrEqual(1);
  });
});

describe('who may use CMA (patches 3 and 4)', () => {
  /** Takes normal memory until only CMA is left. */
  function exhaustNormal(k: ReturnType<typeof boot>): void {
    for (const order of [10, 6, 3, 0]) {
      while (k.run(allocPages(k.mm, GFP_KERNEL, order)) !== undefined);
    }
  }

  it('movable and untagged: yes; tagged, unmovable, reclaimable: no', () => {
    const k = boot();
    exhaustNormal(k);
    expect(k.run(allocPages(k.mm, GFP_KERNEL, 0))).toBeUndefined();
    expect(k.run(allocPages(k.mm, GFP_KERNEL | 0x10, 0))).toBeUndefined();
    expect(k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE | __GFP_TAGGED, 0))).toBeUndefined();
    const page = k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0))!;
    expect(k.mm.memmap.pageblockMigratetype(page)).toBe(MIGRATE_CMA);
    expect(k.memory.snapshotTagStorage().data).toBe(1);
    k.check();
  });

  it('a CMA page on the MOVABLE per-CPU list is not handed to a tagged request', () => {
    const k = boot();
    exhaustNormal(k);
    const page = k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0))!;
    k.run(freePages(k.mm, page, 0));
    expect(k.mm.memmap.test(page, PG_buddy)).toBe(false);
    expect(k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE | __GFP_TAGGED, 0))).toBeUndefined();
    expect(k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0))).toBe(page);
  });

  it('more than half of what is free being CMA, movable requests go there first', () => {
    const k = boot();
    const movable = () => {
      drainAllPages(k.mm);
      const page = k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0))!;
      const cma = k.mm.memmap.pageblockMigratetype(page) === MIGRATE_CMA;
      k.run(freePages(k.mm, page, 0));
      return cma;
    };
    expect(movable()).toBe(false);
    const zone = k.mm.zones[0]!;
    while (zone.freeCmaPages <= zone.freePages / 2) {
      k.run(allocPages(k.mm, GFP_KERNEL, 5));
      drainAllPages(k.mm);
    }
    expect(movable()).toBe(true);
  });
});

describe('preparation of pages (patches 1 and 2)', () => {
  it('tagged and zeroed: block held, data and tags zero; tagged only: tags untouched and not valid', () => {
    const k = boot();
    const zeroed = k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE | __GFP_TAGGED | __GFP_ZERO, 0))!;
    expect(k.mm.memmap.test(zeroed, PG_tag_storage_reserved)).toBe(true);
    expect(k.mm.memmap.test(zeroed, PG_mte_tagged)).toBe(true);
    expect(k.port.readTags(k.mm.pageToPa(zeroed), 4096).every((x) => x === 0)).toBe(true);
    const plain = k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE | __GFP_TAGGED, 0))!;
    expect(k.mm.memmap.test(plain, PG_tag_storage_reserved)).toBe(true);
    expect(k.mm.memmap.test(plain, PG_mte_tagged)).toBe(false);
    for (const page of [zeroed, plain]) {
      k.run(freePages(k.mm, page, 0));
      expect(k.mm.memmap.test(page, PG_tag_storage_reserved | PG_mte_tagged)).toBe(false);
    }
    k.check();
  });

  it("without its block a zeroed page has its data zeroed and nobody else's bytes touched", () => {
    const k = boot();
    const { region, pages } = k.memory.snapshotTagStorage().regions[0]!;
    for (const [i, state] of pages.entries()) {
      if (state === TAG_PAGE_FREE) k.port.fill(PA((region.tagStartPfn + i) * 4096), 4096, 0x5a);
    }
    k.mm.shouldFail = (what) => what === 'xa_store';
    // The first few share the zero page's block, which is held.
    const fresh = () => k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE | __GFP_TAGGED | __GFP_ZERO, 0))!;
    let page = fresh();
    for (let i = 0; i < 32 && k.mm.memmap.test(page, PG_tag_storage_reserved); i++) page = fresh();
    expect(k.mm.memmap.test(page, PG_tag_storage_reserved | PG_mte_tagged)).toBe(false);
    expect(k.port.readBytes(k.mm.pageToPa(page), 4096).every((x) => x === 0)).toBe(true);
    expect(k.port.readTags(k.mm.pageToPa(page), 4096).every((x) => x === 0x5a)).toBe(true);
    k.mm.shouldFail = () => false;
    k.check();
  });

  it('an atomic tagged request gets its page at once and its block later', () => {
    const k = boot();
    const page = k.run(allocPagesAtomic(k.mm, GFP_ATOMIC | __GFP_MOVABLE | __GFP_TAGGED, 0))!;
    expect(k.mm.memmap.test(page, PG_tag_storage_reserved)).toBe(false);
    expect(k.memory.tagStorageMetrics()['atomicRefused']).toBe(1);
    k.check();
  });

  it('a policy that refuses pages is offered others, each once, and all go back', () => {
    const k = boot({ policy: 'cma-v2-posted' });
    const free = k.unused();
    const offered: Page[] = [];
    const { archAllocPage } = k.mm.hooks;
    k.mm.hooks.archAllocPage = function* (page, order, gfp) {
      offered.push(page);
      return offered.length > 3000 && (yield* archAllocPage.call(k.mm.hooks, page, order, gfp));
    };
    const page = k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE | __GFP_TAGGED, 0))!;
    expect([offered.length, new Set(offered).size, offered.at(-1)]).toEqual([3001, 3001, page]);
    k.run(freePages(k.mm, page, 0));
    expect(k.unused()).toBe(free);
    // Where every page is refused, memory has run out, and none is lost.
    k.mm.shouldFail = (what) => what === 'reserve_tag_storage';
    expect(k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE | __GFP_TAGGED, 0))).toBeUndefined();
    k.mm.shouldFail = () => false;
    expect(k.unused()).toBe(free);
    k.check();
  });
});

describe('slab', () => {
  it('objects are distinct bytes of guest memory and go back with their page', () => {
    const k = boot();
    const free = k.unused();
    const cache = new SlabCache(k.mm, 'test', 128);
    const objects = Array.from({ length: 70 }, () => k.run(cache.alloc(GFP_KERNEL))!);
    expect(new Set(objects).size).toBe(70);
    expect(k.memory.vmstat()['nr_slab_unreclaimable']).toBe(3);
    for (const object of objects) k.run(cache.free(object));
    expect(k.memory.vmstat()['nr_slab_unreclaimable']).toBe(0);
    expect(k.unused()).toBe(free);
    k.check();
  });
});
