import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError, Random } from '../../src/base/index.js';
import {
  allNodes,
  discoverTagStorage,
  findNode,
  nodeByPhandle,
  printDts,
  readDtb,
  regEntries,
  toJson,
  translateAddress,
  writeDtb,
} from '../../src/devicetree/index.js';
import { compileBody, errorsOf, treeDigest } from './support.js';

const BEGIN = 1;
const END_NODE = 2;
const PROP = 3;
const NOP = 4;
const END = 9;

/** A blob from structure words; strings are padded to words. */
function blob(
  structure: readonly (number | string)[],
  options: { strings?: string; version?: number; header?: Record<number, number>; extra?: number } = {},
): Uint8Array {
  const words: number[] = [];
  for (const item of structure) {
    if (typeof item === 'number') {
      words.push(item >>> 24, (item >>> 16) & 255, (item >>> 8) & 255, item & 255);
    } else {
      for (const c of item) words.push(c.charCodeAt(0));
      while (words.length % 4 !== 0) words.push(0);
    }
  }
  const strings = [...(options.strings ?? 'a\0b\0')].map((c) => c.charCodeAt(0));
  const at = 56;
  const total = at + words.length + strings.length;
  const out = new Uint8Array(total + (options.extra ?? 0));
  const view = new DataView(out.buffer);
  const fields = [0xd00dfeed, total, at, at + words.length, 40, 17, 16, 0, strings.length, words.length];
  fields.forEach((field, i) => {
    view.setUint32(4 * i, options.header?.[i] ?? field);
  });
  out.set(words, at);
  out.set(strings, at + words.length);
  return out;
}

const root = [BEGIN, '\0'];
const sample = compileBody(
  '#address-cells = <1>; #size-cells = <1>; a = "x", "y"; n@1 { reg = <1 2>; m { k = [00 01 02]; }; }; q: q { r = <&q>; };',
  { symbols: true },
).dtb;

