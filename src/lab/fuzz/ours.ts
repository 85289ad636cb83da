/**
 * Our side of the fuzzer: a machine at EL0 over the same pages as the harness has, and what Linux would
 * have told the process of the exception that ended the sequence.
 *
 * The machine is what qemu-aarch64 7.2 can be compared with: without FEAT_LSE2, which that version lacks,
 * and without SP alignment checks, which no version of it makes.
 *
 * Ref. Linux arch/arm64/mm/fault.c (fault_info), arch/arm64/kernel/traps.c.
 */
import { PA } from '../../base/index.js';
import { createEngine } from '../../engine/index.js';
import { type Cpu, createMachine, type Engine, ExceptionClass, type Machine } from '../../machine/index.js';
import { codeOf, type FuzzCase, type FuzzOutcome, type FuzzSignal } from './case.js';
import {
  CODE,
  CODE_BYTES,
  entryOf,
  FUZZ_FEATURES,
  GRANULES,
  PAGE,
  READONLY,
  READONLY_FILL,
  TAGGED,
  UNTAGGED,
  xorshift,
} from './layout.js';

/** More than a sequence without loops can take. */
const MOST_STEPS = 200;

const DRAM_BASE = 0x4000_0000;
const TAG_BASE = 0x4600_0000;
const TAGGED_SIZE = 0x200_0000;
const LEVEL0 = 0x4700_0000;
const LEVEL1 = 0x4700_1000;
const LEVEL2 = 0x4700_2000;
const LEVEL3 = 0x4700_3000;
const BLOCK = 0x20_0000;

/** AF, inner shareable, EL0, nG-free page descriptors. */
const COMMON = 3n | (1n << 10n) | (3n << 8n) | (1n << 6n);
const READ_ONLY = 1n << 7n;
const NO_EXECUTE = 3n << 53n;
const NORMAL_TAGGED = 1n << 2n;

/** M, C, I, nTWI, nTWE, UCT, UCI, DZE, SPAN, ATA0, ATA; TCF0 is the case's. */
const SCTLR =
  1n |
  (1n << 2n) |
  (1n << 12n) |
  (1n << 14n) |
  (1n << 15n) |
  (5n << 16n) |
  (1n << 23n) |
  (1n << 26n) |
  (3n << 42n);
/** 48-bit lower half, TBI0; EPD1; 48-bit physical addresses. */
const TCR = 16n | (16n << 16n) | (1n << 23n) | (5n << 32n) | (1n << 37n);

export class FuzzMachine {
  readonly #machine: Machine;
  readonly #cpu: Cpu;
  readonly #engine: Engine;
  readonly #page = new Uint32Array(PAGE / 4);

