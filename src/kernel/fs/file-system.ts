/**
 * The file system: one tree in memory, perhaps with a folder of the host beneath it, and the walk from
 * a path to an inode.
 *
 * Ref. fs/namei.c (path_lookupat, may_create, may_delete, may_open, vfs_rename), path_resolution(7).
 */

import type { Random } from '../../base/index.js';
import { bytesOfText } from '../../base/index.js';
import {
  type Contexts,
  EACCES,
  EBUSY,
  EEXIST,
  EINVAL,
  EISDIR,
  ELOOP,
  ENAMETOOLONG,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  ENXIO,
  EPERM,
  EXDEV,
  type MaySleep,
} from '../contexts/index.js';
import type { MemoryManager } from '../mm/index.js';
import {
  deviceNumber,
  O_ACCMODE,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOATIME,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
  S_IFCHR,
  S_IFIFO,
  S_IFMT,
} from './abi.js';
import { FileStore } from './file-store.js';
import { type HostFolder, HostSource } from './host-tree.js';
import { Directory, type DirectorySource, type Inode, RegularFile, SpecialFile, Symlink } from './inode.js';
import { IN, Notifier } from './inotify.js';
import { Leases } from './leases.js';
import { FileLocks } from './locks.js';
import { MountTable } from './mounts.js';
import { MqueueFile, MqueueInode, Mqueues } from './mqueue.js';
import { OpenDirectory, type OpenFile, PathFile, RegularOpenFile } from './open-file.js';
import {
  type FileCaller,
  initOwner,
  inodePermission,
  isOwner,
  MAY,
  mayDelete,
  PRIVILEGED,
} from './permissions.js';
import { Pipe, PipeEnd } from './pipe.js';
import { DeviceFile, HostInput, HostOutput, type InputStream, type OutputStream } from './streams.js';

/** st_dev of the first file system that is mounted later: those before are the root, /proc, /sys and anonymous. */
const FIRST_MOUNTED_DEVICE = 0x20;
/** Symbolic links on one path. */
const MOST_LINKS = 40;
const NAME_MAX = 255;

/** Where a walk ended. */
export interface Found {
  readonly parent: Directory;
  /** The last component; empty for the root and for `.`, `..`. */
  readonly name: string;
  readonly inode: Inode | undefined;
  /** The path ended in a slash: only a directory will do. */
  readonly wantsDirectory: boolean;
}

export interface FileSystemOptions {
  readonly contexts: Contexts;
  readonly mm: MemoryManager;
  /** Bytes that files in memory may take. */
  readonly quota: number;
  readonly random: Random;
  readonly host?: HostFolder;
  /** Nanoseconds since 1970. */
  readonly now: () => bigint;
  /** chroot(2): where paths of who is running begin; left out, at the root. */
  readonly currentRoot?: () => Directory | undefined;
  /** As whom files are used; left out, or undefined: the kernel's own work. */
  readonly currentCaller?: () => FileCaller | undefined;
  /** Size of the simulated disk whose file system is at /mnt; left out, there is none. */
  readonly diskBytes?: number;
}

export class FileSystem {
  readonly root: Directory;
  readonly store: FileStore;
  readonly mounts: MountTable;
  /** Of /mnt, where there is a disk. */
  readonly disk: FileStore | undefined;
  readonly locks = new FileLocks();
  readonly leases = new Leases();
  /** fs.pipe-max-size. */
  readonly pipeLimits = { most: 1 << 20 };
  readonly notifier = new Notifier();
  readonly mqueues: Mqueues;
  readonly #random: Random;
  readonly #now: () => bigint;
  readonly #currentRoot: () => Directory | undefined;
  readonly #currentCaller: () => FileCaller | undefined;
  /** Of every tmpfs that was ever mounted: files may outlive their mount. */
  readonly #mounted = new Set<FileStore>();
  #nextInode = 1;
  /** st_dev of the next tmpfs. */
  #nextDevice = FIRST_MOUNTED_DEVICE;

