/**
 * SHA-1 and SHA-256: four rounds of the hash, and the schedule of message words.
 *
 * The rounds are written in plain 32-bit arithmetic on the words of the state, so that an engine that
 * compiles them has nothing to call.
 *
 * Ref. DDI 0487, C4.1 "Cryptographic three-register SHA", "Cryptographic two-register SHA"; J1.3 SHA1 and
 * SHA256hash; FIPS 180-4.
 */
import type { Builder, Words } from '../builder.js';
import { F } from '../operands/fp-registers.js';
import { only, V } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import { lanePattern, rotatedLanes, zeros } from './simd-common.js';

const ror = <T extends Words>(b: Builder<T>, a: T['x'], amount: number): T['x'] =>
  b.ror(32, a, b.imm(amount));

/** The exclusive OR of three rotations of a named word. */
const sigma = <T extends Words>(
  b: Builder<T>,
  a: T['x'],
  [r0, r1, r2]: readonly [number, number, number],
): T['x'] => b.xor(32, b.xor(32, ror(b, a, r0), ror(b, a, r1)), ror(b, a, r2));

/** SHAchoose, SHAmajority, SHAparity of named words. */
const FUNCTIONS = {
  choose: <T extends Words>(b: Builder<T>, x: T['x'], y: T['x'], z: T['x']): T['x'] =>
    b.xor(32, b.and(32, b.xor(32, y, z), x), z),
  majority: <T extends Words>(b: Builder<T>, x: T['x'], y: T['x'], z: T['x']): T['x'] =>
    b.or(32, b.and(32, x, y), b.and(32, b.or(32, x, y), z)),
  parity: <T extends Words>(b: Builder<T>, x: T['x'], y: T['x'], z: T['x']): T['x'] =>
    b.xor(32, b.xor(32, x, y), z),
} as const;

type FourWords<T extends Words> = [T['x'], T['x'], T['x'], T['x']];

/** The named words of a vector. */
function wordsOf<T extends Words>(b: Builder<T>, vector: T['q']): FourWords<T> {
  const v = b.letV(vector);
  const word = (at: number) => b.let(b.getLane(32, v, b.imm(at)));
  return [word(0), word(1), word(2), word(3)];
}

function vectorOfWords<T extends Words>(b: Builder<T>, words: FourWords<T>): T['q'] {
  const half = (low: T['x'], high: T['x']) => b.or(64, low, b.shl(64, high, b.imm(32)));
  return b.fromX(half(words[0], words[1]), half(words[2], words[3]));
}

const shared = { class: 'crypto' } as const;

// ---- SHA-1 -------------------------------------------------------------------------------------------

const hash1 = (name: 'sha1c' | 'sha1p' | 'sha1m', opcode: '000' | '001' | '010', f: keyof typeof FUNCTIONS) =>
  defineRow({
    ...shared,
    id: name.toUpperCase(),
    name,
    pattern: `01011110 000 Rm:5 0 ${opcode} 00 Rn:5 Rd:5`,
    summary: `SHA1 hash update (${f})`,
    arm: `C7.2 ${name.toUpperCase()}`,
    feature: 'FEAT_SHA1',
    operands: { rd: F('Rd', 128), rn: F('Rn', 32), rm: V('Rm', only('4s')) },
    execute: (b, { rd, rn, rm }) => {
      b.checkFPAdvSIMDEnabled();
      let x = wordsOf(b, b.readV(128, rd));
      let y = b.let(b.readF(32, rn));
      const w = wordsOf(b, b.readV(128, rm));
      for (const word of w) {
        const t = b.add(32, FUNCTIONS[f](b, x[1], x[2], x[3]), b.add(32, ror(b, x[0], 27), word));
        const next = b.let(b.add(32, y, t));
        y = x[3];
        x = [next, x[0], b.let(ror(b, x[1], 2)), x[2]];
      }
      b.writeV(128, rd, vectorOfWords(b, x));
    },
  });

// ---- SHA-256 -----------------------------------------------------------------------------------------

/** SHA256hash: four rounds; gives the half of the state that `part1` asks for. */
function hash256<T extends Words>(
  b: Builder<T>,
  abcd: T['q'],
  efgh: T['q'],
  w: T['q'],
  part1: boolean,
): T['q'] {
  let x = wordsOf(b, abcd);
  let y = wordsOf(b, efgh);
  for (const word of wordsOf(b, w)) {
    const choice = FUNCTIONS.choose(b, y[0], y[1], y[2]);
    const t = b.let(b.add(32, b.add(32, y[3], sigma(b, y[0], [6, 11, 25])), b.add(32, choice, word)));
    const majority = FUNCTIONS.majority(b, x[0], x[1], x[2]);
    const e = b.let(b.add(32, t, x[3]));
    const a = b.let(b.add(32, t, b.add(32, sigma(b, x[0], [2, 13, 22]), majority)));
    y = [e, y[0], y[1], y[2]];
    x = [a, x[0], x[1], x[2]];
  }
  return vectorOfWords(b, part1 ? x : y);
}

const hash256Row = (name: 'sha256h' | 'sha256h2', opcode: '100' | '101', part1: boolean) =>
  defineRow({
    ...shared,
    id: name.toUpperCase(),
    name,
    pattern: `01011110 000 Rm:5 0 ${opcode} 00 Rn:5 Rd:5`,
    summary: `SHA256 hash update (part ${part1 ? 1 : 2})`,
    arm: `C7.2 ${name.toUpperCase()}`,
    feature: 'FEAT_SHA256',
    operands: { rd: F('Rd', 128), rn: F('Rn', 128), rm: V('Rm', only('4s')) },
    execute: (b, { rd, rn, rm }) => {
      b.checkFPAdvSIMDEnabled();
      const d = b.readV(128, rd);
      const n = b.readV(128, rn);
      b.writeV(128, rd, hash256(b, part1 ? d : n, part1 ? n : d, b.readV(128, rm), part1));
    },
  });

