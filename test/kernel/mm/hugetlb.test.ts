/** The hugetlb pool and private mappings of it: pages are set aside, promised, mapped whole, copied, given back. */
import { describe, expect, it } from 'vitest';
import { VA } from '../../../src/base/index.js';
import type { MaySleep, Strategy } from '../../../src/kernel/contexts/index.js';
import { Scheduler, searchSchedules, sleepPoint } from '../../../src/kernel/contexts/index.js';
import type { AddressSpace } from '../../../src/kernel/mm/index.js';
import {
  hibernate,
  lruAddDrainAll,
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MADV_MERGEABLE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
} from '../../../src/kernel/mm/index.js';
import type { Fixture, User } from '../kernel-fixture.js';
import { boot, pattern } from '../kernel-fixture.js';

const PAGE = 4096;
const HUGE = 512;
const SIZE = HUGE * PAGE;
const RW = PROT_READ | PROT_WRITE;
const RESCHED = sleepPoint('user');
const FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;

const counts = ({ mm: { hugetlb } }: Fixture) => ({
  total: hugetlb.total,
  free: hugetlb.free.length,
  reserved: hugetlb.reserved,
  surplus: hugetlb.surplus,
});

function withPool(pages: number): { k: Fixture; user: User; unused: number } {
  const k = boot({ tagPages: 256, cpus: 2, swapPages: 9000 });
  const unused = k.unused();
  k.run(k.memory.setMaxHugePages(pages));
  k.check();
  return { k, user: k.user(), unused };
}

const map = (user: User, pages: number, flags = FLAGS, prot = RW) => user.mmap(pages * HUGE, prot, flags);

/** Three pages of it differ, and each knows its neighbours. */
function fill(user: User, at: number, seed: number): void {
  for (const i of [0, 7, 511]) expect(user.store(at + i * PAGE, pattern(PAGE, seed + i))).toBe(true);
}

function expectFilled(user: User, at: number, seed: number): void {
  for (const i of [0, 7, 511]) {
    expect(Buffer.compare(user.load(at + i * PAGE, PAGE)!, pattern(PAGE, seed + i))).toBe(0);
  }
}

describe('the pool', () => {
  it('grows by what can be had, and shrinks', () => {
    const { k, unused } = withPool(3);
    expect(counts(k)).toEqual({ total: 3, free: 3, reserved: 0, surplus: 0 });
    // And the table of the address space.
    expect(k.unused()).toBe(unused - 3 * HUGE - 1);
    expect(k.memory.meminfo()).toMatchObject({
      HugePages_Total: 3,
      HugePages_Free: 3,
      Hugepagesize: 2048,
      Hugetlb: 6144,
    });
    k.run(k.memory.setMaxHugePages(1000));
    expect(k.mm.hugetlb.total).toBeGreaterThan(3);
    expect(k.mm.hugetlb.total).toBeLessThan(16);
    k.run(k.memory.setMaxHugePages(0));
    k.check();
    expect(k.unused()).toBe(unused - 1);
  });

  it('keeps what is mapped or promised, as surplus, until it comes back', () => {
    const { k, user, unused } = withPool(3);
    const at = map(user, 2);
    fill(user, at, 1);
    expect(counts(k)).toEqual({ total: 3, free: 2, reserved: 1, surplus: 0 });
    k.run(k.memory.setMaxHugePages(0));
    expect(counts(k)).toEqual({ total: 2, free: 1, reserved: 1, surplus: 2 });
    expectFilled(user, at, 1);
    expect(user.store(at + SIZE, pattern(PAGE, 5))).toBe(true);
    k.check();
    user.exit();
    expect(counts(k)).toEqual({ total: 0, free: 0, reserved: 0, surplus: 0 });
    expect(k.unused()).toBe(unused);
    k.check();
  });
});

