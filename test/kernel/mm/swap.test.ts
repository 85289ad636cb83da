/** Reclaim and swap: what goes, what comes back, in which order; memory is out only when reclaim fails. */
import { describe, expect, it } from 'vitest';
import { VA } from '../../../src/base/index.js';
import type { MaySleep } from '../../../src/kernel/contexts/index.js';
import { Scheduler, searchSchedules, sleepPoint } from '../../../src/kernel/contexts/index.js';
import { bootSystem } from '../../../src/kernel/index.js';
import type { AddressSpace, MmHooks, MmStruct } from '../../../src/kernel/mm/index.js';
import {
  allocPages,
  balancePgdat,
  FOLL_PIN,
  FOLL_WRITE,
  freePages,
  GFP_ATOMIC,
  GFP_HIGHUSER_MOVABLE,
  getUserPage,
  kswapd,
  lruAddDrainAll,
  MAP_SHARED,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  tryToFreePages,
  unpinUserPage,
} from '../../../src/kernel/mm/index.js';
import { swapPagesOf } from '../../../src/kernel/tag-storage/index.js';
import { defaultTree } from '../../../src/machine/index.js';
import type { Fixture, User } from '../kernel-fixture.js';
import { boot, pattern } from '../kernel-fixture.js';

const RW = PROT_READ | PROT_WRITE;
const PAGE = 4096;

const small = (swapPages = 512) => boot({ tagPages: 64, pageblockOrder: 5, swapPages, cpus: 4 });

/** Reclaims until nothing of [addr, addr + pages) is in memory. */
function swapOut(k: Fixture, u: User, addr: number, pages = 1): void {
  const inMemory = () =>
    [...Array(pages).keys()].filter(
      (i) => k.memory.residentPfn(u.as, VA(BigInt(addr + i * PAGE))) !== undefined,
    ).length;
  for (let round = 0; round < 100 && inMemory() > 0; round++) {
    k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
  }
  expect(inMemory()).toBe(0);
}

