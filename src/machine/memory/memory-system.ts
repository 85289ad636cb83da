/**
 * The memory system: the one way from CPUs and from software at EL1 to DRAM bytes and tags.
 *
 * Data goes to DRAM or to a device; a tag access is turned by the tag controller into a nibble of a DRAM
 * byte and goes to DRAM like data. Where caches are modelled, a `CacheHierarchy` stands between; this
 * file is the only one that knows. Without caches the maintenance operations have nothing to do and only
 * count.
 *
 * The CPU's fast path goes round this file by host offsets from its TLB; those are given out only where
 * `isDirect` says that nothing stands between.
 */
import { PA } from '../../base/index.js';
import type { MemoryPort } from '../port.js';
import type { Bus } from './bus.js';
import type { Dram } from './dram.js';
import { CHUNK } from './linear-memory.js';
import { BYTES_PER_TAG_BYTE, GRANULE, type TagController } from './tag-controller.js';
import { TagHistory } from './tag-history.js';

export type MaintenanceKind = 'invalidate' | 'clean' | 'clean-invalidate';

/** What stands between the memory system and DRAM where caches are modelled. */
export interface CacheHierarchy {
  /** Data bytes at `pa`, inside one 8-byte word. */
  read(pa: number, bytes: 1 | 2 | 4 | 8): bigint;
  write(pa: number, bytes: 1 | 2 | 4 | 8, value: bigint): void;
  /** The tag of the granule at `pa`, which has tag storage. */
  readTag(pa: number): number;
  writeTag(pa: number, tag: number): void;
  /** Maintenance of the data lines, or of the tag lines that cover the data addresses, in [pa, pa + bytes). */
  maintainData(kind: MaintenanceKind, pa: number, bytes: number): void;
  maintainTags(kind: MaintenanceKind, pa: number, bytes: number): void;
  /** DC ISW and its kin; `operand` is the register's value. */
  maintainSetWay(what: 'data' | 'tags', kind: MaintenanceKind, operand: bigint): void;
  /** The instruction word at `pa`. */
  fetch(pa: number): number;
  /** Instruction lines of [pa, pa + bytes) are forgotten. */
  invalidateInstructions(pa: number, bytes: number): void;
  onIncoherence: ((report: Incoherence) => void) | undefined;
}

/** A DRAM line was written in a cache under one of its names while it was dirty under the other. */
export interface Incoherence {
  /** What is being written now; a dirty line of the other kind still waits to be written back. */
  readonly written: 'data' | 'tags';
  /** Physical address of the 64 bytes of DRAM. */
  readonly dramLine: number;
  /** First byte of the 2 KiB of memory whose tags they are. */
  readonly taggedMemory: number;
}

/** Maintenance operations seen, by kind; for --stats. */
export interface MaintenanceCounts {
  data: number;
  tags: number;
  instruction: number;
}

export interface TagWrite {
  /** Program counter of the instruction that wrote the tag. */
  readonly pc: bigint;
  readonly step: bigint;
  /** The tag that was there, and the one written. */
  readonly before: number;
  readonly after: number;
}

/** Tag writers as an engine remembers them, by the physical address of the granule. */
export interface TagWriterTable {
  find(granule: number): TagWrite | undefined;
  /** False where there is no place for it. */
  note(granule: number, writer: TagWrite): boolean;
}

/** Granules remembered by the last-writer map; beyond it the oldest are forgotten. */
const MOST_TAG_WRITERS = 1 << 20;
/** What a byte of DRAM is after it had no power. */
const LOST = 0xb7;

export class MemorySystem implements MemoryPort {
  readonly dram: Dram;
  readonly bus: Bus;
  readonly controller: TagController;
  readonly maintenance: MaintenanceCounts = { data: 0, tags: 0, instruction: 0 };
  /** Told of accesses by software at EL1 (not by guest code) to addresses where nothing is. */
  onBadAccess: ((pa: PA, what: 'read' | 'write') => void) | undefined;
  /** Told where tag storage changed hands without the cache maintenance it needs; modelled caches only. */
  onIncoherence: ((report: Incoherence) => void) | undefined;
  /** What was tagged in which order; with `recordTagWriters`. */
  tagHistory: TagHistory | undefined;
  #caches: CacheHierarchy | undefined;
  #tagWriters: Map<number, TagWrite> | undefined;

