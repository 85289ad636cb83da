/**
 * Writing back what files have in memory: sync and its relatives; reading ahead.
 *
 * Ref. fs/sync.c, mm/readahead.c.
 */
import { EBADF, EINVAL, ESPIPE } from '../contexts/index.js';
import { Directory, RegularFile } from '../fs/index.js';
import { fileOf } from './paths.js';
import { long, type Syscall, uint } from './row.js';

/** SYNC_FILE_RANGE_WAIT_BEFORE, WRITE, WAIT_AFTER. */
const SYNC_RANGE_FLAGS = 7;

export const syncSyscalls: readonly Syscall[] = [
  {
    number: 81,
    name: 'sync',
    args: [],
    *run({ mm }) {
      yield* mm.syncAll();
      return 0;
    },
  },
  ...(['fsync', 'fdatasync'] as const).map(
    (name, i): Syscall => ({
      number: 82 + i,
      name,
      args: ['fd'],
      *run(_services, thread, [fd]) {
        const file = fileOf(thread, fd);
        if (file === undefined) return -EBADF;
        if (file.inode instanceof RegularFile) return yield* file.inode.sync();
        return file.inode instanceof Directory ? 0 : -EINVAL;
      },
    }),
  ),
  {
    number: 84,
    name: 'sync_file_range',
    args: ['fd', 'int', 'int', 'hex'],
    *run(_services, thread, [fd, from, bytes, flags]) {
      const file = fileOf(thread, fd);
      if (file === undefined) return -EBADF;
      if ((uint(flags) & ~SYNC_RANGE_FLAGS) !== 0) return -EINVAL;
      if (long(from) < 0n || long(bytes) < 0n || long(from + bytes) < 0n) return -EINVAL;
      // The whole file where a part was asked for: nobody can tell.
      if (!(file.inode instanceof RegularFile)) return -ESPIPE;
      return uint(flags) === 0 ? 0 : yield* file.inode.sync();
    },
  },
  {
    number: 213,
    name: 'readahead',
    args: ['fd', 'int', 'unsigned'],
    run(_services, thread, [fd]) {
      const file = fileOf(thread, fd);
      if (file === undefined || !file.readable) return -EBADF;
      // A hint: pages come when they are touched.
      return file.inode instanceof RegularFile ? 0 : -EINVAL;
    },
  },
  {
    number: 267,
    name: 'syncfs',
    args: ['fd'],
    *run({ mm }, thread, [fd]) {
      if (fileOf(thread, fd) === undefined) return -EBADF;
      yield* mm.syncAll();
      return 0;
    },
  },
];
