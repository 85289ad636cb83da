/**
 * What the process floor and the system calls work on: the kernel's parts, without the kernel.
 */
import type { Random } from '../../base/index.js';
import type { Contexts, MaySleep, RunQueue } from '../contexts/index.js';
import type { FileSystem } from '../fs/index.js';
import type { SysvIpc } from '../ipc/index.js';
import type { MemoryManager } from '../mm/index.js';
import type { Network } from '../net/index.js';
import type { Ttys } from '../tty/index.js';
import type { Futexes } from './futex.js';
import type { KernelLog } from './kernel-log.js';
import type { ProcessTable } from './process-table.js';
import type { Power } from './sysfs-power.js';
import type { Thread } from './thread.js';
import type { Clock, Timers } from './timers.js';
import type { UserCpus } from './user-context.js';

export interface KernelState {
  readonly mm: MemoryManager;
  readonly contexts: Contexts;
  /** TLB invalidations that each CPU broadcast. */
  readonly shootdowns: ArrayLike<number>;
  readonly runQueue: RunQueue;
  readonly user: UserCpus;
  readonly table: ProcessTable;
  readonly futexes: Futexes;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly files: FileSystem;
  readonly network: Network;
  readonly ipc: SysvIpc;
  readonly ttys: Ttys;
  /** AT_RANDOM, getrandom(2), address choices. */
  readonly random: Random;
  /** Pointer authentication keys. */
  readonly keyRandom: Random;
  /** system_supports_mte(). */
  readonly mte: boolean;
  /** The CPU has FP and Advanced SIMD. */
  readonly fp: boolean;
  /** The CPU has pointer authentication. */
  readonly pac: boolean;
  /** The CPU has BTI: handlers are entered as by an indirect call. */
  readonly bti: boolean;
  readonly hwcap: bigint;
  readonly hwcap2: bigint;
  /** Takes the core file of a process that a signal killed; left out: none is made. */
  readonly takeCore?: ((pid: number, image: Uint8Array) => void) | undefined;
  /** /sys/power. */
  readonly power: Power;
  log(line: string): void;
  /** What was logged. */
  readonly messages: KernelLog;
  /** Who is running; undefined while the kernel boots. */
  readonly currentThread: () => Thread | undefined;
  /** What a thread does from its first instruction in user space to its end. */
  threadLife(thread: Thread): MaySleep<void>;
}
