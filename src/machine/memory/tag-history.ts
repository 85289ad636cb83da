/**
 * What the guest tagged, in order, for fault reports: a bounded ring of events, each a run of granules that
 * were given one tag by stores close to each other, with who did it.
 *
 * The ring is in linear memory, made when the first event begins, so that generated code writes events by itself;
 * it leaves to TypeScript what it cannot see in the TLB of the stack, where callers are looked for. The words
 * at `CpuLayout.TAGGING` say who runs on the CPU and which event it may still lengthen. Tags that lie just above
 * the stack pointer belong to frames, which come and go with every call; they make no events.
 */
import { CpuLayout, type LinearMemory, OutOfHostMemory } from './linear-memory.js';

/** Events remembered; the oldest are forgotten. */
export const MOST_TAG_EVENTS = 1 << 16;
/** Return addresses kept with an event. */
export const MOST_CALLERS = 8;
/** Frames further apart than this are no chain. */
export const MOST_FRAME_BYTES = 1 << 24;
/**
 * Stores of a run come at most this many instructions after each other, and at most so many bytes beyond what
 * has been covered: allocators tag the ends of a block first, or in steps that overlap.
 */
export const TAG_RUN_STEPS = 64;
export const TAG_RUN_GAP = 256;
/** Bytes above the stack pointer whose tags make no events. */
export const TAG_RUN_STACK = 1 << 16;

/** Bytes of the ring before its events; u32 at its beginning: events begun. */
export const TAG_RING_HEAD = 128;
/** The fields of an event by their byte offsets. */
export const TagEventField = {
  BYTES: 128,
  /** u32: low half of the first address, the tag after in bits 3:0; u32: low half of the first address after. */
  START: 0,
  END: 4,
  /** u32: step of the last store. */
  LAST: 8,
  /** u32: bits 55:32 of the address. */
  HIGH: 12,
  /** u32: the first granule's tag before. */
  BEFORE: 16,
  /** u32: address space plus 1, process, thread. */
  SPACE: 20,
  PROCESS: 24,
  THREAD: 28,
  /** u64: of the first store. */
  PC: 32,
  STEP: 40,
  /** u64 each: X30 and the return addresses of the frames, innermost first; 0 after the last. */
  CALLERS: 48,
} as const;
/** The words at CpuLayout.TAGGING: the event that may be lengthened (0: none), the ring (0: none yet), who runs. */
export const Tagging = { OPEN: 0, RING: 4, SPACE: 8, PROCESS: 12, THREAD: 16 } as const;

/** Who runs on a CPU. */
export interface Tagger {
  /** Of the address space. */
  readonly space: number;
  readonly process: number;
  readonly thread: number;
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
const wordOf = (cpu: TaggingCpu, word: number) => (cpu.base + CpuLayout.TAGGING + word) >>> 2;

export class TagHistory {
  /** X30 and the return addresses of the frames, innermost first; asked for events that begin in TypeScript. */
  callersOf: ((cpu: TaggingCpu) => readonly number[]) | undefined;
  #linear: LinearMemory | undefined;
  /** Byte offset of the ring; 0: there is none yet, -1: there is no room for one. */
  #ring = 0;

  /** Whether an instruction that tags from `va` on writes into the frame of a function. */
  static isOfFrame(cpu: TaggingCpu, va: bigint): boolean {
    return low(va - cpu.sp) < TAG_RUN_STACK;
  }

  /** The CPU goes on with another thread, or with another program: what that tags next is another event. */
  runs(cpu: TaggingCpu, { space, process, thread }: Tagger): void {
    const words = cpu.linear.u32;
    words[wordOf(cpu, Tagging.OPEN)] = 0;
    words[wordOf(cpu, Tagging.SPACE)] = space + 1;
    words[wordOf(cpu, Tagging.PROCESS)] = process;
    words[wordOf(cpu, Tagging.THREAD)] = thread;
  }

