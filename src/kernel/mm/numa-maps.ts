/**
 * What /proc/PID/numa_maps counts of a mapping: on which nodes its pages lie, and of what kind they are
 * (fs/proc/task_mmu.c: show_numa_map, gather_stats).
 */
import { PA } from '../../base/index.js';
import { pageMapcount } from './folio.js';
import { vmNormalPage } from './memory.js';
import type { Mm } from './mm.js';
import {
  PG_active,
  PG_dirty,
  PG_reserved,
  PG_swapcache,
  PG_unevictable,
  PG_writeback,
} from './page-flags.js';
import { nextPteRun, ptePartOfPmd, readPte } from './page-table.js';
import { DESCRIPTOR_BYTES, pteDirty, ptePresent } from './pgtable.js';
import { isAnonPage } from './rmap.js';
import type { NumaCounts } from './types.js';
import type { Vma } from './vma.js';

/** struct numa_maps of one VMA; pages of the mapping's own size. */
export function numaMapsOf(mm: Mm, vma: Vma): NumaCounts {
  const { memmap: map } = mm;
  const nodes = new Map<number, number>();
  const out = { pages: 0, anon: 0, active: 0, writeback: 0, mapcountMax: 0, dirty: 0, swapcache: 0 };
  let addr = vma.start;
  for (let run = nextPteRun(mm, vma.mm, addr, vma.end); run; run = nextPteRun(mm, vma.mm, addr, vma.end)) {
    for (let at = run.addr; at < run.end; at += mm.pageSize) {
      const pte = run.huge
        ? ptePartOfPmd(mm, readPte(mm, run.at), at)
        : readPte(mm, PA(run.at + ((at - run.addr) / mm.pageSize) * DESCRIPTOR_BYTES));
      const page = ptePresent(pte) ? vmNormalPage(mm, pte) : undefined;
      if (page === undefined || map.test(page, PG_reserved)) continue;
      const head = map.head(page);
      // A page of the pool counts once.
      if (vma.hugetlb !== undefined && page !== head) continue;
      out.pages++;
      if (pteDirty(pte) || map.test(head, PG_dirty)) out.dirty++;
      if (map.test(head, PG_swapcache)) out.swapcache++;
      if (map.test(head, PG_active | PG_unevictable)) out.active++;
      if (map.test(head, PG_writeback)) out.writeback++;
      if (isAnonPage(mm, page)) out.anon++;
      out.mapcountMax = Math.max(out.mapcountMax, pageMapcount(mm, page));
      const nid = map.nodeOf(page);
      nodes.set(nid, (nodes.get(nid) ?? 0) + 1);
    }
    addr = run.end;
  }
  return { ...out, nodes: [...nodes].sort(([a], [b]) => a - b) };
}
