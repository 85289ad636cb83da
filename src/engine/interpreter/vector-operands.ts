/**
 * Where V registers are: in the interpreter the CPU's state block, by distances in the record; in a
 * translated region locals (src/engine/translator/region-vectors.ts).
 *
 * Vectors are code that leaves a v128. What an instruction does not read of a register reads as zeros, and
 * what it does not write is cleared, as the architecture has it.
 */
import type { LaneSize, VectorWidth } from '../../../isa/index.js';
import { type Code, f32, f64, i32, i64, local, v128 } from '../wasm/index.js';
import { STATE } from './layout.js';
import type { Emitter, Operand } from './operands.js';
import { narrowValue, type RealSize, realValue, type Value, wideValue } from './values.js';

/** What code before has found out about FPCR and FPSR, which only system instructions change otherwise. */
export interface FloatKnowledge {
  /** FPCR.FZ, for which the code is made. */
  readonly isFlushing: boolean;
  /** FPSR.IXC is not set, for which the code is made too: what would set it is given up. */
  readonly isExact: boolean;
  /** The code depends on `isExact`. */
  asksExact: boolean;
  /** FPCR asks for something else than rounding to nearest, for which the code is made. */
  readonly isUnusual: boolean;
}

export interface VectorOperands {
  /**
   * In a region: what is known so far. Undefined where each instruction stands alone.
   */
  readonly known: FloatKnowledge | undefined;
  /** The low `width` bits of a register, zeros above: a v128. */
  readV(width: VectorWidth, reg: Operand): Code;
  /** Writes all of a register. */
  writeV(e: Emitter, reg: Operand, value: Code): void;
  /** The low bits of a register, zero-extended. */
  readF(size: LaneSize, reg: Operand): Value;
  /** Writes 64 bits, zeros above. */
  writeF(e: Emitter, reg: Operand, value: Value): void;
  /** Writes an f32 or f64, zeros above. */
  writeReal(e: Emitter, size: RealSize, reg: Operand, value: Code): void;
}

/** Registers in the state block. */
export class RecordVectors implements VectorOperands {
  readonly known = undefined;
  readonly #record: Code;
  readonly #fieldOf: (reg: Operand) => number;

  /** `record`: a local. `fieldOf` gives the field that holds the distance of a register. */
  constructor(record: number, fieldOf: (reg: Operand) => number) {
    this.#record = local.get(record);
    this.#fieldOf = fieldOf;
  }

  #at(reg: Operand): Code {
    return i32.load16U(this.#record, this.#fieldOf(reg));
  }

  readV(width: VectorWidth, reg: Operand): Code {
    const at = this.#at(reg);
    switch (width) {
      case 128:
        return v128.load(at, STATE);
      case 64:
        return v128.load64Zero(at, STATE);
      case 32:
        return v128.load32Zero(at, STATE);
      default:
        return v128.and(v128.load32Zero(at, STATE), v128.const((1n << BigInt(width)) - 1n));
    }
  }

  writeV(e: Emitter, reg: Operand, value: Code): void {
    e.emit(v128.store(this.#at(reg), value, STATE));
  }

  readF(size: LaneSize, reg: Operand): Value {
    const at = this.#at(reg);
    switch (size) {
      case 64:
        return realValue(wideValue(i64.load(at, STATE)), 64, f64.load(at, STATE));
      case 32:
        return realValue(narrowValue(i32.load(at, STATE)), 32, f32.load(at, STATE));
      case 16:
        return narrowValue(i32.load16U(at, STATE));
      case 8:
        return narrowValue(i32.load8U(at, STATE));
    }
  }

  #clearUpper(reg: Operand): Code {
    return i64.store(this.#at(reg), i64.const(0n), STATE + 8);
  }

  writeF(e: Emitter, reg: Operand, value: Value): void {
    e.emit(i64.store(this.#at(reg), value.wide(), STATE), this.#clearUpper(reg));
  }

  writeReal(e: Emitter, size: RealSize, reg: Operand, value: Code): void {
    const bits = size === 64 ? f64.bits(value) : i64.extendI32U(f32.bits(value));
    e.emit(i64.store(this.#at(reg), bits, STATE), this.#clearUpper(reg));
  }
}
