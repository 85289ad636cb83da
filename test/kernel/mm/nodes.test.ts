/** Nodes: fallback by zonelist, counters of each, a node without CPUs, tag storage as a node of its own; from a tree. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PA, VA } from '../../../src/base/index.js';
import type { MaySleep } from '../../../src/kernel/contexts/index.js';
import { Scheduler } from '../../../src/kernel/contexts/index.js';
import type { Gfp, MmStruct, Page } from '../../../src/kernel/mm/index.js';
import {
  __GFP_DIRECT_RECLAIM,
  __GFP_THISNODE,
  allocLike,
  allocPages,
  balancePgdat,
  folioIsolateLru,
  freePages,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  ksmDoScan,
  kswapd,
  lruAddDrainAll,
  MADV_MERGEABLE,
  migratePages,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  putPage,
  taskNumaWork,
} from '../../../src/kernel/mm/index.js';
import { mtemu } from '../../cli/in-process.js';
import { boot, type Fixture, type FixtureOptions, pattern, type User } from '../kernel-fixture.js';

const PAGE = 4096;
const MiB = 2 ** 20;
const RW = PROT_READ | PROT_WRITE;
const BASE = 0x4000_0000;
/** As GFP_HIGHUSER_MOVABLE, but takes what there is. */
const TAKE = GFP_HIGHUSER_MOVABLE & ~__GFP_DIRECT_RECLAIM;

const bank = (nid: number, at: number, size: number) => ({ nid, base: PA(BASE + at), size });
const plain = (options: FixtureOptions): Fixture =>
  boot({ mte: false, regions: [], policy: 'static', ...options });

/** 16 MiB with the CPUs, 16 MiB without. */
const twoNodes = (more: FixtureOptions = {}): Fixture =>
  plain({ banks: [bank(0, 0, 16 * MiB), bank(1, 16 * MiB, 16 * MiB)], pageblockOrder: 5, ...more });

const nodeOf = (k: Fixture, page: Page) => k.mm.memmap.nodeOf(page);
const numa = (k: Fixture, nodeId: number) =>
  k.memory.nodeInfo().find((node) => node.nodeId === nodeId)!.numastat;

/** Allocates until `count` pages or nothing is left. */
function take(k: Fixture, count: number, gfp: Gfp = TAKE): Page[] {
  const pages: Page[] = [];
  while (pages.length < count) {
    const page = k.run(allocPages(k.mm, gfp, 0));
    if (page === undefined) break;
    pages.push(page);
  }
  return pages;
}

const give = (k: Fixture, pages: readonly Page[]) => {
  for (const page of pages) k.run(freePages(k.mm, page, 0));
};

