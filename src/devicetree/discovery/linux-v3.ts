/**
 * Discovery as Linux v6.8-rc1 with patches 14, 15 and 19 of the tag-storage series (RFC v3) does it,
 * accident by accident, to show what a tree would end in there. Followed from the code's behaviour:
 *
 * - early scan of /reserved-memory on the flat tree, with the ROOT's cell counts, no translation, only
 *   the first entry of `reg`, at most 64 nodes, then sorted by base, size and place;
 * - the probe of each compatible node: values are read as the four bytes at the property's place, so
 *   an empty property reads the next token of the blob; an error sets the counter to 0 and frees that
 *   node's memory, but later nodes count on from 0;
 * - at mem_init the phandle of each recorded area is looked up, its first `reg` entry translated; any
 *   failure there turns everything off.
 */

import { hex } from '../../base/index.js';
import { allNodes, cellAt, type DeviceTree, type DtNode, numberAt, strings } from '../tree.js';
import { writeDtbWithPlaces } from '../write.js';
import {
  blockSizePages,
  type Discovery,
  type DiscoveryDiagnostic,
  type PageSize,
  TAG_STORAGE_COMPATIBLE,
  type TagStorageRegion,
} from './types.js';

/** MAX_RESERVED_REGIONS of drivers/of/of_reserved_mem.c. */
const MOST_RESERVED = 64;
/** MAX_TAG_REGIONS of the series. */
const MOST_TAG_REGIONS = 32;
/** OF_MAX_ADDR_CELLS. */
const MOST_ADDRESS_CELLS = 4;

interface Saved {
  readonly node: DtNode;
  readonly base: bigint;
  readonly size: bigint;
  readonly place: number;
}

interface Probed {
  readonly node: DtNode;
  readonly tagStart: bigint;
  readonly tagEnd: bigint;
  readonly blockSizePages: bigint;
  readonly phandle: number;
}

const u64 = (x: bigint) => BigInt.asUintN(64, x);

/** Reads property values as the kernel does: from their place in the blob, whatever their length. */
class RawValues {
  readonly #tree: DeviceTree;
  #blob: ReturnType<typeof writeDtbWithPlaces> | undefined;

  constructor(tree: DeviceTree) {
    this.#tree = tree;
  }

  /** `count` cells from the value's start; beyond the value it is what follows in the blob. */
  number(node: DtNode, name: string, skip: number, count: number): bigint | undefined {
    const value = node.properties.get(name);
    if (value === undefined) return undefined;
    if (value.length >= 4 * (skip + count)) return u64(numberAt(value, 4 * skip, count));
    this.#blob ??= writeDtbWithPlaces(this.#tree);
    const { bytes, placeOf } = this.#blob;
    const from = placeOf(node, name)! + 4 * skip;
    const seen = new Uint8Array(4 * count);
    seen.set(bytes.subarray(from, from + seen.length));
    return u64(numberAt(seen, 0, count));
  }

  /** The first cell; undefined where the property is absent. */
  u32(node: DtNode, name: string): number | undefined {
    const value = this.number(node, name, 0, 1);
    return value === undefined ? undefined : Number(value);
  }
}

/** strcmp on the bytes at the value's place: an empty value reads a token, whose first byte is 0. */
function isAvailable(node: DtNode): boolean {
  const value = node.properties.get('status');
  if (value === undefined) return true;
  const status = strings(value)[0] ?? '';
  return status === 'ok' || status === 'okay';
}

function isTagStorage(node: DtNode): boolean {
  return strings(node.properties.get('compatible')).some((c) => c.toLowerCase() === TAG_STORAGE_COMPATIBLE);
}

class LinuxDiscovery {
  readonly #tree: DeviceTree;
  readonly #pageSize: PageSize;
  readonly #pageShift: bigint;
  readonly #diagnostics: DiscoveryDiagnostic[] = [];
  /** dt_root_addr_cells and dt_root_size_cells, 1 where the root says nothing. */
  readonly #addressCells: number;
  readonly #sizeCells: number;
  /** Why nothing was found, for people. */
  readonly #skipped: string[] = [];
  readonly #raw: RawValues;

