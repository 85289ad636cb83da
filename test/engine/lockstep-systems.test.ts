/**
 * Lock-step of two systems: which instruction it blames, and that nothing is left uncompared.
 */
import { describe, expect, it } from 'vitest';
import {
  createEngine,
  type EngineMaker,
  type LockstepSide,
  lockstep,
  type MakeSide,
} from '../../src/engine/index.js';
import { CODE, DATA, load, testMachine } from '../machine/support.js';

describe('two systems in lock-step', () => {
  const SOURCE = 'mov x0, #0\n1: add x0, x0, #1\n b 1b';
  /** Runs 5000 instructions in stretches of 300. */
  const makeSide: MakeSide = (makeEngine) => {
    const machine = testMachine();
    load(machine, SOURCE);
    machine.cpu.pc = BigInt(CODE);
    const engine = makeEngine(machine);
    return {
      machine,
      runUntil(pause) {
        while (machine.cpu.steps < 5000) {
          if (pause()) return true;
          engine.run(machine.cpu, Math.min(300, 5000 - machine.cpu.steps));
        }
        return false;
      },
    };
  };
  const evaluator: EngineMaker = (machine) => createEngine(machine, 'evaluate');
  /** Does wrong what begins at a certain instruction, in runs of at least `length` instructions. */
  const spoilt =
    (at: number, length: number): EngineMaker =>
    (machine) => {
      const engine = createEngine(machine, 'interpret');
      return {
        name: 'spoilt',
        run(cpu, most) {
          const before = cpu.steps;
          const stop = engine.run(cpu, most);
          if (most >= length && before <= at && cpu.steps > at) cpu.writeX(9, 1n);
          return stop;
        },
      };
    };

  it('finds the first instruction that differs', () => {
    const result = lockstep(makeSide, [evaluator, spoilt(777, 1)], { every: 100 });
    expect(result.steps).toBe(777);
    expect(result.differences).toEqual([{ what: 'x9', first: '0x0', second: '0x1' }]);
    expect(result.instruction).toEqual({ pc: BigInt(CODE + 4), word: 0x9100_0400 });
  });

  it('says what differs where only long stretches do', () => {
    const result = lockstep(makeSide, [evaluator, spoilt(777, 2)], { every: 100 });
    expect(result.steps).toBe(800);
    expect(result.differences).toEqual([{ what: 'x9', first: '0x0', second: '0x1' }]);
    expect(result.instruction).toBeUndefined();
  });

  it('compares as often as it is told, and all of a program that agrees', () => {
    const equal = lockstep(makeSide, [evaluator, evaluator], { every: 100 });
    expect(equal).toMatchObject({ steps: 5000, comparisons: 50, differences: [] });
    const rare = lockstep(makeSide, [evaluator, evaluator], { every: 10_000 });
    expect(rare).toMatchObject({ steps: 5000, comparisons: 17, differences: [] });
  });

  it('notices memory, output and an end that only one side has', () => {
    const spoil = (what: (side: LockstepSide) => LockstepSide) =>
      lockstep(
        (engine, which) => (which === 0 ? makeSide(engine, 0) : what(makeSide(engine, 1))),
        [evaluator, evaluator],
        {
          every: 1000,
        },
      ).differences.map((d) => d.what);
    const memory = spoil((side) => {
      side.machine.memory.store(DATA + 64, 8, 5n, true);
      return side;
    });
    expect(memory).toEqual([`memory 0x${(DATA + 64).toString(16)}`]);
    expect(spoil((side) => ({ ...side, output: () => 'something' }))).toEqual(['output']);
    expect(spoil((side) => ({ ...side, runUntil: () => false }))).toContain('the program');
  });
});
