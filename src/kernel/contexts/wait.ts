/**
 * Waiting for events that many may wait for, with signals and deadlines: wait queues of the floors
 * above memory management.
 *
 * A waiter is on any number of lists at once (poll); whoever is woken looks at its condition again.
 *
 * Ref. include/linux/wait.h (wait_event_interruptible), fs/select.c (poll_table).
 */
import type { MaySleep } from './points.js';
import type { Sleeper } from './run-queue.js';

/** Who can wait: a thread, as far as waiting is concerned. */
export interface Waiter {
  readonly sleeper: Sleeper;
  /** signal_pending(): an interruptible wait ends. */
  readonly interrupted: boolean;
}

/** Told of each wake-up with what it was for: bits of poll(2), all of them where nobody said. */
export type WakeListener = (events: number) => void;

const ANY_EVENT = 0xffff;

/** A list of waiters, first come first woken. */
export class WaitList {
  readonly #waiters = new Set<Waiter>();
  readonly #listeners = new Set<WakeListener>();

  get empty(): boolean {
    return this.#waiters.size === 0;
  }

  add(waiter: Waiter): void {
    this.#waiters.add(waiter);
  }

  remove(waiter: Waiter): void {
    this.#waiters.delete(waiter);
  }

  /** Calls `listener` at every wake-up, whether anybody waits or not (epoll); gives what ends that. */
  listen(listener: WakeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Everybody looks again; `events` says what may hold now, for those who listen. */
  wake(events = ANY_EVENT): void {
    for (const waiter of this.#waiters) waiter.sleeper.wake();
    for (const listener of this.#listeners) listener(events);
  }
}

/**
 * wait_event_interruptible(): sleeps until `condition` holds.
 *
 * @returns false where a signal ended the wait before.
 */
export function* waitFor(
  waiter: Waiter,
  lists: readonly WaitList[],
  condition: () => boolean,
): MaySleep<boolean> {
  if (condition()) return true;
  for (const list of lists) list.add(waiter);
  try {
    while (!condition()) {
      if (waiter.interrupted) return false;
      yield waiter.sleeper.point;
    }
    return true;
  } finally {
    for (const list of lists) list.remove(waiter);
  }
}