describe('a second node without CPUs', () => {
  it('has zones, watermarks and lists of its own', () => {
    const k = twoNodes();
    expect(k.mm.zones.map(({ nodeId, name, presentPages }) => [nodeId, name, presentPages])).toEqual([
      [0, 'DMA32', 4096],
      [1, 'DMA32', 4096],
    ]);
    expect(k.memory.nodeInfo().map(({ cpus, distances }) => [cpus, distances])).toEqual([
      [[0], [10, 20]],
      [[], [20, 10]],
    ]);
    for (const { watermark, pcp } of k.mm.zones) {
      expect(watermark[0]).toBeGreaterThan(0);
      expect(pcp[0]!.high).toBeGreaterThan(0);
    }
    k.check();
  });

  it('is fallen back to when the first is at its low watermark, before its reserve is touched', () => {
    const k = twoNodes();
    const pages = take(k, 6000);
    expect(pages.length).toBe(6000);
    const first = pages.findIndex((page) => nodeOf(k, page) === 1);
    expect(first).toBeGreaterThan(3500);
    expect(pages.slice(first).every((page) => nodeOf(k, page) === 1)).toBe(true);
    const [near] = k.mm.zones;
    expect(near!.freePages).toBeLessThanOrEqual(near!.watermark[1]!);
    expect(near!.freePages).toBeGreaterThan(near!.watermark[0]!);
    // What was wanted near and had from afar, seen from both sides; nothing on node 1 is local to anybody.
    const far = 6000 - first;
    expect(numa(k, 1)).toMatchObject({ numa_miss: far, numa_foreign: 0, numa_local: 0, numa_other: far });
    expect(numa(k, 0)).toMatchObject({ numa_miss: 0, numa_foreign: far, numa_other: 0 });
    give(k, pages);
    k.check();
  });

  it('is not, for who wants one node only; and gives its memory to who asks for it', () => {
    const k = twoNodes();
    const near = take(k, 8000, TAKE | __GFP_THISNODE);
    expect(near.length).toBeLessThan(4096);
    expect(near.every((page) => nodeOf(k, page) === 0)).toBe(true);
    const page = k.run(allocPages(k.mm, GFP_KERNEL, 0, k.mm.nodes.at(1)))!;
    expect([nodeOf(k, page), numa(k, 1)['numa_hit']]).toEqual([1, 1]);
    give(k, [...near, page]);
  });

  it('moves with its pages: every counter is the node’s that has the page', () => {
    const k = twoNodes();
    const user = k.user();
    const at = user.mmap(8, RW);
    for (let i = 0; i < 8; i++) user.store(at + i * PAGE, pattern(PAGE, i + 1));
    k.run(lruAddDrainAll(k.mm));
    const anon = () => k.mm.nodes.online.map(({ stats }) => stats.nr_anon_pages);
    expect(anon()).toEqual([8, 0]);
    const list = [0, 1, 2].map((i) => k.mm.memmap.pfnToPage(user.pfn(at + i * PAGE)!)!);
    for (const page of list) expect(folioIsolateLru(k.mm, page)).toBe(true);
    const far = k.mm.nodes.at(1);
    expect(k.run(migratePages(k.mm, list, () => allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0, far)))).toBe(0);
    expect(anon()).toEqual([5, 3]);
    k.check();
    // Whatever is moved for another reason stays on its node.
    const moved = k.mm.memmap.pfnToPage(user.pfn(at)!)!;
    const like = k.run(allocLike(k.mm, moved, GFP_HIGHUSER_MOVABLE))!;
    expect(nodeOf(k, like)).toBe(1);
    k.run(putPage(k.mm, like));
    expect(k.memory.numaMaps(user.as).map(({ counts }) => [counts.anon, counts.nodes])).toEqual([
      [
        8,
        [
          [0, 5],
          [1, 3],
        ],
      ],
    ]);
    for (let i = 0; i < 8; i++) expect(user.load(at + i * PAGE, PAGE)).toEqual(pattern(PAGE, i + 1));
    k.check();
  });

  it('counts files of RAM and swapped pages where they lie, also after they moved', () => {
    const k = twoNodes({ swapPages: 512 });
    const file = k.memory.newFile({ name: '/tmp/file', size: 0 });
    k.run(k.memory.writeFile(file, 0, new Uint8Array(4 * PAGE).fill(7)));
    const disk = k.memory.newFile({ name: '/disk/file', size: 0, disk: true });
    k.run(k.memory.writeFile(disk, 0, new Uint8Array(4 * PAGE).fill(9)));
    k.run(lruAddDrainAll(k.mm));
    const list: Page[] = [];
    for (const inode of k.mm.inodes.values()) list.push(inode.pages.get(1)!, inode.pages.get(2)!);
    for (const page of list) expect(folioIsolateLru(k.mm, page)).toBe(true);
    const far = k.mm.nodes.at(1);
    expect(k.run(migratePages(k.mm, list, () => allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0, far)))).toBe(0);
    k.check();
    const counts = (item: 'nr_shmem' | 'nr_file_pages' | 'nr_dirty') =>
      k.mm.nodes.online.map(({ stats }) => stats[item]);
    expect([counts('nr_shmem'), counts('nr_file_pages'), counts('nr_dirty')]).toEqual([
      [2, 2],
      [4, 4],
      [2, 2],
    ]);
    expect(k.run(k.memory.syncFile(disk))).toBe(0);
    expect(counts('nr_dirty')).toEqual([0, 0]);
    k.check();
  });
});

