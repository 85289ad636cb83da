/**
 * Integer expressions of device tree source: 64-bit unsigned, with C's operators and precedence.
 *
 * The grammar (values.ts) feeds tokens one by one; this evaluates them with two stacks, so that ten
 * thousand nested parentheses or chained `?:` cost memory, not call depth. As in dtc, everything is
 * evaluated, also the branch of `?:` that is not taken, and a division by zero is told and gives 0.
 */

import { Kind, type Lexer, spanBetween, type Token } from './lexer.js';

const code = (c: string) => c.charCodeAt(0);

const PRECEDENCE: ReadonlyMap<number, number> = new Map([
  [Kind.OR, 1],
  [Kind.AND, 2],
  [code('|'), 3],
  [code('^'), 4],
  [code('&'), 5],
  [Kind.EQUAL, 6],
  [Kind.NOT_EQUAL, 6],
  [code('<'), 7],
  [code('>'), 7],
  [Kind.LESS_EQUAL, 7],
  [Kind.GREATER_EQUAL, 7],
  [Kind.SHIFT_LEFT, 8],
  [Kind.SHIFT_RIGHT, 8],
  [code('+'), 9],
  [code('-'), 9],
  [code('*'), 10],
  [code('/'), 10],
  [code('%'), 10],
]);

export const BINARY_OPERATORS: readonly number[] = [...PRECEDENCE.keys()];
export const UNARY_OPERATORS: readonly number[] = [code('-'), code('~'), code('!')];
export const QUESTION = code('?');
export const COLON = code(':');
export const OPEN = code('(');
export const CLOSE = code(')');

const PRODUCT = 10;

const u64 = (x: bigint) => BigInt.asUintN(64, x);
const truth = (x: boolean) => (x ? 1n : 0n);

export interface Value {
  readonly value: bigint;
  readonly first: Token;
  readonly last: Token;
}

interface Pending {
  readonly form: 'unary' | 'binary' | 'paren' | 'question' | 'colon';
  readonly token: Token;
  /** Of a parenthesis: how many `?` in it still wait for their `:`. */
  questions: number;
}

export class Calculator {
  readonly #lexer: Lexer;
  #values: Value[] = [];
  #pending: Pending[] = [];
  #parens: Pending[] = [];

  constructor(lexer: Lexer) {
    this.#lexer = lexer;
  }

  /** Forgets an expression that a syntax error left unfinished. */
  reset(): void {
    this.#values = [];
    this.#pending = [];
    this.#parens = [];
  }

  get isOpen(): boolean {
    return this.#parens.length > 0;
  }

  get canClose(): boolean {
    return this.#parens[this.#parens.length - 1]?.questions === 0;
  }

  get canColon(): boolean {
    return (this.#parens[this.#parens.length - 1]?.questions ?? 0) > 0;
  }

  /** `(` or a unary operator. */
  prefix(token: Token): void {
    const paren = token.kind === OPEN;
    const pending: Pending = { form: paren ? 'paren' : 'unary', token, questions: 0 };
    this.#pending.push(pending);
    if (paren) this.#parens.push(pending);
  }

  operand(token: Token): void {
    this.#complete({ value: token.value, first: token, last: token });
  }

  /** A binary operator, `?` or `:`. */
  infix(token: Token): void {
    const paren = this.#parens[this.#parens.length - 1]!;
    if (token.kind === QUESTION) {
      this.#reduce(1);
      this.#pending.push({ form: 'question', token, questions: 0 });
      paren.questions++;
    } else if (token.kind === COLON) {
      this.#reduce(0);
      this.#pending.pop();
      this.#pending.push({ form: 'colon', token, questions: 0 });
      paren.questions--;
    } else {
      this.#reduce(PRECEDENCE.get(token.kind)!);
      this.#pending.push({ form: 'binary', token, questions: 0 });
    }
  }

  close(token: Token): void {
    this.#reduce(0);
    const paren = this.#pending.pop()!;
    this.#parens.pop();
    const { value } = this.#values.pop()!;
    this.#complete({ value, first: paren.token, last: token });
  }

  /** The value of the closed expression. */
  result(): Value {
    return this.#values.pop()!;
  }

  /** An operand is whole: unary operators bind at once, and so do products, as in dtc's grammar. */
  #complete(operand: Value): void {
    let whole = operand;
    for (;;) {
      const top = this.#pending[this.#pending.length - 1];
      if (top?.form !== 'unary') break;
      this.#pending.pop();
      const x = whole.value;
      const kind = top.token.kind;
      const value = kind === code('-') ? u64(-x) : kind === code('~') ? u64(~x) : truth(x === 0n);
      whole = { value, first: top.token, last: whole.last };
    }
    this.#values.push(whole);
    const top = this.#pending[this.#pending.length - 1];
    if (top?.form === 'binary' && PRECEDENCE.get(top.token.kind) === PRODUCT) this.#apply();
  }

  /** Applies what binds at least as tightly as `precedence`; 0 also finished `?:`, down to `(` or `?`. */
  #reduce(precedence: number): void {
    for (;;) {
      const top = this.#pending[this.#pending.length - 1];
      if (top?.form === 'binary') {
        if (PRECEDENCE.get(top.token.kind)! < precedence) return;
        this.#apply();
      } else if (top?.form === 'colon' && precedence === 0) {
        this.#pending.pop();
        const no = this.#values.pop()!;
        const yes = this.#values.pop()!;
        const condition = this.#values.pop()!;
        const value = condition.value !== 0n ? yes.value : no.value;
        this.#values.push({ value, first: condition.first, last: no.last });
      } else return;
    }
  }

  #apply(): void {
    const { token } = this.#pending.pop()!;
    const b = this.#values.pop()!;
    const a = this.#values.pop()!;
    const value = this.#binary(token.kind, a, b);
    this.#values.push({ value, first: a.first, last: b.last });
  }

  #binary(kind: number, left: Value, right: Value): bigint {
    const a = left.value;
    const b = right.value;
    switch (kind) {
      case Kind.OR:
        return truth(a !== 0n || b !== 0n);
      case Kind.AND:
        return truth(a !== 0n && b !== 0n);
      case code('|'):
        return a | b;
      case code('^'):
        return a ^ b;
      case code('&'):
        return a & b;
      case Kind.EQUAL:
        return truth(a === b);
      case Kind.NOT_EQUAL:
        return truth(a !== b);
      case code('<'):
        return truth(a < b);
      case code('>'):
        return truth(a > b);
      case Kind.LESS_EQUAL:
        return truth(a <= b);
      case Kind.GREATER_EQUAL:
        return truth(a >= b);
      case Kind.SHIFT_LEFT:
        return b < 64n ? u64(a << b) : 0n;
      case Kind.SHIFT_RIGHT:
        return b < 64n ? a >> b : 0n;
      case code('+'):
        return u64(a + b);
      case code('-'):
        return u64(a - b);
      case code('*'):
        return u64(a * b);
      default: {
        if (b !== 0n) return kind === code('/') ? a / b : a % b;
        this.#lexer.error(
          'DTS-DIVISION',
          'Division by zero',
          spanBetween(left.first, right.last),
          'both branches of ?: are evaluated',
        );
        return 0n;
      }
    }
  }
}
