/**
 * Advanced SIMD three same, later extensions: rounding doubling multiply-accumulate (RDM), dot products,
 * complex arithmetic (FCMA), and half-precision products added to single precision (FHM), with their
 * by-element forms.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD three same extra", "Advanced SIMD vector x indexed element".
 */
import type { Builder, FpSize, LaneSize, Words } from '../builder.js';
import {
  arranged,
  BYTES_Q,
  LANES_HS,
  LANES_HSD,
  LOW_HALVES_Q,
  SINGLES_Q,
  scalar,
} from '../operands/simd-arrangements.js';
import { ELEMENT_BYTES, ELEMENT_COMPLEX, ELEMENT_HALF, ELEMENT_HS } from '../operands/simd-elements.js';
import { rotation } from '../operands/simd-immediates.js';
import { V } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import { deinterleaved, laneOf, lanePattern, negated, pairSums, vectorOf, zeros } from './simd-common.js';

const HS = [1, 2];

// ---- SQRDMLAH, SQRDMLSH ------------------------------------------------------------------------------

function roundingRows(operation: 'sqrdmlah' | 'sqrdmlsh'): Row[] {
  const id = operation.toUpperCase();
  const opcode = operation === 'sqrdmlah' ? '0000' : '0001';
  const elementOpcode = operation === 'sqrdmlah' ? '1101' : '1111';
  const title = `Signed saturating rounding doubling multiply ${operation === 'sqrdmlah' ? 'accumulate' : 'subtract'} high`;
  const shared = { name: operation, class: 'simd', arm: `C7.2 ${id}`, feature: 'FEAT_RDM' } as const;
  const scalars = { rd: scalar('Rd', HS), rn: scalar('Rn', HS) };
  const vectors = { rd: V('Rd', LANES_HS), rn: V('Rn', LANES_HS) };
  const isHalfOrSingle = (f: Readonly<Record<'size', number>>) => HS.includes(f.size);
  return [
    defineRow({
      ...shared,
      id: `${id}_asimdsame2`,
      pattern: `0 Q 1 01110 size:2 0 Rm:5 1 ${opcode} 1 Rn:5 Rd:5`,
      summary: `${title} (vector)`,
      statics: ['Q', 'size'],
      where: isHalfOrSingle,
      operands: { ...vectors, rm: V('Rm', LANES_HS) },
      execute: (b, { rd, rn, rm }, { Q, size }) => {
        b.checkFPAdvSIMDEnabled();
        const w = vectorOf(Q);
        b.writeV(w, rd, b.v3(operation, laneOf(size), b.readV(w, rd), b.readV(w, rn), b.readV(w, rm)));
      },
    }),
    defineRow({
      ...shared,
      id: `${id}_asisdsame2`,
      pattern: `01 1 11110 size:2 0 Rm:5 1 ${opcode} 1 Rn:5 Rd:5`,
      summary: `${title} (scalar)`,
      statics: ['size'],
      where: isHalfOrSingle,
      operands: { ...scalars, rm: scalar('Rm', HS) },
      execute: (b, { rd, rn, rm }, { size }) => {
        b.checkFPAdvSIMDEnabled();
        const w = laneOf(size);
        b.writeV(w, rd, b.v3(operation, w, b.readV(w, rd), b.readV(w, rn), b.readV(w, rm)));
      },
    }),
    defineRow({
      ...shared,
      id: `${id}_asimdelem`,
      pattern: `0 Q 1 01111 size:2 L M Rm:4 ${elementOpcode} H 0 Rn:5 Rd:5`,
      summary: `${title} (vector, by element)`,
      statics: ['Q', 'size'],
      where: isHalfOrSingle,
      operands: { ...vectors, rm: ELEMENT_HS },
      execute: (b, { rd, rn, rm }, { Q, size }) => {
        b.checkFPAdvSIMDEnabled();
        const w = vectorOf(Q);
        const lane = laneOf(size);
        const m = b.splat(lane, b.getLane(lane, b.readV(128, rm.reg), rm.index));
        b.writeV(w, rd, b.v3(operation, lane, b.readV(w, rd), b.readV(w, rn), m));
      },
    }),
    defineRow({
      ...shared,
      id: `${id}_asisdelem`,
      pattern: `01 1 11111 size:2 L M Rm:4 ${elementOpcode} H 0 Rn:5 Rd:5`,
      summary: `${title} (scalar, by element)`,
      statics: ['size'],
      where: isHalfOrSingle,
      operands: { ...scalars, rm: ELEMENT_HS },
      execute: (b, { rd, rn, rm }, { size }) => {
        b.checkFPAdvSIMDEnabled();
        const w = laneOf(size);
        const m = b.splat(w, b.getLane(w, b.readV(128, rm.reg), rm.index));
        b.writeV(w, rd, b.v3(operation, w, b.readV(w, rd), b.readV(w, rn), m));
      },
    }),
  ];
}

