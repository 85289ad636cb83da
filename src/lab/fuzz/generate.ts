/**
 * Makes cases: instructions drawn evenly from the rows, operands that mostly mean something (bases that
 * point into the pages, offsets that stay there, branches inside the sequence), and everything else
 * random.
 *
 * A case depends on seed and number alone, so that any one can be made again by itself.
 */
import {
  composeWord,
  decode,
  type Fields,
  type InstructionClass,
  ROWS,
  type Row,
} from '../../../isa/index.js';
import { Random } from '../../base/index.js';
import type { FuzzCase } from './case.js';
import { FUZZ_FEATURES, GRANULES, HOLE, MOST_WORDS, PAGE, READONLY, TAGGED, UNTAGGED } from './layout.js';
import { hasFlushedInexactWrongInQemu, isUncheckedByQemu, whyNotAsked } from './open.js';

/** What the fuzzer draws from; pointer authentication has an oracle test of its own. */
export const FUZZ_CLASSES: readonly InstructionClass[] = [
  'data-processing-immediate',
  'data-processing-register',
  'branch',
  'exception',
  'system',
  'load-store',
  'atomic',
  'mte',
  'fp',
  'simd',
  'crypto',
];

const features: ReadonlySet<string> = new Set(FUZZ_FEATURES);
const hasFeature = (name: string) => features.has(name);

/** What works on V registers. */
const VECTOR_CLASSES: readonly InstructionClass[] = ['fp', 'simd', 'crypto'];

/** The rows of these classes that the fuzzed machine has. */
export function fuzzedRows(classes: readonly InstructionClass[]): Row[] {
  return ROWS.filter(
    (row) => classes.includes(row.class) && (row.feature === undefined || hasFeature(row.feature)),
  );
}

const MEMORY_CLASSES: ReadonlySet<InstructionClass> = new Set(['load-store', 'atomic', 'mte']);
/** A memory operand: what vector loads and stores have, whose class is not of memory. */
const hasBase = (row: Row): boolean =>
  Object.entries(row.operands).some(
    ([name, { shape }]) => name === 'base' || (typeof shape === 'object' && 'base' in shape),
  );
const LABEL_FIELDS: ReadonlySet<string> = new Set(['imm26', 'imm19', 'imm14']);
const EXTREMES = [
  0n,
  1n,
  2n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x7fff_ffff_ffff_ffffn,
  0x8000_0000_0000_0000n,
  0xffff_ffff_ffff_ffffn,
] as const;

type RegisterUse = 'pointer' | 'offset' | 'value';

interface Registers {
  readonly x: bigint[];
  readonly pointers: number[];
  readonly offsets: number[];
}

function pointer(random: Random, tags: Uint8Array): bigint {
  const chance = random.below(32);
  const base = chance < 20 ? TAGGED : chance < 28 ? UNTAGGED : chance < 31 ? READONLY : HOLE;
  const alignment = [16, 16, 16, 16, 8, 8, 4, 1][random.below(8)]!;
  // Now and then at the very ends of the page.
  const at =
    random.below(16) === 0
      ? [0, -16, PAGE - 16, PAGE - 8, PAGE - 1, -1, PAGE][random.below(7)]!
      : Math.floor(random.below(PAGE) / alignment) * alignment;
  const granule = Math.min(Math.max(at >> 4, 0), GRANULES - 1);
  const right = base === TAGGED ? tags[granule]! : granule & 15;
  const tag = random.below(10) === 0 ? random.below(16) : right;
  const top = random.below(3) === 0 ? random.below(16) : 0;
  return BigInt(base + at) | (BigInt(tag) << 56n) | (BigInt(top) << 60n);
}

function value(random: Random): bigint {
  const kind = random.below(4);
  if (kind === 0) return EXTREMES[random.below(EXTREMES.length)]!;
  if (kind === 1) return BigInt(random.below(256));
  if (kind === 2) return BigInt(random.u32());
  return random.u64();
}

function registers(random: Random, tags: Uint8Array): Registers {
  const pointers: number[] = [];
  const offsets: number[] = [];
  const x = Array.from({ length: 31 }, (_, n) => {
    const kind = random.below(20);
    const use: RegisterUse = kind < 8 ? 'pointer' : kind < 11 ? 'offset' : 'value';
    if (use === 'pointer') {
      pointers.push(n);
      return pointer(random, tags);
    }
    if (use === 'offset') {
      offsets.push(n);
      return BigInt.asUintN(random.below(4) === 0 ? 32 : 64, BigInt(random.below(65) - 32));
    }
    return value(random);
  });
  return { x, pointers, offsets };
}

