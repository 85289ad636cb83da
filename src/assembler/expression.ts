/**
 * Expressions in postfix form, evaluated in 64-bit two's complement on `Long`.
 *
 * Postfix because an expression may be as long as its line: building, folding and evaluating are
 * loops, so no input can exhaust the stack. A value during layout is a number relative to a section
 * whose address is not known yet; differences inside one section are plain numbers at once. In the
 * final pass every section has its address and every value is plain.
 *
 * Operators, ranks and results (true is -1, `>>` is logical): GNU as, "Infix Operators".
 */
import Long from 'long';
import type { Expression } from '../../isa/index.js';
import type { Span } from '../base/index.js';
import type { Reference, Section } from './symbols.js';
import { T } from './tokens.js';

export type Op =
  | { readonly op: 'number'; readonly value: Long }
  | NameOp
  | { readonly op: 'float'; readonly value: number; readonly span: Span }
  | { readonly op: 'unary'; readonly operator: number }
  | { readonly op: 'binary'; readonly operator: number; readonly span: Span };

/** A symbol, a numeric label (`1f`) or `.`; `reference` is set when the statement is taken in. */
export interface NameOp {
  readonly op: 'name';
  readonly name: string;
  readonly span: Span;
  reference: Reference | undefined;
}

export class AsmExpression implements Expression {
  readonly span: Span;
  readonly ops: readonly Op[];

  constructor(span: Span, ops: readonly Op[]) {
    this.span = span;
    this.ops = ops;
  }

  /** The value where the expression is one literal number. */
  get constant(): Long | undefined {
    const only = this.ops.length === 1 ? this.ops[0]! : undefined;
    return only?.op === 'number' ? only.value : undefined;
  }

  /** The name where the expression is one bare name. */
  get bareName(): string | undefined {
    const only = this.ops.length === 1 ? this.ops[0]! : undefined;
    return only?.op === 'name' ? only.name : undefined;
  }
}

/** `base` plus `value`; no base means a plain number. */
export interface Value {
  readonly base: Section | undefined;
  readonly value: Long;
}

/** Why an expression has no value (yet). */
export interface NoValue {
  readonly why: 'undefined' | 'not-yet' | 'mixed' | 'division' | 'float' | 'depth';
  readonly name?: string;
  readonly span: Span;
}

export type Resolve = (op: NameOp) => Value | NoValue;

export function isValue(v: Value | NoValue): v is Value {
  return 'value' in v;
}

const RANK = new Uint8Array(64);
for (const [rank, operators] of [
  [1, [T.orOr]],
  [2, [T.andAnd]],
  [3, [T.equal, T.notEqual, T.less, T.greater, T.lessEqual, T.greaterEqual]],
  [4, [T.plus, T.minus]],
  [5, [T.or, T.and, T.caret, T.bang]],
  [6, [T.star, T.slash, T.percent, T.shiftLeft, T.shiftRight]],
] as const) {
  for (const operator of operators) RANK[operator] = rank;
}

export const BINARY_OPERATORS: readonly number[] = [...RANK.keys()].filter((k) => RANK[k] !== 0);

/** Orders `terms[0] op terms[1] op ...` by rank into one postfix sequence, folding plain numbers. */
export function toPostfix(
  first: readonly Op[],
  rest: readonly { readonly operator: number; readonly span: Span; readonly term: readonly Op[] }[],
): readonly Op[] {
  if (rest.length === 0) return first;
  const out: Op[] = [...first];
  const pending: { operator: number; span: Span }[] = [];
  for (const { operator, span, term } of rest) {
    while (pending.length > 0 && RANK[pending.at(-1)!.operator]! >= RANK[operator]!) {
      pushBinary(out, pending.pop()!);
    }
    pending.push({ operator, span });
    for (const op of term) out.push(op);
  }
  while (pending.length > 0) pushBinary(out, pending.pop()!);
  return out;
}

function pushBinary(out: Op[], { operator, span }: { operator: number; span: Span }): void {
  const right = out.at(-1)!;
  const left = out.at(-2)!;
  if (left.op === 'number' && right.op === 'number') {
    const folded = compute(operator, left.value, right.value);
    if (folded !== undefined) {
      out.length -= 2;
      out.push({ op: 'number', value: folded });
      return;
    }
  }
  out.push({ op: 'binary', operator, span });
}

/** Puts prefix operators (outermost first) behind their term, folding plain numbers. */
export function applyPrefixes(prefixes: readonly number[], term: readonly Op[]): readonly Op[] {
  if (prefixes.length === 0) return term;
  const out = [...term];
  for (let i = prefixes.length - 1; i >= 0; i--) {
    const operator = prefixes[i]!;
    const only = out.length === 1 ? out[0]! : undefined;
    if (only?.op === 'number') out[0] = { op: 'number', value: computeUnary(operator, only.value) };
    else if (only?.op === 'float' && operator === T.minus) out[0] = { ...only, value: -only.value };
    else out.push({ op: 'unary', operator });
  }
  return out;
}

