/**
 * The grammar of operands and expressions, in arcsecond, over the tokens of one statement.
 *
 *     operands   := [ operand { ',' operand } ]
 *     operand    := register [ '[' expression ']' ] | memory | list | shift | '=' expression | immediate
 *     memory     := '[' register [ ',' ( register | immediate ) [ ',' shift ] ] ']' [ '!' ]
 *     list       := '{' register ( '-' register | { ',' register } ) '}' [ '[' expression ']' ]
 *     shift      := ( 'lsl' | 'uxtw' | ... ) [ [ '#' ] expression ]
 *     immediate  := [ '#' ] [ ':' name ':' ] expression
 *     expression := term { operator term }
 *     term       := { prefix } ( number | name | '1f' | '(' expression ')' )
 *
 * arcsecond's own errors name the last alternative tried; the token parsers here note the furthest
 * disappointment in the TokenLine, and that is what is reported.
 */
import { many, Parser, possibly, recursiveParser, sequenceOf, updateError } from 'arcsecond';
import type Long from 'long';
import type { ImmediateOperand, OperandAst, RegisterOperand, ShiftOperand } from '../../isa/index.js';
import type { Span } from '../base/index.js';
import { AsmExpression, applyPrefixes, BINARY_OPERATORS, type Op, toPostfix } from './expression.js';
import type { RegisterName } from './registers.js';
import { T, type TokenLine } from './tokens.js';

/** `=value` of a literal load; the assembler puts the value in a pool. */
export interface LiteralOperand {
  readonly kind: 'literal';
  readonly value: AsmExpression;
  readonly span: Span;
}

export type ParsedOperand = OperandAst | LiteralOperand;

type Rule<R> = Parser<R, string, TokenLine>;

/** A state's data, as `parse` put it there. */
const lineOf = (state: { data: unknown }) => state.data as TokenLine;

type State<R> = Parameters<Rule<R>['p']>[0];

/** arcsecond's `updateParserState`, field by field: its spread is most of the time of a parse. */
function advance<R>(state: State<unknown>, result: R, index: number): ReturnType<Rule<R>['p']> {
  const { dataView, inputType, error, data } = state;
  return { dataView, inputType, isError: false, error, result, data, index };
}

/** One token of `kind`; its number is the result. `expected` is what to say where it is missing. */
function token(kind: number, expected: string): Rule<number> {
  return new Parser((state) => {
    if (state.isError) return state;
    const line = lineOf(state);
    const { index } = state;
    if (line.kinds[index] === kind) return advance(state, index, index + 1);
    line.missed(index, expected);
    return updateError(state, expected);
  });
}

/** One token of any of `kinds`. */
function tokenOf(kinds: readonly number[], expected: string): Rule<number> {
  const member = new Uint8Array(64);
  for (const kind of kinds) member[kind] = 1;
  return new Parser((state) => {
    if (state.isError) return state;
    const line = lineOf(state);
    const { index } = state;
    if (member[line.kinds[index]!] === 1) return advance(state, index, index + 1);
    line.missed(index, expected);
    return updateError(state, expected);
  });
}

/** The rule that the next token's kind selects. */
function byKind<R>(rules: readonly (readonly [kind: number, rule: Rule<R>])[], otherwise: Rule<R>): Rule<R> {
  const table: (Rule<R> | undefined)[] = [];
  for (const [kind, rule] of rules) table[kind] = rule;
  return new Parser((state) =>
    state.isError ? state : (table[lineOf(state).kinds[state.index]!] ?? otherwise).p(state),
  );
}

/** `rule`'s result made into something that needs the tokens it came from. */
function build<A, R>(
  rule: Rule<A>,
  make: (value: A, line: TokenLine, from: number, to: number) => R,
): Rule<R> {
  return new Parser((state) => {
    if (state.isError) return state;
    const next = rule.p(state);
    if (next.isError) return updateError(next, next.error);
    return advance(next, make(next.result, lineOf(state), state.index, next.index - 1), next.index);
  });
}

/** Zero or more of `rule`, while the next token is one of `kinds`. */
function whileKind<R>(kinds: readonly number[], rule: Rule<R>): Rule<R[]> {
  const member = new Uint8Array(64);
  for (const kind of kinds) member[kind] = 1;
  return new Parser((state) => {
    if (state.isError) return state;
    const results: R[] = [];
    let at = state;
    while (member[lineOf(state).kinds[at.index]!] === 1) {
      const next = rule.p(at);
      if (next.isError) return updateError(next, next.error);
      results.push(next.result);
      at = next;
    }
    return advance(at, results, at.index);
  });
}

