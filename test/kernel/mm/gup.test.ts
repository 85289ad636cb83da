/** References behind the kernel's back: pins, long-term pins of tag storage, fork of pinned pages; tags by ptrace. */
import { describe, expect, it } from 'vitest';
import { VA } from '../../../src/base/index.js';
import { EFAULT } from '../../../src/kernel/contexts/index.js';
import type { MmStruct, Page } from '../../../src/kernel/mm/index.js';
import {
  allocPages,
  FOLL_FORCE,
  FOLL_LONGTERM,
  FOLL_PIN,
  FOLL_WRITE,
  folioIsolateLru,
  freePages,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GUP_PIN_COUNTING_BIAS,
  getUserPage,
  lruAddDrainAll,
  migratePages,
  PROT_MTE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  putPage,
  unpinUserPage,
} from '../../../src/kernel/mm/index.js';
import type { Fixture, User } from '../kernel-fixture.js';
import { boot, pattern } from '../kernel-fixture.js';

const RW = PROT_READ | PROT_WRITE;
const PAGE = 4096;
const gup = (k: Fixture, u: User, addr: number, flags: number) =>
  k.run(getUserPage(k.mm, u.as as MmStruct, addr, flags));
const peek = (k: Fixture, u: User, addr: number, n: number) => {
  const tags = new Uint8Array(n);
  return [k.run(k.memory.accessRemoteTags(u.as, VA(BigInt(addr)), tags, false)), [...tags]];
};
const poke = (k: Fixture, u: User, addr: number, tags: number[]) =>
  k.run(k.memory.accessRemoteTags(u.as, VA(BigInt(addr)), Uint8Array.from(tags), true));

describe('get_user_pages', () => {
  it('faults pages in, honours protection, and by force what ptrace may', () => {
    const k = boot();
    const u = k.user();
    const at = u.mmap(2, RW);
    expect(gup(k, u, at, 0)).toBe(k.mm.zeroPage);
    const page = gup(k, u, at, FOLL_WRITE) as Page;
    expect(u.pfn(at)).toBe(k.mm.memmap.pageToPfn(page));
    expect(gup(k, u, at - PAGE, 0)).toBe(-EFAULT);
    u.mprotect(at, 1, PROT_NONE);
    expect(gup(k, u, at, 0)).toBe(-EFAULT);
    expect(gup(k, u, at, FOLL_WRITE | FOLL_FORCE)).toBe(page);
    for (let i = 0; i < 2; i++) k.run(putPage(k.mm, page));
    k.check();
  });

  it('a pinned page is not moved, and fork copies it at once', () => {
    const k = boot();
    const u = k.user();
    const at = u.mmap(3, RW | PROT_MTE);
    for (let i = 0; i < 3; i++) {
      u.store(at + i * PAGE, pattern(PAGE, i));
      u.storeTag(at + i * PAGE, i + 3);
    }
    const page = gup(k, u, at + PAGE, FOLL_PIN | FOLL_WRITE) as Page;
    k.run(lruAddDrainAll(k.mm));
    expect(k.mm.memmap.refcount[page]).toBe(1 + GUP_PIN_COUNTING_BIAS);
    const child = u.fork();
    expect(u.pfn(at + PAGE)).toBe(k.mm.memmap.pageToPfn(page));
    expect(child.pfn(at + PAGE)).not.toBe(u.pfn(at + PAGE));
    expect(child.pfn(at)).toBe(u.pfn(at));
    k.check();
    // The device writes: the parent sees it, though nobody faulted; the child does not.
    k.port.writeBytes(k.mm.pageToPa(page), pattern(PAGE, 9));
    expect(u.load(at + PAGE, PAGE)).toEqual(pattern(PAGE, 9));
    expect(child.load(at + PAGE, PAGE)).toEqual(pattern(PAGE, 1));
    for (let i = 0; i < 3; i++) expect(child.loadTag(at + i * PAGE)).toBe(i + 3);
    k.run(unpinUserPage(k.mm, page));
    k.check();
  });

  it('a failed allocation for such a copy fails the fork and leaves nothing', () => {
    const k = boot();
    const u = k.user();
    const at = u.mmap(1, RW | PROT_MTE);
    u.storeTag(at, 3);
    gup(k, u, at, FOLL_PIN | FOLL_WRITE);
    const free = k.unused();
    for (let n = 1; n < 12; n++) {
      let left = n;
      k.mm.shouldFail = (what) => what === 'page_alloc' && --left === 0;
      const child = k.run(k.memory.cloneAddressSpace(u.as));
      k.mm.shouldFail = () => false;
      if (typeof child !== 'number') k.run(k.memory.exitMmap(child));
      k.check();
      expect(k.unused()).toBe(free);
    }
  });

  it('a long-term pin takes the page out of tag storage first, a short one does not', () => {
    const k = boot();
    const u = k.user();
    const at = u.mmap(1, RW);
    u.store(at, pattern(PAGE, 1));
    // Into tag storage, as compaction may.
    const held: Page[] = [];
    let target: Page | undefined;
    while (target === undefined || !k.mm.hooks.isTagStoragePage(target)) {
      if (target !== undefined) held.push(target);
      target = k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0))!;
    }
    for (const page of held) k.run(freePages(k.mm, page, 0));
    k.run(lruAddDrainAll(k.mm));
    const page = k.mm.memmap.pfnToPage(u.pfn(at)!)!;
    folioIsolateLru(k.mm, page);
    k.run(
      migratePages(k.mm, [page], function* () {
        yield* [];
        return target;
      }),
    );
    const short = gup(k, u, at, FOLL_PIN | FOLL_WRITE) as Page;
    expect(k.mm.hooks.isTagStoragePage(short)).toBe(true);
    k.run(unpinUserPage(k.mm, short));
    const long = gup(k, u, at, FOLL_PIN | FOLL_WRITE | FOLL_LONGTERM) as Page;
    expect(k.mm.hooks.isTagStoragePage(long)).toBe(false);
    expect(u.load(at, PAGE)).toEqual(pattern(PAGE, 1));
    k.run(unpinUserPage(k.mm, long));
    k.check();
  });
});

