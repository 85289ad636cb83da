/** `mtemu run --trace-events`, and what `--stats` says of tag storage: a program that takes blocks, and gives them back. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';

const RUNTIME = readFileSync(new URL('programs/runtime.inc', import.meta.url), 'utf8');
const PROGRAM = `
        .include "runtime.inc"
        .global _start
_start:
        mov     x0, #0
        mov     x1, #0x1000
        mov     x2, #0x23               // PROT_READ | PROT_WRITE | PROT_MTE
        mov     x3, #0x22
        mov     x4, #-1
        mov     x5, #0
        call    SYS_mmap
        mov     x19, x0
        str     x0, [x19]
        mov     x0, x19
        mov     x1, #0x1000
        call    SYS_munmap
        finish
`;

const run = (args: readonly string[]) =>
  mtemu(['run', ...args, 'p.s'], { 'p.s': PROGRAM, 'runtime.inc': RUNTIME });

it('names the blocks that are taken and given back', async () => {
  const { status, stderr } = await run(['--trace-events']);
  expect(status).toBe(0);
  const taken = /^cma_alloc_range_start: name=cma0 start=(0x[0-9a-f]+) count=1 tries=3$/m.exec(stderr)?.[1];
  expect(taken).toBeDefined();
  expect(stderr).toContain(`cma_alloc_range_finish: name=cma0 start=${taken} count=1 attempts=1 err=0\n`);
  expect(stderr).toContain(`cma_release: name=cma0 pfn=${taken} count=1\n`);
  expect((await run([])).stderr).toBe('');
});

it('--stats counts the same, and the longest retry chain', async () => {
  const { stderr } = await run(['--stats']);
  const { vmstat, tagStorage } = JSON.parse(stderr.trim().split('\n').at(-1)!);
  expect(vmstat.cma_alloc_success - vmstat.cma_release_success).toBe(1);
  expect(tagStorage.metrics ?? tagStorage).toHaveProperty('longestRetryChain');
});

it('is for the mini-kernel only', async () => {
  const { status, stderr } = await run(['--bare', '--trace-events']);
  expect([status, stderr]).toEqual([
    2,
    expect.stringMatching(/--trace-events is for programs under the mini-kernel/),
  ]);
});

it.each([
  // The zero page's block, and the one that the program's page takes.
  ['alloc_pages_success', '2\n'],
  ['alloc_pages_fail', '0\n'],
])('/sys/kernel/mm/cma: %s of the area', async (name, want) => {
  const program = PROGRAM.replace(
    'finish\n',
    `mov     x0, #-100
        adr     x1, file
        mov     x2, #0
        call    56
        sub     sp, sp, #64
        mov     x1, sp
        mov     x2, #64
        call    63
        mov     x2, x0
        mov     x0, #1
        mov     x1, sp
        call    SYS_write
        finish
file:   .asciz  "/sys/kernel/mm/cma/cma0/${name}"
`,
  );
  const { status, stdout } = await mtemu(['run', 'p.s'], { 'p.s': program, 'runtime.inc': RUNTIME });
  expect([status, stdout]).toEqual([0, want]);
});
