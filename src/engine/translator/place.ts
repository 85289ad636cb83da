/**
 * Where the code of a region stands: operands are constants, registers are locals, and the context of
 * accesses is known.
 *
 * One object is both the frame and the operands of every instruction of a region; `begin` tells it which
 * instruction comes next. What an instruction does not do leads to the region's only way out, with the
 * address and the fuel to give back in locals.
 */
import {
  type Concrete,
  decodeOperands,
  type FlagOperation,
  type LabelValue,
  type Shape,
  type Width,
} from '../../../isa/index.js';
import { CpuLayout, ZERO_SLOT } from '../../machine/index.js';
import {
  type BranchKind,
  blockActionsOf,
  Cell,
  constantValue,
  cpuDistance,
  type Emitter,
  type Frame,
  INDIRECT,
  NO_PAGE,
  type Operand,
  type Operands,
  type PageCache,
  plainRegisterOf,
  Special,
  STATE,
  type SystemRegisterCode,
  Unsupported,
  type Value,
  valueAt,
  wideValue,
} from '../interpreter/index.js';
import { br, brIfUnlikely, type Code, i32, i64, Label, local, ValueType } from '../wasm/index.js';
import { RegionFlags } from './region-flags.js';
import { RegionVectors } from './region-vectors.js';
import type { Instruction } from './scan.js';

/** What a region is made for; the same for all of it. */
export interface RegionContext {
  /** Index of the CPU. */
  readonly cpu: number;
  /** Host offset of its TLB. */
  readonly tlb: number;
  /** Bits of `Special`. */
  readonly specialization: number;
  /** Host offset of the table of tag writers, where there is one. */
  readonly tagWriters: number;
  /** Virtual address of the page that places are counted from. */
  readonly page: bigint;
  /** Whether the page of a place is guarded. */
  isGuarded(at: number): boolean;
}

/** Locals: the parameters (fuel, address), then these. */
export const RegionLocal = {
  fuel: 0,
  /** At an exit: the address to go on at. */
  pc: 1,
  /** At an exit: instructions of the block that were not done. */
  refund: 2,
  /** At an exit: one of `Way`, or the host offset of the heat of the instruction to go on at. */
  way: 3,
  /** At an exit: as Cell.BTYPE. */
  btype: 4,
  tagChecks: 5,
  /** At an exit for a miss of the TLB: the address (i64). */
  missed: 6,
} as const;
const FIXED: readonly ValueType[] = [...new Array<ValueType>(4).fill(ValueType.i32), ValueType.i64];

/** How a region is left, where it is not by a direct branch into one of its pages. */
export const Way = { leave: 0, branch: 1, missedRead: 2, missedWrite: 3 } as const;

export const OUT = new Label('out');

/**
 * Sets what is to be known at an exit. All of it at every exit, so that nothing of it is live anywhere
 * else; PC and BTYPE are left alone where code has set them. `missed`: a local.
 */
export function exitLocals(exit: {
  readonly pc?: bigint;
  readonly way?: number;
  readonly refund?: number;
  readonly btype?: number;
  readonly missed?: number;
}): Code {
  const { pc, way = Way.leave, refund = 0, btype, missed } = exit;
  return [
    pc === undefined ? [] : local.set(RegionLocal.pc, i64.const(pc)),
    btype === undefined ? [] : local.set(RegionLocal.btype, i32.const(btype)),
    local.set(RegionLocal.way, i32.const(way)),
    local.set(RegionLocal.refund, i32.const(refund)),
    local.set(RegionLocal.missed, missed === undefined ? i64.const(0n) : local.get(missed)),
  ];
}

/** Page caches of a region at most: each is three locals that live in all of it. */
const MOST_CACHES = 6;

const AT_HALF = 1n << 55n;
const TOP_BYTE = 0xffn << 56n;

export class RegionPlace implements Frame, Operands {
  readonly thorough = true;
  readonly onMiss = 'ask';
  readonly cpu: Code;
  readonly tlbOffset: number;
  readonly topMask: Code | undefined;
  readonly half: Code;
  readonly checks: boolean;
  readonly alignment: boolean;
  readonly spChecked: boolean;
  readonly fpTrapped: boolean;
  readonly ata: Code;
  readonly tagWriters: Code | undefined;

  readonly context: RegionContext;
  readonly flags: RegionFlags;
  readonly vectors: RegionVectors;
  /** Types of the locals behind the parameters. */
  readonly locals: ValueType[] = [...FIXED];
  /** The local of each register used, and which of them are written. */
  readonly registers = new Map<number, number>();
  readonly written = new Set<number>();
  countsTagChecks = false;
  /** An access may miss the TLB. */
  misses = false;
  /** A jump whose BTYPE depends on whether the page is guarded. */
  asksGuarded = false;
  #dataContext: number | undefined;
  /** By table and base register. A translation stays true as long as the region runs. */
  readonly #caches = new Map<string, PageCache>();
  #base: number | undefined;
  /** Temporaries; those of one instruction serve the next. */
  readonly #temporaries = new Map<ValueType, { readonly all: number[]; used: number }>();
  #instruction!: Instruction;
  #values!: Readonly<Record<string, Concrete<Shape>>>;
  /** Instructions of the block from this one on, and from the next. */
  #rest = 0;
  /** The condition of the branch that ended the block. */
  condition: Code | undefined;