describe('well-formed blobs', () => {
  it('skips NOPs anywhere, also before the root, and padding of any content', () => {
    const tree = readDtb(
      blob([
        NOP,
        ...root,
        NOP,
        PROP,
        1,
        0,
        0x07abcdef,
        NOP,
        BEGIN,
        'c\0',
        NOP,
        END_NODE,
        NOP,
        END_NODE,
        NOP,
        END,
      ]),
    );
    expect([...tree.root.properties.get('a')!]).toEqual([7]);
    expect(tree.root.children[0]!.path).toBe('/c');
  });

  it('ignores what lies behind END and behind totalsize', () => {
    expect(readDtb(blob([...root, END_NODE, END, 0x12345678], { extra: 99 })).root.children).toEqual([]);
  });

  it('reads a blob at an odd place in a larger buffer', () => {
    const shifted = new Uint8Array(sample.length + 3);
    shifted.set(sample, 3);
    expect(treeDigest(readDtb(shifted.subarray(3)))).toBe(treeDigest(readDtb(sample)));
  });

  it('takes full paths and 8-byte alignment in versions 1 to 3', () => {
    const structure = [
      BEGIN,
      '/\0',
      PROP,
      8,
      0,
      0,
      1,
      2,
      BEGIN,
      '/c\0',
      BEGIN,
      '/c/d\0',
      END_NODE,
      END_NODE,
      END_NODE,
      END,
    ];
    for (const version of [1, 2, 3]) {
      const tree = readDtb(blob(structure, { header: { 5: version, 6: 1 } }));
      expect([...tree.root.properties.get('a')!]).toEqual([0, 0, 0, 1, 0, 0, 0, 2]);
      expect(tree.root.children[0]!.children[0]!.path).toBe('/c/d');
    }
  });

  it('keeps names that JavaScript objects have as ordinary names', () => {
    const strings = '__proto__\0';
    const tree = readDtb(
      blob([...root, PROP, 0, 0, BEGIN, 'constructor\0', END_NODE, END_NODE, END], { strings }),
    );
    expect([...tree.root.properties.keys()]).toEqual(['__proto__']);
    expect(JSON.parse(toJson(tree)).tree['/constructor']).toEqual({});
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  it('writes what it read, byte for byte', () => {
    expect(writeDtb(readDtb(sample))).toEqual(sample);
    expect(writeDtb(readDtb(sample), { padding: 7 })).toHaveLength(sample.length + 7);
  });
});

describe('malformed blobs are refused with a place', () => {
  const ended = [...root, END_NODE, END];
  const cases: [string, Uint8Array, string, number?][] = [
    ['empty', new Uint8Array(0), 'FDT-TRUNCATED', 0],
    ['source text', new TextEncoder().encode('/dts-v1/; / { };'), 'FDT-MAGIC', 0],
    ['totalsize too large', blob(ended, { header: { 1: 0x80000000 } }), 'FDT-TRUNCATED', 4],
    ['totalsize too small', blob(ended, { header: { 1: 39 } }), 'FDT-TRUNCATED', 36],
    ['structure beyond totalsize', blob(ended, { header: { 2: 0xfffffffc } }), 'FDT-BLOCK', 8],
    ['structure size wraps at 32 bits', blob(ended, { header: { 9: 0xfffffff0 } }), 'FDT-BLOCK', 8],
    ['structure not aligned', blob(ended, { header: { 2: 57, 9: 4 } }), 'FDT-ALIGN', 8],
    ['strings beyond totalsize', blob(ended, { header: { 8: 999 } }), 'FDT-BLOCK', 12],
    ['reservations without end', blob(ended, { header: { 4: 70 } }), 'FDT-RESERVE'],
    ['version from the future', blob(ended, { header: { 5: 19, 6: 18 } }), 'FDT-VERSION', 20],
    ['no root', blob([END]), 'FDT-STRUCTURE', 56],
    ['two roots', blob([...root, END_NODE, ...root, END_NODE, END]), 'FDT-STRUCTURE', 68],
    ['no END', blob([...root, END_NODE]), 'FDT-STRUCTURE', 68],
    ['END inside a node', blob([...root, END]), 'FDT-STRUCTURE', 64],
    ['END_NODE too many', blob([...root, END_NODE, END_NODE, END]), 'FDT-STRUCTURE', 68],
    ['property before the root', blob([PROP, 0, 0, ...ended]), 'FDT-STRUCTURE', 56],
    ['unknown token', blob([...root, 5, END_NODE, END]), 'FDT-TOKEN', 64],
    ['length beyond the block', blob([...root, PROP, 0x80000000, 0, END_NODE, END]), 'FDT-LENGTH', 68],
    [
      'length that wraps with its padding',
      blob([...root, PROP, 0xfffffff4, 0, END_NODE, END]),
      'FDT-LENGTH',
      68,
    ],
    ['name outside the strings', blob([...root, PROP, 0, 4, END_NODE, END]), 'FDT-NAME', 72],
    ['name offset near 2^32', blob([...root, PROP, 0, 0xffffffff, END_NODE, END]), 'FDT-NAME', 72],
    ['name without end', blob([...root, PROP, 0, 0, END_NODE, END], { strings: 'ab', extra: 9 }), 'FDT-NAME'],
    ['node name without end', blob([BEGIN, 'abcd'], { strings: '' }), 'FDT-NAME', 60],
    ['slash in a node name', blob([...root, BEGIN, 'a/b\0', END_NODE, END_NODE, END]), 'FDT-NAME', 68],
    ['child without a name', blob([...root, BEGIN, '\0', END_NODE, END_NODE, END]), 'FDT-NAME', 68],
    ['property twice', blob([...root, PROP, 0, 0, PROP, 0, 0, END_NODE, END]), 'FDT-DUPLICATE', 76],
    [
      'node twice',
      blob([...root, BEGIN, 'c\0', END_NODE, BEGIN, 'c\0', END_NODE, END_NODE, END]),
      'FDT-DUPLICATE',
      80,
    ],
    [
      'old version, path of another parent',
      blob([BEGIN, '/\0', BEGIN, 'x\0', END_NODE, END_NODE, END], { header: { 5: 3, 6: 1 } }),
      'FDT-NAME',
      68,
    ],
  ];
  it.each(cases)('%s', (_, bytes, code, offset) => {
    const [error] = errorsOf(() => readDtb(bytes, 'case.dtb'));
    expect(error).toMatchObject({ code, file: 'case.dtb', ...(offset === undefined ? {} : { offset }) });
  });
});

describe('bombs', () => {
  it('refuses depth beyond its limit without overflowing the stack', () => {
    const deep: (number | string)[] = [...root];
    for (let i = 0; i < 100_000; i++) deep.push(BEGIN, 'n\0');
    expect(errorsOf(() => readDtb(blob(deep)))[0]?.code).toBe('FDT-DEPTH');
  });

  it('takes twenty thousand properties or siblings', () => {
    const names = Array.from({ length: 20_000 }, (_, i) => `p${i}\0`);
    const wide: (number | string)[] = [...root];
    let offset = 0;
    for (const name of names) {
      wide.push(PROP, 0, offset);
      offset += name.length;
    }
    expect(readDtb(blob([...wide, END_NODE, END], { strings: names.join('') })).root.properties.size).toBe(
      20_000,
    );
    const siblings = names.flatMap((name) => [BEGIN, name, END_NODE]);
    expect(readDtb(blob([...root, ...siblings, END_NODE, END])).root.children).toHaveLength(20_000);
  });

  it('refuses a strings block in which every byte begins a long name', () => {
    const strings = `${'a'.repeat(60_000)}\0`;
    const properties = Array.from({ length: 20_000 }, (_, i) => [PROP, 0, i]).flat();
    expect(errorsOf(() => readDtb(blob([...root, ...properties, END_NODE, END], { strings })))[0]?.code).toBe(
      'FDT-NAME',
    );
  });

  it('refuses to write out paths that are quadratically long', () => {
    const name = `${'n'.repeat(2000)}\0`;
    const deep: (number | string)[] = [...root];
    for (let i = 0; i < 1000; i++) deep.push(BEGIN, name);
    for (let i = 0; i < 1000; i++) deep.push(END_NODE);
    const tree = readDtb(blob([...deep, END_NODE, END]));
    expect(errorsOf(() => toJson(tree))[0]?.code).toBe('FDT-PATHS');
  });
});

describe('any mutation', () => {
  it('gives a tree that survives printing and writing, or an InputError', () => {
    const seen = { accepted: 0, refused: 0 };
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 4 }), (seed, count) => {
        const random = new Random(seed, 'mutation');
        const bytes = sample.slice();
        for (let i = 0; i < count; i++) {
          const at = random.below(bytes.length);
          if (random.below(2) === 0) bytes[at] = random.below(256);
          else {
            const word = [0, 1, 2, 3, 4, 9, 0x7fffffff, 0x80000000, 0xffffffff][random.below(9)]!;
            const view = new DataView(bytes.buffer);
            if (at + 4 <= bytes.length) view.setUint32(at & ~3, word);
          }
        }
        try {
          const tree = readDtb(bytes.subarray(0, bytes.length - random.below(2) * random.below(9)));
          seen.accepted++;
          expect(treeDigest(readDtb(writeDtb(tree)))).toBe(treeDigest(tree));
          for (const as of ['binding', 'linux-v3'] as const) discoverTagStorage(tree, { pageSize: 4096, as });
          for (const node of allNodes(tree)) {
            regEntries(node);
            translateAddress(node, 0n);
          }
          printDts(tree);
        } catch (error) {
          expect(error).toBeInstanceOf(InputError);
          seen.refused++;
        }
      }),
      { numRuns: 1500, seed: 7 },
    );
    expect(Math.min(seen.accepted, seen.refused)).toBeGreaterThan(100);
  });
});

