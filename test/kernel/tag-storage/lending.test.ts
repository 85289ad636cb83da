/** The cma policy on a running kernel: blocks taken and given back, faults, the chain of 5.6, boot conditions. */
import { describe, expect, it } from 'vitest';
import { PA, VA } from '../../../src/base/index.js';
import type { MaySleep } from '../../../src/kernel/contexts/index.js';
import { EBUSY } from '../../../src/kernel/contexts/index.js';
import type { Page, TagRegion } from '../../../src/kernel/mm/index.js';
import {
  __GFP_COMP,
  __GFP_TAGGED,
  allocPages,
  folioIsolateLru,
  folioTrylock,
  folioUnlock,
  freePages,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  getPage,
  lruAddDrainAll,
  MADV_DONTNEED,
  migratePages,
  PG_mte_tagged,
  PG_tag_storage_reserved,
  PROT_MTE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  putPage,
  splitPage,
  startIsolatePageRange,
  TAG_PAGE_DATA,
  undoIsolatePageRange,
} from '../../../src/kernel/mm/index.js';
import { folioBlocks } from '../../../src/kernel/tag-storage/index.js';
import type { Fixture, User } from '../kernel-fixture.js';
import { boot, pattern } from '../kernel-fixture.js';

const RW = PROT_READ | PROT_WRITE;
const PAGE = 4096;
const TAGGED = GFP_HIGHUSER_MOVABLE | __GFP_TAGGED;

const blockCount = (k: Fixture, pfn: number, order = 0): number[] =>
  folioBlocks(k.regions, pfn, order)!.map(
    (block) => k.mm.memmap.refcount[k.mm.memmap.pfnToPage(block.pfn)!]!,
  );

/** A user whose data lies in tag storage, and where. Normal memory is then freed again. */
function lend(
  k: Fixture,
  pages: number,
): { user: User; addr: number; inTagStorage: number[]; verify: () => void } {
  const user = k.user();
  const addr = user.mmap(pages, RW);
  user.store(addr, pattern(PAGE, 0));
  const held: [Page, number][] = [];
  for (const order of [10, 6, 3, 0]) {
    for (;;) {
      const page = k.run(allocPages(k.mm, GFP_KERNEL, order));
      if (page === undefined) break;
      held.push([page, order]);
    }
  }
  const spare = held.filter(([, order]) => order === 3).slice(0, 4);
  for (const [page, order] of spare) k.run(freePages(k.mm, page, order));
  for (let i = 1; i < pages; i++) expect(user.store(addr + i * PAGE, pattern(PAGE, i))).toBe(true);
  for (const [page, order] of held) {
    if (!spare.some(([gone]) => gone === page)) k.run(freePages(k.mm, page, order));
  }
  const isTagStorage = (pfn: number) => k.regions.some((r) => pfn >= r.tagStartPfn && pfn <= r.tagEndPfn);
  const inTagStorage = [...Array(pages).keys()].filter((i) => isTagStorage(user.pfn(addr + i * PAGE)!));
  return {
    user,
    addr,
    inTagStorage,
    verify: () => {
      for (let i = 0; i < pages; i++) {
        expect(Buffer.compare(user.load(addr + i * PAGE, PAGE)!, pattern(PAGE, i))).toBe(0);
      }
    },
  };
}

