/**
 * Huge pages of files of RAM (tmpfs, memfd, shared anonymous memory): when they are made, how they are mapped, and
 * that every byte and tag stays through split, truncation, migration, swap, fork and collapse.
 */
import { describe, expect, it } from 'vitest';
import { VA } from '../../../src/base/index.js';
import type { FileOptions, MappableFile } from '../../../src/kernel/mm/index.js';
import {
  allocLike,
  allocPages,
  folioIsolateLru,
  folioPutbackLru,
  GFP_HIGHUSER_MOVABLE,
  khugepagedDoScan,
  lruAddDrainAll,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MAP_PRIVATE,
  MAP_SHARED,
  migratePages,
  PG_head,
  PG_tag_storage_reserved,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  splitFolioUnlocked,
  tryToFreePages,
} from '../../../src/kernel/mm/index.js';
import type { Fixture, FixtureOptions, User } from '../kernel-fixture.js';
import { boot } from '../kernel-fixture.js';

const PAGE = 4096;
const HUGE = 512;
const BLOCK = HUGE * PAGE;
const RW = PROT_READ | PROT_WRITE;
const MTE = RW | PROT_MTE;
const SIZE = BLOCK + 5 * PAGE;

type Huge = NonNullable<FileOptions['huge']>;

class Stage {
  readonly k: Fixture;
  readonly free: number;
  readonly user: User;
  readonly file: MappableFile;

  constructor(huge: Huge | undefined, options: FixtureOptions & { readonly size?: number } = {}) {
    this.k = boot({ tagPages: 128, pageblockOrder: 5, ...options });
    this.free = this.k.unused();
    this.user = this.k.user();
    const size = options.size ?? SIZE;
    this.file = this.k.memory.newFile({ name: 'f', size, ...(huge === undefined ? {} : { huge }) });
  }

  /** Where addresses and places in the file agree about blocks. */
  map(user: User, prot: number, flags: number, pages = HUGE + 5, offset = 0): number {
    const { k } = this;
    const room = user.mmap(pages + 2 * HUGE, PROT_READ);
    user.munmap(room, pages + 2 * HUGE);
    const at = Math.ceil(room / BLOCK) * BLOCK;
    const addr = k.run(
      k.memory.mmap(user.as, {
        addr: VA(BigInt(at)),
        length: pages * PAGE,
        prot,
        flags: flags | 0x10,
        file: this.file,
        offset,
      }),
    );
    expect(addr).toBe(at);
    return at;
  }

  read(index: number): Uint8Array {
    return this.k.run(this.k.memory.readFile(this.file, index * PAGE + 64, 4));
  }

  write(index: number, ...bytes: number[]): void {
    const result = this.k.run(this.k.memory.writeFile(this.file, index * PAGE + 64, Uint8Array.from(bytes)));
    expect(result).toBe(bytes.length);
  }

  /** By write(), a word of its own in every 16th page. */
  fill(): void {
    for (let i = 0; i < HUGE; i += 16) this.write(i, ...word(i));
  }

  verify(first = 0, end = HUGE): void {
    for (let i = first; i < end; i += 16) expect(this.read(i)).toEqual(Uint8Array.from(word(i)));
  }

  done(...users: User[]): void {
    const { k } = this;
    for (const user of [this.user, ...users]) user.exit();
    k.check();
    k.run(k.memory.putFile(this.file));
    k.run(lruAddDrainAll(k.mm));
    k.check();
    expect(k.memory.vmstat()).toMatchObject({
      nr_shmem: 0,
      nr_file_pages: 0,
      nr_shmem_hugepages: 0,
      nr_shmem_pmdmapped: 0,
      nr_mapped: 0,
    });
    expect(k.unused()).toBe(this.free);
  }
}

const word = (i: number): number[] => [i & 255, i >> 8, 77, 1];
const head = ({ k }: Stage, user: User, at: number) => k.mm.memmap.pfnToPage(user.pfn(at)!)!;

