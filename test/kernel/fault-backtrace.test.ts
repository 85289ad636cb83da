/**
 * The backtrace of a tag-check fault report: frame records, leaf functions, chains that are none.
 */
import { describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';

/** _start calls outer, outer calls the leaf inner, which faults; `breakChain` runs in outer before that. */
const program = (breakChain: string) => `
  .arch armv8.5-a+memtag
  .text
  .global _start
  .type inner, %function
  .type outer, %function
  .type _start, %function
inner:
  orr x1, x0, #0x0300000000000000
  str x1, [x1]
  ret
outer:
  stp x29, x30, [sp, #-32]!
  mov x29, sp
  ${breakChain}
  bl inner
  ldp x29, x30, [sp], #32
  ret
_start:
  mov x29, #0
  mov x30, #0
  stp x29, x30, [sp, #-16]!
  mov x29, sp
  mov x0, #0
  mov x1, #4096
  mov x2, #0x23
  mov x3, #0x22
  mov x4, #-1
  mov x5, #0
  mov x8, #222
  svc #0
  bl outer
  mov x8, #94
  svc #0
`;

interface Report {
  readonly backtrace: readonly { readonly pc: string; readonly symbol: string | null }[];
}

async function functions(breakChain: string): Promise<(string | undefined)[]> {
  const { stderr, status } = await mtemu(['run', '--report', 'json', 'deep.s'], {
    'deep.s': program(breakChain),
  });
  expect(status).toBe(139);
  const report = JSON.parse(stderr) as Report;
  return report.backtrace.map(({ symbol }) => symbol?.split('+')[0]);
}

describe('backtraces', () => {
  it('name the leaf, its caller and the callers from frame records', async () => {
    expect(await functions('nop')).toEqual(['inner', 'outer', '_start']);
  });

  it.each([
    ['unaligned', 'add x29, x29, #4'],
    ['not mapped', 'mov x29, #64'],
    ['below the stack pointer', 'sub x29, x29, #64'],
    ['a tagged pointer to nothing', 'mov x29, #-16'],
  ])('end where the chain is %s', async (_what, breakChain) => {
    expect(await functions(breakChain)).toEqual(['inner', 'outer']);
  });

  it('end where a record leads to itself', async () => {
    expect(await functions('str x29, [x29]')).toEqual(['inner', 'outer', '_start']);
  });

  it('stand in the text', async () => {
    const { stderr } = await mtemu(['run', 'deep.s'], { 'deep.s': program('nop') });
    expect(stderr).toMatch(
      /^backtrace\n {2}#0 {2}0x[0-9a-f]{16} \(inner\+0x4\)\n {2}#1 .*\(outer\+0x[0-9a-f]+\)\n/m,
    );
  });
});

describe('backtraces through signal handlers', () => {
  /** outer sends itself SIGUSR1 from the leaf `raise`; the handler faults, alone or in `inner`. */
  const handled = (handler: string, flags: number, altstack = '') => `
  .arch armv8.5-a+memtag
  .data
  .balign 16
act: .quad handler, ${flags}, 0, 0
stack: .quad other, 0, 16384
  .bss
  .balign 16
other: .space 16384
  .text
  .global _start
  .type inner, %function
  .type handler, %function
  .type raise, %function
  .type outer, %function
  .type _start, %function
inner:
  orr x1, x19, #0x0300000000000000
  str x1, [x1]
  ret
handler:
  ${handler}
raise:
  mov x8, #172
  svc #0
  mov x1, #10
  mov x8, #129
  svc #0
  ret
outer:
  stp x29, x30, [sp, #-32]!
  mov x29, sp
  bl raise
  ldp x29, x30, [sp], #32
  ret
_start:
  mov x29, #0
  mov x30, #0
  stp x29, x30, [sp, #-16]!
  mov x29, sp
  mov x0, #0
  mov x1, #4096
  mov x2, #0x23
  mov x3, #0x22
  mov x4, #-1
  mov x5, #0
  mov x8, #222
  svc #0
  mov x19, x0
  ${altstack}
  mov x0, #10
  adr x1, act
  mov x2, #0
  mov x3, #8
  mov x8, #134
  svc #0
  bl outer
  mov x8, #94
  svc #0
`;
  const FRAMED = 'stp x29, x30, [sp, #-16]!\n mov x29, sp\n bl inner\n ldp x29, x30, [sp], #16\n ret';
  const LEAF = 'orr x1, x19, #0x0300000000000000\n str x1, [x1]\n ret';
  const ONSTACK = 0x08000000;
  const ALTSTACK = 'adr x0, stack\n mov x1, #0\n mov x8, #132\n svc #0';
  const rest = ['<signal handler called>', 'raise', 'outer', '_start'];

  it.each([
    ['a handler with a frame of its own', handled(FRAMED, 0), ['inner', 'handler', ...rest]],
    ['a handler that is a leaf', handled(LEAF, 0), ['handler', ...rest]],
    ['another stack', handled(FRAMED, ONSTACK, ALTSTACK), ['inner', 'handler', ...rest]],
    ['a leaf on another stack', handled(LEAF, ONSTACK, ALTSTACK), ['handler', ...rest]],
  ])('go on in what was interrupted: %s', async (_what, text, expected) => {
    const { stderr, status } = await mtemu(['run', '--report', 'json', 's.s'], { 's.s': text });
    expect(status).toBe(139);
    const { backtrace } = JSON.parse(stderr) as Report;
    expect(backtrace.map(({ symbol }) => symbol?.split('+')[0])).toEqual(expected);
  });
});

describe('a fault that the program handles', () => {
  /** The handler sends `signal` to its own process, after giving it back its default action. */
  const handling = (signal: number) => `
  .arch armv8.5-a+memtag
  .data
  .balign 8
act: .quad handler, 0, 0, 0
none: .quad 0, 0, 0, 0
  .text
  .global _start
  .type poke, %function
handler:
  mov x0, #${signal}
  adr x1, none
  mov x2, #0
  mov x3, #8
  mov x8, #134
  svc #0
  mov x8, #172
  svc #0
  mov x1, #${signal}
  mov x8, #129
  svc #0
  mov x8, #139
  svc #0
poke:
  str x1, [x1]
  ret
_start:
  mov x0, #11
  adr x1, act
  mov x2, #0
  mov x3, #8
  mov x8, #134
  svc #0
  mov x0, #0
  mov x1, #4096
  mov x2, #0x23
  mov x3, #0x22
  mov x4, #-1
  mov x5, #0
  mov x8, #222
  svc #0
  orr x1, x0, #0x0300000000000000
  bl poke
`;

  it.each([6, 11])('is reported when the program then ends itself by signal %i', async (signal) => {
    const { stderr, status } = await mtemu(['run', 'own.s'], { 'own.s': handling(signal) });
    expect(status).toBe(128 + signal);
    expect(stderr).toMatch(/^mtemu: tag-check fault: store of 8 bytes/);
    expect(stderr).toContain('in poke');
  });

  it('is not what another signal is blamed on', async () => {
    const { stderr, status } = await mtemu(['run', 'own.s'], { 'own.s': handling(15) });
    expect(status).toBe(143);
    expect(stderr).not.toContain('tag-check fault');
  });
});
