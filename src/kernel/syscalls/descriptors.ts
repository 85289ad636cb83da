/**
 * System calls of descriptors: close, dup, fcntl, ioctl, pipes, event counters, memory files.
 */
import { EBADF, EBUSY, EFAULT, EINVAL, EMFILE, EPERM, type MaySleep } from '../contexts/index.js';
import {
  checkFlags,
  EventCounter,
  F_SEAL,
  makePipe,
  O_APPEND,
  O_ASYNC,
  O_CLOEXEC,
  O_DIRECT,
  O_NOATIME,
  O_NONBLOCK,
  O_PATH,
  O_RDWR,
  type OpenFile,
  own,
  type Pipe,
  PipeEnd,
  RegularFile,
  RegularOpenFile,
  S_IFIFO,
  SpecialFile,
} from '../fs/index.js';
import { CAP, capable, readString, type Thread, unshareFiles, writeUser } from '../process/index.js';
import { setAsync, TELL_COMMANDS, tellCommand } from './file-signals.js';
import { LOCK_COMMAND, lockCommand } from './locks.js';
import { fileOf, rawFileOf } from './paths.js';
import { int, type Syscall, type SyscallServices, uint } from './row.js';
import { terminalIoctl } from './tty.js';

const F = {
  DUPFD: 0,
  GETFD: 1,
  SETFD: 2,
  GETFL: 3,
  SETFL: 4,
  DUPFD_CLOEXEC: 1030,
  SETPIPE_SZ: 1031,
  GETPIPE_SZ: 1032,
  ADD_SEALS: 1033,
  GET_SEALS: 1034,
} as const;
/** What F_SETFL can change. */
const SETTABLE = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME;
const SEALS = Object.values(F_SEAL).reduce<number>((all, seal) => all | seal, 0);
/** MFD_CLOEXEC, ALLOW_SEALING, NOEXEC_SEAL, EXEC. */
const MFD = { CLOEXEC: 1, ALLOW_SEALING: 2, NOEXEC_SEAL: 8, EXEC: 16 } as const;
/** check_fcntl_cmd(): what a descriptor that stands for a path alone takes. */
const FOR_PATHS: ReadonlySet<number> = new Set([F.DUPFD, F.DUPFD_CLOEXEC, F.GETFD, F.SETFD, F.GETFL]);
const LOCK_COMMANDS: ReadonlySet<number> = new Set(Object.values(LOCK_COMMAND));

/** Files of RAM can be sealed. */
function sealable({ inode }: OpenFile): RegularFile | undefined {
  return inode instanceof RegularFile && !inode.store.onDisk ? inode : undefined;
}

/** memfd_add_seals(). */
function addSeals(file: OpenFile, seals: number): number {
  const inode = sealable(file);
  if (!file.writable) return -EPERM;
  if (inode === undefined || (seals & ~SEALS) !== 0) return -EINVAL;
  if ((inode.seals & F_SEAL.SEAL) !== 0) return -EPERM;
  const writes = (seals & F_SEAL.WRITE) !== 0 && (inode.seals & F_SEAL.WRITE) === 0;
  if (writes && inode.writableMappings > 0) return -EBUSY;
  inode.seals |= seals;
  return 0;
}

/** A page. */
const PIPE_LEAST = 4096;

/** pipe_set_size(): a power of two of bytes; who may override limits may have more. */
function setPipeSize(thread: Thread, pipe: Pipe, asked: number, most: number): number {
  if (asked < 0 || asked > 2 ** 31 - 1) return -EINVAL;
  const size = Math.max(PIPE_LEAST, 2 ** Math.ceil(Math.log2(Math.max(1, asked))));
  if (size > 2 ** 30) return -EINVAL;
  if (size > most && size > pipe.capacity && !capable(thread.credentials, CAP.SYS_RESOURCE)) return -EPERM;
  if (size < pipe.length) return -EBUSY;
  pipe.capacity = size;
  pipe.changed.wake();
  return size;
}

