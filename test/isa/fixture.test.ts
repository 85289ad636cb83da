/**
 * A committed sample of objdump's text, so that machines without binutils prove something too.
 *
 * The file was made, and is made again, by
 *
 *     MTEMU_UPDATE_FIXTURES=1 npx vitest run --config test/vitest.config.ts test/isa/fixture.test.ts
 *
 * which runs `aarch64-linux-gnu-objdump -D -z -b binary -m aarch64 --adjust-vma=0x200000000` on a few
 * words of every row and on random words, and normalises as oracle.ts says.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decode, disassemble, ROWS } from '../../isa/index.js';
import { Random } from '../../src/base/index.js';
import { encodeLine } from './assemble-lines.js';
import { BASE, hasTool, OBJDUMP, objdump, undefinedText } from './oracle.js';
import { samplesOf } from './samples.js';

const FILE = new URL('./fixtures/objdump.json', import.meta.url);

interface Fixture {
  readonly command: string;
  readonly base: string;
  /** Word (hex) and text, the first word at `base`, each next 4 bytes on. */
  readonly words: readonly (readonly [string, string])[];
}

function make(): Fixture {
  const words = ROWS.flatMap((row) => samplesOf(row, 8).slice(0, 8));
  const random = new Random(2, 'fixture');
  const raw = [...words.map(({ word }) => word), ...Array.from({ length: 1000 }, () => random.u32())];
  // Not those that objdump calls undefined although we execute them: definedness.test.ts lists why.
  const printed = objdump(raw);
  const agreed = raw.filter((word, at) => decode(word) !== undefined && printed[at] !== undefinedText(word));
  const texts = objdump(agreed);
  return {
    command: `${OBJDUMP} -D -z -b binary -m aarch64 --adjust-vma=0x${BASE.toString(16)} words.bin`,
    base: `0x${BASE.toString(16)}`,
    words: agreed.map((word, at) => [word.toString(16).padStart(8, '0'), texts[at]!] as const),
  };
}

if (process.env['MTEMU_UPDATE_FIXTURES'] !== undefined && hasTool(OBJDUMP)) {
  const { words, ...head } = make();
  const lines = words.map((pair) => `  ${JSON.stringify(pair)}`).join(',\n');
  writeFileSync(FILE, `${JSON.stringify(head).slice(0, -1)},"words":[\n${lines}\n]}\n`);
}

describe.skipIf(!existsSync(FILE))('the committed sample of objdump text', () => {
  const fixture = JSON.parse(readFileSync(FILE, 'utf8')) as Fixture;
  const base = BigInt(fixture.base);
  const cases = fixture.words.map(([hex, text], at) => ({
    word: Number.parseInt(hex, 16),
    text,
    pc: base + 4n * BigInt(at),
  }));

  it('is large enough to mean something', () => {
    expect(cases.length).toBeGreaterThan(1000);
    expect(new Set(cases.map(({ text }) => text.split(' ')[0])).size).toBeGreaterThan(150);
  });

  it('is our text', () => {
    const differences = cases.filter(({ word, text, pc }) => disassemble(word, { pc }) !== text);
    expect(differences).toEqual([]);
  });

  it('assembles to the words', () => {
    const differences = cases.flatMap(({ word, text, pc }) => {
      const back = encodeLine(text, pc);
      if (back === word) return [];
      // Bitmasks and should-be bits: the canonical word must at least mean the same.
      const row = decode(word)!.row;
      const redundant = row.id.endsWith('_log_imm') || Object.keys(row.shouldBe).length > 0;
      const same = typeof back === 'number' && disassemble(back, { pc }) === text;
      return redundant && same ? [] : [`${text}: ${back}`];
    });
    expect(differences).toEqual([]);
  });
});
