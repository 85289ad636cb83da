/**
 * Lock-step: one program on two machines, each under an engine of its own, compared as they go.
 *
 * Both sides run to the same number of instructions, then registers, PSTATE, system registers and, less
 * often, all of touched memory must be equal. Where they are not, both are made again and the last
 * stretch is done instruction by instruction, so that the report names the first instruction whose
 * outcome differs.
 */
import { SYSTEM_REGISTERS } from '../../isa/index.js';
import { hex } from '../base/index.js';
import { CHUNK, type Cpu, CpuLayout, cellOf, type Machine } from '../machine/index.js';

export interface LockstepSide {
  readonly machine: Machine;
  /** Executes until the boot CPU has done `steps` instructions in all; false once the program has ended. */
  runTo(steps: number): boolean;
}

export interface LockstepOptions {
  /** Instructions between comparisons of the CPUs. */
  readonly every: number;
  /** Comparisons of the CPUs between comparisons of memory; memory is compared at the end in any case. */
  readonly memoryEvery?: number;
  /** Instructions after which to stop. */
  readonly limit: number;
}

export interface Difference {
  /** `x3`, `pc`, `sctlr_el1`, `memory 0x40001000`. */
  readonly what: string;
  readonly first: string;
  readonly second: string;
}

export interface LockstepResult {
  /** Instructions that both sides did and agreed on. */
  readonly steps: number;
  readonly comparisons: number;
  /** Empty where the sides agree. */
  readonly differences: readonly Difference[];
  /** PC of the instruction after which they differ. */
  readonly pc: bigint | undefined;
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

const compareAll = (a: Machine, b: Machine) => [...compareCpus(a.cpu, b.cpu), ...compareMemory(a, b)];

/**
 * Runs both sides that `make` gives until they differ, both end, or the limit. `make` is called again to
 * find the first instruction that differs, and must give the same program from its beginning.
 */
export function lockstep(
  make: () => readonly [LockstepSide, LockstepSide],
  options: LockstepOptions,
): LockstepResult {
  const memoryEvery = options.memoryEvery ?? Number.POSITIVE_INFINITY;
  const [a, b] = make();
  let agreed = a.machine.cpu.steps;
  let comparisons = 0;
  for (;;) {
    const to = Math.min(options.limit, agreed + options.every);
    const goesOn = [a.runTo(to), b.runTo(to)];
    comparisons++;
    const atEnd = !goesOn[0] || !goesOn[1] || to >= options.limit;
    const withMemory = atEnd || comparisons % memoryEvery === 0;
    const differences = withMemory
      ? compareAll(a.machine, b.machine)
      : compareCpus(a.machine.cpu, b.machine.cpu);
    if (goesOn[0] !== goesOn[1]) {
      const word = (on: boolean | undefined) => (on ? 'goes on' : 'has ended');
      differences.push({ what: 'the program', first: word(goesOn[0]), second: word(goesOn[1]) });
    }
    if (differences.length > 0) return { ...narrowed(make, agreed, to, differences), comparisons };
    agreed = a.machine.cpu.steps;
    if (atEnd) return { steps: agreed, comparisons, differences, pc: undefined };
  }
}

/** Goes from `agreed` to `end` one instruction at a time. */
function narrowed(
  make: () => readonly [LockstepSide, LockstepSide],
  agreed: number,
  end: number,
  coarse: readonly Difference[],
): Omit<LockstepResult, 'comparisons'> {
  const [a, b] = make();
  if (agreed > a.machine.cpu.steps) {
    a.runTo(agreed);
    b.runTo(agreed);
  }
  for (let steps = agreed + 1; steps <= end; steps++) {
    const { pc } = a.machine.cpu;
    const goesOn = [a.runTo(steps), b.runTo(steps)];
    const differences = compareAll(a.machine, b.machine);
    if (differences.length > 0) return { steps: steps - 1, differences, pc };
    if (!goesOn[0] || !goesOn[1]) break;
  }
  // They differ only in long stretches: what was seen first is all there is to say.
  return { steps: agreed, differences: coarse, pc: undefined };
}
