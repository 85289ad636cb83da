/**
 * A terminal with somebody at it: while programs sleep, the machine's time passes as the person's does, however often
 * keys come, and does not jump ahead to what it waits for.
 */
import { describe, expect, it } from 'vitest';
import { assemble } from '../../src/assembler/index.js';
import { readElf, toElf } from '../../src/elf/index.js';
import { bootSystem } from '../../src/kernel/index.js';
import { defaultTree } from '../../src/machine/index.js';

/** nanosleep() of two seconds, then exit of what it gave. */
const SOURCE = `
        .global _start
_start: adr     x0, time
        mov     x1, #0
        mov     x8, #101                // nanosleep
        svc     #0
        mov     x8, #93                 // exit
        svc     #0
        .balign 8
time:   .quad   2, 0
`;

/** How long the person waited, and how it ended, with a key every so many milliseconds. */
function sleepsFor(keyEvery: number): { readonly waited: number; readonly outcome: unknown } {
  let waited = 0;
  let nextKey = keyEvery;
  const keyboard = {
    isOver: false,
    isLive: true,
    next() {
      if (waited < nextKey) return undefined;
      nextKey += keyEvery;
      return 0x61;
    },
    idle(milliseconds: number) {
      waited += milliseconds;
    },
  };
  const { kernel } = bootSystem({
    tree: defaultTree(64 * 2 ** 20),
    write: () => {},
    terminal: { keyboard, rows: 24, columns: 80 },
  });
  const elf = readElf(toElf(assemble({ name: 'sleep.s', text: SOURCE }, {})), 'sleep.s');
  const process = kernel.spawn({ elf, args: ['sleep.s'] });
  if (typeof process === 'number') throw new Error(`errno ${-process}`);
  return { outcome: kernel.run(process), waited };
}

describe('a terminal with somebody at it', () => {
  it.each([
    ['nobody types', 1e9],
    ['a key comes every 30 ms', 30],
  ])('two seconds take two seconds: %s', (_, keyEvery) => {
    const { waited, outcome } = sleepsFor(keyEvery);
    expect(outcome).toMatchObject({ kind: 'ended', end: { kind: 'exited', status: 0 } });
    expect(waited).toBeGreaterThan(1990);
    expect(waited).toBeLessThan(2100);
  });
});
