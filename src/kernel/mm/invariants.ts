/**
 * What must hold of the allocator and the page tables whenever no operation is under way.
 *
 * The tag storage floor adds the rules of tag-storage.md section 12; these are the ones they rest on:
 * free lists, counters and references agree, and every page is accounted for by who uses it.
 */
import { entireMapcount, folioMapcount, folioNrPages, isLarge, pageMapcount } from './folio.js';
import { checkKsm } from './ksm-invariants.js';
import type { Page } from './memmap.js';
import { MIGRATE_CMA, MIGRATE_HIGHATOMIC, MIGRATE_ISOLATE, MIGRATE_TYPES } from './migratetype.js';
import type { Mm } from './mm.js';
import { checkNodes } from './node-invariants.js';
import {
  PG_buddy,
  PG_dirty,
  PG_head,
  PG_hugetlb,
  PG_locked,
  PG_lru,
  PG_mlocked,
  PG_mte_tagged,
  PG_pcp,
  PG_reserved,
  PG_swapcache,
  PG_table,
  PG_unevictable,
  PG_writeback,
} from './page-flags.js';
import { swapEntryOf } from './pgtable.js';
import { forEachEntry, forEachPte, forEachTable, type SeenEntry } from './pte-walk.js';
import { isAnonPage, isMigrationEntryAnon } from './rmap.js';
import type { Violation } from './types.js';
import { VM_ACCOUNT, VM_LOCKED, type Vma } from './vma.js';

const pfnText = (mm: Mm, page: number): string => `pfn 0x${mm.memmap.pageToPfn(page as Page).toString(16)}`;

/** Free lists against flags and counters. */
function checkBuddy(mm: Mm, out: Violation[]): void {
  const { memmap: map } = mm;
  for (const zone of mm.zones) {
    let free = 0;
    let cma = 0;
    for (let order = 0; order <= map.maxPageOrder; order++) {
      let blocks = 0;
      for (let type = 0; type < MIGRATE_TYPES; type++) {
        const head = zone.freeList(order, type);
        for (let page = map.next[head]!; page !== head; page = map.next[page]!) {
          blocks++;
          if (!map.test(page as Page, PG_buddy) || map.order[page] !== order) {
            out.push({
              invariant: 'buddy',
              detail: `${pfnText(mm, page)} is on a free list of order ${order} but not free`,
            });
          }
          const block = map.pageblockMigratetype(page as Page);
          if ((block === MIGRATE_CMA || block === MIGRATE_ISOLATE || type >= MIGRATE_CMA) && block !== type) {
            out.push({
              invariant: 'buddy',
              detail: `${pfnText(mm, page)}: list type ${type}, pageblock type ${block}`,
            });
          }
          if (type !== MIGRATE_ISOLATE) free += 1 << order;
          if (type === MIGRATE_CMA) cma += 1 << order;
        }
      }
      if (blocks !== zone.nrFree[order]) {
        out.push({
          invariant: 'buddy',
          detail: `${zone.name}: nr_free[${order}] is ${zone.nrFree[order]}, found ${blocks}`,
        });
      }
    }
    let reserved = 0;
    for (let page = 0; page < map.pages; page += map.pageblockNrPages) {
      if (map.pageblockMigratetype(page as Page) !== MIGRATE_HIGHATOMIC) continue;
      if (mm.pageZone(page as Page) === zone) reserved += map.pageblockNrPages;
    }
    if (reserved !== zone.reservedHighatomic) {
      const detail = `${zone.name}: ${zone.reservedHighatomic} pages kept for atomic requests, found ${reserved}`;
      out.push({ invariant: 'counters', detail });
    }
    if (free !== zone.freePages || cma !== zone.freeCmaPages) {
      out.push({
        invariant: 'counters',
        detail: `${zone.name}: free ${zone.freePages}/${zone.freeCmaPages} (all/CMA), found ${free}/${cma}`,
      });
    }
  }
}

