/**
 * One region as a WebAssembly function: its blocks lowered, put into structure, with a way in and a way out.
 *
 * The way in checks that the region is what is wanted: its address, the context it was made for, the
 * pages it has code of, and enough fuel for its longest path; then it loads registers. Each block takes
 * its instructions off the fuel when it begins; loops ask for the fuel of their longest path. The way out
 * stores registers and goes on: to the region that begins where a branch leads, or to the interpreter.
 */
import { TLB_TABLE_BYTES } from '../../machine/index.js';
import {
  Cell,
  FIRST_SOFT_LINK,
  FloatFormBuilder,
  fetchTlbSlotCode,
  lower,
  RegionExit,
  Special,
  STATE,
  Unsupported,
} from '../interpreter/index.js';
import {
  block,
  br,
  type Code,
  giveBack,
  i32,
  i64,
  local,
  returnCall,
  returnCallIndirect,
  type ValueType,
  when,
  whenUnlikely,
} from '../wasm/index.js';
import {
  addressOf,
  leaving,
  OUT,
  type RegionContext,
  RegionLocal,
  RegionPlace,
  refundOf,
  Way,
} from './place.js';
import { type FlagSource, sameSource } from './region-flags.js';
import type { Block, Edge } from './scan.js';
import { Graph, type Node } from './structure.js';

/** A page, beside the first, that a region has code of: what its fetch TLB entry must hold. */
export interface PageCheck {
  /** The low half of its virtual address. */
  readonly low: number;
  /** The key without the context. */
  readonly key: bigint;
  /** The records, and whether the page is guarded. */
  readonly word: number;
}

export interface RegionRequest {
  readonly context: RegionContext;
  /** From the scanner; the first begins the region. */
  readonly blocks: readonly Block[];
  /** For pages other than the first. */
  readonly checks: readonly PageCheck[];
  /** For the first page, where it has to be checked too. */
  readonly firstCheck: PageCheck;
  /** Host offset of the heat of an instruction in one of the region's pages; 0 elsewhere. */
  heatOf(at: number): number;
}

/** Indices of the module that the function will be in. */
export interface RegionModule {
  /** (fuel, address, BTYPE): goes on at an address. */
  readonly link: number;
  /** (fuel, address, data address, 1 for writes): goes on at an address after a miss of the TLB. */
  readonly refill: number;
  readonly regionType: number;
  /** See `linkOf`. */
  readonly lastLink: number;
  readonly hasTailCalls: boolean;
}

export interface RegionFunction {
  readonly locals: readonly ValueType[];
  readonly code: Code;
  readonly instructions: number;
  readonly usesSoftFloat: boolean;
}

const get = local.get;
const { fuel, pc, way, btype, missed } = RegionLocal;

interface Lowered {
  readonly code: Code;
  readonly condition: Code | undefined;
  /** Where the block had to end before its end. */
  readonly leavesAt: number | undefined;
  readonly count: number;
}

class RegionWriter {
  readonly #request: RegionRequest;
  readonly #place: RegionPlace;
  readonly #builder: FloatFormBuilder;
  readonly #graph: Graph;
  readonly #module: RegionModule;
  readonly #lowered = new Map<Node, Lowered>();
  /** Who set the flags at the end of each block. */
  readonly #flagsAfter = new Map<Node, FlagSource>();

  constructor(request: RegionRequest, module: RegionModule) {
    this.#request = request;
    this.#module = module;
    this.#place = new RegionPlace(request.context);
    this.#builder = new FloatFormBuilder(this.#place, this.#place);
    this.#builder.floats = 'either';
    this.#builder.firstRoutine = FIRST_SOFT_LINK;
    this.#graph = new Graph(request.blocks[0]!);
  }

