/**
 * The translator, case by case: what happens in the middle of a hot loop must be what the evaluator does,
 * at the same instruction.
 */
import { describe, expect, it } from 'vitest';
import { PA } from '../../../src/base/index.js';
import {
  compareCpus,
  compareMemory,
  createEngine,
  type Interpreter,
  type TranslatorOptions,
} from '../../../src/engine/index.js';
import type { Engine, Machine } from '../../../src/machine/index.js';
import {
  CODE,
  D,
  DATA,
  load,
  mappedMachine,
  SCTLR_ON,
  TAGS,
  type Tables,
  TCF0,
  TCR_39,
  testMachine,
} from '../../machine/support.js';

const statisticsOf = (engine: Engine) => (engine as Interpreter).statistics;
const classOf = (machine: Machine) => Number(machine.cpu.readRegister('esr_el1') >> 26n);
const SVC = 0x15;

/** At EL0 from CODE until an exception or `steps`. */
function start(machine: Machine, steps: number, engine: Engine) {
  const { cpu } = machine;
  cpu.setLevel(0, 1);
  cpu.pstate.tco = 0;
  cpu.pc = BigInt(CODE);
  cpu.sp = BigInt(DATA + 0x8000);
  return engine.run(cpu, steps);
}

/** The same program under evaluator and translator, which must agree on everything. */
function both(
  prepare: (machine: Machine, tables: Tables) => void,
  source: string,
  steps = 100_000,
  checks = 0,
) {
  const [a, b] = ['evaluate', 'translate'].map((name) => {
    const { machine, tables } = mappedMachine();
    tables.mapRange(DATA, 0x20000, D.user | D.tagged);
    machine.memory.fillTags(PA(DATA), 0x10000, 3);
    machine.cpu.writeRegister('sctlr_el1', SCTLR_ON | TCF0(checks));
    load(machine, source);
    prepare(machine, tables);
    const engine = createEngine(machine, name);
    const stop = start(machine, steps, engine);
    return { machine, engine, stop };
  }) as [Run, Run];
  expect(b.stop).toEqual(a.stop);
  expect(compareCpus(a.machine.cpu, b.machine.cpu)).toEqual([]);
  expect(compareMemory(a.machine, b.machine)).toEqual([]);
  return b;
}
interface Run {
  readonly machine: Machine;
  readonly engine: Engine;
  readonly stop: unknown;
}

const TAG3 = 3n << 56n;

