/**
 * The memory manager as the floors above see it: `Mm` and its functions behind the `MemoryManager`
 * interface, with locks taken and pointers untagged.
 */
import type { VA } from '../../base/index.js';
import { VA as toVA, untagged } from '../../base/index.js';
import type { MaySleep } from '../contexts/index.js';
import { EAGAIN, EINVAL, ENOMEM, EPERM } from '../contexts/index.js';
import { compactNode, kcompactd } from './compaction.js';
import { doPageFault, userAddress } from './fault.js';
import { Inode, newInode, putInode, readFile, truncateFile, writeFile } from './filemap.js';
import { dupMmap, exitMmap, mmAlloc } from './fork.js';
import { type Freezer, hibernate, type PowerCycle } from './hibernate.js';
import { type HugetlbPool, setMaxHugePages } from './hugetlb.js';
import { checkMmInvariants } from './invariants.js';
import { khugepaged } from './khugepaged.js';
import type { Ksm } from './ksm.js';
import {
  ksmd,
  ksmSetMaxPageSharing,
  ksmSetMergeAcrossNodes,
  ksmSetRun,
  setMemoryMerge,
} from './ksm-control.js';
import { changesVmas, doMadvise } from './madvise.js';
import {
  applyMlockallFlags,
  applyVmaLockFlags,
  doMlock,
  lockedVm,
  MCL_CURRENT,
  MCL_FUTURE,
  MCL_ONFAULT,
} from './mlock.js';
import type { Mm, OomKiller, TraceSink } from './mm.js';
import { MmStruct } from './mm-struct.js';
import { doBrk, doMmap, doMunmap, pageAlign } from './mmap.js';
import { doMprotect } from './mprotect.js';
import { doMremap } from './mremap.js';
import type { PglistData } from './node.js';
import { numaBalancingEnabled, taskNumaWork } from './numa-balancing.js';
import { numaMapsOf } from './numa-maps.js';
import { pagemapEntry } from './pagemap.js';
import { meminfo, nodeInfo, vmstat, zoneinfo } from './procfs.js';
import { punchHole } from './punch-hole.js';
import { smapsOf } from './smaps.js';
import { sysctlRead, sysctlWrite } from './sysctl.js';
import type { ThpSettings } from './thp-settings.js';
import { thpEligible } from './thp-settings.js';
import type {
  AddressSpace,
  FaultAccess,
  FaultResult,
  FileOptions,
  MappableFile,
  MemoryManager,
  MmapRequest,
  NodeInfo,
  NumaCounts,
  PageSize,
  PhysicalMapping,
  SmapCounts,
  TagPageOwner,
  TagStorageSnapshot,
  UserCopyOptions,
  Violation,
  VmaInfo,
  ZoneInfo,
} from './types.js';
import { MAP_POPULATE, MS_ASYNC, MS_INVALIDATE, MS_SYNC } from './types.js';
import {
  accessRemoteWrite,
  copyFromUser,
  copyToUser,
  residentPfn,
  updateUserWord,
  virtToPhys,
  walk,
} from './uaccess.js';
import type { Vma } from './vma.js';
import {
  VM_EXEC,
  VM_LOCKED,
  VM_LOCKED_MASK,
  VM_MAYSHARE,
  VM_MTE,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
} from './vma.js';
import { kswapd } from './vmscan.js';
import { flusher, syncAll, syncFile } from './writeback.js';

/** What the tag storage floor adds to the picture. */
export interface TagStorageView {
  snapshot(): TagStorageSnapshot;
  owner(pfn: number): TagPageOwner;
  metrics(): Readonly<Record<string, number>>;
  accessRemoteTags(as: MmStruct, va: VA, tags: Uint8Array, write: boolean): MaySleep<number>;
  dumpTags(as: MmStruct, va: VA): MaySleep<Uint8Array | undefined>;
  checkInvariants(): readonly Violation[];
}

/** `flags` for a populate: write to what can be written, so that private pages are made. */
const POPULATE_WRITE: FaultAccess = { write: true, exec: false, user: true, tagAccess: false };
const POPULATE_READ: FaultAccess = { write: false, exec: false, user: true, tagAccess: false };

