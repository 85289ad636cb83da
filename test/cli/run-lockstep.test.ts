/**
 * What `--lockstep` says when engines differ: one of them is made to be wrong.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runInLockstep } from '../../src/cli/run-lockstep.js';
import { CODE, load, testMachine } from '../machine/support.js';
import { mtemu } from './in-process.js';

/** 1000 instructions of a loop; `wrong` may spoil what the tried engine does. */
function run(wrong: (steps: number, most: number) => boolean) {
  let stderr = '';
  const io = {
    stdout() {},
    stderr(text: string) {
      stderr += text;
    },
    readFile: () => new Uint8Array(),
    writeFile() {},
    color: false,
  };
  const status = runInLockstep({ engine: 'interpret', every: 64, stats: true }, io, (makeEngine) => {
    const machine = testMachine();
    load(machine, 'mov x0, #0\n1: add x0, x0, #1\n b 1b');
    machine.cpu.pc = BigInt(CODE);
    const engine = makeEngine(machine);
    return {
      side: {
        machine,
        runUntil(pause) {
          while (machine.cpu.steps < 1000) {
            if (pause()) return true;
            const before = machine.cpu.steps;
            engine.run(machine.cpu, 100);
            if (engine.name === 'interpret' && wrong(before, 100)) machine.cpu.writeX(5, 6n);
          }
          return false;
        },
      },
      conclude: () => 42,
      statistics: () => ({ instructions: machine.cpu.steps }),
    };
  });
  return { status, stderr };
}

describe('runInLockstep', () => {
  it('gives the status of a program on which the engines agree', () => {
    const { status, stderr } = run(() => false);
    expect(status).toBe(42);
    expect(JSON.parse(stderr)).toEqual({
      instructions: 1000,
      lockstep: { with: 'evaluate', every: 64, comparisons: 20 },
    });
  });

  it('names the first instruction with another outcome, and ends with 125', () => {
    const { status, stderr } = run((steps) => steps === 500);
    expect(status).toBe(125);
    expect(stderr.split('\n').slice(0, 3)).toEqual([
      'mtemu: lock-step: interpret and evaluate differ after 600 instructions, in the instruction at PC 0x40080008',
      '  instruction  17ffffff  b 0x40080004',
      '  x5  interpret 0x6, evaluate 0x0',
    ]);
  });
});

const busybox = process.env['MTEMU_ARM64_BUSYBOX'];

describe('programs of others in lock-step', () => {
  it.skipIf(busybox === undefined).each(['interpret', 'translate'])(
    'busybox: processes, pipes, signals under %s [needs MTEMU_ARM64_BUSYBOX]',
    async (engine) => {
      const script =
        'x=0; while [ $x -lt 20 ]; do x=$((x+1)); done; echo $x | sha256sum | cut -c1-8; ' +
        'seq 1 60 | sort -rn | head -2; kill -TERM $$';
      const args = ['run', '--lockstep=997', '--engine', engine, '/bin/busybox', 'sh', '-c', script];
      const { status, stdout, stderr } = await mtemu(args, { '/bin/busybox': readFileSync(busybox!) });
      expect({ status, stdout }).toEqual({ status: 143, stdout: '53787963\n60\n59\n' });
      expect(stderr).toContain('SIGTERM');
    },
  );
});
