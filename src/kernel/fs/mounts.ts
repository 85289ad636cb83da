/**
 * File systems that are mounted while the system runs: tmpfs, with its options.
 *
 * A mounted root stands in its parent's folder under the name of the folder that it covers, so that walking needs to
 * know nothing of mounts. What there is from the start (/, /proc, /sys, the disk) is not in this table.
 *
 * Ref. fs/namespace.c (do_mount, path_umount), mm/shmem.c (shmem_parse_options), Documentation/filesystems/tmpfs.rst.
 */
import { EBUSY, EINVAL } from '../contexts/index.js';
import { SHMEM_HUGE, type ShmemHuge } from '../mm/index.js';
import type { FileStore } from './file-store.js';
import { Directory, RegularFile } from './inode.js';

/** What mount(2) says of a tmpfs; undefined: not said. */
export interface TmpfsOptions {
  /** Bytes; 0: without bound. */
  readonly size: number | undefined;
  /** Permission bits of the root. */
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly huge: ShmemHuge | undefined;
}

const SUFFIX: Readonly<Record<string, number>> = { k: 10, m: 20, g: 30, t: 40, p: 50, e: 60 };

/** memparse(): a number with a suffix; undefined where there is more. */
function sizeOf(text: string): number | undefined {
  const match = /^(0[xX][0-9a-fA-F]+|[0-9]+)([kKmMgGtTpPeE]?)$/.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * 2 ** (SUFFIX[match[2]!.toLowerCase()] ?? 0);
}

const octal = (text: string) => (/^[0-7]+$/.test(text) ? Number.parseInt(text, 8) & 0o7777 : undefined);
const decimal = (text: string) => (/^[0-9]+$/.test(text) ? Number(text) : undefined);

/** Options that change nothing here: what numbers inodes have, where pages of several nodes go. */
const IGNORED = /^(inode32|inode64|nr_inodes=.*|mpol=.*|noswap|defaults|rw|relatime)$/;

/**
 * shmem_parse_options(): -EINVAL for what tmpfs does not know.
 *
 * @param ram bytes that a percentage is of.
 */
export function parseTmpfsOptions(text: string, ram: number, pageSize: number): TmpfsOptions | number {
  const options = {
    size: undefined as number | undefined,
    mode: undefined as number | undefined,
    uid: undefined as number | undefined,
    gid: undefined as number | undefined,
    huge: undefined as ShmemHuge | undefined,
  };
  for (const option of text.split(',')) {
    if (option === '' || IGNORED.test(option)) continue;
    const [name = '', value = ''] = option.split('=', 2);
    const isPercent = name === 'size' && value.endsWith('%');
    const number = isPercent ? decimal(value.slice(0, -1)) : sizeOf(value);
    if (name === 'size') options.size = isPercent && number !== undefined ? (number * ram) / 100 : number;
    else if (name === 'nr_blocks') options.size = number === undefined ? undefined : number * pageSize;
    else if (name === 'mode') options.mode = octal(value);
    else if (name === 'uid' || name === 'gid') options[name] = decimal(value);
    else if (name === 'huge') options.huge = SHMEM_HUGE.find((each) => each === value);
    else return -EINVAL;
    const read = name === 'nr_blocks' ? options.size : options[name as keyof typeof options];
    if (read === undefined) return -EINVAL;
  }
  if (options.size !== undefined) options.size = Math.ceil(options.size / pageSize) * pageSize;
  return options;
}

export class Mount {
  readonly source: string;
  readonly root: Directory;
  readonly covered: Directory;
  readonly name: string;
  readonly store: FileStore;
  /** Given, for /proc/mounts. */
  options: TmpfsOptions;

  constructor(
    source: string,
    root: Directory,
    covered: Directory,
    name: string,
    store: FileStore,
    options: TmpfsOptions,
  ) {
    this.source = source;
    this.root = root;
    this.covered = covered;
    this.name = name;
    this.store = store;
    this.options = options;
  }

