import { describe, expect, it } from 'vitest';
import { PA } from '../../src/base/index.js';
import type { Cpu } from '../../src/machine/index.js';
import {
  D,
  DATA,
  DRAM,
  mappedMachine,
  runUnder,
  SCTLR_ON,
  TAGGED_SIZE,
  TAGS,
  TCF,
  TCF0,
  TCR_39,
} from './support.js';

const SYNC = 1;
const ASYNC = 2;
const ASYMM = 3;
/** SCTLR_EL1 with checks on for both levels. */
const withTcf = (mode: number) => (cpu: Cpu) =>
  cpu.writeRegister('sctlr_el1', SCTLR_ON | TCF0(mode) | TCF(mode));

/** Where the tag of a physical address is kept, by the formula alone. */
const tagByte = (pa: number) => TAGS + Math.floor((pa - DRAM) / 32);

describe('tags are bytes of DRAM', () => {
  it('finds each tag that a program stored, at tagBase + (pa - memBase)/32, low nibble even', () => {
    const { machine } = mappedMachine();
    const taken = runUnder(
      machine,
      `
        ldr x0, =${DATA}
        mov x1, #0
      1: add x2, x0, x1, lsl #4
        bfi x2, x1, #56, #4
        stg x2, [x2]
        add x1, x1, #1
        cmp x1, #16
        b.ne 1b
        add x3, x0, #0x200
        addg x3, x3, #0, #5
        st2g x3, [x3]
        svc #0
      `,
    );
    expect(taken.esr).toBe('0x56000000');
    // Tag n for granule n: pairs of nibbles, even ones low.
    const bytes = machine.dram.readBytes(tagByte(DATA), 8);
    expect([...bytes]).toEqual([0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe]);
    expect(machine.dram.read8(tagByte(DATA + 0x200))).toBe(0x55);
  });

  it('lets a data store through an alias of the carve-out change the tag that the next check sees', () => {
    const { machine, tables } = mappedMachine();
    // The page of tag storage that serves DATA, mapped as plain data for EL0.
    const carveOut = tagByte(DATA) & ~0xfff;
    const alias = 0x50000000;
    tables.map(alias, carveOut, D.user | D.uxn | D.pxn);
    const text = `
      ldr x0, =${DATA}
      addg x0, x0, #0, #3      // x0: tag 3
      stg x0, [x0]
      ldr x1, [x0]             // agrees
      ldr x2, =${alias + (tagByte(DATA) - carveOut)}
      ldrb w3, [x2]            // the tag as data
      mov w4, #0x07
      strb w4, [x2]            // granule 0 gets tag 7
      ldg x5, [x0]
      ldr x1, [x0]             // must fault now
      svc #0
    `;
    const taken = runUnder(machine, text, { setup: withTcf(SYNC) });
    expect(machine.cpu.readX(3)).toBe(0x03n);
    expect(machine.cpu.readX(5) >> 56n).toBe(7n);
    expect(taken).toMatchObject({ esr: '0x92000011', far: '0x300000040200000' });
  });

  it.each([
    [0x1000, 1],
    [0x2000, 2],
    [0x2000, 4],
  ])('tags and checks through blocks of %i bytes, %i-way', (blockSize, interleave) => {
    const range = { memBase: DRAM, memSize: TAGGED_SIZE, tagBase: TAGS, blockSize, interleave };
    const { machine } = mappedMachine({ tagRanges: [range] });
    const taken = runUnder(
      machine,
      `
        ldr x0, =${DATA}
        addg x0, x0, #0, #6
        mov x1, #4096            // every granule of 64 KiB
      1: stg x0, [x0], #16
        subs x1, x1, #1
        b.ne 1b
        ldr x0, =${DATA + 0x3450}
        addg x0, x0, #0, #6
        ldr x2, [x0]
        stp x1, x1, [x0]
        svc #1
      `,
      { setup: withTcf(SYNC), steps: 50_000 },
    );
    expect(taken.esr).toBe('0x56000001');
    // All 2 KiB of tags of those 64 KiB are 0x66, wherever the interleave put them inside their block.
    const base = TAGS + (DATA - DRAM) / 32;
    const block = base - (base % blockSize);
    const bytes = machine.dram.readBytes(block, blockSize);
    expect(bytes.filter((b) => b === 0x66).length).toBe(2048);
    const stripes = interleave === 1 ? [0, 1] : [0, blockSize / interleave / 64];
    for (const s of stripes) expect(bytes[s * 64]).toBe(0x66);
  });

  it('remembers who wrote a tag last, when asked to', () => {
    const { machine } = mappedMachine({ recordTagWriters: true });
    runUnder(machine, `ldr x0, =${DATA}\n nop\n stg x0, [x0]\n svc #0`);
    expect(machine.memory.lastTagWriter(DATA + 8)).toMatchObject({ pc: 0x40080008n, step: 3n });
    expect(machine.memory.lastTagWriter(DATA + 16)).toBeUndefined();
  });
});

