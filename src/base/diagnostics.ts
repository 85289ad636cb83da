/**
 * Diagnostics: every complaint about input, in one shape.
 *
 * A wrong program, tree, ELF, flag or vector gets `error[CODE]: message`, the place, the source line
 * with carets, and a `help:` line where we can suggest the mend. Producers build `Diagnostic` values
 * (data, testable, JSON-able); only the faces print them. Columns count bytes from 1, as dtc and the
 * GNU assembler count them; the caret line counts characters, so that it lines up.
 */

export type Severity = 'error' | 'warning' | 'note';

/** A named text that positions refer to. Offsets are in UTF-16 code units of `text`. */
export class SourceText {
  readonly name: string;
  readonly text: string;
  /** Added to the lines of the text: what a `#line` directive asks for. */
  readonly lineShift: number;
  /** The text as it was loaded, which renamed views share. */
  readonly origin: SourceText;
  #lineStarts: number[] | undefined;

  constructor(name: string, text: string, origin?: SourceText, lineShift = 0) {
    this.name = name;
    this.text = text;
    this.origin = origin ?? this;
    this.lineShift = lineShift;
  }

  /** The same text and offsets under another name, its lines numbered `lineShift` higher. */
  renamed(name: string, lineShift: number): SourceText {
    return new SourceText(name, this.text, this.origin, lineShift);
  }

  get lineStarts(): readonly number[] {
    if (this.origin !== this) return this.origin.lineStarts;
    if (this.#lineStarts === undefined) {
      const starts = [0];
      for (let at = this.text.indexOf('\n'); at >= 0; at = this.text.indexOf('\n', at + 1))
        starts.push(at + 1);
      this.#lineStarts = starts;
    }
    return this.#lineStarts;
  }

  /** The line (from 1) that holds `offset`, and the offset of its first character. */
  lineAt(offset: number): { line: number; start: number } {
    const starts = this.lineStarts;
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1 + this.lineShift, start: starts[low]! };
  }

  /** The text of line `line` (from 1), without its line end. */
  lineText(line: number): string {
    const start = this.lineStarts[line - 1 - this.lineShift] ?? this.text.length;
    const end = this.text.indexOf('\n', start);
    return this.text.slice(start, end < 0 ? this.text.length : end).replace(/\r$/, '');
  }
}

/** A stretch of a source text; `end` is exclusive. */
export interface Span {
  readonly source: SourceText;
  readonly start: number;
  readonly end: number;
}

export interface Diagnostic {
  /** Short, stable, upper-case for our own checks (`ASM-UNDEFINED-SYMBOL`), or the tool's check name. */
  readonly code: string;
  readonly severity: Severity;
  /** Lower case, no full stop. */
  readonly message: string;
  /** Where, if the input has places. */
  readonly span?: Span;
  /** The name of an input that has no lines (a blob, an ELF file), with an optional byte offset. */
  readonly file?: string;
  readonly offset?: number;
  /** What would mend it. */
  readonly help?: string;
  /** Further facts, one line each. */
  readonly notes?: readonly string[];
}

/** Thrown by parsers and loaders when input is wrong; carries everything that is to be said. */
export class InputError extends Error {
  readonly diagnostics: readonly Diagnostic[];

  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map((d) => `${d.code}: ${d.message}`).join('\n'));
    this.name = 'InputError';
    this.diagnostics = diagnostics;
  }
}

/** An `InputError` of one error. */
export function inputError(code: string, message: string, rest: Partial<Diagnostic> = {}): InputError {
  return new InputError([{ ...rest, code, severity: 'error', message }]);
}

export interface Position {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** In bytes of UTF-8, from 1. */
  readonly column: number;
}

export function positionOf(span: Span): Position {
  const { line, start } = span.source.lineAt(span.start);
  const before = span.source.text.slice(start, span.start);
  return { file: span.source.name, line, column: utf8Length(before) + 1 };
}

/** A lone surrogate U+DC80..U+DCFF is a single byte of a source that is not UTF-8. */
function utf8Length(text: string): number {
  let length = 0;
  for (const character of text) {
    const code = character.codePointAt(0)!;
    length +=
      code < 0x80 || (code >= 0xdc80 && code <= 0xdcff) ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return length;
}

export interface RenderOptions {
  /** ANSI colours; the faces decide (NO_COLOR, a terminal). */
  readonly color?: boolean;
}

const COLOURS: Readonly<Record<Severity, string>> = { error: '1;31', warning: '1;33', note: '1;36' };

/** The rustc-shaped text of one diagnostic, without a trailing newline. */
export function renderDiagnostic(d: Diagnostic, options: RenderOptions = {}): string {
  const paint = (code: string, text: string) => (options.color ? `\u001b[${code}m${text}\u001b[0m` : text);
  const lines = [`${paint(COLOURS[d.severity], `${d.severity}[${d.code}]`)}: ${d.message}`];
  if (d.span) {
    const { file, line, column } = positionOf(d.span);
    const text = d.span.source.lineText(line);
    const gutter = String(line);
    const pad = ' '.repeat(gutter.length);
    const from = d.span.start - d.span.source.lineAt(d.span.start).start;
    const width = Math.max(1, Math.min(d.span.end - d.span.start, text.length - from));
    const lead = text.slice(0, from).replace(/[^\t]/g, ' ');
    lines.push(`${pad}--> ${file}:${line}:${column}`);
    lines.push(`${pad} |`);
    lines.push(`${gutter} | ${clip(text)}`);
    lines.push(`${pad} | ${clip(lead + paint(COLOURS[d.severity], '^'.repeat(width)))}`);
  } else if (d.file !== undefined) {
    lines.push(` --> ${d.file}${d.offset === undefined ? '' : ` (byte ${d.offset})`}`);
  }
  for (const note of d.notes ?? []) lines.push(` note: ${note}`);
  if (d.help !== undefined) lines.push(` help: ${d.help}`);
  return lines.join('\n');
}

/** Lines of generated input can be megabytes long; a report is for people. */
function clip(text: string): string {
  return text.length > 400 ? `${text.slice(0, 400)}…` : text;
}

export function renderDiagnostics(diagnostics: readonly Diagnostic[], options: RenderOptions = {}): string {
  return diagnostics.map((d) => renderDiagnostic(d, options)).join('\n\n');
}

/** The candidates nearest to `word` by edit distance, best first; for `help:` lines. */
export function suggest(word: string, candidates: Iterable<string>, most = 3): string[] {
  const limit = Math.max(1, Math.floor(word.length / 3));
  const scored: { name: string; distance: number }[] = [];
  for (const name of candidates) {
    if (Math.abs(name.length - word.length) > limit) continue;
    const distance = editDistance(word.toLowerCase(), name.toLowerCase(), limit);
    if (distance <= limit) scored.push({ name, distance });
  }
  scored.sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1));
  return scored.slice(0, most).map((s) => s.name);
}

/** Optimal string alignment distance (a swap of neighbours counts 1), cut off above `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let best = i;
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, before[j - 2]! + 1);
      }
      row.push(cost);
      best = Math.min(best, cost);
    }
    if (best > limit) return best;
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}
