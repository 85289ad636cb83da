/**
 * Hibernation: memory is written to the swap device, power goes, and comes back with memory as it was
 * (kernel/power/{hibernate,snapshot,swap}.c).
 *
 * What is allocated is copied to pages taken for that, and the copies are written with a list of where each
 * belongs; nothing of it is remembered but what stands on the device. When power is back, every page gets its
 * contents again. Tags are not data: they are copied into buffers of kernel memory first, which are in the image
 * like everything else, and written back to their pages at the end (arch/arm64/kernel/hibernate.c); the pages that
 * hold tags must not be in it.
 *
 * All tasks are frozen meanwhile; the copying itself is one step, as with all other CPUs off. The kernel's own data
 * that is no guest memory here (objects of this program) outlives the loss of power, as it would inside the image.
 */
import { PA } from '../../base/index.js';
import type { MaySleep } from '../contexts/index.js';
import { EBUSY, EIO, ENODEV, ENOMEM, ENOSPC, immediately, sleepPoint } from '../contexts/index.js';
import { folioNrPages } from './folio.js';
import { __GFP_NOWARN, GFP_HIGHUSER_MOVABLE, GFP_KERNEL } from './gfp.js';
import { lruAddDrainAll } from './lru.js';
import type { Page } from './memmap.js';
import type { Mm } from './mm.js';
import { allocPages, freePages } from './page-alloc.js';
import { PG_arch_1, PG_buddy, PG_pcp, PG_reserved } from './page-flags.js';
import type { SwapDevice, SwapEntry } from './swap.js';
import type { PhysRange } from './types.js';
import { tryToFreePages } from './vmscan.js';
import { syncAll } from './writeback.js';
import { ZONE_MOVABLE } from './zone.js';

/** What the architecture does about tags (swsusp_mte_save_tags() and swsusp_mte_restore_tags()). */
export interface HibernationHooks {
  /** False for pages whose contents come back in another way: blocks that hold tags. */
  isSaveable(page: Page): boolean;
  /** Memory without struct pages in use that loses its contents too: tag storage that is not lent. */
  readonly tagRanges: readonly PhysRange[];
  /** Buffers for the tags there are now; 0 or -ENOMEM. */
  prepare(): MaySleep<number>;
  /** Copies all tags; false where that takes more buffers. */
  saveTags(): boolean;
  /** Power is back, and nothing in the caches is worth keeping. */
  beforeRestore(): void;
  /** Data is back where it was. */
  restoreTags(): void;
  /** Gives the buffers back. */
  finish(): MaySleep<void>;
}

const DISK_IO = sleepPoint('disk I/O');
const GFP_IMAGE = GFP_KERNEL | __GFP_NOWARN;
/** Rounds in which memory changes while room for it is being made. */
const MOST_ROUNDS = 20;
const ENTRY_BYTES = 8;
/** "S1SUSPEND" in the first page of an image (struct swsusp_info). */
const SIGNATURE = 0x53_31_53_55_53_50_4en;

/** What goes when power does: the ranges' contents, and everything in the caches. */
export type PowerCycle = (lost: readonly PhysRange[]) => void;

/** Stops tasks where they hold nothing (kernel/power/process.c); each false where one cannot be stopped. */
export interface Freezer {
  freezeProcesses(): MaySleep<boolean>;
  freezeKernelThreads(): MaySleep<boolean>;
  thaw(): void;
}

/** Where nothing else runs anyway. */
const NOBODY: Freezer = {
  freezeProcesses: () => immediately(true),
  freezeKernelThreads: () => immediately(true),
  thaw() {},
};

/** saveable_page(), of every page frame. */
function* saveablePages(mm: Mm, copies: ReadonlySet<Page>): IterableIterator<Page> {
  const { memmap: map, hooks } = mm;
  for (let at = 0; at < map.pages; ) {
    const page = at as Page;
    if (map.test(page, PG_buddy)) {
      at += 1 << map.order[page]!;
      continue;
    }
    const head = map.head(page);
    const end = head === page ? at + folioNrPages(mm, head) : at + 1;
    const inUse = map.refcount[head]! > 0 && !map.test(page, PG_pcp | PG_reserved);
    for (; at < end; at++) {
      const each = at as Page;
      if (inUse && !copies.has(each) && hooks.hibernation.isSaveable(each)) yield each;
    }
  }
}

/** One page's copy of a page of memory. */
interface Copied {
  readonly pfn: number;
  readonly copy: Page;
}

/**
 * swsusp_save(): copies what is to be saved. In one step.
 *
 * @returns undefined where there are more pages than copies, or more tags than buffers.
 */
