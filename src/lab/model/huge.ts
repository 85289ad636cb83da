/**
 * What random programs do with huge pages: blocks that are mapped whole, moved, collapsed, split, and taken away from
 * the hardware for a while. On a machine with little memory none of it happens.
 */
import { VA } from '../../base/index.js';
import type { MaySleep, MmStruct, Page } from '../../kernel/index.js';
import {
  changeProtNuma,
  EAGAIN,
  EBUSY,
  EINVAL,
  ENOMEM,
  isLarge,
  MADV_COLLAPSE,
  MADV_HUGEPAGE,
  nextPteRun,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  splitFolioUnlocked,
  unusedPages,
} from '../../kernel/index.js';
import type { World } from '../scenarios/index.js';
import type { Reached } from './commands.js';
import { freshPage, type Process } from './shadow.js';

const MAP_PRIVATE_ANON = 0x22;
const MAP_SHARED_ANON = 0x21;
const MREMAP_MAYMOVE_FIXED = 3;
/** Blocks that must be free before any is mapped. */
const ROOM = 4;
/** Blocks that a process may have. */
const MOST_BLOCKS = 2;

const va = (addr: number): VA => VA(BigInt(addr));

type Expect = (holds: boolean, invariant: string, otherwise: () => string) => void;

/** A machine as far as huge pages go, and the rules of the model. */
export class HugeWorld {
  readonly k: World;
  /** Pages of a block; 0 on a machine without room for them. */
  readonly pages: number;
  readonly block: number;
  /** Pages that a process may have in all. */
  readonly maxPages: number;
  readonly expect: Expect;
  /** Told what was not only tried. */
  readonly reached: (what: Reached) => void;

  constructor(k: World, smallPages: number, expect: Expect, reached: (what: Reached) => void) {
    const { entriesPerTable } = k.mm.layout;
    const roomy = unusedPages(k.mm) >= ROOM * entriesPerTable;
    this.k = k;
    this.expect = expect;
    this.reached = reached;
    this.pages = roomy ? entriesPerTable : 0;
    this.block = entriesPerTable * k.pageSize;
    this.maxPages = smallPages + MOST_BLOCKS * this.pages;
    // So that MADV_HUGEPAGE means something to shared mappings, too.
    if (roomy) k.mm.thp.shmemEnabled = 'advise';
  }
}

/** A mapping of exactly one block, at an address where a huge page fits: its address, or a negative errno. */
function* mapBlock(w: HugeWorld, p: Process, prot: number, flags: number): MaySleep<number> {
  const { manager } = w.k;
  const { as } = p.user;
  const addr = yield* manager.mmap(as, { addr: va(0), length: 2 * w.block, prot, flags });
  if (addr < 0) return addr;
  const at = Math.ceil(addr / w.block) * w.block;
  let error = at > addr ? yield* manager.munmap(as, va(addr), at - addr) : 0;
  const rest = addr + w.block - at;
  if (error === 0 && rest > 0) error = yield* manager.munmap(as, va(at + w.block), rest);
  if (error === 0) return at;
  yield* manager.munmap(as, va(addr), 2 * w.block);
  return error;
}

/** The first block that the process has goes. */
function* unmapBlock(w: HugeWorld, p: Process): MaySleep<void> {
  const { manager, pageSize } = w.k;
  const has = (from: number) => Array.from({ length: w.pages }, (_, i) => from + i * pageSize);
  const at = [...p.pages.keys()].find(
    (addr) => addr % w.block === 0 && has(addr).every((page) => p.pages.has(page)),
  );
  if (at === undefined) return;
  const result = yield* manager.munmap(p.user.as, va(at), w.block);
  w.expect(result === 0, 'munmap', () => `munmap of a block: ${result}`);
  if (result === 0) for (const page of has(at)) p.pages.delete(page);
}

/** A block of private or shared memory, tagged or not, that asks for huge pages or does not yet. */
export function* mmapHuge(w: HugeWorld, p: Process, c: number): MaySleep<void> {
  if (w.pages === 0) return;
  const { manager, pageSize } = w.k;
  if (p.pages.size + w.pages > w.maxPages) yield* unmapBlock(w, p);
  if (p.pages.size + w.pages > w.maxPages) return;
  const mte = (c & 1) === 1;
  const shared = c % 5 === 4;
  const prot = PROT_READ | PROT_WRITE;
  const flags = shared ? MAP_SHARED_ANON : MAP_PRIVATE_ANON;
  const at = yield* mapBlock(w, p, prot | (mte ? PROT_MTE : 0), flags);
  w.expect(at > 0, 'mmap', () => `mmap of a block: ${at}`);
  if (at < 0) return;
  for (let i = 0; i < w.pages; i++) p.pages.set(at + i * pageSize, freshPage(pageSize, prot, mte, shared));
  if (c % 3 === 0) return;
  const result = yield* manager.madvise(p.user.as, va(at), w.block, MADV_HUGEPAGE);
  w.expect(result === 0, 'madvise', () => `MADV_HUGEPAGE: ${result}`);
}