  constructor(options: FileSystemOptions) {
    this.store = new FileStore(options.contexts, options.mm, options.quota, options.now);
    this.#random = options.random;
    this.#now = options.now;
    this.#currentRoot = options.currentRoot ?? (() => undefined);
    this.#currentCaller = options.currentCaller ?? (() => undefined);
    const { host } = options;
    const source =
      host &&
      new HostSource(
        host,
        '',
        this.store,
        () => this.nextInode(),
        () => this.root,
      );
    this.root = new Directory(this.nextInode(), 0o755, undefined, source, false, this.store);
    for (const name of ['dev', 'proc', 'sys', 'tmp']) this.makeDirectoryAt(name);
    const { diskBytes = 0 } = options;
    if (diskBytes > 0) {
      this.disk = new FileStore(options.contexts, options.mm, diskBytes, options.now, true);
      this.root.add('mnt', new Directory(this.nextInode(), 0o1777, this.root, undefined, false, this.disk));
    }
    this.mounts = new MountTable(
      (bytes, huge) => {
        const store = new FileStore(options.contexts, options.mm, bytes, options.now);
        store.huge = huge;
        store.device = this.#nextDevice++;
        this.#mounted.add(store);
        return store;
      },
      () => this.nextInode(),
      options.quota,
    );
    this.mqueues = new Mqueues(new Directory(this.nextInode(), 0o1777, undefined));
    this.#makeDevices();
  }

