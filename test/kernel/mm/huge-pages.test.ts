/**
 * Transparent huge pages of anonymous memory: every byte and tag stays what it was while huge entries come, go,
 * are split, copied, moved, migrated and swapped out; and the counters of Linux say so.
 */
import { describe, expect, it } from 'vitest';
import { VA } from '../../../src/base/index.js';
import type { MmStruct, Page } from '../../../src/kernel/mm/index.js';
import {
  __GFP_DIRECT_RECLAIM,
  allocPages,
  FOLL_PIN,
  FOLL_WRITE,
  folioIsolateLru,
  folioPutbackLru,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  getUserPage,
  lruAddDrainAll,
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  migratePages,
  PG_head,
  PG_tag_storage_reserved,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  putPage,
  splitFolioUnlocked,
  tryToFreePages,
  unpinUserPage,
} from '../../../src/kernel/mm/index.js';
import type { Fixture, User } from '../kernel-fixture.js';
import { boot } from '../kernel-fixture.js';

const PAGE = 4096;
const HUGE = 512;
const RW = PROT_READ | PROT_WRITE;
const MTE = RW | PROT_MTE;

/** A mapping in which exactly `blocks` huge pages fit, asked for with MADV_HUGEPAGE; its first whole block. */
function hugeArea(user: User, blocks: number, prot: number): number {
  const addr = user.mmap((blocks + 1) * HUGE, prot);
  expect(user.madvise(addr, (blocks + 1) * HUGE, MADV_HUGEPAGE)).toBe(0);
  return Math.ceil(addr / (HUGE * PAGE)) * HUGE * PAGE;
}

const isHead = (k: Fixture, user: User, addr: number): boolean =>
  k.mm.memmap.test(k.mm.memmap.pfnToPage(user.pfn(addr)!)!, PG_head);

/** A word of its own, and where it is tagged a tag, in every 16th page of a block. */
function fill(user: User, addr: number, seed: number, tagged: boolean): void {
  for (let i = 0; i < HUGE; i += 16) {
    const at = addr + i * PAGE;
    expect(user.store(at + 64, Uint8Array.of(seed, i & 255, i >> 8, 77))).toBe(true);
    if (tagged) user.storeTag(at + 64, 1 + ((i / 16 + seed) % 15));
  }
}

function verify(user: User, addr: number, seed: number, tagged: boolean, first = 0, end = HUGE): void {
  for (let i = first; i < end; i += 16) {
    const at = addr + i * PAGE;
    expect(user.load(at + 64, 4)).toEqual(Uint8Array.of(seed, i & 255, i >> 8, 77));
    if (tagged) expect(user.loadTag(at + 64)).toBe(1 + ((i / 16 + seed) % 15));
  }
}

function done(k: Fixture, free: number, ...users: User[]): void {
  for (const user of users) user.exit();
  k.run(lruAddDrainAll(k.mm));
  k.check();
  expect(k.unused()).toBe(free);
}