describe('tag check faults', () => {
  const load = (setup = '', access = 'ldr x1, [x0]') => `ldr x0, =${DATA}\n${setup}\n${access}\nsvc #0\n`;

  it('catch a use after free: pointer tag 5, memory retagged to 9', () => {
    const { machine } = mappedMachine();
    const text = load('addg x0, x0, #0, #5\n stg x0, [x0]\n mov x2, x0\n addg x2, x2, #0, #4\n stg x2, [x2]');
    const taken = runUnder(machine, text, { setup: withTcf(SYNC) });
    expect(taken).toMatchObject({
      stop: { kind: 'supervisor', el: 1 },
      esr: '0x92000011',
      far: '0x500000040200000',
      elr: '0x40080018',
      vector: 0x400,
    });
  });

  it('catch an overflow by a store: WnR is 1, nothing is written', () => {
    const { machine } = mappedMachine();
    const text = load('addg x0, x0, #0, #5\n stg x0, [x0]\n mov x1, #-1', 'str x1, [x0, #16]');
    const taken = runUnder(machine, text, { setup: withTcf(SYNC) });
    expect(taken).toMatchObject({ esr: '0x92000051', far: '0x500000040200010' });
    expect(machine.memory.read64(PA(DATA + 16))).toBe(0n);
  });

  it('come from EL1 with class 0x25', () => {
    const { machine } = mappedMachine();
    const taken = runUnder(machine, load('addg x0, x0, #0, #5'), { el: 1, setup: withTcf(SYNC) });
    expect(taken).toMatchObject({ esr: '0x96000011', vector: 0x200 });
  });

  it('report the first byte of the second granule where only that one mismatches', () => {
    const { machine } = mappedMachine();
    const text = load('addg x0, x0, #0, #5\n stg x0, [x0]', 'ldr x1, [x0, #12]');
    const taken = runUnder(machine, text, { setup: withTcf(SYNC) });
    expect(taken).toMatchObject({ esr: '0x92000011', far: '0x500000040200010' });
    const pair = load('addg x0, x0, #0, #5\n stg x0, [x0]\n add x0, x0, #8', 'ldp x1, x2, [x0]');
    const second = runUnder(mappedMachine().machine, pair, { setup: withTcf(SYNC) });
    expect(second).toMatchObject({ esr: '0x92000011', far: '0x500000040200010' });
  });

  it('come after translation and permission faults', () => {
    const { machine, tables } = mappedMachine();
    tables.map(DATA + 0x4000, DATA + 0x4000, D.user | D.tagged | D.readOnly | D.uxn | D.pxn);
    machine.cpu.mmu.flushAll();
    const readOnly = `ldr x0, =${DATA + 0x4000}\n addg x0, x0, #0, #5\n str x1, [x0]\n svc #0`;
    expect(runUnder(machine, readOnly, { setup: withTcf(SYNC) })).toMatchObject({
      esr: '0x9200004f',
      far: '0x500000040204000',
    });
    const tagReadOnly = `ldr x0, =${DATA + 0x4000}\n addg x0, x0, #0, #5\n stg x0, [x0]\n svc #0`;
    expect(runUnder(machine, tagReadOnly, { setup: withTcf(SYNC) })).toMatchObject({
      esr: '0x9200004f',
      far: '0x500000040204000',
    });
    const unmapped = 'ldr x0, =0x500000050000000\n ldr x1, [x0]\n svc #0';
    expect(runUnder(machine, unmapped, { setup: withTcf(SYNC) })).toMatchObject({ esr: '0x92000006' });
  });

  it('are exempt: SP plus immediate, but not SP with write-back or register', () => {
    const cases: [string, string][] = [
      ['ldr x1, [sp, #16]', '0x56000000'],
      ['ldp x1, x2, [sp]', '0x56000000'],
      ['str x1, [sp]', '0x56000000'],
      ['ldr x1, [sp, #16]!', '0x92000011'],
      ['ldr x1, [sp], #16', '0x92000011'],
      ['mov x3, #0\n ldr x1, [sp, x3]', '0x92000011'],
      ['mov x3, sp\n ldr x1, [x3]', '0x92000011'],
      ['mov x3, sp\n prfm pldl1keep, [x3]', '0x56000000'],
      ['mov x3, sp\n ldg x3, [x3]', '0x56000000'],
    ];
    for (const [access, esr] of cases) {
      const { machine } = mappedMachine();
      // The stack pointer has tag 5, its memory tag 0.
      const text = `mov x0, sp\n addg x0, x0, #0, #5\n mov sp, x0\n ${access}\n svc #0`;
      expect([access, runUnder(machine, text, { setup: withTcf(SYNC) }).esr]).toEqual([access, esr]);
    }
  });

  it('are exempt by TCMA0 for tag 0 in the lower half only', () => {
    const tagged = `ldr x0, =${DATA}\n addg x1, x0, #0, #5\n stg x1, [x1]\n`;
    const setup = (tcr: bigint) => (cpu: Cpu) => {
      withTcf(SYNC)(cpu);
      cpu.writeRegister('tcr_el1', TCR_39 | tcr);
    };
    const TCMA0 = 1n << 57n;
    const run = (text: string, tcr: bigint) =>
      runUnder(mappedMachine().machine, text, { setup: setup(tcr) }).esr;
    expect(run(`${tagged} ldr x2, [x0]\n svc #0`, 0n)).toBe('0x92000011');
    expect(run(`${tagged} ldr x2, [x0]\n svc #0`, TCMA0)).toBe('0x56000000');
    expect(run(`${tagged} addg x1, x1, #0, #1\n ldr x2, [x1]\n svc #0`, TCMA0)).toBe('0x92000011');
  });

  it('do not happen with TCO, TCF 0, TBI off, ATA off, or in untagged memory', () => {
    const mismatch = `ldr x0, =${DATA}\n addg x1, x0, #0, #5\n stg x1, [x1]\n ldr x2, [x0]\n svc #0`;
    const run = (setup: (cpu: Cpu) => void) => runUnder(mappedMachine().machine, mismatch, { setup }).esr;
    expect(run(withTcf(SYNC))).toBe('0x92000011');
    expect(run(withTcf(0))).toBe('0x56000000');
    const tco = `msr tco, #1\n${mismatch}`;
    expect(runUnder(mappedMachine().machine, tco, { setup: withTcf(SYNC) }).esr).toBe('0x56000000');
    const { machine, tables } = mappedMachine();
    tables.map(DATA, DATA, D.user | D.uxn | D.pxn);
    expect(runUnder(machine, mismatch, { setup: withTcf(SYNC) }).esr).toBe('0x56000000');
    // Without ATA0 the store of the tag is ignored: the wrong pointer is the tagged one, and it passes.
    const noAta = (cpu: Cpu) => cpu.writeRegister('sctlr_el1', (SCTLR_ON & ~(1n << 42n)) | TCF0(SYNC));
    const other = mappedMachine().machine;
    expect(runUnder(other, mismatch.replace('[x0]\n', '[x1]\n'), { setup: noAta }).esr).toBe('0x56000000');
    expect(other.dram.read8(tagByte(DATA))).toBe(0);
  });
});

