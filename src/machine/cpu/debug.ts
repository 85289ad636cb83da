/**
 * Self-hosted debug of one CPU: software step, hardware breakpoints, watchpoints.
 *
 * Nothing of it costs anything while it is off. Step and breakpoints make the CPU ask to be looked at
 * before every instruction (`Cpu.service`); a page with a watchpoint has no host offset in the TLB, so
 * that each access to it takes the long way and is compared there.
 *
 * Breakpoints match addresses (BT 0, or 1 linked to a CONTEXTIDR_EL1 match) and CONTEXTIDR_EL1 (BT 2);
 * types that match VMIDs do not match. A breakpoint is found before the fetch of its instruction is
 * tried.
 *
 * Ref. DDI 0487, D2.4 (routing and masking), D2.8 (breakpoints), D2.9 (watchpoints), D2.11 (software
 * step); J1 AArch64.GenerateDebugExceptionsFrom, AArch64.StateMatch, DebugExceptionReturnSS.
 */
import { type ExceptionLevel, HCR } from '../../../isa/index.js';
import type { Cpu } from './cpu.js';
import { ExceptionClass, GuestException, ISS_WNR } from './exception.js';
import { cellOf } from './system-cells.js';

const MDSCR_EL1 = cellOf('mdscr_el1');
const MDCR_EL2 = cellOf('mdcr_el2');
const MDCR_EL3 = cellOf('mdcr_el3');
const OSLSR_EL1 = cellOf('oslsr_el1');
const CONTEXTIDR_EL1 = cellOf('contextidr_el1');
const BREAKPOINTS = Array.from({ length: 6 }, (_, n) => ({
  value: cellOf(`dbgbvr${n}_el1`),
  control: cellOf(`dbgbcr${n}_el1`),
}));
const WATCHPOINTS = Array.from({ length: 4 }, (_, n) => ({
  value: cellOf(`dbgwvr${n}_el1`),
  control: cellOf(`dbgwcr${n}_el1`),
}));

/** Cells whose change may turn something on or off. */
export const DEBUG_CELLS: ReadonlySet<number> = new Set([
  MDSCR_EL1,
  MDCR_EL2,
  MDCR_EL3,
  OSLSR_EL1,
  CONTEXTIDR_EL1,
  ...[...BREAKPOINTS, ...WATCHPOINTS].flatMap((p) => [p.value, p.control]),
]);

/** MDSCR_EL1. */
const SS = 0;
const KDE = 13;
const MDE = 15;
/** MDCR_EL2.TDE, MDCR_EL3.SDD. */
const TDE = 8;
const SDD = 16;
/** The debug event's fault status code. */
const DEBUG_STATUS = 0x22;
const ISS_STEP_VALID = 1 << 24;
const ISS_STEP_EXCLUSIVE = 1 << 6;

/** Bytes that a watchpoint watches, 56 bits of address. */
interface Watched {
  readonly first: bigint;
  readonly last: bigint;
  readonly loads: boolean;
  readonly stores: boolean;
  readonly control: number;
}

const ADDRESS_BITS = 56;

export class DebugUnit {
  readonly #cpu: Cpu;
  /** The watchpoints that are on; their pages have no host offsets. */
  #watched: readonly Watched[] = [];
  /** The instruction that is being executed is the one a software step lets through. */
  #stepping = false;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  /** MDSCR_EL1 turns on something that has to be looked at. */
  get isOn(): boolean {
    const { cells } = this.#cpu;
    return cells.bit(MDSCR_EL1, SS) || cells.bit(MDSCR_EL1, MDE);
  }

  /** Where debug exceptions go. */
  get target(): 1 | 2 {
    const cpu = this.#cpu;
    return cpu.el2Enabled && (cpu.cells.bit(MDCR_EL2, TDE) || cpu.hcrBit(HCR.TGE)) ? 2 : 1;
  }