  /** shmem_show_options(). */
  get shownOptions(): string {
    const { size, huge } = this.options;
    const { mode, uid, gid } = this.root;
    const parts = [this.store.readOnly ? 'ro' : 'rw', 'relatime'];
    if (size !== undefined && size > 0) parts.push(`size=${size / 1024}k`);
    if ((mode & 0o7777) !== 0o1777) parts.push(`mode=${(mode & 0o7777).toString(8).padStart(3, '0')}`);
    if (uid !== 0) parts.push(`uid=${uid}`);
    if (gid !== 0) parts.push(`gid=${gid}`);
    if (huge !== undefined && huge !== 'never') parts.push(`huge=${huge}`);
    return parts.join(',');
  }
}

export class MountTable {
  readonly #mounts: Mount[] = [];
  readonly #newStore: (bytes: number, huge: ShmemHuge) => FileStore;
  readonly #nextInode: () => number;
  /** Bytes that a tmpfs has where nobody says. */
  readonly #half: number;

  constructor(
    newStore: (bytes: number, huge: ShmemHuge) => FileStore,
    nextInode: () => number,
    half: number,
  ) {
    this.#newStore = newStore;
    this.#nextInode = nextInode;
    this.#half = half;
  }

  /** In the order they were made. */
  get mounts(): readonly Mount[] {
    return this.#mounts;
  }

  of(root: Directory): Mount | undefined {
    return this.#mounts.find((mount) => mount.root === root);
  }

  #capacity({ size }: TmpfsOptions): number {
    return size === undefined ? this.#half : size === 0 ? Number.MAX_SAFE_INTEGER : size;
  }

  /** A tmpfs over a folder. */
  mount(source: string, covered: Directory, options: TmpfsOptions): number {
    const { parent } = covered;
    const name = parent.names().find((each) => parent.lookup(each) === covered);
    if (parent === covered || name === undefined) return -EINVAL;
    const store = this.#newStore(this.#capacity(options), options.huge ?? 'never');
    const root = new Directory(this.#nextInode(), options.mode ?? 0o1777, parent, undefined, false, store);
    root.uid = options.uid ?? 0;
    root.gid = options.gid ?? 0;
    replace(parent, name, root);
    this.#mounts.push(new Mount(source, root, covered, name, store, options));
    return 0;
  }

  /** MS_REMOUNT: options that are given change; -EINVAL where more is used than the new size. */
  remount(mount: Mount, options: TmpfsOptions): number {
    const { store } = mount;
    if (options.size !== undefined && !store.resize(this.#capacity(options))) return -EINVAL;
    if (options.huge !== undefined) store.huge = options.huge;
    mount.options = {
      ...mount.options,
      ...(options.size === undefined ? {} : { size: options.size }),
      ...(options.huge === undefined ? {} : { huge: options.huge }),
    };
    return 0;
  }

  /**
   * The last in goes; what is in it goes when nobody has it open any more.
   *
   * @param busy somebody uses the file system; `lazy` (MNT_DETACH) does not mind.
   */
  unmount(mount: Mount, busy: boolean, lazy: boolean): number {
    const below = this.#mounts.filter((other) => other !== mount && isInside(other.root.parent, mount.root));
    if (!lazy && (busy || below.length > 0)) return -EBUSY;
    for (const other of below.reverse()) this.unmount(other, false, true);
    replace(mount.root.parent, mount.name, mount.covered);
    this.#mounts.splice(this.#mounts.indexOf(mount), 1);
    discard(mount.root);
    return 0;
  }
}

/** Whether a folder is `root` or below it. */
export function isInside(directory: Directory, root: Directory): boolean {
  for (let at = directory; ; at = at.parent) {
    if (at === root) return true;
    if (at === at.parent) return false;
  }
}

/** Another folder under the same name; neither loses or gains a link by it. */
function replace(parent: Directory, name: string, by: Directory): void {
  parent.remove(name);
  parent.add(name, by);
}

/** Nothing in the tree has a name any more. */
function discard(root: Directory): void {
  const rest = [root];
  for (let at = rest.pop(); at !== undefined; at = rest.pop()) {
    for (const name of at.names()) {
      const inode = at.lookup(name);
      if (inode instanceof Directory) rest.push(inode);
      if (inode instanceof RegularFile) {
        inode.links--;
        inode.forgetIfUnused();
      }
    }
  }
}
