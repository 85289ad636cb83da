/**
 * What WebAssembly code is made of while it is being written: instructions with their operands, and
 * sequences of them.
 *
 * An instruction is one small object of one shape, whatever it is, and is never changed: the same piece of
 * code may stand in many places. Constants and reads of locals, which are half of all code, are shared.
 *
 * Ref. WebAssembly Core Specification 2.0, section 5.4 (binary format of instructions).
 */

export const ValueType = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;
export type ValueType = (typeof ValueType)[keyof typeof ValueType];

/** A place to branch to; its identity is the label. */
export class Label {
  readonly name: string;
  /** Structures around it where code is being encoded; below zero elsewhere. Only the encoder's. */
  level = -1;
  constructor(name: string) {
    this.name = name;
  }
}

/** What stands behind the opcode. */
export const Immediate = {
  none: 0,
  /** `x`, unsigned. */
  index: 1,
  /** `x`, signed. */
  i32: 2,
  /** `value`, a bigint. */
  i64: 3,
  /** Alignment `y`, offset `x`. */
  memory: 4,
  /** The same, and the lane `lane`. */
  memoryLane: 5,
  /** `value`, bytes as they are. */
  bytes: 6,
  /** Type `x`, table 0. */
  callIndirect: 7,
  /** `labels`, of which the last is for all other values. */
  table: 8,
  /** One label. */
  branch: 9,
  /** Type of the result `x`; `labels`: its own, if any; `body` and `otherwise`. */
  structure: 10,
} as const;

/** Code is one instruction or several, in order. */
export type Code = Instruction | readonly Code[];

export interface Control {
  readonly labels: readonly Label[];
  readonly body: Code | undefined;
  readonly otherwise: Code | undefined;
  /** Whether the branch is taken or the `if` done, where it is known to be nearly always or never. */
  readonly isLikely: boolean | undefined;
}

/** Prefixed opcodes are 0xfd00 + n. */
export const VECTOR = 0xfd00;

export class Instruction {
  readonly opcode: number;
  readonly immediate: number;
  readonly x: number;
  readonly y: number;
  /** Operands, in the order in which they are computed. */
  readonly a: Code | undefined;
  readonly b: Code | undefined;
  readonly c: Code | undefined;
  readonly value: bigint | readonly number[] | Control | undefined;

  constructor(
    opcode: number,
    immediate: number,
    x: number,
    y: number,
    a: Code | undefined,
    b: Code | undefined,
    c: Code | undefined,
    value: bigint | readonly number[] | Control | undefined,
  ) {
    this.opcode = opcode;
    this.immediate = immediate;
    this.x = x;
    this.y = y;
    this.a = a;
    this.b = b;
    this.c = c;
    this.value = value;
  }
}

/** An instruction with nothing behind its opcode. */
export const plain = (opcode: number, a?: Code, b?: Code, c?: Code): Instruction =>
  new Instruction(opcode, Immediate.none, 0, 0, a, b, c, undefined);

/** An instruction with an unsigned number behind its opcode. */
export const indexed = (opcode: number, x: number, a?: Code, b?: Code): Instruction =>
  new Instruction(opcode, Immediate.index, x, 0, a, b, undefined, undefined);

/** An access to memory: the logarithm of the alignment that is promised, and the offset. */
export const memory = (opcode: number, align: number, offset: number, a: Code, b?: Code): Instruction =>
  new Instruction(opcode, Immediate.memory, offset, align, a, b, undefined, undefined);

export const withBytes = (opcode: number, bytes: readonly number[], a?: Code, b?: Code): Instruction =>
  new Instruction(opcode, Immediate.bytes, 0, 0, a, b, undefined, bytes);

export const control = (
  opcode: number,
  immediate: number,
  x: number,
  condition: Code | undefined,
  value: Control,
): Instruction => new Instruction(opcode, immediate, x, 0, condition, undefined, undefined, value);
