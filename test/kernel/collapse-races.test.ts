/**
 * Interleavings of collapse: against stores, fork, migration, unmapping, a second collapse, and against tag
 * storage being taken back from under the pages that are collapsed. A failure prints the schedule that replays it.
 */
import { describe, expect, it } from 'vitest';
import { PA, VA } from '../../src/base/index.js';
import type { MaySleep, Strategy } from '../../src/kernel/contexts/index.js';
import { Scheduler, searchSchedules } from '../../src/kernel/contexts/index.js';
import type { MmStruct, Page } from '../../src/kernel/mm/index.js';
import {
  allocContigRange,
  allocLike,
  FOLL_PIN,
  FOLL_WRITE,
  folioIsolateLru,
  folioPutbackLru,
  GFP_HIGHUSER_MOVABLE,
  getUserPage,
  khugepagedDoScan,
  lruAddDrainAll,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  migratePages,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  tryToFreePages,
  unpinUserPage,
} from '../../src/kernel/mm/index.js';
import type { Fixture, User } from './kernel-fixture.js';
import { boot, storeFromTask } from './kernel-fixture.js';

const PAGE = 4096;
const HUGE = 512;
const RW = PROT_READ | PROT_WRITE;
/** Every so many pages of the block are there. */
const STEP = 64;
const EAGAIN = -11;
const EINVAL = -22;

interface Stage {
  readonly k: Fixture;
  readonly user: User;
  /** Of a block of small pages. */
  readonly at: number;
  readonly tagged: boolean;
  /** What the collapses gave. */
  readonly results: number[];
}

const byteOf = (i: number): number => i / STEP + 1;

function* collapse({ k, user, at, results }: Stage): MaySleep<void> {
  results.push(yield* k.memory.madvise(user.as, VA(BigInt(at)), HUGE * PAGE, MADV_COLLAPSE));
}

function* migrate({ k, user, at }: Stage, index: number): MaySleep<void> {
  const pfn = user.pfn(at + index * PAGE);
  const page = pfn === undefined ? undefined : k.mm.memmap.pfnToPage(pfn);
  if (page === undefined || !folioIsolateLru(k.mm, k.mm.memmap.head(page))) return;
  const list = [k.mm.memmap.head(page)];
  yield* migratePages(k.mm, list, (source) => allocLike(k.mm, source, GFP_HIGHUSER_MOVABLE));
  for (const left of list) yield* folioPutbackLru(k.mm, left);
}

function search(
  tagged: boolean,
  tasks: (stage: Stage) => readonly MaySleep<unknown>[],
  verify: (stage: Stage) => void,
  setUp: (stage: Stage) => void = () => {},
  runs = 25,
): void {
  const failure = searchSchedules(
    (strategy: Strategy) => {
      // Tagged memory is collapsed where no tag storage is lent.
      const policy = tagged ? 'static' : 'cma';
      const k = boot({ cpus: 4, tagPages: 128, pageblockOrder: 5, policy, swapPages: 64 });
      const user = k.user();
      const addr = user.mmap(2 * HUGE, tagged ? RW | PROT_MTE : RW);
      const at = Math.ceil(addr / (HUGE * PAGE)) * HUGE * PAGE;
      const stage: Stage = { k, user, at, tagged, results: [] };
      for (let i = 0; i < HUGE; i += STEP) {
        user.store(at + i * PAGE + 32, Uint8Array.of(byteOf(i)));
        if (tagged) user.storeTag(at + i * PAGE + 32, byteOf(i));
      }
      k.run(lruAddDrainAll(k.mm));
      setUp(stage);
      const scheduler = new Scheduler(k.contexts, strategy);
      for (const [cpu, work] of tasks(stage).entries()) scheduler.spawn(`cpu ${cpu}`, work, { cpu });
      return {
        scheduler,
        verify: () => {
          verify(stage);
          k.run(lruAddDrainAll(k.mm));
          k.check();
          user.exit();
          k.run(lruAddDrainAll(k.mm));
          k.check();
        },
      };
    },
    { runs, seed: 5 },
  );
  if (failure) throw failure.error;
}

function expectBlock({ user, at, tagged }: Stage, except: readonly number[] = [], whose = user): void {
  for (let i = 0; i < HUGE; i += STEP) {
    if (except.includes(i)) continue;
    expect(whose.load(at + i * PAGE + 32, 1)).toEqual(Uint8Array.of(byteOf(i)));
    if (tagged) expect(whose.loadTag(at + i * PAGE + 32)).toBe(byteOf(i));
  }
}

