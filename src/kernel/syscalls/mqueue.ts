/**
 * System calls of POSIX message queues. Told by a thread (SIGEV_THREAD) nobody can be: that goes through netlink.
 *
 * Ref. ipc/mqueue.c (do_mq_open, do_mq_timedsend, do_mq_timedreceive, do_mq_notify, do_mq_getsetattr).
 */
import {
  EAGAIN,
  EBADF,
  EBUSY,
  EEXIST,
  EFAULT,
  EINVAL,
  EMFILE,
  EMSGSIZE,
  ENOENT,
  ENOSPC,
  ERESTARTSYS,
  ETIMEDOUT,
  type MaySleep,
} from '../contexts/index.js';
import {
  HARD_BYTES,
  HARD_MESSAGES,
  inodePermission,
  letGo,
  MAY,
  MOST_PRIORITIES,
  MqueueFile,
  MqueueInode,
  O_ACCMODE,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_NONBLOCK,
} from '../fs/index.js';
import {
  CAP,
  capable,
  RLIMIT,
  readUser,
  sendToProcess,
  sentSignal,
  type Thread,
  writeU32,
  writeUser,
} from '../process/index.js';
import { fileOf, userPath } from './paths.js';
import { int, type Syscall, type SyscallServices, uint } from './row.js';
import { readTimespec, sleepUntil } from './sleeping.js';

/** struct mq_attr: flags, maxmsg, msgsize, curmsgs and four reserved words. */
const ATTR_BYTES = 64;
const SIGEV = { SIGNAL: 0, NONE: 1, THREAD: 2 } as const;
const SIGEVENT_BYTES = 64;

/** mqueue_create_attr() and mq_attr_ok(): a new queue, or why there cannot be one. */
function newQueue(
  { files }: SyscallServices,
  thread: Thread,
  mode: number,
  attributes: DataView | undefined,
): MqueueInode | number {
  const { mqueues } = files;
  const { limits } = mqueues;
  const isPrivileged = capable(thread.credentials, CAP.SYS_RESOURCE);
  if (mqueues.queues.length >= limits.queues_max && !isPrivileged) return -ENOSPC;
  const messages = attributes?.getBigInt64(8, true) ?? BigInt(Math.min(limits.msg_max, limits.msg_default));
  const bytes =
    attributes?.getBigInt64(16, true) ?? BigInt(Math.min(limits.msgsize_max, limits.msgsize_default));
  const [mostMessages, mostBytes] = isPrivileged
    ? [HARD_MESSAGES, HARD_BYTES]
    : [limits.msg_max, limits.msgsize_max];
  if (messages <= 0n || bytes <= 0n || messages > BigInt(mostMessages) || bytes > BigInt(mostBytes)) {
    return -EINVAL;
  }
  const inode = new MqueueInode(files.nextInode(), mode, Number(messages), Number(bytes));
  const charged = mqueues.charged(files.caller.uid) + inode.charge;
  return charged > thread.process.limits.soft(RLIMIT.MSGQUEUE) ? -EMFILE : inode;
}

function* open(
  services: SyscallServices,
  thread: Thread,
  nameAt: bigint,
  flags: number,
  mode: number,
  attributesAt: bigint,
): MaySleep<number> {
  const { files, mm } = services;
  const { mqueues } = files;
  const creates = (flags & O_CREAT) !== 0;
  const given = attributesAt === 0n ? undefined : yield* readUser(mm, thread, attributesAt, ATTR_BYTES);
  if (attributesAt !== 0n && given === undefined) return -EFAULT;
  const name = yield* userPath(services, thread, nameAt);
  if (typeof name === 'number') return name;
  if (name === '') return -ENOENT;
  const refusedName = mqueues.checkName(name);
  if (refusedName !== 0) return refusedName;
  const { root } = mqueues;
  let inode = root.lookup(name);
  if (inode === undefined) {
    if (!creates) return -ENOENT;
    const view = given && new DataView(given.buffer, given.byteOffset);
    const refused = inodePermission(root, MAY.WRITE | MAY.EXEC, files.caller);
    const made = refused || newQueue(services, thread, mode & ~thread.process.fs.umask, view);
    if (typeof made === 'number') return made;
    const error = files.create({ parent: root, name, inode: undefined, wantsDirectory: false }, made);
    if (error !== 0) return error;
    inode = made;
  } else {
    if (creates && (flags & O_EXCL) !== 0) return -EEXIST;
    if ((flags & O_ACCMODE) === O_ACCMODE) return -EINVAL;
    const refused = files.mayOpen(inode, flags & O_ACCMODE);
    if (refused !== 0) return refused;
  }
  if (!(inode instanceof MqueueInode)) return -EINVAL;
  const file = new MqueueFile(inode, flags & (O_ACCMODE | O_NONBLOCK), `/${name}`);
  return thread.process.files.add(file, true);
}

