/**
 * System V semaphores: sets whose operations happen together or wait.
 *
 * An operation that cannot be done is queued; after every change the queue is gone through from the front, and who
 * can go on is told the result. What SEM_UNDO is to give back is kept by process.
 *
 * Ref. ipc/sem.c (perform_atomic_semop_slow, do_smart_update, exit_sem); semop(2).
 */
import {
  E2BIG,
  EAGAIN,
  EFBIG,
  EIDRM,
  EINTR,
  EINVAL,
  ENOSPC,
  ERANGE,
  type MaySleep,
  type Waiter,
} from '../contexts/index.js';
import {
  IPC,
  type IpcCaller,
  IpcIds,
  type IpcObject,
  type IpcPermissions,
  ipcLine,
  writePermissions,
} from './ids.js';

export const SEM_UNDO = 0x1000;
const SEMMNI = 32000;
const SEMMSL = 32000;
export const SEMOPM = 500;
const SEMVMX = 32767;

/** struct sembuf. */
export interface SemaphoreOperation {
  readonly number: number;
  readonly change: number;
  readonly flags: number;
}

interface Semaphore {
  value: number;
  /** The last process that changed it. */
  pid: number;
}

/** Whose SEM_UNDO adjustments belong together: a process. */
export type UndoOwner = object;

interface Pending {
  readonly waiter: Waiter;
  readonly operations: readonly SemaphoreOperation[];
  readonly owner: UndoOwner;
  readonly pid: number;
  /** The operation it waits for. */
  blocking: SemaphoreOperation;
  result: number | undefined;
}

export interface SemaphoreSet extends IpcObject {
  readonly perm: IpcPermissions;
  readonly semaphores: readonly Semaphore[];
  readonly pending: Pending[];
  readonly undo: Map<UndoOwner, Int32Array>;
  operated: bigint;
  changed: bigint;
}

export class Semaphores {
  readonly ids = new IpcIds<SemaphoreSet>(SEMMNI);
  readonly #now: () => bigint;

  /** @param now seconds since 1970. */
  constructor(now: () => bigint) {
    this.#now = now;
  }

  /** semget(2). */
  open(caller: IpcCaller, key: number, count: number, flags: number): number {
    if (count < 0 || count > SEMMSL) return -EINVAL;
    return this.ids.open(
      caller,
      key,
      flags,
      (perm) => {
        if (count === 0) return -EINVAL;
        if (this.total + count > SEMMNI * SEMMSL) return -ENOSPC;
        const semaphores = Array.from({ length: count }, () => ({ value: 0, pid: 0 }));
        return { perm, semaphores, pending: [], undo: new Map(), operated: 0n, changed: this.#now() };
      },
      ({ semaphores }) => (count > semaphores.length ? -EINVAL : 0),
    );
  }

  /** Semaphores of all sets. */
  get total(): number {
    return this.ids.all.reduce((sum, { semaphores }) => sum + semaphores.length, 0);
  }

  /**
   * semtimedop(2): 0 or a negative errno.
   *
   * @param expired whether the time to wait is over; the caller's timer wakes the waiter then.
   */
  *operate(
    set: SemaphoreSet,
    operations: readonly SemaphoreOperation[],
    waiter: Waiter,
    owner: UndoOwner,
    pid: number,
    expired: () => boolean,
  ): MaySleep<number> {
    if (operations.length > SEMOPM) return -E2BIG;
    if (operations.some(({ number }) => number >= set.semaphores.length)) return -EFBIG;
    const first = this.#try(set, operations, owner, pid);
    if (typeof first === 'number') {
      if (first === 0) this.#update(set);
      return first;
    }
    if ((first.flags & IPC.NOWAIT) !== 0) return -EAGAIN;
    const pending: Pending = { waiter, operations, owner, pid, blocking: first, result: undefined };
    set.pending.push(pending);
    try {
      for (;;) {
        if (pending.result !== undefined) return pending.result;
        if (expired()) return -EAGAIN;
        if (waiter.interrupted) return -EINTR;
        yield waiter.sleeper.point;
      }
    } finally {
      const at = set.pending.indexOf(pending);
      if (at >= 0) set.pending.splice(at, 1);
    }
  }

  /** All operations or none: 0, a negative errno, or the operation that has to wait. */
  #try(
    set: SemaphoreSet,
    operations: readonly SemaphoreOperation[],
    owner: UndoOwner,
    pid: number,
  ): number | SemaphoreOperation {
    const values = new Map<number, number>();
    const undo = new Map<number, number>();
    for (const operation of operations) {
      const { number, change, flags } = operation;
      const before = values.get(number) ?? set.semaphores[number]!.value;
      const value = before + change;
      if (change === 0 ? before !== 0 : value < 0) return operation;
      if (value > SEMVMX) return -ERANGE;
      if ((flags & SEM_UNDO) !== 0) {
        const adjusted = (undo.get(number) ?? set.undo.get(owner)?.[number] ?? 0) - change;
        if (adjusted < -SEMVMX - 1 || adjusted > SEMVMX) return -ERANGE;
        undo.set(number, adjusted);
      }
      values.set(number, value);
    }
    for (const [number, value] of values) {
      const semaphore = set.semaphores[number]!;
      semaphore.value = value;
      semaphore.pid = pid;
    }
    if (undo.size > 0) {
      const adjustments = set.undo.get(owner) ?? new Int32Array(set.semaphores.length);
      for (const [number, adjusted] of undo) adjustments[number] = adjusted;
      set.undo.set(owner, adjustments);
    }
    set.operated = this.#now();
    return 0;
  }

