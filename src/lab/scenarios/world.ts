/**
 * The stage of a scenario: kernel memory on a real memory system, with programs, pins and placement.
 *
 * DRAM, tag controller and caches are the machine's own, so tags are bytes of the carve-out and a page
 * whose block was not emptied destroys somebody's data. Programs are made of plain calls: each access
 * walks the tables in DRAM and faults as hardware with an empty TLB would.
 *
 * A World says what is wrong by throwing `Broken`, with the number of the invariant (tag-storage.md 12) or
 * the name of a rule.
 */
import { PA, VA } from '../../base/index.js';
import type {
  AddressSpace,
  FailureInjector,
  KernelMemoryManager,
  MaySleep,
  Mm,
  MmStruct,
  Page,
  PageSize,
  PhysRange,
  TagRegion,
} from '../../kernel/index.js';
import {
  allocContigRange,
  bootMemory,
  Contexts,
  FOLL_PIN,
  FOLL_WRITE,
  folioBlocks,
  folioIsolateLru,
  folioPutbackLru,
  freePages,
  GFP_HIGHUSER_MOVABLE,
  getUserPage,
  lruAddDrainAll,
  migratePages,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  Scheduler,
  tryToFreePages,
  unpinUserPage,
} from '../../kernel/index.js';
import { createMachine, type MemorySystem, modelledCaches, type TagRange } from '../../machine/index.js';
import { Program, pattern } from './program.js';

export const PAGE = 4096;
export const RW = PROT_READ | PROT_WRITE;
export const MTE = PROT_MTE;
const MEM_BASE = 0x4000_0000;

/** What a scenario found broken. */
export class Broken extends Error {
  /** Number in section 12, or the name of a rule. */
  readonly invariant: string;

  constructor(invariant: string, message: string) {
    super(message);
    this.name = 'Broken';
    this.invariant = invariant;
  }
}

export interface WorldOptions {
  /** Default 4 KiB, which is what stories with PAGE in them need. */
  readonly pageSize?: PageSize;
  /** Pages of tag storage in the one region; its data is 32 times that. Default 64. */
  readonly tagPages?: number;
  /** Pages; default 5 (32 pages). */
  readonly pageblockOrder?: number;
  readonly blockSizePages?: number;
  readonly cpus?: number;
  /** Write-back data and tag caches, incoherent with each other. */
  readonly caches?: boolean;
  readonly mte?: boolean;
  /** Pages of the swap device; none by default. */
  readonly swapPages?: number;
  readonly numa?: boolean;
  /** Instead of the one region. */
  readonly layout?: {
    readonly banks: readonly PhysRange[];
    readonly regions: readonly TagRegion[];
    /** As the hardware has it, where the tree says otherwise. */
    readonly hardware?: readonly TagRange[];
  };
  readonly reserved?: readonly PhysRange[];
  readonly shouldFail?: FailureInjector;
  readonly betweenInitcalls?: (mm: Mm, memory: MemorySystem) => void;
}

/** One region: data from 1 GiB on, its tag storage behind it. */
function oneRegion({ pageSize = PAGE, tagPages = 64, blockSizePages = 1 }: WorldOptions) {
  const base = MEM_BASE / pageSize;
  const dataPages = tagPages * 32;
  const region: TagRegion = {
    memStartPfn: base,
    memEndPfn: base + dataPages - 1,
    tagStartPfn: base + dataPages,
    tagEndPfn: base + dataPages + tagPages - 1,
    blockSizePages,
  };
  return { banks: [{ base: PA(MEM_BASE), size: (dataPages + tagPages) * pageSize }], regions: [region] };
}

/** What the tag controller is programmed with for a region of the tree. */
const tagRange = (region: TagRegion, pageSize: number): TagRange => ({
  memBase: region.memStartPfn * pageSize,
  memSize: (region.memEndPfn - region.memStartPfn + 1) * pageSize,
  tagBase: region.tagStartPfn * pageSize,
  blockSize: pageSize,
});

