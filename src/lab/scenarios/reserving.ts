/**
 * Blocks: which are taken, when they cannot be had, and what a process then goes on with
 * (tag-storage.md 1.5, 4.4 to 4.8, 5.4 to 5.6).
 */
import { PA } from '../../base/index.js';
import type { Page } from '../../kernel/index.js';
import {
  __GFP_TAGGED,
  allocPages,
  allocPagesAtomic,
  FOLL_PIN,
  folioBlocks,
  folioIsolateLru,
  folioPutbackLru,
  freePages,
  GFP_ATOMIC,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  lruAddDrainAll,
  PG_tag_storage_reserved,
  SpinLock,
} from '../../kernel/index.js';
import { pattern } from './program.js';
import { story } from './scenario.js';
import { MTE, PAGE, RW, va, type World } from './world.js';

/** Bits of an entry (arch/arm64/include/asm/pgtable-prot.h). */
const VALID = 1n;
const SPECIAL = 1n << 56n;
const FAULT_ON_ACCESS = 1n << 60n;
const ADDRESS = 0xfffffffff000n;

const TAGGED = GFP_HIGHUSER_MOVABLE | __GFP_TAGGED;

/** Data of another program in every page of the blocks of [pfn, pfn + count); says how to verify it. */
function fillBlocks(k: World, pfn: number, count: number): () => void {
  const neighbour = k.program();
  const addresses: number[] = [];
  const order = Math.ceil(Math.log2(count));
  for (const block of folioBlocks(k.regions, pfn, order)!) {
    for (let i = 0; i < block.region.blockSizePages; i++) {
      addresses.push(k.dataAt(neighbour, block.pfn + i, addresses.length + 1));
    }
  }
  return () => {
    for (const [i, addr] of addresses.entries()) {
      neighbour.expectData(addr, i + 1, `the neighbour's page ${i} in tag storage`);
    }
  };
}

/** The folio is tagged as a whole, as a huge page would be, every granule its own tag. */
function tagFolio(k: World, pfn: number, order: number): Page {
  const page = k.take(pfn, 1 << order);
  k.run(k.mm.hooks.archAllocPage(page, order, TAGGED));
  if (k.mm.memmap.test(page, PG_tag_storage_reserved)) {
    for (let i = 0; i < 1 << order; i++) {
      k.mm.hooks.tagClearHighpage((page + i) as Page);
      k.memory.fillTags(PA((pfn + i) * PAGE), PAGE, 1 + (i % 15));
    }
  }
  return page;
}

/** The data in the block of one page is pinned; the page is the victim's and becomes tagged. */
function pinnedBlock(k: World) {
  const attacker = k.program();
  const victim = k.program();
  const pfn = k.dataPfn(512);
  k.step("an attacker's data lies where the victim's tags would be, and is pinned by vmsplice");
  const lent = k.dataAt(attacker, k.blockOf(pfn), 1);
  const pin = k.pin(attacker, lent);
  k.step('the victim has that page, and asks for tags');
  const addr = k.dataAt(victim, pfn, 2);
  victim.protect(addr, 1, RW | MTE);
  return { attacker, victim, pfn, lent, pin, addr };
}

