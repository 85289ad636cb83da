/**
 * Generated nodes: `__symbols__` for `-@`, /aliases for `-A`, `__fixups__` and `__local_fixups__` for overlays.
 *
 * Contents and order are those of dtc 1.6.1: symbols label by label in document order, each labelled
 * node given a phandle after all referenced ones have theirs; fixups as `path:property:offset`
 * strings under the missing label's name; local fixups as a copy of the tree's shape with offsets.
 */

import { concatenate } from './bytes.js';
import type { Phandles } from './checks/phandles.js';
import { type LabelIndex, LiveNode, LiveProperty, liveNodes, nodeByRef } from './source/live.js';

/** Properties of generated nodes grow piece by piece; they are joined once, at the end. */
class Growing {
  readonly #pieces = new Map<LiveProperty, Uint8Array[]>();

  append(node: LiveNode, name: string, piece: Uint8Array): void {
    let property = node.property(name);
    if (property === undefined) {
      property = new LiveProperty(name, new Uint8Array(0), [], undefined, true);
      node.addProperty(property);
    }
    const pieces = this.#pieces.get(property);
    if (pieces === undefined) this.#pieces.set(property, [property.value, piece]);
    else pieces.push(piece);
  }

  finish(): void {
    for (const [property, pieces] of this.#pieces) property.value = concatenate(pieces);
  }
}

function childOf(node: LiveNode, name: string): LiveNode {
  const known = node.child(name);
  if (known !== undefined) return known;
  const child = new LiveNode(name);
  node.addChild(child);
  return child;
}

/** The paths of all labels in /`name`; gives the labels that stood there before, which are left alone. */
function addLabels(root: LiveNode, name: string, phandles: Phandles | undefined): string[] {
  const labelled = [...liveNodes(root)].filter((node) => !node.labels.isEmpty);
  if (labelled.length === 0) return [];
  const taken: string[] = [];
  const labels = childOf(root, name);
  for (const node of labelled) {
    const path = new TextEncoder().encode(`${node.path}\0`);
    for (const label of node.labels.live()) {
      if (labels.property(label) === undefined) {
        labels.addProperty(new LiveProperty(label, path, [], undefined, true));
      } else taken.push(label);
    }
    phandles?.of(node);
  }
  return taken;
}

/** `-@`. */
export function addSymbols(root: LiveNode, phandles: Phandles): string[] {
  phandles.forget();
  return addLabels(root, '__symbols__', phandles);
}

/** `-A`. */
export function addAliases(root: LiveNode): string[] {
  return addLabels(root, 'aliases', undefined);
}

interface Reference {
  readonly node: LiveNode;
  readonly property: LiveProperty;
  readonly offset: number;
  readonly ref: string;
}

function* phandleReferences(root: LiveNode): Generator<Reference, void, void> {
  for (const node of liveNodes(root)) {
    for (const property of [...node.liveProperties()]) {
      for (const { kind, offset, ref } of property.markers) {
        if (kind === 'phandle') yield { node, property, offset, ref };
      }
    }
  }
}

export function addFixups(root: LiveNode, labels: LabelIndex): void {
  const references = [...phandleReferences(root)];
  const growing = new Growing();
  const missing = references.filter((r) => nodeByRef(root, labels, r.ref) === undefined);
  if (missing.length > 0) {
    const fixups = childOf(root, '__fixups__');
    for (const { node, property, offset, ref } of missing) {
      const entry = new TextEncoder().encode(`${node.path}:${property.name}:${offset}\0`);
      growing.append(fixups, ref, entry);
    }
  }
  const local = references.filter((r) => nodeByRef(root, labels, r.ref) !== undefined);
  if (local.length > 0) {
    const localFixups = childOf(root, '__local_fixups__');
    for (const { node, property, offset } of local) {
      const names: string[] = [];
      for (let n = node; n.parent !== undefined; n = n.parent) names.push(n.name);
      let mirror = localFixups;
      for (const name of names.reverse()) mirror = childOf(mirror, name);
      const cell = new Uint8Array(4);
      new DataView(cell.buffer).setUint32(0, offset);
      growing.append(mirror, property.name, cell);
    }
  }
  growing.finish();
}
