/**
 * Random programs in hot loops under evaluator and translator, for tests that say on what host: states must
 * be equal whenever either engine stops.
 */
import { expect, it } from 'vitest';
import { PA, Random } from '../../../src/base/index.js';
import { compareCpus, compareMemory, createEngine, type Interpreter } from '../../../src/engine/index.js';
import type { Engine, Machine } from '../../../src/machine/index.js';
import { goElsewhere, nonsenseMachine, prepare } from '../../machine/nonsense.js';
import { CODE } from '../../machine/support.js';
import {
  CODE_BYTES,
  type RandomProgram,
  randomProgram,
  randomWord,
  runOver,
  writers,
} from '../random-programs.js';

/**
 * Lays loops over the random words: at some places a branch back over a few instructions, taken while a
 * register that counts down is not zero.
 */
function makeLoops(machine: Machine, random: Random): void {
  const { memory } = machine;
  for (let at = 64; at < CODE_BYTES - 64; at += 4 * (6 + random.below(24))) {
    const back = 3 + random.below(12);
    // sub x28, x28, #1; tbz or tbnz of one of its low bits, back.
    memory.write32(PA(CODE + at), 0xd100079c);
    const bit = random.below(4);
    const op = random.below(2) === 0 ? 0x36000000 : 0x37000000;
    memory.write32(PA(CODE + at + 4), (op | (bit << 19) | ((-back & 0x3fff) << 5) | 28) >>> 0);
  }
}

interface Side extends RandomProgram {
  readonly random: Random;
  readonly engine: Engine;
}

/** Declares the tests, of this many seeds. */
export function testTranslatedCode(seeds: number): void {
  it.each([0, 1] as const)('equals the evaluator in random loops at EL%i', (el) => {
    let executed = 0;
    let translated = 0;
    for (let seed = 0; seed < seeds; seed++) {
      const sides = ['evaluate', 'translate'].map((name): Side => {
        const program = randomProgram(new Random(seed, `random loops ${el}`), el);
        makeLoops(program.machine, new Random(seed, 'loops'));
        const engine = createEngine(program.machine, name);
        return { ...program, random: new Random(seed, 'restart'), engine };
      });
      const [a, b] = sides as [Side, Side];
      const lengths = new Random(seed, 'lengths');
      for (let round = 0; round < 30; round++) {
        const length = 1 + lengths.below(round % 2 ? 100 : 1500);
        const stops = sides.map((side) => {
          side.restart(side.random);
          return runOver(side.machine.cpu, side.engine, side.random, length);
        });
        const where = `seed ${seed}, EL${el}, round ${round}, at ${a.machine.cpu.pc.toString(16)}`;
        expect(stops[1], where).toEqual(stops[0]);
        expect(compareCpus(a.machine.cpu, b.machine.cpu), where).toEqual([]);
        // Some code changes between rounds, as a kernel would change it.
        const at = PA(CODE + 4 * lengths.below(CODE_BYTES / 4));
        const features: ReadonlySet<string> = a.machine.features;
        const word = randomWord(lengths, (feature) => features.has(feature));
        for (const { machine } of sides) machine.memory.write32(at, word);
      }
      expect(compareMemory(a.machine, b.machine), `seed ${seed}, EL${el}`).toEqual([]);
      expect(writers(b.machine), `seed ${seed}, EL${el}`).toEqual(writers(a.machine));
      executed += a.machine.cpu.steps;
      translated += (b.engine as Interpreter).statistics.translated;
    }
    if (process.env['LOCKSTEP_SEEDS']) console.log(executed, translated);
    expect(executed).toBeGreaterThan(seeds * 1000);
    expect(translated).toBeGreaterThan(executed / 8);
  });

  it('equals the evaluator in nonsense at every level', () => {
    let executed = 0;
    for (let seed = 0; seed < seeds; seed++) {
      const sides = ['evaluate', 'translate'].map((name) => {
        const machine = nonsenseMachine(seed);
        const random = new Random(seed, 'nonsense, translated');
        prepare(machine, random);
        return { machine, random, engine: createEngine(machine, name) };
      });
      const [a, b] = sides as [(typeof sides)[0], (typeof sides)[0]];
      for (let round = 0; round < 20; round++) {
        const stops = sides.map(({ machine, engine }) => engine.run(machine.cpu, 150));
        expect(stops[1], `seed ${seed}, round ${round}`).toEqual(stops[0]);
        expect(compareCpus(a.machine.cpu, b.machine.cpu), `seed ${seed}, round ${round}`).toEqual([]);
        for (const { machine, random } of sides) goElsewhere(machine.cpu, random);
      }
      expect(compareMemory(a.machine, b.machine), `seed ${seed}`).toEqual([]);
      executed += a.machine.cpu.steps;
    }
    expect(executed).toBeGreaterThan(seeds * 500);
  });
}
