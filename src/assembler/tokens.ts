/**
 * The lexer of one statement's operands.
 *
 * Kinds go into a byte array and everything else beside it, because the grammar (arcsecond) runs over
 * bytes: one byte a token, so that its positions are token numbers and no text is decoded twice. The
 * one `TokenLine` is reused for every statement; what the grammar builds never points into it.
 */
import Long from 'long';
import type { SourceText, Span } from '../base/index.js';
import { isShiftName, type RegisterName, registerNamed } from './registers.js';
import { endOfCharacter, endOfString } from './source.js';

export const T = {
  end: 0,
  name: 1,
  register: 2,
  shift: 3,
  number: 4,
  float: 5,
  string: 6,
  /** `1f`, `2b`. */
  local: 7,
  hash: 8,
  comma: 9,
  leftBracket: 10,
  rightBracket: 11,
  leftBrace: 12,
  rightBrace: 13,
  leftParen: 14,
  rightParen: 15,
  bang: 16,
  minus: 17,
  plus: 18,
  star: 19,
  slash: 20,
  percent: 21,
  shiftLeft: 22,
  shiftRight: 23,
  and: 24,
  or: 25,
  caret: 26,
  tilde: 27,
  equals: 28,
  equal: 29,
  notEqual: 30,
  less: 31,
  greater: 32,
  lessEqual: 33,
  greaterEqual: 34,
  andAnd: 35,
  orOr: 36,
  colon: 37,
  bad: 38,
} as const;

export type TokenKind = (typeof T)[keyof typeof T];
type TokenValue = string | number | Long | RegisterName | undefined;

/** Parentheses deeper than this are refused: the grammar recurses on them. */
export const MAX_NESTING = 200;

const PUNCTUATION: Readonly<Record<string, TokenKind>> = {
  '#': T.hash,
  ',': T.comma,
  '[': T.leftBracket,
  ']': T.rightBracket,
  '{': T.leftBrace,
  '}': T.rightBrace,
  '(': T.leftParen,
  ')': T.rightParen,
  '!': T.bang,
  '-': T.minus,
  '+': T.plus,
  '*': T.star,
  '/': T.slash,
  '%': T.percent,
  '&': T.and,
  '|': T.or,
  '^': T.caret,
  '~': T.tilde,
  '=': T.equals,
  '<': T.less,
  '>': T.greater,
  ':': T.colon,
  '<<': T.shiftLeft,
  '>>': T.shiftRight,
  '==': T.equal,
  '!=': T.notEqual,
  '<>': T.notEqual,
  '<=': T.lessEqual,
  '>=': T.greaterEqual,
  '&&': T.andAnd,
  '||': T.orOr,
};

const NAME_START = 1;
const NAME_PART = 2;
const DIGIT = 4;
const CLASS = new Uint8Array(128);
for (let c = 0; c < 128; c++) {
  const text = String.fromCharCode(c);
  if (/[A-Za-z_.$]/.test(text)) CLASS[c] = NAME_START | NAME_PART;
  if (/[0-9]/.test(text)) CLASS[c] = NAME_PART | DIGIT;
}
const classOf = (c: number): number => (c < 128 ? CLASS[c]! : c >= 128 ? NAME_START | NAME_PART : 0);

/** The tokens of one stretch of text. */
export class TokenLine {
  kinds: Uint8Array<ArrayBuffer> = new Uint8Array(64);
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  readonly values: TokenValue[] = [];
  count = 0;
  source: SourceText | undefined;
  /** The furthest token at which the grammar was disappointed, and what it had hoped for. */
  furthest = -1;
  expected: string[] = [];

  /** What the grammar runs over. */
  get view(): DataView {
    return new DataView(this.kinds.buffer, 0, this.count);
  }

  missed(index: number, expected: string): void {
    if (index < this.furthest) return;
    if (index > this.furthest) {
      this.furthest = index;
      this.expected = [];
    }
    if (expected !== '' && !this.expected.includes(expected)) this.expected.push(expected);
  }

  span(from: number, to: number = from): Span {
    return { source: this.source!, start: this.starts[from]!, end: this.ends[to]! };
  }

