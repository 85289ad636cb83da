/**
 * A machine, the processes of a random program, and what each command does to both: to the kernel through its
 * memory manager, and to the shadow of every byte and tag.
 *
 * Every operation is a kernel task: alone it runs to its end, together with others it is interrupted wherever
 * the kernel can be. An access and its effect on the shadow are one step, as a load or a store is.
 */
import { VA } from '../../base/index.js';
import type { MaySleep, MmStruct, Page, PhysicalMapping } from '../../kernel/index.js';
import {
  allocLike,
  allocPages,
  balancePgdat,
  EAGAIN,
  EINVAL,
  ENOMEM,
  FOLL_LONGTERM,
  FOLL_PIN,
  FOLL_WRITE,
  folioIsolateLru,
  folioPutbackLru,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  getPage,
  getUserPage,
  KSM_RUN_UNMERGE,
  khugepagedDoScan,
  ksmDoScan,
  lruAddDrainAll,
  MADV_DONTNEED,
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
  migratePages,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  putPage,
  sleepPoint,
  tryToCompactPages,
  tryToFreePages,
  unpinUserPage,
  VM_LOCKED,
} from '../../kernel/index.js';
import { Broken, type World } from '../scenarios/index.js';
import type { Op, Reached, Step } from './commands.js';
import { collapse, HugeWorld, mmapHuge, mremapHuge, numaHint, split } from './huge.js';
import {
  compareProcess,
  expectContent,
  forkedPages,
  freshPage,
  type Process,
  type ShadowPage,
  setTag,
} from './shadow.js';

const MAX_PROCESSES = 4;
const MAX_PAGES = 96;
const MAX_PINS = 6;
/** Faults at one address after which an access that nobody's pin explains makes no progress. */
const MOST_FAULTS = 60;
/** The same where somebody's pin may explain it: the page and its tag block are both pinned. */
const FEW_FAULTS = 20;
const MAP_PRIVATE_ANON = 0x22;
const MAP_SHARED_ANON = 0x21;
const MREMAP_MAYMOVE = 1;
/** An order that compaction has to work for. */
const COMPACT_ORDER = 3;
const ALL_ZONES = 2;
/** Rounds after which pages that stay equal are merged. */
const KSM_ROUNDS = 3;

const USER = sleepPoint('user code');

const va = (addr: number): VA => VA(BigInt(addr));

