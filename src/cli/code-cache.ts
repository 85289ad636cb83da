/**
 * The command's program as one script with V8's code cache beside it: most of what starting costs is
 * compiling two megabytes of text, of which a run needs little, and the cache holds just that, compiled.
 * Firmware is kept there, too, assembled.
 *
 * A cache is good for one text and one V8. V8 itself refuses what another version made; of the text it
 * looks at the length only, so the text's own hash stands at its end and in the cache, and both must
 * be equal. Without a good cache the script is compiled as ever: it is only slower.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import vm from 'node:vm';
import type { CommandIo } from './command.js';
import type { DispatchOptions } from './dispatch.js';

/** What src/cli/main.ts exports. */
export interface Program {
  useFolder(folder: string): void;
  /** See src/machine/firmware.ts. */
  assembledFirmware(): string;
  useAssembledFirmware(text: string): void;
  main(args: readonly string[]): Promise<void>;
  dispatch(args: readonly string[], io: CommandIo, options?: DispatchOptions): Promise<number>;
}

/** File names beside the command; the build writes them. */
export const PROGRAM_FILE = 'mtemu-main.cjs';
export const CACHE_FILE = 'mtemu-main.cache';

/** Between the text and its hash, which is its last line. */
const STAMP = '\n//sha256:';
const HASH_LENGTH = 64;

/** The hash that a text ends with; undefined where the build did not finish. Text and cache are ASCII. */
export function stampOf(source: string): string | undefined {
  const at = source.length - HASH_LENGTH - STAMP.length;
  return at > 0 && source.startsWith(STAMP, at) ? source.slice(-HASH_LENGTH) : undefined;
}

/** `source` with its hash at its end. */
export const stamped = (source: string, hash: string): string => `${source}${STAMP}${hash}`;

/** Digits of the length of the firmware's text. */
const LENGTH_DIGITS = 8;

/** The cache's file: the hash of the text it was made from, the firmware's length, the firmware, V8's data. */
export function packCache(hash: string, firmware: string, data: Uint8Array): Uint8Array {
  const head = hash + String(firmware.length).padStart(LENGTH_DIGITS, '0') + firmware;
  const out = new Uint8Array(head.length + data.length);
  out.set(new TextEncoder().encode(head));
  out.set(data, head.length);
  return out;
}

/** What the cache holds for this text; undefined where there is none or it is another text's. */
function readCache(path: string, hash: string | undefined): { firmware: string; data: Buffer } | undefined {
  if (hash === undefined) return undefined;
  try {
    const file = readFileSync(path);
    if (file.toString('latin1', 0, HASH_LENGTH) !== hash) return undefined;
    const start = HASH_LENGTH + LENGTH_DIGITS;
    const end = start + Number(file.toString('latin1', HASH_LENGTH, start));
    return { firmware: file.toString('latin1', start, end), data: file.subarray(end) };
  } catch {
    return undefined;
  }
}

export interface LoadedProgram {
  readonly program: Program;
  readonly script: vm.Script;
  /** The code came from the cache. */
  readonly fromCache: boolean;
}

/** Loads the program of a folder (with a slash at its end). Throws where its text cannot be read. */
export function loadProgram(folder: string): LoadedProgram {
  const filename = folder + PROGRAM_FILE;
  const source = readFileSync(filename, 'latin1');
  const cache = readCache(folder + CACHE_FILE, stampOf(source));
  // The first releases of Node 20 lack it; imports at run time then fail, of which there are none today.
  const importModuleDynamically = vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER;
  const script = new vm.Script(source, {
    filename,
    ...(cache === undefined ? {} : { cachedData: cache.data }),
    ...(importModuleDynamically === undefined ? {} : { importModuleDynamically }),
  });
  // The text is a function of what CommonJS gives a module.
  const run: (exports: object, require: NodeJS.Require, module: { exports: object }) => void =
    script.runInThisContext();
  const module = { exports: {} };
  run(module.exports, createRequire(filename), module);
  const program = module.exports as Program;
  program.useFolder(folder);
  const fromCache = cache !== undefined && script.cachedDataRejected === false;
  // A cache that is whole: what V8 took is not cut short, so neither is what stands before it.
  if (fromCache) program.useAssembledFirmware(cache.firmware);
  return { program, script, fromCache };
}
