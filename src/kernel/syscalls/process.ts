/**
 * System calls of processes: execve, exit, wait, identity, prctl.
 */
import { textOfBytes } from '../../base/index.js';
import {
  E2BIG,
  EACCES,
  EAGAIN,
  EBADF,
  ECHILD,
  EFAULT,
  EINVAL,
  ENOENT,
  EPERM,
  ESRCH,
  type MaySleep,
} from '../contexts/index.js';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  type Directory,
  type Inode,
  O_NONBLOCK,
} from '../fs/index.js';
import {
  endGroup,
  execve,
  NO_USAGE,
  type Process,
  readString,
  readU64,
  SI_CODE,
  type Thread,
  WCONTINUED,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  WUNTRACED,
  waitForChild,
  writeU32,
  writeUser,
  writeWords,
} from '../process/index.js';
import { rusageBytes } from './limits.js';
import { baseOf, fileOf, userPath } from './paths.js';
import { processOf } from './pidfd.js';
import { int, KEEP_REGISTERS, type Syscall, type SyscallServices, uint } from './row.js';

/** __WALL, __WCLONE and __WNOTHREAD make no difference here. */
const ANY_CHILD = 0xe0000000 | 0;

/** waitid's idtype of a pidfd. */
const P_PIDFD = 3;

/** MAX_ARG_STRLEN, and the sum of all strings: a quarter of the stack. */
const MOST_STRING = 131072;
const MOST_STRINGS = 2 * 2 ** 20;

/** argv or envp: zero-terminated pointers to strings. */
function* userStrings({ mm }: SyscallServices, thread: Thread, address: bigint): MaySleep<string[] | number> {
  const strings: string[] = [];
  if (address === 0n) return strings;
  let bytes = 0;
  for (let at = address; ; at += 8n) {
    const pointer = yield* readU64(mm, thread, at);
    if (pointer === undefined) return -EFAULT;
    if (pointer === 0n) return strings;
    const text = yield* readString(mm, thread, pointer, MOST_STRING);
    if (typeof text === 'number') return text === -EFAULT ? -EFAULT : -E2BIG;
    bytes += text.length + 9;
    if (bytes > MOST_STRINGS) return -E2BIG;
    strings.push(textOfBytes(text));
  }
}

interface ProgramAt {
  readonly base: Directory;
  /** What the program finds as the file's name (AT_EXECFN). */
  readonly path: string;
  readonly inode: Inode | undefined;
  /** The path that the thread is named after, where that is another. */
  readonly comm?: string;
  readonly follow: boolean;
}

/** do_open_execat() and alloc_bprm(): a path, or what a descriptor stands for, by the name that /dev/fd has for it. */
function* programAt(
  services: SyscallServices,
  thread: Thread,
  dirfd: bigint,
  path: bigint,
  flags: number,
): MaySleep<ProgramAt | number> {
  const name = yield* userPath(services, thread, path);
  if (typeof name === 'number') return name;
  if (name === '' && (flags & AT_EMPTY_PATH) === 0) return -ENOENT;
  if ((flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) !== 0) return -EINVAL;
  const { cwd } = thread.process.fs;
  const follow = (flags & AT_SYMLINK_NOFOLLOW) === 0;
  if (name === '') {
    if (int(dirfd) === AT_FDCWD) return -EACCES;
    const file = thread.process.files.get(int(dirfd));
    if (file === undefined) return -EBADF;
    return { base: cwd, path: `/dev/fd/${int(dirfd)}`, inode: file.inode, comm: file.path, follow };
  }
  const base = baseOf(thread, dirfd, name);
  if (typeof base === 'number') return base;
  if (name.startsWith('/') || int(dirfd) === AT_FDCWD) return { base, path: name, inode: undefined, follow };
  const inode = services.files.lookup(base, name, follow);
  if (typeof inode === 'number') return inode;
  return { base, path: `/dev/fd/${int(dirfd)}/${name}`, inode, follow };
}

function* executeProgram(
  services: SyscallServices,
  thread: Thread,
  dirfd: bigint,
  path: bigint,
  argv: bigint,
  envp: bigint,
  flags = 0,
): MaySleep<number> {
  const at = yield* programAt(services, thread, dirfd, path, flags);
  if (typeof at === 'number') return at;
  const args = yield* userStrings(services, thread, argv);
  if (typeof args === 'number') return args;
  const env = yield* userStrings(services, thread, envp);
  if (typeof env === 'number') return env;
  // A program always has a name.
  const { path: name, inode, comm = name, follow } = at;
  const request = { path: name, args: args.length === 0 ? [''] : args, env, inode, comm, follow };
  const error = yield* execve(services, thread, at.base, request);
  return error === 0 ? KEEP_REGISTERS : error;
}

function findProcess({ table }: SyscallServices, thread: Thread, pid: number): Process | undefined {
  return pid === 0 ? thread.process : (table.get(pid) ?? table.thread(pid)?.process);
}

function setGroup(services: SyscallServices, thread: Thread, pid: number, group: number): number {
  const target = findProcess(services, thread, pid);
  if (target === undefined || (target !== thread.process && target.parent !== thread.process)) return -ESRCH;
  if (group < 0) return -EINVAL;
  if (target.sid === target.pid || target.sid !== thread.process.sid) return -EPERM;
  const pgid = group === 0 ? target.pid : group;
  const members = services.table.group(pgid);
  if (pgid !== target.pid && !members.some((member) => member.sid === target.sid)) return -EPERM;
  target.pgid = pgid;
  return 0;
}

