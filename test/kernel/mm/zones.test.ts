/** ZONE_MOVABLE: where it begins, who may use it, and tag storage in it or across its edge; boot options. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { MmStruct, MovableCore, Page } from '../../../src/kernel/mm/index.js';
import {
  allocPages,
  FOLL_LONGTERM,
  FOLL_PIN,
  FOLL_WRITE,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  getUserPage,
  lruAddDrainAll,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  putPage,
  unpinUserPage,
  ZONE_DMA32,
  ZONE_MOVABLE,
} from '../../../src/kernel/mm/index.js';
import { movableCoreOf } from '../../../src/kernel/tag-storage/index.js';
import { mtemu } from '../../cli/in-process.js';
import { boot, type Fixture, pattern } from '../kernel-fixture.js';

const PAGE = 4096;
const RW = PROT_READ | PROT_WRITE;
const MiB = 2 ** 20;
/** 64 MiB of data, 2 MiB of tag storage. */
const TOTAL = 33 * 512;
/** The largest buddy block, to which the zone's start is rounded up. */
const ALIGN = 1024;

const machine = (movable: MovableCore): Fixture => boot({ pageblockOrder: 5, movable });

const zones = (k: Fixture) =>
  Object.fromEntries(k.mm.zones.map(({ name, presentPages }) => [name, presentPages]));

describe('where ZONE_MOVABLE begins', () => {
  it.each<[string, MovableCore, number | undefined]>([
    ['nobody asked', {}, undefined],
    ['movablecore', { movablecore: { bytes: 16 * MiB } }, TOTAL - 4096],
    ['movablecore, rounded up', { movablecore: { bytes: 16 * MiB + 1 } }, TOTAL - 4096],
    ['kernelcore', { kernelcore: { bytes: 20 * MiB } }, 5120],
    ['a share', { kernelcore: { percent: 50 } }, TOTAL / 2],
    ['the kernel asks for more', { kernelcore: { bytes: 40 * MiB }, movablecore: { percent: 75 } }, 10240],
    [
      'the kernel asks for less',
      { kernelcore: { bytes: 4 * MiB }, movablecore: { bytes: 8 * MiB } },
      TOTAL - 2048,
    ],
    ['all for the kernel', { kernelcore: { percent: 100 } }, undefined],
    ['nothing for the kernel', { movablecore: { percent: 100 } }, undefined],
    ['more than there is', { kernelcore: { bytes: 2 ** 40 } }, undefined],
  ])('%s', (_what, movable, core) => {
    const k = machine(movable);
    k.check();
    if (core === undefined) {
      expect(zones(k)).toEqual({ DMA32: TOTAL });
      return;
    }
    const start = Math.ceil(core / ALIGN) * ALIGN;
    expect(zones(k)).toEqual({ DMA32: start, Movable: TOTAL - start });
    const edge = k.mm.memmap.pfnToPage(k.mm.zones[0]!.startPfn + start)!;
    expect([k.mm.memmap.zoneOf((edge - 1) as Page), k.mm.memmap.zoneOf(edge)]).toEqual([
      ZONE_DMA32,
      ZONE_MOVABLE,
    ]);
  });
});

describe('who may use it', () => {
  const fill = (k: Fixture, gfp: number): Page[] => {
    const held: Page[] = [];
    for (;;) {
      const page = k.run(allocPages(k.mm, gfp, 0));
      if (page === undefined) return held;
      held.push(page);
    }
  };
  const inMovable = (k: Fixture, pages: readonly Page[]) =>
    pages.filter((page) => k.mm.memmap.zoneOf(page) === ZONE_MOVABLE).length;

  it('the kernel never, programs first of all', () => {
    const k = boot({ pageblockOrder: 5, policy: 'static', movable: { movablecore: { bytes: 16 * MiB } } });
    const movable = k.mm.zones[1]!;
    const free = movable.freePages;
    const kernel = fill(k, GFP_KERNEL);
    expect(kernel.length).toBeGreaterThan(10_000);
    expect([inMovable(k, kernel), movable.freePages]).toEqual([0, free]);
    for (const page of kernel) k.run(putPage(k.mm, page));
    const user = fill(k, GFP_HIGHUSER_MOVABLE);
    expect(inMovable(k, user.slice(0, 1000))).toBe(1000);
    expect(movable.freePages).toBeLessThanOrEqual(movable.watermark[0]!);
    expect(user.length).toBeGreaterThan(kernel.length + inMovable(k, user) - 200);
    for (const page of user) k.run(putPage(k.mm, page));
    k.check();
  });

  it('keeps a reserve of its own size only, and costs the kernel none', () => {
    const k = machine({ movablecore: { bytes: 32 * MiB } });
    expect(k.mm.zones[1]!.watermark[0]).toBe(32);
    const [dma32] = k.mm.zones;
    const kib = dma32!.managedPages * 4;
    expect(dma32!.watermark[0]).toBe(Math.floor(Math.floor(Math.sqrt(kib * 16)) / 4));
    // lowmem_reserve_ratio: a page of each 256 above.
    expect(dma32!.lowmemReserve[ZONE_MOVABLE]).toBe(Math.floor(k.mm.zones[1]!.managedPages / 256));
  });

  it('a long-term pin moves the page out first, tags and all', () => {
    const k = machine({ movablecore: { bytes: 32 * MiB } });
    const user = k.user();
    const at = user.mmap(1, RW | PROT_MTE);
    user.store(at, pattern(PAGE, 5));
    user.storeTag(at + 64, 9);
    const zoneOf = () => k.mm.memmap.zoneOf(k.mm.memmap.pfnToPage(user.pfn(at)!)!);
    expect(zoneOf()).toBe(ZONE_MOVABLE);
    const short = k.run(getUserPage(k.mm, user.as as MmStruct, at, FOLL_PIN | FOLL_WRITE)) as Page;
    expect(zoneOf()).toBe(ZONE_MOVABLE);
    k.run(unpinUserPage(k.mm, short));
    const long = k.run(
      getUserPage(k.mm, user.as as MmStruct, at, FOLL_PIN | FOLL_WRITE | FOLL_LONGTERM),
    ) as Page;
    expect(long).toBeGreaterThanOrEqual(0);
    expect(user.touch(at, true)).toBeDefined();
    expect(zoneOf()).toBe(ZONE_DMA32);
    expect([user.loadTag(at + 64), Buffer.compare(user.load(at, PAGE)!, pattern(PAGE, 5))]).toEqual([9, 0]);
    k.run(unpinUserPage(k.mm, long));
    k.check();
  });
});

