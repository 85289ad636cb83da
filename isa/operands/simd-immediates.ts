/**
 * Immediates of Advanced SIMD: shift amounts, rotations, modified immediates, and the fixed ones that
 * are part of an instruction's syntax.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD shift by immediate", "Advanced SIMD modified immediate";
 * J1.3 AdvSIMDExpandImm.
 */
import { replicate } from '../../src/base/index.js';
import type { Fields, OperandKind } from '../row.js';
import { Mismatch, type OperandCursor } from '../syntax.js';
import { evaluateImmediate } from './immediates.js';
import { shiftSize } from './simd-arrangements.js';

/** Takes an immediate from `least` to `most`. */
function takeNumber(cursor: OperandCursor, what: string, least: number, most: number): number | Mismatch {
  const operand = cursor.take('immediate', what);
  if (operand instanceof Mismatch) return operand;
  const value = evaluateImmediate(operand, cursor.context);
  if (value instanceof Mismatch) return value;
  if (value >= BigInt(least) && value <= BigInt(most)) return Number(value);
  return new Mismatch(operand.span, `${what} of ${value} out of range ${least} to ${most}`, { weight: 1 });
}

/** `#0`, `#8`: an immediate that is always the same, and nothing to semantics. */
export function fixedImm(value: number): OperandKind<'static'> {
  return {
    shape: 'static',
    syntax: `#${value}`,
    fields: [],
    decode: () => value,
    print: () => `#${value}`,
    parse(cursor) {
      const taken = takeNumber(cursor, 'an immediate', value, value);
      return taken instanceof Mismatch ? taken : {};
    },
  };
}

/** SHLL's shift: the size of the lanes, 8 << `size`. */
export const laneSizeImm: OperandKind<'static'> = {
  shape: 'static',
  syntax: '#<shift>',
  fields: ['size'],
  decode: (f) => 8 << f['size']!,
  print: (f) => `#${8 << f['size']!}`,
  parse(cursor, before) {
    const bits = 8 << (before['size'] ?? 0);
    const taken = takeNumber(cursor, 'a shift', bits, bits);
    return taken instanceof Mismatch ? taken : {};
  },
};

/** `#90`: a rotation, by its place in `degrees`. */
export function rotation(field: string, degrees: readonly number[]): OperandKind<'static'> {
  return {
    shape: 'static',
    syntax: '#<rotate>',
    fields: [field],
    decode: (f) => degrees[f[field]!]!,
    print: (f) => `#${degrees[f[field]!]}`,
    parse(cursor) {
      const operand = cursor.take('immediate', 'a rotation');
      if (operand instanceof Mismatch) return operand;
      const value = cursor.context.evaluate(operand.value);
      const at = degrees.findIndex((one) => BigInt(one) === value);
      if (at >= 0) return { [field]: at };
      return new Mismatch(operand.span, `the rotation must be ${degrees.join(' or ')}`, { weight: 1 });
    },
  };
}

// ---- shifts ------------------------------------------------------------------------------------------

/**
 * `#<shift>` of the shift class: to the left from 0 to the lane's size less one, to the right from 1 to
 * its size. `immh` says the size by its highest bit; the rest, with `immb`, the amount. To semantics it is
 * the size (log2 of bytes) and the amount.
 */
export function shiftImm(direction: 'left' | 'right'): OperandKind<{ size: 'static'; amount: 'imm' }> {
  const amount = (f: Fields) => {
    const bits = 8 << shiftSize(f['immh']!);
    const both = f['immh']! * 8 + f['immb']!;
    return direction === 'left' ? both - bits : 2 * bits - both;
  };
  return {
    shape: { size: 'static', amount: 'imm' },
    syntax: '#<shift>',
    fields: ['immh', 'immb'],
    decode: (f) => ({ size: shiftSize(f['immh']!), amount: BigInt(amount(f)) }),
    print: (f) => `#${amount(f)}`,
    parse(cursor, before) {
      const bits = 8 << before['lane']!;
      const taken =
        direction === 'left'
          ? takeNumber(cursor, 'a shift', 0, bits - 1)
          : takeNumber(cursor, 'a shift', 1, bits);
      if (taken instanceof Mismatch) return taken;
      const both = direction === 'left' ? bits + taken : 2 * bits - taken;
      return { immh: both >> 3, immb: both & 7 };
    },
  };
}

/** The amount of SXTL and UXTL: none, and not written. */
export const noShift: OperandKind<'static'> = {
  shape: 'static',
  syntax: '',
  fields: ['immh', 'immb'],
  decode: () => 0,
  print: () => '',
  parse: (_, before) => ({ immh: 1 << before['lane']!, immb: 0 }),
};

// ---- modified immediates -----------------------------------------------------------------------------

