/**
 * Records of the pages of instructions that have run, and what keeps them true.
 *
 * A page with records is watched (Dram.watchCode): no TLB entry writes it directly, and every other write
 * is reported here before it happens. A small write makes the touched records undecoded; a write of the
 * whole page, or many small ones, drop the page's records, after which it is ordinary memory again until
 * something in it is executed. Fetch TLB entries say where a page's records are, so that every
 * invalidation of a translation is one of its records too.
 *
 * The number of pages is bounded; beyond it all are dropped.
 */
import {
  CHUNK,
  type Cpu,
  type LinearMemory,
  type Machine,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TlbKind,
} from '../../machine/index.js';
import {
  cpuDistance,
  FIRST_FORM,
  Handler,
  HEAT_OFFSET,
  Heat,
  NO_RECORDS,
  PAGE_RECORD_BYTES,
  RECORD_BYTES,
} from './layout.js';
import type { Template, Templates } from './templates.js';
import type { Translation } from './translation.js';

const PAGE = 4096;
const INSTRUCTIONS = PAGE / 4;
/** Pages of records at most, over all CPUs: 32 MiB. */
const MOST_PAGES = 1024;
/** Writes to a page after which it is taken for data. */
const MOST_WRITES = 256;
/** Records decoded at once at most. */
const DECODE_AHEAD = 64;
/** Room for records is taken from the linear memory in pieces of this many chunks. */
const SLAB_CHUNKS = 16;

export interface CodePage {
  /** Physical address. */
  readonly pa: number;
  /** Host offset of the records of each CPU; 0 where it has none. */
  readonly records: number[];
  writes: number;
}

export class CodePages {
  readonly #machine: Machine;
  readonly #linear: LinearMemory;
  readonly #templates: Templates;
  readonly #pages = new Map<number, CodePage>();
  #recordPages = 0;
  readonly #free: number[] = [];
  /** Instructions decoded, for statistics. */
  decoded = 0;
  /** Told what has changed. */
  translation: Translation | undefined;

