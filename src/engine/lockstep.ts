/**
 * Lock-step: one program in two systems, each under an engine of its own, compared as they go.
 *
 * Both systems are deterministic, so they ask their engines for the same stretches in the same order. The
 * engine of each is wrapped: a stretch is done in pieces of so many instructions, and after each piece the
 * CPU's whole state is summed up. One system runs ahead for a while, the other follows and must come to
 * the same sums; nothing that the program can see depends on where the pieces end. Memory, in which tags
 * are too, is compared now and then and at the end.
 *
 * Where the systems differ, both are made again and go over the piece one instruction at a time, so that
 * the first instruction whose outcome differs is known, and what differs.
 */
import { SYSTEM_REGISTERS } from '../../isa/index.js';
import { hex } from '../base/index.js';
import {
  CHUNK,
  type Cpu,
  CpuLayout,
  cellOf,
  type Engine,
  type Machine,
  type StopReason,
} from '../machine/index.js';

/** Makes an engine of a machine. */
export type EngineMaker = (machine: Machine) => Engine;

export interface LockstepSide {
  readonly machine: Machine;
  /**
   * Runs on until the program has ended (false) or `pause` gives true (true). `pause` is asked at moments
   * that depend on the program alone, and pausing changes nothing.
   */
  runUntil(pause: () => boolean): boolean;
  /** A digest of what the program has written. */
  output?(): string;
}

/** Makes the program's system from its beginning; called again to find the first instruction that differs. */
export type MakeSide = (engine: EngineMaker, which: 0 | 1) => LockstepSide;

export interface LockstepOptions {
  /** Instructions between comparisons of the CPUs, at most. */
  readonly every: number;
  /** Comparisons of the CPUs between comparisons of memory; memory is compared at the end in any case. */
  readonly memoryEvery?: number;
  /** Asked now and then: true ends both. */
  readonly expired?: () => boolean;
}

export interface Difference {
  /** `x3`, `pc`, `sctlr_el1`, `memory 0x40001000`, `output`, `the program`. */
  readonly what: string;
  readonly first: string;
  readonly second: string;
}

export interface LockstepResult {
  /** Instructions that CPU 0 did on both sides and that agree. */
  readonly steps: number;
  readonly comparisons: number;
  /** Empty where the sides agree. */
  readonly differences: readonly Difference[];
  /** Address and word of the first instruction whose outcome differs, where one alone makes them differ. */
  readonly instruction: { readonly pc: bigint; readonly word: number | undefined } | undefined;
  /** The first of the two sides, as far as it got. */
  readonly first: LockstepSide;
}

const CELLS = SYSTEM_REGISTERS.filter(
  (row) => !row.nameOnly && (row.kind === 'cell' || row.kind === 'computed'),
).map((row) => ({ name: row.name, cell: cellOf(row.name) }));
const VECTOR_WORDS = 64;

/** What differs between two CPUs in architectural state and counters. */
export function compareCpus(a: Cpu, b: Cpu): Difference[] {
  const out: Difference[] = [];
  const add = (what: string, first: bigint | number, second: bigint | number) => {
    if (first !== second) out.push({ what, first: hex(first), second: hex(second) });
  };
  for (let n = 0; n < 31; n++) add(`x${n}`, a.readX(n), b.readX(n));
  for (const el of [0, 1, 2, 3] as const) add(`sp_el${el}`, a.spOf(el), b.spOf(el));
  add('pc', a.pc, b.pc);
  add('nzcv', a.nzcv, b.nzcv);
  add('pstate', a.pstate.save(0), b.pstate.save(0));
  for (const { name, cell } of CELLS) add(name, a.cells.get(cell), b.cells.get(cell));
  for (let i = 0; i < VECTOR_WORDS; i++) {
    const word = (cpu: Cpu) => cpu.linear.u64[(cpu.base + CpuLayout.V) / 8 + i]!;
    add(`v${i >> 1}${i & 1 ? ' high' : ' low'}`, word(a), word(b));
  }
  add('instructions', a.steps, b.steps);
  add('exceptions', a.exceptions, b.exceptions);
  add('tag checks', a.tagChecks, b.tagChecks);
  return out;
}

/** The first 8 bytes that differ in each chunk that either machine has touched. */
export function compareMemory(a: Machine, b: Machine): Difference[] {
  const out: Difference[] = [];
  for (const chunk of new Set([...a.dram.touchedChunks(), ...b.dram.touchedChunks()])) {
    const first = a.linear.u64.subarray(a.dram.hostForRead(chunk) >>> 3);
    const second = b.linear.u64.subarray(b.dram.hostForRead(chunk) >>> 3);
    for (let i = 0; i < CHUNK / 8; i++) {
      if (first[i] === second[i]) continue;
      out.push({ what: `memory ${hex(chunk + 8 * i)}`, first: hex(first[i]!), second: hex(second[i]!) });
      break;
    }
  }
  return out;
}

