/**
 * Directives about symbols: binding, type, size, values, storage of commons, register aliases.
 */
import type { Assembly } from '../assembly.js';
import { isValue } from '../expression.js';
import { parseRegister } from '../grammar.js';
import type { Line } from '../source.js';
import type { AsmSymbol, SymbolType } from '../symbols.js';
import {
  argumentsOf,
  badArgument,
  countedArguments,
  type Directive,
  type Handler,
  numberOr,
  spanOf,
  symbolName,
} from './directive.js';

function eachSymbol(apply: (symbol: AsmSymbol) => void): Handler {
  return (a, d) => {
    const given = argumentsOf(d);
    if (given.length === 0) badArgument(a, d, `${d.name} needs the name of a symbol`, d.nameSpan);
    for (const argument of given) {
      const name = symbolName(a, d, argument);
      if (name !== undefined) apply(a.symbols.get(name));
    }
  };
}

const TYPES: ReadonlyMap<string, SymbolType> = new Map(
  Object.entries({
    function: 'function',
    func: 'function',
    stt_func: 'function',
    object: 'object',
    stt_object: 'object',
    notype: 'notype',
    stt_notype: 'notype',
    tls_object: 'tls',
    stt_tls: 'tls',
    common: 'object',
  } as const),
);

const type: Handler = (a, d) => {
  const text = d.line.text.slice(d.rest, d.line.end);
  const match = /^\s*("[^"]+"|[^\s,"]+)(?:\s*,\s*|\s+)[@%#]?"?(\w+)"?\s*$/.exec(text);
  if (match === null) {
    badArgument(
      a,
      d,
      '.type needs a symbol and a type',
      d.nameSpan,
      "it is written '.type NAME, @function' or '%object'",
    );
    return;
  }
  const start = d.rest + text.indexOf(match[1]!);
  const name = symbolName(a, d, { text: match[1]!, start, end: start + match[1]!.length });
  const kind = TYPES.get(match[2]!.toLowerCase());
  if (kind === undefined) {
    const at = d.rest + text.lastIndexOf(match[2]!);
    badArgument(
      a,
      d,
      `unknown symbol type '${match[2]}'`,
      spanOf(d, { start: at, end: at + match[2]!.length }),
      'function, object, tls_object or notype',
    );
    return;
  }
  if (name !== undefined) a.symbols.get(name).type = kind;
};

const size: Handler = (a, d) => {
  const given = countedArguments(a, d, 2, 2, 'NAME, EXPRESSION');
  if (given === undefined) return;
  const name = symbolName(a, d, given[0]!);
  const expression = a.expression(d.line, given[1]!.start, given[1]!.end);
  if (name === undefined || expression === undefined) return;
  const symbol = a.symbols.get(name);
  symbol.size = expression;
  symbol.sizeLine = d.line;
};

/** `.set`, `.equ`, `.equiv` and `name = value`. `once`: an error where the symbol has a value. */
export function assign(
  a: Assembly,
  line: Line,
  name: string,
  nameStart: number,
  start: number,
  end: number,
  once: boolean,
): void {
  const span = { source: line.source, start: nameStart, end: nameStart + name.length };
  const expression = a.expression(line, start, end);
  if (expression === undefined) return;
  if (name === '.') {
    a.reporter.error('ASM-UNSUPPORTED', "'. = value' is not implemented", span, line, { help: 'use .org' });
    return;
  }
  const value = a.value(expression);
  const symbol = a.symbols.get(name);
  if (once && symbol.definition !== undefined) symbol.variable = false;
  if (isValue(value)) {
    a.define(symbol, { kind: 'value', base: value.base, value: value.value }, span, line, !once);
  } else if (value.why === 'not-yet' || value.why === 'mixed') {
    a.define(symbol, { kind: 'expression', expression }, span, line, !once);
  } else {
    a.complain(value, line, 'the value');
  }
}

function setting(once: boolean): Handler {
  return (a, d) => {
    const given = countedArguments(a, d, 2, 2, 'NAME, EXPRESSION');
    if (given === undefined) return;
    const name = symbolName(a, d, given[0]!);
    if (name !== undefined) assign(a, d.line, name, given[0]!.start, given[1]!.start, given[1]!.end, once);
  };
}