  /** Whether `flush` has something to do. */
  get pending(): boolean {
    return (
      this.store.pending || this.disk?.pending === true || [...this.#mounted].some(({ pending }) => pending)
    );
  }

  /** Gives back what lost its last user (delayed_fput). */
  *flush(): MaySleep<void> {
    yield* this.store.flush();
    if (this.disk !== undefined) yield* this.disk.flush();
    for (const store of this.#mounted) {
      yield* store.flush();
      const isEmpty = store.left >= store.capacity && !store.pending;
      if (isEmpty && !this.mounts.mounts.some((mount) => mount.store === store)) this.#mounted.delete(store);
    }
  }

  nextInode(): number {
    return this.#nextInode++;
  }

  /** A directory under the root, whatever the host's folder has there. */
  makeDirectoryAt(name: string, source?: DirectorySource): Directory {
    const mode = name === 'tmp' ? 0o1777 : source === undefined ? 0o755 : 0o555;
    const directory = new Directory(this.nextInode(), mode, this.root, source, source !== undefined);
    this.root.add(name, directory);
    return directory;
  }

  #makeDevices(): void {
    const dev = this.root.lookup('dev') as Directory;
    // What every user space makes of /proc/self/fd.
    dev.add('fd', new Symlink(this.nextInode(), '/proc/self/fd'));
    for (const [fd, name] of ['stdin', 'stdout', 'stderr'].entries()) {
      dev.add(name, new Symlink(this.nextInode(), `/proc/self/fd/${fd}`));
    }
    const kinds = [
      ['null', 'null', 3],
      ['zero', 'zero', 5],
      ['full', 'full', 7],
      ['random', 'random', 8],
      ['urandom', 'random', 9],
    ] as const;
    for (const [name, kind, minor] of kinds) {
      dev.add(
        name,
        new SpecialFile(
          this.nextInode(),
          S_IFCHR | 0o666,
          (flags, inode) => new DeviceFile(inode, flags, `/dev/${name}`, kind, this.#random),
          deviceNumber(1, minor),
        ),
      );
    }
    dev.add('fd', new Symlink(this.nextInode(), '/proc/self/fd'));
    for (const [name, fd] of [
      ['stdin', 0],
      ['stdout', 1],
      ['stderr', 2],
    ] as const) {
      dev.add(name, new Symlink(this.nextInode(), `/proc/self/fd/${fd}`));
    }
    dev.add('shm', new Directory(this.nextInode(), 0o1777, dev));
    dev.add('mqueue', this.mqueues.root);
  }

  /** The files behind descriptors 0, 1 and 2 of the first process. */
  standardStreams(input: InputStream | undefined, out: OutputStream, err: OutputStream): OpenFile[] {
    const stream = () => new SpecialFile(this.nextInode(), S_IFIFO | 0o600, () => -ENXIO);
    return [new HostInput(stream(), input), new HostOutput(stream(), out), new HostOutput(stream(), err)];
  }

  /** As whom files are used now. */
  get caller(): FileCaller {
    return this.#currentCaller() ?? PRIVILEGED;
  }

  touch(inode: Inode, which: 'modify' | 'change' | 'access' = 'modify'): void {
    const now = this.#now();
    if (which === 'access') inode.times.access = now;
    else inode.times.change = now;
    if (which === 'modify') inode.times.modify = now;
  }

  // ---- walking ---------------------------------------------------------------------------------------

  /** The inode at a path, or a negative errno. */
  lookup(base: Directory, path: string, follow = true, caller = this.caller): Inode | number {
    const found = this.walk(base, path, follow, caller);
    if (typeof found === 'number') return found;
    return found.inode ?? -ENOENT;
  }

  /**
   * Walks a path; the last component need not exist.
   *
   * @param follow a symbolic link in the last place is followed too.
   * @param caller who must be allowed to search the folders on the way.
   */
  walk(base: Directory, path: string, follow: boolean, caller = this.caller): Found | number {
    if (path === '') return -ENOENT;
    let links = 0;
    const root = this.#currentRoot() ?? this.root;
    let at = path.startsWith('/') ? root : base;
    const rest = path.split('/').filter((part) => part !== '');
    let wantsDirectory = path.endsWith('/');
    if (rest.length === 0) return { parent: at, name: '', inode: at, wantsDirectory };
    for (;;) {
      const name = rest.shift()!;
      const last = rest.length === 0;
      if (bytesOfText(name).length > NAME_MAX) return -ENAMETOOLONG;
      if (inodePermission(at, MAY.EXEC, caller) !== 0) return -EACCES;
      if (name === '.' || name === '..') {
        at = name === '.' || at === root ? at : at.parent;
        if (last) return { parent: at.parent, name: '', inode: at, wantsDirectory };
        continue;
      }
      const inode = at.lookup(name);
      if (inode instanceof Symlink && (!last || follow || wantsDirectory)) {
        if (++links > MOST_LINKS) return -ELOOP;
        const { target } = inode;
        if (target.startsWith('/')) at = root;
        rest.unshift(...target.split('/').filter((part) => part !== ''));
        if (last && target.endsWith('/')) wantsDirectory = true;
        if (rest.length === 0) return { parent: at, name: '', inode: at, wantsDirectory };
        if (rest.length > 4096) return -ENAMETOOLONG;
        continue;
      }
      if (last) {
        if (wantsDirectory && inode !== undefined && !(inode instanceof Directory)) return -ENOTDIR;
        if (this.notifier.active && inode !== undefined) inode.place = { parent: at, name };
        return { parent: at, name, inode, wantsDirectory };
      }
      if (inode === undefined) return -ENOENT;
      if (!(inode instanceof Directory)) return -ENOTDIR;
      at = inode;
    }
  }

  /** The absolute path of a directory. */
  pathOf(directory: Directory): string {
    const parts: string[] = [];
    const root = this.#currentRoot() ?? this.root;
    for (let at = directory; at !== at.parent && at !== root; at = at.parent) {
      const name = at.parent.names().find((each) => at.parent.lookup(each) === at);
      if (name === undefined) return '(unreachable)';
      parts.unshift(name);
    }
    return `/${parts.join('/')}`;
  }

  // ---- opening ---------------------------------------------------------------------------------------

  /** open(2). `mode` is that of a new file, umask applied. */
  *open(base: Directory, path: string, flags: number, mode: number): MaySleep<OpenFile | number> {
    const creating = (flags & O_CREAT) !== 0;
    const exclusive = creating && (flags & O_EXCL) !== 0;
    if ((flags & O_TMPFILE) === O_TMPFILE) return this.#openTemporary(base, path, flags, mode);
    const found = this.walk(base, path, !exclusive && (flags & O_NOFOLLOW) === 0);
    if (typeof found === 'number') return found;
    let { inode } = found;
    let made = false;
    if (inode === undefined) {
      if (!creating) return -ENOENT;
      if (found.wantsDirectory) return -EISDIR;
      const file = this.newFile(mode, this.#displayPath(found), found.parent.store);
      const error = this.create(found, file);
      if (error !== 0) return error;
      inode = file;
      made = true;
    } else if (exclusive) {
      return -EEXIST;
    }
    const { parent, name } = found;
    if ((flags & O_TRUNC) !== 0 && !made) inode.place = { parent, name };
    const file = yield* this.openInode(inode, flags, this.#displayPath(found), made);
    if (typeof file === 'object') this.#opened(file, name === '' ? undefined : { parent, name });
    return file;
  }

  /** fsnotify_open(), and fsnotify_close() when the last user is gone. */
  #opened(file: OpenFile, place: Inode['place']): void {
    if ((file.flags & O_PATH) !== 0) return;
    file.place = place;
    this.notifier.inode(file.inode, IN.OPEN, place);
    file.onRelease.add(() => {
      this.notifier.inode(file.inode, file.writable ? IN.CLOSE_WRITE : IN.CLOSE_NOWRITE, place);
    });
  }

  #displayPath({ parent, name }: Found): string {
    const folder = this.pathOf(parent);
    if (name === '') return folder;
    return folder === '/' ? `/${name}` : `${folder}/${name}`;
  }

  #openTemporary(base: Directory, path: string, flags: number, mode: number): OpenFile | number {
    if ((flags & O_ACCMODE) === O_RDONLY) return -EINVAL;
    const found = this.lookup(base, path);
    if (typeof found === 'number') return found;
    if (!(found instanceof Directory)) return -ENOTDIR;
    const { caller } = this;
    const refused = inodePermission(found, MAY.WRITE | MAY.EXEC, caller);
    if (refused !== 0) return refused;
    const file = this.newFile(mode, '/tmp/#1 (deleted)', found.store);
    initOwner(file, found, caller);
    file.links = 0;
    file.linkable = (flags & O_EXCL) === 0;
    return new RegularOpenFile(file, flags & ~(O_EXCL | O_TRUNC), '/tmp/#1 (deleted)');
  }

