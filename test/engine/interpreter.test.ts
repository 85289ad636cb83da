import { describe, expect, it } from 'vitest';
import { ROWS } from '../../isa/index.js';
import { PA } from '../../src/base/index.js';
import {
  compareCpus,
  createEngine,
  EVALUATED_ROWS,
  generateInterpreter,
  generateVectors,
  type Interpreter,
} from '../../src/engine/index.js';
import type { Machine } from '../../src/machine/index.js';
import {
  CODE,
  D,
  DATA,
  load,
  MAIR,
  mappedMachine,
  SCTLR_ON,
  TAGS,
  Tables,
  TCF0,
  TCR_39,
  testMachine,
} from '../machine/support.js';

/** Runs at EL0 from CODE under the interpreter, until an exception or `steps`. */
function runAt(machine: Machine, steps = 100_000, engine = createEngine(machine, 'interpret')) {
  const { cpu } = machine;
  cpu.setLevel(0, 1);
  cpu.pstate.tco = 0;
  cpu.pc = BigInt(CODE);
  cpu.sp = BigInt(DATA + 0x8000);
  return { engine, stop: engine.run(cpu, steps) };
}

const classOf = (cpu: Machine['cpu']) => Number(cpu.readRegister('esr_el1') >> 26n);
const SVC = 0x15;

describe('the interpreter', () => {
  it('does all instructions itself, but for those that are listed', () => {
    const { missing } = generateInterpreter();
    const left = ROWS.filter(({ id }) => missing.has(id) || generateVectors().missing.has(id));
    expect(left.map(({ id }) => id).sort()).toEqual(Object.keys(EVALUATED_ROWS).sort());
  });

  it('stops exactly at the limit, wherever that is', () => {
    for (let limit = 1; limit < 60; limit++) {
      const machines = ['evaluate', 'interpret'].map((engine) => {
        const machine = testMachine();
        load(machine, 'mov x0, #0\n.org 0xff4\n1: add x0, x0, #1\n tbz x0, #0, 2f\n bl 2f\n nop\n2: b 1b');
        load(machine, 'mov x0, #7\n b .+0xff0');
        machine.cpu.pc = BigInt(CODE);
        expect(createEngine(machine, engine).run(machine.cpu, limit)).toEqual({ kind: 'limit' });
        return machine;
      });
      expect(machines[1]!.cpu.steps).toBe(limit);
      expect(compareCpus(machines[0]!.cpu, machines[1]!.cpu)).toEqual([]);
    }
  });

  it('runs on when called again, also for one instruction and none', () => {
    const machine = testMachine();
    load(machine, 'mov x0, #0\n1: add x0, x0, #1\n b 1b');
    machine.cpu.pc = BigInt(CODE);
    const engine = createEngine(machine, 'interpret');
    engine.run(machine.cpu, 1001);
    expect([machine.cpu.steps, machine.cpu.readX(0), machine.cpu.pc]).toEqual([1001, 500n, BigInt(CODE + 4)]);
    engine.run(machine.cpu, 1);
    expect([machine.cpu.steps, machine.cpu.readX(0)]).toEqual([1002, 501n]);
    engine.run(machine.cpu, 0);
    expect(machine.cpu.steps).toBe(1002);
  });

  it('gives a machine without room for its records a reason', () => {
    const machine = testMachine({ memoryLimit: 0x140000 });
    load(machine, 'b .');
    machine.cpu.pc = BigInt(CODE);
    expect(createEngine(machine, 'interpret').run(machine.cpu, 100).kind).toBe('halted');
  });
});

