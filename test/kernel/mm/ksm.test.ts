/**
 * KSM: equal pages become one, and nobody can tell but by the counters. Every byte stays what it was through
 * writes, forks, migration, swap, protection and taking it back; what has tags is never merged.
 */
import { describe, expect, it } from 'vitest';
import { Pfn, VA } from '../../../src/base/index.js';
import type { MmStruct, Page, TagRegion } from '../../../src/kernel/mm/index.js';
import {
  allocContigRange,
  allocPages,
  FOLL_PIN,
  folioIsolateLru,
  folioPutbackLru,
  freePages,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  getUserPage,
  isKsmPage,
  ksmDoScan,
  lruAddDrainAll,
  MADV_COLLAPSE,
  MADV_HUGEPAGE,
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
  MIGRATE_CMA,
  migratePages,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  tryToFreePages,
  unpinUserPage,
} from '../../../src/kernel/mm/index.js';
import type { Fixture, FixtureOptions, User } from '../kernel-fixture.js';
import { boot, pattern } from '../kernel-fixture.js';

const PAGE = 4096;
const RW = PROT_READ | PROT_WRITE;
const BLOCK = 512;
const MTE = RW | PROT_MTE;

/** Without smart scan, so that one round more tells what has changed. */
function small(options: FixtureOptions = {}): Fixture {
  const k = boot({ tagPages: 64, pageblockOrder: 5, swapPages: 256, cpus: 2, ...options });
  k.mm.ksm.smartScan = false;
  return k;
}

/** Rounds of ksmd over everything, as long as there is something. */
function scan(k: Fixture, rounds = 3): void {
  const { ksm } = k.mm;
  const target = ksm.scan.seqnr + rounds;
  const done = () => ksm.scan.seqnr === target || ksm.slots.size === 0;
  for (let i = 0; i < 200 * rounds && !done(); i++) k.run(ksmDoScan(k.mm, 50));
  expect(done()).toBe(true);
  k.check();
}

/** Pages of contents `seeds`, in a mapping that may be merged. */
function mergeable(k: Fixture, user: User, seeds: readonly number[], prot = RW): number {
  const at = user.mmap(seeds.length, prot);
  for (const [i, seed] of seeds.entries()) expect(user.store(at + i * PAGE, pattern(PAGE, seed))).toBe(true);
  expect(user.madvise(at, seeds.length, MADV_MERGEABLE)).toBe(0);
  k.check();
  return at;
}

function expectContents(user: User, at: number, seeds: readonly number[]): void {
  for (const [i, seed] of seeds.entries()) {
    expect(Buffer.compare(user.load(at + i * PAGE, PAGE)!, pattern(PAGE, seed))).toBe(0);
  }
}

const counts = ({ mm: { ksm } }: Fixture) => ({
  shared: ksm.pagesShared,
  sharing: ksm.pagesSharing,
  unshared: ksm.pagesUnshared,
});

const pfns = (user: User, at: number, pages: number): number =>
  new Set([...Array(pages).keys()].map((i) => user.pfn(at + i * PAGE))).size;

const pageOf = (k: Fixture, user: User, addr: number): Page => k.mm.memmap.pfnToPage(user.pfn(addr)!)!;

function migrate(k: Fixture, page: Page): number {
  k.run(lruAddDrainAll(k.mm));
  expect(folioIsolateLru(k.mm, page)).toBe(true);
  const list = [page];
  const failed = k.run(migratePages(k.mm, list, () => allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0)));
  for (const left of list) k.run(folioPutbackLru(k.mm, left));
  return failed;
}

