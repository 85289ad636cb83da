/**
 * Hibernation: every byte and every tag comes back from the swap device, whatever the policy and the page size;
 * what fails leaves everything as it was. From a program: echo disk > /sys/power/state.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { PhysRange } from '../../src/kernel/mm/index.js';
import {
  allocPages,
  GFP_KERNEL,
  hibernate,
  PROT_MTE,
  PROT_READ,
  PROT_WRITE,
  putPage,
} from '../../src/kernel/mm/index.js';
import { mtemu } from '../cli/in-process.js';
import type { Fixture, FixtureOptions, User } from './kernel-fixture.js';
import { boot, pattern } from './kernel-fixture.js';

const ROOT = new URL('../..', import.meta.url).pathname;
const RW = PROT_READ | PROT_WRITE;
const PAGES = 24;

interface Stage {
  readonly k: Fixture;
  readonly user: User;
  readonly plain: number;
  readonly tagged: number;
}

function stage(options: FixtureOptions = {}): Stage {
  const k = boot({ tagPages: 64, pageblockOrder: 5, swapPages: 3000, ...options });
  const user = k.user();
  const size = k.memory.pageSize;
  const plain = user.mmap(PAGES, RW);
  const tagged = user.mmap(PAGES, RW | PROT_MTE);
  for (let i = 0; i < PAGES; i++) {
    user.store(plain + i * size, pattern(size, i + 1));
    user.store(tagged + i * size, pattern(size, i + 101));
    user.storeTag(tagged + i * size + 16 * i, 1 + (i % 15));
  }
  return { k, user, plain, tagged };
}

function verify({ k, user, plain, tagged }: Stage): void {
  const size = k.memory.pageSize;
  for (let i = 0; i < PAGES; i++) {
    expect(Buffer.compare(user.load(plain + i * size, size)!, pattern(size, i + 1))).toBe(0);
    expect(Buffer.compare(user.load(tagged + i * size, size)!, pattern(size, i + 101))).toBe(0);
    expect(user.loadTag(tagged + i * size + 16 * i)).toBe(1 + (i % 15));
    expect(user.loadTag(tagged + i * size + 16 * (i + 1))).toBe(0);
  }
  k.check();
}

/** Nothing of it is worth anything any more. */
const losing = (k: Fixture) => (lost: readonly PhysRange[]) => {
  for (const { base, size } of lost) k.port.fill(base, size, 0xb7);
};

describe('hibernation', () => {
  it.each([
    ['cma', { policy: 'cma' }],
    ['cma, block of 3', { policy: 'cma', blockSizePages: 3, tagPages: 96 }],
    ['cma, 16 KiB pages', { policy: 'cma', pageSize: 16384 }],
    ['static', { policy: 'static' }],
    ['without MTE', { mte: false }],
  ] as const)('%s: data, tags and the state of tag storage come back', (_name, options) => {
    const s = stage(options);
    if ('mte' in options) {
      const { k, user, plain } = s;
      expect(k.run(hibernate(k.mm, losing(k)))).toBe(0);
      expect(Buffer.compare(user.load(plain, 4096)!, pattern(4096, 1))).toBe(0);
      k.check();
      return;
    }
    const { k } = s;
    const before = k.memory.snapshotTagStorage();
    const unused = k.unused();
    let lost = 0;
    const cycle = (ranges: readonly PhysRange[]) => {
      losing(k)(ranges);
      lost = ranges.reduce((sum, { size }) => sum + size, 0);
    };
    expect(k.run(hibernate(k.mm, cycle))).toBe(0);
    expect(lost).toBeGreaterThan((k.mm.totalramPages() * k.memory.pageSize) / 2);
    expect(k.memory.snapshotTagStorage()).toEqual(before);
    expect(k.unused()).toBe(unused);
    expect(k.mm.swap!.freeSlots).toBe(3000);
    verify(s);
    // And memory is usable: written, copied, given back.
    const child = s.user.fork();
    child.store(s.tagged, pattern(k.memory.pageSize, 7));
    verify(s);
    for (const each of [child, s.user]) each.exit();
    k.check();
  });

  it('what is swapped out stays where it is, with its tags', () => {
    const s = stage();
    const { k } = s;
    const held = [];
    for (let page = k.run(allocKernelPage(k)); page !== undefined; page = k.run(allocKernelPage(k)))
      held.push(page);
    for (const page of held) k.run(putPage(k.mm, page));
    expect(k.mm.events.pswpout).toBeGreaterThan(0);
    expect(k.run(hibernate(k.mm, losing(k)))).toBe(0);
    verify(s);
  });

  it('-ENODEV without swap; -ENOSPC, -ENOMEM and -EIO leave everything as it was', () => {
    const none = stage({ swapPages: 0 });
    expect(none.k.run(hibernate(none.k.mm, losing(none.k)))).toBe(-19);
    const small = stage({ swapPages: 20 });
    expect(small.k.run(hibernate(small.k.mm, losing(small.k)))).toBe(-28);
    verify(small);
    expect(small.k.mm.swap!.freeSlots).toBe(20);
    for (const [kind, error] of [
      ['page_alloc', -12],
      ['slab', -12],
      ['swap_write', -5],
    ] as const) {
      for (const n of [1, 2, 20]) {
        const s = stage();
        const unused = s.k.unused();
        let left = n;
        s.k.mm.shouldFail = (what) => what === kind && --left <= 0;
        const result = s.k.run(hibernate(s.k.mm, losing(s.k)));
        s.k.mm.shouldFail = () => false;
        expect([kind, n, result]).toEqual([kind, n, error]);
        // Out of pages, reclaim tries what it can.
        if (kind !== 'page_alloc') expect([s.k.unused(), s.k.mm.swap!.freeSlots]).toEqual([unused, 3000]);
        verify(s);
      }
    }
  });
});

