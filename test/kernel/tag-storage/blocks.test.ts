import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TagRegion } from '../../../src/kernel/mm/index.js';
import {
  blockSizePages,
  findBlock,
  folioBlocks,
  regionsProblem,
  splitRegionsAt,
} from '../../../src/kernel/tag-storage/index.js';

const region = (
  memStartPfn: number,
  memPages: number,
  tagStartPfn: number,
  tagPages: number,
  b: number,
): TagRegion => ({
  memStartPfn,
  memEndPfn: memStartPfn + memPages - 1,
  tagStartPfn,
  tagEndPfn: tagStartPfn + tagPages - 1,
  blockSizePages: b,
});

/** The FVP layout of RFC v3 with 4 KiB pages. */
const fvp = (b: number): TagRegion[] => [
  region(0x80000, 0x80000, 0x8f8000, 0x4000, b),
  region(0x880000, 0x78000, 0x8fc000, 0x3c00, b),
];

describe('block size in pages (1.3)', () => {
  it.each([
    [4096, 0x1000, 1],
    [4096, 0x2000, 2],
    [4096, 0x3000, 3],
    [4096, 0x6000, 6],
    [16384, 0x1000, 1],
    [16384, 0x2000, 1],
    [16384, 0x3000, 3],
    [16384, 0x6000, 3],
    [65536, 0x1000, 1],
    [65536, 0x2000, 1],
    [65536, 0x3000, 3],
    [65536, 0x6000, 3],
  ])('page %i, block %i bytes: %i', (pageSize, bytes, pages) => {
    expect(blockSizePages(pageSize, bytes)).toBe(pages);
  });
});

describe('data page to block (1.4)', () => {
  it.each([
    [1, 0x80000, 0x8f8000],
    [1, 0x8001f, 0x8f8000],
    [1, 0x80020, 0x8f8001],
    [1, 0x9abcd, 0x8f8d5e],
    [1, 0xfffff, 0x8fbfff],
    [1, 0x880000, 0x8fc000],
    [1, 0x8a1234, 0x8fd091],
    [1, 0x8f7fff, 0x8ffbff],
    [2, 0x8003f, 0x8f8000],
    [2, 0x80040, 0x8f8002],
    [2, 0xfffff, 0x8fbffe],
  ])('B=%i pfn 0x%x', (b, pfn, block) => {
    expect(findBlock(fvp(b), pfn)?.pfn).toBe(block);
  });

  it('B=3, relative to the start of the tag range', () => {
    const regions = [region(0x100000, 0x1000, 0x200000, 0x81, 3)];
    expect(findBlock(regions, 0x10005f)?.pfn).toBe(0x200000);
    expect(findBlock(regions, 0x100060)?.pfn).toBe(0x200003);
  });

  it('a page outside every region, or of tag storage, has none', () => {
    expect(findBlock(fvp(1), 0x7ffff)).toBeUndefined();
    expect(findBlock(fvp(1), 0x8f8000)).toBeUndefined();
    expect(findBlock([region(0, 64, 1000, 1, 1)], 40)).toBeUndefined();
  });
});

