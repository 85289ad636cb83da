/**
 * The shape of a system call's row: number, name, arguments for --strace, handler.
 *
 * Ref. include/uapi/asm-generic/unistd.h (arm64 uses the generic table).
 */
import type { MaySleep } from '../contexts/index.js';
import type { MemoryManager } from '../mm/index.js';
import type { Process } from '../process/index.js';

/** How --strace prints an argument. */
export type ArgumentKind =
  | 'int'
  | 'unsigned'
  | 'hex'
  | 'pointer'
  | 'fd'
  | 'prot'
  | 'map-flags'
  | 'buffer'
  | 'clock';

/** What the kernel's surroundings offer to system calls. */
export interface SyscallServices {
  readonly mm: MemoryManager;
  /** The CPU has MTE. */
  readonly mte: boolean;
  /** Nanoseconds since boot. */
  monotonicNs(): bigint;
  /** Bytes the guest wrote to a file descriptor of the host: 1 or 2. */
  writeOut(fd: 1 | 2, bytes: Uint8Array): void;
  /** The control changed: the CPU's SCTLR_EL1.TCF0 and GCR_EL1 must follow before EL0 runs again. */
  controlChanged(process: Process): void;
}

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
    process: Process,
    args: SyscallArguments,
  ) => MaySleep<bigint | number> | bigint | number;
}

export type SyscallArguments = readonly [bigint, bigint, bigint, bigint, bigint, bigint];

/** The low 32 bits as a C int. */
export const int = (value: bigint): number => Number(BigInt.asIntN(32, value));
