/**
 * Advanced SIMD two-register miscellaneous, floating point: comparisons with zero, signs, square roots and
 * estimates, roundings, conversions; vectors and scalars in single, double and half precision.
 *
 * What the builder has for single numbers only is done lane by lane.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD two-register miscellaneous", "... (FP16)" and their scalar
 * counterparts.
 */
import type { Builder, FpSize, FpTest, FpUnary, Rounding, Words } from '../builder.js';
import { fpZeroImm } from '../operands/fp-immediates.js';
import { F } from '../operands/fp-registers.js';
import {
  arranged,
  FLOATS,
  FLOATS_NARROW,
  FLOATS_WIDE,
  HALVES_Q,
  SINGLES_Q,
  scalarFloat,
} from '../operands/simd-arrangements.js';
import { only, V } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import {
  absolute,
  type Bits,
  floatOf,
  halfNames,
  mapped,
  negated,
  vectorOf,
  writeHalf,
  zeros,
} from './simd-common.js';

/** What an operation does to the lowest `lanes` lanes. */
type Change = <T extends Words>(b: Builder<T>, size: FpSize, lanes: number, n: T['q']) => T['q'];

/** Where the operation is: not all are in all of the four classes. */
type Where = 'all' | 'vector' | 'scalar' | 'vector, no half';

interface Operation {
  readonly name: string;
  readonly U: '0' | '1';
  readonly a: '0' | '1';
  readonly opcode: Bits;
  readonly title: string;
  readonly change: Change;
  readonly where: Where;
  readonly zero?: true;
  readonly feature?: 'FEAT_FRINTTS';
}

const unary =
  (operation: FpUnary): Change =>
  (b, size, lanes, n) =>
    b.vfp1(operation, size, lanes, n);
const withZero =
  (test: FpTest, swapped = false): Change =>
  (b, size, lanes, n) =>
    swapped ? b.vfpTest(test, size, lanes, zeros(b), n) : b.vfpTest(test, size, lanes, n, zeros(b));
const round =
  (rounding: Rounding, exact = false): Change =>
  (b, size, lanes, n) =>
    mapped(b, size, size, lanes, n, (lane) => b.fpRoundInt(size, lane, rounding, exact));
const roundTo =
  (bits: 32 | 64, rounding: Rounding): Change =>
  (b, size, lanes, n) =>
    mapped(b, size, size, lanes, n, (lane) => b.fpRoundIntN(size, lane, rounding, bits));
const toInteger =
  (unsigned: boolean, rounding: Rounding): Change =>
  (b, size, lanes, n) =>
    mapped(b, size, size, lanes, n, (lane) => b.fpToFixed(size, size, lane, b.imm(0), unsigned, rounding));
const fromInteger =
  (unsigned: boolean): Change =>
  (b, size, lanes, n) =>
    mapped(b, size, size, lanes, n, (lane) => b.fixedToFp(size, size, lane, b.imm(0), unsigned, 'fpcr'));

const row = (
  name: string,
  U: '0' | '1',
  a: '0' | '1',
  opcode: Bits,
  title: string,
  change: Change,
  where: Where,
  more: { readonly zero?: true; readonly feature?: 'FEAT_FRINTTS' } = {},
): Operation => ({ name, U, a, opcode, title, change, where, ...more });

const ZERO = { zero: true } as const;
const TS = { feature: 'FEAT_FRINTTS' } as const;

