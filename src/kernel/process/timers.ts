/**
 * Timers in nanoseconds of the monotonic clock, and the clock itself.
 *
 * The clock is the count of instructions that all CPUs executed plus the time that passed while nothing ran:
 * when every thread sleeps, time goes straight to the next timer, as in a machine that waits for its timer
 * interrupt, only at once. So two runs of one program see the same times. CPUs move in turns, and each takes the
 * counter over from the one before: no thread sees time run backwards, whatever CPU it comes to.
 *
 * Ref. kernel/time/hrtimer.c.
 */
import type { Cpu } from '../../machine/index.js';
import { counterTicks } from '../../machine/index.js';

const NS = 1_000_000_000n;
/** Where CLOCK_REALTIME stands at boot: 2024-01-25T16:42:00Z, in seconds. */
export const BOOT_EPOCH = 1_706_200_920n;

export class Clock {
  readonly #cpus: readonly Cpu[];
  /** Who ran last. */
  #cpu: Cpu;
  #idle = 0n;

  #hertz: bigint | undefined;
  /** The deadline last asked for, and the count of instructions at which it comes if nothing idles. */
  #asked: bigint | undefined;
  #due = 0;

  /** @param cpus the boot CPU first. */
  constructor(cpus: readonly Cpu[]) {
    this.#cpus = cpus;
    this.#cpu = cpus[0]!;
  }

  /** Instructions of all CPUs since reset. */
  get steps(): number {
    return counterTicks(this.#cpu);
  }

  /** `cpu` is the next to execute: its counter goes on where the last one's stopped. */
  runOn(cpu: Cpu): void {
    if (cpu === this.#cpu) return;
    cpu.timeOffset = this.steps - cpu.steps;
    this.#cpu = cpu;
  }

  /** CNTFRQ_EL0, which firmware has set by the time that anybody asks, read once (arch_timer_rate). */
  get #frequency(): bigint {
    this.#hertz ??= this.#cpu.readRegister('cntfrq_el0');
    return this.#hertz;
  }

  /** Nanoseconds since boot. */
  get monotonic(): bigint {
    return ((BigInt(this.steps) + this.#idle) * NS) / this.#frequency;
  }

  /** How long the execution of `steps` instructions takes. */
  nanoseconds(steps: number): bigint {
    return (BigInt(steps) * NS) / this.#frequency;
  }

  /** Nanoseconds since 1970. */
  get realtime(): bigint {
    return this.monotonic + BOOT_EPOCH * NS;
  }

  /** Nothing runs until `deadline`: the virtual counter that user space reads goes on with us. */
  idleUntil(deadline: bigint): void {
    const ns = deadline - this.monotonic;
    if (ns <= 0n) return;
    this.#idle += (ns * this.#frequency + NS - 1n) / NS;
    this.#asked = undefined;
    for (const cpu of this.#cpus) cpu.writeRegister('cntvoff_el2', BigInt.asUintN(64, -this.#idle));
  }

  /** Instructions until `deadline`, at least 1. Every entry into user space asks, mostly for the same one. */
  instructionsUntil(deadline: bigint): number {
    if (deadline !== this.#asked) {
      this.#asked = deadline;
      this.#due = Number((deadline * this.#frequency + NS - 1n) / NS - this.#idle);
    }
    return Math.max(1, this.#due - this.steps);
  }
}

export interface Timer {
  readonly deadline: bigint;
  readonly fire: () => void;
  /** The kernel's own: nobody but the kernel waits for it. */
  readonly background: boolean;
}

/** Pending timers: a binary heap by deadline, equal ones in the order they were set. */
export class Timers {
  readonly #heap: { timer: Timer; order: number }[] = [];
  readonly #live = new Set<Timer>();
  #order = 0;
  #background = 0;

  add(deadline: bigint, fire: () => void, background = false): Timer {
    const timer: Timer = { deadline, fire, background };
    this.#live.add(timer);
    if (background) this.#background++;
    this.#heap.push({ timer, order: this.#order++ });
    this.#up(this.#heap.length - 1);
    return timer;
  }

  cancel(timer: Timer | undefined): void {
    if (timer !== undefined && this.#live.delete(timer) && timer.background) this.#background--;
  }

  /** Nothing is due but what the kernel does for itself, which wakes no program. */
  get onlyBackground(): boolean {
    return this.#live.size === this.#background;
  }

  /** The earliest deadline. */
  get next(): bigint | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined) return undefined;
      if (this.#live.has(first.timer)) return first.timer.deadline;
      this.#removeFirst();
    }
  }

  /** Fires what is due. */
  run(now: bigint): void {
    for (let next = this.next; next !== undefined && next <= now; next = this.next) {
      const { timer } = this.#heap[0]!;
      this.#removeFirst();
      this.cancel(timer);
      timer.fire();
    }
  }

  #before(a: number, b: number): boolean {
    const left = this.#heap[a]!;
    const right = this.#heap[b]!;
    if (left.timer.deadline !== right.timer.deadline) return left.timer.deadline < right.timer.deadline;
    return left.order < right.order;
  }

  #swap(a: number, b: number): void {
    const kept = this.#heap[a]!;
    this.#heap[a] = this.#heap[b]!;
    this.#heap[b] = kept;
  }

  #up(from: number): void {
    for (let at = from; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!this.#before(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #removeFirst(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.#heap.length && this.#before(child, least)) least = child;
      }
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }
}
