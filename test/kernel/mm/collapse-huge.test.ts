/**
 * Collapse of anonymous memory into huge pages: by MADV_COLLAPSE and by khugepaged. Every byte and tag stays
 * what it was, Linux's limits and error numbers hold, and a collapse that fails leaves everything as it was.
 */
import { describe, expect, it } from 'vitest';
import { VA } from '../../../src/base/index.js';
import type { MmStruct, Page } from '../../../src/kernel/mm/index.js';
import {
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
  MADV_NOHUGEPAGE,
  PG_head,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  tryToFreePages,
  unpinUserPage,
} from '../../../src/kernel/mm/index.js';
import type { Fixture, FixtureOptions, User } from '../kernel-fixture.js';
import { boot } from '../kernel-fixture.js';

const PAGE = 4096;
const HUGE = 512;
const BLOCK = HUGE * PAGE;
const RW = PROT_READ | PROT_WRITE;
const MTE = RW | PROT_MTE;
const EAGAIN = -11;
const EINVAL = -22;
const ENOMEM = -12;

/** A mapping of exactly `blocks` whole blocks. */
function area(user: User, blocks: number, prot: number): number {
  const addr = user.mmap((blocks + 1) * HUGE, prot);
  const at = Math.ceil(addr / BLOCK) * BLOCK;
  if (at > addr) user.munmap(addr, (at - addr) / PAGE);
  user.munmap(at + blocks * BLOCK, HUGE - (at - addr) / PAGE);
  return at;
}

/** A word of its own, and where it is tagged a tag, in every `step`th page of a block. */
function fill(user: User, at: number, seed: number, step: number, tagged: boolean): void {
  for (let i = 0; i < HUGE; i += step) {
    const addr = at + i * PAGE + 64;
    expect(user.store(addr, Uint8Array.of(seed, i & 255, i >> 8, 77))).toBe(true);
    if (tagged) user.storeTag(addr, 1 + ((i + seed) % 15));
  }
}

function verify(user: User, at: number, seed: number, step: number, tagged: boolean): void {
  for (let i = 0; i < HUGE; i++) {
    const addr = at + i * PAGE + 64;
    const there = i % step === 0;
    expect(user.load(addr, 4)).toEqual(
      there ? Uint8Array.of(seed, i & 255, i >> 8, 77) : Uint8Array.of(0, 0, 0, 0),
    );
    if (tagged) expect(user.loadTag(addr)).toBe(there ? 1 + ((i + seed) % 15) : 0);
  }
}

const isHuge = (k: Fixture, user: User, at: number): boolean => {
  const pte = k.memory.smaps(user.as).find(({ vma }) => vma.start <= BigInt(at) && vma.end > BigInt(at));
  const pfn = user.pfn(at);
  return (
    (pte?.counts.anonHugePages ?? 0) > 0 &&
    pfn !== undefined &&
    k.mm.memmap.test(k.mm.memmap.pfnToPage(pfn)!, PG_head)
  );
};

function done(k: Fixture, free: number, ...users: User[]): void {
  for (const user of users) user.exit();
  k.run(lruAddDrainAll(k.mm));
  k.check();
  expect(k.unused()).toBe(free);
}

function start(options: FixtureOptions = {}) {
  const k = boot({ tagPages: 128, pageblockOrder: 5, ...options });
  const free = k.unused();
  return { k, free, user: k.user() };
}

