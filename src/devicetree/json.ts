/**
 * Device trees as JSON, for scripts: `{memreserve: [[address, size]], tree: {path: {property: hex}}}`,
 * in document order, hexadecimal without prefix.
 *
 * The text is put together here rather than by `JSON.stringify` of an object, because object keys that
 * look like array indices (a property named `0`) would not keep their place.
 */

import { inputError } from '../base/index.js';
import { bytesToHex } from './bytes.js';
import type { DeviceTree, DtNode } from './tree.js';

/** Every node's path is written out; a deep tree of long names must not take all memory. */
const MOST_PATH_TEXT = 2 ** 26;

/**
 * @throws InputError where the paths alone would be larger than 64 MiB.
 */
export function toJson(tree: DeviceTree): string {
  const parts: string[] = ['{\n  "memreserve": ['];
  const reservations: string[] = [];
  for (const { address, size } of tree.memreserve) {
    // A reader ends the list here; what the compiler wrote behind it cannot be seen.
    if (address === 0n && size === 0n) break;
    reservations.push(`["${address.toString(16)}", "${size.toString(16)}"]`);
  }
  parts.push(reservations.join(', '), '],\n  "tree": {');
  let pathText = 0;
  let first = true;
  const stack: { readonly node: DtNode; readonly path: string }[] = [{ node: tree.root, path: '/' }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { node, path } = top;
    pathText += path.length;
    if (pathText > MOST_PATH_TEXT) {
      throw inputError('FDT-PATHS', 'the paths of the tree are too long to write out', {
        help: 'nodes with very long names are nested very deep',
      });
    }
    const properties: string[] = [];
    for (const [name, value] of node.properties) {
      properties.push(`${JSON.stringify(name)}: "${bytesToHex(value)}"`);
    }
    const body = properties.length === 0 ? '{}' : `{\n      ${properties.join(',\n      ')}\n    }`;
    parts.push(`${first ? '' : ','}\n    ${JSON.stringify(path)}: ${body}`);
    first = false;
    const prefix = path === '/' ? '/' : `${path}/`;
    for (let i = node.children.length - 1; i >= 0; i--) {
      const child = node.children[i]!;
      stack.push({ node: child, path: prefix + child.name });
    }
  }
  parts.push('\n  }\n}\n');
  return parts.join('');
}
