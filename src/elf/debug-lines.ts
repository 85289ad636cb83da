/**
 * Line information for debuggers: one DWARF 4 compilation unit for everything that was assembled.
 *
 * Just what gdb's `list`, `break FILE:LINE` and `step` need. Ref. DWARF 4, 6.2 (line number program),
 * 7.5 (units and abbreviations).
 */
import type { VA } from '../base/index.js';
import { ByteWriter } from './bytes.js';

export interface ImageLine {
  readonly address: VA;
  readonly file: string;
  readonly line: number;
}

const LANGUAGE_ASSEMBLER = 0x8001;

export interface DebugSections {
  readonly info: Uint8Array;
  readonly abbrev: Uint8Array;
  readonly line: Uint8Array;
}

/** `lines` in address order, with gaps between sections; undefined where there are none. */
export function debugSections(lines: readonly ImageLine[]): DebugSections | undefined {
  const sorted = [...lines].sort((x, y) => (x.address < y.address ? -1 : x.address > y.address ? 1 : 0));
  const first = sorted[0];
  const last = sorted.at(-1);
  if (first === undefined || last === undefined) return undefined;
  const abbrev = new ByteWriter();
  abbrev.u8(1, 0x11, 0); // DW_TAG_compile_unit, no children
  abbrev.u8(0x10, 0x17); // DW_AT_stmt_list, sec_offset
  abbrev.u8(0x11, 0x01); // DW_AT_low_pc, addr
  abbrev.u8(0x12, 0x07); // DW_AT_high_pc, data8
  abbrev.u8(0x03, 0x08); // DW_AT_name, string
  abbrev.u8(0x25, 0x08); // DW_AT_producer, string
  abbrev.u8(0x13, 0x05); // DW_AT_language, data2
  abbrev.u8(0, 0, 0);

  const info = new ByteWriter();
  info.u32(0);
  info.u16(4);
  info.u32(0);
  info.u8(8);
  info.u8(1);
  info.u32(0);
  info.u64(first.address);
  info.u64(last.address + 4n - first.address);
  info.text(first.file);
  info.text('mtemu asm');
  info.u16(LANGUAGE_ASSEMBLER);
  info.patch32(0, info.length - 4);
  return { info: info.take(), abbrev: abbrev.take(), line: lineProgram(sorted) };
}

function lineProgram(lines: readonly ImageLine[]): Uint8Array {
  const files = [...new Set(lines.map((l) => l.file))];
  const number = new Map(files.map((name, i) => [name, i + 1]));
  const out = new ByteWriter();
  out.u32(0);
  out.u16(4);
  const headerLength = out.length;
  out.u32(0);
  out.u8(4, 1, 1, 0xfb, 14, 13); // instruction length, operations, is_stmt, line base -5, range, opcode base
  out.u8(0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1);
  out.u8(0);
  for (const name of files) {
    out.text(name);
    out.u8(0, 0, 0);
  }
  out.u8(0);
  out.patch32(headerLength, out.length - headerLength - 4);

  let address = 0n;
  let line = 1;
  let file = 1;
  let open = false;
  const close = () => {
    out.u8(2, 1); // DW_LNS_advance_pc by one instruction
    out.u8(0, 1, 1); // DW_LNE_end_sequence
    open = false;
  };
  for (const entry of lines) {
    const distance = entry.address - address;
    if (open && (distance < 0n || distance > 256n || distance % 4n !== 0n)) close();
    if (!open) {
      out.u8(0, 9, 2); // DW_LNE_set_address
      out.u64(entry.address);
      line = 1;
      file = 1;
      open = true;
    } else {
      out.u8(2);
      out.uleb(distance / 4n);
    }
    address = entry.address;
    const wanted = number.get(entry.file)!;
    if (wanted !== file) {
      out.u8(4);
      out.uleb(BigInt(wanted));
      file = wanted;
    }
    if (entry.line !== line) {
      out.u8(3);
      out.sleb(entry.line - line);
      line = entry.line;
    }
    out.u8(1); // DW_LNS_copy
  }
  close();
  out.patch32(0, out.length - 4);
  return out.take();
}