describe('reference counts of blocks (4.8)', () => {
  it('two pages of one block: 1 + 2; released with the second', () => {
    const k = boot({ blockSizePages: 2 });
    // A block of its own: 64 aligned pages.
    const group = k.run(allocPages(k.mm, GFP_KERNEL, 7))!;
    splitPage(k.mm, group, 7);
    for (let i = 0; i < 128; i++) if (i !== 64 && i !== 65) k.run(freePages(k.mm, (group + i) as Page, 0));
    k.run(freePages(k.mm, (group + 64) as Page, 0));
    k.run(freePages(k.mm, (group + 65) as Page, 0));
    const a = k.run(allocPages(k.mm, TAGGED, 6))!;
    const pfn = k.mm.memmap.pageToPfn(a);
    expect(blockCount(k, pfn)).toEqual([1 + 64]);
    splitPage(k.mm, a, 6);
    for (let i = 0; i < 62; i++) k.run(freePages(k.mm, (a + i) as Page, 0));
    expect(blockCount(k, pfn)).toEqual([1 + 2]);
    k.run(freePages(k.mm, (a + 62) as Page, 0));
    expect(blockCount(k, pfn)).toEqual([1 + 1]);
    k.check();
    const released = k.memory.vmstat()['cma_release_success']!;
    k.run(freePages(k.mm, (a + 63) as Page, 0));
    expect(k.memory.vmstat()['cma_release_success']).toBe(released + 2);
    k.check();
  });

  it.each([1, 2, 3, 4, 6, 8])(
    'an order-9 folio, B=%i: every block taken, freed page by page after a split',
    (b) => {
      const k = boot({ blockSizePages: b, tagPages: 1536 });
      const data = lend(k, 300);
      expect(data.inTagStorage.length).toBeGreaterThan(200);
      const folio = k.run(allocPages(k.mm, TAGGED, 9))!;
      const pfn = k.mm.memmap.pageToPfn(folio);
      const blocks = folioBlocks(k.regions, pfn, 9)!;
      expect(k.mm.memmap.test(folio, PG_tag_storage_reserved)).toBe(true);
      for (const block of blocks) {
        for (let i = 0; i < b; i++)
          expect(k.memory.ownerOfTagPage((block.pfn + i) as never).kind).toBe('tags');
      }
      // Tags of every granule of the folio, then see that nobody's data changed.
      for (let i = 0; i < 512; i++) k.port.fillTags(PA((pfn + i) * PAGE), PAGE, 1 + (i % 15));
      data.verify();
      k.check();
      splitPage(k.mm, folio, 9);
      for (let i = 0; i < 512; i++) {
        k.run(freePages(k.mm, (folio + i) as Page, 0));
        if (i % 64 === 5) k.check();
      }
      expect(k.log.filter((line) => line.includes('WARNING'))).toEqual([]);
      data.verify();
      k.check();
    },
  );

  it('R2: an order-6 folio with B=2 takes one block of two pages', () => {
    const k = boot({ blockSizePages: 2 });
    const before = k.memory.vmstat()['cma_alloc_success']!;
    k.run(allocPages(k.mm, TAGGED | __GFP_COMP, 6));
    expect(k.memory.vmstat()['cma_alloc_success']).toBe(before + 2);
    k.check();
  });

  it('a folio that cannot have its second block leaves the first to the other who has it', () => {
    const k = boot({ blockSizePages: 1 });
    const data = lend(k, 300);
    // The first half's tags lie in a tag page that holds pinned data, the second half's next to it.
    const region = k.regions[0]!;
    const offsets = data.inTagStorage.map((i) => data.user.pfn(data.addr + i * PAGE)! - region.tagStartPfn);
    const offset = offsets.find((at) => at % 2 === 0 && at < 400)!;
    const pinned = k.mm.memmap.pfnToPage(region.tagStartPfn + offset)!;
    getPage(k.mm, pinned);
    const folio = takeExact(k, region.memStartPfn + offset * 32, 6);
    const second = (folio + 32) as Page;
    const counts = () => blockCount(k, k.mm.memmap.pageToPfn(second));
    expect(k.run(reserve(k, second, 0))).toBe(0);
    expect(counts()).toEqual([2]);
    expect(k.run(reserve(k, folio, 6))).toBe(-EBUSY);
    expect(counts()).toEqual([2]);
    expect(k.mm.memmap.test(folio, PG_tag_storage_reserved)).toBe(false);
    data.verify();
    k.check();
    k.run(putPage(k.mm, pinned));
    // It waits for the lock: who looks then finds a block half taken, and one counted for pages not yet reserved.
    let slept = 0;
    folioTrylock(k.mm, pinned);
    const work = whenAsleep(reserve(k, folio, 6), () => {
      k.check();
      if (slept++ > 0) return;
      getPage(k.mm, pinned);
      folioUnlock(k.mm, pinned);
    });
    expect(k.run(work)).toBe(-EBUSY);
    expect(slept).toBeGreaterThan(0);
    expect(counts()).toEqual([2]);
    k.check();
    k.run(putPage(k.mm, pinned));
    expect(k.run(reserve(k, folio, 5))).toBe(0);
    expect(blockCount(k, region.memStartPfn + offset * 32)).toEqual([1 + 32]);
    data.verify();
    k.check();
  });
});