function copyMemory(mm: Mm, copies: readonly Page[]): Copied[] | undefined {
  if (!mm.hooks.hibernation.saveTags()) return undefined;
  const copied: Copied[] = [];
  for (const page of saveablePages(mm, new Set(copies))) {
    const copy = copies[copied.length];
    if (copy === undefined) return undefined;
    mm.port.copy(mm.pageToPa(copy), mm.pageToPa(page), mm.pageSize);
    copied.push({ pfn: mm.memmap.pageToPfn(page), copy });
  }
  return copied;
}

/** hibernate_preallocate_memory(): copies for everything, for which reclaim may have to make room. */
function* preallocate(mm: Mm, copies: Page[]): MaySleep<number> {
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const error = yield* mm.hooks.hibernation.prepare();
    if (error !== 0) return error;
    let missing = -copies.length;
    for (const _ of saveablePages(mm, new Set(copies))) missing++;
    if (missing <= 0) return 0;
    for (; missing > 0; missing--) {
      const copy = yield* allocPages(mm, GFP_IMAGE, 0);
      if (copy === undefined) return -ENOMEM;
      copies.push(copy);
    }
  }
  return -ENOMEM;
}

/** Numbers as a page of the device has them. */
function packed(mm: Mm, numbers: readonly (number | bigint)[]): Uint8Array {
  const page = new Uint8Array(mm.pageSize);
  const view = new DataView(page.buffer);
  for (const [i, number] of numbers.entries()) view.setBigUint64(i * ENTRY_BYTES, BigInt(number), true);
  return page;
}

function unpacked(page: Uint8Array): bigint[] {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  return Array.from({ length: page.length / ENTRY_BYTES }, (_, i) =>
    view.getBigUint64(i * ENTRY_BYTES, true),
  );
}

const chunks = <T>(all: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));

/**
 * swsusp_write(): info, page frame numbers and data, each page in a slot of its own; maps of those slots, of which
 * each ends with the next one's.
 *
 * @returns the first map's slot, or -ENOSPC or -EIO; `taken` has every slot in any case.
 */
function* writeImage(
  mm: Mm,
  swap: SwapDevice,
  copied: readonly Copied[],
  taken: SwapEntry[],
): MaySleep<number> {
  const perPage = mm.pageSize / ENTRY_BYTES;
  const write = function* (page: Uint8Array): MaySleep<number> {
    yield DISK_IO;
    const slot = swap.takeSlot();
    if (slot === undefined) return -ENOSPC;
    taken.push(slot);
    if (mm.shouldFail('swap_write')) return -EIO;
    swap.write(slot, page);
    return slot;
  };
  const slots: number[] = [];
  const info = packed(mm, [SIGNATURE, copied.length, mm.pageSize]);
  const lists = chunks(copied, perPage).map((part) =>
    packed(
      mm,
      part.map(({ pfn }) => pfn),
    ),
  );
  for (const page of [info, ...lists]) slots.push(yield* write(page));
  for (const { copy } of copied) {
    if (slots.at(-1)! < 0) break;
    slots.push(yield* write(mm.port.readBytes(mm.pageToPa(copy), mm.pageSize)));
  }
  const error = slots.find((slot) => slot < 0);
  if (error !== undefined) return error;
  // From the last to the first, so that each knows the next. Slots count from 1, for 0 is the end.
  let next = 0;
  for (const part of chunks(slots, perPage - 1).toReversed()) {
    const entries = [
      ...part.map((slot) => slot + 1),
      ...new Array<number>(perPage - 1 - part.length).fill(0),
      next,
    ];
    const slot = yield* write(packed(mm, entries));
    if (slot < 0) return slot;
    next = slot + 1;
  }
  return next - 1;
}

/** swsusp_read() and the copying back: everything comes from the device. */
function restoreImage(mm: Mm, swap: SwapDevice, first: number): number {
  const read = (slot: number): Uint8Array => {
    const page = swap.contents(slot);
    mm.bugOn(page === undefined, 'PM: a page of the image is not on the device');
    return page!;
  };
  const slots: number[] = [];
  for (let map = first + 1; map !== 0; ) {
    const entries = unpacked(read(map - 1)).map(Number);
    map = entries.pop()!;
    slots.push(...entries.filter((entry) => entry !== 0).map((entry) => entry - 1));
  }
  const [signature, pages] = unpacked(read(slots[0]!));
  mm.bugOn(signature !== SIGNATURE, 'PM: no image on the swap device');
  const count = Number(pages);
  const lists = Math.ceil((count * ENTRY_BYTES) / mm.pageSize);
  const pfns = slots.slice(1, 1 + lists).flatMap((slot) => unpacked(read(slot)).map(Number));
  mm.port.fill(mm.pageToPa(mm.zeroPage), mm.pageSize, 0);
  for (let i = 0; i < count; i++) {
    const pa = PA(pfns[i]! * mm.pageSize);
    mm.port.writeBytes(pa, read(slots[1 + lists + i]!));
    const page = mm.memmap.pfnToPage(pfns[i]!);
    if (page !== undefined && mm.memmap.test(page, PG_arch_1)) mm.port.icacheInval(pa, mm.pageSize);
  }
  return count;
}

