/**
 * Translation table walks, stage 1 and stage 2, over tables in guest DRAM.
 *
 * A walk reads descriptors through the memory system, as hardware does, checks them level by level and
 * ends in an output address with attributes, or in a fault with status code and level. Nothing here
 * keeps anything: caching is the TLB's.
 *
 * Addresses are split into 32-bit halves (`high`, `low`) on the way in, since 64 bits do not fit a
 * number; output addresses are numbers.
 *
 * Ref. DDI 0487, D8.2 (process), D8.3 (descriptors), D8.4 (permissions), D8.5 (access flag and dirty
 * state), D8.15 (fault priorities); J1 AArch64.S1Translate, AArch64.S2Translate.
 */
import { FaultStatus } from '../cpu/exception.js';
import type { MemorySystem } from '../memory/memory-system.js';
import type { HalfConfig, RegimeConfig, Stage2Config } from './regime.js';

export type AccessIntent = 'read' | 'write' | 'fetch';

export interface WalkRequest {
  readonly low: number;
  readonly high: number;
  readonly intent: AccessIntent;
  /** Checked with EL0's permissions. */
  readonly user: boolean;
  /** PSTATE.PAN applies. */
  readonly pan: boolean;
  /** An AT instruction or a debugger: permissions are reported, no access flag is set. */
  readonly probe?: boolean;
  /** Give stage 1's output (AT S1E1R); stage 2 still translates the tables' addresses. */
  readonly stage1Only?: boolean;
}

export type MemoryType = 'normal' | 'device';

export interface WalkResult {
  /** Physical address of the byte asked for. */
  pa: number;
  type: MemoryType;
  /** Normal and cacheable at every level, with caches on. */
  cacheable: boolean;
  /** MAIR says Tagged (and stage 2 lets it through). */
  tagged: boolean;
  /** The GP bit: BTI is enforced. */
  guarded: boolean;
  /** Bytes of the page or block. */
  size: number;
  /** The MAIR byte, for PAR_EL1. */
  attributes: number;
  shareability: number;
  /** Stage 2 lets it be written and not read. */
  writeOnly?: boolean;
}

/** A fault of a walk. `stage2` faults carry the intermediate address and whether a stage 1 walk met it. */
export interface WalkFault {
  readonly status: number;
  readonly stage2?: { readonly ipa: number; readonly duringWalk: boolean };
}

export const isFault = (result: WalkResult | WalkFault): result is WalkFault => 'status' in result;

const TWO32 = 4294967296;

/** (high:low >> shift), lowest 32 bits. */
function shifted(low: number, high: number, shift: number): number {
  return shift >= 32
    ? shift === 32
      ? high
      : high >>> (shift - 32)
    : shift === 0
      ? low
      : (low >>> shift) | (high << (32 - shift));
}

/** What the walk of tables found, before anything is made of it. */
interface Leaf {
  readonly low: number;
  readonly high: number;
  readonly level: number;
  /** Physical address of the descriptor. */
  readonly at: number;
  /** Output address of the byte asked for, in this stage's output space. */
  readonly output: number;
  readonly size: number;
  /** Hierarchical restrictions gathered on the way: bits as in a table descriptor 63:59. */
  readonly tableAttributes: number;
}

export class Walker {
  readonly #memory: MemorySystem;

  constructor(memory: MemorySystem) {
    this.#memory = memory;
  }

