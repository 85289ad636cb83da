/**
 * mount, umount2 and chroot: tmpfs anywhere; what is mounted from the start is mounted already.
 *
 * Ref. fs/namespace.c, fs/open.c (chroot).
 */
import { textOfBytes } from '../../base/index.js';
import { EBUSY, EFAULT, EINVAL, ENODEV, ENOTDIR, EPERM, type MaySleep } from '../contexts/index.js';
import { Directory, inodePermission, isInside, MAY, type Mount, parseTmpfsOptions } from '../fs/index.js';
import { CAP, capable, readString, type Thread } from '../process/index.js';
import { inodeAt, userPath } from './paths.js';
import { int, type Syscall, type SyscallArguments, type SyscallServices } from './row.js';

const AT_FDCWD = -100n;
const MS = {
  RDONLY: 1,
  REMOUNT: 32,
  BIND: 4096,
  MOVE: 8192,
  UNBINDABLE: 1 << 17,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
  SHARED: 1 << 20,
} as const;
/** How mounts spread to other namespaces, of which there are none. */
const MS_PROPAGATION = MS.UNBINDABLE | MS.PRIVATE | MS.SLAVE | MS.SHARED;
/** MS_MGC_VAL in the upper half means nothing any more. */
const MS_MGC = 0xc0ed0000 | 0;
const MS_MGC_MASK = 0xffff0000 | 0;
const UMOUNT = { FORCE: 1, DETACH: 2, EXPIRE: 4, NOFOLLOW: 8 } as const;
/** A page of options at most. */
const OPTION_BYTES = 4096;

/** File systems that have their one place. */
const PLACES: Readonly<Record<string, string>> = {
  proc: '/proc',
  sysfs: '/sys',
  devtmpfs: '/dev',
  rootfs: '/',
};

function* textAt({ mm }: SyscallServices, thread: Thread, address: bigint): MaySleep<string | number> {
  if (address === 0n) return '';
  const bytes = yield* readString(mm, thread, address, OPTION_BYTES);
  return typeof bytes === 'number' ? (bytes === -EFAULT ? bytes : -EINVAL) : textOfBytes(bytes);
}

function* mount(
  services: SyscallServices,
  thread: Thread,
  [sourceAt, targetAt, typeAt, flagBits, dataAt]: SyscallArguments,
): MaySleep<number> {
  const { files, mm } = services;
  const type = yield* textAt(services, thread, typeAt);
  if (typeof type === 'number') return type;
  const source = yield* textAt(services, thread, sourceAt);
  if (typeof source === 'number') return source;
  const data = yield* textAt(services, thread, dataAt);
  if (typeof data === 'number') return data;
  const target = yield* inodeAt(services, thread, AT_FDCWD, targetAt, 0, true);
  if (typeof target === 'number') return target;
  if (!capable(thread.credentials, CAP.SYS_ADMIN)) return -EPERM;
  let flags = int(flagBits);
  if ((flags & MS_MGC_MASK) === MS_MGC) flags &= ~MS_MGC_MASK;
  if ((flags & (MS.BIND | MS.MOVE)) !== 0) return -EINVAL;
  if ((flags & MS_PROPAGATION) !== 0) return (flags & MS.REMOUNT) !== 0 ? -EINVAL : 0;
  const readOnly = (flags & MS.RDONLY) !== 0;
  const ram = (mm.meminfo()['MemTotal'] ?? 0) * 1024;
  if ((flags & MS.REMOUNT) !== 0) {
    const mounted = target instanceof Directory ? files.mounts.of(target) : undefined;
    if (mounted === undefined) return target === files.root ? 0 : -EINVAL;
    const options = parseTmpfsOptions(data, ram, mm.pageSize);
    if (typeof options === 'number') return options;
    // sb_prepare_remount_readonly().
    if (readOnly && !mounted.store.readOnly && isWritten(services, mounted)) return -EBUSY;
    const error = files.mounts.remount(mounted, options);
    if (error === 0) mounted.store.readOnly = readOnly;
    return error;
  }
  if (type === '') return -EINVAL;
  if (!(target instanceof Directory)) return -ENOTDIR;
  // Mounted there already, or for good somewhere else.
  if (PLACES[type] !== undefined) return -EBUSY;
  if (type !== 'tmpfs' && type !== 'ramfs') return -ENODEV;
  const options = parseTmpfsOptions(data, ram, mm.pageSize);
  if (typeof options === 'number') return options;
  const error = files.mounts.mount(source === '' ? 'none' : source, target, options);
  if (error === 0) files.mounts.mounts.at(-1)!.store.readOnly = readOnly;
  return error;
}

