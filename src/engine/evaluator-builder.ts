/**
 * The evaluator's builder: semantics run at once, on bigint values, against one CPU.
 *
 * It is the reference of what every instruction means: no laziness, every intermediate truncated to its
 * width. The program counter is kept as a page (bigint) and an offset in it (number), so that running
 * straight on and branching nearby cost no bigint.
 */
import type {
  Access,
  AesOperation,
  AtomicOperation,
  Builder,
  FlagOperation,
  FpBinary,
  FpSize,
  FpTernary,
  FpTest,
  FpUnary,
  LaneSize,
  Narrowing,
  PacKey,
  PstateField,
  Rounding,
  VectorBinary,
  VectorTernary,
  VectorUnary,
  VectorWidth,
  Width,
} from '../../isa/index.js';
import {
  breakpoint,
  type Cpu,
  CpuLayout,
  ExceptionClass,
  GuestException,
  halt,
  hint,
  hypervisorCall,
  secureMonitorCall,
  supervisorCall,
  undefinedInstruction,
  writePstate,
} from '../machine/index.js';
import {
  addFlags32,
  addFlags64,
  conditionHolds,
  countLeadingSigns,
  countLeadingZeros,
  crc32,
  logicFlags,
  reverseBits,
  reverseBytes,
  rotateRight,
} from './arithmetic.js';
import { aes } from './evaluator-crypto.js';
import { FloatUnit } from './float-unit.js';
import type { EvaluatorLabel } from './predecode.js';
import {
  carrylessProduct,
  laneOf,
  replaceLane,
  shuffleBytes,
  splatLanes,
  swizzleBytes,
  vectorNarrow,
  vectorShift,
  vectorWiden,
} from './vector-lanes.js';

export interface EvaluatorWords {
  readonly x: bigint;
  readonly q: bigint;
  readonly bool: boolean;
  readonly reg: number;
  readonly vreg: number;
  readonly cond: number;
  readonly label: EvaluatorLabel;
  readonly sysreg: number;
}

const SP_SLOT = 32;
const TAG_MASK = ~(0xfn << 56n);

export class EvaluatorBuilder implements Builder<EvaluatorWords> {
  readonly cpu: Cpu;
  /** The 4 KiB page of the instruction, and the instruction's offset in it. */
  page = 0n;
  offset = 0;
  /** Offset of the next instruction in the same page; 4096 runs on into the next, -1: `target` instead. */
  next = 0;
  target = 0n;
  /** Translation, level or PSTATE may have changed: the engine looks afresh before the next instruction. */
  resynchronize = false;
  /** The page of the instruction is guarded (BTI). */
  guarded = false;
  /** The fetch of an instruction is under way: a fault is of cpu.pc. */
  fetching = false;
  /** An exception that the instruction ends with and that nothing needs to be undone for; the engine takes it. */
  raised: GuestException | undefined;
  #pageLow = 0;
  #pageHigh = 0;
  readonly #hasBti: boolean;
  readonly #float: FloatUnit;

  constructor(cpu: Cpu) {
    this.cpu = cpu;
    this.#float = new FloatUnit(cpu);
    this.#hasBti = cpu.environment.has('FEAT_BTI');
  }

  /** Leaves the program counter where others see it. */
  syncPc(): void {
    const { cpu } = this;
    const words = cpu.linear.i32;
    const at = (cpu.base + CpuLayout.PC) >>> 2;
    words[at] = this.#pageLow | this.offset;
    words[at + 1] = this.#pageHigh;
  }

  /** The next instruction is the one at this address, in halves. */
  goTo(low: number, high: number): void {
    const pageLow = low & ~0xfff;
    if (pageLow !== this.#pageLow || high !== this.#pageHigh) {
      this.#pageLow = pageLow;
      this.#pageHigh = high;
      this.page = (BigInt(high >>> 0) << 32n) | BigInt(pageLow >>> 0);
    }
    this.offset = low & 0xfff;
  }

  // ---- values --------------------------------------------------------------------------------------

