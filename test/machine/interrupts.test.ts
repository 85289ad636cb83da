/**
 * Interrupts, timers, the interrupt controller, PSCI and several CPUs, as bare programs meet them. QEMU
 * runs the same images and prints the same.
 */
import { describe, expect, it } from 'vitest';
import { compileDts } from '../../src/devicetree/index.js';
import { createEngine } from '../../src/engine/index.js';
import { SHIPPED_MACHINES } from '../../src/machine/index.js';
import { assembleBare, asText, qemuVersion, repositoryText, runImage, runOnQemu, runText } from './bare.js';
import { CODE, load, testMachine } from './support.js';

const image = (name: string) => assembleBare(repositoryText(`test/machine/programs/${name}`), name);

/** The default machine with more CPUs. */
function treeWith(cpus: number) {
  const more = Array.from(
    { length: cpus - 1 },
    (_, i) => `cpu@${i + 1} { device_type = "cpu"; compatible = "arm,armv8"; reg = <${i + 1}>; };`,
  );
  const text = SHIPPED_MACHINES['default']!.replace('cpu@0 {', `${more.join('\n')} cpu@0 {`);
  return compileDts({ name: 'cpus.dts', text }, {}).tree;
}

const INTERRUPTS = `psci version 0x10001 cpu_on 0x0 unknown -0x1
virtual timer: irq 0x1b at 0xa0
physical timer: irq 0x1e at 0xa0
masked: isr 0x80 ctl 0x5 taken0x2 irq 0x1b at 0xa0
imasked timer: 0x7
sgi: irq 0x3 at 0xa0
priority mask: pending 0x4 isr 0x0 iar 0x3ff irq 0x4 at 0xa0
order: irq 0x6 at 0x40 irq 0x5 at 0xa0
preemption: irq 0x1 irq 0x6 at 0x40 back at 0xa0
spi: irq 0x28 at 0xa0
split end: irq 0x28 at 0xa0 active 0x100 running 0xff active 0x0
group 0: fiq 0x7
uart:  irq 0x21 at 0xa0
end
[exit 0]`;

const SMP = `on: 0x0 0x0 0x0 again -0x4 nobody -0x2
locked sum 0x7d0 atomic sum 0xfa0 contexts 0x306
sgi to others 0x3 to one 0x4
off: 0x1 0x2 0x3
[exit 0]`;

describe('a bare program with interrupts', () => {
  it('takes them in order, by priority and group', () => {
    expect(asText(runImage(image('interrupts.s')))).toBe(INTERRUPTS);
  });

  it.skipIf(qemuVersion === 0)('does the same on QEMU [needs qemu-system-aarch64]', () => {
    expect(runOnQemu(image('interrupts.s'))).toBe(INTERRUPTS);
  });

  it('can read the board description in the place x0 says', () => {
    const { output } = runText(
      'ldr w1, [x0]\n rev w1, w1\n mov x2, #0x09000000\n lsr w1, w1, #24\n str w1, [x2]\n b .',
    );
    expect(output).toBe('\u00d0');
  });
});

describe('several CPUs', () => {
  it('work together: locks, atomics, SGIs, events, PSCI, whatever the seed', () => {
    const tree = treeWith(4);
    const steps = new Set<number>();
    for (let seed = 0; seed < 4; seed++) {
      const outcome = runImage(image('smp.s'), { tree, seed });
      expect(asText(outcome)).toBe(SMP);
      steps.add(outcome.board.machine.cpus.reduce((sum, cpu) => sum + cpu.steps, 0));
    }
    expect(steps.size).toBeGreaterThan(1);
  });

  it('repeat exactly from their seed', () => {
    const tree = treeWith(4);
    const run = () => runImage(image('smp.s'), { tree, seed: 9 }).board.machine.cpus.map((cpu) => cpu.steps);
    expect(run()).toEqual(run());
  });

  it.skipIf(qemuVersion === 0)('do the same on QEMU [needs qemu-system-aarch64]', () => {
    expect(runOnQemu(image('smp.s'), 'virt,gic-version=3', 4)).toBe(SMP);
  });

  it('see one counter that never runs backwards', () => {
    // CPU 1 publishes counter values; CPU 0 compares each with its own, read afterwards.
    const text = `
        adr x2, second
        ldr x0, =0xc4000003
        mov x1, #1
        mov x3, #0
        hvc #0
        adr x5, cell
        mov x6, #3000
      1: ldar x7, [x5]
        isb
        mrs x8, cntpct_el0
        cmp x7, x8
        b.hi bad
        subs x6, x6, #1
        b.ne 1b
        mov x1, #0
        b out
      bad: mov x1, #1
      out: adr x2, block
        str x1, [x2, #8]
        mov x0, #0x18
        mov x1, x2
        hlt #0xf000
      second: adr x5, cell
      2: mrs x7, cntpct_el0
        stlr x7, [x5]
        b 2b
        .ltorg
        .balign 8
      block: .quad 0x20026, 0
      cell: .quad 0`;
    for (let seed = 0; seed < 5; seed++) {
      expect(runText(text, { tree: treeWith(2), seed }).end).toEqual({
        kind: 'exit',
        status: 0,
        reset: false,
      });
    }
  });
});

