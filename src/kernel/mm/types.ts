/**
 * The memory manager's outward vocabulary: what the process and system-call floors build on.
 *
 * Addresses of user space are `VA` bigints here and may carry a tag in their top byte where Linux
 * accepts one; inside mm/ they are plain untagged numbers (48 bits fit exactly). Lengths are bytes.
 * Operations return 0, a count or an address, or a negative errno, as system calls do.
 */
import type { PA, Pfn, VA } from '../../base/index.js';
import type { MaySleep } from '../contexts/index.js';
import type { CmaArea } from './cma.js';
import type { Freezer, PowerCycle } from './hibernate.js';
import type { HugetlbPool } from './hugetlb.js';
import type { Ksm } from './ksm.js';
import type { MmLimits } from './limits.js';
import type { OomKiller } from './mm.js';
import type { ShmemHuge } from './shmem-huge.js';
import type { ThpSettings } from './thp-settings.js';

/** Bytes of a translation granule. */
export type PageSize = 4096 | 16384 | 65536;

/** A range of physical memory in bytes. */
export interface PhysRange {
  readonly base: PA;
  readonly size: number;
}

/** Memory that a memory node of the device tree describes. */
export interface MemoryBank extends PhysRange {
  /** `numa-node-id`; 0 where left out. */
  readonly nid?: number;
}

/** One tag region of discovery: all bounds are inclusive page frame numbers of the kernel's page size. */
export interface TagRegion {
  readonly memStartPfn: number;
  readonly memEndPfn: number;
  readonly tagStartPfn: number;
  readonly tagEndPfn: number;
  /** B: pages taken or given back at once; any integer from 1. */
  readonly blockSizePages: number;
}

/** What the memory manager tells the MMU; the TLB is the machine's. Addresses are page-aligned and untagged. */
export interface TlbHooks {
  /** TLBI VAE1IS of one page of an address space. */
  flushTlbPage(asid: number, va: VA): void;
  /** Of [start, end). */
  flushTlbRange(asid: number, start: VA, end: VA): void;
  /** TLBI ASIDE1IS. */
  flushTlbMm(asid: number): void;
}

/** How a faulting access was made. */
export interface FaultAccess {
  readonly write: boolean;
  readonly exec: boolean;
  /** From EL0 (a kernel access to user memory is not). */
  readonly user: boolean;
  /** The access reads or writes an allocation tag (LDG, STG): counts as read or write, by `write`. */
  readonly tagAccess: boolean;
}

/** What became of a fault. After `handled` the access is made again; it may fault again. */
export type FaultResult =
  | { readonly kind: 'handled'; readonly major: boolean }
  | {
      readonly kind: 'signal';
      readonly signal: 'SIGSEGV' | 'SIGBUS';
      /** SEGV_MAPERR: nothing mapped there; SEGV_ACCERR: mapped, but not for this access. */
      readonly code: 'MAPERR' | 'ACCERR' | 'ADRERR';
    }
  /** VM_FAULT_OOM: the out-of-memory killer's turn. */
  | { readonly kind: 'oom' }
  /** A fatal signal is pending: the task dies instead. */
  | { readonly kind: 'killed' };

export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;
export const PROT_BTI = 0x10;
export const PROT_MTE = 0x20;

export const MAP_SHARED = 0x01;
export const MAP_PRIVATE = 0x02;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
export const MAP_GROWSDOWN = 0x100;
export const MAP_LOCKED = 0x2000;
export const MAP_NORESERVE = 0x4000;
export const MAP_POPULATE = 0x8000;
export const MAP_STACK = 0x20000;
export const MAP_HUGETLB = 0x40000;
/** Above it, the logarithm of the page's size; 0 for the default. */
export const MAP_HUGE_SHIFT = 26;
export const MAP_FIXED_NOREPLACE = 0x100000;

