import { describe, expect, it } from 'vitest';
import { PA, VA } from '../../../src/base/index.js';
import { PageTableLayout } from '../../../src/kernel/arch/pgtable/index.js';
import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_EXEC,
  PROT_MTE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../../../src/kernel/mm/index.js';
import { boot, pattern } from '../kernel-fixture.js';

const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS;
const PAGE = 4096;
const [ENOMEM, EEXIST, EINVAL, EFAULT, ENODEV] = [12, 17, 22, 14, 19];

const va = (addr: number) => VA(BigInt(addr));

describe('mmap and munmap', () => {
  it('places top down, one below the other, and merges neighbours', () => {
    const k = boot();
    const u = k.user();
    const a = u.mmap(2, RW);
    const b = u.mmap(3, RW);
    expect(b).toBe(a - 3 * PAGE);
    expect(k.memory.vmas(u.as)).toHaveLength(1);
    const c = u.mmap(1, PROT_READ);
    expect(c).toBe(b - PAGE);
    expect(k.memory.vmas(u.as)).toHaveLength(2);
    expect(u.as.totalPages).toBe(6);
    k.check();
  });

  it('reuses a hole that munmap made', () => {
    const k = boot();
    const u = k.user();
    const a = u.mmap(4, RW);
    u.mmap(4, PROT_READ);
    expect(u.munmap(a + PAGE, 2)).toBe(0);
    expect(u.mmap(2, PROT_READ)).toBe(a + PAGE);
    expect(u.mmap(8, PROT_READ)).toBeLessThan(a);
    k.check();
  });

  it('MAP_FIXED replaces, MAP_FIXED_NOREPLACE refuses, hints are taken where free', () => {
    const k = boot();
    const u = k.user();
    const a = u.mmap(4, RW);
    u.store(a + PAGE, pattern(PAGE, 1));
    expect(u.mmap(1, RW, ANON | MAP_FIXED_NOREPLACE, a + PAGE)).toBe(-EEXIST);
    expect(u.mmap(1, RW, ANON | MAP_FIXED, a + PAGE)).toBe(a + PAGE);
    expect(u.load(a + PAGE, 16)!.every((x) => x === 0)).toBe(true);
    expect(u.mmap(1, RW, ANON, 0x10000000)).toBe(0x10000000);
    expect(u.mmap(1, RW, ANON, 0x10000000)).not.toBe(0x10000000);
    expect(u.mmap(1, RW, ANON | MAP_FIXED, 0x10000001)).toBe(-EINVAL);
    k.check();
  });

  it('refuses what it cannot do, by the right name', () => {
    const k = boot();
    const u = k.user();
    const map = (length: number, prot: number, flags: number, addr = 0n) =>
      k.run(k.memory.mmap(u.as, { addr: VA(addr), length, prot, flags }));
    expect(map(0, RW, ANON)).toBe(-EINVAL);
    expect(map(2 ** 60, RW, ANON)).toBe(-ENOMEM);
    expect(map(PAGE, RW, MAP_ANONYMOUS)).toBe(-EINVAL);
    expect(map(PAGE, RW, MAP_PRIVATE)).toBe(-ENODEV);
    expect(map(PAGE, RW, MAP_SHARED)).toBe(-ENODEV);
    expect(map(PAGE, RW, ANON | MAP_FIXED, 1n << 56n)).toBe(-ENOMEM);
    expect(u.munmap(0x1001, 1)).toBe(-EINVAL);
    expect(k.run(k.memory.munmap(u.as, va(0x1000), 0))).toBe(-EINVAL);
    expect(u.munmap(0x100000, 1)).toBe(0);
  });

  it('tables are freed when nothing needs them', () => {
    const k = boot();
    const u = k.user();
    const tables = () => k.memory.vmstat()['nr_page_table_pages'];
    const a = u.mmap(1, RW, ANON, 0x10000000);
    const b = u.mmap(1, RW, ANON, 0x10001000 + 0x40000000);
    u.store(a, new Uint8Array([1]));
    u.store(b, new Uint8Array([1]));
    const full = tables()!;
    u.munmap(b, 1);
    expect(tables()).toBeLessThan(full);
    expect(u.load(a, 1)![0]).toBe(1);
    u.munmap(a, 1);
    expect(tables()).toBe(1);
    k.check();
  });

  it('tagged addresses are accepted where Linux accepts them', () => {
    const k = boot();
    const u = k.user();
    const a = u.mmap(1, RW);
    const tagged = VA(BigInt(a) | (5n << 56n));
    expect(k.run(k.memory.mprotect(u.as, tagged, PAGE, PROT_READ))).toBe(0);
    expect(k.run(k.memory.madvise(u.as, tagged, PAGE, MADV_DONTNEED))).toBe(0);
    expect(k.memory.findVma(u.as, tagged)?.write).toBe(false);
    expect(k.run(k.memory.munmap(u.as, tagged, PAGE))).toBe(0);
    expect(k.run(k.memory.brk(u.as, tagged))).toBe(0);
  });
});