  constructor(dram: Dram, bus: Bus, controller: TagController) {
    this.dram = dram;
    this.bus = bus;
    this.controller = controller;
  }

  /** True if host offsets may be used: no cache is modelled. */
  get isDirect(): boolean {
    return this.#caches === undefined;
  }

  attachCaches(caches: CacheHierarchy): void {
    this.#caches = caches;
    caches.onIncoherence = (report) => this.onIncoherence?.(report);
  }

  /** Starts remembering who wrote each tag last, for fault reports. */
  recordTagWriters(): void {
    this.#tagWriters ??= new Map();
    this.tagHistory ??= new TagHistory();
  }

  get recordsTagWriters(): boolean {
    return this.#tagWriters !== undefined;
  }

  /** Called by the CPU when it writes tags that are in no event of the history. */
  noteTagWrite(pa: number, writer: TagWrite): void {
    const writers = this.#tagWriters;
    if (writers === undefined) return;
    const granule = pa - (pa % GRANULE);
    if (this.tagWritersOfEngine?.note(granule, writer) === true) return;
    writers.delete(granule);
    writers.set(granule, writer);
    if (writers.size > MOST_TAG_WRITERS) {
      for (const oldest of writers.keys()) {
        writers.delete(oldest);
        break;
      }
    }
  }

  /** Writes that an engine remembers by itself, asked beside what `noteTagWrite` was told. */
  tagWritersOfEngine: TagWriterTable | undefined;

  /** Who wrote the tag of the granule at `pa` last, of those that `noteTagWrite` and the engine were told of. */
  lastTagWriter(pa: number): TagWrite | undefined {
    const granule = pa - (pa % GRANULE);
    const told = this.#tagWriters?.get(granule);
    const own = this.tagWritersOfEngine?.find(granule);
    return told === undefined || (own !== undefined && own.step > told.step) ? own : told;
  }

  // ---- what the CPU uses -------------------------------------------------------------------------

  /** True if something answers at all of [pa, pa + bytes). */
  isBacked(pa: number, bytes: number): boolean {
    return this.dram.contains(pa, bytes) || this.bus.find(pa) !== undefined;
  }

