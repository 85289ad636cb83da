/**
 * User space on several CPUs: programs whose threads and processes meet each other in locks, page tables, tags and
 * files print the same on any number of CPUs, from any seed, in any engine; and one seed is one run.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { assemble } from '../../src/assembler/index.js';
import { MiB } from '../../src/base/index.js';
import { readElf, toElf } from '../../src/elf/index.js';
import { bootSystem, RunQueue } from '../../src/kernel/index.js';
import type { Violation } from '../../src/kernel/mm/index.js';
import { defaultTree } from '../../src/machine/index.js';
import { mtemu } from '../cli/in-process.js';
import { fullTree } from './full-machine.js';

const FOLDER = new URL('./smp/', import.meta.url).pathname;
const GCC = 'aarch64-linux-gnu-gcc';
const gcc =
  spawnSync(GCC, ['-static', '-x', 'c', '-', '-o', '/dev/null'], { input: 'int main(){return 0;}' })
    .status === 0;

const images: Record<string, Uint8Array> = {};
const expected = (name: string) => readFileSync(join(FOLDER, `${name}.txt`), 'utf8');

interface Statistics {
  readonly instructions: number;
  readonly cpus: readonly Readonly<Record<string, number>>[];
  readonly vmstat: Readonly<Record<string, number>>;
  readonly tagStorage: Readonly<Record<string, number>>;
}

/** What `--stats` printed, without what a clock measured. */
function statistics(stderr: string): Statistics {
  const { seconds: _seconds, mips: _mips, engine: _engine, memory: _memory, ...rest } = JSON.parse(stderr);
  return rest as Statistics;
}

describe.skipIf(!gcc)('several CPUs [need aarch64-linux-gnu-gcc]', () => {
  beforeAll(() => {
    const folder = mkdtempSync(join(tmpdir(), 'mtemu-smp-'));
    for (const name of ['smp', 'tags', 'files', 'processes', 'storm']) {
      const out = join(folder, name);
      const built = spawnSync(
        GCC,
        ['-O2', '-static', '-pthread', '-w', '-o', out, join(FOLDER, `${name}.c`)],
        { encoding: 'utf8' },
      );
      expect(built.stderr).toBe('');
      images[name] = readFileSync(out);
    }
  }, 60_000);

  const run = (options: string, name: string, ...args: string[]) =>
    mtemu(['run', ...options.split(' '), name, ...args], images);

  it.each([
    '--cpus 1',
    '--cpus 2 --seed 1',
    '--cpus 4',
    '--cpus 4 --seed 2 --engine interpret',
    '--cpus 4 --seed 3 --engine evaluate',
    '--cpus 8 --seed 4 --page-size 64k',
  ])(
    'locks, wake-ups, page tables, affinity: %s',
    async (options) => {
      const { status, stdout, stderr } = await run(options, 'smp');
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: expected('smp'), stderr: '' });
    },
    120_000,
  );

  it.each([
    '--cpus 4 --seed 1',
    '--cpus 3 --engine interpret',
    // Two threads of a process reached the end of execve together.
    '--cpus 7 --seed 40 --memory 64M --tag-storage cma',
  ])(
    'page cache, mremap, fork, exec, wait, stops and tracing: %s',
    async (options) => {
      const { status, stdout, stderr } = await run(options, 'processes');
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: expected('processes'), stderr: '' });
    },
    120_000,
  );

  it.each([
    '--cpus 4',
    '--cpus 3 --seed 5 --engine interpret',
    // Pages of the cache come slowly, so that writes sleep in their middle.
    '--cpus 5 --seed 10 --memory 64M --tag-storage cma',
    '--cpus 6 --seed 18 --memory 64M --tag-storage cma',
  ])(
    'file positions, pipes, packets, directories: %s',
    async (options) => {
      const { status, stdout, stderr } = await run(options, 'files');
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: expected('files'), stderr: '' });
    },
    120_000,
  );

  it.each(['cma', 'cma-v3-posted', 'cma-v2-posted', 'static'])(
    'tags, and memory short enough that pages move: %s',
    async (policy) => {
      const options = `--cpus 4 --seed 6 --memory 64M --tag-storage ${policy} --stats`;
      const { status, stdout, stderr } = await run(options, 'tags', '61000', '3');
      expect({ status, stdout }).toEqual({ status: 0, stdout: expected('tags') });
      const { tagStorage } = statistics(stderr);
      if (policy === 'static') expect(tagStorage['reserveMigrate']).toBe(0);
      else expect(tagStorage['reserveMigrate']).toBeGreaterThan(0);
    },
    120_000,
  );

  it('tags, with the invariants checked after every operation', async () => {
    const options = '--cpus 4 --seed 8 --memory 64M --tag-storage cma --check';
    const { status, stdout, stderr } = await run(options, 'tags', '4000', '1');
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: expected('tags'), stderr: '' });
  }, 120_000);

  it('everything that moves pages at once, in little memory with swap, invariants checked', async () => {
    const options = '--machine full.dts --cpus 3 --seed 2 --tag-storage cma --check --stats';
    const files = { ...images, 'full.dts': fullTree('mtemu.swap=96M') };
    const { status, stdout, stderr } = await mtemu(['run', ...options.split(' '), 'storm', '40', '2'], files);
    expect({ status, stdout }).toEqual({ status: 0, stdout: '0 processes failed\n' });
    const { tagStorage, vmstat } = statistics(stderr);
    for (const event of ['pswpout', 'pswpin', 'pgmigrate_success', 'thp_split_page']) {
      expect([event, vmstat[event]! > 0]).toEqual([event, true]);
    }
    expect(tagStorage['pagesMigrated']).toBeGreaterThan(0);
  }, 120_000);

  it('one seed is one run, another seed another', async () => {
    const counters = async (seed: number) => {
      const { stderr } = await run(`--cpus 4 --seed ${seed} --stats`, 'files');
      return statistics(stderr);
    };
    const first = await counters(1);
    expect(await counters(1)).toEqual(first);
    const other = await counters(2);
    expect(other.cpus).not.toEqual(first.cpus);
    // Everybody worked, and what they did is all there was.
    expect(first.cpus).toHaveLength(4);
    for (const cpu of first.cpus) expect(cpu['instructions']).toBeGreaterThan(10_000);
    expect(first.cpus.reduce((sum, cpu) => sum + cpu['instructions']!, 0)).toBe(first.instructions);
  }, 120_000);

  it('runs in lock-step', async () => {
    const { status, stdout, stderr } = await run('--cpus 2 --seed 9 --lockstep=5000', 'files');
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: expected('files'), stderr: '' });
  }, 120_000);
});

