/**
 * Futexes: threads that sleep on a word of user memory, and locks whose owner the word names (PI futexes).
 *
 * A word is named by its address space and address, or in shared memory by its file and offset. Waiters stand in the
 * order of their real-time priority, then in that of their coming. The owner of a PI futex with waiters is not run
 * sooner than others: nothing is scheduled by priority here; what is passed on is the lock itself.
 *
 * Ref. kernel/futex/{core,waitwake,requeue,pi}.c; futex(2), Documentation/locking/pi-futex.rst.
 */
import { untagged, VA } from '../../base/index.js';
import { EAGAIN, EDEADLK, EFAULT, EINVAL, EPERM, ESRCH, type MaySleep } from '../contexts/index.js';
import type { MemoryManager } from '../mm/index.js';
import type { Thread } from './thread.js';
import { updateU32 } from './user-memory.js';

export const FUTEX_BITSET_MATCH_ANY = 0xffffffff;
export const FUTEX_WAITERS = 0x80000000;
export const FUTEX_OWNER_DIED = 0x40000000;
export const FUTEX_TID_MASK = 0x3fffffff;

/** struct futex_pi_state: who has a lock that others wait for; undefined: its owner ended. */
export interface PiState {
  owner: Thread | undefined;
}

export interface FutexWaiter {
  readonly thread: Thread;
  readonly bitset: number;
  key: string;
  address: bigint;
  woken: boolean;
  /** Waits for this lock. */
  pi: PiState | undefined;
  /** FUTEX_WAIT_REQUEUE_PI: where it may be moved to. */
  readonly requeueKey: string | undefined;
}

/** How a wait ended. */
export type FutexEnd = 'woken' | 'signal' | 'timeout';

const priorityOf = ({ thread }: FutexWaiter): number => thread.scheduling.priority;

/** The tid that a word names. */
const ownerOf = (word: number): number => word & FUTEX_TID_MASK;

export class Futexes {
  readonly #queues = new Map<string, FutexWaiter[]>();
  /** Locks with waiters, by their owner. */
  readonly #owned = new Map<Thread, Set<PiState>>();

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

  // ---- queues ----------------------------------------------------------------------------------------

