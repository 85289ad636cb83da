/**
 * `mtemu run --lockstep[=N]`: the program runs under the chosen engine and, beside it, under the evaluator,
 * and the first difference ends the run.
 *
 * What the program writes is the chosen engine's; what it reads, both read. A difference is a defect of
 * the emulator, so the exit status is 125.
 */
import { disassemble } from '../../isa/index.js';
import { hex } from '../base/index.js';
import {
  createEngine,
  type Difference,
  type EngineMaker,
  type LockstepResult,
  type LockstepSide,
  lockstep,
} from '../engine/index.js';
import type { CommandIo } from './command.js';

/** Instructions between comparisons where no number is given. */
export const LOCKSTEP_EVERY = 1000;
/** Comparisons of the CPUs for each comparison of memory, which costs as much as a hundred thousand of them. */
const MEMORY_EVERY = 100_000;
/** Differences named at most. */
const MOST_NAMED = 24;

/** A run that can be paused; gives its exit status at its end. */
export interface PausableRun {
  readonly side: LockstepSide;
  /** Says how it ended, on `io`, and gives the exit status. */
  conclude(io: CommandIo): number;
  /** What `--stats` prints. */
  statistics(): Record<string, unknown>;
}

export interface LockstepRequest {
  /** The engine that is tried. */
  readonly engine: string;
  readonly every: number;
  readonly stats: boolean;
  readonly expired?: () => boolean;
}

/** Standard input, read once and given to every system from its beginning. */
class SharedInput {
  readonly #io: CommandIo;
  readonly #read: Uint8Array[] = [];

  constructor(io: CommandIo) {
    this.#io = io;
  }

  reader(): (count: number) => Uint8Array {
    let next = 0;
    return (count) => {
      this.#read[next] ??= this.#io.stdin?.(count).slice() ?? new Uint8Array();
      return this.#read[next++]!;
    };
  }
}

/** Two 32-bit sums of everything written, and how much it was: enough to see that two outputs differ. */
class Digest {
  #bytes = 0;
  #a = 0x811c_9dc5;
  #b = 0x9e37_79b9;

  add(data: string | Uint8Array): void {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    for (const byte of bytes) {
      this.#a = Math.imul(this.#a ^ byte, 0x0100_0193);
      this.#b = Math.imul((this.#b << 7) | (this.#b >>> 25), 0x85eb_ca6b) ^ byte;
    }
    this.#bytes += bytes.length;
  }

  get text(): string {
    const sum = [this.#a, this.#b].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
    return `${this.#bytes} bytes with the sum ${sum}`;
  }
}

/**
 * Runs both systems that `make` makes, with the engine and the streams it is given, to the end or to the first
 * difference. Gives the exit status.
 */
export function runInLockstep(
  request: LockstepRequest,
  io: CommandIo,
  make: (engine: EngineMaker, io: CommandIo) => PausableRun,
): number {
  const input = new SharedInput(io);
  const runs: PausableRun[] = [];
  const result = lockstep(
    (engine, which) => {
      // Systems that are made again to find a difference are not heard.
      const isHeard = which === 0 && runs.length === 0;
      const written = new Digest();
      const stdout = (data: string | Uint8Array) => {
        written.add(data);
        if (isHeard) io.stdout(data);
      };
      const stderr = (text: string) => {
        if (isHeard) io.stderr(text);
      };
      const run = make(engine, { ...io, stdout, stderr, stdin: input.reader(), stdinNow: undefined });
      if (isHeard) runs.push(run);
      return { ...run.side, output: () => written.text };
    },
    [(machine) => createEngine(machine, request.engine), (machine) => createEngine(machine, 'evaluate')],
    {
      every: request.every,
      memoryEvery: MEMORY_EVERY,
      ...(request.expired === undefined ? {} : { expired: request.expired }),
    },
  );
  const run = runs[0]!;
  const differs = result.differences.length > 0;
  if (differs) report(result, request.engine, io);
  const status = differs ? 125 : run.conclude(io);
  if (request.stats) {
    const comparison = { with: 'evaluate', every: request.every, comparisons: result.comparisons };
    io.stderr(`${JSON.stringify({ ...run.statistics(), lockstep: comparison })}\n`);
  }
  return status;
}

/** The first difference, in words. */
function report(result: LockstepResult, engine: string, io: CommandIo): void {
  const { instruction, steps, differences } = result;
  const where = instruction === undefined ? '' : `, in the instruction at PC ${hex(instruction.pc)}`;
  const lines = [`mtemu: lock-step: ${engine} and evaluate differ after ${steps} instructions${where}`];
  if (instruction === undefined) {
    lines.push('  single instructions agree: what follows is after a stretch of them');
  } else if (instruction.word !== undefined) {
    const { pc, word } = instruction;
    lines.push(`  instruction  ${(word >>> 0).toString(16).padStart(8, '0')}  ${disassemble(word, { pc })}`);
  }
  const width = Math.max(...differences.map((d) => d.what.length));
  const line = ({ what, first, second }: Difference) =>
    `  ${what.padEnd(width)}  ${engine} ${first}, evaluate ${second}`;
  lines.push(...differences.slice(0, MOST_NAMED).map(line));
  if (differences.length > MOST_NAMED) lines.push(`  and ${differences.length - MOST_NAMED} more`);
  io.stderr(`${lines.join('\n')}\n`);
}