describe('a hot loop', () => {
  it('is translated, and does nearly all of its instructions so', () => {
    const { engine, machine } = both(
      () => {},
      'mov x0, #0\n1: add x0, x0, #1\n cmp x0, #4000\n b.ne 1b\n svc #0',
    );
    expect(machine.cpu.readX(0)).toBe(4000n);
    const { regions, translated, leaves } = statisticsOf(engine);
    expect(regions).toBeGreaterThan(0);
    expect(translated).toBeGreaterThan(11_000);
    expect(leaves).toBeLessThan(10);
  });

  it('faults at the exact instruction: PC, FAR, ESR, registers and count', () => {
    // The pages end at DATA + 0x20000; the store that goes beyond has done nothing.
    const { machine } = both(
      ({ cpu }) => cpu.writeX(1, BigInt(DATA)),
      '1: add x2, x2, #3\n ldr x4, [x1]\n add x3, x3, x4\n str x2, [x1], #8\n subs x5, x5, #1\n b 1b',
    );
    expect(machine.cpu.readRegister('far_el1')).toBe(BigInt(DATA + 0x20000));
    expect(machine.cpu.readRegister('elr_el1')).toBe(BigInt(CODE + 4));
    expect(machine.cpu.readX(5)).toBe(BigInt.asUintN(64, BigInt(-0x20000 / 8)));
  });

  it.each([1, 2, 3])('finds the wrong tag, TCF %i', (checks) => {
    const { machine } = both(
      (m) => {
        m.memory.fillTags(PA(DATA + 0x4000), 16, 9);
        m.cpu.writeX(1, BigInt(DATA) | TAG3);
        m.cpu.writeX(6, (BigInt(DATA) | TAG3) + 0x6000n);
      },
      '1: str x2, [x1], #8\n add x2, x2, #1\n cmp x1, x6\n b.ne 1b\n svc #0',
      100_000,
      checks,
    );
    if (checks === 1) {
      expect(machine.cpu.readRegister('far_el1')).toBe((BigInt(DATA) | TAG3) + 0x4000n);
    } else {
      expect(classOf(machine)).toBe(SVC);
      expect(machine.cpu.readRegister('tfsre0_el1')).toBe(1n);
    }
  });

  it.each([0, 1, 2, 3])('checks tags of pairs and of what is misaligned, from byte %i', (by) => {
    both(
      (m) => {
        m.cpu.writeX(1, (BigInt(DATA) | TAG3) + BigInt(by));
        m.memory.fillTags(PA(DATA + 0x3000), 16, 7);
      },
      '1: ldr x3, [x1, #5]\n ldp x4, x7, [x1]\n add x2, x2, x3\n str w2, [x1, #9]\n strh w2, [x1, #15]\n add x1, x1, #24\n b 1b',
      100_000,
      1,
    );
  });

  it('reads what it then writes, and faults at the store where only that is forbidden', () => {
    const { machine, engine } = both(
      ({ cpu, memory }, tables) => {
        memory.fillTags(PA(DATA + 0x10000), 0x10000, 3);
        tables.mapRange(DATA + 0x10000, 0x10000, D.user | D.tagged | D.readOnly);
        cpu.writeX(1, BigInt(DATA) | TAG3);
      },
      '1: ldr x4, [x1]\n add x4, x4, x5\n add x5, x5, #1\n str x4, [x1], #8\n b 1b',
      100_000,
      1,
    );
    expect(machine.cpu.readRegister('elr_el1')).toBe(BigInt(CODE + 12));
    expect(machine.cpu.readRegister('far_el1') & ~TAG3).toBe(BigInt(DATA + 0x10000));
    expect(statisticsOf(engine).translated).toBeGreaterThan(30_000);
  });

  it('accesses the other half of the address space, where the halves differ', () => {
    const upper = 0xffff_ff80_0000_0000n;
    const { machine, engine } = both(
      ({ cpu }, tables) => {
        // The same tables, but without TBI.
        cpu.writeRegister('tcr_el1', (TCR_39 & ~(1n << 23n)) | (25n << 16n) | (2n << 30n));
        cpu.writeRegister('ttbr1_el1', BigInt(tables.root));
        cpu.writeX(1, BigInt(DATA));
        cpu.writeX(2, upper | BigInt(DATA + 0x8000));
        // No TBI there: what the top byte is not a copy of bit 55 in is no address.
        cpu.writeX(5, (upper | BigInt(DATA + 0x8000)) & ~(1n << 58n));
        cpu.writeX(3, BigInt(DATA));
      },
      // Every 256th round in the upper half.
      `1: ldr x4, [x3]
          add x4, x4, #1
          str x4, [x3]
          add x0, x0, #1
          cmp x0, #4000
          csel x2, x5, x2, eq
          tst x0, #255
          csel x3, x2, x1, eq
          b 1b`,
    );
    expect(machine.cpu.readRegister('elr_el1')).toBe(BigInt(CODE));
    expect(machine.cpu.readRegister('far_el1')).toBe((upper | BigInt(DATA + 0x8000)) & ~(1n << 58n));
    expect(machine.memory.load(PA(DATA + 0x8000), 8)).toBe(15n);
    expect(statisticsOf(engine).translated).toBeGreaterThan(25_000);
  });

  it('stops exactly at every limit', () => {
    for (let limit = 200; limit < 260; limit++) {
      const { stop } = both(
        ({ cpu }) => cpu.writeX(1, BigInt(DATA)),
        '1: add x0, x0, #1\n tbz x0, #0, 2f\n bl 3f\n2: str x0, [x1]\n cmp x0, #900\n b.ne 1b\n svc #0\n3: lsl x2, x0, #3\n ret',
        limit,
      );
      expect(stop).toEqual({ kind: 'limit' });
    }
  });

  it('leaves NZCV as the last operation set it, whichever way it came there', () => {
    for (const compare of [
      'cmp x3, x4',
      'adds w3, w3, w4',
      'tst x3, #255',
      'ccmp x3, x4, #5, lt',
      'adcs x3, x3, x4',
    ]) {
      both(({ cpu }) => {
        cpu.writeX(3, 0x8000_0000_1234_5678n);
        cpu.writeX(4, 0x7fff_ffff_9999_9999n);
      }, `1: ror x3, x3, #7\n tbz x3, #4, 2f\n ${compare}\n2: cset x5, hi\n cset x6, ge\n cinc x7, x7, vs\n mrs x8, nzcv\n add x0, x0, #1\n tbz x0, #9, 1b\n svc #0`);
    }
  });
});

