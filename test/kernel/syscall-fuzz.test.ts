/**
 * Random system calls with hostile arguments: whatever a guest passes, the emulator goes on, the
 * invariants hold, and a process that asks for nothing odd is not disturbed.
 *
 * The first process forks children, each of which makes a few random calls; a timer ends those that
 * sleep, and their parent those that the timer does not reach. After each child the parent checks a word of its own memory. A child begins with some descriptors (a memory
 * file, a pipe, a socket, an event counter, an epoll), IPC objects and random words in its memory.
 *
 * For long runs by hand: MTEMU_SYSCALL_FUZZ="FROM COUNT CHILDREN CALLS [OPTION...]", which takes the place of the
 * seeds and options below.
 */
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/base/index.js';
import { SYSCALLS } from '../../src/kernel/index.js';
import { mtemu } from '../cli/in-process.js';

const INTERESTING = [
  0n,
  2n,
  3n,
  8n,
  24n,
  64n,
  4095n,
  4096n,
  0x10000n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x7fffffffffffn,
  0xfffffffff000n,
  0x1000000000000n,
  0x0f00000000000000n,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0xffffffffffffffffn,
  0xfffffffffffff001n,
  0xffffffffffffff9cn, // AT_FDCWD
];
/** Calls whose first argument names a process: 1 is the parent, which must live. */
const NAMES_A_PROCESS = new Set([129, 130, 131, 138, 240, 261]);

const [from = '1', count = '3', children = '30', calls = '6', ...byHand] =
  process.env['MTEMU_SYSCALL_FUZZ']?.split(' ') ?? [];
const SEEDS = Array.from({ length: Number(count) }, (_, i) => Number(from) + i);
const CHILDREN = Number(children);
const CALLS = Number(calls);
/** Each seed under one of them. */
const OPTIONS: readonly (readonly string[])[] =
  byHand.length > 0
    ? [byHand]
    : [
        ['--memory', '64M', '--check'],
        ['--memory', '64M', '--tag-storage', 'cma', '--cpus', '2'],
        ['--memory', '64M', '--engine', 'translate'],
      ];

function load(register: string, value: bigint): string {
  const parts = [0n, 16n, 32n, 48n].map((shift) => Number((value >> shift) & 0xffffn));
  const moves = [`movz ${register}, #${parts[0]}`];
  parts.slice(1).forEach((part, i) => {
    if (part !== 0) moves.push(`movk ${register}, #${part}, lsl #${16 * (i + 1)}`);
  });
  return moves.map((move) => `        ${move}\n`).join('');
}

function randomCall(random: Random, numbers: readonly number[]): string {
  const number = random.below(20) === 0 ? random.below(500) : numbers[random.below(numbers.length)]!;
  let text = '';
  for (let i = 0; i < 6; i++) {
    const kind = random.below(8);
    // A pointer into the data page, near its end, into the text, or plain nonsense.
    if (kind === 0) text += `        add x${i}, x19, #${random.below(256) * 8}\n`;
    else if (kind === 1) text += `        add x${i}, x19, #4088\n`;
    else if (kind === 2) text += `        adr x${i}, path\n`;
    else if (kind === 3) text += load(`x${i}`, random.u64());
    else if (kind === 4) text += load(`x${i}`, BigInt(random.below(random.below(2) === 0 ? 10 : 64)));
    else text += load(`x${i}`, INTERESTING[random.below(INTERESTING.length)]!);
  }
  if (NAMES_A_PROCESS.has(number)) text += load('x0', 9999n);
  return `${text}        mov x8, #${number}\n        svc #0\n`;
}

/** What a child has before its random calls: descriptors 3 to 8, IPC objects with id 0, random words. */
const PRELUDE: readonly (readonly [number: number, ...args: (number | string)[]])[] = [
  [279, 'path', 3],
  [46, 3, 8192],
  [59, 'data', 0],
  [198, 1, 1, 0],
  [19, 1, 0],
  [20, 0],
  [194, 0x77, 8192, 0o1666],
  [190, 0x77, 4, 0o1666],
  [186, 0x77, 0o1666],
];

