/**
 * Collects everything that is wrong with a source, so that one run reports all of it.
 *
 * Spans in expanded macro text are carried back to the macro's own line, and the calls that led there
 * are added as notes. A flood (one bad line in a `.rept`) is cut off.
 */
import { type Diagnostic, InputError, positionOf, type Span } from '../base/index.js';
import { type Line, originOf } from './source.js';

/** After this many errors the rest is not worth reading. */
const MAX_ERRORS = 50;
/** Times that the same error (a line of a macro) may come up before the assembly is given up. */
const MAX_REPEATS = 200;
const MAX_NOTES = 6;

/** Thrown to stop an assembly that has reported enough. */
export class Stop extends Error {}

export interface Details {
  readonly help?: string | undefined;
  readonly notes?: readonly string[];
}

export class Reporter {
  readonly warnings: Diagnostic[] = [];
  readonly #errors: { readonly order: number; readonly diagnostic: Diagnostic }[] = [];
  readonly #seen = new Set<string>();
  #repeats = 0;
  /** Statements are numbered as they are read; errors of the second pass are sorted in by it. */
  order = 0;

  get failed(): boolean {
    return this.#errors.length > 0;
  }

  error(code: string, message: string, span: Span, line?: Line, details: Details = {}): void {
    const diagnostic = this.#diagnostic('error', code, message, span, line, details);
    const at = diagnostic.span!;
    const key = `${at.source.name} ${at.start} ${message}`;
    if (this.#seen.has(key)) {
      if (++this.#repeats >= MAX_REPEATS) throw new Stop();
      return;
    }
    this.#seen.add(key);
    this.add(diagnostic);
  }

  /** An error that makes going on pointless. */
  fatal(code: string, message: string, span: Span, line?: Line, details: Details = {}): never {
    this.error(code, message, span, line, details);
    throw new Stop();
  }

  warn(code: string, message: string, span: Span, line?: Line, details: Details = {}): void {
    if (this.warnings.length < MAX_ERRORS) {
      this.warnings.push(this.#diagnostic('warning', code, message, span, line, details));
    }
  }

  /** Takes over a diagnostic that is not to be looked for among those there are. */
  add(diagnostic: Diagnostic): void {
    this.#errors.push({ order: this.order, diagnostic });
    if (this.#errors.length >= MAX_ERRORS) throw new Stop();
  }

  throwIfFailed(): void {
    if (!this.failed) return;
    const sorted = this.#errors.map((e, index) => ({ ...e, index }));
    sorted.sort((a, b) => a.order - b.order || a.index - b.index);
    const diagnostics = sorted.map((e) => e.diagnostic);
    if (diagnostics.length >= MAX_ERRORS) {
      const last = diagnostics.at(-1)!;
      const notes = [...(last.notes ?? []), `stopped after ${MAX_ERRORS} errors`];
      diagnostics[diagnostics.length - 1] = { ...last, notes };
    }
    throw new InputError([...this.warnings, ...diagnostics]);
  }

  #diagnostic(
    severity: 'error' | 'warning',
    code: string,
    message: string,
    span: Span,
    line: Line | undefined,
    details: Details,
  ): Diagnostic {
    const notes = [...(details.notes ?? []), ...expansionNotes(line)];
    return {
      code,
      severity,
      message,
      span: originOf(span),
      ...(notes.length > 0 ? { notes } : {}),
      ...(details.help === undefined ? {} : { help: details.help }),
    };
  }
}

function expansionNotes(line: Line | undefined): string[] {
  const notes: string[] = [];
  if (line !== undefined && originOf(lineSpan(line)).source !== line.source) {
    const text = line.text.slice(line.start, line.end).trim();
    notes.push(`the line reads: ${text.length > 120 ? `${text.slice(0, 120)}…` : text}`);
  }
  let at = line?.expansion;
  while (at !== undefined) {
    if (notes.length >= MAX_NOTES) {
      notes.push('... and so on');
      break;
    }
    notes.push(`${at.what} at ${where(lineSpan(at.site))}`);
    at = at.site.expansion;
  }
  return notes;
}

export function lineSpan(line: Line): Span {
  const text = line.text.slice(line.start, line.end);
  const lead = text.length - text.trimStart().length;
  const tail = text.length - text.trimEnd().length;
  return { source: line.source, start: line.start + lead, end: Math.max(line.start + lead, line.end - tail) };
}

/** `file.s:3:9`. */
export function where(span: Span): string {
  const { file, line, column } = positionOf(originOf(span));
  return `${file}:${line}:${column}`;
}