describe('code that changes', () => {
  // x1: where the instruction is; w2: what is written there before it runs again.
  const PATCHED = `
      mov x3, #0
      mov x4, #0
   1: add x4, x4, #1
   2: mov x0, #1
      add x3, x3, x0
      str w2, [x1]
      cmp x4, #3
      b.ne 1b
      svc #0
  `;
  const MOV_X0_16 = 0xd2800200n;

  it('is seen at once: written by the program where it executes', () => {
    const { machine, cpu, tables } = mappedMachine();
    tables.mapRange(CODE, 0x1000, D.user);
    load(machine, PATCHED);
    cpu.writeX(1, BigInt(CODE + 12));
    cpu.writeX(2, MOV_X0_16);
    runAt(machine);
    expect([classOf(cpu), cpu.readX(3)]).toEqual([SVC, 33n]);
  });

  it.each([
    ['add x3, x3, #5\n add x5, x5, #7', [15n, 21n]],
    ['cmp x4, #2\n b.hs 3f', [2n, 0n]],
    ['cmp x4, #0\n b.eq 3f', [0n, 0n]],
    ['adrp x3, .\n add x5, x3, #7', [BigInt(CODE), BigInt(CODE) + 7n]],
  ])('leaves what is before it as it was: %s', (before, result) => {
    const { machine, cpu, tables } = mappedMachine();
    tables.mapRange(CODE, 0x1000, D.user);
    load(
      machine,
      `
      mov x3, #0
      mov x4, #0
      mov x5, #0
   1: ${before}
      mov x0, #1
      adr x1, 1b
      str w2, [x1, #8]
   2: add x4, x4, #1
      cmp x4, #3
      b.ne 1b
      svc #0
   3: mov x3, x4
      svc #0
  `,
    );
    cpu.writeX(2, MOV_X0_16);
    runAt(machine);
    expect([classOf(cpu), cpu.readX(3), cpu.readX(5)]).toEqual([SVC, ...result]);
  });

  it('is seen through another mapping of the same memory', () => {
    const { machine, cpu, tables } = mappedMachine();
    tables.map(DATA + 0x20000, CODE, D.user);
    load(machine, PATCHED);
    cpu.writeX(1, BigInt(DATA + 0x20000 + 12));
    cpu.writeX(2, MOV_X0_16);
    runAt(machine);
    expect([classOf(cpu), cpu.readX(3)]).toEqual([SVC, 33n]);
  });

  it('is seen though the other mapping was written through before it was code', () => {
    const { machine, cpu, tables } = mappedMachine();
    tables.map(DATA + 0x20000, CODE + 0x1000, D.user);
    load(machine, `str w2, [x1]\n mov x3, #0\n b .+0xff8`);
    load(machine, PATCHED, CODE + 0x1000);
    cpu.writeX(1, BigInt(DATA + 0x20000 + 12));
    cpu.writeX(2, 0xd2800040n);
    const { engine } = runAt(machine);
    expect([classOf(cpu), cpu.readX(3)]).toEqual([SVC, 6n]);
    cpu.writeX(2, MOV_X0_16);
    runAt(machine, 1000, engine);
    expect(cpu.readX(3)).toBe(48n);
  });

  it('is seen when tags are written that lie where it is', () => {
    const { machine, cpu, tables } = mappedMachine();
    // The tag storage of DATA executes; four tag stores make "mov x0, #16" out of what is there.
    const storage = TAGS + (DATA - 0x40000000) / 32;
    tables.map(storage, storage, D.user);
    load(machine, 'mov x0, #1\n ret', storage);
    load(
      machine,
      `
      blr x9
      mov x5, x0
      mov x6, #0
   1: and x7, x2, #15
      add x8, x1, x6, lsl #4
      bfi x8, x7, #56, #4
      stg x8, [x8]
      lsr x2, x2, #4
      add x6, x6, #1
      cmp x6, #8
      b.ne 1b
      blr x9
      svc #0
    `,
    );
    cpu.writeX(1, BigInt(DATA));
    cpu.writeX(2, MOV_X0_16);
    cpu.writeX(9, BigInt(storage));
    runAt(machine);
    expect([classOf(cpu), cpu.readX(5), cpu.readX(0)]).toEqual([SVC, 1n, 16n]);
  });

  it.each([
    ['a word', (machine: Machine) => machine.memory.write32(PA(CODE), 0xd2800200)],
    ['a page', (machine: Machine) => machine.memory.copy(PA(CODE), PA(CODE + 0x1000), 0x1000)],
    ['bytes', (machine: Machine) => machine.memory.writeBytes(PA(CODE), Uint8Array.of(0, 2))],
    ['fill', (machine: Machine) => machine.memory.fill(PA(CODE), 0x1000, 0)],
  ])('is seen when the kernel writes %s', (what, write) => {
    const { machine, cpu } = mappedMachine();
    load(machine, 'mov x0, #1\n svc #0');
    load(machine, 'mov x0, #16\n svc #0', CODE + 0x1000);
    const { engine } = runAt(machine);
    expect([classOf(cpu), cpu.readX(0)]).toEqual([SVC, 1n]);
    write(machine);
    runAt(machine, 1000, engine);
    expect(what === 'fill' ? classOf(cpu) : Number(cpu.readX(0))).toBe(what === 'fill' ? 0 : 16);
  });

  it('is seen in the second instruction of two that run as one', () => {
    const { machine, cpu } = mappedMachine();
    load(machine, 'mov x0, #5\n1: subs x0, x0, #1\n b.ne 1b\n svc #0');
    for (const [limit, place] of [
      [1, 4],
      [2, 8],
      [3, 4],
      [4, 8],
    ] as const) {
      runAt(machine, limit);
      expect(cpu.pc).toBe(BigInt(CODE + place));
    }
    const { engine } = runAt(machine);
    expect([classOf(cpu), cpu.readX(0)]).toEqual([SVC, 0n]);
    // b.ne becomes b.eq: out after one round.
    machine.memory.write32(PA(CODE + 8), machine.memory.read32(PA(CODE + 8)) & ~1);
    runAt(machine, 1000, engine);
    expect([classOf(cpu), cpu.readX(0)]).toEqual([SVC, 4n]);
  });

  it('is seen when a page table entry leads elsewhere', () => {
    const { machine, cpu, tables } = mappedMachine();
    load(machine, 'mov x0, #1\n svc #0');
    load(machine, 'mov x0, #2\n svc #0', CODE + 0x1000);
    const { engine } = runAt(machine);
    tables.map(CODE, CODE + 0x1000, D.user | D.readOnly);
    cpu.mmu.flushRange(BigInt(CODE), 4096);
    runAt(machine, 1000, engine);
    expect(cpu.readX(0)).toBe(2n);
    tables.map(CODE, CODE + 0x1000, D.user | D.readOnly | D.uxn);
    cpu.mmu.flushRange(BigInt(CODE), 4096);
    runAt(machine, 1000, engine);
    expect(classOf(cpu)).toBe(0x20);
  });

  it('is ordinary memory again after many writes', () => {
    const { machine, cpu, tables } = mappedMachine();
    tables.mapRange(CODE, 0x1000, D.user);
    load(
      machine,
      'add x1, x1, #2048\n mov x0, #0\n1: str x0, [x1]\n add x0, x0, #1\n cmp x0, x2\n b.ne 1b\n svc #0',
    );
    cpu.writeX(1, BigInt(CODE));
    cpu.writeX(2, 5000n);
    const { engine } = runAt(machine);
    expect(classOf(cpu)).toBe(SVC);
    expect(machine.memory.read64(PA(CODE + 2048))).toBe(4999n);
    // Neither all evaluated nor decoded again each time.
    const { evaluated, decoded } = (engine as Interpreter).statistics;
    expect(evaluated).toBeGreaterThan(1000);
    expect(decoded).toBeLessThan(1000);
  });
});

