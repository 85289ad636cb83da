/**
 * The run queues of a live system: many tasks on up to eight CPUs, each a generator that keeps its CPU until
 * its next SleepPoint.
 *
 * `Scheduler` (scheduler.ts) searches interleavings of a few tasks that all end. A system has thousands
 * that come and go, most of them asleep, so here a task that waits on its own `Sleeper` costs nothing
 * until it is woken; only those that wait for a lock of the memory manager are asked in turn.
 *
 * CPUs move one at a time, in an order and for lengths that the seed decides. A task's turn ends at a
 * RacePoint: other CPUs then see its intermediate state, and find its spinlocks taken. While one CPU alone has
 * work nobody can look, and its task runs on through its RacePoints.
 *
 * A CPU takes tasks round-robin; a woken task goes back to its CPU, or to one that idles, and a CPU without
 * work takes some from the one that has most.
 *
 * Ref. kernel/sched/core.c (schedule, try_to_wake_up, __set_cpus_allowed_ptr), kernel/sched/fair.c
 * (select_idle_sibling, newidle_balance).
 */
import { Random } from '../../base/index.js';
import type { Contexts } from './contexts.js';
import { checkPoint } from './contexts.js';
import { KernelBug } from './kernel-bug.js';
import type { MaySleep, SleepPoint } from './points.js';
import { sleepPoint } from './points.js';
import type { Task } from './task.js';

/** What one task sleeps on until somebody wakes it by name (wake_up_process). */
export class Sleeper {
  readonly point: SleepPoint;
  wakeups = 0;
  /** Set by the run queue while the task sleeps here. */
  onWake: (() => void) | undefined;

  constructor(name: string) {
    this.point = { point: 'sleep', at: name, waitQueue: this, freezable: true };
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
  /** The lock it waits for, on its CPU. */
  spinningOn: { readonly held: boolean } | undefined;
  /** Stopped between two instructions of user space. */
  inUser: boolean;
  /** Stopped where it may be frozen: there, or in a wait that is for as long as it takes; or not begun. */
  freezable: boolean;
}

/** One CPU's counters. */
export interface CpuActivity {
  /** Tasks taken from the queue. */
  readonly switches: number;
  /** Wake-ups by another CPU while this one was idle (reschedule interrupts). */
  readonly ipis: number;
  /** Tasks that came from another CPU. */
  readonly migrations: number;
}

class CpuQueue {
  readonly index: number;
  readonly ready = new Set<Entry>();
  /** What is on the CPU between two turns of it. */
  current: Entry | undefined;
  switches = 0;
  ipis = 0;
  migrations = 0;

  constructor(index: number) {
    this.index = index;
  }

  get load(): number {
    return this.ready.size + (this.current === undefined ? 0 : 1);
  }

  get idle(): boolean {
    return this.current === undefined && this.ready.size === 0;
  }
}

const FREEZING = sleepPoint('try_to_freeze_tasks');

/** RacePoints that a turn passes at most. */
const MOST_RACE_POINTS = 24;
/** A turn in user space: 2^5 to 2^12 instructions, all magnitudes alike, so that short windows and long ones are hit. */
const SHORTEST_TURN = 32;
const TURN_MAGNITUDES = 8;

export class RunQueue {
  readonly #contexts: Contexts;
  readonly #random: Random;
  readonly #cpus: readonly CpuQueue[];
  /** Asleep on a queue that does not know its sleepers. */
  readonly #polled = new Set<Entry>();
  /** Whose turn it is. */
  #turn: CpuQueue | undefined;
  /** Every task that has not ended. */
  readonly #entries = new Set<Entry>();
  /** Who freezes whom; undefined while nobody does. */
  #freezer: { readonly task: Task; readonly freezes: (task: Task) => boolean } | undefined;
  /** Those frozen that could move. */
  readonly #refrigerator = new Set<Entry>();

  constructor(contexts: Contexts, seed: number | bigint = 0) {
    this.#contexts = contexts;
    this.#random = new Random(seed, 'turns of CPUs');
    this.#cpus = Array.from({ length: contexts.cpus }, (_, index) => new CpuQueue(index));
  }

  /** The task first moves in `step`. */
  spawn(task: Task, work: MaySleep<void>): void {
    const entry: Entry = {
      task,
      work,
      waitQueue: undefined,
      sawWakeups: 0,
      spinningOn: undefined,
      inUser: false,
      freezable: true,
    };
    this.#entries.add(entry);
    this.#enqueue(entry);
  }

  // ---- freezing ------------------------------------------------------------------------------------

  #isFrozen({ task, freezable }: Entry): boolean {
    const freezer = this.#freezer;
    return freezer !== undefined && freezable && task !== freezer.task && freezer.freezes(task);
  }

