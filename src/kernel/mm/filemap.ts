/**
 * The page cache: a file's pages in memory, found by (file, index), and who maps them
 * (mm/filemap.c, mm/shmem.c, mm/truncate.c).
 *
 * Three kinds of file. One of RAM (tmpfs, memfd, shared anonymous memory) has no other home than its
 * pages and may hold tags; one with `read` can be read again and is never written; one on disk is read
 * from there and written back (writeback.ts). The cache holds
 * one reference to each page; PG_locked keeps a page in its place while it is being mapped or removed.
 */
import { PA } from '../../base/index.js';
import type { Contexts, MaySleep } from '../contexts/index.js';
import { EINVAL, ENOMEM, RwSemaphore } from '../contexts/index.js';
import { folioMapcount, folioNrPages } from './folio.js';
import { folioLock, folioTrylock, folioUnlock } from './folio-lock.js';
import { __GFP_ZERO, GFP_HIGHUSER_MOVABLE } from './gfp.js';
import { folioAddLru, putPage } from './lru.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import { zapRange } from './mmap.js';
import { allocPages, getPage } from './page-alloc.js';
import { PG_swapbacked, PG_uptodate } from './page-flags.js';
import { type ShmemHuge, shmemAllocHuge, shmemIsHuge } from './shmem-huge.js';
import { shmemFreeSwap, shmemSwapin } from './shmem-swap.js';
import { splitFolio } from './split-folio.js';
import type { FileOptions, MappableFile } from './types.js';
import { VM_MAYWRITE, VM_SHARED, type Vma } from './vma.js';
import {
  balanceDirtyPages,
  DiskFile,
  folioAccountCleaned,
  folioMarkDirty,
  folioWaitWriteback,
  readFromDisk,
} from './writeback.js';

/** struct inode and its struct address_space. */
export class Inode implements MappableFile {
  readonly id: number;
  readonly name: string;
  size: number;
  /** i_pages: pages by index in the file. */
  readonly pages = new Map<number, Page>();
  /** Pages that are on the swap device: their slots. */
  readonly swapped = new Map<number, number>();
  /** i_mmap: VMAs that map some of it. */
  readonly mappings = new Set<Vma>();
  /** i_mmap_rwsem. */
  readonly mmapSemaphore: RwSemaphore;
  readonly read: FileOptions['read'];
  readonly unmapped: FileOptions['unmapped'];
  /** What it has on the disk, for files that are there. */
  readonly disk: DiskFile | undefined;
  /** The `huge=` option of its tmpfs; none of a file of no mount, for which shmem_enabled counts. */
  readonly huge: ShmemHuge | undefined;
  /** Its pages that differ from the disk, by index. */
  readonly dirty = new Set<number>();
  /** Rounds of the flusher that found it dirty. */
  dirtyRounds = 0;
  /** AS_EIO: a page could not be written since somebody was told. */
  writeError = false;
  /** Descriptors and VMAs that refer to it. */
  references = 1;
  /** Bumped when a VMA in `mappings` takes over another's range: a walk under way must look again. */
  generation = 0;

  constructor(contexts: Contexts, id: number, options: FileOptions) {
    this.id = id;
    this.name = options.name;
    this.size = options.size;
    this.read = options.read;
    this.unmapped = options.unmapped;
    this.huge = options.huge;
    this.disk = options.disk === true ? new DiskFile() : undefined;
    this.mmapSemaphore = new RwSemaphore(contexts, 'i_mmap_rwsem');
  }

  /** Nothing but its pages holds its contents: tmpfs and its like. */
  get isShmem(): boolean {
    return this.read === undefined && this.disk === undefined;
  }

  get writableMappings(): number {
    const writable = VM_SHARED | VM_MAYWRITE;
    return [...this.mappings].filter(({ flags }) => (flags & writable) === writable).length;
  }

  get mappingCount(): number {
    return this.mappings.size;
  }

  get cachedPages(): number {
    return this.pages.size;
  }

  /** Whether a page of a file of RAM has contents, in memory or on the swap device. */
  #has(index: number): boolean {
    return this.pages.has(index) || this.swapped.has(index);
  }

  /** mapping_seek_hole_data(): what is on no disk has holes where no page is. */
  nextPage(index: number, there: boolean): number | undefined {
    if (!this.isShmem) return there ? index : undefined;
    let at: number | undefined = index;
    if (!there) {
      while (this.#has(at)) at++;
    } else if (!this.#has(index)) {
      at = undefined;
      for (const each of [...this.pages.keys(), ...this.swapped.keys()]) {
        if (each >= index && (at === undefined || each < at)) at = each;
      }
    }
    return at;
  }
}

