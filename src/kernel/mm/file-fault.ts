/**
 * Faults in mappings of files (mm/memory.c: do_fault() and its three cases).
 *
 * The page of the file is locked while it is mapped, so that it cannot be truncated away between being
 * found and being mapped. A write to a private mapping copies it, tags and all, into anonymous memory.
 */
import type { PA } from '../../base/index.js';
import type { Atomic, MaySleep } from '../contexts/index.js';
import { ENOMEM } from '../contexts/index.js';
import { anonVmaPrepare } from './anon-vma.js';
import { FAULT_FLAG_WRITE, VM_FAULT_OOM, VM_FAULT_SIGBUS } from './fault-flags.js';
import { filemapGetFolio, type Inode } from './filemap.js';
import { isLarge } from './folio.js';
import { folioUnlock } from './folio-lock.js';
import { GFP_HIGHUSER_MOVABLE } from './gfp.js';
import { blockStart } from './huge-memory.js';
import { folioAddLru, putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { VmFault } from './memory.js';
import { copyUserHighpage, vmaAllocFolio } from './memory.js';
import type { Mm } from './mm.js';
import { PG_uptodate } from './page-flags.js';
import { pmdAlloc, pteAlloc, readPte, setHugePmd, setPtes } from './page-table.js';
import { paPte, pmdMkhuge, pteMkdirty, pteMkwrite, pteNone } from './pgtable.js';
import { folioAddFileRmap, folioAddNewAnonRmap, folioAddRmapPmd, linearPageIndex } from './rmap.js';
import { transhugeVmaSuitable } from './thp-settings.js';
import type { Vma } from './vma.js';
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
  if (copies) return yield* doCowFault(mm, vmf, inode, index);
  return yield* withFilePage(mm, vma, inode, index, (found) => finishFault(mm, vmf, found, write));
}

/** __do_fault(): what is done with the file's page, locked. */
function* withFilePage(
  mm: Mm,
  vma: Vma,
  inode: Inode,
  index: number,
  use: (found: Page) => MaySleep<number>,
): MaySleep<number> {
  const page = yield* filemapGetFolio(mm, inode, index, vma);
  if (page < 0) return page === -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
  const found = page as Page;
  // i_size may have shrunk while we waited for the lock.
  const result = index * mm.pageSize >= inode.size ? VM_FAULT_SIGBUS : yield* use(found);
  folioUnlock(mm, found);
  yield* putPage(mm, found);
  return result;
}

/**
 * do_cow_fault(). The copy is allocated before the file's page is locked: for a tagged one a block of tag storage may
 * have to be taken back, and if the file's page is in it, it has to move.
 */
function* doCowFault(mm: Mm, vmf: VmFault, inode: Inode, index: number): MaySleep<number> {
  const { vma } = vmf;
  anonVmaPrepare(mm, vma);
  const copy = yield* vmaAllocFolio(mm, GFP_HIGHUSER_MOVABLE, vma);
  if (copy === undefined) return VM_FAULT_OOM;
  const result = yield* withFilePage(mm, vma, inode, index, function* (source) {
    if ((yield* copyUserHighpage(mm, copy, source)) !== 0) return VM_FAULT_OOM;
    mm.memmap.set(copy, PG_uptodate);
    return yield* finishFault(mm, vmf, copy, true);
  });
  yield* putPage(mm, copy);
  return result;
}

/** do_set_pmd(): the whole folio by one entry, where address, place in the file and mapping allow it. */
function* doSetPmd(mm: Mm, vmf: VmFault, folio: Page, write: boolean): MaySleep<boolean> {
  const { vma } = vmf;
  const as = vma.mm;
  const start = blockStart(mm, vmf.addr);
  if (mm.memmap.folioOrder(folio) !== mm.layout.pmdOrder) return false;
  if (!transhugeVmaSuitable(vma, start, mm.layout.pmdSize)) return false;
  const at = yield* pmdAlloc(mm, as, start);
  if (at === undefined) return false;
  yield* as.pageTableLock.lock();
  const none = readPte(mm, at) === 0n;
  if (none) yield* setFilePmd(mm, vma, at, folio, write);
  as.pageTableLock.unlock();
  return none;
}

/** The entry itself, with a reference of its own; the table lock is held, and nothing is mapped there. */
export function* setFilePmd(mm: Mm, vma: Vma, at: PA, folio: Page, write: boolean): Atomic<void> {
  let entry = pmdMkhuge(paPte(mm.pageToPa(folio), vma.pageProt));
  if (write && (vma.flags & VM_WRITE) !== 0) {
    entry = pteMkwrite(pteMkdirty(entry));
    folioMarkDirty(mm, folio);
  }
  mm.memmap.refcount[folio]!++;
  vma.mm.filePages += mm.layout.entriesPerTable;
  folioAddRmapPmd(mm, folio, false);
  yield* setHugePmd(mm, at, entry);
  mm.events.thp_file_mapped++;
}

/** finish_fault(): maps the page where nobody did so meanwhile; the mapping takes a reference. */
function* finishFault(mm: Mm, vmf: VmFault, page: Page, write: boolean): MaySleep<number> {
  const { vma } = vmf;
  const as = vma.mm;
  const { memmap: map } = mm;
  const folio = map.head(page);
  if (isLarge(mm, folio) && (yield* doSetPmd(mm, vmf, folio, write))) return 0;
  const at = yield* pteAlloc(mm, as, vmf.addr);
  if (at === undefined) return VM_FAULT_OOM;
  // Another thread mapped a huge page meanwhile: the access will see it.
  if (at === 'huge') return 0;
  yield* as.pageTableLock.lock();
  if (pteNone(readPte(mm, at))) {
    let entry = paPte(mm.pageToPa(page), vma.pageProt);
    if (write && (vma.flags & VM_WRITE) !== 0) entry = pteMkwrite(pteMkdirty(entry));
    map.refcount[folio]!++;
    if (map.mapping[folio] === 0) {
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
