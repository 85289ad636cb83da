/**
 * `mtemu dtc`: the device tree compiler's face, with dtc 1.6.1's short options and defaults.
 *
 * Of dtc's forms `yaml`, `asm` and `fs` are not offered, nor its `-T`; `json` is ours.
 *
 * Nothing is written before everything is known to be right, so an error leaves no partial file.
 */

import { type Diagnostic, InputError, renderDiagnostics } from '../base/index.js';
import {
  BLOB_VERSIONS,
  type BlobVersion,
  type CheckSwitches,
  checkBlobTree,
  checkNames,
  compileDts,
  type DeviceTree,
  printDts,
  readDtb,
  sortTree,
  type TreeOptions,
  toJson,
  type WriteOptions,
  writeDtb,
} from '../devicetree/index.js';
import type { Command, CommandIo } from './command.js';
import { choice, type OptionSpecs, parseOptions, text, usageError } from './options.js';
import { fileLoaders, treeForm } from './tree-files.js';

const OPTIONS = {
  'in-format': { type: 'string', short: 'I' },
  'out-format': { type: 'string', short: 'O' },
  'out-version': { type: 'string', short: 'V' },
  'out-dependency': { type: 'string', short: 'd' },
  reserve: { type: 'string', short: 'R' },
  space: { type: 'string', short: 'S' },
  pad: { type: 'string', short: 'p' },
  align: { type: 'string', short: 'a' },
  symbols: { type: 'boolean', short: '@' },
  'auto-alias': { type: 'boolean', short: 'A' },
  phandle: { type: 'string', short: 'H' },
  sort: { type: 'boolean', short: 's' },
  force: { type: 'boolean', short: 'f' },
  'boot-cpu': { type: 'string', short: 'b' },
  include: { type: 'string', short: 'i', multiple: true },
  out: { type: 'string', short: 'o' },
  warning: { type: 'string', short: 'W', multiple: true },
  error: { type: 'string', short: 'E', multiple: true },
  quiet: { type: 'boolean', short: 'q', multiple: true },
  help: { type: 'boolean', short: 'h' },
} as const satisfies OptionSpecs;

const HELP = `Usage: mtemu dtc [options] FILE

Compiles device tree source to a blob, or turns a blob into source or JSON.
As dtc 1.6.1: the same language, byte-identical blobs. FILE may be - for standard input.

  -I, --in-format dts|dtb        form of FILE (default: by its name, then by content)
  -O, --out-format dts|dtb|json|null
                                 form of the output (default: by the name of -o;
                                 dtb from source, dts from a blob); null only checks
  -o, --out OUT                  write to OUT instead of standard output
  -d, --out-dependency FILE      write a make rule there: OUT and the files it was made from
  -@, --symbols                  add /__symbols__ with the path of every label
  -A, --auto-alias               add every label to /aliases
  -H, --phandle epapr|legacy|both
                                 give phandles as phandle (default), linux,phandle or both
  -s, --sort                     sort reservations, properties and nodes
  -f, --force                    write what errors of checks leave, if anything
  -b, --boot-cpu N               set boot_cpuid_phys
  -V, --out-version N            version of the blob: 1, 2, 3, 16 or 17 (default)
  -R, --reserve N                leave room for N memory reservations
  -S, --space BYTES              make the blob at least this large
  -p, --pad BYTES                add this much to the blob
  -a, --align BYTES              round the blob's size up to a multiple, a power of two
  -i, --include DIR              also look here for /include/ and /incbin/ (repeatable)
  -W, --warning [no-]CHECK       turn a check on (or off)
  -E, --error [no-]CHECK         make a check an error (or not)
  -q, --quiet                    no warnings; -qq: no errors either
  -h, --help                     this text
`;

const COMMAND = 'dtc';

type Values = ReturnType<typeof parseOptions>['values'];

/** More room than a boot loader will ever fill, and less than what makes memory short here. */
const MOST_ROOM = 2 ** 28;
const MOST_RESERVATIONS = 2 ** 16;

function switches(warning: unknown, error: unknown): CheckSwitches {
  const map = new Map<string, 'error' | 'warning' | 'off'>();
  const known = new Set(checkNames());
  const apply = (words: unknown, level: 'error' | 'warning') => {
    for (const word of Array.isArray(words) ? words : []) {
      const negative = String(word).startsWith('no-');
      const name = negative ? String(word).slice(3) : String(word);
      if (!known.has(name)) throw usageError(COMMAND, `there is no check named '${name}'`);
      map.set(name, negative ? (level === 'error' ? 'warning' : 'off') : level);
    }
  };
  apply(warning, 'warning');
  apply(error, 'error');
  return map;
}

/** The number behind an option, from 0 to `most`, written as in C. */
function number(values: Values, name: string, most: number): number | undefined {
  const word = text(values, name);
  if (word === undefined) return undefined;
  const value = /^(0x[0-9a-f]+|[0-9]+)$/i.test(word) ? parseC(word) : Number.NaN;
  if (!(value >= 0 && value <= most)) {
    const range = most === 0xffff_ffff ? 'a 32-bit number' : `a number from 0 to ${most}`;
    throw usageError(COMMAND, `--${name} takes ${range}, not '${word}'`);
  }
  return value;
}

/** As strtol with base 0: a leading 0 means octal. */
function parseC(word: string): number {
  return /^0[0-7]+$/.test(word) ? Number.parseInt(word, 8) : Number(word);
}

type OutputForm = 'dts' | 'dtb' | 'json' | 'null';

