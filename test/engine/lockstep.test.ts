import { describe, expect, it } from 'vitest';
import { Random } from '../../src/base/index.js';
import { compareCpus, compareMemory, createEngine } from '../../src/engine/index.js';
import { goElsewhere, nonsenseMachine, prepare } from '../machine/nonsense.js';
import { randomProgram, runOver, writers } from './random-programs.js';

const SEEDS = Number(process.env['LOCKSTEP_SEEDS'] ?? 12);
const ROUNDS = 40;

describe('lock-step', () => {
  it.each([0, 1] as const)('random programs at EL%i are equal in evaluator and interpreter', (el) => {
    let executed = 0;
    let exceptions = 0;
    let evaluated = 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      const sides = ['evaluate', 'interpret'].map((engine) => {
        const program = randomProgram(new Random(seed, `random program ${el}`), el);
        return {
          ...program,
          random: new Random(seed, 'restart'),
          engine: createEngine(program.machine, engine),
        };
      });
      const [a, b] = sides as [(typeof sides)[0], (typeof sides)[0]];
      const lengths = new Random(seed, 'lengths');
      for (let round = 0; round < ROUNDS; round++) {
        const length = 1 + lengths.below(round % 2 ? 60 : 400);
        const stops = sides.map((side) => {
          side.restart(side.random);
          return runOver(side.machine.cpu, side.engine, side.random, length);
        });
        const where = `seed ${seed}, EL${el}, round ${round}, at ${a.machine.cpu.pc.toString(16)}`;
        expect(stops[1], where).toEqual(stops[0]);
        expect(compareCpus(a.machine.cpu, b.machine.cpu), where).toEqual([]);
      }
      expect(compareMemory(a.machine, b.machine), `seed ${seed}, EL${el}`).toEqual([]);
      expect(writers(b.machine), `seed ${seed}, EL${el}`).toEqual(writers(a.machine));
      executed += a.machine.cpu.steps;
      exceptions += a.machine.cpu.exceptions;
      evaluated += (b.engine as unknown as { statistics: { evaluated: number } }).statistics.evaluated;
    }
    if (process.env['LOCKSTEP_SEEDS']) console.log(executed, exceptions, evaluated);
    expect(executed).toBeGreaterThan(SEEDS * 1000);
    expect(exceptions).toBeGreaterThan(SEEDS * 10);
    // Most of it must have been generated code, or nothing was compared.
    expect(evaluated - exceptions).toBeLessThan(executed / 4);
  });

  it('nonsense at every level is equal in evaluator and interpreter', () => {
    let executed = 0;
    for (let seed = 0; seed < 2 * SEEDS; seed++) {
      const sides = ['evaluate', 'interpret'].map((engine) => {
        const machine = nonsenseMachine(seed);
        const random = new Random(seed, 'nonsense in lock-step');
        prepare(machine, random);
        return { machine, random, engine: createEngine(machine, engine) };
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
    expect(executed).toBeGreaterThan(SEEDS * 500);
  });
});