describe('faults', () => {
  it('reads map the zero page, the first write copies it', () => {
    const k = boot();
    const u = k.user();
    const a = u.mmap(1, RW);
    expect(u.load(a, PAGE)!.every((x) => x === 0)).toBe(true);
    expect(u.as.residentPages).toBe(0);
    expect(u.store(a, pattern(PAGE, 1))).toBe(true);
    expect(u.as.residentPages).toBe(1);
    k.check();
  });

  it('says MAPERR and ACCERR', () => {
    const k = boot();
    const u = k.user();
    const a = u.mmap(1, PROT_READ);
    const none = u.mmap(1, PROT_NONE);
    const maperr = { kind: 'signal', signal: 'SIGSEGV', code: 'MAPERR' };
    const accerr = { kind: 'signal', signal: 'SIGSEGV', code: 'ACCERR' };
    expect(u.fault(a, true)).toEqual(accerr);
    expect(u.fault(none, false)).toEqual(accerr);
    expect(u.fault(0x1000, false)).toEqual(maperr);
    const kernelHalf = VA(0xffff_8000_0000_0000n);
    const access = { write: false, exec: false, user: true, tagAccess: false };
    expect(k.run(k.memory.handleMmFault(u.as, kernelHalf, access))).toEqual(maperr);
    expect(k.run(k.memory.handleMmFault(u.as, va(a), { ...access, exec: true }))).toEqual(accerr);
  });

  it('a stack grows down to its limit, and not into its guard', () => {
    const k = boot();
    const u = k.user();
    const top = 0x7000_0000;
    expect(u.mmap(1, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, top - PAGE)).toBe(top - PAGE);
    expect(u.store(top - 100 * PAGE, new Uint8Array([1]))).toBe(true);
    expect(k.memory.findVma(u.as, va(top - 50 * PAGE))).toBeDefined();
    expect(u.fault(top - 16 * 2 ** 20, true)).toEqual({ kind: 'signal', signal: 'SIGSEGV', code: 'MAPERR' });
    u.mmap(1, RW, ANON | MAP_FIXED, top - 500 * PAGE);
    expect(u.store(top - 300 * PAGE, new Uint8Array([1]))).toBe(false);
    k.check();
  });

  it.each([4096, 16384, 65536] as const)('%i byte pages: map, write, read, protect, unmap', (pageSize) => {
    const k = boot({ pageSize, tagPages: 96, pageblockOrder: 5 });
    const u = k.user();
    const a = u.mmap(5, RW | PROT_MTE);
    for (let i = 0; i < 5; i++) {
      expect(u.store(a + i * pageSize, pattern(pageSize, i))).toBe(true);
      expect(u.storeTag(a + i * pageSize + pageSize - 16, i + 3)).toBe(true);
    }
    u.mprotect(a + pageSize, 1, PROT_READ);
    expect(u.store(a + pageSize, new Uint8Array([0]))).toBe(false);
    for (let i = 0; i < 5; i++) {
      expect(Buffer.compare(u.load(a + i * pageSize, pageSize)!, pattern(pageSize, i))).toBe(0);
      expect(u.loadTag(a + i * pageSize + pageSize - 16)).toBe(i + 3);
    }
    k.check();
    u.exit();
    k.check();
  });

  it('39 bits of address space work too', () => {
    expect(new PageTableLayout(12, 39).startLevel).toBe(1);
    expect([12, 14, 16].map((shift) => new PageTableLayout(shift as 12, 48).startLevel)).toEqual([0, 0, 1]);
    expect(new PageTableLayout(14, 48).topEntries).toBe(2);
    expect(new PageTableLayout(16, 48).topEntries).toBe(64);
  });
});

