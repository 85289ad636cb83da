import { describe, expect, it } from 'vitest';
import { PA } from '../../src/base/index.js';
import { createEngine } from '../../src/engine/index.js';
import type { Cpu } from '../../src/machine/index.js';
import { CODE, D, DATA, load, mappedMachine, runBare, runUnder, SCTLR_ON, testMachine } from './support.js';

const ELR = (offset: number) => `0x${(CODE + offset).toString(16)}`;

describe('synchronous exceptions', () => {
  it.each([
    ['svc #0x1234', '0x56001234', 4],
    ['brk #0x77', '0xf2000077', 0],
    ['udf #5', '0x2000000', 0],
    ['.inst 0xffffffff', '0x2000000', 0],
    ['hvc #1', '0x2000000', 0],
    ['smc #1', '0x2000000', 0],
    ['hlt #1', '0x2000000', 0],
    ['hlt #0xf000', '0x2000000', 0],
    ['eret', '0x2000000', 0],
    ['ldgm x0, [x1]', '0x2000000', 0],
    ['mrs x0, sctlr_el1', '0x2000000', 0],
    ['msr vbar_el1, x0', '0x2000000', 0],
    ['mrs x0, s3_5_c15_c2_1', '0x2000000', 0],
    ['mrs x0, pmccntr_el0', '0x2000000', 0],
    ['msr spsel, #1', '0x2000000', 0],
    ['mrs x7, midr_el1', '0x623000e1', 0],
    ['mrs x3, gmid_el1', '0x62384061', 0],
    ['msr daifset, #2', '0x620cd3e4', 0],
    ['mrs x5, daif', '0x6232d0a5', 0],
    ['mrs x5, cntvct_el0', '0x6234f8a1', 0],
    ['tlbi vmalle1', '0x2000000', 0],
    ['dc ivac, x1', '0x2000000', 0],
  ])('%s from EL0', (instruction, esr, elr) => {
    const { machine } = mappedMachine();
    const taken = runUnder(machine, instruction);
    expect(taken).toMatchObject({ stop: { kind: 'supervisor', el: 1 }, esr, elr: ELR(elr), vector: 0x400 });
  });

  it('honour the controls that let EL0 do things', () => {
    const instructions: [string, number][] = [
      ['dc zva, x1', 14],
      ['mrs x2, ctr_el0', 15],
      ['dc civac, x1', 26],
      ['ic ivau, x1', 26],
      ['msr daifclr, #0', 9],
      ['wfi', 16],
      ['wfe', 18],
    ];
    for (const [instruction, bit] of instructions) {
      const run = (on: boolean) => {
        const { machine } = mappedMachine();
        const all = SCTLR_ON | (1n << 16n) | (1n << 18n);
        const sctlr = on ? all | (1n << BigInt(bit)) : all & ~(1n << BigInt(bit));
        const setup = (cpu: Cpu) => cpu.writeRegister('sctlr_el1', sctlr);
        const taken = runUnder(machine, `mov x1, #${DATA}\n ${instruction}\n svc #0`, { setup });
        return taken.stop.kind === 'wait' ? 'wait' : Number(BigInt(taken.esr) >> 26n);
      };
      expect([instruction, run(true)]).toEqual([instruction, instruction === 'wfi' ? 'wait' : 0x15]);
      expect([instruction, run(false)]).toEqual([instruction, instruction.startsWith('wf') ? 0x01 : 0x18]);
    }
  });

  it('vector by level and stack pointer, mask, and save PSTATE', () => {
    for (const [el, sp, vector] of [
      [0, 0, 0x400],
      [1, 0, 0x000],
      [1, 1, 0x200],
    ] as const) {
      const { machine, cpu } = mappedMachine();
      const taken = runUnder(machine, 'svc #0', {
        el,
        setup: (c) => {
          c.setLevel(el, sp);
          c.nzcv = 0b1010;
          c.pstate.daif = 0b0010;
          c.pstate.tco = 1;
          c.pstate.dit = 1;
        },
      });
      expect(taken.vector).toBe(vector);
      expect(cpu.readRegister('spsr_el1')).toBe(
        BigInt((0b1010 << 28) | (1 << 25) | (1 << 24) | (0b0010 << 6) | (el << 2) | sp) & 0xffff_ffffn,
      );
      expect(cpu.pstate).toMatchObject({ el: 1, sp: 1, daif: 0xf, tco: 1, dit: 1, il: 0 });
      expect(cpu.pc).toBe(BigInt(vector));
    }
  });

  it('set PAN and SSBS as SCTLR says', () => {
    const pan = (sctlr: bigint) => {
      const { machine, cpu } = mappedMachine();
      runUnder(machine, 'svc #0', { setup: (c) => c.writeRegister('sctlr_el1', sctlr) });
      return [cpu.pstate.pan, cpu.pstate.ssbs];
    };
    expect(pan(SCTLR_ON)).toEqual([0, 0]);
    expect(pan((SCTLR_ON & ~(1n << 23n)) | (1n << 44n))).toEqual([1, 1]);
  });

  it('of a misaligned stack pointer and PC', () => {
    const { machine } = mappedMachine();
    const misaligned = (cpu: Cpu) => {
      cpu.sp = BigInt(DATA + 8);
    };
    expect(runUnder(machine, 'ldr x0, [sp]', { setup: misaligned }).esr).toBe('0x9a000000');
    expect(runUnder(machine, 'add x0, sp, #0\n svc #0', { setup: misaligned }).esr).toBe('0x56000000');
    const noCheck = (cpu: Cpu) => {
      misaligned(cpu);
      cpu.writeRegister('sctlr_el1', SCTLR_ON & ~(1n << 4n));
    };
    expect(runUnder(machine, 'ldr x0, [sp]\n svc #0', { setup: noCheck }).esr).toBe('0x56000000');
    const jump = runUnder(machine, 'adr x0, .+2\n br x0');
    expect(jump).toMatchObject({ esr: '0x8a000000', far: ELR(2), elr: ELR(2) });
  });

  it('of accesses leave registers as they were', () => {
    const { machine, cpu } = mappedMachine();
    const taken = runUnder(machine, 'mov x0, #0x50000000\n ldr x1, [x0, #8]!\n', {});
    expect(taken.esr).toBe('0x92000006');
    expect(taken.far).toBe('0x50000008');
    expect(cpu.readX(0)).toBe(0x50000000n);
    const pair = runUnder(machine, `ldr x0, =${DATA + 0xfff8}\n mov x1, #7\n stp x1, x1, [x0]\n`);
    expect(pair).toMatchObject({ esr: '0x92000047', far: `0x${(DATA + 0x10000).toString(16)}` });
    expect(machine.memory.read64(PA(DATA + 0xfff8))).toBe(0n);
  });
});