// ---- sums of CPU states ----------------------------------------------------------------------------

/** Ranges of 32-bit words of the state block that are architectural. */
const RANGES: readonly (readonly [number, number])[] = [
  [CpuLayout.X / 4, CpuLayout.X / 4 + 62],
  [CpuLayout.X / 4 + 64, CpuLayout.X / 4 + 66],
  [CpuLayout.NZCV / 4, CpuLayout.NZCV / 4 + 1],
  [CpuLayout.PC / 4, CpuLayout.PC / 4 + 2],
  [CpuLayout.SYSTEM / 4, CpuLayout.SYSTEM / 4 + 2 * (1 + Math.max(...CELLS.map(({ cell }) => cell)))],
  [CpuLayout.V / 4, CpuLayout.V / 4 + 2 * VECTOR_WORDS],
];

/** A sum of everything that `compareCpus` compares. */
function sumOf(cpu: Cpu, stop: StopReason): number {
  const words = cpu.linear.u32;
  const base = cpu.base >>> 2;
  let a = 0x811c_9dc5;
  let b = 0x9e37_79b9;
  const mix = (word: number) => {
    a = Math.imul(a ^ word, 0x0100_0193);
    b = Math.imul((b << 7) | (b >>> 25), 0x85eb_ca6b) ^ word;
  };
  for (const [from, to] of RANGES) {
    for (let i = base + from; i < base + to; i++) mix(words[i]!);
  }
  for (const el of [0, 1, 2, 3] as const) {
    const sp = cpu.spOf(el);
    mix(Number(BigInt.asIntN(32, sp)));
    mix(Number(BigInt.asIntN(32, sp >> 32n)));
  }
  mix(Number(cpu.pstate.save(0)));
  for (const count of [cpu.steps, cpu.exceptions, cpu.tagChecks]) {
    mix(count | 0);
    mix(Math.floor(count / 2 ** 32));
  }
  mix(stop.kind.charCodeAt(0));
  return (a >>> 0) * 2 ** 20 + ((b >>> 12) ^ (cpu.index << 16));
}

// ---- engines that stop often -----------------------------------------------------------------------

/** Thrown through a system that is needed no longer. */
class Enough {}

interface Piece {
  /** Instructions of the next piece. */
  length(): number;
  /** A piece has been done. */
  done(cpu: Cpu, stop: StopReason): void;
}

class PieceEngine implements Engine {
  readonly name: string;
  readonly #engine: Engine;
  readonly #piece: Piece;
  /** Of the last piece: where it began. */
  pc = 0n;
  cpu: Cpu | undefined;
  #word: number | undefined;

  constructor(engine: Engine, piece: Piece) {
    this.name = engine.name;
    this.#engine = engine;
    this.#piece = piece;
  }

  get statistics(): object | undefined {
    return this.#engine.statistics;
  }

