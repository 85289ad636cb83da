/**
 * Every process and thread by number.
 *
 * Ref. kernel/pid.c: numbers rise and wrap at pid_max, and one that names a group or session is not
 * given out again before the group is empty.
 */
import type { Process } from './process.js';
import type { Thread } from './thread.js';

/** kernel.pid_max. */
export const PID_MAX = 32768;
/** Numbers below are given out once only. */
const RESERVED_PIDS = 300;
/** RLIMIT_NPROC's role: threads of the whole system. */
export const MOST_THREADS = 16384;

export class ProcessTable {
  readonly #processes = new Map<number, Process>();
  readonly #threads = new Map<number, Thread>();
  #last = 0;

  /** A number that names nothing, `wanted` if it is that; undefined where there are too many threads. */
  allocate(wanted?: number): number | undefined {
    if (this.#threads.size + this.#processes.size >= 2 * MOST_THREADS) return undefined;
    if (wanted !== undefined) return this.inUse(wanted) ? undefined : wanted;
    for (let tried = 0; tried < PID_MAX; tried++) {
      this.#last = this.#last + 1 >= PID_MAX ? RESERVED_PIDS : this.#last + 1;
      if (!this.inUse(this.#last)) return this.#last;
    }
    return undefined;
  }

  inUse(id: number): boolean {
    return this.#processes.has(id) || this.#threads.has(id) || this.groupExists(id);
  }

  add(process: Process): void {
    this.#processes.set(process.pid, process);
  }

  addThread(thread: Thread): void {
    this.#threads.set(thread.tid, thread);
  }

  removeThread(thread: Thread): void {
    this.#threads.delete(thread.tid);
  }

  /** release_task(): the zombie was waited for. */
  remove(process: Process): void {
    process.reaped = true;
    this.#processes.delete(process.pid);
    process.parent?.children.delete(process);
  }

  get(pid: number): Process | undefined {
    return this.#processes.get(pid);
  }

  thread(tid: number): Thread | undefined {
    return this.#threads.get(tid);
  }

  get processes(): IterableIterator<Process> {
    return this.#processes.values();
  }

  /** The number given out last. */
  get lastPid(): number {
    return this.#last;
  }

  get threadCount(): number {
    return this.#threads.size;
  }

  groupExists(pgid: number): boolean {
    for (const process of this.#processes.values()) {
      if (process.pgid === pgid || process.sid === pgid) return true;
    }
    return false;
  }

  group(pgid: number): Process[] {
    return [...this.#processes.values()].filter((process) => process.pgid === pgid);
  }
}
