/**
 * Advanced SIMD three same: two vectors of integers make a third, lane by lane or pair by pair, with the
 * scalar forms of those that have them; and the bitwise operations.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD three same", "Advanced SIMD scalar three same".
 */
import type { VectorBinary } from '../builder.js';
import {
  arranged,
  BYTES_Q,
  LANES_B,
  LANES_BHS,
  LANES_BHSD,
  LANES_HS,
  scalar,
} from '../operands/simd-arrangements.js';
import { sameVector } from '../operands/simd-elements.js';
import { type ArrangementRule, V } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import { type Bits, type Combine, deinterleaved, laneOf, lanewise, vectorOf, zeros } from './simd-common.js';

interface Operation {
  readonly name: string;
  readonly U: '0' | '1';
  readonly opcode: Bits;
  readonly title: string;
  readonly lanes: ArrangementRule;
  /** Sizes of the scalar form. */
  readonly scalar?: readonly number[];
  readonly combine: Combine;
}

/** Combined with the lanes of `m` and added to the destination. */
const absoluteDifference =
  (max: VectorBinary, min: VectorBinary): Combine =>
  (b, size, n, m) => {
    const x = b.letV(n);
    const y = b.letV(m);
    return b.v2('sub', size, b.v2(max, size, x, y), b.v2(min, size, x, y));
  };
const accumulated =
  (operation: 'add' | 'sub', term: Combine): Combine =>
  (b, size, n, m, old) =>
    b.v2(operation, size, old(), term(b, size, n, m, old));
const anyBit: Combine = (b, size, n, m) =>
  b.v1('not', size, b.v2('eq', size, b.v2('and', size, n, m), zeros(b)));

const D = [3];
const HS = [1, 2];
const ALL = [0, 1, 2, 3];

const operation = (
  name: string,
  U: '0' | '1',
  opcode: Bits,
  title: string,
  lanes: ArrangementRule,
  combine: Combine | VectorBinary,
  scalarSizes?: readonly number[],
): Operation => ({
  name,
  U,
  opcode,
  title,
  lanes,
  combine: typeof combine === 'string' ? lanewise(combine) : combine,
  ...(scalarSizes === undefined ? {} : { scalar: scalarSizes }),
});

const SABD = absoluteDifference('smax', 'smin');
const UABD = absoluteDifference('umax', 'umin');

const OPERATIONS: readonly Operation[] = [
  operation('shadd', '0', '00000', 'Signed halving add', LANES_BHS, 'shadd'),
  operation('sqadd', '0', '00001', 'Signed saturating add', LANES_BHSD, 'sqadd', ALL),
  operation('srhadd', '0', '00010', 'Signed rounding halving add', LANES_BHS, 'srhadd'),
  operation('shsub', '0', '00100', 'Signed halving subtract', LANES_BHS, 'shsub'),
  operation('sqsub', '0', '00101', 'Signed saturating subtract', LANES_BHSD, 'sqsub', ALL),
  operation('cmgt', '0', '00110', 'Compare signed greater than', LANES_BHSD, 'gts', D),
  operation('cmge', '0', '00111', 'Compare signed greater than or equal', LANES_BHSD, 'ges', D),
  operation('sshl', '0', '01000', 'Signed shift left by register', LANES_BHSD, 'sshl', D),
  operation('sqshl', '0', '01001', 'Signed saturating shift left by register', LANES_BHSD, 'sqshl', ALL),
  operation('srshl', '0', '01010', 'Signed rounding shift left by register', LANES_BHSD, 'srshl', D),
  operation(
    'sqrshl',
    '0',
    '01011',
    'Signed saturating rounding shift left by register',
    LANES_BHSD,
    'sqrshl',
    ALL,
  ),
  operation('smax', '0', '01100', 'Signed maximum', LANES_BHS, 'smax'),
  operation('smin', '0', '01101', 'Signed minimum', LANES_BHS, 'smin'),
  operation('sabd', '0', '01110', 'Signed absolute difference', LANES_BHS, SABD),
  operation(
    'saba',
    '0',
    '01111',
    'Signed absolute difference and accumulate',
    LANES_BHS,
    accumulated('add', SABD),
  ),
  operation('add', '0', '10000', 'Add', LANES_BHSD, 'add', D),
  operation('cmtst', '0', '10001', 'Compare bitwise test bits not zero', LANES_BHSD, anyBit, D),
  operation('mla', '0', '10010', 'Multiply-add', LANES_BHS, accumulated('add', lanewise('mul'))),
  operation('mul', '0', '10011', 'Multiply', LANES_BHS, 'mul'),
  operation('sqdmulh', '0', '10110', 'Signed saturating doubling multiply high', LANES_HS, 'sqdmulh', HS),
  operation('uhadd', '1', '00000', 'Unsigned halving add', LANES_BHS, 'uhadd'),
  operation('uqadd', '1', '00001', 'Unsigned saturating add', LANES_BHSD, 'uqadd', ALL),
  operation('urhadd', '1', '00010', 'Unsigned rounding halving add', LANES_BHS, 'urhadd'),
  operation('uhsub', '1', '00100', 'Unsigned halving subtract', LANES_BHS, 'uhsub'),
  operation('uqsub', '1', '00101', 'Unsigned saturating subtract', LANES_BHSD, 'uqsub', ALL),
  operation('cmhi', '1', '00110', 'Compare unsigned higher', LANES_BHSD, 'gtu', D),
  operation('cmhs', '1', '00111', 'Compare unsigned higher or same', LANES_BHSD, 'geu', D),
  operation('ushl', '1', '01000', 'Unsigned shift left by register', LANES_BHSD, 'ushl', D),
  operation('uqshl', '1', '01001', 'Unsigned saturating shift left by register', LANES_BHSD, 'uqshl', ALL),
  operation('urshl', '1', '01010', 'Unsigned rounding shift left by register', LANES_BHSD, 'urshl', D),
  operation(
    'uqrshl',
    '1',
    '01011',
    'Unsigned saturating rounding shift left by register',
    LANES_BHSD,
    'uqrshl',
    ALL,
  ),
  operation('umax', '1', '01100', 'Unsigned maximum', LANES_BHS, 'umax'),
  operation('umin', '1', '01101', 'Unsigned minimum', LANES_BHS, 'umin'),
  operation('uabd', '1', '01110', 'Unsigned absolute difference', LANES_BHS, UABD),
  operation(
    'uaba',
    '1',
    '01111',
    'Unsigned absolute difference and accumulate',
    LANES_BHS,
    accumulated('add', UABD),
  ),
  operation('sub', '1', '10000', 'Subtract', LANES_BHSD, 'sub', D),
  operation('cmeq', '1', '10001', 'Compare bitwise equal', LANES_BHSD, 'eq', D),
  operation('mls', '1', '10010', 'Multiply-subtract', LANES_BHS, accumulated('sub', lanewise('mul'))),
  operation('pmul', '1', '10011', 'Polynomial multiply', LANES_B, 'pmul'),
  operation(
    'sqrdmulh',
    '1',
    '10110',
    'Signed saturating rounding doubling multiply high',
    LANES_HS,
    'sqrdmulh',
    HS,
  ),
];

