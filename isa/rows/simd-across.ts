/**
 * Advanced SIMD across lanes, and scalar pairwise: a whole vector, or a pair, made one number.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD across lanes", "Advanced SIMD scalar pairwise".
 */
import type { FpBinary, VectorBinary } from '../builder.js';
import { F } from '../operands/fp-registers.js';
import {
  arranged,
  FLOAT_PAIR,
  HALVES_Q,
  LANES_BHS,
  scalar,
  scalarFloat,
} from '../operands/simd-arrangements.js';
import { bySizeAndQ, only, V } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import { type Bits, floatOf, laneOf, narrowOf, reduced, vectorOf } from './simd-common.js';

const shared = { class: 'simd', feature: 'FEAT_AdvSIMD' } as const;

/** Two singles are a pair, not lanes to go across. */
const { choices } = LANES_BHS;
const ACROSS = { ...bySizeAndQ([0, 1, 2]), choices: choices.filter(([name]) => name !== '2s') };
const BHS = [0, 1, 2];

interface Integer {
  readonly name: string;
  readonly U: '0' | '1';
  readonly opcode: Bits;
  readonly title: string;
  readonly operation: VectorBinary;
}

const INTEGERS: readonly Integer[] = [
  { name: 'smaxv', U: '0', opcode: '01010', title: 'Signed maximum across vector', operation: 'smax' },
  { name: 'sminv', U: '0', opcode: '11010', title: 'Signed minimum across vector', operation: 'smin' },
  { name: 'umaxv', U: '1', opcode: '01010', title: 'Unsigned maximum across vector', operation: 'umax' },
  { name: 'uminv', U: '1', opcode: '11010', title: 'Unsigned minimum across vector', operation: 'umin' },
  { name: 'addv', U: '0', opcode: '11011', title: 'Add across vector', operation: 'add' },
];

const integerRow = ({ name, U, opcode, title, operation }: Integer): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asimdall`,
    name,
    pattern: `0 Q ${U} 01110 size:2 11000 ${opcode} 10 Rn:5 Rd:5`,
    summary: title,
    arm: `C7.2 ${name.toUpperCase()}`,
    statics: ['Q', 'size'],
    where: arranged(ACROSS),
    operands: { rd: scalar('Rd', BHS), rn: V('Rn', ACROSS) },
    execute: (b, { rd, rn }, { Q, size }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      const lane = laneOf(size);
      b.writeV(
        lane,
        rd,
        reduced(b, lane, w / lane, b.readV(w, rn), (x, y) => b.v2(operation, lane, x, y)),
      );
    },
  });

const longSumRow = (name: 'saddlv' | 'uaddlv'): Row => {
  const signed = name === 'saddlv';
  return defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asimdall`,
    name,
    pattern: `0 Q ${signed ? '0' : '1'} 01110 size:2 11000 00011 10 Rn:5 Rd:5`,
    summary: `${signed ? 'Signed' : 'Unsigned'} sum long across vector`,
    arm: `C7.2 ${name.toUpperCase()}`,
    statics: ['Q', 'size'],
    where: arranged(ACROSS),
    operands: { rd: scalar('Rd', BHS, 1), rn: V('Rn', ACROSS) },
    execute: (b, { rd, rn }, { Q, size }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      const narrow = narrowOf(size);
      const wide = laneOf(size + 1);
      const v = b.letV(b.readV(w, rn));
      const low = b.vWiden(signed, narrow, false, v);
      const all = Q ? b.v2('add', wide, low, b.vWiden(signed, narrow, true, v)) : low;
      b.writeV(
        wide,
        rd,
        reduced(b, wide, 64 / narrow, all, (x, y) => b.v2('add', wide, x, y)),
      );
    },
  });
};

interface Float {
  readonly name: string;
  readonly a: '0' | '1';
  readonly opcode: '01100' | '01111';
  readonly pairOpcode: '01100' | '01111' | '01101';
  readonly title: string;
  readonly operation: FpBinary;
}

const FLOATS: readonly Float[] = [
  {
    name: 'fmaxnm',
    a: '0',
    opcode: '01100',
    pairOpcode: '01100',
    title: 'Floating-point maximum number',
    operation: 'maxNum',
  },
  {
    name: 'fmax',
    a: '0',
    opcode: '01111',
    pairOpcode: '01111',
    title: 'Floating-point maximum',
    operation: 'max',
  },
  {
    name: 'fminnm',
    a: '1',
    opcode: '01100',
    pairOpcode: '01100',
    title: 'Floating-point minimum number',
    operation: 'minNum',
  },
  {
    name: 'fmin',
    a: '1',
    opcode: '01111',
    pairOpcode: '01111',
    title: 'Floating-point minimum',
    operation: 'min',
  },
];

