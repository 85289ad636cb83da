/**
 * Directives that steer the reading itself: macros, repetitions, includes, messages.
 */
import { InputError, SourceText } from '../../base/index.js';
import type { Assembly } from '../assembly.js';
import { headOf } from '../heads.js';
import { bindArguments, type Macro, parseMacroHead, splitArguments } from '../macros.js';
import type { Line } from '../source.js';
import { unescapeString } from '../tokens.js';
import {
  badArgument,
  countedArguments,
  type Directive,
  type Handler,
  restSpan,
  spanOf,
} from './directive.js';

const MAX_MACRO_CALLS = 2_000_000;

/**
 * The lines up to the matching end word, which is consumed; undefined (reported) where the frame ends
 * first. `opens` are the words that nest.
 */
function collect(a: Assembly, d: Directive, opens: ReadonlySet<string>, closes: string): Line[] | undefined {
  const body: Line[] = [];
  let depth = 1;
  for (;;) {
    const line = a.input.nextInFrame();
    if (line === undefined) {
      a.reporter.error('ASM-UNTERMINATED', `${d.name} has no ${closes}`, d.nameSpan, d.line);
      return undefined;
    }
    const word = headOf(line).word.toLowerCase();
    if (opens.has(word)) depth++;
    else if (word === closes && --depth === 0) return body;
    body.push(line);
  }
}

const MACROS = new Set(['.macro']);
const REPEATS = new Set(['.rept', '.rep', '.irp', '.irpc']);

const macro: Handler = (a, d) => {
  const head = parseMacroHead(d.line, d.rest, a.reporter);
  const body = collect(a, d, MACROS, '.endm');
  if (head === undefined || body === undefined) return;
  const key = head.name.toLowerCase();
  if (a.macros.has(key)) {
    a.reporter.error('ASM-DUPLICATE-SYMBOL', `macro '${head.name}' is already defined`, restSpan(d), d.line, {
      help: `.purgem ${head.name} forgets the first`,
    });
    return;
  }
  a.macros.set(key, { ...head, body, definedAt: d.nameSpan });
};

/** Expands a macro call. */
export function callMacro(a: Assembly, called: Macro, line: Line, rest: number): void {
  const values = bindArguments(called, line, rest, a.reporter);
  if (values === undefined) return;
  const expansion = a.input.enter(`in the expansion of macro '${called.name}'`, line);
  if (a.macroCalls >= MAX_MACRO_CALLS) {
    a.reporter.fatal(
      'ASM-LIMIT',
      `macros are called more than ${MAX_MACRO_CALLS} times`,
      called.definedAt,
      line,
    );
  }
  const serial = String(a.macroCalls++);
  a.input.pushBody(called.body, 1, expansion, a.conditionals.length, (_iteration, name) =>
    name === '@' ? serial : values.get(name),
  );
}

const rept: Handler = (a, d) => {
  const given = countedArguments(a, d, 1, 1, 'COUNT');
  const count =
    given && a.number(d.line, given[0]!.start, given[0]!.end, 'the repeat count', -(2 ** 50), 2 ** 50);
  const body = collect(a, d, REPEATS, '.endr');
  if (count === undefined || body === undefined) return;
  const expansion = a.input.enter('in the repetition of .rept', d.line);
  a.input.pushBody(body, count, expansion, a.conditionals.length, (iteration, name) =>
    name === '+' ? String(iteration) : undefined,
  );
};

/** `.irp NAME, a, b` and `.irpc NAME, abc`. */
function irp(characters: boolean): Handler {
  return (a, d) => {
    const { text, end } = d.line;
    const name = /[ \t]*([A-Za-z_$.\u0080-\uffff][\w$.\u0080-\uffff]*)[ \t]*,?/y;
    name.lastIndex = d.rest;
    const match = name.exec(text);
    const body = collect(a, d, REPEATS, '.endr');
    if (match === null || name.lastIndex > end) {
      badArgument(a, d, `${d.name} needs the name of a parameter`, restSpan(d));
      return;
    }
    if (body === undefined) return;
    const listed = splitArguments(text, name.lastIndex, end).map((argument) => argument.text);
    const values = characters ? [...listed.join('')] : listed;
    const expansion = a.input.enter(`in the repetition of ${d.name}`, d.line);
    const parameter = match[1]!;
    a.input.pushBody(
      body,
      Math.max(1, values.length),
      expansion,
      a.conditionals.length,
      (iteration, wanted) => {
        if (wanted === '+') return String(iteration);
        return wanted === parameter ? (values[iteration] ?? '') : undefined;
      },
    );
  };
}

