/** Files in memory: shared and private mappings, truncation, migration, tags of pages that many map. */
import { describe, expect, it } from 'vitest';
import { VA } from '../../../src/base/index.js';
import { EACCES, EINVAL } from '../../../src/kernel/contexts/index.js';
import type { FileOptions, MappableFile, Page, TagRegion } from '../../../src/kernel/mm/index.js';
import {
  allocPages,
  folioIsolateLru,
  freePages,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  lruAddDrainAll,
  MADV_DONTNEED,
  MAP_PRIVATE,
  MAP_SHARED,
  migratePages,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
} from '../../../src/kernel/mm/index.js';
import type { Fixture, User } from '../kernel-fixture.js';
import { boot, pattern } from '../kernel-fixture.js';

const RW = PROT_READ | PROT_WRITE;
const PAGE = 4096;
const ANON = 0x20;

function map(k: Fixture, u: User, file: MappableFile, prot: number, flags: number, offset = 0, pages = 4) {
  return k.run(
    k.memory.mmap(u.as, {
      addr: VA(0n),
      length: pages * PAGE,
      prot,
      flags,
      file,
      offset,
      readOnlyFile: false,
    }),
  );
}
const newFile = (k: Fixture, options: Partial<FileOptions> = {}) =>
  k.memory.newFile({ name: 'memfd:test', size: 4 * PAGE, ...options });
const text = (k: Fixture, file: MappableFile, at: number, n: number) =>
  new TextDecoder().decode(k.run(k.memory.readFile(file, at, n)));
const encode = (s: string) => new TextEncoder().encode(s);
const pageOf = (k: Fixture, u: User, addr: number): Page => k.mm.memmap.pfnToPage(u.pfn(addr)!)!;

function migrate(k: Fixture, page: Page): Page {
  k.run(lruAddDrainAll(k.mm));
  expect(folioIsolateLru(k.mm, page)).toBe(true);
  let to: Page | undefined;
  const left = k.run(
    migratePages(k.mm, [page], function* () {
      to = yield* allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0);
      return to;
    }),
  );
  expect(left).toBe(0);
  return to!;
}

describe('a tagged copy of a page that is in tag storage', () => {
  it.each(['cma', 'cma-v3-posted'])('moves the page away for its own tags: %s', (policy) => {
    // Two large blocks are lent: what is tagged takes back many pages of the file, its own among them.
    const k = boot({ tagPages: 1536, blockSizePages: 512, policy });
    const u = k.user();
    const file = newFile(k, { size: 300 * PAGE });
    const shared = Number(map(k, u, file, RW, MAP_SHARED, 0, 300));
    const copied = Number(map(k, u, file, RW | PROT_MTE, MAP_PRIVATE, 0, 300));
    const held: [Page, number][] = [];
    for (const order of [10, 6, 3, 0]) {
      for (;;) {
        const page = k.run(allocPages(k.mm, GFP_KERNEL, order));
        if (page === undefined) break;
        held.push([page, order]);
      }
    }
    const free = ([page, order]: [Page, number]) => k.run(freePages(k.mm, page, order));
    // For tables, and what finds pages by their place in the file.
    const spare = held.filter(([, order]) => order === 3).slice(0, 4);
    spare.forEach(free);
    for (let i = 0; i < 300; i++) expect([i, u.store(shared + i * PAGE, encode('file'))]).toEqual([i, true]);
    for (const each of held) if (!spare.includes(each)) free(each);
    const [{ tagStartPfn }] = k.regions as [TagRegion];
    const inTagStorage = () =>
      [...Array(300).keys()].filter((i) => u.pfn(shared + i * PAGE)! >= tagStartPfn).length;
    const before = inTagStorage();
    expect(before).toBeGreaterThan(200);
    for (let i = 0; i < 300; i++) {
      const at = copied + i * PAGE;
      expect(u.store(at, encode('copy'))).toBe(true);
      expect(u.storeTag(at, 5)).toBe(true);
      expect([u.load(shared + i * PAGE, 4), u.load(at, 4)]).toEqual([encode('file'), encode('copy')]);
    }
    expect(inTagStorage()).toBeLessThan(before);
    k.check();
  });
});