describe('asynchronous checks', () => {
  const store = `ldr x0, =${DATA}\n addg x0, x0, #0, #5\n mov x1, #7\n str x1, [x0]\n svc #0`;
  const loadText = `ldr x0, =${DATA}\n addg x0, x0, #0, #5\n ldr x1, [x0]\n svc #0`;

  it('set TFSRE0_EL1.TF0 from EL0 and let the access go ahead', () => {
    const { machine, cpu } = mappedMachine();
    expect(runUnder(machine, store, { setup: withTcf(ASYNC) }).esr).toBe('0x56000000');
    expect(cpu.readRegister('tfsre0_el1')).toBe(1n);
    expect(cpu.readRegister('tfsr_el1')).toBe(0n);
    expect(machine.memory.read64(PA(DATA))).toBe(7n);
  });

  it('set TFSR_EL1 from EL1', () => {
    const { machine, cpu } = mappedMachine();
    runUnder(machine, store, { el: 1, setup: withTcf(ASYNC) });
    expect([cpu.readRegister('tfsre0_el1'), cpu.readRegister('tfsr_el1')]).toEqual([0n, 1n]);
  });

  it('are for stores only in asymmetric mode', () => {
    const first = mappedMachine();
    expect(runUnder(first.machine, store, { setup: withTcf(ASYMM) }).esr).toBe('0x56000000');
    expect(first.cpu.readRegister('tfsre0_el1')).toBe(1n);
    const second = mappedMachine();
    expect(runUnder(second.machine, loadText, { setup: withTcf(ASYMM) }).esr).toBe('0x92000011');
    expect(second.cpu.readRegister('tfsre0_el1')).toBe(0n);
  });

  it('set both bits over time and are cleared by writing the register', () => {
    const { machine, cpu } = mappedMachine();
    runUnder(machine, `${store.replace('svc #0', 'ldr x1, [x0]\n msr tfsr_el1, xzr\n svc #0')}`, {
      el: 1,
      setup: withTcf(ASYNC),
    });
    expect(cpu.readRegister('tfsr_el1')).toBe(0n);
  });
});

