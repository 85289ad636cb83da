/**
 * WebAssembly instructions as functions: code is written as expressions, in text order.
 *
 *     i64.store(local.get(address), i64.add(local.get(x), i64.const(1n)), 8)
 *
 * Structures name their labels; how many levels a branch goes out is worked out when the code is encoded
 * (encode.ts). Vector and floating-point instructions are in simd.ts and float.ts.
 *
 * Ref. WebAssembly Core Specification 2.0, section 5.4 (binary format of instructions).
 */
import {
  type Code,
  type Control,
  control,
  Immediate,
  Instruction,
  indexed,
  type Label,
  memory,
  plain,
  type ValueType,
} from './instruction.js';

const binary = (opcode: number) => (a: Code, b: Code) => plain(opcode, a, b);
const unary = (opcode: number) => (a: Code) => plain(opcode, a);
/** `log2` is the alignment promised; accesses of guest data may promise nothing. */
const load =
  (opcode: number, log2: number) =>
  (address: Code, offset = 0, align = log2) =>
    memory(opcode, align, offset, address);
const store =
  (opcode: number, log2: number) =>
  (address: Code, value: Code, offset = 0, align = log2) =>
    memory(opcode, align, offset, address, value);

/** Reads of locals that exist already, by index. */
const reads: Instruction[] = [];
/** Small constants that exist already, by value. */
const constants: Instruction[] = [];
const SHARED = 4096;

export const local = {
  get: (index: number): Code => {
    reads[index] ??= indexed(0x20, index);
    return reads[index];
  },
  set: (index: number, value: Code): Code => indexed(0x21, index, value),
  tee: (index: number, value: Code): Code => indexed(0x22, index, value),
};

function constant(value: number): Code {
  const known = value >= 0 && value < SHARED ? constants[value] : undefined;
  if (known !== undefined) return known;
  const made = new Instruction(0x41, Immediate.i32, value, 0, undefined, undefined, undefined, undefined);
  if (value >= 0 && value < SHARED) constants[value] = made;
  return made;
}

export const i32 = {
  const: constant,
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
  const: (value: bigint): Code =>
    new Instruction(0x42, Immediate.i64, 0, 0, undefined, undefined, undefined, value),
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

const DROP = 0x1a;

export const drop = (value: Code): Code => plain(DROP, value);
/** The operands have one type. */
export const select = (whenTrue: Code, whenFalse: Code, condition: Code): Code =>
  plain(0x1b, whenTrue, whenFalse, condition);
export const call = (index: number, ...args: readonly Code[]): Code => indexed(0x10, index, args);
const indirect = (opcode: number, type: number, which: Code, args: readonly Code[]): Code =>
  new Instruction(opcode, Immediate.callIndirect, type, 0, args, which, undefined, undefined);
/** `type` is an index of the module's type section; table 0. */
export const callIndirect = (type: number, which: Code, ...args: readonly Code[]): Code =>
  indirect(0x11, type, which, args);
/** Tail calls: the caller's frame is gone. Not everywhere: WebAssembly.validate tells. */
export const returnCall = (index: number, ...args: readonly Code[]): Code => indexed(0x12, index, args);
export const returnCallIndirect = (type: number, which: Code, ...args: readonly Code[]): Code =>
  indirect(0x13, type, which, args);
export const giveBack = (value: Code): Code => plain(0x0f, value);

const NO_RESULT = 0;
const structure = (
  opcode: number,
  label: Label | undefined,
  result: number,
  condition: Code | undefined,
  body: Code,
  otherwise: Code | undefined,
  isLikely: boolean | undefined,
): Code => {
  const value: Control = { labels: label === undefined ? [] : [label], body, otherwise, isLikely };
  return control(opcode, Immediate.structure, result, condition, value);
};

export const block = (label: Label, body: Code, result?: ValueType): Code =>
  structure(0x02, label, result ?? NO_RESULT, undefined, body, undefined, undefined);
export const loop = (label: Label, body: Code): Code =>
  structure(0x03, label, NO_RESULT, undefined, body, undefined, undefined);
export const when = (condition: Code, body: Code, otherwise?: Code): Code =>
  structure(0x04, undefined, NO_RESULT, condition, body, otherwise, undefined);
/** The condition is nearly always false. */
export const whenUnlikely = (condition: Code, body: Code, otherwise?: Code): Code =>
  structure(0x04, undefined, NO_RESULT, condition, body, otherwise, false);
/** An `if` that gives a value. */
export const choose = (type: ValueType, condition: Code, body: Code, otherwise: Code): Code =>
  structure(0x04, undefined, type, condition, body, otherwise, undefined);

const branch = (opcode: number, condition: Code | undefined, to: Label, isLikely?: boolean): Code =>
  control(opcode, Immediate.branch, 0, condition, {
    labels: [to],
    body: undefined,
    otherwise: undefined,
    isLikely,
  });
export const br = (to: Label): Code => branch(0x0c, undefined, to);
export const brIf = (to: Label, condition: Code): Code => branch(0x0d, condition, to);
export const brIfUnlikely = (to: Label, condition: Code): Code => branch(0x0d, condition, to, false);
export const brTable = (index: Code, to: readonly Label[], otherwise: Label): Code =>
  control(0x0e, Immediate.table, 0, index, {
    labels: [...to, otherwise],
    body: undefined,
    otherwise: undefined,
    isLikely: undefined,
  });
