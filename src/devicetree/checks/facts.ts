/** Small questions about nodes that several checks ask. */

import type { LiveNode } from '../source/live.js';
import { cellAt } from '../tree.js';

/** The part of a node's name before `@`. */
export function baseName(node: LiveNode): string {
  const at = node.name.indexOf('@');
  return at < 0 ? node.name : node.name.slice(0, at);
}

/** The unit address, without `@`; empty where there is none. */
export function unitName(node: LiveNode): string {
  const at = node.name.indexOf('@');
  return at < 0 ? '' : node.name.slice(at + 1);
}

/** Whether a value is one NUL-terminated string without a NUL inside. */
export function isString(value: Uint8Array): boolean {
  return value.length > 0 && value.indexOf(0) === value.length - 1;
}

/** The value up to its first NUL, Latin-1, cut after 4096 characters. */
export function firstText(value: Uint8Array): string {
  const nul = value.indexOf(0);
  const end = Math.min(nul < 0 ? value.length : nul, 4096);
  return String.fromCharCode(...value.subarray(0, end));
}

/** A property's first cell; undefined where there is none. */
export function firstCell(node: LiveNode, name: string): number | undefined {
  const value = node.property(name)?.value;
  return value !== undefined && value.length >= 4 ? cellAt(value, 0) : undefined;
}

/** What the node says of its children's addresses, if it says it. */
export function ownCells(node: LiveNode, name: '#address-cells' | '#size-cells'): number | undefined {
  const value = node.property(name)?.value;
  return value?.length === 4 ? cellAt(value, 0) : undefined;
}

export function addressCells(node: LiveNode): number {
  return ownCells(node, '#address-cells') ?? 2;
}

export function sizeCells(node: LiveNode): number {
  return ownCells(node, '#size-cells') ?? 1;
}

/** Whether `length` is a whole number of entries; entries of no cells have no bytes. */
export function isMultiple(length: number, entry: number): boolean {
  return entry === 0 ? length === 0 : length % entry === 0;
}

export function hasLiveChildren(node: LiveNode): boolean {
  return node.children.some((c) => !c.deleted);
}

/** Whether `compatible` lists exactly this. */
export function isCompatibleWith(node: LiveNode, name: string): boolean {
  const value = node.property('compatible')?.value;
  if (value === undefined) return false;
  return `\0${String.fromCharCode(...value.subarray(0, 4096))}\0`.includes(`\0${name}\0`);
}
