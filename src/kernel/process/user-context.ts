/**
 * Moving threads' registers between CPUs and threads.
 *
 * A thread's registers stay in its CPU across system calls and faults, and after them until another
 * thread runs there: the thread knows which `UserCpu` has them. Who wants to see or change the registers of a
 * thread asks `registersOf`, which brings them out of whichever CPU they are in; a thread that stopped in user
 * space did so by an interrupt, so that they are always as an exception leaves them.
 *
 * Ref. arch/arm64/kernel/process.c (__switch_to), arch/arm64/kernel/fpsimd.c (there without the lazy
 * restore per CPU), arch/arm64/kernel/mte.c (mte_thread_switch).
 */
import { type Cpu, CpuLayout, cellOf } from '../../machine/index.js';
import type { Contexts } from '../contexts/index.js';
import { KEY_REGISTERS, type PointerAuthKeys } from './pointer-auth-keys.js';
import { type HardwareDebug, type HardwarePoint, NO_HARDWARE_DEBUG } from './ptrace-state.js';
import { resolveTcf0, type TaggedAddressControl, TCF0, type Tcf0 } from './tagged-address-control.js';
import type { Thread } from './thread.js';

/** What the CPU holds for a thread while the thread runs. */
export interface UserRegisters {
  /** X0..X30. */
  readonly x: BigUint64Array;
  sp: bigint;
  pc: bigint;
  /** SPSR_EL1 as it returns to EL0. */
  pstate: bigint;
  /** TPIDR_EL0. */
  tls: bigint;
  /** V0..V31, low half first. */
  readonly v: BigUint64Array;
  fpcr: bigint;
  fpsr: bigint;
}

export function newRegisters(): UserRegisters {
  return {
    x: new BigUint64Array(31),
    sp: 0n,
    pc: 0n,
    pstate: 0n,
    tls: 0n,
    v: new BigUint64Array(64),
    fpcr: 0n,
    fpsr: 0n,
  };
}

export function copyRegisters(from: UserRegisters, to: UserRegisters): void {
  to.x.set(from.x);
  to.v.set(from.v);
  to.sp = from.sp;
  to.pc = from.pc;
  to.pstate = from.pstate;
  to.tls = from.tls;
  to.fpcr = from.fpcr;
  to.fpsr = from.fpsr;
}

const ELR_EL1 = cellOf('elr_el1');
const SPSR_EL1 = cellOf('spsr_el1');
const FPCR = cellOf('fpcr');
const FPSR = cellOf('fpsr');
const TPIDR_EL0 = cellOf('tpidr_el0');
const SCTLR_TCF0_SHIFT = 38n;
/** MDSCR_EL1: software step, breakpoints and watchpoints. */
const MDSCR_SS = 1n;
const MDSCR_MDE = 1n << 15n;
/** ID_AA64DFR0_EL1.BRPs and WRPs, plus one. */
const BREAKPOINTS = 6;
const WATCHPOINTS = 4;
const GCR_RRND = 1n << 16n;

interface RegisterViews {
  /** What they are views of. */
  readonly memory: BigUint64Array;
  readonly x: BigUint64Array;
  readonly v: BigUint64Array;
}

/** User space on one CPU. */
export class UserCpu {
  readonly cpu: Cpu;
  /** /sys/devices/system/cpu/cpuN/mte_tcf_preferred. */
  preferred: Tcf0 = TCF0.ASYNC;
  readonly #hasFp: boolean;
  readonly #hasPac: boolean;
  #keys: PointerAuthKeys | undefined;
  #views: RegisterViews | undefined;
  /** Whose registers are in the CPU. */
  #owner: Thread | undefined;
  /** Whose tables and control the CPU was given last. */
  #mm: Thread['process']['mm'] | undefined;
  #control: TaggedAddressControl | undefined;
  #controlPreferred: Tcf0 = TCF0.ASYNC;
  /** What MDSCR_EL1 and the debug registers hold. */
  #monitor = 0n;
  #debug: HardwareDebug = NO_HARDWARE_DEBUG;

  constructor(cpu: Cpu, hasFp: boolean, hasPac: boolean) {
    this.cpu = cpu;
    this.#hasFp = hasFp;
    this.#hasPac = hasPac;
  }

  /** Before EL0 runs: the CPU holds what is the thread's. */
  enter(thread: Thread): void {
    const { cpu } = this;
    if (this.#owner !== thread) {
      thread.registersIn?.release();
      this.release();
      this.#owner = thread;
      thread.registersIn = this;
      this.#load(thread.registers);
      const { process, tid } = thread;
      cpu.memory.tagHistory?.runs(cpu, { space: process.mm.id, process: process.pid, thread: tid });
    }
    if (this.#monitor !== 0n || thread.tracing !== undefined || thread.hardwareDebug !== undefined) {
      this.#enterDebug(thread);
    }
    const { control } = thread;
    if (this.#control !== control || this.#controlPreferred !== this.preferred) {
      this.#control = control;
      this.#controlPreferred = this.preferred;
      // mte_update_sctlr_user and mte_update_gcr_excl.
      const sctlr = cpu.readRegister('sctlr_el1') & ~(3n << SCTLR_TCF0_SHIFT);
      const tcf0 = BigInt(resolveTcf0(control, this.preferred));
      cpu.writeRegister('sctlr_el1', sctlr | (tcf0 << SCTLR_TCF0_SHIFT));
      cpu.writeRegister('gcr_el1', GCR_RRND | BigInt(~control.include & 0xffff));
    }
    const { mm, program } = thread.process;
    if (this.#hasPac && this.#keys !== program.keys) {
      this.#keys = program.keys;
      KEY_REGISTERS.forEach((name, i) => {
        cpu.writeRegister(name, program.keys.values[i]!);
      });
    }
    if (mm !== this.#mm) {
      this.#mm = mm;
      cpu.writeRegister('ttbr0_el1', (BigInt(mm.asid) << 48n) | BigInt(mm.pgd));
    }
  }

