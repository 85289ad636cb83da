/**
 * Tags of pages without a block: kept through copies, freed with their page, not lost for want of memory
 * (tag-storage.md 6.3, 6.6, 6.7).
 */
import {
  allocPages,
  folioIsolateLru,
  folioPutbackLru,
  GFP_HIGHUSER_MOVABLE,
  lruAddDrainAll,
  MAP_PRIVATE,
  MAP_SHARED,
  migratePages,
} from '../../kernel/index.js';
import { pattern } from './program.js';
import { stashedPage } from './races.js';
import { story } from './scenario.js';
import { MTE, PAGE, RW, va } from './world.js';

export const COPIES = [
  story({
    id: 'R7',
    title: 'fork copies a pinned tagged page with the page-table lock held',
    expected: 'nothing sleeps under the lock, and parent and child have the tags',
    tell(k) {
      k.step('a tagged page is pinned for I/O; the block of the copy cannot be had');
      const parent = k.program();
      const addr = parent.map(1, RW | MTE);
      parent.store(addr, pattern(1));
      parent.tagPage(addr, 7);
      const pin = k.pin(parent, addr);
      k.step('fork');
      k.mm.shouldFail = (what) => what === 'reserve_tag_storage';
      const child = parent.fork();
      k.mm.shouldFail = () => false;
      pin.release();
      for (const [program, who] of [
        [parent, "the parent's page"],
        [child, "the child's page"],
      ] as const) {
        program.expectData(addr, 1, who);
        program.expectTag(addr + 64, 7, who);
      }
      return undefined;
    },
  }),

  story({
    id: 'F7',
    title: 'a page is freed with its tags in the stash, and its frame gets a new owner',
    expected: 'the new owner sees tag 0',
    tell(k) {
      k.step('the tags of a page are in the stash, and its owner exits');
      const first = k.program();
      const addr = stashedPage(k, first, 1, 11);
      const pfn = first.pfn(addr)!;
      first.exit();
      k.run(lruAddDrainAll(k.mm));
      k.step("another process's page lies in that frame, and becomes tagged");
      const second = k.program();
      const at = k.dataAt(second, pfn, 2);
      second.protect(at, 1, RW | MTE);
      second.expectTag(at, 0, "the new owner's page");
      second.expectData(at, 2, "the new owner's page");
      return undefined;
    },
  }),

  story({
    id: 'F25',
    title: 'a private copy is made of a page whose tags are stashed',
    expected: 'the page and its copy both have the tags',
    tell(k) {
      k.step('A has tagged a page of a file of RAM, and it was moved to a frame without its block');
      const file = k.manager.newFile({ name: 'memfd', size: PAGE });
      const map = (program: ReturnType<typeof k.program>, prot: number, flags: number) =>
        k.run(k.manager.mmap(program.as, { addr: va(0), length: PAGE, prot, flags, file }));
      const [a, b] = [k.program(), k.program()];
      const shared = map(a, RW | MTE, MAP_SHARED);
      const own = map(b, RW, MAP_PRIVATE);
      a.store(shared, pattern(4));
      a.tagPage(shared, 5);
      k.place(a, shared, k.dataPfn(1024));
      k.step('B writes to its private, untagged mapping of the same page');
      b.store(own, pattern(4));
      a.expectTag(shared + 48, 5, "A's page");
      b.protect(own, 1, RW | MTE);
      b.expectTag(own + 48, 5, "B's copy");
      a.expectData(shared, 4, "A's page");
      return undefined;
    },
  }),

  story({
    id: 'F31',
    title: 'the stash has no room for the tags of a page that is being moved',
    expected: 'the move fails, the tags stay where they are, and nothing leaks',
    tell(k) {
      k.step('a tagged page is moved to a frame without its block, and memory for the stash is short');
      const program = k.program();
      const addr = program.map(1, RW | MTE);
      program.store(addr, pattern(1));
      program.tagPage(addr, 9);
      k.run(lruAddDrainAll(k.mm));
      const page = k.page(program.pfn(addr)!);
      folioIsolateLru(k.mm, page);
      const list = [page];
      k.mm.shouldFail = (what) => what === 'slab' || what === 'xa_reserve';
      k.run(migratePages(k.mm, list, () => allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0)));
      k.mm.shouldFail = () => false;
      for (const left of list) k.run(folioPutbackLru(k.mm, left));
      k.step('the page is accessed again');
      program.expectTag(addr + 128, 9, 'the page');
      program.expectData(addr, 1, 'the page');
      program.exit();
      k.settle();
      k.expect(k.manager.vmstat()['nr_slab_unreclaimable'] === 0, '10', 'a buffer was never given back');
      return undefined;
    },
  }),
];
