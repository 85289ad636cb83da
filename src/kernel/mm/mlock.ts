/**
 * mlock and its relatives: pages that reclaim leaves alone (mm/mlock.c).
 *
 * A page that a VM_LOCKED mapping maps is PG_mlocked and on the unevictable list, from the fault or the mlock() that
 * finds it there. It stops being so when its last mapping goes, or when munlock() finds no other locked mapping of
 * it: as Linux did it until 5.17; the counts that 5.18 keeps instead are not kept. Of large folios only those that
 * a PMD maps are marked; others are safe because reclaim takes no page out of a locked mapping.
 */
import type { MaySleep } from '../contexts/index.js';
import { EINVAL, ENOMEM } from '../contexts/index.js';
import { isLarge } from './folio.js';
import { mlockFolio, munlockFolio } from './lru.js';
import type { Page } from './memmap.js';
import { vmNormalPage } from './memory.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { pageAlign, splitAtEdges, vmaMerge } from './mmap.js';
import { PG_mlocked } from './page-flags.js';
import { entryOf, nextPteRun } from './page-table.js';
import { ptePresent } from './pgtable.js';
import { mappedEntries, rmapWalk } from './rmap.js';
import type { Vma } from './vma.js';
import { VM_HUGETLB, VM_LOCKED, VM_LOCKED_MASK } from './vma.js';

export const MCL_CURRENT = 1;
export const MCL_FUTURE = 2;
export const MCL_ONFAULT = 4;

/** locked_vm, in pages. */
export function lockedVm(mm: Mm, as: MmStruct): number {
  let bytes = 0;
  for (const vma of as.vmas.all) if ((vma.flags & VM_LOCKED) !== 0) bytes += vma.end - vma.start;
  return bytes / mm.pageSize;
}

/** The folio that an address of the mapping shows, if it can be locked. */
function lockableAt(mm: Mm, vma: Vma, addr: number): Page | undefined {
  const pte = entryOf(mm, vma.mm, addr);
  const page = ptePresent(pte) ? vmNormalPage(mm, pte) : undefined;
  if (page === undefined) return undefined;
  const head = mm.memmap.head(page);
  if (!isLarge(mm, head)) return head;
  return nextPteRun(mm, vma.mm, addr, addr + mm.pageSize)?.huge === true ? head : undefined;
}

/** mlock_vma_folio(): what a fault has just mapped in a locked mapping. */
export function mlockMapped(mm: Mm, vma: Vma, addr: number): void {
  const folio = lockableAt(mm, vma, addr);
  if (folio !== undefined) mlockFolio(mm, folio);
}

/** Calls `visit` for the address of every page or block of the range that is there. */
function* forEachMapped(
  mm: Mm,
  vma: Vma,
  start: number,
  end: number,
  visit: (addr: number) => MaySleep<void>,
): MaySleep<void> {
  let addr = start;
  for (let run = nextPteRun(mm, vma.mm, addr, end); run; run = nextPteRun(mm, vma.mm, addr, end)) {
    if (run.huge) yield* visit(run.addr);
    else for (let at = run.addr; at < run.end; at += mm.pageSize) yield* visit(at);
    addr = run.end;
  }
}

/** Does a locked mapping map the folio? */
function* lockedElsewhere(mm: Mm, folio: Page): MaySleep<boolean> {
  let locked = false;
  yield* rmapWalk(mm, folio, function* (vma, addr) {
    yield* [];
    if ((vma.flags & VM_LOCKED) !== 0) locked = [...mappedEntries(mm, folio, vma, addr)].length > 0;
    return !locked;
  });
  return locked;
}

/** What a locked mapping no longer maps, since it has a copy: nobody may have locked it now. */
export function* munlockCopied(mm: Mm, vma: Vma, page: Page): MaySleep<void> {
  const head = mm.memmap.head(page);
  if ((vma.flags & VM_LOCKED) === 0 || !mm.memmap.test(head, PG_mlocked)) return;
  if (!(yield* lockedElsewhere(mm, head))) munlockFolio(mm, head, 'munlocked');
}