describe('merging', () => {
  it('equal pages become one, memory comes back, and a write takes a page of its own', () => {
    const k = small();
    const user = k.user();
    const seeds = [1, 1, 1, 2, 2, 3];
    const at = mergeable(k, user, seeds);
    const free = k.unused();
    scan(k);
    expect(counts(k)).toEqual({ shared: 2, sharing: 3, unshared: 1 });
    expect(pfns(user, at, 6)).toBe(3);
    // Three pages less, and slab pages for what ksmd remembers.
    expect(k.unused()).toBeGreaterThanOrEqual(free + 3 - 2);
    expect(user.as).toMatchObject({ ksmMergingPages: 5, ksmRmapItems: 6 });
    expectContents(user, at, seeds);
    expect(k.memory.smaps(user.as)[0]!.counts.ksm).toBe(5 * PAGE);

    expect(user.store(at, pattern(PAGE, 9))).toBe(true);
    k.check();
    expect(k.memory.vmstat()['cow_ksm']).toBe(1);
    expectContents(user, at, [9, 1, 1, 2, 2, 3]);
    scan(k);
    expect(counts(k)).toEqual({ shared: 2, sharing: 2, unshared: 2 });
    user.exit();
    scan(k, 1);
    expect(k.mm.ksm.rmapItems).toBe(0);
    expect(k.mm.ksm.nodes.size).toBe(0);
    expect(k.mm.ksm.slots.size).toBe(0);
    k.check();
  });

  it('pages of several processes, and of a child, are merged across them', () => {
    const k = small();
    const users = [k.user(), k.user(), k.user()];
    const places = users.map((user) => mergeable(k, user, [5, 6]));
    scan(k);
    expect(counts(k)).toEqual({ shared: 2, sharing: 4, unshared: 0 });
    const child = users[0]!.fork();
    k.check();
    expect(k.mm.ksm.slots.size).toBe(4);
    scan(k);
    expect(counts(k)).toEqual({ shared: 2, sharing: 6, unshared: 0 });
    child.store(places[0]!, pattern(PAGE, 7));
    expectContents(child, places[0]!, [7, 6]);
    for (const [i, user] of users.entries()) expectContents(user, places[i]!, [5, 6]);
    for (const user of [...users, child]) user.exit();
    scan(k, 1);
    expect(k.mm.ksm.nodes.size).toBe(0);
  });

  it('what changes from round to round is left alone', () => {
    const k = small();
    const user = k.user();
    const at = mergeable(k, user, [1, 1, 1]);
    for (let round = 0; round < 5; round++) {
      scan(k, 1);
      for (let i = 0; i < 3; i++) user.store(at + i * PAGE, pattern(PAGE, 100 + round));
    }
    expect(counts(k)).toEqual({ shared: 0, sharing: 0, unshared: 0 });
    expect(k.mm.ksm.pagesVolatile).toBe(3);
  });

  it('shared mappings take the advice and are not merged; a pin keeps a page apart', () => {
    const k = small();
    const user = k.user();
    const shared = user.mmap(2, RW, 0x21);
    for (const i of [0, 1]) user.store(shared + i * PAGE, pattern(PAGE, 1));
    expect(user.madvise(shared, 2, MADV_MERGEABLE)).toBe(0);
    expect(k.mm.ksm.slots.size).toBe(0);

    const at = mergeable(k, user, [1, 1, 1]);
    const pinned = k.run(getUserPage(k.mm, user.as as MmStruct, at + 2 * PAGE, FOLL_PIN)) as Page;
    scan(k);
    expect(counts(k)).toEqual({ shared: 1, sharing: 1, unshared: 0 });
    expect(isKsmPage(k.mm, pinned)).toBe(false);
    k.run(unpinUserPage(k.mm, pinned));
    scan(k);
    expect(counts(k)).toEqual({ shared: 1, sharing: 2, unshared: 0 });
    // A pin of a merged page, even for reading, gets a page of its own first.
    const again = k.run(getUserPage(k.mm, user.as as MmStruct, at, FOLL_PIN)) as Page;
    expect(isKsmPage(k.mm, again)).toBe(false);
    k.run(unpinUserPage(k.mm, again));
    expectContents(user, at, [1, 1, 1]);
  });

  it('no more mappings of one page than max_page_sharing: then another page, in a chain', () => {
    const k = small();
    expect(k.run(k.memory.ksmSet('max_page_sharing', 1))).toBe(-22);
    expect(k.run(k.memory.ksmSet('max_page_sharing', 3))).toBe(0);
    const user = k.user();
    const seeds = new Array<number>(8).fill(4);
    const at = mergeable(k, user, seeds);
    scan(k, 8);
    expect(pfns(user, at, 8)).toBe(3);
    expect(counts(k)).toEqual({ shared: 3, sharing: 5, unshared: 0 });
    expect([k.mm.ksm.chains, k.mm.ksm.dups]).toEqual([1, 3]);
    expectContents(user, at, seeds);
    expect(k.run(k.memory.ksmSet('max_page_sharing', 4))).toBe(-16);
    expect(k.run(k.memory.ksmSet('run', 2))).toBe(0);
    expect(k.run(k.memory.ksmSet('max_page_sharing', 4))).toBe(0);
    k.check();
  });

  it('a huge page is split to be merged', () => {
    const k = boot({ tagPages: 128, cpus: 1 });
    const user = k.user();
    const pages = 1024;
    const at = user.mmap(pages, RW);
    user.madvise(at, pages, MADV_HUGEPAGE);
    const huge = Math.ceil(at / (512 * PAGE)) * 512 * PAGE;
    for (const i of [0, 7, 300]) user.store(huge + i * PAGE, pattern(PAGE, 3));
    expect(k.mm.events.thp_fault_alloc).toBe(1);
    expect(user.madvise(huge, 512, MADV_MERGEABLE)).toBe(0);
    scan(k, 4);
    expect(k.mm.events.thp_split_page).toBe(1);
    // Three equal ones, and the zeros of all the others up to the limit of mappings.
    expect(k.mm.ksm.pagesSharing).toBe(512 - k.mm.ksm.pagesShared);
    for (const i of [0, 7, 300]) expectContents(user, huge + i * PAGE, [3]);
    user.exit();
    scan(k, 1);
  });
});

