/**
 * prctl(2): what a thread says of itself.
 *
 * Ref. kernel/sys.c (prctl), security/commoncap.c (cap_task_prctl).
 */
import { bytesOfText, textOfBytes } from '../../base/index.js';
import { EFAULT, EINVAL, EPERM, type MaySleep } from '../contexts/index.js';
import {
  CAP,
  type Credentials,
  capable,
  DEFAULT_SLACK,
  getTaggedAddrCtrl,
  KEEP_CAPS,
  LAST_CAP,
  PRCTL,
  readString,
  readUser,
  resetKeys,
  SECCOMP,
  setTaggedAddrCtrl,
  type Thread,
  writeU32,
  writeUser,
  writeWords,
} from '../process/index.js';
import { int, long, type Syscall, type SyscallServices } from './row.js';
import { setFilter, setStrict } from './seccomp.js';

const PR = {
  SET_PDEATHSIG: 1,
  GET_PDEATHSIG: 2,
  GET_DUMPABLE: 3,
  SET_DUMPABLE: 4,
  GET_KEEPCAPS: 7,
  SET_KEEPCAPS: 8,
  SET_NAME: 15,
  GET_NAME: 16,
  GET_SECCOMP: 21,
  SET_SECCOMP: 22,
  CAPBSET_READ: 23,
  CAPBSET_DROP: 24,
  GET_SECUREBITS: 27,
  SET_SECUREBITS: 28,
  SET_TIMERSLACK: 29,
  GET_TIMERSLACK: 30,
  SET_CHILD_SUBREAPER: 36,
  GET_CHILD_SUBREAPER: 37,
  SET_NO_NEW_PRIVS: 38,
  GET_NO_NEW_PRIVS: 39,
  GET_TID_ADDRESS: 40,
  CAP_AMBIENT: 47,
  SET_MEMORY_MERGE: 67,
  GET_MEMORY_MERGE: 68,
  PAC_RESET_KEYS: 54,
} as const;

function* prctl(
  services: SyscallServices,
  thread: Thread,
  option: number,
  args: readonly [bigint, bigint, bigint, bigint],
): MaySleep<number> {
  const { mm, mte, pac, keyRandom } = services;
  const [arg2, arg3, arg4, arg5] = args;
  const { process } = thread;
  switch (option) {
    case PRCTL.SET_TAGGED_ADDR_CTRL: {
      if (arg3 !== 0n || arg4 !== 0n || arg5 !== 0n) return -EINVAL;
      const control = setTaggedAddrCtrl(arg2, mte);
      if (typeof control === 'number') return control;
      thread.control = control;
      return 0;
    }
    case PRCTL.GET_TAGGED_ADDR_CTRL:
      if (arg2 !== 0n || arg3 !== 0n || arg4 !== 0n || arg5 !== 0n) return -EINVAL;
      return getTaggedAddrCtrl(thread.control);
    case PR.SET_PDEATHSIG:
      if (arg2 > 64n) return -EINVAL;
      process.parentDeathSignal = Number(arg2);
      return 0;
    case PR.GET_PDEATHSIG:
      return yield* writeU32(mm, thread, arg2, process.parentDeathSignal);
    case PR.GET_DUMPABLE:
      return process.dumpable;
    case PR.SET_DUMPABLE:
      if (arg2 > 1n) return -EINVAL;
      process.dumpable = Number(arg2);
      return 0;
    case PR.SET_NAME: {
      const name = yield* readString(mm, thread, arg2, 16);
      if (name === -EFAULT) return -EFAULT;
      const bytes = typeof name === 'number' ? yield* readUser(mm, thread, arg2, 15) : name;
      thread.comm = textOfBytes(bytes ?? new Uint8Array());
      return 0;
    }
    case PR.GET_NAME: {
      const name = new Uint8Array(16);
      name.set(bytesOfText(thread.comm).subarray(0, 15));
      return yield* writeUser(mm, thread, arg2, name);
    }
    case PR.GET_SECCOMP:
      return thread.seccompMode;
    case PR.SET_SECCOMP:
      if (arg2 === BigInt(SECCOMP.STRICT)) return setStrict(thread);
      return arg2 === BigInt(SECCOMP.FILTER) ? yield* setFilter(services, thread, 0, arg3) : -EINVAL;
    case PR.SET_TIMERSLACK:
      thread.timerSlack = long(arg2) <= 0n ? DEFAULT_SLACK : arg2;
      return 0;
    case PR.GET_TIMERSLACK:
      return Number(thread.timerSlack);
    case PR.SET_CHILD_SUBREAPER:
      process.isSubreaper = arg2 !== 0n;
      return 0;
    case PR.GET_CHILD_SUBREAPER:
      return yield* writeU32(mm, thread, arg2, process.isSubreaper ? 1 : 0);
    case PR.GET_TID_ADDRESS:
      return yield* writeWords(mm, thread, arg2, [thread.clearChildTid]);
    case PR.PAC_RESET_KEYS: {
      if (!pac || arg3 !== 0n || arg4 !== 0n || arg5 !== 0n) return -EINVAL;
      const keys = resetKeys(process.program.keys, arg2, keyRandom);
      if (typeof keys === 'number') return keys;
      process.program = { ...process.program, keys };
      return 0;
    }
    case PR.SET_MEMORY_MERGE:
      if (arg3 !== 0n || arg4 !== 0n || arg5 !== 0n) return -EINVAL;
      return yield* mm.setMemoryMerge(process.mm, arg2 !== 0n);
    case PR.GET_MEMORY_MERGE:
      if (arg2 !== 0n || arg3 !== 0n || arg4 !== 0n || arg5 !== 0n) return -EINVAL;
      return process.mm.mergeAny ? 1 : 0;
    case PR.SET_NO_NEW_PRIVS:
      if (arg2 !== 1n || arg3 !== 0n || arg4 !== 0n || arg5 !== 0n) return -EINVAL;
      process.noNewPrivileges = true;
      return 0;
    case PR.GET_NO_NEW_PRIVS:
      return process.noNewPrivileges ? 1 : 0;
    default:
      // PR_SET_VMA (names of anonymous memory) and everything else: as a kernel built without it.
      return capabilityPrctl(thread, option, args) ?? -EINVAL;
  }
}

