/**
 * SHA-512 and SHA-3: two rounds of the former and its schedule, and the three-way and rotating exclusive
 * ORs that Keccak is made of.
 *
 * Ref. DDI 0487, C4.1 "Cryptographic three-register SHA 512", "Cryptographic four-register"; FIPS 180-4,
 * FIPS 202.
 */
import type { Builder, Words } from '../builder.js';
import { F } from '../operands/fp-registers.js';
import { imm } from '../operands/immediates.js';
import { only, V } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import { lanePattern, rotatedLanes } from './simd-common.js';

/** The exclusive OR of three rotations of a named doubleword. */
function sigma<T extends Words>(
  b: Builder<T>,
  a: T['x'],
  [r0, r1, r2]: readonly [number, number, number],
): T['x'] {
  const ror = (amount: number) => b.ror(64, a, b.imm(amount));
  return b.xor(64, b.xor(64, ror(r0), ror(r1)), ror(r2));
}

/** Two rotations and a shift of both lanes of a named vector. */
const sigmaLanes = <T extends Words>(
  b: Builder<T>,
  a: T['q'],
  [r0, r1, shift]: readonly [number, number, number],
): T['q'] =>
  b.v2(
    'xor',
    64,
    b.v2('xor', 64, rotatedLanes(b, 64, a, r0), rotatedLanes(b, 64, a, r1)),
    b.vShift('shr', 64, a, b.imm(shift)),
  );

/** The named halves of a vector, the lower one first. */
function halves<T extends Words>(b: Builder<T>, vector: T['q']): readonly [T['x'], T['x']] {
  const v = b.letV(vector);
  return [b.let(b.getLane(64, v, b.imm(0))), b.let(b.getLane(64, v, b.imm(1)))];
}

const choose = <T extends Words>(b: Builder<T>, x: T['x'], y: T['x'], z: T['x']): T['x'] =>
  b.xor(64, b.and(64, b.xor(64, y, z), x), z);
const majority = <T extends Words>(b: Builder<T>, x: T['x'], y: T['x'], z: T['x']): T['x'] =>
  b.or(64, b.and(64, x, y), b.and(64, b.or(64, x, y), z));

const hashing = { rd: F('Rd', 128), rn: F('Rn', 128), rm: V('Rm', only('2d')) };
const doubles = { rd: V('Rd', only('2d')), rn: V('Rn', only('2d')), rm: V('Rm', only('2d')) };
const bytes = {
  rd: V('Rd', only('16b')),
  rn: V('Rn', only('16b')),
  rm: V('Rm', only('16b')),
  ra: V('Ra', only('16b')),
};
const sha512 = { class: 'crypto', feature: 'FEAT_SHA512' } as const;
const sha3 = { class: 'crypto', feature: 'FEAT_SHA3' } as const;

