import { describe, expect, it } from 'vitest';
import {
  type DeviceTree,
  type Discovery,
  discoverTagStorage,
  type PageSize,
} from '../../src/devicetree/index.js';
import { compile } from './support.js';

/** A machine of one tagged bank; each part can be replaced. */
function machine(parts: Readonly<Record<string, string>> = {}): DeviceTree {
  const part = (name: string, standard: string) => parts[name] ?? standard;
  return compile(`/dts-v1/;
${part('head', '')}
/ {
	${part('root', '#address-cells = <2>; #size-cells = <2>;')}
	m0: memory@80000000 {
		${part('type', 'device_type = "memory";')}
		${part('memory', 'reg = <0 0x80000000 0 0x10000000>;')}
	};
	${part('own', 'memory@90000000 { device_type = "memory"; reg = <0 0x90000000 0 0x800000>; };')}
	${part('elsewhere', '')}
	reserved-memory {
		${part('cells', '#address-cells = <2>; #size-cells = <2>;')}
		${part('ranges', 'ranges;')}
		tag-storage@90000000 {
			${part('compatible', 'compatible = "arm,mte-tag-storage";')}
			${part('reg', 'reg = <0 0x90000000 0 0x800000>;')}
			${part('block', 'block-size = <0x1000>;')}
			${part('tagged', 'tagged-memory = <&m0>;')}
			${part('flags', 'reusable;')}
			${part('last', '')}
		};
		${part('more', '')}
	};
};
`).tree;
}

function discover(
  tree: DeviceTree,
  as: 'binding' | 'linux-v3' = 'binding',
  pageSize: PageSize = 4096,
): Discovery {
  return discoverTagStorage(tree, { pageSize, as });
}

function errorsIn(discovery: Discovery): string[] {
  return discovery.diagnostics
    .filter((d) => d.severity === 'error')
    .map((d) => `${d.code} ${d.path}${d.property === null ? '' : `:${d.property}`}`);
}

const tagNode = '/reserved-memory/tag-storage@90000000';
const second = (rest: string) =>
  `tag-storage@98000000 { compatible = "arm,mte-tag-storage"; block-size = <0x1000>; reusable; ${rest} };`;

describe('a right description', () => {
  it('gives inclusive frame numbers in pages of the granule', () => {
    expect(discover(machine())).toMatchObject({
      enabled: true,
      reason: 'accepted',
      diagnostics: [],
      regions: [
        {
          node: 'tag-storage@90000000',
          memory_node: '/memory@80000000',
          mem_start_pfn: 0x80000,
          mem_end_pfn: 0x8ffff,
          tag_start_pfn: 0x90000,
          tag_end_pfn: 0x907ff,
          block_size_pages: 1,
        },
      ],
    });
    expect(discover(machine(), 'binding', 65536).regions[0]).toMatchObject({
      mem_start_pfn: 0x8000,
      mem_end_pfn: 0x8fff,
      tag_end_pfn: 0x907f,
      block_size_pages: 1,
    });
  });

  it('counts a block in pages, at least one', () => {
    const tree = machine({ block: 'block-size = <0x2000>;' });
    expect(discover(tree).regions[0]?.block_size_pages).toBe(2);
    expect(discover(tree, 'binding', 16384).regions[0]?.block_size_pages).toBe(1);
    expect(
      discover(machine({ block: 'block-size = <0x8000>;' }), 'linux-v3', 16384).regions[0]?.block_size_pages,
    ).toBe(2);
  });

  it('takes areas in any order, sorted by address', () => {
    const tree = machine({
      elsewhere: `m1: memory@a0000000 { device_type = "memory"; reg = <0 0xa0000000 0 0x10000000>; };
        memory@70000000 { device_type = "memory"; reg = <0 0x70000000 0 0x800000>; };`,
      more: `tag-storage@70000000 { compatible = "arm,mte-tag-storage"; reg = <0 0x70000000 0 0x800000>; block-size = <0x4000>; tagged-memory = <&m1>; reusable; };`,
    });
    for (const as of ['binding', 'linux-v3'] as const) {
      expect(discover(tree, as).regions.map((r) => r.node)).toEqual([
        'tag-storage@70000000',
        'tag-storage@90000000',
      ]);
    }
  });

  it('is none where nothing is described or the node is off', () => {
    const none = discover(machine({ compatible: 'compatible = "x";' }));
    expect(none).toMatchObject({ enabled: false, described: false, reason: 'no tag storage is described' });
    const off = discover(machine({ last: 'status = "disabled";' }));
    expect(off).toMatchObject({ enabled: false, described: true });
    expect(off.diagnostics).toMatchObject([{ code: 'TAG-STORAGE-STATUS', severity: 'note' }]);
  });

  it('warns of properties that the binding does not have', () => {
    const found = discover(machine({ last: 'alignment = <1>;' }));
    expect(found.enabled).toBe(true);
    expect(found.diagnostics).toMatchObject([
      { code: 'TAG-STORAGE-PROPERTY', severity: 'warning', property: 'alignment' },
    ]);
  });
});

