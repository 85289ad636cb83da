/**
 * The instruction trace: one JSON object a line, written as it comes.
 */
import { disassemble } from '../../isa/index.js';
import { hex } from '../base/index.js';
import type { TraceStep } from '../engine/index.js';
import type { CommandIo } from './command.js';

/** Characters held back before they go to the file. */
const CHUNK = 1 << 20;

export class InstructionTrace {
  readonly #path: string;
  readonly #io: CommandIo;
  #lines: string[] = [];
  #held = 0;
  #begun = false;

  constructor(path: string, io: CommandIo) {
    this.#path = path;
    this.#io = io;
  }

  add(step: TraceStep): void {
    const registers = Object.entries(step.registers).map(([name, value]) => [name, hex(value)]);
    const memory = step.memory.map((w) => ({ va: hex(w.va), bytes: w.bytes, value: hex(w.value) }));
    const line = JSON.stringify({
      step: step.step,
      pc: hex(step.pc),
      insn: (step.insn >>> 0).toString(16).padStart(8, '0'),
      asm: disassemble(step.insn, { pc: step.pc }),
      writes: { ...Object.fromEntries(registers), ...(memory.length > 0 ? { memory } : {}) },
    });
    this.#lines.push(line);
    this.#held += line.length;
    if (this.#held >= CHUNK) this.flush();
  }

  /** Everything so far is in the file afterwards, which exists even if nothing ran. */
  flush(): void {
    const text = this.#lines.length === 0 ? '' : `${this.#lines.join('\n')}\n`;
    if (this.#begun && this.#io.appendFile !== undefined) this.#io.appendFile(this.#path, text);
    else this.#io.writeFile(this.#path, text);
    this.#begun = true;
    this.#lines = [];
    this.#held = 0;
  }
}
