/**
 * The translator: makes regions of what is hot, several in a module, and keeps them true.
 *
 * Regions stand in the interpreter's table of functions; the heat of the instruction that a region
 * begins at says where. Taking the heat away is all it needs to take a region out: whoever comes by looks
 * there, in every other region too. So a page that is written or has no records any more takes its
 * regions with it, wherever they begin.
 *
 * A region serves one CPU, one address and one context; of several that begin at one instruction the last
 * one wanted is in the heat. The number of regions and the size of their code are bounded; beyond that
 * all are dropped and what is hot then is made anew.
 */
import { decode } from '../../../isa/index.js';
import {
  type Cpu,
  EntryFlag,
  type Machine,
  SECOND_TLB_TABLE_BYTES,
  TLB_BYTES,
  TLB_ENTRY_BYTES,
  TLB_TABLE_BYTES,
  TlbKind,
} from '../../machine/index.js';
import {
  Cell,
  cpuDistance,
  FIRST_REGION_LINK,
  FIRST_SOFT_LINK,
  FIRST_SOFT_ROUTINE,
  fetchTlbSlotCode,
  GUARDED,
  Handler,
  HEAT_OFFSET,
  Heat,
  type HotTarget,
  MEMORY_IMPORT,
  NO_RECORDS,
  RegionExit,
  SOFT_OPERATIONS,
  STATE,
  secondTlbSlotCode,
  softType,
  type Translation,
  type TranslationContext,
  type TranslationStatistics,
  TYPE_REGION,
  tagEventType,
  tlbSlotCode,
} from '../interpreter/index.js';
import {
  type Code,
  giveBack,
  i32,
  i64,
  local,
  ModuleWriter,
  returnCall,
  returnCallIndirect,
  ValueType,
  when,
} from '../wasm/index.js';
import { branchShape } from './branch-shape.js';
import { MOST_DISTANCE } from './place.js';
import { linkOf, type PageCheck, type RegionRequest, writeRegion } from './region.js';
import { type CodeSource, Scanner } from './scan.js';
import { hasTailCalls } from './tail-calls.js';

const PAGE = 4096;
/**
 * A region costs milliseconds, of ours and of V8's: as much as the interpreter needs for this many branches,
 * and what lies between them.
 */
const HOT_AFTER = 100_000;
/** Regions in a module at most. */
const BATCH = 16;
/** Pages that one region has code of, at most. */
const MOST_PAGES_OF_REGION = 4;
const MOST_REGIONS = 4096;
/** Bytes of WebAssembly; what V8 makes of them is several times as large. */
const MOST_BYTES = 6 << 20;
/** Modules that may be kept; each takes some 50 KiB beside its code. */
const MOST_MODULES = 512;
/** Places in a new table of links. */
const LINKS = 512;
/** What V8 is told to be there to be collected. */
const COLLECTED_BYTES = 128 << 20;
const TABLE_IMPORT = 'table';

export interface TranslatorOptions {
  /** Branches after which a target is hot. */
  readonly hotAfter?: number;
  /** Instructions that hot targets wait for others to come. */
  readonly patience?: number;
  readonly mostRegions?: number;
  readonly mostBytes?: number;
  readonly mostModules?: number;
}

interface Region {
  readonly cpu: Cpu;
  readonly pc: bigint;
  readonly specialization: number;
  /** Physical addresses of its pages, the one it begins in first. */
  readonly pages: readonly number[];
  /** Host offset of the heat of its first instruction. */
  readonly heat: number;
  /** Place in the table. */
  readonly index: number;
}

/** A page as the scanner sees it. */
interface SeenPage {
  readonly pa: number;
  readonly records: number;
  readonly host: number;
  readonly guarded: boolean;
}

