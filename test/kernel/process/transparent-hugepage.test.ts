/** /sys/kernel/mm/transparent_hugepage as programs read and write it, and khugepaged at work beside one. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mtemu } from '../../cli/in-process.js';

const ROOT = new URL('../../..', import.meta.url).pathname;
const RUNTIME = readFileSync(`${ROOT}test/kernel/programs/runtime.inc`, 'utf8');
const THP = '/sys/kernel/mm/transparent_hugepage';

/** Of each pair of arguments: writes the second to the file the first names, and prints the result and the file. */
const WRITE = `
        .include "runtime.inc"
        .global _start
_start:
        add     x23, sp, #16
        sub     sp, sp, #4096
0:      ldp     x20, x21, [x23], #16
        cbz     x20, 9f
        mov     x22, #0
1:      ldrb    w0, [x21, x22]
        cbz     w0, 2f
        add     x22, x22, #1
        b       1b
2:      mov     x0, #-100
        mov     x1, x20
        mov     x2, #0x42
        mov     x3, #0x1b6
        call    56
        mov     x19, x0
        mov     x1, x21
        mov     x2, x22
        call    SYS_write
        show    x0
        mov     x0, x19
        call    57
        mov     x0, #-100
        mov     x1, x20
        mov     x2, #0
        call    56
        mov     x19, x0
        mov     x1, sp
        mov     x2, #4096
        call    63
        mov     x2, x0
        mov     x0, #1
        mov     x1, sp
        call    SYS_write
        mov     x0, x19
        call    57
        b       0b
9:      finish
`;

/**
 * Touches every second page of a block, asks for huge pages, tells khugepaged not to wait, sleeps, and prints:
 * what the sum of the pages is, and then the file argv[1].
 */
const SLEEPER = `
        .include "runtime.inc"
        .global _start
_start:
        ldr     x20, [sp, #16]
        map     0x400000, 3
        add     x21, x0, #0x1ff000
        add     x21, x21, #0xfff
        and     x21, x21, #~0x1fffff
        mov     x1, #0
1:      add     x2, x21, x1, lsl #13
        str     x1, [x2]
        add     x1, x1, #1
        cmp     x1, #256
        b.lo    1b
        mov     x0, x21
        mov     x1, #0x200000
        mov     x2, #14
        call    SYS_madvise
        show    x0
        mov     x0, #-100
        ldr     x1, =sysfs
        mov     x2, #1
        call    56
        ldr     x1, =ten
        mov     x2, #2
        call    SYS_write
        show    x0
        ldr     x0, =delay
        mov     x1, #0
        call    101
        mov     x1, #0
        mov     x3, #0
2:      add     x2, x21, x1, lsl #13
        ldr     x2, [x2]
        add     x3, x3, x2
        add     x1, x1, #1
        cmp     x1, #256
        b.lo    2b
        show    x3
        mov     x0, #-100
        mov     x1, x20
        mov     x2, #0
        call    56
        mov     x19, x0
        sub     sp, sp, #4096
3:      mov     x0, x19
        mov     x1, sp
        mov     x2, #4096
        call    63
        cmp     x0, #0
        b.le    4f
        mov     x2, x0
        mov     x0, #1
        mov     x1, sp
        call    SYS_write
        b       3b
4:      finish
        .data
delay:  .quad   0, 50000000
sysfs:  .asciz  "${THP}/khugepaged/scan_sleep_millisecs"
ten:    .ascii  "10"
`;

async function run(source: string, ...args: string[]): Promise<string> {
  const outcome = await mtemu(['run', '--memory', '64M', 'a.s', ...args], {
    'a.s': source,
    'runtime.inc': RUNTIME,
  });
  expect(outcome).toMatchObject({ status: 0, stderr: '' });
  return outcome.stdout;
}

/** Name, what is written, what it says afterwards, and the error where it is refused. */
const FILES: readonly (readonly [string, string, string, number?])[] = [
  ['enabled', 'sometimes', 'always [madvise] never', 22],
  ['enabled', 'always', '[always] madvise never'],
  ['defrag', 'defer+madvise', 'always defer [defer+madvise] madvise never'],
  ['shmem_enabled', 'madvise', 'always within_size advise [never] deny force', 22],
  ['shmem_enabled', 'within_size', 'always [within_size] advise never deny force'],
  ['use_zero_page', '0', '0'],
  ['khugepaged/defrag', '2', '1', 22],
  ['khugepaged/defrag', '0', '0'],
  ['khugepaged/max_ptes_none', '512', '511', 22],
  ['khugepaged/max_ptes_none', '0', '0'],
  ['khugepaged/max_ptes_swap', '512', '64', 22],
  ['khugepaged/max_ptes_swap', '511', '511'],
  ['khugepaged/max_ptes_shared', '-1', '256', 22],
  ['khugepaged/max_ptes_shared', '12', '12'],
  ['khugepaged/pages_to_scan', '0', '4096', 22],
  ['khugepaged/pages_to_scan', '1', '1'],
  ['khugepaged/scan_sleep_millisecs', '4294967296', '10000', 22],
  ['khugepaged/scan_sleep_millisecs', '0', '0'],
  ['khugepaged/alloc_sleep_millisecs', 'x', '60000', 22],
  ['khugepaged/alloc_sleep_millisecs', '4294967295', '4294967295'],
];

it('the files take what they should, say so, and refuse the rest', async () => {
  const args = FILES.flatMap(([name, value]) => [`${THP}/${name}`, value]);
  const lines = (await run(WRITE, ...args)).trimEnd().split('\n');
  const want = FILES.flatMap(([, value, text, error]) => {
    const result = BigInt.asUintN(64, error === undefined ? BigInt(value.length) : BigInt(-error));
    return [result.toString(16).padStart(16, '0'), text];
  });
  expect(lines).toEqual(want);
});

it('write() to a file makes a huge page of it where shmem_enabled says so', async () => {
  const path = '/tmp/file';
  const off = await run(WRITE, path, 'x', '/proc/meminfo', '-');
  expect(off).toMatch(/^ShmemHugePages: +0 kB$/m);
  const on = await run(WRITE, `${THP}/shmem_enabled`, 'always', path, 'x', '/proc/meminfo', '-');
  expect(on).toMatch(/^ShmemHugePages: +2048 kB$/m);
  expect(on).toMatch(/^Shmem: +2048 kB$/m);
});

describe('khugepaged beside a program', () => {
  it('collapses what the program asked for while it sleeps', async () => {
    const [advice, written, sum, ...lines] = (await run(SLEEPER, '/proc/meminfo')).split('\n');
    expect([advice, written, sum]).toEqual(
      ['0', '2', (255 * 128).toString(16)].map((x) => x.padStart(16, '0')),
    );
    expect(lines.find((line) => line.startsWith('AnonHugePages'))).toMatch(/\s2048 kB$/);
  });

  it('counts it', async () => {
    const lines = (await run(SLEEPER, '/proc/vmstat')).split('\n');
    expect(lines).toContain('thp_collapse_alloc 1');
    expect(lines).toContain('thp_collapse_alloc_failed 0');
  });
});
