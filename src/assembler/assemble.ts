/**
 * The assembler: one pass that reads statements and settles their places, then one that fills in
 * what had to wait for addresses.
 */
import { type Diagnostic, SourceText, VA } from '../base/index.js';
import { type AssembleOptions, Assembly } from './assembly.js';
import { closeConditionals, conditional, isActive } from './conditionals.js';
import { fits } from './directives/data.js';
import {
  allocateCommon,
  assign,
  callMacro,
  type Directive,
  directive,
  dumpPool,
  requireRegister,
} from './directives/index.js';
import { fromBigInt, isValue, toBigInt } from './expression.js';
import { headOf, type LabelHead } from './heads.js';
import { encodeDeferred, instruction } from './instructions.js';
import { layOut } from './layout.js';
import type { AssembledProgram, ProgramSymbol } from './program.js';
import { lineSpan, Stop } from './report.js';
import type { Section } from './section.js';
import type { Line } from './source.js';
import type { AsmSymbol } from './symbols.js';

export interface AssemblySource {
  readonly name: string;
  readonly text: string;
}

/**
 * Assembles and links one source into a program at fixed addresses.
 * Throws InputError with everything that is wrong (up to 50 errors); warnings come with the program.
 */
export function assemble(source: AssemblySource, options: AssembleOptions = {}): AssembledProgram {
  const a = new Assembly(options);
  try {
    for (const [name, value] of Object.entries(options.define ?? {})) {
      a.symbols.get(name).definition = { kind: 'value', base: undefined, value: fromBigInt(value) };
    }
    const text = new SourceText(source.name, source.text);
    a.input.pushFile(text, undefined, 0);
    readAll(a);
    const nowhere: Line = {
      source: text,
      text: text.text,
      start: text.text.length,
      end: text.text.length,
      expansion: undefined,
    };
    finishSections(a, nowhere);
    const program = link(a, text);
    a.reporter.throwIfFailed();
    return program;
  } catch (thrown) {
    if (!(thrown instanceof Stop)) throw thrown;
    a.reporter.throwIfFailed();
    throw thrown;
  }
}

function readAll(a: Assembly): void {
  while (a.input.depth > 0) {
    const line = a.ended ? undefined : a.input.nextInFrame();
    if (line === undefined) {
      closeConditionals(a, a.input.conditionals);
      a.input.pop();
      continue;
    }
    a.reporter.order++;
    statement(a, line);
  }
}

function statement(a: Assembly, line: Line): void {
  const head = headOf(line);
  const { word, wordStart, rest } = head;
  const lower = word.toLowerCase();
  const isDirective = lower.charCodeAt(0) === 46 && head.assignment === undefined;
  if (!isActive(a)) {
    if (isDirective) conditional(a, directiveOf(line, lower, word, wordStart, rest));
    return;
  }
  for (const label of head.labels) defineLabel(a, label, line);
  if (word === '') {
    const left = line.text.slice(rest, line.end).trim();
    if (left !== '') {
      const start = line.text.indexOf(left, rest);
      a.reporter.error(
        'ASM-SYNTAX',
        'expected a label, an instruction or a directive',
        { source: line.source, start, end: start + left.length },
        line,
      );
    }
    return;
  }
  if (head.assignment !== undefined) {
    assign(a, line, word, wordStart, rest, line.end, head.assignment === '==');
    return;
  }
  if (a.current.discarded && !MOVES.has(lower)) return;
  const macro = a.macros.get(lower);
  if (macro !== undefined) {
    callMacro(a, macro, line, rest);
    return;
  }
  if (isDirective) {
    const d = directiveOf(line, lower, word, wordStart, rest);
    if (!conditional(a, d)) directive(a, d);
    return;
  }
  const alias = /[ \t]+\.req\b/iy;
  alias.lastIndex = rest;
  if (alias.test(line.text)) {
    requireRegister(a, line, word, wordStart, alias.lastIndex);
    return;
  }
  instruction(a, line, word, wordStart, rest);
}

/** What counts even among a compiler's debugging data, which is read only to find its end. */
const MOVES = new Set([
  ...['.text', '.data', '.bss', '.rodata', '.section', '.previous', '.pushsection', '.popsection'],
  ...['.file', '.loc', '.end'],
]);

function directiveOf(line: Line, name: string, word: string, wordStart: number, rest: number): Directive {
  const nameSpan = { source: line.source, start: wordStart, end: wordStart + word.length };
  return { line, name, nameSpan, rest };
}

function defineLabel(a: Assembly, { name, span }: LabelHead, line: Line): void {
  if (/^\d/.test(name)) a.symbols.defineNumeric(name).definition = a.here();
  else a.define(a.symbols.get(name), a.here(), span, line);
}

/** Dumps the literal pools and places what has no place yet. */
function finishSections(a: Assembly, line: Line): void {
  for (const section of a.sections.values()) {
    a.current = section;
    dumpPool(a, line);
  }
  for (const symbol of a.symbols.all()) {
    if (symbol.common === undefined || symbol.definition !== undefined) continue;
    const { size, alignment, line: at, span } = symbol.common;
    allocateCommon(a, symbol, size, alignment, at, span);
  }
  for (const [symbol, span] of a.symbols.waiting) {
    const digits = symbol.name.slice(0, -1);
    a.reporter.error('ASM-UNDEFINED-SYMBOL', `no label '${digits}:' after this`, span, undefined, {
      help: `for a label before it write ${digits}b`,
    });
    symbol.definition = { kind: 'value', base: undefined, value: fromBigInt(0n) };
  }
}

