/**
 * `mtemu scenario`: the known bugs and races of dynamic tag storage reuse, each told as a small story on
 * the kernel's memory manager and a real memory system.
 */
import { inputError, SourceText, suggest } from '../base/index.js';
import { type PageSize, parseSchedule, policies } from '../kernel/index.js';
import {
  DEFAULT_SETTINGS,
  findScenario,
  formatScript,
  parseScript,
  type RunOptions,
  runScenario,
  runScript,
  type Scenario,
  type ScriptVerdict,
  scenarios,
  searchScripts,
  type Verdict,
  waitingScenarios,
} from '../lab/index.js';
import type { Command, CommandIo } from './command.js';
import {
  choice,
  type OptionSpecs,
  type ParsedOptions,
  parseOptions,
  text,
  usageError,
  wholeNumber,
} from './options.js';

const HELP = `Usage: mtemu scenario list [--json]
       mtemu scenario run [ID...] [--policy P] [--seed N] [--runs N] [--schedule S] [--fail OP:N] [--json]
       mtemu scenario random [--policy P] [--seed N] [--runs N] [--page-size S] [--block-size B]
                             [--swap-pages N] [-o FILE] [--json]
       mtemu scenario replay FILE [--policy P] [--json]

Tells the reported (R1...) and found (F1...) problems of the tag storage series, and says whether the
policy survives them. Without an ID all are run. A race is searched: its orders of steps are tried one
after another, and the one that breaks is printed as a schedule that brings it back.

random runs programs of mmap, mprotect, fork, loads, stores, STG, migration, reclaim, pins and memory pressure,
some at the same time, and compares every byte and tag with a shadow after each command. What fails is shrunk,
and printed as a script (or written to FILE), which replay runs again.

  --policy P     cma (default); cma-v2-posted or cma-v3-posted: the series as posted, defects included; static
  --seed N       all randomness (default 0)
  --runs N       orders tried for a race; random programs (default 20)
  --schedule S   one race, in exactly this order
  --fail OP:N    the N-th call of an operation of the kernel fails: page_alloc:7, migrate:1, slab, xa_store, ...
  --json         {policy, scenarios: [{id, title, held, invariant, step, detail}]}

Exit status 0 if all held, 1 if not.

Examples:
  mtemu scenario run F1 F9 --policy cma-v3-posted
  mtemu scenario run R5 --policy cma-v2-posted --runs 500
  mtemu scenario random --policy cma-v3-posted --block-size 2 -o failure.script
  mtemu scenario replay failure.script --policy cma
`;

