/**
 * Advanced SIMD shift by immediate: shifts in place, insertions, narrowing and lengthening shifts, and
 * conversions between fixed and floating point; vectors and scalars.
 *
 * The lane's size and the amount share `immh:immb`; the shift operand gives both to semantics. With
 * `immh` zero a word is of the modified-immediate class.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD shift by immediate", "Advanced SIMD scalar shift by immediate".
 */
import type { Builder, FpSize, LaneSize, Narrowing, VectorBinary, Words } from '../builder.js';
import {
  arranged,
  SHIFT_BHS,
  SHIFT_BHSD,
  SHIFT_HSD,
  SHIFT_WIDE,
  shiftScalar,
  shiftSize,
} from '../operands/simd-arrangements.js';
import { noShift, shiftImm } from '../operands/simd-immediates.js';
import { V } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import {
  allOnes,
  type Bits,
  halfNames,
  laneOf,
  mapped,
  narrowOf,
  vectorOf,
  writeHalf,
} from './simd-common.js';

/** The source shifted by `amount`. */
type Shift = <T extends Words>(
  b: Builder<T>,
  size: LaneSize,
  n: T['q'],
  amount: T['x'],
  old: () => T['q'],
) => T['q'];

const plain =
  (operation: 'shl' | 'shr' | 'sar'): Shift =>
  (b, size, n, amount) =>
    b.vShift(operation, size, n, amount);
/** Shifts by register have all the kinds of rounding and saturation; to the right is by less than nothing. */
const byRegister =
  (operation: VectorBinary, direction: 'left' | 'right'): Shift =>
  (b, size, n, amount) =>
    b.v2(operation, size, n, b.splat(size, direction === 'left' ? amount : b.sub(64, b.imm(0), amount)));
const accumulated =
  (shift: Shift): Shift =>
  (b, size, n, amount, old) =>
    b.v2('add', size, old(), shift(b, size, n, amount, old));
/** The bits shifted in stay as the destination has them. */
const inserted =
  (operation: 'shl' | 'shr'): Shift =>
  (b, size, n, amount, old) => {
    const by = b.let(amount);
    const mask = b.vShift(operation, size, allOnes(b), by);
    return b.v3('bitSelect', size, mask, b.vShift(operation, size, n, by), old());
  };

interface Operation {
  readonly name: string;
  readonly U: '0' | '1';
  readonly opcode: Bits;
  readonly title: string;
  readonly direction: 'left' | 'right';
  readonly shift: Shift;
  /** Sizes of the scalar form. */
  readonly scalar: readonly number[];
}

const row = (
  name: string,
  U: '0' | '1',
  opcode: Bits,
  title: string,
  direction: 'left' | 'right',
  shift: Shift,
  scalar: readonly number[] = [3],
): Operation => ({ name, U, opcode, title, direction, shift, scalar });

const ALL = [0, 1, 2, 3];
const SRSHR = byRegister('srshl', 'right');
const URSHR = byRegister('urshl', 'right');

const OPERATIONS: readonly Operation[] = [
  row('sshr', '0', '00000', 'Signed shift right', 'right', plain('sar')),
  row('ushr', '1', '00000', 'Unsigned shift right', 'right', plain('shr')),
  row('ssra', '0', '00010', 'Signed shift right and accumulate', 'right', accumulated(plain('sar'))),
  row('usra', '1', '00010', 'Unsigned shift right and accumulate', 'right', accumulated(plain('shr'))),
  row('srshr', '0', '00100', 'Signed rounding shift right', 'right', SRSHR),
  row('urshr', '1', '00100', 'Unsigned rounding shift right', 'right', URSHR),
  row('srsra', '0', '00110', 'Signed rounding shift right and accumulate', 'right', accumulated(SRSHR)),
  row('ursra', '1', '00110', 'Unsigned rounding shift right and accumulate', 'right', accumulated(URSHR)),
  row('sri', '1', '01000', 'Shift right and insert', 'right', inserted('shr')),
  row('shl', '0', '01010', 'Shift left', 'left', plain('shl')),
  row('sli', '1', '01010', 'Shift left and insert', 'left', inserted('shl')),
  row(
    'sqshlu',
    '1',
    '01100',
    'Signed saturating shift left unsigned',
    'left',
    byRegister('sqshlu', 'left'),
    ALL,
  ),
  row('sqshl', '0', '01110', 'Signed saturating shift left', 'left', byRegister('sqshl', 'left'), ALL),
  row('uqshl', '1', '01110', 'Unsigned saturating shift left', 'left', byRegister('uqshl', 'left'), ALL),
];

