/**
 * The lexer of device tree source: the token rules of dtc 1.6.1, in linear time.
 *
 * dtc's scanner has modes that depend on the tokens seen, not on the grammar: a name is one token only
 * after `{`, `;` or a `/delete-.../`, hexadecimal pairs are bytes only inside `[ ]`, integers exist
 * only once `/dts-v1/` has been seen. The longest rule wins. `/include/` and line directives are done
 * here, as in dtc, so they may stand anywhere, even inside a value. Each included file and each line
 * directive begins a new `SourceText`, which is how spans come to tell the right file and line.
 */

import { type Diagnostic, InputError, SourceText, type Span } from '../../base/index.js';
import { decodeEscapes } from './escapes.js';
import { decodeSource } from './text.js';

/** Single characters are tokens of their own character code; these are the others. */
export const Kind = {
  END: 0,
  V1: 256,
  PLUGIN: 257,
  MEMRESERVE: 258,
  BITS: 259,
  DELETE_PROPERTY: 260,
  DELETE_NODE: 261,
  OMIT_IF_NO_REF: 262,
  INCBIN: 263,
  LABEL: 264,
  LITERAL: 265,
  CHARACTER: 266,
  STRING: 267,
  LABEL_REF: 268,
  PATH_REF: 269,
  BYTE: 270,
  NAME: 271,
  SHIFT_LEFT: 272,
  SHIFT_RIGHT: 273,
  LESS_EQUAL: 274,
  GREATER_EQUAL: 275,
  EQUAL: 276,
  NOT_EQUAL: 277,
  AND: 278,
  OR: 279,
} as const;

/** What people call each kind of token, for `expected ...` notes. */
const KIND_NAMES: Readonly<Record<number, string>> = {
  [Kind.END]: 'the end of the file',
  [Kind.V1]: '/dts-v1/',
  [Kind.PLUGIN]: '/plugin/',
  [Kind.MEMRESERVE]: '/memreserve/',
  [Kind.BITS]: '/bits/',
  [Kind.DELETE_PROPERTY]: '/delete-property/',
  [Kind.DELETE_NODE]: '/delete-node/',
  [Kind.OMIT_IF_NO_REF]: '/omit-if-no-ref/',
  [Kind.INCBIN]: '/incbin/',
  [Kind.LABEL]: 'a label',
  [Kind.LITERAL]: 'an integer',
  [Kind.CHARACTER]: 'a character literal',
  [Kind.STRING]: 'a string',
  [Kind.LABEL_REF]: 'a &label reference',
  [Kind.PATH_REF]: 'a &{/path} reference',
  [Kind.BYTE]: 'a pair of hexadecimal digits',
  [Kind.NAME]: 'a name',
  [Kind.SHIFT_LEFT]: "'<<'",
  [Kind.SHIFT_RIGHT]: "'>>'",
  [Kind.LESS_EQUAL]: "'<='",
  [Kind.GREATER_EQUAL]: "'>='",
  [Kind.EQUAL]: "'=='",
  [Kind.NOT_EQUAL]: "'!='",
  [Kind.AND]: "'&&'",
  [Kind.OR]: "'||'",
};

export function describeKind(kind: number): string {
  return KIND_NAMES[kind] ?? `'${String.fromCharCode(kind)}'`;
}

export interface Token {
  readonly kind: number;
  readonly source: SourceText;
  readonly start: number;
  readonly end: number;
  /** The name, label, reference or label path the token spells, without its marks. */
  readonly text: string;
  /** The value of LITERAL, CHARACTER and BYTE. */
  readonly value: bigint;
  /** The bytes of STRING, without the final NUL. */
  readonly bytes: Uint8Array;
}

export function spanOf(token: Token): Span {
  return { source: token.source, start: token.start, end: token.end };
}

/** From the first token to the last, or the first alone where they stand in different files. */
export function spanBetween(first: Token, last: Token): Span {
  return {
    source: first.source,
    start: first.start,
    end: first.source.origin === last.source.origin ? last.end : first.end,
  };
}

/** A text to compile: `text` may be raw bytes, which need not be UTF-8. */
export interface SourceFile {
  readonly name: string;
  readonly text: string | Uint8Array;
}

/** Gives the text of an `/include/`, or undefined where there is none; `fromFile` is the including file. */
export type IncludeLoader = (path: string, fromFile: string) => SourceFile | undefined;

/** As dtc: the main file and 99 nested ones. */
const DEEPEST_INCLUDE = 100;
/** Files that include others twice each double at every level; these bounds end that. */
const MOST_INCLUDES = 100_000;
const MOST_INCLUDED_TEXT = 2 ** 28;

