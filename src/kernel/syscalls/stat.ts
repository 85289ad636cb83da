/**
 * System calls that describe files: stat in its forms, access, statfs.
 *
 * Ref. include/uapi/asm-generic/stat.h (128 bytes), include/uapi/linux/stat.h (statx).
 */
import { EBADF, EINVAL, type MaySleep } from '../contexts/index.js';
import { AT_EACCESS, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, type Inode, inodePermission } from '../fs/index.js';
import { fileCaller, realFileCaller, type Thread, writeUser } from '../process/index.js';
import { inodeAt, rawFileOf, userPath } from './paths.js';
import { int, type Syscall, type SyscallServices } from './row.js';

const NS = 1_000_000_000n;
const TMPFS_MAGIC = 0x01021994n;
const EXT2_SUPER_MAGIC = 0xef53n;
const PROC_SUPER_MAGIC = 0x9fa0n;
const SYSFS_MAGIC = 0x62656572n;
/** st_dev of what has no contents of its own. */
const DEVICE = 1;

function statBytes(inode: Inode, blockSize: number): Uint8Array {
  const bytes = new Uint8Array(128);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(inode.store?.device ?? DEVICE), true);
  view.setBigUint64(8, BigInt(inode.ino), true);
  view.setUint32(16, inode.mode, true);
  view.setUint32(20, Math.max(0, inode.links), true);
  view.setUint32(24, inode.uid, true);
  view.setUint32(28, inode.gid, true);
  view.setBigUint64(32, BigInt(inode.device), true);
  view.setBigInt64(48, BigInt(inode.size), true);
  view.setInt32(56, blockSize, true);
  view.setBigInt64(64, BigInt(inode.blocks), true);
  const times = [inode.times.access, inode.times.modify, inode.times.change];
  times.forEach((time, i) => {
    view.setBigInt64(72 + 16 * i, time / NS, true);
    view.setBigUint64(80 + 16 * i, time % NS, true);
  });
  return bytes;
}

/** STATX_BASIC_STATS. */
const BASIC = 0x7ff;

function statxBytes(inode: Inode, blockSize: number): Uint8Array {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, BASIC, true);
  view.setUint32(4, blockSize, true);
  view.setUint32(16, Math.max(0, inode.links), true);
  view.setUint32(20, inode.uid, true);
  view.setUint32(24, inode.gid, true);
  view.setUint16(28, inode.mode, true);
  view.setBigUint64(32, BigInt(inode.ino), true);
  view.setBigUint64(40, BigInt(inode.size), true);
  view.setBigUint64(48, BigInt(inode.blocks), true);
  // Access, birth (not kept), change, modify.
  const times = [inode.times.access, 0n, inode.times.change, inode.times.modify];
  times.forEach((time, i) => {
    view.setBigInt64(64 + 16 * i, time / NS, true);
    view.setUint32(72 + 16 * i, Number(time % NS), true);
  });
  view.setUint32(128, (inode.device >>> 8) & 0xfff, true);
  view.setUint32(132, inode.device & 0xff, true);
  view.setUint32(140, inode.store?.device ?? DEVICE, true);
  return bytes;
}

/** What has no store but is made when it is looked at: by its path. */
function generatedMagic(path: string): bigint | undefined {
  if (/^\/proc(\/|$)/.test(path)) return PROC_SUPER_MAGIC;
  return /^\/sys(\/|$)/.test(path) ? SYSFS_MAGIC : undefined;
}

/** struct statfs of 120 bytes: of memory (tmpfs), of the disk, which calls itself ext2, or of nothing. */
function statfsBytes({ mm, files }: SyscallServices, inode: Inode, path: string): Uint8Array {
  const store = inode.store ?? files.store;
  const pages = (bytes: number) => BigInt(Math.max(0, Math.floor(bytes / mm.pageSize)));
  const bytes = new Uint8Array(120);
  const view = new DataView(bytes.buffer);
  const generated = generatedMagic(path);
  if (generated !== undefined) {
    [generated, BigInt(mm.pageSize), 0n, 0n, 0n, 0n, 0n, 0n, 255n, BigInt(mm.pageSize)].forEach((word, i) => {
      view.setBigUint64(8 * i, word, true);
    });
    return bytes;
  }
  const words = [
    store.onDisk ? EXT2_SUPER_MAGIC : TMPFS_MAGIC,
    BigInt(mm.pageSize),
    pages(store.capacity),
    pages(store.left),
    pages(store.left),
    1n << 20n,
    1n << 20n,
    0n,
    255n,
    BigInt(mm.pageSize),
  ];
  words.forEach((word, i) => {
    view.setBigUint64(8 * i, word, true);
  });
  return bytes;
}

