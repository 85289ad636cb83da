/**
 * KSM's stable tree: the pages that are merged already, by contents (mm/ksm.c: get_ksm_page(),
 * stable_tree_search(), stable_tree_insert(), stable_node_chain).
 *
 * The tree holds no reference to its pages. A node whose page went, or is not a KSM page of this node any more,
 * is stale, and is taken out by whoever finds it so. A page serves at most max_page_sharing mappings; equal
 * pages beyond that make the entry a chain. Called under ksm_thread_mutex.
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EBUSY } from '../contexts/index.js';
import { folioLock, folioTrylock, folioUnlock } from './folio-lock.js';
import type { RmapItem, StableChain, StableNode } from './ksm.js';
import { GFP_KSM, KSM_NO_NODE, ksmMapping, stableNodeOf } from './ksm.js';
import { putAnonVma } from './ksm-merge.js';
import type { TreePlace } from './ksm-tree.js';
import { putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import { getPage } from './page-alloc.js';

/** is_page_sharing_candidate(): one more mapping may have this page. */
export const isPageSharingCandidate = (mm: Mm, node: StableNode): boolean =>
  node.items.size < mm.ksm.maxPageSharing;

/**
 * get_ksm_page(): the node's page with a reference, and its lock where asked for; undefined where the node was
 * stale, and is gone now; 'busy' where the lock would have to be waited for and is not.
 */
export function getKsmPage(mm: Mm, node: StableNode, how: 'no-lock' | 'lock'): MaySleep<Page | undefined>;
export function getKsmPage(
  mm: Mm,
  node: StableNode,
  how: 'no-lock' | 'lock' | 'try-lock',
): MaySleep<Page | undefined | 'busy'>;
export function* getKsmPage(
  mm: Mm,
  node: StableNode,
  how: 'no-lock' | 'lock' | 'try-lock',
): MaySleep<Page | undefined | 'busy'> {
  const { memmap: map } = mm;
  const expected = ksmMapping(node);
  for (;;) {
    const { page } = node;
    if (map.mapping[page] === expected && map.refcount[page]! > 0) {
      getPage(mm, page);
      if (how === 'no-lock') return page;
      if (how === 'try-lock' && !folioTrylock(mm, page)) {
        yield* putPage(mm, page);
        return 'busy';
      }
      if (how === 'lock') yield* folioLock(mm, page);
      if (map.mapping[page] === expected) return page;
      folioUnlock(mm, page);
      yield* putPage(mm, page);
    }
    // Perhaps it was only moved elsewhere meanwhile.
    if (node.page !== page) continue;
    yield* removeNodeFromStableTree(mm, node);
    return undefined;
  }
}

/** remove_node_from_stable_tree(): its items are nowhere any more. */
export function* removeNodeFromStableTree(mm: Mm, node: StableNode): Atomic<void> {
  const { ksm } = mm;
  for (const item of [...node.items]) {
    forgetStable(mm, item);
    putAnonVma(mm, item);
  }
  ksm.nodes.delete(node.id);
  const { chain } = node;
  chain.dups.splice(chain.dups.indexOf(node), 1);
  if (chain.object !== undefined) ksm.dups--;
  if (chain.dups.length === 0) {
    if (chain.entry !== undefined) ksm.stable.remove(chain.entry);
    chain.entry = undefined;
    yield* dissolveChain(mm, chain);
  }
  yield* ksm.stableNodeCache.free(node.object);
}

/** free_stable_node_chain(): the entry stands for one node, or none. */
function* dissolveChain(mm: Mm, chain: StableChain): Atomic<void> {
  const { object } = chain;
  if (object === undefined) return;
  chain.object = undefined;
  mm.ksm.chains--;
  mm.ksm.dups -= chain.dups.length;
  yield* mm.ksm.stableNodeCache.free(object);
}

/** The item is no more in its node's list; the counters follow. */
function forgetStable(mm: Mm, item: RmapItem): void {
  const { ksm } = mm;
  const node = item.node!;
  node.items.delete(item);
  if (node.items.size > 0) ksm.pagesSharing--;
  else ksm.pagesShared--;
  item.mm.ksmMergingPages--;
  item.node = undefined;
  item.state = 'none';
}

/** remove_rmap_item_from_tree(): of whichever it is in. */
export function* removeRmapItemFromTree(mm: Mm, item: RmapItem): MaySleep<void> {
  const { ksm } = mm;
  if (item.state === 'stable') {
    const page = yield* getKsmPage(mm, item.node!, 'lock');
    // A stale node took its items along.
    if (page === undefined) return;
    forgetStable(mm, item);
    folioUnlock(mm, page);
    yield* putPage(mm, page);
    putAnonVma(mm, item);
  } else if (item.state === 'unstable') {
    // The unstable tree begins anew with each scan: what an older one put there is in no tree.
    if (item.seqnr === ksm.scan.seqnr && item.entry !== undefined) ksm.unstable.remove(item.entry);
    item.entry = undefined;
    item.state = 'none';
    ksm.pagesUnshared--;
  }
}

/** stable_tree_append(): the item is one of the node's; its page is locked. */
export function stableTreeAppend(mm: Mm, item: RmapItem, node: StableNode): void {
  const { ksm } = mm;
  item.node = node;
  item.state = 'stable';
  node.items.add(item);
  if (node.items.size > 1) ksm.pagesSharing++;
  else ksm.pagesShared++;
  item.mm.ksmMergingPages++;
}

