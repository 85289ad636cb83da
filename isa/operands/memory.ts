/**
 * Memory operands: base plus immediate, with and without write-back.
 *
 * A memory operand is one operand of the text (`[x1, #16]!`, or `[x1], #16` where the post-index is a
 * second one) and one composite to semantics: the base register and the offset.
 */
import type { Fields, OperandKind } from '../row.js';
import { type ImmediateOperand, type MemoryOperand, Mismatch, type OperandCursor } from '../syntax.js';
import { encodeScaled, printImmediate } from './immediates.js';
import { gprName, gprProblem, SP_SLOT } from './registers.js';

export type IndexMode = 'offset' | 'pre' | 'post';

interface OffsetRule {
  readonly field: string;
  readonly bits: number;
  readonly signed: boolean;
  readonly scale: number;
  /** `[x0]!` may stand for an offset of 0: LDRAA and LDRAB only. */
  readonly zeroMayBeLeftOut?: boolean;
}

/** Takes a memory operand whose base is a 64-bit register or SP. */
export function takeMemory(cursor: OperandCursor): MemoryOperand | Mismatch {
  const operand = cursor.take('memory', 'a memory operand');
  if (operand instanceof Mismatch) return operand;
  return gprProblem(operand.base, 64, 'sp') ?? operand;
}

export const baseSlot = (n: number) => (n === 31 ? SP_SLOT : n);

/** `[<Xn|SP>{, #<imm>}]`, `[<Xn|SP>, #<imm>]!` or `[<Xn|SP>], #<imm>`. */
export function memImm(
  base: string,
  mode: IndexMode,
  rule: OffsetRule,
): OperandKind<{ base: 'reg'; offset: 'imm' }> {
  const offset = (f: Fields) => {
    const raw = BigInt(f[rule.field]!);
    return (rule.signed ? BigInt.asIntN(rule.bits, raw) : raw) * BigInt(rule.scale);
  };
  return {
    shape: { base: 'reg', offset: 'imm' },
    syntax:
      mode === 'offset'
        ? `[<Xn|SP>{, #<${rule.field}>}]`
        : mode === 'pre'
          ? `[<Xn|SP>, #<${rule.field}>]!`
          : `[<Xn|SP>], #<${rule.field}>`,
    fields: [base, rule.field],
    decode: (f) => ({ base: baseSlot(f[base]!), offset: BigInt.asUintN(64, offset(f)) }),
    print(f) {
      const name = gprName(f[base]!, 64, 'sp');
      const value = printImmediate(offset(f), 'decimal');
      if (mode === 'post') return `[${name}], ${value}`;
      if (mode === 'pre') return `[${name}, ${value}]!`;
      return offset(f) === 0n ? `[${name}]` : `[${name}, ${value}]`;
    },
    parse(cursor) {
      const memory = takeMemory(cursor);
      if (memory instanceof Mismatch) return memory;
      let amount: ImmediateOperand | undefined;
      if (mode === 'post') {
        if (memory.offset !== undefined || memory.writeback)
          return new Mismatch(memory.span, 'expected [base]');
        const post = cursor.take('immediate', 'a post-index immediate');
        if (post instanceof Mismatch) return post;
        amount = post;
      } else {
        if (memory.writeback !== (mode === 'pre')) {
          return new Mismatch(memory.span, mode === 'pre' ? "expected '!' after ']'" : "unexpected '!'");
        }
        if (memory.offset?.kind === 'register' || memory.shift !== undefined) {
          return new Mismatch(memory.span, 'expected an immediate offset');
        }
        if (mode === 'pre' && memory.offset === undefined && rule.zeroMayBeLeftOut !== true) {
          return new Mismatch(memory.span, 'expected an offset before the ]', {
            weight: 1,
            help: "'#0' is written out where the base is updated",
          });
        }
        amount = memory.offset;
        const next = cursor.peek();
        if (mode === 'offset' && next?.kind === 'immediate') {
          return new Mismatch(next.span, 'unexpected operand after the memory operand');
        }
      }
      const encoded = amount === undefined ? 0 : encodeScaled(amount, cursor.context, rule);
      if (encoded instanceof Mismatch) return encoded;
      return { [base]: memory.base.number, [rule.field]: encoded };
    },
  };
}