export class Translator implements Translation {
  readonly hotAfter: number;
  readonly patience: number;
  readonly #machine: Machine;
  readonly #table: WebAssembly.Table;
  readonly #pages: TranslationContext['pages'];
  readonly #loadSoftFloat: () => void;
  readonly #mostRegions: number;
  readonly #mostBytes: number;
  readonly #hasFeature: (feature: string) => boolean;
  /** First place in the table that is not the interpreter's. */
  readonly #base: number;
  readonly #mostModules: number;
  /** What regions call: see FIRST_REGION_LINK. */
  #links: WebAssembly.Table;
  readonly #lastLink: number;
  #hasSoftFloat = false;
  /** Modules made since the last eviction: as long as one region of theirs may be called, they stay. */
  #modulesKept = 0;
  #next: number;
  readonly #queue: HotTarget[] = [];
  readonly #regions = new Set<Region>();
  /** By physical page. */
  readonly #byPage = new Map<number, Set<Region>>();
  /** By heat, address and context. */
  readonly #byPlace = new Map<string, Region>();
  #bytes = 0;
  #made = 0;
  #modules = 0;
  #evictions = 0;
  #milliseconds = 0;

  constructor({ machine, table, pages, loadSoftFloat }: TranslationContext, options: TranslatorOptions = {}) {
    this.#machine = machine;
    this.#table = table;
    this.#pages = pages;
    this.#loadSoftFloat = loadSoftFloat;
    this.hotAfter = options.hotAfter ?? HOT_AFTER;
    this.patience = options.patience ?? 1 << 16;
    this.#mostRegions = options.mostRegions ?? MOST_REGIONS;
    this.#mostBytes = options.mostBytes ?? MOST_BYTES;
    const features: ReadonlySet<string> = machine.features;
    this.#hasFeature = (feature) => features.has(feature);
    this.#base = table.length;
    this.#next = table.length;
    this.#mostModules = options.mostModules ?? MOST_MODULES;
    this.#links = this.#newLinks();
    this.#lastLink = FIRST_REGION_LINK - this.#base - 1;
  }

  get statistics(): TranslationStatistics {
    return {
      regions: this.#regions.size,
      regionsMade: this.#made,
      modules: this.#modules,
      regionBytes: this.#bytes,
      evictions: this.#evictions,
      translationMilliseconds: this.#milliseconds,
    };
  }

  // ---- what is hot ---------------------------------------------------------------------------------

  hot(target: HotTarget): void {
    const at = Number(target.pc & 0xfffn);
    const known = this.#byPlace.get(placeOf(target.records + HEAT_OFFSET + at, target));
    if (known !== undefined) {
      this.#pages.setHeat(target.records, at, ~known.index);
      return;
    }
    // Until it is made, or for ever, if it cannot be.
    this.#pages.setHeat(target.records, at, Heat.never);
    this.#queue.push(target);
  }

