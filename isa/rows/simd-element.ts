/**
 * Advanced SIMD by element: every lane of one vector multiplied with one element of another; integers and
 * floating point, vectors and scalars.
 *
 * SQRDMLAH, the dot products, FCMLA and FMLAL by element stand with their vector forms.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD vector x indexed element", "Advanced SIMD scalar x indexed
 * element".
 */
import type { Builder, FpSize, LaneSize, Words } from '../builder.js';
import { F } from '../operands/fp-registers.js';
import {
  arranged,
  FLOATS,
  HALVES_Q,
  LANES_HS,
  scalar,
  scalarFloat,
  WIDE_HS,
} from '../operands/simd-arrangements.js';
import { ELEMENT_FLOAT, ELEMENT_HALF, ELEMENT_HS } from '../operands/simd-elements.js';
import { V } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import {
  type Bits,
  type Combine,
  floatOf,
  halfNames,
  laneOf,
  lanewise,
  narrowOf,
  negated,
  vectorOf,
} from './simd-common.js';
import { type LongCombine, MULTIPLY_LONG } from './simd-three-different.js';

interface Element<T extends Words> {
  readonly reg: T['vreg'];
  readonly index: T['x'];
}

/** The element in every lane. */
function repeated<T extends Words>(b: Builder<T>, size: LaneSize, { reg, index }: Element<T>): T['q'] {
  return b.splat(size, b.getLane(size, b.readV(128, reg), index));
}

const HS = [1, 2];
const isHalfOrSingle = (f: Readonly<Record<'size', number>>) => HS.includes(f.size);

// ---- integers ----------------------------------------------------------------------------------------

interface Multiply {
  readonly name: string;
  readonly U: '0' | '1';
  readonly opcode: Bits;
  readonly title: string;
  readonly combine: Combine;
  readonly scalar?: true;
}

const MULTIPLY: readonly Multiply[] = [
  { name: 'mul', U: '0', opcode: '1000', title: 'Multiply', combine: lanewise('mul') },
  {
    name: 'mla',
    U: '1',
    opcode: '0000',
    title: 'Multiply-add',
    combine: (b, size, n, m, old) => b.v2('add', size, old(), b.v2('mul', size, n, m)),
  },
  {
    name: 'mls',
    U: '1',
    opcode: '0100',
    title: 'Multiply-subtract',
    combine: (b, size, n, m, old) => b.v2('sub', size, old(), b.v2('mul', size, n, m)),
  },
  {
    name: 'sqdmulh',
    U: '0',
    opcode: '1100',
    title: 'Signed saturating doubling multiply high',
    combine: lanewise('sqdmulh'),
    scalar: true,
  },
  {
    name: 'sqrdmulh',
    U: '0',
    opcode: '1101',
    title: 'Signed saturating rounding doubling multiply high',
    combine: lanewise('sqrdmulh'),
    scalar: true,
  },
];

const shared = { class: 'simd', feature: 'FEAT_AdvSIMD' } as const;
const vectors = { rd: V('Rd', LANES_HS), rn: V('Rn', LANES_HS), rm: ELEMENT_HS };

const multiplyRow = ({ name, U, opcode, title, combine }: Multiply): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asimdelem`,
    name,
    pattern: `0 Q ${U} 01111 size:2 L M Rm:4 ${opcode} H 0 Rn:5 Rd:5`,
    summary: `${title} (vector, by element)`,
    arm: `C7.2 ${name.toUpperCase()} (by element)`,
    statics: ['Q', 'size'],
    where: isHalfOrSingle,
    operands: vectors,
    execute: (b, { rd, rn, rm }, { Q, size }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      const lane = laneOf(size);
      b.writeV(
        w,
        rd,
        combine(b, lane, b.readV(w, rn), repeated(b, lane, rm), () => b.readV(w, rd)),
      );
    },
  });

const multiplyScalarRow = ({ name, U, opcode, title, combine }: Multiply): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asisdelem`,
    name,
    pattern: `01 ${U} 11111 size:2 L M Rm:4 ${opcode} H 0 Rn:5 Rd:5`,
    summary: `${title} (scalar, by element)`,
    arm: `C7.2 ${name.toUpperCase()} (by element)`,
    statics: ['size'],
    where: isHalfOrSingle,
    operands: { rd: scalar('Rd', HS), rn: scalar('Rn', HS), rm: ELEMENT_HS },
    execute: (b, { rd, rn, rm }, { size }) => {
      b.checkFPAdvSIMDEnabled();
      const w = laneOf(size);
      b.writeV(
        w,
        rd,
        combine(b, w, b.readV(w, rn), repeated(b, w, rm), () => b.readV(w, rd)),
      );
    },
  });