describe('mprotect', () => {
  it('splits and merges, and an error leaves what precedes it changed', () => {
    const k = boot();
    const u = k.user();
    const a = u.mmap(5, RW);
    expect(u.mprotect(a + PAGE, 1, PROT_READ)).toBe(0);
    expect(k.memory.vmas(u.as)).toHaveLength(3);
    expect(u.mprotect(a + PAGE, 1, RW)).toBe(0);
    expect(k.memory.vmas(u.as)).toHaveLength(1);
    u.munmap(a + 2 * PAGE, 1);
    expect(u.mprotect(a, 5, PROT_READ | PROT_MTE)).toBe(-ENOMEM);
    expect(k.memory.findVma(u.as, va(a))).toMatchObject({ write: false, mte: true });
    expect(k.memory.findVma(u.as, va(a + 4 * PAGE))).toMatchObject({ write: true, mte: false });
    expect(u.mprotect(a, 1, 0x1000)).toBe(-EINVAL);
    expect(u.mprotect(a + 1, 1, RW)).toBe(-EINVAL);
    k.check();
  });

  it("writable again, a page of one's own needs no fault", () => {
    const k = boot();
    const u = k.user();
    const a = u.mmap(1, RW);
    u.store(a, pattern(PAGE, 1));
    u.mprotect(a, 1, PROT_READ);
    expect(u.store(a, new Uint8Array([9]))).toBe(false);
    u.mprotect(a, 1, RW);
    expect(u.faults(a, true)).toBe(0);
    k.check();
  });
});

describe('fork', () => {
  it('shares until written; the last owner needs no copy', () => {
    const k = boot();
    const parent = k.user();
    const a = parent.mmap(1, RW);
    parent.store(a, pattern(PAGE, 1));
    k.tlb.length = 0;
    const child = parent.fork();
    // The parent's entries became read-only: no CPU may remember them otherwise.
    expect(k.tlb).toContain(`mm ${parent.as.asid}`);
    expect(child.pfn(a)).toBe(parent.pfn(a));
    child.store(a + 8, new Uint8Array([0xff]));
    expect(child.pfn(a)).not.toBe(parent.pfn(a));
    expect(Buffer.compare(parent.load(a, PAGE)!, pattern(PAGE, 1))).toBe(0);
    const before = parent.pfn(a);
    child.exit();
    parent.store(a, new Uint8Array([1]));
    expect(parent.pfn(a)).toBe(before);
    k.check();
  });

  it('generations of processes: every page finds all its mappings', () => {
    const k = boot();
    const first = k.user();
    const a = first.mmap(3, RW);
    for (let i = 0; i < 3; i++) first.store(a + i * PAGE, pattern(PAGE, i));
    const family = [first];
    for (let n = 0; n < 6; n++) {
      const child = family[n % family.length]!.fork();
      child.store(a + (n % 3) * PAGE, pattern(PAGE, 10 + n));
      family.push(child);
      k.check();
    }
    for (const [n, child] of family.slice(1).entries()) {
      expect(Buffer.compare(child.load(a + (n % 3) * PAGE, PAGE)!, pattern(PAGE, 10 + n))).toBe(0);
    }
    for (const process of family.reverse()) process.exit();
    expect(k.memory.vmstat()['nr_page_table_pages']).toBe(0);
    expect(k.mm.anonVmas.count).toBe(0);
    k.check();
  });

  it('without memory it fails and leaves nothing', () => {
    const k = boot();
    const parent = k.user();
    const a = parent.mmap(600, RW);
    for (let i = 0; i < 600; i++) parent.store(a + i * PAGE, new Uint8Array([i]));
    const tables = k.memory.vmstat()['nr_page_table_pages'];
    for (let n = 1; n < 8; n++) {
      let left = n;
      k.mm.shouldFail = (what) => what === 'page_alloc' && --left === 0;
      const child = k.run(k.memory.cloneAddressSpace(parent.as));
      k.mm.shouldFail = () => false;
      if (typeof child !== 'number') {
        k.run(k.memory.exitMmap(child));
      } else {
        expect([-11, -ENOMEM]).toContain(child);
      }
      expect(k.memory.vmstat()['nr_page_table_pages']).toBe(tables);
      k.check();
    }
  });
});

