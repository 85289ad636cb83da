/**
 * Directives that store data: integers, strings, fills, files.
 */
import { InputError } from '../../base/index.js';
import type { Assembly } from '../assembly.js';
import { type AsmExpression, isValue, toBigInt } from '../expression.js';
import { parseExpressions, parseStrings } from '../grammar.js';
import type { Line } from '../source.js';
import { T, unescapeString } from '../tokens.js';
import {
  argumentsOf,
  badArgument,
  countedArguments,
  type Directive,
  type Handler,
  numberOr,
  restSpan,
  spanOf,
} from './directive.js';

/** The most bytes one directive may produce; more is a slip, not data. */
const MOST = 2 ** 50;

/** `.word 1, label, a - b`: one value each; `.` moves on from value to value. */
function integers(size: number): Handler {
  return (a, d) => {
    const parsed = parseExpressions(a.lex(d.line, d.rest));
    if ('message' in parsed) {
      a.syntax(parsed, d.line);
      return;
    }
    if (parsed.length > 0 && !a.writable(d.line, d.nameSpan)) return;
    for (const expression of parsed) storeValue(a, d.line, expression, size);
  };
}

export function storeValue(a: Assembly, line: Line, expression: AsmExpression, size: number): void {
  const bound = a.bind(expression, line);
  a.current.mark('d');
  const offset = a.reserve(size, line, expression.span);
  if (!bound) return;
  const value = a.value(expression);
  if (isValue(value) && value.base === undefined) {
    const number = toBigInt(value.value);
    warnTruncated(a, line, expression, number, size);
    a.current.put(offset, size, number);
  } else if (isValue(value) || value.why === 'not-yet' || value.why === 'mixed') {
    a.keepWaiting(line);
    a.fixups.push({ section: a.current, offset, size, expression, line, order: a.reporter.order });
  } else {
    a.complain(value, line, 'the value');
  }
}

function warnTruncated(
  a: Assembly,
  line: Line,
  expression: AsmExpression,
  value: bigint,
  size: number,
): void {
  if (size >= 8 || fits(value, size)) return;
  a.reporter.warn(
    'ASM-TRUNCATED',
    `${value} does not fit in ${size === 1 ? '1 byte' : `${size} bytes`} and is cut off`,
    expression.span,
    line,
  );
}

/** Whether `value` fits `size` bytes, signed or unsigned. */
export function fits(value: bigint, size: number): boolean {
  const bits = size * 8;
  return BigInt.asUintN(bits, value) === value || BigInt.asIntN(bits, value) === value;
}

/** 16-byte integers: the assembler's arithmetic has 64 bits, so the upper half is the sign. */
const octa: Handler = (a, d) => {
  if (!a.writable(d.line, d.nameSpan)) return;
  for (const argument of argumentsOf(d)) {
    a.current.mark('d');
    if (/^-?(0[xX][\da-fA-F]+|\d+)$/.test(argument.text) && argument.text.length < 80) {
      const negative = argument.text.startsWith('-');
      const magnitude = BigInt(negative ? argument.text.slice(1) : argument.text);
      const value = negative ? -magnitude : magnitude;
      if (!fits(value, 16)) {
        badArgument(a, d, 'the value does not fit in 16 bytes', spanOf(d, argument));
        continue;
      }
      const offset = a.reserve(16, d.line, spanOf(d, argument));
      a.current.put(offset, 16, BigInt.asUintN(128, value));
      continue;
    }
    const expression = a.expression(d.line, argument.start, argument.end);
    if (expression === undefined) continue;
    const value = a.absolute(expression, d.line, '.octa');
    if (value === undefined) continue;
    const offset = a.reserve(16, d.line, spanOf(d, argument));
    a.current.put(offset, 16, BigInt.asUintN(128, value));
  }
};