/** References and mappings of every page against what the page tables say. */
function checkReferences(mm: Mm, out: Violation[]): void {
  const { memmap: map } = mm;
  const mapped = new Int32Array(map.pages);
  /** Pages that a VM_LOCKED mapping maps. */
  const locked = new Uint8Array(map.pages);
  /** Of heads: PMDs that map the folio. */
  const entire = new Int32Array(map.pages);
  let tables = mm.tablesInHand.size;
  for (const as of mm.addressSpaces) {
    tables += as.nrTables;
    let resident = 0;
    let blocks = 0;
    let vma: Vma | undefined;
    const mapsNormal = (page: Page, addr: number, writable: boolean) => {
      resident++;
      if (vma === undefined || addr < vma.start || addr >= vma.end) vma = as.vmas.lookup(addr);
      if (vma !== undefined && (vma.flags & VM_LOCKED) !== 0) locked[map.head(page)] = 1;
      if (!vma)
        out.push({ invariant: 'vma', detail: `entry at 0x${addr.toString(16)} of mm ${as.id} has no VMA` });
      if (writable && isAnonPage(mm, page) && pageMapcount(mm, page) > 1) {
        out.push({
          invariant: 'cow',
          detail: `${pfnText(mm, page)} is shared and writable at 0x${addr.toString(16)}`,
        });
      }
    };
    forEachTable(mm, as, {
      table({ used, normal, writable, migrations }, base) {
        resident += migrations;
        for (let i = 0; i < used.length; i++) {
          const page = normal[i]!;
          if (page < 0) continue;
          mapped[page]!++;
          mapsNormal(page as Page, base + used[i]! * mm.pageSize, writable[i] === 1);
        }
      },
      block(entry, addr) {
        if (addr % mm.layout.pmdSize === 0 && isAnonPmdPart(mm, entry)) blocks++;
        const { page } = entry;
        if (entry.migration) resident++;
        if (page === undefined || entry.special) return;
        if (map.head(page) === page) entire[page]!++;
        mapsNormal(page, addr, entry.write);
      },
    });
    if (blocks !== as.deposits.length) {
      out.push({
        invariant: 'huge',
        detail: `mm ${as.id}: ${blocks} huge entries, ${as.deposits.length} tables deposited for them`,
      });
    }
    if (resident !== as.residentPages + as.hugetlbPages) {
      out.push({ invariant: 'counters', detail: `mm ${as.id}: rss ${as.residentPages}, found ${resident}` });
    }
  }
  checkMlocked(mm, locked, out);
  let tablePages = 0;
  for (let page = 0; page < map.pages; page++) {
    const flags = map.flags[page]!;
    if ((flags & PG_table) !== 0) tablePages++;
    if (map.mapcount[page] !== mapped[page]) {
      out.push({
        invariant: 'rmap',
        detail: `${pfnText(mm, page)}: mapcount ${map.mapcount[page]}, found ${mapped[page]}`,
      });
    }
    checkCompound(mm, page as Page, entire, out);
    if (map.compoundHead[page] === 0 && map.refcount[page]! < folioMapcount(mm, page as Page)) {
      out.push({
        invariant: 'refcount',
        detail: `${pfnText(mm, page)}: refcount ${map.refcount[page]} below its mappings`,
      });
    }
    if (
      (flags & (PG_buddy | PG_pcp)) !== 0 &&
      (map.refcount[page] !== 0 || (flags & (PG_lru | PG_mte_tagged | PG_reserved)) !== 0)
    ) {
      out.push({ invariant: 'free', detail: `${pfnText(mm, page)} is free and in use` });
    }
  }
  if (tables !== tablePages || tables !== mm.globalNodeState('nr_page_table_pages')) {
    out.push({
      invariant: 'counters',
      detail: `page tables: ${tables} by mm and in hand, ${tablePages} by flag, ${mm.globalNodeState('nr_page_table_pages')} counted`,
    });
  }
}

/** Locked pages: counted, mapped by who locked them, and out of reclaim's sight. */
function checkMlocked(mm: Mm, locked: Uint8Array, out: Violation[]): void {
  const { memmap: map } = mm;
  let pages = 0;
  for (let page = 0; page < map.pages; page++) {
    const flags = map.flags[page]!;
    if ((flags & PG_mlocked) !== 0) {
      pages += folioNrPages(mm, page as Page);
      // Of a page that several map, the last who locked it may be gone (a collapse, a merge): until it is seen again.
      if (locked[page] === 0 && map.mapcount[page] === 0 && !isLarge(mm, page as Page)) {
        out.push({ invariant: 'mlock', detail: `${pfnText(mm, page)} is mlocked, and nobody has locked it` });
      }
    }
    const stays = (flags & PG_mlocked) !== 0;
    if ((flags & PG_lru) !== 0 && ((flags & PG_unevictable) !== 0) !== stays) {
      out.push({ invariant: 'mlock', detail: `${pfnText(mm, page)} is on the wrong LRU list` });
    }
  }
  const counted = mm.zones.reduce((sum, zone) => sum + zone.nrMlock, 0);
  if (pages !== counted) {
    out.push({ invariant: 'counters', detail: `${pages} pages are mlocked, ${counted} counted` });
  }
}

