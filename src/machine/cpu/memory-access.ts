/**
 * Loads, stores and atomics of one CPU, with everything that can go wrong in order; accesses to tags are in
 * tag-access.ts.
 *
 * The fast path is one TLB probe and one tag compare for an access that is aligned to its size and
 * allowed; whatever is not that takes the slow path, which does the whole of the architecture: alignment
 * by kind of access, then for each element, and inside it for each granule, translation and permission,
 * then the tag check. Nothing is written before every piece has been checked.
 *
 * A misaligned element that crosses a 16-byte granule is checked in two pieces, so that a fault of the
 * second gives its first byte as FAR.
 *
 * Ref. DDI 0487, B2.5.2 (alignment), D10.4 (tag checks); J1 AArch64.MemSingle, AArch64.CheckAlignment,
 * AArch64.AccessTagIsChecked, AArch64.TagCheckFault.
 */
import type { Access, AtomicOperation } from '../../../isa/index.js';
import type { LinearMemory } from '../memory/linear-memory.js';
import { EntryFlag, SLOW, TLB_TABLE_BYTES, TlbKind, tlbSlot, UNTAGGED } from '../mmu/index.js';
import type { Cpu } from './cpu.js';
import { alignmentFault, GuestException } from './exception.js';
import { ExclusiveMonitor } from './exclusive-monitor.js';
import { GRANULE, TagAccess } from './tag-access.js';

export type AccessSize = 1 | 2 | 4 | 8;

const NORMAL: Access = { kind: 'normal', tagChecked: false };

/** A write to memory, for traces. */
export interface MemoryWrite {
  readonly va: bigint;
  readonly bytes: number;
  readonly value: bigint;
}

export class MemoryAccess extends TagAccess {
  readonly #linear: LinearMemory;
  /** Engines with a monitor of their own keep it equal to this one. */
  readonly monitor = new ExclusiveMonitor();
  /** Word indices of the read and write tables. */
  readonly #readTable: number;
  readonly #writeTable: number;
  /** The pieces of the access being done: physical address, length, and 1 where it is cacheable. */
  readonly #pieces: number[] = [];
  /** Called for each write where someone traces. */
  onWrite: ((write: MemoryWrite) => void) | undefined;

  constructor(cpu: Cpu) {
    super(cpu);
    this.#linear = cpu.linear;
    this.#readTable = cpu.mmu.tlb.base >>> 2;
    this.#writeTable = (cpu.mmu.tlb.base + TLB_TABLE_BYTES) >>> 2;
  }

  // ---- fast path -----------------------------------------------------------------------------------

