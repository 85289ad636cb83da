/**
 * Tag storage that holds nothing but copies of clean pages of files (tag-storage.md 8.4): a policy of that kind needs
 * no allocator and no migration, and what it is told of files is enough for it.
 *
 * The policy is as small as it can be: a page of tag storage holds one copy; a page that is about to get tags
 * drops the copy that lies where its tags are, at once and without sleeping.
 */
import { describe, expect, it } from 'vitest';
import { type Atomic, immediately } from '../../../src/kernel/contexts/index.js';
import type { CleanPages, Inode, MappableFile, MmHooks, Page } from '../../../src/kernel/mm/index.js';
import {
  GFP_HIGHUSER_MOVABLE,
  lruAddDrainAll,
  PG_mte_tagged,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  tryToFreePages,
} from '../../../src/kernel/mm/index.js';
import type { Fixture } from '../kernel-fixture.js';
import { boot, pattern } from '../kernel-fixture.js';

const PAGE = 4096;
const RW = PROT_READ | PROT_WRITE;
const TAG_PAGES = 32;

interface Copy {
  readonly inode: Inode;
  readonly index: number;
}

class CopiesInTagStorage implements CleanPages {
  /** By page of tag storage. */
  readonly copies = new Map<number, Copy>();
  dropped = 0;
  readonly #k: Fixture;

  constructor(k: Fixture) {
    this.#k = k;
  }

  #pa(tagPage: number) {
    return this.#k.mm.pageToPa((TAG_PAGES * 32 + tagPage) as Page);
  }

  put(inode: Inode, index: number, page: Page): Atomic<void> {
    const { mm, port } = this.#k;
    for (let tagPage = 0; tagPage < TAG_PAGES; tagPage++) {
      if (this.copies.has(tagPage) || this.#isInUse(tagPage)) continue;
      port.writeBytes(this.#pa(tagPage), port.readBytes(mm.pageToPa(page), PAGE));
      this.copies.set(tagPage, { inode, index });
      break;
    }
    return immediately(undefined);
  }

  get(inode: Inode, index: number, page: Page): Atomic<boolean> {
    const { mm, port } = this.#k;
    for (const [tagPage, copy] of this.copies) {
      if (copy.inode !== inode || copy.index !== index) continue;
      port.writeBytes(mm.pageToPa(page), port.readBytes(this.#pa(tagPage), PAGE));
      this.copies.delete(tagPage);
      return immediately(true);
    }
    return immediately(false);
  }

  invalidate(inode: Inode, first: number): Atomic<void> {
    for (const [tagPage, copy] of this.copies) {
      if (copy.inode === inode && copy.index >= first) this.copies.delete(tagPage);
    }
    return immediately(undefined);
  }

  /** A page is about to get tags: nothing can fail. */
  claim(page: Page): void {
    const tagPage = Math.floor(page / 32);
    if (!this.copies.delete(tagPage)) return;
    this.dropped++;
    this.#k.port.fill(this.#pa(tagPage), PAGE, 0);
  }

  #isInUse(tagPage: number): boolean {
    const { memmap } = this.#k.mm;
    return Array.from({ length: 32 }, (_, i) => (tagPage * 32 + i) as Page).some((page) =>
      memmap.test(page, PG_mte_tagged),
    );
  }
}

function lent() {
  const k = boot({ tagPages: TAG_PAGES, pageblockOrder: 5, policy: 'static' });
  const copies = new CopiesInTagStorage(k);
  const { hooks } = k.mm;
  k.mm.hooks = new Proxy(hooks, {
    get(target, name) {
      if (name === 'cleanPages') return copies;
      if (name === 'mteSyncTags') {
        return (pte: bigint, page: Page, nr: number) => {
          for (let i = 0; i < nr; i++) copies.claim((page + i) as Page);
          return target.mteSyncTags(pte, page, nr);
        };
      }
      if (name === 'tagClearHighpage') {
        return (page: Page) => {
          copies.claim(page);
          target.tagClearHighpage(page);
        };
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  }) as MmHooks;
  return { k, copies };
}

function dropCache(k: Fixture, file: MappableFile): void {
  for (let round = 0; round < 100 && file.cachedPages > 0; round++) {
    k.run(lruAddDrainAll(k.mm));
    k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
  }
  expect(file.cachedPages).toBe(0);
}

/** A file of eight pages on disk, none of them in memory; those that had to be read from the disk since. */
function reclaimedFile(k: Fixture) {
  const file = k.memory.newFile({ name: '/disk/file', size: 0, disk: true });
  k.run(k.memory.writeFile(file, 0, pattern(8 * PAGE, 1)));
  expect(k.run(k.memory.syncFile(file))).toBe(0);
  dropCache(k, file);
  const before = k.mm.events.pgpgin;
  return { file, pagesRead: () => (k.mm.events.pgpgin - before) / (PAGE / 1024) };
}

const read = (k: Fixture, file: MappableFile, at: number, n: number) =>
  Buffer.from(k.run(k.memory.readFile(file, at, n)));

describe('clean pages of files in tag storage', () => {
  it('come back from there without the disk, once each', () => {
    const { k, copies } = lent();
    const { file, pagesRead } = reclaimedFile(k);
    expect(copies.copies.size).toBe(8);
    expect(read(k, file, 0, 8 * PAGE).equals(pattern(8 * PAGE, 1))).toBe(true);
    expect(pagesRead()).toBe(0);
    expect(copies.copies.size).toBe(0);
    k.check();
  });

  it('are dropped where tags are wanted, and then read again', () => {
    const { k, copies } = lent();
    const { file, pagesRead } = reclaimedFile(k);
    const u = k.user();
    const pages = 900;
    const mapped = u.mmap(pages, RW | PROT_MTE);
    for (let i = 0; i < pages; i++) u.storeTag(mapped + i * PAGE, 1 + (i % 15));
    expect(copies.dropped).toBeGreaterThan(3);
    expect(read(k, file, 0, 8 * PAGE).equals(pattern(8 * PAGE, 1))).toBe(true);
    expect(pagesRead()).toBe(copies.dropped);
    for (let i = 0; i < pages; i++) expect(u.loadTag(mapped + i * PAGE)).toBe(1 + (i % 15));
    k.check();
  });

  it('are none any more once the file was truncated or written', () => {
    const { k, copies } = lent();
    const { file } = reclaimedFile(k);
    k.run(k.memory.truncateFile(file, 3 * PAGE));
    expect(copies.copies.size).toBe(3);
    k.run(k.memory.truncateFile(file, 8 * PAGE));
    expect(read(k, file, 3 * PAGE, 5 * PAGE).every((byte) => byte === 0)).toBe(true);
    k.run(k.memory.writeFile(file, PAGE, pattern(8, 2)));
    expect(k.run(k.memory.syncFile(file))).toBe(0);
    dropCache(k, file);
    expect(read(k, file, PAGE, 8).equals(pattern(8, 2))).toBe(true);
    k.check();
  });
});
