/**
 * System calls of inotify.
 *
 * Ref. fs/notify/inotify/inotify_user.c; inotify(7).
 */
import { EBADF, EINVAL, EMFILE, ENOTDIR } from '../contexts/index.js';
import {
  Directory,
  IN,
  IN_ALL_BITS,
  InotifyFile,
  inodePermission,
  MAY,
  O_CLOEXEC,
  O_NONBLOCK,
  SpecialFile,
} from '../fs/index.js';
import type { Thread } from '../process/index.js';
import { fileOf, inodeAt } from './paths.js';
import { int, type Syscall, uint } from './row.js';

const AT_FDCWD = -100n;

function inotifyOf(thread: Thread, fd: bigint): InotifyFile | number {
  const file = fileOf(thread, fd);
  if (file === undefined) return -EBADF;
  return file instanceof InotifyFile ? file : -EINVAL;
}

export const inotifySyscalls: readonly Syscall[] = [
  {
    number: 26,
    name: 'inotify_init1',
    args: ['hex'],
    run({ files }, thread, [flags]) {
      const bits = int(flags);
      if ((bits & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
      const { notifier, caller } = files;
      const { uid } = caller;
      const open = () => notifier.instances.get(uid) ?? 0;
      if (open() >= notifier.limits.max_user_instances) return -EMFILE;
      const inode = new SpecialFile(files.nextInode(), 0o600, () => -EINVAL);
      const file = new InotifyFile(inode, bits & O_NONBLOCK, notifier);
      const fd = thread.process.files.add(file, (bits & O_CLOEXEC) !== 0);
      if (fd < 0) return fd;
      notifier.instances.set(uid, open() + 1);
      file.onRelease.add(() => notifier.instances.set(uid, open() - 1));
      return fd;
    },
  },
  {
    number: 27,
    name: 'inotify_add_watch',
    args: ['fd', 'string', 'hex'],
    *run(services, thread, [fd, path, mask]) {
      const bits = uint(mask);
      if ((bits & IN_ALL_BITS) === 0) return -EINVAL;
      const file = fileOf(thread, fd);
      if (file === undefined) return -EBADF;
      if ((bits & IN.MASK_ADD) !== 0 && (bits & IN.MASK_CREATE) !== 0) return -EINVAL;
      if (!(file instanceof InotifyFile)) return -EINVAL;
      const inode = yield* inodeAt(services, thread, AT_FDCWD, path, 0, (bits & IN.DONT_FOLLOW) === 0);
      if (typeof inode === 'number') return inode;
      if ((bits & IN.ONLYDIR) !== 0 && !(inode instanceof Directory)) return -ENOTDIR;
      const refused = inodePermission(inode, MAY.READ, services.files.caller);
      return refused !== 0 ? refused : file.watch(inode, bits);
    },
  },
  {
    number: 28,
    name: 'inotify_rm_watch',
    args: ['fd', 'int'],
    run(_services, thread, [fd, wd]) {
      const file = inotifyOf(thread, fd);
      return typeof file === 'number' ? file : file.unwatch(int(wd));
    },
  },
];