function* fcntl(
  services: SyscallServices,
  thread: Thread,
  fd: number,
  command: number,
  arg: bigint,
): MaySleep<number> {
  const { files } = thread.process;
  const file = files.get(fd);
  if (file === undefined) return -EBADF;
  if ((file.flags & O_PATH) !== 0 && !FOR_PATHS.has(command)) return -EBADF;
  if (TELL_COMMANDS.has(command)) return yield* tellCommand(services, thread, file, [fd, command, arg]);
  if (LOCK_COMMANDS.has(command)) return yield* lockCommand(services, thread, file, command, arg);
  switch (command) {
    case F.DUPFD:
    case F.DUPFD_CLOEXEC: {
      const lowest = int(arg);
      if (lowest < 0 || lowest >= files.limit) return -EINVAL;
      return files.add(file, command === F.DUPFD_CLOEXEC, lowest);
    }
    case F.GETFD:
      return files.closeOnExec(fd) === true ? 1 : 0;
    case F.SETFD:
      return files.setCloseOnExec(fd, (int(arg) & 1) !== 0);
    case F.GETFL:
      return file.flags & ~O_CLOEXEC;
    case F.SETFL:
      if (((int(arg) ^ file.flags) & O_ASYNC) !== 0) setAsync(services, file, fd, (int(arg) & O_ASYNC) !== 0);
      file.flags = (file.flags & ~SETTABLE) | (int(arg) & SETTABLE);
      return 0;
    case F.GETPIPE_SZ:
      return file instanceof PipeEnd ? file.pipe.capacity : -EBADF;
    case F.SETPIPE_SZ:
      return file instanceof PipeEnd
        ? setPipeSize(thread, file.pipe, int(arg), services.files.pipeLimits.most)
        : -EBADF;
    case F.GET_SEALS:
      return sealable(file)?.seals ?? -EINVAL;
    case F.ADD_SEALS:
      return addSeals(file, uint(arg));
    default:
      return -EINVAL;
  }
}

const FIONBIO = 0x5421;
const FIOASYNC = 0x5452;
const FIOCLEX = 0x5451;
const FIONCLEX = 0x5450;

