/**
 * The kernel on modelled caches: pages come and go, tagged and untagged, on memory behind write-back data
 * and tag caches. With the maintenance that RFC v3 has, at both hand-overs of a block of
 * tag storage, nothing is ever corrupted; without one of them, it is on some seeds.
 */
import { describe, expect, it } from 'vitest';
import { PA, Random } from '../../src/base/index.js';
import {
  __GFP_TAGGED,
  allocPages,
  freePages,
  GFP_HIGHUSER_MOVABLE,
  lruAddDrainAll,
  PG_tag_storage_reserved,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/kernel/mm/index.js';
import { createMachine, type Machine, modelledCaches } from '../../src/machine/index.js';
import type { FakePort } from './fake-port.js';
import { boot, type Fixture } from './kernel-fixture.js';

const BASE = 0x4000_0000;
const PAGE = 4096;
const TAG_PAGES = 24;
const DATA_PAGES = TAG_PAGES * 32;
const ROUNDS = 2;
const DATA_PAGES_USED = 72;
const TAGGED_PAGES_USED = 24;
/** Bytes written to a page, from a place that differs from page to page. */
const STRIPE = 512;
const READ_WRITE = PROT_READ | PROT_WRITE;

type Omission = 'nothing' | 'data invalidate' | 'tag invalidate';

function machineOf(seed: number, omit: Omission): { machine: Machine; reports: () => number } {
  const size = (DATA_PAGES + TAG_PAGES) * PAGE;
  const tagBase = BASE + DATA_PAGES * PAGE;
  const machine = createMachine({
    banks: [{ base: BASE, size }],
    tagRanges: [{ memBase: BASE, memSize: DATA_PAGES * PAGE, tagBase, blockSize: PAGE }],
    seed,
    caches: modelledCaches,
  });
  let reports = 0;
  machine.memory.onIncoherence = () => reports++;
  if (omit === 'data invalidate') machine.memory.dcacheInvalPoc = () => {};
  if (omit === 'tag invalidate') machine.memory.dcacheInvalTagsPoc = () => {};
  return { machine, reports: () => reports };
}

/** The fixture's port with everything a machine's memory does in place of what it does. */
function onMachine(fixture: FakePort, { memory }: Machine): void {
  for (const name of [
    ...(['read8', 'read16', 'read32', 'read64', 'write8', 'write16', 'write32', 'write64'] as const),
    ...(['readBytes', 'writeBytes', 'fill', 'copy', 'equal'] as const),
    ...(['readTag', 'writeTag', 'readTags', 'writeTags', 'fillTags'] as const),
    ...(['dcacheInvalPoc', 'dcacheCleanPoc', 'dcacheCleanInvalPoc'] as const),
    ...(['dcacheInvalTagsPoc', 'dcacheCleanTagsPoc', 'dcacheCleanInvalTagsPoc', 'icacheInval'] as const),
  ]) {
    Object.defineProperty(fixture, name, { value: memory[name].bind(memory) });
  }
}

/** A machine so small that data soon lies in tag storage: 12 of every 128 data pages are left to it. */
function fixtureOn(machine: Machine): Fixture {
  const reserved = [];
  for (let page = 0; page < DATA_PAGES; page += 128) {
    reserved.push({ base: PA(BASE + (page + 12) * PAGE), size: 116 * PAGE });
  }
  return boot({
    tagPages: TAG_PAGES,
    reserved,
    pageblockOrder: 3,
    onPort: (port) => onMachine(port, machine),
  });
}

/** What a page or its tags hold: `length` bytes that depend on page, round and seed. */
function pattern(random: Random, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer);
  for (let i = 0; i < words.length; i++) words[i] = random.u32();
  return bytes;
}

const same = (a: Uint8Array | undefined, b: Uint8Array) => a !== undefined && Buffer.compare(a, b) === 0;

interface Outcome {
  readonly intact: boolean;
  readonly reports: number;
  /** Pages of tag storage that held data, and blocks that held tags. */
  readonly lent: number;
  readonly taken: number;
}

/**
 * One seed: memory is filled with untagged pages, so that they lie in tag storage; they go, tagged pages
 * come, which take the blocks back; and so on. All that was written is read before it goes.
 */
