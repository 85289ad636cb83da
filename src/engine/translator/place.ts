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
import { br, type Code, i32, i64, Label, local, ValueType, whenUnlikely } from '../wasm/index.js';
import { isStoredLater, type Operated } from './access-shape.js';
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
  /** At an exit by a branch: the address to go on at. */
  pc: 1,
  /** At an exit: a `Way`, and what it says. */
  way: 2,
  /** At an exit by a branch: as Cell.BTYPE. */
  btype: 3,
  tagChecks: 4,
  /** At an exit for a miss of the TLB: the address (i64). */
  missed: 5,
} as const;
const FIXED: readonly ValueType[] = [...new Array<ValueType>(3).fill(ValueType.i32), ValueType.i64];

/**
 * How a region is left: the two lowest bits of local `way`.
 *
 * By a branch, `way` is 0, or the host offset of the heat of the instruction to go on at, which is in one of the
 * region's pages. Otherwise bits 8:2 are the instructions of the block that were not done, and the others
 * say, signed, which instruction is next, counted from the beginning of the region's page.
 */
export const Way = { branch: 0, leave: 1, missedRead: 2, missedWrite: 3, mask: 3 } as const;
const REFUND_SHIFT = 2;
const REFUND_MASK = 127;
const PLACE_SHIFT = 9;
/** Bytes from a region's page to what it has code of, at most. */
export const MOST_DISTANCE = 2 ** (31 - PLACE_SHIFT + 2);

export const OUT = new Label('out');

/** Out, with nothing more done: `way` with the block's instructions from that at `at` on not done. */
export const leaving = (way: number, at: number, refund: number): Code =>
  local.set(RegionLocal.way, i32.const(way | (refund << REFUND_SHIFT) | ((at / 4) << PLACE_SHIFT)));

/** What an exit's `way` says, an i32 each: instructions not done; an i64: the address to go on at. */
export const refundOf = (way: Code): Code =>
  i32.and(i32.shrU(way, i32.const(REFUND_SHIFT)), i32.const(REFUND_MASK));
export const addressOf = (way: Code, page: bigint): Code =>
  i64.add(i64.const(page), i64.shl(i64.extendI32S(i32.shrS(way, i32.const(PLACE_SHIFT))), i64.const(2n)));

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
  readonly onlyHalf: 'lower' | 'upper' | undefined;
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
  /** By table and base register. A translation stays true as long as the region runs. */
  readonly #caches = new Map<string, PageCache>();
  #base: number | undefined;
  /** Temporaries; those of one instruction serve the next. */
  readonly #temporaries = new Map<ValueType, { readonly all: number[]; used: number }>();
  /** The block, and the place in it of the instruction. */
  #block: readonly Operated[] = [];
  #index = 0;
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
    // Where only bit 55 must be as in HALF, the key of the other half's addresses is one that no entry has.
    this.onlyHalf =
      has(Special.half) && !has(Special.topByte) ? (has(Special.upper) ? 'upper' : 'lower') : undefined;
    const mask = has(Special.topByte) ? AT_HALF | TOP_BYTE : 0n;
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
    this.vectors = new RegionVectors(
      {
        isFlushing: has(Special.flushing),
        isExact: has(Special.exact),
        isUnusual: has(Special.unusual),
      },
      newLocal,
      (reg) => this.#slot(reg),
    );
  }

  newLocal(type: ValueType): number {
    this.locals.push(type);
    return this.locals.length + 1;
  }

  /** A block begins: nothing is known. */
  beginBlock(instructions: readonly Instruction[]): void {
    this.condition = undefined;
    this.#block = instructions.map(({ decoded }) => ({ decoded, values: decodeOperands(decoded) }));
  }

  /** An instruction of the block, by its place in it. */
  begin(instruction: Instruction, index: number): void {
    this.#instruction = instruction;
    this.#index = index;
    this.#values = this.#block[index]!.values;
    this.#rest = this.#block.length - index;
    this.#base = undefined;
    for (const pool of this.#temporaries.values()) pool.used = 0;
  }

  // ---- frame ---------------------------------------------------------------------------------------

  entry(slot: Code): Code {
    return slot;
  }

  /** From its cell: it is asked for where an access leaves the page it was in, and not worth a register. */
  get dataContext(): Code {
    return i64.load(this.cpu, STATE + Cell.DATA_CONTEXT);
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
      cache = {
        page: this.newLocal(I64),
        hostAddend: this.newLocal(I32),
        tagAddend: this.checks ? this.newLocal(I32) : undefined,
      };
      this.#caches.set(key, cache);
    }
    return cache;
  }

  /** Operands of the instruction. */
  get values(): Readonly<Record<string, Concrete<Shape>>> {
    return this.#values;
  }

  isStoredLater(): boolean {
    return this.#base !== undefined && isStoredLater(this.#block, this.#index, this.#base);
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

  /** Code that leaves the region at the instruction. */
  #leave(way: number): Code {
    return [leaving(way, this.#instruction.at, this.#rest), br(OUT)];
  }

  fail(): Code {
    return this.#leave(Way.leave);
  }

  failIf(condition: Code): Code {
    return whenUnlikely(condition, this.#leave(Way.leave));
  }

  missIf(condition: Code, table: 'read' | 'write', address: number): Code {
    this.misses = true;
    const way = table === 'read' ? Way.missedRead : Way.missedWrite;
    return whenUnlikely(condition, [local.set(RegionLocal.missed, local.get(address)), this.#leave(way)]);
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