describe('swap', () => {
  it('a page that could not be written keeps its slot, and its tags are saved once', () => {
    const k = small();
    const u = k.user();
    const at = u.mmap(1, RW | PROT_MTE);
    u.store(at, pattern(PAGE, 1));
    u.storeTag(at + 16, 5);
    let failures = 0;
    k.mm.shouldFail = (what) => what === 'swap_write' && failures++ < 2;
    for (let round = 0; round < 100 && k.memory.residentPfn(u.as, VA(BigInt(at))) !== undefined; round++) {
      k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
      k.check();
    }
    for (let round = 0; round < 20 && failures < 3; round++) {
      k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
      k.check();
    }
    expect(failures).toBeGreaterThan(2);
    u.storeTag(at + 32, 6);
    expect([u.loadTag(at + 16), u.loadTag(at + 32)]).toEqual([5, 6]);
    expect(Buffer.compare(u.load(at, PAGE)!, pattern(PAGE, 1))).toBe(0);
    u.exit();
    k.check();
    expect(k.mm.slabs.map(({ inUse }) => inUse).every((inUse) => inUse === 0)).toBe(true);
  });

  it('data and tags go out and come back, for parent and child, exclusive again where it was', () => {
    const k = small();
    const parent = k.user();
    const at = parent.mmap(4, RW | PROT_MTE);
    for (let i = 0; i < 4; i++) {
      parent.store(at + i * PAGE, pattern(PAGE, i));
      parent.storeTag(at + i * PAGE + 16, i + 1);
    }
    const pagemap = (showsFrames: boolean) => [...k.memory.pagemap(parent.as, at / PAGE, 5, showsFrames)];
    expect(pagemap(false)).toEqual([...Array(4).fill((1n << 63n) | (1n << 56n)), 0n]);
    expect(pagemap(true)[1]).toBe((1n << 63n) | (1n << 56n) | BigInt(parent.pfn(at + PAGE)!));
    swapOut(k, parent, at, 4);
    k.check();
    expect(pagemap(false)).toEqual([...Array(4).fill(1n << 62n), 0n]);
    // Where each went, one slot each.
    expect(new Set(pagemap(true)).size).toBe(5);
    expect(k.memory.meminfo()).toMatchObject({ SwapTotal: 2048, SwapFree: 2048 - 16 });
    // Swapped out: fork shares the slots.
    const child = parent.fork();
    k.check();
    for (const u of [parent, child]) {
      for (let i = 0; i < 4; i++) {
        expect(Buffer.compare(u.load(at + i * PAGE, PAGE)!, pattern(PAGE, i))).toBe(0);
        expect(u.loadTag(at + i * PAGE + 16)).toBe(i + 1);
      }
    }
    expect(parent.pfn(at)).toBe(child.pfn(at));
    child.storeTag(at, 9);
    expect([parent.loadTag(at), child.loadTag(at)]).toEqual([0, 9]);
    k.check();
    child.exit();
    swapOut(k, parent, at, 4);
    expect(parent.faults(at, true)).toBeLessThanOrEqual(2);
    parent.exit();
    k.check();
    expect(k.memory.meminfo()['SwapFree']).toBe(2048);
    expect(k.memory.tagStorageMetrics()['stashEntries']).toBe(0);
    expect(k.memory.vmstat()['nr_slab_unreclaimable']).toBe(0);
  });

  it('memory is out only when nothing is left to reclaim', () => {
    const k = small(4096);
    const u = k.user();
    const at = u.mmap(6000, RW, 0x4022);
    let stored = 0;
    while (stored < 3500 && u.store(at + stored * PAGE, Uint8Array.of(1, stored, stored >> 8))) stored++;
    // More than there is memory: the rest went to swap.
    expect(stored).toBe(3500);
    for (let i = 0; i < stored; i += 7) {
      expect(u.load(at + i * PAGE, 3)).toEqual(Uint8Array.of(1, i, i >> 8));
    }
    k.check();
    const without = boot({ tagPages: 64, pageblockOrder: 5 });
    const v = without.user();
    const there = v.mmap(6000, RW, 0x4022);
    let n = 0;
    while (v.store(there + n * PAGE, Uint8Array.of(1))) n++;
    expect(n).toBeLessThan(2200);
    expect(v.fault(there + n * PAGE, true)).toEqual({ kind: 'oom' });
    expect(without.memory.vmstat()['pgscan_direct']).toBe(0);
  });

  it('full swap is out of memory too, and space freed is used again', () => {
    const k = small(64);
    const u = k.user();
    const at = u.mmap(6000, RW, 0x4022);
    let n = 0;
    while (u.store(at + n * PAGE, pattern(PAGE, n))) n++;
    expect(k.memory.meminfo()['SwapFree']).toBe(0);
    k.check();
    u.munmap(at, 100);
    expect(u.store(at + n * PAGE, pattern(PAGE, n))).toBe(true);
    for (let i = 100; i <= n; i += 13)
      expect(Buffer.compare(u.load(at + i * PAGE, PAGE)!, pattern(PAGE, i))).toBe(0);
    k.check();
  });

  it('files of RAM go to swap, with tags; what can be read again is dropped', () => {
    const k = small();
    const u = k.user();
    const at = u.mmap(2, RW | PROT_MTE, MAP_SHARED | 0x20);
    u.store(at, pattern(PAGE, 1));
    u.storeTag(at + 32, 6);
    let reads = 0;
    const file = k.memory.newFile({
      name: 'text',
      size: PAGE,
      read: () => {
        reads++;
        return pattern(PAGE, 5);
      },
    });
    expect(k.run(k.memory.readFile(file, 0, PAGE))).toEqual(pattern(PAGE, 5));
    swapOut(k, u, at, 2);
    for (let i = 0; i < 4; i++) k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
    expect([file.cachedPages, k.mm.globalNodeState('nr_shmem')]).toEqual([0, 0]);
    k.check();
    expect(k.run(k.memory.readFile(file, 0, PAGE))).toEqual(pattern(PAGE, 5));
    expect(reads).toBe(2);
    const child = u.fork();
    expect(child.loadTag(at + 32)).toBe(6);
    expect(u.load(at, PAGE)).toEqual(pattern(PAGE, 1));
    k.check();
    swapOut(k, u, at, 2);
    for (const p of [u, child]) p.exit();
    expect(k.memory.meminfo()['SwapFree']).toBe(2048);
    k.check();
  });

  it('what is used stays, what is not goes first', () => {
    const k = small();
    const u = k.user();
    const at = u.mmap(400, RW);
    for (let i = 0; i < 400; i++) u.store(at + i * PAGE, pattern(PAGE, i));
    // The first look forgets that all of them were used.
    k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
    const hot = [3, 17, 40];
    const resident = (i: number) => k.memory.residentPfn(u.as, VA(BigInt(at + i * PAGE))) !== undefined;
    for (let round = 0; round < 8; round++) {
      for (const i of hot) u.touch(at + i * PAGE, true) && u.fault(at + i * PAGE, true);
      k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
    }
    const left = [...Array(400).keys()].filter(resident);
    expect(left.length).toBeLessThan(200);
    for (const i of hot) expect(left).toContain(i);
  });

  it('pinned pages are left alone', () => {
    const k = small();
    const u = k.user();
    const at = u.mmap(2, RW);
    for (let i = 0; i < 2; i++) u.store(at + i * PAGE, pattern(PAGE, i));
    const page = k.run(getUserPage(k.mm, u.as as MmStruct, at, FOLL_PIN | FOLL_WRITE));
    swapOut(k, u, at + PAGE);
    expect(u.pfn(at)).toBeDefined();
    k.run(unpinUserPage(k.mm, page as never));
    swapOut(k, u, at);
    expect(u.load(at, PAGE)).toEqual(pattern(PAGE, 0));
    k.check();
  });

  it('v3/12: room for tags is made before the table lock, the tags are written under it', () => {
    const k = small();
    const u = k.user();
    const at = u.mmap(1, RW | PROT_MTE);
    u.storeTag(at, 5);
    swapOut(k, u, at);
    const order: string[] = [];
    const space = u.as as MmStruct;
    const { hooks } = k.mm;
    const spy = Object.create(hooks) as MmHooks;
    spy.archSwapPrepareToRestore = (entry, page) => {
      order.push(`prepare, atomic ${k.contexts.current.atomic}`);
      return hooks.archSwapPrepareToRestore(entry, page);
    };
    spy.archSwapRestore = (entry, page) => {
      order.push(`restore, lock ${space.pageTableLock.held}`);
      return hooks.archSwapRestore(entry, page);
    };
    for (const name of [
      'archCalcVmaGfp',
      'archAllocPage',
      'archAllocCma',
      'needsSyncTags',
      'mteSyncTags',
    ] as const) {
      spy[name] = hooks[name].bind(hooks) as never;
    }
    for (const name of [
      'archSwapInvalidatePage',
      'archNeedsFreePrepare',
      'archFreePagesPrepare',
      'tagClearHighpage',
      'syncIcacheDcache',
    ] as const) {
      spy[name] = hooks[name].bind(hooks) as never;
    }
    k.mm.hooks = spy;
    expect(u.loadTag(at)).toBe(5);
    k.mm.hooks = hooks;
    expect(order).toEqual(['prepare, atomic false', 'restore, lock true']);
  });

  it('tags come back where the page is first wanted untagged (v3/28, row 28)', () => {
    const k = small();
    const a = k.user();
    const b = k.user();
    const file = k.memory.newFile({ name: 'memfd', size: PAGE });
    const map = (u: User, prot: number) =>
      k.run(k.memory.mmap(u.as, { addr: VA(0n), length: PAGE, prot, flags: MAP_SHARED, file }));
    const [x, y] = [map(a, RW | PROT_MTE), map(b, RW)];
    a.store(x, pattern(PAGE, 3));
    a.storeTag(x + 48, 11);
    swapOut(k, a, x);
    expect(b.load(y, PAGE)).toEqual(pattern(PAGE, 3));
    k.check();
    expect(a.loadTag(x + 48)).toBe(11);
    expect(b.mprotect(y, 1, RW | PROT_MTE)).toBe(0);
    expect(b.loadTag(y + 48)).toBe(11);
    k.check();
  });
});