describe('reclaim', () => {
  it('of a node takes from its own lists, until its own zones are balanced', () => {
    const k = twoNodes({ swapPages: 8192 });
    const user = k.user();
    const at = user.mmap(8100, RW);
    for (let i = 0; i < 7600; i++) user.store(at + i * PAGE, Uint8Array.of(i));
    // What is left of both goes to the kernel.
    const held = take(k, 8192, GFP_KERNEL & ~__GFP_DIRECT_RECLAIM);
    const anon = () => k.mm.nodes.online.map(({ stats }) => stats.nr_anon_pages);
    const before = anon();
    const far = k.mm.nodes.at(1)!;
    const below = ([zone]: typeof far.zones) => zone!.freePages < zone!.watermark[1]!;
    expect(k.mm.nodes.online.map(({ zones }) => below(zones))).toEqual([true, true]);
    k.run(balancePgdat(k.mm, far));
    expect(far.zones[0]!.freePages).toBeGreaterThan(far.zones[0]!.watermark[2]!);
    expect(below(k.mm.localNode.zones)).toBe(true);
    expect(anon()[0]).toBe(before[0]);
    expect(anon()[1]).toBeLessThan(before[1]!);
    give(k, held);
    k.check();
  });

  it('in the background is woken on every node that could serve the request', () => {
    const k = twoNodes({ swapPages: 8192, cpus: 2 });
    const user = k.user();
    const at = user.mmap(8100, RW);
    for (let i = 0; i < 7900; i++) user.store(at + i * PAGE, Uint8Array.of(i));
    const scheduler = new Scheduler(k.contexts);
    let done = false;
    for (const node of k.mm.nodes.online) {
      scheduler.spawn(
        `kswapd${node.nodeId}`,
        kswapd(k.mm, node, () => done),
        { cpu: node.nodeId },
      );
    }
    scheduler.spawn(
      'program',
      (function* (): MaySleep<void> {
        const pages: Page[] = [];
        for (let i = 0; i < 200; i++) {
          const page = yield* allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0);
          if (page !== undefined) pages.push(page);
        }
        for (const page of pages) yield* freePages(k.mm, page, 0);
        done = true;
        for (const node of k.mm.nodes.online) node.kswapdWait.wakeUp();
      })(),
      { cpu: 0 },
    );
    scheduler.run();
    for (const { freePages: free, watermark } of k.mm.zones) expect(free).toBeGreaterThan(watermark[1]!);
    expect(k.mm.events.pgsteal_kswapd).toBeGreaterThan(0);
    k.check();
  });
});

describe('zonelists', () => {
  const order = (k: Fixture) =>
    k.mm.nodes.online.map(({ zonelist }) =>
      zonelist.map(({ nodeId, name }) => `${nodeId}${name[0]}`).join(' '),
    );
  const four = [0, 1, 2, 3].map((nid) => bank(nid, nid * 16 * MiB, 16 * MiB));

  it('turn to nodes without CPUs first, and share the load of those equally far', () => {
    expect(order(plain({ banks: four, cpus: 2, nodes: { cpuNodes: [0, 3] } }))).toEqual([
      '0D 1D 2D 3D',
      '1D 2D 3D 0D',
      '2D 3D 1D 0D',
      '3D 1D 2D 0D',
    ]);
  });

  it('go by distance', () => {
    const distances = [
      [10, 40, 30, 20],
      [40, 10, 20, 30],
      [30, 20, 10, 40],
      [20, 30, 40, 10],
    ];
    expect(order(plain({ banks: four, nodes: { distances } }))).toEqual([
      '0D 3D 2D 1D',
      '1D 2D 3D 0D',
      '2D 1D 0D 3D',
      '3D 0D 1D 2D',
    ]);
  });

  it('have each node’s zones from the highest down', () => {
    const k = twoNodes({ movable: { movablecore: { bytes: 16 * MiB } } });
    expect(order(k)).toEqual(['0M 0D 1M 1D', '1M 1D 0M 0D']);
    // As much of each.
    expect(k.mm.zones.map(({ presentPages }) => presentPages)).toEqual([2048, 2048, 2048, 2048]);
    k.check();
  });

  it('of a CPU’s node without memory have the others’ only', () => {
    const k = plain({ banks: [bank(1, 0, 16 * MiB)], nodes: { cpuNodes: [0] } });
    expect(k.memory.nodeInfo().map(({ hasMemory, cpus }) => [hasMemory, cpus])).toEqual([
      [false, [0]],
      [true, []],
    ]);
    const page = k.run(allocPages(k.mm, GFP_KERNEL, 0))!;
    expect(nodeOf(k, page)).toBe(1);
    k.run(freePages(k.mm, page, 0));
    k.check();
  });

  it('nodes that meet inside a block: it is the lower one’s', () => {
    const k = plain({ banks: [bank(0, 0, 16 * MiB + PAGE), bank(1, 16 * MiB + PAGE, 16 * MiB)] });
    const [low, high] = k.mm.zones;
    expect([low!.endPfn - low!.startPfn, low!.presentPages]).toEqual([5120, 5120]);
    expect([high!.startPfn, high!.presentPages]).toEqual([low!.endPfn, 4096 - 1023]);
    k.check();
  });
});

