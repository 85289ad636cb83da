/**
 * The benchmark's loops: they compute the same in every engine, plain and tagged, and verdicts are what
 * the figures say.
 */
import { describe, expect, it } from 'vitest';
import { MiB } from '../../src/base/index.js';
import { readTimes } from '../../src/cli/bench-linux.js';
import { interpretedWorkload, loopVerdicts, loopWorkloads, printLoops } from '../../src/cli/bench-loops.js';
import type { CommandIo } from '../../src/cli/command.js';
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
  const QEMU = 'qemu-user 7.2';
  const RIVALS = { first: QEMU, users: [], system: undefined };
  const measured = (plain: number, sync: number, asyncTime: number) => [
    { name: 'copy plain', unitsPerSecond: 10, ratio: plain },
    { name: 'copy sync', unitsPerSecond: 10, ratio: sync },
    { name: 'copy async', unitsPerSecond: 10 / asyncTime, ratio: sync },
  ];

  it('say which targets are met', () => {
    const met = (plain: number, sync: number, async: number) =>
      loopVerdicts(measured(plain, sync, async), RIVALS).map(({ value, most }) => value <= most);
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
    printLoops(measured(1.2, 0.15, 1), RIVALS, io as unknown as CommandIo);
    expect(text).toMatch(/^copy {36}1\.20 {6}0\.15 {6}0\.15 +-$/m);
    expect(text).toMatch(/^sync, median to qemu-user 7\.2 +0\.15 +target 0\.20: met$/m);
    expect(text).toMatch(/^plain, median to qemu-user 7\.2 +1\.20 +target 1\.00: missed$/m);
  });

  it('say what the interpreter reaches alone', () => {
    const measurements = measured(0.9, 0.15, 1).map((m) =>
      m.name === 'copy sync' ? { ...m, interpreted: 0.9 } : m,
    );
    const verdict = loopVerdicts(measurements, RIVALS).find(({ what }) => what.includes('interpreter'));
    expect(verdict).toMatchObject({ value: 0.9, most: 0.8 });
    const workload = workloads.find(({ name }) => name === 'copy sync')!;
    expect(interpretedWorkload(workload)!.amounts[1]).toBeLessThan(workload.amounts[1]);
    expect(interpretedWorkload(workloads.find(({ name }) => name === 'copy async')!)).toBeUndefined();
  });

  it('leave out what has no rival', () => {
    const alone = [
      { name: 'copy sync', unitsPerSecond: 10, ratio: undefined },
      { name: 'copy async', unitsPerSecond: 10, ratio: undefined },
    ];
    expect(loopVerdicts(alone, { ...RIVALS, first: undefined }).map(({ what }) => what)).toEqual([
      'time async / sync, median',
    ]);
  });

  it('are given for each rival', () => {
    const system = 'qemu-system mte=on';
    const measurements = measured(0.9, 0.15, 1).map((m) => ({
      ...m,
      others: { newer: m.ratio * 2, ...(m.name.endsWith('sync') ? { [system]: m.ratio / 2 } : {}) },
    }));
    const verdicts = loopVerdicts(measurements, { first: QEMU, users: ['newer'], system });
    expect(verdicts.map(({ what, value, most }) => [what, value, value <= most])).toEqual([
      [`sync, median to ${QEMU}`, 0.15, true],
      [`sync, largest to ${QEMU}`, 0.15, true],
      [`plain, median to ${QEMU}`, 0.9, true],
      [`plain, largest to ${QEMU}`, 0.9, true],
      ['sync, median to newer', 0.3, false],
      ['sync, largest to newer', 0.3, true],
      ['plain, median to newer', 1.8, false],
      ['plain, largest to newer', 1.8, true],
      [`sync, median to ${system}`, 0.075, true],
      ['time async / sync, median', 1, true],
    ]);
  });
});

describe('the rival that boots', () => {
  it('prints times that are read, whatever the kernel says between them', () => {
    const serial =
      'x\r\ntime copy sync 400 1.50 1.75\r\n[  2.0] random: ready\r\ntime copy sync 4000 1.80 4.30\r\ntime sum plain 7 4.30 4.31\n';
    const times = readTimes(serial);
    expect([...times.keys()]).toEqual(['copy sync', 'sum plain']);
    expect(times.get('copy sync')!.map(({ amount, seconds }) => [amount, Math.round(seconds * 100)])).toEqual(
      [
        [400, 25],
        [4000, 250],
      ],
    );
  });
});
