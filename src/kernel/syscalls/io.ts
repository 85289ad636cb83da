/**
 * System calls of input and output: write to the standard streams.
 */
import { untagged, VA } from '../../base/index.js';
import { EBADF, EFAULT } from '../contexts/index.js';
import { resolveTcf0, TCF0 } from '../process/index.js';
import { int, type Syscall } from './row.js';

/** MAX_RW_COUNT: the most that one call moves. */
const MAX_RW_COUNT = 0x7ffff000n;
/** Copied in pieces, so that a huge count does not ask the host for a huge buffer at once. */
const PIECE = 1 << 16;

export const ioSyscalls: readonly Syscall[] = [
  {
    number: 64,
    name: 'write',
    args: ['fd', 'buffer', 'unsigned'],
    *run({ mm, writeOut }, process, [fd, buffer, count]) {
      const descriptor = int(fd);
      if (descriptor !== 1 && descriptor !== 2) return -EBADF;
      const wanted = Number(count > MAX_RW_COUNT ? MAX_RW_COUNT : count);
      // The tagged address ABI: without it a pointer with a tag is no user address.
      if (!process.control.enabled && untagged(VA(buffer)) !== VA(buffer)) return wanted === 0 ? 0 : -EFAULT;
      // The kernel's own accesses are checked in synchronous mode only.
      const checkTags = resolveTcf0(process.control) === TCF0.SYNC;
      let done = 0;
      while (done < wanted) {
        const piece = Math.min(PIECE, wanted - done);
        const bytes = yield* mm.copyFromUser(process.mm, VA(buffer + BigInt(done)), piece, { checkTags });
        if (bytes.length > 0) writeOut(descriptor, bytes);
        done += bytes.length;
        if (bytes.length < piece) break;
      }
      return done === 0 && wanted > 0 ? -EFAULT : done;
    },
  },
];
