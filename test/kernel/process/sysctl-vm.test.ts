/** /proc/sys/vm as a program writes and reads it: text of numbers, who may do what, and errors. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mtemu } from '../../cli/in-process.js';

const ROOT = new URL('../../..', import.meta.url).pathname;
const RUNTIME = readFileSync(`${ROOT}test/kernel/programs/runtime.inc`, 'utf8');

/** Writes argv[2] to argv[1] where there is one, then copies argv[1] to its output; exits with the first errno. */
const PROGRAM = `
        .include "runtime.inc"
        .global _start
_start: ldr     x20, [sp, #16]
        ldr     x21, [sp, #24]
        cbz     x21, 3f
        mov     x0, #-100
        mov     x1, x20
        mov     x2, #1
        call    56
        tbnz    x0, #63, 9f
        mov     x2, #0
1:      ldrb    w3, [x21, x2]
        cbz     w3, 2f
        add     x2, x2, #1
        b       1b
2:      mov     x1, x21
        call    64
        tbnz    x0, #63, 9f
3:      mov     x0, #-100
        mov     x1, x20
        mov     x2, #0
        call    56
        tbnz    x0, #63, 9f
        sub     sp, sp, #4096
        mov     x1, sp
        mov     x2, #4096
        call    63
        mov     x2, x0
        mov     x0, #1
        mov     x1, sp
        call    SYS_write
        mov     x0, #0
9:      neg     x0, x0
        call    93
`;

async function sysctl(name: string, ...values: string[]): Promise<[number, string]> {
  const files = { 'p.s': PROGRAM, 'runtime.inc': RUNTIME };
  const args = ['run', '--memory', '64M', 'p.s', `/proc/sys/vm/${name}`, ...values];
  const { status, stdout, stderr } = await mtemu(args, files);
  expect(stderr).toBe('');
  return [status, stdout];
}

const EACCES = 13;
const EINVAL = 22;

describe('/proc/sys/vm', () => {
  it('shows numbers, separated by tabs', async () => {
    expect(await sysctl('swappiness')).toEqual([0, '60\n']);
    expect(await sysctl('lowmem_reserve_ratio')).toEqual([0, '256\t32\t0\n']);
    expect(await sysctl('numa_zonelist_order')).toEqual([0, 'Node\n']);
  });

  it('takes them, several in their order, and refuses what is none or out of bounds', async () => {
    expect(await sysctl('swappiness', ' 10\n')).toEqual([0, '10\n']);
    expect(await sysctl('lowmem_reserve_ratio', '128 16')).toEqual([0, '128\t16\t0\n']);
    expect(await sysctl('swappiness', '201')).toEqual([EINVAL, '']);
    expect(await sysctl('swappiness', 'ten')).toEqual([EINVAL, '']);
    expect(await sysctl('overcommit_memory', '-1')).toEqual([EINVAL, '']);
  });

  it('has files that only start something', async () => {
    expect(await sysctl('drop_caches', '3')).toEqual([EACCES, '']);
    expect(await sysctl('compact_memory')).toEqual([EACCES, '']);
  });
});

describe('overcommit_memory 2', () => {
  /** Promises are kept; 28 MiB as root, and again as user 1000: the status has a bit for each that was refused. */
  const ASKS = `
        .include "runtime.inc"
        .global _start
_start: mov     x0, #-100
        adr     x1, file
        mov     x2, #1
        call    56
        adr     x1, two
        mov     x2, #1
        call    64
        mov     x20, #0
        bl      ask
        mov     x0, #1000
        call    146
        bl      ask
        mov     x0, x20
        call    93
ask:    mov     x0, #0
        mov     x1, #28 << 20
        mov     x2, #3
        mov     x3, #0x22
        mov     x4, #-1
        mov     x5, #0
        call    222
        tbnz    x0, #63, 1f
        mov     x1, #28 << 20
        call    215
        lsl     x20, x20, #1
        ret
1:      lsl     x20, x20, #1
        add     x20, x20, #1
        ret
file:   .asciz  "/proc/sys/vm/overcommit_memory"
two:    .ascii  "2"
`;

  it('keeps admin_reserve_kbytes for who has CAP_SYS_ADMIN', async () => {
    const files = { 'p.s': ASKS, 'runtime.inc': RUNTIME };
    const { status, stderr } = await mtemu(['run', '--memory', '64M', 'p.s'], files);
    // Refused to the user alone.
    expect([status, stderr]).toEqual([1, '']);
  });
});
