/**
 * The exclusive monitor: which granule a Load-Exclusive marked.
 *
 * The reservation granule is 64 bytes (CTR_EL0.ERG). A store of this CPU leaves the mark, as the
 * architecture allows; other CPUs run in turns of their own, before which the mark is cleared.
 *
 * Ref. DDI 0487, B2.9.
 */

const GRANULE = 64;

export class ExclusiveMonitor {
  #granule = -1;
  #pa = -1;
  #bytes = 0;

  set(pa: number, bytes: number): void {
    this.#granule = Math.floor(pa / GRANULE);
    this.#pa = pa;
    this.#bytes = bytes;
  }

  /** Physical address of what is marked, -1 for nothing, and its size in bytes. */
  get pa(): number {
    return this.#granule < 0 ? -1 : this.#pa;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The store matches the load in address and size; other cases are CONSTRAINED UNPREDICTABLE and fail here. */
  passes(pa: number, bytes: number): boolean {
    return this.#granule >= 0 && this.#pa === pa && this.#bytes === bytes;
  }

  /** Gives true if a mark was set. */
  clear(): boolean {
    const was = this.#granule >= 0;
    this.#granule = -1;
    return was;
  }
}