export class Model {
  readonly k: World;
  readonly processes: Process[];
  /** What lets go of each pin. */
  readonly #pins: (() => MaySleep<void>)[] = [];
  /** Operations of the kernel are made to fail: what is allowed may fail now and then. */
  injecting = false;
  readonly #zeroTags: Uint8Array;
  readonly #huge: HugeWorld;
  readonly #reached: Record<Reached, number> = {
    collapse: 0,
    split: 0,
    merge: 0,
    swapOut: 0,
    swapIn: 0,
    migrate: 0,
    fork: 0,
    pin: 0,
  };

  constructor(k: World) {
    this.k = k;
    this.#zeroTags = new Uint8Array(k.pageSize / 32);
    this.processes = [{ user: k.program(), pages: new Map() }];
    this.#huge = new HugeWorld(
      k,
      MAX_PAGES,
      (holds, invariant, otherwise) => this.#expect(holds || this.injecting, invariant, otherwise),
      (what) => this.#reach(what),
    );
  }

  #reach(what: Reached, times = 1): void {
    this.#reached[what] += times;
  }

  /** How often what came about. */
  get reached(): Readonly<Record<Reached, number>> {
    const { pswpout, pswpin } = this.k.mm.events;
    return { ...this.#reached, swapOut: pswpout, swapIn: pswpin };
  }

  /** The process that a command is about. */
  processOf(step: Step): Process {
    return this.processes[step.a % this.processes.length]!;
  }

  /**
   * What a command does, as a task.
   *
   * @throws Broken where memory is not what it must be.
   */
  task(step: Step): MaySleep<void> {
    const p = this.processOf(step);
    const { b, c } = step;
    const actions: Record<Op, () => MaySleep<void>> = {
      mmap: () => this.#mmap(p, false, 1 + (b % 12), c),
      mmapMte: () => this.#mmap(p, true, 1 + (b % 12), c),
      mmapShared: () => this.#mmap(p, c % 3 === 0, 1 + (b % 6), c, true),
      munmap: () => this.#munmap(p, b, 1 + (c % 6)),
      mprotect: () => this.#mprotect(p, false, b, c),
      mprotectMte: () => this.#mprotect(p, true, b, c),
      write: () => this.#write(p, b, c),
      writeMany: () => repeat(24, (i) => this.#write(p, b + i, c + i * 64)),
      tag: () => this.#tag(p, b, c),
      tagMany: () => repeat(12, (i) => this.#tag(p, b + i, c + i * 7)),
      read: () => this.#read(p, b),
      dontneed: () => this.#dontneed(p, b, 1 + (c % 4)),
      fork: () => this.#fork(p),
      exit: () => this.#exit(p),
      migrate: () => this.#migrate(p, b, (c & 1) === 1),
      pin: () => this.#pin(p, b, c),
      unpin: () => this.#unpin(),
      reclaim: () => this.#reclaim(1 + (b % 3)),
      compact: () => this.#compact(),
      pressure: () => this.#pressure(),
      mremap: () => this.#mremap(p, b),
      mlock: () => this.#mlock(p, b, 1 + (c % 8), false),
      mlockOnFault: () => this.#mlock(p, b, 1 + (c % 8), true),
      munlock: () => this.#munlock(p, b, 1 + (c % 8)),
      mergeable: () => this.#mergeable(p, b, c),
      ksm: () => this.#ksm(c),
      mmapHuge: () => mmapHuge(this.#huge, p, c),
      mremapHuge: () => mremapHuge(this.#huge, p, this.#pageAt(p, b)?.[0]),
      collapse: () => collapse(this.#huge, p, this.#pageAt(p, b)?.[0], c),
      khugepaged: () => khugepagedDoScan(this.k.mm),
      split: () => split(this.#huge, this.#mapped(p, b)),
      numaHint: () => numaHint(this.#huge, p, this.#pageAt(p, b)?.[0], 1 + (c % 40)),
    };
    return actions[step.op]();
  }

  #pageAt(p: Process, index: number): [number, ShadowPage] | undefined {
    if (p.pages.size === 0) return undefined;
    // All over the blocks, where there are any.
    const at = p.pages.size > MAX_PAGES ? index * 97 : index;
    const addr = [...p.pages.keys()][at % p.pages.size]!;
    return [addr, p.pages.get(addr)!];
  }

  #expect(holds: boolean, invariant: string, otherwise: () => string): void {
    if (!holds) throw new Broken(invariant, otherwise());
  }

  // ---- mappings ------------------------------------------------------------------------------------

  *#mmap(p: Process, mte: boolean, pages: number, c: number, shared = false): MaySleep<void> {
    const { manager, pageSize } = this.k;
    if (p.pages.size + pages > this.#huge.maxPages) return;
    const prot = c % 5 === 0 ? PROT_READ : PROT_READ | PROT_WRITE;
    const addr = yield* manager.mmap(p.user.as, {
      addr: va(0),
      length: pages * pageSize,
      prot: prot | (mte ? PROT_MTE : 0),
      flags: shared ? MAP_SHARED_ANON : MAP_PRIVATE_ANON,
    });
    this.#expect(addr > 0 || this.injecting, 'mmap', () => `mmap of ${pages} pages: ${addr}`);
    if (addr < 0) return;
    for (let i = 0; i < pages; i++) {
      const at = addr + i * pageSize;
      this.#expect(!p.pages.has(at), 'mmap', () => `0x${at.toString(16)} was mapped already`);
      p.pages.set(at, freshPage(pageSize, prot, mte, shared));
    }
  }

  *#munmap(p: Process, b: number, pages: number): MaySleep<void> {
    const at = this.#pageAt(p, b);
    if (!at) return;
    const { manager, pageSize } = this.k;
    const result = yield* manager.munmap(p.user.as, va(at[0]), pages * pageSize);
    this.#expect(result === 0 || this.injecting, 'munmap', () => `munmap: ${result}`);
    if (result !== 0) return;
    for (let i = 0; i < pages; i++) p.pages.delete(at[0] + i * pageSize);
  }

  *#mprotect(p: Process, mte: boolean, b: number, c: number): MaySleep<void> {
    const at = this.#pageAt(p, b);
    if (!at) return;
    const { manager, pageSize } = this.k;
    let pages = 1;
    while (pages < 1 + (c % 6) && p.pages.has(at[0] + pages * pageSize)) pages++;
    const prot = [PROT_READ | PROT_WRITE, PROT_READ, PROT_READ | PROT_WRITE, 0][(c >> 3) % 4]!;
    const wanted = prot | (mte ? PROT_MTE : 0);
    const result = yield* manager.mprotect(p.user.as, va(at[0]), pages * pageSize, wanted);
    this.#expect(result === 0 || this.injecting, 'mprotect', () => `mprotect: ${result}`);
    if (result !== 0) return;
    for (let i = 0; i < pages; i++) {
      const page = p.pages.get(at[0] + i * pageSize)!;
      page.prot = prot;
      page.mte ||= mte;
    }
  }

  *#dontneed(p: Process, b: number, pages: number): MaySleep<void> {
    const at = this.#pageAt(p, b);
    if (!at) return;
    const { manager, pageSize } = this.k;
    const result = yield* manager.madvise(p.user.as, va(at[0]), pages * pageSize, MADV_DONTNEED);
    // A hole in the range is -ENOMEM, at the end; what is locked is -EINVAL, and there it stops.
    const known = result === 0 || result === -ENOMEM || result === -EINVAL;
    this.#expect(known, 'madvise', () => `MADV_DONTNEED: ${result}`);
    for (let i = 0; i < pages; i++) {
      const page = p.pages.get(at[0] + i * pageSize);
      if (page !== undefined && this.#isLocked(p, at[0] + i * pageSize)) break;
      if (page === undefined || page.shared) continue;
      page.content.data.fill(0);
      page.content.tags.fill(0);
    }
  }

  *#mremap(p: Process, b: number): MaySleep<void> {
    const at = this.#pageAt(p, b);
    if (!at) return;
    const [addr, page] = at;
    // Beyond the end of the nameless file that backs it there is nothing.
    if (page.shared) return;
    const { manager, pageSize: size } = this.k;
    const target = yield* manager.mremap(p.user.as, va(addr), size, size * 2, MREMAP_MAYMOVE, va(0));
    if (target < 0) return;
    p.pages.delete(addr);
    p.pages.set(target, page);
    p.pages.set(target + size, freshPage(size, page.prot, page.mte));
  }

  /** Pages that KSM may merge, or may not any more; they get equal contents, so that there is something to merge. */
  *#mergeable(p: Process, b: number, c: number): MaySleep<void> {
    const at = this.#pageAt(p, b);
    if (!at) return;
    const { manager, memory, pageSize } = this.k;
    const { data } = at[1].content;
    let pages = 1;
    for (; pages < 1 + (c % 7); pages++) {
      const addr = at[0] + pages * pageSize;
      const page = p.pages.get(addr);
      if (page === undefined || page.shared) break;
      const mapping = yield* this.#access(p, addr, page, true);
      if (!mapping) continue;
      memory.writeBytes(mapping.pa, data);
      page.content.data.set(data);
    }
    const advice = c % 5 === 0 ? MADV_UNMERGEABLE : MADV_MERGEABLE;
    const result = yield* manager.madvise(p.user.as, va(at[0]), pages * pageSize, advice);
    this.#expect(result === 0 || result === -ENOMEM, 'madvise', () => `advice ${advice}: ${result}`);
  }

  #isLocked(p: Process, addr: number): boolean {
    const vma = this.k.manager.findVma(p.user.as, va(addr));
    return ((vma?.flags ?? 0) & VM_LOCKED) !== 0;
  }

  /** What is there stays there; with `onFault` what comes. */
  *#mlock(p: Process, b: number, pages: number, onFault: boolean): MaySleep<void> {
    const at = this.#pageAt(p, b);
    if (!at) return;
    const { manager, pageSize } = this.k;
    const length = pages * pageSize;
    const result = yield* manager.mlock(p.user.as, va(at[0]), length, onFault, Number.POSITIVE_INFINITY);
    const known = result === 0 || result === -ENOMEM || result === -EAGAIN;
    this.#expect(known, 'mlock', () => `mlock: ${result}`);
    if (result !== 0 || onFault) return;
    for (let i = 0; i < pages; i++) p.pages.get(at[0] + i * pageSize)!.locked = true;
  }

  *#munlock(p: Process, b: number, pages: number): MaySleep<void> {
    const at = this.#pageAt(p, b);
    if (!at) return;
    const { manager, pageSize } = this.k;
    const result = yield* manager.munlock(p.user.as, va(at[0]), pages * pageSize);
    this.#expect(result === 0 || result === -ENOMEM, 'munlock', () => `munlock: ${result}`);
    // A hole ends it.
    for (let i = 0; i < pages; i++) {
      const page = p.pages.get(at[0] + i * pageSize);
      if (page === undefined) break;
      page.locked = false;
    }
  }

  *#fork(p: Process): MaySleep<void> {
    if (this.processes.length >= MAX_PROCESSES) return;
    const result = yield* this.k.manager.cloneAddressSpace(p.user.as);
    if (typeof result === 'number') {
      this.#expect(result === -EAGAIN || result === -ENOMEM, 'fork', () => `fork: ${result}`);
      return;
    }
    this.#reach('fork');
    this.processes.push({ user: this.k.program(result), pages: forkedPages(p.pages) });
  }

  *#exit(p: Process): MaySleep<void> {
    if (this.processes.length === 1) return;
    this.processes.splice(this.processes.indexOf(p), 1);
    yield* this.k.manager.exitMmap(p.user.as);
  }

  // ---- accesses ------------------------------------------------------------------------------------

  /** The mapping through which an access is made, after as many faults as it takes; undefined where it is not made. */
  *#access(
    p: Process,
    addr: number,
    page: ShadowPage,
    write: boolean,
  ): MaySleep<PhysicalMapping | undefined> {
    const { manager } = this.k;
    const allowed = () => (page.prot & (write ? PROT_WRITE : PROT_READ)) !== 0;
    const what = () => `${write ? 'a store to' : 'a load from'} 0x${addr.toString(16)}`;
    for (let tries = 0; tries < (this.#pins.length > 0 ? FEW_FAULTS : MOST_FAULTS); tries++) {
      const mapping = manager.virtToPhys(p.user.as, va(addr));
      if (mapping && (!write || mapping.write)) {
        this.#expect(allowed(), 'access', () => `${what()} is possible, and its protection forbids it`);
        return mapping;
      }
      const result = yield* manager.handleMmFault(p.user.as, va(addr), {
        write,
        exec: false,
        user: true,
        tagAccess: false,
      });
      // Memory is short: a program would be killed, this one goes on.
      if (result.kind === 'oom') return undefined;
      if (result.kind !== 'handled') {
        this.#expect(
          !allowed() || this.injecting,
          'access',
          () => `${what()} is refused: ${JSON.stringify(result)}`,
        );
        return undefined;
      }
      yield USER;
    }
    // The page and its tag block both pinned (tag-storage.md 5.4): as soon as either pin drops it goes on.
    this.#expect(this.#pins.length > 0 || this.injecting, 'progress', () => `${what()} faults for ever`);
    return undefined;
  }

  *#write(p: Process, b: number, c: number): MaySleep<void> {
    const at = this.#pageAt(p, b);
    if (!at) return;
    const [addr, page] = at;
    const offset = (c * 16) % this.k.pageSize;
    const bytes = Uint8Array.from({ length: 16 }, (_, i) => (c * 31 + i * 7 + 1) & 255);
    const mapping = yield* this.#access(p, addr + offset, page, true);
    if (!mapping) return;
    this.k.memory.writeBytes(mapping.pa, bytes);
    page.content.data.set(bytes, offset);
  }

  *#tag(p: Process, b: number, c: number): MaySleep<void> {
    const at = this.#pageAt(p, b);
    if (!at) return;
    const [addr, page] = at;
    const granule = c % (page.content.tags.length * 2);
    const tag = 1 + (c % 15);
    const mapping = yield* this.#access(p, addr + granule * 16, page, true);
    if (!mapping) return;
    this.#expect(
      mapping.tagged === page.mte,
      'access',
      () => `0x${addr.toString(16)}: tagged is ${mapping.tagged}`,
    );
    if (!mapping.tagged) return;
    this.k.memory.writeTag(mapping.pa, tag);
    setTag(page.content.tags, granule, tag);
  }

  *#read(p: Process, b: number): MaySleep<void> {
    const at = this.#pageAt(p, b);
    if (!at) return;
    const [addr, page] = at;
    const mapping = yield* this.#access(p, addr, page, false);
    if (!mapping) return;
    const { memory, pageSize } = this.k;
    const tags = mapping.tagged ? memory.readTags(mapping.pa, pageSize) : this.#zeroTags;
    const content = page.mte ? page.content : { ...page.content, tags: this.#zeroTags };
    expectContent(addr, content, memory.readBytes(mapping.pa, pageSize), tags);
  }

  // ---- what happens to memory ----------------------------------------------------------------------

  /** Where a page of the program lies now, if it is there. */
  #mapped(p: Process, b: number): Page | undefined {
    const at = this.#pageAt(p, b);
    const pfn = at && p.user.pfn(at[0]);
    const page = pfn === undefined ? undefined : this.k.mm.memmap.pfnToPage(pfn);
    return page === this.k.mm.zeroPage ? undefined : page;
  }

  /**
   * The page somewhere else, as compaction would: to a page allocated untagged, maybe tag storage. A large folio goes
   * whole where there is room for it, or in pieces.
   */
  *#migrate(p: Process, b: number, whole: boolean): MaySleep<void> {
    const { mm } = this.k;
    yield* lruAddDrainAll(mm);
    const page = this.#mapped(p, b);
    const folio = page === undefined ? undefined : mm.memmap.head(page);
    if (folio === undefined || !folioIsolateLru(mm, folio)) return;
    const list = [folio];
    yield* migratePages(mm, list, (source) =>
      whole ? allocLike(mm, source, GFP_HIGHUSER_MOVABLE) : allocPages(mm, GFP_HIGHUSER_MOVABLE, 0),
    );
    if (list.length === 0) this.#reach('migrate');
    for (const left of list) yield* folioPutbackLru(mm, left);
  }

  /** A bare reference; a pin as of vmsplice; a long-term pin; or one for reading. */
  *#pin(p: Process, b: number, c: number): MaySleep<void> {
    const { mm } = this.k;
    const at = this.#pageAt(p, b);
    if (at === undefined || this.#pins.length >= MAX_PINS) return;
    const flags = [undefined, FOLL_PIN | FOLL_WRITE, FOLL_PIN | FOLL_WRITE | FOLL_LONGTERM, FOLL_PIN][c % 4];
    if (flags === undefined) {
      const page = this.#mapped(p, b);
      if (page === undefined) return;
      getPage(mm, page);
      this.#pins.push(() => putPage(mm, page));
      return;
    }
    const page = yield* getUserPage(mm, p.user.as as MmStruct, at[0], flags);
    if (page < 0) return;
    this.#reach('pin');
    this.#pins.push(() => unpinUserPage(mm, page as Page));
  }

  *#unpin(): MaySleep<void> {
    const release = this.#pins.shift();
    if (release !== undefined) yield* release();
  }

  /** Pages not used since the last look go to swap. Does nothing without it. */
  *#reclaim(rounds: number): MaySleep<void> {
    const { mm } = this.k;
    for (let i = 0; i < rounds; i++) yield* tryToFreePages(mm, GFP_HIGHUSER_MOVABLE, ALL_ZONES);
    yield* balancePgdat(mm, mm.localNode);
  }

  *#compact(): MaySleep<void> {
    yield* tryToCompactPages(this.k.mm, GFP_KERNEL, COMPACT_ORDER, ALL_ZONES);
  }

  /** ksmd's round, as many as merging takes; now and then everything is taken back, or may be merged again. */
  *#ksm(c: number): MaySleep<void> {
    const { ksm } = this.k.mm;
    if (c % 7 === 0) yield* this.k.manager.ksmSet('run', ksm.run === KSM_RUN_UNMERGE ? 0 : KSM_RUN_UNMERGE);
    yield* ksm.threadMutex.lock();
    const merged = ksm.pagesSharing + ksm.zeroPages;
    for (let round = 0; round < KSM_ROUNDS; round++) yield* ksmDoScan(this.k.mm, 2 * this.#huge.maxPages);
    if (ksm.pagesSharing + ksm.zeroPages > merged) this.#reach('merge');
    ksm.threadMutex.unlock();
  }

  /** Somebody takes all memory, whatever must go for it, and gives it back. */
  *#pressure(): MaySleep<void> {
    const { mm } = this.k;
    const held: Page[] = [];
    for (let page = yield* allocPages(mm, GFP_KERNEL, 0); page !== undefined; ) {
      held.push(page);
      page = yield* allocPages(mm, GFP_KERNEL, 0);
    }
    for (const page of held) yield* putPage(mm, page);
  }

  // ---- verdicts ------------------------------------------------------------------------------------

  /** Every byte and tag that can be seen without disturbing anything, and every invariant. */
  check(): void {
    for (const process of this.processes) compareProcess(this.k, process);
    const [violation] = this.k.manager.checkInvariants();
    if (violation) throw new Broken(violation.invariant, violation.detail);
  }

  /** After the run: read everything through the front door, and let go of everything. */
  *finish(): MaySleep<void> {
    while (this.#pins.length > 0) yield* this.#unpin();
    for (const p of this.processes) {
      for (let i = 0; i < p.pages.size; i++) yield* this.#read(p, i);
    }
    for (const p of this.processes) yield* this.k.manager.exitMmap(p.user.as);
    this.processes.length = 0;
    yield* this.k.manager.ksmSet('run', 0);
    yield* this.k.manager.ksmSet('run', KSM_RUN_UNMERGE);
    yield* lruAddDrainAll(this.k.mm);
  }
}

function* repeat(times: number, task: (i: number) => MaySleep<void>): MaySleep<void> {
  for (let i = 0; i < times; i++) yield* task(i);
}
