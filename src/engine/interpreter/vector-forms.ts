/**
 * V registers and integer vectors in forms.
 *
 * A vector is code that leaves a v128; arithmetic on lanes is in vector-arithmetic.ts and lane-shifts.ts.
 * What this class does not have raises Unsupported, as everywhere (form-builder.ts).
 *
 * Ref. isa/builder.ts says what each operation means.
 */
import type {
  Access,
  LaneSize,
  Narrowing,
  VectorBinary,
  VectorTernary,
  VectorUnary,
  VectorWidth,
  Width,
} from '../../../isa/index.js';
import {
  type Code,
  f32,
  f32x4,
  f64,
  f64x2,
  i8x16,
  i16x8,
  i32,
  i32x4,
  i64x2,
  local,
  select,
  ValueType,
  v128,
  when,
} from '../wasm/index.js';
import { onlyWhen, Unsupported } from './frame.js';
import { accumulatedHigh, shiftByConstant, shiftByRegister, shiftKind } from './lane-shifts.js';
import { FPSR, STATE } from './layout.js';
import type { Operand } from './operands.js';
import { PauthFormBuilder } from './pauth-forms.js';
import { constantValue, narrowValue, realValue, type Value, wideValue } from './values.js';
import { binaryLanes, narrowedLanes, shiftedLanes, unaryLanes, widenedLanes } from './vector-arithmetic.js';
import {
  constantVector,
  splatConstant,
  type VectorValue,
  vectorLocal,
  vectorValue,
} from './vector-values.js';

const QC = 1 << 27;
/** For each lane size: the bytes 0, 1, ... of a lane, and the number of the lane of each byte. */
const BYTES_OF_LANE = { 8: 0n, 16: 0n, 32: 0n, 64: 0n };
const LANE_OF_BYTE = { 8: 0n, 16: 0n, 32: 0n, 64: 0n };
for (const size of [8, 16, 32, 64] as const) {
  const bytes = size / 8;
  for (let i = 15; i >= 0; i--) {
    BYTES_OF_LANE[size] = (BYTES_OF_LANE[size] << 8n) | BigInt(i % bytes);
    LANE_OF_BYTE[size] = (LANE_OF_BYTE[size] << 8n) | BigInt(Math.floor(i / bytes));
  }
}

export class VectorFormBuilder extends PauthFormBuilder {
  /** The form uses V registers. */
  usesVectors = false;

  // ---- code ----------------------------------------------------------------------------------------

  get cpu(): Code {
    return this.frame.cpu;
  }
  newLocal(type: ValueType): number {
    return this.frame.local(type);
  }
  /** Computes a vector now; gives the local that holds it. */
  protected newVector(code: Code): number {
    const index = this.frame.local(ValueType.v128);
    this.emit(local.set(index, code));
    return index;
  }
  /** Computes a vector now; gives code that reads it. */
  protected keepV(code: Code): Code {
    return local.get(this.newVector(code));
  }