function vectorRow({ name, U, opcode, title, lanes, combine }: Operation): Row {
  return defineRow({
    id: `${name.toUpperCase()}_asimdsame`,
    name,
    pattern: `0 Q ${U} 01110 size:2 1 Rm:5 ${opcode} 1 Rn:5 Rd:5`,
    class: 'simd',
    summary: `${title} (vector)`,
    arm: `C7.2 ${name.toUpperCase()} (vector)`,
    feature: 'FEAT_AdvSIMD',
    statics: ['Q', 'size'],
    where: arranged(lanes),
    operands: { rd: V('Rd', lanes), rn: V('Rn', lanes), rm: V('Rm', lanes) },
    execute: (b, { rd, rn, rm }, { Q, size }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      b.writeV(
        w,
        rd,
        combine(b, laneOf(size), b.readV(w, rn), b.readV(w, rm), () => b.readV(w, rd)),
      );
    },
  });
}

function scalarRow({ name, U, opcode, title, scalar: sizes = [], combine }: Operation): Row {
  return defineRow({
    id: `${name.toUpperCase()}_asisdsame`,
    name,
    pattern: `01 ${U} 11110 size:2 1 Rm:5 ${opcode} 1 Rn:5 Rd:5`,
    class: 'simd',
    summary: `${title} (scalar)`,
    arm: `C7.2 ${name.toUpperCase()} (scalar)`,
    feature: 'FEAT_AdvSIMD',
    statics: ['size'],
    where: (f) => sizes.includes(f.size),
    operands: { rd: scalar('Rd', sizes), rn: scalar('Rn', sizes), rm: scalar('Rm', sizes) },
    execute: (b, { rd, rn, rm }, { size }) => {
      b.checkFPAdvSIMDEnabled();
      const w = laneOf(size);
      b.writeV(
        w,
        rd,
        combine(b, w, b.readV(w, rn), b.readV(w, rm), () => b.readV(w, rd)),
      );
    },
  });
}

interface Pairwise {
  readonly name: string;
  readonly U: '0' | '1';
  readonly opcode: Bits;
  readonly title: string;
  readonly lanes: ArrangementRule;
  readonly operation: VectorBinary;
}

