/**
 * From a file's text to statements, and from expanded text back to the file.
 *
 * A statement is a stretch of one line: comments are blanked out (same length, so that offsets stay
 * those of the file), lines are cut at newlines and at `;`, strings and character constants are left
 * alone. Macro bodies are substituted statement by statement; an `ExpandedText` remembers where each
 * of its characters came from, so that a complaint about an expansion points at the macro's own line.
 *
 * Comment and separator characters: GNU as, "AArch64 Dependent Features", Syntax.
 */
import { type Diagnostic, SourceText, type Span } from '../base/index.js';

/** One statement of the input, ready to be read from the left. */
export interface Line {
  readonly source: SourceText;
  /** The source's text with comments blanked; offsets are those of `source`. */
  readonly text: string;
  readonly start: number;
  readonly end: number;
  /** The macro call or repetition this line was made by, innermost first. */
  readonly expansion: Expansion | undefined;
}

/** One macro call, repetition or include that is being expanded. */
export interface Expansion {
  /** How a note says it: `in the expansion of macro 'put'`, `included`. */
  readonly what: string;
  readonly site: Line;
  readonly depth: number;
}

/** A file cut into statements. */
export interface SplitSource {
  readonly source: SourceText;
  readonly text: string;
  /** Start and end offsets, two numbers a statement. */
  readonly bounds: readonly number[];
  readonly problems: readonly Diagnostic[];
}

const NEWLINE = 10;
const RETURN = 13;
const SPACE = 32;
const TAB = 9;
const QUOTE = 34;
const HASH = 35;
const APOSTROPHE = 39;
const STAR = 42;
const SLASH = 47;
const SEMICOLON = 59;
const BACKSLASH = 92;

/** Cuts a text into statements; linear in its length. */
export function splitSource(source: SourceText): SplitSource {
  const { text } = source;
  const bounds: number[] = [];
  const pieces: string[] = [];
  const problems: Diagnostic[] = [];
  let copied = 0;
  const blank = (from: number, to: number) => {
    pieces.push(text.slice(copied, from), ' '.repeat(to - from));
    copied = to;
  };
  const unterminated = (what: string, start: number, end: number, help: string) => {
    problems.push({
      code: 'ASM-UNTERMINATED',
      severity: 'error',
      message: `unterminated ${what}`,
      span: { source, start, end },
      help,
    });
  };

  let at = 0;
  let start = 0;
  let blankSoFar = true;
  let broken = false;
  const finish = (end: number) => {
    if (!blankSoFar && !broken) bounds.push(start, end);
    start = end + 1;
    blankSoFar = true;
    broken = false;
  };
  while (at < text.length) {
    const c = text.charCodeAt(at);
    if (c === NEWLINE || c === SEMICOLON) {
      finish(at);
      at++;
    } else if (c === SPACE || c === TAB) {
      at++;
    } else if (c === RETURN) {
      blank(at, at + 1);
      at++;
    } else if (
      (c === SLASH && text.charCodeAt(at + 1) === SLASH) ||
      (c === HASH && blankSoFar && text.slice(start, at).trim() === '')
    ) {
      const end = endOfLine(text, at);
      blank(at, end);
      at = end;
    } else if (c === SLASH && text.charCodeAt(at + 1) === STAR) {
      const close = text.indexOf('*/', at + 2);
      if (close < 0) {
        unterminated('comment', at, at + 2, "close it with '*/'");
        blank(at, text.length);
        at = text.length;
      } else {
        blank(at, close + 2);
        at = close + 2;
      }
    } else if (c === QUOTE) {
      blankSoFar = false;
      const end = endOfString(text, at);
      if (end < 0) {
        const stop = endOfLine(text, at);
        unterminated('string', at, stop, "close it with '\"' on the same line");
        broken = true;
        at = stop;
      } else {
        at = end;
      }
    } else if (c === APOSTROPHE) {
      blankSoFar = false;
      at = endOfCharacter(text, at);
    } else {
      blankSoFar = false;
      at++;
    }
  }
  finish(text.length);
  const shadow = copied === 0 ? text : pieces.join('') + text.slice(copied);
  return { source, text: shadow, bounds, problems };
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}

/** The offset after the closing quote of the string that opens at `at`, or -1. */
export function endOfString(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) return i + 1;
    if (c === NEWLINE) return -1;
    if (c === BACKSLASH) i++;
  }
  return -1;
}

