/**
 * Resource limits: sixteen pairs of a soft and a hard value, kept by each process, inherited by fork and kept by
 * execve.
 *
 * What asks for them: descriptors (NOFILE), mappings and stacks (AS, DATA, STACK; through the address space, which
 * refers to its process's limits), writes (FSIZE), clone (NPROC), signals (SIGPENDING), CPU time (CPU), core files
 * (CORE), priorities (NICE). RSS, LOCKS and RTTIME are kept and shown, as nothing here uses what they bound.
 *
 * Ref. include/asm-generic/resource.h, kernel/sys.c (do_prlimit), fs/proc/base.c (lnames); getrlimit(2).
 */
import { EINVAL, EPERM } from '../contexts/index.js';
import type { MmLimits } from '../mm/index.js';

export const RLIMIT = {
  CPU: 0,
  FSIZE: 1,
  DATA: 2,
  STACK: 3,
  CORE: 4,
  RSS: 5,
  NPROC: 6,
  NOFILE: 7,
  MEMLOCK: 8,
  AS: 9,
  LOCKS: 10,
  SIGPENDING: 11,
  MSGQUEUE: 12,
  NICE: 13,
  RTPRIO: 14,
  RTTIME: 15,
} as const;
export const RLIMITS = 16;
export const RLIM_INFINITY = (1n << 64n) - 1n;
/** fs.nr_open. */
const NR_OPEN = 1048576n;

export interface Limit {
  readonly soft: bigint;
  readonly hard: bigint;
}

const limit = (soft: bigint, hard = soft): Limit => ({ soft, hard });
const NONE = limit(RLIM_INFINITY);

/** INIT_RLIMITS, by number. */
const INITIAL: readonly Limit[] = [
  NONE,
  NONE,
  NONE,
  limit(8n << 20n, RLIM_INFINITY),
  limit(0n, RLIM_INFINITY),
  NONE,
  limit(16384n),
  limit(1024n, 4096n),
  limit(8n << 20n),
  NONE,
  NONE,
  limit(16384n),
  limit(819200n),
  limit(0n),
  limit(0n),
  NONE,
];

/** Names and units in /proc/PID/limits, by number. */
const SHOWN: readonly (readonly [name: string, unit: string])[] = [
  ['Max cpu time', 'seconds'],
  ['Max file size', 'bytes'],
  ['Max data size', 'bytes'],
  ['Max stack size', 'bytes'],
  ['Max core file size', 'bytes'],
  ['Max resident set', 'bytes'],
  ['Max processes', 'processes'],
  ['Max open files', 'files'],
  ['Max locked memory', 'bytes'],
  ['Max address space', 'bytes'],
  ['Max file locks', 'locks'],
  ['Max pending signals', 'signals'],
  ['Max msgqueue size', 'bytes'],
  ['Max nice priority', ''],
  ['Max realtime priority', ''],
  ['Max realtime timeout', 'us'],
];

/** A limit as a number of what it counts; none is Infinity. */
const amount = (value: bigint): number =>
  value === RLIM_INFINITY ? Number.POSITIVE_INFINITY : Number(value);

export class ResourceLimits implements MmLimits {
  readonly #limits: Limit[];

  constructor(from: readonly Limit[] = INITIAL) {
    this.#limits = [...from];
  }

  /** fork: the child's own from now on. */
  clone(): ResourceLimits {
    return new ResourceLimits(this.#limits);
  }

  /** @param resource 0..15. */
  get(resource: number): Limit {
    return this.#limits[resource] ?? NONE;
  }

  /** The soft limit: what counts. Infinity where there is none. */
  soft(resource: number): number {
    return amount(this.get(resource).soft);
  }

  /**
   * do_prlimit(): 0, -EINVAL (soft above hard) or -EPERM.
   *
   * @param capable CAP_SYS_RESOURCE: the hard limit may be raised, NOFILE's to fs.nr_open.
   */
  set(resource: number, next: Limit, capable: boolean): number {
    if (next.soft > next.hard) return -EINVAL;
    if (resource === RLIMIT.NOFILE && next.hard > NR_OPEN) return -EPERM;
    if (next.hard > this.get(resource).hard && !capable) return -EPERM;
    this.#limits[resource] = next;
    return 0;
  }

  get addressSpace(): number {
    return this.soft(RLIMIT.AS);
  }

  get data(): number {
    return this.soft(RLIMIT.DATA);
  }

  get stack(): number {
    return this.soft(RLIMIT.STACK);
  }

  /** /proc/PID/limits. */
  text(): string {
    const shown = (value: bigint) => (value === RLIM_INFINITY ? 'unlimited' : String(value)).padEnd(20);
    const row = (name: string, soft: string, hard: string, unit: string) =>
      `${name.padEnd(25)} ${soft} ${hard} ${unit === '' ? '' : unit.padEnd(10)}\n`;
    const rows = this.#limits.map(({ soft, hard }, i) => {
      const [name, unit] = SHOWN[i] ?? ['', ''];
      return row(name, shown(soft), shown(hard), unit);
    });
    return row('Limit', 'Soft Limit'.padEnd(20), 'Hard Limit'.padEnd(20), 'Units') + rows.join('');
  }
}