  /** Opens what was found. */
  *openInode(inode: Inode, flags: number, path: string, made = false): MaySleep<OpenFile | number> {
    const kept = flags & ~(O_CREAT | O_EXCL | O_TRUNC);
    if ((flags & O_DIRECTORY) !== 0 && !(inode instanceof Directory)) return -ENOTDIR;
    if ((flags & O_PATH) !== 0) return new PathFile(inode, kept, path);
    if (inode instanceof Symlink) return -ELOOP;
    if (!made) {
      const refused = this.mayOpen(inode, flags);
      if (refused !== 0) return refused;
    }
    if (inode instanceof Directory) {
      if ((flags & O_ACCMODE) !== O_RDONLY || (flags & O_CREAT) !== 0) return -EISDIR;
      return new OpenDirectory(inode, kept, path);
    }
    if (inode instanceof RegularFile) {
      if ((flags & O_TRUNC) !== 0 && !made && (flags & O_ACCMODE) !== O_RDONLY) {
        const error = yield* inode.truncate(0);
        if (error !== 0) return error;
        this.touch(inode);
        this.notifier.inode(inode, IN.MODIFY);
      }
      return new RegularOpenFile(inode, kept, path);
    }
    if (inode instanceof SpecialFile) return inode.open(kept, inode);
    if (inode instanceof MqueueInode) return new MqueueFile(inode, kept, path);
    return -ENXIO;
  }

  /** may_open(): O_TRUNC writes; 3 is for reading and writing here too. */
  mayOpen(inode: Inode, flags: number): number {
    const { caller } = this;
    const mode = flags & O_ACCMODE;
    const reads = mode === O_WRONLY ? 0 : MAY.READ;
    const writes = mode === O_RDONLY && (flags & O_TRUNC) === 0 ? 0 : MAY.WRITE;
    // What is a folder for whoever would write is EISDIR before it is anything else.
    if (inode instanceof Directory && (writes !== 0 || (flags & O_CREAT) !== 0)) return -EISDIR;
    const refused = inodePermission(inode, reads | writes, caller);
    if (refused !== 0) return refused;
    return (flags & O_NOATIME) !== 0 && !isOwner(inode, caller) ? -EPERM : 0;
  }

  /** A regular file without a name yet, in memory unless another store is given. */
  newFile(mode: number, name: string, store: FileStore = this.store): RegularFile {
    const file = new RegularFile(this.nextInode(), mode & 0o7777, store, name);
    this.touch(file);
    this.touch(file, 'access');
    return file;
  }

  /** A file whose content is the host's until it is written. */
  hostFile(mode: number, name: string, content: Uint8Array): RegularFile {
    const host = { size: content.length, load: () => content };
    const file = new RegularFile(this.nextInode(), mode & 0o7777, this.store, name, host);
    this.touch(file);
    return file;
  }

  /** mknod(2) of a device: that of /dev with this number, or one that nobody drives. */
  newDevice(mode: number, device: number): SpecialFile {
    const dev = this.root.lookup('dev');
    const known = dev instanceof Directory && (mode & S_IFMT) === S_IFCHR ? dev : undefined;
    const open = (flags: number, inode: SpecialFile): OpenFile | number => {
      for (const name of known?.names() ?? []) {
        const driven = known?.lookup(name);
        if (driven instanceof SpecialFile && driven.device === device) return driven.open(flags, inode);
      }
      return -ENXIO;
    };
    return new SpecialFile(this.nextInode(), mode, open, device);
  }