/** The offset after the character constant that opens at `at`; its closing quote is optional. */
export function endOfCharacter(text: string, at: number): number {
  const c = text.charCodeAt(at + 1);
  if (Number.isNaN(c) || c === NEWLINE) return at + 1;
  let end = at + 2;
  if (c === BACKSLASH && end < text.length && text.charCodeAt(end) !== NEWLINE) end++;
  else if (c >= 0xd800 && c < 0xdc00 && end < text.length) end++;
  return text.charCodeAt(end) === APOSTROPHE ? end + 1 : end;
}

/** How one stretch of expanded text came about. */
interface Segment {
  /** Where it ends in the expanded text. */
  readonly end: number;
  readonly originStart: number;
  readonly originEnd: number;
  /** Substituted: the whole stretch stands for the parameter at `originStart`. */
  readonly substituted: boolean;
}

/** A statement of a macro body after substitution. */
export class ExpandedText extends SourceText {
  readonly bodyLine: Line;
  readonly #segments: readonly Segment[];

  constructor(bodyLine: Line, text: string, segments: readonly Segment[]) {
    super(bodyLine.source.name, text);
    this.bodyLine = bodyLine;
    this.#segments = segments;
  }

  /** The stretch of the origin's source that `start`..`end` of this text came from. */
  toOrigin(start: number, end: number): Span {
    const from = this.#segmentAt(start);
    const to = this.#segmentAt(Math.max(start, end - 1));
    const place = (at: number, s: { segment: Segment; start: number }, atEnd: boolean) =>
      s.segment.substituted
        ? atEnd
          ? s.segment.originEnd
          : s.segment.originStart
        : s.segment.originStart + (at - s.start);
    return { source: this.bodyLine.source, start: place(start, from, false), end: place(end, to, true) };
  }

  #segmentAt(at: number): { segment: Segment; start: number } {
    let start = 0;
    for (const segment of this.#segments) {
      if (at < segment.end) return { segment, start };
      start = segment.end;
    }
    const last = this.#segments.at(-1)!;
    return { segment: last, start: this.#segments.at(-2)?.end ?? 0 };
  }
}

/** The span in a real file that stands behind `span`. */
export function originOf(span: Span): Span {
  let at = span;
  while (at.source instanceof ExpandedText) at = at.source.toOrigin(at.start, at.end);
  return at;
}

/** A parameter of a macro in a body: `\name`, `\@`, `\+`, `\()`. */
const PARAMETER = /\\(?:([A-Za-z_$.][\w$.]*)|([@+])|(\(\)))/g;

/** A substituted statement longer than this is a macro run wild. */
export const MAX_STATEMENT = 65536;

/**
 * A body line with its parameters replaced; the same line where it has none, undefined where it would
 * become longer than `MAX_STATEMENT`.
 * `value` gives a parameter's text, or undefined where there is no such parameter (left as it is).
 */
export function substitute(
  line: Line,
  expansion: Expansion,
  value: (name: string) => string | undefined,
): Line | undefined {
  const body = line.text.slice(line.start, line.end);
  if (!body.includes('\\')) return { ...line, expansion };
  const segments: Segment[] = [];
  const pieces: string[] = [];
  let length = 0;
  let copied = 0;
  const copy = (to: number) => {
    if (to === copied) return;
    pieces.push(body.slice(copied, to));
    length += to - copied;
    segments.push({
      end: length,
      originStart: line.start + copied,
      originEnd: line.start + to,
      substituted: false,
    });
  };
  PARAMETER.lastIndex = 0;
  for (let match = PARAMETER.exec(body); match !== null; match = PARAMETER.exec(body)) {
    let text = match[3] !== undefined ? '' : value((match[2] ?? match[1])!);
    let end = PARAMETER.lastIndex;
    if (text === undefined && match[1] !== undefined) {
      // The longest name that is a parameter does not exist; GNU as reads `\reg.8b` as `\reg` and `.8b`.
      const stem = /^[A-Za-z_$][\w$]*/.exec(match[1])?.[0];
      if (stem !== undefined && stem !== match[1]) {
        text = value(stem);
        end = match.index + 1 + stem.length;
      }
    }
    if (text === undefined) continue;
    copy(match.index);
    copied = end;
    PARAMETER.lastIndex = end;
    pieces.push(text);
    length += text.length;
    if (length > MAX_STATEMENT) return undefined;
    segments.push({
      end: length,
      originStart: line.start + match.index,
      originEnd: line.start + end,
      substituted: true,
    });
  }
  if (segments.length === 0) return { ...line, expansion };
  copy(body.length);
  const text = pieces.join('');
  const source = new ExpandedText(line, text, segments);
  return { source, text, start: 0, end: text.length, expansion };
}