const TRUE = Long.NEG_ONE;
const FALSE = Long.ZERO;

function computeUnary(operator: number, x: Long): Long {
  if (operator === T.minus) return x.neg();
  if (operator === T.tilde) return x.not();
  if (operator === T.bang) return x.isZero() ? Long.ONE : Long.ZERO;
  return x;
}

/** Undefined for a division by zero. */
function compute(operator: number, x: Long, y: Long): Long | undefined {
  switch (operator) {
    case T.plus:
      return x.add(y);
    case T.minus:
      return x.sub(y);
    case T.star:
      return x.mul(y);
    case T.slash:
      return y.isZero() ? undefined : x.div(y);
    case T.percent:
      return y.isZero() ? undefined : x.mod(y);
    case T.shiftLeft:
      return shiftable(y) ? x.shl(y.toInt()) : Long.ZERO;
    case T.shiftRight:
      return shiftable(y) ? x.shru(y.toInt()) : Long.ZERO;
    case T.or:
      return x.or(y);
    case T.and:
      return x.and(y);
    case T.caret:
      return x.xor(y);
    case T.bang:
      return x.or(y.not());
    case T.equal:
      return x.eq(y) ? TRUE : FALSE;
    case T.notEqual:
      return x.neq(y) ? TRUE : FALSE;
    case T.less:
      return x.lt(y) ? TRUE : FALSE;
    case T.greater:
      return x.gt(y) ? TRUE : FALSE;
    case T.lessEqual:
      return x.lte(y) ? TRUE : FALSE;
    case T.greaterEqual:
      return x.gte(y) ? TRUE : FALSE;
    case T.andAnd:
      return x.isZero() || y.isZero() ? Long.ZERO : Long.ONE;
    default:
      return x.isZero() && y.isZero() ? Long.ZERO : Long.ONE;
  }
}

const SIXTY_FOUR = Long.fromInt(64);
const shiftable = (y: Long) => !y.isNegative() && y.lt(SIXTY_FOUR);

const COMPARISONS: ReadonlySet<number> = new Set([
  T.equal,
  T.notEqual,
  T.less,
  T.greater,
  T.lessEqual,
  T.greaterEqual,
]);

/** The value of an expression; `resolve` says what its names stand for. */
export function evaluate(expression: AsmExpression, resolve: Resolve): Value | NoValue {
  const { ops } = expression;
  const first = ops[0]!;
  if (ops.length === 1) {
    if (first.op === 'number') return { base: undefined, value: first.value };
    if (first.op === 'name') return resolve(first);
  }
  const stack: Value[] = [];
  for (const op of ops) {
    switch (op.op) {
      case 'number':
        stack.push({ base: undefined, value: op.value });
        break;
      case 'name': {
        const value = resolve(op);
        if (!isValue(value)) return value;
        stack.push(value);
        break;
      }
      case 'float':
        return { why: 'float', span: op.span };
      case 'unary': {
        const x = stack.pop()!;
        if (x.base !== undefined && op.operator !== T.plus) return { why: 'mixed', span: expression.span };
        stack.push({ base: x.base, value: computeUnary(op.operator, x.value) });
        break;
      }
      case 'binary': {
        const y = stack.pop()!;
        const x = stack.pop()!;
        const combined = combine(op.operator, x, y);
        if (combined === undefined) return { why: 'mixed', span: expression.span };
        const value = compute(op.operator, x.value, y.value);
        if (value === undefined) return { why: 'division', span: op.span };
        stack.push({ base: combined.base, value });
        break;
      }
    }
  }
  return stack[0]!;
}

/** The base of `x operator y`; undefined where the result is not relative to one section. */
function combine(operator: number, x: Value, y: Value): { base: Section | undefined } | undefined {
  if (x.base === undefined && y.base === undefined) return { base: undefined };
  if (operator === T.plus && (x.base === undefined || y.base === undefined))
    return { base: x.base ?? y.base };
  if (operator === T.minus && y.base === undefined) return { base: x.base };
  if (x.base === y.base && (operator === T.minus || COMPARISONS.has(operator))) return { base: undefined };
  return undefined;
}

export function toBigInt(value: Long): bigint {
  if (value.high === value.low >> 31) return BigInt(value.low);
  return (BigInt(value.high) << 32n) | BigInt(value.low >>> 0);
}

export function fromBigInt(value: bigint): Long {
  return Long.fromBits(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
}