  /**
   * Reads inside one page; zero-extended. Any alignment. Nothing there: 0.
   * `cacheable` false: the access is Device or Non-cacheable and goes past the caches.
   */
  load(pa: number, bytes: 1 | 2 | 4 | 8, cacheable = true): bigint {
    if (this.dram.contains(pa, bytes)) {
      if (this.#caches !== undefined && cacheable) return this.#loadCached(pa, bytes);
      const offset = pa % CHUNK;
      if (offset + bytes <= CHUNK) {
        const host = this.dram.hostForRead(pa);
        const view = this.dram.linear.view;
        if (bytes === 8) return view.getBigUint64(host, true);
        if (bytes === 4) return BigInt(view.getUint32(host, true));
        if (bytes === 2) return BigInt(view.getUint16(host, true));
        return BigInt(view.getUint8(host));
      }
      return assemble(this.dram.readBytes(pa, bytes));
    }
    const device = this.bus.find(pa);
    if (device === undefined) {
      this.onBadAccess?.(PA(pa), 'read');
      return 0n;
    }
    return BigInt.asUintN(bytes * 8, device.read(pa - device.base, bytes));
  }

  store(pa: number, bytes: 1 | 2 | 4 | 8, value: bigint, cacheable = true): void {
    if (this.dram.contains(pa, bytes)) {
      if (this.#caches !== undefined && cacheable) {
        this.#storeCached(pa, bytes, value);
        return;
      }
      if ((pa % CHUNK) + bytes <= CHUNK) {
        const host = this.dram.hostForWrite(pa, bytes);
        const view = this.dram.linear.view;
        if (bytes === 8) view.setBigUint64(host, value, true);
        else if (bytes === 4) view.setUint32(host, Number(BigInt.asUintN(32, value)), true);
        else if (bytes === 2) view.setUint16(host, Number(BigInt.asUintN(16, value)), true);
        else view.setUint8(host, Number(BigInt.asUintN(8, value)));
        return;
      }
      this.dram.writeBytes(pa, disassemble(value, bytes));
      return;
    }
    const device = this.bus.find(pa);
    if (device === undefined) this.onBadAccess?.(PA(pa), 'write');
    else device.write(pa - device.base, bytes, BigInt.asUintN(bytes * 8, value));
  }

  /** The instruction word at `pa`. What is not cacheable comes from DRAM, past what caches hold of it. */
  fetch(pa: number, cacheable = true): number {
    if (!this.dram.contains(pa, 4)) return Number(this.load(pa, 4));
    return (cacheable ? this.#caches?.fetch(pa) : undefined) ?? this.dram.read32(pa);
  }

  /** IC IVAU, IALLU: [pa, pa + bytes), or everything. */
  invalidateInstructions(pa = 0, bytes = Number.MAX_SAFE_INTEGER): void {
    this.maintenance.instruction++;
    this.#caches?.invalidateInstructions(pa, bytes);
  }

  /** Cached accesses go in pieces that stay inside a word, so that no piece crosses a line. */
  #loadCached(pa: number, bytes: 1 | 2 | 4 | 8): bigint {
    if ((pa & 7) + bytes <= 8) return this.#caches!.read(pa, bytes);
    let value = 0n;
    for (let i = 0; i < bytes; i++) value |= this.#caches!.read(pa + i, 1) << BigInt(8 * i);
    return value;
  }

  #storeCached(pa: number, bytes: 1 | 2 | 4 | 8, value: bigint): void {
    if ((pa & 7) + bytes <= 8) {
      this.#caches!.write(pa, bytes, BigInt.asUintN(bytes * 8, value));
      return;
    }
    for (let i = 0; i < bytes; i++) this.#caches!.write(pa + i, 1, (value >> BigInt(8 * i)) & 0xffn);
  }

  // ---- tags --------------------------------------------------------------------------------------

  readTag(pa: PA | number): number {
    const at = this.controller.tagByteOf(pa);
    if (at < 0) return 0;
    if (this.#caches !== undefined) return this.#caches.readTag(pa);
    const byte = this.dram.read8(at);
    return (pa & GRANULE) === 0 ? byte & 15 : byte >> 4;
  }

  writeTag(pa: PA | number, tag: number): void {
    const at = this.controller.tagByteOf(pa);
    if (at < 0) return;
    if (this.#caches !== undefined) {
      this.#caches.writeTag(pa, tag);
      return;
    }
    const host = this.dram.hostForWrite(at, 1);
    const byte = this.dram.linear.u8[host]!;
    this.dram.linear.u8[host] = (pa & GRANULE) === 0 ? (byte & 0xf0) | tag : (byte & 0x0f) | (tag << 4);
  }

  /** Calls `each` for runs of memory whose tag bytes follow one another. */
  #tagRuns(pa: number, bytes: number, each: (tagByte: number, length: number, index: number) => void): void {
    for (let done = 0; done < bytes; ) {
      const at = pa + done;
      const run = this.controller.tagRun(at, bytes - done);
      const tagByte = this.controller.tagByteOf(at);
      if (tagByte >= 0) each(tagByte, run / BYTES_PER_TAG_BYTE, done / BYTES_PER_TAG_BYTE);
      done += run;
    }
  }

