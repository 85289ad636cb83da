import { describe, expect, it } from 'vitest';
import { GiB, PA } from '../../src/base/index.js';
import {
  CHUNK,
  createMachine,
  Dram,
  LinearMemory,
  OutOfHostMemory,
  ZERO_CHUNK,
} from '../../src/machine/index.js';
import { runBare, testMachine } from './support.js';

describe('DRAM', () => {
  it('costs nothing until it is written, however large', () => {
    const { dram, linear, memory } = createMachine({
      banks: [
        { base: 0x8000_0000, size: 2 * GiB },
        { base: 0x8_8000_0000, size: 512 * GiB },
      ],
    });
    const before = linear.allocated;
    expect(memory.read64(PA(0x8_8000_0000 + 300 * GiB))).toBe(0n);
    expect(memory.readBytes(PA(0x8000_0000), 65536 * 3).every((b) => b === 0)).toBe(true);
    memory.fill(PA(0x8000_0000), GiB, 0);
    expect(dram.touchedBytes).toBe(0);
    expect(linear.allocated).toBe(before);
    memory.write8(PA(0x8_8000_0000 + 300 * GiB), 7);
    expect(dram.touchedBytes).toBe(CHUNK);
    expect(memory.read64(PA(0x8_8000_0000 + 300 * GiB))).toBe(7n);
  });

  it('reads and writes all sizes at any alignment, across chunks', () => {
    const { memory } = testMachine();
    for (const at of [0x40000000, 0x40000003, 0x4000fffd, 0x4001fff9]) {
      memory.write64(PA(at), 0x1122334455667788n);
      expect(memory.read64(PA(at))).toBe(0x1122334455667788n);
      expect(memory.read32(PA(at + 1))).toBe(0x44556677);
      expect(memory.read16(PA(at + 6))).toBe(0x1122);
      expect(memory.read8(PA(at + 7))).toBe(0x11);
      memory.write16(PA(at + 3), 0xabcd);
      memory.write32(PA(at + 4), 0x01020304);
      expect(memory.read64(PA(at))).toBe(0x01020304cd667788n);
    }
  });

  it('fills, copies and compares ranges over chunks', () => {
    const { memory } = testMachine();
    const bytes = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7) & 0xff);
    memory.writeBytes(PA(0x40008123), bytes);
    memory.copy(PA(0x40100001), PA(0x40008123), bytes.length);
    expect(memory.readBytes(PA(0x40100001), bytes.length)).toEqual(bytes);
    expect(memory.equal(PA(0x40100001), PA(0x40008123), bytes.length)).toBe(true);
    memory.write8(PA(0x40100001 + 150_000), 0x5a ^ bytes[150_000]!);
    expect(memory.equal(PA(0x40100001), PA(0x40008123), bytes.length)).toBe(false);
    // From memory that was never touched come zeros.
    memory.copy(PA(0x40100001), PA(0x42000000), 100_000);
    expect(memory.readBytes(PA(0x40100001), 100_000).every((b) => b === 0)).toBe(true);
    memory.fill(PA(0x4000fff0), 0x30, 0xee);
    expect(memory.read64(PA(0x4000fffc))).toBe(0xeeeeeeeeeeeeeeeen);
  });

  it('answers outside DRAM with zeros after telling', () => {
    const { memory } = testMachine();
    const told: string[] = [];
    memory.onBadAccess = (pa, what) => told.push(`${what} ${pa.toString(16)}`);
    expect(memory.read32(PA(0x1000))).toBe(0);
    memory.write64(PA(0x3fff_fffc), 1n);
    expect(told).toEqual(['read 1000', 'write 3ffffffc']);
  });

  it('refuses banks that overlap', () => {
    const linear = new LinearMemory();
    expect(
      () =>
        new Dram(linear, [
          { base: 0, size: 0x2000 },
          { base: 0x1000, size: 0x1000 },
        ]),
    ).toThrow(RangeError);
  });

  it('ends the run, not the process, when host memory is used up', () => {
    const machine = testMachine({ memoryLimit: 24 * CHUNK });
    // Touch a new chunk each time round.
    const stop = runBare(
      machine,
      `
        ldr x0, =0x40100000
      1: str x0, [x0]
        add x0, x0, #16, lsl #12
        b 1b
      `,
    );
    expect(stop).toMatchObject({ kind: 'halted' });
    expect(() => machine.memory.write8(PA(0x43ff0000), 1)).toThrow(OutOfHostMemory);
  });

  it('keeps the zero chunk zero', () => {
    const machine = testMachine();
    runBare(
      machine,
      'ldr x0, =0x41230000\n ldr x1, [x0]\n mov x2, #-1\n str x2, [x0]\n ldr x1, [x0]\n b .',
      6,
    );
    expect(machine.cpu.readX(1)).toBe(0xffff_ffff_ffff_ffffn);
    expect(machine.linear.u8.subarray(ZERO_CHUNK, ZERO_CHUNK + CHUNK).every((b) => b === 0)).toBe(true);
  });
});
