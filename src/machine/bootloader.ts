/**
 * What a board's bootloader does to the tree before a kernel sees it, as far as machines need it: fill in
 * how much memory there is.
 *
 * Half of the trees of real boards leave that open: a memory node of size 0, or none, since boards of one
 * kind are sold with more or less memory. The size then comes from outside, and the base from the memory
 * node or, where there is none, from the first gigabyte boundary from 1 GiB up that no device is near.
 *
 * Ref. Devicetree Specification v0.4, 3.4 (/memory).
 */
import { formatSize, hex, inputError } from '../base/index.js';
import {
  allNodes,
  cellCount,
  cells,
  type DeviceTree,
  DtNode,
  isOkay,
  regEntries,
  strings,
  translateAddress,
} from '../devicetree/index.js';

const GIGABYTE = 2n ** 30n;
/** Where a place for memory is looked for: the first 64 GiB. */
const LAST_PLACE = 63n * GIGABYTE;

const isMemory = (node: DtNode) =>
  strings(node.properties.get('device_type'))[0] === 'memory' && isOkay(node);

/** Whether the tree leaves the size of memory to the bootloader. */
export function leavesMemoryOpen(tree: DeviceTree): boolean {
  return tree.root.children.every((n) => !isMemory(n) || (regEntries(n) ?? []).every((r) => r.size === 0n));
}

/**
 * Gives a tree that leaves it open `bytes` of memory, in its first memory node or a new one; changes the
 * tree and returns the base, bytes.
 *
 * @throws InputError where the size does not fit the node's cells, or no place is free.
 */
export function fillMemory(tree: DeviceTree, bytes: number): bigint {
  const { root } = tree;
  const addressCells = cellCount(root, '#address-cells');
  const sizeCells = cellCount(root, '#size-cells');
  if (!addressCells || !sizeCells) {
    throw inputError('BOARD-MEMORY', "the root's #address-cells and #size-cells describe no memory");
  }
  const open = root.children.find((n) => isMemory(n) && (regEntries(n)?.length ?? 0) > 0);
  const base = open === undefined ? freePlace(tree, BigInt(bytes)) : regEntries(open)![0]!.address;
  if (BigInt(bytes) >= 1n << BigInt(32 * sizeCells) || base >= 1n << BigInt(32 * addressCells)) {
    throw inputError(
      'BOARD-MEMORY',
      `${formatSize(bytes)} of memory at ${hex(base)} cannot be written down`,
      {
        help: `the root's cells have room for less: #address-cells ${addressCells}, #size-cells ${sizeCells}`,
      },
    );
  }
  const reg = new Uint8Array(4 * (addressCells + sizeCells));
  const view = new DataView(reg.buffer);
  const write = (value: bigint, at: number, count: number) => {
    for (let i = 0; i < count; i++) {
      view.setUint32(4 * (at + i), Number((value >> BigInt(32 * (count - 1 - i))) & 0xffff_ffffn));
    }
  };
  write(base, 0, addressCells);
  write(BigInt(bytes), addressCells, sizeCells);
  if (open !== undefined) {
    open.properties.set('reg', reg);
    return base;
  }
  const node = new DtNode(`memory@${base.toString(16)}`, root);
  node.properties.set('device_type', new TextEncoder().encode('memory\0'));
  node.properties.set('reg', reg);
  root.children.push(node);
  return base;
}

/** The first gigabyte boundary with room for `bytes` that is clear of every device. */
function freePlace(tree: DeviceTree, bytes: bigint): bigint {
  const taken: { first: bigint; end: bigint }[] = [];
  for (const node of allNodes(tree)) {
    // What is reserved is memory: it does not stand in the way of it.
    if (node.parent?.name === 'reserved-memory') continue;
    for (const { address, size } of regEntries(node) ?? []) {
      const first = size > 0n ? translateAddress(node, address) : undefined;
      if (first !== undefined) taken.push({ first, end: first + size });
    }
    for (const window of windows(node)) taken.push(window);
  }
  for (let base = GIGABYTE; base <= LAST_PLACE; base += GIGABYTE) {
    if (taken.every((t) => t.end <= base || t.first >= base + bytes)) return base;
  }
  throw inputError('BOARD-MEMORY', `the tree has no memory node, and devices leave no room for one`, {
    help: 'add a node memory@BASE with device_type = "memory" and reg',
  });
}

/** What a PCI host bridge shows of its bus: its `ranges` name places that no `reg` does. */
function* windows(node: DtNode): Generator<{ first: bigint; end: bigint }, void, void> {
  const ranges = node.properties.get('ranges');
  if (strings(node.properties.get('device_type'))[0] !== 'pci' || node.parent === undefined) return;
  const parentCells = cellCount(node.parent, '#address-cells');
  if (ranges === undefined || parentCells === undefined || parentCells === 0 || parentCells > 2) return;
  const words = cells(ranges);
  const number = (at: number, count: number) =>
    words.slice(at, at + count).reduce((sum, word) => (sum << 32n) | BigInt(word), 0n);
  const stride = 3 + parentCells + 2;
  for (let at = 0; at + stride <= words.length; at += stride) {
    const first = translateAddress(node, number(at + 3, parentCells));
    if (first !== undefined) yield { first, end: first + number(at + 3 + parentCells, 2) };
  }
}
