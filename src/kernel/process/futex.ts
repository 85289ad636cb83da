/**
 * Futexes: threads that sleep on a word of user memory.
 *
 * A word is named by its address space and address, or in shared memory by its file and offset.
 *
 * Ref. kernel/futex/{waitwake,requeue}.c.
 */
import { untagged, VA } from '../../base/index.js';
import type { MaySleep } from '../contexts/index.js';
import type { MemoryManager } from '../mm/index.js';
import type { Thread } from './thread.js';

interface FutexWaiter {
  readonly thread: Thread;
  readonly bitset: number;
  key: string;
  woken: boolean;
}

export const FUTEX_BITSET_MATCH_ANY = 0xffffffff;

export class Futexes {
  readonly #queues = new Map<string, Set<FutexWaiter>>();

  readonly #mm: MemoryManager;

  constructor(mm: MemoryManager) {
    this.#mm = mm;
  }

  /** get_futex_key(): `shared` where the caller did not promise that only this process uses the word. */
  keyOf(thread: Thread, address: bigint, shared = true): string {
    const as = thread.process.mm;
    const va = untagged(VA(address));
    if (shared) {
      const vma = this.#mm.findVma(as, va);
      if (vma?.shared === true && vma.backing !== undefined) {
        return `file ${vma.backing.file}:${BigInt(vma.backing.offset) + va - vma.start}`;
      }
    }
    return `${as.id}:${va.toString(16)}`;
  }

  #enqueue(waiter: FutexWaiter): void {
    const queue = this.#queues.get(waiter.key) ?? new Set<FutexWaiter>();
    queue.add(waiter);
    this.#queues.set(waiter.key, queue);
  }

  #dequeue(waiter: FutexWaiter): void {
    const queue = this.#queues.get(waiter.key);
    queue?.delete(waiter);
    if (queue?.size === 0) this.#queues.delete(waiter.key);
  }

  /**
   * Sleeps until woken; the caller has compared the word, with no sleep since.
   *
   * @param expired asked after each wake-up: the deadline has passed.
   */
  *wait(
    thread: Thread,
    key: string,
    bitset: number,
    expired: () => boolean,
  ): MaySleep<'woken' | 'signal' | 'timeout'> {
    const waiter: FutexWaiter = { thread, bitset, key, woken: false };
    this.#enqueue(waiter);
    try {
      for (;;) {
        if (waiter.woken) return 'woken';
        if (expired()) return 'timeout';
        if (thread.interrupted) return 'signal';
        yield thread.sleeper.point;
      }
    } finally {
      if (!waiter.woken) this.#dequeue(waiter);
    }
  }

  /** Wakes at most `count` waiters of the bitset, in the order they came; gives how many. */
  wake(key: string, count: number, bitset = FUTEX_BITSET_MATCH_ANY): number {
    let woken = 0;
    for (const waiter of this.#queues.get(key) ?? []) {
      if (woken >= count) break;
      if ((waiter.bitset & bitset) === 0) continue;
      this.#dequeue(waiter);
      waiter.woken = true;
      waiter.thread.sleeper.wake();
      woken++;
    }
    return woken;
  }

  /** Wakes `wake` waiters of `from` and moves up to `move` others to `to`; gives both numbers. */
  requeue(from: string, to: string, wake: number, move: number): { woken: number; moved: number } {
    const woken = this.wake(from, wake);
    let moved = 0;
    for (const waiter of [...(this.#queues.get(from) ?? [])]) {
      if (moved >= move) break;
      this.#dequeue(waiter);
      waiter.key = to;
      this.#enqueue(waiter);
      moved++;
    }
    return { woken, moved };
  }
}
