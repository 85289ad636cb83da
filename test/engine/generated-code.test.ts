/**
 * Hosts that run no generated code, and modules of another build.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { assemble } from '../../src/assembler/index.js';
import { readElf, toElf } from '../../src/elf/index.js';
import { createEngine, generateInterpreter } from '../../src/engine/index.js';
import { fingerprint } from '../../src/engine/interpreter/fingerprint.js';
import { InterpreterModule } from '../../src/engine/interpreter/module.js';
import { bootSystem } from '../../src/kernel/index.js';
import { defaultTree } from '../../src/machine/index.js';
import { mtemu } from '../cli/in-process.js';
import { testMachine } from '../machine/support.js';

afterEach(() => vi.unstubAllGlobals());

/** As a page's Content-Security-Policy has it. */
const refusing = {
  ...Object.fromEntries(Object.getOwnPropertyNames(WebAssembly).map((n) => [n, WebAssembly[n as 'Memory']])),
  Module: class {
    constructor() {
      throw new EvalError('Refused to compile');
    }
  },
};

/** Counts to 20000, then ends with 3. */
const SOURCE =
  '.global _start\n_start: mov x1, #20000\n1: subs x1, x1, #1\n b.ne 1b\n mov x0, #3\n mov x8, #93\n svc #0\n';

function runProgram() {
  const { kernel, engine } = bootSystem({ tree: defaultTree(64 * 2 ** 20) });
  const elf = readElf(toElf(assemble({ name: 'a.s', text: SOURCE }, {})), 'a');
  const process = kernel.spawn({ elf, args: ['a'] });
  if (typeof process === 'number') throw new Error('spawn');
  return { outcome: kernel.run(process), engine };
}

describe('a host that compiles no WebAssembly', () => {
  it('runs everything on the evaluator, and says why', async () => {
    vi.stubGlobal('WebAssembly', refusing);
    const { outcome, engine } = runProgram();
    expect(outcome).toEqual({ kind: 'ended', end: { kind: 'exited', status: 3 } });
    expect(engine.name).toBe('evaluate');
    expect(engine.statistics).toEqual({ note: 'the host compiles no WebAssembly (Refused to compile)' });
    const { status, stderr } = await mtemu(['run', '--stats', 'a.s'], { 'a.s': SOURCE });
    expect(status).toBe(3);
    expect((JSON.parse(stderr) as { engine: unknown }).engine).toEqual({
      name: 'evaluate',
      note: 'the host compiles no WebAssembly (Refused to compile)',
    });
  });

  it('refuses engines that need it', async () => {
    vi.stubGlobal('WebAssembly', refusing);
    const { status, stderr } = await mtemu(['run', '--engine', 'interpret', 'a.s'], { 'a.s': SOURCE });
    expect(status).toBe(2);
    expect(stderr).toContain("the engine 'interpret' cannot be used: the host compiles no WebAssembly");
  });
});

describe('a host without WebAssembly', () => {
  it('runs everything on the evaluator, memory included', () => {
    vi.stubGlobal('WebAssembly', undefined);
    const { outcome, engine } = runProgram();
    expect(outcome).toEqual({ kind: 'ended', end: { kind: 'exited', status: 3 } });
    expect(engine.statistics).toEqual({ note: 'the host has no WebAssembly' });
    const machine = testMachine();
    const { linear } = machine;
    linear.u8[0x10_0000 % linear.u8.length] = 7;
    const before = linear.u8.slice();
    const at = linear.allocate(40 * 2 ** 20);
    expect(Buffer.compare(linear.u8.subarray(0, before.length), before)).toBe(0);
    expect(linear.u8[at + 40 * 2 ** 20 - 1]).toBe(0);
    expect(() => createEngine(machine, 'translate')).toThrow();
  });
});

describe('a module of another build', () => {
  const bytes = generateInterpreter().bytes;

  it('is refused, by its fingerprint', () => {
    const text = new TextEncoder().encode(fingerprint());
    const at = bytes.findIndex((_, i) => text.every((byte, j) => bytes[i + j] === byte));
    expect(at).toBeGreaterThan(0);
    const stale = bytes.slice();
    stale[at] = stale[at] === 0x30 ? 0x31 : 0x30;
    expect(
      () =>
        new InterpreterModule(
          stale,
          () => stale,
          () => stale,
        ),
    ).toThrow(/of another build .*npm run build/);
    const without = bytes.slice();
    // The section's name.
    without[at - 2] = 0x78;
    expect(
      () =>
        new InterpreterModule(
          without,
          () => without,
          () => without,
        ),
    ).toThrow(/its fingerprint is none/);
    expect(
      () =>
        new InterpreterModule(
          bytes,
          () => bytes,
          () => bytes,
        ),
    ).not.toThrow();
  });
});