  /**
   * freeze_processes() and freeze_kernel_threads(), by the running task: from then on none of the tasks that `which`
   * names moves, each stopped where it may be; those that are elsewhere go on until they get there.
   *
   * @returns false where one cannot get there, and nobody is frozen.
   */
  *freeze(which: (task: Task) => boolean): MaySleep<boolean> {
    const before = this.#freezer;
    const freezes = (task: Task) => before?.freezes(task) === true || which(task);
    this.#freezer = { task: this.#contexts.current, freezes };
    for (const cpu of this.#cpus) {
      const { current } = cpu;
      if (current !== undefined && this.#isFrozen(current)) {
        cpu.current = undefined;
        this.#refrigerator.add(current);
      }
      for (const entry of [...cpu.ready]) {
        if (!this.#isFrozen(entry)) continue;
        cpu.ready.delete(entry);
        this.#refrigerator.add(entry);
      }
    }
    for (;;) {
      const awake = [...this.#entries].filter(
        (entry) => !entry.freezable && entry.task !== this.#contexts.current && freezes(entry.task),
      );
      if (awake.length === 0) return true;
      // Who only waits for somebody that is frozen would wait for ever.
      if (this.#cpus.every((cpu) => cpu === this.#turn || cpu.current === undefined) && this.ready <= 1) {
        this.#wakePolled();
        if (this.ready <= 1) break;
      }
      yield FREEZING;
    }
    this.thaw();
    return false;
  }

  /** thaw_processes() and thaw_kernel_threads(). */
  thaw(): void {
    this.#freezer = undefined;
    const frozen = [...this.#refrigerator];
    this.#refrigerator.clear();
    for (const entry of frozen) this.#enqueue(entry);
  }

  /** Counters of each CPU. */
  get activity(): readonly CpuActivity[] {
    return this.#cpus;
  }

  /** Tasks that could move, but for those whose lock was released meanwhile; those on a CPU included. */
  get ready(): number {
    return this.#cpus.reduce((sum, cpu) => sum + cpu.load, 0);
  }

  /** No CPU but the one whose turn it is has stopped inside the kernel: memory is as operations leave it. */
  get othersInUser(): boolean {
    return this.#cpus.every((cpu) => cpu === this.#turn || cpu.current?.inUser !== false);
  }

  /** Nobody but the running task could move. */
  get isAlone(): boolean {
    let load = 0;
    for (const cpu of this.#cpus) load += cpu.load;
    if (load > 1) return false;
    for (const { waitQueue, sawWakeups } of this.#polled) {
      if (waitQueue?.wakeups !== sawWakeups) return false;
    }
    return true;
  }

  /** Instructions of user space that the running task may do before other CPUs move. */
  turnLength(): number {
    if (!this.#contexts.racing) return Number.POSITIVE_INFINITY;
    const magnitude = SHORTEST_TURN << this.#random.below(TURN_MAGNITUDES);
    return magnitude + this.#random.below(magnitude);
  }

  /** Runs the next CPU for a turn: its task to a RacePoint, SleepPoint or its end; false where no task can move. */
  step(): boolean {
    this.#wakePolled();
    const cpu = this.#cpus.length === 1 ? this.#cpus[0]! : this.#choose();
    if (cpu === undefined) return false;
    const entry = cpu.current ?? this.#next(cpu);
    if (entry === undefined) return false;
    const { current } = this.#contexts;
    this.#contexts.current = entry.task;
    this.#turn = cpu;
    try {
      this.#run(cpu, entry);
    } finally {
      this.#contexts.current = current;
      this.#contexts.racing = false;
      this.#turn = undefined;
    }
    return true;
  }

  /** set_cpus_allowed_ptr(): where the task waits for a CPU that it may no longer have, it waits for another. */
  setAllowed(task: Task, mask: number): void {
    task.cpusAllowed = mask;
    const cpu = this.#cpus[task.cpu]!;
    if (this.#mayRun(task, cpu)) return;
    for (const entry of cpu.ready) {
      if (entry.task !== task) continue;
      cpu.ready.delete(entry);
      this.#enqueue(entry);
    }
  }

  /** The task is on a CPU that it may no longer have: it is to leave it at its next turn. */
  misplaced(task: Task): boolean {
    return ((task.cpusAllowed >> task.cpu) & 1) === 0;
  }

  // ---- which CPU -----------------------------------------------------------------------------------

  #mayRun(task: Task, cpu: CpuQueue): boolean {
    return ((task.cpusAllowed >> cpu.index) & 1) === 1;
  }

  /** select_task_rq(): the CPU it was on, unless another has less to do. */
  #placeFor(task: Task): CpuQueue {
    let best = this.#cpus[task.cpu]!;
    if (this.#cpus.length === 1 || (best.idle && this.#mayRun(task, best))) return best;
    let found = this.#mayRun(task, best);
    for (const cpu of this.#cpus) {
      if (!this.#mayRun(task, cpu)) continue;
      if (!found || cpu.load < best.load) best = cpu;
      found = true;
    }
    return best;
  }

  #enqueue(entry: Entry): void {
    const { task } = entry;
    if (this.#isFrozen(entry)) {
      this.#refrigerator.add(entry);
      return;
    }
    const cpu = this.#placeFor(task);
    if (cpu.idle && this.#turn !== undefined && cpu !== this.#turn) {
      cpu.ipis++;
      // From now on somebody else can look.
      this.#contexts.racing = true;
    }
    if (task.cpu !== cpu.index) {
      task.cpu = cpu.index;
      cpu.migrations++;
    }
    cpu.ready.add(entry);
  }

  #next(cpu: CpuQueue): Entry | undefined {
    const next = cpu.ready.values().next();
    if (next.done === true) return undefined;
    cpu.ready.delete(next.value);
    cpu.switches++;
    return next.value;
  }

  /** newidle_balance(): a CPU without work takes the first task that may move from the one with most. */
  #balance(): void {
    for (const cpu of this.#cpus) {
      if (!cpu.idle) continue;
      let busiest: CpuQueue | undefined;
      for (const other of this.#cpus) {
        if (other.ready.size > 0 && other.load > Math.max(1, busiest?.load ?? 0)) busiest = other;
      }
      if (busiest === undefined) continue;
      for (const entry of busiest.ready) {
        if (!this.#mayRun(entry.task, cpu)) continue;
        busiest.ready.delete(entry);
        entry.task.cpu = cpu.index;
        cpu.migrations++;
        cpu.ready.add(entry);
        break;
      }
    }
  }

  /** Whose turn it is; says in `racing` whether others have work too. Undefined where nobody can move. */
  #choose(): CpuQueue | undefined {
    this.#balance();
    let busy = 0;
    const movable: CpuQueue[] = [];
    for (const cpu of this.#cpus) {
      if (cpu.idle) continue;
      busy++;
      if (cpu.current?.spinningOn?.held !== true) movable.push(cpu);
    }
    if (movable.length === 0) {
      if (busy > 0) throw this.#deadlock();
      return undefined;
    }
    this.#contexts.racing = busy > 1;
    return movable.length === 1 ? movable[0]! : movable[this.#random.below(movable.length)]!;
  }

  #deadlock(): KernelBug {
    const waiting = this.#cpus.flatMap(({ current }) =>
      current === undefined ? [] : [`${current.task.name} (${current.task.describeAtomic()})`],
    );
    return new KernelBug('deadlock', `every CPU spins: ${waiting.join('; ')}`);
  }

  #wakePolled(): void {
    for (const entry of this.#polled) {
      if (entry.waitQueue?.wakeups === entry.sawWakeups) continue;
      this.#polled.delete(entry);
      this.#enqueue(entry);
    }
  }