describe('firmware', () => {
  it('answers every call that it does not know with NOT_SUPPORTED, fast or yielding, 32 or 64 bits', () => {
    for (const [call, conduit, level] of [
      [1337, 'smc', 1],
      [1337, 'hvc', 1],
      [1337, 'smc', 2],
      [0x8400_00ff, 'smc', 1],
      [0xc600_0001, 'smc', 2],
    ] as const) {
      const text = `
        ldr x0, =${call}
        ${conduit} #0
        cmn x0, #1                      // -1
        cset x2, ne
        adr x1, block
        str x2, [x1, #8]
        mov x0, #0x18
        hlt #0xf000
        .balign 8
block:  .quad 0x20026, 0
      `;
      expect(runText(text, { level }).end).toEqual({ kind: 'exit', status: 0, reset: false });
    }
  });
});

describe('a program that can make no progress', () => {
  const reasons = (text: string, options = {}) => {
    const { end } = runText(text, options);
    return end.kind === 'stuck' ? end.reasons.join('; ') : JSON.stringify(end);
  };

  it('is told by what it waits for', () => {
    expect(reasons('wfi')).toBe('CPU 0 waits for an interrupt (wfi) at 0x40080004 (EL1), and none can come');
    expect(reasons('1: wfe\n b 1b')).toMatch(/^CPU 0 waits for an event \(wfe\) at 0x40080004/);
    expect(reasons('b .')).toMatch(/^CPU 0 branches to itself at 0x40080000 \(EL1\), and no interrupt/);
    expect(reasons('ldr x0, =0x84000002\n hvc #0')).toBe('CPU 0 is off');
  });

  it('is told by the exception whose vector is nowhere', () => {
    expect(reasons('nop\n ldr x0, [xzr, #0]\n'.replace('[xzr, #0]', '[x1]'))).toMatch(
      /^CPU 0 took an exception at 0x40080004 \(DataAbort, ESR 0x96000010, FAR 0x0\), and its vector at 0x200 \(EL1\)/,
    );
  });

  it('is not one that a timer will wake, masked or not', () => {
    const arm = 'mov x0, #500\n msr cntp_tval_el0, x0\n mov x0, #1\n msr cntp_ctl_el0, x0\n';
    // The interrupt controller lets nothing through, so the timer's line wakes nobody.
    expect(reasons(`${arm} wfi`)).toMatch(/^CPU 0 waits for an interrupt/);
  });

  it('runs into the limit where it is busy', () => {
    expect(runText('1: add x0, x0, #1\n b 1b', { maxSteps: 5000 }).end).toEqual({
      kind: 'limit',
      which: 'steps',
    });
  });
});