it('MADV_COLLAPSE makes a huge page of merged ones, which others keep', () => {
  const k = boot({ tagPages: 128, cpus: 1 });
  k.mm.ksm.smartScan = false;
  const [user, other] = [k.user(), k.user()];
  const area = user.mmap(1024, RW);
  const at = Math.ceil(area / (512 * PAGE)) * 512 * PAGE;
  const seeds = Array.from({ length: 512 }, (_, i) => 1 + (i % 300));
  for (const [i, seed] of seeds.entries()) user.store(at + i * PAGE, pattern(PAGE, seed));
  expect(user.madvise(at, 512, MADV_MERGEABLE)).toBe(0);
  const otherAt = mergeable(k, other, [1, 2, 3]);
  scan(k);
  expect(k.mm.ksm.pagesSharing).toBe(212 + 3);
  expect(user.madvise(at, 512, MADV_COLLAPSE)).toBe(0);
  k.check();
  expectContents(user, at, seeds);
  expectContents(other, otherAt, [1, 2, 3]);
  expect(k.memory.smaps(user.as).reduce((sum, { counts: each }) => sum + each.anonHugePages, 0)).toBe(
    512 * PAGE,
  );
  user.exit();
  scan(k, 1);
  expectContents(other, otherAt, [1, 2, 3]);
});

