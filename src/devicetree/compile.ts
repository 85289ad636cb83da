/**
 * The compiler's front: source text to tree and blob, in memory (files are the caller's business).
 *
 * parse and merge -> boot CPU guess -> checks, which also resolve references -> symbols and fixups ->
 * tree -> blob. The order is dtc 1.6.1's, because it shows in the bytes.
 */

import { type Diagnostic, InputError, inputError, type Span } from '../base/index.js';
import {
  CHECKS,
  type CheckedTree,
  type CheckSwitches,
  type PhandleFormat,
  Phandles,
  runChecks,
} from './checks/index.js';
import { addAliases, addFixups, addSymbols } from './overlay.js';
import type { IncludeLoader, SourceFile } from './source/lexer.js';
import { LabelIndex, LiveNode, LiveProperty, nodeByPath } from './source/live.js';
import { type ParsedSource, parseSource } from './source/parser.js';
import type { BinaryLoader } from './source/values.js';
import { allNodes, cellAt, type DeviceTree, DtNode, type MemoryReservation } from './tree.js';
import { writeDtb } from './write.js';

/** What may be asked for of any input, source or blob. */
export interface TreeOptions {
  /** `-@`: add `__symbols__`. */
  readonly symbols?: boolean;
  /** `-A`: add every label to /aliases. */
  readonly aliases?: boolean;
  /** `-H`: the names under which phandles are given out; default `epapr`. */
  readonly phandleFormat?: PhandleFormat;
  /** `-W`, `-E`. */
  readonly checks?: CheckSwitches;
  /** `-f`: errors of checks are told with the warnings, and the tree is made all the same. */
  readonly force?: boolean;
}

export interface CompileOptions extends TreeOptions {
  /** `-b`: instead of the guess from /cpus. */
  readonly bootCpuid?: number;
  readonly include?: IncludeLoader;
  readonly incbin?: BinaryLoader;
}

export interface Compiled {
  readonly tree: DeviceTree;
  /** Made when first asked for. */
  readonly dtb: Uint8Array;
  /** With `force`, errors of checks too. */
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
  const checked: CheckedTree = {
    root,
    symbols: options.symbols ?? false,
    phandles: new Phandles(root, options.phandleFormat),
    labels,
    plugin,
    memreserveLabels: parsed.memreserveLabels,
    file: source.name,
  };
  const warnings = checkTree(checked, options);
  if (root.deleted) {
    throw inputError('DTS-ROOT', 'the root node was deleted, nothing is left', { file: source.name });
  }
  warnings.push(...generate(checked, options));
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
  options: TreeOptions & { readonly name?: string } = {},
): { readonly tree: DeviceTree; readonly warnings: Diagnostic[] } {
  const root = liveOf(tree);
  const checked: CheckedTree = {
    root,
    symbols: options.symbols ?? false,
    phandles: new Phandles(root, options.phandleFormat),
    labels: new LabelIndex(),
    plugin: false,
    memreserveLabels: [],
    file: options.name ?? '<blob>',
  };
  const warnings = checkTree(checked, options);
  return { tree: treeOf(root, tree.memreserve, tree.bootCpuidPhys), warnings };
}

function checkTree(checked: CheckedTree, { checks, force }: TreeOptions): Diagnostic[] {
  const found = runChecks(CHECKS, checked, checks, force);
  if (force !== true && found.some((d) => d.severity === 'error')) {
    // Errors first: they are why nothing was made.
    throw new InputError([
      ...found.filter((d) => d.severity === 'error'),
      ...found.filter((d) => d.severity !== 'error'),
    ]);
  }
  return found;
}

/** Adds the nodes that are made from labels and references; warns of labels that were there before. */
function generate(
  { root, labels, plugin, symbols, phandles, file }: CheckedTree,
  { aliases }: TreeOptions,
): Diagnostic[] {
  const taken: [string, string[]][] = [];
  if (aliases === true) taken.push(['/aliases', addAliases(root)]);
  if (symbols) taken.push(['/__symbols__', addSymbols(root, phandles)]);
  if (plugin) addFixups(root, labels);
  return taken.flatMap(([path, names]) =>
    names.map((label) => ({
      code: 'label_exists',
      severity: 'warning' as const,
      message: `${path}: label ${label} already exists here, and is left as it is`,
      file,
    })),
  );
}

/** `-s`: reservations by address, properties and nodes by name, byte by byte; changes the tree. */
export function sortTree(tree: DeviceTree): void {
  const order = <T>(a: T, b: T) => (a < b ? -1 : a > b ? 1 : 0);
  tree.memreserve.sort((a, b) => order(a.address, b.address) || order(a.size, b.size));
  for (const node of allNodes(tree)) {
    const properties = [...node.properties].sort(([a], [b]) => order(a, b));
    node.properties.clear();
    for (const [name, value] of properties) node.properties.set(name, value);
    node.children.sort((a, b) => order(a.name, b.name));
  }
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
