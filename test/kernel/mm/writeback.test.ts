/** Files on disk: what is dirty, when it is written, what may be dropped, and what a failing disk does. */
import { describe, expect, it } from 'vitest';
import { VA } from '../../../src/base/index.js';
import type { MaySleep } from '../../../src/kernel/contexts/index.js';
import { EIO, RunQueue, Scheduler, Sleeper, searchSchedules } from '../../../src/kernel/contexts/index.js';
import type { MappableFile, Page } from '../../../src/kernel/mm/index.js';
import {
  allocPages,
  backgroundFlush,
  folioIsolateLru,
  GFP_HIGHUSER_MOVABLE,
  lruAddDrainAll,
  MAP_PRIVATE,
  MAP_SHARED,
  migratePages,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  putbackMovablePages,
  tryToFreePages,
} from '../../../src/kernel/mm/index.js';
import type { Fixture, User } from '../kernel-fixture.js';
import { boot, pattern } from '../kernel-fixture.js';

const RW = PROT_READ | PROT_WRITE;
const PAGE = 4096;

const diskFile = (k: Fixture) => k.memory.newFile({ name: '/disk/file', size: 0, disk: true });
const write = (k: Fixture, file: MappableFile, at: number, data: Uint8Array) =>
  k.run(k.memory.writeFile(file, at, data));
const read = (k: Fixture, file: MappableFile, at: number, n: number) => k.run(k.memory.readFile(file, at, n));
const sync = (k: Fixture, file: MappableFile) => k.run(k.memory.syncFile(file));
const map = (k: Fixture, u: User, file: MappableFile, prot: number, flags: number, pages = 4) =>
  k.run(k.memory.mmap(u.as, { addr: VA(0n), length: pages * PAGE, prot, flags, file, offset: 0 }));
const counters = (k: Fixture) => {
  const { nr_dirty, nr_writeback, nr_dirtied, nr_written } = k.mm.localNode.stats;
  return { nr_dirty, nr_writeback, nr_dirtied, nr_written };
};

const pageOf = (k: Fixture, u: User, addr: number): Page => k.mm.memmap.pfnToPage(u.pfn(addr)!)!;

/** Reclaims until the file has no page in memory. */
function dropCache(k: Fixture, file: MappableFile): void {
  for (let round = 0; round < 100 && file.cachedPages > 0; round++) {
    k.run(lruAddDrainAll(k.mm));
    k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
  }
  expect(file.cachedPages).toBe(0);
}

