/**
 * Write-back caches for data and for allocation tags, which know nothing of each other.
 *
 * Tags live in DRAM bytes that are ordinary memory while no tags are kept there. Cached, the two uses of
 * such bytes have different names: a data line is found by the address of the bytes, a tag line by the
 * address of the memory it has the tags of. Nothing keeps the two coherent, as on silicon. When a block
 * of tag storage changes hands without the maintenance that this needs, a dirty line of the old use is
 * written back at some later time over what the new use has put there.
 *
 * When that time comes is up to the seed: on about one access in `EVENT_PERIOD` something happens that
 * software did not ask for: a line is evicted or written back, or a line near recent accesses is fetched
 * speculatively. Whole lines are written back. Every choice is one the architecture allows.
 *
 * Instructions have a cache of their own as well, which never sees what is dirty in the data cache.
 *
 * The moment when a line is made dirty while the same DRAM bytes are dirty under their other name is
 * reported (`onIncoherence`): a hand-over went wrong there, whether or not this run's evictions show it.
 *
 * Ref. DDI 0487, B2.8 (caches), D10 (allocation tags; "tag and data lines"), D7.5.9 (maintenance).
 */
import type { Random } from '../../base/index.js';
import type { Dram } from '../memory/dram.js';
import type { CacheHierarchy, Incoherence, MaintenanceKind } from '../memory/memory-system.js';
import { BYTES_PER_TAG_BYTE, GRANULE, type TagController } from '../memory/tag-controller.js';
import { DATA_CACHE, INSTRUCTION_CACHE, LINE, setAndWay, TAG_CACHE } from './geometry.js';
import { LineCache } from './line-cache.js';

/** Accesses between two events that software did not ask for, on average. */
const EVENT_PERIOD = 32;
/** Pages of recent accesses, near which lines are fetched speculatively. */
const RECENT_PAGES = 32;
const PAGE = 4096;

/** What happened so far, for --stats and tests. */
export interface CacheCounts {
  fills: number;
  speculativeFills: number;
  writeBacks: number;
  /** Dirty lines that an invalidate dropped. */
  dropped: number;
  incoherences: number;
}

/** Pages touched lately; the oldest makes way. */
class RecentPages {
  readonly #pages: number[] = [];
  #next = 0;

  note(pa: number): void {
    const page = pa - (pa % PAGE);
    if (this.#pages.includes(page)) return;
    this.#pages[this.#next] = page;
    this.#next = (this.#next + 1) % RECENT_PAGES;
  }

  pick(random: Random): number | undefined {
    return this.#pages[random.below(this.#pages.length)];
  }
}

export class ModelledCaches implements CacheHierarchy {
  readonly #dram: Dram;
  readonly #controller: TagController;
  readonly #random: Random;
  readonly #data = new LineCache(DATA_CACHE);
  readonly #tags = new LineCache(TAG_CACHE);
  readonly #instructions = new LineCache(INSTRUCTION_CACHE);
  readonly #recentData = new RecentPages();
  readonly #recentTags = new RecentPages();
  readonly counts: CacheCounts = {
    fills: 0,
    speculativeFills: 0,
    writeBacks: 0,
    dropped: 0,
    incoherences: 0,
  };
  onIncoherence: ((report: Incoherence) => void) | undefined;
  #untilEvent = EVENT_PERIOD;
  #lastDataPage = -1;
  #lastTagPage = -1;

  constructor(dram: Dram, controller: TagController, random: Random) {
    this.#dram = dram;
    this.#controller = controller;
    this.#random = random;
  }

  // ---- data ----------------------------------------------------------------------------------------

