/**
 * Credentials: user and group numbers and capabilities of a thread, and how the set*id calls change them.
 *
 * Everybody starts as root. What asks for them: set*id itself, capset, prlimit, kill, setpriority, mlock's and
 * clone's limits, prctl, and the file system through fileCaller().
 *
 * Ref. struct cred, kernel/sys.c (__sys_setresuid and its relatives), security/commoncap.c
 * (cap_task_fix_setuid, cap_capset, cap_bprm_creds_from_file); capabilities(7).
 */
import { EINVAL, EPERM } from '../contexts/index.js';
import { type FileCaller, type Inode, PRIVILEGED, S_ISGID, S_ISUID, S_IXGRP } from '../fs/index.js';

export const CAP = {
  CHOWN: 0,
  DAC_OVERRIDE: 1,
  DAC_READ_SEARCH: 2,
  FOWNER: 3,
  FSETID: 4,
  KILL: 5,
  SETGID: 6,
  SETUID: 7,
  SETPCAP: 8,
  NET_BIND_SERVICE: 10,
  IPC_LOCK: 14,
  IPC_OWNER: 15,
  SYS_CHROOT: 18,
  SYS_PTRACE: 19,
  SYS_ADMIN: 21,
  SYS_BOOT: 22,
  SYS_NICE: 23,
  SYS_RESOURCE: 24,
  SYS_TTY_CONFIG: 26,
  MKNOD: 27,
  LEASE: 28,
  SYSLOG: 34,
  CHECKPOINT_RESTORE: 40,
} as const;
/** CAP_LAST_CAP. */
export const LAST_CAP = 40;
export const ALL_CAPABILITIES = (1n << BigInt(LAST_CAP + 1)) - 1n;
/** SECBIT_KEEP_CAPS. */
export const KEEP_CAPS = 1 << 4;

/** Real, effective, saved and file system number. */
export interface Ids {
  readonly real: number;
  readonly effective: number;
  readonly saved: number;
  readonly fs: number;
}

export interface Capabilities {
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly inheritable: bigint;
  readonly bounding: bigint;
  readonly ambient: bigint;
}

/** Replaced as a whole, never changed: threads may share one. */
export interface Credentials {
  readonly user: Ids;
  readonly group: Ids;
  readonly groups: readonly number[];
  readonly capabilities: Capabilities;
  /** SECBIT_*. */
  readonly securebits: number;
}

const ROOT: Ids = { real: 0, effective: 0, saved: 0, fs: 0 };

export const ROOT_CREDENTIALS: Credentials = {
  user: ROOT,
  group: ROOT,
  groups: [],
  capabilities: {
    effective: ALL_CAPABILITIES,
    permitted: ALL_CAPABILITIES,
    inheritable: 0n,
    bounding: ALL_CAPABILITIES,
    ambient: 0n,
  },
  securebits: 0,
};

export const capable = ({ capabilities }: Credentials, capability: number): boolean =>
  ((capabilities.effective >> BigInt(capability)) & 1n) === 1n;

/** What capabilities override where files are used. */
function fileRights(held: (capability: number) => boolean): Omit<FileCaller, 'uid' | 'gid' | 'groups'> {
  return {
    overrides: held(CAP.DAC_OVERRIDE),
    readsAll: held(CAP.DAC_READ_SEARCH),
    ownsAll: held(CAP.FOWNER),
    givesAway: held(CAP.CHOWN),
    keepsSetId: held(CAP.FSETID),
    makesDevices: held(CAP.MKNOD),
  };
}

/** Credentials never change, and every step of a path asks. */
const CALLERS = new WeakMap<Credentials, FileCaller>([[ROOT_CREDENTIALS, PRIVILEGED]]);

/** As whom a thread with these credentials uses files. */
export function fileCaller(credentials: Credentials): FileCaller {
  const known = CALLERS.get(credentials);
  if (known !== undefined) return known;
  const { user, group, groups } = credentials;
  const rights = fileRights((capability) => capable(credentials, capability));
  const caller = { uid: user.fs, gid: group.fs, groups, ...rights };
  CALLERS.set(credentials, caller);
  return caller;
}