const COMMAND = 'scenario';
const OPTIONS: OptionSpecs = {
  policy: { type: 'string' },
  seed: { type: 'string' },
  runs: { type: 'string' },
  schedule: { type: 'string' },
  fail: { type: 'string' },
  'page-size': { type: 'string' },
  'block-size': { type: 'string' },
  'swap-pages': { type: 'string' },
  output: { type: 'string', short: 'o' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
};

export const scenarioCommand: Command = {
  name: COMMAND,
  summary: 'tell the known bugs and races of tag storage, under a policy of choice',
  help: HELP,
  run(args, io) {
    const { values, positionals } = parseOptions(COMMAND, OPTIONS, args);
    if (values['help'] === true) {
      io.stdout(HELP);
      return 0;
    }
    const [what, ...ids] = positionals;
    if (what === 'list' && ids.length === 0) return list(io, values['json'] === true);
    const chosenPolicy = choice(
      COMMAND,
      values,
      'policy',
      policies().map(({ name }) => name),
    );
    if (what === 'replay') return replay(io, ids, chosenPolicy, values['json'] === true);
    const policy = chosenPolicy ?? 'cma';
    if (what === 'random' && ids.length === 0) return random(io, values, policy);
    if (what !== 'run') throw usageError(COMMAND, `'${what ?? ''}' is none of list, run, random, replay`);
    const chosen = ids.length === 0 ? scenarios() : ids.map(byId);
    const schedule = text(values, 'schedule');
    if (schedule !== undefined) {
      if (parseSchedule(schedule) === undefined) throw usageError(COMMAND, `'${schedule}' is no schedule`);
      if (chosen.length !== 1 || chosen[0]?.isRace !== true) {
        throw usageError(COMMAND, '--schedule is for exactly one race');
      }
    }
    const runs = wholeNumber(COMMAND, values, 'runs', 1);
    const options: RunOptions = {
      policy,
      seed: wholeNumber(COMMAND, values, 'seed') ?? 0,
      ...(runs === undefined ? {} : { runs }),
      ...(schedule === undefined ? {} : { schedule }),
      ...failureOf(values),
    };
    return runAll(io, chosen, options, values['json'] === true);
  },
};

/** A verdict on a script, told as a scenario's. */
function reportScript(
  io: CommandIo,
  title: string,
  verdict: ScriptVerdict,
  json: boolean,
  script: string | undefined,
): number {
  const { held, invariant, step, detail } = verdict;
  const { policy } = verdict.script.settings;
  if (json) {
    const row = { id: 'script', title, held, invariant, step, detail };
    const extra = script === undefined ? {} : { script };
    io.stdout(`${JSON.stringify({ policy, scenarios: [{ ...row, ...extra }] }, null, 2)}\n`);
    return held ? 0 : 1;
  }
  const expected = 'every byte, every tag and every invariant holds after each command';
  io.stdout(`${verdictLines({ head: title, expected, verdict, again: undefined })}`);
  if (script !== undefined) io.stdout(`\n${script}`);
  return held ? 0 : 1;
}

function replay(io: CommandIo, files: readonly string[], policy: string | undefined, json: boolean): number {
  const [file, more] = files;
  if (file === undefined || more !== undefined) throw usageError(COMMAND, 'replay takes exactly one script');
  const script = parseScript(new SourceText(file, utf8(file, io.readFile(file))));
  const settings = policy === undefined ? script.settings : { ...script.settings, policy };
  return reportScript(io, file, runScript({ ...script, settings }), json, undefined);
}

function utf8(file: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw inputError('SCRIPT', 'a script is text in UTF-8', { file });
  }
}

/** Commands of a random program. */
const RANDOM_LENGTH = 100;
const PAGE_SIZES: Readonly<Record<string, PageSize>> = { '4k': 4096, '16k': 16384, '64k': 65536 };

function random(io: CommandIo, values: ParsedOptions['values'], policy: string): number {
  const pageSize = choice(COMMAND, values, 'page-size', Object.keys(PAGE_SIZES)) ?? '4k';
  const settings = {
    ...DEFAULT_SETTINGS,
    policy,
    pageSize: PAGE_SIZES[pageSize]!,
    seed: wholeNumber(COMMAND, values, 'seed') ?? 0,
    blockSizePages: wholeNumber(COMMAND, values, 'block-size', 1) ?? 1,
    swapPages: wholeNumber(COMMAND, values, 'swap-pages') ?? 0,
  };
  const runs = wholeNumber(COMMAND, values, 'runs', 1) ?? 20;
  const json = values['json'] === true;
  const { failure, commands } = searchScripts(settings, { runs, length: RANDOM_LENGTH, races: true });
  if (failure === undefined) {
    const detail = `${commands} commands of ${runs} random programs: nothing broke`;
    const row = { id: 'script', title: 'random programs', held: true, invariant: null, step: null, detail };
    io.stdout(json ? `${JSON.stringify({ policy, scenarios: [row] }, null, 2)}\n` : `held   ${detail}\n`);
    return 0;
  }
  const script = formatScript(failure.script);
  const output = text(values, 'output');
  if (output !== undefined) io.writeFile(output, script);
  return reportScript(io, 'a random program', failure, json, script);
}

