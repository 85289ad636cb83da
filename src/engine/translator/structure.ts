/**
 * From a graph of blocks to nested WebAssembly control structures.
 *
 * Blocks are put in reverse postorder and their dominators found; the code follows the dominator tree: a
 * block that several forward edges lead to stands behind a structure `block` that they leave, a block
 * that an edge leads back to is a `loop`. Edges back to a block that does not dominate where they come
 * from (irreducible graphs) leave the region.
 *
 * Ref. N. Ramsey, "Beyond Relooper" (ICFP 2022); K. Cooper, T. Harvey, K. Kennedy, "A simple, fast
 * dominance algorithm" (2001).
 */
import { block, br, type Code, Label, loop } from '../wasm/index.js';
import type { Block, Edge } from './scan.js';

/** Instructions of a loop's block, at most, for it to be unrolled; and those of all its rounds. */
const UNROLLED = 24;
const MOST_ROUNDS = 4;

export interface Node {
  readonly block: Block;
  /** Place in reverse postorder. */
  readonly order: number;
  readonly predecessors: Node[];
  readonly loopLabel: Label;
  readonly mergeLabel: Label;
  /** The immediate dominator; the first node's is itself. */
  dominator: Node;
  /** An edge leads back here. */
  isLoop: boolean;
  /** More than one forward edge leads here. */
  isMerge: boolean;
  /** How many rounds of a loop of this one block stand in its code. */
  rounds: number;
  /** The most instructions from here until a loop begins (again) or the region ends. */
  longest: number;
}

const edgesOf = ({ end }: Block): Edge[] => {
  if (end.kind === 'goto') return [end.to];
  if (end.kind === 'maybe') return [end.taken, end.next];
  return end.kind === 'register' && end.back !== undefined ? [end.back] : [];
};

export class Graph {
  /** In reverse postorder; blocks that nothing leads to are not there. */
  readonly nodes: readonly Node[];
  readonly #byBlock = new Map<Block, Node>();
  readonly #children = new Map<Node, Node[]>();

  constructor(first: Block) {
    const order = reversePostorder(first);
    this.nodes = order.map((b, i) => {
      const node = {
        block: b,
        order: i,
        predecessors: [],
        loopLabel: new Label('loop'),
        mergeLabel: new Label('merge'),
        isLoop: false,
        isMerge: false,
        rounds: 1,
        longest: 0,
      } as unknown as Node;
      node.dominator = node;
      this.#byBlock.set(b, node);
      return node;
    });
    for (const node of this.nodes) {
      for (const to of this.#successors(node)) to.predecessors.push(node);
    }
    this.#findDominators();
    this.#findLoops();
    for (const node of this.nodes) this.#unroll(node);
    this.#findLongest();
  }

  #successors(node: Node): Node[] {
    return edgesOf(node.block).flatMap(({ block: b }) => (b === undefined ? [] : [this.#byBlock.get(b)!]));
  }

  #findDominators(): void {
    const [first] = this.nodes;
    const known = new Set<Node>([first!]);
    const meet = (a: Node, b: Node): Node => {
      let [x, y] = [a, b];
      while (x !== y) {
        if (x.order > y.order) x = x.dominator;
        else y = y.dominator;
      }
      return x;
    };
    for (let changed = true; changed; ) {
      changed = false;
      for (const node of this.nodes) {
        if (node === first) continue;
        const from = node.predecessors.filter((p) => known.has(p));
        const dominator = from.reduce((a, b) => meet(a, b));
        if (known.has(node) && node.dominator === dominator) continue;
        node.dominator = dominator;
        known.add(node);
        changed = true;
      }
    }
    for (const node of this.nodes) {
      if (node === first) continue;
      const siblings = this.#children.get(node.dominator) ?? [];
      siblings.push(node);
      this.#children.set(node.dominator, siblings);
    }
  }

  #dominates(a: Node, b: Node): boolean {
    let x = b;
    while (x.order > a.order) x = x.dominator;
    return x === a;
  }

  #isBack(from: Node, to: Node): boolean {
    return to.order <= from.order;
  }

  #findLoops(): void {
    for (const node of this.nodes) {
      let forward = 0;
      for (const p of node.predecessors) {
        if (!this.#isBack(p, node)) forward++;
        else if (this.#dominates(node, p)) node.isLoop = true;
      }
      node.isMerge = forward > 1;
    }
  }

  /** Small loops of one block ask for fuel once in several rounds. */
  #unroll(node: Node): void {
    const { end, instructions } = node.block;
    if (!node.isLoop || end.kind !== 'maybe' || instructions.length > UNROLLED) return;
    const [taken, next] = [end.taken, end.next].map((edge) => this.targetOf(node, edge));
    if ((taken === node) === (next === node)) return;
    node.rounds = Math.max(2, Math.floor(UNROLLED / instructions.length));
    if (node.rounds > MOST_ROUNDS) node.rounds = MOST_ROUNDS;
    // Every round has its way out: what is there must not be written again and again.
    const out = taken === node ? next : taken;
    if (out !== undefined && out.order > node.order) out.isMerge = true;
  }

  #findLongest(): void {
    for (const node of [...this.nodes].reverse()) {
      let beyond = 0;
      for (const to of this.#successors(node)) {
        if (!this.#isBack(node, to) && !to.isLoop) beyond = Math.max(beyond, to.longest);
      }
      node.longest = node.rounds * node.block.instructions.length + beyond;
    }
  }

  /** The node an edge from `from` leads to; undefined where it leaves the region. */
  targetOf(from: Node, edge: Edge | undefined): Node | undefined {
    const to = edge?.block === undefined ? undefined : this.#byBlock.get(edge.block);
    if (to === undefined || (this.#isBack(from, to) && !this.#dominates(to, from))) return undefined;
    return to;
  }

  /**
   * The code of all nodes. `bodyOf` gives a node's code, its end included, which uses `go` for each edge
   * that stays in the region.
   */
  code(bodyOf: (node: Node, go: (to: Node) => Code) => Code): Code {
    const treeOf = (node: Node): Code => {
      const merges = (this.#children.get(node) ?? []).filter((child) => child.isMerge);
      const within = (index: number): Code => {
        if (index === merges.length) return bodyOf(node, (to) => go(node, to));
        // Those that come last in order stand outermost.
        const last = merges[merges.length - 1 - index]!;
        return [block(last.mergeLabel, within(index + 1)), treeOf(last)];
      };
      return node.isLoop ? loop(node.loopLabel, within(0)) : within(0);
    };
    const go = (from: Node, to: Node): Code => {
      if (this.#isBack(from, to)) return br(to.loopLabel);
      return to.isMerge ? br(to.mergeLabel) : treeOf(to);
    };
    return treeOf(this.nodes[0]!);
  }
}

function reversePostorder(first: Block): Block[] {
  const seen = new Set<Block>([first]);
  const out: Block[] = [];
  // Edges are visited last to first, so that what is likely to follow comes next in order.
  const stack: { block: Block; edges: Edge[] }[] = [{ block: first, edges: edgesOf(first) }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const edge = top.edges.shift();
    if (edge === undefined) {
      out.push(top.block);
      stack.pop();
    } else if (edge.block !== undefined && !seen.has(edge.block)) {
      seen.add(edge.block);
      stack.push({ block: edge.block, edges: edgesOf(edge.block) });
    }
  }
  return out.reverse();
}
