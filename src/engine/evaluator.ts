/**
 * The evaluator: fetch, decode once, run, one instruction after the other.
 *
 * Straightforward on purpose: it is the oracle of the generated engines and what debuggers and traces
 * use. What makes it quick enough is that a word is decoded once, that a page is translated once while
 * execution stays in it, and that nothing on the way allocates but values.
 *
 * Decoded records are kept for each page of host memory and compared with the word in memory at every
 * fetch, so that self-modifying code, stores of the kernel and page migration need no invalidation.
 */
import { SCTLR } from '../../isa/index.js';
import {
  type Cpu,
  CpuLayout,
  type Engine,
  EntryFlag,
  ExceptionClass,
  FaultStatus,
  GuestException,
  type Machine,
  OutOfHostMemory,
  type StopReason,
  TLB_ENTRY_BYTES,
  TlbKind,
} from '../machine/index.js';
import { EvaluatorBuilder } from './evaluator-builder.js';
import { type Predecoded, Predecoder } from './predecode.js';
import { StepRecorder, type TraceStep } from './trace.js';

/** Pages whose records are kept; beyond it all are dropped. */
const MOST_PAGES = 4096;

export interface EvaluatorOptions {
  /** Called after each instruction. Slow. */
  readonly onStep?: (step: TraceStep) => void;
  /** For its statistics: why no other engine runs. */
  readonly note?: string;
}

/** What the current page of instructions is. */
interface FetchPage {
  /** Host offset of the page's first byte; -1 where each word is fetched through the memory system. */
  host: number;
  /** Physical address of the page. */
  pa: number;
  /** Fetches may come out of a modelled cache: SCTLR_ELx.I, and memory that is cacheable. */
  cacheable: boolean;
  records: (Predecoded | undefined)[];
}

export class Evaluator implements Engine {
  readonly name = 'evaluate';
  readonly statistics: { readonly note?: string };
  readonly #builders: readonly EvaluatorBuilder[];
  readonly #predecoder: Predecoder;
  readonly #pages = new Map<number, (Predecoded | undefined)[]>();
  readonly #onStep: ((step: TraceStep) => void) | undefined;

  constructor(machine: Machine, options: EvaluatorOptions = {}) {
    this.#builders = machine.cpus.map((cpu) => new EvaluatorBuilder(cpu));
    const features: ReadonlySet<string> = machine.features;
    this.#predecoder = new Predecoder((feature) => features.has(feature));
    this.#onStep = options.onStep;
    this.statistics = options.note === undefined ? {} : { note: options.note };
  }

  /** The record of a word: for tools that ask what would run. */
  decodeWord(word: number): Predecoded {
    return this.#predecoder.get(word >>> 0);
  }

  run(cpu: Cpu, maxInstructions: number): StopReason {
    const builder = this.#builders[cpu.index]!;
    cpu.stop = undefined;
    const end = cpu.steps + maxInstructions;
    // Faults of the fetch itself count against the limit: a vector that faults must not hang us.
    let wasted = 0;
    while (cpu.steps + wasted < end) {
      try {
        while (cpu.steps >= cpu.deadline) {
          cpu.service();
          if (cpu.stop !== undefined) return cpu.stop;
        }
        if (this.#onStep === undefined) this.#burst(cpu, builder, end - wasted);
        else this.#traced(cpu, builder, this.#onStep);
        const { raised } = builder;
        if (raised !== undefined) {
          builder.raised = undefined;
          cpu.takeException(raised, builder.pc());
        }
      } catch (thrown) {
        if (thrown instanceof GuestException) {
          if (builder.fetching) wasted++;
          cpu.takeException(thrown, builder.fetching ? cpu.pc : builder.pc());
        } else if (thrown instanceof OutOfHostMemory) {
          builder.syncPc();
          return { kind: 'halted', message: thrown.message };
        } else {
          throw thrown;
        }
      }
      const stop = cpu.stop as StopReason | undefined;
      if (stop !== undefined) return stop;
    }
    return { kind: 'limit' };
  }

  #traced(cpu: Cpu, builder: EvaluatorBuilder, onStep: (step: TraceStep) => void): void {
    const recorder = new StepRecorder(cpu);
    const before = cpu.steps;
    const pc = cpu.pc;
    try {
      this.#burst(cpu, builder, cpu.steps + 1);
    } finally {
      if (cpu.steps > before) onStep(recorder.finish(before, pc));
      else recorder.cancel();
    }
  }

