/**
 * Nonsense from guests: random words, registers, system registers and translation tables. Whatever
 * happens is a guest's exception or a stop, never an error of the emulator, and it ends.
 */
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/base/index.js';
import { createEngine } from '../../src/engine/index.js';
import { goElsewhere, nonsenseMachine, prepare } from './nonsense.js';

const SEEDS = 60;
const STEPS = 3000;

describe('nonsense', () => {
  it('never is an error of the emulator, and always ends', () => {
    let executed = 0;
    let exceptions = 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      const random = new Random(seed, 'nonsense');
      const machine = nonsenseMachine(seed);
      const { cpu } = machine;
      const engine = createEngine(machine, 'auto');
      prepare(machine, random);
      for (let round = 0; round < 20; round++) {
        const stop = engine.run(cpu, STEPS / 20);
        expect(stop.kind, `seed ${seed}`).toMatch(/^(limit|exit|wait|halted|request)$/);
        goElsewhere(cpu, random);
      }
      executed += cpu.steps;
      exceptions += cpu.exceptions;
      for (let n = 0; n < 31; n++) expect(cpu.readX(n) >> 64n).toBe(0n);
      expect(cpu.readX(31)).toBe(0n);
    }
    expect(executed).toBeGreaterThan(10_000);
    expect(exceptions).toBeGreaterThan(1000);
  });

  it('repeats exactly from its seed', () => {
    const run = () => {
      const random = new Random(7, 'nonsense');
      const machine = nonsenseMachine(7);
      prepare(machine, random);
      createEngine(machine, 'auto').run(machine.cpu, 2000);
      return [
        machine.cpu.steps,
        machine.cpu.exceptions,
        ...Array.from({ length: 31 }, (_, n) => machine.cpu.readX(n)),
      ];
    };
    expect(run()).toEqual(run());
  });
});
