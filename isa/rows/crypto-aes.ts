/**
 * AES: one round's substitutions and row shifts, and the mixing of columns, on a state of 16 bytes; and
 * the polynomial product of doublewords, which came with them and makes GCM of them.
 *
 * Ref. DDI 0487, C4.1 "Cryptographic AES", "Advanced SIMD three different"; FIPS 197.
 */
import type { AesOperation } from '../builder.js';
import { DOUBLES_Q } from '../operands/simd-arrangements.js';
import { only, V } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import { type Bits, halfNames } from './simd-common.js';

interface Aes {
  readonly name: 'aese' | 'aesd' | 'aesmc' | 'aesimc';
  readonly opcode: Bits;
  readonly title: string;
  readonly operation: AesOperation;
  /** The key of the round is added to the state first. */
  readonly keyed: boolean;
}

const OPERATIONS: readonly Aes[] = [
  {
    name: 'aese',
    opcode: '00100',
    title: 'AES single round encryption',
    operation: 'subBytesShiftRows',
    keyed: true,
  },
  {
    name: 'aesd',
    opcode: '00101',
    title: 'AES single round decryption',
    operation: 'invSubBytesShiftRows',
    keyed: true,
  },
  { name: 'aesmc', opcode: '00110', title: 'AES mix columns', operation: 'mixColumns', keyed: false },
  {
    name: 'aesimc',
    opcode: '00111',
    title: 'AES inverse mix columns',
    operation: 'invMixColumns',
    keyed: false,
  },
];

const state = { rd: V('Rd', only('16b')), rn: V('Rn', only('16b')) };

const aesRow = ({ name, opcode, title, operation, keyed }: Aes): Row =>
  defineRow({
    id: name.toUpperCase(),
    name,
    pattern: `01001110 00 10100 ${opcode} 10 Rn:5 Rd:5`,
    class: 'crypto',
    summary: title,
    arm: `C7.2 ${name.toUpperCase()}`,
    feature: 'FEAT_AES',
    operands: state,
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      const n = b.readV(128, rn);
      b.writeV(128, rd, b.aes(operation, keyed ? b.v2('xor', 64, b.readV(128, rd), n) : n));
    },
  });

export const rows: readonly Row[] = [
  ...OPERATIONS.map(aesRow),
  defineRow({
    id: 'PMULL_asimddiff_d',
    name: halfNames('pmull'),
    pattern: '0 Q 0 01110 11 1 Rm:5 1110 00 Rn:5 Rd:5',
    class: 'crypto',
    summary: 'Polynomial multiply long of doublewords',
    arm: 'C7.2 PMULL, PMULL2',
    feature: 'FEAT_PMULL',
    statics: ['Q'],
    operands: { rd: V('Rd', only('1q')), rn: V('Rn', DOUBLES_Q), rm: V('Rm', DOUBLES_Q) },
    execute: (b, { rd, rn, rm }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      const n = b.getLane(64, b.readV(128, rn), b.imm(Q));
      const m = b.getLane(64, b.readV(128, rm), b.imm(Q));
      b.writeV(128, rd, b.polynomialProduct(n, m));
    },
  }),
];