  imm(value: bigint | number): bigint {
    return BigInt.asUintN(64, BigInt(value));
  }
  let(value: bigint): bigint {
    return value;
  }
  letBool(value: boolean): boolean {
    return value;
  }
  add(w: Width, a: bigint, b: bigint): bigint {
    return w === 64 ? BigInt.asUintN(64, a + b) : BigInt.asUintN(32, a + b);
  }
  sub(w: Width, a: bigint, b: bigint): bigint {
    return w === 64 ? BigInt.asUintN(64, a - b) : BigInt.asUintN(32, a - b);
  }
  mul(w: Width, a: bigint, b: bigint): bigint {
    return w === 64 ? BigInt.asUintN(64, a * b) : BigInt.asUintN(32, a * b);
  }
  umulh(a: bigint, b: bigint): bigint {
    return (a * b) >> 64n;
  }
  smulh(a: bigint, b: bigint): bigint {
    return BigInt.asUintN(64, (BigInt.asIntN(64, a) * BigInt.asIntN(64, b)) >> 64n);
  }
  udiv(w: Width, a: bigint, b: bigint): bigint {
    const divisor = BigInt.asUintN(w, b);
    return divisor === 0n ? 0n : BigInt.asUintN(w, a) / divisor;
  }
  sdiv(w: Width, a: bigint, b: bigint): bigint {
    const divisor = BigInt.asIntN(w, b);
    return divisor === 0n ? 0n : BigInt.asUintN(w, BigInt.asIntN(w, a) / divisor);
  }
  and(w: Width, a: bigint, b: bigint): bigint {
    return w === 64 ? a & b : BigInt.asUintN(32, a & b);
  }
  or(w: Width, a: bigint, b: bigint): bigint {
    return w === 64 ? a | b : BigInt.asUintN(32, a | b);
  }
  xor(w: Width, a: bigint, b: bigint): bigint {
    return w === 64 ? a ^ b : BigInt.asUintN(32, a ^ b);
  }
  not(w: Width, a: bigint): bigint {
    return w === 64 ? BigInt.asUintN(64, ~a) : BigInt.asUintN(32, ~a);
  }
  shl(w: Width, a: bigint, amount: bigint): bigint {
    return w === 64 ? BigInt.asUintN(64, a << (amount & 63n)) : BigInt.asUintN(32, a << (amount & 31n));
  }
  shr(w: Width, a: bigint, amount: bigint): bigint {
    return w === 64 ? a >> (amount & 63n) : BigInt.asUintN(32, a) >> (amount & 31n);
  }
  sar(w: Width, a: bigint, amount: bigint): bigint {
    return w === 64
      ? BigInt.asUintN(64, BigInt.asIntN(64, a) >> (amount & 63n))
      : BigInt.asUintN(32, BigInt.asIntN(32, a) >> (amount & 31n));
  }
  ror(w: Width, a: bigint, amount: bigint): bigint {
    return rotateRight(w, a, amount);
  }
  clz(w: Width, a: bigint): bigint {
    return BigInt(countLeadingZeros(w, a));
  }
  cls(w: Width, a: bigint): bigint {
    return BigInt(countLeadingSigns(w, a));
  }
  rbit(w: Width, a: bigint): bigint {
    return reverseBits(w, a);
  }
  rev(w: Width, container: 16 | 32 | 64, a: bigint): bigint {
    return reverseBytes(w, container, a);
  }
  zext(from: number, a: bigint): bigint {
    return BigInt.asUintN(from, a);
  }
  sext(w: Width, from: number, a: bigint): bigint {
    return BigInt.asUintN(w, BigInt.asIntN(from, a));
  }
  crc32(castagnoli: boolean, size: 1 | 2 | 4 | 8, accumulator: bigint, value: bigint): bigint {
    return crc32(castagnoli, size, accumulator, value);
  }

  // ---- truth values --------------------------------------------------------------------------------

  eq(w: Width, a: bigint, b: bigint): boolean {
    return w === 64 ? a === b : BigInt.asUintN(32, a) === BigInt.asUintN(32, b);
  }
  ltu(w: Width, a: bigint, b: bigint): boolean {
    return BigInt.asUintN(w, a) < BigInt.asUintN(w, b);
  }
  lts(w: Width, a: bigint, b: bigint): boolean {
    return BigInt.asIntN(w, a) < BigInt.asIntN(w, b);
  }
  testBit(a: bigint, index: bigint): boolean {
    return ((a >> (index & 63n)) & 1n) === 1n;
  }
  notBool(a: boolean): boolean {
    return !a;
  }
  andBool(a: boolean, b: boolean): boolean {
    return a && b;
  }
  orBool(a: boolean, b: boolean): boolean {
    return a || b;
  }
  fromBool(a: boolean): bigint {
    return a ? 1n : 0n;
  }
  select(condition: boolean, whenTrue: bigint, whenFalse: bigint): bigint {
    return condition ? whenTrue : whenFalse;
  }