/** numa_balancing_scan_period_min, in nanoseconds. */
const NUMA_SCAN_PERIOD = 1_000_000_000n;

export class KernelMemoryManager implements MemoryManager {
  readonly mm: Mm;
  readonly #tagStorage: TagStorageView;

  constructor(mm: Mm, tagStorage: TagStorageView) {
    this.mm = mm;
    this.#tagStorage = tagStorage;
  }

  get pageSize(): PageSize {
    return this.mm.pageSize as PageSize;
  }

  get vaBits(): number {
    return this.mm.layout.vaBits;
  }

  createAddressSpace(): MaySleep<AddressSpace | undefined> {
    return mmAlloc(this.mm);
  }

  cloneAddressSpace(as: AddressSpace): MaySleep<AddressSpace | number> {
    return dupMmap(this.mm, own(as));
  }

  exitMmap(as: AddressSpace): MaySleep<void> {
    return exitMmap(this.mm, own(as));
  }

  *mmap(as: AddressSpace, request: MmapRequest): MaySleep<number> {
    const { mm } = this;
    const { prot, flags, length } = request;
    const space = own(as);
    yield* space.mmapLock.downWrite();
    // A new mapping's address is taken as it is: a tag in it is out of range.
    const result = yield* doMmap(mm, space, {
      addr: Number(request.addr),
      length,
      prot,
      flags,
      name: request.name ?? request.file?.name ?? '',
      ...(request.file === undefined ? {} : { file: inode(request.file) }),
      offset: request.offset ?? 0,
      readOnlyFile: request.readOnlyFile ?? false,
      lockLimit: request.lockLimit ?? Number.POSITIVE_INFINITY,
    });
    const locked = result >= 0 && isLockedNow(space.vmas.lookup(result)?.flags ?? 0);
    space.mmapLock.upWrite();
    if (result >= 0 && (locked || (flags & MAP_POPULATE) !== 0)) yield* this.#populate(space, result, length);
    return result;
  }

