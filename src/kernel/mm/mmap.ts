/**
 * Mappings: mmap, munmap, brk and the finding, merging and splitting of VMAs (mm/mmap.c).
 *
 * Shared anonymous memory is a file of RAM without a name, as in Linux. Addresses are untagged numbers
 * here; the callers' tags were dealt with at the surface.
 */
import { PA } from '../../base/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EACCES, EAGAIN, EEXIST, EINVAL, ENODEV, ENOMEM, EPERM } from '../contexts/index.js';
import { anonVmaClone, unlinkAnonVmas } from './anon-vma.js';
import type { Inode } from './filemap.js';
import { linkFile, newInode, putInode, unlinkFile } from './filemap.js';
import { deferSplit, splitHugePmd, splitHugePmdAcross, zapHugePmd } from './huge-memory.js';
import { cutsHugePage, hugetlbClose, hugetlbProblem, hugetlbReserve } from './hugetlb.js';
import { khugepagedEnterVma } from './khugepaged.js';
import { vmaKsmCompatible } from './ksm.js';
import { ksmMightUnmapZeroPage } from './ksm-merge.js';
import { mayExpandVm } from './limits.js';
import { lruAddDrain, putPage } from './lru.js';
import type { Page } from './memmap.js';
import { vmNormalPage } from './memory.js';
import { lockedVm, munlockVma } from './mlock.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { vmEnoughMemory } from './overcommit.js';
import {
  coversBlock,
  flushTlbRange,
  freePgtables,
  nextPteRun,
  ptepGetAndClear,
  readPte,
} from './page-table.js';
import {
  DESCRIPTOR_BYTES,
  isMigrationEntry,
  isSwapEntry,
  pmdLeaf,
  pteDirty,
  pteNone,
  ptePresent,
  swapEntryOf,
} from './pgtable.js';
import { folioRemoveRmap, isAnonPage, isMigrationEntryAnon } from './rmap.js';
import { shmemMayBeHuge } from './shmem-huge.js';
import { freeSwapAndCache, freeSwapCache } from './swap.js';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_BTI,
  PROT_EXEC,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
} from './types.js';
import { OVERCOMMIT_NEVER } from './vm-sysctls.js';
import {
  VM_ACCOUNT,
  VM_ARM64_BTI,
  VM_DATA_DEFAULT_FLAGS,
  VM_DONTEXPAND,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_HUGETLB,
  VM_LOCKED,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_MERGEABLE,
  VM_MTE,
  VM_MTE_ALLOWED,
  VM_NORESERVE,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
  Vma,
} from './vma.js';
import { folioMarkDirty } from './writeback.js';

/** vm.mmap_min_addr. */
const MMAP_MIN_ADDR = 65536;
/** stack_guard_gap, in pages. */
export const STACK_GUARD_GAP = 256;

export const pageAlign = (mm: Mm, bytes: number): number => Math.ceil(bytes / mm.pageSize) * mm.pageSize;
export const pageAligned = (mm: Mm, addr: number): boolean => addr % mm.pageSize === 0;

/** calc_vm_prot_bits(), with the architecture's PROT_BTI and PROT_MTE. */
export function calcVmProtBits(mm: Mm, prot: number): number {
  let flags = 0;
  if ((prot & PROT_READ) !== 0) flags |= VM_READ;
  if ((prot & PROT_WRITE) !== 0) flags |= VM_WRITE;
  if ((prot & PROT_EXEC) !== 0) flags |= VM_EXEC;
  if ((prot & PROT_BTI) !== 0) flags |= VM_ARM64_BTI;
  if ((prot & PROT_MTE) !== 0 && mm.mte) flags |= VM_MTE;
  return flags;
}

/** arch_validate_flags(): only RAM that may hold tags can be mapped with them. */
export const archValidateFlags = (flags: number): boolean =>
  (flags & VM_MTE) === 0 || (flags & VM_MTE_ALLOWED) !== 0;

/** accountable_mapping(). */
const accountable = (flags: number): boolean =>
  (flags & (VM_NORESERVE | VM_SHARED | VM_HUGETLB | VM_WRITE)) === VM_WRITE;