  constructor(engine = 'evaluate') {
    this.#machine = createMachine({
      banks: [{ base: DRAM_BASE, size: 0x800_0000 }],
      tagRanges: [{ memBase: DRAM_BASE, memSize: TAGGED_SIZE, tagBase: TAG_BASE, blockSize: PAGE }],
      features: FUZZ_FEATURES,
      hasEl2: false,
      hasEl3: false,
    });
    this.#cpu = this.#machine.cpu;
    this.#machine.setSupervisor({ exceptionTaken: () => {} });
    this.#engine = createEngine(this.#machine, engine);
    this.#mapPages();
    const { memory } = this.#machine;
    this.#fill(READONLY, READONLY_FILL);
    for (let g = 0; g < GRANULES; g++) memory.writeTag(PA(READONLY + 16 * g), g & 15);
  }

  #mapPages(): void {
    const { memory } = this.#machine;
    const pages: [number, bigint][] = [
      [TAGGED, NORMAL_TAGGED | NO_EXECUTE],
      [UNTAGGED, NO_EXECUTE],
      [READONLY, NORMAL_TAGGED | READ_ONLY | NO_EXECUTE],
    ];
    for (let at = CODE; at < CODE + CODE_BYTES; at += PAGE) pages.push([at, READ_ONLY]);
    // All of it lies in one gigabyte: one table at each level but the last, where each block has its own.
    memory.write64(PA(LEVEL0), BigInt(LEVEL1) | 3n);
    memory.write64(PA(LEVEL1 + 8), BigInt(LEVEL2) | 3n);
    for (const [va, attributes] of pages) {
      const block = Math.floor((va - DRAM_BASE) / BLOCK);
      const table = LEVEL3 + block * PAGE;
      memory.write64(PA(LEVEL2 + block * 8), BigInt(table) | 3n);
      memory.write64(PA(table + ((va / PAGE) & 511) * 8), BigInt(va) | COMMON | attributes);
    }
    const cpu = this.#cpu;
    cpu.writeRegister('mair_el1', 0xf0ffn);
    cpu.writeRegister('tcr_el1', TCR);
    cpu.writeRegister('ttbr0_el1', BigInt(LEVEL0));
    cpu.writeRegister('cpacr_el1', 3n << 20n);
    // EL0VCTEN: Linux lets programs read the virtual counter.
    cpu.writeRegister('cntkctl_el1', 2n);
  }

  /** Fills a page from generator state `from`; gives the state behind it. */
  #fill(at: number, from: number): number {
    let state = from;
    for (let i = 0; i < this.#page.length; i++) {
      state = xorshift(state);
      this.#page[i] = state;
    }
    this.#machine.memory.writeBytes(PA(at), new Uint8Array(this.#page.buffer));
    return state;
  }

  /** Puts the sequences of these cases into their slots, and BRK into all others. */
  load(cases: readonly FuzzCase[]): void {
    this.#machine.memory.writeBytes(PA(CODE), codeOf(cases));
  }

  /** Runs a case that is loaded. */
  run(c: FuzzCase): FuzzOutcome {
    this.#prepare(c);
    const stop = this.#engine.run(this.#cpu, MOST_STEPS);
    return this.#outcome(stop.kind === 'supervisor' ? undefined : stop.kind);
  }

  #prepare(c: FuzzCase): void {
    const cpu = this.#cpu;
    const { memory } = this.#machine;
    const entry = entryOf(c.index);
    this.#fill(UNTAGGED, this.#fill(TAGGED, c.fill));
    c.tags.forEach((tag, g) => {
      memory.writeTag(PA(TAGGED + 16 * g), tag);
    });
    cpu.writeRegister('sctlr_el1', SCTLR | (c.checked ? 1n << 38n : 0n));
    cpu.writeRegister('gcr_el1', (1n << 16n) | BigInt(c.exclude));
    for (const name of ['esr_el1', 'far_el1', 'tpidr_el0', 'fpsr']) cpu.writeRegister(name, 0n);
    cpu.writeRegister('fpcr', BigInt(c.fpcr));
    c.x.forEach((value, n) => {
      cpu.writeX(n, value);
    });
    c.v.forEach((value, n) => {
      cpu.writeV(n, value);
    });
    cpu.nzcv = c.nzcv;
    Object.assign(cpu.pstate, {
      daif: 0,
      il: 0,
      ss: 0,
      pan: 0,
      uao: 0,
      dit: 0,
      ssbs: 0,
      btype: 0,
      tco: c.tco,
    });
    cpu.setLevel(0, 0);
    cpu.sp = c.sp;
    cpu.access.clearExclusive();
    cpu.pc = BigInt(entry);
  }

  #outcome(note: string | undefined): FuzzOutcome {
    const cpu = this.#cpu;
    const { memory } = this.#machine;
    const spsr = cpu.readRegister('spsr_el1');
    const signal = note === undefined ? signalOf(cpu) : undefined;
    return {
      signal,
      ...(note === undefined ? {} : { note }),
      x: Array.from({ length: 31 }, (_, n) => cpu.readX(n)),
      sp: cpu.spOf(0),
      pc: cpu.readRegister('elr_el1'),
      nzcv: Number((spsr >> 28n) & 15n),
      tco: Number((spsr >> 25n) & 1n),
      fpsr: Number(cpu.readRegister('fpsr')),
      fpcr: Number(cpu.readRegister('fpcr')),
      tpidr: cpu.readRegister('tpidr_el0'),
      v: Array.from({ length: 32 }, (_, n) => cpu.readV(n)),
      tags: Uint8Array.from({ length: GRANULES }, (_, g) => memory.readTag(PA(TAGGED + 16 * g))),
      tagged: memory.readBytes(PA(TAGGED), PAGE),
      untagged: memory.readBytes(PA(UNTAGGED), PAGE),
    };
  }
}

/** siginfo codes, from asm-generic/siginfo.h. */
const ILL_ILLOPC = 1;
const TRAP_BRKPT = 1;
const BUS_ADRALN = 1;
const SEGV_MAPERR = 1;
const SEGV_ACCERR = 2;
const SEGV_MTESERR = 9;

/** The signal for the exception that was taken to EL1. */
function signalOf(cpu: Cpu): FuzzSignal | undefined {
  const esr = Number(cpu.readRegister('esr_el1'));
  const far = BigInt.asUintN(56, cpu.readRegister('far_el1'));
  const pc = BigInt.asUintN(56, cpu.readRegister('elr_el1'));
  switch (Math.floor(esr / 2 ** 26)) {
    case ExceptionClass.Uncategorized:
    case ExceptionClass.SystemRegisterTrap:
      return { name: 'SIGILL', code: ILL_ILLOPC, address: pc };
    case ExceptionClass.SoftwareBreakpoint:
      return { name: 'SIGTRAP', code: TRAP_BRKPT, address: pc };
    case ExceptionClass.PCAlignment:
      return { name: 'SIGBUS', code: BUS_ADRALN, address: far };
    case ExceptionClass.InstructionAbort:
    case ExceptionClass.DataAbort: {
      const status = esr & 0x3f;
      if (status === 0x21) return { name: 'SIGBUS', code: BUS_ADRALN, address: far };
      if (status === 0x11) return { name: 'SIGSEGV', code: SEGV_MTESERR, address: far };
      if (status >> 2 === 3) return { name: 'SIGSEGV', code: SEGV_ACCERR, address: far };
      if (status <= 7) return { name: 'SIGSEGV', code: SEGV_MAPERR, address: far };
      return undefined;
    }
    default:
      return undefined;
  }
}
