/**
 * Arithmetic in regions while FPSR.IXC is not set: exact results are done there, the first inexact one sets
 * the flag at its instruction, and a region made for the one is not run in the other.
 */
import { describe, expect, it } from 'vitest';
import { compareCpus, createEngine, type Interpreter } from '../../../src/engine/index.js';
import { CODE, load, mappedMachine } from '../../machine/support.js';

const IXC = 16n;

/** Runs at EL0 until the supervisor call. */
function runUnder(name: string, source: string) {
  const { machine, cpu } = mappedMachine();
  cpu.writeRegister('cpacr_el1', 3n << 20n);
  load(machine, source);
  cpu.setLevel(0, 1);
  cpu.pc = BigInt(CODE);
  const engine = createEngine(machine, name);
  expect(engine.run(cpu, 1_000_000).kind).toBe('supervisor');
  return { cpu, engine };
}

/** Under evaluator and translator, which must agree. Gives the translator's CPU and statistics. */
function run(source: string) {
  const { cpu, engine } = runUnder('translate', source);
  expect(compareCpus(runUnder('evaluate', source).cpu, cpu)).toEqual([]);
  return { cpu, statistics: (engine as Interpreter).statistics };
}

const LOOP = `
      fmov d1, #1.0
      fmov d2, #0.5
      fmov s3, #2.0
      mov x0, #0
   1: fadd d0, d0, d1
      fmul d4, d0, d2
      fsub d5, d4, d1
      fdiv s6, s3, s3
      fmadd d7, d1, d2, d4
      add x0, x0, #1
      cmp x0, #4000
      b.ne 1b
`;

describe('arithmetic in regions', () => {
  it('is done there while all results are exact, and the flag stays clear', () => {
    const { cpu, statistics } = run(`${LOOP}\n svc #0`);
    expect(cpu.readRegister('fpsr') & IXC).toBe(0n);
    expect(statistics.translated).toBeGreaterThan(20_000);
    expect(statistics.leaves).toBeLessThan(100);
  });

  it('goes on after the first inexact result with the flag set', () => {
    const { cpu, statistics } = run(`
      ${LOOP}
      mov x0, #0
      fmov d1, #3.0
      fmov d0, #1.0
   2: fdiv d4, d0, d1
      fadd d0, d0, d4
      add x0, x0, #1
      cmp x0, #2000
      b.ne 2b
      svc #0`);
    expect(cpu.readRegister('fpsr') & IXC).toBe(IXC);
    expect(statistics.leaves).toBeLessThan(100);
  });

  it('sees the flag cleared and set again inside of a loop', () => {
    const { cpu, statistics } = run(`
      fmov d1, #3.0
      fmov d0, #1.0
      mov x0, #0
      mov x2, #0
   1: fdiv d4, d0, d1
      mrs x1, fpsr
      add x2, x2, x1
      tst x0, #255
      b.ne 2f
      msr fpsr, xzr
   2: fadd d5, d0, d0
      mrs x1, fpsr
      add x2, x2, x1
      add x0, x0, #1
      cmp x0, #4000
      b.ne 1b
      svc #0`);
    // The flag is clear after each of the 16 clears until the division that follows.
    expect(cpu.readX(2)).toBe(IXC * (2n * 4000n - 16n));
    expect(statistics.translated).toBeGreaterThan(10_000);
  });

  it('counts conversions as arithmetic', () => {
    const { cpu, statistics } = run(`
      fmov d0, #1.5
      mov x0, #0
      mov x2, #0
   1: scvtf d1, x0
      fcvtzs x1, d1
      add x2, x2, x1
      cmp x0, #3000
      b.ne 2f
      fcvtzs x1, d0
   2: frintx d3, d1
      add x0, x0, #1
      cmp x0, #4000
      b.ne 1b
      svc #0`);
    expect(cpu.readRegister('fpsr') & IXC).toBe(IXC);
    expect(cpu.readX(2)).toBe((4000n * 3999n) / 2n);
    expect(statistics.leaves).toBeLessThan(200);
  });
});