describe('a mapping', () => {
  it('is promised its pages, and refused without them', () => {
    const { k, user } = withPool(2);
    const at = map(user, 1);
    expect(at % SIZE).toBe(0);
    expect(counts(k)).toEqual({ total: 2, free: 2, reserved: 1, surplus: 0 });
    expect(map(user, 2)).toBe(-12);
    const unpromised = map(user, 2, FLAGS | MAP_NORESERVE);
    expect(unpromised % SIZE).toBe(0);
    fill(user, unpromised, 3);
    // The other page is somebody's.
    expect(user.fault(unpromised + SIZE, true)).toMatchObject({ kind: 'signal', signal: 'SIGBUS' });
    fill(user, at, 4);
    expectFilled(user, unpromised, 3);
    expect(user.munmap(at, HUGE)).toBe(0);
    expect(user.store(unpromised + SIZE, pattern(PAGE, 9))).toBe(true);
    // A page that was somebody else's is clear.
    expect(user.load(unpromised + SIZE + 7 * PAGE, PAGE)!.every((byte) => byte === 0)).toBe(true);
    k.check();
  });

  it.each([
    ['with PROT_MTE', FLAGS, RW | PROT_MTE, -22],
    ['shared', MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, RW, -38],
    ['of another size', FLAGS | (30 << 26), RW, -22],
  ])('is refused %s', (_name, flags, prot, error) => {
    const { k, user } = withPool(2);
    expect(map(user, 1, flags, prot)).toBe(error);
    expect(counts(k).reserved).toBe(0);
    expect(map(user, 1, FLAGS | (21 << 26))).toBeGreaterThan(0);
  });

  it('is cut, protected and advised in whole pages only, and is never tagged, merged or split', () => {
    const { k, user } = withPool(3);
    const at = map(user, 3);
    for (let i = 0; i < 3; i++) fill(user, at + i * SIZE, 10 * i);
    expect(user.munmap(at + PAGE, 1)).toBe(-22);
    expect(user.mprotect(at, 5, PROT_READ)).toBe(-22);
    expect(user.mprotect(at, HUGE, RW | PROT_MTE)).toBe(-22);
    expect(user.madvise(at + PAGE, 600, MADV_DONTNEED)).toBe(-22);
    expect(user.madvise(at, HUGE, MADV_HUGEPAGE)).toBe(-22);
    expect(user.madvise(at, HUGE, MADV_MERGEABLE)).toBe(0);
    expect(k.run(k.memory.mremap(user.as, VA(BigInt(at)), SIZE, 2 * SIZE, 1, VA(0n)))).toBe(-22);
    expect(user.mmap(1, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, at + PAGE)).toBe(-22);
    expect(user.mprotect(at + SIZE, HUGE, PROT_READ)).toBe(0);
    expect(user.fault(at + SIZE, true)).toMatchObject({ kind: 'signal', code: 'ACCERR' });
    expect(user.munmap(at, HUGE)).toBe(0);
    // What ends inside a page leaves it.
    expect(user.madvise(at + 2 * SIZE, 100, MADV_DONTNEED)).toBe(0);
    expectFilled(user, at + SIZE, 10);
    expectFilled(user, at + 2 * SIZE, 20);
    expect(k.mm.events.thp_split_pmd).toBe(0);
    expect(user.as.residentPages).toBe(0);
    const { counts: smaps } = k.memory.smaps(user.as)[0]!;
    expect(smaps).toMatchObject({ rss: 0, privateHugetlb: SIZE });
    user.exit();
    expect(counts(k)).toEqual({ total: 3, free: 3, reserved: 0, surplus: 0 });
    k.check();
  });

  it('is copied after a fork by who writes, while there are pages', () => {
    const { k, user } = withPool(2);
    const at = map(user, 1);
    fill(user, at, 1);
    const child = user.fork();
    k.check();
    expectFilled(child, at, 1);
    fill(child, at, 50);
    k.check();
    expectFilled(user, at, 1);
    expectFilled(child, at, 50);
    const third = child.fork();
    // No page is left for a copy.
    expect(third.fault(at, true)).toMatchObject({ kind: 'signal', signal: 'SIGBUS' });
    expectFilled(third, at, 50);
    third.exit();
    fill(child, at, 60);
    expectFilled(child, at, 60);
    for (const each of [child, user]) each.exit();
    expect(counts(k)).toEqual({ total: 2, free: 2, reserved: 0, surplus: 0 });
    k.run(lruAddDrainAll(k.mm));
    k.check();
  });

  it('stays whole for who mapped it: a child loses the page where there is none to copy it to', () => {
    const { k, user } = withPool(1);
    const at = map(user, 1);
    fill(user, at, 1);
    const child = user.fork();
    expectFilled(child, at, 1);
    fill(user, at, 40);
    k.check();
    expectFilled(user, at, 40);
    expect(child.fault(at, false)).toMatchObject({ kind: 'signal', signal: 'SIGBUS' });
    for (const each of [child, user]) each.exit();
    expect(counts(k)).toEqual({ total: 1, free: 1, reserved: 0, surplus: 0 });
    k.check();
  });

  it('survives hibernation', () => {
    const { k, user } = withPool(1);
    const at = map(user, 1);
    fill(user, at, 1);
    const lose = (lost: readonly { readonly base: number; readonly size: number }[]) => {
      for (const { base, size } of lost) k.port.fill(base as never, size, 0xb7);
    };
    expect(k.run(hibernate(k.mm, lose))).toBe(0);
    expectFilled(user, at, 1);
    k.check();
  });

  it('without memory for its tables it is no page of the pool that gets lost', () => {
    for (let n = 1; n <= 6; n++) {
      const { k, user } = withPool(2);
      const at = map(user, 2);
      let left = n;
      k.mm.shouldFail = (what) => what === 'page_alloc' && --left === 0;
      user.fault(at, true);
      user.fault(at + SIZE, false);
      k.mm.shouldFail = () => false;
      k.check();
      fill(user, at, 1);
      fill(user, at + SIZE, 2);
      user.exit();
      expect(counts(k)).toEqual({ total: 2, free: 2, reserved: 0, surplus: 0 });
      k.check();
    }
  });
});

