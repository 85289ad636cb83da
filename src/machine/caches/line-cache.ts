/**
 * One set-associative cache: which lines it holds, their bytes, and which of them are dirty.
 *
 * It knows nothing of where lines come from or go to; `modelled-caches.ts` fills and writes back. A slot
 * is set * ways + way.
 */
import { type CacheGeometry, LINE } from './geometry.js';

export class LineCache {
  readonly geometry: CacheGeometry;
  /** Address that each slot's line covers, or -1. */
  readonly address: Float64Array;
  readonly dirty: Uint8Array;
  /** LINE bytes a slot. */
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(geometry: CacheGeometry) {
    const slots = geometry.sets * geometry.ways;
    this.geometry = geometry;
    this.address = new Float64Array(slots).fill(-1);
    this.dirty = new Uint8Array(slots);
    this.bytes = new Uint8Array(slots * LINE);
    this.view = new DataView(this.bytes.buffer);
  }

  get slots(): number {
    return this.address.length;
  }

  /** First byte of address that the line of `pa` covers. */
  lineOf(pa: number): number {
    return pa - (pa % this.geometry.span);
  }

  #firstSlot(line: number): number {
    const { sets, ways, span } = this.geometry;
    return ((line / span) % sets) * ways;
  }

  /** The slot of a line, or -1. */
  find(line: number): number {
    const first = this.#firstSlot(line);
    for (let slot = first; slot < first + this.geometry.ways; slot++) {
      if (this.address[slot] === line) return slot;
    }
    return -1;
  }

  /** The slot a new line takes: an empty one, else the way that `choose` gives. */
  victim(line: number, choose: (ways: number) => number): number {
    const first = this.#firstSlot(line);
    for (let slot = first; slot < first + this.geometry.ways; slot++) {
      if (this.address[slot] === -1) return slot;
    }
    return first + choose(this.geometry.ways);
  }

  /** The line's bytes, for filling and writing back. */
  line(slot: number): Uint8Array {
    return this.bytes.subarray(slot * LINE, slot * LINE + LINE);
  }

  isDirty(line: number): boolean {
    const slot = this.find(line);
    return slot >= 0 && this.dirty[slot] === 1;
  }

  drop(slot: number): void {
    this.address[slot] = -1;
    this.dirty[slot] = 0;
  }
}
