/**
 * What a directive's handler is given, and how it reads its arguments.
 */
import type { Span } from '../../base/index.js';
import type { Assembly } from '../assembly.js';
import { type RawArgument, rawArguments } from '../heads.js';
import type { Line } from '../source.js';

export interface Directive {
  readonly line: Line;
  /** Lower case, with its dot. */
  readonly name: string;
  readonly nameSpan: Span;
  /** Where the arguments begin in the line's text. */
  readonly rest: number;
}

export type Handler = (a: Assembly, d: Directive) => void;

export function argumentsOf(d: Directive): RawArgument[] {
  return rawArguments(d.line.text, d.rest, d.line.end);
}

export function spanOf(d: Directive, argument: { readonly start: number; readonly end: number }): Span {
  return { source: d.line.source, start: argument.start, end: argument.end };
}

export function restSpan(d: Directive): Span {
  const text = d.line.text.slice(d.rest, d.line.end);
  if (text.trim() === '') return d.nameSpan;
  const lead = text.length - text.trimStart().length;
  return { source: d.line.source, start: d.rest + lead, end: d.rest + text.trimEnd().length };
}

export function badArgument(a: Assembly, d: Directive, message: string, span: Span, help?: string): void {
  a.reporter.error('ASM-DIRECTIVE-ARGUMENT', message, span, d.line, { help });
}

/** The arguments if there are between `least` and `most`; else undefined, reported with `usage`. */
export function countedArguments(
  a: Assembly,
  d: Directive,
  least: number,
  most: number,
  usage: string,
): RawArgument[] | undefined {
  const given = argumentsOf(d);
  const help = `it is written '${d.name} ${usage}'`;
  if (given.length < least) {
    badArgument(
      a,
      d,
      `${d.name} needs ${least === most ? '' : 'at least '}${count(least)}`,
      d.nameSpan,
      help,
    );
    return undefined;
  }
  if (given.length > most) {
    badArgument(a, d, `${d.name} takes at most ${count(most)}`, spanOf(d, given[most]!), help);
    return undefined;
  }
  return given;
}

const count = (n: number) => (n === 1 ? 'one argument' : `${n} arguments`);

const SYMBOL = /^[A-Za-z_.$\u0080-\uffff][\w.$\u0080-\uffff]*$/;

/** The symbol name an argument is; undefined (reported) where it is none. */
export function symbolName(a: Assembly, d: Directive, argument: RawArgument): string | undefined {
  const { text } = argument;
  if (/^"[^"]+"$/.test(text)) return text.slice(1, -1);
  if (SYMBOL.test(text)) return text;
  const what = text === '' ? 'nothing' : `'${text}'`;
  badArgument(
    a,
    d,
    `expected the name of a symbol, not ${what}`,
    text === '' ? d.nameSpan : spanOf(d, argument),
  );
  return undefined;
}

/** A whole-number argument in a range, or `fallback` where it is left out or empty. */
export function numberOr(
  a: Assembly,
  d: Directive,
  argument: RawArgument | undefined,
  fallback: number,
  what: string,
  low: number,
  high: number,
): number | undefined {
  if (argument === undefined || argument.text === '') return fallback;
  return a.number(d.line, argument.start, argument.end, what, low, high);
}
