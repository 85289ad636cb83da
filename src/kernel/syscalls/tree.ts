/**
 * System calls of the file tree: directories, links, names, modes, times.
 *
 * Ref. fs/open.c, fs/namei.c, fs/readdir.c.
 */
import { bytesOfText } from '../../base/index.js';
import {
  EBADF,
  EEXIST,
  EFBIG,
  EINVAL,
  EISDIR,
  ENODEV,
  ENOENT,
  ENOSPC,
  ENOTDIR,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  ERANGE,
  ESPIPE,
  type MaySleep,
} from '../contexts/index.js';
import {
  AT_EMPTY_PATH,
  AT_REMOVEDIR,
  AT_SYMLINK_FOLLOW,
  AT_SYMLINK_NOFOLLOW,
  changedMode,
  changeOwner,
  Directory,
  F_SEAL,
  IN,
  type Inode,
  inodePermission,
  isOwner,
  MAX_FILE_SIZE,
  MAY,
  mayChange,
  O_WRONLY,
  OpenDirectory,
  PipeEnd,
  RegularFile,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  SpecialFile,
  Symlink,
} from '../fs/index.js';
import {
  RLIMIT,
  readUser,
  SIGNAL,
  sendToThread,
  sentSignal,
  type Thread,
  writeUser,
} from '../process/index.js';
import { breakLease } from './file-signals.js';
import { descriptorLink } from './open.js';
import { fileOf, inodeAt, rawFileOf, userAt, userPath } from './paths.js';
import { int, offset, type Syscall, type SyscallServices, uint } from './row.js';

/** The inode that linkat names: a path, a descriptor's link in /proc, or the descriptor itself. */
function* linkSource(
  services: SyscallServices,
  thread: Thread,
  dirfd: bigint,
  path: bigint,
  flags: number,
): MaySleep<Inode | number> {
  const follow = (flags & AT_SYMLINK_FOLLOW) !== 0;
  if (follow) {
    const at = yield* userAt(services, thread, dirfd, path);
    if (typeof at === 'number' && at !== -ENOENT) return at;
    const link = typeof at === 'number' ? undefined : descriptorLink(services, at.base, at.path);
    if (link !== undefined) return link.file.inode;
  }
  return yield* inodeAt(services, thread, dirfd, path, flags, follow);
}

/** getdents64: records of 8-byte multiples. */
function* directoryEntries(
  services: SyscallServices,
  thread: Thread,
  directory: OpenDirectory,
  address: bigint,
  room: number,
): MaySleep<number> {
  const { mm, files } = services;
  const records: Uint8Array[] = [];
  let used = 0;
  let at = directory.position;
  for (const { name, inode } of directory.listing.slice(at)) {
    const text = bytesOfText(name);
    const length = (19 + text.length + 1 + 7) & ~7;
    if (used + length > room) break;
    const record = new Uint8Array(length);
    const view = new DataView(record.buffer);
    view.setBigUint64(0, BigInt(inode.ino), true);
    view.setBigUint64(8, BigInt(++at), true);
    view.setUint16(16, length, true);
    record[18] = inode.type >>> 12;
    record.set(text, 19);
    records.push(record);
    used += length;
  }
  if (records.length === 0) {
    files.notifier.inode(directory.inode, IN.ACCESS, directory.place);
    return directory.position < directory.listing.length ? -EINVAL : 0;
  }
  const all = new Uint8Array(used);
  let to = 0;
  for (const record of records) {
    all.set(record, to);
    to += record.length;
  }
  const error = yield* writeUser(mm, thread, address, all);
  if (error !== 0) return error;
  directory.inode.accessed(services.clock.realtime);
  files.notifier.inode(directory.inode, IN.ACCESS, directory.place);
  directory.position = at;
  return used;
}

function chmod({ files }: SyscallServices, inode: Inode, mode: number): number {
  const changed = mayChange(inode) || changedMode(inode, mode, files.caller);
  if (changed < 0) return changed;
  inode.mode = (inode.mode & S_IFMT) | changed;
  files.touch(inode, 'change');
  files.notifier.inode(inode, IN.ATTRIB);
  return 0;
}

function chown({ files }: SyscallServices, inode: Inode, uid: number, gid: number): number {
  const refused = mayChange(inode) || changeOwner(inode, uid, gid, files.caller);
  if (refused !== 0) return refused;
  files.touch(inode, 'change');
  if (uid !== -1 || gid !== -1) files.notifier.inode(inode, IN.ATTRIB);
  return 0;
}

