/**
 * Random programs against the shadow of every byte and tag, alone and with steps in random order, and with the
 * n-th call of an operation made to fail. What fails is shrunk, and written as a script that
 * `mtemu scenario replay` runs.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Command, ScriptSettings, ScriptVerdict, Step, Together } from '../../src/lab/index.js';
import {
  bootScript,
  DEFAULT_SETTINGS,
  formatScript,
  KERNEL_OPS,
  OPS,
  REACHED,
  randomCommands,
  runScript,
} from '../../src/lab/index.js';

const step: fc.Arbitrary<Step> = fc.record({
  op: fc.constantFrom(...OPS),
  a: fc.nat(7),
  b: fc.nat(200),
  c: fc.nat(4000),
});

const steps = fc.array(step, { minLength: 20, maxLength: 150, size: 'max' });

/** Something that the kernel does, while one or two programs do something. */
const together: fc.Arbitrary<Together> = fc
  .tuple(
    fc.record({ op: fc.constantFrom(...KERNEL_OPS), a: fc.nat(7), b: fc.nat(200), c: fc.nat(4000) }),
    fc.array(step, { minLength: 1, maxLength: 2 }),
    fc.nat(1_000_000),
  )
  .map(([kernel, others, seed]) => ({ op: 'together', steps: [kernel, ...others], order: { seed } }));

const withRaces: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof({ arbitrary: step, weight: 2 }, { arbitrary: together, weight: 1 }),
  { minLength: 20, maxLength: 100, size: 'max' },
);

/** Runs a script; a failure's own script stands in the error, and in a file. */
function expectHeld(settings: ScriptSettings, commands: readonly Command[]): ScriptVerdict {
  const verdict = runScript({ settings, commands });
  if (verdict.held) {
    expect(verdict.warnings).toEqual([]);
    return verdict;
  }
  const text = formatScript(verdict.script);
  const file = join(mkdtempSync(join(tmpdir(), 'mtemu-model-')), 'failure.script');
  writeFileSync(file, text);
  throw new Error(
    `invariant ${verdict.invariant} at ${verdict.step}: ${verdict.detail}\nmtemu scenario replay ${file}\n${text}`,
  );
}

const CASES: readonly (readonly [ScriptSettings['pageSize'], number, number])[] = [
  [4096, 1, 8],
  [4096, 2, 7],
  [4096, 3, 6],
  [4096, 4, 5],
  [4096, 6, 5],
  [4096, 8, 5],
  [16384, 1, 2],
  [16384, 2, 2],
  [16384, 3, 2],
  [16384, 4, 2],
  [16384, 6, 2],
  [16384, 8, 2],
  [65536, 1, 2],
  [65536, 2, 1],
  [65536, 3, 2],
  [65536, 4, 1],
  [65536, 6, 1],
  [65536, 8, 1],
];

describe('random programs against the shadow of every byte and tag', () => {
  for (const [pageSize, blockSizePages, numRuns] of CASES) {
    const settings = { ...DEFAULT_SETTINGS, pageSize, blockSizePages };
    it(`cma, ${pageSize / 1024} KiB pages, block of ${blockSizePages}`, () => {
      expect(bootScript(settings).tagStorageEnabled).toBe(true);
      fc.assert(
        fc.property(steps, (commands) => void expectHeld(settings, commands)),
        { numRuns, seed: 7 * pageSize + blockSizePages },
      );
    });
  }

  it.each([
    [4096, 1, 6],
    [4096, 3, 5],
    [16384, 2, 2],
  ] as const)('cma with swap, %i bytes a page, block of %i', (pageSize, blockSizePages, numRuns) => {
    let swapped = 0;
    fc.assert(
      fc.property(steps, (commands) => {
        const settings = { ...DEFAULT_SETTINGS, pageSize, blockSizePages, swapPages: 256 };
        swapped += expectHeld(settings, commands).metrics['pswpin']!;
      }),
      { numRuns, seed: 5 * pageSize + blockSizePages },
    );
    expect(swapped).toBeGreaterThan(20);
  });

  it('static: the same programs on a carve-out', () => {
    fc.assert(
      fc.property(steps, (commands) => void expectHeld({ ...DEFAULT_SETTINGS, policy: 'static' }, commands)),
      { numRuns: 6, seed: 11 },
    );
  });
});

describe('a run of a thousand commands goes through all that there is without huge pages', () => {
  it.each([1])('seed %i', (seed) => {
    const settings = { ...DEFAULT_SETTINGS, seed, swapPages: 256 };
    const { reached } = expectHeld(settings, randomCommands(seed, 1000, true));
    for (const what of REACHED) {
      if (what !== 'collapse' && what !== 'split') expect(reached[what], what).toBeGreaterThan(3);
    }
  });
});

describe('the same, and steps of several at once in random order', () => {
  it.each([
    [4096, 1, 0, 6],
    [4096, 2, 256, 6],
    [4096, 3, 256, 4],
    [16384, 4, 256, 1],
    [65536, 1, 256, 1],
  ] as const)(
    '%i bytes a page, block of %i, %i pages of swap',
    (pageSize, blockSizePages, swapPages, numRuns) => {
      const settings = { ...DEFAULT_SETTINGS, pageSize, blockSizePages, swapPages };
      fc.assert(
        fc.property(withRaces, (commands) => void expectHeld(settings, commands)),
        { numRuns, seed: 3 * pageSize + blockSizePages },
      );
    },
  );
});

describe('fault injection: the n-th call fails', () => {
  /** A program that maps, tags, forks, migrates, turns memory tagged, and runs short of it. */
  const random = fc.sample(fc.array(step, { minLength: 110, maxLength: 110, size: 'max' }), {
    seed: 42,
    numRuns: 1,
  })[0]!;
  const stashing: Step[] = [
    { op: 'mmapMte', a: 0, b: 5, c: 1 },
    { op: 'tagMany', a: 0, b: 0, c: 1 },
    { op: 'fork', a: 0, b: 0, c: 0 },
    ...[0, 1, 2, 3].map((b): Step => ({ op: 'migrate', a: 0, b, c: 0 })),
    { op: 'tagMany', a: 1, b: 0, c: 9 },
  ];
  const swapping = [...stashing, { op: 'pressure', a: 0, b: 0, c: 0 } as const, ...random.slice(0, 60)];

  /** Every call from the first to the twelfth, then some, until the run has fewer. */
  function sweep(operation: string, swapPages: number, commands: readonly Command[], stride: number): number {
    let reached = 0;
    for (let nth = 1; nth <= 400; nth += nth < 12 ? 1 : stride) {
      const settings = { ...DEFAULT_SETTINGS, blockSizePages: 2, swapPages, fail: { operation, nth } };
      if (expectHeld(settings, commands).injected < nth) break;
      reached++;
    }
    return reached;
  }

  it.each(['swap_write', 'swap_read', 'swap_slot', 'slab', 'page_alloc'])('with swap, %s', (operation) => {
    expect(sweep(operation, 256, swapping, 43)).toBeGreaterThan(0);
  });

  it.each(['page_alloc', 'slab', 'xa_store', 'reserve_tag_storage', 'migrate'])(
    'without swap, %s',
    (operation) => {
      expect(sweep(operation, 0, [...stashing, ...random], 43)).toBeGreaterThan(0);
    },
  );
});
