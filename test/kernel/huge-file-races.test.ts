/**
 * Interleavings of huge pages of files: first stores, write(), split, migration, truncation, reclaim, and collapse
 * against each of them; bytes, tags and invariants at the end. A failure prints the schedule that replays it.
 */
import { describe, expect, it } from 'vitest';
import { PA, VA } from '../../src/base/index.js';
import type { MaySleep, Strategy } from '../../src/kernel/contexts/index.js';
import { Scheduler, searchSchedules, sleepPoint } from '../../src/kernel/contexts/index.js';
import type { FileOptions, MappableFile, MmStruct, Page } from '../../src/kernel/mm/index.js';
import {
  allocLike,
  FOLL_PIN,
  FOLL_WRITE,
  folioIsolateLru,
  folioPutbackLru,
  GFP_HIGHUSER_MOVABLE,
  getUserPage,
  lruAddDrainAll,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MAP_SHARED,
  migratePages,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  splitFolioUnlocked,
  tryToFreePages,
  unpinUserPage,
} from '../../src/kernel/mm/index.js';
import type { Fixture, User } from './kernel-fixture.js';
import { boot, storeFromTask } from './kernel-fixture.js';

const PAGE = 4096;
const HUGE = 512;
const BLOCK = HUGE * PAGE;
const RW = PROT_READ | PROT_WRITE;
const STEP = 64;
const RESCHED = sleepPoint('user');

interface Stage {
  readonly k: Fixture;
  readonly file: MappableFile;
  readonly free: number;
  /** Of a mapping of the whole file. */
  readonly user: User;
  readonly at: number;
  /** Of another process's. */
  readonly other: User;
  readonly there: number;
  readonly tagged: boolean;
  /** Which run of the search it is: short tasks begin so much later, to meet long ones everywhere. */
  readonly run: number;
}

function* later(s: Stage, work: MaySleep<unknown>): MaySleep<void> {
  for (let i = 0; i < s.run % 40; i++) yield RESCHED;
  yield* work;
}

const byteOf = (i: number): number => i / STEP + 1;

/** Faults all over the block, each with the entry before it gone; the page may be gone, too. */
function* loads({ k }: Stage, user: User, at: number): MaySleep<void> {
  for (let i = 0; i < 6; i++) {
    yield* k.memory.madvise(user.as, VA(BigInt(at)), BLOCK, MADV_DONTNEED);
    yield* k.memory.handleMmFault(user.as, VA(BigInt(at + i * STEP * PAGE)), {
      write: false,
      exec: false,
      user: true,
      tagAccess: false,
    });
    yield RESCHED;
  }
}

const collapse = (s: Stage, user: User, at: number): MaySleep<number> =>
  s.k.memory.madvise(user.as, VA(BigInt(at)), BLOCK, MADV_COLLAPSE);

const folioOf = ({ k, file }: Stage): Page | undefined => {
  const page = k.mm.inodes.get(file.id)?.pages.get(STEP);
  return page === undefined ? undefined : k.mm.memmap.head(page);
};

function* migrate(s: Stage): MaySleep<void> {
  const { k } = s;
  const page = folioOf(s);
  if (page === undefined || !folioIsolateLru(k.mm, page)) return;
  const list = [page];
  yield* migratePages(k.mm, list, (source) => allocLike(k.mm, source, GFP_HIGHUSER_MOVABLE));
  for (const left of list) yield* folioPutbackLru(k.mm, left);
}

function* split(s: Stage): MaySleep<void> {
  const page = folioOf(s);
  if (page !== undefined) yield* splitFolioUnlocked(s.k.mm, page);
}

function map(k: Fixture, user: User, file: MappableFile, prot: number): number {
  const room = user.mmap(3 * HUGE, PROT_READ);
  user.munmap(room, 3 * HUGE);
  const at = Math.ceil(room / BLOCK) * BLOCK;
  const addr = VA(BigInt(at));
  const flags = MAP_SHARED | 0x10;
  expect(k.run(k.memory.mmap(user.as, { addr, length: BLOCK, prot, flags, file }))).toBe(at);
  return at;
}

