/**
 * Software step, hardware breakpoints and watchpoints, of EL0 and of EL1. QEMU runs the same image and
 * prints the same.
 */
import { describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/index.js';
import type { Cpu } from '../../src/machine/index.js';
import { assembleBare, asText, qemuVersion, repositoryText, runImage, runOnQemu } from './bare.js';
import { CODE, DATA, mappedMachine, runUnder, testMachine } from './support.js';

const PROGRAM = repositoryText('test/machine/programs/debug.s');
const image = (text: string) => assembleBare(text, 'debug.s');

/** Syndrome @ offset of the instruction, = offset of the address; `!` where SPSR.SS was set. */
const EXPECTED = `step of EL0: 0xcb000022@0x238 0xcb000022@0x23c 0xcb000022@0x238 0xcb000022@0x23c 0xcb000022@0x238 0xcb000022@0x23c 0xcb000022@0x240 0xcb000062@0x244 0xcb000022@0x248 svc
a step is due without SPSR.SS: 0xca000022@0x234 0xcb000022@0x238 0xcb000022@0x23c 0xcb000022@0x238 0xcb000022@0x23c 0xcb000022@0x238 0xcb000022@0x23c 0xcb000022@0x240 0xcb000062@0x244 0xcb000022@0x248 svc
breakpoint in EL0: 0xc2000022@0x250 svc
of another context: svc
of this context: 0xc2000022@0x250 svc
watchpoint of a word for loads, for stores, of a half for loads: 0xd2000022@0x258=0x10 0xd2000022@0x260=0x12 0xd2000022@0x274=0x10 svc
 0xd2000062@0x25c=0x10 0xd2000062@0x264=0x11 0xd2000062@0x26c=0x10 svc
 0xd2000022@0x258=0x12 0xd2000022@0x260=0x12 0xd2000022@0x274=0x12 svc
of a mask: 0xd2000062@0x25c=0x10 0xd2000062@0x264=0x11 0xd2000062@0x26c=0xc 0xd2000062@0x270=0x20 svc
EL1, masked: not masked: 0xc6000022@0x1f0
end
[exit 0]`;

describe('a bare debugger', () => {
  it('steps, breaks and watches', () => {
    expect(asText(runImage(image(PROGRAM)))).toBe(EXPECTED);
  });

  // Older versions report another address of an access that begins before the watched bytes.
  it.skipIf(qemuVersion < 8)('does the same on QEMU [needs qemu-system-aarch64 8]', () => {
    expect(runOnQemu(image(PROGRAM))).toBe(EXPECTED);
  });
});

describe('debug exceptions', () => {
  const MDE = 1n << 15n;
  const KDE = 1n << 13n;
  const BREAK_EL0_EL1 = (0xfn << 5n) | (3n << 1n) | 1n;
  const breakAt = (offset: number, setup: (cpu: Cpu) => void = () => {}, el: 0 | 1 = 0) => {
    const { machine } = mappedMachine();
    return runUnder(machine, 'nop\n nop\n nop\n svc #0', {
      el,
      setup: (cpu) => {
        cpu.writeRegister('dbgbvr3_el1', BigInt(CODE + offset));
        cpu.writeRegister('dbgbcr3_el1', BREAK_EL0_EL1);
        cpu.writeRegister('mdscr_el1', MDE);
        cpu.pstate.daif = 0;
        setup(cpu);
      },
    });
  };

  it('are taken before the instruction, and not while the OS lock is set', () => {
    expect(breakAt(8)).toMatchObject({
      esr: '0xc2000022',
      elr: `0x${(CODE + 8).toString(16)}`,
      vector: 0x400,
    });
    expect(breakAt(6)).toMatchObject({ esr: '0xc2000022', elr: `0x${(CODE + 4).toString(16)}` });
    expect(breakAt(8, (cpu) => cpu.writeRegister('oslar_el1', 1n)).esr).toBe('0x56000000');
    expect(breakAt(8, (cpu) => cpu.writeRegister('mdscr_el1', 0n)).esr).toBe('0x56000000');
    expect(breakAt(8, (cpu) => cpu.writeRegister('dbgbcr3_el1', BREAK_EL0_EL1 & ~1n)).esr).toBe('0x56000000');
    expect(breakAt(8, (cpu) => cpu.writeRegister('dbgbcr3_el1', BREAK_EL0_EL1 & ~4n)).esr).toBe('0x56000000');
  });

  it('of EL1 need KDE, and PSTATE.D clear', () => {
    const kde = (cpu: Cpu) => cpu.writeRegister('mdscr_el1', MDE | KDE);
    expect(breakAt(4, kde, 1).esr).toBe('0xc6000022');
    expect(breakAt(4, () => {}, 1).esr).toBe('0x56000000');
    const masked = (cpu: Cpu) => {
      kde(cpu);
      cpu.pstate.daif = 8;
    };
    expect(breakAt(4, masked, 1).esr).toBe('0x56000000');
  });

  it('say what a load or a store was, at the first watched byte', () => {
    const watch = (instruction: string, control: bigint) => {
      const { machine } = mappedMachine();
      const taken = runUnder(machine, `mov x0, #${DATA}\n ${instruction}\n svc #0`, {
        setup: (cpu) => {
          cpu.writeRegister('dbgwvr1_el1', BigInt(DATA + 8));
          cpu.writeRegister('dbgwcr1_el1', control | (3n << 1n) | 1n);
          cpu.writeRegister('mdscr_el1', MDE);
        },
      });
      return taken.esr === '0x56000000' ? 'none' : `${taken.esr} ${(Number(taken.far) - DATA).toString()}`;
    };
    const BOTH = 3n << 3n;
    const BYTES = (select: number) => BigInt(select) << 5n;
    expect(watch('ldr x1, [x0, #8]', BYTES(0xff) | BOTH)).toBe('0xd2000022 8');
    expect(watch('ldrb w1, [x0, #10]', BYTES(0x0c) | BOTH)).toBe('0xd2000022 10');
    expect(watch('ldrb w1, [x0, #9]', BYTES(0x0c) | BOTH)).toBe('none');
    expect(watch('str x1, [x0, #4]', BYTES(0xff) | BOTH)).toBe('0xd2000062 8');
    expect(watch('stp x1, x2, [x0]', BYTES(0xf0) | BOTH)).toBe('0xd2000062 12');
    expect(watch('ldadd x1, x2, [x0, #8]'.replace('[x0, #8]', '[x3]'), BYTES(0xff) | BOTH)).not.toContain(
      'd200',
    );
    expect(watch('add x3, x0, #8\n ldadd x1, x2, [x3]', BYTES(0xff) | BOTH)).toBe('0xd2000062 8');
    expect(watch('stzg x0, [x0]', BYTES(0xff) | BOTH)).toBe('0xd2000062 8');
    expect(watch('dc zva, x0', BYTES(0xff) | BOTH)).toBe('0xd2000062 8');
    expect(watch('ldr x1, [x0, #16]', BYTES(0xff) | BOTH)).toBe('none');
    // Through the fast path before, and after.
    expect(watch('ldr x1, [x0]\n ldr x2, [x0]\n ldr x1, [x0, #8]', BYTES(0xff) | BOTH)).toBe('0xd2000022 8');
  });

  it('go to EL2 where MDCR_EL2.TDE says so', () => {
    const machine = testMachine();
    const { cpu } = machine;
    machine.memory.write32(CODE as never, 0xd503201f);
    machine.memory.write32((CODE + 4) as never, 0xd4200020);
    cpu.writeRegister('scr_el3', 0x531n);
    cpu.writeRegister('mdcr_el2', 1n << 8n);
    cpu.writeRegister('dbgbvr0_el1', BigInt(CODE));
    cpu.writeRegister('dbgbcr0_el1', BREAK_EL0_EL1);
    cpu.writeRegister('mdscr_el1', MDE);
    const run = () => {
      cpu.setLevel(1, 1);
      cpu.pstate.daif = 0xf;
      cpu.pc = BigInt(CODE);
      createEngine(machine, 'evaluate').run(cpu, 2);
      return [cpu.pstate.el, cpu.readRegister('esr_el2')];
    };
    cpu.writeRegister('vbar_el2', BigInt(CODE + 0x1000));
    for (let at = CODE + 0x1000; at < CODE + 0x1800; at += 4) machine.memory.write32(at as never, 0xd503201f);
    expect(run()).toEqual([2, 0xc2000022n]);
    cpu.writeRegister('mdscr_el1', 0n);
    expect(run()).toEqual([2, 0xf2000001n]);
  });

  it('of a step come after one instruction, also where it faults or calls', () => {
    const { machine, cpu } = mappedMachine();
    const start = (text: string) => {
      const taken = runUnder(machine, text, {
        setup: (c) => {
          c.writeRegister('mdscr_el1', 1n);
          c.pstate.daif = 0;
          c.pstate.ss = 1;
        },
      });
      return [taken.esr, taken.elr, (cpu.readRegister('spsr_el1') >> 21n) & 1n];
    };
    const at = (offset: number) => `0x${(CODE + offset).toString(16)}`;
    expect(start('nop\n nop')).toEqual(['0xcb000022', at(4), 0n]);
    // Not executed: the step is still to come.
    expect(start('ldr x1, [xzr, #0]'.replace('[xzr, #0]', '[x9]\n nop'))).toEqual([
      expect.any(String),
      at(0),
      1n,
    ]);
    expect(start('svc #3\n nop')).toEqual(['0x56000003', at(4), 0n]);
  });
});