describe('brk', () => {
  it('grows, shrinks and says where it is', () => {
    const k = boot();
    const u = k.user();
    u.as.setBrk(va(0x20000000));
    const brk = (at: number) => k.run(k.memory.brk(u.as, va(at)));
    expect(brk(0)).toBe(0x20000000);
    expect(brk(0x20003001)).toBe(0x20003001);
    expect(u.store(0x20003000, pattern(PAGE, 1))).toBe(true);
    expect(brk(0x20001000)).toBe(0x20001000);
    expect(u.store(0x20003000, new Uint8Array([1]))).toBe(false);
    expect(k.memory.vmas(u.as).map((vma) => vma.name)).toEqual(['[heap]']);
    u.mmap(1, RW, ANON | MAP_FIXED, 0x20005000);
    expect(brk(0x20006000)).toBe(0x20001000);
    k.check();
  });
});

describe('mremap', () => {
  it('grows in place, moves with data and tags, shrinks', () => {
    const k = boot();
    const u = k.user();
    const a = u.mmap(2, RW | PROT_MTE, ANON, 0x30000000);
    u.store(a, pattern(PAGE, 1));
    u.storeTag(a, 6);
    const remap = (at: number, from: number, to: number, flags: number, target = 0) =>
      k.run(k.memory.mremap(u.as, va(at), from * PAGE, to * PAGE, flags, va(target)));
    expect(remap(a, 2, 4, 0)).toBe(a);
    u.mmap(1, RW, ANON | MAP_FIXED, a + 4 * PAGE);
    expect(remap(a, 4, 8, 0)).toBe(-ENOMEM);
    const moved = remap(a, 4, 8, MREMAP_MAYMOVE);
    expect(moved).not.toBe(a);
    expect(Buffer.compare(u.load(moved, PAGE)!, pattern(PAGE, 1))).toBe(0);
    expect(u.loadTag(moved)).toBe(6);
    expect(u.load(a, 1)).toBeUndefined();
    expect(remap(moved, 8, 2, 0)).toBe(moved);
    expect(remap(moved, 2, 2, MREMAP_MAYMOVE | MREMAP_FIXED, 0x50000000)).toBe(0x50000000);
    expect(u.loadTag(0x50000000)).toBe(6);
    expect(remap(0x60000000, 1, 2, 0)).toBe(-EFAULT);
    k.check();
  });

  it('of nothing makes a second mapping of the same pages, of shared memory only', () => {
    const k = boot();
    const u = k.user();
    const a = u.mmap(3, RW | PROT_MTE, 0x21);
    u.store(a + PAGE, pattern(PAGE, 1));
    u.storeTag(a + PAGE, 6);
    const mirror = (at: number, pages: number, flags: number, target = 0) =>
      k.run(k.memory.mremap(u.as, va(at), 0, pages * PAGE, flags, va(target)));
    const b = mirror(a + PAGE, 2, MREMAP_MAYMOVE);
    expect(b).toBeGreaterThan(0);
    expect([u.loadTag(b), Buffer.compare(u.load(b, PAGE)!, pattern(PAGE, 1))]).toEqual([6, 0]);
    u.store(b + PAGE, pattern(PAGE, 2));
    u.storeTag(b + PAGE, 9);
    expect([u.loadTag(a + 2 * PAGE), Buffer.compare(u.load(a + 2 * PAGE, PAGE)!, pattern(PAGE, 2))]).toEqual([
      9, 0,
    ]);
    expect(mirror(a, 1, MREMAP_MAYMOVE | MREMAP_FIXED, 0x50000000)).toBe(0x50000000);
    expect(mirror(a, 1, 0)).toBe(-ENOMEM);
    expect(mirror(u.mmap(1, RW, ANON), 1, MREMAP_MAYMOVE)).toBe(-EINVAL);
    expect(mirror(0x60000000, 1, MREMAP_MAYMOVE)).toBe(-EFAULT);
    k.check();
    u.munmap(a, 3);
    expect([u.loadTag(b), u.loadTag(b + PAGE)]).toEqual([6, 9]);
    u.exit();
    k.check();
  });

  it('without memory for tables everything stays where it was', () => {
    const k = boot();
    const u = k.user();
    const a = u.mmap(3, RW, ANON, 0x30000000);
    for (let i = 0; i < 3; i++) u.store(a + i * PAGE, pattern(PAGE, i));
    k.mm.shouldFail = (what) => what === 'page_alloc';
    const target = va(0x4000_0000_0000);
    expect(k.run(k.memory.mremap(u.as, va(a), 3 * PAGE, 3 * PAGE, 3, target))).toBe(-ENOMEM);
    k.mm.shouldFail = () => false;
    for (let i = 0; i < 3; i++) expect(Buffer.compare(u.load(a + i * PAGE, PAGE)!, pattern(PAGE, i))).toBe(0);
    k.check();
  });
});

