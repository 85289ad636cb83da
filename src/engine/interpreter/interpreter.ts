/**
 * The interpreter: runs the generated module, and does between its runs what it leaves.
 *
 * Generated code goes on until it has no fuel, comes to a page it has no records of, to a record that is
 * not decoded, or to an instruction that it does not finish. The last is done by the evaluator, from the
 * instruction's beginning, so that every exception, system register and odd access is the reference's.
 * The contexts that accesses depend on are copied into the CPU's cells before every entry.
 */
import { systemRegisterByName } from '../../../isa/index.js';
import { FloatException, FPCR_FZ, FPCR_RMODE_SHIFT } from '../../base/index.js';
import {
  anythingPending,
  type Cpu,
  CpuLayout,
  cellOf,
  type Engine,
  EntryFlag,
  GuestException,
  type Machine,
  OutOfHostMemory,
  type StopReason,
  supervisorCall,
  TLB_ENTRY_BYTES,
  TlbKind,
  undefinedInstruction,
} from '../../machine/index.js';
import { Evaluator, type EvaluatorOptions } from '../evaluator.js';
import { CodePages } from './code-pages.js';
import {
  Cell,
  cpuDistance,
  Exit,
  FPCR,
  FPSR,
  FpState,
  GUARDED,
  Heat,
  INDIRECT,
  SoftFloat,
  Special,
} from './layout.js';
import { interpreterModule } from './module.js';
import { dataZeroId, systemPermissions } from './system-forms.js';
import { makeTagWriters, NO_TAG_WRITERS } from './tag-writers.js';
import { Templates } from './templates.js';
import type { MakeTranslation, Translation } from './translation.js';

/**
 * Instructions in one entry at most. V8 replaces code of a function that loops only when it is entered
 * again, so the first entries must end for the optimised one to be used.
 */
const SLICE = 1 << 20;
const [CNTKCTL_EL1, VPIDR_EL2] = ['cntkctl_el1', 'vpidr_el2'].map(
  (name) => CpuLayout.SYSTEM + 8 * cellOf(name),
) as [number, number];
const CACHE_TYPE = systemRegisterByName('ctr_el0')!.reset;
const BIT_55 = 0x80_0000;
/** Instructions of a CPU that the evaluator does before generated code is instantiated at all. */
const WARM_UP = 32_768;
const FPCR_UNUSUAL = 3 << FPCR_RMODE_SHIFT;
/** No host offset of guest memory. */
const NOWHERE = 1;

export interface InterpreterOptions extends EvaluatorOptions {
  /** The evaluator does the first instructions of a run, as making records of them costs more. Results are the same. */
  readonly adaptive?: boolean;
  /** Makes the translator of hot code; left out, there is none. */
  readonly translation?: MakeTranslation;
}

export interface InterpreterStatistics {
  /** Instructions that the evaluator did. */
  evaluated: number;
  /** Entries into generated code. */
  entries: number;
  decoded: number;
  /** Instructions that translated regions did. */
  translated: number;
  /** Times a region left an instruction to the interpreter. */
  leaves: number;
  /** Page table walks: misses of the TLBs. */
  walks: number;
  /** See TranslationStatistics. */
  regions: number;
  regionsMade: number;
  modules: number;
  regionBytes: number;
  evictions: number;
  translationMilliseconds: number;
}

const NOTHING_TRANSLATED = {
  regions: 0,
  regionsMade: 0,
  modules: 0,
  regionBytes: 0,
  evictions: 0,
  translationMilliseconds: 0,
};

/** Generated code and what it works on. */
interface Generated {
  readonly run: (cpu: number, fuel: number) => number;
  readonly pages: CodePages;
  readonly translation: Translation | undefined;
  readonly loadSoftFloat: () => void;
  /** See Cell.TAG_WRITERS. */
  tagWriters: number | undefined;
}

/** What the cells of a CPU were set from. */
interface Entered {
  readonly context: object;
  readonly isUpper: boolean;
  readonly fpcr: number;
  /** CNTKCTL_EL1 and VPIDR_EL2, which change no context. */
  readonly timerControl: number;
  readonly mainId: number;
  readonly sp: 0 | 1;
  readonly tagWriters: number | undefined;
  /** Bits of `Special`, `exact` aside. */
  readonly specialization: number;
}

