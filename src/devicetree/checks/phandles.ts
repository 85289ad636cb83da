/**
 * Automatic phandles: numbered from 1 in the order in which they are first wanted, skipping those
 * that the source uses itself; the property goes behind the node's others. dtc 1.6.1 does the same.
 */

import { type LiveNode, LiveProperty, liveNodes } from '../source/live.js';

export class Phandles {
  readonly #used = new Set<number>();
  #next = 1;

  constructor(root: LiveNode) {
    for (const node of liveNodes(root)) if (node.phandle !== 0) this.#used.add(node.phandle);
  }

  /** The node's phandle, made now if it has none. */
  of(node: LiveNode): number {
    if (node.phandle !== 0) return node.phandle;
    while (this.#used.has(this.#next)) this.#next++;
    const phandle = this.#next;
    this.#used.add(phandle);
    node.phandle = phandle;
    if (node.property('phandle') === undefined) {
      const value = new Uint8Array(4);
      new DataView(value.buffer).setUint32(0, phandle);
      node.addProperty(new LiveProperty('phandle', value, [], undefined, true));
    }
    return phandle;
  }
}
