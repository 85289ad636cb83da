/**
 * NUMA balancing: memory follows who uses it (kernel/sched/fair.c: task_numa_work; mm/memory.c: numa_migrate_prep;
 * mm/migrate.c: migrate_misplaced_folio).
 *
 * From time to time a stretch of an address space is taken away from the hardware. The next access faults, which says
 * from which node it came; a page that lies on another is moved there, if there is room. On for machines with several
 * nodes, unless kernel.numa_balancing says otherwise. Who faulted before is not remembered: Linux moves a page that
 * several tasks use only at the second fault of the same one.
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { folioMapcount, folioNrPages } from './folio.js';
import {
  __GFP_NOMEMALLOC,
  __GFP_NORETRY,
  __GFP_NOWARN,
  __GFP_RECLAIM,
  __GFP_THISNODE,
  GFP_HIGHUSER_MOVABLE,
} from './gfp.js';
import { folioIsolateLru, folioPutbackLru, putPage } from './lru.js';
import type { Page } from './memmap.js';
import { migratePages } from './migrate.js';
import type { Mm } from './mm.js';
import type { MmStruct } from './mm-struct.js';
import { changeProtNuma } from './mprotect.js';
import type { PglistData } from './node.js';
import { allocPages } from './page-alloc.js';
import { PG_dirty } from './page-flags.js';
import { isAnonPage } from './rmap.js';
import { VM_EXEC, VM_READ, VM_WRITE, type Vma } from './vma.js';
import { WMARK_HIGH } from './zone.js';

/** sysctl_numa_balancing_scan_size: bytes at a time. */
const SCAN_SIZE = 256 * 2 ** 20;

/** Only what is free on that node at once. */
const GFP_MISPLACED =
  (GFP_HIGHUSER_MOVABLE | __GFP_THISNODE | __GFP_NOMEMALLOC | __GFP_NORETRY | __GFP_NOWARN) & ~__GFP_RECLAIM;

export const numaBalancingEnabled = (mm: Mm): boolean =>
  mm.nodes.online.length > 1 && mm.sysctl.numaBalancing[0] !== 0;

/**
 * numa_migrate_prep(): counts the hint fault at a page.
 *
 * @returns the node where the page should be, undefined where it is well off.
 */
export function numaMigratePrep(mm: Mm, vma: Vma, page: Page): PglistData | undefined {
  const local = mm.localNode;
  mm.events.numa_hint_faults++;
  if (mm.pageNode(page) === local) {
    mm.events.numa_hint_faults_local++;
    return undefined;
  }
  if (!numaBalancingEnabled(mm) || local.zones.length === 0) return undefined;
  if (isAnonPage(mm, page)) return local;
  // Programs' text is everybody's, and what is dirty would have to be written first.
  const shared = folioMapcount(mm, page) > 1 && (vma.flags & VM_EXEC) !== 0;
  return shared || mm.memmap.test(mm.memmap.head(page), PG_dirty) ? undefined : local;
}

/** migrate_balanced_pgdat(): some zone of the node has that much above its high watermark. */
const hasRoom = ({ zones }: PglistData, pages: number): boolean =>
  zones.some((zone) => zone.freePages - zone.freeCmaPages > zone.wmarkPages(WMARK_HIGH) + pages);

/** migrate_misplaced_folio(): consumes the caller's reference. @returns whether the page is on the node now. */
export function* migrateMisplacedFolio(mm: Mm, page: Page, node: PglistData): MaySleep<boolean> {
  const folio = mm.memmap.head(page);
  const pages = folioNrPages(mm, folio);
  const isolated = hasRoom(node, pages) && folioIsolateLru(mm, folio);
  yield* putPage(mm, folio);
  if (!isolated) return false;
  const list = [folio];
  yield* migratePages(mm, list, (source) =>
    allocPages(mm, GFP_MISPLACED, mm.memmap.folioOrder(source), node),
  );
  for (const left of list) yield* folioPutbackLru(mm, left);
  if (list.length > 0) return false;
  mm.events.numa_pages_migrated += pages;
  return true;
}

/** task_numa_work() passes over what cannot be moved, or is not worth it. */
function worthScanning({ accessible, hugetlb, file, flags }: Vma): boolean {
  const readOnlyFile = file !== undefined && (flags & (VM_READ | VM_WRITE)) === VM_READ;
  return accessible && hugetlb === undefined && !readOnlyFile;
}

/** task_numa_work(): the next stretch of the address space, whose mmap_lock must be free at once. */
export function* taskNumaWork(mm: Mm, as: MmStruct): Atomic<void> {
  if (!numaBalancingEnabled(mm) || as.dead || !as.mmapLock.tryDownRead()) return;
  let left = SCAN_SIZE;
  let at = as.numaScanOffset;
  for (const vma of [...as.vmas.all]) {
    if (vma.end <= at || !worthScanning(vma)) continue;
    const start = Math.max(at, vma.start);
    const end = Math.min(vma.end, start + left);
    yield* changeProtNuma(mm, vma, start, end);
    left -= end - start;
    at = end;
    if (left <= 0) break;
  }
  // reset_ptenuma_scan(): from the start again.
  as.numaScanOffset = left > 0 ? 0 : at;
  as.mmapLock.upRead();
}
