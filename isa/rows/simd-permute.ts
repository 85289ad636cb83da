/**
 * Advanced SIMD permute, extract and table lookup: lanes and bytes that change their places.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD permute", "Advanced SIMD extract", "Advanced SIMD table lookup".
 */
import type { Builder, Words } from '../builder.js';
import { imm } from '../operands/immediates.js';
import { arranged, BYTES_Q, LANES_BHSD } from '../operands/simd-arrangements.js';
import { only, V, VList } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import { type Bits, constant, laneOf, lanePattern, vectorOf } from './simd-common.js';

const shared = { class: 'simd', feature: 'FEAT_AdvSIMD' } as const;

interface Permutation {
  readonly name: 'uzp1' | 'uzp2' | 'trn1' | 'trn2' | 'zip1' | 'zip2';
  readonly opcode: Bits;
  readonly title: string;
  /** Which lane of the two sources, of `lanes` each, goes to a lane of the result. */
  readonly from: (lane: number, lanes: number) => number;
}

const PERMUTATIONS: readonly Permutation[] = [
  { name: 'uzp1', opcode: '001', title: 'Unzip vectors (primary)', from: (lane) => 2 * lane },
  { name: 'uzp2', opcode: '101', title: 'Unzip vectors (secondary)', from: (lane) => 2 * lane + 1 },
  {
    name: 'trn1',
    opcode: '010',
    title: 'Transpose vectors (primary)',
    from: (lane, lanes) => (lane & ~1) + (lane & 1) * lanes,
  },
  {
    name: 'trn2',
    opcode: '110',
    title: 'Transpose vectors (secondary)',
    from: (lane, lanes) => (lane | 1) + (lane & 1) * lanes,
  },
  {
    name: 'zip1',
    opcode: '011',
    title: 'Zip vectors (primary)',
    from: (lane, lanes) => (lane >> 1) + (lane & 1) * lanes,
  },
  {
    name: 'zip2',
    opcode: '111',
    title: 'Zip vectors (secondary)',
    from: (lane, lanes) => ((lane + lanes) >> 1) + (lane & 1) * lanes,
  },
];

const lanes = { rd: V('Rd', LANES_BHSD), rn: V('Rn', LANES_BHSD), rm: V('Rm', LANES_BHSD) };

const permuteRow = ({ name, opcode, title, from }: Permutation): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asimdperm`,
    name,
    pattern: `0 Q 001110 size:2 0 Rm:5 0 ${opcode} 10 Rn:5 Rd:5`,
    summary: title,
    arm: `C7.2 ${name.toUpperCase()}`,
    statics: ['Q', 'size'],
    where: arranged(LANES_BHSD),
    operands: lanes,
    execute: (b, { rd, rn, rm }, { Q, size }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      const lane = laneOf(size);
      const pattern = lanePattern(name, lane, Q, (at) => from(at, w / lane));
      b.writeV(w, rd, b.shuffle(b.readV(w, rn), b.readV(w, rm), pattern));
    },
  });

/** Byte i is i. */
const BYTE_NUMBERS = Array.from({ length: 16 }, (_, i) => BigInt(i) << BigInt(8 * i)).reduce(
  (all, byte) => all | byte,
);

const bytes = { rd: V('Rd', BYTES_Q), rn: V('Rn', BYTES_Q), rm: V('Rm', BYTES_Q) };

// ---- table lookup ------------------------------------------------------------------------------------

/** The bytes that the indices choose from registers that follow each other; 0 beyond them. */
function lookedUp<T extends Words>(b: Builder<T>, first: T['vreg'], count: number, indices: T['q']): T['q'] {
  let out = b.swizzle(b.readV(128, first), indices);
  for (let at = 1; at < count; at++) {
    // Indices below this register's wrap to above 15: they choose nothing.
    const own = b.v2('sub', 8, indices, constant(b, 8, BigInt(16 * at)));
    out = b.v2('or', 64, out, b.swizzle(b.readV(128, b.nextV(first, at)), own));
  }
  return out;
}

const COUNTS = [
  { count: 1, len: '00', words: 'one register' },
  { count: 2, len: '01', words: 'two registers' },
  { count: 3, len: '10', words: 'three registers' },
  { count: 4, len: '11', words: 'four registers' },
] as const;

const tableRow = (name: 'tbl' | 'tbx', { count, len, words }: (typeof COUNTS)[number]): Row =>
  defineRow({
    ...shared,
    id: `${name.toUpperCase()}_asimdtbl_${count}`,
    name,
    pattern: `0 Q 001110 00 0 Rm:5 0 ${len} ${name === 'tbl' ? '0' : '1'} 00 Rn:5 Rd:5`,
    summary: `Table vector lookup${name === 'tbx' ? ' extension' : ''} (${words})`,
    arm: `C7.2 ${name.toUpperCase()}`,
    statics: ['Q'],
    operands: { rd: bytes.rd, table: VList('Rn', count, only('16b')), rm: bytes.rm },
    execute: (b, { rd, table, rm }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      const w = vectorOf(Q);
      const indices = b.letV(b.readV(w, rm));
      const found = lookedUp(b, table, count, indices);
      if (name === 'tbl') b.writeV(w, rd, found);
      else {
        const beyond = b.v2('geu', 8, indices, constant(b, 8, BigInt(16 * count)));
        b.writeV(w, rd, b.v3('bitSelect', 8, beyond, b.readV(w, rd), found));
      }
    },
  });

export const rows: readonly Row[] = [
  ...PERMUTATIONS.map(permuteRow),
  ...COUNTS.map((count) => tableRow('tbl', count)),
  ...COUNTS.map((count) => tableRow('tbx', count)),
  defineRow({
    ...shared,
    id: 'EXT_asimdext',
    name: 'ext',
    pattern: '0 Q 101110 00 0 Rm:5 0 imm4:4 0 Rn:5 Rd:5',
    summary: 'Extract vector from pair of vectors',
    arm: 'C7.2 EXT',
    statics: ['Q'],
    where: (f) => f.Q === 1 || f.imm4 < 8,
    operands: { ...bytes, from: imm('imm4', 4, { style: 'decimal' }) },
    execute: (b, { rd, rn, rm, from }, { Q }) => {
      b.checkFPAdvSIMDEnabled();
      // Byte i is byte i + from of the pair; a look-up beyond a register gives nothing.
      const indices = b.letV(b.v2('add', 8, b.immV(BYTE_NUMBERS), b.splat(8, from)));
      if (Q === 0) {
        const pair = b.fromX(b.readF(64, rn), b.readF(64, rm));
        b.writeV(64, rd, b.swizzle(pair, indices));
      } else {
        const low = b.swizzle(b.readV(128, rn), indices);
        const beyond = b.v2('sub', 8, indices, constant(b, 8, 16n));
        b.writeV(128, rd, b.v2('or', 64, low, b.swizzle(b.readV(128, rm), beyond)));
      }
    },
  }),
];