describe.each([
  ['untagged', false],
  ['tagged', true],
] as const)('%s', (_name, tagged) => {
  it('two collapses of one block, and stores to a page that is there and to one that is not', () => {
    let collapsed = 0;
    search(
      tagged,
      (s) => [
        collapse(s),
        collapse(s),
        storeFromTask(s.k, s.user, s.at + STEP * PAGE + 32, 200, 9),
        storeFromTask(s.k, s.user, s.at + 3 * PAGE, 201, 10),
      ],
      (s) => {
        expectBlock(s, [STEP]);
        for (const result of s.results) {
          expect([0, EAGAIN, EINVAL]).toContain(result);
          if (result === 0) collapsed++;
        }
        expect(s.user.load(s.at + STEP * PAGE + 32, 1)).toEqual(Uint8Array.of(200));
        expect(s.user.load(s.at + 3 * PAGE, 1)).toEqual(Uint8Array.of(201));
        if (tagged) expect(s.user.loadTag(s.at + 3 * PAGE)).toBe(10);
      },
    );
    expect(collapsed).toBeGreaterThan(0);
  });

  it('migration of two pages of it, and a store', () => {
    search(
      tagged,
      (s) => [collapse(s), migrate(s, 0), migrate(s, STEP), storeFromTask(s.k, s.user, s.at + 32, 1)],
      (s) => expectBlock(s),
    );
  });

  it('a fork, and stores by parent and child', () => {
    let forked: { readonly user: User; readonly stage: Stage } | undefined;
    search(
      tagged,
      (s) => [
        collapse(s),
        (function* () {
          const as = yield* s.k.memory.cloneAddressSpace(s.user.as);
          if (typeof as === 'number') throw new Error(`fork: ${as}`);
          forked = { user: s.k.user(as), stage: s };
          yield* storeFromTask(s.k, forked.user, s.at + 32, 77);
        })(),
        storeFromTask(s.k, s.user, s.at + 2 * STEP * PAGE + 32, 88),
      ],
      (s) => {
        expect(forked?.stage).toBe(s);
        const child = forked!.user;
        expectBlock(s, [2 * STEP]);
        expect(s.user.load(s.at + 2 * STEP * PAGE + 32, 1)).toEqual(Uint8Array.of(88));
        expectBlock(s, [0, 2 * STEP], child);
        expect(child.load(s.at + 32, 1)).toEqual(Uint8Array.of(77));
        s.k.check();
        child.exit();
      },
    );
  });

  it('a pin: whoever has one keeps the page that is mapped', () => {
    const pins = new WeakMap<Fixture, Page>();
    search(
      tagged,
      (s) => [
        collapse(s),
        (function* () {
          const flags = FOLL_PIN | FOLL_WRITE;
          const page = yield* getUserPage(s.k.mm, s.user.as as MmStruct, s.at + STEP * PAGE, flags);
          if (page < 0) throw new Error(`pin: ${page}`);
          pins.set(s.k, page as Page);
          s.k.port.writeBytes(PA(s.k.mm.pageToPa(page as Page) + 32), Uint8Array.of(123));
        })(),
      ],
      (s) => {
        const page = pins.get(s.k)!;
        expect(s.k.mm.memmap.pfnToPage(s.user.pfn(s.at + STEP * PAGE)!)).toBe(page);
        expect(s.user.load(s.at + STEP * PAGE + 32, 1)).toEqual(Uint8Array.of(123));
        expectBlock(s, [STEP]);
        s.k.run(unpinUserPage(s.k.mm, page));
      },
      undefined,
      40,
    );
  });

  it('khugepaged, part of the block going away, and reclaim', () => {
    search(
      tagged,
      (s) => [
        khugepagedDoScan(s.k.mm),
        s.k.memory.madvise(s.user.as, VA(BigInt(s.at + 256 * PAGE)), 128 * PAGE, MADV_DONTNEED),
        tryToFreePages(s.k.mm, GFP_HIGHUSER_MOVABLE, 2),
        collapse(s),
      ],
      (s) => {
        expectBlock(s, [256, 320]);
        expect(s.user.load(s.at + 256 * PAGE + 32, 1)).toEqual(Uint8Array.of(0));
      },
      (s) => expect(s.user.madvise(s.at, HUGE, MADV_HUGEPAGE)).toBe(0),
    );
  });

  it('the mapping goes, and its address space', () => {
    search(
      tagged,
      (s) => [
        collapse(s),
        khugepagedDoScan(s.k.mm),
        (function* () {
          yield* s.k.memory.munmap(s.user.as, VA(BigInt(s.at + 128 * PAGE)), 128 * PAGE);
          yield* s.k.memory.exitMmap(s.user.as);
        })(),
      ],
      (s) => expect(s.k.mm.khugepaged.empty).toBe(true),
      (s) => expect(s.user.madvise(s.at, HUGE, MADV_HUGEPAGE)).toBe(0),
    );
  });
});