/** Whether a process has a file of it open for writing. */
const isWritten = ({ table }: SyscallServices, { store }: Mount): boolean =>
  [...table.processes].some(({ end, files }) => {
    const writes = (fd: number) => files.get(fd)?.writable === true && files.get(fd)!.inode.store === store;
    return end === undefined && [...files.numbers].some(writes);
  });

/** Whether a process has something of the file system open, or is in it. */
function isUsed({ table }: SyscallServices, { root, store }: Mount): boolean {
  for (const process of table.processes) {
    if (process.end !== undefined) continue;
    if (isInside(process.fs.cwd, root) || isInside(process.fs.root, root)) return true;
    for (const fd of process.files.numbers) {
      const inode = process.files.get(fd)?.inode;
      if (inode instanceof Directory ? isInside(inode, root) : inode?.store === store) return true;
    }
  }
  return false;
}

function* unmount(
  services: SyscallServices,
  thread: Thread,
  targetAt: bigint,
  flags: number,
): MaySleep<number> {
  const { files } = services;
  if ((flags & ~(UMOUNT.FORCE | UMOUNT.DETACH | UMOUNT.EXPIRE | UMOUNT.NOFOLLOW)) !== 0) return -EINVAL;
  const follow = (flags & UMOUNT.NOFOLLOW) === 0;
  const target = yield* inodeAt(services, thread, AT_FDCWD, targetAt, 0, follow);
  if (typeof target === 'number') return target;
  if (!capable(thread.credentials, CAP.SYS_ADMIN)) return -EPERM;
  if ((flags & UMOUNT.EXPIRE) !== 0 && (flags & (UMOUNT.FORCE | UMOUNT.DETACH)) !== 0) return -EINVAL;
  const mounted = target instanceof Directory ? files.mounts.of(target) : undefined;
  if (mounted === undefined) {
    const isFixed =
      target === files.root || Object.values(PLACES).some((at) => files.lookup(files.root, at) === target);
    return isFixed ? -EBUSY : -EINVAL;
  }
  const error = files.mounts.unmount(mounted, isUsed(services, mounted), (flags & UMOUNT.DETACH) !== 0);
  if (error === 0) files.notifier.unmounted((inode) => inode.store === mounted.store);
  return error;
}

export const mountSyscalls: readonly Syscall[] = [
  {
    number: 39,
    name: 'umount2',
    args: ['string', 'hex'],
    run: (services, thread, [target, flags]) => unmount(services, thread, target, int(flags)),
  },
  {
    number: 40,
    name: 'mount',
    args: ['string', 'string', 'string', 'hex', 'string'],
    run: mount,
  },
  {
    number: 51,
    name: 'chroot',
    args: ['string'],
    *run(services, thread, [address]) {
      const path = yield* userPath(services, thread, address);
      if (typeof path === 'number') return path;
      const { fs } = thread.process;
      const found = services.files.lookup(fs.cwd, path);
      if (typeof found === 'number') return found;
      if (!(found instanceof Directory)) return -ENOTDIR;
      const refused = inodePermission(found, MAY.EXEC, services.files.caller);
      if (refused !== 0) return refused;
      if (!capable(thread.credentials, CAP.SYS_CHROOT)) return -EPERM;
      fs.root = found;
      return 0;
    },
  },
];
