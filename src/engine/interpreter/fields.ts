/**
 * Where the operands of a form stand in its records.
 *
 * A field is allocated when the form's semantics first use the operand, so that what a form does not
 * read takes no room. Registers that are read and written have two: reads of XZR find the zero slot,
 * writes to it the sink.
 */
import { RECORD_BYTES } from './layout.js';

/** What a field holds, and its size. */
export const FieldKind = {
  /** u16: distance of the register's cell; the zero register reads as zero. */
  read: 2,
  /** u16: the same, writes to the zero register go to the sink. */
  write: 2,
  /** u16: distance of a V register's cell. */
  vector: 2,
  /** i64: an immediate. */
  immediate: 8,
  /** u16: bit n is ConditionHolds for NZCV = n. */
  condition: 2,
  /** i64: distance of the named address from the page of the instruction. */
  address: 8,
  /** i32: host offset of the branch target's record; 0 where it is in another page. */
  target: 4,
  /** i64: distance of the instruction from its page. */
  pc: 8,
  /** u16: offset in the CPU's state block of a system register that is nothing but its cell. */
  system: 2,
  /** u16: the bit of `Permission` that an access to it needs. */
  permission: 2,
  /** i64: bits of it that a write keeps, and what the others become. */
  kept: 8,
  fixed: 8,
  /** u16: bits of `BlockAction`. */
  actions: 2,
} as const;
export type FieldKind = keyof typeof FieldKind;

export interface Field {
  readonly kind: FieldKind;
  /** The operand, by the names from the row's operand set down; empty for a fixed register or the PC. */
  readonly path: readonly string[];
  /** Added to the register's slot: a pair's second, or the slot of a fixed register. */
  readonly plus: number;
  /** Byte offset in the record. */
  readonly offset: number;
}

/** Thrown where a form does not fit a record; the evaluator then does its instructions. */
export class RecordFull extends Error {}

export class FieldAllocator {
  readonly fields: Field[] = [];
  readonly #used = new Uint8Array(RECORD_BYTES);

  constructor() {
    // The handler.
    this.#used.fill(1, 0, 2);
  }

  /** The offset of a field, allocated at its first use. */
  offsetOf(kind: FieldKind, path: readonly string[], plus = 0): number {
    const key = path.join('.');
    const known = this.fields.find((f) => f.kind === kind && f.plus === plus && f.path.join('.') === key);
    if (known !== undefined) return known.offset;
    const size = FieldKind[kind];
    for (let offset = 0; offset + size <= RECORD_BYTES; offset += size) {
      if (this.#used.subarray(offset, offset + size).some((used) => used !== 0)) continue;
      this.#used.fill(1, offset, offset + size);
      this.fields.push({ kind, path, plus, offset });
      return offset;
    }
    throw new RecordFull('the operands do not fit a record');
  }
}
