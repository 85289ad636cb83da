/**
 * Drives kernel generators one step at a time, deterministically.
 *
 * By default a task runs to its next SleepPoint and the next one in turn follows. In search mode the
 * scheduler asks its strategy at every RacePoint which task moves; the answers are recorded and give
 * a schedule string that replays the run exactly. A task that holds a spinlock (or has preemption
 * off) keeps other tasks of its CPU from running, except an interrupt while interrupts are on.
 */
import { Random } from '../../base/index.js';
import type { Contexts } from './contexts.js';
import { checkPoint } from './contexts.js';
import { KernelBug } from './kernel-bug.js';
import type { MaySleep } from './points.js';
import type { Task } from './task.js';

/** Chooses who moves: an index into `runnable`, which is never empty. */
export type Strategy = (runnable: readonly Task[]) => number;

/** A recorded run: the index chosen at each moment at which more than one task could move. */
export type Schedule = readonly number[];

/** `0*12,1,0`: choices with run lengths. */
export function formatSchedule(schedule: Schedule): string {
  const runs: string[] = [];
  for (let at = 0; at < schedule.length; ) {
    let end = at + 1;
    while (end < schedule.length && schedule[end] === schedule[at]) end++;
    runs.push(end - at > 1 ? `${schedule[at]}*${end - at}` : `${schedule[at]}`);
    at = end;
  }
  return runs.join(',');
}

/** The inverse of `formatSchedule`; undefined where the text is none. */
export function parseSchedule(text: string): Schedule | undefined {
  const choices: number[] = [];
  if (text.trim() === '') return choices;
  for (const part of text.split(',')) {
    const match = /^\s*(\d{1,4})(?:\*(\d{1,7}))?\s*$/.exec(part);
    if (!match) return undefined;
    for (let n = Number(match[2] ?? 1); n > 0; n--) choices.push(Number(match[1]));
  }
  return choices;
}

export const randomStrategy = (seed: number): Strategy => {
  const random = new Random(seed, 'scheduler');
  return (runnable) => random.below(runnable.length);
};

/** Follows `schedule`, then always the first. */
export const replayStrategy = (schedule: Schedule): Strategy => {
  let at = 0;
  return (runnable) => Math.min(schedule[at++] ?? 0, runnable.length - 1);
};

interface Thread {
  readonly task: Task;
  readonly work: MaySleep<unknown>;
  /** Has taken a step: an interrupt that has begun occupies its CPU until it ends. */
  begun: boolean;
  state: 'runnable' | 'spinning' | 'sleeping' | 'done';
  spinningOn: { readonly held: boolean } | undefined;
  waitQueue: { readonly wakeups: number } | undefined;
  sawWakeups: number;
}

export class Scheduler {
  readonly contexts: Contexts;
  readonly #threads: Thread[] = [];
  readonly #strategy: Strategy | undefined;
  readonly #choices: number[] = [];
  #turn = -1;
  /** Steps taken; a bound on runaway runs. */
  steps = 0;

  /** @param strategy search mode; without one, each task runs to its next SleepPoint in turn. */
  constructor(contexts: Contexts, strategy?: Strategy) {
    this.contexts = contexts;
    this.#strategy = strategy;
  }

  /** The choices made so far. */
  get schedule(): Schedule {
    return this.#choices;
  }

