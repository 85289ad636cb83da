/**
 * Automatic phandles: numbered from 1 in the order in which they are first wanted, skipping those
 * that the source uses itself; the property goes behind the node's others, under today's name, the one of
 * old trees, or both (`-H`). dtc 1.6.1 does the same.
 */

import { type LiveNode, LiveProperty, liveNodes } from '../source/live.js';

export type PhandleFormat = 'epapr' | 'legacy' | 'both';

const NAMES: Readonly<Record<PhandleFormat, readonly string[]>> = {
  epapr: ['phandle'],
  legacy: ['linux,phandle'],
  both: ['linux,phandle', 'phandle'],
};

/** One for a tree: dtc counts on where it stopped, even if nodes that got a number are gone. */
export class Phandles {
  readonly #root: LiveNode;
  readonly #names: readonly string[];
  #used: Set<number> | undefined;
  #next = 1;

  constructor(root: LiveNode, format: PhandleFormat = 'epapr') {
    this.#root = root;
    this.#names = NAMES[format];
  }

  /** To be called when nodes were deleted: what they had is free again, if the count has not passed it. */
  forget(): void {
    this.#used = undefined;
  }

  /** The node's phandle, made now if it has none. */
  of(node: LiveNode): number {
    if (node.phandle !== 0) return node.phandle;
    this.#used ??= this.#scan();
    while (this.#used.has(this.#next)) this.#next++;
    const phandle = this.#next;
    this.#used.add(phandle);
    node.phandle = phandle;
    for (const name of this.#names) {
      if (node.property(name) !== undefined) continue;
      const value = new Uint8Array(4);
      new DataView(value.buffer).setUint32(0, phandle);
      node.addProperty(new LiveProperty(name, value, [], undefined, true));
    }
    return phandle;
  }

  #scan(): Set<number> {
    const used = new Set<number>();
    for (const node of liveNodes(this.#root)) if (node.phandle !== 0) used.add(node.phandle);
    return used;
  }
}
