/**
 * Instructions: operands handed to the instruction set, which alone knows what they mean.
 *
 * What needs no address is encoded as it is read; the rest is kept until every symbol has its place.
 * Relocation operators and literal loads are dissolved here: the instruction set sees an immediate
 * with the value the operator gives, or the label of a pool entry.
 */
import Long from 'long';
import {
  type EncodeContext,
  type Expression,
  encode,
  type Mismatch,
  mnemonics,
  type OperandAst,
  syntaxesOf,
} from '../../isa/index.js';
import { type Span, suggest } from '../base/index.js';
import type { Assembly } from './assembly.js';
import { AsmExpression, isValue, type NoValue, toBigInt } from './expression.js';
import { type LiteralOperand, type ParsedOperand, parseOperands } from './grammar.js';
import { registerHelp } from './registers.js';
import { type Relocation, relocationNamed, relocationNames } from './relocations.js';
import type { Section } from './section.js';
import type { Line } from './source.js';

export interface DeferredInstruction {
  readonly section: Section;
  readonly offset: number;
  readonly mnemonic: string;
  readonly operands: readonly OperandAst[];
  readonly nameSpan: Span;
  readonly end: Span;
  readonly line: Line;
  readonly order: number;
}

/** Thrown through `encode` where a value has to wait; not an error. */
const NOT_YET = Symbol('not yet');

/** Thrown through `encode` where an expression has no value; reported where it is caught. */
class Valueless {
  readonly problem: NoValue;
  constructor(problem: NoValue) {
    this.problem = problem;
  }
}

/** Thrown through `encode` where a relocation operator cannot take its value. */
class Unrelocatable {
  readonly message: string;
  readonly span: Span;
  constructor(message: string, span: Span) {
    this.message = message;
    this.span = span;
  }
}

/** An expression under a relocation operator. */
class RelocatedExpression extends AsmExpression {
  readonly relocation: Relocation;

  constructor(inner: AsmExpression, relocation: Relocation) {
    super(inner.span, inner.ops);
    this.relocation = relocation;
  }
}

function own(expression: Expression): AsmExpression {
  if (!(expression instanceof AsmExpression)) throw new Error('an expression of another assembler');
  return expression;
}

/** Assembles one instruction statement. */
export function instruction(a: Assembly, line: Line, word: string, wordStart: number, rest: number): void {
  const nameSpan: Span = { source: line.source, start: wordStart, end: wordStart + word.length };
  const lower = word.toLowerCase();
  const parsed = parseOperands(a.lex(line, rest));
  const section = a.current;
  const tokens = a.tokens;
  const end = tokens.span(tokens.count - 1);
  const problem = 'message' in parsed ? parsed : undefined;
  if (!a.writable(line, nameSpan)) return;
  if (section.size % 4 !== 0) alignCode(a, line, nameSpan);
  section.alignment = Math.max(section.alignment, 4);
  section.mark('x');
  const offset = a.reserve(4, line, nameSpan);
  note(a, section, offset, line);
  if (problem !== undefined) {
    const known = encode(lower, [], { pc: 0n, evaluate: () => 0n }, end) !== undefined;
    if (!known) unknown(a, line, word, nameSpan);
    else a.syntax(problem, line);
    return;
  }

  const operands: OperandAst[] = [];
  let late = false;
  for (const operand of parsed as readonly ParsedOperand[]) {
    if (!bindOperand(a, operand, line, offset)) return;
    if (operand.kind === 'literal') {
      const label = literal(a, lower, operand, operands[0], line);
      if (label === undefined) return;
      operands.push(label);
      late = true;
    } else {
      const relocated = relocate(a, operand, line);
      if (relocated === undefined) return;
      late ||= relocated.late;
      operands.push(...relocated.operands);
    }
  }
  const order = a.reporter.order;
  const item: DeferredInstruction = {
    section,
    offset,
    mnemonic: lower,
    operands,
    nameSpan,
    end,
    line,
    order,
  };
  if (!late && encodeNow(a, item, earlyContext(a))) return;
  a.keepWaiting(line);
  a.deferred.push(item);
}

/** GNU as pads to a word before an instruction in code. */
function alignCode(a: Assembly, line: Line, span: Span): void {
  if (a.current.flags.execute) a.align(4, line, span);
}

function note(a: Assembly, section: Section, offset: number, line: Line): void {
  if (!section.flags.execute) return;
  a.lines.record(section, offset, line);
}

