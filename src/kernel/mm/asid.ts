/**
 * Address space identifiers: 16 bits, none shared by two living address spaces.
 *
 * Real kernels recycle them in generations; with 65535 at hand a free list does, and the TLB was
 * told to forget an ASID before it is handed out again.
 */
const LAST_ASID = 65535;

export class AsidAllocator {
  /** 0 is the kernel's own. */
  #next = 1;
  readonly #free: number[] = [];

  alloc(): number | undefined {
    const recycled = this.#free.shift();
    if (recycled !== undefined) return recycled;
    return this.#next > LAST_ASID ? undefined : this.#next++;
  }

  free(asid: number): void {
    this.#free.push(asid);
  }
}