const OPERATIONS: readonly Operation[] = [
  row('fcmgt', '0', '1', '01100', 'compare greater than zero', withZero('gt'), 'all', ZERO),
  row('fcmeq', '0', '1', '01101', 'compare equal to zero', withZero('eq'), 'all', ZERO),
  row('fcmlt', '0', '1', '01110', 'compare less than zero', withZero('gt', true), 'all', ZERO),
  row('fcmge', '1', '1', '01100', 'compare greater than or equal to zero', withZero('ge'), 'all', ZERO),
  row('fcmle', '1', '1', '01101', 'compare less than or equal to zero', withZero('ge', true), 'all', ZERO),
  row('fabs', '0', '1', '01111', 'absolute value', (b, size, _, n) => absolute(b, size, n), 'vector'),
  row('fneg', '1', '1', '01111', 'negate', (b, size, _, n) => negated(b, size, n), 'vector'),
  row('fsqrt', '1', '1', '11111', 'square root', unary('sqrt'), 'vector'),
  row('frecpe', '0', '1', '11101', 'reciprocal estimate', unary('recipEstimate'), 'all'),
  row('frsqrte', '1', '1', '11101', 'reciprocal square root estimate', unary('rsqrtEstimate'), 'all'),
  row('frecpx', '0', '1', '11111', 'reciprocal exponent', unary('recpX'), 'scalar'),
  row('frintn', '0', '0', '11000', 'round to integral, to nearest, ties to even', round('tieEven'), 'vector'),
  row('frintm', '0', '0', '11001', 'round to integral, toward minus infinity', round('negInf'), 'vector'),
  row('frintp', '0', '1', '11000', 'round to integral, toward plus infinity', round('posInf'), 'vector'),
  row('frintz', '0', '1', '11001', 'round to integral, toward zero', round('zero'), 'vector'),
  row('frinta', '1', '0', '11000', 'round to integral, to nearest, ties away', round('tieAway'), 'vector'),
  row('frintx', '1', '0', '11001', 'round to integral exact', round('fpcr', true), 'vector'),
  row('frinti', '1', '1', '11001', 'round to integral, using FPCR', round('fpcr'), 'vector'),
  row(
    'frint32z',
    '0',
    '0',
    '11110',
    'round to 32-bit integer, toward zero',
    roundTo(32, 'zero'),
    'vector, no half',
    TS,
  ),
  row(
    'frint64z',
    '0',
    '0',
    '11111',
    'round to 64-bit integer, toward zero',
    roundTo(64, 'zero'),
    'vector, no half',
    TS,
  ),
  row(
    'frint32x',
    '1',
    '0',
    '11110',
    'round to 32-bit integer, using FPCR',
    roundTo(32, 'fpcr'),
    'vector, no half',
    TS,
  ),
  row(
    'frint64x',
    '1',
    '0',
    '11111',
    'round to 64-bit integer, using FPCR',
    roundTo(64, 'fpcr'),
    'vector, no half',
    TS,
  ),
  row('fcvtns', '0', '0', '11010', 'convert to signed, to nearest even', toInteger(false, 'tieEven'), 'all'),
  row('fcvtms', '0', '0', '11011', 'convert to signed, downward', toInteger(false, 'negInf'), 'all'),
  row('fcvtas', '0', '0', '11100', 'convert to signed, ties away', toInteger(false, 'tieAway'), 'all'),
  row('fcvtps', '0', '1', '11010', 'convert to signed, upward', toInteger(false, 'posInf'), 'all'),
  row('fcvtzs', '0', '1', '11011', 'convert to signed, toward zero', toInteger(false, 'zero'), 'all'),
  row('fcvtnu', '1', '0', '11010', 'convert to unsigned, to nearest even', toInteger(true, 'tieEven'), 'all'),
  row('fcvtmu', '1', '0', '11011', 'convert to unsigned, downward', toInteger(true, 'negInf'), 'all'),
  row('fcvtau', '1', '0', '11100', 'convert to unsigned, ties away', toInteger(true, 'tieAway'), 'all'),
  row('fcvtpu', '1', '1', '11010', 'convert to unsigned, upward', toInteger(true, 'posInf'), 'all'),
  row('fcvtzu', '1', '1', '11011', 'convert to unsigned, toward zero', toInteger(true, 'zero'), 'all'),
  row('scvtf', '0', '0', '11101', 'convert from signed integer', fromInteger(false), 'all'),
  row('ucvtf', '1', '0', '11101', 'convert from unsigned integer', fromInteger(true), 'all'),
];

const zero = fpZeroImm();
const vectors = { rd: V('Rd', FLOATS), rn: V('Rn', FLOATS) };
const halves = { rd: V('Rd', HALVES_Q), rn: V('Rn', HALVES_Q) };
const scalars = { rd: scalarFloat('Rd'), rn: scalarFloat('Rn') };
const scalarHalves = { rd: F('Rd', 16), rn: F('Rn', 16) };

interface Registers<T extends Words> {
  readonly rd: T['vreg'];
  readonly rn: T['vreg'];
}

/** `change` on the lowest `w` bits. */
function apply<T extends Words>(
  b: Builder<T>,
  change: Change,
  size: FpSize,
  w: FpSize | 128,
  { rd, rn }: Registers<T>,
): void {
  b.checkFPAdvSIMDEnabled();
  b.writeV(w, rd, change(b, size, w / size, b.readV(w, rn)));
}

function vectorRows({ name, U, a, opcode, title, change, where, zero: hasZero, feature }: Operation): Row[] {
  const id = name.toUpperCase();
  const shared = { name, class: 'simd', arm: `C7.2 ${id}${hasZero ? ' (zero)' : ' (vector)'}` } as const;
  const single = defineRow({
    ...shared,
    id: `${id}_asimdmisc`,
    pattern: `0 Q ${U} 01110 ${a} sz 10000 ${opcode} 10 Rn:5 Rd:5`,
    summary: `Floating-point ${title} (vector)`,
    feature: feature ?? 'FEAT_AdvSIMD',
    statics: ['Q', 'sz'],
    where: arranged(FLOATS),
    operands: hasZero ? { ...vectors, zero } : vectors,
    execute: (b, registers, { Q, sz }) => apply(b, change, floatOf(sz), vectorOf(Q), registers),
  });
  if (where === 'vector, no half') return [single];
  return [
    single,
    defineRow({
      ...shared,
      id: `${id}_asimdmiscfp16`,
      pattern: `0 Q ${U} 01110 ${a} 111100 ${opcode} 10 Rn:5 Rd:5`,
      summary: `Floating-point ${title} (vector, half precision)`,
      feature: 'FEAT_FP16',
      statics: ['Q'],
      operands: hasZero ? { ...halves, zero } : halves,
      execute: (b, registers, { Q }) => apply(b, change, 16, vectorOf(Q), registers),
    }),
  ];
}