  read(pa: number, bytes: 1 | 2 | 4 | 8): bigint {
    const slot = this.#dataSlot(pa);
    if (slot < 0) return this.#uncachedRead(pa, bytes);
    const value = readWord(this.#data, slot, pa, bytes);
    this.#afterData(pa);
    return value;
  }

  write(pa: number, bytes: 1 | 2 | 4 | 8, value: bigint): void {
    const slot = this.#dataSlot(pa);
    if (slot < 0) {
      for (let i = 0; i < bytes; i++) this.#dram.write8(pa + i, Number((value >> BigInt(8 * i)) & 0xffn));
      return;
    }
    const at = slot * LINE + (pa % LINE);
    const { view } = this.#data;
    if (bytes === 8) view.setBigUint64(at, value, true);
    else if (bytes === 4) view.setUint32(at, Number(value), true);
    else if (bytes === 2) view.setUint16(at, Number(value), true);
    else view.setUint8(at, Number(value));
    if (this.#data.dirty[slot] === 0) {
      this.#data.dirty[slot] = 1;
      const line = this.#data.lineOf(pa);
      const memory = this.#controller.memoryOfTagByte(line);
      if (memory !== undefined && this.#tags.isDirty(this.#tags.lineOf(memory))) {
        this.#report({ written: 'data', dramLine: line, taggedMemory: this.#tags.lineOf(memory) });
      }
    }
    this.#afterData(pa);
  }

  /**
   * Instructions come out of a cache of their own, which is filled from below the data cache (LoUU = 1: DRAM)
   * and told of nothing: new code is cleaned to the point of unification, and what was fetched of the old
   * code invalidated, or the old code runs (CTR_EL0.IDC = DIC = 0).
   */
  fetch(pa: number): number {
    const line = this.#instructions.lineOf(pa);
    const known = this.#instructions.find(line);
    const slot = known >= 0 ? known : this.#fillInstructions(line);
    return slot < 0
      ? this.#dram.read32(pa)
      : this.#instructions.view.getUint32(slot * LINE + (pa % LINE), true);
  }

  #fillInstructions(line: number): number {
    if (!this.#dram.contains(line, LINE)) return -1;
    const slot = this.#instructions.victim(line, (ways) => this.#random.below(ways));
    this.#instructions.line(slot).set(this.#dram.readBytes(line, LINE));
    this.#instructions.address[slot] = line;
    return slot;
  }

  /** The slot of the line of `pa`, filled if need be; -1 for the odd bytes at the end of a bank. */
  #dataSlot(pa: number): number {
    const line = this.#data.lineOf(pa);
    const slot = this.#data.find(line);
    return slot >= 0 ? slot : this.#fillData(line);
  }

  #fillData(line: number): number {
    if (!this.#dram.contains(line, LINE)) return -1;
    const slot = this.#data.victim(line, (ways) => this.#random.below(ways));
    this.#evictData(slot);
    this.#data.line(slot).set(this.#dram.readBytes(line, LINE));
    this.#data.address[slot] = line;
    this.counts.fills++;
    return slot;
  }

  #cleanData(slot: number): void {
    if (this.#data.dirty[slot] === 0) return;
    this.#data.dirty[slot] = 0;
    this.counts.writeBacks++;
    this.#dram.writeBytes(this.#data.address[slot]!, this.#data.line(slot));
  }

  #evictData(slot: number): void {
    this.#cleanData(slot);
    this.#data.drop(slot);
  }

  #uncachedRead(pa: number, bytes: number): bigint {
    let value = 0n;
    for (let i = bytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#dram.read8(pa + i));
    return value;
  }

  // ---- tags ----------------------------------------------------------------------------------------

  readTag(pa: number): number {
    const slot = this.#tagSlot(pa);
    if (slot < 0) return 0;
    const byte = this.#tags.bytes[slot * LINE + tagOffset(pa)]!;
    this.#afterTags(pa);
    return (pa & GRANULE) === 0 ? byte & 15 : byte >> 4;
  }

  writeTag(pa: number, tag: number): void {
    const slot = this.#tagSlot(pa);
    if (slot < 0) return;
    const at = slot * LINE + tagOffset(pa);
    const byte = this.#tags.bytes[at]!;
    this.#tags.bytes[at] = (pa & GRANULE) === 0 ? (byte & 0xf0) | tag : (byte & 0x0f) | (tag << 4);
    if (this.#tags.dirty[slot] === 0) {
      this.#tags.dirty[slot] = 1;
      const line = this.#tags.lineOf(pa);
      const dramLine = this.#controller.tagByteOf(line);
      if (this.#data.isDirty(dramLine)) this.#report({ written: 'tags', dramLine, taggedMemory: line });
    }
    this.#afterTags(pa);
  }

  #tagSlot(pa: number): number {
    const line = this.#tags.lineOf(pa);
    const slot = this.#tags.find(line);
    return slot >= 0 ? slot : this.#fillTags(line);
  }

