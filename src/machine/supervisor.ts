/**
 * The seam between the machine and the kernel in TypeScript.
 *
 * A machine with a supervisor does the architected exception entry to the supervisor's level (ESR, FAR,
 * ELR, SPSR and PSTATE are set, the PC is the vector's), tells the supervisor, and the run stops with
 * `supervisor` instead of executing the vector. The kernel does its work in its own time and resumes the
 * guest with `cpu.exceptionReturn()` and a new run. Without one, exceptions vector into guest code.
 */
import type { Cpu } from './cpu/cpu.js';

export interface Supervisor {
  /** An exception was taken to EL1 or EL2. Must not throw. */
  exceptionTaken(cpu: Cpu, targetEL: 1 | 2): void;
}
