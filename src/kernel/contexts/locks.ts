/**
 * Spinlock, mutex, reader-writer semaphore and wait queue.
 *
 * A spinlock is Atomic: contended, it lets others run. The rest sleep. Every one belongs to a lock
 * class (lockdep.ts) and refuses to be unlocked by a task that does not hold it.
 */
import type { Contexts } from './contexts.js';
import { KernelBug } from './kernel-bug.js';
import type { LockClass } from './lockdep.js';
import type { Atomic, MaySleep, RacePoint, SleepPoint } from './points.js';
import { racePoint } from './points.js';
import type { HeldLock, Task } from './task.js';

const SPIN_LOCK = racePoint('spin_lock');

function dropHeld(task: Task, lock: HeldLock): void {
  const at = task.held.lastIndexOf(lock);
  if (at < 0) {
    throw new KernelBug('foreign-unlock', `${task.name} unlocks ${lock.name}, which it does not hold`);
  }
  task.held.splice(at, 1);
}

/** spinlock_t. */
export class SpinLock implements HeldLock {
  readonly name: string;
  readonly classId: number;
  readonly #contexts: Contexts;
  readonly #class: LockClass;
  readonly #contended: RacePoint;
  /** How the lock stands in its holder's list, as taken with lockNested. */
  readonly #nestedClass: LockClass;
  #owner: Task | undefined;
  #heldAs: HeldLock = this;

