/**
 * NZCV in a region: what set it is remembered, and computed only where it is read.
 *
 * The operands of the last operation that set flags are in two locals; which operation it was is known
 * while code is made, or, where paths meet, in a third local. A condition of a known operation is a
 * comparison of its operands. At exits, which are many, NZCV is made from all three in one place.
 */
import type { FlagOperation, Width } from '../../../isa/index.js';
import { conditionTable, type Emitter, nzcvOf, wideLocal } from '../interpreter/index.js';
import { type Code, i32, i64, local, ValueType, when } from '../wasm/index.js';

/** Who set the flags: an operation of a width, NZCV itself in its local, or one of these (`dynamic`). */
export type FlagSource =
  | { readonly kind: 'operation'; readonly operation: 'add' | 'sub' | 'logic'; readonly w: Width }
  | { readonly kind: 'nzcv' }
  | { readonly kind: 'dynamic' };

const OPERATIONS = ['add', 'sub', 'logic'] as const;
/** 0 for NZCV itself. */
const numberOf = (operation: (typeof OPERATIONS)[number], w: Width) =>
  1 + 2 * OPERATIONS.indexOf(operation) + (w === 64 ? 1 : 0);

export const sameSource = (a: FlagSource, b: FlagSource): boolean =>
  a.kind === b.kind &&
  (a.kind !== 'operation' || b.kind !== 'operation' || (a.operation === b.operation && a.w === b.w));

export class RegionFlags {
  /** Locals. */
  readonly #nzcv: number;
  readonly #source: number;
  readonly #a: number;
  readonly #b: number;
  /** Operations that set flags anywhere in the region. */
  readonly #used = new Set<number>();
  /** Flags are set somewhere; they are read or set somewhere. */
  isDirty = false;
  isUsed = false;
  source: FlagSource = { kind: 'dynamic' };

  constructor(local: (type: ValueType) => number) {
    this.#nzcv = local(ValueType.i32);
    this.#source = local(ValueType.i32);
    this.#a = local(ValueType.i64);
    this.#b = local(ValueType.i64);
  }