export class Interpreter implements Engine {
  readonly name: string;
  readonly #machine: Machine;
  readonly #evaluator: Evaluator;
  readonly #alwaysEvaluates: boolean;
  readonly #isAdaptive: boolean;
  readonly #hasBti: boolean;
  readonly #makeTranslation: MakeTranslation | undefined;
  /** Made at the first entry. */
  #generated: Generated | undefined;
  /** By CPU. */
  readonly #entered: (Entered | undefined)[] = [];
  #evaluated = 0;
  #entries = 0;
  #translated = 0;
  #leaves = 0;
  /** Instructions until what is hot is translated; Infinity where nothing is. */
  #patience = Number.POSITIVE_INFINITY;

  constructor(machine: Machine, options: InterpreterOptions = {}) {
    this.#machine = machine;
    this.#evaluator = new Evaluator(machine, options);
    // Traces are the evaluator's; so are modelled caches, which host offsets go round.
    this.#alwaysEvaluates = options.onStep !== undefined || !machine.memory.isDirect;
    this.#isAdaptive = options.adaptive === true;
    this.#makeTranslation = options.translation;
    this.name = options.translation === undefined ? 'interpret' : 'translate';
    this.#hasBti = machine.features.has('FEAT_BTI');
  }

  /** Instantiates generated code. May grow the linear memory. Throws OutOfHostMemory. */
  #instantiate(): Generated {
    const machine = this.#machine;
    const features: ReadonlySet<string> = machine.features;
    const instance = interpreterModule().instantiate(machine.linear.memory);
    const { run, table, softHandlers } = instance;
    const pages = new CodePages(machine, new Templates(instance, (feature) => features.has(feature)));
    pages.dropAll();
    for (const { linear, base } of machine.cpus) {
      linear.i32[(base + Cell.SOFT_FLOAT) >>> 2] = SoftFloat.absent;
    }
    const loadSoftFloat = () => void softHandlers();
    const translation = this.#makeTranslation?.({ machine, table, pages, loadSoftFloat });
    pages.translation = translation;
    return { run, pages, translation, loadSoftFloat, tagWriters: undefined };
  }

  get statistics(): InterpreterStatistics {
    return {
      evaluated: this.#evaluated,
      entries: this.#entries,
      decoded: this.#generated?.pages.decoded ?? 0,
      translated: this.#translated,
      leaves: this.#leaves,
      walks: this.#machine.cpus.reduce((sum, cpu) => sum + cpu.mmu.walks, 0),
      ...(this.#generated?.translation?.statistics ?? NOTHING_TRANSLATED),
    };
  }

  run(cpu: Cpu, maxInstructions: number): StopReason {
    if (this.#alwaysEvaluates || cpu.access.onWrite !== undefined) {
      return this.#evaluator.run(cpu, maxInstructions);
    }
    cpu.stop = undefined;
    let left = maxInstructions;
    if (this.#isAdaptive && cpu.steps < WARM_UP) {
      const before = cpu.steps;
      const first = Math.min(left, WARM_UP - before);
      const stop = this.#evaluate(cpu, first);
      if (stop !== undefined) return stop;
      left -= first;
    }
    try {
      while (left > 0) {
        this.#generated ??= this.#instantiate();
        if (cpu.steps >= cpu.deadline && !cpu.debug.isOn) {
          cpu.service();
          const stop = cpu.stop as StopReason | undefined;
          if (stop !== undefined) return stop;
          continue;
        }
        if (cpu.pstate.btype !== 0 || cpu.pstate.il !== 0 || cpu.steps >= cpu.deadline) {
          left--;
          const stop = this.#evaluate(cpu, 1);
          if (stop !== undefined) return stop;
          continue;
        }
        if (this.#patience <= 0) this.#translate();
        const fuel = Math.min(left, SLICE, cpu.deadline - cpu.steps, this.#patience);
        const reason = this.#enter(cpu, fuel);
        const done = fuel - this.#word(cpu, Cell.FUEL);
        cpu.steps += done;
        left -= done;
        this.#patience -= done;
        if (reason === Exit.limit) continue;
        if (reason === Exit.supervisorCall) {
          cpu.takeException(supervisorCall(this.#word(cpu, Cell.IMMEDIATE)), cpu.pc);
          const stop = cpu.stop as StopReason | undefined;
          if (stop !== undefined) return stop;
          continue;
        }
        if (reason === Exit.exceptionReturn) {
          if (cpu.pstate.el > 0) cpu.exceptionReturn();
          else cpu.takeException(undefinedInstruction(), cpu.pc);
          const stop = cpu.stop as StopReason | undefined;
          if (stop !== undefined) return stop;
          continue;
        }
        if (reason === Exit.decode) {
          this.#decode(cpu);
          continue;
        }
        if (reason === Exit.hot) {
          this.#hot(cpu);
          continue;
        }
        if (reason === Exit.page) {
          this.#branched(cpu);
          if (left === 0 || cpu.pstate.btype !== 0 || this.#prepare(cpu)) continue;
        }
        if (this.#word(cpu, Cell.SOFT_FLOAT) === SoftFloat.wanted) {
          this.#generated.loadSoftFloat();
          cpu.linear.i32[(cpu.base + Cell.SOFT_FLOAT) >>> 2] = SoftFloat.present;
          continue;
        }
        const stop = this.#evaluate(cpu, 1);
        if (stop !== undefined) return stop;
        left--;
      }
    } catch (thrown) {
      if (thrown instanceof OutOfHostMemory) return { kind: 'halted', message: thrown.message };
      throw thrown;
    }
    return { kind: 'limit' };
  }

  /** So many instructions (or exceptions of a fetch) by the evaluator. */
  #evaluate(cpu: Cpu, steps: number): StopReason | undefined {
    const before = cpu.steps;
    const stop = this.#evaluator.run(cpu, steps);
    this.#evaluated += cpu.steps - before;
    return stop.kind === 'limit' ? undefined : stop;
  }

  #word(cpu: Cpu, cell: number): number {
    return cpu.linear.i32[(cpu.base + cell) >>> 2]!;
  }

  #enter(cpu: Cpu, fuel: number): number {
    this.#entries++;
    const generated = this.#generated!;
    // May grow the memory: before anything looks at it.
    if (cpu.memory.recordsTagWriters) generated.tagWriters ??= makeTagWriters(this.#machine);
    const words = cpu.linear.i32;
    const base = cpu.base >>> 2;
    const isUpper = (words[base + (Cell.PC >>> 2) + 1]! & BIT_55) !== 0;
    const fpcr = words[base + (FPCR >>> 2)]!;
    let entered = this.#entered[cpu.index];
    if (
      entered === undefined ||
      entered.context !== cpu.context ||
      entered.isUpper !== isUpper ||
      entered.fpcr !== fpcr ||
      entered.timerControl !== words[base + (CNTKCTL_EL1 >>> 2)] ||
      entered.mainId !== words[base + (VPIDR_EL2 >>> 2)] ||
      entered.sp !== cpu.pstate.sp ||
      entered.tagWriters !== generated.tagWriters
    ) {
      entered = this.#setContext(cpu, isUpper, generated.tagWriters);
      this.#entered[cpu.index] = entered;
    }
    const isExact = (words[base + (FPSR >>> 2)]! & FloatException.Inexact) === 0;
    words[base + (Cell.FP_STATE >>> 2)] =
      (isExact ? FpState.exact : 0) |
      ((fpcr & FPCR_UNUSUAL) === 0 ? 0 : FpState.unusual) |
      ((fpcr & FPCR_FZ) === 0 ? 0 : FpState.flushing);
    words[base + (Cell.SPECIALIZATION >>> 2)] = entered.specialization | (isExact ? Special.exact : 0);
    const stepsAtEnd = cpu.steps + fuel;
    words[base + (Cell.STEPS_AT_END >>> 2)] = stepsAtEnd | 0;
    words[base + (Cell.STEPS_AT_END >>> 2) + 1] = Math.floor(stepsAtEnd / 2 ** 32);
    const checks = base + (Cell.TAG_CHECKS >>> 2);
    words[checks] = 0;
    const { tagRandom } = cpu.environment;
    tagRandom.save(words, base + (Cell.RANDOM >>> 2));
    const { monitor } = cpu.access;
    const marked = this.#markedHost(cpu);
    words[base + (Cell.EXCLUSIVE >>> 2)] = marked;
    words[base + (Cell.EXCLUSIVE_BYTES >>> 2)] = monitor.bytes;
    words[base + (Cell.TRANSLATED >>> 2)] = 0;
    words[base + (Cell.LEAVES >>> 2)] = 0;
    this.#savePstate(cpu);
    const reason = generated.run(cpuDistance(cpu.index), fuel);
    this.#restorePstate(cpu);
    this.#translated += this.#word(cpu, Cell.TRANSLATED);
    this.#leaves += this.#word(cpu, Cell.LEAVES);
    cpu.tagChecks += cpu.linear.u32[checks]!;
    tagRandom.restore(words, base + (Cell.RANDOM >>> 2));
    const mark = cpu.linear.u32[base + (Cell.EXCLUSIVE >>> 2)]!;
    if (mark !== 0)
      monitor.set(cpu.memory.dram.physicalOf(mark), words[base + (Cell.EXCLUSIVE_BYTES >>> 2)]!);
    else if (mark !== marked) monitor.clear();
    return reason;
  }

  /** PSTATE fields, and what else is new at every entry, into their cells. */
  #savePstate(cpu: Cpu): void {
    const { pstate } = cpu;
    const words = cpu.linear.i32;
    const base = cpu.base >>> 2;
    words[base + (Cell.DAIF >>> 2)] = pstate.daif << 6;
    words[base + (Cell.SSBS >>> 2)] = pstate.ssbs << 12;
    words[base + (Cell.DIT >>> 2)] = pstate.dit << 24;
    words[base + (Cell.TCO >>> 2)] = pstate.tco << 25;
    words[base + (Cell.QUIET >>> 2)] = Number(!anythingPending(cpu) && !cpu.debug.isOn);
    words[base + (Cell.TIME_OFFSET >>> 2)] = cpu.timeOffset | 0;
    words[base + (Cell.TIME_OFFSET >>> 2) + 1] = Math.floor(cpu.timeOffset / 2 ** 32);
  }

  /** PSTATE as generated code left it, and what it counted. */
  #restorePstate(cpu: Cpu): void {
    const { pstate } = cpu;
    const words = cpu.linear.i32;
    const base = cpu.base >>> 2;
    pstate.daif = words[base + (Cell.DAIF >>> 2)]! >>> 6;
    pstate.ssbs = words[base + (Cell.SSBS >>> 2)]! >>> 12;
    pstate.dit = words[base + (Cell.DIT >>> 2)]! >>> 24;
    const tco = words[base + (Cell.TCO >>> 2)]! >>> 25;
    if (tco !== pstate.tco) {
      pstate.tco = tco;
      cpu.stateChanged();
    }
    // Cells that were set from these are what generated code has made of them.
    const entered = this.#entered[cpu.index]!;
    if (entered.context !== cpu.context || entered.fpcr !== words[base + (FPCR >>> 2)])
      this.#entered[cpu.index] = undefined;
    const maintained = base + (Cell.MAINTAINED >>> 2);
    if ((words[maintained]! | words[maintained + 1]! | words[maintained + 2]!) === 0) return;
    const { maintenance } = cpu.memory;
    maintenance.data += words[maintained]!;
    maintenance.tags += words[maintained + 1]!;
    maintenance.instruction += words[maintained + 2]!;
    words.fill(0, maintained, maintained + 3);
  }

  /** Puts what generated code wants to know of the CPU's state into its cells. */
  #setContext(cpu: Cpu, isUpper: boolean, tagWriters: number | undefined): Entered {
    const words = cpu.linear.i32;
    const base = cpu.base >>> 2;
    const tbi = isUpper ? cpu.tbiUpper : cpu.tbiLower;
    const isMixed = cpu.tbiLower !== cpu.tbiUpper || !tbi;
    words[base + (Cell.DATA_CONTEXT >>> 2) + 1] = cpu.dataContext << 12;
    words[base + (Cell.FETCH_CONTEXT >>> 2) + 1] = cpu.fetchContext << 12;
    words[base + (Cell.TOP_MASK >>> 2) + 1] = isMixed ? BIT_55 | (tbi ? 0 : 0xff00_0000) : 0;
    words[base + (Cell.HALF >>> 2)] = isUpper ? -1 : 0;
    words[base + (Cell.HALF >>> 2) + 1] = isUpper ? -1 : 0;
    words[base + (Cell.TLB >>> 2)] = cpu.mmu.tlb.base;
    // Code that runs in one half leaves accesses to the other where the halves differ.
    const isChecked = cpu.tcf !== 0 && tbi;
    const isCheckedWithoutTco = cpu.tcfWithoutTco !== 0 && tbi;
    const { upper, lower } = cpu.config;
    const tcma = (isUpper ? (upper ?? lower) : lower).tcma;
    const isAligned = cpu.alignmentChecked || (isChecked && tcma);
    const isAlignedWithoutTco = cpu.alignmentChecked || (isCheckedWithoutTco && tcma);
    const userMask = BIT_55 | (cpu.tbiLower ? 0 : 0xff00_0000);
    words[base + (Cell.USER_CONTEXT >>> 2) + 1] = cpu.userContext << 12;
    words[base + (Cell.USER_TOP_MASK >>> 2) + 1] = userMask;
    for (const tco of [0, 1]) {
      const checks = tco === 0 && cpu.userTcfWithoutTco !== 0 && cpu.tbiLower;
      const aligned = cpu.alignmentChecked || (checks && lower.tcma);
      words[base + (Cell.USER_CHECKS_OF_TCO >>> 2) + tco] = Number(checks);
      words[base + (Cell.USER_ALIGNMENT_OF_TCO >>> 2) + tco] = Number(aligned);
      if (cpu.pstate.tco !== tco) continue;
      words[base + (Cell.USER_CHECKS >>> 2)] = Number(checks);
      words[base + (Cell.USER_ALIGNMENT >>> 2)] = Number(aligned);
    }
    words[base + (Cell.CHECKS >>> 2)] = Number(isChecked);
    words[base + (Cell.ALIGNMENT >>> 2)] = Number(isAligned);
    words[base + (Cell.SP_CHECKED >>> 2)] = Number(cpu.spChecked);
    words[base + (Cell.ATA >>> 2)] = Number(cpu.ata);
    words[base + (Cell.FP_TRAPPED >>> 2)] = Number(cpu.fpTrap !== 0);
    words[base + (Cell.PERMISSIONS >>> 2)] = systemPermissions(cpu);
    cpu.linear.u64[(cpu.base + Cell.CTR) >>> 3] = CACHE_TYPE;
    if (cpu.pstate.el > 0) cpu.linear.u64[(cpu.base + Cell.MIDR) >>> 3] = cpu.readRegister('midr_el1');
    words[base + (Cell.DCZID >>> 2)] = dataZeroId(cpu);
    const fields = (cpu.base + Cell.PAC_FIELDS) >>> 3;
    for (let i = 0; i < 4; i++) cpu.linear.u64[fields + i] = cpu.pac.fieldOf((i & 1) === 1, i > 1);
    words[base + (Cell.TAG_WRITERS >>> 2)] = tagWriters ?? 0;
    const fpcr = words[base + (FPCR >>> 2)]!;
    const common =
      (cpu.spChecked ? Special.spChecked : 0) |
      (cpu.ata ? Special.ata : 0) |
      (cpu.fpTrap !== 0 ? Special.fpTrapped : 0) |
      ((fpcr & FPCR_FZ) === 0 ? 0 : Special.flushing) |
      ((fpcr & FPCR_UNUSUAL) === 0 ? 0 : Special.unusual) |
      (isMixed ? Special.half : 0) |
      (isMixed && !tbi ? Special.topByte : 0) |
      (isUpper ? Special.upper : 0) |
      (tagWriters === undefined ? 0 : Special.tagWriters) |
      (tagWriters === NO_TAG_WRITERS ? Special.noTagWriters : 0);
    const withTco = common | (cpu.alignmentChecked ? Special.alignment : 0);
    const withoutTco =
      common | (isCheckedWithoutTco ? Special.checks : 0) | (isAlignedWithoutTco ? Special.alignment : 0);
    const specialization = cpu.pstate.tco === 0 ? withoutTco : withTco;
    words[base + (Cell.OF_TCO >>> 2)] = withoutTco;
    words[base + (Cell.OF_TCO >>> 2) + 1] = withTco;
    const timerControl = words[base + (CNTKCTL_EL1 >>> 2)]!;
    const mainId = words[base + (VPIDR_EL2 >>> 2)]!;
    return {
      context: cpu.context,
      isUpper,
      fpcr,
      timerControl,
      mainId,
      sp: cpu.pstate.sp,
      tagWriters,
      specialization,
    };
  }

  /**
   * Host offset of what the exclusive monitor marks: 0 for nothing, NOWHERE for memory without one, where
   * stores are the evaluator's as it has no entries.
   */
  #markedHost(cpu: Cpu): number {
    const { pa } = cpu.access.monitor;
    const { dram } = cpu.memory;
    if (pa < 0) return 0;
    return dram.contains(pa) && dram.isTouched(pa) ? dram.hostForRead(pa) : NOWHERE;
  }

  /** After a branch to a register: BranchAddr, and PSTATE.BTYPE. */
  #branched(cpu: Cpu): void {
    const how = this.#word(cpu, Cell.BTYPE);
    if ((how & INDIRECT) === 0) return;
    cpu.pc = cpu.branchAddress(cpu.pc);
    if (this.#hasBti) cpu.pstate.btype = how & 3;
  }

  /** Gives the page of PC its records; false where the evaluator must do the instruction, or raise. */
  #prepare(cpu: Cpu): boolean {
    const { pc } = cpu;
    const low = Number(BigInt.asUintN(32, pc)) | 0;
    const high = Number(BigInt.asUintN(32, pc >> 32n)) | 0;
    // What code does not enter although it is translated is the evaluator's.
    if ((low & 3) !== 0 || high >>> 24 !== ((high & BIT_55) === 0 ? 0 : 0xff)) return false;
    const { mmu, linear } = cpu;
    const { tlb } = mmu;
    let entry: number;
    try {
      entry = mmu.translate(cpu.config, cpu.fetchContext, pc, low, high, TlbKind.fetch, cpu.isUser, false, 0);
    } catch (thrown) {
      if (thrown instanceof GuestException) return false;
      throw thrown;
    }
    const w = (tlb.base + entry * TLB_ENTRY_BYTES) >>> 2;
    const isDirect = linear.i32[w + 1] === tlb.keyHigh[entry] && linear.i32[w] === tlb.keyLow[entry];
    if (!isDirect) return false;
    const guarded = (tlb.flags[entry]! & EntryFlag.guarded) !== 0 ? GUARDED : 0;
    const records = this.#generated!.pages.recordsOf(cpu, tlb.page[entry]!);
    linear.i32[w + 3] = records | guarded;
    return true;
  }

  /** Tells the translator of the branch target at PC. */
  #hot(cpu: Cpu): void {
    const { pages, translation } = this.#generated!;
    const words = cpu.linear.i32;
    const at = (cpu.base + Cell.PC) >>> 2;
    const { tlb } = cpu.mmu;
    const { pc } = cpu;
    const entry = tlb.find(TlbKind.fetch, words[at]!, words[at + 1]!, cpu.fetchContext);
    const pa = tlb.page[entry]!;
    const records = pages.recordsOf(cpu, pa);
    if (translation === undefined) {
      pages.setHeat(records, words[at]! & 0xfff, Heat.never);
      return;
    }
    const specialization = this.#word(cpu, Cell.SPECIALIZATION);
    translation.hot({ cpu, pc, pa, records, specialization });
    if (this.#patience > translation.patience) this.#patience = translation.patience;
  }

  #translate(): void {
    this.#patience = Number.POSITIVE_INFINITY;
    this.#generated!.translation?.flush();
  }

  #decode(cpu: Cpu): void {
    const words = cpu.linear.i32;
    const at = (cpu.base + Cell.PC) >>> 2;
    const low = words[at]!;
    const { tlb } = cpu.mmu;
    const entry = tlb.find(TlbKind.fetch, low, words[at + 1]!, cpu.fetchContext);
    this.#generated!.pages.decode(cpu, tlb.page[entry]!, low & 0xfff);
  }
}
