/**
 * Directives that say where things go: sections, alignment, `.org`, literal pools.
 */
import type { Assembly } from '../assembly.js';
import { isValue, toBigInt } from '../expression.js';
import { rawArguments } from '../heads.js';
import { impliedFlags, type SectionFlags, type SectionType } from '../section.js';
import type { Line } from '../source.js';
import { storeValue } from './data.js';
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

function named(name: string): Handler {
  return (a, d) => {
    if (argumentsOf(d).length > 0) unsupportedSubsection(a, d);
    else a.enter(a.section(name));
  };
}

function unsupportedSubsection(a: Assembly, d: Directive): void {
  a.reporter.error('ASM-UNSUPPORTED', 'numbered subsections are not implemented', restSpan(d), d.line, {
    help: 'use a section of its own: .section .text.NAME, "ax"',
  });
}

const TYPES: ReadonlyMap<string, SectionType> = new Map(
  Object.entries({
    progbits: 'progbits',
    nobits: 'nobits',
    note: 'note',
    init_array: 'init_array',
    fini_array: 'fini_array',
    preinit_array: 'preinit_array',
    '0x6fff4c00': 'progbits',
  } as const),
);

const section: Handler = (a, d) => openSection(a, d, d.rest);

function openSection(a: Assembly, d: Directive, rest: number): void {
  const given = rawArguments(d.line.text, rest, d.line.end);
  const [nameArgument, flagsArgument, typeArgument, sizeArgument] = given;
  const name = nameArgument?.text.replace(/^"(.*)"$/, '$1') ?? '';
  if (nameArgument === undefined || name === '' || /[\s"]/.test(name)) {
    badArgument(a, d, `${d.name} needs the name of a section`, restSpan(d));
    return;
  }
  if (flagsArgument !== undefined && /^#/.test(flagsArgument.text)) {
    badArgument(a, d, 'expected section flags in double quotes', spanOf(d, flagsArgument));
    return;
  }
  const implied = impliedFlags(name);
  let flags: SectionFlags | undefined;
  let type: SectionType | undefined;
  let entrySize = 0;
  if (flagsArgument !== undefined) {
    const letters = /^"([^"]*)"$/.exec(flagsArgument.text)?.[1];
    if (letters === undefined) {
      const numeric = /^\d+$/.test(flagsArgument.text);
      if (numeric) unsupportedSubsection(a, d);
      else
        badArgument(
          a,
          d,
          'expected section flags in double quotes',
          spanOf(d, flagsArgument),
          'such as "ax" or "aw"',
        );
      return;
    }
    const wrong = /[^awxMSGTeRo?\d]/.exec(letters);
    if (wrong !== null) {
      const start = flagsArgument.start + 1 + wrong.index;
      badArgument(
        a,
        d,
        `unknown section flag '${wrong[0]}'`,
        spanOf(d, { start, end: start + 1 }),
        'the flags are a, w, x, M, S, T, G, R, o and e',
      );
      return;
    }
    const has = (letter: string) => letters.includes(letter);
    flags = {
      alloc: has('a') || implied.flags.alloc,
      write: has('w') || implied.flags.write,
      execute: has('x') || implied.flags.execute,
      tls: has('T') || implied.flags.tls,
      merge: has('M'),
      strings: has('S'),
    };
    type = implied.type;
    if (typeArgument !== undefined) {
      const word = /^[@%]([\w]+)$/.exec(typeArgument.text)?.[1] ?? '';
      type = TYPES.get(word);
      if (type === undefined) {
        badArgument(
          a,
          d,
          `unknown section type '${typeArgument.text}'`,
          spanOf(d, typeArgument),
          'write @progbits, @nobits or @note',
        );
        return;
      }
    }
    if (has('M')) {
      const size = numberOr(a, d, sizeArgument, 0, 'the entry size', 0, 65536);
      if (size === undefined) return;
      if (size === 0) {
        badArgument(
          a,
          d,
          'a mergeable section needs its entry size',
          restSpan(d),
          'as in .section .rodata.str, "aMS", @progbits, 1',
        );
        return;
      }
      entrySize = size;
    }
  }
  const before = a.sections.get(name);
  if (before !== undefined && flags !== undefined && !sameFlags(before.flags, flags)) {
    // GNU as keeps the first flags too, silently for the standard sections.
    const standard = name === '.text' || name === '.data' || name === '.bss';
    if (!standard) {
      a.reporter.warn(
        'ASM-SECTION',
        `section ${name} keeps the flags it was first given`,
        restSpan(d),
        d.line,
      );
    }
  }
  a.enter(a.section(name, flags, type, entrySize));
}

function sameFlags(x: SectionFlags, y: SectionFlags): boolean {
  return x.alloc === y.alloc && x.write === y.write && x.execute === y.execute && x.tls === y.tls;
}

const pushSection: Handler = (a, d) => {
  if (a.sectionStack.length >= 1000) {
    a.reporter.fatal('ASM-LIMIT', 'sections are pushed more than 1000 deep', d.nameSpan, d.line);
  }
  a.sectionStack.push({ current: a.current, previous: a.previous });
  openSection(a, d, d.rest);
};

const popSection: Handler = (a, d) => {
  const top = a.sectionStack.pop();
  if (top === undefined) {
    a.reporter.error('ASM-SECTION', '.popsection without a .pushsection', d.nameSpan, d.line);
    return;
  }
  a.current = top.current;
  a.previous = top.previous;
};

