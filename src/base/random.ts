/**
 * Seeded randomness: the only source of chance in the emulator.
 *
 * IRG with GCR_EL1.RRND = 1, cache eviction and scheduling each take a stream of their own from the
 * run's seed, so that turning one of them on does not shift the others. The generator is
 * xoshiro128** (Blackman and Vigna), seeded through splitmix32; it is 32-bit, fast and the same on
 * every JavaScript engine.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** @param stream names the consumer, so that streams of one seed are independent. */
  constructor(seed: number | bigint, stream = '') {
    let state = Number(BigInt.asUintN(32, BigInt(seed) ^ (BigInt(seed) >> 32n)));
    for (let i = 0; i < stream.length; i++) state = Math.imul(state ^ stream.charCodeAt(i), 0x01000193);
    const next = () => {
      state = (state + 0x9e3779b9) | 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      return z ^ (z >>> 16);
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next() | 1;
  }

  /** The next 32 bits as an unsigned number. */
  u32(): number {
    const scrambled = Math.imul(this.#b, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9);
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result >>> 0;
  }

  /** The generator's state goes to four words from `at`: generated code may draw the next numbers. */
  save(words: Int32Array, at: number): void {
    words[at] = this.#a;
    words[at + 1] = this.#b;
    words[at + 2] = this.#c;
    words[at + 3] = this.#d;
  }

  restore(words: Int32Array, at: number): void {
    this.#a = words[at]!;
    this.#b = words[at + 1]!;
    this.#c = words[at + 2]!;
    this.#d = words[at + 3]!;
  }

  /** The next 64 bits as an unsigned bigint. */
  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  /** A whole number in [0, bound), without modulo bias for bounds below 2^32. */
  below(bound: number): number {
    return Math.floor((this.u32() / 4294967296) * bound);
  }
}
