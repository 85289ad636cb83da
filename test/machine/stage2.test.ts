/**
 * EL2: stage 2 translation and its faults, address translation of both stages, memory types in
 * combination, tag controls of HCR_EL2. QEMU runs the same image and prints the same.
 */
import { describe, expect, it } from 'vitest';
import { DEFAULT_FEATURES } from '../../isa/index.js';
import { createEngine } from '../../src/engine/index.js';
import { assembleBare, asText, qemuVersion, repositoryText, runImage, runOnQemu } from './bare.js';
import { CODE, D, DATA, load, Tables, testMachine } from './support.js';

const PROGRAM = repositoryText('test/machine/programs/stage2.s');
const image = (text: string) => assembleBare(text, 'stage2.s');

const EXPECTED = `
at mapped: par 0xf000000048c01b80
at other place: par 0xf000000049001b80
at stage 1 only: par 0xf000000048801b80
at nothing: par 0xa0d
at read-only read: par 0xf000000048200b80
at table not mapped: par 0xb0d
load: esr 0x93c38006 far 0x48000008 hpfar 0x480000
load word: esr 0x93840006 far 0x48000000 hpfar 0x480000
load byte: esr 0x93050006 far 0x48000003 hpfar 0x480000
load signed half: esr 0x93668006 far 0x48000006 hpfar 0x480000
load signed byte to 32: esr 0x93270006 far 0x48000006 hpfar 0x480000
load signed word: esr 0x93a88006 far 0x4800cccc hpfar 0x4800c0
store: esr 0x93c9804e far 0x48200000 hpfar 0x482000
store zero: esr 0x939f004e far 0x48200004 hpfar 0x482000
store unscaled: esr 0x93ca8046 far 0x481ffff8 hpfar 0x481ff0
store with write-back: esr 0x9200004e far 0x48200008 hpfar 0x482000
pair: esr 0x92000006 far 0x48000000 hpfar 0x480000
acquire: esr 0x93cec006 far 0x48000000 hpfar 0x480000
release: esr 0x930f404e far 0x48200000 hpfar 0x482000
exclusive: esr 0x92000006 far 0x48000000 hpfar 0x480000
atomic: esr 0x92000006 far 0x48000000 hpfar 0x480000
access flag: esr 0x93cc800a far 0x48600000 hpfar 0x486000
read-only read:
table not mapped: esr 0x92000086 far 0x100000000 hpfar 0x480000
execute: esr 0x8200000e far 0x48400000 hpfar 0x484000
tags: cached 0x5 non-cacheable 0x0 device 0x0 cached still0x5
gcr without ATA: esr 0x623c0421
gmid:
no tags without ATA: 0x0
gmid with TID5: esr 0x62384021
end
[exit 0]`;

describe('a bare hypervisor', () => {
  it('meets the faults of its guest with their syndromes', () => {
    expect(asText(runImage(image(PROGRAM), { level: 2 }))).toBe(EXPECTED);
  });

  // Older versions keep one tag a page in system mode.
  it.skipIf(qemuVersion < 8)('does the same on QEMU [needs qemu-system-aarch64 8]', () => {
    const machine = 'virt,virtualization=on,gic-version=3,mte=on';
    expect(runOnQemu(image(PROGRAM), machine)).toBe(EXPECTED);
  });

  it('meets those that QEMU does not raise: cache maintenance, AT of a write to read-only memory', () => {
    const text = PROGRAM.replace(
      'try     "read-only read"',
      'try "clean", dc cvac, x19\n try "read-only read"',
    ).replace(
      'probe   "at read-only read"',
      'probe "at read-only write", s12e1w, 0x48200000\n probe "at read-only read"',
    );
    const { output } = runImage(image(text), { level: 2 });
    expect(output).toContain('\nclean: esr 0x92000146 far 0x48000000 hpfar 0x480000\n');
    expect(output).toContain('\nat read-only write: par 0xa1d\n');
  });
});

