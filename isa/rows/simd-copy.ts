/**
 * Advanced SIMD copy: elements between vectors and general-purpose registers (DUP, INS, SMOV, UMOV).
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD copy", "Advanced SIMD scalar copy".
 */

import { W, X } from '../operands/registers.js';
import { arranged, COPY_LANES, copyScalar, copySize } from '../operands/simd-arrangements.js';
import { copiedRegister, copyElement } from '../operands/simd-elements.js';
import { V } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import { laneOf, vectorOf } from './simd-common.js';

const shared = { class: 'simd', feature: 'FEAT_AdvSIMD' } as const;
type Imm5 = Readonly<Record<'imm5', number>>;

const isSize = ({ imm5 }: Imm5) => copySize(imm5) >= 0 && copySize(imm5) <= 3;
const anyElement = copyElement('Rn', 'bhsd');
const registerElement = { rd: copyElement('Rd', 'bhsd'), rn: copiedRegister('Rn') };
const twoElements = { rd: copyElement('Rd', 'bhsd'), rn: copyElement('Rn', 'bhsd', 'imm4') };
const scalarElement = { rd: copyScalar('Rd'), rn: anyElement };

const toW = { rd: W('Rd'), rn: copyElement('Rn', 'bhs') };
const toX = { rd: X('Rd'), rn: copyElement('Rn', 'd') };

export const rows: readonly Row[] = [
  defineRow({
    ...shared,
    id: 'DUP_asimdins_element',
    name: 'dup',
    pattern: '0 Q 0 01110000 imm5:5 0 0000 1 Rn:5 Rd:5',
    summary: 'Duplicate vector element to vector',
    arm: 'C7.2 DUP (element)',
    statics: ['Q'],
    where: arranged(COPY_LANES),
    operands: { rd: V('Rd', COPY_LANES), rn: anyElement },
    execute: (b, { rd, rn }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      const lane = laneOf(rn.size);
      b.writeV(vectorOf(Q), rd, b.splat(lane, b.getLane(lane, b.readV(128, rn.reg), rn.index)));
    },
  }),
  defineRow({
    ...shared,
    id: 'DUP_asisdone',
    name: 'dup',
    pattern: '01 0 11110000 imm5:5 0 0000 1 Rn:5 Rd:5',
    summary: 'Duplicate vector element to scalar',
    arm: 'C7.2 DUP (element)',
    where: isSize,
    operands: scalarElement,
    aliases: [{ name: 'mov', operands: scalarElement }],
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      const lane = laneOf(rn.size);
      b.writeF(lane, rd, b.getLane(lane, b.readV(128, rn.reg), rn.index));
    },
  }),
  defineRow({
    ...shared,
    id: 'DUP_asimdins_register',
    name: 'dup',
    pattern: '0 Q 0 01110000 imm5:5 0 0001 1 Rn:5 Rd:5',
    summary: 'Duplicate general-purpose register to vector',
    arm: 'C7.2 DUP (general)',
    statics: ['Q'],
    where: arranged(COPY_LANES),
    operands: { rd: V('Rd', COPY_LANES), rn: copiedRegister('Rn', { choosesSize: true }) },
    execute: (b, { rd, rn }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeV(vectorOf(Q), rd, b.splat(laneOf(rn.size), b.readX(64, rn.reg)));
    },
  }),
  defineRow({
    ...shared,
    id: 'INS_asimdins_register',
    name: 'ins',
    pattern: '0 1 0 01110000 imm5:5 0 0011 1 Rn:5 Rd:5',
    summary: 'Insert vector element from general-purpose register',
    arm: 'C7.2 INS (general)',
    where: isSize,
    operands: registerElement,
    aliases: [{ name: 'mov', operands: registerElement }],
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      const old = b.readV(128, rd.reg);
      b.writeV(128, rd.reg, b.setLane(laneOf(rd.size), old, rd.index, b.readX(64, rn.reg)));
    },
  }),
  defineRow({
    ...shared,
    id: 'INS_asimdins_element',
    name: 'ins',
    pattern: '0 1 1 01110000 imm5:5 0 imm4:4 1 Rn:5 Rd:5',
    summary: 'Insert vector element from another vector element',
    arm: 'C7.2 INS (element)',
    where: isSize,
    operands: twoElements,
    aliases: [{ name: 'mov', operands: twoElements }],
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      const lane = laneOf(rd.size);
      const value = b.getLane(lane, b.readV(128, rn.reg), rn.index);
      b.writeV(128, rd.reg, b.setLane(lane, b.readV(128, rd.reg), rd.index, value));
    },
  }),
  defineRow({
    ...shared,
    id: 'SMOV_asimdins_w',
    name: 'smov',
    pattern: '0 0 0 01110000 imm5:5 0 0101 1 Rn:5 Rd:5',
    summary: 'Signed move vector element to general-purpose register (32-bit)',
    arm: 'C7.2 SMOV',
    where: ({ imm5 }) => isSize({ imm5 }) && copySize(imm5) <= 1,
    operands: { rd: W('Rd'), rn: copyElement('Rn', 'bh') },
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      const lane = laneOf(rn.size);
      b.writeX(32, rd, b.sext(32, lane, b.getLane(lane, b.readV(128, rn.reg), rn.index)));
    },
  }),
  defineRow({
    ...shared,
    id: 'SMOV_asimdins_x',
    name: 'smov',
    pattern: '0 1 0 01110000 imm5:5 0 0101 1 Rn:5 Rd:5',
    summary: 'Signed move vector element to general-purpose register (64-bit)',
    arm: 'C7.2 SMOV',
    where: ({ imm5 }) => isSize({ imm5 }) && copySize(imm5) <= 2,
    operands: { rd: X('Rd'), rn: copyElement('Rn', 'bhs') },
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      const lane = laneOf(rn.size);
      b.writeX(64, rd, b.sext(64, lane, b.getLane(lane, b.readV(128, rn.reg), rn.index)));
    },
  }),
  defineRow({
    ...shared,
    id: 'UMOV_asimdins_w',
    name: 'umov',
    pattern: '0 0 0 01110000 imm5:5 0 0111 1 Rn:5 Rd:5',
    summary: 'Unsigned move vector element to general-purpose register (32-bit)',
    arm: 'C7.2 UMOV',
    where: ({ imm5 }) => isSize({ imm5 }) && copySize(imm5) <= 2,
    operands: toW,
    aliases: [
      {
        name: 'mov',
        operands: { rd: W('Rd'), rn: copyElement('Rn', 's') },
        requires: ({ imm5 }) => copySize(imm5) === 2,
      },
    ],
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeX(32, rd, b.getLane(laneOf(rn.size), b.readV(128, rn.reg), rn.index));
    },
  }),
  defineRow({
    ...shared,
    id: 'UMOV_asimdins_x',
    name: 'umov',
    pattern: '0 1 0 01110000 imm5:5 0 0111 1 Rn:5 Rd:5',
    summary: 'Unsigned move vector element to general-purpose register (64-bit)',
    arm: 'C7.2 UMOV',
    where: ({ imm5 }) => copySize(imm5) === 3,
    operands: toX,
    aliases: [{ name: 'mov', operands: toX }],
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeX(64, rd, b.getLane(64, b.readV(128, rn.reg), rn.index));
    },
  }),
];
