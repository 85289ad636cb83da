/**
 * WebAssembly code as nested arrays: instructions in text order, written as expressions.
 *
 *     i64.store(local.get(address), i64.add(local.get(x), i64.const(1n)), 8)
 *
 * A `Code` is bytes, other codes and control structures. Structures name their labels; how many levels a
 * branch goes out is worked out when the code is encoded, so that a piece of code can stand at any
 * depth. Nothing is checked here: the engine's own validation is the judge.
 *
 * Ref. WebAssembly Core Specification 2.0, section 5.4 (binary format of instructions).
 */

export const ValueType = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;
export type ValueType = (typeof ValueType)[keyof typeof ValueType];

/** A place to branch to; its identity is the label. */
export class Label {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** block, loop or if; `label` is the end of a block or if, the start of a loop. */
export interface Structure {
  readonly kind: 'block' | 'loop' | 'if';
  readonly label: Label | undefined;
  readonly result: ValueType | undefined;
  readonly body: Code;
  readonly otherwise: Code | undefined;
}

export interface Branch {
  readonly kind: 'br' | 'br_if';
  readonly to: Label;
}

export interface BranchTable {
  readonly kind: 'br_table';
  readonly to: readonly Label[];
  readonly otherwise: Label;
}

export type Code = readonly (number | Code | Structure | Branch | BranchTable)[];

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

/** Signed LEB128 of a 32-bit integer. */
function signed32(value: number): number[] {
  const out: number[] = [];
  let rest = value | 0;
  for (;;) {
    const byte = rest & 127;
    rest >>= 7;
    if ((rest === 0 && (byte & 64) === 0) || (rest === -1 && (byte & 64) !== 0)) {
      out.push(byte);
      return out;
    }
    out.push(byte | 128);
  }
}

function signed64(value: bigint): number[] {
  const out: number[] = [];
  let rest = BigInt.asIntN(64, value);
  for (;;) {
    const byte = Number(rest & 127n);
    rest >>= 7n;
    if ((rest === 0n && (byte & 64) === 0) || (rest === -1n && (byte & 64) !== 0)) {
      out.push(byte);
      return out;
    }
    out.push(byte | 128);
  }
}

const binary = (opcode: number) => (a: Code, b: Code) => [a, b, opcode] as Code;
const unary = (opcode: number) => (a: Code) => [a, opcode] as Code;
/** `log2` is the alignment promised; accesses of guest data may promise nothing. */
const load =
  (opcode: number, log2: number) =>
  (address: Code, offset = 0, align = log2) =>
    [address, opcode, align, unsigned(offset)] as Code;
const store =
  (opcode: number, log2: number) =>
  (address: Code, value: Code, offset = 0, align = log2) =>
    [address, value, opcode, align, unsigned(offset)] as Code;

export const local = {
  get: (index: number): Code => [0x20, unsigned(index)],
  set: (index: number, value: Code): Code => [value, 0x21, unsigned(index)],
  tee: (index: number, value: Code): Code => [value, 0x22, unsigned(index)],
};

export const i32 = {
  const: (value: number): Code => [0x41, signed32(value)],
  load: load(0x28, 2),
  load8U: load(0x2d, 0),
  load16U: load(0x2f, 1),
  store: store(0x36, 2),
  store8: store(0x3a, 0),
  store16: store(0x3b, 1),
  eqz: unary(0x45),
  eq: binary(0x46),
  ne: binary(0x47),
  ltS: binary(0x48),
  ltU: binary(0x49),
  gtS: binary(0x4a),
  gtU: binary(0x4b),
  leU: binary(0x4d),
  geU: binary(0x4f),
  clz: unary(0x67),
  popcnt: unary(0x69),
  add: binary(0x6a),
  sub: binary(0x6b),
  mul: binary(0x6c),
  divS: binary(0x6d),
  divU: binary(0x6e),
  and: binary(0x71),
  or: binary(0x72),
  xor: binary(0x73),
  shl: binary(0x74),
  shrS: binary(0x75),
  shrU: binary(0x76),
  rotr: binary(0x78),
  wrap: unary(0xa7),
  extend8S: unary(0xc0),
  extend16S: unary(0xc1),
} as const;

export const i64 = {
  const: (value: bigint): Code => [0x42, signed64(value)],
  load: load(0x29, 3),
  load8U: load(0x31, 0),
  load16U: load(0x33, 1),
  load32U: load(0x35, 2),
  store: store(0x37, 3),
  store8: store(0x3c, 0),
  store16: store(0x3d, 1),
  store32: store(0x3e, 2),
  eqz: unary(0x50),
  eq: binary(0x51),
  ne: binary(0x52),
  ltS: binary(0x53),
  ltU: binary(0x54),
  gtS: binary(0x55),
  gtU: binary(0x56),
  geU: binary(0x5a),
  clz: unary(0x79),
  ctz: unary(0x7a),
  add: binary(0x7c),
  sub: binary(0x7d),
  mul: binary(0x7e),
  divS: binary(0x7f),
  divU: binary(0x80),
  and: binary(0x83),
  or: binary(0x84),
  xor: binary(0x85),
  shl: binary(0x86),
  shrS: binary(0x87),
  shrU: binary(0x88),
  rotr: binary(0x8a),
  extendI32U: unary(0xad),
  extendI32S: unary(0xac),
  extend8S: unary(0xc2),
  extend16S: unary(0xc3),
  extend32S: unary(0xc4),
} as const;

export const RETURN = 0x0f;
export const DROP = 0x1a;

/** The operands have one type. */
export const select = (whenTrue: Code, whenFalse: Code, condition: Code): Code => [
  whenTrue,
  whenFalse,
  condition,
  0x1b,
];
export const call = (index: number, ...args: readonly Code[]): Code => [...args, 0x10, unsigned(index)];
/** `type` is an index of the module's type section; table 0. */
export const callIndirect = (type: number, which: Code, ...args: readonly Code[]): Code => [
  ...args,
  which,
  0x11,
  unsigned(type),
  0,
];
/** Tail calls: the caller's frame is gone. Not everywhere: WebAssembly.validate tells. */
export const returnCall = (index: number, ...args: readonly Code[]): Code => [...args, 0x12, unsigned(index)];
export const returnCallIndirect = (type: number, which: Code, ...args: readonly Code[]): Code => [
  ...args,
  which,
  0x13,
  unsigned(type),
  0,
];
export const giveBack = (value: Code): Code => [value, RETURN];

export const block = (label: Label, body: Code, result?: ValueType): Code => [
  { kind: 'block', label, result, body, otherwise: undefined },
];
export const loop = (label: Label, body: Code): Code => [
  { kind: 'loop', label, result: undefined, body, otherwise: undefined },
];
export const when = (condition: Code, body: Code, otherwise?: Code): Code => [
  condition,
  { kind: 'if', label: undefined, result: undefined, body, otherwise },
];
/** An `if` that gives a value. */
export const choose = (type: ValueType, condition: Code, body: Code, otherwise: Code): Code => [
  condition,
  { kind: 'if', label: undefined, result: type, body, otherwise },
];
export const br = (to: Label): Code => [{ kind: 'br', to }];
export const brIf = (to: Label, condition: Code): Code => [condition, { kind: 'br_if', to }];
export const brTable = (index: Code, to: readonly Label[], otherwise: Label): Code => [
  index,
  { kind: 'br_table', to, otherwise },
];

const OPCODE = { block: 0x02, loop: 0x03, if: 0x04, br: 0x0c, br_if: 0x0d } as const;
const END = 0x0b;
const ELSE = 0x05;
const EMPTY = 0x40;

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

