/**
 * `mtemu run` as a user meets it: output, exit statuses, reports, limits, bad input.
 */
import { describe, expect, it } from 'vitest';
import { mtemu } from './in-process.js';

const EXIT = `
        mov     x8, #94
        svc     #0
`;
const program = (body: string) => `        .global _start\n_start:\n${body}`;
/** x0: a fresh page of PROT_READ | PROT_WRITE | PROT_MTE memory. */
const MAP_TAGGED = `
        mov     x0, #0
        mov     x1, #4096
        mov     x2, #0x23
        mov     x3, #0x22
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #222
        svc     #0
`;

async function report(file: string, ...options: string[]) {
  const outcome = await mtemu(['run', '--report', 'json', ...options, file]);
  return { ...outcome, report: JSON.parse(outcome.stderr) as Record<string, unknown> };
}

describe('exit status', () => {
  it("is the program's own", async () => {
    const hello = await mtemu(['run', 'firmware/examples/hello.s']);
    expect(hello).toMatchObject({ status: 0, stdout: 'hello from EL0\n', stderr: '' });
    for (const status of [1, 2, 124, 255]) {
      const source = program(`        mov x0, #${status}\n${EXIT}`);
      expect((await mtemu(['run', 'a.s'], { 'a.s': source })).status).toBe(status);
    }
  });

  it('is 128 plus the signal that killed it', async () => {
    const cases: [string, number, string][] = [
      ['        ldr x0, [xzr_base]\n        .equ xzr_base, 0\n', 2, ''],
      ['        mov x0, #0\n        ldr x0, [x0]\n', 139, 'SIGSEGV (SEGV_MAPERR) at 0x0'],
      ['        adr x0, .\n        str x0, [x0]\n', 139, 'SIGSEGV (SEGV_ACCERR) at 0x'],
      ['        udf #0\n', 132, 'SIGILL'],
      ['        ldgm x0, [x1]\n', 132, "'ldgm x0, [x1]' (0xd9e00020)"],
      ['        brk #1\n', 133, 'SIGTRAP'],
      [
        '        mov x0, sp\n        add x0, x0, #1\n        mov sp, x0\n        ldr x1, [sp]\n',
        135,
        'SIGBUS',
      ],
    ];
    for (const [body, status, said] of cases) {
      const outcome = await mtemu(['run', 'a.s'], { 'a.s': program(body) });
      expect([body, outcome.status]).toEqual([body, status]);
      expect(outcome.stderr).toContain(said);
    }
  });

  it('is 124 at a limit', async () => {
    const files = { 'a.s': program('        b .\n') };
    const steps = await mtemu(['run', '--max-steps', '5000', 'a.s'], files);
    expect(steps).toMatchObject({ status: 124, stderr: 'mtemu: the --max-steps limit was reached\n' });
    const time = await mtemu(['run', '--timeout', '0.2', 'a.s'], files);
    expect(time).toMatchObject({ status: 124, stderr: 'mtemu: the --timeout limit was reached\n' });
  });

  it('counts steps exactly', async () => {
    const files = { 'a.s': program(`        nop\n        mov x0, #3\n${EXIT}`) };
    const stats = await mtemu(['run', '--stats', 'a.s'], files);
    const { instructions } = JSON.parse(stats.stderr) as { instructions: number };
    expect((await mtemu(['run', '--max-steps', String(instructions), 'a.s'], files)).status).toBe(3);
    expect((await mtemu(['run', '--max-steps', String(instructions - 1), 'a.s'], files)).status).toBe(124);
  });
});