describe('each rule of the binding', () => {
  const cases: [string, Record<string, string>, string[]][] = [
    [
      'compatible alone',
      { compatible: 'compatible = "arm,mte-tag-storage", "shared-dma-pool";' },
      [`TAG-STORAGE-COMPATIBLE ${tagNode}:compatible`],
    ],
    ['reg missing', { reg: '' }, [`TAG-STORAGE-REG ${tagNode}:reg`]],
    [
      'reg of two entries',
      { reg: 'reg = <0 0x90000000 0 0x800000>, <0 0xa0000000 0 0x1000>;' },
      [`TAG-STORAGE-REG ${tagNode}:reg`],
    ],
    ['reg of odd length', { reg: 'reg = <0 0x90000000 0>;' }, [`TAG-STORAGE-REG ${tagNode}:reg`]],
    ['reg empty', { reg: 'reg = <0 0x90000000 0 0>;' }, [`TAG-STORAGE-REG ${tagNode}:reg`]],
    ['reg beyond 52 bits', { reg: 'reg = <0xfffffff0 0 0 0x800000>;' }, [`TAG-STORAGE-REG ${tagNode}:reg`]],
    [
      'reg that wraps',
      { reg: 'reg = <0xffffffff 0xfffff000 0 0x800000>;' },
      [`TAG-STORAGE-REG ${tagNode}:reg`],
    ],
    ['block-size missing', { block: '' }, [`TAG-STORAGE-BLOCK-SIZE ${tagNode}:block-size`]],
    [
      'block-size of 64 bits',
      { block: 'block-size = <0 0x1000>;' },
      [`TAG-STORAGE-BLOCK-SIZE ${tagNode}:block-size`],
    ],
    ['block-size 0', { block: 'block-size = <0>;' }, [`TAG-STORAGE-BLOCK-SIZE ${tagNode}:block-size`]],
    [
      'block-size no multiple of 4 KiB',
      { block: 'block-size = <0x1800>;' },
      [`TAG-STORAGE-BLOCK-SIZE ${tagNode}:block-size`],
    ],
    [
      'size no multiple of the block',
      { block: 'block-size = <0x3000>;' },
      [`TAG-STORAGE-BLOCK-SIZE ${tagNode}:block-size`],
    ],
    ['tagged-memory missing', { tagged: 'memory = <&m0>;' }, [`TAG-STORAGE-MEMORY ${tagNode}:tagged-memory`]],
    [
      'tagged-memory of two cells',
      { tagged: 'tagged-memory = <&m0 0>;' },
      [`TAG-STORAGE-MEMORY ${tagNode}:tagged-memory`],
    ],
    [
      'tagged-memory of nobody',
      { tagged: 'tagged-memory = <99>;' },
      [`TAG-STORAGE-MEMORY ${tagNode}:tagged-memory`],
    ],
    ['tagged-memory no memory', { type: '' }, [`TAG-STORAGE-MEMORY ${tagNode}:tagged-memory`]],
    [
      'memory disabled',
      { memory: 'reg = <0 0x80000000 0 0x10000000>; status = "disabled";' },
      [`TAG-STORAGE-MEMORY ${tagNode}:tagged-memory`],
    ],
    [
      'memory of two ranges',
      { memory: 'reg = <0 0x80000000 0 0x10000000 0 0xa0000000 0 0x1000>;' },
      [`TAG-STORAGE-MEMORY ${tagNode}:tagged-memory`],
    ],
    [
      'memory one page short',
      { memory: 'reg = <0 0x80000000 0 0xffff000>;' },
      [`TAG-STORAGE-SIZE ${tagNode}:reg`],
    ],
    ['no memory node of its own', { own: '' }, [`TAG-STORAGE-OWN-NODE ${tagNode}:reg`]],
    [
      'own memory node of another size',
      { own: 'memory@90000000 { device_type = "memory"; reg = <0 0x90000000 0 0x900000>; };' },
      [`TAG-STORAGE-OWN-NODE ${tagNode}:reg`],
    ],
    ['reusable missing', { flags: '' }, [`TAG-STORAGE-REUSABLE ${tagNode}:reusable`]],
    ['reusable with a value', { flags: 'reusable = <1>;' }, [`TAG-STORAGE-REUSABLE ${tagNode}:reusable`]],
    ['no-map', { last: 'no-map;' }, [`TAG-STORAGE-NO-MAP ${tagNode}:no-map`]],
    ['no ranges', { ranges: '' }, ['TAG-STORAGE-RANGES /reserved-memory:ranges']],
    [
      'identity ranges',
      { ranges: 'ranges = <0 0 0 0 0xffffffff 0>;' },
      ['TAG-STORAGE-RANGES /reserved-memory:ranges'],
    ],
    [
      'other cells',
      { cells: '#address-cells = <2>; #size-cells = <1>;', reg: 'reg = <0 0x90000000 0x800000>;' },
      ['TAG-STORAGE-CELLS /reserved-memory:#size-cells'],
    ],
    [
      'cells left out',
      { cells: '' },
      ['TAG-STORAGE-CELLS /reserved-memory:#address-cells', 'TAG-STORAGE-CELLS /reserved-memory:#size-cells'],
    ],
    [
      'a reservation inside',
      { more: 'fw@90100000 { reg = <0 0x90100000 0 0x1000>; };' },
      [`TAG-STORAGE-OVERLAP ${tagNode}:reg`],
    ],
    [
      'a /memreserve/ inside',
      { head: '/memreserve/ 0x907ff000 0x1000;' },
      [`TAG-STORAGE-OVERLAP ${tagNode}:reg`],
    ],
    [
      'the whole node off',
      { ranges: 'ranges; status = "disabled";' },
      ['TAG-STORAGE-STATUS /reserved-memory:status'],
    ],
    [
      'inside its own memory',
      {
        reg: 'reg = <0 0x80000000 0 0x800000>;',
        own: 'memory@8 { device_type = "memory"; reg = <0 0x80000000 0 0x800000>; };',
      },
      [`TAG-STORAGE-OVERLAP ${tagNode}:reg`],
    ],
    [
      'a second area for the same memory',
      {
        elsewhere: 'memory@98000000 { device_type = "memory"; reg = <0 0x98000000 0 0x800000>; };',
        more: second('reg = <0 0x98000000 0 0x800000>; tagged-memory = <&m0>;'),
      },
      ['TAG-STORAGE-SHARED /reserved-memory/tag-storage@98000000:tagged-memory'],
    ],
    [
      'a node at the root',
      { compatible: '', elsewhere: 'tag-storage@9 { compatible = "arm,mte-tag-storage"; };' },
      ['TAG-STORAGE-PLACE /tag-storage@9'],
    ],
  ];
  it.each(cases)('%s', (_, parts, expected) => {
    const found = discover(machine(parts));
    expect(errorsIn(found)).toEqual(expected);
    expect(found.enabled).toBe(false);
    expect(found.regions).toEqual([]);
    for (const d of found.diagnostics.filter((x) => x.severity === 'error')) {
      expect([d.code, d.found, d.rule, d.why]).toEqual([
        expect.stringMatching(/^TAG-STORAGE-[A-Z-]+$/),
        ...Array.from({ length: 3 }, () => expect.stringMatching(/\S/)),
      ]);
    }
  });

  it('asks for whole pages of the granule in use', () => {
    const parts = {
      memory: 'reg = <0 0x80000000 0 0x10020000>;',
      own: 'memory@90020000 { device_type = "memory"; reg = <0 0x90020000 0 0x801000>; };',
      reg: 'reg = <0 0x90020000 0 0x801000>;',
    };
    expect(discover(machine(parts)).enabled).toBe(true);
    expect(errorsIn(discover(machine(parts), 'binding', 16384))).toEqual([
      `TAG-STORAGE-ALIGN ${tagNode}:reg`,
      `TAG-STORAGE-BLOCK-SIZE ${tagNode}:block-size`,
    ]);
  });

  it('lists all violations, and one bad area turns off the good ones', () => {
    const found = discover(machine({ more: second('') }));
    expect(errorsIn(found).map((e) => e.split(' ')[0])).toEqual(['TAG-STORAGE-REG', 'TAG-STORAGE-MEMORY']);
    expect(found.reason).toContain('(and 1 more)');
    expect(found.regions).toEqual([]);
  });

  it('finds overlaps among many areas without comparing all pairs', () => {
    const nodes = Array.from({ length: 3000 }, (_, i) => {
      const base = (0x1000_0000 + i * 0x2000).toString(16);
      return `tag-storage@${base} { compatible = "arm,mte-tag-storage"; reg = <1 0x${base} 0 0x2000>; };`;
    });
    nodes.push('tag-storage@1 { compatible = "arm,mte-tag-storage"; reg = <1 0x10001000 0 0x1000>; };');
    const found = errorsIn(discover(machine({ more: nodes.join('\n') })));
    expect(found.filter((e) => e.startsWith('TAG-STORAGE-OVERLAP'))).toEqual([
      'TAG-STORAGE-OVERLAP /reserved-memory/tag-storage@1:reg',
    ]);
  });
});

