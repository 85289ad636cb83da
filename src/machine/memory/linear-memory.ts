/**
 * One WebAssembly.Memory holds everything the guest can touch: CPU state, TLBs, DRAM.
 *
 * Generated code reaches it with plain loads and stores; TypeScript reaches it through the views here.
 * Growing a WebAssembly memory detaches its buffer, so the views are properties that are replaced:
 * read `linear.u8` at every use, never keep it across a call that may map memory.
 *
 * Layout (byte offsets):
 *
 *     0x00000   unused, so that offset 0 can mean "nowhere"
 *     0x10000   zeros: what DRAM reads as before it is touched; never written
 *     0x20000   CPU states, 4 KiB each (see `CpuLayout`)
 *     ...       TLBs, 896 KiB a CPU (see mmu/tlb.ts)
 *     ...       DRAM chunks of 64 KiB in the order of first touch
 */

export const CHUNK = 0x10000;
export const ZERO_CHUNK = 0x10000;
export const CPU_STATE_BASE = 0x20000;
export const CPU_STATE_SIZE = 0x1000;
/** A wasm32 memory's most 64 KiB pages. */
const MOST_PAGES = 65536;
/** Pages added by one growth at least: growing is not free. */
const GROWTH_STEP = 256;

/** Offsets inside a CPU's state block. */
export const CpuLayout = {
  /** 34 slots of 8 bytes: X0..X30, 31 the zero register (always 0), 32 the current SP, 33 a sink for writes to XZR. */
  X: 0,
  /** u32: N in bit 3. */
  NZCV: 272,
  /** u64. */
  PC: 280,
  /** u64: instructions executed. */
  STEPS: 288,
  /** u64: SP_EL3 while it is not SP. */
  SP_EL3: 296,
  /**
   * Who runs and what it is tagging: the words of `Tagging`, see tag-history.ts.
   */
  TAGGING: 304,
  /** u32: byte offset of the table of pointer authentication codes, see pac-table.ts; 0: there is none. */
  PAC_TABLE: 328,
  /** 256 system register cells of 8 bytes, in the order of the register table. */
  SYSTEM: 512,
  /** V0..V31, 16 bytes each. */
  V: 2560,
  /** 1 KiB for the engine that runs the CPU. */
  ENGINE: 3072,
} as const;

export const ZERO_SLOT = 31;
export const SP_SLOT = 32;
export const SINK_SLOT = 33;

/** The host ran out of room for guest memory; a machine stop, never a crash. */
export class OutOfHostMemory {
  readonly message = 'the emulator has no more room for guest memory (4 GiB of touched memory at most)';
}

/** What a host without WebAssembly has instead: every growth is a copy. */
class PlainMemory {
  buffer: ArrayBuffer;

  constructor(pages: number) {
    this.buffer = new ArrayBuffer(pages * CHUNK);
  }

  /** Throws RangeError where the host has no room. */
  grow(pages: number): number {
    const before = this.buffer.byteLength;
    const grown = new ArrayBuffer(before + pages * CHUNK);
    new Uint8Array(grown).set(new Uint8Array(this.buffer));
    this.buffer = grown;
    return before / CHUNK;
  }
}

export class LinearMemory {
  readonly #backing: WebAssembly.Memory | PlainMemory;
  u8!: Uint8Array;
  u32!: Uint32Array;
  i32!: Int32Array;
  u64!: BigUint64Array;
  view!: DataView;
  /** The first byte not given out; a multiple of 64 KiB. */
  #next: number;
  readonly #most: number;

  /** `limit`: bytes at most, for tests of exhaustion. */
  constructor(limit = MOST_PAGES * CHUNK) {
    this.#most = Math.min(MOST_PAGES, Math.floor(limit / CHUNK));
    this.#backing =
      typeof WebAssembly === 'undefined'
        ? new PlainMemory(3)
        : new WebAssembly.Memory({ initial: 3, maximum: this.#most });
    this.#next = 3 * CHUNK;
    this.#refresh();
  }

  /** For generated code. Throws Error where the host has no WebAssembly, and nothing generates any. */
  get memory(): WebAssembly.Memory {
    const backing = this.#backing;
    if (backing instanceof PlainMemory) throw new Error('the host has no WebAssembly');
    return backing;
  }

  /** Bytes given out so far. */
  get allocated(): number {
    return this.#next;
  }

  #refresh(): void {
    const buffer = this.#backing.buffer;
    this.u8 = new Uint8Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u64 = new BigUint64Array(buffer);
    this.view = new DataView(buffer);
  }

  /** Zeroed bytes, rounded up to 64 KiB; gives their offset. Throws OutOfHostMemory. */
  allocate(bytes: number): number {
    const at = this.#next;
    const end = at + Math.ceil(bytes / CHUNK) * CHUNK;
    const have = this.#backing.buffer.byteLength;
    if (end > have) {
      const needed = (end - have) / CHUNK;
      const room = this.#most - have / CHUNK;
      if (needed > room) throw new OutOfHostMemory();
      try {
        this.#backing.grow(Math.min(room, Math.max(needed, GROWTH_STEP)));
      } catch {
        throw new OutOfHostMemory();
      }
      this.#refresh();
    }
    this.#next = end;
    return at;
  }
}