export const descriptorSyscalls: readonly Syscall[] = [
  {
    number: 19,
    name: 'eventfd2',
    args: ['unsigned', 'hex'],
    run({ files }, thread, [initial, flags]) {
      const bits = int(flags);
      const error = checkFlags(bits, O_CLOEXEC | O_NONBLOCK | 1);
      if (error !== 0) return error;
      const inode = new SpecialFile(files.nextInode(), 0o600, () => -EINVAL);
      const file = new EventCounter(inode, bits & O_NONBLOCK, uint(initial), (bits & 1) !== 0);
      return thread.process.files.add(file, (bits & O_CLOEXEC) !== 0);
    },
  },
  {
    number: 23,
    name: 'dup',
    args: ['fd'],
    run(_services, thread, [fd]) {
      const file = rawFileOf(thread, fd);
      return file === undefined ? -EBADF : thread.process.files.add(file, false);
    },
  },
  {
    number: 24,
    name: 'dup3',
    args: ['fd', 'fd', 'hex'],
    run(_services, thread, [from, to, flags]) {
      const error = checkFlags(int(flags), O_CLOEXEC);
      if (error !== 0 || int(from) === int(to)) return -EINVAL;
      const file = rawFileOf(thread, from);
      return file === undefined
        ? -EBADF
        : thread.process.files.put(int(to), file, (int(flags) & O_CLOEXEC) !== 0);
    },
  },
  {
    number: 25,
    name: 'fcntl',
    args: ['fd', 'int', 'hex'],
    *run(services, thread, [fd, command, arg]) {
      return yield* fcntl(services, thread, int(fd), int(command), arg);
    },
  },
  {
    number: 29,
    name: 'ioctl',
    args: ['fd', 'hex', 'hex'],
    *run(services, thread, [fd, request, arg]) {
      const { mm } = services;
      const { files } = thread.process;
      const file = fileOf(thread, fd);
      if (file === undefined) return -EBADF;
      const what = uint(request);
      if (what === FIOCLEX || what === FIONCLEX) return files.setCloseOnExec(int(fd), what === FIOCLEX);
      if (what === FIONBIO || what === FIOASYNC) {
        const word = yield* mm.copyFromUser(
          thread.process.mm,
          arg as Parameters<typeof mm.copyFromUser>[1],
          4,
        );
        if (word.length < 4) return -EFAULT;
        const on = word.some((byte) => byte !== 0);
        if (what === FIOASYNC) setAsync(services, file, int(fd), on);
        else file.flags = on ? file.flags | O_NONBLOCK : file.flags & ~O_NONBLOCK;
        return 0;
      }
      const terminal = terminalIoctl(services, thread, file, what, arg);
      if (terminal !== undefined) return typeof terminal === 'number' ? terminal : yield* terminal;
      const answer = file.ioctl(what);
      return typeof answer === 'number' ? answer : yield* writeUser(mm, thread, arg, answer);
    },
  },
  {
    number: 57,
    name: 'close',
    args: ['fd'],
    run(_services, thread, [fd]) {
      return thread.process.files.close(int(fd));
    },
  },
  {
    number: 59,
    name: 'pipe2',
    args: ['pointer', 'hex'],
    *run({ mm, files }, thread, [address, flags]) {
      const bits = int(flags);
      const error = checkFlags(bits, O_CLOEXEC | O_NONBLOCK | O_DIRECT);
      if (error !== 0) return error;
      const inode = new SpecialFile(files.nextInode(), S_IFIFO | 0o600, () => -EINVAL);
      own(inode, files.caller);
      const [readEnd, writeEnd] = makePipe(inode, bits & O_NONBLOCK);
      const table = thread.process.files;
      const first = table.add(readEnd, (bits & O_CLOEXEC) !== 0);
      const second = table.add(writeEnd, (bits & O_CLOEXEC) !== 0);
      if (first < 0 || second < 0) {
        if (first >= 0) table.close(first);
        return -EMFILE;
      }
      const bytes = new Uint8Array(8);
      const view = new DataView(bytes.buffer);
      view.setInt32(0, first, true);
      view.setInt32(4, second, true);
      const failed = yield* writeUser(mm, thread, address, bytes);
      if (failed !== 0) {
        table.close(first);
        table.close(second);
      }
      return failed;
    },
  },
  {
    number: 279,
    name: 'memfd_create',
    args: ['string', 'hex'],
    *run({ mm, files }, thread, [nameAddress, flags]) {
      const name = yield* readString(mm, thread, nameAddress, 250);
      if (typeof name === 'number') return name === -EFAULT ? -EFAULT : -EINVAL;
      // Huge pages are refused.
      const bits = uint(flags);
      const known = Object.values(MFD).reduce<number>((all, bit) => all | bit, 0);
      if ((bits & ~known) !== 0) return -EINVAL;
      const isNoExec = (bits & MFD.NOEXEC_SEAL) !== 0;
      if (isNoExec && (bits & MFD.EXEC) !== 0) return -EINVAL;
      const path = `/memfd:${new TextDecoder().decode(name)} (deleted)`;
      const inode = files.newFile(isNoExec ? 0o666 : 0o777, path);
      own(inode, files.caller);
      inode.links = 0;
      if ((bits & (MFD.ALLOW_SEALING | MFD.NOEXEC_SEAL)) !== 0) inode.seals = isNoExec ? F_SEAL.EXEC : 0;
      const file = new RegularOpenFile(inode, O_RDWR, path);
      return thread.process.files.add(file, (bits & MFD.CLOEXEC) !== 0);
    },
  },
  {
    number: 436,
    name: 'close_range',
    args: ['unsigned', 'unsigned', 'hex'],
    run(_services, thread, [first, last, flags]) {
      if (uint(first) > uint(last) || (uint(flags) & ~6) !== 0) return -EINVAL;
      // CLOSE_RANGE_UNSHARE: a table of one's own first.
      if ((uint(flags) & 2) !== 0) unshareFiles(thread.process);
      const { files } = thread.process;
      for (const fd of files.numbers) {
        if (fd < uint(first) || fd > uint(last)) continue;
        if ((uint(flags) & 4) !== 0) files.setCloseOnExec(fd, true);
        else files.close(fd);
      }
      return 0;
    },
  },
];
