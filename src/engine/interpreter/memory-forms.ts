/**
 * Memory in forms: the TLB probe, the tag check and the access, inline.
 *
 * The code of an access does what MemoryAccess's fast path does, in the same order, and gives the
 * instruction up for everything else: no entry, a tag that differs, a page boundary, an alignment that
 * the kind of access forbids. Nothing is written before all of the instruction's probes have passed, so
 * that giving up is always possible.
 *
 * Ref. src/machine/cpu/memory-access.ts, src/machine/mmu/tlb.ts.
 */
import type { Access, AtomicOperation } from '../../../isa/index.js';
import {
  CHUNK,
  SECOND_TLB_TABLE_BYTES,
  TLB_BYTES,
  TLB_TABLE_BYTES,
  ZERO_CHUNK,
} from '../../machine/index.js';
import { type Code, drop, i32, i64, local, ValueType, when, whenUnlikely } from '../wasm/index.js';
import { beginCrossing, Crossing, crossingBuffer, endCrossing } from './crossing-calls.js';
import { FormBuilder } from './form-builder.js';
import {
  FunctionFrame,
  onlyWhen,
  type PageCache,
  secondTlbSlotCode,
  tlbSlotCode,
  Unsupported,
} from './frame.js';
import { Cell, STATE } from './layout.js';
import { UserFrame } from './user-frame.js';
import { narrowLocal, type Value, wideLocal } from './values.js';

type Size = 1 | 2 | 4 | 8;
export type Table = 'read' | 'write';

const TABLE: Readonly<Record<Table, number>> = { read: 0, write: TLB_TABLE_BYTES };
const HOST_ADDEND = 8;
const TAG_ADDEND = 12;
/** Tag addends from here up are UNTAGGED and SLOW. */
export const SPECIAL = -2;
const UNTAGGED = -1;
/** The bits of a key that are the context's. */
const ALL_CONTEXTS = 0xfffffn << 44n;
/** No alignment is promised: WebAssembly allows any. */
const ANY = 0;

/** What a probe found. */
export interface Probe {
  /** Locals: the address (i64) and its low half (i32). */
  readonly address: number;
  readonly low: number;
  /** i32: the addends of the TLB entry. */
  readonly hostAddend: Code;
  readonly tagAddend: Code;
}

export class MemoryFormBuilder extends FormBuilder {
  // ---- probes --------------------------------------------------------------------------------------