  flush(): void {
    const started = performance.now();
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, BATCH);
      // A module serves one CPU.
      const { cpu } = batch[0]!;
      this.#queue.unshift(...batch.filter((t) => t.cpu !== cpu));
      this.#translate(
        cpu,
        batch.filter((t) => t.cpu === cpu),
      );
    }
    this.#milliseconds += performance.now() - started;
  }

  #translate(cpu: Cpu, targets: readonly HotTarget[]): void {
    const isFull =
      this.#regions.size + targets.length > this.#mostRegions ||
      this.#bytes > this.#mostBytes ||
      this.#modulesKept >= this.#mostModules;
    if (isFull) this.#evict();
    const module = new ModuleWriter();
    module.importMemory(MEMORY_IMPORT.module, MEMORY_IMPORT.name, MEMORY_IMPORT.pages);
    module.importTable(MEMORY_IMPORT.module, TABLE_IMPORT);
    tagEventType(module);
    softType(module);
    const regionType = module.type(...TYPE_REGION);
    const { i32: I32, i64: I64 } = ValueType;
    const link = module.addFunction(
      module.type([I32, I64, I32], [I32]),
      [I32, I32],
      linkCode(cpu, regionType, this.#lastLink),
    );
    const refill = module.addFunction(
      module.type([I32, I64, I64, I32], [I32]),
      [I32, I32],
      refillCode(cpu, link),
    );
    const indices = { link, refill, regionType, lastLink: this.#lastLink, hasTailCalls: hasTailCalls() };
    const made: { readonly target: HotTarget; readonly pages: readonly number[] }[] = [];
    for (const target of targets) {
      const request = this.#requestOf(target);
      if (request === undefined) continue;
      const { locals, code, usesSoftFloat } = writeRegion(request.region, indices);
      if (usesSoftFloat) this.#linkSoftFloat();
      const index = module.addFunction(regionType, locals, code);
      module.exportFunction(String(made.length), index);
      made.push({ target, pages: request.pages });
    }
    if (made.length === 0) return;
    const bytes = module.finish();
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
      [MEMORY_IMPORT.module]: {
        [MEMORY_IMPORT.name]: this.#machine.linear.memory,
        [TABLE_IMPORT]: this.#links,
      },
    });
    this.#bytes += bytes.length;
    this.#modules++;
    this.#modulesKept++;
    made.forEach(({ target, pages }, i) => {
      this.#place(target, pages, instance.exports[String(i)] as () => void);
    });
  }

  #place(target: HotTarget, pages: readonly number[], code: () => void): void {
    const index = this.#next++;
    if (index >= this.#table.length) this.#table.grow(Math.max(64, this.#table.length >> 1));
    this.#table.set(index, code);
    const link = index - this.#base + FIRST_REGION_LINK;
    if (link >= this.#links.length) this.#links.grow(this.#links.length);
    this.#links.set(link, code);
    const { cpu, pc, records, specialization } = target;
    const at = Number(pc & 0xfffn);
    const heat = records + HEAT_OFFSET + at;
    const region: Region = { cpu, pc, specialization, pages, heat, index };
    this.#regions.add(region);
    this.#byPlace.set(placeOf(heat, region), region);
    for (const pa of pages) {
      const there = this.#byPage.get(pa);
      if (there === undefined) this.#byPage.set(pa, new Set([region]));
      else there.add(region);
    }
    this.#pages.setHeat(records, at, ~index);
    this.#made++;
  }

  // ---- what is not true any more -------------------------------------------------------------------

  forget(pa: number): void {
    const there = this.#byPage.get(pa);
    if (there !== undefined) for (const region of [...there]) this.#remove(region);
    // What waits may have been read from this page: its heat says that it never comes.
    if (this.#queue.length > 0) this.#forgetQueue();
  }

  #forgetQueue(): void {
    for (const { pa, pc, records } of this.#queue.splice(0)) {
      this.#pages.setHeat(records, Number(pc & 0xfffn), this.#pages.cold(pa));
    }
  }

  #remove(region: Region): void {
    this.#regions.delete(region);
    this.#byPlace.delete(placeOf(region.heat, region));
    for (const pa of region.pages) {
      const there = this.#byPage.get(pa);
      there?.delete(region);
      if (there?.size === 0) this.#byPage.delete(pa);
    }
    const words = this.#machine.linear.i32;
    if (words[region.heat >>> 2] === ~region.index)
      words[region.heat >>> 2] = this.#pages.cold(region.pages[0]!);
    this.#table.set(region.index, null);
    this.#links.set(region.index - this.#base + FIRST_REGION_LINK, null);
  }

  forgetAll(): void {
    this.#forgetQueue();
    for (const region of [...this.#regions]) this.#remove(region);
    this.#next = this.#base;
    this.#bytes = 0;
  }

  /** Drops every region: there are too many, or most are of code that is no more. */
  #evict(): void {
    this.#evictions++;
    this.forgetAll();
    // V8 keeps every instance that imports a table as long as the table; and it does not see how much memory
    // code takes, but does see buffers: one that is dropped makes it look for what is unreachable.
    this.#links = this.#newLinks();
    this.#modulesKept = 0;
    try {
      new ArrayBuffer(COLLECTED_BYTES);
    } catch (thrown) {
      if (!(thrown instanceof RangeError)) throw thrown;
    }
  }

  #newLinks(): WebAssembly.Table {
    const links = new WebAssembly.Table({ element: 'anyfunc', initial: LINKS });
    links.set(Handler.tagEvent, this.#table.get(Handler.tagEvent) as () => void);
    this.#hasSoftFloat = false;
    return links;
  }

  /** Soft-float where regions call it. */
  #linkSoftFloat(): void {
    if (this.#hasSoftFloat) return;
    this.#loadSoftFloat();
    for (let i = 0; i < SOFT_OPERATIONS.length; i++) {
      this.#links.set(FIRST_SOFT_LINK + i, this.#table.get(FIRST_SOFT_ROUTINE + i) as () => void);
    }
    this.#hasSoftFloat = true;
  }

  // ---- what a region is made of --------------------------------------------------------------------

  /** What the fetch TLB says of a page at its virtual address; undefined where it has no records. */
  #seen(cpu: Cpu, va: bigint): SeenPage | undefined {
    const low = Number(BigInt.asUintN(32, va)) | 0;
    const high = Number(BigInt.asUintN(32, va >> 32n)) | 0;
    const { tlb } = cpu.mmu;
    const entry = tlb.find(TlbKind.fetch, low, high, cpu.fetchContext);
    if (entry < 0 || va >> 55n !== (high & 0x80_0000 ? 0x1ffn : 0n)) return undefined;
    const words = cpu.linear.i32;
    const at = (tlb.base + entry * TLB_ENTRY_BYTES) >>> 2;
    if (words[at + 1] !== tlb.keyHigh[entry] || words[at + 3] === NO_RECORDS) return undefined;
    return {
      pa: tlb.page[entry]!,
      records: (words[at + 3]! & ~GUARDED) >>> 0,
      host: (low + words[at + 2]!) >>> 0,
      guarded: (tlb.flags[entry]! & EntryFlag.guarded) !== 0,
    };
  }

  #requestOf(target: HotTarget): { region: RegionRequest; pages: number[] } | undefined {
    const { cpu, pc, specialization } = target;
    const base = pc & ~0xfffn;
    const seen = new Map<number, SeenPage | undefined>();
    const pageOf = (at: number): SeenPage | undefined => {
      const number = Math.floor(at / PAGE);
      if (seen.has(number)) return seen.get(number);
      if (Math.abs(number) * PAGE >= MOST_DISTANCE - PAGE) return undefined;
      const isFull = [...seen.values()].filter((p) => p !== undefined).length >= MOST_PAGES_OF_REGION;
      const page = isFull ? undefined : this.#seen(cpu, BigInt.asUintN(64, base + BigInt(number * PAGE)));
      seen.set(number, page);
      return page;
    };
    // The target waited: its page may be another one by now.
    const first = pageOf(0);
    if (first === undefined || first.records !== target.records) {
      this.#pages.setHeat(target.records, Number(pc & 0xfffn), this.#pages.cold(target.pa));
      return undefined;
    }
    const within = (at: number) => at - PAGE * Math.floor(at / PAGE);
    const source: CodeSource = {
      word: (at) => {
        const page = pageOf(at);
        return page && this.#machine.linear.u32[(page.host + within(at)) >>> 2]!;
      },
      isWarm: (at) => {
        const page = pageOf(at);
        return page !== undefined && this.#pages.isDecoded(page.records, within(at));
      },
      decode: (word) => decode(word, this.#hasFeature),
      isSupported: ({ word }) => this.#pages.hasForm(word),
      shapeOf: branchShape,
    };
    const blocks = new Scanner(source).scan(Number(pc & 0xfffn));
    if (blocks.length === 0) return undefined;
    const used = new Set(blocks.flatMap((b) => b.instructions.map((i) => Math.floor(i.at / PAGE))));
    const words = cpu.linear.i32;
    const checkOf = (number: number): PageCheck => {
      const { records, guarded } = seen.get(number)!;
      const va = BigInt.asUintN(64, base + BigInt(number * PAGE));
      return {
        low: Number(BigInt.asUintN(32, va)) | 0,
        key: BigInt.asUintN(44, va >> 12n),
        word: records | (guarded ? GUARDED : 0),
      };
    };
    return {
      pages: [0, ...[...used].filter((n) => n !== 0)].map((n) => seen.get(n)!.pa),
      region: {
        context: {
          cpu: cpu.index,
          tlb: cpu.mmu.tlb.base,
          specialization,
          tagWriters: words[(cpu.base + Cell.TAG_WRITERS) >>> 2]!,
          page: base,
          isGuarded: (at) => pageOf(at)?.guarded ?? false,
        },
        blocks,
        checks: [...used].filter((n) => n !== 0).map(checkOf),
        firstCheck: checkOf(0),
        heatOf: (at) => {
          const number = Math.floor(at / PAGE);
          const page = number === 0 || used.has(number) ? seen.get(number) : undefined;
          return page === undefined ? 0 : page.records + HEAT_OFFSET + within(at);
        },
      },
    };
  }
}