  /** @param className all locks made with one name are of one class. */
  constructor(contexts: Contexts, className: string) {
    this.#contexts = contexts;
    this.#class = contexts.lockdep.lockClass(className);
    this.#nestedClass = contexts.lockdep.lockClass(`${className}/1`);
    this.name = className;
    this.classId = this.#class.id;
    const self = this;
    this.#contended = {
      point: 'race',
      at: `spin_lock(${className})`,
      spinningOn: {
        get held() {
          return self.held;
        },
      },
    };
  }

  get held(): boolean {
    return this.#owner !== undefined;
  }

  heldByCurrent(): boolean {
    return this.#owner === this.#contexts.current;
  }

  *lock(): Atomic<void> {
    if (this.#contexts.racing) yield SPIN_LOCK;
    this.#check(this.#class);
    while (this.#owner !== undefined) yield this.#contended;
    this.#take(this);
  }

  /** spin_lock_nested(SINGLE_DEPTH_NESTING): the inner one of two locks of this class. */
  *lockNested(): Atomic<void> {
    if (this.#contexts.racing) yield SPIN_LOCK;
    this.#check(this.#nestedClass);
    while (this.#owner !== undefined) yield this.#contended;
    this.#take({ name: this.#nestedClass.name, classId: this.#nestedClass.id });
  }

  #check(as: LockClass): void {
    const task = this.#contexts.current;
    if (this.#owner === task) {
      throw new KernelBug('recursive-lock', `${task.name} takes ${this.name} again`);
    }
    this.#contexts.lockdep.acquire(task, as, true);
  }

  #take(as: HeldLock): void {
    const task = this.#contexts.current;
    this.#owner = task;
    this.#heldAs = as;
    task.preemptCount++;
    task.held.push(as);
  }

  /** True if taken. */
  tryLock(): boolean {
    if (this.#owner !== undefined) return false;
    this.#take(this);
    return true;
  }

  unlock(): void {
    const task = this.#contexts.current;
    if (this.#owner !== task) {
      throw new KernelBug('foreign-unlock', `${task.name} unlocks ${this.name}, which it does not hold`);
    }
    dropHeld(task, this.#heldAs);
    this.#owner = undefined;
    task.preemptCount--;
  }

  *lockIrqsave(): Atomic<void> {
    this.#contexts.localIrqSave();
    yield* this.lock();
  }

  unlockIrqrestore(): void {
    this.unlock();
    this.#contexts.localIrqRestore();
  }
}

/** wait_queue_head_t: tasks that sleep until somebody wakes the queue. */
export class WaitQueue {
  readonly #contexts: Contexts;
  /** Bumped at every wake-up; a sleeper is runnable again when it differs from what it saw. */
  #wakeups = 0;
  readonly #point: SleepPoint;

  /** @param freezable whoever waits here may be frozen (wait_event_freezable()). */
  constructor(contexts: Contexts, name: string, freezable = false) {
    this.#contexts = contexts;
    this.#point = { point: 'sleep', at: name, waitQueue: this, ...(freezable ? { freezable } : {}) };
  }

  get wakeups(): number {
    return this.#wakeups;
  }

  /** wake_up_all(). */
  wakeUp(): void {
    this.#wakeups++;
  }

  /** wait_event(): sleeps until `condition` holds. */
  *waitEvent(condition: () => boolean): MaySleep<void> {
    this.#contexts.mightSleep(this.#point.at);
    while (!condition()) yield this.#point;
  }
}

/** struct mutex. */
export class Mutex implements HeldLock {
  readonly name: string;
  readonly classId: number;
  readonly #contexts: Contexts;
  readonly #class: LockClass;
  readonly #waiters: WaitQueue;
  #owner: Task | undefined;

  constructor(contexts: Contexts, className: string) {
    this.#contexts = contexts;
    this.#class = contexts.lockdep.lockClass(className);
    this.name = className;
    this.classId = this.#class.id;
    this.#waiters = new WaitQueue(contexts, `mutex_lock(${className})`);
  }

  get held(): boolean {
    return this.#owner !== undefined;
  }

  *lock(): MaySleep<void> {
    const contexts = this.#contexts;
    contexts.mightSleep(`mutex_lock(${this.name})`);
    const task = contexts.current;
    if (this.#owner === task) {
      throw new KernelBug('recursive-lock', `${task.name} takes ${this.name} again`);
    }
    contexts.lockdep.acquire(task, this.#class, false);
    if (this.#owner !== undefined) yield* this.#waiters.waitEvent(() => this.#owner === undefined);
    this.#owner = task;
    task.held.push(this);
  }

  unlock(): void {
    const task = this.#contexts.current;
    if (this.#owner !== task) {
      throw new KernelBug('foreign-unlock', `${task.name} unlocks ${this.name}, which it does not hold`);
    }
    dropHeld(task, this);
    this.#owner = undefined;
    this.#waiters.wakeUp();
  }

  /** Runs `work` with the lock held. */
  *hold<T>(work: () => MaySleep<T>): MaySleep<T> {
    yield* this.lock();
    try {
      return yield* work();
    } finally {
      this.unlock();
    }
  }
}

/** struct rw_semaphore, such as mmap_lock. Writers do not starve: a waiting writer keeps new readers out. */
export class RwSemaphore implements HeldLock {
  readonly name: string;
  readonly classId: number;
  readonly #contexts: Contexts;
  readonly #class: LockClass;
  readonly #waiters: WaitQueue;
  #writer: Task | undefined;
  #readers = 0;
  #writersWaiting = 0;

  constructor(contexts: Contexts, className: string) {
    this.#contexts = contexts;
    this.#class = contexts.lockdep.lockClass(className);
    this.name = className;
    this.classId = this.#class.id;
    this.#waiters = new WaitQueue(contexts, `down(${className})`);
  }

  *downRead(): MaySleep<void> {
    const contexts = this.#contexts;
    contexts.mightSleep(`down_read(${this.name})`);
    const task = contexts.current;
    contexts.lockdep.acquire(task, this.#class, false);
    if (this.#writer !== undefined || this.#writersWaiting > 0) {
      yield* this.#waiters.waitEvent(() => this.#writer === undefined && this.#writersWaiting === 0);
    }
    this.#readers++;
    task.held.push(this);
  }

  /** down_read_trylock(). */
  tryDownRead(): boolean {
    if (this.#writer !== undefined || this.#writersWaiting > 0) return false;
    this.#readers++;
    this.#contexts.current.held.push(this);
    return true;
  }

  upRead(): void {
    dropHeld(this.#contexts.current, this);
    this.#readers--;
    this.#waiters.wakeUp();
  }

  *downWrite(): MaySleep<void> {
    const contexts = this.#contexts;
    contexts.mightSleep(`down_write(${this.name})`);
    const task = contexts.current;
    contexts.lockdep.acquire(task, this.#class, false);
    if (this.#writer !== undefined || this.#readers > 0) {
      this.#writersWaiting++;
      yield* this.#waiters.waitEvent(() => this.#writer === undefined && this.#readers === 0);
      this.#writersWaiting--;
    }
    this.#writer = task;
    task.held.push(this);
  }

  /** down_write_trylock(). */
  tryDownWrite(): boolean {
    if (this.#writer !== undefined || this.#readers > 0) return false;
    this.#writer = this.#contexts.current;
    this.#contexts.current.held.push(this);
    return true;
  }

  upWrite(): void {
    const task = this.#contexts.current;
    if (this.#writer !== task) {
      throw new KernelBug('foreign-unlock', `${task.name} releases ${this.name}, which it did not take`);
    }
    dropHeld(task, this);
    this.#writer = undefined;
    this.#waiters.wakeUp();
  }

  get heldForWrite(): boolean {
    return this.#writer !== undefined;
  }
}