describe('tag-check faults', () => {
  it('reports a use after free', async () => {
    const { status, report: r } = await report('firmware/examples/use-after-free.s');
    expect(status).toBe(139);
    expect(r).toMatchObject({
      kind: 'tag-check-fault',
      mode: 'sync',
      access: { type: 'load', size: 8 },
      esr: '0x92000011',
      symbol: 'read_freed',
      cause: { name: 'use after free' },
    });
    expect(r['pointerTag']).not.toBe(r['memoryTag']);
    expect(r['far']).toBe(r['va']);
    const { pa, tagPa, nibble } = r as { pa: string; tagPa: string; nibble: string };
    expect(Number(tagPa)).toBe(0x6000_0000 + Math.floor((Number(pa) - 0x4000_0000) / 32));
    expect(nibble).toBe(Number(pa) & 16 ? 'high' : 'low');
  });

  it('reports an overflow at its first byte', async () => {
    const { status, report: r } = await report('firmware/examples/overflow.s');
    expect(status).toBe(139);
    expect(r).toMatchObject({
      access: { type: 'store', size: 8 },
      esr: '0x92000051',
      cause: { name: 'overflow' },
    });
    expect(Number(BigInt(r['va'] as string) & 0xffn)).toBe(0x20);
  });

  it('tells a write to a read-only tagged page from a tag mismatch', async () => {
    const source = program(`${MAP_TAGGED}
        irg     x19, x0
        stg     x19, [x19]
        mov     x1, #4096
        mov     x2, #0x21
        mov     x8, #226                // mprotect(PROT_READ | PROT_MTE)
        svc     #0
        ldr     x1, [x19]               // the tag still matches
        str     x1, [x19]
`);
    const outcome = await mtemu(['run', 'a.s'], { 'a.s': source });
    expect(outcome.status).toBe(139);
    expect(outcome.stderr).toMatch(/killed by SIGSEGV \(SEGV_ACCERR\) at 0x[0-9a-f]+\n$/);
  });

  it('takes an asynchronous fault at the next kernel entry', async () => {
    const source = program(`${MAP_TAGGED}
        irg     x19, x0
        stg     x19, [x19]
        addg    x20, x19, #0, #1
        str     x20, [x20]              // goes ahead
        mov     x0, #0
${EXIT}`);
    const outcome = await mtemu(['run', '--tcf', 'async', '--report', 'json', 'a.s'], { 'a.s': source });
    expect(outcome.status).toBe(139);
    expect(JSON.parse(outcome.stderr)).toMatchObject({ mode: 'async', access: null, va: null, far: null });
    expect((await mtemu(['run', '--tcf', 'none', 'a.s'], { 'a.s': source })).status).toBe(0);
  });

  it('writes the text form as documented', async () => {
    const { stderr } = await mtemu(['run', '--seed', '3', 'firmware/examples/use-after-free.s']);
    await expect(stderr).toMatchFileSnapshot('./golden/report-use-after-free.txt');
    const again = await mtemu(['run', '--seed', '3', 'firmware/examples/use-after-free.s']);
    expect(again.stderr).toBe(stderr);
  });

  it('is the same for the same seed, to the last tag, and another for another', async () => {
    const tags = async (seed: string) =>
      (await report('firmware/examples/use-after-free.s', '--seed', seed)).report['pointerTag'];
    expect(await tags('1')).toBe(await tags('1'));
    const seen = new Set(await Promise.all(['1', '2', '3', '4', '5', '6'].map(tags)));
    expect(seen.size).toBeGreaterThan(1);
  });
});

