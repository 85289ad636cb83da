/**
 * Nonsense from guests: random words, registers, system registers and translation tables. Whatever
 * happens is a guest's exception or a stop, never an error of the emulator, and it ends.
 */
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/base/index.js';
import { createEngine } from '../../src/engine/index.js';
import { Conductor, Gic, modelledCaches, psci } from '../../src/machine/index.js';
import { goElsewhere, nonsenseMachine, prepare } from './nonsense.js';
import { CODE } from './support.js';

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

  it('of several CPUs with interrupts, caches and PSCI ends: at a limit, by an exit, or with a reason', () => {
    const ends = new Set<string>();
    let executed = 0;
    for (let seed = 0; seed < 40; seed++) {
      const random = new Random(seed, 'nonsense');
      const gic = new Gic({ base: 0x8000000, size: 0x10000 }, { base: 0x80a0000, size: 0x40000 });
      const machine = nonsenseMachine(seed, {
        cpus: 2,
        interrupts: gic,
        devices: () => gic.devices,
        firmwareCall: psci({ level: 1, secondaryEntry: BigInt(CODE) }),
        ...(seed % 2 === 0 ? { caches: modelledCaches } : {}),
      });
      prepare(machine, random);
      // Registers of the interrupt controller and of debug are what guests would least expect to be random.
      for (let i = 0; i < 200; i++) {
        const device = gic.devices[random.below(2)]!;
        device.write(random.below(device.size), ([1, 2, 4, 8] as const)[random.below(4)]!, random.u64());
      }
      for (const name of [
        'mdscr_el1',
        'dbgbcr0_el1',
        'dbgwcr0_el1',
        'dbgwcr1_el1',
        'cntp_ctl_el0',
      ] as const) {
        machine.cpu.writeRegister(name, random.u64());
      }
      const conductor = new Conductor(machine, createEngine(machine, 'evaluate'), seed);
      const end = conductor.run({ maxSteps: 1500 });
      executed += conductor.steps;
      ends.add(end.kind);
      if (end.kind === 'stuck') expect(end.reasons).toHaveLength(2);
    }
    expect([...ends].every((kind) => ['limit', 'exit', 'stuck'].includes(kind))).toBe(true);
    expect(executed).toBeGreaterThan(1000);
  });
});
