/**
 * The benchmark of whole programs, as they are run by hand: the command and the rival, process start included,
 * one after the other, with the same output or no ratio.
 *
 * C programs are compiled for glibc where the cross-compiler is installed; applets come from a static busybox
 * for arm64 that MTEMU_ARM64_BUSYBOX names.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../base/index.js';
import type { CommandIo } from './command.js';

export interface ProgramMeasurement {
  readonly name: string;
  readonly seconds: number;
  /** Time divided by the rival's; undefined without one, or where its output is another. */
  readonly ratio: number | undefined;
  /** What the ratio is to be at most, where that is said. */
  readonly target: number | undefined;
}

export interface ProgramResults {
  readonly programs: readonly ProgramMeasurement[];
  /** Programs that were not run, and what they need. */
  readonly skipped: readonly string[];
}

interface Program {
  readonly name: string;
  /** C source, or the arguments of busybox; `FILE` stands for the folder of its files. */
  readonly source?: string;
  readonly args: readonly string[];
  readonly env?: string;
  readonly target?: number;
}

const COMPILER = 'aarch64-linux-gnu-gcc';
const BUSYBOX = 'MTEMU_ARM64_BUSYBOX';
const LINES = 300_000;

const HEAP = `#include <stdio.h>
#include <stdlib.h>
static char *block[512];
int main(int argc, char **argv) {
  unsigned long sum = 0;
  unsigned r = 1;
  for (long n = atol(argv[1]); n > 0; n--) {
    r = r * 1103515245 + 12345;
    int k = r >> 16 & 511, size = 16 + (r >> 8 & 1023);
    free(block[k]);
    block[k] = malloc(size);
    for (int i = 0; i < size; i += 16) sum += block[k][i] = i + n;
  }
  printf("%lu\\n", sum);
}
`;

const SORT = `#include <stdio.h>
#include <stdlib.h>
static int compare(const void *a, const void *b) { return *(int *)a < *(int *)b ? -1 : *(int *)a > *(int *)b; }
int main(int argc, char **argv) {
  long n = atol(argv[1]);
  int *v = malloc(n * sizeof *v);
  unsigned r = 1;
  for (long i = 0; i < n; i++) v[i] = (r = r * 1103515245 + 12345) >> 1;
  qsort(v, n, sizeof *v, compare);
  printf("%d %d\\n", v[0], v[n / 2]);
}
`;

const PRINT = `#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
  char text[100];
  unsigned sum = 0;
  for (long i = atol(argv[1]); i > 0; i--) {
    sum += snprintf(text, sizeof text, "%d %s %.6f %g %x", (int)i, "text", i / 7.0, i * 1e-3, (unsigned)i * 77);
    sum += text[i % 20];
  }
  printf("%u\\n", sum);
}
`;

const AWK = `BEGIN { for (i = 0; i < 200000; i++) { s += i * 3 % 7; a[i % 1000]++ } }
{ n += $1; seen[$2 $4]++ }
END { print s, length(a), n, length(seen) }
`;

const PROGRAMS: readonly Program[] = [
  {
    name: 'glibc heap, tagged',
    source: HEAP,
    args: ['4500000'],
    env: 'GLIBC_TUNABLES=glibc.mem.tagging=3',
    target: 0.4,
  },
  { name: 'glibc heap', source: HEAP, args: ['9000000'] },
  { name: 'glibc qsort', source: SORT, args: ['3000000'] },
  { name: 'glibc printf of numbers', source: PRINT, args: ['300000'] },
  { name: 'busybox awk', args: ['awk', '-f', 'FILE/program.awk', 'FILE/lines.txt'] },
  { name: 'busybox sort', args: ['sort', 'FILE/lines.txt'] },
  { name: 'busybox gzip', args: ['gzip', '-c', 'FILE/lines.txt'] },
  { name: 'busybox sha256sum', args: ['sha256sum', 'FILE/lines.txt'] },
];

