/**
 * Races: two CPUs, or a CPU and an interrupt on it, in every order of their steps that the search tries
 * (tag-storage.md 4.7, 6.3 to 6.6).
 */
import type { MaySleep, Page } from '../../kernel/index.js';
import {
  __GFP_TAGGED,
  allocPages,
  folioIsolateLru,
  folioPutbackLru,
  freePages,
  GFP_HIGHUSER_MOVABLE,
  KernelBug,
  lruAddDrainAll,
  migratePages,
  PG_tag_storage_reserved,
} from '../../kernel/index.js';
import { type Program, pattern } from './program.js';
import { race } from './scenario.js';
import { MTE, PAGE, RW, va, type World } from './world.js';

const TAGGED = GFP_HIGHUSER_MOVABLE | __GFP_TAGGED;

/** A tagged page that was moved to a frame without its block: its tags are in the stash. */
export function stashedPage(k: World, program: Program, seed: number, tag: number): number {
  const addr = program.map(1, RW | MTE);
  program.store(addr, pattern(seed));
  program.tagPage(addr, tag);
  k.place(program, addr, k.dataPfn(512 + 32 * seed));
  return addr;
}

/** Two free frames, the first with valid tags `tag`, neither mapped; the second has no block. */
function copyPair(k: World, tag: number): { readonly from: Page; readonly to: Page } {
  const from = k.take(k.dataPfn(512));
  k.run(k.mm.hooks.archAllocPage(from, 0, TAGGED));
  if (!k.mm.memmap.test(from, PG_tag_storage_reserved)) throw new Error('the block cannot be had');
  k.mm.hooks.tagClearHighpage(from);
  k.memory.writeBytes(k.mm.pageToPa(from), pattern(3));
  k.memory.fillTags(k.mm.pageToPa(from), PAGE, tag);
  return { from, to: k.take(k.dataPfn(1024)) };
}

/** copy_highpage() where sleeping is allowed. */
function* copyHighpage(k: World, to: Page, from: Page): MaySleep<void> {
  const { hooks } = k.mm;
  for (let again = true; again; ) {
    const preparation = yield* hooks.copyHighpagePrepare(to, from);
    if (typeof preparation === 'number') throw new Error(`no memory: ${preparation}`);
    again = (yield* hooks.copyHighpage(to, from, preparation)) !== 0;
    yield* hooks.copyHighpageEnd(preparation);
  }
}

/** Moves a page somewhere untagged, as compaction would. */
function* migrateAway(k: World, page: Page): MaySleep<void> {
  if (!folioIsolateLru(k.mm, page)) return;
  const list = [page];
  yield* migratePages(k.mm, list, () => allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0));
  for (const left of list) yield* folioPutbackLru(k.mm, left);
}

/** The block of `to` is taken for it, and its tags must then be those of the source. */
function expectTags(k: World, to: Page, tag: number): void {
  // Twice: the first may be made to fail.
  for (let i = 0; i < 2 && !k.mm.memmap.test(to, PG_tag_storage_reserved); i++) {
    k.run(k.mm.hooks.archAllocPage(to, 0, TAGGED));
  }
  const got = k.memory.readTag(k.mm.pageToPa(to));
  k.expect(got === tag, '8', `the copy's tag is ${got}, not ${tag}`);
}

const isSelfDeadlock = (error: unknown) => error instanceof KernelBug && error.kind === 'recursive-lock';

