/**
 * Kernel samepage merging: what it knows (mm/ksm.c, its data and the entry and exit of address spaces).
 *
 * A page that is merged becomes a KSM page: its mapping field names a node of the stable tree instead of an
 * anon_vma, and the node lists the places (rmap_items) that ksmd put it at. Copies that fork made of those
 * entries are found through the anon_vma of each item. Nobody holds a reference for the tree: a page whose
 * last mapping goes is freed, and its node found stale the next time somebody looks.
 *
 * With one node of memory there is one tree of each kind, so `merge_across_nodes` is kept and changes nothing;
 * the scan-time advisor is not there. Everything here but the mappings is changed under `threadMutex`, or in
 * one step.
 */
import type { PA } from '../../base/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { ENOMEM, Mutex, WaitQueue } from '../contexts/index.js';
import type { AnonVma } from './anon-vma.js';
import { __GFP_NORETRY, __GFP_NOWARN, GFP_KERNEL } from './gfp.js';
import type { TreeEntry } from './ksm-tree.js';
import { ContentTree } from './ksm-tree.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { SlabCache } from './slab.js';
import type { Vma } from './vma.js';
import { VM_HUGETLB, VM_MAYSHARE, VM_MERGEABLE, VM_SHARED } from './vma.js';

/** /sys/kernel/mm/ksm/run. */
export const KSM_RUN_STOP = 0;
export const KSM_RUN_MERGE = 1;
export const KSM_RUN_UNMERGE = 2;

/** Bytes of struct ksm_rmap_item, ksm_stable_node and ksm_mm_slot. */
export const RMAP_ITEM_BYTES = 64;
const STABLE_NODE_BYTES = 64;
const MM_SLOT_BYTES = 48;

/** A place that ksmd has been at: one page of one address space (struct ksm_rmap_item). */
export interface RmapItem extends RmapCursor {
  readonly mm: MmStruct;
  readonly addr: number;
  /** STABLE_FLAG with `node`; UNSTABLE_FLAG with `entry` and the scan that put it there. */
  state: 'none' | 'unstable' | 'stable';
  seqnr: number;
  node: StableNode | undefined;
  entry: TreeEntry<RmapItem> | undefined;
  /** While stable: pinned, for the walk to those who map the page here. */
  anonVma: AnonVma | undefined;
  oldChecksum: number;
  /** Smart scan: passes it has seen, and how many it sits out yet. */
  age: number;
  remainingSkips: number;
  readonly object: PA;
}

/** What an item is linked behind: the one before it, or its address space. */
export interface RmapCursor {
  next: RmapItem | undefined;
}

/** A KSM page and where it was put (struct ksm_stable_node). */
export interface StableNode {
  readonly id: number;
  /** kpfn; migration changes it. */
  page: Page;
  readonly items: Set<RmapItem>;
  /** Undefined before it is in the tree. */
  chain: StableChain;
  readonly object: PA;
}

/**
 * Pages of equal contents, an entry of the stable tree: one, or as many as max_page_sharing makes it take, and
 * only then is it a chain in Linux's count.
 */
export interface StableChain {
  readonly dups: StableNode[];
  entry: TreeEntry<StableChain> | undefined;
  /** stable_node_chain, where it is one. */
  object: PA | undefined;
}

/** An address space that asked for merging (struct ksm_mm_slot): in a ring, as ksmd goes round. */
export interface KsmMmSlot extends RmapCursor {
  /** Undefined for the ring's head. */
  readonly mm: MmStruct | undefined;
  before: KsmMmSlot;
  after: KsmMmSlot;
  readonly object: PA | undefined;
}

function ringHead(): KsmMmSlot {
  const head = { mm: undefined, next: undefined, object: undefined } as unknown as KsmMmSlot;
  head.before = head;
  head.after = head;
  return head;
}

export class Ksm {
  // What /sys/kernel/mm/ksm sets.
  run = KSM_RUN_STOP;
  pagesToScan = 100;
  sleepMillisecs = 20;
  mergeAcrossNodes = 1;
  maxPageSharing = 256;
  chainsPruneMillisecs = 2000;
  useZeroPages = false;
  smartScan = true;
  // And what it shows.
  pagesScanned = 0;
  pagesShared = 0;
  pagesSharing = 0;
  pagesUnshared = 0;
  pagesSkipped = 0;
  zeroPages = 0;
  chains = 0;
  dups = 0;
  rmapItems = 0;

  /** ksm_thread_mutex. */
  readonly threadMutex: Mutex;
  /** ksm_thread_wait: there is something to merge. */
  readonly threadWait: WaitQueue;
  readonly stable = new ContentTree<StableChain>();
  readonly unstable = new ContentTree<RmapItem>();
  readonly nodes = new Map<number, StableNode>();
  nextNodeId = 1;
  /** ksm_mm_head. */
  readonly head = ringHead();
  readonly slots = new Map<MmStruct, KsmMmSlot>();
  /** ksm_scan: where ksmd is; `rmap` is the item (or slot) behind which the next one is looked for. */
  scan: { slot: KsmMmSlot; address: number; rmap: RmapCursor; seqnr: number };
  /** zero_checksum, once it was wanted. */
  zeroChecksum: number | undefined;

  readonly rmapItemCache: SlabCache;
  readonly stableNodeCache: SlabCache;
  readonly mmSlotCache: SlabCache;