const shared = { class: 'simd', feature: 'FEAT_AdvSIMD' } as const;
type Immh = Readonly<Record<'immh', number>>;
const LEFT = shiftImm('left');
const RIGHT = shiftImm('right');

const vectorRow = ({ name, U, opcode, title, direction, shift }: Operation): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asimdshf`,
    name,
    pattern: `0 Q ${U} 011110 immh:4 immb:3 ${opcode} 1 Rn:5 Rd:5`,
    summary: `${title} (immediate, vector)`,
    arm: `C7.2 ${name.toUpperCase()}`,
    statics: ['Q'],
    where: arranged(SHIFT_BHSD),
    operands: {
      rd: V('Rd', SHIFT_BHSD),
      rn: V('Rn', SHIFT_BHSD),
      shift: direction === 'left' ? LEFT : RIGHT,
    },
    execute: (b, { rd, rn, shift: by }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      b.writeV(
        w,
        rd,
        shift(b, laneOf(by.size), b.readV(w, rn), by.amount, () => b.readV(w, rd)),
      );
    },
  });

const scalarRow = ({ name, U, opcode, title, direction, shift, scalar }: Operation): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asisdshf`,
    name,
    pattern: `01 ${U} 111110 immh:4 immb:3 ${opcode} 1 Rn:5 Rd:5`,
    summary: `${title} (immediate, scalar)`,
    arm: `C7.2 ${name.toUpperCase()}`,
    where: (f: Immh) => scalar.includes(shiftSize(f.immh)),
    operands: {
      rd: shiftScalar('Rd', scalar),
      rn: shiftScalar('Rn', scalar),
      shift: direction === 'left' ? LEFT : RIGHT,
    },
    execute: (b, { rd, rn, shift: by }) => {
      b.checkFPAdvSIMDEnabled();
      const w = laneOf(by.size);
      b.writeV(
        w,
        rd,
        shift(b, w, b.readV(w, rn), by.amount, () => b.readV(w, rd)),
      );
    },
  });

// ---- narrowing ---------------------------------------------------------------------------------------

interface Narrow {
  readonly name: string;
  readonly U: '0' | '1';
  readonly opcode: Bits;
  readonly title: string;
  readonly shift: Shift;
  readonly how: Narrowing;
}

const NARROW: readonly Narrow[] = [
  { name: 'shrn', U: '0', opcode: '10000', title: 'Shift right narrow', shift: plain('shr'), how: 'cut' },
  {
    name: 'rshrn',
    U: '0',
    opcode: '10001',
    title: 'Rounding shift right narrow',
    shift: URSHR,
    how: 'cut',
  },
  {
    name: 'sqshrn',
    U: '0',
    opcode: '10010',
    title: 'Signed saturating shift right narrow',
    shift: plain('sar'),
    how: 'sqxtn',
  },
  {
    name: 'sqrshrn',
    U: '0',
    opcode: '10011',
    title: 'Signed saturating rounded shift right narrow',
    shift: SRSHR,
    how: 'sqxtn',
  },
  {
    name: 'sqshrun',
    U: '1',
    opcode: '10000',
    title: 'Signed saturating shift right unsigned narrow',
    shift: plain('sar'),
    how: 'sqxtun',
  },
  {
    name: 'sqrshrun',
    U: '1',
    opcode: '10001',
    title: 'Signed saturating rounded shift right unsigned narrow',
    shift: SRSHR,
    how: 'sqxtun',
  },
  {
    name: 'uqshrn',
    U: '1',
    opcode: '10010',
    title: 'Unsigned saturating shift right narrow',
    shift: plain('shr'),
    how: 'uqxtn',
  },
  {
    name: 'uqrshrn',
    U: '1',
    opcode: '10011',
    title: 'Unsigned saturating rounded shift right narrow',
    shift: URSHR,
    how: 'uqxtn',
  },
];