/** The context before addresses are known: only plain numbers have values. */
function earlyContext(a: Assembly): EncodeContext {
  return {
    get pc(): bigint {
      throw NOT_YET;
    },
    evaluate(expression) {
      const asm = own(expression);
      const { constant } = asm;
      if (constant !== undefined) return toBigInt(constant);
      const value = a.value(asm);
      if (!isValue(value)) {
        if (value.why === 'not-yet') throw NOT_YET;
        throw new Valueless(value);
      }
      if (value.base !== undefined) throw NOT_YET;
      return toBigInt(value.value);
    },
  };
}

/** Encodes what had to wait; every symbol has its value now. */
export function encodeDeferred(a: Assembly, item: DeferredInstruction, threadBase: bigint | undefined): void {
  const pc = BigInt.asUintN(64, item.section.address + BigInt(item.offset));
  const context: EncodeContext = {
    pc,
    evaluate(expression) {
      const asm = own(expression);
      const value = a.value(asm);
      if (!isValue(value)) throw new Valueless(value);
      const number = toBigInt(value.value);
      if (!(asm instanceof RelocatedExpression)) return number;
      const relocated = asm.relocation.apply({ value: number, pc, threadBase });
      if (typeof relocated === 'string') throw new Unrelocatable(relocated, asm.span);
      return relocated;
    },
  };
  encodeNow(a, signedMove(a, item, pc, threadBase), context);
}

/** The `_s` operators turn MOVZ into MOVN where the value is negative (AAELF64, "Group relocations"). */
function signedMove(
  a: Assembly,
  item: DeferredInstruction,
  pc: bigint,
  threadBase: bigint | undefined,
): DeferredInstruction {
  if (item.mnemonic !== 'movz' && item.mnemonic !== 'movn') return item;
  for (const operand of item.operands) {
    if (operand.kind !== 'immediate' || !(operand.value instanceof RelocatedExpression)) continue;
    const { relocation } = operand.value;
    const value = relocation.signed ? a.value(operand.value) : undefined;
    if (value === undefined || !isValue(value)) continue;
    const base = relocation.origin === 'pc' ? pc : relocation.origin === 'thread' ? (threadBase ?? 0n) : 0n;
    const negative = BigInt.asIntN(64, toBigInt(value.value) - base) < 0n;
    return { ...item, mnemonic: negative ? 'movn' : 'movz' };
  }
  return item;
}

/** False where the instruction has to wait; errors are reported and count as done. */
function encodeNow(a: Assembly, item: DeferredInstruction, context: EncodeContext): boolean {
  const { mnemonic, operands, line, nameSpan } = item;
  try {
    const outcome =
      encode(mnemonic, operands, context, item.end) ??
      encode(dottedBranch(mnemonic), operands, context, item.end);
    if (typeof outcome === 'number') item.section.putWord(item.offset, outcome);
    else if (outcome === undefined) unknown(a, line, mnemonic, nameSpan);
    else mismatch(a, line, mnemonic, outcome, nameSpan);
  } catch (thrown) {
    if (thrown === NOT_YET) return false;
    if (thrown instanceof Valueless) a.complain(thrown.problem, line, 'the operand');
    else if (thrown instanceof Unrelocatable) {
      a.reporter.error('ASM-RELOCATION', thrown.message, thrown.span, line);
    } else throw thrown;
  }
  return true;
}

/** GNU as reads `beq` as `b.eq`. */
function dottedBranch(mnemonic: string): string {
  return /^b[a-z]{2}$/.test(mnemonic) ? `b.${mnemonic.slice(1)}` : mnemonic;
}

function unknown(a: Assembly, line: Line, word: string, span: Span): void {
  const near = suggest(word, [...mnemonics(), ...a.macros.keys()], 3);
  a.reporter.error('ASM-UNKNOWN-MNEMONIC', `there is no instruction '${word}'`, span, line, {
    help: near.length > 0 ? `did you mean ${near.map((n) => `'${n}'`).join(' or ')}?` : undefined,
  });
}

function mismatch(a: Assembly, line: Line, mnemonic: string, found: Mismatch, nameSpan: Span): void {
  const span = found.span ?? nameSpan;
  const text = span.source.text.slice(span.start, span.end);
  const help = found.help ?? registerHelp(text) ?? (found.weight === 0 ? syntaxHelp(mnemonic) : undefined);
  a.reporter.error('ASM-OPERAND', found.message, span, line, { help });
}

function syntaxHelp(mnemonic: string): string | undefined {
  const syntaxes = [...new Set(syntaxesOf(mnemonic))];
  if (syntaxes.length === 0) return undefined;
  const shown = syntaxes.slice(0, 3).map((s) => `'${s}'`);
  return `it is written ${shown.join(' or ')}${syntaxes.length > 3 ? ', among other forms' : ''}`;
}

