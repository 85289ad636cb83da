/**
 * Nodes: memory that is equally far from the CPUs that have it, with its zones, its LRU lists, its kswapd and
 * kcompactd, and the order in which its CPUs turn to other nodes when it is full (pg_data_t of
 * include/linux/mmzone.h; zonelists as build_zonelists() of mm/page_alloc.c makes them).
 *
 * A machine whose tree says nothing of nodes has one, 0. A node without CPUs, or one without memory, is data as any
 * other: who asks for a node's memory goes through its zonelist.
 */
import type { Contexts } from '../contexts/index.js';
import { WaitQueue } from '../contexts/index.js';
import type { Memmap, Page } from './memmap.js';
import type { Zone } from './zone.js';

/** 1 << CONFIG_NODES_SHIFT of arm64. */
export const MAX_NUMNODES = 16;
export const LOCAL_DISTANCE = 10;
export const REMOTE_DISTANCE = 20;
/** PENALTY_FOR_NODE_WITH_CPUS: others are left their memory where there is a choice. */
const PENALTY_FOR_NODE_WITH_CPUS = 1;

export const LRU_INACTIVE_ANON = 0;
export const LRU_ACTIVE_ANON = 1;
export const LRU_INACTIVE_FILE = 2;
export const LRU_ACTIVE_FILE = 3;
export const LRU_UNEVICTABLE = 4;
export const NR_LRU_LISTS = 5;

/** node_stat_item, without the sizes of LRU lists: of pages of the node. */
export class NodeStats {
  nr_slab_unreclaimable = 0;
  nr_isolated_anon = 0;
  nr_anon_pages = 0;
  nr_mapped = 0;
  nr_file_pages = 0;
  nr_dirty = 0;
  nr_writeback = 0;
  nr_shmem = 0;
  nr_shmem_hugepages = 0;
  nr_shmem_pmdmapped = 0;
  /** Whole mappings' folios, as Linux prints them. */
  nr_anon_transparent_hugepages = 0;
  nr_dirtied = 0;
  nr_written = 0;
  nr_page_table_pages = 0;
  nr_swapcached = 0;
}

export type NodeStatItem = keyof NodeStats;

/** What firmware says about nodes; everything is in node 0 without it. */
export interface NumaLayout {
  /** Of each CPU; 0 where left out. */
  readonly cpuNodes?: readonly number[];
  /** node_distance(), from row to column; LOCAL_DISTANCE and REMOTE_DISTANCE where left out. */
  readonly distances?: readonly (readonly number[])[];
}

/** struct lruvec. */
export class Lruvec {
  readonly lists: Int32Array;
  /** Pages on each list. */
  readonly sizes = new Int32Array(NR_LRU_LISTS);
  /** What reclaim of anonymous pages, and of files', has cost of late: lru_note_cost(). */
  anonCost = 0;
  fileCost = 0;

  constructor(memmap: Memmap) {
    this.lists = Int32Array.from({ length: NR_LRU_LISTS }, () => memmap.newListHead());
  }
}

/** pg_data_t. */
export class PglistData {
  readonly nodeId: number;
  /** CPUs to which it is the nearest. */
  readonly cpus: readonly number[];
  /** Populated zones, lowest first. */
  readonly zones: readonly Zone[];
  /** node_zonelists[ZONELIST_FALLBACK]: its own zones, highest first, then those of the next nodes. */
  zonelist: readonly Zone[] = [];
  readonly lruvec: Lruvec;
  readonly stats = new NodeStats();
  readonly kswapdWait: WaitQueue;
  /** Its kswapd runs. */
  hasKswapd = false;
  /** kswapd_order: the largest block that was asked for since it last looked. */
  kswapdOrder = 0;
  readonly kcompactdWait: WaitQueue;
  /** kcompactd_max_order: what it shall make. */
  kcompactdMaxOrder = 0;
  /** proactive_compact_trigger: somebody wants less fragmentation, and has just said so. */
  proactiveCompactTrigger = false;
  /** Ends kcompactd's sleep; there while it sleeps for a time. */
  kcompactdWake: (() => void) | undefined;
  /** nr_huge_pages_node: of the hugetlb pool, mapped ones included. */
  nrHugePages = 0;
  /** deferred_split_queue: large folios some of whose pages nobody maps any more. */
  readonly deferredSplit = new Set<Page>();

