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

/** Bytes of the ring before its events; u32 at its beginning: events begun, bytes of the log written. */
export const TAG_RING_HEAD = 128;
export const TAG_RING_LOGGED = 4;
/** Bytes of the log, a power of two. Behind the events: the stores of runs, the oldest forgotten. */
export const TAG_LOG_BYTES = 1 << 22;
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
  /** u32: bytes of the log written before. */
  LOGGED: 112,
} as const;
/** Bytes from the ring to the log. */
export const TAG_LOG = TAG_RING_HEAD + MOST_TAG_EVENTS * TagEventField.BYTES;
/**
 * The fields of a store in the log: low half of its address, the first granule's tag before in bits 3:0; low half
 * of its step; low half of its PC, in bits 1:0 whether it is of 1, 2 or 4 granules; its event, as OPEN has it.
 */
export const TagLogField = { BYTES: 16, START: 0, STEP: 4, PC: 8, EVENT: 12 } as const;
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
  /** The address space that the addresses are of. */
  readonly space: number;
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
  /** Host offset, which names it to the log. */
  readonly at: number;
  /** Bytes of the log written before it. */
  readonly logged: number;
}

/** One store of an event. */
export interface TagStore {
  readonly pc: number;
  readonly step: number;
  /** Of the granule asked about; undefined where another one of the store's was looked at. */
  readonly before: number | undefined;
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

  /**
   * So many granules of a page, from `va` on, are about to be given a tag; `before`: the first one's. False where
   * that is not remembered: nobody is known to run, or there is no room for the ring, which the first event
   * makes in the linear memory.
   */
  note(cpu: TaggingCpu, va: bigint, before: number, after: number, granules: 1 | 2 | 4): boolean {
    const words = cpu.linear.u32;
    if (words[wordOf(cpu, Tagging.SPACE)] === 0) return false;
    const event = words[wordOf(cpu, Tagging.OPEN)]! >>> 2;
    const here = (low(va) & ~15) >>> 0;
    const next = here + 16 * granules;
    if (event !== 0) {
      const run = words[event]!;
      const start = (run & ~15) >>> 0;
      const end = words[event + 1]!;
      const isNear = (here - start + TAG_RUN_GAP) >>> 0 <= (end - start + 2 * TAG_RUN_GAP) >>> 0;
      const isSoon = (cpu.steps - words[event + 2]!) >>> 0 <= TAG_RUN_STEPS;
      if (isNear && isSoon && (run & 15) === after) {
        if (here < start) words[event] = here | after;
        if (next > end) words[event + 1] = next;
        words[event + 2] = cpu.steps;
        this.#log(cpu, event << 2, here | before, granules);
        return true;
      }
    }
    return this.#begin(cpu, va, before, after, granules);
  }

