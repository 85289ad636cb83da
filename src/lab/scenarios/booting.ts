/**
 * Boot: which regions are taken charge of, what happens where one cannot be, and the zero page
 * (tag-storage.md 1.6, 1.7, 2.2, 3).
 */
import { PA } from '../../base/index.js';
import { compileDts, discoverTagStorage } from '../../devicetree/index.js';
import type { Mm, TagRegion } from '../../kernel/index.js';
import {
  allocContigRange,
  allocPages,
  folioBlocks,
  freePages,
  GFP_HIGHUSER_MOVABLE,
  type Page,
  policies,
  readBootLayout,
} from '../../kernel/index.js';
import { pattern } from './program.js';
import { story } from './scenario.js';
import { MTE, PAGE, RW, World, type WorldOptions } from './world.js';

/** `n` regions of 2048 data pages each, their tag storage behind all data. */
function regions(n: number): { banks: { base: PA; size: number }[]; regions: TagRegion[] } {
  const base = 0x40000;
  const tags = base + n * 2048;
  return {
    banks: [{ base: PA(base * PAGE), size: n * (2048 + 64) * PAGE }],
    regions: Array.from({ length: n }, (_, i) => ({
      memStartPfn: base + i * 2048,
      memEndPfn: base + i * 2048 + 2047,
      tagStartPfn: tags + i * 64,
      tagEndPfn: tags + i * 64 + 63,
      blockSizePages: 1,
    })),
  };
}

const bootWorld = (k: World, policy: string, options: WorldOptions): World => {
  const world = new World(policy, options, 0);
  world.step(k.position);
  return world;
};

/** Movable data in every page that can be had, each verified after `meanwhile`; `world` has tag storage in use or not. */
function dataSurvives(world: World, meanwhile: () => void): void {
  const held: Page[] = [];
  for (;;) {
    const page = world.run(allocPages(world.mm, GFP_HIGHUSER_MOVABLE, 0));
    if (page === undefined) break;
    if (world.mm.hooks.isTagStoragePage(page) || isCarveOut(world, page)) {
      world.memory.writeBytes(world.mm.pageToPa(page), pattern(held.length + 1));
    }
    held.push(page);
  }
  const spare = held.splice(0, 256);
  for (const page of spare) world.run(freePages(world.mm, page, 0));
  meanwhile();
  for (const [i, page] of held.entries()) {
    if (!isCarveOut(world, page)) continue;
    const want = pattern(i + spare.length + 1);
    const got = world.memory.readBytes(world.mm.pageToPa(page), PAGE);
    const at = want.findIndex((byte, n) => byte !== got[n]);
    world.expect(
      at < 0,
      '8',
      `data at pfn 0x${world.mm.memmap.pageToPfn(page).toString(16)}+${at} became tags`,
    );
  }
  for (const page of held) world.run(freePages(world.mm, page, 0));
}

const isCarveOut = (world: World, page: Page): boolean => {
  const pfn = world.mm.memmap.pageToPfn(page);
  return world.regions.some((r) => pfn >= r.tagStartPfn && pfn <= r.tagEndPfn);
};

/** A program tags pages until 64 have tags. */
function tagSome(world: World): void {
  const program = world.program();
  const addr = program.map(64, RW | MTE);
  for (let i = 0; i < 64; i++) program.tagPage(addr + i * PAGE, 1 + (i % 15));
  for (let i = 0; i < 64; i++) program.expectTag(addr + i * PAGE + 16, 1 + (i % 15), `page ${i}`);
}

const REGIONS_TREE = (badBlockSize: string) => `/dts-v1/;
/ {
  #address-cells = <2>; #size-cells = <2>;
  low: memory@40000000 { device_type = "memory"; reg = <0 0x40000000 0 0x800000>; };
  high: memory@40800000 { device_type = "memory"; reg = <0 0x40800000 0 0x800000>; };
  memory@41000000 { device_type = "memory"; reg = <0 0x41000000 0 0x80000>; };
  reserved-memory {
    #address-cells = <2>; #size-cells = <2>; ranges;
    tag-storage@41000000 { compatible = "arm,mte-tag-storage"; reg = <0 0x41000000 0 0x40000>;
      block-size = <${badBlockSize}>; tagged-memory = <&low>; reusable; };
    tag-storage@41040000 { compatible = "arm,mte-tag-storage"; reg = <0 0x41040000 0 0x40000>;
      block-size = <0x1000>; tagged-memory = <&high>; reusable; };
  };
};
`;