const noOld = (): never => {
  throw new Error('a narrowing shift looks at its source only');
};

const narrowRow = ({ name, U, opcode, title, shift, how }: Narrow): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asimdshf`,
    name: halfNames(name),
    pattern: `0 Q ${U} 011110 immh:4 immb:3 ${opcode} 1 Rn:5 Rd:5`,
    summary: `${title} (immediate, vector)`,
    arm: `C7.2 ${name.toUpperCase()}, ${name.toUpperCase()}2`,
    statics: ['Q'],
    where: arranged(SHIFT_BHS),
    operands: { rd: V('Rd', SHIFT_BHS), rn: V('Rn', SHIFT_WIDE), shift: RIGHT },
    execute: (b, { rd, rn, shift: by }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      const wide = shift(b, laneOf(by.size + 1), b.readV(128, rn), by.amount, noOld);
      writeHalf(b, Q, rd, b.vNarrow(how, narrowOf(by.size), wide));
    },
  });

const BHS = [0, 1, 2];

const narrowScalarRow = ({ name, U, opcode, title, shift, how }: Narrow): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asisdshf`,
    name,
    pattern: `01 ${U} 111110 immh:4 immb:3 ${opcode} 1 Rn:5 Rd:5`,
    summary: `${title} (immediate, scalar)`,
    arm: `C7.2 ${name.toUpperCase()}, ${name.toUpperCase()}2`,
    where: (f: Immh) => BHS.includes(shiftSize(f.immh)),
    operands: { rd: shiftScalar('Rd', BHS), rn: shiftScalar('Rn', BHS, 1), shift: RIGHT },
    execute: (b, { rd, rn, shift: by }) => {
      b.checkFPAdvSIMDEnabled();
      const w = laneOf(by.size + 1);
      const wide = shift(b, w, b.readV(w, rn), by.amount, noOld);
      b.writeV(narrowOf(by.size), rd, b.vNarrow(how, narrowOf(by.size), wide));
    },
  });

// ---- lengthening -------------------------------------------------------------------------------------

