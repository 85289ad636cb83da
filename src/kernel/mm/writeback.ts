/**
 * Files on disk: a simulated device behind the page cache, which pages differ from it, and the way back
 * (mm/page-writeback.c, fs/fs-writeback.c, and of mm/filemap.c what waits).
 *
 * A page of such a file is dirty from the first store on: entries of shared mappings are mapped without
 * write permission until a fault says so (page_mkwrite), and writing the page back takes the permission
 * away again before the flag goes. It is not locked while the device works, but PG_writeback, which
 * migration, truncation and reclaim wait for. The device is a map of pages outside guest memory whose
 * operations take time and can fail.
 */
import type { Atomic, MaySleep } from '../contexts/index.js';
import { EIO, sleepPoint } from '../contexts/index.js';
import type { Inode } from './filemap.js';
import { inodeOf } from './filemap.js';
import { folioLock, folioUnlock } from './folio-lock.js';
import { putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import { getPage } from './page-alloc.js';
import { PG_dirty, PG_writeback } from './page-flags.js';
import { ptepClearFlush, readPte, setPtes } from './page-table.js';
import { pteDirty, pteMkclean, pteWrite, pteWrprotect } from './pgtable.js';
import { mappedPte, rmapWalk } from './rmap.js';
import { VM_SHARED } from './vma.js';

const DISK_IO = sleepPoint('disk I/O');

/** What one file has on the disk: whole pages by their index; what is missing is a hole of zeros. */
export class DiskFile {
  readonly #pages = new Map<number, Uint8Array>();

  get pages(): number {
    return this.#pages.size;
  }

  has(index: number): boolean {
    return this.#pages.has(index);
  }

  read(index: number): Uint8Array | undefined {
    return this.#pages.get(index);
  }

  write(index: number, data: Uint8Array): void {
    this.#pages.set(index, data);
  }

  /** Forgets everything from page `first` on. */
  truncate(first: number): void {
    for (const index of [...this.#pages.keys()]) if (index >= first) this.#pages.delete(index);
  }
}

/** folio_mark_dirty(): the page differs from where its contents come from. */
export function folioMarkDirty(mm: Mm, page: Page): void {
  const head = mm.memmap.head(page);
  if (mm.memmap.test(head, PG_dirty)) return;
  mm.memmap.set(head, PG_dirty);
  const inode = inodeOf(mm, page);
  if (inode?.disk === undefined) return;
  inode.dirty.add(mm.memmap.index[page]!);
  if (!mm.dirtyInodes.has(inode)) {
    inode.dirtyRounds = 0;
    mm.dirtyInodes.add(inode);
    mm.flusherWait.wakeUp();
  }
  mm.nodeStats(page).nr_dirty++;
  mm.nodeStats(page).nr_dirtied++;
}

/** folio_account_cleaned(): of a page that stays, or leaves the cache without being written. */
export function folioAccountCleaned(mm: Mm, inode: Inode, page: Page): void {
  if (inode.disk === undefined || !mm.memmap.test(page, PG_dirty)) return;
  mm.memmap.clear(page, PG_dirty);
  inode.dirty.delete(mm.memmap.index[page]!);
  if (inode.dirty.size === 0) mm.dirtyInodes.delete(inode);
  mm.nodeStats(page).nr_dirty--;
}

/** Reads one page of the disk into memory: 0 or -EIO. Of a hole, the page is zeros as it came. */
export function* readFromDisk(mm: Mm, disk: DiskFile, index: number, page: Page): MaySleep<number> {
  if (!disk.has(index)) return 0;
  yield DISK_IO;
  if (mm.shouldFail('disk_read')) return -EIO;
  mm.port.writeBytes(mm.pageToPa(page), disk.read(index)!);
  mm.events.pgpgin += mm.pageSize / 1024;
  return 0;
}

/** folio_wait_writeback(). */
export function* folioWaitWriteback(mm: Mm, page: Page): MaySleep<void> {
  while (mm.memmap.test(page, PG_writeback)) {
    yield* mm.pageWaitQueue.waitEvent(() => !mm.memmap.test(page, PG_writeback));
  }
}

/** folio_mkclean(): no entry lets anybody store into the page without a fault. */
function* folioMkclean(mm: Mm, page: Page): MaySleep<void> {
  if (mm.memmap.mapcount[page] === 0) return;
  yield* rmapWalk(mm, page, function* (vma, addr): Atomic<boolean> {
    if ((vma.flags & VM_SHARED) === 0) return true;
    const as = vma.mm;
    yield* as.pageTableLock.lock();
    const at = mappedPte(mm, page, vma, addr);
    const pte = at === undefined ? 0n : readPte(mm, at);
    if (at !== undefined && (pteDirty(pte) || pteWrite(pte))) {
      const entry = yield* ptepClearFlush(mm, as, addr, at);
      yield* setPtes(mm, at, pteMkclean(pteWrprotect(entry)));
    }
    as.pageTableLock.unlock();
    return true;
  });
}

/** clear_page_dirty_for_io() and folio_start_writeback() of a locked page; false where it is clean. */
export function* startWriteback(mm: Mm, inode: Inode, page: Page): MaySleep<boolean> {
  if (!mm.memmap.test(page, PG_dirty)) return false;
  yield* folioMkclean(mm, page);
  folioAccountCleaned(mm, inode, page);
  mm.memmap.set(page, PG_writeback);
  mm.nodeStats(page).nr_writeback++;
  return true;
}

/** The device's part, and folio_end_writeback(): 0, or -EIO and the page is dirty again. */
export function* finishWriteback(mm: Mm, inode: Inode, page: Page): MaySleep<number> {
  const index = mm.memmap.index[page]!;
  const fails = mm.shouldFail('disk_write');
  if (!fails) inode.disk!.write(index, mm.port.readBytes(mm.pageToPa(page), mm.pageSize));
  yield DISK_IO;
  mm.memmap.clear(page, PG_writeback);
  mm.nodeStats(page).nr_writeback--;
  mm.pageWaitQueue.wakeUp();
  if (fails) {
    inode.writeError = true;
    folioMarkDirty(mm, page);
    return -EIO;
  }
  mm.nodeStats(page).nr_written++;
  mm.events.pgpgout += mm.pageSize / 1024;
  return 0;
}

/**
 * filemap_fdatawrite_range(): writes what is dirty of pages [first, end) and waits for it.
 *
 * @returns 0, or -EIO where one could not be written (the others were).
 */
export function* filemapWriteAndWait(
  mm: Mm,
  inode: Inode,
  first = 0,
  end = Number.POSITIVE_INFINITY,
): MaySleep<number> {
  let error = 0;
  for (const index of [...inode.dirty].sort((a, b) => a - b)) {
    if (index < first || index >= end) continue;
    const page = inode.pages.get(index);
    if (page === undefined) continue;
    getPage(mm, page);
    yield* folioLock(mm, page);
    yield* folioWaitWriteback(mm, page);
    const started = inode.pages.get(index) === page && (yield* startWriteback(mm, inode, page));
    folioUnlock(mm, page);
    if (started && (yield* finishWriteback(mm, inode, page)) !== 0) error = -EIO;
    yield* putPage(mm, page);
  }
  // Others may be writing pages of the range.
  for (const [index, page] of [...inode.pages]) {
    if (index < first || index >= end || !mm.memmap.test(page, PG_writeback)) continue;
    getPage(mm, page);
    yield* folioWaitWriteback(mm, page);
    yield* putPage(mm, page);
  }
  return error;
}

/** vfs_fsync(): what is written before, or fails to be, since the last call that said so. */
export function* syncFile(mm: Mm, inode: Inode, first?: number, end?: number): MaySleep<number> {
  if (inode.disk === undefined) return 0;
  yield* filemapWriteAndWait(mm, inode, first, end);
  const failed = inode.writeError;
  inode.writeError = false;
  return failed ? -EIO : 0;
}

/** sync(): every file; errors are for fsync() to report. */
export function* syncAll(mm: Mm): MaySleep<void> {
  for (const inode of [...mm.dirtyInodes]) yield* filemapWriteAndWait(mm, inode);
}

/** global_dirtyable_memory(): pages that are free or hold contents of files. */
const dirtyable = (mm: Mm): number =>
  mm.zones.reduce((n, zone) => n + zone.freePages, 0) +
  mm.globalNodeState('nr_file_pages') -
  mm.globalNodeState('nr_shmem');

/** domain_dirty_limits(): vm.dirty_background_ratio or _bytes, and vm.dirty_ratio or _bytes; pages. */
export function dirtyLimits(mm: Mm): { readonly background: number; readonly limit: number } {
  const { sysctl } = mm;
  const pages = ([bytes = 0]: readonly number[], [ratio = 0]: readonly number[]) =>
    bytes > 0 ? Math.ceil(bytes / mm.pageSize) : Math.floor((dirtyable(mm) * ratio) / 100);
  const limit = pages(sysctl.dirtyBytes, sysctl.dirtyRatio);
  const background = pages(sysctl.dirtyBackgroundBytes, sysctl.dirtyBackgroundRatio);
  return { background: background >= limit ? Math.floor(limit / 2) : background, limit };
}

const over = (mm: Mm, which: 'background' | 'limit'): boolean =>
  mm.globalNodeState('nr_dirty') > dirtyLimits(mm)[which];

/** balance_dirty_pages(): whoever makes pages dirty faster than the disk takes them writes some itself. */
export function* balanceDirtyPages(mm: Mm, inode: Inode): MaySleep<void> {
  if (inode.disk === undefined) return;
  if (over(mm, 'background')) mm.wakeFlusher?.();
  if (over(mm, 'limit')) yield* filemapWriteAndWait(mm, inode);
}

/** wb_check_background_flush(): one round, where enough is dirty. */
export function* backgroundFlush(mm: Mm): MaySleep<void> {
  if (over(mm, 'background')) yield* syncAll(mm);
}

/** Where vm.dirty_writeback_centisecs is 0 nobody looks by himself; this is when who is woken looks again. */
const NEVER = 2 ** 31 - 1;

/** wb_check_old_data_flush(): files that have been dirty for dirty_expire_interval. */
function* oldDataFlush(mm: Mm): MaySleep<void> {
  const [interval = 0] = mm.sysctl.dirtyWritebackCentisecs;
  // dirty_expire_interval, in rounds of the flusher.
  const rounds = interval === 0 ? Number.POSITIVE_INFINITY : mm.sysctl.dirtyExpireCentisecs[0]! / interval;
  for (const inode of [...mm.dirtyInodes]) {
    if (++inode.dirtyRounds < rounds) continue;
    inode.dirtyRounds = 0;
    yield* filemapWriteAndWait(mm, inode);
  }
}

/**
 * wb_workfn(): the flusher, for a scheduler to run beside the others. It sleeps for good while nothing is dirty;
 * then looks every five seconds, or when a writer has made too much dirty.
 *
 * @param sleep for so many milliseconds, or until `mm.wakeFlusher` is called.
 */
export function* flusher(mm: Mm, sleep: (milliseconds: number) => MaySleep<void>): MaySleep<void> {
  for (;;) {
    yield* mm.flusherWait.waitEvent(() => mm.dirtyInodes.size > 0);
    const [interval = 0] = mm.sysctl.dirtyWritebackCentisecs;
    yield* sleep(interval === 0 ? NEVER : interval * 10);
    yield* backgroundFlush(mm);
    yield* oldDataFlush(mm);
  }
}
