/**
 * What a run costs the host beside the guest's work: time to start, and memory.
 *
 * Both are differences: `mtemu run` of a program that exits at once, less `node -e 0`, one after the other
 * under the same load. Memory is the peak that the system counted for the process (VmHWM), less node's own
 * and the guest memory that the program touched.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import exit from '../../firmware/bench/exit.s';
import { assemble } from '../assembler/index.js';
import { MiB } from '../base/index.js';
import { toElf } from '../elf/index.js';
import type { CommandIo } from './command.js';

export interface HostMeasurement {
  readonly name: string;
  readonly unit: 'ms' | 'MiB';
  readonly value: number;
  readonly target: number;
}

const ROUNDS = 15;
const START_TARGET = 120;
const MEMORY_TARGET = 120;

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;

function milliseconds(args: readonly string[]): number {
  const start = performance.now();
  const { status } = spawnSync(process.execPath, args, { stdio: 'ignore' });
  if (status !== 0) throw new Error(`node ${args.join(' ')} ended with ${status}`);
  return performance.now() - start;
}

/** Prints the peak resident memory of the process as its last line, in KiB. */
const PEAK = "process.on('exit', () => process.stderr.write('\\n' + process.resourceUsage().maxRSS))";

/** Peak memory in bytes, and what else the process wrote to stderr. */
function peak(args: readonly string[]): { bytes: number; stderr: string } {
  const { stderr } = spawnSync(process.execPath, ['--import', `data:text/javascript,${PEAK}`, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const lines = stderr.split('\n');
  return { bytes: Number(lines.pop()) * 1024, stderr: lines.join('\n') };
}

/** Nothing where this program is not the command as it is installed: a test, say. */
export function measureHost(folder: string): HostMeasurement[] {
  const command = process.argv[1];
  if (command === undefined || !existsSync(command)) return [];
  const program = join(folder, 'exit.elf');
  writeFileSync(program, toElf(assemble({ name: 'exit.s', text: exit }, {})));
  const nothing: number[] = [];
  const runs: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    nothing.push(milliseconds(['-e', '0']));
    runs.push(milliseconds([command, 'run', program]));
  }
  const own = peak(['-e', '0']);
  const used = peak([command, 'run', '--stats', program]);
  const stats = JSON.parse(used.stderr.trim().split('\n').at(-1)!) as { memory: { touched: number } };
  return [
    { name: 'start', unit: 'ms', value: median(runs) - median(nothing), target: START_TARGET },
    {
      name: 'memory beyond the guest',
      unit: 'MiB',
      value: (used.bytes - own.bytes - stats.memory.touched) / MiB,
      target: MEMORY_TARGET,
    },
  ];
}

export function printHost(measurements: readonly HostMeasurement[], io: CommandIo): void {
  if (measurements.length === 0) return;
  io.stdout("\nof a program that exits at once, beyond node's own\n\n");
  for (const { name, unit, value, target } of measurements) {
    const verdict = value <= target ? 'met' : 'missed';
    io.stdout(
      `${name.padEnd(28)}${`${value.toFixed(0)} ${unit}`.padStart(24)}   target ${target}: ${verdict}\n`,
    );
  }
}
