/**
 * What the memory manager's operations cost, on machines from 1 to 16 GiB without contents.
 *
 * Each operation is done often enough to be timed, and its work is counted as well: descriptors read and written,
 * pages moved, interrupts to all CPUs. The count says whether an operation is flat in the size of the machine, on
 * any host and under any load; the time says what that is worth here.
 */
import { GiB, VA } from '../base/index.js';
import type { AddressSpace, KernelMemoryManager, MaySleep, Mm, Page } from '../kernel/index.js';
import {
  __GFP_TAGGED,
  allocContigRange,
  allocPages,
  freePages,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  lruAddDrainAll,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  splitPage,
  unusedPages,
} from '../kernel/index.js';
import { bootContentFree, type ContentFree } from './content-free.js';

/** Work per operation, averaged. */
export interface Work {
  readonly descriptorReads: number;
  readonly descriptorWrites: number;
  readonly pagesMigrated: number;
  /** drain_all_pages and lru_add_drain_all: each an interrupt to every CPU. */
  readonly drains: number;
}

export interface KernelOperation {
  readonly name: string;
  /** What one operation is. */
  readonly unit: string;
  readonly operations: number;
  readonly seconds: number;
  readonly work: Work;
}

export interface KernelBench {
  /** Bytes of tagged DRAM. */
  readonly memory: number;
  readonly bootSeconds: number;
  readonly operations: readonly KernelOperation[];
}

export const BENCH_SIZES: readonly number[] = [1, 2, 4, 8, 16].map((n) => n * GiB);

const RW = PROT_READ | PROT_WRITE;
const TAGGED = GFP_HIGHUSER_MOVABLE | __GFP_TAGGED;
/** Pages taken before any is given back, so that per-CPU lists and buddy both work. */
const BATCH = 48;
/** The largest block of the buddy allocator, in pages. */
const LARGEST = 10;

/** How often each operation is done; tests do less. */
export interface BenchAmounts {
  readonly pairs: number;
  readonly faults: number;
  readonly reserves: number;
  readonly contigRanges: number;
  /** Bytes of the process that forks. */
  readonly forked: number;
}

export const FULL_AMOUNTS: BenchAmounts = {
  pairs: 200_000,
  faults: 50_000,
  reserves: 3000,
  contigRanges: 40,
  forked: GiB,
};

class Stage {
  readonly k: ContentFree;
  readonly mm: Mm;
  readonly manager: KernelMemoryManager;
  readonly results: KernelOperation[] = [];
  readonly #clock: () => number;

  constructor(k: ContentFree, clock: () => number) {
    this.#clock = clock;
    this.k = k;
    this.manager = k.manager;
    this.mm = k.manager.mm;
  }

  run<T>(work: MaySleep<T>): T {
    return this.k.contexts.runToCompletion(work);
  }

  #counts() {
    const { metrics, events } = this.mm;
    const { port } = this.k;
    return [
      port.reads,
      port.writes,
      events.pgmigrate_success,
      metrics.pcpDrains + metrics.lruDrains,
    ] as const;
  }

  /** Runs `work`, which does something `operations` times, and notes what that took. */
  measure(name: string, unit: string, operations: number, work: () => MaySleep<void>): void {
    const before = this.#counts();
    const start = this.#clock();
    this.run(work());
    const seconds = this.#clock() - start;
    const [descriptorReads, descriptorWrites, pagesMigrated, drains] = this.#counts().map(
      (count, i) => (count - before[i]!) / operations,
    ) as [number, number, number, number];
    const done = { descriptorReads, descriptorWrites, pagesMigrated, drains };
    this.results.push({ name, unit, operations, seconds, work: done });
  }

  *touch(as: AddressSpace, addr: number, pages: number): MaySleep<void> {
    for (let i = 0; i < pages; i++) {
      const result = yield* this.manager.handleMmFault(as, VA(BigInt(addr + i * this.mm.pageSize)), {
        write: true,
        exec: false,
        user: true,
        tagAccess: false,
      });
      if (result.kind !== 'handled') throw new Error(`fault ${i} of ${pages}: ${result.kind}`);
    }
  }

  /** A process with `pages` pages of anonymous memory at the address that is returned with it. */
  program(pages: number, prot: number): { readonly as: AddressSpace; readonly addr: number } {
    const as = this.run(this.manager.createAddressSpace())!;
    const addr = this.run(
      this.manager.mmap(as, {
        addr: VA(0n),
        length: pages * this.mm.pageSize,
        prot,
        flags: MAP_PRIVATE | MAP_ANONYMOUS,
      }),
    );
    if (addr < 0) throw new Error(`mmap of ${pages} pages: ${addr}`);
    return { as, addr };
  }
}

