/**
 * Huge pages in tagged mappings, and collapse into them (tag-storage.md 1.5, 3.4, 5.4, 7.2).
 */
import type { MmStruct } from '../../kernel/index.js';
import {
  changeProtNuma,
  entireMapcount,
  isLarge,
  lruAddDrainAll,
  MADV_COLLAPSE,
  MADV_HUGEPAGE,
  MAP_FIXED,
  MAP_SHARED,
  PROT_READ,
} from '../../kernel/index.js';
import type { Program } from './program.js';
import { pattern } from './program.js';
import { story } from './scenario.js';
import { MTE, PAGE, RW, va, World } from './world.js';

const HUGE = 512;

/** A mapping that asked for huge pages; the first address in it where one fits. */
function hugeArea(k: World, program: ReturnType<World['program']>, prot: number): number {
  const addr = program.map(2 * HUGE, prot);
  k.run(k.manager.madvise(program.as, va(addr), 2 * HUGE * PAGE, MADV_HUGEPAGE));
  return Math.ceil(addr / (HUGE * PAGE)) * HUGE * PAGE;
}

/** A whole block of memory that is mapped page by page. */
function smallPages(program: Program, prot: number): number {
  const addr = program.map(2 * HUGE, prot);
  return Math.ceil(addr / (HUGE * PAGE)) * HUGE * PAGE;
}

const collapse = (k: World, program: Program, addr: number): number =>
  k.run(k.manager.madvise(program.as, va(addr), HUGE * PAGE, MADV_COLLAPSE));

const hugePages = (k: World): number => k.manager.vmstat()['nr_anon_transparent_hugepages']!;

