/**
 * Advanced SIMD three same, floating point: vectors and scalars in single, double and half precision.
 *
 * Half precision is a class of its own in the encoding, with the same operations under shorter opcodes.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD three same", "Advanced SIMD three same (FP16)" and their scalar
 * counterparts.
 */
import type { Builder, FpBinary, FpSize, FpTest, Words } from '../builder.js';
import { F } from '../operands/fp-registers.js';
import { arranged, FLOATS, HALVES_Q, scalarFloat } from '../operands/simd-arrangements.js';
import { V } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import { absolute, type Bits, deinterleaved, floatOf, negated, vectorOf } from './simd-common.js';

/** What an operation does to the lowest `lanes` lanes. */
type Combine = <T extends Words>(
  b: Builder<T>,
  size: FpSize,
  lanes: number,
  n: T['q'],
  m: T['q'],
  old: () => T['q'],
) => T['q'];

interface Operation {
  readonly name: string;
  readonly U: '0' | '1';
  readonly a: '0' | '1';
  /** The opcode's last three bits; it begins with 11. */
  readonly opcode: '000' | '001' | '010' | '011' | '100' | '101' | '110' | '111';
  readonly title: string;
  readonly combine: Combine;
  /** Pairs of lanes of both sources, not lanes. */
  readonly pairwise?: true;
  readonly scalar?: true;
}

const two =
  (operation: FpBinary): Combine =>
  (b, size, lanes, n, m) =>
    b.vfp2(operation, size, lanes, n, m);
const test =
  (operation: FpTest): Combine =>
  (b, size, lanes, n, m) =>
    b.vfpTest(operation, size, lanes, n, m);
const absoluteTest =
  (operation: FpTest): Combine =>
  (b, size, lanes, n, m) =>
    b.vfpTest(operation, size, lanes, absolute(b, size, n), absolute(b, size, m));
const difference: Combine = (b, size, lanes, n, m) => absolute(b, size, b.vfp2('sub', size, lanes, n, m));
const mulAdd: Combine = (b, size, lanes, n, m, old) => b.vfp3('mulAdd', size, lanes, old(), n, m);
const mulSub: Combine = (b, size, lanes, n, m, old) =>
  b.vfp3('mulAdd', size, lanes, old(), negated(b, size, n), m);

const OPERATIONS: readonly Operation[] = [
  { name: 'fmaxnm', U: '0', a: '0', opcode: '000', title: 'maximum number', combine: two('maxNum') },
  { name: 'fmla', U: '0', a: '0', opcode: '001', title: 'fused multiply-add', combine: mulAdd },
  { name: 'fadd', U: '0', a: '0', opcode: '010', title: 'add', combine: two('add') },
  {
    name: 'fmulx',
    U: '0',
    a: '0',
    opcode: '011',
    title: 'multiply extended',
    combine: two('mulX'),
    scalar: true,
  },
  { name: 'fcmeq', U: '0', a: '0', opcode: '100', title: 'compare equal', combine: test('eq'), scalar: true },
  { name: 'fmax', U: '0', a: '0', opcode: '110', title: 'maximum', combine: two('max') },
  {
    name: 'frecps',
    U: '0',
    a: '0',
    opcode: '111',
    title: 'reciprocal step',
    combine: two('recipStep'),
    scalar: true,
  },
  { name: 'fminnm', U: '0', a: '1', opcode: '000', title: 'minimum number', combine: two('minNum') },
  { name: 'fmls', U: '0', a: '1', opcode: '001', title: 'fused multiply-subtract', combine: mulSub },
  { name: 'fsub', U: '0', a: '1', opcode: '010', title: 'subtract', combine: two('sub') },
  { name: 'fmin', U: '0', a: '1', opcode: '110', title: 'minimum', combine: two('min') },
  {
    name: 'frsqrts',
    U: '0',
    a: '1',
    opcode: '111',
    title: 'reciprocal square root step',
    combine: two('rsqrtStep'),
    scalar: true,
  },
  {
    name: 'fmaxnmp',
    U: '1',
    a: '0',
    opcode: '000',
    title: 'maximum number pairwise',
    combine: two('maxNum'),
    pairwise: true,
  },
  {
    name: 'faddp',
    U: '1',
    a: '0',
    opcode: '010',
    title: 'add pairwise',
    combine: two('add'),
    pairwise: true,
  },
  { name: 'fmul', U: '1', a: '0', opcode: '011', title: 'multiply', combine: two('mul') },
  {
    name: 'fcmge',
    U: '1',
    a: '0',
    opcode: '100',
    title: 'compare greater than or equal',
    combine: test('ge'),
    scalar: true,
  },
  {
    name: 'facge',
    U: '1',
    a: '0',
    opcode: '101',
    title: 'absolute compare greater than or equal',
    combine: absoluteTest('ge'),
    scalar: true,
  },
  {
    name: 'fmaxp',
    U: '1',
    a: '0',
    opcode: '110',
    title: 'maximum pairwise',
    combine: two('max'),
    pairwise: true,
  },
  { name: 'fdiv', U: '1', a: '0', opcode: '111', title: 'divide', combine: two('div') },
  {
    name: 'fminnmp',
    U: '1',
    a: '1',
    opcode: '000',
    title: 'minimum number pairwise',
    combine: two('minNum'),
    pairwise: true,
  },
  {
    name: 'fabd',
    U: '1',
    a: '1',
    opcode: '010',
    title: 'absolute difference',
    combine: difference,
    scalar: true,
  },
  {
    name: 'fcmgt',
    U: '1',
    a: '1',
    opcode: '100',
    title: 'compare greater than',
    combine: test('gt'),
    scalar: true,
  },
  {
    name: 'facgt',
    U: '1',
    a: '1',
    opcode: '101',
    title: 'absolute compare greater than',
    combine: absoluteTest('gt'),
    scalar: true,
  },
  {
    name: 'fminp',
    U: '1',
    a: '1',
    opcode: '110',
    title: 'minimum pairwise',
    combine: two('min'),
    pairwise: true,
  },
];

