/**
 * What the memory manager's operations cost, and how that grows with the machine: 1 to 16 GiB, without contents.
 *
 * Times are what this process had of its CPU, the quickest of several rounds; caches of the host are in them. The
 * counted work has no noise at all.
 */
import { GiB } from '../base/index.js';
import {
  BENCH_SIZES,
  FULL_AMOUNTS,
  type KernelBench,
  type KernelOperation,
  kernelBench,
} from '../lab/index.js';
import type { CommandIo } from './command.js';

const ROUNDS = 3;

const cpuSeconds = (): number => process.cpuUsage().user / 1e6;

/** Each operation at its quickest. */
function quickest(rounds: readonly KernelBench[]): KernelBench {
  const [first, ...others] = rounds;
  const operations = first!.operations.map((operation, i): KernelOperation => {
    const seconds = Math.min(operation.seconds, ...others.map((round) => round.operations[i]!.seconds));
    return { ...operation, seconds };
  });
  return { ...first!, bootSeconds: Math.min(...rounds.map((round) => round.bootSeconds)), operations };
}

/** Machines of every size; the first is measured once more, since the host's compiler warms up on it. */
export function measureKernel(): KernelBench[] {
  kernelBench(BENCH_SIZES[0]!, { ...FULL_AMOUNTS, forked: GiB / 8 }, cpuSeconds);
  // Size after size in each round, so that a busy moment of the host does not fall on one size alone.
  const rounds = Array.from({ length: ROUNDS }, () =>
    BENCH_SIZES.map((memory) => kernelBench(memory, FULL_AMOUNTS, cpuSeconds)),
  );
  return BENCH_SIZES.map((_, i) => quickest(rounds.map((round) => round[i]!)));
}

/** Time of one operation, in microseconds. */
const micros = ({ seconds, operations }: KernelOperation): number => (seconds / operations) * 1e6;

export function printKernel(benches: readonly KernelBench[], io: CommandIo): void {
  const first = benches[0]!;
  const last = benches[benches.length - 1]!;
  io.stdout('\nthe memory manager without contents: microseconds an operation, by size of the machine\n\n');
  const sizes = benches.map(({ memory }) => `${memory / GiB} GiB`.padStart(9)).join('');
  io.stdout(
    `${'what'.padEnd(40)}${'a second'.padStart(12)}${sizes}${'growth'.padStart(9)}${'work'.padStart(8)}\n`,
  );
  const boot = benches.map(({ bootSeconds }) => (bootSeconds * 1000).toFixed(0).padStart(9)).join('');
  io.stdout(`${'boot (ms)'.padEnd(52)}${boot}\n`);
  for (const [i, operation] of first.operations.entries()) {
    const at = benches.map(({ operations }) => micros(operations[i]!));
    const cells = at.map((us) => us.toFixed(2).padStart(9)).join('');
    const rate = Math.round(1e6 / at[at.length - 1]!).toLocaleString('en');
    const growth = (at[at.length - 1]! / at[0]!).toFixed(2);
    const work = workRatio(operation, last.operations[i]!).toFixed(2);
    io.stdout(
      `${`${operation.name} (${operation.unit})`.padEnd(40)}${rate.padStart(12)}${cells}${growth.padStart(9)}${work.padStart(8)}\n`,
    );
  }
  io.stdout('\ngrowth: time on the largest machine / on the smallest; work: the same of counted steps\n');
}

/** Counted work of one operation on the largest machine, divided by that on the smallest. */
function workRatio(small: KernelOperation, large: KernelOperation): number {
  const sum = ({ work }: KernelOperation) =>
    1 + work.descriptorReads + work.descriptorWrites + work.pagesMigrated + work.drains;
  return sum(large) / sum(small);
}