describe.each([
  ['untagged, tag storage lent', RW, false, 'cma'],
  ['tagged, tag storage static', MTE, true, 'static'],
] as const)('MADV_COLLAPSE: %s', (_name, prot, tagged, policy) => {
  it.each([1, 7, 64, 511])('every %ith page is there before, one entry maps them all afterwards', (step) => {
    const { k, free, user } = start({ policy });
    const at = area(user, 1, prot);
    fill(user, at, 3, step, tagged);
    user.load(at + 5 * PAGE, 1);
    k.tlb.length = 0;
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(0);
    // Nobody may use the old entries while the pages are copied.
    const flushed = `0x${at.toString(16)}-0x${(at + BLOCK).toString(16)}`;
    expect(k.tlb[0]).toBe(`range ${user.as.asid} ${flushed}`);
    k.check();
    expect(isHuge(k, user, at)).toBe(true);
    verify(user, at, 3, step, tagged);
    expect(k.memory.vmstat()).toMatchObject({
      thp_collapse_alloc: 1,
      thp_collapse_alloc_failed: 0,
      nr_anon_transparent_hugepages: 1,
      nr_anon_pages: HUGE,
    });
    expect(k.memory.meminfo()['AnonHugePages']).toBe(2048);
    expect(user.as.residentPages).toBe(HUGE);
    // As any other huge page from here on: written, split, collapsed again.
    user.store(at + 9 * PAGE, Uint8Array.of(42));
    expect(user.mprotect(at + 16 * PAGE, 16, prot & ~PROT_WRITE)).toBe(0);
    expect(user.mprotect(at + 16 * PAGE, 16, prot)).toBe(0);
    k.check();
    expect(isHuge(k, user, at)).toBe(false);
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(0);
    k.check();
    expect(user.load(at + 9 * PAGE, 1)).toEqual(Uint8Array.of(42));
    user.store(at + 9 * PAGE, Uint8Array.of(0));
    verify(user, at, 3, step, tagged);
    done(k, free, user);
  });

  it('brings in what is on the swap device', () => {
    const { k, free, user } = start({ policy, swapPages: 1024 });
    const at = area(user, 1, prot);
    fill(user, at, 5, 1, tagged);
    for (let i = 0; i < 60 && k.mm.events.pswpout < 200; i++) {
      k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
    }
    expect(k.mm.events.pswpout).toBeGreaterThanOrEqual(200);
    // Something of it must be writable: clean pages that came back are not.
    user.store(at + 64, Uint8Array.of(5));
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(0);
    k.check();
    expect(isHuge(k, user, at)).toBe(true);
    verify(user, at, 5, 1, tagged);
    done(k, free, user);
    expect(k.memory.meminfo()['SwapFree']).toBe(4096);
  });

  it('copies what a fork shares, and leaves the other process its own', () => {
    const { k, free, user } = start({ policy });
    const at = area(user, 1, prot);
    fill(user, at, 2, 4, tagged);
    const child = user.fork();
    // All read-only now: nothing to gain (SCAN_PAGE_RO).
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(EINVAL);
    user.store(at + 64, Uint8Array.of(2));
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(0);
    k.check();
    expect(isHuge(k, user, at)).toBe(true);
    user.store(at + 4 * PAGE, Uint8Array.of(99));
    expect(child.load(at + 4 * PAGE, 1)).toEqual(Uint8Array.of(0));
    verify(child, at, 2, 4, tagged);
    user.store(at + 4 * PAGE, Uint8Array.of(0));
    verify(user, at, 2, 4, tagged);
    done(k, free, user, child);
  });

  it('whatever fails on the way, the pages are as they were', () => {
    for (const kind of [
      'thp_collapse_alloc',
      'page_alloc',
      'collapse_isolate',
      'swap_read',
      'slab',
      'collapse_control',
    ]) {
      for (let n = 1; n <= 40; n = n < 6 ? n + 1 : n + 11) {
        const { k, free, user } = start({ policy, swapPages: 600 });
        const at = area(user, 1, prot);
        fill(user, at, 6, 16, tagged);
        k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
        user.store(at + 64, Uint8Array.of(6));
        k.run(lruAddDrainAll(k.mm));
        let left = n;
        k.mm.shouldFail = (what) => what === kind && --left === 0;
        const result = user.madvise(at, HUGE, MADV_COLLAPSE);
        k.mm.shouldFail = () => false;
        k.check();
        if (left > 0) expect(result).toBe(0);
        verify(user, at, 6, 16, tagged);
        k.check();
        done(k, free, user);
        if (left > 0) break;
      }
    }
  });
});

