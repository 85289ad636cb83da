/**
 * The MMU of one CPU: regimes, contexts, TLB, walks and TLB maintenance.
 *
 * `translate` gives an entry of the TLB, filled by a walk where need be, or throws the abort the CPU is
 * to take. Contexts are interned by everything that a translation depends on, so that a change of table
 * or of privilege is a change of a number, and a return to a process finds its entries.
 */
import type { ExceptionLevel } from '../../../isa/index.js';
import { PA } from '../../base/index.js';
import { dataAbort, ExceptionClass, GuestException, ISS_S1PTW, ISS_WNR } from '../cpu/exception.js';
import type { SystemCells } from '../cpu/system-cells.js';
import { ZERO_CHUNK } from '../memory/linear-memory.js';
import type { MemorySystem } from '../memory/memory-system.js';
import {
  decodeRegime,
  EL10_WORDS,
  type Regime,
  type RegimeConfig,
  type RegimeOptions,
  readEl10Words,
} from './regime.js';
import { EntryFlag, MOST_CONTEXTS, SLOW, Tlb, TlbKind, UNTAGGED } from './tlb.js';
import {
  type AccessIntent,
  isFault,
  Walker,
  type WalkFault,
  type WalkRequest,
  type WalkResult,
} from './walk.js';

const KIND_OF: Readonly<Record<AccessIntent, TlbKind>> = {
  read: TlbKind.read,
  write: TlbKind.write,
  fetch: TlbKind.fetch,
};
/** Processes that take turns are seldom more. */
const MOST_RECENT = 16;
const INTENTS = ['read', 'write', 'fetch'] as const;

/** Which regime translates for an exception level (without FEAT_VHE). */
export const regimeOf = (el: ExceptionLevel): Regime => (el === 3 ? 'el3' : el === 2 ? 'el2' : 'el10');

export class Mmu {
  readonly tlb: Tlb;
  readonly walker: Walker;
  readonly #memory: MemorySystem;
  readonly #cells: SystemCells;
  readonly #options: () => RegimeOptions;
  readonly #configs: Partial<Record<Regime, RegimeConfig>> = {};
  readonly #interned = new Map<string, RegimeConfig>();
  /** Configurations of EL1&0 used lately; all of them are interned. */
  #recent: { readonly words: Uint32Array; readonly config: RegimeConfig }[] = [];
  readonly #words = new Uint32Array(EL10_WORDS);
  #nextContext = 1;
  /** Walks done, for --stats. */
  walks = 0;
  /** Counts the times when context numbers given out before became worthless. */
  epoch = 0;

  constructor(memory: MemorySystem, cells: SystemCells, options: () => RegimeOptions) {
    this.#memory = memory;
    this.#cells = cells;
    this.#options = options;
    this.tlb = new Tlb(memory.dram.linear);
    this.walker = new Walker(memory);
    memory.dram.onChunkMapped(() => this.tlb.dropZeroes());
    memory.controller.onChange(() => this.flushAll());
  }

  /** A register of TRANSLATION_CELLS (or the security state) changed. */
  configurationChanged(): void {
    delete this.#configs.el10;
    delete this.#configs.el2;
    delete this.#configs.el3;
  }

  config(regime: Regime): RegimeConfig {
    const known = this.#configs[regime];
    if (known !== undefined) return known;
    const config = regime === 'el10' ? this.#recentConfig() : this.#decoded(regime, this.#options());
    this.#configs[regime] = config;
    return config;
  }

  #decoded(regime: Regime, options: RegimeOptions): RegimeConfig {
    const decoded = decodeRegime(this.#cells, regime, options);
    const config = this.#interned.get(decoded.key) ?? decoded;
    if (config === decoded) this.#interned.set(decoded.key, decoded);
    return config;
  }

