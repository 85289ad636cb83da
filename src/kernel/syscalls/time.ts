/**
 * System calls of time: clocks, sleeping, interval timers, POSIX timers.
 *
 * Time is the generic timer's count, which the machine derives from executed instructions, so that two
 * runs see the same clock.
 *
 * Ref. kernel/time/{posix-timers,itimer,hrtimer}.c.
 */
import {
  EAGAIN,
  EFAULT,
  EINTR,
  EINVAL,
  EPERM,
  ERESTART_RESTARTBLOCK,
  ERESTARTNOHAND,
  type MaySleep,
} from '../contexts/index.js';
import {
  type CpuClock,
  cpuTime,
  type IntervalTimer,
  type PosixTimer,
  type Process,
  readUser,
  SIGNAL,
  sendToProcess,
  sendToThread,
  sentSignal,
  type Thread,
  writeU32,
  writeWords,
} from '../process/index.js';
import { int, type Syscall, type SyscallServices } from './row.js';
import { NS, readTimespec, sleepUntil, writeTimespec } from './sleeping.js';

/** Clocks that count from boot: MONOTONIC, RAW, COARSE, BOOTTIME and its alarm. */
const SINCE_BOOT = new Set([1, 4, 6, 7, 9]);
/** REALTIME, REALTIME_COARSE, its alarm, TAI (no leap seconds here). */
const SINCE_EPOCH = new Set([0, 5, 8, 11]);
const CLOCK_PROCESS_CPUTIME_ID = 2;
const CLOCK_THREAD_CPUTIME_ID = 3;
/** Clocks one can sleep on. */
const SLEEPABLE = new Set([0, 1, 7, 11]);
const TIMER_ABSTIME = 1;
/** POSIX timers of one process at most. */
const MOST_TIMERS = 1024;

const isSystemClock = (clock: number): boolean => SINCE_BOOT.has(clock) || SINCE_EPOCH.has(clock);

/**
 * The CPU clock that a clock id means: the caller's, or by MAKE_PROCESS_CPUCLOCK and MAKE_THREAD_CPUCLOCK
 * another's (bits 31:3 the number's complement, bit 2 a thread); undefined where there is none.
 */
function cpuClockOf({ table }: SyscallServices, thread: Thread, id: number): CpuClock | undefined {
  if (id === CLOCK_PROCESS_CPUTIME_ID) return thread.process.cpu;
  if (id === CLOCK_THREAD_CPUTIME_ID) return thread.cpu;
  if (id >= 0 || (id & 3) === 3) return undefined;
  const pid = ~(id >> 3);
  if ((id & 4) === 0) return (pid === 0 ? thread.process : table.get(pid))?.cpu;
  const target = pid === 0 ? thread : table.thread(pid);
  return target?.process === thread.process ? target.cpu : undefined;
}

function isKnown(services: SyscallServices, thread: Thread, id: number): boolean {
  return isSystemClock(id) || cpuClockOf(services, thread, id) !== undefined;
}

function now(services: SyscallServices, thread: Thread, id: number): bigint {
  const cpu = cpuClockOf(services, thread, id);
  if (cpu !== undefined) return cpuTime(services, cpu);
  return SINCE_EPOCH.has(id) ? services.clock.realtime : services.clock.monotonic;
}

/** A time of the clock `id` as one of the monotonic clock. */
function toMonotonic({ clock }: SyscallServices, id: number, time: bigint): bigint {
  return SINCE_EPOCH.has(id) ? time - (clock.realtime - clock.monotonic) : time;
}

function* nanosleep(
  services: SyscallServices,
  thread: Thread,
  deadline: bigint,
  remaining: bigint,
): MaySleep<number> {
  const ended = yield* sleepUntil(services, thread, deadline, [], () => false);
  if (ended === 'timeout') return 0;
  if (remaining !== 0n) {
    const left = deadline - services.clock.monotonic;
    const error = yield* writeTimespec(services, thread, remaining, left > 0n ? left : 0n);
    if (error !== 0) return error;
  }
  thread.restart = () => nanosleep(services, thread, deadline, 0n);
  return -ERESTART_RESTARTBLOCK;
}