const PAIRWISE: readonly Pairwise[] = [
  { name: 'smaxp', U: '0', opcode: '10100', title: 'Signed maximum', lanes: LANES_BHS, operation: 'smax' },
  { name: 'sminp', U: '0', opcode: '10101', title: 'Signed minimum', lanes: LANES_BHS, operation: 'smin' },
  { name: 'addp', U: '0', opcode: '10111', title: 'Add', lanes: LANES_BHSD, operation: 'add' },
  { name: 'umaxp', U: '1', opcode: '10100', title: 'Unsigned maximum', lanes: LANES_BHS, operation: 'umax' },
  { name: 'uminp', U: '1', opcode: '10101', title: 'Unsigned minimum', lanes: LANES_BHS, operation: 'umin' },
];

function pairwiseRow({ name, U, opcode, title, lanes, operation: each }: Pairwise): Row {
  return defineRow({
    id: `${name.toUpperCase()}_asimdsame`,
    name,
    pattern: `0 Q ${U} 01110 size:2 1 Rm:5 ${opcode} 1 Rn:5 Rd:5`,
    class: 'simd',
    summary: `${title} pairwise (vector)`,
    arm: `C7.2 ${name.toUpperCase()}`,
    feature: 'FEAT_AdvSIMD',
    statics: ['Q', 'size'],
    where: arranged(lanes),
    operands: { rd: V('Rd', lanes), rn: V('Rn', lanes), rm: V('Rm', lanes) },
    execute: (b, { rd, rn, rm }, { Q, size }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      const [even, odd] = deinterleaved(b, laneOf(size), Q, b.readV(w, rn), b.readV(w, rm));
      b.writeV(w, rd, b.v2(each, laneOf(size), even, odd));
    },
  });
}

interface Bitwise {
  readonly name: string;
  readonly U: '0' | '1';
  readonly size: '00' | '01' | '10' | '11';
  readonly title: string;
  readonly combine: Combine;
}

const BITWISE: readonly Bitwise[] = [
  { name: 'and', U: '0', size: '00', title: 'Bitwise AND', combine: lanewise('and') },
  { name: 'bic', U: '0', size: '01', title: 'Bitwise bit clear', combine: lanewise('andNot') },
  {
    name: 'orn',
    U: '0',
    size: '11',
    title: 'Bitwise OR NOT',
    combine: (b, _, n, m) => b.v2('or', 64, n, b.v1('not', 64, m)),
  },
  { name: 'eor', U: '1', size: '00', title: 'Bitwise exclusive OR', combine: lanewise('xor') },
  {
    name: 'bsl',
    U: '1',
    size: '01',
    title: 'Bitwise select',
    combine: (b, _, n, m, old) => b.v3('bitSelect', 64, old(), n, m),
  },
  {
    name: 'bit',
    U: '1',
    size: '10',
    title: 'Bitwise insert if true',
    combine: (b, _, n, m, old) => b.v3('bitSelect', 64, m, n, old()),
  },
  {
    name: 'bif',
    U: '1',
    size: '11',
    title: 'Bitwise insert if false',
    combine: (b, _, n, m, old) => b.v3('bitSelect', 64, m, old(), n),
  },
];

const bytes = { rd: V('Rd', BYTES_Q), rn: V('Rn', BYTES_Q), rm: V('Rm', BYTES_Q) };

const bitwiseRow = ({ name, U, size, title, combine }: Bitwise): Row =>
  defineRow({
    id: `${name.toUpperCase()}_asimdsame`,
    name,
    pattern: `0 Q ${U} 01110 ${size} 1 Rm:5 00011 1 Rn:5 Rd:5`,
    class: 'simd',
    summary: `${title} (vector)`,
    arm: `C7.2 ${name.toUpperCase()} (vector)`,
    feature: 'FEAT_AdvSIMD',
    statics: ['Q'],
    operands: bytes,
    execute: (b, { rd, rn, rm }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      b.writeV(
        w,
        rd,
        combine(b, 64, b.readV(w, rn), b.readV(w, rm), () => b.readV(w, rd)),
      );
    },
  });

export const rows: readonly Row[] = [
  ...OPERATIONS.map(vectorRow),
  ...OPERATIONS.filter((o) => o.scalar !== undefined).map(scalarRow),
  ...PAIRWISE.map(pairwiseRow),
  ...BITWISE.map(bitwiseRow),
  defineRow({
    id: 'ORR_asimdsame',
    name: 'orr',
    pattern: '0 Q 0 01110 10 1 Rm:5 00011 1 Rn:5 Rd:5',
    class: 'simd',
    summary: 'Bitwise OR (vector, register)',
    arm: 'C7.2 ORR (vector, register)',
    feature: 'FEAT_AdvSIMD',
    statics: ['Q'],
    operands: bytes,
    aliases: [
      {
        name: 'mov',
        operands: { rd: bytes.rd, rn: sameVector('Rn', 'Rm', BYTES_Q) },
        requires: (f) => f.Rn === f.Rm,
      },
    ],
    execute: (b, { rd, rn, rm }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      b.writeV(w, rd, b.v2('or', 64, b.readV(w, rn), b.readV(w, rm)));
    },
  }),
];