/** The queue of a descriptor, and how long to wait for it: as monotonic nanoseconds. */
function* queueAndDeadline(
  services: SyscallServices,
  thread: Thread,
  fd: bigint,
  timeout: bigint,
  writes: boolean,
): MaySleep<{ readonly file: MqueueFile; readonly deadline: bigint | undefined } | number> {
  let deadline: bigint | undefined;
  if (timeout !== 0n) {
    const until = yield* readTimespec(services, thread, timeout);
    if (typeof until === 'number') return until;
    deadline = until - (services.clock.realtime - services.clock.monotonic);
  }
  const file = fileOf(thread, fd);
  if (!(file instanceof MqueueFile) || !(writes ? file.writable : file.readable)) return -EBADF;
  return { file, deadline };
}

function* waitFor(
  services: SyscallServices,
  thread: Thread,
  { file, deadline }: { readonly file: MqueueFile; readonly deadline: bigint | undefined },
  condition: () => boolean,
): MaySleep<number> {
  if (condition()) return 0;
  if (file.nonblocking) return -EAGAIN;
  const ended = yield* sleepUntil(services, thread, deadline, [file.inode.changed], condition);
  return { met: 0, timeout: -ETIMEDOUT, signal: -ERESTARTSYS }[ended];
}

function* send(
  services: SyscallServices,
  thread: Thread,
  fd: bigint,
  [address, size, priority]: readonly [bigint, bigint, number],
  timeout: bigint,
): MaySleep<number> {
  if (priority >= MOST_PRIORITIES) return -EINVAL;
  const found = yield* queueAndDeadline(services, thread, fd, timeout, true);
  if (typeof found === 'number') return found;
  const { inode } = found.file;
  if (size > BigInt(inode.messageBytes)) return -EMSGSIZE;
  const text = yield* readUser(services.mm, thread, address, Number(size));
  if (text === undefined) return -EFAULT;
  found.file.users++;
  const error = yield* waitFor(services, thread, found, () => !inode.full);
  if (error === 0) inode.insert({ priority, text });
  letGo(found.file);
  return error;
}

function* receive(
  services: SyscallServices,
  thread: Thread,
  fd: bigint,
  [address, size, priorityAt]: readonly [bigint, bigint, bigint],
  timeout: bigint,
): MaySleep<number> {
  const found = yield* queueAndDeadline(services, thread, fd, timeout, false);
  if (typeof found === 'number') return found;
  const { inode } = found.file;
  if (size < BigInt(inode.messageBytes)) return -EMSGSIZE;
  found.file.users++;
  inode.receivers++;
  const error = yield* waitFor(services, thread, found, () => inode.messages.length > 0);
  inode.receivers--;
  const message = error === 0 ? inode.take() : undefined;
  letGo(found.file);
  if (message === undefined) return error;
  const told = priorityAt === 0n ? 0 : yield* writeU32(services.mm, thread, priorityAt, message.priority);
  const failed = told || (yield* writeUser(services.mm, thread, address, message.text));
  return failed !== 0 ? failed : message.text.length;
}

