/**
 * Runs a script: a machine as its settings say, its commands one after another, everything checked after each.
 *
 * What stands together runs under a scheduler in search mode, in the recorded order or in one drawn from a seed,
 * which the result then has recorded: a failure is a script that replays itself.
 */

import { PA } from '../../base/index.js';
import type { Strategy } from '../../kernel/index.js';
import {
  KernelBug,
  lruAddDrainAll,
  randomStrategy,
  replayStrategy,
  Scheduler,
  unusedPages,
} from '../../kernel/index.js';
import { Broken, World, type WorldOptions } from '../scenarios/index.js';
import {
  type Command,
  isKernelOp,
  isLayoutOp,
  type Reached,
  type Step,
  stepText,
  type Together,
} from './commands.js';
import { Model } from './model.js';
import type { Script, ScriptSettings } from './script.js';

export interface ScriptVerdict {
  readonly held: boolean;
  /** Number in tag-storage.md 12 or the name of a rule; null where it held. */
  readonly invariant: string | null;
  /** The command, and where in it; null where it held. */
  readonly step: string | null;
  readonly detail: string;
  /** What ran, orders of steps recorded, up to the command that failed. */
  readonly script: Script;
  /** Calls of the operation that was to fail. */
  readonly injected: number;
  /** What the kernel warned of. */
  readonly warnings: readonly string[];
  /** Swap-ins, stashes and the like: what the run went through. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Of what takes more than its command, how often it came about. */
  readonly reached: Readonly<Partial<Record<Reached, number>>>;
}

/** Data pages that are left to the machine of each 128; the others are reserved, so that it soon runs short. */
const STRIPE = 128;
const MEM_BASE = 0x4000_0000;

function worldOptions(settings: ScriptSettings): WorldOptions {
  const { pageSize, tagPages, freePages } = settings;
  const reserved = [];
  for (let page = 0; freePages < STRIPE && page < tagPages * 32; page += STRIPE) {
    reserved.push({
      base: PA(MEM_BASE + (page + freePages) * pageSize),
      size: (STRIPE - freePages) * pageSize,
    });
  }
  return {
    pageSize,
    tagPages,
    blockSizePages: settings.blockSizePages,
    pageblockOrder: settings.pageblockOrder,
    swapPages: settings.swapPages,
    cpus: settings.cpus,
    reserved,
  };
}

/** The settings' machine, as it is before the first command. */
export const bootScript = (settings: ScriptSettings): World =>
  new World(settings.policy, worldOptions(settings), settings.seed);

export function runScript(script: Script): ScriptVerdict {
  const { settings } = script;
  const done: Command[] = [];
  let at = 'boot';
  let k: World | undefined;
  let model: Model | undefined;
  const verdict = (broken?: { readonly invariant: string; readonly message: string }): ScriptVerdict => ({
    held: broken === undefined,
    invariant: broken?.invariant ?? null,
    step: broken === undefined ? null : at,
    detail: broken?.message ?? happened(),
    script: { settings, commands: done },
    injected: k?.calls.get(settings.fail?.operation ?? '') ?? 0,
    warnings: k?.log.filter((line) => line.startsWith('WARNING')) ?? [],
    reached: model?.reached ?? {},
    metrics: k === undefined ? {} : { ...k.manager.tagStorageMetrics(), ...k.manager.vmstat() },
  });
  const happened = (): string => {
    const text = `${done.length} commands, and every byte and tag is where it should be`;
    if (settings.fail === undefined) return text;
    const { operation, nth } = settings.fail;
    const calls = k?.calls.get(operation) ?? 0;
    return calls < nth ? `${text}; ${operation} was called ${calls} times, so none failed` : text;
  };
  try {
    const world = bootScript(settings);
    k = world;
    const free = unusedPages(world.mm);
    const held = world.manager.snapshotTagStorage().tags;
    const programs = new Model(world);
    model = programs;
    if (settings.fail !== undefined) {
      programs.injecting = true;
      world.inject(settings.fail);
    }
    for (const command of script.commands) {
      at = `command ${done.length + 1} (${commandText(command)})`;
      if (command.op !== 'together') {
        done.push(command);
        world.run(programs.task(command));
      } else {
        const outcome = together(programs, command, (where) => {
          at = `command ${done.length + 1} (${commandText(command)}), ${where}`;
        });
        done.push(outcome.recorded);
        if (outcome.error !== undefined) throw outcome.error;
      }
      programs.check();
    }
    at = 'after the last command';
    world.mm.shouldFail = () => false;
    world.run(programs.finish());
    programs.check();
    expectEverythingBack(world, free, held);
    return verdict();
  } catch (error) {
    if (error instanceof Broken) return verdict(error);
    if (error instanceof KernelBug) {
      return verdict({
        invariant: error.kind === 'sleep-in-atomic' ? '9' : error.kind,
        message: error.message,
      });
    }
    throw error;
  }
}

/** All memory is where it was after boot: nothing leaked, no block is held that was not held then. */
function expectEverythingBack(k: World, free: number, held: number): void {
  k.run(lruAddDrainAll(k.mm));
  const { data, tags } = k.manager.snapshotTagStorage();
  const unused = unusedPages(k.mm);
  if (unused !== free) throw new Broken('10', `${free - unused} pages are not free that were before`);
  if (tags !== held) throw new Broken('10', `${tags} pages hold tags, ${held} did before`);
  if (data !== 0) throw new Broken('10', `${data} pages of tag storage hold data of nobody`);
  const { pages, freeSlots } = k.mm.swap ?? { pages: 0, freeSlots: 0 };
  if (pages !== freeSlots) throw new Broken('10', `${pages - freeSlots} swap slots are in use by nobody`);
}

function commandText(command: Command): string {
  return command.op === 'together' ? `together ${command.steps.map(stepText).join(', ')}` : stepText(command);
}

/** Runs commands at once; those that two processes cannot do at once are left out, always the same ones. */
function together(
  model: Model,
  command: Together,
  at: (where: string) => void,
): { readonly recorded: Together; readonly error?: unknown } {
  const { contexts } = model.k;
  const { order } = command;
  const strategy: Strategy =
    'schedule' in order ? replayStrategy(order.schedule) : randomStrategy(order.seed);
  const scheduler = new Scheduler(contexts, strategy);
  for (const [cpu, step] of compatible(model, command.steps).entries()) {
    const text = stepText(step);
    const work = model.task(step);
    scheduler.spawn(
      text,
      (function* () {
        for (let last = 'start'; ; ) {
          at(`in ${text}, after ${last}`);
          const next = work.next();
          if (next.done === true) return;
          last = next.value.at;
          yield next.value;
        }
      })(),
      { cpu },
    );
  }
  const recorded = (): Together => ({ ...command, order: { schedule: [...scheduler.schedule] } });
  try {
    scheduler.run();
    return { recorded: recorded() };
  } catch (error) {
    return { recorded: recorded(), error };
  }
}

/** A process that changes its mappings does nothing else at the same time: the shadow could not tell what came first. */
function compatible(model: Model, steps: readonly Step[]): Step[] {
  const busy = new Map<unknown, 'layout' | 'access'>();
  return steps.filter((step) => {
    if (isKernelOp(step.op)) return true;
    const process = model.processOf(step);
    const mine = isLayoutOp(step.op) ? 'layout' : 'access';
    const other = busy.get(process);
    if (other !== undefined && (other === 'layout' || mine === 'layout')) return false;
    busy.set(process, mine);
    return true;
  });
}
