/**
 * Which words are instructions at all: random words through our decoder, objdump and llvm-mc.
 *
 * objdump knows every architecture version, so a word that only it knows counts only if GNU as, told
 * our features, takes objdump's text. MTEMU_RANDOM_WORDS sets how many words (default 100000),
 * MTEMU_RANDOM_SEED which. Half of them are plain random; the other half have registers of 0 or 31 and
 * otherwise random opcode bits, because many instructions fix a register field, and half of those lie in
 * the system and branch space, which is 1/64 of all words and holds most of the odd encodings.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { decode, disassemble, ROWS } from '../../isa/index.js';
import { Random } from '../../src/base/index.js';
import { AS, BASE, gnuAs, hasTool, LLVM_MC, llvmDefined, OBJDUMP, objdump, undefinedText } from './oracle.js';

const COUNT = Number(process.env['MTEMU_RANDOM_WORDS'] ?? 100_000);
const SEED = Number(process.env['MTEMU_RANDOM_SEED'] ?? 1);

interface Word {
  readonly at: number;
  readonly word: number;
  /** The row, where we know the word. */
  readonly id: string | undefined;
  readonly ours: string;
  /** objdump's text. */
  readonly theirs: string;
}

interface Known {
  readonly reason: string;
  readonly is: (word: Word) => boolean;
}

const field = (word: number, hi: number, lo: number) => (word >>> lo) & (2 ** (hi - lo + 1) - 1);

/** Words that both know and write differently. */
const OTHER_TEXT: readonly Known[] = [
  {
    reason:
      'MSR (immediate) with a CRm above 1: only its bit 0 counts (DDI 0487, C5.2); binutils gives up on it',
    is: ({ id, theirs }) => /^MSR_(?!register)/.test(id ?? '') && theirs.startsWith('msr s0_'),
  },
];

/** Words we execute and objdump calls undefined. */
const OURS_ONLY: readonly Known[] = [
  {
    reason: 'LDPSW with overlapping registers is CONSTRAINED UNPREDICTABLE, not unallocated',
    is: ({ id }) => id?.startsWith('LDPSW') === true,
  },
  {
    reason:
      'LDAR and its kin with should-be-one bits that are not (binutils checks them here and nowhere else)',
    is: ({ id, word }) =>
      /^LDL?AR/.test(id ?? '') && (field(word, 20, 16) !== 31 || field(word, 14, 10) !== 31),
  },
];

/** Words that objdump knows, GNU as takes for our features, and we leave undefined. */
const OBJDUMP_ONLY: readonly Known[] = [
  {
    reason: 'MRS and MSR with op0 = 0 are unallocated (DDI 0487, C4.1); binutils prints any op0',
    is: ({ word }) => field(word, 31, 22) === 0b1101010100 && field(word, 20, 19) === 0,
  },
  {
    reason: 'FMLAL and FMLSL with sz = 1 are UNDEFINED (DDI 0487, C7.2); binutils ignores the bit',
    is: ({ word, theirs }) =>
      /^fml[as]l2? v\d+\.[24]s, v\d+\.[24]h, v\d+\.[24]h$/.test(theirs) && field(word, 22, 22) === 1,
  },
];

/** Words that llvm-mc knows and we leave undefined. */
const LLVM_ONLY: readonly Known[] = [
  ...OBJDUMP_ONLY,
  {
    reason: 'ADDG and SUBG with bits 15:14 not zero: LLVM ignores them, binutils and we do not',
    is: ({ word }) => (field(word, 31, 22) & 0b1011111111) === 0b1001000110 && field(word, 15, 14) !== 0,
  },
];

/** Words we execute and llvm-mc 14 does not know. */
const NOT_LLVM: readonly Known[] = [];

/** Until all rows of FP and SIMD are there, words whose text has such a register are not compared. */
const HAS_FP = ROWS.some((row) => row.class === 'crypto');
const isFp = (text: string) => /\b(?:[bhsdq]\d+|v\d+)\b/.test(text);

function settle(words: readonly Word[], table: readonly Known[]): void {
  const unexplained = words.filter((word) => !table.some((k) => k.is(word)));
  expect(
    unexplained
      .slice(0, 20)
      .map(({ word, id, ours, theirs }) => `${word.toString(16)} ${id}: ${ours} / objdump ${theirs}`),
  ).toEqual([]);
}

/** A word with its register fields (20:16, 9:5, 4:0) 0 or 31, in the system and branch space half the time. */
function corner(random: Random): number {
  const ends = (lo: number) => (random.below(2) === 0 ? 0 : 31 << lo);
  const opcode = random.u32() & 0xffe0_fc00;
  const word =
    random.below(2) === 0
      ? opcode | ends(16) | ends(5) | ends(0)
      : 0xd400_0000 | (random.u32() & 0x03ff_ffe0) | ends(0);
  return word >>> 0;
}

describe.skipIf(!hasTool(OBJDUMP))(`${COUNT} random words [needs aarch64-linux-gnu-objdump]`, () => {
  const words: Word[] = [];

  beforeAll(() => {
    const random = new Random(SEED, 'definedness');
    const raw = Array.from({ length: COUNT }, (_, i) => (i % 2 === 0 ? random.u32() : corner(random)));
    const theirs = objdump(raw);
    for (const [at, word] of raw.entries()) {
      const ours = disassemble(word, { pc: BASE + 4n * BigInt(at) });
      words.push({ at, word, id: decode(word)?.row.id, ours, theirs: theirs[at]! });
    }
  });

  const oursKnown = ({ id }: Word) => id !== undefined;
  const theirsKnown = ({ word, theirs }: Word) => theirs !== undefinedText(word);

  it('that both know have the same text', () => {
    const both = words.filter((w) => oursKnown(w) && theirsKnown(w));
    expect(both.length).toBeGreaterThan(COUNT / 10);
    settle(
      both.filter(({ ours, theirs }) => ours !== theirs),
      OTHER_TEXT,
    );
  });

  it('that we know are known to objdump', () => {
    settle(
      words.filter((w) => oursKnown(w) && !theirsKnown(w)),
      OURS_ONLY,
    );
  });

  it.skipIf(!hasTool(AS))('that objdump knows and GNU as takes for our features are known to us', () => {
    const candidates = words.filter((w) => !oursKnown(w) && theirsKnown(w) && (HAS_FP || !isFp(w.theirs)));
    // Targets were printed for another place; as does not care where a branch goes, only whether it can.
    const near = (text: string) =>
      text.replace(/^(b\S*|cbn?z .*|tbn?z .*|adrp? .*|ldr\w* .*|prfm .*) ?0x[0-9a-f]+$/, '$1 .');
    const accepted = gnuAs(candidates.map(({ theirs }) => near(theirs)));
    settle(
      candidates.filter((_, i) => typeof accepted[i] === 'number'),
      OBJDUMP_ONLY,
    );
  });

  it.skipIf(!hasTool(LLVM_MC))('are known to llvm-mc where they are to us [needs llvm-mc-14]', () => {
    const known = llvmDefined(words.map(({ word }) => word));
    settle(
      words.filter((w) => known[w.at] && !oursKnown(w) && (HAS_FP || !isFp(w.theirs))),
      LLVM_ONLY,
    );
    settle(
      words.filter((w) => !known[w.at] && oursKnown(w)),
      NOT_LLVM,
    );
  });
});