  constructor(context: RegionContext) {
    this.context = context;
    const { specialization } = context;
    const has = (bit: number) => (specialization & bit) !== 0;
    this.cpu = i32.const(cpuDistance(context.cpu));
    this.tlbOffset = context.tlb;
    const mask = (has(Special.half) ? AT_HALF : 0n) | (has(Special.topByte) ? TOP_BYTE : 0n);
    this.topMask = mask === 0n ? undefined : i64.const(mask);
    this.half = i64.const(has(Special.upper) ? -1n : 0n);
    this.checks = has(Special.checks);
    this.alignment = has(Special.alignment);
    this.spChecked = has(Special.spChecked);
    this.fpTrapped = has(Special.fpTrapped);
    this.ata = i32.const(has(Special.ata) ? 1 : 0);
    this.tagWriters = has(Special.tagWriters) ? i32.const(context.tagWriters) : undefined;
    const newLocal = (type: ValueType) => this.newLocal(type);
    this.flags = new RegionFlags(newLocal);
    this.vectors = new RegionVectors(has(Special.flushing), newLocal, (reg) => this.#slot(reg));
  }

  newLocal(type: ValueType): number {
    this.locals.push(type);
    return this.locals.length + 1;
  }

  /** The next instruction; `rest`: how many its block has from it on. */
  begin(instruction: Instruction, rest: number): void {
    this.#instruction = instruction;
    this.#values = decodeOperands(instruction.decoded);
    this.#rest = rest;
    this.#base = undefined;
    for (const pool of this.#temporaries.values()) pool.used = 0;
  }

  // ---- frame ---------------------------------------------------------------------------------------

  entry(slot: Code): Code {
    return slot;
  }

  get dataContext(): Code {
    this.#dataContext ??= this.newLocal(ValueType.i64);
    return local.get(this.#dataContext);
  }

  usesBase(reg: Operand): void {
    this.#base = this.#slot(reg);
  }

  pageCache(table: 'read' | 'write'): PageCache | undefined {
    if (this.#base === undefined) return undefined;
    const key = `${table} ${this.#base}`;
    let cache = this.#caches.get(key);
    if (cache === undefined && this.#caches.size < MOST_CACHES) {
      const { i32: I32, i64: I64 } = ValueType;
      cache = { page: this.newLocal(I64), hostAddend: this.newLocal(I32), tagAddend: this.newLocal(I32) };
      this.#caches.set(key, cache);
    }
    return cache;
  }

  countTagCheck(): Code {
    this.countsTagChecks = true;
    const { tagChecks } = RegionLocal;
    return local.set(tagChecks, i32.add(local.get(tagChecks), i32.const(1)));
  }

  get fuelLeft(): Code {
    return i32.add(local.get(RegionLocal.fuel), i32.const(this.#rest - 1));
  }

  local(type: ValueType): number {
    let pool = this.#temporaries.get(type);
    if (pool === undefined) {
      pool = { all: [], used: 0 };
      this.#temporaries.set(type, pool);
    }
    if (pool.used === pool.all.length) pool.all.push(this.newLocal(type));
    return pool.all[pool.used++]!;
  }

  #leaving(way: number = Way.leave, missed?: number): Code {
    const pc = this.#address(this.#instruction.at);
    return exitLocals({ pc, refund: this.#rest, way, btype: 0, ...(missed === undefined ? {} : { missed }) });
  }

  fail(): Code {
    return [this.#leaving(), br(OUT)];
  }

  failIf(condition: Code): Code {
    return [this.#leaving(), brIfUnlikely(OUT, condition)];
  }

  missIf(condition: Code, table: 'read' | 'write', address: number): Code {
    this.misses = true;
    const way = table === 'read' ? Way.missedRead : Way.missedWrite;
    return [this.#leaving(way, address), brIfUnlikely(OUT, condition)];
  }

  // ---- operands ------------------------------------------------------------------------------------

  #address(at: number): bigint {
    return BigInt.asUintN(64, this.context.page + BigInt(at));
  }

  #slot({ path, plus }: Operand): number {
    return (path.length === 0 ? 0 : (valueAt(this.#values, path) as number)) + plus;
  }

  immediate(path: readonly string[]): Value {
    return constantValue(valueAt(this.#values, path) as bigint);
  }

  #register(slot: number): number {
    let index = this.registers.get(slot);
    if (index === undefined) {
      index = this.newLocal(ValueType.i64);
      this.registers.set(slot, index);
    }
    return index;
  }

  readX(w: Width, reg: Operand): Value {
    const slot = this.#slot(reg);
    if (slot === ZERO_SLOT) return constantValue(0n);
    const code = local.get(this.#register(slot));
    if (w === 64) return wideValue(code);
    const low = i32.wrap(code);
    return { narrow: true, wide: () => i64.extendI32U(low), low: () => low };
  }

  writeX(e: Emitter, reg: Operand, value: Value): void {
    const slot = this.#slot(reg);
    if (slot === ZERO_SLOT) return;
    this.written.add(slot);
    e.emit(local.set(this.#register(slot), value.wide()));
  }

  setFlags(e: Emitter, operation: FlagOperation, w: Width, a: Value, b: Value): void {
    this.flags.set(e, operation, w, a.wide(), b.wide());
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
    this.flags.setIf(e, condition, operation, w, a.wide(), b.wide(), otherwise);
  }

  nzcv(e: Emitter): Code {
    return this.flags.nzcv(e);
  }

  writeNzcv(e: Emitter, nzcv: Code): void {
    this.flags.write(e, nzcv);
  }

  carry(e: Emitter): Code {
    return this.flags.carry(e);
  }

  holds(e: Emitter, condition: Operand): Code {
    return this.flags.holds(e, valueAt(this.#values, condition.path) as number);
  }

  pc(): Code {
    return i64.const(this.#address(this.#instruction.at));
  }

  addressOf(label: Operand): Code {
    const { offset, page } = valueAt(this.#values, label.path) as LabelValue;
    const here = this.#address(this.#instruction.at);
    return i64.const(BigInt.asUintN(64, (page ? here & ~0xfffn : here) + offset));
  }

  /** Where branches lead is the graph's business. */
  branch(): void {}

  branchIf(_e: Emitter, condition: Code): void {
    this.condition = condition;
  }

  branchTo(e: Emitter, target: Value, kind: BranchKind, via: Operand | undefined): void {
    let btype = 0;
    if (kind === 'call') btype = 2;
    if (kind === 'jump' && via !== undefined) {
      const isScratch = (this.#slot(via) | 1) === 17;
      if (!isScratch) this.asksGuarded = true;
      btype = isScratch || !this.context.isGuarded(this.#instruction.at) ? 1 : 3;
    }
    e.emit(
      local.set(RegionLocal.pc, target.wide()),
      local.set(RegionLocal.btype, i32.const(INDIRECT | btype)),
    );
  }

  systemRegister(reg: Operand): SystemRegisterCode {
    const encoding = valueAt(this.#values, reg.path) as number;
    const register = plainRegisterOf(encoding, this.#instruction.decoded.row.id);
    if (register === undefined) throw new Unsupported('a system register that is more than its cell');
    return {
      offset: i32.const(register.offset),
      permission: i32.const(register.permission),
      kept: () => i64.const(register.kept),
      fixed: () => i64.const(register.fixed),
    };
  }

  blockActions(operation: Operand): Code {
    const found = blockActionsOf(valueAt(this.#values, operation.path) as number);
    if (found === undefined) throw new Unsupported('a system operation');
    return i32.const(found.actions);
  }

  // ---- entry and exit ------------------------------------------------------------------------------

  /** Loads registers, flags and contexts that the region uses; all of its code has been made. */
  enter(): Code {
    const out: Code[] = [];
    for (const [slot, index] of this.registers) {
      out.push(local.set(index, i64.load(this.cpu, STATE + CpuLayout.X + 8 * slot)));
    }
    out.push(this.vectors.enter(this.cpu));
    if (this.#dataContext !== undefined) {
      out.push(local.set(this.#dataContext, i64.load(this.cpu, STATE + Cell.DATA_CONTEXT)));
    }
    for (const { page } of this.#caches.values()) out.push(local.set(page, i64.const(NO_PAGE)));
    out.push(this.flags.enter(i32.load(this.cpu, STATE + Cell.NZCV)));
    return out;
  }

  /** Stores what the region may have changed. */
  exit(e: Emitter): void {
    for (const pool of this.#temporaries.values()) pool.used = 0;
    for (const slot of this.written) {
      const value = local.get(this.registers.get(slot)!);
      e.emit(i64.store(this.cpu, value, STATE + CpuLayout.X + 8 * slot));
    }
    this.vectors.exit(e, this.cpu);
    if (this.flags.isDirty) {
      const nzcv = this.flags.leave(e);
      e.emit(i32.store(this.cpu, nzcv, STATE + Cell.NZCV));
    }
    if (this.countsTagChecks) {
      const sum = i32.add(i32.load(this.cpu, STATE + Cell.TAG_CHECKS), local.get(RegionLocal.tagChecks));
      e.emit(i32.store(this.cpu, sum, STATE + Cell.TAG_CHECKS));
    }
  }
}
