/**
 * The form builder: semantics become WebAssembly.
 *
 * A form is a row with its statics chosen. What an instruction computes is written here, where its
 * operands live is asked of `operands`: in the interpreter every instruction of the form runs the same
 * code on a record of its own, in a region each has code of its own. Values are code (values.ts) that is written where it is used, as the rules of isa/builder.ts
 * allow; statements are collected in `body`. What the interpreter does not do raises `Unsupported`, here
 * or, for operations that this class does not have at all, in `formBuilder`: the evaluator then does the
 * instructions of the form.
 */
import type { Builder, FlagOperation, PstateField, Width, Words } from '../../../isa/index.js';
import { FloatException, FPCR_FZ, FPCR_RMODE_SHIFT } from '../../base/index.js';
import { CpuLayout, cellOf } from '../../machine/index.js';
import {
  br,
  type Code,
  choose,
  i32,
  i64,
  Label,
  local,
  loop,
  select,
  ValueType,
  when,
} from '../wasm/index.js';
import { type Frame, Unsupported } from './frame.js';
import { highProduct, reversedBits, reversedBytes } from './idioms.js';
import { Cell, FPCR, FPSR, FpState, Special, STATE } from './layout.js';
import type { BranchKind, Emitter, Operand, Operands } from './operands.js';
import { Permission } from './system-forms.js';
import {
  constantValue,
  lowHalf,
  narrowLocal,
  narrowValue,
  type Value,
  wideLocal,
  wideValue,
} from './values.js';
import type { VectorValue } from './vector-values.js';

export interface FormWords extends Words {
  readonly x: Value;
  readonly q: VectorValue;
  /** Code that leaves 0 or 1, an i32. */
  readonly bool: Code;
  readonly reg: Operand;
  readonly vreg: Operand;
  readonly cond: Operand;
  readonly label: Operand;
  readonly sysreg: Operand;
}

const FPCR_UNUSUAL = 3 << FPCR_RMODE_SHIFT;
const [CNTVOFF_EL2, CNTV_CTL_EL0, CNTV_CVAL_EL0] = ['cntvoff_el2', 'cntv_ctl_el0', 'cntv_cval_el0'].map(
  (name) => CpuLayout.SYSTEM + 8 * cellOf(name),
) as [number, number, number];
/** Hints that wait or wake; the others do nothing. */
const WAITING: readonly bigint[] = [2n, 3n, 4n, 5n];

export class FormBuilder implements Emitter {
  frame: Frame;
  readonly operands: Operands;
  readonly body: Code[] = [];
  /** Which registers were SP, where that made a difference, in order. */
  readonly asked: boolean[] = [];
  branches = false;
  /** What the loop has in locals may have changed when the form is done. */
  changesContext = false;
  /** The form is better a function than a case of the switch. */
  isRare = false;

  constructor(frame: Frame, operands: Operands) {
    this.frame = frame;
    this.operands = operands;
  }

  // ---- code ----------------------------------------------------------------------------------------

  emit(...code: Code[]): void {
    this.body.push(...code);
  }

  /** Computes an i64 now and gives the local that holds it. */
  keep(code: Code): number {
    const index = this.frame.local(ValueType.i64);
    this.emit(local.set(index, code));
    return index;
  }

  keep32(code: Code): number {
    const index = this.frame.local(ValueType.i32);
    this.emit(local.set(index, code));
    return index;
  }

  /** Code inside of which `body` statements go, for conditional parts. */
  nested(fill: () => void): Code {
    const outer = this.body.splice(0);
    fill();
    const inner = this.body.splice(0);
    this.body.push(...outer);
    return inner;
  }

  // ---- values --------------------------------------------------------------------------------------

  imm(value: bigint | number): Value {
    return constantValue(BigInt(value));
  }
  let(value: Value): Value {
    if (value.isLocal || value.constant !== undefined) return value;
    return value.narrow ? narrowLocal(this.keep32(value.low())) : wideLocal(this.keep(value.wide()));
  }
  letBool(value: Code): Code {
    return local.get(this.keep32(value));
  }

