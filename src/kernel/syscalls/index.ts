/** The system call table, and how a call is looked up and described. */

import { affinitySyscalls } from './affinity.js';
import { aioSyscalls } from './aio.js';
import { barrierSyscalls } from './barriers.js';
import { cloneSyscalls } from './clone.js';
import { credentialSyscalls } from './credentials.js';
import { descriptorSyscalls } from './descriptors.js';
import { epollSyscalls } from './epoll.js';
import { eventFileSyscalls } from './event-files.js';
import { futexSyscalls } from './futex.js';
import { inotifySyscalls } from './inotify.js';
import { ioSyscalls } from './io.js';
import { kcmpSyscalls } from './kcmp.js';
import { limitSyscalls } from './limits.js';
import { lockSyscalls } from './locks.js';
import { memorySyscalls } from './memory.js';
import { mountSyscalls } from './mount.js';
import { mqueueSyscalls } from './mqueue.js';
import { namespaceSyscalls } from './namespaces.js';
import { openSyscalls } from './open.js';
import { pidfdSyscalls } from './pidfd.js';
import { pollSyscalls } from './poll.js';
import { prctlSyscalls } from './prctl.js';
import { processSyscalls } from './process.js';
import { ptraceSyscalls } from './ptrace.js';
import type { Syscall } from './row.js';
import { schedulingSyscalls } from './scheduling.js';
import { seccompCheck, seccompSyscalls } from './seccomp.js';
import { signalSyscalls } from './signals.js';
import { socketSyscalls } from './socket.js';
import { socketMessageSyscalls } from './socket-messages.js';
import { socketOptionSyscalls } from './socket-options.js';
import { spliceSyscalls } from './splice.js';
import { statSyscalls } from './stat.js';
import { syncSyscalls } from './sync.js';
import { syslogSyscalls } from './syslog.js';
import { systemSyscalls } from './system.js';
import { messageQueueSyscalls } from './sysv-msg.js';
import { semaphoreSyscalls } from './sysv-sem.js';
import { sharedMemorySyscalls } from './sysv-shm.js';
import { timeSyscalls } from './time.js';
import { treeSyscalls } from './tree.js';
import { unprovidedSyscalls } from './unprovided.js';
import { xattrSyscalls } from './xattr.js';

export {
  KEEP_REGISTERS,
  type Syscall,
  type SyscallArguments,
  type SyscallResult,
  type SyscallServices,
} from './row.js';
export { describeCall, describeResult, errnoName, readTexts } from './strace.js';
export { seccompCheck };

/** One row each; the number is the key. */
export const SYSCALLS: ReadonlyMap<number, Syscall> = new Map(
  [
    ...aioSyscalls,
    ...barrierSyscalls,
    ...credentialSyscalls,
    ...descriptorSyscalls,
    ...epollSyscalls,
    ...eventFileSyscalls,
    ...futexSyscalls,
    ...inotifySyscalls,
    ...ioSyscalls,
    ...limitSyscalls,
    ...lockSyscalls,
    ...memorySyscalls,
    ...mountSyscalls,
    ...mqueueSyscalls,
    ...namespaceSyscalls,
    ...openSyscalls,
    ...pidfdSyscalls,
    ...pollSyscalls,
    ...prctlSyscalls,
    ...processSyscalls,
    ...cloneSyscalls,
    ...kcmpSyscalls,
    ...ptraceSyscalls,
    ...affinitySyscalls,
    ...schedulingSyscalls,
    ...seccompSyscalls,
    ...signalSyscalls,
    ...socketSyscalls,
    ...socketMessageSyscalls,
    ...socketOptionSyscalls,
    ...spliceSyscalls,
    ...statSyscalls,
    ...messageQueueSyscalls,
    ...semaphoreSyscalls,
    ...sharedMemorySyscalls,
    ...syncSyscalls,
    ...syslogSyscalls,
    ...systemSyscalls,
    ...timeSyscalls,
    ...treeSyscalls,
    ...unprovidedSyscalls,
    ...xattrSyscalls,
  ].map((row) => [row.number, row]),
);
