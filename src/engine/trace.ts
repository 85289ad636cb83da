/**
 * What an instruction did, for traces: registers that changed and memory it wrote.
 */
import { type Cpu, cellOf, type MemoryWrite } from '../machine/index.js';

const FPCR = cellOf('fpcr');
const FPSR = cellOf('fpsr');

export interface TraceStep {
  /** Instructions executed before this one. */
  readonly step: number;
  readonly pc: bigint;
  readonly insn: number;
  /** `x0`, `sp`, `v0`, `nzcv`, `fpcr`, `fpsr`: new values of registers that changed. */
  readonly registers: Readonly<Record<string, bigint>>;
  readonly memory: readonly MemoryWrite[];
}

/** Remembers the state before one instruction. */
export class StepRecorder {
  readonly #cpu: Cpu;
  readonly #before: bigint[] = [];
  readonly #vectors: bigint[] = [];
  readonly #nzcv: number;
  readonly #fpcr: bigint;
  readonly #fpsr: bigint;
  readonly #memory: MemoryWrite[] = [];

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
    for (let n = 0; n <= 32; n++) this.#before.push(cpu.readX(n));
    for (let n = 0; n < 32; n++) this.#vectors.push(cpu.readV(n));
    this.#nzcv = cpu.nzcv;
    this.#fpcr = cpu.cells.get(FPCR);
    this.#fpsr = cpu.cells.get(FPSR);
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
    for (let n = 0; n < 32; n++) {
      const value = cpu.readV(n);
      if (value !== this.#vectors[n]) registers[`v${n}`] = value;
    }
    if (cpu.nzcv !== this.#nzcv) registers['nzcv'] = BigInt(cpu.nzcv);
    const fpcr = cpu.cells.get(FPCR);
    if (fpcr !== this.#fpcr) registers['fpcr'] = fpcr;
    const fpsr = cpu.cells.get(FPSR);
    if (fpsr !== this.#fpsr) registers['fpsr'] = fpsr;
    return { step, pc, insn: cpu.instruction, registers, memory: this.#memory };
  }
}
