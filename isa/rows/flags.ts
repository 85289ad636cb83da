/**
 * Instructions that work on NZCV itself: RMIF, SETF8, SETF16, CFINV, AXFLAG, XAFLAG.
 *
 * Ref. DDI 0487, C4.1 "Rotate right into flags", "Evaluate into flags" and "PSTATE".
 */
import type { Builder, Words } from '../builder.js';
import { imm, W, X } from '../operands/index.js';
import { defineRow, type Row } from '../row.js';

/** N = the sign bit of the low `size` bits, Z = they are zero, V = bit `size` unlike the sign; C stays. */
function evaluateIntoFlags<T extends Words>(b: Builder<T>, size: 8 | 16, value: T['x']): void {
  const named = b.let(value);
  const sign = b.let(b.and(64, b.shr(64, named, b.imm(size - 1)), b.imm(1)));
  const zero = b.fromBool(b.eq(64, b.zext(size, named), b.imm(0)));
  const beyond = b.and(64, b.shr(64, named, b.imm(size)), b.imm(1));
  const n = b.shl(64, sign, b.imm(3));
  const z = b.shl(64, zero, b.imm(2));
  const c = b.shl(64, b.carry(), b.imm(1));
  const v = b.xor(64, sign, beyond);
  b.writeFlags(b.or(64, b.or(64, n, z), b.or(64, c, v)));
}

/** Z, C and V as named values of 0 or 1. */
function flagBits<T extends Words>(b: Builder<T>): Readonly<Record<'z' | 'c' | 'v', T['x']>> {
  const nzcv = b.let(b.flags());
  const flag = (at: number) => b.let(b.and(64, b.shr(64, nzcv, b.imm(at)), b.imm(1)));
  return { z: flag(2), c: flag(1), v: flag(0) };
}

export const rows: readonly Row[] = [
  defineRow({
    id: 'RMIF_rmif',
    name: 'rmif',
    pattern: '1 0 1 11010000 imm6:6 00001 Rn:5 0 mask:4',
    class: 'data-processing-register',
    summary: 'Rotate, mask insert flags',
    arm: 'C6.2 RMIF',
    feature: 'FEAT_FlagM',
    operands: {
      rn: X('Rn'),
      rotation: imm('imm6', 6, { style: 'decimal' }),
      mask: imm('mask', 4, { style: 'decimal' }),
    },
    execute: (b, { rn, rotation, mask }) => {
      const chosen = b.let(mask);
      const rotated = b.and(64, b.ror(64, b.readX(64, rn), rotation), chosen);
      const kept = b.and(64, b.flags(), b.not(64, chosen));
      b.writeFlags(b.or(64, kept, rotated));
    },
  }),
  defineRow({
    id: 'SETF8_setf',
    name: 'setf8',
    pattern: '0 0 1 11010000 000000 0 0010 Rn:5 0 1101',
    class: 'data-processing-register',
    summary: 'Evaluate an 8-bit value into flags',
    arm: 'C6.2 SETF8, SETF16',
    feature: 'FEAT_FlagM',
    operands: { rn: W('Rn') },
    execute: (b, { rn }) => evaluateIntoFlags(b, 8, b.readX(32, rn)),
  }),
  defineRow({
    id: 'SETF16_setf',
    name: 'setf16',
    pattern: '0 0 1 11010000 000000 1 0010 Rn:5 0 1101',
    class: 'data-processing-register',
    summary: 'Evaluate a 16-bit value into flags',
    arm: 'C6.2 SETF8, SETF16',
    feature: 'FEAT_FlagM',
    operands: { rn: W('Rn') },
    execute: (b, { rn }) => evaluateIntoFlags(b, 16, b.readX(32, rn)),
  }),
  defineRow({
    id: 'CFINV_pstate',
    name: 'cfinv',
    pattern: '1101010100 0 00 000 0100 0000 000 11111',
    class: 'system',
    summary: 'Invert carry flag',
    arm: 'C6.2 CFINV',
    feature: 'FEAT_FlagM',
    operands: {},
    execute: (b) => b.writeFlags(b.xor(64, b.flags(), b.imm(2))),
  }),
  defineRow({
    id: 'XAFLAG_pstate',
    name: 'xaflag',
    pattern: '1101010100 0 00 000 0100 0000 001 11111',
    class: 'system',
    summary: 'Convert flags from the external to the Arm floating-point form',
    arm: 'C6.2 XAFLAG',
    feature: 'FEAT_FlagM2',
    operands: {},
    execute: (b) => {
      const { z, c } = flagBits(b);
      const both = b.let(b.and(64, z, c));
      const either = b.let(b.or(64, z, c));
      // N = neither, Z = both, C = either, V = Z alone.
      const n = b.shl(64, b.xor(64, either, b.imm(1)), b.imm(3));
      const zc = b.or(64, b.shl(64, both, b.imm(2)), b.shl(64, either, b.imm(1)));
      b.writeFlags(b.or(64, b.or(64, n, zc), b.xor(64, z, both)));
    },
  }),
  defineRow({
    id: 'AXFLAG_pstate',
    name: 'axflag',
    pattern: '1101010100 0 00 000 0100 0000 010 11111',
    class: 'system',
    summary: 'Convert flags from the Arm to the external floating-point form',
    arm: 'C6.2 AXFLAG',
    feature: 'FEAT_FlagM2',
    operands: {},
    execute: (b) => {
      const { z, c, v } = flagBits(b);
      // N = 0, Z = Z or V, C = C and not V, V = 0.
      const zero = b.shl(64, b.or(64, z, v), b.imm(2));
      const carry = b.shl(64, b.and(64, c, b.xor(64, v, b.imm(1))), b.imm(1));
      b.writeFlags(b.or(64, zero, carry));
    },
  }),
];
