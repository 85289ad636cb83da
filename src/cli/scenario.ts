/**
 * `mtemu scenario`: the known bugs and races of dynamic tag storage reuse, each told as a small story on
 * the kernel's memory manager and a real memory system.
 */
import { suggest } from '../base/index.js';
import { parseSchedule, policies } from '../kernel/index.js';
import {
  findScenario,
  type RunOptions,
  runScenario,
  type Scenario,
  scenarios,
  type Verdict,
  waitingScenarios,
} from '../lab/index.js';
import type { Command, CommandIo } from './command.js';
import { choice, type OptionSpecs, parseOptions, text, usageError, wholeNumber } from './options.js';

const HELP = `Usage: mtemu scenario list [--json]
       mtemu scenario run [ID...] [--policy P] [--seed N] [--runs N] [--schedule S] [--json]

Tells the reported (R1...) and found (F1...) problems of the tag storage series, and says whether the
policy survives them. Without an ID all are run. A race is searched: its orders of steps are tried one
after another, and the one that breaks is printed as a schedule that brings it back.

  --policy P     cma (default), or cma-v3-posted: the series as posted, defects included; static
  --seed N       all randomness (default 0)
  --runs N       orders tried for a race
  --schedule S   one race, in exactly this order
  --json         {policy, scenarios: [{id, title, held, invariant, step, detail}]}

Exit status 0 if all held, 1 if not.

Example:
  mtemu scenario run F1 F9 --policy cma-v3-posted
`;

const COMMAND = 'scenario';
const OPTIONS: OptionSpecs = {
  policy: { type: 'string' },
  seed: { type: 'string' },
  runs: { type: 'string' },
  schedule: { type: 'string' },
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
    if (what !== 'run') throw usageError(COMMAND, `'${what ?? ''}' is neither list or run`);
    const policy =
      choice(
        COMMAND,
        values,
        'policy',
        policies().map(({ name }) => name),
      ) ?? 'cma';
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
    };
    return runAll(io, chosen, options, values['json'] === true);
  },
};

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
  const lines = [
    `${verdict.held ? 'held  ' : 'BROKEN'} ${id.padEnd(4)} ${title}`,
    `         expected: ${expected}`,
  ];
  if (verdict.held) {
    if (verdict.detail !== expected) lines.push(`         happened: ${verdict.detail}`);
  } else {
    const rule = /^\d+$/.test(verdict.invariant ?? '')
      ? `invariant ${verdict.invariant}`
      : `rule '${verdict.invariant}'`;
    lines.push(`         happened: ${verdict.detail}`, `         broken:   ${rule}, at: ${verdict.step}`);
    if (verdict.schedule !== undefined) {
      lines.push(
        `         again:    mtemu scenario run ${id} --policy ${policy} --schedule ${verdict.schedule}`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}
