/**
 * Random scripts from a seed, and the smallest part of a failing one that still fails.
 *
 * The shrinking is delta debugging over the list of commands (Zeller's ddmin): halves, quarters, ... are left out
 * as long as the same invariant breaks; then each remaining group of simultaneous commands loses what it can.
 */
import { Random } from '../../base/index.js';
import {
  ALL_OPS,
  type Command,
  HUGE_KERNEL_OPS,
  KERNEL_OPS,
  OPS,
  phraseSteps,
  phrases,
  type Step,
  type Together,
} from './commands.js';
import { runScript, type ScriptVerdict } from './run.js';
import type { Script, ScriptSettings } from './script.js';

/** Runs that shrinking may cost. */
const MOST_RUNS = 600;

function randomStep(random: Random, ops: readonly Step['op'][]): Step {
  return {
    op: ops[random.below(ops.length)]!,
    a: random.below(8),
    b: random.below(200),
    c: random.below(4000),
  };
}

/**
 * `length` commands drawn from a seed; one in four, where `races`, is something that the kernel does meanwhile, and one
 * in eight begins a phrase (in five, where there is more to come by).
 *
 * @param roomy with commands for huge pages.
 */
export function randomCommands(seed: number, length: number, races: boolean, roomy = false): Command[] {
  const random = new Random(seed, 'random script');
  const ops = roomy ? ALL_OPS : OPS;
  const kernelOps = roomy ? [...KERNEL_OPS, ...HUGE_KERNEL_OPS] : KERNEL_OPS;
  const known = phrases(roomy);
  const commands: Command[] = [];
  while (commands.length < length) {
    if (random.below(roomy ? 5 : 8) === 0) {
      const phrase = known[random.below(known.length)]!;
      commands.push(...phraseSteps(phrase, random.below(8), () => random.below(4000)));
    } else if (!races || random.below(4) > 0) {
      commands.push(randomStep(random, ops));
    } else {
      const others = Array.from({ length: 1 + random.below(2) }, () => randomStep(random, ops));
      const order = { seed: random.below(2 ** 30) };
      commands.push({ op: 'together', steps: [randomStep(random, kernelOps), ...others], order });
    }
  }
  return commands.slice(0, length);
}

/** The same commands without those of [from, to). */
const without = <T>(list: readonly T[], from: number, to: number): T[] => [
  ...list.slice(0, from),
  ...list.slice(to),
];

/**
 * A script that breaks the same invariant with as few commands as could be found, and its verdict.
 *
 * @param failed the verdict of a run that did not hold.
 */
export function shrinkScript(failed: ScriptVerdict): ScriptVerdict {
  let best = failed;
  let runs = 0;
  const { settings } = failed.script;
  const better = (commands: readonly Command[]): boolean => {
    if (runs++ >= MOST_RUNS) return false;
    const verdict = runScript({ settings, commands });
    if (verdict.held || verdict.invariant !== failed.invariant) return false;
    best = verdict;
    return true;
  };
  for (let size = best.script.commands.length >> 1; size > 0; size >>= 1) {
    for (let from = 0; from < best.script.commands.length && runs < MOST_RUNS; ) {
      if (!better(without(best.script.commands, from, from + size))) from += size;
    }
  }
  for (let at = 0; at < best.script.commands.length; at++) simplify(best, at, better);
  return best;
}

/**
 * A group loses members, and stops being one where a single command does; of its schedule only as much stays as
 * is needed before everybody may go on in turn.
 */
function simplify(best: ScriptVerdict, at: number, better: (commands: readonly Command[]) => boolean): void {
  const { commands } = best.script;
  const command = commands[at]!;
  if (command.op !== 'together') return;
  const replaced = (by: Command) => commands.map((other, i) => (i === at ? by : other));
  for (const step of command.steps) if (better(replaced(step))) return;
  for (let i = 0; i < command.steps.length && command.steps.length > 2; i++) {
    const fewer: Together = { ...command, steps: without(command.steps, i, i + 1) };
    if (better(replaced(fewer))) return;
  }
  if (!('schedule' in command.order)) return;
  let { schedule } = command.order;
  for (let cut = schedule.length; cut > 0; cut >>= 1) {
    while (schedule.length >= cut) {
      const shorter = schedule.slice(0, schedule.length - cut);
      if (!better(replaced({ ...command, order: { schedule: shorter } }))) break;
      schedule = shorter;
    }
  }
}

/**
 * Runs random scripts of `settings` until one fails, and shrinks it.
 *
 * @returns the failure, or how many commands ran without one.
 */
export function searchScripts(
  settings: ScriptSettings,
  options: { readonly runs: number; readonly length: number; readonly races: boolean },
): { readonly failure?: ScriptVerdict; readonly commands: number } {
  let commands = 0;
  for (let run = 0; run < options.runs; run++) {
    const seed = settings.seed + run;
    const script: Script = {
      settings: { ...settings, seed },
      commands: randomCommands(seed, options.length, options.races),
    };
    const verdict = runScript(script);
    commands += verdict.script.commands.length;
    if (!verdict.held) return { failure: shrinkScript(verdict), commands };
  }
  return { commands };
}
