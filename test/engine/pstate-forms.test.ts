/**
 * PSTATE, the counter, cache maintenance, FPCR and unprivileged accesses in generated code: what they do to
 * the instructions behind them, step by step as in the evaluator, and that they do not leave generated code.
 */
import { describe, expect, it } from 'vitest';
import { PA } from '../../src/base/index.js';
import { compareCpus, createEngine, type Interpreter } from '../../src/engine/index.js';
import type { Machine } from '../../src/machine/index.js';
import { CODE, D, DATA, load, mappedMachine, SCTLR_ON, type Tables, TCF, TCF0 } from '../machine/support.js';

const TAG3 = 3n << 56n;
const USER_PAGE = DATA + 0x8000;

interface Setup {
  readonly source: string;
  readonly prepare?: (machine: Machine, tables: Tables) => void;
  readonly steps?: number;
}

function runUnder(name: string, { source, prepare, steps = 100_000 }: Setup) {
  const { machine, cpu, tables } = mappedMachine();
  tables.mapRange(DATA, 0x8000, D.tagged);
  tables.mapRange(USER_PAGE, 0x1000, D.user | D.tagged);
  machine.memory.fillTags(PA(DATA), 0x9000, 3);
  cpu.writeRegister('sctlr_el1', SCTLR_ON | TCF(1) | TCF0(1) | (1n << 42n) | (1n << 43n));
  cpu.writeRegister('cpacr_el1', 3n << 20n);
  load(machine, source);
  cpu.setLevel(1, 1);
  cpu.pstate.tco = 0;
  cpu.pstate.pan = 0;
  cpu.pstate.daif = 0xf;
  cpu.pc = BigInt(CODE);
  cpu.writeX(1, BigInt(DATA) | TAG3);
  cpu.writeX(2, BigInt(USER_PAGE) | TAG3);
  cpu.sp = (BigInt(DATA) + 0x4000n) | TAG3;
  prepare?.(machine, tables);
  const engine = createEngine(machine, name);
  const stop = engine.run(cpu, steps);
  return { machine, cpu, engine, stop };
}

/** The same under the evaluator and an engine, to be equal; gives the engine's. */
function same(name: string, setup: Setup) {
  const wanted = runUnder('evaluate', setup);
  const found = runUnder(name, setup);
  expect(compareCpus(wanted.cpu, found.cpu)).toEqual([]);
  expect(found.stop).toEqual(wanted.stop);
  expect(found.cpu.steps).toBe(wanted.cpu.steps);
  expect(found.cpu.tagChecks).toBe(wanted.cpu.tagChecks);
  expect(found.machine.memory.maintenance).toEqual(wanted.machine.memory.maintenance);
  return { ...found, statistics: (found.engine as Interpreter).statistics };
}

const loop = (body: string, rounds = 1000) =>
  `mov x0, #0\n1: ${body}\nadd x0, x0, #1\ncmp x0, #${rounds}\nb.ne 1b\nbrk #0`;

