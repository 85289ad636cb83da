/**
 * `mtemu bench`: how fast things are, each beside a named rival in the same run.
 *
 * The rival is qemu-aarch64 (`-cpu max`) where it is installed; both run the same ELF files, alternated,
 * and the median counts. What a run costs before the program proper (start-up) is taken off by running
 * a small and a large amount of the same work. Machines are shared and noisy: ratios mean something,
 * single times do not.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import alu from '../../firmware/bench/alu.s';
import copy from '../../firmware/bench/copy.s';
import execs from '../../firmware/bench/execs.s';
import faults from '../../firmware/bench/faults.s';
import forks from '../../firmware/bench/forks.s';
import parseNumber from '../../firmware/bench/parse-number.s';
import pipes from '../../firmware/bench/pipes.s';
import signals from '../../firmware/bench/signals.s';
import systemCalls from '../../firmware/bench/system-calls.s';
import { assemble } from '../assembler/index.js';
import { MiB } from '../base/index.js';
import { readElf, toElf } from '../elf/index.js';
import { ENGINE_NAMES } from '../engine/index.js';
import { bootSystem } from '../kernel/index.js';
import { allocationRate } from '../lab/index.js';
import { defaultTree } from '../machine/index.js';
import { type CompiledWorkload, compiledWorkloads } from './bench-compiled.js';
import { measureHost, printHost } from './bench-host.js';
import { measureKernel, printKernel } from './bench-kernel.js';
import { measureOnLinux } from './bench-linux.js';
import {
  interpretedWorkload,
  type LoopMeasurement,
  type LoopRivals,
  type LoopWorkload,
  loopVerdicts,
  loopWorkloads,
  printLoops,
} from './bench-loops.js';
import { measurePrograms, printPrograms } from './bench-programs.js';
import { measureTools, type ToolMeasurement } from './bench-tools.js';
import type { Command, CommandIo } from './command.js';
import { choice, type OptionSpecs, parseOptions, wholeNumber } from './options.js';

const OPTIONS = {
  engine: { type: 'string' },
  rounds: { type: 'string' },
  only: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const satisfies OptionSpecs;

const HELP = `Usage: mtemu bench [--engine E] [--rounds N] [--only kernel|programs] [--json]

Measures instructions, page faults, system calls, processes and signals a second, and prints the ratio of
times to qemu-aarch64 -cpu max where it is installed (below 1 is faster than qemu); loops over plain and
tagged memory, and whether they meet the targets (MTEMU_QEMU_USER names further qemu-aarch64 to compare with;
qemu-system-aarch64 with mte=on runs them where MTEMU_LINUX_KERNEL and MTEMU_ARM64_BUSYBOX say what to boot);
whole programs of glibc and busybox (MTEMU_ARM64_BUSYBOX names a static one for arm64; those alone:
--only programs); then what starting costs, and memory; then the
assembler and the device tree compiler beside GNU as and dtc (MTEMU_REAL_DTBS=DIR: the largest real
trees in it, too); and what the memory manager's operations cost on machines of 1 to 16 GiB (that alone:
--only kernel).
`;

interface Workload {
  readonly name: string;
  readonly source: string;
  /** What one unit of the first argument is. */
  readonly unit: string;
  /** Amounts of work for mtemu and for qemu: small and large. */
  readonly amounts: readonly [number, number];
  readonly rivalAmounts: readonly [number, number];
  readonly args: readonly string[];
}