describe('exception return', () => {
  it('restores PSTATE and goes to the level SPSR names', () => {
    const { machine, cpu } = mappedMachine();
    const taken = runUnder(
      machine,
      `
        adr x0, 1f
        msr elr_el1, x0
        mov x0, #0xa2000000           // N, C, TCO
        msr spsr_el1, x0
        mov x1, #${DATA}
        msr sp_el0, x1
        eret
      1: mrs x2, tco
        mrs x3, nzcv
        mov x4, sp
        svc #9
      `,
      { el: 1 },
    );
    expect(taken).toMatchObject({ esr: '0x56000009', vector: 0x400 });
    expect([cpu.readX(2), cpu.readX(3), cpu.readX(4)]).toEqual([0x2000000n, 0xa0000000n, BigInt(DATA)]);
  });

  it.each([
    ['to a higher level', 0x9],
    ['to EL2, which is not there', 0x9],
    ['to AArch32', 0x10],
    ['to EL0 with SP_EL1', 0x1],
    ['with the reserved bit', 0x6],
  ])('is illegal %s: PSTATE.IL, then an Illegal Execution State exception', (_what, mode) => {
    const { machine, cpu } = mappedMachine();
    const taken = runUnder(
      machine,
      `adr x0, 1f\n msr elr_el1, x0\n mov x0, #${mode}\n msr spsr_el1, x0\n eret\n1: nop`,
      {
        el: 1,
      },
    );
    expect(taken).toMatchObject({ esr: '0x3a000000', elr: ELR(20), vector: 0x200 });
    expect(cpu.readRegister('spsr_el1') & (1n << 20n)).toBe(1n << 20n);
  });
});

