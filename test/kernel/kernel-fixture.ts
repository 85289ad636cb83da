/**
 * A small kernel on fake memory, and a user program made of plain calls: what a guest would do with
 * loads, stores and STG, with a TLB that only knows what it was not told to forget.
 */
import { expect } from 'vitest';
import { PA, VA } from '../../src/base/index.js';
import type { MaySleep } from '../../src/kernel/contexts/index.js';
import { Contexts, sleepPoint } from '../../src/kernel/contexts/index.js';
import type {
  AddressSpace,
  FaultResult,
  KernelMemoryManager,
  MemoryBank,
  Mm,
  MovableCore,
  NumaLayout,
  PageSize,
  PhysicalMapping,
  PhysRange,
  TagRegion,
} from '../../src/kernel/mm/index.js';
import { unusedPages } from '../../src/kernel/mm/index.js';
import { bootMemory } from '../../src/kernel/tag-storage/index.js';
import { FakePort } from './fake-port.js';

export interface FixtureOptions {
  readonly pageSize?: PageSize;
  /** Pages of tag storage in the one region; its data is 32 times that. */
  readonly tagPages?: number;
  readonly blockSizePages?: number;
  readonly policy?: string;
  readonly cpus?: number;
  readonly pageblockOrder?: number;
  readonly mte?: boolean;
  readonly swapPages?: number;
  readonly kasanHwTags?: boolean;
  readonly movable?: MovableCore;
  /** Full control instead of the one-region layout. */
  readonly banks?: readonly MemoryBank[];
  /** CPUs' nodes, and distances. */
  readonly nodes?: NumaLayout;
  readonly regions?: readonly TagRegion[];
  readonly reserved?: readonly PhysRange[];
  /** Called before anything touches memory; may put another memory in the port's place. */
  readonly onPort?: (port: FakePort) => void;
}

export interface Fixture {
  readonly contexts: Contexts;
  readonly port: FakePort;
  readonly memory: KernelMemoryManager;
  readonly mm: Mm;
  readonly regions: readonly TagRegion[];
  readonly log: string[];
  readonly tlb: string[];
  run<T>(work: MaySleep<T>): T;
  /** Pages nobody uses, per-CPU lists included. */
  unused(): number;
  /** Fails the test on any broken invariant. */
  check(): void;
  user(as?: AddressSpace): User;
}

const MEM_BASE = 0x4000_0000;

export function boot(options: FixtureOptions = {}): Fixture {
  const pageSize = options.pageSize ?? 4096;
  const tagPages = options.tagPages ?? 512;
  const dataPages = tagPages * 32;
  const base = MEM_BASE / pageSize;
  const regions = options.regions ?? [
    {
      memStartPfn: base,
      memEndPfn: base + dataPages - 1,
      tagStartPfn: base + dataPages,
      tagEndPfn: base + dataPages + tagPages - 1,
      blockSizePages: options.blockSizePages ?? 1,
    },
  ];
  const banks = options.banks ?? [{ base: PA(MEM_BASE), size: (dataPages + tagPages) * pageSize }];
  const port = new FakePort(banks, regions, pageSize);
  options.onPort?.(port);
  const contexts = new Contexts(options.cpus ?? 1);
  const log: string[] = [];
  const tlb: string[] = [];
  const memory = bootMemory({
    port,
    contexts,
    tlb: {
      flushTlbPage: (asid, va) => tlb.push(`page ${asid} 0x${va.toString(16)}`),
      flushTlbRange: (asid, start, end) =>
        tlb.push(`range ${asid} 0x${start.toString(16)}-0x${end.toString(16)}`),
      flushTlbMm: (asid) => tlb.push(`mm ${asid}`),
    },
    banks,
    reserved: options.reserved ?? [],
    tagRegions: regions,
    pageSize,
    policy: options.policy ?? 'cma',
    log: (line) => log.push(line),
    ...(options.pageblockOrder === undefined ? {} : { pageblockOrder: options.pageblockOrder }),
    ...(options.swapPages === undefined ? {} : { swapPages: options.swapPages }),
    ...(options.nodes === undefined ? {} : { nodes: options.nodes }),
    ...(options.mte === undefined ? {} : { mte: options.mte }),
    ...(options.movable === undefined ? {} : { movable: options.movable }),
    ...(options.kasanHwTags === undefined ? {} : { kasanHwTags: options.kasanHwTags }),
  });
  const run = <T>(work: MaySleep<T>): T => contexts.runToCompletion(work);
  return {
    contexts,
    port,
    memory,
    mm: memory.mm,
    regions,
    log,
    tlb,
    run,
    unused: () => unusedPages(memory.mm),
    check: () => {
      expect(memory.checkInvariants()).toEqual([]);
      expect(port.bad).toEqual([]);
    },
    user: (as) => new User(memory, port, run, as ?? run(memory.createAddressSpace())!),
  };
}

/** A user process that touches memory: every access walks the tables and faults as hardware would. */
export class User {
  readonly as: AddressSpace;
  readonly #memory: KernelMemoryManager;
  readonly #port: FakePort;
  readonly #run: <T>(work: MaySleep<T>) => T;