const WORKLOADS: readonly Workload[] = [
  {
    name: 'arithmetic and branches',
    source: alu,
    unit: 'number',
    amounts: [10_000, 1_000_000],
    rivalAmounts: [10_000, 1_000_000],
    args: [],
  },
  {
    name: 'copy by 8, untagged',
    source: copy,
    unit: '64 KiB',
    amounts: [100, 12_000],
    rivalAmounts: [1, 20_000],
    args: [],
  },
  {
    name: 'copy by 8, tag-checked',
    source: copy,
    unit: '64 KiB',
    amounts: [100, 12_000],
    rivalAmounts: [1, 2000],
    args: ['tagged'],
  },
  {
    name: 'page faults',
    source: faults,
    unit: 'fault',
    amounts: [256, 30_000],
    rivalAmounts: [256, 60_000],
    args: [],
  },
  {
    name: 'page faults, PROT_MTE',
    source: faults,
    unit: 'fault',
    amounts: [256, 30_000],
    rivalAmounts: [256, 60_000],
    args: ['tagged'],
  },
  {
    name: 'system calls',
    source: systemCalls,
    unit: 'getppid',
    amounts: [10_000, 210_000],
    rivalAmounts: [10_000, 410_000],
    args: [],
  },
  {
    name: 'fork, exit, wait',
    source: forks,
    unit: 'child',
    amounts: [20, 420],
    rivalAmounts: [20, 420],
    args: [],
  },
  {
    name: 'vfork, exec, exit, wait',
    source: execs,
    unit: 'program',
    amounts: [20, 220],
    rivalAmounts: [20, 120],
    args: [],
  },
  {
    name: 'two processes through pipes',
    source: pipes,
    unit: 'round',
    amounts: [500, 10_500],
    rivalAmounts: [500, 10_500],
    args: [],
  },
  {
    name: 'signal and its return',
    source: signals,
    unit: 'signal',
    amounts: [500, 10_500],
    rivalAmounts: [1000, 51_000],
    args: [],
  },
];

interface Measurement {
  readonly name: string;
  readonly unit: string;
  readonly unitsPerSecond: number;
  readonly instructionsPerSecond: number | undefined;
  /** Time for the same work divided by the rival's. */
  readonly ratio: number | undefined;
  /** The same for further rivals, by their names. */
  readonly others?: Readonly<Record<string, number>>;
}