/**
 * get_unmapped_area(), top down.
 *
 * @param hint where the caller would like it, or 0.
 * @returns an address or -ENOMEM.
 */
export function getUnmappedArea(mm: Mm, as: MmStruct, hint: number, length: number): number {
  const { layout, vmas } = as;
  if (length > layout.taskSize - MMAP_MIN_ADDR) return -ENOMEM;
  if (hint !== 0) {
    const at = pageAlign(mm, hint);
    if (at >= MMAP_MIN_ADDR && at <= layout.taskSize - length && !vmas.intersects(at, at + length)) return at;
  }
  // A hole below the last answer may be too small for this request but was large enough to remember.
  if (length <= as.cachedHoleSize) {
    as.cachedHoleSize = 0;
    as.freeAreaCache = as.mmapBase;
  }
  const found = searchDown(as, Math.min(as.freeAreaCache, as.mmapBase), length);
  if (found !== undefined) {
    as.freeAreaCache = found;
    return found;
  }
  as.cachedHoleSize = 0;
  as.freeAreaCache = as.mmapBase;
  const again = searchDown(as, as.mmapBase, length);
  if (again !== undefined) {
    as.freeAreaCache = again;
    return again;
  }
  // Bottom up, in what lies above mmap_base.
  let at = as.mmapBase;
  for (let i = vmas.indexAbove(at); ; i++) {
    const vma = vmas.at(i);
    if (at + length <= (vma?.start ?? layout.taskSize)) return at;
    if (!vma) return -ENOMEM;
    at = Math.max(at, vma.end);
  }
}

function searchDown(as: MmStruct, from: number, length: number): number | undefined {
  const { vmas } = as;
  let top = from;
  for (let i = vmas.indexAbove(top); top - length >= MMAP_MIN_ADDR; i--) {
    // The VMA at or below `top`.
    const above = vmas.at(i);
    if (above && above.start < top) {
      const guard = (above.flags & VM_GROWSDOWN) !== 0 ? STACK_GUARD_GAP * as.pageSize : 0;
      top = above.start - guard;
      continue;
    }
    const below = vmas.at(i - 1);
    const bottom = below?.end ?? MMAP_MIN_ADDR;
    if (top - length >= bottom) return top - length;
    as.cachedHoleSize = Math.max(as.cachedHoleSize, top - bottom);
    if (!below) return undefined;
    const guard = (below.flags & VM_GROWSDOWN) !== 0 ? STACK_GUARD_GAP * as.pageSize : 0;
    top = below.start - guard;
  }
  return undefined;
}

/** is_mergeable_anon_vma(): may one VMA carry the pages of both? */
function mergeableAnonVma(low: Vma, high: Vma): boolean {
  if (low.anonVma === high.anonVma) return true;
  if (low.anonVma && high.anonVma) return false;
  return (low.anonVma ? low : high).anonVmaChain.size <= 1;
}

/** can_vma_merge_after() and _before(): neighbours that could be one VMA. */
function canMerge(mm: Mm, low: Vma, high: Vma): boolean {
  return (
    low.end === high.start &&
    low.flags === high.flags &&
    low.name === high.name &&
    low.file === high.file &&
    low.hugetlb === undefined &&
    high.hugetlb === undefined &&
    low.pgoff + (low.end - low.start) / mm.pageSize === high.pgoff &&
    mergeableAnonVma(low, high)
  );
}

/** vma_merge(): joins `vma` with its neighbours where they fit; the VMA that now covers its place. */
export function vmaMerge(mm: Mm, vma: Vma): Vma {
  const { vmas } = vma.mm;
  let result = vma;
  const index = vmas.indexAbove(vma.start);
  const before = vmas.at(index - 1);
  const after = vmas.at(index + 1);
  if (before && canMerge(mm, before, result)) result = joinVmas(mm, before, result);
  if (after && canMerge(mm, result, after)) result = joinVmas(mm, result, after);
  khugepagedEnterVma(mm, result);
  return result;
}