describe('asynchronous exceptions', () => {
  const SCR_NS = 0x0401n | 0x30n;
  /** Raises lines at `el`; gives where the next instruction is, or `waits`. */
  const route = (options: {
    el: 0 | 1 | 2 | 3;
    lines: number;
    daif?: number;
    hcr?: bigint;
    scr?: bigint;
  }) => {
    const machine = testMachine();
    const { cpu } = machine;
    load(machine, 'nop\n nop\n b .');
    cpu.writeRegister('scr_el3', SCR_NS | (options.scr ?? 0n));
    cpu.writeRegister('hcr_el2', (1n << 31n) | (options.hcr ?? 0n));
    cpu.writeRegister('vbar_el1', 0x10000n);
    cpu.writeRegister('vbar_el2', 0x20000n);
    cpu.writeRegister('vbar_el3', 0x30000n);
    cpu.setLevel(options.el, 1);
    cpu.pstate.daif = options.daif ?? 0;
    cpu.pc = BigInt(CODE);
    if ((options.lines & 4) !== 0) cpu.raiseSError(0x123);
    cpu.setInterruptLines((options.lines & 1) !== 0, (options.lines & 2) !== 0);
    cpu.service();
    return cpu.pc === BigInt(CODE) ? 'waits' : `el${cpu.pstate.el} ${(cpu.pc % 0x10000n).toString(16)}`;
  };
  const [IRQ, FIQ, SERROR] = [1, 2, 4];
  const [FMO, IMO, AMO, TGE] = [1n << 3n, 1n << 4n, 1n << 5n, 1n << 27n];
  const [VF, VI, VSE] = [1n << 6n, 1n << 7n, 1n << 8n];

  it('go where SCR_EL3 and HCR_EL2 send them', () => {
    expect(route({ el: 0, lines: IRQ })).toBe('el1 480');
    expect(route({ el: 1, lines: FIQ })).toBe('el1 300');
    expect(route({ el: 1, lines: SERROR })).toBe('el1 380');
    expect(route({ el: 1, lines: IRQ, hcr: IMO })).toBe('el2 480');
    expect(route({ el: 0, lines: FIQ, hcr: FMO })).toBe('el2 500');
    expect(route({ el: 1, lines: SERROR, hcr: AMO })).toBe('el2 580');
    expect(route({ el: 0, lines: IRQ, hcr: TGE })).toBe('el2 480');
    expect(route({ el: 2, lines: IRQ, hcr: IMO })).toBe('el2 280');
    expect(route({ el: 0, lines: IRQ, scr: 2n })).toBe('el3 480');
    expect(route({ el: 2, lines: FIQ, scr: 4n, hcr: FMO })).toBe('el3 500');
    expect(route({ el: 3, lines: SERROR, scr: 8n })).toBe('el3 380');
  });

  it('wait where they are masked or belong to a lower level', () => {
    expect(route({ el: 1, lines: IRQ, daif: 2 })).toBe('waits');
    expect(route({ el: 0, lines: FIQ, daif: 1 })).toBe('waits');
    expect(route({ el: 1, lines: SERROR, daif: 4 })).toBe('waits');
    expect(route({ el: 1, lines: IRQ, daif: 15, hcr: IMO })).toBe('el2 480');
    expect(route({ el: 0, lines: IRQ, daif: 15, hcr: TGE })).toBe('waits');
    expect(route({ el: 2, lines: IRQ, daif: 2, hcr: IMO })).toBe('waits');
    expect(route({ el: 2, lines: IRQ })).toBe('waits');
    expect(route({ el: 1, lines: IRQ, daif: 15, scr: 2n })).toBe('el3 480');
    expect(route({ el: 3, lines: IRQ, daif: 0 })).toBe('waits');
    expect(route({ el: 3, lines: IRQ, daif: 2, scr: 2n })).toBe('waits');
  });

  it('can be virtual', () => {
    expect(route({ el: 1, lines: 0, hcr: IMO | VI })).toBe('el1 280');
    expect(route({ el: 0, lines: 0, hcr: FMO | VF })).toBe('el1 500');
    expect(route({ el: 1, lines: 0, hcr: AMO | VSE })).toBe('el1 380');
    expect(route({ el: 1, lines: 0, hcr: IMO | VI, daif: 2 })).toBe('waits');
    expect(route({ el: 1, lines: 0, hcr: VI })).toBe('waits');
    expect(route({ el: 2, lines: 0, hcr: IMO | VI })).toBe('waits');
    // The physical one of EL2 comes first, whatever EL1 masks.
    expect(route({ el: 1, lines: IRQ, hcr: IMO | VI, daif: 2 })).toBe('el2 480');
  });

  it('have their syndrome, and are gone once taken', () => {
    const machine = testMachine({ hasEl2: false, hasEl3: false });
    const { cpu } = machine;
    load(machine, 'nop\n b .');
    cpu.writeRegister('vbar_el1', BigInt(CODE + 0x1000));
    cpu.setLevel(1, 1);
    cpu.pstate.daif = 4;
    cpu.pc = BigInt(CODE);
    cpu.raiseSError(0x0abcdef);
    const engine = createEngine(machine, 'evaluate');
    engine.run(cpu, 3);
    expect(cpu.pc).toBe(BigInt(CODE + 4));
    expect(cpu.readRegister('isr_el1')).toBe(0x100n);
    cpu.pstate.daif = 0;
    cpu.attention();
    cpu.service();
    expect(cpu.readRegister('elr_el1')).toBe(BigInt(CODE + 4));
    expect(cpu.readRegister('esr_el1')).toBe((0x2fn << 26n) | (1n << 25n) | 0xabcdefn);
    expect(cpu.readRegister('isr_el1')).toBe(0n);
  });
});
