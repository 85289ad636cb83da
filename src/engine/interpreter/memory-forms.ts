/**
 * Memory and tags in forms: the TLB probe, the tag check and the access, inline.
 *
 * The code of an access does what MemoryAccess's fast path does, in the same order, and gives the
 * instruction up for everything else: no entry, a tag that differs, a page boundary, an alignment that
 * the kind of access forbids. Nothing is written before all of the instruction's probes have passed, so
 * that giving up is always possible.
 *
 * Ref. src/machine/cpu/memory-access.ts, src/machine/mmu/tlb.ts.
 */
import type { Access, AtomicOperation } from '../../../isa/index.js';
import { CHUNK, CpuLayout, cellOf, TLB_ENTRIES, TLB_TABLE_BYTES, ZERO_CHUNK } from '../../machine/index.js';
import { br, type Code, i32, i64, Label, local, loop, ValueType, when } from '../wasm/index.js';
import { FormBuilder } from './form-builder.js';
import { Unsupported } from './frame.js';
import { Cell, STATE } from './layout.js';
import { constantValue, narrowLocal, narrowValue, type Value, wideLocal, wideValue } from './values.js';

type Size = 1 | 2 | 4 | 8;
type Table = 'read' | 'write';

const TABLE: Readonly<Record<Table, number>> = { read: 0, write: TLB_TABLE_BYTES };
/** log2(4096 / 16): from an address to the offset of its entry. */
const ENTRY_SHIFT = 8;
const ENTRY_MASK = (TLB_ENTRIES - 1) * 16;
const HOST_ADDEND = 8;
const TAG_ADDEND = 12;
/** Tag addends from here up are UNTAGGED and SLOW. */
const SPECIAL = -2;
const GCR_EL1 = CpuLayout.SYSTEM + 8 * cellOf('gcr_el1');
/** No alignment is promised: WebAssembly allows any. */
const ANY = 0;

/** What a probe found: locals. */
interface Probe {
  /** i64: the address; i32: its low half. */
  readonly address: number;
  readonly low: number;
  /** i32: host offset of the TLB entry. */
  readonly entry: number;
  readonly table: Table;
}

export class MemoryFormBuilder extends FormBuilder {
  // ---- probes --------------------------------------------------------------------------------------