describe.each([
  ['untagged', RW, false],
  ['tagged', MTE, true],
] as const)('%s memory', (_name, prot, tagged) => {
  const start = (options = {}) => {
    const k = boot(options);
    const free = k.unused();
    return { k, free, user: k.user() };
  };

  it('one fault maps 512 pages; without MADV_HUGEPAGE one', () => {
    const { k, free, user } = start();
    const small = user.mmap(2 * HUGE, prot);
    user.store(small, Uint8Array.of(1));
    expect(k.mm.events.thp_fault_alloc).toBe(0);
    const at = hugeArea(user, 1, prot);
    expect(user.faults(at + 5 * PAGE, true)).toBe(1);
    expect(user.faults(at + 500 * PAGE, true)).toBe(0);
    fill(user, at, 1, tagged);
    verify(user, at, 1, tagged);
    k.check();
    expect(k.memory.vmstat()).toMatchObject({ thp_fault_alloc: 1, nr_anon_transparent_hugepages: 1 });
    expect(user.as.residentPages).toBe(HUGE + 1);
    expect(user.madvise(at, HUGE, MADV_NOHUGEPAGE)).toBe(0);
    expect(user.madvise(at, HUGE, MADV_DONTNEED)).toBe(0);
    expect(user.as.residentPages).toBe(1);
    k.check();
    user.store(at, Uint8Array.of(1));
    expect(k.mm.events.thp_fault_alloc).toBe(1);
    done(k, free, user);
  });

  it('a read maps the huge zero page, which a write takes apart, and which goes with its last user', () => {
    const { k, free, user } = start();
    const at = hugeArea(user, 1, prot);
    expect(user.faults(at + 7 * PAGE, false)).toBe(1);
    expect(user.faults(at + 70 * PAGE, false)).toBe(0);
    expect(user.loadTag(at)).toBe(0);
    expect(k.mm.events.thp_zero_page_alloc).toBe(1);
    k.check();
    const child = user.fork();
    user.store(at + PAGE, Uint8Array.of(9));
    expect(user.load(at, 1)).toEqual(Uint8Array.of(0));
    expect(child.load(at + PAGE, 1)).toEqual(Uint8Array.of(0));
    k.check();
    done(k, free, user, child);
    expect(k.mm.hugeZeroPage).toBeUndefined();
  });

  it('parts of a block are unmapped, protected, moved: its pages are mapped one by one, and nothing is lost', () => {
    const { k, free, user } = start();
    const at = hugeArea(user, 3, prot);
    for (let b = 0; b < 3; b++) fill(user, at + b * HUGE * PAGE, b, tagged);
    expect(user.munmap(at + 256 * PAGE, 256)).toBe(0);
    k.check();
    expect(k.mm.events).toMatchObject({ thp_split_pmd: 1, thp_deferred_split_page: 1 });
    expect(user.mprotect(at + HUGE * PAGE + 16 * PAGE, 32, prot & ~PROT_WRITE)).toBe(0);
    k.check();
    expect(user.store(at + HUGE * PAGE + 20 * PAGE, Uint8Array.of(1))).toBe(false);
    const third = at + 2 * HUGE * PAGE;
    const moved = k.run(
      k.memory.mremap(user.as, VA(BigInt(third + 128 * PAGE)), 128 * PAGE, 256 * PAGE, 1, VA(0n)),
    );
    expect(moved).toBeGreaterThan(0);
    k.check();
    verify(user, at, 0, tagged, 0, 256);
    verify(user, at + HUGE * PAGE, 1, tagged);
    verify(user, third, 2, tagged, 0, 128);
    verify(user, third, 2, tagged, 256);
    expect(user.load(moved + 64, 4)).toEqual(Uint8Array.of(2, 128, 0, 77));
    // Under pressure the part that nobody maps comes back.
    expect(k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2))).toBeGreaterThanOrEqual(256);
    k.check();
    verify(user, at, 0, tagged, 0, 256);
    done(k, free, user);
  });

  it('a whole block moves as one', () => {
    const { k, free, user } = start();
    const at = hugeArea(user, 1, prot);
    fill(user, at, 4, tagged);
    const target = hugeArea(user, 1, prot);
    const result = k.run(
      k.memory.mremap(user.as, VA(BigInt(at)), HUGE * PAGE, HUGE * PAGE, 3, VA(BigInt(target))),
    );
    expect(result).toBe(target);
    expect(k.mm.events.thp_split_pmd).toBe(0);
    k.check();
    verify(user, target, 4, tagged);
    done(k, free, user);
  });

  it('fork shares the block; a write copies one page of it; a pinned block is copied at once', () => {
    const { k, free, user } = start();
    const at = hugeArea(user, 2, prot);
    fill(user, at, 1, tagged);
    const child = user.fork();
    k.check();
    child.store(at + 64, Uint8Array.of(5));
    k.check();
    verify(user, at, 1, tagged);
    verify(child, at, 1, tagged, 16);
    expect(child.load(at + 64, 1)).toEqual(Uint8Array.of(5));
    const other = at + HUGE * PAGE;
    fill(user, other, 2, tagged);
    const page = k.run(getUserPage(k.mm, user.as as MmStruct, other + 3 * PAGE, FOLL_PIN | FOLL_WRITE));
    expect(page).toBeGreaterThan(0);
    const pfn = user.pfn(other + 3 * PAGE);
    const second = user.fork();
    k.check();
    user.store(other + 3 * PAGE, Uint8Array.of(6));
    expect(user.pfn(other + 3 * PAGE)).toBe(pfn);
    verify(second, other, 2, tagged);
    k.run(unpinUserPage(k.mm, page as Page));
    child.exit();
    // Alone again with the first block: the rest of it is written without copies.
    user.store(at + 64, Uint8Array.of(1));
    done(k, free, user, second);
  });

  it('migrates as one where there is room, in pieces where there is not', () => {
    const { k, free, user } = start();
    const at = hugeArea(user, 1, prot);
    fill(user, at, 3, tagged);
    for (const order of [9, 0]) {
      k.run(lruAddDrainAll(k.mm));
      const from = user.pfn(at)!;
      const list = [k.mm.memmap.pfnToPage(from)!];
      expect(folioIsolateLru(k.mm, list[0]!)).toBe(true);
      const flags = GFP_HIGHUSER_MOVABLE | (order > 0 ? 0x40000 : 0);
      expect(k.run(migratePages(k.mm, list, () => allocPages(k.mm, flags, order)))).toBe(0);
      for (const left of list) k.run(folioPutbackLru(k.mm, left));
      k.check();
      verify(user, at, 3, tagged);
      expect(user.pfn(at)).not.toBe(from);
      expect(isHead(k, user, at)).toBe(order === 9);
    }
    expect(k.memory.vmstat()).toMatchObject({ thp_migration_success: 1, thp_migration_split: 1 });
    done(k, free, user);
  });

  it('is split and swapped out, page by page', () => {
    const { k, free, user } = start({ swapPages: 1024 });
    const at = hugeArea(user, 1, prot);
    fill(user, at, 6, tagged);
    for (let i = 0; i < 60 && k.mm.events.pswpout < HUGE; i++) {
      k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
    }
    k.check();
    expect(k.mm.events).toMatchObject({ thp_split_page: 1, pswpout: HUGE });
    verify(user, at, 6, tagged);
    k.check();
    done(k, free, user);
  });

  it('a move that is short of tables reclaims a huge page of the same mapping', () => {
    const { k, free, user } = start({ tagPages: 128, pageblockOrder: 5, swapPages: 4096 });
    const at = hugeArea(user, 2, prot);
    fill(user, at, 5, tagged);
    const small = at + HUGE * PAGE;
    k.mm.shouldFail = (what) => what === 'thp_alloc';
    user.store(small + 64, Uint8Array.of(42));
    k.mm.shouldFail = () => false;
    k.run(lruAddDrainAll(k.mm));
    const held: Page[] = [];
    const light = GFP_KERNEL & ~__GFP_DIRECT_RECLAIM;
    for (let page = k.run(allocPages(k.mm, light, 0)); page !== undefined; ) {
      held.push(page);
      page = k.run(allocPages(k.mm, light, 0));
    }
    const target = at - 4096 * HUGE * PAGE;
    const moved = k.run(k.memory.mremap(user.as, VA(BigInt(small)), PAGE, PAGE, 3, VA(BigInt(target))));
    for (const page of held) k.run(putPage(k.mm, page));
    expect(moved).toBe(target);
    expect(k.mm.events.thp_split_page).toBe(1);
    k.check();
    expect(user.load(target + 64, 1)).toEqual(Uint8Array.of(42));
    verify(user, at, 5, tagged);
    done(k, free, user);
  });

  it('every failure on the way to a huge page ends in small ones, or in a folio that is as it was', () => {
    for (const kind of ['thp_alloc', 'page_alloc', 'split_folio', 'slab', 'xa_store', 'migrate']) {
      for (let n = 1; n <= 8; n++) {
        const { k, free, user } = start();
        const at = hugeArea(user, 1, prot);
        let left = n;
        k.mm.shouldFail = (what) => what === kind && --left === 0;
        for (let i = 0; i < HUGE; i += 16) while (!user.store(at + i * PAGE, Uint8Array.of(i)));
        k.mm.shouldFail = () => false;
        fill(user, at, 2, tagged);
        left = n;
        k.mm.shouldFail = (what) => what === kind && --left === 0;
        const head = k.mm.memmap.head(k.mm.memmap.pfnToPage(user.pfn(at)!)!);
        k.run(splitFolioUnlocked(k.mm, head));
        k.mm.shouldFail = () => false;
        k.check();
        verify(user, at, 2, tagged);
        done(k, free, user);
      }
    }
  });
});

