/**
 * unshare and setns.
 *
 * There is one namespace of each kind, as in a kernel built without them, but for those of names (UTS); descriptors,
 * the working directory and semaphore undo lists can be unshared as well.
 *
 * Ref. kernel/fork.c (ksys_unshare, check_unshare_flags), kernel/nsproxy.c.
 */
import { EBADF, EINVAL, EPERM } from '../contexts/index.js';
import { CAP, CLONE, capable, newUts, type Thread, unshareFiles } from '../process/index.js';
import { int, type Syscall, type SyscallServices, uint } from './row.js';

const UNSHARED = CLONE.FS | CLONE.FILES | CLONE.SYSVSEM | CLONE.NEWUTS;
/** What a process of one thread has for itself anyway. */
const OWN = CLONE.THREAD | CLONE.SIGHAND | CLONE.VM;

function unshare(services: SyscallServices, thread: Thread, flags: number): number {
  const { process } = thread;
  if ((flags & ~(UNSHARED | OWN)) !== 0) return -EINVAL;
  if ((flags & OWN) !== 0 && (process.threads.size > 1 || process.space.users > 1)) return -EINVAL;
  if ((flags & CLONE.NEWUTS) !== 0 && !capable(thread.credentials, CAP.SYS_ADMIN)) return -EPERM;
  if ((flags & CLONE.NEWUTS) !== 0) process.uts = newUts(services, process.uts);
  if ((flags & CLONE.FS) !== 0) process.fs = process.fs.clone();
  if ((flags & CLONE.FILES) !== 0) unshareFiles(process);
  return 0;
}

export const namespaceSyscalls: readonly Syscall[] = [
  {
    number: 97,
    name: 'unshare',
    args: ['hex'],
    run: (services, thread, [flags]) => unshare(services, thread, uint(flags)),
  },
  {
    number: 268,
    name: 'setns',
    args: ['fd', 'hex'],
    run: (_services, thread, [fd]) => (thread.process.files.get(int(fd)) === undefined ? -EBADF : -EINVAL),
  },
];