// ---- expressions -------------------------------------------------------------------------------------

const lazyExpression: Rule<readonly Op[]> = recursiveParser(() => expressionOps);

const number: Rule<readonly Op[]> = build(token(T.number, 'an expression'), (at, line) => [
  { op: 'number', value: line.values[at] as Long },
]);
const float: Rule<readonly Op[]> = build(token(T.float, 'an expression'), (at, line) => [
  { op: 'float', value: line.values[at] as number, span: line.span(at) },
]);
const nameOp = (at: number, line: TokenLine): readonly Op[] => [
  {
    op: 'name',
    name: line.source!.text.slice(line.starts[at]!, line.ends[at]!),
    span: line.span(at),
    reference: undefined,
  },
];
const name: Rule<readonly Op[]> = build(token(T.name, 'an expression'), nameOp);
const local: Rule<readonly Op[]> = build(token(T.local, 'an expression'), nameOp);
const quoted: Rule<readonly Op[]> = build(token(T.string, 'an expression'), (at, line) => [
  {
    op: 'name',
    name: (line.values[at] as string).slice(1, -1),
    span: line.span(at),
    reference: undefined,
  },
]);
const group: Rule<readonly Op[]> = build(
  sequenceOf([token(T.leftParen, 'an expression'), lazyExpression, token(T.rightParen, "')'")]),
  (parts) => parts[1],
);
const primary: Rule<readonly Op[]> = byKind(
  [
    [T.number, number],
    [T.name, name],
    [T.leftParen, group],
    [T.local, local],
    [T.float, float],
    [T.string, quoted],
  ],
  number,
);
const PREFIXES = [T.minus, T.plus, T.tilde, T.bang];
const prefix: Rule<number> = build(tokenOf(PREFIXES, ''), (at, line) => line.kinds[at]!);
const prefixed: Rule<readonly Op[]> = build(
  sequenceOf([whileKind(PREFIXES, prefix), primary]),
  ([prefixes, term]) => applyPrefixes(prefixes, term),
);
const term: Rule<readonly Op[]> = byKind(
  PREFIXES.map((kind) => [kind, prefixed] as const),
  primary,
);
interface Tail {
  readonly operator: number;
  readonly span: Span;
  readonly term: readonly Op[];
}
const tail: Rule<Tail> = build(
  sequenceOf([tokenOf(BINARY_OPERATORS, 'an operator'), term]),
  ([at, operand], line) => ({ operator: line.kinds[at]!, span: line.span(at), term: operand }),
);
const expressionOps: Rule<readonly Op[]> = build(
  sequenceOf([term, whileKind(BINARY_OPERATORS, tail)]),
  ([first, rest]) => toPostfix(first, rest),
);
const expression: Rule<AsmExpression> = build(
  expressionOps,
  (ops, line, from, to) => new AsmExpression(line.span(from, to), ops),
);

// ---- operands ----------------------------------------------------------------------------------------

const indexSuffix: Rule<AsmExpression> = build(
  sequenceOf([token(T.leftBracket, "'['"), expression, token(T.rightBracket, "']'")]),
  (parts) => parts[1],
);
const optionalIndex: Rule<AsmExpression | undefined> = byKind<AsmExpression | undefined>(
  [[T.leftBracket, indexSuffix]],
  Parser.of(undefined),
);

function registerOperand(
  line: TokenLine,
  at: number,
  index: AsmExpression | undefined,
  to = at,
): RegisterOperand {
  const named = line.values[at] as RegisterName;
  return {
    kind: 'register',
    ...named,
    ...(index === undefined ? {} : { index }),
    span: line.span(at, to),
  };
}

const bareRegister = (expected: string): Rule<RegisterOperand> =>
  build(token(T.register, expected), (at, line) => registerOperand(line, at, undefined));

const register: Rule<RegisterOperand> = build(
  sequenceOf([token(T.register, 'a register'), optionalIndex]),
  ([at, index], line, _from, to) => registerOperand(line, at, index, to),
);

const relocation: Rule<string> = build(
  sequenceOf([token(T.colon, "':'"), token(T.name, 'a relocation operator'), token(T.colon, "':'")]),
  ([, at], line) => line.source!.text.slice(line.starts[at]!, line.ends[at]!).toLowerCase(),
);
const optionalRelocation: Rule<string | undefined> = byKind<string | undefined>(
  [[T.colon, relocation]],
  Parser.of(undefined),
);
const hash: Rule<number> = token(T.hash, "'#'");
const optionalHash: Rule<number | undefined> = byKind<number | undefined>(
  [[T.hash, hash]],
  Parser.of(undefined),
);