describe('the error numbers of MADV_COLLAPSE', () => {
  it('of ranges: holes, parts of blocks, mappings that may not', () => {
    const { k, free, user } = start();
    const at = area(user, 2, RW);
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(EINVAL);
    fill(user, at, 1, 8, false);
    // Less than a block of it is asked for.
    expect(user.madvise(at + PAGE, HUGE - 1, MADV_COLLAPSE)).toBe(0);
    expect(user.madvise(at + PAGE, 2, MADV_COLLAPSE)).toBe(EINVAL);
    expect(isHuge(k, user, at)).toBe(false);
    // The second block has no page table, so that not all is done.
    expect(user.madvise(at, 2 * HUGE, MADV_COLLAPSE)).toBe(EINVAL);
    expect(isHuge(k, user, at)).toBe(true);
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(0);
    fill(user, at + BLOCK, 1, 8, false);
    expect(user.madvise(at, 2 * HUGE, MADV_COLLAPSE)).toBe(0);
    expect(user.munmap(at + BLOCK, HUGE)).toBe(0);
    expect(user.madvise(at, 2 * HUGE, MADV_COLLAPSE)).toBe(ENOMEM);
    expect(user.madvise(at, HUGE, MADV_NOHUGEPAGE)).toBe(0);
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(EINVAL);
    done(k, free, user);
  });

  it('of pages: pinned and isolated ones are asked for again, no memory is no memory', () => {
    const { k, free, user } = start();
    const at = area(user, 1, RW);
    fill(user, at, 1, 8, false);
    const page = k.run(getUserPage(k.mm, user.as as MmStruct, at + 8 * PAGE, FOLL_PIN | FOLL_WRITE)) as Page;
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(EAGAIN);
    k.run(unpinUserPage(k.mm, page));
    expect(folioIsolateLru(k.mm, page)).toBe(true);
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(EAGAIN);
    k.run(folioPutbackLru(k.mm, page));
    k.mm.shouldFail = (what) => what === 'thp_collapse_alloc';
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(ENOMEM);
    k.mm.shouldFail = () => false;
    expect(k.memory.vmstat()).toMatchObject({ thp_collapse_alloc: 0, thp_collapse_alloc_failed: 1 });
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(0);
    verify(user, at, 1, 8, false);
    done(k, free, user);
  });

  it('`never` does not keep a program from asking', () => {
    const { k, free, user } = start();
    k.mm.thp.enabled = 'never';
    const at = area(user, 1, RW);
    fill(user, at, 1, 8, false);
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(0);
    expect(isHuge(k, user, at)).toBe(true);
    done(k, free, user);
  });
});