export const MADV_NORMAL = 0;
export const MADV_RANDOM = 1;
export const MADV_SEQUENTIAL = 2;
export const MADV_WILLNEED = 3;
export const MADV_DONTNEED = 4;
export const MADV_REMOVE = 9;
export const MADV_DONTFORK = 10;
export const MADV_DOFORK = 11;
export const MADV_MERGEABLE = 12;
export const MADV_UNMERGEABLE = 13;
export const MADV_HUGEPAGE = 14;
export const MADV_NOHUGEPAGE = 15;
export const MADV_DONTDUMP = 16;
export const MADV_DODUMP = 17;
export const MADV_WIPEONFORK = 18;
export const MADV_KEEPONFORK = 19;
export const MADV_COLD = 20;
export const MADV_PAGEOUT = 21;
export const MADV_COLLAPSE = 25;

export const MS_ASYNC = 1;
export const MS_INVALIDATE = 2;
export const MS_SYNC = 4;

export const MREMAP_MAYMOVE = 1;
export const MREMAP_FIXED = 2;
/** The old place stays mapped, and is empty. */
export const MREMAP_DONTUNMAP = 4;

/** What makes a file that can be mapped. */
export interface FileOptions {
  /** For /proc/PID/maps. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /**
   * Where its contents come from, at most a page at a time; such a file cannot be written here. Left out:
   * a file of RAM (tmpfs, memfd), all zeros, which may also be mapped with PROT_MTE.
   */
  readonly read?: (offset: number, length: number) => Uint8Array;
  /**
   * A file on the simulated disk, empty at first: its pages are read from there and written back, can be
   * dropped when clean, and never hold tags.
   */
  readonly disk?: boolean;
  /** Told each time a mapping of it is gone (vm_ops->close). */
  readonly unmapped?: () => void;
  /** Of a file of RAM: its tmpfs's `huge=` option; left out, /sys says so (shmem_enabled). */
  readonly huge?: ShmemHuge;
}

/** A file's pages in memory, for descriptors, read and write, and mappings (struct inode). */
export interface MappableFile {
  readonly id: number;
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Pages it has in memory. */
  readonly cachedPages: number;
  /**
   * The first page at or after an index that has contents (`there`) or has none; undefined where there is no such
   * page. Of a file on a disk every page has contents.
   */
  nextPage(index: number, there: boolean): number | undefined;
  /** Mappings of it; shared ones that are, or can be made, writable. */
  readonly mappingCount: number;
  readonly writableMappings: number;
}

export interface MmapRequest {
  readonly addr: VA;
  readonly length: number;
  /** PROT_* bits. */
  readonly prot: number;
  /** MAP_* bits. */
  readonly flags: number;
  /** Left out for anonymous memory. The mapping takes a reference of its own. */
  readonly file?: MappableFile;
  /** Bytes into the file; a multiple of the page size. */
  readonly offset?: number;
  /** The descriptor is open for reading only: a shared mapping can never be made writable. */
  readonly readOnlyFile?: boolean;
  /** RLIMIT_MEMLOCK in bytes, where the caller is held to it. */
  readonly lockLimit?: number;
  /** For reports and /proc/PID/maps: `[stack]`, `[heap]`, a file's name. */
  readonly name?: string;
}

/** A mapping as /proc/PID/smaps would show it. */
export interface VmaInfo {
  readonly start: VA;
  /** Exclusive. */
  readonly end: VA;
  readonly read: boolean;
  readonly write: boolean;
  readonly exec: boolean;
  readonly shared: boolean;
  /** VM_MTE: `mt` in VmFlags. */
  readonly mte: boolean;
  /** VM_* bits as the kernel keeps them (vma.ts). */
  readonly flags: number;
  /** THPeligible: huge pages are allowed, and one would fit. */
  readonly thpEligible: boolean;
  readonly name: string;
  /** What it maps, shared anonymous memory included: the file's id, and bytes into it of `start`. */
  readonly backing?: { readonly file: number; readonly offset: number };
}

