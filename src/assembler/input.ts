/**
 * Where statements come from: the file, included files, macro bodies and repetitions, stacked.
 *
 * Bodies are replayed statement by statement and never joined into text, so an expansion costs what
 * its statements cost. Depth and the total number of expanded statements are bounded: no macro and no
 * `.rept` can keep the assembler busy for ever.
 */
import type { SourceText } from '../base/index.js';
import { lineSpan, type Reporter } from './report.js';
import {
  ExpandedText,
  type Expansion,
  type Line,
  MAX_STATEMENT,
  type SplitSource,
  splitSource,
  substitute,
} from './source.js';

/** Macros, repetitions and includes inside one another; GNU as allows macros this deep too. */
export const MAX_DEPTH = 100;
/** Statements that macros and repetitions may produce in one assembly. */
export const MAX_EXPANDED = 2_000_000;
/** Characters of all statements in which parameters were replaced. */
export const MAX_SUBSTITUTED = 16 * 1024 * 1024;

type FrameKind = 'file' | 'body';

interface Frame {
  readonly kind: FrameKind;
  readonly expansion: Expansion | undefined;
  /** Conditionals open when the frame began. */
  readonly conditionals: number;
  /** The next line, or undefined at the end. */
  next(): Line | undefined;
}

export class Input {
  readonly #frames: Frame[] = [];
  readonly #reporter: Reporter;
  #expanded = 0;
  #substituted = 0;

  constructor(reporter: Reporter) {
    this.#reporter = reporter;
  }

  get depth(): number {
    return this.#frames.length;
  }

  /** The conditionals that were open when the innermost frame began. */
  get conditionals(): number {
    return this.#frames.at(-1)?.conditionals ?? 0;
  }

  pushFile(source: SourceText, expansion: Expansion | undefined, conditionals: number): void {
    const split: SplitSource = splitSource(source);
    for (const problem of split.problems) this.#reporter.add(problem);
    const { bounds, text } = split;
    let at = 0;
    this.#frames.push({
      kind: 'file',
      expansion,
      conditionals,
      next: () => {
        if (at >= bounds.length) return undefined;
        at += 2;
        return { source, text, start: bounds[at - 2]!, end: bounds[at - 1]!, expansion };
      },
    });
  }

  /**
   * Replays `body` `times` times; `parameter(iteration, name)` gives the text of a parameter.
   * The caller has checked the depth with `enter`.
   */
  pushBody(
    body: readonly Line[],
    times: number,
    expansion: Expansion,
    conditionals: number,
    parameter: (iteration: number, name: string) => string | undefined,
  ): void {
    if (body.length === 0 || times <= 0) return;
    if (times * body.length > MAX_EXPANDED - this.#expanded) this.#tooMany(expansion);
    let iteration = 0;
    let at = 0;
    this.#frames.push({
      kind: 'body',
      expansion,
      conditionals,
      next: () => {
        if (at === body.length) {
          iteration++;
          at = 0;
        }
        if (iteration >= times) return undefined;
        if (++this.#expanded > MAX_EXPANDED) this.#tooMany(expansion);
        const line = substitute(body[at++]!, expansion, (name) => parameter(iteration, name));
        if (line === undefined) this.#tooLong(`a statement longer than ${MAX_STATEMENT}`, expansion);
        if (line.source instanceof ExpandedText) this.#substituted += line.text.length;
        if (this.#substituted > MAX_SUBSTITUTED) this.#tooLong(`more than ${MAX_SUBSTITUTED}`, expansion);
        return line;
      },
    });
  }

  #tooLong(what: string, { site }: Expansion): never {
    const message = `the substitution of macro parameters produces ${what} characters`;
    return this.#reporter.fatal('ASM-LIMIT', message, lineSpan(site), site);
  }

  #tooMany({ site }: Expansion): never {
    return this.#reporter.fatal(
      'ASM-LIMIT',
      `macros and repetitions produce more than ${MAX_EXPANDED} statements`,
      lineSpan(site),
      site,
    );
  }

  /** The next statement of the innermost frame, without leaving it. */
  nextInFrame(): Line | undefined {
    return this.#frames.at(-1)?.next();
  }

  pop(): void {
    this.#frames.pop();
  }

  /** Leaves the innermost macro or repetition; gives its open conditionals, or undefined outside any. */
  exit(): number | undefined {
    const top = this.#frames.at(-1);
    if (top === undefined || top.kind === 'file') return undefined;
    this.#frames.pop();
    return top.conditionals;
  }

  /** The expansion that `site` begins, its depth checked; `what` is for the notes of errors in it. */
  enter(what: string, site: Line): Expansion {
    const depth = (site.expansion?.depth ?? 0) + 1;
    if (depth > MAX_DEPTH) {
      this.#reporter.fatal(
        'ASM-LIMIT',
        `macros, repetitions and includes are nested more than ${MAX_DEPTH} deep`,
        lineSpan(site),
        site,
        { help: 'a macro that calls itself, or a file that includes itself, needs an .if that ends it' },
      );
    }
    return { what, site, depth };
  }
}
