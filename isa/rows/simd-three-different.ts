/**
 * Advanced SIMD three different: long (narrow sources, wide result), wide (one wide source) and narrow
 * (wide sources, the upper halves of the results), with the scalar SQDMLAL, SQDMLSL and SQDMULL.
 *
 * Names that end in 2 (Q = 1) work on the upper halves of the narrow registers.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD three different", "Advanced SIMD scalar three different".
 */
import type { Builder, LaneSize, Words } from '../builder.js';
import { BYTES_Q, LANES_BHS, LANES_HS, scalar, WIDE_BHS, WIDE_HS } from '../operands/simd-arrangements.js';
import { only, V } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import { type Bits, constant, halfNames, narrowOf, writeHalf } from './simd-common.js';

/** The wide result of two sources that are wide already; `size` is that of a wide lane. */
export type LongCombine = <T extends Words>(
  b: Builder<T>,
  size: LaneSize,
  n: T['q'],
  m: T['q'],
  old: () => T['q'],
) => T['q'];

const sum: LongCombine = (b, size, n, m) => b.v2('add', size, n, m);
const difference: LongCombine = (b, size, n, m) => b.v2('sub', size, n, m);
const product: LongCombine = (b, size, n, m) => b.v2('mul', size, n, m);
/** Of lanes that were extended: no difference overflows, so that signed order serves both kinds. */
const absolute: LongCombine = (b, size, n, m) => b.v1('abs', size, b.v2('sub', size, n, m));
/** Twice the product, saturated. */
const doubled: LongCombine = (b, size, n, m) => {
  const half = b.letV(b.v2('mul', size, n, m));
  return b.v2('sqadd', size, half, half);
};
const accumulate =
  (operation: 'add' | 'sub' | 'sqadd' | 'sqsub', term: LongCombine): LongCombine =>
  (b, size, n, m, old) =>
    b.v2(operation, size, old(), term(b, size, n, m, old));

/** The multiplications that have by-element forms too. */
export const MULTIPLY_LONG = {
  mull: product,
  mlal: accumulate('add', product),
  mlsl: accumulate('sub', product),
  sqdmull: doubled,
  sqdmlal: accumulate('sqadd', doubled),
  sqdmlsl: accumulate('sqsub', doubled),
} as const;

interface Different {
  readonly name: string;
  readonly signed: boolean;
  readonly opcode: Bits;
  readonly title: string;
  readonly combine: LongCombine;
  /** SQDMULL and its kin: no bytes, and a scalar form. */
  readonly saturating?: true;
}

const both = (stem: string, opcode: Bits, title: string, combine: LongCombine): readonly Different[] => [
  { name: `s${stem}`, signed: true, opcode, title: `Signed ${title}`, combine },
  { name: `u${stem}`, signed: false, opcode, title: `Unsigned ${title}`, combine },
];
const saturating = (name: 'sqdmlal' | 'sqdmlsl' | 'sqdmull', opcode: Bits, title: string): Different => ({
  name,
  signed: true,
  opcode,
  title: `Signed saturating doubling ${title}`,
  combine: MULTIPLY_LONG[name],
  saturating: true,
});

const LONG: readonly Different[] = [
  ...both('addl', '0000', 'add long', sum),
  ...both('subl', '0010', 'subtract long', difference),
  ...both('abal', '0101', 'absolute difference and accumulate long', accumulate('add', absolute)),
  ...both('abdl', '0111', 'absolute difference long', absolute),
  ...both('mlal', '1000', 'multiply-add long', MULTIPLY_LONG.mlal),
  ...both('mlsl', '1010', 'multiply-subtract long', MULTIPLY_LONG.mlsl),
  ...both('mull', '1100', 'multiply long', MULTIPLY_LONG.mull),
  saturating('sqdmlal', '1001', 'multiply-add long'),
  saturating('sqdmlsl', '1011', 'multiply-subtract long'),
  saturating('sqdmull', '1101', 'multiply long'),
];

const shared = { class: 'simd', feature: 'FEAT_AdvSIMD', statics: ['Q', 'size'] } as const;
const twice = (narrow: 8 | 16 | 32) => (2 * narrow) as 16 | 32 | 64;

function longRow({ name, signed, opcode, title, combine, saturating: isHS }: Different): Row {
  const id = name.toUpperCase();
  const lanes = isHS ? LANES_HS : LANES_BHS;
  return defineRow({
    ...shared,
    id: `${id}_asimddiff`,
    name: halfNames(name),
    pattern: `0 Q ${signed ? '0' : '1'} 01110 size:2 1 Rm:5 ${opcode} 00 Rn:5 Rd:5`,
    summary: `${title}${isHS ? ' (vector)' : ''}`,
    arm: `C7.2 ${id}, ${id}2${/ml|mul/.test(name) ? ' (vector)' : ''}`,
    where: (f) => f.size < 3 && (isHS === undefined || f.size > 0),
    operands: { rd: V('Rd', isHS ? WIDE_HS : WIDE_BHS), rn: V('Rn', lanes), rm: V('Rm', lanes) },
    execute: (b, { rd, rn, rm }, { Q, size }) => {
      b.checkFPAdvSIMDEnabled();
      const narrow = narrowOf(size);
      const n = b.vWiden(signed, narrow, Q === 1, b.readV(128, rn));
      const m = b.vWiden(signed, narrow, Q === 1, b.readV(128, rm));
      b.writeV(
        128,
        rd,
        combine(b, twice(narrow), n, m, () => b.readV(128, rd)),
      );
    },
  });
}

const HS = [1, 2];

