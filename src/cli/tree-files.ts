/**
 * Trees from files, for every command that takes one: form by name or content, includes searched as
 * dtc searches them (beside the including file, then in each `-i` directory).
 */

import { dirname, isAbsolute, join } from 'node:path';
import { InputError } from '../base/index.js';
import {
  type Compiled,
  type CompileOptions,
  compileDts,
  type DeviceTree,
  type Locator,
  readDtb,
} from '../devicetree/index.js';
import type { CommandIo } from './command.js';

export type TreeForm = 'dts' | 'dtb';

/** By name, else by the magic number, else source. */
export function treeForm(path: string, bytes: Uint8Array): TreeForm {
  if (path.endsWith('.dts')) return 'dts';
  if (path.endsWith('.dtb') || path.endsWith('.dtbo')) return 'dtb';
  const magic = [0xd0, 0x0d, 0xfe, 0xed];
  return magic.every((byte, i) => bytes[i] === byte) ? 'dtb' : 'dts';
}

/** Loaders for `/include/` and `/incbin/` that read through `io`; `opened` is told each file. */
export function fileLoaders(
  io: CommandIo,
  directories: readonly string[],
  opened: (path: string) => void = () => {},
): Required<Pick<CompileOptions, 'include' | 'incbin'>> {
  const open = (path: string, fromFile: string): { name: string; bytes: Uint8Array } | undefined => {
    const beside = dirname(fromFile);
    const places = isAbsolute(path) ? [path] : [beside, ...directories].map((d) => join(d, path));
    for (const name of places) {
      try {
        const bytes = io.readFile(name);
        opened(name);
        return { name, bytes };
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
      }
    }
    return undefined;
  };
  return {
    include: (path, fromFile) => {
      const file = open(path, fromFile);
      return file && { name: file.name, text: file.bytes };
    },
    incbin: (path, fromFile) => open(path, fromFile)?.bytes,
  };
}

/** A tree for the machine or for discovery; `locate` where it came from source. */
export function loadTree(
  path: string,
  io: CommandIo,
  directories: readonly string[] = [],
): { readonly tree: DeviceTree; readonly locate?: Locator; readonly compiled?: Compiled } {
  const bytes = io.readFile(path);
  if (treeForm(path, bytes) === 'dtb') return { tree: readDtb(bytes, path) };
  const compiled = compileDts({ name: path, text: bytes }, fileLoaders(io, directories));
  return { tree: compiled.tree, locate: compiled.locate, compiled };
}
