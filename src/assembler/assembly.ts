/**
 * The state of one assembly, and what every directive needs of it: the current section, symbols,
 * expressions and their values, storage.
 *
 * Taking a file in is one pass: every statement's size is known when it is read (an instruction is
 * four bytes; `.space`, `.org`, `.if` want values known so far), so every label has its offset at
 * once. What refers to a symbol without a value yet is noted and patched when all addresses are known.
 */
import Long from 'long';
import { type Span, suggest } from '../base/index.js';
import type { Conditional } from './conditionals.js';
import {
  type AsmExpression,
  evaluate,
  fromBigInt,
  isValue,
  type NameOp,
  type NoValue,
  toBigInt,
  type Value,
} from './expression.js';
import { parseExpression, type SyntaxProblem } from './grammar.js';
import { Input } from './input.js';
import type { DeferredInstruction } from './instructions.js';
import { LineTable } from './lines.js';
import type { Macro } from './macros.js';
import { type RegisterName, registerHelp } from './registers.js';
import { lineSpan, Reporter, where } from './report.js';
import { impliedFlags, Section, type SectionFlags, type SectionType } from './section.js';
import type { Line } from './source.js';
import { type AsmSymbol, type Definition, SymbolTable } from './symbols.js';
import { TokenLine } from './tokens.js';

export interface AssembleOptions {
  /** Gives the file that `.include "path"` names; throws InputError where it cannot be read. */
  readonly include?: (path: string, from: string) => { readonly name: string; readonly text: string };
  /** Gives the bytes that `.incbin "path"` names. */
  readonly incbin?: (path: string, from: string) => Uint8Array;
  /** Address of the first section; default 0x400000 and room for ELF headers. */
  readonly textBase?: bigint;
  /** The entry symbol; default `_start`. */
  readonly entry?: string;
  /**
   * `static` (default): writable sections on pages of their own, as `ld` lays out an executable.
   * `flat`: sections one behind the other, for images that are loaded as they are.
   */
  readonly layout?: 'static' | 'flat';
  /** Addresses of sections by name, instead of the layout's. */
  readonly sectionAddresses?: ReadonlyMap<string, bigint>;
  /** Symbols defined before the first line, as `--defsym`. */
  readonly define?: Readonly<Record<string, bigint>>;
}

/** Contents of all sections together, bytes. */
export const MAX_CONTENTS = 128 * 1024 * 1024;
/** A section without contents, bytes. */
export const MAX_NOBITS = 64 * 1024 * 1024 * 1024;
/** Instructions and data out of macros and repetitions that wait for a symbol: they are kept in memory. */
const MAX_WAITING = 400_000;
/** Symbols defined by symbols defined by symbols ... */
const MAX_CHAIN = 400;

/** Data that waits for a symbol. */
export interface Fixup {
  readonly section: Section;
  readonly offset: number;
  readonly size: number;
  readonly expression: AsmExpression;
  readonly line: Line;
  readonly order: number;
}

export class Assembly {
  readonly options: AssembleOptions;
  readonly reporter = new Reporter();
  readonly symbols = new SymbolTable();
  readonly input: Input;
  readonly sections = new Map<string, Section>();
  current: Section;
  previous: Section | undefined;
  readonly sectionStack: { readonly current: Section; readonly previous: Section | undefined }[] = [];
  readonly macros = new Map<string, Macro>();
  macroCalls = 0;
  /** `.req` names. */
  readonly aliases = new Map<string, RegisterName>();
  readonly conditionals: Conditional[] = [];
  readonly fixups: Fixup[] = [];
  readonly deferred: DeferredInstruction[] = [];
  #waiting = 0;
  readonly tokens = new TokenLine();
  readonly lines = new LineTable();
  ended = false;
  #contents = 0;
  #final = false;
  #chain = 0;
  readonly #undefined = new Set<string>();

  constructor(options: AssembleOptions) {
    this.options = options;
    this.input = new Input(this.reporter);
    this.current = this.section('.text');
    this.section('.data');
    this.section('.bss');
  }

  // ---- sections ------------------------------------------------------------------------------------

  /** The section `name`, made with these flags (or those its name implies) if it is new. */
  section(name: string, flags?: SectionFlags, type?: SectionType, entrySize = 0): Section {
    let section = this.sections.get(name);
    if (section === undefined) {
      const implied = impliedFlags(name);
      section = new Section(name, flags ?? implied.flags, type ?? implied.type, entrySize);
      this.sections.set(name, section);
    }
    return section;
  }

  enter(section: Section): void {
    this.previous = this.current;
    this.current = section;
  }