/** `touched`: pages of the block are there before, huge or not as `huge` says. */
function search(
  tagged: boolean,
  huge: NonNullable<FileOptions['huge']>,
  touched: boolean,
  tasks: (stage: Stage) => readonly MaySleep<unknown>[],
  verify: (stage: Stage) => void,
  runs = 25,
): void {
  let run = 0;
  const failure = searchSchedules(
    (strategy: Strategy) => {
      // Tagged memory is collapsed where no tag storage is lent.
      const policy = tagged && huge === 'never' ? 'static' : 'cma';
      const k = boot({ cpus: 4, tagPages: 128, pageblockOrder: 5, policy, swapPages: 64 });
      const free = k.unused();
      const file = k.memory.newFile({ name: 'f', size: BLOCK, huge });
      const [user, other] = [k.user(), k.user()];
      const at = map(k, user, file, tagged ? RW | PROT_MTE : RW);
      const there = map(k, other, file, RW);
      const stage: Stage = { k, file, free, user, at, other, there, tagged, run: run++ };
      for (let i = 0; touched && i < HUGE; i += STEP) {
        user.store(at + i * PAGE + 32, Uint8Array.of(byteOf(i)));
        if (tagged) user.storeTag(at + i * PAGE + 32, byteOf(i));
        other.load(there + i * PAGE, 1);
      }
      if (touched) expect(k.mm.globalNodeState('nr_shmem_hugepages')).toBe(huge === 'never' ? 0 : 1);
      k.run(lruAddDrainAll(k.mm));
      const scheduler = new Scheduler(k.contexts, strategy);
      for (const [cpu, work] of tasks(stage).entries()) scheduler.spawn(`cpu ${cpu}`, work, { cpu });
      return {
        scheduler,
        verify: () => {
          verify(stage);
          k.run(lruAddDrainAll(k.mm));
          k.check();
          user.exit();
          other.exit();
          k.run(k.memory.putFile(file));
          k.run(lruAddDrainAll(k.mm));
          k.check();
          expect(k.unused()).toBe(free);
        },
      };
    },
    { runs, seed: 7 },
  );
  if (failure) throw failure.error;
}

function expectBlock(s: Stage, except: readonly number[] = [], end = HUGE): void {
  for (let i = 0; i < end; i += STEP) {
    if (except.includes(i)) continue;
    expect(s.user.load(s.at + i * PAGE + 32, 1)).toEqual(Uint8Array.of(byteOf(i)));
    if (s.tagged) expect(s.user.loadTag(s.at + i * PAGE + 32)).toBe(byteOf(i));
    expect(s.other.load(s.there + i * PAGE + 32, 1)).toEqual(Uint8Array.of(byteOf(i)));
  }
}

