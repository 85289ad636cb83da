/**
 * What happens when a task is interrupted once, at each of its steps: windows between looking at something and acting
 * on it, in collapse, truncation, migration, merging, swapping and tag storage. Every schedule of one preemption is run.
 */
import { describe, expect, it } from 'vitest';
import { VA } from '../../src/base/index.js';
import type { MaySleep } from '../../src/kernel/contexts/index.js';
import { FIRST, Scheduler, sweepPreemptions } from '../../src/kernel/contexts/index.js';
import type { MappableFile } from '../../src/kernel/mm/index.js';
import {
  allocLike,
  folioIsolateLru,
  folioPutbackLru,
  GFP_HIGHUSER_MOVABLE,
  ksmDoScan,
  lruAddDrainAll,
  MADV_COLLAPSE,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  migratePages,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  tryToFreePages,
} from '../../src/kernel/mm/index.js';
import type { Fixture, FixtureOptions, User } from './kernel-fixture.js';
import { boot, storeFromTask } from './kernel-fixture.js';

const PAGE = 4096;
const HUGE = 512;
const RW = PROT_READ | PROT_WRITE;
const MAP_SHARED_ANON = 0x21;

interface Stage {
  readonly k: Fixture;
  readonly user: User;
  readonly at: number;
}

/**
 * @param first is interrupted by `other`, at every step of its.
 * @returns how many schedules there were.
 */
function sweep<S extends Stage>(
  options: FixtureOptions,
  setUp: (k: Fixture) => S,
  first: (stage: S) => MaySleep<unknown>,
  other: (stage: S) => MaySleep<unknown>,
  verify: (stage: S) => void,
): number {
  const { failure, runs } = sweepPreemptions((strategy) => {
    const k = boot({ cpus: 2, tagPages: 64, pageblockOrder: 5, swapPages: 256, ...options });
    const stage = setUp(k);
    k.run(lruAddDrainAll(k.mm));
    const scheduler = new Scheduler(k.contexts, strategy);
    scheduler.spawn(FIRST, first(stage), { cpu: 0 });
    scheduler.spawn('other', other(stage), { cpu: 1 });
    return {
      scheduler,
      verify: () => {
        k.run(lruAddDrainAll(k.mm));
        k.check();
        verify(stage);
        k.check();
        stage.user.exit();
        k.run(lruAddDrainAll(k.mm));
        k.check();
      },
    };
  });
  if (failure) throw failure.error;
  return runs;
}

const call = ({ k, user }: Stage) => ({
  munmap: (at: number, pages: number) => k.memory.munmap(user.as, VA(BigInt(at)), pages * PAGE),
  madvise: (at: number, pages: number, advice: number) =>
    k.memory.madvise(user.as, VA(BigInt(at)), pages * PAGE, advice),
  mprotect: (at: number, pages: number, prot: number) =>
    k.memory.mprotect(user.as, VA(BigInt(at)), pages * PAGE, prot),
  store: (at: number, byte: number, tag: number) => storeFromTask(k, user, at, byte, tag),
});

function* migrate({ k, user }: Stage, at: number): MaySleep<void> {
  const pfn = user.pfn(at);
  const page = pfn === undefined ? undefined : k.mm.memmap.pfnToPage(pfn);
  if (page === undefined || !folioIsolateLru(k.mm, page)) return;
  const list = [page];
  yield* migratePages(k.mm, list, (source) => allocLike(k.mm, source, GFP_HIGHUSER_MOVABLE));
  for (const left of list) yield* folioPutbackLru(k.mm, left);
}

describe('a collapse is interrupted', () => {
  const STEP = 128;
  const block = (k: Fixture): Stage => {
    const user = k.user();
    const addr = user.mmap(2 * HUGE, RW);
    const at = Math.ceil(addr / (HUGE * PAGE)) * HUGE * PAGE;
    for (let i = 0; i < HUGE; i += STEP) user.store(at + i * PAGE, Uint8Array.of(i / STEP + 1));
    return { k, user, at };
  };
  const collapse = (s: Stage) => call(s).madvise(s.at, HUGE, MADV_COLLAPSE);
  const loads = (s: Stage) => [0, 1, 2, 3].map((i) => s.user.load(s.at + i * STEP * PAGE, 1)?.[0] ?? -1);
  const options = { tagPages: 128 };

  it('by munmap of half the block: nothing is mapped where nothing is', () => {
    const runs = sweep(
      options,
      block,
      collapse,
      (s) => call(s).munmap(s.at + (HUGE / 2) * PAGE, HUGE / 2),
      (s) => {
        expect(loads(s).slice(0, 2)).toEqual([1, 2]);
        expect(s.user.load(s.at + 2 * STEP * PAGE, 1)).toBeUndefined();
      },
    );
    expect(runs).toBeGreaterThan(10);
  });

  it('by MADV_NOHUGEPAGE: no huge page comes after it', () => {
    sweep(
      options,
      block,
      collapse,
      (s) => call(s).madvise(s.at, HUGE, MADV_NOHUGEPAGE),
      (s) => {
        expect(loads(s)).toEqual([1, 2, 3, 4]);
        // Either it was there before, or it never comes: the mapping says which.
        const huge = s.k.mm.globalNodeState('nr_anon_transparent_hugepages');
        if (huge > 0) expect(s.k.mm.events.thp_collapse_alloc).toBe(1);
      },
    );
  });

  it('by mprotect of part of it, and by a fork', () => {
    sweep(
      options,
      block,
      collapse,
      (s) => call(s).mprotect(s.at + STEP * PAGE, 1, PROT_READ),
      (s) => expect(loads(s)).toEqual([1, 2, 3, 4]),
    );
  });

  it('by another of the same block', () => {
    sweep(options, block, collapse, collapse, (s) => {
      expect(loads(s)).toEqual([1, 2, 3, 4]);
      expect(s.k.mm.globalNodeState('nr_anon_transparent_hugepages')).toBe(1);
    });
  });

  it('by MADV_DONTNEED and a new store', () => {
    sweep(
      options,
      block,
      collapse,
      function* (s) {
        yield* call(s).madvise(s.at + STEP * PAGE, 1, 4);
        yield* call(s).store(s.at + STEP * PAGE, 99, 0);
      },
      (s) => expect(loads(s)).toEqual([1, 99, 3, 4]),
    );
  });
});

