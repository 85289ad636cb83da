/**
 * Who may do what with an inode: permission bits, owners, sticky folders, and what capabilities override.
 *
 * Ref. fs/namei.c (generic_permission, __check_sticky), fs/inode.c (inode_init_owner,
 * inode_owner_or_capable), fs/attr.c (setattr_prepare); capabilities(7).
 */
import { EACCES, EPERM, EROFS } from '../contexts/index.js';
import { S_IFDIR, S_ISGID, S_ISUID, S_ISVTX, S_IXGRP } from './abi.js';
import { Directory, type Inode } from './inode.js';

/** MAY_*: as the last three permission bits have them. */
export const MAY = { EXEC: 1, WRITE: 2, READ: 4 } as const;

/** Who asks: numbers of file access, and the capabilities that matter to files. */
export interface FileCaller {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  /** CAP_DAC_OVERRIDE: everything but executing what nobody may execute. */
  readonly overrides: boolean;
  /** CAP_DAC_READ_SEARCH. */
  readonly readsAll: boolean;
  /** CAP_FOWNER: as if everything were its own. */
  readonly ownsAll: boolean;
  /** CAP_CHOWN. */
  readonly givesAway: boolean;
  /** CAP_FSETID: set-group-ID bits of other groups stay. */
  readonly keepsSetId: boolean;
  /** CAP_MKNOD. */
  readonly makesDevices: boolean;
}

/** The kernel itself, and root. */
export const PRIVILEGED: FileCaller = {
  uid: 0,
  gid: 0,
  groups: [],
  overrides: true,
  readsAll: true,
  ownsAll: true,
  givesAway: true,
  keepsSetId: true,
  makesDevices: true,
};

const inGroup = ({ gid, groups }: FileCaller, group: number): boolean =>
  gid === group || groups.includes(group);

/** mnt_want_write() of what is about to change otherwise than by writing: 0 or -EROFS. */
export const mayChange = (inode: Inode): number => (inode.store?.readOnly === true ? -EROFS : 0);

/** inode_permission(): 0, or -EACCES or -EROFS for MAY_* bits. */
export function inodePermission(inode: Inode, mask: number, caller: FileCaller): number {
  const isDirectory = inode.type === S_IFDIR;
  if ((mask & MAY.WRITE) !== 0 && inode.store?.readOnly === true) return -EROFS;
  if (caller.overrides && (isDirectory || (mask & MAY.EXEC) === 0)) return 0;
  const shift = inode.uid === caller.uid ? 6 : inGroup(caller, inode.gid) ? 3 : 0;
  if ((mask & ~(inode.mode >> shift) & 7) === 0) return 0;
  if (caller.overrides && (inode.mode & 0o111) !== 0) return 0;
  if (caller.readsAll && (isDirectory ? (mask & MAY.WRITE) === 0 : mask === MAY.READ)) return 0;
  return -EACCES;
}

/** inode_owner_or_capable(). */
export const isOwner = (inode: Inode, caller: FileCaller): boolean =>
  inode.uid === caller.uid || caller.ownsAll;

/** may_delete() of an entry that is there: -EACCES without write access to the folder, -EPERM in a sticky one. */
export function mayDelete(parent: Directory, inode: Inode, caller: FileCaller): number {
  const error = inodePermission(parent, MAY.WRITE | MAY.EXEC, caller);
  if (error !== 0) return error;
  const isSticky = (parent.mode & S_ISVTX) !== 0 && parent.uid !== caller.uid;
  return isSticky && !isOwner(inode, caller) ? -EPERM : 0;
}

/** Of an inode that is in no folder: a pipe, a memfd. */
export function own(inode: Inode, { uid, gid }: FileCaller): void {
  inode.uid = uid;
  inode.gid = gid;
}

/** inode_init_owner(): of a new inode in a folder. */
export function initOwner(inode: Inode, parent: Directory, caller: FileCaller): void {
  inode.uid = caller.uid;
  inode.gid = caller.gid;
  if ((parent.mode & S_ISGID) === 0) return;
  inode.gid = parent.gid;
  if (inode instanceof Directory) {
    inode.mode |= S_ISGID;
    return;
  }
  const setsGroup = (inode.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP);
  if (setsGroup && !inGroup(caller, inode.gid) && !caller.keepsSetId) inode.mode &= ~S_ISGID;
}

/** chmod(2)'s new permission bits, or -EPERM. */
export function changedMode(inode: Inode, mode: number, caller: FileCaller): number {
  if (!isOwner(inode, caller)) return -EPERM;
  const foreign = !inGroup(caller, inode.gid) && !caller.keepsSetId;
  return mode & 0o7777 & ~(foreign ? S_ISGID : 0);
}

/** chown(2), -1 leaving a number as it is: 0 or -EPERM. What runs as its owner or group no longer does. */
export function changeOwner(inode: Inode, uid: number, gid: number, caller: FileCaller): number {
  const owns = inode.uid === caller.uid;
  const mayUser = uid === -1 || caller.givesAway || (owns && uid >>> 0 === inode.uid);
  const mayGroup =
    gid === -1 || caller.givesAway || (owns && (inGroup(caller, gid >>> 0) || gid >>> 0 === inode.gid));
  if (!mayUser || !mayGroup) return -EPERM;
  if (uid !== -1) inode.uid = uid >>> 0;
  if (gid !== -1) inode.gid = gid >>> 0;
  if (!(inode instanceof Directory)) dropSetIds(inode);
  return 0;
}

/** setattr_should_drop_suidgid(): a set-group-ID bit without execution by the group is no such bit. */
export function dropSetIds(inode: Inode): void {
  const setsGroup = (inode.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP);
  inode.mode &= ~(S_ISUID | (setsGroup ? S_ISGID : 0));
}
