/**
 * Writes a linked program as a static ELF64 executable (ET_EXEC).
 *
 * Segments are aligned to 64 KiB, GNU ld's default for AArch64, so that the file runs under every
 * translation granule; file offsets equal addresses modulo that, so sections are copied, not moved.
 */
import type { VA } from '../base/index.js';
import { ByteWriter } from './bytes.js';
import { debugSections, type ImageLine } from './debug-lines.js';
import {
  BINDINGS,
  EM_AARCH64,
  ET,
  HEADER_SIZE,
  PF,
  PROGRAM_HEADER_SIZE,
  PT,
  SECTION_HEADER_SIZE,
  SHF,
  SHN_ABS,
  SHT,
  SYMBOL_SIZE,
  SYMBOL_TYPES,
  VISIBILITIES,
} from './format.js';

/** What is written: the assembler's `AssembledProgram` has this shape. */
export interface ImageSection {
  readonly name: string;
  readonly address: VA;
  /** Bytes; `bytes` is empty for `nobits`. */
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly alignment: number;
  readonly type: 'progbits' | 'nobits' | 'note' | 'init_array' | 'fini_array' | 'preinit_array';
  readonly entrySize: number;
  readonly flags: {
    readonly alloc: boolean;
    readonly write: boolean;
    readonly execute: boolean;
    readonly tls: boolean;
    readonly merge: boolean;
    readonly strings: boolean;
  };
}

export interface ImageSymbol {
  readonly name: string;
  readonly value: bigint;
  readonly size: bigint;
  readonly binding: keyof typeof BINDINGS;
  readonly type: 'notype' | 'object' | 'function' | 'tls' | 'file';
  readonly visibility: keyof typeof VISIBILITIES;
  readonly section: number | undefined;
}

export interface LinkedImage {
  readonly sections: readonly ImageSection[];
  readonly symbols: readonly ImageSymbol[];
  readonly entry: VA;
  readonly lineTable?: readonly ImageLine[];
}

const PAGE = 0x10000n;

interface Segment {
  readonly sections: ImageSection[];
  readonly write: boolean;
}

/** Sections in address order, split where writability changes, content follows zeros, or a hole is large. */
function segmentsOf(sections: readonly ImageSection[]): Segment[] {
  const loaded = sections
    .filter((s) => s.flags.alloc && s.size > 0 && !isThreadZeros(s))
    .sort((x, y) => (x.address < y.address ? -1 : x.address > y.address ? 1 : 0));
  const out: Segment[] = [];
  for (const s of loaded) {
    const segment = out.at(-1);
    const before = segment?.sections.at(-1);
    const joins =
      segment !== undefined &&
      before !== undefined &&
      segment.write === s.flags.write &&
      !(before.type === 'nobits' && s.type !== 'nobits') &&
      s.address - (before.address + BigInt(before.size)) < PAGE;
    if (joins) segment.sections.push(s);
    else out.push({ sections: [s], write: s.flags.write });
  }
  return out;
}

/** `.tbss`: part of each thread's block, not of the image. */
const isThreadZeros = (s: ImageSection) => s.flags.tls && s.type === 'nobits';

