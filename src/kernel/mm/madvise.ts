/**
 * madvise (mm/madvise.c): contents that are not needed, and mappings that shall have huge pages or merged ones,
 * or shall not.
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EACCES, EINVAL, ENOMEM, EOPNOTSUPP } from '../contexts/index.js';
import { khugepagedEnterVma, madviseCollapse } from './khugepaged.js';
import { ksmMadvise } from './ksm-control.js';
import { coldOrPageout } from './madvise-pageout.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { pageAlign, pageAligned, splitAtEdges, vmaMerge, zapRange } from './mmap.js';
import { punchHole } from './punch-hole.js';
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
} from './types.js';
import type { Vma } from './vma.js';
import {
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_HUGEPAGE,
  VM_LOCKED,
  VM_MAYWRITE,
  VM_NOHUGEPAGE,
  VM_RAND_READ,
  VM_SEQ_READ,
  VM_SHARED,
  VM_WIPEONFORK,
} from './vma.js';

/** Advice that sets one flag of a mapping and clears others. */
const FLAGS: ReadonlyMap<number, readonly [set: number, clear: number]> = new Map([
  [MADV_NORMAL, [0, VM_RAND_READ | VM_SEQ_READ]],
  [MADV_RANDOM, [VM_RAND_READ, VM_SEQ_READ]],
  [MADV_SEQUENTIAL, [VM_SEQ_READ, VM_RAND_READ]],
  [MADV_DONTFORK, [VM_DONTCOPY, 0]],
  [MADV_DOFORK, [0, VM_DONTCOPY]],
  [MADV_WIPEONFORK, [VM_WIPEONFORK, 0]],
  [MADV_KEEPONFORK, [0, VM_WIPEONFORK]],
  [MADV_DONTDUMP, [VM_DONTDUMP, 0]],
  [MADV_DODUMP, [0, VM_DONTDUMP]],
  [MADV_HUGEPAGE, [VM_HUGEPAGE, VM_NOHUGEPAGE]],
  [MADV_NOHUGEPAGE, [VM_NOHUGEPAGE, VM_HUGEPAGE]],
]);

const KNOWN = [
  ...FLAGS.keys(),
  MADV_REMOVE,
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_COLLAPSE,
];

/** Advice that becomes a flag of the mapping, for which mmap_lock must be held for writing. */
export const changesVmas = (advice: number): boolean => FLAGS.has(advice) || mergesPages(advice);

const mergesPages = (advice: number): boolean => advice === MADV_MERGEABLE || advice === MADV_UNMERGEABLE;

/** hugepage_madvise(), ksm_madvise() and what is said in madvise_vma_behavior() itself: the flags that the advice makes of those there are, or a negative errno. */
function* advisedFlags(mm: Mm, vma: Vma, start: number, end: number, advice: number): MaySleep<number> {
  const { flags } = vma;
  if (mergesPages(advice)) return yield* ksmMadvise(mm, vma, start, end, advice === MADV_MERGEABLE);
  // Only what is nobody else's and has no file can be empty in a child.
  const hasContent = vma.file !== undefined || vma.hugetlb !== undefined || (flags & VM_SHARED) !== 0;
  if (advice === MADV_WIPEONFORK && hasContent) return -EINVAL;
  const [set, clear] = FLAGS.get(advice)!;
  return (flags & ~clear) | set;
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
  if (advice === MADV_REMOVE) return yield* remove(mm, vma, start, end);
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

/** madvise_remove(): a hole in a file of RAM, for who may write it through a shared mapping. */
function* remove(mm: Mm, vma: Vma, start: number, end: number): MaySleep<number> {
  const { file, flags } = vma;
  if ((flags & VM_LOCKED) !== 0 || vma.hugetlb !== undefined || file === undefined) return -EINVAL;
  if ((flags & (VM_SHARED | VM_MAYWRITE)) !== (VM_SHARED | VM_MAYWRITE)) return -EACCES;
  if (!file.isShmem) return -EOPNOTSUPP;
  const at = vma.pgoff * mm.pageSize + start - vma.start;
  return yield* punchHole(mm, file, at, at + end - start);
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