describe('memory', () => {
  it('gives ENOMEM for what cannot be, and SIGKILL where memory runs out', async () => {
    const huge = program(`
        mov     x0, #0
        mov     x1, #1
        lsl     x1, x1, #50
        mov     x2, #3
        mov     x3, #0x22
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #222
        svc     #0
        neg     x0, x0
${EXIT}`);
    expect((await mtemu(['run', 'a.s'], { 'a.s': huge })).status).toBe(12);
    const eater = program(`
        mov     x0, #0
        mov     x1, #(128 << 20)
        mov     x2, #3
        mov     x3, #0x4022             // MAP_NORESERVE
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #222
        svc     #0
1:      str     x0, [x0]
        add     x0, x0, #4096
        b       1b
`);
    const outcome = await mtemu(['run', '--memory', '64M', '--dmesg', 'a.s'], { 'a.s': eater });
    expect(outcome.status).toBe(137);
    expect(outcome.stderr).toMatch(/Out of memory: Killed process 1 \(a\.s\)/);
  });

  it.each(['cma', 'static'])('keeps every byte and tag under policy %s', async (policy) => {
    const data = policy === 'cma' ? '58' : '50';
    const args = [
      'run',
      '--memory',
      '64M',
      '--tag-storage',
      policy,
      'firmware/programs/reuse.elf',
      data,
      '1',
      '2',
    ];
    const outcome = await mtemu(args);
    expect(outcome.stderr).toBe('');
    expect(outcome.status).toBe(0);
    expect(outcome.stdout).toContain('verified: 0 words of data and 0 tags differ');
  });

  it.each(['dts/fvp-rfc-v3.dts', 'dts/block-8k.dts'])('runs on %s', async (machine) => {
    const outcome = await mtemu(['run', '--machine', machine, 'firmware/programs/reuse.elf', '2', '1', '1']);
    expect(outcome).toMatchObject({ status: 0, stderr: '' });
    expect(outcome.stdout).toContain('verified: 0 words of data and 0 tags differ');
  });

  it('checks the invariants after every kernel operation', async () => {
    const outcome = await mtemu([
      'run',
      '--check',
      '--memory',
      '64M',
      'firmware/programs/reuse.elf',
      '1',
      '1',
      '1',
    ]);
    expect(outcome).toMatchObject({ status: 0, stderr: '' });
  });

  it.each(['16k', '64k'])('runs with %s pages what is linked for them', async (pages) => {
    const hello = await mtemu(['run', '--page-size', pages, 'firmware/examples/use-after-free.s']);
    expect(hello.status).toBe(139);
    expect(hello.stderr).toContain('SUMMARY: use after free');
    // Two segments in one page of this size, as the loader of Linux refuses them.
    const packed = await mtemu(['run', '--page-size', pages, 'firmware/programs/reuse.elf']);
    expect(packed.status).toBe(2);
    expect(packed.stderr).toContain('ENOEXEC');
  });

  it('says so where tag storage cannot be lent', async () => {
    const outcome = await mtemu(['run', '--memory', '96M', 'firmware/examples/hello.s']);
    expect(outcome.status).toBe(0);
    expect(outcome.stderr).toMatch(/^mtemu: note: tag storage of 96 MiB of memory .* not lent/);
  });
});

describe('machines', () => {
  const tree = (chosen: string, rest = '') => `/dts-v1/;
/ {
	#address-cells = <2>;
	#size-cells = <2>;
	${chosen}
	memory@80000000 { device_type = "memory"; reg = <0 0x80000000 0 0x4000000>; };
	${rest}
};
`;

  it('say what their tree lacks', async () => {
    const outcome = await mtemu(['run', '--machine', 'm.dts', 'firmware/examples/hello.s'], {
      'm.dts': tree(''),
    });
    expect(outcome).toMatchObject({ status: 0, stdout: 'hello from EL0\n' });
    expect(outcome.stderr).toBe(
      "mtemu: note: the machine has no 'arm,pl011' serial port: firmware's messages go nowhere\n" +
        "mtemu: note: the machine has no 'mtemu,tag-controller': no memory has allocation tags, every tag reads 0\n" +
        "mtemu: note: the machine has no 'arm,gic-v3' interrupt controller: no interrupt of a device or timer reaches a CPU\n" +
        "mtemu: note: the machine has no 'arm,armv8-timer': a guest that looks for its timer in the tree finds none (the CPUs' own timers count all the same)\n" +
        "mtemu: note: the machine has no 'arm,psci-0.2': a guest that goes by the tree cannot start further CPUs or switch off (PSCI 1.1 answers all the same)\n",
    );
  });

  it('get their memory from --memory where the tree leaves it to the bootloader', async () => {
    const run = (text: string, ...options: string[]) =>
      mtemu(['run', '--machine', 'm.dts', ...options, 'firmware/examples/hello.s'], { 'm.dts': text });
    const open = tree('').replace('0 0x4000000>', '0 0>');
    const without = await run(open);
    expect(without.status).toBe(2);
    expect(without.stderr).toContain('help: give the size as that bootloader would, with --memory 1G');
    expect(await run(open, '--memory', '64M')).toMatchObject({ status: 0, stdout: 'hello from EL0\n' });
    const nowhere = await run(open.replace(/\tmemory@.*\n/, ''), '--memory', '64M');
    expect(nowhere.status).toBe(0);
    expect(nowhere.stderr).toContain('does not say where memory is: it is put at 0x40000000\n');
    const closed = await run(tree(''), '--memory', '64M');
    expect(closed.status).toBe(2);
    expect(closed.stderr).toContain('this one has its own');
  });

  it('hand their command line to the kernel: arm64.nomte turns tagging off', async () => {
    const controller =
      'memory-controller@a100000 { compatible = "mtemu,tag-controller"; reg = <0 0xa100000 0 0x1000>; };';
    const uart = 'serial@9000000 { compatible = "arm,pl011"; reg = <0 0x9000000 0 0x1000>; };';
    const run = (bootargs: string) =>
      mtemu(['run', '--dmesg', '--machine', 'm.dts', 'firmware/examples/use-after-free.s'], {
        'm.dts': tree(`chosen { bootargs = "${bootargs}"; };`, controller + uart),
      });
    expect((await run('quiet')).status).toBe(139);
    const off = await run('quiet arm64.nomte');
    expect(off.stderr).toContain('Kernel command line: quiet arm64.nomte');
    expect(off.status).toBe(0);
  });
});

