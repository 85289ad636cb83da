/**
 * Every row that computes on FP and SIMD registers, run by the evaluator and by qemu-aarch64 from the same
 * random states with random FPCR: results, flags and FPSR must be the same.
 *
 * Registers are V0 to V3 (X0 and X1 where they are general), other fields random. MTEMU_FLOAT_CASES sets
 * how many cases of each row, MTEMU_RANDOM_SEED which.
 */
import { describe, expect, it } from 'vitest';
import { composeWord, decode, disassemble, extractFields, ROWS, type Row } from '../../isa/index.js';
import { type FloatSize, Random } from '../../src/base/index.js';
import { someFpcr, someNumber } from '../softfloat/numbers.js';
import { hasQemu, runMtemu, runQemu, type WordCase, type WordOutcome } from '../softfloat/words.js';
import { samplesOf } from './samples.js';

const COUNT = Number(process.env['MTEMU_FLOAT_CASES'] ?? 40);
const SEED = Number(process.env['MTEMU_RANDOM_SEED'] ?? 1);

const CLASSES: ReadonlySet<string> = new Set(['fp']);
const REGISTERS: Readonly<Record<string, number>> = { Rd: 0, Rn: 1, Rm: 2, Ra: 3 };

/** Words of the row on the registers that the harness sets. */
function wordsOf(row: Row): number[] {
  const words = samplesOf(row, COUNT).map(({ word }) =>
    composeWord(row, { ...extractFields(row, word), ...REGISTERS }),
  );
  return [...new Set(words)].filter((word) => decode(word)?.row === row);
}

const SIZES: readonly FloatSize[] = [16, 32, 64];

/** 128 bits: lanes of one size, each a number worth trying. */
function someVector(random: Random): bigint {
  const size = SIZES[random.below(3)]!;
  let out = 0n;
  for (let at = 0; at < 128; at += size) {
    const before = at === 0 ? undefined : BigInt.asUintN(size, out);
    out = (out << BigInt(size)) | someNumber(random, size, before);
  }
  return out;
}

/** A general-purpose value: of any length, or a floating-point number. */
function someX(random: Random): bigint {
  if (random.below(4) === 0) return someNumber(random, 64);
  const bits = random.u64() >> BigInt(random.below(64));
  return random.below(2) === 0 ? bits : BigInt.asUintN(64, -bits);
}

function casesOf(row: Row): WordCase[] {
  const random = new Random(SEED, `fp oracle ${row.id}`);
  const words = wordsOf(row);
  return Array.from({ length: COUNT }, (_, i) => ({
    word: words[i % words.length]!,
    fpcr: someFpcr(random),
    nzcv: random.below(16),
    x: [someX(random), someX(random)],
    v: Array.from({ length: 6 }, () => someVector(random)),
  }));
}

const hex = (value: bigint | number) => value.toString(16);
const show = ({ word, fpcr, nzcv, x, v }: WordCase, out: WordOutcome) =>
  `${disassemble(word)} | fpcr ${hex(fpcr)} nzcv ${hex(nzcv)} x ${x.map(hex)} v ${v.slice(0, 4).map(hex)}` +
  ` -> x ${out.x.map(hex)} nzcv ${hex(out.nzcv)} fpsr ${hex(out.fpsr)} v ${out.v.map(hex)}`;

/** Cases where qemu is not followed, and why. */
const KNOWN: readonly { readonly reason: string; readonly is: (given: WordCase) => boolean }[] = [
  {
    reason: 'FJCVTZS of a flushed denormal: qemu 7.2 sets Z, FPToFixedJS clears it (something was lost)',
    is: ({ word, fpcr, v }) =>
      word === 0x1e7e_0020 && (fpcr & (1 << 24)) !== 0 && ((v[1]! >> 52n) & 0x7ffn) === 0n,
  },
];

describe.skipIf(!hasQemu())('rows of floating point [needs qemu-aarch64-static]', () => {
  it('do what qemu does', () => {
    const rows = ROWS.filter((row) => CLASSES.has(row.class));
    const cases = rows.flatMap(casesOf);
    expect(cases.length).toBe(rows.length * COUNT);
    const theirs = runQemu(cases);
    const ours = runMtemu(cases);
    const wrong = cases.flatMap((given, i) => {
      if (KNOWN.some((known) => known.is(given))) return [];
      const mine = show(given, ours[i]!);
      const other = show(given, theirs[i]!);
      return mine === other ? [] : [{ mine, other }];
    });
    expect(wrong.slice(0, 10)).toEqual([]);
  });
});