/** 2^order single pages from exactly this PFN, by taking all memory and giving back the rest. */
function takeExact(k: Fixture, pfn: number, order: number): Page {
  const wanted = k.mm.memmap.pfnToPage(pfn)!;
  const held: Page[] = [];
  for (;;) {
    const page = k.run(allocPages(k.mm, GFP_KERNEL, order));
    if (page === undefined) throw new Error(`pfn 0x${pfn.toString(16)} is in use`);
    if (page === wanted) break;
    held.push(page);
  }
  for (const page of held) k.run(freePages(k.mm, page, order));
  splitPage(k.mm, wanted, order);
  return wanted;
}

/** The same work; tells of every sleep. */
function* whenAsleep<T>(work: MaySleep<T>, asleep: () => void): MaySleep<T> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (step.value.point === 'sleep') asleep();
    yield step.value;
  }
}

/** reserve_tag_storage() as an allocation's hook calls it. */
function* reserve(k: Fixture, page: Page, order: number) {
  const before = k.memory.tagStorageMetrics()['reserveBusy']!;
  yield* k.mm.hooks.archAllocPage(page, order, TAGGED);
  return k.memory.tagStorageMetrics()['reserveBusy']! > before ? -EBUSY : 0;
}

describe('fault-on-access (5)', () => {
  it('mprotect(PROT_MTE) over mapped pages: storage only for those touched, one fault each, tag 0 first', () => {
    const k = boot();
    const u = k.user();
    const addr = u.mmap(8, RW);
    for (let i = 0; i < 8; i++) u.store(addr + i * PAGE, pattern(PAGE, i));
    expect(u.mprotect(addr, 8, RW | PROT_MTE)).toBe(0);
    k.check();
    const before = k.memory.tagStorageMetrics()['faultOnAccessFaults']!;
    for (let i = 0; i < 4; i++) {
      expect(u.faults(addr + i * PAGE, true)).toBe(1);
      expect(u.loadTag(addr + i * PAGE + 48)).toBe(0);
      expect(u.storeTag(addr + i * PAGE + 48, 9)).toBe(true);
      expect(u.faults(addr + i * PAGE, true)).toBe(0);
      k.check();
    }
    expect(k.memory.tagStorageMetrics()['faultOnAccessFaults']! - before).toBe(4);
    for (let i = 0; i < 8; i++)
      expect(Buffer.compare(u.load(addr + i * PAGE, PAGE)!, pattern(PAGE, i))).toBe(0);
    for (let i = 0; i < 4; i++) expect(u.loadTag(addr + i * PAGE + 48)).toBe(9);
    k.check();
  });

  it('PROT_NONE hides the mark; accessible again, the page still has to get its block', () => {
    const k = boot();
    const u = k.user();
    const addr = u.mmap(1, RW);
    u.store(addr, pattern(PAGE, 3));
    u.mprotect(addr, 1, RW | PROT_MTE);
    u.mprotect(addr, 1, PROT_NONE);
    expect(u.fault(addr, false)).toEqual({ kind: 'signal', signal: 'SIGSEGV', code: 'ACCERR' });
    u.mprotect(addr, 1, RW);
    expect(k.memory.virtToPhys(u.as, VA(BigInt(addr)))).toBeUndefined();
    expect(u.storeTag(addr, 5)).toBe(true);
    expect(u.loadTag(addr)).toBe(5);
    expect(k.memory.findVma(u.as, VA(BigInt(addr)))?.mte).toBe(true);
    k.check();
  });

  it('an allocation in a tagged VMA has its block at once: no further fault', () => {
    const k = boot();
    const u = k.user();
    const addr = u.mmap(4, RW | PROT_MTE);
    for (let i = 0; i < 4; i++) expect(u.faults(addr + i * PAGE, true)).toBe(1);
    expect(k.memory.tagStorageMetrics()['faultOnAccessFaults']).toBe(0);
    k.check();
  });

  it('row 4: a page of tag storage in a tagged VMA moves out with its contents', () => {
    const k = boot();
    const data = lend(k, 200);
    const i = data.inTagStorage[3]!;
    const at = data.addr + i * PAGE;
    const old = data.user.pfn(at)!;
    expect(k.memory.ownerOfTagPage(old as never)).toMatchObject({
      kind: 'data',
      mappings: [{ va: BigInt(at) }],
    });
    data.user.mprotect(at, 1, RW | PROT_MTE);
    expect(data.user.storeTag(at + 16, 7)).toBe(true);
    expect(data.user.pfn(at)).not.toBe(old);
    expect(k.memory.ownerOfTagPage(old as never).kind).toBe('free');
    expect(data.user.loadTag(at + 16)).toBe(7);
    data.verify();
    k.check();
  });

  it('5.6: M1 holds the tags of P1, both mapped, both turned tagged: ends, and nothing is lost', () => {
    const k = boot();
    const data = lend(k, 400);
    const { user, addr } = data;
    const all = [...Array(400).keys()];
    expect(user.mprotect(addr, 400, RW | PROT_MTE)).toBe(0);
    for (const i of all) {
      expect(user.storeTag(addr + i * PAGE + 32, (i % 15) + 1)).toBe(true);
      if (i % 50 === 0) k.check();
    }
    for (const i of all) expect(user.loadTag(addr + i * PAGE + 32)).toBe((i % 15) + 1);
    data.verify();
    k.check();
    expect(k.memory.tagStorageMetrics()['replacements']).toBeGreaterThan(100);
    expect(k.memory.snapshotTagStorage().data).toBe(0);
  });

  it('R3: the data in the block is pinned for ever: the page itself is replaced, and the process goes on', () => {
    const k = boot();
    const data = lend(k, 300);
    const region = k.regions[0]!;
    const pfns = data.inTagStorage.map((i) => data.user.pfn(data.addr + i * PAGE)!);
    const offset = pfns[40]! - region.tagStartPfn;
    const near = pfns.filter((pfn) => Math.abs(pfn - pfns[40]!) < 8);
    const lent = near.map((pfn) => k.mm.memmap.pfnToPage(pfn)!);
    for (const page of lent) getPage(k.mm, page);
    const target = takeExact(k, region.memStartPfn + offset * 32, 5);
    for (let i = 0; i < 32; i++) k.run(freePages(k.mm, (target + i) as Page, 0));
    const other = k.user();
    const at = other.mmap(1, RW);
    other.store(at, pattern(PAGE, 77));
    // Its page happens to be one whose tags would lie where the pinned data are.
    k.run(lruAddDrainAll(k.mm));
    const page = k.mm.memmap.pfnToPage(other.pfn(at)!)!;
    folioIsolateLru(k.mm, page);
    k.run(migratePages(k.mm, [page], () => takeInto(k, target)));
    expect(other.pfn(at)).toBe(region.memStartPfn + offset * 32);
    other.mprotect(at, 1, RW | PROT_MTE);
    expect(other.storeTag(at, 4)).toBe(true);
    expect(other.loadTag(at)).toBe(4);
    expect(other.pfn(at)).not.toBe(region.memStartPfn + offset * 32);
    expect(Buffer.compare(other.load(at, PAGE)!, pattern(PAGE, 77))).toBe(0);
    expect(k.memory.tagStorageMetrics()['replacements']).toBe(1);
    for (const pinned of lent) k.run(putPage(k.mm, pinned));
    data.verify();
    k.check();
  });
});

