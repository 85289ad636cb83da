/**
 * `mtemu run --bare` as users meet it.
 */
import { describe, expect, it } from 'vitest';
import { assemble, toFlat } from '../../src/assembler/index.js';
import { VA } from '../../src/base/index.js';
import { toElf } from '../../src/elf/index.js';
import { mtemu } from './in-process.js';

const exit = (status: string) => `
        adr x1, block
        str ${status}, [x1, #8]
        mov x0, #0x18
        hlt #0xf000
        .balign 8
block:  .quad 0x20026, 0
`;

/** Prints the level as a digit on the serial line, a text by semihosting, and ends with 7. */
const HELLO = `
        .global _start
_start: mrs x2, currentel
        lsr x2, x2, #2
        add x2, x2, #'0'
        mov x3, #0x09000000
        str w2, [x3]
        mov x0, #4
        adr x1, text
        hlt #0xf000
        mov x0, #3
        adr x1, text
        hlt #0xf000
        mov x2, #7
        ${exit('x2')}
text:   .asciz " hello\\n"
`;

const bare = (text: string, ...options: string[]) =>
  mtemu(['run', '--bare', ...options, 'program.s'], {
    'program.s': text.includes('_start:') ? text : `_start: ${text}`,
  });

describe('mtemu run --bare', () => {
  it('runs assembly source at the level asked for', async () => {
    for (const [options, level] of [
      [[], '1'],
      [['--el', '1'], '1'],
      [['--el', '2'], '2'],
      [['--el', '3'], '3'],
    ] as const) {
      expect(await bare(HELLO, ...options)).toMatchObject({
        status: 7,
        stdout: `${level} hello\n `,
        stderr: '',
      });
    }
  });

  it('runs flat binaries at 0x40080000 and ELF files where they are linked', async () => {
    const at = (base: bigint) => assemble({ name: 'p.s', text: HELLO }, { textBase: VA(base) });
    const flat = toFlat(at(0x40080000n), VA(0x40080000n));
    expect(await mtemu(['run', '--bare', 'p.bin'], { 'p.bin': flat })).toMatchObject({
      status: 7,
      stdout: '1 hello\n ',
    });
    // Also over the place where firmware is for a kernel.
    for (const base of [0x40000000n, 0x48000000n, 0x5ff00000n]) {
      const elf = toElf(at(base));
      expect(await mtemu(['run', '--bare', 'p.elf'], { 'p.elf': elf })).toMatchObject({ status: 7 });
    }
  });

  it('gives the device tree in x0', async () => {
    const text = `_start: ldr w2, [x0]\n rev w2, w2\n lsr w2, w2, #24\n ${exit('x2')}`;
    expect((await bare(text)).status).toBe(0xd0);
  });

  it('ends with PSCI, with a status of 0', async () => {
    for (const call of ['smc', 'hvc']) {
      expect(await bare(`ldr x0, =0x84000008\n ${call} #0\n b .`)).toMatchObject({ status: 0, stderr: '' });
    }
    const reset = await bare('ldr x0, =0x84000009\n hvc #0\n b .');
    expect(reset).toMatchObject({
      status: 0,
      stderr: 'mtemu: note: the program asked for a reset; the run ends here\n',
    });
  });

  it('ends with 124 at a limit, and when nothing can happen any more', async () => {
    const busy = '1: add x0, x0, #1\n b 1b';
    expect(await bare(busy, '--max-steps', '5000')).toMatchObject({
      status: 124,
      stderr: 'mtemu: the --max-steps limit was reached\n',
    });
    expect(await bare(busy, '--timeout', '0.05')).toMatchObject({
      status: 124,
      stderr: 'mtemu: the --timeout limit was reached\n',
    });
    expect(await bare('nop\n wfi')).toMatchObject({
      status: 124,
      stderr:
        'mtemu: the program can make no progress any more\n' +
        'mtemu: CPU 0 waits for an interrupt (wfi) at 0x40080008 (EL1), and none can come\n',
    });
    const lost = await bare('udf #0');
    expect(lost.status).toBe(124);
    expect(lost.stderr).toContain('CPU 0 took an exception at 0x40080000');
  });

  it('warns of tag storage that changes hands without cache maintenance', async () => {
    const run = (file: string) =>
      mtemu(['run', '--bare', '--caches', 'model', '--seed', '1', `firmware/examples/bare-${file}.s`]);
    expect(await run('handover')).toMatchObject({
      status: 0,
      stdout: 'tag storage changed hands 8 times: all tags and data are intact\n',
      stderr: '',
    });
    const { stderr } = await run('no-data-invalidate');
    expect(stderr).toMatch(
      /^mtemu: warning: caches: DRAM line 0x60400[01][0-9a-f]{2} now holds tags of 0x4800[0-3][08]00, but dirty data/,
    );
    expect(stderr.split('\n').length).toBeLessThan(20);
    expect((await run('no-tag-invalidate')).stderr).toContain('now holds data, but dirty tags of 0x4800');
  });

  it('prints counters and traces when asked', async () => {
    const { stderr } = await bare(HELLO, '--stats');
    expect(JSON.parse(stderr)).toMatchObject({ faults: 0, vmstat: {}, tagStorage: {} });
    const traced = await bare(HELLO, '--trace', 'out.jsonl');
    const lines = new TextDecoder().decode(traced.written.get('out.jsonl')).trim().split('\n');
    expect(JSON.parse(lines.find((l) => l.includes('currentel'))!)).toMatchObject({ pc: '0x40080000' });
  });

  it('refuses what has no meaning for it', async () => {
    for (const option of [
      ['--tcf', 'sync'],
      ['--strace'],
      ['--page-size', '4k'],
      ['--env', 'A=b'],
      ['--check'],
    ]) {
      const { status, stderr } = await bare(HELLO, ...option);
      expect(status).toBe(2);
      expect(stderr).toContain(`${option[0]} is for programs under the mini-kernel`);
    }
    expect((await bare(HELLO, '--el', '0')).status).toBe(2);
    expect((await mtemu(['run', '--el', '2', 'p.s'], { 'p.s': HELLO })).stderr).toContain(
      '--el is for --bare',
    );
    expect((await mtemu(['run', '--bare', 'p.s', 'argument'], { 'p.s': HELLO })).status).toBe(2);
    expect((await mtemu(['run', '--bare', 'p.bin'], { 'p.bin': new Uint8Array() })).stderr).toContain(
      'empty',
    );
    const elsewhere = toElf(assemble({ name: 'p.s', text: HELLO }, { textBase: VA(0x1000n) }));
    expect(await mtemu(['run', '--bare', 'p.elf'], { 'p.elf': elsewhere })).toMatchObject({ status: 2 });
  });
});