// ---- dot products ------------------------------------------------------------------------------------

/** Sums of four products of bytes, one in each 32-bit lane. */
function dotProduct<T extends Words>(b: Builder<T>, signed: boolean, n: T['q'], m: T['q']): T['q'] {
  const x = b.letV(n);
  const y = b.letV(m);
  // Products of bytes fit in 16 bits.
  const sums = (high: boolean) =>
    pairSums(b, signed, 16, b.v2('mul', 16, b.vWiden(signed, 8, high, x), b.vWiden(signed, 8, high, y)));
  const [even, odd] = deinterleaved(b, 32, 1, sums(false), sums(true));
  return b.v2('add', 32, even, odd);
}

function dotRows(name: 'sdot' | 'udot'): Row[] {
  const id = name.toUpperCase();
  const signed = name === 'sdot';
  const U = signed ? '0' : '1';
  const title = `Dot product ${signed ? 'signed' : 'unsigned'} arithmetic`;
  const shared = { name, class: 'simd', feature: 'FEAT_DotProd', statics: ['Q'] } as const;
  const vectors = { rd: V('Rd', SINGLES_Q), rn: V('Rn', BYTES_Q) };
  return [
    defineRow({
      ...shared,
      id: `${id}_asimdsame2`,
      pattern: `0 Q ${U} 01110 10 0 Rm:5 1 0010 1 Rn:5 Rd:5`,
      summary: `${title} (vector)`,
      arm: `C7.2 ${id} (vector)`,
      operands: { ...vectors, rm: V('Rm', BYTES_Q) },
      execute: (b, { rd, rn, rm }, { Q }) => {
        b.checkFPAdvSIMDEnabled();
        const w = vectorOf(Q);
        const sums = dotProduct(b, signed, b.readV(w, rn), b.readV(w, rm));
        b.writeV(w, rd, b.v2('add', 32, b.readV(w, rd), sums));
      },
    }),
    defineRow({
      ...shared,
      id: `${id}_asimdelem`,
      pattern: `0 Q ${U} 01111 10 L M Rm:4 1110 H 0 Rn:5 Rd:5`,
      summary: `${title} (by element)`,
      arm: `C7.2 ${id} (by element)`,
      operands: { ...vectors, rm: ELEMENT_BYTES },
      execute: (b, { rd, rn, rm }, { Q }) => {
        b.checkFPAdvSIMDEnabled();
        const w = vectorOf(Q);
        const m = b.splat(32, b.getLane(32, b.readV(128, rm.reg), rm.index));
        b.writeV(w, rd, b.v2('add', 32, b.readV(w, rd), dotProduct(b, signed, b.readV(w, rn), m)));
      },
    }),
  ];
}

// ---- complex numbers ---------------------------------------------------------------------------------

/** FPNeg of the even (real) or odd (imaginary) lanes. */
function negatedParts<T extends Words>(
  b: Builder<T>,
  size: FpSize,
  parts: 'real' | 'imaginary' | 'both',
  a: T['q'],
): T['q'] {
  if (parts === 'both') return negated(b, size, a);
  const sign = 1n << BigInt(2 * size - 1);
  let bits = 0n;
  for (let at = 0n; at < 128n; at += BigInt(2 * size)) {
    bits |= (parts === 'real' ? sign >> BigInt(size) : sign) << at;
  }
  return b.v2('xor', 64, a, b.immV(bits));
}

/** The parts of each number: `real` and `imaginary` twice each, `swapped` one for the other. */
const PARTS = {
  real: (lane: number) => lane & ~1,
  imaginary: (lane: number) => lane | 1,
  swapped: (lane: number) => lane ^ 1,
} as const;

function parts<T extends Words>(b: Builder<T>, which: keyof typeof PARTS, size: LaneSize, a: T['q']): T['q'] {
  return b.shuffle(a, zeros(b), lanePattern(which, size, 1, PARTS[which]));
}

