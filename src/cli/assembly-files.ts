/**
 * Assembly source from files, for every command that takes one: `.include` and `.incbin` look beside
 * the including file, then in the working folder, then in each `-I` folder.
 */
import { dirname, isAbsolute, join } from 'node:path';
import type { AssembleOptions } from '../assembler/index.js';
import { InputError, inputError } from '../base/index.js';
import type { CommandIo } from './command.js';

/** Source bytes as text; throws InputError (ASM-ENCODING) where they are not UTF-8. */
export function decodeText(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw inputError('ASM-ENCODING', 'the source is not UTF-8 text', { file });
  }
}

/** Loaders for `.include` and `.incbin` that read through `io`. */
export function assemblyLoaders(
  io: CommandIo,
  folders: readonly string[] = [],
): Required<Pick<AssembleOptions, 'include' | 'incbin'>> {
  return {
    include: (name, from) => {
      const found = find(io, name, from, folders);
      return { name: found.path, text: decodeText(found.bytes, found.path) };
    },
    incbin: (name, from) => find(io, name, from, folders).bytes,
  };
}

function find(
  io: CommandIo,
  name: string,
  from: string,
  folders: readonly string[],
): { readonly path: string; readonly bytes: Uint8Array } {
  const candidates = isAbsolute(name)
    ? [name]
    : [...new Set([join(dirname(from), name), name, ...folders.map((f) => join(f, name))])];
  let first: InputError | undefined;
  for (const path of candidates) {
    try {
      return { path, bytes: io.readFile(path) };
    } catch (thrown) {
      if (!(thrown instanceof InputError)) throw thrown;
      first ??= thrown;
    }
  }
  throw first;
}
