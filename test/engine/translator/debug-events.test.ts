/**
 * Debug exceptions in the middle of hot loops: breakpoints, watchpoints and software step that come before
 * a loop is hot, while it is, and beside tag faults. The evaluator says what must happen.
 */
import { describe, expect, it } from 'vitest';
import { PA } from '../../../src/base/index.js';
import { compareCpus, compareMemory, createEngine, type Interpreter } from '../../../src/engine/index.js';
import type { Cpu, Machine } from '../../../src/machine/index.js';
import { CODE, D, DATA, load, mappedMachine, SCTLR_ON, TCF0 } from '../../machine/support.js';

const MDE = 1n << 15n;
const KDE = 1n << 13n;
const ALL_BYTES = 0xffn << 5n;
const EL0 = (2n << 1n) | 1n;
const EL1 = (1n << 1n) | 1n;
const STORES = 2n << 3n;
const LOADS = 1n << 3n;
const TAG3 = 3n << 56n;

const BREAKPOINT = 0x30;
const WATCHPOINT = 0x34;
const STEP = 0x32;
const DATA_ABORT = 0x24;
const SVC = 0x15;

interface Phase {
  readonly steps: number;
  /** Before it runs. */
  readonly prepare?: (cpu: Cpu, machine: Machine) => void;
}

interface Outcome {
  readonly machine: Machine;
  readonly cpu: Cpu;
  readonly stops: readonly unknown[];
  readonly translated: number;
}

/** Runs the phases under both engines at EL0 (or EL1) from CODE; they must agree after each. */
function both(source: string, phases: readonly Phase[], level: 0 | 1 = 0): Outcome {
  const sides = ['evaluate', 'translate'].map((name) => {
    const { machine, cpu, tables } = mappedMachine();
    tables.mapRange(DATA, 0x10000, D.tagged | (level === 0 ? D.user : 0n));
    machine.memory.fillTags(PA(DATA), 0x10000, 3);
    cpu.writeRegister('sctlr_el1', SCTLR_ON | TCF0(1));
    load(machine, source);
    cpu.setLevel(level, 1);
    cpu.pstate.tco = 0;
    cpu.pstate.daif = 0;
    cpu.pc = BigInt(CODE);
    cpu.writeX(1, BigInt(DATA) | TAG3);
    return { machine, cpu, engine: createEngine(machine, name) };
  });
  const [a, b] = sides as [(typeof sides)[0], (typeof sides)[0]];
  const stops: unknown[] = [];
  phases.forEach(({ steps, prepare }, i) => {
    for (const { cpu, machine } of sides) {
      prepare?.(cpu, machine);
      cpu.refreshContext();
    }
    const [first, second] = sides.map(({ engine, cpu }) => engine.run(cpu, steps));
    expect(second, `phase ${i}`).toEqual(first);
    expect(compareCpus(a.cpu, b.cpu), `phase ${i}`).toEqual([]);
    stops.push(second);
  });
  expect(compareMemory(a.machine, b.machine)).toEqual([]);
  return { ...b, stops, translated: (b.engine as Interpreter).statistics.translated };
}

const classOf = (cpu: Cpu) => Number(cpu.readRegister('esr_el1') >> 26n);
const offsetOf = (cpu: Cpu) => Number(cpu.readRegister('elr_el1')) - CODE;
/** Back to where the exception came from, past that instruction or to it. */
const goOn = (cpu: Cpu, by: bigint) => {
  cpu.writeRegister('elr_el1', cpu.readRegister('elr_el1') + by);
  cpu.exceptionReturn();
};

const MARCH = '1: add x2, x2, #1\n str x2, [x1], #8\n eor x4, x4, x2\n subs x5, x5, #1\n b.ne 1b\n svc #0';

describe('a breakpoint in a hot loop', () => {
  const set = (offset: number) => (cpu: Cpu) => {
    cpu.writeRegister('dbgbvr2_el1', BigInt(CODE + offset));
    cpu.writeRegister('dbgbcr2_el1', (0xfn << 5n) | EL0);
    cpu.writeRegister('mdscr_el1', MDE);
  };

  it.each([0, 4, 8, 12, 16])('that was set after it was translated is met at offset %i', (offset) => {
    const { cpu, translated } = both(MARCH, [
      { steps: 3001, prepare: (c) => c.writeX(5, 8000n) },
      { steps: 100, prepare: set(offset) },
    ]);
    expect(translated).toBeGreaterThan(2500);
    expect([classOf(cpu), offsetOf(cpu)]).toEqual([BREAKPOINT, offset]);
    expect(cpu.steps).toBeLessThan(3008);
  });

  it('is met each time round, and no more when it is taken away', () => {
    const again: Phase = { steps: 1000, prepare: (cpu) => goOn(cpu, 4n) };
    const { cpu } = both(MARCH, [
      { steps: 2000, prepare: (c) => c.writeX(5, 1000n) },
      { steps: 1000, prepare: set(8) },
      again,
      again,
      {
        steps: 100_000,
        prepare: (c) => {
          c.writeRegister('dbgbcr2_el1', 0n);
          c.exceptionReturn();
        },
      },
    ]);
    expect([classOf(cpu), cpu.readX(5), cpu.readX(2)]).toEqual([SVC, 0n, 1000n]);
  });

  it('comes into being by an instruction of the loop itself', () => {
    // EL1: after 700 rounds the loop sets the breakpoint's control register.
    const { cpu } = both(
      `1: add x2, x2, #1
          cmp x2, #700
          b.ne 2f
          msr dbgbcr2_el1, x6
          isb
       2: eor x4, x4, x2
          subs x5, x5, #1
          b.ne 1b
          svc #0`,
      [
        {
          steps: 100_000,
          prepare: (c) => {
            c.writeRegister('dbgbvr2_el1', BigInt(CODE + 24));
            c.writeRegister('mdscr_el1', MDE | KDE);
            c.writeX(6, (0xfn << 5n) | EL1);
            c.writeX(5, 5000n);
          },
        },
      ],
      1,
    );
    expect([classOf(cpu) & ~1, cpu.readX(2), offsetOf(cpu)]).toEqual([BREAKPOINT, 700n, 24]);
  });
});

