/**
 * NZCV of an operation as code: used wherever flags are computed and not only remembered.
 *
 * Ref. DDI 0487, J1 AddWithCarry.
 */
import type { FlagOperation, Width } from '../../../isa/index.js';
import { type Code, i32, i64, local } from '../wasm/index.js';
import type { Emitter } from './operands.js';
import type { Value } from './values.js';

/** An i32 with N in bit 3. `carryIn`: an i32, for `adc` and `sbc`. */
export function nzcvOf(
  e: Emitter,
  operation: FlagOperation,
  w: Width,
  first: Value,
  second: Value,
  carryIn: () => Code,
): Code {
  const op = w === 64 ? i64 : i32;
  const top = w === 64 ? i64.const(63n) : i32.const(31);
  const ones = w === 64 ? i64.const(-1n) : i32.const(-1);
  const as32 = (code: Code) => (w === 64 ? i32.wrap(code) : code);
  const keep = (code: Code) => local.get(w === 64 ? e.keep(code) : e.keep32(code));
  const part = (v: Value) => (w === 64 ? v.wide() : v.low());
  const topBit = (code: Code) => as32(op.shrU(code, top));
  const join = (n: Code, z: Code, c: Code | undefined, v: Code | undefined) => {
    const nz = i32.or(i32.shl(n, i32.const(3)), i32.shl(z, i32.const(2)));
    return c === undefined || v === undefined ? nz : i32.or(nz, i32.or(i32.shl(c, i32.const(1)), v));
  };
  if (operation === 'logic') {
    const result = keep(part(first));
    return join(topBit(result), op.eqz(result), undefined, undefined);
  }
  const a = part(e.let(first));
  const b = part(e.let(second));
  if (operation === 'sub') {
    const result = keep(op.sub(a, b));
    const overflow = op.and(op.xor(a, b), op.xor(a, result));
    return join(topBit(result), op.eqz(result), op.geU(a, b), topBit(overflow));
  }
  if (operation === 'add') {
    const result = keep(op.add(a, b));
    const overflow = op.and(op.xor(a, result), op.xor(b, result));
    return join(topBit(result), op.eqz(result), op.ltU(result, a), topBit(overflow));
  }
  const addend = operation === 'adc' ? b : keep(op.xor(b, ones));
  const carry = w === 64 ? i64.extendI32U(carryIn()) : carryIn();
  const result = keep(op.add(op.add(a, addend), carry));
  const out = op.or(op.and(a, addend), op.and(op.or(a, addend), op.xor(result, ones)));
  const overflow = op.and(op.xor(a, result), op.xor(addend, result));
  return join(topBit(result), op.eqz(result), topBit(out), topBit(overflow));
}
