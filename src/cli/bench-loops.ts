/**
 * The benchmark of loops: what is expected of generated code, met or missed.
 *
 * Each loop of firmware/bench/loops.c runs over plain memory, and over tagged memory with synchronous and
 * with asynchronous checks. A loop without memory accesses (collatz) has nothing to check and counts as
 * plain only.
 */
import loops from '../../firmware/bench/loops.elf';
import type { CommandIo } from './command.js';

const MODES = ['plain', 'sync', 'async'] as const;
type Mode = (typeof MODES)[number];

export interface LoopWorkload {
  readonly name: string;
  readonly unit: string;
  /** Rounds for mtemu and for the rival: small and large. */
  readonly amounts: readonly [number, number];
  readonly rivalAmounts: readonly [number, number];
  readonly args: readonly string[];
}

export interface LoopMeasurement {
  readonly name: string;
  readonly unitsPerSecond: number;
  /** Time for the same work divided by the rival's: the first of them, where there are several. */
  readonly ratio: number | undefined;
  /** The same for further rivals, by their names. */
  readonly others?: Readonly<Record<string, number>>;
  /** The same to the first rival where the interpreter runs it alone; measured with synchronous checks. */
  readonly interpreted?: number | undefined;
}

/** Names of rivals that loops are measured beside, the one of `ratio` first. */
export interface LoopRivals {
  readonly first: string | undefined;
  readonly users: readonly string[];
  /** With its own translation of addresses and tags: mte=on. */
  readonly system: string | undefined;
}

/** Large amounts for mtemu, for the rival over plain memory and over tagged memory. */
const LOOPS: readonly (readonly [name: string, own: number, plain: number, tagged: number])[] = [
  ['sieve', 150, 150, 20],
  ['crc', 1000, 1000, 100],
  ['sha', 5000, 8000, 800],
  ['sort', 100, 100, 16],
  ['chase', 5000, 6000, 1500],
  ['copy', 15000, 20000, 1200],
  ['collatz', 1000, 1000, 1000],
  ['fib', 2500, 2500, 900],
  ['sum', 80000, 80000, 9000],
  ['random2', 5000, 8000, 800],
  ['random16', 2000, 3000, 250],
  ['heap', 4000, 15000, 1500],
];
/** What has nothing to check. */
const UNCHECKED: ReadonlySet<string> = new Set(['collatz']);

/** The program of all loops, and how it is run for each; `name` is the loop's and the mode's. */
export function loopWorkloads(): { readonly bytes: Uint8Array; readonly workloads: readonly LoopWorkload[] } {
  const workloads = LOOPS.flatMap(([name, own, plain, tagged]) =>
    MODES.filter((mode) => mode === 'plain' || !UNCHECKED.has(name)).map((mode): LoopWorkload => {
      const rival = mode === 'plain' ? plain : tagged;
      return {
        name: `${name} ${mode}`,
        unit: 'round',
        amounts: [Math.ceil(own / 8), own],
        rivalAmounts: [Math.ceil(rival / 8), rival],
        args: [name, mode],
      };
    }),
  );
  return { bytes: loops, workloads };
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

interface Verdict {
  readonly what: string;
  readonly value: number;
  readonly most: number;
}

/** Median and largest ratio that are aimed at, by mode; of machines with tables and tags of their own, the median. */
const USER_TARGETS = [
  ['sync', 0.2, 0.6],
  ['plain', 1, 1.8],
] as const;
const SYSTEM_TARGET = 0.1;
const INTERPRETER_TARGET = 0.8;
/** The interpreter does this part of the rounds. */
const INTERPRETED_PART = 8;

/** What the interpreter alone is measured with; undefined for what it is not measured with. */
export function interpretedWorkload(workload: LoopWorkload): LoopWorkload | undefined {
  if (!workload.name.endsWith(' sync')) return undefined;
  const [least, most] = workload.amounts.map((rounds) => Math.ceil(rounds / INTERPRETED_PART));
  return { ...workload, amounts: [least!, Math.max(most!, least! + 1)] };
}

/** The targets and what was reached; those against a rival only where there is one. */
export function loopVerdicts(measurements: readonly LoopMeasurement[], rivals: LoopRivals): Verdict[] {
  const of = (mode: Mode) => measurements.filter(({ name }) => name.endsWith(` ${mode}`));
  const ratiosTo = (rival: string, mode: Mode) =>
    of(mode).flatMap((m) => (rival === rivals.first ? m.ratio : m.others?.[rival]) ?? []);
  const out: Verdict[] = [];
  for (const rival of rivals.first === undefined ? [] : [rivals.first, ...rivals.users]) {
    for (const [mode, middle, most] of USER_TARGETS) {
      const values = ratiosTo(rival, mode);
      if (values.length === 0) continue;
      out.push({ what: `${mode}, median to ${rival}`, value: median(values), most: middle });
      out.push({ what: `${mode}, largest to ${rival}`, value: Math.max(...values), most });
    }
  }
  const system = rivals.system === undefined ? [] : ratiosTo(rivals.system, 'sync');
  if (system.length > 0) {
    out.push({ what: `sync, median to ${rivals.system}`, value: median(system), most: SYSTEM_TARGET });
  }
  const interpreted = of('sync').flatMap((m) => m.interpreted ?? []);
  if (interpreted.length > 0) {
    const what = `sync, interpreter alone, median to ${rivals.first}`;
    out.push({ what, value: median(interpreted), most: INTERPRETER_TARGET });
  }
  const sync = of('sync');
  const async = of('async').map(({ unitsPerSecond }, i) => sync[i]!.unitsPerSecond / unitsPerSecond);
  out.push({ what: 'time async / sync, median', value: median(async), most: 1.1 });
  return out;
}

const widthOf = (column: string) => Math.max(10, column.length + 2);

export function printLoops(
  measurements: readonly LoopMeasurement[],
  rivals: LoopRivals,
  io: CommandIo,
): void {
  const named = [rivals.first, ...rivals.users, rivals.system].filter((name) => name !== undefined);
  for (const rival of named) {
    const isFirst = rival === rivals.first;
    const columns = [...MODES, ...(isFirst ? ['interpreter, sync'] : [])];
    const title = `loops / ${rival}`.padEnd(34);
    io.stdout(`\n${title}${columns.map((name) => name.padStart(widthOf(name))).join('')}   (ratios)\n`);
    for (const [name] of LOOPS) {
      const cells = MODES.map((mode) => {
        const found = measurements.find((m) => m.name === `${name} ${mode}`);
        return isFirst ? found?.ratio : found?.others?.[rival];
      });
      if (isFirst) cells.push(measurements.find((m) => m.name === `${name} sync`)?.interpreted);
      const texts = cells.map((ratio, i) => (ratio?.toFixed(2) ?? '-').padStart(widthOf(columns[i]!)));
      io.stdout(`${name.padEnd(34)}${texts.join('')}\n`);
    }
  }
  io.stdout('\n');
  for (const { what, value, most } of loopVerdicts(measurements, rivals)) {
    const verdict = value <= most ? 'met' : 'missed';
    io.stdout(`${what.padEnd(48)}${value.toFixed(2).padStart(6)}   target ${most.toFixed(2)}: ${verdict}\n`);
  }
}
