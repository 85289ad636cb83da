/**
 * seccomp(2), and what a filter's answer does to a call.
 *
 * Ref. kernel/seccomp.c (seccomp_set_mode_filter, __secure_computing, seccomp_nack_syscall).
 */
import { EACCES, EFAULT, EINVAL, ENOMEM, ENOSYS, EOPNOTSUPP, type MaySleep } from '../contexts/index.js';
import {
  AUDIT_ARCH,
  type BpfInstruction,
  CAP,
  capable,
  checkFilter,
  endGroup,
  forceSignal,
  type KernelState,
  MOST_INSTRUCTIONS,
  MOST_PATH,
  readUser,
  SECCOMP,
  SECCOMP_RET,
  STRICT_CALLS,
  seccompAnswer,
  seccompSignal,
  type Thread,
  writeUser,
} from '../process/index.js';
import type { Syscall, SyscallArguments, SyscallServices } from './row.js';
import { uint } from './row.js';

const OPERATION = { STRICT: 0, FILTER: 1, GET_ACTION_AVAIL: 2, GET_NOTIF_SIZES: 3 } as const;
const FLAG = { TSYNC: 1, LOG: 2, SPEC_ALLOW: 4, TSYNC_ESRCH: 16 } as const;
const FLAGS = 0x17;
const MOST_ERRNO = 4095;

/** SECCOMP_SET_MODE_STRICT. */
export function setStrict(thread: Thread): number {
  if (thread.seccompMode === SECCOMP.FILTER) return -EINVAL;
  thread.seccompMode = SECCOMP.STRICT;
  return 0;
}

/** struct sock_fprog: the program, or a negative errno. */
function* readProgram(
  { mm }: SyscallServices,
  thread: Thread,
  address: bigint,
): MaySleep<BpfInstruction[] | number> {
  const head = yield* readUser(mm, thread, address, 16);
  if (head === undefined) return -EFAULT;
  const view = new DataView(head.buffer);
  const length = view.getUint16(0, true);
  if (length === 0 || length > MOST_INSTRUCTIONS) return -EINVAL;
  const bytes = yield* readUser(mm, thread, view.getBigUint64(8, true), 8 * length);
  if (bytes === undefined) return -EFAULT;
  const words = new DataView(bytes.buffer);
  return Array.from({ length }, (_, i) => ({
    code: words.getUint16(8 * i, true),
    jt: words.getUint8(8 * i + 2),
    jf: words.getUint8(8 * i + 3),
    k: words.getUint32(8 * i + 4, true),
  }));
}

/** SECCOMP_SET_MODE_FILTER. */
export function* setFilter(
  services: SyscallServices,
  thread: Thread,
  flags: number,
  address: bigint,
): MaySleep<number> {
  const { process } = thread;
  if ((flags & ~FLAGS) !== 0) return -EINVAL;
  const program = yield* readProgram(services, thread, address);
  if (program === -EFAULT) return program;
  if (!process.noNewPrivileges && !capable(thread.credentials, CAP.SYS_ADMIN)) return -EACCES;
  if (typeof program === 'number') return program;
  const error = checkFilter(program);
  if (error !== 0) return error;
  if (thread.seccompMode === SECCOMP.STRICT) return -EINVAL;
  const total = thread.seccompFilters.reduce((sum, filter) => sum + filter.program.length + 4, 0);
  if (total + program.length > MOST_PATH) return -ENOMEM;
  if ((flags & FLAG.TSYNC) !== 0) {
    // seccomp_can_sync_threads(): the others have what the caller has, or the beginning of it.
    for (const other of process.threads) {
      const own = other.seccompFilters;
      const isAncestor = own.every(
        (filter, i) => filter === thread.seccompFilters[thread.seccompFilters.length - own.length + i],
      );
      if (other !== thread && (other.seccompMode === SECCOMP.STRICT || !isAncestor)) return other.tid;
    }
  }
  const filters = [{ program, log: (flags & FLAG.LOG) !== 0 }, ...thread.seccompFilters];
  for (const each of (flags & FLAG.TSYNC) === 0 ? [thread] : process.threads) {
    each.seccompFilters = filters;
    each.seccompMode = SECCOMP.FILTER;
  }
  return 0;
}

