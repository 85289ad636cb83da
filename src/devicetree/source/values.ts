/**
 * Property values and expressions: an arcsecond grammar over tokens.
 *
 * The grammar of dtc 1.6.1's `propdata`, each piece acting when it is complete, in dtc's order:
 * range errors are listed as they are found and the first syntax error ends the statement. Values are
 * collected in a `ValueBuilder`; references leave 0xffffffff (in cells) or nothing (as strings) and a
 * marker that is filled in when the whole tree is known.
 */

import { choice, possibly, sequenceOf } from 'arcsecond';
import { InputError } from '../../base/index.js';
import {
  BINARY_OPERATORS,
  Calculator,
  CLOSE,
  COLON,
  OPEN,
  QUESTION,
  UNARY_OPERATORS,
  type Value,
} from './calculator.js';
import { Kind, type Lexer, spanBetween, spanOf, type Token } from './lexer.js';
import type { Marker } from './live.js';
import { check, repeat, type TokenParser, token, when } from './stream.js';

/** Gives the bytes of an `/incbin/`, or undefined where there is no such file. */
export type BinaryLoader = (path: string, fromFile: string) => Uint8Array | undefined;

const NO_BYTES = new Uint8Array(0);

export class ValueBuilder {
  #bytes = NO_BYTES;
  #length = 0;
  markers: Marker[] = [];