export class World {
  readonly contexts: Contexts;
  readonly memory: MemorySystem;
  readonly manager: KernelMemoryManager;
  readonly mm: Mm;
  readonly regions: readonly TagRegion[];
  readonly pageSize: PageSize;
  /** dmesg. */
  readonly log: string[] = [];
  /** Where the story is, for reports. */
  position = 'boot';
  /** Programs that have not ended. */
  readonly programs = new Set<Program>();
  /** Calls of each operation that can fail, since one was made to. */
  readonly calls = new Map<string, number>();

  constructor(policy: string, options: WorldOptions, seed: number) {
    const layout = { hardware: undefined, ...(options.layout ?? oneRegion(options)) };
    this.regions = layout.regions;
    this.pageSize = options.pageSize ?? PAGE;
    const machine = createMachine({
      banks: layout.banks,
      tagRanges: layout.hardware ?? layout.regions.map((region) => tagRange(region, this.pageSize)),
      seed,
      ...(options.caches ? { caches: modelledCaches } : {}),
    });
    this.memory = machine.memory;
    this.contexts = new Contexts(options.cpus ?? 4);
    const { betweenInitcalls, shouldFail } = options;
    this.manager = bootMemory({
      port: this.memory,
      contexts: this.contexts,
      tlb: { flushTlbPage() {}, flushTlbRange() {}, flushTlbMm() {} },
      banks: layout.banks,
      reserved: options.reserved ?? [],
      tagRegions: layout.regions,
      pageSize: this.pageSize,
      policy,
      pageblockOrder: options.pageblockOrder ?? 5,
      mte: options.mte ?? true,
      swapPages: options.swapPages ?? 0,
      numa: options.numa ?? true,
      log: (line) => this.log.push(line),
      ...(shouldFail ? { shouldFail } : {}),
      ...(betweenInitcalls ? { betweenInitcalls: (mm: Mm) => betweenInitcalls(mm, this.memory) } : {}),
    });
    this.mm = this.manager.mm;
    this.mm.shouldFail = () => false;
  }

  /** From now on the n-th call of an operation fails, and no other. */
  inject({ operation, nth }: { readonly operation: string; readonly nth: number }): void {
    this.mm.shouldFail = (what) => {
      const call = (this.calls.get(what) ?? 0) + 1;
      this.calls.set(what, call);
      return what === operation && call === nth;
    };
  }

  /** Names the step that follows. */
  step(text: string): void {
    this.position = text;
  }

  run<T>(work: MaySleep<T>): T {
    return this.contexts.runToCompletion(work);
  }

  /** Runs work that may never end, for at most `steps` turns on the CPU. */
  runBounded<T>(work: MaySleep<T>, steps = 3000): T {
    let result: { readonly value: T } | undefined;
    const scheduler = new Scheduler(this.contexts);
    scheduler.spawn(
      'task',
      (function* () {
        result = { value: yield* work };
      })(),
      { cpu: 0 },
    );
    try {
      scheduler.run(undefined, steps);
    } catch (error) {
      if (scheduler.steps <= steps) throw error;
      throw new Broken('progress', `the call has not returned after ${steps} turns on the CPU`);
    }
    return result!.value;
  }

  program(as?: AddressSpace): Program {
    const space = as ?? this.run(this.manager.createAddressSpace());
    if (space === undefined) throw new Error('no address space: memory is short');
    const program = new Program(this, space);
    this.programs.add(program);
    return program;
  }

  /** The last-level entry of an address, as it stands in DRAM; 0 where there is none. */
  readPte(program: Program, addr: number): bigint {
    return this.manager.readPte(program.as, va(addr)) ?? 0n;
  }

  // ---- placement -----------------------------------------------------------------------------------

  /** PFN of the n-th data page of region 0. */
  dataPfn(n: number): number {
    return this.regions[0]!.memStartPfn + n;
  }

  page(pfn: number): Page {
    return this.mm.memmap.pfnToPage(pfn)!;
  }