/** munlock_vma_pages_range(): of a mapping that is not VM_LOCKED any more. */
export function* munlockRange(mm: Mm, vma: Vma, start: number, end: number): MaySleep<void> {
  yield* forEachMapped(mm, vma, start, end, function* (addr) {
    const folio = lockableAt(mm, vma, addr);
    if (folio === undefined || !mm.memmap.test(folio, PG_mlocked)) return;
    if (!(yield* lockedElsewhere(mm, folio))) munlockFolio(mm, folio, 'munlocked');
  });
}

/** The mapping goes away with its pages. */
export function* munlockVma(mm: Mm, vma: Vma): MaySleep<void> {
  if ((vma.flags & VM_LOCKED) === 0) return;
  vma.flags &= ~VM_LOCKED_MASK;
  yield* munlockRange(mm, vma, vma.start, vma.end);
}

/** mlock_fixup() of [start, end), which lies inside one VMA: 0 or -ENOMEM. */
function* mlockFixup(mm: Mm, vma: Vma, start: number, end: number, locked: number): MaySleep<number> {
  const flags = (vma.flags & ~VM_LOCKED_MASK) | locked;
  if (flags === vma.flags || (vma.flags & VM_HUGETLB) !== 0) return 0;
  const error = yield* splitAtEdges(mm, vma.mm, start, end);
  if (error !== 0) return error;
  const part = vma.mm.vmas.lookup(start)!;
  const before = part.flags;
  part.flags = flags;
  const merged = vmaMerge(mm, part);
  if ((locked & VM_LOCKED) === 0) yield* munlockRange(mm, merged, start, end);
  else if ((before & VM_LOCKED) === 0) {
    yield* forEachMapped(mm, merged, start, end, function* (addr) {
      yield* [];
      mlockMapped(mm, merged, addr);
    });
  }
  return 0;
}

/**
 * apply_vma_lock_flags() with mmap_lock held for writing: a hole is -ENOMEM, and what lies before it is done.
 *
 * @param locked VM_LOCKED and VM_LOCKONFAULT, or 0 to unlock.
 */
export function* applyVmaLockFlags(
  mm: Mm,
  as: MmStruct,
  start: number,
  length: number,
  locked: number,
): MaySleep<number> {
  const end = start + length;
  if (!(end >= start)) return -EINVAL;
  for (let addr = start; addr < end; ) {
    const vma = as.vmas.lookup(addr);
    if (!vma) return -ENOMEM;
    const to = Math.min(vma.end, end);
    const error = yield* mlockFixup(mm, vma, addr, to, locked);
    if (error !== 0) return error;
    addr = to;
  }
  return 0;
}

/** do_mlock() from the check on, with mmap_lock held for writing. `limit` in bytes. */
export function* doMlock(
  mm: Mm,
  as: MmStruct,
  addr: number,
  length: number,
  locked: number,
  limit: number,
): MaySleep<number> {
  const start = addr - (addr % mm.pageSize);
  const size = pageAlign(mm, length + (addr - start));
  const pages = size / mm.pageSize;
  let wanted = lockedVm(mm, as) + pages;
  if (wanted * mm.pageSize > limit) {
    // count_mm_mlocked_page_nr(): what is locked already is not locked twice.
    for (const vma of as.vmas.overlapping(start, start + size)) {
      if ((vma.flags & VM_LOCKED) === 0) continue;
      wanted -= (Math.min(vma.end, start + size) - Math.max(vma.start, start)) / mm.pageSize;
    }
  }
  if (wanted * mm.pageSize > limit) return -ENOMEM;
  return yield* applyVmaLockFlags(mm, as, start, size, locked);
}

/** apply_mlockall_flags() with mmap_lock held for writing; `flags` are MCL_*, or 0 to unlock. */
export function* applyMlockallFlags(mm: Mm, as: MmStruct, flags: number, locked: number): MaySleep<void> {
  as.defFlags &= ~VM_LOCKED_MASK;
  if ((flags & MCL_FUTURE) !== 0) {
    as.defFlags |= locked;
    if ((flags & MCL_CURRENT) === 0) return;
  }
  for (const vma of [...as.vmas.all]) {
    // Joined with a neighbour meanwhile, it was done with that one's part.
    const still = as.vmas.lookup(vma.start);
    if (still !== undefined) yield* mlockFixup(mm, still, vma.start, Math.min(vma.end, still.end), locked);
  }
}
