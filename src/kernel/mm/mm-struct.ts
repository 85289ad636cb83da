/**
 * struct mm_struct: an address space, its lock, its table tree and its VMAs.
 */
import type { PA, VA } from '../../base/index.js';
import { VA as toVA, untagged } from '../../base/index.js';
import type { Contexts } from '../contexts/index.js';
import { RwSemaphore, SpinLock } from '../contexts/index.js';
import { type MmLimits, UNLIMITED } from './limits.js';
import type { Page } from './memmap.js';
import type { PageTableLayout } from './pgtable.js';
import type { AddressSpace } from './types.js';
import { VmaSet } from './vma.js';

export class MmStruct implements AddressSpace {
  readonly id: number;
  readonly pgd: PA;
  readonly asid: number;
  readonly layout: PageTableLayout;
  readonly vmas = new VmaSet();
  readonly mmapLock: RwSemaphore;
  /** mm->page_table_lock: one for all tables of this address space. */
  readonly pageTableLock: SpinLock;
  startBrk = 0;
  brk = 0;
  /** Anonymous pages mapped (MM_ANONPAGES). */
  anonPages = 0;
  /** Of those, pages of the hugetlb pool, which count for nobody's resident set. */
  hugetlbPages = 0;
  /** Pages of files mapped (MM_FILEPAGES and MM_SHMEMPAGES). */
  filePages = 0;
  /** Entries that name swap slots (MM_SWAPENTS). */
  swapEntries = 0;
  #totalVm = 0;
  /** The most there was (hiwater_vm). */
  peakPages = 0;
  /** Pages of tables in DRAM, the top one included (pgtables_bytes). */
  nrTables = 0;
  /** Where the last top-down search for room ended, and the largest hole it passed above it. */
  freeAreaCache: number;
  cachedHoleSize = 0;
  /** pmd_huge_pte: tables kept ready, one for each huge entry, so that none has to be allocated to split it. */
  readonly deposits: Page[] = [];
  /** def_flags: VM_* of every mapping to come (MCL_FUTURE). */
  defFlags = 0;
  /** What its process may have. */
  limits: MmLimits = UNLIMITED;
  /** MMF_HUGE_ZERO_PAGE: it holds a reference to the huge zero page. */
  usesHugeZeroPage = false;
  /** MMF_VM_HUGEPAGE: khugepaged has it on its list. */
  inKhugepaged = false;
  /** MMF_HAS_PINNED: fork must look for pinned pages. */
  hasPinned = false;
  /** MMF_VM_MERGE_ANY: prctl(PR_SET_MEMORY_MERGE), for mappings to come too. */
  mergeAny = false;
  /** ksm_rmap_items, ksm_merging_pages and ksm_zero_pages: what KSM has of it. */
  ksmRmapItems = 0;
  ksmMergingPages = 0;
  ksmZeroPages = 0;
  /** ksm_test_exit(): mm_users is 0. */
  exiting = false;
  /** numa_scan_offset: where task_numa_work() goes on; and when next, in nanoseconds of the clock. */
  numaScanOffset = 0;
  numaNextScan = 0n;
  /** exit_mmap ran: nothing may use it any more. */
  dead = false;
  /** Faults at one address with no progress in between, for the longest retry chain. */
  retryAddr = -1;
  retryChain = 0;

  constructor(contexts: Contexts, id: number, pgd: PA, asid: number, layout: PageTableLayout) {
    this.id = id;
    this.pgd = pgd;
    this.asid = asid;
    this.layout = layout;
    this.mmapLock = new RwSemaphore(contexts, 'mmap_lock');
    this.pageTableLock = new SpinLock(contexts, 'page_table_lock');
    this.freeAreaCache = this.mmapBase;
  }

  /** Mapped address space in pages (total_vm). */
  get totalVm(): number {
    return this.#totalVm;
  }

  set totalVm(pages: number) {
    this.#totalVm = pages;
    if (pages > this.peakPages) this.peakPages = pages;
  }

  get pageSize(): number {
    return this.layout.pageSize;
  }

  get taskSize(): VA {
    return toVA(BigInt(this.layout.taskSize));
  }

  /** mmap_base: mappings grow down from here; the stack lies above. */
  get mmapBase(): number {
    return this.layout.taskSize - 128 * 2 ** 20;
  }

  get residentPages(): number {
    return this.anonPages - this.hugetlbPages + this.filePages;
  }

  get totalPages(): number {
    return this.totalVm;
  }

  setBrk(start: VA): void {
    this.startBrk = Number(untagged(start));
    this.brk = this.startBrk;
  }
}
