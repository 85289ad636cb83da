/**
 * The flattened device tree writer: version 17 unless an older one is asked for, laid out byte for byte as
 * dtc 1.6.1 lays it out.
 *
 * Header (40 bytes in version 17), reservation block at the next multiple of 8 with its 16-byte terminator,
 * structure block, strings block, nothing between, and behind only what is asked for (so totalsize may be
 * odd). Property names enter the strings block in order of first use, and a name that already stands there
 * as the tail of another reuses it. Versions 1 to 3 name nodes by full path, write a `name` property behind
 * a node's others, and align values of 8 bytes and more to 8.
 */

import { inputError } from '../base/index.js';
import { ByteSink } from './bytes.js';
import { FDT_BEGIN_NODE, FDT_END, FDT_END_NODE, FDT_MAGIC, FDT_PROP } from './read.js';
import type { DeviceTree, DtNode } from './tree.js';

export const BLOB_VERSIONS = [1, 2, 3, 16, 17] as const;
export type BlobVersion = (typeof BLOB_VERSIONS)[number];

/** Room in the blob is for boot loaders that edit it; all of it is zero and counted in totalsize. */
export interface WriteOptions {
  /** Bytes added at the end (`-p`). */
  readonly padding?: number;
  /** The blob has at least this many bytes (`-S`); not together with `padding`. */
  readonly atLeast?: number;
  /** Then its size is rounded up to a multiple of this, a power of two (`-a`). */
  readonly align?: number;
  /** Empty entries before the end of the reservation block (`-R`). */
  readonly spareReservations?: number;
  /** Default 17 (`-V`). */
  readonly version?: BlobVersion;
}

/** What a version's blob looks like. */
interface Form {
  readonly version: BlobVersion;
  readonly compatible: 1 | 16;
  readonly headerWords: number;
  /** Full paths, `name` properties, values aligned to 8. */
  readonly old: boolean;
}

const FORMS: ReadonlyMap<BlobVersion, Form> = new Map([
  [1, { version: 1, compatible: 1, headerWords: 7, old: true }],
  [2, { version: 2, compatible: 1, headerWords: 8, old: true }],
  [3, { version: 3, compatible: 1, headerWords: 9, old: true }],
  [16, { version: 16, compatible: 16, headerWords: 9, old: false }],
  [17, { version: 17, compatible: 16, headerWords: 10, old: false }],
]);

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
  return layOut(tree, options);
}

/** The blob, and where in it each property's value begins: for readers that look past a value's end. */
export function writeDtbWithPlaces(tree: DeviceTree): {
  readonly bytes: Uint8Array;
  /** Byte offset of the value in `bytes`. */
  readonly placeOf: (node: DtNode, property: string) => number | undefined;
} {
  const places = new Map<DtNode, Map<string, number>>();
  const bytes = layOut(tree, {}, (node, property, at) => {
    let own = places.get(node);
    if (own === undefined) {
      own = new Map();
      places.set(node, own);
    }
    own.set(property, at);
  });
  const start = new DataView(bytes.buffer, bytes.byteOffset).getUint32(8);
  return {
    bytes,
    placeOf: (node, property) => {
      const at = places.get(node)?.get(property);
      return at === undefined ? undefined : start + at;
    },
  };
}

type OnValue = (node: DtNode, property: string, at: number) => void;

function structureOf(tree: DeviceTree, form: Form, table: StringTable, onValue?: OnValue): Uint8Array {
  const structure = new ByteSink();
  const value = (name: string, bytes: Uint8Array, node: DtNode) => {
    structure.u32(FDT_PROP);
    structure.u32(bytes.length);
    structure.u32(table.offset(name));
    // The structure block starts at a multiple of 8.
    if (form.old && bytes.length >= 8 && structure.length % 8 !== 0) structure.u32(0);
    onValue?.(node, name, structure.length);
    structure.bytes(bytes);
    structure.align4();
  };
  let pathText = 0;
  // A frame is a node to begin, or undefined to end the one begun last.
  const stack: ({ readonly node: DtNode; readonly path: string } | undefined)[] = [
    { node: tree.root, path: '/' },
  ];
  while (stack.length > 0) {
    const frame = stack.pop();
    if (frame === undefined) {
      structure.u32(FDT_END_NODE);
      continue;
    }
    const { node, path } = frame;
    pathText += path.length;
    if (pathText > MOST_PATH_TEXT) {
      throw inputError('FDT-PATHS', `the full paths that version ${form.version} wants are too long`, {
        help: 'nodes with very long names are nested very deep; version 16 and 17 have no paths',
      });
    }
    structure.u32(FDT_BEGIN_NODE);
    structure.name(form.old ? path : node.name);
    structure.align4();
    for (const [name, bytes] of node.properties) value(name, bytes, node);
    if (form.old && !node.properties.has('name')) {
      value('name', nulTerminated(node.name.split('@')[0]!), node);
    }
    stack.push(undefined);
    const prefix = !form.old || path === '/' ? '/' : `${path}/`;
    for (let i = node.children.length - 1; i >= 0; i--) {
      const child = node.children[i]!;
      stack.push({ node: child, path: form.old ? prefix + child.name : '' });
    }
  }
  structure.u32(FDT_END);
  return structure.done();
}

/** Latin-1, as all names are. */
function nulTerminated(name: string): Uint8Array {
  return Uint8Array.from([...name].map((c) => c.charCodeAt(0)).concat(0));
}

/** Old versions write every node's path out; a deep tree of long names must not take all memory. */
const MOST_PATH_TEXT = 2 ** 26;

const roundUp = (value: number, to: number) => Math.ceil(value / to) * to;

function layOut(tree: DeviceTree, options: WriteOptions, onValue?: OnValue): Uint8Array {
  const form = FORMS.get(options.version ?? 17)!;
  const table = new StringTable();
  const structure = structureOf(tree, form, table, onValue);
  const reservations = [...tree.memreserve];
  for (let i = 0; i <= (options.spareReservations ?? 0); i++) reservations.push({ address: 0n, size: 0n });

  const reserveAt = roundUp(4 * form.headerWords, 8);
  const structureAt = reserveAt + 16 * reservations.length;
  const stringsAt = structureAt + structure.length;
  const end = stringsAt + table.sink.length;
  const total = roundUp(Math.max(end + (options.padding ?? 0), options.atLeast ?? 0), options.align ?? 1);
  const header = [
    FDT_MAGIC,
    total,
    structureAt,
    stringsAt,
    reserveAt,
    form.version,
    form.compatible,
    tree.bootCpuidPhys,
    table.sink.length,
    structure.length,
  ];
  const out = new ByteSink();
  for (const word of header.slice(0, form.headerWords)) out.u32(word);
  if (out.length < reserveAt) out.u32(0);
  for (const { address, size } of reservations) {
    out.u64(address);
    out.u64(size);
  }
  out.bytes(structure);
  out.bytes(table.sink.done());
  out.bytes(new Uint8Array(total - end));
  return out.done().slice();
}
