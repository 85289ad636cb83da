/**
 * Random programs on machines with room for huge pages: whole blocks are mapped, forked, moved, protected in part,
 * split, collapsed, migrated and swapped, alone and several at once, against the shadow of every byte and tag. What
 * fails is shrunk, and printed as a script that `mtemu scenario replay` runs.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Command, ScriptSettings, ScriptVerdict, Step, Together } from '../../src/lab/index.js';
import {
  ALL_OPS,
  DEFAULT_SETTINGS,
  formatScript,
  HUGE_KERNEL_OPS,
  KERNEL_OPS,
  REACHED,
  randomCommands,
  runScript,
} from '../../src/lab/index.js';

/** Runs a script; a failure's own script stands in the error. */
function expectHeld(settings: ScriptSettings, commands: readonly Command[]): ScriptVerdict {
  const verdict = runScript({ settings, commands });
  if (!verdict.held) {
    throw new Error(
      `invariant ${verdict.invariant} at ${verdict.step}: ${verdict.detail}\n${formatScript(verdict.script)}`,
    );
  }
  expect(verdict.warnings).toEqual([]);
  return verdict;
}

describe('with room for huge pages', () => {
  /** What the programs together must have gone through. */
  const HAPPENED = [
    'thp_fault_alloc',
    'thp_split_pmd',
    'thp_split_page',
    'thp_collapse_alloc',
    'numa_hint_faults',
    'pswpin',
  ];
  const seen = new Map<string, number>();
  const roomy = { ...DEFAULT_SETTINGS, freePages: 128 };
  const hugeStep: fc.Arbitrary<Step> = fc.record({
    op: fc.oneof(
      { arbitrary: fc.constantFrom(...ALL_OPS), weight: 2 },
      {
        arbitrary: fc.constantFrom(
          ...([
            'mmapHuge',
            'mremapHuge',
            'collapse',
            'khugepaged',
            'split',
            'migrate',
            'fork',
            'exit',
          ] as const),
          ...(['writeMany', 'tagMany', 'writeMany', 'tagMany'] as const),
        ),
        weight: 3,
      },
    ),
    a: fc.nat(7),
    b: fc.nat(200),
    c: fc.nat(4000),
  });
  const hugeKernel = fc.record({
    op: fc.constantFrom(...KERNEL_OPS, ...HUGE_KERNEL_OPS, ...HUGE_KERNEL_OPS),
    a: fc.nat(7),
    b: fc.nat(200),
    c: fc.nat(4000),
  });
  const hugeTogether: fc.Arbitrary<Together> = fc
    .tuple(hugeKernel, fc.array(hugeStep, { minLength: 1, maxLength: 2 }), fc.nat(1_000_000))
    .map(([kernel, others, seed]) => ({ op: 'together', steps: [kernel, ...others], order: { seed } }));
  const program = (length: number) =>
    fc.array(fc.oneof({ arbitrary: hugeStep, weight: 3 }, { arbitrary: hugeTogether, weight: 1 }), {
      minLength: length,
      maxLength: length,
      size: 'max',
    });

  it.each([
    [4096, 1, 0, 'cma', 60, 2],
    [4096, 2, 512, 'cma', 60, 2],
    [4096, 3, 0, 'cma', 60, 1],
    [4096, 4, 512, 'cma', 60, 1],
    [4096, 6, 0, 'cma', 60, 1],
    [4096, 8, 512, 'cma', 60, 1],
    [4096, 1, 512, 'static', 60, 1],
    [16384, 1, 0, 'cma', 14, 1],
    [16384, 3, 0, 'cma', 14, 1],
  ] as const)(
    '%i bytes a page, block of %i, %i pages of swap, %s',
    (pageSize, blockSizePages, swapPages, policy, length, numRuns) => {
      // Five blocks at least.
      const tagPages = pageSize === 4096 ? 192 : 384;
      const settings = { ...roomy, tagPages, pageSize, blockSizePages, swapPages, policy };
      fc.assert(
        fc.property(program(length), (commands) => {
          const { metrics } = expectHeld(settings, [{ op: 'mmapHuge', a: 0, b: 0, c: 1 }, ...commands]);
          for (const name of HAPPENED) seen.set(name, (seen.get(name) ?? 0) + metrics[name]!);
        }),
        { numRuns, seed: 3 * pageSize + blockSizePages },
      );
    },
  );

  it('and all of it happened', () => {
    for (const name of HAPPENED) expect(seen.get(name), name).toBeGreaterThan(0);
  });

  it.each([7])('a run of some hundred commands goes through all that there is; seed %i', (seed) => {
    const settings = { ...roomy, seed, tagPages: 192, swapPages: 512 };
    const { reached } = expectHeld(settings, randomCommands(seed, 250, true, true));
    for (const what of REACHED) expect(reached[what], what).toBeGreaterThan(0);
  });
});