const placeOf = (
  heat: number,
  { pc, specialization }: { readonly pc: bigint; readonly specialization: number },
) => `${heat} ${pc} ${specialization}`;

/**
 * (fuel, address, BTYPE): on at an address, in the region that begins there or in the interpreter. What
 * the interpreter's enterPage asks is asked here too.
 */
function linkCode(cpu: Cpu, regionType: number, lastLink: number): Code {
  const [fuel, pc, btype, word, heat] = [0, 1, 2, 3, 4];
  const get = local.get;
  const state = i32.const(cpuDistance(cpu.index));
  const table = cpu.mmu.tlb.base + 2 * TLB_TABLE_BYTES;
  const context = i64.load(state, STATE + Cell.FETCH_CONTEXT);
  const slot = fetchTlbSlotCode(i32.wrap(get(pc)), context);
  const withoutTop = i64.shl(get(pc), i64.const(8n));
  const key = i64.or(i64.shrU(withoutTop, i64.const(20n)), context);
  const differs = i64.xor(i64.load(slot, table), key);
  const nonCanonical = i64.xor(i64.shrS(withoutTop, i64.const(8n)), get(pc));
  const wrong = i64.or(i64.or(differs, nonCanonical), i64.and(get(pc), i64.const(3n)));
  const offset = i32.and(i32.wrap(get(pc)), i32.const(0xffc));
  const seen = i32.or(i32.and(get(word), i32.const(GUARDED)), i32.eqz(get(fuel)));
  const isSeen = i32.and(i32.ne(i32.and(get(btype), i32.const(3)), i32.const(0)), i32.ne(seen, i32.const(0)));
  const records = i32.and(get(word), i32.const(~GUARDED));
  const found = [
    local.set(word, i32.load(slot, table + 12)),
    when(i32.ne(get(word), i32.const(NO_RECORDS)), [
      local.set(heat, i32.load(i32.add(records, offset), HEAT_OFFSET)),
      when(i32.and(i32.ltS(get(heat), i32.const(0)), i32.eqz(isSeen)), [
        returnCallIndirect(regionType, linkOf(lastLink, get(heat)), get(fuel), get(pc)),
      ]),
    ]),
  ];
  return [
    hasTailCalls() ? when(i64.eqz(wrong), found) : [],
    i64.store(state, get(pc), STATE + Cell.PC),
    i32.store(state, get(fuel), STATE + Cell.FUEL),
    i32.store(state, get(btype), STATE + Cell.BTYPE),
    giveBack(i32.const(RegionExit.continue)),
  ];
}