  /** Going from one process to another and back must not cost decoding every time. */
  #recentConfig(): RegimeConfig {
    const options = this.#options();
    const words = this.#words;
    readEl10Words(this.#cells, options, words);
    for (const { words: theirs, config } of this.#recent) {
      let i = 0;
      while (i < EL10_WORDS && words[i] === theirs[i]) i++;
      if (i === EL10_WORDS) return config;
    }
    const config = this.#decoded('el10', options);
    if (this.#recent.length >= MOST_RECENT) this.#recent.shift();
    this.#recent.push({ words: words.slice(), config });
    return config;
  }

  /** The TLB context of accesses in `config` with these privileges. */
  context(config: RegimeConfig, user: boolean, pan: boolean): number {
    const index = (user ? 2 : 0) + (pan ? 1 : 0);
    const known = config.contexts[index]!;
    if (known !== 0) return known;
    if (this.#nextContext >= MOST_CONTEXTS) {
      this.tlb.flush();
      this.#forgetContexts();
      this.#nextContext = 1;
    }
    config.contexts[index] = this.#nextContext++;
    return config.contexts[index]!;
  }

  #forgetContexts(): void {
    this.epoch++;
    for (const config of this.#interned.values()) config.contexts.fill(0);
    this.#interned.clear();
    this.#recent = [];
    for (const config of Object.values(this.#configs)) this.#interned.set(config.key, config);
  }

  /**
   * Drops every translation. Old entries stay where they are under contexts that no one has any more;
   * `onContextsChanged` tells the CPU to take new ones.
   */
  flushAll(): void {
    this.#forgetContexts();
    this.tlb.generation++;
    this.onContextsChanged();
  }

  onContextsChanged: () => void = () => {};
  /** Whether the page of a virtual address (in halves) has a watchpoint. */
  isPageWatched: (low: number, high: number) => boolean = () => false;

  /** Drops translations of [VA, VA + bytes) in every context. */
  flushRange(va: bigint, bytes: number): void {
    const low = Number(BigInt.asUintN(32, va)) | 0;
    const high = Number(BigInt.asUintN(32, va >> 32n)) | 0;
    this.tlb.flushRange(low, high, bytes);
  }

  /**
   * The TLB entry for an access; see tlb.ts for what its index means.
   * Throws GuestException (instruction or data abort) with `va` as fault address.
   */
  translate(
    config: RegimeConfig,
    context: number,
    va: bigint,
    low: number,
    high: number,
    kind: TlbKind,
    user: boolean,
    pan: boolean,
    flags: number,
  ): number {
    const entry = this.tlb.find(kind, low, high, context);
    if (entry >= 0 && this.#topByteAllowed(config, high, kind)) return entry;
    this.walks++;
    const intent = INTENTS[kind]!;
    const result = this.walker.translate(config, { low, high, intent, user, pan });
    if (isFault(result)) throw abortOf(result, intent, va, flags);
    return this.#fill(result, context, low, high, KIND_OF[intent]);
  }

  /** Entries do not hold the top byte; without TBI it must be a copy of bit 55. */
  #topByteAllowed(config: RegimeConfig, high: number, kind: TlbKind): boolean {
    const isUpper = (high & 0x80_0000) !== 0;
    const half = isUpper ? config.upper : config.lower;
    if (half === undefined) return false;
    if (kind === TlbKind.fetch ? half.tbiFetch : half.tbi) return true;
    return high >>> 24 === (isUpper ? 0xff : 0);
  }

  #fill(result: WalkResult, context: number, low: number, high: number, kind: TlbKind): number {
    const memory = this.#memory;
    const page = result.pa - (result.pa % 4096);
    const inDram = memory.dram.contains(page, 4096);
    let host = -1;
    let tagHost = UNTAGGED;
    if (inDram && memory.isDirect && result.type === 'normal') {
      host = kind === TlbKind.write ? memory.dram.hostForMapping(page) : memory.dram.hostForRead(page);
      const isWrite = kind === TlbKind.write;
      // Regions read through entries for writing.
      if (isWrite && result.writeOnly === true) host = -1;
      // Stores to decoded instructions must be seen, those that change them as tags too.
      if (isWrite && memory.dram.isCodeWatched(page)) host = -1;
      // So must accesses to watched bytes.
      if (kind !== TlbKind.fetch && this.isPageWatched(low, high)) host = -1;
      if (result.tagged && kind !== TlbKind.fetch) {
        const tagByte = memory.controller.tagByteOf(page);
        if (isWrite && tagByte >= 0 && memory.dram.isCodeWatched(tagByte)) host = -1;
        if (tagByte < 0) tagHost = ZERO_CHUNK;
        else if (memory.controller.isLinear(page)) tagHost = memory.dram.hostForRead(tagByte);
        else tagHost = SLOW;
      }
    }
    const flags =
      (result.tagged ? EntryFlag.tagged : 0) |
      (result.type === 'device' ? EntryFlag.device : 0) |
      (result.guarded ? EntryFlag.guarded : 0) |
      (result.cacheable ? 0 : EntryFlag.uncached);
    return this.tlb.fill(kind, low, high, context, page, flags, host, tagHost, result.size);
  }

  /** A translation without side effects, for AT instructions, debuggers and reports. */
  probe(regime: Regime, request: Omit<WalkRequest, 'probe'>): WalkResult | WalkFault {
    return this.walker.translate(this.config(regime), { ...request, probe: true });
  }

  /** The byte at a virtual address as software at `el` sees it; undefined where it is not mapped. */
  probeAddress(el: ExceptionLevel, va: bigint): WalkResult | undefined {
    const low = Number(BigInt.asUintN(32, va)) | 0;
    const high = Number(BigInt.asUintN(32, va >> 32n)) | 0;
    const result = this.probe(regimeOf(el), { low, high, intent: 'read', user: el === 0, pan: false });
    return isFault(result) || !this.#memory.isBacked(PA(result.pa), 1) ? undefined : result;
  }
}

function abortOf(fault: WalkFault, intent: AccessIntent, va: bigint, flags: number): GuestException {
  const stage2 = fault.stage2;
  if (intent === 'fetch') {
    const iss = fault.status | (stage2?.duringWalk ? ISS_S1PTW : 0);
    return new GuestException(ExceptionClass.InstructionAbort, iss, {
      vaddress: va,
      ...(stage2 === undefined ? {} : { ipaddress: stage2.ipa, target: 2 as const }),
    });
  }
  const write = intent === 'write';
  if (stage2 === undefined) return dataAbort(fault.status, write, va, flags);
  const iss = fault.status | (write ? ISS_WNR : 0) | (stage2.duringWalk ? ISS_S1PTW : 0) | flags;
  return new GuestException(ExceptionClass.DataAbort, iss, {
    vaddress: va,
    ipaddress: stage2.ipa,
    target: 2,
  });
}