describe('files on disk', () => {
  it('are dirty until they are written, once, and come back after their pages were dropped', () => {
    const k = boot({ tagPages: 64, pageblockOrder: 5 });
    const file = diskFile(k);
    expect(write(k, file, 0, pattern(3 * PAGE, 1))).toBe(3 * PAGE);
    expect(write(k, file, 100, pattern(8, 2))).toBe(8);
    expect(counters(k)).toEqual({ nr_dirty: 3, nr_writeback: 0, nr_dirtied: 3, nr_written: 0 });
    expect(k.memory.meminfo()['Dirty']).toBe(12);
    k.check();
    expect(sync(k, file)).toBe(0);
    expect(sync(k, file)).toBe(0);
    expect(counters(k)).toEqual({ nr_dirty: 0, nr_writeback: 0, nr_dirtied: 3, nr_written: 3 });
    k.check();
    dropCache(k, file);
    k.check();
    const expected = pattern(3 * PAGE, 1);
    expected.set(pattern(8, 2), 100);
    expect(read(k, file, 0, 3 * PAGE)).toEqual(expected);
    expect(k.mm.events.pgpgin).toBe(12);
    k.run(k.memory.putFile(file));
    k.check();
    expect(k.mm.inodes.size).toBe(0);
  });

  it('take no PROT_MTE, and lend their pages to the page cache only', () => {
    const k = boot({ tagPages: 64, pageblockOrder: 5 });
    const u = k.user();
    const file = diskFile(k);
    write(k, file, 0, pattern(PAGE, 1));
    expect(map(k, u, file, RW | PROT_MTE, MAP_SHARED)).toBe(-22);
  });

  it('see the first store through a shared mapping, and each first one after writing back', () => {
    const k = boot({ tagPages: 64, pageblockOrder: 5 });
    const u = k.user();
    const file = diskFile(k);
    write(k, file, 0, pattern(2 * PAGE, 1));
    sync(k, file);
    const at = map(k, u, file, RW, MAP_SHARED, 2);
    expect(u.load(at, 4)).toEqual(pattern(2 * PAGE, 1).subarray(0, 4));
    expect(counters(k).nr_dirty).toBe(0);
    u.store(at + 8, Uint8Array.of(1));
    expect(counters(k).nr_dirty).toBe(1);
    k.check();
    sync(k, file);
    k.check();
    // Write-protected again: a fault more, and dirty once more.
    expect(u.faults(at + 8, true)).toBe(1);
    expect(counters(k)).toMatchObject({ nr_dirty: 1, nr_written: 3 });
    u.store(at + 8, Uint8Array.of(2));
    u.mprotect(at, 2, PROT_READ);
    u.mprotect(at, 2, RW);
    k.check();
    u.exit();
    k.check();
    dropCache(k, file);
    expect(read(k, file, 8, 1)).toEqual(Uint8Array.of(2));
  });

  it('keep private copies to those who made them', () => {
    const k = boot({ tagPages: 64, pageblockOrder: 5 });
    const u = k.user();
    const file = diskFile(k);
    write(k, file, 0, pattern(PAGE, 1));
    sync(k, file);
    const at = map(k, u, file, RW, MAP_PRIVATE, 1);
    u.store(at, Uint8Array.of(99));
    expect(counters(k).nr_dirty).toBe(0);
    expect(read(k, file, 0, 1)).toEqual(pattern(PAGE, 1).subarray(0, 1));
    k.check();
  });

  it('are cut off on the disk too, and the rest of the last page is zero there', () => {
    const k = boot({ tagPages: 64, pageblockOrder: 5 });
    const file = diskFile(k);
    write(k, file, 0, new Uint8Array(2 * PAGE).fill(7));
    sync(k, file);
    dropCache(k, file);
    expect(k.run(k.memory.truncateFile(file, 10))).toBe(0);
    expect(k.run(k.memory.truncateFile(file, 2 * PAGE))).toBe(0);
    sync(k, file);
    dropCache(k, file);
    const expected = new Uint8Array(2 * PAGE);
    expected.fill(7, 0, 10);
    expect(read(k, file, 0, 2 * PAGE)).toEqual(expected);
    k.check();
  });

  it('are written by reclaim where nothing else makes room, and memory does not run out of dirty pages', () => {
    const k = boot({ tagPages: 32, pageblockOrder: 5 });
    const pages = 3 * 1024;
    const file = diskFile(k);
    for (let i = 0; i < pages; i++) expect(write(k, file, i * PAGE, pattern(PAGE, i + 1))).toBe(PAGE);
    k.check();
    expect(k.mm.globalNodeState('nr_written')).toBeGreaterThan(pages / 2);
    for (const i of [0, 1, 1000, pages - 1]) {
      expect(Buffer.compare(read(k, file, i * PAGE, PAGE), pattern(PAGE, i + 1))).toBe(0);
    }
    k.check();
  });

  it('are flushed in the background beyond a tenth of what could be dirty, not before', () => {
    const k = boot({ tagPages: 64, pageblockOrder: 5 });
    const file = diskFile(k);
    const free = k.mm.zones.reduce((n, zone) => n + zone.freePages, 0);
    const tenth = Math.floor(free / 10);
    write(k, file, 0, new Uint8Array((tenth - 2) * PAGE).fill(1));
    k.run(backgroundFlush(k.mm));
    expect(counters(k).nr_dirty).toBe(tenth - 2);
    write(k, file, (tenth - 2) * PAGE, new Uint8Array(6 * PAGE).fill(2));
    k.run(backgroundFlush(k.mm));
    expect(counters(k).nr_dirty).toBe(0);
    k.check();
  });
});

describe('the flusher', () => {
  /** The flusher beside a writer; time passes when the test says so. */
  function withFlusher() {
    const k = boot({ tagPages: 64, pageblockOrder: 5 });
    const file = diskFile(k);
    const queue = new RunQueue(k.contexts, 0);
    const naps: number[] = [];
    let wake = () => {};
    const sleep = (milliseconds: number, woken: (wake: (() => void) | undefined) => void) =>
      (function* (): MaySleep<void> {
        const sleeper = new Sleeper('nap');
        naps.push(milliseconds);
        wake = () => sleeper.wake();
        woken(wake);
        yield sleeper.point;
        woken(undefined);
      })();
    queue.spawn(k.contexts.newTask('flusher'), k.memory.flusher(sleep));
    const settle = () => {
      while (queue.step());
    };
    settle();
    return {
      k,
      file,
      naps,
      settle,
      tick() {
        wake();
        settle();
      },
    };
  }

  it('sleeps while nothing is dirty, and writes what has been for thirty seconds', () => {
    const { k, file, naps, settle, tick } = withFlusher();
    expect(naps).toEqual([]);
    write(k, file, 0, pattern(2 * PAGE, 3));
    settle();
    expect(naps).toEqual([5000]);
    for (let i = 1; i < 6; i++) tick();
    expect(counters(k)).toMatchObject({ nr_dirty: 2, nr_written: 0 });
    tick();
    expect(counters(k)).toMatchObject({ nr_dirty: 0, nr_written: 2 });
    expect(naps).toHaveLength(6);
    // Dirty again, it has thirty seconds again.
    write(k, file, 0, pattern(PAGE, 4));
    settle();
    for (let i = 1; i < 6; i++) tick();
    expect(counters(k).nr_dirty).toBe(1);
    tick();
    expect(counters(k).nr_dirty).toBe(0);
    k.check();
  });

  it('is woken by a writer beyond a tenth of what could be dirty', () => {
    const { k, file, naps, settle } = withFlusher();
    const free = k.mm.zones.reduce((n, zone) => n + zone.freePages, 0);
    write(k, file, 0, new Uint8Array(PAGE).fill(1));
    settle();
    expect(counters(k).nr_dirty).toBe(1);
    write(k, file, PAGE, new Uint8Array(Math.ceil(free / 9) * PAGE).fill(2));
    settle();
    expect(counters(k).nr_dirty).toBe(0);
    expect(naps).toEqual([5000]);
    k.check();
  });
});

