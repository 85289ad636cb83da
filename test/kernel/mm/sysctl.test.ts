/** /proc/sys/vm: watermarks and their boost, reserves, promises, caches, compaction. */
import { describe, expect, it } from 'vitest';
import { VA } from '../../../src/base/index.js';
import { RunQueue, Sleeper } from '../../../src/kernel/contexts/index.js';
import type { Page } from '../../../src/kernel/mm/index.js';
import {
  __GFP_DIRECT_RECLAIM,
  allocPages,
  balancePgdat,
  drainAllPages,
  freePages,
  GFP_ATOMIC,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  lruAddDrainAll,
  PROT_READ,
  PROT_WRITE,
} from '../../../src/kernel/mm/index.js';
import { boot, type Fixture } from '../kernel-fixture.js';

const PAGE = 4096;
const RW = PROT_READ | PROT_WRITE;
const EINVAL = -22;
const ENOMEM = -12;
/** Without waiting. */
const TAKE = GFP_HIGHUSER_MOVABLE & ~__GFP_DIRECT_RECLAIM;
const TAKE_KERNEL = GFP_KERNEL & ~__GFP_DIRECT_RECLAIM;
const HIGHATOMIC = 3;

const write = (k: Fixture, name: string, ...values: number[]) => k.run(k.memory.sysctlWrite(name, values));
const read = (k: Fixture, name: string) => k.memory.sysctlRead(name);
const zone = (k: Fixture) => k.mm.zones[0]!;

describe('watermarks', () => {
  it('follow min_free_kbytes and watermark_scale_factor', () => {
    const k = boot();
    const z = zone(k);
    // 64 MiB and the lent storage: sqrt(16 * kB).
    const kib = (z.managedPages * PAGE) / 1024;
    expect(read(k, 'min_free_kbytes')).toEqual([Math.floor(Math.sqrt(kib * 16))]);
    expect(write(k, 'min_free_kbytes', 4096)).toBe(0);
    expect(z.watermark).toEqual([1024, 1280, 1536]);
    expect(write(k, 'watermark_scale_factor', 1000)).toBe(0);
    const step = Math.floor(z.managedPages / 10);
    expect(z.watermark).toEqual([1024, 1024 + step, 1024 + 2 * step]);
    expect([write(k, 'watermark_scale_factor', 3001), write(k, 'watermark_scale_factor', 0)]).toEqual([
      EINVAL,
      EINVAL,
    ]);
    expect(read(k, 'watermark_scale_factor')).toEqual([1000]);
    k.check();
  });

  it('are boosted when pageblocks are mixed, until kswapd has freed as much', () => {
    const k = boot({ swapPages: 8192 });
    const node = k.mm.localNode;
    node.hasKswapd = true;
    const z = zone(k);
    const held: Page[] = [];
    // Everything is of movable kind: the kernel's pages must come from there, once their own blocks are full.
    const movable: Page[] = [];
    for (
      let page = k.run(allocPages(k.mm, TAKE, 0));
      page !== undefined;
      page = k.run(allocPages(k.mm, TAKE, 0))
    )
      movable.push(page);
    expect(z.watermarkBoost).toBe(0);
    for (const page of movable.filter((_, i) => i % 8 === 0)) k.run(freePages(k.mm, page, 0));
    drainAllPages(k.mm);
    const woken = node.kswapdWait.wakeups;
    while (z.watermarkBoost === 0 && held.length < 4000) {
      const page = k.run(allocPages(k.mm, TAKE_KERNEL, 0));
      if (page === undefined) break;
      held.push(page);
    }
    const most = Math.max(512, Math.floor((z.watermark[2]! * 15000) / 10000));
    expect(z.watermarkBoost).toBe(Math.min(512, most));
    expect(node.kswapdWait.wakeups).toBeGreaterThan(woken);
    expect(z.wmarkPages(0)).toBe(z.watermark[0]! + z.watermarkBoost);
    expect(k.memory.zoneinfo()[0]!.boost).toBe(z.watermarkBoost);
    k.run(balancePgdat(k.mm, node));
    expect(z.watermarkBoost).toBe(0);
    k.check();
  });

  it('are not boosted with watermark_boost_factor 0, nor where zones are small', () => {
    for (const [options, factor] of [
      [{}, 0],
      [{ tagPages: 16 }, 15000],
    ] as const) {
      const k = boot({ ...options, mte: false });
      k.mm.localNode.hasKswapd = true;
      expect(write(k, 'watermark_boost_factor', factor)).toBe(0);
      const pages: Page[] = [];
      for (let i = 0; ; i++) {
        const page = k.run(allocPages(k.mm, i % 2 === 0 ? TAKE : TAKE_KERNEL, 0));
        if (page === undefined) break;
        pages.push(page);
      }
      expect(zone(k).watermarkBoost).toBe(0);
    }
  });

  it('lowmem_reserve_ratio: what others may not take of a lower zone', () => {
    const k = boot({ pageblockOrder: 5, movable: { movablecore: { bytes: 2 ** 24 } } });
    const [low, high] = k.mm.zones;
    expect(low!.lowmemReserve[2]).toBe(Math.floor(high!.managedPages / 256));
    expect(write(k, 'lowmem_reserve_ratio', 64)).toBe(0);
    expect(low!.lowmemReserve[2]).toBe(Math.floor(high!.managedPages / 64));
    expect(read(k, 'lowmem_reserve_ratio')).toEqual([64, 32, 0]);
    expect(write(k, 'lowmem_reserve_ratio', 0)).toBe(0);
    expect(low!.lowmemReserve[2]).toBe(0);
  });

  it('percpu_pagelist_high_fraction: a share of the zone on each CPU’s list, not less than an eighth', () => {
    const k = boot({ cpus: 2 });
    const z = zone(k);
    expect(write(k, 'percpu_pagelist_high_fraction', 7)).toBe(EINVAL);
    expect(read(k, 'percpu_pagelist_high_fraction')).toEqual([0]);
    expect(write(k, 'percpu_pagelist_high_fraction', 8)).toBe(0);
    expect(z.pcp[0]!.high).toBe(Math.floor(Math.floor(z.managedPages / 8) / 2));
  });
});