describe('user copies', () => {
  it('fault pages in, stop at what is not there, and at the first wrong tag when asked', () => {
    const k = boot();
    const u = k.user();
    const a = u.mmap(3, RW);
    const data = pattern(3 * PAGE, 4);
    expect(k.run(k.memory.copyToUser(u.as, va(a + 100), data.subarray(0, 2 * PAGE)))).toBe(2 * PAGE);
    expect(
      Buffer.compare(k.run(k.memory.copyFromUser(u.as, va(a + 100), 2 * PAGE)), data.subarray(0, 2 * PAGE)),
    ).toBe(0);
    u.munmap(a + 2 * PAGE, 1);
    expect(k.run(k.memory.copyFromUser(u.as, va(a + PAGE), 2 * PAGE))).toHaveLength(PAGE);
    expect(k.run(k.memory.copyToUser(u.as, va(a + PAGE), data))).toBe(PAGE);
    expect(k.run(k.memory.copyFromUser(u.as, va(0x1000), 2 ** 40))).toHaveLength(0);

    const t = u.mmap(1, RW | PROT_MTE);
    u.storeTag(t, 5);
    u.storeTag(t + 16, 5);
    const pointer = VA(BigInt(t + 4) | (5n << 56n));
    const copy = (checkTags: boolean) => k.run(k.memory.copyFromUser(u.as, pointer, 100, { checkTags }));
    expect(copy(false)).toHaveLength(100);
    expect(copy(true)).toHaveLength(28);
    expect(k.run(k.memory.copyToUser(u.as, pointer, new Uint8Array(64), { checkTags: true }))).toBe(28);
    k.check();
  });

  it('a loader writes into text that its process cannot write, and code is made visible', () => {
    const k = boot();
    const u = k.user();
    const a = u.mmap(2, PROT_READ | PROT_EXEC);
    expect(u.store(a, new Uint8Array([1]))).toBe(false);
    k.port.maintenance.length = 0;
    expect(k.run(k.memory.accessRemoteWrite(u.as, va(a + 4090), pattern(20, 1)))).toBe(20);
    expect(Buffer.compare(u.load(a + 4096, 14)!, pattern(20, 1).subarray(6))).toBe(0);
    expect(k.port.maintenance.filter((line) => line.startsWith('inval-code')).length).toBeGreaterThan(1);
    expect(k.memory.virtToPhys(u.as, va(a))).toMatchObject({ write: false, exec: true });
    expect(k.run(k.memory.accessRemoteWrite(u.as, va(0x1000), new Uint8Array(4)))).toBe(0);
    k.check();
  });
});

describe('scale', () => {
  it('a memmap of 4 million pages takes little time and at most 64 bytes a page', () => {
    const started = performance.now();
    const k = boot({ banks: [{ base: PA(0x8000_0000), size: 2 ** 34 }], regions: [], policy: 'static' });
    expect(performance.now() - started).toBeLessThan(3000);
    expect(k.mm.memmap.pages).toBe(2 ** 22);
    const m = k.mm.memmap;
    const fields = [
      m.flags,
      m.refcount,
      m.mapcount,
      m.order,
      m.compoundHead,
      m.mapping,
      m.index,
      m.private,
      m.next,
      m.prev,
    ];
    expect(fields.reduce((n, field) => n + field.byteLength, 0) / m.pages).toBeLessThan(64);
    const u = k.user();
    const a = u.mmap(10, RW);
    for (let i = 0; i < 10; i++) expect(u.store(a + i * PAGE, new Uint8Array([1]))).toBe(true);
  });
});
