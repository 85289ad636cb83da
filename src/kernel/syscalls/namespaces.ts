/**
 * unshare and setns, and what file systems here do not keep: extended attributes.
 *
 * There is one namespace of each kind, as in a kernel built without them, but for those of names (UTS); descriptors,
 * the working directory and semaphore undo lists can be unshared as well.
 *
 * Ref. kernel/fork.c (ksys_unshare, check_unshare_flags), kernel/nsproxy.c, fs/xattr.c.
 */
import { EBADF, EINVAL, ENODATA, EOPNOTSUPP, EPERM, type MaySleep } from '../contexts/index.js';
import { CAP, CLONE, capable, newUts, readString, type Thread, unshareFiles } from '../process/index.js';
import { fileOf, inodeAt } from './paths.js';
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

/** The object that an xattr call is about: 0 where it is there, or a negative errno. */
function* objectOf(
  services: SyscallServices,
  thread: Thread,
  object: bigint,
  by: 'path' | 'link' | 'fd',
): MaySleep<number> {
  if (by === 'fd') return fileOf(thread, object) === undefined ? -EBADF : 0;
  const inode = yield* inodeAt(services, thread, -100n, object, 0, by === 'path');
  return typeof inode === 'number' ? inode : 0;
}

const FORMS = [
  ['path', ''],
  ['link', 'l'],
  ['fd', 'f'],
] as const;

/** set, get, list and remove, each by path, by link and by descriptor: numbers 5 to 16. */
const xattrSyscalls: readonly Syscall[] = (['set', 'get', 'list', 'remove'] as const).flatMap((what, group) =>
  FORMS.map(
    ([by, letter], i): Syscall => ({
      number: 5 + 3 * group + i,
      name: `${letter}${what}xattr`,
      args: [by === 'fd' ? 'fd' : 'string', what === 'list' ? 'pointer' : 'string', 'pointer', 'unsigned'],
      *run(services, thread, [object, name]) {
        const error = yield* objectOf(services, thread, object, by);
        if (error !== 0 || what === 'list') return error;
        const text = yield* readString(services.mm, thread, name, 256);
        if (typeof text === 'number') return text;
        // tmpfs has names of security modules and of trusted processes, and nobody gave it any.
        const hasFamily = /^(security|trusted)\./.test(new TextDecoder().decode(text));
        return hasFamily && what !== 'set' ? -ENODATA : -EOPNOTSUPP;
      },
    }),
  ),
);

export const namespaceSyscalls: readonly Syscall[] = [
  ...xattrSyscalls,
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