describe('blocks for who cannot wait (MIGRATE_HIGHATOMIC)', () => {
  /** 512 MiB, of which 1 % is more than a pageblock. */
  const large = () => boot({ tagPages: 4096, mte: false, policy: 'static', regions: [], pageblockOrder: 5 });

  it('are reserved with the first such request of several pages, up to 1 % of the zone', () => {
    const k = large();
    const z = zone(k);
    // The fast path takes what is plenty; only below the low watermark it becomes urgent.
    const held: Page[] = [];
    while (z.freePages > z.watermark[1]!) held.push(k.run(allocPages(k.mm, TAKE_KERNEL, 0))!);
    expect(z.reservedHighatomic).toBe(0);
    for (const page of held.splice(0, 4096)) k.run(freePages(k.mm, page, 0));
    drainAllPages(k.mm);
    while (z.freePages > z.watermark[1]! - 16) {
      const page = k.run(allocPages(k.mm, GFP_ATOMIC, 0));
      if (page === undefined) break;
      held.push(page);
    }
    const block = k.run(allocPages(k.mm, GFP_ATOMIC, 3));
    expect(block).toBeDefined();
    expect(z.reservedHighatomic).toBe(32);
    expect(k.mm.memmap.pageblockMigratetype(block!)).toBe(HIGHATOMIC);
    expect(k.memory.zoneinfo()[0]!.types['HighAtomic']!.blocks).toBe(1);
    k.check();
    // The rest of the block is for others of its kind, and for them only.
    const inReserve = (page: Page | undefined) =>
      page !== undefined && k.mm.memmap.pageblockMigratetype(page) === HIGHATOMIC;
    for (let i = 0; i < 8; i++) {
      const page = k.run(allocPages(k.mm, TAKE_KERNEL, 0));
      expect(inReserve(page)).toBe(false);
      if (page !== undefined) held.push(page);
    }
    k.run(freePages(k.mm, block!, 3));
    drainAllPages(k.mm);
    // What is kept counts for nobody else's watermark: enough is free, and kswapd is woken all the same.
    while (z.freePages <= z.watermark[1]! + 8) k.run(freePages(k.mm, held.pop()!, 0));
    drainAllPages(k.mm);
    while (z.freePages > z.watermark[1]! + 24) held.push(k.run(allocPages(k.mm, TAKE_KERNEL, 0))!);
    expect(z.freePages).toBeGreaterThan(z.watermark[1]!);
    const woken = k.mm.localNode.kswapdWait.wakeups;
    held.push(k.run(allocPages(k.mm, TAKE_KERNEL, 0))!);
    expect(k.mm.localNode.kswapdWait.wakeups).toBe(woken + 1);
    // Who can wait gets the last of them too before memory is out.
    for (;;) {
      const page = k.run(allocPages(k.mm, GFP_KERNEL, 0));
      if (page === undefined) break;
      held.push(page);
    }
    expect(z.reservedHighatomic).toBe(0);
    for (const page of held) k.run(freePages(k.mm, page, 0));
    k.check();
  });

  it('are none on small machines', () => {
    const k = boot({ mte: false });
    while (zone(k).freePages > zone(k).watermark[1]! - 16) k.run(allocPages(k.mm, GFP_ATOMIC, 0));
    expect(k.run(allocPages(k.mm, GFP_ATOMIC, 2))).toBeDefined();
    expect(zone(k).reservedHighatomic).toBe(0);
  });
});

