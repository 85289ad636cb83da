/**
 * The shadow oracle: what every byte and every tag of every process must be, kept apart from the kernel
 * and compared with DRAM after each step (tag-storage.md 12, number 8).
 */
import { expect } from 'vitest';
import { VA } from '../../src/base/index.js';
import { isMigrationEntry, isSwapEntry, ptePa, ptePresent } from '../../src/kernel/arch/pgtable/index.js';
import type { MmStruct, Page } from '../../src/kernel/mm/index.js';
import {
  allocPages,
  folioIsolateLru,
  folioPutbackLru,
  forEachPte,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  getPage,
  lruAddDrainAll,
  MADV_DONTNEED,
  migratePages,
  PG_mte_tagged,
  PG_tag_storage_reserved,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  putPage,
  tryToFreePages,
} from '../../src/kernel/mm/index.js';
import type { Fixture, User } from './kernel-fixture.js';

interface ShadowPage {
  prot: number;
  /** PROT_MTE was given once: it stays. */
  mte: boolean;
  /** Of a shared mapping: one object for all who map it. */
  readonly content: Content;
  readonly shared: boolean;
}

interface Content {
  readonly data: Uint8Array;
  /** Packed, two tags a byte, low nibble the even granule. */
  readonly tags: Uint8Array;
}

interface Process {
  readonly user: User;
  readonly pages: Map<number, ShadowPage>;
}

/** One step; numbers are taken modulo what exists. */
export interface Step {
  readonly op: (typeof OPS)[number];
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

export const OPS = [
  'mmap',
  'mmapMte',
  'mmapShared',
  'munmap',
  'mprotect',
  'mprotectMte',
  'write',
  'writeMany',
  'tag',
  'tagMany',
  'read',
  'dontneed',
  'fork',
  'exit',
  'migrate',
  'pin',
  'unpin',
  'mremap',
  'reclaim',
  'pressure',
] as const;

const MAX_PROCESSES = 4;
const MAX_PAGES = 96;

export class Model {
  readonly k: Fixture;
  readonly processes: Process[];
  readonly pinned: Page[] = [];
  readonly #size: number;
  readonly #zeros: Uint8Array;
  steps = 0;
  /** Operations are made to fail: an access may fail once and then succeed. */
  injecting = false;

  constructor(k: Fixture) {
    this.k = k;
    this.#size = k.memory.pageSize;
    this.#zeros = new Uint8Array(this.#size);
    this.processes = [{ user: k.user(), pages: new Map() }];
  }

  apply(step: Step): void {
    this.steps++;
    const process = this.processes[step.a % this.processes.length]!;
    this.#dispatch(process, step);
  }

  #dispatch(p: Process, { op, b, c }: Step): void {
    const actions: Record<Step['op'], () => void> = {
      mmap: () => this.#mmap(p, false, 1 + (b % 12), c),
      mmapMte: () => this.#mmap(p, true, 1 + (b % 12), c),
      mmapShared: () => this.#mmap(p, c % 3 === 0, 1 + (b % 6), c, true),
      munmap: () => this.#munmap(p, b, 1 + (c % 6)),
      mprotect: () => this.#mprotect(p, false, b, c),
      mprotectMte: () => this.#mprotect(p, true, b, c),
      write: () => this.#write(p, b, c),
      writeMany: () => {
        for (let i = 0; i < 24; i++) this.#write(p, b + i, c + i * 64);
      },
      tag: () => this.#tag(p, b, c),
      tagMany: () => {
        for (let i = 0; i < 12; i++) this.#tag(p, b + i, c + i * 7);
      },
      read: () => this.#read(p, b),
      dontneed: () => this.#dontneed(p, b, 1 + (c % 4)),
      fork: () => this.#fork(p),
      exit: () => this.#exit(p),
      migrate: () => this.#migrate(p, b),
      pin: () => this.#pin(p, b),
      unpin: () => this.#unpin(),
      reclaim: () => this.#reclaim(1 + (b % 3)),
      pressure: () => this.#pressure(),
      mremap: () => this.#mremap(p, b),
    };
    actions[op]();
  }

