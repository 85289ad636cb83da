/**
 * madvise (mm/madvise.c): contents that are not needed, and mappings that shall have huge pages or merged ones,
 * or shall not.
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EINVAL, ENOMEM } from '../contexts/index.js';
import { khugepagedEnterVma, madviseCollapse } from './khugepaged.js';
import { ksmMadvise } from './ksm-control.js';
import { coldOrPageout } from './madvise-pageout.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { pageAlign, pageAligned, splitAtEdges, vmaMerge, zapRange } from './mmap.js';
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
} from './types.js';
import type { Vma } from './vma.js';
import { VM_HUGEPAGE, VM_LOCKED, VM_NOHUGEPAGE } from './vma.js';

const KNOWN = [
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_COLLAPSE,
];

/** Advice that becomes a flag of the mapping, for which mmap_lock must be held for writing. */
export const changesVmas = (advice: number): boolean =>
  advice === MADV_HUGEPAGE || advice === MADV_NOHUGEPAGE || mergesPages(advice);

const mergesPages = (advice: number): boolean => advice === MADV_MERGEABLE || advice === MADV_UNMERGEABLE;

/** hugepage_madvise() and ksm_madvise(): the flags that the advice makes of those there are, or a negative errno. */
function* advisedFlags(mm: Mm, vma: Vma, start: number, end: number, advice: number): MaySleep<number> {
  const { flags } = vma;
  if (mergesPages(advice)) return yield* ksmMadvise(mm, vma, start, end, advice === MADV_MERGEABLE);
  return advice === MADV_HUGEPAGE
    ? (flags & ~VM_NOHUGEPAGE) | VM_HUGEPAGE
    : (flags & ~VM_HUGEPAGE) | VM_NOHUGEPAGE;
}

/** madvise_vma_behavior() of [start, end), which lies inside one VMA. */
function* advise(
  mm: Mm,
  as: MmStruct,
  vma: Vma,
  start: number,
  end: number,
  advice: number,
): MaySleep<number> {
  // can_madv_lru_vma().
  if (advice === MADV_DONTNEED && (vma.flags & VM_LOCKED) !== 0) return -EINVAL;
  if (vma.hugetlb !== undefined) {
    if (advice === MADV_HUGEPAGE || advice === MADV_NOHUGEPAGE || advice === MADV_COLLAPSE) return -EINVAL;
    if (advice === MADV_DONTNEED) return yield* dontneedHugetlb(mm, as, start, end);
  }
  if (advice === MADV_DONTNEED) yield* zapRange(mm, as, start, end);
  if (advice === MADV_COLD || advice === MADV_PAGEOUT) {
    return yield* coldOrPageout(mm, vma, start, end, advice === MADV_PAGEOUT);
  }
  if (advice === MADV_COLLAPSE) return yield* madviseCollapse(mm, as, vma, start, end);
  if (!changesVmas(advice)) return 0;
  const flags = yield* advisedFlags(mm, vma, start, end, advice);
  if (flags < 0) return flags;
  if (flags === vma.flags) return 0;
  const error = yield* splitAtEdges(mm, as, start, end);
  if (error !== 0) return error;
  const part = as.vmas.lookup(start)!;
  part.flags = flags;
  khugepagedEnterVma(mm, vmaMerge(mm, part));
  return 0;
}

/** Only whole pages go: of a length that ends inside one, that one stays. */
function* dontneedHugetlb(mm: Mm, as: MmStruct, start: number, end: number): Atomic<number> {
  const { pmdSize } = mm.layout;
  if (start % pmdSize !== 0) return -EINVAL;
  const stop = Math.floor(end / pmdSize) * pmdSize;
  if (stop > start) yield* zapRange(mm, as, start, stop);
  return 0;
}

/**
 * do_madvise(); mmap_lock held for reading, or for writing where `changesVmas` says so. Holes are skipped and
 * make the result -ENOMEM.
 */
export function* doMadvise(
  mm: Mm,
  as: MmStruct,
  start: number,
  length: number,
  advice: number,
): MaySleep<number> {
  if (!KNOWN.includes(advice) || !pageAligned(mm, start)) return -EINVAL;
  const end = start + pageAlign(mm, length);
  if (!(end >= start)) return -EINVAL;
  let holes = 0;
  for (let addr = start; addr < end; ) {
    const vma = as.vmas.at(as.vmas.indexAbove(addr));
    if (!vma || vma.start >= end) return -ENOMEM;
    if (vma.start > addr) holes = -ENOMEM;
    const stop = Math.min(vma.end, end);
    const error = yield* advise(mm, as, vma, Math.max(vma.start, addr), stop, advice);
    if (error !== 0) return error;
    addr = stop;
  }
  return holes;
}
