/**
 * The machines that come with the package, and the default one in other sizes.
 *
 * The trees are compiled from `dts/` by our own compiler when they are asked for.
 */
import block8k from '../../dts/block-8k.dts';
import defaultMachine from '../../dts/default.dts';
import fvpRfcV3 from '../../dts/fvp-rfc-v3.dts';
import { formatSize, inputError, MiB } from '../base/index.js';
import { compileDts, type DeviceTree, DtNode } from '../devicetree/index.js';
import { cpuNodes } from './board.js';
import { MOST_CPUS } from './machine.js';

export const SHIPPED_MACHINES: Readonly<Record<string, string>> = {
  default: defaultMachine,
  'fvp-rfc-v3': fvpRfcV3,
  'block-8k': block8k,
};

/** The tree of a shipped machine. Throws Error for a name that is none. */
export function shippedTree(name: string): DeviceTree {
  const text = SHIPPED_MACHINES[name];
  if (text === undefined) throw new Error(`there is no shipped machine '${name}'`);
  return compileDts({ name: `dts/${name}.dts`, text }, {}).tree;
}

/** Where the default machine's DRAM starts, and the end of what 40-bit physical addresses reach. */
const DRAM_BASE = 0x4000_0000;
const MOST_MEMORY = 2 ** 39;
/** Tags of less than this do not fill a page of tag storage. */
const LEAST_UNIT = 128 * 1024;

/** Memory whose tag storage is whole pageblocks (2 MiB with 4 KiB pages), as CMA needs. */
export const REUSE_UNIT = 64 * MiB;

/**
 * The default machine with `bytes` of tagged DRAM and its tag storage directly behind.
 *
 * @throws InputError (MACHINE-MEMORY) where such a machine cannot be.
 */
export function defaultTree(bytes: number): DeviceTree {
  if (bytes < 8 * MiB || bytes > MOST_MEMORY || bytes % LEAST_UNIT !== 0) {
    throw inputError('MACHINE-MEMORY', `the default machine cannot have ${formatSize(bytes)} of memory`, {
      help: 'a multiple of 128 KiB from 8 MiB to 512 GiB; reuse of tag storage needs a multiple of 64 MiB',
    });
  }
  const tree = shippedTree('default');
  const tagBase = DRAM_BASE + bytes;
  const tagBytes = bytes / 32;
  for (const node of [tree.root, tree.root.child('reserved-memory')!]) {
    for (const [i, child] of node.children.entries()) {
      if (child.name === 'memory@40000000') {
        setReg(child, DRAM_BASE, bytes);
      } else if (child.name === 'memory@60000000' || child.name === 'tag-storage@60000000') {
        const renamed = new DtNode(`${child.name.split('@')[0]!}@${tagBase.toString(16)}`, node);
        for (const [name, value] of child.properties) renamed.properties.set(name, value);
        setReg(renamed, tagBase, tagBytes);
        node.children[i] = renamed;
      }
    }
  }
  return tree;
}

/** `reg` of one entry with two cells each. */
function setReg(node: DtNode, address: number, size: number): void {
  const reg = new Uint8Array(16);
  const view = new DataView(reg.buffer);
  view.setBigUint64(0, BigInt(address));
  view.setBigUint64(8, BigInt(size));
  node.properties.set('reg', reg);
}

/**
 * Gives the tree `count` CPUs: nodes beyond it go, and what is missing is made like the first.
 *
 * @throws InputError (MACHINE-CPUS) for a count that a machine cannot have, or a tree without a cpu node.
 */
export function setCpuCount(tree: DeviceTree, count: number): void {
  if (count < 1 || count > MOST_CPUS) {
    throw inputError('MACHINE-CPUS', `a machine has 1 to ${MOST_CPUS} CPUs, not ${count}`);
  }
  const nodes = cpuNodes(tree);
  const [first] = nodes;
  const parent = first?.parent;
  if (first === undefined || parent === undefined) {
    throw inputError('MACHINE-CPUS', 'the tree has no cpu node that others could be made like');
  }
  for (const node of nodes.slice(count)) parent.children.splice(parent.children.indexOf(node), 1);
  const cellBytes = first.properties.get('reg')?.length ?? 4;
  for (let index = nodes.length; index < count; index++) {
    const node = new DtNode(`cpu@${index.toString(16)}`, parent);
    for (const [name, value] of first.properties) {
      // A phandle names one node.
      if (name !== 'phandle' && name !== 'linux,phandle') node.properties.set(name, value);
    }
    const reg = new Uint8Array(cellBytes);
    reg[cellBytes - 1] = index;
    node.properties.set('reg', reg);
    parent.children.splice(parent.children.indexOf(cpuNodes(tree).at(-1)!) + 1, 0, node);
  }
}
