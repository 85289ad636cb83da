import { describe, expect, it } from 'vitest';
import { PA } from '../../../src/base/index.js';
import { EBUSY, EEXIST, EINTR, EINVAL } from '../../../src/kernel/contexts/index.js';
import type { CmaArea, Page } from '../../../src/kernel/mm/index.js';
import {
  allocContigRange,
  allocPages,
  cmaActivateArea,
  cmaAlloc,
  cmaAllocRange,
  cmaInitReservedMem,
  cmaRangeUsed,
  cmaRelease,
  cmaRemoveMem,
  drainAllPages,
  freePages,
  GFP_KERNEL,
  getPage,
  MIGRATE_CMA,
  MIGRATE_MOVABLE,
  PG_reserved,
  PROT_READ,
  PROT_WRITE,
  putPage,
  startIsolatePageRange,
  undoIsolatePageRange,
  zoneinfo,
} from '../../../src/kernel/mm/index.js';
import type { Fixture, User } from '../kernel-fixture.js';
import { boot, pattern } from '../kernel-fixture.js';

const AREA_PFN = 0x40200;
const AREA_PAGES = 1024;

/** A kernel whose only CMA area is the test's own: 4 MiB at 0x40200000. */
function withArea(orderPerBit = 0, activate = true): { k: Fixture; area: CmaArea; base: Page } {
  const k = boot({ policy: 'static', reserved: [{ base: PA(AREA_PFN * 4096), size: AREA_PAGES * 4096 }] });
  const area = cmaInitReservedMem(k.mm, AREA_PFN, AREA_PAGES, orderPerBit);
  if (typeof area === 'number') throw new Error(`cma_init_reserved_mem: ${area}`);
  if (activate) expect(cmaActivateArea(k.mm, area)).toBe(0);
  return { k, area, base: k.mm.memmap.pfnToPage(AREA_PFN)! };
}

/** A process whose pages fill most of the area: they must survive whatever happens to it. */
function fillArea(k: Fixture): { verify: () => void; user: User; addrs: number[] } {
  const user = k.user();
  const addr = user.mmap(400, PROT_READ | PROT_WRITE);
  user.store(addr, pattern(4096, 0));
  // Normal memory goes, but for what page tables and migration need.
  const held: Page[] = [];
  for (const order of [10, 6, 3, 0]) {
    for (;;) {
      const page = k.run(allocPages(k.mm, GFP_KERNEL, order));
      if (page === undefined) break;
      if (order === 3) held.push(page);
    }
  }
  for (const page of held.slice(0, 8)) k.run(freePages(k.mm, page, 3));
  const addrs: number[] = [];
  for (let i = 0; i < 400; i++) {
    expect(user.store(addr + i * 4096, pattern(4096, i))).toBe(true);
    addrs.push(addr + i * 4096);
  }
  return {
    user,
    addrs,
    verify: () => {
      for (const [i, at] of addrs.entries()) {
        expect(Buffer.compare(user.load(at, 4096)!, pattern(4096, i))).toBe(0);
      }
    },
  };
}

describe('registration', () => {
  it('wants a reserved range, whole pageblocks, and a slot', () => {
    const k = boot({ policy: 'static', reserved: [{ base: PA(AREA_PFN * 4096), size: AREA_PAGES * 4096 }] });
    expect(cmaInitReservedMem(k.mm, 0x40800, 512, 0)).toBe(-EINVAL);
    expect(cmaInitReservedMem(k.mm, AREA_PFN, 0, 0)).toBe(-EINVAL);
    expect(cmaInitReservedMem(k.mm, AREA_PFN + 1, 512, 0)).toBe(-EINVAL);
    expect(cmaInitReservedMem(k.mm, AREA_PFN, 511, 0)).toBe(-EINVAL);
    expect(cmaInitReservedMem(k.mm, AREA_PFN, 512, 10)).toBe(-EINVAL);
    const area = cmaInitReservedMem(k.mm, AREA_PFN, 512, 9) as CmaArea;
    expect(area.name).toBe('cma0');
    expect(k.mm.totalCmaPages).toBe(512);
  });

  it('remove before activation: pages stay reserved, totals drop; after it is refused', () => {
    const { k, area, base } = withArea(0, false);
    cmaRemoveMem(k.mm, area);
    expect(k.mm.totalCmaPages).toBe(0);
    expect(cmaActivateArea(k.mm, area)).toBe(0);
    expect(k.mm.memmap.test(base, PG_reserved)).toBe(true);
    const other = withArea();
    cmaRemoveMem(other.k.mm, other.area);
    expect(other.k.log.some((line) => line.includes('cannot be removed'))).toBe(true);
    expect(other.k.mm.totalCmaPages).toBe(AREA_PAGES);
  });

  it('activation makes every pageblock CMA and free', () => {
    const { k, base } = withArea();
    expect(k.mm.memmap.pageblockMigratetype(base)).toBe(MIGRATE_CMA);
    expect(k.memory.vmstat()['nr_free_cma']).toBe(AREA_PAGES);
    k.check();
  });
});

