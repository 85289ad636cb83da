/**
 * What assembling gives: sections at their addresses, symbols, the entry point, a line table.
 *
 * The flat forms are made here; the ELF form is `toElf` of `src/elf`, which takes this shape.
 */
import { type Diagnostic, inputError, VA } from '../base/index.js';

export interface ProgramSection {
  readonly name: string;
  readonly address: VA;
  /** Bytes; of `.bss`-like sections there is no content, only size. */
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

export interface ProgramSymbol {
  readonly name: string;
  readonly value: bigint;
  /** Bytes, as `.size` says; 0 where nothing does. */
  readonly size: bigint;
  readonly binding: 'local' | 'global' | 'weak';
  readonly type: 'notype' | 'object' | 'function' | 'tls' | 'file';
  readonly visibility: 'default' | 'hidden' | 'protected' | 'internal';
  /** Index into the program's sections; undefined for plain numbers. */
  readonly section: number | undefined;
}

export interface LineEntry {
  readonly address: VA;
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

export interface AssembledProgram {
  readonly sections: readonly ProgramSection[];
  readonly symbols: readonly ProgramSymbol[];
  readonly entry: VA;
  /** One entry an instruction, in address order inside each section. */
  readonly lineTable: readonly LineEntry[];
  readonly warnings: readonly Diagnostic[];
}

/** Beyond this a flat image is a mistake, not a program. */
const MAX_FLAT = 256 * 1024 * 1024;

/**
 * The memory image from `base` (default: the lowest section's address) to the last byte of content,
 * gaps zeroed. Throws InputError (ASM-FLAT) where a section lies below `base` or the image is huge.
 */
export function toFlat(program: AssembledProgram, base?: VA): Uint8Array {
  const loaded = program.sections.filter((s) => s.flags.alloc && s.type !== 'nobits' && s.size > 0);
  const lowest = loaded.reduce<VA | undefined>(
    (low, s) => (low === undefined || s.address < low ? s.address : low),
    undefined,
  );
  const from = base ?? lowest ?? VA(0n);
  const to = loaded.reduce<bigint>((high, s) => {
    const end = s.address + BigInt(s.size);
    return end > high ? end : high;
  }, from);
  if (lowest !== undefined && lowest < from) {
    throw inputError('ASM-FLAT', `a section lies below the base address 0x${from.toString(16)}`);
  }
  if (to - from > BigInt(MAX_FLAT)) {
    throw inputError('ASM-FLAT', `a flat image would take ${to - from} bytes: sections lie too far apart`);
  }
  const image = new Uint8Array(Number(to - from));
  for (const s of loaded) image.set(s.bytes, Number(s.address - from));
  return image;
}

/** The flat image as one 8-digit lower-case little-endian word a line; the last word is zero-padded. */
export function toHex(program: AssembledProgram): string {
  const image = toFlat(program);
  const lines: string[] = [];
  for (let at = 0; at < image.length; at += 4) {
    const word =
      image[at]! | ((image[at + 1] ?? 0) << 8) | ((image[at + 2] ?? 0) << 16) | ((image[at + 3] ?? 0) << 24);
    lines.push((word >>> 0).toString(16).padStart(8, '0'));
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}