  constructor(tree: DeviceTree, pageSize: PageSize) {
    this.#tree = tree;
    this.#raw = new RawValues(tree);
    this.#pageSize = pageSize;
    this.#pageShift = BigInt(Math.log2(pageSize));
    this.#addressCells = this.#raw.u32(tree.root, '#address-cells') ?? 1;
    this.#sizeCells = this.#raw.u32(tree.root, '#size-cells') ?? 1;
  }

  #log(
    code: string,
    node: DtNode,
    property: string | null,
    message: string,
    severity: DiscoveryDiagnostic['severity'] = 'error',
    why?: string,
  ): void {
    const facts = why === undefined ? {} : { why };
    this.#diagnostics.push({ code, severity, path: node.path, property, message, ...facts });
  }

  discover(): Discovery {
    const described = [...allNodes(this.#tree)].some(isTagStorage);
    const saved = this.#scanReservedMemory();
    const { probed, errors } = this.#probeAll(saved);
    const result = (enabled: boolean, reason: string, regions: TagStorageRegion[]): Discovery => ({
      enabled,
      reason,
      regions,
      diagnostics: this.#diagnostics,
      described,
    });
    if (probed.length === 0) {
      if (errors.length > 0) return result(false, `no region left: ${errors.join('; ')}`, []);
      const why =
        this.#skipped.join('; ') || `no available child is compatible with ${TAG_STORAGE_COMPATIBLE}`;
      return result(false, `no region found: ${why}`, []);
    }
    const regions: TagStorageRegion[] = [];
    for (const area of probed) {
      const region = this.#findMemory(area);
      if (typeof region === 'string') {
        this.#log('LINUX-TAGGED-MEMORY', area.node, 'tagged-memory', region);
        this.#log(
          'LINUX-DISABLED',
          area.node,
          null,
          'MTE tag storage region management disabled',
          'note',
          'the areas stay reserved, MTE stays on',
        );
        return result(false, `disabled: ${region}`, []);
      }
      regions.push(region);
    }
    return result(true, 'accepted', regions);
  }

  /** `fdt_scan_reserved_mem` and the sort of `fdt_init_reserved_mem`. */
  #scanReservedMemory(): Saved[] {
    // fdt_path_offset takes a name with a unit address for one without.
    const reserved = this.#tree.root.children.find(
      (n) => n.name === 'reserved-memory' || n.name.startsWith('reserved-memory@'),
    );
    if (reserved === undefined) return [];
    if (
      this.#raw.u32(reserved, '#size-cells') !== this.#sizeCells ||
      this.#raw.u32(reserved, '#address-cells') !== this.#addressCells ||
      !reserved.properties.has('ranges')
    ) {
      this.#log(
        'LINUX-RESERVED-MEMORY',
        reserved,
        null,
        'Reserved memory: unsupported node format, ignoring',
        'error',
        'nothing keeps data out of tag storage',
      );
      this.#skipped.push(
        "all: /reserved-memory needs #address-cells and #size-cells equal to the root's and a ranges property",
      );
      return [];
    }
    const saved: Saved[] = [];
    reserved.children.forEach((node, place) => {
      const tags = isTagStorage(node);
      if (!isAvailable(node)) {
        if (tags) this.#skip(node, 'status is not okay');
        return;
      }
      const entry = this.#firstEntry(node, tags);
      if (entry === undefined) return;
      if (saved.length === MOST_RESERVED) {
        this.#log('LINUX-RESERVED-MEMORY', node, null, 'not enough space for all defined regions.');
        if (tags) this.#skip(node, `not among the first ${MOST_RESERVED} reserved regions`);
        return;
      }
      saved.push({ node, place, ...entry });
    });
    const compare = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);
    saved.sort((a, b) => compare(a.base, b.base) || compare(a.size, b.size) || a.place - b.place);
    for (let i = 1; i < saved.length; i++) {
      const low = saved[i - 1]!;
      const high = saved[i]!;
      if (u64(low.base + low.size) <= high.base) continue;
      const message = `OVERLAP DETECTED! ${low.node.name} overlaps with ${high.node.name}`;
      this.#log('LINUX-RESERVED-MEMORY', high.node, 'reg', message, 'warning');
    }
    return saved;
  }

  #skip(node: DtNode, why: string): void {
    this.#skipped.push(`${node.name}: ${why}`);
    this.#log('LINUX-SKIPPED', node, null, why, 'note');
  }

  /** `__reserved_mem_reserve_reg`: the first entry of `reg`, read with the root's cells. */
  #firstEntry(node: DtNode, tags: boolean): { base: bigint; size: bigint } | undefined {
    const reg = node.properties.get('reg');
    if (reg === undefined) {
      if (tags) this.#skip(node, 'no reg');
      return undefined;
    }
    const cells = this.#addressCells + this.#sizeCells;
    if (cells === 0 || reg.length % (4 * cells) !== 0) {
      this.#log(
        'LINUX-RESERVED-MEMORY',
        node,
        'reg',
        `Reserved memory: invalid reg property in '${node.name}', skipping node.`,
      );
      if (tags) this.#skipped.push(`${node.name}: reg is no whole number of entries`);
      return undefined;
    }
    if (reg.length === 0) {
      if (tags) this.#skip(node, 'reg is empty');
      return undefined;
    }
    const base = u64(numberAt(reg, 0, this.#addressCells));
    const size = u64(numberAt(reg, 4 * this.#addressCells, this.#sizeCells));
    if (size === 0n) {
      this.#log(
        'LINUX-RESERVED-MEMORY',
        node,
        'reg',
        `Reserved memory: failed to reserve memory for node '${node.name}': base ${hex(base)}, size 0 MiB`,
      );
    }
    return { base, size };
  }

  #probeAll(saved: readonly Saved[]): { probed: Probed[]; errors: string[] } {
    let probed: Probed[] = [];
    const errors: string[] = [];
    for (const area of saved) {
      if (!isTagStorage(area.node)) continue;
      if (area.size === 0n) {
        // Taken for a dynamic reservation, whose placement needs a `size` property.
        this.#skip(area.node, 'size is 0');
        continue;
      }
      const result = this.#probe(area, probed.length);
      if (typeof result === 'object') {
        probed.push(result);
        continue;
      }
      errors.push(`${area.node.name}: ${result}`);
      this.#log('LINUX-PROBE', area.node, null, result);
      this.#log(
        'LINUX-FREED',
        area.node,
        'reg',
        'the memory of the node is given to the page allocator',
        'warning',
        'with MTE on, the hardware still writes tags there: silent corruption',
      );
      if (probed.length > 0) {
        this.#log('LINUX-PROBE', area.node, null, `${probed.length} areas below are forgotten`, 'warning');
      }
      probed = [];
    }
    return { probed, errors };
  }

  #probe({ node, base, size }: Saved, count: number): Probed | string {
    if (count === MOST_TAG_REGIONS) return 'Exceeded maximum number of tag storage regions';
    const tagStart = base >> this.#pageShift;
    const tagEnd = u64(base + size - 1n) >> this.#pageShift;
    const blockSize = this.#raw.u32(node, 'block-size');
    if (blockSize === undefined || blockSize === 0) return "Invalid or missing 'block-size' property";
    const block = blockSizePages(BigInt(blockSize), this.#pageSize);
    const pages = u64(tagEnd - tagStart + 1n);
    if (pages % block !== 0n) {
      return `Tag storage region size ${hex(pages)} pages is not a multiple of block size ${hex(block)} pages`;
    }
    const phandle = this.#raw.u32(node, 'tagged-memory');
    if (phandle === undefined) return "Invalid or missing 'tagged-memory' property";
    return { node, tagStart, tagEnd, blockSizePages: block, phandle };
  }

  /** `mte_init_tag_storage` for one area: the region, or the message that turns everything off. */
  #findMemory(area: Probed): TagStorageRegion | string {
    const memory = this.#byPhandle(area.phandle);
    if (memory === undefined) return 'Cannot find tagged memory node';
    if (!memory.properties.has('reg')) return 'Invalid tagged memory node';
    const parent = memory.parent;
    if (parent === undefined) return 'Invalid memory address';
    const addressCells = busCells(parent, '#address-cells');
    const sizeCells = busCells(parent, '#size-cells');
    if (!goodCounts(addressCells, sizeCells)) return 'Invalid memory address';
    // The length of `reg` is not looked at: a short one goes on into what follows it in the blob.
    const first = this.#raw.number(memory, 'reg', 0, addressCells) ?? 0n;
    const address = translate(memory, first);
    if (address === undefined) return 'Invalid memory address';
    const size = this.#raw.number(memory, 'reg', addressCells, sizeCells) ?? 0n;
    if (size === 0n) return 'Invalid memory size';
    return {
      node: area.node.name,
      memory_node: memory.path,
      mem_start_pfn: Number(address >> this.#pageShift),
      mem_end_pfn: Number(u64(address + size - 1n) >> this.#pageShift),
      tag_start_pfn: Number(area.tagStart),
      tag_end_pfn: Number(area.tagEnd),
      block_size_pages: Number(area.blockSizePages),
    };
  }

  /** `of_find_node_by_phandle` on the unflattened tree: any node, available or not. */
  #byPhandle(phandle: number): DtNode | undefined {
    if (phandle === 0) return undefined;
    for (const node of allNodes(this.#tree)) {
      if (node.properties.size > 0 && this.#livePhandle(node) === phandle) return node;
    }
    return undefined;
  }

  /** The phandle that unflattening gives a node: the first non-zero one of the two names, in order. */
  #livePhandle(node: DtNode): number {
    for (const name of node.properties.keys()) {
      if (name !== 'phandle' && name !== 'linux,phandle') continue;
      const phandle = this.#raw.u32(node, name)!;
      if (phandle !== 0) return phandle;
    }
    return 0;
  }
}

