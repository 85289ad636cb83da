/**
 * What the mini-kernel reads out of the device tree at boot: banks, reservations, the command line.
 *
 * The counterpart of early_init_dt_scan and fdt_init_reserved_mem. Discovery of tag storage is the
 * device tree floor's; here the tree becomes the plain data that the memory manager boots from.
 */
import { inputError, PA } from '../base/index.js';
import {
  allNodes,
  type DeviceTree,
  isCompatible,
  isOkay,
  regEntries,
  strings,
  translateAddress,
} from '../devicetree/index.js';
import type { PhysRange } from './mm/index.js';

export interface BootLayout {
  readonly banks: readonly PhysRange[];
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
  const banks: PhysRange[] = [];
  for (const node of tree.root.children) {
    if (strings(node.properties.get('device_type'))[0] !== 'memory' || !isOkay(node)) continue;
    for (const entry of regEntries(node) ?? []) {
      const address = translateAddress(node, entry.address);
      if (address === undefined || entry.size === 0n) continue;
      banks.push(physRange(address, entry.size, node.path));
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
    banks,
    reserved,
    tagStorage,
    bootargs: strings(chosen?.properties.get('bootargs'))[0] ?? '',
    model: strings(tree.root.properties.get('model'))[0] ?? 'unnamed machine',
  };
}

function physRange(address: bigint, size: bigint, where: string): PhysRange {
  if (address + size > 1n << 52n) {
    throw inputError('BOOT-ADDRESS', `${where} lies beyond 52-bit physical addresses`);
  }
  return { base: PA(Number(address)), size: Number(size) };
}
