/**
 * Alignment of ordered, exclusive and atomic accesses with and without FEAT_LSE2, and the exclusive
 * monitor, case by case.
 *
 * Ref. DDI 0487, B2.5.2 (alignment), B2.12 (exclusives), SCTLR_ELx.A and nAA.
 */
import { describe, expect, it } from 'vitest';
import { DEFAULT_FEATURES } from '../../isa/index.js';
import { assemble, toFlat } from '../../src/assembler/index.js';
import { PA, VA } from '../../src/base/index.js';
import { createEngine } from '../../src/engine/index.js';
import { createMachine, type Machine, type MachineConfig } from '../../src/machine/index.js';

const BASE = 0x4000_0000;
const DATA = 0x4001_0000;
const DATA_TABLE = 0x4002_0000;
const A = 1n << 1n;
const NAA = 1n << 6n;

/** A machine at EL1 whose memory is Normal, mapped one to one by one block. */
function machineWith(config: Partial<MachineConfig> = {}, sctlr = 0n): Machine {
  const machine = createMachine({
    banks: [{ base: BASE, size: 0x20_0000 }],
    hasEl2: false,
    hasEl3: false,
    ...config,
  });
  machine.setSupervisor({ exceptionTaken: () => {} });
  // Level 1 table of 39-bit addresses: a 1 GiB block, AF, inner shareable.
  machine.memory.write64(PA(DATA_TABLE + 8), BigInt(BASE) | (1n << 10n) | (3n << 8n) | 1n);
  for (const cpu of machine.cpus) {
    cpu.writeRegister('mair_el1', 0xffn);
    cpu.writeRegister('tcr_el1', 25n | (1n << 23n) | (2n << 32n));
    cpu.writeRegister('ttbr0_el1', BigInt(DATA_TABLE));
    cpu.writeRegister('sctlr_el1', 1n | sctlr);
    cpu.setLevel(1, 0);
  }
  return machine;
}

/** Runs text and a BRK; gives undefined at the BRK, else the fault status and its address offset. */
function run(machine: Machine, text: string, offset = 0): string | undefined {
  const { cpu } = machine;
  const program = assemble({ name: 't.s', text: `${text}\nbrk #0\n` }, { textBase: VA(BigInt(BASE)) });
  machine.memory.writeBytes(PA(BASE), toFlat(program, VA(BigInt(BASE))));
  cpu.writeX(0, BigInt(DATA + offset));
  cpu.setLevel(1, 0);
  cpu.pc = BigInt(BASE);
  createEngine(machine, 'evaluate').run(cpu, 100);
  const esr = cpu.readRegister('esr_el1');
  if (esr >> 26n === 0x3cn) return undefined;
  const far = cpu.readRegister('far_el1') - BigInt(DATA);
  return `ec ${(esr >> 26n).toString(16)} status ${(esr & 0x3fn).toString(16)} at ${far}`;
}

const ALIGNMENT = (at: number) => `ec 25 status 21 at ${at}`;
/** What is accessed, and how many bytes must lie in 16 together. */
const ORDERED = [
  ['ldarh w1, [x0]', 2],
  ['stlrh w1, [x0]', 2],
  ['ldar w1, [x0]', 4],
  ['ldar x1, [x0]', 8],
  ['stlr x1, [x0]', 8],
  ['ldapr x1, [x0]', 8],
  ['ldapur x1, [x0]', 8],
  ['stlur w1, [x0]', 4],
  ['ldlar x1, [x0]', 8],
] as const;
const ATOMIC = [
  ['ldaddh w1, w2, [x0]', 2],
  ['ldadd x1, x2, [x0]', 8],
  ['swpal w1, w2, [x0]', 4],
  ['cas x1, x2, [x0]', 8],
  ['casp w2, w3, w4, w5, [x0]', 8],
  ['casp x2, x3, x4, x5, [x0]', 16],
  ['ldxr x1, [x0]', 8],
  ['ldxp w1, w2, [x0]', 8],
  ['ldxp x1, x2, [x0]', 16],
] as const;
const offsets = Array.from({ length: 17 }, (_, i) => i);
const outcomes = (machine: Machine, text: string) => offsets.map((offset) => run(machine, text, offset));

