/**
 * What a scenario is, and how one is told: in order, or as a race whose interleavings are searched.
 */
import type { MaySleep, Strategy } from '../../kernel/index.js';
import {
  formatSchedule,
  KernelBug,
  parseSchedule,
  replayStrategy,
  Scheduler,
  searchSchedules,
  sweepPreemptions,
} from '../../kernel/index.js';
import { Broken, World, type WorldOptions } from './world.js';

export interface Verdict {
  readonly held: boolean;
  /** Number in section 12 or the name of a rule; null where it held. */
  readonly invariant: string | null;
  /** Where in the story; null where it held. */
  readonly step: string | null;
  /** What happened. */
  readonly detail: string;
  /** Of a race: the order of steps that shows it, for `--schedule`. */
  readonly schedule?: string;
}

export interface RunOptions {
  readonly policy: string;
  readonly seed: number;
  /** Orders of a race that are tried; the scenario's own number by default. */
  readonly runs?: number;
  /** Replays one order of a race instead of searching. */
  readonly schedule?: string;
  /** The n-th call of an operation fails, in whatever world the story has. */
  readonly fail?: Failure;
  /** Shown each world when its story is over, however it ended. */
  readonly afterwards?: (k: World) => void;
}

/** An operation of the kernel, by the name it asks under, whose n-th call fails. */
export interface Failure {
  readonly operation: string;
  readonly nth: number;
}

export interface Scenario {
  /** As in tag-storage.md section 10. */
  readonly id: string;
  readonly title: string;
  /** What a correct kernel does. */
  readonly expected: string;
  readonly isRace: boolean;
  run(options: RunOptions): Verdict;
}

/** A scenario that is named but cannot be told yet, or never. */
export interface Waiting {
  readonly id: string;
  readonly title: string;
  readonly waitsFor: string;
}

interface Common {
  readonly id: string;
  readonly title: string;
  readonly expected: string;
  readonly world?: WorldOptions;
}

export interface Story extends Common {
  /** Throws Broken, or leaves it to the kernel to trip; says what happened where there is more to say. */
  tell(k: World, policy: string): string | undefined;
  /** The story boots its own worlds. */
  readonly boots?: boolean;
}

export interface RaceStory<S> extends Common {
  setUp(k: World): S;
  /** What each CPU does, by name; all start together. An `irq` comes on CPU 0. */
  cpus(k: World, s: S): Readonly<Record<string, MaySleep<unknown>>>;
  afterwards?(k: World, s: S): void;
  readonly runs?: number;
  /** What another scenario is about is not held against this one. */
  aboutAnother?(error: unknown): boolean;
}

/** What a story is told when the kernel refuses it what every story counts on: memory, most often. */
const REFUSED = 'refused';

/** The world of a story, with what is to fail in it. */
function stage(options: RunOptions, world: WorldOptions): World {
  const k = new World(options.policy, world, options.seed);
  if (options.fail !== undefined) k.inject(options.fail);
  return k;
}

const failure = (error: unknown, step: string): Verdict => {
  if (error instanceof Broken)
    return { held: false, invariant: error.invariant, step, detail: error.message };
  if (error instanceof KernelBug) {
    const invariant = error.kind === 'sleep-in-atomic' ? '9' : error.kind;
    return { held: false, invariant, step, detail: error.message };
  }
  // A helper of the story got an errno that it did not reckon with.
  if (error instanceof Error && error.constructor === Error) {
    return { held: false, invariant: REFUSED, step, detail: error.message };
  }
  throw error;
};

export function story(given: Story): Scenario {
  return {
    ...given,
    isRace: false,
    run(options) {
      let k: World | undefined;
      try {
        k = stage(options, given.boots ? {} : (given.world ?? {}));
        const happened = given.tell(k, options.policy);
        if (!given.boots) k.settle();
        return { held: true, invariant: null, step: null, detail: happened ?? given.expected };
      } catch (error) {
        return failure(error, k?.position ?? 'boot');
      } finally {
        if (k !== undefined) options.afterwards?.(k);
      }
    },
  };
}

/** A race's orders searched by default. */
const DEFAULT_RUNS = 160;

export function race<S>(given: RaceStory<S>): Scenario {
  return {
    ...given,
    isRace: true,
    run(options) {
      let position = 'boot';
      let names: readonly string[] = [];
      const build = (strategy: Strategy) => {
        const k = stage(options, given.world ?? {});
        k.position = 'set-up';
        position = k.position;
        const state = given.setUp(k);
        const scheduler = new Scheduler(k.contexts, strategy);
        const at = (where: string) => {
          position = where;
        };
        const tasks = Object.entries(given.cpus(k, state));
        names = tasks.map(([name]) => name);
        for (const [i, [name, work]] of tasks.entries()) {
          const interrupt = name.startsWith('irq');
          scheduler.spawn(name, told(name, work, at), { cpu: interrupt ? 0 : i, interrupt });
        }
        return {
          scheduler,
          verify: () => {
            at('when all are done');
            given.afterwards?.(k, state);
            k.settle();
            options.afterwards?.(k);
          },
        };
      };
      if (options.schedule !== undefined) {
        return replay(build, options.schedule, (error) => failure(error, position));
      }
      const guarded = (strategy: Strategy) => {
        const made = build(strategy);
        return given.aboutAnother ? tolerant(made, given.aboutAnother) : made;
      };
      const runs = options.runs ?? given.runs ?? DEFAULT_RUNS;
      let found = searchSchedules(guarded, { runs, seed: options.seed });
      // And whatever one interruption can do, wherever it comes.
      let interruptions = 0;
      for (const name of names) {
        if (found !== undefined) break;
        const swept = sweepPreemptions(guarded, name);
        interruptions += swept.runs;
        found = swept.failure;
      }
      if (found === undefined) {
        return {
          held: true,
          invariant: null,
          step: null,
          detail: `${given.expected}; up to ${runs} orders of steps and ${interruptions} interruptions tried`,
        };
      }
      return { ...failure(found.error, position), schedule: found.schedule };
    },
  };
}

/** A task whose place is known at every step. */
function* told(name: string, work: MaySleep<unknown>, at: (where: string) => void): MaySleep<void> {
  let last = 'start';
  for (;;) {
    at(`${name}, after ${last}`);
    const step = work.next();
    if (step.done === true) return;
    last = step.value.at;
    yield step.value;
  }
}

interface Run {
  readonly scheduler: Scheduler;
  readonly verify: () => void;
}

/** A run that ends quietly where the failure is another scenario's. */
function tolerant({ scheduler, verify }: Run, isAnothers: (error: unknown) => boolean): Run {
  const run = scheduler.run.bind(scheduler);
  let over = false;
  scheduler.run = (afterStep, maxSteps) => {
    try {
      run(afterStep, maxSteps);
    } catch (error) {
      if (!isAnothers(error)) throw error;
      over = true;
    }
  };
  return { scheduler, verify: () => (over ? undefined : verify()) };
}

function replay(
  build: (strategy: Strategy) => Run,
  text: string,
  failed: (error: unknown) => Verdict,
): Verdict {
  const schedule = parseSchedule(text);
  if (schedule === undefined) throw new RangeError(`'${text}' is no schedule`);
  try {
    const { scheduler, verify } = build(replayStrategy(schedule));
    scheduler.run();
    verify();
    return { held: true, invariant: null, step: null, detail: 'nothing broke in this order' };
  } catch (error) {
    return { ...failed(error), schedule: formatSchedule(schedule) };
  }
}