// ---- interval timers ---------------------------------------------------------------------------------

/** ITIMER_REAL, VIRTUAL, PROF: what they send. */
const ITIMER_SIGNALS = [SIGNAL.SIGALRM, SIGNAL.SIGVTALRM, SIGNAL.SIGPROF];

function arm(timer: IntervalTimer, deadline: bigint, interval: bigint, fire: () => void): void {
  const { timers } = timer;
  timers.cancel(timer.timer);
  timer.interval = interval;
  timer.deadline = deadline;
  const ring = () => {
    timer.timer = undefined;
    if (timer.interval > 0n) {
      timer.deadline += timer.interval;
      timer.timer = timers.add(timer.deadline, ring);
    }
    fire();
  };
  timer.timer = timers.add(deadline, ring);
}

function disarm(timer: IntervalTimer): void {
  timer.timers.cancel(timer.timer);
  timer.timer = undefined;
}

/** @param time of the timer's clock, in nanoseconds. */
function remaining(time: bigint, timer: IntervalTimer | undefined): bigint {
  if (timer?.timer === undefined) return 0n;
  const left = timer.deadline - time;
  // A timer that is set is never shown as one that is not.
  return left > 0n ? left : 1n;
}

/** ITIMER_REAL goes with the monotonic clock, the others with the process's CPU time. */
function itimerNow(services: SyscallServices, process: Process, which: number): bigint {
  return which === 0 ? services.clock.monotonic : cpuTime(services, process.cpu);
}

/** struct itimerval: interval and value in seconds and microseconds. */
function itimerWords(services: SyscallServices, process: Process, which: number): bigint[] {
  const timer = process.intervalTimers.get(which);
  const left = remaining(itimerNow(services, process, which), timer);
  const interval = timer?.interval ?? 0n;
  return [interval / NS, (interval % NS) / 1000n, left / NS, (left % NS) / 1000n];
}

function setIntervalTimer(
  services: SyscallServices,
  process: Process,
  which: number,
  value: bigint,
  interval: bigint,
): void {
  const timer = process.intervalTimers.get(which) ?? {
    timer: undefined,
    timers: which === 0 ? services.timers : process.cpu.timers,
    interval: 0n,
    deadline: 0n,
  };
  process.intervalTimers.set(which, timer);
  if (value === 0n) {
    disarm(timer);
    return;
  }
  const signo = ITIMER_SIGNALS[which]!;
  arm(timer, itimerNow(services, process, which) + value, interval, () => {
    sendToProcess(process, sentSignal(signo, 'SI_KERNEL'));
  });
}

const validTimeval = (seconds: bigint, us: bigint): boolean => seconds >= 0n && us >= 0n && us < 1_000_000n;

// ---- POSIX timers ------------------------------------------------------------------------------------

function ring(services: SyscallServices, process: Process, timer: PosixTimer): void {
  if (timer.silent) return;
  const info = sentSignal(timer.signo, 'SI_TIMER', {
    timer: { id: timer.id, overrun: timer.overrun },
    value: timer.value,
  });
  const target = timer.tid === undefined ? undefined : services.table.thread(timer.tid);
  const queue = target?.pending ?? process.pending;
  if ((queue.set & (1n << BigInt(timer.signo - 1))) !== 0n) {
    timer.overrun++;
    return;
  }
  timer.overrun = 0;
  if (target !== undefined) sendToThread(target, info);
  else sendToProcess(process, info);
}