describe('cma_alloc_range (4.5)', () => {
  it.each([
    ['before the area', AREA_PFN - 1, 1],
    ['beyond it', AREA_PFN + AREA_PAGES - 1, 2],
    ['nothing', AREA_PFN, 0],
  ])('-EINVAL: %s', (_name, pfn, count) => {
    const { k, area } = withArea();
    expect(k.run(cmaAllocRange(k.mm, area, pfn, count, 3)).error).toBe(-EINVAL);
    expect(k.memory.vmstat()['cma_alloc_fail']).toBe(count);
  });

  it('-EINVAL: not aligned to its bits, removed, or not activated', () => {
    const aligned = withArea(2);
    for (const [pfn, count] of [
      [AREA_PFN + 1, 4],
      [AREA_PFN, 3],
    ] as const) {
      expect(aligned.k.run(cmaAllocRange(aligned.k.mm, aligned.area, pfn, count, 3)).error).toBe(-EINVAL);
    }
    const { k, area } = withArea(0, false);
    expect(k.run(cmaAllocRange(k.mm, area, AREA_PFN, 1, 3)).error).toBe(-EINVAL);
  });

  it('free pages: no isolation, no interrupts to other CPUs, refcount 1; then -EEXIST', () => {
    const { k, area, base } = withArea();
    const result = k.run(cmaAllocRange(k.mm, area, AREA_PFN + 5, 3, 3));
    expect(result).toEqual({ error: 0, attempts: 1, fast: true });
    expect(k.memory.tagStorageMetrics()['lruDrains']).toBe(0);
    expect(k.memory.tagStorageMetrics()['pcpDrains']).toBe(0);
    for (let i = 0; i < 3; i++) expect(k.mm.memmap.refcount[base + 5 + i]).toBe(1);
    expect(k.memory.vmstat()['cma_alloc_success']).toBe(3);
    expect(k.run(cmaAllocRange(k.mm, area, AREA_PFN + 7, 1, 3)).error).toBe(-EEXIST);
    expect(k.run(cmaRelease(k.mm, area, (base + 5) as Page, 3))).toBe(true);
    expect(k.memory.vmstat()['cma_release_success']).toBe(3);
    k.check();
  });

  it('pages in use are moved away with their contents', () => {
    const { k, area, base } = withArea();
    const full = fillArea(k);
    expect(full.addrs.length).toBe(400);
    const used = [...Array(AREA_PAGES).keys()].filter((i) => k.mm.memmap.mapcount[base + i]! > 0);
    expect(used.length).toBeGreaterThan(300);
    const start = used[0]! - (used[0]! % 16);
    const result = k.run(cmaAllocRange(k.mm, area, AREA_PFN + start, 16, 3));
    expect(result).toEqual({ error: 0, attempts: 1, fast: false });
    for (let i = 0; i < 16; i++) {
      expect(k.mm.memmap.refcount[base + start + i]).toBe(1);
      expect(k.mm.memmap.mapcount[base + start + i]).toBe(0);
    }
    full.verify();
    k.check();
  });

  it('a pinned page: -EBUSY after the tries given, bits clear, data where they were', () => {
    const { k, area, base } = withArea();
    const full = fillArea(k);
    const pinned = (base +
      [...Array(AREA_PAGES).keys()].find((i) => k.mm.memmap.mapcount[base + i]! > 0)!) as Page;
    getPage(k.mm, pinned);
    const pfn = k.mm.memmap.pageToPfn(pinned);
    const before = full.user.pfn(full.addrs[0]!);
    expect(k.run(cmaAllocRange(k.mm, area, pfn, 1, 3))).toEqual({ error: -EBUSY, attempts: 3, fast: false });
    expect(cmaRangeUsed(area, pfn, 1)).toBe(false);
    expect(k.memory.vmstat()['cma_alloc_fail']).toBe(1);
    expect(full.user.pfn(full.addrs[0]!)).toBe(before);
    full.verify();
    k.check();
    k.run(putPage(k.mm, pinned));
    expect(k.run(cmaAllocRange(k.mm, area, pfn, 1, 3)).error).toBe(0);
    full.verify();
    k.check();
  });

  it('a fatal signal: -EINTR at the first try', () => {
    const { k, area, base } = withArea();
    const full = fillArea(k);
    const used = [...Array(AREA_PAGES).keys()].find((i) => k.mm.memmap.mapcount[base + i]! > 0)!;
    k.contexts.current.fatalSignalPending = true;
    expect(k.run(cmaAllocRange(k.mm, area, AREA_PFN + used, 1, 3))).toEqual({
      error: -EINTR,
      attempts: 1,
      fast: false,
    });
    k.contexts.current.fatalSignalPending = false;
    full.verify();
    k.check();
  });

  it("release of what is not the area's fails and is counted", () => {
    const { k, area, base } = withArea();
    expect(k.run(cmaRelease(k.mm, area, (base - 1) as Page, 2))).toBe(false);
    expect(k.memory.vmstat()['cma_release_fail']).toBe(2);
  });
});

