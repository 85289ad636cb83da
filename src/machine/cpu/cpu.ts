/**
 * One CPU: registers, PSTATE, exception entry and return, and the parts that work on them.
 *
 * General-purpose registers, flags, PC and system register cells are in linear memory, where generated
 * code finds them; PSTATE's other fields are in `pstate`. What depends on many registers at once (which
 * translation context, which tag checks, whether the top byte is ignored) is computed in
 * `refreshContext` whenever one of them changes, so that an access looks at plain fields only.
 *
 * The CPU executes nothing by itself: an engine fetches and runs instructions on it.
 *
 * Ref. DDI 0487, D1.3 (exceptions), J1 AArch64.TakeException, AArch64.ExceptionReturn.
 */
import { type ExceptionLevel, HCR, SCR, SCTLR } from '../../../isa/index.js';
import {
  CPU_STATE_BASE,
  CPU_STATE_SIZE,
  CpuLayout,
  type LinearMemory,
  SP_SLOT,
} from '../memory/linear-memory.js';
import type { MemorySystem } from '../memory/memory-system.js';
import { Mmu, type RegimeConfig, regimeOf, TRANSLATION_CELLS } from '../mmu/index.js';
import type { StopReason } from '../stop.js';
import type { Supervisor } from '../supervisor.js';
import { CONTEXT_CELLS } from './context-cells.js';
import { DEBUG_CELLS, DebugUnit } from './debug.js';
import type { CpuEnvironment } from './environment.js';
import {
  ExceptionClass,
  GuestException,
  ISS_CM,
  ISS_S1PTW,
  LOWER_CLASSES,
  undefinedInstruction,
} from './exception.js';
import { anythingPending, InterruptLine, type PendingInterrupt, pendingInterrupt } from './interrupts.js';
import { loadStoreSyndrome } from './load-store-syndrome.js';
import { MemoryAccess } from './memory-access.js';
import { PointerAuthentication } from './pointer-authentication.js';
import { Pstate } from './pstate.js';
import { StackPointers } from './stack-pointers.js';
import { SystemAccess } from './system-access.js';
import { cellOf, SystemCells } from './system-cells.js';
import { TagUnit } from './tags.js';
import { pollTimers, TIMER_CELLS } from './timers.js';

const SCTLR_OF = [cellOf('sctlr_el1'), cellOf('sctlr_el1'), cellOf('sctlr_el2'), cellOf('sctlr_el3')];
const ESR_OF = [-1, cellOf('esr_el1'), cellOf('esr_el2'), cellOf('esr_el3')];
const FAR_OF = [-1, cellOf('far_el1'), cellOf('far_el2'), cellOf('far_el3')];
const ELR_OF = [-1, cellOf('elr_el1'), cellOf('elr_el2'), cellOf('elr_el3')];
const SPSR_OF = [-1, cellOf('spsr_el1'), cellOf('spsr_el2'), cellOf('spsr_el3')];
const VBAR_OF = [-1, cellOf('vbar_el1'), cellOf('vbar_el2'), cellOf('vbar_el3')];
const HPFAR_EL2 = cellOf('hpfar_el2');
const HCR_EL2 = cellOf('hcr_el2');
const SCR_EL3 = cellOf('scr_el3');
const CPACR_EL1 = cellOf('cpacr_el1');
const CPTR_EL2 = cellOf('cptr_el2');
const CPTR_EL3 = cellOf('cptr_el3');
const CNTKCTL_EL1 = cellOf('cntkctl_el1');
/** ISS of the FP access trap from AArch64: CV = 1, COND = 0b1110. */
const FP_TRAP_ISS = 0x1e0_0000;
/** CPTR_ELx.TFP. */
const TFP = 10;

/** Exceptions at vectors in a row after which a run is stopped. */
const MOST_OF_A_STORM = 64;

/** What `refreshContext` computes. */
type Derived = Pick<
  Cpu,
  | 'config'
  | 'dataContext'
  | 'userContext'
  | 'fetchContext'
  | 'isUser'
  | 'panApplies'
  | 'tcf'
  | 'tcfWithoutTco'
  | 'userTcfWithoutTco'
  | 'userTcf'
  | 'ata'
  | 'userAta'
  | 'tbiLower'
  | 'tbiUpper'
  | 'alignmentChecked'
  | 'nAA'
  | 'spChecked'
  | 'fpTrap'
