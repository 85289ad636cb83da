/**
 * Faults in mappings of files (mm/memory.c: do_fault() and its three cases).
 *
 * The page of the file is locked while it is mapped, so that it cannot be truncated away between being
 * found and being mapped. A write to a private mapping copies it, tags and all, into anonymous memory.
 */
import type { MaySleep } from '../contexts/index.js';
import { ENOMEM } from '../contexts/index.js';
import { anonVmaPrepare } from './anon-vma.js';
import { FAULT_FLAG_WRITE, VM_FAULT_OOM, VM_FAULT_SIGBUS } from './fault-flags.js';
import { filemapGetFolio } from './filemap.js';
import { folioUnlock } from './folio-lock.js';
import { GFP_HIGHUSER_MOVABLE } from './gfp.js';
import { folioAddLru, putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { VmFault } from './memory.js';
import { copyUserHighpage, vmaAllocFolio } from './memory.js';
import type { Mm } from './mm.js';
import { PG_uptodate } from './page-flags.js';
import { pteAlloc, readPte, setPtes } from './page-table.js';
import { paPte, pteMkdirty, pteMkwrite, pteNone } from './pgtable.js';
import { folioAddFileRmap, folioAddNewAnonRmap, linearPageIndex } from './rmap.js';
import { VM_SHARED, VM_WRITE } from './vma.js';
import { folioMarkDirty } from './writeback.js';

/** do_fault(): VM_FAULT_*. */
export function* doFault(mm: Mm, vmf: VmFault): MaySleep<number> {
  const { vma } = vmf;
  const inode = vma.file!;
  const index = linearPageIndex(mm, vma, vmf.addr);
  if (index * mm.pageSize >= inode.size) return VM_FAULT_SIGBUS;
  const write = (vmf.flags & FAULT_FLAG_WRITE) !== 0;
  const copies = write && (vma.flags & VM_SHARED) === 0;
  if (copies) anonVmaPrepare(mm, vma);
  const page = yield* filemapGetFolio(mm, inode, index, vma);
  if (page < 0) return page === -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
  const found = page as Page;
  let result = 0;
  // i_size may have shrunk while we waited for the lock.
  if (index * mm.pageSize >= inode.size) result = VM_FAULT_SIGBUS;
  else if (copies) result = yield* doCowFault(mm, vmf, found);
  else result = yield* finishFault(mm, vmf, found, write);
  folioUnlock(mm, found);
  yield* putPage(mm, found);
  return result;
}

/** do_cow_fault(): the file's page is locked. */
function* doCowFault(mm: Mm, vmf: VmFault, source: Page): MaySleep<number> {
  const copy = yield* vmaAllocFolio(mm, GFP_HIGHUSER_MOVABLE, vmf.vma);
  if (copy === undefined) return VM_FAULT_OOM;
  let result = VM_FAULT_OOM;
  if ((yield* copyUserHighpage(mm, copy, source)) === 0) {
    mm.memmap.set(copy, PG_uptodate);
    result = yield* finishFault(mm, vmf, copy, true);
  }
  yield* putPage(mm, copy);
  return result;
}

/** finish_fault(): maps the page where nobody did so meanwhile; the mapping takes a reference. */
function* finishFault(mm: Mm, vmf: VmFault, page: Page, write: boolean): MaySleep<number> {
  const { vma } = vmf;
  const as = vma.mm;
  const at = yield* pteAlloc(mm, as, vmf.addr);
  if (at === undefined || at === 'huge') return VM_FAULT_OOM;
  yield* as.pageTableLock.lock();
  if (pteNone(readPte(mm, at))) {
    let entry = paPte(mm.pageToPa(page), vma.pageProt);
    if (write && (vma.flags & VM_WRITE) !== 0) entry = pteMkwrite(pteMkdirty(entry));
    mm.memmap.refcount[page]!++;
    if (mm.memmap.mapping[page] === 0) {
      as.anonPages++;
      folioAddNewAnonRmap(mm, page, vma, vmf.addr);
      yield* folioAddLru(mm, page);
    } else {
      as.filePages++;
      folioAddFileRmap(mm, page);
      if (write) folioMarkDirty(mm, page);
    }
    yield* setPtes(mm, at, entry);
  }
  as.pageTableLock.unlock();
  return 0;
}
