/**
 * Which files of RAM get huge pages (mm/shmem.c: shmem_is_huge(), shmem_get_unmapped_area()).
 *
 * A tmpfs has its `huge=` option; files of no mount (memfd, shared anonymous memory) go by shmem_enabled,
 * whose `deny` and `force` rule over all of them.
 */
import type { Inode } from './filemap.js';
import type { ThpSettings } from './thp-settings.js';
import type { Vma } from './vma.js';
import { VM_HUGEPAGE, VM_NOHUGEPAGE } from './vma.js';

/** The `huge=` option of a tmpfs. */
export const SHMEM_HUGE = ['never', 'always', 'within_size', 'advise'] as const;
export type ShmemHuge = (typeof SHMEM_HUGE)[number];

/**
 * shmem_is_huge(): should the page of that index be part of a huge one?
 *
 * @param vma the mapping it is for; none for write() and the like.
 * @param force somebody asks for it explicitly (MADV_COLLAPSE).
 */
export function shmemIsHuge(
  settings: ThpSettings,
  inode: Inode,
  index: number,
  vma: Vma | undefined,
  force: boolean,
): boolean {
  if (!inode.isShmem || (vma !== undefined && (vma.flags & VM_NOHUGEPAGE) !== 0)) return false;
  const { shmemEnabled } = settings;
  if (shmemEnabled === 'deny') return false;
  if (force || shmemEnabled === 'force') return true;
  const advised = vma !== undefined && (vma.flags & VM_HUGEPAGE) !== 0;
  switch (inode.huge ?? shmemEnabled) {
    case 'always':
      return true;
    case 'within_size': {
      const { hpagePmdNr, pageSize } = settings;
      const next = (Math.floor(index / hpagePmdNr) + 1) * hpagePmdNr;
      return Math.ceil(inode.size / pageSize) >= next || advised;
    }
    case 'advise':
      return advised;
    case 'never':
      return false;
  }
}