/** `of_bus_n_addr_cells`: the nearest node upwards that says, else 1. */
function busCells(bus: DtNode, name: '#address-cells' | '#size-cells'): number {
  for (let node: DtNode | undefined = bus; node !== undefined; node = node.parent) {
    const value = node.properties.get(name);
    if (value !== undefined && value.length >= 4) return cellAt(value, 0);
  }
  return 1;
}

function goodCounts(addressCells: number, sizeCells: number): boolean {
  // Sizes have no upper bound in Linux; more than this reads beyond any real property.
  return addressCells > 0 && addressCells <= MOST_ADDRESS_CELLS && sizeCells > 0 && sizeCells <= 64;
}

/** `of_translate_address`. */
function translate(node: DtNode, address: bigint): bigint | undefined {
  let at = address;
  for (let bus = node.parent!; bus.parent !== undefined; bus = bus.parent) {
    const above = bus.parent;
    const na = busCells(bus, '#address-cells');
    const ns = busCells(bus, '#size-cells');
    const pna = busCells(above, '#address-cells');
    if (!goodCounts(na, ns) || !goodCounts(pna, busCells(above, '#size-cells'))) return undefined;
    const ranges = bus.properties.get('ranges');
    if (ranges === undefined) return undefined;
    if (ranges.length === 0) continue;
    const stride = 4 * (na + pna + ns);
    let next: bigint | undefined;
    for (let i = 0; i + stride <= ranges.length && next === undefined; i += stride) {
      const from = u64(numberAt(ranges, i, na));
      const to = u64(numberAt(ranges, i + 4 * na, pna));
      const size = u64(numberAt(ranges, i + 4 * (na + pna), ns));
      if (at >= from && at < u64(from + size)) next = u64(to + (at - from));
    }
    if (next === undefined) return undefined;
    at = next;
  }
  return at;
}

export function discoverAsLinuxV3(tree: DeviceTree, pageSize: PageSize): Discovery {
  return new LinuxDiscovery(tree, pageSize).discover();
}