/** `.comm NAME, SIZE{, ALIGNMENT}`: storage at the end of `.bss` unless the symbol is defined. */
function common(local: boolean): Handler {
  return (a, d) => {
    const given = countedArguments(a, d, 2, 3, 'NAME, SIZE{, ALIGNMENT}');
    if (given === undefined) return;
    const name = symbolName(a, d, given[0]!);
    const bytes = numberOr(a, d, given[1], 0, 'the size', 0, 2 ** 36);
    const alignment = numberOr(a, d, given[2], 0, 'the alignment', 0, 2 ** 31);
    if (name === undefined || bytes === undefined || alignment === undefined) return;
    if (alignment !== 0 && !Number.isInteger(Math.log2(alignment))) {
      badArgument(a, d, `alignment ${alignment} is not a power of two`, spanOf(d, given[2]!));
      return;
    }
    const natural = alignment !== 0 ? alignment : Math.min(16, 2 ** Math.ceil(Math.log2(Math.max(1, bytes))));
    const symbol = a.symbols.get(name);
    if (symbol.type === 'notype') symbol.type = 'object';
    if (local || symbol.binding === 'local')
      allocateCommon(a, symbol, bytes, natural, d.line, spanOf(d, given[0]!));
    else {
      symbol.binding ??= 'global';
      const before = symbol.common;
      symbol.common = {
        size: Math.max(bytes, before?.size ?? 0),
        alignment: Math.max(natural, before?.alignment ?? 1),
        line: d.line,
        span: spanOf(d, given[0]!),
      };
    }
  };
}

export function allocateCommon(
  a: Assembly,
  symbol: AsmSymbol,
  bytes: number,
  alignment: number,
  line: Line,
  span: Directive['nameSpan'],
): void {
  const { current, previous } = a;
  a.current = a.section('.bss');
  a.align(alignment, line, span);
  a.define(symbol, a.here(), span, line);
  a.reserve(bytes, line, span);
  a.current = current;
  a.previous = previous;
}

/** `NAME .req REGISTER`. */
export function requireRegister(
  a: Assembly,
  line: Line,
  name: string,
  nameStart: number,
  start: number,
): void {
  const parsed = parseRegister(a.lex(line, start));
  if ('message' in parsed) {
    a.syntax(parsed, line, "it is written 'NAME .req REGISTER'");
    return;
  }
  const key = name.toLowerCase();
  const before = a.aliases.get(key);
  if (before !== undefined && (before.file !== parsed.file || before.number !== parsed.number)) {
    const span = { source: line.source, start: nameStart, end: nameStart + name.length };
    a.reporter.warn('ASM-ALIAS', `'${name}' already names another register and keeps it`, span, line, {
      help: '.unreq takes a name back',
    });
    return;
  }
  a.aliases.set(key, parsed);
}

const unreq: Handler = (a, d) => {
  const given = countedArguments(a, d, 1, 1, 'NAME');
  if (given === undefined) return;
  if (!a.aliases.delete(given[0]!.text.toLowerCase())) {
    badArgument(a, d, `'${given[0]!.text}' names no register`, spanOf(d, given[0]!));
  }
};

export const SYMBOLS: Readonly<Record<string, Handler>> = {
  '.global': eachSymbol((s) => {
    if (s.binding !== 'weak') s.binding = 'global';
  }),
  '.globl': eachSymbol((s) => {
    if (s.binding !== 'weak') s.binding = 'global';
  }),
  '.extern': eachSymbol(() => {}),
  '.local': eachSymbol((s) => {
    s.binding = 'local';
  }),
  '.weak': eachSymbol((s) => {
    s.binding = 'weak';
  }),
  '.hidden': eachSymbol((s) => {
    s.visibility = 'hidden';
  }),
  '.protected': eachSymbol((s) => {
    s.visibility = 'protected';
  }),
  '.internal': eachSymbol((s) => {
    s.visibility = 'internal';
  }),
  '.type': type,
  '.size': size,
  '.set': setting(false),
  '.equ': setting(false),
  '.equiv': setting(true),
  '.comm': common(false),
  '.common': common(false),
  '.lcomm': common(true),
  '.unreq': unreq,
};