describe('taking it back', () => {
  it.each([
    [
      'MADV_UNMERGEABLE',
      (_: Fixture, user: User, at: number) => expect(user.madvise(at, 4, MADV_UNMERGEABLE)).toBe(0),
    ],
    ['run = 2', (k: Fixture) => expect(k.run(k.memory.ksmSet('run', 2))).toBe(0)],
    [
      'mremap',
      (k: Fixture, user: User, at: number) =>
        expect(
          k.run(k.memory.mremap(user.as, VA(BigInt(at)), 4 * PAGE, 4 * PAGE, 3, VA(BigInt(at - 64 * PAGE)))),
        ).toBe(at - 64 * PAGE),
    ],
  ] as const)('%s', (name, takeBack) => {
    const k = small();
    const user = k.user();
    const seeds = [1, 1, 2, 2];
    let at = mergeable(k, user, seeds);
    scan(k);
    expect(counts(k)).toEqual({ shared: 2, sharing: 2, unshared: 0 });
    takeBack(k, user, at);
    if (name === 'mremap') at -= 64 * PAGE;
    k.check();
    expect(pfns(user, at, 4)).toBe(4);
    expectContents(user, at, seeds);
    user.exit();
    if (name !== 'run = 2') scan(k, 1);
    expect(k.mm.ksm.rmapItems).toBe(0);
  });

  it('prctl(PR_SET_MEMORY_MERGE): all mappings, those to come, and those of a child', () => {
    const k = small();
    const user = k.user();
    const before = user.mmap(2, RW);
    for (const i of [0, 1]) user.store(before + i * PAGE, pattern(PAGE, 8));
    expect(k.run(k.memory.setMemoryMerge(user.as, true))).toBe(0);
    const after = user.mmap(2, RW);
    for (const i of [0, 1]) user.store(after + i * PAGE, pattern(PAGE, 8));
    const child = user.fork();
    expect(child.as.mergeAny).toBe(true);
    scan(k);
    expect(counts(k)).toEqual({ shared: 1, sharing: 7, unshared: 0 });
    expect(k.run(k.memory.setMemoryMerge(user.as, false))).toBe(0);
    k.check();
    expect(user.as.mergeAny).toBe(false);
    expectContents(user, before, [8, 8]);
    scan(k);
    expect(counts(k)).toEqual({ shared: 1, sharing: 3, unshared: 0 });
  });

  it('memory that is short ends it with -ENOMEM and loses nothing', () => {
    const k = small({ swapPages: 0 });
    const user = k.user();
    const at = mergeable(k, user, [1, 1, 1, 1]);
    scan(k);
    k.mm.shouldFail = (what) => what === 'page_alloc';
    expect(user.madvise(at, 4, MADV_UNMERGEABLE)).toBe(-12);
    expect(k.run(k.memory.ksmSet('run', 2))).toBe(-12);
    k.mm.shouldFail = () => false;
    expect(k.mm.ksm.run).toBe(0);
    k.check();
    expectContents(user, at, [1, 1, 1, 1]);
    expect(user.madvise(at, 4, MADV_UNMERGEABLE)).toBe(0);
    scan(k);
    expect(pfns(user, at, 4)).toBe(4);
    // Nothing to merge is left, so there is no round any more.
    expect(k.mm.ksm.slots.size).toBe(0);
  });
});

describe('merged pages move', () => {
  it('migration finds every mapping, those of a fork ksmd has not seen among them', () => {
    const k = small();
    const users = [k.user(), k.user()];
    const places = users.map((user) => mergeable(k, user, [5, 5]));
    scan(k);
    const child = users[0]!.fork();
    const page = pageOf(k, users[0]!, places[0]!);
    expect(k.mm.memmap.mapcount[page]).toBe(6);
    expect(migrate(k, page)).toBe(0);
    k.check();
    const moved = pageOf(k, users[0]!, places[0]!);
    expect(moved).not.toBe(page);
    expect(isKsmPage(k.mm, moved)).toBe(true);
    for (const [user, at] of [
      [users[0]!, places[0]!],
      [users[1]!, places[1]!],
      [child, places[0]!],
    ] as const) {
      expectContents(user, at, [5, 5]);
      expect(pageOf(k, user, at)).toBe(moved);
    }
    scan(k);
    expect(counts(k)).toEqual({ shared: 1, sharing: 5, unshared: 0 });
  });

  it('swap: the first one back is an ordinary page, the others get copies, and ksmd merges them again', () => {
    const k = small();
    const users = [k.user(), k.user()];
    const places = users.map((user) => mergeable(k, user, [5, 6, 5]));
    scan(k);
    expect(counts(k)).toEqual({ shared: 2, sharing: 4, unshared: 0 });
    for (let round = 0; round < 100 && k.mm.ksm.pagesSharing > 0; round++) {
      k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
      scan(k, 1);
    }
    const swapped = () => users.reduce((n, user) => n + (user.as as MmStruct).swapEntries, 0);
    expect(swapped()).toBe(6);
    k.check();
    for (const [i, user] of users.entries()) {
      expectContents(user, places[i]!, [5, 6, 5]);
      k.check();
    }
    expect(swapped()).toBe(0);
    expect(k.memory.vmstat()['ksm_swpin_copy']).toBe(4);
    scan(k);
    expect(counts(k)).toEqual({ shared: 2, sharing: 4, unshared: 0 });
    for (const user of users) user.exit();
    scan(k, 1);
    expect(k.memory.meminfo()['SwapFree']).toBe(k.memory.meminfo()['SwapTotal']);
  });
});

