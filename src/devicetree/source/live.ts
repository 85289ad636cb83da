/**
 * The live tree: what the parser builds, merges and deletes in before it becomes a `DeviceTree`.
 *
 * dtc keeps deleted nodes and properties in their lists, only marked, so that one that is defined
 * again takes its old place; labels of merged bodies are prepended to the target's. Both orders can
 * be seen in the blob (`__symbols__`, property order), hence they are kept the same here. Look-ups by
 * name go through maps, so that a tree with many children or properties stays linear.
 */

import type { Span } from '../../base/index.js';

export interface Label {
  readonly name: string;
  deleted: boolean;
}

/** The labels of a node or property; a new one goes before the others, as in dtc. */
export class Labels {
  /** Last added last. */
  readonly #list: Label[] = [];
  #byName: Map<string, Label> | undefined;

  /** `name` added, or revived. */
  add(name: string): void {
    const known = this.find(name);
    if (known !== undefined) {
      known.deleted = false;
      return;
    }
    const label = { name, deleted: false };
    this.#list.push(label);
    if (this.#byName !== undefined) this.#byName.set(name, label);
    else if (this.#list.length > 8) this.#byName = new Map(this.#list.map((l) => [l.name, l]));
  }

  /** Deleted or not. */
  find(name: string): Label | undefined {
    return this.#byName === undefined ? this.#list.find((l) => l.name === name) : this.#byName.get(name);
  }

  deleteAll(): void {
    for (const label of this.#list) label.deleted = true;
  }

  /** Deleted ones included. */
  get isEmpty(): boolean {
    return this.#list.length === 0;
  }

  /** All names, deleted ones included, in dtc's order. */
  *all(): Generator<Label, void, void> {
    for (let i = this.#list.length - 1; i >= 0; i--) yield this.#list[i]!;
  }

  *live(): Generator<string, void, void> {
    for (const label of this.all()) if (!label.deleted) yield label.name;
  }
}

/** A place in a value: a reference to fill in, or a label. */
export interface Marker {
  readonly kind: 'phandle' | 'path' | 'label';
  offset: number;
  readonly ref: string;
  readonly span: Span | undefined;
}

export class LiveProperty {
  readonly name: string;
  value: Uint8Array;
  markers: Marker[];
  readonly labels = new Labels();
  deleted = false;
  span: Span | undefined;
  /** Written in source, so that markers tell references from numbers. */
  readonly written: boolean;
  /** The chain of properties of one name, hung on the first. */
  nextSame: LiveProperty | undefined;
  lastSame: LiveProperty = this;

  constructor(name: string, value: Uint8Array, markers: Marker[], span: Span | undefined, written: boolean) {
    this.name = name;
    this.value = value;
    this.markers = markers;
    this.span = span;
    this.written = written;
  }
}

export class LiveNode {
  name: string;
  parent: LiveNode | undefined;
  readonly properties: LiveProperty[] = [];
  readonly children: LiveNode[] = [];
  readonly labels = new Labels();
  deleted = false;
  omitIfUnused = false;
  referenced = false;
  /** 0 where none is known yet. */
  phandle = 0;
  /** Which kind of bus the checks have found the node to be. */
  bus: 'pci' | 'simple' | 'i2c' | 'spi' | 'graph-port' | 'graph-ports' | undefined;
  /** Every body that defined the node, in order. */
  spans: Span[];
  nextSame: LiveNode | undefined;
  lastSame: LiveNode = this;
  /** First of each name, deleted or not. */
  readonly #property = new Map<string, LiveProperty>();
  readonly #child = new Map<string, LiveNode>();

  constructor(name: string, span?: Span) {
    this.name = name;
    this.spans = span === undefined ? [] : [span];
  }

  addProperty(property: LiveProperty): void {
    this.properties.push(property);
    chain(this.#property, property);
  }

  addChild(child: LiveNode): void {
    child.parent = this;
    this.children.push(child);
    chain(this.#child, child);
  }

  /** The first property of this name, deleted ones included. */
  firstProperty(name: string): LiveProperty | undefined {
    return this.#property.get(name);
  }

  firstChild(name: string): LiveNode | undefined {
    return this.#child.get(name);
  }

  /** The first property of this name that is not deleted. */
  property(name: string): LiveProperty | undefined {
    return firstLive(this.#property.get(name));
  }

  child(name: string): LiveNode | undefined {
    return firstLive(this.#child.get(name));
  }

  /** Takes out the first property of a name for good. */
  removeProperty(name: string): void {
    const first = this.#property.get(name);
    if (first === undefined) return;
    this.properties.splice(this.properties.indexOf(first), 1);
    if (first.nextSame === undefined) this.#property.delete(name);
    else {
      first.nextSame.lastSame = first.lastSame;
      this.#property.set(name, first.nextSame);
    }
  }

  *liveProperties(): Generator<LiveProperty, void, void> {
    for (const property of this.properties) if (!property.deleted) yield property;
  }

  *liveChildren(): Generator<LiveNode, void, void> {
    for (const child of this.children) if (!child.deleted) yield child;
  }

  get path(): string {
    const names: string[] = [];
    let node: LiveNode = this;
    while (node.parent !== undefined) {
      names.push(node.name);
      node = node.parent;
    }
    return `/${names.reverse().join('/')}`;
  }
}

interface Chained<T> {
  readonly name: string;
  readonly deleted: boolean;
  nextSame: T | undefined;
  lastSame: T;
}

function chain<T extends Chained<T>>(map: Map<string, T>, item: T): void {
  const first = map.get(item.name);
  if (first === undefined) map.set(item.name, item);
  else {
    first.lastSame.nextSame = item;
    first.lastSame = item;
  }
}

function firstLive<T extends Chained<T>>(first: T | undefined): T | undefined {
  let item = first;
  while (item?.deleted) item = item.nextSame;
  return item;
}

export function deleteProperty(property: LiveProperty): void {
  property.deleted = true;
  property.labels.deleteAll();
}

/** Marks the node and everything in it. */
export function deleteNode(node: LiveNode): void {
  const stack = [node];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    top.deleted = true;
    for (const property of top.liveProperties()) deleteProperty(property);
    top.labels.deleteAll();
    for (const child of top.liveChildren()) stack.push(child);
  }
}

/** Nodes that are not deleted, in document order. */
export function* liveNodes(root: LiveNode): Generator<LiveNode, void, void> {
  const stack = [root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    yield node;
    for (let i = node.children.length - 1; i >= 0; i--) {
      const child = node.children[i]!;
      if (!child.deleted) stack.push(child);
    }
  }
}

/** Which nodes carry a label; kept while the tree grows, so that a reference costs no search. */
export class LabelIndex {
  readonly #nodes = new Map<string, LiveNode[]>();

  add(label: string, node: LiveNode): void {
    const nodes = this.#nodes.get(label);
    if (nodes === undefined) this.#nodes.set(label, [node]);
    else if (nodes[nodes.length - 1] !== node) nodes.push(node);
  }

  find(label: string): LiveNode | undefined {
    return this.#nodes
      .get(label)
      ?.find((node) => !node.deleted && node.labels.find(label)?.deleted === false);
  }

  get names(): Iterable<string> {
    return this.#nodes.keys();
  }
}

/**
 * Merges a body into the node it extends, as dtc does: overridden properties and nodes keep their
 * place, new ones go last, deletions act on what stood there before.
 */
export function mergeNodes(target: LiveNode, body: LiveNode, index: LabelIndex): void {
  const open = [{ old: target, added: body, next: 0 }];
  mergeOwn(target, body, index);
  for (let top = open[0]; top !== undefined; top = open[open.length - 1]) {
    const { old, added } = top;
    const child = added.children[top.next++];
    if (child === undefined) {
      old.spans.push(...added.spans);
      open.pop();
      continue;
    }
    const known = old.firstChild(child.name);
    if (child.deleted) {
      if (known !== undefined) deleteNode(known);
    } else if (known === undefined) {
      child.nextSame = undefined;
      child.lastSame = child;
      old.addChild(child);
      indexLabels(child, index);
    } else {
      mergeOwn(known, child, index);
      open.push({ old: known, added: child, next: 0 });
    }
  }
}

/** Labels and properties of one node, without its children. */
function mergeOwn(old: LiveNode, added: LiveNode, index: LabelIndex): void {
  old.deleted = false;
  for (const label of added.labels.all()) {
    old.labels.add(label.name);
    index.add(label.name, old);
  }
  for (const property of added.properties) {
    const known = old.firstProperty(property.name);
    if (property.deleted) {
      if (known !== undefined) deleteProperty(known);
    } else if (known === undefined) {
      property.nextSame = undefined;
      property.lastSame = property;
      old.addProperty(property);
    } else {
      for (const label of property.labels.all()) known.labels.add(label.name);
      known.value = property.value;
      known.markers = property.markers;
      known.deleted = false;
      known.span = property.span;
    }
  }
}

export function indexLabels(root: LiveNode, index: LabelIndex): void {
  for (const node of liveNodes(root)) for (const label of node.labels.live()) index.add(label, node);
}

/** The node at a path below `from`; empty components are skipped, as in dtc. */
export function nodeByPath(from: LiveNode, path: string): LiveNode | undefined {
  let node: LiveNode | undefined = from;
  for (const name of path.split('/')) {
    if (name !== '') node = node?.child(name);
  }
  return node;
}

/** What `&label` and `&{/path}` name. */
export function nodeByRef(root: LiveNode, index: LabelIndex, ref: string): LiveNode | undefined {
  return ref.startsWith('/') ? nodeByPath(root, ref) : index.find(ref);
}