describe('shared anonymous memory', () => {
  it('is one memory for parent and child, written before or after the fork', () => {
    const k = boot();
    const parent = k.user();
    const at = parent.mmap(3, RW, MAP_SHARED | ANON);
    parent.store(at, encode('before'));
    const child = parent.fork();
    child.store(at + PAGE, encode('child'));
    parent.store(at, encode('after!'));
    expect(child.load(at, 6)).toEqual(encode('after!'));
    expect(parent.load(at + PAGE, 5)).toEqual(encode('child'));
    expect(parent.pfn(at)).toBe(child.pfn(at));
    expect(k.memory.meminfo()['Shmem']).toBe(8);
    k.check();
    parent.exit();
    expect(child.load(at, 6)).toEqual(encode('after!'));
    child.exit();
    expect([k.mm.inodes.size, k.mm.globalNodeState('nr_shmem'), k.mm.globalNodeState('nr_mapped')]).toEqual([
      0, 0, 0,
    ]);
    k.check();
  });

  it('keeps its contents through MADV_DONTNEED and munmap of a part', () => {
    const k = boot();
    const u = k.user();
    const at = u.mmap(3, RW, MAP_SHARED | ANON);
    for (let i = 0; i < 3; i++) u.store(at + i * PAGE, pattern(PAGE, i));
    expect(u.madvise(at, 3, MADV_DONTNEED)).toBe(0);
    expect(u.munmap(at + PAGE, 1)).toBe(0);
    expect(u.load(at + 2 * PAGE, PAGE)).toEqual(pattern(PAGE, 2));
    expect(u.load(at, PAGE)).toEqual(pattern(PAGE, 0));
    k.check();
    u.exit();
    expect(k.mm.inodes.size).toBe(0);
  });

  it('holds tags that all who map it tagged see', () => {
    const k = boot();
    const parent = k.user();
    const at = parent.mmap(1, RW | PROT_MTE, MAP_SHARED | ANON);
    parent.storeTag(at + 32, 7);
    const child = parent.fork();
    expect(child.loadTag(at + 32)).toBe(7);
    child.storeTag(at + 32, 9);
    expect(parent.loadTag(at + 32)).toBe(9);
    k.check();
    migrate(k, pageOf(k, parent, at));
    k.check();
    expect([parent.loadTag(at + 32), child.loadTag(at + 32)]).toEqual([9, 9]);
    k.check();
  });
});