  /** AArch64.GenerateDebugExceptionsFrom. `masked`: PSTATE.D. */
  enabledFrom(el: ExceptionLevel, masked: boolean): boolean {
    const cpu = this.#cpu;
    if (cpu.cells.bit(OSLSR_EL1, 1)) return false;
    if (!cpu.isNonSecure && cpu.cells.bit(MDCR_EL3, SDD)) return false;
    const { target } = this;
    return el === target ? cpu.cells.bit(MDSCR_EL1, KDE) && !masked : el < target;
  }

  get #enabled(): boolean {
    const { el, daif } = this.#cpu.pstate;
    return this.enabledFrom(el, (daif & 8) !== 0);
  }

  /** PSTATE.SS after an exception return to `el` with this SPSR. Ref. DebugExceptionReturnSS. */
  stepAfterReturn(from: ExceptionLevel, fromMasked: boolean, el: ExceptionLevel, spsr: number): number {
    if (!this.#cpu.cells.bit(MDSCR_EL1, SS)) return 0;
    const toMasked = ((spsr >>> 9) & 1) === 1;
    if (this.enabledFrom(from, fromMasked) || !this.enabledFrom(el, toMasked)) return 0;
    return (spsr >>> 21) & 1;
  }

  /** A register of DEBUG_CELLS was written. */
  registersChanged(): void {
    const { cells, mmu } = this.#cpu;
    const before = this.#watched.length;
    const isOn = cells.bit(MDSCR_EL1, MDE) && !cells.bit(OSLSR_EL1, 1);
    this.#watched = isOn ? WATCHPOINTS.flatMap((w) => this.#decode(w.value, w.control)) : [];
    if (before + this.#watched.length > 0) mmu.flushAll();
    this.#cpu.attention();
  }

  #decode(value: number, control: number): readonly Watched[] {
    const { cells } = this.#cpu;
    if (!cells.bit(control, 0)) return [];
    const mask = cells.field(control, 28, 24);
    const select = cells.field(control, 12, 5);
    const at = BigInt.asUintN(ADDRESS_BITS, cells.get(value) & ~3n);
    const ways = cells.field(control, 4, 3);
    const rest = { loads: (ways & 1) !== 0, stores: (ways & 2) !== 0, control };
    if (mask >= 3) {
      const size = 1n << BigInt(mask);
      const first = at - (at % size);
      return [{ first, last: first + size - 1n, ...rest }];
    }
    const bytes = (at & 4n) === 0n ? select : select & 15;
    if (mask !== 0 || bytes === 0) return [];
    // The bytes selected are one run, as the architecture wants them.
    const low = 31 - Math.clz32(bytes & -bytes);
    const high = 31 - Math.clz32(bytes);
    return [{ first: at + BigInt(low), last: at + BigInt(high), ...rest }];
  }

  /** Whether the 4 KiB page of a virtual address has watched bytes; the address in halves. */
  isPageWatched(low: number, high: number): boolean {
    if (this.#watched.length === 0) return false;
    const page = (BigInt(high & 0xff_ffff) << 32n) | BigInt((low & ~0xfff) >>> 0);
    return this.#watched.some((w) => w.first < page + 4096n && w.last >= page);
  }

  /** AArch64.StateMatch for a control register's SSC, HMC and PxC at `el`. */
  #stateMatches(control: number, pxcLow: number, el: ExceptionLevel): boolean {
    const cpu = this.#cpu;
    const ssc = cpu.cells.field(control, 15, 14);
    const hmc = cpu.cells.bit(control, 13);
    const pxc = cpu.cells.field(control, pxcLow + 1, pxcLow);
    const isSecure = !cpu.isNonSecure;
    if (ssc === 1 && isSecure) return false;
    if (ssc === 2 && !isSecure) return false;
    if (ssc === 3 && hmc && isSecure) return false;
    if (el === 3) return hmc && (ssc & 1) === 0;
    if (el === 2) return (hmc && !(ssc === 2 && pxc === 0)) || ssc === 3;
    return el === 1 ? (pxc & 1) !== 0 : (pxc & 2) !== 0;
  }

  /** CONTEXTIDR_EL1 is what breakpoint `n` of type `type` wants. */
  #contextMatches(n: number, type: number): boolean {
    const { cells } = this.#cpu;
    const breakpoint = BREAKPOINTS[n];
    if (breakpoint === undefined || n < 4 || !cells.bit(breakpoint.control, 0)) return false;
    return (
      cells.field(breakpoint.control, 23, 20) === type &&
      cells.field(breakpoint.value, 31, 0) === cells.field(CONTEXTIDR_EL1, 31, 0)
    );
  }

  #breakpointMatches(n: number, pc: bigint): boolean {
    const { cells, pstate } = this.#cpu;
    const { value, control } = BREAKPOINTS[n]!;
    if (!cells.bit(control, 0) || !this.#stateMatches(control, 1, pstate.el)) return false;
    const type = cells.field(control, 23, 20);
    if (type === 2) return this.#contextMatches(n, 2);
    if (type > 1 || cells.field(control, 8, 5) === 0) return false;
    if (BigInt.asUintN(49, cells.get(value) & ~3n) !== BigInt.asUintN(49, pc)) return false;
    return type === 0 || this.#contextMatches(cells.field(control, 19, 16), 3);
  }

  /** Before the next instruction: the step exception that is due, if any. */
  pendingStep(): GuestException | undefined {
    const cpu = this.#cpu;
    const stepped = this.#stepping;
    this.#stepping = false;
    if (!cpu.cells.bit(MDSCR_EL1, SS) || cpu.pstate.ss === 1 || !this.#enabled) return undefined;
    // EX: the instruction was a Load-Exclusive.
    const exclusive = stepped && (cpu.instruction & 0x3f40_0000) === 0x0840_0000;
    const iss = (stepped ? ISS_STEP_VALID : 0) | (exclusive ? ISS_STEP_EXCLUSIVE : 0) | DEBUG_STATUS;
    return new GuestException(ExceptionClass.SoftwareStep, iss, { target: this.target });
  }

  /** After that and interrupts: the breakpoint that is met, if any. Lets one instruction through a step. */
  beforeInstruction(): GuestException | undefined {
    const { cells, pstate, pc } = this.#cpu;
    if (!this.#enabled) return undefined;
    if (cells.bit(MDSCR_EL1, MDE)) {
      for (let n = 0; n < BREAKPOINTS.length; n++) {
        if (this.#breakpointMatches(n, pc)) {
          return new GuestException(ExceptionClass.Breakpoint, DEBUG_STATUS, { target: this.target });
        }
      }
    }
    if (cells.bit(MDSCR_EL1, SS) && pstate.ss === 1) {
      pstate.ss = 0;
      this.#stepping = true;
    }
    return undefined;
  }

  /** The stepped instruction raised an exception and was not executed: its step is still to come. */
  stepNotDone(): void {
    if (this.#stepping) this.#cpu.pstate.ss = 1;
    this.#stepping = false;
  }

  /** A data access of `bytes` bytes is about to be done. Throws the watchpoint exception. */
  checkAccess(va: bigint, bytes: number, isLoad: boolean, isStore: boolean, user: boolean): void {
    if (this.#watched.length === 0 || !this.#enabled) return;
    const first = BigInt.asUintN(ADDRESS_BITS, va);
    const last = first + BigInt(bytes - 1);
    for (const w of this.#watched) {
      if (w.first > last || w.last < first) continue;
      if (!((w.loads && isLoad) || (w.stores && isStore))) continue;
      const linked = this.#cpu.cells.bit(w.control, 20);
      if (linked && !this.#contextMatches(this.#cpu.cells.field(w.control, 19, 16), 3)) continue;
      if (!this.#stateMatches(w.control, 1, user ? 0 : this.#cpu.pstate.el)) continue;
      const at = w.first > first ? va + (w.first - first) : va;
      const iss = DEBUG_STATUS | (isStore && w.stores ? ISS_WNR : 0);
      throw new GuestException(ExceptionClass.Watchpoint, iss, { vaddress: at, target: this.target });
    }
  }
}
