/**
 * `mtemu fuzz`: random instruction sequences on our CPU and under qemu-aarch64, final states compared.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InstructionClass } from '../../isa/index.js';
import { inputError } from '../base/index.js';
import { ENGINE_NAMES } from '../engine/index.js';
import {
  FUZZ_CLASSES,
  type FuzzResult,
  fuzz,
  fuzzedRows,
  type Oracle,
  QEMU_OPTIONS,
  renderFailure,
} from '../lab/index.js';
import type { Command, CommandIo } from './command.js';
import { choice, type OptionSpecs, parseOptions, text, usageError, wholeNumber } from './options.js';

const QEMU = 'qemu-aarch64-static';
const DEFAULT_CASES = 10_000;
/** Of one program of 1000 cases, milliseconds. */
const TIMEOUT = 60_000;

const HELP = `mtemu fuzz [--seed N] [--cases N] [--case N] [--class CLASS]... [--engine E] [--qemu PROGRAM]

Runs random sequences of instructions from random states on mtemu's CPU and under qemu-aarch64 in user
mode, and compares registers, flags, memory, tags and signals. What is not compared, and why, is listed
at the end. A case that differs is printed with all instructions that do not matter made NOPs.

      --seed N        which cases (default 0)
      --cases N       how many (default ${DEFAULT_CASES}, about a thousand a second)
      --case N        that case alone, as a report numbers it
      --class CLASS   only rows of this class, as 'mtemu isa' names it (repeatable; default all but pauth)
      --engine E      evaluate, interpret, translate or auto; all must give the same
      --qemu PROGRAM  default ${QEMU}

Exit status: 0 no case differed, 1 some did, 2 bad input or no qemu.

Example:
  mtemu fuzz --seed 7 --cases 100000
`;

const OPTIONS: OptionSpecs = {
  seed: { type: 'string' },
  cases: { type: 'string' },
  case: { type: 'string' },
  class: { type: 'string', multiple: true },
  engine: { type: 'string' },
  qemu: { type: 'string' },
};

/** Runs programs under qemu, in a directory that goes with `close`. Throws InputError without qemu. */
export function qemuOracle(program = QEMU): { oracle: Oracle; close(): void } {
  if (spawnSync(program, ['--version'], { stdio: 'ignore' }).status !== 0) {
    throw inputError('FUZZ-QEMU', `'${program}' does not run`, {
      help: 'the Debian package qemu-user-static has it; --qemu names another',
    });
  }
  const directory = mkdtempSync(join(tmpdir(), 'mtemu-fuzz-'));
  const file = join(directory, 'cases');
  return {
    oracle: (elf) => {
      writeFileSync(file, elf);
      chmodSync(file, 0o755);
      return spawnSync(program, [...QEMU_OPTIONS, file], { maxBuffer: 1 << 28, timeout: TIMEOUT }).stdout;
    },
    close: () => rmSync(directory, { recursive: true, force: true }),
  };
}

export const fuzzCommand: Command = {
  name: 'fuzz',
  summary: 'compare random instruction sequences with qemu-aarch64',
  help: HELP,
  run(args: string[], io: CommandIo): number {
    const { values, positionals } = parseOptions('fuzz', OPTIONS, args);
    if (positionals.length > 0) throw usageError('fuzz', `there is nothing to do with '${positionals[0]}'`);
    const seed = wholeNumber('fuzz', values, 'seed') ?? 0;
    const only = wholeNumber('fuzz', values, 'case');
    const cases = wholeNumber('fuzz', values, 'cases', 1) ?? DEFAULT_CASES;
    const engine = choice('fuzz', values, 'engine', ENGINE_NAMES) ?? 'auto';
    const { oracle, close } = qemuOracle(text(values, 'qemu'));
    try {
      const range = only === undefined ? { cases } : { first: only, cases: 1 };
      const result = fuzz({ seed, engine, classes: classesOf(values['class']), ...range }, oracle);
      io.stdout(render(seed, result));
      return result.failures.length === 0 ? 0 : 1;
    } finally {
      close();
    }
  },
};

function classesOf(value: unknown): readonly InstructionClass[] {
  if (!Array.isArray(value)) return FUZZ_CLASSES;
  return value.map((name) => {
    const known = FUZZ_CLASSES.find((c) => c === name);
    if (known === undefined) {
      throw usageError('fuzz', `there is no class '${String(name)}'`, `classes: ${FUZZ_CLASSES.join(', ')}`);
    }
    if (fuzzedRows([known]).length === 0)
      throw usageError('fuzz', `the machine has no row of class '${known}'`);
    return known;
  });
}

function render(seed: number, { compared, skipped, failures, rows }: FuzzResult): string {
  const lines: string[] = [];
  for (const failure of failures) lines.push(...renderFailure(failure), '');
  const instructions = [...rows.values()].reduce((sum, n) => sum + n, 0);
  lines.push(
    `seed ${seed}: ${compared} cases compared (${instructions} instructions of ${rows.size} rows), ${failures.length} differed`,
  );
  for (const [reason, count] of Object.entries(skipped)) lines.push(`not compared, ${count}: ${reason}`);
  return `${lines.join('\n')}\n`;
}
