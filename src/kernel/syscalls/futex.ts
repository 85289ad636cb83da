/**
 * futex(2) and futex_waitv(2): wait, wake, requeue, wake-op, locks with an owner.
 *
 * Ref. kernel/futex/syscalls.c, futex(2).
 */
import { untagged, VA } from '../../base/index.js';
import {
  EAGAIN,
  EFAULT,
  EINVAL,
  ENOSYS,
  ERESTART_RESTARTBLOCK,
  ERESTARTNOINTR,
  ERESTARTSYS,
  ETIMEDOUT,
  type MaySleep,
} from '../contexts/index.js';
import {
  FUTEX_BITSET_MATCH_ANY,
  type FutexEnd,
  type FutexWaiter,
  LOCK_IS_HELD,
  readU32,
  readUser,
  type Thread,
  updateU32,
} from '../process/index.js';
import { int, type Syscall, type SyscallArguments, type SyscallServices, uint } from './row.js';
import { readTimespec } from './sleeping.js';

const OP = {
  WAIT: 0,
  WAKE: 1,
  REQUEUE: 3,
  CMP_REQUEUE: 4,
  WAKE_OP: 5,
  LOCK_PI: 6,
  UNLOCK_PI: 7,
  TRYLOCK_PI: 8,
  WAIT_BITSET: 9,
  WAKE_BITSET: 10,
  WAIT_REQUEUE_PI: 11,
  CMP_REQUEUE_PI: 12,
  LOCK_PI2: 13,
} as const;
const PRIVATE_FLAG = 128;
const CLOCK_REALTIME = 256;
const COMMAND = ~(PRIVATE_FLAG | CLOCK_REALTIME);
/** Commands that FUTEX_CLOCK_REALTIME goes with. */
const TAKES_CLOCK: ReadonlySet<number> = new Set([OP.WAIT_BITSET, OP.WAIT_REQUEUE_PI, OP.LOCK_PI2]);

/** struct futex_waitv, and how many one call may name. */
const WAITV_BYTES = 24;
const WAITV_MOST = 128;
const FUTEX_32 = 2;
const CLOCK_MONOTONIC = 1;

/** Runs `work` with a wake-up at `deadline`, of the monotonic clock; `expired` says whether it has passed. */
function* withDeadline<T>(
  { timers, clock }: SyscallServices,
  thread: Thread,
  deadline: bigint | undefined,
  work: (expired: () => boolean) => MaySleep<T>,
): MaySleep<T> {
  const timer = deadline === undefined ? undefined : timers.add(deadline, () => thread.sleeper.wake());
  try {
    return yield* work(() => deadline !== undefined && clock.monotonic >= deadline);
  } finally {
    timers.cancel(timer);
  }
}

/** A time of one of two clocks, as one of the monotonic clock; undefined: for ever. */
function* absoluteDeadline(
  services: SyscallServices,
  thread: Thread,
  address: bigint,
  isRealtime: boolean,
): MaySleep<bigint | undefined | number> {
  if (address === 0n) return undefined;
  const time = yield* readTimespec(services, thread, address);
  if (typeof time === 'number') return time;
  const { clock } = services;
  return isRealtime ? time - (clock.realtime - clock.monotonic) : time;
}

/** Queued first, then compared: nothing that is done to the word in between is missed. */
function* queueIfEqual(
  { mm, futexes }: SyscallServices,
  thread: Thread,
  address: bigint,
  expected: number,
  isShared: boolean,
  bitset: number,
  requeueKey?: string,
): MaySleep<FutexWaiter | number> {
  if (address % 4n !== 0n) return -EINVAL;
  const waiter = futexes.queue(thread, futexes.keyOf(thread, address, isShared), address, bitset, requeueKey);
  const word = yield* readU32(mm, thread, address);
  if (word === expected || waiter.woken) return waiter;
  futexes.unqueue(waiter);
  return word === undefined ? -EFAULT : -EAGAIN;
}

interface WaitRequest {
  readonly address: bigint;
  readonly expected: number;
  readonly bitset: number;
  readonly isShared: boolean;
  readonly deadline: bigint | undefined;
}