const previousSection: Handler = (a, d) => {
  if (a.previous === undefined) {
    a.reporter.error('ASM-SECTION', '.previous before any change of section', d.nameSpan, d.line);
    return;
  }
  a.enter(a.previous);
};

const MAX_ALIGNMENT = 2 ** 31;

/** `.align`/`.p2align` (a power) and `.balign` (bytes), each with a fill and a most. */
function alignment(power: boolean, fillSize: 1 | 2 | 4): Handler {
  return (a, d) => {
    const given = countedArguments(a, d, 0, 3, power ? 'POWER{, FILL{, MOST}}' : 'BYTES{, FILL{, MOST}}');
    if (given === undefined) return;
    const amount = power
      ? numberOr(a, d, given[0], 0, 'the power of two', 0, 31)
      : numberOr(a, d, given[0], 1, 'the alignment', 0, MAX_ALIGNMENT);
    if (amount === undefined) return;
    const bytes = power ? 2 ** amount : Math.max(1, amount);
    if (!Number.isInteger(Math.log2(bytes))) {
      badArgument(
        a,
        d,
        `alignment ${bytes} is not a power of two`,
        spanOf(d, given[0]!),
        `the next is ${2 ** Math.ceil(Math.log2(bytes))}`,
      );
      return;
    }
    const most = numberOr(a, d, given[2], MAX_ALIGNMENT, 'the most bytes to skip', 0, MAX_ALIGNMENT);
    const hasFill = given[1] !== undefined && given[1].text !== '';
    const fill = numberOr(
      a,
      d,
      given[1],
      0,
      'the fill value',
      -(2 ** (8 * fillSize - 1)),
      2 ** (8 * fillSize) - 1,
    );
    if (most === undefined || fill === undefined) return;
    const padding = (bytes - (a.current.size % bytes)) % bytes;
    if (padding > most) return;
    if (hasFill && padding % fillSize !== 0) {
      badArgument(a, d, `the padding of ${padding} bytes is no multiple of ${fillSize}`, restSpan(d));
      return;
    }
    const pattern = (target: Uint8Array) => {
      const start = target.length % fillSize;
      for (let i = start; i < target.length; i++) target[i] = (fill >> (8 * ((i - start) % fillSize))) & 0xff;
    };
    a.align(bytes, d.line, restSpan(d), hasFill ? pattern : undefined);
  };
}

/** `.org OFFSET{, FILL}`: forward inside the section. */
const org: Handler = (a, d) => {
  const given = countedArguments(a, d, 1, 2, 'OFFSET{, FILL}');
  if (given === undefined) return;
  const expression = a.expression(d.line, given[0]!.start, given[0]!.end);
  const fill = numberOr(a, d, given[1], 0, 'the fill value', -128, 255);
  if (expression === undefined || fill === undefined) return;
  const value = a.value(expression);
  if (!isValue(value)) {
    a.complain(value, d.line, '.org');
    return;
  }
  if (value.base !== undefined && value.base !== a.current) {
    badArgument(a, d, `.org cannot move to another section (${value.base.name})`, expression.span);
    return;
  }
  const target = toBigInt(value.value);
  if (target < BigInt(a.current.size)) {
    a.reporter.error(
      'ASM-ORG',
      `.org cannot move back: offset ${target} is behind ${a.current.size}`,
      expression.span,
      d.line,
    );
    return;
  }
  const padding = Number(target - BigInt(a.current.size));
  if (padding === 0) return;
  if (a.current.type !== 'nobits') a.current.mark('d');
  const at = a.reserve(padding, d.line, expression.span);
  if (fill !== 0 && a.writable(d.line, d.nameSpan)) a.current.bytes.fill(fill & 0xff, at, at + padding);
};

const ltorg: Handler = (a, d) => dumpPool(a, d.line);

/** Stores the current section's literals and defines their labels. */
export function dumpPool(a: Assembly, line: Line): void {
  for (const entry of a.current.pool.take()) {
    const { order } = a.reporter;
    a.reporter.order = entry.order;
    const { span } = entry.value;
    a.align(entry.size, line, span, () => {});
    entry.label.definition = a.here();
    if (entry.size === 16) {
      const high = a.current.size + 8;
      storeValue(a, entry.line, entry.value, 8);
      a.reserve(8, entry.line, span);
      const negative = (a.current.bytes[high - 1]! & 0x80) !== 0;
      if (negative) a.current.bytes.fill(0xff, high, high + 8);
    } else {
      storeValue(a, entry.line, entry.value, entry.size);
    }
    a.reporter.order = order;
  }
}

export const LAYOUT: Readonly<Record<string, Handler>> = {
  '.text': named('.text'),
  '.data': named('.data'),
  '.bss': named('.bss'),
  '.rodata': named('.rodata'),
  '.section': section,
  '.pushsection': pushSection,
  '.popsection': popSection,
  '.previous': previousSection,
  '.align': alignment(true, 1),
  '.p2align': alignment(true, 1),
  '.p2alignw': alignment(true, 2),
  '.p2alignl': alignment(true, 4),
  '.balign': alignment(false, 1),
  '.balignw': alignment(false, 2),
  '.balignl': alignment(false, 4),
  '.even': (a, d) => a.align(2, d.line, d.nameSpan),
  '.org': org,
  '.ltorg': ltorg,
  '.pool': ltorg,
};