describe('tag storage and collapse', () => {
  it('a tagged mapping is not collapsed while tag storage is lent, and keeps its pages', () => {
    const { k, user } = start();
    expect(k.memory.snapshotTagStorage().enabled).toBe(true);
    const at = area(user, 1, MTE);
    fill(user, at, 4, 8, true);
    const pfn = user.pfn(at);
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(EINVAL);
    expect(user.madvise(at, HUGE, MADV_HUGEPAGE)).toBe(0);
    k.run(khugepagedDoScan(k.mm));
    expect(k.mm.events.thp_collapse_alloc).toBe(0);
    expect(user.pfn(at)).toBe(pfn);
    verify(user, at, 4, 8, true);
    k.check();
  });

  it('tagged pages that an untagged mapping shares travel with their tags, which wait for their block', () => {
    const { k, free, user } = start();
    const at = area(user, 1, RW);
    fill(user, at, 4, 8, false);
    const child = user.fork();
    expect(child.mprotect(at, HUGE, MTE)).toBe(0);
    // The shared pages become tagged through the child.
    for (let i = 0; i < HUGE; i += 8) expect(child.loadTag(at + i * PAGE)).toBe(0);
    user.store(at + 64, Uint8Array.of(4));
    const stored = k.memory.tagStorageMetrics()['stashStored']!;
    expect(user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(0);
    expect(k.memory.tagStorageMetrics()['stashStored']! - stored).toBeGreaterThan(50);
    k.check();
    verify(user, at, 4, 8, false);
    verify(child, at, 4, 8, false);
    expect(user.mprotect(at, HUGE, MTE)).toBe(0);
    expect(user.loadTag(at + 8 * PAGE)).toBe(0);
    k.check();
    done(k, free, user, child);
  });
});

describe('khugepaged', () => {
  /** A block that was mapped by small pages before it was asked for as a huge one. */
  function late(user: User, seed: number, step: number): number {
    const at = area(user, 1, RW);
    fill(user, at, seed, step, false);
    expect(user.madvise(at, HUGE, MADV_HUGEPAGE)).toBe(0);
    return at;
  }

  it('finds what became eligible, in the order of the list, and counts', () => {
    const { k, free, user } = start();
    const other = k.user();
    const places = [late(user, 1, 2), late(user, 2, 300), late(other, 3, 100)];
    k.mm.thp.khugepaged.pagesToScan = HUGE;
    k.run(khugepagedDoScan(k.mm));
    // One block a round, as pages_to_scan says.
    expect(k.mm.events.thp_collapse_alloc).toBe(1);
    for (let i = 0; i < 4; i++) k.run(khugepagedDoScan(k.mm));
    k.check();
    for (const [i, at] of places.entries()) {
      expect(isHuge(k, i < 2 ? user : other, at)).toBe(true);
    }
    verify(user, places[0]!, 1, 2, false);
    verify(user, places[1]!, 2, 300, false);
    verify(other, places[2]!, 3, 100, false);
    expect(k.mm.thp.khugepaged).toMatchObject({ pagesCollapsed: 3 });
    k.run(khugepagedDoScan(k.mm));
    expect(k.mm.thp.khugepaged.fullScans).toBeGreaterThan(0);
    done(k, free, user, other);
    expect(k.mm.khugepaged.empty).toBe(true);
  });

  it('keeps to max_ptes_none, max_ptes_shared, max_ptes_swap, and to what is used', () => {
    const { k, free, user } = start({ swapPages: 1024 });
    const settings = k.mm.thp.khugepaged;
    const at = late(user, 1, 2);
    settings.maxPtesNone = 255;
    k.run(khugepagedDoScan(k.mm));
    expect(k.mm.events).toMatchObject({ thp_scan_exceed_none_pte: 1, thp_collapse_alloc: 0 });
    settings.maxPtesNone = 256;
    const child = user.fork();
    settings.maxPtesShared = 100;
    k.run(khugepagedDoScan(k.mm));
    expect(k.mm.events.thp_scan_exceed_share_pte).toBeGreaterThan(0);
    child.exit();
    while (k.mm.events.pswpout < 100) k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
    settings.maxPtesSwap = 50;
    k.run(khugepagedDoScan(k.mm));
    expect(k.mm.events).toMatchObject({ thp_scan_exceed_swap_pte: 1, thp_collapse_alloc: 0 });
    settings.maxPtesSwap = 511;
    // Written again: referenced, and something is writable.
    fill(user, at, 1, 2, false);
    k.run(khugepagedDoScan(k.mm));
    expect(k.mm.events.thp_collapse_alloc).toBe(1);
    expect(isHuge(k, user, at)).toBe(true);
    verify(user, at, 1, 2, false);
    done(k, free, user);
  });

  it('leaves alone what is off, excluded, or short of memory; a child is scanned with its parent', () => {
    const { k, free, user } = start();
    const at = late(user, 1, 2);
    k.mm.thp.enabled = 'never';
    k.run(khugepagedDoScan(k.mm));
    expect(k.mm.events.thp_collapse_alloc).toBe(0);
    k.mm.thp.enabled = 'madvise';
    expect(user.madvise(at, HUGE, MADV_NOHUGEPAGE)).toBe(0);
    k.run(khugepagedDoScan(k.mm));
    expect(k.mm.events.thp_collapse_alloc).toBe(0);
    expect(user.madvise(at, HUGE, MADV_HUGEPAGE)).toBe(0);
    let slept = 0;
    k.mm.shouldFail = (what) => what === 'thp_collapse_alloc';
    k.run(
      khugepagedDoScan(k.mm, function* (ms) {
        yield* [];
        slept += ms;
      }),
    );
    k.mm.shouldFail = () => false;
    expect(slept).toBe(60_000);
    expect(isHuge(k, user, at)).toBe(false);
    const child = user.fork();
    user.exit();
    fill(child, at, 1, 2, false);
    k.run(khugepagedDoScan(k.mm));
    expect(isHuge(k, child, at)).toBe(true);
    verify(child, at, 1, 2, false);
    expect(child.madvise(at, HUGE, MADV_DONTNEED)).toBe(0);
    done(k, free, child);
  });
});

it('pages in the middle of a moved mapping collapse where the addresses fit', () => {
  const { k, free, user } = start();
  const at = area(user, 3, RW);
  fill(user, at, 1, 3, false);
  const target = at + 2 * BLOCK;
  const moved = k.run(k.memory.mremap(user.as, VA(BigInt(at)), BLOCK, BLOCK, 3, VA(BigInt(target))));
  expect(moved).toBe(target);
  expect(user.madvise(target, HUGE, MADV_COLLAPSE)).toBe(0);
  k.check();
  verify(user, target, 1, 3, false);
  done(k, free, user);
});
