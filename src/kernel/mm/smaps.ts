/**
 * What /proc/PID/smaps counts of a mapping (fs/proc/task_mmu.c: smaps_account, smaps_pte_range).
 *
 * A page that several entries map counts in full for Rss and in its share for Pss. Nothing here changes
 * anything: entries are read as they stand in memory, those without a valid bit (PROT_NONE, fault on
 * access) among them.
 */
import { PA } from '../../base/index.js';
import { pageMapcount } from './folio.js';
import { isKsmPage } from './ksm.js';
import { vmNormalPage } from './memory.js';
import type { Mm } from './mm.js';
import { PG_dirty, PG_referenced } from './page-flags.js';
import { nextPteRun, ptePartOfPmd, readPte } from './page-table.js';
import {
  DESCRIPTOR_BYTES,
  isSwapEntry,
  pteDirty,
  pteNone,
  ptePresent,
  pteYoung,
  swapEntryOf,
} from './pgtable.js';
import { isAnonPage } from './rmap.js';
import type { SmapCounts } from './types.js';
import { VM_LOCKED, type Vma } from './vma.js';

/** Counts of one VMA, in bytes. */
export function smapsOf(mm: Mm, vma: Vma): SmapCounts {
  const { memmap: map, pageSize } = mm;
  const out = {
    rss: 0,
    pss: 0,
    pssDirty: 0,
    pssAnon: 0,
    pssFile: 0,
    pssShmem: 0,
    sharedClean: 0,
    sharedDirty: 0,
    privateClean: 0,
    privateDirty: 0,
    referenced: 0,
    anonymous: 0,
    ksm: 0,
    privateHugetlb: 0,
    sharedHugetlb: 0,
    anonHugePages: 0,
    shmemPmdMapped: 0,
    swap: 0,
    swapPss: 0,
    locked: 0,
  };
  let addr = vma.start;
  for (let run = nextPteRun(mm, vma.mm, addr, vma.end); run; run = nextPteRun(mm, vma.mm, addr, vma.end)) {
    for (let i = 0; run.addr + i * pageSize < run.end; i++) {
      const pte = run.huge
        ? ptePartOfPmd(mm, readPte(mm, run.at), run.addr + i * pageSize)
        : readPte(mm, PA(run.at + i * DESCRIPTOR_BYTES));
      if (pteNone(pte)) continue;
      if (!ptePresent(pte)) {
        if (!isSwapEntry(pte)) continue;
        out.swap += pageSize;
        out.swapPss += pageSize / Math.max(1, mm.swap?.counts[swapEntryOf(pte)] ?? 1);
        continue;
      }
      const page = vmNormalPage(mm, pte);
      // The zero page is nobody's memory.
      if (page === undefined) continue;
      const mappings = Math.max(1, pageMapcount(mm, page));
      if (vma.hugetlb !== undefined) {
        out[mappings > 1 ? 'sharedHugetlb' : 'privateHugetlb'] += pageSize;
        continue;
      }
      const dirty = pteDirty(pte) || map.test(page, PG_dirty);
      const share = pageSize / mappings;
      out.rss += pageSize;
      out.pss += share;
      if ((vma.flags & VM_LOCKED) !== 0) out.locked += share;
      if (dirty) out.pssDirty += share;
      if (isAnonPage(mm, page)) {
        out.anonymous += pageSize;
        if (isKsmPage(mm, page)) out.ksm += pageSize;
        if (run.huge) out.anonHugePages += pageSize;
        out.pssAnon += share;
      } else if (vma.file?.isShmem === true) {
        out.pssShmem += share;
        if (run.huge) out.shmemPmdMapped += pageSize;
      } else {
        out.pssFile += share;
      }
      if (pteYoung(pte) || map.test(page, PG_referenced)) out.referenced += pageSize;
      if (mappings > 1) out[dirty ? 'sharedDirty' : 'sharedClean'] += pageSize;
      else out[dirty ? 'privateDirty' : 'privateClean'] += pageSize;
    }
    addr = run.end;
  }
  return out;
}