interface Long {
  readonly name: string;
  readonly signed: boolean;
  readonly opcode: Bits;
  readonly title: string;
  readonly combine: LongCombine;
  readonly scalar?: true;
}

const both = (stem: 'mlal' | 'mlsl' | 'mull', opcode: Bits, title: string): readonly Long[] => [
  { name: `s${stem}`, signed: true, opcode, title: `Signed ${title}`, combine: MULTIPLY_LONG[stem] },
  { name: `u${stem}`, signed: false, opcode, title: `Unsigned ${title}`, combine: MULTIPLY_LONG[stem] },
];
const saturating = (name: 'sqdmlal' | 'sqdmlsl' | 'sqdmull', opcode: Bits, title: string): Long => ({
  name,
  signed: true,
  opcode,
  title: `Signed saturating doubling ${title}`,
  combine: MULTIPLY_LONG[name],
  scalar: true,
});

const LONG: readonly Long[] = [
  ...both('mlal', '0010', 'multiply-add long'),
  ...both('mlsl', '0110', 'multiply-subtract long'),
  ...both('mull', '1010', 'multiply long'),
  saturating('sqdmlal', '0011', 'multiply-add long'),
  saturating('sqdmlsl', '0111', 'multiply-subtract long'),
  saturating('sqdmull', '1011', 'multiply long'),
];

const longRow = ({ name, signed, opcode, title, combine }: Long): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asimdelem`,
    name: halfNames(name),
    pattern: `0 Q ${signed ? '0' : '1'} 01111 size:2 L M Rm:4 ${opcode} H 0 Rn:5 Rd:5`,
    summary: `${title} (vector, by element)`,
    arm: `C7.2 ${name.toUpperCase()}, ${name.toUpperCase()}2 (by element)`,
    statics: ['Q', 'size'],
    where: isHalfOrSingle,
    operands: { rd: V('Rd', WIDE_HS), rn: V('Rn', LANES_HS), rm: ELEMENT_HS },
    execute: (b, { rd, rn, rm }, { Q, size }) => {
      b.checkFPAdvSIMDEnabled();
      const narrow = narrowOf(size);
      const n = b.vWiden(signed, narrow, Q === 1, b.readV(128, rn));
      const m = b.vWiden(signed, narrow, false, repeated(b, narrow, rm));
      b.writeV(
        128,
        rd,
        combine(b, laneOf(size + 1), n, m, () => b.readV(128, rd)),
      );
    },
  });

const longScalarRow = ({ name, opcode, title, combine }: Long): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asisdelem`,
    name,
    pattern: `01 0 11111 size:2 L M Rm:4 ${opcode} H 0 Rn:5 Rd:5`,
    summary: `${title} (scalar, by element)`,
    arm: `C7.2 ${name.toUpperCase()}, ${name.toUpperCase()}2 (by element)`,
    statics: ['size'],
    where: isHalfOrSingle,
    operands: { rd: scalar('Rd', HS, 1), rn: scalar('Rn', HS), rm: ELEMENT_HS },
    execute: (b, { rd, rn, rm }, { size }) => {
      b.checkFPAdvSIMDEnabled();
      const narrow = narrowOf(size);
      const wide = laneOf(size + 1);
      const n = b.vWiden(true, narrow, false, b.readV(narrow, rn));
      const m = b.vWiden(true, narrow, false, repeated(b, narrow, rm));
      b.writeV(
        wide,
        rd,
        combine(b, wide, n, m, () => b.readV(wide, rd)),
      );
    },
  });

// ---- floating point ----------------------------------------------------------------------------------

interface Float {
  readonly name: 'fmla' | 'fmls' | 'fmul' | 'fmulx';
  readonly U: '0' | '1';
  readonly opcode: Bits;
  readonly title: string;
}