/** Page.mapping of a page of a file: the id, with PAGE_MAPPING_ANON clear. */
export const inodeMapping = (inode: Inode): number => inode.id << 1;

/** folio_mapping() for pages of files. */
export function inodeOf(mm: Mm, page: Page): Inode | undefined {
  const mapping = mm.memmap.mapping[mm.memmap.head(page)]!;
  return mapping === 0 || (mapping & 1) === 1 ? undefined : mm.inodes.get(mapping >> 1);
}

/** A new file with one reference, the caller's. */
export function newInode(mm: Mm, options: FileOptions): Inode {
  const inode = new Inode(mm.contexts, mm.nextInodeId++, options);
  mm.inodes.set(inode.id, inode);
  return inode;
}

/** iput(): with the last reference the pages go. */
export function* putInode(mm: Mm, inode: Inode): MaySleep<void> {
  mm.bugOn(inode.references <= 0, `file ${inode.name} is released once too often`);
  if (--inode.references > 0) return;
  yield* truncatePages(mm, inode, 0);
  mm.inodes.delete(inode.id);
}

/** vma_link_file(): the mapping holds a reference. */
export function* linkFile(vma: Vma, inode: Inode): MaySleep<void> {
  vma.file = inode;
  // vma_set_page_prot(): what its entries may do depends on the file.
  vma.flags |= 0;
  inode.references++;
  yield* inode.mmapSemaphore.downWrite();
  inode.mappings.add(vma);
  inode.mmapSemaphore.upWrite();
}

/** unlink_file_vma() and vma_close(). */
export function* unlinkFile(mm: Mm, vma: Vma): MaySleep<void> {
  const inode = vma.file;
  if (inode === undefined) return;
  yield* inode.mmapSemaphore.downWrite();
  inode.mappings.delete(vma);
  inode.mmapSemaphore.upWrite();
  vma.file = undefined;
  inode.unmapped?.();
  yield* putInode(mm, inode);
}

/**
 * shmem_get_folio() and filemap's read path: the page of that index, made or read where it is missing.
 *
 * @param vma the mapping it is for: decides whether it is allocated tagged. None for write() and the like.
 * @returns the page, locked and with a reference, or -ENOMEM (-EIO where the swap device or the disk fails,
 *   -EINVAL where a mapping lies beyond the end of the file by now).
 */
export function* filemapGetFolio(
  mm: Mm,
  inode: Inode,
  index: number,
  vma: Vma | undefined,
): MaySleep<Page | number> {
  for (;;) {
    const cached = inode.pages.get(index);
    if (cached !== undefined) {
      getPage(mm, cached);
      yield* folioLock(mm, cached);
      if (inode.pages.get(index) === cached) return cached;
      // Truncated, or moved elsewhere while we waited.
      folioUnlock(mm, cached);
      yield* putPage(mm, cached);
      continue;
    }
    if (inode.swapped.has(index)) {
      const error = yield* shmemSwapin(mm, inode, index, vma);
      if (error !== 0) return error;
      continue;
    }
    if (shmemIsHuge(mm.thp, inode, index, vma, false)) {
      const huge = yield* shmemAllocHuge(mm, inode, index, vma);
      if (huge === 'again') continue;
      if (huge !== undefined) return yield* stillInside(mm, inode, index, vma, huge);
    }
    const gfp = GFP_HIGHUSER_MOVABLE | __GFP_ZERO;
    const fresh = yield* allocPages(mm, gfp | (vma ? mm.hooks.archCalcVmaGfp(vma, gfp, 'shmem') : 0), 0);
    if (fresh === undefined) return -ENOMEM;
    if (inode.pages.has(index) || inode.swapped.has(index)) {
      yield* putPage(mm, fresh);
      continue;
    }
    folioTrylock(mm, fresh);
    addToPageCache(mm, inode, index, fresh);
    // Whoever finds it meanwhile waits for the lock, and looks again.
    const error = yield* fillFolio(mm, inode, index, fresh);
    if (error !== 0) {
      yield* removeFromPageCache(mm, inode, fresh);
      folioUnlock(mm, fresh);
      yield* putPage(mm, fresh);
      return error;
    }
    yield* folioAddLru(mm, fresh);
    return yield* stillInside(mm, inode, index, vma, fresh);
  }
}

