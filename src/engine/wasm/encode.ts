/**
 * From code to bytes, in one pass over it and without anything in between.
 *
 * How many levels a branch goes out is worked out here, so that a piece of code can stand at any depth.
 * Where the code says which way a branch goes nearly always, its place is noted for the module's section of
 * branch hints. Nothing else is checked: the engine's own validation is the judge.
 *
 * Ref. WebAssembly Core Specification 2.0, sections 5.2.2 (LEB128) and 5.4; the branch hinting proposal.
 */
import { type Code, type Control, Immediate, Instruction, type Label } from './instruction.js';

const END = 0x0b;
const ELSE = 0x05;
const EMPTY = 0x40;
const IF = 0x04;
const BR_IF = 0x0d;

/** Unsigned LEB128 of an integer below 2^53. */
export function unsigned(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  while (rest >= 128) {
    out.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  out.push(rest);
  return out;
}

/** Bytes of a LEB128 of 32 bits at most. */
const MOST_LEB = 5;

/** Bytes that grow. */
export class Bytes {
  #bytes = new Uint8Array(1024);
  length = 0;

  push(byte: number): void {
    if (this.length === this.#bytes.length) this.#grow(this.length + 1);
    this.#bytes[this.length++] = byte;
  }

  append(bytes: ArrayLike<number>): void {
    const end = this.length + bytes.length;
    if (end > this.#bytes.length) this.#grow(end);
    this.#bytes.set(bytes, this.length);
    this.length = end;
  }

  /** Unsigned LEB128 of an integer below 2^32. */
  unsigned(value: number): void {
    let rest = value >>> 0;
    while (rest >= 128) {
      this.push((rest & 127) | 128);
      rest >>>= 7;
    }
    this.push(rest);
  }

  /** Signed LEB128 of a 32-bit integer. */
  signed32(value: number): void {
    let rest = value | 0;
    while (rest < -64 || rest > 63) {
      this.push((rest & 127) | 128);
      rest >>= 7;
    }
    this.push(rest & 127);
  }

  /** Signed LEB128 of the low 64 bits. */
  signed64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    while (rest < -0x8000_0000n || rest > 0x7fff_ffffn) {
      this.push(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    this.signed32(Number(rest));
  }

  /** What `fill` writes, behind its length. */
  sized(fill: () => void): void {
    const at = this.length;
    for (let i = 0; i < MOST_LEB; i++) this.push(0);
    fill();
    let rest = this.length - at - MOST_LEB;
    for (let i = 0; i < MOST_LEB; i++) {
      // Padded: a LEB128 may have more bytes than it needs.
      this.#bytes[at + i] = (rest & 127) | (i + 1 < MOST_LEB ? 128 : 0);
      rest >>>= 7;
    }
  }

  #grow(needed: number): void {
    const bytes = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    bytes.set(this.#bytes);
    this.#bytes = bytes;
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.length);
  }
}

/** A branch or `if` that is known to go one way. */
export interface Hint {
  /** Its opcode's offset in the bytes. */
  readonly at: number;
  readonly isLikely: boolean;
}

/**
 * Writes `code` to `out`, and to `hints` where branches are known to go one way. Throws Error (a fault of
 * the generator) for a branch to a label that does not enclose it.
 */
export function encode(code: Code, out: Bytes, hints: Hint[] = []): void {
  new Encoder(out, hints).write(code);
}

class Encoder {
  readonly #out: Bytes;
  readonly #hints: Hint[];
  #depth = 0;

  constructor(out: Bytes, hints: Hint[]) {
    this.#out = out;
    this.#hints = hints;
  }

  write(code: Code): void {
    if (!(code instanceof Instruction)) {
      for (const item of code) this.write(item);
      return;
    }
    const { a, b, c, opcode } = code;
    if (a !== undefined) this.write(a);
    if (b !== undefined) this.write(b);
    if (c !== undefined) this.write(c);
    const out = this.#out;
    if (opcode < 256) {
      if (opcode === IF || opcode === BR_IF) this.#hint(code.value as Control);
      out.push(opcode);
    } else {
      out.push(opcode >> 8);
      out.unsigned(opcode & 255);
    }
    this.#immediate(code);
  }

  #immediate({ immediate, x, y, value }: Instruction): void {
    const out = this.#out;
    switch (immediate) {
      case Immediate.none:
        break;
      case Immediate.index:
        out.unsigned(x);
        break;
      case Immediate.i32:
        out.signed32(x);
        break;
      case Immediate.i64:
        out.signed64(value as bigint);
        break;
      case Immediate.memory:
        out.push(y);
        out.unsigned(x);
        break;
      case Immediate.memoryLane:
        // No alignment is promised.
        out.push(0);
        out.unsigned(x);
        out.push(y);
        break;
      case Immediate.bytes:
        out.append(value as readonly number[]);
        break;
      case Immediate.callIndirect:
        out.unsigned(x);
        out.push(0);
        break;
      default:
        this.#control(immediate, x, value as Control);
    }
  }

  #control(immediate: number, result: number, { labels, body, otherwise }: Control): void {
    const out = this.#out;
    if (immediate === Immediate.table) out.unsigned(labels.length - 1);
    if (immediate !== Immediate.structure) {
      for (const to of labels) this.#branch(to);
      return;
    }
    out.push(result === 0 ? EMPTY : result);
    this.#depth++;
    const [label] = labels;
    const outer = label?.level ?? -1;
    if (label !== undefined) label.level = this.#depth;
    this.write(body!);
    if (otherwise !== undefined) {
      out.push(ELSE);
      this.write(otherwise);
    }
    if (label !== undefined) label.level = outer;
    this.#depth--;
    out.push(END);
  }

  #branch(to: Label): void {
    if (to.level < 0) throw new Error(`branch to ${to.name}, which is not around it`);
    this.#out.unsigned(this.#depth - to.level);
  }

  #hint({ isLikely }: Control): void {
    if (isLikely !== undefined) this.#hints.push({ at: this.#out.length, isLikely });
  }
}