const floatRows = ({ name, a, opcode, title, operation }: Float): Row[] => {
  const id = `${name.toUpperCase()}V`;
  return [
    defineRow({
      ...shared,
      id: `${id}_asimdall`,
      name: `${name}v`,
      pattern: `0 1 1 01110 ${a} 0 11000 ${opcode} 10 Rn:5 Rd:5`,
      summary: `${title} across vector`,
      arm: `C7.2 ${id}`,
      operands: { rd: F('Rd', 32), rn: V('Rn', only('4s')) },
      execute: (b, { rd, rn }) => {
        b.checkFPAdvSIMDEnabled();
        const all = b.readV(128, rn);
        b.writeV(
          32,
          rd,
          reduced(b, 32, 4, all, (x, y, lanes) => b.vfp2(operation, 32, lanes, x, y)),
        );
      },
    }),
    defineRow({
      ...shared,
      id: `${id}_asimdall_h`,
      name: `${name}v`,
      pattern: `0 Q 0 01110 ${a} 0 11000 ${opcode} 10 Rn:5 Rd:5`,
      summary: `${title} across vector (half precision)`,
      arm: `C7.2 ${id}`,
      feature: 'FEAT_FP16',
      statics: ['Q'],
      operands: { rd: F('Rd', 16), rn: V('Rn', HALVES_Q) },
      execute: (b, { rd, rn }, { Q }) => {
        b.checkFPAdvSIMDEnabled();
        const w = vectorOf(Q);
        b.writeV(
          16,
          rd,
          reduced(b, 16, w / 16, b.readV(w, rn), (x, y, lanes) => b.vfp2(operation, 16, lanes, x, y)),
        );
      },
    }),
  ];
};

// ---- pairs -------------------------------------------------------------------------------------------

const PAIRS: readonly Omit<Float, 'opcode'>[] = [
  ...FLOATS,
  { name: 'fadd', a: '0', pairOpcode: '01101', title: 'Floating-point add', operation: 'add' },
];

const pairRows = ({ name, a, pairOpcode, title, operation }: Omit<Float, 'opcode'>): Row[] => {
  const id = `${name.toUpperCase()}P`;
  return [
    defineRow({
      ...shared,
      id: `${id}_asisdpair`,
      name: `${name}p`,
      pattern: `01 1 11110 ${a} sz 11000 ${pairOpcode} 10 Rn:5 Rd:5`,
      summary: `${title} of pair of elements (scalar)`,
      arm: `C7.2 ${id} (scalar)`,
      statics: ['sz'],
      operands: { rd: scalarFloat('Rd'), rn: V('Rn', FLOAT_PAIR) },
      execute: (b, { rd, rn }, { sz }) => {
        b.checkFPAdvSIMDEnabled();
        const size = floatOf(sz);
        const pair = b.letV(b.readV(128, rn));
        b.writeF(
          size,
          rd,
          b.fp2(operation, size, b.getLane(size, pair, b.imm(0)), b.getLane(size, pair, b.imm(1))),
        );
      },
    }),
    defineRow({
      ...shared,
      id: `${id}_asisdpair_h`,
      name: `${name}p`,
      pattern: `01 0 11110 ${a} 0 11000 ${pairOpcode} 10 Rn:5 Rd:5`,
      summary: `${title} of pair of elements (scalar, half precision)`,
      arm: `C7.2 ${id} (scalar)`,
      feature: 'FEAT_FP16',
      operands: { rd: F('Rd', 16), rn: V('Rn', only('2h')) },
      execute: (b, { rd, rn }) => {
        b.checkFPAdvSIMDEnabled();
        const pair = b.letV(b.readV(32, rn));
        b.writeF(16, rd, b.fp2(operation, 16, b.getLane(16, pair, b.imm(0)), b.getLane(16, pair, b.imm(1))));
      },
    }),
  ];
};

export const rows: readonly Row[] = [
  ...INTEGERS.map(integerRow),
  longSumRow('saddlv'),
  longSumRow('uaddlv'),
  ...FLOATS.flatMap(floatRows),
  ...PAIRS.flatMap(pairRows),
  defineRow({
    ...shared,
    id: 'ADDP_asisdpair',
    name: 'addp',
    pattern: '01 0 11110 11 11000 11011 10 Rn:5 Rd:5',
    summary: 'Add pair of elements (scalar)',
    arm: 'C7.2 ADDP (scalar)',
    operands: { rd: F('Rd', 64), rn: V('Rn', only('2d')) },
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      const pair = b.letV(b.readV(128, rn));
      b.writeF(64, rd, b.add(64, b.getLane(64, pair, b.imm(0)), b.getLane(64, pair, b.imm(1))));
    },
  }),
];
