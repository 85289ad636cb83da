/**
 * Where system register values live: 64-bit cells of the CPU's state block in linear memory, one for
 * each implemented register that keeps a value, in the order of the register table.
 *
 * Code that needs a register often resolves its cell once (`const SCTLR_EL1 = cellOf('sctlr_el1')`).
 */
import { SYSTEM_REGISTERS } from '../../../isa/index.js';
import { CpuLayout, type LinearMemory } from '../memory/linear-memory.js';

const CELLS = new Map<string, number>();
for (const row of SYSTEM_REGISTERS) {
  if (!row.nameOnly && (row.kind === 'cell' || row.kind === 'computed')) CELLS.set(row.name, CELLS.size);
}
if (CELLS.size > 256) throw new Error('the CPU state block has room for 256 system register cells');

/** The cell of a register by name. Throws Error where the register keeps no value (a build failure). */
export function cellOf(name: string): number {
  const cell = CELLS.get(name);
  if (cell === undefined) throw new Error(`system register ${name} has no cell`);
  return cell;
}

export class SystemCells {
  readonly #linear: LinearMemory;
  readonly #first: number;

  /** `base`: byte offset of the CPU's state block. */
  constructor(linear: LinearMemory, base: number) {
    this.#linear = linear;
    this.#first = (base + CpuLayout.SYSTEM) / 8;
    for (const row of SYSTEM_REGISTERS) {
      const cell = CELLS.get(row.name);
      if (cell !== undefined) this.set(cell, row.reset | row.res1);
    }
  }

  get(cell: number): bigint {
    return this.#linear.u64[this.#first + cell]!;
  }

  set(cell: number, value: bigint): void {
    this.#linear.u64[this.#first + cell] = value;
  }

  /** A value of 32 bits. */
  setWord(cell: number, value: number): void {
    const at = (this.#first + cell) * 2;
    this.#linear.u32[at] = value;
    this.#linear.u32[at + 1] = 0;
  }

  /** Bits `high`..`low` as a number; at most 32 of them. */
  field(cell: number, high: number, low: number): number {
    const at = (this.#first + cell) * 2;
    const words = this.#linear.u32;
    const width = high - low + 1;
    const lo = words[at]!;
    const hi = words[at + 1]!;
    const value = low >= 32 ? hi >>> (low - 32) : low === 0 ? lo : (lo >>> low) | (hi << (32 - low));
    return width === 32 ? value >>> 0 : value & ((1 << width) - 1);
  }

  bit(cell: number, index: number): boolean {
    return this.field(cell, index, index) !== 0;
  }
}