export const RESERVING = [
  story({
    id: 'R1',
    title: 'a tagged allocation in atomic context',
    expected: 'nothing sleeps; the page is usable, and gets its block at the first access',
    world: { tagPages: 32 },
    tell(k) {
      k.step('under a spinlock, a page is allocated as tagged');
      const lock = new SpinLock(k.contexts, 'some_lock');
      k.run(lock.lock());
      const page = k.run(allocPagesAtomic(k.mm, GFP_ATOMIC | __GFP_TAGGED, 0));
      lock.unlock();
      k.expect(page !== undefined, 'allocation', 'no page');
      k.run(freePages(k.mm, page!, 0));
      k.step('memory is scattered, and a tagged allocation of 16 pages makes compaction capture pages');
      const program = k.program();
      const addr = program.map(700, RW);
      for (let i = 0; i < 700; i++) program.store(addr + i * PAGE, Uint8Array.of(1, i));
      k.run(lruAddDrainAll(k.mm));
      for (let i = 0; i < 700; i++) {
        if (program.pfn(addr + i * PAGE)! % 2 === 0) program.unmap(addr + i * PAGE, 1);
      }
      const held: Page[] = [];
      while (k.manager.vmstat()['compact_stall'] === 0) {
        const folio = k.run(allocPages(k.mm, TAGGED, 4));
        if (folio === undefined) break;
        held.push(folio);
      }
      const compacted = k.manager.vmstat()['compact_success']!;
      k.expect(compacted > 0, 'R1', 'there was no compaction: the story does not show what it should');
      for (const folio of held) k.run(freePages(k.mm, folio, 4));
      return undefined;
    },
  }),

  story({
    id: 'R2',
    title: 'an order-6 folio where a block is two pages',
    expected: 'exactly one block of two pages is taken',
    world: { blockSizePages: 2, pageblockOrder: 6, tagPages: 128 },
    tell(k) {
      const before = k.manager.vmstat()['cma_alloc_success']!;
      k.step('a tagged folio of 64 pages is allocated');
      // In the middle: next to it, the zero page's block is taken already.
      const page = tagFolio(k, k.dataPfn(1024), 6);
      const taken = k.manager.vmstat()['cma_alloc_success']! - before;
      k.expect(taken === 2, '3', `${taken} pages of tag storage were taken`);
      k.free(page, 64);
      return undefined;
    },
  }),

  story({
    id: 'R3',
    title: 'the data in a block is pinned for ever',
    expected: 'the process goes on with another page in place of its own',
    tell(k) {
      const { attacker, victim, pfn, lent, pin, addr } = pinnedBlock(k);
      k.step('the victim writes a tag');
      victim.stg(addr + 32, 7);
      k.expect(victim.pfn(addr) !== pfn, 'progress', 'the page is still the one without a block');
      victim.expectTag(addr + 32, 7, "the victim's granule");
      victim.expectData(addr, 2, "the victim's page");
      attacker.expectData(lent, 1, "the attacker's page");
      pin.release();
      return `a page with a block took its place after ${victim.faults} faults in all`;
    },
  }),

  story({
    id: 'R4',
    title: 'a page and the data in its block are both pinned',
    expected: 'no hang and no corruption; within one fault after either pin drops the process goes on',
    tell(k) {
      for (const which of ['the page', 'the data in its block']) {
        const { attacker, victim, lent, pin, addr } = pinnedBlock(k);
        const own = k.pin(victim, addr, FOLL_PIN);
        k.step('with both pinned, the victim tries');
        const access = { write: true, exec: false, user: true, tagAccess: true };
        for (let i = 0; i < 10; i++) {
          const result = k.run(k.manager.handleMmFault(victim.as, va(addr), access));
          k.expect(result.kind === 'handled', 'progress', `a fault ends as ${result.kind}`);
        }
        k.expect(!victim.mapping(addr), '1', 'the page is mapped without its block');
        k.step(`the pin of ${which} drops`);
        const [first, second] = which === 'the page' ? [own, pin] : [pin, own];
        first.release();
        k.run(k.manager.handleMmFault(victim.as, va(addr), access));
        k.expect(victim.mapping(addr) !== undefined || victim.faults < 60, 'progress', 'still no mapping');
        victim.faults = 0;
        victim.stg(addr, 5);
        k.expect(victim.faults <= 1, 'progress', `${victim.faults} faults after the pin dropped`);
        second.release();
        victim.expectData(addr, 2, "the victim's page");
        attacker.expectData(lent, 1, "the attacker's page");
        for (const program of [attacker, victim]) program.exit();
        k.settle();
      }
      return undefined;
    },
  }),

  story({
    id: 'R13',
    title: "a chain of three: each page's tags lie where the next page is",
    expected: 'it ends, and every byte and every tag is kept',
    tell(k) {
      k.step('P2 lies in the block of P1, P3 in the block of where P2 might go');
      const program = k.program();
      const p1 = k.dataPfn(512);
      const at = [k.dataAt(program, p1, 1), k.dataAt(program, k.blockOf(p1), 2)];
      at.push(k.dataAt(program, k.blockOf(k.dataPfn(544)), 3));
      k.step('mprotect(PROT_MTE) on all, then the first is accessed, then the others');
      for (const addr of at) program.protect(addr, 1, RW | MTE);
      for (const [i, addr] of at.entries()) program.stg(addr + 16, i + 4);
      for (const [i, addr] of at.entries()) {
        program.expectTag(addr + 16, i + 4, `page ${i + 1}`);
        program.expectData(addr, i + 1, `page ${i + 1}`);
      }
      return undefined;
    },
  }),

  story({
    id: 'R17',
    title: 'a block is taken while very many pages are isolated',
    expected: 'it is taken; nothing waits for the isolated pages',
    tell(k) {
      k.step('a program fills memory, and somebody isolates most of it');
      const program = k.program();
      const addr = program.map(150, RW);
      for (let i = 0; i < 150; i++) program.store(addr + i * PAGE, pattern(i + 1));
      k.run(lruAddDrainAll(k.mm));
      const isolated = [...Array(150).keys()]
        .map((i) => k.page(program.pfn(addr + i * PAGE)!))
        .filter((page) => folioIsolateLru(k.mm, page));
      k.step('a page whose block holds data is tagged');
      const verify = fillBlocks(k, k.dataPfn(1024), 1);
      const other = k.program();
      const at = k.dataAt(other, k.dataPfn(1024), 9);
      other.protect(at, 1, RW | MTE);
      other.stg(at, 3);
      for (const page of isolated) k.run(folioPutbackLru(k.mm, page));
      verify();
      other.expectData(at, 9, 'the tagged page');
      return `${isolated.length} pages were isolated meanwhile`;
    },
  }),

  story({
    id: 'R18',
    title: 'a process is killed while its tagged pages get their blocks',
    expected: 'it dies, and nobody speaks of memory running out',
    tell(k) {
      k.step('a page whose block holds data is about to be tagged, and SIGKILL is pending');
      const verify = fillBlocks(k, k.dataPfn(512), 1);
      const program = k.program();
      const at = k.dataAt(program, k.dataPfn(512), 9);
      program.protect(at, 1, RW | MTE);
      k.contexts.current.fatalSignalPending = true;
      const access = { write: true, exec: false, user: true, tagAccess: true };
      const result = k.run(k.manager.handleMmFault(program.as, va(at), access));
      k.step('it dies');
      program.exit();
      k.contexts.current.fatalSignalPending = false;
      k.expect(result.kind === 'killed', 'kill', `the fault ends as ${result.kind}`);
      k.expect(!k.log.some((line) => /memory/i.test(line) && /out of/i.test(line)), 'kill', 'an OOM report');
      verify();
      return undefined;
    },
  }),

  story({
    id: 'R19',
    title: 'one process pins as much tag storage as it can, to starve the others',
    expected: 'every tagged access of the others is done after a bounded number of faults',
    world: { tagPages: 32 },
    tell(k) {
      k.step('the attacker pins data in three of four pages of tag storage');
      const attacker = k.program();
      const region = k.regions[0]!;
      for (let i = 0; i < 32; i++) {
        const pfn = region.tagStartPfn + i;
        if (i % 4 === 3 || k.manager.ownerOfTagPage(pfn).kind !== 'free') continue;
        k.pin(attacker, k.dataAt(attacker, pfn, i + 1));
      }
      k.step('a victim makes 32 pages tagged and writes to each');
      const victim = k.program();
      const pages = 32;
      const addr = victim.map(pages, RW);
      for (let i = 0; i < pages; i++) victim.store(addr + i * PAGE, pattern(i));
      victim.protect(addr, pages, RW | MTE);
      let worst = 0;
      for (let i = 0; i < pages; i++) {
        victim.faults = 0;
        victim.stg(addr + i * PAGE, 1 + (i % 15));
        worst = Math.max(worst, victim.faults);
      }
      for (let i = 0; i < pages; i++) {
        victim.expectTag(addr + i * PAGE, 1 + (i % 15), `page ${i}`);
        victim.expectData(addr + i * PAGE, i, `page ${i}`);
      }
      k.expect(worst <= 4, 'progress', `an access took ${worst} faults`);
      return `at most ${worst} faults an access; longest retry chain ${k.metric('longestRetryChain')}`;
    },
  }),

  story({
    id: 'R23',
    title: 'unmovable memory runs out while tag storage is free',
    expected: 'the allocation fails cleanly, and the metric says how much tag storage was free',
    world: { tagPages: 32 },
    tell(k) {
      k.step('the kernel allocates until nothing is left for it');
      const held: Page[] = [];
      for (;;) {
        const page = k.run(allocPages(k.mm, GFP_KERNEL, 0));
        if (page === undefined) break;
        k.expect(!k.mm.hooks.isTagStoragePage(page), '5', 'unmovable memory lies in tag storage');
        held.push(page);
      }
      const { free } = k.manager.snapshotTagStorage();
      k.expect(free > 0, 'R23', 'tag storage is not free: the story does not show what it should');
      k.expect(k.metric('unmovableFailedWithFreeTagStorage') > 0, 'R23', 'nobody counted it');
      for (const page of held) k.run(freePages(k.mm, page, 0));
      return `${free} pages of tag storage were free when it failed`;
    },
  }),

  story({
    id: 'F1',
    title: 'a tagged huge page where a block is two pages',
    expected: 'all 16 pages of tag storage are emptied first; freed page by page, each block comes back',
    world: { blockSizePages: 2, tagPages: 128, pageblockOrder: 6 },
    tell(k) {
      k.step("a neighbour's data fills the 16 pages that will hold the tags");
      const pfn = k.dataPfn(1024);
      const verify = fillBlocks(k, pfn, 512);
      k.step('512 pages are allocated as one, tagged, and every granule gets a tag');
      const page = tagFolio(k, pfn, 9);
      verify();
      k.settle();
      k.step('it is split and freed page by page');
      k.free(page, 512);
      k.expectNoWarning('4');
      return undefined;
    },
  }),

  story({
    id: 'F3',
    title: 'a folio that straddles two blocks, for they are three pages each',
    expected: 'both blocks are taken',
    world: { blockSizePages: 3, tagPages: 192, pageblockOrder: 6 },
    tell(k) {
      k.step("a neighbour's data fills the blocks of 64 pages that begin in the middle of one");
      // 32 pages of tag storage before it, and blocks of three: two of its pages lie in different blocks.
      const pfn = k.dataPfn(1024);
      const verify = fillBlocks(k, pfn, 64);
      k.step('the 64 pages are allocated as one and tagged');
      const page = tagFolio(k, pfn, 6);
      verify();
      k.settle();
      k.free(page, 64);
      return undefined;
    },
  }),

  story({
    id: 'F4',
    title: 'a block that is free is taken as it is',
    expected:
      'no isolation, no interrupt to other CPUs; refcount 1 a page; a half-free block is not reported free',
    world: { blockSizePages: 2, tagPages: 128, pageblockOrder: 6 },
    tell(k) {
      k.step('a tagged page is allocated whose block is free');
      const [drains, lru] = [k.metric('pcpDrains'), k.metric('lruDrains')];
      const page = tagFolio(k, k.dataPfn(1024), 0);
      k.expect(k.metric('reserveFast') > 0, 'fast-path', 'the fast path was not taken for a free block');
      k.expect(
        k.mm.memmap.refcount[k.page(k.blockOf(k.dataPfn(1024)) + 1)] === 1,
        '3',
        'second page of the block',
      );
      k.step('one page of another block is pinned data: the block must be refused whole');
      const neighbour = k.program();
      const half = k.blockOf(k.dataPfn(1536));
      const addr = k.dataAt(neighbour, half + 1, 4);
      const pin = k.pin(neighbour, addr);
      const refused = tagFolio(k, k.dataPfn(1536), 0);
      k.expect(
        !k.mm.memmap.test(refused, PG_tag_storage_reserved),
        '3',
        'a block with pinned data was handed over',
      );
      k.expect(k.manager.ownerOfTagPage(half).kind === 'free', '10', 'the free half was not given back');
      neighbour.expectData(addr, 4, 'the pinned page');
      pin.release();
      k.free(refused);
      k.free(page);
      return `${k.metric('pcpDrains') - drains} drains of page lists and ${k.metric('lruDrains') - lru} of LRU batches, all for the block that was not free`;
    },
  }),

  story({
    id: 'F19',
    title: 'the trace of cma_alloc_range says how many tries there were',
    expected: 'one for a free block, three for one that stays pinned',
    tell(k) {
      const seen: number[] = [];
      k.mm.trace = (event, fields) => {
        if (event === 'cma_alloc_range_finish') seen.push(Number(fields['attempts']));
      };
      const pages = [512, 1024, 1536].map((n) => k.take(k.dataPfn(n)));
      const neighbour = k.program();
      const lent = [1024, 1536].map((n) => k.dataAt(neighbour, k.blockOf(k.dataPfn(n)), n));
      const pin = k.pin(neighbour, lent[0]!);
      seen.length = 0;
      k.step('a free block, one whose data is pinned, one taken by a process that is being killed');
      for (const [i, page] of pages.entries()) {
        k.contexts.current.fatalSignalPending = i === 2;
        k.run(k.mm.hooks.archAllocPage(page, 0, TAGGED));
      }
      k.contexts.current.fatalSignalPending = false;
      neighbour.expectData(lent[1]!, 1536, "the neighbour's page");
      pin.release();
      for (const page of pages) k.free(page);
      k.expect(seen.join() === '1,3,1', 'trace', `attempts in the trace: ${seen.join(', ')}`);
      return undefined;
    },
  }),

  story({
    id: 'F20',
    title: 'sixteen pages become tagged together, and one has no block',
    expected: 'all are fault-on-access; pages tagged before keep their tags, the others are zeroed once',
    tell(k) {
      k.step('fifteen pages are tagged or untagged with their block, one is without');
      const first = k.dataPfn(512);
      const pages = k.take(first, 16);
      for (let i = 0; i < 15; i++) k.run(k.mm.hooks.archAllocPage((pages + i) as Page, 0, TAGGED));
      for (let i = 0; i < 8; i++) {
        k.mm.hooks.tagClearHighpage((pages + i) as Page);
        k.memory.fillTags(PA((first + i) * PAGE), PAGE, i + 1);
      }
      k.step('one call maps all of them');
      const program = k.program();
      const addr = program.map(1, RW | MTE);
      program.load(addr, 1);
      // The entry that a tagged mapping of the zero page has, for the first of the pages, not special.
      const entry = (k.readPte(program, addr) & ~SPECIAL & ~ADDRESS) | BigInt(first * PAGE);
      const written = k.run(k.mm.hooks.mteSyncTags(entry, pages, 16));
      k.expect((written & VALID) === 0n && (written & FAULT_ON_ACCESS) !== 0n, '1', 'the entries are valid');
      for (let i = 0; i < 15; i++) {
        const tag = k.memory.readTag(PA((first + i) * PAGE + 64));
        k.expect(tag === (i < 8 ? i + 1 : 0), '8', `page ${i} has tag ${tag}`);
      }
      program.exit();
      k.free(pages, 16);
      return undefined;
    },
  }),
];
