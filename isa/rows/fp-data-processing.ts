/**
 * Scalar floating-point arithmetic: one, two and three sources, conversions between formats, rounding to
 * integral values.
 *
 * FNMUL and the negated multiply-adds negate operands or results as bits, NaNs included, as the
 * pseudocode's FPNeg does.
 *
 * Ref. DDI 0487, C4.1.96 "Floating-point data-processing (1 source)", "(2 source)", "(3 source)"; C7.2.
 */
import type { Builder, FpBinary, FpSize, Rounding, Words } from '../builder.js';
import { F } from '../operands/fp-registers.js';
import { defineRow, type Row } from '../row.js';
import { DOUBLE, FORMATS, type FpFormat, HALF, SINGLE } from './fp-common.js';

/** FPNeg: the sign bit turned. */
function negated<T extends Words>(b: Builder<T>, size: FpSize, value: T['x']): T['x'] {
  return b.xor(64, value, b.imm(1n << BigInt(size - 1)));
}

// ---- one source --------------------------------------------------------------------------------------

/** What one source becomes. */
type Change = <T extends Words>(b: Builder<T>, size: FpSize, value: T['x']) => T['x'];

const oneSource = (
  name: string,
  opcode:
    | '000000'
    | '000001'
    | '000010'
    | '000011'
    | '001000'
    | '001001'
    | '001010'
    | '001011'
    | '001100'
    | '001110'
    | '001111'
    | '010000'
    | '010001'
    | '010010'
    | '010011',
  format: FpFormat,
  summary: string,
  change: Change,
  feature: string = format.feature,
): Row =>
  defineRow({
    id: `${name.toUpperCase()}_${format.mark}${name === 'fmov' ? '_register' : ''}`,
    name,
    pattern: `0 0 0 11110 ${format.ftype} 1 ${opcode} 10000 Rn:5 Rd:5`,
    class: 'fp',
    summary: `${summary}, ${format.title}`,
    arm: `C7.2 ${name.toUpperCase()} (${name === 'fmov' ? 'register' : 'scalar'})`,
    feature,
    operands: { rd: F('Rd', format.size), rn: F('Rn', format.size) },
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeF(format.size, rd, change(b, format.size, b.readF(format.size, rn)));
    },
  });

const round =
  (rounding: Rounding, exact = false): Change =>
  (b, size, value) =>
    b.fpRoundInt(size, value, rounding, exact);
const roundN =
  (rounding: 'zero' | 'fpcr', bits: 32 | 64): Change =>
  (b, size, value) =>
    b.fpRoundIntN(size, value, rounding, bits);

const oneSourceRows = (format: FpFormat): Row[] => [
  oneSource('fmov', '000000', format, 'Floating-point move', (_, _size, value) => value),
  oneSource('fabs', '000001', format, 'Floating-point absolute value', (b, size, value) =>
    b.and(64, value, b.imm((1n << BigInt(size - 1)) - 1n)),
  ),
  oneSource('fneg', '000010', format, 'Floating-point negate', negated),
  oneSource('fsqrt', '000011', format, 'Floating-point square root', (b, size, value) =>
    b.fp1('sqrt', size, value),
  ),
  oneSource('frintn', '001000', format, 'Round to integral, to nearest with ties to even', round('tieEven')),
  oneSource('frintp', '001001', format, 'Round to integral, towards plus infinity', round('posInf')),
  oneSource('frintm', '001010', format, 'Round to integral, towards minus infinity', round('negInf')),
  oneSource('frintz', '001011', format, 'Round to integral, towards zero', round('zero')),
  oneSource('frinta', '001100', format, 'Round to integral, to nearest with ties away', round('tieAway')),
  oneSource('frintx', '001110', format, 'Round to integral exact, by FPCR', round('fpcr', true)),
  oneSource('frinti', '001111', format, 'Round to integral, by FPCR', round('fpcr')),
];

const roundNRows = (format: FpFormat): Row[] => [
  oneSource(
    'frint32z',
    '010000',
    format,
    'Round to 32-bit integer towards zero',
    roundN('zero', 32),
    'FEAT_FRINTTS',
  ),
  oneSource(
    'frint32x',
    '010001',
    format,
    'Round to 32-bit integer by FPCR',
    roundN('fpcr', 32),
    'FEAT_FRINTTS',
  ),
  oneSource(
    'frint64z',
    '010010',
    format,
    'Round to 64-bit integer towards zero',
    roundN('zero', 64),
    'FEAT_FRINTTS',
  ),
  oneSource(
    'frint64x',
    '010011',
    format,
    'Round to 64-bit integer by FPCR',
    roundN('fpcr', 64),
    'FEAT_FRINTTS',
  ),
];

