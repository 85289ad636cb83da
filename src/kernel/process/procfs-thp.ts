/**
 * /sys/kernel/mm/transparent_hugepage, with khugepaged/ in it (mm/huge_memory.c, mm/khugepaged.c,
 * mm/shmem.c: their attributes and which values each takes).
 */
import { EINVAL } from '../contexts/index.js';
import type { Inode } from '../fs/index.js';
import type { MemoryManager } from '../mm/index.js';
import { SHMEM_ENABLED, THP_DEFRAG, THP_ENABLED } from '../mm/index.js';

/** How whoever owns the tree makes a file: its text, and what takes a write. */
export type MakeFile = (content: () => string, store?: (text: string) => number) => Inode;
type Entries = Readonly<Record<string, () => Inode | undefined>>;

const UINT_MAX = 2 ** 32 - 1;

/** A decimal number as kstrtouint() reads one; undefined for anything else. */
function unsigned(text: string): number | undefined {
  const trimmed = text.trim();
  const value = /^\+?[0-9]{1,10}$/.test(trimmed) ? Number(trimmed) : Number.NaN;
  return value <= UINT_MAX ? value : undefined;
}

/** The files of the directory, and those of khugepaged/. */
export function transparentHugepageFiles(
  mm: MemoryManager,
  make: MakeFile,
): { readonly files: Entries; readonly khugepaged: Entries } {
  const { thp } = mm;
  const { khugepaged } = thp;
  /** Shows all choices, the one in force in brackets, and takes one of them. */
  const choice =
    <T extends string>(all: readonly T[], now: () => T, set: (value: T) => void) =>
    () =>
      make(
        () => `${all.map((name) => (name === now() ? `[${name}]` : name)).join(' ')}\n`,
        (text) => {
          const found = all.find((name) => name === text.trim());
          if (found === undefined) return -EINVAL;
          set(found);
          return 0;
        },
      );
  const number =
    (now: () => number, set: (value: number) => void, least = 0, most = UINT_MAX) =>
    () =>
      make(
        () => `${now()}\n`,
        (text) => {
          const value = unsigned(text);
          if (value === undefined || value < least || value > most) return -EINVAL;
          set(value);
          return 0;
        },
      );
  const most = thp.hpagePmdNr - 1;
  return {
    files: {
      enabled: choice(
        THP_ENABLED,
        () => thp.enabled,
        (value) => {
          thp.enabled = value;
        },
      ),
      defrag: choice(
        THP_DEFRAG,
        () => thp.defrag,
        (value) => {
          thp.defrag = value;
        },
      ),
      shmem_enabled: choice(
        SHMEM_ENABLED,
        () => thp.shmemEnabled,
        (value) => {
          thp.shmemEnabled = value;
        },
      ),
      use_zero_page: number(
        () => (thp.useZeroPage ? 1 : 0),
        (value) => {
          thp.useZeroPage = value === 1;
        },
        0,
        1,
      ),
      hpage_pmd_size: () => make(() => `${mm.hugePageSize}\n`),
    },
    khugepaged: {
      defrag: number(
        () => (khugepaged.defrag ? 1 : 0),
        (value) => {
          khugepaged.defrag = value === 1;
        },
        0,
        1,
      ),
      max_ptes_none: number(
        () => khugepaged.maxPtesNone,
        (value) => {
          khugepaged.maxPtesNone = value;
        },
        0,
        most,
      ),
      max_ptes_swap: number(
        () => khugepaged.maxPtesSwap,
        (value) => {
          khugepaged.maxPtesSwap = value;
        },
        0,
        most,
      ),
      max_ptes_shared: number(
        () => khugepaged.maxPtesShared,
        (value) => {
          khugepaged.maxPtesShared = value;
        },
        0,
        most,
      ),
      pages_to_scan: number(
        () => khugepaged.pagesToScan,
        (value) => {
          khugepaged.pagesToScan = value;
        },
        1,
      ),
      pages_collapsed: () => make(() => `${khugepaged.pagesCollapsed}\n`),
      full_scans: () => make(() => `${khugepaged.fullScans}\n`),
      scan_sleep_millisecs: number(
        () => khugepaged.scanSleepMillisecs,
        (value) => {
          khugepaged.scanSleepMillisecs = value;
        },
      ),
      alloc_sleep_millisecs: number(
        () => khugepaged.allocSleepMillisecs,
        (value) => {
          khugepaged.allocSleepMillisecs = value;
        },
      ),
    },
  };
}
