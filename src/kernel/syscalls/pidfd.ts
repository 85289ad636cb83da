/**
 * System calls on files that stand for processes: pidfd_open, pidfd_send_signal, pidfd_getfd, process_madvise.
 *
 * Ref. kernel/pid.c, kernel/signal.c (pidfd_send_signal), mm/madvise.c (process_madvise).
 */
import { VA } from '../../base/index.js';
import { EBADF, EFAULT, EINVAL, EPERM, ESRCH, type MaySleep } from '../contexts/index.js';
import { O_NONBLOCK, SpecialFile } from '../fs/index.js';
import {
  PROCESS_OF,
  type Process,
  ProcessFile,
  ptraceMayAccess,
  readU32,
  type Thread,
} from '../process/index.js';

import { readVectors } from './io.js';
import { fileOf, rawFileOf } from './paths.js';
import { int, type Syscall, type SyscallServices, uint } from './row.js';
import { kill, queueInfo } from './signals.js';

/** What process_madvise may ask for another process: hints that change nothing it can see. */
const MADV_FOR_OTHERS: ReadonlySet<number> = new Set([3, 20, 21, 25]);

/** The process behind a pidfd, reaped or not; -EBADF where the descriptor is none. */
export function processOf(thread: Thread, fd: bigint): Process | number {
  const file = fileOf(thread, fd);
  return file instanceof ProcessFile ? (file.process ?? -ESRCH) : -EBADF;
}

function open(services: SyscallServices, thread: Thread, pid: number, flags: number): number {
  if ((flags & ~O_NONBLOCK) !== 0 || pid <= 0) return -EINVAL;
  const process = services.table.get(pid);
  // The number of a thread that is not its process's first means nothing here.
  if (process === undefined) return services.table.thread(pid) === undefined ? -ESRCH : -EINVAL;
  const inode = new SpecialFile(services.files.nextInode(), 0o600, () => -EINVAL);
  return thread.process.files.add(new ProcessFile(inode, flags, process), true);
}

function* sendSignal(
  services: SyscallServices,
  thread: Thread,
  [fd, signo, info, flags]: readonly [bigint, bigint, bigint, bigint],
): MaySleep<number> {
  if (uint(flags) !== 0) return -EINVAL;
  const folder = rawFileOf(thread, fd)?.inode;
  const target = (folder && PROCESS_OF.get(folder)) ?? processOf(thread, fd);
  if (typeof target === 'number') return target;
  if (info === 0n) return target.reaped ? -ESRCH : kill(services, thread, target.pid, int(signo));
  const said = yield* readU32(services.mm, thread, info);
  if (said === undefined) return -EFAULT;
  if (said !== uint(signo)) return -EINVAL;
  const self = target === thread.process;
  return yield* queueInfo(services, thread, target.reaped ? undefined : target, self, int(signo), info);
}

function getDescriptor(thread: Thread, pidfd: bigint, fd: bigint, flags: number): number {
  if (flags !== 0) return -EINVAL;
  const target = processOf(thread, pidfd);
  if (typeof target === 'number') return target;
  if (target.end !== undefined) return -ESRCH;
  const leader = target.leader ?? [...target.threads][0];
  if (leader === undefined) return -ESRCH;
  if (!ptraceMayAccess(thread, leader)) return -EPERM;
  const file = target.files.get(int(fd));
  return file === undefined ? -EBADF : thread.process.files.add(file, true);
}

function* adviseOther(
  services: SyscallServices,
  thread: Thread,
  [pidfd, vectors, count, advice, flags]: readonly [bigint, bigint, bigint, bigint, bigint],
): MaySleep<number> {
  if (uint(flags) !== 0) return -EINVAL;
  const stretches = yield* readVectors(services, thread, vectors, count);
  if (typeof stretches === 'number') return stretches;
  const target = processOf(thread, pidfd);
  if (typeof target === 'number') return target;
  if (target.end !== undefined) return -ESRCH;
  if (!MADV_FOR_OTHERS.has(int(advice))) return -EINVAL;
  let done = 0;
  for (const { address, bytes } of stretches) {
    const error = yield* services.mm.madvise(target.mm, VA(address), bytes, int(advice));
    if (error < 0) return done > 0 ? done : error;
    done += bytes;
  }
  return done;
}

export const pidfdSyscalls: readonly Syscall[] = [
  {
    number: 424,
    name: 'pidfd_send_signal',
    args: ['fd', 'signal', 'pointer', 'hex'],
    run: (services, thread, [fd, signo, info, flags]) =>
      sendSignal(services, thread, [fd, signo, info, flags]),
  },
  {
    number: 434,
    name: 'pidfd_open',
    args: ['int', 'hex'],
    run: (services, thread, [pid, flags]) => open(services, thread, int(pid), int(flags)),
  },
  {
    number: 438,
    name: 'pidfd_getfd',
    args: ['fd', 'fd', 'hex'],
    run: (_services, thread, [pidfd, fd, flags]) => getDescriptor(thread, pidfd, fd, uint(flags)),
  },
  {
    number: 440,
    name: 'process_madvise',
    args: ['fd', 'pointer', 'unsigned', 'int', 'hex'],
    run: (services, thread, [pidfd, vectors, count, advice, flags]) =>
      adviseOther(services, thread, [pidfd, vectors, count, advice, flags]),
  },
];