/** What /proc/PID/smaps counts of one mapping; bytes. */
export interface SmapCounts {
  readonly rss: number;
  /** Each page divided by the number of its mappings. */
  readonly pss: number;
  readonly pssDirty: number;
  readonly pssAnon: number;
  readonly pssFile: number;
  readonly pssShmem: number;
  readonly sharedClean: number;
  readonly sharedDirty: number;
  readonly privateClean: number;
  readonly privateDirty: number;
  readonly referenced: number;
  readonly anonymous: number;
  readonly ksm: number;
  readonly privateHugetlb: number;
  readonly sharedHugetlb: number;
  readonly anonHugePages: number;
  readonly shmemPmdMapped: number;
  readonly swap: number;
  readonly swapPss: number;
  /** Pss of a locked mapping. */
  readonly locked: number;
}

/** One zone, as /proc/zoneinfo, buddyinfo and pagetypeinfo have it; pages. */
export interface ZoneInfo {
  readonly name: string;
  readonly nodeId: number;
  /** zone_stat_item and numa_stat_item. */
  readonly stats: Readonly<Record<string, number>>;
  readonly startPfn: number;
  readonly free: number;
  readonly freeCma: number;
  /** min, low, high; without the boost. */
  readonly watermark: readonly number[];
  readonly boost: number;
  readonly spanned: number;
  readonly present: number;
  readonly managed: number;
  readonly cma: number;
  /** lowmem_reserve: kept from requests that could use the zone of that index. */
  readonly protection: readonly number[];
  readonly pagesets: readonly { readonly count: number; readonly high: number; readonly batch: number }[];
  /** Free blocks of each order. */
  readonly freeBlocks: readonly number[];
  /** By migratetype name: free blocks of each order, and pageblocks. */
  readonly types: Readonly<Record<string, { readonly free: readonly number[]; readonly blocks: number }>>;
}

/** One node, as /sys/devices/system/node has it. */
export interface NodeInfo {
  readonly nodeId: number;
  readonly cpus: readonly number[];
  /** To every online node, in their order. */
  readonly distances: readonly number[];
  readonly hasMemory: boolean;
  /** Some of it is not for movable data only. */
  readonly hasNormalMemory: boolean;
  /** kB. */
  readonly meminfo: Readonly<Record<string, number>>;
  readonly numastat: Readonly<Record<string, number>>;
  readonly vmstat: Readonly<Record<string, number>>;
}

/** What /proc/PID/numa_maps counts of one mapping; pages. */
export interface NumaCounts {
  readonly pages: number;
  readonly anon: number;
  readonly active: number;
  readonly writeback: number;
  readonly mapcountMax: number;
  readonly dirty: number;
  readonly swapcache: number;
  /** Node and pages on it, ascending. */
  readonly nodes: readonly (readonly [number, number])[];
}

/** A walk's result for one page. */
export interface PhysicalMapping {
  readonly pa: PA;
  readonly write: boolean;
  readonly exec: boolean;
  /** The entry's memory type is Normal Tagged: tags are valid and accesses are checked. */
  readonly tagged: boolean;
}

export interface UserCopyOptions {
  /** The task's accesses are checked synchronously (TCF = SYNC): a tag mismatch ends the copy. */
  readonly checkTags?: boolean;
}

/** One process's address space (struct mm_struct). */
export interface AddressSpace {
  readonly id: number;
  /** For TTBR0_EL1. */
  readonly pgd: PA;
  readonly asid: number;
  /** First address above user space. */
  readonly taskSize: VA;
  /** Pages mapped (RSS) and mapped address space, in pages. */
  /** Pages mapped (VmSize). */
  readonly totalVm: number;
  readonly residentPages: number;
  readonly totalPages: number;
  /** The most there was mapped (hiwater_vm). */
  readonly peakPages: number;
  /** Of the resident ones; entries that name swap slots; pages of translation tables. */
  readonly anonPages: number;
  readonly filePages: number;
  readonly swapEntries: number;
  readonly nrTables: number;
  readonly startBrk: number;
  /** RLIMIT_AS, RLIMIT_DATA and RLIMIT_STACK of the process. */
  limits: MmLimits;
  /** PR_GET_MEMORY_MERGE. */
  mergeAny: boolean;
  /** /proc/PID/ksm_stat. */
  readonly ksmRmapItems: number;
  readonly ksmMergingPages: number;
  readonly ksmZeroPages: number;
  /** start_brk, brk: set once by whoever loads the program. */
  setBrk(start: VA): void;
}

