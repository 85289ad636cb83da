/**
 * System calls of memory: mmap and its relatives.
 *
 * The memory manager does the work; here arguments are brought into its terms and what Linux checks
 * before mm/ is checked. A private mapping of a file is anonymous memory that is filled from the file
 * when it is made; shared mappings need a page cache that memory management does not have yet.
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
  type MaySleep,
} from '../contexts/index.js';
import { DeviceFile, type OpenFile, RegularFile } from '../fs/index.js';
import { MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROT_MTE, PROT_WRITE } from '../mm/index.js';
import { type Thread, writeUser } from '../process/index.js';
import { int, type Syscall, type SyscallServices } from './row.js';

/** MAP_SHARED_VALIDATE is MAP_SHARED with flags checked. */
const MAP_TYPE = 0xf;
const MAP_SHARED_VALIDATE = 3;
/** Bytes of a file copied into its mapping at once. */
const PIECE = 1 << 16;

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

/** mmap of a file. */
function* mapFile(
  services: SyscallServices,
  thread: Thread,
  file: OpenFile,
  request: FileMapping,
): MaySleep<number> {
  const { mm } = services;
  const { prot, flags, size } = request;
  const type = flags & MAP_TYPE;
  const shared = type === MAP_SHARED || type === MAP_SHARED_VALIDATE;
  if (!shared && type !== MAP_PRIVATE) return -EINVAL;
  if (!file.readable) return -EACCES;
  if (shared && (prot & PROT_WRITE) !== 0 && !file.writable) return -EACCES;
  const zero = file instanceof DeviceFile && file.path === '/dev/zero';
  if (!(file.inode instanceof RegularFile) && !zero) return -ENODEV;
  if ((prot & PROT_MTE) !== 0 && zero) return -EINVAL;
  if (request.offset + BigInt(size) > 1n << 52n) return -EOVERFLOW;
  if (shared) {
    services.log('mmap: shared mappings of files are not implemented');
    return -EOPNOTSUPP;
  }
  const start = yield* mm.mmap(thread.process.mm, {
    addr: VA(request.address),
    length: size,
    prot,
    flags: flags | MAP_ANONYMOUS,
    name: file.path,
  });
  if (start < 0 || zero) return start;
  const error = yield* fill(services, thread, file.inode as RegularFile, start, size, Number(request.offset));
  if (error === 0) return start;
  yield* mm.munmap(thread.process.mm, VA(BigInt(start)), size);
  return error;
}

/** The file's bytes, where it has any; what lies beyond its end stays zero. */
function* fill(
  { mm }: SyscallServices,
  thread: Thread,
  inode: RegularFile,
  start: number,
  size: number,
  offset: number,
): MaySleep<number> {
  const bytes = Math.min(size, Math.max(0, inode.size - offset));
  for (let done = 0; done < bytes; done += PIECE) {
    const data = inode.read(offset + done, Math.min(PIECE, bytes - done));
    // A mapping nobody may access cannot be filled, and need not be until mprotect: it stays zero.
    const written = yield* mm.accessRemoteWrite(thread.process.mm, VA(BigInt(start + done)), data);
    if (written < data.length) {
      const vma = mm.findVma(thread.process.mm, VA(BigInt(start + done)));
      return vma !== undefined && !vma.read && !vma.write && !vma.exec ? 0 : -ENOMEM;
    }
  }
  return 0;
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
      const file = anonymous ? undefined : thread.process.files.get(int(fd));
      if (!anonymous && file === undefined) return -EBADF;
      const size = length(bytes);
      if (size === undefined) return -ENOMEM;
      if (file !== undefined) {
        if (size === 0) return -EINVAL;
        const request = { address, size, prot: int(prot), flags: int(flags), offset };
        return yield* mapFile(services, thread, file, request);
      }
      return yield* mm.mmap(thread.process.mm, {
        addr: VA(address),
        length: size,
        prot: int(prot),
        flags: int(flags),
      });
    },
  },
  {
    number: 226,
    name: 'mprotect',
    args: ['pointer', 'unsigned', 'prot'],
    *run({ mm }, { process }, [address, bytes, prot]) {
      const size = length(bytes);
      return size === undefined ? -ENOMEM : yield* mm.mprotect(process.mm, VA(address), size, int(prot));
    },
  },
  {
    number: 227,
    name: 'msync',
    args: ['pointer', 'unsigned', 'int'],
    run: ({ mm }, { process }, [address]) =>
      address % BigInt(mm.pageSize) !== 0n
        ? -EINVAL
        : mm.findVma(process.mm, VA(address)) === undefined
          ? -ENOMEM
          : 0,
  },
  // Nothing is paged out, so that locked memory is what all memory is.
  ...(
    [
      [228, 'mlock'],
      [229, 'munlock'],
    ] as const
  ).map(
    ([number, name]): Syscall => ({
      number,
      name,
      args: ['pointer', 'unsigned'],
      run: ({ mm }, { process }, [address, bytes]) =>
        bytes === 0n || mm.findVma(process.mm, VA(address)) !== undefined ? 0 : -ENOMEM,
    }),
  ),
  { number: 230, name: 'mlockall', args: ['int'], run: () => 0 },
  { number: 231, name: 'munlockall', args: [], run: () => 0 },
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