function link(a: Assembly, source: SourceText): AssembledProgram {
  const placed = layOut(a);
  a.finalise();
  const { reporter } = a;
  for (const item of a.deferred) {
    reporter.order = item.order;
    encodeDeferred(a, item, placed.threadBase);
  }
  for (const { section, offset, size, expression, line, order } of a.fixups) {
    reporter.order = order;
    const value = a.value(expression);
    if (!isValue(value)) {
      a.complain(value, line, 'the value');
      continue;
    }
    const number = toBigInt(value.value);
    if (size < 8 && !fits(number, size)) {
      reporter.error(
        'ASM-RANGE',
        `${number} does not fit in ${size === 1 ? '1 byte' : `${size} bytes`}`,
        expression.span,
        line,
        {
          help: 'an address needs .quad; the difference of two labels fits in less',
        },
      );
    }
    section.put(offset, size, number);
  }
  const { sections } = placed;
  const symbols = outputSymbols(a, sections);
  const warnings: Diagnostic[] = [];
  const entry = entryPoint(a, sections, source, warnings);
  return {
    sections: sections.map((s) => ({
      name: s.name,
      address: VA(s.address),
      size: s.size,
      bytes: s.type === 'nobits' ? new Uint8Array(0) : s.bytes.slice(0, s.size),
      alignment: s.alignment,
      type: s.type,
      entrySize: s.entrySize,
      flags: s.flags,
    })),
    symbols,
    entry,
    lineTable: sections.flatMap((s) => a.lines.entries(s)),
    warnings: [...reporter.warnings, ...warnings],
  };
}

function entryPoint(
  a: Assembly,
  sections: readonly Section[],
  source: SourceText,
  warnings: Diagnostic[],
): VA {
  const name = a.options.entry ?? '_start';
  const symbol = a.symbols.peek(name);
  const value = symbol === undefined ? undefined : finalValue(a, symbol);
  if (value !== undefined) return VA(value);
  const span = { source, start: 0, end: 0 };
  if (a.options.entry !== undefined) {
    a.reporter.error('ASM-ENTRY', `the entry symbol '${name}' is not defined`, span);
  }
  const text =
    sections.find((s) => s.name === '.text' && s.size > 0) ?? sections.find((s) => s.flags.execute);
  warnings.push({
    code: 'ASM-ENTRY',
    severity: 'warning',
    message: `there is no symbol '_start': the program is entered at the start of ${text?.name ?? '.text'}`,
    file: source.name,
  });
  return VA(text?.address ?? 0n);
}

function finalValue(a: Assembly, symbol: AsmSymbol): bigint | undefined {
  const { definition } = symbol;
  if (definition === undefined) return undefined;
  if (definition.kind === 'label') return definition.section.address + BigInt(definition.offset);
  if (definition.kind === 'value') {
    return BigInt.asUintN(64, toBigInt(definition.value) + (definition.base?.address ?? 0n));
  }
  const value = a.value(definition.expression);
  return isValue(value) ? BigInt.asUintN(64, toBigInt(value.value)) : undefined;
}

/** Mapping symbols first, then everything with a name that is not the assembler's own (`.L...`). */
function outputSymbols(a: Assembly, sections: readonly Section[]): ProgramSymbol[] {
  const out: ProgramSymbol[] = [];
  const index = new Map(sections.map((s, i) => [s, i]));
  for (const [section, i] of index) {
    if (!section.flags.alloc || section.type === 'nobits') continue;
    for (const { offset, kind } of section.marks) {
      out.push({
        name: `$${kind}`,
        value: section.address + BigInt(offset),
        size: 0n,
        binding: 'local',
        type: 'notype',
        visibility: 'default',
        section: i,
      });
    }
  }
  for (const symbol of a.symbols.all()) {
    if (symbol.definition === undefined || symbol.name.startsWith('.L')) continue;
    const value = finalValue(a, symbol);
    if (value === undefined) {
      complainAbout(a, symbol);
      continue;
    }
    const base =
      symbol.definition.kind === 'label'
        ? symbol.definition.section
        : symbol.definition.kind === 'value'
          ? symbol.definition.base
          : undefined;
    out.push({
      name: symbol.name,
      value,
      size: sizeOf(a, symbol),
      binding: symbol.binding ?? 'local',
      type: symbol.type,
      visibility: symbol.visibility,
      section: base === undefined ? undefined : index.get(base),
    });
  }
  return out;
}

/** Says why a symbol that nothing refers to has no value either. */
function complainAbout(a: Assembly, { definition, definedAt }: AsmSymbol): void {
  if (definition?.kind !== 'expression' || definedAt === undefined) return;
  const problem = a.value(definition.expression);
  const { source, start, end } = definedAt;
  if (!isValue(problem))
    a.complain(problem, { source, text: source.text, start, end, expansion: undefined }, 'the value');
}

function sizeOf(a: Assembly, symbol: AsmSymbol): bigint {
  if (symbol.size === undefined) return BigInt(symbol.common?.size ?? 0);
  const value = a.value(symbol.size);
  if (isValue(value)) return BigInt.asUintN(64, toBigInt(value.value));
  const line = symbol.sizeLine!;
  a.complain(value.why === 'undefined' ? value : { ...value, span: lineSpan(line) }, line, 'the size');
  return 0n;
}