export const BOOTING = [
  story({
    id: 'R9',
    title: 'an area cannot be activated, and those that were are taken out again',
    expected: 'a warning exactly where memory could not be taken out',
    boots: true,
    tell(k, policy) {
      const layout = regions(2);
      for (const inUse of [false, true]) {
        k.step(inUse ? 'data is pinned in the first area' : 'the first area is free');
        let areas = 0;
        const world = bootWorld(k, policy, {
          layout,
          shouldFail: (what) => what === 'cma_bitmap' && ++areas === 2,
          betweenInitcalls(mm) {
            if (inUse) takeExactly(mm, layout.regions[0]!.tagStartPfn);
          },
        });
        k.expect(!world.tagStorageEnabled, '2.2', 'tag storage is managed all the same');
        const warned = world.log.some((line) => line.includes('will be corrupted'));
        k.expect(
          warned === inUse,
          'R9',
          warned ? 'a warning although all came out' : 'silence, and data is in tag storage',
        );
      }
      return undefined;
    },
  }),

  story({
    id: 'R15',
    title: 'tag storage above all addressable memory',
    expected: 'it is not managed, and nothing crashes',
    boots: true,
    tell(k, policy) {
      const { banks, regions: all } = regions(1);
      const region = { ...all[0]!, tagStartPfn: 0x1000000, tagEndPfn: 0x1000000 + 63 };
      const hardware = [
        { memBase: 0x40000 * PAGE, memSize: 2048 * PAGE, tagBase: (0x40000 + 2048) * PAGE, blockSize: PAGE },
      ];
      const world = bootWorld(k, policy, { layout: { banks, regions: [region], hardware } });
      k.expect(!world.tagStorageEnabled, '2.2', 'it is managed');
      return world.log.join('; ');
    },
  }),

  story({
    id: 'R16',
    title: 'tag storage that spans two zones',
    expected: 'it is split, and both parts are used',
    boots: true,
    tell(k, policy) {
      const world = bootWorld(k, policy, { layout: acrossZones() });
      k.expect(world.tagStorageEnabled, '2.2', `it is not managed: ${world.log.join('; ')}`);
      const parts = world.mm.cmaAreas.filter((area) => area.count > 0);
      k.expect(parts.length === 2, '1.7', `${parts.length} areas`);
      return parts.map((area) => `0x${area.basePfn.toString(16)}+${area.count}`).join(' and ');
    },
  }),

  story({
    id: 'R22',
    title: 'without MTE, tag storage is given back that lies beyond the end of memory',
    expected: 'what is memory becomes ordinary, the rest is skipped',
    boots: true,
    tell(k, policy) {
      const { regions: all, banks } = regions(1);
      const short = [{ base: banks[0]!.base, size: (2048 + 32) * PAGE }];
      const region = { ...all[0]!, memEndPfn: 0x40000 + 1023 };
      const world = bootWorld(k, policy, {
        mte: false,
        layout: { banks: short, regions: [{ ...region, tagEndPfn: region.tagStartPfn + 63 }], hardware: [] },
      });
      k.expect(world.mm.totalramPages() === 2048 + 32 - 1, 'R22', `${world.mm.totalramPages()} pages`);
      world.settle();
      return undefined;
    },
  }),

  story({
    id: 'F2',
    title: 'right of a zone boundary, every page has the block it had before the split',
    expected: 'the block emptied for a page is the one its tags go to',
    boots: true,
    tell(k, policy) {
      const layout = acrossZones();
      const world = bootWorld(k, policy, { layout });
      k.step(
        "a neighbour's data lies in the tags of the last page left of the boundary; that page is tagged",
      );
      const region = layout.regions[0]!;
      const last = region.memStartPfn + 64 * 32 - 1;
      const block = folioBlocks(layout.regions, last, 0)![0]!.pfn;
      const neighbour = world.program();
      const lent = world.dataAt(neighbour, block, 1);
      const program = world.program();
      const addr = world.dataAt(program, last, 2);
      program.protect(addr, 1, RW | MTE);
      program.tagPage(addr, 9);
      neighbour.expectData(lent, 1, "the neighbour's page");
      program.expectTag(addr, 9, 'the page');
      world.settle();
      return undefined;
    },
  }),

  story({
    id: 'F5',
    title: 'the third of three areas is refused',
    expected: 'none is lent',
    boots: true,
    tell(k, policy) {
      const layout = regions(3);
      // 63 pages: no whole number of pageblocks.
      const third = {
        ...layout.regions[2]!,
        tagEndPfn: layout.regions[2]!.tagEndPfn - 1,
        memEndPfn: layout.regions[2]!.memEndPfn - 32,
      };
      const banks = [
        { base: layout.banks[0]!.base, size: 3 * 2048 * PAGE },
        { base: PA((0x40000 + 3 * 2048) * PAGE), size: 3 * 64 * PAGE },
      ];
      const all = {
        banks,
        regions: [layout.regions[0]!, layout.regions[1]!, third],
        hardware: hardwareOf(layout.regions),
      };
      const reserved = [
        { base: PA((third.memEndPfn + 1) * PAGE), size: 32 * PAGE },
        { base: PA((third.tagEndPfn + 1) * PAGE), size: PAGE },
      ];
      const world = bootWorld(k, policy, { layout: all, reserved });
      k.expect(!world.tagStorageEnabled, '2.2', 'it is managed');
      k.step('memory fills with data, and pages are tagged');
      dataSurvives(world, () => tagSome(world));
      world.settle();
      return undefined;
    },
  }),

  story({
    id: 'F6',
    title: 'the first of two nodes is invalid',
    expected: 'nothing is lent, and the range of the bad node is not given to the allocator either',
    boots: true,
    tell(k, policy) {
      const tree = compileDts({ name: 'scenario.dts', text: REGIONS_TREE('0') }).tree;
      const posted = policies().find((p) => p.name === policy)?.discovery === 'linux-v3';
      const found = discoverTagStorage(tree, { pageSize: PAGE, as: posted ? 'linux-v3' : 'binding' });
      const { banks } = readBootLayout(tree);
      const hardware = [0, 1].map((i) => ({
        memBase: 0x40000000 + i * 0x800000,
        memSize: 0x800000,
        tagBase: 0x41000000 + i * 0x40000,
        blockSize: PAGE,
      }));
      const reserved = hardware.map((range) => ({ base: PA(range.tagBase), size: 0x40000 }));
      // A probe that fails gives its range back; what was probed stays reserved.
      const kept = posted
        ? reserved.filter(({ base }) => found.regions.some((r) => r.tag_start_pfn * PAGE === base))
        : reserved;
      const world = bootWorld(k, policy, {
        layout: {
          banks,
          hardware,
          regions: found.regions.map((r) => ({
            memStartPfn: r.mem_start_pfn,
            memEndPfn: r.mem_end_pfn,
            tagStartPfn: r.tag_start_pfn,
            tagEndPfn: r.tag_end_pfn,
            blockSizePages: r.block_size_pages,
          })),
        },
        reserved: kept,
      });
      k.step('the allocator hands out all memory');
      const carveOut = { start: 0x41000, end: 0x41040 };
      const held: Page[] = [];
      for (;;) {
        const page = world.run(allocPages(world.mm, GFP_HIGHUSER_MOVABLE, 0));
        if (page === undefined) break;
        held.push(page);
        const pfn = world.mm.memmap.pageToPfn(page);
        k.expect(
          pfn < carveOut.start || pfn >= carveOut.end,
          '5',
          `pfn 0x${pfn.toString(16)} holds tags of the first memory node, and is handed out as ordinary memory`,
        );
      }
      k.expect(!world.tagStorageEnabled, '2.2', 'the second node is managed');
      return undefined;
    },
  }),

  story({
    id: 'F18',
    title: 'a tag storage region too small for its memory',
    expected: 'refused at boot',
    boots: true,
    tell(k, policy) {
      const { banks, regions: all } = regions(1);
      const region = { ...all[0]!, tagEndPfn: all[0]!.tagStartPfn + 31 };
      const world = bootWorld(k, policy, { layout: { banks, regions: [region], hardware: hardwareOf(all) } });
      k.expect(!world.tagStorageEnabled, '1.6', 'it is managed, and the upper half of memory has no block');
      return world.log[0];
    },
  }),

  story({
    id: 'F21',
    title: 'the zero page lies in no tagged memory',
    expected: 'boot goes on, and a tagged read of it sees tag 0',
    boots: true,
    tell(k, policy) {
      const { regions: all } = regions(1);
      // The zero page is taken from the top of memory, where no region covers it.
      const banks = [
        { base: PA(0x40000 * PAGE), size: (2048 + 64) * PAGE },
        { base: PA(0x80000 * PAGE), size: 32 * PAGE },
      ];
      const world = bootWorld(k, policy, { layout: { banks, regions: all, hardware: hardwareOf(all) } });
      k.expect(world.mm.memmap.pageToPfn(world.mm.zeroPage) >= 0x80000, 'F21', 'the zero page is elsewhere');
      const program = world.program();
      const addr = program.map(1, RW | MTE);
      program.expectTag(addr, 0, 'the zero page');
      k.expect(program.faults === 1, 'progress', `${program.faults} faults`);
      return world.tagStorageEnabled ? 'tag storage is managed' : 'tag storage is not managed';
    },
  }),

  story({
    id: 'F26',
    title: "data is written to the zero page's block before tag storage is enabled",
    expected: 'the tags of the zero page are 0 afterwards, and the data is intact',
    boots: true,
    tell(k, policy) {
      const world = bootWorld(k, policy, {
        betweenInitcalls(mm, memory) {
          const zero = mm.memmap.pageToPfn(mm.zeroPage);
          const page = takeExactly(mm, 0x40000 + 2048 + Math.floor((zero - 0x40000) / 32));
          if (page === undefined) return;
          memory.writeBytes(mm.pageToPa(page), pattern(1));
          // An initcall uses memory that may be anywhere, and is done with it.
          mm.contexts.runToCompletion(freePages(mm, page, 0));
        },
      });
      k.step('a program reads the tags of the zero page');
      const program = world.program();
      const addr = program.map(1, RW | MTE);
      for (let at = 0; at < PAGE; at += 16)
        program.expectTag(addr + at, 0, `granule ${at / 16} of the zero page`);
      world.settle();
      return undefined;
    },
  }),
];