describe('--strace and --trace', () => {
  it('prints system calls', async () => {
    const { stderr } = await mtemu(['run', '--strace', 'firmware/examples/hello.s']);
    expect(stderr).toMatch(/^write\(1, 0x[0-9a-f]+, 15\) = 15\nexit_group\(0\) = \?\n$/);
  });

  it('writes one JSON object for each instruction', async () => {
    const files = { 'a.s': program(`        mov x0, #3\n${EXIT}`) };
    const { status, written } = await mtemu(['run', '--trace', 't.jsonl', 'a.s'], files);
    expect(status).toBe(3);
    const lines = new TextDecoder().decode(written.get('t.jsonl')).trim().split('\n');
    const steps = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(steps.at(-3)).toMatchObject({ asm: 'mov x0, #0x3', insn: 'd2800060', writes: { x0: '0x3' } });
    expect(steps.at(-1)).toMatchObject({ asm: 'svc #0x0' });
    expect(steps.map((s) => s['step'])).toEqual(steps.map((_, i) => i));
  });
});

describe('bad input', () => {
  const elf = (patch: (bytes: Uint8Array) => Uint8Array) => async () => {
    const { written } = await mtemu(['asm', 'firmware/examples/hello.s', '-o', 'x']);
    return patch(Uint8Array.from(written.get('x')!));
  };
  const cases: [name: string, args: string[], files: Record<string, string | (() => Promise<Uint8Array>)>][] =
    [
      ['missing-file', ['run', 'nowhere.elf'], {}],
      ['wrong-opcode', ['run', 'a.s'], { 'a.s': program('        sgt x0, [x1]\n') }],
      ['undefined-label', ['run', 'a.s'], { 'a.s': program('        b nowhere\n') }],
      ['not-a-program', ['run', 'a.txt'], { 'a.txt': 'hello' }],
      [
        'dts-syntax',
        ['run', '--machine', 'm.dts', 'firmware/examples/hello.s'],
        { 'm.dts': '/dts-v1/;\n/ { a = ; };\n' },
      ],
      [
        'dts-no-memory',
        ['run', '--machine', 'm.dts', 'firmware/examples/hello.s'],
        { 'm.dts': '/dts-v1/;\n/ { };\n' },
      ],
      [
        'elf-other-machine',
        ['run', 'x.elf'],
        {
          'x.elf': elf((b) => {
            b[18] = 62;
            return b;
          }),
        },
      ],
      ['elf-truncated', ['run', 'x.elf'], { 'x.elf': elf((b) => b.slice(0, 100)) }],
      ['unknown-option', ['run', '--sead', '1', 'a.s'], {}],
      ['unknown-command', ['rum', 'a.s'], {}],
      ['bad-size', ['run', '--memory', 'lots', 'firmware/examples/hello.s'], {}],
      ['odd-size', ['run', '--memory', '1000', 'firmware/examples/hello.s'], {}],
      ['bad-policy', ['run', '--tag-storage', 'wishful', 'firmware/examples/hello.s'], {}],
      ['no-program', ['run'], {}],
      ['bad-steps', ['run', '--max-steps', 'many', 'firmware/examples/hello.s'], {}],
    ];

  it.each(cases)('%s', async (name, args, files) => {
    const made: Record<string, string | Uint8Array> = {};
    for (const [path, content] of Object.entries(files)) {
      made[path] = typeof content === 'string' ? content : await content();
    }
    const outcome = await mtemu(args, made);
    expect(outcome).toMatchObject({ status: 2, stdout: '' });
    expect(outcome.written.size).toBe(0);
    await expect(outcome.stderr).toMatchFileSnapshot(`./golden/run-${name}.txt`);
  });
});