function pairs(s: Stage, count: number): void {
  const held: Page[] = [];
  const rounds = Math.ceil(count / BATCH);
  s.measure('allocate and free, order 0', 'pair', rounds * BATCH, function* () {
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < BATCH; i++) held.push((yield* allocPages(s.mm, GFP_HIGHUSER_MOVABLE, 0))!);
      while (held.length > 0) yield* freePages(s.mm, held.pop()!, 0);
    }
  });
}

function faults(s: Stage, count: number): void {
  for (const [name, prot] of [
    ['page faults', RW],
    ['page faults, PROT_MTE', RW | PROT_MTE],
  ] as const) {
    const { as, addr } = s.program(count, prot);
    s.measure(name, 'fault', count, () => s.touch(as, addr, count));
    s.measure(`${name}, and unmapping`, 'page', count, () => s.manager.exitMmap(as));
  }
}

/** The data page that is first in the block whose tags lie in a page of tag storage. */
function dataPfnOf(k: ContentFree, tagPfn: number): number {
  const region = k.regions.find(({ tagStartPfn, tagEndPfn }) => tagPfn >= tagStartPfn && tagPfn <= tagEndPfn);
  if (region === undefined) throw new Error('the page is not tag storage');
  const block = Math.floor((tagPfn - region.tagStartPfn) / region.blockSizePages);
  return region.memStartPfn + block * region.blockSizePages * 32;
}

/** Ordinary memory, taken out of the allocator in the largest blocks, and given back page by page or whole. */
class Held {
  readonly #s: Stage;
  readonly #blocks = new Set<Page>();
  /** Blocks that are single pages by now; of each, those given back. */
  readonly #split = new Map<Page, Set<Page>>();