  constructor(
    nodeId: number,
    zones: readonly Zone[],
    cpus: readonly number[],
    memmap: Memmap,
    contexts: Contexts,
  ) {
    this.nodeId = nodeId;
    this.zones = zones;
    this.cpus = cpus;
    this.lruvec = new Lruvec(memmap);
    this.kswapdWait = new WaitQueue(contexts, 'kswapd_wait', true);
    this.kcompactdWait = new WaitQueue(contexts, 'kcompactd_wait', true);
  }

  wakeKcompactd(): void {
    this.kcompactdWait.wakeUp();
    this.kcompactdWake?.();
  }

  triggerProactiveCompaction(): void {
    this.proactiveCompactTrigger = true;
    this.wakeKcompactd();
  }

  /** node_start_pfn; 0 without memory. */
  get startPfn(): number {
    return this.zones.length === 0 ? 0 : Math.min(...this.zones.map((zone) => zone.startPfn));
  }

  /** node_present_pages. */
  get presentPages(): number {
    return this.zones.reduce((sum, zone) => sum + zone.presentPages, 0);
  }
}

/** All nodes, by number, and who is near to whom. */
export class NodeTable {
  /** Online nodes, by ascending number. */
  readonly online: readonly PglistData[];
  readonly #byId: (PglistData | undefined)[] = [];
  readonly #cpuNode: PglistData[];
  readonly #distances: readonly (readonly number[])[];

  /** @param online at least one; `cpus` is how many CPUs there are. */
  constructor(online: readonly PglistData[], cpus: number, numa: NumaLayout) {
    this.online = online;
    this.#distances = numa.distances ?? [];
    for (const node of online) this.#byId[node.nodeId] = node;
    this.#cpuNode = Array.from(
      { length: cpus },
      (_, cpu) => this.#byId[numa.cpuNodes?.[cpu] ?? 0] ?? online[0]!,
    );
    this.#buildAllZonelists();
  }

  /** NODE_DATA(). */
  at(nodeId: number): PglistData | undefined {
    return this.#byId[nodeId];
  }

  /** cpu_to_node(). */
  ofCpu(cpu: number): PglistData {
    return this.#cpuNode[cpu]!;
  }

  distance(from: number, to: number): number {
    return this.#distances[from]?.[to] ?? (from === to ? LOCAL_DISTANCE : REMOTE_DISTANCE);
  }

  /** build_all_zonelists(). */
  #buildAllZonelists(): void {
    const load = new Array<number>(MAX_NUMNODES).fill(0);
    for (const node of this.online) {
      const order: PglistData[] = [];
      let previous = node.nodeId;
      for (;;) {
        const next = this.#findNextBestNode(node, order, load);
        if (next === undefined) break;
        // Nodes that are equally far share the load of those that turn to them.
        if (this.distance(node.nodeId, next.nodeId) !== this.distance(node.nodeId, previous))
          load[next.nodeId]!++;
        order.push(next);
        previous = next.nodeId;
      }
      node.zonelist = order.flatMap(({ zones }) => zones.toReversed());
    }
  }

  /** find_next_best_node(). */
  #findNextBestNode(
    local: PglistData,
    used: readonly PglistData[],
    load: readonly number[],
  ): PglistData | undefined {
    if (!used.includes(local) && local.zones.length > 0) return local;
    let best: PglistData | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const node of this.online) {
      if (used.includes(node) || node.zones.length === 0) continue;
      let value = this.distance(local.nodeId, node.nodeId) + (node.nodeId < local.nodeId ? 1 : 0);
      if (node.cpus.length > 0) value += PENALTY_FOR_NODE_WITH_CPUS;
      value = value * MAX_NUMNODES + load[node.nodeId]!;
      if (value < least) {
        least = value;
        best = node;
      }
    }
    return best;
  }
}
