/**
 * System registers and block operations in generated code: everything that the evaluator does with them, at every
 * level and under every control, generated code does too, or leaves to it.
 */
import { describe, expect, it } from 'vitest';
import { HCR, SCTLR, SYSTEM_REGISTERS } from '../../isa/index.js';
import { PA, Random } from '../../src/base/index.js';
import { compareCpus, createEngine, type Interpreter } from '../../src/engine/index.js';
import type { Machine } from '../../src/machine/index.js';
import {
  CODE,
  D,
  DATA,
  DRAM,
  load,
  mappedMachine,
  SCTLR_ON,
  TAGS,
  TCF,
  TCF0,
  testMachine,
} from '../machine/support.js';

/** op0:op1:CRn:CRm:op2 as bits 20:5 of MRS and MSR; SYS has op0 = 1. */
const wordOf = (encoding: number, isRead: boolean, rt: number): number =>
  (0xd500_0000 | (isRead ? 1 << 21 : 0) | (encoding << 5) | rt) >>> 0;

const LEVELS = [0, 1, 2, 3] as const;
/** HCR_EL2 under which EL1 and EL0 are looked at. */
const HYPERVISORS = [
  0n,
  1n << BigInt(HCR.TVM),
  1n << BigInt(HCR.TRVM),
  1n << BigInt(HCR.TDZ),
  1n << BigInt(HCR.TGE),
  // TID2, TPCP, TPU.
  1n << 17n,
  1n << BigInt(HCR.TPCP),
  1n << BigInt(HCR.TPU),
];

/** What the others do is compared elsewhere, and would end the comparison here. */
const APART = /^(sctlr|tcr|ttbr|mair|vbar|hcr|scr|spsel|currentel|vttbr|vtcr|rndr|mdscr|osl|icc|ich)/;
const ROWS = SYSTEM_REGISTERS.filter(({ name }) => !APART.test(name));

describe.each(['interpret', 'translate'])('MRS and MSR under %s', (name) => {
  it('do at every level what they do in the evaluator', () => {
    const random = new Random(1, name);
    const wrong: unknown[] = [];
    for (const el of LEVELS) {
      for (const hcr of HYPERVISORS) {
        if (hcr !== 0n && el > 1) continue;
        const machines = ['evaluate', name].map(() => testMachine());
        const engines = machines.map((machine, i) => createEngine(machine, i === 0 ? 'evaluate' : name));
        for (const { memory } of machines) {
          ROWS.forEach(({ encoding }, i) => {
            memory.write32(PA(CODE + 8 * i), wordOf(encoding, true, 5));
            memory.write32(PA(CODE + 8 * i + 4), wordOf(encoding, false, 5));
          });
        }
        for (const [place, row] of ROWS.entries()) {
          const value = random.u64();
          // What EL0 may read of counters and timers.
          const control = BigInt(random.below(1024));
          for (const isRead of [true, false, true]) {
            machines.forEach((machine, i) => {
              const { cpu } = machine;
              cpu.setLevel(el, 1);
              cpu.writeRegister('hcr_el2', hcr | (1n << BigInt(HCR.RW)));
              cpu.writeRegister('cntkctl_el1', control);
              cpu.writeRegister('vpidr_el2', value);
              cpu.writeRegister('scr_el3', 0x401n | (1n << 26n));
              cpu.pc = BigInt(CODE + 8 * place + (isRead ? 0 : 4));
              cpu.writeX(5, value);
              engines[i]!.run(cpu, 1);
            });
            const differences = compareCpus(machines[0]!.cpu, machines[1]!.cpu);
            if (differences.length > 0) wrong.push({ name: row.name, el, hcr, isRead, differences });
          }
        }
      }
    }
    expect(wrong).toEqual([]);
  });
});

/** Pages at DATA: tagged, untagged, tagged but read-only; what is behind the last of 16 is not mapped. */
function blockMachine(tcf: number, name: string, dze: boolean) {
  const { machine, cpu, tables } = mappedMachine();
  tables.mapRange(DATA + 0x1000, 0x1000, D.user);
  tables.mapRange(DATA + 0x2000, 0x1000, D.user | D.tagged | D.readOnly);
  const dzeBit = 1n << BigInt(SCTLR.DZE);
  cpu.writeRegister('sctlr_el1', (SCTLR_ON & ~dzeBit) | (dze ? dzeBit : 0n) | TCF0(tcf) | TCF(tcf));
  return { machine, cpu, engine: createEngine(machine, name) };
}

