/**
 * `mtemu conform`: runs conformance vectors and says which classes hold.
 */
import { ENGINE_NAMES } from '../engine/index.js';
import { type ConformFailure, type ConformResult, runVectors, type VectorSource } from '../lab/index.js';
import type { Command, CommandIo } from './command.js';
import { choice, type OptionSpecs, parseOptions, text, usageError } from './options.js';

const HELP = `mtemu conform FILE.jsonl... [--engine E] [--only CLASS] [--caches off|model] [--json]

Runs conformance vectors: sets the state each describes, executes its instructions, compares registers,
flags, memory, tags and exceptions with what two independent oracles got.

      --engine E    evaluate, interpret, translate or auto (the default)
      --only CLASS  a family (mte) or a class (mte/irg)
      --caches C    off (the default) or model: with write-back data and tag caches
      --json        one object on stdout

A case is 'unsupported' where it meets an instruction that mtemu does not know.

Exit status: 0 all passed, 1 some failed or were unsupported, 2 bad input.

Example:
  mtemu conform vectors/cpu/mte.jsonl --only mte/irg
`;

const OPTIONS: OptionSpecs = {
  engine: { type: 'string' },
  only: { type: 'string' },
  caches: { type: 'string' },
  json: { type: 'boolean' },
};

/** Differences shown in full. */
const MOST_SHOWN = 10;

export const conformCommand: Command = {
  name: 'conform',
  summary: 'run conformance vectors against the CPU',
  help: HELP,
  run(args: string[], io: CommandIo): number {
    const { values, positionals } = parseOptions('conform', OPTIONS, args);
    if (positionals.length === 0) throw usageError('conform', 'no vector file is given');
    const engine = choice('conform', values, 'engine', ENGINE_NAMES) ?? 'auto';
    const only = text(values, 'only');
    const caches = choice('conform', values, 'caches', ['off', 'model']) === 'model';
    const sources = positionals.map((path) => readVectors(path, io));
    const result = runVectors(sources, { engine, caches, ...(only === undefined ? {} : { only }) });
    if (only !== undefined && result.total === 0) {
      throw usageError('conform', `no vector is of class '${only}'`);
    }
    io.stdout(values['json'] === true ? `${JSON.stringify(result)}\n` : render(result));
    return result.failed + result.unsupported === 0 ? 0 : 1;
  },
};

function readVectors(path: string, io: CommandIo): VectorSource {
  return { name: path, lines: new TextDecoder().decode(io.readFile(path)).split(/\r?\n/) };
}

function render(result: ConformResult): string {
  const lines: string[] = [];
  const classes = Object.keys(result.byClass).sort();
  const width = Math.max(5, ...classes.map((c) => c.length));
  const row = (name: string, passed: unknown, failed: unknown, unsupported: unknown) =>
    `${name.padEnd(width)}  ${String(passed).padStart(7)}  ${String(failed).padStart(7)}  ${String(unsupported).padStart(11)}`;
  lines.push(row('class', 'passed', 'failed', 'unsupported'));
  for (const name of classes) {
    const counts = result.byClass[name]!;
    lines.push(row(name, counts.passed, counts.failed, counts.unsupported));
  }
  lines.push(row('all', result.passed, result.failed, result.unsupported));
  for (const failure of result.failures.slice(0, MOST_SHOWN)) lines.push('', ...renderFailure(failure));
  const hidden = result.failures.length - MOST_SHOWN;
  if (hidden > 0) lines.push('', `and ${hidden} further failures; --json lists them all`);
  return `${lines.join('\n')}\n`;
}

function renderFailure({ id, cls, expected, actual }: ConformFailure): string[] {
  return [
    `case ${id} (${cls}):`,
    ...Object.keys(expected).map((name) => `  ${name}: expected ${expected[name]}, got ${actual[name]}`),
  ];
}