describe('the command line', () => {
  it('mtemu.swap=SIZE makes the device, and without it there is none', () => {
    expect(swapPagesOf('console=ttyAMA0 mtemu.swap=64M quiet', 4096)).toBe(16384);
    expect(swapPagesOf('mtemu.swap=1M', 65536)).toBe(16);
    expect(swapPagesOf('xmtemu.swap=1M', 4096)).toBe(0);
    expect(() => swapPagesOf('mtemu.swap=much', 4096)).toThrow(/BOOT-SWAP/);
    expect(() => swapPagesOf('mtemu.swap=64T', 4096)).toThrow(/BOOT-SWAP/);
    const tree = defaultTree(64 * 2 ** 20);
    tree.root.child('chosen')!.properties.set('bootargs', new TextEncoder().encode('mtemu.swap=8M\0'));
    expect(bootSystem({ tree }).kernel.mm.meminfo()).toMatchObject({ SwapTotal: 8192, SwapFree: 8192 });
  });
});

describe('kswapd', () => {
  it('brings every zone back above its high watermark', () => {
    const k = small();
    const u = k.user();
    const at = u.mmap(2100, RW, 0x4022);
    for (let i = 0; i < 1900; i++) u.store(at + i * PAGE, Uint8Array.of(i));
    const held = [];
    for (let page = k.run(allocPages(k.mm, GFP_ATOMIC, 0)); page !== undefined; ) {
      held.push(page);
      page = k.run(allocPages(k.mm, GFP_ATOMIC, 0));
    }
    expect(k.mm.zones[0]!.freePages).toBeLessThan(k.mm.zones[0]!.watermark[1]!);
    k.run(balancePgdat(k.mm, k.mm.localNode));
    for (const zone of k.mm.zones) expect(zone.freePages).toBeGreaterThan(zone.watermark[2]!);
    expect(k.mm.events.pgsteal_kswapd).toBeGreaterThan(0);
    for (const page of held) k.run(freePages(k.mm, page, 0));
    k.check();
  });

  it('works beside a program that needs more memory than there is', () => {
    const k = small(2048);
    const u = k.user();
    const at = u.mmap(2600, RW, 0x4022);
    const scheduler = new Scheduler(k.contexts);
    let done = false;
    scheduler.spawn(
      'kswapd',
      kswapd(k.mm, k.mm.localNode, () => done),
      { cpu: 0 },
    );
    scheduler.spawn(
      'program',
      (function* (): MaySleep<void> {
        for (let i = 0; i < 2500; i++) {
          yield* access(k, u.as, at + i * PAGE, true, (pa) => k.port.write8(pa as never, i & 255));
        }
        done = true;
        k.mm.localNode.kswapdWait.wakeUp();
      })(),
      { cpu: 1 },
    );
    scheduler.run();
    for (let i = 0; i < 2500; i += 11) expect(u.load(at + i * PAGE, 1)).toEqual(Uint8Array.of(i & 255));
    expect(k.mm.events.pgsteal_kswapd).toBeGreaterThan(0);
    k.check();
  });
});