/** Tag storage at one instant, page by page. */
export interface TagStorageSnapshot {
  readonly policy: string;
  readonly enabled: boolean;
  /** Why it is disabled, in words. */
  readonly reason: string;
  readonly regions: readonly TagRegionSnapshot[];
  readonly free: number;
  readonly data: number;
  readonly tags: number;
  /** Pages neither lent nor lendable: the static carve-out, or what alignment left over. */
  readonly reserved: number;
}

export interface TagRegionSnapshot {
  readonly region: TagRegion;
  /** One byte a tag page, from tagStartPfn: TAG_PAGE_*. */
  readonly pages: Uint8Array;
}

export const TAG_PAGE_FREE = 0;
export const TAG_PAGE_DATA = 1;
export const TAG_PAGE_TAGS = 2;
export const TAG_PAGE_RESERVED = 3;

/** Who has a page of tag storage right now, for reports. */
export type TagPageOwner =
  | { readonly kind: 'not-tag-storage' }
  | { readonly kind: 'free' }
  | { readonly kind: 'reserved' }
  | { readonly kind: 'tags'; readonly blockPfn: Pfn; readonly taggedPages: number }
  | {
      readonly kind: 'data';
      readonly pfn: Pfn;
      /** Where it is mapped. */
      readonly mappings: readonly { readonly addressSpace: number; readonly va: VA }[];
    };

/** A broken invariant of tag-storage.md section 12 (or of the allocator's own). */
export interface Violation {
  /** Number in section 12, or a name for the allocator's own rules. */
  readonly invariant: string;
  readonly detail: string;
}

/** Everything the floors above ask of memory. */
export interface MemoryManager {
  readonly pageSize: PageSize;
  readonly vaBits: number;

  /** A new, empty address space; undefined when its top table cannot be allocated. */
  createAddressSpace(): MaySleep<AddressSpace | undefined>;
  /** fork: copy-on-write of data and tags; a negative errno on failure. */
  cloneAddressSpace(as: AddressSpace): MaySleep<AddressSpace | number>;
  /** Unmaps everything and frees the tables; the object is dead afterwards. */
  exitMmap(as: AddressSpace): MaySleep<void>;

  /** The address, or a negative errno. */
  mmap(as: AddressSpace, request: MmapRequest): MaySleep<number>;
  munmap(as: AddressSpace, addr: VA, length: number): MaySleep<number>;
  mprotect(as: AddressSpace, addr: VA, length: number, prot: number): MaySleep<number>;
  madvise(as: AddressSpace, addr: VA, length: number, advice: number): MaySleep<number>;
  /** mlock, mlock2 and munlock; `limit` is RLIMIT_MEMLOCK in bytes, Infinity for who is not held to it. */
  mlock(as: AddressSpace, addr: VA, length: number, onFault: boolean, limit: number): MaySleep<number>;
  munlock(as: AddressSpace, addr: VA, length: number): MaySleep<number>;
  /** mlockall with MCL_* flags, and munlockall. */
  mlockall(as: AddressSpace, flags: number, limit: number): MaySleep<number>;
  munlockall(as: AddressSpace): MaySleep<number>;
  /** locked_vm, in pages. */
  lockedPages(as: AddressSpace): number;
  mremap(
    as: AddressSpace,
    addr: VA,
    oldLength: number,
    newLength: number,
    flags: number,
    newAddr: VA,
  ): MaySleep<number>;
  /** The new (or, on failure, the old) program break, as the system call returns it. */
  brk(as: AddressSpace, addr: VA): MaySleep<number>;