/** PR_CAP_AMBIENT's operations. */
const AMBIENT = { IS_SET: 1, RAISE: 2, LOWER: 3, CLEAR_ALL: 4 } as const;
/** SECURE_ALL_BITS, and the locks among them. */
const SECUREBITS = 0xff;
const SECURE_LOCKS = 0xaa;

/** cap_task_prctl(): undefined for what is not about capabilities. */
function capabilityPrctl(
  thread: Thread,
  option: number,
  [arg2, arg3, arg4, arg5]: readonly [bigint, bigint, bigint, bigint],
): number | undefined {
  const { credentials } = thread;
  const { capabilities, securebits } = credentials;
  const change = (next: Partial<Credentials>): number => {
    thread.credentials = { ...credentials, ...next };
    return 0;
  };
  const bit = 1n << (arg2 & 63n);
  switch (option) {
    case PR.CAPBSET_READ:
      if (arg2 > BigInt(LAST_CAP)) return -EINVAL;
      return (capabilities.bounding & bit) === 0n ? 0 : 1;
    case PR.CAPBSET_DROP:
      if (!capable(credentials, CAP.SETPCAP)) return -EPERM;
      if (arg2 > BigInt(LAST_CAP)) return -EINVAL;
      return change({ capabilities: { ...capabilities, bounding: capabilities.bounding & ~bit } });
    case PR.GET_KEEPCAPS:
      return (securebits & KEEP_CAPS) === 0 ? 0 : 1;
    case PR.SET_KEEPCAPS:
      if (arg2 > 1n) return -EINVAL;
      return change({ securebits: arg2 === 1n ? securebits | KEEP_CAPS : securebits & ~KEEP_CAPS });
    case PR.GET_SECUREBITS:
      return securebits;
    case PR.SET_SECUREBITS: {
      const next = Number(arg2 & 0xffffffffn);
      // What is locked stays, and locks are not taken away.
      const locked = ((securebits & SECURE_LOCKS) >> 1) & (securebits ^ next);
      if (locked !== 0 || (securebits & SECURE_LOCKS & ~next) !== 0 || (next & ~SECUREBITS) !== 0)
        return -EPERM;
      if (!capable(credentials, CAP.SETPCAP)) return -EPERM;
      return change({ securebits: next });
    }
    case PR.CAP_AMBIENT: {
      const operation = int(arg2);
      if (arg4 !== 0n || arg5 !== 0n) return -EINVAL;
      const { ambient, permitted, inheritable } = capabilities;
      if (operation === AMBIENT.CLEAR_ALL) {
        return arg3 === 0n ? change({ capabilities: { ...capabilities, ambient: 0n } }) : -EINVAL;
      }
      if (arg3 > BigInt(LAST_CAP)) return -EINVAL;
      const one = 1n << arg3;
      if (operation === AMBIENT.IS_SET) return (ambient & one) === 0n ? 0 : 1;
      if (operation === AMBIENT.LOWER)
        return change({ capabilities: { ...capabilities, ambient: ambient & ~one } });
      if (operation !== AMBIENT.RAISE) return -EINVAL;
      if ((permitted & inheritable & one) === 0n) return -EPERM;
      return change({ capabilities: { ...capabilities, ambient: ambient | one } });
    }
    default:
      return undefined;
  }
}

export const prctlSyscalls: readonly Syscall[] = [
  {
    number: 167,
    name: 'prctl',
    args: ['int', 'hex', 'hex', 'hex', 'hex'],
    *run(services, thread, [option, arg2, arg3, arg4, arg5]) {
      return yield* prctl(services, thread, int(option), [arg2, arg3, arg4, arg5]);
    },
  },
];
