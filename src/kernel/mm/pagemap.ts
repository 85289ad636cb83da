/**
 * What /proc/PID/pagemap says of pages: 64 bits each, from the entries of the page tables as they stand.
 *
 * Bits that need CONFIG_MEM_SOFT_DIRTY or userfaultfd, which arm64 did not have in Linux 6.8 or we do not provide,
 * are never set.
 *
 * Ref. fs/proc/task_mmu.c (pte_to_pagemap_entry), Documentation/admin-guide/mm/pagemap.rst.
 */
import { pageMapcount } from './folio.js';
import { vmNormalPage } from './memory.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { entryOf } from './page-table.js';
import {
  isMigrationEntry,
  isSwapPte,
  migrationEntryPfn,
  pteNone,
  ptePa,
  ptePresent,
  swpOffset,
  swpType,
} from './pgtable.js';
import { isAnonPage } from './rmap.js';

const PM_MMAP_EXCLUSIVE = 1n << 56n;
const PM_FILE = 1n << 61n;
const PM_SWAP = 1n << 62n;
const PM_PRESENT = 1n << 63n;
/** Bits of the swap type beneath the offset in what stands for a frame then (MAX_SWAPFILES_SHIFT). */
const SWAP_TYPE_BITS = 5n;

/** The entry of the page at `addr`. `showsFrames`: who reads may know where memory is (CAP_SYS_ADMIN). */
export function pagemapEntry(mm: Mm, as: MmStruct, addr: number, showsFrames: boolean): bigint {
  const pte = entryOf(mm, as, addr);
  if (pteNone(pte)) return 0n;
  const frame = (of: bigint) => (showsFrames ? of : 0n);
  if (ptePresent(pte)) {
    const page = vmNormalPage(mm, pte);
    const kind = page === undefined || isAnonPage(mm, page) ? 0n : PM_FILE;
    const exclusive = page !== undefined && pageMapcount(mm, page) === 1 ? PM_MMAP_EXCLUSIVE : 0n;
    return PM_PRESENT | kind | exclusive | frame(BigInt(ptePa(pte) / mm.pageSize));
  }
  if (!isSwapPte(pte)) return 0n;
  const moving = isMigrationEntry(pte) ? mm.memmap.pfnToPage(migrationEntryPfn(pte)) : undefined;
  const kind = moving === undefined || isAnonPage(mm, moving) ? 0n : PM_FILE;
  return PM_SWAP | kind | frame(BigInt(swpType(pte)) | (swpOffset(pte) << SWAP_TYPE_BITS));
}