  /** A file with one reference, the caller's. */
  newFile(options: FileOptions): MappableFile;
  /** Another reference, for a descriptor that is duplicated. */
  getFile(file: MappableFile): void;
  /** Gives a reference back; with the last one, mappings' included, the pages are freed. */
  putFile(file: MappableFile): MaySleep<void>;
  /** Short at the end of the file. */
  readFile(file: MappableFile, offset: number, length: number): MaySleep<Uint8Array>;
  /** Bytes written, extending the file; -ENOMEM, or -EINVAL for a file that is read from elsewhere. */
  writeFile(file: MappableFile, offset: number, data: Uint8Array): MaySleep<number>;
  /** ftruncate(): shorter or longer; mappings of what is cut off get SIGBUS. */
  truncateFile(file: MappableFile, size: number): MaySleep<number>;
  /** FALLOC_FL_PUNCH_HOLE: bytes [from, to) become zero, the size stays; 0 or a negative errno. */
  punchHole(file: MappableFile, from: number, to: number): MaySleep<number>;
  /** fsync() of pages [first, end) of a file, all without them: 0, or -EIO where the disk failed since the last. */
  syncFile(file: MappableFile, first?: number, end?: number): MaySleep<number>;
  /** MS_SYNC writes what shared mappings of the range changed; a hole in the range is -ENOMEM, at the end. */
  msync(as: AddressSpace, addr: VA, length: number, flags: number): MaySleep<number>;
  /** kswapd of a node, for a scheduler to run beside the others: sleeps until a zone is below its low watermark. */
  kswapd(nodeId: number): MaySleep<void>;
  /**
   * kcompactd of a node, likewise: sleeps until somebody who cannot compact wants a block; or, given `sleep`, until it
   * is time to look how fragmented the node is.
   */
  kcompactd(
    nodeId: number,
    sleep?: (milliseconds: number, woken: (wake: (() => void) | undefined) => void) => MaySleep<void>,
  ): MaySleep<void>;
  /** The flusher of files on disk, likewise; `sleep` also ends when what it is given is called. */
  flusher(
    sleep: (milliseconds: number, woken: (wake: (() => void) | undefined) => void) => MaySleep<void>,
  ): MaySleep<void>;
  /** ksmd, likewise; `pause` sleeps for so many milliseconds. */
  ksmd(pause: (milliseconds: number) => MaySleep<void>): MaySleep<void>;
  /** CMA areas with the counters of /sys/kernel/mm/cma, in pages. */
  readonly cmaAreas: readonly Readonly<Pick<CmaArea, 'name' | 'allocPagesSuccess' | 'allocPagesFail'>>[];
  /** /sys/kernel/mm/ksm: what is shown, and what can be set by assignment. */
  readonly ksm: Ksm;
  /** Writes to /sys/kernel/mm/ksm/run, max_page_sharing and merge_across_nodes: 0 or a negative errno. */
  ksmSet(what: 'run' | 'max_page_sharing' | 'merge_across_nodes', value: number): MaySleep<number>;
  /** PR_SET_MEMORY_MERGE: 0 or -ENOMEM. */
  setMemoryMerge(as: AddressSpace, on: boolean): MaySleep<number>;
  /**
   * khugepaged, likewise.
   *
   * @param sleep for so many milliseconds.
   */
  khugepaged(sleep: (ms: number) => MaySleep<void>): MaySleep<void>;
  /** Memory to the swap device, power off and on, and back: 0 or a negative errno. */
  hibernate(powerCycle: PowerCycle, freezer?: Freezer): MaySleep<number>;
  /** task_tick_numa(): scans a stretch of the address space, where it is time (clock in nanoseconds). */
  numaTick(as: AddressSpace, now: bigint): MaySleep<void>;
  /** /sys/power/image_size, in bytes. */
  imageSize: number;
  /** sync(). */
  syncAll(): MaySleep<void>;

  handleMmFault(as: AddressSpace, va: VA, access: FaultAccess): MaySleep<FaultResult>;