describe.each([
  ['untagged', false],
  ['tagged', true],
] as const)('%s', (_name, tagged) => {
  it('first stores by two processes and write() make one huge page', () => {
    search(
      tagged,
      'always',
      false,
      (s) => [
        storeFromTask(s.k, s.user, s.at + PAGE, 1, 3),
        storeFromTask(s.k, s.other, s.there + 9 * PAGE, 2),
        s.k.memory.writeFile(s.file, 100 * PAGE, Uint8Array.of(3)),
      ],
      (s) => {
        expect(s.k.mm.globalNodeState('nr_shmem_hugepages')).toBe(1);
        expect(s.user.load(s.at + 9 * PAGE, 1)).toEqual(Uint8Array.of(2));
        expect(s.other.load(s.there + PAGE, 1)).toEqual(Uint8Array.of(1));
        expect(s.user.load(s.at + 100 * PAGE, 1)).toEqual(Uint8Array.of(3));
        if (tagged) expect(s.user.loadTag(s.at + PAGE)).toBe(3);
      },
    );
  });

  it('a split, a migration, a store and a reader', () => {
    search(
      tagged,
      'always',
      true,
      (s) => [
        split(s),
        migrate(s),
        storeFromTask(s.k, s.other, s.there + 70 * PAGE, 99),
        s.k.memory.readFile(s.file, 0, BLOCK),
      ],
      (s) => {
        expectBlock(s);
        expect(s.user.load(s.at + 70 * PAGE, 1)).toEqual(Uint8Array.of(99));
      },
    );
  });

  it('truncation, a split, reclaim, and a store to what stays', () => {
    search(
      tagged,
      'always',
      true,
      (s) => [
        s.k.memory.truncateFile(s.file, 200 * PAGE),
        split(s),
        tryToFreePages(s.k.mm, GFP_HIGHUSER_MOVABLE, 2),
        storeFromTask(s.k, s.user, s.at + 3 * PAGE, 77),
      ],
      (s) => {
        expectBlock(s, [], 200);
        expect(s.other.load(s.there + 3 * PAGE, 1)).toEqual(Uint8Array.of(77));
        expect(s.k.run(s.k.memory.truncateFile(s.file, BLOCK))).toBe(0);
        expect(s.user.load(s.at + 256 * PAGE + 32, 1)).toEqual(Uint8Array.of(0));
      },
    );
  });

  it('collapse by both processes, a store, and a hole that is filled', () => {
    let whole = 0;
    search(
      tagged,
      'never',
      true,
      (s) => [
        collapse(s, s.user, s.at),
        collapse(s, s.other, s.there),
        storeFromTask(s.k, s.other, s.there + STEP * PAGE + 32, 200),
        later(
          s,
          (function* () {
            for (let i = 3; i < HUGE; i += STEP) {
              yield* s.k.memory.writeFile(s.file, i * PAGE, Uint8Array.of(201));
              yield RESCHED;
            }
          })(),
        ),
      ],
      (s) => {
        expectBlock(s, [STEP]);
        expect(s.user.load(s.at + STEP * PAGE + 32, 1)).toEqual(Uint8Array.of(200));
        for (let i = 3; i < HUGE; i += STEP) {
          expect(s.user.load(s.at + i * PAGE, 1)).toEqual(Uint8Array.of(201));
        }
        whole += s.k.mm.globalNodeState('nr_shmem_hugepages');
      },
    );
    expect(whole).toBeGreaterThan(0);
  });

  it('collapse and a pin: whoever has one keeps the page that is mapped', () => {
    const pins = new WeakMap<Fixture, Page>();
    search(
      tagged,
      'never',
      true,
      (s) => [
        collapse(s, s.user, s.at),
        later(
          s,
          (function* () {
            const addr = s.there + STEP * PAGE;
            const page = yield* getUserPage(s.k.mm, s.other.as as MmStruct, addr, FOLL_PIN | FOLL_WRITE);
            if (page < 0) throw new Error(`pin: ${page}`);
            pins.set(s.k, page as Page);
          })(),
        ),
      ],
      (s) => {
        const page = pins.get(s.k)!;
        s.k.port.writeBytes(PA(s.k.mm.pageToPa(page) + 32), Uint8Array.of(123));
        expect(s.user.load(s.at + STEP * PAGE + 32, 1)).toEqual(Uint8Array.of(123));
        expectBlock(s, [STEP]);
        s.k.run(unpinUserPage(s.k.mm, page));
      },
      80,
    );
  });

  it('everything is truncated while it is being mapped', () => {
    search(
      tagged,
      'always',
      true,
      (s) => [
        later(s, s.k.memory.truncateFile(s.file, 0)),
        loads(s, s.user, s.at),
        loads(s, s.other, s.there),
      ],
      (s) => expect(s.k.mm.globalNodeState('nr_shmem')).toBe(0),
      80,
    );
  });

  it('collapse, truncation, migration and fork', () => {
    search(
      tagged,
      'never',
      true,
      (s) => [
        collapse(s, s.user, s.at),
        s.k.memory.truncateFile(s.file, 200 * PAGE),
        migrate(s),
        (function* () {
          const child = yield* s.k.memory.cloneAddressSpace(s.other.as);
          if (typeof child !== 'number') yield* s.k.memory.exitMmap(child);
        })(),
      ],
      (s) => expectBlock(s, [], 200),
    );
  });

  it('collapse, reclaim, and mappings that go', () => {
    search(
      tagged,
      'never',
      true,
      (s) => [
        collapse(s, s.user, s.at),
        tryToFreePages(s.k.mm, GFP_HIGHUSER_MOVABLE, 2),
        s.k.memory.munmap(s.other.as, VA(BigInt(s.there + 128 * PAGE)), 128 * PAGE),
        storeFromTask(s.k, s.user, s.at + 5 * PAGE, 9),
      ],
      (s) => {
        expect(s.user.load(s.at + 5 * PAGE, 1)).toEqual(Uint8Array.of(9));
        for (let i = 0; i < HUGE; i += STEP) {
          expect(s.user.load(s.at + i * PAGE + 32, 1)).toEqual(Uint8Array.of(byteOf(i)));
          if (tagged) expect(s.user.loadTag(s.at + i * PAGE + 32)).toBe(byteOf(i));
        }
      },
    );
  });
});
