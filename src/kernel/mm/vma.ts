/**
 * VMAs: stretches of an address space with one protection, and the sorted set of them
 * (include/linux/mm_types.h, mm/mmap.c).
 *
 * Flag values below bit 27 are Linux's. VM_MTE and VM_MTE_ALLOWED are bits 32 and 33 there
 * (VM_HIGH_ARCH_0 and 1), VM_MERGEABLE is bit 31; here they take unused low bits, so that a flag word stays a
 * small number.
 */

import type { AnonVma } from './anon-vma.js';
import type { Inode } from './filemap.js';
import type { HugetlbReservation } from './hugetlb.js';
import type { MmStruct } from './mm-struct.js';
import type { Pgprot } from './pgtable.js';
import { vmGetPageProt } from './pgtable.js';

export const VM_READ = 0x1;
export const VM_WRITE = 0x2;
export const VM_EXEC = 0x4;
export const VM_SHARED = 0x8;
export const VM_MAYREAD = 0x10;
export const VM_MAYWRITE = 0x20;
export const VM_MAYEXEC = 0x40;
export const VM_MAYSHARE = 0x80;
export const VM_GROWSDOWN = 0x100;
/** mlock(). */
export const VM_LOCKED = 0x2000;
/** madvise(MADV_SEQUENTIAL), MADV_RANDOM. */
export const VM_SEQ_READ = 0x8000;
export const VM_RAND_READ = 0x10000;
/** madvise(MADV_DONTFORK). */
export const VM_DONTCOPY = 0x20000;
export const VM_DONTEXPAND = 0x40000;
/** MLOCK_ONFAULT: locked as they come. */
export const VM_LOCKONFAULT = 0x80000;
export const VM_LOCKED_MASK = VM_LOCKED | VM_LOCKONFAULT;
export const VM_ACCOUNT = 0x100000;
export const VM_NORESERVE = 0x200000;
export const VM_HUGETLB = 0x400000;
/** madvise(MADV_DONTDUMP): bit 26 in Linux. */
export const VM_DONTDUMP = 0x800000;
/** madvise(MADV_WIPEONFORK). */
export const VM_WIPEONFORK = 0x2000000;
/** VM_ARM64_BTI (VM_ARCH_1). */
export const VM_ARM64_BTI = 0x1000000;
/** Mapped Normal Tagged. */
export const VM_MTE = 0x4000000;
/** PROT_MTE may be asked for: anonymous memory and RAM-based files. */
export const VM_MTE_ALLOWED = 0x8000000;
/** madvise(MADV_MERGEABLE): bit 31 in Linux. */
export const VM_MERGEABLE = 0x10000000;
/** madvise(MADV_HUGEPAGE). */
export const VM_HUGEPAGE = 0x20000000;
/** madvise(MADV_NOHUGEPAGE). */
export const VM_NOHUGEPAGE = 0x40000000;

export const VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC;
/** What every private anonymous mapping may become. */
export const VM_DATA_DEFAULT_FLAGS =
  VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_MTE_ALLOWED;

export function pageProtOf(flags: number, writeNotify = false): Pgprot {
  return vmGetPageProt({
    read: (flags & VM_READ) !== 0,
    write: (flags & VM_WRITE) !== 0,
    exec: (flags & VM_EXEC) !== 0,
    shared: (flags & VM_SHARED) !== 0 && !writeNotify,
    guarded: (flags & VM_ARM64_BTI) !== 0,
    tagged: (flags & VM_MTE) !== 0,
  });
}

export class Vma {
  readonly mm: MmStruct;
  /** Page-aligned, untagged; `end` is exclusive. */
  start: number;
  end: number;
  #flags: number;
  /** vm_page_prot: what a fresh entry gets. */
  pageProt: Pgprot;
  /** Page offset of `start` in its file; of anonymous memory, what fixes page.index. */
  pgoff: number;
  anonVma: AnonVma | undefined = undefined;
  /** Every anon_vma this VMA is a member of: its own, and those of its ancestors. */
  readonly anonVmaChain = new Set<AnonVma>();
  /** With VM_HUGETLB: what the pool promised it. */
  hugetlb: HugetlbReservation | undefined = undefined;
  /** vm_file: undefined for anonymous memory that is not shared. */
  file: Inode | undefined = undefined;
  name: string;

  constructor(mm: MmStruct, start: number, end: number, flags: number, pgoff: number, name: string) {
    this.mm = mm;
    this.start = start;
    this.end = end;
    this.#flags = flags;
    this.pageProt = pageProtOf(flags);
    this.pgoff = pgoff;
    this.name = name;
  }

  get flags(): number {
    return this.#flags;
  }

  /** vm_flags_set() and vma_set_page_prot(). */
  set flags(flags: number) {
    this.#flags = flags;
    // vma_wants_writenotify(): the first store to a page that is written back must be seen.
    this.pageProt = pageProtOf(flags, this.file?.disk !== undefined);
  }

  /** vma_is_accessible(). */
  get accessible(): boolean {
    return (this.#flags & VM_ACCESS_FLAGS) !== 0;
  }
}

/** The VMAs of one address space, sorted by address, never overlapping. */
export class VmaSet {
  readonly #list: Vma[] = [];

  get all(): readonly Vma[] {
    return this.#list;
  }

  get size(): number {
    return this.#list.length;
  }

  /** Index of the first VMA that ends above `addr` (find_vma), possibly the set's size. */
  indexAbove(addr: number): number {
    let low = 0;
    let high = this.#list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#list[middle]!.end > addr) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  at(index: number): Vma | undefined {
    return index < 0 ? undefined : this.#list[index];
  }

  /** The VMA that contains `addr`. */
  lookup(addr: number): Vma | undefined {
    const vma = this.#list[this.indexAbove(addr)];
    return vma !== undefined && vma.start <= addr ? vma : undefined;
  }

  /** find_vma_intersection() of [start, end). */
  intersects(start: number, end: number): boolean {
    const vma = this.#list[this.indexAbove(start)];
    return vma !== undefined && vma.start < end;
  }

  insert(vma: Vma): void {
    this.#list.splice(this.indexAbove(vma.start), 0, vma);
  }

  remove(vma: Vma): void {
    const index = this.indexAbove(vma.start);
    if (this.#list[index] === vma) this.#list.splice(index, 1);
  }

  /** The VMAs that overlap [start, end), as a copy: callers change the set. */
  overlapping(start: number, end: number): Vma[] {
    const out: Vma[] = [];
    for (let i = this.indexAbove(start); i < this.#list.length && this.#list[i]!.start < end; i++) {
      out.push(this.#list[i]!);
    }
    return out;
  }
}