function* allocKernelPage(k: Fixture) {
  return yield* allocPages(k.mm, GFP_KERNEL, 0);
}

const PROGRAM = `
        .include "runtime.inc"
        .equ    PAGES, 40
        .global _start
_start:
        map     (PAGES * 0x1000), 0x23
        mov     x19, x0
        mov     x20, #0
fill:   lsl     x1, x20, #12
        and     x2, x20, #15
        add     x3, x19, x1
        orr     x3, x3, x2, lsl #56
        stg     x3, [x3]
        str     x20, [x3, #8]
        add     x20, x20, #1
        cmp     x20, #PAGES
        b.lo    fill
        mov     x0, #-100
        adr     x1, state
        mov     x2, #1
        mov     x3, #0
        call    56
        mov     x21, x0
        adr     x1, memory
        mov     x2, #4
        call    SYS_write
        show    x0                      // EINVAL
        mov     x0, x21
        adr     x1, disk
        mov     x2, #4
        call    SYS_write
        show    x0                      // 4
        mov     x20, #0
        mov     x22, #0
check:  lsl     x1, x20, #12
        and     x2, x20, #15
        add     x3, x19, x1
        mov     x4, x3
        ldg     x4, [x3]
        orr     x5, x3, x2, lsl #56
        cmp     x4, x5
        cinc    x22, x22, ne
        ldr     x6, [x5, #8]
        cmp     x6, x20
        cinc    x22, x22, ne
        add     x20, x20, #1
        cmp     x20, #PAGES
        b.lo    check
        show    x22                     // pages that differ
        finish
state:  .asciz  "/sys/power/state"
memory: .ascii  "mem\\n"
disk:   .ascii  "disk"
`;

/** A child counts in shared memory, twice in different places; both counts are always as far. */
const COUNTING = `
        .include "runtime.inc"
        .global _start
_start: mov     x0, #0
        mov     x1, #8192
        mov     x2, #3
        mov     x3, #0x21
        mov     x4, #-1
        mov     x5, #0
        call    222
        mov     x19, x0
        mov     x0, #17
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        call    220
        mov     x23, x0
        cbnz    x0, parent
child:  ldr     x1, [x19]
        add     x1, x1, #1
        str     x1, [x19, #4096]
        str     x1, [x19]
        b       child
parent: call    124
        ldr     x1, [x19]
        cmp     x1, #100
        b.lo    parent
        mov     x0, #-100
        adr     x1, state
        mov     x2, #1
        mov     x3, #0
        call    56
        adr     x1, disk
        mov     x2, #4
        call    SYS_write
        show    x0                      // 4
        ldr     x24, [x19]
        add     x24, x24, #100
again:  call    124
        ldr     x1, [x19]
        cmp     x1, x24
        b.lo    again
        mov     x0, x23
        mov     x1, #9
        call    129
        mov     x0, #-1
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        call    260
        ldr     x1, [x19]
        ldr     x2, [x19, #4096]
        sub     x2, x2, x1
        lsr     x2, x2, #1              // as far, or one ahead
        show    x2
        finish
state:  .asciz  "/sys/power/state"
disk:   .ascii  "disk"
`;

