/**
 * `mtemu asm`: assembles and links one source into an executable, a flat binary or hex words.
 */
import { assemble, toFlat, toHex } from '../assembler/index.js';
import { renderDiagnostics } from '../base/index.js';
import { toElf } from '../elf/index.js';
import { assemblyLoaders, decodeText } from './assembly-files.js';
import type { Command } from './command.js';
import { choice, type OptionSpecs, parseOptions, text, usageError } from './options.js';

const HELP = `mtemu asm FILE.s [-o OUT] [--format elf|bin|hex]

Assembles GNU syntax (as written by hand, or by gcc -S) and links it at fixed addresses.

  -o, --output OUT     the file to write; default a.out, for hex the standard output
      --format FORMAT  elf: a static executable with symbols and line numbers (default),
                       its segments aligned to 64 KiB, .text from 0x400000 behind the headers
                       bin: the flat image, sections one behind the other from 0x40080000
                       hex: the same image, one 8-digit word a line
      --text-base ADDR the address of the first section, instead of those
      --entry NAME     the symbol to start at; default _start, else the start of .text
  -I, --include DIR    where .include and .incbin look after the including file's own folder
      --defsym N=VALUE defines a symbol before the first line (repeatable)

Example:
  mtemu asm hello.s -o hello && mtemu run hello
`;

const OPTIONS: OptionSpecs = {
  output: { type: 'string', short: 'o' },
  format: { type: 'string' },
  'text-base': { type: 'string' },
  entry: { type: 'string' },
  include: { type: 'string', short: 'I', multiple: true },
  defsym: { type: 'string', multiple: true },
};

const FLAT_BASE = 0x40080000n;

export const asmCommand: Command = {
  name: 'asm',
  summary: 'assemble GNU syntax into an executable, a flat binary or hex words',
  help: HELP,
  run(args, io) {
    const { values, positionals } = parseOptions('asm', OPTIONS, args);
    const [path, extra] = positionals;
    if (path === undefined) throw usageError('asm', 'asm needs the name of a source file');
    if (extra !== undefined) throw usageError('asm', `asm takes one source file, not '${extra}' as well`);
    const format = choice('asm', values, 'format', ['elf', 'bin', 'hex'] as const) ?? 'elf';
    const textBase = address(text(values, 'text-base')) ?? (format === 'elf' ? undefined : FLAT_BASE);
    const folders = list(values['include']);
    const entry = text(values, 'entry');
    const program = assemble(
      { name: path, text: decodeText(io.readFile(path), path) },
      {
        layout: format === 'elf' ? 'static' : 'flat',
        define: symbols(list(values['defsym'])),
        ...assemblyLoaders(io, folders),
        ...(textBase === undefined ? {} : { textBase }),
        ...(entry === undefined ? {} : { entry }),
      },
    );
    const warnings = program.warnings.filter((w) => format === 'elf' || w.code !== 'ASM-ENTRY');
    if (warnings.length > 0) io.stderr(`${renderDiagnostics(warnings, { color: io.color })}\n`);
    const output = text(values, 'output');
    const data = format === 'elf' ? toElf(program) : format === 'bin' ? toFlat(program) : toHex(program);
    if (output !== undefined) io.writeFile(output, data);
    else if (format === 'hex') io.stdout(data);
    else io.writeFile('a.out', data);
    return 0;
  },
};

function list(value: string | boolean | (string | boolean)[] | undefined): string[] {
  return (Array.isArray(value) ? value : []).filter((v) => typeof v === 'string');
}

function address(value: string | undefined): bigint | undefined {
  if (value === undefined) return undefined;
  const number = parseNumber(value);
  if (number === undefined || number >= 1n << 48n) {
    throw usageError('asm', `--text-base takes an address below 2^48, not '${value}'`);
  }
  return number;
}

function symbols(definitions: readonly string[]): Record<string, bigint> {
  const out: Record<string, bigint> = {};
  for (const definition of definitions) {
    const match = /^([A-Za-z_.$][\w.$]*)=(.+)$/.exec(definition);
    const value = match === null ? undefined : parseNumber(match[2]!);
    if (match === null || value === undefined) {
      throw usageError('asm', `--defsym takes NAME=NUMBER, not '${definition}'`);
    }
    out[match[1]!] = value;
  }
  return out;
}

function parseNumber(value: string): bigint | undefined {
  const number = /^(0x[0-9a-f]+|[0-9]+)$/i.test(value) ? BigInt(value) : undefined;
  return number !== undefined && number < 1n << 64n ? number : undefined;
}