/** struct seccomp_data. */
function dataOf(number: number, args: SyscallArguments, pc: bigint): DataView {
  const view = new DataView(new ArrayBuffer(64));
  view.setUint32(0, number, true);
  view.setUint32(4, AUDIT_ARCH, true);
  view.setBigUint64(8, pc, true);
  args.forEach((arg, i) => {
    view.setBigUint64(16 + 8 * i, arg, true);
  });
  return view;
}

/**
 * __secure_computing(): undefined where the call is made; else what it gives instead. A call that kills or traps gives
 * nothing that anybody sees.
 */
export function seccompCheck(
  state: KernelState,
  thread: Thread,
  number: number,
  args: SyscallArguments,
): number | bigint | undefined {
  if (thread.seccompMode === SECCOMP.STRICT) {
    if (STRICT_CALLS.has(number)) return undefined;
    kill(thread, seccompSignal(number, 0, 0n));
    return -ENOSYS;
  }
  const { pc } = state.user.registersOf(thread);
  const answer = seccompAnswer(thread.seccompFilters, dataOf(number, args, pc));
  const data = answer & 0xffff;
  switch ((answer & 0xffff0000) >>> 0) {
    case SECCOMP_RET.ALLOW:
    case SECCOMP_RET.LOG:
      return undefined;
    case SECCOMP_RET.ERRNO:
      return -Math.min(data, MOST_ERRNO);
    case SECCOMP_RET.TRAP:
      // The handler finds the arguments as they were.
      forceSignal(thread, seccompSignal(number, data, pc));
      return args[0];
    case SECCOMP_RET.TRACE:
      // Without a tracer that asked for it the call does not exist.
      return -ENOSYS;
    case SECCOMP_RET.KILL_THREAD:
      if (thread.process.threads.size > 1) {
        thread.exiting = 31;
        return -ENOSYS;
      }
      kill(thread, seccompSignal(number, data, pc));
      return -ENOSYS;
    default:
      kill(thread, seccompSignal(number, data, pc));
      return -ENOSYS;
  }
}

/** Strict mode's SIGKILL, and the SIGSYS that nobody can catch. */
function kill(thread: Thread, info: ReturnType<typeof seccompSignal>): void {
  const isStrict = thread.seccompMode === SECCOMP.STRICT;
  const end = isStrict ? { ...info, signo: 9, signal: 'SIGKILL' } : info;
  endGroup(thread.process, { kind: 'killed', info: end });
}

export const seccompSyscalls: readonly Syscall[] = [
  {
    number: 277,
    name: 'seccomp',
    args: ['int', 'hex', 'pointer'],
    *run(services, thread, [operation, flags, address]) {
      switch (uint(operation)) {
        case OPERATION.STRICT:
          return uint(flags) !== 0 || address !== 0n ? -EINVAL : setStrict(thread);
        case OPERATION.FILTER:
          return yield* setFilter(services, thread, uint(flags), address);
        case OPERATION.GET_ACTION_AVAIL: {
          if (uint(flags) !== 0) return -EINVAL;
          const bytes = yield* readUser(services.mm, thread, address, 4);
          if (bytes === undefined) return -EFAULT;
          const action = new DataView(bytes.buffer).getUint32(0, true);
          return Object.values(SECCOMP_RET).some((known) => known === action) ? 0 : -EOPNOTSUPP;
        }
        case OPERATION.GET_NOTIF_SIZES: {
          if (uint(flags) !== 0) return -EINVAL;
          const sizes = new Uint8Array(Uint16Array.of(80, 24, 64).buffer);
          return yield* writeUser(services.mm, thread, address, sizes);
        }
        default:
          return -EINVAL;
      }
    },
  },
];
