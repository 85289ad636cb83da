/**
 * The flattened device tree reader: bytes in, a `DeviceTree` or a located `InputError` out.
 *
 * Takes versions 1 to 3, 16 and 17 (Devicetree Specification chapter 5; the older forms as booting-
 * without-of described them: full paths as node names, values of 8 bytes and more aligned to 8).
 * Nothing in the blob is trusted: totalsize is checked against the bytes given and every block
 * against totalsize, sums are plain numbers that cannot wrap, the walk keeps its own stack, names are
 * interned once per string offset. Where the specification and lenient readers differ we keep to the
 * specification if a wrong tree could come out, and accept otherwise.
 */

import { hex, type InputError, inputError } from '../base/index.js';
import { type DeviceTree, DtNode, type MemoryReservation, numberAt } from './tree.js';

export const FDT_MAGIC = 0xd00dfeed;
export const FDT_BEGIN_NODE = 1;
export const FDT_END_NODE = 2;
export const FDT_PROP = 3;
export const FDT_NOP = 4;
export const FDT_END = 9;

/** Real trees are 12 deep; this bounds every later walk over a tree. */
export const DEEPEST = 1024;

const NEWEST_COMPATIBLE = 17;

interface Header {
  readonly version: number;
  readonly totalSize: number;
  readonly structure: number;
  readonly structureEnd: number;
  readonly strings: number;
  readonly stringsEnd: number;
  readonly reservations: number;
  readonly bootCpuidPhys: number;
}