const exitMacro: Handler = (a, d) => {
  const open = a.input.exit();
  if (open === undefined) a.reporter.error('ASM-MACRO', '.exitm outside a macro', d.nameSpan, d.line);
  else a.conditionals.length = open;
};

const purgem: Handler = (a, d) => {
  const given = countedArguments(a, d, 1, 1, 'NAME');
  if (given !== undefined && !a.macros.delete(given[0]!.text.toLowerCase())) {
    badArgument(a, d, `there is no macro '${given[0]!.text}'`, spanOf(d, given[0]!));
  }
};

const include: Handler = (a, d) => {
  const given = countedArguments(a, d, 1, 1, '"FILE"');
  if (given === undefined) return;
  const name = /^"((?:[^"\\]|\\.)+)"$/.exec(given[0]!.text)?.[1];
  if (name === undefined) {
    badArgument(a, d, 'expected the name of a file in double quotes', spanOf(d, given[0]!));
    return;
  }
  const expansion = a.input.enter('included', d.line);
  try {
    if (a.options.include === undefined) throw new InputError([]);
    const file = a.options.include(name, d.line.source.name);
    a.input.pushFile(new SourceText(file.name, file.text), expansion, a.conditionals.length);
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    const reason = thrown.diagnostics[0]?.message ?? `cannot read ${name}`;
    a.reporter.error('ASM-INCLUDE', reason, spanOf(d, given[0]!), d.line);
  }
};

/** The text of a message directive; undefined (reported) where it is no string. */
function message(a: Assembly, d: Directive): string | undefined {
  const text = d.line.text.slice(d.rest, d.line.end).trim();
  const inner = /^"((?:[^"\\]|\\.)*)"$/.exec(text)?.[1];
  if (inner === undefined) {
    badArgument(a, d, `${d.name} needs a message in double quotes`, restSpan(d));
    return undefined;
  }
  return new TextDecoder().decode(unescapeString(inner));
}

const error: Handler = (a, d) => {
  const text =
    d.line.text.slice(d.rest, d.line.end).trim() === '' ? '.error directive reached' : message(a, d);
  if (text !== undefined) a.reporter.error('ASM-USER-ERROR', text, d.nameSpan, d.line);
};

const warning: Handler = (a, d) => {
  const text =
    d.line.text.slice(d.rest, d.line.end).trim() === '' ? '.warning directive reached' : message(a, d);
  if (text !== undefined) a.reporter.warn('ASM-USER-WARNING', text, d.nameSpan, d.line);
};

/** `.file "name"` says nothing we keep; `.file 1 "name"` names a file for `.loc`. */
const file: Handler = (a, d) => {
  const match = /^\s*(\d{1,9})\s+(?:"([^"]*)"\s+)?"([^"]*)"/.exec(d.line.text.slice(d.rest, d.line.end));
  if (match !== null) a.lines.nameFile(Number(match[1]), match[3]!);
};

const loc: Handler = (a, d) => {
  const match = /^\s*(\d{1,9})\s+(\d{1,9})\b/.exec(d.line.text.slice(d.rest, d.line.end));
  if (match === null) badArgument(a, d, '.loc needs a file number and a line number', restSpan(d));
  else if (!a.lines.locate(Number(match[1]), Number(match[2]))) {
    badArgument(a, d, `file ${match[1]} has no name`, restSpan(d), `.file ${match[1]} "NAME" gives it one`);
  }
};

const stray =
  (opener: string): Handler =>
  (a, d) => {
    a.reporter.error('ASM-MACRO', `${d.name} without ${opener}`, d.nameSpan, d.line);
  };

export const CONTROL: Readonly<Record<string, Handler>> = {
  '.macro': macro,
  '.endm': stray('a .macro'),
  '.exitm': exitMacro,
  '.purgem': purgem,
  '.rept': rept,
  '.rep': rept,
  '.irp': irp(false),
  '.irpc': irp(true),
  '.endr': stray('a .rept, .irp or .irpc'),
  '.include': include,
  '.err': (a, d) => a.reporter.error('ASM-USER-ERROR', '.err directive reached', d.nameSpan, d.line),
  '.error': error,
  '.warning': warning,
  '.print': (a, d) => {
    message(a, d);
  },
  '.abort': (a, d) => a.reporter.fatal('ASM-USER-ERROR', '.abort directive reached', d.nameSpan, d.line),
  '.end': (a) => {
    a.ended = true;
  },
  '.file': file,
  '.loc': loc,
};