describe('a watchpoint in a hot loop', () => {
  const watch = (at: number, kind: bigint) => (cpu: Cpu) => {
    cpu.writeRegister('dbgwvr1_el1', BigInt(at));
    cpu.writeRegister('dbgwcr1_el1', ALL_BYTES | kind | EL0);
    cpu.writeRegister('mdscr_el1', MDE);
  };

  it('is met when the store comes there, set before or after the loop is hot', () => {
    const at = DATA + 0x3000;
    const before = both(MARCH, [
      {
        steps: 100_000,
        prepare: (c) => {
          c.writeX(5, 5000n);
          watch(at, STORES)(c);
        },
      },
    ]);
    const after = both(MARCH, [
      { steps: 2222, prepare: (c) => c.writeX(5, 5000n) },
      { steps: 100_000, prepare: watch(at, STORES) },
    ]);
    for (const { cpu } of [before, after]) {
      expect([classOf(cpu), offsetOf(cpu)]).toEqual([WATCHPOINT, 4]);
      expect(Number(cpu.readRegister('far_el1') & 0xffff_ffffn)).toBe(at);
      expect(cpu.readX(2)).toBe(BigInt(0x3000 / 8 + 1));
    }
    expect(after.translated).toBeGreaterThan(1500);
  });

  it('of loads lets stores pass', () => {
    const { cpu } = both(MARCH, [
      { steps: 2000, prepare: (c) => c.writeX(5, 2000n) },
      { steps: 100_000, prepare: watch(DATA + 0x3000, LOADS) },
    ]);
    expect([classOf(cpu), cpu.readX(5)]).toEqual([SVC, 0n]);
  });

  it('gives way to a tag fault of the same access, and is met when the tag is right', () => {
    const at = DATA + 0x3000;
    const { cpu, stops } = both(MARCH, [
      { steps: 2000, prepare: (c) => c.writeX(5, 5000n) },
      {
        steps: 100_000,
        prepare: (c, { memory }) => {
          watch(at, STORES)(c);
          memory.fillTags(PA(at), 16, 9);
        },
      },
      {
        steps: 100_000,
        prepare: (c, { memory }) => {
          expect(classOf(c)).toBe(DATA_ABORT);
          expect(c.readRegister('esr_el1') & 0x3fn).toBe(0x11n);
          memory.fillTags(PA(at), 16, 3);
          goOn(c, 0n);
        },
      },
    ]);
    expect(stops).toHaveLength(3);
    expect([classOf(cpu), offsetOf(cpu), cpu.readX(2)]).toEqual([WATCHPOINT, 4, BigInt(0x3000 / 8 + 1)]);
  });
});

describe('software step', () => {
  it('executes one instruction of a loop that is translated, and the loop goes on', () => {
    const step: Phase = {
      steps: 100,
      prepare: (c) => {
        c.writeRegister('mdscr_el1', 1n);
        c.writeRegister('spsr_el1', c.readRegister('spsr_el1') | (1n << 21n));
        c.exceptionReturn();
      },
    };
    const { cpu, translated } = both(MARCH, [
      { steps: 3000, prepare: (c) => c.writeX(5, 4000n) },
      // The first step is due at once.
      { steps: 100, prepare: (c) => c.writeRegister('mdscr_el1', 1n) },
      ...Array.from({ length: 12 }, () => step),
      {
        steps: 200_000,
        prepare: (c) => {
          expect(classOf(c)).toBe(STEP);
          c.writeRegister('mdscr_el1', 0n);
          c.exceptionReturn();
        },
      },
    ]);
    expect([classOf(cpu), cpu.readX(5), cpu.readX(2)]).toEqual([SVC, 0n, 4000n]);
    expect(translated).toBeGreaterThan(10_000);
  });
});
