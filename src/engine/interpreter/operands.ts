/**
 * Where the operands of an instruction and the CPU's registers are, apart from what is done with them.
 *
 * The form builder says what an instruction computes; an `Operands` says where its immediates, registers,
 * flags and branch targets live. In the interpreter that is a record and the CPU's state block
 * (record-operands.ts), in a translated region constants and locals (src/engine/translator). One lowering
 * of the semantics serves both.
 */
import type { FlagOperation, Width } from '../../../isa/index.js';
import type { Code } from '../wasm/index.js';
import type { Value } from './values.js';
import type { VectorOperands } from './vector-operands.js';

/** An operand, by its place in the row's operand set. */
export interface Operand {
  /** Names from the operand set down; empty for a register that the semantics name. */
  readonly path: readonly string[];
  /** Added to the register's slot. */
  readonly plus: number;
  readonly isSP: boolean;
}

/** What code is written to; the form builder is one. */
export interface Emitter {
  emit(...code: Code[]): void;
  /** Computes an i64 now and gives the local that holds it. */
  keep(code: Code): number;
  /** The same of an i32. */
  keep32(code: Code): number;
  let(value: Value): Value;
  /** Code inside of which the statements of `fill` go, for conditional parts. */
  nested(fill: () => void): Code;
}

export type BranchKind = 'jump' | 'call' | 'return';

/** Code for a `PlainRegister`. */
export interface SystemRegisterCode {
  /** i32: the offset in the CPU's state block. */
  readonly offset: Code;
  /** i32. */
  readonly permission: Code;
  /** i64; of writes. */
  readonly kept: () => Code;
  readonly fixed: () => Code;
}

export interface Operands {
  readonly vectors: VectorOperands;

  immediate(path: readonly string[]): Value;
  readX(w: Width, reg: Operand): Value;
  /** Told of the base register of a memory access. */
  usesBase?(reg: Operand): void;
  /** `value` of a 32-bit write has zeros in its upper half. */
  writeX(e: Emitter, reg: Operand, value: Value): void;

  setFlags(e: Emitter, operation: FlagOperation, w: Width, a: Value, b: Value): void;
  /** `otherwise`: an i32 below 16. */
  setFlagsIf(
    e: Emitter,
    condition: Code,
    operation: FlagOperation,
    w: Width,
    a: Value,
    b: Value,
    otherwise: Code,
  ): void;
  /** NZCV, an i32 with N in bit 3. */
  nzcv(e: Emitter): Code;
  /** `nzcv`: an i32 below 16. */
  writeNzcv(e: Emitter, nzcv: Code): void;
  /** PSTATE.C, an i32. */
  carry(e: Emitter): Code;
  /** ConditionHolds: 0 or 1. */
  holds(e: Emitter, condition: Operand): Code;

  /** An i64: the address of the instruction. */
  pc(): Code;
  /** An i64: the address a label names. */
  addressOf(label: Operand): Code;
  branch(e: Emitter, label: Operand): void;
  branchIf(e: Emitter, condition: Code, label: Operand): void;
  branchTo(e: Emitter, target: Value, kind: BranchKind, via: Operand | undefined): void;

  /** A system register that is nothing but its cell. */
  systemRegister(reg: Operand): SystemRegisterCode;
  /** An i32: bits of `BlockAction` of a system operation. */
  blockActions(operation: Operand): Code;
}
