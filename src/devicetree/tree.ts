/**
 * The device tree as data: what reader and compiler produce, and what discovery, the machine and the
 * kernel consume.
 *
 * Node and property names are strings with one character per byte (Latin-1), because a blob may hold
 * any byte there. Properties keep their document order in a Map, so `__proto__` is a name like any
 * other. Addresses and sizes are bigint: a tree can say 64-bit numbers that no machine has. Meanings
 * follow the Devicetree Specification v0.4, sections 2.3 (standard properties) and 5 (the flat form).
 */

/** One entry of the memory reservation block, in bytes. */
export interface MemoryReservation {
  readonly address: bigint;
  readonly size: bigint;
}

/** One (address, size) pair of a `reg`, in bytes, in the address space of the node's parent. */
export interface RegEntry {
  readonly address: bigint;
  readonly size: bigint;
}

export class DtNode {
  /** With its unit address: `memory@40000000`; the root's is empty. */
  readonly name: string;
  readonly properties = new Map<string, Uint8Array>();
  readonly children: DtNode[] = [];
  readonly parent: DtNode | undefined;

  constructor(name: string, parent?: DtNode) {
    this.name = name;
    this.parent = parent;
  }

  /** The full path, `/` for the root. */
  get path(): string {
    const names: string[] = [];
    let node: DtNode = this;
    while (node.parent !== undefined) {
      names.push(node.name);
      node = node.parent;
    }
    return `/${names.reverse().join('/')}`;
  }

  /** The child of exactly this name. */
  child(name: string): DtNode | undefined {
    return this.children.find((c) => c.name === name);
  }
}

export interface DeviceTree {
  readonly memreserve: MemoryReservation[];
  /** `boot_cpuid_phys` of the header. */
  bootCpuidPhys: number;
  readonly root: DtNode;
}

/** All nodes in document order, the root first; never recurses. */
export function* allNodes(tree: DeviceTree): Generator<DtNode, void, void> {
  const stack: DtNode[] = [tree.root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    yield node;
    for (let i = node.children.length - 1; i >= 0; i--) stack.push(node.children[i]!);
  }
}

/** The node at a full path such as `/cpus/cpu@0`; names must match exactly. */
export function findNode(tree: DeviceTree, path: string): DtNode | undefined {
  let node: DtNode | undefined = tree.root;
  for (const name of path.split('/')) {
    if (name !== '') node = node?.child(name);
  }
  return node;
}

/** The first node in document order whose `phandle` (or `linux,phandle`) is `phandle`. */
export function nodeByPhandle(tree: DeviceTree, phandle: number): DtNode | undefined {
  if (phandle === 0 || phandle === 0xffffffff) return undefined;
  for (const node of allNodes(tree)) if (phandleOf(node) === phandle) return node;
  return undefined;
}

/** The phandle a node declares, if it is one u32. */
export function phandleOf(node: DtNode): number | undefined {
  return u32(node.properties.get('phandle')) ?? u32(node.properties.get('linux,phandle'));
}

/** The whole big-endian u32 cells of a value; trailing bytes that make no cell are left out. */
export function cells(value: Uint8Array | undefined): number[] {
  const out: number[] = [];
  if (value === undefined) return out;
  for (let at = 0; at + 4 <= value.length; at += 4) out.push(cellAt(value, at));
  return out;
}

/** The value as one u32, or undefined where it is absent or not four bytes long. */
export function u32(value: Uint8Array | undefined): number | undefined {
  return value?.length === 4 ? cellAt(value, 0) : undefined;
}

/** Big-endian u32 at byte `at`. */
export function cellAt(value: Uint8Array, at: number): number {
  return ((value[at]! << 24) | (value[at + 1]! << 16) | (value[at + 2]! << 8) | value[at + 3]!) >>> 0;
}

/** A number of `count` cells at byte `at` as an unsigned bigint. */
export function numberAt(value: Uint8Array, at: number, count: number): bigint {
  let out = 0n;
  for (let i = 0; i < count; i++) out = (out << 32n) | BigInt(cellAt(value, at + 4 * i));
  return out;
}