describe('what the interpreter keeps', () => {
  it('is bounded however much code there is, and is right after it was dropped', () => {
    const machine = testMachine({ banks: [{ base: 0x40000000, size: 0x4000000 }] });
    // 3000 pages, each: count, go to the next.
    const pages = 3000;
    for (let i = 0; i < pages; i++) {
      load(
        machine,
        i < pages - 1 ? 'add x0, x0, #1\n b .+0xffc' : 'add x0, x0, #1\n b .',
        0x40100000 + i * 4096,
      );
    }
    const engine = createEngine(machine, 'interpret');
    const before = machine.linear.allocated;
    for (let round = 1; round <= 3; round++) {
      machine.cpu.pc = 0x40100000n;
      engine.run(machine.cpu, 2 * pages);
      expect(machine.cpu.readX(0)).toBe(BigInt(round * pages));
    }
    expect(machine.linear.allocated - before).toBeLessThan(40 * 2 ** 20);
  });

  it('is not without entries for a page whose places in both TLBs others have taken', () => {
    const { machine, cpu, tables } = mappedMachine();
    tables.mapRange(CODE, 0x1000, D.user);
    // Places in the first and in the second level: A (16, 4), B (16, 16), C (4, 4), another C (1, 4).
    const [a, b, c, other] = [0x10000000, 0x1_0001_0000, 0x1_0000_4000, 0x1_0400_5000];
    [a, b, c, other].forEach((va, i) => {
      tables.map(va, DATA + 0x1000 * i, D.user);
      cpu.writeX(10 + i, BigInt(va));
    });
    load(
      machine,
      `
        .irp where, 10, 11, 12, 10, 11, 13
        str x0, [x\\where]
        .endr
        mov x0, #5000
     1: str x0, [x10]
        subs x0, x0, #1
        b.ne 1b
        svc #0`,
    );
    const { engine } = runAt(machine);
    expect(classOf(cpu)).toBe(SVC);
    expect((engine as Interpreter).statistics.evaluated).toBeLessThan(100);
  });

  it('serves CPUs apart', () => {
    const machine = testMachine({ cpus: 3 });
    load(machine, 'mrs x1, mpidr_el1\n add x0, x0, #1\n str x0, [x2]\n b .-8');
    const engine = createEngine(machine, 'interpret');
    machine.cpus.forEach((cpu, i) => {
      cpu.pc = BigInt(CODE);
      cpu.writeX(0, BigInt(1000 * i));
      cpu.writeX(2, BigInt(DATA + 8 * i));
    });
    for (let turn = 0; turn < 4; turn++) for (const cpu of machine.cpus) engine.run(cpu, 100 + turn);
    machine.cpus.forEach((cpu, i) => {
      expect(cpu.steps).toBe(406);
      expect(cpu.readX(0)).toBe(BigInt(1000 * i + 135));
      expect(machine.memory.read64(PA(DATA + 8 * i))).toBe(BigInt(1000 * i + 135));
    });
  });
});