const immediate: Rule<ImmediateOperand> = build(
  sequenceOf([optionalHash, optionalRelocation, expression]),
  ([, operator, value], line, from, to): ImmediateOperand => {
    const only = value.ops.length === 1 ? value.ops[0]! : undefined;
    return {
      kind: 'immediate',
      value,
      ...(operator === undefined ? {} : { relocation: operator }),
      ...(only?.op === 'name' ? { symbol: only.name.toLowerCase() } : {}),
      ...(only?.op === 'float' ? { float: only.value } : {}),
      span: line.span(from, to),
    };
  },
);

/** Tokens that can begin an immediate; a shift without one of these has no amount. */
const IMMEDIATE_STARTS = [
  ...[T.hash, T.colon, T.number, T.name, T.local, T.float, T.leftParen, T.string, T.bad],
  ...PREFIXES,
];
const amount: Rule<AsmExpression | undefined> = build(
  sequenceOf([optionalHash, expression]),
  (parts) => parts[1],
);
const optionalAmount: Rule<AsmExpression | undefined> = byKind<AsmExpression | undefined>(
  IMMEDIATE_STARTS.map((kind) => [kind, amount] as const),
  Parser.of(undefined),
);
const shift: Rule<ShiftOperand> = build(
  sequenceOf([token(T.shift, 'a shift or extend'), optionalAmount]),
  ([at, value], line, from, to): ShiftOperand => ({
    kind: 'shift',
    operator: line.values[at] as string,
    ...(value === undefined ? {} : { amount: value }),
    span: line.span(from, to),
  }),
);

const offset: Rule<RegisterOperand | ImmediateOperand> = byKind<RegisterOperand | ImmediateOperand>(
  [[T.register, bareRegister('an offset')]],
  immediate,
);
const memoryShift: Rule<ShiftOperand> = build(
  sequenceOf([token(T.comma, "','"), shift]),
  (parts) => parts[1],
);
const optionalMemoryShift: Rule<ShiftOperand | undefined> = byKind<ShiftOperand | undefined>(
  [[T.comma, memoryShift]],
  Parser.of(undefined),
);
interface Offset {
  readonly offset: RegisterOperand | ImmediateOperand;
  readonly shift: ShiftOperand | undefined;
}
const memoryOffset: Rule<Offset> = build(
  sequenceOf([token(T.comma, "','"), offset, optionalMemoryShift]),
  ([, value, modifier]) => ({ offset: value, shift: modifier }),
);
const optionalOffset: Rule<Offset | undefined> = byKind<Offset | undefined>(
  [[T.comma, memoryOffset]],
  Parser.of(undefined),
);
const bang: Rule<number> = token(T.bang, "'!'");
const optionalBang: Rule<number | undefined> = byKind<number | undefined>(
  [[T.bang, bang]],
  Parser.of(undefined),
);
const memory: Rule<OperandAst> = build(
  sequenceOf([
    token(T.leftBracket, 'an operand'),
    bareRegister('a base register'),
    optionalOffset,
    token(T.rightBracket, "']'"),
    optionalBang,
  ]),
  ([, base, inner, , writeback], line, from, to): OperandAst => ({
    kind: 'memory',
    base,
    ...(inner === undefined ? {} : { offset: inner.offset }),
    ...(inner?.shift === undefined ? {} : { shift: inner.shift }),
    writeback: writeback !== undefined,
    span: line.span(from, to),
  }),
);

interface ListTail {
  readonly range: boolean;
  readonly registers: readonly RegisterOperand[];
}
const listRegister = bareRegister('a vector register');
const listRange: Rule<ListTail> = build(sequenceOf([token(T.minus, "'-'"), listRegister]), ([, last]) => ({
  range: true,
  registers: [last],
}));
const listItem: Rule<RegisterOperand> = build(
  sequenceOf([token(T.comma, "','"), listRegister]),
  (parts) => parts[1],
);
const listItems: Rule<ListTail> = build(whileKind([T.comma], listItem), (registers) => ({
  range: false,
  registers,
}));
const list: Rule<OperandAst> = build(
  sequenceOf([
    token(T.leftBrace, 'an operand'),
    listRegister,
    byKind([[T.minus, listRange]], listItems),
    token(T.rightBrace, "'}'"),
    optionalIndex,
  ]),
  ([, first, rest, , index], line, from, to): OperandAst => ({
    kind: 'list',
    registers: rest.range ? expandRange(first, rest.registers[0]!) : [first, ...rest.registers],
    ...(index === undefined ? {} : { index }),
    span: line.span(from, to),
  }),
);