/** The executable file. */
export function toElf(image: LinkedImage): Uint8Array {
  const segments = segmentsOf(image.sections);
  const thread = image.sections.filter((s) => s.flags.alloc && s.flags.tls && s.size > 0);
  const notes = image.sections.filter((s) => s.flags.alloc && s.type === 'note' && s.size > 0);
  const headerCount = segments.length + 1 + (thread.length > 0 ? 1 : 0) + notes.length;
  const out = new ByteWriter();
  out.padTo(HEADER_SIZE + headerCount * PROGRAM_HEADER_SIZE);

  const offsets = new Map<ImageSection, number>();
  const loads = segments.map(({ sections, write }) => {
    const first = sections[0]!;
    const start = congruent(out.length, first.address);
    let fileEnd = start;
    for (const s of sections) {
      const offset = start + Number(s.address - first.address);
      offsets.set(s, s.type === 'nobits' ? fileEnd : offset);
      if (s.type === 'nobits') continue;
      out.padTo(offset);
      out.raw(s.bytes);
      fileEnd = out.length;
    }
    const last = sections.at(-1)!;
    const memorySize = last.address + BigInt(last.size) - first.address;
    const execute = sections.some((s) => s.flags.execute);
    const flags = PF.read | (write ? PF.write : 0) | (execute ? PF.execute : 0);
    return {
      type: PT.load,
      flags,
      offset: start,
      address: first.address,
      fileSize: fileEnd - start,
      memorySize,
      align: PAGE,
    };
  });
  const headers: Header[] = [...loads];
  for (const note of notes) {
    const type = note.name === '.note.gnu.property' ? PT.gnuProperty : PT.note;
    headers.push(spanning(type, [note], offsets));
  }
  if (thread.length > 0) {
    for (const s of thread) if (!offsets.has(s)) offsets.set(s, offsets.get(thread[0]!) ?? out.length);
    headers.push(spanning(PT.tls, thread, offsets));
  }
  const stack: Header = {
    type: PT.gnuStack,
    flags: PF.read | PF.write,
    offset: 0,
    address: 0n,
    fileSize: 0,
    memorySize: 0n,
    align: 16n,
  };
  headers.push(stack);

  const table = sectionTable(image, offsets, out);
  const file = out.take();
  writeHeaders(file, image.entry, headers, table);
  return file;
}

/** The first offset from `from` that equals `address` modulo the page. */
function congruent(from: number, address: bigint): number {
  const wanted = Number(address % PAGE);
  const page = Number(PAGE);
  const offset = Math.floor(from / page) * page + wanted;
  return offset >= from ? offset : offset + page;
}

interface Header {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: bigint;
  readonly fileSize: number;
  readonly memorySize: bigint;
  readonly align: bigint;
}

function spanning(
  type: number,
  sections: readonly ImageSection[],
  offsets: ReadonlyMap<ImageSection, number>,
): Header {
  const first = sections[0]!;
  const end = sections.reduce((most, s) => {
    const to = s.address + BigInt(s.size);
    return to > most ? to : most;
  }, first.address as bigint);
  const content = sections.filter((s) => s.type !== 'nobits');
  const last = content.at(-1);
  const fileSize = last === undefined ? 0n : last.address + BigInt(last.size) - first.address;
  const align = sections.reduce((most, s) => Math.max(most, s.alignment), 1);
  return {
    type,
    flags: PF.read,
    offset: offsets.get(first) ?? 0,
    address: first.address,
    fileSize: Number(fileSize),
    memorySize: end - first.address,
    align: BigInt(align),
  };
}

interface SectionTable {
  readonly offset: number;
  readonly count: number;
  readonly names: number;
}

interface SectionHeader {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly address: bigint;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly align: number;
  readonly entrySize: number;
}