function* takeInto(k: Fixture, wanted: Page) {
  const held: Page[] = [];
  let found: Page | undefined;
  for (;;) {
    const page = yield* allocPages(k.mm, GFP_KERNEL, 0);
    if (page === undefined) break;
    if (page === wanted) {
      found = page;
      break;
    }
    held.push(page);
  }
  for (const page of held) yield* freePages(k.mm, page, 0);
  return found;
}

describe('tags follow their page', () => {
  it('migration to a page without a block: stashed, and back when the block is there (v3/29)', () => {
    const k = boot();
    const u = k.user();
    const at = u.mmap(1, RW | PROT_MTE);
    u.store(at, pattern(PAGE, 5));
    for (let g = 0; g < 256; g++) u.storeTag(at + g * 16, g % 16);
    const page = k.mm.memmap.pfnToPage(u.pfn(at)!)!;
    k.run(lruAddDrainAll(k.mm));
    folioIsolateLru(k.mm, page);
    const target = k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0))!;
    k.run(migratePages(k.mm, [page], () => constant(target)));
    expect(k.mm.memmap.test(target, PG_mte_tagged | PG_tag_storage_reserved)).toBe(false);
    expect(k.memory.tagStorageMetrics()['stashEntries']).toBe(1);
    k.check();
    for (let g = 0; g < 256; g++) expect(u.loadTag(at + g * 16)).toBe(g % 16);
    expect(Buffer.compare(u.load(at, PAGE)!, pattern(PAGE, 5))).toBe(0);
    expect(k.memory.tagStorageMetrics()['stashEntries']).toBe(0);
    k.check();
  });

  it('F7: a page freed with a stash and no block leaves no tags to its next owner', () => {
    const k = boot();
    const u = k.user();
    const at = u.mmap(1, RW | PROT_MTE);
    u.storeTag(at, 11);
    const page = k.mm.memmap.pfnToPage(u.pfn(at)!)!;
    k.run(lruAddDrainAll(k.mm));
    folioIsolateLru(k.mm, page);
    const target = k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0))!;
    k.run(migratePages(k.mm, [page], () => constant(target)));
    u.munmap(at, 1);
    expect(k.memory.tagStorageMetrics()['stashEntries']).toBe(0);
    expect(k.memory.vmstat()['nr_slab_unreclaimable']).toBe(0);
    k.check();
  });

  it('copy-on-write after fork copies data and tags; the two then differ', () => {
    const k = boot();
    const parent = k.user();
    const at = parent.mmap(2, RW | PROT_MTE);
    parent.store(at, pattern(PAGE, 1));
    parent.storeTag(at, 3);
    const child = parent.fork();
    k.check();
    expect(child.loadTag(at)).toBe(3);
    child.storeTag(at, 12);
    child.store(at, pattern(PAGE, 2));
    expect(child.pfn(at)).not.toBe(parent.pfn(at));
    expect([parent.loadTag(at), child.loadTag(at)]).toEqual([3, 12]);
    expect(Buffer.compare(parent.load(at, PAGE)!, pattern(PAGE, 1))).toBe(0);
    k.check();
    parent.exit();
    expect(child.loadTag(at)).toBe(12);
    child.exit();
    k.check();
  });

  it('MADV_DONTNEED and munmap forget tags and give the block back', () => {
    const k = boot();
    const u = k.user();
    const at = u.mmap(64, RW | PROT_MTE);
    for (let i = 0; i < 64; i++) u.storeTag(at + i * PAGE, 8);
    const held = k.memory.snapshotTagStorage().tags;
    expect(u.madvise(at, 1, MADV_DONTNEED)).toBe(0);
    expect(u.loadTag(at)).toBe(0);
    u.munmap(at, 64);
    expect(held).toBeGreaterThan(1);
    expect(k.memory.snapshotTagStorage().tags).toBe(1);
    k.check();
  });
});