/** FCMLA: by `rot`, one of the four products of parts of (n * m). */
function complexProduct<T extends Words>(
  b: Builder<T>,
  size: FpSize,
  lanes: number,
  rot: number,
  sum: T['q'],
  n: T['q'],
  m: T['q'],
): T['q'] {
  const odd = (rot & 1) === 1;
  const factor = parts(b, odd ? 'imaginary' : 'real', size, n);
  const other = odd ? parts(b, 'swapped', size, m) : m;
  // 90 negates what makes the real part, 270 what makes the imaginary one, 180 both.
  const signed =
    rot === 0 ? other : negatedParts(b, size, rot === 1 ? 'real' : rot === 2 ? 'both' : 'imaginary', other);
  return b.vfp3('mulAdd', size, lanes, sum, factor, signed);
}

const complexRow = { class: 'simd', statics: ['Q', 'size', 'rot'] } as const;
const complexVectors = { rd: V('Rd', LANES_HSD), rn: V('Rn', LANES_HSD) };
const floatSize = (size: number) => laneOf(size) as FpSize;

interface Precision {
  /** Ends the ids. */
  readonly mark: '' | '_h';
  readonly title: string;
  readonly accepts: (size: number) => boolean;
  readonly needs: { readonly andFeature?: string };
}

const PRECISIONS: readonly Precision[] = [
  { mark: '', title: '', accepts: (size) => size > 1, needs: {} },
  {
    mark: '_h',
    title: ', half precision',
    accepts: (size) => size === 1,
    needs: { andFeature: 'FEAT_FP16' },
  },
];

const complexRows = ({ mark, title, accepts, needs }: Precision): readonly Row[] => [
  defineRow({
    ...complexRow,
    ...needs,
    id: `FCMLA_asimdsame2${mark}`,
    name: 'fcmla',
    pattern: '0 Q 1 01110 size:2 0 Rm:5 1 10 rot:2 1 Rn:5 Rd:5',
    summary: `Floating-point complex multiply accumulate${title}`,
    arm: 'C7.2 FCMLA',
    feature: 'FEAT_FCMA',
    where: (f) => accepts(f.size) && arranged(LANES_HSD)(f),
    operands: { ...complexVectors, rm: V('Rm', LANES_HSD), rotate: rotation('rot', [0, 90, 180, 270]) },
    execute: (b, { rd, rn, rm }, { Q, size, rot }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      const f = floatSize(size);
      b.writeV(w, rd, complexProduct(b, f, w / f, rot, b.readV(w, rd), b.readV(w, rn), b.readV(w, rm)));
    },
  }),
  defineRow({
    ...complexRow,
    ...needs,
    id: `FCMLA_asimdelem${mark}`,
    name: 'fcmla',
    pattern: '0 Q 1 01111 size:2 L M Rm:4 0 rot:2 1 H 0 Rn:5 Rd:5',
    summary: `Floating-point complex multiply accumulate (by element)${title}`,
    arm: 'C7.2 FCMLA (by element)',
    feature: 'FEAT_FCMA',
    where: (f) =>
      accepts(f.size) &&
      ((f.size === 1 && (f.Q === 1 || f.H === 0)) || (f.size === 2 && f.L === 0 && f.Q === 1)),
    operands: {
      rd: V('Rd', LANES_HS),
      rn: V('Rn', LANES_HS),
      rm: ELEMENT_COMPLEX,
      rotate: rotation('rot', [0, 90, 180, 270]),
    },
    execute: (b, { rd, rn, rm }, { Q, size, rot }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      const f = floatSize(size);
      const pair = (2 * f) as LaneSize;
      const m = b.splat(pair, b.getLane(pair, b.readV(128, rm.reg), rm.index));
      b.writeV(w, rd, complexProduct(b, f, w / f, rot, b.readV(w, rd), b.readV(w, rn), m));
    },
  }),
  defineRow({
    ...complexRow,
    ...needs,
    id: `FCADD_asimdsame2${mark}`,
    name: 'fcadd',
    pattern: '0 Q 1 01110 size:2 0 Rm:5 1 11 rot 0 1 Rn:5 Rd:5',
    summary: `Floating-point complex add${title}`,
    arm: 'C7.2 FCADD',
    feature: 'FEAT_FCMA',
    where: (f) => accepts(f.size) && arranged(LANES_HSD)(f),
    operands: { ...complexVectors, rm: V('Rm', LANES_HSD), rotate: rotation('rot', [90, 270]) },
    execute: (b, { rd, rn, rm }, { Q, size, rot }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      const f = floatSize(size);
      const swapped = parts(b, 'swapped', f, b.readV(w, rm));
      const turned = negatedParts(b, f, rot === 0 ? 'real' : 'imaginary', swapped);
      b.writeV(w, rd, b.vfp2('add', f, w / f, b.readV(w, rn), turned));
    },
  }),
];

