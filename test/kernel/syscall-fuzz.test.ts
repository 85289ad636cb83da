/**
 * Random system calls with hostile arguments: whatever a guest passes, the emulator goes on, the
 * invariants hold, and a process that asks for nothing odd is not disturbed.
 *
 * The first process forks children, each of which makes a few random calls; a timer ends those that
 * sleep. After each child the parent checks a word of its own memory.
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
const NAMES_A_PROCESS = new Set([129, 130, 131, 138, 240]);
const CHILDREN = 40;
const CALLS = 6;

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
    else if (kind === 4) text += load(`x${i}`, BigInt(random.below(64)));
    else text += load(`x${i}`, INTERESTING[random.below(INTERESTING.length)]!);
  }
  if (NAMES_A_PROCESS.has(number)) text += load('x0', 9999n);
  return `${text}        mov x8, #${number}\n        svc #0\n`;
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
    for (let call = 0; call < CALLS; call++) text += randomCall(random, numbers);
    text += `
        mov     x0, #0
        mov     x8, #94
        svc     #0
        b       .
parent_${child}:
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x8, #260                // wait4
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
`;
}

describe('random system calls', () => {
  it.each([1, 2, 3])(
    'do not disturb anybody: seed %i',
    async (seed) => {
      const outcome = await mtemu(
        ['run', '--memory', '64M', '--check', '--seed', String(seed), '--max-steps', '200000000', 'fuzz.s'],
        { 'fuzz.s': program(seed) },
      );
      // What guests write to descriptor 2 is theirs; what mtemu says begins with its name.
      const said = outcome.stderr.split('\n').filter((line) => line.startsWith('mtemu: '));
      expect([seed, outcome.status, said]).toEqual([seed, 0, []]);
      expect(outcome.stdout).toMatch(/done\n$/);
    },
    60_000,
  );
});