/** access_override_creds(): access(2) asks for the real user, who has capabilities as root only. */
export function realFileCaller({ user, group, groups, capabilities }: Credentials): FileCaller {
  const isRoot = user.real === 0;
  const rights = fileRights((bit) => isRoot && ((capabilities.permitted >> BigInt(bit)) & 1n) === 1n);
  return { uid: user.real, gid: group.real, groups, ...rights };
}

/** cap_emulate_setxuid(): who stops being root loses what root may. */
function afterSetuid(before: Credentials, user: Ids): Credentials {
  const old = before.user;
  let { effective, permitted, ambient } = before.capabilities;
  const wasRoot = old.real === 0 || old.effective === 0 || old.saved === 0;
  const isRoot = user.real === 0 || user.effective === 0 || user.saved === 0;
  if (wasRoot && !isRoot) {
    if ((before.securebits & KEEP_CAPS) === 0) {
      permitted = 0n;
      effective = 0n;
    }
    ambient = 0n;
  }
  if (old.effective === 0 && user.effective !== 0) effective = 0n;
  if (old.effective !== 0 && user.effective === 0) effective = permitted;
  return { ...before, user, capabilities: { ...before.capabilities, effective, permitted, ambient } };
}

/** cap_ptrace_access_check() and the ids of __ptrace_may_access(): whether one may look into the other. */
export function mayInspect(viewer: Credentials, { user, group, capabilities }: Credentials): boolean {
  const is = (own: number, ids: Ids) => [ids.effective, ids.saved, ids.real].every((id) => id === own);
  const beyond = (capabilities.permitted & ~viewer.capabilities.permitted) !== 0n;
  return (
    (is(viewer.user.real, user) && is(viewer.group.real, group) && !beyond) || capable(viewer, CAP.SYS_PTRACE)
  );
}

export type IdKind = 'user' | 'group';

function withIds(before: Credentials, kind: IdKind, ids: Ids): Credentials {
  return kind === 'user' ? afterSetuid(before, ids) : { ...before, group: ids };
}

const mayChange = (credentials: Credentials, kind: IdKind): boolean =>
  capable(credentials, kind === 'user' ? CAP.SETUID : CAP.SETGID);

/** setresuid, setresgid: -1 leaves a number as it is. The new credentials or -EPERM. */
export function setResIds(
  before: Credentials,
  kind: IdKind,
  [real, effective, saved]: readonly [number, number, number],
): Credentials | number {
  const old = before[kind];
  const known = new Set([-1, old.real, old.effective, old.saved]);
  if (!mayChange(before, kind) && ![real, effective, saved].every((id) => known.has(id))) return -EPERM;
  const next = effective === -1 ? old.effective : effective;
  return withIds(before, kind, {
    real: real === -1 ? old.real : real,
    effective: next,
    saved: saved === -1 ? old.saved : saved,
    fs: next,
  });
}

/** setreuid, setregid. */
export function setReIds(
  before: Credentials,
  kind: IdKind,
  real: number,
  effective: number,
): Credentials | number {
  const old = before[kind];
  if (!mayChange(before, kind)) {
    if (real !== -1 && real !== old.real && real !== old.effective) return -EPERM;
    if (effective !== -1 && ![old.real, old.effective, old.saved].includes(effective)) return -EPERM;
  }
  const nextReal = real === -1 ? old.real : real;
  const next = effective === -1 ? old.effective : effective;
  const saves = real !== -1 || (effective !== -1 && effective !== old.real);
  return withIds(before, kind, {
    real: nextReal,
    effective: next,
    saved: saves ? next : old.saved,
    fs: next,
  });
}

/** setuid, setgid. */
export function setId(before: Credentials, kind: IdKind, id: number): Credentials | number {
  if (id === -1) return -EINVAL;
  const old = before[kind];
  if (mayChange(before, kind)) return withIds(before, kind, { real: id, effective: id, saved: id, fs: id });
  if (id !== old.real && id !== old.saved) return -EPERM;
  return withIds(before, kind, { ...old, effective: id, fs: id });
}

