/**
 * `.if` and its relatives: which statements count.
 *
 * Conditions are settled when they are read, on what is defined above them. Inside a branch that does
 * not count only conditionals are looked at, so that their nesting is followed.
 */
import type { Span } from '../base/index.js';
import type { Assembly } from './assembly.js';
import {
  badArgument,
  countedArguments,
  type Directive,
  restSpan,
  symbolName,
} from './directives/directive.js';

import { rawArguments } from './heads.js';
import { squeezed } from './macros.js';
import type { Line } from './source.js';

export interface Conditional {
  readonly span: Span;
  readonly line: Line;
  /** Whether the statements here count. */
  active: boolean;
  /** Whether a branch has counted already, or none ever can. */
  settled: boolean;
  elseSeen: boolean;
}

const MAX_NESTING = 1000;

/** Whether the statements being read count. */
export function isActive(a: Assembly): boolean {
  return a.conditionals.at(-1)?.active ?? true;
}

type Condition = (a: Assembly, d: Directive) => boolean;

function compared(test: (value: bigint) => boolean): Condition {
  return (a, d) => {
    const expression = a.expression(d.line, d.rest, d.line.end);
    const value = expression && a.absolute(expression, d.line, d.name);
    return value !== undefined && test(value);
  };
}

const defined: (wanted: boolean) => Condition = (wanted) => (a, d) => {
  const given = countedArguments(a, d, 1, 1, 'NAME');
  const name = given && symbolName(a, d, given[0]!);
  if (name === undefined) return false;
  const has = a.symbols.peek(name)?.definition !== undefined || a.aliases.has(name.toLowerCase());
  return has === wanted;
};

const blank: (wanted: boolean) => Condition = (wanted) => (_a, d) =>
  (d.line.text.slice(d.rest, d.line.end).trim() === '') === wanted;

/** `.ifc A, B`: as text, in the form macro arguments have. */
const sameText: (wanted: boolean) => Condition = (wanted) => (a, d) => {
  const { text, end } = d.line;
  const [first] = rawArguments(text, d.rest, end);
  const comma = first === undefined ? -1 : text.indexOf(',', first.end);
  if (first === undefined || comma < 0 || comma >= end) {
    badArgument(a, d, `${d.name} needs two texts with a comma between`, restSpan(d));
    return false;
  }
  const plain = (s: string) => /^'(.*)'$/.exec(s)?.[1] ?? s;
  const left = plain(squeezed(text, first.start, first.end));
  return (left === plain(squeezed(text, comma + 1, end))) === wanted;
};

const sameStrings: (wanted: boolean) => Condition = (wanted) => (a, d) => {
  const match = /^\s*("(?:[^"\\]|\\.)*")\s*,\s*("(?:[^"\\]|\\.)*")\s*$/.exec(
    d.line.text.slice(d.rest, d.line.end),
  );
  if (match === null) {
    badArgument(a, d, `${d.name} needs two strings in double quotes`, restSpan(d));
    return false;
  }
  return (match[1] === match[2]) === wanted;
};

const CONDITIONS: Readonly<Record<string, Condition>> = {
  '.if': compared((v) => v !== 0n),
  '.ifne': compared((v) => v !== 0n),
  '.ifeq': compared((v) => v === 0n),
  '.ifge': compared((v) => v >= 0n),
  '.ifgt': compared((v) => v > 0n),
  '.ifle': compared((v) => v <= 0n),
  '.iflt': compared((v) => v < 0n),
  '.ifdef': defined(true),
  '.ifndef': defined(false),
  '.ifnotdef': defined(false),
  '.ifb': blank(true),
  '.ifnb': blank(false),
  '.ifc': sameText(true),
  '.ifnc': sameText(false),
  '.ifeqs': sameStrings(true),
  '.ifnes': sameStrings(false),
};

/** The names of conditional directives, for suggestions. */
export const CONDITIONAL_NAMES: readonly string[] = [
  ...Object.keys(CONDITIONS),
  '.else',
  '.elseif',
  '.endif',
];

/** Handles `d` if it is a conditional; false if it is something else. */
export function conditional(a: Assembly, d: Directive): boolean {
  const condition = CONDITIONS[d.name];
  if (condition !== undefined) {
    if (a.conditionals.length >= MAX_NESTING) {
      a.reporter.fatal(
        'ASM-LIMIT',
        `conditionals are nested more than ${MAX_NESTING} deep`,
        d.nameSpan,
        d.line,
      );
    }
    const outer = isActive(a);
    const active = outer && condition(a, d);
    a.conditionals.push({
      span: d.nameSpan,
      line: d.line,
      active,
      settled: active || !outer,
      elseSeen: false,
    });
    return true;
  }
  if (d.name !== '.else' && d.name !== '.elseif' && d.name !== '.endif') return false;
  const top = a.conditionals.length > a.input.conditionals ? a.conditionals.at(-1) : undefined;
  if (top === undefined) {
    a.reporter.error('ASM-CONDITIONAL', `${d.name} without an .if`, d.nameSpan, d.line);
    return true;
  }
  if (d.name === '.endif') {
    a.conditionals.pop();
    return true;
  }
  if (top.elseSeen) {
    a.reporter.error('ASM-CONDITIONAL', `${d.name} after .else`, d.nameSpan, d.line);
    top.active = false;
    return true;
  }
  top.elseSeen = d.name === '.else';
  top.active = !top.settled && (d.name === '.else' || compared((v) => v !== 0n)(a, d));
  top.settled ||= top.active;
  return true;
}

/** Reports conditionals that the frame which ends here has left open, and closes them. */
export function closeConditionals(a: Assembly, open: number): void {
  while (a.conditionals.length > open) {
    const left = a.conditionals.pop()!;
    a.reporter.error('ASM-UNTERMINATED', 'this conditional has no .endif', left.span, left.line);
  }
}
