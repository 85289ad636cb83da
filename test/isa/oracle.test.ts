/**
 * Every row against GNU as, objdump and llvm-mc: at least 200 words each (or all there are), with every
 * field at its extremes and every alias.
 *
 * Everything is computed once, over all rows; each difference that remains is in a table with its
 * reason.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { disassemble, ROWS, spellings } from '../../isa/index.js';
import { encodeLines } from './assemble-lines.js';
import { AS, BASE, gnuAs, hasTool, LLVM_MC, llvmMc, OBJDUMP, objdump } from './oracle.js';
import { samplesOf } from './samples.js';

const pcOf = (at: number) => BASE + 4n * BigInt(at);
const hex = (word: number) => (word >>> 0).toString(16).padStart(8, '0');
const shown = (result: number | string) => (typeof result === 'number' ? hex(result) : `refused (${result})`);

/** A known difference: which samples, and why the other side is not followed. */
interface Known {
  readonly reason: string;
  readonly is: (difference: {
    readonly id: string;
    readonly text: string;
    readonly theirs: string;
  }) => boolean;
}

/** Fails on unexplained differences; the first 20 of them are shown. */
function settle(
  differences: readonly { id: string; text: string; theirs: string }[],
  table: readonly Known[],
) {
  const unexplained = differences.filter((difference) => !table.some((k) => k.is(difference)));
  expect(
    unexplained.slice(0, 20).map(({ id, text, theirs }) => `${id}: ours ${text}, theirs ${theirs}`),
  ).toEqual([]);
}

const samples = ROWS.flatMap((row) => samplesOf(row));
const texts = samples.map(({ word }, at) => disassemble(word, { pc: pcOf(at) }));
const encoded = encodeLines(texts, BASE);

describe('every row, its disassembly', () => {
  it('is sampled at least 200 times, or in all its words', () => {
    const counts = new Map<string, number>();
    for (const { row } of samples) counts.set(row.id, (counts.get(row.id) ?? 0) + 1);
    for (const row of ROWS) {
      const bits = row.fields.filter((f) => !(f.name in row.shouldBe)).reduce((n, f) => n + f.width, 0);
      // Half of the words of a small row may be taken by refinements or be reserved.
      expect(counts.get(row.id) ?? 0, row.id).toBeGreaterThanOrEqual(Math.min(200, 2 ** bits / 2));
    }
  });

  it('assembles back to the word', () => {
    const differences = samples.flatMap(({ row, word }, at) =>
      encoded[at] === word ? [] : [{ id: row.id, text: texts[at]!, theirs: shown(encoded[at]!) }],
    );
    settle(differences, [
      {
        reason: 'bits of immr above the element size are ignored: a bitmask has several encodings',
        is: ({ id, theirs }) => /_log_imm$/.test(id) && /^[0-9a-f]{8}$/.test(theirs),
      },
      {
        reason: 'bits of imm5 and imm4 below or above the index are ignored: a copy has several encodings',
        is: ({ id, theirs }) =>
          /^(DUP_asimdins_register|INS_asimdins_element)$/.test(id) && /^[0-9a-f]{8}$/.test(theirs),
      },
    ]);
  });

  it.skipIf(!hasTool(OBJDUMP))('is what objdump prints [needs aarch64-linux-gnu-objdump]', () => {
    const theirs = objdump(samples.map(({ word }) => word));
    const differences = samples.flatMap(({ row }, at) =>
      theirs[at] === texts[at] ? [] : [{ id: row.id, text: texts[at]!, theirs: theirs[at]! }],
    );
    settle(differences, [
      {
        reason: 'LDPSW with overlapping registers is CONSTRAINED UNPREDICTABLE, not unallocated',
        is: ({ id, theirs: other }) => id.startsWith('LDPSW') && other.endsWith('// undefined'),
      },
    ]);
  });

  it.skipIf(!hasTool(AS))('means the same to GNU as [needs aarch64-linux-gnu-as]', () => {
    const theirs = gnuAs(texts);
    const differences = samples.flatMap(({ row }, at) =>
      theirs[at] === encoded[at] ? [] : [{ id: row.id, text: texts[at]!, theirs: shown(theirs[at]!) }],
    );
    settle(differences, [
      {
        reason: 'objdump prints names of system registers of later architectures, which as then refuses',
        is: ({ theirs: other }) => other.includes('selected processor does not support system register'),
      },
    ]);
  });

  it.skipIf(!hasTool(LLVM_MC))('means the same to llvm-mc [needs llvm-mc-14]', () => {
    const theirs = llvmMc(texts);
    const differences = samples.flatMap(({ row }, at) =>
      theirs[at] === encoded[at] ? [] : [{ id: row.id, text: texts[at]!, theirs: shown(theirs[at]!) }],
    );
    settle(differences, [
      {
        reason: 'llvm-mc refuses CONSTRAINED UNPREDICTABLE register overlaps',
        is: ({ theirs: other }) => other.includes('unpredictable'),
      },
      {
        reason: 'system registers and operations that LLVM 14 does not know, by name or at all',
        is: ({ id, theirs: other }) =>
          /^(MRS|MSR_register|SYS)$/.test(id) &&
          /expected (read|writ)able system register|requires: |invalid operand|specified \w+ op/.test(other),
      },
      {
        reason: 'CLEARBHB is younger than LLVM 14',
        is: ({ id }) => id === 'CLEARBHB',
      },
    ]);
  });
});

describe('every row, all its spellings', () => {
  const lines: { id: string; text: string }[] = [];
  let theirs: (number | string)[] = [];
  const tool = hasTool(AS);

  beforeAll(() => {
    for (const row of ROWS) {
      for (const { word } of samplesOf(row, 40)) {
        // Printed for where the line will stand, so that branch targets are in reach.
        const count = spellings(word).length;
        for (let i = 0; i < count; i++) {
          lines.push({ id: row.id, text: spellings(word, { pc: pcOf(lines.length) })[i]! });
        }
      }
    }
    if (tool) theirs = gnuAs(lines.map(({ text }) => text));
  });

  it.skipIf(!tool)('mean the same to GNU as, or are refused by both [needs aarch64-linux-gnu-as]', () => {
    const encodedLines = encodeLines(
      lines.map(({ text }) => text),
      BASE,
    );
    const differences = lines.flatMap(({ id, text }, at) => {
      const ours = encodedLines[at]!;
      const other = theirs[at]!;
      if (ours === other || (typeof ours === 'string' && typeof other === 'string')) return [];
      return [{ id, text: `${text} = ${shown(ours)}`, theirs: shown(other) }];
    });
    expect(lines.length).toBeGreaterThan(ROWS.length * 20);
    settle(differences, [
      {
        reason: 'objdump prints names of system registers of later architectures, which as then refuses',
        is: ({ theirs: other }) => other.includes('selected processor does not support system register'),
      },
      {
        reason: 'binutils knows DFB only for Armv8-R, but prints it for every architecture',
        is: ({ id, text }) => id === 'DSB' && text.startsWith('dfb'),
      },
    ]);
  });
});