describe('a truncation is interrupted', () => {
  interface FileStage extends Stage {
    readonly file: MappableFile;
  }
  const PAGES = 4;
  const shared =
    (disk: boolean) =>
    (k: Fixture): FileStage => {
      const user = k.user();
      const file = k.memory.newFile({ name: '/file', size: 0, ...(disk ? { disk: true } : {}) });
      k.run(k.memory.writeFile(file, 0, new Uint8Array(PAGES * PAGE).fill(7)));
      const request = { addr: VA(0n), length: PAGES * PAGE, prot: RW, flags: 1, file, offset: 0 };
      return { k, user, file, at: k.run(k.memory.mmap(user.as, request)) };
    };
  const truncate = ({ k, file }: FileStage) => k.memory.truncateFile(file, PAGE);
  const gone = ({ k, user, at, file }: FileStage) => {
    expect(file.cachedPages).toBe(1);
    expect(user.load(at, 1)).toEqual(Uint8Array.of(7));
    expect(user.load(at + 2 * PAGE, 1)).toBeUndefined();
    expect(k.mm.globalNodeState('nr_file_pages')).toBe(1);
  };

  it.each([false, true])('by a store to a page that goes; on disk %s', (disk) => {
    const runs = sweep(
      {},
      shared(disk),
      truncate,
      function* (s) {
        // It finds the page, or it is too late.
        yield* s.k.memory.handleMmFault(s.user.as, VA(BigInt(s.at + 2 * PAGE)), {
          write: true,
          exec: false,
          user: true,
          tagAccess: false,
        });
      },
      gone,
    );
    expect(runs).toBeGreaterThan(3);
  });

  it.each([
    ['store', true, false],
    ['load', false, false],
    ['store to a file on disk', true, true],
  ])('or interrupts a %s that already looked at the size', (_what, write, disk) => {
    const runs = sweep(
      {},
      shared(disk),
      function* (s) {
        const access = { write, exec: false, user: true, tagAccess: false };
        yield* s.k.memory.handleMmFault(s.user.as, VA(BigInt(s.at + 2 * PAGE)), access);
      },
      truncate,
      gone,
    );
    expect(runs).toBeGreaterThan(1);
  });

  it('by a first load through another mapping, as the page is about to leave the cache', () => {
    sweep(
      {},
      shared(false),
      truncate,
      function* (s) {
        for (const page of [1, 2, 3]) {
          yield* s.k.memory.handleMmFault(s.user.as, VA(BigInt(s.at + page * PAGE)), {
            write: false,
            exec: false,
            user: true,
            tagAccess: false,
          });
        }
      },
      gone,
    );
  });

  it('by its migration, and by reclaim', () => {
    sweep({}, shared(false), truncate, (s) => migrate(s, s.at + 2 * PAGE), gone);
    sweep(
      {},
      shared(false),
      truncate,
      (s) => tryToFreePages(s.k.mm, GFP_HIGHUSER_MOVABLE, 2),
      (s) => {
        expect(s.user.load(s.at, 1)).toEqual(Uint8Array.of(7));
        expect(s.user.load(s.at + 2 * PAGE, 1)).toBeUndefined();
      },
    );
  });
});