  /** First PFN of the block that holds a data page's tags. */
  blockOf(pfn: number): number {
    return folioBlocks(this.regions, pfn, 0)![0]!.pfn;
  }

  /** Takes exactly these free pages out of the allocator, each with one reference. */
  take(pfn: number, count = 1): Page {
    const page = this.page(pfn);
    const type = this.mm.memmap.pageblockMigratetype(page);
    const error = this.run(allocContigRange(this.mm, page, page + count, type));
    if (error !== 0) throw new Error(`pfn 0x${pfn.toString(16)} cannot be had: ${error}`);
    return page;
  }

  /** Gives pages back, a reference each. */
  free(page: Page, count = 1): void {
    for (let i = 0; i < count; i++) this.run(freePages(this.mm, (page + i) as Page, 0));
  }

  /** Moves a program's page to exactly this page frame, as compaction may at any time. */
  place(program: Program, addr: number, pfn: number): void {
    const target = this.take(pfn);
    const page = this.page(program.pfn(addr)!);
    this.run(lruAddDrainAll(this.mm));
    if (!folioIsolateLru(this.mm, page)) throw new Error('the page is on no LRU list');
    const list = [page];
    this.run(
      migratePages(this.mm, list, function* () {
        yield* [];
        return target;
      }),
    );
    for (const left of list) this.run(folioPutbackLru(this.mm, left));
    this.expect(program.pfn(addr) === pfn, 'migration', 'the page could not be moved');
  }

  /** A program's page that nobody but it knows, filled with pattern `seed`, at exactly this page frame. */
  dataAt(program: Program, pfn: number, seed: number): number {
    const addr = program.map(1, RW);
    program.store(addr, pattern(seed));
    this.place(program, addr, pfn);
    return addr;
  }

  /** A pin that lasts until it is released; vmsplice's, unless `flags` say more. */
  pin(program: Program, addr: number, flags = FOLL_PIN | FOLL_WRITE): { release(): void } {
    const page = this.run(getUserPage(this.mm, program.as as MmStruct, addr, flags));
    if (page < 0) throw new Error(`the page cannot be pinned: ${page}`);
    return { release: () => this.run(unpinUserPage(this.mm, page as Page)) };
  }

  /** Memory to the swap device, power off and on, and back; what a boot kernel does in between. */
  hibernate(bootKernel: () => void): void {
    const error = this.run(
      this.manager.hibernate((lost) => {
        this.memory.loseContents(lost);
        bootKernel();
      }),
    );
    this.expect(error === 0, 'hibernation', `it failed: ${error}`);
  }

  /** Reclaims until this page of the program is on the swap device. */
  swapOut(program: Program, addr: number): void {
    for (let round = 0; round < 50 && program.pfn(addr) !== undefined; round++) {
      this.run(tryToFreePages(this.mm, GFP_HIGHUSER_MOVABLE, 2));
    }
    this.expect(program.pfn(addr) === undefined, 'reclaim', 'the page is not swapped out');
  }

  // ---- expectations --------------------------------------------------------------------------------

  expect(holds: boolean, invariant: string, otherwise: string): void {
    if (!holds) throw new Broken(invariant, otherwise);
  }

  /** Every warning is a bug seen by the kernel itself. */
  expectNoWarning(invariant: string): void {
    const warning = this.log.find((line) => line.startsWith('WARNING'));
    if (warning !== undefined) throw new Broken(invariant, warning);
  }

  /** Batches drained, every invariant that the kernel's own state shows must hold. */
  settle(): void {
    this.run(lruAddDrainAll(this.mm));
    const [violation] = this.manager.checkInvariants();
    if (violation) throw new Broken(violation.invariant, violation.detail);
  }

  metric(name: string): number {
    return this.manager.tagStorageMetrics()[name]!;
  }

  get tagStorageEnabled(): boolean {
    return this.manager.snapshotTagStorage().enabled;
  }
}

export const va = (addr: number): VA => VA(BigInt(addr));