  readonly #lanes = {
    keep: (code: Code) => this.keepV(code),
    saturated: (lanes: Code) => this.emit(when(v128.anyTrue(lanes), this.orFpsr(QC))),
  };

  /** Sets cumulative bits of FPSR. */
  protected orFpsr(bits: number): Code {
    return i32.store(this.cpu, i32.or(i32.load(this.cpu, STATE + FPSR), i32.const(bits)), STATE + FPSR);
  }

  // ---- memory --------------------------------------------------------------------------------------

  loadVector(element: 1 | 2 | 4 | 8 | 16, total: number, address: Value, access: Access): VectorValue[] {
    const host = local.get(this.vectorAccess('read', address, element, total, access));
    const out: VectorValue[] = [];
    for (let at = 0; at < total; at += 16) {
      const bytes = Math.min(16, total - at);
      out.push(vectorLocal(this.keepV(this.#loaded(bytes, host, at))));
    }
    return out;
  }

  #loaded(bytes: number, host: Code, at: number): Code {
    if (bytes === 16) return v128.load(host, at);
    if (bytes === 8) return v128.load64Zero(host, at);
    if (bytes === 4) return v128.load32Zero(host, at);
    if (bytes === 2) return i16x8.replace(0, v128.const(0n), i32.load16U(host, at, 0));
    if (bytes === 1) return i8x16.replace(0, v128.const(0n), i32.load8U(host, at));
    // Three, six or twelve bytes: of three elements.
    const element = bytes / 3;
    const first = this.#loaded(2 * element, host, at);
    return element === 4
      ? i32x4.replace(2, first, i32.load(host, at + 8, 0))
      : element === 2
        ? i16x8.replace(2, first, i32.load16U(host, at + 4, 0))
        : i8x16.replace(2, first, i32.load8U(host, at + 2));
  }

  storeVector(
    element: 1 | 2 | 4 | 8 | 16,
    total: number,
    address: Value,
    values: readonly VectorValue[],
    access: Access,
  ): void {
    // What is stored is computed before the access, whose code must be the last that can give up.
    const named = values.map((value) => this.letV(value));
    const place = this.vectorAccess('write', address, element, total, access);
    const host = local.get(place);
    for (let at = 0; at < total; at += 16) {
      this.emit(this.#laid(Math.min(16, total - at), host, at, 0, named[at / 16]!.code));
    }
    this.stored(place, total, access);
  }

  /** Bytes of a vector from `from` on. */
  #laid(bytes: number, host: Code, at: number, from: number, value: Code): Code {
    if (bytes === 16) return v128.store(host, value, at);
    if (bytes === 8) return v128.store64Lane(from / 8, host, value, at);
    if (bytes === 4) return v128.store32Lane(from / 4, host, value, at);
    if (bytes === 2) return v128.store16Lane(from / 2, host, value, at);
    if (bytes === 1) return v128.store8Lane(from, host, value, at);
    const element = bytes / 3;
    return [
      this.#laid(2 * element, host, at, from, value),
      this.#laid(element, host, at + 2 * element, from + 2 * element, value),
    ];
  }

  // ---- registers -----------------------------------------------------------------------------------

  checkFPAdvSIMDEnabled(): void {
    this.usesVectors = true;
    this.isRare = true;
    this.emit(onlyWhen(this.frame.fpTrapped, this.frame.fail()));
  }
  readF(size: LaneSize, reg: Operand): Value {
    return this.operands.vectors.readF(size, reg);
  }
  writeF(size: LaneSize, reg: Operand, value: Value): void {
    const { vectors } = this.operands;
    const { real } = value;
    if (real !== undefined && real.size === size) vectors.writeReal(this, real.size, reg, real.code());
    else vectors.writeF(this, reg, this.zext(size, value));
  }
  readV(width: VectorWidth, reg: Operand): VectorValue {
    return vectorValue(this.operands.vectors.readV(width, reg));
  }
  writeV(width: VectorWidth, reg: Operand, value: VectorValue): void {
    const { vectors } = this.operands;
    if (width === 128) vectors.writeV(this, reg, value.code);
    else this.writeF(width, reg, this.getLane(width, value, constantValue(0n)));
  }
  nextV(reg: Operand, distance: number): Operand {
    return { ...reg, plus: reg.plus + distance };
  }

  // ---- vectors -------------------------------------------------------------------------------------

  immV(value: bigint): VectorValue {
    return constantVector(value);
  }
  letV(value: VectorValue): VectorValue {
    if (value.isLocal || value.constant !== undefined) return value;
    return { ...value, ...vectorLocal(this.keepV(value.code)) };
  }
  fromX(low: Value, high: Value): VectorValue {
    if (high.constant === 0n) return vectorValue(i64x2.replace(0, v128.const(0n), low.wide()));
    return vectorValue(i64x2.replace(1, i64x2.splat(low.wide()), high.wide()));
  }

  getLane(size: LaneSize, a: VectorValue, index: Value): Value {
    if (index.constant !== undefined) return this.#lane(size, a.code, Number(index.constant));
    // The bytes of the lane brought to the front.
    const first = i32.mul(index.low(), i32.const(size / 8));
    const indices = i8x16.add(i8x16.splat(first), v128.const(BYTES_OF_LANE[size]));
    return this.#lane(size, i8x16.swizzle(a.code, indices), 0);
  }
  #lane(size: LaneSize, code: Code, lane: number): Value {
    switch (size) {
      case 8:
        return narrowValue(i8x16.extract(lane, code));
      case 16:
        return narrowValue(i16x8.extract(lane, code));
      case 32:
        return realValue(narrowValue(i32x4.extract(lane, code)), 32, f32x4.extract(lane, code));
      case 64:
        return realValue(wideValue(i64x2.extract(lane, code)), 64, f64x2.extract(lane, code));
    }
  }

  setLane(size: LaneSize, a: VectorValue, index: Value, value: Value): VectorValue {
    if (index.constant !== undefined) {
      const lane = Number(index.constant);
      const { real } = value;
      if (real?.size === 32 && size === 32) return vectorValue(f32x4.replace(lane, a.code, real.code()));
      if (real?.size === 64 && size === 64) return vectorValue(f64x2.replace(lane, a.code, real.code()));
      if (size === 64) return vectorValue(i64x2.replace(lane, a.code, value.wide()));
      const shape = { 8: i8x16, 16: i16x8, 32: i32x4 }[size];
      return vectorValue(shape.replace(lane, a.code, value.low()));
    }
    const isLane = i8x16.eq(v128.const(LANE_OF_BYTE[size]), i8x16.splat(index.low()));
    return vectorValue(v128.bitSelect(this.#splat(size, value), a.code, isLane));
  }

  #splat(size: LaneSize, value: Value): Code {
    if (size === 64) return i64x2.splat(value.wide());
    return { 8: i8x16, 16: i16x8, 32: i32x4 }[size].splat(value.low());
  }
  splat(size: LaneSize, value: Value): VectorValue {
    if (value.constant === undefined) return vectorValue(this.#splat(size, value));
    const lane = BigInt.asUintN(size, value.constant);
    return { code: splatConstant(size, lane), splat: { size, lane } };
  }
  shuffle(a: VectorValue, b: VectorValue, pattern: readonly number[]): VectorValue {
    return vectorValue(i8x16.shuffle(a.code, b.code, pattern));
  }
  swizzle(table: VectorValue, indices: VectorValue): VectorValue {
    return vectorValue(i8x16.swizzle(table.code, indices.code));
  }

  v1(operation: VectorUnary, size: LaneSize, a: VectorValue): VectorValue {
    const code = unaryLanes(this.#lanes, operation, size, a.code);
    if (code === undefined) throw new Unsupported(operation);
    return vectorValue(code);
  }
  v2(operation: VectorBinary, size: LaneSize, a: VectorValue, b: VectorValue): VectorValue {
    const kind = shiftKind(operation);
    if (kind !== undefined) {
      if (b.splat?.size === size) {
        const amount = Number(BigInt.asIntN(8, b.splat.lane));
        return vectorValue(shiftByConstant(this.#lanes, kind, size, a.code, amount));
      }
      return vectorValue(shiftByRegister(this, this.#lanes, kind, size, a.code, b.code));
    }
    const code = binaryLanes(this.#lanes, operation, size, a.code, b.code);
    if (code === undefined) throw new Unsupported(operation);
    return vectorValue(code);
  }
  v3(
    operation: VectorTernary,
    size: LaneSize,
    first: VectorValue,
    a: VectorValue,
    b: VectorValue,
  ): VectorValue {
    if (operation === 'bitSelect') return vectorValue(v128.bitSelect(a.code, b.code, first.code));
    if (size !== 16 && size !== 32) throw new Unsupported(operation);
    return vectorValue(accumulatedHigh(this, this.#lanes, operation, size, first.code, a.code, b.code));
  }
  vShift(operation: 'shl' | 'shr' | 'sar', size: LaneSize, a: VectorValue, amount: Value): VectorValue {
    const { constant } = amount;
    if (constant !== undefined) {
      return vectorValue(shiftedLanes(operation, size, a.code, [], Number(constant)));
    }
    const by = local.get(this.keep32(amount.low()));
    return vectorValue(shiftedLanes(operation, size, a.code, by, undefined));
  }
  vWiden(signed: boolean, size: 8 | 16 | 32, high: boolean, a: VectorValue): VectorValue {
    return vectorValue(widenedLanes(signed, size, high, a.code));
  }
  vNarrow(how: Narrowing, size: 8 | 16 | 32, a: VectorValue): VectorValue {
    return vectorValue(narrowedLanes(this.#lanes, how, size, a.code));
  }

  // ---- numbers -------------------------------------------------------------------------------------

  /** Amounts of shifts are differences of what is known. */
  override sub(w: Width, a: Value, b: Value): Value {
    if (a.constant !== undefined && b.constant !== undefined) {
      return constantValue(BigInt.asUintN(w, a.constant - b.constant));
    }
    return super.sub(w, a, b);
  }

  /** A number that is at hand as an f32 or f64 is kept as one. */
  override let(value: Value): Value {
    const { real } = value;
    if (real === undefined || value.isLocal) return super.let(value);
    return this.letReal(real.size, real.code());
  }

  protected letReal(size: 32 | 64, code: Code): Value {
    const index = this.frame.local(size === 64 ? ValueType.f64 : ValueType.f32);
    this.emit(local.set(index, code));
    const get = local.get(index);
    const value = size === 64 ? wideValue(f64.bits(get)) : narrowValue(f32.bits(get));
    return { ...realValue(value, size, get), isLocal: true };
  }

  override select(condition: Code, whenTrue: Value, whenFalse: Value): Value {
    const bits = super.select(condition, whenTrue, whenFalse);
    const [a, b] = [whenTrue.real, whenFalse.real];
    if (a === undefined || a.size !== b?.size) return bits;
    return realValue(bits, a.size, select(a.code(), b.code(), condition));
  }
}
