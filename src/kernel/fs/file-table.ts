/**
 * The descriptors of a process, and what else of files belongs to it: working directory, umask.
 *
 * Ref. fs/file.c (struct files_struct), struct fs_struct.
 */
import { EBADF, EINVAL, EMFILE } from '../contexts/index.js';
import type { Directory } from './inode.js';
import type { OpenFile } from './open-file.js';

/** RLIMIT_NOFILE's default. */
export const MOST_DESCRIPTORS = 1024;

interface Descriptor {
  readonly file: OpenFile;
  closeOnExec: boolean;
}

export class FileTable {
  readonly #descriptors: (Descriptor | undefined)[] = [];
  /** Processes that share this table. */
  users = 1;
  /** RLIMIT_NOFILE. */
  limit = MOST_DESCRIPTORS;

  get(fd: number): OpenFile | undefined {
    return this.#descriptors[fd]?.file;
  }

  /** One more than the highest number ever used. */
  get size(): number {
    return this.#descriptors.length;
  }

  /** Open descriptors, in order. */
  get numbers(): number[] {
    return this.#descriptors.flatMap((descriptor, fd) => (descriptor === undefined ? [] : [fd]));
  }

  /** The lowest free descriptor from `lowest`, or -EMFILE; the table has the file from now on. */
  add(file: OpenFile, closeOnExec: boolean, lowest = 0): number {
    let fd = lowest;
    while (this.#descriptors[fd] !== undefined) fd++;
    if (fd >= this.limit) {
      if (file.users === 0) file.release();
      return -EMFILE;
    }
    this.#set(fd, file, closeOnExec);
    return fd;
  }

  #set(fd: number, file: OpenFile, closeOnExec: boolean): void {
    while (this.#descriptors.length < fd) this.#descriptors.push(undefined);
    file.users++;
    this.#descriptors[fd] = { file, closeOnExec };
  }

  /** dup2() to `fd`, whatever was there is closed. */
  put(fd: number, file: OpenFile, closeOnExec: boolean): number {
    if (fd < 0 || fd >= this.limit) return -EBADF;
    // Held first: it may be the last descriptor of the same file.
    file.users++;
    this.close(fd);
    file.users--;
    this.#set(fd, file, closeOnExec);
    return fd;
  }

  close(fd: number): number {
    const descriptor = this.#descriptors[fd];
    if (descriptor === undefined) return -EBADF;
    this.#descriptors[fd] = undefined;
    // locks_remove_posix(): any descriptor of the file will do.
    descriptor.file.inode.locks?.unlock('posix', this);
    descriptor.file.flush(this);
    letGo(descriptor.file);
    return 0;
  }

  closeOnExec(fd: number): boolean | undefined {
    return this.#descriptors[fd]?.closeOnExec;
  }

  setCloseOnExec(fd: number, on: boolean): number {
    const descriptor = this.#descriptors[fd];
    if (descriptor === undefined) return -EBADF;
    descriptor.closeOnExec = on;
    return 0;
  }

  /** execve: descriptors marked so are closed. */
  execClose(): void {
    for (const fd of this.numbers) if (this.closeOnExec(fd) === true) this.close(fd);
  }

  /** fork: the same open files under the same numbers. */
  clone(): FileTable {
    const copy = new FileTable();
    copy.limit = this.limit;
    this.#descriptors.forEach((descriptor, fd) => {
      if (descriptor !== undefined) copy.#set(fd, descriptor.file, descriptor.closeOnExec);
    });
    return copy;
  }

  /** One user less; the last closes everything. */
  drop(): void {
    if (--this.users > 0) return;
    for (const fd of this.numbers) this.close(fd);
  }
}

/** fput(). */
export function letGo(file: OpenFile): void {
  if (--file.users > 0) return;
  const { locks } = file.inode;
  locks?.unlock('flock', file);
  locks?.unlock('ofd', file);
  for (const told of file.onRelease) told();
  file.release();
}

export class FsContext {
  cwd: Directory;
  /** What `/` is, and `..` does not leave. */
  root: Directory;
  umask = 0o022;

  constructor(cwd: Directory, root: Directory = cwd) {
    this.cwd = cwd;
    this.root = root;
  }

  clone(): FsContext {
    const copy = new FsContext(this.cwd, this.root);
    copy.umask = this.umask;
    return copy;
  }
}

/** Flags of O_CLOEXEC's kind that dup3 and pipe2 accept. */
export const checkFlags = (flags: number, allowed: number): number =>
  (flags & ~allowed) === 0 ? 0 : -EINVAL;