describe('promises of memory', () => {
  it('overcommit_memory 0 takes what could be, 1 anything, 2 what can be kept', () => {
    const k = boot({ swapPages: 1024 });
    const u = k.user();
    const total = k.mm.totalramPages();
    const kib = (pages: number) => (pages * PAGE) / 1024;
    const limit = Math.floor(total / 2) + 1024;
    expect(k.memory.meminfo()['CommitLimit']).toBe(kib(limit));
    expect(u.mmap(total + 1025, RW)).toBe(ENOMEM);
    expect(write(k, 'overcommit_memory', 1)).toBe(0);
    const huge = u.mmap(total * 4, RW);
    expect(huge).toBeGreaterThan(0);
    expect(k.memory.meminfo()['Committed_AS']).toBe(kib(total * 4));
    u.munmap(huge, total * 4);
    expect(write(k, 'overcommit_memory', 2)).toBe(0);
    // MAP_NORESERVE is no excuse.
    expect([u.mmap(limit, RW), u.mmap(limit, RW, 0x4022)]).toEqual([ENOMEM, ENOMEM]);
    const most = u.mmap(limit - 1, RW);
    expect(most).toBeGreaterThan(0);
    expect(u.mmap(1, RW)).toBe(ENOMEM);
    // Nothing to write to, nothing to promise; and a child would need as much again.
    const readable = u.mmap(64, PROT_READ);
    expect(readable).toBeGreaterThan(0);
    expect(u.mprotect(readable, 64, RW)).toBe(ENOMEM);
    expect(k.run(k.memory.cloneAddressSpace(u.as))).toBe(ENOMEM);
    expect(write(k, 'overcommit_memory', 3)).toBe(EINVAL);
    u.munmap(most, limit - 1);
    expect(k.memory.meminfo()['Committed_AS']).toBe(0);
    k.check();
  });

  it('overcommit_kbytes and overcommit_ratio: the last that was written counts', () => {
    const k = boot();
    expect(write(k, 'overcommit_kbytes', 8192)).toBe(0);
    expect(k.memory.meminfo()['CommitLimit']).toBe(8192);
    expect([read(k, 'overcommit_ratio'), read(k, 'overcommit_kbytes')]).toEqual([[0], [8192]]);
    expect(write(k, 'overcommit_ratio', 10)).toBe(0);
    expect(read(k, 'overcommit_kbytes')).toEqual([0]);
    expect(k.memory.meminfo()['CommitLimit']).toBe((Math.floor(k.mm.totalramPages() / 10) * PAGE) / 1024);
  });

  it('some of an address space’s own share is kept from it (user_reserve_kbytes)', () => {
    const k = boot();
    const u = k.user();
    expect(write(k, 'overcommit_memory', 2)).toBe(0);
    const limit = Math.floor(k.mm.totalramPages() / 2);
    expect(u.mmap(3200, PROT_READ)).toBeGreaterThan(0);
    expect(u.mmap(limit - 50, RW)).toBe(ENOMEM);
    expect(write(k, 'user_reserve_kbytes', 0)).toBe(0);
    expect(u.mmap(limit - 50, RW)).toBeGreaterThan(0);
  });

  it('the last of it is root’s (admin_reserve_kbytes)', () => {
    const k = boot();
    const u = k.user();
    expect(write(k, 'overcommit_memory', 2)).toBe(0);
    expect(write(k, 'admin_reserve_kbytes', 400)).toBe(0);
    const limit = Math.floor(k.mm.totalramPages() / 2);
    k.mm.capSysAdmin = () => false;
    expect([u.mmap(limit - 1, RW), u.mmap(limit - 100, RW)]).toEqual([ENOMEM, ENOMEM]);
    const most = u.mmap(limit - 101, RW);
    expect(most).toBeGreaterThan(0);
    u.munmap(most, limit - 101);
    k.mm.capSysAdmin = () => true;
    expect(u.mmap(limit - 1, RW)).toBeGreaterThan(0);
  });

  it('max_map_count is how many mappings there may be', () => {
    const k = boot();
    const u = k.user();
    expect(write(k, 'max_map_count', 3)).toBe(0);
    const at = u.mmap(8, RW);
    expect(u.mprotect(at + 2 * PAGE, 1, PROT_READ)).toBe(0);
    expect(u.mprotect(at + 5 * PAGE, 1, PROT_READ)).toBe(ENOMEM);
    k.check();
  });
});

