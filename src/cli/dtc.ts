/**
 * `mtemu dtc`: the device tree compiler's face, with dtc 1.6.1's short options and defaults.
 *
 * Nothing is written before everything is known to be right, so an error leaves no partial file.
 */

import { type Diagnostic, renderDiagnostics } from '../base/index.js';
import {
  type CheckSwitches,
  checkBlobTree,
  checkNames,
  compileDts,
  type DeviceTree,
  printDts,
  readDtb,
  toJson,
  writeDtb,
} from '../devicetree/index.js';
import type { Command, CommandIo } from './command.js';
import { choice, type OptionSpecs, parseOptions, text, usageError } from './options.js';
import { fileLoaders, treeForm } from './tree-files.js';

const OPTIONS = {
  'in-format': { type: 'string', short: 'I' },
  'out-format': { type: 'string', short: 'O' },
  symbols: { type: 'boolean', short: '@' },
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
As dtc 1.6.1: the same language, byte-identical blobs.

  -I, --in-format dts|dtb        form of FILE (default: by its name, then by content)
  -O, --out-format dts|dtb|json  form of the output (default: by the name of -o;
                                 dtb from source, dts from a blob)
  -o, --out OUT                  write to OUT instead of standard output
  -@, --symbols                  add /__symbols__ with the path of every label
  -b, --boot-cpu N               set boot_cpuid_phys
  -i, --include DIR              also look here for /include/ and /incbin/ (repeatable)
  -W, --warning [no-]CHECK       turn a check on (or off)
  -E, --error [no-]CHECK         make a check an error (or not)
  -q, --quiet                    no warnings
  -h, --help                     this text
`;

const COMMAND = 'dtc';

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

function bootCpu(word: string | undefined): number | undefined {
  if (word === undefined) return undefined;
  const number = /^(0x[0-9a-f]+|[0-9]+)$/i.test(word) ? parseC(word) : Number.NaN;
  if (!(number >= 0 && number <= 0xffffffff)) {
    throw usageError(COMMAND, `--boot-cpu takes a 32-bit number, not '${word}'`);
  }
  return number;
}

/** As strtol with base 0: a leading 0 means octal. */
function parseC(word: string): number {
  return /^0[0-7]+$/.test(word) ? Number.parseInt(word, 8) : Number(word);
}

function guessOutput(out: string | undefined, input: 'dts' | 'dtb'): 'dts' | 'dtb' | 'json' {
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
  const checks = switches(values['warning'], values['error']);
  const bootCpuid = bootCpu(text(values, 'boot-cpu'));
  const symbols = values['symbols'] === true;
  const out = text(values, 'out');
  const inputForm = choice(COMMAND, values, 'in-format', ['dts', 'dtb'] as const);
  const outputForm = choice(COMMAND, values, 'out-format', ['dts', 'dtb', 'json'] as const);

  const bytes = io.readFile(file);
  const from = inputForm ?? treeForm(file, bytes);
  const to = outputForm ?? guessOutput(out, from);
  let tree: DeviceTree;
  let warnings: readonly Diagnostic[] = [];
  if (from === 'dts') {
    const compiled = compileDts(
      { name: file, text: bytes },
      { ...fileLoaders(io, directories), symbols, checks, ...(bootCpuid === undefined ? {} : { bootCpuid }) },
    );
    tree = compiled.tree;
    warnings = compiled.warnings;
  } else {
    tree = readDtb(bytes, file);
    if (bootCpuid !== undefined) tree.bootCpuidPhys = bootCpuid;
    // JSON shows what the reader saw; the other forms are what dtc makes of it.
    if (to !== 'json') ({ tree, warnings } = checkBlobTree(tree, { name: file, symbols, checks }));
  }
  const result = to === 'dtb' ? writeDtb(tree) : to === 'dts' ? printDts(tree) : toJson(tree);
  if (warnings.length > 0 && values['quiet'] === undefined) {
    io.stderr(`${renderDiagnostics(warnings, { color: io.color })}\n`);
  }
  if (out === undefined || out === '-') io.stdout(result);
  else io.writeFile(out, result);
  return 0;
}

export const dtcCommand: Command = {
  name: COMMAND,
  summary: 'compile device trees, print blobs as source or JSON',
  help: HELP,
  run,
};