function joinVmas(mm: Mm, low: Vma, high: Vma): Vma {
  if (!low.anonVma && high.anonVma) adoptAnonVmas(low, high);
  low.mm.vmas.remove(high);
  low.end = high.end;
  for (const anonVma of low.anonVmaChain) anonVma.generation++;
  if (high.file) {
    // Both referred to it, and one of them goes: never the last reference.
    high.file.generation++;
    high.file.mappings.delete(high);
    high.file.references--;
    high.file = undefined;
  }
  unlinkAnonVmas(mm, high);
  return low;
}

/** The low VMA takes over membership of the high one, its own anon_vma included. */
function adoptAnonVmas(low: Vma, high: Vma): void {
  low.anonVma = high.anonVma;
  anonVmaClone(low, high);
}

/** __split_vma(): cuts `vma` at `addr`; returns the upper part. */
export function splitVma(mm: Mm, vma: Vma, addr: number): Vma {
  const pages = (addr - vma.start) / mm.pageSize;
  const upper = new Vma(vma.mm, addr, vma.end, vma.flags, vma.pgoff + pages, vma.name);
  upper.anonVma = vma.anonVma;
  anonVmaClone(upper, vma);
  if (vma.file) {
    upper.file = vma.file;
    upper.file.references++;
    upper.file.mappings.add(upper);
  }
  if (vma.hugetlb) {
    upper.hugetlb = vma.hugetlb;
    upper.hugetlb.users++;
  }
  vma.end = addr;
  vma.mm.vmas.insert(upper);
  return upper;
}

/**
 * Splits so that no VMA, and no huge entry, straddles `start` or `end`; -ENOMEM at the limit of map count.
 */
export function* splitAtEdges(mm: Mm, as: MmStruct, start: number, end: number): Atomic<number> {
  for (const edge of [start, end]) {
    const vma = as.vmas.lookup(edge);
    if (vma && vma.start < edge) {
      if (as.vmas.size >= mm.sysctl.maxMapCount[0]!) return -ENOMEM;
      // vma_adjust_trans_huge().
      yield* splitHugePmdAcross(mm, as, edge);
      splitVma(mm, vma, edge);
    }
  }
  return 0;
}

/** zap_page_range(): unmaps and, after the TLB forgot them, frees the pages of [start, end). */
export function* zapRange(mm: Mm, as: MmStruct, start: number, end: number): Atomic<void> {
  const gathered: Page[] = [];
  let addr = start;
  for (let run = nextPteRun(mm, as, addr, end); run; run = nextPteRun(mm, as, addr, end)) {
    if (run.huge && !coversBlock(mm, run)) {
      yield* splitHugePmd(mm, as, run.at, run.addr);
      continue;
    }
    if (run.huge) {
      yield* as.pageTableLock.lock();
      // Split since we looked.
      const folio = pmdLeaf(readPte(mm, run.at)) ? yield* zapHugePmd(mm, as, run) : 'split';
      as.pageTableLock.unlock();
      if (folio === 'split') continue;
      flushTlbRange(mm, as, run.addr, run.end);
      if (folio !== undefined) yield* putPage(mm, folio);
      addr = run.end;
      continue;
    }
    yield* as.pageTableLock.lock();
    for (let i = 0; run.addr + i * mm.pageSize < run.end; i++) {
      const at = PA(run.at + i * DESCRIPTOR_BYTES);
      const pte = readPte(mm, at);
      if (pteNone(pte)) continue;
      yield* ptepGetAndClear(mm, at);
      if (ptePresent(pte)) {
        const normal = vmNormalPage(mm, pte);
        if (normal === undefined) {
          ksmMightUnmapZeroPage(mm, as, pte);
          continue;
        }
        if (isAnonPage(mm, normal)) {
          as.anonPages--;
        } else {
          as.filePages--;
          if (pteDirty(pte)) folioMarkDirty(mm, normal);
        }
        folioRemoveRmap(mm, normal);
        deferSplit(mm, normal);
        gathered.push(normal);
      } else if (isMigrationEntry(pte)) {
        // The page is on its way elsewhere; whoever moves it will find no entry to turn back.
        if (isMigrationEntryAnon(mm, pte)) as.anonPages--;
        else as.filePages--;
      } else if (isSwapEntry(pte)) {
        as.swapEntries--;
        yield* freeSwapAndCache(mm, swapEntryOf(pte));
      }
    }
    as.pageTableLock.unlock();
    flushTlbRange(mm, as, run.addr, run.end);
    for (const page of gathered) {
      yield* freeSwapCache(mm, page);
      yield* putPage(mm, page);
    }
    gathered.length = 0;
    addr = run.end;
  }
}

