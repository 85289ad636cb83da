/**
 * System calls of System V shared memory.
 *
 * Ref. ipc/shm.c (do_shmat, ksys_shmdt, ksys_shmctl).
 */
import { VA } from '../../base/index.js';
import { EFAULT, EINVAL, EPERM, type MaySleep } from '../contexts/index.js';
import {
  changePermissions,
  IPC,
  IPC_READ,
  IPC_WRITE,
  ipcAllows,
  ipcOwns,
  type Segment,
  SHMMAX,
  segmentBytes,
} from '../ipc/index.js';
import { MAP_FIXED, MAP_SHARED, PROT_EXEC, PROT_READ, PROT_WRITE } from '../mm/index.js';
import { readUser, type Thread, writeUser } from '../process/index.js';
import { int, type Syscall, type SyscallServices, uint } from './row.js';
import { ipcCaller, ipcStat } from './sysv-ipc.js';

const SHM = { RDONLY: 0o10000, RND: 0o20000, REMAP: 0o40000, EXEC: 0o100000 } as const;
const CTL = { LOCK: 11, UNLOCK: 12, STAT: 13, INFO: 14, STAT_ANY: 15 } as const;

function* attach(
  { mm, ipc }: SyscallServices,
  thread: Thread,
  id: number,
  address: bigint,
  flags: number,
): MaySleep<bigint | number> {
  const page = BigInt(mm.pageSize);
  let at = address;
  if ((flags & SHM.RND) !== 0) at -= at % page;
  if (at % page !== 0n || (at === 0n && (flags & SHM.REMAP) !== 0)) return -EINVAL;
  const segment = ipc.shm.ids.get(id);
  if (typeof segment === 'number') return segment;
  const writes = (flags & SHM.RDONLY) === 0;
  const asked = IPC_READ | (writes ? IPC_WRITE : 0) | ((flags & SHM.EXEC) === 0 ? 0 : 0o111);
  const refused = ipcAllows(segment, ipcCaller(thread), asked);
  if (refused !== 0) return refused;
  const { mm: space, pid } = thread.process;
  if (at !== 0n && at + BigInt(segment.file.size) > space.taskSize) return -EINVAL;
  if (at !== 0n && (flags & SHM.REMAP) === 0) {
    const end = at + BigInt(segment.file.size);
    if (mm.vmas(space).some((vma) => vma.start < end && vma.end > at)) return -EINVAL;
  }
  // Counted while it is mapped: who removes it meanwhile leaves it to us.
  mm.getFile(segment.file);
  const mapped = yield* mm.mmap(space, {
    addr: VA(at),
    length: segment.file.size,
    prot: PROT_READ | (writes ? PROT_WRITE : 0) | ((flags & SHM.EXEC) === 0 ? 0 : PROT_EXEC),
    flags: MAP_SHARED | (at === 0n ? 0 : MAP_FIXED),
    file: segment.file,
    readOnlyFile: !writes,
    name: segment.file.name,
  });
  yield* mm.putFile(segment.file);
  if (mapped >= 0) ipc.shm.mapped(segment, pid);
  return mapped;
}

/** The mappings that one shmat made and that are left of it, found from its first address. */
function* detach({ mm, ipc }: SyscallServices, thread: Thread, address: bigint): MaySleep<number> {
  const { mm: space } = thread.process;
  if (address % BigInt(mm.pageSize) !== 0n) return -EINVAL;
  let file: number | undefined;
  let end = 0n;
  for (const vma of mm.vmas(space)) {
    if (vma.start < address || vma.backing === undefined) continue;
    // It is where shmat put it: as far from the address as it is from the start of the segment.
    const inPlace = vma.start - address === BigInt(vma.backing.offset);
    if (file === undefined) {
      const segment = inPlace ? ipc.shm.ofFile(vma.backing.file) : undefined;
      if (segment === undefined) continue;
      file = segment.file.id;
      end = address + BigInt(segment.file.size);
    } else if (vma.end > end || vma.backing.file !== file || !inPlace) {
      continue;
    }
    yield* mm.munmap(space, vma.start, Number(vma.end - vma.start));
  }
  return file === undefined ? -EINVAL : 0;
}