function pickField(width: number, random: Random): number {
  const ones = 2 ** width - 1;
  if (random.below(3) === 0) return [0, 1, ones, ones - 1][random.below(4)]! & ones;
  return random.u32() % 2 ** width;
}

/** Small, of either sign: offsets that stay in the page. */
function smallField(width: number, random: Random): number {
  const magnitude = random.below(Math.min(16, 2 ** (width - 1)));
  return random.below(2) === 0 ? magnitude : (2 ** width - magnitude) % 2 ** width;
}

interface Place {
  /** Words to the end of the sequence. */
  readonly left: number;
  readonly registers: Registers;
}

function drawFields(row: Row, place: Place, random: Random): Fields {
  const fields: Record<string, number> = {};
  const memory = MEMORY_CLASSES.has(row.class) || hasBase(row);
  const oneOf = (list: readonly number[]) => list[random.below(list.length)] ?? 0;
  for (const { name, width } of row.fields) {
    if (name in row.shouldBe) continue;
    if (row.class === 'branch' && LABEL_FIELDS.has(name)) {
      fields[name] = 1 + random.below(Math.max(1, place.left));
    } else if (memory && name === 'Rn' && random.below(40) > 0) {
      fields[name] = random.below(8) === 0 ? 31 : oneOf(place.registers.pointers);
    } else if (memory && name === 'Rm' && random.below(20) > 0) {
      fields[name] = oneOf(place.registers.offsets);
    } else if (memory && name.startsWith('imm') && random.below(10) > 0) {
      fields[name] = smallField(width, random);
    } else {
      fields[name] = pickField(width, random);
    }
  }
  if ((row.id === 'MRS' || row.id === 'MSR_register') && random.below(8) > 0) {
    // NZCV, DIT, SSBS, TCO, FPCR, FPSR, TPIDR_EL0, TPIDRRO_EL0.
    const [crn, crm, op2] = (
      [
        [4, 2, 0],
        [4, 2, 5],
        [4, 2, 6],
        [4, 2, 7],
        [4, 4, 0],
        [4, 4, 1],
        [13, 0, 2],
        [13, 0, 3],
      ] as const
    )[random.below(8)]!;
    Object.assign(fields, { o0: 1, op1: 3, CRn: crn, CRm: crm, op2 });
  }
  return fields;
}

/** A word of `row`; undefined where none of a few dozen draws is one that is asked about. */
function drawWord(row: Row, place: Place, random: Random): number | undefined {
  for (let attempt = 0; attempt < 40; attempt++) {
    const word = composeWord(row, drawFields(row, place, random));
    const decoded = decode(word, hasFeature);
    if (decoded?.row === row && whyNotAsked(row, decoded.fields) === undefined) return word;
  }
  return undefined;
}

const PRIVILEGED =
  /^(SYSL?|MSR_(UAO|PAN|SPSel|DAIF.*)|LDGM|STGM|STZGM|B?LR_branch_reg|BR_branch_reg|RET_branch_reg)$/;
const EXCLUSIVE = /^(LD|ST)(A|L)?X(R|P)/;

/** The Load-Exclusive that a Store-Exclusive goes with: same size, same base, another destination. */
function partnerOf(store: Row, word: number, random: Random): number | undefined {
  const id = store.id.replace(/^STL?X/, 'LDX');
  const load = ROWS.find((row) => row.id === id)!;
  const base = (word >>> 5) & 31;
  const [first, second] = [random.below(31), random.below(31)];
  if (first === base || second === base || first === second) return undefined;
  return composeWord(load, { Rn: base, Rt: first, ...(id.includes('XP') ? { Rt2: second } : {}) });
}

function sequence(rows: readonly Row[], registers: Registers, checked: boolean, random: Random): number[] {
  const length = 1 + random.below(MOST_WORDS);
  const words: number[] = [];
  let exclusive = false;
  while (words.length < length) {
    const row = rows[random.below(rows.length)]!;
    // What always traps ends the sequence.
    if ((row.class === 'exception' || PRIVILEGED.test(row.id)) && random.below(8) > 0) continue;
    // One exclusive load, store or pair of them: what a store does after another load is left open.
    const isExclusive = EXCLUSIVE.test(row.id);
    if ((isExclusive && exclusive) || (checked && isUncheckedByQemu(row))) continue;
    const word = drawWord(row, { left: length - words.length, registers }, random);
    if (word === undefined) continue;
    if (isExclusive && row.id.startsWith('ST') && random.below(4) > 0 && words.length + 2 <= length) {
      const load = partnerOf(row, word, random);
      if (load === undefined) continue;
      words.push(load);
    }
    exclusive ||= isExclusive;
    words.push(word);
  }
  return words;
}