  /** mkfifo(3): O_WRONLY | O_NONBLOCK without a reader is ENXIO; who opens an end waits for the other. */
  newFifo(mode: number): SpecialFile {
    const pipe = new Pipe();
    return new SpecialFile(this.nextInode(), S_IFIFO | (mode & 0o7777), (flags, inode) => {
      const refused = (flags & O_ACCMODE) === O_WRONLY && (flags & O_NONBLOCK) !== 0 && pipe.readers === 0;
      return refused ? -ENXIO : new PipeEnd(inode, flags, '(fifo)', pipe);
    });
  }

  // ---- changing the tree -----------------------------------------------------------------------------

  /** A new name for an inode where a walk found none, `isLinked` where it has one; 0 or a negative errno. */
  link(found: Found, inode: Inode, isLinked = false): number {
    if (found.inode !== undefined || found.name === '') return -EEXIST;
    if (found.parent.fixed) return -EPERM;
    if (found.parent.links === 0) return -ENOENT;
    const refused = inodePermission(found.parent, MAY.WRITE | MAY.EXEC, this.caller);
    if (refused !== 0) return refused;
    if (inode instanceof RegularFile && inode.store !== found.parent.store) return -EXDEV;
    found.parent.add(found.name, inode);
    this.touch(found.parent);
    if (this.notifier.active) {
      const place = { parent: found.parent, name: found.name };
      if (isLinked) this.notifier.self(inode, IN.ATTRIB);
      inode.place = place;
      this.notifier.name(place, inode, IN.CREATE);
    }
    return 0;
  }

  /** The first name of an inode that the caller makes, and owns. */
  create(found: Found, inode: Inode): number {
    initOwner(inode, found.parent, this.caller);
    return this.link(found, inode);
  }

  makeDirectory(base: Directory, path: string, mode: number): number {
    const found = this.walk(base, path, false);
    if (typeof found === 'number') return found;
    const directory = new Directory(this.nextInode(), mode & 0o7777, found.parent);
    this.touch(directory);
    return this.create(found, directory);
  }

  unlink(base: Directory, path: string): number {
    const found = this.walk(base, path, false);
    if (typeof found === 'number') return found;
    const { inode, parent, name } = found;
    if (inode === undefined) return -ENOENT;
    const refused = name === '' ? -EISDIR : mayDelete(parent, inode, this.caller);
    if (refused !== 0) return refused;
    if (inode instanceof Directory) return -EISDIR;
    if (parent.fixed) return -EPERM;
    parent.remove(name);
    this.notifier.self(inode, IN.ATTRIB);
    this.#unlinked(inode);
    this.notifier.name({ parent, name }, inode, IN.DELETE);
    this.touch(parent);
    return 0;
  }