/** do_vmi_munmap() with mmap_lock held for writing. */
export function* doMunmap(mm: Mm, as: MmStruct, start: number, length: number): MaySleep<number> {
  const end = start + pageAlign(mm, length);
  if (!pageAligned(mm, start) || start > as.layout.taskSize || end > as.layout.taskSize || end <= start) {
    return -EINVAL;
  }
  if (!as.vmas.intersects(start, end)) return 0;
  if (as.vmas.overlapping(start, end).some((vma) => cutsHugePage(mm, vma, start, end))) return -EINVAL;
  const error = yield* splitAtEdges(mm, as, start, end);
  if (error !== 0) return error;
  const doomed = as.vmas.overlapping(start, end);
  for (const vma of doomed) yield* munlockVma(mm, vma);
  for (const vma of doomed) {
    as.vmas.remove(vma);
    as.totalVm -= (vma.end - vma.start) / mm.pageSize;
    if ((vma.flags & VM_ACCOUNT) !== 0) mm.committedPages -= (vma.end - vma.start) / mm.pageSize;
  }
  const index = as.vmas.indexAbove(start);
  const floor = as.vmas.at(index - 1)?.end ?? 0;
  const ceiling = as.vmas.at(index)?.start ?? as.layout.taskSize;
  // Pages that still wait in this CPU's batch would outlive the mapping there.
  yield* lruAddDrain(mm);
  for (const vma of doomed) yield* zapRange(mm, as, vma.start, vma.end);
  yield* freePgtables(mm, as, start, end, floor, ceiling);
  for (const vma of doomed) {
    hugetlbClose(mm, vma);
    unlinkAnonVmas(mm, vma);
    yield* unlinkFile(mm, vma);
  }
  if (end > as.freeAreaCache) {
    as.freeAreaCache = Math.min(end, as.mmapBase);
    as.cachedHoleSize = 0;
  }
  return 0;
}

/**
 * get_unmapped_area() of whatever is mapped: for files of RAM that get huge pages, an address that agrees with the
 * place in the file (shmem_get_unmapped_area()).
 */
function unmappedAreaFor(mm: Mm, as: MmStruct, request: MapRequest, size: number): number {
  const { addr, file, flags, offset } = request;
  const found = getUnmappedArea(mm, as, addr, size);
  const { pmdSize } = mm.layout;
  const nameless = file === undefined && (flags & MAP_SHARED) !== 0;
  if (found < 0 || size < pmdSize || (addr !== 0 && found === addr)) return found;
  if (!nameless && file?.isShmem !== true) return found;
  if (!shmemMayBeHuge(mm.thp, file)) return found;
  const within = offset % pmdSize;
  if ((within !== 0 && within + size < 2 * pmdSize) || found % pmdSize === within) return found;
  const roomy = getUnmappedArea(mm, as, 0, size + pmdSize - mm.pageSize);
  if (roomy < 0) return found;
  const at = roomy - (roomy % pmdSize) + within;
  return at < roomy ? at + pmdSize : at;
}