  /** Finds the entry of an address, or gives up. */
  #find(table: Table, address: number, low: number): Probe {
    const { frame } = this;
    const slot = i32.and(i32.shrU(local.get(low), i32.const(ENTRY_SHIFT)), i32.const(ENTRY_MASK));
    const entry = this.keep32(i32.add(frame.tlb, slot));
    // The key without the top byte, the context above it.
    const page = i64.shrU(i64.shl(local.get(address), i64.const(8n)), i64.const(20n));
    const key = i64.or(page, frame.dataContext);
    const differs = i64.xor(i64.load(local.get(entry), TABLE[table]), key);
    const top = i64.and(i64.xor(local.get(address), frame.half), frame.topMask);
    this.emit(frame.failIf(i64.ne(i64.or(differs, top), i64.const(0n))));
    return { address, low, entry, table };
  }

  /** Gives up where the granule at `low` (an i32) does not have the address's tag. */
  #compareTag(probe: Probe, low: Code, addend: number): Code {
    const byte = i32.load8U(i32.add(i32.shrU(low, i32.const(5)), local.get(addend)));
    const nibble = i32.shrU(byte, i32.and(i32.shrU(low, i32.const(2)), i32.const(4)));
    const tag = i32.wrap(i64.shrU(local.get(probe.address), i64.const(56n)));
    return this.frame.failIf(i32.and(i32.xor(nibble, tag), i32.const(15)));
  }

  #countTagCheck(): Code {
    const cpu = local.get(this.frame.cpu);
    const sum = i32.add(i32.load(cpu, STATE + Cell.TAG_CHECKS), i32.const(1));
    return i32.store(cpu, sum, STATE + Cell.TAG_CHECKS);
  }

  /** The check of `bytes` bytes, which are in one page. `split`: elements may cross granules. */
  #checkTags(probe: Probe, bytes: number, elements: number, aligned: boolean): void {
    const addend = this.frame.local(ValueType.i32);
    const low = local.get(probe.low);
    const size = bytes * elements;
    const crosses = i32.gtU(i32.and(low, i32.const(15)), i32.const(16 - size));
    const last = i32.add(low, i32.const(size - 1));
    const maybeCrosses = size > 1 && (elements > 1 || !aligned);
    const check: Code = [
      this.#compareTag(probe, low, addend),
      maybeCrosses ? when(crosses, this.#compareTag(probe, last, addend)) : [],
      this.#countTagCheck(),
    ];
    const special = i32.geU(local.get(addend), i32.const(SPECIAL));
    const found = local.set(addend, i32.load(local.get(probe.entry), TABLE[probe.table] + TAG_ADDEND));
    const slow = this.frame.failIf(i32.eq(local.get(addend), i32.const(SPECIAL)));
    this.emit(when(this.frame.checks, [found, when(special, slow, check)]));
  }

  /**
   * The host offset (a local) of `elements` elements of `bytes` bytes. `strict`: the alignment that the
   * kind of access needs, 1 for normal accesses.
   */
  #access(
    table: Table,
    address: Value,
    bytes: Size,
    elements: 1 | 2,
    access: Access,
    alsoRead = false,
  ): number {
    const { frame } = this;
    if (access.unprivileged === true) throw new Unsupported('unprivileged access');
    const va = this.keep(address.wide());
    const low = this.keep32(i32.wrap(local.get(va)));
    const isNormal = access.kind === 'normal';
    const mayMisalign = isNormal && frame.thorough;
    // Ordered and atomic pairs are one unit; a pair of plain loads is two.
    const alignment = isNormal ? bytes : bytes * elements;
    if (alignment > 1) {
      const misaligned = i32.and(local.get(low), i32.const(alignment - 1));
      if (!mayMisalign) this.emit(frame.failIf(misaligned));
      else this.emit(when(misaligned, frame.failIf(this.cell32(Cell.ALIGNMENT))));
    }
    const size = bytes * elements;
    if (size > 1 && (mayMisalign || size > alignment)) {
      const offset = i32.and(local.get(low), i32.const(4095));
      this.emit(frame.failIf(i32.gtU(offset, i32.const(4096 - size))));
    }
    if (alsoRead) this.#find('read', va, low);
    const probe = this.#find(table, va, low);
    if (access.tagChecked) this.#checkTags(probe, bytes, elements, !mayMisalign);
    return this.keep32(this.#host(probe));
  }

  #host(probe: Probe): Code {
    const addend = i32.load(local.get(probe.entry), TABLE[probe.table] + HOST_ADDEND);
    return i32.add(local.get(probe.low), addend);
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
    if (access.kind === 'exclusive') throw new Unsupported('exclusive access');
    return this.#fromHost(bytes, this.#access('read', address, bytes, 1, access));
  }

  store(bytes: Size, address: Value, value: Value, access: Access): void {
    this.#toHost(bytes, this.#access('write', address, bytes, 1, access), value);
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

  // ---- tags ----------------------------------------------------------------------------------------

  tagAccessEnabled(): Code {
    return this.cell32(Cell.ATA);
  }
  tagOf(address: Value): Value {
    const top = i32.wrap(i64.shrU(address.wide(), i64.const(56n)));
    return narrowValue(i32.and(top, i32.const(15)));
  }
  withTag(address: Value, tag: Value): Value {
    const plain = i64.and(address.wide(), i64.const(~(0xfn << 56n)));
    const high = i64.shl(i64.and(tag.wide(), i64.const(15n)), i64.const(56n));
    return wideValue(i64.or(plain, high));
  }
  /** ChooseNonExcludedTag with GCR_EL1.Exclude; where access is not enabled the result is not used. */
  nextTag(tag: Value, offset: Value): Value {
    const at = this.keep32(tag.low());
    const steps = this.keep32(i32.and(offset.low(), i32.const(15)));
    const exclude = this.keep32(i32.load16U(local.get(this.frame.cpu), STATE + GCR_EL1));
    const step = local.set(at, i32.and(i32.add(local.get(at), i32.const(1)), i32.const(15)));
    const again = new Label('next tag');
    const isExcluded = i32.and(i32.shrU(local.get(exclude), local.get(at)), i32.const(1));
    const more = i32.gtU(local.get(steps), i32.const(1));
    const fewer = local.set(steps, i32.sub(local.get(steps), i32.const(1)));
    const search: Code = [
      when(local.get(steps), step),
      loop(again, [when(isExcluded, [step, br(again)]), when(more, [fewer, step, br(again)])]),
    ];
    const allExcluded = i32.eq(local.get(exclude), i32.const(0xffff));
    this.emit(when(allExcluded, local.set(at, i32.const(0)), search));
    return narrowLocal(at);
  }

  /** The granule of an address, translated for tag access: the probe, and the tag addend in a local. */
  #tagProbe(table: Table, va: number): { probe: Probe; addend: number } {
    const low = this.keep32(i32.wrap(local.get(va)));
    const probe = this.#find(table, va, low);
    const addend = this.keep32(i32.load(local.get(probe.entry), TABLE[table] + TAG_ADDEND));
    this.emit(this.frame.failIf(i32.eq(local.get(addend), i32.const(SPECIAL))));
    return { probe, addend };
  }

  /** True where the entry's memory has tags and the level may access them. */
  #hasTags(addend: number): Code {
    return i32.and(i32.ne(local.get(addend), i32.const(-1)), this.tagAccessEnabled());
  }

  #tagByte(probe: Probe, addend: number): Code {
    return i32.add(i32.shrU(local.get(probe.low), i32.const(5)), local.get(addend));
  }

  loadTag(address: Value): Value {
    const va = this.keep(i64.and(address.wide(), i64.const(~15n)));
    const { probe, addend } = this.#tagProbe('read', va);
    const tag = this.keep32(i32.const(0));
    const shift = i32.and(i32.shrU(local.get(probe.low), i32.const(2)), i32.const(4));
    const nibble = i32.and(i32.shrU(i32.load8U(this.#tagByte(probe, addend)), shift), i32.const(15));
    this.emit(when(this.#hasTags(addend), local.set(tag, nibble)));
    return narrowLocal(tag);
  }

  storeTag(address: Value, tag: Value, granules: 1 | 2, zeroData: boolean): void {
    const va = this.keep(address.wide());
    const value = this.keep32(tag.low());
    const { probe, addend } = this.#tagStore(va, granules);
    if (zeroData) {
      const host = this.keep32(this.#host(probe));
      for (let at = 0; at < 16 * granules; at += 8) this.#toHost(8, host, constantValue(0n), at);
    }
    this.emit(when(this.#hasTags(addend), this.#putTags(probe, addend, value, granules)));
  }

  storeTagPair(address: Value, tag: Value, first: Value, second: Value): void {
    const va = this.keep(address.wide());
    const value = this.keep32(tag.low());
    const { probe, addend } = this.#tagStore(va, 1);
    const host = this.keep32(this.#host(probe));
    this.#toHost(8, host, first);
    this.#toHost(8, host, second, 8);
    this.emit(when(this.#hasTags(addend), this.#putTags(probe, addend, value, 1)));
  }

  /** Gives up where a tag store is not one of bytes in memory. */
  #tagStore(va: number, granules: 1 | 2): { probe: Probe; addend: number } {
    const { frame } = this;
    this.emit(frame.failIf(i32.and(i32.wrap(local.get(va)), i32.const(15))));
    this.emit(frame.failIf(this.cell32(Cell.TAG_STORES_SEEN)));
    if (granules === 2) {
      const offset = i32.and(i32.wrap(local.get(va)), i32.const(4095));
      this.emit(frame.failIf(i32.eq(offset, i32.const(4080))));
    }
    const found = this.#tagProbe('write', va);
    // Tag storage that does not exist yet reads as the chunk of zeros, which is never written.
    const inZeroes = i32.ltU(
      i32.sub(this.#tagByte(found.probe, found.addend), i32.const(ZERO_CHUNK)),
      i32.const(CHUNK),
    );
    this.emit(frame.failIf(i32.and(i32.ne(local.get(found.addend), i32.const(-1)), inZeroes)));
    return found;
  }

  #putTags(probe: Probe, addend: number, value: number, granules: 1 | 2): Code {
    const put = (low: Code): Code => {
      const at = i32.add(i32.shrU(low, i32.const(5)), local.get(addend));
      const shift = i32.and(i32.shrU(low, i32.const(2)), i32.const(4));
      const kept = i32.and(i32.load8U(at), i32.shrU(i32.const(0xf0), shift));
      return i32.store8(at, i32.or(kept, i32.shl(local.get(value), shift)));
    };
    const low = local.get(probe.low);
    return granules === 1 ? put(low) : [put(low), put(i32.add(low, i32.const(16)))];
  }
}