  write(): RegionFunction {
    const { nodes } = this.#graph;
    for (const node of nodes) this.#lowered.set(node, this.#lower(node));
    const body = this.#graph.code((node, go) => this.#body(node, go));
    const out = this.#out();
    const code = [this.#in(), block(OUT, body), out];
    let instructions = 0;
    for (const { count } of this.#lowered.values()) instructions += count;
    return { locals: this.#place.locals, code, instructions, usesSoftFloat: this.#builder.usesSoft };
  }

  // ---- blocks --------------------------------------------------------------------------------------

  /** Who set the flags where a block begins: known where all ways there agree. */
  #flagsBefore(node: Node): FlagSource {
    if (node.order === 0) return node.isLoop ? { kind: 'dynamic' } : { kind: 'nzcv' };
    let known: FlagSource | undefined;
    for (const p of node.predecessors) {
      const after = this.#flagsAfter.get(p);
      if (after === undefined || (known !== undefined && !sameSource(known, after)))
        return { kind: 'dynamic' };
      known = after;
    }
    return known ?? { kind: 'dynamic' };
  }

  #lower(node: Node): Lowered {
    const place = this.#place;
    const b = this.#builder;
    const { instructions } = node.block;
    place.flags.source = this.#flagsBefore(node);
    place.beginBlock(instructions);
    let leavesAt: number | undefined;
    let count = 0;
    const code: Code[] = [];
    for (const instruction of instructions) {
      place.begin(instruction, count);
      b.asked.length = 0;
      try {
        lower(b, instruction.decoded, place.values);
      } catch (thrown) {
        if (!(thrown instanceof Unsupported)) throw thrown;
        b.body.length = 0;
        leavesAt = instruction.at;
        break;
      }
      code.push(b.body.splice(0));
      count++;
    }
    this.#flagsAfter.set(node, place.flags.source);
    return { code, condition: place.condition, leavesAt, count };
  }

  #body(node: Node, go: (to: Node) => Code): Code {
    const { code, condition, leavesAt, count } = this.#lowered.get(node)!;
    const { end, instructions } = node.block;
    const start = node.isLoop || node.order === 0 ? this.#askFuel(node) : [];
    const take = local.set(fuel, i32.sub(get(fuel), i32.const(instructions.length)));
    const head: Code = [start, take, code];
    if (leavesAt !== undefined) return [head, this.#leave(leavesAt, instructions.length - count)];
    switch (end.kind) {
      case 'leave':
        return [head, this.#leave(end.at, 0)];
      case 'exit':
        return [head, this.#away(end.at)];
      case 'goto':
        return [head, this.#follow(node, end.to, go)];
      case 'maybe': {
        const [taken, next] = [this.#follow(node, end.taken, go), this.#follow(node, end.next, go)];
        // Rounds of a loop before the last only leave it.
        const isTaken = this.#graph.targetOf(node, end.taken) === node;
        const round = [take, code, isTaken ? when(condition!, [], next) : when(condition!, taken)];
        const rounds = new Array<Code>(node.rounds - 1).fill(round);
        return [start, rounds, take, code, when(condition!, taken, next)];
      }
      case 'register': {
        const to = end.back === undefined ? undefined : this.#graph.targetOf(node, end.back);
        const away = [local.set(way, i32.const(Way.branch)), br(OUT)];
        if (to === undefined) return [head, away];
        const isBack = i64.eq(get(pc), i64.const(this.#address(end.back!.at)));
        return [head, when(isBack, go(to), away)];
      }
    }
  }

  #address(at: number): bigint {
    return BigInt.asUintN(64, this.#request.context.page + BigInt(at));
  }

  /** Leaves before a block whose longest path needs more fuel than there is. */
  #askFuel(node: Node): Code {
    return whenUnlikely(i32.ltU(get(fuel), i32.const(node.longest)), this.#leave(node.block.at, 0));
  }

  #leave(at: number, refund: number): Code {
    return [leaving(Way.leave, at, refund), br(OUT)];
  }

  #follow(node: Node, edge: Edge, go: (to: Node) => Code): Code {
    const to = this.#graph.targetOf(node, edge);
    return to === undefined ? this.#away(edge.at) : go(to);
  }

  /** On outside of the region. */
  #away(at: number): Code {
    return [
      local.set(pc, i64.const(this.#address(at))),
      local.set(btype, i32.const(0)),
      local.set(way, i32.const(this.#request.heatOf(at))),
      br(OUT),
    ];
  }

  // ---- in and out ----------------------------------------------------------------------------------

  #give(exit: number): Code {
    const cpu = this.#place.cpu;
    return [
      i64.store(cpu, get(pc), STATE + Cell.PC),
      i32.store(cpu, get(fuel), STATE + Cell.FUEL),
      giveBack(i32.const(exit)),
    ];
  }

  #in(): Code {
    const { context, blocks, checks, firstCheck } = this.#request;
    const cpu = this.#place.cpu;
    const isElsewhere = i64.ne(get(pc), i64.const(this.#address(blocks[0]!.at)));
    const mask = this.#place.vectors.known.asksExact ? -1 : ~Special.exact;
    const isOther = i32.ne(
      i32.and(i32.load(cpu, STATE + Cell.SPECIALIZATION), i32.const(mask)),
      i32.const(context.specialization & mask),
    );
    const table = context.tlb + 2 * TLB_TABLE_BYTES;
    const pageChecks = (this.#place.asksGuarded ? [firstCheck, ...checks] : checks).map(
      ({ low, key, word }) => {
        const context = i64.load(cpu, STATE + Cell.FETCH_CONTEXT);
        const slot = fetchTlbSlotCode(i32.const(low), context);
        const isKey = i64.eq(i64.load(slot, table), i64.or(i64.const(key), context));
        const isWord = i32.eq(i32.load(slot, table + 12), i32.const(word));
        return when(i32.eqz(i32.and(isKey, isWord)), this.#give(RegionExit.leave));
      },
    );
    return [
      when(i32.or(isElsewhere, isOther), this.#give(RegionExit.other)),
      pageChecks,
      this.#place.enter(),
    ];
  }

  #out(): Code {
    const b = this.#builder;
    const cpu = this.#place.cpu;
    const { link, refill, regionType, lastLink, hasTailCalls } = this.#module;
    this.#place.exit(b);
    const stores = b.body.splice(0);
    const kind = i32.and(get(way), i32.const(Way.mask));
    const at = addressOf(get(way), this.#place.context.page);
    const again = returnCall(refill, get(fuel), get(pc), get(missed), i32.and(get(way), i32.const(1)));
    const isLeft = i32.eq(kind, i32.const(Way.leave));
    const notDone: Code = [
      local.set(pc, at),
      local.set(fuel, i32.add(get(fuel), refundOf(get(way)))),
      hasTailCalls && this.#place.misses ? when(i32.eqz(isLeft), again) : [],
      this.#give(RegionExit.leave),
    ];
    if (!hasTailCalls) {
      return [
        stores,
        when(kind, notDone),
        i32.store(cpu, get(btype), STATE + Cell.BTYPE),
        this.#give(RegionExit.continue),
        i32.const(0),
      ];
    }
    return [
      stores,
      when(kind, notDone),
      when(get(way), [
        local.set(way, i32.load(get(way))),
        when(
          i32.ltS(get(way), i32.const(0)),
          returnCallIndirect(regionType, linkOf(lastLink, get(way)), get(fuel), get(pc)),
        ),
      ]),
      returnCall(link, get(fuel), get(pc), get(btype)),
    ];
  }
}

/**
 * The place of a region in the table of links, from the heat of its first instruction, which is the complement
 * of its place in the interpreter's; `lastLink`: what the two places differ by, less one.
 */
export const linkOf = (lastLink: number, heat: Code): Code => i32.sub(i32.const(lastLink), heat);

/** Makes the function of a region. */
export function writeRegion(request: RegionRequest, module: RegionModule): RegionFunction {
  return new RegionWriter(request, module).write();
}