describe('tag storage and huge pages', () => {
  it.each([1, 2, 3, 4, 6, 8])('a block of %i pages: exactly the blocks of 512 pages are held', (b) => {
    const tagPages = b % 3 === 0 ? 1536 : 512;
    const k = boot({ blockSizePages: b, tagPages });
    expect(k.memory.snapshotTagStorage().enabled).toBe(true);
    const before = k.memory.snapshotTagStorage().tags;
    const user = k.user();
    const at = hugeArea(user, 1, MTE);
    user.storeTag(at, 3);
    const first = k.mm.memmap.pageToPfn(k.mm.memmap.pfnToPage(user.pfn(at)!)!) - k.regions[0]!.memStartPfn;
    const blocks = Math.floor((first + HUGE - 1) / (32 * b)) - Math.floor(first / (32 * b)) + 1;
    const zeroBlocks = before / b;
    expect(k.memory.snapshotTagStorage().tags / b - zeroBlocks).toBeLessThanOrEqual(blocks);
    expect(k.memory.snapshotTagStorage().tags / b - zeroBlocks).toBeGreaterThanOrEqual(blocks - 1);
    k.check();
    user.munmap(at + 100 * PAGE, 1);
    k.check();
    user.exit();
    k.run(lruAddDrainAll(k.mm));
    k.check();
    expect(k.memory.snapshotTagStorage().tags).toBe(before);
  });

  it('a block mapped before mprotect(PROT_MTE) gets its tag storage at the first access, as one', () => {
    const k = boot();
    const user = k.user();
    const at = hugeArea(user, 1, RW);
    fill(user, at, 1, false);
    expect(user.mprotect(at, HUGE, MTE)).toBe(0);
    expect(user.pfn(at)).toBeUndefined();
    k.check();
    user.storeTag(at + 7 * PAGE, 9);
    expect(isHead(k, user, at)).toBe(true);
    expect(k.mm.events.thp_split_pmd).toBe(0);
    expect(
      k.mm.memmap.test(k.mm.memmap.pfnToPage(user.pfn(at + 400 * PAGE)!)!, PG_tag_storage_reserved),
    ).toBe(true);
    k.check();
    expect(user.loadTag(at + 7 * PAGE)).toBe(9);
    verify(user, at, 1, false);
  });

  it('the huge zero page never lacks its tag blocks in a tagged mapping, and small pages serve where it would', () => {
    const k = boot();
    const user = k.user();
    const at = hugeArea(user, 2, MTE);
    k.mm.shouldFail = (what) => what === 'reserve_tag_storage';
    expect(user.loadTag(at)).toBe(0);
    expect(k.mm.hugeZeroPage).toBeDefined();
    k.mm.shouldFail = () => false;
    k.check();
    expect(user.faults(at + HUGE * PAGE, false)).toBe(1);
    expect(user.loadTag(at + HUGE * PAGE + PAGE)).toBe(0);
    k.check();
  });
});
