/**
 * The kernel's memory state in one object: what Linux keeps in globals.
 *
 * Functions of mm/ take it first, so that two kernels can live in one process. It holds no policy and
 * no architecture code: those arrive as `hooks`.
 */
import { PA } from '../../base/index.js';
import type { Contexts, MaySleep } from '../contexts/index.js';
import { KernelBug, WaitQueue } from '../contexts/index.js';
import type { AnonVmaTable } from './anon-vma.js';
import { AsidAllocator } from './asid.js';
import type { CmaArea } from './cma.js';
import type { Inode } from './filemap.js';
import type { Gfp } from './gfp.js';
import type { MmHooks } from './hooks.js';
import { HugetlbPool } from './hugetlb.js';
import { KhugepagedScan } from './khugepaged-scan.js';
import { Ksm } from './ksm.js';
import type { LruCache } from './lru.js';
import type { Memblock } from './memblock.js';
import type { Memmap, Page } from './memmap.js';
import type { MmStruct } from './mm-struct.js';
import type { NodeStatItem, NodeStats, NodeTable, PglistData } from './node.js';
import type { PageTableLayout } from './pgtable.js';
import type { MemoryPort } from './port.js';
import type { SlabCache } from './slab.js';
import type { SwapDevice } from './swap.js';
import { ThpSettings } from './thp-settings.js';
import type { TlbHooks } from './types.js';
import { VmSysctls } from './vm-sysctls.js';
import { Metrics, VmEvents } from './vmstat.js';
import { type Zone, zoneId } from './zone.js';

/** Makes chosen operations fail, for fault injection; `true` fails this one. */
export type FailureInjector = (operation: string) => boolean;

/** What could not be had. */
export interface MemoryRequest {
  readonly gfp: Gfp;
  readonly order: number;
}

/**
 * out_of_memory(): makes somebody give memory back, and waits for it; false where nobody can, or the caller itself is
 * to end.
 */
export type OomKiller = (request: MemoryRequest) => MaySleep<boolean>;

/** Trace events, under Linux's names. */
export type TraceSink = (event: string, fields: Readonly<Record<string, number | string>>) => void;

export interface MmParts {
  readonly contexts: Contexts;
  readonly port: MemoryPort;
  readonly tlb: TlbHooks;
  readonly layout: PageTableLayout;
  readonly memblock: Memblock;
  readonly memmap: Memmap;
  readonly nodes: NodeTable;
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
  readonly nodes: NodeTable;
  /** Populated zones of all nodes, each node's lowest first. */
  readonly zones: readonly Zone[];
  readonly log: (line: string) => void;
  readonly events = new VmEvents();
  readonly metrics = new Metrics();
  readonly cmaAreas: CmaArea[] = [];
  readonly addressSpaces = new Set<MmStruct>();
  /** Table pages that somebody has allocated and that no address space counts yet. */
  readonly tablesInHand = new Set<Page>();
  /** The swap device, after swapon(). */
  swap: SwapDevice | undefined;
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
  /** /proc/sys/vm. */
  readonly sysctl = new VmSysctls();
  /** khugepaged_scan and khugepaged_wait. */
  readonly khugepaged: KhugepagedScan;
  readonly ksm: Ksm;
  readonly hugetlb: HugetlbPool;
  totalCmaPages = 0;
  /** image_size of hibernation, in bytes: two fifths of memory until somebody says otherwise. */
  imageSize = 0;
  /** Committed_AS, in pages. */
  committedPages = 0;
  nextMmId = 1;
  readonly asids = new AsidAllocator();
  readonly mte: boolean;
  shouldFail: FailureInjector = () => false;
  trace: TraceSink = () => {};
  /** Left out, an allocation fails where memory is out. */
  oomKiller: OomKiller | undefined;
  /** capable(CAP_SYS_ADMIN) of whoever runs; everybody is, where nobody says otherwise. */
  capSysAdmin: () => boolean = () => true;
  /** CONFIG_NUMA: vma_alloc_folio() is a function; without it, a macro of its own. */
  numa = true;
  readonly #zoneById: (Zone | undefined)[] = [];

  constructor(parts: MmParts) {
    this.contexts = parts.contexts;
    this.port = parts.port;
    this.tlb = parts.tlb;
    this.layout = parts.layout;
    this.pageShift = parts.layout.pageShift;
    this.pageSize = parts.layout.pageSize;
    this.memblock = parts.memblock;
    this.memmap = parts.memmap;
    this.nodes = parts.nodes;
    this.zones = parts.nodes.online.flatMap(({ zones }) => zones);
    this.log = parts.log;
    this.mte = parts.mte;
    this.khugepaged = new KhugepagedScan(parts.contexts);
    this.thp = new ThpSettings(parts.layout, () => this.khugepaged.wait.wakeUp());
    this.pageWaitQueue = new WaitQueue(parts.contexts, 'folio_wait_bit');
    this.flusherWait = new WaitQueue(parts.contexts, 'wb_workfn', true);
    this.ksm = new Ksm(this);
    this.hugetlb = new HugetlbPool(parts.contexts);
    for (const zone of this.zones) this.#zoneById[zone.id] = zone;
  }

  /** page_zone(). */
  pageZone(page: Page): Zone {
    return this.#zoneById[zoneId(this.memmap.nodeOf(page), this.memmap.zoneOf(page))]!;
  }

  /** page_pgdat(). */
  pageNode(page: Page): PglistData {
    return this.nodes.at(this.memmap.nodeOf(page))!;
  }

  /** What mod_node_page_state() changes, of the page's node. */
  nodeStats(page: Page): NodeStats {
    return this.pageNode(page).stats;
  }

  /** global_node_page_state(). */
  globalNodeState(item: NodeStatItem): number {
    return this.nodes.online.reduce((sum, { stats }) => sum + stats[item], 0);
  }

  /** Pages on an LRU list, of all nodes. */
  globalLruSize(list: number): number {
    return this.nodes.online.reduce((sum, { lruvec }) => sum + lruvec.sizes[list]!, 0);
  }

  /** numa_node_id(): the node of the CPU that runs. */
  get localNode(): PglistData {
    return this.nodes.ofCpu(this.contexts.current.cpu);
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