function* notify(services: SyscallServices, thread: Thread, fd: bigint, eventAt: bigint): MaySleep<number> {
  const { process } = thread;
  const event = eventAt === 0n ? undefined : yield* readUser(services.mm, thread, eventAt, SIGEVENT_BYTES);
  if (eventAt !== 0n && event === undefined) return -EFAULT;
  const view = event && new DataView(event.buffer, event.byteOffset);
  const signal = view?.getInt32(8, true) ?? 0;
  const kind = view?.getInt32(12, true) ?? SIGEV.NONE;
  if (kind !== SIGEV.NONE && kind !== SIGEV.SIGNAL && kind !== SIGEV.THREAD) return -EINVAL;
  if (kind === SIGEV.SIGNAL && (signal < 0 || signal > 64)) return -EINVAL;
  // The socket that would be told, which is none of netlink's.
  if (kind === SIGEV.THREAD) return fileOf(thread, BigInt(signal)) === undefined ? -EBADF : -EINVAL;
  const file = fileOf(thread, fd);
  if (!(file instanceof MqueueFile)) return -EBADF;
  const { inode } = file;
  if (view === undefined) {
    file.flush(process.files);
    return 0;
  }
  if (inode.notification !== undefined) return -EBUSY;
  const value = view.getBigUint64(0, true);
  const tell = () => {
    const sender = services.currentThread();
    if (kind !== SIGEV.SIGNAL || signal === 0) return;
    const from = { pid: sender?.process.pid ?? 0, uid: sender?.credentials.user.real ?? 0, value };
    sendToProcess(process, sentSignal(signal, 'SI_MESGQ', from));
  };
  inode.notification = { owner: process.files, pid: process.pid, kind, signal, tell };
  return 0;
}

function* getSetAttributes(
  services: SyscallServices,
  thread: Thread,
  fd: bigint,
  next: bigint,
  old: bigint,
): MaySleep<number> {
  const bytes = next === 0n ? undefined : yield* readUser(services.mm, thread, next, ATTR_BYTES);
  if (next !== 0n && bytes === undefined) return -EFAULT;
  const flags = bytes && new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0, true);
  if (flags !== undefined && (flags & ~BigInt(O_NONBLOCK)) !== 0n) return -EINVAL;
  const file = fileOf(thread, fd);
  if (!(file instanceof MqueueFile)) return -EBADF;
  const { inode } = file;
  const words = [file.flags & O_NONBLOCK, inode.mostMessages, inode.messageBytes, inode.messages.length];
  if (flags !== undefined) file.flags = (file.flags & ~O_NONBLOCK) | Number(flags);
  if (old === 0n) return 0;
  const answer = new Uint8Array(ATTR_BYTES);
  words.forEach((word, i) => {
    new DataView(answer.buffer).setBigInt64(8 * i, BigInt(word), true);
  });
  return yield* writeUser(services.mm, thread, old, answer);
}

export const mqueueSyscalls: readonly Syscall[] = [
  {
    number: 180,
    name: 'mq_open',
    args: ['string', 'hex', 'octal', 'pointer'],
    *run(services, thread, [name, flags, mode, attributes]) {
      return yield* open(services, thread, name, int(flags) & ~O_CLOEXEC, uint(mode), attributes);
    },
  },
  {
    number: 181,
    name: 'mq_unlink',
    args: ['string'],
    *run(services, thread, [nameAt]) {
      const name = yield* userPath(services, thread, nameAt);
      if (typeof name === 'number') return name;
      if (name === '') return -ENOENT;
      const { files } = services;
      return files.mqueues.checkName(name) || files.unlink(files.mqueues.root, name);
    },
  },
  {
    number: 182,
    name: 'mq_timedsend',
    args: ['fd', 'buffer', 'unsigned', 'unsigned', 'pointer'],
    *run(services, thread, [fd, address, size, priority, timeout]) {
      return yield* send(services, thread, fd, [address, size, uint(priority)], timeout);
    },
  },
  {
    number: 183,
    name: 'mq_timedreceive',
    args: ['fd', 'pointer', 'unsigned', 'pointer', 'pointer'],
    *run(services, thread, [fd, address, size, priority, timeout]) {
      return yield* receive(services, thread, fd, [address, size, priority], timeout);
    },
  },
  {
    number: 184,
    name: 'mq_notify',
    args: ['fd', 'pointer'],
    *run(services, thread, [fd, event]) {
      return yield* notify(services, thread, fd, event);
    },
  },
  {
    number: 185,
    name: 'mq_getsetattr',
    args: ['fd', 'pointer', 'pointer'],
    *run(services, thread, [fd, next, old]) {
      return yield* getSetAttributes(services, thread, fd, next, old);
    },
  },
];
