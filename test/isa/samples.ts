/** Words of each row for comparing with oracles: every field at its extremes, then at random, seeded. */

import { composeWord, decode, type Row } from '../../isa/index.js';
import { Random } from '../../src/base/index.js';

export interface Sample {
  readonly row: Row;
  readonly word: number;
}

/** How many different words of each row are asked for; rows with fewer give all they have. */
export const PER_ROW = 220;

/**
 * Words that decode to `row`. Field values are mixed from 0, 1, all ones, all ones less one, and
 * random ones; should-be bits keep their canonical value unless `anyShouldBe`.
 */
export function samplesOf(row: Row, count = PER_ROW, anyShouldBe = false): Sample[] {
  const random = new Random(1, `${row.id}${anyShouldBe ? '!' : ''}`);
  const words = new Set<number>();
  const pick = (width: number): number => {
    const ones = 2 ** width - 1;
    const extremes = [0, 1, ones, ones - 1];
    return random.below(3) === 0 ? extremes[random.below(4)]! & ones : random.u32() % 2 ** width;
  };
  const add = (fields: Record<string, number>) => {
    const word = composeWord(row, fields);
    if (decode(word)?.row === row) words.add(word);
  };
  const free = row.fields.filter((f) => anyShouldBe || !(f.name in row.shouldBe));
  const draw = (): Record<string, number> => {
    const fields: Record<string, number> = {};
    for (const f of free) fields[f.name] = pick(f.width);
    // Now and then two fields alike, as ROR (immediate), CINC and overlapping registers have them.
    const from = free[random.below(free.length)];
    const to = free[random.below(free.length)];
    if (from !== undefined && from.width === to?.width && random.below(6) === 0) {
      fields[to.name] = fields[from.name]!;
    }
    return fields;
  };
  // Each field at each extreme while the others are random.
  for (const extreme of free) {
    for (const value of [0, 1, 2 ** extreme.width - 1, 2 ** (extreme.width - 1)]) {
      for (let i = 0; i < 4; i++) add({ ...draw(), [extreme.name]: value });
    }
  }
  // What each name and alias asks for.
  for (const { fixed } of [...row.names, ...row.aliases]) {
    if (fixed === undefined || Object.keys(fixed).length === 0) continue;
    for (let i = 0; i < 40; i++) add({ ...draw(), ...(fixed as Record<string, number>) });
  }
  const space = 2 ** free.reduce((bits, f) => bits + f.width, 0);
  for (let i = 0; i < 100 * count && words.size < Math.min(count, space); i++) add(draw());
  return [...words].map((word) => ({ row, word }));
}
