/**
 * Advanced SIMD two-register miscellaneous, integers: reversals, counts, comparisons with zero, absolute
 * values, saturating accumulation, pairwise lengthening sums, narrowing; with their scalar forms.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD two-register miscellaneous", "Advanced SIMD scalar two-register
 * miscellaneous".
 */
import type { Narrowing, VectorBinary, VectorUnary } from '../builder.js';
import {
  arranged,
  BYTES_Q,
  LANES_B,
  LANES_BH,
  LANES_BHS,
  LANES_BHSD,
  PAIRED_BHS,
  SINGLES_Q,
  scalar,
  WIDE_BHS,
} from '../operands/simd-arrangements.js';
import { fixedImm, laneSizeImm } from '../operands/simd-immediates.js';
import { type ArrangementRule, V } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import {
  type Bits,
  type Change,
  halfNames,
  laneOf,
  narrowOf,
  pairSums,
  pattern,
  vectorOf,
  writeHalf,
  zeros,
} from './simd-common.js';

interface Operation {
  readonly name: string;
  readonly U: '0' | '1';
  readonly opcode: Bits;
  readonly title: string;
  readonly lanes: ArrangementRule;
  readonly change: Change;
  readonly scalar?: readonly number[];
  /** Compared with zero, which is written. */
  readonly zero?: true;
}

const unary =
  (operation: VectorUnary): Change =>
  (b, size, n) =>
    b.v1(operation, size, n);
/** The source and zero, or zero and the source. */
const withZero =
  (operation: VectorBinary, swapped = false): Change =>
  (b, size, n) =>
    swapped ? b.v2(operation, size, zeros(b), n) : b.v2(operation, size, n, zeros(b));
const accumulated =
  (operation: 'suqadd' | 'usqadd'): Change =>
  (b, size, n, old) =>
    b.v2(operation, size, old(), n);
/** The lanes of each container of `bits` in reverse. */
const reversed =
  (bits: 16 | 32 | 64): Change =>
  (b, size, n) => {
    const flip = bits / 8 - size / 8;
    return b.shuffle(
      n,
      zeros(b),
      pattern(`rev${bits}:${size}`, (byte) => byte ^ flip),
    );
  };

const D = [3];
const ALL = [0, 1, 2, 3];

