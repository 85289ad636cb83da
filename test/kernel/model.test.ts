import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PA } from '../../src/base/index.js';
import type { PageSize } from '../../src/kernel/mm/index.js';
import type { Fixture } from './kernel-fixture.js';
import { boot } from './kernel-fixture.js';
import type { Step } from './model.js';
import { Model, OPS } from './model.js';

const step: fc.Arbitrary<Step> = fc.record({
  op: fc.constantFrom(...OPS),
  a: fc.nat(7),
  b: fc.nat(200),
  c: fc.nat(4000),
});

/** A machine so small that data soon lies in tag storage: 8 of every 128 data pages are left to it. */
function small(pageSize: PageSize, blockSizePages: number, policy: string, swapPages = 0): Fixture {
  const tagPages = 96;
  const dataPages = tagPages * 32;
  const base = 0x4000_0000;
  const reserved = [];
  for (let page = 0; page < dataPages; page += 128) {
    reserved.push({ base: PA(base + (page + 8) * pageSize), size: 120 * pageSize });
  }
  return boot({ pageSize, tagPages, blockSizePages, policy, reserved, pageblockOrder: 5, swapPages });
}

function runModel(k: Fixture, steps: readonly Step[]): Model {
  const model = new Model(k);
  for (const s of steps) {
    model.apply(s);
    model.compare();
    k.check();
  }
  model.finish();
  k.check();
  return model;
}

/** All memory is where it was after boot: nothing leaked, no block is held but the zero page's. */
function expectEverythingBack(k: Fixture, free: number, blockSizePages: number): void {
  const snapshot = k.memory.snapshotTagStorage();
  expect(k.unused()).toBe(free);
  expect(snapshot.data).toBe(0);
  expect(snapshot.tags).toBe(snapshot.enabled ? blockSizePages : 0);
}

const CASES: readonly (readonly [PageSize, number, number])[] = [
  [4096, 1, 14],
  [4096, 2, 12],
  [4096, 3, 10],
  [4096, 4, 8],
  [4096, 6, 8],
  [4096, 8, 8],
  [16384, 1, 4],
  [16384, 3, 4],
  [65536, 1, 2],
  [65536, 3, 2],
];

describe('random programs against the shadow of every byte and tag', () => {
  for (const [pageSize, blockSizePages, numRuns] of CASES) {
    it(`cma, ${pageSize / 1024} KiB pages, block of ${blockSizePages}`, () => {
      fc.assert(
        fc.property(fc.array(step, { minLength: 20, maxLength: 150, size: 'max' }), (steps) => {
          const k = small(pageSize, blockSizePages, 'cma');
          expect(k.memory.snapshotTagStorage().enabled).toBe(true);
          const free = k.unused();
          runModel(k, steps);
          expectEverythingBack(k, free, blockSizePages);
        }),
        { numRuns, seed: 7 * pageSize + blockSizePages },
      );
    });
  }

  for (const [pageSize, blockSizePages, numRuns] of [
    [4096, 1, 6],
    [4096, 3, 5],
    [16384, 2, 2],
  ] as const) {
    it(`cma with swap, ${pageSize / 1024} KiB pages, block of ${blockSizePages}`, () => {
      let swapped = 0;
      fc.assert(
        fc.property(fc.array(step, { minLength: 20, maxLength: 150, size: 'max' }), (steps) => {
          const k = small(pageSize, blockSizePages, 'cma', 256);
          const free = k.unused();
          const model = runModel(k, steps);
          expectEverythingBack(k, free, blockSizePages);
          expect(model.k.memory.meminfo()['SwapFree']).toBe((256 * pageSize) / 1024);
          swapped += k.mm.events.pswpin;
        }),
        { numRuns, seed: 5 * pageSize + blockSizePages },
      );
      expect(swapped).toBeGreaterThan(20);
    });
  }

  it('static: the same programs on a carve-out', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 150, size: 'max' }), (steps) => {
        const k = small(4096, 1, 'static');
        const free = k.unused();
        runModel(k, steps);
        expectEverythingBack(k, free, 0);
      }),
      { numRuns: 6, seed: 11 },
    );
  });
});

describe('fault injection: the n-th call fails', () => {
  /** A program that maps, tags, forks, migrates, turns memory tagged, and runs short of it. */
  const [random] = fc.sample(fc.array(step, { minLength: 110, maxLength: 110, size: 'max' }), {
    seed: 42,
    numRuns: 1,
  });
  const stashing: Step[] = [
    { op: 'mmapMte', a: 0, b: 5, c: 1 },
    { op: 'tagMany', a: 0, b: 0, c: 1 },
    { op: 'fork', a: 0, b: 0, c: 0 },
    ...[0, 1, 2, 3].map((b): Step => ({ op: 'migrate', a: 0, b, c: 0 })),
    { op: 'tagMany', a: 1, b: 0, c: 9 },
  ];
  const program = [...stashing, ...random!];

  it.each(['swap_write', 'swap_read', 'slab', 'page_alloc'])('with swap, %s: the same', (kind) => {
    let reached = 0;
    for (let n = 1; n <= 60; n = n < 12 ? n + 1 : n + 9) {
      const k = small(4096, 2, 'cma', 256);
      const free = k.unused();
      let left = n;
      const model = new Model(k);
      k.mm.shouldFail = (what) => what === kind && --left === 0;
      model.injecting = true;
      for (const s of [...stashing, { op: 'pressure', a: 0, b: 0, c: 0 } as const, ...random!.slice(0, 60)]) {
        model.apply(s);
        k.check();
      }
      model.compare();
      k.mm.shouldFail = () => false;
      model.finish();
      k.check();
      expectEverythingBack(k, free, 2);
      if (left > 0) break;
      reached++;
    }
    expect(reached).toBeGreaterThan(0);
  });

  it.each(['page_alloc', 'slab', 'xa_store', 'migrate'])(
    '%s: nothing is lost, leaked or corrupted',
    (kind) => {
      let reached = 0;
      for (let n = 1; n <= 400; n = n < 30 ? n + 1 : n + 23) {
        const k = small(4096, 2, 'cma');
        const free = k.unused();
        let left = n;
        const model = new Model(k);
        k.mm.shouldFail = (what) => what === kind && --left === 0;
        model.injecting = true;
        for (const s of program) {
          model.apply(s);
          k.check();
        }
        model.compare();
        k.mm.shouldFail = () => false;
        model.finish();
        k.check();
        expectEverythingBack(k, free, 2);
        if (left > 0) break;
        reached++;
      }
      expect(reached).toBeGreaterThan(0);
    },
  );
});