  /** Room for `count` zero bytes; gives their offset. Ends the assembly where that is too much. */
  reserve(count: number, line: Line, span: Span): number {
    const { current } = this;
    if (current.type === 'nobits') {
      if (current.size + count > MAX_NOBITS) {
        this.reporter.fatal('ASM-LIMIT', `section ${current.name} would exceed 64 GiB`, span, line);
      }
    } else {
      this.#contents += count;
      if (this.#contents > MAX_CONTENTS) {
        this.reporter.fatal('ASM-LIMIT', 'the sections would hold more than 128 MiB', span, line);
      }
    }
    return current.reserve(count);
  }

  /** Says so, and gives false, where the current section has no contents to write to. */
  writable(line: Line, span: Span): boolean {
    if (this.current.type !== 'nobits') return true;
    this.reporter.error('ASM-SECTION', `section ${this.current.name} holds no contents`, span, line, {
      help: 'only .space, .zero, .skip and alignment may stand here; or go back with .text or .data',
    });
    return false;
  }

  /** Pads to a multiple of `alignment` with zeros, in code with NOPs. */
  align(alignment: number, line: Line, span: Span, fill?: (bytes: Uint8Array) => void): void {
    const { current } = this;
    current.alignment = Math.max(current.alignment, alignment);
    const padding = (alignment - (current.size % alignment)) % alignment;
    if (padding === 0) return;
    const code = fill === undefined && current.flags.execute && current.type !== 'nobits';
    // Up to a word boundary the padding is zeros, and no code.
    const zeros = code ? padding % 4 : padding;
    if (current.type !== 'nobits' && zeros > 0) current.mark('d');
    const at = this.reserve(zeros, line, span);
    if (fill !== undefined && current.type !== 'nobits') fill(current.bytes.subarray(at, at + padding));
    if (!code || padding === zeros) return;
    current.mark('x');
    const from = this.reserve(padding - zeros, line, span);
    for (let word = from; word < current.size; word += 4) current.putWord(word, NOP);
  }

