/**
 * khugepaged's list of address spaces and its place in it (mm/khugepaged.c: struct khugepaged_scan).
 *
 * The list is only ever touched in one step, where Linux holds khugepaged_mm_lock.
 */
import type { Contexts } from '../contexts/index.js';
import { WaitQueue } from '../contexts/index.js';
import type { MmStruct } from './mm-struct.js';

export class KhugepagedScan {
  /** mm_head. */
  readonly #slots: MmStruct[] = [];
  /** mm_slot: the one under way. */
  current: MmStruct | undefined;
  /** Where in it the scan goes on. */
  address = 0;
  /** khugepaged_wait: for whoever has nothing to scan. */
  readonly wait: WaitQueue;

  constructor(contexts: Contexts) {
    this.wait = new WaitQueue(contexts, 'khugepaged_wait', true);
  }

  get empty(): boolean {
    return this.#slots.length === 0;
  }

  get first(): MmStruct | undefined {
    return this.#slots[0];
  }

  /** The slot behind one. */
  after(as: MmStruct): MmStruct | undefined {
    return this.#slots[this.#slots.indexOf(as) + 1];
  }

  /** __khugepaged_enter(): at the tail, so that the scan comes to it after the others. */
  enter(as: MmStruct): void {
    if (as.inKhugepaged || as.dead) return;
    as.inKhugepaged = true;
    this.#slots.push(as);
    if (this.#slots.length === 1) this.wait.wakeUp();
  }

  /** __khugepaged_exit(): an address space ends; where the scan is in it, the next begins afresh. */
  exit(as: MmStruct): void {
    if (!as.inKhugepaged) return;
    as.inKhugepaged = false;
    if (this.current === as) {
      this.current = this.after(as);
      this.address = 0;
    }
    this.#slots.splice(this.#slots.indexOf(as), 1);
  }
}