describe('tags through another process', () => {
  it('peek and poke, over pages, from an unaligned address, to the end of the mapping', () => {
    const k = boot();
    const u = k.user();
    const at = u.mmap(2, RW | PROT_MTE);
    u.storeTag(at + PAGE - 16, 5);
    u.storeTag(at + PAGE, 6);
    expect(peek(k, u, at + PAGE - 9, 3)).toEqual([3, [5, 6, 0]]);
    expect(poke(k, u, at + PAGE - 16, [0x19, 8])).toBe(2);
    expect([u.loadTag(at + PAGE - 16), u.loadTag(at + PAGE)]).toEqual([9, 8]);
    expect(peek(k, u, at + 2 * PAGE - 32, 5)[0]).toBe(2);
    expect(peek(k, u, at + 2 * PAGE, 1)[0]).toBe(-EFAULT);
    const plain = u.mmap(1, RW);
    expect(peek(k, u, plain, 1)[0]).toBe(-5);
    k.check();
  });

  it('a core dump has the tags of every page that has any, stashed ones too', () => {
    const k = boot();
    const u = k.user();
    const at = u.mmap(2, RW | PROT_MTE);
    u.storeTag(at + 16, 7);
    const page = k.mm.memmap.pfnToPage(u.pfn(at)!)!;
    k.run(lruAddDrainAll(k.mm));
    folioIsolateLru(k.mm, page);
    k.run(migratePages(k.mm, [page], () => allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0)));
    expect(k.memory.tagStorageMetrics()['stashEntries']).toBe(1);
    const tags = k.run(k.memory.dumpTags(u.as, VA(BigInt(at))));
    expect([tags?.length, tags?.[0]]).toEqual([128, 0x70]);
    expect(k.run(k.memory.dumpTags(u.as, VA(BigInt(at + PAGE))))).toBeUndefined();
    k.check();
  });

  it('an allocation that may sleep is refused in an RCU section', () => {
    const k = boot();
    k.contexts.rcuReadLock();
    expect(() => k.run(allocPages(k.mm, GFP_KERNEL, 0))).toThrow(/may sleep/);
    k.contexts.rcuReadUnlock();
  });
});