describe('blocks of a folio (1.5)', () => {
  const needed: readonly (readonly [number, readonly number[]])[] = [
    [1, [1, 2, 4, 8, 16, 32]],
    [2, [1, 1, 2, 4, 8, 16]],
    [4, [1, 1, 1, 2, 4, 8]],
    [8, [1, 1, 1, 1, 2, 4]],
  ];
  it.each(needed)('aligned, B=%i', (b, byOrder) => {
    const regions = [region(0x100000, 0x10000, 0x200000, 0x800, b)];
    for (let order = 0; order <= 5; order++) expect(folioBlocks(regions, 0x100000, order)).toHaveLength(1);
    for (const [i, count] of byOrder.entries()) {
      expect(folioBlocks(regions, 0x100000, 5 + i)).toHaveLength(count);
    }
  });

  it('B=3: the count depends on the position', () => {
    const regions = [region(0x100000, 0x6000, 0x200000, 0x300, 3)];
    expect(folioBlocks(regions, 0x100000, 6)).toHaveLength(1);
    // The document's example: off 2..3, blocks +0 and +3, where the order's formula says one.
    expect(folioBlocks(regions, 0x100040, 6)?.map((block) => [block.pfn, block.pages])).toEqual([
      [0x200000, 32],
      [0x200003, 32],
    ]);
    expect(folioBlocks(regions, 0x100000, 9)).toHaveLength(6);
    const counts = [0, 1, 2].map((i) => folioBlocks(regions, 0x100000 + i * 1024, 10)!.length);
    expect(new Set(counts)).toEqual(new Set([11, 12]));
  });

  it('agrees page by page with the single-page formula, for any B, order, start and alignment', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 3, 4, 5, 6, 7, 8),
        fc.integer({ min: 0, max: 10 }),
        fc.integer({ min: 0, max: 5000 }),
        fc.integer({ min: 0, max: 500 }),
        (b, order, at, start) => {
          const regions = [region(start, 8192, 0x200000, Math.ceil(256 / b) * b, b)];
          const pfn = Math.floor((start + at) / 2 ** order) * 2 ** order;
          const counted = new Map<number, number>();
          let missing = false;
          for (let page = pfn; page < pfn + 2 ** order; page++) {
            const block = findBlock(regions, page);
            if (block) counted.set(block.pfn, (counted.get(block.pfn) ?? 0) + 1);
            else missing = true;
          }
          const blocks = folioBlocks(regions, pfn, order);
          if (missing) expect(blocks).toBeUndefined();
          else expect(blocks?.map((block) => [block.pfn, block.pages])).toEqual([...counted]);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('regions before they are lent (1.6, 1.7)', () => {
  const memory = (regions: readonly TagRegion[]) =>
    regions
      .flatMap((r) => [
        { start: r.memStartPfn, end: r.memEndPfn + 1 },
        { start: r.tagStartPfn, end: r.tagEndPfn + 1 },
      ])
      .sort((a, b) => a.start - b.start);

  it('takes the FVP layout', () => {
    for (const b of [1, 2, 4]) expect(regionsProblem(fvp(b), memory(fvp(b)))).toBeUndefined();
  });

  it('takes surplus tag pages, refuses too few', () => {
    const surplus = [region(0x1000, 0x1000, 0x4000, 0x100, 1)];
    expect(regionsProblem(surplus, memory(surplus))).toBeUndefined();
    const few = [region(0x1000, 0x1001, 0x4000, 0x80, 1)];
    expect(regionsProblem(few, memory(few))).toMatch(/does not cover/);
  });

  it.each([
    ['not a multiple of its block', [region(0x1000, 0x20, 0x4000, 4, 3)], /multiple of block size/],
    [
      'beyond memory',
      [region(0x1000, 0x20, 0x4000, 1, 1)],
      /outside addressable/,
      [{ start: 0x1000, end: 0x4000 }],
    ],
    ['inside its own memory', [region(0x1000, 0x100, 0x1010, 8, 1)], /lies inside/],
    ['twice', [region(0, 0x20, 0x4000, 1, 1), region(0x100, 0x20, 0x4000, 1, 1)], /overlaps/],
  ] as const)('%s', (_name, regions, expected, own?: readonly { start: number; end: number }[]) => {
    expect(regionsProblem(regions, own ?? memory(regions))).toMatch(expected);
  });

  it('memory without any tag storage is refused', () => {
    const regions = [region(0x1000, 0x1000, 0x4000, 0x80, 1)];
    expect(regionsProblem(regions, [...memory(regions), { start: 0x8000, end: 0x8100 }])).toMatch(
      /pfn 0x8000/,
    );
  });

  it('splits at a zone boundary so that every page keeps its block', () => {
    for (const b of [1, 2, 4, 8]) {
      const whole = [region(0x80000, 0x80000, 0x8f8000, 0x4000, b)];
      const parts = splitRegionsAt(whole, 0x8f9000);
      expect(typeof parts).not.toBe('string');
      const split = parts as TagRegion[];
      // L = 0x8F8FFF: the left data ends at 0x9FFFF, not at 0x9FFE0.
      expect(split.map((r) => [r.memStartPfn, r.memEndPfn, r.tagStartPfn, r.tagEndPfn])).toEqual([
        [0x80000, 0x9ffff, 0x8f8000, 0x8f8fff],
        [0xa0000, 0xfffff, 0x8f9000, 0x8fbfff],
      ]);
      for (let pfn = 0x80000; pfn <= 0xfffff; pfn += 31) {
        expect(findBlock(split, pfn)?.pfn).toBe(findBlock(whole, pfn)?.pfn);
      }
      expect(findBlock(split, 0xfffff)?.pfn).toBe(findBlock(whole, 0xfffff)?.pfn);
    }
  });

  it('refuses a boundary inside a block, relative to the tag range', () => {
    const regions = [region(0x1000, 0x600, 0x4001, 0x30, 3)];
    expect(splitRegionsAt(regions, 0x4002)).toMatch(/cuts a block/);
    expect(splitRegionsAt(regions, 0x4004)).toHaveLength(2);
  });
});
