/**
 * open, openat and openat2.
 *
 * Ref. fs/open.c (do_sys_openat2, build_open_flags), fs/proc/fd.c (proc_fd_link).
 */
import { E2BIG, EACCES, EFAULT, EINVAL, ELOOP, ENOENT, EXDEV, type MaySleep } from '../contexts/index.js';
import {
  Directory,
  HostInput,
  HostOutput,
  O_ACCMODE,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_LARGEFILE,
  O_PATH,
  O_RDONLY,
  O_TMPFILE,
  type OpenFile,
  PipeEnd,
  Symlink,
} from '../fs/index.js';
import { DescriptorLink, readUser, type Thread } from '../process/index.js';
import { breakLease } from './file-signals.js';
import { type At, userAt } from './paths.js';
import { int, type Syscall, type SyscallServices, uint } from './row.js';

function* open(
  services: SyscallServices,
  thread: Thread,
  dirfd: bigint,
  path: bigint,
  flags: number,
  mode: number,
): MaySleep<number> {
  const at = yield* userAt(services, thread, dirfd, path);
  if (typeof at === 'number') return at;
  const { files, fs } = thread.process;
  // /proc/self/fd/N and what links to it open the descriptor's own file, which may have no path.
  const link = descriptorLink(services, at.base, at.path);
  const made = flags & ~O_CLOEXEC;
  if (!services.files.leases.none && (flags & O_PATH) === 0) {
    const inode = link?.file.inode ?? services.files.lookup(at.base, at.path);
    const error = typeof inode === 'number' ? 0 : yield* breakLease(services, thread, inode, flags);
    if (error !== 0) return error;
  }
  const file =
    link === undefined
      ? yield* services.files.open(at.base, at.path, made, mode & ~fs.umask & 0o7777)
      : yield* reopen(services, link.file, made);
  if (typeof file === 'number') return file;
  if (file instanceof PipeEnd) {
    const error = yield* file.waitForPartner(thread);
    if (error < 0) {
      file.release();
      return error;
    }
  }
  return files.add(file, (flags & O_CLOEXEC) !== 0);
}

/** proc_fd_link(): what a descriptor stands for is opened anew, with a position and a mode of its own. */
function* reopen(services: SyscallServices, file: OpenFile, flags: number): MaySleep<OpenFile | number> {
  const { inode } = file;
  if (file instanceof PipeEnd && (flags & O_PATH) === 0) {
    return services.files.mayOpen(inode, flags) || new PipeEnd(inode, flags, file.path, file.pipe);
  }
  // The host's streams are there once.
  if (file instanceof HostInput || file instanceof HostOutput) {
    return (flags & O_ACCMODE) === O_RDONLY || file.writable ? file : -EACCES;
  }
  return yield* services.files.openInode(inode, flags, file.path);
}

/** struct open_how: flags, mode, how the path is resolved. */
const OPEN_HOW_BYTES = 24;
const RESOLVE = {
  NO_XDEV: 1,
  NO_MAGICLINKS: 2,
  NO_SYMLINKS: 4,
  BENEATH: 8,
  IN_ROOT: 16,
  CACHED: 32,
} as const;
/** VALID_OPEN_FLAGS. */
const OPEN_FLAGS = 0o37777703;

/** openat2(2). */
function* openHow(
  services: SyscallServices,
  thread: Thread,
  dirfd: bigint,
  path: bigint,
  how: bigint,
  size: bigint,
): MaySleep<number> {
  if (size < BigInt(OPEN_HOW_BYTES)) return -EINVAL;
  if (size > 4096n) return -E2BIG;
  const bytes = yield* readUser(services.mm, thread, how, Number(size));
  if (bytes === undefined) return -EFAULT;
  if (bytes.subarray(OPEN_HOW_BYTES).some((byte) => byte !== 0)) return -E2BIG;
  const view = new DataView(bytes.buffer);
  const flags = view.getBigUint64(0, true);
  const mode = view.getBigUint64(8, true);
  const resolve = Number(view.getBigUint64(16, true) & 0xffffffffn);
  const makes = (Number(flags) & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) !== 0;
  if ((flags & ~BigInt(OPEN_FLAGS)) !== 0n || view.getUint32(20, true) !== 0 || resolve >= 64) return -EINVAL;
  if (makes ? mode > 0o7777n : mode !== 0n) return -EINVAL;
  const at = yield* userAt(services, thread, dirfd, path);
  if (typeof at === 'number') return at;
  const refused = resolveRefused(services, at, resolve);
  if (refused !== 0) return refused;
  return yield* open(services, thread, dirfd, path, Number(flags) & ~O_LARGEFILE, Number(mode));
}

