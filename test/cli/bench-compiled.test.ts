/**
 * The compiled programs of the benchmarks compute the same here as under QEMU: floating point, SIMD and the
 * cryptographic instructions as compilers use them, in translated code.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compiledWorkloads } from '../../src/cli/bench-compiled.js';
import { hasQemu, QEMU } from '../lab/qemu.js';
import { mtemu } from './in-process.js';

const folder = mkdtempSync(join(tmpdir(), 'compiled-'));
const programs = hasQemu() ? compiledWorkloads(folder) : [];

describe.skipIf(programs.length === 0)(
  'compiled programs [needs qemu-aarch64-static, a cross-compiler]',
  () => {
    it.each(programs.map((p) => [p.name, p] as const))('%s', async (_name, { bytes, amounts }) => {
      const amount = String(Math.ceil(amounts[0] / 4));
      const file = join(folder, 'program');
      writeFileSync(file, bytes);
      chmodSync(file, 0o755);
      const wanted = spawnSync(QEMU, ['-cpu', 'max', file, amount], { encoding: 'utf8' }).stdout;
      expect(wanted).toMatch(/^-?\w/);
      const args = ['run', '--engine', 'translate', 'program', amount];
      expect(await mtemu(args, { program: bytes })).toMatchObject({ status: 0, stdout: wanted });
    });
  },
);
