/**
 * What must hold of nodes: every counter that a node or a zone keeps of its pages, and every LRU list, against the
 * pages themselves.
 *
 * Counters of all nodes together are checked where their subject is (invariants.ts); here it is that each page counts
 * where it lies, also after it moved.
 */
import { entireMapcount, folioNrPages, isLarge, pageMapcount } from './folio.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import type { NodeStatItem } from './node.js';
import { NR_LRU_LISTS } from './node.js';
import {
  PG_dirty,
  PG_head,
  PG_hugetlb,
  PG_isolated,
  PG_lru,
  PG_mlocked,
  PG_slab,
  PG_swapcache,
  PG_table,
  PG_writeback,
} from './page-flags.js';
import { isAnonPage } from './rmap.js';
import type { Violation } from './types.js';
import type { Zone } from './zone.js';

/** Items that pages show by themselves. */
type Found = Record<Exclude<NodeStatItem, 'nr_dirtied' | 'nr_written'>, number>;

const nothing = (): Found => ({
  nr_slab_unreclaimable: 0,
  nr_isolated_anon: 0,
  nr_anon_pages: 0,
  nr_mapped: 0,
  nr_file_pages: 0,
  nr_dirty: 0,
  nr_writeback: 0,
  nr_shmem: 0,
  nr_shmem_hugepages: 0,
  nr_shmem_pmdmapped: 0,
  nr_anon_transparent_hugepages: 0,
  nr_page_table_pages: 0,
  nr_swapcached: 0,
});

/** What one page in use adds to its node. */
function addPage(mm: Mm, page: Page, found: Found): void {
  const { memmap: map } = mm;
  if (map.test(page, PG_slab)) found.nr_slab_unreclaimable++;
  if (map.test(page, PG_table)) found.nr_page_table_pages++;
  if (map.test(page, PG_isolated)) found.nr_isolated_anon += folioNrPages(mm, page);
  if (map.test(page, PG_swapcache)) found.nr_swapcached++;
  if (map.test(map.head(page), PG_hugetlb)) return;
  const anon = isAnonPage(mm, page);
  if (pageMapcount(mm, page) > 0) found[anon ? 'nr_anon_pages' : 'nr_mapped']++;
  if (map.test(page, PG_head) && isLarge(mm, page) && entireMapcount(mm, page) > 0) {
    found[anon ? 'nr_anon_transparent_hugepages' : 'nr_shmem_pmdmapped']++;
  }
}

/** What files' pages add. */
function addPageCache(mm: Mm, foundOf: (page: Page) => Found): void {
  const { memmap: map } = mm;
  for (const inode of mm.inodes.values()) {
    for (const page of inode.pages.values()) {
      const found = foundOf(page);
      found.nr_file_pages++;
      if (inode.disk !== undefined && map.test(page, PG_dirty)) found.nr_dirty++;
      if (map.test(page, PG_writeback)) found.nr_writeback++;
      if (!inode.isShmem) continue;
      found.nr_shmem++;
      if (map.test(page, PG_head) && isLarge(mm, page)) found.nr_shmem_hugepages++;
    }
  }
}

export function checkNodes(mm: Mm, out: Violation[]): void {
  const { memmap: map } = mm;
  const found = new Map(mm.nodes.online.map((node) => [node.nodeId, nothing()]));
  const mlocked = new Map(mm.zones.map((zone) => [zone, 0]));
  const single = found.size === 1 ? found.values().next().value : undefined;
  const foundOf = (page: Page): Found => single ?? found.get(map.nodeOf(page))!;
  const watched = PG_slab | PG_table | PG_isolated | PG_swapcache | PG_mlocked | PG_head | PG_hugetlb;
  for (let at = 0; at < map.pages; at++) {
    const page = at as Page;
    if ((map.flags[page]! & watched) === 0 && map.compoundHead[page] === 0) {
      // Nearly all: unused, or mapped and nothing else.
      if (map.mapcount[page] === 0) continue;
      const counts = single ?? foundOf(page);
      if ((map.mapping[page]! & 1) === 1) counts.nr_anon_pages++;
      else counts.nr_mapped++;
      continue;
    }
    addPage(mm, page, foundOf(page));
    if (!map.test(page, PG_mlocked)) continue;
    const zone = mm.pageZone(page);
    mlocked.set(zone, mlocked.get(zone)! + folioNrPages(mm, page));
  }
  addPageCache(mm, foundOf);
  for (const { nodeId, stats } of mm.nodes.online) {
    const counts = found.get(nodeId)!;
    for (const [item, count] of Object.entries(counts)) {
      const counted = stats[item as keyof Found];
      if (counted === count) continue;
      out.push({ invariant: 'counters', detail: `node ${nodeId}: ${item} ${counted}, found ${count}` });
    }
  }
  for (const [zone, count] of mlocked) {
    if (zone.nrMlock === count) continue;
    const detail = `node ${zone.nodeId}, ${zone.name}: ${zone.nrMlock} mlocked, found ${count}`;
    out.push({ invariant: 'counters', detail });
  }
  checkLruLists(mm, out);
}

/** Each list has its node's pages only, and as many as it says; zones know how many of them are theirs. */
function checkLruLists(mm: Mm, out: Violation[]): void {
  const { memmap: map } = mm;
  const ofZone = new Map(mm.zones.map((zone) => [zone, new Int32Array(NR_LRU_LISTS)]));
  for (const { nodeId, lruvec } of mm.nodes.online) {
    for (const [list, head] of lruvec.lists.entries()) {
      let pages = 0;
      // Pages of a zone follow each other.
      let zone: Zone | undefined;
      let sizes = new Int32Array(NR_LRU_LISTS);
      for (let at = map.next[head]!; at !== head; at = map.next[at]!) {
        const page = at as Page;
        const size = folioNrPages(mm, page);
        pages += size;
        if (mm.pageZone(page) !== zone) {
          zone = mm.pageZone(page);
          sizes = ofZone.get(zone)!;
        }
        sizes[list]! += size;
        if (map.nodeOf(page) === nodeId && map.test(page, PG_lru)) continue;
        const detail = `pfn 0x${map.pageToPfn(page).toString(16)} is on LRU list ${list} of node ${nodeId}`;
        out.push({ invariant: 'lru', detail });
      }
      if (pages === lruvec.sizes[list]) continue;
      const detail = `node ${nodeId}: LRU list ${list} has ${pages} pages, ${lruvec.sizes[list]} counted`;
      out.push({ invariant: 'counters', detail });
    }
  }
  for (const zone of mm.zones) {
    const sizes = ofZone.get(zone)!;
    if (sizes.every((pages, list) => pages === zone.lruSizes[list])) continue;
    const detail = `node ${zone.nodeId}, ${zone.name}: LRU sizes ${zone.lruSizes.join(' ')}, found ${sizes.join(' ')}`;
    out.push({ invariant: 'counters', detail });
  }
}