function* createTimer(
  services: SyscallServices,
  thread: Thread,
  clock: number,
  event: bigint,
  address: bigint,
): MaySleep<number> {
  const { process } = thread;
  if (!isKnown(services, thread, clock)) return -EINVAL;
  const cpu = cpuClockOf(services, thread, clock);
  if (process.posixTimers.size >= MOST_TIMERS) return -EAGAIN;
  let signo: number = SIGNAL.SIGALRM;
  const id = process.nextTimerId++;
  let value = BigInt(id);
  let tid: number | undefined;
  let silent = false;
  if (event !== 0n) {
    const bytes = yield* readUser(services.mm, thread, event, 64);
    if (bytes === undefined) return -EFAULT;
    const view = new DataView(bytes.buffer);
    value = view.getBigUint64(0, true);
    signo = view.getInt32(8, true);
    const notify = view.getInt32(12, true);
    silent = notify === 1;
    if (![0, 1, 2, 4].includes(notify)) return -EINVAL;
    if (!silent && (signo < 1 || signo > 64)) return -EINVAL;
    if (notify === 4) {
      tid = view.getInt32(16, true);
      if (services.table.thread(tid)?.process !== process) return -EINVAL;
    }
  }
  const error = yield* writeU32(services.mm, thread, address, id);
  if (error !== 0) return error;
  process.posixTimers.set(id, {
    id,
    clock,
    signo,
    value,
    tid,
    silent,
    overrun: 0,
    timer: undefined,
    timers: cpu?.timers ?? services.timers,
    interval: 0n,
    deadline: 0n,
  });
  return 0;
}

/** The time that a timer's deadline is of. */
function timerNow(services: SyscallServices, thread: Thread, { clock }: PosixTimer): bigint {
  return isSystemClock(clock) ? services.clock.monotonic : now(services, thread, clock);
}

function* setTimer(
  services: SyscallServices,
  thread: Thread,
  timer: PosixTimer,
  flags: number,
  value: bigint,
  old: bigint,
): MaySleep<number> {
  const interval = yield* readTimespec(services, thread, value);
  if (typeof interval === 'number') return interval;
  const first = yield* readTimespec(services, thread, value + 16n);
  if (typeof first === 'number') return first;
  const time = timerNow(services, thread, timer);
  const before = [timer.interval, remaining(time, timer)] as const;
  if (first === 0n) {
    disarm(timer);
    timer.interval = 0n;
  } else {
    const deadline = (flags & TIMER_ABSTIME) !== 0 ? toMonotonic(services, timer.clock, first) : time + first;
    arm(timer, deadline, interval, () => ring(services, thread.process, timer));
  }
  if (old === 0n) return 0;
  return yield* writeWords(services.mm, thread, old, [
    before[0] / NS,
    before[0] % NS,
    before[1] / NS,
    before[1] % NS,
  ]);
}

