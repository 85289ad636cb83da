/**
 * fcntl commands of who is told about a file, by which signal: owners, O_ASYNC, folders (dnotify) and leases.
 *
 * Ref. fs/fcntl.c (f_setown_ex, f_getown_ex, f_getowner_uids, setfl), fs/notify/dnotify/dnotify.c, fs/locks.c
 * (fcntl_setlease).
 */
import {
  EACCES,
  EAGAIN,
  EFAULT,
  EINVAL,
  ENOTDIR,
  EPERM,
  ERESTARTSYS,
  ESRCH,
  type MaySleep,
} from '../contexts/index.js';
import {
  Directory,
  DN_RENAMED,
  F_RDLCK,
  F_UNLCK,
  F_WRLCK,
  type FileOwner,
  IN,
  type Inode,
  InotifyFile,
  O_ASYNC,
  O_NONBLOCK,
  type OpenFile,
  PipeEnd,
  POLLIN,
  POLLOUT,
  RegularFile,
} from '../fs/index.js';
import { Socket } from '../net/index.js';
import {
  CAP,
  capable,
  ownerLives,
  ownerOf,
  POLL_CODE,
  readUser,
  sendSigio,
  setFileOwner,
  type Thread,
  writeUser,
} from '../process/index.js';
import { PtyMaster, TtyFile } from '../tty/index.js';
import { int, type SyscallServices, uint } from './row.js';
import { sleepUntil } from './sleeping.js';

/** Commands of fcntl(2) that are here. */
export const TELL = {
  SETOWN: 8,
  GETOWN: 9,
  SETSIG: 10,
  GETSIG: 11,
  SETOWN_EX: 15,
  GETOWN_EX: 16,
  GETOWNER_UIDS: 17,
  SETLEASE: 1024,
  GETLEASE: 1025,
  NOTIFY: 1026,
} as const;
export const TELL_COMMANDS: ReadonlySet<number> = new Set(Object.values(TELL));

/** F_OWNER_TID, F_OWNER_PID, F_OWNER_PGRP, in their order. */
const KINDS: readonly FileOwner['kind'][] = ['thread', 'process', 'group'];
/** DN_*: what each is of inotify's events. */
const DN_EVENTS = [
  IN.ACCESS,
  IN.MODIFY,
  IN.CREATE | IN.MOVED_TO,
  IN.DELETE | IN.MOVED_FROM,
  DN_RENAMED,
  IN.ATTRIB,
];
const DN_MULTISHOT = 0x80000000;
const DN_ALL = (DN_MULTISHOT | 0x3f) >>> 0;

/** setfl(): O_ASYNC begins or ends; only what calls fasync_helper() has events. */
export function setAsync(state: SyscallServices, file: OpenFile, fd: number, on: boolean): void {
  file.stopTelling?.();
  file.stopTelling = undefined;
  file.flags = on ? file.flags | O_ASYNC : file.flags & ~O_ASYNC;
  const tells = [PipeEnd, Socket, TtyFile, PtyMaster, InotifyFile].some((kind) => file instanceof kind);
  if (!on || !tells) return;
  const happened = (events: number) => {
    const now = file.poll() & events;
    if ((now & POLLIN) !== 0 && file.readable) sendSigio(state, file, fd, POLL_CODE.IN);
    else if ((now & POLLOUT) !== 0 && file.writable) sendSigio(state, file, fd, POLL_CODE.OUT);
  };
  const stops = file.waitLists.map((list) => list.listen(happened));
  const stop = () => {
    for (const each of stops) each();
  };
  file.stopTelling = stop;
  file.onRelease.add(stop);
}

function* setOwner(
  state: SyscallServices,
  thread: Thread,
  file: OpenFile,
  address: bigint,
): MaySleep<number> {
  const bytes = yield* readUser(state.mm, thread, address, 8);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const kind = KINDS[view.getInt32(0, true)];
  const id = view.getInt32(4, true);
  if (kind === undefined) return -EINVAL;
  const owner = ownerOf(thread, kind, id);
  if (id !== 0 && !ownerLives(state, owner)) return -ESRCH;
  file.signalOwner = id === 0 ? undefined : owner;
  return 0;
}

/** An owner who is gone is nobody. */
function ownerNow(state: SyscallServices, { signalOwner: owner }: OpenFile): FileOwner | undefined {
  return owner !== undefined && ownerLives(state, owner) ? owner : undefined;
}

