/**
 * Lock classes and the rules about them, checked while the kernel runs (Documentation/locking/lockdep-design.rst).
 *
 * Order: taking B while holding A records A -> B; a later edge that closes a cycle is an inversion,
 * reported at the first acquisition that shows it, whether or not the two tasks ever met. Interrupts:
 * a class taken in an interrupt must never be taken elsewhere with interrupts on.
 */
import { KernelBug } from './kernel-bug.js';
import type { Task } from './task.js';

/** All locks of one kind share a class; `subclass` separates legitimate nesting of two of them. */
export interface LockClass {
  readonly name: string;
  readonly id: number;
  usedInInterrupt: boolean;
  usedWithIrqsOn: boolean;
}

/** Most classes one kernel may have: the edge set is a bit matrix of this side. */
const MAX_LOCK_CLASSES = 256;

export class Lockdep {
  readonly #classes: LockClass[] = [];
  readonly #byName = new Map<string, LockClass>();
  readonly #edges = new Uint8Array(MAX_LOCK_CLASSES * MAX_LOCK_CLASSES);

  /** The class of that name, made at first use. */
  lockClass(name: string): LockClass {
    const known = this.#byName.get(name);
    if (known) return known;
    if (this.#classes.length === MAX_LOCK_CLASSES) throw new KernelBug('bug', 'too many lock classes');
    const made: LockClass = {
      name,
      id: this.#classes.length,
      usedInInterrupt: false,
      usedWithIrqsOn: false,
    };
    this.#classes.push(made);
    this.#byName.set(name, made);
    return made;
  }

  /** To be called before `task` takes a lock of class `taken`; throws where a rule breaks. */
  acquire(task: Task, taken: LockClass, spinning: boolean): void {
    if (spinning) this.#checkInterrupts(task, taken);
    const held = task.held;
    for (let i = held.length - 1; i >= 0; i--) {
      const from = held[i]!.classId;
      const edge = from * MAX_LOCK_CLASSES + taken.id;
      if (this.#edges[edge] !== 0) continue;
      const cycle = from === taken.id ? [from] : this.#path(taken.id, from);
      if (cycle) {
        const names = cycle.map((id) => this.#classes[id]!.name).join(' -> ');
        throw new KernelBug(
          'lock-order',
          `${task.name} takes ${taken.name} while holding ${held[i]!.name}, but the order ${names} was seen before`,
        );
      }
      this.#edges[edge] = 1;
    }
  }

  #checkInterrupts(task: Task, taken: LockClass): void {
    if (task.interrupt) taken.usedInInterrupt = true;
    else if (task.irqsOff === 0) taken.usedWithIrqsOn = true;
    if (taken.usedInInterrupt && taken.usedWithIrqsOn) {
      throw new KernelBug(
        'irq-unsafe-lock',
        `${taken.name} is taken in an interrupt and, by another task, with interrupts on`,
      );
    }
  }

  /** Class ids of a recorded chain from `from` to `to`, if any. */
  #path(from: number, to: number): number[] | undefined {
    const cameFrom = new Map<number, number>([[from, -1]]);
    const queue = [from];
    for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
      if (at === to) {
        const path: number[] = [];
        for (let step: number | undefined = at; step !== undefined && step >= 0; step = cameFrom.get(step)) {
          path.unshift(step);
        }
        return path;
      }
      for (let next = 0; next < this.#classes.length; next++) {
        if (this.#edges[at * MAX_LOCK_CLASSES + next] !== 0 && !cameFrom.has(next)) {
          cameFrom.set(next, at);
          queue.push(next);
        }
      }
    }
    return undefined;
  }
}