  /** Stage 1 of `config`'s regime, then stage 2 where it is on. */
  translate(config: RegimeConfig, request: WalkRequest): WalkResult | WalkFault {
    const first = config.enabled ? this.#stage1(config, request) : this.#flat(config, request);
    if (isFault(first) || config.stage2 === undefined || request.stage1Only === true) return first;
    const second = this.#stage2(
      config.stage2,
      first.pa,
      request.intent,
      request.user,
      request.probe ?? false,
    );
    if (isFault(second)) {
      return { status: second.status, stage2: { ipa: first.pa, duringWalk: false } };
    }
    return combine(first, second);
  }

  /** Stage 1 off. Ref. AArch64.S1DisabledOutput. */
  #flat(config: RegimeConfig, request: WalkRequest): WalkResult | WalkFault {
    const { low, high, intent } = request;
    const half = config.upper !== undefined && high & 0x80_0000 ? config.upper : config.lower;
    const top = (intent === 'fetch' ? half.tbiFetch : half.tbi) ? high & 0x00ff_ffff : high >>> 0;
    if (top >>> 16 !== 0) return { status: FaultStatus.AddressSize };
    const cacheable = config.defaultCacheable || intent === 'fetch';
    return {
      pa: (top & 0xffff) * TWO32 + (low >>> 0),
      type: cacheable ? 'normal' : 'device',
      cacheable: config.defaultCacheable,
      tagged: config.defaultTagged && intent !== 'fetch',
      guarded: false,
      size: 4096,
      attributes: config.defaultTagged ? 0xf0 : cacheable ? 0xff : 0,
      shareability: config.defaultCacheable ? 0 : 2,
    };
  }

  #stage1(config: RegimeConfig, request: WalkRequest): WalkResult | WalkFault {
    const { low, high, intent, user } = request;
    const isUpper = (high & 0x80_0000) !== 0;
    const tbi = intent === 'fetch' ? config.lower.tbiFetch : config.lower.tbi;
    // A regime of one range has no upper half: bit 55 must be zero like the rest.
    const half = config.upper !== undefined && isUpper ? config.upper : config.lower;
    const ignoreTop = config.upper !== undefined && isUpper ? topIgnored(config.upper, intent) : tbi;
    const sign = config.upper !== undefined && isUpper;
    if (!half.walkable || !canonical(low, high, half.inputBits, ignoreTop, sign) || (half.e0pd && user))
      return { status: FaultStatus.Translation };
    const leaf = this.#tables(half, low, high, config.outputBits, config.stage2);
    if ('status' in leaf) return leaf;

    const permission = permissions(config, half, leaf, request);
    const canDirty = config.hd && (leaf.high & (1 << 19)) !== 0;
    let update = 0;
    if ((leaf.low & (1 << 10)) === 0) {
      if (!config.ha) return { status: FaultStatus.AccessFlag + leaf.level };
      update = 1 << 10;
    }
    let allowed = permission[intent];
    if (!allowed && intent === 'write' && canDirty && permission.writeIfDirty) {
      allowed = true;
      update |= 1 << 7;
    }
    if (!allowed) return { status: FaultStatus.Permission + leaf.level };
    // Hardware management: AF is set, and AP[2] cleared on a write. Ref. D8.5.
    if (update !== 0 && !request.probe) {
      const now = Number(this.#memory.load(leaf.at, 4, half.walkCacheable));
      const then = ((now | (1 << 10)) & ~(update & (1 << 7))) >>> 0;
      this.#memory.store(leaf.at, 4, BigInt(then), half.walkCacheable);
    }
    const attributes = config.mair[(leaf.low >>> 2) & 7]!;
    const isDevice = (attributes & 0xf0) === 0;
    return {
      pa: leaf.output,
      type: isDevice ? 'device' : 'normal',
      cacheable: config.cached && !isDevice && isCacheable(attributes),
      tagged: attributes === 0xf0,
      guarded: (leaf.high & (1 << 18)) !== 0,
      size: leaf.size,
      attributes,
      shareability: (leaf.low >>> 8) & 3,
    };
  }

  /** Ref. AArch64.S2Walk and S2 permissions (D8.4.2). */
  #stage2(
    config: Stage2Config,
    ipa: number,
    intent: AccessIntent,
    user: boolean,
    probe: boolean,
  ): WalkResult | WalkFault {
    const low = (ipa % TWO32) | 0;
    const high = Math.floor(ipa / TWO32);
    const half = config.half;
    if (!half.walkable || !canonical(low, high, half.inputBits, false, false)) {
      return { status: FaultStatus.Translation };
    }
    const leaf = this.#tables(half, low, high, config.outputBits, undefined);
    if ('status' in leaf) return leaf;
    let update = 0;
    if ((leaf.low & (1 << 10)) === 0) {
      if (!config.ha) return { status: FaultStatus.AccessFlag + leaf.level };
      update = 1 << 10;
    }
    const s2ap = (leaf.low >>> 6) & 3;
    const xn = (leaf.high >>> 21) & 3;
    // FEAT_XNX: XN[1:0] 00 both, 01 EL0 only, 10 none, 11 EL1 only.
    const executable = xn === 0 || (xn === 1 && user) || (xn === 3 && !user);
    let allowed =
      intent === 'fetch' ? executable && (s2ap & 1) !== 0 : (s2ap & (intent === 'write' ? 2 : 1)) !== 0;
    if (!allowed && intent === 'write' && config.hd && (leaf.high & (1 << 19)) !== 0) {
      allowed = true;
      update |= 1 << 7;
    }
    if (!allowed) return { status: FaultStatus.Permission + leaf.level };
    if (update !== 0 && !probe) {
      const now = this.#memory.load(leaf.at, 4, half.walkCacheable);
      this.#memory.store(leaf.at, 4, now | BigInt(update), half.walkCacheable);
    }
    const memAttr = (leaf.low >>> 2) & 15;
    const found = stage2Attributes(config, memAttr, leaf.output, leaf.size, (leaf.low >>> 8) & 3);
    return s2ap === 2 ? { ...found, writeOnly: true } : found;
  }

  /** The walk proper: from the first table to a page or block descriptor. */
  #tables(
    half: HalfConfig,
    low: number,
    high: number,
    outputBits: number,
    nested: Stage2Config | undefined,
  ): Leaf | WalkFault {
    const { granuleShift, inputBits } = half;
    const stride = granuleShift - 3;
    let level = half.startLevel;
    // The first table may be smaller than a page (or, in stage 2, several): its base is aligned to its size.
    let indexBits = inputBits - (granuleShift + (3 - level) * stride);
    const tableBytes = 2 ** Math.max(6, indexBits + 3);
    let table = half.base - (half.base % tableBytes);
    let tableAttributes = 0;
    if (table >= 2 ** outputBits) return { status: FaultStatus.AddressSize };
    for (;;) {
      const shift = granuleShift + (3 - level) * stride;
      const index = shifted(low, high, shift) & (2 ** indexBits - 1);
      let at = table + index * 8;
      if (nested !== undefined) {
        const mapped = this.#stage2(nested, at, 'read', false, false);
        if (isFault(mapped)) return { status: mapped.status, stage2: { ipa: at, duringWalk: true } };
        if (nested.ptw && mapped.type === 'device') {
          return { status: FaultStatus.Permission + level, stage2: { ipa: at, duringWalk: true } };
        }
        at = mapped.pa;
      }
      if (!this.#memory.isBacked(at, 8)) return { status: FaultStatus.ExternalOnWalk + level };
      let dLow: number;
      let dHigh: number;
      if (this.#memory.isDirect && this.#memory.dram.contains(at, 8)) {
        const word = this.#memory.dram.hostForRead(at) >>> 2;
        dLow = this.#memory.dram.linear.i32[word]!;
        dHigh = this.#memory.dram.linear.i32[word + 1]!;
      } else {
        const descriptor = this.#memory.load(at, 8, half.walkCacheable);
        dLow = Number(BigInt.asIntN(32, descriptor));
        dHigh = Number(BigInt.asIntN(32, descriptor >> 32n));
      }
      const kind = dLow & 3;
      if ((kind & 1) === 0) return { status: FaultStatus.Translation + level };
      // The address field, before its low bits are cut to the table's or the block's size.
      const field = (dHigh & 0xffff) * TWO32 + ((dLow & ~0xfff) >>> 0);
      if (kind === 3 && level < 3) {
        const next = field - (field % 2 ** granuleShift);
        if (next >= 2 ** outputBits) return { status: FaultStatus.AddressSize + level };
        if (!half.hpd) tableAttributes |= dHigh >>> 27;
        table = next;
        level++;
        indexBits = stride;
        continue;
      }
      if (kind === 1 && (level === 3 || !blockAllowed(granuleShift, level)))
        return { status: FaultStatus.Translation + level };
      const size = 2 ** shift;
      const output = field - (field % size);
      if (output >= 2 ** outputBits) return { status: FaultStatus.AddressSize + level };
      const offset =
        shift >= 32 ? (high & (2 ** (shift - 32) - 1)) * TWO32 + (low >>> 0) : (low >>> 0) % size;
      return { low: dLow, high: dHigh, level, at, output: output + offset, size, tableAttributes };
    }
  }
}