  /** Finds the entry of an address, or gives up. */
  #find(table: Table, address: number, low: number): Probe {
    const entry = this.#look(table, address, low);
    const [hostAddend, tagAddend] = [HOST_ADDEND, TAG_ADDEND].map((field) =>
      this.#ofEntry(table, entry, field),
    );
    return { address, low, hostAddend: hostAddend!, tagAddend: tagAddend! };
  }

  /**
   * The host offset (a local) of `size` bytes, a power of two, in the page that the base register led to
   * before, or in another one, which is remembered then. What is not aligned to `size`, and so may cross
   * a granule or the page, is never taken for the page before. `element`: what must be aligned where
   * alignment is checked.
   */
  #inCachedPage(
    cache: PageCache,
    table: Table,
    address: Value,
    element: number,
    size: number,
    isChecked: boolean,
  ): number {
    const { frame } = this;
    const va = this.keep(address.wide());
    const low = this.keep32(i32.wrap(local.get(va)));
    const probe: Probe = {
      address: va,
      low,
      hostAddend: local.get(cache.hostAddend),
      tagAddend: cache.tagAddend === undefined ? i32.const(UNTAGGED) : local.get(cache.tagAddend),
    };
    const tagAddend = isChecked && frame.checks === true ? cache.tagAddend : undefined;
    const other = this.nested(() => {
      if (element > 1) this.emit(this.#failWhereAligned(i32.and(local.get(low), i32.const(element - 1))));
      if (size > 1) this.emit(this.#failAtPageEnd(low, size));
      this.#remember(cache, table, va, low);
      if (tagAddend !== undefined && size > 1) {
        const last = this.compareTag(probe.address, i32.add(local.get(low), i32.const(size - 1)), tagAddend);
        this.emit(when(i32.ltU(local.get(tagAddend), i32.const(SPECIAL)), last));
      }
    });
    const page = i64.and(local.get(va), i64.const(~BigInt(0xfff & ~(size - 1))));
    this.emit(whenUnlikely(i64.ne(page, local.get(cache.page)), other));
    if (tagAddend !== undefined) {
      const slow = frame.failIf(i32.eq(local.get(tagAddend), i32.const(SPECIAL)));
      const first = [this.compareTag(probe.address, local.get(low), tagAddend), frame.countTagCheck()];
      this.emit(when(i32.geU(local.get(tagAddend), i32.const(SPECIAL)), slow, first));
    }
    return this.keep32(this.#host(probe));
  }

  #remember(cache: PageCache, table: Table, va: number, low: number): void {
    const entry = this.#look(table, va, low);
    this.emit(
      local.set(cache.hostAddend, this.#ofEntry(table, entry, HOST_ADDEND)),
      cache.tagAddend === undefined
        ? []
        : local.set(cache.tagAddend, this.#ofEntry(table, entry, TAG_ADDEND)),
      local.set(cache.page, i64.and(local.get(va), i64.const(~0xfffn))),
    );
  }

  /** The local of the host offset of an address's entry, which is in the TLB. */
  #look(table: Table, address: number, low: number): number {
    const { frame } = this;
    const entry = this.keep32(frame.entry(tlbSlotCode(local.get(low))));
    const key = this.#key(address);
    const found = i64.load(local.get(entry), frame.tlbOffset + TABLE[table]);
    const { topMask } = frame;
    const top = topMask && i64.and(i64.xor(local.get(address), frame.half), topMask);
    if (frame.onMiss === 'fail') {
      const misses =
        top === undefined ? i64.ne(found, key) : i64.ne(i64.or(i64.xor(found, key), top), i64.const(0n));
      this.emit(frame.failIf(misses));
      return entry;
    }
    if (top !== undefined) this.emit(frame.failIf(i64.ne(top, i64.const(0n))));
    if (frame.missIf !== undefined) this.emit(frame.missIf(i64.ne(found, key), table, address));
    else this.#refill(table, low, entry, this.keep(key), found);
    return entry;
  }

  /**
   * An i64: the key of an address without its top byte, the context above it. Where addresses of one half
   * only are looked for, those of the other get the complement of the context, which no entry has.
   */
  #key(address: number): Code {
    const { dataContext, onlyHalf } = this.frame;
    const withoutTop = i64.shl(local.get(address), i64.const(8n));
    if (onlyHalf === undefined) return i64.or(i64.shrU(withoutTop, i64.const(20n)), dataContext);
    const key = i64.xor(i64.shrS(withoutTop, i64.const(20n)), dataContext);
    return onlyHalf === 'lower' ? key : i64.xor(key, i64.const(ALL_CONTEXTS));
  }

  /** Where the entry has another key, takes it from the second level, or gives up. */
  #refill(table: Table, low: number, entry: number, key: number, found: Code): void {
    const { frame } = this;
    const second = frame.local(ValueType.i32);
    const from = TLB_BYTES + (table === 'read' ? 0 : SECOND_TLB_TABLE_BYTES);
    const half = (at: number) =>
      i64.store(local.get(entry), i64.load(local.get(second), from + at), TABLE[table] + at);
    this.emit(
      when(i64.ne(found, local.get(key)), [
        local.set(second, frame.entry(secondTlbSlotCode(local.get(low), frame.dataContext))),
        frame.failIf(i64.ne(i64.load(local.get(second), from), local.get(key))),
        half(0),
        half(8),
      ]),
    );
  }

  /** Gives up where the granule at `low` (an i32) does not have the address's tag. */
  protected compareTag(address: number, low: Code, addend: number): Code {
    const byte = i32.load8U(i32.add(i32.shrU(low, i32.const(5)), local.get(addend)));
    const nibble = i32.shrU(byte, i32.and(i32.shrU(low, i32.const(2)), i32.const(4)));
    const tag = i32.wrap(i64.shrU(local.get(address), i64.const(56n)));
    return this.frame.failIf(i32.and(i32.xor(nibble, tag), i32.const(15)));
  }

  /** The check of `bytes` bytes, which are in one page. `aligned`: elements do not cross granules. */
  #checkTags(probe: Probe, bytes: number, elements: number, aligned: boolean): void {
    const addend = this.frame.local(ValueType.i32);
    const low = local.get(probe.low);
    const size = bytes * elements;
    const crosses = i32.gtU(i32.and(low, i32.const(15)), i32.const(16 - size));
    const last = i32.add(low, i32.const(size - 1));
    const maybeCrosses = size > 1 && (elements > 1 || !aligned);
    const check: Code = [
      this.compareTag(probe.address, low, addend),
      maybeCrosses ? when(crosses, this.compareTag(probe.address, last, addend)) : [],
      this.frame.countTagCheck(),
    ];
    const special = i32.geU(local.get(addend), i32.const(SPECIAL));
    const found = local.set(addend, probe.tagAddend);
    const slow = this.frame.failIf(i32.eq(local.get(addend), i32.const(SPECIAL)));
    this.emit(onlyWhen(this.frame.checks, [found, when(special, slow, check)]));
  }

  /** Gives up `size` bytes that do not end in the page they begin in. */
  #failAtPageEnd(low: number, size: number): Code {
    const offset = i32.and(local.get(low), i32.const(4095));
    return this.frame.failIf(i32.gtU(offset, i32.const(4096 - size)));
  }

  /**
   * The host offset (a local) of `elements` elements of `bytes` bytes. `strict`: the alignment that the
   * kind of access needs, 1 for normal accesses.
   */
  #access(
    wanted: Table,
    address: Value,
    bytes: Size,
    elements: 1 | 2,
    access: Access,
    alsoRead = false,
  ): number {
    if (access.unprivileged === true && !(this.frame instanceof UserFrame)) {
      const own = this.frame;
      this.isRare = true;
      this.frame = new UserFrame(own);
      try {
        return this.#access(wanted, address, bytes, elements, access, alsoRead);
      } finally {
        this.frame = own;
      }
    }
    const isThorough = access.kind === 'normal' && this.frame.thorough;
    let table = wanted;
    if (isThorough) {
      if (table === 'read' && this.frame.isStoredLater?.() === true) table = 'write';
      const cache = this.frame.pageCache?.(table);
      const size = bytes * elements;
      if (cache !== undefined)
        return this.#inCachedPage(cache, table, address, bytes, size, access.tagChecked);
      if (this.#mayCross && size > 1) {
        return this.#acrossPages(table, address, bytes, size, access, (probe) =>
          this.#checkTags(probe, bytes, elements, false),
        );
      }
    }
    const probe = this.#probe(table, address, bytes, elements, access, alsoRead);
    if (access.tagChecked) this.#checkTags(probe, bytes, elements, !isThorough);
    return this.keep32(this.#host(probe));
  }

  /** What crosses pages is done here. */
  get #mayCross(): boolean {
    return this.frame instanceof FunctionFrame;
  }

  /**
   * The host offset (a local) of `size` bytes of a normal access, which may be misaligned and cross pages; then it
   * is that of a buffer, and a store must end with `stored`. `check`: the check of tags in one page.
   */
  #acrossPages(
    table: Table,
    address: Value,
    element: number,
    size: number,
    access: Access,
    check: (probe: Probe) => void,
  ): number {
    const { frame } = this;
    const va = this.keep(address.wide());
    const low = this.keep32(i32.wrap(local.get(va)));
    if (element > 1) this.emit(this.#failWhereAligned(i32.and(local.get(low), i32.const(element - 1))));
    const host = frame.local(ValueType.i32);
    const inPage = this.nested(() => {
      const probe = this.#find(table, va, low);
      if (access.tagChecked) check(probe);
      this.emit(local.set(host, this.#host(probe)));
    });
    const how = size | (table === 'write' ? Crossing.write : 0) | (access.tagChecked ? Crossing.checked : 0);
    const across = [
      local.set(host, beginCrossing(frame.cpu, how, local.get(va))),
      frame.failIf(i32.eqz(local.get(host))),
    ];
    const offset = i32.and(local.get(low), i32.const(4095));
    this.emit(whenUnlikely(i32.gtU(offset, i32.const(4096 - size)), across, inPage));
    return host;
  }

  /** `size` bytes have been stored at `host`. */
  protected stored(host: number, size: number, access: Access): void {
    if (!this.#mayCross || access.kind !== 'normal' || access.unprivileged === true || size === 1) return;
    const { cpu } = this.frame;
    this.emit(whenUnlikely(i32.eq(local.get(host), crossingBuffer(cpu)), drop(endCrossing(cpu))));
  }

  /** As `#access`, in one page and without the tag check. */
  #probe(
    table: Table,
    address: Value,
    bytes: Size,
    elements: 1 | 2,
    access: Access,
    alsoRead: boolean,
  ): Probe {
    const { frame } = this;
    // Ordered accesses, and bytes and halfwords by SP, are not worth a place in the switch.
    if (access.kind !== 'normal' || (bytes < 4 && this.asked.includes(true))) this.isRare = true;
    const va = this.keep(address.wide());
    const low = this.keep32(i32.wrap(local.get(va)));
    const isNormal = access.kind === 'normal';
    const mayMisalign = isNormal && frame.thorough;
    // Ordered and atomic pairs are one unit; a pair of plain loads is two.
    const alignment = isNormal ? bytes : bytes * elements;
    if (alignment > 1) {
      const misaligned = i32.and(local.get(low), i32.const(alignment - 1));
      if (!mayMisalign) this.emit(frame.failIf(misaligned));
      else this.emit(this.#failWhereAligned(misaligned));
    }
    const size = bytes * elements;
    if (size > 1 && (mayMisalign || size > alignment)) {
      this.emit(this.#failAtPageEnd(low, size));
    }
    if (alsoRead) this.#find('read', va, low);
    return this.#find(table, va, low);
  }

  /** Gives up what is misaligned where that faults. */
  #failWhereAligned(misaligned: Code): Code {
    const { alignment } = this.frame;
    if (typeof alignment === 'boolean') return alignment ? this.frame.failIf(misaligned) : [];
    return when(misaligned, this.frame.failIf(alignment));
  }

  /**
   * The host offset (a local) of `total` bytes, at most 64, made of elements of `element` bytes, all of
   * them checked.
   */
  protected vectorAccess(
    table: Table,
    address: Value,
    element: Size | 16,
    total: number,
    access: Access,
  ): number {
    const { frame } = this;
    const cache = total <= 16 && (total & (total - 1)) === 0 ? frame.pageCache?.(table) : undefined;
    if (cache !== undefined) {
      return this.#inCachedPage(cache, table, address, element, total, access.tagChecked);
    }
    if (this.#mayCross && total > 1) {
      return this.#acrossPages(table, address, element, total, access, (probe) =>
        this.#checkVectorTags(probe, total),
      );
    }
    const va = this.keep(address.wide());
    const low = this.keep32(i32.wrap(local.get(va)));
    if (element > 1) {
      const misaligned = i32.and(local.get(low), i32.const(element - 1));
      this.emit(frame.thorough ? this.#failWhereAligned(misaligned) : frame.failIf(misaligned));
    }
    if (total > 1) this.emit(this.#failAtPageEnd(low, total));
    const probe = this.#find(table, va, low);
    if (access.tagChecked) this.#checkVectorTags(probe, total);
    return this.keep32(this.#host(probe));
  }

  /** As `#checkTags`, for any number of bytes from any address. */
  #checkVectorTags(probe: Probe, bytes: number): void {
    const addend = this.frame.local(ValueType.i32);
    const low = local.get(probe.low);
    const check: Code[] = [this.compareTag(probe.address, low, addend)];
    for (let at = 16; at < bytes; at += 16) {
      check.push(this.compareTag(probe.address, i32.add(low, i32.const(at)), addend));
    }
    if (bytes > 1) {
      // The last byte is in a granule of its own where the first is not at the beginning of one.
      const rest = ((bytes - 1) & 15) + 1;
      const crosses = i32.gtU(i32.and(low, i32.const(15)), i32.const(16 - rest));
      const last = i32.add(low, i32.const(bytes - 1));
      check.push(when(crosses, this.compareTag(probe.address, last, addend)));
    }
    check.push(this.frame.countTagCheck());
    const special = i32.geU(local.get(addend), i32.const(SPECIAL));
    const found = local.set(addend, probe.tagAddend);
    const slow = this.frame.failIf(i32.eq(local.get(addend), i32.const(SPECIAL)));
    this.emit(onlyWhen(this.frame.checks, [found, when(special, slow, check)]));
  }

  #ofEntry(table: Table, entry: number, field: number): Code {
    return i32.load(local.get(entry), this.frame.tlbOffset + TABLE[table] + field);
  }

  #host(probe: Probe): Code {
    return i32.add(local.get(probe.low), probe.hostAddend);
  }

  // ---- for tags and blocks -------------------------------------------------------------------------

  protected probeOf(table: Table, address: number, low: number): Probe {
    return this.#find(table, address, low);
  }
  /** The same, in the page that the base register led to before where that is remembered with its tags. */
  protected probeFromBase(table: Table, address: number, low: number): Probe {
    const cache = this.frame.pageCache?.(table);
    if (cache?.tagAddend === undefined) return this.#find(table, address, low);
    const page = i64.and(local.get(address), i64.const(~0xfffn));
    const differs = i64.ne(page, local.get(cache.page));
    this.emit(
      whenUnlikely(
        differs,
        this.nested(() => this.#remember(cache, table, address, low)),
      ),
    );
    const [hostAddend, tagAddend] = [local.get(cache.hostAddend), local.get(cache.tagAddend)];
    return { address, low, hostAddend, tagAddend };
  }
  /** The check of `bytes` bytes, as an access of them. */
  protected checkBlock(probe: Probe, bytes: number): void {
    this.#checkVectorTags(probe, bytes);
  }
  /** The host offset of a probe's address. */
  protected hostOf(probe: Probe): Code {
    return this.#host(probe);
  }
  protected putToHost(bytes: Size, host: number, value: Value, offset: number): void {
    this.#toHost(bytes, host, value, offset);
  }

  // ---- data ----------------------------------------------------------------------------------------

  /** The element at a host offset, in a local. */
  #fromHost(bytes: Size, host: number, offset = 0): Value {
    const at = local.get(host);
    if (bytes === 8) return wideLocal(this.keep(i64.load(at, offset, ANY)));
    if (bytes === 4) return narrowLocal(this.keep32(i32.load(at, offset, ANY)));
    if (bytes === 2) return narrowLocal(this.keep32(i32.load16U(at, offset, ANY)));
    return narrowLocal(this.keep32(i32.load8U(at, offset)));
  }

  #toHost(bytes: Size, host: number, value: Value, offset = 0): void {
    const at = local.get(host);
    if (bytes === 8) this.emit(i64.store(at, value.wide(), offset, ANY));
    else if (bytes === 4) this.emit(i32.store(at, value.low(), offset, ANY));
    else if (bytes === 2) this.emit(i32.store16(at, value.low(), offset, ANY));
    else this.emit(i32.store8(at, value.low(), offset));
  }

  load(bytes: Size, address: Value, access: Access): Value {
    return this.#fromHost(bytes, this.#access('read', address, bytes, 1, access));
  }

  store(bytes: Size, address: Value, value: Value, access: Access): void {
    const host = this.#access('write', address, bytes, 1, access);
    this.#toHost(bytes, host, value);
    this.stored(host, bytes, access);
  }

  loadPair(bytes: 4 | 8, address: Value, access: Access): readonly [Value, Value] {
    if (access.kind !== 'normal') throw new Unsupported('ordered pair');
    const host = this.#access('read', address, bytes, 2, access);
    return [this.#fromHost(bytes, host), this.#fromHost(bytes, host, bytes)];
  }

  storePair(bytes: 4 | 8, address: Value, first: Value, second: Value, access: Access): void {
    if (access.kind !== 'normal') throw new Unsupported('ordered pair');
    const host = this.#access('write', address, bytes, 2, access);
    this.#toHost(bytes, host, first);
    this.#toHost(bytes, host, second, bytes);
    this.stored(host, 2 * bytes, access);
  }

  // ---- atomics -------------------------------------------------------------------------------------

  atomic(operation: AtomicOperation, bytes: Size, address: Value, operand: Value, access: Access): Value {
    const host = this.#access('write', address, bytes, 1, access, true);
    const old = this.#fromHost(bytes, host);
    this.#toHost(bytes, host, this.#combined(operation, bytes, old, operand));
    return old;
  }

  #combined(operation: AtomicOperation, bytes: Size, old: Value, operand: Value): Value {
    const w = bytes === 8 ? 64 : 32;
    switch (operation) {
      case 'add':
        return this.add(w, old, operand);
      case 'clr':
        return this.and(w, old, this.not(w, operand));
      case 'eor':
        return this.xor(w, old, operand);
      case 'set':
        return this.or(w, old, operand);
      case 'swp':
        return operand;
      default: {
        const isSigned = operation === 'smax' || operation === 'smin';
        const extended = (value: Value) =>
          isSigned ? this.sext(w, bytes * 8, value) : this.zext(bytes * 8, value);
        const x = this.let(extended(old));
        const y = this.let(extended(operand));
        const less = isSigned ? this.lts(w, x, y) : this.ltu(w, x, y);
        const isMaximum = operation === 'smax' || operation === 'umax';
        return isMaximum ? this.select(less, y, x) : this.select(less, x, y);
      }
    }
  }

  compareAndSwap(bytes: Size, address: Value, expected: Value, replacement: Value, access: Access): Value {
    const host = this.#access('write', address, bytes, 1, access, true);
    const old = this.#fromHost(bytes, host);
    const same = this.eq(bytes === 8 ? 64 : 32, old, this.zext(bytes * 8, expected));
    this.emit(
      when(
        same,
        this.nested(() => this.#toHost(bytes, host, replacement)),
      ),
    );
    return old;
  }

  compareAndSwapPair(
    bytes: 4 | 8,
    address: Value,
    expected: readonly [Value, Value],
    replacement: readonly [Value, Value],
    access: Access,
  ): readonly [Value, Value] {
    const host = this.#access('write', address, bytes, 2, access, true);
    const first = this.#fromHost(bytes, host);
    const second = this.#fromHost(bytes, host, bytes);
    const w = bytes === 8 ? 64 : 32;
    const same = i32.and(this.eq(w, first, expected[0]), this.eq(w, second, expected[1]));
    const swap = this.nested(() => {
      this.#toHost(bytes, host, replacement[0]);
      this.#toHost(bytes, host, replacement[1], bytes);
    });
    this.emit(when(same, swap));
    return [first, second];
  }

  // ---- exclusives ----------------------------------------------------------------------------------

  #cell(cell: number): Code {
    return i32.load(this.frame.cpu, STATE + cell);
  }
  #setCell(cell: number, value: Code): Code {
    return i32.store(this.frame.cpu, value, STATE + cell);
  }

  /** A load that marks; memory that does not exist yet has no place to mark. */
  #loadMarked(bytes: Size, elements: 1 | 2, address: Value, access: Access): number {
    const probe = this.#probe('read', address, bytes, elements, access, false);
    const host = this.keep32(this.#host(probe));
    const inZeroes = i32.ltU(i32.sub(local.get(host), i32.const(ZERO_CHUNK)), i32.const(CHUNK));
    this.emit(this.frame.failIf(inZeroes));
    // Nothing may give up behind the check, which counts.
    if (access.tagChecked) this.#checkTags(probe, bytes, elements, true);
    this.emit(this.#setCell(Cell.EXCLUSIVE, local.get(host)));
    this.emit(this.#setCell(Cell.EXCLUSIVE_BYTES, i32.const(bytes * elements)));
    return host;
  }

  loadExclusive(bytes: Size, address: Value, access: Access): Value {
    return this.#fromHost(bytes, this.#loadMarked(bytes, 1, address, access));
  }

  loadExclusivePair(bytes: 4 | 8, address: Value, access: Access): readonly [Value, Value] {
    const host = this.#loadMarked(bytes, 2, address, access);
    return [this.#fromHost(bytes, host), this.#fromHost(bytes, host, bytes)];
  }

  storeExclusive(bytes: Size, address: Value, value: Value, access: Access): Value {
    return this.#storeExclusive(bytes, 1, address, access, (host) => this.#toHost(bytes, host, value));
  }

  storeExclusivePair(bytes: 4 | 8, address: Value, first: Value, second: Value, access: Access): Value {
    return this.#storeExclusive(bytes, 2, address, access, (host) => {
      this.#toHost(bytes, host, first);
      this.#toHost(bytes, host, second, bytes);
    });
  }

  /** The translation is checked whether the monitor passes or not, the tag only if it does. */
  #storeExclusive(
    bytes: Size,
    elements: 1 | 2,
    address: Value,
    access: Access,
    store: (host: number) => void,
  ): Value {
    const probe = this.#probe('write', address, bytes, elements, access, false);
    const host = this.keep32(this.#host(probe));
    const status = this.keep32(i32.const(1));
    const passes = i32.and(
      i32.eq(this.#cell(Cell.EXCLUSIVE), local.get(host)),
      i32.eq(this.#cell(Cell.EXCLUSIVE_BYTES), i32.const(bytes * elements)),
    );
    const stored = this.nested(() => {
      if (access.tagChecked) this.#checkTags(probe, bytes, elements, true);
      store(host);
      this.emit(local.set(status, i32.const(0)));
    });
    this.emit(when(passes, stored));
    this.emit(this.#setCell(Cell.EXCLUSIVE, i32.const(0)));
    return narrowLocal(status);
  }

  clearExclusive(): void {
    this.isRare = true;
    this.emit(this.#setCell(Cell.EXCLUSIVE, i32.const(0)));
  }
}