describe('mtemu run --caches model', () => {
  it('gives the results of a machine without caches, and no warning', async () => {
    for (const file of ['firmware/examples/hello.s', 'firmware/examples/use-after-free.s']) {
      const run = (caches: string) => mtemu(['run', '--seed', '2', '--check', '--caches', caches, file]);
      const { status, stdout, stderr } = await run('model');
      expect({ status, stdout, stderr }).toEqual(
        await run('off').then((off) => ({ status: off.status, stdout: off.stdout, stderr: off.stderr })),
      );
      expect(stderr).not.toContain('warning');
    }
  });
});

describe('standard input is the serial line', () => {
  /** x9 the UART; `wait` is done while there is nothing to read. Echoes until a q, which is the exit status. */
  const echo = (prepare: string, wait: string) => `
_start: mov x9, #0x09000000
        ${prepare}
1:      ldr w2, [x9, #0x18]
        tbz w2, #4, 2f                  // FR.RXFE
        ${wait}
        b 1b
2:      ldr w2, [x9]
        str w2, [x9]
        cmp w2, #'q'
        b.ne 1b
        ${exit('x2')}
`;
  const ENABLE = 'mov w2, #0x301\n str w2, [x9, #0x30]';
  /** Group 1, enabled, at the highest priority: interrupt 33 of the board. */
  const INTERRUPT = `
        ${ENABLE}
        mov x3, #0x08000000
        mov w2, #2
        str w2, [x3]                    // GICD_CTLR.EnableGrp1
        str w2, [x3, #0x84]             // GICD_IGROUPR1
        str w2, [x3, #0x104]            // GICD_ISENABLER1
        mov x2, #0xff
        msr icc_pmr_el1, x2
        mov x2, #1
        msr icc_igrpen1_el1, x2
        mov w2, #0x10                   // RXIM
        str w2, [x9, #0x38]
        isb
`;
  const echoes = (text: string, stdin: string, ...options: string[]) =>
    mtemu(['run', '--bare', '--max-steps', '20000000', ...options, 'p.s'], { 'p.s': text }, stdin);
  /** More than a FIFO holds. */
  const TEXT = `${'0123456789'.repeat(5)}q`;

  it('to a program that looks for it, and to one that waits for its interrupt', async () => {
    for (const [prepare, wait] of [
      [ENABLE, 'nop'],
      [INTERRUPT, 'wfi'],
      [`${INTERRUPT}\n mov w2, #0x10\n str w2, [x9, #0x2c]`, 'wfi'],
    ] as const) {
      expect(await echoes(echo(prepare, wait), TEXT)).toMatchObject({
        status: 'q'.charCodeAt(0),
        stdout: TEXT,
        stderr: '',
      });
    }
  });

  it('at the pace of 115200 baud', async () => {
    const { stderr } = await echoes(echo(ENABLE, 'nop'), TEXT, '--stats');
    const { instructions } = JSON.parse(stderr) as { instructions: number };
    // 51 bytes of 10 bits, a nanosecond an instruction; the line is looked at between turns only.
    expect(instructions / 1e9).toBeGreaterThan((TEXT.length - 1) / 11_520);
    expect(instructions / 1e9).toBeLessThan((TEXT.length + 4) / 11_520);
  });

  it('to nobody whose receiver is off', async () => {
    expect(await echoes(echo('', 'nop'), TEXT, '--max-steps', '1000000')).toMatchObject({
      status: 124,
      stdout: '',
    });
  });

  it('whose end lets a program that waits for more wait for ever', async () => {
    expect(await echoes(echo(INTERRUPT, 'wfi'), 'abc')).toMatchObject({
      status: 124,
      stdout: 'abc',
      stderr: expect.stringMatching(/no progress(.|\n)*waits for an interrupt/),
    });
  });

  it('and the same for both systems of --lockstep', async () => {
    expect(await echoes(echo(ENABLE, 'nop'), 'abcq', '--lockstep')).toMatchObject({
      status: 113,
      stdout: 'abcq',
    });
  });
});