  #pageAt(p: Process, index: number): [number, ShadowPage] | undefined {
    if (p.pages.size === 0) return undefined;
    const addr = [...p.pages.keys()][index % p.pages.size]!;
    return [addr, p.pages.get(addr)!];
  }

  #fresh(prot: number, mte: boolean, shared = false): ShadowPage {
    const content = { data: new Uint8Array(this.#size), tags: new Uint8Array(this.#size / 32) };
    return { prot, mte, shared, content };
  }

  #mmap(p: Process, mte: boolean, pages: number, c: number, shared = false): void {
    if (p.pages.size + pages > MAX_PAGES) return;
    const prot = c % 5 === 0 ? PROT_READ : PROT_READ | PROT_WRITE;
    const addr = p.user.mmap(pages, prot | (mte ? PROT_MTE : 0), shared ? 0x21 : 0x22);
    expect(addr).toBeGreaterThan(0);
    for (let i = 0; i < pages; i++) {
      expect(p.pages.has(addr + i * this.#size)).toBe(false);
      p.pages.set(addr + i * this.#size, this.#fresh(prot, mte, shared));
    }
  }

  #munmap(p: Process, b: number, pages: number): void {
    const at = this.#pageAt(p, b);
    if (!at) return;
    expect(p.user.munmap(at[0], pages)).toBe(0);
    for (let i = 0; i < pages; i++) p.pages.delete(at[0] + i * this.#size);
  }

  #mprotect(p: Process, mte: boolean, b: number, c: number): void {
    const at = this.#pageAt(p, b);
    if (!at) return;
    let pages = 1;
    while (pages < 1 + (c % 6) && p.pages.has(at[0] + pages * this.#size)) pages++;
    const prot = [PROT_READ | PROT_WRITE, PROT_READ, PROT_READ | PROT_WRITE, 0][(c >> 3) % 4]!;
    expect(p.user.mprotect(at[0], pages, prot | (mte ? PROT_MTE : 0))).toBe(0);
    for (let i = 0; i < pages; i++) {
      const page = p.pages.get(at[0] + i * this.#size)!;
      page.prot = prot;
      page.mte ||= mte;
    }
  }

  #write(p: Process, b: number, c: number): void {
    const at = this.#pageAt(p, b);
    if (!at) return;
    const [addr, page] = at;
    const offset = (c * 16) % this.#size;
    const bytes = Uint8Array.from({ length: 16 }, (_, i) => (c * 31 + i * 7 + 1) & 255);
    if (p.user.store(addr + offset, bytes)) {
      expect(page.prot & PROT_WRITE).not.toBe(0);
      page.content.data.set(bytes, offset);
    } else if ((page.prot & PROT_WRITE) !== 0) {
      this.#expectShort(p, addr, true);
    }
  }

  #tag(p: Process, b: number, c: number): void {
    const at = this.#pageAt(p, b);
    if (!at) return;
    const [addr, page] = at;
    const granule = c % (page.content.tags.length * 2);
    const tag = 1 + (c % 15);
    if (p.user.storeTag(addr + granule * 16, tag)) {
      expect(page.prot & PROT_WRITE).not.toBe(0);
      if (page.mte) setNibble(page.content.tags, granule, tag);
    } else if ((page.prot & PROT_WRITE) !== 0) {
      this.#expectShort(p, addr, true);
    }
  }

  #read(p: Process, b: number): void {
    const at = this.#pageAt(p, b);
    if (!at) return;
    const [addr, page] = at;
    const found = p.user.load(addr, this.#size);
    if (found === undefined) {
      if ((page.prot & PROT_READ) !== 0) this.#expectShort(p, addr, false);
      return;
    }
    expect(page.prot & PROT_READ).not.toBe(0);
    expect(same(found, page.content.data)).toBe(true);
    const { tags } = page.content;
    for (let g = 0; g < tags.length * 2; g += 37) {
      const tag = page.mte ? (tags[g >> 1]! >> (4 * (g & 1))) & 15 : 0;
      expect(p.user.loadTag(addr + g * 16)).toBe(tag);
    }
  }

  /** An access failed that the protection allows: only for want of memory, or with pins about. */
  #expectShort(p: Process, addr: number, write: boolean): void {
    const result = p.user.fault(addr, write);
    const excused = this.pinned.length > 0 || this.injecting;
    expect(result.kind === 'oom' || (result.kind === 'handled' && excused)).toBe(true);
  }

  #dontneed(p: Process, b: number, pages: number): void {
    const at = this.#pageAt(p, b);
    if (!at) return;
    const result = p.user.madvise(at[0], pages, MADV_DONTNEED);
    expect([0, -12]).toContain(result);
    for (let i = 0; i < pages; i++) {
      const page = p.pages.get(at[0] + i * this.#size);
      if (page === undefined || page.shared) continue;
      page.content.data.fill(0);
      page.content.tags.fill(0);
    }
  }

  #fork(p: Process): void {
    if (this.processes.length >= MAX_PROCESSES) return;
    const result = this.k.run(this.k.memory.cloneAddressSpace(p.user.as));
    if (typeof result === 'number') {
      expect([-11, -12]).toContain(result);
      return;
    }
    const pages = new Map(
      [...p.pages].map(([addr, page]) => [
        addr,
        page.shared
          ? { ...page }
          : { ...page, content: { data: page.content.data.slice(), tags: page.content.tags.slice() } },
      ]),
    );
    this.processes.push({ user: this.k.user(result), pages });
  }

  #exit(p: Process): void {
    if (this.processes.length === 1) return;
    p.user.exit();
    this.processes.splice(this.processes.indexOf(p), 1);
  }

  /** The page somewhere else, as compaction would: to a page allocated untagged, maybe tag storage. */
  #migrate(p: Process, b: number): void {
    const at = this.#pageAt(p, b);
    const { mm, run } = this.k;
    const page = at && this.#mapped(p, at[0]);
    if (page === undefined || page === mm.zeroPage) return;
    run(lruAddDrainAll(mm));
    if (!folioIsolateLru(mm, page)) return;
    const list = [page];
    run(migratePages(mm, list, () => allocPages(mm, GFP_HIGHUSER_MOVABLE, 0)));
    for (const left of list) run(folioPutbackLru(mm, left));
  }

  /** What kswapd would do: pages not used since the last look go to swap. Does nothing without it. */
  #reclaim(rounds: number): void {
    const { mm, run } = this.k;
    for (let i = 0; i < rounds; i++) run(tryToFreePages(mm, GFP_HIGHUSER_MOVABLE, 2));
  }

  /** Somebody takes all memory, whatever must go for it, and gives it back. */
  #pressure(): void {
    const { mm, run } = this.k;
    const held: Page[] = [];
    for (let page = run(allocPages(mm, GFP_KERNEL, 0)); page !== undefined; ) {
      held.push(page);
      page = run(allocPages(mm, GFP_KERNEL, 0));
    }
    for (const page of held) run(putPage(mm, page));
  }

  #mapped(p: Process, addr: number): Page | undefined {
    let found: Page | undefined;
    forEachPte(this.k.mm, p.user.as as MmStruct, (pte, at) => {
      if (at === addr && ptePresent(pte)) found = this.k.mm.paToPage(ptePa(pte));
    });
    return found;
  }

  #pin(p: Process, b: number): void {
    const at = this.#pageAt(p, b);
    const page = at && this.#mapped(p, at[0]);
    if (page === undefined || page === this.k.mm.zeroPage || this.pinned.length >= 6) return;
    getPage(this.k.mm, page);
    this.pinned.push(page);
  }

  #unpin(): void {
    const page = this.pinned.shift();
    if (page !== undefined) this.k.run(putPage(this.k.mm, page));
  }

  #mremap(p: Process, b: number): void {
    const at = this.#pageAt(p, b);
    if (!at) return;
    const [addr, page] = at;
    // Beyond the end of the nameless file that backs it there is nothing.
    if (page.shared) return;
    const size = this.#size;
    const target = this.k.run(this.k.memory.mremap(p.user.as, VA(BigInt(addr)), size, size * 2, 1, VA(0n)));
    if (target < 0) return;
    p.pages.delete(addr);
    p.pages.set(target, page);
    p.pages.set(target + size, this.#fresh(page.prot, page.mte));
  }

  /** Every byte and tag that can be seen without disturbing anything. */
  compare(): void {
    const { mm, port } = this.k;
    for (const p of this.processes) {
      const seen = new Set<number>();
      forEachPte(mm, p.user.as as MmStruct, (pte, addr) => {
        if (isMigrationEntry(pte)) throw new Error('migration entry outside migration');
        const shadow = p.pages.get(addr);
        if (!shadow) throw new Error(`page 0x${addr.toString(16)} mapped, not in the model`);
        seen.add(addr);
        if (isSwapEntry(pte)) return;
        const pa = ptePa(pte);
        const data = port.readBytes(pa as never, this.#size);
        if (!same(data, shadow.content.data)) throw new Error(`data of 0x${addr.toString(16)} differ`);
        const page = mm.paToPage(pa)!;
        if (
          page !== mm.zeroPage &&
          mm.memmap.test(page, PG_mte_tagged) &&
          mm.memmap.test(page, PG_tag_storage_reserved)
        ) {
          if (!same(port.readTags(pa as never, this.#size), shadow.content.tags)) {
            throw new Error(`tags of 0x${addr.toString(16)} differ`);
          }
        }
      });
      for (const [addr, shadow] of p.pages) {
        if (seen.has(addr) || shadow.shared) continue;
        const { data, tags } = shadow.content;
        if (!same(data, this.#zeros) || !same(tags, this.#zeros.subarray(0, this.#size / 32))) {
          throw new Error(`page 0x${addr.toString(16)} is gone`);
        }
      }
    }
  }

  /** After the run: read everything through the front door, let go of everything, and see that all is back. */
  finish(): void {
    while (this.pinned.length > 0) this.#unpin();
    for (const p of this.processes) {
      for (let i = 0; i < p.pages.size; i++) this.#read(p, i);
    }
    for (const p of this.processes) p.user.exit();
    this.processes.length = 0;
    this.k.run(lruAddDrainAll(this.k.mm));
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function setNibble(packed: Uint8Array, index: number, value: number): void {
  const shift = 4 * (index & 1);
  packed[index >> 1] = (packed[index >> 1]! & ~(15 << shift)) | (value << shift);
}
