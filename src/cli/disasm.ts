/**
 * `mtemu disasm`: instruction words as GNU text, one by one or a file's code with its labels.
 */
import { disassemble } from '../../isa/index.js';
import { hex, inputError } from '../base/index.js';
import { type ElfFile, type ElfSection, isCode, isElf, readElf } from '../elf/index.js';
import type { Command, CommandIo } from './command.js';
import { type OptionSpecs, parseOptions, text, usageError } from './options.js';

const HELP = `mtemu disasm --hex WORD...
mtemu disasm FILE.elf|FILE.bin [--base ADDR]

Prints instructions as objdump -d does, preferred aliases included.

      --hex        the words on the command line, as 8 hex digits each; prints the text alone
      --base ADDR  the address of a flat binary's first byte; default 0

Of a file each line has the address, the word and the text. An ELF file's labels are shown, and what
its mapping symbols mark as data is printed as .word. A word that is no instruction prints
".inst 0x........ // undefined".

Example:
  mtemu disasm --hex d9200800 d65f03c0
`;

const OPTIONS: OptionSpecs = { hex: { type: 'boolean' }, base: { type: 'string' } };

export const disasmCommand: Command = {
  name: 'disasm',
  summary: 'print instruction words or files as GNU text',
  help: HELP,
  run(args, io) {
    const { values, positionals } = parseOptions('disasm', OPTIONS, args);
    if (values['hex'] === true) return words(positionals, io);
    const [path, extra] = positionals;
    if (path === undefined) throw usageError('disasm', 'disasm needs a file, or --hex and words');
    if (extra !== undefined) throw usageError('disasm', `disasm takes one file, not '${extra}' as well`);
    const bytes = io.readFile(path);
    io.stdout(isElf(bytes) ? elfText(readElf(bytes, path)) : flatText(bytes, base(text(values, 'base'))));
    return 0;
  },
};

function words(given: readonly string[], io: CommandIo): number {
  if (given.length === 0) throw usageError('disasm', '--hex needs at least one word');
  const lines = given.map((word) => {
    const digits = /^(?:0x)?([0-9a-f]{1,8})$/i.exec(word)?.[1];
    if (digits === undefined) {
      throw inputError('CLI-WORD', `'${word}' is not an instruction word`, {
        help: 'write up to 8 hex digits',
      });
    }
    return disassemble(Number.parseInt(digits, 16));
  });
  io.stdout(`${lines.join('\n')}\n`);
  return 0;
}

function base(value: string | undefined): bigint {
  if (value === undefined) return 0n;
  const number = /^(0x[0-9a-f]+|[0-9]+)$/i.test(value) ? BigInt(value) : undefined;
  if (number === undefined || number >= 1n << 64n)
    throw usageError('disasm', `--base takes an address, not '${value}'`);
  return number;
}

function flatText(bytes: Uint8Array, start: bigint): string {
  const lines: string[] = [];
  stretch(lines, bytes, start, 'x', () => undefined);
  return join(lines);
}

const join = (lines: readonly string[]) => (lines.length === 0 ? '' : `${lines.join('\n')}\n`);

function elfText(file: ElfFile): string {
  const lines: string[] = [];
  const nameOf = (address: bigint) => {
    const found = file.symbolAt(address);
    if (found === undefined) return undefined;
    return found.offset === 0n ? found.name : `${found.name}+${hex(found.offset)}`;
  };
  const code = file.sections.filter((s) => isCode(s) && s.bytes.length > 0);
  if (code.length === 0) {
    // No section headers: what is executable is code.
    for (const s of file.segments) if (s.execute) stretch(lines, s.bytes, s.address, 'x', nameOf);
    return join(lines);
  }
  for (const section of code) {
    lines.push(...(lines.length > 0 ? [''] : []), `Disassembly of section ${section.name}:`);
    sectionText(lines, file, section, nameOf);
  }
  return join(lines);
}

/** Cuts a section at labels and at mapping symbols, and prints each piece. */
function sectionText(
  lines: string[],
  file: ElfFile,
  section: ElfSection,
  nameOf: (address: bigint) => string | undefined,
): void {
  const end = section.address + BigInt(section.bytes.length);
  const inside = file.symbols.filter(
    (s) =>
      s.section !== 0 && s.value >= section.address && s.value < end && file.sections[s.section] === section,
  );
  const kinds = new Map<bigint, 'x' | 'd'>();
  const labels = new Set<bigint>();
  for (const s of inside) {
    const mapping = /^\$([xd])(\.|$)/.exec(s.name)?.[1];
    if (mapping === 'x' || mapping === 'd') kinds.set(s.value, mapping);
    else if (s.type === 'function' || s.type === 'notype' || s.type === 'object') labels.add(s.value);
  }
  const cuts = [...new Set<bigint>([section.address, ...kinds.keys(), ...labels])].sort((x, y) =>
    x < y ? -1 : 1,
  );
  let kind: 'x' | 'd' = 'x';
  cuts.forEach((from, i) => {
    kind = kinds.get(from) ?? kind;
    const name = labels.has(from) || i === 0 ? nameOf(from) : undefined;
    if (name !== undefined) lines.push('', `${from.toString(16).padStart(16, '0')} <${name}>:`);
    else if (i === 0) lines.push('');
    const piece = section.bytes.subarray(
      Number(from - section.address),
      Number((cuts[i + 1] ?? end) - section.address),
    );
    stretch(lines, piece, from, kind, nameOf);
  });
}

function stretch(
  lines: string[],
  bytes: Uint8Array,
  start: bigint,
  kind: 'x' | 'd',
  nameOf: (address: bigint) => string | undefined,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const symbol = (address: bigint) => nameOf(address);
  let at = 0;
  for (; at + 4 <= bytes.length; at += 4) {
    const pc = BigInt.asUintN(64, start + BigInt(at));
    const word = view.getUint32(at, true);
    const digits = word.toString(16).padStart(8, '0');
    const shown = kind === 'x' ? disassemble(word, { pc, symbol }) : `.word 0x${digits}`;
    lines.push(`${pc.toString(16).padStart(8)}:\t${digits} \t${shown}`);
  }
  for (; at < bytes.length; at++) {
    const digits = bytes[at]!.toString(16).padStart(2, '0');
    const pc = BigInt.asUintN(64, start + BigInt(at));
    lines.push(`${pc.toString(16).padStart(8)}:\t${digits}       \t.byte 0x${digits}`);
  }
}
