/** The system call table, and how a call is looked up and described. */
import { ioSyscalls } from './io.js';
import { memorySyscalls } from './memory.js';
import { processSyscalls } from './process.js';
import type { Syscall } from './row.js';
import { timeSyscalls } from './time.js';

export type { Syscall, SyscallArguments, SyscallServices } from './row.js';
export { describeCall, describeResult, errnoName } from './strace.js';

/** One row each; the number is the key. */
export const SYSCALLS: ReadonlyMap<number, Syscall> = new Map(
  [...ioSyscalls, ...processSyscalls, ...timeSyscalls, ...memorySyscalls].map((row) => [row.number, row]),
);
