/**
 * The banked stack pointers: the one that PSTATE selects is slot 32 of the general-purpose registers, the others
 * wait in the cells of SP_EL0 to SP_EL2, where generated code finds them; SP_EL3, which no instruction names,
 * has a place of its own.
 *
 * Ref. DDI 0487, D1.2.2 (SP registers).
 */
import type { ExceptionLevel } from '../../../isa/index.js';
import { CpuLayout, type LinearMemory, SP_SLOT } from '../memory/linear-memory.js';
import { cellOf } from './system-cells.js';

const OFFSETS = [
  ...['sp_el0', 'sp_el1', 'sp_el2'].map((name) => CpuLayout.SYSTEM + 8 * cellOf(name)),
  CpuLayout.SP_EL3,
];

export class StackPointers {
  readonly #linear: LinearMemory;
  /** Where each level's waits, in 64-bit words of the linear memory; and slot 32. */
  readonly #places: readonly number[];
  readonly #slot: number;
  /** The level whose stack pointer is in slot 32. */
  #bank: ExceptionLevel = 3;

  /** `base`: byte offset of the CPU's state block. */
  constructor(linear: LinearMemory, base: number) {
    this.#linear = linear;
    this.#places = OFFSETS.map((offset) => (base + offset) / 8);
    this.#slot = (base + CpuLayout.X) / 8 + SP_SLOT;
  }

  #placeOf(el: ExceptionLevel): number {
    return el === this.#bank ? this.#slot : this.#places[el]!;
  }

  /** SP_ELn, wherever it is. */
  of(el: ExceptionLevel): bigint {
    return this.#linear.u64[this.#placeOf(el)]!;
  }

  set(el: ExceptionLevel, value: bigint): void {
    this.#linear.u64[this.#placeOf(el)] = value;
  }

  /** Makes slot 32 the stack pointer of a level. */
  select(el: ExceptionLevel): void {
    if (el === this.#bank) return;
    const words = this.#linear.u32;
    const slot = 2 * this.#slot;
    const from = 2 * this.#places[this.#bank]!;
    const to = 2 * this.#places[el]!;
    words[from] = words[slot]!;
    words[from + 1] = words[slot + 1]!;
    words[slot] = words[to]!;
    words[slot + 1] = words[to + 1]!;
    this.#bank = el;
  }
}
