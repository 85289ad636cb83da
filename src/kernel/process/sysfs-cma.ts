/**
 * /sys/kernel/mm/cma (mm/cma_sysfs.c of Linux 6.8; Documentation/ABI/testing/sysfs-kernel-mm-cma): a directory for each
 * area, with how many pages were allocated from it, and how many could not be.
 */
import type { SpecialFile } from '../fs/index.js';
import type { MemoryManager } from '../mm/index.js';

/** Name and files of each area; a file is made where it is opened. */
export function cmaFiles(
  mm: MemoryManager,
  file: (content: () => string) => SpecialFile,
): Record<string, Record<string, () => SpecialFile>> {
  return Object.fromEntries(
    mm.cmaAreas.map((area) => [
      area.name,
      {
        alloc_pages_success: () => file(() => `${area.allocPagesSuccess}\n`),
        alloc_pages_fail: () => file(() => `${area.allocPagesFail}\n`),
      },
    ]),
  );
}