  /** The 64 tag bytes of a line are one aligned run of DRAM, interleaved or not. -1 where there are none. */
  #fillTags(line: number): number {
    const from = this.#controller.tagByteOf(line);
    if (from < 0) return -1;
    const slot = this.#tags.victim(line, (ways) => this.#random.below(ways));
    this.#evictTags(slot);
    this.#tags.line(slot).set(this.#dram.readBytes(from, LINE));
    this.#tags.address[slot] = line;
    this.counts.fills++;
    return slot;
  }

  #cleanTags(slot: number): void {
    if (this.#tags.dirty[slot] === 0) return;
    this.#tags.dirty[slot] = 0;
    // A range that was switched off has no place for its tags any more.
    const to = this.#controller.tagByteOf(this.#tags.address[slot]!);
    if (to < 0) return;
    this.counts.writeBacks++;
    this.#dram.writeBytes(to, this.#tags.line(slot));
  }

  #evictTags(slot: number): void {
    this.#cleanTags(slot);
    this.#tags.drop(slot);
  }

  // ---- what software did not ask for ---------------------------------------------------------------

  #report(report: Incoherence): void {
    this.counts.incoherences++;
    this.onIncoherence?.(report);
  }

  #afterData(pa: number): void {
    const page = pa - (pa % PAGE);
    if (page !== this.#lastDataPage) {
      this.#lastDataPage = page;
      this.#recentData.note(page);
    }
    if (--this.#untilEvent <= 0) this.#event();
  }

  #afterTags(pa: number): void {
    const page = pa - (pa % PAGE);
    if (page !== this.#lastTagPage) {
      this.#lastTagPage = page;
      this.#recentTags.note(page);
    }
    if (--this.#untilEvent <= 0) this.#event();
  }

  #event(): void {
    const random = this.#random;
    this.#untilEvent = 1 + random.below(2 * EVENT_PERIOD);
    switch (random.below(6)) {
      case 0:
        this.#evictData(random.below(this.#data.slots));
        break;
      case 1:
        this.#evictTags(random.below(this.#tags.slots));
        break;
      case 2:
        this.#cleanData(random.below(this.#data.slots));
        break;
      case 3:
        this.#cleanTags(random.below(this.#tags.slots));
        break;
      case 4: {
        const page = this.#recentData.pick(random);
        if (page === undefined) break;
        const line = page + random.below(PAGE / LINE) * LINE;
        if (this.#data.find(line) < 0 && this.#fillData(line) >= 0) this.counts.speculativeFills++;
        break;
      }
      default: {
        const page = this.#recentTags.pick(random);
        if (page === undefined) break;
        const line = page + random.below(PAGE / TAG_CACHE.span) * TAG_CACHE.span;
        if (this.#tags.find(line) < 0 && this.#fillTags(line) >= 0) this.counts.speculativeFills++;
      }
    }
  }

  // ---- maintenance ---------------------------------------------------------------------------------

  #maintain(cache: LineCache, kind: MaintenanceKind, slot: number): void {
    if (slot < 0 || cache.address[slot] === -1) return;
    if (kind !== 'invalidate') {
      if (cache === this.#data) this.#cleanData(slot);
      else this.#cleanTags(slot);
    }
    if (kind !== 'clean') {
      this.counts.dropped += cache.dirty[slot]!;
      cache.drop(slot);
    }
  }

  #maintainRange(cache: LineCache, kind: MaintenanceKind, pa: number, bytes: number): void {
    const { span } = cache.geometry;
    // Beyond the cache's size it is quicker to look at every slot.
    if (bytes / span > cache.slots) {
      const first = cache.lineOf(pa);
      for (let slot = 0; slot < cache.slots; slot++) {
        const line = cache.address[slot]!;
        if (line >= first && line < pa + bytes) this.#maintain(cache, kind, slot);
      }
      return;
    }
    for (let line = cache.lineOf(pa); line < pa + bytes; line += span) {
      this.#maintain(cache, kind, cache.find(line));
    }
  }

  maintainData(kind: MaintenanceKind, pa: number, bytes: number): void {
    this.#maintainRange(this.#data, kind, pa, bytes);
  }

  maintainTags(kind: MaintenanceKind, pa: number, bytes: number): void {
    this.#maintainRange(this.#tags, kind, pa, bytes);
  }

  invalidateInstructions(pa: number, bytes: number): void {
    this.#maintainRange(this.#instructions, 'invalidate', pa, bytes);
  }

  maintainSetWay(what: 'data' | 'tags', kind: MaintenanceKind, operand: bigint): void {
    const cache = what === 'data' ? this.#data : this.#tags;
    const place = setAndWay(cache.geometry, operand);
    if (place !== undefined) this.#maintain(cache, kind, place.set * cache.geometry.ways + place.way);
  }

  /** Writes every dirty line back, in random order; for those who then look at DRAM. */
  cleanAll(): void {
    const order = [];
    for (let slot = 0; slot < this.#data.slots; slot++) order.push(() => this.#cleanData(slot));
    for (let slot = 0; slot < this.#tags.slots; slot++) order.push(() => this.#cleanTags(slot));
    for (let left = order.length; left > 0; left--) {
      const at = this.#random.below(left);
      order[at]!();
      order[at] = order[left - 1]!;
    }
  }
}

const tagOffset = (pa: number) => Math.floor((pa % TAG_CACHE.span) / BYTES_PER_TAG_BYTE);

function readWord(cache: LineCache, slot: number, pa: number, bytes: 1 | 2 | 4 | 8): bigint {
  const at = slot * LINE + (pa % LINE);
  if (bytes === 8) return cache.view.getBigUint64(at, true);
  if (bytes === 4) return BigInt(cache.view.getUint32(at, true));
  if (bytes === 2) return BigInt(cache.view.getUint16(at, true));
  return BigInt(cache.view.getUint8(at));
}

/** For `MachineConfig.caches`. */
export function modelledCaches(dram: Dram, controller: TagController, random: Random): ModelledCaches {
  return new ModelledCaches(dram, controller, random);
}