/** The flags a mapping of this request gets, or a negative errno. */
function mmapFlags(mm: Mm, request: MapRequest): number {
  const { prot, flags, file } = request;
  const type = flags & (MAP_SHARED | MAP_PRIVATE);
  if (type === 0) return -EINVAL;
  if (!file && (flags & MAP_ANONYMOUS) === 0) return -ENODEV;
  let vmFlags = calcVmProtBits(mm, prot) | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;
  // Only RAM has tags: memory that is read again from elsewhere would come back without.
  const hugetlb = (flags & MAP_HUGETLB) !== 0;
  if (!hugetlb && (!file || file.isShmem)) vmFlags |= VM_MTE_ALLOWED;
  if (hugetlb) vmFlags |= VM_HUGETLB | VM_DONTEXPAND;
  // MAP_SHARED_VALIDATE is both bits.
  if ((flags & MAP_SHARED) !== 0) {
    vmFlags |= VM_SHARED | VM_MAYSHARE;
    if (request.readOnlyFile) {
      if ((vmFlags & VM_WRITE) !== 0) return -EACCES;
      vmFlags &= ~(VM_MAYWRITE | VM_SHARED);
    }
  } else if (!file && (flags & MAP_GROWSDOWN) !== 0) {
    vmFlags |= VM_GROWSDOWN;
  }
  // Who promises no more than there is does not take everybody's word.
  const promises = mm.sysctl.overcommitMemory[0] === OVERCOMMIT_NEVER && (flags & MAP_HUGETLB) === 0;
  if ((flags & MAP_NORESERVE) !== 0 && !promises) vmFlags |= VM_NORESERVE;
  return archValidateFlags(vmFlags) ? vmFlags : -EINVAL;
}

/** What do_mmap() is asked for; addresses and lengths in bytes. */
export interface MapRequest {
  readonly addr: number;
  readonly length: number;
  readonly prot: number;
  readonly flags: number;
  readonly name: string;
  readonly file?: Inode;
  /** In the file; a multiple of the page size. */
  readonly offset: number;
  /** The descriptor is open for reading only. */
  readonly readOnlyFile: boolean;
  /** Bytes that may be locked in all; Infinity where the caller may lock what it likes. */
  readonly lockLimit: number;
}

/** do_mmap() with mmap_lock held for writing: the address, or a negative errno. */
export function* doMmap(mm: Mm, as: MmStruct, request: MapRequest): MaySleep<number> {
  const { addr, length, flags, offset } = request;
  if (!(length > 0) || offset % mm.pageSize !== 0 || offset < 0) return -EINVAL;
  const huge = (flags & MAP_HUGETLB) !== 0;
  const unit = huge ? mm.layout.pmdSize : mm.pageSize;
  const size = Math.ceil(length / unit) * unit;
  if (!(size <= as.layout.taskSize)) return -ENOMEM;
  const problem = huge ? hugetlbProblem(mm, flags, request.file !== undefined) : 0;
  if (problem !== 0) return problem;
  let vmFlags = mmapFlags(mm, request);
  if (vmFlags < 0) return vmFlags;
  // Huge pages of the pool are locked as they are.
  if (!huge) vmFlags |= as.defFlags;
  if ((flags & MAP_LOCKED) !== 0) {
    if (request.lockLimit === 0) return -EPERM;
    if (!huge) vmFlags |= VM_LOCKED;
  }
  // mlock_future_ok().
  if ((vmFlags & VM_LOCKED) !== 0 && lockedVm(mm, as) * mm.pageSize + size > request.lockLimit)
    return -EAGAIN;
  let start = addr;
  if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0) {
    if (addr % unit !== 0) return -EINVAL;
    if (addr > as.layout.taskSize - size) return -ENOMEM;
    if ((flags & MAP_FIXED_NOREPLACE) !== 0 && as.vmas.intersects(addr, addr + size)) return -EEXIST;
  } else {
    // hugetlb_get_unmapped_area(): of a place that has room for a whole page more, where one begins.
    start =
      unit === mm.pageSize
        ? unmappedAreaFor(mm, as, request, size)
        : getUnmappedArea(mm, as, addr, size + unit - mm.pageSize);
    if (start < 0) return start;
    start = Math.ceil(start / unit) * unit;
  }
  if (as.vmas.size >= mm.sysctl.maxMapCount[0]!) return -ENOMEM;
  if (!mayExpandVm(mm, as, vmFlags, (size - mappedBytes(as, start, start + size)) / mm.pageSize))
    return -ENOMEM;
  if (as.vmas.intersects(start, start + size)) {
    const error = yield* doMunmap(mm, as, start, size);
    if (error !== 0) return error;
  }
  const reservation = huge ? hugetlbReserve(mm, size / unit, flags) : undefined;
  if (huge && reservation === undefined) return -ENOMEM;
  if (accountable(vmFlags)) {
    if (!vmEnoughMemory(mm, size / mm.pageSize, as.totalVm)) return -ENOMEM;
    vmFlags |= VM_ACCOUNT;
  }
  // shmem_zero_setup(): shared anonymous memory is a nameless file that only its mappings refer to.
  const nameless = !request.file && (vmFlags & VM_MAYSHARE) !== 0;
  const file = nameless ? newInode(mm, { name: 'dev/zero', size }) : request.file;
  const vma = yield* insertMapping(
    mm,
    as,
    start,
    size,
    vmFlags,
    huge ? '/anon_hugepage (deleted)' : request.name,
    file && { file, pgoff: offset / mm.pageSize },
  );
  vma.hugetlb ??= reservation;
  if (nameless && file) yield* putInode(mm, file);
  return start;
}