  /** True if a range of tags is whole bytes of tag storage and goes straight to DRAM. */
  #isWholeTagBytes(pa: number, bytes: number): boolean {
    return this.#caches === undefined && pa % BYTES_PER_TAG_BYTE === 0 && bytes % BYTES_PER_TAG_BYTE === 0;
  }

  readTags(pa: PA, bytes: number): Uint8Array {
    const out = new Uint8Array(bytes / BYTES_PER_TAG_BYTE);
    if (this.#isWholeTagBytes(pa, bytes)) {
      this.#tagRuns(pa, bytes, (tagByte, length, index) => {
        out.set(this.dram.readBytes(tagByte, length), index);
      });
      return out;
    }
    for (let i = 0; i < out.length; i++) {
      const at = pa + i * BYTES_PER_TAG_BYTE;
      out[i] = this.readTag(at) | (this.readTag(at + GRANULE) << 4);
    }
    return out;
  }

  writeTags(pa: PA, packed: Uint8Array): void {
    const bytes = packed.length * BYTES_PER_TAG_BYTE;
    if (this.#isWholeTagBytes(pa, bytes)) {
      this.#tagRuns(pa, bytes, (tagByte, length, index) => {
        this.dram.writeBytes(tagByte, packed.subarray(index, index + length));
      });
      return;
    }
    for (let i = 0; i < packed.length; i++) {
      const at = pa + i * BYTES_PER_TAG_BYTE;
      this.writeTag(at, packed[i]! & 15);
      this.writeTag(at + GRANULE, packed[i]! >> 4);
    }
  }

  fillTags(pa: PA, bytes: number, tag: number): void {
    if (this.#isWholeTagBytes(pa, bytes)) {
      const packed = tag | (tag << 4);
      this.#tagRuns(pa, bytes, (tagByte, length) => this.dram.fill(tagByte, length, packed));
      return;
    }
    for (let done = 0; done < bytes; done += GRANULE) this.writeTag(pa + done, tag);
  }

  // ---- MemoryPort --------------------------------------------------------------------------------

  read8(pa: PA): number {
    return Number(this.load(pa, 1));
  }
  read16(pa: PA): number {
    return Number(this.load(pa, 2));
  }
  read32(pa: PA): number {
    if (this.#caches === undefined && (pa & 3) === 0 && this.dram.contains(pa, 4)) {
      return this.dram.read32(pa);
    }
    return Number(this.load(pa, 4));
  }
  read64(pa: PA): bigint {
    return this.load(pa, 8);
  }
  write8(pa: PA, value: number): void {
    this.store(pa, 1, BigInt(value));
  }
  write16(pa: PA, value: number): void {
    this.store(pa, 2, BigInt(value));
  }
  write32(pa: PA, value: number): void {
    if (this.#caches === undefined && (pa & 3) === 0 && this.dram.contains(pa, 4)) {
      this.dram.write32(pa, value);
      return;
    }
    this.store(pa, 4, BigInt(value));
  }
  write64(pa: PA, value: bigint): void {
    this.store(pa, 8, value);
  }

  readBytes(pa: PA, bytes: number): Uint8Array {
    if (this.#caches === undefined && this.dram.contains(pa, bytes)) return this.dram.readBytes(pa, bytes);
    const out = new Uint8Array(bytes);
    this.#pieces(pa, bytes, (at, size, index) => {
      const value = this.load(at, size);
      for (let i = 0; i < size; i++) out[index + i] = Number((value >> BigInt(8 * i)) & 0xffn);
    });
    return out;
  }

  writeBytes(pa: PA, from: Uint8Array): void {
    if (this.#caches === undefined && this.dram.contains(pa, from.length)) {
      this.dram.writeBytes(pa, from);
      return;
    }
    this.#pieces(pa, from.length, (at, size, index) => {
      this.store(at, size, assemble(from.subarray(index, index + size)));
    });
  }

  fill(pa: PA, bytes: number, value: number): void {
    if (this.#caches === undefined && this.dram.contains(pa, bytes)) {
      this.dram.fill(pa, bytes, value);
      return;
    }
    const word = BigInt(value & 0xff) * 0x0101_0101_0101_0101n;
    this.#pieces(pa, bytes, (at, size) => this.store(at, size, word));
  }

  copy(to: PA, from: PA, bytes: number): void {
    if (this.#caches === undefined && this.dram.contains(from, bytes) && this.dram.contains(to, bytes)) {
      this.dram.copy(to, from, bytes);
      return;
    }
    this.writeBytes(to, this.readBytes(from, bytes));
  }

  equal(a: PA, b: PA, bytes: number): boolean {
    const left = this.readBytes(a, bytes);
    const right = this.readBytes(b, bytes);
    return left.every((byte, i) => byte === right[i]);
  }

  /** Splits [pa, pa + bytes) into aligned words of up to 8 bytes. */
  #pieces(pa: number, bytes: number, each: (at: number, size: 1 | 2 | 4 | 8, index: number) => void): void {
    for (let done = 0; done < bytes; ) {
      const at = pa + done;
      const left = bytes - done;
      const size = at % 8 === 0 && left >= 8 ? 8 : at % 4 === 0 && left >= 4 ? 4 : 1;
      each(at, size, done);
      done += size;
    }
  }

  // ---- maintenance -------------------------------------------------------------------------------

  maintainData(kind: MaintenanceKind, pa: number, bytes: number): void {
    this.maintenance.data++;
    this.#caches?.maintainData(kind, pa, bytes);
  }

  maintainTags(kind: MaintenanceKind, pa: number, bytes: number): void {
    this.maintenance.tags++;
    this.#caches?.maintainTags(kind, pa, bytes);
  }

  maintainDataSetWay(kind: MaintenanceKind, operand: bigint): void {
    this.maintenance.data++;
    this.#caches?.maintainSetWay('data', kind, operand);
  }

  maintainTagsSetWay(kind: MaintenanceKind, operand: bigint): void {
    this.maintenance.tags++;
    this.#caches?.maintainSetWay('tags', kind, operand);
  }

  /**
   * Power was off: what the caches held is gone, and DRAM holds what it happens to. Where a program can tell the
   * difference from zeros, that is: in what was ever written.
   */
  loseContents(ranges: readonly { readonly base: number; readonly size: number }[]): void {
    for (const { base, size } of ranges) {
      this.maintainData('invalidate', base, size);
      this.maintainTags('invalidate', base, size);
    }
    for (const chunk of [...this.dram.touchedChunks()]) {
      for (const { base, size } of ranges) {
        const start = Math.max(base, chunk);
        const end = Math.min(base + size, chunk + CHUNK);
        if (start < end) this.dram.fill(start, end - start, LOST);
      }
    }
  }

  dcacheInvalPoc(pa: PA, bytes: number): void {
    this.maintainData('invalidate', pa, bytes);
  }
  dcacheCleanPoc(pa: PA, bytes: number): void {
    this.maintainData('clean', pa, bytes);
  }
  dcacheCleanInvalPoc(pa: PA, bytes: number): void {
    this.maintainData('clean-invalidate', pa, bytes);
  }
  dcacheInvalTagsPoc(pa: PA, bytes: number): void {
    this.maintainTags('invalidate', pa, bytes);
  }
  dcacheCleanTagsPoc(pa: PA, bytes: number): void {
    this.maintainTags('clean', pa, bytes);
  }
  dcacheCleanInvalTagsPoc(pa: PA, bytes: number): void {
    this.maintainTags('clean-invalidate', pa, bytes);
  }
  /**
   * caches_clean_inval_pou. Engines compare decoded words with memory or watch the pages they come from:
   * without modelled caches nothing can be stale.
   */
  icacheInval(pa: PA, bytes: number): void {
    this.maintainData('clean', pa, bytes);
    this.invalidateInstructions(pa, bytes);
  }
}

function assemble(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  return value;
}

function disassemble(value: bigint, bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) out[i] = Number((value >> BigInt(8 * i)) & 0xffn);
  return out;
}