/** `v30.4s-v1.4s` wraps round (DDI 0487, C1.2.6 "register lists"). */
function expandRange(first: RegisterOperand, last: RegisterOperand): RegisterOperand[] {
  const count = ((last.number - first.number + 32) % 32) + 1;
  const middle = Array.from({ length: count }, (_, i) => ({ ...first, number: (first.number + i) % 32 }));
  middle[count - 1] = { ...last };
  return middle;
}

const literal: Rule<ParsedOperand> = build(
  sequenceOf([token(T.equals, 'an operand'), expression]),
  ([, value], line, from, to): ParsedOperand => ({ kind: 'literal', value, span: line.span(from, to) }),
);

/** Where no rule begins with this token: says so in the words of operands, not of one rule. */
const operandHere: Rule<ParsedOperand> = new Parser((state) => {
  if (state.isError) return state;
  lineOf(state).missed(state.index, 'an operand');
  return updateError(state, 'an operand');
});

const operand: Rule<ParsedOperand> = byKind<ParsedOperand>(
  [
    [T.register, register],
    [T.leftBracket, memory],
    [T.leftBrace, list],
    [T.shift, shift],
    [T.equals, literal],
    ...IMMEDIATE_STARTS.filter((kind) => kind !== T.bad).map((kind) => [kind, immediate] as const),
  ],
  operandHere,
);

const end: Rule<number> = token(T.end, '');
const noOperands: Rule<readonly ParsedOperand[]> = build(end, () => []);
const nextOperand: Rule<ParsedOperand> = build(
  sequenceOf([token(T.comma, "','"), operand]),
  (parts) => parts[1],
);
const operands: Rule<readonly ParsedOperand[]> = byKind<readonly ParsedOperand[]>(
  [[T.end, noOperands]],
  build(
    sequenceOf([operand, whileKind([T.comma], nextOperand), token(T.end, "','")]),
    ([first, rest]): readonly ParsedOperand[] => [first, ...rest],
  ),
);

const nextExpression: Rule<AsmExpression> = build(
  sequenceOf([token(T.comma, "','"), expression]),
  (parts) => parts[1],
);
const expressionList: Rule<readonly AsmExpression[]> = byKind<readonly AsmExpression[]>(
  [[T.end, build(end, () => [])]],
  build(
    sequenceOf([expression, whileKind([T.comma], nextExpression), token(T.end, "','")]),
    ([first, rest]): readonly AsmExpression[] => [first, ...rest],
  ),
);
const wholeExpression: Rule<AsmExpression> = build(
  sequenceOf([possibly(hash), expression, token(T.end, 'the end of the expression')]),
  (parts) => parts[1],
);
const registerAlone: Rule<RegisterName> = build(
  sequenceOf([token(T.register, 'a register'), token(T.end, 'the end of the line')]),
  ([at], line) => line.values[at] as RegisterName,
);
const strings: Rule<readonly number[]> = build(
  sequenceOf([many(tokenOf([T.string, T.comma], 'a string')), token(T.end, 'a string')]),
  (parts) => parts[0],
);

/** What was wrong, at which token. */
export interface SyntaxProblem {
  readonly message: string;
  readonly span: Span;
}

function parse<R>(rule: Rule<R>, line: TokenLine): R | SyntaxProblem {
  const outcome = rule.p({
    dataView: line.view,
    inputType: 'dataView' as never,
    isError: false,
    error: '',
    result: null,
    data: line,
    index: 0,
  });
  if (!outcome.isError) return outcome.result;
  return problemOf(line);
}

function problemOf(line: TokenLine): SyntaxProblem {
  const at = Math.max(0, Math.min(line.furthest, line.count - 1));
  const kind = line.kinds[at];
  const span = line.span(at);
  if (kind === T.bad) return { message: line.values[at] as string, span };
  const words = line.expected;
  const hoped =
    words.length === 0
      ? ''
      : words.length === 1
        ? words[0]!
        : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
  const found = kind === T.end ? 'the end of the line' : `'${line.source!.text.slice(span.start, span.end)}'`;
  return { message: hoped === '' ? `unexpected ${found}` : `expected ${hoped}, not ${found}`, span };
}

export const parseOperands = (line: TokenLine) => parse(operands, line);
export const parseExpressions = (line: TokenLine) => parse(expressionList, line);
export const parseExpression = (line: TokenLine) => parse(wholeExpression, line);
export const parseRegister = (line: TokenLine) => parse(registerAlone, line);
/** The token numbers of a row of strings and commas. */
export const parseStrings = (line: TokenLine) => parse(strings, line);