  constructor(mm: Mm) {
    this.threadMutex = new Mutex(mm.contexts, 'ksm_thread_mutex');
    this.threadWait = new WaitQueue(mm.contexts, 'ksm_thread_wait', true);
    this.scan = { slot: this.head, address: 0, rmap: this.head, seqnr: 0 };
    this.rmapItemCache = new SlabCache(mm, 'ksm_rmap_item', RMAP_ITEM_BYTES);
    this.stableNodeCache = new SlabCache(mm, 'ksm_stable_node', STABLE_NODE_BYTES);
    this.mmSlotCache = new SlabCache(mm, 'ksm_mm_slot', MM_SLOT_BYTES);
  }

  /** pages_volatile: seen, and neither merged nor waiting for their like. */
  get pagesVolatile(): number {
    return Math.max(0, this.rmapItems - this.pagesShared - this.pagesSharing - this.pagesUnshared);
  }

  /** ksmd_should_run(). */
  get shouldRun(): boolean {
    return (this.run & KSM_RUN_MERGE) !== 0 && this.head.after !== this.head;
  }

  /** general_profit, in bytes. */
  profit(pageSize: number): number {
    return (this.pagesSharing + this.zeroPages) * pageSize - this.rmapItems * RMAP_ITEM_BYTES;
  }
}

// ---- pages ------------------------------------------------------------------------------------------

/** Mapping field of a KSM page that no node has (yet). Odd, as of all anonymous pages. */
export const KSM_NO_NODE = -1;
/** PAGE_MAPPING_KSM: odd numbers below zero. */
export const ksmMapping = (node: StableNode): number => -(2 * node.id + 1);

/** folio_test_ksm(). KSM pages are anonymous pages too. */
export const isKsmPage = (mm: Mm, page: Page): boolean => mm.memmap.mapping[page]! < 0;

/** folio_stable_node(). */
export const stableNodeOf = (mm: Mm, page: Page): StableNode | undefined => {
  const mapping = mm.memmap.mapping[page]!;
  return mapping < 0 ? mm.ksm.nodes.get((-mapping - 1) / 2) : undefined;
};

/** folio_migrate_ksm(): the new page has the mapping already; the old one is nobody's. */
export function folioMigrateKsm(mm: Mm, to: Page, from: Page): void {
  const node = stableNodeOf(mm, from);
  if (node !== undefined) node.page = to;
  mm.memmap.mapping[from] = KSM_NO_NODE;
}

/** vma_ksm_compatible(): private anonymous memory, and private copies of files' pages. */
export const vmaKsmCompatible = (vma: Vma): boolean =>
  (vma.flags & (VM_SHARED | VM_MAYSHARE | VM_HUGETLB)) === 0;

/** find_mergeable_vma(), mmap_lock held. */
export function findMergeableVma(as: MmStruct, addr: number): Vma | undefined {
  if (as.exiting) return undefined;
  const vma = as.vmas.lookup(addr);
  return vma?.anonVma !== undefined && (vma.flags & VM_MERGEABLE) !== 0 ? vma : undefined;
}

// ---- address spaces ---------------------------------------------------------------------------------

/** Slab memory that may be refused: merging is an offer. */
export const GFP_KSM = GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN;

function linkBefore(slot: KsmMmSlot, at: KsmMmSlot): void {
  slot.before = at.before;
  slot.after = at;
  at.before.after = slot;
  at.before = slot;
}

export function unlinkSlot(slot: KsmMmSlot): void {
  slot.before.after = slot.after;
  slot.after.before = slot.before;
}

/** __ksm_enter(): ksmd will come by. 0 or -ENOMEM. */
export function* ksmEnter(mm: Mm, as: MmStruct): MaySleep<number> {
  const { ksm } = mm;
  if (ksm.slots.has(as)) return 0;
  const object = yield* ksm.mmSlotCache.alloc(GFP_KERNEL);
  if (object === undefined) return -ENOMEM;
  const wasEmpty = ksm.head.after === ksm.head;
  const slot: KsmMmSlot = { mm: as, next: undefined, object, before: ksm.head, after: ksm.head };
  ksm.slots.set(as, slot);
  // Just behind the cursor, to let it settle; but where everything is being unmerged, before it is too late.
  linkBefore(slot, (ksm.run & KSM_RUN_UNMERGE) !== 0 ? ksm.head : ksm.scan.slot);
  if (wasEmpty) ksm.threadWait.wakeUp();
  return 0;
}

/** Gives the slot back: nothing of its address space is known any more. */
export function* freeSlot(mm: Mm, slot: KsmMmSlot): Atomic<void> {
  unlinkSlot(slot);
  mm.ksm.slots.delete(slot.mm!);
  yield* mm.ksm.mmSlotCache.free(slot.object!);
}

/** ksm_fork(): a child of one that asked is asked for. 0 or -ENOMEM. */
export function* ksmFork(mm: Mm, child: MmStruct, parent: MmStruct): MaySleep<number> {
  child.mergeAny = parent.mergeAny;
  return mm.ksm.slots.has(parent) ? yield* ksmEnter(mm, child) : 0;
}

/**
 * __ksm_exit(): the address space is about to go. Where ksmd has been in it, the slot stays for ksmd to clean
 * up, next in its way; whoever breaks its pages at this moment is waited for.
 */
export function* ksmExit(mm: Mm, as: MmStruct): MaySleep<void> {
  const { ksm } = mm;
  as.exiting = true;
  const slot = ksm.slots.get(as);
  if (slot === undefined) return;
  if (slot !== ksm.scan.slot) {
    if (slot.next === undefined) {
      yield* freeSlot(mm, slot);
      return;
    }
    unlinkSlot(slot);
    linkBefore(slot, ksm.scan.slot.after);
  }
  yield* as.mmapLock.downWrite();
  as.mmapLock.upWrite();
}