describe('when the first page of a block is made', () => {
  it.each([
    ['always', false, 1],
    ['within_size', false, 1],
    ['advise', false, 0],
    ['advise', true, 1],
    ['never', true, 0],
    [undefined, true, 0],
  ] as const)('huge=%s, MADV_HUGEPAGE %s: %i huge pages', (huge, advised, count) => {
    const s = new Stage(huge);
    const at = s.map(s.user, RW, MAP_SHARED);
    if (advised) expect(s.user.madvise(at, HUGE, MADV_HUGEPAGE)).toBe(0);
    s.user.store(at + 7 * PAGE, Uint8Array.of(5));
    s.k.check();
    expect(s.k.memory.vmstat()).toMatchObject({ nr_shmem_hugepages: count, thp_file_mapped: count });
    expect(s.user.faults(at + 300 * PAGE, true)).toBe(count === 1 ? 0 : 1);
    expect(s.user.load(at + 7 * PAGE, 1)).toEqual(Uint8Array.of(5));
    s.done();
  });

  it.each([
    ['always', 'deny', 0],
    ['never', 'force', 1],
    [undefined, 'always', 1],
    [undefined, 'within_size', 1],
    [undefined, 'advise', 0],
  ] as const)('huge=%s with shmem_enabled %s: %i by write()', (huge, enabled, count) => {
    const s = new Stage(huge);
    s.k.mm.thp.shmemEnabled = enabled;
    s.write(3, 1, 2, 3, 4);
    s.k.check();
    expect(s.k.memory.vmstat()).toMatchObject({ nr_shmem_hugepages: count, thp_file_alloc: count });
    expect(s.read(3)).toEqual(Uint8Array.of(1, 2, 3, 4));
    expect(s.read(4)).toEqual(Uint8Array.of(0, 0, 0, 0));
    s.done();
  });

  it('not where the mapping refuses, pages of the block are there, or the file is too short', () => {
    const s = new Stage('within_size', { size: BLOCK - PAGE });
    s.write(0, 1);
    expect(s.k.mm.events.thp_file_alloc).toBe(0);
    s.done();
    const t = new Stage('always');
    const at = t.map(t.user, RW, MAP_SHARED);
    expect(t.user.madvise(at, HUGE, MADV_NOHUGEPAGE)).toBe(0);
    t.user.store(at, Uint8Array.of(1));
    expect(t.k.mm.events.thp_file_alloc).toBe(0);
    t.write(100, 1);
    expect(t.k.mm.events.thp_file_alloc).toBe(0);
    t.k.mm.shouldFail = (what) => what === 'thp_alloc';
    t.write(HUGE, 2);
    t.k.mm.shouldFail = () => false;
    expect(t.k.mm.events).toMatchObject({ thp_file_alloc: 0, thp_file_fallback: 1 });
    t.done();
  });
});