  #unlinked(inode: Inode): void {
    inode.links = inode instanceof Directory ? 0 : inode.links - 1;
    this.touch(inode, 'change');
    const gone = () => this.notifier.gone(inode);
    if (inode instanceof RegularFile) {
      inode.onGone = gone;
      inode.forgetIfUnused();
    } else if (inode.links === 0) {
      gone();
    }
  }

  removeDirectory(base: Directory, path: string): number {
    const found = this.walk(base, path, false);
    if (typeof found === 'number') return found;
    const { inode, parent, name } = found;
    if (inode === undefined) return -ENOENT;
    if (name === '') return path.endsWith('..') ? -ENOTEMPTY : path.endsWith('.') ? -EINVAL : -EBUSY;
    const refused = mayDelete(parent, inode, this.caller);
    if (refused !== 0) return refused;
    if (!(inode instanceof Directory)) return -ENOTDIR;
    if (parent.fixed || inode.fixed || this.mounts.of(inode) !== undefined) return -EBUSY;
    if (!inode.empty) return -ENOTEMPTY;
    parent.remove(name);
    inode.links = 0;
    this.notifier.gone(inode);
    this.notifier.name({ parent, name }, inode, IN.DELETE);
    this.touch(parent);
    return 0;
  }

  #isMounted(inode: Inode | undefined): boolean {
    return inode instanceof Directory && this.mounts.of(inode) !== undefined;
  }

  /** RENAME_EXCHANGE: two names that exist change places. */
  exchange(oldBase: Directory, oldPath: string, newBase: Directory, newPath: string): number {
    const from = this.walk(oldBase, oldPath, false);
    if (typeof from === 'number') return from;
    const to = this.walk(newBase, newPath, false);
    if (typeof to === 'number') return to;
    if (from.inode === undefined || to.inode === undefined) return -ENOENT;
    if (from.name === '' || to.name === '' || this.#isMounted(from.inode) || this.#isMounted(to.inode)) {
      return -EBUSY;
    }
    if (from.parent.fixed || to.parent.fixed || from.parent.store !== to.parent.store) return -EXDEV;
    if (from.inode === to.inode) return 0;
    for (const [inode, parent, own] of [
      [from.inode, to.parent, from.parent],
      [to.inode, from.parent, to.parent],
    ] as const) {
      const refused = this.#mayMove(inode, own, parent);
      if (refused !== 0) return refused;
      for (let at = parent; inode instanceof Directory; at = at.parent) {
        if (at === inode) return -EINVAL;
        if (at === at.parent) break;
      }
    }
    from.parent.remove(from.name);
    to.parent.remove(to.name);
    from.parent.add(from.name, to.inode);
    to.parent.add(to.name, from.inode);
    const places = [
      { parent: from.parent, name: from.name },
      { parent: to.parent, name: to.name },
    ] as const;
    from.inode.place = places[1];
    to.inode.place = places[0];
    this.notifier.moved(places[0], places[1], from.inode, undefined);
    this.notifier.moved(places[1], places[0], to.inode, undefined);
    for (const inode of [from.parent, to.parent]) this.touch(inode);
    for (const inode of [from.inode, to.inode]) this.touch(inode, 'change');
    return 0;
  }

  /** What vfs_rename() asks of one of the two: a folder that moves gets another `..`, which is written to it. */
  #mayMove(inode: Inode, from: Directory, to: Directory): number {
    const { caller } = this;
    const refused = mayDelete(from, inode, caller);
    if (refused !== 0 || !(inode instanceof Directory) || from === to) return refused;
    return inodePermission(inode, MAY.WRITE, caller);
  }

  /** rename(2); `noReplace` is RENAME_NOREPLACE. */
  rename(
    oldBase: Directory,
    oldPath: string,
    newBase: Directory,
    newPath: string,
    noReplace: boolean,
  ): number {
    const from = this.walk(oldBase, oldPath, false);
    if (typeof from === 'number') return from;
    const to = this.walk(newBase, newPath, false);
    if (typeof to === 'number') return to;
    const { inode } = from;
    if (inode === undefined) return -ENOENT;
    if (from.name === '' || to.name === '' || this.#isMounted(from.inode) || this.#isMounted(to.inode)) {
      return -EBUSY;
    }
    if (from.parent.fixed || to.parent.fixed || from.parent.store !== to.parent.store) return -EXDEV;
    if (to.inode === inode) return 0;
    if (to.inode !== undefined && noReplace) return -EEXIST;
    const { caller } = this;
    const refused =
      this.#mayMove(inode, from.parent, to.parent) ||
      (to.inode === undefined
        ? inodePermission(to.parent, MAY.WRITE | MAY.EXEC, caller)
        : mayDelete(to.parent, to.inode, caller));
    if (refused !== 0) return refused;
    if (inode instanceof Directory) {
      for (let at = to.parent; ; at = at.parent) {
        if (at === inode) return -EINVAL;
        if (at === at.parent) break;
      }
      if (to.inode !== undefined && !(to.inode instanceof Directory)) return -ENOTDIR;
      if (to.inode instanceof Directory && !to.inode.empty) return -ENOTEMPTY;
    } else if (to.inode instanceof Directory) {
      return -EISDIR;
    } else if (to.wantsDirectory) {
      return -ENOTDIR;
    }
    if (to.inode !== undefined) to.parent.remove(to.name);
    from.parent.remove(from.name);
    to.parent.add(to.name, inode);
    const places = [
      { parent: from.parent, name: from.name },
      { parent: to.parent, name: to.name },
    ] as const;
    inode.place = places[1];
    this.notifier.moved(places[0], places[1], inode, to.inode);
    if (to.inode !== undefined) this.#unlinked(to.inode);
    this.touch(from.parent);
    this.touch(to.parent);
    this.touch(inode, 'change');
    return 0;
  }
}