/** Everything the page allocator ever gives out, the zero page, and tag storage. */
function lostRanges(mm: Mm): PhysRange[] {
  const { memmap: map } = mm;
  const out: { base: PA; size: number }[] = [];
  for (let page = 0 as Page; page < map.pages; page = (page + 1) as Page) {
    if (map.test(page, PG_reserved) && page !== mm.zeroPage) continue;
    const pa = mm.pageToPa(page);
    const last = out.at(-1);
    if (last !== undefined && last.base + last.size === pa) last.size += mm.pageSize;
    else out.push({ base: pa, size: mm.pageSize });
  }
  return [...out, ...mm.hooks.hibernation.tagRanges];
}

/** Number of pages that an image would have. */
function saveableCount(mm: Mm): number {
  let pages = 0;
  for (const _ of saveablePages(mm, new Set())) pages++;
  return pages;
}

/** shrink_all_memory(): reclaims until the image would be no larger than /sys/power/image_size, or nothing helps. */
function* shrinkToImageSize(mm: Mm): MaySleep<void> {
  const most = Math.floor(mm.imageSize / mm.pageSize);
  while (saveableCount(mm) > most && (yield* tryToFreePages(mm, GFP_HIGHUSER_MOVABLE, ZONE_MOVABLE)) > 0);
}

/**
 * hibernate() and what follows when power is back. Programs are frozen first, the kernel's threads once there is room
 * for the copies; writing takes its time, and nobody notices.
 *
 * @returns 0; -ENODEV without swap, -ENOSPC where the image does not fit, -ENOMEM where there is no room for the
 *   copies, -EBUSY where a task cannot be frozen, -EIO where the device failed: then nothing has happened.
 */
export function* hibernate(mm: Mm, powerCycle: PowerCycle, freezer: Freezer = NOBODY): MaySleep<number> {
  if (mm.swap === undefined) return -ENODEV;
  mm.log('PM: hibernation: hibernation entry');
  yield* syncAll(mm);
  if (!(yield* freezer.freezeProcesses())) {
    mm.log('PM: Freezing of tasks failed');
    return -EBUSY;
  }
  const result = yield* hibernateFrozen(mm, mm.swap, powerCycle, freezer);
  freezer.thaw();
  mm.log('PM: hibernation: hibernation exit');
  return result;
}

/** hibernation_snapshot(), swsusp_write() and software_resume(); programs do not run. */
function* hibernateFrozen(
  mm: Mm,
  swap: SwapDevice,
  powerCycle: PowerCycle,
  freezer: Freezer,
): MaySleep<number> {
  yield* lruAddDrainAll(mm);
  yield* shrinkToImageSize(mm);
  const copies: Page[] = [];
  let result = yield* preallocate(mm, copies);
  if (result === 0 && !(yield* freezer.freezeKernelThreads())) result = -EBUSY;
  let copied = result === 0 ? copyMemory(mm, copies) : undefined;
  for (let round = 0; result === 0 && copied === undefined; round++) {
    result = round < MOST_ROUNDS ? yield* preallocate(mm, copies) : -ENOMEM;
    if (result === 0) copied = copyMemory(mm, copies);
  }
  if (result === 0 && copied !== undefined) {
    const taken: SwapEntry[] = [];
    const first = yield* writeImage(mm, swap, copied, taken);
    if (first >= 0) {
      mm.log(`PM: hibernation: image of ${copied.length} pages written`);
      powerCycle(lostRanges(mm));
      mm.hooks.hibernation.beforeRestore();
      const restored = restoreImage(mm, swap, first);
      mm.hooks.hibernation.restoreTags();
      for (const as of mm.addressSpaces) mm.tlb.flushTlbMm(as.asid);
      mm.log(`PM: hibernation: ${restored} pages restored`);
    } else {
      result = first;
    }
    for (const slot of taken) swap.giveBack(slot);
  }
  for (const copy of copies) yield* freePages(mm, copy, 0);
  yield* mm.hooks.hibernation.finish();
  return result;
}