/** CAP_FS_SET: with CAP_LINUX_IMMUTABLE and CAP_MAC_OVERRIDE. */
const OF_FILES = [
  CAP.CHOWN,
  CAP.DAC_OVERRIDE,
  CAP.DAC_READ_SEARCH,
  CAP.FOWNER,
  CAP.FSETID,
  9,
  CAP.MKNOD,
  32,
].reduce((all, bit) => all | (1n << BigInt(bit)), 0n);

/** LSM_SETID_FS: whose file accesses are no longer root's, or are again. */
function withFileCapabilities(credentials: Credentials, before: number, after: number): Credentials {
  const { capabilities } = credentials;
  let { effective } = capabilities;
  if (before === 0 && after !== 0) effective &= ~OF_FILES;
  if (before !== 0 && after === 0) effective |= capabilities.permitted & OF_FILES;
  return { ...credentials, capabilities: { ...capabilities, effective } };
}

/** commit_creds(): whether what was the process's own to look into no longer is. */
export function hidesFrom(before: Credentials, after: Credentials): boolean {
  const kinds: readonly IdKind[] = ['user', 'group'];
  const moves = kinds.some((kind) => {
    const [old, now] = [before[kind], after[kind]];
    return old.effective !== now.effective || old.fs !== now.fs;
  });
  return moves || (after.capabilities.permitted & ~before.capabilities.permitted) !== 0n;
}

/** setfsuid, setfsgid: what it was stays where the new one is not allowed. */
export function setFsId(before: Credentials, kind: IdKind, id: number): Credentials {
  const old = before[kind];
  const allowed = mayChange(before, kind) || [old.real, old.effective, old.saved, old.fs].includes(id);
  if (id === -1 || !allowed) return before;
  const after = { ...before, [kind]: { ...old, fs: id } };
  return kind === 'user' ? withFileCapabilities(after, old.fs, id) : after;
}

/** cap_capset(): new sets, or -EPERM. */
export function setCapabilities(
  before: Credentials,
  next: Pick<Capabilities, 'effective' | 'permitted' | 'inheritable'>,
): Credentials | number {
  const { permitted, inheritable, bounding, ambient } = before.capabilities;
  const added = next.inheritable & ~inheritable;
  if (!capable(before, CAP.SETPCAP) && (added & ~permitted) !== 0n) return -EPERM;
  if ((added & ~bounding) !== 0n) return -EPERM;
  if ((next.permitted & ~permitted) !== 0n || (next.effective & ~next.permitted) !== 0n) return -EPERM;
  const kept = ambient & next.permitted & next.inheritable;
  return { ...before, capabilities: { ...next, bounding, ambient: kept } };
}

/** bprm_fill_uid(): a program that runs as its owner or group, unless nobody is to gain by execve. */
function withProgramIds(before: Credentials, program: Inode | undefined): Credentials {
  if (program === undefined) return before;
  const setsUser = (program.mode & S_ISUID) !== 0;
  const setsGroup = (program.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP);
  const { user, group } = before;
  return {
    ...before,
    user: setsUser ? { ...user, effective: program.uid } : user,
    group: setsGroup ? { ...group, effective: program.gid } : group,
  };
}

/**
 * cap_bprm_creds_from_file(): what a program starts with.
 *
 * @param program its file, where its set-user-ID and set-group-ID bits count.
 */
export function credentialsAfterExec(caller: Credentials, program?: Inode): Credentials {
  const before = withProgramIds(caller, program);
  const { user, group, capabilities, securebits } = before;
  const { inheritable, bounding, ambient } = capabilities;
  const root = user.real === 0 || user.effective === 0;
  const permitted = root ? inheritable | bounding : ambient;
  const effective = user.effective === 0 ? permitted : ambient;
  return {
    ...before,
    user: { ...user, saved: user.effective, fs: user.effective },
    group: { ...group, saved: group.effective, fs: group.effective },
    capabilities: { ...capabilities, permitted, effective },
    securebits: securebits & ~KEEP_CAPS,
  };
}

/** kill_ok_by_cred(). */
export function maySignal(sender: Credentials, target: Credentials): boolean {
  const { real, effective } = sender.user;
  const owners = [target.user.saved, target.user.real];
  return owners.includes(effective) || owners.includes(real) || capable(sender, CAP.KILL);
}