describe.each(['interpret', 'translate'])('under %s', (name) => {
  it.each([
    ['DAIF', 'msr daifset, #3; mrs x3, daif; msr daifclr, #2; mrs x4, daif; msr daif, x3; msr daif, x4'],
    [
      'SSBS and DIT',
      'msr ssbs, #1; mrs x3, ssbs; msr dit, #1; mrs x4, dit; msr ssbs, x4; msr dit, xzr; mrs x5, ssbs',
    ],
    [
      'the counter',
      'mrs x3, cntvct_el0; add x4, x4, x3; nop; mrs x5, cntvct_el0; sub x5, x5, x3; add x6, x6, x5',
    ],
    [
      'the timer and registers of a switch',
      'mrs x3, cntv_ctl_el0; eor x4, x4, x3; mrs x3, midr_el1; add x4, x4, x3; msr contextidr_el1, x4; mrs x5, contextidr_el1; msr gcr_el1, x4; mrs x6, gcr_el1',
    ],
    ['CTR', 'mrs x3, ctr_el0; add x4, x4, x3'],
    ['maintenance', 'dc cvac, x1; dc cvau, x1; ic ivau, x1; dc civac, x2; dc cigdvac, x2; dc cgvac, x1'],
    ['the generic key', 'pacga x3, x0, x1; eor x4, x4, x3; and x5, x0, #7; pacga x3, x5, x1; eor x4, x4, x3'],
    [
      'unprivileged accesses',
      'ldtr x3, [x2]; add x3, x3, x0; sttr x3, [x2, #8]; ldtrsb w4, [x2, #9]; sttrh w3, [x2, #3]',
    ],
  ])('%s in a loop', (_, body) => {
    const { statistics } = same(name, { source: loop(body.replaceAll(';', '\n')) });
    // New keys of pointer authentication, and new pages.
    expect(statistics.evaluated).toBeLessThan(60);
    if (name === 'translate') expect(statistics.leaves).toBeLessThan(60);
  });

  it('a timer that becomes due is seen to be', () => {
    const source = `
      mrs x3, cntvct_el0
      add x3, x3, #4095
      msr cntv_cval_el0, x3
      mov x4, #3
      msr cntv_ctl_el0, x4
   1: mrs x5, cntv_ctl_el0
      add x0, x0, #1
      tbz x5, #2, 1b
      mov x4, #1
      msr cntv_ctl_el0, x4
   2: add x6, x6, #1
      cmp x6, #2000
      b.ne 2b
      brk #0`;
    const { cpu } = same(name, { source });
    expect(cpu.readX(0)).toBeGreaterThan(1000n);
    expect(cpu.readX(6)).toBe(2000n);
  });

  it('TCO switches tag checks, and they stay in generated code', () => {
    // The second load has another tag than memory.
    const body = 'ldr x3, [x1]\nmsr tco, #1\nldr x4, [x5]\nldr x3, [x5, #8]\nmsr tco, #0\nldr x3, [x1, #16]';
    const { statistics, cpu } = same(name, {
      source: `eor x5, x1, #0x100000000000000\n${loop(body)}`,
    });
    expect(cpu.pstate.tco).toBe(1);
    expect(cpu.tagChecks).toBe(2000);
    expect(statistics.evaluated).toBeLessThan(20);
  });

  it('TCO by register, and a fault behind it', () => {
    const body =
      'mov x6, #0x2000000\nmsr tco, x6\nldr x4, [x5]\nmrs x7, tco\nmsr tco, xzr\ncmp x0, #700\nb.eq 2f';
    const source = `eor x5, x1, #0x100000000000000\n${loop(body)}\n2: ldr x4, [x5]\nbrk #1`;
    const { cpu } = same(name, { source });
    // A synchronous tag check fault at EL1.
    expect(cpu.readRegister('esr_el1') & 0x3fn).toBe(0x11n);
  });

  it('unmasking lets an interrupt in at the next instruction', () => {
    for (const unmask of ['msr daifclr, #2', 'msr daif, xzr']) {
      const source = loop(`nop\ncmp x0, #600\nb.ne 2f\n${unmask}\n2: nop\nmsr daifset, #15`);
      const prepare = ({ cpu }: Machine) => cpu.setInterruptLines(true, false);
      const { cpu } = same(name, { source, prepare });
      expect(cpu.vectorOffset).toBe(0x280);
      expect(cpu.readX(0)).toBe(600n);
    }
  });

  it('FPCR changes what the instructions behind it do', () => {
    const body =
      'msr fpcr, x8\nfdiv d3, d1, d2\nmsr fpcr, x9\nfdiv d4, d1, d2\nmsr fpcr, xzr\nfdiv d5, d1, d2\nfmul d6, d1, d7';
    const setup =
      'fmov d1, #1.0\nfmov d2, #3.0\nmov x8, #0x400000\nmov x9, #0x1800000\nmov x10, #8\nfmov d7, x10';
    const { cpu, statistics } = same(name, { source: `${setup}\n${loop(body)}` });
    expect(cpu.readV(3)).toBe(cpu.readV(5) + 1n);
    expect(statistics.evaluated).toBeLessThan(20);
  });

  it('an unprivileged access has the permissions and the checks of EL0', () => {
    // A page of EL1, and a wrong tag.
    for (const base of ['x1', 'x5']) {
      const source = `eor x5, x2, #0x100000000000000\n${loop('ldtr x3, [x2]')}\n`.replace(
        'brk #0',
        `ldtr x4, [${base}]`,
      );
      const { cpu } = same(name, { source });
      expect(cpu.readRegister('esr_el1') >> 26n).toBe(0x25n);
      expect(cpu.readRegister('far_el1') & 0xffff_ffffn).toBe(BigInt(base === 'x1' ? DATA : USER_PAGE));
    }
  });

  it('ERET goes on at EL0, and comes back', () => {
    const source = `
      mov x0, #0
      msr spsr_el1, xzr
      adr x6, 2f
      msr elr_el1, x6
      eret
      .balign 4096
   2: add x0, x0, #1
      cmp x0, #500
      b.ne 2b
      svc #1`;
    const user = (_: Machine, tables: Tables) => tables.mapRange(CODE + 0x1000, 0x1000, D.user);
    const { cpu } = same(name, { source, prepare: user });
    expect(cpu.readX(0)).toBe(500n);
  });
});