function scalarRow({ name, opcode, title, combine }: Different): Row {
  return defineRow({
    id: `${name.toUpperCase()}_asisddiff`,
    name,
    pattern: `01 0 11110 size:2 1 Rm:5 ${opcode} 00 Rn:5 Rd:5`,
    class: 'simd',
    summary: `${title} (scalar)`,
    arm: `C7.2 ${name.toUpperCase()}, ${name.toUpperCase()}2 (vector)`,
    feature: 'FEAT_AdvSIMD',
    statics: ['size'],
    where: (f) => HS.includes(f.size),
    operands: { rd: scalar('Rd', HS, 1), rn: scalar('Rn', HS), rm: scalar('Rm', HS) },
    execute: (b, { rd, rn, rm }, { size }) => {
      b.checkFPAdvSIMDEnabled();
      const narrow = narrowOf(size);
      const wide = twice(narrow);
      const n = b.vWiden(true, narrow, false, b.readV(narrow, rn));
      const m = b.vWiden(true, narrow, false, b.readV(narrow, rm));
      b.writeV(
        wide,
        rd,
        combine(b, wide, n, m, () => b.readV(wide, rd)),
      );
    },
  });
}

const WIDE: readonly Different[] = [
  ...both('addw', '0001', 'add wide', sum),
  ...both('subw', '0011', 'subtract wide', difference),
];

const wideRow = ({ name, signed, opcode, title, combine }: Different): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asimddiff`,
    name: halfNames(name),
    pattern: `0 Q ${signed ? '0' : '1'} 01110 size:2 1 Rm:5 ${opcode} 00 Rn:5 Rd:5`,
    summary: title,
    arm: `C7.2 ${name.toUpperCase()}, ${name.toUpperCase()}2`,
    where: (f) => f.size < 3,
    operands: { rd: V('Rd', WIDE_BHS), rn: V('Rn', WIDE_BHS), rm: V('Rm', LANES_BHS) },
    execute: (b, { rd, rn, rm }, { Q, size }) => {
      b.checkFPAdvSIMDEnabled();
      const narrow = narrowOf(size);
      const m = b.vWiden(signed, narrow, Q === 1, b.readV(128, rm));
      b.writeV(
        128,
        rd,
        combine(b, twice(narrow), b.readV(128, rn), m, () => b.readV(128, rd)),
      );
    },
  });

interface Narrow {
  readonly name: 'addhn' | 'subhn' | 'raddhn' | 'rsubhn';
  readonly U: '0' | '1';
  readonly opcode: Bits;
  readonly title: string;
  readonly operation: 'add' | 'sub';
}

const NARROW: readonly Narrow[] = [
  { name: 'addhn', U: '0', opcode: '0100', title: 'Add returning high narrow', operation: 'add' },
  { name: 'subhn', U: '0', opcode: '0110', title: 'Subtract returning high narrow', operation: 'sub' },
  { name: 'raddhn', U: '1', opcode: '0100', title: 'Rounding add returning high narrow', operation: 'add' },
  {
    name: 'rsubhn',
    U: '1',
    opcode: '0110',
    title: 'Rounding subtract returning high narrow',
    operation: 'sub',
  },
];

const narrowRow = ({ name, U, opcode, title, operation }: Narrow): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asimddiff`,
    name: halfNames(name),
    pattern: `0 Q ${U} 01110 size:2 1 Rm:5 ${opcode} 00 Rn:5 Rd:5`,
    summary: title,
    arm: `C7.2 ${name.toUpperCase()}, ${name.toUpperCase()}2`,
    where: (f) => f.size < 3,
    operands: { rd: V('Rd', LANES_BHS), rn: V('Rn', WIDE_BHS), rm: V('Rm', WIDE_BHS) },
    execute: (b, { rd, rn, rm }, { Q, size }) => {
      b.checkFPAdvSIMDEnabled();
      const narrow = narrowOf(size);
      const wide = twice(narrow);
      const exact = b.v2(operation, wide, b.readV(128, rn), b.readV(128, rm));
      // What rounding carries beyond the wide lane is beyond the result too.
      const rounded =
        U === '1' ? b.v2('add', wide, exact, constant(b, wide, 1n << BigInt(narrow - 1))) : exact;
      writeHalf(b, Q, rd, b.vNarrow('cut', narrow, b.vShift('shr', wide, rounded, b.imm(narrow))));
    },
  });

export const rows: readonly Row[] = [
  ...LONG.map(longRow),
  ...LONG.filter((o) => o.saturating).map(scalarRow),
  ...WIDE.map(wideRow),
  ...NARROW.map(narrowRow),
  defineRow({
    ...shared,
    id: 'PMULL_asimddiff_b',
    name: halfNames('pmull'),
    pattern: '0 Q 0 01110 00 1 Rm:5 1110 00 Rn:5 Rd:5',
    statics: ['Q'],
    summary: 'Polynomial multiply long of bytes',
    arm: 'C7.2 PMULL, PMULL2',
    operands: { rd: V('Rd', only('8h')), rn: V('Rn', BYTES_Q), rm: V('Rm', BYTES_Q) },
    execute: (b, { rd, rn, rm }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      const n = b.letV(b.vWiden(false, 8, Q === 1, b.readV(128, rn)));
      const m = b.letV(b.vWiden(false, 8, Q === 1, b.readV(128, rm)));
      let out = b.immV(0n);
      for (let lane = 0; lane < 8; lane++) {
        const one = b.polynomialProduct(b.getLane(16, n, b.imm(lane)), b.getLane(16, m, b.imm(lane)));
        out = b.setLane(16, out, b.imm(lane), b.getLane(64, one, b.imm(0)));
      }
      b.writeV(128, rd, out);
    },
  }),
];
