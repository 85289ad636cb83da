/**
 * Extended attributes, as tmpfs keeps them: `security.*` and `trusted.*`, and on the disk `user.*`.
 *
 * Ref. fs/xattr.c (xattr_permission, setxattr_copy, do_getxattr, listxattr), mm/shmem.c (shmem_xattr_handlers),
 * security/commoncap.c (cap_inode_setxattr); xattr(7).
 */
import {
  E2BIG,
  EBADF,
  EEXIST,
  EFAULT,
  EINVAL,
  ENAMETOOLONG,
  ENODATA,
  EOPNOTSUPP,
  EPERM,
  ERANGE,
  type MaySleep,
} from '../contexts/index.js';
import {
  IN,
  type Inode,
  inodePermission,
  MAY,
  mayChange,
  S_IFDIR,
  S_IFREG,
  SpecialFile,
} from '../fs/index.js';
import { CAP, capable, readString, readUser, type Thread, writeUser } from '../process/index.js';
import { fileOf, inodeAt } from './paths.js';
import { int, type Syscall, type SyscallServices } from './row.js';

const AT_FDCWD = -100n;
/** XATTR_CREATE, XATTR_REPLACE. */
const SET = { CREATE: 1, REPLACE: 2 } as const;
/** XATTR_NAME_MAX with its end, XATTR_SIZE_MAX. */
const NAME_ROOM = 256;
const MOST_BYTES = 65536n;

type By = 'path' | 'link' | 'fd';

function* objectOf(
  services: SyscallServices,
  thread: Thread,
  object: bigint,
  by: By,
): MaySleep<Inode | number> {
  if (by === 'fd') return fileOf(thread, object)?.inode ?? -EBADF;
  return yield* inodeAt(services, thread, AT_FDCWD, object, 0, by === 'path');
}

/** An attribute's name, or -EFAULT, -ERANGE. */
function* nameAt({ mm }: SyscallServices, thread: Thread, address: bigint): MaySleep<string | number> {
  const bytes = yield* readString(mm, thread, address, NAME_ROOM);
  if (typeof bytes === 'number') return bytes === -ENAMETOOLONG ? -ERANGE : bytes;
  return bytes.length === 0 ? -ERANGE : new TextDecoder().decode(bytes);
}

/** xattr_permission() and whether the file system has a place for such a name: 0 or a negative errno. */
function refuses(
  { files }: SyscallServices,
  thread: Thread,
  inode: Inode,
  name: string,
  writes: boolean,
): number {
  const isGenerated = inode instanceof SpecialFile && inode.type === S_IFREG;
  const isAdmin = capable(thread.credentials, CAP.SYS_ADMIN);
  if (name.startsWith('trusted.')) {
    if (!isAdmin) return writes ? -EPERM : -ENODATA;
  } else if (name.startsWith('user.')) {
    const isData = inode.type === S_IFREG || inode.type === S_IFDIR;
    if (!isData) return writes ? -EPERM : -ENODATA;
    const refused = inodePermission(inode, writes ? MAY.WRITE : MAY.READ, files.caller);
    if (refused !== 0) return refused;
    if (inode.store?.onDisk !== true) return -EOPNOTSUPP;
  } else if (!name.startsWith('security.')) {
    return -EOPNOTSUPP;
  } else if (writes && !isAdmin) {
    return -EPERM;
  }
  return isGenerated ? -EOPNOTSUPP : 0;
}

function changed({ files }: SyscallServices, inode: Inode): number {
  files.touch(inode, 'change');
  files.notifier.inode(inode, IN.ATTRIB);
  return 0;
}

function* set(
  services: SyscallServices,
  thread: Thread,
  [object, nameAddress, value, size, flags]: readonly [bigint, bigint, bigint, bigint, number],
  by: By,
): MaySleep<number> {
  if ((flags & ~(SET.CREATE | SET.REPLACE)) !== 0) return -EINVAL;
  const name = yield* nameAt(services, thread, nameAddress);
  if (typeof name === 'number') return name;
  if (size > MOST_BYTES) return -E2BIG;
  const bytes = yield* readUser(services.mm, thread, value, Number(size));
  if (bytes === undefined) return -EFAULT;
  const inode = yield* objectOf(services, thread, object, by);
  if (typeof inode === 'number') return inode;
  const refused = mayChange(inode) || refuses(services, thread, inode, name, true);
  if (refused !== 0) return refused;
  inode.attributes ??= new Map();
  const isThere = inode.attributes.has(name);
  if ((flags & SET.CREATE) !== 0 && isThere) return -EEXIST;
  if ((flags & SET.REPLACE) !== 0 && !isThere) return -ENODATA;
  inode.attributes.set(name, bytes.slice());
  return changed(services, inode);
}

