/**
 * The state that says who runs where: `current`, the number of CPUs, lockdep, and whether race points
 * matter in this run.
 *
 * One object per kernel, never module state: two kernels in one process are independent. Product
 * code asks `racing` before it yields a RacePoint, so that a run which does not search interleavings
 * pays nothing for them.
 */
import { KernelBug } from './kernel-bug.js';
import { Lockdep } from './lockdep.js';
import type { MaySleep, RacePoint, SleepPoint } from './points.js';
import { Task } from './task.js';

export class Contexts {
  readonly cpus: number;
  readonly lockdep = new Lockdep();
  /** The task the kernel runs in before there are others; boot and tests use it. */
  readonly boot: Task;
  current: Task;
  /** True while a scheduler wants to be asked at RacePoints. */
  racing = false;
  #nextId = 1;

  constructor(cpus = 1) {
    this.cpus = cpus;
    this.boot = new Task(0, 'swapper', 0);
    this.current = this.boot;
  }

  /** A new task; `cpu` counts from 0. */
  newTask(name: string, cpu = 0, interrupt = false): Task {
    return new Task(this.#nextId++, name, cpu % this.cpus, interrupt);
  }

  /** might_sleep(): throws where the current task must not. */
  mightSleep(where: string): void {
    const task = this.current;
    if (task.atomic) {
      throw new KernelBug(
        'sleep-in-atomic',
        `${where} may sleep, but ${task.name} is ${task.describeAtomic()}`,
      );
    }
  }

  rcuReadLock(): void {
    this.current.rcuDepth++;
  }

  rcuReadUnlock(): void {
    if (this.current.rcuDepth === 0) {
      throw new KernelBug('unbalanced', `${this.current.name} leaves an RCU read section it is not in`);
    }
    this.current.rcuDepth--;
  }

  localIrqSave(): void {
    this.current.irqsOff++;
  }

  localIrqRestore(): void {
    if (this.current.irqsOff === 0) {
      throw new KernelBug('unbalanced', `${this.current.name} restores interrupts it did not turn off`);
    }
    this.current.irqsOff--;
  }

  /**
   * Runs one generator to its end as the current task, without a scheduler: boot, a system call of
   * the only process, tests. A point at which it would wait for another task is a deadlock.
   */
  runToCompletion<T>(work: MaySleep<T>): T {
    const racing = this.racing;
    this.racing = false;
    try {
      for (let waits = 0; ; ) {
        const step = work.next();
        if (step.done === true) return step.value;
        checkPoint(this.current, step.value);
        const stuck =
          step.value.point === 'sleep'
            ? step.value.waitQueue !== undefined
            : step.value.spinningOn?.held === true;
        waits = stuck ? waits + 1 : 0;
        if (waits > 1) {
          throw new KernelBug(
            'deadlock',
            `${this.current.name} waits at ${step.value.at}, and there is no other task to wake it`,
          );
        }
      }
    } finally {
      this.racing = racing;
    }
  }
}

/** What every driver of generators checks at every point: no sleeping where it is forbidden. */
export function checkPoint(task: Task, point: RacePoint | SleepPoint): void {
  if (point.point === 'sleep' && task.atomic) {
    throw new KernelBug('sleep-in-atomic', `${task.name} sleeps at ${point.at} ${task.describeAtomic()}`);
  }
}
