/**
 * What the mini-kernel reads out of the device tree at boot: banks, reservations, the command line.
 *
 * The counterpart of early_init_dt_scan and fdt_init_reserved_mem. Discovery of tag storage is the
 * device tree floor's; here the tree becomes the plain data that the memory manager boots from.
 */
import { inputError, PA } from '../base/index.js';
import {
  allNodes,
  cells,
  type DeviceTree,
  type DtNode,
  isCompatible,
  isOkay,
  regEntries,
  strings,
  translateAddress,
  u32,
} from '../devicetree/index.js';
import type { MemoryBank, NumaLayout, PhysRange } from './mm/index.js';
import { LOCAL_DISTANCE, MAX_NUMNODES } from './mm/index.js';

export interface BootLayout {
  readonly banks: readonly MemoryBank[];
  readonly numa: NumaLayout;
  readonly reserved: readonly PhysRange[];
  /**
   * What the tree calls tag storage, wherever the node stands. It is the policy's to manage where discovery
   * accepts it, and must be reserved like the rest where not: the hardware writes tags there all the same.
   */
  readonly tagStorage: readonly PhysRange[];
  readonly bootargs: string;
  readonly model: string;
}

export function readBootLayout(tree: DeviceTree): BootLayout {
  const banks: MemoryBank[] = [];
  for (const node of tree.root.children) {
    if (strings(node.properties.get('device_type'))[0] !== 'memory' || !isOkay(node)) continue;
    for (const entry of regEntries(node) ?? []) {
      const address = translateAddress(node, entry.address);
      if (address === undefined || entry.size === 0n) continue;
      banks.push({ ...physRange(address, entry.size, node.path), ...nodeIdOf(node) });
    }
  }
  if (banks.length === 0) throw inputError('BOOT-NO-MEMORY', 'the device tree describes no memory');
  banks.sort((a, b) => a.base - b.base);

  const reserved = tree.memreserve.map((r) => physRange(r.address, r.size, '/memreserve/'));
  for (const node of tree.root.child('reserved-memory')?.children ?? []) {
    if (!isOkay(node) || isCompatible(node, 'arm,mte-tag-storage')) continue;
    for (const entry of regEntries(node) ?? []) {
      if (entry.size > 0n) reserved.push(physRange(entry.address, entry.size, node.path));
    }
  }
  const tagStorage: PhysRange[] = [];
  for (const node of allNodes(tree)) {
    if (!isCompatible(node, 'arm,mte-tag-storage') || !isOkay(node)) continue;
    for (const entry of regEntries(node) ?? []) {
      const address = translateAddress(node, entry.address);
      if (address !== undefined && entry.size > 0n)
        tagStorage.push(physRange(address, entry.size, node.path));
    }
  }
  const chosen = tree.root.child('chosen');
  return {
    ...numaOf(tree, banks),
    reserved,
    tagStorage,
    bootargs: strings(chosen?.properties.get('bootargs'))[0] ?? '',
    model: strings(tree.root.properties.get('model'))[0] ?? 'unnamed machine',
  };
}

/** `numa-node-id`, where there is one. */
function nodeIdOf(node: DtNode): { nid?: number } {
  const nid = u32(node.properties.get('numa-node-id'));
  return nid === undefined ? {} : { nid };
}

/**
 * of_numa_init(): nodes of memory and CPUs, and their distances. Where some memory is of no node, or a number is out
 * of bounds, everything is node 0, as dummy_numa_init() has it.
 */
function numaOf(tree: DeviceTree, banks: readonly MemoryBank[]): { banks: MemoryBank[]; numa: NumaLayout } {
  const cpus = (tree.root.child('cpus')?.children ?? []).filter(
    (node) => strings(node.properties.get('device_type'))[0] === 'cpu' && isOkay(node),
  );
  const cpuNodes = cpus.map((node) => nodeIdOf(node).nid ?? 0);
  const good = (nid: number | undefined) => nid !== undefined && nid < MAX_NUMNODES;
  if (!banks.every(({ nid }) => good(nid)) || !cpuNodes.every(good)) {
    return { banks: banks.map(({ base, size }) => ({ base, size })), numa: {} };
  }
  return { banks: [...banks], numa: { cpuNodes, distances: distancesOf(tree) } };
}

/** The distance-map of `numa-distance-map-v1`: from, to, distance; one direction stands for both. */
function distancesOf(tree: DeviceTree): number[][] {
  const map = tree.root.children.find((node) => isCompatible(node, 'numa-distance-map-v1'));
  const matrix = cells(map?.properties.get('distance-matrix'));
  const out: number[][] = [];
  const rowOf = (nid: number): number[] => {
    const row = out[nid] ?? [];
    out[nid] = row;
    return row;
  };
  for (let i = 0; i + 2 < matrix.length; i += 3) {
    const [from = 0, to = 0, distance = 0] = matrix.slice(i, i + 3);
    // of_numa_parse_distance_map_v1(): to itself it is 10, to others more.
    if (from >= MAX_NUMNODES || to >= MAX_NUMNODES || (from === to) !== (distance === LOCAL_DISTANCE))
      continue;
    if (distance < LOCAL_DISTANCE) continue;
    rowOf(from)[to] = distance;
    const back = rowOf(to);
    back[from] ??= distance;
  }
  return out;
}

function physRange(address: bigint, size: bigint, where: string): PhysRange {
  if (address + size > 1n << 52n) {
    throw inputError('BOOT-ADDRESS', `${where} lies beyond 52-bit physical addresses`);
  }
  return { base: PA(Number(address)), size: Number(size) };
}