  /** Fewer bytes than asked where the rest cannot be read. */
  copyFromUser(as: AddressSpace, va: VA, bytes: number, options?: UserCopyOptions): MaySleep<Uint8Array>;
  /** Bytes written. */
  copyToUser(as: AddressSpace, va: VA, data: Uint8Array, options?: UserCopyOptions): MaySleep<number>;
  /**
   * One 32-bit word, read and written at once: `change` gives the new value for the one found, undefined to leave
   * it. Gives what was found; undefined where the word cannot be read or written.
   */
  updateUserWord(
    as: AddressSpace,
    va: VA,
    change: (found: number) => number | undefined,
    options?: UserCopyOptions,
  ): MaySleep<number | undefined>;
  /** As copyToUser, but into mappings that are not writable (a loader filling text); never checks tags. */
  accessRemoteWrite(as: AddressSpace, va: VA, data: Uint8Array): MaySleep<number>;

  /**
   * PTRACE_PEEKMTETAGS and POKEMTETAGS: one tag a byte, from the granule of `va` on. Tags transferred, or
   * -EIO (no tags there), -EFAULT, -EBUSY (the page's tag storage cannot be had) where there were none.
   */
  accessRemoteTags(as: AddressSpace, va: VA, tags: Uint8Array, write: boolean): MaySleep<number>;
  /** Tags of one page for a core dump, two a byte; undefined where there are none to write. */
  dumpTags(as: AddressSpace, va: VA): MaySleep<Uint8Array | undefined>;

  /** A software walk; undefined where no valid entry maps `va`. */
  virtToPhys(as: AddressSpace, va: VA): PhysicalMapping | undefined;
  findVma(as: AddressSpace, va: VA): VmaInfo | undefined;
  vmas(as: AddressSpace): readonly VmaInfo[];

  snapshotTagStorage(): TagStorageSnapshot;
  ownerOfTagPage(pfn: Pfn): TagPageOwner;

  /** Of each mapping, in order of address. */
  smaps(as: AddressSpace): readonly { readonly vma: VmaInfo; readonly counts: SmapCounts }[];
  /**
   * What /proc/PID/pagemap says of `count` pages from the one numbered `first` on, fewer where the address space ends.
   * `showsFrames`: also where they are.
   */
  pagemap(as: AddressSpace, first: number, count: number, showsFrames: boolean): BigUint64Array;
  /** Of each mapping, in order of address. */
  numaMaps(as: AddressSpace): readonly { readonly vma: VmaInfo; readonly counts: NumaCounts }[];
  /** Populated zones of all nodes, each node's lowest first. */
  zoneinfo(): readonly ZoneInfo[];
  /** Online nodes, by number. */
  nodeInfo(): readonly NodeInfo[];
  /** /proc/sys/vm (sysctl.ts): the values of a file; what a write does, 0 or -EINVAL. */
  sysctlRead(name: string): readonly number[];
  sysctlWrite(name: string, values: readonly number[]): MaySleep<number>;
  /** /sys/devices/system/node/nodeN/compact. */
  compactNode(nodeId: number): MaySleep<void>;
  /** pageblock_order. */
  readonly pageblockOrder: number;
  /** /sys/kernel/mm/transparent_hugepage. */
  readonly thp: ThpSettings;
  /** /proc/sys/vm/nr_hugepages and /sys/kernel/mm/hugepages. */
  readonly hugetlb: Readonly<HugetlbPool>;
  setMaxHugePages(count: number): MaySleep<void>;
  /** hpage_pmd_size, in bytes. */
  readonly hugePageSize: number;

  /** Shows `sink` every trace event from now on. */
  traceTo(sink: (event: string, fields: Readonly<Record<string, number | string>>) => void): void;

  /** Who is asked where memory is out. */
  useOomKiller(killer: OomKiller): void;
  /** Says whether who runs has CAP_SYS_ADMIN: for whom the last of what may be promised is kept. */
  useCapabilities(capSysAdmin: () => boolean): void;
  countOomKill(): void;

  /** /proc/vmstat names. */
  vmstat(): Readonly<Record<string, number>>;
  /** /proc/meminfo names; kB. */
  meminfo(): Readonly<Record<string, number>>;
  /** Policy metrics (tag-storage.md 8.5). */
  tagStorageMetrics(): Readonly<Record<string, number>>;

  /** Every invariant that can be checked from the kernel's own state. */
  checkInvariants(): readonly Violation[];
}
