/**
 * The operands of SBFM, BFM, UBFM and EXTR, and of their many aliases.
 *
 * Semantics get shift amounts (or a rotation and a mask) instead of immr and imms: a bitfield move is
 * the source shifted left until its top bit is bit 31 or 63, then shifted right to its place.
 *
 * Ref. DDI 0487, C4.1 "Bitfield" and "Extract"; J1 "DecodeBitMasks" with `immediate` false.
 */
import { ones, rotateRight } from '../../src/base/index.js';
import type { Fields, OperandKind, Shape } from '../row.js';
import { Mismatch, type OperandCursor } from '../syntax.js';

const widthOf = (f: Fields) => (f['sf'] ? 64 : 32);

/** One immediate between `low` and `high`. */
function takeNumber(cursor: OperandCursor, what: string, low: number, high: number): number | Mismatch {
  const operand = cursor.take('immediate', `${what} as an immediate`);
  if (operand instanceof Mismatch) return operand;
  const value = cursor.context.evaluate(operand.value);
  if (value >= BigInt(low) && value <= BigInt(high)) return Number(value);
  return new Mismatch(operand.span, `${what} ${value} out of range ${low} to ${high}`, { weight: 1 });
}

function parseRotateAndTop(cursor: OperandCursor, before: Fields): Fields | Mismatch {
  const most = widthOf(before) - 1;
  const immr = takeNumber(cursor, 'rotation', 0, most);
  if (immr instanceof Mismatch) return immr;
  const imms = takeNumber(cursor, 'top bit', 0, most);
  return imms instanceof Mismatch ? imms : { immr, imms, N: before['sf']! };
}

/** The reserved encodings: N unlike sf, positions beyond a 32-bit register. */
export const isBitfield = (f: Readonly<Record<'sf' | 'N' | 'immr' | 'imms', number>>): boolean =>
  f.N === f.sf && (f.sf === 1 || (f.immr < 32 && f.imms < 32));

const raw = {
  syntax: '#<immr>, #<imms>',
  fields: ['immr', 'imms', 'N'],
  print: (f: Fields) => `#${f['immr']}, #${f['imms']}`,
  parse: parseRotateAndTop,
};

/** SBFM's and UBFM's: shift `left`, then `right`. */
export function fieldShifts(): OperandKind<{ left: 'imm'; right: 'imm' }> {
  return {
    ...raw,
    shape: { left: 'imm', right: 'imm' },
    decode(f) {
      const left = widthOf(f) - 1 - f['imms']!;
      return { left: BigInt(left), right: BigInt((left + f['immr']!) % widthOf(f)) };
    },
  };
}

/** BFM's: rotate right by `rotation`, take the bits of `mask`, keep the destination's others (`keep`). */
export function fieldInsertion(): OperandKind<{ rotation: 'imm'; mask: 'imm'; keep: 'imm' }> {
  return {
    ...raw,
    shape: { rotation: 'imm', mask: 'imm', keep: 'imm' },
    decode(f) {
      const width = widthOf(f);
      const immr = f['immr']!;
      const imms = f['imms']!;
      const mask = imms >= immr ? ones(imms - immr + 1) : rotateRight(ones(imms + 1), immr, width);
      return { rotation: BigInt(immr), mask, keep: mask ^ ones(width) };
    },
  };
}

/** EXTR's lsb: the low half shifted `right`, the high half by one and then by `left`. */
export function extractShifts(): OperandKind<{ left: 'imm'; right: 'imm' }> {
  return {
    shape: { left: 'imm', right: 'imm' },
    syntax: '#<lsb>',
    fields: ['imms', 'N'],
    decode: (f) => ({ left: BigInt(widthOf(f) - 1 - f['imms']!), right: BigInt(f['imms']!) }),
    print: (f) => `#${f['imms']}`,
    parse(cursor, before) {
      const imms = takeNumber(cursor, 'lsb', 0, widthOf(before) - 1);
      return imms instanceof Mismatch ? imms : { imms, N: before['sf']! };
    },
  };
}

/** Alias operands serve text alone; they have nothing for semantics. */
type Text = OperandKind<Shape>;

function text(
  syntax: string,
  fields: readonly string[],
  print: (f: Fields) => string,
  parse: Text['parse'],
): Text {
  return { shape: {}, syntax, fields, decode: () => ({}), print, parse };
}

const shiftFields = ['immr', 'imms', 'N'];

/** `lsr`, `asr`: immr is the amount, imms the top bit. */
export const shiftRightAmount = (): Text =>
  text(
    '#<shift>',
    shiftFields,
    (f) => `#${f['immr']}`,
    (cursor, before) => {
      const immr = takeNumber(cursor, 'shift amount', 0, widthOf(before) - 1);
      return immr instanceof Mismatch ? immr : { immr, imms: widthOf(before) - 1, N: before['sf']! };
    },
  );

/** `lsl`: immr is minus the amount, imms the top bit less the amount. */
export const shiftLeftAmount = (): Text =>
  text(
    '#<shift>',
    shiftFields,
    (f) => `#${widthOf(f) - 1 - f['imms']!}`,
    (cursor, before) => {
      const width = widthOf(before);
      const amount = takeNumber(cursor, 'shift amount', 0, width - 1);
      if (amount instanceof Mismatch) return amount;
      return { immr: (width - amount) % width, imms: width - 1 - amount, N: before['sf']! };
    },
  );

/** `#<lsb>, #<width>` of an extraction (ubfx, sbfx, bfxil). */
export const extractedField = (): Text =>
  text(
    '#<lsb>, #<width>',
    shiftFields,
    (f) => `#${f['immr']}, #${f['imms']! - f['immr']! + 1}`,
    (cursor, before) => {
      const immr = takeNumber(cursor, 'lsb', 0, widthOf(before) - 1);
      if (immr instanceof Mismatch) return immr;
      const width = takeNumber(cursor, 'width', 1, widthOf(before) - immr);
      return width instanceof Mismatch ? width : { immr, imms: immr + width - 1, N: before['sf']! };
    },
  );

/** `#<lsb>, #<width>` of an insertion into zeros or the destination (ubfiz, sbfiz, bfi, bfc). */
export const insertedField = (): Text =>
  text(
    '#<lsb>, #<width>',
    shiftFields,
    (f) => `#${(widthOf(f) - f['immr']!) % widthOf(f)}, #${f['imms']! + 1}`,
    (cursor, before) => {
      const registerWidth = widthOf(before);
      const lsb = takeNumber(cursor, 'lsb', 0, registerWidth - 1);
      if (lsb instanceof Mismatch) return lsb;
      const width = takeNumber(cursor, 'width', 1, registerWidth - lsb);
      if (width instanceof Mismatch) return width;
      return { immr: (registerWidth - lsb) % registerWidth, imms: width - 1, N: before['sf']! };
    },
  );