/** Zeros, ones, subnormals, infinities, NaNs of both kinds, by element size. */
const SPECIALS: Readonly<Record<16 | 32 | 64, readonly bigint[]>> = {
  16: [0n, 0x8000n, 0x3c00n, 1n, 0x3ffn, 0x7bffn, 0x7c00n, 0xfc00n, 0x7e01n, 0x7c01n],
  32: [
    0n,
    0x8000_0000n,
    0x3f80_0000n,
    1n,
    0x7f_ffffn,
    0x7f7f_ffffn,
    0x7f80_0000n,
    0xff80_0000n,
    0x7fc0_0001n,
    0x7f80_0001n,
  ],
  64: [
    0n,
    1n << 63n,
    0x3ff0_0000_0000_0000n,
    1n,
    0xf_ffff_ffff_ffffn,
    0x7fef_ffff_ffff_ffffn,
    0x7ff0_0000_0000_0000n,
    0xfff0_0000_0000_0000n,
    0x7ff8_0000_0000_0001n,
    0x7ff0_0000_0000_0001n,
  ],
};

/** A V register: elements of one size, special, near one, or anything. */
function vector(random: Random): bigint {
  const size = ([16, 32, 64] as const)[random.below(3)]!;
  let out = 0n;
  for (let at = 0; at < 128; at += size) {
    const kind = random.below(4);
    const specials = SPECIALS[size];
    const element =
      kind === 0
        ? specials[random.below(specials.length)]!
        : kind === 1
          ? specials[2]! + BigInt(random.below(5) - 2)
          : random.u64();
    out |= BigInt.asUintN(size, element) << BigInt(at);
  }
  return out;
}

const FZ = 1 << 24;
/** FPCR: rounding mode, FZ, DN, FZ16. */
const fpcr = (random: Random) =>
  (random.below(4) << 22) |
  (random.below(4) === 0 ? FZ : 0) |
  (random.below(4) === 0 ? 1 << 25 : 0) |
  (random.below(4) === 0 ? 1 << 19 : 0);

/** Whether an instruction reads or writes V registers: loads and stores do that too. */
const usesVectors = (row: Row | undefined): boolean =>
  row !== undefined && (VECTOR_CLASSES.includes(row.class) || FP_FEATURE.test(row.feature ?? ''));
const FP_FEATURE = /^FEAT_(FP|AdvSIMD)/;

/** Case `index` of a seed. */
export function makeCase(seed: number, index: number, rows: readonly Row[]): FuzzCase {
  const random = new Random(seed, `fuzz ${index}`);
  // Runs of granules with one tag, so that wide accesses pass too.
  let tag = random.below(16);
  const tags = Uint8Array.from({ length: GRANULES }, () => {
    if (random.below(12) === 0) tag = random.below(16);
    return tag;
  });
  const drawn = registers(random, tags);
  const checked = random.below(4) > 0;
  const words = sequence(rows, drawn, checked, random);
  const vectors = words.some((word) => usesVectors(decode(word, hasFeature)?.row));
  // qemu chooses among several tags by a seed of its own; with one left, IRG has no choice.
  const choosesTag = words.some((word) => decode(word, hasFeature)?.row.id === 'IRG');
  const flushes = !words.some((word) => {
    const row = decode(word, hasFeature)?.row;
    return row !== undefined && hasFlushedInexactWrongInQemu(row);
  });
  const exclude = choosesTag ? 0xffff & ~(1 << random.below(16)) : random.u32() & random.u32() & 0xffff;
  return {
    index,
    words,
    x: drawn.x,
    sp: random.below(4) === 0 ? pointer(random, tags) : pointer(random, tags) & ~15n,
    nzcv: random.below(16),
    tco: random.below(8) === 0 ? 1 : 0,
    fpcr: vectors ? fpcr(random) & (flushes ? -1 : ~FZ) : 0,
    v: Array.from({ length: 32 }, () => (vectors ? vector(random) : 0n)),
    fill: random.u32() | 1,
    tags,
    checked,
    exclude,
  };
}

/** How often each row occurs in these cases. */
export function countRows(cases: Iterable<FuzzCase>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const c of cases) {
    for (const word of c.words) {
      const id = decode(word, hasFeature)?.row.id;
      if (id !== undefined) counts.set(id, (counts.get(id) ?? 0) + 1);
    }
  }
  return counts;
}
