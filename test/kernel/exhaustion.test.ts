/**
 * A program that takes all there is of something (memory, processes, threads, descriptors, stack) or never stops
 * sending itself signals: it gets Linux's answer, and neither the emulator nor another process comes to harm.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';

const SOURCE = new URL('./exhaustion/exhaust.c', import.meta.url).pathname;
const GCC = 'aarch64-linux-gnu-gcc';
const gcc =
  spawnSync(GCC, ['-static', '-x', 'c', '-', '-o', '/dev/null'], { input: 'int main(){return 0;}' })
    .status === 0;
const MINUTE = 60_000;

/** What each prints, and how it ends. */
const ENDS: Readonly<Record<string, readonly [stdout: string, status: number, stderr: RegExp]>> = {
  memory: ['', 137, /^mtemu: the program was killed by SIGKILL \(SI_KERNEL\): out of memory\n$/],
  // oom_score_adj: 1000 goes first however small it is, -1000 never.
  offers: ['small first: signal 9\nbig: signal 9\n', 0, /^$/],
  refuses: ['big first: signal 9\nsmall is there\n', 0, /^$/],
  forks: ['many children, then Resource temporarily unavailable\n0 missing\n', 0, /^$/],
  threads: ['many threads, then Resource temporarily unavailable\n', 0, /^$/],
  descriptors: ['1023 descriptors, then Too many open files\n', 0, /^$/],
  recursion: ['', 139, /^mtemu: the program was killed by SIGSEGV \(SEGV_MAPERR\) at 0xffff/],
  'nested-signals': ['', 139, /^mtemu: the program was killed by SIGSEGV \(SI_KERNEL\)/],
};
/** What only a limit ends. */
const ENDLESS = ['signals', 'fork-bomb'];

describe.skipIf(!gcc)('a program that exhausts [needs aarch64-linux-gnu-gcc]', () => {
  const files: Record<string, Uint8Array> = {};
  beforeAll(() => {
    const folder = mkdtempSync(join(tmpdir(), 'mtemu-exhaustion-'));
    const out = join(folder, 'exhaust');
    const args = ['-O1', '-static', '-pthread', '-w', '-o', out, SOURCE];
    expect(spawnSync(GCC, args, { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
    files['exhaust'] = readFileSync(out);
    rmSync(folder, { recursive: true });
  }, MINUTE);

  const run = (what: string, ...options: string[]) =>
    mtemu(['run', '--memory', '64M', ...options, 'exhaust', what], files);

  it.each(Object.keys(ENDS))(
    '%s',
    async (what) => {
      const [stdout, status, stderr] = ENDS[what]!;
      const outcome = await run(what);
      expect(outcome).toMatchObject({ stdout, status });
      expect(outcome.stderr).toMatch(stderr);
    },
    MINUTE,
  );

  it.each(['memory', 'refuses'])(
    '%s, in lent tag storage too',
    async (what) => {
      const [stdout, status] = ENDS[what]!;
      const outcome = await run(what, '--tag-storage', 'cma', '--seed', '5');
      expect(outcome).toMatchObject({ stdout, status });
    },
    MINUTE,
  );

  it.each(ENDLESS)(
    '%s, until the limit',
    async (what) => {
      const outcome = await run(what, '--max-steps', '2000000');
      expect(outcome).toMatchObject({ stdout: '', status: 124 });
    },
    MINUTE,
  );
});