describe('mappings of a file', () => {
  it('shared and by descriptor are one; private is a copy from the first write on', () => {
    const k = boot();
    const file = newFile(k);
    const a = k.user();
    const b = k.user();
    const shared = map(k, a, file, RW, MAP_SHARED);
    const priv = map(k, b, file, RW, MAP_PRIVATE);
    expect(k.run(k.memory.writeFile(file, PAGE - 3, encode('hello')))).toBe(5);
    expect(b.load(priv + PAGE - 3, 5 - 2)).toEqual(encode('hel'));
    a.store(shared + PAGE, encode('LO'));
    expect(text(k, file, PAGE - 3, 5)).toBe('helLO');
    b.store(priv + PAGE, encode('xx'));
    expect(text(k, file, PAGE - 3, 5)).toBe('helLO');
    a.store(shared + PAGE, encode('lo'));
    expect(b.load(priv + PAGE, 2)).toEqual(encode('xx'));
    k.check();
    const child = b.fork();
    child.store(priv + PAGE, encode('yy'));
    expect(b.load(priv + PAGE, 2)).toEqual(encode('xx'));
    k.check();
    for (const u of [a, b, child]) u.exit();
    expect(text(k, file, PAGE - 3, 5)).toBe('hello');
    k.run(k.memory.putFile(file));
    expect(k.mm.inodes.size).toBe(0);
    k.check();
  });

  it('offsets, merging and splitting keep each page where it belongs', () => {
    const k = boot();
    const file = newFile(k, { size: 8 * PAGE });
    const u = k.user();
    for (let i = 0; i < 8; i++) k.run(k.memory.writeFile(file, i * PAGE, pattern(PAGE, i)));
    const at = map(k, u, file, RW, MAP_SHARED, 2 * PAGE, 5);
    expect(u.mprotect(at + 2 * PAGE, 1, PROT_READ)).toBe(0);
    expect(k.memory.vmas(u.as)).toHaveLength(3);
    for (let i = 0; i < 5; i++) expect(u.load(at + i * PAGE, PAGE)).toEqual(pattern(PAGE, i + 2));
    expect(u.mprotect(at + 2 * PAGE, 1, RW)).toBe(0);
    expect(k.memory.vmas(u.as)).toHaveLength(1);
    const moved = k.run(k.memory.mremap(u.as, VA(BigInt(at + PAGE)), 2 * PAGE, 3 * PAGE, 1, VA(0n)));
    expect(u.load(moved, PAGE)).toEqual(pattern(PAGE, 3));
    expect(u.load(moved + 2 * PAGE, PAGE)).toEqual(pattern(PAGE, 5));
    expect(map(k, u, file, RW, MAP_SHARED, 100)).toBe(-EINVAL);
    k.check();
  });

  it('truncation unmaps, private copies included; beyond the end is SIGBUS; grown again it is zero', () => {
    const k = boot();
    const file = newFile(k);
    const a = k.user();
    const b = k.user();
    const shared = map(k, a, file, RW, MAP_SHARED);
    const priv = map(k, b, file, RW, MAP_PRIVATE);
    for (let i = 0; i < 4; i++) a.store(shared + i * PAGE, pattern(PAGE, i));
    b.store(priv + 3 * PAGE, encode('own'));
    expect(k.run(k.memory.truncateFile(file, PAGE + 10))).toBe(0);
    expect(a.fault(shared + 2 * PAGE, false)).toEqual({ kind: 'signal', signal: 'SIGBUS', code: 'ADRERR' });
    expect(b.fault(priv + 3 * PAGE, true)).toEqual({ kind: 'signal', signal: 'SIGBUS', code: 'ADRERR' });
    expect(a.load(shared + PAGE, PAGE)).toEqual(
      Uint8Array.from({ length: PAGE }, (_, i) => (i < 10 ? pattern(PAGE, 1)[i]! : 0)),
    );
    k.run(k.memory.truncateFile(file, 4 * PAGE));
    expect(a.load(shared + 2 * PAGE, PAGE)).toEqual(new Uint8Array(PAGE));
    expect(k.run(k.memory.readFile(file, 3 * PAGE, 2 * PAGE))).toHaveLength(PAGE);
    k.check();
  });

  it('a file read from elsewhere is read page by page, has no tags, and is not written', () => {
    const k = boot();
    const asked: number[] = [];
    const contents = pattern(3 * PAGE, 9).subarray(0, 2 * PAGE + 100);
    const file = newFile(k, {
      size: contents.length,
      read: (offset, length) => {
        asked.push(offset);
        return contents.subarray(offset, offset + length);
      },
    });
    const u = k.user();
    const at = map(k, u, file, RW, MAP_PRIVATE, 0, 3);
    expect(u.load(at + 2 * PAGE, 200)).toEqual(
      Uint8Array.from({ length: 200 }, (_, i) => (i < 100 ? contents[2 * PAGE + i]! : 0)),
    );
    u.store(at, encode('x'));
    expect(asked).toEqual([2 * PAGE, 0]);
    expect(k.run(k.memory.readFile(file, 0, 3))).toEqual(contents.subarray(0, 3));
    expect(k.run(k.memory.writeFile(file, 0, encode('no')))).toBe(-EINVAL);
    expect(map(k, u, file, RW | PROT_MTE, MAP_PRIVATE)).toBe(-EINVAL);
    expect(u.mprotect(at, 1, RW | PROT_MTE)).toBe(-EINVAL);
    k.check();
  });

  it('a descriptor open for reading cannot be mapped shared and writable, nor made so later', () => {
    const k = boot();
    const file = newFile(k);
    const u = k.user();
    const ask = (prot: number) =>
      k.run(
        k.memory.mmap(u.as, {
          addr: VA(0n),
          length: PAGE,
          prot,
          flags: MAP_SHARED,
          file,
          readOnlyFile: true,
        }),
      );
    expect(ask(RW)).toBe(-EACCES);
    const at = ask(PROT_READ);
    expect(at).toBeGreaterThan(0);
    expect(u.mprotect(at, 1, RW)).toBe(-EACCES);
    expect(k.memory.findVma(u.as, VA(BigInt(at)))?.shared).toBe(true);
  });

  it('migration moves a page for all who map it, and for the descriptor', () => {
    const k = boot();
    const file = newFile(k);
    const a = k.user();
    const b = k.user();
    const [x, y] = [map(k, a, file, RW, MAP_SHARED), map(k, b, file, PROT_READ, MAP_SHARED)];
    a.store(x, pattern(PAGE, 3));
    b.load(y, 1);
    const old = pageOf(k, a, x);
    const moved = migrate(k, old);
    expect(moved).not.toBe(old);
    expect([pageOf(k, a, x), pageOf(k, b, y)]).toEqual([moved, moved]);
    expect(k.run(k.memory.readFile(file, 0, PAGE))).toEqual(pattern(PAGE, 3));
    k.check();
    // With a read in progress it stays where it is.
    k.mm.memmap.refcount[moved]!++;
    k.run(lruAddDrainAll(k.mm));
    expect(folioIsolateLru(k.mm, moved)).toBe(true);
    const list = [moved];
    expect(k.run(migratePages(k.mm, list, () => allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0)))).toBe(1);
    expect(pageOf(k, a, x)).toBe(moved);
  });

  it('F25: the private copy of a page whose tags are stashed leaves the file its own', () => {
    const k = boot();
    const file = newFile(k);
    const a = k.user();
    const b = k.user();
    const tagged = map(k, a, file, RW | PROT_MTE, MAP_SHARED);
    const priv = map(k, b, file, RW, MAP_PRIVATE);
    a.store(tagged, pattern(PAGE, 4));
    a.storeTag(tagged + 48, 5);
    migrate(k, pageOf(k, a, tagged));
    expect(k.memory.tagStorageMetrics()['stashEntries']).toBe(1);
    b.store(priv, encode('copy'));
    expect(a.loadTag(tagged + 48)).toBe(5);
    expect(b.mprotect(priv, 1, RW | PROT_MTE)).toBe(0);
    expect(b.loadTag(priv + 48)).toBe(5);
    k.check();
  });
});