  get length(): number {
    return this.#length;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length, 16));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }

  bytes(value: Uint8Array): this {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  /** The low `bits` of `value`, big-endian. */
  number(value: bigint, bits: number): this {
    this.#reserve(8);
    if (bits === 64) {
      this.number(value >> 32n, 32);
      return this.number(value, 32);
    }
    const low = Number(BigInt.asUintN(32, value));
    for (let shift = bits - 8; shift >= 0; shift -= 8) this.#bytes[this.#length++] = low >>> shift;
    return this;
  }

  mark(kind: Marker['kind'], ref: string, at: Token): this {
    this.markers.push({ kind, offset: this.#length, ref, span: spanOf(at) });
    return this;
  }

  /** The value, and a fresh start. */
  finish(): { value: Uint8Array; markers: Marker[] } {
    const value = this.#length === 0 ? NO_BYTES : this.#bytes.slice(0, this.#length);
    const markers = this.markers;
    this.#length = 0;
    this.markers = [];
    return { value, markers };
  }
}

const code = (c: string) => c.charCodeAt(0);

export interface ValueGrammar {
  /** What stands between `=` and `;`. */
  readonly propertyValue: TokenParser<unknown>;
  /** A literal or a parenthesised expression. */
  readonly integer: TokenParser<Value>;
  readonly builder: ValueBuilder;
  readonly calculator: Calculator;
}

export function valueGrammar(lexer: Lexer, loadBinary: BinaryLoader | undefined): ValueGrammar {
  const builder = new ValueBuilder();
  const calculator = new Calculator(lexer);

  const operand = sequenceOf([
    repeat(token(OPEN, ...UNARY_OPERATORS).map((t) => calculator.prefix(t))),
    token(Kind.LITERAL, Kind.CHARACTER).map((t) => calculator.operand(t)),
    repeat(
      when(
        () => calculator.canClose,
        token(CLOSE).map((t) => calculator.close(t)),
      ),
    ),
  ]);
  const operator = choice([
    when(() => calculator.isOpen, token(...BINARY_OPERATORS, QUESTION)),
    when(() => calculator.canColon, token(COLON)),
  ]).map((t) => calculator.infix(t));
  const expression: TokenParser<Value> = sequenceOf([
    token(OPEN).map((t) => calculator.prefix(t)),
    operand,
    repeat(sequenceOf([operator, operand])),
    check(() => !calculator.isOpen),
  ]).map(() => calculator.result());
  const literal: TokenParser<Value> = token(Kind.LITERAL, Kind.CHARACTER).map((t) => ({
    value: t.value,
    first: t,
    last: t,
  }));
  const integer: TokenParser<Value> = choice([literal, expression]);

  /** The width of the elements of the array being read. */
  let bits = 32;
  const setBits = (width: number) => {
    bits = width;
    return bits;
  };
  const element = (v: Value): ValueBuilder => {
    const above = v.value >> BigInt(bits);
    // All ones above means a negative number that fits.
    if (bits < 64 && above !== 0n && above !== (1n << BigInt(64 - bits)) - 1n) {
      lexer.error(
        'DTS-RANGE',
        `Value out of range for ${bits}-bit array element`,
        spanBetween(v.first, v.last),
        bits === 32 ? 'write a 64-bit number as two cells, or use /bits/ 64' : 'use a wider /bits/',
      );
    }
    return builder.number(v.value, bits);
  };
  const reference = (t: Token): ValueBuilder => {
    if (bits === 32) builder.mark('phandle', t.text, t);
    else {
      lexer.error(
        'DTS-REFERENCE',
        'References are only allowed in arrays with 32-bit elements.',
        spanOf(t),
        'a phandle is one 32-bit cell',
      );
    }
    return builder.number((1n << 64n) - 1n, bits);
  };
  const label = token(Kind.LABEL).map((t) => builder.mark('label', t.text, t));

  const arrayStart = choice([
    token(code('<')).map(() => setBits(32)),
    sequenceOf([token(Kind.BITS), token(Kind.LITERAL), token(code('<'))]).map(([, width]) => {
      const asked = Number(width.value);
      if (asked === 8 || asked === 16 || asked === 32 || asked === 64) return setBits(asked);
      lexer.error('DTS-BITS', 'Array elements must be 8, 16, 32 or 64-bits', spanOf(width));
      return setBits(32);
    }),
  ]);
  const array = sequenceOf([
    arrayStart,
    repeat(
      choice([
        literal.map(element),
        token(Kind.LABEL_REF, Kind.PATH_REF).map(reference),
        expression.map(element),
        label,
      ]),
    ),
    token(code('>')),
  ]);
  const byteString = sequenceOf([
    token(code('[')),
    repeat(choice([token(Kind.BYTE).map((t) => builder.number(t.value, 8)), label])),
    token(code(']')),
  ]);
  const string = token(Kind.STRING).map((t) => {
    return builder.bytes(t.bytes).number(0n, 8);
  });
  const path = token(Kind.LABEL_REF, Kind.PATH_REF).map((t) => builder.mark('path', t.text, t));
  const binary = sequenceOf([
    token(Kind.INCBIN),
    token(OPEN),
    token(Kind.STRING),
    possibly(sequenceOf([token(code(',')), integer, token(code(',')), integer])),
    token(CLOSE),
  ]).map(([, , name, range]) => {
    const file = binaryFile(lexer, loadBinary, name);
    if (range === null) return builder.bytes(file);
    const [, offset, , size] = range;
    if (offset.value >= 1n << 63n) {
      const span = spanBetween(offset.first, offset.last);
      throw lexer.fatal('DTS-INCBIN', `Couldn't seek to offset ${offset.value}`, span);
    }
    const from = Number(offset.value);
    return builder.bytes(file.subarray(from, from + Number(size.value)));
  });
  const item = choice([array, string, byteString, path, binary]);
  const labelled = sequenceOf([repeat(label), item, repeat(label)]);
  const propertyValue = sequenceOf([labelled, repeat(sequenceOf([token(code(',')), labelled]))]);
  return { propertyValue, integer, builder, calculator };
}

function binaryFile(lexer: Lexer, load: BinaryLoader | undefined, name: Token): Uint8Array {
  const nul = name.bytes.indexOf(0);
  const path = new TextDecoder().decode(nul < 0 ? name.bytes : name.bytes.subarray(0, nul));
  const help = 'paths are relative to the file that has the /incbin/';
  try {
    const bytes = load?.(path, lexer.currentFile);
    if (bytes !== undefined) return bytes;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
  }
  throw lexer.fatal('DTS-INCBIN', `Couldn't open "${path}"`, spanOf(name), help);
}