const OPERATIONS: readonly Operation[] = [
  {
    name: 'rev64',
    U: '0',
    opcode: '00000',
    title: 'Reverse elements in 64-bit doublewords',
    lanes: LANES_BHS,
    change: reversed(64),
  },
  {
    name: 'rev16',
    U: '0',
    opcode: '00001',
    title: 'Reverse elements in 16-bit halfwords',
    lanes: LANES_B,
    change: reversed(16),
  },
  {
    name: 'rev32',
    U: '1',
    opcode: '00000',
    title: 'Reverse elements in 32-bit words',
    lanes: LANES_BH,
    change: reversed(32),
  },
  {
    name: 'suqadd',
    U: '0',
    opcode: '00011',
    title: 'Signed saturating accumulate of unsigned value',
    lanes: LANES_BHSD,
    change: accumulated('suqadd'),
    scalar: ALL,
  },
  {
    name: 'usqadd',
    U: '1',
    opcode: '00011',
    title: 'Unsigned saturating accumulate of signed value',
    lanes: LANES_BHSD,
    change: accumulated('usqadd'),
    scalar: ALL,
  },
  {
    name: 'cls',
    U: '0',
    opcode: '00100',
    title: 'Count leading sign bits',
    lanes: LANES_BHS,
    change: unary('cls'),
  },
  {
    name: 'clz',
    U: '1',
    opcode: '00100',
    title: 'Count leading zero bits',
    lanes: LANES_BHS,
    change: unary('clz'),
  },
  {
    name: 'cnt',
    U: '0',
    opcode: '00101',
    title: 'Population count per byte',
    lanes: LANES_B,
    change: unary('cnt'),
  },
  {
    name: 'sqabs',
    U: '0',
    opcode: '00111',
    title: 'Signed saturating absolute value',
    lanes: LANES_BHSD,
    change: unary('sqabs'),
    scalar: ALL,
  },
  {
    name: 'sqneg',
    U: '1',
    opcode: '00111',
    title: 'Signed saturating negate',
    lanes: LANES_BHSD,
    change: unary('sqneg'),
    scalar: ALL,
  },
  {
    name: 'cmgt',
    U: '0',
    opcode: '01000',
    title: 'Compare signed greater than zero',
    lanes: LANES_BHSD,
    change: withZero('gts'),
    scalar: D,
    zero: true,
  },
  {
    name: 'cmge',
    U: '1',
    opcode: '01000',
    title: 'Compare signed greater than or equal to zero',
    lanes: LANES_BHSD,
    change: withZero('ges'),
    scalar: D,
    zero: true,
  },
  {
    name: 'cmeq',
    U: '0',
    opcode: '01001',
    title: 'Compare bitwise equal to zero',
    lanes: LANES_BHSD,
    change: withZero('eq'),
    scalar: D,
    zero: true,
  },
  {
    name: 'cmle',
    U: '1',
    opcode: '01001',
    title: 'Compare signed less than or equal to zero',
    lanes: LANES_BHSD,
    change: withZero('ges', true),
    scalar: D,
    zero: true,
  },
  {
    name: 'cmlt',
    U: '0',
    opcode: '01010',
    title: 'Compare signed less than zero',
    lanes: LANES_BHSD,
    change: withZero('gts', true),
    scalar: D,
    zero: true,
  },
  {
    name: 'abs',
    U: '0',
    opcode: '01011',
    title: 'Absolute value',
    lanes: LANES_BHSD,
    change: unary('abs'),
    scalar: D,
  },
  {
    name: 'neg',
    U: '1',
    opcode: '01011',
    title: 'Negate',
    lanes: LANES_BHSD,
    change: unary('neg'),
    scalar: D,
  },
];

const zero = fixedImm(0);

function vectorRow({ name, U, opcode, title, lanes, change, zero: hasZero }: Operation): Row {
  return defineRow({
    id: `${name.toUpperCase()}_asimdmisc`,
    name,
    pattern: `0 Q ${U} 01110 size:2 10000 ${opcode} 10 Rn:5 Rd:5`,
    class: 'simd',
    summary: `${title} (vector)`,
    arm: `C7.2 ${name.toUpperCase()} (${hasZero ? 'zero' : 'vector'})`,
    feature: 'FEAT_AdvSIMD',
    statics: ['Q', 'size'],
    where: arranged(lanes),
    operands: { rd: V('Rd', lanes), rn: V('Rn', lanes), ...(hasZero ? { zero } : {}) },
    execute: (b, { rd, rn }, { Q, size }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      b.writeV(
        w,
        rd,
        change(b, laneOf(size), b.readV(w, rn), () => b.readV(w, rd)),
      );
    },
  });
}

function scalarRow(operation: Operation): Row {
  const { name, U, opcode, title, scalar: sizes = [], change, zero: hasZero } = operation;
  return defineRow({
    id: `${name.toUpperCase()}_asisdmisc`,
    name,
    pattern: `01 ${U} 11110 size:2 10000 ${opcode} 10 Rn:5 Rd:5`,
    class: 'simd',
    summary: `${title} (scalar)`,
    arm: `C7.2 ${name.toUpperCase()} (${hasZero ? 'zero' : 'scalar'})`,
    feature: 'FEAT_AdvSIMD',
    statics: ['size'],
    where: (f) => sizes.includes(f.size),
    operands: { rd: scalar('Rd', sizes), rn: scalar('Rn', sizes), ...(hasZero ? { zero } : {}) },
    execute: (b, { rd, rn }, { size }) => {
      b.checkFPAdvSIMDEnabled();
      const w = laneOf(size);
      b.writeV(
        w,
        rd,
        change(b, w, b.readV(w, rn), () => b.readV(w, rd)),
      );
    },
  });
}