/** count_vma_pages_range(), in bytes: what a new mapping takes the place of. */
function mappedBytes(as: MmStruct, start: number, end: number): number {
  return as.vmas
    .overlapping(start, end)
    .reduce((sum, vma) => sum + Math.min(vma.end, end) - Math.max(vma.start, start), 0);
}

/** A new VMA, merged with its neighbours. */
export function* insertMapping(
  mm: Mm,
  as: MmStruct,
  start: number,
  size: number,
  flags: number,
  name: string,
  from?: { readonly file: Inode; readonly pgoff: number },
): MaySleep<Vma> {
  const vma = new Vma(as, start, start + size, flags, from?.pgoff ?? start / mm.pageSize, name);
  if (from) yield* linkFile(vma, from.file);
  // ksm_add_vma(); before the neighbours are looked at, so that such mappings still become one.
  if (as.mergeAny && vmaKsmCompatible(vma)) vma.flags |= VM_MERGEABLE;
  as.vmas.insert(vma);
  as.totalVm += size / mm.pageSize;
  if ((flags & VM_ACCOUNT) !== 0) mm.committedPages += size / mm.pageSize;
  return vmaMerge(mm, vma);
}

/** sys_brk() with mmap_lock held for writing: the new break, or the old one where it cannot be had. */
export function* doBrk(mm: Mm, as: MmStruct, brk: number): MaySleep<number> {
  if (!(brk >= as.startBrk) || brk > as.layout.taskSize) return as.brk;
  // check_data_rlimit(), for the heap alone: where a program's data lies is not kept.
  if (brk - as.startBrk > as.limits.data) return as.brk;
  const newEnd = pageAlign(mm, brk);
  const oldEnd = pageAlign(mm, as.brk);
  if (newEnd === oldEnd) {
    as.brk = brk;
    return brk;
  }
  if (brk <= as.brk) {
    const error = yield* doMunmap(mm, as, newEnd, oldEnd - newEnd);
    if (error !== 0) return as.brk;
    as.brk = brk;
    return brk;
  }
  const next = as.vmas.at(as.vmas.indexAbove(oldEnd));
  const guard = next && (next.flags & VM_GROWSDOWN) !== 0 ? STACK_GUARD_GAP * mm.pageSize : 0;
  if (newEnd > as.layout.taskSize || (next && newEnd + guard > next.start)) return as.brk;
  const pages = (newEnd - oldEnd) / mm.pageSize;
  if (!mayExpandVm(mm, as, VM_DATA_DEFAULT_FLAGS, pages)) return as.brk;
  if (as.vmas.size >= mm.sysctl.maxMapCount[0]! || !vmEnoughMemory(mm, pages, as.totalVm)) return as.brk;
  yield* insertMapping(
    mm,
    as,
    oldEnd,
    newEnd - oldEnd,
    VM_DATA_DEFAULT_FLAGS | VM_ACCOUNT | as.defFlags,
    '[heap]',
  );
  as.brk = brk;
  return brk;
}