  /** Adds a task; it first moves in `run`. */
  spawn(name: string, work: MaySleep<unknown>, options: { cpu?: number; interrupt?: boolean } = {}): Task {
    const task = this.contexts.newTask(name, options.cpu ?? this.#threads.length, options.interrupt ?? false);
    this.#threads.push({
      task,
      work,
      begun: false,
      state: 'runnable',
      spinningOn: undefined,
      waitQueue: undefined,
      sawWakeups: 0,
    });
    return task;
  }

  /**
   * Runs until every task is done.
   *
   * @param afterStep called after every step, with the task that moved; may throw (invariants).
   * @throws KernelBug on deadlock or a broken rule.
   */
  run(afterStep?: (task: Task) => void, maxSteps = 10_000_000): void {
    const { contexts } = this;
    const before = contexts.current;
    const racing = contexts.racing;
    contexts.racing = this.#strategy !== undefined;
    try {
      for (;;) {
        const runnable = this.#threads.filter((thread) => this.#canRun(thread));
        if (runnable.length === 0) {
          if (this.#threads.every((thread) => thread.state === 'done')) return;
          throw this.#deadlock();
        }
        if (this.steps++ >= maxSteps) throw new KernelBug('deadlock', `no end after ${maxSteps} steps`);
        const thread = this.#choose(runnable);
        this.#step(thread);
        afterStep?.(thread.task);
      }
    } finally {
      contexts.current = before;
      contexts.racing = racing;
    }
  }

  #canRun(thread: Thread): boolean {
    if (thread.state === 'done') return false;
    if (thread.state === 'spinning' && thread.spinningOn?.held === true) return false;
    if (thread.state === 'sleeping' && thread.waitQueue?.wakeups === thread.sawWakeups) return false;
    for (const other of this.#threads) {
      if (other === thread || other.state === 'done' || other.task.cpu !== thread.task.cpu) continue;
      const { task } = other;
      if (task.interrupt && other.begun) return false;
      if (task.irqsOff > 0) return false;
      if (task.preemptCount > 0 && !thread.task.interrupt) return false;
    }
    return true;
  }

  #choose(runnable: readonly Thread[]): Thread {
    if (runnable.length === 1) return runnable[0]!;
    if (this.#strategy) {
      const choice = this.#strategy(runnable.map((thread) => thread.task));
      this.#choices.push(choice);
      return runnable[choice]!;
    }
    // In turn: the first runnable thread after the one that moved last.
    const next = runnable.find((thread) => this.#threads.indexOf(thread) > this.#turn) ?? runnable[0]!;
    this.#turn = this.#threads.indexOf(next);
    return next;
  }

  #step(thread: Thread): void {
    const { task } = thread;
    this.contexts.current = task;
    thread.begun = true;
    for (;;) {
      const step = thread.work.next();
      if (step.done === true) {
        thread.state = 'done';
        if (task.held.length > 0 || task.irqsOff > 0 || task.preemptCount > 0 || task.rcuDepth > 0) {
          throw new KernelBug('unbalanced', `${task.name} ends ${task.describeAtomic()}`);
        }
        return;
      }
      const point = step.value;
      checkPoint(task, point);
      if (point.point === 'sleep') {
        thread.state = point.waitQueue === undefined ? 'runnable' : 'sleeping';
        thread.waitQueue = point.waitQueue as { readonly wakeups: number } | undefined;
        thread.sawWakeups = thread.waitQueue?.wakeups ?? 0;
        return;
      }
      thread.spinningOn = point.spinningOn;
      thread.state = point.spinningOn === undefined ? 'runnable' : 'spinning';
      if (point.spinningOn !== undefined || this.#strategy) return;
    }
  }

  #deadlock(): KernelBug {
    const waiting = this.#threads
      .filter((thread) => thread.state !== 'done')
      .map(
        (thread) =>
          `${thread.task.name} (${thread.state}, ${thread.task.describeAtomic() || 'holding nothing'})`,
      );
    return new KernelBug('deadlock', `no task can go on: ${waiting.join('; ')}`);
  }
}

/** What a search found: the schedule to replay, and what went wrong. */
export interface SearchFailure {
  readonly schedule: string;
  readonly error: unknown;
}

/** Builds everything anew and spawns its tasks on the scheduler it makes; `verify` after they ended. */
export type SearchScenario = (strategy: Strategy) => {
  readonly scheduler: Scheduler;
  readonly verify: () => void;
};

/** One run: what went wrong, if anything. */
function tryOne(scenario: SearchScenario, strategy: Strategy): SearchFailure | undefined {
  let scheduler: Scheduler | undefined;
  try {
    const made = scenario(strategy);
    scheduler = made.scheduler;
    scheduler.run();
    made.verify();
    return undefined;
  } catch (error) {
    return { schedule: formatSchedule(scheduler?.schedule ?? []), error };
  }
}

/**
 * Runs a scenario under every schedule of one preemption: one task runs so many steps, then the others run to their ends, or as far as they come without it. Whatever goes wrong in one window of one task, however
 * short, is found; what takes two is not.
 *
 * @param interrupted the task's name.
 * @returns the first failure and how many schedules there were, this one included.
 */
export function sweepPreemptions(
  scenario: SearchScenario,
  interrupted = FIRST,
): {
  readonly failure: SearchFailure | undefined;
  readonly runs: number;
} {
  for (let steps = 0; ; steps++) {
    let taken = 0;
    let preempted = false;
    const failure = tryOne(scenario, (runnable) => {
      const first = runnable.findIndex((task) => task.name === interrupted);
      const other = runnable.findIndex((task) => task.name !== interrupted);
      if (first >= 0 && (taken < steps || other < 0)) {
        taken++;
        return first;
      }
      preempted = true;
      return other;
    });
    if (failure || !preempted) return { failure, runs: steps + 1 };
  }
}

/** The name of the task that a sweep interrupts. */
export const FIRST = 'first';

/**
 * Runs a scenario under many schedules: first the systematic ones (depth first over the choices), up
 * to half of `runs`, then random ones from `seed`.
 *
 * @returns the first failure, or undefined when every run passed.
 */
export function searchSchedules(
  scenario: SearchScenario,
  options: { readonly runs: number; readonly seed: number },
): SearchFailure | undefined {
  let prefix: number[] | undefined = [];
  for (let run = 0; run < options.runs; run++) {
    if (prefix !== undefined && run < options.runs / 2) {
      const widths: number[] = [];
      const path: number[] = [];
      const fixed = prefix;
      const failure = tryOne(scenario, (runnable) => {
        const choice = Math.min(fixed[path.length] ?? 0, runnable.length - 1);
        path.push(choice);
        widths.push(runnable.length);
        return choice;
      });
      if (failure) return failure;
      let last = path.length - 1;
      while (last >= 0 && path[last]! + 1 >= widths[last]!) last--;
      prefix = last < 0 ? undefined : [...path.slice(0, last), path[last]! + 1];
      if (prefix === undefined) return undefined;
    } else {
      const failure = tryOne(scenario, randomStrategy(options.seed + run));
      if (failure) return failure;
    }
  }
  return undefined;
}