describe('the machine of --cpus', () => {
  it('has the CPUs that were asked for, and says so', async () => {
    const files = { 'x.s': 'mov x0, #0\nmov x8, #93\nsvc #0\n' };
    const { stderr } = await mtemu(['run', '--dmesg', '--cpus', '3', 'x.s'], files);
    expect(stderr).toContain('SMP: Total of 3 processors activated.');
    const refused = await mtemu(['run', '--cpus', '9', 'x.s'], files);
    expect(refused).toMatchObject({ status: 2 });
    expect(refused.stderr).toContain('a machine has 1 to 8 CPUs, not 9');
  });
});

describe('--check while another CPU is inside the kernel', () => {
  it('looks at the invariants when it has left', () => {
    const { kernel } = bootSystem({ tree: defaultTree(64 * MiB), check: true });
    const text = '_start: mov x8, #172\nsvc #0\nb .\n';
    const elf = readElf(toElf(assemble({ name: 'p.s', text }, {})), 'p.s');
    const process = kernel.spawn({ elf, args: ['p.s'] });
    if (typeof process === 'number') throw new Error(`errno ${-process}`);
    const broken = [{ invariant: 'I1', detail: 'broken on purpose' }] as unknown as readonly Violation[];
    const checks = vi.spyOn(kernel.mm, 'checkInvariants').mockReturnValue([...broken]);
    const outside = vi.spyOn(RunQueue.prototype, 'othersInUser', 'get');
    try {
      // For the page fault of the first instruction, the call, and a while longer.
      for (let n = 0; n < 4; n++) outside.mockReturnValueOnce(false);
      expect(kernel.run(process, { maxSteps: 8_000_000 })).toEqual({ kind: 'violation', violations: broken });
      expect(checks).toHaveBeenCalledTimes(1);
      expect(outside.mock.calls.length).toBeGreaterThan(4);
    } finally {
      outside.mockRestore();
    }
  });
});