describe('alignment with FEAT_LSE2', () => {
  it.each([...ORDERED, ...ATOMIC])('%s may be anywhere inside 16 bytes', (text, bytes) => {
    const wanted = offsets.map((o) => ((o % 16) + bytes <= 16 || o % bytes === 0 ? undefined : ALIGNMENT(o)));
    expect(outcomes(machineWith(), text)).toEqual(wanted);
  });

  it.each(ORDERED)('%s may be anywhere with nAA', (text) => {
    expect(outcomes(machineWith({}, NAA), text)).toEqual(offsets.map(() => undefined));
  });

  it.each(ATOMIC)('%s is not loosened by nAA', (text, bytes) => {
    const wanted = offsets.map((o) => ((o % 16) + bytes <= 16 || o % bytes === 0 ? undefined : ALIGNMENT(o)));
    expect(outcomes(machineWith({}, NAA), text)).toEqual(wanted);
  });

  it.each([...ORDERED, ...ATOMIC])('%s must be aligned with SCTLR_EL1.A', (text, bytes) => {
    const wanted = offsets.map((o) => (o % bytes === 0 ? undefined : ALIGNMENT(o)));
    expect(outcomes(machineWith({}, A | NAA), text)).toEqual(wanted);
  });
});

describe('alignment without FEAT_LSE2', () => {
  const features = DEFAULT_FEATURES.filter((f) => f !== 'FEAT_LSE2');
  it.each([...ORDERED, ...ATOMIC])('%s must be aligned', (text, bytes) => {
    const wanted = offsets.map((o) => (o % bytes === 0 ? undefined : ALIGNMENT(o)));
    expect(outcomes(machineWith({ features }), text)).toEqual(wanted);
  });

  it.each(['ldr x1, [x0]', 'str w1, [x0]', 'ldp x1, x2, [x0]', 'stnp w1, w2, [x0]'])(
    '%s need not be',
    (text) => {
      expect(outcomes(machineWith({ features }), text)).toEqual(offsets.map(() => undefined));
    },
  );
});

describe('exclusives', () => {
  /** X3: the status of the last Store-Exclusive. */
  const status = (text: string, machine = machineWith()) => {
    machine.cpu.writeX(3, 0x55n);
    expect(run(machine, text)).toBeUndefined();
    return machine.cpu.readX(3);
  };

  it.each([
    ['ldxr x1, [x0]; stxr w3, x1, [x0]', 0n],
    ['ldaxrb w1, [x0]; stlxrb w3, w1, [x0]', 0n],
    ['ldxp x1, x2, [x0]; stlxp w3, x1, x2, [x0]', 0n],
    // Without a load, a second time, after CLREX.
    ['stxr w3, x1, [x0]', 1n],
    ['ldxr x1, [x0]; stxr w3, x1, [x0]; stxr w3, x1, [x0]', 1n],
    ['ldxr x1, [x0]; clrex; stxr w3, x1, [x0]', 1n],
    // Another address, even of the same granule; another size.
    ['ldxr x1, [x0]; add x0, x0, #8; stxr w3, x1, [x0]', 1n],
    ['ldxr w1, [x0]; stxr w3, x1, [x0]', 1n],
    // A failed store leaves the monitor open.
    ['ldxr x1, [x0]; add x0, x0, #8; stxr w3, x1, [x0]; sub x0, x0, #8; stxr w3, x1, [x0]', 1n],
    // The second load is the one that counts; a plain store of this CPU changes nothing.
    ['ldxr x1, [x0]; add x0, x0, #64; ldxr x1, [x0]; stxr w3, x1, [x0]', 0n],
    ['ldxr x1, [x0]; str x1, [x0]; stxr w3, x1, [x0]', 0n],
  ])('%s gives %s', (text, wanted) => {
    expect(status(text.replaceAll('; ', '\n'))).toBe(wanted);
  });

  it('store nothing where they fail, and what they are told where they do not', () => {
    const machine = machineWith();
    status('mov x1, #7\nstxr w3, x1, [x0]', machine);
    expect(machine.memory.read64(PA(DATA))).toBe(0n);
    status('ldxr x1, [x0]\nmov x1, #9\nstxr w3, x1, [x0]', machine);
    expect(machine.memory.read64(PA(DATA))).toBe(9n);
  });

  it.each([
    ['stxr w3, x1, [x0]', 8],
    ['stxrh w3, w1, [x0]', 2],
    ['stxp w3, w1, w2, [x0]', 8],
    ['stxp w3, x1, x2, [x0]', 16],
  ] as const)('%s must be aligned, FEAT_LSE2 or not, monitor or not', (text, bytes) => {
    const wanted = offsets.map((o) => (o % bytes === 0 ? undefined : ALIGNMENT(o)));
    expect(outcomes(machineWith(), text)).toEqual(wanted);
  });

  it('fail after an exception return', () => {
    const machine = machineWith();
    const eret = 'adr x4, 1f\nmsr elr_el1, x4\nmov x4, #4\nmsr spsr_el1, x4\neret\n1:';
    expect(status(`ldxr x1, [x0]\n${eret}\nstxr w3, x1, [x0]`, machine)).toBe(1n);
  });
});