describe('as RFC v3 was posted', () => {
  const v3 = (parts: Record<string, string>) => discover(machine(parts), 'linux-v3');

  it('does not see what it does not check', () => {
    for (const parts of [
      { reg: 'reg = <0 0x90000000 0 0x400000>;' },
      { flags: 'no-map;' },
      { type: '' },
      { own: '' },
      { block: 'block-size = <1>;' },
      { ranges: 'ranges = <0 0 0 0x80000000 1 0>;' },
      { compatible: 'compatible = "x", "ARM,MTE-Tag-Storage";' },
    ]) {
      expect(v3(parts)).toMatchObject({ enabled: true, reason: 'accepted' });
    }
  });

  it('reads the next token where a property has no value', () => {
    expect(v3({ block: '', last: 'block-size;' }).regions[0]?.block_size_pages).toBe(1);
    expect(v3({ tagged: 'tagged-memory;' }).reason).toBe('disabled: Cannot find tagged memory node');
    const chance = { tagged: 'tagged-memory;', memory: 'reg = <0 0x80000000 0 0x10000000>; phandle = <3>;' };
    expect(v3(chance).enabled).toBe(true);
  });

  it('takes a size from behind a reg that is too short', () => {
    // What follows is the token of the next property, 3, and its length, 4.
    const [region] = v3({
      memory: 'reg = <0 0x80000000>; phandle = <7>;',
      tagged: 'tagged-memory = <7>;',
    }).regions;
    expect(region?.mem_end_pfn).toBe((0x8000_0000 + 0x3_0000_0004 - 1 - 3) / 4096);
  });

  it('tells an overlap of reservations and goes on', () => {
    const found = v3({ more: 'x@90400000 { reg = <0 0x90400000 0 0x1000>; };' });
    expect(found.enabled).toBe(true);
    expect(found.diagnostics[0]?.message).toContain('OVERLAP DETECTED!');
  });

  it('forgets the areas below a bad one, not those above', () => {
    const other = 'memory@98000000 { device_type = "memory"; reg = <0 0x98000000 0 0x800000>; };';
    const good = second('reg = <0 0x98000000 0 0x800000>; tagged-memory = <&m0>;');
    const lowBad = v3({ block: '', elsewhere: other, more: good });
    expect(lowBad).toMatchObject({ enabled: true });
    expect(lowBad.regions.map((r) => r.node)).toEqual(['tag-storage@98000000']);
    const highBad = v3({ elsewhere: other, more: second('reg = <0 0x98000000 0 0x800000>;') });
    expect(highBad).toMatchObject({ enabled: false, regions: [] });
    expect(highBad.diagnostics.map((d) => d.code)).toContain('LINUX-FREED');
  });

  it('turns everything off at the 33rd area, and starts again at the 34th', () => {
    const areas = (n: number) =>
      Array.from({ length: n }, (_, i) => {
        const base = (0xa000_0000 + i * 0x10000).toString(16);
        return `t@${base} { compatible = "arm,mte-tag-storage"; reg = <0 0x${base} 0 0x1000>; block-size = <0x1000>; tagged-memory = <&m0>; };`;
      }).join('\n');
    expect(v3({ more: areas(31) }).regions).toHaveLength(32);
    expect(v3({ more: areas(32) })).toMatchObject({ enabled: false });
    expect(v3({ more: areas(33) }).regions).toHaveLength(1);
  });

  it('keeps 64 reserved nodes at most', () => {
    const filler = Array.from({ length: 63 }, (_, i) => `r@${i} { reg = <0 ${i * 4096} 0 4096>; };`).join(
      '\n',
    );
    expect(v3({ more: filler }).enabled).toBe(true);
    const tree = machine({ more: filler });
    const reserved = tree.root.child('reserved-memory')!;
    reserved.children.push(reserved.children.shift()!);
    expect(discover(tree, 'linux-v3').enabled).toBe(true);
    const crowded = machine({ more: `${filler}\nr@64 { reg = <0 0x70000 0 4096>; };` });
    const node = crowded.root.child('reserved-memory')!;
    node.children.push(node.children.shift()!);
    expect(discover(crowded, 'linux-v3')).toMatchObject({ enabled: false, regions: [] });
  });

  it('ignores /reserved-memory without ranges or with other cells, and says so', () => {
    for (const parts of [{ ranges: '' }, { cells: '' }]) {
      const found = v3(parts);
      expect(found.reason).toContain('no region found: all:');
      expect(found.diagnostics[0]?.message).toBe('Reserved memory: unsupported node format, ignoring');
    }
  });

  it('translates the address of the memory, but only that', () => {
    const bus = (ranges: string) => ({
      type: '',
      elsewhere: `bus { #address-cells = <2>; #size-cells = <2>; ${ranges} m1: memory@0 { reg = <0 0x1000 0 0x10000000>; }; };`,
      tagged: 'tagged-memory = <&m1>;',
    });
    expect(v3(bus('ranges = <0 0 0 0x80000000 1 0>;')).regions[0]?.mem_start_pfn).toBe(0x80001);
    expect(v3(bus('ranges;')).regions[0]?.mem_start_pfn).toBe(1);
    expect(v3(bus('')).reason).toBe('disabled: Invalid memory address');
  });
});