const shared = { class: 'simd', feature: 'FEAT_AdvSIMD' } as const;

// ---- sums of neighbours ------------------------------------------------------------------------------

interface PairSum {
  readonly name: string;
  readonly signed: boolean;
  readonly opcode: '00010' | '00110';
  readonly title: string;
}

const PAIR_SUMS: readonly PairSum[] = [
  { name: 'saddlp', signed: true, opcode: '00010', title: 'Signed add long pairwise' },
  { name: 'uaddlp', signed: false, opcode: '00010', title: 'Unsigned add long pairwise' },
  { name: 'sadalp', signed: true, opcode: '00110', title: 'Signed add and accumulate long pairwise' },
  { name: 'uadalp', signed: false, opcode: '00110', title: 'Unsigned add and accumulate long pairwise' },
];

const pairSumRow = ({ name, signed, opcode, title }: PairSum): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asimdmisc`,
    name,
    pattern: `0 Q ${signed ? '0' : '1'} 01110 size:2 10000 ${opcode} 10 Rn:5 Rd:5`,
    summary: title,
    arm: `C7.2 ${name.toUpperCase()}`,
    statics: ['Q', 'size'],
    where: arranged(LANES_BHS),
    operands: { rd: V('Rd', PAIRED_BHS), rn: V('Rn', LANES_BHS) },
    execute: (b, { rd, rn }, { Q, size }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      const sums = pairSums(b, signed, narrowOf(size), b.readV(w, rn));
      const accumulates = opcode === '00110';
      const wide = laneOf(size + 1);
      b.writeV(w, rd, accumulates ? b.v2('add', wide, b.readV(w, rd), sums) : sums);
    },
  });

// ---- narrowing ---------------------------------------------------------------------------------------

interface Narrow {
  readonly name: string;
  readonly U: '0' | '1';
  readonly opcode: '10010' | '10100';
  readonly title: string;
  readonly how: Narrowing;
}

const NARROW: readonly Narrow[] = [
  { name: 'xtn', U: '0', opcode: '10010', title: 'Extract narrow', how: 'cut' },
  { name: 'sqxtn', U: '0', opcode: '10100', title: 'Signed saturating extract narrow', how: 'sqxtn' },
  {
    name: 'sqxtun',
    U: '1',
    opcode: '10010',
    title: 'Signed saturating extract unsigned narrow',
    how: 'sqxtun',
  },
  { name: 'uqxtn', U: '1', opcode: '10100', title: 'Unsigned saturating extract narrow', how: 'uqxtn' },
];

const BHS = [0, 1, 2];

const narrowRow = ({ name, U, opcode, title, how }: Narrow): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asimdmisc`,
    name: halfNames(name),
    pattern: `0 Q ${U} 01110 size:2 10000 ${opcode} 10 Rn:5 Rd:5`,
    summary: title,
    arm: `C7.2 ${name.toUpperCase()}, ${name.toUpperCase()}2`,
    statics: ['Q', 'size'],
    where: (f) => f.size < 3,
    operands: { rd: V('Rd', LANES_BHS), rn: V('Rn', WIDE_BHS) },
    execute: (b, { rd, rn }, { Q, size }) => {
      b.checkFPAdvSIMDEnabled();
      writeHalf(b, Q, rd, b.vNarrow(how, narrowOf(size), b.readV(128, rn)));
    },
  });

