/**
 * Credentials: user and group numbers and capabilities of a thread, and how the set*id calls change them.
 *
 * Everybody starts as root. What asks for them: set*id itself, capset, prlimit, kill, setpriority, mlock's and
 * clone's limits, prctl. Access to files is not checked against them, and the set-user-ID bits of programs have no
 * effect: every file can be used by everybody.
 *
 * Ref. struct cred, kernel/sys.c (__sys_setresuid and its relatives), security/commoncap.c
 * (cap_task_fix_setuid, cap_capset, cap_bprm_creds_from_file); capabilities(7).
 */
import { EINVAL, EPERM } from '../contexts/index.js';

export const CAP = {
  KILL: 5,
  SETGID: 6,
  SETUID: 7,
  SETPCAP: 8,
  IPC_LOCK: 14,
  IPC_OWNER: 15,
  SYS_CHROOT: 18,
  SYS_PTRACE: 19,
  SYS_ADMIN: 21,
  SYS_BOOT: 22,
  SYS_NICE: 23,
  SYS_RESOURCE: 24,
  SYS_TTY_CONFIG: 26,
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

/** setfsuid, setfsgid: what it was stays where the new one is not allowed. */
export function setFsId(before: Credentials, kind: IdKind, id: number): Credentials {
  const old = before[kind];
  const allowed = mayChange(before, kind) || [old.real, old.effective, old.saved, old.fs].includes(id);
  if (id === -1 || !allowed) return before;
  return { ...before, [kind]: { ...old, fs: id } };
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

/** cap_bprm_creds_from_file(): what a program of no special mode starts with. */
export function credentialsAfterExec(before: Credentials): Credentials {
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