interface Registers<T extends Words> {
  readonly rd: T['vreg'];
  readonly rn: T['vreg'];
  readonly rm: T['vreg'];
}

function vectorForm<T extends Words>(
  b: Builder<T>,
  { combine, pairwise }: Operation,
  size: FpSize,
  Q: number,
  { rd, rn, rm }: Registers<T>,
): void {
  b.checkFPAdvSIMDEnabled();
  const w = vectorOf(Q);
  const lanes = w / size;
  const old = () => b.readV(w, rd);
  if (pairwise) {
    const [even, odd] = deinterleaved(b, size, Q, b.readV(w, rn), b.readV(w, rm));
    b.writeV(w, rd, combine(b, size, lanes, even, odd, old));
  } else {
    b.writeV(w, rd, combine(b, size, lanes, b.readV(w, rn), b.readV(w, rm), old));
  }
}

function scalarForm<T extends Words>(
  b: Builder<T>,
  { combine }: Operation,
  size: FpSize,
  { rd, rn, rm }: Registers<T>,
): void {
  b.checkFPAdvSIMDEnabled();
  b.writeV(
    size,
    rd,
    combine(b, size, 1, b.readV(size, rn), b.readV(size, rm), () => b.readV(size, rd)),
  );
}

const vectors = { rd: V('Rd', FLOATS), rn: V('Rn', FLOATS), rm: V('Rm', FLOATS) };
const halves = { rd: V('Rd', HALVES_Q), rn: V('Rn', HALVES_Q), rm: V('Rm', HALVES_Q) };
const scalars = { rd: scalarFloat('Rd'), rn: scalarFloat('Rn'), rm: scalarFloat('Rm') };
const scalarHalves = { rd: F('Rd', 16), rn: F('Rn', 16), rm: F('Rm', 16) };

function rowsOf(operation: Operation): Row[] {
  const { name, U, a, title } = operation;
  const opcode: Bits = `11${operation.opcode}`;
  const id = name.toUpperCase();
  const shared = {
    name,
    class: 'simd',
    arm: `C7.2 ${id}`,
  } as const;
  const vector = [
    defineRow({
      ...shared,
      id: `${id}_asimdsame`,
      pattern: `0 Q ${U} 01110 ${a} sz 1 Rm:5 ${opcode} 1 Rn:5 Rd:5`,
      summary: `Floating-point ${title} (vector)`,
      feature: 'FEAT_AdvSIMD',
      statics: ['Q', 'sz'],
      where: arranged(FLOATS),
      operands: vectors,
      execute: (b, registers, { Q, sz }) => vectorForm(b, operation, floatOf(sz), Q, registers),
    }),
    defineRow({
      ...shared,
      id: `${id}_asimdsamefp16`,
      pattern: `0 Q ${U} 01110 ${a} 10 Rm:5 00 ${operation.opcode} 1 Rn:5 Rd:5`,
      summary: `Floating-point ${title} (vector, half precision)`,
      feature: 'FEAT_FP16',
      statics: ['Q'],
      operands: halves,
      execute: (b, registers, { Q }) => vectorForm(b, operation, 16, Q, registers),
    }),
  ];
  if (operation.scalar === undefined) return vector;
  return [
    ...vector,
    defineRow({
      ...shared,
      id: `${id}_asisdsame`,
      pattern: `01 ${U} 11110 ${a} sz 1 Rm:5 ${opcode} 1 Rn:5 Rd:5`,
      summary: `Floating-point ${title} (scalar)`,
      feature: 'FEAT_AdvSIMD',
      statics: ['sz'],
      operands: scalars,
      execute: (b, registers, { sz }) => scalarForm(b, operation, floatOf(sz), registers),
    }),
    defineRow({
      ...shared,
      id: `${id}_asisdsamefp16`,
      pattern: `01 ${U} 11110 ${a} 10 Rm:5 00 ${operation.opcode} 1 Rn:5 Rd:5`,
      summary: `Floating-point ${title} (scalar, half precision)`,
      feature: 'FEAT_FP16',
      operands: scalarHalves,
      execute: (b, registers) => scalarForm(b, operation, 16, registers),
    }),
  ];
}

export const rows: readonly Row[] = OPERATIONS.flatMap(rowsOf);