describe.each([
  ['untagged', RW, false],
  ['tagged', MTE, true],
] as const)('a huge page in %s mappings', (_name, prot, tagged) => {
  const touch = (s: Stage) => {
    s.fill();
    const at = s.map(s.user, prot, MAP_SHARED);
    for (let i = 0; i < HUGE; i += 16) {
      expect(s.user.load(at + i * PAGE + 64, 4)).toEqual(Uint8Array.from(word(i)));
      if (tagged) s.user.storeTag(at + i * PAGE + 64, 1 + ((i / 16) % 15));
    }
    expect(s.k.mm.events.thp_file_mapped).toBeGreaterThan(0);
    s.k.check();
    return at;
  };
  const verify = (s: Stage, user: User, at: number, first = 0, end = HUGE) => {
    for (let i = first; i < end; i += 16) {
      expect(user.load(at + i * PAGE + 64, 4)).toEqual(Uint8Array.from(word(i)));
      if (tagged) expect(user.loadTag(at + i * PAGE + 64)).toBe(1 + ((i / 16) % 15));
    }
    s.k.check();
  };

  it('shows in the counters, and is shared with a child and with write()', () => {
    const s = new Stage('always');
    const at = touch(s);
    expect(s.k.memory.meminfo()).toMatchObject({ ShmemHugePages: 2048, ShmemPmdMapped: 2048, Mapped: 2048 });
    expect(s.k.memory.smaps(s.user.as)[0]!.counts).toMatchObject({ shmemPmdMapped: BLOCK, pssShmem: BLOCK });
    const child = s.user.fork();
    verify(s, child, at);
    child.store(at + 64, Uint8Array.of(200));
    expect(s.user.load(at + 64, 1)).toEqual(Uint8Array.of(200));
    s.write(0, ...word(0));
    verify(s, s.user, at);
    s.done(child);
  });

  it('parts of it are unmapped, protected, moved: its pages are mapped one by one', () => {
    const s = new Stage('always');
    const at = touch(s);
    expect(s.user.munmap(at + 256 * PAGE, 16)).toBe(0);
    s.k.check();
    expect(s.user.mprotect(at + 64 * PAGE, 16, prot & ~PROT_WRITE)).toBe(0);
    expect(s.user.store(at + 64 * PAGE, Uint8Array.of(1))).toBe(false);
    const moved = s.k.run(
      s.k.memory.mremap(
        s.user.as,
        VA(BigInt(at + 128 * PAGE)),
        16 * PAGE,
        16 * PAGE,
        3,
        VA(BigInt(at - BLOCK)),
      ),
    );
    expect(moved).toBe(at - BLOCK);
    expect(s.user.load(moved + 64, 4)).toEqual(Uint8Array.from(word(128)));
    verify(s, s.user, at, 0, 128);
    verify(s, s.user, at, 144, 256);
    verify(s, s.user, at, 272);
    expect(s.k.memory.vmstat()).toMatchObject({ nr_shmem_hugepages: 1, nr_shmem_pmdmapped: 0 });
    s.done();
  });

  it('a private mapping reads it whole, and copies what it writes', () => {
    const s = new Stage('always');
    const at = touch(s);
    const own = s.map(s.user, prot, MAP_PRIVATE);
    verify(s, s.user, own);
    s.user.store(own + 64, Uint8Array.of(99));
    expect(s.user.load(own + 64, 1)).toEqual(Uint8Array.of(99));
    verify(s, s.user, own, 16);
    verify(s, s.user, at);
    const child = s.user.fork();
    verify(s, child, own, 16);
    expect(child.load(own + 64, 1)).toEqual(Uint8Array.of(99));
    s.done(child);
  });

  it('is split, and every page of it stays', () => {
    const s = new Stage('always');
    const at = touch(s);
    s.k.run(lruAddDrainAll(s.k.mm));
    expect(s.k.run(splitFolioUnlocked(s.k.mm, head(s, s.user, at)))).toBe(true);
    s.k.check();
    expect(s.k.memory.vmstat()).toMatchObject({ nr_shmem_hugepages: 0, nr_shmem: HUGE, thp_split_page: 1 });
    verify(s, s.user, at);
    s.verify();
    s.done();
  });

  it('is truncated in the middle, and grows again with zeros', () => {
    const s = new Stage('always');
    const at = touch(s);
    s.k.run(lruAddDrainAll(s.k.mm));
    expect(s.k.run(s.k.memory.truncateFile(s.file, 200 * PAGE + 100))).toBe(0);
    s.k.check();
    expect(s.k.memory.vmstat()).toMatchObject({ nr_shmem_hugepages: 0, nr_shmem: 201 });
    verify(s, s.user, at, 0, 200);
    expect(s.user.fault(at + 201 * PAGE, true)).toMatchObject({ kind: 'signal', signal: 'SIGBUS' });
    expect(s.k.run(s.k.memory.truncateFile(s.file, SIZE))).toBe(0);
    expect(s.read(208)).toEqual(Uint8Array.of(0, 0, 0, 0));
    expect(s.user.load(at + 208 * PAGE + 64, 4)).toEqual(Uint8Array.of(0, 0, 0, 0));
    s.done();
  });

  it('migrates as one where there is room, in pieces where there is not', () => {
    const s = new Stage('always');
    const at = touch(s);
    for (const order of [9, 0]) {
      s.k.run(lruAddDrainAll(s.k.mm));
      const from = s.k.mm.memmap.head(head(s, s.user, at));
      const list = [from];
      expect(folioIsolateLru(s.k.mm, from)).toBe(true);
      const left = s.k.run(
        migratePages(s.k.mm, list, (source) =>
          order === 9
            ? allocLike(s.k.mm, source, GFP_HIGHUSER_MOVABLE)
            : allocPages(s.k.mm, GFP_HIGHUSER_MOVABLE, 0),
        ),
      );
      expect(left).toBe(0);
      for (const page of list) s.k.run(folioPutbackLru(s.k.mm, page));
      s.k.check();
      verify(s, s.user, at);
      expect(s.k.mm.memmap.test(head(s, s.user, at), PG_head)).toBe(order === 9);
    }
    s.verify();
    s.done();
  });

  it('goes to the swap device page by page and comes back', () => {
    const s = new Stage('always', { swapPages: 1024 });
    const at = touch(s);
    for (let i = 0; i < 80 && s.k.mm.events.pswpout < HUGE; i++) {
      s.k.run(tryToFreePages(s.k.mm, GFP_HIGHUSER_MOVABLE, 2));
      s.k.check();
    }
    expect(s.k.memory.vmstat()).toMatchObject({ thp_split_page: 1, pswpout: HUGE, nr_shmem: 0 });
    verify(s, s.user, at);
    s.verify();
    s.done();
    expect(s.k.memory.meminfo()['SwapFree']).toBe(4096);
  });

  it('whatever fails on the way, small pages do', () => {
    for (const kind of ['thp_alloc', 'page_alloc', 'split_folio', 'slab', 'xa_store', 'migrate']) {
      for (let n = 1; n <= 6; n++) {
        const s = new Stage('always');
        const at = s.map(s.user, prot, MAP_SHARED);
        let left = n;
        s.k.mm.shouldFail = (what) => what === kind && --left === 0;
        for (let i = 0; i < HUGE; i += 16) {
          while (!s.user.store(at + i * PAGE + 64, Uint8Array.from(word(i))));
        }
        s.user.madvise(at, 16, MADV_DONTNEED);
        while (s.user.load(at + 32 * PAGE, 1) === undefined);
        const page = s.k.mm.memmap.head(head(s, s.user, at + 32 * PAGE));
        left = n;
        s.k.run(splitFolioUnlocked(s.k.mm, page));
        s.k.mm.shouldFail = () => false;
        s.k.check();
        for (let i = 0; i < HUGE; i += 16) {
          expect(s.user.load(at + i * PAGE + 64, 4)).toEqual(Uint8Array.from(word(i)));
        }
        s.verify();
        s.done();
      }
    }
  });
});

