/**
 * vm.swappiness: what a round of reclaim looks at, by the arithmetic of Linux 6.8's get_scan_count(). Expected numbers
 * were worked out by hand from it.
 */
import { describe, expect, it } from 'vitest';
import {
  GFP_HIGHUSER_MOVABLE,
  inactiveIsLow,
  LRU_INACTIVE_ANON,
  lruNoteCost,
  PROT_READ,
  PROT_WRITE,
  scanBalance,
  tryToFreePages,
  WMARK_HIGH,
} from '../../../src/kernel/mm/index.js';
import { boot, type Fixture, pattern } from '../kernel-fixture.js';

interface Lists {
  readonly inactiveAnon: number;
  readonly activeAnon: number;
  readonly inactiveFile: number;
  readonly activeFile: number;
  readonly anonCost?: number;
  readonly fileCost?: number;
}

/** A node whose lists say that they have so many pages. */
function node(lists: Lists, swappiness: number, swapPages = 512): Fixture {
  const k = boot({ tagPages: 64, pageblockOrder: 5, swapPages });
  const { lruvec } = k.mm.localNode;
  lruvec.sizes.set([lists.inactiveAnon, lists.activeAnon, lists.inactiveFile, lists.activeFile]);
  lruvec.anonCost = lists.anonCost ?? 0;
  lruvec.fileCost = lists.fileCost ?? 0;
  k.mm.sysctl.swappiness[0] = swappiness;
  return k;
}

const targets = (k: Fixture, priority: number, maySwap = true) =>
  scanBalance(k.mm, k.mm.localNode, { priority, maySwap, forceDeactivate: false }).targets;

// Few inactive pages of files: nothing says that those must go first.
const EVEN = { inactiveAnon: 4096, activeAnon: 4096, inactiveFile: 2048, activeFile: 6144 };

describe('get_scan_count()', () => {
  it.each([
    [0, [0, 0, 512, 1536]],
    // ap = 60, fp = 140, of 200.
    [60, [307, 307, 358, 1075]],
    [100, [512, 512, 256, 768]],
    [150, [768, 768, 128, 384]],
    [200, [1024, 1024, 0, 0]],
  ])('swappiness %i, nothing has cost anything yet', (swappiness, want) => {
    expect(targets(node(EVEN, swappiness), 2)).toEqual(want);
  });

  it.each([
    // total 400: anon 700, file 500, sum 1200. ap = floor(60 * 1201 / 701) = 102, fp = floor(140 * 1201 / 501) = 335.
    [300, 100, [239, 239, 392, 1177]],
    // The other way round: ap = floor(60 * 1201 / 501) = 143, fp = floor(140 * 1201 / 701) = 239.
    [100, 300, [383, 383, 320, 961]],
  ])('swappiness 60, anonymous pages have cost %i and those of files %i', (anonCost, fileCost, want) => {
    expect(targets(node({ ...EVEN, anonCost, fileCost }, 60), 2)).toEqual(want);
  });

  it('at the end everything, but what swappiness 0 spares', () => {
    expect(targets(node(EVEN, 1), 0)).toEqual([4096, 4096, 2048, 6144]);
    expect(targets(node(EVEN, 0), 0)).toEqual([0, 0, 2048, 6144]);
  });

  it('only files without room to swap to, or where a boost is worked off', () => {
    expect(targets(node(EVEN, 200, 0), 2)).toEqual([0, 0, 512, 1536]);
    expect(targets(node(EVEN, 200), 2, false)).toEqual([0, 0, 512, 1536]);
  });

  it('only files while there are many that nobody used again, though not too few for the priority', () => {
    const many = { ...EVEN, inactiveFile: 6144, activeFile: 2048 };
    expect(targets(node(many, 150), 2)).toEqual([0, 0, 1536, 512]);
    const tiny = { ...EVEN, inactiveFile: 3, activeFile: 1 };
    // 3 >> 2 is none: by shares, of which files have a quarter.
    expect(targets(node(tiny, 150), 2)).toEqual([768, 768, 0, 0]);
    expect(targets(node(tiny, 150), 1)).toEqual([0, 0, 1, 0]);
  });

  it('only anonymous pages where files have next to none and memory is short, even with swappiness 0', () => {
    const k = node({ inactiveAnon: 4096, activeAnon: 64, inactiveFile: 3, activeFile: 8 }, 0);
    expect(targets(k, 3)).toEqual([0, 0, 0, 1]);
    const high = k.mm.zones.reduce((sum, zone) => sum + zone.wmarkPages(WMARK_HIGH), 0);
    for (const zone of k.mm.zones) zone.freePages = 0;
    expect(high).toBeGreaterThan(11);
    expect(targets(k, 3)).toEqual([512, 8, 0, 0]);
  });
});

it('inactive_is_low(): half of a small list, a third of a gibibyte, a tenth of ten', () => {
  const low = (inactiveAnon: number, activeAnon: number) => {
    const k = node({ ...EVEN, inactiveAnon, activeAnon }, 60);
    return inactiveIsLow(k.mm, k.mm.localNode, LRU_INACTIVE_ANON);
  };
  expect([low(100, 100), low(99, 100)]).toEqual([false, true]);
  const gib = 2 ** 18;
  expect([low(gib / 4, (gib * 3) / 4), low(gib / 4 - 1, (gib * 3) / 4 + 1)]).toEqual([false, true]);
  expect([low(gib, 10 * gib), low(gib - 1, 10 * gib)]).toEqual([false, true]);
});

it('lru_note_cost(): a page written is as dear as a cluster looked at in vain; old costs fade', () => {
  const k = node(EVEN, 60);
  const { lruvec } = k.mm.localNode;
  lruNoteCost(k.mm.localNode, false, 2, 5);
  lruNoteCost(k.mm.localNode, true, 0, 7);
  expect([lruvec.anonCost, lruvec.fileCost]).toEqual([69, 7]);
  // More than a quarter of the pages: 16384 / 4.
  lruNoteCost(k.mm.localNode, true, 126, 0);
  expect([lruvec.anonCost, lruvec.fileCost]).toEqual([34, 2019]);
});

it('reclaim goes by it: with swappiness 0 nothing is swapped out while memory is not short', () => {
  const swappedOut = (swappiness: number) => {
    const k = boot({ tagPages: 64, pageblockOrder: 5, swapPages: 512 });
    k.mm.sysctl.swappiness[0] = swappiness;
    const user = k.user();
    const at = user.mmap(64, PROT_READ | PROT_WRITE);
    for (let i = 0; i < 64; i++) user.store(at + i * 4096, pattern(4096, i));
    for (let i = 0; i < 8; i++) k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
    for (let i = 0; i < 64; i++) expect(user.load(at + i * 4096, 4096)).toEqual(pattern(4096, i));
    k.check();
    return k.memory.vmstat()['pswpout']!;
  };
  expect(swappedOut(0)).toBe(0);
  expect(swappedOut(60)).toBeGreaterThan(30);
});