const memoryOf = ({ memory }: Machine) =>
  [memory.readBytes(PA(DATA), 0x3000), memory.readBytes(PA(TAGS + (DATA - DRAM) / 32), 0x3000 / 32)]
    .map((bytes) => Buffer.from(bytes).toString('latin1'))
    .join();

describe.each(['interpret', 'translate'])('DC ZVA, GVA and GZVA under %s', (name) => {
  const places = [DATA + 0x40, DATA + 0x7f, DATA + 0x1ff0, DATA + 0x1000, DATA + 0x2080, DATA + 0x10000];

  it.each([
    [0, 0, true],
    [0, 1, true],
    [0, 2, true],
    [0, 3, false],
    [1, 1, true],
    [1, 2, false],
  ] as const)('at EL%i, TCF %i, DZE %s do what they do in the evaluator', (el, tcf, dze) => {
    const [reference, other] = ['evaluate', name].map((engine) => blockMachine(tcf, engine, dze)) as [
      ReturnType<typeof blockMachine>,
      ReturnType<typeof blockMachine>,
    ];
    const random = new Random(tcf, 'tags');
    const wrong: unknown[] = [];
    const fill = Uint8Array.from({ length: 0x3000 }, () => random.below(256));
    for (const { machine } of [reference, other]) {
      machine.memory.writeBytes(PA(DATA), fill);
      load(machine, 'dc zva, x0\n nop\n dc gva, x0\n nop\n dc gzva, x0\n nop\n mrs x1, dczid_el0\n nop');
    }
    for (const place of places) {
      for (const tag of [0, 5, 0, 9]) {
        for (let at = 0; at < 32; at += 8) {
          for (const { cpu, engine } of [reference, other]) {
            cpu.setLevel(el, 1);
            cpu.pstate.tco = 0;
            cpu.stateChanged();
            cpu.pc = BigInt(CODE + at);
            cpu.writeX(0, BigInt(place) | (BigInt(tag) << 56n));
            engine.run(cpu, 2);
          }
          const differences = compareCpus(reference.cpu, other.cpu);
          if (differences.length > 0) wrong.push({ place, tag, at, differences });
          expect(other.cpu.tagChecks).toBe(reference.cpu.tagChecks);
          expect(memoryOf(other.machine) === memoryOf(reference.machine)).toBe(true);
        }
      }
    }
    expect(wrong).toEqual([]);
  });
});

describe('what programs do all the time', () => {
  it.each([
    ['a block is zeroed and tagged', 'dc zva, x0\n dc gva, x1\n dc gzva, x1'],
    [
      'the size of blocks, FPCR, FPSR and TPIDR_EL0 are read',
      'mrs x2, dczid_el0\n mrs x3, fpcr\n mrs x4, fpsr\n mrs x5, tpidr_el0',
    ],
    ['FPSR, TPIDR_EL0 and an unchanged FPCR are written', 'msr fpsr, x6\n msr tpidr_el0, x6\n msr fpcr, xzr'],
    ['NZCV is read and written', 'mrs x7, nzcv\n msr nzcv, x7'],
  ])('%s without the evaluator', (_what, text) => {
    const { cpu, machine, engine } = blockMachine(1, 'interpret', true);
    load(machine, `1: ${text}\n sub x10, x10, #1\n cbnz x10, 1b\n svc #0`);
    cpu.writeRegister('cpacr_el1', 3n << 20n);
    machine.memory.writeBytes(PA(DATA), new Uint8Array(0x2000));
    cpu.setLevel(0, 1);
    cpu.pstate.tco = 0;
    cpu.stateChanged();
    cpu.pc = BigInt(CODE);
    cpu.writeX(0, BigInt(DATA + 0x1000));
    cpu.writeX(1, BigInt(DATA) | (3n << 56n));
    cpu.writeX(10, 1000n);
    expect(engine.run(cpu, 100_000).kind).toBe('supervisor');
    expect((engine as Interpreter).statistics.evaluated).toBeLessThan(20);
  });
});