  // ---- registers and flags -------------------------------------------------------------------------

  readX(w: Width, reg: number): bigint {
    const value = this.cpu.readX(reg);
    return w === 64 ? value : BigInt.asUintN(32, value);
  }
  writeX(w: Width, reg: number, value: bigint): void {
    this.cpu.writeX(reg, w === 64 ? value : BigInt.asUintN(32, value));
  }
  readBase(reg: number): bigint {
    const value = this.cpu.readX(reg);
    if (reg === SP_SLOT && this.cpu.spChecked && (value & 15n) !== 0n) {
      throw new GuestException(ExceptionClass.SPAlignment, 0);
    }
    return value;
  }
  isSP(reg: number): boolean {
    return reg === SP_SLOT;
  }
  nextReg(reg: number): number {
    return reg + 1;
  }
  linkRegister(): number {
    return 30;
  }
  fixedRegister(slot: number): number {
    return slot;
  }

  #flagsOf(operation: FlagOperation, w: Width, a: bigint, b: bigint): number {
    if (operation === 'logic') return logicFlags(w, a);
    const subtract = operation === 'sub' || operation === 'sbc';
    const carryIn = operation === 'add' ? 0 : operation === 'sub' ? 1 : (this.cpu.nzcv >> 1) & 1;
    if (w === 32) {
      const x = Number(BigInt.asUintN(32, a));
      const y = Number(BigInt.asUintN(32, b));
      return addFlags32(x, subtract ? ~y >>> 0 : y, carryIn);
    }
    return addFlags64(a, subtract ? BigInt.asUintN(64, ~b) : b, carryIn === 1 ? 1n : 0n);
  }
  setFlags(operation: FlagOperation, w: Width, a: bigint, b: bigint): void {
    this.cpu.nzcv = this.#flagsOf(operation, w, a, b);
  }
  setFlagsIf(
    condition: boolean,
    operation: FlagOperation,
    w: Width,
    a: bigint,
    b: bigint,
    otherwise: bigint,
  ): void {
    this.cpu.nzcv = condition ? this.#flagsOf(operation, w, a, b) : Number(otherwise & 15n);
  }
  flags(): bigint {
    return BigInt(this.cpu.nzcv);
  }
  writeFlags(nzcv: bigint): void {
    this.cpu.nzcv = Number(nzcv & 15n);
  }
  carry(): bigint {
    return BigInt((this.cpu.nzcv >> 1) & 1);
  }
  holds(condition: number): boolean {
    return conditionHolds(condition, this.cpu.nzcv);
  }

  // ---- control flow --------------------------------------------------------------------------------

  pc(): bigint {
    return this.page + BigInt(this.offset);
  }
  addressOf(label: EvaluatorLabel): bigint {
    const from = label.page ? this.page : this.page + BigInt(this.offset);
    return BigInt.asUintN(64, from + BigInt(label.delta));
  }
  branch(label: EvaluatorLabel): void {
    const to = this.offset + label.delta;
    if (to >= 0 && to < 4096) {
      this.next = to;
    } else {
      this.next = -1;
      this.target = BigInt.asUintN(64, this.page + BigInt(to));
    }
  }
  branchIf(condition: boolean, label: EvaluatorLabel): void {
    if (condition) this.branch(label);
  }
  branchTo(target: bigint, kind: 'jump' | 'call' | 'return', via?: number): void {
    const to = this.cpu.branchAddress(target);
    const distance = to - this.page;
    if (distance >= 0n && distance < 4096n && (distance & 3n) === 0n) {
      this.next = Number(distance);
    } else {
      this.next = -1;
      this.target = to;
    }
    if (kind !== 'return' && this.#hasBti) {
      const viaScratch = via === 16 || via === 17;
      this.cpu.pstate.btype = kind === 'call' ? 2 : this.guarded && !viaScratch ? 3 : 1;
    }
  }

  // ---- memory --------------------------------------------------------------------------------------

  load(bytes: 1 | 2 | 4 | 8, address: bigint, access: Access): bigint {
    return this.cpu.access.load(bytes, address, access);
  }
  store(bytes: 1 | 2 | 4 | 8, address: bigint, value: bigint, access: Access): void {
    this.cpu.access.store(bytes, address, value, access);
  }
  loadPair(bytes: 4 | 8, address: bigint, access: Access): readonly [bigint, bigint] {
    return this.cpu.access.loadPair(bytes, address, access);
  }
  storePair(bytes: 4 | 8, address: bigint, first: bigint, second: bigint, access: Access): void {
    this.cpu.access.storePair(bytes, address, first, second, access);
  }
  atomic(
    operation: AtomicOperation,
    bytes: 1 | 2 | 4 | 8,
    address: bigint,
    operand: bigint,
    access: Access,
  ): bigint {
    return this.cpu.access.atomic(operation, bytes, address, operand, access);
  }
  compareAndSwap(
    bytes: 1 | 2 | 4 | 8,
    address: bigint,
    expected: bigint,
    replacement: bigint,
    access: Access,
  ): bigint {
    return this.cpu.access.compareAndSwap(bytes, address, expected, replacement, access);
  }
  compareAndSwapPair(
    bytes: 4 | 8,
    address: bigint,
    expected: readonly [bigint, bigint],
    replacement: readonly [bigint, bigint],
    access: Access,
  ): readonly [bigint, bigint] {
    return this.cpu.access.compareAndSwapPair(bytes, address, expected, replacement, access);
  }
  loadExclusive(bytes: 1 | 2 | 4 | 8, address: bigint, access: Access): bigint {
    return this.cpu.access.loadExclusive(bytes, address, access);
  }
  loadExclusivePair(bytes: 4 | 8, address: bigint, access: Access): readonly [bigint, bigint] {
    return this.cpu.access.loadExclusivePair(bytes, address, access);
  }
  storeExclusive(bytes: 1 | 2 | 4 | 8, address: bigint, value: bigint, access: Access): bigint {
    return this.cpu.access.storeExclusive(bytes, address, value, access);
  }
  storeExclusivePair(bytes: 4 | 8, address: bigint, first: bigint, second: bigint, access: Access): bigint {
    return this.cpu.access.storeExclusivePair(bytes, address, first, second, access);
  }
  clearExclusive(): void {
    this.cpu.access.clearExclusive();
  }
  barrier(kind: 'dmb' | 'dsb' | 'isb' | 'sb'): void {
    if (kind === 'isb') this.resynchronize = true;
  }

  loadVector(element: 1 | 2 | 4 | 8 | 16, total: number, address: bigint, access: Access): readonly bigint[] {
    return this.cpu.access.loadVector(element, total, address, access);
  }
  storeVector(
    element: 1 | 2 | 4 | 8 | 16,
    total: number,
    address: bigint,
    values: readonly bigint[],
    access: Access,
  ): void {
    this.cpu.access.storeVector(element, total, address, values, access);
  }

  // ---- floating point and vector registers ---------------------------------------------------------

  checkFPAdvSIMDEnabled(): void {
    if (this.cpu.fpTrap !== 0) this.cpu.checkFPAdvSIMDEnabled();
  }
  readF(size: LaneSize, reg: number): bigint {
    const value = this.cpu.readD(reg);
    return size === 64 ? value : BigInt.asUintN(size, value);
  }
  writeF(size: LaneSize, reg: number, value: bigint): void {
    this.cpu.writeD(reg, size === 64 ? value : BigInt.asUintN(size, value));
  }
  readV(width: VectorWidth, reg: number): bigint {
    return width === 128 ? this.cpu.readV(reg) : this.readF(width, reg);
  }
  writeV(width: VectorWidth, reg: number, value: bigint): void {
    if (width === 128) this.cpu.writeV(reg, value);
    else this.cpu.writeD(reg, BigInt.asUintN(width, value));
  }
  nextV(reg: number, distance: number): number {
    return (reg + distance) & 31;
  }

  // ---- floating point --------------------------------------------------------------------------------

  fp1(operation: FpUnary, size: FpSize, a: bigint): bigint {
    return this.#float.unary(operation, size, a);
  }
  fp2(operation: FpBinary, size: FpSize, a: bigint, b: bigint): bigint {
    return this.#float.binary(operation, size, a, b);
  }
  fp3(operation: FpTernary, size: FpSize, addend: bigint, a: bigint, b: bigint): bigint {
    return this.#float.ternary(operation, size, addend, a, b);
  }
  fpCompare(size: FpSize, a: bigint, b: bigint, signalNaNs: boolean): bigint {
    return this.#float.compare(size, a, b, signalNaNs);
  }
  fpTest(test: FpTest, size: FpSize, a: bigint, b: bigint): boolean {
    return this.#float.test(test, size, a, b);
  }
  fpConvert(to: FpSize, from: FpSize, a: bigint, rounding: 'fpcr' | 'odd'): bigint {
    return this.#float.convert(to, from, a, rounding);
  }
  fpRoundInt(size: FpSize, a: bigint, rounding: Rounding, exact: boolean): bigint {
    return this.#float.roundInt(size, a, rounding, exact);
  }
  fpRoundIntN(size: FpSize, a: bigint, rounding: Rounding, bits: 32 | 64): bigint {
    return this.#float.roundIntN(size, a, rounding, bits);
  }
  fpToFixed(
    bits: 16 | 32 | 64,
    size: FpSize,
    a: bigint,
    fraction: bigint,
    unsigned: boolean,
    rounding: Rounding,
  ): bigint {
    return this.#float.toFixed(bits, size, a, fraction, unsigned, rounding);
  }
  fpToFixedJS(a: bigint): bigint {
    return this.#float.toFixedJS(a);
  }
  fixedToFp(
    size: FpSize,
    bits: 16 | 32 | 64,
    a: bigint,
    fraction: bigint,
    unsigned: boolean,
    rounding: Rounding,
  ): bigint {
    return this.#float.fromFixed(size, bits, a, fraction, unsigned, rounding);
  }

  // ---- vectors ---------------------------------------------------------------------------------------

  immV(value: bigint): bigint {
    return value;
  }
  letV(value: bigint): bigint {
    return value;
  }
  fromX(low: bigint, high: bigint): bigint {
    return low | (high << 64n);
  }
  getLane(size: LaneSize, a: bigint, index: bigint): bigint {
    return laneOf(size, a, Number(index));
  }
  setLane(size: LaneSize, a: bigint, index: bigint, value: bigint): bigint {
    return replaceLane(size, a, Number(index), value);
  }
  splat(size: LaneSize, value: bigint): bigint {
    return splatLanes(size, value);
  }
  shuffle(a: bigint, b: bigint, pattern: readonly number[]): bigint {
    return shuffleBytes(a, b, pattern);
  }
  swizzle(table: bigint, indices: bigint): bigint {
    return swizzleBytes(table, indices);
  }
  v1(operation: VectorUnary, size: LaneSize, a: bigint): bigint {
    return this.#float.v1(operation, size, a);
  }
  v2(operation: VectorBinary, size: LaneSize, a: bigint, b: bigint): bigint {
    return this.#float.v2(operation, size, a, b);
  }
  v3(operation: VectorTernary, size: LaneSize, first: bigint, a: bigint, b: bigint): bigint {
    return this.#float.v3(operation, size, first, a, b);
  }
  vShift(operation: 'shl' | 'shr' | 'sar', size: LaneSize, a: bigint, amount: bigint): bigint {
    return vectorShift(operation, size, a, amount);
  }
  vWiden(signed: boolean, size: 8 | 16 | 32, high: boolean, a: bigint): bigint {
    return vectorWiden(signed, size, high, a);
  }
  vNarrow(how: Narrowing, size: 8 | 16 | 32, a: bigint): bigint {
    return this.#float.noting((q) => vectorNarrow(how, size, a, q));
  }
  polynomialProduct(a: bigint, b: bigint): bigint {
    return carrylessProduct(a, b);
  }
  aes(operation: AesOperation, state: bigint): bigint {
    return aes(operation, state);
  }
  vfp1(operation: FpUnary, size: FpSize, lanes: number, a: bigint): bigint {
    return this.#float.lanes1(operation, size, lanes, a);
  }
  vfp2(operation: FpBinary, size: FpSize, lanes: number, a: bigint, b: bigint): bigint {
    return this.#float.lanes2(operation, size, lanes, a, b);
  }
  vfp3(operation: FpTernary, size: FpSize, lanes: number, addend: bigint, a: bigint, b: bigint): bigint {
    return this.#float.lanes3(operation, size, lanes, addend, a, b);
  }
  vfpTest(test: FpTest, size: FpSize, lanes: number, a: bigint, b: bigint): bigint {
    return this.#float.lanesTest(test, size, lanes, a, b);
  }

  // ---- allocation tags -----------------------------------------------------------------------------

  tagAccessEnabled(): boolean {
    return this.cpu.ata;
  }
  tagOf(address: bigint): bigint {
    return (address >> 56n) & 15n;
  }
  withTag(address: bigint, tag: bigint): bigint {
    return (address & TAG_MASK) | ((tag & 15n) << 56n);
  }
  randomTag(exclude: bigint): bigint {
    return BigInt(this.cpu.tags.random(Number(exclude & 0xffffn)));
  }
  nextTag(tag: bigint, offset: bigint): bigint {
    return BigInt(this.cpu.tags.next(Number(tag & 15n), Number(offset & 15n)));
  }
  loadTag(address: bigint): bigint {
    return BigInt(this.cpu.access.loadTag(address));
  }
  storeTag(address: bigint, tag: bigint, granules: 1 | 2, zeroData: boolean): void {
    this.syncPc();
    this.cpu.access.storeTag(address, Number(tag & 15n), granules, zeroData);
  }
  storeTagPair(address: bigint, tag: bigint, first: bigint, second: bigint): void {
    this.syncPc();
    this.cpu.access.storeTagPair(address, Number(tag & 15n), first, second);
  }
  loadTagBlock(address: bigint): bigint {
    return this.cpu.access.loadTagBlock(address);
  }
  storeTagBlock(address: bigint, tags: bigint): void {
    this.syncPc();
    this.cpu.access.storeTagBlock(address, tags);
  }
  storeTagZeroBlock(address: bigint, tag: bigint): void {
    this.syncPc();
    this.cpu.access.storeTagZeroBlock(address, Number(tag & 15n));
  }

  // ---- pointer authentication ----------------------------------------------------------------------

  addPac(pointer: bigint, modifier: bigint, key: PacKey): bigint {
    return this.cpu.pac.add(pointer, modifier, key);
  }
  authenticate(pointer: bigint, modifier: bigint, key: PacKey): bigint {
    return this.cpu.pac.authenticate(pointer, modifier, key);
  }
  stripPac(pointer: bigint, data: boolean): bigint {
    return this.cpu.pac.strip(pointer, data);
  }
  genericPac(value: bigint, modifier: bigint): bigint {
    return this.cpu.pac.generic(value, modifier);
  }

  // ---- system --------------------------------------------------------------------------------------

  readSystemRegister(reg: number): bigint {
    return this.cpu.system.read(reg);
  }
  writeSystemRegister(reg: number, value: bigint): void {
    this.resynchronize = true;
    this.cpu.system.write(reg, value);
  }
  writePstate(field: PstateField, value: bigint): void {
    this.resynchronize = true;
    writePstate(this.cpu, field, Number(value & 15n));
  }
  systemOperation(operation: number, value: bigint): void {
    this.resynchronize = true;
    this.syncPc();
    this.cpu.system.operation(operation, value);
  }
  supervisorCall(imm: bigint): void {
    this.raised = supervisorCall(Number(imm & 0xffffn));
    this.next = -1;
  }
  hypervisorCall(imm: bigint): void {
    hypervisorCall(this.cpu, Number(imm & 0xffffn));
  }
  secureMonitorCall(imm: bigint): void {
    secureMonitorCall(this.cpu, Number(imm & 0xffffn));
  }
  breakpoint(imm: bigint): void {
    breakpoint(Number(imm & 0xffffn));
  }
  halt(imm: bigint): void {
    this.syncPc();
    halt(this.cpu, Number(imm & 0xffffn));
  }
  undefined(): void {
    throw undefinedInstruction();
  }
  requireEL(el: 1 | 2 | 3): void {
    if (this.cpu.pstate.el < el) throw undefinedInstruction();
  }
  exceptionReturn(key?: 'ia' | 'ib'): void {
    if (this.cpu.pstate.el === 0) throw undefinedInstruction();
    if (key === undefined) this.cpu.exceptionReturn();
    else this.cpu.exceptionReturn(this.cpu.pac.authenticate(this.cpu.exceptionLink, this.cpu.sp, key));
    this.resynchronize = true;
    this.next = -1;
    this.target = this.cpu.pc;
  }
  hint(number: bigint): void {
    hint(this.cpu, Number(number & 127n));
  }
}
