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
  /** Time for the same work divided by the rival's. */
  readonly ratio: number | undefined;
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

/** The targets and what was reached; those against a rival only where there is one. */
export function loopVerdicts(measurements: readonly LoopMeasurement[]): Verdict[] {
  const of = (mode: Mode) => measurements.filter(({ name }) => name.endsWith(` ${mode}`));
  const ratios = (mode: Mode) => of(mode).flatMap(({ ratio }) => (ratio === undefined ? [] : [ratio]));
  const out: Verdict[] = [];
  for (const [mode, middle, most] of [
    ['sync', 0.2, 0.6],
    ['plain', 1, 1.8],
  ] as const) {
    const values = ratios(mode);
    if (values.length === 0) continue;
    out.push({ what: `${mode}, median ratio`, value: median(values), most: middle });
    out.push({ what: `${mode}, largest ratio`, value: Math.max(...values), most });
  }
  const sync = of('sync');
  const async = of('async').map(({ unitsPerSecond }, i) => sync[i]!.unitsPerSecond / unitsPerSecond);
  out.push({ what: 'time async / sync, median', value: median(async), most: 1.1 });
  return out;
}

export function printLoops(measurements: readonly LoopMeasurement[], io: CommandIo): void {
  io.stdout(`\n${'loop'.padEnd(12)}${MODES.map((mode) => mode.padStart(10)).join('')}   (ratios)\n`);
  for (const [name] of LOOPS) {
    const cells = MODES.map((mode) => {
      const ratio = measurements.find((m) => m.name === `${name} ${mode}`)?.ratio;
      return (ratio === undefined ? '-' : ratio.toFixed(2)).padStart(10);
    });
    io.stdout(`${name.padEnd(12)}${cells.join('')}\n`);
  }
  io.stdout('\n');
  for (const { what, value, most } of loopVerdicts(measurements)) {
    const verdict = value <= most ? 'met' : 'missed';
    io.stdout(`${what.padEnd(32)}${value.toFixed(2).padStart(6)}   target ${most.toFixed(2)}: ${verdict}\n`);
  }
}
