/**
 * General-purpose register operands.
 *
 * A register operand decodes to a slot: 0..30 are X0..X30, 31 the zero register, 32 the stack pointer,
 * so that semantics never ask which of the two a 31 meant: the operand kind knows (DDI 0487, C1.2.5).
 */
import type { Fields, OperandKind } from '../row.js';
import { Mismatch, type OperandCursor, type RegisterOperand } from '../syntax.js';

/** Slots 31 and 32. */
export const ZERO_SLOT = 31;
export const SP_SLOT = 32;

/** How wide a register is: fixed, or by a field (1 means 64-bit, as `sf`). */
export type WidthRule = 32 | 64 | string;

export function widthOf(rule: WidthRule, fields: Fields): 32 | 64 {
  return typeof rule === 'number' ? rule : fields[rule] ? 64 : 32;
}

/** `x3`, `w3`, and for 31 the zero register or the stack pointer. */
export function gprName(n: number, width: 32 | 64, thirtyOne: 'zero' | 'sp'): string {
  if (n === 31) return thirtyOne === 'zero' ? (width === 64 ? 'xzr' : 'wzr') : width === 64 ? 'sp' : 'wsp';
  return `${width === 64 ? 'x' : 'w'}${n}`;
}

/**
 * Takes a general-purpose register; gives it or why not.
 * With a `widths` of two, either is accepted (the caller reads `file`).
 */
export function takeGpr(
  cursor: OperandCursor,
  widths: 32 | 64 | 'any',
  thirtyOne: 'zero' | 'sp',
): RegisterOperand | Mismatch {
  const what =
    widths === 'any'
      ? 'a general-purpose register'
      : widths === 64
        ? 'a 64-bit register'
        : 'a 32-bit register';
  const before = cursor.at;
  const operand = cursor.take('register', what);
  if (operand instanceof Mismatch) return operand;
  const problem = gprProblem(operand, widths, thirtyOne);
  if (problem === undefined) return operand;
  cursor.at = before;
  return problem;
}

/** Why this register cannot stand here; undefined if it can. */
export function gprProblem(
  operand: RegisterOperand,
  widths: 32 | 64 | 'any',
  thirtyOne: 'zero' | 'sp',
): Mismatch | undefined {
  if (operand.file !== 'w' && operand.file !== 'x') {
    return new Mismatch(operand.span, 'expected a general-purpose register, not an FP/SIMD register');
  }
  if (widths !== 'any' && (operand.file === 'x') !== (widths === 64)) {
    const wanted = widths === 64 ? 'x' : 'w';
    return new Mismatch(operand.span, `expected a ${widths}-bit register`, {
      help: operand.role === 'plain' ? `write ${wanted}${operand.number}` : `use the ${widths}-bit form`,
      weight: 1,
    });
  }
  if (operand.role === 'sp' && thirtyOne === 'zero') {
    return new Mismatch(operand.span, 'the stack pointer cannot be used here', { weight: 1 });
  }
  if (operand.role === 'zero' && thirtyOne === 'sp') {
    return new Mismatch(operand.span, 'the zero register cannot be used here', { weight: 1 });
  }
  return undefined;
}

function gpr(field: string, width: WidthRule, thirtyOne: 'zero' | 'sp', label: string): OperandKind<'reg'> {
  const letter = typeof width === 'string' ? 'R' : width === 64 ? 'X' : 'W';
  const suffix = thirtyOne === 'sp' ? (width === 32 ? '|WSP' : '|SP') : '';
  return {
    shape: 'reg',
    syntax: `<${letter}${label}${suffix}>`,
    fields: typeof width === 'string' ? [field, width] : [field],
    decode: (f) => (f[field] === 31 ? (thirtyOne === 'sp' ? SP_SLOT : ZERO_SLOT) : f[field]!),
    print: (f) => gprName(f[field]!, widthOf(width, f), thirtyOne),
    parse(cursor) {
      if (typeof width === 'number') {
        const taken = takeGpr(cursor, width, thirtyOne);
        return taken instanceof Mismatch ? taken : { [field]: taken.number };
      }
      const taken = takeGpr(cursor, 'any', thirtyOne);
      return taken instanceof Mismatch
        ? taken
        : { [field]: taken.number, [width]: taken.file === 'x' ? 1 : 0 };
    },
  };
}

/** A register of the given width where 31 is the zero register. */
export const R = (field: string, width: WidthRule): OperandKind<'reg'> =>
  gpr(field, width, 'zero', field.slice(1));
/** A register of the given width where 31 is the stack pointer. */
export const RSP = (field: string, width: WidthRule): OperandKind<'reg'> =>
  gpr(field, width, 'sp', field.slice(1));
export const X = (field: string): OperandKind<'reg'> => R(field, 64);
export const W = (field: string): OperandKind<'reg'> => R(field, 32);
export const XSP = (field: string): OperandKind<'reg'> => RSP(field, 64);

/** One register of the text that stands in two fields: the source of ROR (immediate), CINC, CINV, CNEG. */
export function sameRegister(first: string, second: string, width: WidthRule): OperandKind<'reg'> {
  const kind = R(first, width);
  return {
    ...kind,
    fields: [...kind.fields, second],
    parse(cursor, before) {
      const fields = kind.parse(cursor, before);
      return fields instanceof Mismatch ? fields : { ...fields, [second]: fields[first]! };
    },
  };
}

/** TBZ's register and bit number, `w3, #5` or `x3, #40`: the number's top bit is the register's width. */
export function testedBit(reg: string, high: string, low: string): OperandKind<{ reg: 'reg'; bit: 'imm' }> {
  const bit = (f: Fields) => f[high]! * 32 + f[low]!;
  return {
    shape: { reg: 'reg', bit: 'imm' },
    syntax: `<R${reg.slice(1)}>, #<bit>`,
    fields: [reg, high, low],
    decode: (f) => ({ reg: f[reg]!, bit: BigInt(bit(f)) }),
    print: (f) => `${gprName(f[reg]!, f[high] ? 64 : 32, 'zero')}, #${bit(f)}`,
    parse(cursor) {
      const register = takeGpr(cursor, 'any', 'zero');
      if (register instanceof Mismatch) return register;
      const operand = cursor.take('immediate', 'a bit number');
      if (operand instanceof Mismatch) return operand;
      const number = cursor.context.evaluate(operand.value);
      const most = register.file === 'x' ? 63n : 31n;
      if (number < 0n || number > most) {
        return new Mismatch(operand.span, `bit ${number} out of range 0 to ${most}`, { weight: 1 });
      }
      return { [reg]: register.number, [high]: Number(number >> 5n), [low]: Number(number & 31n) };
    },
  };
}
