/**
 * The memory controller's view of allocation tags: which byte of DRAM holds the tag of an address.
 *
 * For a tagged range that covers memory at X with tag storage from `tagBase` on, the tag of the granule
 * at address X is a nibble of the DRAM byte Y = tagBase + (X - memBase) / 32: the low nibble for an even
 * granule, the high one for an odd. An interconnect that interleaves spreads the bytes inside one block
 * of tag storage; here `interleave` ways of 64-byte stripes go round the block's equal parts, a
 * permutation that keeps every tag of a block's memory inside that block. A range that is switched off,
 * and memory in no range, has tag 0 and ignores tag writes.
 *
 * Ranges are programmed by firmware through the registers of devices/tag-controller.ts. Contradicting
 * programming (overlapping memory, tag storage shared by two ranges, tag storage outside DRAM or inside
 * the memory it covers, an impossible block) never takes effect: the range stays off and the reason is
 * kept for the error register and for reports.
 */
import type { DramBank } from './dram.js';

export interface TagRange {
  /** Tagged memory, bytes; multiples of 32 times the block size. */
  readonly memBase: number;
  readonly memSize: number;
  readonly tagBase: number;
  /** Bytes of tag storage; a multiple of 4 KiB. */
  readonly blockSize: number;
  /** Ways of the stripes inside a block: 1 (none), 2, 4, ... */
  readonly interleave?: number;
}

/** Memory covered by one byte of tag storage. */
export const BYTES_PER_TAG_BYTE = 32;
export const GRANULE = 16;
const STRIPE = 64;

export type RangeProblem =
  | 'size'
  | 'alignment'
  | 'block'
  | 'interleave'
  | 'memory-outside-dram'
  | 'tags-outside-dram'
  | 'memory-overlap'
  | 'tags-overlap'
  | 'tags-inside-own-memory';

export const RANGE_PROBLEMS: readonly RangeProblem[] = [
  'size',
  'alignment',
  'block',
  'interleave',
  'memory-outside-dram',
  'tags-outside-dram',
  'memory-overlap',
  'tags-overlap',
  'tags-inside-own-memory',
];

interface ActiveRange {
  readonly range: TagRange;
  readonly memEnd: number;
  readonly interleave: number;
}

const overlaps = (a: number, aSize: number, b: number, bSize: number) => a < b + bSize && b < a + aSize;

export class TagController {
  readonly #banks: readonly DramBank[];
  readonly #slots: (ActiveRange | undefined)[] = [];
  #active: readonly ActiveRange[] = [];
  #last: ActiveRange | undefined;
  readonly #listeners: (() => void)[] = [];

  constructor(banks: readonly DramBank[]) {
    this.#banks = banks;
  }

  /** The ranges in force. */
  get ranges(): readonly TagRange[] {
    return this.#active.map((a) => a.range);
  }

