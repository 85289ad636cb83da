/**
 * The run queue of a live system: many tasks on one CPU, each a generator that runs to its next
 * SleepPoint.
 *
 * `Scheduler` (scheduler.ts) searches interleavings of a few tasks that all end. A system has thousands
 * that come and go, most of them asleep, so here a task that waits on its own `Sleeper` costs nothing
 * until it is woken; only those that wait for a lock of the memory manager are asked in turn.
 *
 * Ref. kernel/sched/core.c (schedule, try_to_wake_up), in round-robin order.
 */
import type { Contexts } from './contexts.js';
import { checkPoint } from './contexts.js';
import { KernelBug } from './kernel-bug.js';
import type { MaySleep, SleepPoint } from './points.js';
import type { Task } from './task.js';

/** What one task sleeps on until somebody wakes it by name (wake_up_process). */
export class Sleeper {
  readonly point: SleepPoint;
  wakeups = 0;
  /** Set by the run queue while the task sleeps here. */
  onWake: (() => void) | undefined;

  constructor(name: string) {
    this.point = { point: 'sleep', at: name, waitQueue: this };
  }

  wake(): void {
    this.wakeups++;
    this.onWake?.();
  }
}

interface Entry {
  readonly task: Task;
  readonly work: MaySleep<void>;
  waitQueue: { readonly wakeups: number } | undefined;
  sawWakeups: number;
}

export class RunQueue {
  readonly #contexts: Contexts;
  readonly #ready = new Set<Entry>();
  /** Asleep on a queue that does not know its sleepers. */
  readonly #polled = new Set<Entry>();

  constructor(contexts: Contexts) {
    this.#contexts = contexts;
  }

  /** The task first moves in `step`. */
  spawn(task: Task, work: MaySleep<void>): void {
    this.#ready.add({ task, work, waitQueue: undefined, sawWakeups: 0 });
  }

  /** Tasks that could move, but for those whose lock was released meanwhile. */
  get ready(): number {
    return this.#ready.size;
  }

  /** Runs the next task to its next SleepPoint or end; false where no task can move. */
  step(): boolean {
    for (const entry of this.#polled) {
      if (entry.waitQueue?.wakeups === entry.sawWakeups) continue;
      this.#polled.delete(entry);
      this.#ready.add(entry);
    }
    const next = this.#ready.values().next();
    if (next.done === true) return false;
    const entry = next.value;
    this.#ready.delete(entry);
    const { current } = this.#contexts;
    this.#contexts.current = entry.task;
    try {
      this.#run(entry);
    } finally {
      this.#contexts.current = current;
    }
    return true;
  }

  #run(entry: Entry): void {
    const { task } = entry;
    for (;;) {
      const step = entry.work.next();
      if (step.done === true) {
        if (task.held.length > 0 || task.irqsOff > 0 || task.preemptCount > 0 || task.rcuDepth > 0) {
          throw new KernelBug('unbalanced', `${task.name} ends ${task.describeAtomic()}`);
        }
        return;
      }
      const point = step.value;
      checkPoint(task, point);
      if (point.point === 'race') {
        // Nobody sleeps with a spinlock held, so on one CPU none is ever found taken.
        if (point.spinningOn?.held === true) {
          throw new KernelBug('deadlock', `${task.name} spins at ${point.at}, and its holder cannot run`);
        }
        continue;
      }
      this.#sleep(entry, point);
      return;
    }
  }

  #sleep(entry: Entry, point: SleepPoint): void {
    const queue = point.waitQueue;
    if (queue === undefined) {
      this.#ready.add(entry);
    } else if (queue instanceof Sleeper) {
      queue.onWake = () => {
        queue.onWake = undefined;
        this.#ready.add(entry);
      };
    } else {
      entry.waitQueue = queue as { readonly wakeups: number };
      entry.sawWakeups = entry.waitQueue.wakeups;
      this.#polled.add(entry);
    }
  }
}