>;

export class Cpu {
  readonly index: number;
  readonly environment: CpuEnvironment;
  readonly linear: LinearMemory;
  readonly memory: MemorySystem;
  /** Byte offset of the state block. */
  readonly base: number;
  readonly cells: SystemCells;
  readonly pstate = new Pstate();
  readonly mmu: Mmu;
  readonly tags: TagUnit;
  readonly pac: PointerAuthentication;
  readonly access: MemoryAccess;
  readonly debug: DebugUnit;
  readonly system: SystemAccess;
  supervisor: Supervisor | undefined;

  /** Instructions executed since reset; the engine counts. Exact: every instruction that began. */
  steps = 0;
  /** The word being executed: traps report its Rt. */
  instruction = 0;
  /** Set to end the run after the current instruction. */
  stop: StopReason | undefined;
  /** Offset from VBAR of the last exception taken: 0x000 to 0x780. */
  vectorOffset = 0;
  /** The event register of WFE. */
  event = false;
  /**
   * Engines call `service` before the next instruction once `steps` has reached this. Anything that makes
   * an asynchronous event possible (a device access, a system register, a change of level) may lower it in
   * the middle of a run; a timer that is set makes it its moment.
   */
  deadline = Number.POSITIVE_INFINITY;
  /** The system counter is `steps` plus this: time that passed in other CPUs or while waiting. */
  timeOffset = 0;
  /** Bits of InterruptLine that are asserted. */
  interruptLines = 0;
  /** ISS of the SError that is pending. */
  #serrorSyndrome = 0;
  /** WFE waits, because a conductor runs this CPU and wakes it (see conductor.ts). */
  waits = false;
  /** What the CPU waits for after a stop `wait`. */
  waiting: 'interrupt' | 'event' | undefined;
  /** Switched on (PSCI CPU_ON). */
  powered = true;
  /** The last exception that was not a fetch of a vector gone wrong: what a storm of them began with. */
  lastException: { readonly ec: number; readonly esr: number; readonly pc: bigint; readonly far: bigint } = {
    ec: 0,
    esr: 0,
    pc: 0n,
    far: 0n,
  };
  /** Tag checks done and exceptions taken, for --stats. */
  tagChecks = 0;
  exceptions = 0;

  /** What the fields below were taken from: the same object as long as they are the same. */
  context!: object;
  // ---- derived state, see refreshContext -----------------------------------------------------------
  config!: RegimeConfig;
  /** TLB contexts: ordinary data accesses, unprivileged ones (LDTR), fetches. */
  dataContext = 0;
  userContext = 0;
  fetchContext = 0;
  /** Accesses are checked with EL0's permissions. */
  isUser = false;
  panApplies = false;
  /** TCF in force for ordinary and for unprivileged accesses: 0 where checks are off altogether. */
  tcf = 0;
  /** What they would be if PSTATE.TCO were 0. */
  tcfWithoutTco = 0;
  userTcfWithoutTco = 0;
  userTcf = 0;
  ata = false;
  userAta = false;
  /** Without TBI the top byte must be a copy of bit 55. */
  tbiLower = false;
  tbiUpper = false;
  /** SCTLR_ELx.A and nAA. */
  alignmentChecked = false;
  nAA = false;
  /** SP alignment is checked. */
  spChecked = false;
  /** Where an FP or SIMD instruction traps to; 0: it does not. */
  fpTrap: 0 | 1 | 2 | 3 = 0;
  /** Derived states since a register changed, by level, PAN, UAO and TCO; good in one epoch of the MMU. */
  readonly #derived: (Derived | undefined)[] = new Array<undefined>(32).fill(undefined);
  #derivedEpoch = -1;

  readonly #x: number;
  /** The vector entered last. */
  #vector = -1n;
  /** Exceptions in a row of which each arose at the vector of the one before. */
  #storm = 0;
  readonly #stackPointers: StackPointers;

