/**
 * KSM against everything else: interleavings of ksmd with stores, forks, migration, reserving of tag blocks,
 * unmapping, exit and taking it back, ordered by search; and every allocation that it makes failing in turn. All
 * bytes, tags and invariants at the end; a failure prints the schedule that replays it.
 */
import { describe, expect, it } from 'vitest';
import { VA } from '../../src/base/index.js';
import type { MaySleep, Strategy } from '../../src/kernel/contexts/index.js';
import { Scheduler, searchSchedules, sleepPoint, sweepPreemptions } from '../../src/kernel/contexts/index.js';
import type { AddressSpace, Page, TagRegion } from '../../src/kernel/mm/index.js';
import {
  __GFP_TAGGED,
  allocContigRange,
  allocPages,
  folioIsolateLru,
  folioPutbackLru,
  freePages,
  GFP_HIGHUSER_MOVABLE,
  ksmDoScan,
  lruAddDrainAll,
  MADV_DONTNEED,
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
  migratePages,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  tryToFreePages,
} from '../../src/kernel/mm/index.js';
import type { Fixture, User } from './kernel-fixture.js';
import { boot, pattern } from './kernel-fixture.js';

const PAGE = 4096;
const RW = PROT_READ | PROT_WRITE;
const RESCHED = sleepPoint('user');

interface Stage {
  readonly k: Fixture;
  readonly user: User;
  /** Four pages of equal contents, mergeable. */
  readonly at: number;
  /** Another process with two such pages. */
  readonly other: User;
  readonly otherAt: number;
}

const EQUAL = pattern(PAGE, 1);

/** A store, and where the mapping is tagged a tag, from a task: walks, faults and stores as the hardware would. */
function* store(k: Fixture, as: AddressSpace, addr: number, value: number, tag?: number): MaySleep<void> {
  const va = VA(BigInt(addr));
  for (let tries = 0; tries < 60; tries++) {
    const mapping = k.memory.virtToPhys(as, va);
    if (mapping?.write) {
      k.port.writeBytes(mapping.pa, Uint8Array.of(value));
      if (tag !== undefined && mapping.tagged) k.port.writeTag(mapping.pa, tag);
      return;
    }
    const access = { write: true, exec: false, user: true, tagAccess: false };
    const result = yield* k.memory.handleMmFault(as, va, access);
    if (result.kind !== 'handled') throw new Error(`fault at 0x${addr.toString(16)}: ${result.kind}`);
    yield RESCHED;
  }
  throw new Error(`no progress at 0x${addr.toString(16)}`);
}

function* migrate(k: Fixture, page: Page): MaySleep<void> {
  if (!folioIsolateLru(k.mm, page)) return;
  const list = [page];
  yield* migratePages(k.mm, list, () => allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0));
  for (const left of list) yield* folioPutbackLru(k.mm, left);
}

/** ksmd with as many rounds as merging takes. */
function* scan(k: Fixture, pages = 14): MaySleep<void> {
  yield* k.mm.ksm.threadMutex.lock();
  yield* ksmDoScan(k.mm, pages);
  yield* ksmDoScan(k.mm, pages);
  k.mm.ksm.threadMutex.unlock();
}

const pageOf = (k: Fixture, user: User, addr: number): Page => k.mm.memmap.pfnToPage(user.pfn(addr)!)!;

interface Race {
  readonly prot?: number;
  /** Everything is merged before the race begins. */
  readonly merged?: boolean;
  readonly swapPages?: number;
  readonly runs?: number;
  /** A task that is interrupted at each of its steps besides, for the others to run. */
  readonly interrupted?: string;
  tasks(stage: Stage): readonly MaySleep<unknown>[];
  verify(stage: Stage): void;
}