describe('tag storage', () => {
  it('in it is lent, and had back', () => {
    const k = machine({ movablecore: { bytes: 16 * MiB } });
    expect(k.memory.snapshotTagStorage().enabled).toBe(true);
    const free = k.unused();
    const user = k.user();
    const plain = user.mmap(16_000, RW);
    for (let i = 0; i < 15_500; i++) user.store(plain + i * PAGE, Uint8Array.of(i));
    expect(k.memory.snapshotTagStorage().data).toBeGreaterThan(300);
    const tagged = user.mmap(64, RW | PROT_MTE);
    for (let i = 0; i < 64; i++) user.storeTag(tagged + i * PAGE, 1 + (i % 15));
    for (let i = 0; i < 64; i++) expect(user.loadTag(tagged + i * PAGE)).toBe(1 + (i % 15));
    for (let i = 0; i < 15_500; i++) expect(user.load(plain + i * PAGE, 1)![0]).toBe(i & 255);
    k.check();
    user.exit();
    k.run(lruAddDrainAll(k.mm));
    k.check();
    expect(k.unused()).toBe(free);
  });

  it('across its edge is split there, and every page keeps its block', () => {
    const dataPages = 64 * 1024;
    const k = boot({
      pageblockOrder: 5,
      tagPages: 2048,
      movable: { kernelcore: { bytes: (dataPages + 1024) * PAGE } },
    });
    expect(k.memory.snapshotTagStorage().enabled).toBe(true);
    expect(k.mm.cmaAreas.map(({ count }) => count)).toEqual([1024, 1024]);
    const user = k.user();
    const at = user.mmap(200, RW | PROT_MTE);
    for (let i = 0; i < 200; i++) user.storeTag(at + i * PAGE + 16, 1 + (i % 15));
    for (let i = 0; i < 200; i++) expect(user.loadTag(at + i * PAGE + 16)).toBe(1 + (i % 15));
    k.check();
  });
});

describe('the kernel command line', () => {
  it.each([
    ['', {}],
    ['quiet kernelcore=512M', { kernelcore: { bytes: 512 * MiB } }],
    ['movablecore=25%', { movablecore: { percent: 25 } }],
    [
      'movablecore=1 kernelcore=1G movablecore=0x1000',
      { kernelcore: { bytes: 1024 * MiB }, movablecore: { bytes: 4096 } },
    ],
  ])('%j', (bootargs, expected) => {
    expect(movableCoreOf(bootargs)).toEqual(expected);
  });

  it.each(['kernelcore=', 'kernelcore=mirror', 'movablecore=101%', 'movablecore=-4M'])(
    '%s is refused',
    (bootargs) => {
      expect(() => movableCoreOf(bootargs)).toThrow(/is no amount of memory/);
    },
  );

  const root = new URL('../../..', import.meta.url).pathname;
  const runtime = readFileSync(`${root}test/kernel/programs/runtime.inc`, 'utf8');
  const tree = (bootargs: string) =>
    readFileSync(`${root}dts/default.dts`, 'utf8').replace('bootargs = ""', `bootargs = "${bootargs}"`);
  const program = '\t.include "runtime.inc"\n\t.global _start\n_start:\n\tfinish\n';
  const run = (bootargs: string) =>
    mtemu(['run', '--machine', 'm.dts', '--stats', 'p.s'], {
      'm.dts': tree(bootargs),
      'p.s': program,
      'runtime.inc': runtime,
    });
  const stats = (stderr: string) => JSON.parse(stderr.trim().split('\n').at(-1)!);

  it('movablecore=: a program lives in ZONE_MOVABLE', async () => {
    const { status, stderr } = await run('movablecore=64M');
    expect(status).toBe(0);
    expect(stats(stderr).vmstat.pgalloc_movable).toBeGreaterThan(0);
    expect(stats((await run('')).stderr).vmstat.pgalloc_movable).toBe(0);
    expect(await run('movablecore=x')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/BOOT-CORE/),
    });
  });

  it('kasan=on and arm64.nomte: tag storage is not lent, with and without tags', async () => {
    const lent = async (bootargs: string) => stats((await run(bootargs)).stderr).tagStorage.enabled;
    expect([await lent(''), await lent('kasan=on'), await lent('arm64.nomte')]).toEqual([true, false, false]);
  });
});