  /** Counts what an expansion leaves to be filled in later; ends the assembly where it is too much. */
  keepWaiting(line: Line): void {
    if (line.expansion === undefined || ++this.#waiting <= MAX_WAITING) return;
    const { site } = line.expansion;
    const message = `macros and repetitions produce more than ${MAX_WAITING} references to later symbols`;
    this.reporter.fatal('ASM-LIMIT', message, lineSpan(site), site);
  }

  // ---- symbols -------------------------------------------------------------------------------------

  /** Defines `symbol`; a second definition is reported with the place of the first. */
  define(symbol: AsmSymbol, definition: Definition, span: Span, line: Line, variable = false): void {
    if (symbol.definition !== undefined && !(variable && symbol.variable)) {
      const notes =
        symbol.definedAt === undefined
          ? []
          : [`'${symbol.name}' is first defined at ${where(symbol.definedAt)}`];
      this.reporter.error('ASM-DUPLICATE-SYMBOL', `'${symbol.name}' is already defined`, span, line, {
        notes,
        help: variable
          ? 'only a symbol made by .set or = can be set again'
          : 'a numeric label (1:) may be repeated',
      });
      return;
    }
    symbol.definition = definition;
    symbol.definedAt = span;
    symbol.variable = variable;
  }

  here(): Definition {
    return { kind: 'label', section: this.current, offset: this.current.size };
  }

  // ---- expressions ---------------------------------------------------------------------------------

  lex(line: Line, start: number, end = line.end): TokenLine {
    this.tokens.lex(line.source, line.text, start, end, this.aliases);
    return this.tokens;
  }

  syntax(problem: SyntaxProblem, line: Line, help?: string): void {
    this.reporter.error('ASM-SYNTAX', problem.message, problem.span, line, { help });
  }

  /** One expression, bound; undefined (reported) where there is none. */
  expression(line: Line, start: number, end: number): AsmExpression | undefined {
    const parsed = parseExpression(this.lex(line, start, end));
    if ('message' in parsed) {
      this.syntax(parsed, line);
      return undefined;
    }
    return this.bind(parsed, line) ? parsed : undefined;
  }

  /** Ties the names of an expression to what they mean at this place. */
  bind(expression: AsmExpression, line: Line): boolean {
    let fine = true;
    for (const op of expression.ops) {
      if (op.op !== 'name' || op.reference !== undefined) continue;
      if (op.name === '.') op.reference = { kind: 'definition', definition: this.here() };
      else if (/^\d/.test(op.name)) {
        const symbol = this.symbols.numeric(op.name, op.span);
        if (symbol === undefined) {
          this.reporter.error(
            'ASM-UNDEFINED-SYMBOL',
            `no label '${op.name.slice(0, -1)}:' before this`,
            op.span,
            line,
            {
              help: `for a label that follows write ${op.name.slice(0, -1)}f`,
            },
          );
          fine = false;
        } else op.reference = { kind: 'symbol', symbol };
      } else {
        const symbol = this.symbols.get(op.name);
        op.reference =
          symbol.variable && symbol.definition !== undefined
            ? { kind: 'definition', definition: symbol.definition }
            : { kind: 'symbol', symbol };
      }
    }
    return fine;
  }

  /** The value as far as it is known now: after `finish` everything, before it relative to sections. */
  value(expression: AsmExpression): Value | NoValue {
    return evaluate(expression, this.#resolve);
  }

  /** From here on sections have addresses. */
  finalise(): void {
    this.#final = true;
  }

  readonly #resolve = (op: NameOp): Value | NoValue => {
    const { reference } = op;
    if (reference === undefined) return { why: 'undefined', name: op.name, span: op.span };
    if (reference.kind === 'definition') return this.#definitionValue(reference.definition, op);
    const { symbol } = reference;
    if (symbol.definition === undefined) {
      if (this.#final && symbol.binding === 'weak') return { base: undefined, value: Long.ZERO };
      return { why: this.#final ? 'undefined' : 'not-yet', name: symbol.name, span: op.span };
    }
    return this.#definitionValue(symbol.definition, op);
  };

  #definitionValue(definition: Definition, op: NameOp): Value | NoValue {
    if (definition.kind === 'label')
      return this.#place(definition.section, Long.fromNumber(definition.offset));
    if (definition.kind === 'value') return this.#place(definition.base, definition.value);
    const known = this.#final ? definition.final : definition.layout;
    if (known !== undefined) return known;
    if (this.#chain >= MAX_CHAIN) return { why: 'depth', name: op.name, span: op.span };
    this.#chain++;
    const value = this.value(definition.expression);
    this.#chain--;
    if (isValue(value)) {
      if (this.#final) definition.final = value;
      else definition.layout = value;
      return value;
    }
    return value.why === 'depth' ? { ...value, span: op.span } : value;
  }

  #place(base: Section | undefined, value: Long): Value {
    if (base === undefined || !this.#final) return { base, value };
    return { base: undefined, value: value.add(fromBigInt(base.address)) };
  }

  /** A value that must be a plain number now; undefined (reported) where it is not. */
  absolute(expression: AsmExpression, line: Line, what: string): bigint | undefined {
    const value = this.value(expression);
    if (isValue(value) && value.base === undefined) return toBigInt(value.value);
    this.complain(isValue(value) ? { why: 'mixed', span: expression.span } : value, line, what);
    return undefined;
  }

  /** A number between `low` and `high` from the text `start`..`end`. */
  number(
    line: Line,
    start: number,
    end: number,
    what: string,
    low: number,
    high: number,
  ): number | undefined {
    const expression = this.expression(line, start, end);
    if (expression === undefined) return undefined;
    const value = this.absolute(expression, line, what);
    if (value === undefined) return undefined;
    if (value < BigInt(low) || value > BigInt(high)) {
      this.reporter.error(
        'ASM-DIRECTIVE-ARGUMENT',
        `${what} ${value} is out of range ${low} to ${high}`,
        expression.span,
        line,
      );
      return undefined;
    }
    return Number(value);
  }

  /** Reports why an expression has no value. */
  complain(problem: NoValue, line: Line, what: string): void {
    const { reporter } = this;
    switch (problem.why) {
      case 'undefined':
        this.#complainUndefined(problem.name ?? '', problem.span, line);
        break;
      case 'not-yet':
        reporter.error(
          'ASM-NOT-CONSTANT',
          `${what} needs '${problem.name}', which is not defined yet`,
          problem.span,
          line,
          {
            help: 'define it above this line: sizes and conditions are settled as they are read',
          },
        );
        break;
      case 'mixed':
        reporter.error(
          'ASM-NOT-CONSTANT',
          `${what} must be a plain number, not an address`,
          problem.span,
          line,
          {
            help: 'the difference of two labels of one section is a plain number',
          },
        );
        break;
      case 'division':
        reporter.error('ASM-DIVISION-BY-ZERO', 'division by zero', problem.span, line);
        break;
      case 'float':
        reporter.error('ASM-SYNTAX', 'a floating-point number cannot stand here', problem.span, line);
        break;
      case 'depth':
        reporter.error(
          'ASM-LIMIT',
          `'${problem.name}' is defined by itself, or through more than ${MAX_CHAIN} other symbols`,
          problem.span,
          line,
        );
        break;
    }
  }

  #complainUndefined(name: string, span: Span, line: Line): void {
    if (this.#undefined.has(name)) return;
    this.#undefined.add(name);
    const defined = [...this.symbols.all()].filter((s) => s.definition !== undefined).map((s) => s.name);
    const near = suggest(name, defined, 1)[0];
    const help = near !== undefined ? `did you mean '${near}'?` : registerHelp(name);
    this.reporter.error('ASM-UNDEFINED-SYMBOL', `'${name}' is not defined`, span, line, { help });
  }
}

const NOP = 0xd503201f;