// ---- FMLAL, FMLSL ------------------------------------------------------------------------------------

interface Long {
  readonly name: 'fmlal' | 'fmlsl' | 'fmlal2' | 'fmlsl2';
  readonly U: '0' | '1';
  readonly a: '0' | '1';
  readonly opcode: '11101' | '11001';
  readonly elementOpcode: '0000' | '0100' | '1000' | '1100';
  readonly upper: boolean;
  readonly subtracts: boolean;
}

const LONG: readonly Long[] = [
  { name: 'fmlal', U: '0', a: '0', opcode: '11101', elementOpcode: '0000', upper: false, subtracts: false },
  { name: 'fmlsl', U: '0', a: '1', opcode: '11101', elementOpcode: '0100', upper: false, subtracts: true },
  { name: 'fmlal2', U: '1', a: '0', opcode: '11001', elementOpcode: '1000', upper: true, subtracts: false },
  { name: 'fmlsl2', U: '1', a: '1', opcode: '11001', elementOpcode: '1100', upper: true, subtracts: true },
];

/** The half of the source's numbers that the instruction takes, lowest first. */
function factors<T extends Words>(b: Builder<T>, upper: boolean, Q: number, a: T['q']): T['q'] {
  if (!upper) return a;
  return b.shuffle(
    a,
    zeros(b),
    lanePattern(Q ? 'upper' : 'upper of short', 16, 1, (lane) => (lane + (Q ? 4 : 2)) % 8),
  );
}

function longRows({ name, U, a, opcode, elementOpcode, upper, subtracts }: Long): Row[] {
  const id = name.toUpperCase();
  const title = `Floating-point fused multiply-${subtracts ? 'subtract' : 'add'} long${upper ? ', upper half' : ''}`;
  const shared = { name, class: 'simd', feature: 'FEAT_FHM', statics: ['Q'] } as const;
  const arm = `C7.2 ${id.slice(0, 5)}, ${id.slice(0, 5)}2`;
  const vectors = { rd: V('Rd', SINGLES_Q), rn: V('Rn', LOW_HALVES_Q) };
  const execute = <T extends Words>(
    b: Builder<T>,
    rd: T['vreg'],
    rn: T['vreg'],
    m: T['q'],
    Q: number,
  ): void => {
    const w = vectorOf(Q);
    const n = factors(b, upper, Q, b.readV(w, rn));
    const x = subtracts ? negated(b, 16, n) : n;
    b.writeV(w, rd, b.vfp3('mulAddH', 32, w / 32, b.readV(w, rd), x, m));
  };
  return [
    defineRow({
      ...shared,
      id: `${id}_asimdsame`,
      pattern: `0 Q ${U} 01110 ${a} 0 1 Rm:5 ${opcode} 1 Rn:5 Rd:5`,
      summary: `${title} (vector)`,
      arm: `${arm} (vector)`,
      operands: { ...vectors, rm: V('Rm', LOW_HALVES_Q) },
      execute: (b, { rd, rn, rm }, { Q }) => {
        b.checkFPAdvSIMDEnabled();
        execute(b, rd, rn, factors(b, upper, Q, b.readV(vectorOf(Q), rm)), Q);
      },
    }),
    defineRow({
      ...shared,
      id: `${id}_asimdelem`,
      pattern: `0 Q ${U} 01111 10 L M Rm:4 ${elementOpcode} H 0 Rn:5 Rd:5`,
      summary: `${title} (by element)`,
      arm: `${arm} (by element)`,
      operands: { ...vectors, rm: ELEMENT_HALF },
      execute: (b, { rd, rn, rm }, { Q }) => {
        b.checkFPAdvSIMDEnabled();
        execute(b, rd, rn, b.splat(16, b.getLane(16, b.readV(128, rm.reg), rm.index)), Q);
      },
    }),
  ];
}

export const rows: readonly Row[] = [
  ...roundingRows('sqrdmlah'),
  ...roundingRows('sqrdmlsh'),
  ...dotRows('sdot'),
  ...dotRows('udot'),
  ...PRECISIONS.flatMap(complexRows),
  ...LONG.flatMap(longRows),
];