  /** Runs until `end` steps, a stop, or something that changes where instructions come from. */
  #burst(cpu: Cpu, b: EvaluatorBuilder, end: number): void {
    const linear = cpu.linear;
    const pstate = cpu.pstate;
    while (cpu.steps < end && cpu.steps < cpu.deadline) {
      const fetch = this.#enterPage(cpu, b);
      const { host, pa, cacheable, records } = fetch;
      b.resynchronize = false;
      for (;;) {
        const offset = b.offset;
        const word =
          host >= 0 ? linear.u32[(host + offset) >>> 2]! : cpu.memory.fetch(pa + offset, cacheable);
        let record = records[offset >>> 2];
        if (record === undefined || record.word !== word) {
          record = this.#predecoder.get(word);
          records[offset >>> 2] = record;
        }
        cpu.steps++;
        cpu.instruction = word;
        b.next = offset + 4;
        if (pstate.btype !== 0) {
          const btype = pstate.btype;
          if (b.guarded && !acceptsBranch(cpu, word, btype)) {
            throw new GuestException(ExceptionClass.BranchTarget, btype);
          }
          pstate.btype = 0;
        }
        record.execute(b, record.operands, record.statics);
        const next = b.next;
        if (next >= 0 && next < 4096) {
          b.offset = next;
          if (b.resynchronize || cpu.steps >= end || cpu.steps >= cpu.deadline || cpu.stop !== undefined) {
            b.syncPc();
            break;
          }
        } else {
          if (b.raised !== undefined) return;
          cpu.pc = next < 0 ? b.target : BigInt.asUintN(64, b.page + 4096n);
          break;
        }
      }
      if (cpu.stop !== undefined) return;
    }
  }

  /** Translates the page of cpu.pc for fetches. Throws the instruction abort, PC alignment or illegal state. */
  #enterPage(cpu: Cpu, b: EvaluatorBuilder): FetchPage {
    b.fetching = true;
    const { pc, linear } = cpu;
    const at = (cpu.base + CpuLayout.PC) >>> 2;
    const low = linear.i32[at]!;
    const high = linear.i32[at + 1]!;
    if ((low & 3) !== 0) throw new GuestException(ExceptionClass.PCAlignment, 0, { vaddress: pc });
    if (cpu.pstate.il === 1) throw new GuestException(ExceptionClass.IllegalState, 0);
    const { tlb } = cpu.mmu;
    const entry = cpu.mmu.translate(
      cpu.config,
      cpu.fetchContext,
      pc,
      low,
      high,
      TlbKind.fetch,
      cpu.isUser,
      false,
      0,
    );
    const pa = tlb.page[entry]!;
    if (!cpu.memory.isBacked(pa, 4)) {
      throw new GuestException(ExceptionClass.InstructionAbort, FaultStatus.SynchronousExternal, {
        vaddress: pc,
      });
    }
    const w = (tlb.base + entry * TLB_ENTRY_BYTES) >>> 2;
    const words = linear.i32;
    const isDirect = words[w + 1] === tlb.keyHigh[entry] && words[w] === tlb.keyLow[entry];
    const host = isDirect ? ((low & ~0xfff) + words[w + 2]!) >>> 0 : -1;
    b.guarded = (tlb.flags[entry]! & EntryFlag.guarded) !== 0;
    b.goTo(low, high);
    b.fetching = false;
    const cacheable = (tlb.flags[entry]! & EntryFlag.uncached) === 0 && cpu.cells.bit(cpu.sctlr, SCTLR.I);
    return { host, pa, cacheable, records: this.#recordsOf(pa) };
  }

  #recordsOf(pa: number): (Predecoded | undefined)[] {
    const known = this.#pages.get(pa);
    if (known !== undefined) return known;
    if (this.#pages.size >= MOST_PAGES) this.#pages.clear();
    const records = new Array<Predecoded | undefined>(1024).fill(undefined);
    this.#pages.set(pa, records);
    return records;
  }
}

/**
 * Whether an instruction may be the target of a branch of this BTYPE in a guarded page.
 * Ref. DDI 0487, D8.4.5; BTI, PACIASP, PACIBSP, BRK and HLT.
 */
function acceptsBranch(cpu: Cpu, word: number, btype: number): boolean {
  if ((word & 0xffe0001f) >>> 0 === 0xd4200000 || (word & 0xffe0001f) >>> 0 === 0xd4400000) return true;
  if ((word & 0xfffff01f) >>> 0 !== 0xd503201f) return false;
  const hint = (word >>> 5) & 127;
  // BTI c, j, jc.
  if (hint === 34) return btype !== 3;
  if (hint === 36) return btype !== 2;
  if (hint === 38) return true;
  // PACIASP, PACIBSP: as BTI c, or jc where SCTLR_ELx.BT is 0.
  if (hint === 25 || hint === 27) {
    return btype !== 3 || !cpu.cells.bit(cpu.sctlr, cpu.pstate.el === 0 ? 35 : 36);
  }
  return false;
}
