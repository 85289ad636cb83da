/**
 * Operands in the interpreter: immediates and the places of registers are read from the record,
 * registers and flags are cells of the CPU's state block.
 */
import type { FlagOperation, Width } from '../../../isa/index.js';
import { type Code, i32, i64, local, select, when } from '../wasm/index.js';
import { FieldAllocator, type FieldKind } from './fields.js';
import { nzcvOf } from './flags.js';
import type { RecordFrame } from './frame.js';
import { Cell, INDIRECT, STATE } from './layout.js';
import type { BranchKind, Emitter, Operand, Operands, SystemRegisterCode } from './operands.js';
import { narrowValue, type Value } from './values.js';
import { RecordVectors } from './vector-operands.js';

export class RecordOperands implements Operands {
  readonly fields = new FieldAllocator();
  readonly vectors: RecordVectors;
  readonly #frame: RecordFrame;

  constructor(frame: RecordFrame) {
    this.#frame = frame;
    this.vectors = new RecordVectors(frame.record, (reg) => this.#field('vector', reg));
  }

  get #record(): Code {
    return local.get(this.#frame.record);
  }

  /** The record's field for an operand, allocated at its first use. */
  #field(kind: FieldKind, operand: Operand): number {
    return this.fields.offsetOf(kind, operand.path, operand.plus);
  }

  immediate(path: readonly string[]): Value {
    const offset = this.fields.offsetOf('immediate', path);
    return {
      narrow: false,
      wide: () => i64.load(this.#record, offset),
      low: () => i32.load(this.#record, offset),
    };
  }

  // ---- registers -----------------------------------------------------------------------------------

  /** The distance of a register's cell. */
  #register(kind: 'read' | 'write', reg: Operand): Code {
    return i32.load16U(this.#record, this.#field(kind, reg));
  }

  readX(w: Width, reg: Operand): Value {
    const at = this.#register('read', reg);
    if (w === 32) return narrowValue(i32.load(at, STATE));
    return { narrow: false, wide: () => i64.load(at, STATE), low: () => i32.load(at, STATE) };
  }

  writeX(e: Emitter, reg: Operand, value: Value): void {
    e.emit(i64.store(this.#register('write', reg), value.wide(), STATE));
  }

  // ---- flags ---------------------------------------------------------------------------------------

  #writeNzcv(value: Code): Code {
    return i32.store(this.#frame.cpu, value, STATE + Cell.NZCV);
  }

  nzcv(): Code {
    return i32.load(this.#frame.cpu, STATE + Cell.NZCV);
  }

  writeNzcv(e: Emitter, nzcv: Code): void {
    e.emit(this.#writeNzcv(nzcv));
  }

  setFlags(e: Emitter, operation: FlagOperation, w: Width, a: Value, b: Value): void {
    const flags = nzcvOf(e, operation, w, a, b, () => this.carry());
    e.emit(this.#writeNzcv(flags));
  }

  setFlagsIf(
    e: Emitter,
    condition: Code,
    operation: FlagOperation,
    w: Width,
    a: Value,
    b: Value,
    otherwise: Code,
  ): void {
    const then = e.nested(() => this.setFlags(e, operation, w, a, b));
    e.emit(when(condition, then, this.#writeNzcv(otherwise)));
  }

  carry(): Code {
    return i32.and(i32.shrU(this.nzcv(), i32.const(1)), i32.const(1));
  }

  holds(_e: Emitter, condition: Operand): Code {
    const table = i32.load16U(this.#record, this.#field('condition', condition));
    return i32.and(i32.shrU(table, this.nzcv()), i32.const(1));
  }

  // ---- places --------------------------------------------------------------------------------------

  #inPage(offset: number): Code {
    return i64.add(local.get(this.#frame.page), i64.load(this.#record, offset));
  }

  pc(): Code {
    return this.#inPage(this.fields.offsetOf('pc', []));
  }

  addressOf(label: Operand): Code {
    return this.#inPage(this.#field('address', label));
  }

  branch(e: Emitter, label: Operand): void {
    const frame = this.#frame;
    const target = e.keep32(i32.load(this.#record, this.#field('target', label)));
    e.emit(when(local.get(target), frame.goTo(local.get(target))));
    e.emit(frame.jump(this.addressOf(label), i32.const(0)));
  }

  branchIf(e: Emitter, condition: Code, label: Operand): void {
    const taken = e.nested(() => this.branch(e, label));
    e.emit(when(condition, taken));
  }

  branchTo(e: Emitter, target: Value, kind: BranchKind, via: Operand | undefined): void {
    const frame = this.#frame;
    let btype: Code = i32.const(INDIRECT);
    if (kind === 'call') btype = i32.const(INDIRECT | 2);
    if (kind === 'jump' && via !== undefined) {
      const register = i32.sub(this.#register('read', via), frame.cpu);
      const scratch = i32.eq(i32.or(register, i32.const(8)), i32.const(17 * 8));
      btype = select(
        i32.const(INDIRECT | 1),
        i32.const(INDIRECT | 3),
        i32.or(scratch, i32.eqz(frame.guarded)),
      );
    }
    e.emit(frame.jump(target.wide(), btype));
  }

  systemRegister(reg: Operand): SystemRegisterCode {
    return {
      offset: i32.load16U(this.#record, this.#field('system', reg)),
      permission: i32.load16U(this.#record, this.#field('permission', reg)),
      kept: () => i64.load(this.#record, this.#field('kept', reg)),
      fixed: () => i64.load(this.#record, this.#field('fixed', reg)),
    };
  }

  blockActions(operation: Operand): Code {
    return i32.load16U(this.#record, this.#field('actions', operation));
  }
}
