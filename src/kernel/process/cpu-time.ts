/**
 * CPU time of threads and processes: what getrusage, times and the CPU clocks show, what CPU timers and RLIMIT_CPU
 * wait for.
 *
 * Time is counted in executed instructions of user space, as the clock's is. The kernel is not code of the guest's
 * machine, so no system time is counted.
 *
 * Ref. kernel/sched/cputime.c, kernel/time/posix-cpu-timers.c (check_process_timers).
 */
import { SIGNAL } from './abi.js';
import type { KernelState } from './kernel-state.js';
import { RLIMIT } from './limits.js';
import type { Process } from './process.js';
import { sendToProcess } from './send-signal.js';
import { sentSignal } from './siginfo.js';
import type { Thread } from './thread.js';
import { Timers } from './timers.js';

const NS = 1_000_000_000n;

/** A clock that goes on while its thread, or a thread of its process, runs. */
export class CpuClock {
  /** Instructions. */
  steps = 0;
  /** By nanoseconds of this clock. */
  readonly timers = new Timers();
}

/** What getrusage(2) shows. */
export interface Usage {
  /** Instructions of user space. */
  readonly steps: number;
  readonly minorFaults: number;
  readonly majorFaults: number;
  /** The most that was resident, in KiB. */
  readonly maxRss: number;
}

export const NO_USAGE: Usage = { steps: 0, minorFaults: 0, majorFaults: 0, maxRss: 0 };

export function addUsage(a: Usage, b: Usage): Usage {
  return {
    steps: a.steps + b.steps,
    minorFaults: a.minorFaults + b.minorFaults,
    majorFaults: a.majorFaults + b.majorFaults,
    maxRss: Math.max(a.maxRss, b.maxRss),
  };
}

/** RUSAGE_SELF. */
export function usageOf({ mm }: KernelState, process: Process): Usage {
  if (process.end === undefined) {
    const resident = (process.mm.residentPages * mm.pageSize) / 1024;
    process.maxRss = Math.max(process.maxRss, resident);
  }
  const { minorFaults, majorFaults, maxRss } = process;
  return { steps: process.cpu.steps, minorFaults, majorFaults, maxRss };
}

/** Nanoseconds of a CPU clock. */
export function cpuTime({ clock }: KernelState, { steps }: CpuClock): bigint {
  return clock.nanoseconds(steps);
}

/** account_user_time(): the thread ran `steps` instructions. */
export function chargeCpu(state: KernelState, thread: Thread, steps: number): void {
  const { process } = thread;
  for (const clock of [thread.cpu, process.cpu]) {
    clock.steps += steps;
    if (clock.timers.next !== undefined) clock.timers.run(cpuTime(state, clock));
  }
  if (process.limits.soft(RLIMIT.CPU) !== Number.POSITIVE_INFINITY) checkCpuLimit(state, process);
}

/** RLIMIT_CPU: SIGXCPU each second from the soft limit on, SIGKILL at the hard one. */
function checkCpuLimit(state: KernelState, process: Process): void {
  const { soft, hard } = process.limits.get(RLIMIT.CPU);
  const seconds = cpuTime(state, process.cpu) / NS;
  if (seconds >= hard) {
    sendToProcess(process, sentSignal(SIGNAL.SIGKILL, 'SI_KERNEL'));
  } else if (seconds >= soft) {
    process.limits.set(RLIMIT.CPU, { soft: soft + 1n < hard ? soft + 1n : hard, hard }, false);
    sendToProcess(process, sentSignal(SIGNAL.SIGXCPU, 'SI_KERNEL'));
  }
}
