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
