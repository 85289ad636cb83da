/**
 * The hugetlb pool as files: /proc/sys/vm/nr_hugepages and /sys/kernel/mm/hugepages (mm/hugetlb.c;
 * Documentation/admin-guide/mm/hugetlbpage.rst).
 */
import { EINVAL } from '../contexts/index.js';
import type { SpecialFile, Store } from '../fs/index.js';
import type { HugetlbPool, MemoryManager } from '../mm/index.js';

type MakeFile = (content: () => string, store?: Store) => SpecialFile;

/** As many pages as a pool can be asked for. */
const MOST = 2 ** 31;

/** nr_hugepages, wherever it stands: what cannot be had is not an error. */
export function nrHugepages(mm: MemoryManager, file: MakeFile): SpecialFile {
  const store: Store = (text) => {
    const count = Number(/^\s*([0-9]+)\s*$/.exec(text)?.[1] ?? Number.NaN);
    if (!(count < MOST)) return -EINVAL;
    return (function* () {
      yield* mm.setMaxHugePages(count);
      return 0;
    })();
  };
  return file(() => `${mm.hugetlb.total}\n`, store);
}

/** /sys/kernel/mm/hugepages/hugepages-<size>kB. */
export function hugepagesFiles(mm: MemoryManager, file: MakeFile): Record<string, () => SpecialFile> {
  const shown = (value: (pool: Readonly<HugetlbPool>) => number) => () =>
    file(() => `${value(mm.hugetlb)}\n`);
  return {
    nr_hugepages: () => nrHugepages(mm, file),
    free_hugepages: shown((pool) => pool.free.length),
    resv_hugepages: shown((pool) => pool.reserved),
    surplus_hugepages: shown((pool) => pool.surplus),
    nr_overcommit_hugepages: shown(() => 0),
  };
}
