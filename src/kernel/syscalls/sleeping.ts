/**
 * Sleeping with a deadline, and the times of user space.
 */
import { EFAULT, EINVAL, type MaySleep, type WaitList } from '../contexts/index.js';
import { readUser, type Thread, writeWords } from '../process/index.js';
import type { SyscallServices } from './row.js';

export const NS = 1_000_000_000n;
/** KTIME_MAX in nanoseconds: longer is as good as for ever. */
const FOREVER = (1n << 63n) - 1n;

/** A struct timespec in nanoseconds, or -EFAULT, -EINVAL. */
export function* readTimespec(
  { mm }: SyscallServices,
  thread: Thread,
  address: bigint,
): MaySleep<bigint | number> {
  const bytes = yield* readUser(mm, thread, address, 16);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer);
  const seconds = view.getBigInt64(0, true);
  const ns = view.getBigInt64(8, true);
  if (seconds < 0n || ns < 0n || ns >= NS) return -EINVAL;
  const time = seconds * NS + ns;
  return time > FOREVER ? FOREVER : time;
}

export function writeTimespec(
  { mm }: SyscallServices,
  thread: Thread,
  address: bigint,
  ns: bigint,
): MaySleep<number> {
  return writeWords(mm, thread, address, [ns / NS, ns % NS]);
}

/**
 * Sleeps until `condition` holds, a signal comes or `deadline` (monotonic nanoseconds) has passed.
 *
 * @param lists woken when the condition may hold.
 */
export function* sleepUntil(
  { timers, clock }: SyscallServices,
  thread: Thread,
  deadline: bigint | undefined,
  lists: readonly WaitList[],
  condition: () => boolean,
): MaySleep<'met' | 'signal' | 'timeout'> {
  if (condition()) return 'met';
  const timer = deadline === undefined ? undefined : timers.add(deadline, () => thread.sleeper.wake());
  for (const list of lists) list.add(thread);
  try {
    for (;;) {
      if (condition()) return 'met';
      if (deadline !== undefined && clock.monotonic >= deadline) return 'timeout';
      if (thread.interrupted) return 'signal';
      yield thread.sleeper.point;
    }
  } finally {
    for (const list of lists) list.remove(thread);
    timers.cancel(timer);
  }
}