/** Links of /proc/PID that lead where they say without a path. */
const MAGIC: ReadonlySet<string> = new Set(['cwd', 'exe', 'root']);

/** Links on one path; opening says so when there are more. */
const MOST_LINKS = 40;
const partsOf = (path: string): string[] => path.split('/').filter((part) => part !== '');

/** What RESOLVE_* forbids of a path: 0, -ELOOP or -EXDEV. */
function resolveRefused({ files }: SyscallServices, { base, path }: At, resolve: number): number {
  if ((resolve & (RESOLVE.BENEATH | RESOLVE.IN_ROOT)) !== 0 && path.startsWith('/')) return -EXDEV;
  let place: Directory = path.startsWith('/') ? files.root : base;
  let depth = 0;
  let links = 0;
  const rest = partsOf(path);
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '..') depth--;
    else if (name !== '.') depth++;
    if (depth < 0 && (resolve & (RESOLVE.BENEATH | RESOLVE.IN_ROOT)) !== 0) return -EXDEV;
    const inode = name === '..' ? place.parent : name === '.' ? place : place.lookup(name);
    const isMagic = inode instanceof DescriptorLink || (place.fixed && MAGIC.has(name));
    if (isMagic && (resolve & RESOLVE.NO_MAGICLINKS) !== 0) return -ELOOP;
    if (inode instanceof Symlink && (resolve & RESOLVE.NO_SYMLINKS) !== 0) return -ELOOP;
    // Beneath a folder no link is followed; a magic one leads where its path need not.
    if (inode instanceof Symlink && (resolve & (RESOLVE.BENEATH | RESOLVE.IN_ROOT)) !== 0) return -EXDEV;
    if (isMagic) return (resolve & RESOLVE.NO_XDEV) === 0 ? 0 : -EXDEV;
    if (inode instanceof Symlink) {
      if (++links > MOST_LINKS) return 0;
      const next = inode.target.startsWith('/') ? files.root : place;
      if ((resolve & RESOLVE.NO_XDEV) !== 0 && next.fixed !== place.fixed) return -EXDEV;
      place = next;
      rest.unshift(...partsOf(inode.target));
      continue;
    }
    if (!(inode instanceof Directory)) return 0;
    if ((resolve & RESOLVE.NO_XDEV) !== 0 && (inode.store !== place.store || inode.fixed !== place.fixed))
      return -EXDEV;
    place = inode;
  }
  return 0;
}

/** The link of /proc/PID/fd that a path ends at, through other links. */
export function descriptorLink(
  { files }: SyscallServices,
  base: Directory,
  path: string,
): DescriptorLink | undefined {
  let inode = files.lookup(base, path, false);
  for (let links = 0; links < 8 && inode instanceof Symlink; links++) {
    if (inode instanceof DescriptorLink) return inode;
    inode = inode.target.startsWith('/') ? files.lookup(files.root, inode.target, false) : -ENOENT;
  }
  return undefined;
}

export const openSyscalls: readonly Syscall[] = [
  {
    number: 56,
    name: 'openat',
    args: ['fd', 'string', 'hex', 'octal'],
    *run(services, thread, [dirfd, path, flags, mode]) {
      return yield* open(services, thread, dirfd, path, int(flags) & ~O_LARGEFILE, uint(mode));
    },
  },
  {
    number: 437,
    name: 'openat2',
    args: ['fd', 'string', 'pointer', 'unsigned'],
    *run(services, thread, [dirfd, path, how, size]) {
      return yield* openHow(services, thread, dirfd, path, how, size);
    },
  },
];