function strings(terminated: boolean): Handler {
  return (a, d) => {
    const line = a.lex(d.line, d.rest);
    const parsed = parseStrings(line);
    if ('message' in parsed) {
      a.syntax(parsed, d.line, 'a string stands between double quotes');
      return;
    }
    if (parsed.length > 0 && !a.writable(d.line, d.nameSpan)) return;
    let previous: number = T.comma;
    for (const at of parsed) {
      const kind = line.kinds[at]!;
      if (kind === previous && kind === T.comma) badArgument(a, d, 'expected a string', line.span(at));
      if (kind === T.string) {
        const bytes = unescapeString((line.values[at] as string).slice(1, -1));
        // Two strings with no comma between are one, with one terminator.
        const joined = line.kinds[at + 1] === T.string;
        storeBytes(a, d, bytes, terminated && !joined);
      }
      previous = kind;
    }
    if (parsed.length > 0 && previous === T.comma)
      badArgument(a, d, "expected a string after ','", restSpan(d));
  };
}

function storeBytes(a: Assembly, d: Directive, bytes: Uint8Array, terminated: boolean): void {
  a.current.mark('d');
  const offset = a.reserve(bytes.length + (terminated ? 1 : 0), d.line, restSpan(d));
  a.current.bytes.set(bytes, offset);
}

/** `.space SIZE{, FILL}`, `.zero`, `.skip`. */
const space: Handler = (a, d) => {
  const given = countedArguments(a, d, 1, 2, 'SIZE{, FILL}');
  if (given === undefined) return;
  const size = numberOr(a, d, given[0], 0, 'the size', 0, MOST);
  const fill = numberOr(a, d, given[1], 0, 'the fill value', -128, 255);
  if (size === undefined || fill === undefined || size === 0) return;
  if (fill !== 0 && !a.writable(d.line, d.nameSpan)) return;
  if (a.current.type !== 'nobits') a.current.mark('d');
  const at = a.reserve(size, d.line, restSpan(d));
  if (fill !== 0) a.current.bytes.fill(fill & 0xff, at, at + size);
};

/** `.fill REPEAT{, SIZE{, VALUE}}`: of sizes above 4 only the low four bytes hold the value. */
const fill: Handler = (a, d) => {
  const given = countedArguments(a, d, 1, 3, 'REPEAT{, SIZE{, VALUE}}');
  if (given === undefined) return;
  const repeat = numberOr(a, d, given[0], 0, 'the repeat count', -MOST, MOST);
  const size = numberOr(a, d, given[1], 1, 'the size of one value', 0, 8);
  if (repeat === undefined || size === undefined || !a.writable(d.line, d.nameSpan)) return;
  let value = 0n;
  if (given[2] !== undefined && given[2].text !== '') {
    const expression = a.expression(d.line, given[2].start, given[2].end);
    const number = expression && a.absolute(expression, d.line, 'the fill value');
    if (number === undefined) return;
    value = size > 4 ? BigInt.asUintN(32, number) : number;
  }
  if (repeat <= 0 || size === 0) return;
  a.current.mark('d');
  const at = a.reserve(repeat * size, d.line, restSpan(d));
  if (value === 0n) return;
  a.current.put(at, size, value);
  for (let done = size; done < repeat * size; done *= 2) {
    a.current.bytes.copyWithin(at + done, at, at + Math.min(done, repeat * size - done));
  }
};

const incbin: Handler = (a, d) => {
  const given = countedArguments(a, d, 1, 3, '"FILE"{, SKIP{, COUNT}}');
  if (given === undefined) return;
  const name = /^"((?:[^"\\]|\\.)*)"$/.exec(given[0]!.text)?.[1];
  if (name === undefined) {
    badArgument(a, d, 'expected the name of a file in double quotes', spanOf(d, given[0]!));
    return;
  }
  let bytes: Uint8Array;
  try {
    if (a.options.incbin === undefined) throw new InputError([]);
    bytes = a.options.incbin(name, d.line.source.name);
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    const reason = thrown.diagnostics[0]?.message ?? `cannot read ${name}`;
    a.reporter.error('ASM-INCLUDE', reason, spanOf(d, given[0]!), d.line);
    return;
  }
  const skip = numberOr(a, d, given[1], 0, 'the number of bytes to skip', 0, bytes.length);
  if (skip === undefined) return;
  const count = numberOr(a, d, given[2], bytes.length - skip, 'the number of bytes', 0, bytes.length - skip);
  if (count === undefined || !a.writable(d.line, d.nameSpan)) return;
  a.current.mark('d');
  const at = a.reserve(count, d.line, restSpan(d));
  a.current.bytes.set(bytes.subarray(skip, skip + count), at);
};

