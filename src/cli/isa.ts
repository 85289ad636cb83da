/**
 * `mtemu isa`: the instruction reference, made from the rows that everything else is made from.
 */
import {
  type Alias,
  disassemble,
  exampleWords,
  type Fields,
  faultsOf,
  type InstructionClass,
  type OperandSet,
  ROWS,
  type Row,
} from '../../isa/index.js';
import { inputError, suggest } from '../base/index.js';
import { EVALUATED_ROWS } from '../engine/index.js';
import type { Command, CommandIo } from './command.js';
import { choice, type OptionSpecs, parseOptions } from './options.js';

const COMMAND = 'isa';

const OPTIONS = {
  class: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies OptionSpecs;

/** The classes in the order they are listed, with the encoding section of DDI 0487 that holds them. */
const CLASSES: Readonly<Record<InstructionClass, string>> = {
  'data-processing-immediate': 'Data processing, immediate (DDI 0487, C4.1 "Data Processing -- Immediate")',
  'data-processing-register': 'Data processing, register (DDI 0487, C4.1 "Data Processing -- Register")',
  branch: 'Branches (DDI 0487, C4.1 "Branches, Exception Generating and System instructions")',
  exception: 'Exceptions (DDI 0487, C4.1 "Exception generation")',
  system: 'System (DDI 0487, C4.1 "System instructions", "Hints", "Barriers")',
  'load-store': 'Loads and stores (DDI 0487, C4.1 "Loads and Stores")',
  atomic: 'Atomics (DDI 0487, C4.1 "Atomic memory operations", "Compare and swap")',
  mte: 'Memory tagging (DDI 0487, D10; C4.1 "Load/store memory tags")',
  pauth: 'Pointer authentication (DDI 0487, D8.8)',
  fp: 'Floating point (DDI 0487, C4.1 "Data Processing -- Scalar Floating-Point and Advanced SIMD")',
  simd: 'Advanced SIMD (DDI 0487, C4.1 "Data Processing -- Scalar Floating-Point and Advanced SIMD")',
  crypto: 'Cryptography (DDI 0487, C4.1 "Cryptographic")',
};

const HELP = `Usage: mtemu isa [options] [MNEMONIC...]

Lists the A64 instructions that are implemented, by class, each with its section of the
Arm Architecture Reference Manual (DDI 0487); or explains the ones named: encodings,
syntax, aliases, fields, faults. A MNEMONIC may be an alias (mov) or an encoding's id.

  --class CLASS   only this class: ${Object.keys(CLASSES).slice(0, 4).join(', ')},
                  ${Object.keys(CLASSES).slice(4).join(', ')}
  --json          the same as data
  -h, --help      this text

Exit status 0, or 2 for a mnemonic that no instruction has.
`;

const syntaxOf = (name: string, operands: OperandSet): string => {
  const parts = Object.values(operands).map((kind) => kind.syntax);
  return [name, parts.filter((part) => part !== '').join(', ')].join(' ').trim();
};

/** `Rd = 31, sh = 0`. */
const fieldValues = (fixed: Readonly<Record<string, number | undefined>>): string =>
  Object.entries(fixed)
    .map(([name, value]) => `${name} = ${value}`)
    .join(', ');

/** Several names by field values are many lines of the same; names of the same value stand together. */
function namesOf(row: Row): string[] {
  return [...new Set(row.names.map(({ name }) => name))];
}

interface Cell {
  readonly bits: string;
  readonly text: string;
}

/** The pattern from bit 31 down; neighbouring fixed bits share a cell. */
function cellsOf(row: Row): Cell[] {
  const cells: Cell[] = [];
  let fixed = '';
  let at = 32;
  const flush = () => {
    if (fixed === '') return;
    cells.push({ bits: range(at + fixed.length - 1, at), text: fixed });
    fixed = '';
  };
  for (const token of row.pattern.split(' ')) {
    if (/^[01]+$/.test(token)) {
      fixed += token;
      at -= token.length;
      continue;
    }
    flush();
    const [name, width = '1'] = token.split(':') as [string, string?];
    at -= Number(width);
    cells.push({ bits: range(at + Number(width) - 1, at), text: name });
  }
  flush();
  return cells;
}

const range = (high: number, low: number) => (high === low ? `${high}` : `${high}:${low}`);

function drawn(row: Row): string[] {
  const cells = cellsOf(row);
  const widths = cells.map(({ bits, text }) => Math.max(bits.length, text.length));
  const line = (pick: (cell: Cell) => string, separator: string) =>
    cells
      .map((cell, i) => pick(cell).padEnd(widths[i]!))
      .join(separator)
      .trimEnd();
  return [line((c) => c.bits, '   '), line((c) => c.text, ' | ')];
}

/** When disassembly prints the alias. */
function preference(alias: Alias): string {
  if (alias.when === 'never') return 'accepted, never printed';
  if (alias.when !== undefined) return 'printed where it says more';
  return alias.fixed === undefined && alias.requires === undefined ? 'always printed' : 'printed';
}

function aliasLine(alias: Alias): string {
  const conditions = [fieldValues(alias.fixed ?? {})].filter((text) => text !== '');
  const when = [...conditions, preference(alias)].join('; ');
  return `${syntaxOf(alias.name, alias.operands)}\t(${when})`;
}

function fieldLines(row: Row): string[] {
  const lines: string[] = [];
  for (const kind of Object.values(row.operands)) {
    if (kind.fields.length === 0) continue;
    const text = kind.syntax === '' ? '(the mnemonic)' : kind.syntax;
    lines.push(`${text}\t${kind.fields.join(', ')}`);
  }
  const should = fieldValues(row.shouldBe);
  if (should !== '') lines.push(`should be\t${should}`);
  if (row.where !== undefined) lines.push('some values of the fields are reserved');
  return lines;
}

/** Two columns, the second aligned, where a line has a tab. */
function aligned(lines: readonly string[]): string[] {
  const split = lines.map((line) => line.split('\t') as [string, string?]);
  const width = Math.max(...split.map(([left, right]) => (right === undefined ? 0 : left.length)));
  return split.map(([left, right]) => (right === undefined ? left : `${left.padEnd(width)}  ${right}`));
}

function block(title: string, lines: readonly string[]): string[] {
  return aligned(lines).map((line, i) => `  ${(i === 0 ? title : '').padEnd(9)}${line}`);
}

/** Who executes it, where that is not generated code. */
function engineOf({ id }: Row): string[] {
  const reason = EVALUATED_ROWS[id];
  return reason === undefined ? [] : [`the evaluator, in every engine: ${reason}`];
}

function explain(row: Row): string {
  const names = namesOf(row);
  const [first] = names;
  const syntax =
    names.length <= 8
      ? names.map((name) => syntaxOf(name, row.operands))
      : [syntaxOf(`${first}, ${names.slice(1).join(', ')}`, row.operands)];
  const example = exampleWords(row)[0];
  const lines = [
    `${row.id}: ${row.summary}`,
    ...block('section', [`DDI 0487, ${row.arm}${row.feature === undefined ? '' : ` (${row.feature})`}`]),
    ...block('encoding', drawn(row)),
    ...block(
      'syntax',
      syntax.flatMap((text) => wrap(text)),
    ),
    ...block('aliases', row.aliases.map(aliasLine)),
    ...block('fields', fieldLines(row)),
    ...block('faults', faultsOf(row)),
    ...block('engine', engineOf(row)),
  ];
  if (example !== undefined) {
    const word = example.toString(16).padStart(8, '0');
    lines.push(...block('example', [`${word}  ${disassemble(example)}`]));
  }
  return `${lines.join('\n')}\n`;
}

/** Long lists of names go over several lines. */
function wrap(text: string, width = 96): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return [...lines, line];
}

