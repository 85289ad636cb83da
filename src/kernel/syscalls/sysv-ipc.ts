/**
 * What the system calls of all three kinds of System V IPC have in common: who asks, and the *_STAT commands.
 *
 * Ref. ipc/util.c (ipcperms); shmctl(2), semctl(2), msgctl(2).
 */
import { EACCES, EINVAL, type MaySleep } from '../contexts/index.js';
import { IPC, IPC_READ, type IpcCaller, type IpcIds, type IpcObject, ipcAllows } from '../ipc/index.js';
import { CAP, capable, type Thread, writeUser } from '../process/index.js';
import type { SyscallServices } from './row.js';

/** The caller as IPC sees it. */
export function ipcCaller({ credentials, process }: Thread): IpcCaller {
  return {
    pid: process.pid,
    uid: credentials.user.effective,
    gid: credentials.group.effective,
    groups: credentials.groups,
    overrides: capable(credentials, CAP.IPC_OWNER),
    administers: capable(credentials, CAP.SYS_ADMIN),
  };
}

/** The commands that a kind has beside IPC_STAT; they name an object by its place, not by its id. */
interface StatCommands {
  readonly STAT: number;
  /** Asks for no permission. */
  readonly STAT_ANY: number;
}

/** IPC_STAT and the kind's two others: writes what `bytesOf` says to `address`; 0, an id or a negative errno. */
export function* ipcStat<T extends IpcObject>(
  { mm }: SyscallServices,
  thread: Thread,
  ids: IpcIds<T>,
  id: number,
  command: number,
  commands: StatCommands,
  address: bigint,
  bytesOf: (object: T) => Uint8Array,
): MaySleep<number> {
  const object = command === IPC.STAT ? ids.get(id) : (ids.at(id) ?? -EINVAL);
  if (typeof object === 'number') return object;
  if (command !== commands.STAT_ANY && ipcAllows(object, ipcCaller(thread), IPC_READ) !== 0) return -EACCES;
  const error = yield* writeUser(mm, thread, address, bytesOf(object));
  return error !== 0 || command === IPC.STAT ? error : object.perm.id;
}
