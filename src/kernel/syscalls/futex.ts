/**
 * futex(2): wait, wake, requeue, wake-op. Priority inheritance is not implemented.
 *
 * Ref. kernel/futex/syscalls.c, futex(2).
 */
import { EAGAIN, EFAULT, EINVAL, ENOSYS, ERESTARTSYS, ETIMEDOUT, type MaySleep } from '../contexts/index.js';
import { FUTEX_BITSET_MATCH_ANY, readU32, type Thread, writeU32 } from '../process/index.js';
import { int, type Syscall, type SyscallArguments, type SyscallServices, uint } from './row.js';
import { readTimespec } from './sleeping.js';

const OP = {
  WAIT: 0,
  WAKE: 1,
  REQUEUE: 3,
  CMP_REQUEUE: 4,
  WAKE_OP: 5,
  WAIT_BITSET: 9,
  WAKE_BITSET: 10,
} as const;
const PRIVATE_FLAG = 128;
const CLOCK_REALTIME = 256;
const COMMAND = ~(PRIVATE_FLAG | CLOCK_REALTIME);

function* wait(
  services: SyscallServices,
  thread: Thread,
  [address, , expected, timeout, , bits]: SyscallArguments,
  absolute: boolean,
  operation: number,
): MaySleep<number> {
  const { mm, clock, timers, futexes } = services;
  const bitset = absolute ? uint(bits) : FUTEX_BITSET_MATCH_ANY;
  if (bitset === 0) return -EINVAL;
  let deadline: bigint | undefined;
  if (timeout !== 0n) {
    const time = yield* readTimespec(services, thread, timeout);
    if (typeof time === 'number') return time;
    // FUTEX_WAIT's time is relative, FUTEX_WAIT_BITSET's is a time of one of two clocks.
    if (!absolute) deadline = clock.monotonic + time;
    else deadline = (operation & CLOCK_REALTIME) !== 0 ? time - (clock.realtime - clock.monotonic) : time;
  }
  if (address % 4n !== 0n) return -EINVAL;
  const word = yield* readU32(mm, thread, address);
  if (word === undefined) return -EFAULT;
  if (word !== uint(expected)) return -EAGAIN;
  const timer = deadline === undefined ? undefined : timers.add(deadline, () => thread.sleeper.wake());
  const expired = () => deadline !== undefined && clock.monotonic >= deadline;
  const key = futexes.keyOf(thread, address, (operation & PRIVATE_FLAG) === 0);
  const ended = yield* futexes.wait(thread, key, bitset, expired);
  timers.cancel(timer);
  if (ended === 'woken') return 0;
  return ended === 'timeout' ? -ETIMEDOUT : -ERESTARTSYS;
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

function* futex(services: SyscallServices, thread: Thread, args: SyscallArguments): MaySleep<number> {
  const { mm, futexes } = services;
  const [address, operation, value, value2, address2, value3] = args;
  const command = int(operation) & COMMAND;
  const shared = (int(operation) & PRIVATE_FLAG) === 0;
  const key = () => futexes.keyOf(thread, address, shared);
  const key2 = () => futexes.keyOf(thread, address2, shared);
  // A negative count is none; what wakes nobody still wakes one (as Linux has it for 0).
  const counted = (n: bigint) => Math.max(0, int(n));
  if (command !== OP.WAIT && command !== OP.WAIT_BITSET && address % 4n !== 0n) return -EINVAL;
  switch (command) {
    case OP.WAIT:
    case OP.WAIT_BITSET:
      return yield* wait(services, thread, args, command === OP.WAIT_BITSET, int(operation));
    case OP.WAKE:
      return futexes.wake(key(), Math.max(1, counted(value)));
    case OP.WAKE_BITSET:
      return uint(value3) === 0 ? -EINVAL : futexes.wake(key(), Math.max(1, counted(value)), uint(value3));
    case OP.REQUEUE:
    case OP.CMP_REQUEUE: {
      if (address2 % 4n !== 0n || int(value) < 0 || int(value2) < 0) return -EINVAL;
      const word = yield* readU32(mm, thread, address);
      if (word === undefined) return -EFAULT;
      if (command === OP.CMP_REQUEUE && word !== uint(value3)) return -EAGAIN;
      const { woken, moved } = futexes.requeue(key(), key2(), int(value), int(value2));
      return woken + moved;
    }
    case OP.WAKE_OP: {
      if (address2 % 4n !== 0n) return -EINVAL;
      const word = yield* readU32(mm, thread, address2);
      if (word === undefined) return -EFAULT;
      const result = wakeOperation(uint(value3), word);
      if (result === undefined) return -ENOSYS;
      if ((yield* writeU32(mm, thread, address2, result.value)) !== 0) return -EFAULT;
      const woken = futexes.wake(key(), Math.max(1, counted(value)));
      return woken + (result.wakes ? futexes.wake(key2(), Math.max(1, counted(value2))) : 0);
    }
    default:
      return -ENOSYS;
  }
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
];