  constructor(machine: Machine, templates: Templates) {
    this.#machine = machine;
    this.#linear = machine.linear;
    this.#templates = templates;
    machine.dram.onCodeWritten((pa, bytes) => this.#written(pa, bytes));
  }

  /** The page's records for a CPU, made if need be. `pa` is in DRAM. Throws OutOfHostMemory. */
  recordsOf(cpu: Cpu, pa: number): number {
    const known = this.#pages.get(pa)?.records[cpu.index] ?? 0;
    if (known !== 0) return known;
    if (this.#recordPages >= MOST_PAGES) this.dropAll();
    let page = this.#pages.get(pa);
    const records = this.#take();
    if (page === undefined) {
      page = { pa, records: this.#machine.cpus.map(() => 0), writes: 0 };
      this.#pages.set(pa, page);
      this.#machine.dram.watchCode(pa);
      // A page that does not exist yet has no entries for writing.
      if (this.#machine.dram.isTouched(pa)) {
        const host = this.#machine.dram.hostForRead(pa);
        for (const other of this.#machine.cpus) other.mmu.tlb.dropWritesTo(host);
      }
    }
    this.#recordPages++;
    page.records[cpu.index] = records;
    const words = this.#linear.i32;
    const first = records >>> 2;
    words.fill(0, first, first + PAGE_RECORD_BYTES / 4);
    words[first + (INSTRUCTIONS * RECORD_BYTES) / 4] = Handler.pageEnd;
    const heat = (records + HEAT_OFFSET) >>> 2;
    words.fill(this.#coldHeat(page), heat, heat + INSTRUCTIONS);
    return records;
  }

  /** What is written again and again gets hot late. */
  #coldHeat(page: CodePage): number {
    const { translation } = this;
    return translation === undefined ? Heat.never : translation.hotAfter * (1 + page.writes);
  }

  /** The heat of instructions whose region is gone. `pa`: of the page. */
  cold(pa: number): number {
    const page = this.#pages.get(pa);
    return page === undefined ? Heat.never : this.#coldHeat(page);
  }

  /** Whether the instruction at `offset` of a page with these records was decoded: it may have run. */
  isDecoded(records: number, offset: number): boolean {
    return (this.#linear.u32[(records + offset * (RECORD_BYTES / 4)) >>> 2]! & 0xffff) !== Handler.undecoded;
  }

  /** Whether generated code does the instruction. `word`: unsigned 32 bits. */
  hasForm(word: number): boolean {
    return (this.#templates.get(word).words[0]! & 0xffff) >= FIRST_FORM;
  }

  /** Sets the heat of the instruction at `offset` of the page with these records. */
  setHeat(records: number, offset: number, heat: number): void {
    this.#linear.i32[(records + HEAT_OFFSET + offset) >>> 2] = heat;
  }

  #take(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const bytes = SLAB_CHUNKS * CHUNK;
    const slab = this.#linear.allocate(bytes);
    for (let at = 0; at + PAGE_RECORD_BYTES <= bytes; at += PAGE_RECORD_BYTES) this.#free.push(slab + at);
    return this.#free.pop()!;
  }

  /** Decodes from the instruction at `offset` in the page on, to the end of the block. */
  decode(cpu: Cpu, pa: number, offset: number): void {
    const records = this.#pages.get(pa)!.records[cpu.index]!;
    const words = this.#linear.u32;
    const host = this.#machine.dram.hostForRead(pa) >>> 2;
    const first = offset >>> 2;
    const end = Math.min(INSTRUCTIONS, first + DECODE_AHEAD);
    const isDecoded = (i: number) =>
      i >= 0 && (words[(records + i * RECORD_BYTES) >>> 2]! & 0xffff) !== Handler.undecoded;
    let before = isDecoded(first - 1) ? this.#templates.get(words[host + first - 1]!) : undefined;
    for (let i = first; i < end; i++) {
      const template = this.#templates.get(words[host + i]!);
      const known = isDecoded(i);
      if (!known) {
        this.#place(template, records, i * 4, cpuDistance(cpu.index));
        this.decoded++;
      }
      const pair = before === undefined ? undefined : this.#templates.pair(before, template);
      if (pair !== undefined) this.#linear.view.setUint16(records + (i - 1) * RECORD_BYTES, pair, true);
      if (known || template.endsBlock) break;
      before = template;
    }
  }

  #place({ words, placed, registers }: Template, records: number, offset: number, distance: number): void {
    const at = records + offset * (RECORD_BYTES / 4);
    this.#linear.i32.set(words, at >>> 2);
    const { view } = this.#linear;
    if (distance !== 0) {
      for (const r of registers) view.setUint16(at + r, view.getUint16(at + r, true) + distance, true);
    }
    for (const part of placed) {
      const inPage = part.page ? part.delta : offset + part.delta;
      if (part.kind === 'target') {
        const here = inPage >= 0 && inPage < PAGE && (inPage & 3) === 0;
        view.setUint32(at + part.offset, here ? records + inPage * (RECORD_BYTES / 4) : 0, true);
      } else {
        view.setBigInt64(at + part.offset, BigInt(inPage), true);
      }
    }
  }

  // ---- what makes records untrue -------------------------------------------------------------------

  #written(pa: number, bytes: number): void {
    const end = pa + bytes;
    for (let start = pa - (pa % PAGE); start < end; start += PAGE) {
      const page = this.#pages.get(start);
      if (page === undefined) continue;
      page.writes++;
      const from = Math.max(pa, start) - start;
      const to = Math.min(end, start + PAGE) - start;
      this.translation?.forget(start);
      if (to - from === PAGE || page.writes > MOST_WRITES) this.#drop(page);
      else this.#undecode(page, from, to);
    }
  }

  #undecode(page: CodePage, from: number, to: number): void {
    const words = this.#linear.i32;
    const { view } = this.#linear;
    for (const records of page.records) {
      if (records === 0) continue;
      // The instruction before may be one handler with the first. Its own fields stay: the one before it
      // may be one handler with it, and reads them.
      for (let i = Math.max(0, (from >>> 2) - 1); i * 4 < to; i++)
        view.setUint16(records + i * RECORD_BYTES, Handler.undecoded, true);
      const heat = (records + HEAT_OFFSET) >>> 2;
      words.fill(this.#coldHeat(page), heat + (from >>> 2), heat + ((to + 3) >>> 2));
    }
  }

  #drop(page: CodePage): void {
    this.#pages.delete(page.pa);
    this.#machine.dram.unwatchCode(page.pa);
    for (const cpu of this.#machine.cpus) {
      cpu.mmu.tlb.dropIndirectWrites();
      const records = page.records[cpu.index]!;
      if (records === 0) continue;
      forget(cpu, records);
      this.#free.push(records);
      this.#recordPages--;
    }
  }

  dropAll(): void {
    this.translation?.forgetAll();
    for (const { pa, records } of this.#pages.values()) {
      this.#machine.dram.unwatchCode(pa);
      for (const at of records) if (at !== 0) this.#free.push(at);
    }
    this.#pages.clear();
    this.#recordPages = 0;
    for (const cpu of this.#machine.cpus) {
      cpu.mmu.tlb.dropIndirectWrites();
      forget(cpu, undefined);
    }
  }

  /** Records that exist, in bytes. */
  get bytes(): number {
    return this.#recordPages * PAGE_RECORD_BYTES;
  }
}

/** Takes these records (or all) out of the CPU's fetch entries. */
function forget(cpu: Cpu, records: number | undefined): void {
  const { linear, base } = cpu.mmu.tlb;
  const words = linear.i32;
  for (let slot = 0; slot < TLB_ENTRIES; slot++) {
    const at = ((base + (TlbKind.fetch * TLB_ENTRIES + slot) * TLB_ENTRY_BYTES) >>> 2) + 3;
    if (records === undefined || (words[at]! & ~1) >>> 0 === records) words[at] = NO_RECORDS;
  }
}