describe('cma_alloc', () => {
  it('finds room, aligned by PFN, and the whole area when nothing else has it', () => {
    const { k, area, base } = withArea();
    expect(k.run(cmaAlloc(k.mm, area, 1, 0))).toBe(base);
    const aligned = k.run(cmaAlloc(k.mm, area, 16, 4));
    expect(k.mm.memmap.pageToPfn(aligned as Page) % 16).toBe(0);
    expect(k.run(cmaAlloc(k.mm, area, AREA_PAGES, 8))).toBeLessThan(0);
    k.run(cmaRelease(k.mm, area, base, 1));
    k.run(cmaRelease(k.mm, area, aligned as Page, 16));
    expect(k.run(cmaAlloc(k.mm, area, AREA_PAGES, 8))).toBe(base);
    expect(k.memory.vmstat()['nr_free_cma']).toBe(0);
    k.check();
  });
});

describe('isolation', () => {
  it('withdraws pageblocks and brings them back, counters and lists as before', () => {
    const { k, base } = withArea();
    drainAllPages(k.mm);
    const before = zoneinfo(k.mm);
    const free = k.unused();
    expect(startIsolatePageRange(k.mm, (base + 3) as Page, base + 7, MIGRATE_CMA)).toBe(0);
    expect(k.unused()).toBe(free - 512);
    expect(startIsolatePageRange(k.mm, (base + 3) as Page, base + 7, MIGRATE_CMA)).toBe(-EBUSY);
    undoIsolatePageRange(k.mm, (base + 3) as Page, base + 7, MIGRATE_CMA);
    expect(k.unused()).toBe(free);
    expect(zoneinfo(k.mm)[0]!.freeBlocks.reduce((n, blocks, order) => n + blocks * 2 ** order, 0)).toBe(
      before[0]!.freeBlocks.reduce((n, blocks, order) => n + blocks * 2 ** order, 0),
    );
    k.check();
  });

  it('a range of ordinary memory with an unmovable page is busy, without it can be had', () => {
    const k = boot({ policy: 'static' });
    const page = k.run(allocPages(k.mm, GFP_KERNEL, 0))!;
    const block = (page - (page % 512)) as Page;
    expect(k.run(allocContigRange(k.mm, block, block + 512, MIGRATE_MOVABLE))).toBe(-EBUSY);
    k.check();
    k.run(freePages(k.mm, page, 0));
    expect(k.run(allocContigRange(k.mm, (block + 10) as Page, block + 300, MIGRATE_MOVABLE))).toBe(0);
    for (let i = 10; i < 300; i++) expect(k.mm.memmap.refcount[block + i]).toBe(1);
    expect(k.mm.memmap.refcount[block + 9]).toBe(0);
    expect(k.mm.memmap.refcount[block + 300]).toBe(0);
    k.check();
  });
});
