/**
 * Which instructions a region consists of: the blocks reachable from a hot branch target.
 *
 * Places are bytes from the page of the target (numbers; code is never 2^53 bytes away). Blocks are found
 * breadth first, through calls as well: a call's target is scanned in the context of the place it
 * returns to, so that a return inside of it leads back there. What has never been decoded has hardly run
 * and is left out, as is what would make the region too large; edges there are exits.
 */
import { type Decoded, decodeOperands, type LabelValue } from '../../../isa/index.js';

/** Instructions in a region at most. */
const MOST_INSTRUCTIONS = 160;
/** Instructions in a block at most, so that fuel can be asked for in small pieces. */
const MOST_IN_BLOCK = 64;
/** Calls inside calls that are followed. */
const MOST_DEPTH = 3;

export interface Instruction {
  readonly at: number;
  readonly decoded: Decoded;
}

/** Where a call that was followed returns to. */
export interface Context {
  readonly id: number;
  readonly depth: number;
  readonly callee: number;
  readonly returnTo: number;
  readonly outer: Context | undefined;
}

export interface Edge {
  readonly at: number;
  readonly context: Context | undefined;
  /** Undefined where the edge leaves the region. */
  block: Block | undefined;
}

export type End =
  | { readonly kind: 'goto'; readonly to: Edge }
  | { readonly kind: 'maybe'; readonly taken: Edge; readonly next: Edge }
  /** To an address in a register; `back`: where a return is expected to lead. */
  | { readonly kind: 'register'; readonly back: Edge | undefined }
  /** Goes on outside of the region, which is made for what the block's last instruction changes. */
  | { readonly kind: 'exit'; readonly at: number }
  /** The interpreter does the instruction behind the block. */
  | { readonly kind: 'leave'; readonly at: number };

export interface Block {
  readonly at: number;
  readonly context: Context | undefined;
  instructions: Instruction[];
  end: End;
}

/** What the scanner is told about code. */
export interface CodeSource {
  /** The word at a place, unsigned; undefined where it is not to be translated. */
  word(at: number): number | undefined;
  /** Whether the instruction was decoded: it may have run. */
  isWarm(at: number): boolean;
  decode(word: number): Decoded | undefined;
  /** Whether code can be made for the instruction. */
  isSupported(decoded: Decoded): boolean;
  /** How the instruction branches. */
  shapeOf(decoded: Decoded): BranchShape;
}

/** How an instruction branches: not, always or maybe to a label, to a register; or not, but the region ends behind it. */
export interface BranchShape {
  readonly kind: 'none' | 'always' | 'maybe' | 'register' | 'exit';
  readonly isCall: boolean;
  readonly isReturn: boolean;
}

/** The place a branch of `decoded` names. */
function targetOf(instruction: Instruction): number {
  const { row } = instruction.decoded;
  const values = decodeOperands(instruction.decoded);
  const name = Object.keys(row.operands).find((key) => row.operands[key]!.shape === 'label')!;
  return instruction.at + Number((values[name] as LabelValue).offset);
}

const keyOf = (at: number, context: Context | undefined) => at * 1024 + (context?.id ?? 0);

export class Scanner {
  readonly #source: CodeSource;
  /** Blocks by the place they begin at. */
  readonly #blocks = new Map<number, Block>();
  /** The block that each instruction is in. */
  readonly #owners = new Map<number, Block>();
  readonly #edges: Edge[] = [];
  readonly #work: Edge[] = [];
  #instructions = 0;
  #contexts = 0;

  constructor(source: CodeSource) {
    this.#source = source;
  }

