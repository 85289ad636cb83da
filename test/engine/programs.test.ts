/**
 * Whole programs under the mini-kernel, evaluator and each other engine in lock-step: registers, system
 * registers and counts after every stretch, all of memory now and then and at the end.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { assemble } from '../../src/assembler/index.js';
import { type ElfFile, readElf, toElf } from '../../src/elf/index.js';
import { createEngine, type EngineMaker, type LockstepSide, lockstep } from '../../src/engine/index.js';
import { bootSystem, setTaggedAddrCtrl } from '../../src/kernel/index.js';
import { shippedTree } from '../../src/machine/index.js';

const ROOT = new URL('../..', import.meta.url).pathname;
/** ENABLE and every tag but 0, with TCF in bits 2:1. */
const CHECKED = 1n | (0xfffen << 3n);

function program(path: string): ElfFile {
  if (path.endsWith('.elf')) return readElf(readFileSync(ROOT + path), path);
  const folder = ROOT + path.replace(/[^/]*$/, '');
  const text = readFileSync(ROOT + path, 'utf8');
  const include = (name: string) => ({ name, text: readFileSync(folder + name, 'utf8') });
  return readElf(toElf(assemble({ name: path, text }, { include })), path);
}

function side(elf: ElfFile, args: readonly string[], engine: EngineMaker, tcf: bigint): LockstepSide {
  const { board, kernel } = bootSystem({ tree: shippedTree('default'), engine, write: () => {} });
  const control = setTaggedAddrCtrl(CHECKED | (tcf << 1n), true);
  if (typeof control === 'number') throw new Error('control');
  const process = kernel.spawn({ elf, args: ['program', ...args], control });
  if (typeof process === 'number') throw new Error('spawn');
  return {
    machine: board.machine,
    runUntil(pause) {
      const outcome = kernel.run(process, { expired: pause });
      expect(outcome.kind).toMatch(/^(limit|ended)$/);
      if (outcome.kind === 'ended' && elf.name.startsWith('test/')) {
        expect(outcome.end).toEqual({ kind: 'exited', status: 0 });
      }
      return outcome.kind === 'limit';
    },
  };
}

const evaluator: EngineMaker = (machine) => createEngine(machine, 'evaluate');

describe.each(['interpret', 'translate'])('programs in lock-step, evaluator and %s', (name) => {
  const other: EngineMaker = (machine) => createEngine(machine, name);

  it.each([
    ['firmware/bench/alu.s', ['100'], 1n, 997],
    ['firmware/bench/copy.s', ['2'], 1n, 1013],
    ['firmware/bench/faults.s', ['40'], 2n, 31],
    ['firmware/bench/system-calls.s', ['30'], 1n, 13],
    ['firmware/bench/forks.s', ['3'], 1n, 17],
    ['firmware/bench/pipes.s', ['10'], 1n, 19],
    ['firmware/bench/signals.s', ['10'], 2n, 11],
    ['test/engine/programs/timer-signals.s', [], 1n, 9973],
    ['firmware/examples/hello.s', [], 1n, 1],
    ['firmware/examples/overflow.s', [], 1n, 7],
    ['firmware/examples/use-after-free.s', [], 2n, 7],
    ['firmware/programs/reuse.elf', [], 0n, 4999],
  ] as const)('%s %j, TCF %i', (path, args, tcf, every) => {
    const elf = program(path);
    const result = lockstep((engine) => side(elf, args, engine, tcf), [evaluator, other], {
      every,
      memoryEvery: 200,
    });
    expect(result.differences).toEqual([]);
    expect(result.steps).toBeGreaterThan(400);
  });
});