describe('ksmd is interrupted', () => {
  const zeros = (k: Fixture): Stage => {
    k.mm.ksm.useZeroPages = true;
    const user = k.user();
    const at = user.mmap(4, RW);
    for (let i = 0; i < 4; i++) user.store(at + i * PAGE, new Uint8Array(PAGE));
    k.run(k.memory.madvise(user.as, VA(BigInt(at)), 4 * PAGE, MADV_MERGEABLE));
    return { k, user, at };
  };
  function* scan({ k }: Stage): MaySleep<void> {
    yield* ksmDoScan(k.mm, 100);
    yield* ksmDoScan(k.mm, 100);
  }
  const counted = ({ k, user }: Stage) => [k.mm.ksm.zeroPages, user.as.ksmZeroPages];

  it('while zeros become the zero page, by a store to one and by unmapping another', () => {
    let merged = 0;
    sweep(
      {},
      zeros,
      scan,
      (s) => call(s).store(s.at + PAGE, 5, 0),
      (s) => {
        merged = Math.max(merged, s.k.mm.ksm.zeroPages);
        expect(s.user.load(s.at + PAGE, 1)).toEqual(Uint8Array.of(5));
      },
    );
    expect(merged).toBe(3);
    sweep(
      {},
      zeros,
      scan,
      (s) => call(s).munmap(s.at + 2 * PAGE, 1),
      (s) => {
        expect(counted(s)[0]).toBe(counted(s)[1]);
      },
    );
  });

  it('and every way to lose a merged page of zeros is counted', () => {
    const k = boot({ tagPages: 128, pageblockOrder: 5 });
    k.mm.ksm.useZeroPages = true;
    const user = k.user();
    const addr = user.mmap(2 * HUGE, RW);
    const at = Math.ceil(addr / (HUGE * PAGE)) * HUGE * PAGE;
    for (let i = 0; i < 8; i++) user.store(at + i * PAGE, new Uint8Array(PAGE));
    user.madvise(at, HUGE, MADV_MERGEABLE);
    const stage = { k, user, at };
    k.run(scan(stage));
    k.run(scan(stage));
    expect(counted(stage)).toEqual([8, 8]);
    // In a child too.
    const child = user.fork();
    expect([k.mm.ksm.zeroPages, child.as.ksmZeroPages]).toEqual([16, 8]);
    k.check();
    child.store(at, Uint8Array.of(1));
    expect(child.as.ksmZeroPages).toBe(7);
    k.check();
    child.exit();
    expect(k.mm.ksm.zeroPages).toBe(8);
    user.madvise(at, 1, 4);
    expect(counted(stage)).toEqual([7, 7]);
    user.store(at + PAGE, Uint8Array.of(1));
    expect(counted(stage)).toEqual([6, 6]);
    k.check();
    // A huge page takes the others' place.
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(0);
    expect(counted(stage)).toEqual([0, 0]);
    k.check();
    expect(user.load(at + PAGE, 1)).toEqual(Uint8Array.of(1));
    user.exit();
    k.check();
  });
});

describe('tags and pages under one preemption', () => {
  const TAGGED = 4;
  const tagged = (k: Fixture): Stage => {
    const user = k.user();
    const at = user.mmap(TAGGED, RW | PROT_MTE);
    for (let i = 0; i < TAGGED; i++) {
      user.store(at + i * PAGE, Uint8Array.of(i + 1));
      user.storeTag(at + i * PAGE, i + 1);
    }
    return { k, user, at };
  };
  const kept = (s: Stage) => {
    for (let i = 0; i < TAGGED; i++) {
      expect([s.user.loadTag(s.at + i * PAGE), s.user.load(s.at + i * PAGE, 1)?.[0]]).toEqual([i + 1, i + 1]);
    }
  };

  it.each([
    [
      'migration, by a store and a tag',
      (s: Stage) => migrate(s, s.at),
      (s: Stage) => call(s).store(s.at, 1, 1),
    ],
    ['migration, by another', (s: Stage) => migrate(s, s.at), (s: Stage) => migrate(s, s.at)],
    [
      'migration, by reclaim',
      (s: Stage) => migrate(s, s.at),
      (s: Stage) => tryToFreePages(s.k.mm, GFP_HIGHUSER_MOVABLE, 2),
    ],
    [
      'reclaim, by a store and a tag',
      (s: Stage) => tryToFreePages(s.k.mm, GFP_HIGHUSER_MOVABLE, 2),
      (s: Stage) => call(s).store(s.at, 1, 1),
    ],
    [
      'mprotect to PROT_NONE and back, by a migration',
      function* (s: Stage) {
        yield* call(s).mprotect(s.at, TAGGED, 0);
        yield* call(s).mprotect(s.at, TAGGED, RW | PROT_MTE);
      },
      (s: Stage) => migrate(s, s.at + PAGE),
    ],
  ] as const)('%s', (_what, first, other) => {
    expect(sweep({}, tagged, first, other, kept)).toBeGreaterThan(3);
  });

  it('shared memory that becomes tagged while another thread of it faults', () => {
    sweep(
      {},
      (k) => {
        const user = k.user();
        const at = user.mmap(2, RW, MAP_SHARED_ANON);
        user.store(at, Uint8Array.of(1));
        return { k, user, at };
      },
      function* (s) {
        yield* call(s).mprotect(s.at, 2, RW | PROT_MTE);
        yield* call(s).store(s.at, 1, 6);
      },
      (s) => call(s).store(s.at + PAGE, 2, 0),
      (s) => {
        expect([s.user.loadTag(s.at), s.user.load(s.at + PAGE, 1)]).toEqual([6, Uint8Array.of(2)]);
      },
    );
  });
});
