/**
 * The shape of a system call's row: number, name, arguments for --strace, handler.
 *
 * Ref. include/uapi/asm-generic/unistd.h (arm64 uses the generic table).
 */
import type { MaySleep } from '../contexts/index.js';
import type { KernelState, Thread } from '../process/index.js';

/** How --strace prints an argument. */
export type ArgumentKind =
  | 'int'
  | 'unsigned'
  | 'hex'
  | 'octal'
  | 'pointer'
  | 'fd'
  | 'prot'
  | 'map-flags'
  | 'buffer'
  | 'clock'
  | 'signal'
  | 'ptrace-request'
  /** A pointer to a string: a path, a name. */
  | 'string';

/** What system calls work on. */
export type SyscallServices = KernelState;

export type SyscallResult = bigint | number;

export interface Syscall {
  readonly number: number;
  readonly name: string;
  readonly args: readonly ArgumentKind[];
  /**
   * The arguments are X0..X5 as unsigned 64-bit values; gives X0: a value or a negative errno. A call
   * that never sleeps is a plain function.
   */
  readonly run: (
    services: SyscallServices,
    thread: Thread,
    args: SyscallArguments,
  ) => MaySleep<SyscallResult> | SyscallResult;
}

export type SyscallArguments = readonly [bigint, bigint, bigint, bigint, bigint, bigint];

/** The result of a call that set all registers itself: rt_sigreturn, execve. */
export const KEEP_REGISTERS = Number.MIN_SAFE_INTEGER;

/** The low 32 bits as a C int. */
export const int = (value: bigint): number => Number(BigInt.asIntN(32, value));
/** The low 32 bits as an unsigned int. */
export const uint = (value: bigint): number => Number(BigInt.asUintN(32, value));
/** A signed 64-bit value: loff_t, ssize_t. */
export const long = (value: bigint): bigint => BigInt.asIntN(64, value);
/** A length as a number, cut at what one call moves at most. */
export const count = (value: bigint): number => Number(value > 0x7ffff000n ? 0x7ffff000n : value);
/** An offset as a number where it is one a file can have; undefined for negative and huge ones. */
export function offset(value: bigint): number | undefined {
  const signed = long(value);
  return signed < 0n || signed > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(signed);
}