/**
 * chain_prune() and stable_node_dup(): the node of an entry that more mappings may share, the fullest of them;
 * stale ones go, and a chain that has become one node is none any more.
 *
 * @returns the node; 'full' where every page has as many mappings as it may; 'gone' where nothing was left.
 */
function* chainPrune(mm: Mm, chain: StableChain): MaySleep<StableNode | 'full' | 'gone'> {
  let found: StableNode | undefined;
  for (const node of [...chain.dups]) {
    const page = yield* getKsmPage(mm, node, 'no-lock');
    if (page === undefined) continue;
    yield* putPage(mm, page);
    if (isPageSharingCandidate(mm, node) && node.items.size > (found?.items.size ?? -1)) found = node;
  }
  if (chain.dups.length === 0) return 'gone';
  if (chain.dups.length === 1) yield* dissolveChain(mm, chain);
  return found ?? 'full';
}

interface Found {
  readonly chain: StableChain;
  readonly node: StableNode | 'full';
}

/**
 * Where a page stands to one of a tree; 0 where they are equal. With merge_across_nodes 0 pages of other nodes are
 * other pages: in place of a tree for each node there is one, ordered by node first. (A merged page that is moved to
 * another node keeps its place, where no more of its like find it; Linux puts it into that node's tree.)
 */
export function mergeOrder(mm: Mm, page: Page, treePage: Page): number {
  const apart = mm.ksm.mergeAcrossNodes === 0 ? mm.memmap.nodeOf(page) - mm.memmap.nodeOf(treePage) : 0;
  return apart === 0 ? mm.hooks.memcmpPages(page, treePage) : apart;
}

/** Walks down to the entry whose pages equal this one, or to where one would be. */
function* stableTreeWalk(mm: Mm, page: Page): MaySleep<Found | TreePlace<StableChain>> {
  const { ksm } = mm;
  again: for (;;) {
    let place: TreePlace<StableChain> = { parent: undefined, left: false };
    let at = ksm.stable.root;
    while (at !== undefined) {
      const chain = at.value;
      const node = yield* chainPrune(mm, chain);
      const treePage =
        node === 'gone'
          ? undefined
          : yield* getKsmPage(mm, node === 'full' ? chain.dups[0]! : node, 'no-lock');
      // What was stale left the tree, whose shape may be another now.
      if (node === 'gone' || treePage === undefined) continue again;
      const order = mergeOrder(mm, page, treePage);
      yield* putPage(mm, treePage);
      if (order === 0) return { chain, node };
      place = { parent: at, left: order < 0 };
      at = order < 0 ? at.left : at.right;
    }
    return place;
  }
}

const isFound = (walked: Found | TreePlace<StableChain>): walked is Found => 'chain' in walked;

/**
 * stable_tree_search(): a KSM page with the contents of this one, with a reference; the page itself where it is
 * one. Undefined where there is none, or none that more may share; 'busy' where it is just being moved.
 */
export function* stableTreeSearch(mm: Mm, page: Page): MaySleep<Page | undefined | 'busy'> {
  if (stableNodeOf(mm, page) !== undefined) {
    getPage(mm, page);
    return page;
  }
  for (;;) {
    const walked = yield* stableTreeWalk(mm, page);
    if (!isFound(walked) || walked.node === 'full') return undefined;
    // Locked once, so that migration of it is sure to see our reference.
    const found = yield* getKsmPage(mm, walked.node, 'try-lock');
    if (found === 'busy') return 'busy';
    if (found === undefined) continue;
    folioUnlock(mm, found);
    return found;
  }
}

/** stable_tree_insert(): a node for a page that has just become a KSM page, locked; undefined where memory is short. */
export function* stableTreeInsert(mm: Mm, page: Page): MaySleep<StableNode | undefined> {
  const { ksm } = mm;
  const walked = yield* stableTreeWalk(mm, page);
  const object = yield* ksm.stableNodeCache.alloc(GFP_KSM);
  if (object === undefined) return undefined;
  let chain: StableChain;
  if (isFound(walked)) {
    chain = walked.chain;
    if (chain.object === undefined) {
      const chainObject = yield* ksm.stableNodeCache.alloc(GFP_KSM);
      if (chainObject === undefined) {
        yield* ksm.stableNodeCache.free(object);
        return undefined;
      }
      chain.object = chainObject;
      ksm.chains++;
      ksm.dups += chain.dups.length;
    }
    ksm.dups++;
  } else {
    chain = { dups: [], entry: undefined, object: undefined };
    chain.entry = ksm.stable.insert(chain, walked);
  }
  const node: StableNode = { id: ksm.nextNodeId++, page, items: new Set(), chain, object };
  chain.dups.push(node);
  ksm.nodes.set(node.id, node);
  mm.memmap.mapping[page] = ksmMapping(node);
  return node;
}

/**
 * remove_all_stable_nodes(): 0, or -EBUSY where one is still mapped, which happens only while an address space
 * is on its way out.
 */
export function* removeAllStableNodes(mm: Mm): MaySleep<number> {
  let result = 0;
  for (const node of [...mm.ksm.nodes.values()]) {
    const page = yield* getKsmPage(mm, node, 'lock');
    if (page === undefined) continue;
    if (mm.memmap.mapcount[page]! > 0) {
      result = -EBUSY;
    } else {
      mm.memmap.mapping[page] = KSM_NO_NODE;
      yield* removeNodeFromStableTree(mm, node);
    }
    folioUnlock(mm, page);
    yield* putPage(mm, page);
  }
  return result;
}
