/**
 * Debian's busybox for arm64: its shell and applets, compared with qemu-aarch64.
 *
 * MTEMU_ARM64_BUSYBOX names the binary (CI fetches the package `busybox-static:arm64`).
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';
import { FullMachine } from './full-machine.js';

const BUSYBOX = process.env['MTEMU_ARM64_BUSYBOX'];
const qemu = ['qemu-aarch64', 'qemu-aarch64-static'].find(
  (name) => spawnSync(name, ['--version']).status === 0,
);

const GCC = 'aarch64-linux-gnu-gcc';
const gcc = spawnSync(GCC, ['--version']).status === 0;

/** Applets that the shell must execve come, under qemu-user, from the host's own tools: only what all print alike. */
const SCRIPTS: Readonly<Record<string, string>> = {
  arithmetic:
    'for i in 1 2 3 4; do echo $((i * i << 3)); done; x=5; while [ $x -gt 0 ]; do x=$((x-1)); done; echo $x',
  pipeline: 'seq 1 2000 | sort -rn | head -n 20 | sed "s/1/x/g" | tr x y | uniq -c',
  substitution: 'x=$(seq 1 50 | while read n; do echo $n; done | tail -n 1); echo "$x" `echo $x | rev`',
  awk: `seq 1 100 | awk '{ s += $1; l[$1 % 7] += $1 } END { for (i = 0; i < 7; i++) printf "%d ", l[i]; print s }'`,
  digests: 'seq 1 5000 > /tmp/mtemu-bb; sha256sum < /tmp/mtemu-bb; md5sum < /tmp/mtemu-bb; rm /tmp/mtemu-bb',
  gzip: 'seq 1 3000 | gzip -c | gzip -dc | md5sum; echo hello | bzip2 -c | bzip2 -dc',
  bc: 'echo "scale=40; 4*a(1); 2^200; sqrt(2)" | bc -l',
  statuses: '(exit 5); echo $?; false || echo no; true && echo yes; sh -c "exit 3"; echo $?; kill -USR1 $$',
  traps: 'trap "echo usr1" USR1; trap "echo bye" EXIT; kill -USR1 $$; sleep 0.01; echo after',
  jobs: '(sleep 0.05; echo late) & echo early; wait; echo done',
  here: 'cat <<X\nline $((1+1))\nX\nread a b <<Y\none two three\nY\necho "$b|$a"',
  files:
    'cd /tmp && mkdir mtemu-bd && cd mtemu-bd && for i in c a b; do echo $i > $i; done; ls; cat *; mv a z; ls | xargs; find . -type f | sort; cd .. && rm -r mtemu-bd && ls -d mtemu-bd 2>&1',
  tar: 'cd /tmp && mkdir mtemu-bt && seq 1 100 > mtemu-bt/x && tar cf - mtemu-bt | tar tf -; rm -r mtemu-bt',
};

/** For every other script. */
const IN_FULL_MACHINE = [
  ['--engine translate --check', '--engine interpret'],
  ['--engine translate', '--engine evaluate'],
];

describe.skipIf(BUSYBOX === undefined || qemu === undefined || !gcc)(
  'busybox [needs MTEMU_ARM64_BUSYBOX, qemu-user and aarch64-linux-gnu-gcc]',
  () => {
    let machine: FullMachine;
    beforeAll(() => {
      machine = new FullMachine(GCC);
    });
    afterAll(() => machine.close());

    it.each(Object.keys(SCRIPTS))(
      'sh: %s',
      async (name) => {
        const script = SCRIPTS[name]!;
        const image = readFileSync(BUSYBOX!);
        const theirs = spawnSync(qemu!, [BUSYBOX!, 'sh', '-c', script], { encoding: 'utf8' });
        const run = (...options: string[]) =>
          mtemu(['run', ...options, 'busybox', 'sh', '-c', script], { busybox: image });
        const ours = await run();
        expect(ours.stdout).toBe(theirs.stdout);
        expect(theirs.stdout.length).toBeGreaterThan(3);
        const status = theirs.status ?? 128 + 10;
        expect(ours.status).toBe(status);
        const parallel = await run('--cpus', '4', '--seed', '5');
        expect({ stdout: parallel.stdout, status: parallel.status }).toEqual({
          stdout: theirs.stdout,
          status,
        });
        for (const options of IN_FULL_MACHINE[Object.keys(SCRIPTS).indexOf(name) % 2]!) {
          const full = await machine.run('busybox', image, ['sh', '-c', script], ...options.split(' '));
          expect({ stdout: full.stdout, status: full.status }).toEqual({ stdout: theirs.stdout, status });
        }
      },
      120_000,
    );
  },
);