describe('tag storage and huge pages of files', () => {
  it('by write() they are allocated untagged, and get their blocks when they are accessed as tagged memory', () => {
    const s = new Stage('always');
    s.fill();
    const page = [...s.k.mm.inodes.values()].find(({ id }) => id === s.file.id)!.pages.get(0)!;
    expect(s.k.mm.memmap.test(page, PG_tag_storage_reserved)).toBe(false);
    const at = s.map(s.user, MTE, MAP_SHARED);
    expect(s.user.loadTag(at + 40 * PAGE)).toBe(0);
    s.k.check();
    s.user.storeTag(at + 40 * PAGE, 6);
    expect(s.user.loadTag(at + 40 * PAGE)).toBe(6);
    expect(s.k.mm.memmap.test(head(s, s.user, at), PG_tag_storage_reserved)).toBe(true);
    s.verify();
    s.done();
  });

  it('by a fault in a tagged mapping they come with their blocks', () => {
    const s = new Stage('always');
    const at = s.map(s.user, MTE, MAP_SHARED);
    s.user.storeTag(at + 9 * PAGE, 3);
    expect(s.k.memory.tagStorageMetrics()['faultOnAccessFaults']).toBe(0);
    expect(s.k.mm.memmap.test(head(s, s.user, at + 500 * PAGE), PG_tag_storage_reserved)).toBe(true);
    s.k.check();
    s.done();
  });
});

