/**
 * Bare programs on every engine: debuggers, interrupts in the middle of loops, several CPUs, two stages of
 * translation, code that changes. Each prints what it prints on the evaluator and ends at the same step.
 */
import { describe, expect, it } from 'vitest';
import { compileDts } from '../../src/devicetree/index.js';
import { compareCpus, compareMemory, type Interpreter } from '../../src/engine/index.js';
import { SHIPPED_MACHINES } from '../../src/machine/index.js';
import {
  assembleBare,
  asText,
  type BareOutcome,
  type BareRun,
  repositoryText,
  runImage,
  runText,
} from '../machine/bare.js';

/** Four CPUs, for programs that wake them. */
const FOUR = compileDts(
  {
    name: 'cpus.dts',
    text: SHIPPED_MACHINES['default']!.replace(
      'cpu@0 {',
      `${[1, 2, 3].map((i) => `cpu@${i} { device_type = "cpu"; compatible = "arm,armv8"; reg = <${i}>; };`).join(' ')} cpu@0 {`,
    ),
  },
  {},
).tree;

const PROGRAMS: readonly (readonly [name: string, run: BareRun])[] = [
  ['debug.s', {}],
  ['interrupts.s', {}],
  ['maintenance.s', {}],
  ['smp.s', { tree: FOUR }],
  ['stage2.s', { level: 2 }],
  ['levels.s', { level: 3 }],
];

/** A loop of loads and stores; the handler of 60 timer interrupts adds up where they came, and after how many rounds. */
const timerLoop = (ticks: number) => `
        .include "bare.inc"
start:  ldr     x0, =stack_end
        mov     sp, x0
        adr     x0, vectors
        msr     vbar_el1, x0
        ldr     x0, =GICD
        mov     w1, #(3 | (1 << 4))
        str     w1, [x0]
        ldr     x0, =GICR
        ldr     w1, [x0, #0x14]
        and     w1, w1, #~2
        str     w1, [x0, #0x14]
1:      ldr     w1, [x0, #0x14]
        tbnz    w1, #2, 1b
        add     x0, x0, #0x10000
        mov     w1, #-1
        str     w1, [x0, #0x80]
        mov     w1, #(1 << 27)
        str     w1, [x0, #0x100]
        mov     x1, #7
        msr     icc_sre_el1, x1
        isb
        mov     x1, #0xf0
        msr     icc_pmr_el1, x1
        mov     x1, #1
        msr     icc_igrpen1_el1, x1
        mov     x27, #${ticks}
        mov     x25, #0
        mov     x26, #0
        mov     x28, #60
        msr     cntv_tval_el0, x27
        msr     cntv_ctl_el0, x1
        msr     daifclr, #2
        ldr     x10, =scratch
        mov     x9, #0
2:      add     x9, x9, #1
        ldr     x11, [x10, #8]
        and     x12, x9, #15
        eor     x11, x11, x9
        str     x11, [x10, x12, lsl #3]
        tst     x11, #3
        b.ne    3f
        add     x13, x13, x11
3:      cbnz    x28, 2b
        msr     daifset, #2
        say     "places "
        say_hex x25
        say     " rounds "
        say_hex x26
        exit    0

handler:
        mrs     x0, icc_iar1_el1
        msr     cntv_tval_el0, x27
        mrs     x1, elr_el1
        add     x25, x25, x1
        add     x26, x26, x9
        msr     icc_eoir1_el1, x0
        sub     x28, x28, #1
        cbnz    x28, 1f
        msr     cntv_ctl_el0, xzr
1:      ret
        vector_table vectors, 1, handler
        .bss
        .balign 16
scratch: .zero  256
stack:  .zero   4096
stack_end:
`;

describe.each(['interpret', 'translate'])('bare programs, evaluator and %s', (engine) => {
  it.each(PROGRAMS)('%s', (name, run) => {
    const text = repositoryText(`test/machine/programs/${name}`);
    const image = assembleBare(text, name, run.level === 3 ? 0x4020_0000 : 0x4008_0000);
    const expected = runImage(image, run);
    const other = runImage(image, { ...run, engine });
    expect(asText(other)).toBe(asText(expected));
    expect(asText(other)).toContain('[exit 0]');
    expected.board.machine.cpus.forEach((cpu, i) => {
      expect(compareCpus(cpu, other.board.machine.cpus[i]!), `cpu ${i}`).toEqual([]);
    });
    expect(compareMemory(expected.board.machine, other.board.machine)).toEqual([]);
  });

  it.each([37, 100, 999])('interrupts every %i ticks come at the same instructions of a loop', (ticks) => {
    const [a, b] = ['evaluate', engine].map((name) => runText(timerLoop(ticks), { engine: name })) as [
      BareOutcome,
      BareOutcome,
    ];
    expect(asText(b)).toBe(asText(a));
    expect(b.output).toMatch(/^places 0x[0-9a-f]{6,} rounds 0x[0-9a-f]{3,}/);
    expect(compareCpus(a.board.machine.cpu, b.board.machine.cpu)).toEqual([]);
    if (engine !== 'translate') return;
    const { translated } = (b.engine as Interpreter).statistics;
    expect(translated).toBeGreaterThan(b.board.machine.cpu.steps / 4);
  });
});
