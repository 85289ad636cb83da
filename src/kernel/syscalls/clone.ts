/**
 * System calls that make processes and threads: clone and clone3.
 *
 * Ref. kernel/fork.c (copy_clone_args_from_user, clone3_args_valid), kernel/pid.c (alloc_pid) of Linux 6.8; clone(2).
 */
import { E2BIG, EBADF, EFAULT, EINVAL, type MaySleep } from '../contexts/index.js';
import { CLONE, cloneThread, readUser, type Thread } from '../process/index.js';
import { type Syscall, type SyscallServices, uint } from './row.js';

/** Sizes of struct clone_args: without set_tid, with it, and with cgroup. */
const CLONE_ARGS_SIZE_VER0 = 64n;
const CLONE_ARGS_SIZE_VER2 = 88;
const MOST_ARGS = 4096n;
/** MAX_PID_NS_LEVEL. */
const MOST_LEVELS = 32n;
/** What fits in a legacy call's flags. */
const LEGACY_FLAGS = 0xffffffffn;
const CLONE_INTO_CGROUP = 1n << 33n;
/** CLONE_DETACHED, and what clone() has its signal in. */
const NOT_FOR_CLONE3 = BigInt(CLONE.DETACHED | CLONE.CSIGNAL);

function* clone3(services: SyscallServices, thread: Thread, address: bigint, size: bigint): MaySleep<number> {
  if (size > MOST_ARGS) return -E2BIG;
  if (size < CLONE_ARGS_SIZE_VER0) return -EINVAL;
  const given = yield* readUser(services.mm, thread, address, Number(size));
  if (given === undefined) return -EFAULT;
  if (given.subarray(CLONE_ARGS_SIZE_VER2).some((byte) => byte !== 0)) return -E2BIG;
  const bytes = new Uint8Array(CLONE_ARGS_SIZE_VER2);
  bytes.set(given.subarray(0, CLONE_ARGS_SIZE_VER2));
  const view = new DataView(bytes.buffer);
  const word = (i: number) => view.getBigUint64(8 * i, true);
  const [flags, exitSignal, stack, stackSize] = [word(0), word(4), word(5), word(6)];
  const [setTid, setTidSize] = [word(8), word(9)];
  if (setTidSize > MOST_LEVELS || (setTid === 0n) !== (setTidSize === 0n)) return -EINVAL;
  if (exitSignal > 64n) return -EINVAL;
  const intoCgroup = (flags & CLONE_INTO_CGROUP) !== 0n;
  if (intoCgroup && (word(10) > 0x7fffffffn || size < BigInt(CLONE_ARGS_SIZE_VER2))) return -EINVAL;
  let wanted: number | undefined;
  if (setTidSize > 0n) {
    const tids = yield* readUser(services.mm, thread, setTid, 4 * Number(setTidSize));
    if (tids === undefined) return -EFAULT;
    wanted = new DataView(tids.buffer, tids.byteOffset).getInt32(0, true);
  }
  const clearSighand = (flags & BigInt(CLONE.CLEAR_SIGHAND)) !== 0n;
  const known = LEGACY_FLAGS | BigInt(CLONE.CLEAR_SIGHAND) | CLONE_INTO_CGROUP;
  if ((flags & ~known) !== 0n || (flags & NOT_FOR_CLONE3) !== 0n) return -EINVAL;
  if (clearSighand && (flags & BigInt(CLONE.SIGHAND)) !== 0n) return -EINVAL;
  if ((flags & BigInt(CLONE.THREAD | CLONE.PARENT)) !== 0n && exitSignal !== 0n) return -EINVAL;
  if ((stack === 0n) !== (stackSize === 0n)) return -EINVAL;
  // There are no control groups that a descriptor could name.
  if (intoCgroup) return -EBADF;
  // One level of process numbers, so one number.
  if (setTidSize > 1n) return -EINVAL;
  return yield* cloneThread(services, thread, {
    flags: Number((flags & LEGACY_FLAGS) | exitSignal),
    stack: stack + stackSize,
    parentTid: word(3),
    childTid: word(2),
    tls: word(7),
    pidfd: word(1),
    clearSighand,
    ...(wanted === undefined ? {} : { tid: wanted }),
  });
}

export const cloneSyscalls: readonly Syscall[] = [
  {
    number: 220,
    name: 'clone',
    args: ['hex', 'pointer', 'pointer', 'hex', 'pointer'],
    *run(services, thread, [flags, stack, parentTid, tls, childTid]) {
      // The old call has one place for both.
      const both = CLONE.PIDFD | CLONE.PARENT_SETTID;
      if ((uint(flags) & both) === both) return -EINVAL;
      const pidfd = parentTid;
      return yield* cloneThread(services, thread, {
        flags: uint(flags),
        stack,
        parentTid,
        childTid,
        tls,
        pidfd,
      });
    },
  },
  {
    number: 435,
    name: 'clone3',
    args: ['pointer', 'unsigned'],
    *run(services, thread, [address, size]) {
      return yield* clone3(services, thread, address, size);
    },
  },
];