/** A MAIR byte of Normal memory: neither the outer nor the inner nibble is Non-cacheable. Tagged is Write-Back. */
const isCacheable = (mair: number) => mair === 0xf0 || ((mair & 0xf0) !== 0x40 && (mair & 0x0f) !== 0x04);

const topIgnored = (half: HalfConfig, intent: AccessIntent) =>
  intent === 'fetch' ? half.tbiFetch : half.tbi;

/** 4 KiB: levels 1 and 2; 16 and 64 KiB: level 2. */
const blockAllowed = (granuleShift: number, level: number) =>
  granuleShift === 12 ? level === 1 || level === 2 : level === 2;

/** All bits from the input size up (to 55 where the top byte is ignored) equal `sign`. */
function canonical(low: number, high: number, inputBits: number, ignoreTop: boolean, sign: boolean): boolean {
  const last = ignoreTop ? 56 : 64;
  if (inputBits >= last) return true;
  if (inputBits < 32) {
    const part = low >>> inputBits;
    if (part !== (sign ? 2 ** (32 - inputBits) - 1 : 0)) return false;
  }
  const from = Math.max(0, inputBits - 32);
  const width = last - 32 - from;
  const part = (high >>> from) & (2 ** width - 1);
  return part >>> 0 === (sign ? (2 ** width - 1) >>> 0 : 0);
}