const longRow = (signed: boolean): Row => {
  const name = signed ? 'sshll' : 'ushll';
  const alias = signed ? 'sxtl' : 'uxtl';
  const vectors = { rd: V('Rd', SHIFT_WIDE), rn: V('Rn', SHIFT_BHS) };
  const isNone = (f: Readonly<Record<'immh' | 'immb', number>>) =>
    f.immb === 0 && (f.immh & (f.immh - 1)) === 0;
  return defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asimdshf`,
    name: halfNames(name),
    pattern: `0 Q ${signed ? '0' : '1'} 011110 immh:4 immb:3 10100 1 Rn:5 Rd:5`,
    summary: `${signed ? 'Signed' : 'Unsigned'} shift left long (immediate)`,
    arm: `C7.2 ${name.toUpperCase()}, ${name.toUpperCase()}2`,
    statics: ['Q'],
    where: arranged(SHIFT_BHS),
    operands: { ...vectors, shift: LEFT },
    aliases: [
      { name: alias, operands: { ...vectors, shift: noShift }, fixed: { Q: 0 }, requires: isNone },
      { name: `${alias}2`, operands: { ...vectors, shift: noShift }, fixed: { Q: 1 }, requires: isNone },
    ],
    execute: (b, { rd, rn, shift: by }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      const wide = b.vWiden(signed, narrowOf(by.size), Q === 1, b.readV(128, rn));
      b.writeV(128, rd, b.vShift('shl', laneOf(by.size + 1), wide, by.amount));
    },
  });
};

// ---- fixed point -------------------------------------------------------------------------------------

interface Fixed {
  readonly name: 'scvtf' | 'ucvtf' | 'fcvtzs' | 'fcvtzu';
  readonly U: '0' | '1';
  readonly opcode: '11100' | '11111';
  readonly title: string;
}

const FIXED: readonly Fixed[] = [
  { name: 'scvtf', U: '0', opcode: '11100', title: 'Signed fixed-point convert to floating-point' },
  { name: 'ucvtf', U: '1', opcode: '11100', title: 'Unsigned fixed-point convert to floating-point' },
  { name: 'fcvtzs', U: '0', opcode: '11111', title: 'Floating-point convert to signed fixed-point' },
  { name: 'fcvtzu', U: '1', opcode: '11111', title: 'Floating-point convert to unsigned fixed-point' },
];

function converted<T extends Words>(
  b: Builder<T>,
  { name, U }: Fixed,
  size: FpSize,
  lanes: number,
  n: T['q'],
  fraction: T['x'],
): T['q'] {
  const bits = b.let(fraction);
  const unsigned = U === '1';
  const toFloat = name === 'scvtf' || name === 'ucvtf';
  return mapped(b, size, size, lanes, n, (lane) =>
    toFloat
      ? b.fixedToFp(size, size, lane, bits, unsigned, 'fpcr')
      : b.fpToFixed(size, size, lane, bits, unsigned, 'zero'),
  );
}

/** Half precision is in the same class and needs FEAT_FP16: a row of its own, by `immh`. */
const isHalf = (f: Immh) => shiftSize(f.immh) === 1;
const isSingleOrDouble = (f: Immh) => shiftSize(f.immh) >= 2;

function fixedRows(fixed: Fixed): Row[] {
  const { name, U, opcode, title } = fixed;
  const id = name.toUpperCase();
  const parts = [
    { mark: '', feature: 'FEAT_AdvSIMD', accepts: isSingleOrDouble, sizes: [2, 3] },
    { mark: '_h', feature: 'FEAT_FP16', accepts: isHalf, sizes: [1] },
  ] as const;
  return parts.flatMap(({ mark, feature, accepts, sizes }) => {
    const common = { name, class: 'simd', feature, arm: `C7.2 ${id} (vector, fixed-point)` } as const;
    const precision = mark === '' ? '' : ', half precision';
    return [
      defineRow({
        ...common,
        id: `${id}_asimdshf${mark}`,
        pattern: `0 Q ${U} 011110 immh:4 immb:3 ${opcode} 1 Rn:5 Rd:5`,
        summary: `${title} (vector${precision})`,
        statics: ['Q'],
        where: (f) => accepts(f) && arranged(SHIFT_HSD)(f),
        operands: { rd: V('Rd', SHIFT_HSD), rn: V('Rn', SHIFT_HSD), shift: RIGHT },
        execute: (b, { rd, rn, shift: by }, { Q }) => {
          b.checkFPAdvSIMDEnabled();
          const w = vectorOf(Q);
          const size = laneOf(by.size) as FpSize;
          b.writeV(w, rd, converted(b, fixed, size, w / size, b.readV(w, rn), by.amount));
        },
      }),
      defineRow({
        ...common,
        id: `${id}_asisdshf${mark}`,
        pattern: `01 ${U} 111110 immh:4 immb:3 ${opcode} 1 Rn:5 Rd:5`,
        summary: `${title} (scalar${precision})`,
        where: accepts,
        operands: {
          rd: shiftScalar('Rd', sizes),
          rn: shiftScalar('Rn', sizes),
          shift: RIGHT,
        },
        execute: (b, { rd, rn, shift: by }) => {
          b.checkFPAdvSIMDEnabled();
          const size = laneOf(by.size) as FpSize;
          b.writeV(size, rd, converted(b, fixed, size, 1, b.readV(size, rn), by.amount));
        },
      }),
    ];
  });
}

export const rows: readonly Row[] = [
  ...OPERATIONS.map(vectorRow),
  ...OPERATIONS.map(scalarRow),
  ...NARROW.map(narrowRow),
  ...NARROW.filter((o) => o.how !== 'cut').map(narrowScalarRow),
  longRow(true),
  longRow(false),
  ...FIXED.flatMap(fixedRows),
];