/** read_folio(): the contents of a new, locked page, which is zeros: 0 or -EIO. */
function* fillFolio(mm: Mm, inode: Inode, index: number, page: Page): MaySleep<number> {
  const { cleanPages } = mm.hooks;
  const hasSource = inode.read !== undefined || inode.disk !== undefined;
  if (hasSource && cleanPages !== undefined && (yield* cleanPages.get(inode, index, page))) return 0;
  if (inode.read !== undefined) {
    const offset = index * mm.pageSize;
    const length = Math.max(0, Math.min(mm.pageSize, inode.size - offset));
    if (length > 0) mm.port.writeBytes(mm.pageToPa(page), inode.read(offset, length).subarray(0, length));
  }
  return inode.disk === undefined ? 0 : yield* readFromDisk(mm, inode.disk, index, page);
}

/** A page of a file of RAM that was just made for a mapping: the file may have been truncated since that was looked at. */
function* stillInside(
  mm: Mm,
  inode: Inode,
  index: number,
  vma: Vma | undefined,
  page: Page,
): MaySleep<Page | number> {
  if (vma === undefined || !inode.isShmem || index * mm.pageSize < inode.size) return page;
  const folio = mm.memmap.head(page);
  yield* removeFromPageCache(mm, inode, folio);
  folioUnlock(mm, folio);
  yield* putPage(mm, folio);
  return -EINVAL;
}

/** filemap_add_folio(): the cache's references, one for each page, are new. `index` is the first page's. */
export function addToPageCache(mm: Mm, inode: Inode, index: number, folio: Page): void {
  const { memmap } = mm;
  memmap.mapping[folio] = inodeMapping(inode);
  memmap.index[folio] = index;
  memmap.set(folio, PG_uptodate | (inode.isShmem ? PG_swapbacked : 0));
  const pages = folioNrPages(mm, folio);
  memmap.refcount[folio]! += pages;
  for (let i = 0; i < pages; i++) inode.pages.set(index + i, (folio + i) as Page);
  countCached(mm, inode, folio, pages, pages > 1 ? 1 : 0);
}

/** NR_FILE_PAGES, NR_SHMEM and NR_SHMEM_THPS. */
export function countCached(mm: Mm, inode: Inode, folio: Page, pages: number, huge: number): void {
  const stats = mm.nodeStats(folio);
  stats.nr_file_pages += pages;
  if (!inode.isShmem) return;
  stats.nr_shmem += pages;
  stats.nr_shmem_hugepages += huge;
}

/** filemap_remove_folio(): the folio is locked and unmapped; drops the cache's references. */
export function* removeFromPageCache(mm: Mm, inode: Inode, folio: Page): MaySleep<void> {
  folioAccountCleaned(mm, inode, folio);
  const index = mm.memmap.index[folio]!;
  const pages = folioNrPages(mm, folio);
  for (let i = 0; i < pages; i++) inode.pages.delete(index + i);
  mm.memmap.mapping[folio] = 0;
  countCached(mm, inode, folio, -pages, pages > 1 ? -1 : 0);
  mm.memmap.refcount[folio]! -= pages - 1;
  yield* putPage(mm, folio);
}

/** unmap_mapping_range() from page `first` to the end, private copies included. */
export function* unmapMappingRange(
  mm: Mm,
  inode: Inode,
  first: number,
  end = Number.POSITIVE_INFINITY,
): MaySleep<void> {
  yield* inode.mmapSemaphore.downRead();
  for (const vma of inode.mappings) {
    const start = Math.max(vma.start, vma.start + (first - vma.pgoff) * mm.pageSize);
    const stop = Math.min(vma.end, vma.start + (end - vma.pgoff) * mm.pageSize);
    if (start < stop) yield* zapRange(mm, vma.mm, start, stop);
  }
  inode.mmapSemaphore.upRead();
}