class Reader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #name: string;
  readonly #names = new Map<number, string>();
  #nameBytes = 0;

  constructor(bytes: Uint8Array, name: string) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#name = name;
  }

  error(code: string, message: string, offset: number, help?: string): InputError {
    return inputError(code, message, { file: this.#name, offset, ...(help === undefined ? {} : { help }) });
  }

  u32(at: number, end: number, what: string): number {
    if (at + 4 > end) throw this.error('FDT-TRUNCATED', `${what} lies beyond the end of the blob`, at);
    return this.#view.getUint32(at);
  }

  /** Latin-1 text of `[from, to)`. */
  text(from: number, to: number): string {
    let out = '';
    for (let at = from; at < to; at += 4096) {
      out += String.fromCharCode(...this.bytes.subarray(at, Math.min(to, at + 4096)));
    }
    return out;
  }

  header(): Header {
    const real = this.bytes.length;
    const magic = this.u32(0, real, 'the magic number');
    if (magic !== FDT_MAGIC) {
      throw this.error(
        'FDT-MAGIC',
        `not a device tree blob: it starts with ${hex(magic, 8)}, not ${hex(FDT_MAGIC)}`,
        0,
        'give device tree source as a .dts file, or with -I dts',
      );
    }
    const totalSize = this.u32(4, real, 'totalsize');
    if (totalSize > real) {
      throw this.error(
        'FDT-TRUNCATED',
        `totalsize is ${totalSize}, but the file has only ${real} bytes`,
        4,
        'the file was cut short, or its header is damaged',
      );
    }
    const field = (index: number, what: string) => this.u32(4 * index, totalSize, what);
    const structure = field(2, 'off_dt_struct');
    const strings = field(3, 'off_dt_strings');
    const reservations = field(4, 'off_mem_rsvmap');
    const version = field(5, 'version');
    const compatible = field(6, 'last_comp_version');
    if (version === 0 || compatible > NEWEST_COMPATIBLE || compatible > version) {
      throw this.error(
        'FDT-VERSION',
        `version ${version}, readable as version ${compatible} and later, is not one this reader knows`,
        20,
        'versions 1 to 3, 16 and 17 are read',
      );
    }
    const bootCpuidPhys = version >= 2 ? field(7, 'boot_cpuid_phys') : 0;
    const stringsSize = version >= 3 ? field(8, 'size_dt_strings') : undefined;
    const structureSize = version >= 17 ? field(9, 'size_dt_struct') : undefined;
    const block = (what: string, header: number, start: number, size: number | undefined): number => {
      if (start > totalSize || (size !== undefined && start + size > totalSize)) {
        const extent = size === undefined ? '' : ` + ${hex(size)}`;
        throw this.error(
          'FDT-BLOCK',
          `the ${what} block, ${hex(start)}${extent}, lies beyond totalsize ${hex(totalSize)}`,
          header,
        );
      }
      return size === undefined ? totalSize : start + size;
    };
    const stringsEnd = block('strings', 12, strings, stringsSize);
    const structureEnd = block('structure', 8, structure, structureSize);
    if (structure % 4 !== 0) {
      throw this.error(
        'FDT-ALIGN',
        `the structure block starts at ${hex(structure)}, not a multiple of 4`,
        8,
      );
    }
    return {
      version,
      totalSize,
      structure,
      structureEnd,
      strings,
      stringsEnd,
      reservations,
      bootCpuidPhys,
    };
  }

  /** Entries up to the one whose address and size are both 0, as the specification ends the list. */
  reservations(header: Header): MemoryReservation[] {
    const out: MemoryReservation[] = [];
    for (let at = header.reservations; ; at += 16) {
      if (at + 16 > header.totalSize) {
        throw this.error('FDT-RESERVE', 'the memory reservation block has no terminating entry', at);
      }
      const address = numberAt(this.bytes, at, 2);
      const size = numberAt(this.bytes, at + 8, 2);
      if (address === 0n && size === 0n) return out;
      out.push({ address, size });
    }
  }

  propertyName(header: Header, offset: number, at: number): string {
    const known = this.#names.get(offset);
    if (known !== undefined) return known;
    const start = header.strings + offset;
    if (start >= header.stringsEnd) {
      throw this.error('FDT-NAME', `property name offset ${hex(offset)} lies outside the strings block`, at);
    }
    const end = this.bytes.indexOf(0, start);
    if (end < 0 || end >= header.stringsEnd) {
      throw this.error('FDT-NAME', 'a property name has no end inside the strings block', start);
    }
    // Names may share tails, but a strings block in which every byte begins a long name would make
    // the tree quadratically larger than the blob.
    this.#nameBytes += end - start;
    if (this.#nameBytes > 16 * this.bytes.length + 2 ** 20) {
      throw this.error('FDT-NAME', 'the property names overlap without measure', start);
    }
    const name = this.text(start, end);
    this.#names.set(offset, name);
    return name;
  }
}

/**
 * Reads a blob.
 * @param name shown in diagnostics.
 * @throws InputError with the byte offset at fault.
 */
export function readDtb(bytes: Uint8Array, name = '<blob>'): DeviceTree {
  const reader = new Reader(bytes, name);
  const header = reader.header();
  const memreserve = reader.reservations(header);
  const fullPaths = header.version < 16;
  const end = header.structureEnd;

  interface Open {
    readonly node: DtNode;
    readonly path: string;
    readonly childNames: Set<string>;
  }
  const open: Open[] = [];
  let root: DtNode | undefined;
  let at = header.structure;
  for (;;) {
    const tokenAt = at;
    if (at + 4 > end) {
      throw reader.error('FDT-STRUCTURE', 'the structure block ends without an END token', at);
    }
    const token = reader.u32(at, end, 'a token');
    at += 4;
    const top = open[open.length - 1];
    if (token === FDT_NOP) continue;
    if (token === FDT_BEGIN_NODE) {
      const nul = bytes.indexOf(0, at);
      if (nul < 0 || nul >= end) {
        throw reader.error('FDT-NAME', 'a node name has no end inside the structure block', at);
      }
      const written = reader.text(at, nul);
      if (top === undefined && root !== undefined) {
        throw reader.error('FDT-STRUCTURE', 'a second root node', tokenAt);
      }
      if (open.length >= DEEPEST) {
        throw reader.error('FDT-DEPTH', `nodes are nested more than ${DEEPEST} deep`, tokenAt);
      }
      const own = fullPaths ? lastComponent(written, top?.path) : written;
      if (own === undefined) {
        throw reader.error('FDT-NAME', `the node name '${written}' does not continue its parent's path`, at);
      }
      if (top !== undefined && (own === '' || own.includes('/'))) {
        throw reader.error('FDT-NAME', `'${own}' is no node name`, at);
      }
      const node = new DtNode(own, top?.node);
      if (top === undefined) root = node;
      else {
        if (top.childNames.has(own)) {
          throw reader.error('FDT-DUPLICATE', `a second node named '${own}' in one parent`, at);
        }
        top.childNames.add(own);
        top.node.children.push(node);
      }
      open.push({ node, path: fullPaths ? written : '', childNames: new Set() });
      at = align(nul + 1, 4);
    } else if (token === FDT_END_NODE) {
      if (top === undefined) {
        throw reader.error('FDT-STRUCTURE', 'an END_NODE token outside of any node', tokenAt);
      }
      open.pop();
    } else if (token === FDT_PROP) {
      if (top === undefined) {
        throw reader.error('FDT-STRUCTURE', 'a property outside of any node', tokenAt);
      }
      if (at + 8 > end) {
        throw reader.error('FDT-STRUCTURE', 'the structure block ends inside a property', tokenAt);
      }
      const length = reader.u32(at, end, 'a property length');
      const key = reader.propertyName(header, reader.u32(at + 4, end, 'a property name'), at + 4);
      at += 8;
      if (fullPaths && length >= 8) at = align(at, 8);
      if (length > end - at) {
        throw reader.error(
          'FDT-LENGTH',
          `property '${key}' claims ${length} bytes, but the structure block has ${Math.max(0, end - at)} left`,
          tokenAt + 4,
        );
      }
      if (top.node.properties.has(key)) {
        throw reader.error('FDT-DUPLICATE', `a second property named '${key}' in one node`, tokenAt);
      }
      top.node.properties.set(key, bytes.slice(at, at + length));
      at = align(at + length, 4);
    } else if (token === FDT_END) {
      if (open.length > 0) {
        throw reader.error('FDT-STRUCTURE', 'an END token inside a node', tokenAt);
      }
      if (root === undefined) throw reader.error('FDT-STRUCTURE', 'the blob has no root node', tokenAt);
      return { memreserve, bootCpuidPhys: header.bootCpuidPhys, root };
    } else {
      throw reader.error('FDT-TOKEN', `${hex(token)} is no structure token`, tokenAt);
    }
  }
}

/** The own name of a node that versions 1 to 3 name by full path. */
function lastComponent(path: string, parent: string | undefined): string | undefined {
  if (parent === undefined) return path === '/' ? '' : path;
  const prefix = parent === '' || parent === '/' ? '/' : `${parent}/`;
  return path.startsWith(prefix) ? path.slice(prefix.length) : undefined;
}

function align(at: number, to: number): number {
  return Math.ceil(at / to) * to;
}