describe('memory that is tagged at stage 1', () => {
  /** MemAttr of stage 2, HCR_EL2 bits and stage 1: whether a tag survives at EL1. */
  const tagSurvives = (memAttr: number, hcr: bigint, stage1: 'tagged' | 'plain' | 'off') => {
    const machine = testMachine({ features: [...DEFAULT_FEATURES, 'FEAT_S2FWB'] });
    const { cpu } = machine;
    const first = new Tables(machine);
    first.mapRange(CODE, 0x1000, 0n);
    first.mapRange(DATA, 0x1000, stage1 === 'tagged' ? D.tagged : 0n);
    const second = new Tables(machine, { at: 0x41800000 });
    const attributes = (attr: number) => (3n << 6n) | (BigInt(attr) << 2n);
    for (let at = 0x41000000; at < 0x41010000; at += 0x1000) second.map(at, at, attributes(15));
    second.map(CODE, CODE, attributes(15));
    second.map(DATA, DATA, attributes(memAttr));
    load(
      machine,
      `mov x0, #${DATA}\n mov x1, #5\n orr x1, x0, x1, lsl #56\n stg x1, [x0]\n ldg x0, [x0]\n hvc #0`,
    );
    cpu.writeRegister('scr_el3', 0x531n | (1n << 26n));
    cpu.writeRegister('mair_el1', 0x00_f0_ffn);
    cpu.writeRegister('tcr_el1', 25n | (1n << 23n) | (2n << 32n) | (1n << 37n));
    cpu.writeRegister('ttbr0_el1', BigInt(first.root));
    cpu.writeRegister('sctlr_el1', 0x30d00800n | (stage1 === 'off' ? 0n : 1n) | 4n | (1n << 43n));
    cpu.writeRegister('vtcr_el2', 25n | (1n << 6n) | (2n << 16n) | (1n << 31n));
    cpu.writeRegister('vttbr_el2', BigInt(second.root));
    cpu.writeRegister('hcr_el2', hcr | (1n << 31n));
    cpu.setLevel(1, 1);
    cpu.pc = BigInt(CODE);
    createEngine(machine, 'evaluate').run(cpu, 6);
    expect(cpu.readRegister('esr_el2') >> 26n).toBe(0x16n);
    return cpu.readX(0) >> 56n === 5n;
  };
  const [VM, DC, FWB, CD, ATA, DCT] = [1n, 1n << 12n, 1n << 46n, 1n << 32n, 1n << 56n, 1n << 57n];

  it('stays tagged only where stage 2 is write-back and HCR_EL2.ATA is set', () => {
    expect(tagSurvives(15, VM | ATA, 'tagged')).toBe(true);
    expect(tagSurvives(15, VM | ATA | CD, 'tagged')).toBe(true);
    expect(tagSurvives(15, VM, 'tagged')).toBe(false);
    expect(tagSurvives(15, VM | ATA, 'plain')).toBe(false);
    for (const memAttr of [5, 10, 14, 7, 1]) expect(tagSurvives(memAttr, VM | ATA, 'tagged')).toBe(false);
    expect(tagSurvives(6, VM | ATA | FWB, 'tagged')).toBe(true);
    expect(tagSurvives(7, VM | ATA | FWB, 'tagged')).toBe(true);
    expect(tagSurvives(5, VM | ATA | FWB, 'tagged')).toBe(false);
  });

  it('is tagged by default where HCR_EL2 says so and stage 1 is off', () => {
    expect(tagSurvives(15, VM | ATA | DC, 'off')).toBe(false);
    expect(tagSurvives(15, VM | ATA | DC | DCT, 'off')).toBe(true);
    expect(tagSurvives(5, VM | ATA | DC | DCT, 'off')).toBe(false);
    // DC turns stage 1 off whatever SCTLR_EL1.M says.
    expect(tagSurvives(15, VM | ATA | DC, 'tagged')).toBe(false);
    expect(tagSurvives(15, VM | ATA | DC | DCT, 'plain')).toBe(true);
  });
});

describe('VMIDs', () => {
  it('keep translations of one guest from another', () => {
    const machine = testMachine();
    const { cpu } = machine;
    const make = (at: number, target: number) => {
      const second = new Tables(machine, { at });
      second.map(CODE, CODE, (3n << 6n) | (15n << 2n));
      second.map(DATA, target, (3n << 6n) | (15n << 2n));
      return BigInt(second.root);
    };
    const tables = [make(0x41800000, DATA), make(0x41900000, DATA + 0x1000)];
    machine.memory.write64(DATA as never, 1n);
    machine.memory.write64((DATA + 0x1000) as never, 2n);
    load(machine, `mov x0, #${DATA}\n ldr x1, [x0]\n hvc #0`);
    cpu.writeRegister('scr_el3', 0x531n);
    cpu.writeRegister('vtcr_el2', 25n | (1n << 6n) | (2n << 16n) | (1n << 31n));
    cpu.writeRegister('hcr_el2', 1n | (1n << 31n));
    const seen = [];
    for (const guest of [0, 1, 0, 1]) {
      cpu.writeRegister('vttbr_el2', tables[guest]! | (BigInt(guest + 1) << 48n));
      cpu.setLevel(1, 1);
      cpu.pc = BigInt(CODE);
      createEngine(machine, 'evaluate').run(cpu, 3);
      seen.push(cpu.readX(1));
    }
    expect(seen).toEqual([1n, 2n, 1n, 2n]);
  });
});