  /** Who can go on after a change, in the order they came. */
  #update(set: SemaphoreSet): void {
    for (let at = 0; at < set.pending.length; ) {
      const pending = set.pending[at]!;
      const result = this.#try(set, pending.operations, pending.owner, pending.pid);
      if (typeof result !== 'number') {
        pending.blocking = result;
        at++;
        continue;
      }
      set.pending.splice(at, 1);
      pending.result = result;
      pending.waiter.sleeper.wake();
      // What it changed may let one go that was passed over.
      if (result === 0 && pending.operations.some(({ change }) => change !== 0)) at = 0;
    }
  }

  /** SETVAL and SETALL, from `first` on: 0 or -ERANGE. What was to be undone of these is forgotten. */
  setValues(set: SemaphoreSet, first: number, values: readonly number[], pid: number): number {
    if (values.some((value) => value < 0 || value > SEMVMX)) return -ERANGE;
    values.forEach((value, i) => {
      const semaphore = set.semaphores[first + i]!;
      semaphore.value = value;
      semaphore.pid = pid;
      for (const adjustments of set.undo.values()) adjustments[first + i] = 0;
    });
    set.changed = this.#now();
    this.#update(set);
    return 0;
  }

  /** IPC_RMID: who waits gets -EIDRM. */
  remove(set: SemaphoreSet): void {
    this.ids.remove(set);
    for (const pending of set.pending) {
      pending.result = -EIDRM;
      pending.waiter.sleeper.wake();
    }
    set.pending.length = 0;
  }

  /** exit_sem(). */
  exit(owner: UndoOwner, pid: number): void {
    for (const set of this.ids.all) {
      const adjustments = set.undo.get(owner);
      if (adjustments === undefined) continue;
      set.undo.delete(owner);
      adjustments.forEach((adjusted, number) => {
        const semaphore = set.semaphores[number]!;
        if (adjusted === 0) return;
        semaphore.value = Math.max(0, Math.min(SEMVMX, semaphore.value + adjusted));
        semaphore.pid = pid;
      });
      set.operated = this.#now();
      this.#update(set);
    }
  }

  touch(set: SemaphoreSet): void {
    set.changed = this.#now();
  }

  /** /proc/sysvipc/sem. */
  text(): string {
    const rows = this.ids.all.map(({ perm, semaphores, operated, changed }) =>
      ipcLine([
        [perm.key | 0, 10],
        [perm.id, 10],
        [perm.mode.toString(8), 5],
        [semaphores.length, 10],
        [perm.uid, 5],
        [perm.gid, 5],
        [perm.cuid, 5],
        [perm.cgid, 5],
        [String(operated), 10],
        [String(changed), 10],
      ]),
    );
    return [
      '       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n',
      ...rows,
    ].join('');
  }
}

/** GETNCNT and GETZCNT: who waits for a semaphore to grow, or to become zero. */
export function waitersOf(set: SemaphoreSet, number: number, forZero: boolean): number {
  return set.pending.filter(
    ({ blocking }) => blocking.number === number && (blocking.change === 0) === forZero,
  ).length;
}

/** struct semid64_ds of 88 bytes. */
export function semaphoreSetBytes({ perm, operated, changed, semaphores }: SemaphoreSet): Uint8Array {
  const bytes = new Uint8Array(88);
  const view = new DataView(bytes.buffer);
  writePermissions(view, perm);
  view.setBigInt64(48, operated, true);
  view.setBigInt64(56, changed, true);
  view.setBigUint64(64, BigInt(semaphores.length), true);
  return bytes;
}

/** struct seminfo: ten ints; `used` and `total` are in the places of semusz and semaem for SEM_INFO. */
export function semaphoreLimits(used = 20, total = SEMVMX): Int32Array {
  return Int32Array.of(
    SEMMNI * SEMMSL,
    SEMMNI,
    SEMMNI * SEMMSL,
    SEMMNI * SEMMSL,
    SEMMSL,
    SEMOPM,
    SEMOPM,
    used,
    SEMVMX,
    total,
  );
}