  constructor(index: number, environment: CpuEnvironment) {
    this.index = index;
    this.environment = environment;
    this.memory = environment.memory;
    this.linear = environment.memory.dram.linear;
    this.base = CPU_STATE_BASE + index * CPU_STATE_SIZE;
    this.#x = this.base / 8;
    this.cells = new SystemCells(this.linear, this.base);
    this.#stackPointers = new StackPointers(this.linear, this.base);
    this.mmu = new Mmu(this.memory, this.cells, () => ({
      hasEl2: environment.hasEl2,
      el2Enabled: this.el2Enabled,
    }));
    this.mmu.onContextsChanged = () => this.refreshContext();
    this.tags = new TagUnit(this);
    this.pac = new PointerAuthentication(this);
    this.access = new MemoryAccess(this);
    this.debug = new DebugUnit(this);
    this.mmu.isPageWatched = (low, high) => this.debug.isPageWatched(low, high);
    this.system = new SystemAccess(this);
    this.refreshContext();
  }

  // ---- registers -----------------------------------------------------------------------------------

  /** X0..X30, 31 zero, 32 the current SP. */
  readX(slot: number): bigint {
    return this.linear.u64[this.#x + slot]!;
  }

  /** Writes to slot 31 vanish. */
  writeX(slot: number, value: bigint): void {
    if (slot !== 31) this.linear.u64[this.#x + slot] = value;
  }

  /** V0..V31, 128 bits. */
  readV(n: number): bigint {
    const at = (this.base + CpuLayout.V + 16 * n) / 8;
    return this.linear.u64[at]! | (this.linear.u64[at + 1]! << 64n);
  }

  writeV(n: number, value: bigint): void {
    const at = (this.base + CpuLayout.V + 16 * n) / 8;
    this.linear.u64[at] = value;
    this.linear.u64[at + 1] = value >> 64n;
  }

  /** The low half of a V register. */
  readD(n: number): bigint {
    return this.linear.u64[(this.base + CpuLayout.V + 16 * n) / 8]!;
  }

  /** Writes the low half of a V register and clears the upper one. */
  writeD(n: number, value: bigint): void {
    const at = (this.base + CpuLayout.V + 16 * n) / 8;
    this.linear.u64[at] = value;
    this.linear.u64[at + 1] = 0n;
  }

  get nzcv(): number {
    return this.linear.u32[(this.base + CpuLayout.NZCV) >>> 2]!;
  }

  set nzcv(value: number) {
    this.linear.u32[(this.base + CpuLayout.NZCV) >>> 2] = value & 15;
  }

  get pc(): bigint {
    return this.linear.u64[(this.base + CpuLayout.PC) >>> 3]!;
  }

  set pc(value: bigint) {
    this.linear.u64[(this.base + CpuLayout.PC) >>> 3] = value;
  }

  get sp(): bigint {
    return this.readX(SP_SLOT);
  }

  set sp(value: bigint) {
    this.linear.u64[this.#x + SP_SLOT] = value;
  }

  /** SP_ELn, whichever is selected now. */
  spOf(el: ExceptionLevel): bigint {
    return this.#stackPointers.of(el);
  }

  setSpOf(el: ExceptionLevel, value: bigint): void {
    this.#stackPointers.set(el, value);
  }

  /** Makes slot 32 the stack pointer that PSTATE selects. */
  #selectSp(): void {
    this.#stackPointers.select(this.pstate.sp === 0 ? 0 : this.pstate.el);
  }

  setSpSel(value: 0 | 1): void {
    this.pstate.sp = value;
    this.#selectSp();
  }

  /** A system register by name, without access checks: for supervisors, debuggers and tests. */
  readRegister(name: string): bigint {
    return this.system.readByName(name);
  }

  writeRegister(name: string, value: bigint): void {
    this.system.writeByName(name, value);
  }

  /** Goes to an exception level and stack pointer directly, as a reset or a test does. */
  setLevel(el: ExceptionLevel, sp: 0 | 1): void {
    this.pstate.el = el;
    this.pstate.sp = el === 0 ? 0 : sp;
    this.#selectSp();
    this.stateChanged();
  }

  // ---- context -------------------------------------------------------------------------------------

  get el2Enabled(): boolean {
    if (!this.environment.hasEl2) return false;
    if (!this.environment.hasEl3) return true;
    return this.cells.bit(SCR_EL3, SCR.NS) || this.cells.bit(SCR_EL3, SCR.EEL2);
  }

  /** The levels below EL3 are in Non-secure state. */
  get isNonSecure(): boolean {
    return !this.environment.hasEl3 || this.cells.bit(SCR_EL3, SCR.NS);
  }

  hcrBit(bit: number): boolean {
    return this.el2Enabled && this.cells.bit(HCR_EL2, bit);
  }

  /** SCTLR of the current level's regime. */
  get sctlr(): number {
    return SCTLR_OF[this.pstate.el]!;
  }

  /** A system register cell was written. */
  cellWritten(cell: number): void {
    const translation = TRANSLATION_CELLS.has(cell) || cell === SCR_EL3;
    if (translation) this.mmu.configurationChanged();
    if (translation || CONTEXT_CELLS.has(cell)) this.refreshContext();
    if (TIMER_CELLS.has(cell)) this.attention();
    if (DEBUG_CELLS.has(cell)) this.debug.registersChanged();
  }

  /** AArch64.AllocationTagAccessIsEnabled. */
  tagAccessEnabled(el: ExceptionLevel): boolean {
    if (!this.environment.hasMte2) return false;
    if (this.environment.hasEl3 && el !== 3 && !this.cells.bit(SCR_EL3, SCR.ATA)) return false;
    if (el < 2 && this.el2Enabled && !this.cells.bit(HCR_EL2, HCR.ATA) && !this.hcrBit(HCR.TGE)) return false;
    return this.cells.bit(SCTLR_OF[el]!, el === 0 ? SCTLR.ATA0 : SCTLR.ATA);
  }

  /** Recomputes everything that accesses look at. Called on every change of control registers. */
  refreshContext(): void {
    this.#derived.fill(undefined);
    this.stateChanged();
  }

  /** The level or PAN, UAO or TCO changed, and nothing else: what accesses look at is computed or looked up. */
  stateChanged(): void {
    const { pstate } = this;
    if (this.#derivedEpoch !== this.mmu.epoch) this.#derived.fill(undefined);
    const key = pstate.el | (pstate.pan << 2) | (pstate.uao << 3) | (pstate.tco << 4);
    let derived = this.#derived[key];
    if (derived === undefined) {
      derived = this.#derive();
      // New contexts may have made those of other states worthless.
      if (this.#derivedEpoch !== this.mmu.epoch) this.#derived.fill(undefined);
      this.#derivedEpoch = this.mmu.epoch;
      this.#derived[key] = derived;
    }
    this.context = derived;
    this.config = derived.config;
    this.dataContext = derived.dataContext;
    this.userContext = derived.userContext;
    this.fetchContext = derived.fetchContext;
    this.isUser = derived.isUser;
    this.panApplies = derived.panApplies;
    this.tcf = derived.tcf;
    this.tcfWithoutTco = derived.tcfWithoutTco;
    this.userTcfWithoutTco = derived.userTcfWithoutTco;
    this.userTcf = derived.userTcf;
    this.ata = derived.ata;
    this.userAta = derived.userAta;
    this.tbiLower = derived.tbiLower;
    this.tbiUpper = derived.tbiUpper;
    this.alignmentChecked = derived.alignmentChecked;
    this.nAA = derived.nAA;
    this.spChecked = derived.spChecked;
    this.fpTrap = derived.fpTrap;
    if (anythingPending(this) || this.debug?.isOn === true) this.attention();
  }

  #derive(): Derived {
    const { pstate, cells, mmu } = this;
    const { hasMte3 } = this.environment;
    const el = pstate.el;
    const sctlr = this.sctlr;
    const config = mmu.config(regimeOf(el));
    const isUser = el === 0;
    const panApplies = pstate.pan === 1 && el === 1;
    // PSTATE.UAO makes LDTR and STTR ordinary accesses at EL1.
    const unprivileged = el === 0 || (el === 1 && pstate.uao === 0);
    let dataContext: number;
    let fetchContext: number;
    let userContext: number;
    let epoch: number;
    do {
      epoch = mmu.epoch;
      dataContext = mmu.context(config, isUser, panApplies);
      fetchContext = mmu.context(config, isUser, false);
      userContext = unprivileged ? mmu.context(config, true, false) : dataContext;
    } while (epoch !== mmu.epoch);

    const ata = this.tagAccessEnabled(el);
    const asEl0 = el === 1 && pstate.uao === 0;
    const userAta = asEl0 ? this.tagAccessEnabled(0) : ata;
    const tcf0 = cells.field(sctlr, 39, 38);
    // Asymmetric is FEAT_MTE3; without it the value behaves as synchronous.
    const enabled = (isEnabled: boolean, field: number) =>
      isEnabled ? (field === 3 && !hasMte3 ? 1 : field) : 0;
    const mode = (isEnabled: boolean, field: number) => (pstate.tco === 0 ? enabled(isEnabled, field) : 0);
    const own = el === 0 ? tcf0 : cells.field(sctlr, 41, 40);
    const tcf = mode(ata, own);
    return {
      config,
      dataContext,
      fetchContext,
      userContext,
      isUser,
      panApplies,
      ata,
      userAta,
      tcf,
      tcfWithoutTco: enabled(ata, own),
      userTcfWithoutTco: asEl0 ? enabled(userAta, tcf0) : enabled(ata, own),
      userTcf: asEl0 ? mode(userAta, tcf0) : tcf,
      tbiLower: config.lower.tbi,
      tbiUpper: config.upper?.tbi ?? false,
      alignmentChecked: cells.bit(sctlr, SCTLR.A),
      nAA: cells.bit(sctlr, SCTLR.nAA),
      spChecked: cells.bit(sctlr, el === 0 ? SCTLR.SA0 : SCTLR.SA),
      fpTrap: this.#fpTrapTarget(),
    };
  }

  // ---- asynchronous events -------------------------------------------------------------------------

  /** Something asynchronous may have become possible: look before the next instruction. */
  attention(): void {
    this.deadline = 0;
  }

  /** CNTKCTL_EL1.EVNTEN: the counter sends events, so that WFE never waits long. */
  get hasEventStream(): boolean {
    return this.cells.bit(CNTKCTL_EL1, 2);
  }

  /** The interrupt controller's signals to this CPU. */
  setInterruptLines(irq: boolean, fiq: boolean): void {
    const { irq: irqBit, fiq: fiqBit, serror } = InterruptLine;
    const lines = (this.interruptLines & serror) | (irq ? irqBit : 0) | (fiq ? fiqBit : 0);
    if (lines === this.interruptLines) return;
    this.interruptLines = lines;
    this.attention();
  }

  /** A system error that the CPU takes as soon as it is not masked; `iss` as in ESR_ELx, 25 bits. */
  raiseSError(iss: number): void {
    this.interruptLines |= InterruptLine.serror;
    this.#serrorSyndrome = iss;
    this.attention();
  }

  /** Brings the timers' interrupts up to the counter; gives the ticks until the next change, or Infinity. */
  pollTimers(): number {
    const { interrupts } = this.environment;
    return interrupts === undefined
      ? Number.POSITIVE_INFINITY
      : pollTimers(this, (intid, level) => interrupts.setPrivate(this, intid, level));
  }

  /**
   * Engines call this before an instruction once `steps` has reached `deadline`: takes the interrupt that
   * is pending, if any, and sets the next deadline. PC must be in its place.
   */
  service(): void {
    const next = this.pollTimers();
    this.deadline = this.steps + (this.debug.isOn ? 1 : next);
    const step = this.debug.pendingStep();
    if (step !== undefined) {
      this.takeException(step, this.pc);
      return;
    }
    const taken = pendingInterrupt(this);
    if (taken !== undefined) {
      this.takeInterrupt(taken);
      return;
    }
    const breakpoint = this.debug.isOn ? this.debug.beforeInstruction() : undefined;
    if (breakpoint !== undefined) this.takeException(breakpoint, this.pc);
  }

  takeInterrupt({ kind, isVirtual, target, offset }: PendingInterrupt): void {
    let syndrome: bigint | undefined;
    if (kind === 'serror') {
      // A virtual SError has the syndrome of VSESR_EL2, which comes with FEAT_RAS: zero here.
      const iss = isVirtual ? 0 : this.#serrorSyndrome;
      syndrome = BigInt(ExceptionClass.SError * 2 ** 26 + 2 ** 25 + iss);
      if (isVirtual) this.cells.set(HCR_EL2, this.cells.get(HCR_EL2) & ~(1n << BigInt(HCR.VSE)));
      else this.interruptLines &= ~InterruptLine.serror;
    }
    this.takeAsynchronous(target, offset, this.pc, syndrome);
  }

  /** CheckFPAdvSIMDEnabled64: which level's control, if any, traps FP and SIMD at the current one. */
  #fpTrapTarget(): 0 | 1 | 2 | 3 {
    const { cells } = this;
    const el = this.pstate.el;
    if (el < 2) {
      const fpen = cells.field(CPACR_EL1, 21, 20);
      if ((fpen & 1) === 0 || (fpen === 1 && el === 0)) return 1;
    }
    if (el < 3 && this.el2Enabled && cells.bit(CPTR_EL2, TFP)) return 2;
    return this.environment.hasEl3 && cells.bit(CPTR_EL3, TFP) ? 3 : 0;
  }

  /** Throws the access trap where FP and SIMD are not enabled. Ref. AArch64.AdvSIMDFPAccessTrap. */
  checkFPAdvSIMDEnabled(): void {
    const target = this.fpTrap;
    if (target === 0) return;
    // With TGE what CPACR_EL1 traps is an unknown instruction to EL2.
    if (target === 1 && this.hcrBit(HCR.TGE)) throw undefinedInstruction();
    throw new GuestException(ExceptionClass.AdvSIMDFPAccessTrap, FP_TRAP_ISS, { target });
  }

  // ---- exceptions ----------------------------------------------------------------------------------

  /** Where a synchronous exception goes from the current level. */
  #targetOf(exception: GuestException): 1 | 2 | 3 {
    const el = this.pstate.el;
    let target: 1 | 2 | 3 = el === 0 ? 1 : el;
    if (exception.target !== undefined && exception.target > target) target = exception.target;
    if (el === 0 && target === 1 && this.hcrBit(HCR.TGE)) target = 2;
    if (exception.exceptionClass === ExceptionClass.SoftwareBreakpoint && el < 2) target = this.debug.target;
    return target;
  }

  /**
   * AArch64.TakeException for a synchronous exception of the instruction at `pc`.
   * Gives true if execution goes on at the vector, false if a supervisor handles it (see supervisor.ts).
   */
  takeException(exception: GuestException, pc: bigint): boolean {
    if (!exception.returnsToNext) this.debug.stepNotDone();
    const target = this.#targetOf(exception);
    const from = this.pstate.el;
    let ec = exception.exceptionClass;
    if (target === from && LOWER_CLASSES.has(ec)) ec++;
    // Every A64 instruction is 32 bits: IL is 1.
    const esr = ec * 2 ** 26 + 2 ** 25 + this.#issOf(exception, target);
    this.cells.setWord(ESR_OF[target]!, esr);
    const again = pc === this.#vector;
    if (!again) this.lastException = { ec, esr, pc, far: exception.vaddress ?? 0n };
    if (exception.vaddress !== undefined) this.cells.set(FAR_OF[target]!, exception.vaddress);
    if (exception.ipaddress !== undefined) {
      this.cells.set(HPFAR_EL2, BigInt(Math.floor(exception.ipaddress / 4096)) << 4n);
    }
    const elr = exception.returnsToNext ? BigInt.asUintN(64, pc + 4n) : pc;
    const goesOn = this.#enter(target, elr, 0);
    // A vector whose first instruction raises the next exception leads nowhere: let others look at it.
    this.#storm = again ? this.#storm + 1 : 0;
    if (this.#storm < MOST_OF_A_STORM) return goesOn;
    this.#storm = 0;
    this.stop ??= { kind: 'request' };
    return false;
  }

  /** The syndrome; a stage 2 abort of an access that EL2 might emulate describes it. */
  #issOf({ exceptionClass, iss, ipaddress }: GuestException, target: 1 | 2 | 3): number {
    const describes =
      target === 2 &&
      ipaddress !== undefined &&
      exceptionClass === ExceptionClass.DataAbort &&
      (iss & (ISS_S1PTW | ISS_CM)) === 0;
    return describes ? iss | loadStoreSyndrome(this.instruction) : iss;
  }

  /** An interrupt or SError: `offset` 0x80 IRQ, 0x100 FIQ, 0x180 SError; `syndrome` goes to ESR for SError. */
  takeAsynchronous(target: 1 | 2 | 3, offset: number, pc: bigint, syndrome?: bigint): boolean {
    if (syndrome !== undefined) this.cells.set(ESR_OF[target]!, syndrome);
    return this.#enter(target, pc, offset);
  }

  #enter(target: 1 | 2 | 3, elr: bigint, kind: number): boolean {
    const { pstate, cells } = this;
    this.exceptions++;
    const offset = kind + (target > pstate.el ? 0x400 : pstate.sp === 1 ? 0x200 : 0);
    cells.setWord(SPSR_OF[target]!, pstate.saveWord(this.nzcv));
    cells.set(ELR_OF[target]!, elr);
    pstate.el = target;
    pstate.sp = 1;
    pstate.daif = 0xf;
    pstate.il = 0;
    pstate.ss = 0;
    pstate.btype = 0;
    pstate.tco = 1;
    pstate.uao = 0;
    const sctlr = SCTLR_OF[target]!;
    pstate.ssbs = cells.bit(sctlr, SCTLR.DSSBS) ? 1 : 0;
    if (target === 1 && !cells.bit(sctlr, SCTLR.SPAN)) pstate.pan = 1;
    this.#selectSp();
    this.stateChanged();
    this.vectorOffset = offset;
    this.#vector = BigInt.asUintN(64, cells.get(VBAR_OF[target]!) + BigInt(offset));
    this.pc = this.#vector;
    if (target !== 3 && this.supervisor !== undefined) {
      this.supervisor.exceptionTaken(this, target);
      this.stop = { kind: 'supervisor', el: target };
      return false;
    }
    return true;
  }