describe('context', () => {
  it('follows a change of level, of tables and of tag checks inside one run', () => {
    const run = (engine: string) => {
      const machine = testMachine({ hasEl2: false, hasEl3: false });
      const tables = new Tables(machine);
      tables.mapRange(CODE, 0x4000, 0n);
      tables.map(CODE + 0x4000, CODE + 0x4000, D.user);
      tables.mapRange(DATA, 0x2000, D.user | D.tagged);
      const { cpu } = machine;
      cpu.writeRegister('mair_el1', MAIR);
      cpu.writeRegister('tcr_el1', TCR_39);
      cpu.writeRegister('ttbr0_el1', BigInt(tables.root));
      // EL1 sets translation and checks up, goes to EL0, which stores with a wrong tag and calls.
      load(
        machine,
        `
        msr vbar_el1, x1
        msr sctlr_el1, x2
        isb
        str x0, [x5]
        msr elr_el1, x3
        msr spsr_el1, xzr
        eret
        .org 0x2400
        mrs x10, esr_el1
        mrs x11, far_el1
        mrs x12, elr_el1
        add x12, x12, #4
        msr elr_el1, x12
        add x13, x13, #1
        cmp x13, #2
        b.eq 1f
        eret
     1: b .
      `,
      );
      load(machine, 'str x0, [x5]\n svc #3\n b .', CODE + 0x4000);
      cpu.writeX(1, BigInt(CODE + 0x2000));
      cpu.writeX(2, SCTLR_ON | TCF0(1));
      cpu.writeX(3, BigInt(CODE + 0x4000));
      cpu.writeX(5, BigInt(DATA) | (5n << 56n));
      cpu.pc = BigInt(CODE);
      createEngine(machine, engine).run(cpu, 60);
      return cpu;
    };
    const [evaluated, interpreted] = [run('evaluate'), run('interpret')];
    expect(interpreted.readX(13)).toBe(2n);
    expect(interpreted.readX(11)).toBe(BigInt(DATA) | (5n << 56n));
    expect(interpreted.readX(10) >> 26n).toBe(0x15n);
    expect(compareCpus(evaluated, interpreted)).toEqual([]);
  });
});
