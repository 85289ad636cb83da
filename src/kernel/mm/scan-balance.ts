/**
 * How much of which LRU list a round of reclaim looks at (mm/vmscan.c: prepare_scan_count(), get_scan_count();
 * mm/swap.c: lru_note_cost()): between anonymous pages and those of files by vm.swappiness, from 0 to 200, and by what
 * reclaiming each kind has cost of late.
 *
 * Costs are those of writing and of looking in vain; a page that comes back soon costs nothing here, for nobody
 * remembers pages that are gone (mm/workingset.c).
 */
import type { Mm } from './mm.js';
import type { PglistData } from './node.js';
import {
  LRU_ACTIVE_ANON,
  LRU_ACTIVE_FILE,
  LRU_INACTIVE_ANON,
  LRU_INACTIVE_FILE,
  LRU_UNEVICTABLE,
} from './node.js';
import { WMARK_HIGH } from './zone.js';

/** SWAP_CLUSTER_MAX: pages isolated at once, and what direct reclaim is after. */
export const SWAP_CLUSTER_MAX = 32;

/** Of struct scan_control what the balance is made from. */
export interface ScanPressure {
  /** A round looks at a 2^-priority-th of a list. */
  readonly priority: number;
  readonly maySwap: boolean;
  /** Active pages become inactive whether or not there are few of those: the last resort. */
  readonly forceDeactivate: boolean;
}

/** What prepare_scan_count() finds. */
export interface ScanBalance {
  /** Pages to look at, by LRU list. */
  readonly targets: readonly number[];
  /** may_deactivate: DEACTIVATE_ANON, DEACTIVATE_FILE. */
  readonly deactivateAnon: boolean;
  readonly deactivateFile: boolean;
}

export const isFileLru = (list: number): boolean => list === LRU_INACTIVE_FILE || list === LRU_ACTIVE_FILE;
export const isActiveLru = (list: number): boolean => list === LRU_ACTIVE_ANON || list === LRU_ACTIVE_FILE;

/** inactive_is_low(): a list of a gibibyte is to be a third inactive, one of 100 GiB a 31st; small ones half. */
export function inactiveIsLow(mm: Mm, { lruvec }: PglistData, inactive: number): boolean {
  const few = lruvec.sizes[inactive]!;
  const many = lruvec.sizes[inactive + 1]!;
  const gib = Math.floor(((few + many) * mm.pageSize) / 2 ** 30);
  return few * (gib > 0 ? Math.floor(Math.sqrt(10 * gib)) : 1) < many;
}

/** lru_note_cost(): a floating average, for what was long ago says nothing of now. */
export function lruNoteCost({ lruvec }: PglistData, file: boolean, written: number, inVain: number): void {
  const cost = written * SWAP_CLUSTER_MAX + inVain;
  if (file) lruvec.fileCost += cost;
  else lruvec.anonCost += cost;
  const pages = lruvec.sizes.subarray(0, LRU_UNEVICTABLE).reduce((sum, size) => sum + size, 0);
  if (lruvec.fileCost + lruvec.anonCost <= Math.floor(pages / 4)) return;
  lruvec.fileCost = Math.floor(lruvec.fileCost / 2);
  lruvec.anonCost = Math.floor(lruvec.anonCost / 2);
}

/** Shares of anonymous pages and of files' pages, of their sum; equal where nothing is to be balanced. */
interface Shares {
  readonly anon: number;
  readonly file: number;
  readonly of: number;
}

const ONLY_FILE: Shares = { anon: 0, file: 1, of: 1 };
const ONLY_ANON: Shares = { anon: 1, file: 0, of: 1 };
const EQUAL: Shares = { anon: 1, file: 1, of: 1 };

function fraction(swappiness: number, anonPages: number, filePages: number): Shares {
  const total = anonPages + filePages;
  const [anonCost, fileCost] = [total + anonPages, total + filePages];
  const sum = anonCost + fileCost;
  const anon = Math.floor((swappiness * (sum + 1)) / (anonCost + 1));
  const file = Math.floor(((200 - swappiness) * (sum + 1)) / (fileCost + 1));
  return { anon, file, of: anon + file };
}

/** file_is_tiny: all of them together would not lift the node above its watermarks, and anonymous pages abound. */
function fileIsTiny(node: PglistData, deactivateAnon: boolean, priority: number): boolean {
  const { sizes } = node.lruvec;
  const free = node.zones.reduce((sum, zone) => sum + zone.freePages, 0);
  const high = node.zones.reduce((sum, zone) => sum + zone.wmarkPages(WMARK_HIGH), 0);
  const file = sizes[LRU_INACTIVE_FILE]! + sizes[LRU_ACTIVE_FILE]!;
  return file + free <= high && !deactivateAnon && sizes[LRU_INACTIVE_ANON]! >> priority > 0;
}

/** prepare_scan_count() and get_scan_count(), of one node. */
export function scanBalance(mm: Mm, node: PglistData, pressure: ScanPressure): ScanBalance {
  const { lruvec } = node;
  const { priority, maySwap, forceDeactivate } = pressure;
  const [swappiness = 60] = mm.sysctl.swappiness;
  const deactivateAnon = forceDeactivate || inactiveIsLow(mm, node, LRU_INACTIVE_ANON);
  const deactivateFile = forceDeactivate || inactiveIsLow(mm, node, LRU_INACTIVE_FILE);
  let shares: Shares;
  if (!maySwap || (mm.swap?.freeSlots ?? 0) === 0) shares = ONLY_FILE;
  // Close to the end of memory there is nothing to be clever about.
  else if (priority === 0 && swappiness > 0) shares = EQUAL;
  else if (fileIsTiny(node, deactivateAnon, priority)) shares = ONLY_ANON;
  // cache_trim_mode: enough files' pages that nobody has used again.
  else if (lruvec.sizes[LRU_INACTIVE_FILE]! >> priority > 0 && !deactivateFile) shares = ONLY_FILE;
  else shares = fraction(swappiness, lruvec.anonCost, lruvec.fileCost);
  const targets = [LRU_INACTIVE_ANON, LRU_ACTIVE_ANON, LRU_INACTIVE_FILE, LRU_ACTIVE_FILE].map((list) =>
    Math.floor(
      ((lruvec.sizes[list]! >> priority) * (isFileLru(list) ? shares.file : shares.anon)) / shares.of,
    ),
  );
  return { targets, deactivateAnon, deactivateFile };
}