/** FCVT needs no FEAT_FP16: halves can be stored and converted without arithmetic on them. */
const convertRow = (from: FpFormat, to: FpFormat): Row =>
  defineRow({
    id: `FCVT_${to.mark}_${from.mark}`,
    name: 'fcvt',
    pattern: `0 0 0 11110 ${from.ftype} 1 0001 ${to.ftype} 10000 Rn:5 Rd:5`,
    class: 'fp',
    summary: `Floating-point convert, ${from.title} to ${to.title}`,
    arm: 'C7.2 FCVT',
    feature: 'FEAT_FP',
    operands: { rd: F('Rd', to.size), rn: F('Rn', from.size) },
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeF(to.size, rd, b.fpConvert(to.size, from.size, b.readF(from.size, rn), 'fpcr'));
    },
  });

// ---- two sources -------------------------------------------------------------------------------------

const TWO_SOURCE = [
  ['fmul', '0000', 'mul', 'Floating-point multiply'],
  ['fdiv', '0001', 'div', 'Floating-point divide'],
  ['fadd', '0010', 'add', 'Floating-point add'],
  ['fsub', '0011', 'sub', 'Floating-point subtract'],
  ['fmax', '0100', 'max', 'Floating-point maximum'],
  ['fmin', '0101', 'min', 'Floating-point minimum'],
  ['fmaxnm', '0110', 'maxNum', 'Floating-point maximum number'],
  ['fminnm', '0111', 'minNum', 'Floating-point minimum number'],
  ['fnmul', '1000', 'mul', 'Floating-point multiply and negate'],
] as const satisfies readonly (readonly [string, string, FpBinary, string])[];

const twoSourceRow = (
  [name, opcode, operation, summary]: (typeof TWO_SOURCE)[number],
  format: FpFormat,
): Row =>
  defineRow({
    id: `${name.toUpperCase()}_${format.mark}`,
    name,
    pattern: `0 0 0 11110 ${format.ftype} 1 Rm:5 ${opcode} 10 Rn:5 Rd:5`,
    class: 'fp',
    summary: `${summary}, ${format.title}`,
    arm: `C7.2 ${name.toUpperCase()} (scalar)`,
    feature: format.feature,
    operands: { rd: F('Rd', format.size), rn: F('Rn', format.size), rm: F('Rm', format.size) },
    execute: (b, { rd, rn, rm }) => {
      b.checkFPAdvSIMDEnabled();
      const { size } = format;
      const result = b.fp2(operation, size, b.readF(size, rn), b.readF(size, rm));
      b.writeF(size, rd, name === 'fnmul' ? negated(b, size, result) : result);
    },
  });

// ---- three sources -----------------------------------------------------------------------------------

/** `negateAddend` and `negateProduct`: bits o1 and o1 EOR o0. */
const THREE_SOURCE = [
  ['fmadd', '0', '0', 'Floating-point fused multiply-add'],
  ['fmsub', '0', '1', 'Floating-point fused multiply-subtract'],
  ['fnmadd', '1', '0', 'Floating-point negated fused multiply-add'],
  ['fnmsub', '1', '1', 'Floating-point negated fused multiply-subtract'],
] as const;

const threeSourceRow = ([name, o1, o0, summary]: (typeof THREE_SOURCE)[number], format: FpFormat): Row =>
  defineRow({
    id: `${name.toUpperCase()}_${format.mark}`,
    name,
    pattern: `0 0 0 11111 ${format.ftype} ${o1} Rm:5 ${o0} Ra:5 Rn:5 Rd:5`,
    class: 'fp',
    summary: `${summary}, ${format.title}`,
    arm: `C7.2 ${name.toUpperCase()}`,
    feature: format.feature,
    operands: {
      rd: F('Rd', format.size),
      rn: F('Rn', format.size),
      rm: F('Rm', format.size),
      ra: F('Ra', format.size),
    },
    execute: (b, { rd, rn, rm, ra }) => {
      b.checkFPAdvSIMDEnabled();
      const { size } = format;
      const negateAddend = o1 === '1';
      const negateProduct = o0 !== o1;
      const addend = b.readF(size, ra);
      const factor = b.readF(size, rn);
      const result = b.fp3(
        'mulAdd',
        size,
        negateAddend ? negated(b, size, addend) : addend,
        negateProduct ? negated(b, size, factor) : factor,
        b.readF(size, rm),
      );
      b.writeF(size, rd, result);
    },
  });

export const rows: readonly Row[] = [
  ...FORMATS.flatMap(oneSourceRows),
  ...[SINGLE, DOUBLE].flatMap(roundNRows),
  ...[SINGLE, DOUBLE, HALF].flatMap((from) =>
    [SINGLE, DOUBLE, HALF].filter((to) => to !== from).map((to) => convertRow(from, to)),
  ),
  ...TWO_SOURCE.flatMap((operation) => FORMATS.map((format) => twoSourceRow(operation, format))),
  ...THREE_SOURCE.flatMap((operation) => FORMATS.map((format) => threeSourceRow(operation, format))),
];
