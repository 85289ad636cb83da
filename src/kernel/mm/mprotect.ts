/**
 * mprotect (mm/mprotect.c).
 *
 * PROT_MTE needs nothing special here, as in v2 and v3 of the series: rewriting an entry with the
 * VMA's new Normal-Tagged protection passes through the set-PTE hook, which marks the pages that
 * lack their tag block. PROT_MTE is never taken away again.
 */
import { PA } from '../../base/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EACCES, EINVAL, ENOMEM } from '../contexts/index.js';
import { changeHugePmd, splitHugePmd } from './huge-memory.js';
import { cutsHugePage } from './hugetlb.js';
import { isKsmPage } from './ksm.js';
import { mayExpandVm } from './limits.js';
import { canChangePteWritable } from './memory.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { archValidateFlags, calcVmProtBits, pageAlign, pageAligned, splitAtEdges, vmaMerge } from './mmap.js';
import { vmEnoughMemory } from './overcommit.js';
import {
  coversBlock,
  flushTlbRange,
  nextPteRun,
  ptepGetAndClear,
  readPte,
  setHugePmd,
  setPtes,
} from './page-table.js';
import {
  DESCRIPTOR_BYTES,
  isMigrationEntry,
  isWritableMigrationEntry,
  PAGE_NONE,
  pmdLeaf,
  pteMkwrite,
  pteModify,
  pteNone,
  ptePa,
  ptePresent,
  pteProtnone,
  pteSpecial,
  pteWrite,
  SWP_MIGRATION_READ_EXCLUSIVE,
  withMigrationType,
} from './pgtable.js';
import { PROT_BTI, PROT_MTE } from './types.js';
import type { Vma } from './vma.js';
import { VM_ACCESS_FLAGS, VM_ACCOUNT, VM_ARM64_BTI, VM_NORESERVE, VM_SHARED, VM_WRITE } from './vma.js';

/** PROT_READ, WRITE, EXEC and SEM. */
const PROT_GENERIC = 0xf;

/** change_protection(): every entry of the range gets the VMA's protection. */
function* changeProtection(mm: Mm, vma: Vma, start: number, end: number): Atomic<void> {
  const as = vma.mm;
  let addr = start;
  for (let run = nextPteRun(mm, as, addr, end); run; run = nextPteRun(mm, as, addr, end)) {
    if (run.huge && !coversBlock(mm, run)) {
      yield* splitHugePmd(mm, as, run.at, run.addr);
      continue;
    }
    yield* as.pageTableLock.lock();
    if (run.huge) {
      const still = pmdLeaf(readPte(mm, run.at));
      if (still) yield* changeHugePmd(mm, vma, run);
      as.pageTableLock.unlock();
      if (still) addr = run.end;
      continue;
    }
    for (let i = 0; run.addr + i * mm.pageSize < run.end; i++) {
      const entryAt = PA(run.at + i * DESCRIPTOR_BYTES);
      const old = readPte(mm, entryAt);
      if (pteNone(old)) continue;
      if (ptePresent(old)) {
        // ptep_modify_prot_start() and _commit(): never a moment with half of each protection.
        yield* ptepGetAndClear(mm, entryAt);
        let entry = pteModify(old, vma.pageProt);
        if (!pteWrite(entry) && canChangePteWritable(mm, vma, entry)) entry = pteMkwrite(entry);
        yield* setPtes(mm, entryAt, entry);
      } else if (isMigrationEntry(old) && isWritableMigrationEntry(old)) {
        // Writable again only through a fault that sees the VMA as it then is.
        yield* setPtes(mm, entryAt, withMigrationType(old, SWP_MIGRATION_READ_EXCLUSIVE));
      }
    }
    as.pageTableLock.unlock();
    addr = run.end;
  }
  flushTlbRange(mm, as, start, end);
}

/**
 * change_prot_numa(): MM_CP_PROT_NUMA. The hardware may use none of the entries of [start, end) before a fault
 * told who wanted the page; nothing else about the pages changes.
 *
 * @returns how many entries were changed; PMDs count for all their pages.
 */