/** Data from 3 GiB on; the first half of its tags lies below 4 GiB, the second above. */
function acrossZones(): { banks: { base: PA; size: number }[]; regions: TagRegion[] } {
  const mem = 0xc0000;
  return {
    banks: [
      { base: PA(mem * PAGE), size: 4096 * PAGE },
      { base: PA((0x100000 - 64) * PAGE), size: 128 * PAGE },
    ],
    regions: [
      {
        memStartPfn: mem,
        memEndPfn: mem + 4095,
        tagStartPfn: 0x100000 - 64,
        tagEndPfn: 0x100000 + 63,
        blockSizePages: 1,
      },
    ],
  };
}

const hardwareOf = (all: readonly TagRegion[]) =>
  all.map((r) => ({
    memBase: r.memStartPfn * PAGE,
    memSize: (r.memEndPfn - r.memStartPfn + 1) * PAGE,
    tagBase: r.tagStartPfn * PAGE,
    blockSize: PAGE,
  }));

/** This page, if the allocator has it to give; movable memory may be any of its pages. */
function takeExactly(mm: Mm, pfn: number): Page | undefined {
  const page = mm.memmap.pfnToPage(pfn)!;
  const type = mm.memmap.pageblockMigratetype(page);
  const work = allocContigRange(mm, page, page + 1, type);
  return mm.contexts.runToCompletion(work) === 0 ? page : undefined;
}
