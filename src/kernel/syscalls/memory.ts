/**
 * System calls of memory: mmap and its relatives.
 *
 * The memory manager does the work; here arguments are brought into its terms and what Linux checks
 * before mm/ is checked.
 */
import { VA } from '../../base/index.js';
import {
  EACCES,
  EBADF,
  EINVAL,
  ENODEV,
  ENOMEM,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
  type MaySleep,
} from '../contexts/index.js';
import { DeviceFile, F_SEAL, type OpenFile, RegularFile } from '../fs/index.js';
import { MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, MAP_SHARED, PROT_MTE, PROT_WRITE } from '../mm/index.js';
import { CAP, capable, type Process, RLIMIT, type Thread, writeUser } from '../process/index.js';
import { fileOf } from './paths.js';
import { int, type Syscall, type SyscallServices } from './row.js';

/** MAP_SHARED_VALIDATE is MAP_SHARED with flags checked. */
const MAP_TYPE = 0xf;
const MAP_SHARED_VALIDATE = 3;
/** One past the last byte of any file that can be mapped. */
const MAX_OFFSET = 1n << 52n;

const MLOCK_ONFAULT = 1;

/** Bytes that the thread's process may lock: can_do_mlock() and rlimit(RLIMIT_MEMLOCK). */
const lockLimit = ({ credentials, process }: Thread): number =>
  capable(credentials, CAP.IPC_LOCK) ? Number.POSITIVE_INFINITY : process.limits.soft(RLIMIT.MEMLOCK);

/** A length that a double holds exactly; longer ones cannot be mapped anyway. */
function length(value: bigint): number | undefined {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
}

interface FileMapping {
  readonly address: bigint;
  readonly size: number;
  readonly prot: number;
  readonly flags: number;
  readonly offset: bigint;
}

/** personality(2): READ_IMPLIES_EXEC. */
const READ_IMPLIES_EXEC = 0x400000;
const PROT_READ = 1;
const PROT_EXEC = 4;

function protOf({ personality }: Process, prot: bigint): number {
  const implied = (personality & READ_IMPLIES_EXEC) !== 0 && (int(prot) & PROT_READ) !== 0;
  return implied ? int(prot) | PROT_EXEC : int(prot);
}

/** LEGACY_MAP_MASK. */
const VALIDATED_FLAGS = 0x17f933;

/** mmap of a file. */
function* mapFile(
  { mm }: SyscallServices,
  thread: Thread,
  file: OpenFile,
  request: FileMapping,
): MaySleep<number> {
  const { prot, flags, size } = request;
  const type = flags & MAP_TYPE;
  const shared = type === MAP_SHARED || type === MAP_SHARED_VALIDATE;
  if (!shared && type !== MAP_PRIVATE) return -EINVAL;
  // MAP_SHARED_VALIDATE: flags that file systems must know; MAP_SYNC is of persistent memory.
  if (type === MAP_SHARED_VALIDATE && (flags & ~VALIDATED_FLAGS) !== 0) return -EOPNOTSUPP;
  if (!file.readable) return -EACCES;
  if (shared && (prot & PROT_WRITE) !== 0 && !file.writable) return -EACCES;
  if (request.offset + BigInt(size) > MAX_OFFSET) return -EOVERFLOW;
  const where = { addr: VA(request.address), length: size, prot };
  if (file.inode instanceof RegularFile) {
    // seal_check_write().
    const sealed = (file.inode.seals & (F_SEAL.WRITE | F_SEAL.FUTURE_WRITE)) !== 0;
    if (sealed && shared && (prot & PROT_WRITE) !== 0) return -EPERM;
    return yield* mm.mmap(thread.process.mm, {
      ...where,
      flags: shared ? (flags & ~MAP_TYPE) | MAP_SHARED : flags,
      file: yield* file.inode.mappable(shared && file.writable),
      offset: Number(request.offset),
      readOnlyFile: !file.writable || sealed,
      name: file.path,
      lockLimit: lockLimit(thread),
    });
  }
  // /dev/zero is anonymous memory under another name, but takes no tags.
  if (!(file instanceof DeviceFile) || file.path !== '/dev/zero') return -ENODEV;
  if ((prot & PROT_MTE) !== 0) return -EINVAL;
  return yield* mm.mmap(thread.process.mm, {
    ...where,
    flags: flags | MAP_ANONYMOUS,
    readOnlyFile: shared && !file.writable,
    name: file.path,
    lockLimit: lockLimit(thread),
  });
}