describe('a failing disk', () => {
  it('tells fsync once for each failure, and keeps what it could not write', () => {
    const k = boot({ tagPages: 64, pageblockOrder: 5 });
    const file = diskFile(k);
    write(k, file, 0, pattern(2 * PAGE, 3));
    let failures = 1;
    k.mm.shouldFail = (operation) => operation === 'disk_write' && failures-- > 0;
    expect(sync(k, file)).toBe(-EIO);
    expect(counters(k)).toMatchObject({ nr_dirty: 1, nr_writeback: 0 });
    k.check();
    expect(sync(k, file)).toBe(0);
    expect(counters(k).nr_dirty).toBe(0);
    k.check();
  });

  it('gives an error to read(), SIGBUS to a mapping, and the bytes to whoever asks later', () => {
    const k = boot({ tagPages: 64, pageblockOrder: 5 });
    const u = k.user();
    const file = diskFile(k);
    write(k, file, 0, pattern(PAGE, 3));
    sync(k, file);
    dropCache(k, file);
    const at = map(k, u, file, PROT_READ, MAP_SHARED, 1);
    let fails = true;
    k.mm.shouldFail = (operation) => operation === 'disk_read' && fails;
    expect(read(k, file, 0, PAGE)).toHaveLength(0);
    expect(u.fault(at, false)).toMatchObject({ kind: 'signal', signal: 'SIGBUS' });
    expect(file.cachedPages).toBe(0);
    k.check();
    fails = false;
    expect(u.load(at, 16)).toEqual(pattern(PAGE, 3).subarray(0, 16));
    k.check();
  });
});

describe('writing back while others work', () => {
  /**
   * One task writes back, the other does `work`, in 80 orders; whatever the order, what `stored` says of the
   * first byte then is what the disk gives back.
   */
  const races = (
    work: (k: Fixture, u: User, file: MappableFile, at: number) => MaySleep<void>,
    stored: number,
  ) =>
    searchSchedules(
      (strategy) => {
        const k = boot({ tagPages: 32, pageblockOrder: 5, cpus: 2 });
        k.contexts.racing = true;
        const u = k.user();
        const file = diskFile(k);
        write(k, file, 0, pattern(PAGE, 1));
        const at = map(k, u, file, RW, MAP_SHARED, 1);
        u.store(at, Uint8Array.of(42));
        const scheduler = new Scheduler(k.contexts, strategy);
        const syncing = function* (): MaySleep<void> {
          yield* k.memory.syncFile(file);
        };
        scheduler.spawn('sync', syncing(), { cpu: 0 });
        scheduler.spawn('other', work(k, u, file, at), { cpu: 1 });
        return {
          scheduler,
          verify: () => {
            k.run(lruAddDrainAll(k.mm));
            k.check();
            sync(k, file);
            k.check();
            u.exit();
            dropCache(k, file);
            expect(read(k, file, 0, 1)[0]).toBe(stored);
            k.check();
          },
        };
      },
      { runs: 80, seed: 5 },
    );
  const access = { write: true, exec: false, user: true, tagAccess: false };

  it('a store through a mapping, whose permission goes away meanwhile', () => {
    const failure = races(function* (k, u, _file, at) {
      for (;;) {
        const mapping = k.memory.virtToPhys(u.as, VA(BigInt(at)));
        if (mapping?.write === true) {
          k.port.writeBytes(mapping.pa, Uint8Array.of(43));
          return;
        }
        yield* k.memory.handleMmFault(u.as, VA(BigInt(at)), access);
      }
    }, 43);
    expect(failure).toBeUndefined();
  });

  it('a write() to the same page', () => {
    const failure = races(function* (k, _u, file) {
      yield* k.memory.writeFile(file, 0, Uint8Array.of(44));
    }, 44);
    expect(failure).toBeUndefined();
  });

  it('a migration of the page', () => {
    const failure = races(function* (k, u, _file, at) {
      const page = pageOf(k, u, at);
      yield* lruAddDrainAll(k.mm);
      if (!folioIsolateLru(k.mm, page)) return;
      const pages = [page];
      yield* migratePages(k.mm, pages, () => allocPages(k.mm, GFP_HIGHUSER_MOVABLE, 0));
      yield* putbackMovablePages(k.mm, pages);
    }, 42);
    expect(failure).toBeUndefined();
  });

  it('a truncation', () => {
    const failure = races(function* (k, _u, file) {
      yield* k.memory.truncateFile(file, 0);
      yield* k.memory.writeFile(file, 0, Uint8Array.of(45));
    }, 45);
    expect(failure).toBeUndefined();
  });

  it('direct reclaim', () => {
    const failure = races(function* (k) {
      yield* tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2);
      yield* tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2);
    }, 42);
    expect(failure).toBeUndefined();
  });
});