  /** Called when the map changes: cached tag addresses are stale then. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Why `range` cannot be in force in slot `slot`, or undefined. */
  problem(slot: number, range: TagRange): RangeProblem | undefined {
    const { memBase, memSize, tagBase, blockSize, interleave = 1 } = range;
    if (memSize <= 0 || !Number.isSafeInteger(memBase + memSize)) return 'size';
    if (blockSize <= 0 || blockSize % 4096 !== 0) return 'block';
    if (memBase % 4096 !== 0 || tagBase % 4096 !== 0 || memSize % (BYTES_PER_TAG_BYTE * 4096) !== 0)
      return 'alignment';
    if (
      !Number.isInteger(interleave) ||
      interleave < 1 ||
      (interleave & (interleave - 1)) !== 0 ||
      blockSize % (interleave * STRIPE) !== 0 ||
      (interleave > 1 && memSize % (BYTES_PER_TAG_BYTE * blockSize) !== 0)
    ) {
      return 'interleave';
    }
    const tagSize = memSize / BYTES_PER_TAG_BYTE;
    if (!this.#inDram(memBase, memSize)) return 'memory-outside-dram';
    if (!this.#inDram(tagBase, tagSize)) return 'tags-outside-dram';
    if (overlaps(memBase, memSize, tagBase, tagSize)) return 'tags-inside-own-memory';
    for (const [i, other] of this.#slots.entries()) {
      if (other === undefined || i === slot) continue;
      const o = other.range;
      if (overlaps(memBase, memSize, o.memBase, o.memSize)) return 'memory-overlap';
      if (overlaps(tagBase, tagSize, o.tagBase, o.memSize / BYTES_PER_TAG_BYTE)) return 'tags-overlap';
    }
    return undefined;
  }

  #inDram(base: number, size: number): boolean {
    let at = base;
    for (const bank of this.#banks) {
      if (at >= bank.base && at < bank.base + bank.size) at = bank.base + bank.size;
    }
    return at >= base + size;
  }

  /** Puts a range in force; gives the problem if it cannot be. */
  enable(slot: number, range: TagRange): RangeProblem | undefined {
    const problem = this.problem(slot, range);
    this.#slots[slot] =
      problem === undefined
        ? { range, memEnd: range.memBase + range.memSize, interleave: range.interleave ?? 1 }
        : undefined;
    this.#rebuild();
    return problem;
  }

  disable(slot: number): void {
    if (this.#slots[slot] === undefined) return;
    this.#slots[slot] = undefined;
    this.#rebuild();
  }

  #rebuild(): void {
    this.#active = this.#slots.filter((s): s is ActiveRange => s !== undefined);
    this.#last = undefined;
    for (const listener of this.#listeners) listener();
  }

  #rangeOf(pa: number): ActiveRange | undefined {
    const last = this.#last;
    if (last !== undefined && pa >= last.range.memBase && pa < last.memEnd) return last;
    for (const active of this.#active) {
      if (pa >= active.range.memBase && pa < active.memEnd) {
        this.#last = active;
        return active;
      }
    }
    return undefined;
  }

  /** Physical address of the DRAM byte that holds the tag of the granule at `pa`; -1 where there is none. */
  tagByteOf(pa: number): number {
    const active = this.#rangeOf(pa);
    if (active === undefined) return -1;
    const { range, interleave } = active;
    const linear = Math.floor((pa - range.memBase) / BYTES_PER_TAG_BYTE);
    if (interleave === 1) return range.tagBase + linear;
    return range.tagBase + permute(linear, range.blockSize, interleave);
  }

  /**
   * Of `bytes` bytes of memory from `pa` on, how many have their tag bytes (or their lack of them) in one
   * run: to the end of the range, of the stripe where it is interleaved, or to where a range begins.
   */
  tagRun(pa: number, bytes: number): number {
    const active = this.#rangeOf(pa);
    if (active === undefined) {
      let run = bytes;
      for (const { range } of this.#active) if (range.memBase > pa) run = Math.min(run, range.memBase - pa);
      return run;
    }
    const toEnd = Math.min(bytes, active.memEnd - pa);
    const stripe = STRIPE * BYTES_PER_TAG_BYTE;
    return active.interleave === 1 ? toEnd : Math.min(toEnd, stripe - (pa % stripe));
  }

  /** True if the tag bytes of the 4 KiB page at `pa` follow one another in address order. */
  isLinear(pa: number): boolean {
    return (this.#rangeOf(pa)?.interleave ?? 1) === 1;
  }

  /** The memory whose tags the DRAM byte at `pa` may hold (32 bytes from here on), or undefined. */
  memoryOfTagByte(pa: number): number | undefined {
    for (const { range, interleave } of this.#active) {
      const at = pa - range.tagBase;
      if (at < 0 || at >= range.memSize / BYTES_PER_TAG_BYTE) continue;
      const linear = interleave === 1 ? at : unpermute(at, range.blockSize, interleave);
      return range.memBase + linear * BYTES_PER_TAG_BYTE;
    }
    return undefined;
  }
}

/** Stripe s of a block goes to part s % ways, at place floor(s / ways) of it. */
function permute(linear: number, blockSize: number, ways: number): number {
  const inBlock = linear % blockSize;
  const stripe = Math.floor(inBlock / STRIPE);
  const part = stripe % ways;
  const place = Math.floor(stripe / ways);
  return linear - inBlock + part * (blockSize / ways) + place * STRIPE + (inBlock % STRIPE);
}

function unpermute(address: number, blockSize: number, ways: number): number {
  const inBlock = address % blockSize;
  const partSize = blockSize / ways;
  const part = Math.floor(inBlock / partSize);
  const place = Math.floor((inBlock % partSize) / STRIPE);
  return address - inBlock + (place * ways + part) * STRIPE + (inBlock % STRIPE);
}