  #binary(
    w: Width,
    a: Value,
    b: Value,
    name: 'add' | 'sub' | 'mul' | 'and' | 'or' | 'xor' | 'shl' | 'shrU' | 'shrS' | 'rotr',
  ): Value {
    return w === 64 ? wideValue(i64[name](a.wide(), b.wide())) : narrowValue(i32[name](a.low(), b.low()));
  }
  add(w: Width, a: Value, b: Value): Value {
    return this.#binary(w, a, b, 'add');
  }
  sub(w: Width, a: Value, b: Value): Value {
    return this.#binary(w, a, b, 'sub');
  }
  mul(w: Width, a: Value, b: Value): Value {
    return this.#binary(w, a, b, 'mul');
  }
  and(w: Width, a: Value, b: Value): Value {
    return this.#binary(a.narrow || b.narrow ? 32 : w, a, b, 'and');
  }
  or(w: Width, a: Value, b: Value): Value {
    return this.#binary(a.narrow && b.narrow ? 32 : w, a, b, 'or');
  }
  xor(w: Width, a: Value, b: Value): Value {
    return this.#binary(a.narrow && b.narrow ? 32 : w, a, b, 'xor');
  }
  not(w: Width, a: Value): Value {
    return w === 64
      ? wideValue(i64.xor(a.wide(), i64.const(-1n)))
      : narrowValue(i32.xor(a.low(), i32.const(-1)));
  }
  // WebAssembly's shifts take the amount modulo the width too.
  shl(w: Width, a: Value, amount: Value): Value {
    return this.#binary(w, a, amount, 'shl');
  }
  shr(w: Width, a: Value, amount: Value): Value {
    return this.#binary(w, a, amount, 'shrU');
  }
  sar(w: Width, a: Value, amount: Value): Value {
    return this.#binary(w, a, amount, 'shrS');
  }
  ror(w: Width, a: Value, amount: Value): Value {
    return this.#binary(w, a, amount, 'rotr');
  }
  umulh(a: Value, b: Value): Value {
    return this.#high(a, b, false);
  }
  smulh(a: Value, b: Value): Value {
    return this.#high(a, b, true);
  }
  #high(a: Value, b: Value, signed: boolean): Value {
    const x = this.keep(a.wide());
    const y = this.keep(b.wide());
    return wideValue(highProduct(x, y, signed, (code) => this.keep(code)));
  }
  udiv(w: Width, a: Value, b: Value): Value {
    if (w === 64) {
      const y = this.keep(b.wide());
      const quotient = i64.divU(a.wide(), local.get(y));
      return wideValue(choose(ValueType.i64, i64.eqz(local.get(y)), i64.const(0n), quotient));
    }
    const y = this.keep32(b.low());
    const quotient = i32.divU(a.low(), local.get(y));
    return narrowValue(choose(ValueType.i32, i32.eqz(local.get(y)), i32.const(0), quotient));
  }
  sdiv(w: Width, a: Value, b: Value): Value {
    // By -1 is a negation: the most negative number over -1 would trap.
    if (w === 64) {
      const x = this.keep(a.wide());
      const y = this.keep(b.wide());
      const byMinusOne = i64.eq(local.get(y), i64.const(-1n));
      const quotient = choose(
        ValueType.i64,
        byMinusOne,
        i64.sub(i64.const(0n), local.get(x)),
        i64.divS(local.get(x), local.get(y)),
      );
      return wideValue(choose(ValueType.i64, i64.eqz(local.get(y)), i64.const(0n), quotient));
    }
    const x = this.keep32(a.low());
    const y = this.keep32(b.low());
    const byMinusOne = i32.eq(local.get(y), i32.const(-1));
    const quotient = choose(
      ValueType.i32,
      byMinusOne,
      i32.sub(i32.const(0), local.get(x)),
      i32.divS(local.get(x), local.get(y)),
    );
    return narrowValue(choose(ValueType.i32, i32.eqz(local.get(y)), i32.const(0), quotient));
  }
  clz(w: Width, a: Value): Value {
    return w === 64 ? narrowValue(i32.wrap(i64.clz(a.wide()))) : narrowValue(i32.clz(a.low()));
  }
  cls(w: Width, a: Value): Value {
    // x ^ (x >> 1) has its first one where the sign run ends.
    if (w === 64) {
      const x = this.keep(a.wide());
      const ends = i64.xor(local.get(x), i64.shrS(local.get(x), i64.const(1n)));
      return narrowValue(i32.sub(i32.wrap(i64.clz(ends)), i32.const(1)));
    }
    const x = this.keep32(a.low());
    const ends = i32.xor(local.get(x), i32.shrS(local.get(x), i32.const(1)));
    return narrowValue(i32.sub(i32.clz(ends), i32.const(1)));
  }
  rbit(w: Width, a: Value): Value {
    const reversed = reversedBits(a.wide(), (code) => this.keep(code));
    return w === 64 ? wideValue(reversed) : narrowValue(i32.wrap(i64.shrU(reversed, i64.const(32n))));
  }
  rev(w: Width, container: 16 | 32 | 64, a: Value): Value {
    const reversed = reversedBytes(container, a.wide(), (code) => this.keep(code));
    return w === 64 ? wideValue(reversed) : narrowValue(i32.wrap(reversed));
  }
  crc32(castagnoli: boolean, size: 1 | 2 | 4 | 8, accumulator: Value, value: Value): Value {
    this.isRare = true;
    const crc = this.keep32(accumulator.low());
    const data = this.keep(value.wide());
    const bits = this.keep32(i32.const(0));
    // A word at a time, bit by bit: reflected, so the lowest bit goes out first.
    for (let done = 0; done < size; done += 4) {
      const width = 8 * Math.min(4, size - done);
      const part = i32.wrap(i64.shrU(local.get(data), i64.const(BigInt(8 * done))));
      const masked = width === 32 ? part : i32.and(part, i32.const(2 ** width - 1));
      const polynomial = i32.const((castagnoli ? 0x82f63b78 : 0xedb88320) | 0);
      const out = i32.sub(i32.const(0), i32.and(local.get(crc), i32.const(1)));
      const again = new Label('next bit');
      this.emit(
        local.set(crc, i32.xor(local.get(crc), masked)),
        local.set(bits, i32.const(width)),
        loop(again, [
          local.set(crc, i32.xor(i32.shrU(local.get(crc), i32.const(1)), i32.and(out, polynomial))),
          local.set(bits, i32.sub(local.get(bits), i32.const(1))),
          when(local.get(bits), br(again)),
        ]),
      );
    }
    return narrowLocal(crc);
  }
  zext(from: number, a: Value): Value {
    if (from === 64) return a;
    if (from === 32) return lowHalf(a);
    if (from < 32) return narrowValue(i32.and(a.low(), i32.const(2 ** from - 1)));
    return wideValue(i64.and(a.wide(), i64.const((1n << BigInt(from)) - 1n)));
  }
  sext(w: Width, from: number, a: Value): Value {
    if (w === 32) {
      if (from === 8) return narrowValue(i32.extend8S(a.low()));
      if (from === 16) return narrowValue(i32.extend16S(a.low()));
      if (from === 32) return lowHalf(a);
      const by = i32.const(32 - from);
      return narrowValue(i32.shrS(i32.shl(a.low(), by), by));
    }
    if (from === 64) return a;
    if (a.narrow && from === 32) return wideValue(i64.extendI32S(a.low()));
    if (from === 8) return wideValue(i64.extend8S(a.wide()));
    if (from === 16) return wideValue(i64.extend16S(a.wide()));
    if (from === 32) return wideValue(i64.extend32S(a.wide()));
    const by = i64.const(BigInt(64 - from));
    return wideValue(i64.shrS(i64.shl(a.wide(), by), by));
  }

  // ---- truth values --------------------------------------------------------------------------------

  eq(w: Width, a: Value, b: Value): Code {
    if (b.constant === 0n) return w === 64 && !a.narrow ? i64.eqz(a.wide()) : i32.eqz(a.low());
    return w === 64 ? i64.eq(a.wide(), b.wide()) : i32.eq(a.low(), b.low());
  }
  ltu(w: Width, a: Value, b: Value): Code {
    return w === 64 ? i64.ltU(a.wide(), b.wide()) : i32.ltU(a.low(), b.low());
  }
  lts(w: Width, a: Value, b: Value): Code {
    return w === 64 ? i64.ltS(a.wide(), b.wide()) : i32.ltS(a.low(), b.low());
  }
  testBit(a: Value, index: Value): Code {
    return i32.and(i32.wrap(i64.shrU(a.wide(), index.wide())), i32.const(1));
  }
  notBool(a: Code): Code {
    return i32.eqz(a);
  }
  andBool(a: Code, b: Code): Code {
    return i32.and(a, b);
  }
  orBool(a: Code, b: Code): Code {
    return i32.or(a, b);
  }
  fromBool(a: Code): Value {
    return narrowValue(a);
  }
  select(condition: Code, whenTrue: Value, whenFalse: Value): Value {
    return whenTrue.narrow && whenFalse.narrow
      ? narrowValue(select(whenTrue.low(), whenFalse.low(), condition))
      : wideValue(select(whenTrue.wide(), whenFalse.wide(), condition));
  }

  // ---- registers and flags -------------------------------------------------------------------------

  readX(w: Width, reg: Operand): Value {
    return this.operands.readX(w, reg);
  }
  writeX(w: Width, reg: Operand, value: Value): void {
    this.operands.writeX(this, reg, w === 64 ? value : lowHalf(value));
  }
  readBase(reg: Operand): Value {
    this.operands.usesBase?.(reg);
    const value = this.readX(64, reg);
    if (!this.isSP(reg)) return value;
    const base = this.keep(value.wide());
    const misaligned = i32.and(i32.wrap(local.get(base)), i32.const(15));
    const { spChecked } = this.frame;
    // A truth value is 0 or 1; the mask it makes is none or all.
    const failing =
      typeof spChecked === 'boolean' ? misaligned : i32.and(misaligned, i32.sub(i32.const(0), spChecked));
    if (spChecked !== false) this.emit(this.frame.failIf(failing));
    return wideLocal(base);
  }
  isSP(reg: Operand): boolean {
    this.asked.push(reg.isSP);
    return reg.isSP;
  }
  nextReg(reg: Operand): Operand {
    return { ...reg, plus: reg.plus + 1 };
  }
  linkRegister(): Operand {
    return this.fixedRegister(30);
  }
  fixedRegister(slot: number): Operand {
    return { path: [], plus: slot, isSP: slot === 32 };
  }

  setFlags(operation: FlagOperation, w: Width, a: Value, b: Value): void {
    this.operands.setFlags(this, operation, w, a, b);
  }
  setFlagsIf(
    condition: Code,
    operation: FlagOperation,
    w: Width,
    a: Value,
    b: Value,
    otherwise: Value,
  ): void {
    const other = i32.and(otherwise.low(), i32.const(15));
    this.operands.setFlagsIf(this, condition, operation, w, a, b, other);
  }
  flags(): Value {
    return narrowValue(this.operands.nzcv(this));
  }
  writeFlags(nzcv: Value): void {
    this.operands.writeNzcv(this, i32.and(nzcv.low(), i32.const(15)));
  }
  carry(): Value {
    return narrowValue(this.operands.carry(this));
  }
  holds(condition: Operand): Code {
    return this.operands.holds(this, condition);
  }

  // ---- control flow --------------------------------------------------------------------------------

  pc(): Value {
    return wideValue(this.operands.pc());
  }
  addressOf(label: Operand): Value {
    return wideValue(this.operands.addressOf(label));
  }
  branch(label: Operand): void {
    this.branches = true;
    this.operands.branch(this, label);
  }
  branchIf(condition: Code, label: Operand): void {
    this.branches = true;
    this.operands.branchIf(this, condition, label);
  }
  branchTo(target: Value, kind: BranchKind, via?: Operand): void {
    this.branches = true;
    this.operands.branchTo(this, target, kind, via);
  }

  // ---- system --------------------------------------------------------------------------------------

  /** i32: these bits of `Permission`, as far as they are given. */
  protected permitted(bits: Code): Code {
    return i32.and(i32.load(this.frame.cpu, STATE + Cell.PERMISSIONS), bits);
  }

  /** Registers that are nothing but their cells; records of others lead to the evaluator (see templates.ts). */
  readSystemRegister(reg: Operand): Value {
    this.isRare = true;
    const { cpu } = this.frame;
    const { offset, permission } = this.operands.systemRegister(reg);
    this.emit(this.frame.failIf(i32.eqz(this.permitted(permission))));
    const steps = i64.sub(i64.load(cpu, STATE + Cell.STEPS_AT_END), i64.extendI32U(this.frame.fuelLeft));
    const physical = i64.add(steps, i64.load(cpu, STATE + Cell.TIME_OFFSET));
    const virtual = i64.sub(physical, i64.load(cpu, STATE + CNTVOFF_EL2));
    const is = (cell: number) => i32.eq(offset, i32.const(cell));
    const control = i64.and(i64.load(cpu, STATE + CNTV_CTL_EL0), i64.const(3n));
    // ISTATUS: the timer is on, and its condition met.
    const isMet = i64.geU(virtual, i64.load(cpu, STATE + CNTV_CVAL_EL0));
    const status = i64.and(i64.shl(control, i64.const(2n)), i64.shl(i64.extendI32U(isMet), i64.const(2n)));
    this.emit(
      when(is(Cell.COUNTER), i64.store(cpu, virtual, STATE + Cell.COUNTER)),
      when(is(Cell.TIMER_CONTROL), i64.store(cpu, i64.or(control, status), STATE + Cell.TIMER_CONTROL)),
    );
    return wideLocal(this.keep(i64.load(i32.add(cpu, offset), STATE)));
  }

  writeSystemRegister(reg: Operand, value: Value): void {
    this.isRare = true;
    const { cpu } = this.frame;
    const { offset, permission, kept, fixed } = this.operands.systemRegister(reg);
    this.emit(this.frame.failIf(i32.eqz(this.permitted(permission))));
    const at = this.keep32(i32.add(cpu, offset));
    const wanted = this.keep(i64.or(i64.and(value.wide(), kept()), fixed()));
    const is = (register: number) => i32.eq(local.get(at), i32.add(cpu, i32.const(register)));
    const before = this.keep(i64.load(local.get(at), STATE));
    const uncovered = i64.and(local.get(before), i64.xor(local.get(wanted), i64.const(-1n)));
    this.emit(when(is(Cell.DAIF), this.#requireQuiet(i64.ne(uncovered, i64.const(0n)))));
    const changes = i64.ne(local.get(before), local.get(wanted));
    const isRegion = this.operands.vectors.known !== undefined;
    // Regions are made for these; they leave them to the interpreter where they change.
    if (isRegion) this.emit(when(i32.or(is(FPCR), is(Cell.TCO)), this.frame.failIf(changes)));
    const inexact = i32.and(i32.wrap(local.get(wanted)), i32.const(FloatException.Inexact));
    const isExact = this.keep32(i32.eqz(inexact));
    if (isRegion) {
      // A region is made for IXC as it is.
      const wasExact = i32.and(i32.load(cpu, STATE + Cell.FP_STATE), i32.const(FpState.exact));
      this.emit(when(is(FPSR), this.frame.failIf(i32.ne(wasExact, local.get(isExact)))));
    }
    this.emit(i64.store(local.get(at), local.get(wanted), STATE));
    this.emit(when(is(FPSR), this.setExact(local.get(isExact))));
    if (isRegion) return;
    this.emit(when(is(FPCR), this.#fpcrChanged(i32.wrap(local.get(wanted)))));
    const tco = i32.wrap(i64.shrU(local.get(wanted), i64.const(25n)));
    this.emit(when(is(Cell.TCO), this.#tcoChanged(tco)));
    this.changesContext = true;
  }

  /** Gives up what unmasks interrupts or debug events where there may be some. */
  #requireQuiet(unmasks: Code): Code {
    return when(unmasks, this.frame.failIf(i32.eqz(i32.load(this.frame.cpu, STATE + Cell.QUIET))));
  }

  /** What generated code looks at instead of FPCR, an i32. */
  #fpcrChanged(fpcr: Code): Code {
    const { cpu } = this.frame;
    const isUnusual = i32.ne(i32.and(fpcr, i32.const(FPCR_UNUSUAL)), i32.const(0));
    const isFlushing = i32.ne(i32.and(fpcr, i32.const(FPCR_FZ)), i32.const(0));
    const put = (cell: number, unusual: number, flushing: number) => {
      const others = i32.and(i32.load(cpu, STATE + cell), i32.const(~(unusual | flushing)));
      const bits = i32.or(i32.mul(isUnusual, i32.const(unusual)), i32.mul(isFlushing, i32.const(flushing)));
      return i32.store(cpu, i32.or(others, bits), STATE + cell);
    };
    return [
      put(Cell.FP_STATE, FpState.unusual, FpState.flushing),
      put(Cell.SPECIALIZATION, Special.unusual, Special.flushing),
      // Of what there is for each TCO, too.
      put(Cell.OF_TCO, Special.unusual, Special.flushing),
      put(Cell.OF_TCO + 4, Special.unusual, Special.flushing),
    ];
  }

  /** PSTATE.TCO is an i32 now, which is used several times: whether tags are checked, and what goes with it. */
  #tcoChanged(tco: Code): Code {
    const { cpu } = this.frame;
    const exact = i32.and(i32.load(cpu, STATE + Cell.SPECIALIZATION), i32.const(Special.exact));
    const ofTco = (cells: number) => i32.load(i32.add(cpu, i32.shl(tco, i32.const(2))), STATE + cells);
    const special = ofTco(Cell.OF_TCO);
    const has = (bit: number) => i32.ne(i32.and(special, i32.const(bit)), i32.const(0));
    return [
      i32.store(cpu, i32.or(special, exact), STATE + Cell.SPECIALIZATION),
      i32.store(cpu, has(Special.checks), STATE + Cell.CHECKS),
      i32.store(cpu, has(Special.alignment), STATE + Cell.ALIGNMENT),
      i32.store(cpu, ofTco(Cell.USER_CHECKS_OF_TCO), STATE + Cell.USER_CHECKS),
      i32.store(cpu, ofTco(Cell.USER_ALIGNMENT_OF_TCO), STATE + Cell.USER_ALIGNMENT),
    ];
  }

  /** MSR (immediate). What decides which translations apply is the evaluator's: PAN, UAO, SPSel. */
  writePstate(field: PstateField, value: Value): void {
    this.isRare = true;
    const { cpu } = this.frame;
    const put = (cell: number, at: number) => {
      const bits = i64.shl(i64.and(value.wide(), i64.const(1n)), i64.const(BigInt(at)));
      return i64.store(cpu, bits, STATE + cell);
    };
    switch (field) {
      case 'SSBS':
        this.emit(put(Cell.SSBS, 12));
        return;
      case 'DIT':
        this.emit(put(Cell.DIT, 24));
        return;
      case 'TCO':
        this.changesContext = true;
        this.emit(put(Cell.TCO, 25), this.#tcoChanged(i32.and(value.low(), i32.const(1))));
        return;
      case 'DAIFSet':
      case 'DAIFClr': {
        this.emit(this.frame.failIf(i32.eqz(this.permitted(i32.const(Permission.masks)))));
        const bits = this.keep(i64.shl(value.wide(), i64.const(6n)));
        const before = this.keep(i64.load(cpu, STATE + Cell.DAIF));
        if (field === 'DAIFSet') {
          this.emit(i64.store(cpu, i64.or(local.get(before), local.get(bits)), STATE + Cell.DAIF));
          return;
        }
        const cleared = i64.and(local.get(before), local.get(bits));
        this.emit(this.#requireQuiet(i64.ne(cleared, i64.const(0n))));
        this.emit(i64.store(cpu, i64.xor(local.get(before), cleared), STATE + Cell.DAIF));
        return;
      }
      case 'PAN':
      case 'UAO':
      case 'SPSel':
        throw new Unsupported(`PSTATE.${field}`);
    }
  }

  /** FPSR.IXC is set, or not set where `isExact`, an i32, is 1: what says so to generated code. */
  protected setExact(isExact: Code): Code {
    const { cpu } = this.frame;
    const put = (cell: number, bit: number) => {
      const others = i32.and(i32.load(cpu, STATE + cell), i32.const(~bit));
      return i32.store(cpu, i32.or(others, i32.mul(isExact, i32.const(bit))), STATE + cell);
    };
    return [put(Cell.FP_STATE, FpState.exact), put(Cell.SPECIALIZATION, Special.exact)];
  }

  /** Whatever a barrier orders is in order already, and contexts are looked at afresh after each change. */
  barrier(_kind: 'dmb' | 'dsb' | 'isb' | 'sb'): void {}

  hint(number: Value): void {
    if (number.constant === undefined || WAITING.includes(number.constant)) throw new Unsupported('hint');
  }
}

/** What the builder does not have at all raises Unsupported, by its name. */
Object.setPrototypeOf(
  FormBuilder.prototype,
  new Proxy(Object.prototype, {
    get(target, name) {
      if (typeof name === 'symbol' || name in target) return Reflect.get(target, name);
      return () => {
        throw new Unsupported(name);
      };
    },
  }),
);

/** The builder as semantics see it. */
export const formBuilder = (builder: FormBuilder): Builder<FormWords> =>
  builder as unknown as Builder<FormWords>;
