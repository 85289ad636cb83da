/**
 * Reads static AArch64 executables: ELF64, little-endian, ET_EXEC or static-PIE ET_DYN.
 *
 * Nothing in the file is believed: every offset, size and count is checked against the file before it
 * is used, and what a loader could not honour (overlapping segments, sizes beyond the address space,
 * an interpreter) is refused with its place in the file.
 */
import { hex, inputError, VA } from '../base/index.js';
import {
  BINDINGS,
  EM_AARCH64,
  ET,
  FEATURE_1,
  GNU_PROPERTY_AARCH64_FEATURE_1_AND,
  HEADER_SIZE,
  NT_GNU_PROPERTY_TYPE_0,
  PF,
  PROGRAM_HEADER_SIZE,
  PT,
  SECTION_HEADER_SIZE,
  SHF,
  SHT,
  SYMBOL_SIZE,
  SYMBOL_TYPES,
} from './format.js';
import { type ElfSymbol, SymbolIndex } from './symbols.js';

/** A PT_LOAD segment. */
export interface ElfSegment {
  readonly address: VA;
  /** p_paddr: where a loader without translation puts it. */
  readonly physicalAddress: bigint;
  /** Bytes in memory; from `bytes.length` on they are zero. */
  readonly memorySize: bigint;
  readonly bytes: Uint8Array;
  readonly fileOffset: bigint;
  readonly alignment: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
}

/** PT_TLS: the initial image of thread-local storage. */
export interface ElfThreadLocal {
  readonly address: VA;
  readonly memorySize: bigint;
  readonly bytes: Uint8Array;
  readonly alignment: bigint;
}

export interface ElfSection {
  readonly name: string;
  /** The number of the type, `SHT_...`. */
  readonly type: number;
  readonly flags: bigint;
  readonly address: VA;
  readonly size: bigint;
  /** The contents; empty for SHT_NOBITS. */
  readonly bytes: Uint8Array;
  readonly link: number;
  readonly entrySize: bigint;
}

export interface ElfFile {
  readonly name: string;
  readonly type: 'exec' | 'static-pie';
  readonly entry: VA;
  /** In address order; not overlapping. */
  readonly segments: readonly ElfSegment[];
  readonly threadLocal: ElfThreadLocal | undefined;
  /** The program headers as the auxiliary vector describes them (AT_PHDR, AT_PHNUM, AT_PHENT). */
  readonly programHeaders: {
    readonly address: VA | undefined;
    readonly count: number;
    readonly size: number;
  };
  /** From PT_GNU_STACK; true where the file does not say. */
  readonly stackExecutable: boolean;
  /** From PT_GNU_PROPERTY. */
  readonly properties: { readonly bti: boolean; readonly pac: boolean };
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
  /** The symbol that covers `address`, and how far into it. */
  symbolAt(address: bigint): { readonly name: string; readonly offset: bigint } | undefined;
}

/** Whether the bytes begin as an ELF file does. */
export function isElf(bytes: Uint8Array): boolean {
  return (
    bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46
  );
}

/** Virtual addresses have 48 bits without FEAT_LVA. */
const ADDRESS_LIMIT = 1n << 48n;
/** Where the MMU is off when a program is loaded, what it is linked at is its own affair. */
const ANY_ADDRESS = 1n << 64n;

export interface ReadElfOptions {
  /** `any`: virtual addresses may be a kernel's, at the top of 64 bits. Default `user`: they have 48 bits. */
  readonly addresses?: 'user' | 'any';
}
/** More program headers than this come from no linker. */
const MAX_PROGRAM_HEADERS = 512;

const MACHINES: Readonly<Record<number, string>> = {
  3: 'x86',
  8: 'MIPS',
  20: 'PowerPC',
  21: 'PowerPC64',
  22: 'S/390',
  40: '32-bit Arm',
  62: 'x86-64',
  243: 'RISC-V',
  258: 'LoongArch',
};

/** Checked access to the file's bytes. */
class Bytes {
  readonly name: string;
  readonly view: DataView;
  readonly bytes: Uint8Array;