  /** mm_populate(): 0; or what mlock() says where a page cannot be had, -ENOMEM or -EAGAIN where memory is short. */
  *#populate(as: MmStruct, start: number, length: number): MaySleep<number> {
    for (let addr = start; addr < start + length; addr += this.mm.pageSize) {
      const vma = as.vmas.lookup(addr);
      if (!vma?.accessible) return -ENOMEM;
      const access = (vma.flags & VM_WRITE) !== 0 ? POPULATE_WRITE : POPULATE_READ;
      const result = yield* doPageFault(this.mm, as, toVA(BigInt(addr)), access);
      if (result.kind !== 'handled') return result.kind === 'oom' ? -EAGAIN : -ENOMEM;
    }
    return 0;
  }

  *mlock(as: AddressSpace, addr: VA, length: number, onFault: boolean, limit: number): MaySleep<number> {
    const { mm } = this;
    const space = own(as);
    if (limit === 0) return -EPERM;
    const from = Number(untagged(addr));
    const start = from - (from % mm.pageSize);
    yield* space.mmapLock.downWrite();
    const flags = onFault ? VM_LOCKED_MASK : VM_LOCKED;
    const error = yield* doMlock(mm, space, from, length, flags, limit);
    space.mmapLock.upWrite();
    if (error !== 0 || onFault) return error;
    return yield* this.#populate(space, start, pageAlign(mm, length + from - start));
  }

  *munlock(as: AddressSpace, addr: VA, length: number): MaySleep<number> {
    const { mm } = this;
    const space = own(as);
    const from = Number(untagged(addr));
    const start = from - (from % mm.pageSize);
    yield* space.mmapLock.downWrite();
    const error = yield* applyVmaLockFlags(mm, space, start, pageAlign(mm, length + from - start), 0);
    space.mmapLock.upWrite();
    return error;
  }

  *mlockall(as: AddressSpace, flags: number, limit: number): MaySleep<number> {
    const { mm } = this;
    const space = own(as);
    const known = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT;
    if (flags === 0 || (flags & ~known) !== 0 || flags === MCL_ONFAULT) return -EINVAL;
    if (limit === 0) return -EPERM;
    yield* space.mmapLock.downWrite();
    const current = (flags & MCL_CURRENT) !== 0;
    if (current && space.totalVm * mm.pageSize > limit) {
      space.mmapLock.upWrite();
      return -ENOMEM;
    }
    const onFault = (flags & MCL_ONFAULT) !== 0;
    yield* applyMlockallFlags(mm, space, flags, onFault ? VM_LOCKED_MASK : VM_LOCKED);
    const ranges = current && !onFault ? space.vmas.all.map(({ start, end }) => [start, end] as const) : [];
    space.mmapLock.upWrite();
    // What cannot be read is passed over.
    for (const [start, end] of ranges) yield* this.#populate(space, start, end - start);
    return 0;
  }

  *munlockall(as: AddressSpace): MaySleep<number> {
    const space = own(as);
    yield* space.mmapLock.downWrite();
    yield* applyMlockallFlags(this.mm, space, 0, 0);
    space.mmapLock.upWrite();
    return 0;
  }

  lockedPages(as: AddressSpace): number {
    return lockedVm(this.mm, own(as));
  }

  *munmap(as: AddressSpace, addr: VA, length: number): MaySleep<number> {
    const space = own(as);
    const start = userAddress(space, addr);
    if (start === undefined || !(length > 0)) return -EINVAL;
    yield* space.mmapLock.downWrite();
    const result = yield* doMunmap(this.mm, space, start, length);
    space.mmapLock.upWrite();
    return result;
  }

  *mprotect(as: AddressSpace, addr: VA, length: number, prot: number): MaySleep<number> {
    const space = own(as);
    const start = userAddress(space, addr);
    if (start === undefined) return Number(untagged(addr)) % this.mm.pageSize === 0 ? -ENOMEM : -EINVAL;
    yield* space.mmapLock.downWrite();
    const result = yield* doMprotect(this.mm, space, start, length, prot);
    space.mmapLock.upWrite();
    return result;
  }

  *madvise(as: AddressSpace, addr: VA, length: number, advice: number): MaySleep<number> {
    const space = own(as);
    const start = userAddress(space, addr);
    if (start === undefined) return -ENOMEM;
    // madvise_need_mmap_write().
    const changes = changesVmas(advice);
    if (changes) yield* space.mmapLock.downWrite();
    else yield* space.mmapLock.downRead();
    const result = yield* doMadvise(this.mm, space, start, length, advice);
    if (changes) space.mmapLock.upWrite();
    else space.mmapLock.upRead();
    return result;
  }

  *mremap(
    as: AddressSpace,
    addr: VA,
    oldLength: number,
    newLength: number,
    flags: number,
    newAddr: VA,
  ): MaySleep<number> {
    const space = own(as);
    const start = userAddress(space, addr);
    if (start === undefined) return -EINVAL;
    yield* space.mmapLock.downWrite();
    const result = yield* doMremap(this.mm, space, start, oldLength, newLength, flags, Number(newAddr));
    const locked = result >= 0 && isLockedNow(space.vmas.lookup(result)?.flags ?? 0);
    space.mmapLock.upWrite();
    if (locked && newLength > oldLength) {
      yield* this.#populate(space, result + pageAlign(this.mm, oldLength), newLength - oldLength);
    }
    return result;
  }

  *brk(as: AddressSpace, addr: VA): MaySleep<number> {
    const space = own(as);
    yield* space.mmapLock.downWrite();
    const before = pageAlign(this.mm, space.brk);
    const result = yield* doBrk(this.mm, space, Number(addr));
    const grown = pageAlign(this.mm, result) - before;
    const locked = grown > 0 && isLockedNow(space.vmas.lookup(before)?.flags ?? 0);
    space.mmapLock.upWrite();
    if (locked) yield* this.#populate(space, before, grown);
    return result;
  }

  newFile(options: FileOptions): MappableFile {
    return newInode(this.mm, options);
  }

  getFile(file: MappableFile): void {
    inode(file).references++;
  }

  putFile(file: MappableFile): MaySleep<void> {
    return putInode(this.mm, inode(file));
  }

  readFile(file: MappableFile, offset: number, length: number): MaySleep<Uint8Array> {
    return readFile(this.mm, inode(file), offset, length);
  }

  writeFile(file: MappableFile, offset: number, data: Uint8Array): MaySleep<number> {
    return writeFile(this.mm, inode(file), offset, data);
  }

  truncateFile(file: MappableFile, size: number): MaySleep<number> {
    return truncateFile(this.mm, inode(file), size);
  }

  punchHole(file: MappableFile, from: number, to: number): MaySleep<number> {
    return punchHole(this.mm, inode(file), from, to);
  }

  *syncFile(file: MappableFile, first?: number, end?: number): MaySleep<number> {
    return yield* syncFile(this.mm, inode(file), first, end);
  }

  *msync(as: AddressSpace, addr: VA, length: number, flags: number): MaySleep<number> {
    const { mm } = this;
    const space = own(as);
    const known = (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) === 0;
    if (!known || (flags & (MS_ASYNC | MS_SYNC)) === (MS_ASYNC | MS_SYNC)) return -EINVAL;
    const start = Number(untagged(addr));
    if (start % mm.pageSize !== 0) return -EINVAL;
    const end = start + pageAlign(mm, length);
    if (!(end >= start)) return -ENOMEM;
    let at = start;
    let hole = false;
    while (at < end) {
      yield* space.mmapLock.downRead();
      const vma = space.vmas.at(space.vmas.indexAbove(at));
      if (vma === undefined || vma.start >= end) {
        space.mmapLock.upRead();
        return -ENOMEM;
      }
      hole ||= vma.start > at;
      const from = Math.max(at, vma.start);
      const to = Math.min(end, vma.end);
      const first = vma.pgoff + (from - vma.start) / mm.pageSize;
      const { file } = vma;
      const writes = (flags & MS_SYNC) !== 0 && file !== undefined && (vma.flags & VM_SHARED) !== 0;
      if (writes) file.references++;
      space.mmapLock.upRead();
      if (writes) {
        const error = yield* syncFile(mm, file, first, first + (to - from) / mm.pageSize);
        yield* putInode(mm, file);
        if (error !== 0) return error;
      }
      at = to;
    }
    return hole ? -ENOMEM : 0;
  }

  kswapd(nodeId: number): MaySleep<void> {
    return kswapd(this.mm, this.#node(nodeId), () => false);
  }

  ksmd(pause: (milliseconds: number) => MaySleep<void>): MaySleep<void> {
    return ksmd(this.mm, pause);
  }

  get ksm(): Ksm {
    return this.mm.ksm;
  }

  ksmSet(what: 'run' | 'max_page_sharing' | 'merge_across_nodes', value: number): MaySleep<number> {
    if (what === 'run') return ksmSetRun(this.mm, value);
    if (what === 'max_page_sharing') return ksmSetMaxPageSharing(this.mm, value);
    return ksmSetMergeAcrossNodes(this.mm, value);
  }

  *setMemoryMerge(as: AddressSpace, on: boolean): MaySleep<number> {
    const space = own(as);
    yield* space.mmapLock.downWrite();
    const result = yield* setMemoryMerge(this.mm, space, on);
    space.mmapLock.upWrite();
    return result;
  }

  khugepaged(sleep: (ms: number) => MaySleep<void>): MaySleep<void> {
    return khugepaged(this.mm, sleep);
  }

  hibernate(powerCycle: PowerCycle, freezer?: Freezer): MaySleep<number> {
    return hibernate(this.mm, powerCycle, freezer);
  }

  *numaTick(as: AddressSpace, now: bigint): MaySleep<void> {
    const space = own(as);
    if (!numaBalancingEnabled(this.mm) || now < space.numaNextScan) return;
    const first = space.numaNextScan === 0n;
    space.numaNextScan = now + NUMA_SCAN_PERIOD;
    // numa_balancing_scan_delay: short programs are not worth it.
    if (!first) yield* taskNumaWork(this.mm, space);
  }

  get imageSize(): number {
    return this.mm.imageSize;
  }

  set imageSize(bytes: number) {
    this.mm.imageSize = bytes;
  }

  kcompactd(nodeId: number, sleep?: Parameters<MemoryManager['kcompactd']>[1]): MaySleep<void> {
    const node = this.#node(nodeId);
    const stopped = () => false;
    if (sleep === undefined) return kcompactd(this.mm, node, stopped);
    return kcompactd(this.mm, node, stopped, (milliseconds) =>
      sleep(milliseconds, (wake) => {
        node.kcompactdWake = wake;
      }),
    );
  }

  #node(nodeId: number): PglistData {
    const node = this.mm.nodes.at(nodeId);
    if (node === undefined) throw new RangeError(`no node ${nodeId}`);
    return node;
  }

  flusher(sleep: Parameters<MemoryManager['flusher']>[0]): MaySleep<void> {
    return flusher(this.mm, (milliseconds) =>
      sleep(milliseconds, (wake) => {
        this.mm.wakeFlusher = wake;
      }),
    );
  }

  get hugetlb(): Readonly<HugetlbPool> {
    return this.mm.hugetlb;
  }

  setMaxHugePages(count: number): MaySleep<void> {
    return setMaxHugePages(this.mm, count);
  }

  syncAll(): MaySleep<void> {
    return syncAll(this.mm);
  }

  handleMmFault(as: AddressSpace, va: VA, access: FaultAccess): MaySleep<FaultResult> {
    return doPageFault(this.mm, own(as), va, access);
  }

  copyFromUser(as: AddressSpace, va: VA, bytes: number, options: UserCopyOptions = {}): MaySleep<Uint8Array> {
    return copyFromUser(this.mm, own(as), va, bytes, options);
  }

  copyToUser(as: AddressSpace, va: VA, data: Uint8Array, options: UserCopyOptions = {}): MaySleep<number> {
    return copyToUser(this.mm, own(as), va, data, options);
  }

  updateUserWord(
    as: AddressSpace,
    va: VA,
    change: (found: number) => number | undefined,
    options: UserCopyOptions = {},
  ): MaySleep<number | undefined> {
    return updateUserWord(this.mm, own(as), va, change, options);
  }

  accessRemoteWrite(as: AddressSpace, va: VA, data: Uint8Array): MaySleep<number> {
    return accessRemoteWrite(this.mm, own(as), va, data);
  }

  accessRemoteTags(as: AddressSpace, va: VA, tags: Uint8Array, write: boolean): MaySleep<number> {
    return this.#tagStorage.accessRemoteTags(own(as), va, tags, write);
  }

  dumpTags(as: AddressSpace, va: VA): MaySleep<Uint8Array | undefined> {
    return this.#tagStorage.dumpTags(own(as), va);
  }

  virtToPhys(as: AddressSpace, va: VA): PhysicalMapping | undefined {
    return virtToPhys(this.mm, own(as), va);
  }

  /** Beside virtToPhys: also where the entry is no mapping for the hardware. */
  residentPfn(as: AddressSpace, va: VA): number | undefined {
    return residentPfn(this.mm, own(as), va);
  }

  /** The last-level entry as it stands in memory; for experiments. */
  readPte(as: AddressSpace, va: VA): bigint | undefined {
    const addr = userAddress(own(as), va);
    return addr === undefined ? undefined : walk(this.mm, own(as), addr);
  }

  findVma(as: AddressSpace, va: VA): VmaInfo | undefined {
    const space = own(as);
    const addr = userAddress(space, va);
    const vma = addr === undefined ? undefined : space.vmas.lookup(addr);
    return vma && vmaInfo(this.mm, vma);
  }

  vmas(as: AddressSpace): readonly VmaInfo[] {
    return own(as).vmas.all.map((vma) => vmaInfo(this.mm, vma));
  }

  smaps(as: AddressSpace): readonly { readonly vma: VmaInfo; readonly counts: SmapCounts }[] {
    return own(as).vmas.all.map((vma) => ({ vma: vmaInfo(this.mm, vma), counts: smapsOf(this.mm, vma) }));
  }

  pagemap(as: AddressSpace, first: number, count: number, showsFrames: boolean): BigUint64Array {
    const space = own(as);
    const { pageSize } = this.mm;
    const pages = Math.max(0, Math.min(count, space.layout.taskSize / pageSize - first));
    return BigUint64Array.from({ length: pages }, (_, i) =>
      pagemapEntry(this.mm, space, (first + i) * pageSize, showsFrames),
    );
  }

  zoneinfo(): readonly ZoneInfo[] {
    return zoneinfo(this.mm);
  }

  nodeInfo(): readonly NodeInfo[] {
    return nodeInfo(this.mm);
  }

  numaMaps(as: AddressSpace): readonly { readonly vma: VmaInfo; readonly counts: NumaCounts }[] {
    return own(as).vmas.all.map((vma) => ({ vma: vmaInfo(this.mm, vma), counts: numaMapsOf(this.mm, vma) }));
  }

  sysctlRead(name: string): readonly number[] {
    return sysctlRead(this.mm, name);
  }

  sysctlWrite(name: string, values: readonly number[]): MaySleep<number> {
    return sysctlWrite(this.mm, name, values);
  }

  compactNode(nodeId: number): MaySleep<void> {
    return compactNode(this.mm, this.#node(nodeId));
  }

  get thp(): ThpSettings {
    return this.mm.thp;
  }

  get hugePageSize(): number {
    return this.mm.layout.pmdSize;
  }

  get pageblockOrder(): number {
    return Math.log2(this.mm.memmap.pageblockNrPages);
  }

  snapshotTagStorage(): TagStorageSnapshot {
    return this.#tagStorage.snapshot();
  }

  ownerOfTagPage(pfn: number): TagPageOwner {
    return this.#tagStorage.owner(pfn);
  }

  traceTo(sink: TraceSink): void {
    this.mm.trace = sink;
  }

  get cmaAreas(): Mm['cmaAreas'] {
    return this.mm.cmaAreas;
  }

  useOomKiller(killer: OomKiller): void {
    this.mm.oomKiller = killer;
  }

  useCapabilities(capSysAdmin: () => boolean): void {
    this.mm.capSysAdmin = capSysAdmin;
  }

  countOomKill(): void {
    this.mm.events.oom_kill++;
  }

  vmstat(): Readonly<Record<string, number>> {
    return vmstat(this.mm);
  }

  meminfo(): Readonly<Record<string, number>> {
    return meminfo(this.mm);
  }

  tagStorageMetrics(): Readonly<Record<string, number>> {
    return this.#tagStorage.metrics();
  }

  checkInvariants(): readonly Violation[] {
    return [...checkMmInvariants(this.mm), ...this.#tagStorage.checkInvariants()];
  }
}

/** Populated as it is made: locked, and not only on fault. */
const isLockedNow = (flags: number): boolean => (flags & VM_LOCKED_MASK) === VM_LOCKED;

/** Address spaces are made here only. */
function own(as: AddressSpace): MmStruct {
  if (!(as instanceof MmStruct)) throw new TypeError('address space of another kernel');
  return as;
}

/** And files too. */
function inode(file: MappableFile): Inode {
  if (!(file instanceof Inode)) throw new TypeError('file of another kernel');
  return file;
}

function vmaInfo(mm: Mm, vma: Vma): VmaInfo {
  return {
    start: toVA(BigInt(vma.start)),
    end: toVA(BigInt(vma.end)),
    read: (vma.flags & VM_READ) !== 0,
    write: (vma.flags & VM_WRITE) !== 0,
    exec: (vma.flags & VM_EXEC) !== 0,
    shared: (vma.flags & VM_MAYSHARE) !== 0,
    mte: (vma.flags & VM_MTE) !== 0,
    flags: vma.flags,
    thpEligible: thpEligible(mm.thp, vma, mm.layout.pmdSize),
    name: vma.name,
    ...(vma.file === undefined
      ? {}
      : { backing: { file: vma.file.id, offset: vma.pgoff * vma.mm.pageSize } }),
  };
}
