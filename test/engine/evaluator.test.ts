import { describe, expect, it } from 'vitest';
import { PA } from '../../src/base/index.js';
import { createEngine, Evaluator, type TraceStep } from '../../src/engine/index.js';
import { CODE, D, DATA, load, mappedMachine, runBare, runUnder, testMachine } from '../machine/support.js';

describe('the evaluator', () => {
  it('counts instructions exactly, and stops at the limit', () => {
    const machine = testMachine();
    load(machine, 'mov x0, #0\n1: add x0, x0, #1\n b 1b');
    machine.cpu.pc = BigInt(CODE);
    const engine = createEngine(machine, 'auto');
    expect(engine.run(machine.cpu, 1001)).toEqual({ kind: 'limit' });
    expect(machine.cpu.steps).toBe(1001);
    expect(machine.cpu.readX(0)).toBe(500n);
    expect(machine.cpu.pc).toBe(BigInt(CODE + 4));
    expect(engine.run(machine.cpu, 1)).toEqual({ kind: 'limit' });
    expect([machine.cpu.steps, machine.cpu.readX(0)]).toEqual([1002, 501n]);
    expect(engine.run(machine.cpu, 0)).toEqual({ kind: 'limit' });
    expect(machine.cpu.steps).toBe(1002);
  });

  it('counts an instruction that faults', () => {
    const { machine, cpu } = mappedMachine();
    runUnder(machine, 'nop\n nop\n svc #0');
    expect(cpu.steps).toBe(3);
  });

  it('runs over page boundaries and branches across pages', () => {
    const { machine, cpu } = mappedMachine();
    const text = `
      mov x0, #0
      b 2f
      .org 0xffc
    1: add x0, x0, #1            // the last word of the page
      add x0, x0, #2
      svc #0
      .org 0x2ff0
    2: add x0, x0, #4
      b 1b
    `;
    expect(runUnder(machine, text).esr).toBe('0x56000000');
    expect(cpu.readX(0)).toBe(7n);
  });

  it('sees code that was changed: by the program, by stores through another mapping, by the kernel', () => {
    const { machine, cpu, tables } = mappedMachine();
    const alias = 0x60000000;
    tables.map(alias, CODE, D.user | D.uxn | D.pxn);
    const text = `
      mov x5, #0
    1: mov x0, #1                // replaced by mov x0, #2
      add x5, x5, x0
      cmp x0, #2
      b.eq 2f
      mov x1, #${alias}
      ldr w2, =0xd2800040
      str w2, [x1, #4]
      dsb ish
      ic ivau, x1
      isb
      b 1b
    2: svc #0
    `;
    expect(runUnder(machine, text).esr).toBe('0x56000000');
    expect(cpu.readX(5)).toBe(3n);
    machine.memory.write32(PA(CODE + 4), 0xd2800060);
    const engine = new Evaluator(machine);
    cpu.setLevel(0, 0);
    cpu.pc = BigInt(CODE + 4);
    engine.run(cpu, 1);
    machine.memory.write32(PA(CODE + 4), 0xd2800080);
    cpu.pc = BigInt(CODE + 4);
    engine.run(cpu, 1);
    expect(cpu.readX(0)).toBe(4n);
  });

  it('follows a page of code that moves in physical memory', () => {
    const { machine, cpu, tables } = mappedMachine();
    load(machine, 'mov x0, #1\n svc #0', CODE + 0x8000);
    load(machine, 'mov x0, #2\n svc #0', CODE + 0x9000);
    const page = 0x70000000;
    tables.map(page, CODE + 0x8000, D.user | D.readOnly);
    const engine = new Evaluator(machine);
    const run = () => {
      cpu.setLevel(0, 0);
      cpu.pc = BigInt(page);
      engine.run(cpu, 10);
      return cpu.readX(0);
    };
    expect(run()).toBe(1n);
    tables.map(page, CODE + 0x9000, D.user | D.readOnly);
    cpu.mmu.flushRange(BigInt(page), 4096);
    expect(run()).toBe(2n);
  });

  it('changes translation at once after MSR and ISB', () => {
    const machine = testMachine();
    // Turning translation on with a table that maps the code elsewhere: execution goes on there.
    const { machine: other, tables } = mappedMachine();
    load(other, 'mov x1, #1\n nop\n nop\n nop\n mov x1, #1\n svc #0', CODE + 0x8000);
    tables.map(CODE, CODE + 0x8000, D.readOnly);
    load(other, 'mrs x0, sctlr_el1\n orr x0, x0, #1\n msr sctlr_el1, x0\n isb\n mov x1, #2\n svc #0');
    other.cpu.setLevel(1, 1);
    other.cpu.writeRegister('sctlr_el1', other.cpu.readRegister('sctlr_el1') & ~1n);
    other.cpu.pc = BigInt(CODE);
    createEngine(other, 'auto').run(other.cpu, 100);
    expect(other.cpu.readX(1)).toBe(1n);
    expect(machine.cpu.readX(1)).toBe(0n);
  });

  it('traces steps, register changes and writes', () => {
    const { machine, cpu } = mappedMachine();
    load(machine, `mov x0, #${DATA}\n mov w1, #7\n str w1, [x0, #4]!\n subs x2, x1, #7\n svc #0`);
    cpu.setLevel(0, 0);
    cpu.pc = BigInt(CODE);
    const steps: TraceStep[] = [];
    new Evaluator(machine, { onStep: (step) => steps.push(step) }).run(cpu, 100);
    expect(steps.map((s) => s.step)).toEqual([0, 1, 2, 3, 4]);
    expect(steps.map((s) => Number(s.pc) - CODE)).toEqual([0, 4, 8, 12, 16]);
    expect(steps[2]).toMatchObject({
      insn: 0xb8004c01,
      registers: { x0: BigInt(DATA + 4) },
      memory: [{ va: BigInt(DATA + 4), bytes: 4, value: 7n }],
    });
    expect(steps[3]?.registers).toEqual({ nzcv: 6n });
  });

  it('gives the same with and without a trace', () => {
    const text = `
      mov x0, #${DATA}
      mov x1, #200
    1: str x1, [x0], #8
      mul x2, x1, x1
      eor x3, x3, x2, ror #7
      subs x1, x1, #1
      b.ne 1b
      svc #0`;
    const run = (traced: boolean) => {
      const { machine, cpu } = mappedMachine();
      load(machine, text);
      cpu.setLevel(0, 0);
      cpu.pc = BigInt(CODE);
      new Evaluator(machine, traced ? { onStep: () => {} } : {}).run(cpu, 5000);
      return [cpu.steps, cpu.readX(3), cpu.readX(0), cpu.readRegister('elr_el1')];
    };
    expect(run(true)).toEqual(run(false));
  });

  it('knows the engines by name', () => {
    const machine = testMachine();
    const names = ['evaluate', 'interpret', 'translate', 'auto'].map(
      (name) => createEngine(machine, name).name,
    );
    expect(names).toEqual(['evaluate', 'interpret', 'translate', 'translate']);
    expect(() => createEngine(machine, 'warp')).toThrow(/no engine/);
  });

  it('stops at WFI where nothing can wake the CPU', () => {
    expect(runBare(testMachine(), 'wfi\n b .')).toEqual({ kind: 'wait' });
  });
});
