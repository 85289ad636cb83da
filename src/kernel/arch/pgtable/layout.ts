/**
 * The shape of a VMSAv8-64 stage-1 table tree (Arm ARM D8.2): levels, shifts and indices for a granule
 * and a virtual address size.
 *
 * Levels are numbered as in the Arm ARM: the last is always 3; a smaller address size starts later.
 * Addresses are untagged numbers of the lower half.
 */

/** Bytes of a descriptor. */
export const DESCRIPTOR_BYTES = 8;
/** The level whose descriptors are PMDs: tables of PTEs, or blocks. */
export const PMD_LEVEL = 2;
/** The level whose descriptors are PTEs. */
export const PTE_LEVEL = 3;

export class PageTableLayout {
  readonly pageShift: number;
  readonly pageSize: number;
  readonly vaBits: number;
  /** Level of the top table: 0..2. */
  readonly startLevel: number;
  /** Descriptors in a full table (PTRS_PER_PTE). */
  readonly entriesPerTable: number;
  /** Descriptors in the top table that addresses can reach. */
  readonly topEntries: number;
  /** TASK_SIZE: the first address above user space. */
  readonly taskSize: number;
  readonly #spans: readonly number[];

  constructor(pageShift: 12 | 14 | 16, vaBits: number) {
    this.pageShift = pageShift;
    this.pageSize = 2 ** pageShift;
    this.vaBits = vaBits;
    const bitsPerLevel = pageShift - 3;
    const levels = Math.ceil((vaBits - pageShift) / bitsPerLevel);
    this.startLevel = 4 - levels;
    this.entriesPerTable = 2 ** bitsPerLevel;
    this.#spans = [0, 1, 2, 3].map((level) => 2 ** (pageShift + (PTE_LEVEL - level) * bitsPerLevel));
    this.taskSize = 2 ** vaBits;
    this.topEntries = this.taskSize / this.spanOf(this.startLevel);
  }

  /** Bytes of address space that one descriptor of `level` covers (PAGE_SIZE, PMD_SIZE, ...). */
  spanOf(level: number): number {
    return this.#spans[level]!;
  }

  /** Index of the descriptor for `addr` in its table of `level`. */
  indexOf(level: number, addr: number): number {
    const index = Math.floor(addr / this.#spans[level]!);
    return level === this.startLevel ? index : index % this.entriesPerTable;
  }

  /** Bytes of the space that a whole PTE table covers: PMD_SIZE. */
  get pmdSize(): number {
    return this.#spans[2]!;
  }

  /** HPAGE_PMD_ORDER: a huge page is 2^this pages. */
  get pmdOrder(): number {
    return this.pageShift - 3;
  }
}