describe('tags', () => {
  it('pages that have tags are not merged, with each other or others, whatever their data', () => {
    const k = small();
    const user = k.user();
    const tagged = mergeable(k, user, [1, 1, 1], MTE);
    for (let i = 0; i < 3; i++) user.storeTag(tagged + i * PAGE + 32, 5);
    const plain = mergeable(k, user, [1, 1]);
    scan(k, 4);
    expect(counts(k)).toEqual({ shared: 1, sharing: 1, unshared: 3 });
    for (let i = 0; i < 3; i++) expect(user.loadTag(tagged + i * PAGE + 32)).toBe(5);
    expectContents(user, plain, [1, 1]);
  });

  it('swap: copies for a mapping that has become tagged take back the tag storage that the others are in', () => {
    const k = small({ tagPages: 1536, blockSizePages: BLOCK, pageblockOrder: 9 });
    const [plain, other] = [k.user(), k.user()];
    const seeds = [...Array(200).keys()];
    const [at, there] = [mergeable(k, plain, seeds), mergeable(k, other, seeds)];
    scan(k);
    expect(counts(k)).toEqual({ shared: 200, sharing: 200, unshared: 0 });
    for (let round = 0; round < 400 && k.mm.ksm.pagesSharing > 0; round++) {
      k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
    }
    scan(k, 1);
    const swapped = (user: User) => (user.as as MmStruct).swapEntries;
    expect([swapped(plain), swapped(other)]).toEqual([200, 200]);
    expect(other.mprotect(there, 200, MTE)).toBe(0);
    // What comes back for the plain mapping finds room in tag storage only.
    const held: [Page, number][] = [];
    for (const order of [10, 6, 3, 0]) {
      for (;;) {
        const page = k.run(allocPages(k.mm, GFP_KERNEL, order));
        if (page === undefined) break;
        held.push([page, order]);
      }
    }
    const spare = held.filter(([, order]) => order === 3).slice(0, 2);
    for (const [page, order] of spare) k.run(freePages(k.mm, page, order));
    expectContents(plain, at, seeds);
    const [{ memStartPfn, tagStartPfn }] = k.regions as [TagRegion];
    const blocks = seeds.map((i) => Math.floor((plain.pfn(at + i * PAGE)! - tagStartPfn) / BLOCK));
    const block = Math.max(...blocks);
    expect(blocks.filter((each) => each === block).length).toBeGreaterThan(20);
    // The copies come out of memory whose tags that block has.
    const near = held.filter(
      ([page]) => Math.floor((k.mm.memmap.pageToPfn(page) - memStartPfn) / (32 * BLOCK)) === block,
    );
    for (const [page, order] of near) k.run(freePages(k.mm, page, order));
    // The first copy takes the block, so it is to be of a page in it.
    const first = blocks.indexOf(block);
    expectContents(other, there + first * PAGE, [first]);
    expectContents(other, there, seeds);
    const rest = held.filter((each) => !spare.includes(each) && !near.includes(each));
    for (const [page, order] of rest) k.run(freePages(k.mm, page, order));
    for (const i of seeds) expect(other.storeTag(there + i * PAGE, 1 + (i % 15))).toBe(true);
    expectContents(plain, at, seeds);
    for (const i of seeds) expect(other.loadTag(there + i * PAGE)).toBe(1 + (i % 15));
    expect(k.memory.vmstat()['ksm_swpin_copy']).toBe(200);
    k.check();
  });

  it('a merged page in a mapping that becomes tagged: tag 0, and a tag stored is one mapping’s alone', () => {
    const k = small();
    const user = k.user();
    const at = mergeable(k, user, [1, 1, 1, 1]);
    scan(k);
    expect(counts(k)).toEqual({ shared: 1, sharing: 3, unshared: 0 });
    expect(user.mprotect(at + PAGE, 2, MTE)).toBe(0);
    k.check();
    expect(user.loadTag(at + PAGE + 64)).toBe(0);
    k.check();
    expect(user.storeTag(at + PAGE + 64, 7)).toBe(true);
    k.check();
    expect(user.loadTag(at + PAGE + 64)).toBe(7);
    expect(user.loadTag(at + 2 * PAGE + 64)).toBe(0);
    expectContents(user, at, [1, 1, 1, 1]);
    scan(k, 4);
    expect(user.loadTag(at + PAGE + 64)).toBe(7);
    expect(user.madvise(at, 4, MADV_UNMERGEABLE)).toBe(0);
    k.check();
    expectContents(user, at, [1, 1, 1, 1]);
    expect(user.loadTag(at + PAGE + 64)).toBe(7);
  });

  it('a merged page that lies in tag storage leaves it, for all its mappings, when one of them is tagged', () => {
    const k = small();
    const [user, other] = [k.user(), k.user()];
    const at = mergeable(k, user, [1, 1]);
    const otherAt = mergeable(k, other, [1, 1]);
    scan(k);
    const { tagStartPfn } = k.regions[0]!;
    const lent = k.mm.memmap.pfnToPage(tagStartPfn + 20)!;
    expect(k.run(allocContigRange(k.mm, lent, lent + 1, MIGRATE_CMA))).toBe(0);
    k.run(lruAddDrainAll(k.mm));
    const page = pageOf(k, user, at);
    expect(folioIsolateLru(k.mm, page)).toBe(true);
    const toLent = function* () {
      yield* [];
      return lent;
    };
    expect(k.run(migratePages(k.mm, [page], toLent))).toBe(0);
    expect(pageOf(k, other, otherAt)).toBe(lent);
    k.check();
    expect(user.mprotect(at, 1, MTE)).toBe(0);
    k.check();
    expect(user.loadTag(at)).toBe(0);
    k.check();
    expect(pageOf(k, user, at)).not.toBe(lent);
    expect(pageOf(k, user, at)).toBe(pageOf(k, other, otherAt));
    expect(isKsmPage(k.mm, pageOf(k, user, at))).toBe(true);
    expectContents(user, at, [1, 1]);
    expectContents(other, otherAt, [1, 1]);
    // The frame is free for tags again: a block is taken there.
    expect(k.memory.ownerOfTagPage(Pfn(tagStartPfn + 20)).kind).toBe('free');
  });

  it.each([true, false])('use_zero_pages, with MTE %s', (mte) => {
    const k = small({ mte });
    k.mm.ksm.useZeroPages = true;
    const user = k.user();
    const at = user.mmap(3, RW);
    for (let i = 0; i < 3; i++) user.store(at + i * PAGE, new Uint8Array(PAGE));
    user.madvise(at, 3, MADV_MERGEABLE);
    scan(k, 3);
    expect(k.mm.ksm.zeroPages).toBe(3);
    expect(k.mm.ksm.pagesSharing).toBe(0);
    expect(user.as.residentPages).toBe(0);
    const child = user.fork();
    k.check();
    child.store(at, pattern(PAGE, 1));
    expectContents(child, at, [1]);
    expect(user.load(at, PAGE)!.every((byte) => byte === 0)).toBe(true);
    k.check();
    expect(user.madvise(at, 3, MADV_UNMERGEABLE)).toBe(0);
    k.check();
    expect(user.as.residentPages).toBe(3);
    for (const each of [user, child]) each.exit();
    expect(k.mm.ksm.zeroPages).toBe(0);
  });
});
