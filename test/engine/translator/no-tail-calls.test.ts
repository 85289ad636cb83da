/**
 * A host whose WebAssembly has no tail calls: every region returns to the loop, which enters the next; the
 * results are the same.
 */
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { createEngine, type Interpreter } from '../../../src/engine/index.js';
import { CODE, load, testMachine } from '../../machine/support.js';
import { testTranslatedCode } from './random-loops.js';

/** return_call. */
const TAIL_CALL = 0x12;
const { validate } = WebAssembly;
let refused = 0;

beforeAll(() => {
  vi.spyOn(WebAssembly, 'validate').mockImplementation((bytes) => {
    // The host is asked about tail calls with a module that does little else.
    const small = bytes.byteLength < 80 && new Uint8Array(bytes as ArrayBuffer).includes(TAIL_CALL);
    if (!small) return validate(bytes);
    refused += 1;
    return false;
  });
});

describe('without tail calls', () => {
  it('calls and returns go from region to region', () => {
    const machine = testMachine();
    load(machine, 'mov x0, #2000\n1: bl 2f\n subs x0, x0, #1\n b.ne 1b\n b .\n2: add x1, x1, #3\n ret');
    machine.cpu.pc = BigInt(CODE);
    const engine = createEngine(machine, 'translate');
    engine.run(machine.cpu, 11_000);
    expect([machine.cpu.readX(0), machine.cpu.readX(1)]).toEqual([0n, 6000n]);
    expect((engine as Interpreter).statistics.translated).toBeGreaterThan(8000);
    expect(refused).toBe(1);
  });

  testTranslatedCode(6);
});
