/**
 * Running a machine without a kernel of ours: its CPUs take turns, time passes while all of them wait,
 * and a machine that can do nothing any more ends with the reason.
 *
 * CPUs run one after the other, in an order and for lengths that the seed decides; the system counter
 * counts instructions of all of them, so it never runs backwards from one CPU to another. A turn's end
 * clears the CPU's exclusive monitor, which the architecture allows at any time: no store of another CPU
 * can then be missed.
 *
 * A CPU in WFI or WFE is not run; one that branches to itself (`b .`) neither, until an interrupt can be
 * taken. When all wait, time jumps to the next timer. When there is none, nothing can ever happen again.
 */
import { Random } from '../base/index.js';
import { Cpu } from './cpu/cpu.js';
import { anythingPending, pendingInterrupt } from './cpu/interrupts.js';
import type { Engine } from './engine.js';
import type { Machine } from './machine.js';
import type { Device } from './memory/bus.js';

/** Instructions in a turn: of a lone CPU between two looks at the clock, and of one of several. */
const LONG_TURN = 1 << 18;
const SHORTEST_TURN = 32;
const TURN_SPREAD = 512;
/** Turns that end in a storm of exceptions, after which a CPU is taken not to come out of it. */
const MOST_STORMS = 4;
/** `b .` */
const BRANCH_TO_SELF = 0x1400_0000;

export interface ConductLimits {
  /** Instructions of all CPUs together. */
  readonly maxSteps?: number;
  /** Asked between turns: true ends the run. */
  readonly expired?: () => boolean;
  /** Told, while all CPUs wait, how many ticks are about to pass at once. */
  readonly idle?: (ticks: number) => void;
}

export type ConductEnd =
  | { readonly kind: 'exit'; readonly status: number; readonly reset: boolean }
  | { readonly kind: 'limit'; readonly which: 'steps' | 'time' }
  /** Nothing can happen any more; one line a CPU says why. */
  | { readonly kind: 'stuck'; readonly reasons: readonly string[] }
  | { readonly kind: 'halted'; readonly message: string };

export class Conductor {
  readonly #machine: Machine;
  readonly #engine: Engine;
  readonly #random: Random;
  /** CPUs that branch to themselves. */
  readonly #spinning = new Set<Cpu>();
  /** CPUs whose vector raises exceptions only; and turns in a row that ended so. */
  readonly #lost = new Set<Cpu>();
  readonly #storms = new Map<Cpu, number>();
  /** Devices in which things happen by themselves. */
  readonly #devices: readonly Required<Pick<Device, 'advance'>>[];
  /** The system counter. */
  #now: number;
  /** Instructions executed under this conductor. */
  steps = 0;

