/**
 * Selftests of the kernel that are of no architecture: futexes, process files, clone3, kcmp, /proc, membarrier, mm.
 * Each passes as often as under Linux 6.1, on one CPU and on several.
 *
 * MTEMU_KERNEL_SELFTESTS names tools/testing/selftests of a kernel source tree (CI takes it from Debian's
 * package `linux-source-6.1`); the programs are built here, outside the repository.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';

const SELFTESTS = process.env['MTEMU_KERNEL_SELFTESTS'];
const GCC = 'aarch64-linux-gnu-gcc';
const gcc = spawnSync(GCC, ['--version']).status === 0;
const MINUTE = 60_000;

/** How many lines say "ok" or "PASS" on the reference; 0 where only the exit status tells. */
const PASSES: Readonly<Record<string, number>> = {
  'clone3/clone3_clear_sighand': 1,
  'core/close_range_test': 8,
  'exec/null-argv': 5,
  'futex/functional/futex_requeue_pi': 1,
  'futex/functional/futex_requeue_pi_mismatched_ops': 1,
  'futex/functional/futex_requeue_pi_signal_restart': 1,
  'futex/functional/futex_wait_private_mapped_file': 1,
  'futex/functional/futex_wait_timeout': 9,
  'futex/functional/futex_wait_uninitialized_heap': 1,
  'futex/functional/futex_wait_wouldblock': 2,
  'futex/functional/futex_waitv': 7,
  'kcmp/kcmp_test': 3,
  'membarrier/membarrier_test_multi_thread': 13,
  'membarrier/membarrier_test_single_thread': 13,
  'pidfd/pidfd_getfd_test': 4,
  'pidfd/pidfd_open_test': 3,
  'pidfd/pidfd_wait': 3,
  'proc/fd-001-lookup': 0,
  'proc/fd-002-posix-eq': 0,
  'proc/proc-self-map-files-001': 0,
  'proc/proc-self-map-files-002': 0,
  'proc/proc-self-wchan': 0,
  'proc/proc-uptime-002': 0,
  'proc/read': 0,
  'proc/self': 0,
  'proc/thread-self': 0,
  'sigaltstack/sas': 3,
  'splice/default_file_splice_read': 0,
  'timers/nanosleep': 12,
  'vm/map_fixed_noreplace': 0,
  'vm/map_populate': 0,
  'vm/mlock2-tests': 0,
  'vm/thuge-gen': 0,
};
const NAMES = Object.keys(PASSES);
/** They reach for the process table from the outside, or what they measure is the time of one CPU. */
const ONE_CPU = ['proc/proc-uptime-002', 'timers/nanosleep'];

const images: Record<string, Uint8Array> = {};

function build(folder: string, name: string): Uint8Array {
  const at = join(SELFTESTS!, dirname(name));
  const out = join(folder, basename(name));
  const include = ['-I.', '-I..', '-I../..', '-I../include', '-I../../include'];
  const flags = ['-static', '-O2', '-std=gnu99', '-D_GNU_SOURCE', '-w', '-pthread', ...include];
  const built = spawnSync(GCC, [...flags, `${basename(name)}.c`, '-o', out], { cwd: at, encoding: 'utf8' });
  expect([name, built.stderr]).toEqual([name, '']);
  return readFileSync(out);
}

describe.skipIf(SELFTESTS === undefined || !gcc)(
  'general kernel selftests [need MTEMU_KERNEL_SELFTESTS and aarch64-linux-gnu-gcc]',
  () => {
    let folder = '';
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'mtemu-selftests-'));
      for (const name of NAMES) {
        expect([name, existsSync(join(SELFTESTS!, `${name}.c`))]).toEqual([name, true]);
        images[name] = build(folder, name);
      }
    }, 2 * MINUTE);
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    const passes = async (name: string, ...options: string[]) => {
      const program = `./${basename(name)}`;
      const outcome = await mtemu(['run', ...options, program], { [program]: images[name]! });
      const lines = outcome.stdout.split('\n');
      expect(lines.filter((line) => /^(not ok|FAIL)/.test(line))).toEqual([]);
      expect(lines.filter((line) => /^(ok |PASS: )/.test(line)).length).toBe(PASSES[name]);
      expect(outcome.status).toBe(0);
    };

    it.each(NAMES)('%s', (name) => passes(name), MINUTE);

    it.each(NAMES.filter((name) => !ONE_CPU.includes(name)))(
      '%s on three CPUs, in lent tag storage',
      (name) => passes(name, '--cpus', '3', '--seed', '2', '--memory', '64M', '--tag-storage', 'cma'),
      MINUTE,
    );
  },
);