describe('calls', () => {
  it('return where they came from, also by another way than the one expected', () => {
    const { machine } = both(
      () => {},
      `
   1: bl 2f
      add x3, x3, #1
      add x0, x0, #1
      cmp x0, #600
      b.ne 1b
      svc #0
   2: stp x29, x30, [sp, #-16]!
      bl 3f
      ldp x29, x30, [sp], #16
      // Every eighth time the instruction behind the call is left out.
      tst x0, #7
      cinc x9, xzr, eq
      add x30, x30, x9, lsl #2
      ret
   3: add x4, x4, #1
      ret
    `,
    );
    expect([machine.cpu.readX(3), machine.cpu.readX(4)]).toEqual([525n, 600n]);
  });

  it('recur', () => {
    const { machine } = both(
      ({ cpu }) => cpu.writeX(0, 14n),
      `
      bl fib
      svc #0
 fib: cmp x0, #2
      b.lo 1f
      stp x19, x30, [sp, #-32]!
      str x20, [sp, #16]
      mov x19, x0
      sub x0, x0, #1
      bl fib
      mov x20, x0
      sub x0, x19, #2
      bl fib
      add x0, x0, x20
      ldr x20, [sp, #16]
      ldp x19, x30, [sp], #32
   1: ret
    `,
    );
    expect(machine.cpu.readX(0)).toBe(377n);
  });
});

describe('code that changes while it is hot', () => {
  it('is seen through an alias that can be written', () => {
    const runs = ['evaluate', 'translate'].map((name) => {
      const { machine, cpu, tables } = mappedMachine();
      tables.map(DATA + 0x20000, CODE, D.user);
      load(
        machine,
        `
        mov x0, #0
     1: add x0, x0, #1
        add x3, x3, #1
        tst x0, #127
        b.ne 2f
        add w2, w2, #0x400
        str w2, [x1]
     2: cmp x0, #1000
        b.ne 1b
        svc #0
      `,
      );
      cpu.writeX(1, BigInt(DATA + 0x20000 + 8));
      cpu.writeX(2, 0x91000463n);
      const engine = createEngine(machine, name);
      start(machine, 100_000, engine);
      return { machine, engine };
    });
    const [a, b] = runs as [(typeof runs)[0], (typeof runs)[0]];
    expect(classOf(b.machine)).toBe(SVC);
    expect(compareCpus(a.machine.cpu, b.machine.cpu)).toEqual([]);
    expect(statisticsOf(b.engine).translated).toBeGreaterThan(1000);
    expect(statisticsOf(b.engine).regionsMade).toBeGreaterThan(statisticsOf(b.engine).regions);
  });

  it('is seen when the kernel writes it, and when its page is another one', () => {
    const { machine, cpu, tables } = mappedMachine();
    const engine = createEngine(machine, 'translate');
    const loop = (by: number) =>
      `mov x0, #0\n mov x3, #0\n1: add x3, x3, #${by}\n add x0, x0, #1\n cmp x0, #500\n b.ne 1b\n svc #0`;
    load(machine, loop(1));
    load(machine, loop(3), CODE + 0x1000);
    start(machine, 10_000, engine);
    expect(cpu.readX(3)).toBe(500n);
    load(machine, loop(2));
    start(machine, 10_000, engine);
    expect(cpu.readX(3)).toBe(1000n);
    tables.map(CODE, CODE + 0x1000, D.user | D.readOnly);
    cpu.mmu.flushRange(BigInt(CODE), 4096);
    start(machine, 10_000, engine);
    expect(cpu.readX(3)).toBe(1500n);
    tables.map(CODE, CODE + 0x1000, D.user | D.readOnly | D.uxn);
    cpu.mmu.flushRange(BigInt(CODE), 4096);
    start(machine, 10_000, engine);
    expect(classOf(machine)).toBe(0x20);
  });

  it('runs at two addresses of one page, each by its own', () => {
    const { machine, cpu, tables } = mappedMachine();
    const engine = createEngine(machine, 'translate');
    load(machine, '1: adr x3, .\n add x0, x0, #1\n tbz x0, #8, 1b\n svc #0');
    tables.map(CODE + 0x100000, CODE, D.user | D.readOnly);
    for (const at of [CODE, CODE + 0x100000, CODE]) {
      cpu.setLevel(0, 1);
      cpu.writeX(0, 0n);
      cpu.pc = BigInt(at);
      engine.run(cpu, 10_000);
      expect([classOf(machine), cpu.readX(3)]).toEqual([SVC, BigInt(at)]);
    }
    expect(statisticsOf(engine).regions).toBeGreaterThan(1);
  });
});

