/**
 * What /sys/kernel/mm/transparent_hugepage says, and which mappings may have huge pages by it
 * (mm/huge_memory.c: hugepage_vma_check(); Documentation/admin-guide/mm/transhuge.rst).
 *
 * The default is `madvise`: a program that wants huge pages asks for them.
 */
import type { Vma } from './vma.js';
import { VM_HUGEPAGE, VM_NOHUGEPAGE } from './vma.js';

export const THP_ENABLED = ['always', 'madvise', 'never'] as const;
export const THP_DEFRAG = ['always', 'defer', 'defer+madvise', 'madvise', 'never'] as const;

export class ThpSettings {
  enabled: (typeof THP_ENABLED)[number] = 'madvise';
  defrag: (typeof THP_DEFRAG)[number] = 'madvise';
  useZeroPage = true;
}

/** Anonymous memory that may have huge pages, its alignment aside. */
export function hugepageVmaCheck(settings: ThpSettings, vma: Vma): boolean {
  if (vma.file !== undefined || (vma.flags & VM_NOHUGEPAGE) !== 0) return false;
  if (settings.enabled === 'always') return true;
  return settings.enabled === 'madvise' && (vma.flags & VM_HUGEPAGE) !== 0;
}

/** transhuge_vma_suitable(): a whole huge page from `start` lies inside the mapping. */
export const transhugeVmaSuitable = (vma: Vma, start: number, pmdSize: number): boolean =>
  start >= vma.start && start + pmdSize <= vma.end;

/** THPeligible of smaps: a whole huge page could be mapped somewhere in it. */
export const thpEligible = (settings: ThpSettings, vma: Vma, pmdSize: number): boolean =>
  hugepageVmaCheck(settings, vma) &&
  transhugeVmaSuitable(vma, Math.ceil(vma.start / pmdSize) * pmdSize, pmdSize);