  /**
   * Host offset for `bytes` bytes from the address in split, aligned to `alignment`, in one page and
   * with matching tags; -1 where the slow path must look.
   */
  #probe(table: number, bytes: number, alignment: number, access: Access): number {
    const low = this.split[0]!;
    const high = this.split[1]!;
    if ((low & (alignment - 1)) !== 0 || (low & 0xfff) + bytes > 4096 || access.unprivileged === true)
      return -1;
    const cpu = this.cpu;
    const words = this.#linear.i32;
    const w = table + tlbSlot(low) * 4;
    if (
      words[w] !== ((high << 20) | (low >>> 12) | 0) ||
      words[w + 1] !== (((high >>> 12) & 0xfff) | (cpu.dataContext << 12) | 0)
    ) {
      return -1;
    }
    const isUpper = (high & 0x80_0000) !== 0;
    const tbi = isUpper ? cpu.tbiUpper : cpu.tbiLower;
    if (!tbi && high >>> 24 !== (isUpper ? 0xff : 0)) return -1;
    if (access.tagChecked && cpu.tcf !== 0 && tbi) {
      const addend = words[w + 3]!;
      if (addend !== UNTAGGED) {
        if (addend === SLOW) return -1;
        const tag = (high >>> 24) & 15;
        const byte = this.#linear.u8[((low >>> 5) + addend) >>> 0]!;
        if (((low & GRANULE) === 0 ? byte & 15 : byte >> 4) !== tag) return -1;
        for (let at = (low & ~15) + GRANULE; at < low + bytes; at += GRANULE) {
          const more = this.#linear.u8[((at >>> 5) + addend) >>> 0]!;
          if (((at & GRANULE) === 0 ? more & 15 : more >> 4) !== tag) return -1;
        }
        cpu.tagChecks++;
      }
    }
    return (low + words[w + 2]!) >>> 0;
  }

  load(bytes: AccessSize, va: bigint, access: Access): bigint {
    this.split64[0] = va;
    const host = this.#probe(this.#readTable, bytes, bytes, access);
    if (host < 0) return this.#loadSlow(bytes, va, access);
    return this.#fromHost(bytes, host);
  }

  #fromHost(bytes: AccessSize, host: number): bigint {
    const linear = this.#linear;
    if (bytes === 8) return linear.u64[host >>> 3]!;
    if (bytes === 4) return BigInt(linear.u32[host >>> 2]!);
    if (bytes === 1) return BigInt(linear.u8[host]!);
    return BigInt(linear.view.getUint16(host, true));
  }

  store(bytes: AccessSize, va: bigint, value: bigint, access: Access): void {
    this.split64[0] = va;
    const host = this.#probe(this.#writeTable, bytes, bytes, access);
    if (host < 0) this.#storeSlow(bytes, va, value, access);
    else this.#toHost(bytes, host, value);
    this.onWrite?.({ va, bytes, value: BigInt.asUintN(bytes * 8, value) });
  }

  #toHost(bytes: AccessSize, host: number, value: bigint): void {
    const linear = this.#linear;
    if (bytes === 8) {
      linear.u64[host >>> 3] = value;
    } else {
      this.split64[0] = value;
      const low = this.split[0]!;
      if (bytes === 4) linear.i32[host >>> 2] = low;
      else if (bytes === 1) linear.u8[host] = low;
      else linear.view.setUint16(host, low & 0xffff, true);
    }
  }

  loadPair(bytes: 4 | 8, va: bigint, access: Access): readonly [bigint, bigint] {
    this.split64[0] = va;
    const host = access.kind === 'normal' ? this.#probe(this.#readTable, 2 * bytes, bytes, access) : -1;
    if (host >= 0) return [this.#fromHost(bytes, host), this.#fromHost(bytes, host + bytes)];
    this.#checkAlignment(va, bytes, access, false);
    this.#resolve(va, bytes, 2, access, TlbKind.read, false);
    return [this.#gather(0, bytes), this.#gather(bytes, bytes)];
  }

  storePair(bytes: 4 | 8, va: bigint, first: bigint, second: bigint, access: Access): void {
    this.split64[0] = va;
    const host = access.kind === 'normal' ? this.#probe(this.#writeTable, 2 * bytes, bytes, access) : -1;
    if (host >= 0) {
      this.#toHost(bytes, host, first);
      this.#toHost(bytes, host + bytes, second);
    } else {
      this.#checkAlignment(va, bytes, access, true);
      this.#resolve(va, bytes, 2, access, TlbKind.write, true);
      this.#scatter(0, bytes, first);
      this.#scatter(bytes, bytes, second);
    }
    if (this.onWrite !== undefined) {
      this.onWrite({ va, bytes, value: BigInt.asUintN(bytes * 8, first) });
      this.onWrite({ va: va + BigInt(bytes), bytes, value: BigInt.asUintN(bytes * 8, second) });
    }
  }

  /**
   * `total` bytes (at most 64) of consecutive elements, each checked as an access of its own; 16 bytes to
   * a result, zeros after the last.
   */
  loadVector(element: 1 | 2 | 4 | 8 | 16, total: number, va: bigint, access: Access): bigint[] {
    this.split64[0] = va;
    const host = this.#probe(this.#readTable, total, element, access);
    if (host < 0) {
      this.#checkAlignment(va, element, access, false);
      this.#resolve(va, element, total / element, access, TlbKind.read, false);
    }
    const { view } = this.#linear;
    const out: bigint[] = [];
    for (let at = 0; at < total; at += 8) {
      const bytes = Math.min(8, total - at);
      const half =
        host < 0
          ? this.#gather(at, bytes)
          : bytes === 8
            ? view.getBigUint64(host + at, true)
            : this.#hostBytes(host + at, bytes);
      if ((at & 8) === 0) out.push(half);
      else out[at >>> 4]! |= half << 64n;
    }
    return out;
  }

  storeVector(
    element: 1 | 2 | 4 | 8 | 16,
    total: number,
    va: bigint,
    values: readonly bigint[],
    access: Access,
  ): void {
    this.split64[0] = va;
    const host = this.#probe(this.#writeTable, total, element, access);
    if (host < 0) {
      this.#checkAlignment(va, element, access, true);
      this.#resolve(va, element, total / element, access, TlbKind.write, true);
    }
    const { u8, view } = this.#linear;
    for (let at = 0; at < total; at += 8) {
      const bytes = Math.min(8, total - at);
      const half = BigInt.asUintN(8 * bytes, values[at >>> 4]! >> ((at & 8) === 0 ? 0n : 64n));
      if (host < 0) this.#scatter(at, bytes, half);
      else if (bytes === 8) view.setBigUint64(host + at, half, true);
      else for (let i = 0; i < bytes; i++) u8[host + at + i] = Number((half >> BigInt(8 * i)) & 0xffn);
      this.onWrite?.({ va: BigInt.asUintN(64, va + BigInt(at)), bytes, value: half });
    }
  }

  #hostBytes(host: number, bytes: number): bigint {
    let value = 0n;
    for (let i = bytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#linear.u8[host + i]!);
    return value;
  }

  // ---- slow path -----------------------------------------------------------------------------------

  #loadSlow(bytes: AccessSize, va: bigint, access: Access): bigint {
    this.#checkAlignment(va, bytes, access, false);
    this.#resolve(va, bytes, 1, access, TlbKind.read, false);
    return this.#gather(0, bytes);
  }

  #storeSlow(bytes: AccessSize, va: bigint, value: bigint, access: Access): void {
    this.#checkAlignment(va, bytes, access, true);
    this.#resolve(va, bytes, 1, access, TlbKind.write, true);
    this.#scatter(0, bytes, value);
  }

  /** AArch64.CheckAlignment. `alignment`: the size of the single-copy atomic unit. */
  #checkAlignment(va: bigint, alignment: number, access: Access, isWrite: boolean): void {
    this.split64[0] = va;
    const low = this.split[0]!;
    if ((low & (alignment - 1)) === 0) return;
    const cpu = this.cpu;
    // Both oracles let a misaligned Load-Exclusive inside 16 bytes pass, but no Store-Exclusive.
    let fault = cpu.alignmentChecked || (access.kind === 'exclusive' && isWrite);
    if (!fault && access.kind !== 'normal') {
      const crosses = (low & 15) + alignment > GRANULE;
      if (!cpu.environment.has('FEAT_LSE2')) fault = true;
      else fault = crosses && (access.kind !== 'ordered' || !cpu.nAA);
    }
    if (fault) throw alignmentFault(isWrite, va);
  }

  /**
   * Checks `count` elements of `bytes` bytes from `va` and leaves their pieces in #pieces.
   * `reportWrite`: what a fault says about direction (atomics report the read).
   */
  #resolve(
    va: bigint,
    bytes: number,
    count: number,
    access: Access,
    kind: TlbKind,
    reportWrite: boolean,
    alsoWrite = false,
  ): void {
    this.#pieces.length = 0;
    this.isCounted = false;
    for (let element = 0; element < count; element++) {
      const at = element === 0 ? va : BigInt.asUintN(64, va + BigInt(element * bytes));
      const offset = Number(at & 15n);
      const room = GRANULE - offset;
      const aligned = (offset & (bytes - 1)) === 0;
      if (aligned || bytes <= room) {
        this.#piece(at, bytes, aligned, access, kind, reportWrite, alsoWrite);
      } else {
        this.#piece(at, room, false, access, kind, reportWrite, alsoWrite);
        const next = BigInt.asUintN(64, at + BigInt(room));
        this.#piece(next, bytes - room, false, access, kind, reportWrite, alsoWrite);
      }
    }
    const cpu = this.cpu;
    const user = cpu.isUser || (access.unprivileged === true && cpu.userContext !== cpu.dataContext);
    const isStore = kind === TlbKind.write;
    cpu.debug.checkAccess(va, bytes * count, !isStore, isStore || alsoWrite, user);
  }

  #piece(
    va: bigint,
    bytes: number,
    aligned: boolean,
    access: Access,
    kind: TlbKind,
    reportWrite: boolean,
    alsoWrite: boolean,
  ): void {
    const cpu = this.cpu;
    const unprivileged = access.unprivileged === true;
    const user = cpu.isUser || (unprivileged && cpu.userContext !== cpu.dataContext);
    const context = unprivileged ? cpu.userContext : cpu.dataContext;
    const pan = cpu.panApplies && !user;
    this.split64[0] = va;
    const low = this.split[0]!;
    const high = this.split[1]!;
    const tlb = cpu.mmu.tlb;
    let entry = cpu.mmu.translate(cpu.config, context, va, low, high, kind, user, pan, 0);
    if (alsoWrite) entry = cpu.mmu.translate(cpu.config, context, va, low, high, TlbKind.write, user, pan, 0);
    const flags = tlb.flags[entry]!;
    const pa = tlb.page[entry]! + (low & 0xfff);
    if (!aligned && (flags & EntryFlag.device) !== 0) throw alignmentFault(reportWrite, va);
    if (access.tagChecked && (flags & EntryFlag.tagged) !== 0) {
      this.checkTag(va, high, pa, unprivileged ? cpu.userTcf : cpu.tcf, user, reportWrite);
    }
    if (!this.memory.isBacked(pa, bytes)) throw this.externalAbort(va, reportWrite);
    this.#pieces.push(pa, bytes, (flags & EntryFlag.uncached) === 0 ? 1 : 0);
  }

  /** `bytes` bytes from byte `from` of the resolved access. */
  #gather(from: number, bytes: number): bigint {
    const pieces = this.#pieces;
    let skip = from;
    let value = 0n;
    let done = 0;
    for (let i = 0; i < pieces.length && done < bytes; i += 3) {
      const pa = pieces[i]!;
      const length = pieces[i + 1]!;
      const cacheable = pieces[i + 2] === 1;
      if (skip >= length) {
        skip -= length;
        continue;
      }
      const run = Math.min(length - skip, bytes - done);
      if (run === bytes && (run === 1 || run === 2 || run === 4 || run === 8)) {
        return this.memory.load(pa + skip, run, cacheable);
      }
      for (let b = 0; b < run; b++) {
        value |= this.memory.load(pa + skip + b, 1, cacheable) << BigInt(8 * (done + b));
      }
      done += run;
      skip = 0;
    }
    return value;
  }

  #scatter(from: number, bytes: number, value: bigint): void {
    const pieces = this.#pieces;
    let skip = from;
    let done = 0;
    for (let i = 0; i < pieces.length && done < bytes; i += 3) {
      const pa = pieces[i]!;
      const length = pieces[i + 1]!;
      const cacheable = pieces[i + 2] === 1;
      if (skip >= length) {
        skip -= length;
        continue;
      }
      const run = Math.min(length - skip, bytes - done);
      if (run === bytes && (run === 1 || run === 2 || run === 4 || run === 8)) {
        this.memory.store(pa + skip, run, BigInt.asUintN(run * 8, value), cacheable);
        return;
      }
      for (let b = 0; b < run; b++) {
        this.memory.store(pa + skip + b, 1, (value >> BigInt(8 * (done + b))) & 0xffn, cacheable);
      }
      done += run;
      skip = 0;
    }
  }

  // ---- atomics -------------------------------------------------------------------------------------

  /** MemAtomic: gives the old value. */
  atomic(operation: AtomicOperation, bytes: AccessSize, va: bigint, operand: bigint, access: Access): bigint {
    this.#checkAlignment(va, bytes, access, false);
    this.#resolve(va, bytes, 1, access, TlbKind.read, false, true);
    const old = this.#gather(0, bytes);
    const value = BigInt.asUintN(bytes * 8, combine(operation, bytes * 8, old, operand));
    this.#scatter(0, bytes, value);
    this.onWrite?.({ va, bytes, value });
    return old;
  }

  compareAndSwap(
    bytes: AccessSize,
    va: bigint,
    expected: bigint,
    replacement: bigint,
    access: Access,
  ): bigint {
    this.#checkAlignment(va, bytes, access, false);
    this.#resolve(va, bytes, 1, access, TlbKind.read, false, true);
    const old = this.#gather(0, bytes);
    if (old === BigInt.asUintN(bytes * 8, expected)) {
      this.#scatter(0, bytes, replacement);
      this.onWrite?.({ va, bytes, value: BigInt.asUintN(bytes * 8, replacement) });
    }
    return old;
  }

  compareAndSwapPair(
    bytes: 4 | 8,
    va: bigint,
    expected: readonly [bigint, bigint],
    replacement: readonly [bigint, bigint],
    access: Access,
  ): readonly [bigint, bigint] {
    this.#checkAlignment(va, 2 * bytes, access, false);
    this.#resolve(va, bytes, 2, access, TlbKind.read, false, true);
    const first = this.#gather(0, bytes);
    const second = this.#gather(bytes, bytes);
    const bits = bytes * 8;
    if (first === BigInt.asUintN(bits, expected[0]) && second === BigInt.asUintN(bits, expected[1])) {
      this.#scatter(0, bytes, replacement[0]);
      this.#scatter(bytes, bytes, replacement[1]);
      this.onWrite?.({ va, bytes, value: BigInt.asUintN(bits, replacement[0]) });
      this.onWrite?.({ va: va + BigInt(bytes), bytes, value: BigInt.asUintN(bits, replacement[1]) });
    }
    return [first, second];
  }

  // ---- exclusives ----------------------------------------------------------------------------------

  loadExclusive(bytes: AccessSize, va: bigint, access: Access): bigint {
    this.#checkAlignment(va, bytes, access, false);
    this.#resolve(va, bytes, 1, access, TlbKind.read, false);
    this.monitor.set(this.#pieces[0]!, bytes);
    return this.#gather(0, bytes);
  }

  loadExclusivePair(bytes: 4 | 8, va: bigint, access: Access): readonly [bigint, bigint] {
    this.#checkAlignment(va, 2 * bytes, access, false);
    this.#resolve(va, bytes, 2, access, TlbKind.read, false);
    this.monitor.set(this.#pieces[0]!, 2 * bytes);
    return [this.#gather(0, bytes), this.#gather(bytes, bytes)];
  }

  /** 0 stored, 1 not. The address is checked whether the monitor passes or not; the tag only if it does. */
  storeExclusive(bytes: AccessSize, va: bigint, value: bigint, access: Access): bigint {
    if (!this.#exclusivePasses(bytes, 1, va, access)) return 1n;
    this.#scatter(0, bytes, value);
    this.onWrite?.({ va, bytes, value: BigInt.asUintN(bytes * 8, value) });
    return 0n;
  }

  storeExclusivePair(bytes: 4 | 8, va: bigint, first: bigint, second: bigint, access: Access): bigint {
    if (!this.#exclusivePasses(bytes, 2, va, access)) return 1n;
    this.#scatter(0, bytes, first);
    this.#scatter(bytes, bytes, second);
    this.onWrite?.({ va, bytes, value: BigInt.asUintN(bytes * 8, first) });
    this.onWrite?.({ va: va + BigInt(bytes), bytes, value: BigInt.asUintN(bytes * 8, second) });
    return 0n;
  }

  /** AArch64.ExclusiveMonitorsPass, then the checks of the store itself. */
  #exclusivePasses(bytes: AccessSize, count: number, va: bigint, access: Access): boolean {
    this.#checkAlignment(va, bytes * count, access, true);
    const unchecked = access.tagChecked ? { ...access, tagChecked: false } : access;
    this.#resolve(va, bytes, count, unchecked, TlbKind.write, true);
    const pa = this.#pieces[0]!;
    const passes = this.monitor.passes(pa, bytes * count);
    this.monitor.clear();
    if (passes && access.tagChecked) this.#resolve(va, bytes, count, access, TlbKind.write, true);
    return passes;
  }

  /** Gives true if a mark was set. */
  clearExclusive(): boolean {
    return this.monitor.clear();
  }

  // ---- for supervisors, debuggers, semihosting -----------------------------------------------------

  /** Reads one byte as the current level would, unchecked by tags; undefined where that would fault. */
  peek(va: bigint): number | undefined {
    try {
      return Number(this.load(1, va, NORMAL));
    } catch (fault) {
      if (fault instanceof GuestException) return undefined;
      throw fault;
    }
  }
}

/** Ref. MemAtomic: the operation on zero-extended values of `bits` bits. */
function combine(operation: AtomicOperation, bits: number, old: bigint, operand: bigint): bigint {
  const value = BigInt.asUintN(bits, operand);
  switch (operation) {
    case 'add':
      return old + value;
    case 'clr':
      return old & ~value;
    case 'eor':
      return old ^ value;
    case 'set':
      return old | value;
    case 'swp':
      return value;
    case 'umax':
      return old > value ? old : value;
    case 'umin':
      return old < value ? old : value;
    case 'smax':
      return BigInt.asIntN(bits, old) > BigInt.asIntN(bits, value) ? old : value;
    case 'smin':
      return BigInt.asIntN(bits, old) < BigInt.asIntN(bits, value) ? old : value;
  }
}
