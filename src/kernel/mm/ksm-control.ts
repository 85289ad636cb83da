/**
 * What asks for merging and takes it back: madvise, prctl, /sys/kernel/mm/ksm and the thread itself (mm/ksm.c:
 * ksm_madvise(), ksm_enable_merge_any(), run_store(), ksmd()).
 */
import type { MaySleep } from '../contexts/index.js';
import { EBUSY, EINVAL } from '../contexts/index.js';
import { freeSlot, KSM_RUN_MERGE, KSM_RUN_STOP, KSM_RUN_UNMERGE, ksmEnter, vmaKsmCompatible } from './ksm.js';
import { unmergeKsmPages } from './ksm-merge.js';
import { ksmDoScan, removeTrailingRmapItems } from './ksm-scan.js';
import { removeAllStableNodes } from './ksm-stable-tree.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { vmaMerge } from './mmap.js';
import type { Vma } from './vma.js';
import { VM_MERGEABLE } from './vma.js';

/**
 * ksm_madvise() of [start, end) of one VMA, mmap_lock held for writing.
 *
 * @returns the flags that the range shall have, or a negative errno. A mapping that cannot be merged keeps its
 *   flags, and the advice is taken as heard.
 */
export function* ksmMadvise(
  mm: Mm,
  vma: Vma,
  start: number,
  end: number,
  mergeable: boolean,
): MaySleep<number> {
  const { flags } = vma;
  if (mergeable) {
    if ((flags & VM_MERGEABLE) !== 0 || !vmaKsmCompatible(vma)) return flags;
    const error = yield* ksmEnter(mm, vma.mm);
    return error !== 0 ? error : flags | VM_MERGEABLE;
  }
  if ((flags & VM_MERGEABLE) === 0) return flags;
  const error = vma.anonVma === undefined ? 0 : yield* unmergeKsmPages(mm, vma, start, end);
  return error !== 0 ? error : flags & ~VM_MERGEABLE;
}

/** ksm_add_vmas(): every mapping that can be merged is. */
function addVmas(mm: Mm, as: MmStruct): void {
  for (const vma of [...as.vmas.all]) {
    if (vmaKsmCompatible(vma)) vma.flags |= VM_MERGEABLE;
  }
  for (const vma of [...as.vmas.all]) if (as.vmas.lookup(vma.start) === vma) vmaMerge(mm, vma);
}

/** PR_SET_MEMORY_MERGE, mmap_lock held for writing: all mappings, and those to come. 0 or -ENOMEM. */
export function* setMemoryMerge(mm: Mm, as: MmStruct, on: boolean): MaySleep<number> {
  if (as.mergeAny === on) return 0;
  if (on) {
    const error = yield* ksmEnter(mm, as);
    if (error !== 0) return error;
    as.mergeAny = true;
    addVmas(mm, as);
    return 0;
  }
  for (const vma of [...as.vmas.all]) {
    const flags = yield* ksmMadvise(mm, vma, vma.start, vma.end, false);
    if (flags < 0) {
      addVmas(mm, as);
      return flags;
    }
    vma.flags = flags;
  }
  for (const vma of [...as.vmas.all]) if (as.vmas.lookup(vma.start) === vma) vmaMerge(mm, vma);
  as.mergeAny = false;
  return 0;
}

/** unmerge_and_remove_all_rmap_items(): every page is its mapping's own, and nothing is known. 0 or -ENOMEM. */
function* unmergeAll(mm: Mm): MaySleep<number> {
  const { ksm } = mm;
  const { scan } = ksm;
  scan.slot = ksm.head.after;
  while (scan.slot !== ksm.head) {
    const { slot } = scan;
    const as = slot.mm!;
    yield* as.mmapLock.downRead();
    for (const vma of as.exiting ? [] : [...as.vmas.all]) {
      if (as.exiting) break;
      if ((vma.flags & VM_MERGEABLE) === 0 || vma.anonVma === undefined) continue;
      const error = yield* unmergeKsmPages(mm, vma, vma.start, vma.end);
      if (error !== 0) {
        as.mmapLock.upRead();
        scan.slot = ksm.head;
        // What waits in the unstable tree now is of a round that has no end.
        scan.seqnr++;
        return error;
      }
    }
    yield* removeTrailingRmapItems(mm, slot);
    as.mmapLock.upRead();
    scan.slot = slot.after;
    if (as.exiting) yield* freeSlot(mm, slot);
  }
  yield* removeAllStableNodes(mm);
  scan.seqnr = 0;
  return 0;
}

/** run_store(): 0 stops, 1 merges, 2 stops and takes everything back. 0, -EINVAL or -ENOMEM. */
export function* ksmSetRun(mm: Mm, run: number): MaySleep<number> {
  const { ksm } = mm;
  if (run > KSM_RUN_UNMERGE) return -EINVAL;
  let error = 0;
  yield* ksm.threadMutex.lock();
  if (ksm.run !== run) {
    ksm.run = run;
    if (run === KSM_RUN_UNMERGE) error = yield* unmergeAll(mm);
    if (error !== 0) ksm.run = KSM_RUN_STOP;
  }
  ksm.threadMutex.unlock();
  if ((run & KSM_RUN_MERGE) !== 0) ksm.threadWait.wakeUp();
  return error;
}

/** For settings that cannot change while pages are merged: -EBUSY then. */
function* changeUnmerged(mm: Mm, change: () => void): MaySleep<number> {
  const { ksm } = mm;
  yield* ksm.threadMutex.lock();
  const busy = ksm.pagesShared > 0 || (yield* removeAllStableNodes(mm)) !== 0;
  if (!busy) change();
  ksm.threadMutex.unlock();
  return busy ? -EBUSY : 0;
}

/** max_page_sharing_store(): at least 2. */
export function* ksmSetMaxPageSharing(mm: Mm, most: number): MaySleep<number> {
  if (most < 2) return -EINVAL;
  if (most === mm.ksm.maxPageSharing) return 0;
  return yield* changeUnmerged(mm, () => {
    mm.ksm.maxPageSharing = most;
  });
}

/** merge_across_nodes_store(): 0 or 1. */
export function* ksmSetMergeAcrossNodes(mm: Mm, across: number): MaySleep<number> {
  if (across > 1) return -EINVAL;
  if (across === mm.ksm.mergeAcrossNodes) return 0;
  return yield* changeUnmerged(mm, () => {
    mm.ksm.mergeAcrossNodes = across;
  });
}

/**
 * ksmd: for a scheduler to run beside the others. Sleeps for good while nothing is to be merged.
 *
 * @param pause sleeps for so many milliseconds of the system's clock; scanning itself takes no time here.
 */
export function* ksmd(mm: Mm, pause: (milliseconds: number) => MaySleep<void>): MaySleep<void> {
  const { ksm } = mm;
  for (;;) {
    yield* ksm.threadWait.waitEvent(() => ksm.shouldRun);
    yield* ksm.threadMutex.lock();
    if (ksm.shouldRun) yield* ksmDoScan(mm, ksm.pagesToScan);
    ksm.threadMutex.unlock();
    if (ksm.shouldRun) yield* pause(ksm.sleepMillisecs);
  }
}