export const benchCommand: Command = {
  name: 'bench',
  summary: 'measure speed, as ratios to qemu-aarch64 where it is installed',
  help: HELP,
  run(args, io) {
    const { values } = parseOptions('bench', OPTIONS, args);
    const engine = choice('bench', values, 'engine', ENGINE_NAMES) ?? 'auto';
    const rounds = wholeNumber('bench', values, 'rounds', 1) ?? 3;
    const only = choice('bench', values, 'only', ['kernel', 'programs']);
    if (only === 'kernel') {
      const kernel = measureKernel();
      if (values['json'] === true) io.stdout(`${JSON.stringify({ kernel })}\n`);
      else printKernel(kernel, io);
      return 0;
    }
    const rival = findRival();
    const folder = mkdtempSync(join(tmpdir(), 'mtemu-bench-'));
    try {
      if (only === 'programs') {
        const programs = measurePrograms(rival?.command, folder, rounds);
        if (values['json'] === true) io.stdout(`${JSON.stringify({ rival: rival?.version, programs })}\n`);
        else printPrograms(programs, io);
        return 0;
      }
      const results = WORKLOADS.map((w) => measure(w, engine, rounds, rival, folder));
      for (const workload of compiledWorkloads(folder)) {
        results.push(measureProgram(compiledRun(workload), workload.bytes, engine, rounds, rival, folder));
      }
      results.push({
        name: 'order-0 allocate and free',
        unit: 'pair',
        unitsPerSecond: allocationRate(200_000),
        instructionsPerSecond: undefined,
        ratio: undefined,
      });
      const { bytes, workloads } = loopWorkloads();
      const users = rival === undefined ? [] : furtherRivals();
      const onLinux = measureOnLinux(bytes, workloads, folder);
      const loops = workloads.map((w): LoopMeasurement => {
        const translated = measureProgram(w, bytes, engine, rounds, rival, folder, users);
        const measured = {
          ...translated,
          interpreted: interpretedRatio(w, bytes, translated, rounds, folder),
        };
        const theirs = onLinux?.seconds.get(w.name);
        if (onLinux === undefined || theirs === undefined) return measured;
        const ratio = 1 / measured.unitsPerSecond / theirs;
        return { ...measured, others: { ...measured.others, [onLinux.name]: ratio } };
      });
      const rivals: LoopRivals = {
        first: rival && nameOf(rival),
        users: users.map(nameOf),
        system: onLinux?.name,
      };
      const programs = measurePrograms(rival?.command, folder, rounds);
      const hosts = measureHost(folder);
      const tools = measureTools(folder);
      const kernel = measureKernel();
      if (values['json'] === true) {
        io.stdout(
          `${JSON.stringify({ engine, rival: rival?.version, results, loops, targets: loopVerdicts(loops, rivals), programs, hosts, tools })}\n`,
        );
      } else {
        print(results, engine, rival, io);
        printLoops(loops, rivals, io);
        printPrograms(programs, io);
        printHost(hosts, io);
        printTools(tools, io);
        printKernel(kernel, io);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    return 0;
  },
};

interface Rival {
  readonly command: string;
  readonly version: string;
}

function findRival(): Rival | undefined {
  return rivalsOf(['qemu-aarch64', 'qemu-aarch64-static'])[0];
}

/** Others of its kind, named by MTEMU_QEMU_USER (paths, with colons between them). */
const furtherRivals = (): Rival[] =>
  rivalsOf((process.env['MTEMU_QEMU_USER'] ?? '').split(':').filter((path) => path !== ''));

const rivalsOf = (commands: readonly string[]): Rival[] =>
  commands.flatMap((command) => {
    const probe = spawnSync(command, ['--version'], { encoding: 'utf8' });
    const version = probe.status === 0 ? /version (\S+)/.exec(probe.stdout)?.[1] : undefined;
    return version === undefined ? [] : [{ command, version }];
  });

const nameOf = ({ version }: Rival) => `qemu-user ${version}`;

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;

function measure(
  workload: Workload,
  engine: string,
  rounds: number,
  rival: Rival | undefined,
  folder: string,
): Measurement {
  const bytes = toElf(
    assemble(
      { name: 'bench.s', text: workload.source },
      { include: (name) => ({ name, text: parseNumber }) },
    ),
  );
  return measureProgram(workload, bytes, engine, rounds, rival, folder);
}

function compiledRun({ name, unit, amounts }: CompiledWorkload): Omit<Workload, 'source'> {
  return { name, unit, amounts, rivalAmounts: amounts, args: [] };
}

function measureProgram(
  workload: Omit<Workload, 'source'>,
  bytes: Uint8Array,
  engine: string,
  rounds: number,
  rival: Rival | undefined,
  folder: string,
  others: readonly Rival[] = [],
): Measurement {
  const file = join(folder, 'program');
  writeFileSync(file, bytes);
  chmodSync(file, 0o755);
  const own: number[] = [];
  const rivals = rival === undefined ? [] : [rival, ...others];
  const theirs: number[][] = rivals.map(() => []);
  let instructions = 0;
  // Once to warm up: what the host's compiler does is not the guest's work.
  runOwn(bytes, [String(workload.amounts[0]), ...workload.args], engine);
  for (let round = 0; round < rounds; round++) {
    const [small, large] = workload.amounts.map((n) => runOwn(bytes, [String(n), ...workload.args], engine));
    const units = workload.amounts[1] - workload.amounts[0];
    own.push((large!.seconds - small!.seconds) / units);
    instructions = (large!.instructions - small!.instructions) / units;
    for (const [i, other] of rivals.entries()) {
      const [least, most] = workload.rivalAmounts.map((n) =>
        runRival(other, file, [String(n), ...workload.args]),
      );
      // A rival that cannot do the work is none: where binfmt_misc does not know it, qemu-aarch64 executes nothing.
      if (least === undefined || most === undefined) continue;
      theirs[i]!.push((most - least) / (workload.rivalAmounts[1] - workload.rivalAmounts[0]));
    }
  }
  const seconds = median(own);
  const ratios = theirs.map((times) => (times.length === 0 ? undefined : seconds / median(times)));
  return {
    name: workload.name,
    unit: workload.unit,
    unitsPerSecond: 1 / seconds,
    instructionsPerSecond: instructions / seconds,
    ratio: ratios[0],
    others: Object.fromEntries(
      others.flatMap((other, i) => (ratios[i + 1] === undefined ? [] : [[nameOf(other), ratios[i + 1]!]])),
    ),
  };
}

/** Time of the interpreter alone divided by the rival's, whose time is known from `measured`. */
function interpretedRatio(
  workload: LoopWorkload,
  bytes: Uint8Array,
  measured: Measurement,
  rounds: number,
  folder: string,
): number | undefined {
  const interpreted = interpretedWorkload(workload);
  if (interpreted === undefined || measured.ratio === undefined) return undefined;
  const alone = measureProgram(interpreted, bytes, 'interpret', rounds, undefined, folder);
  return (measured.ratio * measured.unitsPerSecond) / alone.unitsPerSecond;
}

function runOwn(bytes: Uint8Array, args: readonly string[], engine: string) {
  const { kernel } = bootSystem({ tree: defaultTree(256 * MiB), engine });
  const process = kernel.spawn({ elf: readElf(bytes, 'bench'), args: ['/bench', ...args], image: bytes });
  if (typeof process === 'number') throw new Error(`bench program did not start: errno ${-process}`);
  const before = kernel.cpu.steps;
  const start = performance.now();
  const outcome = kernel.run(process);
  const seconds = (performance.now() - start) / 1000;
  if (outcome.kind !== 'ended' || outcome.end.kind !== 'exited') throw new Error('bench program did not end');
  return { seconds, instructions: kernel.cpu.steps - before };
}

/** Seconds; undefined where the rival cannot do the work. */
function runRival(rival: Rival, file: string, args: readonly string[]): number | undefined {
  const start = performance.now();
  const { status, error } = spawnSync(rival.command, ['-cpu', 'max', file, ...args]);
  if (error !== undefined) throw new Error(`${rival.command} did not run the program`);
  return status === null ? undefined : (performance.now() - start) / 1000;
}

function print(
  results: readonly Measurement[],
  engine: string,
  rival: Rival | undefined,
  io: CommandIo,
): void {
  const against =
    rival === undefined ? 'qemu-aarch64 is not installed' : `${rival.command} ${rival.version} -cpu max`;
  io.stdout(`engine ${engine}; rival: ${against}; ratio = time / rival's time\n\n`);
  io.stdout(
    `${'what'.padEnd(28)}${'a second'.padStart(24)}${'M instructions/s'.padStart(18)}${'ratio'.padStart(10)}\n`,
  );
  for (const r of results) {
    const units = `${Math.round(r.unitsPerSecond).toLocaleString('en')} x ${r.unit}`;
    const mips = r.instructionsPerSecond === undefined ? '' : (r.instructionsPerSecond / 1e6).toFixed(2);
    const ratio = r.ratio === undefined ? '-' : r.ratio.toPrecision(3);
    io.stdout(`${r.name.padEnd(28)}${units.padStart(24)}${mips.padStart(18)}${ratio.padStart(10)}\n`);
  }
}

function printTools(tools: readonly ToolMeasurement[], io: CommandIo): void {
  io.stdout("\nratio = time / rival's time; growth = time a line at this size / at a quarter of it\n\n");
  for (const t of tools) {
    const what = `${t.name}, ${t.lines.toLocaleString('en')} lines`;
    const ratio = t.ratio === undefined ? '-' : `${t.ratio.toPrecision(3)} to ${t.rival}`;
    io.stdout(
      `${what.padEnd(44)}${t.seconds.toFixed(2).padStart(6)} s   ratio ${ratio}, growth ${t.growth.toFixed(2)}\n`,
    );
  }
}