  #grow(needed: number): void {
    const bytes = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    bytes.set(this.#bytes);
    this.#bytes = bytes;
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.length);
  }
}

/**
 * Writes `code` to `out`. Throws Error (a fault of the generator) for a branch to a label that does not
 * enclose it.
 */
export function encode(code: Code, out: Bytes): void {
  write(code, out, []);
}

function depthOf(to: Label, open: readonly (Label | undefined)[]): number[] {
  const at = open.lastIndexOf(to);
  if (at < 0) throw new Error(`branch to ${to.name}, which is not around it`);
  return unsigned(open.length - 1 - at);
}

function write(code: Code, out: Bytes, open: (Label | undefined)[]): void {
  for (const item of code) {
    if (typeof item === 'number') {
      out.push(item);
    } else if (!('kind' in item)) {
      write(item, out, open);
    } else if (item.kind === 'br_table') {
      out.push(0x0e);
      out.append(unsigned(item.to.length));
      for (const to of item.to) out.append(depthOf(to, open));
      out.append(depthOf(item.otherwise, open));
    } else if ('to' in item) {
      out.push(OPCODE[item.kind]);
      out.append(depthOf(item.to, open));
    } else {
      out.push(OPCODE[item.kind]);
      out.push(item.result ?? EMPTY);
      open.push(item.label);
      write(item.body, out, open);
      if (item.otherwise !== undefined) {
        out.push(ELSE);
        write(item.otherwise, out, open);
      }
      open.pop();
      out.push(END);
    }
  }
}