function stage(prot: number, swapPages: number, merged: boolean): Stage {
  const k = boot({ cpus: 4, tagPages: 64, pageblockOrder: 5, swapPages });
  k.mm.ksm.smartScan = false;
  const user = k.user();
  const other = k.user();
  const fill = (who: User, pages: number) => {
    const at = who.mmap(pages, prot);
    for (let i = 0; i < pages; i++) who.store(at + i * PAGE, EQUAL);
    expect(who.madvise(at, pages, MADV_MERGEABLE)).toBe(0);
    return at;
  };
  const at = fill(user, 4);
  const otherAt = fill(other, 2);
  k.run(scan(k, merged ? 14 : 6));
  k.run(lruAddDrainAll(k.mm));
  if (merged) expect(k.mm.ksm.pagesSharing).toBe(5);
  return { k, user, at, other, otherAt };
}

function search({ prot = RW, merged = false, swapPages = 0, runs = 40, ...race }: Race): void {
  const scenario = (strategy: Strategy) => {
    const s = stage(prot, swapPages, merged);
    const scheduler = new Scheduler(s.k.contexts, strategy);
    for (const [cpu, work] of race.tasks(s).entries()) scheduler.spawn(`cpu ${cpu}`, work, { cpu });
    return {
      scheduler,
      verify: () => {
        race.verify(s);
        finish(s);
      },
    };
  };
  const failure =
    searchSchedules(scenario, { runs, seed: 5 }) ??
    (race.interrupted && sweepPreemptions(scenario, race.interrupted).failure);
  if (failure) {
    throw new Error(`schedule ${failure.schedule}: ${String(failure.error)}`, { cause: failure.error });
  }
}

/** Everybody exits, ksmd cleans up, and nothing is left. */
function finish({ k, user, other }: Stage): void {
  const settle = () => {
    k.run(lruAddDrainAll(k.mm));
    k.check();
  };
  settle();
  for (const who of [user, other]) who.exit();
  settle();
  for (let i = 0; i < 20 && k.mm.ksm.slots.size > 0; i++) k.run(ksmDoScan(k.mm, 50));
  settle();
  const { ksm } = k.mm;
  expect([ksm.slots.size, ksm.nodes.size, ksm.rmapItems, ksm.stable.size, k.mm.anonVmas.count]).toEqual([
    0, 0, 0, 0, 0,
  ]);
}

function expectPages(user: User, at: number, first: readonly number[]): void {
  for (const [i, value] of first.entries()) {
    const want = EQUAL.slice();
    want[0] = value;
    expect(Buffer.compare(user.load(at + i * PAGE, PAGE)!, want)).toBe(0);
  }
}

const SAME = EQUAL[0]!;

