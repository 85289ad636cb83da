/**
 * Sixteen bits anywhere in a register: MOVZ, MOVN, MOVK and the MOV aliases of the first two.
 *
 * `decode` gives the whole value as semantics need it, so that the position is no business of theirs.
 *
 * Ref. DDI 0487, C4.1 "Move wide (immediate)"; the `:abs_g*:` operators: ELF for the Arm 64-bit
 * Architecture, "Group relocations".
 */
import { MASK32, MASK64 } from '../../src/base/index.js';
import type { Fields, OperandKind } from '../row.js';
import { Mismatch, type OperandCursor } from '../syntax.js';
import { printImmediate } from './immediates.js';

const registerMask = (f: Fields) => (f['sf'] ? MASK64 : MASK32);
const placed = (f: Fields) => BigInt(f['imm16']!) << BigInt(16 * f['hw']!);

/** `#<imm>{, LSL #<shift>}`, `#:abs_g1:<symbol>`: fields `imm16` and `hw`. */
function parseWide(cursor: OperandCursor, before: Fields): Fields | Mismatch {
  const operand = cursor.take('immediate', 'an immediate');
  if (operand instanceof Mismatch) return operand;
  const value = cursor.context.evaluate(operand.value);
  const group = /^abs_g([0-3])(_nc)?$/.exec(operand.relocation ?? '');
  if (group !== null) {
    const hw = Number(group[1]);
    const part = BigInt.asUintN(64, value) >> BigInt(16 * hw);
    if (group[2] === undefined && part > 0xffffn) {
      return new Mismatch(operand.span, `the address does not fit in :${operand.relocation}:`, { weight: 1 });
    }
    return { imm16: Number(part & 0xffffn), hw };
  }
  if (operand.relocation !== undefined) {
    return new Mismatch(operand.span, `:${operand.relocation}: cannot be used with this instruction`, {
      weight: 1,
    });
  }
  let hw = 0;
  const next = cursor.peek();
  if (next?.kind === 'shift') {
    cursor.at++;
    const amount = next.amount === undefined ? 0n : cursor.context.evaluate(next.amount);
    const most = before['sf'] ? 48n : 16n;
    if (next.operator !== 'lsl' || amount < 0n || amount > most || amount % 16n !== 0n) {
      return new Mismatch(next.span, `only lsl by a multiple of 16 up to ${most} is possible here`, {
        weight: 1,
      });
    }
    hw = Number(amount / 16n);
  }
  if (value < 0n || value > 0xffffn) {
    return new Mismatch(operand.span, `immediate ${value} out of range 0 to 65535`, { weight: 1 });
  }
  return { imm16: Number(value), hw };
}

const printWide = (f: Fields) =>
  `${printImmediate(BigInt(f['imm16']!), 'hex')}${f['hw'] ? `, lsl #${16 * f['hw']!}` : ''}`;

const common = { syntax: '#<imm>{, LSL #<shift>}', fields: ['imm16', 'hw'] } as const;

/** MOVZ's and MOVN's operand; the value is what the register becomes. */
export function wideImm(options: { readonly inverted: boolean }): OperandKind<'imm'> {
  return {
    ...common,
    shape: 'imm',
    decode: (f) => (options.inverted ? placed(f) ^ registerMask(f) : placed(f)),
    print: printWide,
    parse: parseWide,
  };
}

/** MOVK's operand: the bits to insert and the mask of those to keep. */
export function insertedImm(): OperandKind<{ bits: 'imm'; keep: 'imm' }> {
  return {
    ...common,
    shape: { bits: 'imm', keep: 'imm' },
    decode: (f) => ({ bits: placed(f), keep: registerMask(f) ^ (0xffffn << BigInt(16 * f['hw']!)) }),
    print: printWide,
    parse: parseWide,
  };
}

/** MOV's operand: the whole value, where MOVZ (or MOVN, `inverted`) can make it. */
export function movedImm(options: { readonly inverted: boolean }): OperandKind<'imm'> {
  const { inverted } = options;
  const value = (f: Fields) => (inverted ? placed(f) ^ registerMask(f) : placed(f));
  return {
    shape: 'imm',
    syntax: '#<imm>',
    fields: ['imm16', 'hw'],
    decode: value,
    print: (f) => printImmediate(value(f), 'hex'),
    parse(cursor, before) {
      const operand = cursor.take('immediate', 'an immediate');
      if (operand instanceof Mismatch) return operand;
      const given = cursor.context.evaluate(operand.value);
      const mask = registerMask(before);
      const fits = before['sf'] || (given >= -(MASK32 >> 1n) - 1n && given <= MASK32);
      if (operand.relocation === undefined && fits) {
        const bits = (inverted ? ~given : given) & mask;
        for (let hw = 0; hw < (before['sf'] ? 4 : 2); hw++) {
          const imm16 = (bits >> BigInt(16 * hw)) & 0xffffn;
          if (imm16 << BigInt(16 * hw) === bits) return { imm16: Number(imm16), hw };
        }
      }
      return new Mismatch(operand.span, `one mov cannot make the value ${given}`, {
        help: 'use movz and movk, or load it: ldr xN, =value',
        weight: 1,
      });
    },
  };
}
