/**
 * What calls with paths and descriptors share: user strings, the folder a relative path starts from.
 */
import { textOfBytes } from '../../base/index.js';
import { EBADF, ENOENT, ENOTDIR, type MaySleep } from '../contexts/index.js';
import { AT_EMPTY_PATH, AT_FDCWD, Directory, type Inode, O_PATH, type OpenFile } from '../fs/index.js';
import { readString, type Thread } from '../process/index.js';
import { int, type SyscallServices } from './row.js';

/** fdget_raw(): any descriptor's file, also one that stands for a path alone. */
export const rawFileOf = (thread: Thread, fd: bigint): OpenFile | undefined =>
  thread.process.files.get(int(fd));

/** fdget(): the file of a descriptor that is more than a path. */
export function fileOf(thread: Thread, fd: bigint): OpenFile | undefined {
  const file = rawFileOf(thread, fd);
  return file === undefined || (file.flags & O_PATH) !== 0 ? undefined : file;
}

/** getname(): the path as text, or -EFAULT, -ENAMETOOLONG. */
export function* userPath(
  { mm }: SyscallServices,
  thread: Thread,
  address: bigint,
): MaySleep<string | number> {
  const bytes = yield* readString(mm, thread, address);
  return typeof bytes === 'number' ? bytes : textOfBytes(bytes);
}

/** The folder that `dirfd` names for a path; an absolute path needs none. */
export function baseOf(thread: Thread, dirfd: bigint, path: string): Directory | number {
  const fd = int(dirfd);
  if (path.startsWith('/') || fd === AT_FDCWD) return thread.process.fs.cwd;
  const file = thread.process.files.get(fd);
  if (file === undefined) return -EBADF;
  return file.inode instanceof Directory ? file.inode : -ENOTDIR;
}

/** Where a path starts and what it says. */
export interface At {
  readonly base: Directory;
  readonly path: string;
}

export function* userAt(
  services: SyscallServices,
  thread: Thread,
  dirfd: bigint,
  address: bigint,
): MaySleep<At | number> {
  const path = yield* userPath(services, thread, address);
  if (typeof path === 'number') return path;
  const base = baseOf(thread, dirfd, path);
  return typeof base === 'number' ? base : { base, path };
}

/** The inode of an *at call; AT_EMPTY_PATH takes the descriptor itself. */
export function* inodeAt(
  services: SyscallServices,
  thread: Thread,
  dirfd: bigint,
  address: bigint,
  flags: number,
  follow: boolean,
  caller = services.files.caller,
): MaySleep<Inode | number> {
  const path = yield* userPath(services, thread, address);
  if (typeof path === 'number') return path;
  if (path === '') {
    if ((flags & AT_EMPTY_PATH) === 0) return -ENOENT;
    if (int(dirfd) === AT_FDCWD) return thread.process.fs.cwd;
    return thread.process.files.get(int(dirfd))?.inode ?? -EBADF;
  }
  const base = baseOf(thread, dirfd, path);
  return typeof base === 'number' ? base : services.files.lookup(base, path, follow, caller);
}
