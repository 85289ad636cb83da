/**
 * Registers with a shift or an extension: the last operand of most data-processing instructions.
 *
 * To semantics both are a register and an amount; the operator is a static field of the row
 * (`shift`: LSL, LSR, ASR, ROR; `option`: UXTB..SXTX), because it chooses the computation.
 *
 * Ref. DDI 0487, C4.1 "Data Processing -- Register"; J1 "ShiftReg" and "ExtendReg".
 */
import type { Fields, OperandKind } from '../row.js';
import { type EncodeContext, Mismatch, type ShiftOperand } from '../syntax.js';
import { gprName, takeGpr, type WidthRule, widthOf, ZERO_SLOT } from './registers.js';

const SHIFTS = ['lsl', 'lsr', 'asr', 'ror'] as const;
const EXTENDS = ['uxtb', 'uxth', 'uxtw', 'uxtx', 'sxtb', 'sxth', 'sxtw', 'sxtx'] as const;

/** The amount of a shift or extension, 0 where it is left out. */
function shiftAmount(operand: ShiftOperand, context: EncodeContext, most: number): number | Mismatch {
  const amount = operand.amount === undefined ? 0n : context.evaluate(operand.amount);
  if (amount < 0n || amount > BigInt(most)) {
    return new Mismatch(operand.span, `shift amount ${amount} out of range 0 to ${most}`, { weight: 1 });
  }
  return Number(amount);
}

/** `<Rm>{, <shift> #<amount>}`; `ror` only where the instruction has it. Fields `shift` and `imm6`. */
export function shiftedReg(
  field: string,
  width: WidthRule,
  options: { readonly ror: boolean },
): OperandKind<{ reg: 'reg'; amount: 'imm' }> {
  const operators: readonly string[] = options.ror ? SHIFTS : SHIFTS.slice(0, 3);
  return {
    shape: { reg: 'reg', amount: 'imm' },
    syntax: `<R${field.slice(1)}>{, ${operators.map((o) => o.toUpperCase()).join('|')} #<amount>}`,
    fields: [field, 'shift', 'imm6', ...(typeof width === 'string' ? [width] : [])],
    decode: (f) => ({ reg: f[field]!, amount: BigInt(f['imm6']!) }),
    print(f) {
      const name = gprName(f[field]!, widthOf(width, f), 'zero');
      const plain = f['shift'] === 0 && f['imm6'] === 0;
      return plain ? name : `${name}, ${SHIFTS[f['shift']!]} #${f['imm6']}`;
    },
    parse(cursor) {
      const register = takeGpr(cursor, typeof width === 'number' ? width : 'any', 'zero');
      if (register instanceof Mismatch) return register;
      const is64 = register.file === 'x';
      const fields: Record<string, number> = { [field]: register.number, shift: 0, imm6: 0 };
      if (typeof width === 'string') fields[width] = is64 ? 1 : 0;
      const next = cursor.peek();
      if (next?.kind !== 'shift') return fields;
      const shift = operators.indexOf(next.operator);
      if (shift < 0) {
        return new Mismatch(next.span, `${next.operator} is not possible here`, {
          help: `possible are ${operators.join(', ')}`,
        });
      }
      cursor.at++;
      const amount = shiftAmount(next, cursor.context, is64 ? 63 : 31);
      if (amount instanceof Mismatch) return amount;
      return { ...fields, shift, imm6: amount };
    },
  };
}

/** The register of option UXTX or SXTX is 64 bits wide in a 64-bit instruction, any other 32. */
const extendedWidth = (f: Fields) => ((f['option']! & 3) === 3 && f['sf'] ? 64 : 32);

/** LSL stands for the full-width UXTW or UXTX where one of these registers is SP. */
const isLsl = (f: Fields, bases: readonly string[]) =>
  f['option'] === (f['sf'] ? 3 : 2) && bases.some((name) => f[name] === ZERO_SLOT);

/**
 * `<Rm>{, <extend> {#<amount>}}`. `bases` are the fields whose register may be SP. Fields `option`,
 * `imm3` and `sf`, which an operand to the left has set.
 */
export function extendedReg(
  field: string,
  bases: readonly string[],
): OperandKind<{ reg: 'reg'; amount: 'imm' }> {
  return {
    shape: { reg: 'reg', amount: 'imm' },
    syntax: `<R${field.slice(1)}>{, LSL|UXTB..SXTX {#<amount>}}`,
    fields: [field, 'option', 'imm3'],
    decode: (f) => ({ reg: f[field]!, amount: BigInt(f['imm3']!) }),
    print(f) {
      const name = gprName(f[field]!, extendedWidth(f), 'zero');
      const amount = f['imm3'] === 0 ? '' : ` #${f['imm3']}`;
      if (!isLsl(f, bases)) return `${name}, ${EXTENDS[f['option']!]}${amount}`;
      return amount === '' ? name : `${name}, lsl${amount}`;
    },
    parse(cursor, before) {
      const sf = before['sf']!;
      const register = takeGpr(cursor, 'any', 'zero');
      if (register instanceof Mismatch) return register;
      const next = cursor.peek();
      // The GNU assembler reads `add x0, sp, w1` as uxtw and takes either width before an extension.
      const narrow = sf === 1 && register.file === 'w';
      const operator = next?.kind === 'shift' ? next.operator : narrow ? 'uxtw' : 'lsl';
      const lsl = narrow ? 2 : sf ? 3 : 2;
      const option = operator === 'lsl' ? lsl : EXTENDS.indexOf(operator as 'uxtb');
      if (option < 0) return new Mismatch(next?.span, `${operator} is not possible here`);
      if (next?.kind !== 'shift' || operator === 'lsl') {
        if (!bases.some((name) => before[name] === ZERO_SLOT)) {
          return new Mismatch(next?.span ?? register.span, 'expected an extension (uxtb to sxtx)');
        }
      }
      if (!sf && register.file === 'x') {
        return new Mismatch(register.span, 'expected a 32-bit register', { weight: 1 });
      }
      if (next?.kind !== 'shift') return { [field]: register.number, option, imm3: 0 };
      cursor.at++;
      const amount = shiftAmount(next, cursor.context, 4);
      if (amount instanceof Mismatch) return amount;
      return { [field]: register.number, option, imm3: amount };
    },
  };
}
