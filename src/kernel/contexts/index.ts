/** Tasks, locks, schedules, and the colours of kernel functions. */
export { Contexts } from './contexts.js';
export * from './errno.js';
export { KernelBug, type KernelBugKind } from './kernel-bug.js';
export type { LockClass } from './lockdep.js';
export { Mutex, RwSemaphore, SpinLock, WaitQueue } from './locks.js';
export {
  type Atomic,
  freezablePoint,
  immediately,
  type MaySleep,
  type RacePoint,
  racePoint,
  type SleepPoint,
  sleepPoint,
  turnPoint,
  unsafeSleepInAtomic,
} from './points.js';
export { type CpuActivity, RunQueue, Sleeper } from './run-queue.js';
export {
  FIRST,
  formatSchedule,
  parseSchedule,
  randomStrategy,
  replayStrategy,
  type Schedule,
  Scheduler,
  type SearchFailure,
  type SearchScenario,
  type Strategy,
  searchSchedules,
  sweepPreemptions,
} from './scheduler.js';
export { type HeldLock, Task } from './task.js';
export { type Waiter, WaitList, type WakeListener, waitFor } from './wait.js';