  #enqueue(waiter: FutexWaiter): void {
    const queue = this.#queues.get(waiter.key) ?? [];
    const before = queue.findIndex((other) => priorityOf(other) < priorityOf(waiter));
    queue.splice(before < 0 ? queue.length : before, 0, waiter);
    this.#queues.set(waiter.key, queue);
  }

  #dequeue(waiter: FutexWaiter): void {
    const queue = this.#queues.get(waiter.key);
    const at = queue?.indexOf(waiter) ?? -1;
    if (at >= 0) queue?.splice(at, 1);
    if (queue?.length === 0) this.#queues.delete(waiter.key);
  }

  #at(key: string): readonly FutexWaiter[] {
    return this.#queues.get(key) ?? [];
  }

  /** futex_queue(): a waiter that has not slept yet. */
  queue(
    thread: Thread,
    key: string,
    address: bigint,
    bitset = FUTEX_BITSET_MATCH_ANY,
    requeueKey?: string,
  ): FutexWaiter {
    const waiter: FutexWaiter = { thread, bitset, key, address, woken: false, pi: undefined, requeueKey };
    this.#enqueue(waiter);
    return waiter;
  }

  /** futex_unqueue(): nothing where it was woken. */
  unqueue(waiter: FutexWaiter): void {
    if (waiter.woken) return;
    this.#dequeue(waiter);
    this.#dropLock(waiter.pi, waiter.key);
  }

  /**
   * Sleeps until woken.
   *
   * @param expired asked after each wake-up: the deadline has passed.
   */
  *sleep(waiter: FutexWaiter, expired: () => boolean): MaySleep<FutexEnd> {
    const { thread } = waiter;
    for (;;) {
      if (waiter.woken) return 'woken';
      if (expired()) return 'timeout';
      if (thread.interrupted) return 'signal';
      yield thread.sleeper.point;
    }
  }

  #wake(waiter: FutexWaiter): void {
    this.#dequeue(waiter);
    waiter.woken = true;
    waiter.thread.sleeper.wake();
  }

  /**
   * Wakes at most `count` waiters of the bitset; gives how many, or -EINVAL where one waits for a lock or to be moved
   * to one.
   */
  wake(key: string, count: number, bitset = FUTEX_BITSET_MATCH_ANY): number {
    let woken = 0;
    for (const waiter of [...this.#at(key)]) {
      if (waiter.pi !== undefined || waiter.requeueKey !== undefined) return woken > 0 ? woken : -EINVAL;
      if ((waiter.bitset & bitset) === 0) continue;
      this.#wake(waiter);
      if (++woken >= count) break;
    }
    return woken;
  }

  /** Wakes `wake` waiters of `from` and moves up to `move` others to `to`; the sum, or -EINVAL. */
  requeue(from: string, to: string, toAddress: bigint, wake: number, move: number): number {
    let done = 0;
    for (const waiter of [...this.#at(from)]) {
      if (done >= wake + move) break;
      if (waiter.pi !== undefined || waiter.requeueKey !== undefined) return -EINVAL;
      if (done < wake) {
        this.#wake(waiter);
      } else {
        this.#move(waiter, to, toAddress);
      }
      done++;
    }
    return done;
  }

  #move(waiter: FutexWaiter, to: string, address: bigint): void {
    this.#dequeue(waiter);
    waiter.key = to;
    waiter.address = address;
    this.#enqueue(waiter);
  }

  // ---- locks -----------------------------------------------------------------------------------------

  #setOwner(pi: PiState, owner: Thread | undefined): void {
    if (pi.owner !== undefined) {
      const owned = this.#owned.get(pi.owner);
      owned?.delete(pi);
      if (owned?.size === 0) this.#owned.delete(pi.owner);
    }
    pi.owner = owner;
    if (owner === undefined) return;
    const owned = this.#owned.get(owner) ?? new Set<PiState>();
    owned.add(pi);
    this.#owned.set(owner, owned);
  }

  /** Without waiters there is nothing to remember of a lock. */
  #dropLock(pi: PiState | undefined, key: string): void {
    if (pi !== undefined && !this.#at(key).some((waiter) => waiter.pi === pi)) this.#setOwner(pi, undefined);
  }

  /** What `tryLock` found is not waited for after all. */
  forget(pi: PiState, key: string): void {
    this.#dropLock(pi, key);
  }

  /** rt_mutex's check: the owner waits, in the end, for the thread. */
  #deadlocks(thread: Thread, pi: PiState): boolean {
    const seen = new Set<Thread>();
    for (let owner = pi.owner; owner !== undefined && !seen.has(owner); ) {
      if (owner === thread) return true;
      seen.add(owner);
      owner = this.#waitOf(owner)?.pi?.owner;
    }
    return false;
  }

  #waitOf(thread: Thread): FutexWaiter | undefined {
    for (const queue of this.#queues.values()) {
      for (const waiter of queue) if (waiter.thread === thread && waiter.pi !== undefined) return waiter;
    }
    return undefined;
  }

  /**
   * futex_lock_pi_atomic(): takes the lock where the word names nobody, else marks the word as waited for.
   *
   * @param caller whose memory the word is in.
   * @param takerOf who takes it, asked together with the word; undefined: nobody does any more, and 0 is the result.
   * @param findThread a thread by its number.
   * @returns 'taken', the state of the lock that somebody has, or a negative errno.
   */
  *tryLock(
    caller: Thread,
    takerOf: () => Thread | undefined,
    address: bigint,
    key: string,
    waits: boolean,
    findThread: (tid: number) => Thread | undefined,
  ): MaySleep<'taken' | PiState | number> {
    let waiter: FutexWaiter | undefined;
    let next: 'taken' | PiState | number = -EFAULT;
    const found = yield* updateU32(this.#mm, caller, address, (word) => {
      // Asked together with the word: waiters may come and go while the word's page is brought in.
      waiter = this.#at(key)[0];
      const taker = takerOf();
      if (taker === undefined) {
        next = 0;
        return undefined;
      }
      if (ownerOf(word) === taker.tid) {
        next = -EDEADLK;
        return undefined;
      }
      if (waiter !== undefined) {
        next = waiter.pi === undefined ? -EINVAL : knownState(waiter.pi, word);
        if (typeof next === 'number') return undefined;
        return (word | FUTEX_WAITERS) >>> 0;
      }
      if (ownerOf(word) === 0) {
        next = 'taken';
        return ((word & FUTEX_OWNER_DIED) | taker.tid | (waits ? FUTEX_WAITERS : 0)) >>> 0;
      }
      const owner = findThread(ownerOf(word));
      if (owner === undefined) {
        next = -ESRCH;
        return undefined;
      }
      next = { owner: undefined };
      return (word | FUTEX_WAITERS) >>> 0;
    });
    if (found === undefined) return -EFAULT;
    const outcome = next as 'taken' | PiState | number;
    if (typeof outcome === 'object' && outcome.owner === undefined && waiter === undefined) {
      this.#setOwner(outcome, findThread(ownerOf(found)));
    }
    return outcome;
  }

  /**
   * Waits for a lock in line; -EDEADLK where it would be for ever.
   *
   * @returns how the wait ended: 'woken' with the lock.
   */
  *waitForLock(waiter: FutexWaiter, pi: PiState, expired: () => boolean): MaySleep<FutexEnd | number> {
    waiter.pi = pi;
    if (this.#deadlocks(waiter.thread, pi)) {
      this.unqueue(waiter);
      return -EDEADLK;
    }
    const ended = yield* this.sleep(waiter, expired);
    // The lock may have come together with the signal.
    if (waiter.woken) return 'woken';
    this.unqueue(waiter);
    return ended;
  }

  /** futex_unlock_pi(): 0 or a negative errno. */
  *unlock(thread: Thread, address: bigint, key: string): MaySleep<number> {
    let error = 0;
    const found = yield* updateU32(this.#mm, thread, address, (word) => {
      if (ownerOf(word) !== thread.tid) {
        error = -EPERM;
        return undefined;
      }
      const top = this.#at(key)[0];
      if (top === undefined) return 0;
      if (top.pi === undefined || top.pi.owner !== thread) {
        error = -EINVAL;
        return undefined;
      }
      return (FUTEX_WAITERS | top.thread.tid) >>> 0;
    });
    if (found === undefined) return -EFAULT;
    if (error !== 0) return error;
    const top = this.#at(key)[0];
    if (top !== undefined) this.#handOver(top);
    return 0;
  }

  #handOver(waiter: FutexWaiter): void {
    const { pi, key } = waiter;
    this.#wake(waiter);
    if (pi === undefined) return;
    this.#setOwner(pi, waiter.thread);
    this.#dropLock(pi, key);
  }

  /**
   * FUTEX_CMP_REQUEUE_PI after the comparison: the first waiter gets the lock if it is free, the others up to `move`
   * stand in line for it. The sum of both, or a negative errno.
   */
  *requeueToLock(
    thread: Thread,
    from: string,
    to: string,
    toAddress: bigint,
    move: number,
    findThread: (tid: number) => Thread | undefined,
  ): MaySleep<number> {
    let done = 0;
    let top = this.#at(from)[0];
    if (top === undefined) return 0;
    if (top.requeueKey !== to) return -EINVAL;
    const first = () => {
      // The one that was first may have gone while the word's page was brought in.
      top = this.#at(from)[0];
      return top?.requeueKey === to ? top.thread : undefined;
    };
    let pi = yield* this.tryLock(thread, first, toAddress, to, move > 0, findThread);
    if (typeof pi === 'number') return pi;
    if (top === undefined) return 0;
    if (pi === 'taken') {
      this.#wake(top);
      done++;
      if (move === 0) return done;
    }
    for (const waiter of [...this.#at(from)]) {
      if (done >= 1 + move) break;
      if (waiter.requeueKey === undefined || waiter.pi !== undefined || waiter.requeueKey !== to)
        return -EINVAL;
      if (pi === 'taken') {
        const held: PiState = { owner: undefined };
        this.#setOwner(held, top.thread);
        pi = held;
      }
      if (this.#deadlocks(waiter.thread, pi)) return done > 0 ? done : -EDEADLK;
      this.#move(waiter, to, toAddress);
      waiter.pi = pi;
      done++;
    }
    return done;
  }

  /** exit_pi_state_list(): locks of a thread that ends go to who waits first, marked as the dead one's. */
  *exit(thread: Thread): MaySleep<void> {
    for (;;) {
      // Others come to wait for what the thread still has while it gives away the rest.
      const owned = this.#owned.get(thread)?.values().next().value;
      if (owned === undefined) return;
      yield* this.#inherit(owned);
    }
  }

  /** A lock whose owner ends: who waits first when the word is written has it. */
  *#inherit(pi: PiState): MaySleep<void> {
    const owner = pi.owner;
    for (;;) {
      const waiter = this.#firstFor(pi);
      if (waiter === undefined) {
        this.#setOwner(pi, undefined);
        return;
      }
      let heir: FutexWaiter | undefined;
      // fixup_pi_state_owner(): in the waiter's memory, which is there as long as it waits.
      const found = yield* updateU32(this.#mm, waiter.thread, waiter.address, () => {
        // Asked together with the word: a waiter may give up while the word's page is brought in.
        heir = this.#firstFor(pi);
        return heir && (FUTEX_WAITERS | FUTEX_OWNER_DIED | heir.thread.tid) >>> 0;
      });
      if (pi.owner !== owner) return;
      // A word that cannot be written keeps nobody from having the lock.
      if (found === undefined && this.#firstFor(pi) === waiter) heir = waiter;
      if (heir === undefined) continue;
      this.#handOver(heir);
      return;
    }
  }

  #firstFor(pi: PiState): FutexWaiter | undefined {
    for (const queue of this.#queues.values()) {
      for (const waiter of queue) if (waiter.pi === pi) return waiter;
    }
    return undefined;
  }
}

/** attach_to_pi_state(): what the word says agrees with who is known to have the lock; else -EINVAL. */
function knownState(pi: PiState, word: number): PiState | number {
  const tid = ownerOf(word);
  if ((word & FUTEX_OWNER_DIED) !== 0) {
    if (pi.owner === undefined) return tid === 0 ? pi : -EINVAL;
    if (tid === 0) return pi;
  }
  return pi.owner?.tid === tid ? pi : -EINVAL;
}

/** -EAGAIN of FUTEX_TRYLOCK_PI where somebody has the lock. */
export const LOCK_IS_HELD = -EAGAIN;