function bindOperand(a: Assembly, operand: ParsedOperand, line: Line, offset: number): boolean {
  const bind = (e: Expression | undefined) => e === undefined || bindAt(a, own(e), line, offset);
  switch (operand.kind) {
    case 'immediate':
    case 'literal':
      return bind(operand.value);
    case 'register':
    case 'list':
      return bind(operand.index);
    case 'shift':
      return bind(operand.amount);
    case 'memory':
      return (
        (operand.offset === undefined || bindOperand(a, operand.offset, line, offset)) &&
        (operand.shift === undefined || bindOperand(a, operand.shift, line, offset))
      );
  }
}

/** `.` in an operand is the instruction's own address. */
function bindAt(a: Assembly, expression: AsmExpression, line: Line, offset: number): boolean {
  for (const op of expression.ops) {
    if (op.op === 'name' && op.name === '.') {
      op.reference = { kind: 'definition', definition: { kind: 'label', section: a.current, offset } };
    }
  }
  return a.bind(expression, line);
}

/** An operand with its relocation operator dissolved into its expression. */
function relocate(
  a: Assembly,
  operand: OperandAst,
  line: Line,
): { readonly operands: readonly OperandAst[]; readonly late: boolean } | undefined {
  if (operand.kind === 'memory' && operand.offset?.kind === 'immediate' && operand.offset.relocation) {
    const inner = relocate(a, operand.offset, line)?.operands[0];
    if (inner?.kind !== 'immediate') return undefined;
    return { operands: [{ ...operand, offset: inner }], late: true };
  }
  if (operand.kind !== 'immediate' || operand.relocation === undefined) {
    return { operands: [operand], late: false };
  }
  const relocation = relocationNamed(operand.relocation);
  if (relocation === undefined) {
    const near = suggest(operand.relocation, relocationNames(), 1)[0];
    const message = `there is no relocation operator ':${operand.relocation}:'`;
    const help = near === undefined ? undefined : `did you mean ':${near}:'?`;
    a.reporter.error('ASM-RELOCATION', message, operand.span, line, { help });
    return undefined;
  }
  if (relocation === 'unsupported') {
    a.reporter.error(
      'ASM-UNSUPPORTED',
      `the relocation operator ':${operand.relocation}:' is not implemented`,
      operand.span,
      line,
      { help: 'static programs have no global offset table; use adrp and :lo12:, or compile with -fno-pic' },
    );
    return undefined;
  }
  const { symbol: _symbol, relocation: _name, ...rest } = operand;
  const value = new RelocatedExpression(own(operand.value), relocation);
  const operands: OperandAst[] = [{ ...rest, value }];
  if (relocation.shift !== undefined) {
    const amount = new AsmExpression(operand.span, [{ op: 'number', value: Long.fromInt(relocation.shift) }]);
    operands.push({ kind: 'shift', operator: 'lsl', amount, span: operand.span });
  }
  return { operands, late: true };
}

const LITERAL_SIZES: Readonly<Record<string, 4 | 8 | 16>> = { w: 4, x: 8, s: 4, d: 8, q: 16 };

/** The pool label that stands for `=value`. */
function literal(
  a: Assembly,
  mnemonic: string,
  operand: LiteralOperand,
  target: OperandAst | undefined,
  line: Line,
): OperandAst | undefined {
  const size =
    mnemonic === 'ldrsw' ? 4 : target?.kind === 'register' ? LITERAL_SIZES[target.file] : undefined;
  if ((mnemonic !== 'ldr' && mnemonic !== 'ldrsw') || size === undefined) {
    a.reporter.error('ASM-OPERAND', "'=value' stands only in ldr and ldrsw", operand.span, line, {
      help: 'write ldr xN, =value',
    });
    return undefined;
  }
  const key = literalKey(a, operand.value);
  const entry = a.current.pool.entry(size, operand.value, key, line, a.reporter.order);
  const value = new AsmExpression(operand.span, [
    { op: 'name', name: 'literal', span: operand.span, reference: { kind: 'symbol', symbol: entry.label } },
  ]);
  return { kind: 'immediate', value, span: operand.span };
}

/** Equal keys mean equal values: a number, or a symbol plus a number. Symbols by name, as GNU as shares. */
function literalKey(a: Assembly, expression: AsmExpression): string | undefined {
  const [first, second, third] = expression.ops;
  const value = a.value(expression);
  if (isValue(value) && value.base === undefined) return value.value.toString();
  if (first?.op !== 'name' || first.reference?.kind !== 'symbol' || /^\d/.test(first.name)) return undefined;
  if (second === undefined) return `?${first.name} + 0`;
  if (third?.op === 'binary' && second.op === 'number' && expression.ops.length === 3) {
    return `?${first.name} ${third.operator} ${second.value.toString()}`;
  }
  return undefined;
}