const narrowScalarRow = ({ name, U, opcode, title, how }: Narrow): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asisdmisc`,
    name,
    pattern: `01 ${U} 11110 size:2 10000 ${opcode} 10 Rn:5 Rd:5`,
    summary: `${title} (scalar)`,
    arm: `C7.2 ${name.toUpperCase()}, ${name.toUpperCase()}2`,
    statics: ['size'],
    where: (f) => f.size < 3,
    operands: { rd: scalar('Rd', BHS), rn: scalar('Rn', BHS, 1) },
    execute: (b, { rd, rn }, { size }) => {
      b.checkFPAdvSIMDEnabled();
      const narrow = narrowOf(size);
      b.writeV(narrow, rd, b.vNarrow(how, narrow, b.readV(laneOf(size + 1), rn)));
    },
  });

// ---- the rest ----------------------------------------------------------------------------------------

const bytes = { rd: V('Rd', BYTES_Q), rn: V('Rn', BYTES_Q) };
const singles = { rd: V('Rd', SINGLES_Q), rn: V('Rn', SINGLES_Q) };

const estimateRow = (name: 'urecpe' | 'ursqrte', U: '0' | '1', title: string): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asimdmisc`,
    name,
    pattern: `0 Q ${U} 01110 10 10000 11100 10 Rn:5 Rd:5`,
    summary: title,
    arm: `C7.2 ${name.toUpperCase()}`,
    statics: ['Q'],
    operands: singles,
    execute: (b, { rd, rn }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeV(vectorOf(Q), rd, b.v1(name, 32, b.readV(vectorOf(Q), rn)));
    },
  });

export const rows: readonly Row[] = [
  ...OPERATIONS.map(vectorRow),
  ...OPERATIONS.filter((o) => o.scalar !== undefined).map(scalarRow),
  ...PAIR_SUMS.map(pairSumRow),
  ...NARROW.map(narrowRow),
  ...NARROW.filter((o) => o.how !== 'cut').map(narrowScalarRow),
  estimateRow('urecpe', '0', 'Unsigned reciprocal estimate'),
  estimateRow('ursqrte', '1', 'Unsigned reciprocal square root estimate'),
  defineRow({
    ...shared,
    id: 'NOT_asimdmisc',
    name: 'not',
    pattern: '0 Q 1 01110 00 10000 00101 10 Rn:5 Rd:5',
    summary: 'Bitwise NOT (vector)',
    arm: 'C7.2 NOT',
    statics: ['Q'],
    operands: bytes,
    aliases: [{ name: 'mvn', operands: bytes }],
    execute: (b, { rd, rn }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeV(vectorOf(Q), rd, b.v1('not', 64, b.readV(vectorOf(Q), rn)));
    },
  }),
  defineRow({
    ...shared,
    id: 'RBIT_asimdmisc',
    name: 'rbit',
    pattern: '0 Q 1 01110 01 10000 00101 10 Rn:5 Rd:5',
    summary: 'Reverse bits (vector)',
    arm: 'C7.2 RBIT (vector)',
    statics: ['Q'],
    operands: bytes,
    execute: (b, { rd, rn }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeV(vectorOf(Q), rd, b.v1('rbit', 8, b.readV(vectorOf(Q), rn)));
    },
  }),
  defineRow({
    ...shared,
    id: 'SHLL_asimdmisc',
    name: halfNames('shll'),
    pattern: '0 Q 1 01110 size:2 10000 10011 10 Rn:5 Rd:5',
    summary: 'Shift left long by element size',
    arm: 'C7.2 SHLL, SHLL2',
    statics: ['Q', 'size'],
    where: (f) => f.size < 3,
    operands: { rd: V('Rd', WIDE_BHS), rn: V('Rn', LANES_BHS), shift: laneSizeImm },
    execute: (b, { rd, rn }, { Q, size }) => {
      b.checkFPAdvSIMDEnabled();
      const narrow = narrowOf(size);
      const wide = b.vWiden(false, narrow, Q === 1, b.readV(128, rn));
      b.writeV(128, rd, b.vShift('shl', laneOf(size + 1), wide, b.imm(narrow)));
    },
  }),
];