describe('tag storage as a node of its own', () => {
  const tagNode = () =>
    boot({ banks: [bank(0, 0, 64 * MiB), bank(1, 64 * MiB, 2 * MiB)], pageblockOrder: 5 });

  it('is lent when the node of the data is full, and had back block by block', () => {
    const k = tagNode();
    expect(k.memory.snapshotTagStorage().enabled).toBe(true);
    const user = k.user();
    const near = take(k, 16000);
    const plainAt = user.mmap(400, RW);
    for (let i = 0; i < 400; i++) user.store(plainAt + i * PAGE, pattern(PAGE, i));
    const lent = k.memory.snapshotTagStorage().data;
    expect(lent).toBeGreaterThan(0);
    give(k, near);
    const taggedAt = user.mmap(600, RW | PROT_MTE);
    for (let i = 0; i < 600; i++) user.storeTag(taggedAt + i * PAGE, 1 + (i % 15));
    k.check();
    for (let i = 0; i < 600; i++) {
      expect(user.loadTag(taggedAt + i * PAGE)).toBe(1 + (i % 15));
      expect(nodeOf(k, k.mm.memmap.pfnToPage(user.pfn(taggedAt + i * PAGE)!)!)).toBe(0);
    }
    for (let i = 0; i < 400; i++) expect(user.load(plainAt + i * PAGE, PAGE)).toEqual(pattern(PAGE, i));
  });
});