/** What is done with the eight bits: shifted in lanes of 8, 16 or 32 bits, with ones below, or bit by bit. */
export type Modified = '8' | '16' | '32' | 'ones' | '64';

const imm8 = (f: Fields) => f['abc']! * 32 + f['defgh']!;

/** AdvSIMDExpandImm: 64 bits. */
function expand(kind: Modified, f: Fields): bigint {
  const bits = BigInt(imm8(f));
  const by = BigInt(8 * (f['shift'] ?? 0));
  switch (kind) {
    case '8':
      return replicate(bits, 8, 64);
    case '16':
      return replicate(bits << by, 16, 64);
    case '32':
      return replicate(bits << by, 32, 64);
    case 'ones':
      return replicate(((bits + 1n) << (by + 8n)) - 1n, 32, 64);
    case '64': {
      let out = 0n;
      for (let bit = 0n; bit < 8n; bit++) if ((bits >> bit) & 1n) out |= 0xffn << (8n * bit);
      return out;
    }
  }
}

/**
 * `#<imm8>{, LSL #<amount>}` or `#<imm8>, MSL #<amount>` in fields `abc`, `defgh` and (in steps of 8)
 * `shift`; of kind `64` the whole value, whose bytes are all ones or zeros. Semantics get 64 bits of the
 * vector.
 */
export function modifiedImm(kind: Modified): OperandKind<'imm'> {
  const shifts = kind === '16' || kind === '32' || kind === 'ones';
  return {
    shape: 'imm',
    syntax: shifts ? (kind === 'ones' ? '#<imm8>, MSL #<amount>' : '#<imm8>{, LSL #<amount>}') : '#<imm>',
    fields: shifts ? ['abc', 'defgh', 'shift'] : ['abc', 'defgh'],
    decode: (f) => expand(kind, f),
    print(f) {
      if (kind === '64') return `#0x${expand(kind, f).toString(16)}`;
      const text = `#0x${imm8(f).toString(16)}`;
      if (kind === 'ones') return `${text}, msl #${8 + 8 * f['shift']!}`;
      return shifts && f['shift'] !== 0 ? `${text}, lsl #${8 * f['shift']!}` : text;
    },
    parse(cursor) {
      if (kind === '64') return parseBytes(cursor);
      const taken = takeNumber(cursor, 'an immediate', kind === '8' ? -128 : 0, 255);
      if (taken instanceof Mismatch) return taken;
      const fields = { abc: (taken & 255) >> 5, defgh: taken & 31 };
      if (!shifts) return kind === '8' ? withoutShift(cursor, fields) : fields;
      const shift = parseShift(cursor, kind);
      return shift instanceof Mismatch ? shift : { ...fields, shift };
    },
  };
}

/** MOVI of bytes may be written with `lsl #0`. */
function withoutShift(cursor: OperandCursor, fields: Fields): Fields | Mismatch {
  const next = cursor.peek();
  if (next?.kind !== 'shift') return fields;
  cursor.at++;
  const amount = next.amount === undefined ? -1n : cursor.context.evaluate(next.amount);
  return next.operator === 'lsl' && amount === 0n
    ? fields
    : new Mismatch(next.span, 'only lsl #0 is possible here', { weight: 1 });
}

function parseShift(cursor: OperandCursor, kind: '16' | '32' | 'ones'): number | Mismatch {
  const operator = kind === 'ones' ? 'msl' : 'lsl';
  const next = cursor.peek();
  if (next === undefined && operator === 'lsl') return 0;
  const shift = cursor.take('shift', operator);
  if (shift instanceof Mismatch) return shift;
  const amount = shift.amount === undefined ? -1n : cursor.context.evaluate(shift.amount);
  const amounts = kind === 'ones' ? [8n, 16n] : kind === '16' ? [0n, 8n] : [0n, 8n, 16n, 24n];
  const at = amounts.indexOf(amount);
  if (shift.operator === operator && at >= 0) return at;
  return new Mismatch(shift.span, `only ${operator} by ${amounts.join(', ')} is possible here`, {
    weight: 1,
  });
}

function parseBytes(cursor: OperandCursor): Fields | Mismatch {
  const operand = cursor.take('immediate', 'an immediate');
  if (operand instanceof Mismatch) return operand;
  const value = evaluateImmediate(operand, cursor.context);
  if (value instanceof Mismatch) return value;
  let bits = 0;
  for (let byte = 0n; byte < 8n; byte++) {
    const part = (value >> (8n * byte)) & 0xffn;
    if (part !== 0n && part !== 0xffn) {
      return new Mismatch(operand.span, 'every byte of the immediate must be 0 or 0xff', { weight: 1 });
    }
    if (part !== 0n) bits |= 1 << Number(byte);
  }
  return { abc: bits >> 5, defgh: bits & 31 };
}