function* constant<T>(value: T): Generator<never, T, void> {
  yield* [];
  return value;
}

describe('cache maintenance (7.6)', () => {
  it("a block's data lines go before its first tag; a freed page's tag lines go before its block", () => {
    const k = boot({ blockSizePages: 2 });
    const u = k.user();
    k.port.maintenance.length = 0;
    const at = u.mmap(128, RW | PROT_MTE);
    for (let i = 0; i < 128; i++) u.store(at + i * PAGE, pattern(PAGE, i));
    const data = k.port.maintenance.filter((line) => line.startsWith('inval-data'));
    // Only newly taken blocks, each whole, each once.
    expect(new Set(data).size).toBe(data.length);
    expect(data.length).toBeGreaterThanOrEqual(2);
    expect(data.every((line) => line.endsWith('+8192'))).toBe(true);
    k.port.maintenance.length = 0;
    u.munmap(at, 128);
    k.run(lruAddDrainAll(k.mm));
    expect(k.port.maintenance.filter((line) => line.startsWith('inval-tags'))).toHaveLength(128);
    k.check();
  });
});

describe('the zero page (3.4, F26)', () => {
  it('has its block from before activation to the end, and tag 0', () => {
    const k = boot({ blockSizePages: 3, tagPages: 1536 });
    const zero = k.mm.memmap.pageToPfn(k.mm.zeroPage);
    const block = folioBlocks(k.regions, zero, 0)![0]!.pfn;
    for (let i = 0; i < 3; i++) {
      expect(k.memory.ownerOfTagPage((block + i) as never)).toEqual({
        kind: 'tags',
        blockPfn: block,
        taggedPages: 1,
      });
    }
    const data = lend(k, 1400);
    expect(k.memory.snapshotTagStorage().data).toBeGreaterThan(1000);
    const u = k.user();
    const at = u.mmap(1, RW | PROT_MTE);
    for (let g = 0; g < 256; g += 17) expect(u.loadTag(at + g * 16)).toBe(0);
    expect(u.pfn(at)).toBe(zero);
    // Writing a tag is a write: the zero page is copied, not tagged.
    expect(u.storeTag(at, 6)).toBe(true);
    expect(u.pfn(at)).not.toBe(zero);
    data.verify();
    k.check();
  });

  it('F21: outside every region boot goes on, and a tagged read of it sees tag 0', () => {
    const base = 0x40000;
    const regions: TagRegion[] = [
      {
        memStartPfn: base,
        memEndPfn: base + 16383,
        tagStartPfn: base + 16384,
        tagEndPfn: base + 16895,
        blockSizePages: 1,
      },
    ];
    const k = boot({ regions, banks: [{ base: PA(base * PAGE), size: 16896 * PAGE }], policy: 'static' });
    const u = k.user();
    const at = u.mmap(1, RW | PROT_MTE);
    expect(u.loadTag(at)).toBe(0);
    k.check();
  });
});