describe('NUMA balancing', () => {
  /** Two pages and, where there is room for them, a huge one on the node without CPUs. */
  function misplaced(
    options: FixtureOptions,
    prot = RW,
  ): { k: Fixture; at: number; user: User; nodes: () => number[] } {
    const k = twoNodes(options);
    const user = k.user();
    const at = user.mmap(4, prot);
    for (let i = 0; i < 4; i++) user.store(at + i * PAGE, pattern(PAGE, i + 1));
    k.run(lruAddDrainAll(k.mm));
    const pages = () =>
      [0, 1, 2, 3].map(
        (i) => k.mm.memmap.pfnToPage(k.memory.residentPfn(user.as, VA(BigInt(at + i * PAGE)))!)!,
      );
    const list = pages();
    for (const page of list) folioIsolateLru(k.mm, page);
    const far = k.mm.nodes.at(1);
    expect(k.run(migratePages(k.mm, list, () => allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0, far)))).toBe(0);
    k.run(lruAddDrainAll(k.mm));
    const nodes = () => pages().map((page) => nodeOf(k, page));
    expect(nodes()).toEqual([1, 1, 1, 1]);
    return { k, at, user, nodes };
  }

  it('moves pages to the node of who accesses them, one fault each', () => {
    const { k, at, user, nodes } = misplaced({});
    k.run(taskNumaWork(k.mm, user.as as MmStruct));
    expect(k.mm.events.numa_pte_updates).toBe(4);
    expect(user.load(at, PAGE)).toEqual(pattern(PAGE, 1));
    user.store(at + 2 * PAGE, pattern(PAGE, 9));
    expect(nodes()).toEqual([0, 1, 0, 1]);
    expect(k.memory.vmstat()).toMatchObject({ numa_pages_migrated: 2, pgmigrate_success: 6 });
    k.check();
    k.run(taskNumaWork(k.mm, user.as as MmStruct));
    user.load(at, 1);
    expect(k.mm.events.numa_hint_faults_local).toBeGreaterThan(0);
    for (const [i, seed] of [1, 2, 9, 4].entries())
      expect(user.load(at + i * PAGE, PAGE)).toEqual(pattern(PAGE, seed));
    k.check();
  });

  it('leaves them where the node has no room, and where kernel.numa_balancing is 0', () => {
    const full = misplaced({});
    const held = take(full.k, 8000, TAKE | __GFP_THISNODE);
    full.k.run(taskNumaWork(full.k.mm, full.user.as as MmStruct));
    expect(full.user.load(full.at, PAGE)).toEqual(pattern(PAGE, 1));
    expect([full.nodes(), full.k.mm.events.numa_hint_faults]).toEqual([[1, 1, 1, 1], 1]);
    give(full.k, held);
    full.k.check();
    const off = misplaced({});
    expect(off.k.run(off.k.memory.sysctlWrite('numa_balancing', [0]))).toBe(0);
    off.k.run(taskNumaWork(off.k.mm, off.user.as as MmStruct));
    expect(off.k.mm.events.numa_pte_updates).toBe(0);
  });

  it('scans once a second at most, and not what has just begun', () => {
    const { k, user } = misplaced({});
    const second = 1_000_000_000n;
    for (const [now, updates] of [
      [5n, 0],
      [second, 0],
      [second + 5n, 4],
      [second + 6n, 4],
    ] as const) {
      k.run(k.memory.numaTick(user.as, now));
      expect([now, k.mm.events.numa_pte_updates]).toEqual([now, updates]);
    }
  });
});

describe('KSM', () => {
  it.each([
    [1, 1, 3],
    [0, 2, 2],
  ])('merge_across_nodes %i: %i pages for four equal ones on two nodes', (across, shared, sharing) => {
    const k = twoNodes();
    const user = k.user();
    const at = user.mmap(4, RW);
    for (let i = 0; i < 4; i++) user.store(at + i * PAGE, pattern(PAGE, 1));
    k.run(lruAddDrainAll(k.mm));
    const list = [2, 3].map((i) => k.mm.memmap.pfnToPage(user.pfn(at + i * PAGE)!)!);
    for (const page of list) folioIsolateLru(k.mm, page);
    const far = k.mm.nodes.at(1);
    expect(k.run(migratePages(k.mm, list, () => allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0, far)))).toBe(0);
    k.run(lruAddDrainAll(k.mm));
    expect(k.run(k.memory.ksmSet('merge_across_nodes', across))).toBe(0);
    expect(user.madvise(at, 4, MADV_MERGEABLE)).toBe(0);
    for (let round = 0; round < 4; round++) k.run(ksmDoScan(k.mm, 100));
    expect([k.mm.ksm.pagesShared, k.mm.ksm.pagesSharing]).toEqual([shared, sharing]);
    for (let i = 0; i < 4; i++) expect(user.load(at + i * PAGE, PAGE)).toEqual(pattern(PAGE, 1));
    k.check();
  });
});

