/**
 * Static glibc programs: what they print is in the file beside the source, is what qemu-aarch64 prints
 * where it can run them, and does not change with policy, engine, caches or little memory.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';
import { FullMachine } from './full-machine.js';

const FOLDER = new URL('./c-programs/', import.meta.url).pathname;
const PROGRAMS = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.c'))
  .map((name) => name.slice(0, -2));

const GCC = 'aarch64-linux-gnu-gcc';
const works = (tool: string) => spawnSync(tool, ['--version']).status === 0;
/** A cross compiler with a static C library. */
const gcc =
  works(GCC) &&
  spawnSync(GCC, ['-static', '-x', 'c', '-', '-o', '/dev/null'], { input: 'int main(){return 0;}' })
    .status === 0;
const qemu = ['qemu-aarch64', 'qemu-aarch64-static'].find(works);

/** Lines where qemu-user is not Linux: si_code of an undefined instruction; it cannot execve a guest program. */
const QEMU_DIFFERS = /^(ill: |again: |spawned )/;
/**
 * Programs that qemu-user 7.2 does not bring to their end or where it is not Linux: it has no ptrace and no limits
 * of its own. What these but `threads` print was recorded on Linux 6.1 in qemu-system-aarch64
 * (-M virt,mte=on -cpu max).
 */
const NOT_FOR_QEMU = [
  'aio',
  'attributes',
  'threads',
  'tracing',
  'limits',
  'sysv-ipc',
  'futexes',
  'sequences',
  'procfs',
  'pagemap',
  'transfers',
  'confined',
  'pidfds',
  'file-signals',
  'identities',
  'inotify',
  'mounts',
  'mqueues',
  'permissions',
  'remapping',
  'terminals',
  'syslog',
];

const ENDS: Readonly<Record<string, number>> = {
  aio: 0,
  attributes: 0,
  stdio: 3,
  signals: 143,
  threads: 0,
  processes: 9,
  files: 0,
  fifos: 0,
  'file-signals': 0,
  identities: 6,
  inotify: 0,
  sockets: 0,
  tracing: 0,
  limits: 0,
  'sysv-ipc': 0,
  locks: 0,
  futexes: 0,
  'futex-words': 0,
  sequences: 0,
  procfs: 0,
  pagemap: 0,
  transfers: 0,
  confined: 0,
  pidfds: 0,
  mounts: 0,
  mqueues: 0,
  permissions: 0,
  remapping: 0,
  terminals: 0,
  syslog: 0,
};

/** One wants 2 MiB in one piece; the other signals its process group, which the launcher is in. */
const NOT_IN_FULL_MACHINE = ['mounts', 'file-signals'];
/** What sleeps long, while the other processes of the full machine do not: too long for checks, and for the evaluator. */
const LONG = [
  'limits',
  'sequences',
  'locks',
  'terminals',
  'futexes',
  'sysv-ipc',
  'mqueues',
  'permissions',
  'signals',
];
const IN_FULL_MACHINE = PROGRAMS.filter((name) => !NOT_IN_FULL_MACHINE.includes(name)).flatMap(
  (name, index) => {
    const options = LONG.includes(name)
      ? ['--engine translate', '--engine interpret']
      : ['--engine translate --check', index % 2 === 0 ? '--engine interpret' : '--engine evaluate'];
    return options.map((option) => [name, option] as const);
  },
);

const images: Record<string, Uint8Array> = {};
let folder = '';
let machine: FullMachine;

describe.skipIf(!gcc)('static glibc programs [need aarch64-linux-gnu-gcc]', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'mtemu-c-'));
    machine = new FullMachine(GCC);
    for (const name of PROGRAMS) {
      const args = [
        '-O2',
        '-march=armv8.5-a+memtag',
        '-static',
        '-pthread',
        '-w',
        '-o',
        join(folder, name),
        join(FOLDER, `${name}.c`),
      ];
      const built = spawnSync(GCC, args, { encoding: 'utf8' });
      expect(built.stderr).toBe('');
      images[name] = readFileSync(join(folder, name));
    }
  }, 60_000);

  afterAll(() => machine.close());

  const run = (name: string, ...options: string[]) => mtemu(['run', ...options, name], images);

  it.each(PROGRAMS)('%s prints what it should', async (name) => {
    const outcome = await run(name);
    await expect(outcome.stdout).toMatchFileSnapshot(`./c-programs/${name}.txt`);
    expect(outcome.status).toBe(ENDS[name]);
  });

  it.each([...LONG, ...NOT_IN_FULL_MACHINE])(
    '%s: the same with little memory, lent tag storage and checked invariants',
    async (name) => {
      const outcome = await run(name, '--memory', '64M', '--tag-storage', 'cma', '--check', '--seed', '7');
      expect(outcome.stdout).toBe(readFileSync(join(FOLDER, `${name}.txt`), 'utf8'));
      expect(outcome.status).toBe(ENDS[name]);
    },
    60_000,
  );

  it.each(IN_FULL_MACHINE)(
    '%s prints the same in a full machine, %s',
    async (name, options) => {
      const outcome = await machine.run(name, images[name]!, [], ...options.split(' '));
      expect(outcome.stdout).toBe(readFileSync(join(FOLDER, `${name}.txt`), 'utf8'));
      expect(outcome.status).toBe(ENDS[name]);
    },
    120_000,
  );

  it('are the same run for the same seed', async () => {
    const trace = async (seed: string) => (await run('threads', '--seed', seed, '--strace')).stderr;
    const first = await trace('1');
    expect(await trace('1')).toBe(first);
    expect(await trace('2')).not.toBe(first);
  });

  it.skipIf(qemu === undefined).each(PROGRAMS.filter((name) => !NOT_FOR_QEMU.includes(name)))(
    '%s prints the same on qemu-aarch64 [needs qemu-user]',
    (name) => {
      const theirs = spawnSync(qemu!, [join(folder, name)], { encoding: 'utf8', argv0: qemu!, cwd: folder });
      const comparable = (text: string) =>
        text
          .replaceAll(join(folder, name), name)
          .split('\n')
          .filter((line) => !QEMU_DIFFERS.test(line));
      const ours = readFileSync(join(FOLDER, `${name}.txt`), 'utf8');
      expect(comparable(theirs.stdout)).toEqual(comparable(ours));
    },
    30_000,
  );
});
