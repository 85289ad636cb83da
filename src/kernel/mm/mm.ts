/**
 * The kernel's memory state in one object: what Linux keeps in globals.
 *
 * Functions of mm/ take it first, so that two kernels can live in one process. It holds no policy and
 * no architecture code: those arrive as `hooks`.
 */
import { PA } from '../../base/index.js';
import type { Contexts } from '../contexts/index.js';
import { KernelBug, WaitQueue } from '../contexts/index.js';
import type { AnonVmaTable } from './anon-vma.js';
import { AsidAllocator } from './asid.js';
import type { CmaArea } from './cma.js';
import type { Inode } from './filemap.js';
import type { MmHooks } from './hooks.js';
import { HugetlbPool } from './hugetlb.js';
import { KhugepagedScan } from './khugepaged-scan.js';
import { Ksm } from './ksm.js';
import type { LruCache } from './lru.js';
import type { Memblock } from './memblock.js';
import type { Memmap, Page } from './memmap.js';
import type { MmStruct } from './mm-struct.js';
import type { PageTableLayout } from './pgtable.js';
import type { MemoryPort } from './port.js';
import type { SlabCache } from './slab.js';
import type { SwapDevice } from './swap.js';
import { ThpSettings } from './thp-settings.js';
import type { TlbHooks } from './types.js';
import { Metrics, VmEvents } from './vmstat.js';
import type { Zone } from './zone.js';

/** Makes chosen operations fail, for fault injection; `true` fails this one. */
export type FailureInjector = (operation: string) => boolean;

/** Trace events, under Linux's names. */
export type TraceSink = (event: string, fields: Readonly<Record<string, number | string>>) => void;

export interface MmParts {
  readonly contexts: Contexts;
  readonly port: MemoryPort;
  readonly tlb: TlbHooks;
  readonly layout: PageTableLayout;
  readonly memblock: Memblock;
  readonly memmap: Memmap;
  readonly zones: readonly Zone[];
  readonly log: (line: string) => void;
  /** system_supports_mte(). */
  readonly mte: boolean;
}

export class Mm {
  readonly contexts: Contexts;
  readonly port: MemoryPort;
  readonly tlb: TlbHooks;
  readonly layout: PageTableLayout;
  readonly pageShift: number;
  readonly pageSize: number;
  readonly memblock: Memblock;
  readonly memmap: Memmap;
  /** Populated zones, lowest first. */
  readonly zones: readonly Zone[];
  readonly log: (line: string) => void;
  readonly events = new VmEvents();
  readonly metrics = new Metrics();
  readonly cmaAreas: CmaArea[] = [];
  readonly addressSpaces = new Set<MmStruct>();
  /** The swap device, after swapon(). */
  swap: SwapDevice | undefined;
  /** kswapd_wait. */
  readonly kswapdWait: WaitQueue;
  /** kswapd_order: the largest block that was asked for since it last looked. */
  kswapdOrder = 0;
  /** kcompactd_wait, and kcompactd_max_order: what it shall make. */
  readonly kcompactdWait: WaitQueue;
  kcompactdMaxOrder = 0;
  /** Files that have, or may have, pages in memory; by id. */
  readonly inodes = new Map<number, Inode>();
  nextInodeId = 1;
  /** Those with pages that differ from the disk. */
  readonly dirtyInodes = new Set<Inode>();
  /** Where the flusher waits for a file to become dirty. */
  readonly flusherWait: WaitQueue;
  /** Ends the flusher's sleep; there while it sleeps. */
  wakeFlusher: (() => void) | undefined;
  readonly slabs: SlabCache[] = [];
  /** Waiters for PG_locked and migration entries (the hashed page wait table, one bucket). */
  readonly pageWaitQueue: WaitQueue;
  hooks!: MmHooks;
  lru!: LruCache;
  anonVmas!: AnonVmaTable;
  zeroPage!: Page;
  /** huge_zero_page, while some address space uses it. */
  hugeZeroPage: Page | undefined;
  /** Address spaces that use it. */
  hugeZeroUsers = 0;
  /** /sys/kernel/mm/transparent_hugepage. */
  readonly thp: ThpSettings;
  /** khugepaged_scan and khugepaged_wait. */
  readonly khugepaged: KhugepagedScan;
  /** deferred_split_queue: large folios some of whose pages nobody maps any more. */
  readonly deferredSplit = new Set<Page>();
  readonly ksm: Ksm;
  readonly hugetlb: HugetlbPool;
  totalCmaPages = 0;
  /** Committed_AS, in pages. */
  committedPages = 0;
  nextMmId = 1;
  readonly asids = new AsidAllocator();
  readonly mte: boolean;
  shouldFail: FailureInjector = () => false;
  trace: TraceSink = () => {};
  /** CONFIG_NUMA: vma_alloc_folio() is a function; without it, a macro of its own. */
  numa = true;
  readonly #zoneByIndex: (Zone | undefined)[] = [];

  constructor(parts: MmParts) {
    this.contexts = parts.contexts;
    this.port = parts.port;
    this.tlb = parts.tlb;
    this.layout = parts.layout;
    this.pageShift = parts.layout.pageShift;
    this.pageSize = parts.layout.pageSize;
    this.memblock = parts.memblock;
    this.memmap = parts.memmap;
    this.zones = parts.zones;
    this.log = parts.log;
    this.mte = parts.mte;
    this.khugepaged = new KhugepagedScan(parts.contexts);
    this.thp = new ThpSettings(parts.layout, () => this.khugepaged.wait.wakeUp());
    this.pageWaitQueue = new WaitQueue(parts.contexts, 'folio_wait_bit');
    this.flusherWait = new WaitQueue(parts.contexts, 'wb_workfn');
    this.kcompactdWait = new WaitQueue(parts.contexts, 'kcompactd_wait');
    this.kswapdWait = new WaitQueue(parts.contexts, 'kswapd_wait');
    this.ksm = new Ksm(this);
    this.hugetlb = new HugetlbPool(parts.contexts);
    for (const zone of parts.zones) this.#zoneByIndex[zone.index] = zone;
  }

  /** page_zone(). */
  pageZone(page: Page): Zone {
    return this.#zoneByIndex[this.memmap.zoneOf(page)]!;
  }

  /** page_to_phys(), in bytes. */
  pageToPa(page: Page): PA {
    return PA(this.memmap.pageToPfn(page) * this.pageSize);
  }

  /** phys_to_page(). */
  paToPage(pa: number): Page | undefined {
    return this.memmap.pfnToPage(Math.floor(pa / this.pageSize));
  }

  /** totalram_pages(). */
  totalramPages(): number {
    return this.zones.reduce((sum, zone) => sum + zone.managedPages, 0);
  }

  /** BUG_ON(). */
  bugOn(condition: boolean, message: string): void {
    if (condition) throw new KernelBug('bug', message);
  }

  /** WARN(): one line in the log; the kernel goes on. */
  warn(message: string): void {
    this.log(`WARNING: ${message}`);
  }
}
