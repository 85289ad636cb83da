/**
 * System calls of identity: user and group numbers, supplementary groups, capabilities.
 *
 * Ref. kernel/sys.c, kernel/groups.c, kernel/capability.c.
 */
import { EFAULT, EINVAL, EPERM, ESRCH, type MaySleep } from '../contexts/index.js';
import {
  ALL_CAPABILITIES,
  CAP,
  type Credentials,
  capable,
  hidesFrom,
  type IdKind,
  readU32,
  readUser,
  setCapabilities,
  setFsId,
  setId,
  setReIds,
  setResIds,
  type Thread,
  writeU32,
  writeUser,
} from '../process/index.js';
import { int, type Syscall, type SyscallServices, uint } from './row.js';

/** NGROUPS_MAX. */
const MOST_GROUPS = 65536;
/** _LINUX_CAPABILITY_VERSION_1, 2 and 3: how many 32-bit words each set has. */
const CAPABILITY_WORDS: ReadonlyMap<number, number> = new Map([
  [0x19980330, 1],
  [0x20071026, 2],
  [0x20080522, 2],
]);
const LATEST_VERSION = 0x20080522;

/** Takes over new credentials, unless they are a negative errno. */
function take(thread: Thread, next: Credentials | number): number {
  if (typeof next === 'number') return next;
  if (hidesFrom(thread.credentials, next)) {
    thread.process.dumpable = 0;
    thread.process.parentDeathSignal = 0;
  }
  thread.credentials = next;
  return 0;
}

function* writeIds(
  { mm }: SyscallServices,
  thread: Thread,
  kind: IdKind,
  addresses: readonly bigint[],
): MaySleep<number> {
  const { real, effective, saved } = thread.credentials[kind];
  for (const [i, id] of [real, effective, saved].entries()) {
    if ((yield* writeU32(mm, thread, addresses[i] ?? 0n, id)) !== 0) return -EFAULT;
  }
  return 0;
}

const KINDS: readonly (readonly [kind: IdKind, letter: 'u' | 'g', numbers: readonly number[]])[] = [
  ['user', 'u', [145, 146, 147, 148, 151, 174, 175]],
  ['group', 'g', [143, 144, 149, 150, 152, 176, 177]],
];

/** setreXid, setXid, setresXid, getresXid, setfsXid, getXid, geteXid. */
function idCalls(kind: IdKind, x: 'u' | 'g', numbers: readonly number[]): Syscall[] {
  const ids = (count: number) => new Array<'int'>(count).fill('int');
  const calls: Omit<Syscall, 'number'>[] = [
    {
      name: `setre${x}id`,
      args: ids(2),
      run: (_services, thread, [real, effective]) =>
        take(thread, setReIds(thread.credentials, kind, int(real), int(effective))),
    },
    {
      name: `set${x}id`,
      args: ids(1),
      run: (_services, thread, [id]) => take(thread, setId(thread.credentials, kind, int(id))),
    },
    {
      name: `setres${x}id`,
      args: ids(3),
      run: (_services, thread, [real, effective, saved]) =>
        take(thread, setResIds(thread.credentials, kind, [int(real), int(effective), int(saved)])),
    },
    {
      name: `getres${x}id`,
      args: ['pointer', 'pointer', 'pointer'],
      *run(services, thread, addresses) {
        return yield* writeIds(services, thread, kind, addresses);
      },
    },
    {
      name: `setfs${x}id`,
      args: ids(1),
      run(_services, thread, [id]) {
        const before = thread.credentials[kind].fs;
        take(thread, setFsId(thread.credentials, kind, int(id)));
        return before;
      },
    },
    { name: `get${x}id`, args: [], run: (_services, { credentials }) => credentials[kind].real >>> 0 },
    { name: `gete${x}id`, args: [], run: (_services, { credentials }) => credentials[kind].effective >>> 0 },
  ];
  return calls.map((call, i) => ({ number: numbers[i]!, ...call }));
}

