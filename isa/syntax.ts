/**
 * Assembly operands as the assembler's parser hands them to operand kinds.
 *
 * The instruction set knows what operands look like (a register, an immediate, a memory reference),
 * not how text is split into them; the assembler knows the text, not what an instruction accepts.
 * They meet in these types. Expressions stay opaque here: they are evaluated through the context,
 * when every label has its address.
 */
import type { Span } from '../src/base/index.js';

/** An expression of the assembler; only its context can evaluate it. */
export interface Expression {
  readonly span: Span;
}

export interface RegisterOperand {
  readonly kind: 'register';
  /** `w`/`x` general-purpose, the others FP/SIMD: `b h s d q` scalar, `v` vector. */
  readonly file: 'w' | 'x' | 'b' | 'h' | 's' | 'd' | 'q' | 'v';
  /** 0..31; 31 is WZR/XZR or WSP/SP by `role`. */
  readonly number: number;
  readonly role: 'plain' | 'zero' | 'sp';
  /** `16b`, `4s`, `d`, ...: what follows the dot of a vector register. */
  readonly arrangement?: string;
  /** `v0.s[1]`: the element. */
  readonly index?: Expression;
  readonly span: Span;
}

export interface ImmediateOperand {
  readonly kind: 'immediate';
  readonly value: Expression;
  /** A `:lo12:`-like operator before the expression, without colons. */
  readonly relocation?: string;
  /** Lower-cased, where the whole expression is one bare name: `eq`, `sy`, `nzcv`, `pldl1keep`, a label. */
  readonly symbol?: string;
  /** Where the whole expression is a floating-point literal. */
  readonly float?: number;
  readonly span: Span;
}

/** `lsl #3`, `sxtw`, `msl #8` standing as an operand of its own or inside brackets. */
export interface ShiftOperand {
  readonly kind: 'shift';
  readonly operator: string;
  readonly amount?: Expression;
  readonly span: Span;
}

/** `[x0]`, `[x0, #8]`, `[x0, x1, lsl #3]`, each with `!` if `writeback`. A post-index follows as an operand. */
export interface MemoryOperand {
  readonly kind: 'memory';
  readonly base: RegisterOperand;
  readonly offset?: RegisterOperand | ImmediateOperand;
  readonly shift?: ShiftOperand;
  readonly writeback: boolean;
  readonly span: Span;
}

/** `{v0.16b-v3.16b}`, `{v0.s, v1.s}[2]`. */
export interface ListOperand {
  readonly kind: 'list';
  readonly registers: readonly RegisterOperand[];
  readonly index?: Expression;
  readonly span: Span;
}

export type OperandAst = RegisterOperand | ImmediateOperand | ShiftOperand | MemoryOperand | ListOperand;

/** What an operand kind may ask while it encodes. */
export interface EncodeContext {
  /** The address of the instruction being assembled. */
  readonly pc: bigint;
  /** The expression's value, 64-bit two's complement as a signed bigint. Throws InputError for undefined symbols. */
  evaluate(expression: Expression): bigint;
}

/**
 * Why an operand does not fit. The assembler tries every row of the mnemonic and reports the mismatch
 * of the row that got furthest.
 */
export class Mismatch {
  readonly span: Span | undefined;
  /** Lower case, no full stop: `immediate 4096 out of range 0 to 4095`. */
  readonly message: string;
  readonly help: string | undefined;
  /** A value mismatch (range, alignment) says more than a shape mismatch at the same operand. */
  readonly weight: number;

  constructor(
    span: Span | undefined,
    message: string,
    options: { readonly help?: string; readonly weight?: 0 | 1 } = {},
  ) {
    this.span = span;
    this.message = message;
    this.help = options.help;
    this.weight = options.weight ?? 0;
  }
}

/** The operands of one statement, taken from the left. */
export class OperandCursor {
  readonly operands: readonly OperandAst[];
  readonly context: EncodeContext;
  /** Where the statement ends, for "expected ... here". */
  readonly end: Span | undefined;
  at = 0;

  constructor(operands: readonly OperandAst[], context: EncodeContext, end?: Span) {
    this.operands = operands;
    this.context = context;
    this.end = end;
  }

  peek(): OperandAst | undefined {
    return this.operands[this.at];
  }

  /** The next operand if it is of `kind`; else a Mismatch that says what was expected. */
  take<K extends OperandAst['kind']>(kind: K, expected: string): Extract<OperandAst, { kind: K }> | Mismatch {
    const operand = this.peek();
    if (operand === undefined) return new Mismatch(this.end, `expected ${expected}`);
    if (operand.kind !== kind) return new Mismatch(operand.span, `expected ${expected}`);
    this.at++;
    return operand as Extract<OperandAst, { kind: K }>;
  }
}
