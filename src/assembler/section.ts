/**
 * A section while it is filled: bytes, alignment, and marks of what is code and what is data.
 *
 * Offsets are numbers of bytes from the section's start. Sections without contents (`.bss`) only
 * count. The marks become `$x` and `$d` mapping symbols (ELF for the Arm 64-bit Architecture, 4.5.4),
 * which is how objdump and our disassembler tell a literal pool from code.
 */
import { LiteralPool } from './literal-pool.js';

export interface SectionFlags {
  readonly alloc: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  readonly tls: boolean;
  /** `M` and `S`: mergeable, of strings; kept for the section header only. */
  readonly merge: boolean;
  readonly strings: boolean;
}

export type SectionType = 'progbits' | 'nobits' | 'note' | 'init_array' | 'fini_array' | 'preinit_array';

export class Section {
  readonly name: string;
  readonly flags: SectionFlags;
  readonly type: SectionType;
  /** Bytes of one element of a mergeable section. */
  readonly entrySize: number;
  /**
   * A compiler's DWARF: what we keep of it is `.loc`; its tables want relaxation of forward LEB128s,
   * and the line table is written anew.
   */
  readonly discarded: boolean;
  alignment = 1;
  size = 0;
  bytes = new Uint8Array(0);
  /** Set when sections are laid out. */
  address = 0n;
  readonly marks: { readonly offset: number; readonly kind: 'x' | 'd' }[] = [];
  /** For the line table: offset, file index and line, three numbers an entry. */
  readonly lines: number[] = [];
  readonly pool = new LiteralPool();

  constructor(name: string, flags: SectionFlags, type: SectionType, entrySize: number) {
    this.name = name;
    this.flags = flags;
    this.type = type;
    this.entrySize = entrySize;
    this.discarded = name.startsWith('.debug_');
  }

  /** Makes room for `count` more bytes, zeroed, and gives their offset. */
  reserve(count: number): number {
    const at = this.size;
    this.size += count;
    if (this.type !== 'nobits' && this.size > this.bytes.length) {
      const bigger = new Uint8Array(Math.max(this.size, this.bytes.length * 2, 256));
      bigger.set(this.bytes.subarray(0, at));
      this.bytes = bigger;
    }
    return at;
  }

  mark(kind: 'x' | 'd'): void {
    const last = this.marks.at(-1);
    if (last?.kind === kind) return;
    if (last?.offset === this.size) this.marks.pop();
    if (this.marks.at(-1)?.kind !== kind) this.marks.push({ offset: this.size, kind });
  }

  /** Stores the low `size` bytes of `value`, little-endian. */
  put(offset: number, size: number, value: bigint): void {
    let rest = value;
    for (let i = 0; i < size; i++) {
      this.bytes[offset + i] = Number(rest & 0xffn);
      rest >>= 8n;
    }
  }

  putWord(offset: number, word: number): void {
    const { bytes } = this;
    bytes[offset] = word;
    bytes[offset + 1] = word >>> 8;
    bytes[offset + 2] = word >>> 16;
    bytes[offset + 3] = word >>> 24;
  }
}

const NONE: SectionFlags = {
  alloc: false,
  write: false,
  execute: false,
  tls: false,
  merge: false,
  strings: false,
};

/** The flags that a section's name implies where none are given (GNU as, ELF ".section"). */
export function impliedFlags(name: string): { flags: SectionFlags; type: SectionType } {
  const family = (prefix: string) => name === prefix || name.startsWith(`${prefix}.`);
  const alloc = { ...NONE, alloc: true };
  if (family('.text') || name === '.init' || name === '.fini' || name === '.plt') {
    return { flags: { ...alloc, execute: true }, type: 'progbits' };
  }
  if (family('.rodata')) return { flags: alloc, type: 'progbits' };
  if (family('.data')) return { flags: { ...alloc, write: true }, type: 'progbits' };
  if (family('.bss')) return { flags: { ...alloc, write: true }, type: 'nobits' };
  if (family('.tdata')) return { flags: { ...alloc, write: true, tls: true }, type: 'progbits' };
  if (family('.tbss')) return { flags: { ...alloc, write: true, tls: true }, type: 'nobits' };
  if (family('.init_array')) return { flags: { ...alloc, write: true }, type: 'init_array' };
  if (family('.fini_array')) return { flags: { ...alloc, write: true }, type: 'fini_array' };
  if (family('.preinit_array')) return { flags: { ...alloc, write: true }, type: 'preinit_array' };
  if (family('.note')) return { flags: NONE, type: 'note' };
  return { flags: NONE, type: 'progbits' };
}