/** The NUL-terminated strings of a value (UTF-8); an unterminated rest counts as one more. */
export function strings(value: Uint8Array | undefined): string[] {
  if (value === undefined || value.length === 0) return [];
  const decoder = new TextDecoder();
  const out: string[] = [];
  let from = 0;
  for (let at = value.indexOf(0); at >= 0; at = value.indexOf(0, from)) {
    out.push(decoder.decode(value.subarray(from, at)));
    from = at + 1;
  }
  if (from < value.length) out.push(decoder.decode(value.subarray(from)));
  return out;
}

/** Larger cell counts than this make no number that anything could use. */
const MOST_CELLS = 4;

/**
 * `#address-cells` or `#size-cells` that `node` sets for its children; the specification's defaults
 * 2 and 1 where it sets none, undefined where the value is not one u32 of at most 4.
 */
export function cellCount(node: DtNode, name: '#address-cells' | '#size-cells'): number | undefined {
  const value = node.properties.get(name);
  if (value === undefined) return name === '#address-cells' ? 2 : 1;
  const count = u32(value);
  return count === undefined || count > MOST_CELLS ? undefined : count;
}

/**
 * The entries of a node's `reg` by its parent's cell counts. Undefined where there is no `reg`, its
 * length is not a whole number of entries, or the cell counts are unusable.
 */
export function regEntries(node: DtNode): RegEntry[] | undefined {
  const value = node.properties.get('reg');
  if (value === undefined || node.parent === undefined) return undefined;
  const addressCells = cellCount(node.parent, '#address-cells');
  const sizeCells = cellCount(node.parent, '#size-cells');
  if (addressCells === undefined || sizeCells === undefined || addressCells === 0) return undefined;
  const stride = 4 * (addressCells + sizeCells);
  if (value.length % stride !== 0) return undefined;
  const out: RegEntry[] = [];
  for (let at = 0; at < value.length; at += stride) {
    out.push({
      address: numberAt(value, at, addressCells),
      size: numberAt(value, at + 4 * addressCells, sizeCells),
    });
  }
  return out;
}

/** Whether `status` lets an operating system use the node: absent, `okay` or `ok`. */
export function isOkay(node: DtNode): boolean {
  const value = node.properties.get('status');
  if (value === undefined) return true;
  const status = strings(value)[0];
  return status === 'okay' || status === 'ok';
}

/** Whether `compatible` lists `name`, compared without case as Linux compares it. */
export function isCompatible(node: DtNode, name: string): boolean {
  const wanted = name.toLowerCase();
  return strings(node.properties.get('compatible')).some((c) => c.toLowerCase() === wanted);
}

/**
 * `address`, in the space of `node`'s parent, translated through the `ranges` of every bus up to the
 * root. Undefined where a bus has no `ranges`, a malformed one, or one that does not hold the address.
 */
export function translateAddress(node: DtNode, address: bigint): bigint | undefined {
  let at = address;
  for (let bus = node.parent; bus !== undefined; bus = bus.parent) {
    const above = bus.parent;
    if (above === undefined) return at;
    const ranges = bus.properties.get('ranges');
    if (ranges === undefined) return undefined;
    if (ranges.length === 0) continue;
    const childCells = cellCount(bus, '#address-cells');
    const parentCells = cellCount(above, '#address-cells');
    const sizeCells = cellCount(bus, '#size-cells');
    if (!childCells || !parentCells || sizeCells === undefined) return undefined;
    const stride = 4 * (childCells + parentCells + sizeCells);
    if (ranges.length % stride !== 0) return undefined;
    let next: bigint | undefined;
    for (let i = 0; i < ranges.length && next === undefined; i += stride) {
      const from = numberAt(ranges, i, childCells);
      const to = numberAt(ranges, i + 4 * childCells, parentCells);
      const size = numberAt(ranges, i + 4 * (childCells + parentCells), sizeCells);
      if (at >= from && at - from < size) next = to + (at - from);
    }
    if (next === undefined) return undefined;
    at = next;
  }
  // `node` is the root, which lies on no bus.
  return undefined;
}
