/**
 * Conversions between scalar floating point and integers or fixed point in general-purpose registers.
 *
 * Ref. DDI 0487, C4.1.96 "Conversion between floating-point and integer", "Conversion between
 * floating-point and fixed-point".
 */
import type { Rounding } from '../builder.js';
import { fractionBits } from '../operands/fp-immediates.js';
import { F } from '../operands/fp-registers.js';
import { R, W } from '../operands/index.js';
import { defineRow, type Row } from '../row.js';
import { width } from './common.js';
import { FORMATS, type FpFormat } from './fp-common.js';

interface ToInteger {
  readonly name: string;
  readonly rmode: '00' | '01' | '10' | '11';
  readonly opcode: '000' | '001' | '100' | '101';
  readonly rounding: Rounding;
  readonly unsigned: boolean;
}

const toInteger = (
  letter: string,
  rmode: ToInteger['rmode'],
  rounding: Rounding,
  away = false,
): readonly ToInteger[] => [
  { name: `fcvt${letter}s`, rmode, opcode: away ? '100' : '000', rounding, unsigned: false },
  { name: `fcvt${letter}u`, rmode, opcode: away ? '101' : '001', rounding, unsigned: true },
];

const TO_INTEGER: readonly ToInteger[] = [
  ...toInteger('n', '00', 'tieEven'),
  ...toInteger('p', '01', 'posInf'),
  ...toInteger('m', '10', 'negInf'),
  ...toInteger('z', '11', 'zero'),
  ...toInteger('a', '00', 'tieAway', true),
];

const ROUNDING_TITLE: Readonly<Record<string, string>> = {
  tieEven: 'to nearest with ties to even',
  posInf: 'towards plus infinity',
  negInf: 'towards minus infinity',
  zero: 'towards zero',
  tieAway: 'to nearest with ties away',
};

const toIntegerRow = (
  { name, rmode, opcode, rounding, unsigned }: ToInteger,
  { size, ftype, mark, title, feature }: FpFormat,
): Row =>
  defineRow({
    id: `${name.toUpperCase()}_${mark}`,
    name,
    pattern: `sf 0 0 11110 ${ftype} 1 ${rmode} ${opcode} 000000 Rn:5 Rd:5`,
    class: 'fp',
    summary: `Convert ${title} to ${unsigned ? 'unsigned' : 'signed'} integer, ${ROUNDING_TITLE[rounding]}`,
    arm: `C7.2 ${name.toUpperCase()} (scalar)`,
    feature,
    statics: ['sf'],
    operands: { rd: R('Rd', 'sf'), rn: F('Rn', size) },
    execute: (b, { rd, rn }, { sf }) => {
      b.checkFPAdvSIMDEnabled();
      const w = width(sf);
      b.writeX(w, rd, b.fpToFixed(w, size, b.readF(size, rn), b.imm(0), unsigned, rounding));
    },
  });

const FROM_INTEGER = [
  ['scvtf', '010', false],
  ['ucvtf', '011', true],
] as const;

const fromIntegerRow = (
  [name, opcode, unsigned]: (typeof FROM_INTEGER)[number],
  { size, ftype, mark, title, feature }: FpFormat,
): Row =>
  defineRow({
    id: `${name.toUpperCase()}_${mark}`,
    name,
    pattern: `sf 0 0 11110 ${ftype} 1 00 ${opcode} 000000 Rn:5 Rd:5`,
    class: 'fp',
    summary: `Convert ${unsigned ? 'unsigned' : 'signed'} integer to ${title}`,
    arm: `C7.2 ${name.toUpperCase()} (scalar, integer)`,
    feature,
    statics: ['sf'],
    operands: { rd: F('Rd', size), rn: R('Rn', 'sf') },
    execute: (b, { rd, rn }, { sf }) => {
      b.checkFPAdvSIMDEnabled();
      const w = width(sf);
      b.writeF(size, rd, b.fixedToFp(size, w, b.readX(w, rn), b.imm(0), unsigned, 'fpcr'));
    },
  });