export function* changeProtNuma(mm: Mm, vma: Vma, start: number, end: number): Atomic<number> {
  const as = vma.mm;
  // task_numa_work() passes those by.
  if (vma.hugetlb !== undefined) return 0;
  let updates = 0;
  let addr = start;
  for (let run = nextPteRun(mm, as, addr, end); run; run = nextPteRun(mm, as, addr, end)) {
    if (run.huge && !coversBlock(mm, run)) {
      yield* splitHugePmd(mm, as, run.at, run.addr);
      continue;
    }
    yield* as.pageTableLock.lock();
    if (run.huge) {
      const pmd = readPte(mm, run.at);
      if (ptePresent(pmd) && pmdLeaf(pmd) && !pteProtnone(pmd) && !pteSpecial(pmd)) {
        yield* setHugePmd(mm, run.at, pteModify(yield* ptepGetAndClear(mm, run.at), PAGE_NONE));
        updates += mm.layout.entriesPerTable;
        mm.events.numa_huge_pte_updates++;
      }
    }
    for (let i = 0; !run.huge && run.addr + i * mm.pageSize < run.end; i++) {
      const entryAt = PA(run.at + i * DESCRIPTOR_BYTES);
      const old = readPte(mm, entryAt);
      // Fault-on-access entries are such already, and the zero page and merged pages are everybody's.
      if (!ptePresent(old) || pteProtnone(old) || pteSpecial(old)) continue;
      if (isKsmPage(mm, mm.paToPage(ptePa(old))!)) continue;
      yield* setPtes(mm, entryAt, pteModify(yield* ptepGetAndClear(mm, entryAt), PAGE_NONE));
      updates++;
    }
    as.pageTableLock.unlock();
    addr = run.end;
  }
  flushTlbRange(mm, as, start, end);
  mm.events.numa_pte_updates += updates;
  return updates;
}

/** mprotect_fixup() of one VMA, which [start, end) covers exactly after splitting. */
function* mprotectFixup(mm: Mm, vma: Vma, newFlags: number): MaySleep<number> {
  const pages = (vma.end - vma.start) / mm.pageSize;
  let flags = newFlags;
  // What becomes writable becomes data; what was over the limit before is left alone.
  const counts = (flags & VM_WRITE) !== 0 && (vma.flags & VM_WRITE) === 0;
  if (counts && !mayExpandVm(mm, vma.mm, flags, pages) && mayExpandVm(mm, vma.mm, vma.flags, pages)) {
    return -ENOMEM;
  }
  if ((flags & VM_WRITE) !== 0 && (vma.flags & (VM_ACCOUNT | VM_WRITE | VM_SHARED | VM_NORESERVE)) === 0) {
    if (!vmEnoughMemory(mm, pages, vma.mm.totalVm)) return -ENOMEM;
    mm.committedPages += pages;
    flags |= VM_ACCOUNT;
  }
  const { start, end } = vma;
  vma.flags = flags;
  const merged = vmaMerge(mm, vma);
  yield* changeProtection(mm, merged, start, end);
  return 0;
}

/** do_mprotect_pkey() with mmap_lock held for writing. What precedes an error stays changed. */
export function* doMprotect(
  mm: Mm,
  as: MmStruct,
  start: number,
  length: number,
  prot: number,
): MaySleep<number> {
  if (!pageAligned(mm, start)) return -EINVAL;
  if (length === 0) return 0;
  const end = start + pageAlign(mm, length);
  if (!(end > start) || end > as.layout.taskSize) return -ENOMEM;
  const supported = PROT_GENERIC | PROT_BTI | (mm.mte ? PROT_MTE : 0);
  if ((prot & ~supported) !== 0) return -EINVAL;
  const first = as.vmas.lookup(start);
  if (!first) return -ENOMEM;
  let addr = start;
  while (addr < end) {
    let vma = as.vmas.lookup(addr);
    if (!vma) return -ENOMEM;
    const flags = calcVmProtBits(mm, prot) | (vma.flags & ~(VM_ACCESS_FLAGS | VM_ARM64_BTI));
    // The VM_MAY* bits lie four above what they allow.
    if ((flags & ~(flags >> 4) & VM_ACCESS_FLAGS) !== 0) return -EACCES;
    if (!archValidateFlags(flags)) return -EINVAL;
    const stop = Math.min(vma.end, end);
    if (cutsHugePage(mm, vma, addr, stop)) return -EINVAL;
    if (flags !== vma.flags) {
      const error = yield* splitAtEdges(mm, as, addr, stop);
      if (error !== 0) return error;
      vma = as.vmas.lookup(addr)!;
      const failed = yield* mprotectFixup(mm, vma, flags);
      if (failed !== 0) return failed;
    }
    addr = stop;
  }
  return 0;
}
