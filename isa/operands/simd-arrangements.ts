/**
 * The arrangements and scalar sizes of Advanced SIMD, by the fields that say them.
 *
 * Most are in `size` (or `sz`) and `Q`. In shifts and copies the size is the place of one bit of `immh`
 * or `imm5`, whose other bits are the shift amount or the element's number; what a register of the text
 * says then is noted for the operand that makes the whole field, as `lane`: log2 of the lane's bytes.
 * `lane` is no field of any row.
 *
 * Ref. DDI 0487, C4.1 "Data Processing -- Scalar Floating-Point and Advanced SIMD".
 */
import type { Fields, OperandKind } from '../row.js';
import { type ScalarSize, scalarBy } from './fp-registers.js';
import { type ArrangementRule, arrangement, byQ, bySizeAndQ, wideBySize } from './vector-registers.js';

/** A row's condition: the fields stand for an arrangement of each rule. */
export const arranged =
  (...rules: readonly ArrangementRule[]) =>
  (fields: Fields): boolean =>
    rules.every(({ choices, name }) =>
      name === undefined
        ? choices.some(([, wanted]) => Object.entries(wanted).every(([key, value]) => fields[key] === value))
        : name(fields) !== undefined,
    );

/** Lanes by `size` and `Q`; the letters say which sizes there are. */
export const LANES_B = bySizeAndQ([0]);
export const LANES_BH = bySizeAndQ([0, 1]);
export const LANES_BHS = bySizeAndQ([0, 1, 2]);
export const LANES_BHSD = bySizeAndQ([0, 1, 2, 3]);
export const LANES_HS = bySizeAndQ([1, 2]);
export const LANES_HSD = bySizeAndQ([1, 2, 3]);
/** Structures of single registers may be one doubleword. */
export const LANES_STRUCTURE = bySizeAndQ([0, 1, 2, 3], { with1d: true });

/** Twice as wide as `size` and half as many: the wide side of long, wide and narrow instructions. */
export const WIDE_BHS = wideBySize([0, 1, 2]);
export const WIDE_HS = wideBySize([1, 2]);
/** Pairs of lanes added up: twice as wide, by `Q` as many. */
export const PAIRED_BHS: ArrangementRule = {
  fields: ['size', 'Q'],
  choices: [0, 1, 2].flatMap((size) => [0, 1].map((Q) => [arrangement(size + 1, Q), { size, Q }] as const)),
};

export const BYTES_Q = byQ(0);
export const HALVES_Q = byQ(1);
export const SINGLES_Q = byQ(2);
/** What PMULL multiplies to 128 bits. */
export const DOUBLES_Q = byQ(3, { with1d: true });
/** Factors of FMLAL: half as many halves as the sums have lanes. */
export const LOW_HALVES_Q: ArrangementRule = {
  fields: ['Q'],
  choices: [
    ['2h', { Q: 0 }],
    ['4h', { Q: 1 }],
  ],
};

/** Single and double precision by `sz` and `Q`. */
export const FLOATS: ArrangementRule = {
  fields: ['sz', 'Q'],
  choices: [
    ['2s', { sz: 0, Q: 0 }],
    ['4s', { sz: 0, Q: 1 }],
    ['2d', { sz: 1, Q: 1 }],
  ],
};
/** FCVTL and FCVTN: the wide and the narrow side. */
export const FLOATS_WIDE: ArrangementRule = {
  fields: ['sz'],
  choices: [
    ['4s', { sz: 0 }],
    ['2d', { sz: 1 }],
  ],
};
export const FLOATS_NARROW: ArrangementRule = {
  fields: ['sz', 'Q'],
  choices: [0, 1].flatMap((sz) => [0, 1].map((Q) => [arrangement(sz + 1, Q), { sz, Q }] as const)),
};
/** The two lanes of pairwise scalar operations. */
export const FLOAT_PAIR: ArrangementRule = {
  fields: ['sz'],
  choices: [
    ['2s', { sz: 0 }],
    ['2d', { sz: 1 }],
  ],
};

// ---- scalars -----------------------------------------------------------------------------------------

const bitsOf = (size: number) => (8 << size) as ScalarSize;

/** Kinds made so far, by what they were made of. */
const SCALARS = new Map<string, OperandKind<'vreg'>>();

function known(key: string, make: () => OperandKind<'vreg'>): OperandKind<'vreg'> {
  const kind = SCALARS.get(key) ?? make();
  SCALARS.set(key, kind);
  return kind;
}

/** A scalar of 8 << `size` bits, or (`doublings` 1) of twice that. */
export const scalar = (field: string, sizes: readonly number[], doublings = 0): OperandKind<'vreg'> =>
  known(`${field} ${sizes} ${doublings}`, () =>
    scalarBy(
      field,
      ['size'],
      (f) => bitsOf(f['size']! + doublings),
      sizes.map((size) => [bitsOf(size + doublings), { size }] as const),
    ),
  );

/** S or D by `sz`. */
export const scalarFloat = (field: string): OperandKind<'vreg'> =>
  scalarBy(field, ['sz'], (f) => (f['sz'] ? 64 : 32), [
    [32, { sz: 0 }],
    [64, { sz: 1 }],
  ]);

// ---- sizes in part of a field ------------------------------------------------------------------------

/** Log2 of the bytes of a lane by the shift class's `immh`; -1 for 0, which is another class. */
export const shiftSize = (immh: number): number => 31 - Math.clz32(immh);
/** Log2 of the bytes of an element by the copy class's `imm5`; -1 and 4 are reserved. */
export const copySize = (imm5: number): number => 31 - Math.clz32(imm5 & -imm5);

/** Arrangements by `Q` and the lane size in a part of `field`. */
function partial(
  field: string,
  sizeOf: (value: number) => number,
  sizes: readonly number[],
): ArrangementRule {
  const { choices } = bySizeAndQ(sizes, { size: 'lane' });
  return {
    fields: [field, 'Q'],
    choices,
    name: (f) => choices.find(([, { lane, Q }]) => lane === sizeOf(f[field]!) && Q === f['Q'])?.[0],
  };
}

export const COPY_LANES = partial('imm5', copySize, [0, 1, 2, 3]);
export const SHIFT_BHSD = partial('immh', shiftSize, [0, 1, 2, 3]);
export const SHIFT_BHS = partial('immh', shiftSize, [0, 1, 2]);
export const SHIFT_HSD = partial('immh', shiftSize, [1, 2, 3]);

/** The wide side of shifts that lengthen or narrow. */
export const SHIFT_WIDE: ArrangementRule = {
  fields: ['immh'],
  choices: wideBySize([0, 1, 2], 'lane').choices,
  name: (f) => SHIFT_WIDE.choices.find(([, { lane }]) => lane === shiftSize(f['immh']!))?.[0],
};

/** A scalar whose size is in a part of `field`. */
function partialScalar(
  register: string,
  field: string,
  sizeOf: (value: number) => number,
  sizes: readonly number[],
  doublings: number,
): OperandKind<'vreg'> {
  return scalarBy(
    register,
    [field],
    (f) => bitsOf(sizeOf(f[field]!) + doublings),
    sizes.map((lane) => [bitsOf(lane + doublings), { lane }] as const),
  );
}

export const copyScalar = (register: string): OperandKind<'vreg'> =>
  partialScalar(register, 'imm5', copySize, [0, 1, 2, 3], 0);
export const shiftScalar = (register: string, sizes: readonly number[], doublings = 0): OperandKind<'vreg'> =>
  known(`${register} ${sizes} ${doublings} immh`, () =>
    partialScalar(register, 'immh', shiftSize, sizes, doublings),
  );
