/**
 * The compiler's front: source text to tree and blob, in memory (files are the caller's business).
 *
 * parse and merge -> boot CPU guess -> checks, which also resolve references -> symbols and fixups ->
 * tree -> blob. The order is dtc 1.6.1's, because it shows in the bytes.
 */

import { type Diagnostic, InputError, inputError, type Span } from '../base/index.js';
import { CHECKS, type CheckedTree, type CheckSwitches, runChecks } from './checks/index.js';
import { addFixups, addSymbols } from './overlay.js';
import type { IncludeLoader, SourceFile } from './source/lexer.js';
import { LabelIndex, LiveNode, LiveProperty, nodeByPath } from './source/live.js';
import { type ParsedSource, parseSource } from './source/parser.js';
import type { BinaryLoader } from './source/values.js';
import { cellAt, type DeviceTree, DtNode, type MemoryReservation } from './tree.js';
import { writeDtb } from './write.js';

export interface CompileOptions {
  /** `-@`: add `__symbols__`. */
  readonly symbols?: boolean;
  /** `-b`: instead of the guess from /cpus. */
  readonly bootCpuid?: number;
  /** `-W`, `-E`. */
  readonly checks?: CheckSwitches;
  readonly include?: IncludeLoader;
  readonly incbin?: BinaryLoader;
}

export interface Compiled {
  readonly tree: DeviceTree;
  /** Made when first asked for. */
  readonly dtb: Uint8Array;
  readonly warnings: Diagnostic[];
  /** Where the source defines a node or property, for diagnostics about the tree. */
  readonly locate: (path: string, property?: string) => Span | undefined;
  readonly work: ParsedSource['work'];
}

/**
 * Compiles device tree source.
 * @throws InputError with every error found; syntax and range errors first, semantic ones only where
 * there are none of those.
 */
export function compileDts(source: SourceFile, options: CompileOptions = {}): Compiled {
  const parsed = parseSource(source, options.include, options.incbin);
  const { root, labels, plugin } = parsed;
  const bootCpuidPhys = options.bootCpuid ?? guessBootCpuid(root);
  const symbols = options.symbols ?? false;
  const checked: CheckedTree = {
    root,
    labels,
    plugin,
    symbols,
    memreserveLabels: parsed.memreserveLabels,
    file: source.name,
  };
  const warnings = checkTree(checked, options.checks);
  if (root.deleted) {
    throw inputError('DTS-ROOT', 'the root node was deleted, nothing is left', { file: source.name });
  }
  if (symbols) addSymbols(root);
  if (plugin) addFixups(root, labels);
  const tree = treeOf(root, parsed.memreserve, bootCpuidPhys);
  let dtb: Uint8Array | undefined;
  return {
    tree,
    get dtb() {
      dtb ??= writeDtb(tree);
      return dtb;
    },
    warnings,
    locate: (path, property) => {
      const node = nodeByPath(root, path);
      const of = property === undefined ? undefined : node?.property(property);
      return of?.span ?? node?.spans[0];
    },
    work: parsed.work,
  };
}

/**
 * Runs the checks on a tree read from a blob, as dtc does with any input: gives the tree without
 * redundant `name` properties, and the warnings.
 * @throws InputError where a check that is an error fails.
 */
export function checkBlobTree(
  tree: DeviceTree,
  options: { readonly name?: string; readonly symbols?: boolean; readonly checks?: CheckSwitches } = {},
): { readonly tree: DeviceTree; readonly warnings: Diagnostic[] } {
  const root = liveOf(tree);
  const warnings = checkTree(
    {
      root,
      labels: new LabelIndex(),
      plugin: false,
      symbols: options.symbols ?? false,
      memreserveLabels: [],
      file: options.name ?? '<blob>',
    },
    options.checks,
  );
  return { tree: treeOf(root, tree.memreserve, tree.bootCpuidPhys), warnings };
}

function checkTree(checked: CheckedTree, switches: CheckSwitches | undefined): Diagnostic[] {
  const found = runChecks(CHECKS, checked, switches);
  if (found.some((d) => d.severity === 'error')) {
    // Errors first: they are why nothing was made.
    throw new InputError([
      ...found.filter((d) => d.severity === 'error'),
      ...found.filter((d) => d.severity !== 'error'),
    ]);
  }
  return found;
}

/** As dtc: the `reg` of the first child of /cpus, if it is exactly one cell. */
function guessBootCpuid(root: LiveNode): number {
  const reg = nodeByPath(root, '/cpus')?.children[0]?.property('reg')?.value;
  return reg?.length === 4 ? cellAt(reg, 0) : 0;
}

function treeOf(root: LiveNode, memreserve: MemoryReservation[], bootCpuidPhys: number): DeviceTree {
  const top = new DtNode(root.name);
  const work: [LiveNode, DtNode][] = [[root, top]];
  for (let pair = work.pop(); pair !== undefined; pair = work.pop()) {
    const [live, node] = pair;
    for (const property of live.liveProperties()) node.properties.set(property.name, property.value);
    for (const child of live.liveChildren()) {
      const made = new DtNode(child.name, node);
      node.children.push(made);
      work.push([child, made]);
    }
  }
  return { memreserve, bootCpuidPhys, root: top };
}

function liveOf(tree: DeviceTree): LiveNode {
  const top = new LiveNode(tree.root.name);
  const work: [DtNode, LiveNode][] = [[tree.root, top]];
  for (let pair = work.pop(); pair !== undefined; pair = work.pop()) {
    const [node, live] = pair;
    for (const [name, value] of node.properties) {
      live.addProperty(new LiveProperty(name, value, [], undefined, false));
    }
    for (const child of node.children) {
      const made = new LiveNode(child.name);
      live.addChild(made);
      work.push([child, made]);
    }
  }
  return top;
}
