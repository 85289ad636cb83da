/**
 * Interleavings of huge pages: faults, splits, migration, mprotect and unmapping of one block by several CPUs,
 * ordered by search; bytes, tags and invariants at the end. A failure prints the schedule that replays it.
 */
import { describe, expect, it } from 'vitest';
import { VA } from '../../src/base/index.js';
import type { MaySleep, Strategy } from '../../src/kernel/contexts/index.js';
import { Scheduler, searchSchedules } from '../../src/kernel/contexts/index.js';
import type { Page } from '../../src/kernel/mm/index.js';
import {
  allocLike,
  folioIsolateLru,
  folioPutbackLru,
  GFP_HIGHUSER_MOVABLE,
  lruAddDrainAll,
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  migratePages,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  splitFolioUnlocked,
} from '../../src/kernel/mm/index.js';
import type { Fixture, User } from './kernel-fixture.js';
import { boot, storeFromTask } from './kernel-fixture.js';

const PAGE = 4096;
const HUGE = 512;
const RW = PROT_READ | PROT_WRITE;

interface Stage {
  readonly k: Fixture;
  readonly user: User;
  /** Of a block that asked for a huge page. */
  readonly at: number;
}

function* migrate({ k }: Stage, page: Page): MaySleep<void> {
  if (!folioIsolateLru(k.mm, page)) return;
  const list = [page];
  yield* migratePages(k.mm, list, (source) => allocLike(k.mm, source, GFP_HIGHUSER_MOVABLE));
  for (const left of list) yield* folioPutbackLru(k.mm, left);
}

/** `touched`: the block is there before the race begins. */
function search(
  prot: number,
  touched: boolean,
  tasks: (stage: Stage, head: Page) => readonly MaySleep<unknown>[],
  verify: (stage: Stage) => void,
): void {
  const failure = searchSchedules(
    (strategy: Strategy) => {
      const k = boot({ cpus: 4, tagPages: 128, pageblockOrder: 5 });
      const user = k.user();
      const addr = user.mmap(2 * HUGE, prot);
      expect(user.madvise(addr, 2 * HUGE, MADV_HUGEPAGE)).toBe(0);
      const stage = { k, user, at: Math.ceil(addr / (HUGE * PAGE)) * HUGE * PAGE };
      if (touched) {
        for (let i = 0; i < HUGE; i += 64) user.store(stage.at + i * PAGE + 32, Uint8Array.of(i / 64 + 1));
        if (prot !== RW) user.storeTag(stage.at + 32, 6);
        expect(k.mm.events.thp_fault_alloc).toBe(1);
        k.run(lruAddDrainAll(k.mm));
      }
      const head = touched ? k.mm.memmap.pfnToPage(user.pfn(stage.at)!)! : (0 as Page);
      const scheduler = new Scheduler(k.contexts, strategy);
      for (const [cpu, work] of tasks(stage, head).entries()) scheduler.spawn(`cpu ${cpu}`, work, { cpu });
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
    { runs: 25, seed: 3 },
  );
  if (failure) throw failure.error;
}

/** What a touched block holds. */
function expectBlock({ user, at }: Stage, tagged: boolean): void {
  for (let i = 0; i < HUGE; i += 64) {
    expect(user.load(at + i * PAGE + 32, 1)).toEqual(Uint8Array.of(i / 64 + 1));
  }
  if (tagged) expect(user.loadTag(at + 32)).toBe(6);
}

describe.each([
  ['untagged', RW, false],
  ['tagged', RW | PROT_MTE, true],
] as const)('%s', (_name, prot, tagged) => {
  it('two first stores to one block', () => {
    search(
      prot,
      false,
      (s) => [storeFromTask(s.k, s.user, s.at, 1, 3), storeFromTask(s.k, s.user, s.at + 9 * PAGE, 2, 4)],
      ({ user, at }) => {
        expect([user.load(at, 1), user.load(at + 9 * PAGE, 1)]).toEqual([Uint8Array.of(1), Uint8Array.of(2)]);
        if (tagged) expect([user.loadTag(at), user.loadTag(at + 9 * PAGE)]).toEqual([3, 4]);
      },
    );
  });

  it('a split, a migration and a store', () => {
    search(
      prot,
      true,
      (s, head) => [
        splitFolioUnlocked(s.k.mm, head),
        migrate(s, head),
        storeFromTask(s.k, s.user, s.at + 70 * PAGE, 99),
      ],
      (s) => {
        expectBlock(s, tagged);
        expect(s.user.load(s.at + 70 * PAGE, 1)).toEqual(Uint8Array.of(99));
      },
    );
  });

  it('mprotect of a part, a migration and a store to another', () => {
    search(
      prot,
      true,
      (s, head) => [
        s.k.memory.mprotect(
          s.user.as,
          VA(BigInt(s.at + 128 * PAGE)),
          64 * PAGE,
          PROT_READ | (prot & PROT_MTE),
        ),
        migrate(s, head),
        storeFromTask(s.k, s.user, s.at + 70 * PAGE, 99),
      ],
      (s) => {
        expectBlock(s, tagged);
        expect(s.user.load(s.at + 70 * PAGE, 1)).toEqual(Uint8Array.of(99));
      },
    );
  });

  it('a part goes away while the folio is split, and a fork copies it', () => {
    search(
      prot,
      true,
      (s, head) => [
        s.k.memory.madvise(s.user.as, VA(BigInt(s.at + 256 * PAGE)), 256 * PAGE, MADV_DONTNEED),
        splitFolioUnlocked(s.k.mm, head),
        (function* () {
          const child = yield* s.k.memory.cloneAddressSpace(s.user.as);
          if (typeof child !== 'number') yield* s.k.memory.exitMmap(child);
        })(),
      ],
      ({ user, at }) => {
        expect(user.load(at + 64 * PAGE + 32, 1)).toEqual(Uint8Array.of(2));
        expect(user.load(at + 320 * PAGE + 32, 1)).toEqual(Uint8Array.of(0));
        if (tagged) expect(user.loadTag(at + 32)).toBe(6);
      },
    );
  });
});