/** A 32-bit register has at most 32 fraction bits. */
const isScale = (f: { readonly sf: number; readonly scale: number }) => f.sf === 1 || f.scale >= 32;

const fixedRows = ({ size, ftype, mark, title, feature }: FpFormat): Row[] =>
  [false, true].flatMap((unsigned) => {
    const sign = unsigned ? 'unsigned' : 'signed';
    const u = unsigned ? 'u' : 's';
    const to = `fcvtz${u}`;
    const from = `${u}cvtf`;
    return [
      defineRow({
        id: `${to.toUpperCase()}_${mark}_fixed`,
        name: to,
        pattern: `sf 0 0 11110 ${ftype} 0 11 00 ${unsigned ? '1' : '0'} scale:6 Rn:5 Rd:5`,
        class: 'fp',
        summary: `Convert ${title} to ${sign} fixed-point, towards zero`,
        arm: `C7.2 ${to.toUpperCase()} (scalar, fixed-point)`,
        feature,
        statics: ['sf'],
        where: isScale,
        operands: { rd: R('Rd', 'sf'), rn: F('Rn', size), fbits: fractionBits('sf') },
        execute: (b, { rd, rn, fbits }, { sf }) => {
          b.checkFPAdvSIMDEnabled();
          const w = width(sf);
          b.writeX(w, rd, b.fpToFixed(w, size, b.readF(size, rn), fbits, unsigned, 'zero'));
        },
      }),
      defineRow({
        id: `${from.toUpperCase()}_${mark}_fixed`,
        name: from,
        pattern: `sf 0 0 11110 ${ftype} 0 00 01 ${unsigned ? '1' : '0'} scale:6 Rn:5 Rd:5`,
        class: 'fp',
        summary: `Convert ${sign} fixed-point to ${title}`,
        arm: `C7.2 ${from.toUpperCase()} (scalar, fixed-point)`,
        feature,
        statics: ['sf'],
        where: isScale,
        operands: { rd: F('Rd', size), rn: R('Rn', 'sf'), fbits: fractionBits('sf') },
        execute: (b, { rd, rn, fbits }, { sf }) => {
          b.checkFPAdvSIMDEnabled();
          const w = width(sf);
          b.writeF(size, rd, b.fixedToFp(size, w, b.readX(w, rn), fbits, unsigned, 'fpcr'));
        },
      }),
    ];
  });

export const rows: readonly Row[] = [
  ...TO_INTEGER.flatMap((conversion) => FORMATS.map((format) => toIntegerRow(conversion, format))),
  ...FROM_INTEGER.flatMap((conversion) => FORMATS.map((format) => fromIntegerRow(conversion, format))),
  ...FORMATS.flatMap(fixedRows),
  defineRow({
    id: 'FJCVTZS',
    name: 'fjcvtzs',
    pattern: '0 0 0 11110 01 1 11 110 000000 Rn:5 Rd:5',
    class: 'fp',
    summary: 'Convert double-precision to signed integer as JavaScript does, towards zero',
    arm: 'C7.2 FJCVTZS',
    feature: 'FEAT_JSCVT',
    operands: { rd: W('Rd'), rn: F('Rn', 64) },
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      const operand = b.let(b.readF(64, rn));
      const result = b.let(b.fpToFixedJS(operand));
      // Z says that nothing was lost. A 32-bit integer is exact in binary64, so that what converts back to
      // the same bits was an integer in range, and no minus zero, NaN, infinity or flushed denormal.
      const back = b.fixedToFp(64, 32, result, b.imm(0), false, 'zero');
      const isSame = b.let(b.fromBool(b.eq(64, operand, back)));
      b.writeX(32, rd, result);
      b.writeFlags(b.shl(32, isSame, b.imm(2)));
    },
  }),
];