function scalarRows({ name, U, a, opcode, title, change, zero: hasZero }: Operation): Row[] {
  const id = name.toUpperCase();
  const shared = { name, class: 'simd', arm: `C7.2 ${id}${hasZero ? ' (zero)' : ''}` } as const;
  return [
    defineRow({
      ...shared,
      id: `${id}_asisdmisc`,
      pattern: `01 ${U} 11110 ${a} sz 10000 ${opcode} 10 Rn:5 Rd:5`,
      summary: `Floating-point ${title} (scalar)`,
      feature: 'FEAT_AdvSIMD',
      statics: ['sz'],
      operands: hasZero ? { ...scalars, zero } : scalars,
      execute: (b, registers, { sz }) => apply(b, change, floatOf(sz), floatOf(sz), registers),
    }),
    defineRow({
      ...shared,
      id: `${id}_asisdmiscfp16`,
      pattern: `01 ${U} 11110 ${a} 111100 ${opcode} 10 Rn:5 Rd:5`,
      summary: `Floating-point ${title} (scalar, half precision)`,
      feature: 'FEAT_FP16',
      operands: hasZero ? { ...scalarHalves, zero } : scalarHalves,
      execute: (b, registers) => apply(b, change, 16, 16, registers),
    }),
  ];
}

// ---- between precisions ------------------------------------------------------------------------------

const precisionRow = { class: 'simd', feature: 'FEAT_AdvSIMD' } as const;

const conversions: readonly Row[] = [
  defineRow({
    ...precisionRow,
    id: 'FCVTL_asimdmisc',
    name: halfNames('fcvtl'),
    pattern: '0 Q 0 01110 0 sz 10000 10111 10 Rn:5 Rd:5',
    summary: 'Floating-point convert to higher precision long',
    arm: 'C7.2 FCVTL, FCVTL2',
    statics: ['Q', 'sz'],
    operands: { rd: V('Rd', FLOATS_WIDE), rn: V('Rn', FLOATS_NARROW) },
    execute: (b, { rd, rn }, { Q, sz }) => {
      b.checkFPAdvSIMDEnabled();
      const from = sz ? 32 : 16;
      const to = floatOf(sz);
      const half = b.fromX(b.getLane(64, b.readV(128, rn), b.imm(Q)), b.imm(0));
      b.writeV(
        128,
        rd,
        mapped(b, from, to, 64 / from, half, (lane) => b.fpConvert(to, from, lane, 'fpcr')),
      );
    },
  }),
  defineRow({
    ...precisionRow,
    id: 'FCVTN_asimdmisc',
    name: halfNames('fcvtn'),
    pattern: '0 Q 0 01110 0 sz 10000 10110 10 Rn:5 Rd:5',
    summary: 'Floating-point convert to lower precision narrow',
    arm: 'C7.2 FCVTN, FCVTN2',
    statics: ['Q', 'sz'],
    operands: { rd: V('Rd', FLOATS_NARROW), rn: V('Rn', FLOATS_WIDE) },
    execute: (b, { rd, rn }, { Q, sz }) => {
      b.checkFPAdvSIMDEnabled();
      const from = floatOf(sz);
      const to = sz ? 32 : 16;
      const low = mapped(b, from, to, 128 / from, b.readV(128, rn), (lane) =>
        b.fpConvert(to, from, lane, 'fpcr'),
      );
      writeHalf(b, Q, rd, low);
    },
  }),
  defineRow({
    ...precisionRow,
    id: 'FCVTXN_asimdmisc',
    name: halfNames('fcvtxn'),
    pattern: '0 Q 1 01110 01 10000 10110 10 Rn:5 Rd:5',
    summary: 'Floating-point convert to lower precision narrow, rounding to odd (vector)',
    arm: 'C7.2 FCVTXN, FCVTXN2',
    statics: ['Q'],
    operands: { rd: V('Rd', SINGLES_Q), rn: V('Rn', only('2d')) },
    execute: (b, { rd, rn }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      const low = mapped(b, 64, 32, 2, b.readV(128, rn), (lane) => b.fpConvert(32, 64, lane, 'odd'));
      writeHalf(b, Q, rd, low);
    },
  }),
  defineRow({
    ...precisionRow,
    id: 'FCVTXN_asisdmisc',
    name: 'fcvtxn',
    pattern: '01 1 11110 01 10000 10110 10 Rn:5 Rd:5',
    summary: 'Floating-point convert to lower precision narrow, rounding to odd (scalar)',
    arm: 'C7.2 FCVTXN, FCVTXN2',
    operands: { rd: F('Rd', 32), rn: F('Rn', 64) },
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeF(32, rd, b.fpConvert(32, 64, b.readF(64, rn), 'odd'));
    },
  }),
];

export const rows: readonly Row[] = [
  ...OPERATIONS.filter((o) => o.where !== 'scalar').flatMap(vectorRows),
  ...OPERATIONS.filter((o) => o.where === 'all' || o.where === 'scalar').flatMap(scalarRows),
  ...conversions,
];