function* answer(
  services: SyscallServices,
  thread: Thread,
  inode: Inode | number,
  buffer: bigint,
): MaySleep<number> {
  if (typeof inode === 'number') return inode;
  return yield* writeUser(services.mm, thread, buffer, statBytes(inode, services.mm.pageSize));
}

/** do_faccessat(): what the real user may do, or with AT_EACCESS the effective one. */
function* access(
  services: SyscallServices,
  thread: Thread,
  dirfd: bigint,
  path: bigint,
  mode: number,
  flags: number,
): MaySleep<number> {
  if ((mode & ~7) !== 0 || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0)
    return -EINVAL;
  const caller =
    (flags & AT_EACCESS) === 0 ? realFileCaller(thread.credentials) : fileCaller(thread.credentials);
  const follow = (flags & AT_SYMLINK_NOFOLLOW) === 0;
  const inode = yield* inodeAt(services, thread, dirfd, path, flags, follow, caller);
  return typeof inode === 'number' ? inode : inodePermission(inode, mode, caller);
}

export const statSyscalls: readonly Syscall[] = [
  {
    number: 43,
    name: 'statfs',
    args: ['string', 'pointer'],
    *run(services, thread, [path, buffer]) {
      const inode = yield* inodeAt(services, thread, -100n, path, 0, true);
      if (typeof inode === 'number') return inode;
      const name = yield* userPath(services, thread, path);
      const folder = services.files.pathOf(thread.process.fs.cwd);
      const whole = typeof name === 'string' && !name.startsWith('/') ? `${folder}/${name}` : String(name);
      return yield* writeUser(services.mm, thread, buffer, statfsBytes(services, inode, whole));
    },
  },
  {
    number: 44,
    name: 'fstatfs',
    args: ['fd', 'pointer'],
    *run(services, thread, [fd, buffer]) {
      const file = rawFileOf(thread, fd);
      if (file === undefined) return -EBADF;
      return yield* writeUser(services.mm, thread, buffer, statfsBytes(services, file.inode, file.path));
    },
  },
  {
    number: 48,
    name: 'faccessat',
    args: ['fd', 'string', 'octal'],
    *run(services, thread, [dirfd, path, mode]) {
      return yield* access(services, thread, dirfd, path, int(mode), 0);
    },
  },
  {
    number: 79,
    name: 'newfstatat',
    args: ['fd', 'string', 'pointer', 'hex'],
    *run(services, thread, [dirfd, path, buffer, flags]) {
      const follow = (int(flags) & AT_SYMLINK_NOFOLLOW) === 0;
      const inode = yield* inodeAt(services, thread, dirfd, path, int(flags), follow);
      return yield* answer(services, thread, inode, buffer);
    },
  },
  {
    number: 80,
    name: 'fstat',
    args: ['fd', 'pointer'],
    *run(services, thread, [fd, buffer]) {
      return yield* answer(services, thread, rawFileOf(thread, fd)?.inode ?? -EBADF, buffer);
    },
  },
  {
    number: 291,
    name: 'statx',
    args: ['fd', 'string', 'hex', 'hex', 'pointer'],
    *run(services, thread, [dirfd, path, flags, mask, buffer]) {
      if ((int(mask) & 0x80000000) !== 0) return -EINVAL;
      const follow = (int(flags) & AT_SYMLINK_NOFOLLOW) === 0;
      const inode = yield* inodeAt(services, thread, dirfd, path, int(flags), follow);
      if (typeof inode === 'number') return inode;
      return yield* writeUser(services.mm, thread, buffer, statxBytes(inode, services.mm.pageSize));
    },
  },
  {
    number: 439,
    name: 'faccessat2',
    args: ['fd', 'string', 'octal', 'hex'],
    *run(services, thread, [dirfd, path, mode, flags]) {
      return yield* access(services, thread, dirfd, path, int(mode), int(flags));
    },
  },
];