  /** Reads `text` from `start` to `end`. `alias` knows the names given by `.req`. */
  lex(
    source: SourceText,
    text: string,
    start: number,
    end: number,
    alias: ReadonlyMap<string, RegisterName>,
  ): void {
    this.source = source;
    this.count = 0;
    this.starts.length = 0;
    this.ends.length = 0;
    this.values.length = 0;
    this.furthest = -1;
    this.expected = [];
    let depth = 0;
    let at = start;
    while (at < end) {
      const c = text.charCodeAt(at);
      if (c === 32 || c === 9) {
        at++;
        continue;
      }
      const kind = classOf(c);
      if (kind & NAME_START) at = this.#name(text, at, end, alias);
      else if (kind & DIGIT) at = this.#number(text, at, end);
      else if (c === 34) at = this.#string(text, at, end);
      else if (c === 39) at = this.#character(text, at, end);
      else {
        const two = PUNCTUATION[text.slice(at, Math.min(at + 2, end))];
        const length = two !== undefined && at + 1 < end ? 2 : 1;
        const one = length === 2 ? two : PUNCTUATION[text[at]!];
        if (one === undefined) {
          this.#push(T.bad, at, at + 1, `unexpected character '${printable(text, at)}'`);
          break;
        }
        if (one === T.leftParen && ++depth > MAX_NESTING) {
          this.#push(T.bad, at, at + 1, `parentheses are nested deeper than ${MAX_NESTING}`);
          break;
        }
        if (one === T.rightParen && depth > 0) depth--;
        this.#push(one, at, at + length, undefined);
        at += length;
      }
    }
    this.#finish(end);
  }

  #finish(end: number): void {
    this.#push(T.end, end, end, undefined);
  }

  #push(kind: TokenKind, start: number, end: number, value: TokenValue): void {
    if (this.count === this.kinds.length) {
      const bigger = new Uint8Array(this.kinds.length * 2);
      bigger.set(this.kinds);
      this.kinds = bigger;
    }
    this.kinds[this.count++] = kind;
    this.starts.push(start);
    this.ends.push(end);
    this.values.push(value);
  }

  #name(text: string, start: number, end: number, alias: ReadonlyMap<string, RegisterName>): number {
    let at = start + 1;
    while (at < end && classOf(text.charCodeAt(at)) & NAME_PART) at++;
    const name = text.slice(start, at);
    const register = registerNamed(name) ?? (alias.size > 0 ? aliased(name, alias) : undefined);
    if (register !== undefined) this.#push(T.register, start, at, register);
    else {
      const shift = at - start <= 4 ? name.toLowerCase() : '';
      if (isShiftName(shift)) this.#push(T.shift, start, at, shift);
      else this.#push(T.name, start, at, name);
    }
    return at;
  }

  #number(text: string, start: number, end: number): number {
    let at = start;
    const first = text.charCodeAt(at);
    const prefix = first === 48 ? (text[at + 1] ?? '').toLowerCase() : '';
    const radix = prefix === 'x' ? 16 : prefix === 'b' && /[01]/.test(text[at + 2] ?? '') ? 2 : 0;
    if (radix !== 0) {
      at += 2;
      while (at < end && classOf(text.charCodeAt(at)) & NAME_PART) at++;
      return this.#integer(text, start, start + 2, at, radix);
    }
    while (at < end && CLASS[text.charCodeAt(at)]! & DIGIT) at++;
    const fraction = /(?:\.\d*)?(?:[eE][+-]?\d+)?/y;
    fraction.lastIndex = at;
    const tail = fraction.exec(text)?.[0] ?? '';
    if (tail !== '' && at + tail.length <= end) {
      at += tail.length;
      this.#push(T.float, start, at, Number(text.slice(start, at)));
      return at;
    }
    const suffix = text[at];
    if (at < end && (suffix === 'f' || suffix === 'b') && !(classOf(text.charCodeAt(at + 1)) & NAME_PART)) {
      this.#push(T.local, start, at + 1, text.slice(start, at + 1));
      return at + 1;
    }
    while (at < end && classOf(text.charCodeAt(at)) & NAME_PART) at++;
    return this.#integer(text, start, start, at, first === 48 ? 8 : 10);
  }

  #integer(text: string, start: number, digits: number, end: number, radix: 2 | 8 | 10 | 16): number {
    const body = text.slice(digits, end);
    const valid =
      radix === 16 ? /^[\da-fA-F]+$/ : radix === 10 ? /^\d+$/ : radix === 8 ? /^[0-7]+$/ : /^[01]+$/;
    if (!valid.test(body)) {
      this.#push(T.bad, start, end, `'${clip(text.slice(start, end))}' is not a number`);
    } else if (body.length <= 9 && radix <= 10) {
      this.#push(T.number, start, end, Long.fromInt(Number.parseInt(body, radix)));
    } else {
      const value = body.length > 80 ? undefined : BigInt(radix === 8 ? `0o${body}` : text.slice(start, end));
      if (value === undefined || value >> 64n !== 0n) {
        this.#push(T.bad, start, end, `'${clip(text.slice(start, end))}' does not fit in 64 bits`);
      } else {
        const low = Number(BigInt.asIntN(32, value));
        this.#push(T.number, start, end, Long.fromBits(low, Number(BigInt.asIntN(32, value >> 32n))));
      }
    }
    return end;
  }

  #string(text: string, start: number, end: number): number {
    const close = endOfString(text, start);
    if (close < 0 || close > end) {
      this.#push(T.bad, start, end, 'unterminated string');
      return end;
    }
    this.#push(T.string, start, close, text.slice(start, close));
    return close;
  }

  #character(text: string, start: number, end: number): number {
    const close = Math.min(endOfCharacter(text, start), end);
    const bytes = unescapeString(text.slice(start + 1, close).replace(/(?<=.)'$/su, ''));
    if (bytes.length !== 1) this.#push(T.bad, start, close, 'expected one character after the apostrophe');
    else this.#push(T.number, start, close, Long.fromInt(bytes[0]!));
    return close;
  }
}

