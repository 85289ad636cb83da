/**
 * Literal pools: the values of `ldr xN, =value`, stored where the next `.ltorg` or the section's end is.
 *
 * As GNU as lays them out: all 4-byte values, then all 8-byte ones, then 16-byte ones, each group
 * aligned to its size, in order of first use, equal values stored once.
 */
import type { AsmExpression } from './expression.js';
import type { Line } from './source.js';
import { AsmSymbol } from './symbols.js';

export interface PoolEntry {
  readonly size: 4 | 8 | 16;
  readonly value: AsmExpression;
  /** The label that loads refer to; defined when the pool is emitted. */
  readonly label: AsmSymbol;
  readonly line: Line;
  readonly order: number;
}

export class LiteralPool {
  #entries: PoolEntry[] = [];
  readonly #shared = new Map<string, PoolEntry>();

  /** The entry for `value`, shared with an equal one. `key` is undefined for values never shared. */
  entry(
    size: 4 | 8 | 16,
    value: AsmExpression,
    key: string | undefined,
    line: Line,
    order: number,
  ): PoolEntry {
    const found = key === undefined ? undefined : this.#shared.get(`${size} ${key}`);
    if (found !== undefined) return found;
    const entry: PoolEntry = { size, value, label: new AsmSymbol('literal'), line, order };
    this.#entries.push(entry);
    if (key !== undefined) this.#shared.set(`${size} ${key}`, entry);
    return entry;
  }

  /** Empties the pool: its entries in storage order. */
  take(): PoolEntry[] {
    const out = ([4, 8, 16] as const).flatMap((size) => this.#entries.filter((e) => e.size === size));
    this.#entries = [];
    this.#shared.clear();
    return out;
  }
}