export const RACES = [
  race({
    id: 'R5',
    title: 'tags come back from the stash while two threads look on',
    expected: 'each sees the tag that was there, or faults',
    setUp(k) {
      const program = k.program();
      return { program, addr: stashedPage(k, program, 1, 7), seen: [] as number[] };
    },
    cpus: (_k, s) => ({
      'cpu 0 (load)': s.program.ldgTask(s.addr + 32, (tag) => s.seen.push(tag)),
      'cpu 1 (load)': s.program.ldgTask(s.addr + 48, (tag) => s.seen.push(tag)),
    }),
    afterwards(k, s) {
      k.expect(s.seen.join() === '7,7', '8', `the threads saw ${s.seen.join(' and ')}, not 7 and 7`);
    },
  }),

  race({
    id: 'R6',
    title: 'tags come back from the stash, and the kernel warns of none',
    expected: 'no page is ever marked tagged before it is marked reserved',
    setUp(k) {
      const program = k.program();
      return { program, addr: stashedPage(k, program, 1, 7), seen: [] as number[] };
    },
    cpus: (_k, s) => ({
      'cpu 0 (load)': s.program.ldgTask(s.addr, (tag) => s.seen.push(tag)),
      'cpu 1 (load)': s.program.ldgTask(s.addr + 16, (tag) => s.seen.push(tag)),
    }),
    afterwards(k, s) {
      k.expectNoWarning('2');
      k.expect(s.seen.join() === '7,7', '8', `the threads saw ${s.seen.join(' and ')}, not 7 and 7`);
    },
  }),

  race({
    id: 'R14',
    title: 'a page migrates while mprotect(PROT_MTE) and a first tag store happen to it',
    expected: 'the tag arrives with the page, and nobody else loses data',
    setUp(k) {
      const program = k.program();
      const addr = program.map(1, RW);
      program.store(addr, pattern(5));
      k.run(lruAddDrainAll(k.mm));
      return { program, addr, page: k.page(program.pfn(addr)!) };
    },
    cpus: (k, s) => ({
      'cpu 0 (compaction)': migrateAway(k, s.page),
      'cpu 1 (program)': (function* () {
        yield* k.manager.mprotect(s.program.as, va(s.addr), PAGE, RW | MTE);
        yield* s.program.stgTask(s.addr + 64, 9);
      })(),
    }),
    afterwards(_k, s) {
      s.program.expectTag(s.addr + 64, 9, 'the granule');
      s.program.expectTag(s.addr, 0, 'its neighbour');
      s.program.expectData(s.addr, 5, 'the page');
    },
  }),

  race({
    id: 'F9',
    title: 'tags are saved for a page at the very end of its getting its block',
    expected: 'they reach the page; no stash entry is left that nobody will read',
    setUp(k) {
      // What swap-in by one sharer and an access by the other do to a page of the swap cache.
      const pair = copyPair(k, 7);
      return pair;
    },
    cpus: (k, s) => ({
      'cpu 0 (reserve)': k.mm.hooks.archAllocPage(s.to, 0, TAGGED),
      'cpu 1 (save)': copyHighpage(k, s.to, s.from),
    }),
    // Whether the saver deadlocks is F22.
    aboutAnother: isSelfDeadlock,
    afterwards(k, s) {
      k.settle();
      expectTags(k, s.to, 7);
      for (const page of [s.from, s.to]) k.free(page);
    },
  }),

  race({
    id: 'F10',
    title: 'a copy from a page with stashed tags, and the destination gets its block meanwhile',
    expected: 'the copy has the tags',
    setUp(k) {
      const { from, to } = copyPair(k, 7);
      // The source's tags go to the stash of a third page, which is the source from now on.
      const stashed = k.take(k.dataPfn(1536));
      k.run(copyHighpage(k, stashed, from));
      k.free(from);
      return { from: stashed, to };
    },
    cpus: (k, s) => ({
      'cpu 0 (reserve)': k.mm.hooks.archAllocPage(s.to, 0, TAGGED),
      'cpu 1 (copy)': copyHighpage(k, s.to, s.from),
    }),
    afterwards(k, s) {
      expectTags(k, s.to, 7);
      for (const page of [s.from, s.to]) k.free(page);
    },
  }),

  race({
    id: 'F11',
    title: 'an interrupt frees a tagged page while its CPU holds the stash',
    expected: 'no deadlock is possible: the lock is only ever taken with interrupts off',
    world: { cpus: 1 },
    setUp(k) {
      const program = k.program();
      const addr = stashedPage(k, program, 1, 7);
      stashedPage(k, program, 2, 8);
      const freed = k.take(k.dataPfn(1024));
      k.run(k.mm.hooks.archAllocPage(freed, 0, TAGGED));
      return { program, addr, freed };
    },
    cpus: (k, s) => ({
      'cpu 0 (load)': s.program.ldgTask(s.addr, () => {}),
      'irq (free)': freePages(k.mm, s.freed, 0),
    }),
    afterwards(_k, s) {
      s.program.expectTag(s.addr, 7, 'the page');
    },
  }),

  race({
    id: 'F22',
    title: 'a page becomes reserved while its tags are being stashed',
    expected: 'the tags go to the page itself; nobody waits for a lock it holds',
    setUp: (k) => copyPair(k, 7),
    cpus: (k, s) => ({
      'cpu 0 (reserve)': k.mm.hooks.archAllocPage(s.to, 0, TAGGED),
      'cpu 1 (stash)': copyHighpage(k, s.to, s.from),
    }),
    afterwards(k, s) {
      expectTags(k, s.to, 7);
      for (const page of [s.from, s.to]) k.free(page);
    },
  }),

  race({
    id: 'F23',
    title: 'an interrupt frees a tagged page while its CPU records a block',
    expected: 'no deadlock is possible, and interrupts are on afterwards',
    world: { cpus: 1 },
    setUp(k) {
      const freed = k.take(k.dataPfn(512));
      k.run(k.mm.hooks.archAllocPage(freed, 0, TAGGED));
      return { freed, taken: k.take(k.dataPfn(1024)) };
    },
    cpus: (k, s) => ({
      'cpu 0 (reserve)': k.mm.hooks.archAllocPage(s.taken, 0, TAGGED),
      'irq (free)': freePages(k.mm, s.freed, 0),
    }),
    afterwards(k, s) {
      k.expect(k.contexts.current.irqsOff === 0, 'irqs', 'interrupts are off');
      k.free(s.taken);
    },
  }),
];