function* wait(services: SyscallServices, thread: Thread, request: WaitRequest): MaySleep<number> {
  const { futexes } = services;
  const { address, expected, bitset, isShared, deadline } = request;
  if (bitset === 0) return -EINVAL;
  const waiter = yield* queueIfEqual(services, thread, address, expected, isShared, bitset);
  if (typeof waiter === 'number') return waiter;
  const ended = yield* withDeadline(services, thread, deadline, (expired) => futexes.sleep(waiter, expired));
  futexes.unqueue(waiter);
  if (ended === 'woken') return 0;
  if (ended === 'timeout') return -ETIMEDOUT;
  if (deadline === undefined) return -ERESTARTSYS;
  // What is left of the time, not all of it again.
  thread.restart = () => wait(services, thread, request);
  return -ERESTART_RESTARTBLOCK;
}

/** FUTEX_WAIT's time is relative, FUTEX_WAIT_BITSET's is a time of one of two clocks. */
function* waitCommand(
  services: SyscallServices,
  thread: Thread,
  [address, operation, expected, timeout, , bits]: SyscallArguments,
  command: number,
): MaySleep<number> {
  const isAbsolute = command === OP.WAIT_BITSET;
  const isRealtime = isAbsolute && (int(operation) & CLOCK_REALTIME) !== 0;
  let deadline = yield* absoluteDeadline(services, thread, timeout, isRealtime);
  if (typeof deadline === 'number') return deadline;
  if (!isAbsolute && deadline !== undefined) deadline += services.clock.monotonic;
  return yield* wait(services, thread, {
    address,
    expected: uint(expected),
    bitset: isAbsolute ? uint(bits) : FUTEX_BITSET_MATCH_ANY,
    isShared: (int(operation) & PRIVATE_FLAG) === 0,
    deadline,
  });
}

/** FUTEX_WAKE_OP's arithmetic: the new word, and whether the second queue is woken. */
function wakeOperation(
  encoded: number,
  word: number,
): { readonly value: number; readonly wakes: boolean } | undefined {
  const operation = (encoded >>> 28) & 7;
  const comparison = (encoded >>> 24) & 15;
  const operand = (encoded << 8) >> 20;
  const compared = (encoded << 20) >> 20;
  const arg = (encoded & 0x80000000) !== 0 ? 1 << (operand & 31) : operand;
  const before = word | 0;
  const value = [arg, before + arg, before | arg, before & ~arg, before ^ arg][operation];
  const wakes = [
    before === compared,
    before !== compared,
    before < compared,
    before <= compared,
    before > compared,
    before >= compared,
  ][comparison];
  return value === undefined || wakes === undefined ? undefined : { value, wakes };
}

function* wakeOp(
  { mm, futexes }: SyscallServices,
  thread: Thread,
  [, , value, value2, address2, value3]: SyscallArguments,
  key: string,
  key2: string,
): MaySleep<number> {
  if (wakeOperation(uint(value3), 0) === undefined) return -ENOSYS;
  let wakes = false;
  const found = yield* updateU32(mm, thread, address2, (word) => {
    const result = wakeOperation(uint(value3), word);
    wakes = result?.wakes === true;
    return result === undefined ? undefined : result.value >>> 0;
  });
  if (found === undefined) return -EFAULT;
  const woken = futexes.wake(key, Math.max(1, int(value)));
  if (woken < 0 || !wakes) return woken;
  const others = futexes.wake(key2, Math.max(1, int(value2)));
  return others < 0 ? others : woken + others;
}

/** What a wait for a lock gives user space. */
function lockResult(ended: FutexEnd | number): number {
  if (typeof ended === 'number') return ended;
  return { woken: 0, timeout: -ETIMEDOUT, signal: -ERESTARTNOINTR }[ended];
}

/** A thread that ended has no locks, whatever a word says. */
const alive = (thread: Thread | undefined) => (thread?.ended === true ? undefined : thread);

/** FUTEX_LOCK_PI and its relatives. */
function* lock(
  services: SyscallServices,
  thread: Thread,
  address: bigint,
  operation: number,
  timeout: bigint,
): MaySleep<number> {
  const { futexes, table } = services;
  const command = operation & COMMAND;
  const isRealtime = command === OP.LOCK_PI || (operation & CLOCK_REALTIME) !== 0;
  const isTry = command === OP.TRYLOCK_PI;
  const deadline = isTry ? undefined : yield* absoluteDeadline(services, thread, timeout, isRealtime);
  if (typeof deadline === 'number') return deadline;
  const key = futexes.keyOf(thread, address, (operation & PRIVATE_FLAG) === 0);
  const find = (tid: number) => alive(table.thread(tid));
  const tried = yield* futexes.tryLock(thread, () => thread, address, key, false, find);
  if (tried === 'taken') return 0;
  if (typeof tried === 'number') return tried;
  if (isTry) {
    futexes.forget(tried, key);
    return LOCK_IS_HELD;
  }
  const waiter = futexes.queue(thread, key, address);
  return lockResult(
    yield* withDeadline(services, thread, deadline, (expired) => futexes.waitForLock(waiter, tried, expired)),
  );
}

