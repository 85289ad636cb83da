/**
 * Escapes in strings and character literals, as dtc 1.6.1 reads them: the C letters, octal of one to
 * three digits (kept modulo 256), `\x` with one or two hexadecimal digits; any other character after a
 * backslash stands for itself.
 */

import type { Span } from '../../base/index.js';
import type { Lexer } from './lexer.js';
import { encodeSource } from './text.js';

const LETTERS: Readonly<Record<string, number>> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 };

/** The bytes that `text`, the inside of a literal at `span`, stands for. */
export function decodeEscapes(lexer: Lexer, text: string, span: Span): Uint8Array {
  if (!text.includes('\\')) return encodeSource(text);
  const pieces: Uint8Array[] = [];
  const single: number[] = [];
  let from = 0;
  const flush = (to: number) => {
    if (single.length > 0) pieces.push(Uint8Array.from(single.splice(0)));
    if (to > from) pieces.push(encodeSource(text.slice(from, to)));
  };
  for (let at = text.indexOf('\\'); at >= 0; at = text.indexOf('\\', from)) {
    flush(at);
    from = at + 2;
    const letter = text[at + 1] ?? '\\';
    if (letter >= '0' && letter <= '7') {
      const digits = /^[0-7]{1,3}/.exec(text.slice(at + 1, at + 4))![0];
      from = at + 1 + digits.length;
      single.push(Number.parseInt(digits, 8) & 0xff);
    } else if (letter === 'x') {
      const digits = /^[0-9a-fA-F]{1,2}/.exec(text.slice(at + 2, at + 4))?.[0];
      if (digits === undefined) {
        const place = { source: span.source, start: span.start + 1 + at, end: span.start + 3 + at };
        throw lexer.fatal(
          'DTS-ESCAPE',
          '\\x used with no following hex digits',
          place,
          'write \\\\x for a backslash and an x',
        );
      }
      from = at + 2 + digits.length;
      single.push(Number.parseInt(digits, 16));
    } else {
      const code = LETTERS[letter];
      if (code !== undefined) single.push(code);
      // The character itself, whole even if it is a surrogate pair, goes with the text that follows.
      else from = at + 1;
      if (code === undefined) {
        const width = text.codePointAt(at + 1)! > 0xffff ? 2 : 1;
        if (single.length > 0) pieces.push(Uint8Array.from(single.splice(0)));
        pieces.push(encodeSource(text.slice(at + 1, at + 1 + width)));
        from = at + 1 + width;
      }
    }
  }
  flush(text.length);
  if (pieces.length === 1) return pieces[0]!;
  const out = new Uint8Array(pieces.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}