export const rows: readonly Row[] = [
  defineRow({
    ...sha512,
    id: 'SHA512H',
    name: 'sha512h',
    pattern: '11001110 011 Rm:5 1000 00 Rn:5 Rd:5',
    summary: 'SHA512 hash update part 1',
    arm: 'C7.2 SHA512H',
    operands: hashing,
    execute: (b, { rd, rn, rm }) => {
      b.checkFPAdvSIMDEnabled();
      const [w0, w1] = halves(b, b.readV(128, rd));
      const [x0, x1] = halves(b, b.readV(128, rn));
      const [y0, y1] = halves(b, b.readV(128, rm));
      const high = b.let(b.add(64, b.add(64, choose(b, y1, x0, x1), sigma(b, y1, [14, 18, 41])), w1));
      const t = b.let(b.add(64, high, y0));
      const low = b.add(64, b.add(64, choose(b, t, y1, x0), sigma(b, t, [14, 18, 41])), w0);
      b.writeV(128, rd, b.fromX(low, high));
    },
  }),
  defineRow({
    ...sha512,
    id: 'SHA512H2',
    name: 'sha512h2',
    pattern: '11001110 011 Rm:5 1000 01 Rn:5 Rd:5',
    summary: 'SHA512 hash update part 2',
    arm: 'C7.2 SHA512H2',
    operands: hashing,
    execute: (b, { rd, rn, rm }) => {
      b.checkFPAdvSIMDEnabled();
      const [w0, w1] = halves(b, b.readV(128, rd));
      const x0 = b.getLane(64, b.readV(128, rn), b.imm(0));
      const [y0, y1] = halves(b, b.readV(128, rm));
      const high = b.let(
        b.add(64, b.add(64, majority(b, y0, y1, b.let(x0)), sigma(b, y0, [28, 34, 39])), w1),
      );
      const low = b.add(64, b.add(64, majority(b, high, y0, y1), sigma(b, high, [28, 34, 39])), w0);
      b.writeV(128, rd, b.fromX(low, high));
    },
  }),
  defineRow({
    ...sha512,
    id: 'SHA512SU1',
    name: 'sha512su1',
    pattern: '11001110 011 Rm:5 1000 10 Rn:5 Rd:5',
    summary: 'SHA512 schedule update 1',
    arm: 'C7.2 SHA512SU1',
    operands: doubles,
    execute: (b, { rd, rn, rm }) => {
      b.checkFPAdvSIMDEnabled();
      const n = b.letV(b.readV(128, rn));
      const sum = b.v2('add', 64, b.readV(128, rd), b.readV(128, rm));
      b.writeV(128, rd, b.v2('add', 64, sum, sigmaLanes(b, n, [19, 61, 6])));
    },
  }),
  defineRow({
    ...sha512,
    id: 'SHA512SU0',
    name: 'sha512su0',
    pattern: '11001110 110 00000 1000 00 Rn:5 Rd:5',
    summary: 'SHA512 schedule update 0',
    arm: 'C7.2 SHA512SU0',
    operands: { rd: doubles.rd, rn: doubles.rn },
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      const d = b.letV(b.readV(128, rd));
      const next = b.letV(
        b.shuffle(
          d,
          b.readV(128, rn),
          lanePattern('next', 64, 1, (lane) => lane + 1),
        ),
      );
      b.writeV(128, rd, b.v2('add', 64, d, sigmaLanes(b, next, [1, 8, 7])));
    },
  }),
  defineRow({
    ...sha3,
    id: 'RAX1',
    name: 'rax1',
    pattern: '11001110 011 Rm:5 1000 11 Rn:5 Rd:5',
    summary: 'Rotate and exclusive OR',
    arm: 'C7.2 RAX1',
    operands: doubles,
    execute: (b, { rd, rn, rm }) => {
      b.checkFPAdvSIMDEnabled();
      const rotated = rotatedLanes(b, 64, b.letV(b.readV(128, rm)), 63);
      b.writeV(128, rd, b.v2('xor', 64, b.readV(128, rn), rotated));
    },
  }),
  defineRow({
    ...sha3,
    id: 'XAR',
    name: 'xar',
    pattern: '11001110 100 Rm:5 imm6:6 Rn:5 Rd:5',
    summary: 'Exclusive OR and rotate',
    arm: 'C7.2 XAR',
    operands: { ...doubles, amount: imm('imm6', 6, { style: 'decimal' }) },
    execute: (b, { rd, rn, rm, amount }) => {
      b.checkFPAdvSIMDEnabled();
      const value = b.letV(b.v2('xor', 64, b.readV(128, rn), b.readV(128, rm)));
      const by = b.let(amount);
      const left = b.vShift('shl', 64, value, b.sub(64, b.imm(64), by));
      b.writeV(128, rd, b.v2('or', 64, b.vShift('shr', 64, value, by), left));
    },
  }),
  defineRow({
    ...sha3,
    id: 'EOR3',
    name: 'eor3',
    pattern: '11001110 000 Rm:5 0 Ra:5 Rn:5 Rd:5',
    summary: 'Three-way exclusive OR',
    arm: 'C7.2 EOR3',
    operands: bytes,
    execute: (b, { rd, rn, rm, ra }) => {
      b.checkFPAdvSIMDEnabled();
      const two = b.v2('xor', 64, b.readV(128, rn), b.readV(128, rm));
      b.writeV(128, rd, b.v2('xor', 64, two, b.readV(128, ra)));
    },
  }),
  defineRow({
    ...sha3,
    id: 'BCAX',
    name: 'bcax',
    pattern: '11001110 001 Rm:5 0 Ra:5 Rn:5 Rd:5',
    summary: 'Bit clear and exclusive OR',
    arm: 'C7.2 BCAX',
    operands: bytes,
    execute: (b, { rd, rn, rm, ra }) => {
      b.checkFPAdvSIMDEnabled();
      const cleared = b.v2('andNot', 64, b.readV(128, rm), b.readV(128, ra));
      b.writeV(128, rd, b.v2('xor', 64, b.readV(128, rn), cleared));
    },
  }),
];
