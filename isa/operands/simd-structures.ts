/**
 * Operands of structure loads and stores: a list with an element, and post-indexed addresses whose
 * immediate is the size of what is transferred, so that only the text has it.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD load/store single structure"; J1 for index and scale.
 */
import type { Concrete, Fields, OperandKind } from '../row.js';
import { Mismatch, type OperandCursor } from '../syntax.js';
import { evaluateImmediate } from './immediates.js';
import { baseSlot, takeMemory } from './memory.js';
import { gprName, takeGpr } from './registers.js';
import { type ElementRule, VListElement } from './vector-registers.js';

/** Log2 of the element's bytes: `scale` and, for words and doublewords, the low bit of `size`. */
export const structureSize = (f: Fields): number => (f['scale'] === 2 ? 2 + (f['size']! & 1) : f['scale']!);

/** Whether `scale`, `S` and `size` are an element's: index bits that its size has no use for are 0. */
export const isStructureElement = (f: Fields): boolean =>
  f['scale'] === 0 ||
  (f['scale'] === 1 && (f['size']! & 1) === 0) ||
  (f['scale'] === 2 && (f['size'] === 0 || (f['size'] === 1 && f['S'] === 0)));

const RULE: ElementRule = {
  fields: ['Q', 'scale', 'S', 'size'],
  size: structureSize,
  index: (f) => (f['Q']! * 8 + f['S']! * 4 + f['size']!) >> structureSize(f),
  encode(size, index) {
    // Q:S:size is the index, shifted to the left by the element's size.
    const all = index << size;
    return {
      Q: all >> 3,
      S: (all >> 2) & 1,
      size: size === 3 ? 1 : all & 3,
      scale: Math.min(size, 2),
    };
  },
};

type Shape = { readonly reg: 'vreg'; readonly index: 'imm'; readonly size: 'static' };

/** `{<Vt>.<Ts>, ...}[<index>]` of `count` registers; the size is log2 of the element's bytes. */
export function structureElement(count: number): OperandKind<Shape> {
  const kind = VListElement('Rt', count, RULE);
  return {
    ...kind,
    shape: { reg: 'vreg', index: 'imm', size: 'static' },
    decode: (f): Concrete<Shape> => ({ ...kind.decode(f), size: structureSize(f) }),
  };
}

/** Takes `[<Xn|SP>]`, the whole operand or what stands in front of a post-index. */
function takeBase(cursor: OperandCursor): number | Mismatch {
  const memory = takeMemory(cursor);
  if (memory instanceof Mismatch) return memory;
  if (memory.offset !== undefined || memory.writeback) return new Mismatch(memory.span, 'expected [base]');
  return memory.base.number;
}

/** `[<Xn|SP>]`, without any offset. */
export const memPlain: OperandKind<'reg'> = {
  shape: 'reg',
  syntax: '[<Xn|SP>]',
  fields: ['Rn'],
  decode: (f) => baseSlot(f['Rn']!),
  print: (f) => `[${gprName(f['Rn']!, 64, 'sp')}]`,
  parse(cursor) {
    const Rn = takeBase(cursor);
    return Rn instanceof Mismatch ? Rn : { Rn };
  },
};

/** `[<Xn|SP>], #<bytes>`: the bytes follow from the operands to the left. */
export function memPostBytes(bytesOf: (f: Fields) => number): OperandKind<'reg'> {
  return {
    shape: 'reg',
    syntax: '[<Xn|SP>], #<bytes>',
    fields: ['Rn'],
    decode: (f) => baseSlot(f['Rn']!),
    print: (f) => `[${gprName(f['Rn']!, 64, 'sp')}], #${bytesOf(f)}`,
    parse(cursor, before) {
      const Rn = takeBase(cursor);
      if (Rn instanceof Mismatch) return Rn;
      const operand = cursor.take('immediate', 'a post-index immediate');
      if (operand instanceof Mismatch) return operand;
      const value = evaluateImmediate(operand, cursor.context);
      if (value instanceof Mismatch) return value;
      const bytes = bytesOf(before);
      if (value === BigInt(bytes)) return { Rn };
      return new Mismatch(operand.span, `the post-index must be ${bytes}, the bytes transferred`, {
        weight: 1,
      });
    },
  };
}

/** `[<Xn|SP>], <Xm>`; register 31 would be the immediate form. */
export const memPostRegister: OperandKind<{ base: 'reg'; index: 'reg' }> = {
  shape: { base: 'reg', index: 'reg' },
  syntax: '[<Xn|SP>], <Xm>',
  fields: ['Rn', 'Rm'],
  decode: (f) => ({ base: baseSlot(f['Rn']!), index: f['Rm']! }),
  print: (f) => `[${gprName(f['Rn']!, 64, 'sp')}], ${gprName(f['Rm']!, 64, 'zero')}`,
  parse(cursor) {
    const Rn = takeBase(cursor);
    if (Rn instanceof Mismatch) return Rn;
    const index = takeGpr(cursor, 64, 'zero');
    if (index instanceof Mismatch) return index;
    if (index.number === 31) {
      return new Mismatch(index.span, 'the zero register cannot be the post-index', { weight: 1 });
    }
    return { Rn, Rm: index.number };
  },
};
