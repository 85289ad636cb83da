/**
 * /sys/kernel/mm/ksm and /proc/PID/ksm_stat (mm/ksm.c, Documentation/admin-guide/mm/ksm.rst; names, order and
 * formats of Linux 6.8). The files of the scan-time advisor are not there.
 */
import { EINVAL } from '../contexts/index.js';
import type { SpecialFile, Store } from '../fs/index.js';
import { type AddressSpace, type Ksm, type MemoryManager, RMAP_ITEM_BYTES } from '../mm/index.js';

/** kstrtouint(): one number, a newline behind it at most. */
function number(text: string): number | undefined {
  const digits = /^\+?([0-9]+)\n?$/.exec(text)?.[1];
  const value = Number(digits);
  return digits !== undefined && value < 2 ** 32 ? value : undefined;
}

/** kstrtobool(), of which the first letter counts. */
function bool(text: string): boolean | undefined {
  if (/^([yY1tT]|[oO][nN])/.test(text)) return true;
  return /^([nN0fF]|[oO][fF])/.test(text) ? false : undefined;
}

type MakeFile = (content: () => string, store?: Store) => SpecialFile;

/** The directory's files, made where they are opened. */
export function ksmFiles(mm: MemoryManager, file: MakeFile): Record<string, () => SpecialFile> {
  const { ksm } = mm;
  const shown = (value: (ksm: Ksm) => number) => () => file(() => `${value(ksm)}\n`);
  const stored = <T>(
    show: () => number,
    parse: (text: string) => T | undefined,
    set: (value: T) => ReturnType<Store>,
  ) => {
    const store: Store = (text) => {
      const value = parse(text);
      return value === undefined ? -EINVAL : set(value);
    };
    return () => file(() => `${show()}\n`, store);
  };
  const plain = (name: 'sleepMillisecs' | 'pagesToScan' | 'chainsPruneMillisecs') =>
    stored(
      () => ksm[name],
      number,
      (value) => {
        ksm[name] = value;
        return 0;
      },
    );
  const flag = (name: 'useZeroPages' | 'smartScan') =>
    stored(
      () => (ksm[name] ? 1 : 0),
      bool,
      (value) => {
        ksm[name] = value;
        return 0;
      },
    );
  return {
    sleep_millisecs: plain('sleepMillisecs'),
    pages_to_scan: plain('pagesToScan'),
    run: stored(
      () => ksm.run,
      number,
      (value) => mm.ksmSet('run', value),
    ),
    pages_scanned: shown((k) => k.pagesScanned),
    pages_shared: shown((k) => k.pagesShared),
    pages_sharing: shown((k) => k.pagesSharing),
    pages_unshared: shown((k) => k.pagesUnshared),
    pages_volatile: shown((k) => k.pagesVolatile),
    pages_skipped: shown((k) => k.pagesSkipped),
    ksm_zero_pages: shown((k) => k.zeroPages),
    full_scans: shown((k) => k.scan.seqnr),
    merge_across_nodes: stored(
      () => ksm.mergeAcrossNodes,
      number,
      (value) => mm.ksmSet('merge_across_nodes', value),
    ),
    max_page_sharing: stored(
      () => ksm.maxPageSharing,
      number,
      (value) => mm.ksmSet('max_page_sharing', value),
    ),
    stable_node_chains: shown((k) => k.chains),
    stable_node_dups: shown((k) => k.dups),
    stable_node_chains_prune_millisecs: plain('chainsPruneMillisecs'),
    use_zero_pages: flag('useZeroPages'),
    general_profit: shown((k) => k.profit(mm.pageSize)),
    smart_scan: flag('smartScan'),
  };
}

/** /proc/PID/ksm_stat. */
export function ksmStatText(mm: MemoryManager, as: AddressSpace): string {
  const saved = (as.ksmMergingPages + as.ksmZeroPages) * mm.pageSize;
  return [
    `ksm_rmap_items ${as.ksmRmapItems}`,
    `ksm_zero_pages ${as.ksmZeroPages}`,
    `ksm_merging_pages ${as.ksmMergingPages}`,
    `ksm_process_profit ${saved - as.ksmRmapItems * RMAP_ITEM_BYTES}`,
    '',
  ].join('\n');
}