/** Counts of a large folio against what was found; a tail has a head, and no references of its own. */
function checkCompound(mm: Mm, page: Page, entire: Int32Array, out: Violation[]): void {
  const { memmap: map } = mm;
  const head = map.head(page);
  if (head !== page) {
    if (!map.test(head, PG_head) || page >= head + folioNrPages(mm, head) || map.refcount[page] !== 0) {
      out.push({ invariant: 'compound', detail: `${pfnText(mm, page)} is a tail without a folio` });
    }
    return;
  }
  if (entire[page] !== entireMapcount(mm, page)) {
    out.push({
      invariant: 'rmap',
      detail: `${pfnText(mm, page)}: entire mapcount ${entireMapcount(mm, page)}, found ${entire[page]}`,
    });
  }
  if (!isLarge(mm, page)) return;
  let sum = 0;
  for (let i = 0; i < folioNrPages(mm, page); i++) sum += map.mapcount[page + i]!;
  if (sum + entire[page]! !== folioMapcount(mm, page)) {
    out.push({
      invariant: 'rmap',
      detail: `${pfnText(mm, page)}: ${folioMapcount(mm, page)} mappings counted, found ${sum + entire[page]!}`,
    });
  }
}

/** A table was deposited for anonymous memory's blocks only. */
const isAnonPmdPart = (mm: Mm, { pte, present, special, page }: SeenEntry): boolean =>
  present ? special || isAnonPage(mm, page!) : isMigrationEntryAnon(mm, pte);

/** The page cache: each page says where it is, and the cache's reference is there. */
function checkPageCache(mm: Mm, out: Violation[]): void {
  let cached = 0;
  for (const inode of mm.inodes.values()) {
    cached += inode.pages.size;
    for (const [index, page] of inode.pages) {
      const { memmap: map } = mm;
      if (
        map.mapping[map.head(page)] !== inode.id << 1 ||
        map.index[map.head(page)]! + page - map.head(page) !== index ||
        map.refcount[map.head(page)]! < folioMapcount(mm, page) + folioNrPages(mm, map.head(page))
      ) {
        out.push({
          invariant: 'page-cache',
          detail: `${pfnText(mm, page)} is cached as page ${index} of ${inode.name}, and does not know`,
        });
      }
    }
  }
  if (cached !== mm.globalNodeState('nr_file_pages')) {
    out.push({
      invariant: 'counters',
      detail: `${cached} pages of files in memory, ${mm.globalNodeState('nr_file_pages')} counted`,
    });
  }
}

/**
 * Files on disk: what is dirty is known to be, and what is clean is as the disk has it and cannot be stored
 * to without a fault.
 */
function checkWriteback(mm: Mm, out: Violation[]): void {
  const { memmap: map } = mm;
  let dirty = 0;
  let underWay = 0;
  const clean = new Set<Page>();
  for (const inode of mm.inodes.values()) {
    const { disk } = inode;
    if (disk === undefined) continue;
    dirty += inode.dirty.size;
    for (const [index, page] of inode.pages) {
      const isDirty = map.test(page, PG_dirty);
      if (map.test(page, PG_writeback)) underWay++;
      else if (!isDirty) clean.add(page);
      if (isDirty !== inode.dirty.has(index)) {
        out.push({
          invariant: 'writeback',
          detail: `page ${index} of ${inode.name} is ${isDirty ? 'dirty and not known to be' : 'taken for dirty and clean'}`,
        });
      }
      if (isDirty || map.test(page, PG_writeback | PG_locked)) continue;
      const stored = disk.read(index) ?? new Uint8Array(mm.pageSize);
      const held = mm.port.readBytes(mm.pageToPa(page), mm.pageSize);
      if (held.some((byte, i) => byte !== stored[i])) {
        out.push({
          invariant: 'writeback',
          detail: `page ${index} of ${inode.name} is clean and differs from the disk`,
        });
      }
    }
  }
  if (dirty !== mm.globalNodeState('nr_dirty') || underWay !== mm.globalNodeState('nr_writeback')) {
    out.push({
      invariant: 'counters',
      detail: `dirty ${mm.globalNodeState('nr_dirty')}, under writeback ${mm.globalNodeState('nr_writeback')}; found ${dirty}, ${underWay}`,
    });
  }
  if (clean.size === 0) return;
  for (const as of mm.addressSpaces) {
    forEachEntry(mm, as, ({ page, special, write }, addr) => {
      if (page === undefined || special || !write || !clean.has(page)) return;
      out.push({
        invariant: 'writeback',
        detail: `${pfnText(mm, page)} is clean and can be stored to at 0x${addr.toString(16)} of mm ${as.id}`,
      });
    });
  }
}

