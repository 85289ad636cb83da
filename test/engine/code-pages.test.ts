/**
 * Code pages in the hands of a kernel while their loops are hot: a program that writes its own code, whose
 * pages the kernel moves to other frames, swaps out, shares with a child and gives to others. Stale code
 * never runs, and every engine does the same steps.
 */
import { describe, expect, it } from 'vitest';
import { assemble } from '../../src/assembler/index.js';
import { MiB, PA, VA } from '../../src/base/index.js';
import { readElf, toElf } from '../../src/elf/index.js';
import { createEngine, type EngineMaker, type Interpreter } from '../../src/engine/index.js';
import {
  allocPages,
  bootSystem,
  folioIsolateLru,
  folioPutbackLru,
  GFP_HIGHUSER_MOVABLE,
  type KernelMemoryManager,
  lruAddDrainAll,
  migratePages,
} from '../../src/kernel/index.js';
import { defaultTree, type Engine } from '../../src/machine/index.js';

/**
 * Writes a function of a loop to a page, calls it, changes the number it adds, again and again; leaves the
 * page's address in x19. Every fourth time a child changes its own copy first. Ends with
 * 0 where the sum is right.
 */
const SOURCE = `
        .equ    PAGE, 4096
        .global _start
_start: mov     x0, #0
        mov     x1, #PAGE
        mov     x2, #3
        mov     x3, #0x22
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #222                // mmap
        svc     #0
        mov     x19, x0
        adr     x1, template
        mov     x2, #0
1:      ldr     x3, [x1, x2]
        str     x3, [x19, x2]
        add     x2, x2, #8
        cmp     x2, #32
        b.lo    1b
        mov     x20, #0                 // the sum
        mov     x21, #1                 // the number it adds
again:  mov     x0, x21
        bl      change
        and     x0, x21, #3
        cbnz    x0, 2f
        mov     x0, #17                 // SIGCHLD
        mov     x1, #0
        mov     x8, #220                // clone
        svc     #0
        cbz     x0, child
        mov     x0, #-1
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x8, #260                // wait4
        svc     #0
2:      mov     x0, #600
        blr     x19
        add     x20, x20, x0
        add     x21, x21, #1
        cmp     x21, #25
        b.ne    again
        mov     x0, #600 * 12
        mov     x1, #25
        mul     x0, x0, x1              // 600 * (1 + ... + 24)
        cmp     x0, x20
        cset    x0, ne
        mov     x8, #94
        svc     #0

child:  mov     x0, #100
        bl      change
        mov     x0, #300
        blr     x19
        mov     x8, #93
        svc     #0

// Makes the function add x0 each time round.
change: stp     x29, x30, [sp, #-32]!
        str     x0, [sp, #16]
        mov     x2, #3
        bl      protect
        ldr     x0, [sp, #16]
        ldr     w1, [x19, #4]
        bfi     w1, w0, #10, #12
        str     w1, [x19, #4]
        add     x1, x19, #4
        dc      cvau, x1
        dsb     ish
        ic      ivau, x1
        dsb     ish
        isb
        mov     x2, #5
        bl      protect
        ldp     x29, x30, [sp], #32
        ret
protect:
        mov     x0, x19
        mov     x1, #PAGE
        mov     x8, #226                // mprotect
        svc     #0
        ret

        .balign 8
template:
        mov     x1, #0
        add     x1, x1, #1
        sub     x0, x0, #1
        cbnz    x0, template + 4
        mov     x0, x1
        ret
        nop
        nop
`;

interface Disturbed {
  readonly outcome: unknown;
  readonly steps: number;
  readonly moved: number;
  readonly engine: Interpreter;
}

/** Runs it in stretches; between them the page at x19 goes to another frame, and its old one is filled with rubbish. */
function run(name: string, stretch: number): Disturbed {
  let engine: Engine | undefined;
  const make: EngineMaker = (machine) => {
    engine = createEngine(machine, name);
    return engine;
  };
  const { kernel, board } = bootSystem({ tree: defaultTree(64 * MiB), engine: make, check: true });
  const elf = readElf(toElf(assemble({ name: 'jit.s', text: SOURCE }, {})), 'jit.s');
  const process = kernel.spawn({ elf, args: ['jit.s'] });
  if (typeof process === 'number') throw new Error(`errno ${-process}`);
  const memory = kernel.mm as KernelMemoryManager;
  const { mm } = memory;
  const work = kernel.contexts;
  let moved = 0;
  for (let limit = stretch; ; limit += stretch) {
    const outcome = kernel.run(process, { maxSteps: limit });
    if (outcome.kind !== 'limit') {
      return { outcome, steps: kernel.cpu.steps, moved, engine: engine as Interpreter };
    }
    const at = kernel.cpu.readX(19);
    const mapping = at === 0n ? undefined : memory.virtToPhys(process.mm, VA(at));
    if (!mapping) continue;
    const page = mm.memmap.pfnToPage(mapping.pa / memory.pageSize);
    work.runToCompletion(lruAddDrainAll(mm));
    if (page === undefined || !folioIsolateLru(mm, page)) continue;
    const list = [page];
    work.runToCompletion(migratePages(mm, list, () => allocPages(mm, GFP_HIGHUSER_MOVABLE, 0)));
    for (const left of list) work.runToCompletion(folioPutbackLru(mm, left));
    if (list.length > 0) continue;
    moved += 1;
    // svc of a number that Linux does not know, wherever a stale instruction would be fetched.
    for (let i = 0; i < memory.pageSize; i += 4) board.machine.memory.write32(PA(mapping.pa + i), 0xd4000fe1);
  }
}

describe('code pages that a kernel moves', () => {
  const EXITED = { kind: 'ended', end: { kind: 'exited', status: 0 } };

  it.each([997, 2503])('every %i instructions', (stretch) => {
    const expected = run('evaluate', stretch);
    expect(expected.outcome).toEqual(EXITED);
    expect(expected.moved).toBeGreaterThan(15);
    for (const name of ['interpret', 'translate']) {
      const { outcome, steps, moved, engine } = run(name, stretch);
      expect({ outcome, steps, moved }, name).toEqual({
        outcome: EXITED,
        steps: expected.steps,
        moved: expected.moved,
      });
      if (name === 'translate') expect(engine.statistics.translated).toBeGreaterThan(steps / 4);
    }
  });
});
