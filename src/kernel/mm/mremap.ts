/**
 * mremap: a mapping shrinks, grows where it is, or moves with its pages (mm/mremap.c).
 */
import { PA } from '../../base/index.js';
import type { MaySleep } from '../contexts/index.js';
import { EFAULT, EINVAL, ENOMEM } from '../contexts/index.js';
import { anonVmaClone } from './anon-vma.js';
import { linkFile } from './filemap.js';
import { moveHugePmd, splitHugePmdLocked } from './huge-memory.js';
import { unmergeKsmPages } from './ksm-merge.js';
import { mayExpandVm } from './limits.js';
import { munlockVma } from './mlock.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { doMunmap, getUnmappedArea, pageAlign, pageAligned, vmaMerge } from './mmap.js';
import { vmEnoughMemory } from './overcommit.js';
import type { PteRun } from './page-table.js';
import {
  coversBlock,
  flushTlbRange,
  nextPteRun,
  pmdAlloc,
  pteAlloc,
  ptepGetAndClear,
  readPte,
  setPtes,
} from './page-table.js';
import { DESCRIPTOR_BYTES, pmdLeaf, pteNone } from './pgtable.js';
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from './types.js';
import { VM_ACCOUNT, VM_MAYSHARE, VM_MERGEABLE, Vma } from './vma.js';

/** sys_mremap() with mmap_lock held for writing: the address, or a negative errno. */
export function* doMremap(
  mm: Mm,
  as: MmStruct,
  addr: number,
  oldLength: number,
  newLength: number,
  flags: number,
  newAddr: number,
): MaySleep<number> {
  if ((flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP)) !== 0) return -EINVAL;
  const keeps = (flags & MREMAP_DONTUNMAP) !== 0;
  if (keeps && ((flags & MREMAP_MAYMOVE) === 0 || oldLength !== newLength)) return -EINVAL;
  if ((flags & MREMAP_FIXED) !== 0 && (flags & MREMAP_MAYMOVE) === 0) return -EINVAL;
  if (!pageAligned(mm, addr)) return -EINVAL;
  const oldSize = pageAlign(mm, oldLength);
  const newSize = pageAlign(mm, newLength);
  if (!(newSize > 0) || newSize > as.layout.taskSize) return -EINVAL;
  let vma = as.vmas.lookup(addr);
  if (!vma) return -EFAULT;
  // Moving and shrinking those is not implemented.
  if (vma.hugetlb !== undefined) return -EINVAL;
  // mremap_to(): without MREMAP_FIXED the new place is a hint, and looked at like one that is not.
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0) {
    if (!pageAligned(mm, newAddr) || newAddr > as.layout.taskSize - newSize) return -EINVAL;
    if (addr + oldSize > newAddr && newAddr + newSize > addr) return -EINVAL;
  }
  if ((flags & MREMAP_FIXED) !== 0) {
    const error = yield* doMunmap(mm, as, newAddr, newSize);
    if (error !== 0) return error;
  }
  if (oldSize >= newSize) {
    if (oldSize > newSize) {
      const error = yield* doMunmap(mm, as, addr + newSize, oldSize - newSize);
      if (error !== 0) return error;
    }
    if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) === 0) return addr;
  }
  vma = as.vmas.lookup(addr);
  const moved = Math.min(oldSize, newSize);
  if (!vma) return -EFAULT;
  // Of nothing, a second mapping of the same pages is made, which only shared ones can be.
  if (oldSize === 0 && (vma.flags & VM_MAYSHARE) === 0) return -EINVAL;
  if (addr + moved > vma.end) return -EFAULT;
  const grown = (keeps ? newSize : newSize - moved) / mm.pageSize;
  if (!mayExpandVm(mm, as, vma.flags, grown)) return -ENOMEM;
  if ((vma.flags & VM_ACCOUNT) !== 0 && !vmEnoughMemory(mm, grown, as.totalVm)) return -ENOMEM;
  const mayStay = (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) === 0;
  if (mayStay && addr + oldSize === vma.end && canExpand(as, vma, addr + newSize)) {
    vma.end = addr + newSize;
    as.totalVm += grown;
    if ((vma.flags & VM_ACCOUNT) !== 0) mm.committedPages += grown;
    vmaMerge(mm, vma);
    return addr;
  }
  if ((flags & MREMAP_MAYMOVE) === 0) return -ENOMEM;
  const target =
    (flags & MREMAP_FIXED) !== 0 ? newAddr : getUnmappedArea(mm, as, keeps ? newAddr : 0, newSize);
  if (target < 0) return target;
  return yield* moveVma(mm, as, vma, addr, moved, newSize, target, keeps);
}

function canExpand(as: MmStruct, vma: Vma, end: number): boolean {
  const next = as.vmas.at(as.vmas.indexAbove(vma.end));
  return end <= as.layout.taskSize && (next === undefined || end <= next.start);
}

