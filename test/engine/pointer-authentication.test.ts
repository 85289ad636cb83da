/**
 * Pointer authentication in generated code: what it adds, checks and strips is what the evaluator does, whichever
 * keys are on, whatever the pointer; and calls that repeat do not need the evaluator.
 */
import { describe, expect, it } from 'vitest';
import { DEFAULT_FEATURES, SCTLR } from '../../isa/index.js';
import { PA, Random } from '../../src/base/index.js';
import { compareCpus, createEngine, type Interpreter } from '../../src/engine/index.js';
import { CODE, D, DATA, load, mappedMachine, SCTLR_ON, TCR_39 } from '../machine/support.js';

const KEYS = [SCTLR.EnIA, SCTLR.EnIB, SCTLR.EnDA, SCTLR.EnDB];

/** `keys`: bits of KEYS that are on. `tbid`: top bytes count in instruction addresses. */
function authenticatingMachine(name: string, keys: number, tbid: boolean) {
  const { machine, cpu, tables } = mappedMachine({ features: [...DEFAULT_FEATURES, 'FEAT_PAuth'] });
  tables.mapRange(DATA, 0x10000, D.user);
  let sctlr = SCTLR_ON;
  KEYS.forEach((bit, i) => {
    if ((keys & (1 << i)) !== 0) sctlr |= 1n << BigInt(bit);
  });
  cpu.writeRegister('sctlr_el1', sctlr);
  cpu.writeRegister('tcr_el1', TCR_39 | (tbid ? 1n << 51n : 0n));
  const random = new Random(3, 'keys');
  for (const key of ['ia', 'ib', 'da', 'db', 'ga']) {
    for (const half of ['hi', 'lo']) cpu.writeRegister(`ap${key}key${half}_el1`, random.u64());
  }
  return { machine, cpu, engine: createEngine(machine, name) };
}

const OPERATIONS = [
  ...['pacia', 'pacib', 'pacda', 'pacdb', 'autia', 'autib', 'autda', 'autdb'].map((op) => `${op} x0, x1`),
  ...['paciza', 'pacdzb', 'autiza', 'autdzb', 'xpaci', 'xpacd'].map((op) => `${op} x0`),
  'pacga x0, x1, x2',
  ...['paciasp', 'autiasp', 'pacibsp', 'autibsp', 'paciaz', 'autiaz', 'pacia1716', 'autib1716', 'xpaclri'],
];

describe.each(['interpret', 'translate'])('pointer authentication under %s', (name) => {
  it.each([
    [15, false],
    [15, true],
    [0, false],
    [6, false],
  ])('keys %i on, TBID %s: what the evaluator does', (keys, tbid) => {
    const sides = ['evaluate', name].map((engine) => authenticatingMachine(engine, keys, tbid));
    for (const { machine } of sides) {
      load(machine, OPERATIONS.map((text) => `${text}\n nop`).join('\n'));
    }
    const random = new Random(keys, 'pointers');
    const wrong: unknown[] = [];
    const pointers = [0x12345678n, 0x7f_ffff_fff8n, 0xffff_ff80_0000_1000n, 0x5500_0000_1234_5678n];
    for (let round = 0; round < 60; round++) {
      const known = pointers[round % pointers.length]!;
      const pointer = round < 40 ? known + BigInt(8 * random.below(4)) : random.u64();
      OPERATIONS.forEach((text, i) => {
        // Twice: the second time the code is known. And what was signed is checked.
        let signed: bigint | undefined;
        for (const again of [0, 1, 2]) {
          const value = again === 2 ? (signed ?? pointer) : pointer;
          const at = again === 2 && /^pac[id]/.test(text) ? i + 4 * Number(i < 4) : i;
          for (const { cpu, engine } of sides) {
            cpu.setLevel(round & 1 ? 1 : 0, 1);
            cpu.pc = BigInt(CODE + 8 * at);
            cpu.sp = BigInt(DATA + 0x8000 + 16 * (round % 3));
            for (const register of [0, 17, 30]) cpu.writeX(register, value);
            for (const register of [1, 16]) cpu.writeX(register, BigInt(round % 3));
            engine.run(cpu, 2);
          }
          signed ??= sides[0]!.cpu.readX(0);
          const differences = compareCpus(sides[0]!.cpu, sides[1]!.cpu);
          if (differences.length > 0) wrong.push({ text, pointer, again, differences });
        }
      });
    }
    expect(wrong).toEqual([]);
  });

  it('is done without the evaluator where calls repeat, and follows a change of key', () => {
    const [reference, other] = ['evaluate', name].map((engine) =>
      authenticatingMachine(engine, 15, false),
    ) as [ReturnType<typeof authenticatingMachine>, ReturnType<typeof authenticatingMachine>];
    for (const { machine, cpu, engine } of [reference, other]) {
      load(
        machine,
        `
        1: bl 2f
           add x5, x5, x30
           subs x10, x10, #1
           b.ne 1b
           svc #0
        2: paciasp
           eor x6, x6, x30
           stp x29, x30, [sp, #-16]!
           ldp x29, x30, [sp], #16
           autiasp
           pacda x7, x10
           ret`,
      );
      for (const key of [1n, 2n]) {
        cpu.setLevel(1, 1);
        cpu.writeRegister('apiakeylo_el1', key);
        cpu.setLevel(0, 1);
        cpu.pc = BigInt(CODE);
        cpu.sp = BigInt(DATA + 0x8000);
        cpu.writeX(10, 1000n);
        cpu.writeX(7, 0x1000n);
        expect(engine.run(cpu, 100_000).kind).toBe('supervisor');
      }
    }
    expect(compareCpus(reference.cpu, other.cpu)).toEqual([]);
    expect(other.machine.memory.read64(PA(DATA + 0x7ff8))).toBe(
      reference.machine.memory.read64(PA(DATA + 0x7ff8)),
    );
    // PACDA has another modifier every time.
    expect((other.engine as Interpreter).statistics.evaluated).toBeLessThan(2 * 1000 + 50);
    expect((other.engine as Interpreter).statistics.evaluated).toBeGreaterThan(1000);
  });
});