/** Enough to work on; every error costs the length of its line to place. */
const MOST_ERRORS = 1000;

const NO_BYTES = new Uint8Array(0);

const Mode = { INITIAL: 0, V1: 1, BYTES: 2, NAMES: 3 } as const;

interface OpenFile {
  readonly name: string;
  readonly text: string;
  at: number;
  segment: SourceText;
}

const LABEL = /[a-zA-Z_][a-zA-Z0-9_]*:/y;
const LABEL_REF = /&[a-zA-Z_][a-zA-Z0-9_]*/y;
const PATH_REF = /&\{\/[a-zA-Z0-9,._+*#?@/-]*\}/y;
const INTEGER = /(?:0[xX][0-9a-fA-F]+|[0-9]+)(?:ULL|UL|LL|U|L)?/y;
const NAME = /\\?[a-zA-Z0-9,._+*#?@-]+/y;
const BYTE = /[0-9a-fA-F]{2}/y;
const KEYWORD = /\/[a-z0-9-]+\//y;
const DIRECTIVE_HEAD = /#(?:line)?[ \t]+([0-9]+)[ \t]+/y;
const DIRECTIVE_TAIL = /[ \t]+[0-9]+/y;
const LINE_COMMENT = /\/\/[^\n]*\n/y;
const INCLUDE_GAP = /[ \t\n\v\f\r]*/y;

const KEYWORDS: ReadonlyMap<string, number> = new Map([
  ['/dts-v1/', Kind.V1],
  ['/plugin/', Kind.PLUGIN],
  ['/memreserve/', Kind.MEMRESERVE],
  ['/bits/', Kind.BITS],
  ['/delete-property/', Kind.DELETE_PROPERTY],
  ['/delete-node/', Kind.DELETE_NODE],
  ['/omit-if-no-ref/', Kind.OMIT_IF_NO_REF],
  ['/incbin/', Kind.INCBIN],
]);

const PAIRS: ReadonlyMap<string, number> = new Map([
  ['<<', Kind.SHIFT_LEFT],
  ['>>', Kind.SHIFT_RIGHT],
  ['<=', Kind.LESS_EQUAL],
  ['>=', Kind.GREATER_EQUAL],
  ['==', Kind.EQUAL],
  ['!=', Kind.NOT_EQUAL],
  ['&&', Kind.AND],
  ['||', Kind.OR],
]);

/** The end of the match of sticky `pattern` at `at`, or -1. */
function match(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : -1;
}

export class Lexer {
  /** Lexical errors that dtc reports and goes on from, and whatever the parser adds. */
  readonly diagnostics: Diagnostic[] = [];
  /** Tokens made, and characters looked at by rules that scan: the measure of linear work. */
  tokens = 0;
  characters = 0;

  readonly #files: OpenFile[] = [];
  readonly #include: IncludeLoader | undefined;
  #mode: number = Mode.INITIAL;
  #includes = 0;
  #includedText = 0;
  /** Where the last rule matched: a syntax error at the end of the file is told there, as in dtc. */
  #last: { source: SourceText; start: number; end: number };

  constructor(file: SourceFile, include: IncludeLoader | undefined) {
    this.#include = include;
    const open = openFile(file);
    this.#files.push(open);
    this.#last = { source: open.segment, start: 0, end: 0 };
  }

  /** The file that the lexer stands in, for paths relative to it. */
  get currentFile(): string {
    return this.#files[this.#files.length - 1]!.name;
  }

  error(code: string, message: string, span: Span, help?: string, notes: readonly string[] = []): void {
    this.diagnostics.push({
      code,
      severity: 'error',
      message,
      span,
      ...(help === undefined ? {} : { help }),
      ...(notes.length === 0 ? {} : { notes }),
    });
    if (this.diagnostics.length >= MOST_ERRORS) throw new InputError(this.diagnostics);
  }

  /** Stops at once, with what has been found so far. */
  fatal(code: string, message: string, span: Span, help?: string, notes?: readonly string[]): InputError {
    this.error(code, message, span, help, notes);
    return new InputError(this.diagnostics);
  }

  next(): Token {
    this.tokens++;
    for (;;) {
      const file = this.#files[this.#files.length - 1]!;
      if (file.at >= file.text.length) {
        if (this.#files.length === 1) return this.#token(Kind.END, '', 0n, NO_BYTES);
        this.#files.pop();
        continue;
      }
      const token = this.#scan(file);
      if (token !== undefined) return token;
    }
  }

  #token(kind: number, text: string, value: bigint, bytes: Uint8Array): Token {
    const { source, start, end } = this.#last;
    return { kind, source, start, end, text, value, bytes };
  }

  /** Consumes up to `end` and remembers the place. */
  #advance(file: OpenFile, end: number): void {
    this.characters += end - file.at;
    this.#last = { source: file.segment, start: file.at, end };
    file.at = end;
  }

  #simple(file: OpenFile, end: number, kind: number, text = ''): Token {
    this.#advance(file, end);
    return this.#token(kind, text, 0n, NO_BYTES);
  }

  /** One rule's match; undefined where it makes no token. */
  #scan(file: OpenFile): Token | undefined {
    const { text, at } = file;
    const code = text.charCodeAt(at);
    if (code === 0x20 || (code >= 0x09 && code <= 0x0d)) {
      let end = at + 1;
      for (;;) {
        const c = text.charCodeAt(end);
        if (c === 0x20 || (c >= 0x09 && c <= 0x0d)) end++;
        else break;
      }
      this.#advance(file, end);
      return undefined;
    }
    if (code === 0x22) {
      const end = stringEnd(text, at);
      if (end > 0) {
        this.#advance(file, end);
        return this.#token(Kind.STRING, '', 0n, decodeEscapes(this, text.slice(at + 1, end - 1), this.#last));
      }
    } else if (code === 0x27) {
      const end = characterEnd(text, at);
      if (end > 0) return this.#character(file, end);
    } else if (code === 0x2f) {
      const slash = this.#slash(file);
      if (slash !== null) return slash;
    } else if (code === 0x26) {
      const label = match(LABEL_REF, text, at);
      if (label > 0) return this.#simple(file, label, Kind.LABEL_REF, text.slice(at + 1, label));
      const path = match(PATH_REF, text, at);
      if (path > 0) return this.#simple(file, path, Kind.PATH_REF, text.slice(at + 2, path - 1));
    } else if (code === 0x23 && (at === 0 || text.charCodeAt(at - 1) === 0x0a)) {
      if (this.#lineDirective(file)) return undefined;
    }
    const label = match(LABEL, text, at);
    if (label > 0) return this.#simple(file, label, Kind.LABEL, text.slice(at, label - 1));
    if (this.#mode === Mode.NAMES) {
      const end = match(NAME, text, at);
      if (end > 0) {
        this.#mode = Mode.V1;
        return this.#simple(file, end, Kind.NAME, text.slice(code === 0x5c ? at + 1 : at, end));
      }
    } else if (this.#mode === Mode.BYTES) {
      const end = match(BYTE, text, at);
      if (end > 0) {
        this.#advance(file, end);
        return this.#token(Kind.BYTE, '', BigInt(`0x${text.slice(at, end)}`), NO_BYTES);
      }
    } else if (this.#mode === Mode.V1 && code >= 0x30 && code <= 0x39) {
      return this.#integer(file, match(INTEGER, text, at));
    }
    const pair = PAIRS.get(text.slice(at, at + 2));
    if (pair !== undefined) return this.#simple(file, at + 2, pair);
    if (code === 0x5d && this.#mode === Mode.BYTES) this.#mode = Mode.V1;
    else if (code === 0x5b) this.#mode = Mode.BYTES;
    else if (code === 0x7b || code === 0x3b) this.#mode = Mode.NAMES;
    // A NUL is an ordinary wrong character, not the end.
    return this.#simple(file, at + 1, code === 0 ? 0xfffd : code);
  }

  #integer(file: OpenFile, end: number): Token {
    const written = file.text.slice(file.at, end);
    this.#advance(file, end);
    const digits = written.replace(/[UL]+$/, '');
    let value = 0n;
    if (/^0[0-7]*$/.test(digits)) value = digits === '0' ? 0n : BigInt(`0o${digits.slice(1)}`);
    else if (/^0[0-9]/.test(digits)) {
      this.error(
        'DTS-INTEGER',
        `Bad integer literal '${written}'`,
        this.#last,
        'a leading 0 makes the number octal',
      );
    } else value = BigInt(digits);
    if (value >= 1n << 64n) {
      this.error(
        'DTS-INTEGER',
        `Integer literal '${written}' out of range`,
        this.#last,
        'at most 64 bits fit',
      );
      value = (1n << 64n) - 1n;
    }
    return this.#token(Kind.LITERAL, '', value, NO_BYTES);
  }

  #character(file: OpenFile, end: number): Token {
    const written = file.text.slice(file.at + 1, end - 1);
    this.#advance(file, end);
    const bytes = decodeEscapes(this, written, this.#last);
    if (bytes.length === 0) this.error('DTS-CHARACTER', 'Empty character literal', this.#last);
    else if (bytes.length > 1) {
      this.error(
        'DTS-CHARACTER',
        `Character literal has ${bytes.length} characters instead of 1`,
        this.#last,
      );
    }
    return this.#token(Kind.CHARACTER, '', BigInt(bytes[0] ?? 0), NO_BYTES);
  }

  /** Comments, keywords and includes; null where the slash is only a slash. */
  #slash(file: OpenFile): Token | undefined | null {
    const { text, at } = file;
    const second = text.charCodeAt(at + 1);
    if (second === 0x2a) {
      // dtc takes adjacent comments as one match; that only matters for where an error at the end is.
      let end = -1;
      let from = at;
      while (text.startsWith('/*', from)) {
        const close = text.indexOf('*/', from + 2);
        if (close < 0) break;
        from = close + 2;
        end = from;
      }
      if (end < 0) return null;
      this.#advance(file, end);
      return undefined;
    }
    if (second === 0x2f) {
      let end = match(LINE_COMMENT, text, at);
      if (end < 0) return null;
      for (let more = end; more > 0; more = match(LINE_COMMENT, text, end)) end = more;
      this.#advance(file, end);
      return undefined;
    }
    const end = match(KEYWORD, text, at);
    if (end < 0) return null;
    const word = text.slice(at, end);
    if (word === '/include/') return this.#includeFile(file, end) ? undefined : null;
    const kind = KEYWORDS.get(word);
    if (kind === undefined) return null;
    if (kind === Kind.INCBIN) return this.#mode <= Mode.V1 ? this.#simple(file, end, kind) : null;
    if (kind === Kind.V1 || kind === Kind.MEMRESERVE || kind === Kind.BITS) this.#mode = Mode.V1;
    else if (kind !== Kind.PLUGIN) this.#mode = Mode.NAMES;
    return this.#simple(file, end, kind);
  }

  #includeFile(file: OpenFile, after: number): boolean {
    const quote = match(INCLUDE_GAP, file.text, after);
    if (file.text.charCodeAt(quote) !== 0x22) return false;
    const end = stringEnd(file.text, quote);
    if (end < 0) return false;
    const path = file.text.slice(quote + 1, end - 1);
    this.#advance(file, end);
    const span: Span = this.#last;
    if (this.#files.length >= DEEPEST_INCLUDE) {
      throw this.fatal('DTS-INCLUDE', 'Includes nested too deeply', span, 'does a file include itself?');
    }
    const loaded = this.#include?.(path, file.name);
    if (loaded === undefined) {
      throw this.fatal('DTS-INCLUDE', `Couldn't open "${path}"`, span, 'paths are relative to this file');
    }
    const open = openFile(loaded);
    this.#includedText += open.text.length;
    if (++this.#includes > MOST_INCLUDES || this.#includedText > MOST_INCLUDED_TEXT) {
      throw this.fatal('DTS-INCLUDE', 'the included files multiply without measure', span);
    }
    this.#files.push(open);
    return true;
  }

  /** `# 12 "file"` and `#line 12 "file"`: what follows is reported as that file's line. */
  #lineDirective(file: OpenFile): boolean {
    const { text, at } = file;
    const head = match(DIRECTIVE_HEAD, text, at);
    if (head < 0 || text.charCodeAt(head) !== 0x22) return false;
    const quote = stringEnd(text, head);
    if (quote < 0) return false;
    const tail = match(DIRECTIVE_TAIL, text, quote);
    const end = tail > 0 ? tail : quote;
    const number = Number(/[0-9]+/.exec(text.slice(at, head))![0]);
    this.#advance(file, end);
    const name = decodeEscapes(this, text.slice(head + 1, quote - 1), this.#last);
    // The number is that of the line after the directive's own.
    const own = file.segment.origin.lineAt(at).line;
    file.segment = file.segment.renamed(new TextDecoder().decode(name), Math.min(number, 2 ** 31) - 1 - own);
    return true;
  }
}

function openFile(file: SourceFile): OpenFile {
  const text = typeof file.text === 'string' ? file.text : decodeSource(file.text);
  return { name: file.name, text, at: 0, segment: new SourceText(file.name, text) };
}

/** The end of the string that begins at `at`, or -1: a backslash takes the next character, but no newline. */
function stringEnd(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) return i + 1;
    if (c === 0x5c) {
      i++;
      if (i >= text.length || text.charCodeAt(i) === 0x0a) return -1;
    }
  }
  return -1;
}

/** The end of the character literal at `at`, or -1. A backslash takes the next character, also a backslash. */
function characterEnd(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x27) return i + 1;
    if (c === 0x5c) i++;
  }
  return -1;
}