function guessOutput(out: string | undefined, input: 'dts' | 'dtb'): OutputForm {
  if (out?.endsWith('.dts')) return 'dts';
  if (out?.endsWith('.dtb') || out?.endsWith('.dtbo')) return 'dtb';
  if (out?.endsWith('.json')) return 'json';
  return input === 'dts' ? 'dtb' : 'dts';
}

function run(args: string[], io: CommandIo): number {
  const { values, positionals } = parseOptions(COMMAND, OPTIONS, args);
  if (values['help'] === true) {
    io.stdout(HELP);
    return 0;
  }
  const [file, ...others] = positionals;
  if (file === undefined || others.length > 0) throw usageError(COMMAND, 'one FILE is needed');
  const directories = Array.isArray(values['include']) ? values['include'].map(String) : [];
  const bootCpuid = number(values, 'boot-cpu', 0xffff_ffff);
  const options = treeOptions(values);
  const room = roomOptions(values);
  const out = text(values, 'out');
  const inputForm = choice(COMMAND, values, 'in-format', ['dts', 'dtb'] as const);
  const outputForm = choice(COMMAND, values, 'out-format', ['dts', 'dtb', 'json', 'null'] as const);
  const quiet = Array.isArray(values['quiet']) ? values['quiet'].length : 0;

  const bytes = file === '-' ? readAll(io) : io.readFile(file);
  const name = file === '-' ? '<stdin>' : file;
  const from = inputForm ?? treeForm(file, bytes);
  const to = outputForm ?? guessOutput(out, from);
  const used = [file === '-' ? '<stdin>' : file];
  let tree: DeviceTree;
  let warnings: readonly Diagnostic[] = [];
  try {
    if (from === 'dts') {
      const compiled = compileDts(
        { name, text: bytes },
        {
          ...fileLoaders(io, directories, (path) => used.push(path)),
          ...options,
          ...(bootCpuid === undefined ? {} : { bootCpuid }),
        },
      );
      tree = compiled.tree;
      warnings = compiled.warnings;
    } else {
      tree = readDtb(bytes, name);
      if (bootCpuid !== undefined) tree.bootCpuidPhys = bootCpuid;
      // JSON shows what the reader saw; the other forms are what dtc makes of it.
      if (to !== 'json') ({ tree, warnings } = checkBlobTree(tree, { name, ...options }));
    }
  } catch (error) {
    if (quiet < 2 || !(error instanceof InputError)) throw error;
    return 2;
  }
  if (values['sort'] === true) sortTree(tree);
  const result = outputOf(tree, to, room);
  const shown = warnings.filter((d) => quiet < (d.severity === 'error' ? 2 : 1));
  if (shown.length > 0) io.stderr(`${renderDiagnostics(shown, { color: io.color })}\n`);
  if (room.atLeast !== undefined && to === 'dtb' && result.length > room.atLeast && quiet === 0) {
    io.stderr(`mtemu: warning: the blob has ${result.length} bytes, more than --space ${room.atLeast}\n`);
  }
  const dependencies = text(values, 'out-dependency');
  if (dependencies !== undefined) io.writeFile(dependencies, `${out ?? '-'}: ${used.join(' ')}\n`);
  if (out === undefined || out === '-') io.stdout(result);
  else if (to !== 'null') io.writeFile(out, result);
  return 0;
}

function treeOptions(values: Values): TreeOptions {
  const phandleFormat = choice(COMMAND, values, 'phandle', ['epapr', 'legacy', 'both'] as const);
  return {
    checks: switches(values['warning'], values['error']),
    symbols: values['symbols'] === true,
    aliases: values['auto-alias'] === true,
    force: values['force'] === true,
    ...(phandleFormat === undefined ? {} : { phandleFormat }),
  };
}

function roomOptions(values: Values): WriteOptions {
  const padding = number(values, 'pad', MOST_ROOM);
  const atLeast = number(values, 'space', MOST_ROOM);
  const align = number(values, 'align', MOST_ROOM);
  const spareReservations = number(values, 'reserve', MOST_RESERVATIONS);
  const version = number(values, 'out-version', 0xffff_ffff);
  if (padding !== undefined && atLeast !== undefined) {
    throw usageError(COMMAND, '--pad and --space exclude each other');
  }
  if (align !== undefined && (align === 0 || (align & (align - 1)) !== 0)) {
    throw usageError(COMMAND, `--align takes a power of two, not '${align}'`);
  }
  if (version !== undefined && !isVersion(version)) {
    throw usageError(
      COMMAND,
      `there is no version ${version} of blobs`,
      `one of ${BLOB_VERSIONS.join(', ')}`,
    );
  }
  return {
    ...(padding === undefined ? {} : { padding }),
    ...(atLeast === undefined ? {} : { atLeast }),
    ...(align === undefined ? {} : { align }),
    ...(spareReservations === undefined ? {} : { spareReservations }),
    ...(version === undefined ? {} : { version }),
  };
}

const isVersion = (n: number): n is BlobVersion => (BLOB_VERSIONS as readonly number[]).includes(n);

function outputOf(tree: DeviceTree, form: OutputForm, room: WriteOptions): string | Uint8Array {
  switch (form) {
    case 'dtb':
      return writeDtb(tree, room);
    case 'dts':
      return printDts(tree);
    case 'json':
      return toJson(tree);
    case 'null':
      return '';
  }
}

/** Standard input to its end. */
function readAll(io: CommandIo): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (;;) {
    const piece = io.stdin?.(65536) ?? new Uint8Array();
    if (piece.length === 0) break;
    pieces.push(piece.slice());
  }
  const whole = new Uint8Array(pieces.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

export const dtcCommand: Command = {
  name: COMMAND,
  summary: 'compile device trees, print blobs as source or JSON',
  help: HELP,
  run,
};
