/**
 * Accesses to allocation tags and to blocks (DC ZVA and its kin), and what every access shares with them:
 * the check of a logical tag against memory's.
 *
 * Ref. DDI 0487, D10.3 (allocation tags), C6.2 (STG and its kin), C5.3 (DC ZVA, GVA, GZVA); J1
 * AArch64.MemTag, AArch64.AccessTagIsChecked.
 */
import { SCR } from '../../../isa/index.js';
import type { MemorySystem } from '../memory/memory-system.js';
import { TagHistory } from '../memory/tag-history.js';
import { EntryFlag, TlbKind } from '../mmu/index.js';
import type { Cpu } from './cpu.js';
import {
  alignmentFault,
  dataAbort,
  ExceptionClass,
  FaultStatus,
  GuestException,
  ISS_WNR,
} from './exception.js';
import { cellOf } from './system-cells.js';

/** Bytes that share a tag. */
export const GRANULE = 16;
const GRANULE_MASK = ~15n;
const SCR_EL3 = cellOf('scr_el3');

export class TagAccess {
  protected readonly cpu: Cpu;
  protected readonly memory: MemorySystem;
  /** An address in halves: bigint in, two int32 out. */
  protected readonly split64 = new BigUint64Array(1);
  protected readonly split = new Int32Array(this.split64.buffer);
  /** An access is one tag check, however many granules it touches. */
  protected isCounted = false;

  constructor(cpu: Cpu) {
    this.cpu = cpu;
    this.memory = cpu.memory;
  }

  // ---- checks --------------------------------------------------------------------------------------

  protected externalAbort(va: bigint, isWrite: boolean): GuestException {
    const cpu = this.cpu;
    const toEl3 = cpu.environment.hasEl3 && cpu.cells.bit(SCR_EL3, SCR.EA);
    return new GuestException(
      ExceptionClass.DataAbort,
      FaultStatus.SynchronousExternal | (isWrite ? ISS_WNR : 0),
      toEl3 ? { vaddress: va, target: 3 } : { vaddress: va },
    );
  }

  /** AArch64.AccessTagIsChecked and CheckTag; `tcf` is 0 where TCO, TCF or ATA switch checks off. */
  protected checkTag(
    va: bigint,
    high: number,
    pa: number,
    tcf: number,
    user: boolean,
    isWrite: boolean,
  ): void {
    if (tcf === 0) return;
    const cpu = this.cpu;
    const upper = (high & 0x80_0000) !== 0;
    const half = upper ? (cpu.config.upper ?? cpu.config.lower) : cpu.config.lower;
    if (!half.tbi) return;
    const tag = (high >>> 24) & 15;
    // TCMA: tag 0 in the lower half, tag 15 in the upper one, are not checked.
    if (half.tcma && tag === (upper ? 15 : 0)) return;
    if (!this.isCounted) cpu.tagChecks++;
    this.isCounted = true;
    if (this.memory.readTag(pa) === tag) return;
    if (tcf === 1 || (tcf === 3 && !isWrite)) throw dataAbort(FaultStatus.SynchronousTagCheck, isWrite, va);
    cpu.tags.reportAsynchronous(user ? 0 : cpu.pstate.el, upper);
  }

  // ---- tags ----------------------------------------------------------------------------------------