function runSeed(seed: number, omit: Omission): Outcome {
  const { machine, reports } = machineOf(seed, omit);
  const k = fixtureOn(machine);
  const random = new Random(seed, 'patterns');
  const user = k.user();
  let [lent, taken, intact] = [0, 0, true];
  for (let round = 0; round < ROUNDS; round++) {
    for (const [pages, prot] of [
      [DATA_PAGES_USED, READ_WRITE],
      [TAGGED_PAGES_USED, READ_WRITE | PROT_MTE],
    ] as const) {
      const isTagged = (prot & PROT_MTE) !== 0;
      const at = user.mmap(pages, prot);
      const written: { readonly addr: number; readonly data: Uint8Array; readonly tags: Uint8Array }[] = [];
      for (let i = 0; i < pages; i++) {
        const addr = at + i * PAGE + random.below((PAGE - STRIPE) / 64) * 64;
        const page = { addr, data: pattern(random, STRIPE), tags: pattern(random, PAGE / 32) };
        if (!user.store(addr, page.data)) break;
        if (isTagged) machine.memory.writeTags(user.touch(at + i * PAGE, true)!.pa, page.tags);
        written.push(page);
      }
      const snapshot = k.memory.snapshotTagStorage();
      lent = Math.max(lent, snapshot.data);
      taken = Math.max(taken, snapshot.tags);
      for (const { addr, data, tags } of written) {
        intact &&= same(user.load(addr, STRIPE), data);
        const start = addr - (addr % PAGE);
        if (isTagged) intact &&= same(machine.memory.readTags(user.touch(start, false)!.pa, PAGE), tags);
      }
      // The last thing that happens to a page is a write: dirty lines stay behind when it is freed.
      for (const { addr, data } of written) user.store(addr, data.subarray(0, 64));
      user.munmap(at, pages);
      k.run(lruAddDrainAll(k.mm));
    }
  }
  return { intact, reports: reports(), lent, taken };
}

function runSeeds(count: number, omit: Omission) {
  const outcomes = Array.from({ length: count }, (_, seed) => runSeed(seed, omit));
  return {
    corrupted: outcomes.filter((o) => !o.intact).length,
    warned: outcomes.filter((o) => o.reports > 0).length,
    lent: Math.min(...outcomes.map((o) => o.lent)),
    taken: Math.min(...outcomes.map((o) => o.taken)),
  };
}

describe('the kernel on modelled caches', () => {
  it('keeps all data and tags with the maintenance of RFC v3, on every seed', () => {
    const { corrupted, warned, lent, taken } = runSeeds(60, 'nothing');
    expect({ corrupted, warned }).toEqual({ corrupted: 0, warned: 0 });
    expect(lent).toBeGreaterThan(4);
    expect(taken).toBeGreaterThan(2);
  });

  it('loses tags on some seeds without the data invalidate at reservation', () => {
    const { corrupted, warned } = runSeeds(20, 'data invalidate');
    expect(corrupted).toBeGreaterThan(0);
    expect(warned).toBeGreaterThanOrEqual(corrupted);
  });

  it('loses data on some seeds without the tag invalidate at free', () => {
    const { corrupted, warned } = runSeeds(60, 'tag invalidate');
    expect(corrupted).toBeGreaterThan(0);
    expect(warned).toBeGreaterThanOrEqual(corrupted);
  });

  it('leaves no tag line of any page of a folio behind when it is freed', () => {
    for (const order of [0, 1, 2, 3]) {
      const { machine } = machineOf(order, 'nothing');
      const { memory } = machine;
      const k = boot({ tagPages: TAG_PAGES, pageblockOrder: 3, onPort: (port) => onMachine(port, machine) });
      const page = k.run(allocPages(k.mm, GFP_HIGHUSER_MOVABLE | __GFP_TAGGED, order))!;
      expect(k.mm.memmap.test(page, PG_tag_storage_reserved)).toBe(true);
      const bytes = PAGE << order;
      const pa = k.mm.pageToPa(page);
      const tagPage = PA(BASE + DATA_PAGES * PAGE + Math.floor((pa - BASE) / 32 / PAGE) * PAGE);
      // Those of the zero page, which is near.
      memory.dcacheCleanInvalTagsPoc(PA(BASE), DATA_PAGES * PAGE);
      memory.fillTags(pa, bytes, 9);
      k.run(freePages(k.mm, page, order));
      // Whoever has the block next stores data, which reaches memory; then every tag line that is left does.
      memory.fill(tagPage, PAGE, 0x5a);
      memory.dcacheCleanInvalPoc(tagPage, PAGE);
      memory.dcacheCleanInvalTagsPoc(PA(BASE), DATA_PAGES * PAGE);
      const left = memory.readBytes(tagPage, PAGE).filter((byte) => byte !== 0x5a).length;
      expect([order, left]).toEqual([order, 0]);
    }
  });
});
