/**
 * What /chosen and /aliases say: the device that messages go to.
 *
 * Firmware and kernels find their console through `stdout-path`: a full path, or the name of an alias,
 * with options for the device behind a colon (`serial0:115200n8`). An alias may be followed by the path of
 * a node below it. Ref. Devicetree Specification v0.4, 3.3 (/aliases) and 3.6 (/chosen); `linux,stdout-path`
 * is the name that older trees use.
 */

import { type DeviceTree, type DtNode, findNode, strings } from './tree.js';

export interface StdoutPath {
  /** The property's text, whole. */
  readonly text: string;
  /** What stands behind the colon; empty where nothing does. */
  readonly options: string;
  /** The node it names; undefined where there is no such alias or node. */
  readonly node: DtNode | undefined;
}

/** Where the tree wants messages to go; undefined where /chosen says nothing. */
export function stdoutPath(tree: DeviceTree): StdoutPath | undefined {
  const chosen = tree.root.child('chosen');
  const value = chosen?.properties.get('stdout-path') ?? chosen?.properties.get('linux,stdout-path');
  const text = strings(value)[0];
  if (text === undefined || text === '') return undefined;
  const colon = text.indexOf(':');
  return {
    text,
    options: colon < 0 ? '' : text.slice(colon + 1),
    node: nodeByPathOrAlias(tree, colon < 0 ? text : text.slice(0, colon)),
  };
}

/** The node that a full path, or an alias with or without a path below it, names. */
export function nodeByPathOrAlias(tree: DeviceTree, text: string): DtNode | undefined {
  if (text.startsWith('/')) return findNode(tree, text);
  const slash = text.indexOf('/');
  const alias = slash < 0 ? text : text.slice(0, slash);
  const path = strings(tree.root.child('aliases')?.properties.get(alias))[0];
  // An alias that names another alias is none: it must be a full path.
  if (path === undefined || !path.startsWith('/')) return undefined;
  return findNode(tree, slash < 0 ? path : path + text.slice(slash));
}
