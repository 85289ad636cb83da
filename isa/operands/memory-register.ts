/**
 * Memory operands without an immediate: base alone, and base plus an extended register.
 *
 * The register offset is one composite to semantics: base, index, how the index is extended (static:
 * each extension is a form of its own) and by how much it is shifted. LSL is UXTX under its usual name.
 *
 * Ref. DDI 0487, C1.3.3 "Load/store addressing modes".
 */
import type { Fields, OperandKind } from '../row.js';
import { type MemoryOperand, Mismatch } from '../syntax.js';
import { evaluateImmediate } from './immediates.js';
import { baseSlot, takeMemory } from './memory.js';
import { gprName, gprProblem } from './registers.js';

/** `[<Xn|SP>]`, also written `[<Xn|SP>, #0]`: loads with acquire, exclusives, atomics. */
export function memBase(base: string): OperandKind<'reg'> {
  return {
    shape: 'reg',
    syntax: '[<Xn|SP>{, #0}]',
    fields: [base],
    decode: (f) => baseSlot(f[base]!),
    print: (f) => `[${gprName(f[base]!, 64, 'sp')}]`,
    parse(cursor) {
      const memory = takeMemory(cursor);
      if (memory instanceof Mismatch) return memory;
      if (memory.writeback) return new Mismatch(memory.span, "unexpected '!'");
      const { offset } = memory;
      if (offset === undefined) return { [base]: memory.base.number };
      if (offset.kind === 'register') return new Mismatch(offset.span, 'no register offset is possible here');
      const value = evaluateImmediate(offset, cursor.context);
      if (value instanceof Mismatch) return value;
      if (value !== 0n) return new Mismatch(offset.span, 'only offset 0 is possible here', { weight: 1 });
      return { [base]: memory.base.number };
    },
  };
}

/** The `option` field's allocated values, by the operator they are written with. */
const OPTIONS = { uxtw: 2, lsl: 3, sxtw: 6, sxtx: 7 } as const;
const OPERATORS: readonly string[] = ['', '', 'uxtw', 'lsl', '', '', 'sxtw', 'sxtx'];

/** False for the reserved extensions (bytes and halfwords). */
export const isIndexOption = (option: number): boolean => (option & 2) !== 0;

function isOperator(operator: string): operator is keyof typeof OPTIONS {
  return Object.hasOwn(OPTIONS, operator);
}

type RegisterOffsetShape = { base: 'reg'; index: 'reg'; option: 'static'; amount: 'imm' };

/** `[<Xn|SP>, (<Wm>|<Xm>){, <extend> {#<amount>}}]`; `log2` is the shift that S = 1 stands for. */
export function memRegister(log2: 0 | 1 | 2 | 3 | 4): OperandKind<RegisterOffsetShape> {
  const indexWidth = (option: number) => (option & 1 ? 64 : 32);
  return {
    shape: { base: 'reg', index: 'reg', option: 'static', amount: 'imm' },
    syntax: `[<Xn|SP>, <R><m>{, <extend> {#${log2}}}]`,
    fields: ['Rn', 'Rm', 'option', 'S'],
    decode: (f) => ({
      base: baseSlot(f['Rn']!),
      index: f['Rm']!,
      option: f['option']!,
      amount: f['S'] ? BigInt(log2) : 0n,
    }),
    print(f: Fields) {
      const option = f['option']!;
      const index = gprName(f['Rm']!, indexWidth(option), 'zero');
      const extend = f['S']
        ? `, ${OPERATORS[option]} #${log2}`
        : option === 3
          ? ''
          : `, ${OPERATORS[option]}`;
      return `[${gprName(f['Rn']!, 64, 'sp')}, ${index}${extend}]`;
    },
    parse(cursor) {
      const memory = takeMemory(cursor);
      if (memory instanceof Mismatch) return memory;
      if (memory.writeback) return new Mismatch(memory.span, "unexpected '!'");
      const { offset } = memory;
      if (offset?.kind !== 'register') {
        return new Mismatch(offset?.span ?? memory.span, 'expected a register offset');
      }
      const shift = parseExtend(memory);
      if (shift instanceof Mismatch) return shift;
      const problem = gprProblem(offset, indexWidth(shift.option), 'zero');
      if (problem !== undefined) return problem;
      let S = 0;
      if (shift.amount !== undefined) {
        const amount = cursor.context.evaluate(shift.amount);
        if (amount !== 0n && amount !== BigInt(log2)) {
          const allowed = log2 === 0 ? '0' : `0 or ${log2}`;
          return new Mismatch(memory.shift?.span, `the shift amount must be ${allowed} here`, { weight: 1 });
        }
        // For bytes #0 is the scaled form: an amount that is written at all sets S.
        S = amount !== 0n || log2 === 0 ? 1 : 0;
      }
      return { Rn: memory.base.number, Rm: offset.number, option: shift.option, S };
    },
  };
}

function parseExtend({ shift, offset }: MemoryOperand) {
  if (shift === undefined) return { option: OPTIONS.lsl, amount: undefined };
  const { operator, amount, span } = shift;
  if (!isOperator(operator)) {
    return new Mismatch(span, `${operator} cannot extend an index register`, {
      help: 'uxtw and sxtw extend wN; lsl and sxtx take xN',
      weight: 1,
    });
  }
  if (operator === 'lsl' && amount === undefined) {
    return new Mismatch(span, 'lsl needs an amount', { weight: 1 });
  }
  if (offset?.kind === 'register' && offset.file === 'w' && operator === 'lsl') {
    return new Mismatch(span, 'a 32-bit index needs uxtw or sxtw', { weight: 1 });
  }
  return { option: OPTIONS[operator], amount };
}
