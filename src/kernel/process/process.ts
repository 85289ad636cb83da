/**
 * A user process: its address space, its saved registers, its MTE control and how it ended.
 *
 * Ref. struct task_struct and struct thread_struct; user_pt_regs of arch/arm64.
 */
import type { VA } from '../../base/index.js';
import type { AddressSpace } from '../mm/index.js';
import type { TagFaultReport } from '../report/index.js';
import type { SignalName } from './abi.js';
import { DEFAULT_CONTROL, type TaggedAddressControl } from './tagged-address-control.js';

/** What the CPU holds for a process while the process does not run. */
export interface UserRegisters {
  /** X0..X30. */
  readonly x: BigUint64Array;
  sp: bigint;
  pc: bigint;
  /** SPSR_EL1 as it returns to EL0. */
  pstate: bigint;
  /** TPIDR_EL0. */
  tls: bigint;
  /** V0..V31 (low halves at even places), FPCR, FPSR. */
  readonly v: BigUint64Array;
  fpcr: bigint;
  fpsr: bigint;
}

/** siginfo of a signal that killed, as far as reports and --strace need it. */
export interface SignalInfo {
  readonly signal: SignalName;
  readonly code: number;
  readonly codeName: string;
  /** si_addr; 0 for asynchronous tag faults. */
  readonly address: bigint;
}

export type ProcessEnd =
  | { readonly kind: 'exited'; readonly status: number }
  | { readonly kind: 'killed'; readonly info: SignalInfo; readonly report?: TagFaultReport };

/** Finds names in the program for reports: `symbol+0x10`. */
export type Symbolizer = (address: bigint) => string | undefined;

export class Process {
  readonly pid: number;
  readonly name: string;
  readonly mm: AddressSpace;
  readonly registers: UserRegisters;
  readonly symbolize: Symbolizer;
  control: TaggedAddressControl = DEFAULT_CONTROL;
  end: ProcessEnd | undefined;

  constructor(pid: number, name: string, mm: AddressSpace, entry: VA, sp: VA, symbolize: Symbolizer) {
    this.pid = pid;
    this.name = name;
    this.mm = mm;
    this.symbolize = symbolize;
    this.registers = {
      x: new BigUint64Array(31),
      sp,
      pc: entry,
      pstate: 0n,
      tls: 0n,
      v: new BigUint64Array(64),
      fpcr: 0n,
      fpsr: 0n,
    };
  }
}