describe('tag generation', () => {
  it('follows the LFSR with RRND = 0', () => {
    const { machine, cpu } = mappedMachine();
    const text = `${'irg x1, x0\n lsr x1, x1, #56\n orr x2, x1, x2, lsl #4\n'.repeat(7)} svc #0`;
    runUnder(machine, text, {
      el: 1,
      setup: (c) => {
        c.writeRegister('gcr_el1', 1n);
        c.writeRegister('rgsr_el1', 0xacbb0bn);
        c.writeX(0, 0n);
        c.writeX(2, 0n);
      },
    });
    expect(cpu.readX(2).toString(16)).toBe('3992bde');
    expect(cpu.readRegister('rgsr_el1')).toBe(0x12980en);
  });

  it('is repeatable by seed with RRND = 1 and never gives an excluded tag', () => {
    const tags = (seed: number) => {
      const { machine, cpu } = mappedMachine({ seed });
      const text = `${'irg x1, x0\n lsr x1, x1, #56\n orr x2, x1, x2, lsl #4\n'.repeat(16)} svc #0`;
      runUnder(machine, text, { el: 1, setup: (c) => c.writeRegister('gcr_el1', 0x1_000fn) });
      return cpu.readX(2).toString(16).padStart(16, '0');
    };
    expect(tags(1)).toBe(tags(1));
    expect(tags(1)).not.toBe(tags(2));
    expect(tags(3)).toMatch(/^[4-f]{16}$/);
  });

  it('gives tag 0 where all 16 are excluded, and the seed advances all the same', () => {
    const { machine, cpu } = mappedMachine();
    runUnder(machine, 'irg x1, x0\n svc #0', {
      el: 1,
      setup: (c) => {
        c.writeRegister('gcr_el1', 0xffffn);
        c.writeRegister('rgsr_el1', 0xacbb0bn);
        c.writeX(0, 0x700000000000000n);
      },
    });
    expect(cpu.readX(1)).toBe(0n);
    expect(cpu.readRegister('rgsr_el1')).not.toBe(0xacbb0bn);
  });
});