export const HUGE_PAGES = [
  story({
    id: 'R8',
    title: 'collapse into a huge page copies pages that are tagged elsewhere, under RCU',
    expected: 'nothing sleeps in the section; data and tags of both processes stay',
    world: { tagPages: 128 },
    tell(k) {
      k.step('a process shares a block of small pages with its child, to which they are tagged memory');
      const parent = k.program();
      const addr = smallPages(parent, RW);
      for (let i = 0; i < 8; i++) parent.store(addr + i * PAGE, pattern(i + 1));
      const child = parent.fork();
      child.protect(addr, HUGE, RW | MTE);
      for (let i = 0; i < 8; i++) k.expect(child.ldg(addr + i * PAGE) === 0, '8', 'a tag is not 0');
      k.step('the parent writes to one of them, and asks for a huge page');
      parent.store(addr, pattern(1));
      k.run(lruAddDrainAll(k.mm));
      const result = collapse(k, parent, addr);
      k.expect(result === 0 && hugePages(k) === 1, 'collapse', `MADV_COLLAPSE: ${result}`);
      k.step('both look at their memory');
      for (let i = 0; i < 8; i++) {
        parent.expectData(addr + i * PAGE, i + 1, "the parent's page");
        child.expectData(addr + i * PAGE, i + 1, "the child's page");
        child.expectTag(addr + i * PAGE, 0, "the child's page");
      }
      k.step("the parent's memory becomes tagged, too: the huge page gets its blocks");
      parent.protect(addr, HUGE, RW | MTE);
      parent.stg(addr + 3 * PAGE, 6);
      parent.expectTag(addr + 3 * PAGE, 6, "the parent's granule");
      parent.expectTag(addr + 5 * PAGE, 0, "the parent's page");
      parent.expectData(addr + 3 * PAGE, 4, "the parent's page");
      for (const program of [parent, child]) program.exit();
      k.settle();
      return undefined;
    },
  }),

  story({
    id: 'F24',
    title: 'NUMA hint faults on a large folio that is mapped page by page',
    expected: "the folio's reference count returns to its start value, and the folio can be freed",
    world: { tagPages: 128 },
    tell(k) {
      k.step('a huge page, whose entry is split by mprotect of a part of it');
      const program = k.program();
      const addr = hugeArea(k, program, RW);
      for (let i = 0; i < 8; i++) program.store(addr + i * PAGE, pattern(i + 1));
      program.protect(addr + 256 * PAGE, 128, PROT_READ);
      k.run(lruAddDrainAll(k.mm));
      const head = k.page(program.pfn(addr)!);
      k.expect(isLarge(k.mm, head) && entireMapcount(k.mm, head) === 0, 'F24', 'not mapped page by page');
      const before = k.mm.memmap.refcount[head]!;
      k.step('the NUMA scanner takes the entries away from the hardware; the pages are accessed again');
      const as = program.as as MmStruct;
      const hinted = k.run(changeProtNuma(k.mm, as.vmas.lookup(addr)!, addr, addr + 8 * PAGE));
      k.expect(hinted === 8, 'F24', `${hinted} entries were changed, not 8`);
      const faults = program.faults;
      for (let i = 0; i < 8; i++) program.expectData(addr + i * PAGE, i + 1, 'the page');
      k.expect(program.faults - faults === 8, 'F24', `${program.faults - faults} faults, not 8`);
      const after = k.mm.memmap.refcount[head]!;
      k.expect(after === before, 'refcount', `${after} references, ${before} before`);
      k.step('the program ends');
      program.exit();
      k.run(lruAddDrainAll(k.mm));
      k.expect(!isLarge(k.mm, head), 'refcount', 'the folio is still there');
      return undefined;
    },
  }),

  story({
    id: 'F28',
    title: 'write() to a file of a tmpfs mounted with huge=always',
    expected:
      'a huge page, untagged as nobody maps it; a tagged mapping of it gets its blocks at the first access',
    world: { tagPages: 128 },
    tell(k) {
      k.step('write()');
      const file = k.manager.newFile({ name: 'tmpfs', size: 0, huge: 'always' });
      const written = k.run(k.manager.writeFile(file, 3 * PAGE, pattern(3)));
      k.expect(written === PAGE, 'F28', `write() gives ${written}`);
      k.expect(k.manager.vmstat()['nr_shmem_hugepages'] === 1, 'F28', 'there is no huge page');
      k.expect(k.metric('taggedPagesAllocated') === 0, 'F28', 'the page was allocated as tagged');
      k.step('a process maps the file with PROT_MTE, and stores a tag');
      k.run(k.manager.truncateFile(file, HUGE * PAGE));
      const program = k.program();
      const at = smallPages(program, RW);
      const request = { addr: va(at), length: HUGE * PAGE, prot: RW | MTE, file };
      k.run(k.manager.mmap(program.as, { ...request, flags: MAP_SHARED | MAP_FIXED }));
      program.stg(at + 3 * PAGE, 6);
      program.expectTag(at + 3 * PAGE, 6, 'the granule');
      program.expectTag(at + 4 * PAGE, 0, 'another page');
      program.expectData(at + 3 * PAGE, 3, 'the page');
      program.exit();
      k.run(k.manager.putFile(file));
      k.settle();
      return undefined;
    },
  }),

  story({
    id: 'F33',
    title: 'tag storage management is built in and off: tagged memory is to be collapsed',
    expected: 'it collapses as without the series, tags with it',
    boots: true,
    tell(k, policy) {
      k.step('a kernel boots that cannot manage its tag storage: its size is no multiple of a pageblock');
      const off = new World(policy, { tagPages: 129 }, 0);
      off.expect(!off.tagStorageEnabled, 'F33', 'tag storage is managed');
      k.step('a block of tagged small pages');
      const program = off.program();
      const addr = smallPages(program, RW | MTE);
      for (let i = 0; i < 8; i++) {
        program.store(addr + i * PAGE, pattern(i + 1));
        program.tagPage(addr + i * PAGE, i + 1);
      }
      k.step('MADV_COLLAPSE');
      const result = collapse(off, program, addr);
      off.expect(result === 0 && hugePages(off) === 1, 'F33', `it is refused: ${result}`);
      k.step('every byte and tag is looked at');
      for (let i = 0; i < 8; i++) {
        program.expectData(addr + i * PAGE, i + 1, 'the page');
        program.expectTag(addr + i * PAGE + 32, i + 1, 'the page');
      }
      program.expectTag(addr + 9 * PAGE, 0, 'a page that was not there');
      program.exit();
      off.settle();
      return undefined;
    },
  }),

  story({
    id: 'F13',
    title: 'a tagged mapping with huge pages is read before anything was written',
    expected:
      'one fault maps the huge zero page, whose tags are all 0; a store to it takes a page of its own',
    world: { tagPages: 128 },
    tell(k) {
      k.step('the first read');
      const program = k.program();
      const addr = hugeArea(k, program, RW | MTE);
      k.expect(program.ldg(addr + 5 * PAGE) === 0, '8', 'the tag is not 0');
      k.expect(program.faults === 1, 'progress', `it took ${program.faults} faults`);
      k.expect(k.manager.vmstat()['thp_zero_page_alloc'] === 1, 'F13', 'there is no huge zero page');
      k.step('reads all over the block');
      for (let i = 0; i < HUGE; i += 37) {
        k.expect(program.ldg(addr + i * PAGE + 32) === 0, '8', `the tag in page ${i} is not 0`);
      }
      k.expect(program.faults === 1, 'progress', `it took ${program.faults} faults`);
      k.step('a tag is stored, which is a write');
      program.stg(addr + 5 * PAGE, 9);
      program.expectTag(addr + 5 * PAGE, 9, 'the granule');
      k.expect(program.ldg(addr + 6 * PAGE) === 0, '8', 'the tag of the next page is not 0');
      program.exit();
      k.settle();
      return undefined;
    },
  }),
];