  /** Address and word of the instruction that the last piece began with. */
  get instruction(): { readonly pc: bigint; readonly word: number | undefined } {
    return { pc: this.pc, word: this.#word };
  }

  run(cpu: Cpu, maxInstructions: number): StopReason {
    this.cpu = cpu;
    // A run that is limited has used up all it was given, exceptions of fetches included.
    for (let left = maxInstructions; ; ) {
      const length = Math.min(left, this.#piece.length());
      this.pc = cpu.pc;
      this.#word = length === 1 ? wordAt(cpu) : undefined;
      const stop = this.#engine.run(cpu, length);
      left -= length;
      this.#piece.done(cpu, stop);
      if (stop.kind !== 'limit' || left <= 0) return stop;
    }
  }
}

function wordAt(cpu: Cpu): number | undefined {
  const where = cpu.mmu.probeAddress(cpu.pstate.el, cpu.pc);
  return where === undefined ? undefined : cpu.memory.fetch(where.pa);
}

/** A side whose engine is watched. */
function watched(make: MakeSide, engines: readonly [EngineMaker, EngineMaker], which: 0 | 1, piece: Piece) {
  let engine: PieceEngine | undefined;
  const side = make((machine) => {
    engine = new PieceEngine(engines[which](machine), piece);
    return engine;
  }, which);
  return { side, engine: engine! };
}

// ---- the comparison --------------------------------------------------------------------------------

/** Sums that one side is ahead of the other before it pauses. */
const MOST_AHEAD = 4096;

/**
 * Runs the program under both engines until they differ or it has ended in both.
 * Whatever `make` throws goes through.
 */
export function lockstep(
  make: MakeSide,
  engines: readonly [EngineMaker, EngineMaker],
  options: LockstepOptions,
): LockstepResult {
  const { every } = options;
  const memoryEvery = options.memoryEvery ?? Number.POSITIVE_INFINITY;
  /** What the first side came to and the second has not yet. */
  let ahead: number[] = [];
  let followed = 0;
  let agreed = 0;
  const leader: Piece = {
    length: () => every,
    done: (cpu, stop) => void ahead.push(sumOf(cpu, stop)),
  };
  const follower: Piece = {
    length: () => every,
    done(cpu, stop) {
      if (ahead[followed] !== sumOf(cpu, stop)) throw new Enough();
      followed++;
    },
  };
  const a = watched(make, engines, 0, leader);
  const b = tryTo(() => watched(make, engines, 1, follower));
  const { side: first } = a;
  if (b === undefined) return { ...narrowed(make, engines, every, followed), comparisons: followed, first };
  let memoryCompared = 0;
  for (;;) {
    let asked = 0;
    const goesOn = first.runUntil(() => {
      asked++;
      return ahead.length >= MOST_AHEAD || options.expired?.() === true;
    });
    // The moments are the program's: the second side pauses at the same one, or ends as the first did.
    if (!goesOn) asked++;
    const alsoOn = tryTo(() => b.side.runUntil(() => --asked <= 0));
    if (alsoOn === undefined || followed < ahead.length) {
      const result = narrowed(make, engines, every, agreed + followed);
      return { ...result, comparisons: agreed + followed + 1, first };
    }
    agreed += followed;
    followed = 0;
    ahead = [];
    const atEnd = !goesOn || !alsoOn || options.expired?.() === true;
    const differences: Difference[] = [];
    if (goesOn !== alsoOn) {
      const word = (on: boolean) => (on ? 'goes on' : 'has ended');
      differences.push({ what: 'the program', first: word(goesOn), second: word(alsoOn) });
    }
    if (atEnd || agreed - memoryCompared >= memoryEvery) {
      memoryCompared = agreed;
      differences.push(...compareMemory(first.machine, b.side.machine));
      const [said, alsoSaid] = [first.output?.() ?? '', b.side.output?.() ?? ''];
      if (said !== alsoSaid) differences.push({ what: 'output', first: said, second: alsoSaid });
    }
    if (atEnd || differences.length > 0) {
      const { steps } = first.machine.cpu;
      return { steps, comparisons: agreed, differences, instruction: undefined, first };
    }
  }
}

/** Undefined where a side was stopped. */
function tryTo<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (thrown) {
    if (thrown instanceof Enough) return undefined;
    throw thrown;
  }
}

/**
 * What differs after the piece that follows `agreed` pieces: after its first instruction that makes a
 * difference where single instructions make one, else after the whole.
 */
function narrowed(
  make: MakeSide,
  engines: readonly [EngineMaker, EngineMaker],
  every: number,
  agreed: number,
): Pick<LockstepResult, 'steps' | 'differences' | 'instruction'> {
  /** Runs a side through the pieces that agree, then `fine` instructions or, left out, one more piece. */
  const runSide = (which: 0 | 1, fine: number | undefined, sums: number[]) => {
    let pieces = 0;
    const piece: Piece = {
      length: () => (fine !== undefined && pieces >= agreed ? 1 : every),
      done(cpu, stop) {
        pieces++;
        if (pieces > agreed) sums.push(sumOf(cpu, stop));
        if (pieces >= agreed + (fine ?? 1)) throw new Enough();
      },
    };
    let system: ReturnType<typeof watched> | undefined;
    let machine: Machine | undefined;
    let engine: PieceEngine | undefined;
    const keep: MakeSide = (maker, side) =>
      make((m) => {
        machine = m;
        engine = maker(m) as PieceEngine;
        return engine;
      }, side);
    const ended = tryTo(() => {
      system = watched(keep, engines, which, piece);
      while (system.side.runUntil(() => false));
      return true;
    });
    return { machine: machine!, engine: engine!, ended: ended === true };
  };
  const compareAfter = (fine: number | undefined) => {
    const a = runSide(0, fine, []);
    const b = runSide(1, fine, []);
    const cpu = (side: typeof a) => side.engine.cpu ?? side.machine.cpu;
    const differences = [...compareCpus(cpu(a), cpu(b)), ...compareMemory(a.machine, b.machine)];
    if (a.ended !== b.ended) {
      const word = (ended: boolean) => (ended ? 'has ended' : 'goes on');
      differences.push({ what: 'the program', first: word(a.ended), second: word(b.ended) });
    }
    return { a, differences };
  };
  const sums: [number[], number[]] = [[], []];
  for (const which of [0, 1] as const) runSide(which, every + 1, sums[which]);
  const at = sums[0].findIndex((sum, i) => sum !== sums[1][i]);
  const single = at >= 0 ? compareAfter(at + 1) : undefined;
  if (single !== undefined && single.differences.length > 0) {
    const { machine, engine } = single.a;
    return {
      steps: Math.max(0, (engine.cpu ?? machine.cpu).steps - 1),
      differences: single.differences,
      instruction: engine.instruction,
    };
  }
  // They differ only in long stretches: what differs after the whole is all there is to say.
  const whole = compareAfter(undefined);
  return { steps: whole.a.machine.cpu.steps, differences: whole.differences, instruction: undefined };
}
