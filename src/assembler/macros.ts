/**
 * Macro definitions, the arguments of calls, and the values of `.irp`.
 *
 * How arguments are told apart follows GNU as: commas always separate, blanks separate only between
 * two names or numbers (`x0 x1` are two, `#1 + 2` is one), a quoted string loses its quotes, and
 * `name=value` gives a parameter by name ("Macro" in the manual; the rest by trying).
 */
import type { Span } from '../base/index.js';
import { type Details, lineSpan, type Reporter } from './report.js';
import { endOfString, type Line } from './source.js';

export interface Parameter {
  readonly name: string;
  readonly fallback: string | undefined;
  readonly required: boolean;
  readonly rest: boolean;
}

export interface Macro {
  readonly name: string;
  readonly parameters: readonly Parameter[];
  readonly body: readonly Line[];
  readonly definedAt: Span;
}

interface Argument {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const isBlank = (c: string | undefined) => c === ' ' || c === '\t';
const isWordy = (c: string | undefined) => c !== undefined && /[\w.$"\\\u0080-\uffff]/.test(c);

/** Splits as a macro call does; an empty argument is '' (the parameter's default applies). */
export function splitArguments(text: string, start: number, end: number): Argument[] {
  const out: Argument[] = [];
  let at = start;
  const skipBlanks = () => {
    while (at < end && isBlank(text[at])) at++;
  };
  skipBlanks();
  if (at >= end) return out;
  for (;;) {
    const argument = oneArgument(text, at, end);
    out.push(argument);
    at = argument.end;
    skipBlanks();
    if (at >= end) return out;
    if (text[at] === ',') {
      at++;
      skipBlanks();
      if (at >= end) {
        out.push({ text: '', start: end, end });
        return out;
      }
    }
  }
}

function oneArgument(text: string, start: number, end: number): Argument {
  let at = start;
  if (text[at] === '"') {
    const close = endOfString(text, at);
    if (close > 0 && close <= end) {
      return { text: text.slice(at + 1, close - 1), start, end: close };
    }
  }
  const pieces: string[] = [];
  let depth = 0;
  while (at < end && text[at] !== ',') {
    const c = text[at]!;
    if (isBlank(c)) {
      let next = at;
      while (next < end && isBlank(text[next])) next++;
      if (next >= end || text[next] === ',') break;
      const separates = isWordy(text[at - 1]) && isWordy(text[next]);
      if (separates && depth === 0) break;
      if (separates) pieces.push(' ');
      at = next;
    } else if (c === '"' || c === "'") {
      const close = c === '"' ? endOfString(text, at) : Math.min(at + 3, end);
      const stop = close > 0 && close <= end ? close : end;
      pieces.push(text.slice(at, stop));
      at = stop;
    } else {
      if (c === '(' || c === '[') depth++;
      if ((c === ')' || c === ']') && depth > 0) depth--;
      pieces.push(c);
      at++;
    }
  }
  return { text: pieces.join(''), start, end: at };
}

const FORMAL = /[ \t,]*([A-Za-z_$.\u0080-\uffff][\w$.\u0080-\uffff]*)(?::([A-Za-z]+))?([ \t]*=[ \t]*)?/y;

/** The name and parameters after `.macro`; undefined (reported) where they make no sense. */
export function parseMacroHead(
  line: Line,
  start: number,
  reporter: Reporter,
): { name: string; parameters: Parameter[] } | undefined {
  const { text, end, source } = line;
  const bad = (message: string, from: number, to: number, details: Details = {}) => {
    reporter.error('ASM-MACRO', message, { source, start: from, end: to }, line, details);
    return undefined;
  };
  const naming = /[ \t]*([A-Za-z_$.\u0080-\uffff][\w$.\u0080-\uffff]*)/y;
  naming.lastIndex = start;
  const named = naming.exec(text);
  if (named === null || naming.lastIndex > end) return bad('.macro needs a name', start, end);
  const parameters: Parameter[] = [];
  let at = naming.lastIndex;
  while (text.slice(at, end).trim() !== '') {
    FORMAL.lastIndex = at;
    const match = FORMAL.exec(text);
    if (match === null || FORMAL.lastIndex > end) {
      return bad('expected the name of a macro parameter', at, end);
    }
    const [, name, qualifier] = match as unknown as [string, string, string | undefined];
    const from = at + match[0].indexOf(name);
    if (parameters.some((p) => p.name === name)) {
      return bad(`macro parameter '${name}' is named twice`, from, from + name.length);
    }
    if (parameters.at(-1)?.rest) return bad('a :vararg parameter must be the last', from, from + name.length);
    if (qualifier !== undefined && qualifier !== 'req' && qualifier !== 'vararg') {
      return bad(`unknown qualifier ':${qualifier}'`, from, FORMAL.lastIndex, {
        help: 'a parameter may be :req or :vararg',
      });
    }
    at = FORMAL.lastIndex;
    let fallback: string | undefined;
    if (match[3] !== undefined) {
      const argument = oneArgument(text, at, end);
      fallback = argument.text;
      at = argument.end;
    }
    parameters.push({ name, fallback, required: qualifier === 'req', rest: qualifier === 'vararg' });
  }
  return { name: named[1]!, parameters };
}

/** The values of a call's parameters; undefined (reported) where they do not fit the macro. */
export function bindArguments(
  macro: Macro,
  line: Line,
  start: number,
  reporter: Reporter,
): Map<string, string> | undefined {
  const { text, end, source } = line;
  const values = new Map<string, string>();
  const complain = (message: string, span: Span) => {
    reporter.error('ASM-MACRO', message, span, line, {
      help: `${macro.name} ${macro.parameters.map(describe).join(', ')}`.trim(),
    });
    return undefined;
  };
  let at = start;
  let position = 0;
  while (at < end) {
    while (at < end && isBlank(text[at])) at++;
    if (at >= end) break;
    const keyword = /([A-Za-z_$.\u0080-\uffff][\w$.\u0080-\uffff]*)[ \t]*=(?!=)[ \t]*/y;
    keyword.lastIndex = at;
    const match = keyword.exec(text);
    const byName = match === null ? undefined : macro.parameters.find((p) => p.name === match[1]);
    const parameter = byName ?? macro.parameters[position];
    const from = byName === undefined ? at : keyword.lastIndex;
    if (parameter === undefined) {
      return complain(`too many arguments for macro '${macro.name}'`, { source, start: at, end });
    }
    const argument = parameter.rest ? { text: squeezed(text, from, end), end } : oneArgument(text, from, end);
    if (byName === undefined) position++;
    if (argument.text !== '') values.set(parameter.name, argument.text);
    at = argument.end;
    while (at < end && isBlank(text[at])) at++;
    if (text[at] === ',') at++;
  }
  for (const parameter of macro.parameters) {
    if (values.has(parameter.name)) continue;
    if (parameter.required) {
      return complain(`macro '${macro.name}' needs a value for '${parameter.name}'`, lineSpan(line));
    }
    values.set(parameter.name, parameter.fallback ?? '');
  }
  return values;
}

/**
 * Text without the blanks that separate nothing: one is left between two words, none round operators,
 * strings stay as they are. GNU as compares and passes texts in this form.
 */
export function squeezed(text: string, start: number, end: number): string {
  const pieces: string[] = [];
  let last: string | undefined;
  for (let at = start; at < end; ) {
    const c = text[at]!;
    if (isBlank(c)) {
      while (at < end && isBlank(text[at])) at++;
      if (at < end && isWordy(last) && isWordy(text[at])) pieces.push(' ');
      continue;
    }
    const close = c === '"' ? endOfString(text, at) : at + 1;
    const stop = close > 0 && close <= end ? close : end;
    pieces.push(text.slice(at, stop));
    last = text[stop - 1];
    at = stop;
  }
  return pieces.join('');
}

function describe(p: Parameter): string {
  if (p.rest) return `${p.name}:vararg`;
  if (p.required) return `${p.name}:req`;
  return p.fallback === undefined ? p.name : `${p.name}=${p.fallback}`;
}
