/**
 * What an instruction did, for traces: registers that changed and memory it wrote.
 */
import type { Cpu, MemoryWrite } from '../machine/index.js';

export interface TraceStep {
  /** Instructions executed before this one. */
  readonly step: number;
  readonly pc: bigint;
  readonly insn: number;
  /** `x0`, `sp`, `nzcv`: new values of registers that changed. */
  readonly registers: Readonly<Record<string, bigint>>;
  readonly memory: readonly MemoryWrite[];
}

/** Remembers the state before one instruction. */
export class StepRecorder {
  readonly #cpu: Cpu;
  readonly #before: bigint[] = [];
  readonly #nzcv: number;
  readonly #memory: MemoryWrite[] = [];

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
    for (let n = 0; n <= 32; n++) this.#before.push(cpu.readX(n));
    this.#nzcv = cpu.nzcv;
    cpu.access.onWrite = (write) => this.#memory.push(write);
  }

  cancel(): void {
    this.#cpu.access.onWrite = undefined;
  }

  finish(step: number, pc: bigint): TraceStep {
    const cpu = this.#cpu;
    this.cancel();
    const registers: Record<string, bigint> = {};
    for (let n = 0; n <= 32; n++) {
      if (n === 31) continue;
      const value = cpu.readX(n);
      if (value !== this.#before[n]) registers[n === 32 ? 'sp' : `x${n}`] = value;
    }
    if (cpu.nzcv !== this.#nzcv) registers['nzcv'] = BigInt(cpu.nzcv);
    return { step, pc, insn: cpu.instruction, registers, memory: this.#memory };
  }
}