describe('levels', () => {
  it('go down from EL3 and back up through vectors in guest code', () => {
    const machine = testMachine();
    const stop = runBare(
      machine,
      `
        adr x0, vectors3
        msr vbar_el3, x0
        adr x0, vectors2
        msr vbar_el2, x0
        ldr x0, =0x04000531          // ATA, RW, HCE, RES1, NS
        msr scr_el3, x0
        adr x0, at_el2
        msr elr_el3, x0
        mov x0, #0x3c9
        msr spsr_el3, x0
        eret
      at_el2:
        mrs x20, currentel
        mov x0, #(1 << 31)
        movk x0, #0x0100, lsl #48    // ATA
        msr hcr_el2, x0
        adr x0, at_el1
        msr elr_el2, x0
        mov x0, #0x3c5
        msr spsr_el2, x0
        eret
      at_el1:
        mrs x21, currentel
        hvc #3
        mov x23, #1
        smc #4
        mov x25, #2
        b .
        .balign 2048
      vectors2:
        .space 0x400
        mrs x22, esr_el2
        eret
        .balign 2048
      vectors3:
        .space 0x400
        mrs x24, esr_el3
        eret
      `,
      45,
    );
    expect(stop.kind).toBe('limit');
    const x = (n: number) => machine.cpu.readX(n).toString(16);
    expect([20, 21, 22, 23, 24, 25].map(x)).toEqual(['8', '4', '5a000003', '1', '5e000004', '2']);
  });

  it('trap what HCR_EL2 and SCR_EL3 say', () => {
    const machine = testMachine();
    const { cpu } = machine;
    const run = (instruction: string, hcr: bigint, scr = 1n | (1n << 26n)) => {
      load(machine, `${instruction}\n b .`);
      cpu.setLevel(3, 1);
      cpu.writeRegister('scr_el3', scr);
      cpu.writeRegister('hcr_el2', hcr);
      cpu.writeRegister('esr_el2', 0n);
      cpu.writeRegister('esr_el3', 0n);
      cpu.setLevel(1, 1);
      cpu.pc = BigInt(CODE);
      createEngine(machine, 'auto').run(cpu, 1);
      return cpu.pstate.el === 1
        ? 'passes'
        : `el${cpu.pstate.el} ${cpu.readRegister(`esr_el${cpu.pstate.el}`).toString(16)}`;
    };
    const ATA = 1n << 56n;
    expect(run('msr ttbr0_el1, x1', ATA)).toBe('passes');
    expect(run('msr ttbr0_el1, x1', ATA | (1n << 26n))).toBe('el2 62300820');
    expect(run('mrs x2, ttbr0_el1', ATA | (1n << 26n))).toBe('passes');
    expect(run('mrs x2, ttbr0_el1', ATA | (1n << 30n))).toBe('el2 62300841');
    expect(run('mrs x3, id_aa64pfr1_el1', ATA | (1n << 18n))).toBe('el2 62320069');
    expect(run('mrs x4, gcr_el1', ATA)).toBe('passes');
    expect(run('mrs x4, gcr_el1', 0n)).toBe('el2 623c0481');
    expect(run('mrs x4, gcr_el1', ATA, 1n)).toBe('el3 623c0481');
    expect(run('mrs x4, gmid_el1', ATA | (1n << 58n))).toBe('el2 62384081');
    expect(run('tlbi vmalle1', ATA | (1n << 25n))).toBe('el2 621023ee');
    expect(run('smc #1', ATA | (1n << 19n))).toBe('el2 5e000001');
    // Without NS there is no EL2 to trap to.
    expect(run('mrs x4, gcr_el1', 0n, 1n << 26n)).toBe('passes');
  });

  it('never hang on a vector that faults', () => {
    const machine = testMachine();
    machine.cpu.writeRegister('vbar_el3', 0x1000n);
    const stop = runBare(machine, 'udf #0', 1000);
    expect(stop).toEqual({ kind: 'request' });
    expect(machine.cpu.readRegister('esr_el3')).toBe(0x86000010n);
  });
});