/** Two rotations and a shift of every 32-bit lane of a named vector. */
const sigmaLanes = <T extends Words>(
  b: Builder<T>,
  a: T['q'],
  [r0, r1, shift]: readonly [number, number, number],
): T['q'] =>
  b.v2(
    'xor',
    64,
    b.v2('xor', 64, rotatedLanes(b, 32, a, r0), rotatedLanes(b, 32, a, r1)),
    b.vShift('shr', 32, a, b.imm(shift)),
  );

const three = { rd: V('Rd', only('4s')), rn: V('Rn', only('4s')), rm: V('Rm', only('4s')) };
const two = { rd: three.rd, rn: three.rn };

export const rows: readonly Row[] = [
  hash1('sha1c', '000', 'choose'),
  hash1('sha1p', '001', 'parity'),
  hash1('sha1m', '010', 'majority'),
  defineRow({
    ...shared,
    id: 'SHA1SU0',
    name: 'sha1su0',
    pattern: '01011110 000 Rm:5 0 011 00 Rn:5 Rd:5',
    summary: 'SHA1 schedule update 0',
    arm: 'C7.2 SHA1SU0',
    feature: 'FEAT_SHA1',
    operands: three,
    execute: (b, { rd, rn, rm }) => {
      b.checkFPAdvSIMDEnabled();
      const d = b.letV(b.readV(128, rd));
      const middle = b.shuffle(
        d,
        b.readV(128, rn),
        lanePattern('middle', 64, 1, (lane) => lane + 1),
      );
      b.writeV(128, rd, b.v2('xor', 64, b.v2('xor', 64, middle, d), b.readV(128, rm)));
    },
  }),
  hash256Row('sha256h', '100', true),
  hash256Row('sha256h2', '101', false),
  defineRow({
    ...shared,
    id: 'SHA256SU1',
    name: 'sha256su1',
    pattern: '01011110 000 Rm:5 0 110 00 Rn:5 Rd:5',
    summary: 'SHA256 schedule update 1',
    arm: 'C7.2 SHA256SU1',
    feature: 'FEAT_SHA256',
    operands: three,
    execute: (b, { rd, rn, rm }) => {
      b.checkFPAdvSIMDEnabled();
      const m = b.letV(b.readV(128, rm));
      const before = b.shuffle(
        b.readV(128, rn),
        m,
        lanePattern('next', 32, 1, (lane) => lane + 1),
      );
      const sums = b.letV(b.v2('add', 32, b.readV(128, rd), before));
      // The two upper words need the two lower ones.
      const upper = lanePattern('upper words', 64, 1, () => 1);
      const last = b.letV(b.shuffle(m, zeros(b), upper));
      const low = b.letV(b.v2('add', 32, sums, sigmaLanes(b, last, [17, 19, 10])));
      const first = b.letV(
        b.shuffle(
          low,
          zeros(b),
          lanePattern('lower words', 64, 1, () => 0),
        ),
      );
      const high = b.v2('add', 32, sums, sigmaLanes(b, first, [17, 19, 10]));
      b.writeV(128, rd, b.setLane(64, low, b.imm(1), b.getLane(64, high, b.imm(1))));
    },
  }),
  defineRow({
    ...shared,
    id: 'SHA1H',
    name: 'sha1h',
    pattern: '01011110 00 10100 00000 10 Rn:5 Rd:5',
    summary: 'SHA1 fixed rotate',
    arm: 'C7.2 SHA1H',
    feature: 'FEAT_SHA1',
    operands: { rd: F('Rd', 32), rn: F('Rn', 32) },
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      b.writeF(32, rd, ror(b, b.readF(32, rn), 2));
    },
  }),
  defineRow({
    ...shared,
    id: 'SHA1SU1',
    name: 'sha1su1',
    pattern: '01011110 00 10100 00001 10 Rn:5 Rd:5',
    summary: 'SHA1 schedule update 1',
    arm: 'C7.2 SHA1SU1',
    feature: 'FEAT_SHA1',
    operands: two,
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      const shifted = b.shuffle(
        b.readV(128, rn),
        zeros(b),
        lanePattern('next', 32, 1, (lane) => lane + 1),
      );
      const t = b.letV(b.v2('xor', 64, b.readV(128, rd), shifted));
      const result = b.letV(rotatedLanes(b, 32, t, 31));
      // The last word depends on the first: its rotation by one is the first word of `result`.
      const first = ror(b, b.getLane(32, result, b.imm(0)), 31);
      const last = b.xor(32, b.getLane(32, result, b.imm(3)), first);
      b.writeV(128, rd, b.setLane(32, result, b.imm(3), last));
    },
  }),
  defineRow({
    ...shared,
    id: 'SHA256SU0',
    name: 'sha256su0',
    pattern: '01011110 00 10100 00010 10 Rn:5 Rd:5',
    summary: 'SHA256 schedule update 0',
    arm: 'C7.2 SHA256SU0',
    feature: 'FEAT_SHA256',
    operands: two,
    execute: (b, { rd, rn }) => {
      b.checkFPAdvSIMDEnabled();
      const d = b.letV(b.readV(128, rd));
      const next = b.letV(
        b.shuffle(
          d,
          b.readV(128, rn),
          lanePattern('next', 32, 1, (lane) => lane + 1),
        ),
      );
      b.writeV(128, rd, b.v2('add', 32, d, sigmaLanes(b, next, [7, 18, 3])));
    },
  }),
];