export const memorySyscalls: readonly Syscall[] = [
  {
    number: 214,
    name: 'brk',
    args: ['pointer'],
    *run({ mm }, { process }, [address]) {
      return yield* mm.brk(process.mm, VA(address));
    },
  },
  {
    number: 215,
    name: 'munmap',
    args: ['pointer', 'unsigned'],
    *run({ mm }, { process }, [address, bytes]) {
      const size = length(bytes);
      return size === undefined ? -EINVAL : yield* mm.munmap(process.mm, VA(address), size);
    },
  },
  {
    number: 216,
    name: 'mremap',
    args: ['pointer', 'unsigned', 'unsigned', 'hex', 'pointer'],
    *run({ mm }, { process }, [address, oldBytes, newBytes, flags, newAddress]) {
      const oldSize = length(oldBytes);
      const newSize = length(newBytes);
      if (oldSize === undefined || newSize === undefined) return -EINVAL;
      return yield* mm.mremap(process.mm, VA(address), oldSize, newSize, int(flags), VA(newAddress));
    },
  },
  {
    number: 222,
    name: 'mmap',
    args: ['pointer', 'unsigned', 'prot', 'map-flags', 'int', 'unsigned'],
    *run(services, thread, [address, bytes, prot, flags, fd, offset]) {
      const { mm } = services;
      if (offset % BigInt(mm.pageSize) !== 0n) return -EINVAL;
      const anonymous = (int(flags) & MAP_ANONYMOUS) !== 0;
      const file = anonymous ? undefined : fileOf(thread, fd);
      if (!anonymous && file === undefined) return -EBADF;
      const size = length(bytes);
      if (size === undefined) return -ENOMEM;
      if (file !== undefined) {
        if (size === 0 || (int(flags) & MAP_HUGETLB) !== 0) return -EINVAL;
        const request = { address, size, prot: protOf(thread.process, prot), flags: int(flags), offset };
        return yield* mapFile(services, thread, file, request);
      }
      return yield* mm.mmap(thread.process.mm, {
        addr: VA(address),
        length: size,
        prot: protOf(thread.process, prot),
        flags: int(flags),
        lockLimit: lockLimit(thread),
      });
    },
  },
  {
    number: 226,
    name: 'mprotect',
    args: ['pointer', 'unsigned', 'prot'],
    *run({ mm }, { process }, [address, bytes, prot]) {
      const size = length(bytes);
      if (size === undefined) return -ENOMEM;
      return yield* mm.mprotect(process.mm, VA(address), size, protOf(process, prot));
    },
  },
  {
    number: 227,
    name: 'msync',
    args: ['pointer', 'unsigned', 'int'],
    *run({ mm }, { process }, [address, bytes, flags]) {
      const size = length(bytes);
      return size === undefined ? -ENOMEM : yield* mm.msync(process.mm, VA(address), size, int(flags));
    },
  },
  {
    number: 228,
    name: 'mlock',
    args: ['pointer', 'unsigned'],
    *run({ mm }, thread, [address, bytes]) {
      const size = length(bytes);
      if (size === undefined) return -ENOMEM;
      return yield* mm.mlock(thread.process.mm, VA(address), size, false, lockLimit(thread));
    },
  },
  {
    number: 229,
    name: 'munlock',
    args: ['pointer', 'unsigned'],
    *run({ mm }, { process }, [address, bytes]) {
      const size = length(bytes);
      return size === undefined ? -ENOMEM : yield* mm.munlock(process.mm, VA(address), size);
    },
  },
  {
    number: 230,
    name: 'mlockall',
    args: ['int'],
    run: ({ mm }, thread, [flags]) => mm.mlockall(thread.process.mm, int(flags), lockLimit(thread)),
  },
  {
    number: 231,
    name: 'munlockall',
    args: [],
    run: ({ mm }, { process }) => mm.munlockall(process.mm),
  },
  {
    number: 284,
    name: 'mlock2',
    args: ['pointer', 'unsigned', 'int'],
    *run({ mm }, thread, [address, bytes, flags]) {
      if ((int(flags) & ~MLOCK_ONFAULT) !== 0) return -EINVAL;
      const size = length(bytes);
      if (size === undefined) return -ENOMEM;
      const onFault = int(flags) === MLOCK_ONFAULT;
      return yield* mm.mlock(thread.process.mm, VA(address), size, onFault, lockLimit(thread));
    },
  },
  {
    number: 232,
    name: 'mincore',
    args: ['pointer', 'unsigned', 'pointer'],
    *run({ mm }, thread, [address, bytes, vector]) {
      const page = BigInt(mm.pageSize);
      const size = length(bytes);
      if (address % page !== 0n) return -EINVAL;
      if (size === undefined || size > 2 ** 40) return -ENOMEM;
      const pages = Math.ceil(size / mm.pageSize);
      for (let done = 0; done < pages; done += 4096) {
        const part = new Uint8Array(Math.min(4096, pages - done));
        for (let i = 0; i < part.length; i++) {
          const at = VA(address + BigInt(done + i) * page);
          if (mm.findVma(thread.process.mm, at) === undefined) return -ENOMEM;
          part[i] = mm.virtToPhys(thread.process.mm, at) === undefined ? 0 : 1;
        }
        const error = yield* writeUser(mm, thread, vector + BigInt(done), part);
        if (error !== 0) return error;
      }
      return 0;
    },
  },
  {
    number: 233,
    name: 'madvise',
    args: ['pointer', 'unsigned', 'int'],
    *run({ mm }, { process }, [address, bytes, advice]) {
      const size = length(bytes);
      return size === undefined ? -EINVAL : yield* mm.madvise(process.mm, VA(address), size, int(advice));
    },
  },
];