const FLOAT: readonly Float[] = [
  { name: 'fmla', U: '0', opcode: '0001', title: 'fused multiply-add' },
  { name: 'fmls', U: '0', opcode: '0101', title: 'fused multiply-subtract' },
  { name: 'fmul', U: '0', opcode: '1001', title: 'multiply' },
  { name: 'fmulx', U: '1', opcode: '1001', title: 'multiply extended' },
];

/** The operation on the lowest `w` bits. */
function multiply<T extends Words>(
  b: Builder<T>,
  name: Float['name'],
  size: FpSize,
  w: FpSize | 128,
  { rd, rn, rm }: { readonly rd: T['vreg']; readonly rn: T['vreg']; readonly rm: Element<T> },
): void {
  b.checkFPAdvSIMDEnabled();
  const lanes = w / size;
  const n = b.readV(w, rn);
  const m = repeated(b, size, rm);
  if (name === 'fmul' || name === 'fmulx') {
    b.writeV(w, rd, b.vfp2(name === 'fmul' ? 'mul' : 'mulX', size, lanes, n, m));
  } else {
    const factor = name === 'fmls' ? negated(b, size, n) : n;
    b.writeV(w, rd, b.vfp3('mulAdd', size, lanes, b.readV(w, rd), factor, m));
  }
}

function floatRows({ name, U, opcode, title }: Float): Row[] {
  const id = name.toUpperCase();
  const common = { ...shared, name, arm: `C7.2 ${id} (by element)` } as const;
  return [
    defineRow({
      ...common,
      id: `${id}_asimdelem`,
      pattern: `0 Q ${U} 01111 1 sz L M Rm:4 ${opcode} H 0 Rn:5 Rd:5`,
      summary: `Floating-point ${title} (vector, by element)`,
      statics: ['Q', 'sz'],
      where: (f) => arranged(FLOATS)(f) && (f.sz === 0 || f.L === 0),
      operands: { rd: V('Rd', FLOATS), rn: V('Rn', FLOATS), rm: ELEMENT_FLOAT },
      execute: (b, registers, { Q, sz }) => multiply(b, name, floatOf(sz), vectorOf(Q), registers),
    }),
    defineRow({
      ...common,
      id: `${id}_asimdelem_h`,
      pattern: `0 Q ${U} 01111 00 L M Rm:4 ${opcode} H 0 Rn:5 Rd:5`,
      summary: `Floating-point ${title} (vector, by element, half precision)`,
      feature: 'FEAT_FP16',
      statics: ['Q'],
      operands: { rd: V('Rd', HALVES_Q), rn: V('Rn', HALVES_Q), rm: ELEMENT_HALF },
      execute: (b, registers, { Q }) => multiply(b, name, 16, vectorOf(Q), registers),
    }),
    defineRow({
      ...common,
      id: `${id}_asisdelem`,
      pattern: `01 ${U} 11111 1 sz L M Rm:4 ${opcode} H 0 Rn:5 Rd:5`,
      summary: `Floating-point ${title} (scalar, by element)`,
      statics: ['sz'],
      where: (f) => f.sz === 0 || f.L === 0,
      operands: { rd: scalarFloat('Rd'), rn: scalarFloat('Rn'), rm: ELEMENT_FLOAT },
      execute: (b, registers, { sz }) => multiply(b, name, floatOf(sz), floatOf(sz), registers),
    }),
    defineRow({
      ...common,
      id: `${id}_asisdelem_h`,
      pattern: `01 ${U} 11111 00 L M Rm:4 ${opcode} H 0 Rn:5 Rd:5`,
      summary: `Floating-point ${title} (scalar, by element, half precision)`,
      feature: 'FEAT_FP16',
      operands: { rd: F('Rd', 16), rn: F('Rn', 16), rm: ELEMENT_HALF },
      execute: (b, registers) => multiply(b, name, 16, 16, registers),
    }),
  ];
}

export const rows: readonly Row[] = [
  ...MULTIPLY.map(multiplyRow),
  ...MULTIPLY.filter((o) => o.scalar).map(multiplyScalarRow),
  ...LONG.map(longRow),
  ...LONG.filter((o) => o.scalar).map(longScalarRow),
  ...FLOAT.flatMap(floatRows),
];