describe('mtemu run --lockstep', () => {
  const program = `
        .global _start
_start: mov     x0, #0
        sub     sp, sp, #16
        mov     x1, sp
        mov     x2, #4
        mov     x8, #63
        svc     #0
        mov     x2, x0
        mov     x1, sp
        mov     x0, #1
        mov     x8, #64
        svc     #0
        mov     x9, #9000
1:      subs    x9, x9, #1
        b.ne    1b
        mov     x0, #5
        mov     x8, #93
        svc     #0
`;

  it('gives what the program gives: its output once, its input, its status', async () => {
    const { status, stdout, stderr } = await mtemu(
      ['run', '--lockstep=100', '--stats', '--engine', 'interpret', 'a.s'],
      { 'a.s': program },
      'abcdefgh',
    );
    expect({ status, stdout }).toEqual({ status: 5, stdout: 'abcd' });
    const stats = JSON.parse(stderr) as { instructions: number; lockstep: { comparisons: number } };
    expect(stats.lockstep).toMatchObject({ with: 'evaluate', every: 100 });
    expect(stats.lockstep.comparisons).toBeGreaterThan(180);
    const plain = await mtemu(['run', '--stats', 'a.s'], { 'a.s': program }, 'abcdefgh');
    expect(stats.instructions).toBe((JSON.parse(plain.stderr) as { instructions: number }).instructions);
  });

  it('ends at limits, and reports faults, as ever', async () => {
    const limited = await mtemu(['run', '--lockstep', '--max-steps', '5000', 'a.s'], { 'a.s': program });
    expect(limited).toMatchObject({
      status: 124,
      stderr: 'mtemu: the --max-steps limit was reached\n',
    });
    const fault = await mtemu(['run', '--lockstep=1', 'firmware/examples/use-after-free.s']);
    expect(fault.status).toBe(139);
    expect(fault.stderr.split('\n')[0]).toMatch(/^mtemu: tag-check fault: /);
  });

  it('runs bare programs, too', async () => {
    const source = '_start: mov x9, #3000\n1: subs x9, x9, #1\n b.ne 1b\n ldr x0, =0x84000008\n smc #0\n b .';
    const { status, stderr } = await mtemu(['run', '--bare', '--lockstep=50', '--stats', 'b.s'], {
      'b.s': source,
    });
    expect(status).toBe(0);
    const { lockstep } = JSON.parse(stderr) as { lockstep: { comparisons: number } };
    expect(lockstep.comparisons).toBeGreaterThan(120);
  });

  it('refuses what does not go with it', async () => {
    expect((await mtemu(['run', '--lockstep=0', 'a.s'], { 'a.s': program })).status).toBe(2);
    const traced = await mtemu(['run', '--lockstep', '--trace', 't', 'a.s'], { 'a.s': program });
    expect(traced.status).toBe(2);
    expect(traced.stderr).toContain('--trace and --lockstep');
  });
});

describe('mtemu run --stats', () => {
  it('counts the same in every engine, and says what the engine did', async () => {
    const all = await Promise.all(
      ['evaluate', 'interpret', 'auto'].map(async (engine) => {
        const { stderr } = await mtemu([
          'run',
          '--stats',
          '--engine',
          engine,
          'firmware/examples/overflow.s',
        ]);
        return JSON.parse(stderr.trim().split('\n').at(-1)!) as Record<string, unknown>;
      }),
    );
    const exact = all.map(({ instructions, tagChecks, faults, vmstat, tagStorage }) => ({
      instructions,
      tagChecks,
      faults,
      vmstat,
      tagStorage,
    }));
    expect(exact[1]).toEqual(exact[0]);
    expect(exact[2]).toEqual(exact[0]);
    expect(exact[0]!.instructions).toBeGreaterThan(100);
    expect(all[0]).toMatchObject({ engine: { name: 'evaluate' } });
    const interpreted = all[1]!['engine'] as Record<string, number>;
    expect(interpreted['entries']).toBeGreaterThan(0);
    expect(interpreted['evaluated']).toBeGreaterThan(0);
    const { touched, allocated } = all[0]!['memory'] as Record<string, number>;
    expect(touched).toBeGreaterThan(0);
    expect(allocated).toBeGreaterThan(touched!);
  });
});