describe('interleavings', () => {
  it.each([
    ['untagged', RW],
    ['tagged', RW | PROT_MTE],
  ])('ksmd against stores to pages that are being merged, %s', (_name, prot) => {
    search({
      prot,
      tasks: (s) => [
        scan(s.k),
        store(s.k, s.user.as, s.at, 91, 3),
        store(s.k, s.user.as, s.at + 2 * PAGE, 92, 4),
        store(s.k, s.other.as, s.otherAt, 93, 5),
      ],
      verify(s) {
        expectPages(s.user, s.at, [91, SAME, 92, SAME]);
        expectPages(s.other, s.otherAt, [93, SAME]);
        if (prot === RW) return;
        expect([s.user.loadTag(s.at), s.user.loadTag(s.at + 2 * PAGE)]).toEqual([3, 4]);
        expect([s.other.loadTag(s.otherAt), s.other.loadTag(s.otherAt + PAGE)]).toEqual([5, 0]);
      },
    });
  });

  it('stores to merged pages from two processes, and a migration of the page', () => {
    search({
      merged: true,
      tasks: (s) => [
        migrate(s.k, pageOf(s.k, s.user, s.at)),
        store(s.k, s.user.as, s.at + PAGE, 91),
        store(s.k, s.other.as, s.otherAt + PAGE, 92),
        scan(s.k),
      ],
      verify(s) {
        expectPages(s.user, s.at, [SAME, 91, SAME, SAME]);
        expectPages(s.other, s.otherAt, [SAME, 92]);
      },
    });
  });

  it('a fork while pages are merged, whose child writes', () => {
    let child: AddressSpace | undefined;
    search({
      tasks: (s) => [
        scan(s.k),
        (function* () {
          const made = yield* s.k.memory.cloneAddressSpace(s.user.as);
          if (typeof made === 'number') throw new Error(`fork: ${made}`);
          child = made;
          yield* store(s.k, made, s.at + PAGE, 91);
        })(),
        migrate(s.k, pageOf(s.k, s.user, s.at)),
      ],
      verify(s) {
        const forked = s.k.user(child);
        expectPages(s.user, s.at, [SAME, SAME, SAME, SAME]);
        expectPages(forked, s.at, [SAME, 91, SAME, SAME]);
        s.k.check();
        forked.exit();
      },
    });
  });

  it('a process exits, and another unmaps, while ksmd is in them', () => {
    search({
      tasks: (s) => {
        const third = s.k.user(s.k.run(s.k.memory.cloneAddressSpace(s.other.as)) as AddressSpace);
        return [
          scan(s.k),
          s.k.memory.exitMmap(third.as),
          s.k.memory.madvise(s.user.as, VA(BigInt(s.at + PAGE)), 2 * PAGE, MADV_DONTNEED),
        ];
      },
      verify(s) {
        expectPages(s.other, s.otherAt, [SAME, SAME]);
        expectPages(s.user, s.at, [SAME]);
        expect(s.user.load(s.at + PAGE, 1)).toEqual(Uint8Array.of(0));
      },
    });
  });

  it.each([
    ['run = 2', (s: Stage) => s.k.memory.ksmSet('run', 2)],
    [
      'MADV_UNMERGEABLE',
      (s: Stage) => s.k.memory.madvise(s.user.as, VA(BigInt(s.at)), 4 * PAGE, MADV_UNMERGEABLE),
    ],
  ])('%s against a store, a migration and ksmd', (_name, takeBack) => {
    search({
      merged: true,
      tasks: (s) => [
        takeBack(s),
        store(s.k, s.user.as, s.at, 91),
        migrate(s.k, pageOf(s.k, s.user, s.at)),
        scan(s.k),
      ],
      verify(s) {
        expectPages(s.user, s.at, [91, SAME, SAME, SAME]);
        expectPages(s.other, s.otherAt, [SAME, SAME]);
      },
    });
  });

  it('a merged page turns tagged, is migrated to tag storage, and its block is reserved', () => {
    search({
      merged: true,
      tasks: (s) => [
        (function* () {
          yield* s.k.memory.mprotect(s.user.as, VA(BigInt(s.at)), 2 * PAGE, RW | PROT_MTE);
          yield* store(s.k, s.user.as, s.at, 91, 6);
        })(),
        migrate(s.k, pageOf(s.k, s.user, s.at)),
        scan(s.k),
      ],
      verify(s) {
        expectPages(s.user, s.at, [91, SAME, SAME, SAME]);
        expectPages(s.other, s.otherAt, [SAME, SAME]);
        expect([s.user.loadTag(s.at), s.user.loadTag(s.at + PAGE)]).toEqual([6, 0]);
      },
    });
  });

  it('reclaim of merged pages against stores that bring them back', () => {
    search({
      merged: true,
      swapPages: 64,
      runs: 25,
      tasks: (s) => [
        tryToFreePages(s.k.mm, GFP_HIGHUSER_MOVABLE, 2),
        store(s.k, s.user.as, s.at, 91),
        store(s.k, s.other.as, s.otherAt + PAGE, 92),
        scan(s.k),
      ],
      verify(s) {
        expectPages(s.user, s.at, [91, SAME, SAME, SAME]);
        expectPages(s.other, s.otherAt, [SAME, 92]);
      },
    });
  });

  it('a tagged copy at swap-in, while the block that the page lies in is taken back', () => {
    let frame: Page;
    let owner: Page;
    search({
      merged: true,
      interrupted: 'cpu 1',
      swapPages: 64,
      tasks(s) {
        const { k, user, other } = s;
        const { memmap } = k.mm;
        for (let i = 0; i < 50 && user.pfn(s.at) !== undefined; i++) {
          k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
        }
        expect(other.mprotect(s.otherAt, 1, RW | PROT_MTE)).toBe(0);
        expect(user.load(s.at, 1)).toEqual(EQUAL.slice(0, 1));
        // The page of the swap cache goes to where the tags of data page 1000 belong.
        const [{ memStartPfn, tagStartPfn }] = k.regions as [TagRegion];
        owner = memmap.pfnToPage(memStartPfn + 1000)!;
        frame = memmap.pfnToPage(tagStartPfn + Math.floor(1000 / 32))!;
        for (const page of [owner, frame]) {
          const type = memmap.pageblockMigratetype(page);
          expect(k.run(allocContigRange(k.mm, page, page + 1, type))).toBe(0);
        }
        k.run(lruAddDrainAll(k.mm));
        const source = pageOf(k, user, s.at);
        expect(folioIsolateLru(k.mm, source)).toBe(true);
        const toFrame = function* () {
          yield* [];
          return frame;
        };
        expect(k.run(migratePages(k.mm, [source], toFrame))).toBe(0);
        expect(pageOf(k, user, s.at)).toBe(frame);
        k.run(lruAddDrainAll(k.mm));
        return [
          store(k, other.as, s.otherAt, 92, 7),
          k.mm.hooks.archAllocPage(owner, 0, GFP_HIGHUSER_MOVABLE | __GFP_TAGGED),
        ];
      },
      verify(s) {
        s.k.run(freePages(s.k.mm, owner, 0));
        expectPages(s.user, s.at, [SAME, SAME, SAME, SAME]);
        expectPages(s.other, s.otherAt, [92, SAME]);
        expect(s.other.loadTag(s.otherAt)).toBe(7);
      },
    });
  });
});