describe('tags', () => {
  it('change at once when tag storage is written as data inside the loop', () => {
    const storage = TAGS + (DATA - 0x40000000) / 32;
    const runs = ['evaluate', 'translate'].map((name) => {
      const { machine, cpu, tables } = mappedMachine();
      tables.mapRange(DATA, 0x1000, D.user | D.tagged);
      tables.map(storage, storage, D.user);
      cpu.writeRegister('sctlr_el1', SCTLR_ON | TCF0(1));
      machine.memory.fillTags(PA(DATA), 0x1000, 3);
      // After 300 rounds a byte of zeros goes over the tags of what the loop loads.
      load(
        machine,
        '1: ldr x3, [x1]\n add x0, x0, #1\n cmp x0, #300\n csel x4, x2, x5, eq\n strb wzr, [x4]\n cmp x0, #400\n b.ne 1b\n svc #0',
      );
      cpu.writeX(1, BigInt(DATA) | TAG3);
      cpu.writeX(2, BigInt(storage));
      cpu.writeX(5, BigInt(storage + 64));
      const engine = createEngine(machine, name);
      start(machine, 100_000, engine);
      return { machine, engine };
    });
    const [a, b] = runs as [(typeof runs)[0], (typeof runs)[0]];
    expect(b.machine.cpu.readX(0)).toBe(300n);
    expect(b.machine.cpu.readRegister('far_el1')).toBe(BigInt(DATA) | TAG3);
    expect(compareCpus(a.machine.cpu, b.machine.cpu)).toEqual([]);
    expect(statisticsOf(b.engine).translated).toBeGreaterThan(1500);
  });
});

describe('what the translator keeps', () => {
  it('is bounded in a run of code that never stays the same', () => {
    const machine = testMachine();
    const { cpu } = machine;
    const translator: TranslatorOptions = { hotAfter: 2, patience: 0, mostRegions: 20 };
    const engine = createEngine(machine, 'translate', { translator });
    // 300 loops in 75 pages, again and again, one of them written each round.
    const loops = 300;
    const place = (i: number) => CODE + 0x400 * i;
    for (let i = 0; i < loops; i++)
      load(machine, 'mov x1, #9\n1: add x0, x0, #1\n subs x1, x1, #1\n b.ne 1b\n b .+0x3f0', place(i));
    load(machine, 'b .', place(loops));
    const table = () => statisticsOf(engine).regions;
    let expected = 0n;
    for (let round = 0; round < 4; round++) {
      load(machine, 'mov x1, #10\n', place(17 * round));
      cpu.pc = BigInt(CODE);
      cpu.writeX(0, 0n);
      engine.run(cpu, 40 * loops);
      expected = BigInt(9 * loops + round + 1);
      expect(cpu.readX(0)).toBe(expected);
      expect(table()).toBeLessThanOrEqual(20);
    }
    expect(statisticsOf(engine).evictions).toBeGreaterThan(10);
    expect(statisticsOf(engine).regionsMade).toBeGreaterThan(loops);
  });

  it('is bounded in the memory that V8 needs for modules, of which most are garbage', () => {
    const machine = testMachine();
    const { cpu, memory } = machine;
    const translator: TranslatorOptions = { hotAfter: 2, patience: 0, mostModules: 64 };
    const engine = createEngine(machine, 'translate', { translator });
    // What is written again and again gets hot late: so 64 pages take turns.
    const place = (round: number) => CODE + 0x1000 * (round % 64);
    for (let i = 0; i < 64; i++)
      load(machine, 'mov x1, #90\n1: add x0, x0, #1\n subs x1, x1, #1\n b.ne 1b\n b .', place(i));
    let expected = 0n;
    const rounds = 1500;
    let before = 0;
    for (let round = 0; round < rounds; round++) {
      // What the machine, the interpreter and the first modules need is there.
      if (round === 200) before = process.memoryUsage.rss();
      const step = round % 4096;
      memory.write32(PA(place(round) + 4), 0x91000000 | (step << 10));
      expected += 90n * BigInt(step);
      cpu.pc = BigInt(place(round));
      engine.run(cpu, 300);
    }
    expect(cpu.readX(0)).toBe(expected);
    const { modules, evictions, regions } = statisticsOf(engine);
    expect(modules).toBeGreaterThan(rounds / 2);
    expect(evictions).toBeGreaterThan(10);
    expect(regions).toBeLessThanOrEqual(64);
    expect(process.memoryUsage.rss() - before).toBeLessThan(20 << 20);
  });

  it('serves CPUs apart', () => {
    const machine = testMachine({ cpus: 3 });
    load(machine, '1: mrs x1, tpidr_el0\n add x0, x0, x1\n str x0, [x2]\n b 1b');
    const engine = createEngine(machine, 'translate');
    machine.cpus.forEach((cpu, i) => {
      cpu.pc = BigInt(CODE);
      cpu.writeRegister('tpidr_el0', BigInt(i + 1));
      cpu.writeX(2, BigInt(DATA + 8 * i));
    });
    for (let turn = 0; turn < 4; turn++) for (const cpu of machine.cpus) engine.run(cpu, 200 + turn);
    machine.cpus.forEach((cpu, i) => {
      expect([cpu.steps, cpu.readX(0)]).toEqual([806, BigInt(202 * (i + 1))]);
    });
    expect(statisticsOf(engine).regions).toBeGreaterThanOrEqual(3);
  });
});