describe.each([
  ['untagged, tag storage lent', RW, false, 'cma'],
  ['tagged, tag storage static', MTE, true, 'static'],
] as const)('collapse of a file: %s', (_name, prot, tagged, policy) => {
  const start = (options: FixtureOptions = {}) => {
    const s = new Stage('never', { policy, ...options });
    s.fill();
    const at = s.map(s.user, prot, MAP_SHARED);
    for (let i = 0; i < HUGE; i += 16) {
      if (tagged) s.user.storeTag(at + i * PAGE + 64, 1 + ((i / 16) % 15));
      else s.user.load(at + i * PAGE, 1);
    }
    return { s, at };
  };
  const verify = (s: Stage, user: User, at: number, first = 0) => {
    for (let i = first; i < HUGE; i += 8) {
      const there = i % 16 === 0;
      expect(user.load(at + i * PAGE + 64, 4)).toEqual(Uint8Array.from(there ? word(i) : [0, 0, 0, 0]));
      if (tagged) expect(user.loadTag(at + i * PAGE + 64)).toBe(there ? 1 + ((i / 16) % 15) : 0);
    }
    s.k.check();
  };

  it('MADV_COLLAPSE maps it whole, at once where it was asked, for the others at their next fault', () => {
    const { s, at } = start();
    const other = s.k.user();
    const there = s.map(other, RW, MAP_SHARED);
    for (let i = 0; i < HUGE; i += 32) other.load(there + i * PAGE, 1);
    expect(s.user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(0);
    s.k.check();
    expect(s.k.memory.vmstat()).toMatchObject({
      thp_collapse_alloc: 1,
      nr_shmem_hugepages: 1,
      nr_shmem_pmdmapped: 1,
    });
    expect(s.k.memory.smaps(s.user.as)[0]!.counts.shmemPmdMapped).toBe(BLOCK);
    verify(s, s.user, at);
    expect(other.faults(there + 100 * PAGE, false)).toBe(1);
    expect(other.faults(there + 200 * PAGE, true)).toBe(0);
    for (let i = 0; i < HUGE; i += 16) {
      expect(other.load(there + i * PAGE + 64, 4)).toEqual(Uint8Array.from(word(i)));
    }
    expect(s.user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(0);
    s.verify();
    s.done(other);
  });

  it('of a huge page that is mapped page by page only the mapping changes', () => {
    const { s, at } = start();
    expect(s.user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(0);
    expect(s.user.mprotect(at + 64 * PAGE, 16, prot & ~PROT_WRITE)).toBe(0);
    verify(s, s.user, at);
    expect(s.user.mprotect(at + 64 * PAGE, 16, prot)).toBe(0);
    expect(s.k.memory.vmstat()['nr_shmem_pmdmapped']).toBe(0);
    expect(s.user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(0);
    expect(s.k.memory.vmstat()).toMatchObject({ thp_collapse_alloc: 1, nr_shmem_pmdmapped: 1 });
    verify(s, s.user, at);
    s.done();
  });

  it('private copies keep their table; the file is collapsed all the same', () => {
    const { s, at } = start();
    const own = s.map(s.user, prot, MAP_PRIVATE);
    verify(s, s.user, own);
    s.user.store(own + 64, Uint8Array.of(99));
    expect(s.user.madvise(own, HUGE, MADV_COLLAPSE)).toBe(-22);
    expect(s.k.memory.vmstat()['nr_shmem_hugepages']).toBe(1);
    expect(s.user.load(own + 64, 1)).toEqual(Uint8Array.of(99));
    verify(s, s.user, own, 16);
    verify(s, s.user, at);
    s.done();
  });

  it('brings in what is on the swap device', () => {
    const { s, at } = start({ swapPages: 1024 });
    for (let i = 0; i < 60 && s.k.mm.events.pswpout < 20; i++) {
      s.k.run(tryToFreePages(s.k.mm, GFP_HIGHUSER_MOVABLE, 2));
    }
    expect(s.k.mm.events.pswpout).toBeGreaterThanOrEqual(20);
    expect(s.user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(0);
    verify(s, s.user, at);
    s.done();
    expect(s.k.memory.meminfo()['SwapFree']).toBe(4096);
  });

  it('khugepaged does it for mappings that ask, within its limits', () => {
    const s = new Stage(undefined, { policy });
    s.fill();
    s.k.mm.thp.shmemEnabled = 'advise';
    const at = s.map(s.user, prot, MAP_SHARED);
    for (let i = 0; tagged && i < HUGE; i += 16) {
      s.user.storeTag(at + i * PAGE + 64, 1 + ((i / 16) % 15));
    }
    expect(s.user.madvise(at, HUGE, MADV_HUGEPAGE)).toBe(0);
    s.k.mm.thp.khugepaged.maxPtesNone = 479;
    s.k.run(khugepagedDoScan(s.k.mm));
    expect(s.k.memory.vmstat()).toMatchObject({ thp_scan_exceed_none_pte: 1, nr_shmem_hugepages: 0 });
    s.k.mm.thp.khugepaged.maxPtesNone = 480;
    s.k.run(khugepagedDoScan(s.k.mm));
    s.k.check();
    expect(s.k.memory.vmstat()).toMatchObject({ nr_shmem_hugepages: 1, nr_shmem_pmdmapped: 0 });
    verify(s, s.user, at);
    expect(s.k.mm.globalNodeState('nr_shmem_pmdmapped')).toBe(1);
    s.done();
  });

  it('whatever fails on the way, file and mappings are as they were', () => {
    for (const kind of ['thp_collapse_alloc', 'page_alloc', 'collapse_isolate', 'swap_read', 'slab']) {
      for (let n = 1; n <= 40; n = n < 6 ? n + 1 : n + 11) {
        const { s, at } = start({ swapPages: 600 });
        s.k.run(tryToFreePages(s.k.mm, GFP_HIGHUSER_MOVABLE, 2));
        s.k.run(lruAddDrainAll(s.k.mm));
        let left = n;
        s.k.mm.shouldFail = (what) => what === kind && --left === 0;
        const result = s.user.madvise(at, HUGE, MADV_COLLAPSE);
        s.k.mm.shouldFail = () => false;
        s.k.check();
        if (left > 0) expect(result).toBe(0);
        verify(s, s.user, at);
        s.verify();
        s.done();
        if (left > 0) break;
      }
    }
  });
});

describe('tag storage and collapse of files', () => {
  it('through an untagged mapping: tags that others stored travel, and wait for their blocks', () => {
    const s = new Stage('never');
    s.fill();
    const at = s.map(s.user, MTE, MAP_SHARED);
    for (let i = 0; i < HUGE; i += 16) s.user.storeTag(at + i * PAGE + 64, 1 + ((i / 16) % 15));
    const other = s.k.user();
    const there = s.map(other, RW, MAP_SHARED);
    expect(s.user.madvise(at, HUGE, MADV_COLLAPSE)).toBe(-22);
    expect(s.k.mm.events.thp_collapse_alloc).toBe(0);
    other.load(there, 1);
    expect(other.madvise(there, HUGE, MADV_COLLAPSE)).toBe(0);
    s.k.check();
    expect(s.k.mm.globalNodeState('nr_shmem_hugepages')).toBe(1);
    for (let i = 0; i < HUGE; i += 16) {
      expect(s.user.load(at + i * PAGE + 64, 4)).toEqual(Uint8Array.from(word(i)));
      expect(s.user.loadTag(at + i * PAGE + 64)).toBe(1 + ((i / 16) % 15));
    }
    expect(s.user.loadTag(at + 3 * PAGE)).toBe(0);
    s.k.check();
    s.done(other);
  });
});

describe('addresses of mappings', () => {
  it('agree with the place in the file where its pages may be huge', () => {
    for (const [huge, offset] of [
      ['always', 0],
      ['within_size', 3],
      ['advise', HUGE - 1],
      ['never', 0],
    ] as const) {
      const s = new Stage(huge, { size: 4 * BLOCK });
      const mmap = (pages: number, addr = 0) =>
        s.k.run(
          s.k.memory.mmap(s.user.as, {
            addr: VA(BigInt(addr)),
            length: pages * PAGE,
            prot: RW,
            flags: MAP_SHARED,
            file: s.file,
            offset: offset * PAGE,
          }),
        );
      const small = mmap(7);
      const large = mmap(2 * HUGE);
      expect(large % BLOCK === (offset * PAGE) % BLOCK).toBe(huge !== 'never');
      expect(small % BLOCK).not.toBe((offset * PAGE) % BLOCK);
      // A hint is kept to where it can be.
      expect(mmap(2 * HUGE, large - 4 * BLOCK - 5 * PAGE)).toBe(large - 4 * BLOCK - 5 * PAGE);
      s.k.check();
      s.done();
    }
  });
});