/** FUTEX_WAIT_REQUEUE_PI: a condition variable's wait, which ends with its mutex. */
function* waitRequeue(
  services: SyscallServices,
  thread: Thread,
  [address, operation, expected, timeout, address2]: SyscallArguments,
): MaySleep<number> {
  const { futexes } = services;
  const isShared = (int(operation) & PRIVATE_FLAG) === 0;
  const isRealtime = (int(operation) & CLOCK_REALTIME) !== 0;
  if (address === address2) return -EINVAL;
  const deadline = yield* absoluteDeadline(services, thread, timeout, isRealtime);
  if (typeof deadline === 'number') return deadline;
  if (address2 % 4n !== 0n) return -EINVAL;
  const target = futexes.keyOf(thread, address2, isShared);
  const all = FUTEX_BITSET_MATCH_ANY;
  const waiter = yield* queueIfEqual(services, thread, address, uint(expected), isShared, all, target);
  if (typeof waiter === 'number') return waiter;
  const ended = yield* withDeadline(services, thread, deadline, (expired) => futexes.sleep(waiter, expired));
  const wasMoved = waiter.pi !== undefined;
  futexes.unqueue(waiter);
  // In line for the lock a signal is seen as a spurious wake-up: the caller takes the lock itself.
  return ended === 'signal' && wasMoved ? -EAGAIN : lockResult(ended);
}

/** get_futex_key(): whether there can be a word; one that other processes may share is in memory then. */
function* isWord(
  { mm }: SyscallServices,
  thread: Thread,
  address: bigint,
  isShared: boolean,
): MaySleep<boolean> {
  if (untagged(VA(address)) >= thread.process.mm.taskSize) return false;
  return !isShared || (yield* readU32(mm, thread, address)) !== undefined;
}

function* requeue(
  services: SyscallServices,
  thread: Thread,
  [address, operation, value, value2, address2, value3]: SyscallArguments,
): MaySleep<number> {
  const { mm, futexes, table } = services;
  const command = int(operation) & COMMAND;
  const isShared = (int(operation) & PRIVATE_FLAG) === 0;
  if (address2 % 4n !== 0n || int(value) < 0 || int(value2) < 0) return -EINVAL;
  const toLock = command === OP.CMP_REQUEUE_PI;
  if (toLock && (address === address2 || int(value) !== 1)) return -EINVAL;
  for (const each of [address, address2]) {
    if (!(yield* isWord(services, thread, each, isShared))) return -EFAULT;
  }
  if (command !== OP.REQUEUE) {
    const word = yield* readU32(mm, thread, address);
    if (word === undefined) return -EFAULT;
    if (word !== uint(value3)) return -EAGAIN;
  }
  const from = futexes.keyOf(thread, address, isShared);
  const to = futexes.keyOf(thread, address2, isShared);
  if (!toLock) return futexes.requeue(from, to, address2, int(value), int(value2));
  if (from === to) return -EINVAL;
  const find = (tid: number) => alive(table.thread(tid));
  return yield* futexes.requeueToLock(thread, from, to, address2, int(value2), find);
}

