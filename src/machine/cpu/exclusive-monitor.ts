/**
 * The exclusive monitor: which granule a Load-Exclusive marked.
 *
 * The reservation granule is 64 bytes (CTR_EL0.ERG). A store of another observer to it clears the mark;
 * a store of this CPU leaves it, as the architecture allows.
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

  /** The store matches the load in address and size; other cases are CONSTRAINED UNPREDICTABLE and fail here. */
  passes(pa: number, bytes: number): boolean {
    return this.#granule >= 0 && this.#pa === pa && this.#bytes === bytes;
  }

  clear(): void {
    this.#granule = -1;
  }

  /** Another observer stores to [pa, pa + bytes). */
  observe(pa: number, bytes: number): void {
    if (this.#granule < 0) return;
    if (
      Math.floor(pa / GRANULE) <= this.#granule &&
      Math.floor((pa + bytes - 1) / GRANULE) >= this.#granule
    ) {
      this.#granule = -1;
    }
  }
}
