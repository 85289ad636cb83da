/**
 * Floating-point instructions of WebAssembly, as code.ts has the integer ones.
 *
 * Arithmetic is IEEE 754's, to nearest with ties to even, and nothing raises or is flushed; what NaN comes
 * out is not said, so that callers keep NaNs out of arithmetic. Loads, stores, locals and reinterpretations
 * keep every bit.
 *
 * Ref. WebAssembly Core Specification 2.0, sections 4.3.3 (floating-point operations) and 5.4.7.
 */
import { type Code, memory, plain, withBytes } from './instruction.js';

const binary = (opcode: number) => (a: Code, b: Code) => plain(opcode, a, b);
const unary = (opcode: number) => (a: Code) => plain(opcode, a);

/** The bytes of a constant, lowest first. */
function bytesOf(value: number, isDouble: boolean): number[] {
  const view = new DataView(new ArrayBuffer(8));
  if (isDouble) view.setFloat64(0, value, true);
  else view.setFloat32(0, value, true);
  return Array.from({ length: isDouble ? 8 : 4 }, (_, i) => view.getUint8(i));
}

export const f32 = {
  const: (value: number): Code => withBytes(0x43, bytesOf(value, false)),
  load: (address: Code, offset = 0): Code => memory(0x2a, 0, offset, address),
  eq: binary(0x5b),
  ne: binary(0x5c),
  lt: binary(0x5d),
  gt: binary(0x5e),
  le: binary(0x5f),
  ge: binary(0x60),
  abs: unary(0x8b),
  neg: unary(0x8c),
  ceil: unary(0x8d),
  floor: unary(0x8e),
  trunc: unary(0x8f),
  nearest: unary(0x90),
  sqrt: unary(0x91),
  add: binary(0x92),
  sub: binary(0x93),
  mul: binary(0x94),
  div: binary(0x95),
  min: binary(0x96),
  max: binary(0x97),
  copysign: binary(0x98),
  convertI64S: unary(0xb4),
  convertI64U: unary(0xb5),
  demote: unary(0xb6),
  reinterpret: unary(0xbe),
  /** The bits, an i32. */
  bits: unary(0xbc),
} as const;

export const f64 = {
  const: (value: number): Code => withBytes(0x44, bytesOf(value, true)),
  load: (address: Code, offset = 0): Code => memory(0x2b, 0, offset, address),
  eq: binary(0x61),
  ne: binary(0x62),
  lt: binary(0x63),
  gt: binary(0x64),
  le: binary(0x65),
  ge: binary(0x66),
  abs: unary(0x99),
  neg: unary(0x9a),
  ceil: unary(0x9b),
  floor: unary(0x9c),
  trunc: unary(0x9d),
  nearest: unary(0x9e),
  sqrt: unary(0x9f),
  add: binary(0xa0),
  sub: binary(0xa1),
  mul: binary(0xa2),
  div: binary(0xa3),
  min: binary(0xa4),
  max: binary(0xa5),
  copysign: binary(0xa6),
  convertI32S: unary(0xb7),
  convertI32U: unary(0xb8),
  convertI64S: unary(0xb9),
  convertI64U: unary(0xba),
  promote: unary(0xbb),
  reinterpret: unary(0xbf),
  /** The bits, an i64. */
  bits: unary(0xbd),
  /** Integers, cut; what does not fit becomes the nearest that does, and NaN becomes 0. */
  truncI64S: unary(0xfc06),
  truncI64U: unary(0xfc07),
} as const;
