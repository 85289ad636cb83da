/** madvise(MADV_COLD) and MADV_PAGEOUT: what goes and what stays, with its bytes and tags; who is refused. */
import { describe, expect, it } from 'vitest';
import { VA } from '../../../src/base/index.js';
import { EINVAL } from '../../../src/kernel/contexts/index.js';
import {
  folioIsolateLru,
  folioPutbackLru,
  lruAddDrainAll,
  MADV_COLD,
  MADV_HUGEPAGE,
  MADV_PAGEOUT,
  PG_active,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  tryToFreePages,
} from '../../../src/kernel/mm/index.js';
import type { Fixture, User } from '../kernel-fixture.js';
import { boot, pattern } from '../kernel-fixture.js';

const RW = PROT_READ | PROT_WRITE;
const PAGE = 4096;
const HUGE = 512;

const isResident = (k: Fixture, u: User, addr: number): boolean =>
  k.memory.residentPfn(u.as, VA(BigInt(addr))) !== undefined;
const resident = (k: Fixture, u: User, at: number, pages: number): number[] =>
  [...Array(pages).keys()].filter((i) => isResident(k, u, at + i * PAGE));

/** Tagged pages whose contents and tags are known. */
function fill(u: User, pages: number): number {
  const at = u.mmap(pages, RW | PROT_MTE);
  for (let i = 0; i < pages; i++) {
    u.store(at + i * PAGE, pattern(PAGE, i));
    u.storeTag(at + i * PAGE + 32, 1 + (i % 15));
  }
  return at;
}

function verify(u: User, at: number, pages: number): void {
  for (let i = 0; i < pages; i++) {
    expect(Buffer.compare(u.load(at + i * PAGE, PAGE)!, pattern(PAGE, i))).toBe(0);
    expect(u.loadTag(at + i * PAGE + 32)).toBe(1 + (i % 15));
    expect(u.loadTag(at + i * PAGE + 48)).toBe(0);
  }
}

describe('MADV_PAGEOUT', () => {
  it('takes what was used a moment ago out of memory, and nothing else; it comes back with its tags', () => {
    const k = boot({ swapPages: 512 });
    const u = k.user();
    const at = fill(u, 8);
    expect(u.madvise(at + 2 * PAGE, 4, MADV_PAGEOUT)).toBe(0);
    expect(resident(k, u, at, 8)).toEqual([0, 1, 6, 7]);
    expect(k.mm.events).toMatchObject({ pswpout: 4, pgsteal_direct: 4 });
    k.check();
    verify(u, at, 8);
    k.check();
  });

  it('leaves pages that another process maps, and those that have nowhere to go', () => {
    const k = boot({ swapPages: 512 });
    const u = k.user();
    const at = fill(u, 4);
    const child = u.fork();
    child.store(at + PAGE, pattern(PAGE, 50));
    expect(u.madvise(at, 4, MADV_PAGEOUT)).toBe(0);
    // The child has its own copy of the second.
    expect(resident(k, u, at, 4)).toEqual([0, 2, 3]);
    verify(u, at, 4);
    k.check();
    const without = boot();
    const other = without.user();
    const there = fill(other, 4);
    expect(other.madvise(there, 4, MADV_PAGEOUT)).toBe(0);
    expect(resident(without, other, there, 4)).toHaveLength(4);
    without.check();
  });

  it('is refused for locked memory', () => {
    const k = boot({ swapPages: 512 });
    const u = k.user();
    const at = fill(u, 2);
    const everything = Number.MAX_SAFE_INTEGER;
    expect(k.run(k.memory.mlock(u.as, VA(BigInt(at)), PAGE, false, everything))).toBe(0);
    expect(u.madvise(at, 1, MADV_PAGEOUT)).toBe(-EINVAL);
    expect(u.madvise(at, 1, MADV_COLD)).toBe(-EINVAL);
    expect(u.madvise(at + PAGE, 1, MADV_PAGEOUT)).toBe(0);
    expect(resident(k, u, at, 2)).toEqual([0]);
    k.check();
  });

  it('splits a huge page of which it is to take a part', () => {
    const k = boot({ swapPages: 2048 });
    const u = k.user();
    const size = HUGE * PAGE;
    const at = Math.ceil(u.mmap(2 * HUGE, RW | PROT_MTE) / size) * size;
    expect(u.madvise(at, HUGE, MADV_HUGEPAGE)).toBe(0);
    for (let i = 0; i < HUGE; i += 37) u.store(at + i * PAGE, pattern(PAGE, i));
    expect(k.mm.events).toMatchObject({ thp_fault_alloc: 1, thp_split_page: 0 });
    expect(u.madvise(at + 5 * PAGE, 6, MADV_PAGEOUT)).toBe(0);
    expect(resident(k, u, at, HUGE)).toHaveLength(HUGE - 6);
    expect(k.mm.events).toMatchObject({ thp_split_page: 1, pswpout: 6 });
    k.check();
    for (let i = 0; i < HUGE; i += 37) {
      expect(Buffer.compare(u.load(at + i * PAGE, PAGE)!, pattern(PAGE, i))).toBe(0);
    }
    k.check();
  });
});

describe('MADV_COLD', () => {
  it('makes pages the next that reclaim takes, used a moment ago or not', () => {
    const k = boot({ swapPages: 512 });
    const u = k.user();
    const at = fill(u, 64);
    k.run(lruAddDrainAll(k.mm));
    const pages = [...Array(64).keys()].map((i) => k.mm.memmap.pfnToPage(u.pfn(at + i * PAGE)!)!);
    // Everything has been used; some of it is known to be used much.
    for (const page of pages.slice(0, 8)) {
      expect(folioIsolateLru(k.mm, page)).toBe(true);
      k.mm.memmap.set(page, PG_active);
      k.run(folioPutbackLru(k.mm, page));
    }
    k.run(lruAddDrainAll(k.mm));
    expect(u.madvise(at, 8, MADV_COLD)).toBe(0);
    k.run(lruAddDrainAll(k.mm));
    for (const page of pages.slice(0, 8)) expect(k.mm.memmap.test(page, PG_active)).toBe(false);
    expect(resident(k, u, at, 64)).toHaveLength(64);
    k.check();
    k.run(tryToFreePages(k.mm, 0, 2));
    // The others had their second look.
    for (let i = 0; i < 8; i++) expect([i, isResident(k, u, at + i * PAGE)]).toEqual([i, false]);
    verify(u, at, 64);
    k.check();
  });
});
