import { describe, expect, it } from 'vitest';
import { describeCall, describeResult, SYSCALLS } from '../../../src/kernel/syscalls/index.js';

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
