/**
 * Interleavings: tasks on several CPUs, their steps ordered by search, every byte and tag checked at the
 * end and the invariants with them. A failure prints the schedule that replays it.
 */
import { describe, expect, it, vi } from 'vitest';
import { VA } from '../../src/base/index.js';
import type { MaySleep, Strategy } from '../../src/kernel/contexts/index.js';
import {
  EAGAIN,
  parseSchedule,
  racePoint,
  replayStrategy,
  Scheduler,
  searchSchedules,
  sleepPoint,
} from '../../src/kernel/contexts/index.js';
import type { AddressSpace, Page } from '../../src/kernel/mm/index.js';
import {
  __GFP_TAGGED,
  allocPages,
  folioIsolateLru,
  folioPutbackLru,
  freePages,
  GFP_HIGHUSER_MOVABLE,
  lruAddDrainAll,
  MAP_PRIVATE,
  MAP_SHARED,
  migratePages,
  PG_tag_storage_reserved,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/kernel/mm/index.js';
import { folioBlocks, TagBlocks, TagStash } from '../../src/kernel/tag-storage/index.js';
import type { Fixture } from './kernel-fixture.js';
import { boot, pattern } from './kernel-fixture.js';

const RW = PROT_READ | PROT_WRITE;
const PAGE = 4096;
const TAGGED = GFP_HIGHUSER_MOVABLE | __GFP_TAGGED;
const RUNS = { runs: 120, seed: 1 };
const RESCHED = sleepPoint('user');

/** A user access from a task: walks, faults, accesses in one step, as the hardware would. */
function* access(
  k: Fixture,
  as: AddressSpace,
  addr: number,
  write: boolean,
  use: (pa: number, tagged: boolean) => void,
): MaySleep<void> {
  for (let tries = 0; tries < 50; tries++) {
    const mapping = k.memory.virtToPhys(as, VA(BigInt(addr)));
    if (mapping && (!write || mapping.write)) {
      use(mapping.pa, mapping.tagged);
      return;
    }
    const result = yield* k.memory.handleMmFault(as, VA(BigInt(addr)), {
      write,
      exec: false,
      user: true,
      tagAccess: false,
    });
    if (result.kind !== 'handled')
      throw new Error(`fault at 0x${addr.toString(16)}: ${JSON.stringify(result)}`);
    yield RESCHED;
  }
  throw new Error(`no progress at 0x${addr.toString(16)}`);
}

/** Sets a machine up, says what each CPU does, and gives what must hold when all are done. */
type Race = (k: Fixture, spawn: (name: string, work: MaySleep<unknown>) => void) => () => void;

function staged(race: Race, strategy: Strategy) {
  const k = boot({ tagPages: 64, pageblockOrder: 5, cpus: 4 });
  const scheduler = new Scheduler(k.contexts, strategy);
  let cpu = 0;
  const verify = race(k, (name, work) => scheduler.spawn(name, work, { cpu: cpu++ }));
  return {
    scheduler,
    verify: () => {
      verify();
      k.run(lruAddDrainAll(k.mm));
      k.check();
    },
  };
}

/** Runs a race under many schedules; fails with the schedule of the first that breaks. */
function search(race: Race): void {
  const failure = searchSchedules((strategy) => staged(race, strategy), RUNS);
  if (failure)
    throw new Error(`schedule ${failure.schedule}: ${String(failure.error)}`, { cause: failure.error });
}

/**
 * A kernel with the defect that the race is about: the search must find it, and its schedule must bring it back
 * there, and break nothing in the kernel as it is.
 */
function expectFound(race: Race, mutate: () => { mockRestore(): void }): void {
  const mutant = mutate();
  let schedule = '';
  try {
    const failure = searchSchedules((strategy) => staged(race, strategy), RUNS);
    expect(failure).toBeDefined();
    schedule = failure!.schedule;
    const again = staged(race, replayStrategy(parseSchedule(schedule)!));
    expect(() => {
      again.scheduler.run();
      again.verify();
    }).toThrow();
  } finally {
    mutant.mockRestore();
  }
  const sound = staged(race, replayStrategy(parseSchedule(schedule)!));
  sound.scheduler.run();
  sound.verify();
}

/** Frees and takes pages of one block from two sides. */
function takeBlock(k: Fixture): Page[] {
  const pages: Page[] = [];
  for (let i = 0; i < 8; i++) pages.push(k.run(allocPages(k.mm, TAGGED, 0))!);
  return pages;
}

const reserveAgainstFree: Race = (k, spawn) => {
  const pages = takeBlock(k);
  for (const page of pages.slice(1)) k.run(freePages(k.mm, page, 0));
  let taken: Page | undefined;
  spawn('free', freePages(k.mm, pages[0]!, 0));
  spawn(
    'reserve',
    (function* () {
      taken = yield* allocPages(k.mm, TAGGED, 0);
    })(),
  );
  return () => {
    expect(taken).toBeDefined();
    k.check();
    k.run(freePages(k.mm, taken!, 0));
  };
};

const migrationAgainstMprotect: Race = (k, spawn) => {
  const u = k.user();
  const at = u.mmap(2, RW);
  u.store(at, pattern(PAGE, 5));
  k.run(lruAddDrainAll(k.mm));
  const page = k.mm.memmap.pfnToPage(u.pfn(at)!)!;
  spawn('compaction', migrateAway(k, page));
  spawn(
    'user',
    (function* (): MaySleep<void> {
      yield* k.memory.mprotect(u.as, VA(BigInt(at)), PAGE, RW | PROT_MTE);
      yield* access(k, u.as, at + 64, true, (pa, tagged) => {
        expect(tagged).toBe(true);
        k.port.writeTag(pa as never, 9);
      });
    })(),
  );
  return () => {
    expect(u.loadTag(at + 64)).toBe(9);
    expect(u.loadTag(at)).toBe(0);
    expect(Buffer.compare(u.load(at, PAGE)!, pattern(PAGE, 5))).toBe(0);
  };
};

const restoreAgainstReaders: Race = (k, spawn) => {
  const parent = k.user();
  const at = parent.mmap(1, RW | PROT_MTE);
  parent.storeTag(at + 32, 7);
  const child = parent.fork();
  k.run(lruAddDrainAll(k.mm));
  k.run(migrateAway(k, k.mm.memmap.pfnToPage(parent.pfn(at)!)!));
  expect(k.memory.tagStorageMetrics()['stashEntries']).toBe(1);
  const seen: number[] = [];
  for (const u of [parent, child]) {
    spawn(
      'reader',
      access(k, u.as, at + 32, false, (pa, tagged) => {
        if (tagged) seen.push(k.port.readTag(pa as never));
      }),
    );
  }
  return () => {
    expect(seen).toEqual([7, 7]);
    expect(k.memory.tagStorageMetrics()['stashEntries']).toBe(0);
  };
};

const copyAgainstOwner: Race = (k, spawn) => {
  const parent = k.user();
  const at = parent.mmap(1, RW | PROT_MTE);
  parent.store(at, pattern(PAGE, 2));
  parent.storeTag(at + 32, 7);
  const child = parent.fork();
  k.run(lruAddDrainAll(k.mm));
  k.run(migrateAway(k, k.mm.memmap.pfnToPage(parent.pfn(at)!)!));
  for (const [i, u] of [parent, child].entries()) {
    spawn(
      'writer',
      access(k, u.as, at + 64, true, (pa) => k.port.writeTag(pa as never, 10 + i)),
    );
  }
  return () => {
    expect([parent.loadTag(at + 64), child.loadTag(at + 64)]).toEqual([10, 11]);
    expect([parent.loadTag(at + 32), child.loadTag(at + 32)]).toEqual([7, 7]);
    expect(Buffer.compare(child.load(at, PAGE)!, pattern(PAGE, 2))).toBe(0);
  };
};

/** Of a file of RAM: the copier's mapping is private and untagged, so nothing brings the tags to the page first. */
const privateCopyAgainstOwner: Race = (k, spawn) => {
  const [owner, copier] = [k.user(), k.user()];
  const file = k.memory.newFile({ name: 'memfd', size: PAGE });
  const map = (as: AddressSpace, prot: number, flags: number) =>
    k.run(k.memory.mmap(as, { addr: VA(0n), length: PAGE, prot, flags, file }));
  const shared = map(owner.as, RW | PROT_MTE, MAP_SHARED);
  const own = map(copier.as, RW, MAP_PRIVATE);
  owner.store(shared, pattern(PAGE, 2));
  owner.storeTag(shared + 32, 7);
  k.run(lruAddDrainAll(k.mm));
  k.run(migrateAway(k, k.mm.memmap.pfnToPage(owner.pfn(shared)!)!));
  spawn(
    'owner',
    access(k, owner.as, shared + 64, true, (pa) => k.port.writeTag(pa as never, 9)),
  );
  spawn(
    'copier',
    access(k, copier.as, own, true, (pa) => k.port.write8(pa as never, 1)),
  );
  return () => {
    copier.mprotect(own, 1, RW | PROT_MTE);
    expect([owner.loadTag(shared + 32), copier.loadTag(own + 32)]).toEqual([7, 7]);
    expect(owner.loadTag(shared + 64)).toBe(9);
    expect(Buffer.compare(owner.load(shared, PAGE)!, pattern(PAGE, 2))).toBe(0);
  };
};

describe('races', () => {
  it('reserve against the free of the last other page of the block', () => search(reserveAgainstFree));

  it('two threads turn the same page tagged at once: both see their tags', () => {
    search((k, spawn) => {
      const u = k.user();
      const at = u.mmap(1, RW);
      u.store(at, pattern(PAGE, 1));
      u.mprotect(at, 1, RW | PROT_MTE);
      for (const n of [1, 2]) {
        spawn(
          `thread ${n}`,
          access(k, u.as, at + n * 16, true, (pa) => k.port.writeTag((pa - (pa % 16)) as never, n)),
        );
      }
      return () => {
        expect([u.loadTag(at), u.loadTag(at + 16), u.loadTag(at + 32)]).toEqual([0, 1, 2]);
        expect(Buffer.compare(u.load(at, PAGE)!, pattern(PAGE, 1))).toBe(0);
      };
    });
  });

  it('R14: migration to an untagged page against mprotect(PROT_MTE) and a tag store', () =>
    search(migrationAgainstMprotect));

  it('R5, F9: tags come back from the stash while two address spaces look on', () =>
    search(restoreAgainstReaders));

  it('F25: copy-on-write of a page whose tags are stashed, against its owner: both keep the tags', () =>
    search(copyAgainstOwner));

  it('F25: a private copy of a page of a file, against its owner: both keep the tags', () =>
    search(privateCopyAgainstOwner));

  it('fork against migration of the pages it copies', () => {
    search((k, spawn) => {
      const parent = k.user();
      const at = parent.mmap(3, RW | PROT_MTE);
      for (let i = 0; i < 3; i++) {
        parent.store(at + i * PAGE, pattern(PAGE, i));
        parent.storeTag(at + i * PAGE, i + 1);
      }
      k.run(lruAddDrainAll(k.mm));
      let child: AddressSpace | number = -EAGAIN;
      spawn('migrate', migrateAway(k, k.mm.memmap.pfnToPage(parent.pfn(at + PAGE)!)!));
      spawn(
        'fork',
        (function* (): MaySleep<void> {
          child = yield* k.memory.cloneAddressSpace(parent.as);
        })(),
      );
      return () => {
        if (typeof child === 'number') throw new Error(`fork ${child}`);
        for (const u of [parent, k.user(child)]) {
          for (let i = 0; i < 3; i++) {
            expect(u.loadTag(at + i * PAGE)).toBe(i + 1);
            expect(Buffer.compare(u.load(at + i * PAGE, PAGE)!, pattern(PAGE, i))).toBe(0);
          }
        }
      };
    });
  });

  it('F23: a tagged page is freed by an interrupt while its CPU inserts a block', () => {
    const failure = searchSchedules((strategy) => {
      const k = boot({ tagPages: 64, pageblockOrder: 5, cpus: 1 });
      const pages = takeBlock(k);
      const scheduler = new Scheduler(k.contexts, strategy);
      scheduler.spawn(
        'task',
        (function* (): MaySleep<void> {
          for (let i = 0; i < 3; i++) yield* allocPages(k.mm, TAGGED, 5);
        })(),
        { cpu: 0 },
      );
      for (const page of pages) scheduler.spawn('irq', freePages(k.mm, page, 0), { cpu: 0, interrupt: true });
      return {
        scheduler,
        verify: () => {
          expect(k.contexts.boot.irqsOff).toBe(0);
          k.check();
        },
      };
    }, RUNS);
    expect(failure).toBeUndefined();
  });
});

/** Another CPU can look at what is half done. */
const HALF_DONE = racePoint('half done');

describe('what a race is about is found where it is not taken care of', () => {
  it('reserve against free: the count is read, then the block let go of', () => {
    expectFound(reserveAgainstFree, () =>
      vi.spyOn(TagBlocks.prototype, 'free').mockImplementation(function* (this: TagBlocks, page, order) {
        const { memmap } = this.mm;
        const pfn = memmap.pageToPfn(page);
        const [block] = folioBlocks(this.regions, pfn, order)!;
        const first = memmap.pfnToPage(block!.pfn)!;
        const left = memmap.refcount[first]! - block!.pages;
        yield HALF_DONE;
        memmap.refcount[first] = left;
        if (left > 1) return;
        this.reserved.delete(first);
        yield* this.manager.release({ ...block! });
      }),
    );
  });

  it('R5: the page is marked reserved before its tags are back', () => {
    expectFound(restoreAgainstReaders, () => {
      const { restoreAndMarkReserved } = TagStash.prototype;
      return vi.spyOn(TagStash.prototype, 'restoreAndMarkReserved').mockImplementation(function* (
        this: TagStash,
        page,
        order,
      ) {
        this.mm.memmap.set(page, PG_tag_storage_reserved);
        yield HALF_DONE;
        yield* restoreAndMarkReserved.call(this, page, order);
      });
    });
  });

  it('R14: tags are not copied to a page without its block', () => {
    expectFound(migrationAgainstMprotect, () => {
      const { copyTags } = TagStash.prototype;
      return vi.spyOn(TagStash.prototype, 'copyTags').mockImplementation(function* (
        this: TagStash,
        to,
        from,
        spare,
      ) {
        if (!this.mte.pageTagStorageReserved(to)) return 'unused';
        return yield* copyTags.call(this, to, from, spare);
      });
    });
  });

  it('F25: the stash moves with the copy', () => {
    expectFound(privateCopyAgainstOwner, () => {
      const { copyTags } = TagStash.prototype;
      return vi.spyOn(TagStash.prototype, 'copyTags').mockImplementation(function* (
        this: TagStash,
        to,
        from,
        spare,
      ) {
        const outcome = yield* copyTags.call(this, to, from, spare);
        if (outcome !== 'needed') yield* this.drop(from, 0);
        return outcome;
      });
    });
  });
});

/** Moves a page somewhere untagged, as compaction would. */
function* migrateAway(k: Fixture, page: Page): MaySleep<void> {
  if (!folioIsolateLru(k.mm, page)) return;
  const list = [page];
  yield* migratePages(k.mm, list, () => allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0));
  for (const left of list) yield* folioPutbackLru(k.mm, left);
}
