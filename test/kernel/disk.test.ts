/** The file system on the simulated disk, from a program's side: mtemu.disk=SIZE, /mnt, fsync, msync, statfs. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';

const ROOT = new URL('../..', import.meta.url).pathname;
const RUNTIME = readFileSync(`${ROOT}test/kernel/programs/runtime.inc`, 'utf8');
const tree = (bootargs: string) =>
  readFileSync(`${ROOT}dts/default.dts`, 'utf8').replace('bootargs = ""', `bootargs = "${bootargs}"`);

const PROGRAM = `
        .include "runtime.inc"
        .macro  path name
        adr     x1, \\name
        .endm
        .global _start
_start:
        mov     x0, #-100
        path    file
        mov     x2, #0x42               // O_RDWR | O_CREAT
        mov     x3, #0644
        call    56
        mov     x19, x0
        show    x0
        mov     x0, x19
        path    hello
        mov     x2, #8
        call    64
        show    x0
        mov     x0, x19
        call    82                      // fsync
        show    x0
        mov     x0, #0
        mov     x1, #0x1000
        mov     x2, #3
        mov     x3, #1                  // MAP_SHARED
        mov     x4, x19
        mov     x5, #0
        call    SYS_mmap
        mov     x20, x0
        mov     w1, #'X'
        strb    w1, [x20]
        mov     x0, x20
        mov     x1, #0x1000
        mov     x2, #4                  // MS_SYNC
        call    227
        show    x0
        mov     x0, x20
        mov     x1, #0x1000
        mov     x2, #5                  // both MS_SYNC and MS_ASYNC
        call    227
        show    x0
        mov     x0, x20
        mov     x1, #0x1000
        call    SYS_munmap
        mov     x0, x20
        mov     x1, #0x1000
        mov     x2, #4
        call    227
        show    x0
        mov     x0, #-100
        path    file
        mov     x2, #-100
        adr     x3, elsewhere
        mov     x4, #0
        call    276                     // renameat2
        show    x0
        mov     x0, #-100
        path    file
        mov     x2, #-100
        adr     x3, elsewhere
        mov     x4, #0
        call    37                      // linkat
        show    x0
        sub     sp, sp, #256
        adr     x0, file
        mov     x1, sp
        call    43                      // statfs
        ldr     x0, [sp]
        show    x0
        mov     x0, x19
        mov     x1, sp
        call    80                      // fstat
        ldr     x0, [sp]
        show    x0
        mov     x0, x19
        mov     x1, sp
        mov     x2, #1
        mov     x3, #0
        call    67                      // pread64
        ldrb    w0, [sp]
        show    x0
        mov     x0, #1
        call    82
        show    x0
        finish
file:   .asciz  "/mnt/file"
elsewhere:
        .asciz  "/tmp/file"
hello:  .ascii  "hello!!\\n"
`;

const run = (bootargs: string, program = PROGRAM) =>
  mtemu(['run', '--machine', 'm.dts', '--check', '--stats', 'p.s'], {
    'm.dts': tree(bootargs),
    'p.s': program,
    'runtime.inc': RUNTIME,
  });
const hex = (n: number) => BigInt.asUintN(64, BigInt(n)).toString(16).padStart(16, '0');

describe('mtemu.disk', () => {
  it('makes a file system of its own at /mnt, whose files are written when a program says so', async () => {
    const outcome = await run('mtemu.disk=16M');
    expect(outcome.status).toBe(0);
    const EINVAL = 22;
    const ENOMEM = 12;
    const EXDEV = 18;
    expect(outcome.stdout.trim().split('\n')).toEqual(
      [3, 8, 0, 0, -EINVAL, -ENOMEM, -EXDEV, -EXDEV, 0xef53, 0x800, 0x58, -EINVAL].map(hex),
    );
    const stats: { vmstat: Record<string, number> } = JSON.parse(outcome.stderr.trim().split('\n').at(-1)!);
    expect(stats.vmstat).toMatchObject({ nr_dirtied: 2, nr_written: 2, nr_dirty: 0, nr_writeback: 0 });
  });

  it('what nobody syncs, the flusher writes after half a minute', async () => {
    const program = `
        .include "runtime.inc"
        .global _start
_start:
        mov     x0, #-100
        adr     x1, file
        mov     x2, #0x42
        mov     x3, #0644
        call    56
        adr     x1, file
        mov     x2, #4
        call    64
        sub     sp, sp, #16
        mov     x0, #SECONDS
        stp     x0, xzr, [sp]
        mov     x0, sp
        mov     x1, #0
        call    101                     // nanosleep
        finish
file:   .asciz  "/mnt/file"
`;
    const written = async (seconds: number) => {
      const { status, stderr } = await run('mtemu.disk=16M', program.replace('SECONDS', String(seconds)));
      expect(status).toBe(0);
      return JSON.parse(stderr.trim().split('\n').at(-1)!).vmstat.nr_written;
    };
    expect(await written(29)).toBe(0);
    expect(await written(31)).toBe(1);
  });

  it('is not there unless asked for', async () => {
    const outcome = await run('');
    const ENOENT = 2;
    expect(outcome.stdout.split('\n')[0]).toBe(hex(-ENOENT));
  });

  it('wants a size', async () => {
    const outcome = await run('mtemu.disk=much');
    expect(outcome.status).toBe(2);
    expect(outcome.stderr).toMatch(
      /error\[BOOT-DISK\]: mtemu\.disk=much[\s\S]*help: for example mtemu\.disk=64M/,
    );
  });
});
