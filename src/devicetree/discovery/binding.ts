/**
 * Strict discovery of `arm,mte-tag-storage`: every rule of the binding of RFC v3 patch 19, and those
 * of reserved memory that it builds on.
 *
 * A kernel that trusts a wrong description hands out pages in which the hardware keeps the tags of
 * something else: silent corruption of data or of tags. So all violations are collected, each with
 * what would go wrong, and any of them turns reuse off as a whole, as the authors of the series meant
 * it; the areas stay reserved and MTE stays on.
 */

import { hex } from '../../base/index.js';
import {
  allNodes,
  cellCount,
  type DeviceTree,
  type DtNode,
  findNode,
  isCompatible,
  isOkay,
  phandleOf,
  type RegEntry,
  regEntries,
  strings,
  translateAddress,
  u32,
} from '../tree.js';
import {
  blockSizePages,
  DATA_PER_TAG_BYTE,
  type Discovery,
  type DiscoveryDiagnostic,
  type PageSize,
  TAG_STORAGE_COMPATIBLE,
  type TagStorageRegion,
} from './types.js';

const BLOCK_UNIT = 4096n;
/** Arm's largest physical address space, 52 bits (FEAT_LPA). */
const PA_LIMIT = 1n << 52n;

/** The common reserved-memory properties and those of this binding. */
const KNOWN_PROPERTIES: ReadonlySet<string> = new Set([
  'compatible',
  'reg',
  'block-size',
  'tagged-memory',
  'reusable',
  'status',
  'phandle',
  'linux,phandle',
  'name',
]);

interface Area {
  readonly node: DtNode;
  readonly tags: RegEntry | undefined;
  readonly memory: { readonly node: DtNode; readonly range: RegEntry } | undefined;
  readonly blockSize: bigint | undefined;
}

const range = (r: RegEntry) =>
  r.size === 0n ? `${hex(r.address)} (empty)` : `${hex(r.address)}-${hex(r.address + r.size - 1n)}`;

const overlap = (a: RegEntry, b: RegEntry) =>
  a.address < b.address + b.size && b.address < a.address + a.size;

/** A memory node as the specification has it: a child of the root with device_type "memory". */
export function isMemoryNode(node: DtNode): boolean {
  return (
    node.parent !== undefined &&
    node.parent.parent === undefined &&
    strings(node.properties.get('device_type'))[0] === 'memory'
  );
}

export class BindingDiscovery {
  readonly #tree: DeviceTree;
  readonly #pageSize: PageSize;
  readonly #diagnostics: DiscoveryDiagnostic[] = [];
  readonly #phandles = new Map<number, DtNode>();
  #cellsDiffer = false;

  constructor(tree: DeviceTree, pageSize: PageSize) {
    this.#tree = tree;
    this.#pageSize = pageSize;
    for (const node of allNodes(tree)) {
      const phandle = phandleOf(node);
      if (phandle !== undefined && !this.#phandles.has(phandle)) this.#phandles.set(phandle, node);
    }
  }

  #report(
    code: string,
    node: DtNode,
    property: string | null,
    message: string,
    facts: Omit<DiscoveryDiagnostic, 'code' | 'severity' | 'path' | 'property' | 'message'>,
    severity: DiscoveryDiagnostic['severity'] = 'error',
  ): void {
    this.#diagnostics.push({ code, severity, path: node.path, property, message, ...facts });
  }