/** set_fs_pwd() of a folder that can be searched. */
function changeDirectory({ files }: SyscallServices, thread: Thread, inode: Inode): number {
  if (!(inode instanceof Directory)) return -ENOTDIR;
  const refused = inodePermission(inode, MAY.EXEC, files.caller);
  if (refused === 0) thread.process.fs.cwd = inode;
  return refused;
}

function* truncate(
  { files }: SyscallServices,
  thread: Thread,
  inode: Inode,
  length: bigint,
): MaySleep<number> {
  if (inode instanceof Directory) return -EISDIR;
  if (!(inode instanceof RegularFile)) return -EINVAL;
  const size = offset(length);
  if (size === undefined) return length >> 63n === 1n ? -EINVAL : -EFBIG;
  // inode_newsize_ok().
  if (size > inode.size && size > thread.process.limits.soft(RLIMIT.FSIZE)) {
    sendToThread(thread, sentSignal(SIGNAL.SIGXFSZ, 'SI_USER', { pid: thread.process.pid, uid: 0 }));
    return -EFBIG;
  }
  const error = yield* inode.truncate(size);
  if (error !== 0) return error;
  files.touch(inode);
  files.notifier.inode(inode, IN.MODIFY);
  return 0;
}

/** FALLOC_FL_KEEP_SIZE, PUNCH_HOLE. */
const FALLOC = { KEEP_SIZE: 1, PUNCH_HOLE: 2 } as const;

/** vfs_fallocate(): what is allocated beyond the end is only promised; holes are filled when they are written. */
function* allocate(
  services: SyscallServices,
  thread: Thread,
  inode: Inode,
  mode: number,
  start: number,
  bytes: number,
): MaySleep<number> {
  if ((mode & ~(FALLOC.KEEP_SIZE | FALLOC.PUNCH_HOLE)) !== 0) return -EOPNOTSUPP;
  const punches = (mode & FALLOC.PUNCH_HOLE) !== 0;
  if (punches && (mode & FALLOC.KEEP_SIZE) === 0) return -EOPNOTSUPP;
  if (inode.type === S_IFIFO) return -ESPIPE;
  if (inode instanceof Directory) return -EISDIR;
  if (!(inode instanceof RegularFile)) return -ENODEV;
  if (start + bytes > MAX_FILE_SIZE) return -EFBIG;
  if (punches) {
    const punched = yield* inode.punchHole(start, start + bytes);
    if (punched === 0) services.files.notifier.inode(inode, IN.MODIFY);
    return punched;
  }
  const grows = start + bytes > inode.size;
  if (grows && (inode.seals & F_SEAL.GROW) !== 0) return -EPERM;
  if (grows && start + bytes - inode.size > inode.store.left) return -ENOSPC;
  if ((mode & FALLOC.KEEP_SIZE) !== 0 || !grows) {
    services.files.notifier.inode(inode, IN.MODIFY);
    return 0;
  }
  return yield* truncate(services, thread, inode, BigInt(start + bytes));
}

const UTIME_NOW = 0x3fffffffn;
const UTIME_OMIT = 0x3ffffffen;

function* setTimes(
  services: SyscallServices,
  thread: Thread,
  inode: Inode,
  address: bigint,
): MaySleep<number> {
  const now = services.clock.realtime;
  const { caller } = services.files;
  // Who may write may say that it was now; another time is the owner's to say (notify_change).
  const fixed = mayChange(inode);
  if (fixed !== 0) return fixed;
  const mayTouch = () => (isOwner(inode, caller) ? 0 : inodePermission(inode, MAY.WRITE, caller));
  if (address === 0n) {
    const refused = mayTouch();
    if (refused !== 0) return refused;
    inode.times = { access: now, modify: now, change: now };
    services.files.notifier.inode(inode, IN.ATTRIB);
    return 0;
  }
  const bytes = yield* readUser(services.mm, thread, address, 32);
  if (bytes === undefined) return -14;
  const view = new DataView(bytes.buffer);
  const times = [inode.times.access, inode.times.modify];
  const said = [view.getBigInt64(8, true), view.getBigInt64(24, true)];
  if (said.every((ns) => ns === UTIME_OMIT)) return 0;
  const refused = said.every((ns) => ns === UTIME_NOW) ? mayTouch() : isOwner(inode, caller) ? 0 : -EPERM;
  if (said.some((ns) => ns < 0n || (ns >= 1_000_000_000n && ns !== UTIME_NOW && ns !== UTIME_OMIT))) {
    return -EINVAL;
  }
  if (refused !== 0) return refused;
  for (const i of [0, 1]) {
    const ns = view.getBigInt64(16 * i + 8, true);
    if (ns === UTIME_OMIT) continue;
    if (ns === UTIME_NOW) times[i] = now;
    else times[i] = view.getBigInt64(16 * i, true) * 1_000_000_000n + ns;
  }
  inode.times = { access: times[0]!, modify: times[1]!, change: now };
  // fsnotify_change(): one of the two is as if it had been read or written.
  const [omitsAccess, omitsModify] = said.map((ns) => ns === UTIME_OMIT);
  services.files.notifier.inode(inode, omitsAccess ? IN.MODIFY : omitsModify ? IN.ACCESS : IN.ATTRIB);
  return 0;
}