function prelude(random: Random): string {
  const calls = PRELUDE.map(([number, ...args]) => {
    const loads = args.map((arg, i) => {
      if (arg === 'path') return `        adr x${i}, path\n`;
      if (arg === 'data') return `        add x${i}, x19, #256\n`;
      return load(`x${i}`, BigInt(arg));
    });
    return `${loads.join('')}        mov x8, #${number}\n        svc #0\n`;
  });
  for (let word = 0; word < 24; word++) {
    const value = random.below(3) === 0 ? random.u64() : INTERESTING[random.below(INTERESTING.length)]!;
    calls.push(`${load('x0', value)}        str x0, [x19, #${8 * (40 + random.below(400))}]\n`);
  }
  return calls.join('');
}

function program(seed: number): string {
  const random = new Random(seed, 'syscall fuzz');
  const numbers = [...SYSCALLS.keys()];
  let text = `
        .text
        .global _start
_start:
        mov     x0, #0
        mov     x1, #4096
        mov     x2, #3
        mov     x3, #0x22
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #222
        svc     #0
        mov     x19, x0
        mov     x20, #0x1234
        str     x20, [x19, #128]
        mov     x0, #0                  // SIGCHLD is waited for, not taken
        adr     x1, child_ends
        mov     x2, #0
        mov     x3, #8
        mov     x8, #135
        svc     #0
`;
  for (let child = 0; child < CHILDREN; child++) {
    text += `
        mov     x0, #17                 // fork
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        mov     x8, #220
        svc     #0
        cbnz    x0, parent_${child}
        mov     x0, #0                  // a group of its own
        mov     x1, #0
        mov     x8, #154
        svc     #0
        adr     x1, soon
        mov     x0, #0
        mov     x2, #0
        mov     x8, #103                // setitimer
        svc     #0
`;
    text += prelude(random);
    for (let call = 0; call < CALLS; call++) text += randomCall(random, numbers);
    text += `
        mov     x0, #0
        mov     x8, #94
        svc     #0
        b       .
parent_${child}:
        mov     x21, x0
        adr     x2, enough
        adr     x0, child_ends
        mov     x1, #0
        mov     x3, #8
        mov     x8, #137                // rt_sigtimedwait
        svc     #0
        mov     x0, x21
        mov     x1, #9
        mov     x8, #129                // kill
        svc     #0
        mov     x0, x21
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x8, #260                // wait4
        svc     #0
        adr     x2, at_once
        adr     x0, child_ends
        mov     x1, #0
        mov     x3, #8
        mov     x8, #137                // the end by kill is told too
        svc     #0
        ldr     x0, [x19, #128]
        cmp     x0, x20
        b.ne    disturbed
`;
  }
  return `${text}
        mov     x0, #1
        adr     x1, done
        mov     x2, #5
        mov     x8, #64
        svc     #0
        mov     x0, #0
        mov     x8, #94
        svc     #0
disturbed:
        mov     x0, #1
        mov     x8, #94
        svc     #0
path:   .asciz  "/tmp/../proc/self/maps"
        .balign 8
done:   .ascii  "done\\n"
        .balign 8
soon:   .quad   0, 2000, 0, 2000
child_ends: .quad 1 << 16
enough: .quad   0, 50000000
at_once: .quad  0, 0
`;
}

describe('random system calls', () => {
  it.each(SEEDS.map((seed, i) => [seed, OPTIONS[i % OPTIONS.length]!] as const))(
    'do not disturb anybody: seed %i with %j',
    async (seed, options) => {
      const limits = ['--max-steps', '2000000000', '--timeout', '60'];
      const outcome = await mtemu(['run', ...options, ...limits, '--seed', String(seed), 'fuzz.s'], {
        'fuzz.s': program(seed),
      });
      // What guests write to descriptor 2 is theirs; what mtemu says begins with its name.
      const said = outcome.stderr.split('\n').filter((line) => line.startsWith('mtemu: '));
      expect([seed, outcome.status, said]).toEqual([seed, 0, []]);
      expect(outcome.stdout).toMatch(/done\n$/);
    },
    120_000,
  );
});