  /** @param spare blocks that stay free. */
  constructor(s: Stage, spare: number) {
    this.#s = s;
    const take = () => s.run(allocPages(s.mm, GFP_KERNEL, LARGEST));
    for (let page = take(); page !== undefined; page = take()) this.#blocks.add(page);
    for (const page of [...this.#blocks].slice(0, spare)) {
      this.#blocks.delete(page);
      s.run(freePages(s.mm, page, LARGEST));
    }
  }

  /** A held page, from now on its own; undefined where it is not held. */
  single(page: Page): Page | undefined {
    const block = (page - (page % 2 ** LARGEST)) as Page;
    if (!this.#blocks.has(block)) return undefined;
    if (!this.#split.has(block)) {
      splitPage(this.#s.mm, block, LARGEST);
      this.#split.set(block, new Set());
    }
    return page;
  }

  give(page: Page): void {
    this.#split.get((page - (page % 2 ** LARGEST)) as Page)!.add(page);
    this.#s.run(freePages(this.#s.mm, page, 0));
  }

  /** Pages of held blocks that are `stride` apart. */
  *singles(stride: number): Generator<Page> {
    for (const block of this.#blocks) {
      for (let i = 0; i < 2 ** LARGEST; i += stride) yield this.single((block + i) as Page)!;
    }
  }

  release(): void {
    const { mm } = this.#s;
    for (const block of this.#blocks) {
      const given = this.#split.get(block);
      if (given === undefined) {
        this.#s.run(freePages(mm, block, LARGEST));
        continue;
      }
      for (let i = 0; i < 2 ** LARGEST; i++) {
        const page = (block + i) as Page;
        if (!given.has(page)) this.#s.run(freePages(mm, page, 0));
      }
    }
  }
}

/**
 * Blocks taken for one page each: from free tag storage, and from under data that must move. Ordinary memory is
 * held, so that a program's data comes to lie in tag storage.
 */
function reserves(s: Stage, count: number): void {
  const { mm, k } = s;
  // Spare for page tables.
  const held = new Held(s, 1);
  const measure = (name: string, pages: readonly Page[]): void => {
    if (pages.length === 0) throw new Error(`${name}: no page is where it should be`);
    s.measure(name, 'block', pages.length, function* () {
      for (const page of pages) yield* mm.hooks.archAllocPage(page, 0, TAGGED);
    });
    for (const page of pages) held.give(page);
  };

  // Ordinary memory is used up to where CMA is preferred; what comes then lies in tag storage.
  const most = unusedPages(mm) - 512;
  const { as, addr } = s.program(most, RW);
  const occupied = new Map<number, Page>();
  for (let i = 0; i < most && occupied.size < count; i++) {
    const at = addr + i * mm.pageSize;
    s.run(s.touch(as, at, 1));
    const pfn = s.manager.residentPfn(as, VA(BigInt(at)))!;
    if (!mm.hooks.isTagStoragePage(mm.memmap.pfnToPage(pfn)!)) continue;
    const data = dataPfnOf(k, pfn);
    const page = held.single(mm.memmap.pfnToPage(data)!);
    if (page !== undefined) occupied.set(data, page);
  }
  measure('reserve, block holds data', [...occupied.values()]);
  s.run(s.manager.exitMmap(as));
  s.run(lruAddDrainAll(mm));

  const free: Page[] = [];
  for (const page of held.singles(32 * k.regions[0]!.blockSizePages)) {
    if (mm.memmap.refcount[page] === 1) free.push(page);
    if (free.length === count) break;
  }
  measure('reserve, block free', free);
  held.release();
}

/** Whole pageblocks full of a program's pages, which must all move. */
function contigRanges(s: Stage, count: number): void {
  const { mm } = s;
  const size = mm.memmap.pageblockNrPages;
  const pages = 2 * size * (count + 1);
  const { as, addr } = s.program(pages, RW);
  s.run(s.touch(as, addr, pages));
  const residents = new Map<number, number>();
  for (let i = 0; i < pages; i++) {
    const pfn = s.manager.residentPfn(as, VA(BigInt(addr + i * mm.pageSize)))!;
    const block = mm.memmap.pfnToPage(pfn)! & -size;
    residents.set(block, (residents.get(block) ?? 0) + 1);
  }
  const blocks = [...residents].filter(([, n]) => n === size).map(([block]) => block as Page);
  const ranges = blocks.slice(0, count);
  if (ranges.length === 0) throw new Error('no pageblock is full of one program');
  s.measure('alloc_contig_range, all in use', 'page', ranges.length * size, function* () {
    for (const start of ranges) {
      const type = mm.memmap.pageblockMigratetype(start);
      const error = yield* allocContigRange(mm, start, start + size, type);
      if (error !== 0) throw new Error(`alloc_contig_range: ${error}`);
    }
  });
  for (const start of ranges) {
    for (let i = 0; i < size; i++) s.run(freePages(mm, (start + i) as Page, 0));
  }
  s.run(s.manager.exitMmap(as));
}

/** A process whose memory is all there; half the machine where that is smaller than was asked for. */
function forks(s: Stage, memory: number, bytes: number): void {
  const pages = Math.min(bytes, memory / 2) / s.mm.pageSize;
  const { as, addr } = s.program(pages, RW);
  s.run(s.touch(as, addr, pages));
  let child: AddressSpace | number | undefined;
  s.measure('fork', 'page', pages, function* () {
    child = yield* s.manager.cloneAddressSpace(as);
  });
  if (typeof child !== 'object') throw new Error(`fork: ${child}`);
  s.run(s.manager.exitMmap(child));
  s.run(s.manager.exitMmap(as));
}

const wallClock = (): number => performance.now() / 1000;

/**
 * Boots a machine of `memory` bytes and measures every operation on it.
 *
 * @param clock seconds; the time the process has had of its CPU, where the host can tell.
 * @throws Error where memory does not end as it began.
 */
export function kernelBench(
  memory: number,
  amounts: BenchAmounts = FULL_AMOUNTS,
  clock: () => number = wallClock,
): KernelBench {
  const start = clock();
  const k = bootContentFree({ memory });
  const bootSeconds = clock() - start;
  const s = new Stage(k, clock);
  const unused = unusedPages(s.mm);
  pairs(s, amounts.pairs);
  faults(s, amounts.faults);
  reserves(s, amounts.reserves);
  contigRanges(s, amounts.contigRanges);
  forks(s, memory, amounts.forked);
  s.run(lruAddDrainAll(s.mm));
  const lost = unused - unusedPages(s.mm);
  if (lost !== 0) throw new Error(`${lost} pages are lost`);
  return { memory, bootSeconds, operations: s.results };
}
