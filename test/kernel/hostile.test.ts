/**
 * Programs that use terminals and mounts as nobody would: neither the emulator nor their parent comes to harm, and the
 * kernel's invariants hold.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';

const SOURCE = new URL('./hostile/terminals.c', import.meta.url).pathname;
const GCC = 'aarch64-linux-gnu-gcc';
const out = join(mkdtempSync(join(tmpdir(), 'mtemu-hostile-')), 'terminals');
const built = spawnSync(GCC, ['-O1', '-static', '-w', '-o', out, SOURCE]).status === 0;

describe.skipIf(!built)('hostile calls on terminals and mounts [need aarch64-linux-gnu-gcc]', () => {
  it.each([
    '25 processes: --cpus 1',
    '25 processes: --cpus 4 --seed 2 --memory 64M',
    '4 processes: --cpus 3 --seed 3 --memory 64M --tag-storage cma --check',
  ])(
    '%s',
    async (what) => {
      const [count = '', ...options] = what.replace(' processes:', '').split(' ');
      const { status, stdout, stderr } = await mtemu(['run', ...options, 'fuzz', count], {
        fuzz: readFileSync(out),
      });
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'done\n', stderr: '' });
    },
    120_000,
  );
});