export const processSyscalls: readonly Syscall[] = [
  {
    number: 93,
    name: 'exit',
    args: ['int'],
    run(_services, thread, [status]) {
      thread.exiting = int(status) & 0xff;
      return 0;
    },
  },
  {
    number: 94,
    name: 'exit_group',
    args: ['int'],
    run(_services, { process }, [status]) {
      endGroup(process, { kind: 'exited', status: int(status) & 0xff });
      return 0;
    },
  },
  {
    number: 95,
    name: 'waitid',
    args: ['int', 'int', 'pointer', 'hex', 'pointer'],
    *run(services, thread, [type, id, info, options, usage]) {
      const bits = int(options);
      if ((bits & ~(WNOHANG | WUNTRACED | WEXITED | WCONTINUED | WNOWAIT | ANY_CHILD)) !== 0) return -EINVAL;
      if ((bits & (WEXITED | WUNTRACED | WCONTINUED)) === 0) return -EINVAL;
      if (int(type) < 0 || int(type) > P_PIDFD || (int(type) === 1 && int(id) <= 0) || int(id) < 0)
        return -EINVAL;
      const behind = int(type) === P_PIDFD ? processOf(thread, id) : undefined;
      if (typeof behind === 'number') return behind;
      const which = behind?.pid ?? [-1, int(id), int(id) === 0 ? 0 : -int(id)][int(type)]!;
      if (behind?.reaped === true) return -ECHILD;
      const isPolled = behind !== undefined && (fileOf(thread, id)!.flags & O_NONBLOCK) !== 0;
      const child = yield* waitForChild(services, thread, which, isPolled ? bits | WNOHANG : bits);
      if (child === 0 && isPolled && (bits & WNOHANG) === 0) return -EAGAIN;
      if (typeof child === 'number' && child < 0) return child;
      if (usage !== 0n) {
        const error = yield* writeUser(
          services.mm,
          thread,
          usage,
          rusageBytes(services, typeof child === 'number' ? NO_USAGE : (child.usage ?? NO_USAGE)),
        );
        if (error !== 0) return error;
      }
      if (info === 0n) return 0;
      const bytes = new Uint8Array(128);
      const view = new DataView(bytes.buffer);
      if (typeof child !== 'number') {
        view.setInt32(0, 17, true);
        view.setInt32(8, SI_CODE[child.code], true);
        view.setInt32(16, child.pid, true);
        view.setInt32(24, child.value, true);
      }
      return yield* writeUser(services.mm, thread, info, bytes);
    },
  },
  {
    number: 96,
    name: 'set_tid_address',
    args: ['pointer'],
    run(_services, thread, [address]) {
      thread.clearChildTid = address;
      return thread.tid;
    },
  },
  {
    number: 99,
    name: 'set_robust_list',
    args: ['pointer', 'unsigned'],
    run(_services, thread, [head, size]) {
      if (size !== 24n) return -EINVAL;
      thread.robustList = head;
      return 0;
    },
  },
  {
    number: 100,
    name: 'get_robust_list',
    args: ['int', 'pointer', 'pointer'],
    *run({ mm, table }, thread, [tid, head, size]) {
      const target = int(tid) === 0 ? thread : table.thread(int(tid));
      if (target === undefined) return -ESRCH;
      const error = yield* writeWords(mm, thread, size, [24n]);
      return error === 0 ? yield* writeWords(mm, thread, head, [target.robustList]) : error;
    },
  },
  {
    number: 154,
    name: 'setpgid',
    args: ['int', 'int'],
    run: (services, thread, [pid, group]) => setGroup(services, thread, int(pid), int(group)),
  },
  {
    number: 155,
    name: 'getpgid',
    args: ['int'],
    run: (services, thread, [pid]) => findProcess(services, thread, int(pid))?.pgid ?? -ESRCH,
  },
  {
    number: 156,
    name: 'getsid',
    args: ['int'],
    run: (services, thread, [pid]) => findProcess(services, thread, int(pid))?.sid ?? -ESRCH,
  },
  {
    number: 157,
    name: 'setsid',
    args: [],
    run({ table }, { process }) {
      if (table.group(process.pid).length > 0) return -EPERM;
      process.sid = process.pid;
      process.pgid = process.pid;
      return process.pid;
    },
  },
  { number: 172, name: 'getpid', args: [], run: (_services, { process }) => process.pid },
  { number: 173, name: 'getppid', args: [], run: (_services, { process }) => process.parent?.pid ?? 0 },
  { number: 178, name: 'gettid', args: [], run: (_services, thread) => thread.tid },
  {
    number: 221,
    name: 'execve',
    args: ['string', 'pointer', 'pointer'],
    *run(services, thread, [path, argv, envp]) {
      return yield* executeProgram(services, thread, -100n, path, argv, envp);
    },
  },
  {
    number: 260,
    name: 'wait4',
    args: ['int', 'pointer', 'hex', 'pointer'],
    *run(services, thread, [pid, status, options, usage]) {
      const bits = int(options);
      if ((bits & ~(WNOHANG | WUNTRACED | WCONTINUED | ANY_CHILD)) !== 0) return -EINVAL;
      const child = yield* waitForChild(services, thread, int(pid), (bits & 0xff) | WEXITED);
      if (typeof child === 'number') return child;
      if (status !== 0n) {
        const error = yield* writeU32(services.mm, thread, status, child.status);
        if (error !== 0) return error;
      }
      if (usage !== 0n) {
        const error = yield* writeUser(
          services.mm,
          thread,
          usage,
          rusageBytes(services, typeof child === 'number' ? NO_USAGE : (child.usage ?? NO_USAGE)),
        );
        if (error !== 0) return error;
      }
      return child.pid;
    },
  },
  {
    number: 281,
    name: 'execveat',
    args: ['fd', 'string', 'pointer', 'pointer', 'hex'],
    *run(services, thread, [dirfd, path, argv, envp, flags]) {
      return yield* executeProgram(services, thread, dirfd, path, argv, envp, uint(flags));
    },
  },
];
