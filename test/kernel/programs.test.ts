/**
 * Small programs that probe system calls and tagging: what they print is what Linux's user ABI says,
 * and what qemu-aarch64 prints where it is installed.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';

const FOLDER = 'test/kernel/programs';
const ROOT = new URL('../..', import.meta.url).pathname;
const PROGRAMS = readdirSync(join(ROOT, FOLDER)).filter((name) => name.endsWith('.s'));

/** What each program's comments promise: `show xN // value`. */
function promised(source: string): string[] {
  const errors: Readonly<Record<string, number>> = {
    EBADF: 9,
    ENOMEM: 12,
    EFAULT: 14,
    EINVAL: 22,
    ENOSYS: 38,
  };
  const out: string[] = [];
  for (const line of source.split('\n')) {
    const match = /^\s+(?:show|tag_at)\s+x\d+\s+\/\/ (\w+)/.exec(line);
    if (!match) continue;
    const error = errors[match[1]!];
    const value = error === undefined ? BigInt(`0x${match[1]}`) : BigInt.asUintN(64, BigInt(-error));
    out.push(value.toString(16).padStart(16, '0'));
  }
  return out;
}

/** Where qemu-user differs from Linux: it does not check the kernel's accesses to user memory. */
const QEMU_DIFFERS = ['checked-system-call.s'];

const qemu = ['qemu-aarch64', 'qemu-aarch64-static'].find(
  (name) => spawnSync(name, ['--version']).status === 0,
);

describe('test programs', () => {
  it.each(PROGRAMS)('%s prints what it promises', async (name) => {
    const source = readFileSync(join(ROOT, FOLDER, name), 'utf8');
    const outcome = await mtemu(['run', '--tcf', 'none', '--memory', '64M', '--check', `${FOLDER}/${name}`]);
    expect(outcome).toMatchObject({ status: 0, stderr: '' });
    const printed = outcome.stdout.split('\n').filter((line) => /^[0-9a-f]{16}$/.test(line));
    const expected = promised(source);
    expect(expected.length).toBeGreaterThan(2);
    expect(printed).toEqual(expected);
  });

  it.skipIf(qemu === undefined).each(PROGRAMS.filter((name) => !QEMU_DIFFERS.includes(name)))(
    '%s prints the same on qemu-aarch64 [needs qemu-user]',
    async (name) => {
      const assembled = await mtemu(['asm', '-o', 'x', `${FOLDER}/${name}`]);
      const file = join(mkdtempSync(join(tmpdir(), 'mtemu-programs-')), 'program');
      writeFileSync(file, assembled.written.get('x')!);
      chmodSync(file, 0o755);
      const theirs = spawnSync(qemu!, ['-cpu', 'max', file], { encoding: 'utf8' });
      const ours = await mtemu(['run', '--tcf', 'none', '--memory', '64M', `${FOLDER}/${name}`]);
      expect(ours.stdout).toBe(theirs.stdout);
      expect(ours.status).toBe(theirs.status);
    },
  );
});