/** `name` as a `.req` alias, with an arrangement where one follows (`acc.4s`). */
function aliased(name: string, alias: ReadonlyMap<string, RegisterName>): RegisterName | undefined {
  const lower = name.toLowerCase();
  const direct = alias.get(lower);
  if (direct !== undefined) return direct;
  const dot = lower.lastIndexOf('.');
  const vector = dot > 0 ? alias.get(lower.slice(0, dot)) : undefined;
  if (vector?.file !== 'v' || vector.arrangement !== undefined) return undefined;
  const whole = registerNamed(`v${vector.number}${lower.slice(dot)}`);
  return whole;
}

const ESCAPES: Readonly<Record<string, number>> = { b: 8, f: 12, n: 10, r: 13, t: 9, '"': 34, '\\': 92 };

/** The bytes that the inside of a string or character constant stands for (GNU as, "Strings"). */
export function unescapeString(body: string): Uint8Array {
  if (!body.includes('\\')) return new TextEncoder().encode(body);
  const out: number[] = [];
  const encoder = new TextEncoder();
  for (let at = 0; at < body.length; ) {
    const slash = body.indexOf('\\', at);
    const plain = body.slice(at, slash < 0 ? body.length : slash);
    for (const byte of encoder.encode(plain)) out.push(byte);
    if (slash < 0) break;
    const next = body[slash + 1] ?? '\\';
    const octal = /[0-7]{1,3}/y;
    octal.lastIndex = slash + 1;
    const digits = octal.exec(body)?.[0];
    const hexadecimal = /[xX]([\da-fA-F]+)/y;
    hexadecimal.lastIndex = slash + 1;
    const hex = hexadecimal.exec(body)?.[1];
    if (digits !== undefined) {
      out.push(Number.parseInt(digits, 8) & 0xff);
      at = slash + 1 + digits.length;
    } else if (hex !== undefined) {
      out.push(Number.parseInt(hex.slice(-2), 16));
      at = slash + 2 + hex.length;
    } else {
      const known = ESCAPES[next];
      if (known !== undefined) out.push(known);
      else
        for (const byte of encoder.encode(String.fromCodePoint(body.codePointAt(slash + 1) ?? 92)))
          out.push(byte);
      at = slash + 1 + ((body.codePointAt(slash + 1) ?? 0) > 0xffff ? 2 : 1);
    }
  }
  return Uint8Array.from(out);
}

function printable(text: string, at: number): string {
  const code = text.codePointAt(at)!;
  return code < 32 || code === 127 ? `\\x${code.toString(16).padStart(2, '0')}` : String.fromCodePoint(code);
}

export function clip(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