/** struct shm_info of 48 bytes. */
function usedBytes({ ipc }: SyscallServices): Uint8Array {
  const { pages, resident } = ipc.shm.totals();
  const bytes = new Uint8Array(48);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, ipc.shm.ids.size, true);
  view.setBigUint64(8, BigInt(pages), true);
  view.setBigUint64(16, BigInt(resident), true);
  return bytes;
}

/** struct shminfo64 of 72 bytes. */
function limitBytes(): Uint8Array {
  const bytes = new Uint8Array(72);
  const view = new DataView(bytes.buffer);
  [SHMMAX, 1n, 4096n, 4096n, SHMMAX].forEach((word, i) => {
    view.setBigUint64(8 * i, word, true);
  });
  return bytes;
}

function* changeSegment(
  { mm, clock }: SyscallServices,
  thread: Thread,
  segment: Segment,
  address: bigint,
): MaySleep<number> {
  const bytes = yield* readUser(mm, thread, address, 112);
  if (bytes === undefined) return -EFAULT;
  const error = ipcOwns(segment, ipcCaller(thread));
  if (error !== 0) return error;
  changePermissions(segment.perm, new DataView(bytes.buffer));
  segment.changed = clock.realtime / 1_000_000_000n;
  return 0;
}

function* control(
  services: SyscallServices,
  thread: Thread,
  id: number,
  command: number,
  address: bigint,
): MaySleep<number> {
  const { mm, ipc } = services;
  const { ids } = ipc.shm;
  if (command < 0 || id < 0) return -EINVAL;
  switch (command) {
    case IPC.INFO:
    case CTL.INFO: {
      const bytes = command === IPC.INFO ? limitBytes() : usedBytes(services);
      const error = yield* writeUser(mm, thread, address, bytes);
      return error === 0 ? ids.highestPlace : error;
    }
    case IPC.STAT:
    case CTL.STAT:
    case CTL.STAT_ANY:
      return yield* ipcStat(services, thread, ids, id, command, CTL, address, segmentBytes);
    default: {
      const segment = ids.get(id);
      if (![IPC.RMID, IPC.SET, CTL.LOCK, CTL.UNLOCK].some((known) => known === command)) return -EINVAL;
      if (typeof segment === 'number') return segment;
      if (command === IPC.SET) return yield* changeSegment(services, thread, segment, address);
      const error = ipcOwns(segment, ipcCaller(thread));
      if (error !== 0) return -EPERM;
      if (command === IPC.RMID) ipc.shm.remove(segment);
      else ipc.shm.setLocked(segment, command === CTL.LOCK);
      return 0;
    }
  }
}

export const sharedMemorySyscalls: readonly Syscall[] = [
  {
    number: 194,
    name: 'shmget',
    args: ['hex', 'unsigned', 'octal'],
    run: ({ ipc }, thread, [key, size, flags]) =>
      ipc.shm.open(ipcCaller(thread), int(key), size, uint(flags)),
  },
  {
    number: 195,
    name: 'shmctl',
    args: ['int', 'int', 'pointer'],
    *run(services, thread, [id, command, address]) {
      return yield* control(services, thread, int(id), int(command), address);
    },
  },
  {
    number: 196,
    name: 'shmat',
    args: ['int', 'pointer', 'octal'],
    *run(services, thread, [id, address, flags]) {
      return yield* attach(services, thread, int(id), address, uint(flags));
    },
  },
  {
    number: 197,
    name: 'shmdt',
    args: ['pointer'],
    *run(services, thread, [address]) {
      return yield* detach(services, thread, address);
    },
  },
];