describe('looking things up', () => {
  const { tree } = compileBody(
    '#address-cells = <2>; #size-cells = <1>; bus@1000 { #address-cells = <1>; #size-cells = <1>; ranges = <0 1 0x1000 0x100>; dev: d@10 { reg = <0x10 4 0x20 8>; phandle = <0xfffffffe>; }; }; flat { ranges; #address-cells = <2>; e { reg = <1 2 3>; }; }; dark { f { }; };',
  );

  it('reads reg by the parent, and phandles as unsigned', () => {
    const device = nodeByPhandle(tree, 0xfffffffe)!;
    expect(device.path).toBe('/bus@1000/d@10');
    expect(regEntries(device)).toEqual([
      { address: 0x10n, size: 4n },
      { address: 0x20n, size: 8n },
    ]);
    expect(nodeByPhandle(tree, 0)).toBeUndefined();
    expect(regEntries(findNode(tree, '/dark/f')!)).toBeUndefined();
  });

  it('translates through ranges, empty ranges, and not without any', () => {
    expect(translateAddress(findNode(tree, '/bus@1000/d@10')!, 0x10n)).toBe(0x1_0000_1010n);
    expect(translateAddress(findNode(tree, '/bus@1000/d@10')!, 0x100n)).toBeUndefined();
    expect(translateAddress(findNode(tree, '/flat/e')!, 5n)).toBe(5n);
    expect(translateAddress(findNode(tree, '/dark/f')!, 5n)).toBeUndefined();
    expect(translateAddress(tree.root, 5n)).toBeUndefined();
  });
});
