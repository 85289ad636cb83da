/**
 * Memory without contents: the kernel's memory manager on DRAM that keeps nothing but page tables.
 *
 * For experiments about the memory manager itself (policies, migration, fragmentation) at the size of real
 * machines: a 16 GiB phone has four million pages, whose struct pages fit a host where their bytes would not. It is
 * the same memory manager, from memblock to faults; only data and tags read as zeros, whatever was written.
 * Page tables are what the kernel finds its way by, so pages that descriptors are written to are kept, sparsely.
 * What needs contents does not happen here: programs, stashes of tags that are looked at, a shadow to compare with.
 */
import { GiB, MiB, PA } from '../base/index.js';
import type {
  Contexts as ContextsType,
  KernelMemoryManager,
  MemoryPort,
  PageSize,
  PhysRange,
  TagRegion,
} from '../kernel/index.js';
import { bootMemory, Contexts } from '../kernel/index.js';

/** A piece of a page table: descriptors, as many as a 4 KiB page has. */
const PIECE = 4096;
const DESCRIPTORS = PIECE / 8;

/** The port: writes of descriptors are kept, other writes vanish, except that zeros clear descriptors. */
export class ContentFreePort implements MemoryPort {
  readonly #pieces = new Map<number, BigUint64Array>();
  #lastIndex = -1;
  #last: BigUint64Array | undefined;
  /** Descriptors read and written one by one: the memory manager's work on page tables. */
  reads = 0;
  writes = 0;

  /** Pieces of 4 KiB that hold descriptors now: what this memory costs the host. */
  get keptPieces(): number {
    return this.#pieces.size;
  }

  #piece(pa: number): BigUint64Array | undefined {
    const index = Math.floor(pa / PIECE);
    if (index !== this.#lastIndex) {
      this.#lastIndex = index;
      this.#last = this.#pieces.get(index);
    }
    return this.#last;
  }

  read64(pa: PA): bigint {
    this.reads++;
    return this.#piece(pa)?.[(pa % PIECE) / 8] ?? 0n;
  }

  write64(pa: PA, value: bigint): void {
    this.writes++;
    let piece = this.#piece(pa);
    if (piece === undefined) {
      if (value === 0n) return;
      piece = new BigUint64Array(DESCRIPTORS);
      this.#pieces.set(this.#lastIndex, piece);
      this.#last = piece;
    }
    piece[(pa % PIECE) / 8] = value;
  }

  fill(pa: PA, bytes: number): void {
    if (this.#pieces.size === 0) return;
    const first = Math.floor(pa / PIECE);
    const end = Math.ceil((pa + bytes) / PIECE);
    for (let index = first; index < end; index++) this.#pieces.delete(index);
    this.#lastIndex = -1;
  }

  readBytes(pa: PA, bytes: number): Uint8Array {
    const out = new Uint8Array(bytes);
    for (let done = 0; done < bytes; ) {
      const at = pa + done;
      const piece = this.#piece(at);
      const chunk = Math.min(bytes - done, PIECE - (at % PIECE));
      if (piece !== undefined) out.set(new Uint8Array(piece.buffer, at % PIECE, chunk), done);
      done += chunk;
    }
    return out;
  }

  equal(): boolean {
    return true;
  }
  readTags(_pa: PA, bytes: number): Uint8Array {
    return new Uint8Array(bytes / 32);
  }
  readTag(): number {
    return 0;
  }
  read8(): number {
    return 0;
  }
  read16(): number {
    return 0;
  }
  read32(): number {
    return 0;
  }
  write8(): void {}
  write16(): void {}
  write32(): void {}
  writeBytes(_pa: PA, _from: Uint8Array): void {}
  copy(): void {}
  writeTag(): void {}
  writeTags(): void {}
  fillTags(): void {}
  dcacheInvalPoc(): void {}
  dcacheCleanPoc(): void {}
  dcacheCleanInvalPoc(): void {}
  dcacheInvalTagsPoc(): void {}
  dcacheCleanTagsPoc(): void {}
  dcacheCleanInvalTagsPoc(): void {}
  icacheInval(): void {}
}

export interface ContentFreeOptions {
  /** Bytes of tagged DRAM; tag storage, 1/32 of it, comes beside. A multiple of 32 pageblocks, or it is not lent. */
  readonly memory: number;
  readonly policy?: string;
  readonly pageSize?: PageSize;
  readonly blockSizePages?: number;
  readonly cpus?: number;
  readonly swapPages?: number;
}

export interface ContentFree {
  readonly manager: KernelMemoryManager;
  readonly contexts: ContextsType;
  readonly port: ContentFreePort;
  readonly regions: readonly TagRegion[];
  /** dmesg. */
  readonly log: readonly string[];
}

/** As on the FVP: the first bank below 4 GiB, the rest far above, all tag storage behind the last. */
const LOW_BASE = 0x8000_0000;
const LOW_SIZE = 2 * GiB;
const HIGH_BASE = 0x8_8000_0000;

/** Bytes of a pageblock, of which CMA lends whole ones. */
const PAGEBLOCK: Readonly<Record<PageSize, number>> = { 4096: 2 * MiB, 16384: 32 * MiB, 65536: 512 * MiB };

/** Banks and tag regions of a machine with `memory` bytes of tagged DRAM. */
function phoneLayout(memory: number, pageSize: PageSize, blockSizePages: number) {
  // A low bank whose tags are no whole pageblocks could not be lent: then there is none.
  const low = (LOW_SIZE / 32) % PAGEBLOCK[pageSize] === 0 ? Math.min(memory, LOW_SIZE) : 0;
  const banks = low > 0 ? [{ base: LOW_BASE, size: low }] : [];
  if (memory > low) banks.push({ base: HIGH_BASE, size: memory - low });
  const last = banks[banks.length - 1]!;
  let tagBase = last.base + last.size;
  const regions = banks.map(({ base, size }): TagRegion => {
    const tagStart = tagBase / pageSize;
    tagBase += size / 32;
    return {
      memStartPfn: base / pageSize,
      memEndPfn: (base + size) / pageSize - 1,
      tagStartPfn: tagStart,
      tagEndPfn: tagBase / pageSize - 1,
      blockSizePages,
    };
  });
  const described: PhysRange[] = banks.map(({ base, size }) => ({
    base: PA(base),
    size: base === last.base ? tagBase - base : size,
  }));
  return { banks: described, regions };
}

/**
 * Boots the memory manager alone, on memory without contents.
 *
 * @throws InputError where the policy's name is unknown, or there is too little memory to boot.
 */
export function bootContentFree(options: ContentFreeOptions): ContentFree {
  const pageSize = options.pageSize ?? 4096;
  const { banks, regions } = phoneLayout(options.memory, pageSize, options.blockSizePages ?? 1);
  const port = new ContentFreePort();
  const contexts = new Contexts(options.cpus ?? 8);
  const log: string[] = [];
  const manager = bootMemory({
    port,
    contexts,
    tlb: { flushTlbPage() {}, flushTlbRange() {}, flushTlbMm() {} },
    banks,
    reserved: [],
    tagRegions: regions,
    pageSize,
    policy: options.policy ?? 'cma',
    swapPages: options.swapPages ?? 0,
    log: (line) => log.push(line),
  });
  return { manager, contexts, port, regions, log };
}
