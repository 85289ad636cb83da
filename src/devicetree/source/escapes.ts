/**
 * Escapes in strings and character literals, as dtc 1.6.1 reads them: the C letters, octal of one to
 * three digits (kept modulo 256), `\x` with one or two hexadecimal digits; any other character after a
 * backslash stands for itself.
 */

import type { Span } from '../../base/index.js';
import { concatenate } from '../bytes.js';
import type { Lexer } from './lexer.js';
import { encodeSource } from './text.js';

const LETTERS: Readonly<Record<string, number>> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 };

/** The bytes that `text`, the inside of a literal at `span`, stands for. */
export function decodeEscapes(lexer: Lexer, text: string, span: Span): Uint8Array {
  if (!text.includes('\\')) return encodeSource(text);
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (let at = text.indexOf('\\'); at >= 0; at = text.indexOf('\\', from)) {
    if (at > from) pieces.push(encodeSource(text.slice(from, at)));
    const letter = text[at + 1] ?? '\\';
    if (letter >= '0' && letter <= '7') {
      const digits = /^[0-7]{1,3}/.exec(text.slice(at + 1, at + 4))![0];
      pieces.push(Uint8Array.of(Number.parseInt(digits, 8)));
      from = at + 1 + digits.length;
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
      pieces.push(Uint8Array.of(Number.parseInt(digits, 16)));
      from = at + 2 + digits.length;
    } else {
      // The character itself, whole even where it is a surrogate pair.
      const width = (text.codePointAt(at + 1) ?? 0) > 0xffff ? 2 : 1;
      const code = LETTERS[letter];
      pieces.push(
        code === undefined ? encodeSource(text.slice(at + 1, at + 1 + width)) : Uint8Array.of(code),
      );
      from = at + 1 + width;
    }
  }
  if (from < text.length) pieces.push(encodeSource(text.slice(from)));
  return concatenate(pieces);
}