/** Prints image_size, writes 1048576 to it, and prints it again. */
const SIZES = `
        .include "runtime.inc"
        .global _start
_start: sub     sp, sp, #64
        bl      print
        mov     x0, #-100
        adr     x1, path
        mov     x2, #1
        call    56
        adr     x1, size
        mov     x2, #7
        call    SYS_write
        bl      print
        finish
print:  mov     x25, x30
        mov     x0, #-100
        adr     x1, path
        mov     x2, #0
        call    56
        mov     x1, sp
        mov     x2, #64
        call    63
        mov     x2, x0
        mov     x0, #1
        mov     x1, sp
        call    SYS_write
        ret     x25
path:   .asciz  "/sys/power/image_size"
size:   .ascii  "1048576"
`;

describe('from a program', () => {
  const runtime = readFileSync(`${ROOT}test/kernel/programs/runtime.inc`, 'utf8');
  const tree = (bootargs: string) =>
    readFileSync(`${ROOT}dts/default.dts`, 'utf8').replace('bootargs = ""', `bootargs = "${bootargs}"`);
  const run = (bootargs: string, ...options: string[]) =>
    mtemu(['run', '--machine', 'tree.dts', '--tcf', 'sync', '--check', ...options, 'program.s'], {
      'program.s': PROGRAM,
      'runtime.inc': runtime,
      'tree.dts': tree(bootargs),
    });
  const numbers = (text: string) => text.split('\n').filter((line) => /^[0-9a-f]{16}$/.test(line));
  const EINVAL = 'ffffffffffffffea';

  it.each([
    ['lent tag storage', ['--tag-storage', 'cma']],
    ['a static carve-out', ['--tag-storage', 'static']],
    ['caches', ['--tag-storage', 'cma', '--caches', 'model']],
    ['the evaluator', ['--engine', 'evaluate']],
  ])('memory and tags are there when the write returns, with %s', async (_name, options) => {
    const outcome = await run('mtemu.swap=64M', ...options);
    expect(outcome).toMatchObject({ status: 0, stderr: '' });
    expect(numbers(outcome.stdout)).toEqual([EINVAL, '0000000000000004', '0000000000000000']);
  });

  it('-ENODEV without swap', async () => {
    const outcome = await run('');
    expect(numbers(outcome.stdout)).toEqual([EINVAL, 'ffffffffffffffed', '0000000000000000']);
  });

  it.each([
    ['one CPU', []],
    ['two CPUs', ['--cpus', '2']],
  ])('a child that counts meanwhile is frozen and goes on, on %s', async (_name, options) => {
    const files = { 'program.s': COUNTING, 'runtime.inc': runtime, 'tree.dts': tree('mtemu.swap=64M') };
    const args = ['run', '--machine', 'tree.dts', '--check', ...options, 'program.s'];
    const outcome = await mtemu(args, files);
    expect(outcome).toMatchObject({ status: 0, stderr: '' });
    expect(numbers(outcome.stdout)).toEqual(['0000000000000004', '0000000000000000']);
  });

  it('/sys/power says how large an image may be, and takes another size', async () => {
    const files = { 'program.s': SIZES, 'runtime.inc': runtime, 'tree.dts': tree('mtemu.swap=64M') };
    const { stdout, status } = await mtemu(['run', '--machine', 'tree.dts', 'program.s'], files);
    expect(status).toBe(0);
    const [before, after] = stdout.split('\n').filter((line) => /^\d+$/.test(line));
    expect(Number(before)).toBeGreaterThan(0.39 * 500 * 2 ** 20);
    expect(after).toBe('1048576');
  });
});
