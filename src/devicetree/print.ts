/**
 * Device trees as source text that compiles to the same tree again.
 *
 * A value is shown as strings where it reads as such, as cells where its length allows, else as bytes;
 * all three are exact, so the round trip does not depend on the guess. (dtc 1.6.1 loses a NUL before a
 * digit when it prints one string with octal escapes; here a NUL always ends a string.) There is no
 * syntax for the boot CPU: a comment says it, `-b` sets it.
 */

import { hex, inputError } from '../base/index.js';
import { cellAt, type DeviceTree, type DtNode } from './tree.js';

const NODE_NAME = /^[a-zA-Z0-9,._+*#?@-]+$/;

/**
 * @throws InputError where a name cannot be written in source.
 */
export function printDts(tree: DeviceTree): string {
  const parts: string[] = ['/dts-v1/;\n'];
  if (tree.bootCpuidPhys !== 0) parts.push(`/* boot CPU: compile with -b ${hex(tree.bootCpuidPhys)} */\n`);
  for (const { address, size } of tree.memreserve) {
    parts.push(`/memreserve/ ${hex(address, 16)} ${hex(size, 16)};\n`);
  }
  parts.push('\n/ {\n');
  // A frame is a node whose properties are printed and whose children follow one by one.
  const open: { readonly node: DtNode; next: number }[] = [{ node: tree.root, next: 0 }];
  printProperties(tree.root, 1, parts);
  while (open.length > 0) {
    const top = open[open.length - 1]!;
    const child = top.node.children[top.next++];
    if (child === undefined) {
      open.pop();
      parts.push(`${'\t'.repeat(open.length)}};\n`);
      continue;
    }
    checkName(child.name, child);
    const gap = top.next > 1 || top.node.properties.size > 0 ? '\n' : '';
    parts.push(`${gap}${'\t'.repeat(open.length)}${child.name} {\n`);
    open.push({ node: child, next: 0 });
    printProperties(child, open.length, parts);
  }
  return parts.join('');
}

function checkName(name: string, node: DtNode): void {
  if (NODE_NAME.test(name)) return;
  throw inputError('DTS-PRINT', `the name '${name}' cannot be written in source`, {
    notes: [`in ${node.path}`],
    help: 'names consist of letters, digits and ,._+*#?@-',
  });
}

function printProperties(node: DtNode, depth: number, parts: string[]): void {
  const indent = '\t'.repeat(depth);
  for (const [name, value] of node.properties) {
    checkName(name, node);
    parts.push(indent, name, value.length === 0 ? ';\n' : ` = ${printValue(value)};\n`);
  }
}

function printValue(value: Uint8Array): string {
  const text = printStrings(value);
  if (text !== undefined) return text;
  const parts: string[] = [];
  if (value.length % 4 === 0) {
    for (let at = 0; at < value.length; at += 4) parts.push(hex(cellAt(value, at)));
    return `<${parts.join(' ')}>`;
  }
  for (const byte of value) parts.push(byte.toString(16).padStart(2, '0'));
  return `[${parts.join(' ')}]`;
}

/** The value as strings, if it is printable text with a NUL after each non-empty piece. */
function printStrings(value: Uint8Array): string | undefined {
  if (value[value.length - 1] !== 0 || value[0] === 0) return undefined;
  let previous = 1;
  let out = '"';
  for (let at = 0; at < value.length; at++) {
    const byte = value[at]!;
    if (byte === 0) {
      if (previous === 0) return undefined;
      out += at === value.length - 1 ? '"' : '", "';
    } else if (byte === 0x22 || byte === 0x5c) out += `\\${String.fromCharCode(byte)}`;
    else if (byte === 0x0a) out += '\\n';
    else if (byte === 0x09) out += '\\t';
    else if (byte >= 0x20 && byte < 0x7f) out += String.fromCharCode(byte);
    else return undefined;
    previous = byte;
  }
  return out;
}
