/**
 * The head of a statement: its labels and the word that says what it is.
 */
import type { Span } from '../base/index.js';
import type { Line } from './source.js';

/** `name:`, `1:`, `"a name":`. */
export interface LabelHead {
  readonly name: string;
  readonly span: Span;
}

export interface Head {
  readonly labels: readonly LabelHead[];
  /** The word as written; empty where only labels stand there. */
  readonly word: string;
  readonly wordStart: number;
  /** `=` or `==` after the word: an assignment. */
  readonly assignment: '=' | '==' | undefined;
  /** Where what follows the word (and the assignment sign) begins. */
  readonly rest: number;
}

const NAME = String.raw`[A-Za-z_.$\u0080-\uffff][\w.$\u0080-\uffff]*`;
const LABEL = new RegExp(String.raw`[ \t]*(${NAME}|\d+|"[^"\n]*")[ \t]*:(?!:)`, 'y');
const WORD = new RegExp(String.raw`[ \t]*(${NAME}|"[^"\n]*")`, 'y');
const ASSIGNMENT = /[ \t]*(==?)(?!=)/y;
const NO_LABELS: readonly LabelHead[] = [];

export function headOf(line: Line): Head {
  const { text, source } = line;
  let at = line.start;
  let labels: LabelHead[] | undefined;
  for (;;) {
    LABEL.lastIndex = at;
    const match = LABEL.exec(text);
    if (match === null || LABEL.lastIndex > line.end) break;
    const name = match[1]!;
    const start = at + match[0].indexOf(name);
    labels ??= [];
    labels.push({ name: unquote(name), span: { source, start, end: start + name.length } });
    at = LABEL.lastIndex;
  }
  WORD.lastIndex = at;
  const word = WORD.exec(text);
  if (word === null || WORD.lastIndex > line.end) {
    const lead = /[ \t]*/y;
    lead.lastIndex = at;
    lead.exec(text);
    const rest = Math.min(lead.lastIndex, line.end);
    return { labels: labels ?? NO_LABELS, word: '', wordStart: rest, assignment: undefined, rest };
  }
  const end = WORD.lastIndex;
  const wordStart = end - word[1]!.length;
  ASSIGNMENT.lastIndex = end;
  const assignment = ASSIGNMENT.exec(text);
  if (assignment !== null && ASSIGNMENT.lastIndex <= line.end) {
    return {
      labels: labels ?? NO_LABELS,
      word: unquote(word[1]!),
      wordStart,
      assignment: assignment[1] as '=' | '==',
      rest: ASSIGNMENT.lastIndex,
    };
  }
  return { labels: labels ?? NO_LABELS, word: word[1]!, wordStart, assignment: undefined, rest: end };
}

function unquote(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1) : name;
}

/** An argument of a directive as text, without the blanks round it. */
export interface RawArgument {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** Splits at commas outside strings and parentheses; no arguments for blank text. */
export function rawArguments(text: string, start: number, end: number): RawArgument[] {
  const out: RawArgument[] = [];
  let from = start;
  let depth = 0;
  const push = (to: number) => {
    let a = from;
    let b = to;
    while (a < b && isBlank(text.charCodeAt(a))) a++;
    while (b > a && isBlank(text.charCodeAt(b - 1))) b--;
    out.push({ text: text.slice(a, b), start: a, end: b });
    from = to + 1;
  };
  for (let at = start; at < end; at++) {
    const c = text[at];
    if (c === '"') {
      for (at++; at < end && text[at] !== '"'; at++) if (text[at] === '\\') at++;
    } else if (c === '(') depth++;
    else if (c === ')') depth--;
    else if (c === ',' && depth <= 0) push(at);
  }
  push(end);
  return out.length === 1 && out[0]!.text === '' ? [] : out;
}

const isBlank = (c: number) => c === 32 || c === 9;
