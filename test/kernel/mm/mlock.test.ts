/** mlock and its relatives: what is locked is there and stays, is counted, and is let go of by the last who locked it. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { VA } from '../../../src/base/index.js';
import { EAGAIN, EINVAL, ENOMEM, EPERM } from '../../../src/kernel/contexts/index.js';
import type { Page } from '../../../src/kernel/mm/index.js';
import {
  allocPages,
  folioIsolateLru,
  folioPutbackLru,
  GFP_HIGHUSER_MOVABLE,
  lruAddDrainAll,
  MADV_DONTNEED,
  migratePages,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  tryToFreePages,
  VM_LOCKED,
} from '../../../src/kernel/mm/index.js';
import { mtemu } from '../../cli/in-process.js';
import { boot, type Fixture, pattern, type User } from '../kernel-fixture.js';

const PAGE = 4096;
const RW = PROT_READ | PROT_WRITE;
const NO_LIMIT = Number.POSITIVE_INFINITY;
const MAP_LOCKED = 0x2000;
const CURRENT = 1;
const FUTURE = 2;
const ONFAULT = 4;

const machine = () => boot({ tagPages: 64, pageblockOrder: 5, swapPages: 512 });
const lock = (k: Fixture, u: User, addr: number, pages: number, onFault = false, limit = NO_LIMIT) =>
  k.run(k.memory.mlock(u.as, VA(BigInt(addr)), pages * PAGE, onFault, limit));
const unlock = (k: Fixture, u: User, addr: number, pages: number) =>
  k.run(k.memory.munlock(u.as, VA(BigInt(addr)), pages * PAGE));
const isLocked = (k: Fixture, u: User, addr: number) =>
  ((k.memory.findVma(u.as, VA(BigInt(addr)))?.flags ?? 0) & VM_LOCKED) !== 0;
const resident = (k: Fixture, u: User, addr: number, pages: number) =>
  Array.from({ length: pages }, (_, i) =>
    k.memory.residentPfn(u.as, VA(BigInt(addr + i * PAGE))) === undefined ? 0 : 1,
  ).reduce<number>((n, there) => n + there, 0);

function reclaim(k: Fixture): void {
  for (let i = 0; i < 60; i++) k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
}

function counts(k: Fixture) {
  k.run(lruAddDrainAll(k.mm));
  const { nr_mlock, nr_unevictable } = k.memory.vmstat();
  return [nr_mlock, nr_unevictable];
}

describe('mlock', () => {
  it('brings pages in, keeps them from reclaim, and lets go of them', () => {
    const k = machine();
    const u = k.user();
    const at = u.mmap(20, RW | PROT_MTE);
    for (let i = 10; i < 20; i++) u.store(at + i * PAGE, pattern(PAGE, i));
    expect(lock(k, u, at + 100, 5)).toBe(0);
    // Six pages: the range is rounded out at both ends.
    expect([resident(k, u, at, 6), k.memory.lockedPages(u.as)]).toEqual([6, 6]);
    expect(counts(k)).toEqual([6, 6]);
    expect(k.memory.meminfo()).toMatchObject({ Mlocked: 24, Unevictable: 24 });
    k.check();
    reclaim(k);
    expect([resident(k, u, at, 6), resident(k, u, at + 10 * PAGE, 10)]).toEqual([6, 0]);
    k.check();
    expect(unlock(k, u, at, 3)).toBe(0);
    expect(counts(k)).toEqual([3, 3]);
    reclaim(k);
    expect(resident(k, u, at, 6)).toBe(3);
    expect(u.munmap(at, 20)).toBe(0);
    expect(counts(k)).toEqual([0, 0]);
    k.check();
  });

  it('of what is there already, tags and all', () => {
    const k = machine();
    const u = k.user();
    const at = u.mmap(4, RW | PROT_MTE);
    for (let i = 0; i < 4; i++) u.storeTag(at + i * PAGE + 16, i + 1);
    expect(lock(k, u, at, 4)).toBe(0);
    reclaim(k);
    expect(resident(k, u, at, 4)).toBe(4);
    for (let i = 0; i < 4; i++) expect(u.loadTag(at + i * PAGE + 16)).toBe(i + 1);
    k.check();
  });

  it('on fault: nothing comes, and what comes stays', () => {
    const k = machine();
    const u = k.user();
    const at = u.mmap(8, RW);
    expect(lock(k, u, at, 8, true)).toBe(0);
    expect(resident(k, u, at, 8)).toBe(0);
    u.store(at + PAGE, pattern(PAGE, 1));
    expect(counts(k)).toEqual([1, 1]);
    reclaim(k);
    expect(resident(k, u, at, 8)).toBe(1);
    k.check();
  });

  it('twice is once; of a part of a mapping is of the part', () => {
    const k = machine();
    const u = k.user();
    const at = u.mmap(9, RW);
    expect([lock(k, u, at + 3 * PAGE, 3), lock(k, u, at + 3 * PAGE, 3)]).toEqual([0, 0]);
    expect([0, 3, 5, 6].map((i) => isLocked(k, u, at + i * PAGE))).toEqual([false, true, true, false]);
    expect(k.memory.vmas(u.as)).toHaveLength(3);
    expect([k.memory.lockedPages(u.as), counts(k)]).toEqual([3, [3, 3]]);
    expect(unlock(k, u, at, 9)).toBe(0);
    expect(k.memory.vmas(u.as)).toHaveLength(1);
    expect(counts(k)).toEqual([0, 0]);
    k.check();
  });

  it('refuses holes, what cannot be read, and what goes beyond the limit', () => {
    const k = machine();
    const u = k.user();
    const at = u.mmap(8, RW);
    u.munmap(at + 4 * PAGE, 1);
    expect(lock(k, u, at, 8)).toBe(-ENOMEM);
    expect([isLocked(k, u, at), isLocked(k, u, at + 5 * PAGE)]).toEqual([true, false]);
    expect(unlock(k, u, at, 8)).toBe(-ENOMEM);
    const none = u.mmap(1, 0);
    expect(lock(k, u, none, 1)).toBe(-ENOMEM);
    expect(isLocked(k, u, none)).toBe(true);
    unlock(k, u, none, 1);
    expect(lock(k, u, at, 3, false, 2 * PAGE)).toBe(-ENOMEM);
    expect(lock(k, u, at, 2, false, 2 * PAGE)).toBe(0);
    // Locked already, it does not count twice; more is more.
    expect(lock(k, u, at, 2, false, 2 * PAGE)).toBe(0);
    expect(lock(k, u, at + PAGE, 2, false, 2 * PAGE)).toBe(-ENOMEM);
    expect(lock(k, u, at, 1, false, 0)).toBe(-EPERM);
    k.check();
  });

  it('is not inherited, and what is shared stays locked as long as anybody has locked it', () => {
    const k = machine();
    const u = k.user();
    const at = u.mmap(2, RW, 0x21);
    u.store(at, pattern(PAGE, 1));
    u.store(at + PAGE, pattern(PAGE, 2));
    expect(lock(k, u, at, 2)).toBe(0);
    const child = u.fork();
    expect([isLocked(k, child, at), k.memory.lockedPages(child.as)]).toEqual([false, 0]);
    expect(lock(k, child, at, 1)).toBe(0);
    expect(counts(k)).toEqual([2, 2]);
    u.exit();
    // The child maps both only where it has locked them.
    expect(counts(k)[0]).toBe(1);
    child.exit();
    expect(counts(k)).toEqual([0, 0]);
    k.check();
  });

  it('ends for the page that a write after fork leaves to the child', () => {
    const k = machine();
    const u = k.user();
    const at = u.mmap(1, RW);
    u.store(at, pattern(PAGE, 1));
    lock(k, u, at, 1);
    const child = u.fork();
    u.store(at, pattern(PAGE, 2));
    expect(counts(k)[0]).toBe(1);
    expect(Buffer.compare(child.load(at, PAGE)!, pattern(PAGE, 1))).toBe(0);
    reclaim(k);
    expect([resident(k, u, at, 1), resident(k, child, at, 1)]).toEqual([1, 0]);
    k.check();
  });

  it('survives migration, and MADV_DONTNEED does not get past it', () => {
    const k = machine();
    const u = k.user();
    const at = u.mmap(1, RW | PROT_MTE);
    u.storeTag(at, 3);
    lock(k, u, at, 1);
    k.run(lruAddDrainAll(k.mm));
    const before = u.pfn(at)!;
    const page = k.mm.memmap.pfnToPage(before)! as Page;
    expect(folioIsolateLru(k.mm, page)).toBe(true);
    const list = [page];
    k.run(migratePages(k.mm, list, () => allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0)));
    for (const left of list) k.run(folioPutbackLru(k.mm, left));
    expect(k.memory.residentPfn(u.as, VA(BigInt(at)))).not.toBe(before);
    expect(counts(k)).toEqual([1, 1]);
    expect(u.madvise(at, 1, MADV_DONTNEED)).toBe(-EINVAL);
    expect(u.loadTag(at)).toBe(3);
    k.check();
  });
});

describe('mappings that are locked from the start', () => {
  it('MAP_LOCKED', () => {
    const k = machine();
    const u = k.user();
    const at = u.mmap(5, RW, 0x22 | MAP_LOCKED);
    expect([resident(k, u, at, 5), counts(k)]).toEqual([5, [5, 5]]);
    const request = { addr: VA(0n), length: 3 * PAGE, prot: RW, flags: 0x22 | MAP_LOCKED };
    expect(k.run(k.memory.mmap(u.as, { ...request, lockLimit: 7 * PAGE }))).toBe(-EAGAIN);
    expect(k.run(k.memory.mmap(u.as, { ...request, lockLimit: 0 }))).toBe(-EPERM);
    expect(k.run(k.memory.mmap(u.as, { ...request, lockLimit: 8 * PAGE }))).toBeGreaterThan(0);
    expect(k.memory.lockedPages(u.as)).toBe(8);
    k.check();
  });

  it('mlockall: what is there, what comes, or what comes when it is touched', () => {
    const k = machine();
    const u = k.user();
    const all = (flags: number, limit = NO_LIMIT) => k.run(k.memory.mlockall(u.as, flags, limit));
    const old = u.mmap(3, RW);
    expect([all(0), all(8), all(ONFAULT), all(CURRENT, 0), all(CURRENT, PAGE)]).toEqual([
      -EINVAL,
      -EINVAL,
      -EINVAL,
      -EPERM,
      -ENOMEM,
    ]);
    expect(all(FUTURE)).toBe(0);
    expect([isLocked(k, u, old), resident(k, u, old, 3)]).toEqual([false, 0]);
    const next = u.mmap(2, RW, 0x22);
    expect([isLocked(k, u, next), resident(k, u, next, 2)]).toEqual([true, 2]);
    expect(all(CURRENT | ONFAULT)).toBe(0);
    expect([isLocked(k, u, old), resident(k, u, old, 3)]).toEqual([true, 0]);
    expect(isLocked(k, u, u.mmap(1, PROT_READ))).toBe(false);
    expect(all(CURRENT)).toBe(0);
    expect(resident(k, u, old, 3)).toBe(3);
    expect(k.run(k.memory.munlockall(u.as))).toBe(0);
    expect([k.memory.lockedPages(u.as), counts(k)]).toEqual([0, [0, 0]]);
    k.check();
  });

  it('grow locked', () => {
    const k = machine();
    const u = k.user();
    const at = u.mmap(2, RW);
    lock(k, u, at, 2);
    const moved = k.run(k.memory.mremap(u.as, VA(BigInt(at)), 2 * PAGE, 6 * PAGE, 1, VA(0n)));
    expect(moved).toBeGreaterThan(0);
    expect([resident(k, u, moved, 6), k.memory.lockedPages(u.as), counts(k)]).toEqual([6, 6, [6, 6]]);
    k.check();
  });
});

it('a program: mlock, mlock2, munlock, mlockall, and what /proc says of it', async () => {
  const root = new URL('../../..', import.meta.url).pathname;
  const runtime = readFileSync(`${root}test/kernel/programs/runtime.inc`, 'utf8');
  const program = `
        .include "runtime.inc"
        .global _start
_start:
        mov     x0, #0
        mov     x1, #0x8000
        mov     x2, #3
        mov     x3, #0x22
        mov     x4, #-1
        mov     x5, #0
        call    SYS_mmap
        mov     x19, x0
        mov     x1, #0x2000
        call    228                     // mlock
        show    x0
        add     x0, x19, #0x4000
        mov     x1, #0x1000
        mov     x2, #1                  // MLOCK_ONFAULT
        call    284
        show    x0
        mov     x0, x19
        mov     x1, #0x1000
        mov     x2, #2
        call    284
        show    x0
        mov     x0, #-100
        adr     x1, status
        mov     x2, #0
        mov     x3, #0
        call    56
        mov     x20, x0
        sub     sp, sp, #4096
        mov     x0, x20
        mov     x1, sp
        mov     x2, #4096
        call    63
        mov     x2, x0
        mov     x0, #1
        mov     x1, sp
        call    64
        mov     x0, x19
        mov     x1, #0x8000
        call    229
        show    x0
        mov     x0, #8
        call    230
        show    x0
        finish
status: .asciz "/proc/self/status"
`;
  const files = { 'p.s': program, 'runtime.inc': runtime };
  const { status, stdout, stderr } = await mtemu(['run', '--check', '--stats', 'p.s'], files);
  expect(status).toBe(0);
  const numbers = stdout.split('\n').filter((line) => /^[0-9a-f]{16}$/.test(line));
  const minusEinval = 'ffffffffffffffea';
  expect(numbers).toEqual([
    '0000000000000000',
    '0000000000000000',
    minusEinval,
    '0000000000000000',
    minusEinval,
  ]);
  expect(stdout).toMatch(/^VmLck:\s+12 kB$/m);
  const { vmstat } = JSON.parse(stderr.trim().split('\n').at(-1)!);
  expect(vmstat).toMatchObject({ unevictable_pgs_mlocked: 2, unevictable_pgs_munlocked: 2, nr_mlock: 0 });
});