export const timeSyscalls: readonly Syscall[] = [
  {
    number: 101,
    name: 'nanosleep',
    args: ['pointer', 'pointer'],
    *run(services, thread, [request, left]) {
      const time = yield* readTimespec(services, thread, request);
      if (typeof time === 'number') return time;
      return yield* nanosleep(services, thread, services.clock.monotonic + time, left);
    },
  },
  {
    number: 102,
    name: 'getitimer',
    args: ['int', 'pointer'],
    *run(services, thread, [which, value]) {
      if (ITIMER_SIGNALS[int(which)] === undefined) return -EINVAL;
      return yield* writeWords(services.mm, thread, value, itimerWords(services, thread.process, int(which)));
    },
  },
  {
    number: 103,
    name: 'setitimer',
    args: ['int', 'pointer', 'pointer'],
    *run(services, thread, [which, value, old]) {
      const id = int(which);
      if (ITIMER_SIGNALS[id] === undefined) return -EINVAL;
      const before = itimerWords(services, thread.process, id);
      if (value !== 0n) {
        const bytes = yield* readUser(services.mm, thread, value, 32);
        if (bytes === undefined) return -EFAULT;
        const view = new DataView(bytes.buffer);
        const words = [0, 8, 16, 24].map((at) => view.getBigInt64(at, true));
        if (!validTimeval(words[0]!, words[1]!) || !validTimeval(words[2]!, words[3]!)) return -EINVAL;
        const interval = words[0]! * NS + words[1]! * 1000n;
        setIntervalTimer(services, thread.process, id, words[2]! * NS + words[3]! * 1000n, interval);
      }
      return old === 0n ? 0 : yield* writeWords(services.mm, thread, old, before);
    },
  },
  {
    number: 107,
    name: 'timer_create',
    args: ['clock', 'pointer', 'pointer'],
    *run(services, thread, [clock, event, id]) {
      return yield* createTimer(services, thread, int(clock), event, id);
    },
  },
  {
    number: 108,
    name: 'timer_gettime',
    args: ['int', 'pointer'],
    *run(services, thread, [id, value]) {
      const timer = thread.process.posixTimers.get(int(id));
      if (timer === undefined) return -EINVAL;
      const left = remaining(timerNow(services, thread, timer), timer);
      return yield* writeWords(services.mm, thread, value, [
        timer.interval / NS,
        timer.interval % NS,
        left / NS,
        left % NS,
      ]);
    },
  },
  {
    number: 109,
    name: 'timer_getoverrun',
    args: ['int'],
    run: (_services, thread, [id]) => thread.process.posixTimers.get(int(id))?.overrun ?? -EINVAL,
  },
  {
    number: 110,
    name: 'timer_settime',
    args: ['int', 'hex', 'pointer', 'pointer'],
    *run(services, thread, [id, flags, value, old]) {
      const timer = thread.process.posixTimers.get(int(id));
      if (timer === undefined || value === 0n) return -EINVAL;
      return yield* setTimer(services, thread, timer, int(flags), value, old);
    },
  },
  {
    number: 111,
    name: 'timer_delete',
    args: ['int'],
    run(_services, { process }, [id]) {
      const timer = process.posixTimers.get(int(id));
      if (timer === undefined) return -EINVAL;
      disarm(timer);
      process.posixTimers.delete(int(id));
      return 0;
    },
  },
  {
    number: 112,
    name: 'clock_settime',
    args: ['clock', 'pointer'],
    // The clock is the machine's: nobody sets it.
    run: (_services, _thread, [clock]) => (int(clock) === 0 ? -EPERM : -EINVAL),
  },
  {
    number: 113,
    name: 'clock_gettime',
    args: ['clock', 'pointer'],
    *run(services, thread, [clock, address]) {
      if (!isKnown(services, thread, int(clock))) return -EINVAL;
      return yield* writeTimespec(services, thread, address, now(services, thread, int(clock)));
    },
  },
  {
    number: 114,
    name: 'clock_getres',
    args: ['clock', 'pointer'],
    *run(services, thread, [clock, address]) {
      if (!isKnown(services, thread, int(clock))) return -EINVAL;
      if (address === 0n) return 0;
      // The coarse clocks tick at CONFIG_HZ = 250.
      const resolution = int(clock) === 5 || int(clock) === 6 ? 4_000_000n : 1n;
      return yield* writeTimespec(services, thread, address, resolution);
    },
  },
  {
    number: 115,
    name: 'clock_nanosleep',
    args: ['clock', 'hex', 'pointer', 'pointer'],
    *run(services, thread, [clock, flags, request, left]) {
      const id = int(clock);
      if (!SLEEPABLE.has(id)) return isKnown(services, thread, id) ? -95 : -EINVAL;
      const time = yield* readTimespec(services, thread, request);
      if (typeof time === 'number') return time;
      if ((int(flags) & TIMER_ABSTIME) === 0) {
        return yield* nanosleep(services, thread, services.clock.monotonic + time, left);
      }
      const deadline = toMonotonic(services, id, time);
      const ended = yield* sleepUntil(services, thread, deadline, [], () => false);
      return ended === 'timeout' ? 0 : -ERESTARTNOHAND;
    },
  },
  {
    number: 128,
    name: 'restart_syscall',
    args: [],
    *run(_services, thread) {
      const { restart } = thread;
      thread.restart = undefined;
      return restart === undefined ? -EINTR : yield* restart();
    },
  },
  {
    number: 169,
    name: 'gettimeofday',
    args: ['pointer', 'pointer'],
    *run(services, thread, [value, zone]) {
      const time = services.clock.realtime;
      if (value !== 0n) {
        const error = yield* writeWords(services.mm, thread, value, [time / NS, (time % NS) / 1000n]);
        if (error !== 0) return error;
      }
      return zone === 0n ? 0 : yield* writeWords(services.mm, thread, zone, [0n]);
    },
  },
];
