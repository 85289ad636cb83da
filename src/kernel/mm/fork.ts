/**
 * Address spaces: making, copying and ending them (kernel/fork.c, mm/memory.c's copy_page_range).
 *
 * A fork shares every anonymous page read-only; whoever writes first copies it, tags and all. An entry
 * that says fault-on-access is copied as it stands: its memory type is Normal, so the tag hook lets
 * it pass, and each process finds out on its own.
 */
import { PA } from '../../base/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EAGAIN, ENOMEM } from '../contexts/index.js';
import { anonVmaFork, unlinkAnonVmas } from './anon-vma.js';
import { linkFile, unlinkFile } from './filemap.js';
import { lruAddDrain } from './lru.js';
import { vmNormalPage } from './memory.js';
import type { Mm } from './mm.js';
import { MmStruct } from './mm-struct.js';
import { zapRange } from './mmap.js';
import { getPage } from './page-alloc.js';
import { PG_anon_exclusive } from './page-flags.js';
import type { PteRun } from './page-table.js';
import { allocTable, freePgtables, freeTable, nextPteRun, pteAlloc, readPte, setPtes } from './page-table.js';
import {
  DESCRIPTOR_BYTES,
  isMigrationEntry,
  pteMkold,
  pteNone,
  ptePresent,
  pteWrite,
  pteWrprotect,
  SWP_MIGRATION_READ,
  withMigrationType,
} from './pgtable.js';
import { folioAddAnonRmap, folioAddFileRmap, isAnonPage, isMigrationEntryAnon } from './rmap.js';
import { VM_ACCOUNT, VM_SHARED, Vma } from './vma.js';

/** mm_alloc(): undefined where the top table or an ASID cannot be had. */
export function* mmAlloc(mm: Mm): MaySleep<MmStruct | undefined> {
  const asid = mm.asids.alloc();
  if (asid === undefined) return undefined;
  const pgd = yield* allocTable(mm);
  if (pgd === undefined) {
    mm.asids.free(asid);
    return undefined;
  }
  const as = new MmStruct(mm.contexts, mm.nextMmId++, mm.pageToPa(pgd), asid, mm.layout);
  as.nrTables = 1;
  mm.addressSpaces.add(as);
  return as;
}

/** exit_mmap() and mmdrop(). */
export function* exitMmap(mm: Mm, as: MmStruct): MaySleep<void> {
  if (as.dead) return;
  yield* as.mmapLock.downWrite();
  yield* lruAddDrain(mm);
  const all = [...as.vmas.all];
  for (const vma of all) yield* zapRange(mm, as, vma.start, vma.end);
  for (const vma of all) {
    as.vmas.remove(vma);
    as.totalVm -= (vma.end - vma.start) / mm.pageSize;
    if ((vma.flags & VM_ACCOUNT) !== 0) mm.committedPages -= (vma.end - vma.start) / mm.pageSize;
    unlinkAnonVmas(mm, vma);
    yield* unlinkFile(mm, vma);
  }
  yield* freePgtables(mm, as, 0, as.layout.taskSize, 0, as.layout.taskSize);
  as.mmapLock.upWrite();
  mm.tlb.flushTlbMm(as.asid);
  as.dead = true;
  as.nrTables--;
  mm.addressSpaces.delete(as);
  yield* freeTable(mm, mm.paToPage(as.pgd)!);
  mm.asids.free(as.asid);
}

/** dup_mmap(): the child, or -ENOMEM or -EAGAIN with nothing left of it. */
export function* dupMmap(mm: Mm, parent: MmStruct): MaySleep<MmStruct | number> {
  const child = yield* mmAlloc(mm);
  if (!child) return -EAGAIN;
  yield* parent.mmapLock.downWrite();
  child.startBrk = parent.startBrk;
  child.brk = parent.brk;
  let error = 0;
  for (const vma of parent.vmas.all) {
    const copy = new Vma(child, vma.start, vma.end, vma.flags, vma.pgoff, vma.name);
    yield* anonVmaFork(mm, copy, vma);
    if (vma.file) yield* linkFile(copy, vma.file);
    child.vmas.insert(copy);
    const pages = (vma.end - vma.start) / mm.pageSize;
    child.totalVm += pages;
    if ((vma.flags & VM_ACCOUNT) !== 0) mm.committedPages += pages;
    // vma_needs_copy(): without an anon_vma there is nothing a fault would not bring back.
    if (vma.anonVma) error = yield* copyPageRange(mm, copy, vma);
    if (error !== 0) break;
  }
  mm.tlb.flushTlbMm(parent.asid);
  parent.mmapLock.upWrite();
  if (error === 0) return child;
  yield* exitMmap(mm, child);
  return error;
}

/** copy_page_range(). */
function* copyPageRange(mm: Mm, to: Vma, from: Vma): MaySleep<number> {
  let addr = from.start;
  for (
    let run = nextPteRun(mm, from.mm, addr, from.end);
    run;
    run = nextPteRun(mm, from.mm, addr, from.end)
  ) {
    const table = yield* pteAlloc(mm, to.mm, run.addr);
    if (table === undefined) return -ENOMEM;
    yield* to.mm.pageTableLock.lock();
    yield* from.mm.pageTableLock.lockNested();
    yield* copyPteRange(mm, to, from, table, run);
    from.mm.pageTableLock.unlock();
    to.mm.pageTableLock.unlock();
    addr = run.end;
  }
  return 0;
}

/** copy_pte_range(): both table locks are held, so nothing here may sleep. */
function* copyPteRange(mm: Mm, to: Vma, from: Vma, table: PA, run: PteRun): Atomic<void> {
  const count = (run.end - run.addr) / mm.pageSize;
  for (let i = 0; i < count; i++) {
    const source = PA(run.at + i * DESCRIPTOR_BYTES);
    const target = PA(table + i * DESCRIPTOR_BYTES);
    let pte = readPte(mm, source);
    if (pteNone(pte)) continue;
    if (!ptePresent(pte)) {
      if (!isMigrationEntry(pte)) continue;
      // Shared from now on: neither side may come back writable or exclusive.
      pte = withMigrationType(pte, SWP_MIGRATION_READ);
      mm.port.write64(source, pte);
      if (isMigrationEntryAnon(mm, pte)) to.mm.anonPages++;
      else to.mm.filePages++;
      yield* setPtes(mm, target, pte);
      continue;
    }
    const page = vmNormalPage(mm, pte);
    if (page !== undefined) {
      // folio_try_dup_anon_rmap_pte().
      getPage(mm, page);
      if (isAnonPage(mm, page)) {
        folioAddAnonRmap(mm, page, false);
        mm.memmap.clear(page, PG_anon_exclusive);
        to.mm.anonPages++;
      } else {
        folioAddFileRmap(mm, page);
        to.mm.filePages++;
      }
    }
    if ((from.flags & VM_SHARED) === 0 && pteWrite(pte)) {
      pte = pteWrprotect(pte);
      mm.port.write64(source, pte);
    }
    yield* setPtes(mm, target, pteMkold(pte));
  }
}