const RESCHED = sleepPoint('user');

function* access(
  k: Fixture,
  as: AddressSpace,
  addr: number,
  write: boolean,
  use: (pa: number, tagged: boolean) => void,
): MaySleep<void> {
  for (let tries = 0; tries < 50; tries++) {
    const mapping = k.memory.virtToPhys(as, VA(BigInt(addr)));
    if (mapping && (!write || mapping.write)) {
      use(mapping.pa, mapping.tagged);
      return;
    }
    const request = { write, exec: false, user: true, tagAccess: false };
    const result = yield* k.memory.handleMmFault(as, VA(BigInt(addr)), request);
    if (result.kind !== 'handled') throw new Error(`fault: ${JSON.stringify(result)}`);
    yield RESCHED;
  }
  throw new Error('no progress');
}

describe('races', () => {
  const search = (build: (k: Fixture, spawn: (work: MaySleep<unknown>) => void) => () => void) => {
    const found = searchSchedules(
      (strategy) => {
        const k = boot({ tagPages: 64, pageblockOrder: 5, cpus: 4, swapPages: 64 });
        const scheduler = new Scheduler(k.contexts, strategy);
        let cpu = 0;
        const verify = build(k, (work) => void scheduler.spawn(`task ${cpu}`, work, { cpu: cpu++ }));
        return {
          scheduler,
          verify: () => {
            verify();
            k.run(lruAddDrainAll(k.mm));
            k.check();
          },
        };
      },
      { runs: 80, seed: 3 },
    );
    if (found) throw new Error(`schedule ${found.schedule}: ${String(found.error)}`, { cause: found.error });
  };

  it('two sharers want the same slot at once, one of them to write', () => {
    search((k, spawn) => {
      const parent = k.user();
      const at = parent.mmap(1, RW | PROT_MTE);
      parent.store(at, pattern(PAGE, 1));
      parent.storeTag(at + 32, 7);
      const child = parent.fork();
      swapOut(k, parent, at);
      swapOut(k, child, at);
      spawn(
        access(
          k,
          parent.as,
          at + 32,
          false,
          (pa, tagged) => tagged && expect(k.port.readTag(pa as never)).toBe(7),
        ),
      );
      spawn(access(k, child.as, at + 64, true, (pa) => k.port.writeTag(pa as never, 9)));
      return () => {
        expect([parent.loadTag(at + 32), child.loadTag(at + 32)]).toEqual([7, 7]);
        expect([parent.loadTag(at + 64), child.loadTag(at + 64)]).toEqual([0, 9]);
        expect(child.load(at, PAGE)).toEqual(pattern(PAGE, 1));
      };
    });
  });

  it('a page is reclaimed while its owner writes to it and tags it', () => {
    search((k, spawn) => {
      const u = k.user();
      const at = u.mmap(1, RW | PROT_MTE);
      u.store(at, pattern(PAGE, 2));
      k.run(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
      u.store(at, pattern(PAGE, 2));
      spawn(tryToFreePages(k.mm, GFP_HIGHUSER_MOVABLE, 2));
      spawn(
        (function* (): MaySleep<void> {
          yield* access(k, u.as, at + 128, true, (pa) => k.port.writeTag(pa as never, 5));
          yield* access(k, u.as, at, true, (pa) => k.port.write8(pa as never, 0xaa));
        })(),
      );
      return () => {
        expect(u.loadTag(at + 128)).toBe(5);
        const want = pattern(PAGE, 2);
        want[0] = 0xaa;
        expect(u.load(at, PAGE)).toEqual(want);
      };
    });
  });
});