  /** A granule at `va` is about to be given a tag. May make the ring, which grows the linear memory. */
  note(cpu: TaggingCpu, va: bigint, before: number, after: number): void {
    const words = cpu.linear.u32;
    if (words[wordOf(cpu, Tagging.SPACE)] === 0) return;
    const event = words[wordOf(cpu, Tagging.OPEN)]! >>> 2;
    const here = (low(va) & ~15) >>> 0;
    if (event !== 0) {
      const run = words[event]!;
      const start = (run & ~15) >>> 0;
      const end = words[event + 1]!;
      const isNear = (here - start + TAG_RUN_GAP) >>> 0 <= (end - start + 2 * TAG_RUN_GAP) >>> 0;
      const isSoon = (cpu.steps - words[event + 2]!) >>> 0 <= TAG_RUN_STEPS;
      if (isNear && isSoon && (run & 15) === after) {
        if (here < start) words[event] = here | after;
        if (here + 16 > end) words[event + 1] = here + 16;
        words[event + 2] = cpu.steps;
        return;
      }
    }
    this.#begin(cpu, va, before, after);
  }

  #begin(cpu: TaggingCpu, va: bigint, before: number, after: number): void {
    const ring = this.#ringOf(cpu.linear);
    if (ring < 0) return;
    const { u32, u64 } = cpu.linear;
    u32[wordOf(cpu, Tagging.RING)] = ring;
    const number = u32[ring >>> 2]!;
    const event = ring + TAG_RING_HEAD + (number % MOST_TAG_EVENTS) * TagEventField.BYTES;
    const put = (field: number, value: number) => {
      u32[(event + field) >>> 2] = value;
    };
    const here = low(va) & ~15;
    put(TagEventField.START, here | after);
    put(TagEventField.END, here + 16);
    put(TagEventField.LAST, cpu.steps);
    put(TagEventField.HIGH, low(va >> 32n) & 0xff_ffff);
    put(TagEventField.BEFORE, before);
    put(TagEventField.SPACE, u32[wordOf(cpu, Tagging.SPACE)]!);
    put(TagEventField.PROCESS, u32[wordOf(cpu, Tagging.PROCESS)]!);
    put(TagEventField.THREAD, u32[wordOf(cpu, Tagging.THREAD)]!);
    u64[(event + TagEventField.PC) >>> 3] = cpu.pc;
    u64[(event + TagEventField.STEP) >>> 3] = BigInt(cpu.steps);
    const callers = this.callersOf?.(cpu) ?? [];
    for (let i = 0; i < MOST_CALLERS; i++) {
      u64[(event + TagEventField.CALLERS + 8 * i) >>> 3] = BigInt(callers[i] ?? 0);
    }
    u32[ring >>> 2] = number + 1;
    u32[wordOf(cpu, Tagging.OPEN)] = event;
  }

  #ringOf(linear: LinearMemory): number {
    if (this.#ring !== 0) return this.#ring;
    try {
      this.#ring = linear.allocate(TAG_RING_HEAD + MOST_TAG_EVENTS * TagEventField.BYTES);
      this.#linear = linear;
    } catch (thrown) {
      if (!(thrown instanceof OutOfHostMemory)) throw thrown;
      this.#ring = -1;
    }
    return this.#ring;
  }

  /** The events of one address space that tagged the granule at `va`, the latest first. */
  *eventsOf(space: number, va: bigint): Generator<TagEvent> {
    const linear = this.#linear;
    if (linear === undefined) return;
    const { u32, u64 } = linear;
    const address = Number(BigInt.asUintN(56, va));
    const begun = u32[this.#ring >>> 2]!;
    for (let n = begun - 1; n >= 0 && n >= begun - MOST_TAG_EVENTS; n--) {
      const event = this.#ring + TAG_RING_HEAD + (n % MOST_TAG_EVENTS) * TagEventField.BYTES;
      const word = (field: number) => u32[(event + field) >>> 2]!;
      const wide = (field: number) => Number(u64[(event + field) >>> 3]!);
      if (word(TagEventField.SPACE) !== space + 1) continue;
      const run = word(TagEventField.START);
      const start = word(TagEventField.HIGH) * 2 ** 32 + ((run & ~15) >>> 0);
      const end = start + ((word(TagEventField.END) - (run & ~15)) >>> 0);
      if (address < start || address >= end) continue;
      const callers = Array.from({ length: MOST_CALLERS }, (_, i) => wide(TagEventField.CALLERS + 8 * i));
      const last = callers.indexOf(0);
      yield {
        process: word(TagEventField.PROCESS),
        thread: word(TagEventField.THREAD),
        start,
        end,
        before: word(TagEventField.BEFORE),
        after: run & 15,
        pc: wide(TagEventField.PC),
        step: wide(TagEventField.STEP),
        callers: last < 0 ? callers : callers.slice(0, last),
      };
    }
  }
}