  constructor(
    memory: KernelMemoryManager,
    port: FakePort,
    run: <T>(work: MaySleep<T>) => T,
    as: AddressSpace,
  ) {
    this.as = as;
    this.#memory = memory;
    this.#port = port;
    this.#run = run;
  }

  mmap(pages: number, prot: number, flags = 0x22, addr = 0): number {
    return this.#run(
      this.#memory.mmap(this.as, {
        addr: VA(BigInt(addr)),
        length: pages * this.#memory.pageSize,
        prot,
        flags,
      }),
    );
  }
  munmap(addr: number, pages: number): number {
    return this.#run(this.#memory.munmap(this.as, VA(BigInt(addr)), pages * this.#memory.pageSize));
  }
  mprotect(addr: number, pages: number, prot: number): number {
    return this.#run(this.#memory.mprotect(this.as, VA(BigInt(addr)), pages * this.#memory.pageSize, prot));
  }
  madvise(addr: number, pages: number, advice: number): number {
    return this.#run(this.#memory.madvise(this.as, VA(BigInt(addr)), pages * this.#memory.pageSize, advice));
  }
  fork(): User {
    const child = this.#run(this.#memory.cloneAddressSpace(this.as));
    if (typeof child === 'number') throw new Error(`fork: ${child}`);
    return new User(this.#memory, this.#port, this.#run, child);
  }
  exit(): void {
    this.#run(this.#memory.exitMmap(this.as));
  }

  fault(addr: number, write: boolean): FaultResult {
    return this.#run(
      this.#memory.handleMmFault(this.as, VA(BigInt(addr)), {
        write,
        exec: false,
        user: true,
        tagAccess: false,
      }),
    );
  }

  /** The mapping that allows the access, after as many faults as it takes; undefined where it may not. */
  touch(addr: number, write: boolean): PhysicalMapping | undefined {
    for (let tries = 0; tries < 20; tries++) {
      const mapping = this.#memory.virtToPhys(this.as, VA(BigInt(addr)));
      if (mapping && (!write || mapping.write)) return mapping;
      if (this.fault(addr, write).kind !== 'handled') return undefined;
    }
    return undefined;
  }

  /** Faults an access took. */
  faults(addr: number, write: boolean): number {
    const before = this.#memory.vmstat()['pgfault']!;
    this.touch(addr, write);
    return this.#memory.vmstat()['pgfault']! - before;
  }

  store(addr: number, bytes: Uint8Array): boolean {
    const mapping = this.touch(addr, true);
    if (!mapping) return false;
    this.#port.writeBytes(mapping.pa, bytes);
    return true;
  }
  load(addr: number, bytes: number): Uint8Array | undefined {
    const mapping = this.touch(addr, false);
    return mapping && this.#port.readBytes(mapping.pa, bytes);
  }
  /** STG: ignored where the mapping is not tagged. */
  storeTag(addr: number, tag: number): boolean {
    const mapping = this.touch(addr, true);
    if (!mapping) return false;
    if (mapping.tagged) this.#port.writeTag(mapping.pa, tag);
    return true;
  }
  /** LDG: 0 where the mapping is not tagged. */
  loadTag(addr: number): number | undefined {
    const mapping = this.touch(addr, false);
    if (!mapping) return undefined;
    return mapping.tagged ? this.#port.readTag(mapping.pa) : 0;
  }
  pfn(addr: number): number | undefined {
    const mapping = this.#memory.virtToPhys(this.as, VA(BigInt(addr)));
    return mapping && Math.floor(mapping.pa / this.#memory.pageSize);
  }
}

/** A recognisable page of data. */
export function pattern(pageSize: number, seed: number): Uint8Array {
  const out = new Uint8Array(pageSize);
  let x = (seed * 2654435761) >>> 0 || 1;
  for (let i = 0; i < pageSize; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    out[i] = x;
  }
  return out;
}

const RESCHED = sleepPoint('user');

/** A store from a task: walks, faults, stores in one step, as the hardware would; the tag only where it is tagged. */
export function* storeFromTask(
  { memory, port }: Fixture,
  { as }: User,
  addr: number,
  value: number,
  tag?: number,
): MaySleep<void> {
  const va = VA(BigInt(addr));
  for (let tries = 0; tries < 80; tries++) {
    const mapping = memory.virtToPhys(as, va);
    if (mapping?.write) {
      port.writeBytes(mapping.pa, Uint8Array.of(value));
      if (tag !== undefined && mapping.tagged) port.writeTag(mapping.pa, tag);
      return;
    }
    const result = yield* memory.handleMmFault(as, va, {
      write: true,
      exec: false,
      user: true,
      tagAccess: false,
    });
    if (result.kind !== 'handled') throw new Error(`fault at 0x${addr.toString(16)}: ${result.kind}`);
    yield RESCHED;
  }
  throw new Error(`no progress at 0x${addr.toString(16)}`);
}
