/**
 * Access to floating point and SIMD: which control traps it at which level, with which syndrome, before
 * what else; and loads and stores of V registers where they cross tags, pages and permissions.
 */
import { describe, expect, it } from 'vitest';
import { DEFAULT_FEATURES, FP_FEATURES } from '../../isa/index.js';
import { PA } from '../../src/base/index.js';
import { createEngine } from '../../src/engine/index.js';
import type { Cpu, Machine } from '../../src/machine/index.js';
import { CODE, D, DATA, load, mappedMachine, runUnder, SCTLR_ON, TCF, TCF0, testMachine } from './support.js';

const features = [...new Set([...DEFAULT_FEATURES, ...FP_FEATURES])];
/** EC 0x07, IL, CV and COND = 0b1110. */
const TRAPPED = '0x1fe00000';
const fpen = (value: bigint) => (cpu: Cpu) => cpu.writeRegister('cpacr_el1', value << 20n);

const INSTRUCTIONS = [
  'fadd d0, d1, d2',
  'fmov x0, d0',
  'fcmp s0, s1',
  'ldr q0, [x1]',
  'stp d0, d1, [sp]',
  'mrs x0, fpcr',
  'msr fpsr, x0',
];

describe('CPACR_EL1.FPEN', () => {
  it.each(INSTRUCTIONS)('traps %s', (instruction) => {
    for (const [value, el, traps] of [
      [0n, 0, true],
      [0n, 1, true],
      [1n, 0, true],
      [1n, 1, false],
      [2n, 0, true],
      [2n, 1, true],
      [3n, 0, false],
      [3n, 1, false],
    ] as const) {
      const { machine } = mappedMachine({ features });
      const text = `mov x1, #${DATA}\n${instruction}\nsvc #0`;
      const { esr, elr } = runUnder(machine, text, { el, setup: fpen(value) });
      const expected = traps ? TRAPPED : '0x56000000';
      expect([value, el, esr]).toEqual([value, el, expected]);
      if (traps) expect(elr).toBe(`0x${(CODE + 4).toString(16)}`);
    }
  });

  it('comes before an SP alignment fault and before any access', () => {
    const { machine } = mappedMachine({ features });
    const setup = (cpu: Cpu) => {
      fpen(0n)(cpu);
      cpu.sp = 0x1001n;
    };
    expect(runUnder(machine, 'ldr d0, [sp]', { setup }).esr).toBe(TRAPPED);
  });

  it('does not matter where the machine has no floating point: the words are undefined', () => {
    const { machine } = mappedMachine({
      features: DEFAULT_FEATURES.filter((f) => !FP_FEATURES.includes(f)),
    });
    for (const instruction of INSTRUCTIONS) {
      expect(runUnder(machine, instruction, { setup: fpen(0n) }).esr).toBe('0x2000000');
    }
  });
});

/** Runs one instruction at a level of a machine with all of them; gives the level and class it traps to. */
function trapOf(setup: (cpu: Cpu) => void, el: 0 | 1 | 2 | 3): string {
  const machine: Machine = testMachine({ features });
  load(machine, 'fadd d0, d1, d2');
  const { cpu } = machine;
  for (const n of [1, 2, 3]) cpu.writeRegister(`vbar_el${n}`, BigInt(CODE + 0x1000 * n));
  cpu.writeRegister('hcr_el2', 1n << 31n);
  cpu.writeRegister('scr_el3', 0x401n);
  fpen(3n)(cpu);
  cpu.writeRegister('cptr_el2', 0x33ffn);
  setup(cpu);
  cpu.setLevel(el, 1);
  cpu.pc = BigInt(CODE);
  createEngine(machine, 'evaluate').run(cpu, 1);
  if (cpu.pc === BigInt(CODE + 4)) return 'none';
  const target = cpu.pstate.el;
  return `EL${target} ${(cpu.readRegister(`esr_el${target}`) >> 26n).toString(16)}`;
}

describe('traps to EL2 and EL3', () => {
  it('follow CPTR_EL2.TFP below and at EL2', () => {
    const tfp = (cpu: Cpu) => cpu.writeRegister('cptr_el2', 0x37ffn);
    expect([0, 1, 2, 3].map((el) => trapOf(tfp, el as 0))).toEqual(['EL2 7', 'EL2 7', 'EL2 7', 'none']);
  });

  it('follow CPTR_EL3.TFP everywhere', () => {
    const tfp = (cpu: Cpu) => cpu.writeRegister('cptr_el3', 1n << 10n);
    expect([0, 1, 2, 3].map((el) => trapOf(tfp, el as 0))).toEqual(['EL3 7', 'EL3 7', 'EL3 7', 'EL3 7']);
  });

  it('come after CPACR_EL1, which with TGE makes the instruction unknown to EL2', () => {
    const both = (cpu: Cpu) => {
      fpen(0n)(cpu);
      cpu.writeRegister('cptr_el3', 1n << 10n);
    };
    expect([trapOf(both, 0), trapOf(both, 1), trapOf(both, 2)]).toEqual(['EL1 7', 'EL1 7', 'EL3 7']);
    const tge = (cpu: Cpu) => {
      fpen(0n)(cpu);
      cpu.writeRegister('hcr_el2', (1n << 31n) | (1n << 27n));
    };
    expect(trapOf(tge, 0)).toBe('EL2 0');
  });
});