function* getOwner(
  { mm }: SyscallServices,
  thread: Thread,
  words: number[],
  address: bigint,
): MaySleep<number> {
  return yield* writeUser(mm, thread, address, new Uint8Array(Int32Array.from(words).buffer));
}

/** F_SETLEASE. */
function setLease(state: SyscallServices, thread: Thread, file: OpenFile, fd: number, type: number): number {
  const { files, clock } = state;
  if (type !== F_RDLCK && type !== F_WRLCK && type !== F_UNLCK) return -EINVAL;
  const isOwn = file.inode.uid === files.caller.uid || capable(thread.credentials, CAP.LEASE);
  if (!isOwn) return -EACCES;
  const tell = () => sendSigio(state, file, fd, POLL_CODE.MSG);
  const error = files.leases.set(file, type, clock.monotonic, tell);
  if (error === 0 && type !== F_UNLCK) file.signalOwner ??= ownerOf(thread, 'process', thread.process.pid);
  return error;
}

/** break_lease(): waits until nothing is in the way of opening a file so; 0 or a negative errno. */
export function* breakLease(
  state: SyscallServices,
  thread: Thread,
  inode: Inode,
  flags: number,
): MaySleep<number> {
  const { leases } = state.files;
  if (leases.none || !(inode instanceof RegularFile)) return 0;
  const isFree = () => leases.breakFor(inode, flags, state.clock.monotonic) === undefined;
  for (;;) {
    const until = leases.breakFor(inode, flags, state.clock.monotonic);
    if (until === undefined) return 0;
    if ((flags & O_NONBLOCK) !== 0) return -EAGAIN;
    const ended = yield* sleepUntil(state, thread, until, [leases.changed], isFree);
    if (ended === 'signal') return -ERESTARTSYS;
  }
}

/** fcntl_dirnotify(): one call adds to what the descriptor watches already, and 0 ends it. */
function notifyFolder(
  state: SyscallServices,
  thread: Thread,
  file: OpenFile,
  fd: number,
  arg: number,
): number {
  const { inode } = file;
  const { notifier } = state.files;
  if (!(inode instanceof Directory)) return -ENOTDIR;
  const known = notifier.folderWatch(inode, thread.process.files);
  if ((arg & DN_ALL & ~DN_MULTISHOT) === 0) {
    if (known !== undefined) notifier.remove(known);
    return 0;
  }
  const events = DN_EVENTS.reduce((all, event, bit) => (((arg >> bit) & 1) === 1 ? all | event : all), 0);
  const repeats = (arg & DN_MULTISHOT) !== 0 ? 0 : IN.ONESHOT;
  file.signalOwner ??= ownerOf(thread, 'process', thread.process.pid);
  if (known !== undefined) notifier.remove(known);
  const mask = (events | repeats | (known?.mask ?? 0)) >>> 0;
  notifier.watchFolder(inode, thread.process.files, file, mask, () =>
    sendSigio(state, file, fd, POLL_CODE.MSG),
  );
  return 0;
}

/** The commands of TELL. */
export function* tellCommand(
  state: SyscallServices,
  thread: Thread,
  file: OpenFile,
  [fd, command, arg]: readonly [number, number, bigint],
): MaySleep<number> {
  switch (command) {
    case TELL.SETOWN:
      return setFileOwner(state, thread, file, int(arg));
    case TELL.GETOWN: {
      const owner = ownerNow(state, file);
      return owner === undefined ? 0 : owner.kind === 'group' ? -owner.id : owner.id;
    }
    case TELL.SETOWN_EX:
      return yield* setOwner(state, thread, file, arg);
    case TELL.GETOWN_EX: {
      const { kind = 'thread', id = 0 } = ownerNow(state, file) ?? {};
      return yield* getOwner(state, thread, [KINDS.indexOf(kind), id], arg);
    }
    case TELL.GETOWNER_UIDS: {
      const { uid = 0, euid = 0 } = file.signalOwner ?? {};
      return yield* getOwner(state, thread, [uid, euid], arg);
    }
    case TELL.SETSIG:
      if (int(arg) < 0 || int(arg) > 64) return -EINVAL;
      file.signal = int(arg);
      return 0;
    case TELL.GETSIG:
      return file.signal;
    case TELL.SETLEASE:
      return setLease(state, thread, file, fd, int(arg));
    case TELL.GETLEASE:
      return state.files.leases.typeOf(file, state.clock.monotonic);
    case TELL.NOTIFY:
      return notifyFolder(state, thread, file, fd, uint(arg));
    default:
      return -EPERM;
  }
}