/** move_vma(). */
function* moveVma(
  mm: Mm,
  as: MmStruct,
  vma: Vma,
  addr: number,
  moved: number,
  newSize: number,
  target: number,
  keeps: boolean,
): MaySleep<number> {
  if (as.vmas.size >= mm.sysctl.maxMapCount[0]! - 3) return -ENOMEM;
  // Merged pages are found by their address: they are taken apart before they move, and may be merged again there.
  if ((vma.flags & VM_MERGEABLE) !== 0) {
    const error = yield* unmergeKsmPages(mm, vma, addr, addr + moved);
    if (error !== 0) return error;
  }
  // copy_vma(): pages keep their index, so the copy keeps the page offset; without pages it is free to change.
  const copy = new Vma(as, target, target + newSize, vma.flags, target / mm.pageSize, vma.name);
  if (vma.anonVma || vma.file) copy.pgoff = vma.pgoff + (addr - vma.start) / mm.pageSize;
  if (vma.file) yield* linkFile(copy, vma.file);
  if (vma.anonVma) {
    copy.anonVma = vma.anonVma;
    anonVmaClone(copy, vma);
  }
  as.vmas.insert(copy);
  as.totalVm += newSize / mm.pageSize;
  if ((vma.flags & VM_ACCOUNT) !== 0) mm.committedPages += newSize / mm.pageSize;
  const failed = !(yield* movePageTables(mm, copy, addr, target, moved));
  // Out of tables: what moved goes back, for which the tables are there.
  if (failed) yield* movePageTables(mm, copy, target, addr, moved);
  if (failed) {
    yield* doMunmap(mm, as, target, newSize);
    return -ENOMEM;
  }
  // MREMAP_DONTUNMAP: the old mapping is locked no more, whichever part of it moved.
  if (keeps) yield* munlockVma(mm, vma);
  else if (moved > 0) yield* doMunmap(mm, as, addr, moved);
  const settled = as.vmas.lookup(target);
  if (settled) vmaMerge(mm, settled);
  return target;
}

/**
 * take_rmap_locks(): a walk must find each page at one of the two places. Not while tables are made for it, which
 * may have to reclaim pages through these very locks.
 */
function* takeRmapLocks(vma: Vma): MaySleep<void> {
  if (vma.file !== undefined) yield* vma.file.mmapSemaphore.downWrite();
  if (vma.anonVma !== undefined) yield* vma.anonVma.semaphore.downWrite();
}

function dropRmapLocks(vma: Vma): void {
  vma.anonVma?.semaphore.upWrite();
  vma.file?.mmapSemaphore.upWrite();
}

/**
 * move_page_tables(): every entry of [from, from + length) to the same offset of `to`; false where tables ran out.
 *
 * @param vma one of the two mappings; both have the same file and anon_vma.
 */
function* movePageTables(mm: Mm, vma: Vma, from: number, to: number, length: number): MaySleep<boolean> {
  const as = vma.mm;
  const { pmdSize } = mm.layout;
  const end = from + length;
  let addr = from;
  for (let run = nextPteRun(mm, as, addr, end); run; run = nextPteRun(mm, as, addr, end)) {
    if (run.huge) {
      const moved = yield* moveBlock(mm, vma, run, run.addr - from + to);
      if (moved === undefined) return false;
      if (moved) addr = run.end;
      continue;
    }
    // get_extent(): as far as one table reaches at either place.
    const place = run.addr - from + to;
    const stop = Math.min(run.end, run.addr + pmdSize - (place % pmdSize));
    const target = yield* pteAlloc(mm, as, place);
    if (target === undefined) return false;
    // The range was unmapped, and mmap_lock keeps faults out.
    mm.bugOn(target === 'huge', 'a block is mapped where a mapping moves to');
    if (target === 'huge') return false;
    yield* takeRmapLocks(vma);
    yield* as.pageTableLock.lock();
    for (let i = 0; run.addr + i * mm.pageSize < stop; i++) {
      const source = PA(run.at + i * DESCRIPTOR_BYTES);
      if (pteNone(readPte(mm, source))) continue;
      const pte = yield* ptepGetAndClear(mm, source);
      yield* setPtes(mm, PA(target + i * DESCRIPTOR_BYTES), pte);
    }
    as.pageTableLock.unlock();
    dropRmapLocks(vma);
    flushTlbRange(mm, as, run.addr, stop);
    addr = stop;
  }
  return true;
}

/**
 * A block moves whole where both places are blocks, and is split otherwise.
 *
 * @returns true where it moved; false where it was split; undefined where tables ran out.
 */
function* moveBlock(mm: Mm, vma: Vma, run: PteRun, to: number): MaySleep<boolean | undefined> {
  const as = vma.mm;
  const aligned = coversBlock(mm, run) && to % mm.layout.pmdSize === 0;
  const target = aligned ? yield* pmdAlloc(mm, as, to) : undefined;
  if (aligned && target === undefined) return undefined;
  yield* takeRmapLocks(vma);
  yield* as.pageTableLock.lock();
  const still = pmdLeaf(readPte(mm, run.at));
  const moves = still && target !== undefined && readPte(mm, target) === 0n;
  if (moves && target !== undefined) yield* moveHugePmd(mm, run.at, target);
  else if (still) yield* splitHugePmdLocked(mm, as, run.at, run.addr);
  as.pageTableLock.unlock();
  dropRmapLocks(vma);
  if (moves) flushTlbRange(mm, as, run.addr, run.end);
  return moves;
}