  /** The blocks from `at` on, the first one first. Empty where nothing can be translated there. */
  scan(at: number): Block[] {
    this.#edge(at, undefined);
    for (let edge = this.#work.shift(); edge !== undefined; edge = this.#work.shift()) this.#begin(edge);
    for (const edge of this.#edges) edge.block = this.#blocks.get(keyOf(edge.at, edge.context));
    const first = this.#blocks.get(keyOf(at, undefined));
    if (first === undefined || first.instructions.length === 0) return [];
    return [...this.#blocks.values()];
  }

  #edge(at: number, context: Context | undefined): Edge {
    const edge: Edge = { at, context, block: undefined };
    this.#edges.push(edge);
    this.#work.push(edge);
    return edge;
  }

  #begin({ at, context }: Edge): void {
    const key = keyOf(at, context);
    if (this.#blocks.has(key)) return;
    const owner = this.#owners.get(key);
    if (owner !== undefined) this.#split(owner, at);
    else this.#block(at, context);
  }

  /** The part of a block from `at` on becomes a block. */
  #split(block: Block, at: number): void {
    const index = block.instructions.findIndex((i) => i.at === at);
    const tail: Block = {
      at,
      context: block.context,
      instructions: block.instructions.slice(index),
      end: block.end,
    };
    block.instructions = block.instructions.slice(0, index);
    block.end = { kind: 'goto', to: this.#known(at, block.context) };
    for (const i of tail.instructions) this.#owners.set(keyOf(i.at, block.context), tail);
    this.#blocks.set(keyOf(at, block.context), tail);
  }

  /** An edge that needs no work. */
  #known(at: number, context: Context | undefined): Edge {
    const edge: Edge = { at, context, block: undefined };
    this.#edges.push(edge);
    return edge;
  }

  #block(start: number, context: Context | undefined): void {
    const source = this.#source;
    if (this.#instructions >= MOST_INSTRUCTIONS || !source.isWarm(start)) return;
    const instructions: Instruction[] = [];
    const block: Block = { at: start, context, instructions, end: { kind: 'leave', at: start } };
    for (let at = start; ; at += 4) {
      const key = keyOf(at, context);
      if (at !== start && this.#owners.has(key)) {
        block.end = { kind: 'goto', to: this.#edge(at, context) };
        break;
      }
      if (instructions.length === MOST_IN_BLOCK || this.#instructions >= MOST_INSTRUCTIONS) {
        block.end = { kind: 'goto', to: this.#edge(at, context) };
        break;
      }
      const word = source.word(at);
      if (word === undefined) {
        // The next page, perhaps: whoever comes there knows.
        block.end = { kind: 'goto', to: this.#known(at, context) };
        break;
      }
      const decoded = source.decode(word);
      if (decoded === undefined || !source.isSupported(decoded)) {
        block.end = { kind: 'leave', at };
        break;
      }
      const instruction = { at, decoded };
      instructions.push(instruction);
      this.#owners.set(key, block);
      this.#instructions++;
      const shape = source.shapeOf(decoded);
      if (shape.kind === 'none') continue;
      block.end = this.#endOf(instruction, shape, context);
      break;
    }
    if (instructions.length > 0) this.#blocks.set(keyOf(start, context), block);
  }

  #endOf(instruction: Instruction, shape: BranchShape, context: Context | undefined): End {
    const next = instruction.at + 4;
    if (shape.kind === 'exit') return { kind: 'exit', at: next };
    if (shape.kind === 'register') {
      const back =
        shape.isReturn && context !== undefined ? this.#edge(context.returnTo, context.outer) : undefined;
      return { kind: 'register', back };
    }
    const target = targetOf(instruction);
    if (shape.kind === 'maybe') {
      return { kind: 'maybe', taken: this.#edge(target, context), next: this.#edge(next, context) };
    }
    if (!shape.isCall) return { kind: 'goto', to: this.#edge(target, context) };
    const inner = this.#callOf(target, next, context);
    return {
      kind: 'goto',
      to: inner === undefined ? this.#known(target, undefined) : this.#edge(target, inner),
    };
  }

  /** The context of a call that is followed. */
  #callOf(callee: number, returnTo: number, outer: Context | undefined): Context | undefined {
    const depth = (outer?.depth ?? 0) + 1;
    if (depth > MOST_DEPTH || this.#contexts === 1023) return undefined;
    return { id: ++this.#contexts, depth, callee, returnTo, outer };
  }
}
