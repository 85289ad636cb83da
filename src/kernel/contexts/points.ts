/**
 * The three colours of kernel function, as types.
 *
 * A plain function is indivisible: no other CPU ever sees its middle. An `Atomic` function cannot
 * sleep, but its intermediate states are visible to other CPUs, so it yields a `RacePoint` between
 * them. A `MaySleep` function may give up its CPU at a `SleepPoint`: mutexes, GFP_KERNEL reclaim,
 * migration, disk. `yield*` of a `MaySleep` inside an `Atomic` function does not compile, because a
 * `SleepPoint` does not fit what an `Atomic` function yields: the fault that stopped RFC v3 (a
 * GFP_KERNEL allocation in copy_highpage under a page-table lock) is a type error here.
 */

/** A moment at which other CPUs may look at, or change, what this one is working on. */
export interface RacePoint {
  readonly point: 'race';
  /** What was just done or is about to be done, for schedules and reports: `set_pte`. */
  readonly at: string;
  /** Present when the task cannot go on before a spinlock is free: the scheduler must run others. */
  readonly spinningOn?: { readonly held: boolean };
  /** The task has done its share for now: other CPUs go first. User space between two instructions is such a point. */
  readonly turnOver?: true;
}

/** A moment at which the task gives up its CPU. */
export interface SleepPoint {
  readonly point: 'sleep';
  readonly at: string;
  /** Present when the task waits to be woken; absent when it stays runnable (cond_resched). */
  readonly waitQueue?: object;
  /** try_to_freeze(): who is here holds nothing that others wait for, and may stay for as long as anybody likes. */
  readonly freezable?: true;
}

/** Cannot sleep; shows its intermediate states at RacePoints. */
export type Atomic<T> = Generator<RacePoint, T, void>;

/** May give up its CPU: never to be called with a spinlock held or in an RCU section. */
export type MaySleep<T> = Generator<RacePoint | SleepPoint, T, void>;

/** A `RacePoint` constant; make one per place, at module level: yielding must not allocate. */
export const racePoint = (at: string): RacePoint => Object.freeze({ point: 'race', at });

/** A `RacePoint` at which the task's turn is over. */
export const turnPoint = (at: string): RacePoint => Object.freeze({ point: 'race', at, turnOver: true });

/** A `SleepPoint` at which the task stays runnable. */
export const sleepPoint = (at: string): SleepPoint => Object.freeze({ point: 'sleep', at });

/** The same, where the task may be frozen: on the way back to user space, say. */
export const freezablePoint = (at: string): SleepPoint =>
  Object.freeze({ point: 'sleep', at, freezable: true });

/**
 * Runs a sleeping function where sleeping is forbidden: the one hole in the colours, needed so that
 * the series as posted can be run with its faults. The scheduler still throws `KernelBug` when the
 * callee reaches a SleepPoint with a spinlock held.
 */
export function unsafeSleepInAtomic<T>(sleeping: MaySleep<T>): Atomic<T> {
  return sleeping as Atomic<unknown> as Atomic<T>;
}

const NO_POINTS: readonly RacePoint[] = [];

/** An Atomic function that has nothing to do but to answer. */
export function* immediately<T>(value: T): Atomic<T> {
  yield* NO_POINTS;
  return value;
}
