/**
 * One element of a vector register, `v2.s[3]`.
 *
 * Where the number of the element and of the register are in the word depends on the element's size:
 * the `H`, `L` and `M` bits of the by-element class, `imm5` and `imm4` of the copy class. Index and
 * register are operands of the semantics; the size is static.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD vector x indexed element", "Advanced SIMD copy".
 */
import type { Fields, OperandKind } from '../row.js';
import { type Expression, Mismatch, type OperandCursor, type RegisterOperand } from '../syntax.js';
import { gprName, takeGpr } from './registers.js';
import { copySize } from './simd-arrangements.js';
import { type ArrangementRule, V } from './vector-registers.js';

/** A number spread over fields, the highest bits first: field name and width. */
export type Spread = readonly (readonly [field: string, width: number])[];

/** How elements of one size are written and where their numbers are. */
export interface ElementForm {
  /** `h`, `s`; `4b` for a group of four. */
  readonly letter: string;
  /** Field values that this size has. */
  readonly fixed: Fields;
  readonly register: Spread;
  readonly index: Spread;
}

function gather(spread: Spread, fields: Fields): number {
  let value = 0;
  for (const [name, width] of spread) value = value * 2 ** width + fields[name]!;
  return value;
}

function scatter(spread: Spread, value: number): Fields {
  const out: Record<string, number> = {};
  let rest = value;
  for (const [name, width] of spread.toReversed()) {
    out[name] = rest % 2 ** width;
    rest = Math.floor(rest / 2 ** width);
  }
  return out;
}

const limit = (spread: Spread): number => 2 ** spread.reduce((bits, [, width]) => bits + width, 0);

const formOf = (forms: readonly ElementForm[], fields: Fields): ElementForm =>
  forms.find(({ fixed }) => Object.entries(fixed).every(([name, value]) => fields[name] === value)) ??
  forms[0]!;

/** Evaluates an element index; `most` is the highest. */
export function takeIndex(index: Expression, most: number, cursor: OperandCursor): number | Mismatch {
  const value = cursor.context.evaluate(index);
  if (value >= 0n && value <= BigInt(most)) return Number(value);
  return new Mismatch(index.span, `element ${value} out of range 0 to ${most}`, { weight: 1 });
}

/** A vector register with an element index; gives both. */
function takeElement(
  cursor: OperandCursor,
  letters: string,
): { readonly operand: RegisterOperand; readonly letter: string; readonly index: Expression } | Mismatch {
  const at = cursor.at;
  const operand = cursor.take('register', `an element of a vector register (${letters})`);
  if (operand instanceof Mismatch) return operand;
  const { arrangement, index } = operand;
  if (operand.file === 'v' && arrangement !== undefined && index !== undefined) {
    return { operand, letter: arrangement, index };
  }
  cursor.at = at;
  return new Mismatch(operand.span, `expected an element of a vector register (${letters})`);
}

/** `<Vm>.<Ts>[<index>]` of the by-element class. */
export function element(
  label: string,
  forms: readonly ElementForm[],
): OperandKind<{ reg: 'vreg'; index: 'imm' }> {
  const letters = forms.map((form) => form.letter);
  const names = new Set(
    forms.flatMap(({ fixed, register, index }) => [
      ...Object.keys(fixed),
      ...register.map(([name]) => name),
      ...index.map(([name]) => name),
    ]),
  );
  return {
    shape: { reg: 'vreg', index: 'imm' },
    syntax: `<V${label}>.<${forms.length === 1 ? letters[0]!.toUpperCase() : 'Ts'}>[<index>]`,
    fields: [...names],
    decode(f) {
      const form = formOf(forms, f);
      return { reg: gather(form.register, f), index: BigInt(gather(form.index, f)) };
    },
    print(f) {
      const form = formOf(forms, f);
      return `v${gather(form.register, f)}.${form.letter}[${gather(form.index, f)}]`;
    },
    parse(cursor) {
      const taken = takeElement(cursor, letters.join(', '));
      if (taken instanceof Mismatch) return taken;
      const form = forms.find(({ letter }) => letter === taken.letter);
      if (form === undefined) {
        return new Mismatch(taken.operand.span, `the element must be ${letters.join(' or ')}`, { weight: 1 });
      }
      const { number } = taken.operand;
      if (number >= limit(form.register)) {
        return new Mismatch(taken.operand.span, `elements of ${form.letter} are of v0 to v15 only`, {
          weight: 1,
        });
      }
      const index = takeIndex(taken.index, limit(form.index) - 1, cursor);
      if (index instanceof Mismatch) return index;
      return { ...form.fixed, ...scatter(form.register, number), ...scatter(form.index, index) };
    },
  };
}

const RM4: Spread = [['Rm', 4]];
const RM5: Spread = [
  ['M', 1],
  ['Rm', 4],
];
const H: Spread = [['H', 1]];
const HL: Spread = [
  ['H', 1],
  ['L', 1],
];
const HLM: Spread = [
  ['H', 1],
  ['L', 1],
  ['M', 1],
];