  /** ELR of the current level, which is not EL0. */
  get exceptionLink(): bigint {
    return this.cells.get(ELR_OF[this.pstate.el]!);
  }

  /**
   * ERET: PC and PSTATE from ELR and SPSR of the current level.
   * An illegal return sets PSTATE.IL and stays at this level. Ref. AArch64.ExceptionReturn, IllegalExceptionReturn.
   */
  exceptionReturn(link?: bigint): void {
    const { pstate, cells } = this;
    const el = pstate.el as 1 | 2 | 3;
    const spsr = cells.field(SPSR_OF[el]!, 31, 0);
    const target = this.#returnTarget(spsr, el);
    const step = target === undefined ? 0 : this.#debugStep(el, target, spsr);
    this.nzcv = pstate.restore(spsr);
    pstate.ss = step;
    if (target === undefined) {
      pstate.il = 1;
      pstate.btype = 0;
    } else {
      pstate.el = target;
      pstate.sp = (spsr & 1) as 0 | 1;
      this.#selectSp();
    }
    this.access.clearExclusive();
    this.event = true;
    this.stateChanged();
    if (link === undefined) this.#branchToLink(ELR_OF[el]!);
    else this.pc = this.branchAddress(link);
  }

  #debugStep(from: ExceptionLevel, to: ExceptionLevel, spsr: number): number {
    return this.debug.stepAfterReturn(from, (this.pstate.daif & 8) !== 0, to, spsr);
  }

  #returnTarget(spsr: number, from: ExceptionLevel): ExceptionLevel | undefined {
    const mode = spsr & 0x1f;
    // M[4]: AArch32, which no level here has; M[1] is reserved.
    if ((mode & 0x12) !== 0) return undefined;
    const el = (mode >> 2) as ExceptionLevel;
    if (el > from || (el === 0 && (mode & 1) === 1)) return undefined;
    if (el === 2 && !this.el2Enabled) return undefined;
    if (el === 1 && this.hcrBit(HCR.TGE)) return undefined;
    return el;
  }

  /** PC = BranchAddr(ELR). */
  #branchToLink(cell: number): void {
    const words = this.linear.i32;
    const pc = (this.base + CpuLayout.PC) >>> 2;
    let high = this.cells.field(cell, 63, 32);
    const isUpper = (high & 0x80_0000) !== 0;
    const half = isUpper ? this.config.upper : this.config.lower;
    if ((half ?? this.config.lower).tbiFetch) {
      high = isUpper && half !== undefined ? high | 0xff00_0000 : high & 0xff_ffff;
    }
    words[pc] = this.cells.field(cell, 31, 0);
    words[pc + 1] = high;
  }

  /** AArch64.BranchAddr: with TBI for fetches the PC keeps no tag. */
  branchAddress(target: bigint): bigint {
    const upper = (target & (1n << 55n)) !== 0n;
    const half = upper ? this.config.upper : this.config.lower;
    if (!(half ?? this.config.lower).tbiFetch) return target;
    return upper && half !== undefined ? target | (0xffn << 56n) : BigInt.asUintN(56, target);
  }

  /** An exception class for messages: `Data Abort`. */
  static className(ec: number): string {
    for (const [name, value] of Object.entries(ExceptionClass)) {
      if (value === ec || (LOWER_CLASSES.has(value) && value + 1 === ec)) return name;
    }
    return `class 0x${ec.toString(16)}`;
  }
}
