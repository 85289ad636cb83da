/**
 * V registers in a region: each that is used is a v128 local, loaded at entry and, if it is written, stored
 * at the exit.
 */
import type { LaneSize, VectorWidth } from '../../../isa/index.js';
import { CpuLayout } from '../../machine/index.js';
import {
  type Emitter,
  type FloatKnowledge,
  narrowValue,
  type Operand,
  type RealSize,
  realValue,
  STATE,
  type Value,
  type VectorOperands,
  wideValue,
} from '../interpreter/index.js';
import {
  type Code,
  f32x4,
  f64x2,
  i8x16,
  i16x8,
  i32x4,
  i64x2,
  local,
  ValueType,
  v128,
} from '../wasm/index.js';

const ZERO = v128.const(0n);

export class RegionVectors implements VectorOperands {
  readonly known: FloatKnowledge;
  readonly #newLocal: (type: ValueType) => number;
  readonly #slotOf: (reg: Operand) => number;
  /** The local of each register used, and which of them are written. */
  readonly #registers = new Map<number, number>();
  readonly #written = new Set<number>();

  constructor(
    made: Omit<FloatKnowledge, 'asksExact'>,
    newLocal: (type: ValueType) => number,
    slotOf: (reg: Operand) => number,
  ) {
    this.known = { ...made, asksExact: false };
    this.#newLocal = newLocal;
    this.#slotOf = slotOf;
  }

  #local(reg: Operand): number {
    const slot = this.#slotOf(reg) & 31;
    let index = this.#registers.get(slot);
    if (index === undefined) {
      index = this.#newLocal(ValueType.v128);
      this.#registers.set(slot, index);
    }
    return index;
  }

  readV(width: VectorWidth, reg: Operand): Code {
    const value = local.get(this.#local(reg));
    if (width === 128) return value;
    if (width === 64) return i64x2.replace(0, ZERO, i64x2.extract(0, value));
    return v128.and(value, v128.const((1n << BigInt(width)) - 1n));
  }

  writeV(e: Emitter, reg: Operand, value: Code): void {
    const index = this.#local(reg);
    this.#written.add(this.#slotOf(reg) & 31);
    e.emit(local.set(index, value));
  }

  readF(size: LaneSize, reg: Operand): Value {
    const value = local.get(this.#local(reg));
    switch (size) {
      case 64:
        return realValue(wideValue(i64x2.extract(0, value)), 64, f64x2.extract(0, value));
      case 32:
        return realValue(narrowValue(i32x4.extract(0, value)), 32, f32x4.extract(0, value));
      case 16:
        return narrowValue(i16x8.extract(0, value));
      case 8:
        return narrowValue(i8x16.extract(0, value));
    }
  }

  writeF(e: Emitter, reg: Operand, value: Value): void {
    const lane = value.narrow ? i32x4.replace(0, ZERO, value.low()) : i64x2.replace(0, ZERO, value.wide());
    this.writeV(e, reg, lane);
  }

  writeReal(e: Emitter, size: RealSize, reg: Operand, value: Code): void {
    this.writeV(e, reg, size === 64 ? f64x2.replace(0, ZERO, value) : f32x4.replace(0, ZERO, value));
  }

  /** Loads what the region uses; all of its code has been made. */
  enter(cpu: Code): Code {
    return [...this.#registers].map(([slot, index]) =>
      local.set(index, v128.load(cpu, STATE + CpuLayout.V + 16 * slot)),
    );
  }

  exit(e: Emitter, cpu: Code): void {
    for (const slot of this.#written) {
      e.emit(v128.store(cpu, local.get(this.#registers.get(slot)!), STATE + CpuLayout.V + 16 * slot));
    }
  }
}