const blockOf = (w: HugeWorld, addr: number): number => addr - (addr % w.block);

/** A whole block of private memory to another block. */
export function* mremapHuge(w: HugeWorld, p: Process, addr: number | undefined): MaySleep<void> {
  if (w.pages === 0 || addr === undefined) return;
  const { manager, pageSize } = w.k;
  const from = blockOf(w, addr);
  const moved = Array.from({ length: w.pages }, (_, i) => p.pages.get(from + i * pageSize));
  if (moved.some((page) => page === undefined || page.shared)) return;
  const to = yield* mapBlock(w, p, PROT_READ, MAP_PRIVATE_ANON);
  if (to < 0) return;
  const result = yield* manager.mremap(p.user.as, va(from), w.block, w.block, MREMAP_MAYMOVE_FIXED, va(to));
  if (result < 0) {
    // Of several mappings, or out of memory: nothing moved.
    yield* manager.munmap(p.user.as, va(to), w.block);
    return;
  }
  for (const [i, page] of moved.entries()) {
    p.pages.delete(from + i * pageSize);
    p.pages.set(to + i * pageSize, page!);
  }
}

/** Blocks of the process that are one mapping, may be huge, and are not: what a collapse is for. */
function collapsible(w: HugeWorld, p: Process): number[] {
  const { hooks } = w.k.mm;
  const { vmas } = p.user.as as MmStruct;
  const blocks: number[] = [];
  for (const addr of p.pages.keys()) {
    if (addr % w.block !== 0) continue;
    const vma = vmas.lookup(addr);
    if (vma === undefined || vma.end < addr + w.block || vma.file !== undefined) continue;
    if (!hooks.archHugepageVmaRevalidate(vma, 'scan') || isHuge(w, p, addr)) continue;
    blocks.push(addr);
  }
  return blocks;
}

/** Whether one entry maps the block. */
const isHuge = (w: HugeWorld, p: Process, addr: number): boolean =>
  nextPteRun(w.k.mm, p.user.as as MmStruct, addr, addr + w.block)?.huge === true;

/** MADV_COLLAPSE of a block that it may make huge; or, now and then, of the one an address is in, whatever is of it. */
export function* collapse(w: HugeWorld, p: Process, addr: number | undefined, c: number): MaySleep<void> {
  if (w.pages === 0 || addr === undefined) return;
  const blocks = c % 4 === 0 ? [] : collapsible(w, p);
  const block = blocks[c % Math.max(1, blocks.length)] ?? blockOf(w, addr);
  const before = isHuge(w, p, block);
  const result = yield* w.k.manager.madvise(p.user.as, va(block), w.block, MADV_COLLAPSE);
  if (result === 0 && !before) w.reached('collapse');
  const known = [0, -EINVAL, -EAGAIN, -ENOMEM, -EBUSY];
  w.expect(known.includes(result), 'madvise', () => `MADV_COLLAPSE: ${result}`);
}

/** The folio of a page, if it is a large one. */
export function* split(w: HugeWorld, page: Page | undefined): MaySleep<void> {
  const { mm } = w.k;
  const head = page === undefined ? undefined : mm.memmap.head(page);
  if (head === undefined || !isLarge(mm, head)) return;
  if (yield* splitFolioUnlocked(mm, head)) w.reached('split');
}

/** task_numa_work(): the hardware may not use some entries from this page on until somebody faults. */
export function* numaHint(w: HugeWorld, p: Process, addr: number | undefined, pages: number): MaySleep<void> {
  if (w.pages === 0 || addr === undefined) return;
  const as = p.user.as as MmStruct;
  yield* as.mmapLock.downRead();
  const vma = as.vmas.lookup(addr);
  if (vma?.accessible === true) {
    yield* changeProtNuma(w.k.mm, vma, addr, Math.min(vma.end, addr + pages * w.k.pageSize));
  }
  as.mmapLock.upRead();
}