  /** Takes NZCV, an i32, at the region's beginning. */
  enter(nzcv: Code): Code {
    return this.isUsed ? local.set(this.#nzcv, nzcv) : [];
  }

  set(e: Emitter, operation: FlagOperation, w: Width, a: Code, b: Code): void {
    this.isDirty = true;
    this.isUsed = true;
    if (operation === 'adc' || operation === 'sbc') {
      const x = wideLocal(e.keep(a));
      const y = wideLocal(e.keep(b));
      this.write(
        e,
        nzcvOf(e, operation, w, x, y, () => this.carry(e)),
      );
      return;
    }
    const number = numberOf(operation, w);
    this.#used.add(number);
    e.emit(local.set(this.#a, a));
    if (operation !== 'logic') e.emit(local.set(this.#b, b));
    e.emit(local.set(this.#source, i32.const(number)));
    this.source = { kind: 'operation', operation, w };
  }

  /** `nzcv`: an i32 below 16. */
  write(e: Emitter, nzcv: Code): void {
    this.isDirty = true;
    this.isUsed = true;
    e.emit(local.set(this.#nzcv, nzcv), local.set(this.#source, i32.const(0)));
    this.source = { kind: 'nzcv' };
  }

  /** Where the condition holds NZCV of the operation, else `otherwise`. */
  setIf(
    e: Emitter,
    condition: Code,
    operation: FlagOperation,
    w: Width,
    a: Code,
    b: Code,
    otherwise: Code,
  ): void {
    const then = e.nested(() => {
      const x = wideLocal(e.keep(a));
      const y = wideLocal(e.keep(b));
      const nzcv = nzcvOf(e, operation, w, x, y, () => this.carry(e));
      e.emit(local.set(this.#nzcv, nzcv));
    });
    e.emit(when(condition, then, local.set(this.#nzcv, otherwise)));
    e.emit(local.set(this.#source, i32.const(0)));
    this.isDirty = true;
    this.isUsed = true;
    this.source = { kind: 'nzcv' };
  }

  /** NZCV made from its operands, in its local, for each of these operations. */
  #resolved(e: Emitter, numbers: Iterable<number>): Code {
    const out: Code[] = [];
    for (const number of numbers) {
      const operation = OPERATIONS[(number - 1) >> 1]!;
      const w = (number & 1) === 0 ? 64 : 32;
      const made = e.nested(() => {
        const nzcv = nzcvOf(e, operation, w, wideLocal(this.#a), wideLocal(this.#b), () => i32.const(0));
        e.emit(local.set(this.#nzcv, nzcv));
      });
      out.push(when(i32.eq(local.get(this.#source), i32.const(number)), made));
    }
    return out;
  }

  /** An i32, at an exit. */
  leave(e: Emitter): Code {
    e.emit(when(local.get(this.#source), this.#resolved(e, this.#used)));
    return local.get(this.#nzcv);
  }

  nzcv(e: Emitter): Code {
    this.isUsed = true;
    const { source } = this;
    if (source.kind === 'operation') {
      const { operation, w } = source;
      return nzcvOf(e, operation, w, wideLocal(this.#a), wideLocal(this.#b), () => i32.const(0));
    }
    if (source.kind === 'dynamic') {
      e.emit(this.#resolved(e, [1, 2, 3, 4, 5, 6]), local.set(this.#source, i32.const(0)));
      this.source = { kind: 'nzcv' };
    }
    return local.get(this.#nzcv);
  }

  /** PSTATE.C. */
  carry(e: Emitter): Code {
    const { source } = this;
    if (source.kind === 'operation') {
      this.isUsed = true;
      return this.#carryOf(source.operation, source.w);
    }
    return i32.and(i32.shrU(this.nzcv(e), i32.const(1)), i32.const(1));
  }

  #carryOf(operation: 'add' | 'sub' | 'logic', w: Width): Code {
    const { a, b, op } = this.#parts(w);
    if (operation === 'logic') return i32.const(0);
    return operation === 'sub' ? op.geU(a, b) : op.ltU(op.add(a, b), a);
  }

  #parts(w: Width) {
    const a = local.get(this.#a);
    const b = local.get(this.#b);
    return w === 64
      ? { a, b, op: i64, zero: i64.const(0n) }
      : { a: i32.wrap(a), b: i32.wrap(b), op: i32, zero: i32.const(0) };
  }

  /** ConditionHolds. Ref. DDI 0487, J1. */
  holds(e: Emitter, condition: number): Code {
    const { source } = this;
    if (condition >= 14) return i32.const(1);
    const direct = source.kind === 'operation' ? this.#test(condition >> 1, source) : undefined;
    if (direct !== undefined) {
      this.isUsed = true;
      return (condition & 1) === 0 ? direct : i32.eqz(direct);
    }
    const table = i32.const(conditionTable(condition));
    return i32.and(i32.shrU(table, this.nzcv(e)), i32.const(1));
  }

  /** EQ, CS, MI, VS, HI, GE, GT as a comparison; undefined where none is. */
  #test(
    pair: number,
    { operation, w }: { readonly operation: 'add' | 'sub' | 'logic'; readonly w: Width },
  ): Code | undefined {
    const { a, b, op, zero } = this.#parts(w);
    const result = operation === 'add' ? op.add(a, b) : operation === 'sub' ? op.sub(a, b) : a;
    if (pair === 0) return operation === 'sub' ? op.eq(a, b) : op.eqz(result);
    if (pair === 1) return this.#carryOf(operation, w);
    if (pair === 2) return op.ltS(result, zero);
    if (operation === 'add') return undefined;
    const right = operation === 'sub' ? b : zero;
    // V and C are 0 after logic: HI never holds, GE and GT compare with zero.
    if (pair === 4) return operation === 'sub' ? op.ltU(b, a) : i32.const(0);
    if (pair === 5) return i32.eqz(op.ltS(a, right));
    if (pair === 6) return op.ltS(right, a);
    return operation === 'logic' ? i32.const(0) : undefined;
  }
}