  #log(cpu: TaggingCpu, event: number, start: number, granules: 1 | 2 | 4): void {
    const { u32 } = cpu.linear;
    const logged = u32[(this.#ring + TAG_RING_LOGGED) >>> 2]!;
    const at = (this.#ring + TAG_LOG + (logged & (TAG_LOG_BYTES - 1))) >>> 2;
    u32[at] = start;
    u32[at + 1] = cpu.steps;
    u32[at + 2] = low(cpu.pc) | (granules >> 1);
    u32[at + 3] = event;
    u32[(this.#ring + TAG_RING_LOGGED) >>> 2] = logged + TagLogField.BYTES;
  }

  #begin(cpu: TaggingCpu, va: bigint, before: number, after: number, granules: 1 | 2 | 4): boolean {
    const ring = this.#ringOf(cpu.linear);
    if (ring < 0) return false;
    const { u32, u64 } = cpu.linear;
    u32[wordOf(cpu, Tagging.RING)] = ring;
    const number = u32[ring >>> 2]!;
    const event = ring + TAG_RING_HEAD + (number % MOST_TAG_EVENTS) * TagEventField.BYTES;
    const put = (field: number, value: number) => {
      u32[(event + field) >>> 2] = value;
    };
    const here = low(va) & ~15;
    put(TagEventField.START, here | after);
    put(TagEventField.END, here + 16 * granules);
    put(TagEventField.LAST, cpu.steps);
    put(TagEventField.HIGH, low(va >> 32n) & 0xff_ffff);
    put(TagEventField.BEFORE, before);
    put(TagEventField.SPACE, u32[wordOf(cpu, Tagging.SPACE)]!);
    put(TagEventField.PROCESS, u32[wordOf(cpu, Tagging.PROCESS)]!);
    put(TagEventField.THREAD, u32[wordOf(cpu, Tagging.THREAD)]!);
    put(TagEventField.LOGGED, u32[(ring + TAG_RING_LOGGED) >>> 2]!);
    u64[(event + TagEventField.PC) >>> 3] = cpu.pc;
    u64[(event + TagEventField.STEP) >>> 3] = BigInt(cpu.steps);
    const callers = this.callersOf?.(cpu) ?? [];
    for (let i = 0; i < MOST_CALLERS; i++) {
      u64[(event + TagEventField.CALLERS + 8 * i) >>> 3] = BigInt(callers[i] ?? 0);
    }
    u32[ring >>> 2] = number + 1;
    u32[wordOf(cpu, Tagging.OPEN)] = event;
    this.#log(cpu, event, here | before, granules);
    return true;
  }

  #ringOf(linear: LinearMemory): number {
    if (this.#ring !== 0) return this.#ring;
    try {
      this.#ring = linear.allocate(TAG_LOG + TAG_LOG_BYTES);
      this.#linear = linear;
    } catch (thrown) {
      if (!(thrown instanceof OutOfHostMemory)) throw thrown;
      this.#ring = -1;
    }
    return this.#ring;
  }

  /** The events of one address space that tagged the granule at `va`, the latest first. */
  *eventsOf(space: number, va: bigint): Generator<TagEvent> {
    const address = Number(BigInt.asUintN(56, va));
    yield* this.#events((of, start, end) => of === space && address >= start && address < end);
  }

  /**
   * The events that tagged a granule `offset` bytes into a page of `pageSize` bytes, of any address space but
   * `besides`, the latest first.
   */
  *eventsInPages(offset: number, pageSize: number, besides: number): Generator<TagEvent> {
    yield* this.#events((of, start, end) => {
      const first = start + ((offset - (start % pageSize) + pageSize) % pageSize);
      return of !== besides && first < end;
    });
  }

  *#events(isWanted: (space: number, start: number, end: number) => boolean): Generator<TagEvent> {
    const linear = this.#linear;
    if (linear === undefined) return;
    const { u32, u64 } = linear;
    const begun = u32[this.#ring >>> 2]!;
    for (let n = begun - 1; n >= 0 && n >= begun - MOST_TAG_EVENTS; n--) {
      const event = this.#ring + TAG_RING_HEAD + (n % MOST_TAG_EVENTS) * TagEventField.BYTES;
      const word = (field: number) => u32[(event + field) >>> 2]!;
      const wide = (field: number) => Number(u64[(event + field) >>> 3]!);
      const run = word(TagEventField.START);
      const start = word(TagEventField.HIGH) * 2 ** 32 + ((run & ~15) >>> 0);
      const end = start + ((word(TagEventField.END) - (run & ~15)) >>> 0);
      const space = word(TagEventField.SPACE) - 1;
      if (!isWanted(space, start, end)) continue;
      const callers = Array.from({ length: MOST_CALLERS }, (_, i) => wide(TagEventField.CALLERS + 8 * i));
      const last = callers.indexOf(0);
      yield {
        space,
        process: word(TagEventField.PROCESS),
        thread: word(TagEventField.THREAD),
        start,
        end,
        before: word(TagEventField.BEFORE),
        after: run & 15,
        pc: wide(TagEventField.PC),
        step: wide(TagEventField.STEP),
        callers: last < 0 ? callers : callers.slice(0, last),
        at: event,
        logged: word(TagEventField.LOGGED),
      };
    }
  }

  /**
   * The last store of an event to the granule at `va`. Undefined where it is not in the log any more; `false`
   * where the event has not stored there, though around it.
   */
  storeOf(event: TagEvent, va: bigint): TagStore | undefined | false {
    const { u32 } = this.#linear!;
    const logged = u32[(this.#ring + TAG_RING_LOGGED) >>> 2]!;
    const since = (logged - event.logged) >>> 0;
    const granule = low(va) & ~15;
    for (let back = TagLogField.BYTES; back <= Math.min(since, TAG_LOG_BYTES); back += TagLogField.BYTES) {
      const at = (this.#ring + TAG_LOG + ((logged - back) & (TAG_LOG_BYTES - 1))) >>> 2;
      const [start, step, pc] = [u32[at]!, u32[at + 1]!, u32[at + 2]!];
      const distance = (granule - (start & ~15)) >>> 0;
      if (u32[at + 3] !== event.at || distance >= 16 << (pc & 3)) continue;
      return {
        pc: event.pc + (((pc & ~3) - low(BigInt(event.pc))) | 0),
        step: event.step + ((step - event.step) >>> 0),
        before: distance === 0 ? start & 15 : undefined,
      };
    }
    return since > TAG_LOG_BYTES ? undefined : false;
  }
}