/** Integer multiplication by an element: halves or singles by `size`. */
export const ELEMENT_HS = element('m', [
  { letter: 'h', fixed: { size: 1 }, register: RM4, index: HLM },
  { letter: 's', fixed: { size: 2 }, register: RM5, index: HL },
]);
/** Floating point, single or double by `sz`. */
export const ELEMENT_FLOAT = element('m', [
  { letter: 's', fixed: { sz: 0 }, register: RM5, index: HL },
  { letter: 'd', fixed: { sz: 1, L: 0 }, register: RM5, index: H },
]);
/** Half precision: FP16 and FHM. */
export const ELEMENT_HALF = element('m', [{ letter: 'h', fixed: {}, register: RM4, index: HLM }]);
/** Complex numbers: the index is of pairs. */
export const ELEMENT_COMPLEX = element('m', [
  { letter: 'h', fixed: { size: 1 }, register: RM5, index: HL },
  { letter: 's', fixed: { size: 2, L: 0 }, register: RM5, index: H },
]);
/** Four bytes of a dot product. */
export const ELEMENT_BYTES = element('m', [{ letter: '4b', fixed: {}, register: RM5, index: HL }]);

// ---- the copy class ----------------------------------------------------------------------------------

const LETTERS: readonly string[] = ['b', 'h', 's', 'd'];

/**
 * `<Vn>.<Ts>[<index>]` whose size and number are in imm5, or whose number is in `imm4` where another
 * operand's imm5 says the size. `sizes`: the letters allowed.
 */
export function copyElement(
  field: string,
  sizes: string,
  indexIn: 'imm5' | 'imm4' = 'imm5',
): OperandKind<{ reg: 'vreg'; size: 'static'; index: 'imm' }> {
  const index = (f: Fields) =>
    indexIn === 'imm5' ? f['imm5']! >> (copySize(f['imm5']!) + 1) : f['imm4']! >> copySize(f['imm5']!);
  return {
    shape: { reg: 'vreg', size: 'static', index: 'imm' },
    syntax: `<V${field.slice(1)}>.<Ts>[<index>]`,
    fields: indexIn === 'imm5' ? [field, 'imm5'] : [field, 'imm5', 'imm4'],
    decode: (f) => ({ reg: f[field]!, size: copySize(f['imm5']!), index: BigInt(index(f)) }),
    print: (f) => `v${f[field]!}.${LETTERS[copySize(f['imm5']!)] ?? '?'}[${index(f)}]`,
    parse(cursor, before) {
      const taken = takeElement(cursor, [...sizes].join(', '));
      if (taken instanceof Mismatch) return taken;
      const size = LETTERS.indexOf(taken.letter);
      if (size < 0 || !sizes.includes(taken.letter)) {
        return new Mismatch(taken.operand.span, `the element must be ${[...sizes].join(' or ')}`, {
          weight: 1,
        });
      }
      const number = takeIndex(taken.index, (16 >> size) - 1, cursor);
      if (number instanceof Mismatch) return number;
      if (indexIn === 'imm5')
        return { [field]: taken.operand.number, imm5: (2 * number + 1) << size, lane: size };
      if (copySize(before['imm5']!) !== size) {
        return new Mismatch(taken.operand.span, 'the elements differ in size', { weight: 1 });
      }
      return { [field]: taken.operand.number, imm4: number << size };
    },
  };
}

/** One register of the text that stands in two fields: the source of MOV (vector). */
export function sameVector(first: string, second: string, rule: ArrangementRule): OperandKind<'vreg'> {
  const kind = V(first, rule);
  return {
    ...kind,
    fields: [...kind.fields, second],
    parse(cursor, before) {
      const fields = kind.parse(cursor, before);
      return fields instanceof Mismatch ? fields : { ...fields, [second]: fields[first]! };
    },
  };
}

/**
 * The general-purpose register of a copy: X for doublewords, W for all else. In INS the element's imm5
 * says which (`choosesSize` false); in DUP the destination's arrangement does, and imm5 has no index.
 */
export function copiedRegister(
  field: string,
  options: { readonly choosesSize?: boolean } = {},
): OperandKind<{ reg: 'reg'; size: 'static' }> {
  const { choosesSize = false } = options;
  const width = (size: number) => (size === 3 ? 64 : 32);
  return {
    shape: { reg: 'reg', size: 'static' },
    syntax: `<R><${field.slice(1)}>`,
    fields: [field, 'imm5'],
    decode: (f) => ({ reg: f[field]!, size: copySize(f['imm5']!) }),
    print: (f) => gprName(f[field]!, width(copySize(f['imm5']!)), 'zero'),
    parse(cursor, before) {
      const lane = before['lane']!;
      const taken = takeGpr(cursor, width(lane), 'zero');
      if (taken instanceof Mismatch) return taken;
      return choosesSize ? { [field]: taken.number, imm5: 1 << lane } : { [field]: taken.number };
    },
  };
}