  /** Translates for a tag access or a block operation; gives the TLB entry. */
  #translate(va: bigint, kind: TlbKind, flags = 0): number {
    const cpu = this.cpu;
    this.split64[0] = va;
    const low = this.split[0]!;
    const high = this.split[1]!;
    return cpu.mmu.translate(
      cpu.config,
      cpu.dataContext,
      va,
      low,
      high,
      kind,
      cpu.isUser,
      cpu.panApplies,
      flags,
    );
  }

  #physical(va: bigint, entry: number): number {
    return this.cpu.mmu.tlb.page[entry]! + Number(va & 0xfffn);
  }

  #isCacheable(entry: number): boolean {
    return (this.cpu.mmu.tlb.flags[entry]! & EntryFlag.uncached) === 0;
  }

  #isTagged(entry: number): boolean {
    return this.cpu.ata && (this.cpu.mmu.tlb.flags[entry]! & EntryFlag.tagged) !== 0;
  }

  /** AArch64.MemTag read of the granule at `va`. */
  loadTag(va: bigint): number {
    const at = va & GRANULE_MASK;
    const entry = this.#translate(at, TlbKind.read);
    return this.#isTagged(entry) ? this.memory.readTag(this.#physical(at, entry)) : 0;
  }

  /**
   * Granules of one page from `va` on, whose first is at `pa`, get a tag. Who gives it is remembered in the
   * history, or, in frames of functions, by granule.
   */
  #writeTags(va: bigint, pa: number, tag: number, granules: 1 | 2 | 4): void {
    const { memory } = this;
    const { pc, steps } = this.cpu;
    const isNoted =
      !memory.recordsTagWriters ||
      (!TagHistory.isOfFrame(this.cpu, va) &&
        memory.tagHistory?.note(this.cpu, va, memory.readTag(pa), tag, granules) === true);
    for (let at = pa; at < pa + granules * GRANULE; at += GRANULE) {
      if (!isNoted) {
        memory.noteTagWrite(at, { pc, step: BigInt(steps), before: memory.readTag(at), after: tag });
      }
      memory.writeTag(at, tag);
    }
  }

  /** STG, ST2G, STZG, STZ2G. */
  storeTag(va: bigint, tag: number, granules: 1 | 2, zeroData: boolean): void {
    if ((va & 15n) !== 0n) throw alignmentFault(true, va);
    const first = this.#translate(va, TlbKind.write);
    const pa = this.#physical(va, first);
    const next = BigInt.asUintN(64, va + 16n);
    const second = granules === 2 ? this.#translate(next, TlbKind.write) : first;
    // A second fill may have replaced the first entry only if it is the same slot, which it is not.
    const taggedFirst = this.#isTagged(first);
    if (zeroData) {
      this.cpu.debug.checkAccess(va, granules * GRANULE, false, true, this.cpu.isUser);
      this.#requireBacked(va, pa);
      this.#zero(pa, GRANULE, this.#isCacheable(first));
    }
    const isOnePage = second === first;
    if (taggedFirst) this.#writeTags(va, pa, tag & 15, isOnePage ? granules : 1);
    if (granules === 2) {
      const pa2 = this.#physical(next, second);
      if (zeroData) {
        this.#requireBacked(next, pa2);
        this.#zero(pa2, GRANULE, this.#isCacheable(second));
      }
      if (!isOnePage && this.#isTagged(second)) this.#writeTags(next, pa2, tag & 15, 1);
    }
  }

  #requireBacked(va: bigint, pa: number): void {
    if (!this.memory.isBacked(pa, GRANULE)) throw this.externalAbort(va, true);
  }

  #zero(pa: number, bytes: number, cacheable: boolean): void {
    for (let i = 0; i < bytes; i += 8) this.memory.store(pa + i, 8, 0n, cacheable);
  }

  /** STGP. */
  storeTagPair(va: bigint, tag: number, first: bigint, second: bigint): void {
    if ((va & 15n) !== 0n) throw alignmentFault(true, va);
    const entry = this.#translate(va, TlbKind.write);
    const pa = this.#physical(va, entry);
    this.#requireBacked(va, pa);
    this.cpu.debug.checkAccess(va, GRANULE, false, true, this.cpu.isUser);
    const cacheable = this.#isCacheable(entry);
    this.memory.store(pa, 8, first, cacheable);
    this.memory.store(pa + 8, 8, second, cacheable);
    if (this.#isTagged(entry)) this.#writeTags(va, pa, tag & 15, 1);
  }

  /** LDGM: 16 granules, GMID_EL1.BS = 6. */
  loadTagBlock(va: bigint): bigint {
    const at = va & ~0xffn;
    const entry = this.#translate(at, TlbKind.read);
    if (!this.#isTagged(entry)) return 0n;
    const pa = this.#physical(at, entry);
    let tags = 0n;
    for (let i = 0; i < 16; i++) tags |= BigInt(this.memory.readTag(pa + i * GRANULE)) << BigInt(4 * i);
    return tags;
  }

  /** STGM. */
  storeTagBlock(va: bigint, tags: bigint): void {
    const at = va & ~0xffn;
    const entry = this.#translate(at, TlbKind.write);
    if (!this.#isTagged(entry)) return;
    const pa = this.#physical(at, entry);
    for (let i = 0; i < 16; i++) {
      const tag = Number((tags >> BigInt(4 * i)) & 15n);
      this.#writeTags(at + BigInt(i * GRANULE), pa + i * GRANULE, tag, 1);
    }
  }

  /** STZGM: the DC ZVA block of 64 bytes. */
  storeTagZeroBlock(va: bigint, tag: number): void {
    this.#block(va & ~0x3fn, tag & 15, true);
  }

  // ---- blocks: DC ZVA, GVA, GZVA -------------------------------------------------------------------

  /** Tags and, if asked, zeroes the 64-byte block at `at`. A fault reports `va`. */
  #block(at: bigint, tag: number | undefined, zero: boolean, va = at): void {
    const entry = this.#translateBlock(at, va);
    const pa = this.#physical(at, entry);
    if (zero) {
      if (!this.memory.isBacked(pa, 64)) throw this.externalAbort(va, true);
      this.cpu.debug.checkAccess(at, 64, false, true, this.cpu.isUser);
      this.#zero(pa, 64, this.#isCacheable(entry));
    }
    if (tag !== undefined && this.#isTagged(entry)) this.#writeTags(at, pa, tag, 4);
  }

  #translateBlock(at: bigint, va: bigint): number {
    const cpu = this.cpu;
    this.split64[0] = at;
    const low = this.split[0]!;
    const high = this.split[1]!;
    const { config, dataContext, isUser, panApplies } = cpu;
    return cpu.mmu.translate(config, dataContext, va, low, high, TlbKind.write, isUser, panApplies, 0);
  }

  /** DC ZVA: tag-checked over the block, as a store. */
  zeroBlock(va: bigint): void {
    const at = va & ~0x3fn;
    const cpu = this.cpu;
    const entry = this.#translateBlock(at, va);
    const flags = cpu.mmu.tlb.flags[entry]!;
    if ((flags & EntryFlag.device) !== 0) throw alignmentFault(true, va);
    if ((flags & EntryFlag.tagged) !== 0) {
      const pa = this.#physical(at, entry);
      this.split64[0] = va;
      const high = this.split[1]!;
      // Whichever granule mismatches, FAR is the block's first byte.
      this.isCounted = false;
      for (let i = 0; i < 64; i += GRANULE) this.checkTag(at, high, pa + i, cpu.tcf, cpu.isUser, true);
    }
    this.#block(at, undefined, true, va);
  }

  /** DC GVA and DC GZVA. */
  tagBlock(va: bigint, zero: boolean): void {
    this.#block(va & ~0x3fn, Number((va >> 56n) & 15n), zero, va);
  }

  /**
   * Translates for DC and IC by address: gives the physical address, or undefined for addresses that
   * nothing needs to be done for. Faults have CM set.
   */
  maintenanceAddress(va: bigint, isWrite: boolean, flags: number): number {
    const entry = this.#translate(va, isWrite ? TlbKind.write : TlbKind.read, flags);
    return this.#physical(va, entry);
  }
}