describe('a page whose pageblock is being emptied', () => {
  it('does not get its block: whoever empties it moves the page first', () => {
    const k = boot();
    const u = k.user();
    const at = u.mmap(1, RW);
    u.store(at, pattern(PAGE, 3));
    expect(u.mprotect(at, 1, RW | PROT_MTE)).toBe(0);
    k.run(lruAddDrainAll(k.mm));
    const page = k.mm.memmap.pfnToPage(k.memory.residentPfn(u.as, VA(BigInt(at)))!)!;
    const type = k.mm.memmap.pageblockMigratetype(page);
    expect(startIsolatePageRange(k.mm, page, page + 1, type)).toBe(0);
    const access = { write: true, exec: false, user: true, tagAccess: true };
    for (let i = 0; i < 3; i++) {
      const result = k.run(k.memory.handleMmFault(u.as, VA(BigInt(at)), access));
      expect(result).toMatchObject({ kind: 'handled' });
    }
    expect(k.mm.memmap.test(page, PG_tag_storage_reserved)).toBe(false);
    expect(k.memory.tagStorageMetrics()).toMatchObject({ faultOnAccessRetries: 6, replacements: 0 });
    undoIsolatePageRange(k.mm, page, page + 1, type);
    u.storeTag(at, 4);
    expect([u.loadTag(at), k.mm.memmap.test(page, PG_tag_storage_reserved)]).toEqual([4, true]);
    expect(Buffer.compare(u.load(at, PAGE)!, pattern(PAGE, 3))).toBe(0);
    k.check();
  });
});

