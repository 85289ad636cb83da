/**
 * What the guest tagged, in order, for fault reports: a bounded ring of events, each a run of granules that
 * were given one tag by stores close to each other, with who did it.
 *
 * An event begins in TypeScript, which looks at the stack for callers, and goes on without it: the words at
 * `CpuLayout.TAG_RUN` say what the run has covered, so that generated code can lengthen it by itself and
 * leaves only the first store of the next event to the evaluator. Tags that lie just above the stack pointer
 * belong to frames, which come and go with every call; they make no events.
 */
import { CpuLayout, type LinearMemory } from './linear-memory.js';

/** Events remembered; the oldest are forgotten. */
const MOST_EVENTS = 1 << 16;
/** Return addresses kept with an event. */
export const MOST_CALLERS = 8;
/**
 * Stores of a run come at most this many instructions after each other, and at most so many bytes beyond what
 * has been covered: allocators tag the ends of a block first, or in steps that overlap.
 */
export const TAG_RUN_STEPS = 64;
export const TAG_RUN_GAP = 256;
/** Bytes above the stack pointer whose tags make no events. */
export const TAG_RUN_STACK = 1 << 16;

/** Doubles of one event: the fields in the order of `Field`, then the callers, 0 after the last. */
const EVENT_WORDS = 8 + MOST_CALLERS;
const Field = {
  space: 0,
  process: 1,
  thread: 2,
  start: 3,
  end: 4,
  tags: 5,
  pc: 6,
  step: 7,
  callers: 8,
} as const;

/** Who runs on a CPU. */
export interface Tagger {
  /** Of the address space. */
  readonly space: number;
  readonly process: number;
  readonly thread: number;
  /** X30 and the return addresses of the frames, innermost first; the first MOST_CALLERS are kept. */
  readonly callers: readonly number[];
}

export interface TagEvent {
  readonly process: number;
  readonly thread: number;
  /** Untagged virtual addresses: first byte, and first byte after. */
  readonly start: number;
  readonly end: number;
  /** The first granule's tag before, and everyone's after. */
  readonly before: number;
  readonly after: number;
  /** Of the first store, and instructions that its CPU had executed before it. */
  readonly pc: number;
  readonly step: number;
  readonly callers: readonly number[];
}

/** The CPU that tags, inside the instruction. */
export interface TaggingCpu {
  readonly index: number;
  readonly linear: LinearMemory;
  /** Of its state block in `linear`. */
  readonly base: number;
  readonly pc: bigint;
  readonly sp: bigint;
  readonly steps: number;
}

const low = (value: bigint) => Number(BigInt.asUintN(32, value));

export class TagHistory {
  /** Asked once for each event. */
  whoTags: ((cpu: TaggingCpu) => Tagger | undefined) | undefined;
  #events: Float64Array | undefined;
  #begun = 0;
  /** The event that each CPU may still lengthen: its number, by CPU. */
  readonly #open = new Map<TaggingCpu, number>();

  /** Whether an instruction that tags from `va` on writes into the frame of a function. */
  static isOfFrame(cpu: TaggingCpu, va: bigint): boolean {
    return low(va - cpu.sp) < TAG_RUN_STACK;
  }

  /** A granule at `va` is about to be given a tag. */
  note(cpu: TaggingCpu, va: bigint, before: number, after: number): void {
    const words = cpu.linear.u32;
    const at = (cpu.base + CpuLayout.TAG_RUN) >>> 2;
    const here = (low(va) & ~15) >>> 0;
    const run = words[at]!;
    const start = (run & ~15) >>> 0;
    const end = words[at + 1]!;
    const isNear = (here - start + TAG_RUN_GAP) >>> 0 <= (end - start + 2 * TAG_RUN_GAP) >>> 0;
    const isSoon = (cpu.steps - words[at + 2]!) >>> 0 <= TAG_RUN_STEPS;
    if (isNear && isSoon && (run & 15) === after && this.#open.has(cpu)) {
      if (here < start) words[at] = here | after;
      if (here + 16 > end) words[at + 1] = here + 16;
    } else {
      this.#begin(cpu, va, before, after);
      words[at] = here | after;
      words[at + 1] = here + 16;
    }
    words[at + 2] = cpu.steps;
  }

  /** The CPU goes on with another thread: what that tags next is another event. */
  endRun(cpu: TaggingCpu): void {
    cpu.linear.u32[(cpu.base + CpuLayout.TAG_RUN + 8) >>> 2] = cpu.steps + 2 ** 31;
  }

  /** The events of one address space that tagged the granule at `va`, the latest first. */
  *eventsOf(space: number, va: bigint): Generator<TagEvent> {
    for (const cpu of [...this.#open.keys()]) this.#close(cpu);
    const events = this.#events;
    if (events === undefined) return;
    const address = Number(BigInt.asUintN(56, va));
    for (let n = this.#begun - 1; n >= 0 && n >= this.#begun - MOST_EVENTS; n--) {
      const at = (n % MOST_EVENTS) * EVENT_WORDS;
      const start = events[at + Field.start]!;
      const end = events[at + Field.end]!;
      if (events[at + Field.space] !== space || address < start || address >= end) continue;
      const callers = [...events.subarray(at + Field.callers, at + EVENT_WORDS)];
      const last = callers.indexOf(0);
      const tags = events[at + Field.tags]!;
      yield {
        process: events[at + Field.process]!,
        thread: events[at + Field.thread]!,
        start,
        end,
        before: tags & 15,
        after: tags >> 4,
        pc: events[at + Field.pc]!,
        step: events[at + Field.step]!,
        callers: last < 0 ? callers : callers.slice(0, last),
      };
    }
  }

  #begin(cpu: TaggingCpu, va: bigint, before: number, after: number): void {
    this.#close(cpu);
    const tagger = this.whoTags?.(cpu);
    if (tagger === undefined) return;
    this.#events ??= new Float64Array(MOST_EVENTS * EVENT_WORDS);
    const number = this.#begun++;
    const at = (number % MOST_EVENTS) * EVENT_WORDS;
    const start = Number(BigInt.asUintN(56, va) & ~15n);
    const fields = [tagger.space, tagger.process, tagger.thread, start, start + 16, before | (after << 4)];
    this.#events.set([...fields, Number(cpu.pc), cpu.steps], at);
    for (let i = 0; i < MOST_CALLERS; i++) this.#events[at + Field.callers + i] = tagger.callers[i] ?? 0;
    this.#open.set(cpu, number);
  }

  /** Writes down how far the event of a CPU has come. */
  #close(cpu: TaggingCpu): void {
    const number = this.#open.get(cpu);
    if (number === undefined || this.#events === undefined || number < this.#begun - MOST_EVENTS) return;
    const at = (number % MOST_EVENTS) * EVENT_WORDS;
    const first = this.#events[at + Field.start]!;
    const run = (cpu.base + CpuLayout.TAG_RUN) >>> 2;
    const words = cpu.linear.u32;
    this.#events[at + Field.start] = first + (((words[run]! & ~15) - first) | 0);
    this.#events[at + Field.end] = first + ((words[run + 1]! - first) | 0);
  }
}
