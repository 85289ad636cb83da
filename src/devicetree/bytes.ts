/** Bytes put together: a growing big-endian buffer, joining, hexadecimal. */

/** A growing byte buffer, big-endian. */
export class ByteSink {
  #bytes = new Uint8Array(1024);
  length = 0;

  #reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.length));
    this.#bytes = grown;
  }

  u32(value: number): void {
    this.#reserve(4);
    const at = this.length;
    this.#bytes[at] = value >>> 24;
    this.#bytes[at + 1] = value >>> 16;
    this.#bytes[at + 2] = value >>> 8;
    this.#bytes[at + 3] = value;
    this.length = at + 4;
  }

  u64(value: bigint): void {
    this.u32(Number(BigInt.asUintN(32, value >> 32n)));
    this.u32(Number(BigInt.asUintN(32, value)));
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#bytes.set(value, this.length);
    this.length += value.length;
  }

  /** Latin-1 text and a NUL. */
  name(text: string): void {
    this.#reserve(text.length + 1);
    for (let i = 0; i < text.length; i++) this.#bytes[this.length + i] = text.charCodeAt(i);
    this.#bytes[this.length + text.length] = 0;
    this.length += text.length + 1;
  }

  align4(): void {
    const rest = this.length % 4;
    if (rest === 0) return;
    this.#reserve(4);
    this.#bytes.fill(0, this.length, this.length + 4 - rest);
    this.length += 4 - rest;
  }

  done(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}

export function concatenate(pieces: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(pieces.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

export function bytesToHex(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += HEX[byte]!;
  return out;
}

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));