  discover(): Discovery {
    const reserved = findNode(this.#tree, '/reserved-memory');
    const claimed = [...allNodes(this.#tree)].filter((n) => isCompatible(n, TAG_STORAGE_COMPATIBLE));
    const candidates: DtNode[] = [];
    for (const node of claimed) {
      if (node.parent !== reserved || reserved === undefined) {
        this.#report('TAG-STORAGE-PLACE', node, null, 'a tag storage node outside /reserved-memory', {
          found: `parent ${node.parent?.path ?? 'none'}`,
          rule: 'tag storage is a child of /reserved-memory',
          why: 'nothing reserves the area at boot, and data placed there is overwritten by tags',
          help: 'move the node into /reserved-memory (older versions of the binding had it at the root)',
        });
      } else if (!isOkay(node)) {
        const status = strings(node.properties.get('status'))[0] ?? '';
        this.#report(
          'TAG-STORAGE-STATUS',
          node,
          'status',
          'tag storage node is not available and is left alone',
          {
            found: `"${status}"`,
            rule: 'only nodes whose status is absent, "okay" or "ok" are used',
          },
          'note',
        );
      } else candidates.push(node);
    }
    if (reserved !== undefined && candidates.length > 0) this.#checkReservedMemory(reserved);
    const areas = candidates.map((node) => this.#area(node));
    this.#checkPairs(areas);
    this.#checkReservations(areas, reserved);

    const errors = this.#diagnostics.filter((d) => d.severity === 'error');
    const described = claimed.length > 0;
    const common = { diagnostics: this.#diagnostics, described };
    if (errors.length > 0) {
      const first = errors[0]!;
      const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
      return { enabled: false, reason: `${first.path}: ${first.message}${more}`, regions: [], ...common };
    }
    if (areas.length === 0) {
      const reason = described ? 'no tag storage node is available' : 'no tag storage is described';
      return { enabled: false, reason, regions: [], ...common };
    }
    const sorted = [...areas].sort((a, b) => (a.tags!.address < b.tags!.address ? -1 : 1));
    return { enabled: true, reason: 'accepted', regions: sorted.map((a) => this.#region(a)), ...common };
  }

  #region(area: Area): TagStorageRegion {
    const page = BigInt(this.#pageSize);
    const first = (r: RegEntry) => Number(r.address / page);
    const last = (r: RegEntry) => Number((r.address + r.size - 1n) / page);
    const tags = area.tags!;
    const memory = area.memory!;
    return {
      node: area.node.name,
      memory_node: memory.node.path,
      mem_start_pfn: first(memory.range),
      mem_end_pfn: last(memory.range),
      tag_start_pfn: first(tags),
      tag_end_pfn: last(tags),
      block_size_pages: Number(blockSizePages(area.blockSize!, this.#pageSize)),
    };
  }

  #checkReservedMemory(reserved: DtNode): void {
    const root = this.#tree.root;
    for (const name of ['#address-cells', '#size-cells'] as const) {
      const own = reserved.properties.get(name);
      const wanted = cellCount(root, name);
      const found = u32(own);
      this.#cellsDiffer ||= found !== wanted;
      if (wanted === undefined || wanted === 0 || wanted > 2) {
        this.#cellsDiffer = true;
        this.#report('TAG-STORAGE-CELLS', root, name, `the root's ${name} describes no usable addresses`, {
          found: `${u32(root.properties.get(name)) ?? 'not one u32'}`,
          rule: 'an arm64 physical address or size takes 1 or 2 cells',
          why: 'every address in the tree would be misread',
        });
      } else if (found !== wanted) {
        this.#report('TAG-STORAGE-CELLS', reserved, name, `${name} differs from the root's`, {
          found: own === undefined ? 'absent' : found === undefined ? `${own.length} bytes` : `${found}`,
          rule: `/reserved-memory must say ${name} = <${wanted}>, as the root does`,
          why: 'Linux ignores /reserved-memory as a whole then: nothing keeps data out of tag storage',
          help: `add ${name} = <${wanted}>; to /reserved-memory`,
        });
      }
    }
    const ranges = reserved.properties.get('ranges');
    if (ranges === undefined) {
      this.#report('TAG-STORAGE-RANGES', reserved, 'ranges', 'no ranges', {
        found: 'absent',
        rule: '/reserved-memory must have an empty ranges property',
        why: 'Linux ignores /reserved-memory as a whole then: nothing keeps data out of tag storage',
        help: 'add ranges; to /reserved-memory',
      });
    } else if (ranges.length > 0) {
      this.#report('TAG-STORAGE-RANGES', reserved, 'ranges', 'ranges is not empty', {
        found: `${ranges.length} bytes`,
        rule: 'addresses in /reserved-memory are physical addresses: ranges must be empty',
        why: 'Linux does not translate here; software that does would reserve another area',
        help: 'write ranges; and physical addresses in reg',
      });
    }
    if (!isOkay(reserved)) {
      this.#report('TAG-STORAGE-STATUS', reserved, 'status', 'the node itself is not available', {
        found: `"${strings(reserved.properties.get('status'))[0] ?? ''}"`,
        rule: 'status must be absent or "okay" where tag storage is described',
        why: 'software may take the area for free memory',
      });
    }
  }

  #area(node: DtNode): Area {
    const compatible = strings(node.properties.get('compatible'));
    if (compatible.length !== 1 || compatible[0] !== TAG_STORAGE_COMPATIBLE) {
      this.#report('TAG-STORAGE-COMPATIBLE', node, 'compatible', `compatible is not exactly one string`, {
        found: compatible.map((c) => `"${c}"`).join(', '),
        rule: `compatible must be "${TAG_STORAGE_COMPATIBLE}" and nothing else`,
        why: 'a driver for another entry would use the area for its own purpose',
      });
    }
    const tags = this.#tagRange(node);
    const blockSize = this.#blockSize(node, tags);
    const memory = this.#taggedMemory(node);
    if (tags !== undefined && memory !== undefined) this.#checkSizes(node, tags, memory.range);
    if (tags !== undefined) this.#checkOwnMemoryNode(node, tags);
    this.#checkFlags(node);
    return { node, tags, memory, blockSize };
  }

  #tagRange(node: DtNode): RegEntry | undefined {
    // With wrong cell counts, already told, no number in `reg` means anything.
    if (this.#cellsDiffer) return undefined;
    const value = node.properties.get('reg');
    const entries = regEntries(node);
    if (value === undefined || entries === undefined || entries.length !== 1) {
      const found =
        value === undefined
          ? 'absent'
          : entries === undefined
            ? `${value.length} bytes, no whole number of entries`
            : `${entries.length} entries`;
      this.#report('TAG-STORAGE-REG', node, 'reg', 'reg is not exactly one entry', {
        found,
        rule: 'reg must be one address and one size in the cells of /reserved-memory',
        why: 'Linux keeps only the first entry: tags of what the others hold would be lost track of',
        help: 'describe each contiguous area by a node of its own',
      });
      return undefined;
    }
    const tags = entries[0]!;
    if (!this.#checkExtent('TAG-STORAGE-REG', node, tags)) return undefined;
    const page = BigInt(this.#pageSize);
    if (tags.address % page !== 0n || tags.size % page !== 0n) {
      this.#report('TAG-STORAGE-ALIGN', node, 'reg', 'the area does not consist of whole pages', {
        found: range(tags),
        rule: `base and size must be multiples of the page size, ${hex(page)}`,
        why: 'a page at the edge would hold both tags and something else',
      });
    }
    return tags;
  }

  /** Not empty, and inside the physical address space. */
  #checkExtent(code: string, node: DtNode, r: RegEntry): boolean {
    if (r.size === 0n) {
      this.#report(code, node, 'reg', 'the size is 0', {
        found: `base ${hex(r.address)}, size 0`,
        rule: 'size must not be 0',
        why: 'there is nothing to hold tags, or nothing to tag',
      });
      return false;
    }
    if (r.address + r.size > PA_LIMIT) {
      this.#report(code, node, 'reg', 'the range lies beyond the physical address space', {
        found: `base ${hex(r.address)}, size ${hex(r.size)}`,
        rule: 'base + size must not exceed 2^52',
        why: 'the address wraps or is cut, and another page would be taken for this one',
        help: 'check the number of cells in reg',
      });
      return false;
    }
    return true;
  }

  #blockSize(node: DtNode, tags: RegEntry | undefined): bigint | undefined {
    const value = node.properties.get('block-size');
    const size = u32(value);
    if (size === undefined) {
      this.#report('TAG-STORAGE-BLOCK-SIZE', node, 'block-size', 'block-size is not one u32', {
        found: value === undefined ? 'absent' : `${value.length} bytes`,
        rule: 'block-size is required: one 32-bit number of bytes',
        why: 'with a wrong block size the kernel takes a block while it still holds tags in use',
        help: 'block-size = <0x1000>; without interleaving',
      });
      return undefined;
    }
    const block = BigInt(size);
    if (block === 0n || block % BLOCK_UNIT !== 0n) {
      this.#report(
        'TAG-STORAGE-BLOCK-SIZE',
        node,
        'block-size',
        'block-size is not a positive multiple of 4096',
        {
          found: hex(block),
          rule: 'block-size must be a non-zero multiple of 4 KiB',
          why: 'tags of one page would share a page of storage with tags of another block',
          help: '0x1000 without interleaving; 0x2000 where two controllers interleave 256 KiB of memory',
        },
      );
      return undefined;
    }
    if (tags !== undefined) {
      const pages = blockSizePages(block, this.#pageSize);
      const unit = pages * BigInt(this.#pageSize);
      if (tags.size % block !== 0n || tags.size % unit !== 0n) {
        this.#report(
          'TAG-STORAGE-BLOCK-SIZE',
          node,
          'block-size',
          'region size is no multiple of block-size',
          {
            found: `size ${hex(tags.size)}, block ${hex(block)}, in whole pages ${hex(unit)}`,
            rule: 'the area must be a whole number of blocks',
            why: 'the last block would reach into memory that holds no tags',
          },
        );
      }
    }
    return block;
  }

  #taggedMemory(node: DtNode): Area['memory'] {
    const value = node.properties.get('tagged-memory');
    const phandle = u32(value);
    const report = (message: string, found: string, rule: string, help?: string) =>
      this.#report('TAG-STORAGE-MEMORY', node, 'tagged-memory', message, {
        found,
        rule,
        why: 'tags of other memory would be looked for here, and live tags given away as free pages',
        ...(help === undefined ? {} : { help }),
      });
    if (phandle === undefined) {
      report(
        'tagged-memory is not one phandle',
        value === undefined ? 'absent' : `${value.length} bytes`,
        'tagged-memory is required: one phandle of a memory node',
        node.properties.has('memory') ? 'the name "memory" is that of version 2 of the binding' : undefined,
      );
      return undefined;
    }
    const target = this.#phandles.get(phandle);
    if (target === undefined) {
      report('tagged-memory names no node', hex(phandle), 'tagged-memory must be the phandle of a node');
      return undefined;
    }
    if (!isMemoryNode(target)) {
      report(
        'tagged-memory is not a memory node below the root',
        target.path,
        'the node must be a child of the root with device_type = "memory"',
      );
      return undefined;
    }
    if (!isOkay(target)) {
      report(
        'tagged-memory is not available',
        `${target.path} has status "${strings(target.properties.get('status'))[0] ?? ''}"`,
        'the memory must be in use',
      );
    }
    const entries = regEntries(target);
    if (entries?.length !== 1) {
      report(
        'the memory node does not have exactly one reg entry',
        `${target.path} has ${entries === undefined ? 'no readable reg' : `${entries.length} entries`}`,
        'the tagged memory must be one contiguous range',
        'split the memory node, one for each area of tag storage',
      );
      return undefined;
    }
    const entry = entries[0]!;
    const at = translateAddress(target, entry.address);
    if (at !== entry.address) {
      report(
        'the address of the memory node does not translate to itself',
        hex(entry.address),
        'RAM is at the root',
      );
      return undefined;
    }
    // An empty memory is told by the size rule, which says what is wanted.
    if (entry.size !== 0n && !this.#checkExtent('TAG-STORAGE-MEMORY', target, entry)) return undefined;
    if (entry.address % BigInt(this.#pageSize) !== 0n) {
      report(
        'the tagged memory does not begin at a page',
        hex(entry.address),
        `it must begin at a multiple of ${hex(this.#pageSize)}`,
      );
    }
    return { node: target, range: entry };
  }

  #checkSizes(node: DtNode, tags: RegEntry, memory: RegEntry): void {
    if (tags.size * DATA_PER_TAG_BYTE === memory.size) return;
    const small = tags.size * DATA_PER_TAG_BYTE < memory.size;
    const wanted =
      memory.size % DATA_PER_TAG_BYTE === 0n
        ? `size ${hex(memory.size / DATA_PER_TAG_BYTE)}`
        : 'none: the memory itself is no multiple of 32';
    this.#report(
      'TAG-STORAGE-SIZE',
      node,
      'reg',
      `region size x 32 = ${hex(tags.size * DATA_PER_TAG_BYTE)}, memory size = ${hex(memory.size)}`,
      {
        found: `size ${hex(tags.size)} for ${hex(memory.size)} bytes of tagged memory`,
        rule: `the area must be exactly 1/32 of the memory it serves (${wanted})`,
        why: small
          ? 'tags of the rest of the memory lie in pages that hold other data'
          : 'pages beyond the tags would be reserved for nothing, or the description is of another machine',
      },
    );
  }

  #checkOwnMemoryNode(node: DtNode, tags: RegEntry): void {
    const described = this.#tree.root.children.some((child) => {
      if (!isMemoryNode(child) || !isOkay(child)) return false;
      const entries = regEntries(child);
      return entries?.length === 1 && entries[0]!.address === tags.address && entries[0]!.size === tags.size;
    });
    if (described) return;
    this.#report('TAG-STORAGE-OWN-NODE', node, 'reg', 'region is not described by a memory node of its own', {
      found: `no available memory node is exactly ${range(tags)}`,
      rule: 'memory nodes describe all memory, tag storage too, in a node apart from the tagged memory',
      why: 'the area has no page structures, or counts as part of memory that it does not belong to',
      help: `add a node memory@${tags.address.toString(16)} with device_type = "memory" and the same reg`,
    });
  }

  #checkFlags(node: DtNode): void {
    const reusable = node.properties.get('reusable');
    if (reusable === undefined || reusable.length > 0) {
      this.#report('TAG-STORAGE-REUSABLE', node, 'reusable', 'reusable is not present as a flag', {
        found: reusable === undefined ? 'absent' : `${reusable.length} bytes`,
        rule: 'reusable is required and has no value',
        why: 'without it other software must not expect the operating system to use the area',
        help: 'add reusable;',
      });
    }
    if (node.properties.has('no-map')) {
      this.#report('TAG-STORAGE-NO-MAP', node, 'no-map', 'no-map is present', {
        found: 'no-map',
        rule: 'reusable and no-map exclude each other',
        why: 'the kernel could not map the pages, neither to use them nor to clean their cache lines',
        help: 'remove no-map;',
      });
    }
    for (const name of node.properties.keys()) {
      if (KNOWN_PROPERTIES.has(name) || name === 'no-map') continue;
      this.#report(
        'TAG-STORAGE-PROPERTY',
        node,
        name,
        'the binding has no such property',
        { found: name, rule: 'only the properties of the binding and common ones are allowed' },
        'warning',
      );
    }
  }

  #checkPairs(areas: readonly Area[]): void {
    // Sorted by start, an overlap shows between an interval and the furthest-reaching one before it.
    type Item = { readonly area: Area; readonly kind: 'tags' | 'memory'; readonly r: RegEntry };
    const items: Item[] = [];
    const served = new Map<DtNode, DtNode>();
    for (const area of areas) {
      if (area.tags !== undefined) items.push({ area, kind: 'tags', r: area.tags });
      if (area.memory === undefined) continue;
      const other = served.get(area.memory.node);
      if (other !== undefined) {
        this.#report(
          'TAG-STORAGE-SHARED',
          area.node,
          'tagged-memory',
          `tagged memory is shared with ${other.name}`,
          {
            found: area.memory.node.path,
            rule: 'the tags of one memory node live in one area',
            why: 'one of the two areas holds the tags, the kernel cannot know which',
          },
        );
        continue;
      }
      served.set(area.memory.node, area.node);
      if (area.memory.range.size > 0n) items.push({ area, kind: 'memory', r: area.memory.range });
    }
    items.sort((a, b) => (a.r.address < b.r.address ? -1 : a.r.address > b.r.address ? 1 : 0));
    let furthest: Item | undefined;
    for (const item of items) {
      if (furthest !== undefined && overlap(furthest.r, item.r)) this.#reportOverlap(furthest, item);
      if (furthest === undefined || item.r.address + item.r.size > furthest.r.address + furthest.r.size) {
        furthest = item;
      }
    }
  }

  #reportOverlap(
    a: { readonly area: Area; readonly kind: string; readonly r: RegEntry },
    b: { readonly area: Area; readonly kind: string; readonly r: RegEntry },
  ): void {
    const [item, other] = b.kind === 'tags' ? [b, a] : [a, b];
    const name = (x: typeof a) =>
      x.kind === 'tags' ? x.area.node.path : `${x.area.memory!.node.path} (tagged memory)`;
    this.#report('TAG-STORAGE-OVERLAP', item.area.node, 'reg', `overlaps ${name(other)}`, {
      found: `${range(item.r)} and ${range(other.r)}`,
      rule: 'areas of tag storage and tagged ranges must not overlap',
      why: 'a tag store would write into data, or into the tags of other memory',
    });
  }

  #checkReservations(areas: readonly Area[], reserved: DtNode | undefined): void {
    const others: { readonly what: string; readonly r: RegEntry }[] = this.#tree.memreserve.map((r) => ({
      what: 'a /memreserve/ entry',
      r,
    }));
    for (const child of reserved?.children ?? []) {
      if (isCompatible(child, TAG_STORAGE_COMPATIBLE) || !isOkay(child)) continue;
      for (const r of regEntries(child) ?? []) others.push({ what: child.path, r });
    }
    for (const { node, tags } of areas) {
      if (tags === undefined) continue;
      for (const { what, r } of others) {
        if (r.size === 0n || !overlap(tags, r)) continue;
        this.#report('TAG-STORAGE-OVERLAP', node, 'reg', `overlaps ${what}`, {
          found: `${range(tags)} and ${range(r)}`,
          rule: 'tag storage must not overlap another reservation',
          why: 'whoever owns the reservation would find its data overwritten by tags',
        });
      }
    }
  }
}