describe('out of memory', () => {
  it('a fault without memory says so, and works again when there is some', () => {
    const k = boot();
    const u = k.user();
    const at = u.mmap(20_000, RW | PROT_MTE, 0x4022);
    let stored = 0;
    while (u.store(at + stored * PAGE, new Uint8Array([1]))) stored++;
    expect(stored).toBeGreaterThan(10_000);
    expect(u.fault(at + stored * PAGE, true)).toEqual({ kind: 'oom' });
    k.check();
    u.munmap(at, 100);
    k.run(lruAddDrainAll(k.mm));
    expect(u.store(at + stored * PAGE, new Uint8Array([1]))).toBe(true);
    k.check();
  });

  it('obvious overcommit is refused with ENOMEM, MAP_NORESERVE is not', () => {
    const k = boot();
    const u = k.user();
    expect(u.mmap(1_000_000, RW)).toBe(-12);
    expect(u.mmap(1_000_000, RW, 0x4022)).toBeGreaterThan(0);
  });
});

describe('boot conditions (2.2, 3.2)', () => {
  it('says what Linux says', () => {
    expect(boot().log).toEqual(['MTE tag storage region management enabled']);
    expect(boot({ policy: 'static' }).log).toEqual([]);
  });

  it.each([
    ['not whole pageblocks', { tagPages: 500 }, /multiples of 2 MiB/],
    ['KASAN HW tags', { kasanHwTags: true }, /KASAN HW tags/],
    ['16 KiB pages want 32 MiB', { pageSize: 16384, tagPages: 512 }, /multiples of 32 MiB/],
  ] as const)('disabled: %s', (_name, options, reason) => {
    const k = boot(options);
    const snapshot = k.memory.snapshotTagStorage();
    expect(k.log[k.log.length - 1]).toBe('MTE tag storage region management disabled');
    expect(snapshot.enabled).toBe(false);
    expect(snapshot.reason).toMatch(reason);
    expect(snapshot.reserved).toBe(snapshot.regions[0]!.pages.length);
    // MTE itself goes on, on a carve-out.
    const u = k.user();
    const at = u.mmap(1, RW | PROT_MTE);
    expect(u.storeTag(at, 6) && u.loadTag(at)).toBe(6);
    k.check();
  });

  it('without MTE the tag pages are ordinary memory', () => {
    const k = boot({ mte: false });
    expect(k.memory.snapshotTagStorage()).toMatchObject({ enabled: false, reserved: 0 });
    expect(k.memory.meminfo()['MemTotal']).toBe((16384 + 512 - 1) * 4);
    const u = k.user();
    expect(u.mmap(1, RW | PROT_MTE)).toBeGreaterThan(0);
    k.check();
  });

  it('two regions, the second too small: nothing is enabled and the first is not CMA', () => {
    const base = 0x40000;
    const regions: TagRegion[] = [
      {
        memStartPfn: base,
        memEndPfn: base + 16383,
        tagStartPfn: base + 33280,
        tagEndPfn: base + 33791,
        blockSizePages: 1,
      },
      {
        memStartPfn: base + 16384,
        memEndPfn: base + 32767,
        tagStartPfn: base + 32768,
        tagEndPfn: base + 33279,
        blockSizePages: 1,
      },
    ];
    const banks = [{ base: PA(base * PAGE), size: 33792 * PAGE }];
    const good = boot({ regions, banks });
    expect(good.memory.snapshotTagStorage().enabled).toBe(true);
    good.check();
    const bad = boot({ regions: [regions[0]!, { ...regions[1]!, tagEndPfn: base + 33000 }], banks });
    expect(bad.memory.snapshotTagStorage().enabled).toBe(false);
    expect(bad.mm.totalCmaPages).toBe(0);
    bad.check();
  });

  it('a region over the 4 GiB boundary is split, and works on both sides', () => {
    // Data from 3 GiB; its tags straddle 4 GiB, half of them in each zone.
    const mem = 0xc0000;
    const regions: TagRegion[] = [
      {
        memStartPfn: mem,
        memEndPfn: mem + 32767,
        tagStartPfn: 0xffe00,
        tagEndPfn: 0x1001ff,
        blockSizePages: 1,
      },
    ];
    const banks = [
      { base: PA(mem * PAGE), size: 32768 * PAGE },
      { base: PA(0xffe00 * PAGE), size: 1024 * PAGE },
    ];
    const k = boot({ regions, banks });
    expect(k.memory.snapshotTagStorage().enabled).toBe(true);
    expect(k.mm.cmaAreas.map((area) => [area.basePfn, area.count])).toEqual([
      [0xffe00, 512],
      [0x100000, 512],
    ]);
    const low = takeExact(k, mem + 64, 5);
    const high = takeExact(k, mem + 32768 - 64, 5);
    for (const page of [low, high]) expect(k.run(reserve(k, page, 5))).toBe(0);
    expect(k.memory.ownerOfTagPage(0xffe02 as never).kind).toBe('tags');
    expect(k.memory.ownerOfTagPage(0x1001fe as never).kind).toBe('tags');
    k.check();
  });

  it('tag storage that firmware sits in, or that is no memory, is not lent', () => {
    const inUse = boot({ reserved: [{ base: PA(0x4400_1000), size: PAGE }] });
    expect(inUse.memory.snapshotTagStorage().reason).toMatch(/in use: 0x44001000/);
    const base = 0x40000;
    const regions: TagRegion[] = [
      {
        memStartPfn: base,
        memEndPfn: base + 16383,
        tagStartPfn: base + 16384,
        tagEndPfn: base + 16895,
        blockSizePages: 1,
      },
    ];
    const banks = [
      { base: PA(base * PAGE), size: 16384 * PAGE },
      { base: PA((base + 32768) * PAGE), size: 512 * PAGE },
    ];
    const hole = boot({ regions, banks });
    expect(hole.memory.snapshotTagStorage()).toMatchObject({
      enabled: false,
      reason: 'region 0: tag storage is not memory',
    });
    for (const k of [inUse, hole]) expect(k.mm.totalCmaPages).toBe(0);
  });

  it('a bad policy name is told with the ones there are', () => {
    expect(() => boot({ policy: 'cam' })).toThrow(/TAG-STORAGE-POLICY/);
  });
});

describe('tags are bytes', () => {
  it('a store through an alias of the carve-out page changes the tag', () => {
    const k = boot();
    const u = k.user();
    const at = u.mmap(1, RW | PROT_MTE);
    u.storeTag(at + 32, 5);
    const pa = k.memory.virtToPhys(u.as, VA(BigInt(at)))!.pa;
    const region = k.regions[0]!;
    const tagByte = region.tagStartPfn * PAGE + Math.floor((pa + 32 - region.memStartPfn * PAGE) / 32);
    expect(k.port.read8(PA(tagByte))).toBe(5);
    k.port.write8(PA(tagByte), 0x3a);
    expect([u.loadTag(at + 32), u.loadTag(at + 48)]).toEqual([0xa, 3]);
    expect(k.memory.snapshotTagStorage().regions[0]!.pages.includes(TAG_PAGE_DATA)).toBe(false);
  });
});