/** What was asked for, or how long it is where there is no room at all. */
function* give(
  { mm }: SyscallServices,
  thread: Thread,
  bytes: Uint8Array,
  address: bigint,
  room: bigint,
): MaySleep<number> {
  if (room === 0n) return bytes.length;
  if (room < BigInt(bytes.length)) return -ERANGE;
  const error = yield* writeUser(mm, thread, address, bytes);
  return error === 0 ? bytes.length : error;
}

function* get(
  services: SyscallServices,
  thread: Thread,
  [object, nameAddress, value, room]: readonly [bigint, bigint, bigint, bigint],
  by: By,
): MaySleep<number> {
  const name = yield* nameAt(services, thread, nameAddress);
  if (typeof name === 'number') return name;
  const inode = yield* objectOf(services, thread, object, by);
  if (typeof inode === 'number') return inode;
  const refused = refuses(services, thread, inode, name, false);
  if (refused !== 0) return refused;
  const bytes = inode.attributes?.get(name);
  return bytes === undefined ? -ENODATA : yield* give(services, thread, bytes, value, room);
}

function* list(
  services: SyscallServices,
  thread: Thread,
  [object, address, room]: readonly [bigint, bigint, bigint],
  by: By,
): MaySleep<number> {
  const inode = yield* objectOf(services, thread, object, by);
  if (typeof inode === 'number') return inode;
  const isAdmin = capable(thread.credentials, CAP.SYS_ADMIN);
  const names = [...(inode.attributes?.keys() ?? [])].filter(
    (name) => isAdmin || !name.startsWith('trusted.'),
  );
  const bytes = new TextEncoder().encode(names.map((name) => `${name}\0`).join(''));
  return yield* give(services, thread, bytes, address, room);
}

function* remove(
  services: SyscallServices,
  thread: Thread,
  [object, nameAddress]: readonly [bigint, bigint],
  by: By,
): MaySleep<number> {
  const name = yield* nameAt(services, thread, nameAddress);
  if (typeof name === 'number') return name;
  const inode = yield* objectOf(services, thread, object, by);
  if (typeof inode === 'number') return inode;
  const refused = mayChange(inode) || refuses(services, thread, inode, name, true);
  if (refused !== 0) return refused;
  return inode.attributes?.delete(name) === true ? changed(services, inode) : -ENODATA;
}

/** Each by path, by link and by descriptor: numbers 5 to 16. */
export const xattrSyscalls: readonly Syscall[] = (
  [
    ['path', '', 'string'],
    ['link', 'l', 'string'],
    ['fd', 'f', 'fd'],
  ] as const
).flatMap(([by, letter, kind], i): readonly Syscall[] => [
  {
    number: 5 + i,
    name: `${letter}setxattr`,
    args: [kind, 'string', 'buffer', 'unsigned', 'hex'],
    *run(services, thread, [object, name, value, size, flags]) {
      return yield* set(services, thread, [object, name, value, size, int(flags)], by);
    },
  },
  {
    number: 8 + i,
    name: `${letter}getxattr`,
    args: [kind, 'string', 'pointer', 'unsigned'],
    *run(services, thread, [object, name, value, room]) {
      return yield* get(services, thread, [object, name, value, room], by);
    },
  },
  {
    number: 11 + i,
    name: `${letter}listxattr`,
    args: [kind, 'pointer', 'unsigned'],
    *run(services, thread, [object, address, room]) {
      return yield* list(services, thread, [object, address, room], by);
    },
  },
  {
    number: 14 + i,
    name: `${letter}removexattr`,
    args: [kind, 'string'],
    *run(services, thread, [object, name]) {
      return yield* remove(services, thread, [object, name], by);
    },
  },
]);
