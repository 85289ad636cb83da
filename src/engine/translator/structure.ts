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

/** A natural loop: the blocks from which an edge back to its beginning can be reached without leaving it. */
interface Loop {
  readonly label: Label;
  readonly body: Set<Node>;
  /** Where edges back to the beginning come from. */
  readonly from: Set<Node>;
  /** Blocks that stand behind the loop because their dominator is in it and they are not. */
  readonly behind: Node[];
}

export interface Node {
  readonly block: Block;
  /** Place in reverse postorder. */
  readonly order: number;
  readonly predecessors: Node[];
  readonly mergeLabel: Label;
  /** Loops that begin here, the innermost first. */
  loops: Loop[];
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
        mergeLabel: new Label('merge'),
        loops: [],
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
    for (const node of this.nodes) this.#hang(node);
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
  }

  /**
   * Finds the node's place: with its dominator, or, where that is in a loop that the node is not in, behind
   * the outermost such loop, so that nothing that is not of a loop stands in it.
   */
  #hang(node: Node): void {
    if (node.order === 0) return;
    let outermost: Loop | undefined;
    for (let header = node.dominator; ; header = header.dominator) {
      for (const l of header.loops) if (l.body.has(node.dominator) && !l.body.has(node)) outermost = l;
      if (header === header.dominator) break;
    }
    if (outermost !== undefined) {
      node.isMerge = true;
      outermost.behind.push(node);
      return;
    }
    const siblings = this.#children.get(node.dominator) ?? [];
    siblings.push(node);
    this.#children.set(node.dominator, siblings);
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
      const back: Node[] = [];
      for (const p of node.predecessors) {
        if (!this.#isBack(p, node)) forward++;
        else if (this.#dominates(node, p)) back.push(p);
      }
      node.isLoop = back.length > 0;
      node.isMerge = forward > 1;
      node.loops = loopsOf(node, back);
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
    /** Nodes behind a code that leads to them; those that come last in order stand outermost. */
    const before = (merges: readonly Node[], inner: Code): Code =>
      merges.reduce((code, merge) => [block(merge.mergeLabel, code), treeOf(merge)], inner);
    const treeOf = (node: Node): Code => {
      const merges = (this.#children.get(node) ?? []).filter((child) => child.isMerge);
      let code = before(
        merges,
        bodyOf(node, (to) => go(node, to)),
      );
      for (const l of node.loops) code = before(l.behind, loop(l.label, code));
      return code;
    };
    const go = (from: Node, to: Node): Code => {
      if (this.#isBack(from, to)) return br(to.loops.find((l) => l.from.has(from))!.label);
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

/** The loops that edges back to `header` make; those that are not inside one another are one. */
function loopsOf(header: Node, back: readonly Node[]): Loop[] {
  const bodies = back.map((from) => {
    const body = new Set([header]);
    const work = [from];
    for (let node = work.pop(); node !== undefined; node = work.pop()) {
      if (body.has(node)) continue;
      body.add(node);
      work.push(...node.predecessors);
    }
    return { from, body };
  });
  bodies.sort((a, b) => a.body.size - b.body.size);
  const out: Loop[] = [];
  for (const { from, body } of bodies) {
    const last = out.at(-1);
    const isOutside =
      last === undefined || (body.size > last.body.size && [...last.body].every((node) => body.has(node)));
    if (isOutside) {
      out.push({ label: new Label('loop'), body: new Set(body), from: new Set([from]), behind: [] });
    } else {
      for (const node of body) last.body.add(node);
      last.from.add(from);
    }
  }
  return out;
}