/** Text of `count` lines: numbers out of order, and words. */
export function linesOfText(count: number): string {
  const random = new Random(0, 'lines of text');
  return Array.from({ length: count }, (_, i) => `${random.below(100_000)} line ${i} of text\n`).join('');
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** One run: seconds, and what it printed; undefined where it did not succeed. */
function timed(command: string, args: readonly string[]): { seconds: number; output: string } | undefined {
  const start = performance.now();
  const { status, stdout } = spawnSync(command, args, { encoding: 'latin1', maxBuffer: 2 ** 28 });
  return status === 0 ? { seconds: (performance.now() - start) / 1000, output: stdout } : undefined;
}

/** The program's file; undefined where it cannot be had. */
function fileOf({ name, source }: Program, folder: string): string | undefined {
  if (source === undefined) {
    const busybox = process.env[BUSYBOX];
    return busybox !== undefined && existsSync(busybox) ? busybox : undefined;
  }
  const file = join(folder, name.replaceAll(/\W/g, '-'));
  writeFileSync(`${file}.c`, source);
  const { status } = spawnSync(COMPILER, ['-O2', '-static', '-o', file, `${file}.c`]);
  return status === 0 ? file : undefined;
}

/**
 * Measures every program; nothing where this program is not the command as it is installed (a test, say).
 * `rival`: a qemu-aarch64; `folder`: for files.
 */
export function measurePrograms(
  rival: string | undefined,
  folder: string,
  rounds: number,
  programs: readonly Program[] = PROGRAMS,
  command = process.argv[1],
): ProgramResults {
  if (command === undefined || !existsSync(command)) return { programs: [], skipped: [] };
  const root = join(folder, 'root');
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, 'lines.txt'), linesOfText(LINES));
  writeFileSync(join(root, 'program.awk'), AWK);
  const measured: ProgramMeasurement[] = [];
  const skipped: string[] = [];
  for (const program of programs) {
    const file = fileOf(program, folder);
    if (file === undefined) {
      skipped.push(`${program.name} [needs ${program.source === undefined ? BUSYBOX : COMPILER}]`);
      continue;
    }
    measured.push(measure(program, file, { command, rival, root, rounds }));
  }
  return { programs: measured, skipped };
}

interface Place {
  readonly command: string;
  readonly rival: string | undefined;
  readonly root: string;
  readonly rounds: number;
}

function measure({ name, args, env, target }: Program, file: string, place: Place): ProgramMeasurement {
  const own: number[] = [];
  const theirs: number[] = [];
  const argsIn = (folder: string) => args.map((arg) => arg.replace(/^FILE/, folder));
  let isSame = true;
  for (let round = 0; round < place.rounds; round++) {
    const options = ['--root', place.root, ...(env === undefined ? [] : ['--env', env])];
    const mine = timed(process.execPath, [place.command, 'run', ...options, file, ...argsIn('')]);
    if (mine === undefined) throw new Error(`${name} did not end as it should`);
    own.push(mine.seconds);
    if (place.rival === undefined) continue;
    const flags = ['-cpu', 'max', ...(env === undefined ? [] : ['-E', env])];
    const other = timed(place.rival, [...flags, file, ...argsIn(place.root)]);
    // Names of files are part of what some print.
    isSame &&= other?.output.replaceAll(place.root, '') === mine.output;
    if (other !== undefined) theirs.push(other.seconds);
  }
  const seconds = median(own);
  const ratio = isSame && theirs.length > 0 ? seconds / median(theirs) : undefined;
  return { name, seconds, ratio, target };
}

export function printPrograms({ programs, skipped }: ProgramResults, io: CommandIo): void {
  if (programs.length === 0 && skipped.length === 0) return;
  io.stdout("\nwhole programs, start included; ratio = time / rival's time\n\n");
  for (const { name, seconds, ratio, target } of programs) {
    const verdict =
      target === undefined || ratio === undefined
        ? ''
        : `   target ${target}: ${ratio <= target ? 'met' : 'missed'}`;
    io.stdout(
      `${name.padEnd(28)}${`${seconds.toFixed(2)} s`.padStart(24)}${(ratio?.toPrecision(3) ?? '-').padStart(10)}${verdict}\n`,
    );
  }
  for (const what of skipped) io.stdout(`not run: ${what}\n`);
}
