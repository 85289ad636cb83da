/**
 * What /sys/kernel/mm/transparent_hugepage says, and which mappings may have huge pages by it
 * (mm/huge_memory.c: thp_vma_allowable_order(); Documentation/admin-guide/mm/transhuge.rst).
 *
 * The default is `madvise`: a program that wants huge pages asks for them. Files of RAM have rules of their
 * own (shmem-huge.ts).
 */
import type { PageTableLayout } from './pgtable.js';
import { shmemIsHuge } from './shmem-huge.js';
import type { Vma } from './vma.js';
import { VM_HUGEPAGE, VM_HUGETLB, VM_NOHUGEPAGE } from './vma.js';

export const THP_ENABLED = ['always', 'madvise', 'never'] as const;
export const THP_DEFRAG = ['always', 'defer', 'defer+madvise', 'madvise', 'never'] as const;
/** shmem_enabled: the first four are the internal mount's `huge=`, the others rule over every mount. */
export const SHMEM_ENABLED = ['always', 'within_size', 'advise', 'never', 'deny', 'force'] as const;

/** The directory khugepaged/; limits count pages of one huge page. */
export class KhugepagedSettings {
  /** Also reclaim and compact for a huge page. */
  defrag = true;
  /** Pages looked at between two sleeps. */
  pagesToScan: number;
  #scanSleepMillisecs = 10_000;
  #allocSleepMillisecs = 60_000;
  /** Ends khugepaged's sleep early; set while it sleeps. */
  wake: (() => void) | undefined;
  /** Pages that may be missing, on the swap device, or mapped by others as well. */
  maxPtesNone: number;
  maxPtesSwap: number;
  maxPtesShared: number;
  pagesCollapsed = 0;
  fullScans = 0;

  /** @param hpagePmdNr pages of a huge page. */
  constructor(hpagePmdNr: number) {
    this.pagesToScan = hpagePmdNr * 8;
    this.maxPtesNone = hpagePmdNr - 1;
    this.maxPtesSwap = hpagePmdNr / 8;
    this.maxPtesShared = hpagePmdNr / 2;
  }

  get scanSleepMillisecs(): number {
    return this.#scanSleepMillisecs;
  }

  /** Whoever shortens a sleep does not want to wait for the end of the long one. */
  set scanSleepMillisecs(value: number) {
    this.#scanSleepMillisecs = value;
    this.wake?.();
  }

  get allocSleepMillisecs(): number {
    return this.#allocSleepMillisecs;
  }

  set allocSleepMillisecs(value: number) {
    this.#allocSleepMillisecs = value;
    this.wake?.();
  }
}

export class ThpSettings {
  #enabled: (typeof THP_ENABLED)[number] = 'madvise';
  defrag: (typeof THP_DEFRAG)[number] = 'madvise';
  shmemEnabled: (typeof SHMEM_ENABLED)[number] = 'never';
  useZeroPage = true;
  readonly khugepaged: KhugepagedSettings;
  /** HPAGE_PMD_NR. */
  readonly hpagePmdNr: number;
  readonly pageSize: number;

  /** start_stop_khugepaged(): `enabled` was written. */
  readonly #changed: () => void;

  constructor(layout: PageTableLayout, changed: () => void) {
    this.#changed = changed;
    this.hpagePmdNr = layout.entriesPerTable;
    this.pageSize = layout.pageSize;
    this.khugepaged = new KhugepagedSettings(this.hpagePmdNr);
  }

  get enabled(): (typeof THP_ENABLED)[number] {
    return this.#enabled;
  }

  set enabled(value: (typeof THP_ENABLED)[number]) {
    this.#enabled = value;
    this.#changed();
  }
}

/** Anonymous memory that may have huge pages, its alignment aside. */
export function hugepageVmaCheck(settings: ThpSettings, vma: Vma): boolean {
  if (vma.file !== undefined || (vma.flags & (VM_NOHUGEPAGE | VM_HUGETLB)) !== 0) return false;
  if (settings.enabled === 'always') return true;
  return settings.enabled === 'madvise' && (vma.flags & VM_HUGEPAGE) !== 0;
}

/**
 * thp_vma_suitable_order(): a whole huge page from `start` lies inside the mapping; of a file, addresses and
 * places in it must also agree.
 */
export function transhugeVmaSuitable(vma: Vma, start: number, pmdSize: number): boolean {
  if (vma.file !== undefined) {
    const pages = pmdSize / vma.mm.pageSize;
    if ((vma.start / vma.mm.pageSize - vma.pgoff) % pages !== 0) return false;
  }
  return start >= vma.start && start + pmdSize <= vma.end;
}

/** The last place in the mapping where a huge page could lie. */
const lastPlace = (vma: Vma, pmdSize: number): number => Math.floor(vma.end / pmdSize) * pmdSize - pmdSize;

/**
 * thp_vma_allowable_order() outside faults: may pages of the mapping be collapsed into huge ones?
 *
 * @param enforceSysfs what `enabled` says counts: to khugepaged, not to a program that asks.
 */
export function thpVmaAllowable(settings: ThpSettings, vma: Vma, enforceSysfs: boolean): boolean {
  const { pmdSize } = vma.mm.layout;
  if ((vma.flags & (VM_NOHUGEPAGE | VM_HUGETLB)) !== 0) return false;
  if (!transhugeVmaSuitable(vma, lastPlace(vma, pmdSize), pmdSize)) return false;
  if (vma.file?.isShmem === true) return shmemIsHuge(settings, vma.file, vma.pgoff, vma, !enforceSysfs);
  // Text of read-only files would be next (CONFIG_READ_ONLY_THP_FOR_FS): not in this kernel.
  if (vma.file !== undefined || vma.anonVma === undefined) return false;
  return !enforceSysfs || hugepageVmaCheck(settings, vma);
}

/** THPeligible of smaps: a whole huge page could be mapped somewhere in it. */
export function thpEligible(settings: ThpSettings, vma: Vma, pmdSize: number): boolean {
  if (!transhugeVmaSuitable(vma, lastPlace(vma, pmdSize), pmdSize)) return false;
  if ((vma.flags & VM_NOHUGEPAGE) !== 0) return false;
  if (vma.file?.isShmem === true) return shmemIsHuge(settings, vma.file, vma.pgoff, vma, false);
  return hugepageVmaCheck(settings, vma);
}
