/**
 * Huge pages of files of RAM: which get them, and how (mm/shmem.c: shmem_is_huge(), shmem_alloc_and_add_folio()).
 *
 * A tmpfs has its `huge=` option; files of no mount (memfd, shared anonymous memory) go by shmem_enabled,
 * whose `deny` and `force` rule over all of them. The root file system, which nobody mounts with options here,
 * goes by shmem_enabled, too.
 */
import type { MaySleep } from '../contexts/index.js';
import { addToPageCache, type Inode } from './filemap.js';
import { folioTrylock } from './folio-lock.js';
import { __GFP_ZERO } from './gfp.js';
import { vmaThpGfpMask } from './huge-fault.js';
import { folioAddLru, putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import { allocPages } from './page-alloc.js';
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

/** Whether addresses for mappings of such a file (none: of shared anonymous memory) should suit huge pages. */
export function shmemMayBeHuge({ shmemEnabled }: ThpSettings, inode: Inode | undefined): boolean {
  if (shmemEnabled === 'deny') return false;
  return shmemEnabled === 'force' || (inode?.huge ?? shmemEnabled) !== 'never';
}

/** Is any page of the block there already, in memory or on the swap device? */
function hasPagesIn(inode: Inode, start: number, pages: number): boolean {
  for (let i = 0; i < pages; i++) {
    if (inode.pages.has(start + i) || inode.swapped.has(start + i)) return true;
  }
  return false;
}

/**
 * shmem_alloc_and_add_folio() of a huge page.
 *
 * @param vma as above; v3/11 asks the architecture about it here too, where there may be none.
 * @returns the page of that index, its folio locked and with a reference; undefined where small pages must do;
 *   'again' where somebody else made pages of the block meanwhile.
 */
export function* shmemAllocHuge(
  mm: Mm,
  inode: Inode,
  index: number,
  vma: Vma | undefined,
): MaySleep<Page | undefined | 'again'> {
  const pages = mm.layout.entriesPerTable;
  const start = index - (index % pages);
  if (hasPagesIn(inode, start, pages)) return undefined;
  const gfp = vmaThpGfpMask(mm, vma) | __GFP_ZERO;
  const tagged = mm.hooks.archCalcVmaGfp(vma, gfp, 'shmem-huge');
  const folio = mm.shouldFail('thp_alloc')
    ? undefined
    : yield* allocPages(mm, gfp | tagged, mm.layout.pmdOrder);
  if (folio === undefined) {
    mm.events.thp_file_fallback++;
    return undefined;
  }
  if (hasPagesIn(inode, start, pages)) {
    yield* putPage(mm, folio);
    return 'again';
  }
  folioTrylock(mm, folio);
  addToPageCache(mm, inode, start, folio);
  yield* folioAddLru(mm, folio);
  mm.events.thp_file_alloc++;
  return (folio + index - start) as Page;
}