/** `.uleb128`, `.sleb128`: the value must be known, since the length depends on it. */
function leb128(signed: boolean): Handler {
  return (a, d) => {
    if (!a.writable(d.line, d.nameSpan)) return;
    for (const argument of argumentsOf(d)) {
      const expression = a.expression(d.line, argument.start, argument.end);
      const value = expression && a.absolute(expression, d.line, d.name);
      if (value === undefined) continue;
      const bytes: number[] = [];
      let rest = signed ? value : BigInt.asUintN(64, value);
      for (;;) {
        const low = Number(rest & 0x7fn);
        rest >>= 7n;
        const last = signed ? rest === ((low & 0x40) === 0 ? 0n : -1n) : rest === 0n;
        bytes.push(last ? low : low | 0x80);
        if (last) break;
      }
      storeBytes(a, d, Uint8Array.from(bytes), false);
    }
  };
}

function floats(size: 4 | 8): Handler {
  return (a, d) => {
    if (!a.writable(d.line, d.nameSpan)) return;
    for (const argument of argumentsOf(d)) {
      const text = argument.text.replace(/^([+-]?)0[fFdDeE](?=[\d.+-])/, '$1');
      const named = /^([+-]?)(inf|infinity|nan)$/i.exec(text);
      const value =
        named === null
          ? /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text)
            ? Number(text)
            : undefined
          : (named[1] === '-' ? -1 : 1) *
            (named[2]!.toLowerCase() === 'nan' ? Number.NaN : Number.POSITIVE_INFINITY);
      if (value === undefined) {
        badArgument(a, d, 'expected a floating-point number', spanOf(d, argument));
        continue;
      }
      const view = new DataView(new ArrayBuffer(size));
      if (size === 4) view.setFloat32(0, value, true);
      else view.setFloat64(0, value, true);
      storeBytes(a, d, new Uint8Array(view.buffer), false);
    }
  };
}

/** `.inst 0xd503201f`: instruction words by number. */
const inst: Handler = (a, d) => {
  const given = argumentsOf(d);
  if (given.length === 0) badArgument(a, d, '.inst needs at least one argument', d.nameSpan);
  if (!a.writable(d.line, d.nameSpan)) return;
  for (const argument of given) {
    const word = a.number(d.line, argument.start, argument.end, 'the instruction word', 0, 0xffffffff);
    if (word === undefined) continue;
    if (a.current.flags.execute) a.align(4, d.line, d.nameSpan);
    a.current.mark('x');
    const at = a.reserve(4, d.line, d.nameSpan);
    a.current.putWord(at, word);
    if (a.current.flags.execute) a.lines.record(a.current, at, d.line);
  }
};

export const DATA: Readonly<Record<string, Handler>> = {
  '.byte': integers(1),
  '.2byte': integers(2),
  '.hword': integers(2),
  '.short': integers(2),
  '.4byte': integers(4),
  '.int': integers(4),
  '.long': integers(4),
  '.word': integers(4),
  '.8byte': integers(8),
  '.quad': integers(8),
  '.xword': integers(8),
  '.dword': integers(8),
  '.octa': octa,
  '.ascii': strings(false),
  '.asciz': strings(true),
  '.string': strings(true),
  '.space': space,
  '.skip': space,
  '.zero': space,
  '.fill': fill,
  '.incbin': incbin,
  '.uleb128': leb128(false),
  '.sleb128': leb128(true),
  '.float': floats(4),
  '.single': floats(4),
  '.double': floats(8),
  '.inst': inst,
};
