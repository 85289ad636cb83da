/**
 * System V shared memory: segments, which are files of RAM that shmat maps.
 *
 * How often a segment is attached is the number of mappings it has; one that was removed goes with the last of
 * them.
 *
 * Ref. ipc/shm.c (newseg, shm_close, shmctl_stat); shmget(2), shmctl(2).
 */
import { EINVAL, ENOMEM } from '../contexts/index.js';
import type { MappableFile } from '../mm/index.js';
import {
  type IpcCaller,
  IpcIds,
  type IpcObject,
  type IpcPermissions,
  ipcLine,
  writePermissions,
} from './ids.js';

export const SHM = {
  DEST: 0o1000,
  LOCKED: 0o2000,
  HUGETLB: 0o4000,
  NORESERVE: 0o10000,
} as const;
const SHMMNI = 4096;
/** ULONG_MAX - 2^24. */
export const SHMMAX = (1n << 64n) - (1n << 24n) - 1n;

export interface Segment extends IpcObject {
  readonly perm: IpcPermissions;
  readonly file: MappableFile;
  /** As asked for; the file is a multiple of pages. */
  readonly bytes: number;
  /** Seconds since 1970; 0: never. */
  attached: bigint;
  detached: bigint;
  changed: bigint;
  readonly creator: number;
  last: number;
}

export interface SegmentHooks {
  readonly pageSize: number;
  /** Bytes that can be promised. */
  readonly mostBytes: number;
  /** A file of RAM; `unmapped` is told each time a mapping of it goes. */
  newFile(name: string, size: number, unmapped: () => void): MappableFile;
  /** Gives the segment's reference back. */
  discard(file: MappableFile): void;
  /** Seconds since 1970. */
  now(): bigint;
  /** The process that runs. */
  currentPid(): number;
}

export class SharedMemory {
  readonly ids = new IpcIds<Segment>(SHMMNI);
  readonly #hooks: SegmentHooks;

  constructor(hooks: SegmentHooks) {
    this.#hooks = hooks;
  }

  /** shmget(2): the id or a negative errno. */
  open(caller: IpcCaller, key: number, size: bigint, flags: number): number {
    return this.ids.open(
      caller,
      key,
      flags,
      (perm) => this.#make(caller, perm, size, flags),
      ({ bytes }) => (size > BigInt(bytes) ? -EINVAL : 0),
    );
  }

  #make(caller: IpcCaller, perm: IpcPermissions, size: bigint, flags: number): Segment | number {
    const { pageSize, mostBytes } = this.#hooks;
    if (size < 1n || size > SHMMAX) return -EINVAL;
    // There is no pool of huge pages to take one from.
    if ((flags & SHM.HUGETLB) !== 0) return -ENOMEM;
    if (size > BigInt(mostBytes)) return -ENOMEM;
    const bytes = Number(size);
    const name = `/SYSV${(perm.key >>> 0).toString(16).padStart(8, '0')} (deleted)`;
    const rounded = Math.ceil(bytes / pageSize) * pageSize;
    const segment: Segment = {
      perm,
      file: this.#hooks.newFile(name, rounded, () => this.#unmapped(segment)),
      bytes,
      attached: 0n,
      detached: 0n,
      changed: this.#hooks.now(),
      creator: caller.pid,
      last: 0,
    };
    return segment;
  }

  /** shm_open(). */
  mapped(segment: Segment, pid: number): void {
    segment.attached = this.#hooks.now();
    segment.last = pid;
  }

  /** shm_close(). */
  #unmapped(segment: Segment): void {
    segment.detached = this.#hooks.now();
    segment.last = this.#hooks.currentPid();
    if ((segment.perm.mode & SHM.DEST) !== 0) this.#destroyIfUnused(segment);
  }

  #destroyIfUnused(segment: Segment): void {
    if (segment.file.mappingCount > 0) return;
    this.ids.remove(segment);
    this.#hooks.discard(segment.file);
  }

  /** IPC_RMID: its key is free at once, the memory when the last mapping is gone. */
  remove(segment: Segment): void {
    segment.perm.mode |= SHM.DEST;
    segment.perm.key = 0;
    this.#destroyIfUnused(segment);
  }

  /** The segment of a mapping's file. */
  ofFile(id: number): Segment | undefined {
    return this.ids.all.find(({ file }) => file.id === id);
  }

  /** SHM_INFO: pages of all segments, and how many of them are in memory. */
  totals(): { readonly pages: number; readonly resident: number } {
    const { pageSize } = this.#hooks;
    return this.ids.all.reduce(
      ({ pages, resident }, { file }) => ({
        pages: pages + file.size / pageSize,
        resident: resident + file.cachedPages,
      }),
      { pages: 0, resident: 0 },
    );
  }

  /** SHM_LOCK and SHM_UNLOCK: the bit is kept and shown. */
  setLocked({ perm }: Segment, locked: boolean): void {
    perm.mode = locked ? perm.mode | SHM.LOCKED : perm.mode & ~SHM.LOCKED;
  }

  /** /proc/sysvipc/shm. */
  text(): string {
    const rows = this.ids.all.map((segment) => {
      const { perm, file, bytes } = segment;
      return ipcLine([
        [perm.key | 0, 10],
        [perm.id, 10],
        [perm.mode.toString(8), 5],
        [bytes, 21],
        [segment.creator, 5],
        [segment.last, 5],
        [file.mappingCount, 6],
        [perm.uid, 5],
        [perm.gid, 5],
        [perm.cuid, 5],
        [perm.cgid, 5],
        [String(segment.attached), 10],
        [String(segment.detached), 10],
        [String(segment.changed), 10],
        [file.cachedPages * this.#hooks.pageSize, 21],
        [0, 21],
      ]);
    });
    return [HEADER, ...rows].join('');
  }
}

const HEADER =
  '       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n';

/** struct shmid64_ds of 112 bytes. */
export function segmentBytes(segment: Segment): Uint8Array {
  const bytes = new Uint8Array(112);
  const view = new DataView(bytes.buffer);
  writePermissions(view, segment.perm);
  view.setBigUint64(48, BigInt(segment.bytes), true);
  view.setBigInt64(56, segment.attached, true);
  view.setBigInt64(64, segment.detached, true);
  view.setBigInt64(72, segment.changed, true);
  view.setInt32(80, segment.creator, true);
  view.setInt32(84, segment.last, true);
  view.setBigUint64(88, BigInt(segment.file.mappingCount), true);
  return bytes;
}
