/**
 * Symbols, numeric labels and sections: what names stand for while a file is taken in.
 *
 * A symbol set with `.set` may change its value from line to line, so an expression refers to the
 * definition that holds where the expression stands; a symbol without one yet is referred to itself
 * and resolved when the file is at its end (GNU as, "Setting Symbols").
 */
import type Long from 'long';
import type { Span } from '../base/index.js';
import type { AsmExpression, Value } from './expression.js';
import type { Section } from './section.js';
import type { Line } from './source.js';

export type { Section } from './section.js';

/** What a symbol stands for. */
export type Definition =
  | { readonly kind: 'label'; readonly section: Section; readonly offset: number }
  | { readonly kind: 'value'; readonly base: Section | undefined; readonly value: Long }
  | ExpressionDefinition;

/** A value given by symbols that had none yet; its values are kept once they are known. */
export interface ExpressionDefinition {
  readonly kind: 'expression';
  readonly expression: AsmExpression;
  /** Relative to a section, and with all addresses known. */
  layout?: Value;
  final?: Value;
}

/** What a name in an expression is bound to. */
export type Reference =
  | { readonly kind: 'symbol'; readonly symbol: AsmSymbol }
  | { readonly kind: 'definition'; readonly definition: Definition };

export type SymbolBinding = 'local' | 'global' | 'weak';
export type SymbolType = 'notype' | 'object' | 'function' | 'tls';

export class AsmSymbol {
  readonly name: string;
  definition: Definition | undefined;
  /** Where it was defined. */
  definedAt: Span | undefined;
  /** `.set` and `=`: may be set again. */
  variable = false;
  binding: SymbolBinding | undefined;
  type: SymbolType = 'notype';
  visibility: 'default' | 'hidden' | 'protected' | 'internal' = 'default';
  size: AsmExpression | undefined;
  sizeLine: Line | undefined;
  /** `.comm`: storage to allocate at the end unless a definition turns up. */
  common:
    | { readonly size: number; readonly alignment: number; readonly line: Line; readonly span: Span }
    | undefined;

  constructor(name: string) {
    this.name = name;
  }
}

export class SymbolTable {
  readonly #symbols = new Map<string, AsmSymbol>();
  /** Numeric labels: the last one defined and the next one referred to, by number. */
  readonly #numeric = new Map<string, { last: AsmSymbol | undefined; next: AsmSymbol | undefined }>();
  /** Forward references to numeric labels that wait for theirs. */
  readonly waiting = new Map<AsmSymbol, Span>();

  get(name: string): AsmSymbol {
    let symbol = this.#symbols.get(name);
    if (symbol === undefined) {
      symbol = new AsmSymbol(name);
      this.#symbols.set(name, symbol);
    }
    return symbol;
  }

  peek(name: string): AsmSymbol | undefined {
    return this.#symbols.get(name);
  }

  all(): Iterable<AsmSymbol> {
    return this.#symbols.values();
  }

  /** The symbol that the numeric label `digits:` defines here. */
  defineNumeric(digits: string): AsmSymbol {
    const entry = this.#numericEntry(digits);
    const symbol = entry.next ?? new AsmSymbol(digits);
    this.waiting.delete(symbol);
    entry.last = symbol;
    entry.next = undefined;
    return symbol;
  }

  /** The symbol that `1b` or `1f` means here; undefined for a `1b` with no label before it. */
  numeric(name: string, span: Span): AsmSymbol | undefined {
    const entry = this.#numericEntry(name.slice(0, -1));
    if (name.endsWith('b')) return entry.last;
    if (entry.next === undefined) {
      entry.next = new AsmSymbol(name);
      this.waiting.set(entry.next, span);
    }
    return entry.next;
  }

  #numericEntry(digits: string): { last: AsmSymbol | undefined; next: AsmSymbol | undefined } {
    const key = digits.replace(/^0+(?=\d)/, '');
    let entry = this.#numeric.get(key);
    if (entry === undefined) {
      entry = { last: undefined, next: undefined };
      this.#numeric.set(key, entry);
    }
    return entry;
  }
}