describe('fault injection: the n-th call fails', () => {
  /** Merging, writing, forking, moving, swapping and taking it back; what fails may fail. */
  function story(s: Stage): void {
    const { k, user, other } = s;
    k.run(scan(k));
    const child = k.run(k.memory.cloneAddressSpace(user.as));
    user.store(s.at + PAGE, Uint8Array.of(91));
    k.run(scan(k));
    k.run(migrate(k, pageOf(k, other, s.otherAt)));
    // The first look at a page only finds that it was used.
    for (let i = 0; i < 3; i++) k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
    other.load(s.otherAt, 1);
    k.run(scan(k));
    user.madvise(s.at, 2, MADV_UNMERGEABLE);
    k.run(k.memory.ksmSet('run', 2));
    if (typeof child !== 'number') k.run(k.memory.exitMmap(child));
  }

  it.each(['page_alloc', 'slab', 'migrate', 'swap_write', 'swap_read'])('%s: no byte is lost', (kind) => {
    let reached = 0;
    for (let n = 1; n <= 120; n = n < 40 ? n + 1 : n + 7) {
      const s = stage(RW, 64, false);
      let left = n;
      s.k.mm.shouldFail = (what) => what === kind && --left === 0;
      story(s);
      s.k.mm.shouldFail = () => false;
      s.k.check();
      const first = s.user.load(s.at + PAGE, 1)![0]!;
      expect([SAME, 91]).toContain(first);
      expectPages(s.user, s.at, [SAME, first, SAME, SAME]);
      expectPages(s.other, s.otherAt, [SAME, SAME]);
      finish(s);
      expect(s.k.mm.swap!.freeSlots).toBe(64);
      if (left > 0) break;
      reached++;
    }
    expect(reached).toBeGreaterThan(0);
  });
});
