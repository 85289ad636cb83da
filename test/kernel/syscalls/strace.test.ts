import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { describeCall, describeResult, SYSCALLS } from '../../../src/kernel/syscalls/index.js';

const HEADER = '/usr/aarch64-linux-gnu/include/asm-generic/unistd.h';
/** Numbers of 32-bit machines (403 to 423), and what the header does not mean as a call. */
const NO_CALLS: ReadonlySet<string> = new Set(['sync_file_range2', 'arch_specific_syscall', 'syscalls']);
const FOR_32_BITS = { first: 403, last: 423 };
/** Whose 64-bit form has another name on 64-bit machines (__NR3264). */
const OTHER_NAMES: Readonly<Record<string, string>> = { fstatat: 'newfstatat' };

describe('the system call table', () => {
  it.skipIf(!existsSync(HEADER))(
    "has each call of Linux's own under its name [needs libc6-dev-arm64-cross]",
    () => {
      const wrong: string[] = [];
      let calls = 0;
      for (const [, name = '', number = ''] of readFileSync(HEADER, 'utf8').matchAll(
        /^#define __NR(?:3264)?_(\w+)\s+(\d+)/gm,
      )) {
        if (NO_CALLS.has(name)) continue;
        if (Number(number) >= FOR_32_BITS.first && Number(number) <= FOR_32_BITS.last) continue;
        calls++;
        const ours = SYSCALLS.get(Number(number))?.name;
        if (ours !== (OTHER_NAMES[name] ?? name)) wrong.push(`${number} ${name}: ${ours}`);
      }
      expect(wrong).toEqual([]);
      expect(calls).toBeGreaterThan(300);
    },
  );

  it('has those up to 6.8, one row each', () => {
    const names = [...SYSCALLS.values()].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const newest = [452, 454, 457, 461].map((number) => SYSCALLS.get(number)?.name);
    expect(newest).toEqual(['fchmodat2', 'futex_wake', 'statmount', 'lsm_list_modules']);
  });
});

describe('--strace text', () => {
  it('names flags and errors', () => {
    const mmap = SYSCALLS.get(222)!;
    expect(describeCall(222, mmap, [0n, 4096n, 0x23n, 0x22n, 0xffffffffffffffffn, 0n])).toBe(
      'mmap(NULL, 4096, PROT_READ|PROT_WRITE|PROT_MTE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)',
    );
    expect(describeResult(mmap, 0xffff_8000_0000n)).toBe('= 0xffff80000000');
    expect(describeResult(mmap, BigInt.asUintN(64, -12n))).toBe('= -1 ENOMEM');
    expect(describeResult(SYSCALLS.get(64), 5n)).toBe('= 5');
  });

  it('shows unknown calls by number', () => {
    expect(describeCall(0x123, undefined, [1n, 0n, 0n, 0n, 0n, 0n])).toBe(
      'syscall_0x123(0x1, 0x0, 0x0, 0x0, 0x0, 0x0)',
    );
    expect(describeResult(undefined, BigInt.asUintN(64, -38n))).toBe('= -1 ENOSYS');
  });
});