  // ---- a turn --------------------------------------------------------------------------------------

  #run(cpu: CpuQueue, entry: Entry): void {
    const { task } = entry;
    const alone = this.#cpus.length === 1;
    let left = alone ? 0 : 1 + this.#random.below(MOST_RACE_POINTS);
    entry.spinningOn = undefined;
    entry.inUser = false;
    entry.freezable = false;
    cpu.current = entry;
    for (;;) {
      const step = entry.work.next();
      if (step.done === true) {
        cpu.current = undefined;
        this.#entries.delete(entry);
        if (task.held.length > 0 || task.irqsOff > 0 || task.preemptCount > 0 || task.rcuDepth > 0) {
          throw new KernelBug('unbalanced', `${task.name} ends ${task.describeAtomic()}`);
        }
        return;
      }
      const point = step.value;
      checkPoint(task, point);
      if (point.point === 'sleep') {
        cpu.current = undefined;
        entry.freezable = point.freezable === true && task.held.length === 0;
        this.#sleep(entry, point);
        return;
      }
      if (point.spinningOn?.held === true) {
        // Nobody sleeps with a spinlock held, so on one CPU none is ever found taken.
        if (alone) {
          throw new KernelBug('deadlock', `${task.name} spins at ${point.at}, and its holder cannot run`);
        }
        entry.spinningOn = point.spinningOn;
        return;
      }
      if (!this.#contexts.racing) continue;
      left--;
      if (left > 0 && point.turnOver !== true) continue;
      entry.inUser = point.turnOver === true;
      entry.freezable = entry.inUser;
      if (this.#isFrozen(entry)) {
        cpu.current = undefined;
        this.#refrigerator.add(entry);
      }
      return;
    }
  }

  #sleep(entry: Entry, point: SleepPoint): void {
    const queue = point.waitQueue;
    if (queue === undefined) {
      this.#enqueue(entry);
    } else if (queue instanceof Sleeper) {
      queue.onWake = () => {
        queue.onWake = undefined;
        this.#enqueue(entry);
      };
    } else {
      entry.waitQueue = queue as { readonly wakeups: number };
      entry.sawWakeups = entry.waitQueue.wakeups;
      this.#polled.add(entry);
    }
  }
}