  constructor(name: string, bytes: Uint8Array) {
    this.name = name;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  fail(code: string, message: string, offset: number, help?: string): never {
    throw inputError(code, message, { file: this.name, offset, ...(help === undefined ? {} : { help }) });
  }

  /** The stretch as numbers, if it lies in the file. Nothing lies anywhere: a bss segment's offset may be past the end. */
  slice(what: string, offset: bigint, size: bigint, at: number): Uint8Array {
    const length = BigInt(this.bytes.length);
    if (size === 0n) return this.bytes.subarray(0, 0);
    if (offset > length || size > length - offset) {
      this.fail(
        'ELF-TRUNCATED',
        `${what} (${size} bytes at ${hex(offset)}) lies beyond the end of the file (${hex(length)})`,
        at,
      );
    }
    return this.bytes.subarray(Number(offset), Number(offset + size));
  }

  u16(at: number): number {
    return this.view.getUint16(at, true);
  }
  u32(at: number): number {
    return this.view.getUint32(at, true);
  }
  u64(at: number): bigint {
    return this.view.getBigUint64(at, true);
  }
}

/** Reads a file. Throws InputError (ELF-...) for anything but a static AArch64 executable. */
export function readElf(bytes: Uint8Array, name: string, options: ReadElfOptions = {}): ElfFile {
  const file = new Bytes(name, bytes);
  const type = checkHeader(file);
  const headers = programHeaders(file);
  const segments = loadSegments(file, headers, options.addresses === 'any' ? ANY_ADDRESS : ADDRESS_LIMIT);
  const entry = file.u64(24);
  checkEntry(file, entry, segments);
  const sections = readSections(file);
  const symbols = readSymbols(file, sections);
  const index = new SymbolIndex(symbols);
  return {
    name,
    type,
    entry: VA(entry),
    segments,
    threadLocal: threadLocal(file, headers),
    programHeaders: {
      address: headersAddress(file, headers, segments),
      count: headers.length,
      size: PROGRAM_HEADER_SIZE,
    },
    stackExecutable: headers.find((h) => h.type === PT.gnuStack)?.execute ?? true,
    properties: gnuProperties(file, headers),
    sections,
    symbols,
    symbolAt: (address) => index.at(address),
  };
}

function checkHeader(file: Bytes): ElfFile['type'] {
  const { bytes } = file;
  if (!isElf(bytes)) file.fail('ELF-MAGIC', 'this is not an ELF file', 0);
  if (bytes.length < HEADER_SIZE) {
    file.fail(
      'ELF-TRUNCATED',
      `the file has ${bytes.length} bytes, less than an ELF header (64)`,
      bytes.length,
    );
  }
  if (bytes[4] === 1) file.fail('ELF-CLASS', 'this is a 32-bit ELF file; a 64-bit one is needed', 4);
  if (bytes[4] !== 2) file.fail('ELF-CLASS', `unknown ELF class ${bytes[4]}`, 4);
  if (bytes[5] === 2)
    file.fail('ELF-ENDIAN', 'this is a big-endian ELF file; a little-endian one is needed', 5);
  if (bytes[5] !== 1) file.fail('ELF-ENDIAN', `unknown ELF byte order ${bytes[5]}`, 5);
  if (bytes[6] !== 1 || file.u32(20) !== 1) file.fail('ELF-VERSION', 'unknown ELF version', 6);
  const machine = file.u16(18);
  if (machine !== EM_AARCH64) {
    const known = MACHINES[machine];
    const whose = known === undefined ? `machine number ${machine}` : known;
    file.fail('ELF-MACHINE', `this ELF file is for ${whose}, not for AArch64`, 18);
  }
  const type = file.u16(16);
  if (type === ET.exec) return 'exec';
  if (type === ET.dyn) return 'static-pie';
  if (type === ET.rel) {
    file.fail(
      'ELF-TYPE',
      'this is an object file, not an executable',
      16,
      'link it: aarch64-linux-gnu-ld -static',
    );
  }
  return file.fail(
    'ELF-TYPE',
    type === ET.core ? 'this is a core dump' : `unknown ELF file type ${type}`,
    16,
  );
}

interface ProgramHeader {
  /** Where the header itself lies in the file. */
  readonly at: number;
  readonly type: number;
  readonly execute: boolean;
  readonly flags: number;
  readonly offset: bigint;
  readonly address: bigint;
  readonly physicalAddress: bigint;
  readonly fileSize: bigint;
  readonly memorySize: bigint;
  readonly alignment: bigint;
}

function programHeaders(file: Bytes): ProgramHeader[] {
  const offset = file.u64(32);
  const size = file.u16(54);
  const count = file.u16(56);
  if (count === 0) {
    file.fail('ELF-SEGMENTS', 'the file has no program headers: there is nothing to load', 56);
  }
  if (size !== PROGRAM_HEADER_SIZE) {
    file.fail('ELF-SEGMENTS', `program headers have ${size} bytes, not ${PROGRAM_HEADER_SIZE}`, 54);
  }
  if (count > MAX_PROGRAM_HEADERS) {
    file.fail('ELF-SEGMENTS', `${count} program headers, more than ${MAX_PROGRAM_HEADERS}`, 56);
  }
  file.slice('the program header table', offset, BigInt(count * size), 32);
  const out: ProgramHeader[] = [];
  for (let i = 0; i < count; i++) {
    const at = Number(offset) + i * size;
    const flags = file.u32(at + 4);
    const header: ProgramHeader = {
      at,
      type: file.u32(at),
      flags,
      execute: (flags & PF.execute) !== 0,
      offset: file.u64(at + 8),
      address: file.u64(at + 16),
      physicalAddress: file.u64(at + 24),
      fileSize: file.u64(at + 32),
      memorySize: file.u64(at + 40),
      alignment: file.u64(at + 48),
    };
    if (header.type === PT.interp) refuseInterpreter(file, header);
    out.push(header);
  }
  return out;
}

function refuseInterpreter(file: Bytes, header: ProgramHeader): never {
  const path = file.slice('the name of the interpreter', header.offset, header.fileSize, header.at);
  const end = path.indexOf(0);
  const shown = new TextDecoder().decode(path.subarray(0, Math.min(end < 0 ? path.length : end, 100)));
  return file.fail(
    'ELF-DYNAMIC',
    `the program is dynamically linked (it needs ${JSON.stringify(shown)})`,
    header.at,
    'link it with -static or -static-pie',
  );
}

function loadSegments(file: Bytes, headers: readonly ProgramHeader[], limit: bigint): ElfSegment[] {
  const loads = headers.filter((h) => h.type === PT.load && h.memorySize > 0n);
  if (loads.length === 0) file.fail('ELF-SEGMENTS', 'the file has no segment to load', 56);
  for (const h of loads) {
    const name = `the segment at ${hex(h.address)}`;
    if (h.fileSize > h.memorySize) {
      file.fail('ELF-SEGMENTS', `${name} has more bytes in the file than in memory`, h.at + 32);
    }
    if (h.memorySize > ADDRESS_LIMIT || h.address > limit - h.memorySize) {
      file.fail(
        'ELF-SEGMENTS',
        `${name} (${hex(h.memorySize)} bytes) does not fit in ${limit === ANY_ADDRESS ? 64 : 48}-bit addresses`,
        h.at + 16,
      );
    }
    if (h.alignment > 1n && (h.alignment & (h.alignment - 1n)) !== 0n) {
      file.fail('ELF-SEGMENTS', `${name} has alignment ${hex(h.alignment)}, not a power of two`, h.at + 48);
    }
    if (h.alignment > 1n && h.fileSize > 0n && h.address % h.alignment !== h.offset % h.alignment) {
      file.fail(
        'ELF-SEGMENTS',
        `${name} and its file offset ${hex(h.offset)} differ modulo the alignment ${hex(h.alignment)}`,
        h.at + 8,
      );
    }
  }
  const sorted = [...loads].sort((x, y) => (x.address < y.address ? -1 : x.address > y.address ? 1 : 0));
  sorted.forEach((h, i) => {
    const before = sorted[i - 1];
    if (before !== undefined && before.address + before.memorySize > h.address) {
      file.fail(
        'ELF-SEGMENTS',
        `the segments at ${hex(before.address)} and ${hex(h.address)} overlap`,
        h.at + 16,
      );
    }
  });
  return sorted.map((h) => ({
    address: VA(h.address),
    physicalAddress: h.physicalAddress,
    memorySize: h.memorySize,
    bytes: file.slice(`the segment at ${hex(h.address)}`, h.offset, h.fileSize, h.at + 8),
    fileOffset: h.offset,
    alignment: h.alignment,
    read: (h.flags & PF.read) !== 0,
    write: (h.flags & PF.write) !== 0,
    execute: h.execute,
  }));
}

function checkEntry(file: Bytes, entry: bigint, segments: readonly ElfSegment[]): void {
  const home = segments.find((s) => entry >= s.address && entry < s.address + s.memorySize);
  if (home === undefined) file.fail('ELF-ENTRY', `the entry point ${hex(entry)} lies in no segment`, 24);
  if (!home.execute) file.fail('ELF-ENTRY', `the entry point ${hex(entry)} is not executable`, 24);
  if (entry % 4n !== 0n) file.fail('ELF-ENTRY', `the entry point ${hex(entry)} is not word-aligned`, 24);
}

function threadLocal(file: Bytes, headers: readonly ProgramHeader[]): ElfThreadLocal | undefined {
  const h = headers.find((header) => header.type === PT.tls);
  if (h === undefined) return undefined;
  if (h.fileSize > h.memorySize || h.memorySize > ADDRESS_LIMIT) {
    file.fail('ELF-SEGMENTS', 'the thread-local segment has impossible sizes', h.at + 32);
  }
  if (h.alignment > 1n && ((h.alignment & (h.alignment - 1n)) !== 0n || h.alignment > 0x10000n)) {
    file.fail('ELF-SEGMENTS', `the thread-local segment has alignment ${hex(h.alignment)}`, h.at + 48);
  }
  return {
    address: VA(h.address),
    memorySize: h.memorySize,
    bytes: file.slice('the thread-local segment', h.offset, h.fileSize, h.at + 8),
    alignment: h.alignment,
  };
}

/** Where the loaded image holds the program headers, if it does. */
function headersAddress(
  file: Bytes,
  headers: readonly ProgramHeader[],
  segments: readonly ElfSegment[],
): VA | undefined {
  const own = headers.find((h) => h.type === PT.phdr);
  if (own !== undefined) return VA(own.address);
  const offset = file.u64(32);
  const end = offset + BigInt(headers.length * PROGRAM_HEADER_SIZE);
  const home = segments.find((s) => offset >= s.fileOffset && end <= s.fileOffset + BigInt(s.bytes.length));
  return home === undefined ? undefined : VA(home.address + offset - home.fileOffset);
}

/** BTI and PAC as the whole program promises them (AAELF64, "Program Property"). */
function gnuProperties(file: Bytes, headers: readonly ProgramHeader[]): { bti: boolean; pac: boolean } {
  let features = 0;
  for (const h of headers) {
    if (h.type !== PT.gnuProperty) continue;
    const note = file.slice('the property note', h.offset, h.fileSize, h.at + 8);
    const view = new DataView(note.buffer, note.byteOffset, note.byteLength);
    for (let at = 0; at + 12 <= note.length; ) {
      const nameSize = view.getUint32(at, true);
      const size = view.getUint32(at + 4, true);
      const type = view.getUint32(at + 8, true);
      const start = at + 12 + alignUp(nameSize, 4);
      const end = start + size;
      if (end > note.length)
        file.fail('ELF-NOTE', 'the property note runs beyond its segment', Number(h.offset) + at);
      if (type === NT_GNU_PROPERTY_TYPE_0) {
        for (let p = start; p + 8 <= end; ) {
          const kind = view.getUint32(p, true);
          const length = view.getUint32(p + 4, true);
          if (p + 8 + length > end)
            file.fail('ELF-NOTE', 'a program property runs beyond its note', Number(h.offset) + p);
          if (kind === GNU_PROPERTY_AARCH64_FEATURE_1_AND && length === 4)
            features |= view.getUint32(p + 8, true);
          p += 8 + alignUp(length, 8);
        }
      }
      at = alignUp(end, 8);
    }
  }
  return { bti: (features & FEATURE_1.bti) !== 0, pac: (features & FEATURE_1.pac) !== 0 };
}

const alignUp = (value: number, alignment: number) => Math.ceil(value / alignment) * alignment;

function readSections(file: Bytes): ElfSection[] {
  const offset = file.u64(40);
  const size = file.u16(58);
  const count = file.u16(60);
  const names = file.u16(62);
  if (offset === 0n || count === 0) return [];
  if (size !== SECTION_HEADER_SIZE) {
    file.fail('ELF-SECTIONS', `section headers have ${size} bytes, not ${SECTION_HEADER_SIZE}`, 58);
  }
  file.slice('the section header table', offset, BigInt(count * size), 40);
  const headers = Array.from({ length: count }, (_, i) => {
    const at = Number(offset) + i * size;
    const type = file.u32(at + 4);
    const length = file.u64(at + 32);
    const bytes =
      type === SHT.nobits || type === SHT.null
        ? new Uint8Array(0)
        : file.slice(`section ${i}`, file.u64(at + 24), length, at + 24);
    return {
      at,
      nameOffset: file.u32(at),
      type,
      flags: file.u64(at + 8),
      address: VA(file.u64(at + 16)),
      size: length,
      bytes,
      link: file.u32(at + 40),
      entrySize: file.u64(at + 56),
    };
  });
  const strings = headers[names];
  if (strings === undefined) file.fail('ELF-SECTIONS', `there is no section ${names} with the names`, 62);
  return headers.map(({ at, nameOffset, ...rest }) => ({
    ...rest,
    name: stringAt(file, strings.bytes, nameOffset, at),
  }));
}

function stringAt(file: Bytes, table: Uint8Array, offset: number, at: number): string {
  if (offset === 0 && table.length === 0) return '';
  const end = table.indexOf(0, offset);
  if (offset >= table.length || end < 0) {
    file.fail('ELF-STRINGS', `a name at offset ${offset} lies beyond its string table`, at);
  }
  return decoder.decode(table.subarray(offset, end));
}

const decoder = new TextDecoder();
const TYPE_NAMES = new Map(
  Object.entries(SYMBOL_TYPES).map(([n, v]) => [v as number, n as keyof typeof SYMBOL_TYPES]),
);
const BINDING_NAMES = new Map(
  Object.entries(BINDINGS).map(([n, v]) => [v as number, n as keyof typeof BINDINGS]),
);

function readSymbols(file: Bytes, sections: readonly ElfSection[]): ElfSymbol[] {
  const table = sections.find((s) => s.type === SHT.symtab) ?? sections.find((s) => s.type === SHT.dynsym);
  if (table === undefined) return [];
  const at = table.bytes.byteOffset - file.bytes.byteOffset;
  if (table.entrySize !== BigInt(SYMBOL_SIZE)) {
    file.fail('ELF-SYMBOLS', `symbols have ${table.entrySize} bytes, not ${SYMBOL_SIZE}`, at);
  }
  const strings = sections[table.link];
  if (strings === undefined || strings.type !== SHT.strtab) {
    file.fail('ELF-SYMBOLS', `the symbol table's string table (section ${table.link}) is none`, at);
  }
  const out: ElfSymbol[] = [];
  const view = new DataView(table.bytes.buffer, table.bytes.byteOffset, table.bytes.byteLength);
  for (let i = SYMBOL_SIZE; i + SYMBOL_SIZE <= table.bytes.length; i += SYMBOL_SIZE) {
    const info = view.getUint8(i + 4);
    out.push({
      name: stringAt(file, strings.bytes, view.getUint32(i, true), at + i),
      type: TYPE_NAMES.get(info & 15) ?? 'other',
      binding: BINDING_NAMES.get(info >> 4) ?? 'other',
      section: view.getUint16(i + 6, true),
      value: view.getBigUint64(i + 8, true),
      size: view.getBigUint64(i + 16, true),
    });
  }
  return out;
}

/** Whether a section holds code that is loaded. */
export function isCode(section: ElfSection): boolean {
  const wanted = BigInt(SHF.alloc | SHF.execute);
  return (section.flags & wanted) === wanted && section.type !== SHT.nobits;
}