/** Appends symbols, names, debug sections and the section headers. */
function sectionTable(
  image: LinkedImage,
  offsets: ReadonlyMap<ImageSection, number>,
  out: ByteWriter,
): SectionTable {
  const headers: SectionHeader[] = [];
  const append = (
    name: string,
    type: number,
    bytes: Uint8Array,
    align: number,
    more: Partial<SectionHeader> = {},
  ) => {
    out.align(align);
    headers.push({
      name,
      type,
      flags: 0,
      address: 0n,
      offset: out.length,
      size: bytes.length,
      link: 0,
      info: 0,
      align,
      entrySize: 0,
      ...more,
    });
    out.raw(bytes);
  };
  for (const s of image.sections) {
    const flags = flagsOf(s);
    const type = SHT[s.type];
    if (!s.flags.alloc || !offsets.has(s)) {
      const common = { flags, address: s.flags.alloc ? s.address : 0n, entrySize: s.entrySize };
      if (s.type === 'nobits')
        append(s.name, type, new Uint8Array(0), s.alignment, { ...common, size: s.size });
      else append(s.name, type, s.bytes, s.alignment, common);
      continue;
    }
    headers.push({
      name: s.name,
      type,
      flags,
      address: s.address,
      offset: offsets.get(s)!,
      size: s.size,
      link: 0,
      info: 0,
      align: s.alignment,
      entrySize: s.entrySize,
    });
  }
  const debug = image.sections.some((s) => s.name.startsWith('.debug_'))
    ? undefined
    : debugSections(image.lineTable ?? []);
  if (debug !== undefined) {
    append('.debug_info', SHT.progbits, debug.info, 1);
    append('.debug_abbrev', SHT.progbits, debug.abbrev, 1);
    append('.debug_line', SHT.progbits, debug.line, 1);
  }
  const { symbols, strings, locals } = symbolTable(image.symbols);
  append('.symtab', SHT.symtab, symbols, 8, {
    link: headers.length + 2,
    info: locals,
    entrySize: SYMBOL_SIZE,
  });
  append('.strtab', SHT.strtab, strings, 1);
  const names = new ByteWriter();
  names.u8(0);
  const nameOffsets = [...headers.map((h) => h.name), '.shstrtab'].map((name) => {
    const at = names.length;
    names.text(name);
    return at;
  });
  append('.shstrtab', SHT.strtab, names.take(), 1);

  out.align(8);
  const offset = out.length;
  out.padTo(offset + SECTION_HEADER_SIZE);
  headers.forEach((h, i) => {
    out.u32(nameOffsets[i]!);
    out.u32(h.type);
    out.u64(h.flags);
    out.u64(h.address);
    out.u64(h.offset);
    out.u64(h.size);
    out.u32(h.link);
    out.u32(h.info);
    out.u64(h.align);
    out.u64(h.entrySize);
  });
  return { offset, count: headers.length + 1, names: headers.length };
}

function flagsOf(s: ImageSection): number {
  return (
    (s.flags.write ? SHF.write : 0) |
    (s.flags.alloc ? SHF.alloc : 0) |
    (s.flags.execute ? SHF.execute : 0) |
    (s.flags.merge ? SHF.merge : 0) |
    (s.flags.strings ? SHF.strings : 0) |
    (s.flags.tls ? SHF.tls : 0)
  );
}

/** Locals come first, as the format wants it. */
function symbolTable(all: readonly ImageSymbol[]): {
  symbols: Uint8Array;
  strings: Uint8Array;
  locals: number;
} {
  const symbols = new ByteWriter();
  const strings = new ByteWriter();
  const known = new Map<string, number>();
  symbols.padTo(SYMBOL_SIZE);
  strings.u8(0);
  const nameOffset = (name: string) => {
    let at = known.get(name);
    if (at === undefined) {
      at = strings.length;
      strings.text(name);
      known.set(name, at);
    }
    return at;
  };
  const local = all.filter((s) => s.binding === 'local');
  for (const s of [...local, ...all.filter((x) => x.binding !== 'local')]) {
    symbols.u32(nameOffset(s.name));
    symbols.u8((BINDINGS[s.binding] << 4) | SYMBOL_TYPES[s.type], VISIBILITIES[s.visibility]);
    symbols.u16(s.section === undefined ? SHN_ABS : s.section + 1);
    symbols.u64(s.value);
    symbols.u64(s.size);
  }
  return { symbols: symbols.take(), strings: strings.take(), locals: local.length + 1 };
}

function writeHeaders(
  file: Uint8Array,
  entry: bigint,
  headers: readonly Header[],
  table: SectionTable,
): void {
  const out = new ByteWriter();
  out.u8(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0);
  out.u64(0);
  out.u16(ET.exec);
  out.u16(EM_AARCH64);
  out.u32(1);
  out.u64(entry);
  out.u64(HEADER_SIZE);
  out.u64(table.offset);
  out.u32(0);
  out.u16(HEADER_SIZE);
  out.u16(PROGRAM_HEADER_SIZE);
  out.u16(headers.length);
  out.u16(SECTION_HEADER_SIZE);
  out.u16(table.count);
  out.u16(table.names);
  for (const h of headers) {
    out.u32(h.type);
    out.u32(h.flags);
    out.u64(h.offset);
    out.u64(h.address);
    out.u64(h.address);
    out.u64(h.fileSize);
    out.u64(h.memorySize);
    out.u64(h.align);
  }
  file.set(out.take(), 0);
}