/** Swap slots: each is named as often as it counts, and free exactly where nobody names or caches it. */
function checkSwap(mm: Mm, out: Violation[]): void {
  const { swap } = mm;
  if (swap === undefined) return;
  const found = new Uint16Array(swap.pages);
  for (const as of mm.addressSpaces) {
    let entries = 0;
    forEachEntry(
      mm,
      as,
      ({ pte }) => {
        entries++;
        found[swapEntryOf(pte)]!++;
      },
      'swap',
    );
    if (entries !== as.swapEntries) {
      out.push({ invariant: 'counters', detail: `mm ${as.id}: swap ${as.swapEntries}, found ${entries}` });
    }
  }
  for (const inode of mm.inodes.values()) {
    for (const entry of inode.swapped.values()) found[entry]!++;
  }
  let used = 0;
  for (let slot = 0; slot < swap.pages; slot++) {
    if (swap.counts[slot] !== found[slot]) {
      out.push({
        invariant: 'swap',
        detail: `slot ${slot} counts ${swap.counts[slot]}, found ${found[slot]}`,
      });
    }
    const page = swap.cache.get(slot);
    if (page !== undefined && (!mm.memmap.test(page, PG_swapcache) || mm.memmap.private[page] !== slot)) {
      out.push({
        invariant: 'swap',
        detail: `slot ${slot} is cached by ${pfnText(mm, page)}, which does not know`,
      });
    }
    if (found[slot]! > 0 || page !== undefined) used++;
  }
  if (used + swap.freeSlots !== swap.pages) {
    out.push({ invariant: 'swap', detail: `${used} slots used and ${swap.freeSlots} free of ${swap.pages}` });
  }
}

/** The hugetlb pool: its pages are free in it, or mapped; promises can be kept. */
function checkHugetlb(mm: Mm, out: Violation[]): void {
  const { hugetlb: pool, memmap: map } = mm;
  let found = 0;
  for (let page = 0; page < map.pages; page++) if (map.test(page as Page, PG_hugetlb)) found++;
  const inUse = pool.free.filter((page) => map.refcount[page] !== 0 || !map.test(page, PG_hugetlb));
  if (found !== pool.total || inUse.length > 0 || pool.reserved > pool.free.length) {
    out.push({
      invariant: 'hugetlb',
      detail:
        `${pool.total} pages counted, ${found} found; ${pool.free.length} free, ${inUse.length} of them in use, ` +
        `${pool.reserved} promised`,
    });
  }
}

/** Committed_AS is what mappings with VM_ACCOUNT promise. */
function checkCommitted(mm: Mm, out: Violation[]): void {
  let pages = 0;
  for (const { vmas } of mm.addressSpaces) {
    for (const { flags, start, end } of vmas.all)
      if ((flags & VM_ACCOUNT) !== 0) pages += (end - start) / mm.pageSize;
  }
  if (pages === mm.committedPages) return;
  out.push({ invariant: 'counters', detail: `${mm.committedPages} pages promised, found ${pages}` });
}

/** Every violation of the memory manager's own rules. */
export function checkMmInvariants(mm: Mm): Violation[] {
  const out: Violation[] = [];
  checkBuddy(mm, out);
  checkReferences(mm, out);
  checkPageCache(mm, out);
  checkWriteback(mm, out);
  checkSwap(mm, out);
  checkKsm(mm, forEachPte, out);
  checkHugetlb(mm, out);
  checkNodes(mm, out);
  checkCommitted(mm, out);
  return out;
}