  /** MDSCR_EL1 and the breakpoints and watchpoints of a thread that is traced, or was. */
  #enterDebug(thread: Thread): void {
    const { cpu } = this;
    const debug = thread.hardwareDebug ?? NO_HARDWARE_DEBUG;
    const isOn = [...debug.breakpoints, ...debug.watchpoints].some(({ control }) => (control & 1) !== 0);
    const step = thread.tracing?.singleStep === true ? MDSCR_SS : 0n;
    const monitor = step | (isOn ? MDSCR_MDE : 0n);
    if (isOn && this.#debug !== debug) {
      this.#debug = debug;
      this.#writePoints('dbgbvr', 'dbgbcr', debug.breakpoints);
      this.#writePoints('dbgwvr', 'dbgwcr', debug.watchpoints);
    }
    if (monitor === this.#monitor) return;
    this.#monitor = monitor;
    // clear_os_lock().
    cpu.writeRegister('oslar_el1', 0n);
    cpu.writeRegister('mdscr_el1', monitor);
  }

  #writePoints(
    value: 'dbgbvr' | 'dbgwvr',
    control: 'dbgbcr' | 'dbgwcr',
    points: readonly HardwarePoint[],
  ): void {
    const count = value === 'dbgbvr' ? BREAKPOINTS : WATCHPOINTS;
    for (let n = 0; n < count; n++) {
      const point = points[n];
      this.cpu.writeRegister(`${control}${n}_el1`, 0n);
      this.cpu.writeRegister(`${value}${n}_el1`, point?.address ?? 0n);
      this.cpu.writeRegister(`${control}${n}_el1`, BigInt(point?.control ?? 0));
    }
  }

  /** Brings the registers that are here out into their thread, which gets them back at `enter`. */
  release(): void {
    this.#save();
    this.drop();
  }

  /** The registers that are here are of no more use. */
  drop(): void {
    if (this.#owner !== undefined) this.#owner.registersIn = undefined;
    this.#owner = undefined;
  }

  #save(): void {
    const { cpu } = this;
    const registers = this.#owner?.registers;
    if (registers === undefined) return;
    const views = this.#viewsOf();
    registers.x.set(views.x);
    registers.sp = cpu.spOf(0);
    registers.pc = cpu.cells.get(ELR_EL1);
    registers.pstate = cpu.cells.get(SPSR_EL1);
    registers.tls = cpu.cells.get(TPIDR_EL0);
    if (!this.#hasFp) return;
    registers.v.set(views.v);
    registers.fpcr = cpu.cells.get(FPCR);
    registers.fpsr = cpu.cells.get(FPSR);
  }

  #load(registers: UserRegisters): void {
    const { cpu } = this;
    const views = this.#viewsOf();
    views.x.set(registers.x);
    cpu.setSpOf(0, registers.sp);
    cpu.cells.set(ELR_EL1, registers.pc);
    cpu.cells.set(SPSR_EL1, registers.pstate);
    cpu.cells.set(TPIDR_EL0, registers.tls);
    if (!this.#hasFp) return;
    views.v.set(registers.v);
    if (cpu.cells.get(FPCR) !== registers.fpcr) cpu.writeRegister('fpcr', registers.fpcr);
    if (cpu.cells.get(FPSR) !== registers.fpsr) cpu.writeRegister('fpsr', registers.fpsr);
  }

  /** Views of the CPU's registers; made anew when the linear memory has grown. */
  #viewsOf(): RegisterViews {
    const { u64 } = this.cpu.linear;
    let views = this.#views;
    if (views?.memory !== u64) {
      const x = (this.cpu.base + CpuLayout.X) / 8;
      const v = (this.cpu.base + CpuLayout.V) / 8;
      views = { memory: u64, x: u64.subarray(x, x + 31), v: u64.subarray(v, v + 64) };
      this.#views = views;
    }
    return views;
  }
}

/** User space on all CPUs. */
export class UserCpus {
  readonly all: readonly UserCpu[];
  readonly #contexts: Contexts;

  constructor(cpus: readonly Cpu[], contexts: Contexts, hasFp: boolean, hasPac: boolean) {
    this.all = cpus.map((cpu) => new UserCpu(cpu, hasFp, hasPac));
    this.#contexts = contexts;
  }

  /** The CPU that the kernel is running on. */
  get here(): UserCpu {
    return this.all[this.#contexts.current.cpu]!;
  }

  get cpu(): Cpu {
    return this.here.cpu;
  }

  /** The thread's registers, brought out of the CPU they are in; it gets them back at `enter`. */
  registersOf(thread: Thread): UserRegisters {
    thread.registersIn?.release();
    return thread.registers;
  }

  /** SP, without bringing the rest out. */
  stackPointerOf({ registersIn, registers }: Thread): bigint {
    return registersIn === undefined ? registers.sp : registersIn.cpu.spOf(0);
  }

  /** X0 of a thread that is between system calls' entry and exit. */
  setResult(thread: Thread, value: bigint): void {
    if (thread.registersIn === undefined) thread.registers.x[0] = value;
    else thread.registersIn.cpu.writeX(0, value);
  }

  /** The thread's registers are of no more use: it has ended, or begins a new program. */
  forget(thread: Thread): void {
    thread.registersIn?.drop();
  }
}