function list(rows: readonly Row[]): string {
  const out: string[] = [];
  const shortNames = (row: Row) => {
    const names = namesOf(row);
    return names.length <= 4 ? names.join(', ') : `${names[0]}, ... ${names.at(-1)}`;
  };
  const idWidth = Math.max(...rows.map((row) => row.id.length));
  for (const [key, title] of Object.entries(CLASSES)) {
    const members = rows.filter((row) => row.class === key);
    if (members.length === 0) continue;
    out.push(`${title}: ${members.length}`);
    const nameWidth = Math.max(...members.map((row) => shortNames(row).length));
    for (const row of members) {
      const feature = row.feature === undefined ? '' : `, ${row.feature}`;
      out.push(
        `  ${shortNames(row).padEnd(nameWidth)}  ${row.id.padEnd(idWidth)}  ${row.summary} [${row.arm}${feature}]`,
      );
    }
    out.push('');
  }
  const spellings = new Set(rows.flatMap((row) => [...namesOf(row), ...row.aliases.map((a) => a.name)]));
  out.push(`${rows.length} encodings, ${spellings.size} mnemonics. 'mtemu isa MNEMONIC' explains one.`);
  return `${out.join('\n')}\n`;
}

/** The row as data, for `--json`. */
function asData(row: Row) {
  return {
    id: row.id,
    names: namesOf(row),
    class: row.class,
    summary: row.summary,
    section: row.arm,
    feature: row.feature ?? null,
    pattern: row.pattern,
    mask: row.mask,
    value: row.value,
    syntax: namesOf(row).map((name) => syntaxOf(name, row.operands)),
    aliases: row.aliases.map((alias) => ({
      name: alias.name,
      syntax: syntaxOf(alias.name, alias.operands),
      fixed: (alias.fixed ?? {}) as Fields,
      printed: alias.when !== 'never',
    })),
    faults: faultsOf(row),
  };
}

/** Rows that bear the name, then rows of which it is an alias. Throws InputError (ISA-UNKNOWN). */
function rowsNamed(name: string, rows: readonly Row[]): Row[] {
  const lower = name.toLowerCase();
  const own = rows.filter((row) => row.id.toLowerCase() === lower || row.names.some((n) => n.name === lower));
  const aliased = rows.filter((row) => !own.includes(row) && row.aliases.some((a) => a.name === lower));
  if (own.length + aliased.length > 0) return [...own, ...aliased];
  const known = ROWS.flatMap((row) => [...namesOf(row), ...row.aliases.map((a) => a.name)]);
  const near = suggest(lower, new Set(known));
  throw inputError('ISA-UNKNOWN', `no instruction is called '${name}'`, {
    help: near.length > 0 ? `did you mean ${near.join(' or ')}?` : "'mtemu isa' lists them all",
  });
}

function run(args: string[], io: CommandIo): number {
  const { values, positionals } = parseOptions(COMMAND, OPTIONS, args);
  if (values['help'] === true) {
    io.stdout(HELP);
    return 0;
  }
  const only = choice(COMMAND, values, 'class', Object.keys(CLASSES) as InstructionClass[]);
  const rows = ROWS.filter((row) => only === undefined || row.class === only);
  const chosen =
    positionals.length === 0 ? rows : [...new Set(positionals.flatMap((name) => rowsNamed(name, rows)))];
  if (values['json'] === true) io.stdout(`${JSON.stringify(chosen.map(asData), null, 2)}\n`);
  else io.stdout(positionals.length === 0 ? list(chosen) : chosen.map(explain).join('\n'));
  return 0;
}

export const isaCommand: Command = {
  name: COMMAND,
  summary: 'list the instructions that are implemented, or explain one',
  help: HELP,
  run,
};
