/**
 * From an address to `symbol+offset`.
 */
import type { BINDINGS, SYMBOL_TYPES } from './format.js';

export interface ElfSymbol {
  readonly name: string;
  readonly value: bigint;
  readonly size: bigint;
  readonly type: keyof typeof SYMBOL_TYPES | 'other';
  readonly binding: keyof typeof BINDINGS | 'other';
  /** The section's number; 0 undefined, 0xfff1 absolute. */
  readonly section: number;
}

const PREFERENCE: Readonly<Partial<Record<ElfSymbol['type'], number>>> = {
  function: 3,
  ifunc: 3,
  object: 2,
  notype: 1,
};

/** Symbols that name a place: no mapping symbols, no undefined ones, no thread-local offsets. */
function namesPlace(s: ElfSymbol): boolean {
  return (
    s.name !== '' &&
    s.section !== 0 &&
    s.section !== 0xfff1 &&
    !/^\$[xd](\.|$)/.test(s.name) &&
    s.type in PREFERENCE
  );
}

export class SymbolIndex {
  readonly #sorted: readonly ElfSymbol[];

  constructor(symbols: Iterable<ElfSymbol>) {
    this.#sorted = [...symbols].filter(namesPlace).sort((x, y) => {
      if (x.value !== y.value) return x.value < y.value ? -1 : 1;
      const byType = (PREFERENCE[x.type] ?? 0) - (PREFERENCE[y.type] ?? 0);
      if (byType !== 0) return byType;
      return Number(x.binding !== 'local') - Number(y.binding !== 'local');
    });
  }

  /** The nearest symbol at or below `address`, unless its size says that it ends before. */
  at(address: bigint): { readonly name: string; readonly offset: bigint } | undefined {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sorted[middle]!.value <= address) low = middle + 1;
      else high = middle;
    }
    const found = this.#sorted[low - 1];
    if (found === undefined) return undefined;
    const offset = address - found.value;
    if (found.size > 0n && offset >= found.size) return undefined;
    return { name: found.name, offset };
  }
}
