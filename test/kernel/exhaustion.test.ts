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
  // Pages that the kernel touches for a read(), and tagged ones; what a child had is free when it is gone.
  reads: ['signal 9, oom_kill 1\nsignal 9, oom_kill 2\n40 MiB since, oom_kill 2\n', 0, /^$/],
  tags: ['signal 9, oom_kill 1\nsignal 9, oom_kill 2\n40 MiB since, oom_kill 2\n', 0, /^$/],
  nobody: ['', 137, /out of memory\n$/],
  forks: ['many children, then Resource temporarily unavailable\n0 missing\n', 0, /^$/],
  'user-forks': ["11 children, one's own counted too\n", 0, /^$/],
  numbers: ['wrapped 1, to a low number\n', 0, /^$/],
  mappings: ['many mappings, then Cannot allocate memory\n', 0, /^$/],
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

  it.each(
    ['reads', 'tags'].flatMap((what) =>
      ['static', 'cma', 'cma-v3-posted'].map((policy) => [what, policy] as const),
    ),
  )(
    '%s under %s, invariants checked',
    async (what, policy) => {
      const [stdout, status] = ENDS[what]!;
      const check = policy === 'cma-v3-posted' ? [] : ['--check'];
      expect(await run(what, '--tag-storage', policy, ...check)).toMatchObject({ stdout, status });
    },
    MINUTE,
  );

  it('the kernel says who asked, what there was to choose from, and who was chosen', async () => {
    const { stderr } = await run('offers', '--dmesg');
    const lines = stderr.split('\n').map((line) => line.replace('[kernel] ', ''));
    const at = lines.findIndex((line) => line.includes('invoked oom-killer'));
    expect(lines[at]).toMatch(
      /^exhaust invoked oom-killer: gfp_mask=0x[0-9a-f]+\(GFP_HIGHUSER_MOVABLE\|__GFP_ZERO\), order=0, oom_score_adj=0$/,
    );
    const listed = lines
      .slice(at + 3, at + 6)
      .map((line) => /^\[ +([123])\] .* ([0-9]+) exhaust$/.exec(line));
    expect(listed.map((match) => match?.slice(1))).toEqual([
      ['1', '0'],
      ['2', '1000'],
      ['3', '0'],
    ]);
    expect(lines[at + 6]).toMatch(/^oom-kill:constraint=CONSTRAINT_NONE,.*,task=exhaust,pid=2,uid=0$/);
    expect(lines[at + 7]).toMatch(
      /^Out of memory: Killed process 2 \(exhaust\) total-vm:\d+kB, anon-rss:4\d{3}kB, .* oom_score_adj:1000$/,
    );
    expect((await run('nobody', '--dmesg')).stderr).toContain('Out of memory and no killable processes...');
  });

  it('nobody dies while pages can be written back or swapped out', async () => {
    const tree = readFileSync(new URL('../../dts/default.dts', import.meta.url), 'utf8')
      .replace('bootargs = ""', 'bootargs = "mtemu.swap=96M mtemu.disk=160M"')
      .replaceAll('60000000', '44000000')
      .replace('0x0 0x20000000>', '0x0 0x4000000>')
      .replace('0x0 0x1000000>', '0x0 0x200000>');
    const options = ['--machine', 'm.dts', '--tag-storage', 'cma'];
    const outcome = await mtemu(['run', ...options, 'exhaust', 'reclaimable', '/mnt/file'], {
      ...files,
      'm.dts': tree,
    });
    expect(outcome).toMatchObject({ stdout: '0 wrong, oom_kill 0, swapped 1\n', stderr: '', status: 0 });
  });

  it.each(ENDLESS)(
    '%s, until the limit',
    async (what) => {
      const outcome = await run(what, '--max-steps', '2000000');
      expect(outcome).toMatchObject({ stdout: '', status: 124 });
    },
    MINUTE,
  );
});
