/**
 * How much may be promised: vm.overcommit_memory and its relatives (mm/util.c: __vm_enough_memory, vm_commit_limit;
 * Documentation/mm/overcommit-accounting.rst).
 */
import type { Mm } from './mm.js';
import { OVERCOMMIT_ALWAYS, OVERCOMMIT_GUESS } from './vm-sysctls.js';

/** vm_commit_limit(), in pages. */
export function vmCommitLimit(mm: Mm): number {
  const { overcommitKbytes, overcommitRatio } = mm.sysctl;
  const [kbytes = 0] = overcommitKbytes;
  const pool = (mm.hugetlb.total * mm.layout.pmdSize) / mm.pageSize;
  const ram =
    kbytes > 0
      ? Math.floor((kbytes * 1024) / mm.pageSize)
      : Math.floor(((mm.totalramPages() - pool) * overcommitRatio[0]!) / 100);
  return ram + (mm.swap?.pages ?? 0);
}

/**
 * __vm_enough_memory() for `pages` more pages, which the caller then accounts.
 *
 * @param totalVm pages of the address space that asks: some of its share stays for others.
 */
export function vmEnoughMemory(mm: Mm, pages: number, totalVm: number): boolean {
  const [mode] = mm.sysctl.overcommitMemory;
  if (mode === OVERCOMMIT_ALWAYS) return true;
  if (mode === OVERCOMMIT_GUESS) return pages <= mm.totalramPages() + (mm.swap?.pages ?? 0);
  const inPages = (kbytes: number) => Math.floor((kbytes * 1024) / mm.pageSize);
  // Enough for root to log in and to end what is too large.
  const forAdmin = mm.capSysAdmin() ? 0 : inPages(mm.sysctl.adminReserveKbytes[0]!);
  const forOthers = Math.min(Math.floor(totalVm / 32), inPages(mm.sysctl.userReserveKbytes[0]!));
  const allowed = vmCommitLimit(mm) - forAdmin - forOthers;
  return mm.committedPages + pages < allowed;
}