interface Permissions {
  readonly read: boolean;
  readonly write: boolean;
  readonly fetch: boolean;
  /** Writable once AP[2] is cleared: the dirty state is managed by hardware. */
  readonly writeIfDirty: boolean;
}

/** Ref. DDI 0487, D8.4.1: direct and hierarchical permissions, WXN, PAN. */
function permissions(config: RegimeConfig, half: HalfConfig, leaf: Leaf, request: WalkRequest): Permissions {
  const t = half.hpd ? 0 : leaf.tableAttributes;
  // Table descriptor bits 63:59 as gathered: 4 NS, 3:2 APTable, 1 UXNTable/XNTable, 0 PXNTable.
  const apTable = (t >>> 2) & 3;
  const readOnly = (leaf.low & (1 << 7)) !== 0;
  const readOnlyByTable = (apTable & 2) !== 0;
  const pxn = (leaf.high & (1 << 21)) !== 0 || (t & 1) !== 0;
  const uxn = (leaf.high & (1 << 22)) !== 0 || (t & 2) !== 0;
  if (config.upper === undefined) {
    // One range: AP[1] is RES1, bit 54 is XN.
    const writable = !readOnly && !readOnlyByTable;
    return {
      read: true,
      write: writable,
      fetch: !uxn && !(config.wxn && writable),
      writeIfDirty: !readOnlyByTable,
    };
  }
  const userAccess = (leaf.low & (1 << 6)) !== 0 && (apTable & 1) === 0;
  if (request.user) {
    const writable = userAccess && !readOnly && !readOnlyByTable;
    return {
      read: userAccess,
      write: writable,
      fetch: !uxn && !(config.wxn && writable),
      writeIfDirty: userAccess && !readOnlyByTable,
    };
  }
  const writable = !readOnly && !readOnlyByTable;
  const blocked = request.pan && userAccess;
  return {
    read: !blocked,
    write: writable && !blocked,
    // What EL0 can write, EL1 cannot execute.
    fetch: !pxn && !(userAccess && writable) && !(config.wxn && writable),
    writeIfDirty: !readOnlyByTable && !blocked,
  };
}

function stage2Attributes(
  config: Stage2Config,
  memAttr: number,
  pa: number,
  size: number,
  shareability: number,
): WalkResult {
  // FEAT_S2FWB: MemAttr[2] = 1 with [1:0] = 10 forces Write-Back, 11 keeps stage 1's type, 01 Non-cacheable.
  const device = config.fwb ? (memAttr & 4) === 0 : (memAttr & 0b1100) === 0;
  const writeBack = config.fwb ? (memAttr & 7) >= 6 : memAttr === 15;
  return {
    pa,
    type: device ? 'device' : 'normal',
    cacheable: writeBack && !config.cd,
    tagged: writeBack,
    guarded: false,
    size,
    attributes: device ? 0 : writeBack ? 0xff : 0x44,
    shareability,
  };
}

/** Stage 1 and stage 2 together: the more restrictive type; tagged survives Write-Back only. */
function combine(first: WalkResult, second: WalkResult): WalkResult {
  const device = first.type === 'device' || second.type === 'device';
  return {
    pa: second.pa,
    type: device ? 'device' : 'normal',
    cacheable: first.cacheable && second.cacheable && !device,
    tagged: first.tagged && second.tagged && !device,
    guarded: first.guarded,
    size: Math.min(first.size, second.size),
    attributes: device ? 0 : second.tagged ? first.attributes : second.attributes & first.attributes,
    shareability: Math.max(first.shareability, second.shareability),
    ...(second.writeOnly === undefined ? {} : { writeOnly: second.writeOnly }),
  };
}
