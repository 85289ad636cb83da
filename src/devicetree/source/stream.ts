/**
 * Tokens for arcsecond.
 *
 * arcsecond 5.0.0 parses bytes, and its `regex` decodes all that is left of the input at every call,
 * which makes a parser of whole files quadratic. Here its parsers run over tokens instead: the state's
 * `data` is the stream, its `index` counts tokens from where the statement began, and the two
 * primitives below pull tokens as they are needed. The grammar of values is LL(1), so a token once
 * taken is never given back: a parser whose index lags behind the stream is an alternative tried
 * after another one failed half way, and fails as well. What the stream stands at when a statement
 * fails is therefore exactly the token that dtc's parser stumbles over.
 */

import { InputTypes, Parser, type ParserState } from 'arcsecond';
import { describeKind, Kind, type Lexer, type Token } from './lexer.js';

export class TokenStream {
  readonly lexer: Lexer;
  /** Tokens consumed since `begin`. */
  position = 0;
  /** How often a token was looked at: with the lexer's counts, the measure of linear work. */
  looks = 0;
  /** The token taken last. */
  last: Token | undefined;
  #current: Token | undefined;
  readonly #expected = new Set<number>();

  constructor(lexer: Lexer) {
    this.lexer = lexer;
  }

  peek(): Token {
    this.looks++;
    this.#current ??= this.lexer.next();
    return this.#current;
  }

  take(): Token {
    const token = this.peek();
    this.#current = undefined;
    this.last = token;
    this.#expected.clear();
    this.position++;
    return token;
  }

  /** The next token if it is of this kind; remembers what was wanted otherwise. */
  accept(kind: number): Token | undefined {
    if (this.peek().kind === kind) return this.take();
    this.#expected.add(kind);
    return undefined;
  }

  acceptOne(kinds: readonly number[]): Token | undefined {
    if (kinds.includes(this.peek().kind)) return this.take();
    this.wanted(...kinds);
    return undefined;
  }

  /** Notes that `kind` would have been right at this place. */
  wanted(...kinds: number[]): void {
    for (const kind of kinds) this.#expected.add(kind);
  }

  /** The kinds that would have fitted where the stream stands, for people. */
  get expected(): string {
    const names = [...this.#expected].map(describeKind);
    if (names.length <= 1) return names[0] ?? '';
    return `${names.slice(0, -1).join(', ')} or ${names[names.length - 1]}`;
  }

  describeCurrent(): string {
    const token = this.peek();
    if (token.kind === Kind.END) return 'the end of the file';
    return describeKind(token.kind);
  }
}

type State<T> = ParserState<T, string, TokenStream>;
export type TokenParser<T> = Parser<T, string, TokenStream>;

/** A literal rather than a spread: this is made for every token. */
function succeed<T>({ dataView, inputType, data }: State<unknown>, result: T, index: number): State<T> {
  return { dataView, inputType, isError: false, error: '', index, result, data };
}

const NO_INPUT = new DataView(new ArrayBuffer(0));

/** Combinators only ask a failed state whether it is one; the stream knows where it stands. */
const FAILED: ParserState<never, string, never> = {
  dataView: NO_INPUT,
  inputType: InputTypes.DATA_VIEW,
  isError: true,
  error: 'syntax error',
  index: 0,
  result: undefined as never,
  data: undefined as never,
};

/** The next token, if it is one of `kinds`. */
export function token(...kinds: number[]): TokenParser<Token> {
  return new Parser((state: State<unknown>): State<Token> => {
    const stream = state.data;
    if (state.isError || state.index !== stream.position) return FAILED;
    const taken = stream.acceptOne(kinds);
    return taken === undefined ? FAILED : succeed(state, taken, state.index + 1);
  });
}

/** `parser`, tried only where `condition` holds. */
export function when<T>(condition: () => boolean, parser: TokenParser<T>): TokenParser<T> {
  return new Parser((state: State<unknown>): State<T> => (condition() ? parser.p(state) : FAILED));
}

/** Succeeds without a token where `condition` holds. */
export function check(condition: () => boolean): TokenParser<undefined> {
  return new Parser(
    (state: State<unknown>): State<undefined> =>
      condition() ? succeed(state, undefined, state.index) : FAILED,
  );
}

/**
 * `parser` as often as it succeeds. arcsecond's `many` keeps all results and stops at the end of the
 * byte input, which a token stream does not have.
 */
export function repeat(parser: TokenParser<unknown>): TokenParser<undefined> {
  return new Parser((state: State<unknown>): State<undefined> => {
    let last = state;
    while (!last.isError) {
      const next = parser.p(last);
      if (next.isError) break;
      last = next;
    }
    return succeed(last, undefined, last.index);
  });
}

/** Runs a parser from where the stream stands. Undefined means a syntax error at `stream.peek()`. */
export function parse<T>(parser: TokenParser<T>, stream: TokenStream): { readonly result: T } | undefined {
  stream.position = 0;
  const state = parser.p({
    dataView: NO_INPUT,
    inputType: InputTypes.DATA_VIEW,
    isError: false,
    error: '',
    index: 0,
    result: undefined,
    data: stream,
  });
  return state.isError || state.index !== stream.position ? undefined : { result: state.result };
}
