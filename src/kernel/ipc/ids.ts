/**
 * What the three kinds of System V IPC share: numbers and keys of objects, owners and permissions.
 *
 * Ref. ipc/util.c (ipc_idr_alloc, ipcget, ipcperms, ipc_update_perm); sysvipc(7).
 */
import { EACCES, EEXIST, EIDRM, EINVAL, ENOENT, ENOSPC, EPERM } from '../contexts/index.js';

export const IPC = {
  PRIVATE: 0,
  CREAT: 0o1000,
  EXCL: 0o2000,
  NOWAIT: 0o4000,
  RMID: 0,
  SET: 1,
  STAT: 2,
  INFO: 3,
} as const;

/** S_IRUGO and S_IWUGO: what a call asks for, whoever the caller is. */
export const IPC_READ = 0o444;
export const IPC_WRITE = 0o222;

/** IPCMNI_SHIFT: an id is a place and, above it, how often places were used again. */
const PLACE_BITS = 15;
const PLACES = 1 << PLACE_BITS;
const SEQUENCES = 1 << (31 - PLACE_BITS);
/** ipc_min_cycle: places that are used in turn before one is used again. */
const LEAST_CYCLE = 64;

/** Who calls, as far as IPC asks. */
export interface IpcCaller {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  /** CAP_IPC_OWNER. */
  readonly overrides: boolean;
  /** CAP_SYS_ADMIN. */
  readonly administers: boolean;
}

/** struct kern_ipc_perm. */
export interface IpcPermissions {
  /** IPC_PRIVATE once shared memory is marked to go. */
  key: number;
  readonly id: number;
  uid: number;
  gid: number;
  readonly cuid: number;
  readonly cgid: number;
  /** Permission bits, and SHM_DEST and SHM_LOCKED of shared memory. */
  mode: number;
}

export interface IpcObject {
  readonly perm: IpcPermissions;
}

/** ipcperms(): 0 or -EACCES. */
export function ipcAllows({ perm }: IpcObject, caller: IpcCaller, asked: number): number {
  const wanted = (asked >> 6) | (asked >> 3) | asked;
  let granted = perm.mode;
  if (caller.uid === perm.cuid || caller.uid === perm.uid) granted >>= 6;
  else if ([perm.gid, perm.cgid].some((gid) => gid === caller.gid || caller.groups.includes(gid)))
    granted >>= 3;
  return (wanted & ~granted & 7) !== 0 && !caller.overrides ? -EACCES : 0;
}

/** ipcctl_obtain_check(): who may change or remove. */
export function ipcOwns({ perm }: IpcObject, caller: IpcCaller): number {
  return caller.uid === perm.cuid || caller.uid === perm.uid || caller.administers ? 0 : -EPERM;
}

export class IpcIds<T extends IpcObject> {
  readonly #objects = new Map<number, T>();
  /** Objects at once. */
  most: number;
  #last = -1;
  #sequence = 0;
  #next = 0;

  /** @param most objects at once. */
  constructor(most: number) {
    this.most = most;
  }

  get size(): number {
    return this.#objects.size;
  }

  /** In the order of their places. */
  get all(): T[] {
    return [...this.#objects].sort(([a], [b]) => a - b).map(([, object]) => object);
  }

  /** The highest place in use, or 0: what IPC_INFO gives. */
  get highestPlace(): number {
    return Math.max(0, ...this.#objects.keys());
  }

  /** ipc_obtain_object_check(): -EINVAL where there is none, -EIDRM where its place has a new one. */
  get(id: number): T | number {
    if (id < 0) return -EINVAL;
    const found = this.#objects.get(id % PLACES);
    if (found === undefined) return -EINVAL;
    return found.perm.id === id ? found : -EIDRM;
  }

  /** SHM_STAT and its like: by place. */
  at(place: number): T | undefined {
    return this.#objects.get(place);
  }

  #byKey(key: number): T | undefined {
    for (const object of this.#objects.values()) if (object.perm.key === key) return object;
    return undefined;
  }

  /**
   * ipcget(): the id of the object of that key, or of a new one.
   *
   * @param make the new object, or a negative errno.
   * @param fits asked of one that is there: 0 or a negative errno.
   */
  open(
    caller: IpcCaller,
    key: number,
    flags: number,
    make: (perm: IpcPermissions) => T | number,
    fits: (object: T) => number,
  ): number {
    const found = key === IPC.PRIVATE ? undefined : this.#byKey(key);
    if (found !== undefined) {
      if ((flags & (IPC.CREAT | IPC.EXCL)) === (IPC.CREAT | IPC.EXCL)) return -EEXIST;
      const error = fits(found) || ipcAllows(found, caller, flags);
      return error === 0 ? found.perm.id : error;
    }
    if (key !== IPC.PRIVATE && (flags & IPC.CREAT) === 0) return -ENOENT;
    if (this.#objects.size >= this.most) return -ENOSPC;
    const place = this.#freePlace();
    if (place <= this.#last) this.#sequence = (this.#sequence + 1) % SEQUENCES;
    const { uid, gid } = caller;
    const id = this.#sequence * PLACES + place;
    const made = make({ key, id, uid, gid, cuid: uid, cgid: gid, mode: flags & 0o777 });
    if (typeof made === 'number') return made;
    this.#last = place;
    this.#next = place + 1;
    this.#objects.set(place, made);
    return id;
  }

  #freePlace(): number {
    const cycle = Math.min(Math.max(Math.floor((this.#objects.size * 3) / 2), LEAST_CYCLE), PLACES);
    let place = this.#next % cycle;
    while (this.#objects.has(place)) place = (place + 1) % cycle;
    return place;
  }

  remove({ perm }: T): void {
    this.#objects.delete(perm.id % PLACES);
  }
}

/** struct ipc64_perm of 48 bytes. */
export function writePermissions(
  view: DataView,
  { key, id, uid, gid, cuid, cgid, mode }: IpcPermissions,
): void {
  [key, uid, gid, cuid, cgid, mode].forEach((word, i) => {
    view.setUint32(4 * i, word >>> 0, true);
  });
  view.setUint16(24, Math.floor(id / PLACES), true);
}

/** ipc_update_perm(), from what IPC_SET was given. */
export function changePermissions(perm: IpcPermissions, view: DataView): void {
  perm.uid = view.getUint32(4, true);
  perm.gid = view.getUint32(8, true);
  perm.mode = (perm.mode & ~0o777) | (view.getUint32(20, true) & 0o777);
}

/** Columns of a /proc/sysvipc line: values and widths. */
export const ipcLine = (columns: readonly (readonly [value: number | string, width: number])[]): string =>
  `${columns.map(([value, width]) => String(value).padStart(width)).join(' ')}\n`;