/** truncate_inode_pages(). */
function* truncatePages(mm: Mm, inode: Inode, first: number): MaySleep<void> {
  yield* unmapMappingRange(mm, inode, first);
  yield* shmemFreeSwap(mm, inode, first);
  const kept = new Set<Page>();
  for (const [index, page] of [...inode.pages]) {
    // A large folio goes as one, with its first page.
    if (index < first || inode.pages.get(index) !== page) continue;
    const folio = mm.memmap.head(page);
    if (kept.has(folio)) continue;
    getPage(mm, folio);
    yield* folioLock(mm, folio);
    yield* folioWaitWriteback(mm, folio);
    if (inode.pages.get(index) === page) {
      // A fault may have mapped it again before it was locked.
      if (folioMapcount(mm, folio) > 0) yield* unmapMappingRange(mm, inode, first);
      if (mm.memmap.index[folio]! >= first) yield* removeFromPageCache(mm, inode, folio);
      else if (!(yield* truncatePartialFolio(mm, folio, first))) kept.add(folio);
    }
    folioUnlock(mm, folio);
    yield* putPage(mm, folio);
  }
  inode.disk?.truncate(first);
  const { cleanPages } = mm.hooks;
  if (cleanPages !== undefined) yield* cleanPages.invalidate(inode, first);
}

/**
 * truncate_inode_partial_folio(): the end of a large folio is zeros; split, its pages beyond the end of the file
 * leave the cache.
 */
function* truncatePartialFolio(mm: Mm, folio: Page, first: number): MaySleep<boolean> {
  const keep = first - mm.memmap.index[folio]!;
  const rest = folioNrPages(mm, folio) - keep;
  mm.port.fill(mm.pageToPa((folio + keep) as Page), rest * mm.pageSize, 0);
  return (yield* splitFolio(mm, folio)) === 0;
}

/** truncate_setsize(): pages beyond the new end are gone, and the rest of the last one is zero. */
export function* truncateFile(mm: Mm, inode: Inode, size: number): MaySleep<number> {
  const shrinks = size < inode.size;
  inode.size = size;
  if (!shrinks) return 0;
  yield* truncatePages(mm, inode, Math.ceil(size / mm.pageSize));
  const rest = size % mm.pageSize;
  const index = Math.floor(size / mm.pageSize);
  const isHole = !inode.pages.has(index) && !inode.swapped.has(index) && inode.disk?.has(index) !== true;
  if (rest === 0 || isHole) return 0;
  const last = yield* filemapGetFolio(mm, inode, index, undefined);
  if (last < 0) return last;
  mm.port.fill(PA(mm.pageToPa(last as Page) + rest), mm.pageSize - rest, 0);
  folioMarkDirty(mm, last as Page);
  folioUnlock(mm, last as Page);
  yield* putPage(mm, last as Page);
  return 0;
}

/** generic_file_read_iter(): up to `length` bytes from `offset`; short at the end of the file. */
export function* readFile(mm: Mm, inode: Inode, offset: number, length: number): MaySleep<Uint8Array> {
  const out = new Uint8Array(Math.max(0, Math.min(length, inode.size - offset)));
  for (let done = 0; done < out.length; ) {
    const at = offset + done;
    const within = at % mm.pageSize;
    const chunk = Math.min(out.length - done, mm.pageSize - within);
    const index = Math.floor(at / mm.pageSize);
    // A hole of a file of RAM reads as zeros and stays a hole.
    if (!inode.isShmem || inode.pages.has(index) || inode.swapped.has(index)) {
      const page = yield* filemapGetFolio(mm, inode, index, undefined);
      if (page < 0) return out.subarray(0, done);
      out.set(mm.port.readBytes(PA(mm.pageToPa(page as Page) + within), chunk), done);
      folioUnlock(mm, page as Page);
      yield* putPage(mm, page as Page);
    }
    done += chunk;
  }
  return out;
}

/** generic_perform_write() to a file of RAM or on disk; it grows as needed. Bytes written, -ENOMEM, -EIO, or -EINVAL. */
export function* writeFile(mm: Mm, inode: Inode, offset: number, data: Uint8Array): MaySleep<number> {
  if (inode.read !== undefined) return -EINVAL;
  for (let done = 0; done < data.length; ) {
    const at = offset + done;
    const within = at % mm.pageSize;
    const chunk = Math.min(data.length - done, mm.pageSize - within);
    const page = yield* filemapGetFolio(mm, inode, Math.floor(at / mm.pageSize), undefined);
    if (page < 0) return done > 0 ? done : page;
    mm.port.writeBytes(PA(mm.pageToPa(page as Page) + within), data.subarray(done, done + chunk));
    folioMarkDirty(mm, page as Page);
    done += chunk;
    inode.size = Math.max(inode.size, offset + done);
    folioUnlock(mm, page as Page);
    yield* putPage(mm, page as Page);
    yield* balanceDirtyPages(mm, inode);
  }
  return data.length;
}