  constructor(machine: Machine, engine: Engine, seed: number | bigint = 0) {
    this.#machine = machine;
    this.#engine = engine;
    this.#random = new Random(seed, 'turns');
    this.#now = machine.cpu.steps + machine.cpu.timeOffset;
    for (const cpu of machine.cpus) cpu.waits = true;
    this.#devices = machine.bus.devices.filter(
      (d): d is Device & Required<Pick<Device, 'advance'>> => 'advance' in d,
    );
  }

  /** Runs until the guest ends, a limit, or the end of all that can happen. */
  run(limits: ConductLimits = {}): ConductEnd {
    const most = limits.maxSteps ?? Number.POSITIVE_INFINITY;
    const first = this.steps;
    for (;;) {
      const left = most - (this.steps - first);
      if (left <= 0) return { kind: 'limit', which: 'steps' };
      if (limits.expired?.() === true) return { kind: 'limit', which: 'time' };
      const eventful = this.#advanceDevices();
      const ready = this.#machine.cpus.filter((cpu) => this.#isReady(cpu));
      if (ready.length === 0) {
        if (!this.#jump(eventful, limits.idle)) return { kind: 'stuck', reasons: this.#reasons() };
        continue;
      }
      const end = this.#turn(ready[this.#random.below(ready.length)]!, Math.min(left, eventful));
      if (end !== undefined) return end;
    }
  }

  /** Lets devices do what is due; gives the ticks until one of them has something to do again. */
  #advanceDevices(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const device of this.#devices) next = Math.min(next, device.advance(this.#now));
    return next;
  }

  /** Brings a CPU's view of time up to now. */
  #synchronize(cpu: Cpu): number {
    cpu.timeOffset = this.#now - cpu.steps;
    return cpu.pollTimers();
  }

  #isReady(cpu: Cpu): boolean {
    if (!cpu.powered || this.#lost.has(cpu)) return false;
    this.#synchronize(cpu);
    if (this.#spinning.has(cpu)) {
      if (pendingInterrupt(cpu) === undefined) return false;
      this.#spinning.delete(cpu);
    }
    if (cpu.waiting === undefined) return true;
    const woken = anythingPending(cpu) || (cpu.waiting === 'event' && (cpu.event || cpu.hasEventStream));
    if (!woken) return false;
    cpu.waiting = undefined;
    return true;
  }

  #turn(cpu: Cpu, left: number): ConductEnd | undefined {
    const alone = this.#machine.cpus.length === 1;
    const length = alone ? LONG_TURN : SHORTEST_TURN + this.#random.below(TURN_SPREAD);
    const before = cpu.steps;
    cpu.attention();
    const stop = this.#engine.run(cpu, Math.min(length, left));
    const done = cpu.steps - before;
    this.#now += done;
    this.steps += done;
    if (!alone && cpu.access.clearExclusive()) cpu.event = true;
    switch (stop.kind) {
      case 'exit':
        return { kind: 'exit', status: stop.status, reset: stop.reset === true };
      case 'halted':
        return { kind: 'halted', message: stop.message };
      case 'request':
        this.#noteStorm(cpu);
        return undefined;
      case 'limit':
        this.#storms.delete(cpu);
        if (this.#branchesToItself(cpu)) this.#spinning.add(cpu);
        return undefined;
      default:
        return undefined;
    }
  }

  #noteStorm(cpu: Cpu): void {
    const storms = (this.#storms.get(cpu) ?? 0) + 1;
    this.#storms.set(cpu, storms);
    if (storms >= MOST_STORMS) this.#lost.add(cpu);
  }

  #branchesToItself(cpu: Cpu): boolean {
    if ((cpu.pc & 3n) !== 0n) return false;
    const where = cpu.mmu.probeAddress(cpu.pstate.el, cpu.pc);
    return where !== undefined && this.#machine.memory.fetch(where.pa) === BRANCH_TO_SELF;
  }

  /** Lets time pass to the next timer of a CPU that waits, or event of a device; false where there is none. */
  #jump(eventful: number, idle: ConductLimits['idle']): boolean {
    let next = eventful;
    for (const cpu of this.#machine.cpus) {
      if (cpu.powered && !this.#lost.has(cpu)) next = Math.min(next, this.#synchronize(cpu));
    }
    // Beyond this the counter no longer fits a number; nobody waits for centuries.
    if (this.#now + next > Number.MAX_SAFE_INTEGER) return false;
    idle?.(next);
    this.#now += next;
    return true;
  }

  #reasons(): string[] {
    return this.#machine.cpus.map((cpu) => {
      const name = `CPU ${cpu.index}`;
      const at = `0x${cpu.pc.toString(16)} (EL${cpu.pstate.el})`;
      if (!cpu.powered) return `${name} is off`;
      if (this.#lost.has(cpu)) {
        const { ec, esr, pc, far } = cpu.lastException;
        return (
          `${name} took an exception at 0x${pc.toString(16)} (${Cpu.className(ec)}, ` +
          `ESR 0x${esr.toString(16)}, FAR 0x${far.toString(16)}), and its vector at ${at} cannot be executed`
        );
      }
      if (this.#spinning.has(cpu))
        return `${name} branches to itself at ${at}, and no interrupt can reach it`;
      const what = cpu.waiting === 'event' ? 'an event (wfe)' : 'an interrupt (wfi)';
      return `${name} waits for ${what} at ${at}, and none can come`;
    });
  }
}