describe('from a device tree', () => {
  const root = new URL('../../..', import.meta.url).pathname;
  const runtime = readFileSync(`${root}test/kernel/programs/runtime.inc`, 'utf8');
  const tree = (edit: (text: string) => string) => edit(readFileSync(`${root}dts/default.dts`, 'utf8'));
  const numbered = (text: string) =>
    text
      .replace('reg = <0>;\n', 'reg = <0>;\n\t\t\tnuma-node-id = <0>;\n')
      .replace('reg = <0x0 0x40000000 0x0 0x20000000>;', '$&\n\t\tnuma-node-id = <0>;')
      .replace('reg = <0x0 0x60000000 0x0 0x1000000>;', '$&\n\t\tnuma-node-id = <1>;')
      .replace(
        '\tclk24m:',
        '\tdistance-map {\n\t\tcompatible = "numa-distance-map-v1";\n' +
          '\t\tdistance-matrix = <0 0 10>, <0 1 17>, <1 1 10>;\n\t};\n\n\tclk24m:',
      );
  const PRINT = `
        .include "runtime.inc"
        .global _start
_start: ldr     x20, [sp, #16]
        map     0x2000, 3
        str     x0, [x0]
        mov     x0, #-100
        mov     x1, x20
        mov     x2, #0
        call    56
        mov     x19, x0
        sub     sp, sp, #4096
1:      mov     x0, x19
        mov     x1, sp
        mov     x2, #4096
        call    63
        cmp     x0, #0
        b.le    2f
        mov     x2, x0
        mov     x0, #1
        mov     x1, sp
        call    SYS_write
        b       1b
2:      finish
`;
  const cat = async (path: string, edit = numbered): Promise<string> => {
    const files = { 'm.dts': tree(edit), 'p.s': PRINT, 'runtime.inc': runtime };
    const { status, stdout, stderr } = await mtemu(['run', '--machine', 'm.dts', 'p.s', path], files);
    expect([status, stderr]).toEqual([0, '']);
    return stdout;
  };
  const SYS = '/sys/devices/system/node';

  it('nodes are what it says, in /sys and /proc', async () => {
    expect(await cat(`${SYS}/online`)).toBe('0-1\n');
    expect(await cat(`${SYS}/has_cpu`)).toBe('0\n');
    expect(await cat(`${SYS}/node1/cpulist`)).toBe('\n');
    expect(await cat(`${SYS}/node0/cpumap`)).toBe('1\n');
    expect([await cat(`${SYS}/node0/distance`), await cat(`${SYS}/node1/distance`)]).toEqual([
      '10 17\n',
      '17 10\n',
    ]);
    expect(await cat(`${SYS}/node1/meminfo`)).toMatch(/^Node 1 MemTotal: {10}16384 kB\nNode 1 MemFree: /);
    expect(await cat(`${SYS}/node0/numastat`)).toMatch(
      /^numa_hit [1-9]\d*\nnuma_miss 0\nnuma_foreign 0\ninterleave_hit 0\nlocal_node [1-9]\d*\nother_node 0\n$/,
    );
    expect(await cat(`${SYS}/node1/vmstat`)).toMatch(
      /^nr_free_pages 40\d\d\n(.*\n)*nr_free_cma 40\d\d\n(.*\n)*nr_anon_pages 0\n/,
    );
    expect((await cat('/proc/buddyinfo')).split('\n').map((line) => line.slice(0, 20))).toEqual([
      'Node 0, zone    DMA3',
      'Node 1, zone    DMA3',
      '',
    ]);
    expect((await cat('/proc/zoneinfo')).match(/^(Node \d+, zone.*| {2}per-node stats)$/gm)).toEqual([
      'Node 0, zone    DMA32',
      '  per-node stats',
      'Node 1, zone    DMA32',
      '  per-node stats',
    ]);
    expect(await cat('/proc/self/numa_maps')).toMatch(
      /^[0-9a-f]+ default anon=1 dirty=1 active=0 N0=1 kernelpagesize_kB=4$/m,
    );
  });

  it('one that leaves memory without a node has node 0 only', async () => {
    const half = (text: string) => numbered(text).replace('numa-node-id = <1>;', '');
    expect(await cat(`${SYS}/online`, half)).toBe('0\n');
    expect(await cat(`${SYS}/online`, (text) => text)).toBe('0\n');
    const beyond = (text: string) => numbered(text).replace('numa-node-id = <1>;', 'numa-node-id = <16>;');
    expect(await cat(`${SYS}/online`, beyond)).toBe('0\n');
  });
});
