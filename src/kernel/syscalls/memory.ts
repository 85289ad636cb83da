/**
 * System calls of memory: mmap, munmap, mprotect, madvise, brk.
 *
 * The memory manager does the work; here arguments are brought into its terms and what Linux checks
 * before mm/ is checked.
 */
import { VA } from '../../base/index.js';
import { EBADF, EINVAL, ENODEV, ENOMEM } from '../contexts/index.js';
import { MAP_ANONYMOUS } from '../mm/index.js';
import { int, type Syscall } from './row.js';

/** A length that a double holds exactly; longer ones cannot be mapped anyway. */
function length(value: bigint): number | undefined {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
}

export const memorySyscalls: readonly Syscall[] = [
  {
    number: 214,
    name: 'brk',
    args: ['pointer'],
    *run({ mm }, process, [address]) {
      return yield* mm.brk(process.mm, VA(address));
    },
  },
  {
    number: 215,
    name: 'munmap',
    args: ['pointer', 'unsigned'],
    *run({ mm }, process, [address, bytes]) {
      const size = length(bytes);
      return size === undefined ? -EINVAL : yield* mm.munmap(process.mm, VA(address), size);
    },
  },
  {
    number: 222,
    name: 'mmap',
    args: ['pointer', 'unsigned', 'prot', 'map-flags', 'int', 'unsigned'],
    *run({ mm }, process, [address, bytes, prot, flags, fd, offset]) {
      if (offset % BigInt(mm.pageSize) !== 0n) return -EINVAL;
      if ((int(flags) & MAP_ANONYMOUS) === 0) {
        // Only the standard streams are open, and a stream cannot be mapped.
        const descriptor = int(fd);
        return descriptor >= 0 && descriptor <= 2 ? -ENODEV : -EBADF;
      }
      const size = length(bytes);
      if (size === undefined) return -ENOMEM;
      return yield* mm.mmap(process.mm, {
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
    *run({ mm }, process, [address, bytes, prot]) {
      const size = length(bytes);
      return size === undefined ? -ENOMEM : yield* mm.mprotect(process.mm, VA(address), size, int(prot));
    },
  },
  {
    number: 233,
    name: 'madvise',
    args: ['pointer', 'unsigned', 'int'],
    *run({ mm }, process, [address, bytes, advice]) {
      const size = length(bytes);
      return size === undefined ? -EINVAL : yield* mm.madvise(process.mm, VA(address), size, int(advice));
    },
  },
];