/**
 * (fuel, address, data address, 1 for writes): takes what the TLB missed from the second level and goes on
 * at the address, which is a branch target as any; leaves where the second level has not got it.
 */
function refillCode(cpu: Cpu, link: number): Code {
  const [fuel, pc, missed, isWrite, first, second] = [0, 1, 2, 3, 4, 5];
  const get = local.get;
  const state = i32.const(cpuDistance(cpu.index));
  const { base } = cpu.mmu.tlb;
  const low = i32.wrap(get(missed));
  const table = (bytes: number) => i32.mul(get(isWrite), i32.const(bytes));
  const context = i64.load(state, STATE + Cell.DATA_CONTEXT);
  const page = i64.shrU(i64.shl(get(missed), i64.const(8n)), i64.const(20n));
  const key = i64.or(page, context);
  // Regions find no entries of the half that they must not access: there is nothing to come back for.
  const wrongHalf = i64.and(
    i64.xor(get(missed), i64.load(state, STATE + Cell.HALF)),
    i64.load(state, STATE + Cell.TOP_MASK),
  );
  const differs = i64.xor(i64.load(get(second), base + TLB_BYTES), key);
  const half = (at: number) => i64.store(get(first), i64.load(get(second), base + TLB_BYTES + at), base + at);
  return [
    local.set(first, i32.add(tlbSlotCode(low), table(TLB_TABLE_BYTES))),
    local.set(second, i32.add(secondTlbSlotCode(low, context), table(SECOND_TLB_TABLE_BYTES))),
    when(i64.eqz(i64.or(differs, wrongHalf)), [
      half(0),
      half(8),
      hasTailCalls() ? returnCall(link, get(fuel), get(pc), i32.const(0)) : [],
    ]),
    i64.store(state, get(pc), STATE + Cell.PC),
    i32.store(state, get(fuel), STATE + Cell.FUEL),
    giveBack(i32.const(RegionExit.leave)),
  ];
}