describe('drop_caches', () => {
  it('takes clean pages of files that can be read again, and nothing else', () => {
    const k = boot();
    const disk = k.memory.newFile({ name: '/disk/file', size: 0, disk: true });
    const ram = k.memory.newFile({ name: '/tmp/file', size: 0 });
    const rom = k.memory.newFile({
      name: '/lib/file',
      size: 2 * PAGE,
      read: () => new Uint8Array(PAGE).fill(3),
    });
    for (const file of [disk, ram]) k.run(k.memory.writeFile(file, 0, new Uint8Array(3 * PAGE).fill(1)));
    k.run(k.memory.readFile(rom, 0, 2 * PAGE));
    expect(write(k, 'drop_caches', 1)).toBe(0);
    expect([disk.cachedPages, ram.cachedPages, rom.cachedPages]).toEqual([3, 3, 0]);
    k.run(k.memory.syncFile(disk));
    const u = k.user();
    const at = k.run(
      k.memory.mmap(u.as, { addr: VA(0n), length: PAGE, prot: PROT_READ, flags: 1, file: disk }),
    );
    expect(u.load(at, 1)).toEqual(Uint8Array.of(1));
    expect(write(k, 'drop_caches', 2)).toBe(0);
    expect(disk.cachedPages).toBe(3);
    expect(write(k, 'drop_caches', 3)).toBe(0);
    // The mapped one stays.
    expect([disk.cachedPages, ram.cachedPages]).toEqual([1, 3]);
    expect(k.memory.vmstat()).toMatchObject({ drop_pagecache: 2, drop_slab: 2 });
    expect(k.run(k.memory.readFile(disk, 0, 3 * PAGE))).toEqual(new Uint8Array(3 * PAGE).fill(1));
    expect([write(k, 'drop_caches', 0), write(k, 'drop_caches', 5)]).toEqual([EINVAL, EINVAL]);
    k.check();
  });
});

describe('compaction', () => {
  /** All in use but every second page: nothing larger than a page is free. */
  function fragmented(): { k: Fixture; largest: () => number } {
    const k = boot({ mte: false, pageblockOrder: 5 });
    const u = k.user();
    const at = u.mmap(16_000, RW, 0x4022);
    for (let i = 0; i < 16_000; i++) u.store(at + i * PAGE, Uint8Array.of(i));
    k.run(lruAddDrainAll(k.mm));
    for (let i = 0; i < 16_000; i += 2) u.madvise(at + i * PAGE, 1, 4);
    k.run(lruAddDrainAll(k.mm));
    drainAllPages(k.mm);
    const largest = () => zone(k).nrFree.reduce((sum, blocks, order) => sum + (order >= 9 ? blocks : 0), 0);
    expect(largest()).toBeLessThan(2);
    return { k, largest };
  }

  it('compact_memory brings all free memory of all zones together', () => {
    const { k, largest } = fragmented();
    expect([write(k, 'compact_memory', 2), write(k, 'compact_memory')]).toEqual([EINVAL, EINVAL]);
    const unused = k.unused();
    // What was taken for copies and not used is free again, also where nothing can be moved.
    k.mm.shouldFail = (what) => what === 'migrate';
    expect(write(k, 'compact_memory', 1)).toBe(0);
    expect(k.unused()).toBe(unused);
    k.mm.shouldFail = () => false;
    expect(write(k, 'compact_memory', 1)).toBe(0);
    expect(k.unused()).toBe(unused);
    expect(largest()).toBeGreaterThan(4);
    k.check();
  });

  it('is done ahead of need where memory is fragmented, as far as compaction_proactiveness says', () => {
    const { k } = fragmented();
    const z = zone(k);
    const score = () => {
      const large = z.nrFree.reduce((sum, blocks, order) => sum + (order >= 9 ? blocks << order : 0), 0);
      return Math.floor(((z.freePages - large) * 100) / z.freePages);
    };
    const queue = new RunQueue(k.contexts, 0);
    const naps: number[] = [];
    queue.spawn(
      k.contexts.newTask('kcompactd0'),
      k.memory.kcompactd(0, function* (milliseconds, woken) {
        naps.push(milliseconds);
        const sleeper = new Sleeper('kcompactd_wait');
        woken(() => sleeper.wake());
        yield sleeper.point;
        woken(undefined);
      }),
    );
    const settle = () => {
      while (queue.step());
    };
    settle();
    expect(score()).toBeGreaterThan(90);
    const unused = k.unused();
    expect(write(k, 'compaction_proactiveness', 60)).toBe(0);
    settle();
    expect(score()).toBeLessThanOrEqual(40);
    // It stops in the middle: what it had taken for copies is free again.
    expect(k.unused()).toBe(unused);
    expect(k.mm.events.compact_daemon_migrate_scanned).toBeGreaterThan(0);
    expect(naps[0]).toBe(500);
    expect([write(k, 'compaction_proactiveness', 101), write(k, 'extfrag_threshold', 1001)]).toEqual([
      EINVAL,
      EINVAL,
    ]);
    k.check();
  });
});
