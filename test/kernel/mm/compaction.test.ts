/** Compaction: scattered free memory becomes whole, contents and tags are kept, failure is not repeated at once. */
import { describe, expect, it } from 'vitest';
import { RunQueue } from '../../../src/kernel/contexts/index.js';
import type { Page } from '../../../src/kernel/mm/index.js';
import {
  __GFP_TAGGED,
  allocPages,
  FOLL_PIN,
  FOLL_WRITE,
  freePages,
  GFP_ATOMIC,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  getUserPage,
  lruAddDrainAll,
  type MmStruct,
  PG_tag_storage_reserved,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
} from '../../../src/kernel/mm/index.js';
import type { Fixture, User } from '../kernel-fixture.js';
import { boot, pattern } from '../kernel-fixture.js';

const RW = PROT_READ | PROT_WRITE;
const PAGE = 4096;

/** A program has every second page of memory; tag storage is left out. */
function scattered(k: Fixture, prot: number): { user: User; addr: number; left: number[] } {
  const user = k.user();
  const pages = 1500;
  const addr = user.mmap(pages, prot);
  for (let i = 0; i < pages; i++) {
    expect(user.store(addr + i * PAGE, pattern(PAGE, i))).toBe(true);
    if ((prot & PROT_MTE) !== 0) user.storeTag(addr + i * PAGE + 16, 1 + (i % 15));
  }
  k.run(lruAddDrainAll(k.mm));
  const left: number[] = [];
  for (let i = 0; i < pages; i++) {
    if (user.pfn(addr + i * PAGE)! % 2 === 0) user.munmap(addr + i * PAGE, 1);
    else left.push(i);
  }
  return { user, addr, left };
}

/** Everything else that is free in blocks of the order or more. */
function takeWholeBlocks(k: Fixture, order: number): Page[] {
  const held: Page[] = [];
  for (;;) {
    const before = k.mm.events.compact_stall;
    const page = k.run(allocPages(k.mm, GFP_KERNEL & ~0x40, order));
    if (page === undefined) break;
    expect(k.mm.events.compact_stall).toBe(before);
    held.push(page);
  }
  return held;
}

describe('compaction', () => {
  it.each([RW, RW | PROT_MTE])('brings free memory together; protection %i', (prot) => {
    const k = boot({ tagPages: 64, pageblockOrder: 5 });
    const { user, addr, left } = scattered(k, prot);
    const held = takeWholeBlocks(k, 4);
    expect(k.mm.events.compact_success).toBe(0);
    const page = k.run(allocPages(k.mm, GFP_KERNEL, 4));
    expect(page).toBeDefined();
    expect(k.mm.events.compact_success).toBe(1);
    k.check();
    for (const i of left) {
      expect(Buffer.compare(user.load(addr + i * PAGE, PAGE)!, pattern(PAGE, i))).toBe(0);
      if ((prot & PROT_MTE) !== 0) expect(user.loadTag(addr + i * PAGE + 16)).toBe(1 + (i % 15));
    }
    k.check();
    k.run(freePages(k.mm, page!, 4));
    for (const h of held) k.run(freePages(k.mm, h, 4));
    user.exit();
    k.run(lruAddDrainAll(k.mm));
    expect(k.memory.snapshotTagStorage()).toMatchObject({ data: 0, tags: 1 });
    expect(k.memory.tagStorageMetrics()['stashEntries']).toBe(0);
    k.check();
  });

  it('serves tagged requests: the block is reserved after the page is taken, never inside', () => {
    const k = boot({ tagPages: 64, pageblockOrder: 5 });
    const { user } = scattered(k, RW);
    takeWholeBlocks(k, 4);
    const page = k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE | __GFP_TAGGED, 4));
    expect(page).toBeDefined();
    expect(k.mm.memmap.test(page!, PG_tag_storage_reserved)).toBe(true);
    user.exit();
    k.check();
  });

  it("is kcompactd's work where the caller cannot sleep", () => {
    const k = boot({ tagPages: 64, pageblockOrder: 5 });
    const { user, addr, left } = scattered(k, RW | PROT_MTE);
    takeWholeBlocks(k, 4);
    const queue = new RunQueue(k.contexts, 0);
    queue.spawn(k.contexts.newTask('kcompactd0'), k.memory.kcompactd(0));
    const settle = () => {
      while (queue.step());
    };
    settle();
    expect(k.mm.events.compact_daemon_wake).toBe(0);
    // Pages that nobody asked to be together do not wake it.
    k.run(freePages(k.mm, k.run(allocPages(k.mm, GFP_ATOMIC, 0))!, 0));
    settle();
    expect(k.mm.events.compact_daemon_wake).toBe(0);
    expect(k.run(allocPages(k.mm, GFP_ATOMIC, 4))).toBeUndefined();
    settle();
    expect(k.mm.events).toMatchObject({ compact_daemon_wake: 1, compact_stall: 0 });
    expect(k.run(allocPages(k.mm, GFP_ATOMIC, 4))).toBeDefined();
    for (const i of left) {
      expect(Buffer.compare(user.load(addr + i * PAGE, PAGE)!, pattern(PAGE, i))).toBe(0);
      expect(user.loadTag(addr + i * PAGE + 16)).toBe(1 + (i % 15));
    }
    k.check();
  });

  it('fails where everything is pinned, puts all back, and does not try again at once', () => {
    const k = boot({ tagPages: 64, pageblockOrder: 5 });
    const { user, addr, left } = scattered(k, RW);
    for (const i of left)
      k.run(getUserPage(k.mm, user.as as MmStruct, addr + i * PAGE, FOLL_PIN | FOLL_WRITE));
    takeWholeBlocks(k, 4);
    const before = k.unused();
    for (let i = 0; i < 3; i++) expect(k.run(allocPages(k.mm, GFP_KERNEL, 4))).toBeUndefined();
    expect(k.mm.events.compact_fail).toBe(2);
    expect(k.unused()).toBe(before);
    k.check();
    for (const i of left) expect(Buffer.compare(user.load(addr + i * PAGE, PAGE)!, pattern(PAGE, i))).toBe(0);
  });
});