describe('FPCR', () => {
  it('keeps AHP, DN, FZ, RMode and FZ16, and nothing else', () => {
    const { cpu } = testMachine({ features });
    cpu.writeRegister('fpcr', -1n);
    expect(cpu.readRegister('fpcr')).toBe(0x07c80000n);
    cpu.writeRegister('fpsr', -1n);
    expect(cpu.readRegister('fpsr')).toBe(0x0800009fn);
  });
});

describe('V registers in memory', () => {
  const V = (cpu: Cpu) => {
    fpen(3n)(cpu);
    for (let n = 0; n < 4; n++) cpu.writeV(n, BigInt(n + 1) * 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10n);
  };

  it('are stored and loaded at any alignment, over granules and pages', () => {
    for (const offset of [0, 1, 7, 8, 15, 0xff1, 0xff8, 0xfff]) {
      const { machine, cpu } = mappedMachine({ features });
      const text = `
        stp q1, q2, [x0]
        ldr q3, [x0, #16]
        ldp d4, d5, [x0]
        ldr b6, [x0, #31]
        svc #0`;
      const setup = (c: Cpu) => {
        V(c);
        c.writeX(0, BigInt(DATA + offset));
      };
      expect(runUnder(machine, text, { setup }).esr).toBe('0x56000000');
      expect(cpu.readV(3)).toBe(cpu.readV(2));
      expect(cpu.readV(4)).toBe(BigInt.asUintN(64, cpu.readV(1)));
      expect(cpu.readV(5)).toBe(cpu.readV(1) >> 64n);
      expect(cpu.readV(6)).toBe(cpu.readV(2) >> 120n);
    }
  });

  it('store nothing where the second of a pair cannot be', () => {
    const { machine, tables } = mappedMachine({ features });
    tables.map(DATA + 0x1000, DATA + 0x1000, D.user | D.readOnly | D.tagged);
    const setup = (c: Cpu) => {
      V(c);
      c.writeX(0, BigInt(DATA + 0xff0));
    };
    const taken = runUnder(machine, 'stp q1, q2, [x0]', { setup });
    expect([taken.esr, taken.far]).toEqual(['0x9200004f', `0x${(DATA + 0x1000).toString(16)}`]);
    expect(machine.memory.readBytes(PA(DATA + 0xff0), 16)).toEqual(new Uint8Array(16));
  });

  it.each([
    ['ldr q0, [x0]', 0],
    ['ldr q0, [x0]', 8],
    ['ldp q0, q1, [x0]', 0],
    ['stp q0, q1, [x0]', -16],
    ['str q0, [x0]', 1],
    ['ldr d0, [x0]', 12],
  ])('%s at offset %i checks the tag of every granule', (instruction, offset) => {
    const { machine } = mappedMachine({ features });
    // Granules around DATA + 0x100 have tag 3, one of them another.
    for (let at = -0x20; at < 0x40; at += 16) {
      machine.memory.writeTag(PA(DATA + 0x100 + at), 3);
    }
    const base = BigInt(DATA + 0x100 + offset) | (3n << 56n);
    const setup = (mode: number) => (c: Cpu) => {
      V(c);
      c.writeRegister('sctlr_el1', SCTLR_ON | TCF0(mode) | TCF(mode));
      c.writeX(0, base);
    };
    const text = `${instruction}\nsvc #0`;
    expect(runUnder(machine, text, { setup: setup(1) }).esr).toBe('0x56000000');
    // The last granule that the access touches.
    const bytes = /q0, q1/.test(instruction) ? 32 : /q0/.test(instruction) ? 16 : 8;
    const last = (DATA + 0x100 + offset + bytes - 1) & ~15;
    machine.memory.writeTag(PA(last), 9);
    const taken = runUnder(machine, text, { setup: setup(1) });
    const isStore = instruction.startsWith('st');
    expect(taken.esr).toBe(isStore ? '0x92000051' : '0x92000011');
    const first = Math.max(last, DATA + 0x100 + offset);
    expect(BigInt(taken.far)).toBe(BigInt(first) | (3n << 56n));
    expect(runUnder(machine, text, { setup: setup(0) }).esr).toBe('0x56000000');
  });

  it('are not tag-checked relative to SP without write-back', () => {
    const { machine } = mappedMachine({ features });
    const run = (text: string) =>
      runUnder(machine, `${text}\nsvc #0`, {
        setup: (c) => {
          V(c);
          c.writeRegister('sctlr_el1', SCTLR_ON | TCF0(1));
          c.sp = BigInt(DATA + 0x200) | (5n << 56n);
        },
      }).esr;
    expect(run('ldr q0, [sp, #16]')).toBe('0x56000000');
    expect(run('stp d0, d1, [sp, #16]')).toBe('0x56000000');
    expect(run('ldr q0, [sp], #16')).toBe('0x92000011');
    expect(run('ldr q0, [sp, xzr]')).toBe('0x92000011');
  });
});
