/**
 * The benchmark's loops: they compute the same in every engine, plain and tagged, and verdicts are what
 * the figures say.
 */
import { describe, expect, it } from 'vitest';
import { MiB } from '../../src/base/index.js';
import { loopVerdicts, loopWorkloads, printLoops } from '../../src/cli/bench-loops.js';
import { readElf } from '../../src/elf/index.js';
import { bootSystem } from '../../src/kernel/index.js';
import { defaultTree } from '../../src/machine/index.js';

const { bytes, workloads } = loopWorkloads();

/** What the program prints, instructions and tag checks. */
function run(engine: string, rounds: number, args: readonly string[]) {
  let output = '';
  const decoder = new TextDecoder();
  const write = (_fd: number, chunk: Uint8Array) => {
    output += decoder.decode(chunk);
  };
  const { kernel } = bootSystem({ tree: defaultTree(256 * MiB), engine, write });
  const process = kernel.spawn({
    elf: readElf(bytes, 'loops.elf'),
    args: ['/loops', String(rounds), ...args],
    image: bytes,
  });
  if (typeof process === 'number') throw new Error(`not started: errno ${-process}`);
  const outcome = kernel.run(process);
  return { output, outcome: outcome.kind, steps: kernel.cpu.steps, tagChecks: kernel.cpu.tagChecks };
}

describe('the loops', () => {
  it.each(workloads.map((w) => [w.name, w] as const))('%s: equal in interpreter and translator', (_, w) => {
    const rounds = /random|heap/.test(w.name) ? 4 : 1;
    const [a, b] = ['interpret', 'translate'].map((engine) => run(engine, rounds, w.args));
    expect(a!.output).toMatch(/^[0-9a-f]{16}\n$/);
    expect(b).toEqual(a);
    // The stack, which is all that fib uses, is not tagged.
    expect(a!.tagChecks > 500).toBe(!/plain|fib/.test(w.name));
  });

  it('computes the same without tags', () => {
    for (const name of ['sieve', 'copy', 'heap']) {
      const outputs = ['plain', 'sync', 'async'].map((mode) => run('auto', 3, [name, mode]).output);
      expect(new Set(outputs).size).toBe(1);
    }
  });
});

describe('verdicts', () => {
  const measured = (plain: number, sync: number, asyncTime: number) => [
    { name: 'copy plain', unitsPerSecond: 10, ratio: plain },
    { name: 'copy sync', unitsPerSecond: 10, ratio: sync },
    { name: 'copy async', unitsPerSecond: 10 / asyncTime, ratio: sync },
  ];

  it('say which targets are met', () => {
    const met = (plain: number, sync: number, async: number) =>
      loopVerdicts(measured(plain, sync, async)).map(({ value, most }) => value <= most);
    expect(met(0.9, 0.15, 1.05)).toEqual([true, true, true, true, true]);
    expect(met(1.2, 0.3, 1.3)).toEqual([false, true, false, true, false]);
    expect(met(2, 0.7, 1)).toEqual([false, false, false, false, true]);
  });

  it('are printed below the table', () => {
    let text = '';
    const stdout = (part: string) => {
      text += part;
    };
    const io = { stdout };
    printLoops(measured(1.2, 0.15, 1), io as unknown as Parameters<typeof printLoops>[1]);
    expect(text).toMatch(/^copy {14}1\.20 {6}0\.15 {6}0\.15$/m);
    expect(text).toMatch(/^sync, median ratio +0\.15 +target 0\.20: met$/m);
    expect(text).toMatch(/^plain, median ratio +1\.20 +target 1\.00: missed$/m);
  });

  it('leave out what has no rival', () => {
    const alone = [
      { name: 'copy sync', unitsPerSecond: 10, ratio: undefined },
      { name: 'copy async', unitsPerSecond: 10, ratio: undefined },
    ];
    expect(loopVerdicts(alone).map(({ what }) => what)).toEqual(['time async / sync, median']);
  });
});