describe('interleavings', () => {
  /** A store from a task: walks, faults, stores in one step. False where the pool has no page for it. */
  function* store(k: Fixture, as: AddressSpace, addr: number, value: number): MaySleep<boolean> {
    const va = VA(BigInt(addr));
    for (let tries = 0; tries < 60; tries++) {
      const mapping = k.memory.virtToPhys(as, va);
      if (mapping?.write) {
        k.port.writeBytes(mapping.pa, Uint8Array.of(value));
        return true;
      }
      const access = { write: true, exec: false, user: true, tagAccess: false };
      const result = yield* k.memory.handleMmFault(as, va, access);
      if (result.kind === 'signal' && result.signal === 'SIGBUS') return false;
      if (result.kind !== 'handled') throw new Error(`fault: ${result.kind}`);
      yield RESCHED;
    }
    throw new Error('no progress');
  }

  it.each([2, 3])('first stores to one page, a fork and its child, with a pool of %i', (pool) => {
    let seen = 0;
    const failure = searchSchedules(
      (strategy: Strategy) => {
        const k = boot({ tagPages: 256, pageblockOrder: 9, cpus: 3 });
        k.run(k.memory.setMaxHugePages(pool));
        const user = k.user();
        const at = map(user, 1);
        const scheduler = new Scheduler(k.contexts, strategy);
        let child: AddressSpace | undefined;
        let copied = true;
        scheduler.spawn('one', store(k, user.as, at, 1), { cpu: 0 });
        scheduler.spawn('two', store(k, user.as, at + 9 * PAGE, 2), { cpu: 1 });
        const forks = function* (): MaySleep<void> {
          const made = yield* k.memory.cloneAddressSpace(user.as);
          if (typeof made === 'number') throw new Error(`fork: ${made}`);
          child = made;
          copied = yield* store(k, made, at + 20 * PAGE, 3);
        };
        scheduler.spawn('fork', forks(), { cpu: 2 });
        return {
          scheduler,
          verify: () => {
            expect([user.load(at, 1), user.load(at + 9 * PAGE, 1), user.load(at + 20 * PAGE, 1)]).toEqual(
              [1, 2, 0].map((byte) => Uint8Array.of(byte)),
            );
            if (copied) {
              expect(k.user(child).load(at + 20 * PAGE, 1)).toEqual(Uint8Array.of(3));
              seen++;
            }
            k.check();
            k.run(k.memory.exitMmap(child!));
            user.exit();
            expect(counts(k)).toEqual({ total: pool, free: pool, reserved: 0, surplus: 0 });
            k.check();
          },
        };
      },
      { runs: 30, seed: 9 },
    );
    if (failure) {
      throw new Error(`schedule ${failure.schedule}: ${String(failure.error)}`, { cause: failure.error });
    }
    expect(seen).toBeGreaterThan(0);
  });
});