describe('exclusives', () => {
  const text = (between: string) => `
    mov x0, #${DATA}
    mov x1, #5
    ldxr x2, [x0]
    ${between}
    stxr w3, x1, [x0]
    ldr x4, [x0]
    svc #0`;

  it('store once after a load, and not without one', () => {
    const { machine, cpu } = mappedMachine();
    runUnder(machine, text(''));
    expect([cpu.readX(3), cpu.readX(4)]).toEqual([0n, 5n]);
    machine.memory.write64(PA(DATA), 1n);
    runUnder(machine, text('clrex'));
    expect([cpu.readX(3), cpu.readX(4)]).toEqual([1n, 1n]);
    runUnder(machine, text('stxr w5, x1, [x0]'));
    expect([cpu.readX(5), cpu.readX(3)]).toEqual([0n, 1n]);
    runUnder(machine, text('add x0, x0, #8'));
    expect(cpu.readX(3)).toBe(1n);
  });

  it('fault on a misaligned store, whatever the monitor says', () => {
    const { machine } = mappedMachine();
    const taken = runUnder(machine, `mov x0, #${DATA}\n add x0, x0, #4\n stxr w3, x1, [x0]\n svc #0`);
    expect(taken.esr).toBe('0x92000061');
  });

  it('lose the mark at an exception return', () => {
    const { machine, cpu } = mappedMachine();
    const eret = 'adr x6, 1f\n msr elr_el1, x6\n mov x6, #5\n msr spsr_el1, x6\n eret\n1:';
    machine.cpu.writeRegister('sctlr_el1', SCTLR_ON);
    runUnder(machine, text(eret), { el: 1 });
    expect(cpu.readX(3)).toBe(1n);
  });
});

describe('BTI', () => {
  const GUARDED = 1n << 50n;
  const run = (text: string) => {
    const { machine, tables } = mappedMachine();
    tables.mapRange(CODE, 0x1000, D.user | D.readOnly | GUARDED);
    return runUnder(machine, text).esr;
  };

  it('refuses indirect branches to other instructions in guarded pages', () => {
    expect(run('adr x0, 1f\n br x0\n nop\n1: nop\n svc #0')).toBe('0x36000003');
    expect(run('adr x0, 1f\n blr x0\n nop\n1: nop\n svc #0')).toBe('0x36000002');
    expect(run('adr x16, 1f\n br x16\n nop\n1: nop\n svc #0')).toBe('0x36000001');
    expect(run('adr x0, 1f\n br x0\n nop\n1: bti j\n svc #0')).toBe('0x56000000');
    expect(run('adr x0, 1f\n br x0\n nop\n1: bti c\n svc #0')).toBe('0x36000003');
    expect(run('adr x0, 1f\n blr x0\n nop\n1: bti c\n svc #0')).toBe('0x56000000');
    expect(run('adr x0, 1f\n br x0\n nop\n1: bti jc\n svc #0')).toBe('0x56000000');
    expect(run('adr x30, 1f\n ret\n nop\n1: nop\n svc #0')).toBe('0x56000000');
    expect(run('b 1f\n nop\n1: nop\n svc #0')).toBe('0x56000000');
  });

  it('does not look at pages that are not guarded', () => {
    expect(runUnder(mappedMachine().machine, 'adr x0, 1f\n br x0\n nop\n1: nop\n svc #0').esr).toBe(
      '0x56000000',
    );
  });
});
