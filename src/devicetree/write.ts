/**
 * The flattened device tree writer: version 17, laid out byte for byte as dtc 1.6.1 lays it out.
 *
 * Header of 40 bytes, reservation block at 0x28 with its 16-byte terminator, structure block, strings
 * block, nothing between or behind (so totalsize may be odd). Property names enter the strings block
 * in order of first use, and a name that already stands there as the tail of another reuses it.
 */

import { ByteSink } from './bytes.js';
import { FDT_BEGIN_NODE, FDT_END, FDT_END_NODE, FDT_MAGIC, FDT_PROP } from './read.js';
import type { DeviceTree, DtNode } from './tree.js';

export interface WriteOptions {
  /** Zero bytes added at the end and counted in totalsize (room for a boot loader to edit). */
  readonly padding?: number;
}

/**
 * The strings block. dtc searches the whole block for each name; the same answer comes from a trie
 * over the reversed names, in time linear in their length.
 */
class StringTable {
  readonly sink = new ByteSink();
  /** Trie edges: node * 256 + byte -> node. */
  readonly #edges = new Map<number, number>();
  /** Offset at which the suffix that a trie node spells first stands. */
  readonly #offsets: number[] = [-1];
  readonly #known = new Map<string, number>();

  offset(name: string): number {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const found = this.#search(name) ?? this.#insert(name);
    this.#known.set(name, found);
    return found;
  }

  #search(name: string): number | undefined {
    let node = 0;
    for (let i = name.length - 1; i >= 0; i--) {
      const next = this.#edges.get(node * 256 + name.charCodeAt(i));
      if (next === undefined) return undefined;
      node = next;
    }
    const offset = this.#offsets[node]!;
    return offset < 0 ? undefined : offset;
  }

  #insert(name: string): number {
    const start = this.sink.length;
    this.sink.name(name);
    let node = 0;
    if (this.#offsets[0]! < 0) this.#offsets[0] = start + name.length;
    for (let i = name.length - 1; i >= 0; i--) {
      const key = node * 256 + name.charCodeAt(i);
      let next = this.#edges.get(key);
      if (next === undefined) {
        next = this.#offsets.length;
        this.#offsets.push(start + i);
        this.#edges.set(key, next);
      }
      node = next;
    }
    return start;
  }
}

/** The blob of `tree`. */
export function writeDtb(tree: DeviceTree, options: WriteOptions = {}): Uint8Array {
  return layOut(tree, options.padding ?? 0);
}

/** The blob, and where in it each property's value begins: for readers that look past a value's end. */
export function writeDtbWithPlaces(tree: DeviceTree): {
  readonly bytes: Uint8Array;
  /** Byte offset of the value in `bytes`. */
  readonly placeOf: (node: DtNode, property: string) => number | undefined;
} {
  const places = new Map<DtNode, Map<string, number>>();
  const bytes = layOut(tree, 0, (node, property, at) => {
    let own = places.get(node);
    if (own === undefined) {
      own = new Map();
      places.set(node, own);
    }
    own.set(property, at);
  });
  const start = structureStart(tree);
  return {
    bytes,
    placeOf: (node, property) => {
      const at = places.get(node)?.get(property);
      return at === undefined ? undefined : start + at;
    },
  };
}

const HEADER_SIZE = 40;

function structureStart(tree: DeviceTree): number {
  return HEADER_SIZE + 16 * (tree.memreserve.length + 1);
}

function layOut(
  tree: DeviceTree,
  padding: number,
  onValue?: (node: DtNode, property: string, at: number) => void,
): Uint8Array {
  const table = new StringTable();
  const structure = new ByteSink();
  // A frame is a node to begin, or undefined to end the one begun last.
  const stack: (DtNode | undefined)[] = [tree.root];
  while (stack.length > 0) {
    const node = stack.pop();
    if (node === undefined) {
      structure.u32(FDT_END_NODE);
      continue;
    }
    structure.u32(FDT_BEGIN_NODE);
    structure.name(node.name);
    structure.align4();
    for (const [name, value] of node.properties) {
      structure.u32(FDT_PROP);
      structure.u32(value.length);
      structure.u32(table.offset(name));
      onValue?.(node, name, structure.length);
      structure.bytes(value);
      structure.align4();
    }
    stack.push(undefined);
    for (let i = node.children.length - 1; i >= 0; i--) stack.push(node.children[i]);
  }
  structure.u32(FDT_END);

  const structureAt = structureStart(tree);
  const stringsAt = structureAt + structure.length;
  const total = stringsAt + table.sink.length + padding;
  const out = new ByteSink();
  for (const word of [
    FDT_MAGIC,
    total,
    structureAt,
    stringsAt,
    HEADER_SIZE,
    17,
    16,
    tree.bootCpuidPhys,
    table.sink.length,
    structure.length,
  ]) {
    out.u32(word);
  }
  for (const { address, size } of [...tree.memreserve, { address: 0n, size: 0n }]) {
    out.u64(address);
    out.u64(size);
  }
  out.bytes(structure.done());
  out.bytes(table.sink.done());
  out.bytes(new Uint8Array(padding));
  return out.done().slice();
}
