/** KSM from a program's side: prctl, madvise, /sys/kernel/mm/ksm, the thread that merges while the program sleeps. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';

const ROOT = new URL('../..', import.meta.url).pathname;
const RUNTIME = readFileSync(`${ROOT}test/kernel/programs/runtime.inc`, 'utf8');

const MACROS = `
        .include "runtime.inc"
        .equ    SYS_openat, 56
        .equ    SYS_close, 57
        .equ    SYS_read, 63
        .equ    SYS_ppoll, 73
        .equ    SYS_nanosleep, 101
        // x21: a descriptor of the file
        .macro  open name, flags
        mov     x0, #-100
        adr     x1, \\name
        mov     x2, #\\flags
        mov     x3, #0
        call    SYS_openat
        mov     x21, x0
        .endm
        // x0: what writing it gave
        .macro  put name, text
        open    \\name, 1
        adr     x1, \\text
        mov     x2, #1
        call    SYS_write
        .endm
        // prints the file
        .macro  cat name
        open    \\name, 0
        sub     sp, sp, #64
        mov     x1, sp
        mov     x2, #64
        call    SYS_read
        mov     x2, x0
        mov     x0, #1
        mov     x1, sp
        call    SYS_write
        add     sp, sp, #64
        .endm
        .macro  merge_any call, on, third
        mov     x0, #\\call
        mov     x1, #\\on
        mov     x2, #\\third
        mov     x3, #0
        mov     x4, #0
        call    SYS_prctl
        show    x0
        .endm
        // x19: four pages of which the first three are equal
        .macro  pages
        map     0x4000, 3
        mov     x19, x0
        mov     x1, #7
        str     x1, [x19]
        str     x1, [x19, #4096]
        mov     x2, x19
        add     x2, x2, #8192
        str     x1, [x2]
        add     x1, x1, #1
        str     x1, [x2, #4096]
        .endm
        .macro  sleep
        adr     x0, second
        mov     x1, #0
        call    SYS_nanosleep
        .endm
        .global _start
`;

const DATA = `
        .balign 8
second: .quad   1, 0
run:    .asciz  "/sys/kernel/mm/ksm/run"
sharing: .asciz "/sys/kernel/mm/ksm/pages_sharing"
shared: .asciz  "/sys/kernel/mm/ksm/pages_shared"
most:   .asciz  "/sys/kernel/mm/ksm/max_page_sharing"
mine:   .asciz  "/proc/self/ksm_merging_pages"
zero:   .ascii  "0"
one:    .ascii  "1"
two:    .ascii  "2"
three:  .ascii  "3"
`;

const run = (body: string, ...options: string[]) =>
  mtemu(['run', '--memory', '64M', ...options, 'program.s'], {
    'program.s': `${MACROS}${body}${DATA}`,
    'runtime.inc': RUNTIME,
  });

const EINVAL = 'ffffffffffffffea';
const EBUSY = 'fffffffffffffff0';
const hex = (value: number): string => value.toString(16).padStart(16, '0');

describe('a program', () => {
  it.each([['evaluate'], ['auto']])(
    'has its pages merged while it sleeps, and parted again (%s)',
    async (engine) => {
      const outcome = await run(
        `
_start: pages
        cat     run
        put     run, three
        show    x0
        put     run, one
        show    x0
        mov     x0, x19
        mov     x1, #0x4000
        mov     x2, #12                 // MADV_MERGEABLE
        call    SYS_madvise
        show    x0
        sleep
        cat     shared
        cat     sharing
        cat     mine
        put     most, three
        show    x0
        mov     x1, #9
        str     x1, [x19]
        ldr     x1, [x19, #4096]
        show    x1
        put     run, two
        cat     shared
        put     most, three
        show    x0
        finish
`,
        '--engine',
        engine,
        '--check',
      );
      expect(outcome).toMatchObject({ status: 0, stderr: '' });
      expect(outcome.stdout.split('\n').slice(0, -1)).toEqual([
        '0',
        EINVAL,
        hex(1),
        hex(0),
        '1',
        '2',
        '3',
        EBUSY,
        hex(7),
        '0',
        hex(1),
      ]);
    },
  );

  it('asks for all of its memory with PR_SET_MEMORY_MERGE', async () => {
    const outcome = await run(`
_start: merge_any 68, 0, 0
        merge_any 67, 1, 1
        merge_any 67, 1, 0
        merge_any 68, 0, 0
        pages
        put     run, one
        sleep
        sleep
        cat     mine
        merge_any 67, 0, 0
        merge_any 68, 0, 0
        cat     mine
        finish
`);
    expect(outcome).toMatchObject({ status: 0, stderr: '' });
    const lines = outcome.stdout.split('\n').slice(0, -1);
    expect(lines.slice(0, 4)).toEqual([hex(0), EINVAL, hex(0), hex(1)]);
    expect(Number(lines[4])).toBeGreaterThanOrEqual(3);
    expect(lines.slice(5, 7)).toEqual([hex(0), hex(0)]);
  });

  it('that waits for ever is found out, ksmd at work or not', async () => {
    const outcome = await run(`
_start: pages
        put     run, one
        mov     x0, x19
        mov     x1, #0x4000
        mov     x2, #12
        call    SYS_madvise
        mov     x0, #0
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        call    SYS_ppoll
        finish
`);
    expect(outcome.status).toBe(124);
    expect(outcome.stderr).toContain('nothing in the machine can wake one');
  });
});
