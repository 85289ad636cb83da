/** A growing little-endian byte buffer for writing files. */
export class ByteWriter {
  #bytes = new Uint8Array(1024);
  length = 0;

  #room(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.#bytes.length) {
      const bigger = new Uint8Array(Math.max(this.length, this.#bytes.length * 2));
      bigger.set(this.#bytes.subarray(0, at));
      this.#bytes = bigger;
    }
    return at;
  }

  u8(...values: number[]): void {
    let at = this.#room(values.length);
    for (const value of values) this.#bytes[at++] = value;
  }
  u16(value: number): void {
    this.u8(value, value >>> 8);
  }
  u32(value: number): void {
    this.u8(value, value >>> 8, value >>> 16, value >>> 24);
  }
  u64(value: bigint | number): void {
    const wide = BigInt.asUintN(64, BigInt(value));
    this.u32(Number(wide & 0xffffffffn));
    this.u32(Number(wide >> 32n));
  }
  uleb(value: bigint): void {
    let rest = value;
    do {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      this.u8(rest === 0n ? low : low | 0x80);
    } while (rest !== 0n);
  }
  sleb(value: number): void {
    let rest = value;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      const last = rest === ((low & 0x40) === 0 ? 0 : -1);
      this.u8(last ? low : low | 0x80);
      if (last) return;
    }
  }
  /** Zero-terminated. */
  text(value: string): void {
    this.raw(new TextEncoder().encode(value));
    this.u8(0);
  }
  raw(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
  }
  /** Zeros up to `offset`. */
  padTo(offset: number): void {
    if (offset > this.length) this.#room(offset - this.length);
  }
  align(alignment: number): void {
    this.padTo(Math.ceil(this.length / alignment) * alignment);
  }
  /** Overwrites four bytes. */
  patch32(at: number, value: number): void {
    new DataView(this.#bytes.buffer).setUint32(at, value, true);
  }
  take(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }
}