function* rename(
  services: SyscallServices,
  thread: Thread,
  from: readonly [bigint, bigint],
  to: readonly [bigint, bigint],
  flags: number,
): MaySleep<number> {
  // RENAME_NOREPLACE, RENAME_EXCHANGE; a whiteout needs a layered file system.
  const exchanges = (flags & 2) !== 0;
  if ((flags & ~3) !== 0 || (exchanges && (flags & 1) !== 0)) return -EINVAL;
  const source = yield* userAt(services, thread, ...from);
  if (typeof source === 'number') return source;
  const target = yield* userAt(services, thread, ...to);
  if (typeof target === 'number') return target;
  if (exchanges) return services.files.exchange(source.base, source.path, target.base, target.path);
  return services.files.rename(source.base, source.path, target.base, target.path, (flags & 1) !== 0);
}

export const treeSyscalls: readonly Syscall[] = [
  {
    number: 17,
    name: 'getcwd',
    args: ['pointer', 'unsigned'],
    *run({ mm, files }, thread, [address, size]) {
      const path = bytesOfText(`${files.pathOf(thread.process.fs.cwd)}\0`);
      if (size < BigInt(path.length)) return -ERANGE;
      const error = yield* writeUser(mm, thread, address, path);
      return error === 0 ? path.length : error;
    },
  },
  {
    number: 33,
    name: 'mknodat',
    args: ['fd', 'string', 'octal', 'hex'],
    *run(services, thread, [dirfd, path, mode, device]) {
      const at = yield* userAt(services, thread, dirfd, path);
      if (typeof at === 'number') return at;
      const found = services.files.walk(at.base, at.path, false);
      if (typeof found === 'number') return found;
      const permissions = uint(mode) & ~thread.process.fs.umask & 0o7777;
      const type = uint(mode) & S_IFMT;
      if (type === S_IFIFO) return services.files.create(found, services.files.newFifo(permissions));
      if (type === S_IFREG || type === 0)
        return services.files.create(found, services.files.newFile(permissions, at.path, found.parent.store));
      if (type === S_IFSOCK)
        return services.files.create(
          found,
          new SpecialFile(services.files.nextInode(), S_IFSOCK | permissions, () => -ENXIO),
        );
      if (type === S_IFDIR) return -EPERM;
      if (type !== S_IFCHR && type !== S_IFBLK) return -EINVAL;
      if (!services.files.caller.makesDevices) return found.inode === undefined ? -EPERM : -EEXIST;
      return services.files.create(found, services.files.newDevice(type | permissions, uint(device)));
    },
  },
  {
    number: 34,
    name: 'mkdirat',
    args: ['fd', 'string', 'octal'],
    *run(services, thread, [dirfd, path, mode]) {
      const at = yield* userAt(services, thread, dirfd, path);
      if (typeof at === 'number') return at;
      return services.files.makeDirectory(at.base, at.path, uint(mode) & ~thread.process.fs.umask & 0o7777);
    },
  },
  {
    number: 35,
    name: 'unlinkat',
    args: ['fd', 'string', 'hex'],
    *run(services, thread, [dirfd, path, flags]) {
      if ((int(flags) & ~AT_REMOVEDIR) !== 0) return -EINVAL;
      const at = yield* userAt(services, thread, dirfd, path);
      if (typeof at === 'number') return at;
      return (int(flags) & AT_REMOVEDIR) !== 0
        ? services.files.removeDirectory(at.base, at.path)
        : services.files.unlink(at.base, at.path);
    },
  },
  {
    number: 36,
    name: 'symlinkat',
    args: ['string', 'fd', 'string'],
    *run(services, thread, [target, dirfd, path]) {
      const text = yield* userPath(services, thread, target);
      if (typeof text === 'number') return text;
      if (text === '') return -ENOENT;
      const at = yield* userAt(services, thread, dirfd, path);
      if (typeof at === 'number') return at;
      const found = services.files.walk(at.base, at.path, false);
      if (typeof found === 'number') return found;
      return services.files.create(found, new Symlink(services.files.nextInode(), text));
    },
  },
  {
    number: 37,
    name: 'linkat',
    args: ['fd', 'string', 'fd', 'string', 'hex'],
    *run(services, thread, [oldDirfd, oldPath, newDirfd, newPath, flags]) {
      const bits = int(flags);
      if ((bits & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
      const inode = yield* linkSource(services, thread, oldDirfd, oldPath, bits);
      if (typeof inode === 'number') return inode;
      const at = yield* userAt(services, thread, newDirfd, newPath);
      if (typeof at === 'number') return at;
      if (inode instanceof Directory) return -EPERM;
      // What has no name and never had one may get it; what lost its last one may not.
      const isUnnamed = inode instanceof RegularFile && inode.linkable;
      if (inode.links === 0 && !isUnnamed) return -ENOENT;
      const found = services.files.walk(at.base, at.path, false);
      if (typeof found === 'number') return found;
      const error = services.files.link(found, inode, true);
      if (error === 0) inode.links++;
      if (isUnnamed) inode.linkable = false;
      return error;
    },
  },
  {
    number: 38,
    name: 'renameat',
    args: ['fd', 'string', 'fd', 'string'],
    *run(services, thread, [oldDirfd, oldPath, newDirfd, newPath]) {
      return yield* rename(services, thread, [oldDirfd, oldPath], [newDirfd, newPath], 0);
    },
  },
  {
    number: 45,
    name: 'truncate',
    args: ['string', 'int'],
    *run(services, thread, [path, length]) {
      const inode = yield* inodeAt(services, thread, -100n, path, 0, true);
      if (typeof inode === 'number') return inode;
      const isFile = inode instanceof RegularFile;
      const refused = isFile ? inodePermission(inode, MAY.WRITE, services.files.caller) : 0;
      const broken = refused || (yield* breakLease(services, thread, inode, O_WRONLY));
      return broken !== 0 ? broken : yield* truncate(services, thread, inode, length);
    },
  },
  {
    number: 46,
    name: 'ftruncate',
    args: ['fd', 'int'],
    *run(services, thread, [fd, length]) {
      const file = fileOf(thread, fd);
      if (file === undefined) return -EBADF;
      return file.writable ? yield* truncate(services, thread, file.inode, length) : -EINVAL;
    },
  },
  {
    number: 47,
    name: 'fallocate',
    args: ['fd', 'hex', 'int', 'int'],
    *run(services, thread, [fd, mode, from, length]) {
      const file = fileOf(thread, fd);
      if (file?.writable !== true) return -EBADF;
      const start = offset(from);
      const bytes = offset(length);
      if (start === undefined || bytes === undefined || bytes === 0) return -EINVAL;
      return yield* allocate(services, thread, file.inode, int(mode), start, bytes);
    },
  },
  {
    number: 49,
    name: 'chdir',
    args: ['string'],
    *run(services, thread, [path]) {
      const inode = yield* inodeAt(services, thread, -100n, path, 0, true);
      return typeof inode === 'number' ? inode : changeDirectory(services, thread, inode);
    },
  },
  {
    number: 50,
    name: 'fchdir',
    args: ['fd'],
    run(services, thread, [fd]) {
      const file = rawFileOf(thread, fd);
      return file === undefined ? -EBADF : changeDirectory(services, thread, file.inode);
    },
  },
  {
    number: 52,
    name: 'fchmod',
    args: ['fd', 'octal'],
    run(services, thread, [fd, mode]) {
      const file = fileOf(thread, fd);
      if (file === undefined) return -EBADF;
      return chmod(services, file.inode, uint(mode));
    },
  },
  {
    number: 53,
    name: 'fchmodat',
    args: ['fd', 'string', 'octal'],
    *run(services, thread, [dirfd, path, mode]) {
      const inode = yield* inodeAt(services, thread, dirfd, path, 0, true);
      return typeof inode === 'number' ? inode : chmod(services, inode, uint(mode));
    },
  },
  {
    number: 452,
    name: 'fchmodat2',
    args: ['fd', 'string', 'octal', 'hex'],
    *run(services, thread, [dirfd, path, mode, flags]) {
      if ((int(flags) & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
      const follow = (int(flags) & AT_SYMLINK_NOFOLLOW) === 0;
      const inode = yield* inodeAt(services, thread, dirfd, path, int(flags), follow);
      if (typeof inode === 'number') return inode;
      // The mode of a symbolic link is nobody's to change.
      return inode instanceof Symlink ? -EOPNOTSUPP : chmod(services, inode, uint(mode));
    },
  },
  {
    number: 54,
    name: 'fchownat',
    args: ['fd', 'string', 'int', 'int', 'hex'],
    *run(services, thread, [dirfd, path, uid, gid, flags]) {
      const follow = (int(flags) & AT_SYMLINK_NOFOLLOW) === 0;
      const inode = yield* inodeAt(services, thread, dirfd, path, int(flags), follow);
      return typeof inode === 'number' ? inode : chown(services, inode, int(uid), int(gid));
    },
  },
  {
    number: 55,
    name: 'fchown',
    args: ['fd', 'int', 'int'],
    run(services, thread, [fd, uid, gid]) {
      const file = fileOf(thread, fd);
      if (file === undefined) return -EBADF;
      return chown(services, file.inode, int(uid), int(gid));
    },
  },
  {
    number: 61,
    name: 'getdents64',
    args: ['fd', 'pointer', 'unsigned'],
    *run(services, thread, [fd, address, room]) {
      const file = fileOf(thread, fd);
      if (file === undefined) return -EBADF;
      if (!(file instanceof OpenDirectory)) return -ENOTDIR;
      return yield* directoryEntries(services, thread, file, address, Math.min(uint(room), 1 << 20));
    },
  },
  {
    number: 78,
    name: 'readlinkat',
    args: ['fd', 'string', 'pointer', 'unsigned'],
    *run(services, thread, [dirfd, path, address, room]) {
      if (int(room) <= 0) return -EINVAL;
      const inode = yield* inodeAt(services, thread, dirfd, path, AT_EMPTY_PATH, false);
      if (typeof inode === 'number') return inode;
      if (!(inode instanceof Symlink)) return -EINVAL;
      const text = bytesOfText(inode.target).subarray(0, int(room));
      const error = yield* writeUser(services.mm, thread, address, text);
      return error === 0 ? text.length : error;
    },
  },
  {
    number: 88,
    name: 'utimensat',
    args: ['fd', 'string', 'pointer', 'hex'],
    *run(services, thread, [dirfd, path, times, flags]) {
      if (path === 0n) {
        const file = fileOf(thread, dirfd);
        return file === undefined ? -EBADF : yield* setTimes(services, thread, file.inode, times);
      }
      const follow = (int(flags) & AT_SYMLINK_NOFOLLOW) === 0;
      const inode = yield* inodeAt(services, thread, dirfd, path, int(flags), follow);
      return typeof inode === 'number' ? inode : yield* setTimes(services, thread, inode, times);
    },
  },
  {
    number: 166,
    name: 'umask',
    args: ['octal'],
    run(_services, thread, [mask]) {
      const { fs } = thread.process;
      const before = fs.umask;
      fs.umask = uint(mask) & 0o777;
      return before;
    },
  },
  {
    number: 276,
    name: 'renameat2',
    args: ['fd', 'string', 'fd', 'string', 'hex'],
    *run(services, thread, [oldDirfd, oldPath, newDirfd, newPath, flags]) {
      return yield* rename(services, thread, [oldDirfd, oldPath], [newDirfd, newPath], int(flags));
    },
  },
  {
    number: 223,
    name: 'fadvise64',
    args: ['fd', 'int', 'int', 'int'],
    run(_services, thread, [fd, , , advice]) {
      const file = fileOf(thread, fd);
      if (file === undefined) return -EBADF;
      if (file instanceof PipeEnd) return -ESPIPE;
      // POSIX_FADV_*: hints, of which there are six.
      return uint(advice) > 5 ? -EINVAL : 0;
    },
  },
];