/** The header's version: how many words a set has; an unknown one is answered with the latest. */
function* capabilityHeader(
  { mm, table }: SyscallServices,
  thread: Thread,
  header: bigint,
): MaySleep<{ readonly words: number; readonly target: Thread | number } | number> {
  const version = yield* readU32(mm, thread, header);
  const pid = yield* readU32(mm, thread, header + 4n);
  if (version === undefined) return -EFAULT;
  const words = CAPABILITY_WORDS.get(version);
  if (words === undefined) {
    const error = yield* writeU32(mm, thread, header, LATEST_VERSION);
    return error === 0 ? -EINVAL : error;
  }
  if (pid === undefined) return -EFAULT;
  const id = pid | 0;
  if (id < 0) return { words, target: -EINVAL };
  return { words, target: id === 0 ? thread : (table.thread(id) ?? -ESRCH) };
}

const low = (set: bigint): number => Number(set & 0xffffffffn);

function* capget(services: SyscallServices, thread: Thread, header: bigint, data: bigint): MaySleep<number> {
  const head = yield* capabilityHeader(services, thread, header);
  // A probe for the version, without a place for the sets, is no error.
  if (typeof head === 'number') return head === -EINVAL && data === 0n ? 0 : head;
  if (typeof head.target === 'number') return head.target;
  if (data === 0n) return 0;
  const { effective, permitted, inheritable } = head.target.credentials.capabilities;
  const bytes = new Uint8Array(12 * head.words);
  const view = new DataView(bytes.buffer);
  for (let word = 0; word < head.words; word++) {
    [effective, permitted, inheritable].forEach((set, i) => {
      view.setUint32(12 * word + 4 * i, low(set >> BigInt(32 * word)), true);
    });
  }
  return yield* writeUser(services.mm, thread, data, bytes);
}

function* capset(services: SyscallServices, thread: Thread, header: bigint, data: bigint): MaySleep<number> {
  const head = yield* capabilityHeader(services, thread, header);
  if (typeof head === 'number') return head;
  // Only one's own.
  if (typeof head.target === 'number' || head.target !== thread) return -EPERM;
  const bytes = yield* readUser(services.mm, thread, data, 12 * head.words);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer);
  const set = (i: number): bigint => {
    let all = 0n;
    for (let word = 0; word < head.words; word++) {
      all |= BigInt(view.getUint32(12 * word + 4 * i, true)) << BigInt(32 * word);
    }
    return all & ALL_CAPABILITIES;
  };
  const next = { effective: set(0), permitted: set(1), inheritable: set(2) };
  return take(thread, setCapabilities(thread.credentials, next));
}

export const credentialSyscalls: readonly Syscall[] = [
  ...KINDS.flatMap(([kind, letter, numbers]) => idCalls(kind, letter, numbers)),
  {
    number: 90,
    name: 'capget',
    args: ['pointer', 'pointer'],
    *run(services, thread, [header, data]) {
      return yield* capget(services, thread, header, data);
    },
  },
  {
    number: 91,
    name: 'capset',
    args: ['pointer', 'pointer'],
    *run(services, thread, [header, data]) {
      return yield* capset(services, thread, header, data);
    },
  },
  {
    number: 158,
    name: 'getgroups',
    args: ['int', 'pointer'],
    *run({ mm }, thread, [size, address]) {
      const { groups } = thread.credentials;
      if (int(size) < 0) return -EINVAL;
      if (int(size) === 0) return groups.length;
      if (groups.length > int(size)) return -EINVAL;
      const bytes = new Uint8Array(Uint32Array.from(groups).buffer);
      const error = yield* writeUser(mm, thread, address, bytes);
      return error === 0 ? groups.length : error;
    },
  },
  {
    number: 159,
    name: 'setgroups',
    args: ['int', 'pointer'],
    *run({ mm }, thread, [size, address]) {
      if (!capable(thread.credentials, CAP.SETGID)) return -EPERM;
      if (uint(size) > MOST_GROUPS) return -EINVAL;
      const bytes = yield* readUser(mm, thread, address, 4 * uint(size));
      if (bytes === undefined) return -EFAULT;
      const view = new DataView(bytes.buffer);
      const groups = Array.from({ length: uint(size) }, (_, i) => view.getUint32(4 * i, true));
      thread.credentials = { ...thread.credentials, groups: groups.sort((a, b) => a - b) };
      return 0;
    },
  },
];
