/**
 * memblock: the allocator of early boot and the record of what memory there is (mm/memblock.c).
 *
 * Two sorted lists of ranges in bytes: memory, and what is reserved of it. Kept after boot
 * (ARCH_KEEP_MEMBLOCK), because kexec must still see that tag storage is reserved.
 */
import type { PA } from '../../base/index.js';
import { PA as toPA } from '../../base/index.js';
import type { PhysRange } from './types.js';

interface Range {
  start: number;
  /** Exclusive. */
  end: number;
}

/** Adds [start, end) to a sorted list, merging what touches. */
function addRange(list: Range[], start: number, end: number): void {
  if (end <= start) return;
  let from = start;
  let to = end;
  const kept: Range[] = [];
  for (const range of list) {
    if (range.end < from || range.start > to) kept.push(range);
    else {
      from = Math.min(from, range.start);
      to = Math.max(to, range.end);
    }
  }
  kept.push({ start: from, end: to });
  kept.sort((a, b) => a.start - b.start);
  list.splice(0, list.length, ...kept);
}

function subtract(from: readonly Range[], cut: readonly Range[]): Range[] {
  const out: Range[] = [];
  for (const range of from) {
    let start = range.start;
    for (const hole of cut) {
      if (hole.end <= start || hole.start >= range.end) continue;
      if (hole.start > start) out.push({ start, end: hole.start });
      start = Math.max(start, hole.end);
    }
    if (start < range.end) out.push({ start, end: range.end });
  }
  return out;
}

export class Memblock {
  readonly #memory: Range[] = [];
  readonly #reserved: Range[] = [];

  /** memblock_add(). */
  add(range: PhysRange): void {
    addRange(this.#memory, range.base, range.base + range.size);
  }

  /** memblock_reserve(): also of addresses that are no memory. */
  reserve(range: PhysRange): void {
    addRange(this.#reserved, range.base, range.base + range.size);
  }

  get memory(): readonly { readonly start: number; readonly end: number }[] {
    return this.#memory;
  }

  /** memblock_end_of_DRAM(): exclusive, in bytes. */
  get endOfDram(): number {
    return this.#memory[this.#memory.length - 1]?.end ?? 0;
  }

  isMemory(start: number, end: number): boolean {
    return this.#memory.some((range) => range.start <= start && range.end >= end);
  }

  /** memblock_is_region_reserved(): some of it is. */
  isRegionReserved(base: number, size: number): boolean {
    return this.#reserved.some((range) => range.start < base + size && range.end > base);
  }

  /** for_each_free_mem_range: memory that nobody reserved, ascending. */
  freeRanges(): readonly { readonly start: number; readonly end: number }[] {
    return subtract(this.#memory, this.#reserved);
  }

  /**
   * memblock_phys_alloc(): from the top of memory downwards, reserved for ever.
   *
   * @returns its address, or undefined where nothing is left.
   */
  alloc(size: number, align: number): PA | undefined {
    const free = this.freeRanges();
    for (let i = free.length - 1; i >= 0; i--) {
      const { start, end } = free[i]!;
      const base = Math.floor((end - size) / align) * align;
      if (base >= start) {
        this.reserve({ base: toPA(base), size });
        return toPA(base);
      }
    }
    return undefined;
  }
}