/** Moves a page of the block to exactly this page frame. */
function place({ k, user, at }: Stage, index: number, pfn: number): void {
  const target = k.mm.memmap.pfnToPage(pfn)!;
  const type = k.mm.memmap.pageblockMigratetype(target);
  expect(k.run(allocContigRange(k.mm, target, target + 1, type))).toBe(0);
  const page = k.mm.memmap.pfnToPage(user.pfn(at + index * PAGE)!)!;
  expect(folioIsolateLru(k.mm, page)).toBe(true);
  const list = [page];
  k.run(
    migratePages(k.mm, list, function* () {
      yield* [];
      return target;
    }),
  );
  expect(list).toEqual([]);
}

it('tag storage is taken back from under pages that are collapsed', () => {
  const others = new WeakMap<Fixture, { readonly user: User; readonly addr: number }>();
  let moved = 0;
  search(
    false,
    (s) => {
      const { user, addr } = others.get(s.k)!;
      return [collapse(s), storeFromTask(s.k, user, addr, 5, 7), storeFromTask(s.k, user, addr + PAGE, 6, 8)];
    },
    (s) => {
      const { user, addr } = others.get(s.k)!;
      expectBlock(s);
      expect([user.loadTag(addr), user.loadTag(addr + PAGE)]).toEqual([7, 8]);
      expect([user.load(addr, 1), user.load(addr + PAGE, 1)]).toEqual([Uint8Array.of(5), Uint8Array.of(6)]);
      moved += s.k.memory.tagStorageMetrics()['pagesMigrated']!;
      s.k.check();
      user.exit();
    },
    (s) => {
      // Two pages of another process, untagged as yet; pages of the block lie where their tags will be.
      const { k } = s;
      const user = k.user();
      const addr = user.mmap(2, RW);
      const [region] = k.regions;
      for (let i = 0; i < 2; i++) {
        user.store(addr + i * PAGE, Uint8Array.of(1));
        k.run(lruAddDrainAll(k.mm));
        place({ ...s, user, at: addr }, i, region!.memStartPfn + 1024 + 32 * i);
        k.run(lruAddDrainAll(k.mm));
        place(s, i * STEP, region!.tagStartPfn + 32 + i);
        k.run(lruAddDrainAll(k.mm));
      }
      expect(user.mprotect(addr, 2, RW | PROT_MTE)).toBe(0);
      others.set(k, { user, addr });
    },
  );
  expect(moved).toBeGreaterThan(0);
});

it('a shared page becomes tagged in another process while it is copied', () => {
  let child: { readonly user: User; readonly stage: Stage } | undefined;
  let stored = 0;
  search(
    false,
    (s) => [
      collapse(s),
      (function* () {
        const user = child!.user;
        for (let i = 0; i < 4; i++) {
          yield* s.k.memory.handleMmFault(user.as, VA(BigInt(s.at + i * STEP * PAGE)), {
            write: false,
            exec: false,
            user: true,
            tagAccess: true,
          });
        }
      })(),
    ],
    (s) => {
      expect(child?.stage).toBe(s);
      expectBlock(s, []);
      expectBlock(s, [], child!.user);
      // A fault that is looking at a page holds it.
      expect([0, EAGAIN]).toContain(s.results[0]);
      expect(child!.user.loadTag(s.at + 32)).toBe(0);
      stored += s.k.memory.tagStorageMetrics()['stashStored']!;
      s.k.check();
      child!.user.exit();
    },
    (s) => {
      child = { user: s.user.fork(), stage: s };
      expect(child.user.mprotect(s.at, HUGE, RW | PROT_MTE)).toBe(0);
      s.user.store(s.at + 7 * STEP * PAGE + 32, Uint8Array.of(byteOf(7 * STEP)));
      s.k.run(lruAddDrainAll(s.k.mm));
    },
  );
  expect(stored).toBeGreaterThan(0);
});