function failureOf(values: ParsedOptions['values']): Pick<RunOptions, 'fail'> {
  const value = text(values, 'fail');
  if (value === undefined) return {};
  const [, operation, nth] = /^([a-z_0-9]+):([1-9][0-9]{0,8})$/.exec(value) ?? [];
  if (operation === undefined) throw usageError(COMMAND, `--fail takes OPERATION:N, not '${value}'`);
  return { fail: { operation, nth: Number(nth) } };
}

function byId(id: string): Scenario {
  const found = findScenario(id.toUpperCase());
  if (found !== undefined) return found;
  const waiting = waitingScenarios().find((w) => w.id === id.toUpperCase());
  if (waiting !== undefined) {
    throw usageError(COMMAND, `${waiting.id} cannot be run: it waits for ${waiting.waitsFor}`);
  }
  const near = suggest(
    id.toUpperCase(),
    scenarios().map((s) => s.id),
  );
  throw usageError(
    COMMAND,
    `there is no scenario '${id}'`,
    near.length > 0 ? `near: ${near.join(', ')}` : undefined,
  );
}

function list(io: CommandIo, json: boolean): number {
  const waiting = waitingScenarios();
  if (json) {
    const told = scenarios().map(({ id, title, expected }) => ({ id, title, expected }));
    io.stdout(`${JSON.stringify({ scenarios: told, waiting }, null, 2)}\n`);
    return 0;
  }
  for (const { id, title } of scenarios()) io.stdout(`${id.padEnd(4)} ${title}\n`);
  io.stdout('\nnot told yet, or never:\n');
  for (const { id, title, waitsFor } of waiting) {
    io.stdout(`${id.padEnd(4)} ${title}; waits for ${waitsFor}\n`);
  }
  return 0;
}

function runAll(io: CommandIo, chosen: readonly Scenario[], options: RunOptions, json: boolean): number {
  const told: { scenario: Scenario; verdict: Verdict }[] = [];
  for (const scenario of chosen) {
    const verdict = runScenario(scenario, options);
    told.push({ scenario, verdict });
    if (!json) io.stdout(render(scenario, verdict, options));
  }
  const broken = told.filter(({ verdict }) => !verdict.held).length;
  if (json) {
    const rows = told.map(({ scenario: { id, title }, verdict }) => ({
      id,
      title,
      held: verdict.held,
      invariant: verdict.invariant,
      step: verdict.step,
      detail: detailOf(verdict),
    }));
    io.stdout(`${JSON.stringify({ policy: options.policy, scenarios: rows }, null, 2)}\n`);
  } else {
    io.stdout(`\n${options.policy}: ${told.length - broken} held, ${broken} broken\n`);
  }
  return broken === 0 ? 0 : 1;
}

const detailOf = ({ detail, schedule }: Verdict): string =>
  schedule === undefined ? detail : `${detail}; schedule ${schedule}`;

function render({ id, title, expected }: Scenario, verdict: Verdict, { policy }: RunOptions): string {
  const { schedule } = verdict;
  const again =
    schedule === undefined ? undefined : `mtemu scenario run ${id} --policy ${policy} --schedule ${schedule}`;
  return verdictLines({ head: `${id.padEnd(4)} ${title}`, expected, verdict, again });
}

function verdictLines(told: {
  readonly head: string;
  readonly expected: string;
  readonly verdict: Pick<Verdict, 'held' | 'invariant' | 'step' | 'detail'>;
  /** The command that brings it back. */
  readonly again: string | undefined;
}): string {
  const { head, expected, verdict, again } = told;
  const lines = [`${verdict.held ? 'held  ' : 'BROKEN'} ${head}`, `         expected: ${expected}`];
  if (verdict.held) {
    if (verdict.detail !== expected) lines.push(`         happened: ${verdict.detail}`);
  } else {
    const rule = /^\d+$/.test(verdict.invariant ?? '')
      ? `invariant ${verdict.invariant}`
      : `rule '${verdict.invariant}'`;
    lines.push(`         happened: ${verdict.detail}`, `         broken:   ${rule}, at: ${verdict.step}`);
    if (again !== undefined) lines.push(`         again:    ${again}`);
  }
  return `${lines.join('\n')}\n`;
}