function* futex(services: SyscallServices, thread: Thread, args: SyscallArguments): MaySleep<number> {
  const { futexes } = services;
  const [address, operation, value, timeout, address2, value3] = args;
  const command = int(operation) & COMMAND;
  const isShared = (int(operation) & PRIVATE_FLAG) === 0;
  const key = () => futexes.keyOf(thread, address, isShared);
  // What wakes nobody still wakes one (as Linux has it for 0).
  const counted = Math.max(1, int(value));
  if ((int(operation) & CLOCK_REALTIME) !== 0 && !TAKES_CLOCK.has(command)) return -ENOSYS;
  const waits = command === OP.WAIT || command === OP.WAIT_BITSET || command === OP.WAIT_REQUEUE_PI;
  if (!waits && address % 4n !== 0n) return -EINVAL;
  switch (command) {
    case OP.WAIT:
    case OP.WAIT_BITSET:
      return yield* waitCommand(services, thread, args, command);
    case OP.WAKE:
    case OP.WAKE_BITSET: {
      const bits = command === OP.WAKE ? FUTEX_BITSET_MATCH_ANY : uint(value3);
      if (bits === 0) return -EINVAL;
      if (!(yield* isWord(services, thread, address, isShared))) return -EFAULT;
      return futexes.wake(key(), counted, bits);
    }
    case OP.REQUEUE:
    case OP.CMP_REQUEUE:
    case OP.CMP_REQUEUE_PI:
      return yield* requeue(services, thread, args);
    case OP.WAKE_OP:
      if (address2 % 4n !== 0n) return -EINVAL;
      if (!(yield* isWord(services, thread, address, isShared))) return -EFAULT;
      return yield* wakeOp(services, thread, args, key(), futexes.keyOf(thread, address2, isShared));
    case OP.LOCK_PI:
    case OP.LOCK_PI2:
    case OP.TRYLOCK_PI:
      return yield* lock(services, thread, address, int(operation), timeout);
    case OP.UNLOCK_PI:
      return yield* futexes.unlock(thread, address, key());
    case OP.WAIT_REQUEUE_PI:
      return yield* waitRequeue(services, thread, args);
    default:
      return -ENOSYS;
  }
}

/** futex_waitv(2): sleeps on several words; the index of the one that woke it. */
function* waitMany(
  services: SyscallServices,
  thread: Thread,
  address: bigint,
  count: number,
  timeout: bigint,
  clock: number,
): MaySleep<number> {
  const { mm, futexes } = services;
  if (count < 1 || count > WAITV_MOST || address === 0n) return -EINVAL;
  if (timeout !== 0n && clock !== 0 && clock !== CLOCK_MONOTONIC) return -EINVAL;
  const deadline = yield* absoluteDeadline(services, thread, timeout, clock === 0);
  if (typeof deadline === 'number') return deadline;
  const bytes = yield* readUser(mm, thread, address, WAITV_BYTES * count);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer);
  const waiters: FutexWaiter[] = [];
  const release = () => {
    for (const waiter of waiters) futexes.unqueue(waiter);
    return waiters.findIndex(({ woken }) => woken);
  };
  for (let i = 0; i < count; i++) {
    const flags = view.getUint32(WAITV_BYTES * i + 16, true);
    const isKnown = (flags & ~PRIVATE_FLAG) === FUTEX_32 && view.getUint32(WAITV_BYTES * i + 20, true) === 0;
    if (!isKnown) return -EINVAL;
  }
  for (let i = 0; i < count; i++) {
    const isShared = (view.getUint32(WAITV_BYTES * i + 16, true) & PRIVATE_FLAG) === 0;
    const expected = view.getBigUint64(WAITV_BYTES * i, true);
    const word = view.getBigUint64(WAITV_BYTES * i + 8, true);
    const waiter = yield* queueIfEqual(
      services,
      thread,
      word,
      uint(expected),
      isShared,
      FUTEX_BITSET_MATCH_ANY,
    );
    if (typeof waiter === 'number') {
      const woken = release();
      return woken >= 0 ? woken : waiter;
    }
    waiters.push(waiter);
  }
  const ended = yield* withDeadline(services, thread, deadline, function* (expired): MaySleep<FutexEnd> {
    for (;;) {
      if (waiters.some(({ woken }) => woken)) return 'woken';
      if (expired()) return 'timeout';
      if (thread.interrupted) return 'signal';
      yield thread.sleeper.point;
    }
  });
  const woken = release();
  if (woken >= 0) return woken;
  return ended === 'timeout' ? -ETIMEDOUT : -ERESTARTSYS;
}

export const futexSyscalls: readonly Syscall[] = [
  {
    number: 98,
    name: 'futex',
    args: ['pointer', 'hex', 'unsigned', 'pointer', 'pointer', 'hex'],
    *run(services, thread, args) {
      return yield* futex(services, thread, args);
    },
  },
  {
    number: 449,
    name: 'futex_waitv',
    args: ['pointer', 'unsigned', 'hex', 'pointer', 'clock'],
    *run(services, thread, [waiters, count, flags, timeout, clock]) {
      if (uint(flags) !== 0) return -EINVAL;
      return yield* waitMany(services, thread, waiters, uint(count), timeout, int(clock));
    },
  },
];
